#!/bin/bash
# test-enrol.sh - probes with what `plumbline enrol` made, and nothing else, at a Redis
# with TLS where nobody is let in but by ACL: rows arrive; what the operator sees of
# each probe, and what forget does; what a source must not do is tried, each thing by
# itself; revoked, it is out; enrolled again, it goes on.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"
# shellcheck source=tests/lib/certs.sh
. "$here/../lib/certs.sh"

need_lab
need_program openssl
test_init enrol
certs=$TEST_DIR/certs
feed=$LAB_BUILD/tests/collector/feed
LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'END'
inventory: 1
interval: 5s
sites: { a: {}, b: {}, c: {} }
probes: { p1: { site: a }, p2: { site: b }, p3: { site: c } }
classes: { fast: { period: 100ms, dt: 1s, tmax: 1s } }
links:
  a-b:
    ends: [{ probe: p1, address: 10.78.0.1 }, { probe: p2, address: 10.78.0.2 }]
    classes: [fast]
  a-c:
    ends: [{ probe: p1, address: 10.78.0.1 }, { probe: p3, address: 10.78.0.3 }]
    classes: [fast]
END

# The administrator comes by the UNIX socket, everybody else by TLS.
redis_do() {
    redis-cli -s "$REDIS_DIR/redis.sock" --user admin --pass admin --no-auth-warning "$@"
}

# Redis in the namespace of its host.
# shellcheck disable=SC2031
redis-server() {
    $TEST_EXEC ip netns exec "$TEST_ID-hub" redis-server "$@"
}

network() {
    local h
    for h in hub p1 p2 p3; do
        ns_add "$h"
    done
    ip -n "$TEST_ID-hub" link add lan type bridge
    ip -n "$TEST_ID-hub" link set lan up
    ip -n "$TEST_ID-hub" addr add 10.78.0.9/24 dev lan
    for h in 1 2 3; do
        veth_add hub "h$h" "p$h" w0
        ip -n "$TEST_ID-hub" link set "h$h" master lan
        ip -n "$TEST_ID-p$h" addr add "10.78.0.$h/24" dev w0
    done
}

servers() {
    certs_authority ca && certs_make ca redis IP:10.78.0.9 && certs_make ca hub DNS:hub || return 1
    mkdir -p "$TEST_DIR/redis"
    printf '%s' collector >"$TEST_DIR/collector.password"
    cat >"$TEST_DIR/redis/users.acl" <<'END'
user default off
user admin on >admin ~* &* +@all
user collector on >collector resetchannels %RW~pl:* -@all +xread +xtrim +set +get +del +multi +exec +ping +auth +hello
END
    redis_start "$TEST_DIR/redis" --aclfile "$TEST_DIR/redis/users.acl" --tls-port 6380 --bind 10.78.0.9 \
        --tls-cert-file "$certs/redis.pem" --tls-key-file "$certs/redis.key" --tls-ca-cert-file "$certs/ca.pem" --tls-auth-clients yes
}

# What the collector and the operator have in the place of what is in lab.sh.
collector() {
    cat >"$TEST_DIR/redis.yaml" <<END
redis:
  address: "10.78.0.9:6380"
  user: collector
  password_file: $TEST_DIR/collector.password
  tls: { ca_file: $certs/ca.pem, cert_file: $certs/hub.pem, key_file: $certs/hub.key }
END
    {
        echo "inventory: $LAB_INVENTORY" && cat "$TEST_DIR/redis.yaml"
        echo "postgresql: { conninfo: \"$PG_CONNINFO dbname=plumbline\" }"
    } >"$TEST_DIR/operator.yaml"
    { cat "$TEST_DIR/operator.yaml" && echo 'metrics: { listen: "127.0.0.1:9471" }'; } >"$TEST_DIR/collector.yaml"
    start collector ns_exec hub "$LAB_BUILD/plumbline-collector" --config "$TEST_DIR/collector.yaml"
}

enrol() {
    "$LAB_BUILD/plumbline" enrol --config "$TEST_DIR/operator.yaml" --folder "$TEST_DIR/enrolled" --ca "$certs/ca.pem" \
        --ca-key "$certs/ca.key" "$@" >>"$TEST_DIR/enrol.log" 2>&1
}

is_good() {
    "$LAB_BUILD/plumbline" check --probe-config "$TEST_DIR/$1/probe.yaml" >>"$TEST_DIR/enrol.log" 2>&1
}

revoke() {
    "$LAB_BUILD/plumbline" revoke --folder "$TEST_DIR/enrolled" "$1" >"$TEST_DIR/revoke.out"
}

# verb VERB ...: as the operator, in the hub; its status in $status, its words in out and err.
verb() {
    ns_exec hub "$LAB_BUILD/plumbline" "$1" --config "$TEST_DIR/operator.yaml" "${@:2}" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}

