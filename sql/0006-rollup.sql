-- 0006-rollup.sql - quarter hours and days, merged from rows; retention.
--
-- The commit that completes a quarter hour or a day of a source writes its row in
-- the same transaction, out of the rows that are committed: nothing but
-- source_position.rolled_until is remembered.  collector/rollup.h says which.

SET LOCAL ROLE plumbline_owner;

-- One row a series, quarter hour (UTC) and set of parameters.  What the clean rows
-- of that time hold and what the others hold stay apart, each with its counters and
-- its histogram; counters mean what they mean in interval_row, and clean_lost,
-- clean_lost_undirected and clean_unknown are 0 by what clean is.
CREATE TABLE plumbline_store.quarter_row (
    series_id              bigint NOT NULL,
    start                  timestamptz NOT NULL,
    params_id              bigint NOT NULL,
    seconds                integer NOT NULL,       -- Length of the quarter hour, or day.
    flags                  integer NOT NULL,       -- Of any of its rows; 2 (partial) also if not all of them are there.
    revision               integer NOT NULL,       -- 0, then one more each time a later finding changed it.
    unknown_dt             integer NOT NULL,       -- Delta-t that count in no figure,
    undetermined_dt        integer NOT NULL,       -- and those of them of which the far end did not serve.
    clean_seconds          integer NOT NULL,   -- Length of the rows that it holds.
    clean_dt               integer NOT NULL,   -- Delta-t that its figures hold.
    clean_scheduled        bigint NOT NULL,
    clean_sent             bigint NOT NULL,
    clean_send_errors      bigint NOT NULL,
    clean_received         bigint NOT NULL,
    clean_lost             bigint NOT NULL,
    clean_lost_undirected  bigint NOT NULL,
    clean_unknown          bigint NOT NULL,
    clean_late             bigint NOT NULL,
    clean_duplicate        bigint NOT NULL,
    clean_reordered        bigint NOT NULL,
    clean_stamped_user     bigint NOT NULL,
    clean_stamped_hardware bigint NOT NULL,
    clean_clock_error_ns   bigint,
    clean_delay_count      bigint NOT NULL,
    clean_delay_sum_ns     bigint NOT NULL,
    clean_delay_min_ns     bigint,
    clean_delay_max_ns     bigint,
    clean_over_limit       bigint[],
    clean_hist             bytea,
    clean_ifdv             bytea,
    unclean_seconds          integer NOT NULL,
    unclean_dt               integer NOT NULL,
    unclean_scheduled        bigint NOT NULL,
    unclean_sent             bigint NOT NULL,
    unclean_send_errors      bigint NOT NULL,
    unclean_received         bigint NOT NULL,
    unclean_lost             bigint NOT NULL,
    unclean_lost_undirected  bigint NOT NULL,
    unclean_unknown          bigint NOT NULL,
    unclean_late             bigint NOT NULL,
    unclean_duplicate        bigint NOT NULL,
    unclean_reordered        bigint NOT NULL,
    unclean_stamped_user     bigint NOT NULL,
    unclean_stamped_hardware bigint NOT NULL,
    unclean_clock_error_ns   bigint,
    unclean_delay_count      bigint NOT NULL,
    unclean_delay_sum_ns     bigint NOT NULL,
    unclean_delay_min_ns     bigint,
    unclean_delay_max_ns     bigint,
    unclean_over_limit       bigint[],
    unclean_hist             bytea,
    unclean_ifdv             bytea,
    delay_p50_ns           bigint,                 -- Of both histograms together; never average these.
    delay_p95_ns           bigint,
    delay_p99_ns           bigint,
    delay_p99_9_ns         bigint,
    PRIMARY KEY (series_id, start, params_id)
) PARTITION BY RANGE (start);

CREATE TABLE plumbline_store.day_row (LIKE plumbline_store.quarter_row INCLUDING ALL) PARTITION BY RANGE (start);

-- Up to here all rows of the source are merged into quarter hours, and the days that
-- are over into days.  What was written before this release is merged bit by bit by
-- the source's next commits, from the first day that it said anything.
ALTER TABLE plumbline_store.source_position ADD COLUMN rolled_until timestamptz;
UPDATE plumbline_store.source_position p SET rolled_until = date_trunc('day',
    coalesce((SELECT min(start) FROM plumbline_store.liveness l WHERE l.source_id = p.source_id), written_until), 'UTC')
    WHERE written_until IS NOT NULL;

