#!/bin/bash
# test-brown.sh - a real pair of probes over an emulated link: delay that grows by a fifth beside a
# router more raises `slow`; 2 % of loss raises `brown` and not `cut`; both clear.
#
# The rules have shorter windows than those built in.  With PLUMBLINE_BROWN_SECONDS=600 the built-in
# `brown` and `cut` are taken and 2 % are lost for ten minutes, which is run by hand.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/pair.sh
. "$here/../lib/pair.sh"

need_lab
need_program nft
test_init brown
lasts=${PLUMBLINE_BROWN_SECONDS:-}

# pair_set_up writes it again: so our rules are in what it calls.
eval "$(declare -f pair_inventory | sed '1s/pair_inventory/bare_inventory/')"
pair_inventory() {
    bare_inventory "$@"
    echo 'alarms:' >>"$1"
    echo '  slow:  { metric: rt_p50, over: 5s,  raise: +20%, against: 100s, clear: 5s, severity: minor }' >>"$1"
    [[ -n $lasts ]] || cat >>"$1" <<'END'
  cut:   { metric: flr,    over: 3s,  raise: 50%,  clear: 5s, severity: critical }
  brown: { metric: flr,    over: 10s, raise: 0.5%, clear: 5s, severity: major }
END
}
# alarm RULE WHERE: how many there are.
alarm() { pg_sql plumbline "SELECT count(*) FROM plumbline_store.alarm WHERE rule = '$1' AND object = 'left-right' AND $2"; }
is() { [[ $(alarm "$1" "$2" 2>/dev/null) -ge $3 ]]; }
show() { pg_sql plumbline 'SELECT rule, class, observer, began, raised, cleared, details FROM plumbline_store.alarm ORDER BY id' >&2; }

check 'network, servers and collector start' pair_set_up --seed 5 || test_end
emu_tell 'both delay 50ms' >/dev/null
lab_probe right right-p1
lab_probe left left-p1
known() { [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.baseline WHERE value_ns >= 100000000" 2>/dev/null) -eq $1 ]]; }
check 'the past of both classes becomes known: 100 ms' wait_for 200 known 2 ||
    pg_sql plumbline 'SELECT object, class, direction, start, flags, sent, lost, unknown, unknown_dt FROM plumbline_store.interval_row JOIN plumbline_store.series USING (series_id)' >&2

# --- A longer way ---
# Twice 10 ms more: a fifth.
ns_exec right nft 'add table ip t; add chain ip t p { type filter hook prerouting priority -150; }; add rule ip t p ip ttl set 250'
emu_tell 'both delay 60ms' >/dev/null
check 'a step of a fifth in delay raises slow' wait_for 60 is slow 'cleared IS NULL' 1 || show
check 'the probe tells of a router more' wait_for 30 grep -q 'TTL on the way there changed from 255 to 250' "$TEST_DIR/left-p1.log"
check_equal 'the alarm knows what it was before' t \
    "$(pg_sql plumbline "SELECT bool_and((details->>'baseline')::bigint >= 100000000 AND (details->>'value')::bigint * 512 > (details->>'baseline')::bigint / 5 * 6 * 511)
        FROM plumbline_store.alarm WHERE rule = 'slow'")" || show
# The desk's evidence: what else is known of the way.
if [[ -e $LAB_TOP/collector/evidence.c ]]; then
    rerouted() { [[ $(pg_sql plumbline "SELECT count(*) FROM plumbline_store.problem WHERE evidence @> '[{\"kind\": \"re_route\"}]'" 2>/dev/null) -ge 1 ]]; }
    check 'and the problem is named a re-route' wait_for 60 rerouted ||
        pg_sql plumbline 'SELECT title, evidence FROM plumbline_store.problem' >&2
fi
emu_tell 'both delay 50ms' >/dev/null

# --- A brown-out ---
# What was lost while the probes began is over.
check 'nothing is lost so far' wait_for 60 eval '[[ $(alarm brown "cleared IS NULL") -eq 0 ]]' || show
since=$(date +%s)
emu_tell 'fwd loss 2%' >/dev/null
if [[ -n $lasts ]]; then
    sleep "$lasts"
else
    check '2 % of loss raise brown' wait_for 60 is brown 'cleared IS NULL' 1 || show
fi
check 'and say which way, once that is known' wait_for 60 is brown "details->'fwd'->>'lost' <> '0'" 1 || show
check_equal 'and cut is not' 0 "$(alarm cut "raised >= to_timestamp($since)")" || show
emu_tell reset >/dev/null
if [[ -n $lasts ]]; then
    pg_sql plumbline 'SELECT rule, class, observer, extract(epoch FROM raised - began)::integer AS after_s, flaps, details FROM plumbline_store.alarm ORDER BY id'
else
    check 'it clears' eval "wait_for 60 is brown 'cleared IS NOT NULL' 1 && wait_for 60 eval '[[ \$(alarm brown \"cleared IS NULL\") -eq 0 ]]'" || show
    check 'so does slow' eval "wait_for 60 eval '[[ \$(alarm slow \"cleared IS NULL\") -eq 0 ]]'" || show
fi
check 'the probes end well' eval 'stop left-p1 && stop right-p1'
test_end
