#!/bin/bash
# reflector.sh - CPU that a reflected packet costs: plumbline's reflector, a bare echo
# that also collects transmit stamps, irtt's server; the same rate for all in one call.
# Then signed packets beside unsigned ones.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
seconds=${BENCH_SECONDS:-10}
# shellcheck source=tests/lib/netns.sh
. "$top/tests/lib/netns.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

need_program irtt
bench_wire reflector

# loaded NAME PORT PPS [OPTION ...]: CPU us a packet of the process NAME under 'load'.
loaded() {
    local before line
    before=$(cpu_of "${TEST_PID[$1]}")
    line=$(ns_exec a "$build/tests/bench/load" --to 10.77.0.2 --port "$2" --sessions 100 --pps "$3" --seconds "$seconds" "${@:4}")
    echo "$1 at $3 pps: $line" >&2
    [[ $(value received "$line") == "$(value sent "$line")" ]] || echo "$1 did not answer all" >&2
    awk -v n="$(($(cpu_of "${TEST_PID[$1]}") - before))" -v p="$(value received "$line")" \
        'BEGIN { if (p > 0) printf "%.2f", n / 1000 / p; else print 0 }'
}

# irtt's client cannot send at a rate of ours: five of them, as fast as they go.
irtt_loaded() {
    local before i n=0
    before=$(cpu_of "${TEST_PID[irtt]}")
    for i in 1 2 3 4 5; do
        start "client$i" ns_exec a irtt client -i 1ms -d "${seconds}s" -l 128 -q 10.77.0.2:2112
    done
    for i in 1 2 3 4 5; do
        wait "${TEST_PID[client$i]}"
        unset "TEST_PID[client$i]"
    done
    n=$(cat "$D"/client?.log | sed -n 's/.*server packets received: \([0-9]*\)\/.*/\1/p' | awk '{ s += $1 } END { print s + 0 }')
    echo "irtt server: $n packets" >&2
    awk -v n="$(($(cpu_of "${TEST_PID[irtt]}") - before))" -v p="$n" 'BEGIN { if (p > 0) printf "%d %.2f", p, n / 1000 / p; else print "0 0" }'
}

# reflector [OPTION ...]: ours, as process "reflector".
reflector() {
    start reflector ns_exec b "$build/tests/bench/timing_load" --local 10.77.0.2 --remote 10.77.0.1 --interface v0 --reflect "$@"
    wait_for 30 grep -q ready "$D/reflector.log" || exit 1
}

reflector
start echo ns_exec b "$build/tests/bench/echo" 8620
start irtt ns_exec b irtt server -i 0 -b 10.77.0.2:2112
sleep 0.5
read -r irtt_packets irtt_us <<<"$(irtt_loaded)"
# As many packets a second as irtt was given, so that nobody has the better batches.
rate=$((irtt_packets / seconds > 0 ? irtt_packets / seconds : 1000))
ours=$(loaded reflector 862 "$rate")
figure reflector.cpu_us "$ours" us "irtt server" "$irtt_us"
theirs=$(loaded echo 8620 "$rate")
figure reflector.cpu_us "$ours" us "stamping echo" "$theirs"
fast=$(loaded reflector 862 50000)
figure reflector.cpu_us "$fast" us "stamping echo (50,000 pps)" "$(loaded echo 8620 50000)"

# The same packets signed, of a size that has room for the same TLVs; and unsigned.
plain=$(loaded reflector 862 20000 --octets 200)
stop reflector TERM 10
rm -f "$D/reflector.log"
(umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$D/key")
reflector --key "$D/key"
figure reflector.auth_cpu_us "$(loaded reflector 862 20000 --octets 200 --key "$D/key")" us "unauthenticated (20,000 pps)" "$plain"
