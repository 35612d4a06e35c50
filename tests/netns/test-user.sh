#!/bin/bash
# test-user.sh - probe and collector with no more than the units in dist/ leave them: a
# user of their own, the unit's capabilities, no new privileges.  They measure, and the
# timing thread has its priority.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
test_init user

need_program chrt

# unit_value UNIT KEY
unit_value() {
    sed -n "s/^$2=//p" "$LAB_TOP/dist/$1.service"
}

# as_unit UNIT: the words before a command that make of it what systemd would.
as_unit() {
    local caps
    caps=$(unit_value "$1" AmbientCapabilities | tr '[:upper:]' '[:lower:]' | sed 's/cap_/+/g; s/ /,/g')
    caps=-all${caps:+,$caps}
    printf '%s\n' setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps="$caps" \
        --ambient-caps="$caps" --bounding-set="$caps" --no-new-privs
}

# its_caps NAME: in force, in hexadecimal.
its_caps() {
    sed -n 's/^CapEff:\t0*\([0-9a-f]\)/\1/p' "/proc/${TEST_PID[$1]}/status"
}

timing_is_fifo() {
    local task
    for task in /proc/"${TEST_PID[$1]}"/task/*; do
        if [[ $(<"$task/comm") == timing ]]; then
            chrt -p "${task##*/}" | grep -q 'SCHED_FIFO'
            return
        fi
    done
    return 1
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
pair_inventory "$LAB_INVENTORY"
ns_add left
ns_add right
wire_add left w0 10.77.0.1/30 right w0 10.77.0.2/30
redis_start "$TEST_DIR/redis" --unixsocketperm 777 && lab_database || test_end
for p in left-p1 right-p1; do
    install -d -o nobody -g nogroup "$TEST_DIR/spool-$p"
    install -o nobody -g nogroup -m 600 /dev/null "$TEST_DIR/$p.tsv"
done
# Not where this script itself may not have it, as in some containers.
ulimit -r "$(unit_value plumbline-probe LimitRTPRIO)" 2>/dev/null && may_rt=1
mapfile -t LAB_PROBE_BY < <(as_unit plumbline-probe)
lab_probe left left-p1
lab_probe right right-p1
lab_collector collector
stop collector
start collector $(as_unit plumbline-collector) "$LAB_BUILD/plumbline-collector" --config "$TEST_DIR/collector.yaml"
check 'rows arrive' wait_for 60 lab_has_rows 6
check_equal 'nothing was lost' 0 "$(pg_sql plumbline 'SELECT sum(lost) FROM plumbline.v_interval')"
check_equal 'the probe has two capabilities, of port and interface' 2400 "$(its_caps left-p1)"
check_equal 'the collector has none' 0 "$(its_caps collector)"
[[ -z ${may_rt:-} ]] || check 'the timing thread has its priority all the same' timing_is_fifo left-p1
test_end
