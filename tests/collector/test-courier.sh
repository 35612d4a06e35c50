#!/bin/bash
# test-courier.sh - from the outbox to the targets, over a real PostgreSQL and Redis: each way that
# a target can fail beside one that is good, order, commands, and whoever is killed meanwhile.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
# shellcheck source=tests/lib/outbox.sh
. "$here/../lib/outbox.sh"
store_begin courier redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
check 'another does' sink_start far || test_end
sink_stop far
metrics=127.0.0.1:$(free_port)
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
printf 'whsec_%s\n' "$(printf '%s' 'a secret of the test, of 32 bytes' | base64)" >"$hooks/key"
chmod 600 "$hooks/key"

# webhook NAME [TIMEOUT [KEY: VALUE, ...]]: at its own path of the near sink.
webhook() { echo "  $1: { kind: webhook, url: \"${SINK_URL[near]}/$1\", ca_file: ca.pem, timeout: ${2:-20s}${3:+, $3} }"; }
signed() { webhook "$1" "${2:-20s}" "secret_file: ${3:-key}"; }
inventory() { # HOOK ...: those of the test, but these.
    printf '%s\n' 'inventory: 1' 'interval: 60s' 'sites: { a: {} }' 'probes: { p1: { site: a, address: 192.0.2.1 } }' 'hooks:'
    {
        for i in good later wrong gone bad huge garbled moved kill; do signed $i; done
        for i in hang trickle; do signed $i 60s; done
        signed slow 1s
        signed lost 20s missing
        echo "  refused: { kind: webhook, url: \"${SINK_URL[far]}/refused\", ca_file: ca.pem, secret_file: key }"
        echo "  stranger: { kind: webhook, url: \"${SINK_URL[near]}/stranger\", secret_file: key }"
        webhook beat 20s 'secret_file: key, heartbeat: 10s'
        for i in run fail; do echo "  $i: { kind: exec, command: $TEST_DIR/$i }"; done
        echo "  stay: { kind: exec, command: $TEST_DIR/stay, timeout: 1s }"
    } | grep -v "^  \\($*\\):"
}
inventory none >"$STORE_INVENTORY"
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
collector() { store_collector one "hook_folder: $hooks" "metrics: { listen: \"$metrics\" }"; }

collector

# --- What is good ---
put good 1 open
becomes 'what is in the outbox is delivered' 'open done 1' "$(rows good)"
check_equal 'it came to the target, once' '1 open' "$(told good)"
check 'the journal says who delivers' wait_for 20 grep -q 'delivers what is said to' "$TEST_DIR/one.log"
put good 2 open change change resolve
becomes 'what need not be said any more is not said' 'open done 1, change superseded 0, change superseded 0, resolve done 1' "$(rows good 2)"
put good 3 open remind change
becomes 'a reminder neither, behind which something newer waits' 'open done 1, remind superseded 0, change done 1' "$(rows good 3)"
check_equal 'in the order of the outbox' '1 open,2 open,2 resolve,3 open,3 change' "$(told good)"
becomes 'the hook is known to be good' 'good 0' "$(hook good)"
becomes 'a heartbeat is delivered' t "SELECT count(*) > 0 FROM plumbline_store.outbox WHERE hook = 'beat' AND action = 'heartbeat' AND state = 'done'"
check 'it says what works' grep -q 'Collector one, PostgreSQL and the outbox work' "$TEST_DIR/sink-near/record"

# --- Who hangs or trickles, beside one that is good ---
sink_control near '[{"path": "/hang", "hang": true}, {"path": "/trickle", "trickle": true}]'
for i in 1 2 3 4 5 6; do put hang "$i" open; done
put trickle 1 open
becomes 'one that hangs has four at once and no more' 4 "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'hang' AND tries = 1"
check 'they came there' wait_for 30 sink_has near 4 '.path == "/hang"'
for i in $(seq 20 39); do put good "$i" open resolve; done
becomes 'one that is good waits for neither' 40 "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'good' AND problem >= 20 AND state = 'done'"
check_equal 'they are still under way' 't	t' "$(sql "SELECT bool_and(state = 'waiting' AND last_error IS NULL) FILTER (WHERE hook = 'hang'),
    bool_and(state = 'waiting' AND last_error IS NULL) FILTER (WHERE hook = 'trickle') FROM plumbline_store.outbox")"

