#!/bin/bash
# probe.sh - a probe with 10,000 sessions (100 links, 10 classes, 10 flows), at one
# packet a second each and at five: memory and CPU of both ends, and nothing that was
# sent over a bare veth is lost or unknown in the rows.
#
# Everything is real: two probes, Redis, a collector, PostgreSQL.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
export PLUMBLINE_BUILD=$build
seconds=${BENCH_SECONDS:-60}
# shellcheck source=tests/lib/lab.sh
. "$top/tests/lib/lab.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

LINKS=100 CLASSES=10 FLOWS=10
status=0

# inventory PERIOD
inventory() {
    local i classes
    classes=$(seq -s', ' -f 'c%g' 0 $((CLASSES - 1)))
    echo 'inventory: 1'
    echo 'interval: 10s'
    echo 'sites: { a: { timezone: Europe/Paris } }'
    echo 'probes: { left-p1: { site: a, clock: ptp }, right-p1: { site: a, clock: ptp } }'
    echo 'classes:'
    for ((i = 0; i < CLASSES; i++)); do echo "  c$i: { dscp: $((i * 6)), period: $1, size: 128, dt: 10s, tmax: 2s }"; done
    echo 'links:'
    for ((i = 0; i < LINKS; i++)); do
        echo "  l$i: { classes: [$classes], flows: $FLOWS, ends: [ { probe: left-p1, address: 10.78.$i.1 }, { probe: right-p1, address: 10.78.$i.2 } ] }"
    done
}

peak_mib() {
    awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/${TEST_PID[$1]}/status"
}

# sums FROM_NS: of what was written since.
sums() {
    pg_sql plumbline "SELECT 'rows ' || count(*) || ' sent ' || coalesce(sum(sent), 0) || ' lost ' || coalesce(sum(lost), 0) || ' unknown ' ||
        coalesce(sum(unknown), 0) || ' unknown_dt ' || coalesce(sum(unknown_dt), 0) || ' send_errors ' || coalesce(sum(send_errors), 0)
        FROM plumbline.v_interval WHERE direction = 'rt' AND start >= to_timestamp($1 / 1e9)"
}

rows_until() {
    [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline.v_interval WHERE direction = 'rt' AND start = to_timestamp($1 / 1e9)") -ge $((LINKS * CLASSES * FLOWS)) ]]
}

# measured PPS PERIOD: figures at that rate.
measured() {
    local pps=$1 from last before left right line bad
    # The collector has one with the same links already: no file is read half.
    inventory "$2" >"$LAB_INVENTORY.new" && mv "$LAB_INVENTORY.new" "$LAB_INVENTORY"
    LAB_SPOOL=-$pps
    lab_probe b right-p1
    lab_probe a left-p1
    wait_for 40 grep -q 'epoch .* is open' "$TEST_DIR/left-p1.log" || return 1
    # The first whole interval after the beginning, and the last.
    from=$((($(now_ns) / 10000000000 + 2) * 10000000000))
    last=$((from + seconds * 1000000000 - 10000000000))
    while (($(now_ns) < from)); do sleep 0.2; done
    before=$(now_ns)
    left=$(cpu_of "${TEST_PID[left-p1]}") right=$(cpu_of "${TEST_PID[right-p1]}")
    while (($(now_ns) < last + 10000000000)); do sleep 0.2; done
    left=$(($(cpu_of "${TEST_PID[left-p1]}") - left)) right=$(($(cpu_of "${TEST_PID[right-p1]}") - right))
    before=$(($(now_ns) - before))
    wait_for 60 rows_until "$last" || return 1
    line=$(sums "$from")
    echo "$pps pps a session: $line" >&2
    bad=$(($(value lost "$line") + $(value unknown "$line") + $(value unknown_dt "$line") + $(value send_errors "$line")))
    figure probe.lost "$bad" "packets of $(value sent "$line") lost or unknown, or delta-t unknown, at $((pps * 10000)) pps" none 0
    figure probe.rss_mib "$(peak_mib left-p1)" "MiB, the peak, 10,000 sessions, $pps pps each" limit 256
    figure probe.cpu_percent "$(awk -v c="$left" -v t="$before" 'BEGIN { printf "%.1f", c / t * 100 }')" "% of a core, sender's end, $((pps * 10000)) pps" \
        "reflector's end" "$(awk -v c="$right" -v t="$before" 'BEGIN { printf "%.1f", c / t * 100 }')"
    figure probe.reflector_rss_mib "$(peak_mib right-p1)" "MiB, the peak, reflector's end" limit 256
    ((bad == 0 && $(value sent "$line") > 0)) || status=1
    stop left-p1
    stop right-p1
    rm -f "$TEST_DIR/left-p1.log"
}

need_lab
bench_wire probe
LAB_INVENTORY=$TEST_DIR/inventory.yaml
for ((i = 0; i < LINKS; i++)); do
    echo "address add 10.78.$i.1/24 dev v0"
done | ns_exec a ip -batch -
for ((i = 0; i < LINKS; i++)); do
    echo "address add 10.78.$i.2/24 dev v0"
done | ns_exec b ip -batch -
inventory 1s >"$LAB_INVENTORY"
redis_start "$TEST_DIR/redis" && lab_database && lab_collector collector || exit 1
measured 1 1s && measured 5 200ms || exit 1
exit "$status"
