-- 0022-outbox.sql - who writes many rows of the outbox does so one after the other; and what is new
-- there is known without looking at all that waits.

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

-- Of which hook and problem rows came to wait, or were given up.  The courier takes them away when it has
-- seen which rows of those need not be said any more (collector/courierstore_tidy.c).
CREATE TABLE plumbline_store.outbox_news (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook    text NOT NULL,
    problem bigint NOT NULL
);

CREATE FUNCTION plumbline_store.outbox_added() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO plumbline_store.outbox_news (hook, problem)
        SELECT DISTINCT a.hook, a.problem FROM added a WHERE a.problem IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_added AFTER INSERT ON plumbline_store.outbox REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION plumbline_store.outbox_added();

CREATE FUNCTION plumbline_store.outbox_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO plumbline_store.outbox_news (hook, problem) VALUES (NEW.hook, NEW.problem);
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_changed AFTER UPDATE OF state ON plumbline_store.outbox FOR EACH ROW
    WHEN (NEW.problem IS NOT NULL AND NEW.state <> OLD.state AND NEW.state IN ('waiting', 'dead'))
    EXECUTE FUNCTION plumbline_store.outbox_changed();
REVOKE ALL ON FUNCTION plumbline_store.outbox_added(), plumbline_store.outbox_changed() FROM PUBLIC;

-- Whose turn it is, and whether anything is due: the first rows of a hook, of however many.  By time, of
-- which there is no other index: for an order by number the one of the numbers would be taken, which
-- passes all that is done.
CREATE INDEX outbox_turn ON plumbline_store.outbox (hook, created_at, id) WHERE state = 'waiting';
-- What a target has heard of a problem, or was to hear.
CREATE INDEX outbox_said ON plumbline_store.outbox (hook, problem, id) WHERE state IN ('done', 'dead');

GRANT SELECT, INSERT, DELETE ON plumbline_store.outbox_news TO plumbline_writer;

RESET ROLE;
