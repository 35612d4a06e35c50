#!/bin/bash
# ingest.sh - what a collector with one worker takes in: streams of 100 probes, 1,002
# series each, that wait in a real Redis, to rows committed in a real PostgreSQL with
# fsync on; its CPU and memory; what PostgreSQL, Redis and the spool pay for it; and
# the same with a hundredth of the series.
#
# A session's summary of one delta-t feeds three series (forward, backward, round
# trip): "session summaries" and "series delta-t" are told apart.  The clock runs from
# the collector's first claim to the commit of the last row, as PostgreSQL stamped
# them.  The peer is a bare COPY of the same rows from a file.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
minutes=${BENCH_INTERVALS:-3}
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

test_init ingest
pg_init "$TEST_DIR/pg" && echo 'track_commit_timestamp = on' >>"$TEST_DIR/pg/data/postgresql.conf" &&
    pg_start "$TEST_DIR/pg" && redis_start "$TEST_DIR/redis" --maxmemory 4gb || exit 1

calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# CPU of all of the server's processes, also of those that ended: of their parent.
pg_cpu_ms() {
    local pid=${TEST_PID[postgres]} child
    for child in $(pgrep -P "$pid") "$pid"; do
        awk '{ print ($14 + $15 + $16 + $17) * 10 }' "/proc/$child/stat" 2>/dev/null
    done | awk '{ s += $1 } END { print s }'
}

redis_bytes() { redis_do info memory | tr -d '\r' | awk -F: '/^used_memory:/ { print $2 }'; }

redis_is_quiet() { redis_do info persistence | tr -d '\r' | grep -q '^aof_rewrite_in_progress:0$'; }

database() {
    pg_sql postgres "CREATE DATABASE $1" &&
        PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG_CONNINFO dbname=$1" >/dev/null
}

# inventory SOURCES FLOWS: a ring of probes, each of which measures the link to the
# next one with two classes.
inventory() {
    local i next
    echo 'inventory: 1'
    echo 'interval: 60s'
    echo 'sites: { a: { timezone: Europe/Paris } }'
    echo 'classes:'
    echo '  gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }'
    echo '  silver: { dscp: af31, period: 100ms, size: 128, dt: 1s }'
    echo 'probes:'
    for ((i = 0; i < $1; i++)); do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'links:'
    for ((i = 0; i < $1; i++)); do
        next=$(((i + 1) % $1))
        echo "  l$i: { classes: [gold, silver], flows: $2, ends: [ { probe: p$i, address: 10.$i.0.1 }, { probe: p$next, address: 10.$i.0.2 } ] }"
    done
}

# all_written DATABASE SOURCES UNTIL
all_written() {
    [[ $(pg_sql "$1" "SELECT count(*) FROM plumbline_store.source_position WHERE written_until >= to_timestamp($3)") == "$2" ]]
}

