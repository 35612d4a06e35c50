#!/bin/bash
# test-outage.sh - credits by the length of one outage, from committed rows to `plumbline
# credits`: tiers, windows, the month's end, two classes, later revisions, a connector's tail
# beside a group of the same key.  The truth is what the script cuts.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin outage redis-server redis-cli python3

collector() { store_collector one; }
iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }

# The month of Paris that began two hours ago or more; one hour of service before it, and 20 min of
# the next month, into which the last outage goes on.
now=$(date +%s)
month=$(TZ=Europe/Paris date -d "$(TZ=Europe/Paris date -d "@$((now - 7200))" +%Y-%m-01)" +%s)
begin=$((month - 3600))
length=4800

end() { printf '{ probe: %s, address: %s }' "$1" "$2"; }
{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: { timezone: Europe/Paris } }' 'probes:'
    for i in 1 2 3 4 5; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    cat <<END
routers: { r1: { site: a } }
classes:
  c0: { dscp: ef, period: 100ms, size: 128, dt: 1s }
  c1: { dscp: 0, period: 100ms, size: 128, dt: 1s }
links:
  l1: { state: active, probe_from: both, classes: [c0, c1], ends: [ $(end p1 10.1.1.1), $(end p2 10.1.1.2) ] }
  l2: { state: active, probe_from: both, classes: [c0], ends: [ $(end p3 10.1.2.1), $(end p4 10.1.2.2) ] }
groups: { k1: { need: 1, members: [l1, l2] } }
tenants: { acme: { timezone: Europe/Paris } }
connectors:
  k1: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e1 },
        test: { probe: p5, protocol: stamp, address: 10.1.3.2, class: c0 } } } }
  k2: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e2 } } } }
services:
  s1: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0, c1], sla: gold, in_service: $(iso "$begin") }
  s2: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: silver, in_service: $(iso "$begin") }
  s3: { tenant: acme, ends: [k1, k2], over: [k1], classes: [c0], sla: bronze, in_service: $(iso "$begin") }
  s4: { tenant: acme, ends: [k1, k2], over: [l2], classes: [c0], sla: bronze, in_service: $(iso "$begin") }
slas:
  gold:
    version: 1
    valid_from: 2020-01-01
    objectives: [ { class: c0, metric: availability, limit: 99.9% }, { class: c1, metric: availability, limit: 99.9% } ]
    credits: { availability: { outage: [ { above: 1m, credit: 1% }, { above: 5m, credit: 5% } ], value: [ { below: 50%, credit: 2% } ] } }
  silver:
    version: 1
    valid_from: 2020-01-01
    objectives: [ { class: c0, metric: availability, limit: 99.9% } ]
    credits: { availability: { outage: [ { above: 1m, credit: 1% }, { above: 5m, credit: 5% } ], value: [ { below: 99.9%, credit: 10% } ] }, cap: 8% }
  bronze:
    version: 1
    valid_from: 2020-01-01
    covers: [over, tail]
    objectives: [ { class: c0, metric: availability, limit: 99.9% } ]
    credits: { availability: { outage: [ { above: 1m, credit: 1% } ] } }
END
} >"$TEST_DIR/inventory.yaml"
store_start
check 'the inventory is right' plumbline check "$TEST_DIR/inventory.yaml" || test_end
plumbline apply --yes >/dev/null 2>&1
collector

