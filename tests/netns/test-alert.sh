#!/bin/bash
# test-alert.sh - from a link that is cut to an alert in a real Alertmanager, and back; while
# the fault flaps, and while the collector is killed again and again on the way.
#
# Real probes over an emulated link, and the built-in rules but for the times of PLUMBLINE_STAY
# (how long the fault lasts, 10 s) and PLUMBLINE_FLAP (how long another one flaps, 16 s): a minute
# of both is what the issue of problems asks for.  With PLUMBLINE_STRICT the times are checked too,
# which a busy machine can miss; they are always told.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"
# shellcheck source=tests/lib/alertmanager.sh
. "$here/../lib/alertmanager.sh"

LAB_TRACE=true
need_lab
need_program prometheus-alertmanager
test_init alert
stay=${PLUMBLINE_STAY:-10}
flap=${PLUMBLINE_FLAP:-16}

# notified: a line for each notification that Alertmanager gave: status and plumbline_id.
cat >"$TEST_DIR/notified.py" <<'END'
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2], "a") as out:
            for a in body["alerts"]:
                print(a["status"], a["labels"].get("plumbline_id", a["labels"]["alertname"]), file=out, flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
END

set_up() {
    local port
    port=$(free_port)
    : >"$TEST_DIR/notified"
    start notified python3 "$TEST_DIR/notified.py" "$port" "$TEST_DIR/notified"
    alertmanager_start "http://127.0.0.1:$port/" && pair_set_up || return 1
    # In the place of pair_set_up's: one class, and a hook.
    stop collector
    sed -i 's/classes: \[fast, slow\]/classes: [fast]/' "$LAB_INVENTORY"
    # Nobody keeps this machine's clock.
    cat >>"$LAB_INVENTORY" <<END
alarms:
  clock: { metric: clock_error, over: 1m, raise: 1s, clear: 5m, severity: minor, state: retired }
hooks:
  alertmanager: { kind: alertmanager, url: "$ALERTMANAGER_URL" }
END
    emu_tell @left-right 'both delay 2ms' >/dev/null
    lab_probe left left-p1
    lab_probe right right-p1
    lab_cli apply --yes >"$TEST_DIR/apply.log" 2>&1 || { cat "$TEST_DIR/apply.log" >&2; return 1; }
    lab_collector collector
    wait_for 30 measured
}

measured() {
    [[ $(lab_cli status --json 2>/dev/null | grep -cE '"received":[[:space:]]*[1-9]') -ge 1 ]]
}

sql() { pg_sql plumbline "$1"; }
answers() { [[ $(sql "$1" 2>/dev/null) == "$2" ]]; }

# long_ago: what was is no part of what comes; for the collector to believe it, it begins anew.
long_ago() {
    stop collector
    sql "UPDATE plumbline_store.alarm SET cleared = cleared - interval '1 hour', decided = decided - interval '1 hour'" >/dev/null
    sql "UPDATE plumbline_store.problem SET ended = ended - interval '1 hour', closed_at = closed_at - interval '1 hour'" >/dev/null
    lab_collector collector
}

# took SENTENCE SINCE_MS LIMIT_S: how long it took; checked only if that is wanted.
took() {
    local ms=$(($(now_ms) - $2))
    printf '  %s: %d.%03d s (bound: %s s)\n' "$1" $((ms / 1000)) $((ms % 1000)) "$3"
    [[ -z ${PLUMBLINE_STRICT:-} ]] || check "$1 in $3 s" test "$ms" -le $(($3 * 1000))
}

check 'the lab starts' set_up || test_end
check_equal 'nothing is wrong at first' 0 "$(sql 'SELECT count(*) FROM plumbline_store.alarm')"

# --- One cut, one alert ---
emu_tell @left-right 'cut both' >/dev/null
since=$(now_ms)
check 'a cut link is an alert' wait_for 20 alertmanager_open 1
took 'from the cut to the alert' "$since" 7
while (($(now_ms) < since + stay * 1000)); do
    alertmanager_open 1 || break
    sleep 0.5
done
check 'it is still open' alertmanager_open 1
check 'both ends have followed the path' wait_for 20 answers \
    "SELECT count(DISTINCT probe) FROM plumbline.v_trace WHERE problem = 1 AND NOT reached" 2
check_equal 'it is one problem' 1 "$(sql 'SELECT count(*) FROM plumbline_store.problem')"
emu_tell @left-right 'mend both' >/dev/null
lasted=$(($(now_ms) - since))
since=$(now_ms)
check 'a mended link is none' wait_for 30 alertmanager_open 0
took 'from the mend to the end' "$since" 15
check_equal 'the problem has ended' ended "$(sql 'SELECT state FROM plumbline_store.problem')"
check 'one was fired and one resolved' wait_for 20 grep -q resolved "$TEST_DIR/notified"
check_equal 'and nothing else' 'firing resolved' "$(cut -d' ' -f1 "$TEST_DIR/notified" | paste -sd' ')"
began=$(sql "SELECT abs(extract(epoch FROM ended - began) - $lasted / 1000.0) < 4 FROM plumbline_store.problem")
check_equal 'it is as long as the fault was' t "$began"

# --- A fault that flaps: an episode of its own, so long after the other ---
long_ago
: >"$TEST_DIR/notified"
since=$(now_ms)
while (($(now_ms) < since + flap * 1000)); do
    emu_tell @left-right 'cut both' >/dev/null
    sleep 4
    emu_tell @left-right 'mend both' >/dev/null
    sleep 4
done
check 'it ends' wait_for 60 answers "SELECT count(*) FROM plumbline_store.problem WHERE state = 'open'" 0
check_equal 'a fault that flaps is one problem' 1 "$(sql 'SELECT count(*) - 1 FROM plumbline_store.problem')"
check 'its alert ends' wait_for 20 alertmanager_open 0
check 'which is told' wait_for 20 grep -q resolved "$TEST_DIR/notified"
check_equal 'and it was one alert' 'firing resolved' "$(cut -d' ' -f1 "$TEST_DIR/notified" | paste -sd' ')"

# --- kill -9 between alarm and delivery, ten times over ---
long_ago
: >"$TEST_DIR/notified"
kill -STOP "${TEST_PID[alertmanager]}"
emu_tell @left-right 'cut both' >/dev/null
for round in 1 2 3 4 5 6 7 8 9 10; do
    case $round in
    [1-3]) wanted="SELECT count(*) > 0 FROM plumbline_store.alarm WHERE cleared IS NULL" ;;
    [4-6]) wanted="SELECT count(*) > 0 FROM plumbline_store.problem WHERE state = 'open'" ;;
    *) wanted="SELECT count(*) > 0 FROM plumbline_store.outbox WHERE state = 'waiting' AND tries > 0" ;;
    esac
    check "round $round: it is on its way" wait_for 30 answers "$wanted" t
    stop collector KILL 2>/dev/null
    lab_collector collector
done
kill -CONT "${TEST_PID[alertmanager]}"
check 'then there is an alert' wait_for 60 alertmanager_open 1
check 'and all is told' wait_for 60 answers "SELECT count(*) FROM plumbline_store.outbox WHERE state = 'waiting'" 0
check_equal 'of one problem' 1 "$(sql "SELECT count(*) FROM plumbline_store.problem WHERE state = 'open'")"
check_equal 'from one alarm' 1 "$(sql 'SELECT count(*) FROM plumbline_store.alarm WHERE cleared IS NULL')"
check 'one alert is open' alertmanager_open 1
check_equal 'and one was fired' firing "$(cut -d' ' -f1 "$TEST_DIR/notified" | paste -sd' ')"
test_end
