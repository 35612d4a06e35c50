#!/bin/bash
# test-duct.sh - a duct with 400 links of 200 tenants is cut: 40 simulated probes stream it as it
# goes by, through a real Redis, collector and PostgreSQL, to targets that are told over HTTP.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
[[ -x $STORE_BUILD/tests/bench/fill ]] || {
    echo "skipped: tests/bench/fill is not built" >&2
    exit 77
}
store_begin duct redis-server redis-cli python3

# A line for each request: the hook, what is done, which problem, and the body as it came.
cat >"$TEST_DIR/sink.py" <<'END'
import http.server, json, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        event = json.loads(body)["data"]
        with lock:
            out.write("\t".join([self.path[1:], event["action"], str(event["number"]), event["title"], body]) + "\n")
            out.flush()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
lock = threading.Lock()
out = open(sys.argv[2], "a")
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
END
port=$(free_port)
mkdir "$TEST_DIR/hooks"
echo 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' >"$TEST_DIR/hooks/k"
chmod 600 "$TEST_DIR/hooks/k"
# Link n is l<n>, but for two that stay down; tenant t has a service over links t and 200 + t.
awk -v port="$port" 'function link(n) { return n == 7 || n == 208 ? "stay" n : "l" n } BEGIN {
    print "inventory: 1\ninterval: 60s\nsites:"
    for (i = 0; i < 40; i++) printf "  s%d: { timezone: Etc/UTC }\n", i
    print "routers: { r: { site: s0 } }"
    print "classes:\n  gold: { dscp: ef, period: 100ms, size: 128, dt: 1s }\n  be: { dscp: cs0, period: 100ms, size: 128, dt: 1s }"
    print "probes:"
    for (i = 0; i < 40; i++) printf "  p%d: { site: s%d, address: 192.0.2.%d, clock: ptp }\n", i, i, i
    print "links:"
    for (n = 0; n < 400; n++) printf "  %s: { classes: [gold, be], risks: [duct], ends: [ { probe: p%d, address: 10.1.%d.%d }, { probe: p%d, address: 10.2.%d.%d } ] }\n", link(n), n % 40, n / 200, n % 200, (n + 1 + n / 40) % 40 == n % 40 ? (n + 1) % 40 : (n + 1 + int(n / 40)) % 40, n / 200, n % 200
    print "tenants:"
    for (t = 0; t < 200; t++) printf "  tenant-%d-x: { label: Tenant %d of many }\n", t, t
    print "connectors:"
    for (t = 0; t < 200; t++) for (e = 0; e < 2; e++) printf "  c%d-%d: { tenant: tenant-%d-x, site: s0, attachments: { main: { port: { router: r, interface: e%d-%d } } } }\n", t, e, t, t, e
    print "services:"
    for (t = 0; t < 200; t++) printf "  service-%d-x: { tenant: tenant-%d-x, ends: [c%d-0, c%d-1], over: [%s, %s], classes: [gold] }\n", t, t, t, t, link(t), link(200 + t)
    print "hooks:"
    printf "  noc: { kind: webhook, url: \"http://127.0.0.1:%d/noc\", secret_file: k }\n", port
    for (t = 0; t < 200; t++) printf "  h%d: { kind: webhook, url: \"http://127.0.0.1:%d/%d\", secret_file: k, when: { tenant: tenant-%d-x }, view: tenant }\n", t, port, t, t
}' >"$STORE_INVENTORY"
store_start
check 'the inventory is right' plumbline check "$STORE_INVENTORY" || test_end
plumbline apply --yes >"$TEST_DIR/apply.log" 2>&1
start sink python3 "$TEST_DIR/sink.py" "$port" "$TEST_DIR/told"
: >"$TEST_DIR/told"
store_collector one "hook_folder: $TEST_DIR/hooks"
# Twelve seconds from the twelfth on; two links longer.
start live "$STORE_BUILD/tests/bench/fill" "$REDIS_DIR/redis.sock" "$STORE_INVENTORY" live 300 0 12 12

told() { awk -F'\t' -v h="$1" '$1 == h { print $2 }' "$TEST_DIR/told" | paste -sd' '; }
tenants() { awk -F'\t' -v a="$1" '$1 != "noc" && $2 == a { print $1 }' "$TEST_DIR/told" | sort -u | wc -l; }
has() { [[ $(told noc) == "$1"* ]]; }
all_tenants() { [[ $(tenants "$1") == "$2" ]]; }

check 'the operator is told' wait_for 60 has open
check 'each tenant is' wait_for 60 all_tenants open 200
check_equal 'of one problem, which is the duct' 'risk duct' "$(sql "SELECT cause_kind || ' ' || cause FROM plumbline_store.problem")"
check_equal 'with all links' 400 "$(sql "SELECT count(*) FROM plumbline_store.problem_object WHERE kind = 'link'")"
check 'two stay down' wait_for 60 has 'open change'
check_equal 'the same problem, still open' "$(printf '1\topen')" "$(sql 'SELECT id, state FROM plumbline_store.problem')"
title=$(awk -F'\t' '$1 == "noc" { t = $4 } END { print t }' "$TEST_DIR/told")
check_equal 'naming those two' 'cut: risk duct, 2 of 400 links: stay208 and stay7, 100% lost' "$title"
check 'who is served again hears it' wait_for 60 all_tenants resolve 198
check_equal 'one ticket for the operator' 1 "$(awk -F'\t' '$1 == "noc" && $2 == "open" { n++ } END { print n + 0 }' "$TEST_DIR/told")"
check_equal 'one a tenant' 200 "$(awk -F'\t' '$1 != "noc" && $2 == "open"' "$TEST_DIR/told" | wc -l)"
check_equal 'in which nothing of another is' 0 "$(awk -F'\t' '$1 != "noc" {
    body = $5; gsub("(tenant|service)-" $1 "-x", "", body); gsub("Tenant " $1 " of many", "", body)
    if (body ~ /(tenant|service)-[0-9]+-x|Tenant [0-9]+ of|duct|\"l[0-9]+\"|stay[0-9]|s[0-9]+-p/) n++ } END { print n + 0 }' "$TEST_DIR/told")"
stop live
test_end
