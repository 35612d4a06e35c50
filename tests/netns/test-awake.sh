#!/bin/bash
# test-awake.sh - 'cpu_latency' of probe.yaml: the kernel is told before root's rights are put
# down, hears it over an upgrade and no longer than it is wanted; who may not tell it measures
# all the same, and says so.
# shellcheck disable=SC2034,SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
need_program setpriv
DEVICE=/dev/cpu_dma_latency
if [[ ! -w $DEVICE ]]; then
    echo "skipped: this kernel has no $DEVICE" >&2
    exit 77
fi
test_init awake

# told PROBE N WORDS: whether its log has N lines with them by now.
told() {
    [[ $(grep -c -- "$3" "$TEST_DIR/$1.log") -ge $2 ]]
}

# holds PROBE: how often it has the file open.
holds() {
    find "/proc/${TEST_PID[$1]}/fd" -lname "$DEVICE" | wc -l
}

# The least that anybody asks for, in microseconds.
bound() {
    od -An -td4 -N4 "$DEVICE" | tr -d ' '
}

# upgrade N LATENCY: the N-th, to another setting.
upgrade() {
    local before=${TEST_PID[left-p1]}
    sed -i "s/^cpu_latency: .*/cpu_latency: $2/" "$TEST_DIR/left-p1.yaml"
    kill -USR2 "$before"
    check "it is taken over with cpu_latency: $2" wait_for 30 told left-p1 "$1" 'has taken over in' || test_end
    TEST_PID[left-p1]=$(grep 'has taken over in' "$TEST_DIR/left-p1.log" | tail -n 1 | sed 's/.*process \([0-9]*\),.*/\1/')
    check '... whole' wait_for 30 told left-p1 $(($1 + 1)) ' sessions, answers on'
    check '... and the one before ends' wait_for 30 eval "! kill -0 $before 2>/dev/null"
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
pair_inventory "$LAB_INVENTORY"
ns_add left
ns_add right
wire_add left w0 10.77.0.1/30 right w0 10.77.0.2/30
redis_start "$TEST_DIR/redis" --unixsocketperm 777 || test_end
for p in left-p1 right-p1; do
    install -d -o nobody -g nogroup "$TEST_DIR/spool-$p"
    install -o nobody -g nogroup -m 600 /dev/null "$TEST_DIR/$p.tsv"
done
lab_probe left left-p1 'user: nobody' 'cpu_latency: 15us'
check 'a probe that becomes another user begins' wait_for 30 told left-p1 1 ' sessions, answers on' || test_end
check 'it says what it asked for' told left-p1 1 "this host's processors wake within 15us"
check_equal 'it is no longer root' 65534 "$(awk '/^Uid:/ { print $3 }' "/proc/${TEST_PID[left-p1]}/status")"
check_equal 'it has the file open' 1 "$(holds left-p1)"
check 'the kernel has heard it' test "$(bound)" -le 15
upgrade 1 5us
check_equal 'its successor has that file and no other' 1 "$(holds left-p1)"
check 'the kernel has heard the new bound' test "$(bound)" -le 5
upgrade 2 2000s
check_equal 'who wants no bound has the file no more' 0 "$(holds left-p1)"

caps=-all,+net_bind_service,+net_raw
LAB_PROBE_BY=(setpriv --reuid=nobody --regid=nogroup --clear-groups "--inh-caps=$caps" "--ambient-caps=$caps"
    "--bounding-set=$caps" --no-new-privs)
lab_probe right right-p1 'cpu_latency: 15us'
check 'who may not open it measures all the same' wait_for 30 told right-p1 1 ' sessions, answers on'
check 'and says so' told right-p1 1 "'cpu_latency' is without effect: $DEVICE: Permission denied"
# The successor is not our child, so that nobody else ends it.
kill -TERM "${TEST_PID[left-p1]}"
check 'it ends' wait_for 15 eval "! kill -0 ${TEST_PID[left-p1]} 2>/dev/null"
unset 'TEST_PID[left-p1]'
test_end
