#!/bin/bash
# shellcheck disable=SC2317
# test-sla.sh - `plumbline sla`, `explain` and `credits` over a real PostgreSQL with rows as
# a collector's judge leaves them: what stands first, budgets, runs, each refusal.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD top=$STORE_TOP
store_begin sla python3

service=acme-hq-azure
# run VERB ARG ...: its status in $status, what it said in out and err.
run() {
    "$build/plumbline" "$1" --config "$TEST_DIR/${config:-plumbline}.yaml" "${@:2}" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}
says_not() { ! grep -qE -- "$2" "$TEST_DIR/$1" || { cat "$TEST_DIR/out" >&2; return 1; }; }
# refused SENTENCE STATUS PATTERN VERB ARG ...
refused() {
    run "${@:4}"
    check_equal "$1: status" "$2" "$status"
    check "$1: told" says err "$3"
}
# json EXPRESSION: of the last answer, which is 'o'.
json() { python3 -c 'import json, sys; o = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$TEST_DIR/out" "$1"; }
# states RUN ...: "870:1" is 870 delta-t of state 1, encoded as judged_states() reads it.
states() {
    python3 - "$@" <<'END'
import sys
out = bytearray([1])
for run in sys.argv[1:]:
    count, state = map(int, run.split(":"))
    v = count << 6 | state
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
print("\\x" + out.hex())
END
}
# line ID KIND SCOPE OBJECT DIRECTION
line() {
    sql "INSERT INTO plumbline_store.judged_line VALUES ($1, '$2', '$3', '$4', 'gold', '$5', 1000000000)"
}
# quarter LINE START COUNTED AVAILABLE UNDETERMINED OUTAGES HLI RUN ...
quarter() {
    sql "SELECT plumbline_store.make_day(('$2'::timestamptz AT TIME ZONE 'UTC')::date);
         INSERT INTO plumbline_store.judged_quarter SELECT $1, s, 0, s + interval '15 minutes', false, true, 0, true, 0,
             900, $3, $4, $5, 0, 0, $6, $7, 0, 0, 9000, 0, 0, 9000, 0, 0, 0, 9000, '', '$(states "${@:8}")'
         FROM (SELECT '$2'::timestamptz) AS q(s)" >/dev/null
}
# objective TABLE PERIOD NUMBER CLASS METRIC DIRECTION LIMIT UNIT VERDICT DOUBT VALUE PART WHOLE NEEDED BUDGET USED [REVISION WHY]
objective() {
    local more='' values=''
    if [[ $1 == verdict ]]; then
        more=', revision, why' values=", ${17}, '${18}'"
    fi
    sql "INSERT INTO plumbline_store.$1 (service, period_start, number, class, metric, direction, limit_value, unit, verdict,
             doubt, value, worst, part, whole, low, high, needed, budget, used$more)
         VALUES ('$service', '$2', $3, '$4', '$5', '$6', $7, '$8', '$9', '${10}', ${11}, 'par1-lon1-a fwd', ${12}, ${13},
             CASE WHEN '$5' LIKE 'flr%' THEN 0.00001 END, CASE WHEN '$5' LIKE 'flr%' THEN 0.0002 END,
             ${14}, ${15}, ${16}$values)"
}
# period START REVISION: Paris's month that START lies in; a quarter of it is judged if it runs.
period() {
    sql "INSERT INTO plumbline_store.judged_period SELECT '$service', start, until, 'premium', 2, start,
             CASE WHEN $2::integer IS NULL THEN start + (until - start) / 4 ELSE until END, $2
         FROM plumbline_store.month_of('$1', 'Europe/Paris')"
}
# credit START REVISION MILLI CLAIM_UNTIL
credit() {
    sql "INSERT INTO plumbline_store.credit VALUES ('$service', '$1', $2, $3,
             '[{\"metric\": \"availability\", \"credit_milli\": $3}]', $4)"
}
eligible() { sql "INSERT INTO plumbline_store.credit_step (service, period_start, number, state) VALUES ('$service', '$1', 1, 'eligible')"; }
steps() { sql "SELECT string_agg(state, ' ' ORDER BY number) FROM plumbline_store.credit_step WHERE period_start = '$1'"; }

