#!/bin/bash
# test-cluster.sh - a Redis Cluster of three masters and a replica: each source finds the
# node of its slot, follows it when the slot moves, and after a failover; the collector
# reads from all of them.  No delta-t is lost, none comes twice.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"
# shellcheck source=tests/lib/cluster.sh
. "$here/../lib/cluster.sh"

need_lab
test_init cluster

check 'three masters make a cluster' cluster_start 3 0 || test_end

# on_node N LETTER: the first name with that letter whose stream is on that node.
on_node() {
    local i
    for ((i = 1; i < 100; i++)); do
        if [[ $(cluster_owner "pl:{$2$i}:t") == "$1" ]]; then
            echo "$2$i"
            return 0
        fi
    done
    return 1
}

# The nodes are asked in the order of the configuration: neither source is at the first.
a=$(on_node 2 a)
b=$(on_node 3 b)
check 'a source for the second and one for the third node' test -n "$a" -a -n "$b" || test_end
REDIS_ADDRESS="127.0.0.1:${CLUSTER_PORT[1]},127.0.0.1:${CLUSTER_PORT[2]},127.0.0.1:${CLUSTER_PORT[3]}"

# The third node gets a replica.
add_replica() {
    local master
    CLUSTER_PORT[4]=$(free_port)
    cluster_node 4 && cluster_do 1 cluster meet 127.0.0.1 "${CLUSTER_PORT[4]}" >/dev/null || return 1
    master=$(cluster_do 3 cluster myid)
    wait_for 20 knows 4 "$master" && cluster_do 4 cluster replicate "$master" >/dev/null &&
        wait_for 30 replicates
}
knows() {
    cluster_do "$1" cluster nodes | grep "$2" | grep -q master
}
replicates() {
    cluster_do 4 info replication | grep -q 'master_link_status:up'
}
check 'and a replica of the third' add_replica || test_end

LAB_INVENTORY=$TEST_DIR/inventory.yaml
reflect=$((10000 + RANDOM % 9000))
cat >"$LAB_INVENTORY" <<END
inventory: 1
interval: 10s
sites: { x: {}, y: {} }
probes: { $a: { site: x }, $b: { site: y } }
classes: { fast: { period: 100ms, dt: 1s, tmax: 1s } }
links:
  x-y:
    probe_from: both
    ends:
      - { probe: $a, address: 127.0.0.1, port: $((reflect + 1)) }
      - { probe: $b, address: 127.0.0.2, port: $((reflect + 2)) }
    classes: [fast]
END
lab_database || test_end
lab_collector collector

# probe NAME NUMBER: on this host's loopback, where the cluster is.
probe() {
    cat >"$TEST_DIR/$1.yaml" <<END
probe: $1
inventory: $LAB_INVENTORY
redis: { address: "$REDIS_ADDRESS", timeout: 2s }
spool: { folder: $TEST_DIR/spool-$1 }
port: $((reflect + $2))
source_port: $((reflect + 10 * $2))
END
    start "$1" "$LAB_BUILD/plumbline-probe" --config "$TEST_DIR/$1.yaml"
}
probe "$a" 1
probe "$b" 2

# rows_since SOURCE NS: an interval that began after that is written.
rows_since() {
    [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline.v_interval
        WHERE observer = '$1' AND start >= to_timestamp($2 / 1e9)" 2>/dev/null) -ge 3 ]]
}
began=$(now_ns)
check 'rows of the source at the second node' wait_for 60 rows_since "$a" "$began"
check 'and of the one at the third' wait_for 60 rows_since "$b" "$began"
check 'each was sent on from the first' grep -q 'MOVED' "$TEST_DIR/$a.log" "$TEST_DIR/$b.log"

# The slot of the first source goes from the second node to the first, key by key, and
# stays on its way for a while.
slot=$(cluster_do 1 cluster keyslot "pl:{$a}:t")
id1=$(cluster_do 1 cluster myid)
id2=$(cluster_do 2 cluster myid)
move_begin() {
    [[ $(cluster_do 1 cluster setslot "$slot" importing "$id2") == OK ]] &&
        [[ $(cluster_do 2 cluster setslot "$slot" migrating "$id1") == OK ]] &&
        [[ $(cluster_do 2 migrate 127.0.0.1 "${CLUSTER_PORT[1]}" '' 0 5000 keys "pl:{$a}:t" "pl:{$a}:ack" "pl:{$a}:live") =~ OK ]]
}
move_end() {
    local n
    for n in 1 2 3; do
        [[ $(cluster_do "$n" cluster setslot "$slot" node "$id1") == OK ]] || return 1
    done
}
# Between two of the collector's writes, which would make a key again.
check 'a slot is on its way' wait_for 20 move_begin
check 'its source asks at the other node' wait_for 30 grep -q 'ASK ' "$TEST_DIR/$a.log"
check 'the slot has moved' move_end
moved=$(now_ns)
check 'rows of its source come from there' wait_for 60 rows_since "$a" "$moved"
check_equal 'where its stream is' 1 "$(cluster_do 1 exists "pl:{$a}:t")"

# The third node dies; its replica takes over, perhaps without the last entries.
stop node3 KILL
failover_done() {
    cluster_do 1 cluster nodes | grep ":${CLUSTER_PORT[4]}@" | grep -q master
}
check 'the replica takes over' wait_for 30 failover_done
failed=$(now_ns)
check 'rows of the source that was at the dead node' wait_for 60 rows_since "$b" "$failed"
check 'and still of the other' wait_for 60 rows_since "$a" "$failed"

# Nothing is missing: from the first whole interval on, one row for each.
check_equal 'no interval is missing and none is there twice' 0 "$(pg_sql plumbline "SELECT count(*) FROM (
    SELECT start - lag(start) OVER (PARTITION BY observer, direction ORDER BY start) AS step
    FROM plumbline.v_interval) s WHERE step <> interval '10 s'")"
check_equal 'no delta-t is unknown, but those of the beginning' 0 "$(pg_sql plumbline "SELECT COALESCE(sum(unknown_dt), 0)
    FROM plumbline.v_interval WHERE start >= to_timestamp($began / 1e9) + interval '15 s'")"
test_end
