#!/bin/bash
# test-paths.sh - two links in parallel between the same two probes are told apart
# by loss on one, though the routing table would send both by the first; of four
# flows of a link the one whose path is dead is named.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
need_program nft
test_init paths

servers() {
    redis_start "$TEST_DIR/redis" && lab_database && lab_collector collector
}

LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'END'
inventory: 1
interval: 10s
sites: { left: { timezone: Europe/Paris }, right: { timezone: Europe/London } }
probes: { left-p1: { site: left }, right-p1: { site: right } }
classes:
  fast: { dscp: ef, period: 20ms, size: 128, dt: 1s, tmax: 1s }
links:
  one:
    ends: [ { probe: left-p1, interface: w0, address: 10.77.1.1 }, { probe: right-p1, interface: w0, address: 10.77.1.2 } ]
    classes: [fast]
    flows: 4
  two:
    ends: [ { probe: left-p1, interface: w1, address: 10.77.2.1 }, { probe: right-p1, interface: w1, address: 10.77.2.2 } ]
    classes: [fast]
END
ns_add left
ns_add right
link_add one left w0 10.77.1.1/30 right w0 10.77.1.2/30
link_add two left w1 10.77.2.1/30 right w1 10.77.2.2/30
# Whoever only routes sends link two's packets by the first, both ways.
ip -n "$TEST_ID-left" route add 10.77.2.2/32 via 10.77.1.2 dev w0
ip -n "$TEST_ID-right" route add 10.77.2.1/32 via 10.77.1.1 dev w0
start sniff ns_exec right python3 "$here/sniff.py" w0 "$TEST_DIR/wire.tsv"
check 'the emulator runs' emu_start "$LAB_BUILD/tests/netns/linkemu" --seed 3
check 'the servers start' servers || test_end
wait_for 30 grep -q ready "$TEST_DIR/sniff.log"
lab_probe right right-p1
lab_probe left left-p1 'source_port: 51000'

# value SQL WHERE: of the view, one line.
value() {
    pg_sql plumbline "SELECT $1 FROM plumbline.v_interval WHERE $2" | tr '\t' ' '
}
answered() {
    [[ $(awk -F'\t' '$1 == "out" && $4 == 862 { seen[$6]++ } END { for (p in seen) n += seen[p] > 20; print n + 0 }' "$TEST_DIR/wire.tsv") -ge 4 ]]
}
check 'four flows of link one are answered' wait_for 30 answered
# What is lost before the far probe vouches for its seconds would be unknown.
check 'rows come' wait_for 60 lab_has_rows 15
# A hundred of link two's on their way back, and one path of link one dead for good.
emu_tell @two 'lose bwd 100' >/dev/null
ns_exec right nft 'add table ip t; add chain ip t i { type filter hook input priority 0; }; add rule ip t i udp sport 51002 drop'
dead() {
    [[ $(value 'count(*)' "object = 'one' AND direction = 'rt' AND flow = 2 AND dt_count = 10 AND received = 0 AND lost > 400") -ge 1 ]]
}
check 'an interval of the dead flow comes' wait_for 60 dead
check_equal 'a flow is a fixed port' '51000 51001 51002 51003' \
    "$(awk -F'\t' '$1 == "in" && $6 == 862 { print $4 }' "$TEST_DIR/wire.tsv" | sort -u | tr '\n' ' ' | sed 's/ $//')"
check_equal 'each flow has rows' '0 1 2 3' \
    "$(value "string_agg(DISTINCT flow::text, ' ' ORDER BY flow::text)" "object = 'one'")"
check_equal 'the dead path is flow 2 of link one, and no other flow lost' 'one/2' \
    "$(value "string_agg(DISTINCT object || '/' || flow, ' ')" "object = 'one' AND lost > 0")"
# Delta-t that the far probe cannot vouch for, on a machine that held it up, are unknown.
two=$(pg_sql plumbline "SELECT coalesce(sum(lost) FILTER (WHERE direction = 'fwd'), 0), coalesce(sum(lost) FILTER (WHERE direction = 'bwd'), 0),
    coalesce(sum(unknown_dt) FILTER (WHERE direction = 'rt' AND start > (SELECT min(start) FROM plumbline.v_interval)), 0)
    FROM plumbline.v_interval WHERE object = 'two'" | tr '\t' ' ')
read -r fwd bwd unknown <<<"$two"
check "link two lost a hundred on the way back, and none of them is link one's: $two" \
    test "$fwd" -eq 0 -a \( "$bwd" -eq 100 -o \( "$unknown" -gt 0 -a "$bwd" -gt 0 -a "$bwd" -lt 100 \) \)
check_equal 'link two was on the first wire at no time' 0 \
    "$(awk -F'\t' '$3 == "10.77.2.1" || $5 == "10.77.2.1" { n++ } END { print n + 0 }' "$TEST_DIR/wire.tsv")"
check_equal 'the emulator lost as many' 100 "$(grep -cw burst "$TEST_DIR/emu.tsv")"
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
test_end
