#!/bin/bash
# sla.sh - what it costs to judge what is sold: a real collector reads, from a real Redis,
# what 100 probes streamed, commits the rows to a real PostgreSQL with fsync on, and judges
# them; with 10,020 and with 100,200 series.
#
# A series is what the design calls so: one direction (forward, backward, round trip) of one
# class of one link.  Links have one flow here, so that no two series are summed into one
# thing that is judged: 16,700 links with two classes are 33,400 ways and 100,200 series.
# Every link is sold, as a service of its own with three objectives in each class
# (availability, flr, fd_p99_9, both ways): 16,700 services, 100,200 objectives, and lines
# to count for the link and again for the service: 233,800 of them.  1 % of the rows are
# unclean; delays are spread over a tenth of the least.
#
# The minutes lie across the end of a quarter hour, so that storing 233,800 tallies is
# in the figures, and more often than every 15 minutes.  A delta-t's cost is all CPU time of
# the judge's thread, from the start of the process to the last objective written, by the
# delta-t that were measured: where to begin, the minutes of the first quarter hour that
# nobody measured, are in it; and with it a second's rounds that find nothing new.
#
# Sizes: BENCH_SLA_SOURCES, BENCH_SLA_LINKS (a probe), BENCH_SLA_MINUTES, BENCH_SLA_REPEAT
# (of the small one, whose median counts).  The peers: the limits; the same of a tenth of the
# series; and SQL that computes availability and loss from the same rows.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
sources=${BENCH_SLA_SOURCES:-100}
links=${BENCH_SLA_LINKS:-167}
minutes=${BENCH_SLA_MINUTES:-5}
repeat=${BENCH_SLA_REPEAT:-3}
# Within how much a series may cost more among ten times as many.
linear_limit=1.3
# shellcheck source=tests/lib/base.sh
. "$top/tests/lib/base.sh"
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

test_init sla
pg_start "$TEST_DIR/pg" && redis_start "$TEST_DIR/redis" --maxmemory 6gb || exit 1

calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# inventory SOURCES LINKS: a ring of probes, each of which measures so many links to the
# next one.
inventory() {
    awk -v sources="$1" -v links="$2" 'BEGIN {
        print "inventory: 1\ninterval: 60s"
        print "sites: { a: { timezone: Etc/UTC } }"
        print "routers: { r: { site: a } }"
        print "tenants: { t: { timezone: Etc/UTC } }"
        print "classes:"
        print "  gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }"
        print "  silver: { dscp: af31, period: 100ms, size: 128, dt: 1s }"
        print "probes:"
        for (i = 0; i < sources; i++) printf "  p%d: { site: a, address: 192.0.2.%d, clock: ptp }\n", i, i
        print "links:"
        for (i = 0; i < sources; i++) for (k = 0; k < links; k++)
            printf "  l%d-%d: { classes: [gold, silver], ends: [ { probe: p%d, address: 10.%d.%d.1 }, { probe: p%d, address: 10.%d.%d.2 } ] }\n", i, k, i, i, k, (i + 1) % sources, i, k
        print "connectors:"
        for (k = 1; k <= 2; k++) printf "  k%d: { tenant: t, site: a, attachments: { main: { port: { router: r, interface: e%d } } } }\n", k, k
        print "services:"
        for (i = 0; i < sources; i++) for (k = 0; k < links; k++)
            printf "  s%d-%d: { tenant: t, ends: [k1, k2], over: [l%d-%d], classes: [gold, silver], sla: kept }\n", i, k, i, k
        print "slas:\n  kept:\n    version: 1\n    valid_from: 2020-01-01\n    objectives:"
        split("gold silver", class, " ")
        for (c = 1; c <= 2; c++) {
            printf "      - { class: %s, metric: availability, limit: 99.9%% }\n", class[c]
            printf "      - { class: %s, metric: flr, direction: both, limit: 0.1%% }\n", class[c]
            printf "      - { class: %s, metric: fd_p99_9, direction: both, limit: 50ms }\n", class[c]
        }
    }'
}

# all_judged DATABASE SERVICES UNTIL: asked seldom, for it is not free.
# shellcheck disable=SC2317
all_judged() {
    sleep 0.5
    [[ $(pg_sql "$1" "SELECT count(*) FROM plumbline_store.judged_period WHERE judged_until >= to_timestamp($3)") == "$2" ]]
}