cp "$top/tests/fixtures/inventory-example.yaml" "$TEST_DIR/net.yaml"
STORE_INVENTORY=$TEST_DIR/net.yaml
store_servers

refused 'without a schema' 3 'run .plumbline migrate' sla
run migrate
check_equal 'migrated' 0 "$status"
run apply --yes "$TEST_DIR/net.yaml"
check_equal 'applied' 0 "$status"
run sla
check_equal 'nothing is judged yet: status' 0 "$status"
check 'nothing is judged yet: told' says out '^no promise is judged in this month'

# February is published, in two revisions; the month that runs is judged to its quarter.
feb=2026-01-31T23:00:00Z
now=$(sql "SELECT to_char(start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM plumbline_store.month_of(now(), 'Europe/Paris')")
month=$(sql "SELECT to_char(now() AT TIME ZONE 'Europe/Paris', 'YYYY-MM')")
period 2026-02-10T00:00:00Z 1
period "$now" NULL
line 1 service $service $service both
line 2 service $service par1-lon1-a fwd
line 3 group par1-lon1 par1-lon1 both
line 4 link par1-lon1-a par1-lon1-a fwd
line 5 link par1-lon1-b par1-lon1-b fwd
line 6 link par1-ams1 par1-ams1 fwd
# An outage over a quarter hour's border: 30 and 40 delta-t; high loss, unknown, maintenance, and the same while down.
quarter 1 2026-02-10T10:00:00Z 900 870 0 1 0 870:1 20:0 10:4
quarter 1 2026-02-10T10:15:00Z 750 710 7 0 3 40:0 100:1 3:5 50:1 5:3 2:2 50:1 100:17 50:16 500:1
quarter 1 2026-02-10T10:30:00Z 900 900 0 0 0 900:1
quarter 2 2026-02-10T10:00:00Z 900 900 0 0 0 900:1
for l in 3 4 5 6; do
    quarter $l 2026-02-10T10:00:00Z $((l == 5 ? 800 : 900)) $((l == 5 ? 400 : 900)) 0 $((l == 5)) $((l == 4 ? 2 : 0)) 900:1
done
sql "INSERT INTO plumbline_store.transition VALUES (1, '2026-02-10T10:14:30Z', false), (1, '2026-02-10T10:15:40Z', true)"
objective verdict $feb 1 gold rt_p99 rt 18000000 ns met none 12340000 0 1000 0 10 0 0 'the period is over'
objective verdict $feb 5 gold availability rt 99990 milli_percent met none 99995 2419080 2419200 0 241 120 0 'the period is over'
objective verdict $feb 1 gold rt_p99 rt 18000000 ns met none 12340000 0 1000 0 10 0 1 'exclusion 1 was withdrawn'
objective verdict $feb 5 gold availability rt 99990 milli_percent missed none 99898 2416734 2419200 0 241 2466 1 'exclusion 1 was withdrawn'
objective objective_state "$now" 1 gold rt_p99 rt 18000000 ns met none 12340000 9 4000 0 40 39
objective objective_state "$now" 2 gold fdr_p99_9 both 2000000 ns 'not decidable' clock NULL 0 0 0 0 0
objective objective_state "$now" 3 gold flr both 10 milli_percent met in_interval 8 50 700000 1200000 100 50
objective objective_state "$now" 4 be flr both 100 milli_percent met few_samples 0 0 10 9223372036854775807 100 0
objective objective_state "$now" 5 gold availability rt 99990 milli_percent missed undetermined 99900 600000 600260 0 259 460

# --- sla
run sla
check_equal 'running: status' 0 "$status"
check_equal 'worst first: missed, undecided, then by what is spent' 'availability fdr_p99_9 rt_p99 flr flr' \
    "$(awk 'NR > 1 && /acme-hq-azure/ { for (i = 1; i < NF; i++) if ($i ~ /^(gold|be)$/) { print $(i + 1) } }' "$TEST_DIR/out" | paste -sd' ')"
