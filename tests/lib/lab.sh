# lab.sh - Plumbline itself in a test: probes in namespaces, a collector, the
# command, over a Redis and a PostgreSQL of one's own.
#
# Sources netns.sh, servers.sh.  The script writes LAB_INVENTORY first.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/netns.sh
declare -F ns_add >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/netns.sh"
# shellcheck source=tests/lib/servers.sh
declare -F pg_start >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

# Where the programs were built, and the source tree.
LAB_BUILD=${PLUMBLINE_BUILD:-.}
LAB_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_TRUTH=$LAB_TOP/tests/netns/truth.py
LAB_INVENTORY=

need_lab() {
    local p
    need_root
    need_program ip python3 redis-server redis-cli setpriv
    pg_bin >/dev/null || need_program postgres
    for p in plumbline plumbline-probe plumbline-collector tests/netns/linkemu; do
        if [[ ! -x $LAB_BUILD/$p ]]; then
            echo "skipped: $LAB_BUILD/$p is not built" >&2
            exit 77
        fi
    done
}

# lab_database: PostgreSQL, migrated; plumbline.yaml for the command.
lab_database() {
    pg_start "$TEST_DIR/pg" && pg_sql postgres 'CREATE DATABASE plumbline' || return 1
    if ! lab_cli migrate >>"$TEST_DIR/migrate.log" 2>&1; then
        cat "$TEST_DIR/migrate.log" >&2
        return 1
    fi
}

# lab_cli VERB [ARGUMENT ...]
lab_cli() {
    local verb=$1
    shift
    cat >"$TEST_DIR/plumbline.yaml.new" <<END
inventory: $LAB_INVENTORY
redis: { address: "$REDIS_ADDRESS" }
postgresql: { conninfo: "$PG_CONNINFO dbname=plumbline" }
END
    cmp -s "$TEST_DIR/plumbline.yaml.new" "$TEST_DIR/plumbline.yaml" ||
        mv "$TEST_DIR/plumbline.yaml.new" "$TEST_DIR/plumbline.yaml"
    PLUMBLINE_SQLDIR=$LAB_TOP/sql "$LAB_BUILD/plumbline" "$verb" --config "$TEST_DIR/plumbline.yaml" "$@"
}

# What a probe is started by, if not directly.
LAB_PROBE_BY=()

# Whether probes follow the paths of their links: packets that most tests do not count.
LAB_TRACE=false

# lab_probe NAMESPACE PROBE [LINE ...]: starts it with these further lines of
# probe.yaml; samples go to TEST_DIR/PROBE.tsv.
lab_probe() {
    local ns=$1 probe=$2
    shift 2
    {
        printf '%s\n' "probe: $probe" "inventory: ${LAB_PROBE_INVENTORY:-$LAB_INVENTORY}" \
            "redis: { address: \"$REDIS_ADDRESS\" }" "spool: { folder: $TEST_DIR/spool-$probe${LAB_SPOOL:-} }" \
            "sample_log: $TEST_DIR/$probe.tsv" "trace: $LAB_TRACE" "$@"
    } >"$TEST_DIR/$probe.yaml"
    start "$probe" ns_exec "$ns" "${LAB_PROBE_BY[@]}" "$LAB_BUILD/plumbline-probe" --config "$TEST_DIR/$probe.yaml"
}

# lab_collector NAME [LINE ...]
lab_collector() {
    local name=$1
    shift
    {
        printf '%s\n' "collector: $name" "inventory: $LAB_INVENTORY" \
            "redis: { address: \"$REDIS_ADDRESS\" }" \
            "postgresql: { conninfo: \"$PG_CONNINFO dbname=plumbline\" }" "$@"
    } >"$TEST_DIR/$name.yaml"
    start "$name" ${LAB_COLLECTOR_IN:+ns_exec "$LAB_COLLECTOR_IN"} "$LAB_BUILD/plumbline-collector" --config "$TEST_DIR/$name.yaml"
}

# lab_rows: plumbline.v_interval as truth.py reads it.  A probe's name begins with
# its site, a link's with that of its first end.
lab_rows() {
    printf 'object\tobserver_end\tdirection\tclass\tflow\tstart_ns\tsent\treceived\tlost\tlost_undirected\tduplicate\tunknown_dt\tunknown\n'
    pg_sql plumbline "SELECT object, (split_part(object, '-', 1) <> split_part(observer, '-', 1))::int,
        direction, class, flow, (extract(epoch FROM start) * 1000000000)::bigint,
        sent, received, lost, lost_undirected, duplicate, unknown_dt, unknown
        FROM plumbline.v_interval ORDER BY start, object, observer, class, flow, direction"
}

# lab_row_count: how many rows there are of intervals that start at or after $1 ns.
lab_row_count() {
    pg_sql plumbline "SELECT count(*) FROM plumbline.v_interval
        WHERE start >= to_timestamp(${1:-0} / 1e9)"
}

# lab_has_rows N [SINCE_NS]
lab_has_rows() {
    [[ $(lab_row_count "${2:-0}" 2>/dev/null) -ge $1 ]]
}

# source_field SOURCE NAME: as status has it.
source_field() {
    lab_cli status --json 2>/dev/null | python3 -c 'import json, sys
print(next(s for s in json.load(sys.stdin)["sources"] if s["source"] == sys.argv[1])[sys.argv[2]])' "$1" "$2"
}

now_ns() {
    date +%s%N
}
