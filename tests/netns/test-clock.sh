#!/bin/bash
# test-clock.sh - the clock is an hour back when a probe boots again: nothing comes
# twice, its epoch still grows, it says from when on it measures again; and with the
# clock put right it measures at once.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
need_program faketime
test_init clock
exact_set_up

# epochs: those that the probe opened, in order.
epochs() {
    sed -n 's/.*epoch \([0-9]*\) is open.*/\1/p' "$TEST_DIR/left-p1.log"
}

opened() {
    [[ $(epochs | wc -l) -eq $1 ]]
}

# position: the epoch that the collector has read.
position_epoch() {
    pg_sql plumbline "SELECT epoch FROM plumbline.source_position WHERE source = 'left-p1'"
}

sleep 5
ended=$(now_ns)
check 'the probe ends when told' stop left-p1
gone=$(now_ns)
# faketime itself would stand between us and the probe.
LAB_PROBE_BY=(env "LD_PRELOAD=$(faketime -m -f -1h printenv LD_PRELOAD)" FAKETIME=-1h FAKETIME_DONT_FAKE_MONOTONIC=1)
lab_probe left left-p1
check 'it opens an epoch an hour before the one it had' wait_for 20 opened 2
check 'and says from when on it measures again' wait_for 20 grep -q 'the clock is behind .*measures again from 2' "$TEST_DIR/left-p1.log"
sleep 12
check 'no packet goes out before that' test -z "$(first_packet left "$gone")"
check 'it ends when told, an hour back' stop left-p1
LAB_PROBE_BY=()
lab_probe left left-p1
check 'with the clock put right it measures' excuse_probe left left-p1 "$ended" "$gone"
check 'its epochs grow' diff <(epochs) <(epochs | sort -n -u)
check_equal 'there were three' 3 "$(epochs | wc -l)"

exact_close
check_equal 'the third is the one that is committed' "$(epochs | tail -n 1)" "$(position_epoch)"
exact_check 'the clock an hour back: every delta-t exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
