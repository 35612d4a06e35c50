#!/bin/bash
# demo.sh - Plumbline whole, on one machine: three PoPs in network namespaces,
# full mesh over emulated links, probes, Redis, collector, PostgreSQL; live in the
# terminal, and at the end what was measured beside what the emulator truly did, the
# verdicts on two services that were sold meanwhile, and the problem that a fault was, which a
# real Alertmanager held for as long.
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# When the command was given, packages and build before us; when we began.
from=$EPOCHREALTIME
begin=${PLUMBLINE_BEGIN:-$from}
# shellcheck source=tests/lib/base.sh
. "$here/../lib/base.sh"
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"
# shellcheck source=tests/lib/servers.sh
. "$here/../lib/servers.sh"
# shellcheck source=tests/lib/alertmanager.sh
. "$here/../lib/alertmanager.sh"

seconds=60
keep=''
json=''
# How far delays may be off the emulator's.
p50_us=10
p99_us=50
build=$top/build/gcc

usage() {
    cat <<'END'
usage: ./run demo [--seconds N] [--keep] [--json] [--busy]

  --seconds N  measure, and sell, for N seconds (20..3600, default 60)
  --keep       leave it running; `./run clean` ends it
  --json       print one object at the end, nothing else
  --busy       the machine does other things too: delays may be 100 times further off

Exit status: 0 measured equals truth; 1 it does not; 2 wrong usage; 3 it could not
be set up; 77 not permitted here.
END
}

# --- Demos that were kept ---

# ours PID STARTTIME: whether that process is still the one that we started.
ours() {
    [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20) == "$2" ]]
}

