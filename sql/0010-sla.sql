-- 0010-sla.sql - what was judged: availability, verdicts with revisions, credits.
--
-- A *line* is one thing that is counted: a way (link, class, direction) for one scope,
-- which is the link itself or a service over it, or a group or a service as a whole.  What
-- it counted in a quarter hour is its tally (doc/wire-format.md); a period is the sum of its
-- quarter hours.  Judged from committed rows alone, by the one collector that holds the
-- job's lock; quarter hours that a late row or a new exclusion changes are judged again.

SET LOCAL ROLE plumbline_owner;

CREATE TABLE plumbline_store.judged_line (
    line_id    bigint PRIMARY KEY,       -- First 63 bits of SHA-256 of what follows.
    scope_kind text NOT NULL CHECK (scope_kind IN ('link', 'group', 'service')),
    scope      text NOT NULL,
    object     text NOT NULL,            -- The link that is counted; of a whole the scope itself.
    class      text NOT NULL,
    direction  text NOT NULL CHECK (direction IN ('fwd', 'bwd', 'rt', 'both')),
    dt_ns      bigint NOT NULL,
    since      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX judged_line_scope ON plumbline_store.judged_line (scope_kind, scope);

CREATE TABLE plumbline_store.judged_quarter (
    line_id          bigint NOT NULL,
    start            timestamptz NOT NULL,
    revision         integer NOT NULL,   -- 0, then one more each time that judging it again changed it.
    until            timestamptz NOT NULL, -- Judged up to here; the end of the quarter hour when it is complete.
    stale            boolean NOT NULL DEFAULT false, -- To be judged again: something that it hangs on changed.
    available_before boolean NOT NULL,   -- A of the delta-t before it: judging may begin anew here.
    high_loss_run    integer NOT NULL,   -- High loss intervals right before it.
    available_after  boolean NOT NULL,   -- The same two at 'until'.
    high_loss_after  integer NOT NULL,
    dt_total         integer NOT NULL,   -- Delta-t judged,
    dt_counted       integer NOT NULL,   -- those of them that nothing excludes (W),
    dt_available     integer NOT NULL,   -- and of these the available.
    dt_undetermined  integer NOT NULL,   -- Of W: nobody knows, the last state is taken.
    dt_suspect       integer NOT NULL,
    dt_witness       integer NOT NULL,
    outages          integer NOT NULL,
    hli              integer NOT NULL,
    chli_runs        integer NOT NULL,
    chli_intervals   integer NOT NULL,
    sent             bigint NOT NULL,    -- Qualified: in W and available.
    lost             bigint NOT NULL,
    lost_undirected  bigint NOT NULL,
    sent_raw         bigint NOT NULL,    -- All of W.
    lost_raw         bigint NOT NULL,
    duplicate        bigint NOT NULL,
    reordered        bigint NOT NULL,
    delay_count      bigint NOT NULL,    -- Of qualified packets.
    tally            bytea NOT NULL,     -- All of it, with histograms.
    states           bytea NOT NULL,     -- Delta-t by delta-t, in runs (plumbline.judged_states).
    PRIMARY KEY (line_id, start)
) PARTITION BY RANGE (start);
CREATE INDEX judged_quarter_stale ON plumbline_store.judged_quarter (line_id, start) WHERE stale;

-- When a line's state changed.  Taken back and written anew when it is judged again.
CREATE TABLE plumbline_store.transition (
    line_id   bigint NOT NULL,
    at        timestamptz NOT NULL,
    available boolean NOT NULL,
    PRIMARY KEY (line_id, at)
);

-- A service and a period: a month in its tenant's time zone.
CREATE TABLE plumbline_store.judged_period (
    service      text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end   timestamptz NOT NULL,
    sla          text NOT NULL,
    version      integer NOT NULL,       -- The one valid at the period's start.
    judged_from  timestamptz NOT NULL,   -- The period's start, or when the service came into force.
    judged_until timestamptz NOT NULL,
    revision     integer,                -- Of the newest published verdict; NULL: it is still running.
    reopened     text,                   -- Why it is to be published again; NULL: it is not.
    PRIMARY KEY (service, period_start)
);

-- One objective's state so far; changed in place while the period runs.
CREATE TABLE plumbline_store.objective_state (
    service      text NOT NULL,
    period_start timestamptz NOT NULL,
    number       integer NOT NULL,       -- Place in the SLA's list, from 1.
    class        text NOT NULL,
    metric       text NOT NULL,
    direction    text NOT NULL,
    limit_value  bigint NOT NULL,        -- ns, milli-percent or a count, as 'unit' says.
    unit         text NOT NULL CHECK (unit IN ('ns', 'milli_percent', 'count')),
    verdict      text NOT NULL CHECK (verdict IN ('met', 'missed', 'not decidable')),
    doubt        text NOT NULL,          -- Why it cannot be decided; empty.
    value        bigint,                 -- NULL: there is none.
    worst        text,                   -- The link, or way of it, that the value is of.
    part         bigint NOT NULL,        -- What was compared: part of whole.
    whole        bigint NOT NULL,
    low          double precision,       -- 95 % interval of part / whole.
    high         double precision,
    needed       bigint NOT NULL,        -- Packets or samples that a decision needs.
    budget       bigint NOT NULL,        -- Delta-t or packets that the period may spend,
    used         bigint NOT NULL,        -- and has.
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, period_start, number)
) WITH (fillfactor = 50);

