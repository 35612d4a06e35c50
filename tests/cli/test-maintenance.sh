#!/bin/bash
# shellcheck disable=SC2317
# test-maintenance.sh - `plumbline maintenance` and `plumbline exclude` over a real
# PostgreSQL: revisions, when something was announced, what is refused, calendars, the
# judge's inbox.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD top=$STORE_TOP
store_begin maintenance python3

# json PYTHON: of the object that was printed, o.
json() { python3 -c "import json,sys; o=json.load(open('$TEST_DIR/out')); print($1)"; }
revisions() { sql 'SELECT count(*) FROM plumbline_store.maintenance'; }
# good SENTENCE ARG ...: done, with status 0.
good() {
    local sentence=$1
    shift
    does "$@"
    check_equal "$sentence: status" 0 "$status" || cat "$TEST_DIR/err" >&2
}
# refused SENTENCE PATTERN ARG ...: with status 2 and that, and nothing is written.
refused() {
    local sentence=$1 pattern=$2 before
    shift 2
    before=$(revisions)
    does "$@"
    check_equal "$sentence: status" 2 "$status"
    check "$sentence: told" says err "$pattern"
    check_equal "$sentence: nothing is written" "$before" "$(revisions)"
}
# sql_refused SENTENCE PATTERN SQL
sql_refused() { check "$1" grep -qE "$2" <<<"$(sql "$3" 2>&1)"; }
# inbox: what the judge was told since the last time.
inbox() { sql "DELETE FROM plumbline_store.rejudge RETURNING kind, key, to_char(from_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), why" | sort; }
# ics NAME LINE ...: a calendar of one event in TEST_DIR/NAME.ics; LINEs as printf has them.
ics() {
    local name=$1
    shift
    {
        printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 PRODID:-//Colt//EN BEGIN:VEVENT
        printf '%b\r\n' "$@"
        printf '%s\r\n' END:VEVENT END:VCALENDAR
    } >"$TEST_DIR/$name.ics"
}

# More groups: of which one, two, all are needed.
python3 - "$top/tests/fixtures/inventory-example.yaml" "$TEST_DIR/net.yaml" <<'END'
import sys
text = open(sys.argv[1]).read()
text = text.replace("groups:                         #", """groups:
  all-three: { need: 2, members: [par1-ams1, lon1-ams1, par1-lon1-a] }
  any-three: { need: 1, members: [par1-ams1, lon1-ams1, par1-lon1-b] }
  all-two: { need: 2, members: [lon1-ams1, par1-lon1-a] }
  #""", 1)
open(sys.argv[2], "w").write(text)
END
STORE_INVENTORY=$TEST_DIR/net.yaml
store_servers

does maintenance list
check_equal 'without a schema: status' 3 "$status"
check 'without a schema: migrate is named' says err 'run .plumbline migrate.'
good 'the schema' migrate
does maintenance add --start now --end +1h par1-lon1-a
check 'without an inventory: apply is named' says err '.plumbline apply. first'
good 'the inventory' apply --yes "$TEST_DIR/net.yaml"
inbox >/dev/null

# --- A window, and what becomes of it ---
good 'a window' maintenance add --start 2099-12-01T22:00:00Z --end +4h --label 'new line card' --author ann --json par1-lon1-a
check_equal 'a window: what was recorded' '1 1 planned new line card ann 2099-12-01T22:00:00+00:00 2099-12-02T02:00:00+00:00 True True outage' \
    "$(json "' '.join(str(o['maintenance'][0][k]) for k in ['id','revision','state','label','author','start_at','end_at','suppress_alerts','exclude_from_sla','impact'])")"
check_equal 'announced is when it was recorded' 't	t' \
    "$(sql "SELECT announced_at = written_at, now() - announced_at BETWEEN interval '0' AND interval '10 minutes' FROM plumbline.v_maintenance")"