# measure DATABASE SOURCES FLOWS MINUTES: into the variables below.
measure() {
    local db=$1 folder=$TEST_DIR/$1 pid before used line
    mkdir "$folder"
    database "$db" || exit 1
    inventory "$2" "$3" >"$folder/inventory.yaml"
    redis_do flushall >/dev/null
    used=$(redis_bytes)
    filled=$("$build/tests/bench/fill" "$REDIS_DIR/redis.sock" "$folder/inventory.yaml" "$4" "$folder/spool") || exit 1
    redis_size=$(($(redis_bytes) - used))
    # What the filling left to do is not the collector's: a rewrite of the AOF, and
    # pages on their way to the disk.
    wait_for 30 redis_is_quiet && sync -f "$REDIS_DIR" || exit 1
    printf '%s\n' 'collector: bench' 'workers: 1' "inventory: $folder/inventory.yaml" \
        "redis: { address: \"$REDIS_ADDRESS\" }" "postgresql: { conninfo: \"$PG_CONNINFO dbname=$db\" }" >"$folder/collector.yaml"
    before=$(pg_cpu_ms)
    redis_ns=$(cpu_of "${TEST_PID[redis]}")
    start collector "$build/plumbline-collector" --config "$folder/collector.yaml"
    pid=${TEST_PID[collector]}
    wait_for 60 all_written "$db" "$2" "$(value until "$filled")" || {
        tail -5 "$TEST_DIR/collector.log" >&2
        exit 1
    }
    cpu_ns=$(cpu_of "$pid")
    redis_ns=$(($(cpu_of "${TEST_PID[redis]}") - redis_ns))
    pg_ms=$(($(pg_cpu_ms) - before))
    rss=$(awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status")
    line=$(pg_sql "$db" "SELECT (1000 * extract(epoch FROM max(pg_xact_commit_timestamp(xmin)) - min(claimed_at)))::bigint
        FROM plumbline_store.source_position")
    wall_ms=$line
    stop collector || exit 1
    if grep '^<[0-4]>' "$TEST_DIR/collector.log" >&2; then
        echo "$db: the collector complains" >&2
        exit 1
    fi
    line=$(pg_sql "$db" "SELECT count(*), sum(dt_count), count(*) FILTER (WHERE flags & 1 <> 0),
        count(DISTINCT series_id) FROM plumbline_store.interval_row")
    IFS=$'\t' read -r rows series_dt unclean series <<<"$line"
    # Every delta-t of every series, once.
    if ((series_dt != 3 * $(value sessions "$filled") * 60 * $4 || series != 3 * $(value sessions "$filled"))); then
        echo "$db: $rows rows of $series series hold $series_dt delta-t" >&2
        exit 1
    fi
    summaries=$((series_dt / 3))
    per_s=$(calc %.0f "$summaries * 1000 / $wall_ms")
    per_cpu_s=$(calc %.0f "$summaries * 1e9 / $cpu_ns")
    echo "$db: $summaries session summaries in $wall_ms ms, $((cpu_ns / 1000000)) ms of CPU, $pg_ms ms of PostgreSQL's; $rows rows, $unclean unclean" >&2
}

# Three series a session: 4 x 84 is 1,008 series, 100 x 334 is 100,200.
measure small 4 42 10
small=$per_s
small_cpu=$per_cpu_s
measure large 100 167 "$minutes"

# The peer: the same rows, from a file, in one COPY into an empty table.
pg_sql large "COPY (SELECT * FROM plumbline_store.interval_row) TO '$PG_DIR/rows' (FORMAT binary)"
pg_sql large 'CREATE TABLE peer (LIKE plumbline_store.interval_row INCLUDING INDEXES)'
began=$EPOCHREALTIME
pg_sql large "COPY peer FROM '$PG_DIR/rows' (FORMAT binary)"
copy_s=$(calc %f "$EPOCHREALTIME - $began")
row_bytes=$(pg_sql large "SELECT (pg_total_relation_size('peer') / count(*))::bigint FROM peer")
per_copy=$(calc %.0f "$summaries / $copy_s")
batch_bytes=$(calc %.1f "$(value bytes "$filled") / $(value summaries "$filled")")

figure ingest.dt_per_s "$per_s" 'session summaries/s, first claim to last commit' 'COPY of the same rows, alone' "$per_copy"
figure ingest.series_dt_per_s "$((per_s * 3))" 'series delta-t/s, first claim to last commit' 'COPY of the same rows, alone' "$((per_copy * 3))"
figure ingest.dt_per_cpu_s "$per_cpu_s" "session summaries/CPU-s of the collector" 'wanted of one core' 100000
figure ingest.linear "$per_s" "session summaries/s at 100,200 series" 'at 1,008 series' "$small"
figure ingest.linear_cpu "$per_cpu_s" "session summaries/CPU-s at 100,200 series" 'at 1,008 series' "$small_cpu"
figure ingest.rss_mib "$rss" "MiB, the peak, at $series live series" 'limit' 1024
figure ingest.postgresql_cpu_us "$(calc %.1f "$pg_ms * 1000 / $rows")" 'us a row' "the collector's CPU" \
    "$(calc %.1f "$cpu_ns / 1000 / $rows")"
figure ingest.redis_cpu_us "$(calc %.1f "$redis_ns / 1000 / $(value entries "$filled")")" 'us a batch, read, trimmed and shown live' \
    "the collector's CPU" "$(calc %.1f "$cpu_ns / 1000 / $(value entries "$filled")")"
figure ingest.row_bytes "$row_bytes" 'bytes a row, with its index' 'its delta-t in their batches' "$(calc %.0f "$batch_bytes * 60 / 3")"
figure ingest.unclean_percent "$(calc %.2f "$unclean * 100 / $rows")" '% of the rows' 'wanted' 1
figure ingest.redis_bytes "$(calc %.1f "$redis_size / $(value summaries "$filled")")" 'bytes a session summary in Redis' 'in its batch' "$batch_bytes"
figure ingest.spool_bytes "$(calc %.1f "$(value spool_bytes "$filled") / $(value spool_summaries "$filled")")" \
    'bytes a session summary in the spool' 'in its batch' "$batch_bytes"

# The core alone, without Redis and in one process: batches made beside it are not in
# the figures.
database core || exit 1
text=$("$build/tests/bench/bench_ingest" "$PG_CONNINFO dbname=core" 100 334 1) || exit 1
figure ingest.core_dt_per_s "$(value dt_per_s "$text")" 'session summaries/s, without Redis' 'the collector' "$per_s"
figure ingest.core_dt_per_cpu_s "$(value dt_per_cpu_s "$text")" 'session summaries/CPU-s, without Redis' 'the collector' "$per_cpu_s"
