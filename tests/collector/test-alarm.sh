#!/bin/bash
# test-alarm.sh - from batches to rows of alarms, over a real PostgreSQL and Redis: what raises, that
# it is written once whoever dies meanwhile, what waits, and a probe that falls silent.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin alarm redis-server redis-cli

# One worker: what is refused must go in one batch with what is not.
collector() { store_collector one "metrics: { listen: \"127.0.0.1:$port\" }" 'workers: 1'; }

# Data of an hour ago, in whole minutes; those of a source follow one another.
begin=$(($(date +%s) / 60 * 60 - 3600))
{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes:'
    for i in 1 2 3 4 5 6 7; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    cat <<END
classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s }, c1: { dscp: 0, period: 100ms, size: 128, dt: 1s } }
links:
  l1: { state: active, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] }
  l2: { state: active, classes: [c0], flows: 4, ends: [ { probe: p2, address: 10.1.2.1 }, { probe: p3, address: 10.1.2.2 } ] }
  l3: { state: planned, classes: [c0], ends: [ { probe: p1, address: 10.1.3.1 }, { probe: p3, address: 10.1.3.2 } ] }
  l4: { state: active, classes: [c0, c1], rt_floor: 4ms, ends: [ { probe: p4, address: 10.1.4.1 }, { probe: p3, address: 10.1.4.2 } ] }
  l6: { state: active, classes: [c0], ends: [ { probe: p6, address: 10.1.6.1 }, { probe: p3, address: 10.1.6.2 } ] }
  l7: { state: active, classes: [c0], ends: [ { probe: p7, address: 10.1.7.1 }, { probe: p3, address: 10.1.7.2 } ] }
alarms:
  slow: { metric: rt_p50, over: 60s, raise: 50ms, clear: 60s, severity: minor, classes: [c0] }
  silent: { metric: silence, over: 4s, clear: 2s, severity: major }
END
} >"$STORE_INVENTORY"
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
plumbline apply --yes >/dev/null 2>&1
port=$(free_port)
collector

# alarm OBJECT RULE: what its rows say, oldest first, in seconds since 'begin'.
alarm() {
    echo "SELECT extract(epoch FROM began)::bigint - $begin, extract(epoch FROM raised)::bigint - $begin,
        extract(epoch FROM cleared)::bigint - $begin, extract(epoch FROM ended)::bigint - $begin, flaps
        FROM plumbline_store.alarm WHERE object = '$1' AND rule = '$2' ORDER BY id"
}
detail() { echo "SELECT details#>>'{$3}' FROM plumbline_store.alarm WHERE object = '$1' AND rule = '$2' ORDER BY id DESC LIMIT 1"; }
# counted NAME: of the page for Prometheus, all workers together.
counted() {
    python3 "$here/../netns/metrics.py" get "http://127.0.0.1:$port/metrics" |
        awk -v name="plumbline_collector_worker_$1_total" 'index($1, name) == 1 { n += $2 } END { print n + 0 }'
}
counts() { [[ $(counted "$1") == "$2" ]]; }
count() { echo "SELECT count(*) FROM plumbline_store.alarm WHERE object = '$1'"; }

# --- A cut, as a probe tells it: early states first, final summaries six seconds later ---
{
    printf '%s\n' 'source p1' 'lag 6' 'link l1 p2 0' 'link l3 p3 0' 'epoch 1000'
    for ((t = 0; t < 120; t++)); do
        early=''
        final=''
        ((t >= 60)) && early='overdue=10'
        ((t - 6 >= 60)) && final='fwd=10'
        echo "second $((begin + t)) early $early"
        ((t < 6)) || echo "second $((begin + t - 6)) final $final"
    done
} | feed
becomes 'a cut raises one alarm, back-dated, within three delta-t' $'60\t62\t\t\t0' "$(alarm l1 cut)"
becomes 'which says which way, when the first final summary told' 10 "$(detail l1 cut fwd,lost)"
check_equal 'and who the far end is' 'p2' "$(sql "$(detail l1 cut far)")"
becomes 'the desk has news of it' t 'SELECT EXISTS (SELECT FROM plumbline_store.alarm_news) OR EXISTS (SELECT FROM plumbline_store.problem_alarm)'
check_equal 'a planned link wakes nobody' 0 "$(sql "$(count l3)")"

