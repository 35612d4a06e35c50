-- 0005-inventory.sql - the inventory as `plumbline apply` wrote it, generation by
-- generation, and the rules by which one follows another.
--
-- Objects are (kind, key) with their content as JSON: the canonical form's fields,
-- values with their units as people write them.  An attachment of a connector is
-- an object of its own, "connector.attachment".  Small tables, which are not
-- distributed.

SET LOCAL ROLE plumbline_owner;

-- One line each time that an inventory was applied.
CREATE TABLE plumbline_store.inventory_generation (
    number      integer PRIMARY KEY,          -- 1, 2, 3 ...
    generation  bigint NOT NULL,              -- Hash of the canonical text: what probes report.
    interval_ns bigint NOT NULL,
    git_commit  text,                         -- NULL: not from a git repository.
    git_dirty   boolean NOT NULL,             -- The files differed from that commit.
    author      text NOT NULL,                -- Of the commit; else who applied it.
    applied_by  text NOT NULL DEFAULT session_user,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    release     text NOT NULL,
    canonical   text NOT NULL                 -- All of it, as `plumbline check --canonical` prints it.
);

-- What is in force, and what once was: a key that was taken out stays here, so
-- that it is never used again.
CREATE TABLE plumbline_store.inventory_object (
    kind    text NOT NULL,
    key     text NOT NULL,
    content jsonb NOT NULL,
    since   integer NOT NULL REFERENCES plumbline_store.inventory_generation,
    changed integer NOT NULL REFERENCES plumbline_store.inventory_generation,
    removed integer REFERENCES plumbline_store.inventory_generation,
    PRIMARY KEY (kind, key)
);

CREATE TABLE plumbline_store.inventory_change (
    number integer NOT NULL REFERENCES plumbline_store.inventory_generation,
    kind   text NOT NULL,
    key    text NOT NULL,
    action text NOT NULL CHECK (action IN ('added', 'changed', 'retired', 'removed')),
    fields text NOT NULL,                     -- Which of them changed.
    before jsonb,
    after  jsonb,
    PRIMARY KEY (number, kind, key)
);

-- What was ever promised: a period is judged by the version valid at its start.
CREATE TABLE plumbline_store.inventory_sla (
    key     text NOT NULL,
    version integer NOT NULL,
    content jsonb NOT NULL,                   -- Without state and label, which may change.
    number  integer NOT NULL REFERENCES plumbline_store.inventory_generation,
    PRIMARY KEY (key, version)
);

