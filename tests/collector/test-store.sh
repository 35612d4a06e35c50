#!/bin/bash
# test-store.sh - the collector over a real PostgreSQL and Redis: streams made of
# scripts (feed) in, rows out.  What comes twice, too late, torn, foreign or from two
# owners changes nothing; what is killed goes on where it was.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD top=$STORE_TOP
store_begin store redis-server redis-cli

ack() { redis_do get "pl:{$1}:ack"; }
wants() { [[ $(ack "$1" | cut -d' ' -f3) == "$2" ]]; }
logged() { grep -q "$2" "$TEST_DIR/$1.log"; }
# rt SOURCE: sums over the round-trip rows it observed.
rt() {
    sql "SELECT count(*), sum(sent), sum(received), sum(lost), sum(dt_count), sum(unknown_dt)
        FROM plumbline.v_interval WHERE observer = '$1' AND direction = 'rt'"
}

{
    echo 'inventory: 1'
    echo 'interval: 60s'
    echo 'sites: { a: { timezone: Europe/Paris } }'
    echo 'probes:'
    for i in 1 2 3 4 5 6 7 8 9; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }'
    echo 'links:'
    for i in 1 3 5 7; do
        echo "  l$i: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p$i, address: 10.$i.1.1 }, { probe: p$((i + 1)), address: 10.$i.1.2 } ] }"
    done
    echo '  l9: { state: active, classes: [c0], ends: [ { probe: p9, address: 10.9.1.1 }, { probe: p1, address: 10.9.1.2 } ] }'
} >"$TEST_DIR/inventory.yaml"

store_servers

# --- Migrations ---
check 'a dry run applies nothing' test "$(plumbline migrate --dry-run | grep -c '^would apply')" -ge 2
check_equal 'and leaves no schema' 0 "$(sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'plumbline_store'")"
plumbline migrate >"$TEST_DIR/first" & first=$!
plumbline migrate >"$TEST_DIR/second" & second=$!
check 'one of two migrations at once succeeds' wait "$first"
check 'and so does the other' wait "$second"
check_equal 'each file was applied once' "$(find "$top/sql" -name '0*.sql' | wc -l)" \
    "$(cat "$TEST_DIR/first" "$TEST_DIR/second" | grep -c '^applied')"
