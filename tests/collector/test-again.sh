#!/bin/bash
# test-again.sh - the same data, judged undisturbed and disturbed in every way that we know of,
# give the same quarter hours, transitions, verdicts and credits: killed in an outage, at
# midnight, between judging and publishing; late sources; PostgreSQL gone; another judge.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin again redis-server redis-cli

collector() { store_collector "${1:-one}"; }
iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }

# The tenant's month ends at midnight UTC: one border of a period, a day, a partition and a
# quarter hour.  Four quarter hours before it, and one and a bit after it.
now=$(date +%s)
month=$(date -u -d "$(date -u -d "@$((now - 7200))" +%Y-%m-01)" +%s)
begin=$((month - 3600))
end=$((month + 1200))

{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes:'
    for i in 1 2 3 4; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    cat <<END
routers: { r1: { site: a } }
classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }
links:
  l1: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] }
  l2: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p3, address: 10.1.2.1 }, { probe: p4, address: 10.1.2.2 } ] }
groups: { g1: { need: 1, members: [l1, l2] } }
tenants: { acme: { timezone: UTC } }
connectors:
  k1: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e1 } } } }
  k2: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e2 } } } }
services:
  s1: { tenant: acme, ends: [k1, k2], over: [g1], classes: [c0], sla: gold, in_service: $(iso "$begin") }
  s2: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: gold, in_service: $(iso "$begin") }
slas:
  gold:
    version: 1
    valid_from: 2020-01-01
    objectives:
      - { class: c0, metric: availability, limit: 99.9% }
      - { class: c0, metric: flr, direction: both, limit: 1% }
      - { class: c0, metric: rt_p99, limit: 50ms }
    credits: { availability: [ { below: 99.9%, credit: 10% }, { below: 99%, credit: 25% } ], cap: 100% }
END
} >"$TEST_DIR/inventory.yaml"
store_start
check 'the inventory is right' plumbline check "$TEST_DIR/inventory.yaml"
plumbline apply --yes >/dev/null 2>&1

# --- The data -----------------------------------------------------------------------------

# What went wrong on the first way of l1: FROM LENGTH PACKETS, in order; ten lost a second is a
# cut.  The tenth bad delta-t of the first begins an interval; the second goes over midnight.
wrongs=(
    "$((begin + 591)) 10 10"
    "$((begin + 1500)) 5 10"
    "$((begin + 2000)) 9 10"
    "$((begin + 2900)) 1 3"
    "$((month - 5)) 12 10"
    "$((month + 400)) 30 10"
)
# Of l2, so that the group is down while both are.
others=("$((begin + 595)) 15 10" "$((month + 300)) 110 10")

# seconds FROM UNTIL WRONG ...: the script of that time.
seconds() {
    local at=$1 until=$2 wrong from length lost last
    shift 2
    for wrong in "$@"; do
        read -r from length lost <<<"$wrong"
        last=$((from + length < until ? from + length : until))
        ((last > at)) || continue
        ((from > at)) || from=$at
        ((from < until)) || break
        ((from == at)) || echo "seconds $at $((from - at))"
        echo "seconds $from $((last - from)) fwd=$lost"
        at=$last
    done
    ((at >= until)) || echo "seconds $at $((until - at))"
}
declare -A link_of=([p1]='l1 p2 0' [p2]='l1 p1 1' [p3]='l2 p4 0' [p4]='l2 p3 1')
# spoken SOURCE FROM UNTIL: one batch a second, so that sequences follow from the time.
spoken() {
    local list=()
    [[ $1 == p1 ]] && list=("${wrongs[@]}")
    [[ $1 == p3 ]] && list=("${others[@]}")
    printf '%s\n' "source $1" "link ${link_of[$1]}" 'epoch 1000'
    (($2 == begin)) || echo "sequence $(($2 - begin))"
    [[ -z ${LAG:-} ]] || echo "lag $LAG"
    seconds "$2" "$3" "${list[@]}"
}
# say FROM UNTIL SOURCE ...
say() {
    local source
    for source in "${@:3}"; do spoken "$source" "$1" "$2"; done | feed
}
all=(p1 p2 p3 p4)

