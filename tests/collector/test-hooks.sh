#!/bin/bash
# test-hooks.sh - each kind of hook, end to end: a problem's life from the outbox, by the real
# collector over HTTPS, SMTP and a command, to targets that keep what they are told.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
# shellcheck source=tests/lib/sink.sh
. "$here/../lib/sink.sh"
store_begin hooks redis-server redis-cli python3 openssl curl jq

check 'the sink listens' sink_start near || test_end
hooks=$TEST_DIR/hooks
mkdir "$hooks"
cp "$SINK_CA" "$hooks/ca.pem"
cp "$STORE_TOP"/dist/hooks/*.json "$hooks"
secret=$(printf '%s' 'a secret of the test, of 32 bytes' | base64)
printf 'whsec_%s\n' "$secret" >"$hooks/key"
printf 'plumbline:a password\n' >"$hooks/password"
printf 'Authorization: Bearer abc\n' >"$hooks/bearer"
printf 'R0UT1NGKEY\n' >"$hooks/routing"
chmod 600 "$hooks"/{key,password,bearer,routing}
cat >"$TEST_DIR/command" <<END
#!/bin/sh
{ echo "\$PLUMBLINE_ID \$PLUMBLINE_ACTION \$PLUMBLINE_SEVERITY \$PLUMBLINE_KEY"; cat; echo; } >>"$TEST_DIR/command.out"
END
chmod 755 "$TEST_DIR/command"

near=${SINK_URL[near]}
cat >"$STORE_INVENTORY" <<END
inventory: 1
interval: 60s
sites: { a: {} }
probes: { p1: { site: a, address: 192.0.2.1 } }
hooks:
  web:   { kind: webhook, url: "$near/web", ca_file: ca.pem, secret_file: key, timeout: 20s, fields: { team: noc } }
  slack: { kind: webhook, url: "$near/slack", ca_file: ca.pem, template: slack.json, timeout: 20s }
  jira:  { kind: webhook, url: "$near/jira", ca_file: ca.pem, template: jira.json, auth_file: bearer, timeout: 20s,
           fields: { project: OPS, issuetype: Incident, done: "31" } }
  now:   { kind: servicenow-incident, url: "$near", ca_file: ca.pem, auth_file: password, timeout: 20s,
           fields: { assignment_group: NOC-L1 } }
  event: { kind: servicenow-event, url: "$near", ca_file: ca.pem, auth_file: password, timeout: 20s }
  duty:  { kind: pagerduty, url: "$near/duty", ca_file: ca.pem, auth_file: routing, timeout: 20s }
  am:    { kind: alertmanager, url: "$near/am1", peers: ["$near/am2"], ca_file: ca.pem, timeout: 20s, fields: { team: noc } }
  mail:  { kind: mail, url: "smtps://127.0.0.1:${SINK_SMTPS[near]}", ca_file: ca.pem, auth_file: password, timeout: 20s,
           from: plumbline@example.net, to: [noc@example.net, ops@example.net] }
  run:   { kind: exec, command: $TEST_DIR/command }
END
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY"
store_collector one "hook_folder: $hooks"

all="web slack jira now event duty am mail run"

# put ACTION REVISION SEVERITY [MEMBERS]: to all hooks, or to those in $all.
put() {
    local hook event
    event=$(jq -n --arg action "$1" --argjson revision "$2" --arg severity "$3" --argjson more "${4:-{\}}" '
        {id: "a1b2c3d4-17", number: 17, revision: $revision, installation: "a1b2c3d4", action: $action,
         at: "2026-11-22T03:14:15.123Z", state: (if $action == "resolve" then "ended" else "open" end), severity: $severity,
         what: "loss", title: "risk duct-calais: 2 of 2 links \"cut\" – déjà", text: "Both links lose all.\nSince 03:14.",
         rules: ["cut"], cause: {kind: "risk", key: "duct-calais", label: "Calais", text: "all went"},
         began: "2026-11-22T03:14:10Z", ended: (if $action == "resolve" then "2026-11-22T03:19:00Z" else null end),
         links: [{key: "par1-lon1-a", label: "A\r\nBcc: x@y", labels: {carrier: "colt"}, bad: true, text: "100% lost"}],
         services: [], tenants: [], counts: {links: 1}, evidence: [], changes: [], acknowledged: null} + $more')
    for hook in $all; do
        sql "INSERT INTO plumbline_store.outbox (hook, problem, action, event) VALUES ('$hook', 17, '$1', \$event\$$event\$event\$);
             NOTIFY plumbline_outbox"
    done
}
# done_all NUMBER: each hook has delivered so many.
done_all() {
    [[ $(sql "SELECT count(*) FROM plumbline_store.outbox WHERE state = 'done'") == "$1" ]]
}
delivered() { # SENTENCE NUMBER
    check "$1" wait_for 30 done_all "$2" || sql "SELECT hook, action, state, tries, last_error FROM plumbline_store.outbox WHERE state <> 'done'" >&2
}
# at PATH FILTER: of the bodies at the path, in order.
# What an Alertmanager is told again each minute is left out.
at() { sink_record near "select(.path == \"$1\") | .body | fromjson | $2" | uniq | paste -sd' '; }
ticket() { sql "SELECT string_agg(number || ' ' || shown || ' ' || state, ', ' ORDER BY number) FROM plumbline_store.ticket WHERE hook = '$1'"; }

# --- A problem's life ---
put open 1 major
delivered 'a problem that opens is told to every kind' 9
put change 2 critical '{"changes": ["it got worse"]}'
delivered 'so is that it changed' 18
put resolve 3 critical
delivered 'and that it is over' 27

# --- Webhook ---
check_equal 'a webhook is a CloudEvent' '1.0 plumbline.problem.open a1b2c3d4-17 /plumbline/a1b2c3d4 noc' \
    "$(sink_record near 'select(.path == "/web") | .body | fromjson | "\(.specversion) \(.type) \(.subject) \(.source) \(.data.fields.team)"' | head -n 1)"
check_equal 'each action has a type' 'plumbline.problem.open plumbline.problem.change plumbline.problem.resolve' "$(at /web .type)"
# As a receiver would check it (doc/problems.md).
verify() {
    local id time signature key
    id=$(sink_record near 'select(.path == "/web") | .headers["webhook-id"]' | head -n 1)
    time=$(sink_record near 'select(.path == "/web") | .headers["webhook-timestamp"]' | head -n 1)
    signature=$(sink_record near 'select(.path == "/web") | .headers["webhook-signature"]' | head -n 1)
    key=$(printf '%s' "$secret" | base64 -d | od -An -v -tx1 | tr -d ' \n')
    [[ $signature == "v1,$({
        printf '%s.%s.' "$id" "$time"
        sink_record near 'select(.path == "/web") | .body' | head -n 1 | tr -d '\n'
    } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)" ]]
}
check 'its signature is right' verify
check_equal 'its content type says so' 'application/cloudevents+json; charset=utf-8' \
    "$(sink_record near 'select(.path == "/web") | .headers["content-type"]' | head -n 1)"

# --- Templates ---
check_equal 'Slack is sent text' '[major] risk duct-calais: 2 of 2 links "cut" – déjà' "$(sink_record near 'select(.path == "/slack") | .body | fromjson | .text' | head -n 1)"
check_equal 'Jira is asked first, then has one issue, a comment and a transition' \
    'GET /jira/rest/api/2/search,POST /jira/rest/api/2/issue,GET /jira/rest/api/2/search,POST /jira/rest/api/2/issue/OPS-1/comment,GET /jira/rest/api/2/search,POST /jira/rest/api/2/issue/OPS-1/transitions' \
    "$(sink_record near 'select(.path | startswith("/jira")) | "\(.method) \(.path)"' | paste -sd,)"
check_equal 'by its token' 'Bearer abc' "$(sink_record near 'select(.path | startswith("/jira")) | .headers.authorization' | sort -u)"
check_equal 'the issue is of its project' 'OPS plumbline-a1b2c3d4-17' "$(at /jira/rest/api/2/issue '.fields | "\(.project.key) \(.labels[1])"')"
check_equal 'its key is kept' 'OPS-1' "$(sql "SELECT shown FROM plumbline_store.ticket WHERE hook = 'jira'")"

# --- ServiceNow ---
check_equal 'an incident is asked for, made, and patched' 'GET POST GET PATCH GET PATCH' \
    "$(sink_record near 'select(.path | startswith("/api/now/table/incident")) | .method' | paste -sd' ')"
check_equal 'there is one, and it is resolved' '6 a1b2c3d4-17 NOC-L1' "$(sink_tickets near '"\(.state) \(.correlation_id) \(.assignment_group)"')"
check_equal 'its number is kept' INC0010001 "$(sql "SELECT shown FROM plumbline_store.ticket WHERE hook = 'now'")"
check_equal 'events have severities, and are cleared' '2 1 0' "$(at /api/now/table/em_event .severity)"
check_equal 'and the same key' 'a1b2c3d4-17' "$(sink_record near 'select(.path == "/api/now/table/em_event") | .body | fromjson | .message_key' | sort -u)"

# --- PagerDuty, Alertmanager ---
check_equal 'PagerDuty is triggered and resolved' 'trigger resolve' "$(at /duty/v2/enqueue .event_action)"
check_equal 'by its routing key, with its severities' 'R0UT1NGKEY/error R0UT1NGKEY/critical R0UT1NGKEY/null' "$(at /duty/v2/enqueue '"\(.routing_key)/\(.payload.severity)"')"
for member in am1 am2; do
    check_equal "$member: the alert is ended as it was and begun anew when it is worse" 'major major,critical critical' \
        "$(at /$member/api/v2/alerts '[.[].labels.severity] | join(",")')"
done
check_equal 'what is open ends later, what is over has ended' 'true false' \
    "$(at /am1/api/v2/alerts '.[-1] | .endsAt > "2026-11-22T03:19:00.000Z"')"

# --- Mail, exec ---
check_equal 'mails go to all, by password and TLS' 'plumbline:a password true <noc@example.net> <ops@example.net>' \
    "$(sink_record near 'select(.door == "smtps") | "\(.auth) \(.tls) \(.to | join(" "))"' | sort -u)"
mail() { sink_record near 'select(.door == "smtps") | .body' | tr -d '\r'; }
check_equal 'the first is the root of the others' '<a1b2c3d4-17@example.net> 2' "$(mail | sed -n 's/^References: //p' | sort | uniq -c | awk '{ print $2, $1 }')"
check_equal 'no label is a header' 0 "$(mail | grep -c '^Bcc')"
mail_subject() {
    mail | python3 -c 'import email, email.policy, sys
print(email.message_from_string(sys.stdin.read(), policy=email.policy.default)["subject"])'
}
check_equal 'others read its subject' '[major] risk duct-calais: 2 of 2 links "cut" – déjà' "$(mail_subject)"
check_equal 'a command has its variables' 'a1b2c3d4-17 open major a1b2c3d4-17-1-open-20261122031415123' "$(head -n 1 "$TEST_DIR/command.out")"
check_equal 'and reads the event' 'open change resolve' "$(grep '^{' "$TEST_DIR/command.out" | jq -r .action | paste -sd' ')"

# --- A ticket that people closed ---
all=now
sink_state near INC0010001 7
put open 4 critical
delivered 'a problem that is back after people closed its ticket' 28
check_equal 'has another' '7,1' "$(sink_tickets near .state | paste -sd,)"
check 'that names the first' grep -q '^Follows INC0010001, which was closed' <<<"$(sink_tickets near .description)"

# --- Answers that are lost, and rubbish ---
sink_control near '[{"path": "/api/now/table/incident", "method": "POST", "times": 1, "after": true, "drop": true}]'
sink_state near INC0010002 8
put change 5 critical
failed_once() { [[ $(sql "SELECT count(*) FROM plumbline_store.outbox WHERE hook = 'now' AND state = 'waiting' AND tries > 0") == 1 ]]; }
check 'an incident is made of which the answer is lost' wait_for 30 failed_once
kick() {
    sql "UPDATE plumbline_store.hook_state SET state = 'good', failures = 0, not_before = NULL WHERE hook = '$1';
        UPDATE plumbline_store.outbox SET next_try = now() WHERE hook = '$1' AND state = 'waiting'; NOTIFY plumbline_outbox"
}
kick now
delivered 'it is found' 29
check_equal 'and no other made' '7,8,1' "$(sink_tickets near .state | paste -sd,)"
for rubbish in html nul huge binary; do
    sink_control near "[{\"path\": \"/api/now/table/incident\", \"rubbish\": \"$rubbish\"}]"
    put remind 6 critical
    check "an answer of rubbish ($rubbish) is no ticket" wait_for 30 failed_once
    sql "UPDATE plumbline_store.outbox SET state = 'superseded', ended_at = now() WHERE state = 'waiting'"
    kick now
done
check 'the collector lives' alive one
sink_control near
put resolve 7 critical
delivered 'what was told last is resolved' 30
check_equal 'all are closed' '7,8,6' "$(sink_tickets near .state | paste -sd,)"
test_end
