#!/bin/bash
# test-desk.sh - from alarm rows to problems and to the outbox, over a real PostgreSQL and
# collector: one link, 400 links of 200 tenants, maintenance, whoever is killed meanwhile.  Alarms
# are written here as a worker would.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin desk redis-server redis-cli

{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {}, b: {}, c: {}, d: {} }' \
        'probes: { pa: { site: a, address: 192.0.2.1 }, pb: { site: b, address: 192.0.2.2 }, pc: { site: c, address: 192.0.2.3 }, pd: { site: d, address: 192.0.2.4 } }' \
        'routers: { r1: { site: a } }' \
        'classes: { gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }, be: { dscp: cs0, period: 100ms, size: 128, dt: 1s } }' 'links:'
    for i in $(seq 400); do
        echo "  l$i: { state: active, classes: [gold, be], risks: [duct], ends: [ { probe: pa, address: 10.1.$((i / 200)).$((i % 200)) }, { probe: pb, address: 10.2.$((i / 200)).$((i % 200)) } ] }"
    done
    for i in 1 2 3 4 5 6; do
        echo "  x$i: { state: active, label: Link x$i, classes: [gold, be], labels: { carrier: colt }, ends: [ { probe: pc, address: 10.3.0.$i }, { probe: pd, address: 10.4.0.$i } ] }"
    done
    echo 'groups: { pair: { need: 1, members: [x1, x2] } }'
    echo 'tenants:'
    for i in $(seq 200); do echo "  tenant$i: { label: Tenant number $i. }"; done
    echo 'connectors:'
    for i in $(seq 200); do
        for e in p q; do
            echo "  k$i$e: { tenant: tenant$i, site: a, attachments: { main: { port: { router: r1, interface: $e$i } } } }"
        done
    done
    echo 'services:'
    for i in $(seq 200); do
        echo "  s$i: { tenant: tenant$i, ends: [k${i}p, k${i}q], over: [l$i, l$((i + 200))], classes: [gold], label: Service number $i. }"
    done
    echo '  s201: { tenant: tenant1, ends: [k1p, k1q], over: [pair], classes: [gold] }'
    echo 'hooks:'
    echo '  noc: { kind: webhook, url: "https://127.0.0.1:1/noc", secret_file: k }'
    echo '  grave: { kind: webhook, url: "https://127.0.0.1:1/grave", secret_file: k, when: { severity: [critical] } }'
    for i in $(seq 200); do
        echo "  h$i: { kind: webhook, url: \"https://127.0.0.1:1/$i\", secret_file: k, when: { tenant: tenant$i }, view: tenant }"
    done
} >"$TEST_DIR/inventory.yaml"
store_start
check 'the inventory is right' plumbline check "$TEST_DIR/inventory.yaml" || test_end
plumbline apply --yes >/dev/null 2>&1
collector() { store_collector one 'hold: 20s' 'gather: 2s'; }
collector

# raise RULE METRIC SEVERITY CLASSES LINK ...: as a worker does, each link and class.
raise() {
    local rule=$1 metric=$2 severity=$3 classes=$4
    shift 4
    sql "WITH a AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, class, observer, began, raised, decided, details)
        SELECT '$rule', '$metric', '$severity', 'link', l, c, 'pa', now() - interval '3 s', now(), now(),
            '{\"value\": 100000, \"worst\": 100000, \"limit\": 50000, \"unit\": \"milli_percent\", \"fwd\": {\"lost\": 10}, \"bwd\": {\"lost\": 10}, \"sent\": 20}'
        FROM unnest(string_to_array('$*', ' ')) l, unnest(string_to_array('$classes', ' ')) c RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
cut() { raise cut flr critical 'gold be' "$@"; }
# clear LINK ...: all that is raised on them.
clear() {
    sql "WITH a AS (UPDATE plumbline_store.alarm SET cleared = now(), ended = now() - interval '10 s', decided = now(), changed_at = now()
        WHERE cleared IS NULL AND object = ANY (string_to_array('$*', ' ')) RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
# again LINK ...: what was cleared last is raised again, the same rows.
again() {
    sql "WITH a AS (UPDATE plumbline_store.alarm SET cleared = NULL, ended = NULL, flaps = flaps + 1, decided = now(), changed_at = now()
        WHERE id IN (SELECT max(id) FROM plumbline_store.alarm WHERE object = ANY (string_to_array('$*', ' ')) GROUP BY object, class) RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
# problem ID: in words.
problem() { echo "SELECT state, severity, what, cause_kind, cause, coalesce(held, '') FROM plumbline_store.problem WHERE id = $1"; }
# last: the number of the newest.
last() { sql 'SELECT max(id) FROM plumbline_store.problem'; }
told() { echo "SELECT string_agg(action, ' ' ORDER BY id) FROM plumbline_store.outbox WHERE problem = $1 AND hook = '$2'"; }

# --- One link ---
cut x1
becomes 'one link makes one problem' "$(printf 'open\tcritical\tloss\tlink\tx1\t')" "$(problem 1)"
becomes 'of which the operator is told' 'open' "$(told 1 noc)"
check_equal 'in words' 'cut: link x1, 100% lost, gold and be, both directions' "$(sql 'SELECT title FROM plumbline_store.problem WHERE id = 1')"
check_equal 'whose hook gets the same' 'cut: link x1, 100% lost, gold and be, both directions' "$(sql "SELECT event->>'title' FROM plumbline_store.outbox WHERE hook = 'noc'")"
check_equal 'the tenant over the group is told as well' 'open' "$(sql "$(told 1 h1)")"
check_equal 'that his service has less in reserve' "$(printf 's201\tfalse')" "$(sql "SELECT event->'services'->0->>'key', event->'services'->0->>'bad' FROM plumbline_store.outbox WHERE hook = 'h1'")"
check_equal 'and nobody else' 3 "$(sql 'SELECT count(*) FROM plumbline_store.outbox')"
clear x1
becomes 'clear: it is over at once' "$(printf 'ended\tcritical\tloss\tlink\tx1\t')" "$(problem 1)"
becomes 'which is told' 'open resolve' "$(told 1 noc)"
becomes 'to the tenant too' 'open resolve' "$(told 1 h1)"
check_equal 'the inbox is empty' 0 "$(sql 'SELECT count(*) FROM plumbline_store.alarm_news')"
test_end
