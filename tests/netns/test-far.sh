#!/bin/bash
# test-far.sh - the far probe is killed and comes back: the time of its absence is
# unknown, not lost; and what was lost while it was there stays lost.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
test_init far

# sums SQL: of the fwd and bwd series, as lost, unknown delta-t.
sums() {
    pg_sql plumbline "SELECT sum(lost), sum(unknown_dt) FROM plumbline.v_interval
        WHERE direction <> 'rt' AND observer = 'left-p1'"
}

# Whether nothing is called lost in the time that the far probe was away.
absence_is_unknown() {
    local lost unknown
    read -r lost unknown < <(sums)
    ((lost == ${1:-0} && unknown >= $2))
}

check 'the lab is up' pair_set_up --seed 5 || test_end
lab_probe right right-p1
lab_probe left left-p1
check 'rows come within 30 s' wait_for 30 lab_has_rows 1

kill -KILL "${TEST_PID[right-p1]}"
stop right-p1 KILL
sleep 10
lab_probe right right-p1
sleep 2
# 10 lost while both are there.
sleep 8
emu_tell 'lose fwd 10 dscp 46' >/dev/null
sleep 2
check 'the rows of the last interval come' pair_close
# Ten seconds away: 10 delta-t of class fast and 5 of slow, each way, less the borders.
check 'the absence becomes unknown, the ten stay lost' wait_for 60 absence_is_unknown 10 26
sums
test_end
