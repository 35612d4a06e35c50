-- 0022-outbox.sql - who writes many rows of the outbox does so one after the other.

SET LOCAL ROLE plumbline_owner;

-- First in each transaction that writes several rows of the outbox, or of it and of hook_state: whoever
-- waits for it has locked nothing that another waits for.  Without: the desk, which only adds;
-- and whoever takes rows with SKIP LOCKED.
CREATE FUNCTION plumbline_store.outbox_lock() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(1886157934, 10)
$$;
REVOKE ALL ON FUNCTION plumbline_store.outbox_lock() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plumbline_store.outbox_lock() TO plumbline_writer;

-- As in 0020, and the lock.
CREATE OR REPLACE FUNCTION plumbline_store.hook_retry(hook text, OUT before text, OUT again bigint, OUT left_out bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM plumbline_store.hook_known(hook);
    PERFORM plumbline_store.outbox_lock();
    UPDATE plumbline_store.outbox o SET state = 'superseded'
        WHERE o.hook = hook_retry.hook AND o.state = 'dead' AND (o.action IN ('remind', 'test', 'heartbeat') OR EXISTS (
            SELECT FROM plumbline_store.outbox n
            WHERE n.hook = o.hook AND n.problem = o.problem AND n.id > o.id AND n.state = 'done'));
    GET DIAGNOSTICS left_out = ROW_COUNT;
    UPDATE plumbline_store.outbox o SET state = 'waiting', tries = 0, ended_at = NULL
        WHERE o.hook = hook_retry.hook AND o.state = 'dead';
    GET DIAGNOSTICS again = ROW_COUNT;
    UPDATE plumbline_store.outbox o SET next_try = clock_timestamp() WHERE o.hook = hook_retry.hook AND o.state = 'waiting';
    SELECT s.state INTO before FROM plumbline_store.hook_state s WHERE s.hook = hook_retry.hook;
    UPDATE plumbline_store.hook_state s SET state = 'good', since = clock_timestamp()
        WHERE s.hook = hook_retry.hook AND s.state = 'disabled';
    UPDATE plumbline_store.hook_state s SET failures = 0, not_before = NULL WHERE s.hook = hook_retry.hook;
    NOTIFY plumbline_outbox;
END
$$;

RESET ROLE;
