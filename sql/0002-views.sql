-- 0002-views.sql - what people read: names that stay.
--
-- The views belong to plumbline_views, which may read the store but not bypass
-- row-level security; readers have rights on the views alone.

SET LOCAL ROLE plumbline_views;

CREATE VIEW plumbline.series WITH (security_barrier) AS
    SELECT series_id, object, observer, direction, class, flow, family, protocol, since
    FROM plumbline_store.series;

-- One line a series and interval.  Delays are NULL where there is no sample.
CREATE VIEW plumbline.v_interval WITH (security_barrier) AS
    SELECT s.object, s.observer, s.direction, s.class, s.flow,
           r.start, r.seconds,
           r.sent, r.received, r.lost, r.lost_undirected,
           r.duplicate, r.reordered, r.late,
           r.dt_count, r.unknown_dt,
           r.delay_min_ns,
           CASE WHEN r.delay_count > 0 THEN r.delay_sum_ns / r.delay_count END AS delay_mean_ns,
           r.delay_p50_ns, r.delay_p95_ns, r.delay_p99_ns, r.delay_p99_9_ns, r.delay_max_ns,
           r.delay_count, r.clock_error_ns,
           r.unknown, r.scheduled, r.send_errors,
           -- Stamps are counted by the round trip; of one way there may be fewer samples.
           r.stamped_user, GREATEST(r.delay_count - r.stamped_user - r.stamped_hardware, 0) AS stamped_kernel, r.stamped_hardware,
           r.over_limit,
           r.flags & 1 <> 0 AS unclean, r.flags & 2 <> 0 AS partial, r.flags & 4 <> 0 AS suspect,
           r.revision, s.family, s.protocol, r.params_id, r.series_id, r.hist
    FROM plumbline_store.interval_row r JOIN plumbline_store.series s USING (series_id);

CREATE VIEW plumbline.params WITH (security_barrier) AS
    SELECT params_id, dt_ns, tmax_ns, period_ns, size, dscp, ifdv, limits FROM plumbline_store.params;

CREATE VIEW plumbline.source_position WITH (security_barrier) AS
    SELECT source, epoch || '-' || sequence AS position, epoch, sequence, written_until,
           owner AS collector, claimed_at, committed_at, release, closed
    FROM plumbline_store.source_position;

-- Opens a histogram (lib/hist.h; doc/wire-format.md): one line a bucket that is
-- not empty, lower bound inclusive, upper exclusive, in nanoseconds.
CREATE FUNCTION plumbline.hist_buckets(encoded bytea)
RETURNS TABLE (lower_ns bigint, upper_ns bigint, count bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at       integer := 0;
    size     integer := length(encoded);
    floor_ns bigint;
    per      bigint;
    phase    integer := 0;    -- 0: number of buckets, 1: an index, 2: a count.
    left_    bigint := 0;
    value    bigint;
    shift    integer;
    byte_    integer;
    first_   boolean := true;
    index_   bigint := 0;
    places   bigint;
    more     boolean;
    mirrored bigint;
    octave   integer;
BEGIN
    IF size = 0 THEN
        RETURN;
    END IF;
    CASE get_byte(encoded, 0)
        WHEN 1 THEN floor_ns := 64; per := 512;
        WHEN 2 THEN floor_ns := 1000; per := 32;
        ELSE RAISE EXCEPTION 'histogram layout % is not known', get_byte(encoded, 0);
    END CASE;
    at := 1;
    LOOP
        value := 0;
        shift := 0;
        LOOP
            IF at >= size OR shift > 56 THEN
                RAISE EXCEPTION 'histogram is cut short';
            END IF;
            byte_ := get_byte(encoded, at);
            at := at + 1;
            value := value | ((byte_ & 127)::bigint << shift);
            EXIT WHEN byte_ < 128;
            shift := shift + 7;
        END LOOP;
        IF phase = 0 THEN
            left_ := value;
            phase := 1;
        ELSE
            IF phase = 1 THEN
                more := value & 1 = 1;
                places := value >> 1;
                IF first_ THEN
                    index_ := CASE WHEN places & 1 = 0 THEN places >> 1 ELSE -(places >> 1) - 1 END;
                    first_ := false;
                ELSE
                    index_ := index_ + places + 1;
                END IF;
                phase := 2;
                CONTINUE WHEN more;
                count := 1;
            ELSE
                count := value + 2;
            END IF;
            mirrored := CASE WHEN index_ < 0 THEN -1 - index_ ELSE index_ END;
            IF mirrored < per THEN
                lower_ns := mirrored * floor_ns;
                upper_ns := lower_ns + floor_ns;
            ELSE
                octave := ((mirrored - per) / per)::integer;
                lower_ns := (floor_ns * (per + (mirrored - per) % per)) << octave;
                upper_ns := lower_ns + (floor_ns << octave);
            END IF;
            IF index_ < 0 THEN
                mirrored := lower_ns;
                lower_ns := -upper_ns;
                upper_ns := -mirrored;
            END IF;
            RETURN NEXT;
            phase := 1;
            left_ := left_ - 1;
        END IF;
        EXIT WHEN left_ = 0;
    END LOOP;
    IF at <> size THEN
        RAISE EXCEPTION 'histogram has % bytes too many', size - at;
    END IF;
END
$$;

GRANT SELECT ON ALL TABLES IN SCHEMA plumbline TO plumbline_reader;
REVOKE ALL ON FUNCTION plumbline.hist_buckets(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.hist_buckets(bytea) TO plumbline_reader, plumbline_writer;

RESET ROLE;
