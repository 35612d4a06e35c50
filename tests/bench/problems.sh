#!/bin/bash
# problems.sh - when everything goes at once: 10,000 alarms in a second, from real streams
# through a real collector and PostgreSQL to a target that is told over HTTP.
#
# 100 probes measure 50 links each, with two classes: 10,000 things that a rule is about.  All of
# them lose everything in the same second.  The first half of the links lie in 25 ducts of 100, which are
# one problem each; each other link is a problem of its own.  Figures are given only if all is accounted for:
# an alarm for each class of each link, each of it in one problem, each problem told once.
#
# alarms_per_s: how many alarms were written a second, from the first to the last.  first_ticket_s:
# from the second in which the streams showed that the rule was broken (the third) to the first delivery.
# told_per_s: messages a second, by one hook whose target answers at once, of the time in which any waited
# to be told.
#
# Sizes: BENCH_PROBLEMS_PROBES, BENCH_PROBLEMS_LINKS (a probe; even).
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${PLUMBLINE_BUILD:-$top/build/gcc}
probes=${BENCH_PROBLEMS_PROBES:-100}
links=${BENCH_PROBLEMS_LINKS:-50}
# shellcheck source=tests/lib/base.sh
. "$top/tests/lib/base.sh"
# shellcheck source=tests/lib/servers.sh
. "$top/tests/lib/servers.sh"
# shellcheck source=tests/bench/figures.sh
. "$top/tests/bench/figures.sh"

test_init problems
pg_start "$TEST_DIR/pg" && redis_start "$TEST_DIR/redis" --maxmemory 4gb || exit 1

# Answers 200 at once, and keeps a line of each request: when, and what it was about.
cat >"$TEST_DIR/sink.py" <<'END'
import http.server, json, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(f'{time.time():.3f}', body["data"]["action"], body["data"]["number"], sep="\t", file=out, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
out = open(sys.argv[2], "a")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
END

port=$(free_port)
mkdir "$TEST_DIR/hooks"
echo 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' >"$TEST_DIR/hooks/noc.key"
chmod 600 "$TEST_DIR/hooks/noc.key"
awk -v probes="$probes" -v links="$links" -v port="$port" 'BEGIN {
    print "inventory: 1\ninterval: 60s"
    print "sites:"
    for (i = 0; i < probes; i++) printf "  s%d: { timezone: Etc/UTC }\n", i
    print "classes:"
    print "  gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }"
    print "  be: { dscp: cs0, period: 100ms, size: 128, dt: 1s }"
    print "probes:"
    for (i = 0; i < probes; i++) printf "  p%d: { site: s%d, address: 192.0.2.%d, clock: ptp }\n", i, i, i
    print "links:"
    # One link of each probe never fails, so that no site and no probe went whole.
    for (i = 0; i < probes; i++) printf "  still-%d: { classes: [gold, be], ends: [ { probe: p%d, address: 10.200.%d.1 }, { probe: p%d, address: 10.200.%d.2 } ] }\n", i, i, i, (i + 1) % probes, i
    for (i = 0; i < probes; i++) for (k = 0; k < links; k++) {
        n = i * links + k
        duct = n < probes * links / 2 ? sprintf(", risks: [duct-%d]", n / 100) : ""
        printf "  l%d-%d: { classes: [gold, be], ends: [ { probe: p%d, address: 10.%d.%d.1 }, { probe: p%d, address: 10.%d.%d.2 } ]%s }\n", i, k, i, i, k, (i + 1 + k) % probes == i ? (i + 1) % probes : (i + 1 + k) % probes, i, k, duct
    }
    printf "hooks:\n  noc: { kind: webhook, url: \"http://127.0.0.1:%d/\", secret_file: noc.key }\n", port
}' >"$TEST_DIR/inventory.yaml"
pg_sql postgres 'CREATE DATABASE plumbline' &&
    PLUMBLINE_SQLDIR=$top/sql "$build/plumbline" migrate --postgresql "$PG_CONNINFO dbname=plumbline" >/dev/null || exit 1
printf '%s\n' 'collector: bench' 'workers: 1' "inventory: $TEST_DIR/inventory.yaml" "hook_folder: $TEST_DIR/hooks" \
    "redis: { address: \"$REDIS_ADDRESS\" }" "postgresql: { conninfo: \"$PG_CONNINFO dbname=plumbline\" }" >"$TEST_DIR/collector.yaml"