# thread_of PID NAME: its number.
thread_of() {
    local comm
    for comm in /proc/"$1"/task/*/comm; do
        if [[ $(<"$comm") == "$2" ]]; then
            basename "$(dirname "$comm")"
            return 0
        fi
    done
    return 1
}

ran_ns() { awk '{ print $1 }' "/proc/$1/schedstat"; }

# measure DATABASE SOURCES LINKS: into the variables below.
measure() {
    local db=$1 folder=$TEST_DIR/$1 pid thread judge_pg until began before line services=$(($2 * $3))
    mkdir "$folder"
    pg_sql postgres "CREATE DATABASE $db" &&
        PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG_CONNINFO dbname=$db" >/dev/null || exit 1
    inventory "$2" "$3" >"$folder/inventory.yaml"
    redis_do flushall >/dev/null
    # Two minutes into the last quarter hour that began four minutes ago or more.
    quarter=$((($(date +%s) - 240) / 900 * 900))
    until=$((quarter + 120))
    "$build/tests/bench/fill" "$REDIS_DIR/redis.sock" "$folder/inventory.yaml" "$minutes" - "$until" 10 >/dev/null || exit 1
    printf '%s\n' 'collector: bench' 'workers: 1' "inventory: $folder/inventory.yaml" \
        "redis: { address: \"$REDIS_ADDRESS\" }" "postgresql: { conninfo: \"$PG_CONNINFO dbname=$db\" }" >"$folder/collector.yaml"
    began=$EPOCHREALTIME
    start collector "$build/plumbline-collector" --config "$folder/collector.yaml"
    pid=${TEST_PID[collector]}
    wait_for 30 thread_of "$pid" judge && thread=$(thread_of "$pid" judge) || exit 1
    wait_for 200 all_judged "$db" "$services" "$until" || {
        tail -5 "$TEST_DIR/collector.log" >&2
        exit 1
    }
    wall_s=$(calc %.1f "$EPOCHREALTIME - $began")
    judge_ns=$(ran_ns "$pid/task/$thread")
    judge_pg=$(pg_sql "$db" "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND application_name = 'plumbline-collector judge'")
    database_ns=$(ran_ns "$judge_pg")
    cpu_ns=$(cpu_of "$pid")
    # Rounds that find nothing new.
    before=$(ran_ns "$pid/task/$thread") line=$(ran_ns "$judge_pg")
    sleep 10
    idle_ns=$((($(ran_ns "$pid/task/$thread") - before) / 10))
    idle_database_ns=$((($(ran_ns "$judge_pg") - line) / 10))
    rss=$(awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status")
    stop collector || exit 1
    if grep '^<[0-4]>' "$TEST_DIR/collector.log" >&2; then
        echo "$db: the collector complains" >&2
        exit 1
    fi
    right "$db" "$services"
    echo "$db: $series series, $minutes minutes, judged in $wall_s s: $((judge_ns / 1000000)) ms of CPU, $((database_ns / 1000000)) ms of its PostgreSQL; a round with nothing new $((idle_ns / 1000)) us, $((idle_database_ns / 1000)) us; all of the collector $((cpu_ns / 1000000)) ms, $rss MiB" >&2
}

# right DATABASE SERVICES: every series was judged, of all of its packets, and every promise.
right() {
    local said wanted
    series=$(pg_sql "$1" 'SELECT count(DISTINCT series_id) FROM plumbline_store.interval_row')
    wanted=$(pg_sql "$1" "SELECT count(DISTINCT series_id), 900, sum(sent), sum(lost) FROM plumbline_store.interval_row WHERE start < to_timestamp($quarter)")
    said=$(pg_sql "$1" "SELECT count(*), min(dt_total), sum(sent_raw), sum(lost_raw) FROM plumbline.v_availability
        WHERE scope_kind = 'link' AND complete AND start = to_timestamp($quarter - 900)")
    if [[ $said != "$wanted" || $series -ne $((6 * $2)) ]]; then
        echo "$1: $series series; judged (series, delta-t, sent, lost): $said, not $wanted" >&2
        exit 1
    fi
    said=$(pg_sql "$1" "SELECT count(*), count(value), count(*) FILTER (WHERE verdict = 'met') FROM plumbline.v_service")
    if [[ $said != "$((6 * $2))"$'\t'"$((6 * $2))"$'\t'"$((6 * $2))" ]]; then
        echo "$1: objectives, with values, met: $said, not $((6 * $2))" >&2
        exit 1
    fi
}

seconds=$((60 * minutes))
few=$(((sources + 9) / 10 < 2 ? 2 : (sources + 9) / 10))
small=()
for ((i = 1; i <= repeat; i++)); do
    measure "small$i" "$few" "$links"
    small+=("$(calc %.1f "$judge_ns / $series / $seconds")")
    pg_sql postgres "DROP DATABASE small$i WITH (FORCE)"
done
small_ns=$(printf '%s\n' "${small[@]}" | sort -n | sed -n "$(((repeat + 1) / 2))p")
measure large "$sources" "$links"
ns=$(calc %.1f "$judge_ns / $series / $seconds")
judge_s=$(calc %.4f "$judge_ns / 1e9 / $seconds + $idle_ns / 1e9")
database_s=$(calc %.4f "$database_ns / 1e9 / $seconds + $idle_database_ns / 1e9")

# The peers, CPU of a connection of their own: reading these rows and no more;
# availability and loss by SQL, of some series.
copy_s=$(PGOPTIONS="-c jit=off" pg_sql large "COPY (SELECT series_id, start, params_id, flags, clock_error_ns, delay_count, delay_sum_ns, delay_min_ns, delay_max_ns, duplicate, reordered, late, over_limit, hist, ifdv, dt FROM plumbline_store.interval_row) TO '/dev/null' (FORMAT binary)" -c "SELECT pg_read_file('/proc/self/schedstat')" | awk 'NR == 1 { printf "%.4f", $1 / 1e9 }')
sql_ns=$(PGOPTIONS="-c jit=off" pg_sql large "WITH r AS (SELECT * FROM plumbline_store.interval_row WHERE series_id IN (SELECT series_id FROM plumbline_store.series ORDER BY 1 LIMIT 100)),
    d AS (SELECT r.series_id, r.start + make_interval(secs => t.number) AS at, t.sent, t.lost, t.lost * 2 > t.sent AS bad FROM r CROSS JOIN LATERAL plumbline.dt_records(r.dt) t),
    i AS (SELECT *, count(*) FILTER (WHERE NOT bad) OVER w AS island FROM d WINDOW w AS (PARTITION BY series_id ORDER BY at)),
    l AS (SELECT *, bad AND count(*) FILTER (WHERE bad) OVER (PARTITION BY series_id, island) >= 10 AS down FROM i)
    SELECT count(*) FROM (SELECT series_id, sum(sent) FILTER (WHERE NOT down), sum(lost) FILTER (WHERE NOT down), count(*) FILTER (WHERE NOT down), count(*) FROM l GROUP BY 1) x" \
    -c "SELECT pg_read_file('/proc/self/schedstat')" | awk -v n=$((100 * seconds)) 'NR == 2 { printf "%.0f", $1 / n }')

figure sla.judge_s "$judge_s" "CPU-s of the judge a delta-t of $series series, 3 objectives each" 'limit' 0.25
figure sla.database_s "$database_s" "CPU-s of the judge's PostgreSQL a delta-t" 'COPY of the same columns of the same rows' "$(calc %.4f "$copy_s / $seconds")"
figure sla.series_ns "$ns" 'ns of the judge a series and delta-t' 'availability and loss alone, by SQL' "$sql_ns"
figure sla.rss_mib "$rss" "MiB, the peak of the collector that takes in and judges" 'limit' 1536
figure sla.linear "$ns" "ns of the judge a series and delta-t at $series series" 'at a tenth of them, the median' "$small_ns"
figure sla.round_ms "$(calc %.1f "$idle_ns / 1e6")" 'ms of a round in which nothing is new' "its PostgreSQL's" "$(calc %.1f "$idle_database_ns / 1e6")"
status=0
awk -v s="$judge_s" -v r="$rss" -v a="$ns" -v b="$small_ns" -v l="$linear_limit" 'BEGIN { exit !(s <= 0.25 && r <= 1536 && a <= l * b) }' || status=1
exit "$status"
