# alertmanager.sh - an Alertmanager of one's own, and what it holds.
#
# Sources base.sh.  Listens on a free loopback port, keeps its data in TEST_DIR, and tells
# nobody; with a second argument it notifies that URL at once, of what fires and what is over.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/servers.sh
declare -F free_port >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

ALERTMANAGER_URL=

# alertmanager_begin [URL TO NOTIFY]: process "alertmanager", which will answer some time soon.
alertmanager_begin() {
    local port
    port=$(free_port)
    ALERTMANAGER_URL=http://127.0.0.1:$port
    {
        echo 'route: { receiver: test, group_by: [...], group_wait: 0s, group_interval: 1s, repeat_interval: 4h }'
        echo 'receivers:'
        if [[ -n ${1:-} ]]; then
            echo "  - { name: test, webhook_configs: [{ url: \"$1\", send_resolved: true }] }"
        else
            echo '  - { name: test }'
        fi
    } >"$TEST_DIR/alertmanager.yml"
    start alertmanager prometheus-alertmanager --config.file="$TEST_DIR/alertmanager.yml" \
        --storage.path="$TEST_DIR/alertmanager" --web.listen-address="127.0.0.1:$port" --cluster.listen-address=
}

# alertmanager_start [URL TO NOTIFY]: the same, and it answers.
alertmanager_start() {
    alertmanager_begin "$@"
    wait_for 20 alertmanager_answers || {
        cat "$TEST_DIR/alertmanager.log" >&2
        return 1
    }
}

alertmanager_answers() {
    python3 -c 'import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/-/ready", timeout=3).read()' "$ALERTMANAGER_URL"
}

# alertmanager_alerts: of our problems, those that are open now; a line each: plumbline_id, the
# seconds until it ends by itself, its first annotation, parted by tabs.
alertmanager_alerts() {
    python3 -c 'import datetime, json, sys, urllib.request
def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")[:19] + "+00:00")
now = datetime.datetime.now(datetime.timezone.utc)
for a in json.load(urllib.request.urlopen(sys.argv[1] + "/api/v2/alerts?active=true", timeout=5)):
    if a["labels"].get("alertname") == "PlumblineProblem" and instant(a["endsAt"]) > now:
        text = a["annotations"].get("summary") or next(iter(a["annotations"].values()), "")
        print(a["labels"]["plumbline_id"], round((instant(a["endsAt"]) - now).total_seconds()), text, sep="\t")' "$ALERTMANAGER_URL"
}

# alertmanager_open N: whether so many problems are open there.
alertmanager_open() {
    [[ $(alertmanager_alerts 2>/dev/null | grep -c .) == "$1" ]]
}
