#!/bin/bash
# shellcheck disable=SC2317
# test-problems.sh - `plumbline problems`, `show`, `ack`, `handover` and `hooks` over a real
# PostgreSQL with rows as desk and courier leave them: what stands first, what hostile text
# becomes, each refusal.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD top=$STORE_TOP
store_begin problems python3
export TZ=UTC

# run VERB ARG ...: its status in $status, what it said in out and err.
run() {
    "$build/plumbline" "$1" --config "$TEST_DIR/${config:-plumbline}.yaml" "${@:2}" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}
# good SENTENCE VERB ARG ...
good() {
    run "${@:2}"
    check_equal "$1: status" 0 "$status" || cat "$TEST_DIR/err" >&2
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
is_json() { json 1 >/dev/null; }
# line NUMBER: of what was printed.
line() { sed -n "$1p" "$TEST_DIR/out"; }
# no_wild: nothing that could move a cursor, or turn text around, was printed.
no_wild() { ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$TEST_DIR/out"; }
# fits COLUMNS: no line is longer.
fits() { [[ $(python3 -c 'import sys; print(max(len(l.rstrip("\n")) for l in open(sys.argv[1])))' "$TEST_DIR/out") -le $1 ]]; }

# problem STATE SEVERITY WHAT KIND CAUSE TITLE BEGAN_AGO [ENDED_AGO]: its number is the next one.
problem() {
    local ended=${8:+"now() - interval '$8'"}
    sql "INSERT INTO plumbline_store.problem (state, severity, what, cause_kind, cause, title, began, ended, opened_at, closed_at)
         VALUES ('$1', '$2', '$3', '$4', '$5', '$6', now() - interval '$7', ${ended:-NULL}, now() - interval '$7', ${ended:-NULL})"
}
# object PROBLEM KIND KEY BAD
object() { sql "INSERT INTO plumbline_store.problem_object VALUES ($1, '$2', '$3', $4)"; }
# alarm PROBLEM RULE METRIC SEVERITY SCOPE OBJECT BEGAN_AGO CLEARED_AGO|'' FLAPS DETAILS
alarm() {
    local cleared=${8:+"now() - interval '$8'"}
    sql "WITH a AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, class, observer, began, raised, decided,
                        cleared, ended, flaps, details)
                    VALUES ('$2', '$3', '$4', '$5', '$6', 'gold', 'par1-p1', now() - interval '$7', now() - interval '$7',
                        now() - interval '$7', ${cleared:-NULL}, ${cleared:-NULL}, $9, '${10}') RETURNING id)
         INSERT INTO plumbline_store.problem_alarm (alarm, problem) SELECT id, $1 FROM a"
}
# step PROBLEM NUMBER WHAT TEXT
step() { sql "INSERT INTO plumbline_store.problem_step (problem, number, what, text) VALUES ($1, $2, '$3', '$4')"; }

store_servers
run problems
check_equal 'without a schema: status' 3 "$status"
check 'without a schema: migrate is named' says err 'run .plumbline migrate.'
good 'the schema' migrate
good 'the inventory' apply --yes "$top/tests/fixtures/inventory-example.yaml"
here_id=$(sql 'SELECT id FROM plumbline_store.installation')

# --- Nothing is wrong ---
good 'nothing is open' problems --check
check_equal 'nothing is open: told' 'no problem is open' "$(cat "$TEST_DIR/out")"
good 'nothing was' problems --since 24h
check_equal 'nothing was: told' 'no problem is open, and none ended since then' "$(cat "$TEST_DIR/out")"
good 'nothing ever' problems --all --json
run status --once
check 'nothing is wrong: status says nothing of it' says_not out 'open problems|hooks that'
good 'nothing ever' problems --all --json
check_equal 'nothing ever: JSON' '[] 0' "$(json 'str(o["problems"]) + " " + str(o["left_out"])')"

