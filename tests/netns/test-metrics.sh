#!/bin/bash
# test-metrics.sh - /metrics of probe and collector as Prometheus's own tools see it,
# while they work; and that rules and dashboard ask for nothing that is not there.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
need_program promtool
test_init metrics
metrics=$here/metrics.py

# scrape NAMESPACE NAME: into TEST_DIR/NAME.prom.
scrape() {
    ns_exec "$1" python3 "$metrics" get http://127.0.0.1:9470/metrics >"$TEST_DIR/$2.prom.new" &&
        mv "$TEST_DIR/$2.prom.new" "$TEST_DIR/$2.prom"
}

# value NAME SERIES
value() {
    python3 "$metrics" value "$TEST_DIR/$1.prom" "$2" 2>/dev/null
}

# shows NAMESPACE NAME SERIES CONDITION: of awk, on the value v.
shows() {
    scrape "$1" "$2" && awk -v v="$(value "$2" "$3")" "BEGIN { exit !(v != \"\" && $4) }"
}

silent() {
    local out
    out=$("$@" 2>&1)
    [[ -z $out ]] || { printf '%s\n' "$out" >&2; return 1; }
}

# promtool also says what is well.
rules_are_silent() {
    local out
    out=$(promtool check rules "$1" 2>&1) && ! grep -qiE 'fail|warn|error|duplicate' <<<"$out" || {
        printf '%s\n' "$out" >&2
        return 1
    }
}

promtool_check() {
    silent promtool check metrics <"$TEST_DIR/$1.prom"
}

# stranger: a request to right's reflector from an address that is nobody's.
stranger() {
    ip -n "$TEST_ID-left" addr add 10.77.9.9/32 dev lo 2>/dev/null
    ip -n "$TEST_ID-right" route replace 10.77.9.9/32 dev w0 2>/dev/null
    ns_exec left python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.9.9", 0))
s.sendto(bytes(12) + b"\x80\x01" + bytes(114), ("10.77.0.2", 862))'
}

# The collector is in a namespace too, so that its port is nobody else's.
LAB_COLLECTOR_IN=emu
set_up() {
    LAB_INVENTORY=$TEST_DIR/inventory.yaml
    pair_inventory "$LAB_INVENTORY"
    echo 'hooks: { noc: { kind: exec, command: /bin/true } }' >>"$LAB_INVENTORY"
    ns_add left
    ns_add right
    link_add left-right left w0 10.77.0.1/30 right w0 10.77.0.2/30
    emu_start "$LAB_BUILD/tests/netns/linkemu" --seed 3 && redis_start "$TEST_DIR/redis" && lab_database &&
        lab_collector collector 'workers: 2' 'metrics: { listen: "127.0.0.1:9470" }'
}

check 'the lab is up' set_up || test_end
lab_probe left left-p1 'metrics: { listen: "127.0.0.1:9470" }' 'twamp_control: { allow: [127.0.0.1], port: 8620 }'
lab_probe right right-p1 'metrics: { listen: "127.0.0.1:9470" }'

check 'a probe says that it is connected' wait_for 30 shows left left plumbline_probe_stream_connected 'v == 1'
check 'and counts its sessions' shows left left plumbline_probe_sessions 'v == 2'
check 'the other counts what it answers' wait_for 30 shows right right plumbline_probe_reflector_replies_total 'v > 100'
check 'rows of a source are counted under its name' \
    wait_for 60 shows emu collector 'plumbline_collector_source_rows_total{source="left-p1"}' 'v >= 6'
check 'so is its lag, which is an interval or a few' \
    wait_for 30 shows emu collector 'plumbline_collector_source_lag_seconds{source="left-p1"}' 'v > 0 && v < 60'
check 'each source has one of the two workers' \
    test "$(($(value collector 'plumbline_collector_worker_sources{worker="1"}') + $(value collector 'plumbline_collector_worker_sources{worker="2"}')))" -eq 2

