#!/bin/bash
# test-rollup.sh - quarter hours and days over a real PostgreSQL and Redis: merged by the
# commit that completes them, whoever is killed meanwhile; merged again when a far end
# changes a row; finished when a source is closed.  Then the keeper: order, retention,
# and how long commits wait for it, by PostgreSQL's own word.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin rollup redis-server redis-cli

logged() { grep -q "$1" "$TEST_DIR/one.log"; }
collector() { store_collector one; }
again() { stop one TERM 15; : >"$TEST_DIR/one.log"; collector; }
there() { answers "SELECT to_regclass('plumbline_store.$1_' || to_char(current_date - $2, 'YYYYMMDD')) IS NOT NULL" "$3"; }

{
    echo 'inventory: 1'
    echo 'interval: 60s'
    echo 'sites: { a: { timezone: Europe/Paris } }'
    echo 'probes:'
    for i in 1 2 3 4 5 6 7 8; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }'
    echo 'links:'
    for i in 1 3 5 7; do
        echo "  l$i: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p$i, address: 10.$i.1.1 }, { probe: p$((i + 1)), address: 10.$i.1.2 } ] }"
    done
} >"$TEST_DIR/inventory.yaml"
pg_init "$TEST_DIR/pg" && cat >>"$TEST_DIR/pg/data/postgresql.conf" <<END
log_lock_waits = on
deadlock_timeout = 100ms
log_line_prefix = '%a|'
END
store_start
sql "SELECT plumbline_store.make_day(current_date - 1)" >/dev/null

# differences VIEW FINER SECONDS: lines of VIEW that are not exactly what the lines of FINER in
# them add up to, among those that are over for their source; and what is missing.
differences() {
    sql "WITH finer AS (
            SELECT series_id, params_id, date_bin('$3 s', start, '2000-01-01 00:00+00') AS start, sum(sent) AS sent, sum(received) AS received,
                sum(lost) AS lost, sum(lost_undirected) AS undirected, sum(dt_count) AS dt_count, sum(unknown_dt) AS unknown_dt,
                sum(delay_count) AS delay_count, min(delay_min_ns) AS least, max(delay_max_ns) AS most, bool_or(unclean) AS unclean
            FROM plumbline.$2 i JOIN plumbline.source_position p ON p.source = i.observer
            WHERE date_bin('$3 s', start, '2000-01-01 00:00+00') + interval '$3 s' <= p.rolled_until GROUP BY 1, 2, 3),
        coarser AS (
            SELECT series_id, params_id, start, sent, received, lost, lost_undirected AS undirected, dt_count, unknown_dt,
                delay_count, delay_min_ns AS least, delay_max_ns AS most, unclean,
                (SELECT coalesce(sum(count), 0) FROM plumbline.hist_buckets(clean_hist)) = clean_delay_count
                AND (SELECT coalesce(sum(count), 0) FROM plumbline.hist_buckets(unclean_hist)) = unclean_delay_count AS whole
            FROM plumbline.$1)
        SELECT count(*) FROM finer f FULL JOIN coarser c USING (series_id, params_id, start)
        WHERE (f.sent, f.received, f.lost, f.undirected, f.dt_count, f.unknown_dt, f.delay_count, f.least, f.most, f.unclean, true)
            IS DISTINCT FROM (c.sent, c.received, c.lost, c.undirected, c.dt_count, c.unknown_dt, c.delay_count, c.least, c.most, c.unclean, c.whole)"
}
exact() {
    check_equal "$1: every quarter hour is the sum of its rows" 0 "$(differences v_quarter v_interval 900)"
    check_equal "$1: every day is the sum of its quarter hours" 0 "$(differences v_day v_quarter 86400)"
}

# The last midnight (UTC) that is 40 minutes ago.
now=$(date +%s); m=$(((now - 2400) / 86400 * 86400))

# --- Over the borders of quarter hours and of a day, killed at random ---
collector
(
    at=$((m - 1200))
    for ((k = 0; k < 16; k++)); do
        n=$((100 + (k * 37) % 90))
        printf '%s\n' 'source p1' 'link l1 p2 0' 'epoch 2000' "sequence $((at - m + 1200))" "seconds $at $((n - 1))" "second $((at + n - 1)) fwd=$((k % 4)) lost=$((k % 3 == 0))" | feed
        at=$((at + n))
        sleep 0.25
    done
    echo "$at" >"$TEST_DIR/fed"
) &
feeding=$!
for ((k = 0; k < 6; k++)); do
    stop one KILL 5
    collector
    sleep "0.$((RANDOM % 9))"
