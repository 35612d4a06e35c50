#!/bin/bash
# test-desk.sh - from alarm rows to problems and to the outbox, over a real PostgreSQL and
# collector: one link, 400 links of 200 tenants, maintenance, whoever is killed meanwhile.  Alarms
# are written here as a worker would.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin desk redis-server redis-cli

{
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {}, b: {}, c: {}, d: {} }' \
        'probes: { pa: { site: a, address: 192.0.2.1 }, pb: { site: b, address: 192.0.2.2 }, pc: { site: c, address: 192.0.2.3 }, pd: { site: d, address: 192.0.2.4 } }' \
        'routers: { r1: { site: a } }' \
        'classes: { gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }, be: { dscp: cs0, period: 100ms, size: 128, dt: 1s } }' 'links:'
    for i in $(seq 400); do
        echo "  l$i: { state: active, classes: [gold, be], risks: [duct], ends: [ { probe: pa, address: 10.1.$((i / 200)).$((i % 200)) }, { probe: pb, address: 10.2.$((i / 200)).$((i % 200)) } ] }"
    done
    for i in 1 2 3 4 5 6; do
        echo "  x$i: { state: active, label: Link x$i, classes: [gold, be], labels: { carrier: colt }, ends: [ { probe: pc, address: 10.3.0.$i }, { probe: pd, address: 10.4.0.$i } ] }"
    done
    for i in 1 2 3; do
        echo "  y$i: { state: active, classes: [gold, be], risks: [trench], ends: [ { probe: pc, address: 10.5.0.$i }, { probe: pd, address: 10.6.0.$i } ] }"
    done
    echo "  z1: { state: active, classes: [gold, be], ends: [ { probe: pc, address: 10.7.0.1 }, { probe: pd, address: 10.8.0.1 } ] }"
    echo 'groups: { pair: { need: 1, members: [x1, x2] } }'
    echo 'tenants:'
    for i in $(seq 200); do echo "  tenant$i: { label: Tenant number $i. }"; done
    echo 'connectors:'
    for i in $(seq 200); do
        for e in p q; do
            echo "  k$i$e: { tenant: tenant$i, site: a, attachments: { main: { port: { router: r1, interface: $e$i } } } }"
        done
    done
    echo 'services:'
    for i in $(seq 200); do
        echo "  s$i: { tenant: tenant$i, ends: [k${i}p, k${i}q], over: [l$i, l$((i + 200))], classes: [gold], label: Service number $i. }"
    done
    echo '  s201: { tenant: tenant1, ends: [k1p, k1q], over: [pair], classes: [gold] }'
    echo '  s202: { tenant: tenant1, ends: [k1p, k1q], over: [z1], classes: [gold] }'
    echo 'hooks:'
    echo '  noc: { kind: webhook, url: "https://127.0.0.1:1/noc", secret_file: k, remind: 30m }'
    echo '  grave: { kind: webhook, url: "https://127.0.0.1:1/grave", secret_file: k, when: { severity: [critical] } }'
    for i in $(seq 200); do
        echo "  h$i: { kind: webhook, url: \"https://127.0.0.1:1/$i\", secret_file: k, when: { tenant: tenant$i }, view: tenant }"
    done
} >"$TEST_DIR/inventory.yaml"
store_start
check 'the inventory is right' plumbline check "$TEST_DIR/inventory.yaml" || test_end
plumbline apply --yes >/dev/null 2>&1
collector() { store_collector one 'hold: 2m' 'gather: 2s'; }
# Who looks at budgets waits for this, until the first problem is there.
start slow "$(pg_bin)/psql" -X -q -h "$PG_DIR" -p "$PG_PORT" -U postgres -d plumbline \
    -c 'BEGIN; LOCK TABLE plumbline_store.burn; SELECT pg_sleep(300)'
waiting() { echo "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'plumbline_store.burn'::regclass AND $1"; }
becomes 'a look at budgets takes long' t "$(waiting granted)"
collector
becomes 'as a collector finds' t "$(waiting 'NOT granted')"