check_equal 'who logged in is recorded' postgres "$(sql 'SELECT written_by FROM plumbline.v_maintenance')"
check_equal 'the judge is told' 'link	par1-lon1-a	12-01 22:00	maintenance 1 was added, revision 1' "$(inbox)"
# From here on, what is recorded is some days older: a clock for the test, not for people.
older() {
    sql "SET session_replication_role = replica; UPDATE plumbline_store.maintenance_object SET announced_at = announced_at - interval '10 days';
        UPDATE plumbline_store.maintenance SET written_at = written_at - interval '10 days'"
}
older
announced() { sql "SELECT max(round(extract(epoch FROM now() - announced_at) / 86400)) FROM plumbline.v_maintenance WHERE id = $1"; }
check_equal 'it was announced ten days ago' 10 "$(announced 1)"
good 'shorter' maintenance move --end 2099-12-02T01:00:00Z --reason 'less work' 1
check_equal 'what lies in the time that was announced, was announced' 10 "$(announced 1)"
check_equal 'the judge is told from the start on' 'link	par1-lon1-a	12-01 22:00	maintenance 1 was moved, revision 2' "$(inbox)"
good 'longer by a second' maintenance move --end 2099-12-02T01:00:01Z 1
check_equal 'longer is announced anew' 0 "$(announced 1)"
older
good 'later, and as long' maintenance move --start 2099-12-01T22:00:01Z --end 2099-12-02T01:00:02Z 1
check_equal 'later, and as long is announced anew' 0 "$(announced 1)"
older
good 'earlier' maintenance move --start 2099-12-01T21:59:59Z 1
check_equal 'earlier is announced anew' 0 "$(announced 1)"
inbox >/dev/null
good 'much later' maintenance move --start 2099-12-03T00:00:00Z --end +2h 1
check_equal 'the judge is told from the earlier of both starts on' 'link	par1-lon1-a	12-01 21:59	maintenance 1 was moved, revision 6' "$(inbox)"
good 'back to the first' maintenance move --start 2099-12-01T22:00:00Z --end 2099-12-02T02:00:00Z 1
refused 'no end before the start' 'it ends .* before it begins' maintenance add --start 2099-12-01T22:00:00Z --end 2099-12-01T22:00:00Z par1-lon1-a
refused 'no end moved before the start' 'ends before it begins' maintenance move --end 2099-12-01T22:00:00Z 1
refused 'a time without a zone' "--start '2099-12-01T22:00:00': expected a time with its zone" maintenance add --start 2099-12-01T22:00:00 --end +1h par1-lon1-a
refused 'a name that is near' "there is no .*'par1-lon1-aa'; did you mean 'par1-lon1-a'" maintenance add --start now --end +1h par1-lon1-aa
refused 'a kind that it has not' "there is no .*'group:par1-lon1-a'; did you mean 'par1-lon1'" maintenance add --start now --end +1h group:par1-lon1-a
refused 'no such tenant' "there is no tenant 'acne'" maintenance add --tenant acne --start now --end +1h par1-ams1
refused 'no such window' 'there is no maintenance 99' maintenance cancel 99
refused 'no object' 'at least one object' maintenance add --start now --end +1h
refused 'an impact that there is not' 'expected outage, degraded' maintenance add --impact bad --start now --end +1h par1-ams1

# --- Members of a group ---
clash="group 'par1-lon1' needs 1 of its 2 members, and from 2099-12-02T01:59:59Z on these windows leave 0: 1 \(par1-lon1-a\), [0-9]+ \(par1-lon1-b\)"
refused 'the second of two' "$clash" maintenance add --start 2099-12-02T01:59:59Z --end +1h par1-lon1-b
good 'one second later' maintenance add --start 2099-12-02T02:00:00Z --end +1h par1-lon1-b
refused 'moved into one another' 'leave 0: 1 \(par1-lon1-a\), 2 \(par1-lon1-b\)' maintenance move --end 2099-12-02T02:00:01Z 1
refused 'both in one window' "'par1-lon1' needs 1" maintenance add --start 2099-11-01T00:00:00Z --end +1h par1-lon1-a par1-lon1-b
good 'that nobody feels' maintenance add --impact reduced --no-suppress --start 2099-12-02T00:00:00Z --end +1h par1-lon1-b
check 'and that may ring' says out ' excluded +raised '
good 'the group itself' maintenance add --start 2099-11-01T00:00:00Z --end +1h par1-lon1 par1-lon1-a par1-lon1-b
good 'two of three, of which one is needed less' maintenance add --start 2099-10-01T00:00:00Z --end +1h par1-ams1
refused 'the second of three, of which two are needed' "'all-three' needs 2 of its 3 members, .* leave 1: 5 \(par1-ams1\), [0-9]+ \(lon1-ams1\)" \
    maintenance add --start 2099-10-01T00:59:59Z --end +1h lon1-ams1
good 'and recorded, if that is meant' maintenance add --override 'agreed in CAB-12' --start 2099-10-01T00:59:59Z --end +1h lon1-ams1
check_equal 'with the reason' 'agreed in CAB-12' "$(sql 'SELECT override FROM plumbline.v_maintenance WHERE id = 6')"
refused "a connector's attachments, one after the other" "connector 'acme-azure' needs 1 of its 2" \
    maintenance add --start 2099-09-01T00:00:00Z --end +1h acme-azure.primary acme-azure.secondary
