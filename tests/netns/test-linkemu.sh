#!/bin/bash
# test-linkemu.sh - the emulator against what was really sent and received: its
# log has each packet once, with the fate that the receiver saw.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"

need_root
need_program ip python3
build=${PLUMBLINE_BUILD:-.}
test_init linkemu
ns_add left
ns_add right
link_add wire left w0 10.77.0.1/24 right w0 10.77.0.2/24
emu_start "$build/tests/netns/linkemu" --seed 7 --port 8620

# phase NAME COUNT COMMAND ...: sends COUNT packets at 1000 a second with these
# settings.  An echo answers each copy that comes.
phase() {
    local name=$1 count=$2
    shift 2
    emu_tell reset >/dev/null
    for c in "$@"; do
        emu_tell "$c" >/dev/null || check "command is taken: $c" false
    done
    ip netns exec "$TEST_ID-left" python3 "$here/packets.py" send --to 10.77.0.2:8620 --count "$count" \
        --pps 1000 --phase "$name" --out "$TEST_DIR/sent.tsv"
}

start echo ip netns exec "$TEST_ID-right" python3 "$here/packets.py" echo --bind 10.77.0.2:8620 --out "$TEST_DIR/echo.tsv"
wait_for 10 grep -q ready "$TEST_DIR/echo.log"

phase 1 500
phase 2 2000 'fwd loss 10% delay 5ms jitter 2ms' 'bwd loss 5% delay 9ms'
phase 3 1500 'fwd dup 5% delay 2ms' 'bwd dup 3%'
phase 4 1000 'fwd reorder 5% by 20ms' 'bwd delay 1ms'
phase 5 300 'cut fwd'
phase 6 300 'cut bwd'
phase 7 400 'lose fwd 128' 'lose bwd 64'

check_equal 'a wrong command is refused' 1 "$(emu_tell 'fwd loss 101%' >/dev/null; echo $?)"
check_equal 'a command to a link that is not there is refused' 1 "$(emu_tell @nowhere reset >/dev/null; echo $?)"
check_equal 'no frame was dropped at the emulator' 2 "$(emu_tell status | grep -c 'dropped=0$')"
check_equal 'every departure has the kernel stamp' 2 "$(emu_tell status | grep -c 'stampless=0')"
stop echo TERM
stop emu TERM
python3 "$here/packets.py" compare --log "$TEST_DIR/emu.tsv" --sent "$TEST_DIR/sent.tsv" --echo "$TEST_DIR/echo.tsv" >"$TEST_DIR/result"
while IFS=$'\t' read -r verdict sentence; do
    check "$sentence" test "$verdict" = ok
done <"$TEST_DIR/result"
check 'the comparison was made' test -s "$TEST_DIR/result"
test_end