# raise RULE METRIC SEVERITY CLASSES LINK ...: as a worker does, each link and class.
raise() {
    local rule=$1 metric=$2 severity=$3 classes=$4
    shift 4
    sql "WITH a AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, class, observer, began, raised, decided, details)
        SELECT '$rule', '$metric', '$severity', 'link', l, c, CASE WHEN l LIKE 'l%' THEN 'pa' ELSE 'pc' END, now() - interval '3 s', now(), now(),
            '{\"value\": 100000, \"worst\": 100000, \"limit\": 50000, \"unit\": \"milli_percent\", \"fwd\": {\"lost\": 10}, \"bwd\": {\"lost\": 10}, \"sent\": 20, \"send_errors\": 7}'
        FROM unnest(string_to_array('$*', ' ')) l, unnest(string_to_array('$classes', ' ')) c RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
cut() { raise cut flr critical 'gold be' "$@"; }
# clear LINK ...: all that is raised on them.
clear() {
    sql "WITH a AS (UPDATE plumbline_store.alarm SET cleared = now(), ended = now() - interval '10 s', decided = now(), changed_at = now()
        WHERE cleared IS NULL AND object = ANY (string_to_array('$*', ' ')) RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
# again LINK ...: what was cleared last is raised again, the same rows.
again() {
    sql "WITH a AS (UPDATE plumbline_store.alarm SET cleared = NULL, ended = NULL, flaps = flaps + 1, decided = now(), changed_at = now()
        WHERE id IN (SELECT max(id) FROM plumbline_store.alarm WHERE object = ANY (string_to_array('$*', ' ')) GROUP BY object, class) RETURNING id)
        INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a; SELECT pg_notify('plumbline_alarm', '')" >/dev/null
}
# problem ID: in words.
problem() { echo "SELECT state, severity, what, cause_kind, cause, coalesce(held, '') FROM plumbline_store.problem WHERE id = $1"; }
# last: the number of the newest.
last() { sql 'SELECT max(id) FROM plumbline_store.problem'; }
told() { echo "SELECT string_agg(action, ' ' ORDER BY id) FROM plumbline_store.outbox WHERE problem = $1 AND hook = '$2'"; }

# --- One link ---
cut x1
becomes 'one link makes one problem' "$(printf 'open\tcritical\tloss\tlink\tx1\t')" "$(problem 1)"
becomes 'of which the operator is told' 'open' "$(told 1 noc)"
check_equal 'while budgets are still looked at' t "$(sql "$(waiting 'NOT granted')")"
sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'plumbline_store.burn'::regclass AND granted" >/dev/null
stop slow
check_equal 'in words' 'cut: link x1, 100% lost, gold and be, both directions' "$(sql 'SELECT title FROM plumbline_store.problem WHERE id = 1')"
check_equal 'whose hook gets the same' 'cut: link x1, 100% lost, gold and be, both directions' "$(sql "SELECT event->>'title' FROM plumbline_store.outbox WHERE hook = 'noc'")"
check_equal 'the tenant over the group is told as well' 'open' "$(sql "$(told 1 h1)")"
check_equal 'that his service has less in reserve' "$(printf 's201\tfalse')" "$(sql "SELECT event->'services'->0->>'key', event->'services'->0->>'bad' FROM plumbline_store.outbox WHERE hook = 'h1'")"
check_equal 'and nobody else' 3 "$(sql 'SELECT count(*) FROM plumbline_store.outbox')"
clear x1
becomes 'clear: it is over at once' "$(printf 'ended\tcritical\tloss\tlink\tx1\t')" "$(problem 1)"
becomes 'which is told' 'open resolve' "$(told 1 noc)"
becomes 'to the tenant too' 'open resolve' "$(told 1 h1)"
check_equal 'the inbox is empty' 0 "$(sql 'SELECT count(*) FROM plumbline_store.alarm_news')"

# --- It comes back: the same episode ---
again x1
becomes 'back within hold: the same problem' "$(printf 'open\tcritical\tloss\tlink\tx1\t')" "$(problem 1)"
becomes 'which is told once more' 'open resolve open' "$(told 1 noc)"
raise brown flr major gold x1
becomes 'another alarm of its link joins it' 3 'SELECT count(*) FROM plumbline_store.problem_alarm WHERE problem = 1'
sql "INSERT INTO plumbline_store.acknowledgement (problem, number, note, author) VALUES (1, 1, 'on it', 'ann')" >/dev/null
clear x1
becomes 'over again' 'open resolve open resolve' "$(told 1 noc)"
becomes 'the acknowledgement ends with it' "$(printf 'acknowledgement_ended\tt')" \
    "SELECT s.what, a.ended_at IS NOT NULL FROM plumbline_store.problem_step s JOIN plumbline_store.acknowledgement a USING (problem) WHERE s.problem = 1 AND s.what LIKE 'ack%'"
check_equal 'one problem' 1 "$(last)"

# --- 400 links of 200 tenants, and whoever had the desk is killed while it gathers ---
all=$(seq -f 'l%g' 400 | paste -sd' ')
cut "$all"
wait_for 10 answers 'SELECT count(*) FROM plumbline_store.alarm_news' 0
stop one KILL 5
check_equal 'killed while it gathers' 1 "$(last)"
collector
becomes 'what shares a risk is one problem' "$(printf 'open\tcritical\tloss\trisk\tduct\t')" "$(problem 2)"
becomes 'of 800 alarms' 800 'SELECT count(*) FROM plumbline_store.problem_alarm WHERE problem = 2'
becomes 'told once to the operator' 'open' "$(told 2 noc)"
check_equal 'in words' 'cut: risk duct, 400 of 400 links, 100% lost' "$(sql 'SELECT title FROM plumbline_store.problem WHERE id = 2')"
check_equal 'with 200 links, and how many there are' "$(printf '200\t400\t200')" "$(sql "SELECT jsonb_array_length(event->'links'), event->'counts'->>'links', event->'counts'->>'tenants' FROM plumbline_store.outbox WHERE problem = 2 AND hook = 'noc'")"
check_equal 'one message a tenant' "$(printf '200\t200')" "$(sql "SELECT count(*), count(DISTINCT hook) FROM plumbline_store.outbox WHERE problem = 2 AND hook LIKE 'h%'")"
check_equal 'there is no other problem' 2 "$(last)"
strangers="SELECT count(*) FROM plumbline_store.outbox o CROSS JOIN generate_series(1, 200) i WHERE o.hook LIKE 'h%' AND (
    o.event::text LIKE '%duct%' OR o.event::text LIKE '%\"pa\"%'
    OR o.hook <> 'h' || i AND (o.event::text LIKE '%Tenant number ' || i || '.%' OR o.event::text LIKE '%Service number ' || i || '.%'))"