good 'the connector itself' maintenance add --start 2099-09-01T00:00:00Z --end +1h acme-azure
good 'a router, and what is on it' maintenance add --start 2099-08-01T00:00:00Z --end +1h --json lon1-pe2
check_equal 'as links and attachments' 'attachment acme-azure.secondary,link lon1-ams1,link par1-lon1-b' \
    "$(json "','.join(x['kind'] + ' ' + x['key'] for x in o['maintenance'][0]['objects'])")"
check_equal 'and how they were named' 'router lon1-pe2' "$(json "o['maintenance'][0]['objects'][1]['via']")"
good 'a risk' maintenance add --start 2099-07-01T00:00:00Z --end +1h --json risk:duct-calais
check_equal 'of links' par1-lon1-a "$(json "o['maintenance'][0]['objects'][0]['key']")"
good 'two of three, of which one is needed' maintenance add --start 2099-10-01T00:00:00Z --end +30m par1-lon1-b
good 'without impact' maintenance add --impact none --start 2099-10-01T00:00:00Z --end +1h par1-lon1-a
check 'without impact: silences and excludes nothing' says out ' counts +raised '

# --- Notice ---
soon() { date -u -d "+$1" +%Y-%m-%dT%H:%M:%SZ; }
good 'six days ahead' maintenance add --start "$(soon '6 days 23 hours')" --end +1h par1-lon1-b
check 'six days ahead is too late' says out '6d 2[23]h +too late +silent\b'
check 'and for whom' says out "^too late for acme-hq-azure, which counts it: SLA premium asks for a notice of 7d$"
good 'cancelled again' maintenance cancel "$(sql 'SELECT max(id) FROM plumbline.v_maintenance')"
for what in par1-lon1 acme-hq.main acme-hq-azure; do
    good "of $what" maintenance add --start "$(soon '6 days 23 hours')" --end +1h --json "$what"
    check_equal "of $what, too" 'acme-hq-azure premium 7d' "$(json "' '.join(o['maintenance'][0]['too_late'][0][k] for k in ['service', 'sla', 'notice'])")"
done
good 'of what nobody bought' maintenance add --start "$(soon '6 days 23 hours')" --end +1h par1-ams1
check 'is not too late' says out ' excluded '
good 'seven days ahead' maintenance add --start "$(soon '7 days 1 hour')" --end +1h par1-lon1-b
check 'seven days ahead is not' says out '7d [01]h +excluded '
sql "SELECT plumbline_store.maintenance_cancel(id, NULL, 'test') FROM plumbline.v_maintenance WHERE state = 'planned' AND start_at < now() + interval '8 days'" >/dev/null

# --- Cancelled ---
inbox >/dev/null
good 'cancelled' maintenance cancel --reason 'parts are late' 1
check_equal 'the judge is told of that, too' 'link	par1-lon1-a	12-01 22:00	maintenance 1 was cancelled, revision 8' "$(inbox)"
refused 'cancelled twice' 'maintenance 1 is cancelled' maintenance cancel 1
refused 'moved when cancelled' 'maintenance 1 is cancelled' maintenance move --end +1h 1
good 'what is cancelled stands in no way' maintenance add --start 2099-12-02T01:59:58Z --end +1s par1-lon1-b
good 'the list' maintenance list par1-lon1-a
check_equal 'the list has what is to come, of what was asked for' '11.1 4.1 9.1' "$(awk '/planned/ { print $1 }' "$TEST_DIR/out" | sort | xargs)"
check 'the list shows the lead' says out '^ *9.1 +planned .* [0-9]{5}d [0-9]+h +excluded +silent +link par1-lon1-a \(risk duct-calais\)'
good 'all' maintenance list --all par1-lon1-a
check 'all has what is cancelled' says out '^ *1.8 +cancelled'

# --- Trap 16: maintenance edited after publication ---
trap_16_maintenance_edited_after_publication() {
    sql "SELECT revision, state, to_char(start_at AT TIME ZONE 'UTC', 'DD HH24:MI:SS'), to_char(end_at AT TIME ZONE 'UTC', 'DD HH24:MI:SS'), coalesce(note, '')
        FROM plumbline.v_maintenance_history WHERE id = 1 ORDER BY 1"
}
check_equal 'trap_16_maintenance_edited_after_publication: each revision stays as it was' \
    '1	planned	01 22:00:00	02 02:00:00	