-- Published verdicts.  None is ever changed: what is found later is another revision.
CREATE TABLE plumbline_store.verdict (LIKE plumbline_store.objective_state INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    revision integer NOT NULL,
    why      text NOT NULL,              -- Of this revision.
    PRIMARY KEY (service, period_start, number, revision)
);
ALTER TABLE plumbline_store.verdict RENAME COLUMN updated_at TO published_at;

-- eligible -> claimed -> approved or rejected; approved -> issued.  Of the month's
-- charge, in milli-percent; no money is known here.
CREATE TABLE plumbline_store.credit (
    service      text NOT NULL,
    period_start timestamptz NOT NULL,
    revision     integer NOT NULL,       -- Of the verdict that it follows from.
    credit_milli integer NOT NULL CHECK (credit_milli BETWEEN 0 AND 100000),
    reasons      jsonb NOT NULL,         -- [{"metric", "outage", "credit_milli"}]
    claim_until  timestamptz,            -- NULL: no last day.
    PRIMARY KEY (service, period_start, revision)
);
CREATE TABLE plumbline_store.credit_step (
    service      text NOT NULL,
    period_start timestamptz NOT NULL,
    number       integer NOT NULL,       -- 1, 2, 3 ...
    state        text NOT NULL CHECK (state IN ('eligible', 'claimed', 'approved', 'rejected', 'issued')),
    note         text NOT NULL DEFAULT '',
    by           text NOT NULL DEFAULT session_user,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, period_start, number)
);

