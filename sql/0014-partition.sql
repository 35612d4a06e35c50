-- 0014-partition.sql - which tables have partitions by time is a list: whoever adds one adds a row
-- to it, and no function is written again.

SET LOCAL ROLE plumbline_owner;

CREATE TABLE plumbline_store.partitioned (
    parent  text PRIMARY KEY,
    monthly boolean NOT NULL,        -- One partition a month (UTC); else one a day.
    ordered boolean NOT NULL,        -- Rewritten in the primary key's order when it is over.
    kept    text NOT NULL CHECK (kept IN ('interval', 'quarter', 'day')), -- By which of the collector's retentions.
    options text NOT NULL            -- Of each partition, as in CREATE TABLE.
);
-- Rows with histograms stay in one piece up to a page: a month of one series is then not fetched
-- piece by piece.  Judged quarter hours are written again in place.
INSERT INTO plumbline_store.partitioned VALUES
    ('interval_row', false, true, 'interval', ''),
    ('liveness', false, false, 'interval', ''),
    ('quarter_row', false, true, 'quarter', 'WITH (toast_tuple_target = 8160)'),
    ('day_row', true, true, 'day', 'WITH (toast_tuple_target = 8160)'),
    ('judged_quarter', false, true, 'quarter', 'WITH (fillfactor = 50)');
GRANT SELECT ON plumbline_store.partitioned TO plumbline_writer;

-- Which partition of 'parent' holds 'day' (UTC), and from when to when it goes.
CREATE OR REPLACE FUNCTION plumbline_store.partition_of(parent text, day date, OUT part text, OUT lower_ date, OUT upper_ date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    monthly boolean := (SELECT d.monthly FROM plumbline_store.partitioned d WHERE d.parent = partition_of.parent);
BEGIN
    IF monthly IS NULL THEN
        RAISE EXCEPTION '% has no partitions by time', parent;
    END IF;
    lower_ := CASE WHEN monthly THEN date_trunc('month', day::timestamp)::date ELSE day END;
    upper_ := CASE WHEN monthly THEN (lower_ + interval '1 month')::date ELSE day + 1 END;
    part := format('%s_%s', parent, to_char(lower_, CASE WHEN monthly THEN 'YYYYMM' ELSE 'YYYYMMDD' END));
END
$$;

-- Makes the partitions that hold 'day' if they are not there.  One is made apart and then attached,
-- so that no writer of another one waits.
CREATE OR REPLACE FUNCTION plumbline_store.make_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p record;
BEGIN
    IF day < date '2000-01-01' OR day > (now() AT TIME ZONE 'UTC')::date + 2 THEN
        RAISE EXCEPTION 'no partition is made for %: too far from now', day;
    END IF;
    PERFORM pg_advisory_xact_lock(1886157934, 1);
    FOR p IN
        SELECT d.parent, d.options, x.* FROM plumbline_store.partitioned d
        CROSS JOIN LATERAL plumbline_store.partition_of(d.parent, make_day.day) x ORDER BY d.parent
    LOOP
        IF to_regclass(format('plumbline_store.%I', p.part)) IS NOT NULL THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE plumbline_store.%I (LIKE plumbline_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) %s',
                       p.part, p.parent, p.options);
        EXECUTE format('ALTER TABLE plumbline_store.%I ATTACH PARTITION plumbline_store.%I FOR VALUES FROM (%L) TO (%L)',
                       p.parent, p.part, format('%s 00:00:00+00', p.lower_), format('%s 00:00:00+00', p.upper_));
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION plumbline_store.partitions()
RETURNS TABLE (parent text, day date, until date, to_order boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.parent, x.lower_, x.upper_,
           d.ordered AND x.upper_ < (now() AT TIME ZONE 'UTC')::date
               AND NOT EXISTS (SELECT FROM pg_index n WHERE n.indrelid = c.oid AND n.indisclustered)
    FROM plumbline_store.partitioned d
    JOIN pg_class p ON p.oid = to_regclass(format('plumbline_store.%I', d.parent))
    JOIN pg_inherits i ON i.inhparent = p.oid
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL plumbline_store.partition_of(d.parent,
        to_date(rpad(substring(c.relname FROM '[0-9]+$'), 8, '01'), 'YYYYMMDD')) x
    WHERE c.relname = x.part
    ORDER BY x.lower_, d.parent
$$;

RESET ROLE;