2	planned	01 22:00:00	02 01:00:00	less work
3	planned	01 22:00:00	02 01:00:01	
4	planned	01 22:00:01	02 01:00:02	
5	planned	01 21:59:59	02 01:00:02	
6	planned	03 00:00:00	03 02:00:00	
7	planned	01 22:00:00	02 02:00:00	
8	cancelled	01 22:00:00	02 02:00:00	parts are late' "$(trap_16_maintenance_edited_after_publication)"
for change in "UPDATE plumbline_store.maintenance SET end_at = end_at" "DELETE FROM plumbline_store.maintenance_object" \
    "UPDATE plumbline_store.maintenance_object SET announced_at = announced_at" "DELETE FROM plumbline_store.exclusion" \
    "TRUNCATE plumbline_store.maintenance CASCADE" "UPDATE plumbline_store.exclusion_object SET via = via"; do
    sql_refused "trap_16: refused to the owner: $change" 'what was recorded stays' "SET ROLE plumbline_owner; $change"
done
sql_refused 'trap_16: a collector writes no window' 'permission denied' "SET ROLE plumbline_writer; INSERT INTO plumbline_store.exclusion SELECT * FROM plumbline_store.exclusion"
good 'the history' maintenance list --history --json
check_equal 'the history has all of them' 8 "$(json "sum(w['id'] == 1 for w in o['maintenance'])")"

# --- Now and then ---
good 'from now on' maintenance add --start now --end +2h --no-exclude par1-ams1
check 'it runs, silences, and counts' says out '^ *[0-9]+.1 +running .* counts +silent '
id=$(awk 'END { sub(/\..*/, "", $1); print $1 }' "$TEST_DIR/out")
good 'in the past' maintenance add --start 2026-01-01T00:00:00Z --end +2h par1-ams1 par1-lon1-a par1-lon1-b
check 'it is over, and was announced too late' says out '^ *[0-9]+.1 +over .* -[0-9]+d [0-9]+h +too late'
check_equal 'the judge reads both' 'maintenance link par1-ams1 f t,maintenance link par1-ams1 t f,maintenance link par1-lon1-a f t,maintenance link par1-lon1-b f t' \
    "$(sql "SET ROLE plumbline_writer; SELECT string_agg(l, ',' ORDER BY l) FROM (SELECT concat_ws(' ', exclusion, kind, key, announced_at <= start_at + interval '10 minutes', exclude_from_sla) l
        FROM plumbline_store.windows('2026-01-01', now() + interval '1 second')) w")"
check_equal 'a window ends before what begins with its end' 0 "$(sql "SELECT count(*) FROM plumbline_store.windows('2026-01-01 02:00+00', '2026-01-01 03:00+00')")"
check_equal 'and begins behind what ends with its start' 0 "$(sql "SELECT count(*) FROM plumbline_store.windows('2025-12-01', '2026-01-01 00:00+00')")"
good 'cancelled while it runs' maintenance cancel "$id"
check_equal 'the judge no longer reads it' 0 "$(sql "SELECT count(*) FROM plumbline_store.windows(now() - interval '1 minute', now() + interval '1 second')")"

# --- Exclusions ---
inbox >/dev/null
exclude=(exclude add --kind customer --start 2026-11-20T08:00:00Z --end +3h)
good 'an exclusion' "${exclude[@]}" --reason 'power off in their rack' --approval 'J. Doe, mail of 21 Nov' --tenant acme --author bob acme-hq-azure
check 'an exclusion: told' says out '^ *1.1 +in force +customer +2026-11-20T08:00:00Z +2026-11-20T11:00:00Z +service acme-hq-azure; power off in their rack; approved by J. Doe'
check_equal 'an exclusion: the judge is told' 'service	acme-hq-azure	11-20 08:00	exclusion 1 was added, revision 1' "$(inbox)"
check_equal 'an exclusion: the judge reads it' 'customer	service	acme-hq-azure	t	f	acme' \
    "$(sql "SELECT exclusion, kind, key, exclude_from_sla, suppress_alerts, tenant FROM plumbline_store.windows('2026-11-20 10:59:59+00', '2026-11-21')")"
