-- 0020-problem-views.sql - what people read of problems, alarms, tickets and hooks, and the
-- few things that they write: an acknowledgement, a hook's test, what is dead tried again.

SET LOCAL ROLE plumbline_owner;

-- Takes the place of the acknowledgement before.  The desk updates a problem before it writes the steps, so
-- one waits for the other at the problem; whoever does not has taken the step's number, and it is
-- tried again.
CREATE FUNCTION plumbline_store.problem_acknowledge(id bigint, note text, until timestamptz, author text)
RETURNS plumbline_store.acknowledgement
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p    plumbline_store.problem;
    done plumbline_store.acknowledgement;
    utc  text := 'YYYY-MM-DD"T"HH24:MI:SS"Z"';
BEGIN
    SELECT * INTO p FROM plumbline_store.problem x WHERE x.id = problem_acknowledge.id FOR NO KEY UPDATE;
    IF p.id IS NULL THEN
        RAISE EXCEPTION 'there is no problem %; `plumbline problems` lists what is open', problem_acknowledge.id;
    ELSIF p.state = 'merged' THEN
        RAISE EXCEPTION 'problem % is part of problem %: acknowledge that', p.id, p.merged_into;
    ELSIF p.state = 'ended' THEN
        RAISE EXCEPTION 'problem % ended at %: of what is over nobody is reminded', p.id,
            to_char(p.ended AT TIME ZONE 'UTC', utc);
    ELSIF coalesce(note, '') !~ '\S' THEN
        RAISE EXCEPTION 'an acknowledgement needs a note: who does what about it';
    ELSIF length(note) > 1000 THEN
        RAISE EXCEPTION 'the note has % characters, and 1000 is most', length(note);
    ELSIF until <= now() OR NOT isfinite(until) THEN
        RAISE EXCEPTION 'it would be over before it begins: % is not to come', to_char(until AT TIME ZONE 'UTC', utc);
    END IF;
    LOOP
        BEGIN
            UPDATE plumbline_store.acknowledgement a SET ended_at = now() WHERE a.problem = p.id AND a.ended_at IS NULL;
            INSERT INTO plumbline_store.acknowledgement (problem, number, note, until, author)
                SELECT p.id, coalesce(max(a.number), 0) + 1, problem_acknowledge.note, problem_acknowledge.until,
                       coalesce(nullif(problem_acknowledge.author, ''), session_user)
                FROM plumbline_store.acknowledgement a WHERE a.problem = p.id
                RETURNING * INTO done;
            INSERT INTO plumbline_store.problem_step (problem, number, what, text)
                SELECT p.id, coalesce(max(s.number), 0) + 1, 'acknowledged',
                       regexp_replace(format('by %s%s: %s', done.author,
                                             ', until ' || to_char(done.until AT TIME ZONE 'UTC', utc), done.note),
                                      '[[:cntrl:]]+', ' ', 'g')
                FROM plumbline_store.problem_step s WHERE s.problem = p.id;
            RETURN done;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- Refuses a hook that is not in force.