check 'what is missed has its values' says out "^missed for good +$service +$month +gold +availability rt +99.9% >= 99.99% +-3m21s +7.10 +par1-lon1-a fwd$"
check 'packets left, and how fast they go' says out '^met so far .* flr both +0.008% <= 0.01% +50 packets +2.00 '
check 'without a value there is none' says out '^not decidable .* fdr_p99_9 both +- <= 2ms +- +- '
check 'a delay has its unit' says out ' rt_p99 rt +12.34ms <= 18ms +1 packet +3.90 '
run sla --check
check_equal 'a missed promise is said when asked for' 1 "$status"
run sla --limit 2
check 'what is left out is said' says out '^\.\.\. and 3 more; --limit 0 shows all$'
run sla --period 2026-02
check_equal 'published verdicts, the newest' 'missed met' "$(awk '/acme-hq-azure/ { print $1 }' "$TEST_DIR/out" | paste -sd' ')"
check 'groups are there' says out '^par1-lon1 +gold +both +100% +0s +0s +0 +0 '
check_equal 'the worst link first' 'par1-lon1-b par1-lon1-a par1-ams1' "$(awk '/ fwd / && !/acme/ { print $1 }' "$TEST_DIR/out" | paste -sd' ')"
check 'how long it was down' says out '^par1-lon1-b +gold +fwd +50% +6m40s +0s +1 +0 '
run sla --period 2026-02 $service
check_equal 'of one service only the links under it' 'par1-lon1-b par1-lon1-a' "$(awk '/ fwd / && !/acme/ { print $1 }' "$TEST_DIR/out" | paste -sd' ')"
run sla --period 2026-02 --limit 1 --json
check_equal 'the worst of many, summed whole' 'par1-lon1-b 900 800 400 1 2' \
    "$(json '" ".join(str(o["links"][0][k]) for k in ("object", "dt_total", "dt_counted", "dt_available", "outages")) + " " + str(o["links_left_out"])')"
run sla --period 2026-02 --limit 2
check_equal 'then what has high loss' 'par1-lon1-b par1-lon1-a' "$(awk '/ fwd / && !/acme/ { print $1 }' "$TEST_DIR/out" | paste -sd' ')"
check 'and how many more there are' says out '^\.\.\. and 1 more; --limit 0 shows all$'
run sla --period 2026-02 --limit 0
check_equal 'without a limit: all' 'par1-lon1-b par1-lon1-a par1-ams1' "$(awk '/ fwd / && !/acme/ { print $1 }' "$TEST_DIR/out" | paste -sd' ')"
run sla --period 2025-12
check 'of a month in which nothing was judged there is nothing' says_not out 'par1'
run sla --period 2026-02 --services
check_equal 'without groups and links' 3 "$(wc -l <"$TEST_DIR/out")"
run sla --all-periods --limit 0 --json
check_equal 'all periods' 7 "$(json 'len(o["objectives"])')"
run sla --json
check_equal 'as JSON: figures' '99990 -201 259 460 delta_t 1000000000 True' \
    "$(json '" ".join(str(o["objectives"][0][k]) for k in ("limit_value", "budget_left", "budget", "used", "budget_unit", "dt_ns")) + " " + str(abs(o["objectives"][0]["share_over"] - 0.25) < 1e-9)')"
check_equal 'as JSON: what is not there' 'None None None None' "$(json '" ".join(str(o["objectives"][1][k]) for k in ("value", "budget", "burn", "revision"))')"
check_equal 'as JSON: no number of packets' '[0, 0, 0, 1200000, None]' "$(json '[x["needed"] for x in o["objectives"]]')"
check_equal 'as JSON: lists' 'groups groups_left_out links links_left_out objectives objectives_left_out' "$(json '" ".join(sorted(o))')"
# It went out of service: its verdicts are published while the month still runs.
objective verdict "$now" 5 gold availability both 99990 milli_percent missed none 99900 600000 600260 0 259 460 0 'the period is over'
sql "UPDATE plumbline_store.judged_period SET revision = 0, period_end = date_trunc('second', now()) WHERE period_start = '$now';
     UPDATE plumbline_store.verdict SET worst = '$service both' WHERE period_start = '$now'"
run sla
check 'out of service in this month: its verdict, and no part to blame' says out "^missed +$service +$month +gold +availability both +99.9% .* -$"
check 'it does not burn any more' says out ' -3m21s +- +-$'
run explain $service
check 'when that was' says out ', when it goes out of service$'
sql "UPDATE plumbline_store.judged_period p SET revision = NULL, period_end = m.until FROM plumbline_store.month_of('$now', 'Europe/Paris') m WHERE period_start = '$now';
     DELETE FROM plumbline_store.verdict WHERE period_start = '$now'"
