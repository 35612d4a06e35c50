# sink.sh - what hooks are tested against: tests/collector/sink.py, which records and misbehaves.
#
# Sources base.sh and certs.sh.  Each sink is a process "sink-NAME" with the folder
# TEST_DIR/sink-NAME; needs python3, openssl, curl and jq.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/base.sh
declare -F test_init >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/base.sh"
# shellcheck source=tests/lib/certs.sh
declare -F certs_make >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/certs.sh"

SINK_PROGRAM=$(dirname "${BASH_SOURCE[0]}")/../collector/sink.py
# What clients check the sinks' certificates by.
SINK_CA=
# Ports of each: SINK_HTTP[NAME] ...; SINK_URL[NAME] is https://127.0.0.1:PORT.
declare -A SINK_HTTP=() SINK_HTTPS=() SINK_SMTP=() SINK_SMTPS=() SINK_URL=()

# sink_start NAME [OPTION ...]: with HTTP, HTTPS, SMTP (STARTTLS) and SMTPS.  One that was
# stopped comes back at its ports, with the record that it had; its tickets are gone.
sink_start() {
    local name=$1 dir=$TEST_DIR/sink-$1
    shift
    if [[ -z $SINK_CA ]]; then
        certs_authority sink-ca || return 1
        certs_make sink-ca sink IP:127.0.0.1,DNS:localhost || return 1
        SINK_CA=$TEST_DIR/certs/sink-ca.pem
    fi
    mkdir -p "$dir"
    rm -f "$dir/ports"
    start "sink-$name" python3 "$SINK_PROGRAM" "$dir" --http "${SINK_HTTP[$name]:-0}" \
        --https "${SINK_HTTPS[$name]:-0}" --smtp "${SINK_SMTP[$name]:-0}" --smtps "${SINK_SMTPS[$name]:-0}" --starttls \
        --certificate "$TEST_DIR/certs/sink.pem" --key "$TEST_DIR/certs/sink.key" "$@"
    # shellcheck disable=SC2015
    wait_for 20 test -s "$dir/ports" || {
        cat "$TEST_DIR/sink-$name.log" >&2
        return 1
    }
    SINK_HTTP[$name]=$(jq .http "$dir/ports")
    SINK_HTTPS[$name]=$(jq .https "$dir/ports")
    SINK_SMTP[$name]=$(jq .smtp "$dir/ports")
    SINK_SMTPS[$name]=$(jq .smtps "$dir/ports")
    SINK_URL[$name]=https://127.0.0.1:${SINK_HTTPS[$name]}
}

# sink_stop NAME: its ports then refuse.
sink_stop() {
    stop "sink-$1" TERM 10
}

# sink_control NAME [RULES]: a list of rules as JSON (sink.py --help); without: it behaves.
sink_control() {
    local file=$TEST_DIR/sink-$1/control
    printf '%s' "${2:-[]}" >"$file.new"
    mv "$file.new" "$file"
}

# sink_record NAME [FILTER]: jq's FILTER (default .) of each thing recorded, in order; texts are bare.
sink_record() {
    local file=$TEST_DIR/sink-$1/record
    if [[ -s $file ]]; then
        jq -r -c "${2:-.}" "$file"
    fi
}

# sink_count NAME [FILTER]: of how many FILTER holds.
sink_count() {
    sink_record "$1" "select(${2:-true}) | 1" | wc -l
}

# sink_has NAME NUMBER [FILTER]: that many, or more; for wait_for.
sink_has() {
    [[ $(sink_count "$1" "${3:-true}") -ge $2 ]]
}

# sink_forget NAME: the record begins anew.
sink_forget() {
    : >"$TEST_DIR/sink-$1/record"
}

# sink_tickets NAME [FILTER]: of its incidents.
sink_tickets() {
    curl -s --cacert "$SINK_CA" "${SINK_URL[$1]}/sink/tickets" | jq -r -c ".incident[] | ${2:-.}"
}

# sink_state NAME NUMBER STATE: somebody there sets an incident's state (7: closed).
sink_state() {
    curl -s -f --cacert "$SINK_CA" -X POST "${SINK_URL[$1]}/sink/state/$2/$3"
}