check_equal 'in which there is nothing of another, nor of the network' 0 "$(sql "$strangers")"
clear "$(seq -f 'l%g' 400 | grep -vxE 'l7|l8' | paste -sd' ')"
becomes 'tenants whose services are good again hear that' 198 "SELECT count(*) FROM plumbline_store.outbox WHERE problem = 2 AND hook LIKE 'h%' AND action = 'resolve'"
stop one KILL 5 # What is not told yet, because more may come, is not forgotten.
collector
becomes 'two stay: the same problem is told as narrowed' 'open change' "$(told 2 noc)"
check_equal 'naming those two' 'cut: risk duct, 2 of 400 links: l7 and l8, 100% lost' "$(sql "SELECT event->>'title' FROM plumbline_store.outbox WHERE problem = 2 AND hook = 'noc' ORDER BY id DESC LIMIT 1")"
check_equal 'and what went' '["398 links are clear; l7 and l8 stay"]' "$(sql "SELECT event->>'changes' FROM plumbline_store.outbox WHERE problem = 2 AND hook = 'noc' ORDER BY id DESC LIMIT 1")"
check_equal 'the other two nothing new' "$(printf 'open\topen')" "$(sql "SELECT ($(told 2 h7)), ($(told 2 h8))")"
clear l7 l8
becomes 'the last clears' 'open change resolve' "$(told 2 noc)"
becomes 'for the tenants too' 'open resolve' "$(told 2 h8)"
check_equal 'nothing is bad any more' 0 "$(sql 'SELECT count(*) FROM plumbline_store.problem_object WHERE bad')"
check_equal 'still nothing of another' 0 "$(sql "$strangers")"

# --- Maintenance ---
window() { plumbline maintenance add --start now --end "$@" >/dev/null 2>&1; }
cut x3
becomes 'before the window' 'open' "$(told 3 noc)"
check 'a window of it, and of two others' window +1h --override test x3 x4 x5
clear x3
becomes 'open before the window: its end is told' 'open resolve' "$(told 3 noc)"
cut x4
becomes 'opens inside: it is held' "$(printf 'open\tcritical\tloss\tlink\tx4\tmaintenance 1')" "$(problem 4)"
clear x4
becomes 'and over inside' ended 'SELECT state FROM plumbline_store.problem WHERE id = 4'
cut x5
becomes 'opens inside, and outlives it' "$(printf 'open\tcritical\tloss\tlink\tx5\tmaintenance 1')" "$(problem 5)"
check 'the window is moved to end sooner' plumbline maintenance move --end +8s 1
becomes 'told when it is over' 'open' "$(told 5 noc)"
check_equal 'of what was over inside nothing was told' 0 "$(sql 'SELECT count(*) FROM plumbline_store.outbox WHERE problem = 4')"
check 'another window' window +1h x6
cut x6
becomes 'holds' 'maintenance 2' 'SELECT held FROM plumbline_store.problem WHERE id = 6'
check 'it is cancelled' plumbline maintenance cancel 2
becomes 'and what it held is told' 'open' "$(told 6 noc)"
check 'a window that begins while a problem is open' window +1h x6
clear x6
becomes 'does not hold its end' 'open resolve' "$(told 6 noc)"

