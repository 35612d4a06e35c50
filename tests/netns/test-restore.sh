#!/bin/bash
# test-restore.sh - PostgreSQL is restored from an older base backup: what was
# written since is gone, the collector wants it, the sources have it in their spools,
# and every delta-t is there exactly once again.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init restore
exact_set_up
check 'rows come that the backup will have' rows_since "$EXACT_FROM"

check 'a base backup is made' as_postgres "$(pg_bin)/pg_basebackup" -h "$PG_DIR" -U postgres -D "$PG_DIR/backup" \
    --checkpoint=fast --wal-method=stream
taken=$(now_ns)
check 'rows come after it' rows_since "$taken"
before=$(lab_row_count)
children=$(pgrep -P "${TEST_PID[postgres]}")
stop postgres KILL 5
wait_for 20 none_alive "$children"
mv "$PG_DIR/data" "$PG_DIR/lost"
mv "$PG_DIR/backup" "$PG_DIR/data"
check 'PostgreSQL starts from the backup' pg_start "$PG_DIR"
check 'rows that had been written are gone' test "$(lab_row_count)" -lt "$before"
check 'the collector asks for what is missing' wait_for 30 grep -q 'asked for again' "$TEST_DIR/collector.log"

exact_close
exact_check 'PostgreSQL restored: every delta-t exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
