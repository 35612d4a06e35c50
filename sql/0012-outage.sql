-- 0012-outage.sql - credits by the length of one outage; connectors' tails as lines.

SET LOCAL ROLE plumbline_owner;

-- A connector's tail is a whole of its own, and no group, which may have the same key.
ALTER TABLE plumbline_store.judged_line DROP CONSTRAINT judged_line_scope_kind_check;
ALTER TABLE plumbline_store.judged_line ADD CONSTRAINT judged_line_scope_kind_check
    CHECK (scope_kind IN ('link', 'group', 'service', 'connector'));

RESET ROLE;