does "${exclude[@]}" --reason 'x' acme-hq-azure
check_equal 'no exclusion without an approval' 2 "$status"
does "${exclude[@]}" --approval 'x' acme-hq-azure
check_equal 'no exclusion without a reason' 2 "$status"
does "${exclude[@]}" --approval ' ' --reason x acme-hq-azure
check 'nor with an empty one' says err 'needs a reason, and who approved it'
does exclude add --kind weather --start now --end +1h --reason x --approval y par1-ams1
check 'nor of a kind that there is not' says err 'expected customer, third_party, force_majeure or agreed'
check_equal 'none of them is there' 1 "$(sql 'SELECT count(*) FROM plumbline_store.exclusion')"
good 'withdrawn' exclude withdraw --reason 'wrong day' 1
check_equal 'withdrawn: the judge is told' 'service	acme-hq-azure	11-20 08:00	exclusion 1 was withdrawn, revision 2' "$(inbox)"
check_equal 'withdrawn: the judge reads it no longer' 0 "$(sql "SELECT count(*) FROM plumbline_store.windows('2026-11-20', '2026-11-21')")"
does exclude withdraw 1
check 'withdrawn once' says err 'exclusion 1 is withdrawn'
good 'the list of exclusions' exclude list
check 'has none that is withdrawn' says out '^no exclusions$'
good 'their history' exclude list --history --json acme-hq-azure
check_equal 'has both revisions' 'False True wrong day' "$(json "o['exclusions'][0]['withdrawn'], o['exclusions'][1]['withdrawn'], o['exclusions'][1]['note']" | tr -d "(),'")"
check_equal 'a reader may read' 2 "$(sql "SET ROLE plumbline_reader; SELECT count(*) FROM plumbline.v_exclusion_history" | tail -1)"
check_equal 'windows, too' t "$(sql "SET ROLE plumbline_reader; SELECT (SELECT count(*) FROM plumbline.v_maintenance) < (SELECT count(*) FROM plumbline.v_maintenance_history)" | tail -1)"

# --- Calendars ---
inbox >/dev/null
event=('UID:colt-4711' 'X-MAINTNOTE-PROVIDER:colt.net' 'X-MAINTNOTE-MAINTENANCE-ID:M-1' 'X-MAINTNOTE-OBJECT-ID:COLT/LE-204811' 'X-MAINTNOTE-IMPACT:OUTAGE')
ics one "${event[@]}" 'SUMMARY:Fibre move\\, with a very lo\r\n ng text' SEQUENCE:1 'DTSTART;TZID=Europe/Paris:20990701T000000' DURATION:PT2H
good 'a calendar' maintenance import "$TEST_DIR/one.ics"
check 'a calendar: told' says out 'colt-4711: added'
new=$(sql 'SELECT max(id) FROM plumbline.v_maintenance')
check_equal 'a calendar: what was recorded' '1	planned	Fibre move, with a very long text	2099-06-30 22:00:00+00	2099-07-01 00:00:00+00	colt.net	colt-4711	1	par1-lon1-a	circuit COLT/LE-204811	t	t' \
    "$(sql "SET timezone = 'UTC'; SELECT revision, state, label, start_at, end_at, organiser, external_id, sequence, objects->0->>'key', objects->0->>'via', suppress_alerts, exclude_from_sla
        FROM plumbline.v_maintenance WHERE id = $new")"
check_equal 'a calendar: the judge is told' "link	par1-lon1-a	06-30 22:00	maintenance $new was added, revision 1" "$(inbox)"
before=$(revisions)
good 'imported twice' maintenance import "$TEST_DIR/one.ics"
check 'imported twice: told' says out 'colt-4711: the same as before'
check_equal 'imported twice: nothing is written' "$before" "$(revisions)"
check_equal 'imported twice: nothing to judge' '' "$(inbox)"
ics two "${event[@]}" SEQUENCE:3 DTSTART:20990701T000000Z DTEND:20990701T040000Z 'X-MAINTNOTE-OBJECT-ID:EUN-77120' 'X-MAINTNOTE-OBJECT-ID:EUN-9'
does maintenance import --json "$TEST_DIR/two.ics"
check_equal 'members of a group in one calendar: status' 1 "$status"
check 'members of a group in one calendar: refused' says err "'par1-lon1' needs 1 of its 2"
check_equal 'members of a group in one calendar: nothing is written' "$before" "$(revisions)"
does maintenance import --json --override 'they say so' "$TEST_DIR/two.ics"
check_equal 'a greater SEQUENCE, with an id of nobody: status' 1 "$status"
check_equal 'a greater SEQUENCE, with an id of nobody: told' "replaced 2 1 EUN-9" \
    "$(json "' '.join(str(x) for x in [o['events'][0]['outcome'], o['events'][0]['revision'], o['unmatched'], o['events'][0]['unmatched'][0]])")"
