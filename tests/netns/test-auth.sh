#!/bin/bash
# test-auth.sh - two probes with keys on their link: changed by SIGHUP while packets
# fly, none is lost; with a wrong key none is answered, and that is counted; what is
# on the wire is signed, by another program's reckoning.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"

need_root
need_program ip python3 tshark
build=${PLUMBLINE_BUILD:-.}
test_init auth
ns_add left
ns_add right
wire_add left w0 10.77.0.1/30 right w0 10.77.0.2/30
umask 077
for key in a b c; do
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$TEST_DIR/$key.key"
done
cat >"$TEST_DIR/inventory.yaml" <<'END'
inventory: 1
sites:
  left: { timezone: Europe/Paris }
  right: { timezone: Europe/London }
probes:
  left-p1: { site: left, clock: ptp }
  right-p1: { site: right, clock: ptp }
classes:
  fast: { dscp: ef, period: 20ms, size: 256, dt: 1s, tmax: 1s }
links:
  left-right:
    ends:
      - { probe: left-p1, interface: w0, address: 10.77.0.1 }
      - { probe: right-p1, interface: w0, address: 10.77.0.2 }
    classes: [fast]
END

# configure PROBE CURRENT [NEXT [SEND]]: the files of its keys.
configure() {
    cat >"$TEST_DIR/$1.yaml" <<END
probe: $1
trace: false
inventory: $TEST_DIR/inventory.yaml
redis: { address: "unix:$TEST_DIR/redis.sock" }
spool: { folder: $TEST_DIR/spool-$1 }
sample_log: $TEST_DIR/$1.tsv
link_keys:
  left-right: { key_file: $TEST_DIR/$2.key${3:+, key_file_next: $TEST_DIR/$3.key}${4:+, send: $4} }
END
}

declare -A reloads=()

# in_force PROBE N: whether it has told N reloads.
in_force() {
    [[ $(grep -c 'is in force' "$TEST_DIR/$1.log") -ge $2 ]]
}

# keys PROBE CURRENT [NEXT [SEND]]: takes hold of them by SIGHUP; then a second of packets.
keys() {
    configure "$@"
    reloads[$1]=$((${reloads[$1]:-0} + 1))
    kill -HUP "${TEST_PID[$1]}"
    check "keys are taken: $*" wait_for 30 in_force "$1" "${reloads[$1]}"
    sleep 1
}

# fates FROM UNTIL: how many packets sent in between had each fate.
fates() {
    awk -F'\t' -v a="$1" -v b="$2" '!/^#/ && $9 > a && $9 < b { n[$6]++ } END { for (f in n) print f, n[f] }' "$TEST_DIR/left-p1.tsv" | sort | tr '\n' ' '
}

# first_received: T1 of the first answered packet.
first_received() {
    awk -F'\t' '$6 == "received" { print $9; exit }' "$TEST_DIR/left-p1.tsv"
}

