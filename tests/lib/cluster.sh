# cluster.sh - a Redis Cluster of one's own: three masters, and replicas if wanted, on
# loopback.
#
# Sources servers.sh.  Node N (from 1) is process "nodeN" on port
# CLUSTER_PORT[N]; its bus is 10000 above.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/servers.sh
declare -F pg_start >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

declare -A CLUSTER_PORT=()

# cluster_node N [OPTION ...]
cluster_node() {
    local n=$1 dir=$TEST_DIR/node$1
    shift
    mkdir -p "$dir"
    start "node$n" redis-server --port "${CLUSTER_PORT[$n]}" --bind 127.0.0.1 --dir "$dir" --save '' \
        --appendonly yes --appendfsync everysec --maxmemory-policy noeviction --cluster-enabled yes \
        --cluster-config-file nodes.conf --cluster-node-timeout 2000 --daemonize no "$@"
    wait_for 20 cluster_answers "$n"
}

cluster_do() {
    local n=$1
    shift
    redis-cli -p "${CLUSTER_PORT[$n]}" "$@"
}

cluster_answers() {
    [[ $(cluster_do "$1" ping 2>/dev/null) == PONG ]]
}

cluster_is_whole() {
    local n
    for n in "${!CLUSTER_PORT[@]}"; do
        alive "node$n" || continue
        cluster_do "$n" cluster info | grep -q 'cluster_state:ok' || return 1
    done
}

# cluster_start NODES REPLICAS: of each master.
cluster_start() {
    local n nodes=()
    for ((n = 1; n <= $1; n++)); do
        CLUSTER_PORT[$n]=$(free_port)
        cluster_node "$n" || return 1
        nodes+=("127.0.0.1:${CLUSTER_PORT[$n]}")
    done
    redis-cli --cluster create "${nodes[@]}" --cluster-replicas "$2" --cluster-yes >"$TEST_DIR/cluster.log" 2>&1 ||
        { cat "$TEST_DIR/cluster.log" >&2; return 1; }
    wait_for 30 cluster_is_whole
}

# cluster_owner KEY: the number of the node that has it.
cluster_owner() {
    local slot port n
    slot=$(cluster_do 1 cluster keyslot "$1")
    for n in "${!CLUSTER_PORT[@]}"; do
        alive "node$n" || continue
        port=$(cluster_do "$n" cluster slots | awk -v s="$slot" 'NR == 1 { a = $1 } { l[NR] = $1 }
            END { for (i = 1; i < NR; i++) if (l[i] ~ /^[0-9]+$/ && l[i + 1] ~ /^[0-9]+$/ && l[i + 2] ~ /\./ && s >= l[i] && s <= l[i + 1]) { print l[i + 3]; exit } }')
        [[ -n $port ]] && break
    done
    for n in "${!CLUSTER_PORT[@]}"; do
        [[ ${CLUSTER_PORT[$n]} == "$port" ]] && echo "$n"
    done
}