done
wait "$feeding"
at=$(cat "$TEST_DIR/fed")
becomes 'a source over midnight is merged to the last border' "$((at / 900 * 900))" \
    "SELECT extract(epoch FROM rolled_until)::bigint FROM plumbline.source_position WHERE source = 'p1'"
exact 'killed six times'
check_equal 'the first quarter hour began late, and says so' t "$(sql "SELECT bool_and(partial AND clean_seconds + unclean_seconds = 300) FROM plumbline.v_quarter WHERE start = to_timestamp($((m - 1800)))")"
check_equal 'the next one is whole' $'f\t900' "$(sql "SELECT bool_or(partial), min(clean_seconds + unclean_seconds) FROM plumbline.v_quarter WHERE start = to_timestamp($((m - 900)))")"
check_equal 'a day that is over has its row in each series, the other day none' $'3\t3' "$(sql "SELECT count(*), count(*) FILTER (WHERE start = to_timestamp($((m - 86400)))) FROM plumbline.v_day")"
check_equal 'clean rows make the clean histogram, bucket by bucket' 0 \
    "$(sql "WITH b AS (SELECT i.series_id, date_bin('900 s', i.start, '2000-01-01 00:00+00') AS start, h.lower_ns, sum(h.count) AS count
            FROM plumbline.v_interval i CROSS JOIN LATERAL plumbline.hist_buckets(i.hist) h WHERE NOT i.unclean GROUP BY 1, 2, 3),
        c AS (SELECT q.series_id, q.start, h.lower_ns, h.count FROM plumbline.v_quarter q CROSS JOIN LATERAL plumbline.hist_buckets(q.clean_hist) h)
        SELECT count(*) FROM c LEFT JOIN b USING (series_id, start, lower_ns) WHERE b.count IS DISTINCT FROM c.count")"
check_equal 'a reader sees the views, not the tables' $'permission denied\t9' \
    "$(sql 'SET ROLE plumbline_reader; SELECT * FROM plumbline_store.day_row' 2>&1 | grep -o 'permission denied' | head -1)"$'\t'"$(sql "SET ROLE plumbline_reader; SELECT count(*) FROM plumbline.v_quarter WHERE start < to_timestamp($((m + 900)))")"

# --- A far end that is heard later ---
feed <<END
source p3
link l3 p4 0
epoch 5
seconds $((m - 960)) 20
seconds $((m - 940)) 5 fwd=10
second $((m - 935)) fwd=1
seconds $((m - 934)) 2000
END
becomes 'loss counts while the far end is silent' $'51\t0\t0' "SELECT sum(lost), sum(undetermined_dt), max(revision) FROM plumbline.v_day WHERE observer = 'p3' AND direction = 'rt'"
feed <<END
source p4
link l3 p3 1
epoch 5
seconds $((m - 960)) 20
seconds $((m - 940)) 5 deaf
seconds $((m - 935)) 2001
END
becomes 'and is taken out of the day once it says that it did not serve' $'1\t5\t1' "SELECT sum(lost), sum(undetermined_dt), max(revision) FROM plumbline.v_day WHERE observer = 'p3' AND direction = 'rt'"
check_equal 'and of the quarter hour, once' $'1\t5\t1' "$(sql "SELECT sum(lost), sum(undetermined_dt), max(revision) FROM plumbline.v_quarter WHERE observer = 'p3' AND direction = 'rt'")"
check_equal 'of the others nothing was revised' 0 "$(sql "SELECT max(revision) FROM plumbline.v_quarter WHERE NOT (observer = 'p3' AND start = to_timestamp($((m - 1800))))")"
becomes 'the far end itself is merged' "$((m + 900))" "SELECT extract(epoch FROM rolled_until)::bigint FROM plumbline.source_position WHERE source = 'p4'"
exact 'revised'

# --- Closed, and back ---
sql "UPDATE plumbline_store.source_position SET closed = true WHERE source = 'p3'"
becomes 'what a closed source left is merged: its last quarter hour, its last day' $'4\t2' \
    "SELECT (SELECT count(*) FROM plumbline.v_quarter WHERE observer = 'p3' AND direction = 'rt'), (SELECT count(*) FROM plumbline.v_day WHERE observer = 'p3' AND direction = 'rt')"
