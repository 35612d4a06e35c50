#!/bin/bash
# test-nat.sh - a probe behind a router that masquerades: the far probe knows it by
# its key, goes on as the same session when the router gives it another port and
# another address, and answers neither strangers nor what comes again.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
need_program nft
test_init nat

LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'INVENTORY'
inventory: 1
interval: 10s
sites: { left: { timezone: Europe/Paris }, right: { timezone: Europe/London } }
probes: { left-p1: { site: left, clock: ptp }, right-p1: { site: right, clock: ptp } }
classes:
  fast: { dscp: ef, period: 20ms, size: 256, dt: 1s, tmax: 1s }
links:
  left-right:
    ends: [ { probe: left-p1, address: 10.77.0.2 }, { probe: right-p1, address: 192.0.2.2 } ]
    classes: [fast]
    nat: true
    auth: { mode: packet, key_file: left-right.key }
INVENTORY
mkdir -m 700 "$TEST_DIR/keys"
umask 077
od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$TEST_DIR/keys/left-right.key"
umask 022

ns_add left
ns_add router
ns_add right
wire_add left w0 10.77.0.2/24 router in 10.77.0.1/24
wire_add router out 192.0.2.101/24 right w0 192.0.2.2/24
ip -n "$TEST_ID-left" route add default via 10.77.0.1
ns_exec router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'

# masquerade FIRST-LAST: the ports that the router gives from now on.
masquerade() {
    ns_exec router nft "add table ip n; flush table ip n
        add chain ip n p { type nat hook postrouting priority 100; }
        add rule ip n p oifname out udp dport 862 masquerade to :$1"
}
masquerade 20000-20999
start sniff ns_exec right python3 "$here/sniff.py" w0 "$TEST_DIR/wire.tsv"
redis_start "$TEST_DIR/redis"
start monitor redis-cli -s "$REDIS_DIR/redis.sock" monitor
lab_database
lab_collector collector
check 'the capture begins' wait_for 30 grep -q ready "$TEST_DIR/sniff.log"
lab_probe right right-p1 "key_folder: $TEST_DIR/keys"
lab_probe left left-p1 "key_folder: $TEST_DIR/keys"

answered() {
    (($(grep -c $'\treceived\t' "$TEST_DIR/left-p1.tsv") >= $1))
}
# counted NAME: whether the far probe has told this counter.
counted() {
    grep -q "$1" "$TEST_DIR/monitor.log"
}
# from ADDRESS: packets of the test that came to the far probe from there.
from() {
    awk -F'\t' -v a="$1" '$1 == "in" && $3 == a && $6 == 862 { n++ } END { print n + 0 }' "$TEST_DIR/wire.tsv"
}
comes_from() {
    (($(from "$1") >= $2))
}
check 'packets through the router are answered' wait_for 60 answered 50
check_equal 'the far probe never sees the near one itself' 0 "$(from 10.77.0.2)"
check 'but the router' comes_from 192.0.2.101 50
check_equal 'nobody has moved yet' 1 "$(counted nat_moved; echo $?)"

# The router gets another address, and gives another port.
moved=$(now_ns)
masquerade 30000-30999
ip -n "$TEST_ID-router" addr add 192.0.2.102/24 dev out
ip -n "$TEST_ID-router" addr del 192.0.2.101/24 dev out
ip -n "$TEST_ID-router" addr replace 192.0.2.102/24 dev out
check 'packets come from another address' wait_for 60 comes_from 192.0.2.102 100
settled=$(awk -F'\t' '$1 == "in" && $3 == "192.0.2.102" { print; exit }' "$TEST_DIR/wire.tsv")
check "and another port: $settled" test "$(cut -f4 <<<"$settled")" -ge 30000
check 'that it moved is counted' wait_for 60 counted reflector.nat_moved

# Strangers: unsigned, with another key, and what came once again.
cat >"$TEST_DIR/stranger.py" <<'PYTHON'
import hashlib, hmac, os, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("192.0.2.102", 0))
plain = struct.pack(">IQHH", 1, 1 << 40, 1, 1) + bytes(240)
signed = struct.pack(">I12xQHH68x", 1, 1 << 40, 1, 1)
signed += hmac.new(os.urandom(32), signed, hashlib.sha256).digest()[:16] + bytes(144)
again = bytes.fromhex(open(sys.argv[1]).read())
for _ in range(5):
    for packet in (plain, signed, again):
        s.sendto(packet, ("192.0.2.2", 862))
    time.sleep(0.2)
s.settimeout(2)
try:
    s.recv(2000)
    print("answered")
except socket.timeout:
    print("silence")
PYTHON
cat >"$TEST_DIR/one.py" <<'PYTHON'
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("out", 3))
while True:
    frame, where = s.recvfrom(2000)
    if where[2] == socket.PACKET_OUTGOING and frame[23] == 17 and frame[36:38] == b"\x03\x5e":
        print(frame[42:].hex())
        break
PYTHON
timeout 30 ip netns exec "$TEST_ID-router" python3 "$TEST_DIR/one.py" >"$TEST_DIR/one.hex"
check 'a packet is recorded' test "$(wc -c <"$TEST_DIR/one.hex")" -eq 513
check_equal 'strangers get no answer' silence "$(timeout 60 ip netns exec "$TEST_ID-router" python3 "$TEST_DIR/stranger.py" "$TEST_DIR/one.hex")"
for name in stranger wrong_key '\(duplicate\|replayed\)'; do
    check "each is counted under its own name: $name" wait_for 60 counted "reflector.$name"
done

# Rows of an interval in which nothing moved, all of it after the move.
quiet=$((($(now_ns) / 10000000000 + 1) * 10000000000))
quiet_rows() {
    pg_sql plumbline "SELECT direction, sent, received, lost, unknown, unknown_dt
        FROM plumbline.v_interval WHERE start = to_timestamp($quiet / 1e9) ORDER BY direction"
}
has_quiet_rows() {
    (($(quiet_rows | wc -l) == 3))
}
check 'an interval after the move has rows of all directions' wait_for 90 has_quiet_rows
check_equal 'with packets in each, none lost and none unknown' '' "$(quiet_rows | awk '$2 < 100 || $3 != $2 || $4 + $5 + $6 > 0')"
check 'the probes end well' eval 'stop left-p1 && stop right-p1'

# Packets sent a second or more away from the move all came back; its session is one.
lost=$(awk -F'\t' -v m="$moved" '!/^#/ && $6 != "received" && $6 != "unknown" && ($9 < m - 1e9 || $9 > m + 3e9) { n++ } END { print n + 0 }' "$TEST_DIR/left-p1.tsv")
check_equal 'none but those of the move is lost' 0 "$lost"
check_equal 'each sequence is there once, so it is one session' 0 \
    "$(awk -F'\t' '!/^#/ { n[$5]++ } END { for (s in n) if (n[s] > 1) m++; print m + 0 }' "$TEST_DIR/left-p1.tsv")"
for name in sender_began_anew far_epoch; do
    check "and nobody began anew: $name" eval "! counted $name"
done
test_end
