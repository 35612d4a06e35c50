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

-- What was spent of an objective's budget, each time that it changed (collector/burn.h).
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
    SELECT s.service, s.number, s.class, s.metric, s.direction, p.judged_until, b.began, s.used - b.used, s.budget,
           least((s.used - b.used)::numeric * 100000 / greatest(s.budget, 1), 9000000000000000000)::bigint
    FROM (SELECT DISTINCT ON (q.service) q.* FROM plumbline_store.judged_period q WHERE q.revision IS NULL
          ORDER BY q.service, q.period_start DESC) p
    JOIN plumbline_store.objective_state s USING (service, period_start)
    CROSS JOIN LATERAL (
        -- What it was then; nothing if it was not judged yet; else the least that is known.
        SELECT coalesce(
            (SELECT x.used FROM plumbline_store.burn x WHERE (x.service, x.number) = (s.service, s.number)
                AND x.at <= p.judged_until - over_ ORDER BY x.at DESC LIMIT 1),
            CASE WHEN p.judged_from >= p.judged_until - over_ THEN 0 END,
            (SELECT x.used FROM plumbline_store.burn x WHERE (x.service, x.number) = (s.service, s.number)
                ORDER BY x.at LIMIT 1), s.used)) r(used)
    CROSS JOIN LATERAL (
        SELECT r.used, coalesce((SELECT min(x.at) FROM plumbline_store.burn x
            WHERE (x.service, x.number) = (s.service, s.number) AND x.used > r.used AND x.at > p.judged_until - over_),
            p.judged_until)) b(used, began)
    -- What has no line in that time spent nothing in it: most have none.
    WHERE s.used > b.used AND EXISTS (SELECT FROM plumbline_store.burn x
        WHERE (x.service, x.number) = (s.service, s.number) AND x.at > p.judged_until - over_)
$$;
REVOKE ALL ON FUNCTION plumbline_store.burnt(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.burnt(interval) TO plumbline_writer, plumbline_views;
GRANT SELECT, INSERT, UPDATE, DELETE ON plumbline_store.baseline, plumbline_store.burn TO plumbline_writer;
GRANT SELECT ON plumbline_store.baseline, plumbline_store.burn TO plumbline_views;

RESET ROLE;
