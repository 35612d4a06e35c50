-- 0019-baseline.sql - what alarms compare with: the past of a metric, and how fast budgets are spent.

SET LOCAL ROLE plumbline_owner;

-- What a metric was over the past 'against_s' (the inventory's 'against'), flows merged.  Written
-- by one collector of all (collector/past.h), read by whoever raises alarms.
CREATE TABLE plumbline_store.baseline (
    object    text NOT NULL,
    class     text NOT NULL,
    observer  text NOT NULL,
    metric    text NOT NULL,
    against_s bigint NOT NULL,
    value_ns  bigint,               -- NULL: too little is known of that past.
    at        timestamptz NOT NULL, -- Of which now.
    PRIMARY KEY (object, class, observer, metric, against_s)
) WITH (fillfactor = 70);
CREATE INDEX baseline_observer ON plumbline_store.baseline (observer);

-- What was spent of an objective's budget, and when (collector/burn.h): with 'at' it only grows.
CREATE TABLE plumbline_store.burn (
    service      text NOT NULL,
    number       integer NOT NULL,
    at           timestamptz NOT NULL, -- Up to here it was judged.
    period_start timestamptz NOT NULL,
    used         bigint NOT NULL,
    PRIMARY KEY (service, number, at)
);

-- What each objective of the periods that run has spent within the last 'over_' before what is
-- judged, in milli-percent of what its period may spend; those that spent nothing are left out.
-- began: of that spending, the first that was seen.  A budget of nothing is one of 1.
CREATE FUNCTION plumbline_store.burnt(over_ interval)
RETURNS TABLE (service text, number integer, class text, metric text, direction text, judged_until timestamptz,
    began timestamptz, spent bigint, budget bigint, milli bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH running AS (SELECT DISTINCT ON (q.service) q.* FROM plumbline_store.judged_period q WHERE q.revision IS NULL
            ORDER BY q.service, q.period_start DESC),
        -- What was spent by then; nothing if it was not judged yet; else the least that is known.
        then_ AS (SELECT p.service, x.number, coalesce(max(x.used) FILTER (WHERE x.at <= p.judged_until - over_),
                CASE WHEN p.judged_from >= p.judged_until - over_ THEN 0 END, min(x.used)) AS used
            FROM running p JOIN plumbline_store.burn x USING (service)
            GROUP BY p.service, p.judged_until, p.judged_from, x.number)
    SELECT s.service, s.number, s.class, s.metric, s.direction, p.judged_until,
           coalesce((SELECT min(x.at) FROM plumbline_store.burn x WHERE (x.service, x.number) = (s.service, s.number)
               AND x.used > t.used AND x.at > p.judged_until - over_), p.judged_until),
           s.used - t.used, s.budget, least((s.used - t.used)::numeric * 100000 / greatest(s.budget, 1), 9000000000000000000)::bigint
    FROM running p JOIN plumbline_store.objective_state s USING (service, period_start) JOIN then_ t USING (service, number)
    WHERE s.used > t.used
$$;
REVOKE ALL ON FUNCTION plumbline_store.burnt(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.burnt(interval) TO plumbline_writer, plumbline_views;
GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.baseline, plumbline_store.burn TO plumbline_writer;
GRANT SELECT ON plumbline_store.baseline, plumbline_store.burn TO plumbline_views;

RESET ROLE;
