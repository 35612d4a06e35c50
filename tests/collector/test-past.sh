#!/bin/bash
# test-past.sh - over a real PostgreSQL and Redis: the past that relative alarms compare with, made
# of minutes, quarter hours or days by what the rule asks; and budgets that burn too fast, from
# what the judge wrote to alarms.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin past redis-server redis-cli

rule() { echo "  $1: { metric: $2, over: $3, raise: +20%, against: $4, clear: 1m, severity: info }"; }
{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: { timezone: Europe/Paris } }' 'probes:'
    for i in 1 2 3 4 5 6; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    echo 'classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }'
    echo 'links:'
    for i in 1 3 5; do
        echo "  l$i: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p$i, address: 10.$i.1.1 }, { probe: p$((i + 1)), address: 10.$i.1.2 } ] }"
    done
    echo 'alarms:'
    rule minutes rt_p50 10s 8m
    rule mean rt_mean 10s 8m
    rule quarters rt_p50 1m 6h
    rule low rt_p1 1m 7d
    echo '  slow: { metric: rt_p50, over: 1m, raise: +20%, against: 7d, clear: 1m, severity: info }'
} >"$TEST_DIR/inventory.yaml"
store_start
check 'the inventory is right' plumbline check "$TEST_DIR/inventory.yaml"

now=$(date +%s)
begin=$(((now - 7200) / 900 * 900))
# l1: 5 ms, since 35 minutes 2 ms more.  l3: a packet lost in each second.  l5: a minute or two only.
step=$((now / 60 * 60 - 2100))
for i in 1 2; do
    printf '%s\n' "source p$i" "link l1 p$((3 - i)) $((i - 1))" 'epoch 1000' "seconds $begin $((step - begin))" \
        "seconds $step $((now - step - 6)) slow=2000"
done | feed
for i in 3 4; do
    printf '%s\n' "source p$i" "link l3 p$((7 - i)) $((i - 3))" 'epoch 1000' "seconds $begin $((now - begin - 6)) fwd=1"
done | feed
for i in 5 6; do
    printf '%s\n' "source p$i" "link l5 p$((11 - i)) $((i - 5))" 'epoch 1000' "seconds $((now / 60 * 60 - 120)) 100"
done | feed

past() { # OBJECT OBSERVER METRIC AGAINST: in us.
    echo "SELECT value_ns / 1000 FROM plumbline_store.baseline WHERE (object, class, observer, metric, against_s) = ('$1', 'c0', '$2', '$3', $4)"
}
# near SENTENCE LOW HIGH SQL: in time a number from LOW to HIGH.
near() {
    wait_for 60 answers "SELECT x BETWEEN $2 AND $3 FROM ($4) y(x)" t 2>/dev/null || true
    check_equal "$1" t "$(sql "SELECT CASE WHEN x BETWEEN $2 AND $3 THEN 't' ELSE x::text END FROM ($4) y(x)")"
}

store_collector one 'workers: 2'
becomes 'what was streamed is committed' 6 "SELECT count(*) FROM plumbline.source_position WHERE written_until >= to_timestamp($((now / 60 * 60 - 180)))"
# An hour is over: what was tried before all was there is tried again.
sql "UPDATE plumbline_store.baseline SET at = at - interval '61 minutes'"
stop one TERM 15
store_collector one
near 'the past of some hours is made of quarter hours' 5000 5040 "$(past l1 p1 rt_p50 21600)"
near 'of the other observer as well' 5000 5040 "$(past l1 p2 rt_p50 21600)"
near 'a short past is made of minutes: it is after the step' 7000 7040 "$(past l1 p1 rt_p50 480)"
near 'its mean too' 7000 7040 "$(past l1 p1 rt_mean 480)"
near 'today counts in a past of days' 5000 5010 "$(past l1 p1 rt_p1 604800)"
becomes 'where nothing is clean nothing is known' $'t\t10\t2' "SELECT bool_and(value_ns IS NULL), count(*), count(DISTINCT observer) FROM plumbline_store.baseline WHERE object = 'l3'"
becomes 'nor where there is too little of it' 2 "SELECT count(*) FROM plumbline_store.baseline WHERE object = 'l5' AND metric = 'rt_p1' AND value_ns IS NULL"
check_equal 'each link, observer and rule has one' 30 "$(sql 'SELECT count(*) FROM plumbline_store.baseline')"