# --- Killed between sending and writing down ---
sink_control near '[{"path": "/hang", "hang": true}, {"path": "/trickle", "trickle": true}, {"path": "/kill", "hang": true}]'
put kill 1 open change
check 'it is with its target' wait_for 30 sink_has near 1 '.path == "/kill"'
stop one KILL 5
sink_control near '[]'
check_equal 'killed meanwhile: it waits, and is known to have been tried' 'open waiting 1, change waiting 0' "$(sql "$(rows kill)")"
collector
becomes 'whoever is next sends it again, and what follows' 'open done 2, change done 1' "$(rows kill)"
check_equal 'the target sees which is the same' '2' "$(sink_record near 'select(.path == "/kill") | .headers["webhook-id"]' | sort -u | wc -l)"
becomes 'what was lost with it is delivered too' 6 "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'hang' AND state = 'done'"

# --- Each failure has its treatment ---
sink_control near '[{"path": "/later", "status": 429, "retry_after": "3600"}, {"path": "/wrong", "status": 500, "times": 2}, {"path": "/slow", "hang": true},
    {"path": "/bad", "status": 400, "body": "{\"message\": \"label is too long\"}"}, {"path": "/gone", "status": 410},
    {"path": "/huge", "rubbish": "huge"}, {"path": "/garbled", "rubbish": "http", "times": 1}, {"path": "/moved", "status": 302, "headers": {"Location": "/elsewhere"}}]'
for i in later wrong slow bad gone huge garbled moved refused stranger lost; do put $i 1 open resolve; done
becomes '429: its hook waits as long as was asked for' 't	t' "SELECT not_before - last_error_at > interval '59 minutes', failures = 1 FROM plumbline_store.hook_state WHERE hook = 'later'"
check_equal 'it was tried once, what is behind it not at all' 'open waiting 1, resolve waiting 0' "$(sql "$(rows later)")"
becomes 'a time-out is a failure' 'failing' "SELECT state FROM plumbline_store.hook_state WHERE hook = 'slow'"
check 'that says so' eval '[[ $(sql "$(why slow)") == *"timed out"* ]]'
becomes '400: given up, and what would end it too' 'open dead 1, resolve superseded 0' "$(rows bad)"
check 'with what the target said' eval '[[ $(sql "$(why bad)") == *"label is too long"* ]]'
becomes '410: nothing more goes there, and nothing is lost' 'disabled' "SELECT state FROM plumbline_store.hook_state WHERE hook = 'gone'"
check_equal 'it waits' 'open waiting 1, resolve waiting 0' "$(sql "$(rows gone)")"
becomes 'megabytes in an answer are cut off' 'open done 1, resolve done 1' "$(rows huge)"
becomes '500: tried again soon' 'open done 3, resolve done 1' "$(rows wrong)"
becomes 'what is not HTTP at all is tried again' 'open done 2, resolve done 1' "$(rows garbled)"
check 'nothing is redirected' eval '! sink_has near 1 ".path == \"/elsewhere\""'
becomes 'a connection that is refused waits' 't' "SELECT state = 'failing' AND last_error ~* 'refused|connect' FROM plumbline_store.hook_state WHERE hook = 'refused'"
becomes 'a certificate that nobody knows is not trusted' 't' "SELECT last_error ~* 'certificate' FROM plumbline_store.hook_state WHERE hook = 'stranger'"
check_equal 'nothing was sent there' 0 "$(sink_count near '.path == "/stranger"')"
becomes 'a file that is missing is named' "$hooks/missing: No such file or directory" "$(why lost)"
check_equal 'that was no try' 'open waiting 0, resolve waiting 0' "$(sql "$(rows lost)")"

