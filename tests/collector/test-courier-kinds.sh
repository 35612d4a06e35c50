#!/bin/bash
# test-courier-kinds.sh - from the outbox to mail, ServiceNow and Alertmanager: what the courier does
# for them beside a request and an answer, and the operator's test of a hook.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
# shellcheck source=tests/lib/outbox.sh
. "$here/../lib/outbox.sh"
store_begin courier-kinds redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
check 'another does' sink_start far || test_end
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
echo 'plumbline:a password of the test' >"$hooks/auth"
chmod 644 "$hooks/auth"

cat >"$STORE_INVENTORY" <<END
inventory: 1
interval: 60s
sites: { a: {} }
probes: { p1: { site: a, address: 192.0.2.1 } }
hooks:
  mail:  { kind: mail, url: "smtp://127.0.0.1:${SINK_SMTP[near]}", to: [noc@example.net, gone@example.net], from: plumbline@example.net, auth_file: auth, ca_file: ca.pem, timeout: 20s }
  mails: { kind: mail, url: "smtps://127.0.0.1:${SINK_SMTPS[near]}", to: [noc@example.net], from: plumbline@example.net, ca_file: ca.pem, timeout: 20s }
  snow:  { kind: servicenow-incident, url: "${SINK_URL[near]}", auth_file: auth, ca_file: ca.pem, timeout: 20s }
  am:    { kind: alertmanager, url: "${SINK_URL[near]}", peers: ["${SINK_URL[far]}"], ca_file: ca.pem, timeout: 20s }
  other: { kind: alertmanager, url: "https://localhost:${SINK_HTTPS[near]}", ca_file: ca.pem, timeout: 20s }
  gone:  { kind: exec, command: $TEST_DIR/gone }
END
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
plumbline apply --yes >/dev/null 2>&1
collector() { store_collector one "hook_folder: $hooks"; }
collector
alerts() { # SINK: how often the alert of problem 1 came, and how it ends.
    sink_record "$1" 'select(.path == "/api/v2/alerts") | .body | fromjson | .[] | select(.labels.plumbline_id == "test-1") | .endsAt'
}

# --- Mail ---
sink_control near '[{"method": "MAIL", "door": "smtp", "stage": "rcpt", "status": 250}]'
put mail 1 open
becomes 'a mail is delivered' 'open done 1' "$(rows mail)"
check_equal 'from, to, by whom, and not in clear' '<plumbline@example.net>	<noc@example.net>,<gone@example.net>	plumbline:a password of the test	true' \
    "$(sink_record near 'select(.door == "smtp") | [.from, (.to | join(",")), .auth, (.tls | tostring)] | @tsv')"
check 'a secret that everybody may read is told once' wait_for 20 grep -q 'everybody may read .*/auth' "$TEST_DIR/one.log"
put mails 1 open
becomes 'over TLS from the first octet too' 'open done 1' "$(rows mails)"
sink_control near '[{"method": "MAIL", "door": "smtps", "stage": "rcpt", "status": 550}]'
put mails 2 open
becomes 'whom nobody knows is not tried again' 'open dead 1' "$(rows mails 2)"
sink_control near '[{"method": "MAIL", "door": "smtps", "stage": "end", "status": 451}]'
put mails 3 open
becomes 'what cannot be taken now is' 't' "SELECT state = 'waiting' AND tries > 0 AND last_error LIKE '%451%' FROM plumbline_store.outbox WHERE hook = 'mails' AND problem = 3"
sink_control near '[]'
kick mails
becomes 'later' done "SELECT state FROM plumbline_store.outbox WHERE hook = 'mails' AND problem = 3"

# --- ServiceNow: killed when the ticket was made and nobody knew it ---
sink_control near '[{"path": "/api/now/table/incident", "method": "POST", "after": true, "hang": true}]'
put snow 1 open change resolve
check 'a ticket is being made' wait_for 30 sink_has near 1 '.method == "POST" and .path == "/api/now/table/incident"'
stop one KILL 5
sink_control near '[]'
collector
becomes 'whoever is next goes on' 'open done 2, change superseded 0, resolve done 1' "$(rows snow)"
check_equal 'it was asked first: one ticket' 1 "$(sink_tickets near .number | wc -l)"
check_equal 'which is known, and where it is' "$(sink_tickets near '[.sys_id, .number] | @tsv')	t" \
    "$(sql "SELECT ref, shown, url LIKE '${SINK_URL[near]}/%' FROM plumbline_store.ticket WHERE hook = 'snow' AND problem = 1")"
put snow 2 open
becomes 'a second has its own' 'open done 1' "$(rows snow 2)"
sink_state near "$(sink_tickets near .number | tail -n 1)" 7
put snow 2 change
becomes 'somebody closed that: there is a new one' $'1\tclosed\n2\topen' "SELECT number, state FROM plumbline_store.ticket WHERE hook = 'snow' AND problem = 2 ORDER BY number"
check_equal 'in the place of the old' 3 "$(sink_tickets near .number | wc -l)"

# --- Alertmanager: told again while it is open, each member ---
put am 1 open
becomes 'an alert is told' 'open done 1' "$(rows am)"
becomes 'it is to be told again in a minute' t "SELECT again_at - now() BETWEEN '0 s' AND '1 min' FROM plumbline_store.ticket WHERE hook = 'am'"
check 'each member has it' eval '[[ $(alerts near | wc -l) -eq 1 && $(alerts far | wc -l) -eq 1 ]]'
again() { sql "UPDATE plumbline_store.ticket SET again_at = now() WHERE hook = '$1' AND again_at IS NOT NULL; NOTIFY plumbline_outbox"; }
again am
check 'it is told again' wait_for 30 eval '[[ $(alerts near | wc -l) -ge 2 && $(alerts far | wc -l) -ge 2 ]]'
check 'with another end' eval '[[ $(alerts near | sort -u | wc -l) -ge 2 ]]'
sink_control far '[{"path": "/", "hang": true}]'
again am
check 'a member hangs while it is told again' wait_for 30 sink_has far 3 '.path == "/api/v2/alerts"'
put am 1 resolve
put other 2 open
becomes 'another hook does not wait for it' 'open done 1' "$(rows other)"
check_equal 'what ends it does, and does not overtake' 'open done 1, resolve waiting 0' "$(sql "$(rows am)")"
sink_control far '[]'
becomes 'then it ends' 'open done 1, resolve done 1' "$(rows am)"
becomes 'and is not told again' t "SELECT again_at IS NULL FROM plumbline_store.ticket WHERE hook = 'am'"
again am
count=$(alerts near | wc -l)
put other 3 open
becomes 'others are told' 'open done 1' "$(rows other 3)"
check_equal 'that one is not' "$count" "$(alerts near | wc -l)"

# --- The operator's test ---
check 'a test arrives' plumbline hooks test mails --timeout 60s
check 'one that does not says why' eval '! plumbline hooks test gone --timeout 60s >"$TEST_DIR/out" 2>&1 && grep -q "No such file" "$TEST_DIR/out"'
check 'what waits for a hook is listed' eval 'plumbline hooks | grep -E "^gone .*failing"'
check 'it stops when it is told to' stop one TERM 20
test_end
