#!/bin/bash
# test-session.sh - the psql that stays open (session.sh): whatever becomes of it, of the server
# and of those who ask, answers are those of a psql of one's own; it holds nobody up, and ends.
# shellcheck disable=SC2016,SC2034,SC2154
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/servers.sh
. "$here/../lib/servers.sh"

need_root
need_program setpriv
pg_bin >/dev/null || need_program postgres
test_init session

ask() { pg_sql kept "$1"; }
# stays: the last answer was that of the psql that stays.  psql_pid: its process.
stays() { [[ -s $TEST_DIR/session/state ]] && kill -0 "$(psql_pid)"; }
psql_pid() { cat "$TEST_DIR/session/pid"; }
sessions() { pg_sql postgres "SELECT count(*) FROM pg_stat_activity WHERE datname = 'kept'"; }

check 'PostgreSQL starts' pg_start "$TEST_DIR/pg" || test_end
pg_sql postgres 'CREATE DATABASE kept'
ask 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)'
check_equal 'an answer of lines and columns' $'1\ta\n2\tb\nc' "$(ask "SELECT 1, 'a' UNION ALL SELECT 2, 'b' || chr(10) || 'c' ORDER BY 1")"
check 'is of the psql that stays' stays
first=$(psql_pid)
check_equal 'an answer of nothing' '' "$(ask 'SELECT n FROM kept WHERE n > 2')"
check_equal 'an empty line is one' 'x' "$(ask "SELECT ''" | wc -l | sed 's/^1$/x/')"
long=$(ask "SELECT repeat('0123456789', 30000)")
check_equal 'a long answer is whole' 300000 "${#long}"
check_equal 'what was committed meanwhile is seen' 3 "$(ask 'INSERT INTO kept VALUES (3)' && ask 'SELECT max(n) FROM kept')"
check_equal 'a mistake is told as psql tells it' '1 ERROR:  column "m" does not exist' \
    "$(ask 'SELECT m FROM kept' 2>"$TEST_DIR/mistake"; echo "$? $(head -n 1 "$TEST_DIR/mistake")")"
check_equal 'after it all is well' 3 "$(ask 'SELECT max(n) FROM kept')"
ask "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'INSERT INTO kept VALUES (4) RETURNING n'"
check_equal 'a question that changes something is answered' 4 "$(ask 'SELECT more()')"
check_equal 'and changes it once' 1 "$(ask 'SELECT count(*) FROM kept WHERE n = 4')"
check_equal 'what one sets does not last' '9 t' "$(ask "SET extra_float_digits = 0; SET x.y = 9; SELECT current_setting('x.y')") $(ask "SELECT current_setting('x.y', true) IS NULL")"
check_equal 'with arguments for psql' '1|2' "$(pg_sql kept 'SELECT 1, 2' -F '|')"
check_equal 'a reader may lock no table for longer than he asks' 4 "$(ask 'SELECT count(*) FROM kept')"
check 'so that it can be dropped' ask 'DROP TABLE kept; CREATE TABLE kept AS SELECT generate_series(1, 4) AS n'
check_equal 'and is another one then' 10 "$(ask 'SELECT sum(n) FROM kept')"
check_equal 'of all that it was one psql' "$first" "$(psql_pid)"
check_equal 'in this time zone and in another' '00 02' "$(PGTZ=UTC ask "SELECT to_char(to_timestamp(0), 'HH24')") $(PGTZ=UTC-2 ask "SELECT to_char(to_timestamp(0), 'HH24')")"

# --- Several at once ---
many() {
    local i n wrong=0
    for ((i = 0; i < 30; i++)); do
        n=$RANDOM
        [[ $(ask "SELECT $n + 0 * count(*) FROM generate_series(1, 1000)") == "$n" ]] || wrong=1
    done
    return "$wrong"
}
at_once() {
    local i pids=() wrong=0
    for ((i = 0; i < 4; i++)); do
        many &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i" || wrong=1; done
    return "$wrong"
}
check 'of four at once each has his own answers' at_once

