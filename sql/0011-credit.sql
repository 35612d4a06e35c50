-- 0011-credit.sql - a credit's way from eligible to issued, and what the operator's
-- commands read of what was judged.
--
-- eligible -> claimed -> approved | rejected; approved -> issued.  Each step is a row that
-- stays, with who, when, and what was owed then: a later revision of the verdict may owe
-- something else, and what was approved is what is issued.

SET LOCAL ROLE plumbline_owner;

ALTER TABLE plumbline_store.credit_step
    ADD author       text NOT NULL DEFAULT '', -- Who asked for it; 'by' is whom they logged in as.
    ADD revision     integer,                  -- Of the verdict that it was decided on; NULL: written by the judge.
    ADD credit_milli integer;                  -- What that gave.

-- 0010 made the table like another, and defaults are not part of that.
ALTER TABLE plumbline_store.verdict ALTER published_at SET DEFAULT now();

-- The next step of a credit, or an exception that says why not.  Whoever publishes another
-- revision meanwhile, or takes a step, waits.
CREATE FUNCTION plumbline_store.credit_act(service text, period_start timestamptz, step text, note text, author text)
RETURNS plumbline_store.credit_step
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owed  plumbline_store.credit;
    was   plumbline_store.credit_step;
    done  plumbline_store.credit_step;
    needs text := CASE step WHEN 'claimed' THEN 'eligible' WHEN 'approved' THEN 'claimed'
                            WHEN 'rejected' THEN 'claimed' WHEN 'issued' THEN 'approved' END;
    utc   text := 'YYYY-MM-DD"T"HH24:MI:SS"Z"';
BEGIN
    IF needs IS NULL THEN
        RAISE EXCEPTION 'a credit is claimed, approved, rejected or issued, not ''%''', step;
    END IF;
    PERFORM FROM plumbline_store.judged_period p
        WHERE p.service = credit_act.service AND p.period_start = credit_act.period_start FOR UPDATE;
    SELECT c.* INTO owed FROM plumbline_store.credit c
        JOIN plumbline_store.judged_period p ON (p.service, p.period_start, p.revision) = (c.service, c.period_start, c.revision)
        WHERE c.service = credit_act.service AND c.period_start = credit_act.period_start;
    IF owed.service IS NULL THEN
        RAISE EXCEPTION 'no verdict of it is published yet';
    END IF;
    SELECT s.* INTO was FROM plumbline_store.credit_step s
        WHERE s.service = owed.service AND s.period_start = owed.period_start ORDER BY s.number DESC LIMIT 1;
    IF was.state IS NULL THEN
        RAISE EXCEPTION 'revision % of the verdict gives no credit', owed.revision;
    ELSIF was.state <> needs THEN
        RAISE EXCEPTION 'it is % since %, by %; only what is % can be %', was.state, to_char(was.at AT TIME ZONE 'UTC', utc),
            coalesce(nullif(was.author, ''), was."by"), needs, step;
    ELSIF owed.credit_milli = 0 AND step IN ('claimed', 'approved') THEN
        RAISE EXCEPTION 'revision % of the verdict gives no credit any more', owed.revision;
    ELSIF step = 'claimed' AND owed.claim_until < now() THEN
        RAISE EXCEPTION 'it had to be claimed by %', to_char(owed.claim_until AT TIME ZONE 'UTC', utc);
    ELSIF step = 'rejected' AND coalesce(note, '') !~ '\S' THEN
        RAISE EXCEPTION 'a rejection needs a note that says why';
    END IF;
    INSERT INTO plumbline_store.credit_step (service, period_start, number, state, note, author, at, revision, credit_milli)
        VALUES (owed.service, owed.period_start, was.number + 1, step, coalesce(note, ''), author, clock_timestamp(),
                CASE WHEN step = 'issued' THEN was.revision ELSE owed.revision END,
                CASE WHEN step = 'issued' THEN was.credit_milli ELSE owed.credit_milli END)
        RETURNING * INTO done;
    RETURN done;
