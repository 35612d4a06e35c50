-- 0003-delta-t.sql - opens a row's per delta-t records, so that any figure can be
-- argued about one delta-t at a time.

SET LOCAL ROLE plumbline_views;

-- Reads one varint (LEB128) of 'encoded' at 'at'.
CREATE FUNCTION plumbline.read_varint(encoded bytea, INOUT at integer, OUT value bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    shift integer := 0;
    octet integer;
BEGIN
    value := 0;
    LOOP
        IF at >= length(encoded) OR shift > 63 THEN
            RAISE EXCEPTION 'delta-t records are cut short';
        END IF;
        octet := get_byte(encoded, at);
        at := at + 1;
        value := value | ((octet & 127)::bigint << shift);
        EXIT WHEN octet < 128;
        shift := shift + 7;
    END LOOP;
END
$$;

-- One line a delta-t, in order from 0.  kind: 0 absent (the session did not run),
-- 1 not told (nothing is known), 2 plain (a clean row's: all that was sent came
-- back), 3 full.  The layout is in doc/wire-format.md, rows.
CREATE FUNCTION plumbline.dt_records(encoded bytea)
RETURNS TABLE (number integer, kind integer, flags bigint, sent bigint, received bigint, lost bigint,
    lost_undirected bigint, unknown bigint, duplicate bigint, reordered bigint, late bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at      integer := 1;
    head    bigint;
    mask    bigint;
    skip    bigint;
    field   bigint[];
BEGIN
    IF length(encoded) = 0 OR get_byte(encoded, 0) <> 1 THEN
        RAISE EXCEPTION 'delta-t records are of a format that is not known';
    END IF;
    number := 0;
    WHILE at < length(encoded) LOOP
        SELECT v.at, v.value INTO at, head FROM plumbline.read_varint(encoded, at) v;
        kind := (head & 3)::integer;
        field := array_fill(0::bigint, ARRAY[13]);
        IF kind = 2 THEN
            SELECT v.at, v.value INTO at, skip FROM plumbline.read_varint(encoded, at) v;
            field[2] := skip;
            field[3] := skip;
        ELSIF kind = 3 THEN
            SELECT v.at, v.value INTO at, mask FROM plumbline.read_varint(encoded, at) v;
            FOR i IN 1..13 LOOP
                IF mask & (1::bigint << (i - 1)) <> 0 THEN
                    SELECT v.at, v.value INTO at, skip FROM plumbline.read_varint(encoded, at) v;
                    field[i] := skip;
                END IF;
            END LOOP;
            -- The clock error, then what was over each limit.
            SELECT v.at INTO at FROM plumbline.read_varint(encoded, at) v;
            SELECT v.at, v.value INTO at, skip FROM plumbline.read_varint(encoded, at) v;
            FOR i IN 1..skip LOOP
                SELECT v.at INTO at FROM plumbline.read_varint(encoded, at) v;
            END LOOP;
            -- Delays: count; if any min, range, sum, and two histograms.
            SELECT v.at, v.value INTO at, skip FROM plumbline.read_varint(encoded, at) v;
            IF skip > 0 THEN
                FOR i IN 1..3 LOOP
                    SELECT v.at INTO at FROM plumbline.read_varint(encoded, at) v;
                END LOOP;
                FOR i IN 1..2 LOOP
                    SELECT v.at, v.value INTO at, skip FROM plumbline.read_varint(encoded, at) v;
                    at := at + skip::integer;
                END LOOP;
            END IF;
        END IF;
        flags := field[1];
        sent := field[2];
        received := field[3];
        lost := field[4];
        lost_undirected := field[5];
        unknown := field[6];
        late := field[9];
        duplicate := field[10];
        reordered := field[11];
        FOR i IN 1..(head >> 2) LOOP
            RETURN NEXT;
            number := number + 1;
        END LOOP;
    END LOOP;
END
$$;

-- Every delta-t of every series.  state: measured; unknown (nothing is known);
-- undetermined (the far end was found not to serve: its counters are what was
-- seen, and count in no row); absent.  Of a clean row only the row itself says how
-- many were duplicate, reordered or late: NULL here.
CREATE VIEW plumbline.v_delta_t WITH (security_barrier) AS
    SELECT s.object, s.observer, s.direction, s.class, s.flow,
           r.start AS interval_start,
           r.start + d.number * (p.dt_ns / 1000) * interval '1 microsecond' AS start,
           p.dt_ns,
           CASE WHEN d.kind = 0 THEN 'absent'
                WHEN d.kind = 1 OR d.flags & 1 <> 0 THEN 'unknown'
                WHEN d.flags & 64 <> 0 THEN 'undetermined'
                ELSE 'measured' END AS state,
           d.flags, d.sent, d.received, d.lost, d.lost_undirected, d.unknown,
           CASE WHEN d.kind <> 2 THEN d.duplicate END AS duplicate,
           CASE WHEN d.kind <> 2 THEN d.reordered END AS reordered,
           CASE WHEN d.kind <> 2 THEN d.late END AS late
    FROM plumbline_store.interval_row r
    JOIN plumbline_store.series s USING (series_id)
    JOIN plumbline_store.params p USING (params_id)
    CROSS JOIN LATERAL plumbline.dt_records(r.dt) d;

GRANT SELECT ON plumbline.v_delta_t TO plumbline_reader;
REVOKE ALL ON FUNCTION plumbline.read_varint(bytea, integer), plumbline.dt_records(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.read_varint(bytea, integer), plumbline.dt_records(bytea)
    TO plumbline_reader, plumbline_writer;

RESET ROLE;