check 'an id of nobody: by name' says err 'two.ics:4: no link has the label circuit: EUN-9'
check_equal 'a greater SEQUENCE replaces' "2	2099-07-01 04:00:00+00	2	3" \
    "$(sql "SET timezone = 'UTC'; SELECT revision, end_at, jsonb_array_length(objects), sequence FROM plumbline.v_maintenance WHERE id = $new")"
ics old "${event[@]}" SEQUENCE:2 DTSTART:20990701T000000Z DTEND:20990701T050000Z
does maintenance import "$TEST_DIR/old.ics"
check_equal 'a lower SEQUENCE: status' 1 "$status"
check 'a lower SEQUENCE: refused as old' says out 'refused: a greater SEQUENCE is recorded'
ics differs "${event[@]}" SEQUENCE:3 DTSTART:20990701T000000Z DTEND:20990701T050000Z
does maintenance import "$TEST_DIR/differs.ics"
check_equal 'other content under the same SEQUENCE: status' 1 "$status"
check 'other content under the same SEQUENCE: told' says out 'refused: other content'
check_equal 'neither is written' "$((before + 1))" "$(revisions)"
ics cancelled 'UID:colt-4711' 'X-MAINTNOTE-PROVIDER:colt.net' SEQUENCE:4 STATUS:CANCELLED DTSTART:20990701T000000Z DTEND:20990701T040000Z
inbox >/dev/null
good 'cancelled by calendar' maintenance import "$TEST_DIR/cancelled.ics"
check_equal 'cancelled by calendar: state' cancelled "$(sql "SELECT state FROM plumbline.v_maintenance WHERE id = $new")"
check_equal 'cancelled by calendar: the judge is told of all' 2 "$(inbox | grep -c 'was cancelled, revision 3')"
older
ics anew "${event[@]}" SEQUENCE:5 DTSTART:20990701T000000Z DTEND:20990701T040000Z
good 'planned again' maintenance import "$TEST_DIR/anew.ics"
check_equal 'planned again: announced then, not before' 0 "$(announced "$new")"
ics counts UID:counts-1 X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:20990401T000000Z DURATION:PT1H
good 'one that counts' maintenance import --no-exclude "$TEST_DIR/counts.ics"
older
ics counts UID:counts-1 SEQUENCE:1 X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:20990401T000000Z DURATION:PT1H
good 'then to be excluded' maintenance import "$TEST_DIR/counts.ics"
counts=$(sql "SELECT id FROM plumbline.v_maintenance WHERE external_id = 'counts-1'")
check_equal 'then to be excluded: announced then, not before' 0 "$(announced "$counts")"
older
ics counts UID:counts-1 SEQUENCE:2 X-MAINTNOTE-OBJECT-ID:EUN-77120 'X-MAINTNOTE-OBJECT-ID:COLT/LE-204811' X-MAINTNOTE-IMPACT:REDUCED-REDUNDANCY DTSTART:20990401T000000Z DURATION:PT1H
good 'another link in the same window' maintenance import "$TEST_DIR/counts.ics"
check_equal 'each object is announced by itself' 'par1-lon1-a 0,par1-lon1-b 10' \
    "$(sql "SELECT string_agg((o->>'key') || ' ' || round(extract(epoch FROM now() - (o->>'announced_at')::timestamptz) / 86400), ',' ORDER BY o->>'key')
        FROM plumbline.v_maintenance, jsonb_array_elements(objects) o WHERE id = $counts")"
inbox >/dev/null
ics counts UID:counts-1 SEQUENCE:3 X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:20990401T000000Z DURATION:PT1H
good 'a link less' maintenance import "$TEST_DIR/counts.ics"
check_equal 'a link less: the judge is told of that one, too' 'par1-lon1-a par1-lon1-b' "$(inbox | cut -f 2 | xargs)"
ics again 'UID:colt-4711' 'X-MAINTNOTE-PROVIDER:eun.net' SEQUENCE:1 STATUS:CANCELLED DTSTART:20990701T000000Z DTEND:20990701T040000Z
good "another organiser's" maintenance import "$TEST_DIR/again.ics"
check 'is another window' says out 'cancelled, and was never recorded'