# --- As the desk leaves them ---
problem ended minor delay link par1-ams1 'link par1-ams1: slow' '40 hours' '39 hours'
problem ended critical loss link par1-lon1-b 'link par1-lon1-b: cut' '5 hours' '4 hours'
problem open critical loss risk duct-calais 'risk duct-calais: 2 of 2 links cut' '3 hours 12 minutes'
problem open major loss link par1-ams1 'link par1-ams1: 2% lost' '20 minutes'
problem open minor delay link lon1-ams1 'link lon1-ams1: slow' '10 minutes'
problem merged critical loss link par1-lon1-a 'link par1-lon1-a: cut' '3 hours' '3 hours'
problem open major silence probe ams1-p1 'probe ams1-p1 is silent' '90 seconds'
sql "UPDATE plumbline_store.problem SET merged_into = 3 WHERE id = 6;
     UPDATE plumbline_store.problem SET held = 'maintenance 12' WHERE id = 4;
     UPDATE plumbline_store.problem SET reopened = 1, revision = 4 WHERE id = 2;
     UPDATE plumbline_store.problem SET revision = 3, evidence =
         '[{\"kind\": \"other_classes\", \"text\": \"be is down too\"}, {\"kind\": \"far_end\", \"text\": \"lon1-p1 serves\", \"probe\": \"lon1-p1\"}]'
         WHERE id = 3;
     INSERT INTO plumbline_store.ticket (hook, problem, number, ref, shown, url, state, event) VALUES
         ('acme', 3, 1, '', '', '', 'open', '{}'),
         ('noc', 3, 1, 'f00', 'INC0012345', 'https://ops.example.net/f00', 'open', '{}');
     INSERT INTO plumbline_store.outbox (hook, problem, action, event, state, tries, last_error, ended_at) VALUES
         ('noc', 3, 'open', '{}', 'done', 1, NULL, now()),
         ('noc', 3, 'change', '{}', 'waiting', 2, '503: try later', NULL),
         ('acme', 3, 'open', '{}', 'dead', 9, '400: no such field', now()),
         ('acme', 2, 'open', '{}', 'dead', 9, 'timed out', now()),
         ('acme', 2, 'resolve', '{}', 'done', 1, NULL, now()),
         ('acme', 2, 'remind', '{}', 'dead', 9, 'timed out', now()),
         ('noc', NULL, 'heartbeat', '{}', 'dead', 9, 'timed out', now())"
object 3 link par1-lon1-a true
object 3 link par1-lon1-b false
object 3 group par1-lon1 true
object 3 service acme-hq-azure true
object 3 tenant acme true
object 7 probe ams1-p1 true
alarm 3 cut flr critical link par1-lon1-a '3 hours 12 minutes' '' 0 '{"value": 51200, "worst": 100000, "limit": 50000, "unit": "milli_percent", "flows": {"of": 4, "over": [2]}}'
alarm 3 cut flr critical link par1-lon1-b '3 hours 12 minutes' '2 hours' 0 '{"value": 100000, "worst": 100000, "limit": 50000, "unit": "milli_percent"}'
alarm 2 cut flr critical link par1-lon1-b '5 hours' '4 hours' 2 '{}'
alarm 5 slow rt_p50 minor link lon1-ams1 '10 minutes' '' 3 '{"value": 14400000, "limit": 2400000, "baseline": 12000000, "unit": "ns"}'
alarm 7 silent silence major probe ams1-p1 '90 seconds' '' 0 '{"text": "last heard at 03:00"}'
sql "INSERT INTO plumbline_store.trace (probe, link, at, why, problem, class, flow, reached, hops, error) VALUES
        ('par1-p1', 'par1-lon1-a', now() - interval '4 hours', 'good', NULL, 'gold', 2, true,
         '[{\"ttl\": 1, \"address\": \"10.0.0.1\", \"rt_us\": 812}, {\"ttl\": 2, \"address\": null, \"rt_us\": null}, {\"ttl\": 3, \"address\": \"10.1.1.1\", \"rt_us\": 4100}]', ''),
        ('par1-p1', 'par1-lon1-a', now() - interval '3 hours 30 minutes', 'good', NULL, 'gold', 0, true, '[]', ''),
        ('par1-p1', 'par1-lon1-a', now() - interval '3 hours', 'problem', 3, 'gold', 2, false,
         '[{\"ttl\": 1, \"address\": \"10.0.0.1\", \"rt_us\": 812}, {\"ttl\": 2, \"address\": null, \"rt_us\": null}]', ''),
        ('lon1-p1', 'par1-lon1-a', now() - interval '3 hours', 'problem', 3, 'gold', 2, false, '[]', 'sendto: Network is unreachable')"
for i in 1 2 3; do step 3 $i joined "step $i"; done
step 3 4 told 'noc, acme: open'

run problems --check
check_equal 'open: status' 1 "$status"
good 'open' problems
check_equal 'open: newest first, and nothing else' '7 5 4 3' "$(awk 'NR > 1 { printf "%s%s", s, $1; s = " " }' "$TEST_DIR/out")"
check 'open: a line' says out '^3      open   critical [0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}Z 3h12m  loss    risk duct-calais, 2 links  -        INC0012345 \+1$'
check 'held is said' says out '^4      held   major '
check 'flapping is said' says out '^5      flaps  minor '
check 'a probe' says out ' silence probe ams1-p1  '
check 'it fits 100 columns' fits 100
good 'since a day' problems --since 24h
check_equal 'since a day: open first' '7 5 4 3 2' "$(awk 'NR > 1 { printf "%s%s", s, $1; s = " " }' "$TEST_DIR/out")"
check 'since a day: how long it was' says out '^2      ended  critical .* 1h0m '
good 'since an instant' problems --since "$(date -u -d '-3 hours' +%FT%TZ)"
check_equal 'since an instant: none that ended before' '7 5 4 3' "$(awk 'NR > 1 { printf "%s%s", s, $1; s = " " }' "$TEST_DIR/out")"
good 'all' problems --all --json
check_equal 'all: JSON' '[7, 5, 4, 3, 6, 2, 1] [3] 0' \
    "$(json '" ".join(map(str, ([p["id"] for p in o["problems"]], [p["merged_into"] for p in o["problems"] if p["state"] == "merged"], o["left_out"])))')"
