# exact.sh - nothing lost, nothing twice: kills and cuts on a pair of PoPs, and every
# delta-t of every series looked at afterwards.
#
# Sources pair.sh.  What is killed is noted with the time, for only that excuses a
# delta-t that was not measured.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/pair.sh
declare -F pair_inventory >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/pair.sh"

EXACT_EXCUSES=()
EXACT_FROM=

# One class is final earlier than the other: when an interval is committed, something
# of the next has been read, and must not be lost with who read it.
PAIR_SLOW_TMAX=1s

# Tmax, and the 3 s that a batch may take: of a delta-t that ended before that all
# must be known.
EXACT_BEFORE_KILL_NS=6000000000

# Of the second that just ended a probe tells with the next tick; killed before it, it
# cannot tell any more that it reflected, and a delta-t of its peer with loss in that
# second is undetermined.
EXACT_UNTOLD_NS=1500000000

# exact_begin: there are rows; from the interval after the newest of them on every
# delta-t counts, also those that were measured and are not written yet.
exact_begin() {
    EXACT_FROM=$(pg_sql plumbline "SELECT (extract(epoch FROM max(start)) * 1000000000)::bigint + $PAIR_INTERVAL_NS
        FROM plumbline.v_interval")
}

# kill_probe NAMESPACE PROBE PAUSE: kill -9, PAUSE seconds, start.  It is back when
# its packets are seen: the excuse ends with the first of them.
kill_probe() {
    local side=$1 probe=$2 killed gone
    killed=$(now_ns)
    stop "$probe" KILL 5
    gone=$(now_ns)
    sleep "$3"
    lab_probe "$side" "$probe"
    excuse_probe "$side" "$probe" "$killed" "$gone"
}

# excuse_probe NAMESPACE PROBE KILLED GONE: it was told to end at the one time, had
# ended at the other (until then it may have sent), and was started again.
excuse_probe() {
    local side=$1 probe=$2 killed=$3 gone=$4 back
    wait_for 30 probe_is_back "$side" "$gone" || return 1
    back=$(first_packet "$side" "$gone")
    EXACT_EXCUSES+=(--excuse "$probe:$((killed - EXACT_BEFORE_KILL_NS)):$back" --excuse-far "$probe:$((killed - EXACT_UNTOLD_NS)):$back")
}

# first_packet SIDE SINCE: when the first packet of its own making came from there,
# a request from the left, a reply from the right.
first_packet() {
    local kind=request
    [[ $1 == right ]] && kind=reply
    emu_tell sync >/dev/null
    awk -F'\t' -v kind="$kind" -v since="$2" 'NR == 1 { sub(/^#/, "", $1); for (i = 1; i <= NF; i++) col[$i] = i; next }
        $col["kind"] == kind && $col["rx_ns"] + 0 > since + 0 { print $col["rx_ns"]; exit }' "$TEST_DIR/emu.tsv"
}

probe_is_back() {
    [[ -n $(first_packet "$1" "$2") ]]
}

kill_collector() {
    stop collector KILL 5
    sleep "$1"
    lab_collector collector
}

kill_redis() {
    stop redis KILL 5
    sleep "$1"
    redis_start "$TEST_DIR/redis"
}

# The postmaster; its children end when they notice, and only then may another start.
kill_postgres() {
    local children
    children=$(pgrep -P "${TEST_PID[postgres]}")
    stop postgres KILL 5
    wait_for 20 none_alive "$children"
    sleep "$1"
    pg_start "$PG_DIR"
}

none_alive() {
    local pid
    for pid in $1; do
        kill -0 "$pid" 2>/dev/null && return 1
    done
    return 0
}

# exact_read: PAIR_UNTIL is where the last interval ends; every delta-t into TEST_DIR/dt.tsv.
exact_read() {
    emu_tell sync >/dev/null
    {
        printf 'object\tobserver\tdirection\tclass\tstart_ns\tdt_ns\tstate\tsent\treceived\tlost\tlost_undirected\tunknown\n'
        pg_sql plumbline "SELECT object, observer, direction, class, (extract(epoch FROM start) * 1000000000)::bigint, dt_ns, state,
            sent, received, lost, lost_undirected, unknown FROM plumbline.v_delta_t ORDER BY 1, 2, 3, 4, 5"
    } >"$TEST_DIR/dt.tsv"
    {
        printf 'object\tobserver\tdirection\tclass\tstart_ns\tduplicate\n'
        pg_sql plumbline "SELECT object, observer, direction, class, (extract(epoch FROM start) * 1000000000)::bigint, duplicate
            FROM plumbline.v_interval"
    } >"$TEST_DIR/rows.tsv"
}

# exact_window FROM UNTIL (borders of intervals): after exact_read; TEST_DIR/exact.json.  2 classes, 3 directions.
exact_window() {
    python3 "$LAB_TOP/tests/netns/exact.py" --log "$TEST_DIR/emu.tsv" --dt "$TEST_DIR/dt.tsv" --rows "$TEST_DIR/rows.tsv" --dscp fast=46 --dscp slow=0 \
        --series 6 --from "$1" --until "$2" "${EXACT_EXCUSES[@]}" >"$TEST_DIR/exact.json"
}

exact_compare() {
    exact_read && exact_window "$EXACT_FROM" "$PAIR_UNTIL"
}

# exact_check SENTENCE FROM UNTIL: says what is wrong, too.
exact_check() {
    check "$1" exact_window "$2" "$3" || exact_told
    python3 "$LAB_TRUTH" get "$TEST_DIR/exact.json" counted
}

# exact_set_up NAME: the lab with a link that delays, loses and repeats, and both
# probes; from exact_begin on every delta-t counts.
exact_set_up() {
    local seed=${EXACT_SEED:-$((RANDOM))}
    RANDOM=$seed
    echo "seed $seed (EXACT_SEED)"
    check 'the lab is up' pair_set_up --seed "$seed" || test_end
    emu_tell 'both delay 2ms loss 1% dup 0.5%' >/dev/null
    lab_probe right right-p1
    lab_probe left left-p1
    check 'rows come within 30 s' wait_for 30 lab_has_rows 6 || { exact_told; test_end; }
    exact_begin
}

# exact_close: the last interval is waited for, and what the far end says of it.
exact_close() {
    check 'the rows of the last interval come' pair_close || exact_logs
    check 'the far end was asked about every loss' wait_for 40 exact_far_settled
    exact_read
}

# exact_border NS: the border of intervals at or before it.
exact_border() {
    echo "$(($1 / PAIR_INTERVAL_NS * PAIR_INTERVAL_NS))"
}

# rows_since NS [SECONDS]: waits until rows of an interval that begins after $1 ns are there.
rows_since() {
    wait_for "${2:-40}" lab_has_rows 6 "$1"
}

exact_logs() {
    tail -n 8 "$TEST_DIR"/{collector,left-p1,right-p1}.log >&2
}

exact_told() {
    head -c 6000 "$TEST_DIR/exact.json" >&2
    exact_logs
}

# exact_far_settled: every row with loss has been held against the far end's life.
exact_far_settled() {
    [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.far_pending WHERE until <= to_timestamp($PAIR_UNTIL / 1e9)") == 0 ]]
}
