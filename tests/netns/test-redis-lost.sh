#!/bin/bash
# test-redis-lost.sh - Redis forgets: wiped while it runs, its folder deleted between
# stop and start, an older append-only file put in place of the newest.  Sources
# send again what is not committed; every delta-t comes exactly once.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init redis-lost
exact_set_up

# Nobody has read what is wiped.
stop collector KILL 5
sleep 5
redis_do flushall >/dev/null
sleep 2
lab_collector collector
wiped=$(now_ns)
check 'wiped while it ran: rows come again' rows_since "$wiped"

stop collector KILL 5
sleep 5
redis_stop
rm -rf "$REDIS_DIR/appendonlydir"
deleted=$(now_ns)
check 'without its folder Redis starts' redis_start "$REDIS_DIR"
lab_collector collector
check 'its folder deleted: rows come again' rows_since "$deleted"

cp -a "$REDIS_DIR/appendonlydir" "$TEST_DIR/older"
check 'rows come after the copy was made' rows_since "$(now_ns)"
sleep 3
stop redis KILL 5
rm -rf "$REDIS_DIR/appendonlydir"
mv "$TEST_DIR/older" "$REDIS_DIR/appendonlydir"
check 'with an older file Redis starts' redis_start "$REDIS_DIR"
sleep 3

exact_close
exact_check 'Redis wiped: every delta-t exactly once, and right' "$EXACT_FROM" "$(exact_border "$wiped")"
exact_check 'its folder deleted: every delta-t exactly once, and right' "$(exact_border "$wiped")" "$(exact_border "$deleted")"
exact_check 'restored from an older file: every delta-t exactly once, and right' "$(exact_border "$deleted")" "$PAIR_UNTIL"
test_end
