-- 0012-outage.sql - credits by the length of one outage; connectors' tails as lines.

SET LOCAL ROLE plumbline_owner;

-- A connector's tail is a whole of its own, and no group, which may have the same key.
ALTER TABLE plumbline_store.judged_line DROP CONSTRAINT judged_line_scope_kind_check;
ALTER TABLE plumbline_store.judged_line ADD CONSTRAINT judged_line_scope_kind_check
    CHECK (scope_kind IN ('link', 'group', 'service', 'connector'));

-- credit.reasons is, from here on, what stands of the claims of the period:
-- [{"metric", "class", "credit_milli", "counts", "outage", "until", "length_ns"}].  The last
-- three are there where it is for one outage: from its first to behind its last delta-t, and
-- how long of that counts.  "counts": it is in the sum; where an outage gives more by another
-- reason it is not.
--
-- The outages again, for queries; the key sees to it that none is paid for twice.
CREATE TABLE plumbline_store.credit_outage (
    service      text NOT NULL,
    period_start timestamptz NOT NULL,
    revision     integer NOT NULL,       -- Of the verdict, as in credit.
    start_at     timestamptz NOT NULL,
    end_at       timestamptz NOT NULL,
    length_ns    bigint NOT NULL CHECK (length_ns > 0), -- Without delta-t in it that do not count.
    class        text NOT NULL,
    credit_milli integer NOT NULL CHECK (credit_milli BETWEEN 1 AND 100000),
    counts       boolean NOT NULL,
    PRIMARY KEY (service, period_start, revision, start_at),
    CHECK (start_at >= period_start AND end_at > start_at)
);
GRANT SELECT, INSERT ON plumbline_store.credit_outage TO plumbline_writer;
GRANT SELECT ON plumbline_store.credit_outage TO plumbline_views;

RESET ROLE;
SET LOCAL ROLE plumbline_views;

-- Outages that give credit, of every revision; 'newest' is the one that holds.
CREATE VIEW plumbline.v_credit_outage WITH (security_barrier) AS
    SELECT o.service, o.period_start, p.period_end, p.sla, p.version, o.revision, o.revision = p.revision AS newest,
           o.start_at, o.end_at, o.length_ns, o.class, o.credit_milli, o.counts
    FROM plumbline_store.credit_outage o JOIN plumbline_store.judged_period p USING (service, period_start);
GRANT SELECT ON plumbline.v_credit_outage TO plumbline_reader, plumbline_owner;

RESET ROLE;
