#!/bin/bash
# test-fence.sh - two collectors that both believe they own a source: one is cut off
# from PostgreSQL, the other takes over, the first is let back; and one is overtaken
# in the middle of a commit.  What is written late changes nothing.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
need_program nft
test_init fence

# PostgreSQL is in a namespace of its own and also listens on a wire to another one,
# from where collector "second" comes.
ns_add db
ns_add apart
wire_add db d0 10.79.0.1/30 apart a0 10.79.0.2/30
PG_BY=(ip netns exec "$TEST_ID-db")
pg_init "$TEST_DIR/pg" || exit 1
echo "listen_addresses = '10.79.0.1'" >>"$PG_DIR/data/postgresql.conf"
echo 'host all all 10.79.0.2/32 trust' >>"$PG_DIR/data/pg_hba.conf"

second() {
    local PG_CONNINFO="host=10.79.0.1 port=5432 user=postgres" LAB_COLLECTOR_IN=apart
    lab_collector second
}

owner_of() {
    pg_sql plumbline "SELECT owner FROM plumbline_store.source_position WHERE source = '$1'"
}

owns() {
    [[ $(owner_of "$2") == "$1" ]]
}

check 'the lab is up' pair_set_up --seed 7 || test_end
check 'a collector has both sources' wait_for 20 eval 'owns collector left-p1 && owns collector right-p1'
stop collector
second
emu_tell 'both delay 2ms loss 1% dup 0.5%' >/dev/null
lab_probe right right-p1
lab_probe left left-p1
check 'rows come within 30 s' wait_for 30 lab_has_rows 6
exact_begin
lab_collector collector
check 'two collectors share two sources' wait_for 20 owns collector right-p1
check_equal 'the second keeps the other' second "$(owner_of left-p1)"

# Asleep it goes on to believe; cut off, PostgreSQL takes it for dead.
kill -STOP "${TEST_PID[second]}"
ip netns exec "$TEST_ID-apart" nft -f - <<'END'
table ip cut {
    chain in { type filter hook input priority 0; tcp sport 5432 drop; }
    chain out { type filter hook output priority 0; tcp dport 5432 drop; }
}
END
check 'the other takes over from who is cut off' wait_for 40 owns collector left-p1
# It has written since.
taken=$(now_ns)
check 'and writes' rows_since "$taken"
ip netns exec "$TEST_ID-apart" nft flush ruleset
kill -CONT "${TEST_PID[second]}"
check 'let back, it finds that its connection is gone' wait_for 20 grep -q 'PostgreSQL, working' "$TEST_DIR/second.log"
check 'the two share again' wait_for 30 eval 'owns second left-p1 || owns second right-p1'
mine=left-p1
owns second right-p1 && mine=right-p1
check 'rows come again' rows_since "$(now_ns)"

# In the middle of its commit somebody else has the source.
fences() {
    pg_sql plumbline "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE plumbline_store.source_position SET epoch%'"
}
in_commit() {
    [[ $(fences) -ge 1 ]]
}
mkfifo "$TEST_DIR/sql"
"$(pg_bin)/psql" -X -q -h "$PG_DIR" -U postgres -d plumbline <"$TEST_DIR/sql" >"$TEST_DIR/overtake.log" 2>&1 &
TEST_PID[overtake]=$!
exec 5>"$TEST_DIR/sql"
echo "BEGIN; UPDATE plumbline_store.source_position SET owner_run = 1, owner = 'other' WHERE source = '$mine';" >&5
check 'it is about to commit' wait_for 20 in_commit
echo 'COMMIT;' >&5
exec 5>&-
check 'its commit is refused and changes nothing' wait_for 10 \
    grep -q "$mine: not ours any more: a commit was refused" "$TEST_DIR/second.log"
check 'nobody else is there: it takes the source again' wait_for 20 owns second "$mine"
stop second
check 'when it ends, the other takes all' wait_for 20 owns collector "$mine"

exact_close
exact_check 'two owners: every delta-t exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
