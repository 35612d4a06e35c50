#!/bin/bash
# test-skew.sh - releases beside one another: what the first release left in a spool is
# sent by today's probe and written; a source of a release to come is stopped, it alone,
# and goes on where it stood once the collector is upgraded.  And what a collector that
# is away for long costs: a stream at its bound, and nothing else.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
test_init skew
fixtures=$LAB_TOP/tests/fixtures
feeder=$LAB_BUILD/tests/collector/feed
metrics=$here/metrics.py

sql() { pg_sql plumbline "$1"; }
answers() { [[ $(sql "$1" 2>/dev/null) == "$2" ]]; }
# becomes SENTENCE WANTED SQL: in time.
becomes() { wait_for 30 answers "$3" "$2" 2>/dev/null || true; check_equal "$1" "$2" "$(sql "$3" 2>&1)"; }
feed() { "$feeder" "$REDIS_DIR/redis.sock" >/dev/null; }
ack() { redis_do get "pl:{$1}:ack" | cut -d' ' -f2; }
ack_is() { [[ $(ack "$1") == "$2" ]]; }
# waits_for SOURCE PATTERN
waits_for() { local why; why=$(source_field "$1" waits) && [[ $why == $2 ]]; }
# shows NAMESPACE SERIES CONDITION: of awk, on the value v.
shows() {
    local v
    ns_exec "$1" python3 "$metrics" get http://127.0.0.1:9470/metrics >"$TEST_DIR/$1.prom" &&
        v=$(python3 "$metrics" value "$TEST_DIR/$1.prom" "$2") && awk -v v="$v" "BEGIN { exit !(v != \"\" && $3) }"
}
# rt SOURCE: sums over the round-trip rows that it observed.
rt() {
    echo "SELECT sum(sent), sum(received), sum(lost), sum(dt_count), sum(unknown_dt)
        FROM plumbline.v_interval WHERE observer = '$1' AND direction = 'rt'"
}

# probes_yaml: as the probes have it, which know of no link: what they send is what they spooled.
probes_yaml() {
    printf '%s\n' 'inventory: 1' 'interval: 10s' 'sites: { a: { timezone: Europe/Paris } }' 'probes:'
    for i in 1 2 3 4; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }'
}
LAB_INVENTORY=$TEST_DIR/inventory.yaml
LAB_PROBE_INVENTORY=$TEST_DIR/probes.yaml
LAB_COLLECTOR_IN=centre
probes_yaml >"$LAB_PROBE_INVENTORY"
{
    probes_yaml
    echo 'links:'
    for i in 1 3; do
        echo "  l$i: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p$i, address: 10.$i.1.1 }, { probe: p$((i + 1)), address: 10.$i.1.2 } ] }"
    done
    # The fixture's far end is foreign: nobody's life says later that it was not there.
    echo '  l9: { state: active, classes: [c0], ends: [ { probe: p1, address: 10.9.1.1 }, { protocol: stamp, address: 10.9.1.2 } ] }'
} >"$LAB_INVENTORY"
set_up() {
    ns_add one && ns_add two && ns_add centre && redis_start "$TEST_DIR/redis" && lab_database
}
check 'the lab is up' set_up || test_end
now=$(date +%s)
t=$((now / 60 * 60 - 7200))

# --- Nobody reads: a stream of 1 MiB, an hour of batches ---
mkdir "$TEST_DIR/spool-p1" "$TEST_DIR/spool-p2"
cp "$fixtures/spool-release-1.seg" "$TEST_DIR/spool-p1/00000001748700000000-00000000000000000000.seg"
printf '%s\n' 'source p2' 'link l1 p1 1' 'epoch 1000' "seconds $t 3600" | "$feeder" "spool:$TEST_DIR/spool-p2" >/dev/null
lab_probe two p2 'stream_size: 1MiB' 'metrics: { listen: "127.0.0.1:9470" }'
check 'a source at its bound says so' wait_for 30 shows two plumbline_probe_stream_full 'v == 1'
check 'and counts it' shows two plumbline_probe_stream_full_total 'v == 1'
full=$(redis_do xlen 'pl:{p2}:t')
check 'its stream holds a part of what is spooled' test "$full" -gt 900 -a "$full" -lt 3600
check 'no more than the bound' shows two plumbline_probe_stream_bytes 'v > 900000 && v <= 1048576'
sleep 3
check_equal 'and grows no further' "$full" "$(redis_do xlen 'pl:{p2}:t')"