CREATE FUNCTION plumbline_store.hook_known(hook text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state text := (SELECT coalesce(o.content->>'state', 'active') FROM plumbline_store.inventory_object o
                   WHERE o.kind = 'hook' AND o.key = hook_known.hook AND o.removed IS NULL);
BEGIN
    IF state IS NULL THEN
        RAISE EXCEPTION 'the inventory that is in force has no hook ''%''; `plumbline hooks` lists what there is', hook;
    ELSIF state <> 'active' THEN
        RAISE EXCEPTION 'hook ''%'' is %: nothing is sent by it', hook, state;
    END IF;
END
$$;

-- Puts a test into the outbox, to be delivered at once; its number there.
CREATE FUNCTION plumbline_store.hook_test(hook text, author text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number   bigint := nextval(pg_get_serial_sequence('plumbline_store.outbox', 'id'));
    here     text := (SELECT i.id FROM plumbline_store.installation i);
    disabled timestamptz;
BEGIN
    PERFORM plumbline_store.hook_known(hook);
    SELECT s.since INTO disabled FROM plumbline_store.hook_state s WHERE s.hook = hook_test.hook AND s.state = 'disabled';
    IF disabled IS NOT NULL THEN
        RAISE EXCEPTION 'hook ''%'' is disabled since %: its target wants nothing more (410); once that is mended, `plumbline hooks retry %`',
            hook, to_char(disabled AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), hook;
    END IF;
    UPDATE plumbline_store.hook_state s SET not_before = NULL WHERE s.hook = hook_test.hook;
    INSERT INTO plumbline_store.outbox (id, hook, action, event) OVERRIDING SYSTEM VALUE
        VALUES (number, hook, 'test', jsonb_build_object(
            'id', format('%s-test-%s', here, number), 'installation', here, 'action', 'test',
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'state', 'ended', 'severity', 'info', 'title', format('Plumbline: a test of hook %s', hook),
            'text', format('%s tests by hand whether this arrives. Nothing is wrong.',
                           coalesce(nullif(author, ''), session_user))));
    NOTIFY plumbline_outbox;
    RETURN number;
END
$$;

-- Nobody waits for this test any more, and it is no loss.
CREATE FUNCTION plumbline_store.hook_test_end(number bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE plumbline_store.outbox SET state = 'superseded', ended_at = clock_timestamp()
    WHERE id = number AND action = 'test' AND state IN ('waiting', 'dead')
$$;

-- What is dead is tried again, from its first try on, and a hook that was disabled is good.  Left out is
-- what the target knows better by now: of a problem of which something later was delivered;
-- and reminders, tests, heartbeats.  before: the state that the hook had.
CREATE FUNCTION plumbline_store.hook_retry(hook text, OUT before text, OUT again bigint, OUT left_out bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM plumbline_store.hook_known(hook);
    UPDATE plumbline_store.outbox o SET state = 'superseded'
        WHERE o.hook = hook_retry.hook AND o.state = 'dead' AND (o.action IN ('remind', 'test', 'heartbeat') OR EXISTS (
            SELECT FROM plumbline_store.outbox n
            WHERE n.hook = o.hook AND n.problem = o.problem AND n.id > o.id AND n.state = 'done'));
    GET DIAGNOSTICS left_out = ROW_COUNT;
    UPDATE plumbline_store.outbox o SET state = 'waiting', tries = 0, ended_at = NULL
        WHERE o.hook = hook_retry.hook AND o.state = 'dead';
    GET DIAGNOSTICS again = ROW_COUNT;
    UPDATE plumbline_store.outbox o SET next_try = clock_timestamp() WHERE o.hook = hook_retry.hook AND o.state = 'waiting';
    SELECT s.state INTO before FROM plumbline_store.hook_state s WHERE s.hook = hook_retry.hook;
    UPDATE plumbline_store.hook_state s SET state = 'good', since = clock_timestamp()
        WHERE s.hook = hook_retry.hook AND s.state = 'disabled';
    UPDATE plumbline_store.hook_state s SET failures = 0, not_before = NULL WHERE s.hook = hook_retry.hook;
    NOTIFY plumbline_outbox;
END
$$;

REVOKE ALL ON FUNCTION plumbline_store.problem_acknowledge(bigint, text, timestamptz, text), plumbline_store.hook_known(text),
    plumbline_store.hook_test(text, text), plumbline_store.hook_test_end(bigint), plumbline_store.hook_retry(text) FROM PUBLIC;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- links ... tenants: keys; *_bad: those that still are.  flaps: how often the worst of its alarms was
-- raised again.  acknowledged_*: NULL unless that holds now.
CREATE VIEW plumbline.v_problem WITH (security_barrier) AS
    SELECT p.id, i.id || '-' || p.id AS key, p.state, p.severity, p.what, p.cause_kind, p.cause,
           coalesce((SELECT o.content->>'label' FROM plumbline_store.inventory_object o
                     WHERE o.kind = p.cause_kind AND o.key = p.cause), p.cause) AS cause_label,
           p.title, p.began, p.ended, p.opened_at, p.closed_at, p.held, p.revision, p.reopened, p.merged_into, p.evidence,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'link' ORDER BY 1) AS links,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'link' AND o.bad
                 ORDER BY 1) AS links_bad,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'probe' ORDER BY 1) AS probes,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'group' ORDER BY 1) AS groups,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'service' ORDER BY 1) AS services,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'service' AND o.bad
                 ORDER BY 1) AS services_bad,
           ARRAY(SELECT o.key FROM plumbline_store.problem_object o WHERE o.problem = p.id AND o.kind = 'tenant' ORDER BY 1) AS tenants,
           f.flaps, p.state = 'open' AND f.flaps > 0 AS flapping,
           a.at AS acknowledged_at, a.author AS acknowledged_by, a.until AS acknowledged_until, a.note AS acknowledged_note,
           coalesce((SELECT jsonb_agg(jsonb_build_object('hook', t.hook, 'number', t.number, 'state', t.state,
                                                         'said', t.event->>'action', 'ref', t.ref,
                                                         'shown', t.shown, 'url', t.url) ORDER BY t.hook, t.number)
                     FROM plumbline_store.ticket t WHERE t.problem = p.id), '[]') AS tickets
    FROM plumbline_store.problem p
    CROSS JOIN plumbline_store.installation i
    CROSS JOIN LATERAL (SELECT coalesce(max(m.flaps), 0) AS flaps FROM plumbline_store.problem_alarm j
                        JOIN plumbline_store.alarm m ON m.id = j.alarm WHERE j.problem = p.id) f
    LEFT JOIN LATERAL (SELECT x.* FROM plumbline_store.acknowledgement x
                       WHERE x.problem = p.id AND p.state = 'open' AND x.ended_at IS NULL AND (x.until IS NULL OR x.until > now())
                       ORDER BY x.number DESC LIMIT 1) a ON true;