check_equal 'all: what one has' "$here_id-3 ['par1-lon1-a', 'par1-lon1-b'] ['par1-lon1-a'] ['acme'] INC0012345 None True" \
    "$(json '"{key} {links} {links_bad} {tenants} {0} {ended} {1}".format([p for p in o["problems"] if p["id"] == 3][0]["tickets"][1]["shown"], [p for p in o["problems"] if p["id"] == 5][0]["flapping"], **[p for p in o["problems"] if p["id"] == 3][0])')"
good 'so many' problems --all --limit 2
check 'so many: what is left out' says out '^\.\.\. and 5 more; --limit 0 shows all$'
check_equal 'so many: lines' 4 "$(wc -l <"$TEST_DIR/out")"
good 'none is too many' problems --all --limit 0
check_equal 'none is too many: lines' 8 "$(wc -l <"$TEST_DIR/out")"
refused 'a time that is none' 2 "--since 'yesterday': expected a time back from now, such as 8h" problems --since yesterday
refused 'a limit that is none' 2 '--limit all: expected a number' problems --limit all
refused 'a number' 2 "'17' is not an option; .plumbline show 17. tells" problems 17
refused 'an option that is none' 2 'problems --help. shows the options' problems --note x

run status --once
check 'status: how many problems' says out '^open problems: 4, of which nobody has 4 \(plumbline problems\)$'
check 'status: how many hooks' says out '^hooks that fail, or have messages that were given up: 1 \(plumbline hooks\)$'
run status --json
check_equal 'status, as JSON' '4 4 1' "$(json '" ".join(str(o[k]) for k in ("problems_open", "problems_unacknowledged", "hooks_amiss"))')"

# --- One problem ---
good 'one' show 3
check_equal 'one: title' "problem 3 ($here_id-3): risk duct-calais: 2 of 2 links cut" "$(line 1)"
check 'one: what it is' says out '^open, critical, loss; revision 3$'
check 'one: since when' says out '^began         [0-9TZ:-]{20}, 3h12m ago$'
check 'one: cause' says out '^cause         risk duct-calais$'
check 'one: evidence' says out '^  other_classes    be is down too$'
check 'one: links' says out '^LINKS: 1 bad, 1 clear$'
check_equal 'one: what is bad first' '  bad   par1-lon1-a|  clear par1-lon1-b' "$(grep -A2 '^LINKS' "$TEST_DIR/out" | tail -2 | paste -sd'|')"
check 'one: a service, and whose it is' says out '^  bad   acme-hq-azure, of acme$'
check 'one: a tenant' says out '^  bad   acme  ACME SA$'
check 'one: an alarm' says out '^  cut      critical link par1-lon1-a, gold, seen by par1-p1  [0-9TZ:-]{20} to now$'
check 'one: an alarm that is clear' says out 'link par1-lon1-b, gold, seen by par1-p1  [0-9TZ:-]{20} to [0-9TZ:-]{20}$'
check 'one: its values' says out '^           51.2%, worst 100%, limit 50%, 1 of 4 paths$'
check 'one: steps' says out '^  [0-9TZ:-]{20}  told         noc, acme: open$'
check 'one: a ticket' says out '^  noc              open     INC0012345  https://ops.example.net/f00$'
check 'one: a ticket without a number' says out '^  acme             open     \(the target gives no number\)'
check 'one: what waits' says out '^  noc              change   waiting, 2 tries, next [0-9TZ:-]{20}: 503: try later$'
check 'one: what is dead' says out '^  acme             open     dead, 9 tries: 400: no such field$'
check 'one: a path' says out '^  par1-lon1-a from par1-p1, gold flow 2, [0-9TZ:-]{20}: it does not reach the far end$'
check 'one: a path that begins badly' says out '^  par1-lon1-a from lon1-p1, .*: it does not reach the far end; sendto: Network is unreachable$'
check_equal 'one: hops, and those that were good on the same flow' 'now   (nobody answered)|now   10.0.0.1 812.0us > *|good  10.0.0.1 812.0us > * > 10.1.1.1 4.10ms' \
    "$(sed -nE '/^TRACES$/,/^$/s/^    ((now|good) .*)/\1/p' "$TEST_DIR/out" | paste -sd'|')"
