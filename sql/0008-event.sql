-- 0008-event.sql - what a source told beside its measurements: what changed on a
-- session's way, and what it refused by name.
--
-- Both are written by the commit that passes the entry of the stream that told them, so
-- they are here as surely as rows are, and once.

SET LOCAL ROLE plumbline_owner;

-- A change, told once.  (epoch, sequence) is the entry of the stream, 'ordinal' its place
-- in there.
CREATE TABLE plumbline_store.event (
    source_id bigint NOT NULL,
    epoch     bigint NOT NULL,
    sequence  bigint NOT NULL,
    ordinal   integer NOT NULL,
    at        timestamptz NOT NULL,
    kind      text NOT NULL,     -- ttl, dscp, mtu_lost, mtu_back, floor_broken, floor_kept.
    object    text NOT NULL,     -- The session's link, class and flow.
    class     text NOT NULL,
    flow      integer NOT NULL,
    details   jsonb NOT NULL,    -- direction (the link's) where it has one; from, to; mtu: octets; floor: floor_us, rt_us.
    PRIMARY KEY (source_id, epoch, sequence, ordinal)
);
CREATE INDEX event_at ON plumbline_store.event (at);

-- How often something was refused, in each hour: the sum of what the entries told.
CREATE TABLE plumbline_store.refused (
    source_id bigint NOT NULL,
    start     timestamptz NOT NULL, -- Of the hour.
    name      text NOT NULL,        -- "reflector.stranger"
    count     bigint NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (source_id, start, name)
) WITH (fillfactor = 70);
CREATE INDEX refused_last ON plumbline_store.refused (last_at);

-- What was before 'before' goes; how many of both.
CREATE FUNCTION plumbline_store.drop_events(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH events AS (DELETE FROM plumbline_store.event WHERE at < before RETURNING 1),
         refusals AS (DELETE FROM plumbline_store.refused WHERE last_at < before RETURNING 1)
    SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM refusals)
$$;
REVOKE ALL ON FUNCTION plumbline_store.drop_events(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.drop_events(timestamptz) TO plumbline_writer;
GRANT SELECT, INSERT, UPDATE ON plumbline_store.refused TO plumbline_writer;
GRANT SELECT, INSERT ON plumbline_store.event TO plumbline_writer;
GRANT SELECT ON plumbline_store.event, plumbline_store.refused TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- Both on one time axis.  What was refused stands once an hour and name, at the last time
-- that it was.
CREATE VIEW plumbline.v_event WITH (security_barrier) AS
    SELECT p.source, e.at, e.kind, e.object, e.class, e.flow, e.details
    FROM plumbline_store.event e JOIN plumbline_store.source_position p USING (source_id)
    UNION ALL
    SELECT p.source, r.last_at, 'refused', NULL, NULL, NULL, jsonb_build_object('name', r.name, 'count', r.count)
    FROM plumbline_store.refused r JOIN plumbline_store.source_position p USING (source_id);

GRANT SELECT ON plumbline.v_event TO plumbline_reader;

RESET ROLE;
