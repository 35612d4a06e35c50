-- 0009-maintenance.sql - maintenance windows and exclusions: which time a promise does
-- not count, who said so and when.
--
-- They are here and not in git, for when a window was announced is when it was recorded,
-- and nobody types that.  What is recorded is never changed: to move, to cancel, to
-- withdraw is another revision, written by the functions below, and what was judged
-- already goes to the judge's inbox (rejudge) in the same transaction.  Small tables,
-- which are not distributed.

SET LOCAL ROLE plumbline_owner;

-- A window of maintenance, one row a revision.  suppress_alerts and exclude_from_sla are
-- two things: a window of which the customer heard too late silences, and counts.
CREATE TABLE plumbline_store.maintenance (
    id               bigint NOT NULL,
    revision         integer NOT NULL CHECK (revision >= 1),
    state            text NOT NULL CHECK (state IN ('planned', 'tentative', 'cancelled')), -- That it runs or is over follows from now().
    label            text NOT NULL,
    tenant           text,                 -- Excluded for this tenant alone; NULL: for all.
    start_at         timestamptz NOT NULL CHECK (isfinite(start_at)),
    end_at           timestamptz NOT NULL CHECK (isfinite(end_at)),
    actual_start     timestamptz,          -- When it was recorded that it had begun, was done; NULL: never.
    actual_end       timestamptz,          -- What is behind it is no maintenance any more.
    impact           text NOT NULL CHECK (impact IN ('none', 'reduced', 'degraded', 'outage')),
    suppress_alerts  boolean NOT NULL,
    exclude_from_sla boolean NOT NULL,
    organiser        text,                 -- Of an imported calendar, with the event's UID and SEQUENCE.
    external_id      text,
    sequence         integer,
    override         text,                 -- Why members of a group may be down together; NULL: they are not.
    note             text,                 -- Why there is this revision.
    author           text NOT NULL,        -- Who asked for it, and as whom they logged in.
    written_by       text NOT NULL DEFAULT session_user,
    written_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, revision),
    CHECK (start_at < end_at)
);
CREATE INDEX maintenance_external ON plumbline_store.maintenance (organiser, external_id);

-- What a revision concerns.  A router, site, risk, connector or circuit is resolved when
-- it is recorded: a later inventory changes nothing about a window.
CREATE TABLE plumbline_store.maintenance_object (
    id           bigint NOT NULL,
    revision     integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('link', 'attachment', 'group', 'service')),
    key          text NOT NULL,
    via          text NOT NULL,            -- "router lon1-pe2": how it was named; '' by itself.
    announced_at timestamptz NOT NULL,     -- When it was first recorded that the time lies in a window of this object.
    PRIMARY KEY (id, revision, kind, key),
    FOREIGN KEY (id, revision) REFERENCES plumbline_store.maintenance
);
CREATE INDEX maintenance_object_key ON plumbline_store.maintenance_object (kind, key);

-- Time that does not count for another reason.
CREATE TABLE plumbline_store.exclusion (
    id         bigint NOT NULL,
    revision   integer NOT NULL CHECK (revision >= 1),
    kind       text NOT NULL CHECK (kind IN ('customer', 'third_party', 'force_majeure', 'agreed')),
    tenant     text,                       -- NULL: for all.
    start_at   timestamptz NOT NULL CHECK (isfinite(start_at)),
    end_at     timestamptz NOT NULL CHECK (isfinite(end_at)),
    reason     text NOT NULL CHECK (reason ~ '\S'),
    approval   text NOT NULL CHECK (approval ~ '\S'), -- Who approved it, and where that is written.
    withdrawn  boolean NOT NULL,
    note       text,                       -- Why there is this revision.
    author     text NOT NULL,
    written_by text NOT NULL DEFAULT session_user,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, revision),
    CHECK (start_at < end_at)
);

CREATE TABLE plumbline_store.exclusion_object (
    id       bigint NOT NULL,
    revision integer NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('link', 'attachment', 'group', 'service')),
    key      text NOT NULL,
    via      text NOT NULL,
    PRIMARY KEY (id, revision, kind, key),
    FOREIGN KEY (id, revision) REFERENCES plumbline_store.exclusion
);
CREATE INDEX exclusion_object_key ON plumbline_store.exclusion_object (kind, key);

