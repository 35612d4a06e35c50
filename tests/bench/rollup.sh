#!/bin/bash
# rollup.sh - a month of one series to p99.9, from its quarter hours and from its minute
# rows (closed partitions, put in order by order_partition() as the keeper does), among
# others; and how fast minute rows are merged into quarter hours in a commit.
# Peers: the limits wanted; and PostgreSQL's own sums over the same rows, which merge no
# histogram.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

test_init rollup
pg_start "$TEST_DIR/pg" && pg_sql postgres 'CREATE DATABASE plumbline' || exit 1
PG="$PG_CONNINFO dbname=plumbline"
sql() { pg_sql plumbline "$1"; }
PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG" >/dev/null || exit 1

# A quarter hour and a bit of 34 sessions: 102 series.
"$build/tests/bench/bench_ingest" "$PG" 1 34 34 >/dev/null || exit 1
sql "SELECT plumbline_store.make_day(d::date) FROM generate_series(now() AT TIME ZONE 'UTC' - interval '32 days', now() AT TIME ZONE 'UTC' - interval '2 days', '1 day') d" >/dev/null

# copies TABLE ROWS SECONDS SERIES: so many rows of each of so many series, one each
# SECONDS, out of those that are there, in the order of arrival.
copies() {
    local columns
    columns=$(sql "SELECT string_agg(CASE attname WHEN 'start' THEN 'm.at' ELSE 't.' || attname END, ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'plumbline_store.$1'::regclass AND attnum > 0 AND NOT attisdropped")
    sql "INSERT INTO plumbline_store.$1
        SELECT $columns FROM (SELECT i.*, row_number() OVER w - 1 AS k, count(*) OVER (PARTITION BY series_id) AS all_
                FROM plumbline_store.$1 i WHERE i.series_id IN (SELECT series_id FROM plumbline_store.series ORDER BY 1 LIMIT $4)
                WINDOW w AS (PARTITION BY series_id ORDER BY i.start)) t
        JOIN (SELECT n, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '32 days' + n * make_interval(secs => $3) AS at
                FROM generate_series(0, $2 - 1) n) m ON t.k = m.n % t.all_
        ORDER BY m.at, t.series_id"
}
# month TABLE ROWS SERIES: of one series among so many; the best of five, in ms.
month() {
    local series text
    copies "$1" "$2" $((30 * 86400 / $2)) "$3"
    sql "SELECT plumbline_store.order_partition('$1', d::date) FROM generate_series(now() AT TIME ZONE 'UTC' - interval '32 days', now() AT TIME ZONE 'UTC' - interval '2 days', '1 day') d" >/dev/null
    sql "VACUUM ANALYZE plumbline_store.$1"
    series=$(sql "SELECT series_id FROM plumbline_store.$1 WHERE start < now() - interval '1 day' GROUP BY 1 ORDER BY 1 OFFSET $3 / 2 LIMIT 1")
    text=$("$build/tests/bench/bench_ingest" "$PG" month "$series" "$1") || exit 1
    [[ $(value month_rows "$text") == "$2" ]] || { echo "$1: $(value month_rows "$text") rows, not $2" >&2; exit 1; }
    value month_ms "$text"
}

ms=$(month quarter_row 2880 102) || exit 1
figure rollup.month_ms "$ms" 'ms, 2,880 quarter hours of one series to p99.9' 'limit' 20
ms=$(month interval_row 43200 30) || exit 1
figure rollup.month_minutes_ms "$ms" 'ms, 43,200 minute rows of one series to p99.9' 'limit' 50

# What a commit pays: 1,002 series, two quarter hours of minute rows, merged anew.
pg_sql postgres 'CREATE DATABASE merge'
PG="$PG_CONNINFO dbname=merge"
PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG" >/dev/null || exit 1
"$build/tests/bench/bench_ingest" "$PG" 1 334 48 >/dev/null || exit 1
text=$("$build/tests/bench/bench_ingest" "$PG" merge) || exit 1
from=$(value merge_from "$text") until=$(value merge_until "$text")
pg_sql merge 'VACUUM ANALYZE plumbline_store.interval_row'
began=$EPOCHREALTIME
pg_sql merge "CREATE TABLE peer AS SELECT series_id, params_id, date_bin('900 s', start, '2000-01-01') AS start, flags & 1 AS part, sum(dt_count) AS dt,
    sum(scheduled) AS scheduled, sum(sent) AS sent, sum(received) AS received, sum(lost) AS lost, sum(lost_undirected) AS undirected, sum(unknown) AS unknown,
    sum(late) AS late, sum(duplicate) AS duplicate, sum(reordered) AS reordered, sum(delay_count) AS delay_count, sum(delay_sum_ns) AS delay_sum,
    min(delay_min_ns) AS least, max(delay_max_ns) AS most FROM plumbline_store.interval_row
    WHERE start >= to_timestamp($from) AND start < to_timestamp($until) GROUP BY 1, 2, 3, 4"
theirs=$(awk -v a="$began" -v b="$EPOCHREALTIME" -v n="$(value merge_rows "$text")" 'BEGIN { printf "%.0f", n / (b - a) }')
figure rollup.rows_per_s "$(value merge_rows_per_s "$text")" 'minute rows/s read back, merged and written' "PostgreSQL's sums of the same rows, no histograms" "$theirs"
figure rollup.rows_per_cpu_s "$(value merge_rows_per_cpu_s "$text")" "minute rows/CPU-s of the collector" 'rows/s that 100,000 delta-t/s are' 5000
