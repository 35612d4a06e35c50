#!/bin/bash
# test-twamp.sh - a client of its own speaks TWAMP-Control and TWAMP-Test with a
# real probe, over IPv4 and IPv6, and tshark, which knows nothing of us, reads the
# whole dialogue.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"

need_root
need_program ip python3 tshark
build=${PLUMBLINE_BUILD:-.}
test_init twamp
ns_add router
ns_add pop
wire_add router w0 10.77.0.1/24 pop w0 10.77.0.2/24
ip -n "$TEST_ID-router" addr add 10.77.0.3/24 dev w0
for ns in router pop; do
    ns_exec $ns sh -c 'echo 0 >/proc/sys/net/ipv6/conf/w0/disable_ipv6'
done
ip -n "$TEST_ID-router" addr add fd77::1/64 dev w0 nodad
ip -n "$TEST_ID-router" addr add fd77::3/64 dev w0 nodad
ip -n "$TEST_ID-pop" addr add fd77::2/64 dev w0 nodad

cat >"$TEST_DIR/inventory.yaml" <<'END'
inventory: 1
sites:
  pop: { timezone: Europe/Paris }
probes:
  pop-p1: { site: pop, clock: ntp }
END
cat >"$TEST_DIR/probe.yaml" <<END
probe: pop-p1
inventory: $TEST_DIR/inventory.yaml
redis: { address: "unix:$TEST_DIR/redis.sock" }
spool: { folder: $TEST_DIR/spool }
twamp_control: { allow: [10.77.0.1/32, "fd77::1"], timeout: 60s }
END

# client VERB OPTION ...: each line that it says is a check.
client() {
    local word sentence
    local server=10.77.0.2
    [[ $* == *fd77:* ]] && server=fd77::2
    ns_exec router python3 "$here/twamp.py" "$@" --server $server >"$TEST_DIR/said" 2>"$TEST_DIR/client.err"
    check "the client ends well: $*" test $? -eq 0 || cat "$TEST_DIR/client.err" >&2
    while IFS=$'\t' read -r word sentence; do
        check "$sentence" test "$word" = ok
    done <"$TEST_DIR/said"
}

answers() {
    ns_exec router python3 -c 'import socket; socket.create_connection(("10.77.0.2", 862), 1, ("10.77.0.1", 0))' 2>/dev/null
}

# packets FILTER: how many tshark finds.
packets() {
    tshark -n -r "$TEST_DIR/wire.pcap" -Y "$1" -T fields -e frame.number 2>/dev/null | wc -l
}

# told FILTER FIELD: its values, each once, in a line.
told() {
    tshark -n -r "$TEST_DIR/wire.pcap" -Y "$1" -T fields -e "$2" 2>/dev/null | sort -u | tr '\n' ' '
}

start probe ns_exec pop "$build/plumbline-probe" --config "$TEST_DIR/probe.yaml"
check 'the probe listens on TCP 862' wait_for 30 answers || {
    cat "$TEST_DIR/probe.log" >&2
    test_end
}
start tshark ns_exec router tshark -q -n -i w0 -w "$TEST_DIR/wire.pcap" -f 'tcp or udp'
check 'tshark captures' wait_for 30 grep -q Capturing "$TEST_DIR/tshark.log"
wait_for 30 test -s "$TEST_DIR/wire.pcap"

client session --source 10.77.0.1 --modes 1 --padding 0
client session --source 10.77.0.1 --modes 1 --padding 27 --dscp 46 --sessions 2
client session --source 10.77.0.1 --modes 65 --padding 100 --dscp 10
client session --source 10.77.0.1 --modes 97 --padding 1400 --sessions 3
client session --source fd77::1 --modes 1 --padding 27 --dscp 46 --sessions 2
client session --source fd77::1 --modes 97 --padding 100 --dscp 10
sleep 1 # What the capture has still to write.
check 'the capture ends' stop tshark INT 20

check 'no malformed packet, no warning in the whole dialogue' test "$(packets '_ws.malformed || _ws.expert.severity >= "Warning"')" -eq 0 ||
    tshark -n -r "$TEST_DIR/wire.pcap" -Y '_ws.malformed || _ws.expert.severity >= "Warning"' -V 2>/dev/null | tail -n 120 >&2
check_equal 'six greetings offer the modes' '6 97 ' "$(packets twamp.control.modes) $(told twamp.control.modes twamp.control.modes)"
check_equal 'each set-up is answered by a server-start' '6 6' "$(packets twamp.control.mode) $(packets twamp.control.server_uptime)"
check_equal 'requests, starts and stops are read as what they are' '16 12 12' \
    "$(packets 'twamp.control.command == 5') $(packets 'twamp.control.command == 2') $(packets 'twamp.control.command == 3')"
check_equal 'all is accepted' '0 ' "$(told 'twamp.control.accept && tcp.srcport == 862' twamp.control.accept)"
check_equal 'the reflector is on port 862' '862 ' "$(told 'twamp.control.accept && tcp.srcport == 862 && twamp.control.receiver_port' twamp.control.receiver_port)"
# tshark follows the first session of a control connection: 6 of 20 and a duplicate.
replies=$(packets 'twamp.test && udp.srcport == 862 && twamp.test.sender_seq_number != 99')
check_equal 'each reply is read as TWAMP-Test' $((6 * 21)) "$replies"
check 'replies have T2 and the TTL that was seen' test "$(packets 'twamp.test.sender_ttl == 255 && twamp.test.receive_timestamp && twamp.test.sender_seq_number != 99')" -eq "$replies"

check 'a stranger is turned away' ns_exec router python3 "$here/twamp.py" stranger --source 10.77.0.3 --server 10.77.0.2
check 'over IPv6 too' ns_exec router python3 "$here/twamp.py" stranger --source fd77::3 --server fd77::2
check 'the probe is alive' alive probe
check 'the probe ends well' stop probe TERM 20
test_end