refused 'a service that is not there' 2 "nothing was judged of a service 'acme-x'" sla acme-x
refused 'a name that is none' 2 'can be no service' sla 'a"b'
refused 'a month that is none' 2 'expected a month such as 2026-02' sla --period 2026-13
refused 'a limit that is none' 2 'expected a number of lines' sla --limit -1

# Thousands of lines, three quarter hours each: the worst are those of the sums.
sql "INSERT INTO plumbline_store.judged_line SELECT 1000 + i, 'link', 'many-' || i, 'many-' || i, 'gold', 'fwd', CASE WHEN i % 7 = 0 THEN 2000000000 ELSE 1000000000 END
         FROM generate_series(1, 3000) i;
     SELECT plumbline_store.make_day('2026-05-10');
     INSERT INTO plumbline_store.judged_quarter SELECT 1000 + i, q, 0, q + interval '15 minutes', false, true, 0, true, 0, 900, 900,
             900 - CASE WHEN i % 11 = 0 THEN i * 7 % 50 ELSE 0 END, CASE WHEN i % 13 = 0 THEN 5 ELSE 0 END, 0, 0, 0, CASE WHEN i % 17 = 0 THEN i % 9 ELSE 0 END,
             0, 0, 9000, 0, 0, 9000, 0, 0, 0, 9000, '', '\\x01'
         FROM generate_series(1, 3000) i, generate_series(timestamptz '2026-05-10T10:00Z', '2026-05-10T10:30Z', interval '15 minutes') q" >/dev/null
ordered() { # LIMIT
    sql "SELECT string_agg(scope || ' ' || counted || ' ' || up, ';' ORDER BY place) FROM (SELECT l.scope, sum(dt_counted) AS counted, sum(dt_available) AS up,
             row_number() OVER (ORDER BY sum(dt_counted - dt_available) * dt_ns DESC, sum(hli) DESC, sum(dt_undetermined) DESC, l.scope) AS place
             FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line l USING (line_id) WHERE line_id > 1000 GROUP BY l.scope, dt_ns) s
         WHERE place <= $1"
}
shown() { json '";".join(" ".join(str(l[k]) for k in ("object", "dt_counted", "dt_available")) for l in o["links"]) + " " + str(o["links_left_out"])'; }
for limit in 5 300 2000; do
    run sla --period 2026-05 --limit $limit --json
    check_equal "of 3000 the worst $limit" "$(ordered $limit) $((3000 - limit))" "$(shown)"
done
run sla --period 2026-05 --limit 0 --json
check_equal 'all of 3000' "$(ordered 3000) 0" "$(shown)"

