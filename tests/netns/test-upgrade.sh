#!/bin/bash
# test-upgrade.sh - two probes with 10,000 packets a second between them: a reload that adds
# a link and takes one away, upgrades to another release, and upgrades that fail.  No packet
# of the other sessions is lost, late, repeated or badly stamped, no delta-t and no second is
# left out or told twice.
# shellcheck disable=SC2034,SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/netns.sh
. "$here/../lib/netns.sh"

need_root
need_program ip python3 setpriv
build=${PLUMBLINE_BUILD:-.}
test_init upgrade
judge=$here/upgrade.py

# 10 links x 10 sessions x 50 packets a second, both ends: 10,000.
WIRES=5
LINKS=10
KEPT=
ns_add left
ns_add right
for ((i = 0; i < WIRES + 2; i++)); do
    wire_add left "w$i" "10.78.$i.1/30" right "w$i" "10.78.$i.2/30"
done
for ((i = 0; i < LINKS; i++)); do
    KEPT+=${KEPT:+,}l$i
    ((i < WIRES)) || for side in left right; do
        ip -n "$TEST_ID-$side" addr add "10.79.$i.$([[ $side == left ]] && echo 1 || echo 2)/30" dev "w$((i - WIRES))"
    done
done

# link NAME WIRE NETWORK
link() {
    cat <<END
  $1:
    ends:
      - { probe: left-p1, interface: w$2, address: $3.1 }
      - { probe: right-p1, interface: w$2, address: $3.2 }
    classes: [fast, slow]
    flows: 5
    probe_from: both
END
}

# inventory NAME WIRE NETWORK: the links that stay, and another one.
inventory() {
    cat <<END
inventory: 1
sites:
  left: { timezone: Europe/Paris }
  right: { timezone: Europe/London }
probes:
  left-p1: { site: left, clock: ptp }
  right-p1: { site: right, clock: ptp }
classes:
  fast: { dscp: ef, period: $PERIOD, size: 128, dt: 500ms, tmax: 3s }
  slow: { dscp: cs0, period: $PERIOD, size: 256, dt: 2s, tmax: 3s }
links:
END
    local i
    for ((i = 0; i < LINKS; i++)); do
        if ((i < WIRES)); then link "l$i" "$i" "10.78.$i"; else link "l$i" $((i - WIRES)) "10.79.$i"; fi
    done
    link "$@"
    cat <<'END'
  echo:
    ends: [ { probe: left-p1, interface: w0, address: 10.78.0.1 }, { protocol: icmp, address: 10.78.0.2 } ]
    classes: [slow]
END
}

# The left one as another user, with all that the right one, which is root's, keeps.
CAPS=-all,+net_bind_service,+net_raw,+net_admin,+sys_nice
AS_left=(setpriv --reuid=nobody --regid=nogroup --clear-groups "--inh-caps=$CAPS" "--ambient-caps=$CAPS" "--bounding-set=$CAPS" --no-new-privs)
AS_right=()
# It believes that systemd started it, and wants to hear of it each two seconds.
# shellcheck disable=SC2016
AS_left+=(sh -c 'NOTIFY_SOCKET=$0 WATCHDOG_USEC=2000000 WATCHDOG_PID=$$ exec "$@"' "$TEST_DIR/notify")

# probe SIDE: its own program, so that it can be replaced; TEST_PID is the newest process.
probe() {
    local -n as=AS_$1
    cp "$build/plumbline-probe" "$TEST_DIR/$1-probe"
    chmod 755 "$TEST_DIR/$1-probe"
    install -d "$TEST_DIR/spool-$1"
    install -m 644 /dev/null "$TEST_DIR/$1.tsv"
    [[ $1 == right ]] || chown nobody:nogroup "$TEST_DIR/spool-$1" "$TEST_DIR/$1.tsv"
    cat >"$TEST_DIR/$1.yaml" <<END
probe: $1-p1
inventory: $TEST_DIR/inventory.yaml
redis: { address: "unix:$TEST_DIR/redis.sock" }
spool: { folder: $TEST_DIR/spool-$1 }
sample_log: $TEST_DIR/$1.tsv
END
    start "$1" ns_exec "$1" "${as[@]}" "$TEST_DIR/$1-probe" --config "$TEST_DIR/$1.yaml"
}

# caps SIDE: in force, in hexadecimal.
caps() {
    sed -n 's/^CapEff:\t0*//p' "/proc/${TEST_PID[$1]}/status"
}