# --- The first release's spool ---
lab_probe one p1
lab_collector collector 'metrics: { listen: "127.0.0.1:9470" }'
becomes 'what the first release had spooled is written, sum for sum' $'1300\t1232\t68\t130\t0' "$(rt p1)"
check_equal 'to the first and the last second' $'2025-06-01 00:00:00+00\t2025-06-01 00:02:00+00' \
    "$(sql "SET timezone = 'UTC'; SELECT min(start), max(start) FROM plumbline.v_interval WHERE observer = 'p1'")"
check_equal 'each way by itself' $'1300\t1233\t67\t65' \
    "$(sql "SELECT sum(sent), sum(received), sum(lost), sum(lost_undirected) FROM plumbline.v_interval WHERE observer = 'p1' AND direction = 'fwd'")"
becomes 'with a collector the full stream empties, nothing is lost and nothing twice' $'36000\t36000\t0\t3600\t0' "$(rt p2)"
check 'and the source is at its bound no more' wait_for 30 shows two plumbline_probe_stream_full 'v == 0'
check 'the ack of the collector is where its rows end' wait_for 20 shows two plumbline_probe_spool_lag_seconds 'v < 60'

# --- A release to come ---
feed <<FEED
source p3
link l3 p4 0
epoch 1000
seconds $t 70
format 2
seconds $((t + 70)) 60 lost=1
source p4
link l3 p3 1
epoch 1000
seconds $t 70
FEED
check 'a newer format stops its source' wait_for 20 grep -q 'p3: entry 1000-70 is of a newer format' "$TEST_DIR/collector.log"
becomes 'what came before it is written' $'700\t700\t0\t70\t0' "$(rt p3)"
check 'and acknowledged, nothing beyond' wait_for 10 ack_is p3 1000-69
check 'all of it is still in the stream' test "$(redis_do xlen 'pl:{p3}:t')" -eq 60
check 'it is counted under the name of its source' \
    wait_for 20 shows centre 'plumbline_collector_source_newer_format_total{source="p3"}' 'v >= 1'
check 'of which nobody is the owner' wait_for 20 shows centre 'plumbline_collector_source_owned{source="p3"}' 'v == 0'
check 'there is a rule for it' grep -q 'source_newer_format_total' "$LAB_TOP/dist/alerts.yaml"
check 'the status says what it waits for' wait_for 20 waits_for p3 '*newer format*'
check 'and of nobody else' waits_for p4 ''
feed <<FEED
source p4
link l3 p3 1
epoch 1000
sequence 70
seconds $((t + 70)) 60 lost=1
FEED
becomes 'the others go on' $'1300\t1240\t60\t130\t0' "$(rt p4)"
check_equal 'while it stands' $'700\t700\t0\t70\t0' "$(sql "$(rt p3)")"

stop collector
next() { start collector ns_exec centre "$LAB_BUILD/tests/collector/collector-next" --config "$TEST_DIR/collector.yaml"; }
check 'the collectors are upgraded' next
becomes 'it flows again, from the entry where it stood' $'1300\t1240\t60\t130\t0' "$(rt p3)"
check 'acknowledged to its end' wait_for 20 ack_is p3 1000-129
check 'and waits for nothing' wait_for 20 waits_for p3 ''
check_equal 'nothing of it is in quarantine' 0 "$(sql 'SELECT count(*) FROM plumbline_store.quarantine')"
test_end