# --- explain
sql "INSERT INTO plumbline_store.exclusion VALUES (1, 1, 'customer', 'acme', '2026-02-10T11:00:00Z', '2026-02-10T12:00:00Z', 'their power', 'Ann', true, NULL, 'Ann');
     INSERT INTO plumbline_store.exclusion_object VALUES (1, 1, 'service', '$service', '');
     INSERT INTO plumbline_store.maintenance (id, revision, state, label, start_at, end_at, impact, suppress_alerts, exclude_from_sla, author)
         VALUES (7, 1, 'planned', 'fibre', '2026-02-10T10:20:00Z', '2026-02-10T10:22:30Z', 'outage', true, true, 'Bob'),
                (8, 1, 'planned', 'late', '2026-02-12T10:20:00Z', '2026-02-12T10:22:30Z', 'outage', true, true, 'Bob'),
                (9, 1, 'planned', 'elsewhere', '2026-02-12T10:20:00Z', '2026-02-12T10:22:30Z', 'outage', true, true, 'Bob'),
                (10, 1, 'planned', 'cards', '2026-02-13T10:00:00Z', '2026-02-13T11:00:00Z', 'outage', true, true, 'Bob'),
                (11, 2, 'planned', 'power', '2026-02-14T10:00:00Z', '2026-02-14T12:00:00Z', 'outage', true, true, 'Bob'),
                (12, 1, 'planned', 'more power', '2026-02-15T10:00:00Z', '2026-02-15T12:00:00Z', 'outage', true, true, 'Bob'),
                (13, 2, 'planned', 'just now', '2026-02-16T10:00:00Z', '2026-02-16T12:00:00Z', 'outage', true, true, 'Bob'),
                (14, 1, 'planned', 'quiet', '2026-02-17T10:00:00Z', '2026-02-17T12:00:00Z', 'none', true, false, 'Bob'),
                (16, 1, 'planned', 'too late', '2026-02-19T10:00:00Z', '2026-02-19T12:00:00Z', 'outage', true, true, 'Bob');
     INSERT INTO plumbline_store.maintenance (id, revision, state, label, tenant, start_at, end_at, impact, suppress_alerts, exclude_from_sla, author)
         VALUES (15, 1, 'planned', 'for acme', 'acme', '2026-02-18T10:00:00Z', '2026-02-18T12:00:00Z', 'outage', true, true, 'Bob');
     INSERT INTO plumbline_store.maintenance_object
         SELECT id, revision, 'group', 'par1-lon1', '', '2026-02-01T00:00:00Z' FROM plumbline_store.maintenance WHERE id BETWEEN 10 AND 14;
     INSERT INTO plumbline_store.maintenance_object VALUES (15, 1, 'link', 'par1-lon1-b', '', '2026-02-01T00:00:00Z'),
         (16, 1, 'link', 'par1-lon1-b', '', '2026-02-19T10:00:01Z');
     INSERT INTO plumbline_store.maintenance_object VALUES (7, 1, 'link', 'par1-lon1-b', '', '2026-02-03T10:20:00Z'),
         (8, 1, 'group', 'par1-lon1', '', '2026-02-05T10:20:01Z'), (9, 1, 'link', 'par1-ams1', '', '2026-02-01T00:00:00Z'),
         (9, 1, 'attachment', 'par1-lon1-b', '', '2026-02-01T00:00:00Z')"
# What the judge decided: it alone knows what the month's allowance left.
decided() { printf '{"exclusion": "maintenance", "id": %s, "revision": %s, "kind": "group", "key": "par1-lon1"%s}' "$@"; }
from_until() { printf ', "excluded_from": %s.0, "excluded_until": %s.5' "$(date -u -d "$1" +%s)" "$(date -u -d "$2" +%s)"; }
sql "UPDATE plumbline_store.judged_period SET windows = '[$(decided 8 1 ', "why": "notice"'),
         $(decided 10 1 "$(from_until 2026-02-13T10:00:00Z 2026-02-13T11:00:00Z)"),
         $(decided 11 2 "$(from_until 2026-02-14T10:00:00Z 2026-02-14T11:30:00Z), \"why\": \"allowance\""),
         $(decided 12 1 ', "why": "allowance"'), $(decided 13 1 ', "why": "notice"')]' WHERE period_start = '$feb'"