-- What it touches, or touched.
CREATE VIEW plumbline.v_problem_object WITH (security_barrier) AS
    SELECT o.problem, o.kind, o.key, coalesce(x.content->>'label', o.key) AS label, coalesce(x.content->'labels', '{}') AS labels,
           x.content->>'tenant' AS tenant, o.bad
    FROM plumbline_store.problem_object o
    LEFT JOIN plumbline_store.inventory_object x
        ON x.key = o.key AND x.kind = CASE WHEN o.kind = 'link' AND strpos(o.key, '.') > 0 THEN 'attachment' ELSE o.kind END;

-- problem: NULL until the desk has looked at it.
CREATE VIEW plumbline.v_alarm WITH (security_barrier) AS
    SELECT m.id, j.problem, m.rule, m.metric, m.severity, m.scope, m.object, m.class, m.observer, m.began, m.raised, m.cleared,
           m.ended, m.flaps, m.details, s.source, m.recorded_at, m.changed_at
    FROM plumbline_store.alarm m
    LEFT JOIN plumbline_store.problem_alarm j ON j.alarm = m.id
    LEFT JOIN plumbline_store.source_position s USING (source_id);

CREATE VIEW plumbline.v_problem_step WITH (security_barrier) AS
    SELECT problem, number, at, what, text FROM plumbline_store.problem_step;

CREATE VIEW plumbline.v_acknowledgement WITH (security_barrier) AS
    SELECT problem, number, note, until, author, written_by, at, ended_at FROM plumbline_store.acknowledgement;

CREATE VIEW plumbline.v_ticket WITH (security_barrier) AS
    SELECT hook, problem, number, ref, shown, url, state, event->>'action' AS said, again_at, opened_at, changed_at, event
    FROM plumbline_store.ticket;

CREATE VIEW plumbline.v_outbox WITH (security_barrier) AS
    SELECT id, hook, problem, action, state, tries, next_try, last_try, last_error, created_at, ended_at, event
    FROM plumbline_store.outbox;

-- Each hook of the inventory, and those that are gone and have something left.  target: without what may
-- be secret in a URL.  state: 'unused' until something was sent.  dead: what was to be told of problems.
CREATE VIEW plumbline.v_hook WITH (security_barrier) AS
    SELECT h.hook, coalesce(x.content->>'label', h.hook) AS label, x.content->>'kind' AS kind,
           coalesce(regexp_replace(substring(x.content->>'url' FROM '^[a-z]+://[^/?#]*'), '//.*@', '//'), x.content->>'command') AS target,
           coalesce(x.content->>'view', 'operator') AS view, x.content->'when'->>'tenant' AS tenant,
           x.content->>'heartbeat' AS heartbeat,
           x.key IS NOT NULL AND coalesce(x.content->>'state', 'active') = 'active' AS in_force,
           coalesce(s.state, 'unused') AS state, s.since, coalesce(s.failures, 0) AS failures, s.not_before, s.last_good,
           s.last_error, s.last_error_at,
           (SELECT count(*) FROM plumbline_store.outbox o WHERE o.hook = h.hook AND o.state = 'waiting') AS waiting,
           (SELECT min(o.created_at) FROM plumbline_store.outbox o WHERE o.hook = h.hook AND o.state = 'waiting') AS oldest_waiting,
           (SELECT count(*) FROM plumbline_store.outbox o WHERE o.hook = h.hook AND o.state = 'dead'
            AND o.problem IS NOT NULL) AS dead
    FROM (SELECT o.key AS hook FROM plumbline_store.inventory_object o WHERE o.kind = 'hook' AND o.removed IS NULL
          UNION SELECT o.hook FROM plumbline_store.outbox o WHERE o.state = 'waiting'
          UNION SELECT o.hook FROM plumbline_store.outbox o WHERE o.state = 'dead') h
    LEFT JOIN plumbline_store.inventory_object x ON x.kind = 'hook' AND x.key = h.hook AND x.removed IS NULL
    LEFT JOIN plumbline_store.hook_state s ON s.hook = h.hook;

GRANT SELECT ON plumbline.v_problem, plumbline.v_problem_object, plumbline.v_alarm, plumbline.v_problem_step,
    plumbline.v_acknowledgement, plumbline.v_ticket, plumbline.v_outbox, plumbline.v_hook TO plumbline_reader, plumbline_owner;
-- `plumbline handover` tells of silent sources to whoever operates, too.
GRANT SELECT ON plumbline.source_position TO plumbline_owner;

RESET ROLE;