check_equal 'a third time nothing is done' true "$(plumbline migrate --json | python3 -c 'import json,sys; o=json.load(sys.stdin); print(str(o["ok"] and o["applied"] == []).lower())')"
mkdir "$TEST_DIR/sql"; cp "$top"/sql/*.sql "$TEST_DIR/sql"; echo '-- more' >>"$TEST_DIR/sql/0001-store.sql"
check_equal 'a changed migration is refused' 2 "$("$build/plumbline" migrate --sql-dir "$TEST_DIR/sql" --config "$TEST_DIR/plumbline.yaml" >/dev/null 2>&1; echo $?)"
check_equal 'a reader cannot see the rows themselves' 'permission denied' \
    "$(sql 'SET ROLE plumbline_reader; SELECT count(*) FROM plumbline_store.interval_row' 2>&1 | grep -o 'permission denied' | head -1)"
check_equal 'but the view' 0 "$(sql 'SET ROLE plumbline_reader; SELECT count(*) FROM plumbline.v_interval')"

# --- Rows ---
now=$(date +%s); t=$((now / 60 * 60 - 600))
store_collector one
feed <<END
source p1
link l1 p2 0
link l9 p9 1
epoch 1000
seconds $t 60
second $((t + 60)) fwd=2 bwd=1 lost=1 dup=3
seconds $((t + 61)) 70
source p2
link l1 p1 1
epoch 1000
seconds $t 131
source p9
link l9 p1 0
epoch 1000
seconds $t 131
END
becomes 'sums of a session seen from the first end' $'2\t1200\t1196\t4' \
    "SELECT count(*), sum(sent), sum(received), sum(lost) FROM plumbline.v_interval WHERE observer = 'p1' AND object = 'l1' AND direction = 'rt'"
line="SELECT sent, received, lost, lost_undirected, duplicate FROM plumbline.v_interval WHERE start = to_timestamp($((t + 60))) AND object = 'l1' AND observer = 'p1' AND direction"
check_equal 'forward: 2 lost and 1 undirected' $'600\t597\t3\t1\t3' "$(sql "$line = 'fwd'")"
check_equal 'backward: sent is what reached the far end' $'598\t596\t2\t1\t0' "$(sql "$line = 'bwd'")"
check_equal 'round trip: all of it' $'600\t596\t4\t1\t3' "$(sql "$line = 'rt'")"
check_equal 'from the second end, its forward is the backward of the link' 3004416 \
    "$(sql "SELECT delay_p50_ns FROM plumbline.v_interval WHERE observer = 'p2' AND direction = 'fwd' ORDER BY start LIMIT 1")"
check_equal 'clean rows have a histogram that counts every delay' t \
    "$(sql "SELECT bool_and(delay_count = (SELECT sum(count) FROM plumbline.hist_buckets(hist))) FROM plumbline.v_interval WHERE NOT unclean")"
check_equal 'every row is the sum of its delta-t' 0 \
    "$(sql "SELECT count(*) FROM plumbline.v_interval i JOIN (
        SELECT object, observer, direction, class, flow, interval_start AS start, count(*) FILTER (WHERE state = 'measured') AS dt_count,
            sum(sent) FILTER (WHERE state = 'measured') AS sent, sum(received) FILTER (WHERE state = 'measured') AS received,
            sum(lost) FILTER (WHERE state = 'measured') AS lost
        FROM plumbline.v_delta_t GROUP BY 1, 2, 3, 4, 5, 6) d USING (object, observer, direction, class, flow, start)
        WHERE (i.dt_count, i.sent, i.received, i.lost) IS DISTINCT FROM (d.dt_count, d.sent, d.received, d.lost)")"
check_equal 'a stored dt column of format 1 opens in SQL' $'5\t18\t6\t2\t600' \
    "$(sql "SELECT count(*), sum(sent), sum(lost), sum(lost_undirected), sum(duplicate)
        FROM plumbline.dt_records(decode('$(od -An -v -tx1 "$top/tests/fixtures/row-dt-1.bin" | tr -d ' \n')', 'hex'))")"
check_equal 'unclean rows keep theirs by delta-t' 0 "$(sql "SELECT count(*) FROM plumbline.v_interval WHERE unclean AND hist IS NOT NULL")"
becomes 'the far end said that it reflected, so nothing is taken out' 0 'SELECT count(*) FROM plumbline_store.far_pending'
check_equal 'and no row was revised' 0 "$(sql 'SELECT max(revision) FROM plumbline.v_interval')"
check_equal 'the ack names the committed position' 1000-119 "$(ack p1 | cut -d' ' -f2)"
check_equal 'what is committed is trimmed' 11 "$(redis_do xlen 'pl:{p1}:t')"

# --- Far end ---
feed <<END
source p3
link l3 p4 0
epoch 5
seconds $t 20
seconds $((t + 20)) 5 fwd=10
second $((t + 25)) fwd=1
seconds $((t + 26)) 40
source p4
link l3 p3 1
epoch 5
seconds $t 20
seconds $((t + 20)) 5 deaf
seconds $((t + 25)) 40
END
becomes 'delta-t in which the far end did not serve are unknown, not lost' $'550\t549\t1\t55\t5\t1' \
    "SELECT sent, received, lost, dt_count, unknown_dt, revision FROM plumbline.v_interval WHERE observer = 'p3' AND direction = 'rt'"
check_equal 'in both ways' $'550\t550\t0' \
    "$(sql "SELECT sent + 1, received + 1, lost FROM plumbline.v_interval WHERE observer = 'p3' AND direction = 'bwd'")"

# --- Parameters ---
feed <<END
source p4
period 200
link l3 p3 1
epoch 5
sequence 65
seconds $((t + 65)) 30 lost=1
seconds $((t + 95)) 60
END
becomes 'parameters that change within an interval make two rows of it' $'2\t60\t0\t30' \
    "SELECT count(DISTINCT params_id), sum(dt_count), sum(unknown_dt), sum(lost) FROM plumbline.v_interval WHERE observer = 'p4' AND direction = 'rt' AND start = to_timestamp($((t + 60)))"

# --- Gap ---
feed <<END
source p5
link l5 p6 0
epoch 7
seconds $t 30
skip
seconds $((t + 31)) 40
END
check 'a gap makes the collector want what is missing' wait_for 10 wants p5 7-30
gone() { [[ $(redis_do exists "pl:{$1}:t") == 0 ]]; }
check 'and the stream is deleted' wait_for 10 gone p5
feed <<END
source p5
link l5 p6 0
epoch 7
sequence 75
seconds $((t + 75)) 3
END
check 'so is what comes behind the gap after that' wait_for 10 gone p5
feed <<END
source p5
link l5 p6 0
epoch 7
sequence 30
seconds $((t + 30)) 41
END
becomes 'sent again, every delta-t is there once' $'1\t600\t600\t0\t60\t0' \
    "SELECT count(*), sum(sent), sum(received), sum(lost), sum(dt_count), sum(unknown_dt) FROM plumbline.v_interval WHERE observer = 'p5' AND direction = 'rt'"
check 'and nothing is wanted any more' wait_for 5 wants p5 -

# --- Epoch ---
feed <<END
source p5
link l5 p6 0
epoch 8 7 70
seconds $((t + 80)) 60
END
becomes 'over a change of epoch what lies between is unknown' $'510\t51\t9' \
    "SELECT sent, dt_count, unknown_dt FROM plumbline.v_interval WHERE observer = 'p5' AND direction = 'rt' AND start = to_timestamp($((t + 60)))"
feed <<END
source p5
link l5 p6 0
epoch 10 9 5
seconds $((t + 140)) 60
END
check 'an epoch that names one that we have not reached is a gap' wait_for 10 wants p5 8-60
check 'and the stream is deleted again' wait_for 10 gone p5
feed <<END
source p5
link l5 p6 0
epoch 9 8 59
seconds $((t + 140)) 6
epoch 10 9 5
seconds $((t + 146)) 60
END
becomes 'with that epoch between it goes on' $'600\t60\t0' \
    "SELECT sent, dt_count, unknown_dt FROM plumbline.v_interval WHERE observer = 'p5' AND direction = 'rt' AND start = to_timestamp($((t + 120)))"

# --- Wrong input ---
feed <<END
source p6
link l5 p5 1
untrusted
epoch 3
seconds $t 30
garbage
seconds $((t + 31)) 10
tombstone $((t + 41)) $((t + 44))
seconds $((t + 44)) 40
END
becomes 'a batch that does not decode and a tombstone make their delta-t unknown' $'560\t56\t4' \
    "SELECT sent, dt_count, unknown_dt FROM plumbline.v_interval WHERE observer = 'p6' AND direction = 'rt' AND start = to_timestamp($t)"
check_equal 'its bytes are in quarantine, once' $'p6\t3\t30\t24' "$(sql 'SELECT source, epoch, sequence, length(bytes) FROM plumbline_store.quarantine')"
check_equal 'a link that is not its own is refused' 0 "$(sql "SELECT count(*) FROM plumbline.v_interval WHERE object = 'not-mine'")"
check 'and that is told' logged one 'p6: some of what it sent was refused'
feed <<END
source p7
link l7 p8 0
epoch 3
seconds $t 70
format 2
second $((t + 70))
END
check 'a newer format stops its source' wait_for 10 logged one 'p7: entry 3-70 is of a newer format'
check_equal 'un-acknowledged' 3-59 "$(ack p7 | cut -d' ' -f2)"
feed <<END
source p8
link l7 p7 1
epoch 3
seconds 86400 3
seconds $t 10
seconds $((now + 3600)) 2
seconds $((t + 10)) 60
END
check 'a delta-t an hour ahead is refused' wait_for 10 logged one 'p8: some of what it sent was refused.*refused_ahead'
check 'and so are those of a clock that was never set' logged one 'refused_old=6'
check 'which hurts no other source' eval '! logged one "sources spool until it is back"'
becomes 'and the rest counts' $'600\t60\t0' "SELECT sent, dt_count, unknown_dt FROM plumbline.v_interval WHERE observer = 'p8' AND direction = 'rt'"

# --- Killed at random ---
feed <<END
source p9
link l9 p1 0
epoch 2000 1000 130
seconds $((t + 131)) 50
END
(for ((k = 0; k < 12; k++)); do
    printf '%s\n' 'source p9' 'link l9 p1 0' 'epoch 2000 1000 130' "sequence $((50 + k * 20))" "seconds $((t + 181 + k * 20)) 20 lost=1" |
        "$build/tests/collector/feed" "$REDIS_DIR/redis.sock" >/dev/null
    sleep 0.4
done) &
feeding=$!
for ((k = 0; k < 6; k++)); do
    stop one KILL 5
    store_collector one
    sleep "0.$((RANDOM % 9))"
done
wait "$feeding"
becomes 'killed six times while it writes: every delta-t once, the sums exact' $'6\t3600\t3361\t239\t360\t0' \
    "SELECT count(*), sum(sent), sum(received), sum(lost), sum(dt_count), sum(unknown_dt) FROM plumbline.v_interval WHERE observer = 'p9' AND direction = 'rt' AND start >= to_timestamp($((t + 60))) AND start < to_timestamp($((t + 420)))"

# --- Two that both believe ---
wait_for 10 answers "SELECT count(*) FROM plumbline.source_position WHERE collector = 'one' AND source = 'p1'" 1
ghosted=$(sql 'SELECT clock_timestamp()')
sql "UPDATE plumbline_store.source_position SET owner_run = 42, owner = 'ghost' WHERE source = 'p1'" >/dev/null
feed <<END
source p1
link l1 p2 0
link l9 p9 1
epoch 1000
sequence 131
seconds $((t + 131)) 60
END
check 'one that finds its source taken lets go' wait_for 10 logged one 'p1: \(another collector took it\|not ours any more\)'
sleep 1.5
# It may have claimed it anew, for the ghost holds no lock: then that is a claim like any other.
check_equal 'and what it wrote late changed nothing' t \
    "$(sql "SELECT position = '1000-119' OR claimed_at > '$ghosted' FROM plumbline.source_position WHERE source = 'p1'")"
sql "UPDATE plumbline_store.source_position SET owner_run = NULL WHERE source = 'p1'" >/dev/null
stop one KILL 5
store_collector one
becomes 'whoever owns it next writes it' 3 "SELECT count(*) FROM plumbline.v_interval WHERE observer = 'p1' AND object = 'l1' AND direction = 'rt'"

# --- Sharing ---
store_collector two
check 'a second collector takes its share' wait_for 20 answers "SELECT count(*) >= 3 FROM plumbline.source_position WHERE collector = 'two'" t
stop two TERM 10
check 'and the first has all when it ends' wait_for 20 answers "SELECT count(*) FROM plumbline.source_position WHERE collector = 'one' AND source <> 'p7'" 8
pg_stop
pg_start "$TEST_DIR/pg"
check 'PostgreSQL restarted: claims come back' wait_for 20 answers "SELECT count(*) FROM plumbline.source_position WHERE collector = 'one' AND claimed_at > pg_postmaster_start_time() AND source <> 'p7'" 8

# --- Refused by Redis ---
redis_do acl setuser default -set >/dev/null
feed <<END
source p1
link l1 p2 0
link l9 p9 1
epoch 1000
sequence 191
seconds $((t + 191)) 60
END
becomes 'rows are written though the ack may not be' 4 "SELECT count(*) FROM plumbline.v_interval WHERE observer = 'p1' AND object = 'l1' AND direction = 'rt'"
check 'and what Redis refuses is told' wait_for 10 logged one 'Redis refuses: .*NOPERM\|Redis refuses: .*permission'
redis_do acl setuser default +set >/dev/null

# --- Streams that nobody of ours made ---
redis_do del 'pl:{p3}:t' >/dev/null
redis_do set 'pl:{p3}:t' 'no stream' >/dev/null
redis_do xadd 'pl:{p6}:t' 18446744073709551615-1 b x >/dev/null
check 'an ID that no source can have is deleted, and the source asked again' \
    wait_for 10 gone p6
feed <<END
source p1
link l1 p2 0
link l9 p9 1
epoch 1000
sequence 251
seconds $((t + 251)) 60
END
becomes 'beside a key that is no stream the others are read' 5 "SELECT count(*) FROM plumbline.v_interval WHERE observer = 'p1' AND object = 'l1' AND direction = 'rt'"
check 'and it is told, with what to do' wait_for 20 logged one 'p3: its stream cannot be read (WRONGTYPE.*delete the key pl:{p3}:t'
redis_do del 'pl:{p3}:t' >/dev/null

# --- Days that are over ---
sql "SELECT plumbline_store.make_day(current_date - 3)" >/dev/null
stop one TERM 10
store_collector one
check 'a day that is over is put in order' wait_for 15 answers "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE i.indisclustered AND c.relname = 'interval_row_' || to_char(current_date - 3, 'YYYYMMDD')" 1
check_equal 'and only such' 0 "$(sql "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE i.indisclustered AND c.relname NOT LIKE '%' || to_char(current_date - 3, 'YYYYMMDD')")"
wait_for 10 answers "SELECT count(*) FROM plumbline.source_position WHERE collector = 'one' AND source <> 'p7'" 8
sleep 1.5

# --- Status ---
check_equal 'status shows each session, also of the source that waits' 10 "$(plumbline status --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["links"]))')"
check_equal 'stale ones make it fail' 1 "$(plumbline status --once >"$TEST_DIR/status"; echo $?)"
check 'in a table' grep -q 'STALE' "$TEST_DIR/status"
stop one TERM 10
check_equal 'nothing is held after a clean end' 0 "$(sql 'SELECT count(*) FROM plumbline_store.source_position WHERE owner_run IS NOT NULL AND owner_run <> 42')"
if ((TEST_FAILED)); then grep -v 'claimed by' "$TEST_DIR/one.log" | tail -40 >&2; fi
test_end