# --- What else is known of it ---
sql "INSERT INTO plumbline_store.event (source_id, epoch, sequence, ordinal, at, kind, object, class, flow, details)
    VALUES (1, 1, 1, 1, now() - interval '2 min', 'ttl', 'x2', 'gold', 0, '{\"direction\": \"fwd\", \"from\": 62, \"to\": 60}');
    INSERT INTO plumbline_store.source_position (source_id, source, committed_at) VALUES (78, 'pc', now())" >/dev/null
sql "WITH a AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, class, observer, began, raised, decided, details)
    VALUES ('slow', 'rt_p50', 'minor', 'link', 'x2', 'gold', 'pc', now(), now(), now(),
        '{\"value\": 12000000, \"worst\": 12500000, \"limit\": 12000000, \"baseline\": 10000000, \"unit\": \"ns\", \"flows\": {\"of\": 4, \"over\": [2]}}') RETURNING id)
    INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a" >/dev/null
becomes 'a delay with another TTL is a re-route' 're-routed: link x2, rt_p50 12.50ms instead of 10.00ms, gold, 1 of 4 paths' "SELECT title FROM plumbline_store.problem WHERE cause = 'x2'"
check_equal 'and why is said' "$(printf '%s\n' 're_route' 'other_classes	gold is bad, be is not' 'paths	1 of 4 flows: one path of several' 'members	group pair has 1 of 2 members left, and needs 1' 'far_end')" \
    "$(sql "SELECT e->>'kind' || CASE WHEN e->>'kind' IN ('re_route', 'far_end') THEN '' ELSE E'\\t' || (e->>'text') END FROM plumbline_store.problem p, jsonb_array_elements(evidence) e WHERE cause = 'x2'")"
becomes 'whom it is not grave enough for hears nothing' 'open' "$(told 7 noc)"
check_equal 'as he asked' '' "$(sql "$(told 7 grave)")"
cut x2
becomes 'until it is' 'open' "$(told 7 grave)"
becomes 'which the others hear as a change' 'open change' "$(told 7 noc)"

# --- Reminders ---
does ack 5 --note 'called Colt' --until +1h --author ann
check 'somebody has one of the two' answers 'SELECT acknowledged_by FROM plumbline.v_problem WHERE id = 5' ann
sql "UPDATE plumbline_store.outbox SET created_at = created_at - interval '30 min'" >/dev/null
sql 'SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = '\''advisory'\'' AND classid = 1886157934 AND objid = 6' >/dev/null # It reads them again.
becomes 'who was told half an hour ago is told again' 'open change remind' "$(told 7 noc)"
check_equal 'not of what somebody has in hand' 'open' "$(sql "$(told 5 noc)")"
check_equal 'nor whoever did not ask for it' 'open' "$(sql "$(told 7 grave)")"
sql "UPDATE plumbline_store.acknowledgement SET until = now() WHERE problem = 5" >/dev/null
becomes 'until when he had it' 'open remind' "$(told 5 noc)"
check_equal 'and nobody is said to have it' null "$(sql "SELECT event->'acknowledged' FROM plumbline_store.outbox WHERE problem = 5 AND hook = 'noc' ORDER BY id DESC LIMIT 1")"
does show 5
check 'evidence: maintenance' says out '^  maintenance +maintenance 1 of link x5 ended at [0-9TZ:-]{20}$'

# --- What nobody looks after any more ---
sql "INSERT INTO plumbline_store.source_position (source_id, source, closed) VALUES (77, 'gone', true); UPDATE plumbline_store.alarm SET source_id = 77 WHERE object = 'x5'" >/dev/null
becomes 'a closed source ends its alarms, and so its problem' "$(printf 'ended\tcritical\tloss\tlink\tx5\t')" "$(problem 5)"