# cuts FROM LENGTH ...: seconds of what was begun, with nothing there from FROM on for so long.
cuts() {
    local at=0
    for ((; $#; )); do
        printf 'seconds %d %d\nseconds %d %d fwd=10\n' $((begin + at)) $(($1 - at)) $((begin + $1)) "$2"
        at=$(($1 + $2))
        shift 2
    done
    printf 'seconds %d %d\n' $((begin + at)) $((length - at))
}
# under the first tier, right at it, a second over; over the second tier; over the month's end.
{ printf '%s\n' 'source p1' 'link l1 p2 0 2' 'epoch 1000'; cuts 300 40 600 60 900 61 1500 301 3400 300; } | feed
{ printf '%s\n' 'source p3' 'link l2 p4 0' 'epoch 1000'; cuts 900 90; } | feed
printf '%s\n' 'source p5' 'link k1.main - 0' 'epoch 1000' "seconds $begin $length" | feed
printf '%s\n' 'source p2' 'link l1 p1 1 2' 'epoch 1000' "seconds $begin $length" | feed
printf '%s\n' 'source p4' 'link l2 p3 1' 'epoch 1000' "seconds $begin $length" | feed

newest="newest AND period_end = to_timestamp($month)"
availability() { echo "SELECT class, verdict, part, whole, revision FROM plumbline.v_verdict WHERE service = '$1' AND $newest ORDER BY number"; }
credit() { echo "SELECT credit_milli, revision FROM plumbline.v_credit WHERE service = '$1' AND period_end = to_timestamp($month)"; }
outages() {
    echo "SELECT extract(epoch FROM start_at)::bigint - $begin, extract(epoch FROM end_at)::bigint - $begin, length_ns / 1000000000, credit_milli, counts
        FROM plumbline.v_credit_outage WHERE service = '$1' AND $newest ORDER BY start_at"
}
becomes 'both classes lack what was cut, up to the end of the month' $'c0\tmissed\t2938\t3600\t0\nc1\tmissed\t2938\t3600\t0' "$(availability s1)" || test_end
check_equal 'each outage over a tier gives credit, once though two classes saw it' $'900\t961\t61\t1000\tt\n1500\t1801\t301\t5000\tt\n3400\t3600\t200\t1000\tt' "$(sql "$(outages s1)")"
check_equal 'their sum is the credit' $'7000\t0' "$(sql "$(credit s1)")"
becomes 'where the month as a whole gives more, that counts, up to the cap' $'8000\t0' "$(credit s2)"
check_equal 'and no outage beside it' $'f\t3' "$(sql "SELECT counts, count(*) FROM plumbline.v_credit_outage WHERE service = 's2' AND $newest GROUP BY 1")"
becomes 'a group is out while all members are' $'900\t961\t61\t1000\tt' "$(outages s3)"
becomes 'a link for as long as it was' $'900\t990\t90\t1000\tt' "$(outages s4)"
check_equal 'the tail of a connector and the group of its name are two lines' $'connector\t3600\ngroup\t3539' \
    "$(sql "SELECT scope_kind, sum(dt_available) FROM plumbline.v_availability WHERE scope = 'k1' AND class = 'c0' AND start >= to_timestamp($begin) AND start < to_timestamp($month) GROUP BY 1 ORDER BY 1")"

# --- As people read it ---
period=$(TZ=Europe/Paris date -d "@$begin" +%Y-%m)
printed() { plumbline "$@" >"$TEST_DIR/out" 2>&1; }
says() { grep -qF -- "$1" "$TEST_DIR/out" || { cat "$TEST_DIR/out" >&2; return 1; }; }
second="outage $(iso $((begin + 1500))) to $(iso $((begin + 1801))), class c0, 5m1s: 5%"
check 'credits are listed' printed credits
check 'with each outage' says "          $second"
check 'and why it is not added' says '5m1s: 5% (not added: another reason gives more for the same outages)'
check 'explained' printed explain service:s1 "$period"
check 'outage by outage' says "$second"
check 'so many of them' printed explain service:s1 "$period" --limit 1
check 'and how many more' says '... and 2 outages more; --limit 0 shows all'
check 'as JSON' printed credits --json
check_equal 'from when to when, how long, of what' "c0 $(iso $((begin + 3400))) $(iso "$month") 200000000000 1000 True" \
    "$(python3 -c 'import json, sys; c = [x for x in json.load(open(sys.argv[1]))["credits"] if x["service"] == "s1"]; r = c[0]["reasons"][-1]; print(r["class"], r["outage"], r["until"], r["length_ns"], r["credit_milli"], r["counts"])' "$TEST_DIR/out")"
check 'as CSV' printed credits export
check 'whose reasons add up' says "s1,acme,$period,70,availability of $(iso $((begin + 900)))/$(iso $((begin + 961))) 10; availability of $(iso $((begin + 1500)))/$(iso $((begin + 1801))) 50; availability of $(iso $((begin + 3400)))/$(iso "$month") 10,eligible"
check 'and leave out what is not in the sum' says "s2,acme,$period,80,availability 100,eligible"

# --- Later revisions ---
exclude() { plumbline exclude add --kind customer --start "$(iso $((begin + $2)))" --end "+$3s" --reason "$4" --approval 'J. Doe' "$1" >/dev/null; }
exclude s1 1600 1 'power off'
becomes 'a second of it excluded: the outage is one, shorter, and of the tier before' $'900\t961\t61\t1000\tt\n1500\t1801\t300\t1000\tt\n3400\t3600\t200\t1000\tt' "$(outages s1)"
check_equal 'in another revision' $'3000\t1' "$(sql "$(credit s1)")"
check_equal 'what was published before stays' $'0\t7000\n1\t3000' "$(sql "SELECT revision, credit_milli FROM plumbline_store.credit WHERE service = 's1' ORDER BY revision")"
check_equal 'the period has one credit' $'1\teligible' "$(sql "SELECT count(*), min(state) FROM plumbline_store.credit_step WHERE service = 's1'")"
exclude s3 895 12 'power off'
becomes 'a service over a group is judged again: its outage begins where the exclusion ends' $'c0\tmissed\t3534\t3588\t1' "$(availability s3)"
check_equal 'and is under the tier now' $'0\t1' "$(sql "$(credit s3)")"
check_equal 'of which nothing is paid any more' '' "$(sql "$(outages s3)")"

# As an earlier release published it, which did not look at outages.
sql "UPDATE plumbline_store.credit SET credit_milli = 0, reasons = '[]' WHERE service = 's4';
     DELETE FROM plumbline_store.credit_outage WHERE service = 's4'; DELETE FROM plumbline_store.credit_step WHERE service = 's4';
     INSERT INTO plumbline_store.rejudge (kind, key, from_at, why) VALUES ('service', 's4', to_timestamp($begin), 'looked at again')"
becomes 'a credit that is another with the same verdict is another revision' $'1000\t1' "$(credit s4)"
check_equal 'with its outage' $'900\t990\t90\t1000\tt' "$(sql "$(outages s4)")"
check_equal 'and its reason' 'looked at again' "$(sql "SELECT why FROM plumbline.v_verdict WHERE service = 's4' AND $newest AND number = 1")"
sql "INSERT INTO plumbline_store.rejudge (kind, key, from_at, why) VALUES ('service', 's4', to_timestamp($begin), 'once more')"
becomes 'and it is looked at once more' 0 "SELECT count(*) FROM plumbline_store.rejudge"
becomes 'the same is not published again' '' "SELECT reopened FROM plumbline_store.judged_period WHERE service = 's4' AND reopened IS NOT NULL"
check_equal 'it stays at that revision' $'1000\t1' "$(sql "$(credit s4)")"

# --- Refused memory and statements, the last quarter hour of the month and what follows ---
stop one TERM 20
check 'whatever is refused to a judge, its next round has the same verdicts' \
    "$STORE_BUILD/tests/collector/starved" "$PG_CONNINFO dbname=plumbline" "$TEST_DIR/inventory.yaml" $((month - 900)) 15
test_end
