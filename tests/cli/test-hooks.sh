#!/bin/bash
# shellcheck disable=SC2317
# test-hooks.sh - `plumbline hooks` beside a collector that delivers: what a test says of each end
# that it can come to, and what was given up is taken up again.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
store_begin hooks redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
printf 'whsec_%s\n' "$(printf '%s' 'a secret of the test, of 32 bytes' | base64)" >"$hooks/key"
chmod 600 "$hooks/key"
printf '#!/bin/sh\nexec cat >%s/heard\n' "$TEST_DIR" >"$TEST_DIR/good"
printf '#!/bin/sh\nprintf "no \\033[2Jsuch pager\\n"; exit 3\n' >"$TEST_DIR/bad"
chmod 755 "$TEST_DIR/good" "$TEST_DIR/bad"
webhook() { echo "  $1: { kind: webhook, url: \"${SINK_URL[near]}/$1\", ca_file: ca.pem, secret_file: $2 }"; }
{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes: { p1: { site: a, address: 192.0.2.1 } }' 'hooks:'
    webhook web key
    webhook gone key
    webhook later key
    webhook lost missing
    echo "  good: { kind: exec, command: $TEST_DIR/good }"
    echo "  bad: { kind: exec, command: $TEST_DIR/bad }"
} >"$STORE_INVENTORY"
store_start
plumbline apply --yes "$STORE_INVENTORY" >/dev/null
sink_control near '[{"path": "/gone", "status": 410}, {"path": "/later", "status": 500}]'

says_not_wild() { ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$TEST_DIR/out"; }
# test_of HOOK STATUS PATTERN
test_of() {
    does hooks test "$1"
    check_equal "a test of $1: status" "$2" "$status"
    check "a test of $1: told" says "$([[ $2 -le 1 ]] && echo out || echo err)" "$3"
}
test_of web 3 'no collector delivers: start plumbline-collector'
store_collector one "hook_folder: $hooks"
check 'a collector delivers' wait_for 60 grep -q 'delivers what is said to' "$TEST_DIR/one.log"

test_of good 0 '^good: the test was delivered in [0-9.]+ s$'
check_equal 'the command was given the test' 'test info' "$(jq -r '"\(.action) \(.severity)"' "$TEST_DIR/heard")"
test_of bad 1 '^bad: the test was not delivered: .*3'
check 'nothing wild of it is printed' says_not_wild
test_of web 0 'delivered'
check_equal 'the target heard it' test "$(sink_record near 'select(.path == "/web") | .body | fromjson | .data.action')"
test_of lost 1 'lost: the test was not delivered: .*missing'
test_of gone 1 'gone: the test was not delivered: .*410'
test_of gone 2 "hook 'gone' is disabled since"
test_of nobody 2 "has no hook 'nobody'"
does hooks
check 'the list says which is disabled' says out '^gone +webhook +disabled '
check 'the list says what is good' says out '^web +webhook +good '
check 'a collector delivers: nothing is said of it' bash -c "! grep -q 'no collector' '$TEST_DIR/out'"
sink_control near '[{"path": "/later", "status": 500}]'
does hooks retry gone
check 'retry: switched on' says out '^gone: 0 messages are tried again.*; it is switched on again$'
test_of gone 0 'delivered'

# What waits for a target that fails goes at once when it is told to.
sql "INSERT INTO plumbline_store.outbox (hook, problem, action, event) VALUES ('later', 1, 'open', '{\"id\": \"x-1\", \"number\": 1, \"revision\": 1,
    \"installation\": \"x\", \"action\": \"open\", \"at\": \"2026-11-22T03:14:15.123Z\", \"state\": \"open\", \"severity\": \"major\", \"what\": \"loss\",
    \"title\": \"t\", \"text\": \"t\", \"rules\": [\"cut\"], \"began\": \"2026-11-22T03:14:10Z\", \"ended\": null,
    \"cause\": {\"kind\": \"link\", \"key\": \"l\", \"label\": \"l\", \"text\": \"alone\"}, \"links\": [], \"services\": [], \"tenants\": [],
    \"counts\": {}, \"evidence\": []}')"
becomes 'a target that fails' 'failing' "SELECT state FROM plumbline_store.hook_state WHERE hook = 'later'"
sql "UPDATE plumbline_store.outbox SET next_try = now() + interval '1 day' WHERE hook = 'later';
     UPDATE plumbline_store.hook_state SET not_before = now() + interval '1 day' WHERE hook = 'later'"
sink_control near '[]'
does hooks retry later
check_equal 'retry: status' 0 "$status"
becomes 'retry: what waited is delivered' 'done' "SELECT state FROM plumbline_store.outbox WHERE hook = 'later'"
becomes 'retry: the hook is good' good "SELECT state FROM plumbline_store.hook_state WHERE hook = 'later'"
test_end