# told SIDE N WORDS: whether its log has N lines with them by now.
told() {
    [[ $(grep -ac -- "$3" "$TEST_DIR/$1.log") -ge $2 ]]
}

# replace SIDE PROGRAM: as an installation does, under the same name.
replace() {
    cp "$2" "$TEST_DIR/$1-probe.new"
    chmod 755 "$TEST_DIR/$1-probe.new"
    mv "$TEST_DIR/$1-probe.new" "$TEST_DIR/$1-probe"
}

# upgrade SIDE N: the N-th to succeed; until the one before has ended.
upgrade() {
    local before=${TEST_PID[$1]} caps_before pid
    caps_before=$(caps "$1")
    kill -USR2 "$before"
    check "$1 is taken over (upgrade $2)" wait_for 30 told "$1" "$2" 'has taken over in' || { tail -n 5 "$TEST_DIR/$1.log" >&2; test_end; }
    pid=$(grep -a 'has taken over in' "$TEST_DIR/$1.log" | tail -n 1 | sed 's/.*process \([0-9]*\),.*/\1/')
    TEST_PID[$1]=$pid
    check "... by another process, which gets the spool" wait_for 30 told "$1" $(($2 + 1)) ' sessions, answers on'
    check_equal '... with the same capabilities' "$caps_before" "$(caps "$1")"
    check '... and the one before ends' wait_for 30 eval "! kill -0 $before 2>/dev/null"
    grep -a 'has taken over in' "$TEST_DIR/$1.log" | tail -n 1
}

# fails SIDE WORDS: an upgrade that does; the process stays the same.
fails() {
    local line="the upgrade failed: .*$2.*goes on" n
    n=$(grep -ac -- "$line" "$TEST_DIR/$1.log")
    kill -USR2 "${TEST_PID[$1]}"
    check "the upgrade fails: $2" wait_for 30 told "$1" $((n + 1)) "$line" || tail -n 5 "$TEST_DIR/$1.log" >&2
    check '... and the probe goes on' kill -0 "${TEST_PID[$1]}"
}

# end SIDE: it need not be our child any more.
end() {
    kill -TERM "${TEST_PID[$1]}"
    check "$1 ends" wait_for 30 eval "! kill -0 ${TEST_PID[$1]} 2>/dev/null"
    unset "TEST_PID[$1]"
}

# decided SIDE NS: whether the slower class has the fate of packets that were sent later.
decided() {
    tail -n 40000 "$TEST_DIR/$1.tsv" | awk -F'\t' -v ns="$2" '$2 == "slow" { at = $9 } END { exit !(at > ns) }'
}

samples() {
    [[ $(wc -l <"$TEST_DIR/$1.tsv") -ge $2 ]]
}

