#!/bin/bash
# test-retention.sh - problems that ended long ago, alarms and paths go, over a real PostgreSQL; what
# somebody still needs stays.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin retention redis-server redis-cli

cat >"$STORE_INVENTORY" <<END
inventory: 1
interval: 60s
sites: { a: {}, b: {} }
probes: { p1: { site: a, address: 192.0.2.1 }, p2: { site: b, address: 192.0.2.2 } }
classes: { be: { dscp: 0, period: 100ms, size: 128, dt: 1s } }
links: { l1: { classes: [be], ends: [ { probe: p1, address: 10.1.0.1 }, { probe: p2, address: 10.1.0.2 } ] } }
hooks: { here: { kind: exec, command: /bin/true } }
END
store_start
check 'the inventory is applied' plumbline apply --yes >/dev/null || test_end
# The keeper looks when a collector begins.
collector() { store_collector one; }
again() { stop one TERM 20; collector; }
logged() { grep -q "$1" "$TEST_DIR/one.log"; }

# problem FIRST LAST STATE DAYS_AGO [MERGED_INTO]: and of each an alarm of the same number and all that a problem
# may have, that many days ago.
problem() {
    sql "BEGIN;
        CREATE TEMPORARY TABLE t ON COMMIT DROP AS SELECT p, now() - make_interval(days => $4) AS at FROM generate_series($1, $2) p;
        INSERT INTO plumbline_store.problem (id, state, severity, what, cause_kind, cause, title, began, ended, opened_at, closed_at, merged_into)
            OVERRIDING SYSTEM VALUE SELECT p, '$3', 'major', 'loss', 'link', 'l1', 'cut', at, CASE WHEN '$3' <> 'open' THEN at END, at,
                CASE WHEN '$3' <> 'open' THEN at END, ${5:-NULL} FROM t;
        INSERT INTO plumbline_store.alarm (id, source_id, rule, metric, severity, scope, object, began, raised, decided, cleared, ended, details)
            OVERRIDING SYSTEM VALUE SELECT p, 7, 'cut', 'flr', 'major', 'link', 'l' || p, at, at, at, at, at, '{}' FROM t;
        INSERT INTO plumbline_store.problem_alarm SELECT p, p, at FROM t;
        INSERT INTO plumbline_store.problem_object SELECT p, 'link', 'l1', false FROM t;
        INSERT INTO plumbline_store.problem_step SELECT p, 1, at, 'opened', 'it was' FROM t;
        INSERT INTO plumbline_store.acknowledgement (problem, number, note, author) SELECT p, 1, 'on it', 'ann' FROM t;
        INSERT INTO plumbline_store.outbox (hook, problem, action, event, state, ended_at) SELECT 'here', p, 'resolve', '{}', 'done', now() FROM t;
        INSERT INTO plumbline_store.ticket (hook, problem, number, ref, state, event) SELECT 'here', p, 1, 'r', 'open', '{\"action\": \"resolve\"}' FROM t;
        INSERT INTO plumbline_store.trace SELECT 'p1', 'l' || p, at, 'problem', p, p, 'be', 1, true, '[]' FROM t;
        INSERT INTO plumbline_store.trace_request (problem, probe, link, asked_at, done_at) SELECT p, 'p1', 'l1', at, at FROM t;
        COMMIT"
}
# left TABLE COLUMN [WHERE]: which of these are still there.
left() { echo "SELECT string_agg($2::text, ' ' ORDER BY $2) FROM plumbline_store.$1 WHERE ${3:-true}"; }
# trace LINK DAYS_AGO WHY
trace() { sql "INSERT INTO plumbline_store.trace SELECT 'p2', '$1', now() - make_interval(days => $2), '$3', NULL, NULL, 'be', $2, true, '[]'"; }