check 'one: what was delivered is not there' says_not out ' done'
check 'one: to take it' says out '^to take it: +plumbline ack 3 --note TEXT$'
check 'one: to try again' says out 'plumbline hooks retry acme$'
good 'by its key' show "$here_id-3" --limit 1
check 'by its key: lines that are left out' says out '^\.\.\. and 1 more; --limit 0 shows all$'
check 'by its key: of steps the last' says out '^\.\.\. 3 before; --limit 0 shows all$'
check 'by its key: not those before' says_not out 'step 2'
good 'as JSON' show 3 --json
check_equal 'as JSON: lists' '5 2 4 0 3 2 2' "$(json '" ".join(str(len(o[k])) for k in ("objects", "alarms", "steps", "acknowledgements", "outbox", "traces", "evidence"))')"
check_equal 'as JSON: values' '100000 [2] False' "$(json '"{} {} {}".format(o["alarms"][0]["details"]["worst"], o["alarms"][0]["details"]["flows"]["over"], o["objects"][-1]["bad"])')"
good 'flapping' show 5
check 'flapping: said' says out '^open, minor, delay; revision 1; flapping, raised again 3 times$'
check 'flapping: against what' says out '^           14.40ms, limit 2.40ms, usual 12.00ms$'
good 'ended' show 2
check 'ended: how often' says out '; reopened once; flapped, raised again 2 times$'
check 'ended: when' says out '^ended         [0-9TZ:-]{20}, after 1h0m$'
check 'ended: nothing to take' says_not out 'to take it'
good 'merged' show 6
check 'merged: into what' says out '; part of problem 3$'
check 'merged: what to look at' says out 'plumbline show 3$'
good 'held' show 4
check 'held: why' says out '^held          maintenance 12: nobody was told$'
TZ=Europe/Paris run show 3
check 'local time too' says out '^began         [0-9TZ:-]{20} \([0-9:]{8} CES?T\), 3h12m ago$'
refused 'one that is not there' 2 "there is no problem '99'; .plumbline problems --all. lists" show 99
refused 'one of elsewhere' 2 "there is no problem 'ffffffff-3' of this installation" show ffffffff-3
refused 'without one' 2 'one problem is needed' show
refused 'two' 2 'one problem is needed' show 3 4
refused 'no number' 2 'one problem is needed' show duct-calais

# --- Taken ---
steps() { sql "SELECT string_agg(what || ': ' || text, '|' ORDER BY number) FROM plumbline_store.problem_step WHERE problem = $1 AND number > $2"; }
good 'taken' ack 3 --note 'called Colt' --author ann
check 'taken: told' says out '^problem 3 \(risk duct-calais: 2 of 2 links cut\): acknowledged by ann; nobody is reminded until it ends$'
check_equal 'taken: a step' 'acknowledged: by ann: called Colt' "$(steps 3 4)"
check_equal 'taken: who logged in' 'ann postgres' "$(sql 'SELECT author || $$ $$ || written_by FROM plumbline.v_acknowledgement')"
good 'taken by the next' ack "$here_id-3" --note $'splicing\e[2J\n\xc2\x9b31m' --author bob --until 4h --json
check_equal 'taken by the next: JSON' 'bob 2 True' "$(json '" ".join(map(str, (o["author"], o["number"], o["note"].startswith("splicing\x1b[2J\n"))))')"
check_equal 'taken by the next: the one before is over' '1	t
2	f' "$(sql 'SELECT number, ended_at IS NOT NULL FROM plumbline.v_acknowledgement ORDER BY 1')"
check_equal 'taken by the next: one line in the steps' 1 "$(steps 3 5 | wc -l)"
check_equal 'taken by the next: until' t "$(sql "SELECT until - now() BETWEEN interval '3 h 50 min' AND interval '4 h' FROM plumbline.v_acknowledgement WHERE number = 2")"
good 'who has it' problems
check 'who has it: in the list' says out '^3 .* bob      INC0012345'
good 'who has it, and until when' show 3
check 'who has it, and until when: told' says out '^acknowledged  by bob, until [0-9TZ:-]{20}: splicing\?\[2J\?\?\?31m$'
check 'who has it, and until when: nothing wild' no_wild
check 'who has it, and until when: not to be taken' says_not out 'to take it'
sql "UPDATE plumbline_store.acknowledgement SET until = now() - interval '1 second' WHERE number = 2"
good 'its time is over' problems --json
check_equal 'its time is over: nobody has it' None "$(json '[p["acknowledged_by"] for p in o["problems"] if p["id"] == 3][0]')"
before=$(sql 'SELECT count(*) FROM plumbline_store.acknowledgement')
refused 'what ended' 2 '^plumbline ack: problem 2 ended at [0-9TZ:-]{20}: of what is over nobody is reminded$' ack 2 --note x
refused 'what is part of another' 2 'problem 6 is part of problem 3: acknowledge that' ack 6 --note x
refused 'what is not there' 2 "there is no problem '99'; .plumbline problems. lists" ack 99 --note x
refused 'of elsewhere' 2 "no problem 'ffffffff-3' of this installation" ack ffffffff-3 --note x
refused 'without a note' 2 '--note is needed: who does what' ack 3
refused 'with a note of spaces' 2 'needs a note: who does what' ack 3 --note '  '
good 'with the longest note' ack 5 --note "$(printf 'é%.0s' {1..1000})"
refused 'with a longer one' 2 'the note has 1001 characters, and 1000 is most' ack 5 --note "$(printf 'é%.0s' {1..1001})"
refused 'until what is past' 2 'it would be over before it begins: 2020-01-01T00:00:00Z is not to come' ack 3 --note x --until 2020-01-01T00:00:00Z
refused 'until no time' 2 "--until 'soon': expected a time from now on, such as 8h" ack 3 --note x --until soon
refused 'nothing' 2 'one problem is needed' ack --note x
check_equal 'refused: nothing is written' $((before + 1)) "$(sql 'SELECT count(*) FROM plumbline_store.acknowledgement')"
# The desk writes a step in the same moment: who comes second waits, and takes the next number.
sql "BEGIN; INSERT INTO plumbline_store.problem_step (problem, number, what, text) VALUES (4, 1, 'held', 'x'); SELECT pg_sleep(2); COMMIT" >/dev/null &
desk=$!
answers_sleep() { [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1 ]]; }
check 'the desk writes' wait_for 30 answers_sleep
good 'beside the desk' ack 4 --note x
wait $desk
check_equal 'beside the desk: both steps' 'held acknowledged' "$(sql "SELECT string_agg(what, ' ' ORDER BY number) FROM plumbline_store.problem_step WHERE problem = 4")"