-- What an SLA promises: all but what people call it and whether it is in use.
CREATE FUNCTION plumbline_store.inventory_promise(content jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT content - 'state' - 'label'
$$;

-- Why 'after' must not follow 'before' under this kind and key; NULL: it may.
-- removed: the generation that took the key out, or NULL.  renamed: an object that
-- is new, has the same content, and another key; or NULL.
CREATE FUNCTION plumbline_store.inventory_refusal(kind text, key text, before jsonb, after jsonb, removed integer,
    renamed text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN kind IN ('alarm', 'hook') THEN NULL     -- Nothing is kept under their keys.
        WHEN after IS NULL AND removed IS NULL AND before->>'state' <> 'retired' THEN
            CASE WHEN renamed IS NOT NULL
                THEN format('its key was changed to ''%s'': a key is an identity; put ''%s'' back, and change its label', renamed, key)
                ELSE 'it is not retired: put it back with ''state: retired'', apply that, and take it out later' END
        WHEN after IS NOT NULL AND removed IS NOT NULL THEN
            format('this key was taken out in generation %s, and is never used again', removed)
        WHEN kind = 'sla' AND after IS NOT NULL AND (after->>'version')::integer < (before->>'version')::integer THEN
            format('version %s is older than %s, which was applied', after->>'version', before->>'version')
        WHEN kind = 'sla' AND after IS NOT NULL AND EXISTS (
            SELECT FROM plumbline_store.inventory_sla s
            WHERE s.key = inventory_refusal.key AND s.version = (after->>'version')::integer
              AND s.content <> plumbline_store.inventory_promise(after)) THEN
            format('version %s was applied with other content; make this version %s', after->>'version',
                   (SELECT max(s.version) + 1 FROM plumbline_store.inventory_sla s WHERE s.key = inventory_refusal.key))
    END
$$;

-- What would follow if 'objects' ([{"kind", "key", "content"}]) were applied.
-- action: added, changed, retired, removed, or refused; detail: which fields
-- changed, or why it is refused.
CREATE FUNCTION plumbline_store.inventory_plan(objects jsonb)
RETURNS TABLE (action text, kind text, key text, detail text, before jsonb, after jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH new AS (
        SELECT n.kind, n.key, n.content FROM jsonb_to_recordset(objects) AS n(kind text, key text, content jsonb)
    ), pair AS (
        SELECT coalesce(n.kind, o.kind) AS kind, coalesce(n.key, o.key) AS key,
               o.content AS before, n.content AS after, o.removed
        FROM new n FULL JOIN plumbline_store.inventory_object o ON n.kind = o.kind AND n.key = o.key
        WHERE n.content IS NOT NULL OR o.removed IS NULL
    ), told AS (
        SELECT p.*, plumbline_store.inventory_refusal(p.kind, p.key, p.before, p.after, p.removed,
            CASE WHEN p.after IS NULL THEN
                (SELECT min(a.key) FROM pair a WHERE a.before IS NULL AND a.kind = p.kind AND a.after = p.before)
            END) AS refusal
        FROM pair p
        WHERE p.before IS DISTINCT FROM p.after OR p.removed IS NOT NULL
    )
    SELECT CASE WHEN t.refusal IS NOT NULL THEN 'refused'
                WHEN t.after IS NULL THEN 'removed'
                WHEN t.before IS NULL OR t.removed IS NOT NULL THEN 'added'
                WHEN t.after->>'state' = 'retired' AND t.before->>'state' <> 'retired' THEN 'retired'
                ELSE 'changed' END,
           t.kind, t.key,
           CASE WHEN t.refusal IS NOT NULL THEN t.refusal
                WHEN t.before IS NULL OR t.after IS NULL THEN ''
                ELSE (SELECT string_agg(f.name, ', ' ORDER BY f.name)
                      FROM (SELECT jsonb_object_keys(t.before) UNION SELECT jsonb_object_keys(t.after)) AS f(name)
                      WHERE t.before->f.name IS DISTINCT FROM t.after->f.name) END,
           t.before, t.after
    FROM told t
    ORDER BY 2, 3
$$;

-- Applies 'objects' and returns the generation's number.  'base' is the number on
-- which the plan was made: 0 if there was none.
CREATE FUNCTION plumbline_store.inventory_apply(objects jsonb, base integer, generation bigint, interval_ns bigint,
    git_commit text, git_dirty boolean, author text, release text, canonical text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last   integer;
    refuse record;
BEGIN
    PERFORM pg_advisory_xact_lock(1886157934, 2);
    SELECT coalesce(max(g.number), 0) INTO last FROM plumbline_store.inventory_generation g;
    IF last <> base THEN
        RAISE EXCEPTION 'generation % was applied meanwhile; look at the plan again', last;
    END IF;
    CREATE TEMPORARY TABLE inventory_step ON COMMIT DROP AS
        SELECT * FROM plumbline_store.inventory_plan(objects);
    FOR refuse IN SELECT s.kind, s.key, s.detail FROM pg_temp.inventory_step s WHERE s.action = 'refused' LIMIT 1 LOOP
        RAISE EXCEPTION '% %: %', refuse.kind, refuse.key, refuse.detail;
    END LOOP;
    INSERT INTO plumbline_store.inventory_generation
        (number, generation, interval_ns, git_commit, git_dirty, author, release, canonical)
        VALUES (last + 1, inventory_apply.generation, inventory_apply.interval_ns, inventory_apply.git_commit,
                inventory_apply.git_dirty, inventory_apply.author, inventory_apply.release, inventory_apply.canonical);
    INSERT INTO plumbline_store.inventory_change (number, kind, key, action, fields, before, after)
        SELECT last + 1, s.kind, s.key, s.action, s.detail, s.before, s.after FROM pg_temp.inventory_step s;
    INSERT INTO plumbline_store.inventory_object AS o (kind, key, content, since, changed)
        SELECT s.kind, s.key, s.after, last + 1, last + 1 FROM pg_temp.inventory_step s WHERE s.after IS NOT NULL
        ON CONFLICT ON CONSTRAINT inventory_object_pkey
        DO UPDATE SET content = excluded.content, changed = excluded.changed, removed = NULL;
    UPDATE plumbline_store.inventory_object o SET removed = last + 1, changed = last + 1
        FROM pg_temp.inventory_step s WHERE s.action = 'removed' AND o.kind = s.kind AND o.key = s.key;
    INSERT INTO plumbline_store.inventory_sla (key, version, content, number)
        SELECT s.key, (s.after->>'version')::integer, plumbline_store.inventory_promise(s.after), last + 1
        FROM pg_temp.inventory_step s WHERE s.kind = 'sla' AND s.after IS NOT NULL
        ON CONFLICT DO NOTHING;
    RETURN last + 1;
END
$$;

REVOKE ALL ON FUNCTION plumbline_store.inventory_promise(jsonb),
    plumbline_store.inventory_refusal(text, text, jsonb, jsonb, integer, text),
    plumbline_store.inventory_plan(jsonb),
    plumbline_store.inventory_apply(jsonb, integer, bigint, bigint, text, boolean, text, text, text) FROM PUBLIC;
GRANT SELECT ON plumbline_store.inventory_generation, plumbline_store.inventory_object, plumbline_store.inventory_sla
    TO plumbline_writer, plumbline_views;
GRANT SELECT ON plumbline_store.inventory_change TO plumbline_views;

SET LOCAL ROLE plumbline_views;

CREATE VIEW plumbline.inventory_generation WITH (security_barrier) AS
    SELECT number, lpad(to_hex(generation), 16, '0') AS generation, git_commit, git_dirty, author, applied_by,
           applied_at, release
    FROM plumbline_store.inventory_generation;

-- What is measured.  What is sold is its tenant's, and not for every reader.
CREATE VIEW plumbline.inventory_object WITH (security_barrier) AS
    SELECT kind, key, coalesce(content->>'label', key) AS label, content->>'state' AS state, content, since, changed
    FROM plumbline_store.inventory_object
    WHERE removed IS NULL AND kind IN ('site', 'probe', 'router', 'class', 'link', 'group');

GRANT SELECT ON plumbline.inventory_generation, plumbline.inventory_object TO plumbline_reader;

RESET ROLE;
