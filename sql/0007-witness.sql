-- 0007-witness.sql - a link that both ends measure: the first end's series are judged;
-- where its delta-t is unknown the second end's, the witness's, stands in, marked.
-- Where both measured and do not agree, that is a matter of the data's quality.

SET LOCAL ROLE plumbline_owner;

-- NULL: of a release that did not say; told anew once a collector of this one has the
-- source.  Until then the series is taken for a first end's.
ALTER TABLE plumbline_store.series ADD COLUMN observer_end smallint CHECK (observer_end IN (0, 1));
CREATE INDEX series_object ON plumbline_store.series (object);

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- What v_delta_t calls the state of a delta-t of dt_records().
CREATE FUNCTION plumbline.dt_state(kind integer, flags bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN kind = 0 THEN 'absent'
                WHEN kind = 1 OR flags & 1 <> 0 THEN 'unknown'
                WHEN flags & 64 <> 0 THEN 'undetermined'
                ELSE 'measured' END
$$;

-- Every delta-t of every link, once for each direction, class and flow.  'witness': the
-- figures are the second end's.  'whole': the first end's row lacks nothing.
-- 'provisional': the first end may still tell its own.  A series that two sets of
-- parameters share an interval of has a row for each: what is absent from one of them
-- is the other's, and left out.
CREATE VIEW plumbline.v_judged_delta_t WITH (security_barrier) AS
    SELECT s.object, s.direction, s.class, s.flow, s.family, s.protocol,
           r.start AS interval_start,
           r.start + d.number * (p.dt_ns / 1000) * interval '1 microsecond' AS start, p.dt_ns,
           coalesce(w.state, plumbline.dt_state(d.kind, d.flags)) AS state,
           w.state IS NOT NULL AS witness,
           coalesce(w.observer, s.observer) AS observer,
           coalesce(w.flags, d.flags) AS flags, coalesce(w.sent, d.sent) AS sent,
           coalesce(w.received, d.received) AS received, coalesce(w.lost, d.lost) AS lost,
           coalesce(w.lost_undirected, d.lost_undirected) AS lost_undirected,
           coalesce(w.unknown, d.unknown) AS unknown,
           r.flags & 26 = 0 AS whole, false AS provisional
    FROM plumbline_store.interval_row r
    JOIN plumbline_store.series s USING (series_id)
    JOIN plumbline_store.params p USING (params_id)
    CROSS JOIN LATERAL plumbline.dt_records(r.dt) d
    LEFT JOIN LATERAL (
        SELECT ws.observer, plumbline.dt_state(wd.kind, wd.flags) AS state, wd.*
        FROM plumbline_store.series ws
        JOIN plumbline_store.interval_row wr ON wr.series_id = ws.series_id AND wr.start = r.start
        JOIN plumbline_store.params wp ON wp.params_id = wr.params_id AND wp.dt_ns = p.dt_ns
        CROSS JOIN LATERAL plumbline.dt_records(wr.dt) wd
        WHERE plumbline.dt_state(d.kind, d.flags) <> 'measured'
          AND ws.object = s.object AND ws.observer_end = 1
          AND (ws.direction, ws.class, ws.flow, ws.family, ws.protocol) = (s.direction, s.class, s.flow, s.family, s.protocol)
          AND wd.number = d.number AND plumbline.dt_state(wd.kind, wd.flags) = 'measured'
        LIMIT 1) w ON true
    WHERE coalesce(s.observer_end, 0) = 0
      AND (d.kind <> 0 OR NOT EXISTS (
          SELECT FROM plumbline_store.interval_row o
          WHERE o.series_id = r.series_id AND o.start = r.start AND o.params_id <> r.params_id))
    UNION ALL
    -- The first end has no row of this interval at all.
    SELECT s.object, s.direction, s.class, s.flow, s.family, s.protocol,
           r.start, r.start + d.number * (p.dt_ns / 1000) * interval '1 microsecond', p.dt_ns,
           plumbline.dt_state(d.kind, d.flags), plumbline.dt_state(d.kind, d.flags) = 'measured',
           s.observer, d.flags, d.sent, d.received, d.lost, d.lost_undirected, d.unknown, false,
           NOT EXISTS (
               SELECT FROM plumbline_store.series f
               JOIN plumbline_store.source_position q ON q.source = f.observer
               WHERE f.object = s.object AND coalesce(f.observer_end, 0) = 0
                 AND (q.closed OR q.written_until >= r.start + r.seconds * interval '1 second'))
    FROM plumbline_store.interval_row r
    JOIN plumbline_store.series s USING (series_id)
    JOIN plumbline_store.params p USING (params_id)
    CROSS JOIN LATERAL plumbline.dt_records(r.dt) d
    WHERE s.observer_end = 1
      AND NOT EXISTS (
          SELECT FROM plumbline_store.series f
          JOIN plumbline_store.interval_row o ON o.series_id = f.series_id AND o.start = r.start
          WHERE f.object = s.object AND coalesce(f.observer_end, 0) = 0
            AND (f.direction, f.class, f.flow, f.family, f.protocol) = (s.direction, s.class, s.flow, s.family, s.protocol));

-- The counters of an interval by that rule.  unknown_dt: of these nobody knows;
-- witness_dt: of these the second end does, and its figures are in the sums.
CREATE VIEW plumbline.v_judged WITH (security_barrier) AS
    SELECT s.object, s.direction, s.class, s.flow, r.start, r.dt_count::bigint AS dt_count, 0::bigint AS unknown_dt,
           0::bigint AS witness_dt, r.sent::numeric AS sent, r.received::numeric AS received, r.lost::numeric AS lost,
           r.lost_undirected::numeric AS lost_undirected, r.unknown::numeric AS unknown, false AS provisional
    FROM plumbline_store.interval_row r JOIN plumbline_store.series s USING (series_id)
    WHERE coalesce(s.observer_end, 0) = 0 AND r.flags & 26 = 0
    UNION ALL
    SELECT object, direction, class, flow, interval_start,
           count(*) FILTER (WHERE state = 'measured'), count(*) FILTER (WHERE state <> 'measured'),
           count(*) FILTER (WHERE witness),
           coalesce(sum(sent) FILTER (WHERE state = 'measured'), 0), coalesce(sum(received) FILTER (WHERE state = 'measured'), 0),
           coalesce(sum(lost) FILTER (WHERE state = 'measured'), 0),
           coalesce(sum(lost_undirected) FILTER (WHERE state = 'measured'), 0),
           coalesce(sum(unknown) FILTER (WHERE state = 'measured'), 0), bool_or(provisional)
    FROM plumbline.v_judged_delta_t
    WHERE NOT whole
    GROUP BY object, direction, class, flow, family, protocol, dt_ns, interval_start;

-- How well both ends agree, an interval that both have rows of.  They send different
-- packets over the same way, so their loss differs by chance: 'loss_sigmas' is by how
-- many standard errors, and more than five are no chance.
CREATE VIEW plumbline.v_witness WITH (security_barrier) AS
    SELECT *, coalesce(loss_sigmas > 5, false) AS disagrees
    FROM (SELECT f.object, f.direction, f.class, f.flow, a.start, a.seconds,
                 f.observer AS first, w.observer AS witness,
                 a.sent AS first_sent, a.lost AS first_lost, b.sent AS witness_sent, b.lost AS witness_lost,
                 abs(a.lost::float8 / nullif(a.sent, 0) - b.lost::float8 / nullif(b.sent, 0))
                     / nullif(sqrt((a.lost + b.lost)::float8 / nullif(a.sent + b.sent, 0)
                                   * (1 - (a.lost + b.lost)::float8 / nullif(a.sent + b.sent, 0))
                                   * (1.0 / nullif(a.sent, 0) + 1.0 / nullif(b.sent, 0))), 0) AS loss_sigmas,
                 a.delay_p50_ns AS first_p50_ns, b.delay_p50_ns AS witness_p50_ns,
                 abs(a.delay_p50_ns - b.delay_p50_ns) AS p50_difference_ns
          FROM plumbline_store.series f
          JOIN plumbline_store.series w ON w.object = f.object AND w.observer_end = 1
              AND (w.direction, w.class, w.flow, w.family, w.protocol) = (f.direction, f.class, f.flow, f.family, f.protocol)
          JOIN plumbline_store.interval_row a ON a.series_id = f.series_id
          JOIN plumbline_store.interval_row b ON b.series_id = w.series_id AND b.start = a.start
          WHERE coalesce(f.observer_end, 0) = 0) v;

GRANT SELECT ON plumbline.v_judged_delta_t, plumbline.v_judged, plumbline.v_witness TO plumbline_reader;
REVOKE ALL ON FUNCTION plumbline.dt_state(integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline.dt_state(integer, bigint) TO plumbline_reader, plumbline_writer;

RESET ROLE;