# NO-IMPACT, TENTATIVE, IN-PROCESS, COMPLETED.
flags() { sql "SELECT state, impact, suppress_alerts, exclude_from_sla FROM plumbline.v_maintenance WHERE external_id = '$1'"; }
ics none UID:none-1 X-MAINTNOTE-IMPACT:NO-IMPACT X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:20990101T000000Z DURATION:PT1H
good 'without impact' maintenance import "$TEST_DIR/none.ics"
check_equal 'without impact: recorded, and nothing else' 'planned	none	f	f' "$(flags none-1)"
ics maybe UID:maybe-1 X-MAINTNOTE-STATUS:TENTATIVE X-MAINTNOTE-OBJECT-ID:EUN-77120 'DTSTART;VALUE=DATE:20990201'
does maintenance import "$TEST_DIR/maybe.ics"
check_equal 'a day without a zone: status' 1 "$status"
check 'a day without a zone: which line, and what to do' says err 'maybe.ics:8: error: this time has no zone: expected a Z, a TZID, or the option --timezone'
good 'a day in a zone' maintenance import --timezone Europe/Paris "$TEST_DIR/maybe.ics"
check_equal 'a day is its 24 hours' '2099-01-31 23:00:00+00	2099-02-01 23:00:00+00' \
    "$(sql "SET timezone = 'UTC'; SELECT start_at, end_at FROM plumbline.v_maintenance WHERE external_id = 'maybe-1'")"
check_equal 'tentative excuses nothing' 'tentative	outage	f	f' "$(flags maybe-1)"
check_equal 'nor does the judge read it' 0 "$(sql "SELECT count(*) FROM plumbline_store.windows('2099-01-31', '2099-02-02')")"
older
ics maybe UID:maybe-1 X-MAINTNOTE-STATUS:CONFIRMED SEQUENCE:1 X-MAINTNOTE-OBJECT-ID:EUN-77120 'DTSTART;TZID=Europe/Paris:20990201T000000' DURATION:P1D
good 'confirmed' maintenance import "$TEST_DIR/maybe.ics"
check_equal 'confirmed: in force' 'planned	outage	t	t' "$(flags maybe-1)"
check_equal 'confirmed: announced then, not before' 0 "$(announced "$(sql "SELECT id FROM plumbline.v_maintenance WHERE external_id = 'maybe-1'")")"
ics spring UID:spring-1 X-MAINTNOTE-OBJECT-ID:EUN-77120 'DTSTART;TZID=Europe/Paris:20990328T120000' DURATION:P1DT1H
good 'a day that has 23 hours' maintenance import "$TEST_DIR/spring.ics"
check_equal 'a day that has 23 hours, and one' '1 day' "$(sql "SELECT end_at - start_at FROM plumbline.v_maintenance WHERE external_id = 'spring-1'")"
ics zone UID:zone-1 X-MAINTNOTE-OBJECT-ID:EUN-77120 'DTSTART;TZID=Nowhere/Land:20990328T120000' DURATION:PT1H
does maintenance import "$TEST_DIR/zone.ics"
check_equal 'a zone that there is not: status' 1 "$status"
check 'a zone that there is not: told' says err "zone.ics:7: error: expected a time zone that PostgreSQL knows, such as Europe/Paris, not 'Nowhere/Land'"
at=$(date -u -d '-1 hour' +%Y%m%dT%H%M%SZ)
ics finished UID:done-1 X-MAINTNOTE-STATUS:IN-PROCESS SEQUENCE:1 X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:"$at" DURATION:PT4H
good 'it has begun' maintenance import "$TEST_DIR/finished.ics"
check_equal 'it has begun: since when' 'running	t	t' "$(sql "SELECT state, actual_start IS NOT NULL, actual_end IS NULL FROM plumbline.v_maintenance WHERE external_id = 'done-1'")"
ics finished UID:done-1 X-MAINTNOTE-STATUS:COMPLETED SEQUENCE:2 X-MAINTNOTE-OBJECT-ID:EUN-77120 DTSTART:"$at" DURATION:PT4H
good 'it is done' maintenance import "$TEST_DIR/finished.ics"
check_equal 'it is done: what follows is no maintenance' 'over	t' \
    "$(sql "SELECT state, (SELECT w.end_at = m.actual_end FROM plumbline_store.windows(now() - interval '1 hour', now() + interval '1 hour') w WHERE w.id = m.id)
        FROM plumbline.v_maintenance m WHERE external_id = 'done-1'")"