# written SOURCE TIME, judged SCOPE TIME: as far as that.
written() { wait_for 60 answers "SELECT written_until >= to_timestamp($2) FROM plumbline_store.source_position WHERE source = '$1'" t; }
judged() { wait_for 60 answers "SELECT min(u) >= to_timestamp($2) FROM (SELECT max(q.until) AS u FROM plumbline_store.judged_quarter q
    JOIN plumbline_store.judged_line l USING (line_id) WHERE l.scope = '$1' AND NOT q.stale GROUP BY l.line_id) x" t; }

# --- What was judged ----------------------------------------------------------------------

# dump [nr]: all of it; with nr without revisions and the reasons of them, and the newest alone.
dump() {
    local revision=q.revision verdicts='' why=", v.revision, v.why"
    [[ -z ${1:-} ]] || { revision=0 verdicts='AND v.newest' why=''; }
    sql "SELECT 'quarter', l.scope_kind, l.scope, l.object, l.class, l.direction, q.start AT TIME ZONE 'UTC', q.until AT TIME ZONE 'UTC', $revision,
             q.stale, q.available_before, q.available_after, q.high_loss_run, q.high_loss_after, q.dt_total, q.dt_counted,
             q.dt_available, q.dt_undetermined, q.outages, q.hli, q.chli_runs, q.sent, q.lost, q.delay_count, md5(q.tally), encode(q.states, 'hex')
         FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id) ORDER BY 2, 3, 4, 5, 6, 7"
    sql "SELECT 'transition', l.scope_kind, l.scope, l.object, l.direction, t.at AT TIME ZONE 'UTC', t.available
         FROM plumbline_store.transition t JOIN plumbline_store.judged_line l USING (line_id) ORDER BY 2, 3, 4, 5, 6"
    sql "SELECT 'verdict', v.service, v.period_start, v.period_end, v.judged_from, v.number, v.metric, v.direction, v.verdict, v.doubt, v.value,
             v.worst, v.part, v.whole, v.low, v.high, v.needed, v.budget, v.used$why
         FROM plumbline.v_verdict v WHERE true $verdicts ORDER BY v.service, v.period_start, v.number, v.revision"
    sql "SELECT 'credit', c.service, c.period_start, c.credit_milli, c.reasons, c.state FROM plumbline.v_credit c ORDER BY 2, 3"
    sql "SELECT 'running', s.service, s.judged_until, s.number, s.verdict, s.doubt, s.value, s.worst, s.part, s.whole, s.low, s.high, s.needed,
             s.budget, s.used FROM plumbline.v_service s ORDER BY 2, 3, 4"
}
# What the roll-ups say, without revisions.
rollups() {
    sql "SELECT 'rows', s.object, s.observer, s.direction, s.start, s.sent, s.received, s.lost, s.dt_count, s.unknown_dt, s.undetermined_dt, s.delay_count, s.delay_p99_ns
         FROM plumbline.v_quarter s ORDER BY 2, 3, 4, 5"
}
is_as_before() { cmp -s <(dump "$1" 2>/dev/null) "$TEST_DIR/undisturbed$1"; }
# same SENTENCE [nr]: it becomes what it was undisturbed, byte for byte.
same() {
    wait_for 40 is_as_before "${2:-}" 2>/dev/null || true
    dump "${2:-}" >"$TEST_DIR/disturbed"
    check "$1" cmp -s "$TEST_DIR/disturbed" "$TEST_DIR/undisturbed${2:-}" || diff "$TEST_DIR/undisturbed${2:-}" "$TEST_DIR/disturbed" | head -n 20 >&2
}
# anew: as it was when the first minutes were judged.
anew() {
    local name
    for name in one two; do
        stop "$name" KILL 10
        : >"$TEST_DIR/$name.log"
    done
    redis_do flushall >/dev/null
    pg_sql postgres 'DROP DATABASE IF EXISTS plumbline WITH (FORCE)' 2>/dev/null
    pg_sql postgres 'CREATE DATABASE plumbline TEMPLATE begun'
}

# A judge that finds nothing measured looks again after ten seconds: once is enough.
first=$((begin + 300))
collector
say "$begin" "$first" p1 p2 p3
wait_for 30 answers "SELECT count(*) FROM plumbline_store.source_position WHERE source = 'p4'" 1
check 'a source that never spoke is given up' plumbline forget --yes p4 >/dev/null
check 'and holds nobody back' judged l2 "$first"
say "$begin" "$first" p4
wait_for 30 answers "SELECT written_until = to_timestamp($first) AND NOT closed FROM plumbline_store.source_position WHERE source = 'p4'" t
wait_for 30 answers 'SELECT count(*) FROM plumbline_store.rejudge' 0
judged s1 "$first" && judged s2 "$first"
stop one TERM 20
pg_sql postgres 'ALTER DATABASE plumbline RENAME TO begun'