start sink python3 "$TEST_DIR/sink.py" "$port" "$TEST_DIR/told"
start collector "$build/plumbline-collector" --config "$TEST_DIR/collector.yaml"
pid=${TEST_PID[collector]}
owned() { [[ $(pg_sql plumbline 'SELECT count(*) FROM plumbline.source_position') == "$probes" ]]; }
# Good seconds at first, and then none.
start live "$build/tests/bench/fill" "$REDIS_DIR/redis.sock" "$TEST_DIR/inventory.yaml" live 400 0 25 400
wait_for 30 grep -q ^cut "$TEST_DIR/live.log" || exit 1
cut=$(awk '$1 == "cut" { print $2 }' "$TEST_DIR/live.log")
wait_for 60 owned || exit 1
before_kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")
alarms=$((2 * probes * links))
raised() { [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.alarm WHERE rule = 'cut' AND cleared IS NULL") == "$alarms" ]]; }
problems=$((probes * links / 2 + probes * links / 200))
told() { [[ $(pg_sql plumbline "SELECT count(*) >= $problems AND bool_and(state <> 'waiting') FROM plumbline_store.outbox") == t ]]; }
wait_for 60 raised || {
    tail -n 5 "$TEST_DIR/collector.log" >&2
    exit 1
}
wait_for 120 told || {
    pg_sql plumbline 'SELECT state, count(*), max(last_error) FROM plumbline_store.outbox GROUP BY 1' >&2
    tail -n 5 "$TEST_DIR/collector.log" >&2
    exit 1
}
rss_kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")

status=0
# Sums that must be: alarms, alarms in a problem, problems, first told of each.
sums="$alarms $alarms $problems $problems"
got="$(pg_sql plumbline "SELECT count(*) FROM plumbline_store.alarm WHERE rule = 'cut'") $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.problem_alarm") $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.problem WHERE state = 'open'") $(awk '$2 == "open" { print $3 }' "$TEST_DIR/told" | sort -u | wc -l)"
if [[ $got != "$sums" ]]; then
    echo "alarms, alarms of problems, problems, problems told: $got, not $sums" >&2
    status=1
fi
stop live
twice=$(awk '$2 == "open" { print $3 }' "$TEST_DIR/told" | sort | uniq -d | wc -l)
((twice == 0)) || { echo "$twice problems were told twice" >&2; status=1; }
took=$(pg_sql plumbline "SELECT extract(epoch FROM max(recorded_at) - min(recorded_at)) FROM plumbline_store.alarm WHERE rule = 'cut'")
first=$(awk -v c="$cut" '{ printf "%.3f", $1 - c - 3; exit }' "$TEST_DIR/told")
last=$(awk -v c="$cut" '$2 == "open" { t = $1 } END { printf "%.1f", t - c - 3 }' "$TEST_DIR/told")
# The desk finds problems for some seconds, in which at times nothing waits.
told_per_s=$(pg_sql plumbline "SELECT round($problems / (SELECT sum(extract(epoch FROM upper(w) - lower(w)))
    FROM (SELECT unnest(range_agg(tstzrange(created_at, ended_at))) FROM plumbline_store.outbox) o(w)))")
echo "$alarms alarms within $took s, $problems problems; the first was told $first s after the rule was broken, the last $last s" >&2
figure problems.alarms_per_s "$(awk -v n="$alarms" -v t="$took" 'BEGIN { printf "%.0f", n / (t > 0 ? t : 0.001) }')" 'alarms written a second' 'wanted' 10000
figure problems.first_ticket_s "$first" 's from the rule being broken to the first delivery' limit 5
figure problems.last_ticket_s "$last" "s to the last of $problems deliveries" 'the first' "$first"
figure problems.told_per_s "$told_per_s" 'messages a second, by one hook, while any wait' 'wanted' 300
figure problems.rss_mib "$(awk -v k="$rss_kib" 'BEGIN { printf "%.1f", k / 1024 }')" 'MiB, the peak of the collector' 'before' "$(awk -v k="$before_kib" 'BEGIN { printf "%.1f", k / 1024 }')"
awk -v f="$first" 'BEGIN { exit !(f <= 5) }' || status=1
exit "$status"