-- The month of an instant in a time zone, as UTC borders: days of 23 and 25 hours are in it.
CREATE FUNCTION plumbline_store.month_of(at timestamptz, timezone text, OUT start timestamptz, OUT until timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT date_trunc('month', at AT TIME ZONE timezone) AT TIME ZONE timezone,
           (date_trunc('month', at AT TIME ZONE timezone) + interval '1 month') AT TIME ZONE timezone
$$;

-- Judged quarter hours live and go with those of the series.
CREATE OR REPLACE FUNCTION plumbline_store.partition_of(parent text, day date, OUT part text, OUT lower_ date, OUT upper_ date)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF parent NOT IN ('interval_row', 'liveness', 'quarter_row', 'day_row', 'judged_quarter') THEN
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
    FOREACH parent IN ARRAY ARRAY['interval_row', 'liveness', 'quarter_row', 'day_row', 'judged_quarter'] LOOP
        p := plumbline_store.partition_of(parent, day);
        IF to_regclass(format('plumbline_store.%I', p.part)) IS NOT NULL THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE plumbline_store.%I (LIKE plumbline_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) %s',
                       p.part, parent,
                       CASE WHEN parent IN ('quarter_row', 'day_row') THEN 'WITH (toast_tuple_target = 8160)'
                            WHEN parent = 'judged_quarter' THEN 'WITH (fillfactor = 50)' ELSE '' END);
        EXECUTE format('ALTER TABLE plumbline_store.%I ATTACH PARTITION plumbline_store.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, p.part, format('%s 00:00:00+00', p.lower_), format('%s 00:00:00+00', p.upper_));
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION plumbline_store.partitions()
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
    WHERE p.relname IN ('interval_row', 'liveness', 'quarter_row', 'day_row', 'judged_quarter') AND c.relname = x.part
    ORDER BY x.lower_, p.relname
$$;

REVOKE ALL ON FUNCTION plumbline_store.month_of(timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.month_of(timestamptz, text) TO plumbline_writer, plumbline_views;
GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.judged_line, plumbline_store.judged_quarter,
    plumbline_store.transition, plumbline_store.judged_period, plumbline_store.objective_state TO plumbline_writer;
GRANT SELECT, INSERT ON plumbline_store.verdict, plumbline_store.credit, plumbline_store.credit_step TO plumbline_writer;
GRANT SELECT ON plumbline_store.judged_line, plumbline_store.judged_quarter, plumbline_store.transition,
    plumbline_store.judged_period, plumbline_store.objective_state, plumbline_store.verdict, plumbline_store.credit,
    plumbline_store.credit_step TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- The delta-t of a judged quarter hour, in runs: from which number on, how many.
-- excluded: 0 counts; 1 not in service, 2 maintenance, 3 customer, 4 third party, 5 force
-- majeure, 6 agreed, 7 undetermined and excluded by contract.
CREATE FUNCTION plumbline.judged_states(encoded bytea)
RETURNS TABLE (number integer, count integer, available boolean, undetermined boolean, high_loss boolean, excluded integer)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at   integer := 1;
    head bigint;
BEGIN
    IF length(encoded) = 0 OR get_byte(encoded, 0) <> 1 THEN
        RAISE EXCEPTION 'judged states are of a format that is not known';
    END IF;
    number := 0;
    WHILE at < length(encoded) LOOP
        SELECT v.at, v.value INTO at, head FROM plumbline.read_varint(encoded, at) v;
        count := (head >> 6)::integer;
        available := head & 1 <> 0;
        undetermined := head & 2 <> 0;
        high_loss := head & 4 <> 0;
        excluded := ((head >> 3) & 7)::integer;
        RETURN NEXT;
        number := number + count;
    END LOOP;
END
$$;

-- What each line counted in a quarter hour.  available_milli: availability in
-- milli-percent, cut; NULL where everything is excluded.
CREATE VIEW plumbline.v_availability WITH (security_barrier) AS
    SELECT l.scope_kind, l.scope, l.object, l.class, l.direction, l.dt_ns,
           q.start, q.until, q.until = q.start + interval '15 minutes' AS complete, q.revision,
           q.dt_total, q.dt_counted, q.dt_available, q.dt_undetermined, q.dt_suspect, q.dt_witness,
           CASE WHEN q.dt_counted > 0 THEN q.dt_available * 100000::bigint / q.dt_counted END AS available_milli,
           q.outages, q.hli, q.chli_runs, q.chli_intervals,
           q.sent, q.lost, q.lost_undirected, q.sent_raw, q.lost_raw, q.duplicate, q.reordered, q.delay_count, q.states
    FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id);

CREATE VIEW plumbline.v_transition WITH (security_barrier) AS
    SELECT l.scope_kind, l.scope, l.object, l.class, l.direction, t.at, t.available
    FROM plumbline_store.transition t JOIN plumbline_store.judged_line l USING (line_id);

-- Published verdicts, every revision; 'newest' is the one that holds.
CREATE VIEW plumbline.v_verdict WITH (security_barrier) AS
    SELECT v.service, p.sla, p.version, v.period_start, p.period_end, p.judged_from, v.number, v.class, v.metric,
           v.direction, v.limit_value, v.unit, v.verdict, v.doubt, v.value, v.worst, v.part, v.whole, v.low, v.high,
           v.needed, v.budget, v.used, v.revision, v.revision = p.revision AS newest, v.why, v.published_at
    FROM plumbline_store.verdict v JOIN plumbline_store.judged_period p USING (service, period_start);

-- Where each service stands in the period that runs: published verdicts are not here.
CREATE VIEW plumbline.v_service WITH (security_barrier) AS
    SELECT s.service, o.content->>'tenant' AS tenant, p.sla, p.version, s.period_start, p.period_end, p.judged_from,
           p.judged_until, s.number, s.class, s.metric, s.direction, s.limit_value, s.unit, s.verdict, s.doubt, s.value,
           s.worst, s.part, s.whole, s.low, s.high, s.needed, s.budget, s.used, s.updated_at
    FROM plumbline_store.objective_state s
    JOIN plumbline_store.judged_period p USING (service, period_start)
    LEFT JOIN plumbline_store.inventory_object o ON o.kind = 'service' AND o.key = s.service
    WHERE p.revision IS NULL;

CREATE VIEW plumbline.v_credit WITH (security_barrier) AS
    SELECT c.service, c.period_start, p.period_end, p.sla, p.version, c.revision, c.credit_milli, c.reasons, c.claim_until,
           s.state, s.note, s.by, s.at
    FROM plumbline_store.credit c
    JOIN plumbline_store.judged_period p ON (p.service, p.period_start, p.revision) = (c.service, c.period_start, c.revision)
    LEFT JOIN LATERAL (SELECT * FROM plumbline_store.credit_step t
        WHERE (t.service, t.period_start) = (c.service, c.period_start) ORDER BY t.number DESC LIMIT 1) s ON true;

GRANT SELECT ON plumbline.v_availability, plumbline.v_transition, plumbline.v_verdict, plumbline.v_service,
    plumbline.v_credit TO plumbline_reader;
REVOKE ALL ON FUNCTION plumbline.judged_states(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.judged_states(bytea) TO plumbline_reader, plumbline_writer;

RESET ROLE;
