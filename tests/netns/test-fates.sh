#!/bin/bash
# test-fates.sh - a link is cut both ways and one way, loses much, and loses 128 in
# a row: every packet has its right fate and direction, or is undirected where
# nobody could know; and the rows say the same.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
test_init fates

# phase COMMAND SECONDS: then the link is clean for so long that all is told.
phase() {
    emu_tell "$1" >/dev/null || check "the emulator takes: $1" false
    sleep "$2"
    emu_tell 'mend both' >/dev/null
    emu_tell 'both loss 0% dup 0%' >/dev/null
    sleep 8
}

check 'the lab is up' pair_set_up --seed 11 || test_end
emu_tell 'both delay 2ms' >/dev/null
lab_probe right right-p1
# It vouches for whole seconds from here on: with one that it was not there for, the first delta-t
# would rightly be unknown.
check 'the far probe is there' wait_for 30 grep -q 'is open' "$TEST_DIR/right-p1.log"
lab_probe left left-p1
check 'rows come within 30 s' wait_for 30 lab_has_rows 1

phase 'cut both' 20
phase 'cut fwd' 20
phase 'cut bwd' 20
phase 'both loss 30% dup 1%' 20
phase 'lose fwd 128 dscp 46' 4
phase 'lose bwd 128 dscp 46' 4
check 'the rows of the last interval come' pair_close
check 'both probes and the collector still run' eval 'alive left-p1 && alive right-p1 && alive collector'

check 'every packet has its fate, and rows say the same' pair_compare --rows "$TEST_DIR/rows.tsv" \
    --interval "$PAIR_INTERVAL_NS" --min-kernel 95 || pair_told
check 'cuts lost packets forward' test "$(pair_value links.left-right.fwd.true.lost)" -gt 2000
check 'cuts lost packets backward' test "$(pair_value links.left-right.bwd.true.lost)" -gt 1000
# A summary is told 5 s after its delta-t (of 2 s at most): in a cut of 20 s nobody can
# know of the first 15 s, each with 60 packets.
check 'only in the cuts nobody could know' test "$(pair_value undirected)" -lt $((3 * 16 * 60))
check_equal 'the emulator missed nothing' 2 "$(emu_tell status | grep -c 'dropped=0$')"
test_end
