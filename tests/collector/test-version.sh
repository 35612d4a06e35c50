#!/bin/bash
# test-version.sh - a period is judged by the version of the SLA that was valid at its start,
# though the inventory at hand has a newer one; a service, or a promise, that is in force for a
# part of a period is judged on that part; months are the tenant's.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin version redis-server redis-cli

# The last day of a month that ended two hours ago or more, in UTC, which is the tenant's; from
# half an hour before that day on half an hour of every hour that matters is measured.
now=$(date +%s)
month=$(date -u -d "$(date -u -d "@$((now - 7200))" +%Y-%m-01)" +%s)
day=$((month - 86400))
begin=$((day - 1800))
iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }
ymd() { date -u -d "@$1" +%Y-%m-%d; }

# sla KEY VERSION VALID_FROM LIMIT DELAY MORE: availability at least, round trips at most.
sla() {
    cat <<END
  $1:
    version: $2
    valid_from: $3
    objectives:
      - { class: c0, metric: availability, limit: $4 }
      - { class: c0, metric: rt_p50, limit: $5 }
    $6
END
}
# inventory GOLD SILVER NEW: with these versions.
inventory() {
    cat <<END
inventory: 1
interval: 60s
sites: { a: {} }
probes: { p1: { site: a }, p2: { site: a } }
routers: { r1: { site: a } }
classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }
links:
  l1: { state: active, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] }
tenants: { acme: { timezone: UTC } }
connectors:
  k1: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e1 } } } }
  k2: { tenant: acme, site: a, attachments: { main: { port: { router: r1, interface: e2 } } } }
services:
  s1: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: gold }
  s2: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: silver }
  s3: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: gold, in_service: $(iso $((day + 307))) }
  s4: { tenant: acme, ends: [k1, k2], over: [l1], classes: [c0], sla: late }