stop_kept() {
    local dir pid born signal name ns
    for dir in "$top"/.demo/*/; do
        dir=$(readlink -f "$dir")
        [[ -e $dir/pids ]] || continue
        while read -r pid born signal name; do
            ours "$pid" "$born" && kill "-$signal" "$pid"
        done <"$dir/pids"
        while read -r pid born signal name; do
            wait_for 10 eval "! ours $pid $born" || { ours "$pid" "$born" && kill -KILL "$pid"; }
        done <"$dir/pids"
        while read -r ns; do
            ip netns delete "$ns"
        done <"$dir/namespaces"
        rm -rf "$dir"
        echo "ended the demo in $dir"
    done
    find "$top/.demo" -xtype l -delete 2>/dev/null
    rmdir "$top/.demo" 2>/dev/null
    return 0
}

keep_running() {
    local name pid
    for name in "${!TEST_PID[@]}"; do
        pid=${TEST_PID[$name]}
        echo "$pid $(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20) ${TEST_STOP[$name]:-TERM} $name"
    done >"$TEST_DIR/pids"
    printf "$TEST_ID-%s\n" emu par1 lon1 ams1 >"$TEST_DIR/namespaces"
    trap - EXIT
    say "kept.  Look with:  $LAB_BUILD/plumbline status --config $TEST_DIR/plumbline.yaml"
    say "                   $LAB_BUILD/plumbline explain acme-lon-ams --config $TEST_DIR/plumbline.yaml"
    say "                   $LAB_BUILD/plumbline problems --config $TEST_DIR/plumbline.yaml; Alertmanager: $ALERTMANAGER_URL"
    say "                   psql '$PG_CONNINFO dbname=plumbline' -c 'TABLE plumbline.v_interval'"
    say "                   $EMU tell $TEST_DIR/emu.sock @par1-lon1 fwd loss 5%"
    say "End it with:       ./run clean"
}

# --- What is set up ---

# The folder must be one that PostgreSQL's user can reach, and short enough for the
# path of a socket; else it lies in /tmp, and .demo/ has a link to it.
make_folder() {
    mkdir -p "$top/.demo"
    chmod 755 "$top/.demo"
    TMPDIR=$top/.demo
    if ((${#TMPDIR} > 60)) || ! setpriv --reuid=postgres --regid=postgres --clear-groups test -x "$TMPDIR"; then
        TMPDIR=/tmp
    fi
    export TMPDIR
    test_init demo
    at_exit leave_folder
    if [[ $TMPDIR == /tmp ]]; then
        ln -s "$TEST_DIR" "$top/.demo/$(basename "$TEST_DIR")"
        at_exit rm -f "$top/.demo/$(basename "$TEST_DIR")"
    fi
}

# Last of all, for .demo/ goes when nothing is in it.
# shellcheck disable=SC2317
leave_folder() {
    [[ -n ${TEST_KEEP:-} ]] || rm -rf "$TEST_DIR"
    rmdir --ignore-fail-on-non-empty "$top/.demo"
}

write_inventory() {
    LAB_INVENTORY=$TEST_DIR/inventory.yaml
    local sold_from sold_until
    cat >"$LAB_INVENTORY" <<'END'
inventory: 1
interval: 10s
sites:
  par1: { label: Paris PA3, timezone: Europe/Paris }
  lon1: { label: London LD5, timezone: Europe/London }
  ams1: { label: Amsterdam AM5, timezone: Europe/Amsterdam }
probes:
  par1-p1: { site: par1, clock: ptp }
  lon1-p1: { site: lon1, clock: ptp }
  ams1-p1: { site: ams1, clock: ptp }
classes:
  # More often than on a PoP: a 99th percentile wants samples, and of 600 it is the sixth largest.
  # But no 128 within the fault, or reports would not tell the direction of the first.
  # n: 2 in place of 10, so that three seconds without an answer are an outage.
  gold: { dscp: ef, period: 40ms, size: 128, dt: 1s, n: 2, p: 1 }
  be: { dscp: cs0, period: 50ms, size: 512, dt: 2s }
links:
  par1-lon1:
    ends:
      - { probe: par1-p1, interface: to-lon1, address: 10.77.1.1 }
      - { probe: lon1-p1, interface: to-par1, address: 10.77.1.2 }
    classes: [gold, be]
    probe_from: both
  par1-ams1:
    ends:
      - { probe: par1-p1, interface: to-ams1, address: 10.77.2.1 }
      - { probe: ams1-p1, interface: to-par1, address: 10.77.2.2 }
    classes: [gold, be]
    probe_from: both
  lon1-ams1:
    ends:
      - { probe: lon1-p1, interface: to-ams1, address: 10.77.3.1 }
      - { probe: ams1-p1, interface: to-lon1, address: 10.77.3.2 }
    classes: [gold, be]
    probe_from: both
groups:
  ams1-ways: { need: 1, members: [par1-ams1, lon1-ams1] }
tenants:
  acme: { label: ACME SA, timezone: Europe/Paris }
routers:
  par1-pe1: { site: par1 }
  lon1-pe1: { site: lon1 }
  ams1-pe1: { site: ams1 }
connectors:
  acme-par: { tenant: acme, site: par1, attachments: { main: { port: { router: par1-pe1, interface: xe-0/0/1 } } } }
  acme-lon: { tenant: acme, site: lon1, attachments: { main: { port: { router: lon1-pe1, interface: xe-0/0/1 } } } }
  acme-ams: { tenant: acme, site: ams1, attachments: { main: { port: { router: ams1-pe1, interface: xe-0/0/1 } } } }
END
    # Whole intervals: of a part of one there are counts, and no distribution.
    sold_from=$(((${from%.*} + 14) / 10 * 10))
    sold_until=$(((${from%.*} + seconds + 9) / 10 * 10))
    cat >>"$LAB_INVENTORY" <<END
# Sold for as long as the demo lasts: a verdict belongs to a period, and this one ends with it.
services:
  acme-par-ams:
    { label: Paris to Amsterdam through London, tenant: acme, ends: [acme-par, acme-ams], over: [par1-lon1, lon1-ams1],
      classes: [gold], sla: premium, in_service: $(utc $sold_from), out_of_service: $(utc $sold_until) }
  acme-lon-ams:
    { label: London to Amsterdam by either of two ways, tenant: acme, ends: [acme-lon, acme-ams], over: [ams1-ways],
      classes: [gold], sla: protected, in_service: $(utc $sold_from), out_of_service: $(utc $sold_until) }
slas:
  premium:
    version: 1
    valid_from: 2026-01-01
    objectives:
      - { class: gold, metric: availability, limit: 99.9% }
      - { class: gold, metric: flr, direction: both, limit: 0.01% }
      - { class: gold, metric: rt_p95, limit: 25ms, min_samples: 50 }
    credits: { availability: [{ below: 99.9%, credit: 10% }, { below: 95%, credit: 25% }], cap: 100% }
  protected:
    version: 1
    valid_from: 2026-01-01
    objectives:
      - { class: gold, metric: availability, limit: 99.9% }
      - { class: gold, metric: rt_p95, limit: 25ms, min_samples: 50 }
# A fault of three seconds is what wakes people here; the losses on purpose are not.
hooks:
  alertmanager: { kind: alertmanager, url: "$ALERTMANAGER_URL", heartbeat: 60s }
END
}

# utc SECONDS: an instant, as the inventory wants it.
utc() {
    date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ
}

make_network() {
    local pop
    for pop in par1 lon1 ams1; do
        ns_add "$pop"
    done
    link_add par1-lon1 par1 to-lon1 10.77.1.1/30 lon1 to-par1 10.77.1.2/30
    link_add par1-ams1 par1 to-ams1 10.77.2.1/30 ams1 to-par1 10.77.2.2/30
    link_add lon1-ams1 lon1 to-ams1 10.77.3.1/30 ams1 to-lon1 10.77.3.2/30
    emu_start "$LAB_BUILD/tests/netns/linkemu" --seed "$$" --prompt || return 1
    # One link is to lose, one is longer one way than the other, one is clean but for the fault.
    emu_tell @par1-lon1 'both delay 3ms jitter 200us' >/dev/null &&
        emu_tell @par1-ams1 'fwd delay 4ms' >/dev/null &&
        emu_tell @par1-ams1 'bwd delay 9ms' >/dev/null &&
        emu_tell @lon1-ams1 'both delay 2ms' >/dev/null
}

# A clock daemon in each PoP, as a real one has: it steers nothing here (-x), for the
# three share this host's clock, and says so when the probe asks how far to believe it.
clock_start() {
    local pop=$1 chronyd
    chronyd=$(command -v chronyd || echo "$top/build/tools/usr/sbin/chronyd")
    [[ -x $chronyd ]] || return 0
    printf '%s\n' 'local stratum 1' 'port 0' 'bindcmdaddress 127.0.0.1' 'bindcmdaddress /' \
        "pidfile $TEST_DIR/chrony-$pop.pid" >"$TEST_DIR/chrony-$pop.conf"
    start "chrony-$pop" ns_exec "$pop" "$chronyd" -x -d -u root -f "$TEST_DIR/chrony-$pop.conf"
}

set_up() {
    local pop
    # Meanwhile; what it could not do is done, or told of, when the server is to start.
    pg_init "$TEST_DIR/pg" >/dev/null 2>&1 &
    cluster=$!
    at_exit wait "$cluster"
    redis_start "$TEST_DIR/redis" && make_network || return 1
    for pop in par1 lon1 ams1; do
        clock_start "$pop"
        lab_probe "$pop" "$pop-p1"
    done
    wait "$cluster"
    lab_database && lab_cli apply --yes >"$TEST_DIR/apply.log" 2>&1 && lab_collector collector
}

# --- While it runs ---

# elapsed [SINCE]: seconds since the demo's own beginning, or since another time.
elapsed() {
    awk -v a="${1:-$from}" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# Sessions for which the command shows a figure that came back over a link.
live_sessions() {
    lab_cli status --json 2>/dev/null | grep -cE '"received":[[:space:]]*[1-9]'
}

all_alive() {
    local name
    for name in "${!TEST_PID[@]}"; do
        if ! alive "$name"; then
            say "$name has ended:"
            tail -n 20 "$TEST_DIR/$name.log" >&2
            return 1
        fi
    done
}

# The screen: refreshed in a terminal, else a table now and then.
show() {
    if [[ -n $json ]]; then
        return
    fi
    if [[ -t 1 ]]; then
        printf '\e[H\e[J'
    elif (($1 % 10 != 5)); then
        return
    fi
    echo "Plumbline demo: $1 s of $seconds.  Live after ${live_after:-...} s, first rows after ${rows_after:-...} s."
    echo "par1-lon1 loses 2 % there and 1 % back; par1-ams1 takes 4 ms there and 9 ms back; lon1-ams1: ${fault:-clean}."
    echo
    lab_cli status --once 2>&1
}

say() {
    [[ -n $json ]] || printf '%s\n' "$*"
}

# Losses begin when every session has had an answer, and the report of it is back: of
# what is lost before, nobody could tell the direction.  One fault on purpose, in the
# middle: three seconds, for reports to tell its direction.  Seconds may be skipped.
act_at() {
    if [[ $act == begin && -n $answered_at ]] && (($1 >= answered_at + 3)); then
        act=losses
        losses_from=$1
        emu_tell @par1-lon1 'fwd loss 2% dup 0.5%' >/dev/null
        emu_tell @par1-lon1 'bwd loss 1% dup 0.3%' >/dev/null
    elif [[ $act == losses ]] && (($1 >= seconds * 2 / 5 && $1 >= losses_from + 2)); then
        act="cut"
        cut_from=$1
        emu_tell @lon1-ams1 'cut both' >/dev/null
        cut_at=$(elapsed)
        fault="cut both ways since second $1"
    elif [[ $act == cut ]] && (($1 >= cut_from + 3)); then
        act=mended
        mended_at=$1
        emu_tell @lon1-ams1 'mend both' >/dev/null
        fault="was cut from second $cut_from to $1"
    fi
}

# What Alertmanager holds, from when to when; asked once a second.
ask_alertmanager() {
    local open
    open=$(alertmanager_alerts 2>/dev/null | grep lon1-ams1)
    if [[ -n $open ]]; then
        alerts_most=$(($(wc -l <<<"$open") > alerts_most ? $(wc -l <<<"$open") : alerts_most))
        alert_text=${alert_text:-$(cut -f3 <<<"$open" | head -n 1)}
        alert_from=${alert_from:-$(elapsed)}
        alert_until=''
    elif [[ -n $alert_from ]]; then
        alert_until=${alert_until:-$(elapsed)}
    fi
}

# watch_it: for the seconds asked for, longer where the fault came late.
watch_it() {
    local second last=-1 sessions
    while :; do
        # A cut is mended in time, whatever else takes long.
        if [[ -z $answered_at ]]; then
            sessions=$(live_sessions)
            if [[ -z $live_after ]] && ((sessions > 0)); then
                live_after=$(elapsed "$begin")
            fi
            if ((sessions >= SESSIONS)); then
                answered_at=$(elapsed)
                answered_at=${answered_at%.*}
            fi
        fi
        if [[ -n $live_after && -z $rows_after ]] && lab_has_rows 1; then
            rows_after=$(elapsed "$begin")
        fi
        second=$(elapsed)
        second=${second%.*}
        if ((second >= seconds)) && { [[ $act == mended ]] && ((second >= mended_at + 2)); }; then
            break
        fi
        if ((second > seconds + 60)); then
            say "after $second s there were figures of ${sessions:-0} sessions, not of $SESSIONS"
            return 1
        fi
        if ((second != last)); then
            last=$second
            act_at "$second"
            [[ -n $alert_until ]] || ask_alertmanager
            show "$second"
            all_alive || return 1
        fi
        sleep 0.1
    done
}

# The links harm nothing more; then the interval that is under way is waited for,
# so that the rows are whole.
close_window() {
    local now
    emu_tell @par1-lon1 'both loss 0% dup 0%' >/dev/null
    now=$(now_ns)
    until_ns=$(((now + 1000000000 + interval_ns - 1) / interval_ns * interval_ns))
    say "the last interval ends in $(((until_ns - now) / 1000000000)) s; its rows follow"
    # 3 links, 2 classes, from both ends, 3 directions.
    wait_for 30 lab_has_rows 36 $((until_ns - interval_ns)) || return 1
    if ! wait_for 30 alert_over; then
        say "the fault was to be one alert that is over by now; it was: ${alert_from:-no} to ${alert_until:-no end}, $alerts_most at once"
        return 1
    fi
    if ! wait_for 30 all_judged; then
        say "no verdict was published; the judge stands at:"
        pg_sql plumbline 'SELECT service, judged_until, revision FROM plumbline.v_period' >&2
        return 1
    fi
}

# Whether Alertmanager had the fault as one alert, and has it no more.
alert_over() {
    ask_alertmanager
    [[ -n $alert_until && $alerts_most == 1 ]]
}

# Whether each objective of both services has its verdict.
all_judged() {
    [[ $(pg_sql plumbline 'SELECT count(*) FROM plumbline.v_verdict WHERE newest' 2>/dev/null) == 5 ]]
}

# command ARGUMENT ...: as somebody would type it, and what it says.
command_shown() {
    printf '\n$ plumbline %s\n' "$*"
    lab_cli "$@" 2>&1
}

compare() {
    local status=0
    lab_rows >"$TEST_DIR/rows.tsv"
    emu_tell sync >/dev/null
    emu_tell status >"$TEST_DIR/emu.status"
    python3 "$LAB_TRUTH" compare --log "$TEST_DIR/emu.tsv" --samples "$TEST_DIR/par1-p1.tsv" \
        --samples "$TEST_DIR/lon1-p1.tsv" --samples "$TEST_DIR/ams1-p1.tsv" --rows "$TEST_DIR/rows.tsv" \
        --start gold:1000000000 --start be:2000000000 \
        --interval "$interval_ns" --until "$until_ns" --min-kernel 95 --p50-us "$p50_us" --p99-us "$p99_us" \
        --extra live_after_s "${live_after:-null}" --extra first_rows_after_s "${rows_after:-null}" \
        --extra prepared_s "$prepared" --extra fault_s "$cut_at" --extra alert_from_s "$alert_from" \
        --extra alert_until_s "$alert_until" --extra seconds "$(elapsed)" >"$TEST_DIR/result.json" || status=$?
    lab_cli sla --json >"$TEST_DIR/sla.json" && lab_cli explain acme-par-ams --json >"$TEST_DIR/explain.json" || status=1
    python3 "$here/sold.py" compare --log "$TEST_DIR/emu.tsv" --samples "$TEST_DIR/par1-p1.tsv" \
        --samples "$TEST_DIR/lon1-p1.tsv" --samples "$TEST_DIR/ams1-p1.tsv" --sla "$TEST_DIR/sla.json" \
        --service acme-par-ams:par1-lon1+lon1-ams1 --service acme-lon-ams:par1-ams1/lon1-ams1 \
        --explain "$TEST_DIR/explain.json" --objectives 5 --n 2 --add-to "$TEST_DIR/result.json" || status=$?
    if [[ -n $json ]]; then
        cat "$TEST_DIR/result.json"
    else
        [[ -t 1 ]] && printf '\e[H\e[J'
        echo "Live figures after ${live_after:-?} s, first rows in PostgreSQL after ${rows_after:-?} s; packages and build took $prepared of them."
        python3 "$LAB_TRUTH" table --more "$TEST_DIR/result.json"
        command_shown sla
        command_shown explain acme-par-ams
        python3 "$here/sold.py" table "$TEST_DIR/result.json"
        command_shown problems --since 1h
        command_shown show 1
        printf '\nThe link was cut %s s after the start, and mended 3 s later.  Alertmanager had one alert, from %s s to %s s:\n  %s\n' \
            "$cut_at" "$alert_from" "$alert_until" "$alert_text"
    fi
    return "$status"
}

main() {
    local status=0
    while (($# > 0)); do
        case $1 in
        --seconds) seconds=${2:-} && shift ;;
        --keep) keep=1 ;;
        --json) json=1 ;;
        --busy) p50_us=1000 p99_us=5000 ;;
        --build) build=${2:-} && shift ;;
        --stop) stop_kept && exit ;;
        --help | -h) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
        esac
        shift
    done
    if [[ ! $seconds =~ ^[0-9]{1,4}$ ]] || ((seconds < 20 || seconds > 3600)); then
        echo "demo: --seconds must be between 20 and 3600" >&2
        exit 2
    fi
    export PLUMBLINE_BUILD=$build
    # shellcheck source=tests/lib/lab.sh
    . "$here/../lib/lab.sh"
    need_lab
    make_folder
    alertmanager_begin
    write_inventory
    if ! set_up; then
        echo "demo: it could not be set up; logs follow" >&2
        tail -n 20 "$TEST_DIR"/*.log >&2
        exit 3
    fi
    if watch_it && close_window; then
        compare || status=1
    else
        status=1
        tail -n 10 "$TEST_DIR"/*.log >&2
    fi
    if [[ -n $keep ]]; then
        keep_running
    fi
    exit "$status"
}

cluster=''
live_after=''
rows_after=''
fault=''
answered_at=''
act="begin"
losses_from=0
cut_from=0
mended_at=0
cut_at=null
alert_from=''
alert_until=''
alert_text=''
alerts_most=0
# 3 links, 2 classes, from both ends.
SESSIONS=12
prepared=$(awk -v a="$begin" -v b="$from" 'BEGIN { printf "%.1f", b - a }')
interval_ns=10000000000
until_ns=0
main "$@"
