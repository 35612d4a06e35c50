#!/bin/bash
# test-foreign.sh - far ends that are not Plumbline's, each with a bad habit, and
# the kernel's own ICMP echo: a right round trip in PostgreSQL, and no direction
# and no one-way figure that nobody told.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
test_init foreign

# NAME:LAST OCTET:HABITS:KEYS OF THE FAR END
far_ends=(
    'plain:11:sync:protocol: stamp'
    'small:12:size=38+nossid:protocol: twamp-light'
    'light:13:size=41+nossid+garbage:protocol: twamp-light'
    'large:14:size=1400+nossid+garbage:protocol: twamp-light'
    'copies:15:stateless+lossy:protocol: stamp'
    'stateless:16:stateless+lossy+nossid:protocol: stamp, reflector: stateless'
    'counts:17:lossy:protocol: stamp'
    'zero:18:zero:protocol: stamp'
    'unix:19:unix:protocol: stamp'
    'tai:20:tai+sync:protocol: stamp'
    'zbit:21:ptp+z:protocol: stamp, timestamp: ntp'
    'ptp:22:ptp+z:protocol: stamp, timestamp: ptp'
    'port:23:nossid+port=50310:protocol: twamp-light, source_port: 50310, reflector: stateless'
)

inventory() {
    local end name octet keys
    cat <<'HEAD'
inventory: 1
interval: 10s
sites: { near: { timezone: Europe/Paris } }
probes: { near-p1: { site: near } }
classes:
  fast: { dscp: ef, period: 50ms, size: 128, dt: 1s, tmax: 4s }
  slow: { dscp: cs0, period: 100ms, size: 512, dt: 1s, tmax: 4s }
tenants: { acme: { timezone: Europe/Paris } }
connectors:
  cloud:
    tenant: acme
    site: near
    attachments:
      main:
        test: { probe: near-p1, protocol: icmp, address: 10.77.0.2, class: fast, use: evidence }
links:
  echo:
    ends: [ { probe: near-p1, address: 10.77.0.1 }, { protocol: icmp, address: 10.77.0.10 } ]
    classes: [fast, slow]
HEAD
    for end in "${far_ends[@]}"; do
        IFS=: read -r name octet _ keys <<<"$end"
        echo "  $name:"
        echo "    ends: [ { probe: near-p1, address: 10.77.0.1 }, { $keys, address: 10.77.0.$octet, port: 8620 } ]"
        [[ $name == port ]] && echo "    classes: [fast]" || echo "    classes: [fast, slow]"
    done
}

servers() {
    redis_start "$TEST_DIR/redis" && lab_database && lab_collector collector
}