credit $feb 0 0 NULL
credit $feb 1 25000 "now() + interval '1 day'"
eligible $feb
run explain $service 2026-02
check_equal 'explained: status' 0 "$status"
check 'the version, and the demarcation' says out '^SLA premium, version 2, valid from 2026-02-01; it covers the links and groups that it is over, the BGP sessions of the attachments: what is behind that line is not promised$'
check 'the period and its zone' says out '^period 2026-02 in Europe/Paris: 2026-01-31T23:00:00Z to 2026-02-28T23:00:00Z$'
check 'published' says out '; published, revision 1$'
check 'an objective' says out '^5\. gold, availability rt >= 99.99%: missed, 99.898%$'
check 'its formula' says out '^   delta-t that were available / delta-t that count'
check 'part and whole' says out '^   2416734 of 2419200 delta-t were available$'
check 'its budget' says out '^   the period may spend 4m1s; 41m6s spent, 37m5s too much$'
check 'the outcome in a few words' says out '^missed: 5\. availability \(par1-lon1-a fwd\)$'
check 'what is met comes after it' says out '^met: 1\. rt_p99 \(par1-lon1-a fwd\)$'
check 'what to look at next' says out '^what happened there: +plumbline explain link:par1-lon1-a$'
check 'what to record if others are to blame' says out "^if others are to blame for it: plumbline exclude add --kind third_party --start 2026-02-10T10:14:30Z --end 2026-02-10T10:15:40Z --reason TEXT --approval WHO $service$"
check 'what may be claimed' says out "^what is given back: +plumbline credits claim $service 2026-02$"
check 'what was counted' says out "^$service +gold +both +2700 +2550 +2480 +97.254% +7 +150 +1 +3 +0$"
check 'a run over the border is one' says out "^2026-02-10T10:14:30Z 2026-02-10T10:15:40Z +70  $service +gold +both +unavailable$"
check 'high loss' says out '^2026-02-10T10:17:20Z 2026-02-10T10:17:23Z +3  .* high loss$'
check 'unknown, by the last state' says out '^2026-02-10T10:18:13Z 2026-02-10T10:18:18Z +5  .* undetermined, last state available$'
check 'unknown, by the other' says out ' 2  .* undetermined, last state unavailable$'
check 'excluded' says out '^2026-02-10T10:19:10Z 2026-02-10T10:20:50Z +100  .* excluded: maintenance$'
check 'excluded while down' says out '^2026-02-10T10:20:50Z 2026-02-10T10:21:40Z +50  .* excluded: maintenance \(was unavailable\)$'
runs() { grep -cE '^2026-02-10T[^ ]+ 2026-02-10T.* both ' "$TEST_DIR/out"; }
check_equal 'no other runs' 6 "$(runs)"
check 'maintenance of a member counts as it was measured' says out '^2026-02-10T10:20:00Z 2026-02-10T10:22:30Z maintenance 7 +not excluded: it is on a part alone, which counts as it was measured; announced 7d0h ahead; par1-lon1-b; fibre$'
check 'maintenance that the judge excluded' says out ' maintenance 10 +excluded; announced 12d10h ahead; par1-lon1; cards$'
check 'maintenance up to the allowance' says out ' maintenance 11 +excluded until 2026-02-14T11:30:00Z, when what the SLA allows in a month was used up; announced'
check 'maintenance beyond it' says out ' maintenance 12 +not excluded: what the SLA allows in a month was used up before it; announced'
check 'maintenance of which another revision was judged' says out ' maintenance 13 +not excluded: no judge has decided about it yet'
check 'maintenance that is to be silent alone' says out ' maintenance 14 +not excluded: it silences alerts only; announced'
check 'maintenance too late by a second' says out 'maintenance 8 +not excluded: it was announced too late for this SLA; announced 6d23h ahead; par1-lon1; late$'
check 'maintenance elsewhere is not there' says_not out 'elsewhere'
check 'an exclusion that was withdrawn' says out "customer 1 +not excluded: withdrawn; $service; their power; approved by Ann$"
check 'changes' says out "^2026-02-10T10:14:30Z $service +gold +both +unavailable$"
check 'the first revision' says out '^0 +[0-9TZ:-]+ the period is over: 1\. met \(12.34ms\) 5\. met \(99.995%\)$'
check 'why there is another' says out '^1 +[0-9TZ:-]+ exclusion 1 was withdrawn: 1\. met \(12.34ms\) 5\. missed \(99.898%\)$'
check 'the credit' says out "^credit 25% of the month's charge, eligible, to be claimed by .*; availability 25%$"
run explain $service 2026-02 --limit 2
check_equal 'so many runs' 2 "$(runs)"
check 'runs that are left out' says out '^\.\.\. and 4 more; --limit 0 shows all$'
check 'windows that are left out' says out '^\.\.\. and 8 more; --limit 0 shows all$'
run explain $service 2026-02 --limit 2 --json
check_equal 'as JSON: runs' "['unavailable', 'high loss'] 70 4 8 0" \
    "$(json 'str([r["state"] for r in o["runs"]]) + " " + " ".join(map(str, (o["runs"][0]["count"], o["runs_left_out"], o["windows_left_out"], o["transitions_left_out"])))')"