# --- Killed, and read again: windows over minutes go on with what is committed ---
# dim SOURCE FROM UNTIL: a tenth is lost, now this way and now that.
dim() {
    printf '%s\n' "source $1" 'lag 6' "link l${1#p} p3 0" 'epoch 1000' "sequence $2"
    for ((t = $2; t < $3; t += 10)); do
        printf '%s\n' "seconds $((begin + t)) 6 fwd=1" "seconds $((begin + t + 6)) 4 bwd=1"
    done
}
dim p6 0 250 | feed
becomes 'a brown-out is not one before its window is full' t "SELECT written_until = to_timestamp($((begin + 240))) AND NOT EXISTS (SELECT FROM plumbline_store.alarm WHERE rule = 'brown')
    FROM plumbline_store.source_position WHERE source = 'p6'"
for round in 1 2 3; do
    stop one KILL 5
    collector
    check "claimed again ($round)" wait_for 30 answers "SELECT count(*) FROM plumbline_store.source_position WHERE owner_run IS NOT NULL" 7
done
dim p6 250 400 | feed
dim p7 0 400 | feed
becomes 'a brown-out is told when the window is full that began before' $'0\t300\t\t\t0' "$(alarm l6 brown)"
becomes 'as it is without' $'0\t300\t\t\t0' "$(alarm l7 brown)"
check_equal 'with the same counts' "$(sql "$(detail l7 brown sent)") $(sql "$(detail l7 brown fwd)") $(sql "$(detail l7 brown bwd)")" \
    "$(sql "$(detail l6 brown sent)") $(sql "$(detail l6 brown fwd)") $(sql "$(detail l6 brown bwd)")"
check_equal 'which are all that was' '3000 {"lost": 180} {"lost": 120}' "$(sql "$(detail l6 brown sent)") $(sql "$(detail l6 brown fwd)") $(sql "$(detail l6 brown bwd)")"
# Raised, and killed again and again until it is over: the row is the same in the end.
bright() { printf '%s\n' "source $1" 'lag 6' "link l${1#p} p3 0" 'epoch 1000' "sequence $2" "seconds $((begin + $2)) $(($3 - $2))"; }
until_written() { becomes "$1: rows of it are written" t "SELECT written_until >= to_timestamp($((begin + $3))) FROM plumbline_store.source_position WHERE source = '$2'"; }
dim p7 400 700 | feed
bright p7 700 2000 | feed
dim p6 400 550 | feed
for piece in 'dim 550 700 480' 'bright 700 1300 660' 'bright 1300 2000 1260'; do
    read -r how from until before <<<"$piece"
    until_written "before second $from" p6 "$before"
    stop one KILL 5
    collector
    check "claimed again at $from" wait_for 30 answers "SELECT count(*) FROM plumbline_store.source_position WHERE owner_run IS NOT NULL" 7
    "$how" p6 "$from" "$until" | feed
done
whole() { echo "SELECT began, raised, decided, cleared, ended, flaps, details FROM plumbline_store.alarm WHERE object = '$1' AND rule = 'brown' ORDER BY id"; }
becomes 'a brown-out is over' t "SELECT bool_and(cleared IS NOT NULL) AND count(*) = 2 FROM plumbline_store.alarm WHERE rule = 'brown' AND object IN ('l6', 'l7')"
check_equal 'and its row is as if nobody had been killed' "$(sql "$(whole l7)")" "$(sql "$(whole l6)")"
check_equal 'with all that was lost' '7000 {"lost": 420} {"lost": 280}' "$(sql "$(detail l6 brown sent)") $(sql "$(detail l6 brown fwd)") $(sql "$(detail l6 brown bwd)")"
printf '%s\n' 'source p1' 'lag 6' 'link l1 p2 0' 'link l3 p3 0' 'epoch 1000' 'sequence 234' \
    "seconds $((begin + 120)) 3 overdue=10 fwd=10" "seconds $((begin + 123)) 60" | feed
becomes 'killed and read again: no second row, and it clears' $'60\t62\t134\t123\t0' "$(alarm l1 cut)"
printf '%s\n' 'source p1' 'lag 6' 'link l1 p2 0' 'link l3 p3 0' 'epoch 1000' 'sequence 297' \
    "seconds $((begin + 183)) 5 fwd=10" "seconds $((begin + 188)) 40" | feed
