-- 0015-dt-details.sql - all of a row's delta-t, their delays too, so that whoever has the rows can
-- judge them again by SQL alone (doc/sla.md, again by SQL).

SET LOCAL ROLE plumbline_views;

-- One line a delta-t, as dt_records(), and beside it its delays: how many samples, the least, the
-- greatest, their sum over the least, how many were over each limit of params.limits (NULL: over
-- none), and the histograms, for hist_buckets().  clock_error_ns is NULL where it is not known.
-- The delays of a clean row are in its own columns: delay_count is 0 here.
CREATE FUNCTION plumbline.dt_details(encoded bytea)
RETURNS TABLE (number integer, kind integer, flags bigint, sent bigint, received bigint, lost bigint,
    lost_undirected bigint, unknown bigint, duplicate bigint, reordered bigint, late bigint, clock_error_ns bigint,
    over_limit bigint[], delay_count bigint, delay_min_ns bigint, delay_max_ns bigint, delay_over_min_ns bigint,
    hist bytea, ifdv bytea)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at    integer := 1;
    size  integer := length(encoded);
    value bigint;
    shift integer;
    octet integer;
    head  bigint;
    mask  bigint;
    field bigint[];
    i     integer := 0;
    left_ bigint;
    -- What the next number is: 0 head, 1 sent (plain) or mask, 2 a field, 3 clock error, 4 number of
    -- limits, 5 over a limit, 6 number of delays, 7 least, 8 range, 9 sum, 10 and 11 size of a histogram.
    step  integer := 0;
BEGIN
    IF size = 0 OR get_byte(encoded, 0) <> 1 THEN
        RAISE EXCEPTION 'delta-t records are of a format that is not known';
    END IF;
    number := 0;
    WHILE at < size OR step > 0 LOOP
        value := 0;
        shift := 0;
        LOOP
            IF at >= size OR shift > 63 THEN
                RAISE EXCEPTION 'delta-t records are cut short';
            END IF;
            octet := get_byte(encoded, at);
            at := at + 1;
            value := value | ((octet & 127)::bigint << shift);
            EXIT WHEN octet < 128;
            shift := shift + 7;
        END LOOP;
        IF step = 2 THEN
            field[i] := value;
        ELSIF step = 0 THEN
            head := value;
            kind := (head & 3)::integer;
            field := '{0,0,0,0,0,0,0,0,0,0,0,0,0}';
            clock_error_ns := NULL;
            over_limit := NULL;
            delay_count := 0;
            delay_min_ns := NULL;
            delay_max_ns := NULL;
            delay_over_min_ns := NULL;
            hist := NULL;
            ifdv := NULL;
            step := CASE WHEN kind >= 2 THEN 1 ELSE 0 END;
        ELSIF step = 1 AND kind = 2 THEN
            field[2] := value;
            field[3] := value;
            step := 0;
        ELSIF step = 1 THEN
            mask := value;
            i := 0;
            step := 2;
        ELSIF step = 3 THEN
            clock_error_ns := nullif(value, 0) - 1;
            step := 4;
        ELSIF step = 4 THEN
            left_ := value;
            step := CASE WHEN left_ = 0 THEN 6 ELSE 5 END;
        ELSIF step = 5 THEN
            over_limit := over_limit || value;
            left_ := left_ - 1;
            step := CASE WHEN left_ = 0 THEN 6 ELSE 5 END;
        ELSIF step = 6 THEN
            delay_count := value;
            step := CASE WHEN value = 0 THEN 0 ELSE 7 END;
        ELSIF step = 7 THEN
            delay_min_ns := ((value >> 1) & 9223372036854775807) # (-(value & 1)); -- Zigzag.
            step := 8;
        ELSIF step = 8 THEN
            delay_max_ns := delay_min_ns + value;
            step := 9;
        ELSIF step = 9 THEN
            delay_over_min_ns := value;
            step := 10;
        ELSIF step = 10 THEN
            hist := substring(encoded FROM at + 1 FOR value::integer);
            at := at + value::integer;
            step := 11;
        ELSE
            ifdv := substring(encoded FROM at + 1 FOR value::integer);
            at := at + value::integer;
            step := 0;
        END IF;
        IF step = 2 THEN
            -- The next field that the mask has; after the last, the clock error.
            LOOP
                i := i + 1;
                EXIT WHEN i > 13 OR mask & (1::bigint << (i - 1)) <> 0;
            END LOOP;
            step := CASE WHEN i > 13 THEN 3 ELSE 2 END;
        ELSIF step = 0 THEN
            flags := field[1];
            sent := field[2];
            received := field[3];
            lost := field[4];
            lost_undirected := field[5];
            unknown := field[6];
            late := field[9];
            duplicate := field[10];
            reordered := field[11];
            FOR n IN 1..(head >> 2) LOOP
                RETURN NEXT;
                number := number + 1;
            END LOOP;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION plumbline.dt_details(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.dt_details(bytea) TO plumbline_reader, plumbline_writer;

RESET ROLE;
