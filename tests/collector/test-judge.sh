#!/bin/bash
# test-judge.sh - from committed rows to verdicts, over a real PostgreSQL and Redis: availability
# of links, groups and services, exclusions, the month's end, late data, and whoever is
# killed meanwhile.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin judge redis-server redis-cli

collector() { store_collector one; }

# The month of Paris that began two hours ago or more; one hour of service before it.
now=$(date +%s)
month=$(TZ=Europe/Paris date -d "$(TZ=Europe/Paris date -d "@$((now - 7200))" +%Y-%m-01)" +%s)
begin=$((month - 3600))
iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }

{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: { timezone: Europe/Paris } }' 'probes:'
    for i in 1 2 3 4 5 6; do echo "  p$i: { site: a, address: 192.0.2.$i }"; done
    cat <<END
routers: { r1: { site: a } }
classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }
links:
  l1: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] }
  l2: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p3, address: 10.1.2.1 }, { probe: p4, address: 10.1.2.2 } ] }
  l3: { state: active, probe_from: both, classes: [c0], ends: [ { probe: p5, address: 10.1.3.1 }, { probe: p6, address: 10.1.3.2 } ] }
groups: { g1: { need: 1, members: [l1, l2] } }
tenants: { acme: { timezone: Europe/Paris } }
connectors:
  k1: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e1 } } } }
  k2: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e2 } } } }
services:
  s1: { tenant: acme, ends: [k1, k2], over: [g1], classes: [c0], sla: gold, in_service: $(iso "$begin") }
  s3: { tenant: acme, ends: [k1, k2], over: [l3], classes: [c0], sla: gold, in_service: $(iso "$begin") }
  s5: { tenant: acme, ends: [k1, k2], over: [l3], classes: [c0], sla: gold, in_service: $(iso $((begin + 100))) }
slas:
  gold:
    version: 1
    valid_from: 2020-01-01
    notice: 0s
    maintenance_allowance: 30m
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
collector

# ends LINK FIRST SECOND LINES: the first end's seconds as LINES say, the second's without loss.
ends() {
    local sequence=${5:-}
    printf '%s\n' "source $2" "link $1 $3 0" 'epoch 1000' ${sequence:+"sequence $sequence"} "$4" \
        "source $3" "link $1 $2 1" 'epoch 1000' ${sequence:+"sequence $sequence"} "seconds ${6:-$begin} ${7:-4200}" | feed
}
# cut AT LENGTH: an hour and ten minutes with nothing there from AT on for so long.
cut() { printf '%s\n' "seconds $begin $1" "seconds $((begin + $1)) $2 fwd=10" "seconds $((begin + $1 + $2)) $((4200 - $1 - $2))"; }
ends l1 p1 p2 "$(cut 600 60)"
# The other member's source is late: the group begins with both all the same.
check 'a link is judged, and the other member of its group not yet' wait_for 60 answers \
    "SELECT count(*) > 2 FROM plumbline.v_availability WHERE scope = 'l1' AND direction = 'fwd' AND complete" t
ends l2 p3 p4 "$(cut 600 60)"
ends l3 p5 p6 "$(cut 300 20)"

counted() { # SCOPE OBJECT DIRECTION: of the hour.
    echo "SELECT sum(dt_total), sum(dt_counted), sum(dt_available), sum(outages) FROM plumbline.v_availability
        WHERE scope = '$1' AND object = '$2' AND direction = '$3' AND start >= to_timestamp($begin) AND start < to_timestamp($month)"
}
becomes 'a link is unavailable for what it was cut' $'3600\t3600\t3540\t1' "$(counted l1 l1 fwd)"
check_equal 'the way on which nothing was sent is as it was' $'3600\t3600\t3600\t0' "$(sql "$(counted l1 l1 bwd)")"
becomes 'both members cut at once: the group is too' $'3600\t3600\t3540\t1' "$(counted g1 g1 both)"
becomes 'the service over one link is' $'3600\t3600\t3580\t1' "$(counted s3 s3 both)"
becomes 'one that comes into service inside a quarter hour counts from there' $'3600\t3500\t3480\t1' "$(counted s5 s5 both)"
check_equal 'from the first delta-t of the outage to the last' "$(printf 'f\t600\nt\t660')" \
    "$(sql "SELECT available, extract(epoch FROM at)::bigint - $begin FROM plumbline.v_transition WHERE scope = 'l1' AND direction = 'fwd' ORDER BY at")"
verdicts() {
    echo "SELECT metric, verdict, value, part, whole, revision FROM plumbline.v_verdict WHERE service = '$1' AND newest AND period_end = to_timestamp($month) ORDER BY number"
}
becomes 'the month that is over has its verdicts' "$(printf 'availability\tmissed\t98333\t3540\t3600\t0\nflr\tmet\t0\t0\t35400\t0\nrt_p99\tmet\t5025792\t0\t35400\t0')" "$(verdicts s1)"
check_equal 'and its credit, of the worst tier that applies' $'25000\teligible' "$(sql "SELECT credit_milli, state FROM plumbline.v_credit WHERE service = 's1' AND period_end = to_timestamp($month)")"
becomes 'the month that runs stands where it stands' $'availability\tmet\t600\t600' \
    "SELECT metric, verdict, part, whole FROM plumbline.v_service WHERE service = 's1' AND number = 1"