# --- Days; whoever goes on makes nothing anew before its time ---
# copies TABLE DAYS SECOND OBJECT: a quarter hour of l1 at 7 ms, as if it were of that second so many
# days before the present one (UTC), and of OBJECT.
day=$(((now - 60) / 86400 * 86400))
copies() {
    local at=$((day - $2 * 86400 + $3))
    sql "SELECT plumbline_store.make_day((to_timestamp($at) AT TIME ZONE 'UTC')::date)" >/dev/null
    sql "INSERT INTO plumbline_store.$1 SELECT $(sql "SELECT string_agg(CASE attname WHEN 'start' THEN 'to_timestamp($at)' WHEN 'series_id' THEN 'o.series_id'
            ELSE 'q.' || attname END, ', ' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = 'plumbline_store.quarter_row'::regclass AND attnum > 0 AND NOT attisdropped")
        FROM plumbline_store.quarter_row q JOIN plumbline_store.series s USING (series_id), plumbline_store.series o
        WHERE (s.object, s.observer, s.direction) = ('l1', 'p1', 'rt') AND (o.object, o.observer, o.direction) = ('$4', '${5:-p1}', 'rt')
        AND q.start = to_timestamp($(((step + 899) / 900 * 900)))"
}
# anew OBJECT: an hour is over, and another collector begins.
anew() {
    stop one TERM 15
    sql "UPDATE plumbline_store.baseline SET value_ns = 1, at = at - interval '61 minutes' WHERE object = '$1' AND against_s = 604800"
    store_collector one
}
for n in 2 3 4 5; do copies day_row $n 0 l5 p5; done
made=$(sql "SELECT at FROM plumbline_store.baseline WHERE (object, observer, metric) = ('l1', 'p1', 'rt_p1')")
sql "INSERT INTO plumbline_store.baseline SELECT 'gone', class, observer, metric, against_s, value_ns, at FROM plumbline_store.baseline WHERE object = 'l1'"
anew l5
near 'days alone are enough for a past of days' 7000 7040 "$(past l5 p5 rt_p50 604800)"
becomes 'what nobody needs any more is gone' 0 "SELECT count(*) FROM plumbline_store.baseline WHERE object = 'gone'"
check_equal 'what is not an hour old stays as it was' "$made" "$(sql "SELECT at FROM plumbline_store.baseline WHERE (object, observer, metric) = ('l1', 'p1', 'rt_p1')")"
if ((now % 86400 > 3 * 3600)); then
    for n in $(seq 1 40); do copies quarter_row 1 $((n * 900)) l1; done
    anew l1
    near 'a day that has no row yet counts by its quarter hours' 7000 7040 "$(past l1 p1 rt_p50 604800)"
    copies day_row 1 0 l1
    anew l1
    near 'and by its row once it has one' 5000 5040 "$(past l1 p1 rt_p50 604800)"
fi
# A link that is cut has no clean rows: what it was before stays for as long as it is compared with.
stop one TERM 15
sql "UPDATE plumbline_store.baseline SET value_ns = 4711000, at = now() - interval '1 minute' WHERE object = 'l3' AND against_s = 480"
sql "UPDATE plumbline_store.baseline SET value_ns = 4711000, at = now() - interval '8 minutes' WHERE object = 'l3' AND against_s = 480 AND observer = 'p4'"
sql "INSERT INTO plumbline_store.judged_period (service, period_start, period_end, sla, version, judged_from, judged_until)
        VALUES ('s0', now() - interval '1 day', now() + interval '1 day', 'gold', 1, now() - interval '1 day', now());
    INSERT INTO plumbline_store.objective_state (service, period_start, number, class, metric, direction, limit_value, unit, verdict, doubt, part, whole,
        needed, budget, used) SELECT 's0', period_start, 1, 'c0', 'flr', 'both', 10, 'milli_percent', 'met', '', 0, 0, 0, 1000, 7 FROM plumbline_store.judged_period"
store_collector one
becomes 'a collector looks at budgets' 7 "SELECT used FROM plumbline_store.burn WHERE service = 's0'"
becomes 'a value that is too old is dropped' 2 "SELECT count(*) FROM plumbline_store.baseline WHERE object = 'l3' AND observer = 'p4' AND against_s = 480 AND value_ns IS NULL"
check_equal 'one that is not stays' 2 "$(sql "SELECT count(*) FROM plumbline_store.baseline WHERE object = 'l3' AND observer = 'p3' AND value_ns = 4711000")"
stop one TERM 15

# --- Budgets ---
sql 'TRUNCATE plumbline_store.judged_period, plumbline_store.objective_state, plumbline_store.alarm, plumbline_store.alarm_news,
    plumbline_store.burn'
{
    cat "$TEST_DIR/inventory.yaml"
    echo '  quick: { metric: budget, over: 5m, raise: 1%, clear: 2m, severity: minor, classes: [c0] }'
} >"$TEST_DIR/burn.yaml"
month=$(date -u -d 2026-03-01 +%s)
t0=$((month + 10 * 86400))
round() { "$STORE_BUILD/tests/collector/burn" "$PG_CONNINFO dbname=plumbline" "$TEST_DIR/burn.yaml" $((t0 + $1)) 300; }
# spent AT SERVICE NUMBER USED: judged up to AT (seconds after t0), so much of 1000 is spent; and a round.
spent() {
    sql "UPDATE plumbline_store.judged_period SET judged_until = to_timestamp($t0 + $1) WHERE service = '$2' AND revision IS NULL;
        UPDATE plumbline_store.objective_state SET used = $4 WHERE service = '$2' AND number = $3"
    round "$1"
}
period() { # SERVICE START: a period of two objectives that begins then, and nothing is spent.
    sql "INSERT INTO plumbline_store.judged_period (service, period_start, period_end, sla, version, judged_from, judged_until)
        VALUES ('$1', to_timestamp($2), to_timestamp($2) + interval '31 days', 'gold', 1, to_timestamp($2), to_timestamp($2))"
    for number in 1 2; do
        sql "INSERT INTO plumbline_store.objective_state (service, period_start, number, class, metric, direction, limit_value, unit, verdict, doubt, part,
            whole, needed, budget, used) VALUES ('$1', to_timestamp($2), $number, 'c$((number - 1))', 'flr', 'both', 10, 'milli_percent', 'met', '', 0, 0, 0, 1000, 0)"
    done
}
alarms() { # RULE: of each alarm of s1 began, raised, decided, cleared, ended, flaps, value, worst, class.
    sql "SELECT extract(epoch FROM began)::bigint - $t0, extract(epoch FROM raised)::bigint - $t0, extract(epoch FROM decided)::bigint - $t0,
        extract(epoch FROM cleared)::bigint - $t0, extract(epoch FROM ended)::bigint - $t0, flaps, details->>'value', details->>'worst',
        details->'objective'->>'class' FROM plumbline_store.alarm WHERE rule = '$1' AND object = 's1' ORDER BY id" | tr '\t\n' ' ;'
}
news() { sql 'SELECT count(*) FROM plumbline_store.alarm_news'; }

