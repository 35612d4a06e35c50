#!/bin/bash
# test-trace.sh - the path of a link over two routers, hop by hop, of both families and from both
# ends: followed by itself while all is well, and when a row of PostgreSQL asks; it ends at a cut;
# what is measured meanwhile loses nothing, and no refusal is counted.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
need_program nft
test_init trace

servers() {
    redis_start "$TEST_DIR/redis" && lab_database && lab_collector collector
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'END_OF_INVENTORY'
inventory: 1
interval: 5s
sites: { left: { timezone: Europe/Paris }, right: { timezone: Europe/London } }
probes: { left-p1: { site: left }, right-p1: { site: right } }
classes: { fast: { dscp: ef, period: 20ms, size: 128, dt: 1s, tmax: 1s } }
links:
  four:
    ends: [ { probe: left-p1, address: 10.77.1.1 }, { probe: right-p1, address: 10.77.3.1 } ]
    classes: [fast]
    flows: 2
  six:
    ends: [ { probe: left-p1, address: "fd77:1::1" }, { probe: right-p1, interface: w0, address: "fd77:3::1" } ]
    classes: [fast]
END_OF_INVENTORY

# Routers answer with ICMP as often as kernels do by themselves: six at once, then one a second.
for ns in left one two right; do
    ns_add $ns
    ns_exec $ns sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
        echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6
        echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
done
for ns in one two; do
    ns_exec $ns sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
done
# hop NS0 IF0 END0 NS1 IF1 END1 NET: a wire with addresses of both families.
hop() {
    wire_add "$1" "$2" "10.77.$7.$3/24" "$4" "$5" "10.77.$7.$6/24"
    ip -n "$TEST_ID-$1" addr add "fd77:$7::$3/64" dev "$2" nodad
    ip -n "$TEST_ID-$4" addr add "fd77:$7::$6/64" dev "$5" nodad
}
hop left w0 1 one w0 254 1
hop one w1 1 two w0 2 2
hop two w1 254 right w0 1 3
# way NAMESPACE NET VIA_V4 VIA_V6
way() {
    ip -n "$TEST_ID-$1" route add "10.77.$2.0/24" via "$3"
    ip -n "$TEST_ID-$1" -6 route add "fd77:$2::/64" via "$4"
}
way left 3 10.77.1.254 fd77:1::254
way left 2 10.77.1.254 fd77:1::254
way one 3 10.77.2.2 fd77:2::2
way two 1 10.77.2.1 fd77:2::1
way right 1 10.77.3.254 fd77:3::254
way right 2 10.77.3.254 fd77:3::254
# Packets of paths that leave, by TTL and SSID (8 octets of UDP header, 14 of STAMP before it).
for ns in left right; do
    ns_exec $ns nft 'add table inet t; add counter inet t four; add counter inet t six
        add chain inet t o { type filter hook output priority 0; }
        add rule inet t o ip ttl <= 30 meta l4proto udp @th,176,16 0xffff counter name four
        add rule inet t o ip6 hoplimit <= 30 meta l4proto udp @th,176,16 0xffff counter name six'
done
# sent NAMESPACE FAMILY: packets of paths so far.
sent() {
    ns_exec "$1" nft list counter inet t "$2" | awk '$1 == "packets" { print $2 }'
}
value() {
    pg_sql plumbline "$1" | tr '\t' ' '
}
# Whether the left one follows no path: the packets of one are 20 ms apart.
settled() {
    local before
    before="$(sent left four) $(sent left six)"
    sleep 1
    [[ "$(sent left four) $(sent left six)" == "$before" ]]
}
# sent_each N PROBE LINK: whether each path that is written took N packets, and none is on its way.
sent_each() {
    [[ $(($1 * $(value "SELECT count(*) FROM plumbline.v_trace WHERE link = '$3' AND probe = '$2-p1'"))) == "$(sent "$2" "$3")" ]]
}
# path LINK PROBE CONDITION: the newest, as "reached address address -".
path() {
    value "SELECT concat_ws(' ', reached::text, (SELECT string_agg(coalesce(h->>'address', '-'), ' ' ORDER BY (h->>'ttl')::int)
        FROM jsonb_array_elements(hops) h)) FROM plumbline.v_trace WHERE link = '$1' AND probe = '$2' AND $3 ORDER BY at DESC LIMIT 1"
}
has_path() {
    [[ -n $(path "$1" "$2" "$3") ]]
}
# ask PROBLEM: of both ends of both links.
ask() {
    pg_sql plumbline "INSERT INTO plumbline_store.trace_request (problem, probe, link)
        SELECT $1, p, l FROM unnest('{left-p1,right-p1}'::text[]) p, unnest('{four,six}'::text[]) l" >/dev/null
}
# done_with PROBLEM N: so many requests have been answered and written.
done_with() {
    [[ $(value "SELECT count(*) FROM plumbline_store.trace_request r JOIN plumbline.v_trace t USING (problem, probe, link)
        WHERE problem = $1 AND done_at IS NOT NULL AND t.why = 'problem'") -ge $2 ]]
}

check 'the servers start' servers || test_end
LAB_TRACE=true
lab_probe right right-p1
lab_probe left left-p1
check 'a path is followed by itself' wait_for 60 has_path four left-p1 "why = 'good'"
check 'of each family' wait_for 60 has_path six left-p1 "why = 'good'"
check 'and from each end' wait_for 60 has_path six right-p1 "why = 'good'"
check 'of each link' wait_for 60 has_path four right-p1 "why = 'good'"
good() {
    check_equal "$1: each router in order, and the far end" 'true 10.77.1.254 10.77.2.2 10.77.3.1' "$(path four left-p1 "$2")"
    check_equal "$1: of IPv6" 'true fd77:1::254 fd77:2::2 fd77:3::1' "$(path six left-p1 "$2")"
    check_equal "$1: from the end that only reflects, whose packets nobody answers" 'false 10.77.3.254 10.77.2.1 -' "$(path four right-p1 "$2")"
    check_equal "$1: of IPv6" 'false fd77:3::254 fd77:2::1 -' "$(path six right-p1 "$2")"
}
good 'while all is well' "why = 'good'"
ask 41
check 'what is asked for is answered and done' wait_for 60 done_with 41 4
good 'asked for' 'problem = 41'
check_equal 'of the packets of the first class and flow, with times' 'fast 0 t' \
    "$(value "SELECT class, flow, bool_and((h->>'rt_us')::int > 0) FROM plumbline.v_trace, jsonb_array_elements(hops) h WHERE link = 'four' AND probe = 'left-p1' AND problem = 41 GROUP BY 1, 2")"
check 'of packets that are answered no more go out than there are hops' wait_for 20 sent_each 3 left six
check 'and of others thirty' wait_for 20 sent_each 30 right four

# What is measured, until now.
until=$(now_ns)
whole() {
    [[ $(value "SELECT count(*) FROM plumbline.v_interval WHERE direction = 'rt' AND dt_count = 5 AND start + interval '5 s' > to_timestamp($until / 1e9)") -ge 3 ]]
}
check 'the interval of it is written' wait_for 60 whole
check_equal 'nothing is lost, late or stamped by a program meanwhile' '0 0 0' \
    "$(value "SELECT sum(lost), sum(late), sum(stamped_user) FROM plumbline.v_interval WHERE direction = 'rt' AND start > (SELECT min(start) FROM plumbline.v_interval)")"
# But for what says that this machine is busy.
refused() {
    value "SELECT string_agg(source || ' ' || (details->>'name') || ' ' || (details->>'count'), ', ') FROM plumbline.v_event WHERE kind = 'refused' AND details->>'name' NOT LIKE 'timing.late%'"
}
check_equal 'and nothing is refused' '' "$(refused)"

check 'nothing is on its way' wait_for 60 settled
four=$(sent left four) six=$(sent left six)
ns_exec two nft 'add table inet t; add chain inet t p { type filter hook prerouting priority -300; }; add rule inet t p iifname w0 drop'
ask 42
check 'while the way is cut too' wait_for 60 done_with 42 4
check_equal 'a path ends behind the last router that answers' 'false 10.77.1.254 -' "$(path four left-p1 'problem = 42')"
check_equal 'of IPv6' 'false fd77:1::254 -' "$(path six left-p1 'problem = 42')"
check_equal 'from the other end' 'false 10.77.3.254 -' "$(path four right-p1 'problem = 42')"
check_equal 'of IPv6' 'false fd77:3::254 -' "$(path six right-p1 'problem = 42')"
# One that nobody asked for may have begun meanwhile, and is waited for.
check 'nothing is on its way any more' wait_for 60 settled
four=$(($(sent left four) - four)) six=$(($(sent left six) - six))
check_equal 'thirty packets each path' '1 0 1 0' "$((four >= 30)) $((four % 30)) $((six >= 30)) $((six % 30))"
check_equal 'it is not what is compared with' 'true 10.77.1.254 10.77.2.2 10.77.3.1' "$(path four left-p1 "why = 'good'")"
check_equal 'nothing is refused' '' "$(refused)"

# A probe that may not, and one that is not to.
ns_exec two nft 'delete table inet t'
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
LAB_PROBE_BY=(setpriv --bounding-set=-net_raw --inh-caps=-net_raw)
lab_probe right right-p1
LAB_PROBE_BY=()
LAB_TRACE=false
lab_probe left left-p1
ask 43
check 'a probe without CAP_NET_RAW answers' wait_for 60 done_with 43 2
check_equal 'that it cannot' 'it needs CAP_NET_RAW 0' "$(value "SELECT DISTINCT error, jsonb_array_length(hops) FROM plumbline.v_trace WHERE problem = 43 AND probe = 'right-p1'")"
check_equal 'it says so once' 1 "$(grep -c 'needs CAP_NET_RAW' "$TEST_DIR/right-p1.log")"
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
test_end
