#!/bin/bash
# test-courier-retry.sh - `plumbline hooks retry` while the courier writes down what failed: one waits
# for the other, and neither is ended for it.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
# shellcheck source=tests/lib/outbox.sh
. "$here/../lib/outbox.sh"
store_begin courier-retry redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
printf 'whsec_%s\n' "$(printf '%s' 'a secret of the test, of 32 bytes' | base64)" >"$hooks/key"
chmod 600 "$hooks/key"
cat >"$STORE_INVENTORY" <<END
inventory: 1
interval: 60s
sites: { a: {} }
probes: { p1: { site: a, address: 192.0.2.1 } }
hooks:
  gate: { kind: webhook, url: "${SINK_URL[near]}/gate", ca_file: ca.pem, secret_file: key, timeout: 20s }
END
store_start
plumbline apply --yes >/dev/null 2>&1
many gate 101 103 open
sql "UPDATE plumbline_store.outbox SET state = 'dead', ended_at = now()"
store_collector one "hook_folder: $hooks"

# Once a courier has written how a hook is, it stops until nobody has this lock: its transaction has that
# row then, and none of the outbox yet.
sql "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
        IF current_setting('application_name') = 'plumbline-collector courier' THEN
            PERFORM pg_advisory_xact_lock_shared(77, 1);
        END IF;
        RETURN NULL;
    END \$\$;
    CREATE TRIGGER gate AFTER INSERT OR UPDATE ON plumbline_store.hook_state FOR EACH ROW EXECUTE FUNCTION gate()"
# waits APPLICATION: how many of it wait for a lock.
waits() { echo "SELECT count(DISTINCT a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.application_name LIKE '$1'"; }
shut() {
    start holder "$(pg_bin)/psql" -X -q -h "$PG_DIR" -U postgres -d plumbline -c 'SELECT pg_advisory_lock(77, 1)' -c 'SELECT pg_sleep(3600)'
    becomes 'the gate is shut' 1 "SELECT count(*) FROM pg_locks WHERE (classid, objid) = (77, 1) AND granted"
}
retry() {
    "$STORE_BUILD/plumbline" hooks retry gate --config "$TEST_DIR/plumbline.yaml" >"$TEST_DIR/retry.out" 2>&1
    echo $? >"$TEST_DIR/retry.status"
}

put gate 2 open
becomes 'a first message is delivered, and how the hook is written down' 'good 0' "$(hook gate)"
shut
sink_control near '[{"path": "/gate", "status": 503}]'
put gate 1 open
becomes 'the courier is writing down what failed' 1 "$(waits 'plumbline-collector courier')"
check_equal 'it has that its hook fails' 0 "$(sql "SELECT count(*) FROM (SELECT FROM plumbline_store.hook_state WHERE hook = 'gate' FOR UPDATE SKIP LOCKED) h")"
check_equal 'and not yet its row' 1 "$(sql "SELECT count(*) FROM (SELECT FROM plumbline_store.outbox WHERE problem = 1 FOR UPDATE SKIP LOCKED) o")"
sink_control near '[]'
start retry retry
becomes 'the operator waits for it' 1 "$(waits 'plumbline hooks%')"
check_equal 'the gate opens' t "$(sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE (classid, objid) = (77, 1) AND granted")"
check 'the operator is served' wait_for 30 test -s "$TEST_DIR/retry.status"
check_equal 'and told so' 'gate: 3 messages are tried again 0' "$(cat "$TEST_DIR/retry.out" "$TEST_DIR/retry.status" | paste -sd' ')"
becomes 'all of it is delivered' $'5\tt' "SELECT count(*), bool_and(state = 'done') FROM plumbline_store.outbox"
check_equal 'in no deadlock' 0 "$(grep -c 'deadlock detected' "$TEST_DIR/postgres.log")"
check_equal 'the courier never began anew' 0 "$(grep -c 'delivering failed' "$TEST_DIR/one.log")"
check 'it stops when it is told to' stop one TERM 20
test_end