# --- What is found later is another revision ---
plumbline exclude add --kind customer --start "$(iso $((begin + 310)))" --end +10s --reason 'power off' --approval 'J. Doe' l3 >/dev/null
becomes 'half an outage that is excluded: the rest counts' $'3600\t3590\t3580\t1' "$(counted s3 s3 both)"
becomes 'the verdict is published again' $'availability\tmissed\t99721\t3580\t3590\t1' "$(verdicts s3) LIMIT 1"
check_equal 'what was published before stays' $'missed\t3580\t3600\tthe period is over' "$(sql "SELECT verdict, part, whole, why FROM plumbline_store.verdict WHERE service = 's3' AND number = 1 AND revision = 0 AND period_start < to_timestamp($month)")"
check 'with its reason' answers "SELECT why LIKE '%xclu%' FROM plumbline_store.verdict WHERE service = 's3' AND number = 1 AND revision = 1" t
check_equal 'the other service has the one verdict' 0 "$(sql "SELECT max(revision) FROM plumbline_store.verdict WHERE service = 's1'")"
check 'a window that is recorded too late is recorded' plumbline maintenance add --start "$(iso $((begin + 600)))" --end +60s g1 >/dev/null
decision() { # SERVICE EXCLUSION START: as far as it is excluded, in seconds from START on, and why.
    echo "SELECT extract(epoch FROM excluded_from)::bigint - $3, extract(epoch FROM excluded_until)::bigint - $3, why, key
        FROM plumbline.v_judged_window WHERE service = '$1' AND exclusion = '$2' AND period_start = to_timestamp($month) ORDER BY id DESC LIMIT 1"
}
check_equal 'the judge says what it excluded' $'310\t320\t\tl3' "$(sql "$(decision s3 customer "$begin")")"
becomes 'and that a window came too late' $'\t\tnotice\tg1' "$(decision s1 maintenance 0)"
check_equal 'maintenance that was announced too late excludes nothing' $'3600\t3600\t3540\t1' "$(sql "$(counted g1 g1 both)")"
soon=$(($(date +%s) + 120))
if [[ $(TZ=Europe/Paris date -d "@$((soon + 3600))" +%m) == $(TZ=Europe/Paris date -d "@$month" +%m) ]]; then
    check 'maintenance that is longer than the month allows' plumbline maintenance add --start "$(iso $soon)" --end +45m g1 >/dev/null
    becomes 'is excluded as long as that lasts' $'0\t1800\tallowance\tg1' "$(decision s1 maintenance $soon)"
    check 'and so it is explained' eval "plumbline explain s1 | grep -qE ' maintenance 2 +excluded until $(iso $((soon + 1800))), when what the SLA allows'"
    check 'of the group, which has no contract, all of it is' eval "plumbline explain group:g1 | grep -qE ' maintenance 2 +excluded; announced'"
fi

# --- Killed in an outage, data that come late ---
later=$((begin + 4200))
stop one KILL 5
ends l3 p5 p6 "$(printf '%s\n' "seconds $later 95" "seconds $((later + 95)) 9 fwd=10")" 4200 "$later" 200
collector
wait_for 30 answers "SELECT written_until >= to_timestamp($((later + 60))) FROM plumbline.source_position WHERE source = 'p5'" t
stop one KILL 5
printf '%s\n' 'source p5' 'link l3 p6 0' 'epoch 1000' 'sequence 4304' "seconds $((later + 104)) 11 fwd=10" "seconds $((later + 115)) 700" \
    'source p6' 'link l3 p5 1' 'epoch 1000' 'sequence 4400' "seconds $((later + 200)) 615" | feed
collector
becomes 'killed in the ninth of its delta-t: the outage is whole' "$(printf 'f\t95\nt\t115')" \
    "SELECT available, extract(epoch FROM at)::bigint - $later FROM plumbline.v_transition WHERE scope = 'l3' AND direction = 'fwd' AND at >= to_timestamp($later) ORDER BY at"

# --- Out of service: the verdict does not wait for the end of the month ---
ends_at() { # SECOND: s3 is sold until then.
    sed -i -E "/^  s3:/s/(, out_of_service: [^ ]*)? \\}/, out_of_service: $(iso "$1") }/" "$TEST_DIR/inventory.yaml"
    plumbline apply --yes >/dev/null 2>&1
    kill -HUP "${TEST_PID[one]}"
}
ended() { echo "SELECT verdict, part, whole, revision, extract(epoch FROM period_end)::bigint - $later, why FROM plumbline.v_verdict WHERE service = 's3' AND number = 1 AND newest AND period_start = to_timestamp($month)"; }
ends_at $((later + 600))
becomes 'what went out of service is judged up to there' "missed	1180	1200	0	600	the period is over" "$(ended)"
check_equal 'and in its month, which runs' "$(date -u -d "@$((month + 86400 * 14))" +%Y-%m)" "$(sql "SELECT period FROM plumbline.v_period WHERE service = 's3' AND period_start = to_timestamp($month)")"
ends_at $((later + 90))
becomes 'that it ended earlier makes another revision' "met	690	690	1	90	it was in service at other times" "$(ended)"
stop one KILL 5
collector
check 'whoever goes on publishes nothing again' wait_for 30 grep -q 'judges what is sold' "$TEST_DIR/one.log"
becomes 'and goes on with the others' t "SELECT judged_until >= to_timestamp($((later + 600))) FROM plumbline.v_period WHERE service = 's5' AND period_start = to_timestamp($month)"
check_equal 'as it was' "met	690	690	1	90	it was in service at other times" "$(sql "$(ended)")"
test_end
