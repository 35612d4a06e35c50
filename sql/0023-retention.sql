-- 0023-retention.sql - problems that ended long ago go, with their alarms, tickets and paths; and paths
-- that are of no problem.  The keeper (collector/keeper.h) calls these until there is no more to do.

SET LOCAL ROLE plumbline_owner;

CREATE INDEX problem_closed ON plumbline_store.problem (closed_at) WHERE state <> 'open';
CREATE INDEX problem_merged ON plumbline_store.problem (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX alarm_cleared ON plumbline_store.alarm (cleared) WHERE cleared IS NOT NULL;
CREATE INDEX trace_at ON plumbline_store.trace (at);
CREATE INDEX trace_request_asked ON plumbline_store.trace_request (asked_at);

-- Whether an alarm is raised, or its source will be read again up to it by whoever takes that over.
CREATE FUNCTION plumbline_store.alarm_needed(a plumbline_store.alarm) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.cleared IS NULL OR EXISTS (
        SELECT FROM plumbline_store.source_position s WHERE s.source_id = a.source_id AND NOT s.closed
        AND coalesce(s.written_until, '-infinity') < a.decided)
$$;

-- Why a problem that is over is kept beyond its retention; NULL: nobody needs it.
CREATE FUNCTION plumbline_store.problem_needed(p plumbline_store.problem) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN EXISTS (SELECT FROM plumbline_store.problem m WHERE m.merged_into = p.id)
            THEN 'another became part of it'
        WHEN EXISTS (SELECT FROM plumbline_store.outbox o WHERE o.problem = p.id AND o.state IN ('waiting', 'dead'))
            THEN 'a message about it was not delivered'
        WHEN EXISTS (SELECT FROM plumbline_store.ticket t JOIN plumbline_store.inventory_object h
                     ON h.kind = 'hook' AND h.key = t.hook AND h.removed IS NULL AND coalesce(h.content->>'state', 'active') = 'active'
                     WHERE t.problem = p.id AND t.state = 'open' AND t.event->>'action' <> 'resolve')
            THEN 'its ticket is open'
        WHEN EXISTS (SELECT FROM plumbline_store.problem_object o JOIN plumbline_store.judged_period q ON q.service = o.key
                     WHERE o.problem = p.id AND o.kind = 'service' AND (q.revision IS NULL OR q.reopened IS NOT NULL)
                     AND q.period_start < coalesce(p.ended, p.closed_at) AND q.period_end > p.began)
            THEN 'the verdict on a service that it touched is not published'
        WHEN EXISTS (SELECT FROM plumbline_store.problem_alarm j JOIN plumbline_store.alarm a ON a.id = j.alarm
                     WHERE j.problem = p.id AND plumbline_store.alarm_needed(a))
            THEN 'an alarm of it is still read'
    END
$$;

-- Drops up to 'most' problems that were over before 'before', with all that is theirs; how many.
CREATE FUNCTION plumbline_store.drop_problems(before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone   bigint[] := ARRAY(SELECT p.id FROM plumbline_store.problem p
        WHERE p.state <> 'open' AND p.closed_at < before AND plumbline_store.problem_needed(p) IS NULL
        ORDER BY p.closed_at LIMIT most FOR UPDATE SKIP LOCKED);
    alarms bigint[];
BEGIN
    WITH j AS (DELETE FROM plumbline_store.problem_alarm WHERE problem = ANY (gone) RETURNING alarm)
        SELECT array_agg(alarm) INTO alarms FROM j;
    DELETE FROM plumbline_store.alarm WHERE id = ANY (alarms);
    DELETE FROM plumbline_store.problem_object WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.problem_step WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.acknowledgement WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.trace WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.trace_request WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.outbox WHERE problem = ANY (gone);
    DELETE FROM plumbline_store.ticket t USING unnest(gone) AS g (id) WHERE t.problem = g.id;
    DELETE FROM plumbline_store.problem WHERE id = ANY (gone);
    RETURN cardinality(gone);
END
$$;
CREATE INDEX ticket_problem ON plumbline_store.ticket (problem);

-- The same of alarms that are of no problem.
CREATE FUNCTION plumbline_store.drop_alarms(before timestamptz, most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (DELETE FROM plumbline_store.alarm WHERE id IN (SELECT a.id FROM plumbline_store.alarm a
            WHERE a.cleared < before AND NOT plumbline_store.alarm_needed(a)
            AND NOT EXISTS (SELECT FROM plumbline_store.problem_alarm j WHERE j.alarm = a.id)
            ORDER BY a.cleared LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT count(*)::integer FROM gone
$$;

-- Paths, and requests for them, that are of no problem that there is.  The newest good one of a link that the
-- inventory has is what the next problem is compared with.
CREATE FUNCTION plumbline_store.drop_traces(before timestamptz, most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (DELETE FROM plumbline_store.trace t WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM plumbline_store.trace t
            WHERE t.at < before
            AND CASE t.why WHEN 'problem' THEN NOT EXISTS (SELECT FROM plumbline_store.problem p WHERE p.id = t.problem)
                ELSE EXISTS (SELECT FROM plumbline_store.trace n WHERE n.link = t.link AND n.probe = t.probe AND n.why = 'good' AND n.at > t.at)
                    OR NOT EXISTS (SELECT FROM plumbline_store.inventory_object o WHERE o.kind IN ('link', 'attachment')
                                   AND o.key = t.link AND o.removed IS NULL) END
            LIMIT most FOR UPDATE SKIP LOCKED)) RETURNING 1),
        asked AS (DELETE FROM plumbline_store.trace_request WHERE id IN (SELECT r.id FROM plumbline_store.trace_request r
            WHERE r.asked_at < before AND coalesce(r.done_at, r.asked_at) < before
            AND NOT EXISTS (SELECT FROM plumbline_store.problem p WHERE p.id = r.problem AND p.state = 'open')
            LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT greatest((SELECT count(*) FROM gone), (SELECT count(*) FROM asked))::integer
$$;

REVOKE ALL ON FUNCTION plumbline_store.alarm_needed(plumbline_store.alarm), plumbline_store.problem_needed(plumbline_store.problem),
    plumbline_store.drop_problems(timestamptz, integer), plumbline_store.drop_alarms(timestamptz, integer),
    plumbline_store.drop_traces(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.drop_problems(timestamptz, integer), plumbline_store.drop_alarms(timestamptz, integer),
    plumbline_store.drop_traces(timestamptz, integer) TO plumbline_writer;

RESET ROLE;