# A source that was written up to 450 days ago: what was decided later will be read again.
sql "INSERT INTO plumbline_store.source_position (source_id, source, written_until) VALUES (7, 'p7', now() - interval '450 days')"
problem 1001 2200 ended 500
problem 1 1 ended 500
problem 2 2 ended 300
problem 3 6 ended 500
problem 7 7 ended 500
problem 8 8 merged 300 7
problem 9 9 open 500
problem 10 10 merged 500 9
problem 11 11 ended 420
problem 12 12 ended 500
sql "UPDATE plumbline_store.outbox SET state = 'dead' WHERE problem = 3;
    UPDATE plumbline_store.ticket SET event = '{\"action\": \"open\"}' WHERE problem IN (4, 5);
    UPDATE plumbline_store.ticket SET hook = 'gone' WHERE problem = 5;
    INSERT INTO plumbline_store.problem_object SELECT 6, 'service', 's1', false;
    INSERT INTO plumbline_store.judged_period (service, period_start, period_end, sla, version, judged_from, judged_until)
        SELECT 's1', now() - interval '510 days', now() - interval '480 days', 'x', 1, now() - interval '510 days', now() - interval '480 days';
    DELETE FROM plumbline_store.problem_alarm WHERE problem = 12; UPDATE plumbline_store.alarm SET cleared = NULL WHERE id = 9"
problem 13 15 ended 300
sql "DELETE FROM plumbline_store.problem_alarm WHERE problem IN (13, 14, 15); UPDATE plumbline_store.alarm SET cleared = now() - interval '401 days',
        decided = now() - interval '500 days' WHERE id = 13; UPDATE plumbline_store.alarm SET cleared = now() - interval '399 days' WHERE id = 14;
    UPDATE plumbline_store.alarm SET cleared = NULL WHERE id = 15"
trace l1 50 good
trace l1 60 good
trace l9 50 good
trace l9 30 good
trace l8 50 good
trace l8 39 problem
trace l8 41 problem

collector
becomes 'problems that ended long ago go' 0 "SELECT count(*) FROM plumbline_store.problem WHERE id > 1000"
check 'the journal says how many' wait_for 30 logged '1204 problems were dropped: their retention is over'
check 'and of alarms' wait_for 30 logged '2 alarms were dropped: their retention is over'
check 'and of paths' wait_for 30 logged 'traces were dropped: their retention is over'
kept='2 3 4 6 7 8 9 11 13 14 15'
check_equal 'not what is open, younger, not delivered, with an open ticket or no verdict, what others became part of, what is read again' "$kept" "$(sql "$(left problem id)")"
for table in problem_object problem_step acknowledgement ticket outbox; do
    check_equal "$table goes with them" "$kept" "$(sql "SELECT string_agg(DISTINCT problem::text, ' ') FROM plumbline_store.$table" | tr ' ' '\n' | sort -n | paste -sd' ')"
done
check_equal 'and their alarms' '2 3 4 6 7 8 9 11' "$(sql "$(left problem_alarm alarm)")"
check_equal 'alarms of no problem go when they are as old' '2 3 4 6 7 8 9 11 14 15' "$(sql "$(left alarm id)")"
check_equal 'paths stay with their problem' "$kept" "$(sql "$(left trace problem 'problem IS NOT NULL')")"
check_equal 'of others the newest good one of a link that there is, and what is young' 'l1 50, l8 39, l9 30' \
    "$(sql "SELECT string_agg(link || ' ' || flow, ', ' ORDER BY link, flow) FROM plumbline_store.trace WHERE problem IS NULL")"
check_equal 'requests go, but of what is open' '9' "$(sql "$(left trace_request problem)")"
check_equal 'why one is kept can be asked' 'a message about it was not delivered' "$(sql "SELECT plumbline_store.problem_needed(p) FROM plumbline_store.problem p WHERE id = 3")"

# --- What was needed is needed no more ---
sql "UPDATE plumbline_store.judged_period SET revision = 1; UPDATE plumbline_store.ticket SET state = 'closed' WHERE problem = 4;
    UPDATE plumbline_store.outbox SET state = 'superseded' WHERE problem = 3; UPDATE plumbline_store.source_position SET closed = true;
    UPDATE plumbline_store.problem SET closed_at = now() - interval '500 days' WHERE id = 8"
again
becomes 'what was needed goes when it is not' '2 7 9 13 14 15' "$(left problem id)"
sql "UPDATE plumbline_store.judged_period SET reopened = 'a window was moved'"
again
becomes 'what another had become part of goes after that' '2 9 13 14 15' "$(left problem id)"
check 'nothing was refused' eval "! logged 'not dropped'"
check 'it stops when it is told to' stop one TERM 20
test_end
