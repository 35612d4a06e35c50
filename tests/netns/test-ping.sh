#!/bin/bash
# test-ping.sh - `plumbline ping` and `reflect` over an emulated link: loss by
# direction and duplicates equal what the emulator did; nothing is invented for a
# reflector that does not tell.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"

need_root
need_program ip python3 jq
build=${PLUMBLINE_BUILD:-.}
plumbline=$build/plumbline
test_init ping
ns_add left
ns_add right
link_add wire left w0 10.77.0.1/24 right w0 10.77.0.2/24
emu_start "$build/tests/netns/linkemu" --seed 7 --port 862
start reflect ns_exec right "$plumbline" reflect --json --allow 10.77.0.1
wait_for 5 grep -q answering "$TEST_DIR/reflect.log"

# ping OPTION ...: JSON to TEST_DIR/ping.json; its exit status.
ping() {
    ns_exec left "$plumbline" ping --json --tmax 500ms "$@" >"$TEST_DIR/ping.json" 2>"$TEST_DIR/ping.err"
}

# said EXPRESSION: of the last ping.
said() {
    jq -r "$1" "$TEST_DIR/ping.json"
}

# phase COUNT COMMAND ...: the emulator's counts of this ping's packets.
phase() {
    local count=$1 before
    shift
    emu_tell reset >/dev/null
    for c in "$@"; do
        emu_tell "$c" >/dev/null || check "command is taken: $c" false
    done
    emu_tell sync >/dev/null
    before=$(wc -l <"$TEST_DIR/emu.tsv")
    ping --count "$count" --interval 5ms 10.77.0.2
    status=$?
    sleep 0.2
    emu_tell sync >/dev/null
    tail -n +$((before + 1)) "$TEST_DIR/emu.tsv" >"$TEST_DIR/truth.tsv"
}

# truth fwd|bwd lost|dup: how many.
truth() {
    awk -F'\t' -v d="$1" -v w="$2" '$2 == d && (w == "lost" ? $4 == "lost" : $7 > 0) { n++ } END { print n + 0 }' "$TEST_DIR/truth.tsv"
}

phase 200 'fwd delay 20ms' 'bwd delay 5ms'
check_equal 'a good path exits 0' 0 "$status"
check_equal 'all came back' '200 200 0 0 0 0' "$(said '"\(.sent) \(.received) \(.lost_fwd) \(.lost_bwd) \(.lost_undirected) \(.duplicates)"')"
check 'fwd delay is the emulated one' test "$(said '.fwd_ns.p50 >= 20000000 and .fwd_ns.p50 < 40000000')" = true
check 'bwd delay is the emulated one' test "$(said '.bwd_ns.p50 >= 5000000 and .bwd_ns.p50 < 19000000')" = true
check 'round trip is their sum' test "$(said '.rt_ns.p50 >= 25000000 and .rt_ns.p50 < 59000000')" = true
check 'T1, T2 and T4 are the kernel'"'"'s' test "$(said '[.timestamps.t1, .timestamps.t2, .timestamps.t4 | .kernel >= 199] | all')" = true
check 'T3 are the kernel'"'"'s, but for the last ones' test "$(said '.timestamps.t3.kernel >= 160')" = true

phase 600 'fwd loss 10%' 'bwd loss 5%'
check_equal 'loss exits 1' 1 "$status"
check_equal 'every packet has a fate' 600 "$(said '.received + .lost_fwd + .lost_bwd + .lost_undirected + .unknown')"
# A lost packet after the last answer is told by nobody: it may be undirected.
check 'the emulator lost some each way' test "$(truth fwd lost)" -gt 20 -a "$(truth bwd lost)" -gt 5
check_equal 'as many were lost as the emulator says' $(($(truth fwd lost) + $(truth bwd lost))) "$(said '.lost_fwd + .lost_bwd + .lost_undirected')"
check 'forward loss is the emulated one' test "$(said ".lost_fwd <= $(truth fwd lost) and .lost_fwd + .lost_undirected >= $(truth fwd lost)")" = true
check 'backward loss is the emulated one' test "$(said ".lost_bwd <= $(truth bwd lost) and .lost_bwd + .lost_undirected >= $(truth bwd lost)")" = true
check 'only the tail may be undirected' test "$(said '.lost_undirected < 4')" = true

phase 300 'fwd dup 10%'
check_equal 'forward duplicates are the emulated ones' "$(truth fwd dup) 0" "$(said '"\(.duplicate_fwd) \(.duplicate_bwd)"')"
phase 300 'bwd dup 10%'
check_equal 'backward duplicates are the emulated ones' "0 $(truth bwd dup)" "$(said '"\(.duplicate_fwd) \(.duplicate_bwd)"')"
check 'there were some' test "$(truth bwd dup)" -gt 10

phase 40 'cut fwd'
check_equal 'nothing received: exit 1' 1 "$status"
check_equal 'nobody can tell the direction' '0 0 40' "$(said '"\(.lost_fwd) \(.lost_bwd) \(.lost_undirected)"')"
emu_tell reset >/dev/null

check 'the reflector ends well' stop reflect INT
grep '^{' "$TEST_DIR/reflect.log" >"$TEST_DIR/reflect.json"
check 'it counted duplicates and answered the rest' test "$(jq '.duplicate > 10 and .requests - .duplicate == .replies and .stranger == 0' "$TEST_DIR/reflect.json")" = true

# One that copies the sender's sequence and knows no TLV.
cat >"$TEST_DIR/stateless.py" <<'END'
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.0.2", 8620))
print("ready", flush=True)
ntp = lambda: int((time.time() + 2208988800) * 2**32)
n = 0
while True:
    b, a = s.recvfrom(9000)
    t2 = ntp()
    n += 1
    if n % 10 == 0:
        continue
    s.sendto(b[:4] + struct.pack(">QHHQ", ntp(), 1, 0, t2) + b[:14] + bytes(3) + b[41:], a)
END
start stateless ns_exec right python3 "$TEST_DIR/stateless.py"
wait_for 10 grep -q ready "$TEST_DIR/stateless.log"
ping --count 100 --interval 5ms --port 8620 10.77.0.2
check_equal 'a stateless reflector tells no direction' '90 0 0 10' "$(said '"\(.received) \(.lost_fwd) \(.lost_bwd) \(.lost_undirected)"')"

ns_exec left "$plumbline" ping --count 100 --interval 5ms --port 8620 10.77.0.2 >"$TEST_DIR/text" &
pinging=$!
sleep 0.3
kill -INT "$pinging"
wait "$pinging"
check 'an interrupt prints the summary' grep -q 'sent, .* received' "$TEST_DIR/text"

for wrong in '--size 43' '--size 9001' '--interval 99us' '--port 0' '--count 0' '--dscp 64' '--source x' '--nosuch'; do
    # shellcheck disable=SC2086
    ping $wrong 10.77.0.2
    check_equal "wrong usage exits 2: $wrong" 2 $?
done
ping --count 2 --interval 1ms 192.0.2.1
check_equal 'nothing could be sent: exit 3' 3 $?
test_end