becomes 'what comes back within hold is the same' $'60\t62\t209\t188\t1' "$(alarm l1 cut)"

# --- One path of four; the kernel of a probe does not send ---
printf '%s\n' 'source p2' 'flows 4' 'link l2 p3 0' 'epoch 1000' "seconds $begin 30" "seconds $((begin + 30)) 10 bwd=9 flow=2" | feed
becomes 'one of four flows is cut' $'30\t32\t\t\t0' "$(alarm l2 cut)"
check_equal 'and named' '{"of": 4, "over": [2], "over_count": 1}' "$(sql "$(detail l2 cut flows)")"
printf '%s\n' 'source p2' 'flows 4' 'link l2 p3 0' 'epoch 1000' 'sequence 40' "seconds $((begin + 40)) 20" \
    "seconds $((begin + 60)) 400" "seconds $((begin + 460)) 5 sent=0 errors=10" | feed
becomes 'what cannot be sent is lost' $'30\t32\t51\t40\t0\n460\t462\t\t\t0' "$(alarm l2 cut)"
check_equal 'and told as that' t "$(sql "SELECT (details->>'send_errors')::int > 0 FROM plumbline_store.alarm WHERE object = 'l2' AND rule = 'cut' AND cleared IS NULL")"

# --- Longer rules; a class that a rule is not for; a clock that lies ---
printf '%s\n' 'source p4' 'link l4 p3 0 2' 'health 1500 1' 'epoch 1000' "seconds $begin 400" \
    "seconds $((begin + 400)) 600 slow=60000" | feed
becomes 'a slow link is that in the classes of the rule' $'400\t431\t\t\t0' "$(alarm l4 slow)"
printf '%s\n' 'source p4' 'link l4 p3 0 2' 'health 1500 1' 'epoch 1000' 'sequence 1000' "seconds $((begin + 1000)) 100" \
    "seconds $((begin + 1100)) 20 below" 'health 2000000 1' "seconds $((begin + 1120)) 100" 'health 1500 0' "seconds $((begin + 1220)) 100" \
    'health 1500 1' "seconds $((begin + 1320)) 400" | feed
becomes 'round trips under the floor, of both classes' $'1100\t1106\t1424\t1120\t0\n1100\t1106\t1424\t1120\t0' "$(alarm l4 floor)"
becomes 'a clock that is not to be believed, and not synchronised' t "SELECT count(*) = 1 AND bool_and(cleared IS NOT NULL AND scope = 'probe') FROM plumbline_store.alarm WHERE object = 'p4' AND rule = 'clock'"

# --- PostgreSQL refuses alarms: rows are written all the same, and alarms wait ---
sql 'ALTER TABLE plumbline_store.alarm ADD CONSTRAINT nothing CHECK (false) NOT VALID' >/dev/null
printf '%s\n' 'source p2' 'flows 4' 'link l2 p3 0' 'epoch 1000' 'sequence 465' "seconds $((begin + 465)) 435" \
    "seconds $((begin + 900)) 30 lost=10" "seconds $((begin + 930)) 270" | feed
becomes 'what PostgreSQL refuses of alarms holds no rows up' t "SELECT written_until >= to_timestamp($((begin + 1200))) FROM plumbline_store.source_position WHERE source = 'p2'"
check 'and is told' wait_for 30 grep -q 'alarms wait: PostgreSQL refuses' "$TEST_DIR/one.log"
# Then of one link alone: what is of it is given up, and the rest goes in.
printf '%s\n' 'source p4' 'link l4 p3 0 2' 'health 1500 1' 'epoch 1000' 'sequence 1720' "seconds $((begin + 1720)) 10 lost=10" | feed
becomes 'rows of another source too' t "SELECT written_until >= to_timestamp($((begin + 1680))) FROM plumbline_store.source_position WHERE source = 'p4'"
check_equal 'none was given up while none went in' 0 "$(counted alarms_given_up)"
sql "BEGIN; ALTER TABLE plumbline_store.alarm ADD CONSTRAINT no_l4 CHECK (object <> 'l4' OR rule <> 'cut') NOT VALID; ALTER TABLE plumbline_store.alarm DROP CONSTRAINT nothing; COMMIT" >/dev/null
becomes 'it is written later, episode by episode' $'30\t32\t51\t40\t0\n460\t462\t476\t465\t0\n900\t902\t941\t930\t0' "$(alarm l2 cut)"
check 'but for the rows that are refused for what they are, which are counted' wait_for 30 counts alarms_given_up 2
check_equal 'and told once each, as they were' 2 "$(grep -cE 'an alarm is given up, PostgreSQL refuses it: .*no_l4.*: \{.*"rule":"cut".*"object":"l4","class":"c[01]"' "$TEST_DIR/one.log")"
check_equal 'of them there is nothing' '' "$(sql "$(alarm l4 cut)")"
sql 'ALTER TABLE plumbline_store.alarm DROP CONSTRAINT no_l4' >/dev/null