# value SQL: of the view, one line.
value() {
    pg_sql plumbline "SELECT $1 FROM plumbline.v_interval WHERE $2" | tr '\t' ' '
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
inventory >"$LAB_INVENTORY"
ns_add near
ns_add far
wire_add near w0 10.77.0.1/24 far w0 10.77.0.2/24
arguments=()
for octet in {10..23}; do
    ip -n "$TEST_ID-far" addr add "10.77.0.$octet/24" dev w0
done
for end in "${far_ends[@]}"; do
    IFS=: read -r _ octet habits _ <<<"$end"
    arguments+=("10.77.0.$octet:8620:$habits")
done
start habits ns_exec far python3 "$here/habits.py" "$TEST_DIR/habits.tsv" "${arguments[@]}"
check 'the reflectors listen' wait_for 30 grep -q ready "$TEST_DIR/habits.log"
check 'the inventory is good' "$LAB_BUILD/plumbline" check "$LAB_INVENTORY"
check 'the servers start' servers || test_end
start monitor redis-cli -s "$REDIS_DIR/redis.sock" monitor
ns_exec near sh -c 'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
lab_probe near near-p1
# Of 29 sessions, in an interval that was whole.
has_all() {
    [[ $(value 'count(DISTINCT (object, class))' "received > 0 AND direction = 'rt'") -ge 28 ]] &&
        [[ $(value 'count(DISTINCT start)' true) -ge 2 ]]
}
check 'every session has rows' wait_for 60 has_all

objects=$(value "string_agg(DISTINCT object, ' ' ORDER BY object)" "direction = 'rt'")
check_equal 'of every far end and the attachment' \
    'cloud.main copies counts echo large light plain port ptp small stateless tai unix zbit zero' "$objects"
check_equal 'stateless and ICMP have the round trip alone' 'cloud.main echo port stateless' \
    "$(value "string_agg(DISTINCT object, ' ' ORDER BY object)" "object NOT IN (SELECT object FROM plumbline.v_interval WHERE direction <> 'rt')")"
check_equal 'protocols are in the key' 'icmp stamp twamp-light' "$(value "string_agg(DISTINCT protocol, ' ' ORDER BY protocol)" true)"

# Loss.  The reflector dropped five unreceived and five unanswered of each session.
check_equal 'a whole gap of a far end that counts has its direction' '10 10 20' \
    "$(pg_sql plumbline "SELECT sum(lost) FILTER (WHERE direction = 'fwd'), sum(lost) FILTER (WHERE direction = 'bwd'),
        sum(lost) FILTER (WHERE direction = 'rt') FROM plumbline.v_interval WHERE object = 'counts'" | tr '\t' ' ')"
check_equal 'none of it is undirected' 0 "$(value 'sum(lost_undirected)' "object = 'counts'")"
for name in copies stateless; do
    check_equal "loss of a far end that copies is undirected: $name" '20 20' \
        "$(value 'sum(lost), sum(lost_undirected)' "object = '$name' AND direction = 'rt'")"
done
check_equal 'nothing else is lost, late or twice' '0 0 0' \
    "$(value 'sum(lost), sum(late), sum(duplicate)' "object NOT IN ('counts', 'copies', 'stateless')")"

# Delay.  Each reflector held a packet for 5 ms: with times that can be used the
# round trip is without them.
for name in plain small light large copies stateless counts tai zbit ptp port; do
    check "the time in the reflector is not in the round trip: $name" \
        test "$(value 'min(delay_min_ns) < 5000000 AND min(delay_min_ns) > 0' "object = '$name' AND direction = 'rt'")" = t
done
for name in zero unix; do
    check "what cannot be true is not subtracted: $name" \
        test "$(value 'min(delay_min_ns) >= 5000000' "object = '$name' AND direction = 'rt'")" = t
done
check_equal 'no one-way figure from zero, another epoch or TAI' 'copies counts large light plain ptp small zbit' \
    "$(value "string_agg(DISTINCT object, ' ' ORDER BY object)" "direction <> 'rt' AND delay_count > 0")"
check 'the echo has a round trip' test "$(value 'min(delay_min_ns) > 0 AND max(delay_count) >= 90' "object = 'cloud.main'")" = t
check_equal 'the kernel stamped both ends of it' 0 "$(value 'sum(stamped_user)' "object IN ('cloud.main', 'echo') AND start > (SELECT min(start) FROM plumbline.v_interval)")"
# One clock here, so what is one-way is within the round trip.
check_equal 'one-way is within the round trip and the hold' 0 \
    "$(value 'count(*)' "direction <> 'rt' AND delay_count > 0 AND (delay_min_ns < -1000000 OR delay_min_ns > 1000000000)")"

# Each by its name in what the probe streams.
for name in match.far_time_zero match.far_time_epoch match.far_time_off sender.reply_other_format; do
    check "it is counted by name: $name" wait_for 10 grep -q "$name" "$TEST_DIR/monitor.log"
done
check_equal 'nothing is refused' '' "$(grep -oE 'sender\.(reply_short|reply_unknown_ssid|reply_stranger|reply_bad_echo|reply_bad_tlv)' "$TEST_DIR/monitor.log" | sort -u | tr '\n' ' ')"

# What the far ends saw.
check_equal 'sessions to one that does not give the SSID back have ports of their own' 2 \
    "$(awk -F'\t' '$1 == "10.77.0.12" { print $2 }' "$TEST_DIR/habits.tsv" | sort -u | wc -l)"
check_equal 'the port that the far end asks for is ours' 50310 \
    "$(awk -F'\t' '$1 == "10.77.0.23" { print $2 }' "$TEST_DIR/habits.tsv" | sort -u)"

# The same by hand.
ping() {
    ns_exec near "$LAB_BUILD/plumbline" ping --json --count 20 --interval 10ms "$@" >"$TEST_DIR/ping.json" 2>"$TEST_DIR/ping.err"
}
said() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2], {}, d))' "$TEST_DIR/ping.json" "$1"
}
ping --protocol icmp 10.77.0.2
check_equal 'ping by ICMP' '(20, True, None, None)' "$(said '(received, rt_ns["min"] > 0, fwd_ns, bwd_ns)')"
ping --port 8620 10.77.0.19
check_equal 'ping to another epoch' "(20, True, None, 20)" "$(said '(received, rt_ns["min"] >= 5000000, fwd_ns, far["far_time_epoch"])')"
ping --protocol twamp-light --stateless --source-port 50400 --port 8620 10.77.0.12
check_equal 'ping to one of 38 octets' "(20, True, None, {})" "$(said '(received, rt_ns["min"] < 5000000, fwd_ns, {k: v for k, v in far.items() if k != "reply_bad_error_estimate"})')"
check 'the probe ends well' stop near-p1
test_end
