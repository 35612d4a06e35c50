#!/bin/bash
# histogram.sh - a month of one series among a hundred, minute rows stored in (series,
# time) order: fetched and merged to p50, p99 and p99.9.  The peer is the same by
# PostgreSQL's own percentile_disc over samples of one day, times 30.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

test_init histogram
pg_start "$TEST_DIR/pg" && pg_sql postgres 'CREATE DATABASE plumbline' || exit 1
PG="$PG_CONNINFO dbname=plumbline"
PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG" >/dev/null || exit 1
"$build/tests/bench/bench_ingest" "$PG" 1 100 4 >/dev/null || exit 1

# 43,200 minutes of each of 100 series, in the real table, made of the rows just written
# and stored as order_day() leaves a closed day: by series, then time.
pg_sql plumbline "SELECT plumbline_store.make_day(d::date) FROM generate_series(now() AT TIME ZONE 'UTC' - interval '31 days', now() AT TIME ZONE 'UTC' - interval '2 days', '1 day') d" >/dev/null
columns=$(pg_sql plumbline "SELECT string_agg(CASE attname WHEN 'start' THEN 'm.at' ELSE 't.' || attname END, ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'plumbline_store.interval_row'::regclass AND attnum > 0 AND NOT attisdropped")
pg_sql plumbline "INSERT INTO plumbline_store.interval_row
    SELECT $columns FROM (SELECT i.*, row_number() OVER (PARTITION BY series_id ORDER BY i.start) - 1 AS k
            FROM plumbline_store.interval_row i WHERE hist IS NOT NULL) t
    JOIN (SELECT n, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '31 days' + n * interval '1 minute' AS at
            FROM generate_series(0, 43199) n) m ON t.k = m.n % 3
    WHERE t.series_id IN (SELECT series_id FROM plumbline_store.interval_row WHERE hist IS NOT NULL GROUP BY 1 HAVING count(*) >= 3 ORDER BY 1 LIMIT 100)
    ORDER BY m.at::date, t.series_id, m.at"
pg_sql plumbline 'VACUUM ANALYZE plumbline_store.interval_row'
series=$(pg_sql plumbline "SELECT series_id FROM plumbline_store.interval_row WHERE start < now() - interval '1 day' GROUP BY 1 ORDER BY 1 OFFSET 50 LIMIT 1")
text=$("$build/tests/bench/bench_ingest" "$PG" month "$series") || exit 1
[[ $(value month_rows "$text") == 43200 ]] || { echo "only $(value month_rows "$text") rows" >&2; exit 1; }
pg_sql plumbline "CREATE TABLE sample AS SELECT (random() * 1e6)::bigint AS delay FROM generate_series(1, 864000)"
began=$EPOCHREALTIME
pg_sql plumbline 'SELECT percentile_disc(ARRAY[0.5, 0.99, 0.999]) WITHIN GROUP (ORDER BY delay) FROM sample' >/dev/null
theirs=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (b - a) * 1000 * 30 }')
figure histogram.month_ms "$(value month_ms "$text")" "ms" "percentile_disc of the raw samples (one day x 30)" "$theirs"