run explain $service 2026-02 --json
check_equal 'as JSON: members' 'credit credit_steps kind lines object objectives period revisions runs runs_left_out transitions transitions_left_out windows windows_left_out' "$(json '" ".join(sorted(o))')"
check_equal 'as JSON: sums' '2700 2550 2480 7 150' "$(json '" ".join(str(o["lines"][0][k]) for k in ("dt_total", "dt_counted", "dt_available", "dt_undetermined", "dt_excluded"))')"
run explain $service
check 'the month that runs' says out "^period $month in Europe/Paris"
check 'it is not published' says out 'it is not published yet$'
check 'what would decide: packets' says out '^   doubt: the limit lies inside the 95 % interval; 1200000 in all would decide'
check 'with the interval' says out '^   50 of 700000 packets were lost; 95 % interval 0.00100% to 0.02000%$'
check 'what would decide: no number' says out 'few samples to tell; no number of packets would decide'
check 'what would decide: clocks' says out "^   doubt: the clocks' error is over a tenth of the limit, or not known; clocks at both ends"
check 'what would decide: what is not known' says out '^   doubt: it hangs on delta-t of which nobody knows'
run explain par1-lon1-b 2026-02
check 'of a link: the month in UTC' says out '^period 2026-02 in UTC: 2026-02-01T00:00:00Z to 2026-03-01T00:00:00Z$'
check 'of a link: its window' says out 'maintenance 7 +excluded'
check 'of a link: one for a tenant' says out 'maintenance 15 +not excluded: it is for one tenant.s services alone'
check 'of a link: one that had begun' says out 'maintenance 16 +not excluded: it was announced after it had begun'
check 'of a link: not its group.s' says_not out 'maintenance 8'
run explain group:par1-lon1 2026-02
check 'of a group: its members. windows' says out 'maintenance 7 +not excluded: it is on a part alone'
check 'of a group: its own, without a notice' says out 'maintenance 8 +excluded'
check 'of a group: all is well' says out '^every delta-t was available, and counts$'
refused 'what was never judged' 2 "nothing was judged of 'par9'" explain par9
refused 'as something else' 2 "nothing was judged of 'link:par1-lon1'" explain link:par1-lon1
refused 'a period that is not there' 2 "in 2025-01; there is: 2026-02, $month$" explain $service 2025-01
refused 'without an object' 2 'a service, group or link is needed' explain
refused 'a period that is none' 2 "'soon': expected a month" explain $service soon
line 7 link $service $service fwd
refused 'several things' 2 'is several things: put service:' explain $service
run explain service:$service
check_equal 'several things, one named' 0 "$status"

# --- credits
run credits
check 'eligible' says out "^eligible +$service +acme +2026-02 +25% "
refused 'approved before it is claimed' 2 'it is eligible since .*; only what is claimed can be approved' credits approve $service 2026-02
refused 'issued before it is approved' 2 'only what is approved can be issued' credits issue $service 2026-02
refused 'of another month' 2 'nothing was judged of a service' credits claim $service 2026-01
refused 'of the month that runs' 2 'no verdict of it is published yet' credits claim $service "$month"
refused 'an action that is none' 2 "'pay' is no action" credits pay
refused 'without a month' 2 'needs a service and a month' credits claim $service
refused 'a state that is none' 2 'is no state of a credit' credits --state paid
for i in 1 2 3 4; do
    "$build/plumbline" credits claim $service 2026-02 --config "$TEST_DIR/plumbline.yaml" --note "mail $i" --author Eve >"$TEST_DIR/claim$i" 2>&1 &
done
for i in $(jobs -p); do [[ $i == "${TEST_PID[postgres]}" ]] || wait "$i"; done
check_equal 'four claim at once: one does' 1 "$(grep -l "25% of the month's charge is claimed, by Eve" "$TEST_DIR"/claim? | wc -l)"
check_equal 'the others are told' 3 "$(grep -l 'it is claimed since .*, by Eve; only what is eligible can be claimed' "$TEST_DIR"/claim? | wc -l)"
check_equal 'and it is claimed once' 'eligible claimed' "$(steps $feb)"
refused 'rejected without a word' 2 'a rejection needs a note' credits reject $service 2026-02
refused 'rejected with spaces' 2 'a rejection needs a note' credits reject $service 2026-02 --note ' '
run credits approve $service 2026-02 --json --author Ann
check_equal 'approved, with who and what' 'approved Ann postgres 1 25000' "$(json '" ".join(str(o[k]) for k in ("state", "author", "by", "revision", "credit_milli"))')"
refused 'rejected after that' 2 'it is approved since .*, by Ann; only what is claimed can be rejected' credits reject $service 2026-02 --note late
# A later revision gives less: what was approved is what is issued.
credit $feb 2 10000 NULL
sql "UPDATE plumbline_store.judged_period SET revision = 2 WHERE period_start = '$feb'"
run credits list
check 'approved, and what a later revision gives' says out '^approved .* 2026-02 +25% .*Ann; revision 2 of the verdict gives 10%$'
run credits issue $service 2026-02
check_equal 'issued as approved' '25000 1' "$(sql "SELECT credit_milli || ' ' || revision FROM plumbline.v_credit_step WHERE state = 'issued'")"
check_equal 'all steps are kept' 'eligible claimed approved issued' "$(steps $feb)"