# of PROBE EXPRESSION: of what `plumbline probes --json` says of it, in Python, as 'p'.
of() {
    verb probes --json
    python3 -c 'import json, sys
p = next(p for p in json.load(open(sys.argv[1]))["probes"] if p["probe"] == sys.argv[2])
print(eval(sys.argv[3]))' "$TEST_DIR/out" "$1" "$2"
}

is() {
    [[ $(of "$1" "$2") == True ]]
}

says() {
    grep -qE -- "$2" "$TEST_DIR/$1" || { cat "$TEST_DIR/out" "$TEST_DIR/err" >&2; return 1; }
}

is_open() {
    [[ $(pg_sql plumbline "SELECT closed FROM plumbline.source_position WHERE source = '$1'") == f ]]
}

certificate_end() {
    date -u -d "$(openssl x509 -in "$TEST_DIR/$1/$1.pem" -noout -enddate | cut -d= -f2)" +%Y-%m-%dT%H:%M:%SZ
}

# let_in PROBE: as doc/operations.md says.
let_in() {
    # shellcheck disable=SC2046
    [[ $(redis_do ACL SETUSER $(sed 's/^user //' "$TEST_DIR/enrolled/$1/redis.acl")) == OK && $(redis_do ACL SAVE) == OK ]]
}

# place PROBE: its files, where this test can have them.
place() {
    mkdir -p "$TEST_DIR/$1"
    cp "$TEST_DIR/enrolled/$1/etc/plumbline/"* "$TEST_DIR/$1"
    sed -i "s,/etc/plumbline,$TEST_DIR/$1," "$TEST_DIR/$1/probe.yaml"
    printf 'spool: { folder: %s/spool-%s }\n' "$TEST_DIR" "$1" >>"$TEST_DIR/$1/probe.yaml"
}

probe() {
    start "$1" ns_exec "$1" "$LAB_BUILD/plumbline-probe" --config "$TEST_DIR/$1/probe.yaml"
}

# as PROBE COMMAND ...: to Redis, with what PROBE has.
as() {
    local probe=$1
    shift
    redis-cli -s "$REDIS_DIR/redis.sock" --user "$probe" --pass "$(cat "$TEST_DIR/$probe/$probe.password")" --no-auth-warning "$@" 2>&1
}

# may_not WHAT COMMAND ...: as p2.
may_not() {
    local what=$1 got
    shift
    got=$(as p2 "$@")
    check "a source cannot $what" grep -q '^NOPERM' <<<"$got" || echo "got '$got'" >&2
}

# forge LINE ...: p2 gives its own stream an epoch with a batch of these.
forge() {
    FORGED=$((FORGED + 1000))
    {
        printf '%s\n' 'source p2' "auth p2 $(cat "$TEST_DIR/p2/p2.password")" "epoch $FORGED 0 0" "$@"
        echo "seconds $(date +%s) 3"
    } | "$feed" "$REDIS_DIR/redis.sock" >>"$TEST_DIR/feed.log" 2>&1
}

# counted NAME SOURCE N: the collector's counter is N at least.
counted() {
    local value
    value=$(ns_exec hub python3 "$LAB_TOP/tests/netns/metrics.py" get http://127.0.0.1:9471/metrics |
        sed -n "s/^plumbline_collector_$1{source=\"$2\"} //p")
    [[ -n $value ]] && ((value >= $3))
}

connected() {
    redis_do CLIENT LIST | grep -q "user=$1 "
}

gone() {
    ! connected "$1"
}

of_p2() {
    pg_sql plumbline "SELECT count(*) FROM plumbline_store.session s JOIN plumbline_store.source_position p USING (source_id) WHERE p.source = 'p2'"
}

check 'network, Redis and PostgreSQL are up' network || test_end
check 'Redis lets nobody in but by ACL' servers || test_end
lab_database || test_end
collector
for p in p1 p2; do
    check "$p is enrolled" enrol --valid "${p#p}d" "$p"
    place "$p"
    check 'what was made is a good configuration' is_good "$p"
done
probe p1
check 'without its line Redis does not let it in' wait_for 30 grep -q 'WRONGPASS' "$TEST_DIR/p1.log"
check 'with it it does' let_in p1
check 'the next, too' let_in p2
probe p2
check 'rows arrive' wait_for 60 lab_has_rows 3
check 'of the probe that answers its life arrives' wait_for 60 counted source_commits_total p2 1

# What is known of each probe.
check 'a probe tells its release' wait_for 30 is p1 'p["release"] is not None'
check 'and its generation' wait_for 30 is p1 'p["in_force"] and len(p["generation"]) == 16'
check_equal 'when its certificate ends' "$(certificate_end p1)" "$(of p1 'p["certificate_end"]')"
check 'its spool, its clock, what its kernel dropped' is p1 'p["spool_bytes"] > 0 and p["clock_synchronised"] in (True, False) and p["kernel_drops"] == 0'
check 'it is not silent' wait_for 30 is p1 'p["silence_ms"] < 10000'
check 'but bad: its certificate ends within a week' is p1 'p["state"] == "bad" and "certificate ends in 0 d" in p["why"]'
check 'who was never heard of is bad' is p3 'p["state"] == "bad" and p["why"] == "never heard of"'
verb probes
check_equal 'then the status is 1' 1 "$status"
check_equal 'the worst are first' 'p3' "$(sed -n 2p "$TEST_DIR/out" | cut -d' ' -f1)"
sed 's/a: {}/a: { label: Another }/' "$LAB_INVENTORY" >"$TEST_DIR/other.yaml"
verb apply --yes "$TEST_DIR/other.yaml"
check 'another generation than the one in force is told' is p1 'not p["in_force"] and "another generation" in p["why"]'
verb apply --yes "$LAB_INVENTORY"
check 'the one in force is, too' is p1 'p["in_force"]'