# twamp ADDRESS: somebody who connects to left's TWAMP-Control, and is gone.
twamp() {
    ns_exec left python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], 8620), 30).close()' "$1"
}
check 'a TWAMP client comes' twamp 127.0.0.1
check 'and is counted' wait_for 20 shows left left plumbline_probe_twamp_control_connections_total 'v == 1'
check 'a client from elsewhere comes' twamp 10.77.0.1
check 'and is counted as a stranger' wait_for 20 shows left left plumbline_probe_twamp_control_stranger_total 'v == 1'

check 'a stranger asks' stranger
check 'and is counted' wait_for 20 shows right right plumbline_probe_reflector_stranger_total 'v == 1'

# The second end takes itself for the first: its summaries are not its own to give.
stop right-p1
sed -e 's/probe: left-p1, interface: w0, address: 10.77.0.1/probe: RIGHT, interface: w0, address: 10.77.0.2/' \
    -e 's/probe: right-p1, interface: w0, address: 10.77.0.2/probe: left-p1, interface: w0, address: 10.77.0.1/' \
    -e 's/RIGHT/right-p1/' "$LAB_INVENTORY" >"$TEST_DIR/turned.yaml"
LAB_PROBE_INVENTORY=$TEST_DIR/turned.yaml lab_probe right right-p1 'metrics: { listen: "127.0.0.1:9470" }'
check 'a forged summary is counted under the name of who sent it' \
    wait_for 60 shows emu collector 'plumbline_collector_assemble_refused_trust_total{source="right-p1"}' 'v > 0'
check 'and under nobody else' shows emu collector 'plumbline_collector_assemble_refused_trust_total{source="left-p1"}' 'v == 0'

check 'the collector judges' wait_for 30 shows emu collector plumbline_collector_judge_active 'v == 1'
check 'round by round' wait_for 60 shows emu collector plumbline_collector_judge_rounds_total 'v >= 3'
check 'and says how far it has come' wait_for 90 shows emu collector plumbline_collector_judge_lag_seconds 'v > 0 && v < 300'
check 'and where the last link stands, which is no further' \
    test "$(awk -v a="$(value collector plumbline_collector_judge_oldest_lag_seconds)" -v b="$(value collector plumbline_collector_judge_lag_seconds)" 'BEGIN { print (a >= b) }')" -eq 1
check 'intervals that it judged are counted' shows emu collector plumbline_collector_judge_intervals_total 'v >= 1'
check 'none of its rounds failed' shows emu collector plumbline_collector_judge_failed_total 'v == 0'
check 'it delivers what is said' wait_for 30 shows emu collector plumbline_collector_courier_active 'v == 1'
check 'of which nothing waits' shows emu collector 'plumbline_collector_hook_waiting{hook="noc"}' 'v == 0'
check 'so are the chores of the keeper' shows emu collector plumbline_collector_keeper_refused_total 'v == 0'

wait_for 30 scrape left left
wait_for 30 scrape right right
check 'promtool finds nothing in the page of the probe' promtool_check left
check 'nor in the one of the collector' promtool_check collector
for page in left right collector; do
    check_equal "no series stands twice in the page of $page" '' "$(python3 "$metrics" repeated "$TEST_DIR/$page.prom")"
done
check 'promtool finds nothing in the rules' rules_are_silent "$LAB_TOP/dist/alerts.yaml"
check_equal 'rules and dashboard ask for what is there' '' \
    "$(python3 "$metrics" unknown "$LAB_TOP/dist/alerts.yaml" "$LAB_TOP/dist/grafana-dashboard.json" "$TEST_DIR"/{left,right,collector}.prom 2>&1)"

redis_stop
check 'without Redis the probe says so' wait_for 30 shows left left plumbline_probe_stream_connected 'v == 0'
check 'and what is not committed gets older' wait_for 40 shows left left plumbline_probe_spool_lag_seconds 'v > 12'
check 'the collector says so too' wait_for 30 shows emu collector 'plumbline_collector_worker_redis_connected{worker="1"}' 'v == 0'
test_end
