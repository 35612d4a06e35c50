#!/bin/bash
# test-event.sh - what sources tell beside their measurements, over a real PostgreSQL and
# Redis: changes on a session's way and what was refused by name are written once, with the
# rows of their time, whoever is killed meanwhile; what cannot be is counted.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin event redis-server redis-cli

collector() { store_collector one "metrics: { listen: \"127.0.0.1:$port\" }"; }
# counts SOURCE NAME: of the page for Prometheus.
counts() {
    python3 "$here/../netns/metrics.py" get "http://127.0.0.1:$port/metrics" >"$TEST_DIR/page" &&
        python3 "$here/../netns/metrics.py" value "$TEST_DIR/page" "plumbline_collector_source_$2_total{source=\"$1\"}"
}
counts_are() { [[ $(counts "$1" "$2") == "$3" ]]; }
# status_is PYTHON WANTED: of the object that status prints, o.
status_is() { [[ $(plumbline status --json | python3 -c "import json,sys; o=json.load(sys.stdin); print($1)") == "$2" ]]; }

{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: { timezone: Europe/Paris } }' 'probes:'
    for i in 1 2; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }'
    echo 'links: { l1: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] } }'
} >"$TEST_DIR/inventory.yaml"
store_start
port=$(free_port)
collector

now=$(date +%s)
t=$(((now / 3600 - 1) * 3600)) # Within one hour.
all="SELECT source, extract(epoch FROM at)::bigint - $t, kind, object, class, flow, details FROM plumbline.v_event WHERE kind <> 'refused' ORDER BY at, source, kind"
feed <<FEED
source p1
link l1 p2 0
lag 5
epoch 1000
seconds $t 10
event $((t + 10)) 1 0 255
event $((t + 10)) 3 46 0
refused reflector.stranger 5
second $((t + 10))
event $((t + 11)) 4 0 9000
event $((t + 11)) 99 1 2
refused reflector.stranger 2
refused sender.send_errors 1
seconds $((t + 11)) 51
refused late.one 4
seconds $((t + 62)) 8
event $((t + 70)) 2 255 254
second $((t + 70))
source p2
link l1 p1 1
epoch 1000
event $((t + 5)) 1 255 254
seconds $t 71
FEED
becomes 'changes stand there with what they changed, in the frame of the link' \
    "p2	5	ttl	l1	c0	0	{\"to\": 254, \"from\": 255, \"direction\": \"bwd\"}
p1	10	dscp	l1	c0	0	{\"to\": 0, \"from\": 46}
p1	10	ttl	l1	c0	0	{\"to\": 255, \"from\": 0, \"direction\": \"fwd\"}
p1	11	mtu_lost	l1	c0	0	{\"octets\": 9000}" \
    "$all"
check_equal 'what was told in an interval that is not over waits with it' 0 "$(sql "SELECT count(*) FROM plumbline.v_event WHERE at >= to_timestamp($((t + 60))) AND kind <> 'refused'")"
refused="SELECT source, details->>'name', details->>'count', extract(epoch FROM at)::bigint - $t FROM plumbline.v_event WHERE kind = 'refused' ORDER BY 2"
check_equal 'refusals are summed by name and hour, at the last time' $'p1\treflector.stranger\t7\t17\np1\tsender.send_errors\t1\t17' "$(sql "$refused")"
check 'a reader may read them' answers 'SET ROLE plumbline_reader; SELECT count(*) FROM plumbline.v_event' 6
check 'all that were told are counted' wait_for 20 counts_are p1 events 8

# --- Killed before the interval is over: read again, written once ---
stop one KILL 5
feed <<FEED
source p1
link l1 p2 0
epoch 1000
sequence 71
refused reflector.stranger 10
event $((t + 72)) 6 4600 4100
event $((t + 72)) 9 46 0
seconds $((t + 71)) 50
FEED
collector
becomes 'killed and started again, each is there once' 1 "SELECT count(*) FROM plumbline.v_event WHERE at = to_timestamp($((t + 70)))"
becomes 'and the sum is right' 17 "SELECT details->>'count' FROM plumbline.v_event WHERE details->>'name' = 'reflector.stranger'"
becomes 'a floor that is broken says by how much, a class remarked on which way' \
    $'dscp\t{"to": 0, "from": 46, "direction": "bwd"}\nfloor_broken\t{"rt_us": 4100, "floor_us": 4600}' \
    "SELECT kind, details FROM plumbline.v_event WHERE at = to_timestamp($((t + 72))) ORDER BY kind"
becomes 'so is one of what was read before the commit and lies behind it' 4 "SELECT details->>'count' FROM plumbline.v_event WHERE details->>'name' = 'late.one'"
check_equal 'those before it still are' 4 "$(sql "SELECT count(*) FROM plumbline.v_event WHERE kind <> 'refused' AND at < to_timestamp($((t + 60)))")"

# --- What cannot be ---
feed <<FEED
source p1
link l1 p2 0
epoch 1000
sequence 121
event $((now + 7200)) 3 46 0
event 86400 3 46 0
refused no'name 1
refused $(printf 'x%.0s' {1..64}) 1
refused reflector.stranger 18446744073709551615
refused reflector.stranger 18446744073709551615
seconds $((t + 121)) 60
source p2
untrusted
link l1 p1 1
epoch 1000
sequence 71
event $((t + 71)) 3 46 0
seconds $((t + 71)) 110
FEED
becomes 'a count beyond all bounds is cut and hurts nobody' 2000000000017 \
    "SELECT details->>'count' FROM plumbline.v_event WHERE details->>'name' = 'reflector.stranger'"
becomes 'the commit is done' 181 "SELECT sum(dt_count) + 1 FROM plumbline.v_interval WHERE observer = 'p1' AND direction = 'rt'"
check_equal 'a time or a name that cannot be is not stored' 7 "$(sql "SELECT count(*) FROM plumbline.v_event WHERE kind <> 'refused'")"
check 'but counted' wait_for 20 counts_are p1 events_refused 4
check 'as is a session that is not the source'\''s' wait_for 20 counts_are p2 events_refused 1

# --- Status ---
check 'status has them, newest first, but no first TTL, which is no change' wait_for 20 status_is "[e['kind'] for e in o['events']]" \
    "['refused', 'dscp', 'floor_broken', 'ttl', 'refused', 'refused', 'mtu_lost', 'dscp', 'ttl']"
check 'with their details' status_is "o['events'][3]['details']['direction'], o['events'][3]['object'], o['events'][3]['flow']" 'bwd l1 0'
plumbline status --once >"$TEST_DIR/status"
check 'and shows them' grep -q 'p1 *mtu_lost *l1/c0 *octets 9000' "$TEST_DIR/status"
check 'and what was refused, how often' grep -q 'p1 *refused *.*late.one, 4 times' "$TEST_DIR/status"
# The old are dropped, and no others.
sql "UPDATE plumbline_store.event SET at = at - interval '401 days' WHERE kind = 'dscp'; UPDATE plumbline_store.refused SET last_at = last_at - interval '401 days' WHERE name <> 'reflector.stranger'" >/dev/null
stop one TERM 10
collector
becomes 'what is older than quarter hours is dropped' $'floor_broken\nmtu_lost\nrefused\nttl\nttl\nttl' 'SELECT kind FROM plumbline.v_event ORDER BY 1'
stop one TERM 10
if ((TEST_FAILED)); then tail -30 "$TEST_DIR/one.log" >&2; fi
test_end