# --- What the operator does about it ---
# Before the file is there: later it could meet what is on its way by then, and count no try of it.
kick lost
cp "$hooks/key" "$hooks/missing"
sink_control near '[]'
for i in later bad gone slow; do kick $i; done
becomes 'a file that is there again is read' 'open done 1, resolve done 1' "$(rows lost)"
becomes 'what waited long goes' 'open done 1, resolve done 1' "$(rows later)"
becomes 'what wanted nothing is told all of it' 'open done 1, resolve done 1' "$(rows gone)"
becomes 'what was dead goes, and what would end it after it' 'open done 1, resolve done 1' "$(rows bad)"
check_equal 'in order' '1 open,1 open,1 resolve' "$(told bad)"
becomes 'the hook that hung is good again' 'good 0' "$(hook slow)"

# --- A hook that failed for hours, and something new ---
sink_control near '[{"path": "/later", "status": 503}]'
put later 2 open
becomes 'it fails again' failing "SELECT state FROM plumbline_store.hook_state WHERE hook = 'later'"
sink_control near '[]'
sql "UPDATE plumbline_store.hook_state SET failures = 8, not_before = now() + interval '2 hours', last_error_at = now() - interval '6 minutes' WHERE hook = 'later'"
stop one TERM 20
collector
check 'who waits for hours waits' wait_for 20 eval '(($(grep -c "delivers what is said to" "$TEST_DIR/one.log") >= 3))'
put later 3 open
becomes 'what is new is not told hours later, nor what was there before' 'open done 1' "$(rows later 3)"
check_equal 'in order' '2 open,2 open,3 open' "$(told later | tr , '\n' | grep -v ^1 | paste -sd,)"

# --- Dead for long, then back ---
for i in 2 3 4 5 6 7 8 9; do put refused $i open; done
for i in 2 3 4 5; do put refused $i change; done
for i in 1 2 3; do
    sql "UPDATE plumbline_store.hook_state SET not_before = now() WHERE hook = 'refused'; NOTIFY plumbline_outbox"
    becomes "a probe, number $((i + 1)) or later" t "SELECT failures > $i FROM plumbline_store.hook_state WHERE hook = 'refused'"
done
check_equal 'one row probes, the others are not tried' '1	t' "$(sql "SELECT count(DISTINCT problem), sum(tries) > 3 FROM plumbline_store.outbox WHERE hook = 'refused' AND tries > 0")"
for i in 2 3 4; do put refused $i resolve; done
check 'the target is back' sink_start far
sql "UPDATE plumbline_store.hook_state SET not_before = now() WHERE hook = 'refused'; NOTIFY plumbline_outbox"
becomes 'then all of it goes, and nothing is lost' '' "SELECT string_agg(action || ' ' || state, ',') FROM plumbline_store.outbox WHERE hook = 'refused' AND state NOT IN ('done', 'superseded')"
check_equal 'each once, in order' '1 open,1 resolve,2 open,2 resolve,3 open,3 resolve,4 open,4 resolve,5 open,5 change,6 open,7 open,8 open,9 open' \
    "$(told refused far | tr , '\n' | sort -s -n -k 1,1 | paste -sd,)"