-- The judge's inbox: what is judged of this object from 'from_at' on may have changed.
-- The judge deletes what it has done.
CREATE TABLE plumbline_store.rejudge (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text NOT NULL,
    key     text NOT NULL,
    from_at timestamptz NOT NULL,
    why     text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

-- Nothing that was recorded is changed, by whomever.
CREATE FUNCTION plumbline_store.keep_revisions() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%: what was recorded stays; a change is another revision', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER keep_revisions BEFORE UPDATE OR DELETE OR TRUNCATE ON plumbline_store.maintenance
    FOR EACH STATEMENT EXECUTE FUNCTION plumbline_store.keep_revisions();
CREATE TRIGGER keep_revisions BEFORE UPDATE OR DELETE OR TRUNCATE ON plumbline_store.maintenance_object
    FOR EACH STATEMENT EXECUTE FUNCTION plumbline_store.keep_revisions();
CREATE TRIGGER keep_revisions BEFORE UPDATE OR DELETE OR TRUNCATE ON plumbline_store.exclusion
    FOR EACH STATEMENT EXECUTE FUNCTION plumbline_store.keep_revisions();
CREATE TRIGGER keep_revisions BEFORE UPDATE OR DELETE OR TRUNCATE ON plumbline_store.exclusion_object
    FOR EACH STATEMENT EXECUTE FUNCTION plumbline_store.keep_revisions();

-- The last revision of each.
CREATE VIEW plumbline_store.maintenance_current AS
    SELECT m.* FROM plumbline_store.maintenance m
    WHERE NOT EXISTS (SELECT FROM plumbline_store.maintenance n WHERE n.id = m.id AND n.revision = m.revision + 1);
CREATE VIEW plumbline_store.exclusion_current AS
    SELECT e.* FROM plumbline_store.exclusion e
    WHERE NOT EXISTS (SELECT FROM plumbline_store.exclusion n WHERE n.id = e.id AND n.revision = e.revision + 1);

-- --- What people name, and what that is ------------------------------------------

-- All that a window can be about.  What is retired or was taken out can be named itself,
-- for its past is judged too.
CREATE VIEW plumbline_store.window_name AS
    SELECT kind, key FROM plumbline_store.inventory_object
    WHERE kind IN ('link', 'attachment', 'group', 'service')
       OR (kind IN ('router', 'site', 'connector') AND removed IS NULL)
    UNION
    SELECT 'risk', jsonb_array_elements_text(content->'risks') FROM plumbline_store.inventory_object
    WHERE kind = 'link' AND removed IS NULL;

-- The connector of each attachment.
CREATE VIEW plumbline_store.attachment_of AS
    SELECT a.key AS attachment, c.key AS connector, c.content->>'site' AS site, a.content->'port'->>'router' AS router
    FROM plumbline_store.inventory_object a
    JOIN plumbline_store.inventory_object c
        ON c.kind = 'connector' AND left(a.key, length(c.key) + 1) = c.key || '.'
           AND strpos(substr(a.key, length(c.key) + 2), '.') = 0
    WHERE a.kind = 'attachment' AND a.removed IS NULL AND c.removed IS NULL AND a.content->>'state' <> 'retired';

-- 'named' ([{"kind", "key"}]) as links, attachments, groups and services.
CREATE FUNCTION plumbline_store.window_reach(named jsonb)
RETURNS TABLE (kind text, key text, via text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH n AS (
        SELECT DISTINCT r.kind, r.key FROM jsonb_to_recordset(named) AS r(kind text, key text)
    ), link AS (
        SELECT o.key, o.content FROM plumbline_store.inventory_object o
        WHERE o.kind = 'link' AND o.removed IS NULL AND o.content->>'state' <> 'retired'
    ), found AS (
        SELECT o.kind, o.key, '' AS via FROM n JOIN plumbline_store.inventory_object o USING (kind, key)
        WHERE n.kind IN ('link', 'attachment', 'group', 'service')
        UNION ALL
        SELECT 'link', l.key, n.kind || ' ' || n.key FROM n JOIN link l ON
            n.kind = 'router' AND l.content->'ends' @> jsonb_build_array(jsonb_build_object('router', n.key))
            OR n.kind = 'risk' AND l.content->'risks' ? n.key
            OR n.kind = 'circuit' AND l.content->'labels'->>'circuit' = n.key
            OR n.kind = 'site' AND EXISTS (
                SELECT FROM jsonb_array_elements(l.content->'ends') e
                JOIN plumbline_store.inventory_object p ON p.kind = 'probe' AND p.key = e->>'probe'
                WHERE p.content->>'site' = n.key)
        UNION ALL
        SELECT 'attachment', a.attachment, n.kind || ' ' || n.key FROM n JOIN plumbline_store.attachment_of a ON
            n.kind = 'router' AND a.router = n.key OR n.kind = 'site' AND a.site = n.key
            OR n.kind = 'connector' AND a.connector = n.key
    )
    SELECT f.kind, f.key, min(f.via) FROM found f GROUP BY f.kind, f.key
$$;

-- The same as JSON; what is not there, or is nothing that is measured or sold, is refused.
CREATE FUNCTION plumbline_store.window_objects(named jsonb, tenant text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n record;
BEGIN
    FOR n IN SELECT DISTINCT r.kind, r.key FROM jsonb_to_recordset(named) AS r(kind text, key text) LOOP
        IF NOT EXISTS (SELECT FROM plumbline_store.window_reach(jsonb_build_array(to_jsonb(n)))) THEN
            RAISE EXCEPTION '% ''%'': %', n.kind, n.key, CASE
                WHEN EXISTS (SELECT FROM plumbline_store.window_name w WHERE w.kind = n.kind AND w.key = n.key)
                THEN 'no link and no attachment is there' ELSE 'the inventory that is in force has none' END;
        END IF;
    END LOOP;
    IF n IS NULL THEN
        RAISE EXCEPTION 'at least one object is needed';
    END IF;
    IF window_objects.tenant IS NOT NULL AND NOT EXISTS (
        SELECT FROM plumbline_store.inventory_object o WHERE o.kind = 'tenant' AND o.key = window_objects.tenant) THEN
        RAISE EXCEPTION 'there is no tenant ''%''', window_objects.tenant;
    END IF;
    RETURN (SELECT jsonb_agg(to_jsonb(r)) FROM plumbline_store.window_reach(named) r);
END
$$;

-- --- Windows of a group's members -------------------------------------------------

-- Where some of several suffice: groups, and connectors with their attachments.
CREATE VIEW plumbline_store.redundancy AS
    SELECT g.kind, g.key, (g.content->>'need')::integer AS need, m.member
    FROM plumbline_store.inventory_object g CROSS JOIN LATERAL jsonb_array_elements_text(g.content->'members') AS m(member)
    WHERE g.kind = 'group' AND g.removed IS NULL AND g.content->>'state' <> 'retired'
    UNION ALL
    SELECT c.kind, c.key, (c.content->>'need')::integer, a.attachment
    FROM plumbline_store.inventory_object c JOIN plumbline_store.attachment_of a ON a.connector = c.key
    WHERE c.kind = 'connector' AND c.removed IS NULL AND c.content->>'state' <> 'retired';

-- Which members a window that is not over takes away: itself, or a service's link.
CREATE VIEW plumbline_store.maintenance_down AS
    SELECT m.id, m.start_at, m.end_at, d.key AS member
    FROM plumbline_store.maintenance_current m
    JOIN plumbline_store.maintenance_object o USING (id, revision)
    CROSS JOIN LATERAL (
        SELECT o.key WHERE o.kind <> 'group'
        UNION
        SELECT s.key FROM plumbline_store.inventory_object s
        WHERE s.kind = 'service' AND s.removed IS NULL AND s.content->'over' ? o.key) AS d
    WHERE m.state = 'planned' AND m.impact IN ('degraded', 'outage')
      AND m.end_at > now() AND coalesce(m.actual_end > now(), true);

-- How window 'id' and others leave a group with fewer members than it needs; NULL: they
-- do not.  One member at a time is no clash: a group that needs all has to be maintained
-- too.  Nor is a window of the group itself.
CREATE FUNCTION plumbline_store.maintenance_clash(id bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH down AS (
        SELECT r.kind, r.key, r.need, r.member, d.id, d.start_at, d.end_at
        FROM plumbline_store.redundancy r JOIN plumbline_store.maintenance_down d USING (member)
    ), moment AS (
        -- The most are down at once where one of them begins.
        SELECT DISTINCT o.kind, o.key, greatest(d.start_at, o.start_at, now()) AS at
        FROM down o JOIN down d ON (d.kind, d.key) = (o.kind, o.key)
            AND d.start_at < o.end_at AND d.end_at > o.start_at
        WHERE o.id = maintenance_clash.id
    ), state AS (
        SELECT t.kind, t.key, t.at, max(d.need) AS need, count(DISTINCT d.member) AS down,
               string_agg(DISTINCT format('%s (%s)', d.id, d.member), ', ') AS windows
        FROM moment t JOIN down d ON (d.kind, d.key) = (t.kind, t.key) AND d.start_at <= t.at AND d.end_at > t.at
        GROUP BY t.kind, t.key, t.at
    ), counted AS (
        SELECT s.*, (SELECT count(DISTINCT r.member) FROM plumbline_store.redundancy r
                     WHERE (r.kind, r.key) = (s.kind, s.key)) AS members
        FROM state s
    )
    SELECT format('%s ''%s'' needs %s of its %s members, and from %s on these windows leave %s: %s', c.kind, c.key, c.need,
                  c.members, to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), c.members - c.down, c.windows)
    FROM counted c
    WHERE c.down >= 2 AND c.members - c.down < c.need
      AND NOT EXISTS (
          SELECT FROM plumbline_store.maintenance_current m JOIN plumbline_store.maintenance_object o USING (id, revision)
          WHERE m.state = 'planned' AND m.start_at <= c.at AND m.end_at > c.at
            AND ((o.kind, o.key) = (c.kind, c.key) OR o.via = c.kind || ' ' || c.key))
    ORDER BY c.at, c.kind, c.key LIMIT 1
$$;

-- --- Writing maintenance ---------------------------------------------------------

-- Writes 'w' as the next revision of w.id (NULL: of a new window) about 'reached'
-- ([{"kind", "key", "via"}]), and what follows.  An object stays announced as it was while
-- the window lies in the one that was announced, and excuses no more than that did.
CREATE FUNCTION plumbline_store.maintenance_write(w plumbline_store.maintenance, reached jsonb, what text)
RETURNS plumbline_store.maintenance
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before plumbline_store.maintenance;
    kept   boolean;
    clash  text;
BEGIN
    IF w.start_at >= w.end_at THEN
        RAISE EXCEPTION 'the window ends before it begins';
    END IF;
    SELECT * INTO before FROM plumbline_store.maintenance_current c WHERE c.id = w.id;
    IF w.id IS NULL THEN
        w.id := (SELECT coalesce(max(m.id), 0) + 1 FROM plumbline_store.maintenance m);
    END IF;
    w.revision := coalesce(before.revision, 0) + 1;
    w.written_by := session_user;
    w.written_at := now();
    INSERT INTO plumbline_store.maintenance VALUES (w.*);
    kept := coalesce(before.state = 'planned' AND w.start_at >= before.start_at AND w.end_at <= before.end_at
        AND (before.exclude_from_sla OR NOT w.exclude_from_sla)
        AND (before.tenant IS NULL OR before.tenant IS NOT DISTINCT FROM w.tenant), false);
    INSERT INTO plumbline_store.maintenance_object (id, revision, kind, key, via, announced_at)
        SELECT w.id, w.revision, r.kind, r.key, r.via, coalesce(o.announced_at, now())
        FROM jsonb_to_recordset(reached) AS r(kind text, key text, via text)
        LEFT JOIN plumbline_store.maintenance_object o
            ON kept AND o.id = w.id AND o.revision = before.revision AND (o.kind, o.key) = (r.kind, r.key);
    INSERT INTO plumbline_store.rejudge (kind, key, from_at, why)
        SELECT o.kind, o.key, least(before.start_at, w.start_at), format('maintenance %s was %s, revision %s', w.id, what, w.revision)
        FROM plumbline_store.maintenance_object o
        WHERE o.id = w.id AND o.revision IN (w.revision, before.revision)
        GROUP BY o.kind, o.key;
    clash := CASE WHEN w.override IS NULL AND w.state = 'planned' THEN plumbline_store.maintenance_clash(w.id) END;
    IF clash IS NOT NULL THEN
        RAISE EXCEPTION '%; --override REASON records that this is meant', clash;
    END IF;
    RETURN w;
END
$$;

-- The last revision of window 'id', which is not cancelled.
CREATE FUNCTION plumbline_store.maintenance_of(id bigint) RETURNS plumbline_store.maintenance
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w plumbline_store.maintenance;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 4);
    SELECT * INTO w FROM plumbline_store.maintenance_current c WHERE c.id = maintenance_of.id;
    IF w.id IS NULL THEN
        RAISE EXCEPTION 'there is no maintenance %', maintenance_of.id;
    ELSIF w.state = 'cancelled' THEN
        RAISE EXCEPTION 'maintenance % is cancelled', w.id;
    END IF;
    RETURN w;
END
$$;

CREATE FUNCTION plumbline_store.maintenance_objects(w plumbline_store.maintenance) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_agg(jsonb_build_object('kind', o.kind, 'key', o.key, 'via', o.via))
    FROM plumbline_store.maintenance_object o WHERE o.id = w.id AND o.revision = w.revision
$$;

CREATE FUNCTION plumbline_store.maintenance_add(named jsonb, label text, tenant text, start_at timestamptz, end_at timestamptz,
    impact text, suppress_alerts boolean, exclude_from_sla boolean, override text, author text) RETURNS plumbline_store.maintenance
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w plumbline_store.maintenance;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 4);
    w.state := 'planned';
    w.label := label;
    w.tenant := tenant;
    w.start_at := start_at;
    w.end_at := end_at;
    w.impact := impact;
    w.suppress_alerts := suppress_alerts;
    w.exclude_from_sla := exclude_from_sla;
    w.override := override;
    w.author := author;
    RETURN plumbline_store.maintenance_write(w, plumbline_store.window_objects(named, tenant), 'added');
END
$$;

-- What is NULL stays as it is.
CREATE FUNCTION plumbline_store.maintenance_move(id bigint, start_at timestamptz, end_at timestamptz, override text, note text,
    author text) RETURNS plumbline_store.maintenance
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w       plumbline_store.maintenance := plumbline_store.maintenance_of(id);
    reached jsonb := plumbline_store.maintenance_objects(w);
BEGIN
    w.start_at := coalesce(maintenance_move.start_at, w.start_at);
    w.end_at := coalesce(maintenance_move.end_at, w.end_at);
    w.override := maintenance_move.override;
    w.note := maintenance_move.note;
    w.author := maintenance_move.author;
    RETURN plumbline_store.maintenance_write(w, reached, 'moved');
END
$$;

CREATE FUNCTION plumbline_store.maintenance_cancel(id bigint, note text, author text) RETURNS plumbline_store.maintenance
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w       plumbline_store.maintenance := plumbline_store.maintenance_of(id);
    reached jsonb := plumbline_store.maintenance_objects(w);
BEGIN
    w.state := 'cancelled';
    w.note := maintenance_cancel.note;
    w.author := maintenance_cancel.author;
    RETURN plumbline_store.maintenance_write(w, reached, 'cancelled');
END
$$;

-- An event of a calendar.  'named' are circuits; status: tentative, confirmed, cancelled,
-- in-process, completed.  A greater SEQUENCE replaces; what was told under the same one is
-- told already, unless the inventory now has more of its circuits.  outcome: added,
-- replaced, extended, same, differs (and nothing was written), old, unmatched, nothing
-- (cancelled, and never heard of).
CREATE FUNCTION plumbline_store.maintenance_import(event plumbline_store.maintenance, named jsonb, status text,
    OUT outcome text, OUT id bigint, OUT revision integer, OUT unmatched text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w       plumbline_store.maintenance := event;
    before  plumbline_store.maintenance;
    reached jsonb;
    had     jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 4);
    SELECT * INTO before FROM plumbline_store.maintenance_current c
        WHERE (c.organiser, c.external_id) = (event.organiser, event.external_id);
    SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') INTO reached FROM plumbline_store.window_reach(named) r;
    unmatched := ARRAY(SELECT DISTINCT n.key FROM jsonb_to_recordset(named) AS n(kind text, key text)
        WHERE NOT EXISTS (SELECT FROM plumbline_store.window_reach(jsonb_build_array(to_jsonb(n)))) ORDER BY 1);
    w.id := before.id;
    w.state := CASE status WHEN 'tentative' THEN status WHEN 'cancelled' THEN status ELSE 'planned' END;
    id := before.id;
    revision := before.revision;
    had := plumbline_store.maintenance_objects(before);
    outcome := CASE
        WHEN event.sequence < before.sequence THEN 'old'
        WHEN before.id IS NULL AND w.state = 'cancelled' THEN 'nothing'
        WHEN before.id IS NULL THEN 'added'
        WHEN event.sequence > before.sequence THEN 'replaced'
        WHEN w.state = 'cancelled' AND before.state = 'cancelled' THEN 'same'
        WHEN (w.state, w.start_at, w.end_at, w.impact) IS DISTINCT FROM (before.state, before.start_at, before.end_at, before.impact)
            THEN 'differs'
        WHEN EXISTS (SELECT FROM jsonb_to_recordset(reached) AS r(kind text, key text)
                     WHERE NOT had @> jsonb_build_array(to_jsonb(r))) THEN 'extended'
        ELSE 'same' END;
    IF w.state = 'cancelled' THEN
        -- It is known what is cancelled: the event need not say it again.
        w := before;
        w.state := 'cancelled';
        w.sequence := event.sequence;
        w.author := event.author;
        reached := had;
    ELSIF outcome = 'extended' THEN
        reached := had || (SELECT jsonb_agg(o) FROM jsonb_array_elements(reached) o
                           WHERE NOT had @> jsonb_build_array(o - 'via'));
    ELSIF outcome IN ('added', 'replaced') AND reached = '[]' THEN
        outcome := 'unmatched';
    END IF;
    w.tenant := before.tenant;
    w.actual_start := CASE WHEN status IN ('in-process', 'completed') THEN coalesce(before.actual_start, now()) END;
    w.actual_end := CASE WHEN status = 'completed' THEN coalesce(before.actual_end, now()) END;
    w.note := format('calendar, SEQUENCE %s, %s', event.sequence, status);
    IF outcome IN ('added', 'replaced', 'extended') THEN
        w := plumbline_store.maintenance_write(w, reached, CASE WHEN w.state = 'cancelled' THEN w.state ELSE outcome END);
        id := w.id;
        revision := w.revision;
    END IF;
END
$$;

-- --- Writing exclusions ----------------------------------------------------------

CREATE FUNCTION plumbline_store.exclusion_write(e plumbline_store.exclusion, reached jsonb, what text)
RETURNS plumbline_store.exclusion
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    e.revision := coalesce(e.revision, 0) + 1;
    e.written_by := session_user;
    e.written_at := now();
    INSERT INTO plumbline_store.exclusion VALUES (e.*);
    INSERT INTO plumbline_store.exclusion_object (id, revision, kind, key, via)
        SELECT e.id, e.revision, r.kind, r.key, r.via FROM jsonb_to_recordset(reached) AS r(kind text, key text, via text);
    INSERT INTO plumbline_store.rejudge (kind, key, from_at, why)
        SELECT r.kind, r.key, e.start_at, format('exclusion %s was %s, revision %s', e.id, what, e.revision)
        FROM jsonb_to_recordset(reached) AS r(kind text, key text);
    RETURN e;
END
$$;

CREATE FUNCTION plumbline_store.exclusion_add(kind text, named jsonb, tenant text, start_at timestamptz, end_at timestamptz,
    reason text, approval text, author text) RETURNS plumbline_store.exclusion
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e plumbline_store.exclusion;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 4);
    IF start_at >= end_at THEN
        RAISE EXCEPTION 'the exclusion ends before it begins';
    ELSIF coalesce(reason, '') !~ '\S' OR coalesce(approval, '') !~ '\S' THEN
        RAISE EXCEPTION 'an exclusion needs a reason, and who approved it';
    END IF;
    e.id := (SELECT coalesce(max(x.id), 0) + 1 FROM plumbline_store.exclusion x);
    e.kind := kind;
    e.tenant := tenant;
    e.start_at := start_at;
    e.end_at := end_at;
    e.reason := reason;
    e.approval := approval;
    e.withdrawn := false;
    e.author := author;
    RETURN plumbline_store.exclusion_write(e, plumbline_store.window_objects(named, tenant), 'added');
