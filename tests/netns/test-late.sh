#!/bin/bash
# test-late.sh - the far probe learns of the link 60 s late: until then the link is
# unknown, not lost.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
test_init late

# value SQL: one figure of the rows that the near probe observed.
value() {
    pg_sql plumbline "SELECT $1 FROM plumbline.v_interval WHERE observer = 'left-p1' AND direction <> 'rt' $2"
}

nothing_is_lost() {
    [[ $(value 'sum(lost)' '') == 0 ]]
}

check 'the lab is up' pair_set_up --seed 6 || test_end
pair_inventory "$TEST_DIR/old.yaml" none
LAB_PROBE_INVENTORY=$TEST_DIR/old.yaml
lab_probe right right-p1
LAB_PROBE_INVENTORY=
lab_probe left left-p1
sleep 60
check 'both probes run' eval 'alive left-p1 && alive right-p1'
pair_inventory "$TEST_DIR/old.yaml"
kill -HUP "${TEST_PID[right-p1]}"
learned=$(now_ns)
sleep 12
check 'the rows of the last interval come' pair_close
check 'nothing is called lost' wait_for 60 nothing_is_lost
check 'the minute before is unknown' test "$(value 'sum(unknown_dt)' "AND start < to_timestamp($learned / 1e9)")" -ge 150
check 'then it is measured' test "$(value 'min(received)' "AND start > to_timestamp($learned / 1e9)")" -gt 0
test_end
