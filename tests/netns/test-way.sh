#!/bin/bash
# test-way.sh - what changes on the way of a link is told: a router more (TTL), a
# class remarked (DSCP) on either way, full-size packets lost while small ones pass
# (MTU), round trips that are too short to be true.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
need_program nft
test_init way

LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'INVENTORY'
inventory: 1
interval: 10s
sites: { left: { timezone: Europe/Paris }, right: { timezone: Europe/London } }
probes: { left-p1: { site: left }, right-p1: { site: right } }
classes:
  fast: { dscp: ef, period: 50ms, size: 128, dt: 1s, tmax: 1s }
links:
  near:
    ends: [ { probe: left-p1, address: 10.77.0.1 }, { probe: right-p1, address: 10.77.0.2 } ]
    classes: [fast]
    mtu: 1500
INVENTORY
ns_add left
ns_add right
wire_add left w0 10.77.0.1/24 right w0 10.77.0.2/24
start sniff ns_exec right python3 "$here/sniff.py" w0 "$TEST_DIR/wire.tsv"
redis_start "$TEST_DIR/redis"
start monitor redis-cli -s "$REDIS_DIR/redis.sock" monitor
wait_for 30 grep -q ready "$TEST_DIR/sniff.log"
lab_probe right right-p1
lab_probe left left-p1

# told WORDS: whether the probe has said so.
told() {
    grep -q "$1" "$TEST_DIR/left-p1.log"
}
holes() {
    (($(grep -c 'are lost while small' "$TEST_DIR/left-p1.log") == $1))
}
# large WAY: full-size packets on the wire.
large() {
    awk -F'\t' -v way="$1" '$1 == way && $10 == 1472 { n++ } END { print n + 0 }' "$TEST_DIR/wire.tsv"
}
large_come_back() {
    (($(large out) >= $1))
}
# way RULE: what happens to packets on their way to the right, from now on.
way() {
    ns_exec right nft "add table ip t; flush table ip t; add chain ip t p { type filter hook prerouting priority -150; }; ${1:+add rule ip t p $1}"
}

check 'full-size packets come back' wait_for 30 large_come_back 4
check_equal 'with DF, of class EF, to the reflector, beside the small ones' 0 \
    "$(awk -F'\t' '$1 == "in" && $10 == 1472 && ($9 != 1 || $7 != 46 || $6 != 862 || $4 == 50000) { n++ } END { print n + 0 }' "$TEST_DIR/wire.tsv")"
check 'at one a second' test "$(awk -F'\t' '$1 == "in" && $6 == 862 { $10 == 1472 ? a++ : b++ } END { print (b > 12 * a && b < 30 * a) }' "$TEST_DIR/wire.tsv")" = 1
check 'nothing is told of a way that stays' test -z "$(grep -E 'changed|octets' "$TEST_DIR/left-p1.log")"

way 'udp dport 862 meta length > 1400 drop'
check 'large lost while small pass is told' wait_for 60 told 'near: packets of 1500 octets are lost while small ones pass'
way ''
check 'and when they pass again' wait_for 60 told 'near: packets of 1500 octets pass again'
check_equal 'once each' '1 1' "$(grep -c 'are lost while small' "$TEST_DIR/left-p1.log") $(grep -c 'pass again' "$TEST_DIR/left-p1.log")"

way 'ip ttl set 250'
check 'a router more is told' wait_for 60 told 'near/fast: TTL on the way there changed from 255 to 250'
way 'ip dscp set cs1'
check 'and one less' wait_for 60 told 'near/fast: TTL on the way there changed from 250 to 255'
check 'a remarked class is told' wait_for 60 told 'near/fast: DSCP on the way there changed from 46 to 8'
check_equal 'the way back keeps it' '' "$(grep 'DSCP on the way back' "$TEST_DIR/left-p1.log")"
way ''
check 'and when it is what it was' wait_for 60 told 'near/fast: DSCP on the way there changed from 8 to 46'
ns_exec left nft 'add table ip t; add chain ip t p { type filter hook prerouting priority -150; }; add rule ip t p udp sport 862 ip dscp set cs1'
check 'a class remarked on the way back is told as that' wait_for 60 told 'near/fast: DSCP on the way back changed from 46 to 8'
ns_exec left nft 'flush table ip t'
check 'and when it is what it was' wait_for 60 told 'near/fast: DSCP on the way back changed from 8 to 46'
check_equal 'each once' '2 2' "$(grep -c 'DSCP on the way there' "$TEST_DIR/left-p1.log") $(grep -c 'DSCP on the way back' "$TEST_DIR/left-p1.log")"

# floor TIME: the least round trip that the inventory allows, from now on.
floor() {
    sed -i '/rt_floor/d' "$LAB_INVENTORY"
    echo "    rt_floor: $1" >>"$LAB_INVENTORY"
    kill -HUP "${TEST_PID[left-p1]}"
}
floor 2s
check 'a round trip under the floor is told' wait_for 60 told 'near/fast: a packet came back after [0-9]* us, under the rt_floor of 2000000 us'
floor 1us
check 'and when there is none any more' wait_for 60 told 'near/fast: the rt_floor of 1 us holds again'
for name in match.ttl_changed match.remarked match.remarked_fwd match.remarked_bwd match.below_rt_floor; do
    check "it is counted: $name" wait_for 30 grep -q "$name" "$TEST_DIR/monitor.log"
done

# A link that is down is no black hole.
way 'udp dport 862 drop'
sleep 8
way ''
check 'small ones come back' wait_for 30 large_come_back $(($(large out) + 4))
check_equal 'a link that was down had no black hole' 1 "$(grep -c 'are lost while small' "$TEST_DIR/left-p1.log")"
# An interface of our own that takes less.
ip -n "$TEST_ID-left" link set w0 mtu 1400
check 'an interface that takes less is told too' wait_for 60 holes 2
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
test_end
