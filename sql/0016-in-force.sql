-- 0016-in-force.sql - services that go out of service, which windows were found to count,
-- and sums over very many lines.

SET LOCAL ROLE plumbline_owner;

-- What the judge decided about each window that concerns the service in this period: a list
-- of {"exclusion", "id", "revision", "kind", "key", "excluded_from", "excluded_until", "why"}.
-- Whoever explains a verdict shows this, and decides nothing by itself.
ALTER TABLE plumbline_store.judged_period ADD windows jsonb NOT NULL DEFAULT '[]';

-- Quarter hours that tell something, few among many: so the worst lines of a month are found
-- without reading all of it.  What is shown of them first is in the index itself.
CREATE INDEX judged_quarter_trouble ON plumbline_store.judged_quarter (line_id, start)
    INCLUDE (dt_counted, dt_available, dt_undetermined, hli)
    WHERE dt_available < dt_counted OR dt_undetermined > 0 OR hli > 0;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- A period ends where its service does: so the month is that of the day two weeks after its
-- start, in whatever time zone that is.
CREATE OR REPLACE FUNCTION plumbline.period_name(period_start timestamptz, period_end timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char((period_start + interval '336 hours') AT TIME ZONE 'UTC', 'YYYY-MM')
$$;

-- excluded_from, excluded_until: what of the window is excluded; NULL: nothing.  why, where that is
-- not all: 'notice', announced too late; 'allowance', what the month allows is used up.
CREATE VIEW plumbline.v_judged_window WITH (security_barrier) AS
    SELECT p.service, p.period_start, w.exclusion, w.id, w.revision, w.kind, w.key,
           to_timestamp(w.excluded_from) AS excluded_from, to_timestamp(w.excluded_until) AS excluded_until, w.why
    FROM plumbline_store.judged_period p
    CROSS JOIN LATERAL jsonb_to_recordset(p.windows) AS w(exclusion text, id bigint, revision integer, kind text, key text,
        excluded_from double precision, excluded_until double precision, why text);

-- v_availability by line_id: for sums over many lines, which are named (v_line) once they are few.
CREATE VIEW plumbline.v_line_quarter WITH (security_barrier) AS
    SELECT line_id, start, until, dt_total, dt_counted, dt_available, dt_undetermined, outages, hli, chli_runs
    FROM plumbline_store.judged_quarter;

GRANT SELECT ON plumbline.v_judged_window, plumbline.v_line_quarter TO plumbline_reader, plumbline_owner;

RESET ROLE;
