# netns.sh - network namespaces, bare and emulated links between them.
#
# Sources base.sh.  A namespace NAME of this script is "$TEST_ID-NAME"; all go away
# at the end, with what still runs in them.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/base.sh
declare -F test_init >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/base.sh"

# Links for emu_start: "NAME:IF0:IF1".
EMU_LINKS=()

# ns_add NAME: with loopback up and no IPv6 chatter.
ns_add() {
    ip netns add "$TEST_ID-$1"
    at_exit ns_remove "$1"
    ip netns exec "$TEST_ID-$1" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
        echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null || true
    ip -n "$TEST_ID-$1" link set lo up
}

ns_remove() {
    local pid
    for pid in $(ip netns pids "$TEST_ID-$1" 2>/dev/null); do
        kill -KILL "$pid" 2>/dev/null
    done
    ip netns delete "$TEST_ID-$1" 2>/dev/null
}

# ns_exec NAME COMMAND ...: under start(), its pid is the command's.
ns_exec() {
    local name=$1
    shift
    $TEST_EXEC ip netns exec "$TEST_ID-$name" "$@"
}

# veth_add NS0 IF0 NS1 IF1: both up.
veth_add() {
    ip -n "$TEST_ID-$1" link add "$2" type veth peer name "$4" netns "$TEST_ID-$3"
    ip -n "$TEST_ID-$1" link set "$2" up
    ip -n "$TEST_ID-$3" link set "$4" up
}

# wire_add NS0 IF0 ADDRESS0 NS1 IF1 ADDRESS1: a bare veth, addresses with length.
wire_add() {
    veth_add "$1" "$2" "$4" "$5"
    ip -n "$TEST_ID-$1" addr add "$3" dev "$2"
    ip -n "$TEST_ID-$4" addr add "$6" dev "$5"
}

# link_add LINK NS0 IF0 ADDRESS0 NS1 IF1 ADDRESS1: through namespace "emu", where
# emu_start puts the emulator.  fwd is NS0 to NS1.
link_add() {
    local n=${#EMU_LINKS[@]}
    if ((n == 0)); then
        ns_add emu
    fi
    veth_add "$2" "$3" emu "e${n}x0"
    veth_add "$5" "$6" emu "e${n}x1"
    ip -n "$TEST_ID-$2" addr add "$4" dev "$3"
    ip -n "$TEST_ID-$5" addr add "$7" dev "$6"
    EMU_LINKS+=("$1:e${n}x0:e${n}x1")
}

# emu_start LINKEMU [OPTION ...]: one emulator for all links so far; its log is
# TEST_DIR/emu.tsv.
emu_start() {
    EMU=$1
    shift
    start emu ip netns exec "$TEST_ID-emu" "$EMU" --log "$TEST_DIR/emu.tsv" --control "$TEST_DIR/emu.sock" "$@" "${EMU_LINKS[@]}"
    wait_for 5 emu_tell status
}

# emu_tell [@LINK] COMMAND ...: prints "ok" and the instant when it took hold.
emu_tell() {
    "$EMU" tell "$TEST_DIR/emu.sock" "$@"
}
