#!/bin/bash
# test-redis-away.sh - Redis is away for 30 s, and Redis is full and has room again:
# sources spool, and every delta-t comes exactly once.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init redis-away
exact_set_up

check 'Redis is back after 30 s' kill_redis 30
again=$(now_ns)
check 'rows come again' rows_since "$again"

# Full from one command to the next, so that it is so in the middle of requests too;
# then full for 12 s.
full=$(now_ns)
for ((i = 0; i < 15; i++)); do
    redis_do config set maxmemory 1 >/dev/null
    sleep "0.$((RANDOM % 4 + 1))"
    redis_do config set maxmemory 512mb >/dev/null
    sleep "0.$((RANDOM % 4 + 1))"
done
redis_do config set maxmemory 1 >/dev/null
sleep 12
redis_do config set maxmemory 512mb >/dev/null
check 'the source says why it waits' grep -q 'refused: OOM' "$TEST_DIR/left-p1.log"

exact_close
exact_check 'Redis away for 30 s: every delta-t exactly once, and right' "$EXACT_FROM" "$(exact_border "$full")"
exact_check 'Redis out of memory and back: every delta-t exactly once, and right' "$(exact_border "$full")" "$PAIR_UNTIL"
test_end