# An event of three does not match: the rest is imported.
{
    printf 'BEGIN:VCALENDAR\nMETHOD:REQUEST\n'
    for i in 1 2 3; do
        printf 'BEGIN:VEVENT\nUID:many-%s\nDTSTART:2099030%sT000000Z\nDURATION:PT1H\n' "$i" "$i"
        [[ $i == 2 ]] && echo X-MAINTNOTE-OBJECT-ID:NOBODYS || printf '%s\n' 'X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT=OUTAGE:EUN-77120' 'X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT="NO-IMPACT":COLT/LE-204811'
        echo END:VEVENT
    done
    echo END:VCALENDAR
} >"$TEST_DIR/many.ics"
does maintenance import "$TEST_DIR/many.ics"
check_equal 'one of three matches nothing: status' 1 "$status"
check 'one of three matches nothing: told' says err 'many.ics:10: no link has the label circuit: NOBODYS'
check 'one of three matches nothing: counted' says out '^2 of 3 events are recorded; 1 object ids match no link$'
check_equal 'the rest is imported, and what is not hit is left out' 'many-1 par1-lon1-b,many-3 par1-lon1-b' \
    "$(sql "SELECT string_agg(external_id || ' ' || (o->>'key'), ',' ORDER BY 1) FROM plumbline.v_maintenance, jsonb_array_elements(objects) o WHERE external_id LIKE 'many-%'" | sort)"
ics both UID:both-1 X-MAINTNOTE-OBJECT-ID:COLT/LE-204811 X-MAINTNOTE-OBJECT-ID:NOBODYS X-MAINTNOTE-IMPACT:REDUCED-REDUNDANCY DTSTART:20990302T000000Z DURATION:PT1H
does maintenance import "$TEST_DIR/both.ics"
check_equal 'one of two ids matches nothing: status' 1 "$status"
check 'one of two ids matches nothing: the other is recorded' says out 'both-1: added'
older
# The inventory learns of the circuit: the same calendar finds it.
sed -i 's/labels: { carrier: eunetworks, circuit: EUN-77120 }/labels: { carrier: eunetworks, circuit: NOBODYS }/' "$TEST_DIR/net.yaml"
good 'a circuit more in the inventory' apply --yes "$TEST_DIR/net.yaml"
does maintenance import "$TEST_DIR/many.ics"
check 'a circuit more: added' says out 'many-2: added'

good 'and one more in the same event' maintenance import "$TEST_DIR/both.ics"
check 'and one more in the same event: told' says out 'both-1: extended'
check_equal 'and one more in the same event: announced then' 'par1-lon1-a 10,par1-lon1-b 0' \
    "$(sql "SELECT string_agg((o->>'key') || ' ' || round(extract(epoch FROM now() - (o->>'announced_at')::timestamptz) / 86400), ',' ORDER BY o->>'key')
        FROM plumbline.v_maintenance, jsonb_array_elements(objects) o WHERE external_id = 'both-1'")"
good 'and the same again' maintenance import "$TEST_DIR/both.ics"
check 'and the same again: nothing' says out 'both-1: the same as before'

# Files that are wrong.
before=$(revisions)
printf 'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:2099-03-01\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' >"$TEST_DIR/bad.ics"
refused 'a file that is wrong' 'bad.ics:4:9: error: DTSTART: expected a time, such as 20261201T220000Z' maintenance import "$TEST_DIR/bad.ics"
head -c 1048577 /dev/zero >"$TEST_DIR/huge.ics"
refused 'a file that is too large' 'larger than 1 MiB' maintenance import "$TEST_DIR/huge.ics"
does maintenance import "$TEST_DIR/none-such.ics"
check_equal 'a file that is not there: status' 3 "$status"
refused 'no file' 'one file is needed' maintenance import
refused 'no verb' 'add, move, cancel, list or import' maintenance
refused 'an option of another verb' 'maintenance cancel --help' maintenance cancel --start now 1
for verb in maintenance exclude; do
    "$build/plumbline" $verb --help >"$TEST_DIR/out"
    check "$verb --help has examples" says out '^Examples:'
done

# Two at once: the second waits for the first, and sees it.
sleeps() { [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1 ]]; }
sql "BEGIN; SELECT plumbline_store.maintenance_add('[{\"kind\": \"link\", \"key\": \"par1-lon1-a\"}]', '', NULL, '2099-05-01', '2099-05-02', 'outage', true, true, NULL, 'first');
    SELECT pg_sleep(2); COMMIT" >/dev/null &
first=$!
check 'the first is not committed' wait_for 30 sleeps
does maintenance add --start 2099-05-01T23:00:00Z --end +1h par1-lon1-b
check_equal 'of two at once that clash, the second is refused: status' 2 "$status"
check 'of two at once that clash, the second is refused: told' says err "'par1-lon1' needs 1"
check 'the first is recorded' wait "$first"
test_end