start notify python3 "$judge" notify "$TEST_DIR/notify"
check 'somebody listens to notifications' wait_for 30 test -S "$TEST_DIR/notify"
# scenario PERIOD: all of it with each session's packets so far apart; leaves FIRST and
# LAST, between which everything must be right.
scenario() {
    local before mode side word
    rm -rf "$TEST_DIR"/{left,right}{.log,.tsv} "$TEST_DIR"/spool-*
    PERIOD=$1
    inventory gone 5 10.78.5 >"$TEST_DIR/inventory.yaml"
    probe right
    probe left
    for side in left right; do
        check "$side measures" wait_for 30 samples "$side" 2000
    done
    FIRST=$(date +%s%N)

    inventory new 6 10.78.6 >"$TEST_DIR/inventory.new"
    mv "$TEST_DIR/inventory.new" "$TEST_DIR/inventory.yaml"
    for side in right left; do
        kill -HUP "${TEST_PID[$side]}"
        check "$side has a link more and one less" wait_for 30 told "$side" 1 'is in force: 11[01] sessions'
    done

    # Another release: its own name is all that differs.
    sed 's/0\.1\.0/0.1.1/g' "$build/plumbline-probe" >"$TEST_DIR/rebuilt"
    chmod 755 "$TEST_DIR/rebuilt"
    check_equal 'there is another release' 'plumbline-probe 0.1.1' "$("$TEST_DIR/rebuilt" --version)"
    replace left "$TEST_DIR/rebuilt"
    before=${TEST_PID[left]}
    upgrade left 1
    check 'systemd is told of the new process by the old one' grep -qx "$before MAINPID=${TEST_PID[left]}" "$TEST_DIR/notify.log"
    for word in READY WATCHDOG; do
        check "... and gets $word from the new one" wait_for 30 grep -qx "${TEST_PID[left]} $word=1" "$TEST_DIR/notify.log"
    done
    check_equal '... and nothing of an end from the old one' 0 "$(grep -c "^$before STOPPING" "$TEST_DIR/notify.log")"
    check 'release 0.1.0 gave way to 0.1.1' grep -q 'release 0.1.1, process .* release 0.1.0 waits' "$TEST_DIR/left.log"

    sed -i 's/^redis:/rediss:/' "$TEST_DIR/right.yaml"
    fails right 'it ended before it was ready'
    check 'what is wrong is told' grep -q "right.yaml:3:1: error: unknown key 'rediss'" "$TEST_DIR/right.log"
    sed -i 's/^rediss:/redis:/' "$TEST_DIR/right.yaml"
    for mode in newer late; do
        printf '#!/bin/sh\nexec python3 %s %s "$@"\n' "$judge" "$mode" >"$TEST_DIR/$mode"
        replace right "$TEST_DIR/$mode"
        if [[ $mode == newer ]]; then why='does not read the state'; else why='ended while it took over'; fi
        fails right "$why"
    done
    rm "$TEST_DIR/right-probe"
    fails right 'it ended before it was ready'
    replace right "$TEST_DIR/rebuilt"
    upgrade right 1
    # With a link more and one less at once.
    inventory newest 5 10.78.5 >"$TEST_DIR/inventory.new"
    mv "$TEST_DIR/inventory.new" "$TEST_DIR/inventory.yaml"
    replace left "$build/plumbline-probe"
    upgrade left 2

    # All that was sent until here is decided, and a whole delta-t more.
    LAST=$(date +%s%N)
    for side in left right; do
        check "$side: all is decided" wait_for 60 decided "$side" "$LAST"
    done
    # Both processes of an upgrade that is not over are told to stop, as systemd does it.
    before=${TEST_PID[left]}
    kill -USR2 "$before"
    check 'left is taken over (upgrade 3)' wait_for 30 told left 3 'has taken over in'
    TEST_PID[left]=$(grep -a 'has taken over in' "$TEST_DIR/left.log" | tail -n 1 | sed 's/.*process \([0-9]*\),.*/\1/')
    kill -TERM "$before"
    end left
    end right
}

# A machine that is too busy loses events, packets and stamps before anybody else can: all
# are counted under these names.
overloaded() {
    grep -aohE 'events_lost|kernel_drops|follow_up_lost|tx_stamp_(missing|unknown|forgotten)' "$TEST_DIR"/spool-*/*.seg |
        sort | uniq -c
}

for period in 20ms 100ms; do
    scenario "$period"
    [[ -n $(overloaded) ]] || break
    echo "this machine had no room for a packet each $period of each session: $(overloaded | tr -s ' \n' ' ')"
done
for side in left right; do
    read -r sessions packets bad < <(python3 "$judge" packets "$TEST_DIR/$side.tsv" "$FIRST" "$LAST" "$KEPT,echo")
    check_equal "$side: sessions that nobody changed" "$([[ $side == left ]] && echo 101 || echo 100)" "$sessions"
    check "$side: packets were judged: $packets" test "${packets:-0}" -gt 10000
    check_equal "$side: each of them" 'missing=0 twice=0 not_received=0 late=0 repeated=0 user_stamps=0 impossible=0' "$bad"
    read -r epochs sessions dt seconds bad < <(python3 "$judge" spool "$TEST_DIR/spool-$side" "$FIRST" "$LAST" "$KEPT,echo")
    check_equal "$side: epochs, one a process" "$([[ $side == left ]] && echo 4 || echo 2)" "$epochs"
    check "$side: delta-t and seconds were judged: $dt, $seconds" test "${dt:-0}" -gt 300 -a "${seconds:-0}" -gt 5
    check_equal "$side: each of them" 'dt_missing=0 dt_twice=0 wrong=0 second_missing=0 second_twice=0 not_alive=0 watermark=0 after_watermark=0' "$bad"
done
fates=$(awk -F'\t' '$1 == "new" { print $6 }' "$TEST_DIR/left.tsv" | sort | uniq -c | tr -s ' \n' ' ')
check "of the link that went with the upgrade nothing is lost:$fates" grep -vq lost <<<"$fates"
test_end