slas:
$1
$2
$3
END
}
credit() { echo "credits: { availability: [ { below: $1, credit: $2 } ] }"; }
late1=$(sla late 1 "$(ymd "$day")" 99% 20ms '')
gold1=$(sla gold 1 2020-01-01 99.9% 20ms "undetermined: excluded
    $(credit 99% 10%)")
silver1=$(sla silver 1 2020-01-01 10% 20ms '')
# Of the day after the month has begun: it is valid at the start of the next.
gold2=$(sla gold 2 "$(ymd "$day")" 5% 1ms "undetermined: unavailable
    $(credit 5% 90%)")
# Of the month's first day: it is valid at its start.
silver2=$(sla silver 2 "$(date -u -d "@$day" +%Y-%m-01)" 99.99% 1ms 'undetermined: unavailable')

store_start
inventory "$gold1" "$silver1" "$late1" >"$TEST_DIR/inventory.yaml"
check 'the first versions are applied' plumbline apply --yes >"$TEST_DIR/apply" 2>&1
inventory "$gold2" "$silver2" "$late1" >"$TEST_DIR/inventory.yaml"
check 'the second ones too' plumbline apply --yes >"$TEST_DIR/apply" 2>&1

# Half an hour on either side of midnight, each with an outage; then silence of a day, in which
# nothing is known; then the end of the month and of the next one's first quarter hour.
printf '%s\n' 'source p1' 'link l1 p2 0' 'epoch 1000' "seconds $begin 1200" "seconds $((begin + 1200)) 60 fwd=10" "seconds $((begin + 1260)) 540" \
    "seconds $day 600" "seconds $((day + 600)) 36 fwd=10" "seconds $((day + 636)) 1164" \
    "seconds $((month - 900)) 2100" \
    'source p2' 'link l1 p1 1' 'epoch 1000' "seconds $begin 3600" "seconds $((month - 900)) 2100" | feed
store_collector one

verdict() { echo "SELECT version, extract(epoch FROM judged_from)::bigint, limit_value, verdict, part, whole FROM plumbline.v_verdict WHERE service = '$1' AND number = 1"; }
first=$(date -u -d "$(date -u -d "@$day" +%Y-%m-01)" +%s)
becomes 'the older version: its limit, and what it says of time that nobody knows' "$(printf '1\t%s\t99900\tmissed\t4404\t4500' "$first")" "$(verdict s1)"
check_equal 'and in each quarter hour' 4500 "$(sql "SELECT sum(dt_counted) FROM plumbline.v_availability WHERE scope = 's1' AND direction = 'both' AND start < to_timestamp($month)")"
check_equal 'and its credit' 10000 "$(sql "SELECT credit_milli FROM plumbline.v_credit WHERE service = 's1'")"
check_equal 'and the limit of its other objective' $'20000000\tmet' \
    "$(sql "SELECT limit_value, verdict FROM plumbline.v_verdict WHERE service = 's1' AND number = 2")"
becomes 'the version that is valid from the first day of the period' "$(printf '2\t%s\t99990\tmissed\t4404\t88200' "$first")" "$(verdict s2)"
becomes 'a service that came in the middle of it' "$(printf '1\t%s\t99900\tmissed\t2357\t2393' $((day + 307)))" "$(verdict s3)"
becomes 'a promise whose first version came in the middle of it' "$(printf '1\t%s\t99000\tmet\t86364\t86400' "$day")" "$(verdict s4)"
becomes 'the month after it goes by the newer version' $'2\t5000\tmet\t1200\t1200' \
    "SELECT version, limit_value, verdict, part, whole FROM plumbline.v_service WHERE service = 's1' AND number = 1"
check_equal 'and so do its delays' 1000000 "$(sql "SELECT limit_value FROM plumbline.v_service WHERE service = 's1' AND number = 2")"
check_equal 'what was published is not stated again' 4 "$(sql 'SELECT count(DISTINCT service) FROM plumbline.v_verdict WHERE revision = 0')"

# Rows of the month are dropped: an exclusion that is recorded now changes nothing of it.
stop one TERM 20
sql "DROP TABLE plumbline_store.interval_row_$(date -u -d "@$begin" +%Y%m%d)"
sql "SELECT * FROM plumbline_store.judged_quarter ORDER BY line_id, start" >"$TEST_DIR/before"
store_collector one
plumbline exclude add --kind customer --start "$(iso $((begin + 1200)))" --end +10s --reason late --approval me l1 >/dev/null
wait_for 30 answers 'SELECT count(*) FROM plumbline_store.rejudge' 0
becomes 'what has no rows any more is not judged again' 0 'SELECT count(*) FROM plumbline_store.judged_quarter WHERE stale'
check 'and stays as it was' cmp -s "$TEST_DIR/before" <(sql "SELECT * FROM plumbline_store.judged_quarter ORDER BY line_id, start")

# --- Limits that come and go in the middle of a month --------------------------------------

# What is over a limit is counted exactly, limit by limit; another version of another contract
# moves the places of the others.  Round trips are spread from 5 to 5.03 ms.
stop one TERM 20
redis_do flushall >/dev/null
pg_sql postgres 'DROP DATABASE plumbline WITH (FORCE)'
pg_sql postgres 'CREATE DATABASE plumbline'
plumbline migrate >/dev/null
late1=$(sla late 1 2020-01-01 50% 5.02ms '')
gold1=$(sla gold 1 2020-01-01 50% 5.001ms '')
gold2=$(sla gold 2 "$(date -u -d "@$first" +%Y-%m-01)" 50% 5.03ms '')
inventory "$gold1" "$silver1" "$late1" >"$TEST_DIR/inventory.yaml"
plumbline apply --yes >"$TEST_DIR/apply" 2>&1
store_collector one
begin=$((month - 3600))
printf '%s\n' 'source p1' 'limit 5001000 5020000 20000000' 'link l1 p2 0' 'epoch 1000' "seconds $begin 1800" \
    'source p2' 'link l1 p1 1' 'epoch 1000' "seconds $begin 1800" | feed
becomes 'half an hour is judged' 8 "SELECT count(*) FROM plumbline_store.judged_quarter q JOIN plumbline_store.judged_line USING (line_id)
    WHERE scope IN ('s1', 's4') AND direction IN ('fwd', 'rt') AND until = start + interval '15 minutes'"
stop one TERM 20
inventory "$gold2" "$silver1" "$late1" >"$TEST_DIR/inventory.yaml"
plumbline apply --yes >"$TEST_DIR/apply" 2>&1
store_collector one
printf '%s\n' 'source p1' 'limit 5020000 5030000 20000000' 'link l1 p2 0' 'epoch 1000' 'sequence 1800' "seconds $((begin + 1800)) 2700" \
    'source p2' 'link l1 p1 1' 'epoch 1000' 'sequence 1800' "seconds $((begin + 1800)) 2700" | feed
becomes 'an exact count goes on where its limit moved' "$(printf 'met\tt\t36000')" \
    "SELECT verdict, part BETWEEN 11500 AND 12500, whole FROM plumbline.v_verdict WHERE service = 's4' AND number = 2"
becomes 'a limit that is new is not taken for the one whose place it has' "$(printf '2\tmet\t36000')" \
    "SELECT version, verdict, whole FROM plumbline.v_verdict WHERE service = 's1' AND number = 2"
stop one TERM 20

# --- Months with a change to summer time ---------------------------------------------------

# trap_15_dst_month_length: March has an hour less, October one more, and a day of a month is a
# day of the zone.
trap_15_dst_month_length() {
    sql "SELECT z, m, extract(epoch FROM until - start)::bigint / 3600, start AT TIME ZONE 'UTC', until AT TIME ZONE 'UTC'
        FROM (VALUES ('Europe/Paris', timestamptz '2026-03-29 01:30+00'), ('Europe/Paris', '2026-10-24 22:30+00'), ('Europe/Paris', '2026-06-30 22:00+00'),
            ('Australia/Lord_Howe', '2026-04-15 00:00+00'), ('UTC', '2026-03-29 01:30+00'), ('Asia/Kolkata', '2024-02-10 00:00+00'),
            ('Europe/Paris', '2026-03-31 21:59:59+00'), ('Europe/Paris', '2026-03-31 22:00+00')) AS v(z, m),
        plumbline_store.month_of(m, z)"
}
PGTZ=UTC
export PGTZ
check_equal 'trap_15_dst_month_length: borders and hours of months' \
"Europe/Paris	2026-03-29 01:30:00+00	743	2026-02-28 23:00:00	2026-03-31 22:00:00
Europe/Paris	2026-10-24 22:30:00+00	745	2026-09-30 22:00:00	2026-10-31 23:00:00
Europe/Paris	2026-06-30 22:00:00+00	744	2026-06-30 22:00:00	2026-07-31 22:00:00
Australia/Lord_Howe	2026-04-15 00:00:00+00	720	2026-03-31 13:00:00	2026-04-30 13:30:00
UTC	2026-03-29 01:30:00+00	744	2026-03-01 00:00:00	2026-04-01 00:00:00
Asia/Kolkata	2024-02-10 00:00:00+00	696	2024-01-31 18:30:00	2024-02-29 18:30:00
Europe/Paris	2026-03-31 21:59:59+00	743	2026-02-28 23:00:00	2026-03-31 22:00:00
Europe/Paris	2026-03-31 22:00:00+00	720	2026-03-31 22:00:00	2026-04-30 22:00:00" "$(trap_15_dst_month_length)"
test_end