-- Which partition of 'parent' holds 'day' (UTC), and from when to when it goes: day
-- rows have one a month, the others one a day.
CREATE FUNCTION plumbline_store.partition_of(parent text, day date, OUT part text, OUT lower_ date, OUT upper_ date)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF parent NOT IN ('interval_row', 'liveness', 'quarter_row', 'day_row') THEN
        RAISE EXCEPTION '% has no partitions by time', parent;
    END IF;
    IF parent = 'day_row' THEN
        lower_ := date_trunc('month', day::timestamp)::date;
        upper_ := (lower_ + interval '1 month')::date;
        part := format('%s_%s', parent, to_char(lower_, 'YYYYMM'));
    ELSE
        lower_ := day;
        upper_ := day + 1;
        part := format('%s_%s', parent, to_char(lower_, 'YYYYMMDD'));
    END IF;
END
$$;

-- As before, for the new tables too.  Rows with histograms stay in one piece up to a
-- page: a month of one series is then not fetched piece by piece.
CREATE OR REPLACE FUNCTION plumbline_store.make_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    p      record;
BEGIN
    IF day < date '2000-01-01' OR day > (now() AT TIME ZONE 'UTC')::date + 2 THEN
        RAISE EXCEPTION 'no partition is made for %: too far from now', day;
    END IF;
    PERFORM pg_advisory_xact_lock(1886157934, 1);
    FOREACH parent IN ARRAY ARRAY['interval_row', 'liveness', 'quarter_row', 'day_row'] LOOP
        p := plumbline_store.partition_of(parent, day);
        IF to_regclass(format('plumbline_store.%I', p.part)) IS NOT NULL THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE plumbline_store.%I (LIKE plumbline_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) %s',
                       p.part, parent,
                       CASE WHEN parent IN ('quarter_row', 'day_row') THEN 'WITH (toast_tuple_target = 8160)' ELSE '' END);
        EXECUTE format('ALTER TABLE plumbline_store.%I ATTACH PARTITION plumbline_store.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, p.part, format('%s 00:00:00+00', p.lower_), format('%s 00:00:00+00', p.upper_));
    END LOOP;
END
$$;

-- Partitions of the store: those that order_partition() would rewrite now, and how old
-- each is.  A day is over for good when the sources' usual spools have come in.
CREATE FUNCTION plumbline_store.partitions()
RETURNS TABLE (parent text, day date, until date, to_order boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.relname::text, x.lower_, x.upper_,
           p.relname <> 'liveness' AND x.upper_ < (now() AT TIME ZONE 'UTC')::date
               AND NOT EXISTS (SELECT FROM pg_index n WHERE n.indrelid = c.oid AND n.indisclustered)
    FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace s ON s.oid = p.relnamespace AND s.nspname = 'plumbline_store'
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL plumbline_store.partition_of(p.relname::text,
        to_date(rpad(substring(c.relname FROM '[0-9]+$'), 8, '01'), 'YYYYMMDD')) x
    WHERE p.relname IN ('interval_row', 'liveness', 'quarter_row', 'day_row') AND c.relname = x.part
    ORDER BY x.lower_, p.relname
$$;

-- Rewrites a partition that is over in (series_id, start) order: a month of one series
-- is then read from few pages.  Whoever uses that partition waits while it runs: the
-- keeper (collector/keeper.h) gives it up when somebody does.  The lock itself is not
-- waited for: others would queue behind it.
CREATE FUNCTION plumbline_store.order_partition(parent text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    p   record := plumbline_store.partition_of(parent, day);
    rel regclass := to_regclass(format('plumbline_store.%I', p.part));
BEGIN
    IF rel IS NULL OR p.upper_ >= (now() AT TIME ZONE 'UTC')::date THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rel);
    IF EXISTS (SELECT FROM pg_index WHERE indrelid = rel AND indisclustered) THEN
        RETURN false;
    END IF;
    EXECUTE format('CLUSTER %s USING %I', rel,
                   (SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                    WHERE i.indrelid = rel AND i.indisprimary));
    RETURN true;
END
$$;

-- Nobody waits for this one.
CREATE FUNCTION plumbline_store.analyze_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ANALYZE plumbline_store.%I', (plumbline_store.partition_of(parent, day)).part);
END
$$;

-- Why a partition that ends at 'upper_' may not be dropped yet; NULL: it may.  What a
-- source has not committed, what is not merged into the coarser rows, and what a far
-- end may still change, is waited for.  A closed source is not; what it left is merged
-- when it is closed.
CREATE FUNCTION plumbline_store.partition_needed(upper_ timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT format('source %s has committed no further than %s', source, written_until)
         FROM plumbline_store.source_position
         WHERE NOT closed AND written_until < upper_ ORDER BY written_until LIMIT 1),
        (SELECT format('source %s is merged no further than %s', source, rolled_until)
         FROM plumbline_store.source_position
         WHERE written_until IS NOT NULL AND (rolled_until IS NULL OR rolled_until < least(upper_,
             date_trunc('day', written_until - interval '1 second', 'UTC') + interval '1 day'))
         LIMIT 1),
        (SELECT format('a row of %s waits for its far end', start)
         FROM plumbline_store.far_pending WHERE start < upper_ + interval '1 hour' LIMIT 1))
$$;

-- Drops a partition unless something still needs it: NULL when it is gone, else why
-- not.  Commits wait for at most the lock_timeout, and for the catalogue.
CREATE FUNCTION plumbline_store.drop_partition(parent text, day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    p   record := plumbline_store.partition_of(parent, day);
    why text;
BEGIN
    IF p.upper_ >= (now() AT TIME ZONE 'UTC')::date THEN
        RETURN 'it is not over for a day';
    END IF;
    why := plumbline_store.partition_needed(p.upper_::timestamp AT TIME ZONE 'UTC');
    IF why IS NOT NULL OR to_regclass(format('plumbline_store.%I', p.part)) IS NULL THEN
        RETURN why;
    END IF;
    -- The partition first: while its readers are waited for, commits go on.
    EXECUTE format('LOCK TABLE plumbline_store.%I IN ACCESS EXCLUSIVE MODE', p.part);
    EXECUTE format('LOCK TABLE ONLY plumbline_store.%I IN ACCESS EXCLUSIVE MODE', parent);
    why := plumbline_store.partition_needed(p.upper_::timestamp AT TIME ZONE 'UTC');
    IF why IS NULL THEN
        EXECUTE format('DROP TABLE plumbline_store.%I', p.part);
    END IF;
    RETURN why;
END
$$;

REVOKE ALL ON FUNCTION plumbline_store.partition_of(text, date), plumbline_store.partitions(),
    plumbline_store.order_partition(text, date), plumbline_store.analyze_partition(text, date),
    plumbline_store.partition_needed(timestamptz), plumbline_store.drop_partition(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.partitions(), plumbline_store.order_partition(text, date),
    plumbline_store.analyze_partition(text, date), plumbline_store.drop_partition(text, date) TO plumbline_writer;
GRANT SELECT, INSERT, DELETE ON plumbline_store.quarter_row, plumbline_store.day_row TO plumbline_writer;
GRANT SELECT ON plumbline_store.quarter_row, plumbline_store.day_row TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- One line a series and quarter hour that is over for its source: the sums of both
-- parts, then each part's own.
CREATE VIEW plumbline.v_quarter WITH (security_barrier) AS
    SELECT s.object, s.observer, s.direction, s.class, s.flow,
           r.start, r.seconds,
           r.clean_sent + r.unclean_sent AS sent,
           r.clean_received + r.unclean_received AS received,
           r.clean_lost + r.unclean_lost AS lost,
           r.clean_lost_undirected + r.unclean_lost_undirected AS lost_undirected,
           r.clean_duplicate + r.unclean_duplicate AS duplicate,
           r.clean_reordered + r.unclean_reordered AS reordered,
           r.clean_late + r.unclean_late AS late,
           r.clean_dt + r.unclean_dt AS dt_count, r.unknown_dt, r.undetermined_dt,
           least(r.clean_delay_min_ns, r.unclean_delay_min_ns) AS delay_min_ns,
           (r.clean_delay_sum_ns + r.unclean_delay_sum_ns) / nullif(r.clean_delay_count + r.unclean_delay_count, 0)
               AS delay_mean_ns,
           r.delay_p50_ns, r.delay_p95_ns, r.delay_p99_ns, r.delay_p99_9_ns,
           greatest(r.clean_delay_max_ns, r.unclean_delay_max_ns) AS delay_max_ns,
           r.clean_delay_count + r.unclean_delay_count AS delay_count,
           greatest(r.clean_clock_error_ns, r.unclean_clock_error_ns) AS clock_error_ns,
           r.clean_unknown + r.unclean_unknown AS unknown,
           r.clean_scheduled + r.unclean_scheduled AS scheduled,
           r.clean_send_errors + r.unclean_send_errors AS send_errors,
           r.clean_stamped_user + r.unclean_stamped_user AS stamped_user,
           greatest(r.clean_delay_count + r.unclean_delay_count - r.clean_stamped_user - r.unclean_stamped_user
               - r.clean_stamped_hardware - r.unclean_stamped_hardware, 0) AS stamped_kernel,
           r.clean_stamped_hardware + r.unclean_stamped_hardware AS stamped_hardware,
           (SELECT array_agg(coalesce(o.clean, 0) + coalesce(o.unclean, 0) ORDER BY o.at)
            FROM unnest(r.clean_over_limit, r.unclean_over_limit) WITH ORDINALITY o(clean, unclean, at)) AS over_limit,
           r.flags & 1 <> 0 AS unclean, r.flags & 2 <> 0 AS partial, r.flags & 4 <> 0 AS suspect,
           r.revision, s.family, s.protocol, r.params_id, r.series_id,
           r.clean_seconds, r.clean_dt, r.clean_sent, r.clean_delay_count,
           r.clean_delay_min_ns, r.clean_delay_max_ns, r.clean_over_limit, r.clean_hist, r.clean_ifdv,
           r.unclean_seconds, r.unclean_dt, r.unclean_sent, r.unclean_received, r.unclean_delay_count,
           r.unclean_delay_min_ns, r.unclean_delay_max_ns, r.unclean_over_limit, r.unclean_hist, r.unclean_ifdv
    FROM plumbline_store.quarter_row r JOIN plumbline_store.series s USING (series_id);

-- The same of days (UTC).
CREATE VIEW plumbline.v_day WITH (security_barrier) AS
    SELECT s.object, s.observer, s.direction, s.class, s.flow,
           r.start, r.seconds,
           r.clean_sent + r.unclean_sent AS sent,
           r.clean_received + r.unclean_received AS received,
           r.clean_lost + r.unclean_lost AS lost,
           r.clean_lost_undirected + r.unclean_lost_undirected AS lost_undirected,
           r.clean_duplicate + r.unclean_duplicate AS duplicate,
           r.clean_reordered + r.unclean_reordered AS reordered,
           r.clean_late + r.unclean_late AS late,
           r.clean_dt + r.unclean_dt AS dt_count, r.unknown_dt, r.undetermined_dt,
           least(r.clean_delay_min_ns, r.unclean_delay_min_ns) AS delay_min_ns,
           (r.clean_delay_sum_ns + r.unclean_delay_sum_ns) / nullif(r.clean_delay_count + r.unclean_delay_count, 0)
               AS delay_mean_ns,
           r.delay_p50_ns, r.delay_p95_ns, r.delay_p99_ns, r.delay_p99_9_ns,
           greatest(r.clean_delay_max_ns, r.unclean_delay_max_ns) AS delay_max_ns,
           r.clean_delay_count + r.unclean_delay_count AS delay_count,
           greatest(r.clean_clock_error_ns, r.unclean_clock_error_ns) AS clock_error_ns,
           r.clean_unknown + r.unclean_unknown AS unknown,
           r.clean_scheduled + r.unclean_scheduled AS scheduled,
           r.clean_send_errors + r.unclean_send_errors AS send_errors,
           r.clean_stamped_user + r.unclean_stamped_user AS stamped_user,
           greatest(r.clean_delay_count + r.unclean_delay_count - r.clean_stamped_user - r.unclean_stamped_user
               - r.clean_stamped_hardware - r.unclean_stamped_hardware, 0) AS stamped_kernel,
           r.clean_stamped_hardware + r.unclean_stamped_hardware AS stamped_hardware,
           (SELECT array_agg(coalesce(o.clean, 0) + coalesce(o.unclean, 0) ORDER BY o.at)
            FROM unnest(r.clean_over_limit, r.unclean_over_limit) WITH ORDINALITY o(clean, unclean, at)) AS over_limit,
           r.flags & 1 <> 0 AS unclean, r.flags & 2 <> 0 AS partial, r.flags & 4 <> 0 AS suspect,
           r.revision, s.family, s.protocol, r.params_id, r.series_id,
           r.clean_seconds, r.clean_dt, r.clean_sent, r.clean_delay_count,
           r.clean_delay_min_ns, r.clean_delay_max_ns, r.clean_over_limit, r.clean_hist, r.clean_ifdv,
           r.unclean_seconds, r.unclean_dt, r.unclean_sent, r.unclean_received, r.unclean_delay_count,
           r.unclean_delay_min_ns, r.unclean_delay_max_ns, r.unclean_over_limit, r.unclean_hist, r.unclean_ifdv
    FROM plumbline_store.day_row r JOIN plumbline_store.series s USING (series_id);

CREATE OR REPLACE VIEW plumbline.source_position WITH (security_barrier) AS
    SELECT source, epoch || '-' || sequence AS position, epoch, sequence, written_until,
           owner AS collector, claimed_at, committed_at, release, closed, rolled_until
    FROM plumbline_store.source_position;

GRANT SELECT ON plumbline.v_quarter, plumbline.v_day TO plumbline_reader;

RESET ROLE;
