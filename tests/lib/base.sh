# base.sh - what every test script stands on: a folder and a name of its own,
# processes by pid, waiting for conditions, counting, and leaving nothing behind.
#
# Source it first, then call test_init NAME.  Safe when several scripts run at
# once: every name has the script's process id in it.
# shellcheck shell=bash disable=SC2034

# The prefix of all that this script makes; its folder.
TEST_ID=
TEST_DIR=
TEST_SHELL=
TEST_PASSED=0
TEST_FAILED=0
declare -A TEST_PID=()
# Who is not ended by SIGTERM.
declare -A TEST_STOP=([postgres]=INT)
TEST_CLEANUPS=()
# Helpers that only hand over to a program put this before it.
TEST_EXEC=

# test_init NAME: makes TEST_DIR (0711: a server's own user must get through) and
# sets the traps.
test_init() {
    TEST_ID="pl$$"
    TEST_SHELL=$BASHPID
    TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/plumbline-$1-$$.XXXXXX") || exit 3
    chmod 711 "$TEST_DIR"
    trap 'test_cleanup' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# at_exit COMMAND ARGUMENT ...: runs it at the end, the last registered first.
at_exit() {
    local line
    printf -v line '%q ' "$@"
    TEST_CLEANUPS+=("$line")
}

# Runs once, whatever ended the script; what it cannot remove it says.
test_cleanup() {
    local status=$? i name
    # A signal can reach what start() forked before it has put off our traps.
    if [[ $BASHPID != "$TEST_SHELL" ]]; then
        trap - EXIT
        exit "$status"
    fi
    trap '' HUP INT TERM
    trap - EXIT ERR
    set +e
    for name in "${!TEST_PID[@]}"; do
        kill "-${TEST_STOP[$name]:-TERM}" "${TEST_PID[$name]}" 2>/dev/null
    done
    for name in "${!TEST_PID[@]}"; do
        stop "$name" "${TEST_STOP[$name]:-TERM}" 5
    done
    for ((i = ${#TEST_CLEANUPS[@]} - 1; i >= 0; i--)); do
        eval "${TEST_CLEANUPS[i]}"
    done
    if [[ -n ${TEST_KEEP:-} ]]; then
        echo "kept: $TEST_DIR" >&2
    else
        rm -rf "$TEST_DIR"
    fi
    exit "$status"
}

# need_root: a test that makes namespaces is skipped where it may not.
need_root() {
    if [[ $(id -u) -ne 0 ]] || ! unshare --net --mount true 2>/dev/null; then
        echo "skipped: this test makes network namespaces and must be root" >&2
        exit 77
    fi
}

# need_program NAME ...
need_program() {
    local p
    for p in "$@"; do
        if ! command -v "$p" >/dev/null; then
            echo "skipped: $p is not installed" >&2
            exit 77
        fi
    done
}

# now_ms: milliseconds of UTC, without a process for it.
now_ms() {
    local now=${EPOCHREALTIME//[.,]/}
    echo "${now:0:${#now}-3}"
}

# How much longer than it should take a thing may take here: what waits for a
# condition goes on as soon as it holds, so patience costs a slow machine nothing else.
TEST_PATIENCE=${TEST_PATIENCE:-3}

# wait_for SECONDS COMMAND ...: until it succeeds; fails when TEST_PATIENCE times
# that is over.  SECONDS may have decimals.  It asks 10 times a second at first and twice
# at last: a psql and its server cost 16 ms of a processor, and with several scripts at once
# that was most of what the processors did.
wait_for() {
    local limit=$1 part=000000 begin end now
    shift
    [[ $limit != *.* ]] || part=${limit#*.}$part
    begin=${EPOCHREALTIME//[.,]/}
    end=$((begin + TEST_PATIENCE * (${limit%.*} * 1000000 + 10#${part:0:6})))
    until "$@" >/dev/null 2>&1; do
        now=${EPOCHREALTIME//[.,]/}
        if ((now > end)); then
            echo "not in ${limit} s: $*" >&2
            return 1
        elif ((now < begin + 1000000)); then
            sleep 0.1
        elif ((now < begin + 4000000)); then
            sleep 0.25
        else
            sleep 0.5
        fi
    done
}

# start NAME COMMAND ...: in the background, output to TEST_DIR/NAME.log, pid in
# TEST_PID[NAME].
start() {
    local name=$1
    shift
    (
        TEST_EXEC="exec"
        "$@"
    ) </dev/null >>"$TEST_DIR/$name.log" 2>&1 &
    TEST_PID[$name]=$!
}

# alive NAME: whether what start() began still runs.
alive() {
    [[ -n ${TEST_PID[$1]:-} ]] && kill -0 "${TEST_PID[$1]}" 2>/dev/null
}

# stop NAME [SIGNAL [SECONDS]]: ends it, in the end by force, and waits for it.
# Succeeds if it ended by itself with status 0 or by that signal.
stop() {
    local name=$1 signal=${2:-TERM} seconds=${3:-10} pid=${TEST_PID[$1]:-} status=0 i
    [[ -n $pid ]] || return 0
    kill "-$signal" "$pid" 2>/dev/null
    for ((i = 0; i < seconds * 20 * TEST_PATIENCE; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    if kill -0 "$pid" 2>/dev/null; then
        echo "$name did not end by SIG$signal in $seconds s" >&2
        kill -KILL "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null || status=$?
    unset "TEST_PID[$name]"
    [[ $status -eq 0 || $status -eq $((128 + $(kill -l "$signal"))) ]]
}

# check "SENTENCE" COMMAND ...: counts whether it succeeds, and does so too.
check() {
    local sentence=$1
    shift
    if "$@"; then
        TEST_PASSED=$((TEST_PASSED + 1))
        echo "ok: $sentence"
        return 0
    fi
    TEST_FAILED=$((TEST_FAILED + 1))
    echo "FAILED: $sentence ($*)" >&2
    return 1
}

# check_equal "SENTENCE" WANTED GOT
check_equal() {
    if [[ $2 == "$3" ]]; then
        check "$1" true
    else
        echo "wanted '$2', got '$3'" >&2
        check "$1" false
    fi
}

# test_end: the last line of every test script, and its status.  What a sanitizer
# found in a program that start() began counts too.
test_end() {
    local found
    found=$(grep -alE 'ERROR: [A-Za-z]*Sanitizer|runtime error:' "$TEST_DIR"/*.log 2>/dev/null)
    if [[ -n $found ]]; then
        check "no sanitizer complains" false
        # shellcheck disable=SC2086
        grep -ahE -A 8 'ERROR: [A-Za-z]*Sanitizer|runtime error:' $found | head -n 40 >&2
    fi
    echo "$TEST_PASSED passed, $TEST_FAILED failed"
    [[ $TEST_FAILED -eq 0 ]]
    exit
}