anew
collector
say "$first" "$end" "${all[@]}"
judged s1 "$end" && judged s2 "$end"
published() { answers "SELECT count(*) FROM plumbline.v_verdict" 6; }
check 'undisturbed: both services have their verdicts' wait_for 60 published
stop one TERM 20
dump >"$TEST_DIR/undisturbed"
dump nr >"$TEST_DIR/undisturbednr"
rollups >"$TEST_DIR/rollups"
check_equal 'undisturbed: what was cut is unavailable, over midnight too' "$(printf '%s\n' f:591 t:601 "f:$((month - 5 - begin))" "t:$((month + 7 - begin))" "f:$((month + 400 - begin))" "t:$((month + 430 - begin))")" \
    "$(sql "SELECT available || ':' || extract(epoch FROM at)::bigint - $begin FROM plumbline.v_transition WHERE scope = 'l1' AND direction = 'fwd' ORDER BY at" | sed 's/^true/t/; s/^false/f/')"
check_equal 'undisturbed: a group is down while both are' $'6\n10' \
    "$(sql "SELECT sum(dt_counted - dt_available) FROM plumbline.v_availability WHERE scope_kind = 'group' GROUP BY start < to_timestamp($month) ORDER BY start < to_timestamp($month) DESC")"
check_equal 'undisturbed: verdicts of the month' "$(printf 's1\tmissed\t3594\t3600\ns2\tmissed\t3585\t3600')" \
    "$(sql "SELECT service, verdict, part, whole FROM plumbline.v_verdict WHERE number = 1 ORDER BY 1")"

# --- Killed -------------------------------------------------------------------------------

anew
collector
say "$first" $((begin + 600)) "${all[@]}"
written p1 $((begin + 600)) && judged l1 $((begin + 540)) && judged l2 $((begin + 540))
check 'nine of ten bad delta-t are read, and not decided' answers \
    "SELECT max(until) = to_timestamp($((begin + 540))) FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id) WHERE scope = 'l1' AND direction = 'fwd'" t
stop one KILL 10
say $((begin + 600)) "$end" "${all[@]}"
collector
same 'killed in the ninth of ten bad delta-t'

anew
collector
say "$first" $((month - 60)) "${all[@]}"
# A packet of the last delta-t may come for Tmax: the sources say so.
LAG=10 say $((month - 60)) $((month + 8)) "${all[@]}"
judged l1 $((month - 60)) && judged l2 $((month - 60))
check_equal 'trap_11_report_closed_before_n_dt_and_tmax: packets may still come' "$((month - 60))	0" \
    "$(sql "SELECT extract(epoch FROM min(written_until))::bigint, (SELECT count(*) FROM plumbline_store.verdict) FROM plumbline_store.source_position")"
LAG=10 say $((month + 8)) $((month + 10)) "${all[@]}"
written p1 "$month" && judged l2 "$month"
check_equal 'trap_11_report_closed_before_n_dt_and_tmax: the last delta-t is not decided' "$((month - 60))	0" \
    "$(sql "SELECT extract(epoch FROM max(until))::bigint, (SELECT count(*) FROM plumbline_store.verdict)
        FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id) WHERE scope = 'l1' AND direction = 'fwd'")"
stop one TERM 20
collector
wait_for 30 answers "SELECT count(*) FROM plumbline_store.source_position WHERE owner = 'one'" 4
stop one KILL 10
say $((month + 10)) "$end" "${all[@]}"
collector
same 'killed and begun anew at midnight, in an outage that goes over it'

# --- Late ---------------------------------------------------------------------------------

for late in p1 p2; do
    anew
    collector
    say "$first" $((begin + 900)) "$late"
    for source in "${all[@]}"; do [[ $source == "$late" ]] || say "$first" "$end" "$source"; done
    judged l2 "$end"
    check_equal "an hour late, $late: the judge waits, and nothing is published" '0	t' \
        "$(sql "SELECT (SELECT count(*) FROM plumbline_store.verdict), max(until) <= to_timestamp($((begin + 900)))
            FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id) WHERE object <> 'l2'")"
    say $((begin + 900)) "$end" "$late"
    same "an hour late, $late"