# --- Hooks ---
hook_state() { sql "INSERT INTO plumbline_store.hook_state (hook, state, since, failures, not_before, last_good, last_error, last_error_at)
    VALUES ('$1', '$2', now() - interval '1 hour', 3, now() + interval '1 hour', now() - interval '2 hours', '$3', now())
    ON CONFLICT (hook) DO UPDATE SET state = excluded.state, since = excluded.since, not_before = excluded.not_before, last_error = excluded.last_error"; }
good 'hooks' hooks
check 'hooks: one of which nothing was sent' says out '^noc              servicenow-incident unused   -      -               1    0 https://ops.example.net$'
check 'hooks: dead, and of its URL no more than the host' says out '^acme             webhook             unused   -      -               0    3 https://hooks.acme.example$'
check 'hooks: who delivers' says out '^no collector delivers just now: is a plumbline-collector running\?$'
run hooks --check
check_equal 'hooks: amiss' 1 "$status"
hook_state noc failing $'503: "later\e[2J"'
good 'a hook that fails' hooks
check 'a hook that fails: first' grep -q '^noc .* failing  1h0m   2h0m' <(line 2)
check 'a hook that fails: why' grep -qE '^    last error, [0-9TZ:-]{20}: 503: "later\?\[2J"$' <(line 3)
check 'a hook that fails: nothing wild' no_wild
good 'hooks as JSON' hooks --json
check_equal 'hooks as JSON: members' "False noc failing 3 1 acme 3 all" "$(json '"{} {} {} {} {} {} {} {}".format(o["delivering"], *[o["hooks"][0][k] for k in ("hook", "state", "failures", "waiting")], *[o["hooks"][1][k] for k in ("hook", "dead")], o["hooks"][0]["view"])')"

outbox() { sql "SELECT coalesce(string_agg(state, ' ' ORDER BY id), '') FROM plumbline_store.outbox WHERE hook = '$1'${2:+ AND $2}"; }
refused 'a test that nobody delivers' 3 'no collector delivers: start plumbline-collector' hooks test noc
check_equal 'a test that nobody delivers: nothing is to be sent' '' "$(outbox noc "action = 'test'")"
# Somebody holds the lock of those who deliver: a collector, for all that one sees.
coproc COURIER { exec "$(pg_bin)/psql" -qAtX "${PG_CONNINFO} dbname=plumbline"; }
courier=$COURIER_PID
echo 'SELECT pg_advisory_lock(1886157934, 7);' >&"${COURIER[1]}"
holds() { [[ $(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted") == 1 ]]; }
check 'a collector delivers' wait_for 30 holds
# deliver SET: what it does with the next test, once that is there.
deliver() {
    (
        for _ in {1..600}; do
            [[ $(sql "UPDATE plumbline_store.outbox SET $1 WHERE action = 'test' AND state = 'waiting' AND tries = 0 RETURNING 1") == 1 ]] && exit
            sleep 0.1
        done
    ) &
    delivery=$!
}
deliver "state = 'done', tries = 1, ended_at = clock_timestamp()"
good 'a test that arrives' hooks test noc --author ann
wait $delivery
check 'a test that arrives: told' says out '^noc: the test was delivered in [0-9.]+ s$'
check_equal 'a test that arrives: what it says' "$here_id test ended info ann tests by hand whether this arrives. Nothing is wrong." \
    "$(sql "SELECT concat_ws(' ', event->>'installation', event->>'action', event->>'state', event->>'severity', event->>'text') FROM plumbline_store.outbox WHERE action = 'test'")"
check_equal 'a test that arrives: its id' t "$(sql "SELECT event->>'id' = '$here_id-test-' || id AND event->>'at' ~ '^20..-.*Z\$' AND problem IS NULL FROM plumbline_store.outbox WHERE action = 'test'")"
check_equal 'a test is not held up' t "$(sql "SELECT not_before IS NULL FROM plumbline_store.hook_state WHERE hook = 'noc'")"
deliver "tries = 1, last_error = '401: no such user', next_try = now() + interval '5 minutes'"
run hooks test noc
wait $delivery
check_equal 'a test that fails: status' 1 "$status"
check_equal 'a test that fails: told' 'noc: the test was not delivered: 401: no such user' "$(cat "$TEST_DIR/out")"
check_equal 'a test that fails: not tried again' 'done superseded' "$(outbox noc "action = 'test'")"
deliver "state = 'dead', tries = 1, last_error = '400: $(printf '\\x1b')', ended_at = now()"
run hooks test noc --json
wait $delivery
check_equal 'a test that is refused' '1 False dead' "$status $(json '"{} {}".format(o["delivered"], o["state"])')"
check_equal 'a test that is refused: no loss' 'done superseded superseded' "$(outbox noc "action = 'test'")"
run hooks test acme --timeout 300ms
check_equal 'a test that nobody tries: status' 1 "$status"
check 'a test that nobody tries: told' says out '^acme: nobody tried to deliver the test within 300ms; 0 messages wait before it$'
check_equal 'a test that nobody tries: not sent later' superseded "$(outbox acme "action = 'test'")"
refused 'a test of nobody' 2 "has no hook 'nobody'; .plumbline hooks. lists" hooks test nobody
refused 'a test without a name' 2 "'test' needs one hook" hooks test
refused 'a test of no name' 2 "'A;B' can be no hook" hooks test 'A;B'
refused 'a test for ever' 2 '--timeout 2h: expected a time up to 1h' hooks test noc --timeout 2h
hook_state acme disabled '410: gone'
refused 'a test of what is disabled' 2 "hook 'acme' is disabled since [0-9TZ:-]{20}: .*plumbline hooks retry acme" hooks test acme
sql "UPDATE plumbline_store.inventory_object SET content = content || '{\"state\": \"retired\"}' WHERE kind = 'hook' AND key = 'noc'"
refused 'a test of what is retired' 2 "hook 'noc' is retired: nothing is sent by it" hooks test noc
good 'one that is gone' hooks
check 'one that is gone: said' says out '^noc .* gone '
sql "UPDATE plumbline_store.inventory_object SET content = content - 'state' WHERE kind = 'hook' AND key = 'noc'"

# Of acme: open of 3 is dead, open of 2 too, with its resolve delivered, and a reminder.
good 'again' hooks retry acme
check_equal 'again: told' 'acme: 1 message is tried again; 2 left out, the target knows better by now; it is switched on again' "$(cat "$TEST_DIR/out")"
check_equal 'again: what waits, and what does not' 'waiting superseded done superseded superseded' "$(outbox acme)"
check_equal 'again: from the first try on' 't' "$(sql "SELECT tries = 0 AND next_try <= now() AND ended_at IS NULL FROM plumbline_store.outbox WHERE hook = 'acme' AND state = 'waiting'")"
check_equal 'again: it is good' 'good t' "$(sql "SELECT state || ' ' || (not_before IS NULL) FROM plumbline_store.hook_state WHERE hook = 'acme'" | sed 's/true/t/')"
good 'nothing again' hooks retry acme --json
check_equal 'nothing again: JSON' 'acme good 0 0' "$(json '" ".join(str(o[k]) for k in ("hook", "before", "again", "left_out"))')"
refused 'nobody again' 2 "has no hook 'nobody'" hooks retry nobody
refused 'an action that is none' 2 "'mend' is no action: list, test and retry are" hooks mend
refused 'a list of one' 2 "'list' takes nothing" hooks list noc
refused 'a list with a time' 2 "takes no --timeout" hooks --timeout 3s
good 'delivering' hooks
check 'delivering: nothing to say' says_not out 'no collector'
kill "$courier"
wait "$courier" 2>/dev/null


# --- Handed over ---
sql "UPDATE plumbline_store.problem SET opened_at = now() - interval '9 hours' WHERE id = 3;
     INSERT INTO plumbline_store.source_position (source_id, source, committed_at, closed) VALUES
         (1, 'par1-p1', now(), false), (2, 'lon1-p1', now() - interval '1 hour', false), (3, 'old-p1', now() - interval '1 day', true),
         (4, 'ams1-p1', now() - interval '6 minutes', false)"
does maintenance add --start now --end +2h --label 'new line card' --author ann --no-exclude lon1-pe2
does maintenance add --start +11h --end +1h --author bob par1-ams1
does maintenance add --start +13h --end +1h --author bob par1-lon1-a
sql "INSERT INTO plumbline_store.outbox (hook, problem, action, event, state, tries, last_error, ended_at)
         VALUES ('acme', 3, 'change', '{}', 'dead', 9, '400: no such field', now());
     INSERT INTO plumbline_store.judged_period SELECT 'acme-hq-azure', start, until, 'premium', 2, start, start + (until - start) / 4, NULL
         FROM plumbline_store.month_of(now(), 'Europe/Paris');
     INSERT INTO plumbline_store.objective_state (service, period_start, number, class, metric, direction, limit_value, unit, verdict,
             doubt, value, worst, part, whole, needed, budget, used)
         SELECT 'acme-hq-azure', start, n, 'gold', m, 'both', 10, 'milli_percent', v, 'none', 8, '', 50, 700000, 0, 100, u
         FROM plumbline_store.month_of(now(), 'Europe/Paris'),
              (VALUES (1, 'flr', 'met', 24), (2, 'flr_raw', 'met', 50), (3, 'hli', 'missed', 160)) AS o(n, m, v, u)"
good 'handed over' handover
check 'handed over: since when' grep -qE '^HANDOVER: what happened since [0-9TZ:-]{20}$' <(line 1)
check_equal 'handed over: open ones, worst first' '3 4 7 5' "$(sed -n '/^OPEN/,/^$/p' "$TEST_DIR/out" | awk '$2 ~ /open|held|flaps/ { printf "%s%s", s, $1; s = " " }')"
check 'handed over: how many, and new ones' says out '^OPEN: 4, 3 of them began since then$'
check 'handed over: by whom' says out '^  4: root: x$'
check 'handed over: what ended' says out '^ENDED: 1, 1 of them began since then$'
check 'handed over: not what ended before' says_not out 'par1-ams1: slow'
check_equal 'handed over: what flaps, and what did' '5, open: link lon1-ams1: slow; raised again 3 times|2, ended: link par1-lon1-b: cut; raised again 2 times, reopened once' \
    "$(sed -n '/^FLAPPING: 2$/,/^$/p' "$TEST_DIR/out" | sed -n 's/^  //p' | paste -sd'|')"
check_equal 'handed over: who is silent' 'lon1-p1|ams1-p1' "$(sed -nE '/^SILENT PROBES: 2$/,/^$/s/^  ([a-z0-9-]+), since .*/\1/p' "$TEST_DIR/out" | paste -sd'|')"
check 'handed over: a probe with an alarm is silent since then' says out '^  ams1-p1, since [0-9TZ:-]{20} \([67]m[0-9]+s\)$'
check_equal 'handed over: maintenance' 'running planned' "$(sed -nE '/^MAINTENANCE: 2$/,/^$/s/^  [0-9]+, ([a-z]+): .*/\1/p' "$TEST_DIR/out" | paste -sd' ')"
check 'handed over: a window' says out '^  1, running: [0-9TZ:-]{20} to [0-9TZ:-]{20}, .* and [0-9]+ more; new line card, by ann$'
check 'handed over: a hook' says out '^  noc: failing for [0-9hms]+, 1 waiting, 0 dead; 503'
check 'handed over: a dead message' says out '^  acme: change of problem 3, [0-9TZ:-]{20}: 400: no such field$'
check_equal 'handed over: budgets' 'hli flr_raw' "$(sed -nE '/^SLA BUDGETS: 2$/,/^$/s/^  acme-hq-azure, gold ([a-z_]+): .*/\1/p' "$TEST_DIR/out" | paste -sd' ')"
check 'handed over: how fast' says out 'flr_raw: met so far, left of the budget 50 packets, burns at 2.00$'
check 'handed over: nothing wild' no_wild
good 'handed over, as JSON' handover --since 10h --json
check_equal 'handed over, as JSON: how much of each' '4 1 2 2 2 2 1 2' "$(json '" ".join(str(len(o[k])) for k in ("open", "ended", "flapping", "silent", "maintenance", "hooks", "dead", "budgets"))')"
check_equal 'handed over, as JSON: which are new' '[True, True, True, True]' "$(json '[p["is_new"] for p in o["open"]]')"
good 'handed over, short' handover --limit 1
check_equal 'handed over, short: what is left out' 6 "$(grep -c '^\.\.\. and' "$TEST_DIR/out")"
check 'handed over, short: how many there are' says out '^OPEN: 4$'
check 'handed over, short: where the rest is' says out '^\.\.\. and 3 more; plumbline problems$'
refused 'since no time' 2 "--since 'monday': expected a time back" handover --since monday
refused 'what is no option' 2 "'8h' is not an option" handover 8h

# --- Whoever writes hostile text ---
wild=$'a\tb\ec\x7f\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8"\\;$(x)\nOPEN'
long=$(printf 'x%.0s' {1..10000})
sql "UPDATE plumbline_store.problem SET title = \$w\$$wild\$w\$, cause = \$w\$$wild\$w\$, held = \$w\$$wild\$w\$,
         evidence = jsonb_build_array(jsonb_build_object('kind', \$w\$$wild\$w\$, 'text', \$w\$$wild\$w\$)) WHERE id = 4;
     UPDATE plumbline_store.acknowledgement SET author = \$w\$$wild$long\$w\$, note = \$w\$$wild$long\$w\$ WHERE problem = 4;
     INSERT INTO plumbline_store.problem_object VALUES (4, 'link', \$w\$$wild$long\$w\$, true), (4, 'tenant', \$w\$$wild\$w\$, false);
     INSERT INTO plumbline_store.problem_step (problem, number, what, text) VALUES (4, 3, 'told', \$w\$$wild$long\$w\$);
     INSERT INTO plumbline_store.ticket (hook, problem, number, ref, shown, url, state, event)
         VALUES ('noc', 4, 1, \$w\$$wild$long\$w\$, \$w\$$wild$long\$w\$, \$w\$$wild\$w\$, 'open', '{}');
     UPDATE plumbline_store.outbox SET last_error = \$w\$$wild$long\$w\$ WHERE state IN ('dead', 'waiting');
     UPDATE plumbline_store.hook_state SET last_error = \$w\$$wild$long\$w\$"
alarm 4 cut flr critical link "$wild" '20 minutes' '' 0 '{"value": "x", "unit": 7, "flows": 3, "text": "\u001b[2J"}'
for verb in 'problems' 'problems --all' 'show 4 --limit 0' 'handover' 'hooks'; do
    # shellcheck disable=SC2086
    good "hostile: $verb" $verb
    check "hostile: $verb: nothing wild" no_wild
    # shellcheck disable=SC2086
    good "hostile: $verb, as JSON" $verb --json
    check "hostile: $verb: JSON is whole" is_json
done
good 'hostile: the table' problems
check 'hostile: what is long is cut' fits 111
check 'hostile: that it is cut is seen' says out '^4 .*\.\. .*\.\. .*\.\.$'
check_equal 'hostile: a line each' 5 "$(wc -l <"$TEST_DIR/out")"
good 'hostile: one' show 4
check 'hostile: what it was' says out '^cause         link a\?b\?c\?\?\?\?\?\?\?\?\?\?\?\?"\\;\$\(x\)\?OPEN$'

# --- Who may what ---
sql 'CREATE ROLE watcher LOGIN IN ROLE plumbline_reader; CREATE ROLE boss LOGIN IN ROLE plumbline_owner; CREATE ROLE nobody2 LOGIN'
for role in watcher boss nobody2; do
    printf '%s\n' "postgresql: { conninfo: \"${PG_CONNINFO/user=postgres/user=$role} dbname=plumbline\" }" >"$TEST_DIR/$role.yaml"
done
for config in watcher boss; do
    for verb in 'problems' 'show 3' 'handover' 'hooks'; do
        # shellcheck disable=SC2086
        run $verb
        check_equal "$config reads: $verb" '0 ' "$status $(cat "$TEST_DIR/err")"
    done
done
config=watcher refused 'whoever reads takes nothing' 3 'permission denied' ack 3 --note x
config=watcher refused 'whoever reads tries nothing again' 3 'permission denied' hooks retry acme
config=nobody2 refused 'who may nothing' 3 'permission denied' problems
config=boss refused 'whoever operates may' 2 'problem 2 ended' ack 2 --note x
config=
for verb in problems show ack handover hooks; do
    check "$verb has examples" grep -q '^Examples:' <("$build/plumbline" $verb --help)
    check "$verb: its help fits" [ "$("$build/plumbline" $verb --help | awk 'length > 96' | wc -l)" = 0 ]
done
test_end