# Who is silent can be forgotten.
verb forget p1
check_equal 'who lives is not forgotten' 2 "$status"
check 'and is told to be stopped first' says err 'p1 lives, it was heard [0-9]+ s ago: stop it first'
verb forget --yes p1
check_equal 'but when told to' 0 "$status"
check 'what it sends opens it again' wait_for 60 is_open p1
verb forget p3
check_equal 'who was never heard of is' 0 "$status"
check_equal 'and closed' t "$(pg_sql plumbline "SELECT closed FROM plumbline.source_position WHERE source = 'p3'")"
verb forget --json p3
check 'again is no harm' says out '"was_closed":[[:space:]]*true'
verb forget p9
check_equal 'there is no p9' 2 "$status"
check 'which is told' says err "no collector ever heard of a source 'p9'"
stop p2

may_not "append to another's stream" XADD 'pl:{p1}:t' '*' b x
may_not "read another's stream" XINFO STREAM 'pl:{p1}:t'
may_not "read another's ack" GET 'pl:{p1}:ack'
may_not "read another's live key" GET 'pl:{p1}:live'
may_not 'write its own ack' SET 'pl:{p2}:ack' '1 0-0 - 1'
may_not 'delete its own stream' DEL 'pl:{p2}:t'
may_not 'trim it' XTRIM 'pl:{p2}:t' MAXLEN 0
may_not 'list keys' KEYS '*'
may_not 'look at users' ACL LIST
may_not 'run a script' EVAL 'return 1' 0
may_not 'subscribe' SUBSCRIBE all
check_equal 'it can read its own ack' 1 "$(as p2 GET 'pl:{p2}:ack' | grep -cE '^1 [0-9]+-[0-9]+ ')"

# In its own stream, which it may write: series that are not its own.
FORGED=$(date +%s%3N)
check "a series that another observes" forge 'observer p1' 'link a-b p2 0'
check 'is put into quarantine, and counted' wait_for 30 counted source_quarantined_total p2 1
check 'what speaks of it later is refused, and counted' wait_for 30 counted assemble_refused_no_session_total p2 2
check "a link of others, as if it were an end" forge 'link a-c p3 0'
check 'is refused, and counted' wait_for 30 counted assemble_refused_trust_total p2 3
check "its own link, as if it were the other end" forge 'link a-b p1 0'
check 'is refused, and counted' wait_for 30 counted assemble_refused_trust_total p2 6
check "a batch that says it is another's" forge 'claim p1' 'link a-b p1 1'
check 'is put into quarantine, and counted' wait_for 30 counted source_quarantined_total p2 4
check 'under its own name' counted assemble_refused_trust_total p1 0
check_equal 'nothing of it is in the database' 0 "$(of_p2)"

# Revoked and enrolled again.
check 'p1 is revoked' revoke p1
check_equal 'the command for Redis is told' 'ACL DELUSER p1' "$(tail -n 1 "$TEST_DIR/revoke.out")"
check 'it was connected' connected p1
# shellcheck disable=SC2046
check_equal 'it takes one user out' 1 "$(redis_do $(tail -n 1 "$TEST_DIR/revoke.out"))"
check 'and its connection' wait_for 30 gone p1
check_equal 'who has its password is refused' 1 "$(as p1 PING | grep -c WRONGPASS)"
check 'it is enrolled again' enrol p1
check 'and let in' let_in p1
since=$(now_ns)
place p1
check 'its host goes on by itself' wait_for 60 connected p1
check 'and rows with it, nothing of the time between lost' wait_for 60 lab_has_rows 3 "$since"
check_equal 'nothing is missing' 0 "$(pg_sql plumbline "SELECT count(*) FROM (SELECT start - lag(start) OVER (PARTITION BY series_id ORDER BY start) AS step
    FROM plumbline_store.interval_row) s WHERE step <> interval '5 s'")"
check 'who is silent is bad' wait_for 30 is p2 'p["state"] == "bad" and p["why"].startswith("silent")'
redis_stop
verb probes
check_equal 'without Redis the status is 3' 3 "$status"
check 'and that is told' says out '^Redis is not there: '
verb forget p2
check_equal 'nobody is forgotten then' 3 "$status"
check 'unless told to' says err '--yes forgets it all the same'
test_end
