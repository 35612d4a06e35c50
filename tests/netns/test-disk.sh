#!/bin/bash
# test-disk.sh - the spool's disk is full: `plumbline status` says so, measuring goes
# on from memory, and what memory could not hold either becomes tombstones; with room
# again all is well.
# shellcheck disable=SC2016,SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init disk
# shellcheck disable=SC2034
LAB_SPOOL=', memory_size: 16KiB, segment_size: 64KiB'

# The left probe's spool is a small disk that only it sees.
mkdir "$TEST_DIR/spool-left-p1"
small_disk=(unshare --mount --propagation private sh -c
    'mount -t tmpfs -o size=256k,mode=700 spool "$0" && exec "$@"' "$TEST_DIR/spool-left-p1")

check 'the lab is up' pair_set_up --seed 9 || test_end
emu_tell 'both delay 3ms jitter 2ms loss 1% dup 0.5%' >/dev/null
lab_probe right right-p1
LAB_PROBE_BY=("${small_disk[@]}")
lab_probe left left-p1
check 'rows come within 30 s' wait_for 30 lab_has_rows 6
exact_begin
disk=/proc/${TEST_PID[left-p1]}/root$TEST_DIR/spool-left-p1

field_is() {
    [[ $(source_field left-p1 "$1") == "$2" ]]
}

check_equal 'status finds room at first' False "$(source_field left-p1 disk_full)"
dd if=/dev/zero of="$disk/filler" bs=1k count=1000 2>/dev/null
check 'status says that the disk is full' wait_for 15 field_is disk_full True
check 'and so does its table' grep -q 'DISK FULL' <(lab_cli status --once 2>/dev/null)
full=$(now_ns)
check 'rows come with a full disk' rows_since "$full"
check_equal 'nothing had to go' 0 "$(source_field left-p1 tombstones)"
overflowing=$(now_ns)
stop redis KILL 5
# Some 0.5 KB a second go to the 16 KiB of memory.
sleep 60
check 'Redis starts' redis_start "$REDIS_DIR"
over=$(now_ns)
check 'status says how many became tombstones' wait_for 20 eval '(($(source_field left-p1 tombstones) > 0))'
rm "$disk/filler"
check 'with room again status says so' wait_for 15 field_is disk_full False
echo "tombstones: $(source_field left-p1 tombstones)"

exact_close
unknown=$(pg_sql plumbline "SELECT count(*) FROM plumbline.v_delta_t WHERE state = 'unknown'
    AND start BETWEEN to_timestamp($overflowing / 1e9 - 9) AND to_timestamp($over / 1e9)")
check 'what became tombstones is unknown' test "$unknown" -gt 0
kept=$(pg_sql plumbline "SELECT count(*) FROM plumbline.v_delta_t WHERE state = 'measured'
    AND start BETWEEN to_timestamp($overflowing / 1e9) AND to_timestamp($over / 1e9)")
check 'the newest of that time were kept' test "$kept" -gt 0
exact_check 'disk full, Redis there: every delta-t exactly once, and right' "$EXACT_FROM" "$(exact_border "$((overflowing - 9000000000))")"
EXACT_EXCUSES+=(--excuse "left-p1:$((overflowing - 9000000000)):$over")
exact_check 'a full disk: all but the tombstones exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