done

# --- Given up, and back -------------------------------------------------------------------

# A source that is forgotten holds nobody back: its time is judged without it, and published.
for late in p1 p2; do
    anew
    collector
    say "$first" "$month" "$late"
    for source in "${all[@]}"; do [[ $source == "$late" ]] || say "$first" "$end" "$source"; done
    judged l2 "$end" && written "$late" "$month"
    check "given up, $late: it is closed" plumbline forget --yes "$late" >/dev/null
    check "given up, $late: the month is published without it" wait_for 60 published
    judged s1 "$end" && judged s2 "$end"
    sql "SELECT * FROM plumbline_store.verdict ORDER BY 1, 2, 3" >"$TEST_DIR/first"
    check "given up, $late: other than it would have been" test "$(dump nr | md5sum)" != "$(md5sum <"$TEST_DIR/undisturbednr")"
    say "$month" "$end" "$late"
    same "given up and back, $late: judged again" nr
    check "given up and back, $late: what was published stays" cmp -s "$TEST_DIR/first" \
        <(sql "SELECT * FROM plumbline_store.verdict WHERE revision = 0 ORDER BY 1, 2, 3")
    check_equal "given up and back, $late: the reason of the revision is said" "source $late, which was given up, is back" \
        "$(sql 'SELECT DISTINCT why FROM plumbline_store.verdict WHERE revision > 0')"
    is_rolled() { cmp -s "$TEST_DIR/rollups" <(rollups); }
    wait_for 20 is_rolled 2>/dev/null
    check "given up and back, $late: quarter hours are merged again" is_rolled || diff "$TEST_DIR/rollups" <(rollups) | head >&2
    check_equal "given up and back, $late: nothing waits any more" '0	0' \
        "$(sql 'SELECT (SELECT count(*) FROM plumbline_store.rejudge), (SELECT count(*) FROM plumbline_store.far_pending)')"
done

# --- Killed between judging and publishing ------------------------------------------------

anew
collector
say "$first" "$month" "${all[@]}"
judged l2 "$month"
start holder "$(pg_bin)/psql" -X -q -h "$PG_DIR" -p "$PG_PORT" -U postgres -d plumbline \
    -c 'BEGIN; LOCK TABLE plumbline_store.verdict IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)'
waits() { answers "SELECT count(*) FROM pg_locks k JOIN pg_stat_activity a USING (pid) WHERE NOT k.granted AND k.relation = 'plumbline_store.verdict'::regclass AND a.application_name LIKE '%judge'" 1; }
say "$month" "$end" "${all[@]}"
check 'the judge stands before the verdicts' wait_for 60 waits
stop one KILL 10
stop holder KILL 10
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
check_equal 'killed there: nothing is published' 0 "$(sql 'SELECT count(*) FROM plumbline_store.verdict')"
collector
same 'killed between judging and publishing'

# --- PostgreSQL gone, and another judge ---------------------------------------------------

anew
collector
say "$first" $((begin + 1200)) "${all[@]}"
judged l2 $((begin + 900))
say $((begin + 1200)) "$month" "${all[@]}"
stop postgres QUIT 20
say "$month" "$end" "${all[@]}"
check 'PostgreSQL starts again' pg_start "$TEST_DIR/pg"
same 'PostgreSQL killed while the judge works'

anew
collector one
collector two
wait_for 30 grep -q 'judges what is sold' "$TEST_DIR/one.log" "$TEST_DIR/two.log"
say "$first" $((begin + 1200)) "${all[@]}"
judged l2 $((begin + 900))
judges=$(grep -l 'judges what is sold' "$TEST_DIR/one.log" "$TEST_DIR/two.log")
check_equal 'of two collectors one judges' 1 "$(wc -l <<<"$judges")"
stop "$(basename "$judges" .log)" KILL 10
say $((begin + 1200)) "$end" "${all[@]}"
same 'another collector goes on judging'
check_equal 'the other one' 2 "$(grep -l 'judges what is sold' "$TEST_DIR/one.log" "$TEST_DIR/two.log" | wc -l)"
test_end
