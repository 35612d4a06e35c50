# session.sh - one psql that stays open for the questions of a script.
#
# A psql and the server's process behind it cost 16 ms of a processor each time, and scripts ask
# by the hundred.  pg_sql (servers.sh) asks here first; whatever this does not take, or has any
# doubt about, is asked by a psql of its own.  Who asks is in $(...) or in the background, so what
# is known of the session is in files of TEST_DIR/session: "state" names what a psql that waits for
# a question is connected to, and is empty while it answers; "pid" is that psql, if there is one;
# who holds a lock on "lock" may use both.
# shellcheck shell=bash disable=SC2154

# Descriptors, opened for both directions by the script's own shell: what psql reads, and what it
# says at the end of an answer.  Without them nothing is taken.
SESSION_IN=
SESSION_OUT=
# How long an answer may take, in seconds; then who asked does without the session.
SESSION_PATIENCE=300

# session_make: before the first question, in the script's own shell; nothing runs yet.
session_make() {
    local dir=$TEST_DIR/session
    [[ -z $SESSION_IN && $BASHPID == "$TEST_SHELL" ]] || return 0
    mkdir "$dir" && mkfifo "$dir/in" "$dir/out" && : >"$dir/state" && : >"$dir/pid" || return 1
    exec {SESSION_IN}<>"$dir/in" {SESSION_OUT}<>"$dir/out"
    at_exit session_end
}

# session_lock OPTION ...: of flock; sets $lock, the descriptor that session_unlock closes.  Ends
# with its holder, if he is killed.
session_lock() {
    exec {lock}>"$TEST_DIR/session/lock"
    flock "$@" "$lock" && return 0
    session_unlock
    return 1
}
session_unlock() {
    exec {lock}>&-
}

# session_open DATABASE KEY: a psql; what an earlier one left in the pipes is thrown away.
session_open() {
    local fd rest dir=$TEST_DIR/session
    for fd in "$SESSION_IN" "$SESSION_OUT"; do
        while read -r -t 0 -u "$fd"; do
            read -r -N 65536 -t 0.01 -u "$fd" rest
        done
    done
    # A child of nobody here: a script's own "wait" does not wait for it.  It ends with the last
    # shell that could ask.
    (
        (
            exec {SESSION_IN}>&- {SESSION_OUT}>&- >"$dir/out" 2>/dev/null
            PGOPTIONS='-c default_transaction_read_only=on' "$PG_PSQL" -X -q -A -t -F $'\t' -h "$PG_DIR" -p "$PG_PORT" \
                -U postgres -d "$1" <"$dir/in" {lock}>&- &
            echo "$!" >"$dir/pid"
            session_unlock
            wait
            echo gone
        ) &
    )
}

# session_end: nothing of it is left when this returns.  By who has the lock, or at the script's end.
session_end() {
    local pid='' line dir=$TEST_DIR/session
    : >"$dir/state"
    read -r pid <"$dir/pid" || return 0
    kill -KILL "$pid" 2>/dev/null
    while read -r -t 10 -u "$SESSION_OUT" line; do
        [[ $line != gone ]] || break
    done
    : >"$dir/pid"
}

# session_close: ends it, until somebody asks again.
session_close() {
    local lock
    [[ -n $SESSION_IN ]] && session_lock -w 10 || return 0
    session_end
    session_unlock
}

# session_takes SQL: one statement that reads, and not about the server or its sessions.
session_takes() {
    [[ -n $SESSION_IN && -z ${PGOPTIONS:-} && ${#1} -lt 8192 && $1 =~ ^[[:space:]]*SELECT[[:space:]] &&
        $1 != *[\\\;]* && $1 != *pg_* && $1 != *set_config* ]]
}

# session_ask DATABASE SQL: the answer, as pg_sql gives it.  Fails, and has said nothing, if a psql
# of its own has to ask; also if there was an error, which that one tells.
session_ask() {
    local lock dir=$TEST_DIR/session key="$1 $PG_DIR $PG_PORT ${PGTZ:-}" known='' line='' nonce=$BASHPID.$EPOCHREALTIME answer=''
    session_takes "$2" && session_lock -n || return 1
    IFS= read -r known <"$dir/state"
    if [[ $known != "$key" ]]; then
        session_end
        session_open "$1"
    fi
    : >"$dir/state"
    printf '\\o '\''%s'\''\n%s\n;\n\\o\n\\echo %s :ERROR\n' "$dir/answer" "$2" "$nonce" >&"$SESSION_IN"
    read -r -t "$SESSION_PATIENCE" -u "$SESSION_OUT" line
    case $line in
    "$nonce false")
        IFS= read -r -d '' answer <"$dir/answer"
        echo "$key" >"$dir/state"
        ;;
    "$nonce true") echo "$key" >"$dir/state" ;;
    gone) : >"$dir/pid" ;;
    esac
    session_unlock
    [[ $line == "$nonce false" ]] && printf '%s' "$answer"
}