# --- What turns out to be more ---
clear x2
becomes 'of what is over nobody is reminded' 'open change remind resolve' "$(told 7 noc)"
cut y1
becomes 'one link of a risk' 'open' "$(told 8 noc)"
cut y2
becomes 'another a while later' 'open' "$(told 9 noc)"
cut y3
becomes 'the last of them: the oldest problem is of the risk' "$(printf 'open\tcritical\tloss\trisk\ttrench\t')" "$(problem 8)"
becomes 'as which it is told' 'open change' "$(told 8 noc)"
becomes 'the other is over, and says why' "$(printf 'merged\t8\tresolve\t["it is part of problem 8, risk trench"]')" \
    "SELECT p.state, p.merged_into, o.action, o.event->>'changes' FROM plumbline_store.problem p JOIN plumbline_store.outbox o ON o.problem = p.id AND o.hook = 'noc' WHERE p.id = 9 ORDER BY o.id DESC LIMIT 1"
does show 9
check 'evidence: the same risk' says out '^  same_risk +of risk trench 2 of 3 links are bad$'
check_equal 'all alarms are of the one' 6 "$(sql 'SELECT count(*) FROM plumbline_store.problem_alarm WHERE problem = 8')"
check_equal 'each alarm is of one problem' 0 "$(sql 'SELECT count(*) FROM plumbline_store.alarm a WHERE NOT EXISTS (SELECT FROM plumbline_store.problem_alarm j WHERE j.alarm = a.id)')"
# --- What else is known, of elsewhere ---
sql "INSERT INTO plumbline_store.judged_period (service, period_start, period_end, sla, version, judged_from, judged_until)
        SELECT 's202', m, m + interval '1 month', 'x', 1, m, m FROM (VALUES (date_trunc('month', now())), (date_trunc('month', now()) - interval '1 month')) v (m);
    INSERT INTO plumbline_store.objective_state (service, period_start, number, class, metric, direction, limit_value, unit, verdict, doubt, part, whole,
        needed, budget, used) SELECT 's202', period_start, 1, 'gold', 'flr', 'both', 10, 'milli_percent', 'met', '', 0, 0, 0, 100,
        CASE WHEN period_start < date_trunc('month', now()) THEN 99 ELSE 60 END FROM plumbline_store.judged_period;
    WITH a AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, observer, began, raised, decided, details)
        VALUES ('clock', 'clock_error', 'minor', 'probe', 'pc', 'pc', now(), now(), now(), '{}') RETURNING id)
    INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM a" >/dev/null
cut z1
becomes 'a link, while a clock is bad' 'open' "SELECT state FROM plumbline_store.problem WHERE cause = 'z1'"
number=$(sql "SELECT id FROM plumbline_store.problem WHERE cause = 'z1'")
does show "$number"
check 'evidence: the clock' says out '^  clock +the clock of probe pc is bad: clock since [0-9TZ:-]{20}$'
check 'what could not be sent' says out '^  send_errors +14 packets could not even be sent: the interface or a route is gone$'
check 'the budget, of this month' says out '^  budget +service s202 has used 60% of what its month allows \(gold flr\)$'

# --- What is retired ---
sql "UPDATE plumbline_store.alarm SET recorded_at = recorded_at - interval '2 min' WHERE object LIKE 'y%'" >/dev/null
sed -i -e '/^  y3:/s/state: active/state: retired/' -e '/^  y2:/s/classes: \[gold, be\]/classes: [gold]/' "$TEST_DIR/inventory.yaml"
kill -HUP "${TEST_PID[one]}"
becomes 'an alarm of what is retired is over, with the reason' "$(printf 'y2\tbe\tthe link has this class no more\ny3\tbe\tit is retired, or not in the inventory any more\ny3\tgold\tit is retired, or not in the inventory any more')" \
    "SELECT object, class, details->>'text' FROM plumbline_store.alarm WHERE object LIKE 'y%' AND cleared IS NOT NULL ORDER BY object, class"
becomes 'which is told' 'open change change' "$(told 8 noc)"
check 'with the reason too' answers "SELECT event->'changes' @> '[\"cut of link y3: it is retired, or not in the inventory any more\", \"cut of link y2: the link has this class no more\"]' FROM plumbline_store.outbox WHERE problem = 8 AND hook = 'noc' ORDER BY id DESC LIMIT 1" t
check_equal 'nothing that is open is of what is gone' 0 "$(sql "SELECT count(*) FROM plumbline_store.alarm WHERE cleared IS NULL AND (object = 'y3' OR (object = 'y2' AND class = 'be'))")"
check 'steps of a problem are numbered' answers "SELECT bool_and(n = number) FROM (SELECT number, row_number() OVER (PARTITION BY problem ORDER BY number) n FROM plumbline_store.problem_step) s" t
test_end