# --- Commands ---
cat >"$TEST_DIR/run" <<'END'
#!/bin/sh
cat >>"$(dirname "$0")/heard"
env | sort >"$(dirname "$0")/environment"
END
cat >"$TEST_DIR/fail" <<'END'
#!/bin/sh
echo 'no modem answers' >&2
exit 3
END
cat >"$TEST_DIR/stay" <<'END'
#!/bin/sh
trap '' TERM
sleep 3000 &
echo $! >>"$(dirname "$0")/sleeping"
sleep 3001
END
chmod 755 "$TEST_DIR/run" "$TEST_DIR/fail" "$TEST_DIR/stay"
chmod 777 "$TEST_DIR"
put run 1 open
put fail 1 open
put stay 1 open
becomes 'a command that is good is done' 'open done 1' "$(rows run)"
check_equal 'it was given the event' 'link l1 is cut' "$(jq -r .title "$TEST_DIR/heard")"
check 'and of our environment nothing' eval "! grep -qE '^(HOME|USER|PLUMBLINE_BUILD|PLUMBLINE_SQLDIR|TEST_)' '$TEST_DIR/environment' && grep -q ^PATH= '$TEST_DIR/environment'"
becomes 'one that fails is tried again' failing "SELECT state FROM plumbline_store.hook_state WHERE hook = 'fail'"
check 'with what it said' eval '[[ $(sql "$(why fail)") == *"no modem answers"* ]]'
becomes 'one that hangs is ended' failing "SELECT state FROM plumbline_store.hook_state WHERE hook = 'stay'"
check 'with what it began' wait_for 20 eval '[[ $(ps -o stat= -p "$(head -n 1 "$TEST_DIR/sleeping")") =~ ^(Z|$) ]]'
check_equal 'nobody is left behind unburied' '' "$(ps -o stat=,comm= --ppid "${TEST_PID[one]}" | grep ^Z)"

# --- What this collector shows ---
page() { curl -s "http://$metrics/metrics"; }
shows() { page | grep -qE "^plumbline_collector_$1$"; }
check 'who delivers' wait_for 20 shows 'courier_active 1'
check 'what was delivered' shows 'courier_delivered_total [1-9][0-9]*'
check 'what waits for a hook' wait_for 20 shows 'hook_waiting\{hook="fail"\} 1'
check 'which fails' shows 'hook_failing\{hook="fail"\} 1'
check 'and which does not' shows 'hook_failing\{hook="good"\} 0'

# --- What is new, and what was there before ---
put good 60 open
becomes 'one that opens' 'open done 1' "$(rows good 60)"
sink_control near '[{"path": "/good", "delay": 2, "status": 503, "retry_after": "3600"}]'
put good 60 change
becomes 'a change is under way' 1 "SELECT sum(tries) FROM plumbline_store.outbox WHERE hook = 'good' AND problem = 60 AND action = 'change'"
put good 60 change
becomes 'when it fails, what is newer says more' 'open done 1, change superseded 1, change waiting 0' "$(rows good 60)"
stop one TERM 20
put good 61 open change change resolve
sql "DELETE FROM plumbline_store.outbox_news"
sink_control near '[]'
kick good
collector
becomes 'whoever begins looks at all that waits, as of a release before' 'open done 1, change superseded 0, change superseded 0, resolve done 1' "$(rows good 61)"
becomes 'the newer change is told' 'open done 1, change superseded 1, change done 1' "$(rows good 60)"
becomes 'what was looked at is no news any more' 0 "SELECT count(*) FROM plumbline_store.outbox_news"

# --- Another inventory ---
sql "UPDATE plumbline_store.outbox SET created_at = now() - interval '11 minutes' WHERE hook IN ('fail', 'stranger')"
inventory 'fail' >"$STORE_INVENTORY"
kill -HUP "${TEST_PID[one]}"
becomes 'what is for a hook that is gone is not said' superseded "SELECT state FROM plumbline_store.outbox WHERE hook = 'fail'"
check_equal 'with the reason' 'its hook is not in the inventory' "$(sql "$(why fail)")"
check_equal 'what is for the others waits' 'waiting' "$(sql "SELECT DISTINCT state FROM plumbline_store.outbox WHERE hook = 'stranger'")"
put good 50 open
becomes 'they go on' 'open done 1' "$(rows good 50)"
check 'it stops when it is told to' stop one TERM 20
test_end
