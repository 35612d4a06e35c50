-- recompute.sql - availability and verdicts again, from the rows, by SQL alone.
--
-- After doc/sla.md (again by SQL), which it follows line by line; for whoever has to believe a
-- verdict and does not want to believe the program that gave it.  Reads interval_row, series and
-- params, the inventory as it was applied, windows and exclusions, and nothing that was judged.
-- The only functions are those that open a column: dt_details() and hist_buckets().
--
--     psql -v until="'2026-11-01T00:20:00Z'" -f recompute.sql
--
-- Rows before 'until' are taken: up to where all sources have written (source_position).
-- It leaves two tables: again_quarter, as plumbline.v_availability, and again_objective, as
-- v_verdict and v_service.  What it does not do: maintenance_allowance, parts whose classes have other
-- delta-t than the service's, 'covers' other than over, min_samples, and metrics other than
-- availability, hli, chli, flr, flr_raw, duplicate_ratio, reorder_ratio, rt_p, fd_p, fdr_p, pdv_p.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET work_mem = '128MB';
SET temp_buffers = '256MB';
SET jit = off;
SET TIME ZONE 'UTC';

-- --- Words with units ---------------------------------------------------------------

CREATE FUNCTION pg_temp.ns(text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (substring($1 FROM '^[0-9.]+')::numeric * CASE substring($1 FROM '[a-z]+$')
        WHEN 'ns' THEN 1 WHEN 'us' THEN 1e3 WHEN 'ms' THEN 1e6 WHEN 's' THEN 1e9 WHEN 'm' THEN 60e9
        WHEN 'h' THEN 3600e9 WHEN 'd' THEN 86400e9 END)::bigint
$$;
CREATE FUNCTION pg_temp.milli_percent(text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (replace($1, '%', '')::numeric * 1000)::bigint
$$;
CREATE FUNCTION pg_temp.epoch_ns(timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM $1) * 1000000000)::bigint
$$;

-- --- 1. What is judged ----------------------------------------------------------------

CREATE TEMP TABLE class AS
    SELECT key AS class, pg_temp.ns(content->>'dt') AS dt_ns, pg_temp.ns(content->>'period') AS period_ns,
           (content->>'n')::integer AS n, (content->>'p')::integer AS p, pg_temp.milli_percent(content->>'loss_threshold') AS c_milli
    FROM plumbline_store.inventory_object WHERE kind = 'class' AND removed IS NULL;

-- Links that are judged, and tests of connectors that are more than evidence.
CREATE TEMP TABLE link AS
    SELECT key AS object, (content->>'in_service')::timestamptz AS in_service, coalesce((content->>'flows')::integer, 1) AS flows
    FROM plumbline_store.inventory_object
    WHERE kind = 'link' AND removed IS NULL AND (content->>'state' = 'active' OR content->>'state' = 'planned' AND content ? 'in_service')
    UNION ALL
    SELECT key, NULL, 1 FROM plumbline_store.inventory_object
    WHERE kind = 'attachment' AND removed IS NULL AND content->>'state' = 'active' AND content->'test'->>'use' = 'sla';

-- A way is a link, class and direction; it begins with the quarter hour of its link's first row.
CREATE TEMP TABLE way AS
    SELECT row_number() OVER (ORDER BY s.object, s.class, s.direction)::integer AS way, s.object, s.class, s.direction,
           l.in_service, l.flows, c.dt_ns, c.period_ns, c.n, c.p, c.c_milli,
           (pg_temp.epoch_ns(date_bin('15 minutes', min(f.first_row) OVER (PARTITION BY s.object, s.class), 'epoch')) / c.dt_ns) AS first_k,
           pg_temp.epoch_ns(:until) / c.dt_ns AS end_k
    FROM (SELECT DISTINCT object, class, direction FROM plumbline_store.series) s
    JOIN link l USING (object) JOIN class c USING (class)
    JOIN LATERAL (SELECT min(r.start) AS first_row FROM plumbline_store.series x JOIN plumbline_store.interval_row r USING (series_id)
                  WHERE (x.object, x.class, x.direction) = (s.object, s.class, s.direction)) f ON true;

-- --- 2. What is known of each delta-t ---------------------------------------------------
-- k is the number of a delta-t since the epoch.  Flags 1 (unknown) and 64 (undetermined): of these
-- nothing counts.  A row's first delta-t is the first that begins not before the row does.
CREATE TEMP TABLE told AS
    SELECT w.way, s.flow, coalesce(s.observer_end, 0) AS observer_end, r.series_id, r.start AS row_start, r.params_id,
           r.flags & 1 = 0 AS clean, (pg_temp.epoch_ns(r.start) + p.dt_ns - 1) / p.dt_ns + d.number AS k, d.number,
           d.flags, d.sent, d.received, d.lost, d.lost_undirected, d.duplicate, d.reordered, d.over_limit, d.delay_count,
           d.delay_min_ns, d.delay_max_ns, d.hist
    FROM way w JOIN plumbline_store.series s USING (object, class, direction)
    JOIN plumbline_store.interval_row r USING (series_id) JOIN plumbline_store.params p USING (params_id)
    CROSS JOIN LATERAL plumbline.dt_details(r.dt) d
    WHERE r.start < :until AND d.kind >= 2 AND d.flags & 65 = 0;

-- Of each flow the first end's figures stand; where it has none, the second end's.
CREATE TEMP TABLE stands AS
    SELECT * FROM (SELECT t.*, min(observer_end) OVER (PARTITION BY way, flow, k) AS whose FROM told t) x
    WHERE observer_end = whose;
CREATE INDEX ON stands (series_id, row_start, params_id);

-- Flows summed.  Suspect: fewer than 90 % sent, clock stepped, overrun, far end began anew, below the
-- floor (2, 4, 8, 16, 128); for one way a negative delay, too (32).
CREATE TEMP TABLE dt AS
    SELECT t.way, t.k, sum(t.sent)::bigint AS sent, sum(t.received)::bigint AS received, sum(t.lost)::bigint AS lost,
           sum(t.lost_undirected)::bigint AS lost_undirected,
           (sum(t.duplicate) FILTER (WHERE NOT t.clean))::bigint AS duplicate,
           (sum(t.reordered) FILTER (WHERE NOT t.clean))::bigint AS reordered,
           bool_or(t.flags & 158 <> 0 OR t.flags & 32 <> 0 AND w.direction <> 'rt') AS suspect, bool_or(t.observer_end = 1) AS witness
    FROM stands t JOIN way w USING (way) GROUP BY 1, 2;
ANALYZE dt;

-- Quarter hours in which somebody measured anything.  In all others nothing is known and nothing
-- turns: they need not be gone through delta-t by delta-t.
CREATE TEMP TABLE busy AS
    SELECT DISTINCT extract(epoch FROM r.start)::bigint / 900 AS quarter FROM plumbline_store.interval_row r WHERE r.start < :until;

-- --- 3. A(k): the sliding window --------------------------------------------------------
-- Good and bad are counted up from the beginning; n in a row, from k on, are bad where that
-- count grows by n.  There A turns, and stays until it turns the other way.
CREATE TEMP TABLE state AS
    WITH input AS (
        SELECT w.way, w.n, g.k, coalesce(d.sent > 0 AND d.lost * 100000 > d.sent * w.c_milli, false) AS bad,
               coalesce(d.sent > 0 AND d.lost * 100000 <= d.sent * w.c_milli, false) AS good
        FROM way w CROSS JOIN busy b
        CROSS JOIN LATERAL generate_series(greatest(w.first_k, b.quarter * 900000000000 / w.dt_ns),
                                           least(w.end_k, (b.quarter + 1) * 900000000000 / w.dt_ns) - 1) g(k)
        LEFT JOIN dt d ON d.way = w.way AND d.k = g.k
    ), counted AS (
        SELECT *, count(*) FILTER (WHERE bad) OVER o AS bad_so_far, count(*) FILTER (WHERE good) OVER o AS good_so_far
        FROM input WINDOW o AS (PARTITION BY way ORDER BY k)
    ), turning AS (
        SELECT way, k, bad, good,
               CASE WHEN lead(k, n - 1) OVER o <> k + n - 1 THEN NULL
                    WHEN bad AND lead(bad_so_far, n - 1) OVER o - bad_so_far + 1 = n THEN false
                    WHEN good AND lead(good_so_far, n - 1) OVER o - good_so_far + 1 = n THEN true END AS turns
        FROM counted WINDOW o AS (PARTITION BY way ORDER BY k)
    ), since AS (
        SELECT *, count(turns) OVER (PARTITION BY way ORDER BY k) AS turn FROM turning
    )
    SELECT way, k, bad, bad OR good AS known, coalesce(first_value(turns) OVER (PARTITION BY way, turn ORDER BY k), true) AS up
    FROM since;
CREATE INDEX ON state (way, k);
ANALYZE state;

-- --- 4. Together ------------------------------------------------------------------------
-- A part that is not known has its last state; where the outcome hangs on such parts, it is not
-- known either.
CREATE FUNCTION pg_temp.is_known(sure bigint, unknown bigint, need bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT (sure < need AND sure + unknown >= need)
$$;

-- A link, both ways; or its round trip where that is all there is.
CREATE TEMP TABLE link_state AS
    SELECT w.object, w.class, s.k, bool_and(s.up) AS up,
           pg_temp.is_known(count(*) FILTER (WHERE s.up AND s.known), count(*) FILTER (WHERE NOT s.known), count(*)) AS known
    FROM way w JOIN state s USING (way)
    WHERE w.direction <> 'rt' OR NOT EXISTS (SELECT FROM way o WHERE (o.object, o.class, o.direction) = (w.object, w.class, 'fwd'))
    GROUP BY 1, 2, 3;

-- A group of links begins with the last of them.
CREATE TEMP TABLE group_state AS
    SELECT g.key AS grp, l.class, l.k, count(*) FILTER (WHERE l.up) >= (g.content->>'need')::integer AS up,
           pg_temp.is_known(count(*) FILTER (WHERE l.up AND l.known), count(*) FILTER (WHERE NOT l.known), (g.content->>'need')::integer) AS known
    FROM plumbline_store.inventory_object g JOIN link_state l ON g.content->'members' ? l.object
    WHERE g.kind = 'group' AND g.removed IS NULL
    GROUP BY g.key, g.content, l.class, l.k
    HAVING count(*) = (SELECT count(DISTINCT w.object) FROM way w WHERE g.content->'members' ? w.object AND w.class = l.class);

-- What is under a service, each in its classes: links and groups.
CREATE TEMP TABLE service AS
    SELECT s.key AS service, s.content->>'tenant' AS tenant, coalesce(t.content->>'timezone', 'UTC') AS timezone,
           s.content->'over' AS over, (s.content->>'in_service')::timestamptz AS in_service, s.content->>'sla' AS sla, c.class
    FROM plumbline_store.inventory_object s JOIN plumbline_store.inventory_object t ON t.kind = 'tenant' AND t.key = s.content->>'tenant'
    CROSS JOIN LATERAL jsonb_array_elements_text(s.content->'classes') c(class)
    WHERE s.kind = 'service' AND s.removed IS NULL;
CREATE TEMP TABLE service_state AS
    SELECT s.service, s.class, p.k, bool_and(p.up) AS up,
           pg_temp.is_known(count(*) FILTER (WHERE p.up AND p.known), count(*) FILTER (WHERE NOT p.known), count(*)) AS known
    FROM service s JOIN (SELECT object AS part, class, k, up, known FROM link_state
                         UNION ALL SELECT grp, class, k, up, known FROM group_state) p
        ON p.class = s.class AND s.over ? p.part
    GROUP BY s.service, s.class, s.over, p.k HAVING count(*) = jsonb_array_length(s.over);

-- The links under a service, also by way of a group, in the contract's order.
CREATE TEMP TABLE service_link AS
    SELECT s.service, s.class, coalesce(m.object, o.part) AS object, o.place * 1000 + coalesce(m.place, 0) AS place
    FROM service s CROSS JOIN LATERAL jsonb_array_elements_text(s.over) WITH ORDINALITY o(part, place)
    LEFT JOIN plumbline_store.inventory_object g ON g.kind = 'group' AND g.key = o.part
    LEFT JOIN LATERAL jsonb_array_elements_text(g.content->'members') WITH ORDINALITY m(object, place) ON true;

-- --- 5. What counts ----------------------------------------------------------------------
-- A line is one thing that is counted, for a link, a group or a service.
CREATE TEMP TABLE line AS
    SELECT row_number() OVER ()::integer AS line, l.* FROM (
        SELECT 'link' AS scope_kind, object AS scope, object, class, direction, way, dt_ns, p, in_service, NULL::text AS tenant, NULL::text AS sla
        FROM way
        UNION ALL
        SELECT 'service', s.service, w.object, w.class, w.direction, w.way, w.dt_ns, w.p, greatest(s.in_service, w.in_service), s.tenant, s.sla
        FROM service s JOIN service_link USING (service, class) JOIN way w USING (object, class)
        UNION ALL
        SELECT DISTINCT 'group', g.grp, g.grp, g.class, 'both', NULL::integer, c.dt_ns, c.p, NULL::timestamptz, NULL, NULL
        FROM group_state g JOIN class c USING (class)
        UNION ALL
        SELECT s.service_kind, s.service, s.service, s.class, 'both', NULL, c.dt_ns, c.p, s.in_service, s.tenant, s.sla
        FROM (SELECT 'service' AS service_kind, * FROM service) s JOIN class c USING (class)) l;

-- Windows that a line does not count: on the object itself; of a service also on what it is over.  A
-- window on a group's member alone excludes nothing of the group.  Maintenance has to have been
-- announced in time.
CREATE TEMP TABLE uncounted AS
    SELECT DISTINCT l.line, k
    FROM line l
    JOIN plumbline_store.windows('-infinity', 'infinity') x ON x.exclude_from_sla
        AND (x.tenant IS NULL OR x.tenant = l.tenant)
        AND ((x.kind, x.key) = (l.scope_kind, l.scope) OR x.kind = 'attachment' AND (l.scope_kind, l.scope) = ('link', x.key)
             OR l.scope_kind = 'service' AND x.kind IN ('link', 'group')
                AND (SELECT content->'over' ? x.key FROM plumbline_store.inventory_object WHERE kind = 'service' AND key = l.scope))
    LEFT JOIN plumbline_store.inventory_object a ON a.kind = 'sla' AND a.key = l.sla
    CROSS JOIN LATERAL generate_series(pg_temp.epoch_ns(x.start_at) / l.dt_ns, (pg_temp.epoch_ns(x.end_at) - 1) / l.dt_ns) k
    WHERE x.exclusion <> 'maintenance' OR x.announced_at <= x.start_at - coalesce(a.content->>'notice', '0')::interval;

-- Each line's delta-t.  A line begins with the quarter hour of its in_service.
CREATE TEMP TABLE line_dt AS
    SELECT l.line, s.k, s.up, s.known, s.bad, u.k IS NULL AND s.k * l.dt_ns >= coalesce(pg_temp.epoch_ns(l.in_service), 0) AS counts,
           s.k * l.dt_ns / 900000000000 AS quarter
    FROM line l JOIN (
        SELECT x.line, t.k, t.up, t.known, t.bad FROM line x JOIN state t USING (way)
        UNION ALL SELECT x.line, g.k, g.up, g.known, false FROM line x JOIN group_state g
            ON (x.scope_kind, x.scope, x.class) = ('group', g.grp, g.class)
        UNION ALL SELECT x.line, v.k, v.up, v.known, false FROM line x JOIN service_state v
            ON (x.scope_kind, x.scope, x.class, x.direction) = ('service', v.service, v.class, 'both')) s USING (line)
    LEFT JOIN uncounted u ON u.line = l.line AND u.k = s.k
    WHERE s.k * l.dt_ns / 900000000000 >= coalesce(pg_temp.epoch_ns(l.in_service), 0) / 900000000000;
ANALYZE line_dt;

-- --- 6. Counting --------------------------------------------------------------------------

CREATE TEMP TABLE time_count AS
    SELECT line, quarter, count(*) AS dt_total, count(*) FILTER (WHERE counts) AS dt_counted,
           count(*) FILTER (WHERE counts AND up) AS dt_available, count(*) FILTER (WHERE counts AND NOT known) AS dt_undetermined,
           count(*) FILTER (WHERE counts AND NOT known AND up) AS undetermined_up
    FROM line_dt GROUP BY 1, 2;

-- A quarter hour in which nobody measured: as the last delta-t before it was.
INSERT INTO time_count
    WITH ends AS (
        SELECT DISTINCT ON (line, quarter) line, quarter, up FROM line_dt ORDER BY line, quarter, k DESC
    ), less AS (
        SELECT u.line, u.k * l.dt_ns / 900000000000 AS quarter, count(*) AS dts FROM uncounted u JOIN line l USING (line) GROUP BY 1, 2
    )
    SELECT line, quarter, x.dts, x.counted, CASE WHEN up THEN x.counted ELSE 0 END, x.counted, CASE WHEN up THEN x.counted ELSE 0 END
    FROM (SELECT l.line, q.quarter, 900000000000 / l.dt_ns AS dts, 900000000000 / l.dt_ns - coalesce(s.dts, 0) AS counted,
                 (SELECT e.up FROM ends e WHERE e.line = l.line AND e.quarter < q.quarter ORDER BY e.quarter DESC LIMIT 1) AS up
          FROM line l JOIN (SELECT line, min(quarter) AS quarter FROM ends GROUP BY 1) f USING (line)
          CROSS JOIN LATERAL generate_series(f.quarter, extract(epoch FROM :until::timestamptz)::bigint / 900 - 1) q(quarter)
          LEFT JOIN less s ON s.line = l.line AND s.quarter = q.quarter
          WHERE q.quarter NOT IN (SELECT quarter FROM busy)) x;

-- An outage begins where a delta-t that counts is not available and the last that counted was; a
-- quarter hour begins with the A before it.
CREATE TEMP TABLE outage_count AS
    SELECT line, quarter, count(*) AS outages FROM (
        SELECT line, quarter, up, coalesce(lag(up) OVER (PARTITION BY line, quarter ORDER BY k), before) AS was
        FROM (SELECT d.*, first_value(last_up) OVER (PARTITION BY line, quarter ORDER BY k) AS before
              FROM (SELECT *, lag(up, 1, true) OVER (PARTITION BY line ORDER BY k) AS last_up FROM line_dt) d
              WHERE (line, quarter) IN (SELECT line, quarter FROM line_dt WHERE NOT up)) x
        WHERE counts) y
    WHERE was AND NOT up GROUP BY 1, 2;

-- High loss intervals that follow one another have the same difference of number and place.
CREATE TEMP TABLE high_count AS
    SELECT line, quarter, count(*) AS hli, count(*) FILTER (WHERE place = p) AS chli_runs,
           coalesce(sum(CASE WHEN place = p THEN p WHEN place > p THEN 1 END), 0) AS chli_intervals
    FROM (SELECT h.line, h.quarter, l.p, row_number() OVER (PARTITION BY h.line, h.run ORDER BY h.k) AS place
          FROM (SELECT line, k, quarter, k - row_number() OVER (PARTITION BY line ORDER BY k) AS run
                FROM line_dt WHERE counts AND up AND bad) h JOIN line l USING (line)) x
    GROUP BY 1, 2;

-- What was measured, of the delta-t that count.
CREATE TEMP TABLE line_measured AS
    SELECT l.line, d.k, x.quarter, x.up, d.way, d.sent, d.received, d.lost, d.lost_undirected, d.duplicate, d.reordered, d.suspect, d.witness
    FROM line l JOIN dt d USING (way) JOIN line_dt x ON x.line = l.line AND x.k = d.k WHERE x.counts;
CREATE INDEX ON line_measured (way, k);
ANALYZE line_measured;

-- Delays and copies stand with what they were stored with: a delta-t of an unclean row, or a clean
-- row as a whole, which counts only where all of it qualifies.
CREATE TEMP TABLE unit AS
    SELECT row_number() OVER ()::integer AS unit, u.* FROM (
        SELECT series_id, row_start, params_id, number AS in_row, 1::bigint AS dts, 0::bigint AS duplicate, 0::bigint AS reordered,
               delay_count AS count, delay_min_ns AS min_ns, delay_max_ns AS max_ns, over_limit, hist
        FROM stands WHERE delay_count > 0
        UNION ALL
        SELECT r.series_id, r.start, r.params_id, NULL, r.dt_count, r.duplicate, r.reordered, r.delay_count, r.delay_min_ns, r.delay_max_ns,
               r.over_limit, r.hist
        FROM plumbline_store.interval_row r WHERE r.start < :until AND r.flags & 1 = 0) u;
CREATE TEMP TABLE line_unit AS
    SELECT m.line, min(m.quarter) AS quarter, u.unit, bit_or(t.flags) AS flags
    FROM unit u
    JOIN stands t USING (series_id, row_start, params_id)
    JOIN line_measured m ON m.way = t.way AND m.k = t.k AND m.up
    WHERE u.in_row IS NULL OR u.in_row = t.number
    GROUP BY m.line, u.unit, u.dts HAVING count(*) = u.dts;
ANALYZE line_unit;

-- A contract that leaves suspect delays out (the default) leaves out those of the flow that is.
CREATE TEMP TABLE line_delay AS
    SELECT x.line, x.quarter, x.unit
    FROM line_unit x JOIN line l USING (line)
    LEFT JOIN plumbline_store.inventory_object a ON a.kind = 'sla' AND a.key = l.sla
    WHERE a.key IS NULL OR a.content->>'suspect' = 'include'
       OR NOT (x.flags & 158 <> 0 OR x.flags & 32 <> 0 AND l.direction <> 'rt');

CREATE TEMP TABLE again_quarter AS
    SELECT l.scope_kind, l.scope, l.object, l.class, l.direction, to_timestamp(t.quarter * 900) AS start,
           t.dt_total, t.dt_counted, t.dt_available, t.dt_undetermined, coalesce(m.suspect, 0) AS dt_suspect,
           coalesce(m.witness, 0) AS dt_witness, coalesce(o.outages, 0) AS outages,
           coalesce(h.hli, 0) AS hli, coalesce(h.chli_runs, 0) AS chli_runs, coalesce(h.chli_intervals, 0) AS chli_intervals,
           coalesce(m.sent, 0) AS sent, coalesce(m.lost, 0) AS lost, coalesce(m.lost_undirected, 0) AS lost_undirected,
           coalesce(m.sent_raw, 0) AS sent_raw, coalesce(m.lost_raw, 0) AS lost_raw,
           coalesce(m.duplicate, 0) + coalesce(u.duplicate, 0) AS duplicate, coalesce(m.reordered, 0) + coalesce(u.reordered, 0) AS reordered,
           coalesce(d.delay_count, 0) AS delay_count, l.line, t.quarter, t.undetermined_up, coalesce(m.received, 0) AS received
    FROM line l JOIN time_count t USING (line)
    LEFT JOIN outage_count o USING (line, quarter)
    LEFT JOIN high_count h USING (line, quarter)
    LEFT JOIN (SELECT line, quarter, count(*) FILTER (WHERE suspect) AS suspect, count(*) FILTER (WHERE witness) AS witness,
                      sum(sent) FILTER (WHERE up) AS sent, sum(received) FILTER (WHERE up) AS received, sum(lost) FILTER (WHERE up) AS lost,
                      sum(lost_undirected) FILTER (WHERE up) AS lost_undirected, sum(sent) AS sent_raw, sum(lost) AS lost_raw,
                      sum(duplicate) FILTER (WHERE up) AS duplicate, sum(reordered) FILTER (WHERE up) AS reordered
               FROM line_measured GROUP BY 1, 2) m USING (line, quarter)
    LEFT JOIN (SELECT line, quarter, sum(duplicate) AS duplicate, sum(reordered) AS reordered
               FROM line_unit JOIN unit USING (unit) GROUP BY 1, 2) u USING (line, quarter)
    LEFT JOIN (SELECT line, quarter, sum(count) AS delay_count FROM line_delay JOIN unit USING (unit) GROUP BY 1, 2) d USING (line, quarter);

-- --- 7. Objectives --------------------------------------------------------------------------
-- Months of the tenant; the version of the SLA that was valid when one began, or the first.
CREATE TEMP TABLE period AS
    SELECT s.service, s.sla, s.tenant, m.period_start, m.period_end, v.version, v.content,
           greatest(m.period_start, s.in_service, v.valid_from) AS judged_from, m.period_end <= :until AS over
    FROM (SELECT DISTINCT service, sla, tenant, timezone, in_service FROM service WHERE sla IS NOT NULL) s
    CROSS JOIN LATERAL (
        SELECT DISTINCT date_trunc('month', q.start AT TIME ZONE s.timezone) AT TIME ZONE s.timezone AS period_start,
               (date_trunc('month', q.start AT TIME ZONE s.timezone) + interval '1 month') AT TIME ZONE s.timezone AS period_end
        FROM again_quarter q WHERE (q.scope_kind, q.scope) = ('service', s.service)) m
    CROSS JOIN LATERAL (
        SELECT a.version, a.content, (a.content->>'valid_from')::timestamp AT TIME ZONE s.timezone AS valid_from
        FROM plumbline_store.inventory_sla a WHERE a.key = s.sla
        ORDER BY (a.content->>'valid_from')::timestamp AT TIME ZONE s.timezone <= m.period_start DESC,
                 CASE WHEN (a.content->>'valid_from')::timestamp AT TIME ZONE s.timezone <= m.period_start THEN -a.version ELSE a.version END
        LIMIT 1) v;

CREATE TEMP TABLE objective AS
    SELECT p.service, p.period_start, p.period_end, p.judged_from, p.over, p.content->>'undetermined' AS undetermined, o.number,
           o.content->>'class' AS class, o.content->>'metric' AS metric, o.content->>'direction' AS direction,
           CASE WHEN o.content->>'limit' LIKE '%\%' THEN pg_temp.milli_percent(o.content->>'limit')
                WHEN o.content->>'limit' ~ '[a-z]$' THEN pg_temp.ns(o.content->>'limit') ELSE (o.content->>'limit')::bigint END AS limit_value,
           substring(o.content->>'metric' FROM '^[a-z]+(?:_raw|_ratio)?') AS kind,
           (replace(substring(o.content->>'metric' FROM '_p([0-9_]+)$'), '_', '.')::numeric * 1000)::bigint AS quantile
    FROM period p CROSS JOIN LATERAL jsonb_array_elements(p.content->'objectives') WITH ORDINALITY o(content, number);

-- The lines that an objective is about, with the sums of their quarter hours.
CREATE TEMP TABLE candidate AS
    SELECT o.*, q.line, q.object, q.direction AS line_direction, s.place, l.way, l.dt_ns,
           sum(q.dt_total)::bigint AS dt_total, sum(q.dt_counted)::bigint AS dt_counted, sum(q.dt_available)::bigint AS dt_available,
           sum(q.dt_undetermined)::bigint AS dt_undetermined, sum(q.undetermined_up)::bigint AS undetermined_up,
           sum(q.hli)::bigint AS hli, sum(q.chli_runs)::bigint AS chli, sum(q.sent)::bigint AS sent, sum(q.received)::bigint AS received,
           sum(q.lost)::bigint AS lost, sum(q.sent_raw)::bigint AS sent_raw, sum(q.lost_raw)::bigint AS lost_raw,
           sum(q.duplicate)::bigint AS duplicate, sum(q.reordered)::bigint AS reordered,
           (pg_temp.epoch_ns(o.period_end) - pg_temp.epoch_ns(o.judged_from)) / l.dt_ns AS period_dt,
           (pg_temp.epoch_ns(o.period_end) - pg_temp.epoch_ns(o.judged_from)) / w.period_ns * w.flows AS period_packets
    FROM objective o
    JOIN again_quarter q ON (q.scope_kind, q.scope, q.class) = ('service', o.service, o.class)
        AND q.start >= o.period_start AND q.start < o.period_end
        AND CASE WHEN o.kind = 'availability' THEN q.direction = 'both'
                 WHEN o.kind = 'rt' OR o.direction = 'rt' THEN q.direction = 'rt'
                 ELSE q.direction IN ('fwd', 'bwd') AND o.direction IN ('both', q.direction) END
    JOIN line l USING (line) LEFT JOIN way w USING (way)
    LEFT JOIN service_link s ON (s.service, s.class, s.object) = (o.service, o.class, q.object)
    GROUP BY o.service, o.period_start, o.period_end, o.judged_from, o.over, o.undetermined, o.number, o.class, o.metric, o.direction,
             o.limit_value, o.kind, o.quantile, q.line, q.object, q.direction, s.place, l.way, l.dt_ns, w.period_ns, w.flows;

-- Delays: histograms merged, and what was exactly over the limit.  A limit's direction is the session's:
-- of the second end's sessions the other way round.
CREATE TEMP TABLE candidate_unit AS
    SELECT c.number, c.service, c.period_start, c.line, u.*
    FROM candidate c JOIN line_delay d USING (line) JOIN unit u USING (unit)
    WHERE c.quantile IS NOT NULL AND to_timestamp(d.quarter * 900) >= c.period_start AND to_timestamp(d.quarter * 900) < c.period_end;
CREATE TEMP TABLE delay AS
    SELECT c.service, c.period_start, c.number, c.line, sum(u.count)::bigint AS samples, min(u.min_ns) AS min_ns, max(u.max_ns) AS max_ns,
           sum(coalesce(u.over_limit[x.i], 0))::bigint AS over_exactly, bool_and(x.i IS NOT NULL) AS compared
    FROM candidate c JOIN candidate_unit u USING (service, period_start, number, line)
    JOIN plumbline_store.series s USING (series_id) JOIN plumbline_store.params p USING (params_id)
    LEFT JOIN LATERAL (
        SELECT i::integer AS i FROM jsonb_array_elements(p.limits) WITH ORDINALITY x(content, i)
        WHERE x.content->>'metric' = 'delay' AND (x.content->>'limit_ns')::bigint = c.limit_value AND c.kind IN ('rt', 'fd')
          AND x.content->>'direction' = CASE WHEN s.observer_end = 1 THEN translate(c.line_direction, 'fb', 'bf') ELSE c.line_direction END
        LIMIT 1) x ON true
    GROUP BY 1, 2, 3, 4;
CREATE TEMP TABLE bucket AS
    SELECT u.service, u.period_start, u.number, u.line, b.lower_ns, b.upper_ns, sum(b.count)::bigint AS count
    FROM candidate_unit u CROSS JOIN LATERAL plumbline.hist_buckets(u.hist) b GROUP BY 1, 2, 3, 4, 5, 6;

-- Of a percentile: base is what the limit starts from; over, how many samples are, surely and perhaps.
CREATE TEMP TABLE percentile AS
    WITH asked AS (
        SELECT c.service, c.period_start, c.number, c.line, c.limit_value, d.samples, d.min_ns, d.max_ns, d.over_exactly, d.compared,
               CASE WHEN c.kind IN ('fdr', 'pdv') THEN d.min_ns ELSE 0 END AS base,
               (d.samples * c.quantile + 99999) / 100000 AS rank
        FROM candidate c JOIN delay d USING (service, period_start, number, line)
    ), summed AS (
        SELECT a.*, b.lower_ns, b.upper_ns, b.count, sum(b.count) OVER (PARTITION BY service, period_start, number, line ORDER BY b.lower_ns) AS so_far
        FROM asked a JOIN bucket b USING (service, period_start, number, line)
    )
    SELECT service, period_start, number, line, samples, rank, base,
           CASE WHEN compared THEN over_exactly
                ELSE coalesce(sum(count) FILTER (WHERE greatest(lower_ns, min_ns) > base + limit_value), 0) END::bigint AS surely,
           CASE WHEN compared THEN over_exactly
                ELSE coalesce(sum(count) FILTER (WHERE least(upper_ns - 1, max_ns) > base + limit_value), 0) END::bigint AS perhaps,
           least(greatest(min(lower_ns + (upper_ns - lower_ns) / 2) FILTER (WHERE so_far >= rank), min_ns), max_ns) - base AS middle
    FROM summed GROUP BY service, period_start, number, line, samples, rank, base, compared, over_exactly, min_ns, max_ns;

-- --- 8. Verdicts --------------------------------------------------------------------------------

-- Of n packets, each of which is counted with probability p, the probability that at most k are:
-- Clopper and Pearson's interval ends where this, or its complement, is 2.5 %.  Each term follows
-- from the one before.
CREATE FUNCTION pg_temp.at_most(k bigint, n bigint, p float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN k < 0 THEN 0 ELSE (
        SELECT sum(CASE WHEN term > -700 THEN exp(term) ELSE 0 END) FROM (
            SELECT n * ln(1 - p) + sum(CASE WHEN i = 0 THEN 0 ELSE ln((n - i + 1)::float8 / i * p / (1 - p)) END) OVER (ORDER BY i) AS term
            FROM generate_series(0, least(k, n)) i) x) END
$$;

-- The verdict on part of whole against a share of limit milli-percent, and its doubt.
CREATE FUNCTION pg_temp.ratio(part bigint, whole bigint, limit_milli bigint, OUT verdict text, OUT doubt text) LANGUAGE sql IMMUTABLE AS $$
    SELECT v.verdict, CASE WHEN v.verdict <> 'not decidable' THEN 'none' WHEN whole = 0 THEN 'no_data'
                           WHEN whole * limit_milli < 300000 THEN 'few_samples' ELSE 'in_interval' END
    FROM (SELECT CASE
        WHEN whole = 0 THEN 'not decidable'
        WHEN limit_milli = 0 OR limit_milli >= 100000 OR part > whole THEN CASE WHEN part * 100000 > limit_milli * whole THEN 'missed' ELSE 'met' END
        WHEN part * 100000 > limit_milli * whole THEN
            CASE WHEN 1 - pg_temp.at_most(part - 1, whole, limit_milli / 100000.0) < 0.025 THEN 'missed' ELSE 'not decidable' END
        WHEN pg_temp.at_most(part, whole, limit_milli / 100000.0) < 0.025 THEN 'met'
        ELSE 'not decidable' END AS verdict) v
$$;

-- The verdict on samples of which so many are over, and few of them are allowed to be.
CREATE FUNCTION pg_temp.quantile(surely bigint, perhaps bigint, samples bigint, quantile bigint, OUT verdict text, OUT doubt text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN few THEN 'not decidable' WHEN missed THEN 'missed' WHEN met THEN 'met' ELSE 'not decidable' END,
           CASE WHEN few THEN 'few_samples' WHEN missed OR met THEN 'none' ELSE 'bucket' END
    FROM (SELECT missed, met, samples < (300000 + 99999 - quantile) / (100000 - quantile)
              AND NOT (missed AND 1 - pg_temp.at_most(surely - 1, samples, (100000 - quantile) / 100000.0) < 0.025) AS few
          FROM (SELECT surely > allowed AS missed, perhaps <= allowed AS met
                FROM (SELECT samples - (samples * quantile + 99999) / 100000 AS allowed) a) b) c
$$;

-- Every candidate's result.  While a period runs, 'missed' is what nothing that is to come can mend,
-- else it is 'met', so far, with the doubt of what is there.
CREATE TEMP TABLE result AS
    WITH figure AS (
        SELECT c.*, f.final_dt, f.final_packets, r.part, r.whole, p.samples, p.surely, p.perhaps, p.rank, p.middle
        FROM candidate c
        LEFT JOIN percentile p USING (service, period_start, number, line)
        CROSS JOIN LATERAL (SELECT
            CASE WHEN c.over THEN c.dt_counted ELSE greatest(c.period_dt - (c.dt_total - c.dt_counted), c.dt_counted) END AS final_dt,
            c.period_packets AS final_packets) f
        CROSS JOIN LATERAL (SELECT
            CASE c.kind WHEN 'flr' THEN c.lost WHEN 'flr_raw' THEN c.lost_raw WHEN 'duplicate_ratio' THEN c.duplicate
                WHEN 'reorder_ratio' THEN c.reordered WHEN 'hli' THEN c.hli WHEN 'chli' THEN c.chli
                WHEN 'availability' THEN CASE c.undetermined WHEN 'available' THEN c.dt_available + c.dt_undetermined - c.undetermined_up
                    WHEN 'unavailable' THEN c.dt_available - c.undetermined_up WHEN 'excluded' THEN c.dt_available - c.undetermined_up
                    ELSE c.dt_available END
                ELSE coalesce(p.surely, 0) END AS part,
            CASE c.kind WHEN 'flr' THEN c.sent WHEN 'duplicate_ratio' THEN c.sent WHEN 'flr_raw' THEN c.sent_raw
                WHEN 'reorder_ratio' THEN c.received WHEN 'hli' THEN c.dt_counted WHEN 'chli' THEN c.dt_counted
                WHEN 'availability' THEN c.dt_counted - CASE WHEN c.undetermined = 'excluded' THEN c.dt_undetermined ELSE 0 END
                ELSE coalesce(p.samples, 0) END AS whole) r
    ), counted AS (
        SELECT f.*, f.whole - f.part AS down, 100000 - f.limit_value AS allowed_milli,
               f.dt_undetermined - f.undetermined_up AS undetermined_down
        FROM figure f WHERE f.kind IN ('availability', 'hli', 'chli')
    )
    -- Counts of delta-t.
    SELECT service, period_start, number, line, object, line_direction, place, part, whole,
           CASE WHEN whole = 0 THEN CASE WHEN dt_total > 0 AND dt_undetermined = 0 THEN 'met' ELSE 'not decidable' END
                WHEN kind = 'availability' THEN CASE WHEN down * 100000 > allowed_milli * final_dt THEN 'missed' ELSE 'met' END
                ELSE CASE WHEN part > limit_value THEN 'missed' ELSE 'met' END END AS verdict,
           CASE WHEN whole = 0 THEN 'no_data'
                WHEN kind = 'availability' AND coalesce(undetermined, 'last') = 'last'
                    AND ((down - undetermined_down) * 100000 > allowed_milli * final_dt)
                     <> ((down + undetermined_up) * 100000 > allowed_milli * final_dt) THEN 'undetermined' ELSE 'none' END AS doubt,
           CASE WHEN whole > 0 THEN CASE WHEN kind = 'availability' THEN part * 100000 / whole ELSE part END END AS value,
           CASE WHEN whole = 0 THEN 0 WHEN kind = 'availability' THEN allowed_milli * final_dt / 100000 ELSE limit_value END AS budget,
           CASE WHEN whole = 0 THEN 0 WHEN kind = 'availability' THEN down ELSE part END AS used,
           CASE WHEN whole > 0 THEN CASE WHEN kind = 'availability' THEN down::numeric / whole ELSE part END END AS badness
    FROM counted
    UNION ALL
    -- Ratios of packets.
    SELECT service, period_start, number, line, object, line_direction, place, part, whole,
           CASE WHEN whole = 0 OR over THEN now_.verdict WHEN spent THEN then_.verdict ELSE 'met' END,
           CASE WHEN whole > 0 AND NOT over AND spent THEN then_.doubt ELSE now_.doubt END,
           CASE WHEN whole > 0 THEN (part * 100000 + whole - 1) / whole END,
           CASE WHEN whole = 0 THEN 0 ELSE limit_value * final / 100000 END, CASE WHEN whole = 0 THEN 0 ELSE part END,
           CASE WHEN whole > 0 THEN part::numeric / whole END
    FROM figure f
    CROSS JOIN LATERAL (SELECT CASE WHEN f.over THEN f.whole ELSE greatest(f.final_packets, f.whole) END AS final) x
    CROSS JOIN LATERAL (SELECT f.part * 100000 > f.limit_value * final AS spent) s
    CROSS JOIN LATERAL pg_temp.ratio(f.part, f.whole, f.limit_value) now_
    CROSS JOIN LATERAL pg_temp.ratio(f.part, final, f.limit_value) then_
    WHERE f.kind IN ('flr', 'flr_raw', 'duplicate_ratio', 'reorder_ratio')
    UNION ALL
    -- Percentiles of delay.
    SELECT service, period_start, number, line, object, line_direction, place, part, whole,
           CASE WHEN whole = 0 THEN 'not decidable' WHEN over THEN now_.verdict WHEN then_.verdict = 'missed' THEN 'missed' ELSE 'met' END,
           CASE WHEN whole = 0 THEN 'no_data' WHEN NOT over AND then_.verdict = 'missed' THEN 'none' ELSE now_.doubt END,
           CASE WHEN whole = 0 THEN NULL
                WHEN perhaps <= whole - rank THEN least(middle, limit_value)
                WHEN surely > whole - rank THEN greatest(middle, limit_value + 1)
                ELSE middle END,
           CASE WHEN whole = 0 THEN 0 ELSE final - (final * quantile + 99999) / 100000 END, part,
           CASE WHEN whole = 0 THEN NULL
                WHEN perhaps <= whole - rank THEN least(middle, limit_value)
                WHEN surely > whole - rank THEN greatest(middle, limit_value + 1)
                ELSE middle END
    FROM figure f
    CROSS JOIN LATERAL (SELECT CASE WHEN f.over THEN f.whole ELSE greatest(f.final_packets, f.whole) END AS final) x
    CROSS JOIN LATERAL pg_temp.quantile(coalesce(f.surely, 0), coalesce(f.perhaps, 0), f.whole, f.quantile) now_
    CROSS JOIN LATERAL pg_temp.quantile(coalesce(f.surely, 0), coalesce(f.perhaps, 0), final, f.quantile) then_
    WHERE f.quantile IS NOT NULL;

-- The worst part stands for the service: missed before not decidable before met, then by value.
CREATE TEMP TABLE again_objective AS
    SELECT DISTINCT ON (o.service, o.period_start, o.number)
           o.service, o.period_start, o.number, o.class, o.metric, o.direction, o.limit_value,
           coalesce(r.verdict, 'not decidable') AS verdict, coalesce(r.doubt, 'no_data') AS doubt, r.value,
           r.object || ' ' || r.line_direction AS worst, coalesce(r.part, 0) AS part, coalesce(r.whole, 0) AS whole,
           coalesce(r.budget, 0) AS budget, coalesce(r.used, 0) AS used, o.over
    FROM objective o LEFT JOIN result r USING (service, period_start, number)
    ORDER BY o.service, o.period_start, o.number, array_position(ARRAY['missed', 'not decidable', 'met'], r.verdict),
             r.value IS NULL, r.badness DESC NULLS LAST, r.used::numeric / nullif(r.budget, 0) DESC NULLS FIRST,
             r.place, array_position(ARRAY['fwd', 'bwd', 'rt', 'both'], r.line_direction);
