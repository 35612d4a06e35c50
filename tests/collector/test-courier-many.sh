#!/bin/bash
# test-courier-many.sh - many messages of a hook under way at once, over a real PostgreSQL: order
# within a problem, a collector that is killed meanwhile, a target that asks to wait.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
# shellcheck source=tests/lib/outbox.sh
. "$here/../lib/outbox.sh"
store_begin courier-many redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
printf 'whsec_%s\n' "$(printf '%s' 'a secret of the test, of 32 bytes' | base64)" >"$hooks/key"
chmod 600 "$hooks/key"
{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes: { p1: { site: a, address: 192.0.2.1 } }' 'hooks:'
    for i in good order later; do
        echo "  $i: { kind: webhook, url: \"${SINK_URL[near]}/$i\", ca_file: ca.pem, secret_file: key, timeout: 60s }"
    done
} >"$STORE_INVENTORY"
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
collector() { store_collector one "hook_folder: $hooks"; }
collector
counts() { # HOOK [WHERE]: how many rows, of how many problems.
    sql "SELECT count(*), count(DISTINCT problem) FROM plumbline_store.outbox WHERE hook = '$1' AND ${2:-true}"
}
done_of() { echo "SELECT count(*) FROM plumbline_store.outbox WHERE hook = '$1' AND state = 'done'"; }

# --- What is taken makes room for more ---
many order 1 60 open
becomes 'sixty are delivered' 60 "$(done_of order)"
check_equal 'each once' '60 60' "$(sink_count near '.path == "/order"') $(sink_record near 'select(.path == "/order") | .headers["webhook-id"]' | sort -u | wc -l)"

# --- Order, while many are under way ---
sink_control near '[{"path": "/order", "hang": true}]'
many order 101 105 open resolve open
becomes 'five problems that hang' 5 "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'order' AND problem > 100 AND tries = 1"
check 'they came there' wait_for 30 sink_has near 65 '.path == "/order"'
many good 1 40 open resolve
becomes 'another hook waits for none of them' 80 "$(done_of good)"
check_equal 'each has one under way, its first' $'5\t5' "$(counts order "tries > 0 AND problem > 100 AND event->>'revision' = '1'")"
check_equal 'and what follows waits' $'10\t5' "$(counts order 'tries = 0')"
many order 106 140 open
becomes 'sixteen are under way and no more' 16 "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'order' AND tries = 1 AND state = 'waiting'"
check 'they came there too' wait_for 30 sink_has near 76 '.path == "/order"'
many good 41 80 open resolve
becomes 'another hook waits for none of those' 160 "$(done_of good)"
check_equal 'sixteen problems, still' $'16\t16' "$(counts order "tries > 0 AND state = 'waiting'")"

# --- Killed with all of them under way ---
stop one KILL 5
sink_control near '[]'
check_equal 'killed meanwhile: sixteen are known to have been tried' $'16\t16' "$(counts order "tries = 1 AND state = 'waiting'")"
collector
becomes 'all of it is delivered' $'110\tt' "SELECT count(*), bool_and(state = 'done') FROM plumbline_store.outbox WHERE hook = 'order'"
heard() { sink_record near 'select(.path == "/order") | (.body | fromjson | .data | "\(.number) \(.revision) \(.action)") + " " + .headers["webhook-id"]'; }
check_equal 'sixteen came twice' 16 "$(heard | sort | uniq -d | wc -l)"
check_equal 'and none more often' 126 "$(heard | wc -l)"
check_equal 'what came twice has the same key, and nothing else has it' '110 110' "$(heard | sort -u | wc -l) $(heard | cut -d ' ' -f 4 | sort -u | wc -l)"
check_equal 'each problem in order' 'open resolve open' \
    "$(heard | awk '$1 > 100 && $1 < 106 { if (last[$1] != $2) all[$1] = all[$1] (all[$1] ? " " : "") $3; last[$1] = $2 } END { for (i in all) print all[i] }' | sort -u)"

# --- One of many is told to wait ---
many later 1 60 open
becomes 'a hook is good' 60 "$(done_of later)"
sink_control near '[{"path": "/later", "status": 429, "retry_after": "3600", "times": 1}, {"path": "/later", "delay": 1}]'
many later 101 140 open
became() { echo "SELECT count(*) FILTER (WHERE state = 'waiting' AND tries = 1), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE tries = 0)
    FROM plumbline_store.outbox WHERE hook = 'later' AND problem > 100"; }
becomes 'one is told to wait, fifteen that were under way are taken' $'1\t15\t24' "$(became)"
becomes 'the hook waits as long as was asked for' $'failing\tt' "SELECT state, not_before - last_error_at > interval '59 minutes' FROM plumbline_store.hook_state WHERE hook = 'later'"
many good 81 100 open resolve
becomes 'others go on' 200 "$(done_of good)"
check_equal 'it still waits' $'1\t15\t24' "$(sql "$(became)")"
sink_control near '[]'
kick later
becomes 'then all of it goes' 100 "$(done_of later)"
check 'it stops when it is told to' stop one TERM 20
test_end
