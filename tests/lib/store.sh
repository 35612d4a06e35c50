# store.sh - for scripts about what is in PostgreSQL: a database with Plumbline's schema, if
# wanted a Redis and collectors, the command; no probes, no namespaces.
#
# Sources servers.sh.  First store_begin; then the script writes its inventory
# ($STORE_INVENTORY); then store_start.  All of it ends with the script.
# shellcheck shell=bash disable=SC2034,SC2154

STORE_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STORE_BUILD=$(cd "${PLUMBLINE_BUILD:-.}" && pwd)
# shellcheck source=tests/lib/servers.sh
. "$STORE_TOP/tests/lib/servers.sh"
# The schema of this tree, whatever is installed.
export PLUMBLINE_SQLDIR=$STORE_TOP/sql

# What all configurations name; a script may say another before store_servers.
STORE_INVENTORY=
STORE_REDIS=

# store_begin NAME [PROGRAM ...]: skips the script where these programs or a PostgreSQL to start
# are not to be had, and calls test_init.  With redis-server among them there will be a Redis.
store_begin() {
    local name=$1
    shift
    [[ $(id -u) -eq 0 ]] || {
        echo "skipped: PostgreSQL of one's own is started by root as user postgres" >&2
        exit 77
    }
    need_program setpriv "$@"
    pg_bin >/dev/null || need_program postgres
    [[ " $* " == *' redis-server '* ]] && STORE_REDIS=yes
    test_init "$name"
    STORE_INVENTORY=$TEST_DIR/inventory.yaml
}

# store_servers: an empty database, the Redis, and plumbline.yaml.
store_servers() {
    [[ -z $STORE_REDIS ]] || check 'Redis starts' redis_start "$TEST_DIR/redis" || test_end
    check 'PostgreSQL starts' pg_start "$TEST_DIR/pg" || test_end
    pg_sql postgres 'CREATE DATABASE plumbline'
    {
        echo "inventory: $STORE_INVENTORY"
        [[ -z $STORE_REDIS ]] || echo "redis: { address: \"$REDIS_ADDRESS\" }"
        echo "postgresql: { conninfo: \"$PG_CONNINFO dbname=plumbline\" }"
    } >"$TEST_DIR/plumbline.yaml"
}

# store_start: the same, and the schema.
store_start() {
    store_servers
    plumbline migrate >"$TEST_DIR/migrate.log" 2>&1 && return 0
    cat "$TEST_DIR/migrate.log" >&2
    check 'the schema is made' false
    test_end
}

# store_collector NAME [LINE ...]: starts it as process NAME; the first time, NAME.yaml is made
# with these further lines.
store_collector() {
    local name=$1
    shift
    [[ -e $TEST_DIR/$name.yaml ]] || {
        cat "$TEST_DIR/plumbline.yaml"
        printf '%s\n' "collector: $name" "$@"
    } >"$TEST_DIR/$name.yaml"
    start "$name" "$STORE_BUILD/plumbline-collector" --config "$TEST_DIR/$name.yaml"
}

# plumbline VERB ARG ...
plumbline() { "$STORE_BUILD/plumbline" "$@" --config "$TEST_DIR/plumbline.yaml"; }

# does VERB ARG ...: its status in $status, what it said in TEST_DIR/out and err.
does() {
    plumbline "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}

# says out|err PATTERN: of what it said last.
says() { grep -qE -- "$2" "$TEST_DIR/$1" || { cat "$TEST_DIR/out" "$TEST_DIR/err" >&2; return 1; }; }

# feed <SCRIPT: entries of streams, tests/collector/feed.c.
feed() { "$STORE_BUILD/tests/collector/feed" "$REDIS_DIR/redis.sock" >/dev/null; }

sql() { pg_sql plumbline "$1"; }

# answers SQL WANTED: whether the database says so now.
answers() { [[ $(sql "$1" 2>/dev/null) == "$2" ]]; }

# becomes SENTENCE WANTED SQL: in time.
becomes() {
    wait_for 60 answers "$3" "$2" 2>/dev/null || true
    check_equal "$1" "$2" "$(sql "$3" 2>&1)"
}