# --- Silence ---
check_equal 'who never spoke is not silent' 0 "$(sql "$(count p5)")"
becomes 'who spoke and says no more is' t "SELECT count(*) = 5 AND bool_and(rule = 'silent' AND severity = 'major') FROM plumbline_store.alarm WHERE object IN ('p1', 'p2', 'p4', 'p6', 'p7') AND scope = 'probe' AND cleared IS NULL AND rule <> 'clock'"
told=$(sql "SELECT count(*) FROM plumbline_store.alarm WHERE rule = 'silent'")
flaps() { sql "SELECT sum(flaps) FROM plumbline_store.alarm WHERE rule = 'silent' AND object <> 'p1'"; }
flaps=$(flaps)
stop one KILL 10
collector
check 'claimed again' wait_for 30 answers "SELECT count(*) FROM plumbline_store.source_position WHERE owner_run IS NOT NULL" 7
sequence=342 # Of p1's next entry.
speak() { # A second of p1 each second, until its alarm is cleared.
    local n=$((begin + 228))
    for ((i = 0; i < 60; i++, n++, sequence++)); do
        printf '%s\n' 'source p1' 'lag 6' 'link l1 p2 0' 'link l3 p3 0' 'epoch 1000' "sequence $sequence" "second $n" | feed
        answers "SELECT count(*) FROM plumbline_store.alarm WHERE object = 'p1' AND rule = 'silent' AND cleared IS NULL" 0 && return 0
        sleep 1
    done
    return 1
}
check 'it clears when it speaks again' speak
check_equal 'and nobody was told twice' "$told" "$(sql "SELECT count(*) FROM plumbline_store.alarm WHERE rule = 'silent'")"
check_equal 'nor did what was heard before end a silence' "$flaps t" "$(flaps) $(sql "SELECT bool_and(cleared IS NULL) FROM plumbline_store.alarm WHERE rule = 'silent' AND object <> 'p1'")"

# --- What is not in the inventory any more ---
sed -i '/^  l1:/s/state: active/state: retired/' "$STORE_INVENTORY"
printf '%s\n' 'source p1' 'lag 6' 'link l1 p2 0' 'link l3 p3 0' 'epoch 1000' "sequence $((sequence + 1))" \
    "seconds $((begin + 1200)) 10" "seconds $((begin + 1210)) 5 lost=10" | feed
becomes 'another cut' 1 "SELECT count(*) FROM plumbline_store.alarm WHERE object = 'l1' AND cleared IS NULL"
kill -HUP "${TEST_PID[one]}"
becomes 'an alarm of a link that was retired is over' 0 "SELECT count(*) FROM plumbline_store.alarm WHERE object = 'l1' AND cleared IS NULL"
check_equal 'with the reason' $'true\tthe link is retired' "$(sql "SELECT details->>'gone', details->>'text' FROM plumbline_store.alarm WHERE object = 'l1' ORDER BY id DESC LIMIT 1")"

# --- PostgreSQL gives no rows: windows begin anew, and sources are claimed all the same ---
stop one TERM 10
sql 'REVOKE SELECT ON plumbline_store.interval_row FROM plumbline_writer' >/dev/null
: >"$TEST_DIR/one.log"
collector
check 'rows that are not to be read are told' wait_for 30 grep -q 'gives no rows for its alarms: .*permission denied.*; their windows begin anew' "$TEST_DIR/one.log"
sql 'GRANT SELECT ON plumbline_store.interval_row TO plumbline_writer' >/dev/null
check 'and hold up no claim' wait_for 60 answers "SELECT count(*) FROM plumbline_store.source_position WHERE owner_run IS NOT NULL" 7
test_end
