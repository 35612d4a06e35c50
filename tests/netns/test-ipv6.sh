#!/bin/bash
# test-ipv6.sh - a link of IPv6 beside one of IPv4 between the same two probes,
# from both ends: every packet comes back, all stamps are the kernel's, class and
# hop limit are on the wire, the family is in the rows.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
test_init ipv6

# six NAMESPACE: allows it there.
six() {
    ns_exec "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
        echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
}

servers() {
    redis_start "$TEST_DIR/redis" && lab_database && lab_collector collector
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'END'
inventory: 1
interval: 10s
sites: { left: { timezone: Europe/Paris }, right: { timezone: Europe/London } }
probes: { left-p1: { site: left, address: "fd78::1" }, right-p1: { site: right } }
classes: { fast: { dscp: ef, period: 20ms, size: 128, dt: 1s, tmax: 4s } }
links:
  four:
    ends: [ { probe: left-p1, interface: w0, address: 10.77.0.1 }, { probe: right-p1, interface: w0, address: 10.77.0.2 } ]
    classes: [fast]
    probe_from: both
  six:
    ends: [ { probe: left-p1, interface: w1, address: "fd77::1" }, { probe: right-p1, interface: w1, address: "fd77::2" } ]
    classes: [fast]
    probe_from: both
  local:
    ends: [ { probe: left-p1, interface: w1, address: "fe80::1" }, { probe: right-p1, interface: w1, address: "fe80::2" } ]
    classes: [fast]
END
ns_add left
ns_add right
six left
six right
wire_add left w0 10.77.0.1/24 right w0 10.77.0.2/24
veth_add left w1 right w1
ip -n "$TEST_ID-left" addr add fd77::1/64 dev w1 nodad
ip -n "$TEST_ID-right" addr add fd77::2/64 dev w1 nodad
ip -n "$TEST_ID-left" addr add fe80::1/64 dev w1 nodad
ip -n "$TEST_ID-right" addr add fe80::2/64 dev w1 nodad
start sniff ns_exec right python3 "$here/sniff.py" w1 "$TEST_DIR/wire.tsv"
check 'the inventory is good' "$LAB_BUILD/plumbline" check "$LAB_INVENTORY"
check 'the servers start' servers || test_end
wait_for 30 grep -q ready "$TEST_DIR/sniff.log"
lab_probe right right-p1
lab_probe left left-p1

# value SQL WHERE: of the view, one line.
value() {
    pg_sql plumbline "SELECT $1 FROM plumbline.v_interval WHERE $2" | tr '\t' ' '
}
# An interval in which all were there from its beginning to its end.
FROM="start > (SELECT min(start) FROM plumbline.v_interval)"
whole() {
    [[ $(value 'count(*)' "$FROM AND dt_count = 10 AND unknown_dt = 0") -ge 15 ]]
}
check 'whole intervals come of all five sessions' wait_for 60 whole
check_equal 'the family is in the rows' 'four=4 local=6 six=6' \
    "$(value "string_agg(DISTINCT object || '=' || family, ' ' ORDER BY object || '=' || family)" true)"
check_equal 'in three directions from each end that sends' 'four=2=3 local=1=3 six=2=3' \
    "$(pg_sql plumbline "SELECT string_agg(object || '=' || o || '=' || d, ' ' ORDER BY object) FROM (SELECT object, count(DISTINCT observer) o, count(DISTINCT direction) d FROM plumbline.v_interval GROUP BY object) t")"
check_equal 'nothing is lost, late, twice or out of order' '0 0 0 0' \
    "$(value 'sum(lost), sum(late), sum(duplicate), sum(reordered)' "$FROM")"
check 'every packet has its one-way delay' \
    test "$(value 'bool_and(delay_count = received AND received >= 450)' "$FROM AND unknown_dt = 0 AND dt_count = 10")" = t
check_equal 'all stamps are the kernel'"'"'s' 0 "$(value 'sum(stamped_user)' "$FROM AND object <> 'four'")"
check 'delays are those of a bare wire' test "$(value 'bool_and(delay_min_ns >= 0 AND delay_min_ns < 1000000000)' "$FROM")" = t

# The wire: all of IPv6, EF, hop limit 255, no fragment.
check 'packets of both ends were on the wire' \
    test "$(awk -F'\t' '$1 == "in" && $6 == 862 { a++ } $1 == "out" && $6 == 862 { b++ } END { print (a > 400 && b > 200) }' "$TEST_DIR/wire.tsv")" = 1
check_equal 'class EF and hop limit 255 on every one' 0 \
    "$(awk -F'\t' '($4 == 862 || $6 == 862) && ($2 != 6 || $7 != 46 || $8 != 255 || $10 != 128) { n++ } END { print n + 0 }' "$TEST_DIR/wire.tsv")"
check 'link-local ones too' test "$(awk -F'\t' '$3 == "fe80::1" && $6 == 862 { n++ } END { print (n > 100) }' "$TEST_DIR/wire.tsv")" = 1

# By hand, with the reflector of one's own.
start reflect ns_exec right "$LAB_BUILD/plumbline" reflect --json --port 8620 --allow fd77::/64
wait_for 10 grep -q answering "$TEST_DIR/reflect.log"
ping() {
    ns_exec left "$LAB_BUILD/plumbline" ping --json --count 30 --interval 10ms --tmax 500ms "$@" >"$TEST_DIR/ping.json" 2>"$TEST_DIR/ping.err"
}
said() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2], {}, d))' "$TEST_DIR/ping.json" "$1"
}
ping --port 8620 fd77::2
check_equal 'ping over IPv6' "('fd77::2', 30, 30, True)" "$(said '(address, sent, received, rt_ns["min"] > 0)')"
ping --port 8620 10.77.0.2
check_equal 'a prefix of IPv6 lets no IPv4 in' '(30, 0)' "$(said '(sent, received)')"
ping --protocol icmp fd77::2
check_equal 'ping by ICMPv6' '(30, 30)' "$(said '(sent, received)')"
ping --source 10.77.0.1 fd77::2
check_equal 'a source of the other family is wrong usage' 2 $?
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
test_end
