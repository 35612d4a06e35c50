#!/bin/bash
# test-servers.sh - the private PostgreSQL and Redis that other tests stand on:
# they start, keep what was written over a crash, and go away.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/servers.sh
. "$here/../lib/servers.sh"

need_root
need_program redis-server redis-cli setpriv
pg_bin >/dev/null || need_program postgres
test_init servers

# value DATABASE-LESS: what PostgreSQL has kept.
pg_value() {
    pg_sql postgres 'SELECT sum(n) FROM kept'
}

redis_value() {
    redis_do get kept
}

before=$(now_ms)
check 'a wait fails when its time is over' eval '! TEST_PATIENCE=1 wait_for 0.5 false'
spent=$(($(now_ms) - before))
check 'not earlier' test "$spent" -ge 450

check 'PostgreSQL starts' pg_start "$TEST_DIR/pg"
check_equal 'it syncs to disk' on "$(pg_sql postgres 'SHOW fsync')"
check_equal 'its locale is C' C "$(pg_sql postgres 'SHOW lc_collate')"
check 'it takes rows' pg_sql postgres 'CREATE TABLE kept AS SELECT generate_series(1, 4) AS n'
# One of its children is kept from noticing for a while.
child=$(pgrep -P "${TEST_PID[postgres]}" | head -n 1)
at_exit kill -CONT "$child"
kill -STOP "$child"
stop postgres KILL
(sleep 2 && kill -CONT "$child") &
check 'it starts again after kill -9' pg_start "$TEST_DIR/pg"
check_equal 'what was committed is there' 10 "$(pg_value)"
check 'it ends when told' pg_stop
check 'it listens on a loopback port when asked' pg_start "$TEST_DIR/pg" tcp
check_equal 'and there it answers' 10 \
    "$("$(pg_bin)/psql" -X -At -d "$PG_CONNINFO dbname=postgres" -c 'SELECT sum(n) FROM kept')"
check 'it ends again' pg_stop

check 'Redis starts' redis_start "$TEST_DIR/redis"
check_equal 'it never evicts' noeviction "$(redis_do config get maxmemory-policy | tail -n 1)"
redis_do set kept 7 >/dev/null
check 'it ends when told' redis_stop
check 'it starts again' redis_start "$TEST_DIR/redis"
check_equal 'what was written is there' 7 "$(redis_value)"
test_end