END
$$;

CREATE FUNCTION plumbline_store.exclusion_withdraw(id bigint, note text, author text) RETURNS plumbline_store.exclusion
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    e       plumbline_store.exclusion;
    reached jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 4);
    SELECT * INTO e FROM plumbline_store.exclusion_current c WHERE c.id = exclusion_withdraw.id;
    IF e.id IS NULL THEN
        RAISE EXCEPTION 'there is no exclusion %', exclusion_withdraw.id;
    ELSIF e.withdrawn THEN
        RAISE EXCEPTION 'exclusion % is withdrawn', e.id;
    END IF;
    SELECT jsonb_agg(jsonb_build_object('kind', o.kind, 'key', o.key, 'via', o.via)) INTO reached
        FROM plumbline_store.exclusion_object o WHERE o.id = e.id AND o.revision = e.revision;
    e.withdrawn := true;
    e.note := exclusion_withdraw.note;
    e.author := exclusion_withdraw.author;
    RETURN plumbline_store.exclusion_write(e, reached, 'withdrawn');
END
$$;

-- --- Reading ---------------------------------------------------------------------

-- What is in force of windows and exclusions that [from_at, until) meets, a line an object.
-- exclusion: maintenance, customer, third_party, force_majeure, agreed.  Whether the notice
-- of maintenance sufficed is the SLA's matter: announced_at is for that.
CREATE FUNCTION plumbline_store.windows(from_at timestamptz, until timestamptz)
RETURNS TABLE (exclusion text, id bigint, revision integer, kind text, key text, start_at timestamptz, end_at timestamptz,
    announced_at timestamptz, suppress_alerts boolean, exclude_from_sla boolean, tenant text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'maintenance', m.id, m.revision, o.kind, o.key, m.start_at, least(m.end_at, m.actual_end), o.announced_at,
           m.suppress_alerts, m.exclude_from_sla, m.tenant
    FROM plumbline_store.maintenance_current m JOIN plumbline_store.maintenance_object o USING (id, revision)
    WHERE m.state = 'planned' AND m.start_at < until AND least(m.end_at, m.actual_end) > greatest(from_at, m.start_at)
    UNION ALL
    SELECT e.kind, e.id, e.revision, o.kind, o.key, e.start_at, e.end_at, e.written_at, false, true, e.tenant
    FROM plumbline_store.exclusion_current e JOIN plumbline_store.exclusion_object o USING (id, revision)
    WHERE NOT e.withdrawn AND e.start_at < until AND e.end_at > from_at
    ORDER BY 6, 1, 2, 4, 5
$$;

-- Services whose SLA asks for a longer notice than this revision gave: they count it.  The
-- operator is told; the judge compares by itself.
CREATE FUNCTION plumbline_store.maintenance_too_late(id bigint, revision integer)
RETURNS TABLE (service text, sla text, notice text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT s.key, a.key, a.content->>'notice'
    FROM plumbline_store.maintenance m
    JOIN plumbline_store.maintenance_object o USING (id, revision)
    JOIN plumbline_store.inventory_object s ON s.kind = 'service' AND s.removed IS NULL AND s.content->>'state' <> 'retired'
    JOIN plumbline_store.inventory_object a ON a.kind = 'sla' AND a.key = s.content->>'sla'
    WHERE (m.id, m.revision) = (maintenance_too_late.id, maintenance_too_late.revision)
      AND m.state = 'planned' AND m.exclude_from_sla AND (m.tenant IS NULL OR m.tenant = s.content->>'tenant')
      AND m.start_at - o.announced_at < (a.content->>'notice')::interval
      AND ((o.kind, o.key) = ('service', s.key)
           OR o.kind IN ('link', 'group') AND s.content->'over' ? o.key
           OR o.kind = 'link' AND EXISTS (
               SELECT FROM plumbline_store.redundancy r WHERE r.kind = 'group' AND r.member = o.key AND s.content->'over' ? r.key)
           OR o.kind = 'attachment' AND EXISTS (
               SELECT FROM plumbline_store.attachment_of t WHERE t.attachment = o.key AND s.content->'ends' ? t.connector))
    ORDER BY 1
$$;

REVOKE ALL ON FUNCTION plumbline_store.keep_revisions(), plumbline_store.window_reach(jsonb),
    plumbline_store.window_objects(jsonb, text), plumbline_store.maintenance_clash(bigint),
    plumbline_store.maintenance_write(plumbline_store.maintenance, jsonb, text), plumbline_store.maintenance_of(bigint),
    plumbline_store.maintenance_objects(plumbline_store.maintenance),
    plumbline_store.maintenance_add(jsonb, text, text, timestamptz, timestamptz, text, boolean, boolean, text, text),
    plumbline_store.maintenance_move(bigint, timestamptz, timestamptz, text, text, text),
    plumbline_store.maintenance_cancel(bigint, text, text),
    plumbline_store.maintenance_import(plumbline_store.maintenance, jsonb, text),
    plumbline_store.exclusion_write(plumbline_store.exclusion, jsonb, text),
    plumbline_store.exclusion_add(text, jsonb, text, timestamptz, timestamptz, text, text, text),
    plumbline_store.exclusion_withdraw(bigint, text, text), plumbline_store.windows(timestamptz, timestamptz),
    plumbline_store.maintenance_too_late(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.windows(timestamptz, timestamptz) TO plumbline_writer;
GRANT SELECT ON plumbline_store.maintenance, plumbline_store.maintenance_object, plumbline_store.maintenance_current,
    plumbline_store.exclusion, plumbline_store.exclusion_object, plumbline_store.exclusion_current
    TO plumbline_writer, plumbline_views;
GRANT SELECT, INSERT, DELETE ON plumbline_store.rejudge TO plumbline_writer;
GRANT SELECT ON plumbline_store.rejudge TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- Each revision as it was recorded.
CREATE VIEW plumbline.v_maintenance_history WITH (security_barrier) AS
    SELECT m.id, m.revision, m.state, m.label, m.tenant, m.start_at, m.end_at, m.actual_start, m.actual_end, m.impact,
           m.suppress_alerts, m.exclude_from_sla, o.announced_at, m.start_at - o.announced_at AS lead, o.objects,
           m.organiser, m.external_id, m.sequence, m.override, m.note, m.author, m.written_by, m.written_at
    FROM plumbline_store.maintenance m
    CROSS JOIN LATERAL (
        SELECT max(x.announced_at) AS announced_at,
               jsonb_agg(jsonb_build_object('kind', x.kind, 'key', x.key, 'via', x.via, 'announced_at', x.announced_at)
                         ORDER BY x.kind, x.key) AS objects
        FROM plumbline_store.maintenance_object x WHERE x.id = m.id AND x.revision = m.revision) o;

-- What is in force, and whether it runs.  announced_at: of the object that was announced
-- last; lead: how long before the start that was.
CREATE VIEW plumbline.v_maintenance WITH (security_barrier) AS
    SELECT h.id, h.revision,
           CASE WHEN h.state = 'cancelled' THEN h.state
                WHEN least(h.end_at, h.actual_end) <= now() THEN 'over'
                WHEN h.state = 'tentative' THEN h.state
                WHEN h.start_at <= now() THEN 'running'
                ELSE 'planned' END AS state,
           h.label, h.tenant, h.start_at, h.end_at, h.actual_start, h.actual_end, h.impact, h.suppress_alerts,
           h.exclude_from_sla, h.announced_at, h.lead, h.objects, h.organiser, h.external_id, h.sequence, h.override,
           h.note, h.author, h.written_by, h.written_at
    FROM plumbline.v_maintenance_history h JOIN plumbline_store.maintenance_current c USING (id, revision);

CREATE VIEW plumbline.v_exclusion_history WITH (security_barrier) AS
    SELECT e.id, e.revision, e.kind, e.withdrawn, e.tenant, e.start_at, e.end_at, e.reason, e.approval,
           (SELECT jsonb_agg(jsonb_build_object('kind', x.kind, 'key', x.key, 'via', x.via) ORDER BY x.kind, x.key)
            FROM plumbline_store.exclusion_object x WHERE x.id = e.id AND x.revision = e.revision) AS objects,
           e.note, e.author, e.written_by, e.written_at
    FROM plumbline_store.exclusion e;

CREATE VIEW plumbline.v_exclusion WITH (security_barrier) AS
    SELECT h.* FROM plumbline.v_exclusion_history h JOIN plumbline_store.exclusion_current c USING (id, revision);

GRANT SELECT ON plumbline.v_maintenance_history, plumbline.v_maintenance, plumbline.v_exclusion_history, plumbline.v_exclusion
    TO plumbline_reader, plumbline_owner;
-- The operator's command lists as it writes.
GRANT USAGE ON SCHEMA plumbline TO plumbline_owner;

RESET ROLE;