# counted PROBE NAME: whether it told this counter, which is then in its spool by name.
counted() {
    grep -aq "$2" "$TEST_DIR/spool-$1"/*.seg
}

configure right-p1 a
configure left-p1 a
for p in right left; do
    start $p-p1 ns_exec $p "$build/plumbline-probe" --config "$TEST_DIR/$p-p1.yaml"
done
start tshark ns_exec left tshark -q -n -i w0 -w "$TEST_DIR/wire.pcap" -f 'udp port 862'
check 'tshark captures' wait_for 30 grep -q Capturing "$TEST_DIR/tshark.log"
answered() {
    [[ -n $(first_received) ]]
}
check 'packets are answered' wait_for 30 answered
begin=$(first_received)

keys right-p1 a b
keys left-p1 a b
keys left-p1 a b next
keys right-p1 b
keys left-p1 b
rotated=$(date +%s%N)
check 'nobody has counted a wrong key' eval '! counted right-p1 wrong_key && ! counted left-p1 wrong_key'

keys right-p1 c
wrong=$(date +%s%N)
check 'the wrong key is counted' wait_for 60 counted right-p1 reflector.wrong_key
right=$(date +%s%N)
keys right-p1 b
again=$(date +%s%N)
sleep 2
end=$(date +%s%N)

# A key that cannot be had changes nothing.
echo 'not a key' >"$TEST_DIR/c.key"
configure left-p1 c
kill -HUP "${TEST_PID[left-p1]}"
check 'a file without a key is refused' wait_for 30 grep -q 'c.key: expected a key of 32 to 128 hexadecimal digits' "$TEST_DIR/left-p1.log"
chmod 644 "$TEST_DIR/a.key"
configure left-p1 a
kill -HUP "${TEST_PID[left-p1]}"
check 'a file that others may read is refused' wait_for 30 grep -q 'a.key: cannot be read, or others may read it' "$TEST_DIR/left-p1.log"
check_equal 'no key is in a log' 0 "$(cat "$TEST_DIR"/*.log | grep -c -e "$(cat "$TEST_DIR/a.key")" -e "$(cat "$TEST_DIR/b.key")")"

# Keys that the inventory names, in a folder of the probe's; of the HMAC TLV alone.
chmod 600 "$TEST_DIR/a.key"
cp "$TEST_DIR/inventory.yaml" "$TEST_DIR/plain.yaml"
# named AUTH: what the inventory says of the link from now on.
named() {
    sed "s|^    classes: \[fast\]|&\n    auth: { $1 }|" "$TEST_DIR/plain.yaml" >"$TEST_DIR/inventory.yaml"
}
# folder PROBE: its configuration with the folder alone.
folder() {
    sed '/^link_keys:/,$d; /^key_folder:/d' "$TEST_DIR/$1.yaml"
    echo "key_folder: $TEST_DIR"
}
# take PROBE: takes hold of it by SIGHUP.
take() {
    folder "$1" >"$TEST_DIR/folder.yaml"
    cat "$TEST_DIR/folder.yaml" >"$TEST_DIR/$1.yaml"
    reloads[$1]=$((${reloads[$1]:-0} + 1))
    kill -HUP "${TEST_PID[$1]}"
    check "$1 takes what the inventory says" wait_for 30 in_force "$1" "${reloads[$1]}"
    sleep 1
}
# answered_since T1: whether a packet sent later was answered.
answered_since() {
    awk -F'\t' -v t="$1" '$6 == "received" && $9 > t { found = 1; exit } END { exit !found }' "$TEST_DIR/left-p1.tsv"
}
named 'mode: tlv, key_file: missing.key'
folder left-p1 >"$TEST_DIR/missing.yaml"
"$build/plumbline-probe" --check --config "$TEST_DIR/missing.yaml" >"$TEST_DIR/missing.log" 2>&1
check_equal 'a key that is named and not there is an error' 2 $?
check 'that says where' grep -q "link 'left-right': $TEST_DIR/missing.key: No such file" "$TEST_DIR/missing.log"
named 'mode: tlv, key_file: b.key'
take right-p1
take left-p1
check 'packets with the HMAC TLV alone are answered' wait_for 30 answered_since "$(date +%s%N)"
tlv_begin=$(date +%s%N)
for auth in 'key_file: b.key, next_key_file: a.key' 'key_file: a.key, next_key_file: b.key' 'key_file: a.key'; do
    named "mode: tlv, $auth"
    take right-p1
    take left-p1
done
tlv_end=$(date +%s%N)
tlv_settled() {
    answered_since "$tlv_end"
}
check 'and those of the last keys' wait_for 30 tlv_settled

check 'the near probe ends' stop left-p1 TERM 20
check 'the far probe ends' stop right-p1 TERM 20
check 'the capture ends' stop tshark INT 20
during=$(fates "$begin" "$rotated")
check "no packet is lost while keys change: $during" test "${during% *}" = "received ${during//[^0-9]/}"
check 'and there were hundreds' test "${during//[^0-9]/}" -gt 200
check_equal 'none is answered with a wrong key' '' "$(fates "$wrong" "$right" | grep -o received)"
after=$(fates "$again" "$end")
check "all are answered again: $after" test "${after% *}" = "received ${after//[^0-9]/}"

during=$(fates "$tlv_begin" "$tlv_end")
check "nor is one while the inventory's keys change: $during" test "${during% *}" = "received ${during//[^0-9]/}"

read -r packets bad bad_tlvs plain by_a by_b < <(tshark -n -r "$TEST_DIR/wire.pcap" -Y udp -T fields -e udp.payload 2>/dev/null |
    python3 "$here/signed.py" "$TEST_DIR/a.key" "$TEST_DIR/b.key")
check 'packets were captured' test "${packets:-0}" -gt 600
check_equal 'each packet is signed, and its TLVs are' '0 0' "$bad $bad_tlvs"
check "hundreds of them by the HMAC TLV alone: $plain" test "$plain" -gt 200
check "with both keys in turn: $by_a, $by_b" test "$by_a" -gt 100 -a "$by_b" -gt 100
test_end
