# servers.sh - a PostgreSQL and a Redis of one's own.
#
# Sources base.sh.  Each lives in a folder, listens on a UNIX socket there (which a
# process in any network namespace reaches) and, if asked, on a free loopback
# port.  Started and ended by pid; kept data, when started again, is used.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/base.sh
declare -F test_init >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/base.sh"
# shellcheck source=tests/lib/session.sh
. "$(dirname "${BASH_SOURCE[0]}")/session.sh"

# Set by pg_start: where it listens.  PG_CONNINFO is for libpq, without a database.
PG_DIR=
PG_PORT=
PG_CONNINFO=
# Of this server's version: psql as such is a script that looks for it each time.
PG_PSQL=
# Set by redis_start.
REDIS_DIR=
REDIS_ADDRESS=

pg_bin() {
    local d
    for d in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
        if [[ -x $d/postgres ]]; then
            echo "$d"
            return 0
        fi
    done
    return 1
}

# What PostgreSQL is started by, if not directly.
PG_BY=()

# as_postgres COMMAND ...: becomes that user in place: under start(), its pid is the
# command's.
as_postgres() {
    $TEST_EXEC "${PG_BY[@]}" setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$PG_DIR" "$@"
}

# free_port: a loopback TCP port that nobody listens on now.
free_port() {
    local port
    for ((;;)); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
}

# pg_make DIR: the cluster DIR/data, as initdb leaves it; DIR is user postgres's.
pg_make() {
    (cd / && as_postgres "$(pg_bin)/initdb" --no-sync --no-locale --encoding=UTF8 --auth=trust \
        --username=postgres --pgdata="$1/data") >"$1/initdb.log" 2>&1 || {
        cat "$1/initdb.log" >&2
        return 1
    }
}

# pg_init DIR: an empty cluster; fsync stays on, locale C; its shared segments are files of its
# folder, for those of one that was killed and not started again would stay in /dev/shm.  With PLUMBLINE_EMPTY_CLUSTER a
# copy of the one there, which pg_make made.
pg_init() {
    PG_DIR=$1
    mkdir -p "$PG_DIR"
    chown postgres:postgres "$PG_DIR"
    chmod 711 "$PG_DIR"
    if [[ -n ${PLUMBLINE_EMPTY_CLUSTER:-} ]]; then
        cp -a "$PLUMBLINE_EMPTY_CLUSTER" "$PG_DIR/data" || return 1
    else
        pg_make "$PG_DIR" || return 1
    fi
    cat >>"$PG_DIR/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$PG_DIR'
max_connections = 40
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
max_wal_size = 512MB
log_min_messages = warning
END
}

# pg_start DIR [tcp]: makes the cluster if there is none, starts it as process
# "postgres", waits until it answers.
pg_start() {
    local options=()
    PG_DIR=$1
    PG_PSQL=$(pg_bin)/psql
    if [[ ! -s $PG_DIR/data/PG_VERSION ]]; then
        pg_init "$PG_DIR" || return 1
    fi
    session_make || return 1
    PG_PORT=5432
    PG_CONNINFO="host=$PG_DIR port=5432 user=postgres"
    if [[ ${2:-} == tcp ]]; then
        PG_PORT=${PG_TCP_PORT:-$(free_port)}
        options=(-c listen_addresses=127.0.0.1 -c "port=$PG_PORT")
        PG_CONNINFO="host=127.0.0.1 port=$PG_PORT user=postgres"
    fi
    start postgres as_postgres "$(pg_bin)/postgres" -D "$PG_DIR/data" "${options[@]}"
    wait_for 30 pg_up "${options[@]}" || {
        cat "$TEST_DIR/postgres.log" >&2
        return 1
    }
}

# After kill -9 the old server's children hold its shared memory until they notice; a
# new one ends at once then, and is started again.
pg_up() {
    pg_answers && return 0
    if ! alive postgres; then
        wait "${TEST_PID[postgres]:-}" 2>/dev/null
        start postgres as_postgres "$(pg_bin)/postgres" -D "$PG_DIR/data" "$@"
    fi
    return 1
}

pg_answers() {
    PGCONNECT_TIMEOUT=3 pg_sql postgres 'SELECT 1'
}

# pg_sql DATABASE SQL [ARGUMENT ...]: tab-separated, no headings.
pg_sql() {
    local db=$1 sql=$2
    shift 2
    [[ -n $PG_PSQL ]] || PG_PSQL=$(pg_bin)/psql
    # Where databases are made and dropped the server is asked, and the session must not hold one.
    if (($# == 0)) && [[ $db != postgres ]]; then
        session_ask "$db" "$sql" && return 0
    elif [[ $sql == *DATABASE* ]]; then
        session_close
    fi
    "$PG_PSQL" -X -q -A -t -F $'\t' -v ON_ERROR_STOP=1 -h "$PG_DIR" -p "$PG_PORT" -U postgres -d "$db" -c "$sql" "$@"
}

# A fast shutdown; data stays.
pg_stop() {
    stop postgres INT 20
}

# redis_start DIR [OPTION ...]: AOF everysec, noeviction; process "redis".
redis_start() {
    REDIS_DIR=$1
    shift
    mkdir -p "$REDIS_DIR"
    REDIS_ADDRESS="unix:$REDIS_DIR/redis.sock"
    start redis redis-server --port 0 --unixsocket "$REDIS_DIR/redis.sock" --dir "$REDIS_DIR" \
        --appendonly yes --appendfsync everysec --save '' --maxmemory 512mb \
        --maxmemory-policy noeviction --daemonize no "$@"
    wait_for 10 redis_answers || {
        cat "$TEST_DIR/redis.log" >&2
        return 1
    }
}

redis_do() {
    redis-cli -s "$REDIS_DIR/redis.sock" "$@"
}

redis_answers() {
    [[ $(redis_do ping 2>/dev/null) == PONG ]]
}

redis_stop() {
    stop redis TERM 10
}