# --- Databases that are made, renamed and dropped; servers and psql that go away ---
check_equal 'it is there' 10 "$(ask 'SELECT sum(n) FROM kept')"
check 'stays' stays
check 'its database gets another name' pg_sql postgres 'ALTER DATABASE kept RENAME TO begun'
check 'nobody is there any more' test "$(sessions)" -eq 0
check 'a copy is made of it' pg_sql postgres 'CREATE DATABASE kept TEMPLATE begun'
check_equal 'which answers' 10 "$(ask 'SELECT sum(n) FROM kept')"
kill -KILL "$(psql_pid)"
check_equal 'psql is killed' 10 "$(ask 'SELECT sum(n) FROM kept')"
check_equal 'and another one stays' 10 "$(ask 'SELECT sum(n) FROM kept')"
check 'stays' stays
pg_sql postgres "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'kept'" >/dev/null
check_equal 'its server process is ended' 10 "$(ask 'SELECT sum(n) FROM kept')"
check_equal 'and another one stays' 10 "$(ask 'SELECT sum(n) FROM kept')"
check 'stays' stays
check 'the server ends' pg_stop
check 'a question to nobody fails' eval '! ask "SELECT 1" 2>/dev/null'
check 'it starts again' pg_start "$TEST_DIR/pg"
check_equal 'and answers' 10 "$(ask 'SELECT sum(n) FROM kept')"
stop postgres KILL
check 'it starts again after kill -9' pg_start "$TEST_DIR/pg"
check_equal 'and answers' 10 "$(ask 'SELECT sum(n) FROM kept')"
check_equal 'another psql stays' 10 "$(ask 'SELECT sum(n) FROM kept')"
check 'stays' stays

# --- One who asks is killed ---
last=$(psql_pid)
start locker "$PG_PSQL" -X -q -h "$PG_DIR" -U postgres -d kept -c 'BEGIN; LOCK TABLE kept' -c 'SELECT pg_sleep(300)'
waiting() { [[ $(pg_sql postgres "SELECT count(*) FROM pg_locks WHERE $1 AND mode = '$2'") -ge 1 ]]; }
check 'a table is locked' wait_for 30 waiting granted AccessExclusiveLock
start asker ask 'SELECT sum(n) FROM kept'
check 'one waits for it' wait_for 30 waiting 'NOT granted' AccessShareLock
check_equal 'who does not gets his answer' 7 "$(ask 'SELECT 7')"
stop asker KILL
check_equal 'he is killed, and the next one gets his too' 8 "$(ask 'SELECT 8')"
check 'by another psql, that stays' eval '[[ $(psql_pid) != "$last" ]] && stays'
stop locker
pg_sql postgres "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid()" >/dev/null
check_equal 'and later' 10 "$(ask 'SELECT sum(n) FROM kept')"

# --- The end of a script ---
cat >"$TEST_DIR/script.sh" <<END
. "$here/../lib/servers.sh"
test_init script
pg_start "\$TEST_DIR/pg" && pg_sql postgres 'CREATE DATABASE kept' && pg_sql kept 'SELECT 1' && pg_sql kept 'SELECT 2'
cat "\$TEST_DIR/session/pid"
"\$@"
END
mapfile -t said < <(bash "$TEST_DIR/script.sh" true)
check_equal 'a script asks' '1 2' "${said[0]} ${said[1]}"
check 'and when it has ended so has psql' eval '! kill -0 "${said[2]}" 2>/dev/null'
mapfile -t said < <(bash "$TEST_DIR/script.sh" eval 'kill -TERM $$; sleep 30' 2>/dev/null)
check 'so it has when it is told to end' eval '[[ -n ${said[2]} ]] && ! kill -0 "${said[2]}" 2>/dev/null'
test_end