exact 'closed'
feed <<END
source p3
link l3 p4 0
epoch 5
sequence 2026
seconds $((m + 1066)) 60
END
becomes 'when it is back, what is not over after all is taken back' $'3\t1' \
    "SELECT (SELECT count(*) FROM plumbline.v_quarter WHERE observer = 'p3' AND direction = 'rt'), (SELECT count(*) FROM plumbline.v_day WHERE observer = 'p3' AND direction = 'rt')"
feed <<END
source p3
link l3 p4 0
epoch 5
sequence 2086
seconds $((m + 1126)) 800
END
becomes 'and merged when it is' 4 "SELECT count(*) FROM plumbline.v_quarter WHERE observer = 'p3' AND direction = 'rt'"
exact 'back'

# --- An earlier release's rows ---
sql "DELETE FROM plumbline_store.quarter_row; DELETE FROM plumbline_store.day_row;
    UPDATE plumbline_store.source_position SET rolled_until = to_timestamp($((m - 18000))) WHERE written_until IS NOT NULL;
    UPDATE plumbline_store.source_position SET closed = true WHERE source IN ('p1', 'p3', 'p4')"
becomes 'rows that an earlier release wrote are merged bit by bit' 0 \
    "SELECT count(*) FROM plumbline.source_position WHERE written_until IS NOT NULL AND rolled_until < written_until"
exact 'upgraded'

# --- Retention ---
check_equal 'each table with partitions is in the list of them' 0 "$(sql "SELECT count(*) FROM plumbline_store.partitioned d
    FULL JOIN (SELECT c.relname FROM pg_partitioned_table t JOIN pg_class c ON c.oid = t.partrelid
        WHERE c.relnamespace = 'plumbline_store'::regnamespace) p ON p.relname = d.parent
    WHERE d.parent IS NULL OR p.relname IS NULL")"
# One more, by the month, kept as long as quarter hours.
sql "SET ROLE plumbline_owner; CREATE TABLE plumbline_store.more (id bigint, start timestamptz, PRIMARY KEY (start, id)) PARTITION BY RANGE (start);
    INSERT INTO plumbline_store.partitioned VALUES ('more', true, true, 'quarter', 'WITH (fillfactor = 70)');
    SELECT plumbline_store.make_day(current_date - d) FROM unnest(ARRAY[200, 500]) d" >/dev/null
# of_more DAYS_AGO: its partition then.
of_more() { echo "to_regclass('plumbline_store.more_' || to_char(current_date - $1, 'YYYYMM'))"; }
check_equal 'a further one is a row in it' '{fillfactor=70}' "$(sql "SELECT reloptions FROM pg_class WHERE oid = $(of_more 500)")"
# Rows of one day, 5 and 100 to 103 days ago.
sql "SELECT plumbline_store.make_day(current_date - d) FROM unnest(ARRAY[5, 100, 101, 102, 103]) d" >/dev/null
columns=$(sql "SELECT string_agg(CASE attname WHEN 'start' THEN 'start - make_interval(days => d)' ELSE attname END, ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'plumbline_store.interval_row'::regclass AND attnum > 0 AND NOT attisdropped")
day=$(sql "SELECT current_date - to_timestamp($m)::date")
sql "INSERT INTO plumbline_store.interval_row SELECT $columns FROM plumbline_store.interval_row, unnest(ARRAY[5, 100, 101, 102, 103]) AS o(n), LATERAL (SELECT n - $day AS d) e WHERE start >= to_timestamp($m)"
sql "INSERT INTO plumbline_store.far_pending VALUES (1, 1, current_date - 102 + interval '12 hours', current_date - 102 + interval '12 hours', 1);
    INSERT INTO plumbline_store.source_position (source_id, source, written_until, rolled_until) VALUES (3, 'ghost', current_date - 101 + interval '12 hours', current_date - 101)"
again
check 'a day that is over is put in order' wait_for 30 logged "interval_row of $(sql 'SELECT current_date - 5') was put in"
check 'a day whose retention is over is dropped' wait_for 30 there interval_row 103 f
check 'with the lives of its sources' wait_for 30 there liveness 103 f
check 'its quarter hours are kept for longer' there quarter_row 103 t
check 'a further table goes by its own retention' wait_for 30 answers "SELECT $(of_more 500) IS NULL AND $(of_more 200) IS NOT NULL" t
check 'and is put in order by its own key' wait_for 30 answers "SELECT count(*) FROM pg_index WHERE indrelid = $(of_more 200) AND indisclustered" 1
check 'not one in which a row waits for its far end' wait_for 30 logged "interval_row of $(sql 'SELECT current_date - 102') is kept beyond its retention: a row of .* waits for its far end"
check 'not one that a source has not written past' wait_for 30 logged "interval_row of $(sql 'SELECT current_date - 101') is kept beyond its retention: \(source ghost has committed\|a row of\)"
check 'both are there' there interval_row 101 t
sql "DELETE FROM plumbline_store.far_pending WHERE source_id = 1"
check_equal 'what nobody else needs waits for that source alone' "source ghost has committed no further" \
    "$(sql "SELECT plumbline_store.drop_partition('interval_row', current_date - 100)" | cut -c1-37)"