END
$$;
REVOKE ALL ON FUNCTION plumbline_store.credit_act(text, timestamptz, text, text, text) FROM PUBLIC;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- "2026-02": the month in whose middle it is, so that it needs no time zone.
CREATE FUNCTION plumbline.period_name(period_start timestamptz, period_end timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char((period_start + (period_end - period_start) / 2) AT TIME ZONE 'UTC', 'YYYY-MM')
$$;

-- What is counted.
CREATE VIEW plumbline.v_line WITH (security_barrier) AS
    SELECT line_id, scope_kind, scope, object, class, direction, dt_ns FROM plumbline_store.judged_line;

-- Each service's periods, the SLA that each is judged by, and what that covers.
CREATE VIEW plumbline.v_period WITH (security_barrier) AS
    SELECT p.service, coalesce(o.content->>'label', p.service) AS label, o.content->>'tenant' AS tenant,
           coalesce(t.content->>'timezone', 'UTC') AS timezone, plumbline.period_name(p.period_start, p.period_end) AS period,
           p.period_start, p.period_end, p.judged_from, p.judged_until, p.revision, p.sla, p.version,
           a.content->>'valid_from' AS valid_from, a.content->'covers' AS covers, o.content->'over' AS parts,
           o.content->'ends' AS ends, a.content->>'undetermined' AS undetermined, a.content->>'notice' AS notice,
           a.content->>'maintenance_allowance' AS maintenance_allowance, a.content->>'claim_within' AS claim_within
    FROM plumbline_store.judged_period p
    LEFT JOIN plumbline_store.inventory_object o ON o.kind = 'service' AND o.key = p.service
    LEFT JOIN plumbline_store.inventory_object t ON t.kind = 'tenant' AND t.key = o.content->>'tenant'
    LEFT JOIN plumbline_store.inventory_sla a ON (a.key, a.version) = (p.sla, p.version);

-- Of what a link, group or service is made, itself included: what is down or excluded of
-- these can show in it.
CREATE VIEW plumbline.v_part WITH (security_barrier) AS
    WITH part AS (
        SELECT o.kind, o.key, o.kind AS part_kind, o.key AS part FROM plumbline_store.inventory_object o
        WHERE o.kind IN ('link', 'attachment', 'group', 'service')
        UNION
        SELECT g.kind, g.key, m.kind, m.key
        FROM plumbline_store.inventory_object g CROSS JOIN LATERAL jsonb_array_elements_text(g.content->'members') AS e(key)
        JOIN plumbline_store.inventory_object m ON m.key = e.key AND m.kind IN ('link', 'attachment', 'service')
        WHERE g.kind = 'group'
        UNION
        SELECT s.kind, s.key, m.kind, m.key
        FROM plumbline_store.inventory_object s CROSS JOIN LATERAL jsonb_array_elements_text(s.content->'over') AS e(key)
        JOIN plumbline_store.inventory_object m ON m.key = e.key AND m.kind IN ('link', 'group')
        WHERE s.kind = 'service'
        UNION
        SELECT s.kind, s.key, m.kind, m.key
        FROM plumbline_store.inventory_object s CROSS JOIN LATERAL jsonb_array_elements_text(s.content->'ends') AS e(key)
        JOIN plumbline_store.inventory_object m ON m.kind = 'attachment' AND left(m.key, length(e.key) + 1) = e.key || '.'
        WHERE s.kind = 'service'
    )
    SELECT DISTINCT p.kind, p.key, q.part_kind, q.part FROM part p JOIN part q ON (q.kind, q.key) = (p.part_kind, p.part);

-- As in 0010, and what the last step was decided on.
CREATE OR REPLACE VIEW plumbline.v_credit WITH (security_barrier) AS
    SELECT c.service, c.period_start, p.period_end, p.sla, p.version, c.revision, c.credit_milli, c.reasons, c.claim_until,
           s.state, s.note, s.by, s.at, s.author, s.revision AS step_revision, s.credit_milli AS step_credit_milli
    FROM plumbline_store.credit c
    JOIN plumbline_store.judged_period p ON (p.service, p.period_start, p.revision) = (c.service, c.period_start, c.revision)
    LEFT JOIN LATERAL (SELECT * FROM plumbline_store.credit_step t
        WHERE (t.service, t.period_start) = (c.service, c.period_start) ORDER BY t.number DESC LIMIT 1) s ON true;

-- Every step.
CREATE VIEW plumbline.v_credit_step WITH (security_barrier) AS
    SELECT service, period_start, number, state, note, author, by, at, revision, credit_milli FROM plumbline_store.credit_step;

-- Whoever operates reads it as whoever only reads does.
REVOKE ALL ON FUNCTION plumbline.period_name(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.period_name(timestamptz, timestamptz) TO plumbline_reader, plumbline_owner, plumbline_writer;
GRANT EXECUTE ON FUNCTION plumbline.judged_states(bytea), plumbline.read_varint(bytea, integer) TO plumbline_owner;
GRANT USAGE ON SCHEMA plumbline TO plumbline_owner;
GRANT SELECT ON plumbline.v_line, plumbline.v_period, plumbline.v_part, plumbline.v_credit_step TO plumbline_reader, plumbline_owner;
GRANT SELECT ON plumbline.v_availability, plumbline.v_transition, plumbline.v_verdict, plumbline.v_service, plumbline.v_credit
    TO plumbline_owner;

RESET ROLE;
