#!/bin/bash
# test-courier.sh - from the outbox to the targets, over a real PostgreSQL and Redis: each way that
# a target can fail beside one that is good, order, commands, and whoever is killed meanwhile.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
store_begin courier redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
check 'another does' sink_start far || test_end
sink_stop far
metrics=127.0.0.1:$(free_port)
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
printf 'whsec_%s\n' "$(printf '%s' 'a secret of the test, of 32 bytes' | base64)" >"$hooks/key"
chmod 600 "$hooks/key"

# webhook NAME [TIMEOUT [KEY: VALUE, ...]]: at its own path of the near sink.
webhook() { echo "  $1: { kind: webhook, url: \"${SINK_URL[near]}/$1\", ca_file: ca.pem, timeout: ${2:-20s}${3:+, $3} }"; }
signed() { webhook "$1" "${2:-20s}" "secret_file: ${3:-key}"; }
inventory() { # HOOK ...: those of the test, but these.
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes: { p1: { site: a, address: 192.0.2.1 } }' 'hooks:'
    {
        for i in good later wrong gone bad huge garbled moved kill; do signed $i; done
        for i in hang trickle; do signed $i 60s; done
        signed slow 1s
        signed lost 20s missing
        echo "  refused: { kind: webhook, url: \"${SINK_URL[far]}/refused\", ca_file: ca.pem, secret_file: key }"
        echo "  stranger: { kind: webhook, url: \"${SINK_URL[near]}/stranger\", secret_file: key }"
        webhook beat 20s 'secret_file: key, heartbeat: 10s'
        for i in run fail; do echo "  $i: { kind: exec, command: $TEST_DIR/$i }"; done
        echo "  stay: { kind: exec, command: $TEST_DIR/stay, timeout: 1s }"
    } | grep -v "^  \\($*\\):"
}
inventory none >"$STORE_INVENTORY"
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
collector() { store_collector one "hook_folder: $hooks" "metrics: { listen: \"$metrics\" }"; }

# put HOOK PROBLEM ACTION ...: rows of one transaction.
put() {
    local hook=$1 problem=$2 action all=
    shift 2
    for action in "$@"; do
        all+="INSERT INTO plumbline_store.outbox (hook, problem, action, event) SELECT '$hook', $problem, '$action',
            jsonb_build_object('id', 'test-$problem', 'number', $problem, 'revision', (SELECT count(*) + 1 FROM plumbline_store.outbox
            WHERE hook = '$hook' AND problem = $problem), 'installation', 'test', 'action', '$action', 'at', '2026-11-22T03:14:15.123Z',
            'state', CASE '$action' WHEN 'resolve' THEN 'ended' ELSE 'open' END, 'severity', 'critical', 'what', 'loss',
            'title', 'link l$problem is cut', 'text', 'it is', 'rules', '[\"cut\"]'::jsonb, 'began', '2026-11-22T03:14:10Z', 'ended', NULL,
            'cause', '{\"kind\": \"link\", \"key\": \"l\", \"label\": \"l\", \"text\": \"alone\"}'::jsonb, 'links', '[]'::jsonb,
            'services', '[]'::jsonb, 'tenants', '[]'::jsonb, 'counts', '{}'::jsonb, 'evidence', '[]'::jsonb);"
    done
    sql "BEGIN; $all NOTIFY plumbline_outbox; COMMIT"
}
# rows HOOK [PROBLEM]: SQL for what became of each, in order.
rows() { echo "SELECT string_agg(action || ' ' || state || ' ' || tries, ', ' ORDER BY id) FROM plumbline_store.outbox WHERE hook = '$1'${2:+ AND problem = $2}"; }
hook() { echo "SELECT state || ' ' || failures FROM plumbline_store.hook_state WHERE hook = '$1'"; }
why() { echo "SELECT last_error FROM plumbline_store.outbox WHERE hook = '$1' ORDER BY id LIMIT 1"; }
# kick HOOK: it need not wait any longer; as the operator's "hooks retry".
kick() {
    sql "UPDATE plumbline_store.hook_state SET state = 'good', failures = 0, not_before = NULL WHERE hook = '$1';
        UPDATE plumbline_store.outbox SET next_try = now(), state = 'waiting', ended_at = NULL, tries = 0 WHERE hook = '$1' AND state IN ('waiting', 'dead');
        NOTIFY plumbline_outbox"
}
# told HOOK: what the near sink heard at its path, in order.
told() { sink_record "${2:-near}" "select(.path == \"/$1\") | .body | fromjson | .data // . | \"\\(.number) \\(.action)\"" | paste -sd, ; }
collector

# --- What is good ---
put good 1 open
becomes 'what is in the outbox is delivered' 'open done 1' "$(rows good)"
check_equal 'it came to the target, once' '1 open' "$(told good)"
check 'the journal says who delivers' wait_for 20 grep -q 'delivers what is said to' "$TEST_DIR/one.log"
test_end