check_equal 'a day that is not over is never dropped' "it is not over for a day" "$(sql "SELECT plumbline_store.drop_partition('interval_row', current_date)")"
sql "UPDATE plumbline_store.source_position SET closed = true WHERE source = 'ghost'"
becomes 'a closed one is merged first' t "SELECT rolled_until >= written_until FROM plumbline_store.source_position WHERE source = 'ghost'"

# --- Under full ingest ---
# Streams wait in Redis; the days to drop are read by somebody who takes his time; day 5
# has an index that takes long to build, so that its order takes long, and once it is at
# that p8 writes into that day, late.
for i in 5 6 7; do
    printf '%s\n' "source p$i" "link l$((i - (i + 1) % 2)) p$((i % 2 ? i + 1 : i - 1)) $(((i + 1) % 2)) 250" 'epoch 9' "seconds $((m - 60)) 1200" | feed
done
part=$(sql "SELECT 'plumbline_store.interval_row_' || to_char(current_date - 5, 'YYYYMMDD')")
sql "CREATE FUNCTION slow(v bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN v; END';
    CREATE INDEX slow ON $part (slow(series_id)); ALTER TABLE $part SET WITHOUT CLUSTER;
    CREATE OR REPLACE FUNCTION slow(v bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.1); RETURN v; END';
    GRANT EXECUTE ON FUNCTION slow(bigint) TO PUBLIC" >/dev/null
stop one TERM 15
: >"$TEST_DIR/one.log"
mark=$(wc -l <"$TEST_DIR/postgres.log")
start reader "$(pg_bin)/psql" -X -q -h "$PG_DIR" -U postgres -d plumbline -c "BEGIN" -c "SELECT count(*) FROM plumbline_store.interval_row" -c "SELECT pg_sleep(3)" -c "COMMIT"
wait_for 20 answers "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)%' AND pid <> pg_backend_pid()" 1
collector
check 'a day is put in order, which takes its time' wait_for 60 answers "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%order_partition%' AND wait_event = 'PgSleep'" 1
late=$((m - (5 - day) * 86400))
printf '%s\n' 'source p8' 'link l7 p7 1' 'epoch 9' "seconds $late 70" | feed
check 'whoever writes into that day makes it be left for later' wait_for 60 logged 'interval_row of .* is not put in order: it is in use'
becomes 'and has written' "$((late + 60))" "SELECT extract(epoch FROM written_until)::bigint FROM plumbline.source_position WHERE source = 'p8'"
check 'all that waited is ingested' wait_for 120 answers "SELECT count(*) FROM plumbline.source_position WHERE source IN ('p5', 'p6', 'p7') AND written_until = to_timestamp($((m + 1140)))" 3
check 'what others read was dropped when they had done' there interval_row 102 f
check_equal 'each quarter hour of each series is there once' $'1500\t3000' "$(sql "SELECT count(DISTINCT series_id), count(*) FROM plumbline.v_quarter WHERE observer IN ('p5', 'p6') AND start <= to_timestamp($m)")"
waits=$(tail -n +$((mark + 1)) "$TEST_DIR/postgres.log" | grep '^plumbline-collector|' | grep -o 'acquired .* after [0-9.]* ms')
check 'commits did wait for the keeper' test -n "$waits"
longest=$(sed 's/.* after \([0-9]*\).*/\1/' <<<"$waits" | sort -n | tail -1)
echo "commits waited $(wc -l <<<"$waits") times over 100 ms, at most ${longest:-0} ms"
check 'none for over 2 s' test "${longest:-0}" -lt 2000
check_equal 'and none gave up' 0 "$(tail -n +$((mark + 1)) "$TEST_DIR/postgres.log" | grep -c '^plumbline-collector|ERROR')"
stop reader TERM 20
stop one TERM 15
if ((TEST_FAILED)); then tail -40 "$TEST_DIR/one.log" >&2; grep -v 'lock_timeout\|lock timeout' "$TEST_DIR/postgres.log" | tail -20 >&2; fi
test_end
