#!/bin/bash
# sender.sh - nothing lost by our own doing: one session at 10,000 pps and 1,000
# sessions at 50 pps over a lossless veth, pacing beside an idle timer, CPU a packet.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
seconds=${BENCH_SECONDS:-30}
# The peer is watched in the middle of its run: 3 s less than that.
watched=$((seconds / 2 > 4 ? seconds / 2 : 5))
# shellcheck source=tests/lib/netns.sh
. "$top/tests/lib/netns.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

bench_wire sender
status=0

# load SESSIONS PPS: the sender's line.
load() {
    start reflector ns_exec b "$build/tests/bench/timing_load" --local 10.77.0.2 --remote 10.77.0.1 --interface v0 --reflect
    wait_for 5 grep -q ready "$D/reflector.log" || return 1
    ns_exec a "$build/tests/bench/timing_load" --local 10.77.0.1 --remote 10.77.0.2 --interface v0 \
        --sessions "$1" --pps "$2" --seconds "$seconds"
    stop reflector >&2
    rm -f "$D/reflector.log"
}

# lost_figure NAME LINE: the sum of what must be 0, and what it is made of.
lost_figure() {
    local bad=$(($(value lost "$2") + $(value unknown "$2") + $(value missing_t1 "$2")))
    echo "$1: $2" >&2
    figure "$1" "$bad" "packets of $(value sent "$2") lost, unknown or without T1" none 0
    ((bad == 0 && $(value sent "$2") > 0)) || status=1
}

one=$(load 1 10000) || exit 1
lost_figure sender.lost_10kpps "$one"
many=$(load 1000 50000) || exit 1
lost_figure sender.lost_50kpps "$many"
idle=$("$build/tests/bench/idle" 100 "$((seconds < 10 ? seconds : 10))")
figure sender.pacing_p99_us "$(awk -v n="$(value pacing_p99_ns "$many")" 'BEGIN { printf "%.1f", n / 1000 }')" us \
    "idle timer" "$(awk -v n="$(value p99_ns "$idle")" 'BEGIN { printf "%.1f", n / 1000 }')"

# The same where processors do not sleep ('cpu_latency: 0s' of probe.yaml).
if { exec 7<>/dev/cpu_dma_latency && printf '\0\0\0\0' >&7; } 2>/dev/null; then
    many=$(load 1000 50000) || exit 1
    idle=$("$build/tests/bench/idle" 100 "$((seconds < 10 ? seconds : 10))")
    exec 7>&-
    figure sender.awake_pacing_p99_us "$(awk -v n="$(value pacing_p99_ns "$many")" 'BEGIN { printf "%.1f", n / 1000 }')" us \
        "idle timer, awake too" "$(awk -v n="$(value p99_ns "$idle")" 'BEGIN { printf "%.1f", n / 1000 }')"
fi

# CPU a packet at one rate: ours (timing and matching) beside irtt's client.
if command -v irtt >/dev/null; then
    slow=$(load 10 1000) || exit 1
    start irtt ns_exec b irtt server -i 0 -b 10.77.0.2:2112
    sleep 0.5
    start client ns_exec a irtt client -i 1ms -d "${watched}s" -l 128 -q 10.77.0.2:2112
    sleep 1
    before=$(cpu_of "${TEST_PID[client]}")
    sleep "$((watched - 3))"
    theirs=$(($(cpu_of "${TEST_PID[client]}") - before))
    wait "${TEST_PID[client]}"
    unset 'TEST_PID[client]'
    stop irtt INT
    # irtt misses part of its sends: count what it sent.
    sent=$(sed -n 's/.*packets sent\/received.*: \([0-9]*\)\/.*/\1/p' "$D/client.log")
    per=$(awk -v n="$theirs" -v s="${sent:-0}" -v t="$watched" -v w="$((watched - 3))" \
        'BEGIN { if (s > 0) printf "%.2f", n / 1000 / (s / t * w); else print 0 }')
    figure sender.cpu_us "$(awk -v n="$(value cpu_ns "$slow")" -v p="$((seconds * 1000))" \
        'BEGIN { printf "%.2f", n / 1000 / p }')" us "irtt client" "$per"
    figure sender.cpu_us "$(awk -v n="$(value cpu_ns "$many")" -v p="$((seconds * 50000))" \
        'BEGIN { printf "%.2f", n / 1000 / p }')" us "irtt client (at 1/50 of the rate)" "$per"
fi
exit "$status"
