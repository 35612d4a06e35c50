-- 0001-store.sql - roles, the tables that collectors write, and their partitions.
--
-- Applied by `plumbline migrate`, in one transaction.  Whoever applies it is a
-- superuser, or may create roles and schemas; nothing here needs more later on.
--
-- Keys: every table that grows has series_id or source_id in its primary key and
-- no other unique constraint, so that it can be distributed by it.  Identifiers
-- are the first 63 bits of SHA-256 of a canonical text (doc/wire-format.md).

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['plumbline_owner', 'plumbline_writer', 'plumbline_views', 'plumbline_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
           AND NOT pg_catalog.pg_has_role(current_user, name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', name);
        END IF;
    END LOOP;
END
$$;

CREATE SCHEMA plumbline_store AUTHORIZATION plumbline_owner; -- What collectors write.
CREATE SCHEMA plumbline AUTHORIZATION plumbline_views;       -- What people read.
REVOKE ALL ON SCHEMA plumbline_store, plumbline FROM PUBLIC;
GRANT USAGE ON SCHEMA plumbline_store TO plumbline_writer, plumbline_views;
GRANT USAGE ON SCHEMA plumbline TO plumbline_reader, plumbline_writer;

SET LOCAL ROLE plumbline_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA plumbline_store REVOKE ALL ON FUNCTIONS FROM PUBLIC;

CREATE TABLE plumbline_store.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,          -- SHA-256 of the file, hexadecimal.
    release    text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- How far each source's stream is committed.  The row is the fence: a commit
-- begins by updating it where position and owner_run are still what the
-- collector believes, and writes nothing when they are not.
CREATE TABLE plumbline_store.source_position (
    source_id     bigint PRIMARY KEY,
    source        text NOT NULL,
    epoch         bigint NOT NULL DEFAULT 0,   -- Position <epoch>-<sequence>; 0-0: nothing yet.
    sequence      bigint NOT NULL DEFAULT 0,
    written_until timestamptz,                 -- Intervals that end by then are written.
    owner_run     bigint,                      -- Which run of a collector's worker has it.
    owner         text,
    claimed_at    timestamptz,
    committed_at  timestamptz,
    release       text,                        -- Of the source's software.
    closed        boolean NOT NULL DEFAULT false -- Silent for source_expiry, or forgotten by command.
) WITH (fillfactor = 50);

-- Live workers of collectors: they share the sources evenly.
CREATE TABLE plumbline_store.collector_heartbeat (
    run     bigint PRIMARY KEY,
    name    text NOT NULL,
    sources integer NOT NULL DEFAULT 0,
    seen    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE plumbline_store.series (
    series_id bigint PRIMARY KEY,
    object    text NOT NULL,
    observer  text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('fwd', 'bwd', 'rt')),
    class     text NOT NULL,
    flow      integer NOT NULL,
    family    smallint NOT NULL,
    protocol  text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now()
);

-- Parameters of measurement.  Rows of different params_id never merge.  'limits'
-- are in the session's frame: fwd is sender to reflector.
CREATE TABLE plumbline_store.params (
    params_id bigint PRIMARY KEY,
    dt_ns     bigint NOT NULL,
    tmax_ns   bigint NOT NULL,
    period_ns bigint NOT NULL,
    size      integer NOT NULL,
    dscp      smallint NOT NULL,
    ifdv      boolean NOT NULL,
    limits    jsonb NOT NULL      -- [{"metric": "delay", "direction": "rt", "limit_ns": 18000000}]
);

-- The dictionary of each source: a collector that takes a source over in the
-- middle of an epoch reads it here.
CREATE TABLE plumbline_store.session (
    source_id     bigint NOT NULL,
    session_id    bigint NOT NULL,
    params_id     bigint NOT NULL,
    fwd_series    bigint NOT NULL, -- Series in the link's frame.
    bwd_series    bigint NOT NULL,
    rt_series     bigint NOT NULL,
    far_source_id bigint,          -- NULL: a foreign reflector, whose life is not streamed.
    entry         bytea NOT NULL,  -- The dictionary's entry (telemetry.proto, Session).
    PRIMARY KEY (source_id, session_id)
);

-- One row a series and interval.  One session's summaries make three rows.  Of a
-- session with r packets received back, f and b lost on the way to the reflector
-- and back, u lost in an unknown direction and k of unknown fate, the series of
-- the way to the reflector has
--     sent r+f+b+u   lost f+u   received r+b
-- the series of the way back
--     sent r+b+u     lost b+u   received r
-- and the round trip
--     sent r+f+b+u   lost f+b+u received r
-- so that sent = received + lost everywhere, 'lost_undirected' = u of the lost is
-- counted against both ways, and 'unknown' = k is neither sent nor lost.
-- duplicate and reordered are those of the way, for the round trip their sum;
-- late, scheduled, send_errors and the stamps are the session's in all three.
-- A delta-t of which nothing is known, or in which the far end did not serve,
-- counts in unknown_dt and in nothing else.
CREATE TABLE plumbline_store.interval_row (
    series_id        bigint NOT NULL,
    start            timestamptz NOT NULL,
    params_id        bigint NOT NULL,
    seconds          integer NOT NULL,   -- Length of the interval.
    flags            integer NOT NULL,   -- doc/wire-format.md, rows: 1 unclean, 2 partial, 4 suspect, 8 unknown, 16 undetermined.
    revision         integer NOT NULL,   -- 0, then one more each time a later finding changed it.
    dt_count         integer NOT NULL,   -- Delta-t that the figures hold.
    unknown_dt       integer NOT NULL,
    scheduled        bigint NOT NULL,
    sent             bigint NOT NULL,
    send_errors      bigint NOT NULL,
    received         bigint NOT NULL,
    lost             bigint NOT NULL,
    lost_undirected  bigint NOT NULL,
    unknown          bigint NOT NULL,
    late             bigint NOT NULL,
    duplicate        bigint NOT NULL,
    reordered        bigint NOT NULL,
    stamped_user     bigint NOT NULL,    -- Received samples by their worst stamp; the rest kernel.
    stamped_hardware bigint NOT NULL,
    clock_error_ns   bigint,             -- Greatest bound, both ends; NULL: not known.
    delay_count      bigint NOT NULL,
    delay_sum_ns     bigint NOT NULL,
    delay_min_ns     bigint,             -- NULL when delay_count is 0, as the quantiles.
    delay_max_ns     bigint,
    delay_p50_ns     bigint,             -- Of the row's own histogram; never average these.
    delay_p95_ns     bigint,
    delay_p99_ns     bigint,
    delay_p99_9_ns   bigint,
    over_limit       bigint[],           -- Samples over params.limits[i]; NULL: none over any.
    hist             bytea,              -- Clean rows: all delays.  Unclean rows keep them per delta-t in dt.
    ifdv             bytea,
    dt               bytea NOT NULL,     -- Per delta-t records.
    PRIMARY KEY (series_id, start)
) PARTITION BY RANGE (start);

-- What a source said of its own life, one record an interval.  Seconds that no
-- record names are not known.
CREATE TABLE plumbline_store.liveness (
    source_id bigint NOT NULL,
    start     timestamptz NOT NULL,
    seconds   integer NOT NULL,
    record    bytea NOT NULL,
    PRIMARY KEY (source_id, start)
) PARTITION BY RANGE (start);

-- Which links a source's reflector answers on, by the hash that liveness names.
CREATE TABLE plumbline_store.serving (
    source_id  bigint NOT NULL,
    serving_id bigint NOT NULL,
    objects    text[] NOT NULL,
    PRIMARY KEY (source_id, serving_id)
);

-- Rows with loss whose far end has not yet said whether it was there.
CREATE TABLE plumbline_store.far_pending (
    source_id     bigint NOT NULL,   -- The observer.
    session_id    bigint NOT NULL,
    start         timestamptz NOT NULL,
    until         timestamptz NOT NULL, -- Far end must have been written until here.
    far_source_id bigint NOT NULL,
    PRIMARY KEY (source_id, session_id, start)
);
CREATE INDEX far_pending_far ON plumbline_store.far_pending (far_source_id, until);

-- Batches that do not decode, with their bytes.
CREATE TABLE plumbline_store.quarantine (
    source_id   bigint NOT NULL,
    epoch       bigint NOT NULL,
    sequence    bigint NOT NULL,
    source      text NOT NULL,
    verdict     text NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now(),
    bytes       bytea NOT NULL,
    PRIMARY KEY (source_id, epoch, sequence)
);

-- Makes the partitions that hold 'day' (UTC) if they are not there.  A partition
-- is made apart and then attached, so that no writer of another one waits.
CREATE FUNCTION plumbline_store.make_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    part   text;
    lower_ text := format('%s 00:00:00+00', day);
    upper_ text := format('%s 00:00:00+00', day + 1);
BEGIN
    IF day < date '2000-01-01' OR day > (now() AT TIME ZONE 'UTC')::date + 2 THEN
        RAISE EXCEPTION 'no partition is made for %: too far from now', day;
    END IF;
    PERFORM pg_advisory_xact_lock(1886157934, 1);
    FOREACH parent IN ARRAY ARRAY['interval_row', 'liveness'] LOOP
        part := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
        IF to_regclass(format('plumbline_store.%I', part)) IS NOT NULL THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE plumbline_store.%I (LIKE plumbline_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                       part, parent);
        EXECUTE format('ALTER TABLE plumbline_store.%I ATTACH PARTITION plumbline_store.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, part, lower_, upper_);
    END LOOP;
END
$$;

-- Rewrites a closed day in (series_id, start) order: a month of one series is
-- then read from few pages.  Readers of that day wait while it runs.
CREATE FUNCTION plumbline_store.order_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part text := format('interval_row_%s', to_char(day, 'YYYYMMDD'));
    rel  regclass := to_regclass(format('plumbline_store.%I', part));
BEGIN
    IF rel IS NULL OR day >= (now() AT TIME ZONE 'UTC')::date
       OR EXISTS (SELECT FROM pg_index WHERE indrelid = rel AND indisclustered) THEN
        RETURN false;
    END IF;
    EXECUTE format('CLUSTER %s USING %I', rel,
                   (SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                    WHERE i.indrelid = rel AND i.indisprimary));
    EXECUTE format('ANALYZE %s', rel);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION plumbline_store.make_day(date), plumbline_store.order_day(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.make_day(date), plumbline_store.order_day(date) TO plumbline_writer;

GRANT SELECT ON plumbline_store.migration TO plumbline_writer, plumbline_views;
GRANT SELECT, INSERT, UPDATE ON plumbline_store.source_position, plumbline_store.series, plumbline_store.params,
    plumbline_store.session, plumbline_store.serving TO plumbline_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.collector_heartbeat, plumbline_store.far_pending TO plumbline_writer;
GRANT SELECT, INSERT, UPDATE ON plumbline_store.interval_row TO plumbline_writer;
GRANT SELECT, INSERT ON plumbline_store.liveness, plumbline_store.quarantine TO plumbline_writer;
GRANT SELECT ON plumbline_store.source_position, plumbline_store.series, plumbline_store.params,
    plumbline_store.interval_row TO plumbline_views;

-- Row-level security is on small tables only: COPY refuses it.
ALTER TABLE plumbline_store.series ENABLE ROW LEVEL SECURITY;
CREATE POLICY series_writer ON plumbline_store.series TO plumbline_writer USING (true) WITH CHECK (true);
CREATE POLICY series_views ON plumbline_store.series FOR SELECT TO plumbline_views USING (true);

RESET ROLE;
