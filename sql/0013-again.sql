-- 0013-again.sql - what was judged is judged again when a source that was given up speaks
-- again, and by the limits that hold; versions of an SLA follow one another in time.

SET LOCAL ROLE plumbline_owner;

-- Which limits the tally counts what is over, eight octets each (a hash of metric, direction
-- and limit), in its order: under another inventory they are others.  NULL: not known.
ALTER TABLE plumbline_store.judged_quarter ADD COLUMN limits bytea;

-- The first day of which there are rows: what is older cannot be judged again, for nothing of
-- it is known any more.  NULL: there are none.
CREATE FUNCTION plumbline_store.rows_from() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT min(day)::timestamp AT TIME ZONE 'UTC' FROM plumbline_store.partitions() WHERE parent = 'interval_row'
$$;

-- A source was closed, and the judge went on without it; now it is back, and what it kept
-- meanwhile is being written.  By the commit that opens it again: what it observed, and
-- what others lost towards it, is judged again from where it was given up.  Loss that was
-- put down to its absence waits for its word once more.
CREATE FUNCTION plumbline_store.source_is_back() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    since timestamptz := greatest(OLD.written_until, plumbline_store.rows_from(), timestamptz 'epoch');
BEGIN
    INSERT INTO plumbline_store.far_pending (source_id, session_id, start, until, far_source_id)
        SELECT s.source_id, s.session_id, r.start, r.start + r.seconds * interval '1 second', NEW.source_id
        FROM plumbline_store.session s
        JOIN plumbline_store.interval_row r ON r.series_id = s.rt_series
        WHERE s.far_source_id = NEW.source_id AND r.params_id = s.params_id
          AND r.start >= since - interval '15 minutes'
          AND r.start + r.seconds * interval '1 second' > since AND r.flags & 16 <> 0
        ON CONFLICT DO NOTHING;
    INSERT INTO plumbline_store.rejudge (kind, key, from_at, why)
        SELECT 'data', o.object, since, format('source %s, which was given up, is back', NEW.source)
        FROM (SELECT e.object FROM plumbline_store.series e WHERE e.observer = NEW.source
              UNION
              SELECT e.object FROM plumbline_store.session s
              JOIN plumbline_store.series e ON e.series_id = s.rt_series
              WHERE s.far_source_id = NEW.source_id) o
        ORDER BY 2;
    RETURN NULL;
END
$$;
CREATE TRIGGER source_is_back AFTER UPDATE OF closed ON plumbline_store.source_position
    FOR EACH ROW WHEN (OLD.closed AND NOT NEW.closed) EXECUTE FUNCTION plumbline_store.source_is_back();

-- As before; and a new version is valid from a later day than all before it: a period is
-- judged by the version valid at its start, so of two that begin on one day, or the wrong
-- way round, one would never be asked.
CREATE OR REPLACE FUNCTION plumbline_store.inventory_refusal(kind text, key text, before jsonb, after jsonb, removed integer,
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
        WHEN kind = 'sla' AND after IS NOT NULL AND NOT EXISTS (
            SELECT FROM plumbline_store.inventory_sla s
            WHERE s.key = inventory_refusal.key AND s.version = (after->>'version')::integer) THEN
            (SELECT format('valid_from %s of version %s is %s valid_from %s of version %s: a period is judged by the version '
                           'that is valid at its start; make it a day after %s', after->>'valid_from', after->>'version',
                           CASE WHEN (after->>'valid_from')::date = (s.content->>'valid_from')::date THEN 'the same day as'
                                ELSE 'before' END,
                           s.content->>'valid_from', s.version, s.content->>'valid_from')
             FROM plumbline_store.inventory_sla s
             WHERE s.key = inventory_refusal.key AND (s.content->>'valid_from')::date >= (after->>'valid_from')::date
             ORDER BY (s.content->>'valid_from')::date DESC, s.version DESC LIMIT 1)
    END
$$;

REVOKE ALL ON FUNCTION plumbline_store.rows_from(), plumbline_store.source_is_back() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.rows_from() TO plumbline_writer;

RESET ROLE;
