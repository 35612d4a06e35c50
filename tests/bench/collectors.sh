#!/bin/bash
# collectors.sh - two collectors and 300 probes (1,200 links, 3 classes), as time goes
# by: how long after its last batch an interval is committed, what each part takes,
# how soon one has the sources of another that was killed, and of one that is cut off
# from PostgreSQL by nftables.
#
# Redis, PostgreSQL and the collectors are real; the probes' batches are made by one
# program, each second one of each probe.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
seconds=${BENCH_SECONDS:-170}
# shellcheck source=tests/lib/netns.sh
. "$top/tests/lib/netns.sh"
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

now_ns() { date +%s%N; }

PROBES=300
status=0
need_root
need_program nft
test_init collectors
# PostgreSQL in a namespace of its own, with a wire to that of the collector which is cut off.
ns_add db
ns_add apart
wire_add db d0 10.79.0.1/30 apart a0 10.79.0.2/30
PG_BY=(ip netns exec "$TEST_ID-db")
pg_init "$TEST_DIR/pg" && echo 'track_commit_timestamp = on' >>"$TEST_DIR/pg/data/postgresql.conf" &&
    echo "listen_addresses = '10.79.0.1'" >>"$TEST_DIR/pg/data/postgresql.conf" &&
    echo 'host all all 10.79.0.2/32 trust' >>"$TEST_DIR/pg/data/pg_hba.conf" &&
    pg_start "$TEST_DIR/pg" && redis_start "$TEST_DIR/redis" || exit 1
pg_sql postgres "CREATE DATABASE plumbline"
PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG_CONNINFO dbname=plumbline" >/dev/null || exit 1

inventory() {
    local i k
    echo 'inventory: 1'
    echo 'interval: 10s'
    echo 'sites: { a: { timezone: Europe/Paris } }'
    echo 'classes:'
    for k in 0 1 2; do echo "  c$k: { dscp: $((k * 8)), period: 100ms, size: 128, dt: 1s }"; done
    echo 'probes:'
    for ((i = 0; i < PROBES; i++)); do echo "  p$i: { site: a, address: 192.0.$((i / 250)).$((i % 250 + 1)) }"; done
    echo 'links:'
    for ((i = 0; i < PROBES; i++)); do
        for k in 1 2 3 4; do
            echo "  l$i-$k: { classes: [c0, c1, c2], ends: [ { probe: p$i, address: 10.$k.$((i / 250)).$((i % 250 + 1)) }, { probe: p$(((i + k) % PROBES)), address: 10.$((k + 4)).$((i / 250)).$((i % 250 + 1)) } ] }"
        done
    done
}

# collector NAME CONNINFO [COMMAND BEFORE IT ...]
collector() {
    local name=$1 conninfo=$2
    shift 2
    printf '%s\n' "collector: $name" 'workers: 1' "inventory: $TEST_DIR/inventory.yaml" \
        "redis: { address: \"$REDIS_ADDRESS\" }" "postgresql: { conninfo: \"$conninfo dbname=plumbline\" }" >"$TEST_DIR/$name.yaml"
    start "$name" "$@" "$build/plumbline-collector" --config "$TEST_DIR/$name.yaml"
}

# taken_over WHAT: how long until collector two has all sources, counted from now.
taken_over() {
    local since
    since=$(now_ns)
    if wait_for 60 owns two "$PROBES"; then
        took=$((($(now_ns) - since) / 1000000))
        figure ingest.takeover_ms "$took" "ms until the other had the sources of one that was $1" limit 10000
        ((took < 10000)) || status=1
    else
        status=1
    fi
}

owned() {
    pg_sql plumbline "SELECT count(*) FROM plumbline.source_position WHERE collector = '$1'"
}

owns() {
    [[ $(owned "$1") == "$2" ]]
}

# worst_lag: of the newest commit of each source, in ms: since the batch that ended its
# interval was made, 6 s after it.
worst_lag() {
    pg_sql plumbline "SELECT (1000 * max(extract(epoch FROM pg_xact_commit_timestamp(xmin)) - extract(epoch FROM written_until) - 6))::bigint
        FROM plumbline_store.source_position WHERE written_until IS NOT NULL"
}

percent() {
    awk -v c="$1" -v t="$2" 'BEGIN { printf "%.1f", c / t * 100 }'
}

inventory >"$TEST_DIR/inventory.yaml"
collector one "$PG_CONNINFO"
collector two "$PG_CONNINFO"
start live "$build/tests/bench/fill" "$REDIS_DIR/redis.sock" "$TEST_DIR/inventory.yaml" live "$seconds"
wait_for 60 eval 'owns one 150 && owns two 150' || exit 1
sleep 25
began=$(now_ns) one=$(cpu_of "${TEST_PID[one]}") two=$(cpu_of "${TEST_PID[two]}") redis=$(cpu_of "${TEST_PID[redis]}")
worst=0
for ((i = 0; i < seconds - 100; i++)); do
    sleep 1
    lag=$(worst_lag)
    ((lag > worst)) && worst=$lag
done
took=$(($(now_ns) - began))
one=$(($(cpu_of "${TEST_PID[one]}") - one)) two=$(($(cpu_of "${TEST_PID[two]}") - two)) redis=$(($(cpu_of "${TEST_PID[redis]}") - redis))
rss=$(awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/${TEST_PID[one]}/status")
figure ingest.two_collectors "$worst" 'ms, the worst lag of 300 probes, 1,200 links, 3 classes' limit 5000
figure ingest.two_collectors_cpu "$(percent $((one + two)) "$took")" '% of a core, both collectors' Redis "$(percent "$redis" "$took")"
figure ingest.two_collectors_rss_mib "$rss" 'MiB, the peak, of one' limit 256
((worst < 5000)) || status=1
stop one KILL
taken_over killed
collector three "host=10.79.0.1 port=5432 user=postgres" ip netns exec "$TEST_ID-apart"
wait_for 60 owns three 150 || status=1
ns_exec apart nft -f - <<'END' || status=1
table inet cut {
    chain out { type filter hook output priority 0; tcp dport 5432 drop; }
    chain in { type filter hook input priority 0; tcp sport 5432 drop; }
}
END
taken_over 'cut off from PostgreSQL'
wait "${TEST_PID[live]}"
unset 'TEST_PID[live]'
from=$(awk '$1 == "first" { print int($2 / 10 + 1) * 10 }' "$TEST_DIR/live.log")
until=$(awk '$1 == "until" { print int($2 / 10) * 10 }' "$TEST_DIR/live.log")
wanted=$((PROBES * 4 * 3 * (until - from)))
told() {
    [[ $(pg_sql plumbline "SELECT sum(dt_count) FROM plumbline.v_interval WHERE direction = 'rt' AND start >= to_timestamp($from) AND start < to_timestamp($until)") == "$wanted" ]]
}
if ! wait_for 60 told; then
    echo "not every delta-t came: $wanted wanted" >&2
    status=1
fi
exit "$status"
