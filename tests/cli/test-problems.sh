#!/bin/bash
# shellcheck disable=SC2317
# test-problems.sh - `plumbline problems` and `show` over a real
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
         ('acme', 2, 'remind', '{}', 'dead', 9, 'timed out', now())"
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
check 'one: a ticket' says out '^  noc              open   INC0012345  https://ops.example.net/f00$'
check 'one: a ticket without a number' says out '^  acme             open   \(the target gives no number\)'
check 'one: what waits' says out '^  noc              change   waiting, 2 tries, next [0-9TZ:-]{20}: 503: try later$'
check 'one: what is dead' says out '^  acme             open     dead, 9 tries: 400: no such field$'
check 'one: what was delivered is not there' says_not out ' done'
check 'one: to take it' says out '^to take it: +plumbline ack 3 --note TEXT$'
check 'one: to try again' says out 'plumbline hooks retry acme$'
good 'by its key' show "$here_id-3" --limit 1
check 'by its key: lines that are left out' says out '^\.\.\. and 1 more; --limit 0 shows all$'
check 'by its key: of steps the last' says out '^\.\.\. 3 before; --limit 0 shows all$'
check 'by its key: not those before' says_not out 'step 2'
good 'as JSON' show 3 --json
check_equal 'as JSON: lists' '5 2 4 0 3 0 2' "$(json '" ".join(str(len(o[k])) for k in ("objects", "alarms", "steps", "acknowledgements", "outbox", "traces", "evidence"))')"
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
test_end