run explain service:$service 2026-02
check_equal 'explained step by step' 'eligible by postgres|claimed by Eve, 25%: mail|approved by Ann, 25%|issued by root, 25%' \
    "$(sed -nE "s/^[0-9TZ:-]+ +((eligible|claimed|approved|issued) by .*)/\\1/p" "$TEST_DIR/out" | sed "s/ [1-4]\$//; s/by $(id -un)/by root/" | paste -sd'|')"

# Claimed too late; nothing to claim; nothing any more; rejected.
march=2026-02-28T23:00:00Z april=2026-03-31T22:00:00Z may=2026-04-30T22:00:00Z june=2026-05-31T22:00:00Z
for p in 2026-03 2026-04 2026-05 2026-06; do period $p-10T00:00:00Z 0; done
credit $march 0 10000 "'2026-04-02T00:00:00Z'"
eligible $march
refused 'claimed too late' 2 'it had to be claimed by 2026-04-02T00:00:00Z$' credits claim $service 2026-03
run credits
check 'too late is shown' says out "^lapsed +$service +acme +2026-03 +10% "
credit $april 0 0 NULL
refused 'nothing to claim' 2 'revision 0 of the verdict gives no credit$' credits claim $service 2026-04
credit $may 0 0 NULL
eligible $may
refused 'nothing to claim any more' 2 'gives no credit any more$' credits claim $service 2026-05
credit $june 0 100 NULL
eligible $june
run credits claim $service 2026-06
run credits reject $service 2026-06 --note $'=cmd|"x", no\e[2J'
check_equal 'rejected: status' 0 "$status"
refused 'after a rejection' 2 'it is rejected since' credits approve $service 2026-06
run credits --json --period 2026-06
check_equal 'as JSON: one' $'1 rejected =cmd|"x", no\e[2J 100' "$(json '" ".join(map(str, (len(o["credits"]), o["credits"][0]["state"], o["credits"][0]["note"], o["credits"][0]["credit_milli"])))')"
run credits --period 2026-06
check 'what could move the cursor is not printed' says out '^rejected .*: =cmd\|"x", no\?\[2J$'
run credits export
check_equal 'exported' $'service,tenant,period,per_mille,reasons,state\nacme-hq-azure,acme,2026-06,1,availability 1,rejected\nacme-hq-azure,acme,2026-05,0,availability 0,eligible\nacme-hq-azure,acme,2026-03,100,availability 100,eligible\nacme-hq-azure,acme,2026-02,250,availability 100,issued' \
    "$(tr -d '\r' <"$TEST_DIR/out")"
check_equal 'exported with the line ends of RFC 4180' 5 "$(grep -c $'\r$' "$TEST_DIR/out")"

# Whoever only reads.
sql 'CREATE ROLE watcher LOGIN IN ROLE plumbline_reader; CREATE ROLE boss LOGIN IN ROLE plumbline_owner; CREATE ROLE nobody2 LOGIN'
for role in watcher boss nobody2; do
    printf '%s\n' "postgresql: { conninfo: \"${PG_CONNINFO/user=postgres/user=$role} dbname=plumbline\" }" >"$TEST_DIR/$role.yaml"
done
for config in watcher boss; do
    for verb in 'sla' "explain service:$service 2026-02" 'credits'; do
        # shellcheck disable=SC2086
        run $verb
        check_equal "$config reads: $verb" '0 ' "$status $(cat "$TEST_DIR/err")"
    done
done
config=watcher refused 'whoever reads takes no step' 3 'permission denied' credits claim $service 2026-06
config=nobody2 refused 'who may nothing' 3 'permission denied' sla
config=boss refused 'whoever operates does' 2 'it is rejected since' credits claim $service 2026-06
config=
for verb in sla explain credits; do
    check "$verb has examples" grep -q '^Examples:' <("$build/plumbline" $verb --help)
done
test_end