period s1 "$month"
spent 0 s1 2 500
check_equal 'what was spent before anybody looked raises nothing' '' "$(alarms burn)"
spent 60 s1 2 550
check_equal 'five per cent within an hour are not over five' '' "$(alarms burn)"
spent 120 s1 2 551
check_equal 'one packet more is' '60 120 120   0 5100 5100 c1;' "$(alarms burn)"
check_equal 'of a severity, a scope and a unit' $'major\tservice\t\t\tbudget\tmilli_percent\t5000\t51\t1000' "$(sql "SELECT severity, scope, class, observer, metric,
    details->>'unit', details->>'limit', details->'objective'->>'spent', details->'objective'->>'budget' FROM plumbline_store.alarm")"
check_equal 'the desk is told' 1 "$(news)"
check_equal 'a rule of another class says nothing' '' "$(alarms quick)"
spent 120 s1 2 600
check_equal 'a service that is judged no further changes nothing' '60 120 120   0 5100 5100 c1;' "$(alarms burn)"
spent 180 s1 2 600
spent 180 s1 2 600
check_equal 'while it burns it is one alarm, and its worst is known' '60 120 180   0 5100 10000 c1;' "$(alarms burn)"
check_equal 'of which the desk is told once' 1 "$(news)"
spent 240 s1 1 580
check_equal 'the objective that burns fastest decides' '60 120 240   0 5100 58000 c0;' "$(alarms burn)"
check_equal 'and raises the rule of its class' '240 240 240   0 58000 58000 c0;' "$(alarms quick)"
spent 539 s1 1 580
spent 540 s1 1 580
spent 658 s1 1 580
check_equal 'it holds as long as its window, and is clear a while after' '240 240 539   0 58000 58000 c0;' "$(alarms quick)"
spent 659 s1 1 580
check_equal 'and not a second later' '240 240 539 659 539 0 58000 58000 c0;' "$(alarms quick)"
spent 700 s1 1 600
check_equal 'soon again is the same alarm' '240 240 700   1 2000 58000 c0;' "$(alarms quick)"
spent 999 s1 1 600
spent 1238 s1 1 600
check_equal 'which takes twice as long to clear' '240 240 999   1 2000 58000 c0;' "$(alarms quick)"
spent 1239 s1 1 600
check_equal 'then does' '240 240 999 1239 999 1 2000 58000 c0;' "$(alarms quick)"
spent 1540 s1 1 620
check_equal 'later again is another' '240 240 999 1239 999 1 2000 58000 c0;1540 1540 1540   0 2000 2000 c0;' "$(alarms quick)"
check_equal 'the desk was told of each' 6 "$(news)"
spent 3839 s1 1 620
check_equal 'what the longest window needs is kept' 4 "$(sql "SELECT count(*) FROM plumbline_store.burn WHERE number = 1")"
spent 3840 s1 1 620
check_equal 'and no more' 3 "$(sql "SELECT count(*) FROM plumbline_store.burn WHERE number = 1")"
spent 7438 s1 1 620
check_equal 'an hour is not up' '60 120 3839   0 5100 62000 c0;' "$(alarms burn)"
spent 7439 s1 1 620
check_equal 'an hour is' '60 120 3839 7439 3839 0 5100 62000 c0;' "$(alarms burn)"
check_equal 'one line of each objective is left' $'1\t620\n2\t600' "$(sql 'SELECT number, used FROM plumbline_store.burn ORDER BY 1')"
spent 7800 s1 1 700
spent 7860 s1 1 630
check_equal 'what is excluded later was not spent' '7800 7800 7800   0 8000 8000 c0' "$(alarms burn | cut -d ';' -f 2)"
period s1 $((t0 + 20000))
spent 20060 s1 1 50
check_equal 'another period begins anew' '7800 7800 7800 20060 7800 0 8000 8000 c0' "$(alarms burn | cut -d ';' -f 2)"
spent 20600 s1 1 51
check_equal 'and what it spends from its first second on counts' '20060 20600 20600   0 5100 5100 c0' "$(alarms burn | cut -d ';' -f 3)"
sql "DELETE FROM plumbline_store.judged_period"
round 30000
check_equal 'an alarm of a service that promises nothing any more is cleared' '20060 20600 20600 30000 20600 0 5100 5100 c0' "$(alarms burn | cut -d ';' -f 3)"
period s3 $((t0 + 40000))
sql 'UPDATE plumbline_store.objective_state SET budget = 0'
spent 40060 s3 2 1
check_equal 'where nothing may be spent one is all' 100000 "$(sql "SELECT details->>'value' FROM plumbline_store.alarm WHERE object = 's3'")"
period s4 $((t0 + 40000))
sql 'REVOKE INSERT ON plumbline_store.alarm_news FROM plumbline_writer'
check 'a round that is refused fails' eval '! spent 40120 s4 2 900 2>"$TEST_DIR/err"'
check 'and says why' grep -q 'burn: .*permission denied for table alarm_news' "$TEST_DIR/err"
check_equal 'and leaves nothing behind' $'0\t0' "$(sql "SELECT (SELECT count(*) FROM plumbline_store.alarm WHERE object = 's4'), (SELECT count(*) FROM plumbline_store.burn WHERE service = 's4')")"
sql 'GRANT INSERT ON plumbline_store.alarm_news TO plumbline_writer'
spent 40120 s4 2 900
check_equal 'what it could not do is done later' 1 "$(sql "SELECT count(*) FROM plumbline_store.alarm WHERE object = 's4'")"
echo '  burn: { state: retired, metric: budget, over: 1h, raise: 5%, clear: 1h, severity: major }' >>"$TEST_DIR/burn.yaml"
round 40180
check_equal 'alarms of a rule that is retired are cleared' 0 "$(sql "SELECT count(*) FROM plumbline_store.alarm WHERE rule = 'burn' AND cleared IS NULL")"
test_end
