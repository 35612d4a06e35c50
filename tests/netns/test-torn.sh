#!/bin/bash
# test-torn.sh - the tail of a spool is torn, and a batch in the stream is rubbish:
# what they held is unknown and nothing else, the rubbish is kept with its bytes and
# told once.
# shellcheck disable=SC2016,SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init torn
exact_set_up

# tear FOLDER: cuts the last record of the newest segment; prints its ID and the
# delta-t starts that it covered.  doc/wire-format.md, spool.
tear() {
    python3 - "$1" <<'END'
import os, pathlib, struct, sys
path = max(pathlib.Path(sys.argv[1]).glob("*.seg"), key=lambda p: p.stat().st_mtime_ns)
data, at, last = path.read_bytes(), 64, None
while at + 44 <= len(data):
    sequence, begin, until, size = struct.unpack_from("<QqqI", data, at + 8)
    if at + 44 + size > len(data):
        break
    last, at = (at, begin, until, size), at + 44 + size
os.truncate(path, last[0] + 44 + last[3] // 2)
print(f"{struct.unpack_from('<Q', data, 16)[0]}-{sequence}", last[1], last[2])
END
}

# state_of CLASS START_NS: of the three directions.
state_of() {
    pg_sql plumbline "SELECT string_agg(DISTINCT state, ' ') FROM plumbline.v_delta_t
        WHERE observer = 'left-p1' AND class = '$1' AND start = to_timestamp($2::numeric / 1000000000)"
}

# Redis has none of the last batches.
stop redis KILL 5
sleep 5
killed=$(now_ns)
stop left-p1 KILL 5
gone=$(now_ns)
read -r torn from until < <(tear "$TEST_DIR/spool-left-p1")
echo "torn: $torn, delta-t from $from until $until"
check 'Redis starts' redis_start "$REDIS_DIR"
lab_probe left left-p1
check 'with a torn spool the probe is back' excuse_probe left left-p1 "$killed" "$gone"
check 'rows come again' rows_since "$(now_ns)"
check 'the ID of what was torn off is not used again' grep -q "epoch .* after $torn\$" "$TEST_DIR/left-p1.log"
check 'status counts the tombstone' wait_for 10 eval '[[ $(source_field left-p1 tombstones) == 1 ]]'

# Rubbish where the next batch would be.
sleep 2
ended=$(now_ns)
check 'the probe ends when told' stop left-p1
gone=$(now_ns)
top=$(redis_do xinfo stream 'pl:{left-p1}:t' | grep -a -A 1 last-generated-id | tail -n 1)
rubbish="${top%-*}-$((${top#*-} + 1))"
redis_do xadd 'pl:{left-p1}:t' "$rubbish" b 'this is no batch' >/dev/null
kept() {
    pg_sql plumbline "SELECT epoch || '-' || sequence, source, convert_from(bytes, 'UTF8') FROM plumbline_store.quarantine"
}
is_kept() {
    [[ $(kept) == "$rubbish"$'\t'left-p1$'\t''this is no batch' ]]
}
check 'rubbish is in quarantine, with its bytes' wait_for 10 is_kept
# Its interval is not written yet: the next collector reads it again.
kill_collector 0
lab_probe left left-p1
check 'after rubbish the probe is back' excuse_probe left left-p1 "$ended" "$gone"

exact_close
check_equal 'it is told once' 1 "$(grep -c 'does not decode' "$TEST_DIR/collector.log")"
check 'and kept once' is_kept
check_equal 'the delta-t that was torn off is unknown' unknown "$(state_of fast "$from")"
check_equal 'the one before it is measured' measured "$(state_of fast "$((from - 1000000000))")"
exact_check 'a torn tail and rubbish: every delta-t exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
