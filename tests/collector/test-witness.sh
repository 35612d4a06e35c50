#!/bin/bash
# test-witness.sh - a link that both ends measure: what the first end does not know the
# second tells, marked; what neither knows stays unknown; where they do not agree, that
# is said.  Streams made of scripts (feed), a real PostgreSQL and Redis.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD
store_begin witness redis-server redis-cli


cat >"$TEST_DIR/inventory.yaml" <<'END'
inventory: 1
interval: 60s
sites: { a: { timezone: Europe/Paris } }
probes: { p1: { site: a }, p2: { site: a }, p3: { site: a } }
classes: { c0: { dscp: ef, period: 100ms, size: 128, dt: 1s } }
links:
  l1: { probe_from: both, classes: [c0], ends: [ { probe: p1, address: 10.1.1.1 }, { probe: p2, address: 10.1.1.2 } ] }
  l3: { classes: [c0], ends: [ { probe: p3, address: 10.3.1.1 }, { probe: p2, address: 10.3.1.2 } ] }
END
store_start
store_collector collector

# judged T: of the round trip of l1 in the interval that begins then.
judged() {
    echo "SELECT dt_count, unknown_dt, witness_dt, sent, received, lost, provisional FROM plumbline.v_judged
        WHERE object = 'l1' AND direction = 'rt' AND start = to_timestamp($1)"
}
# marked T CONDITION: delta-t of that interval, by offset.
marked() {
    echo "SELECT string_agg(extract(epoch FROM start - interval_start)::int || ' ' || observer, ',' ORDER BY start)
        FROM plumbline.v_judged_delta_t WHERE object = 'l1' AND direction = 'rt' AND interval_start = to_timestamp($1) AND $2"
}

# The first end loses ten seconds of what it knew; the second loses a packet in one of
# them (and nobody vouches for the first end's reflector then), and in one more.
t=$(($(date +%s) / 60 * 60 - 900))
feed <<END
source p1
link l1 p2 0
epoch 1000
seconds $t 30
tombstone $((t + 30)) $((t + 40))
seconds $((t + 40)) 81
source p2
link l1 p1 1
epoch 1000
seconds $t 35
second $((t + 35)) fwd=1
seconds $((t + 36)) 14
second $((t + 50)) fwd=1
seconds $((t + 51)) 130
source p3
link l3 p2 0
epoch 1000
seconds $t 130
END
becomes 'what the first end does not know the witness tells, but for what nobody knows' $'59\t1\t9\t590\t590\t0\tf' "$(judged "$t")"
check_equal 'the delta-t that it stands in for are marked' \
    '30 p2,31 p2,32 p2,33 p2,34 p2,36 p2,37 p2,38 p2,39 p2' "$(sql "$(marked "$t" witness)")"
check_equal 'one is unknown to both' '35 p1' "$(sql "$(marked "$t" "state <> 'measured'")")"
check_equal "the witness's loss does not count where the first end measured" 0 \
    "$(sql "SELECT sum(lost) FROM plumbline.v_judged_delta_t WHERE object = 'l1' AND direction = 'fwd' AND interval_start = to_timestamp($t)")"
check_equal 'each delta-t is there once' 60 \
    "$(sql "SELECT count(DISTINCT start) FROM plumbline.v_judged_delta_t WHERE object = 'l1' AND direction = 'bwd' AND interval_start = to_timestamp($t)")"
becomes 'an interval that the first end knows whole is its own' $'60\t0\t0\t600\t600\t0\tf' "$(judged $((t + 60)))"
becomes 'a link without a witness is judged by its one end' $'60\t0\t0\t600' \
    "SELECT dt_count, unknown_dt, witness_dt, sent FROM plumbline.v_judged WHERE object = 'l3' AND direction = 'rt' AND start = to_timestamp($t)"

# The first end falls silent; its row may still come.
becomes 'where the first end has no row yet the witness stands in, provisionally' $'60\t0\t60\t600\t600\t0\tt' "$(judged $((t + 120)))"
feed <<END
source p1
link l1 p2 0
epoch 1000
sequence 112
tombstone $((t + 121)) $((t + 240))
seconds $((t + 240)) 70
END
becomes 'and for good when it comes and knows nothing' $'60\t0\t59\t600\t600\t0\tf' "$(judged $((t + 120)))"

# Disagreement: one in a hundred against none is none, one in ten is.
feed <<END
source p1
link l1 p2 0
epoch 1000
sequence 183
seconds $((t + 310)) 50
second $((t + 360)) fwd=2
seconds $((t + 361)) 59
second $((t + 420)) fwd=6
seconds $((t + 421)) 9 fwd=6
seconds $((t + 430)) 120
source p2
link l1 p1 1
epoch 1000
sequence 181
seconds $((t + 181)) 360
END
disagreement() {
    echo "SELECT first_lost, witness_lost, round(loss_sigmas::numeric, 1), disagrees FROM plumbline.v_witness
        WHERE object = 'l1' AND direction = 'fwd' AND start = to_timestamp($1)"
}
becomes 'a difference that may be chance is none' $'2\t0\t1.4\tf' "$(disagreement $((t + 360)))"
becomes 'one that is not is told' $'60\t0\t7.9\tt' "$(disagreement $((t + 420)))"
check_equal 'of delays their medians are compared' t \
    "$(sql "SELECT max(p50_difference_ns) < 200000 FROM plumbline.v_witness WHERE object = 'l1' AND direction = 'rt'")"
check_equal 'readers see all of it' '3' \
    "$(sql "SET ROLE plumbline_reader; SELECT (count(*) > 0)::int + (SELECT count(*) > 0 FROM plumbline.v_witness)::int
        + (SELECT count(*) > 0 FROM plumbline.v_judged_delta_t)::int FROM plumbline.v_judged")"
check 'the collector ends well' stop collector

# What judges (measured.h) says the same of each delta-t.
sql "SELECT s.object, s.direction, extract(epoch FROM r.start)::bigint, s.flow, coalesce(s.observer_end, 0), (r.flags & 1 = 0)::int,
        r.delay_count, encode(r.dt, 'hex')
    FROM plumbline_store.interval_row r JOIN plumbline_store.series s USING (series_id) ORDER BY 1, 2, 3" \
    | "$build/tests/collector/judged_rows" | LC_ALL=C sort >"$TEST_DIR/measured.txt"
sql "SELECT object, direction, extract(epoch FROM start)::bigint, (coalesce(sum(sent) FILTER (WHERE state = 'measured'), 0) > 0)::int,
        coalesce(sum(sent) FILTER (WHERE state = 'measured'), 0), coalesce(sum(lost) FILTER (WHERE state = 'measured'), 0), bool_or(witness)::int
    FROM plumbline.v_judged_delta_t GROUP BY 1, 2, 3" | LC_ALL=C sort >"$TEST_DIR/sql.txt"
check 'there is enough to compare' [ "$(wc -l <"$TEST_DIR/sql.txt")" -ge 1000 ]
check 'SQL and what judges say the same of each delta-t' cmp "$TEST_DIR/sql.txt" "$TEST_DIR/measured.txt"
test_end
