# pair.sh - two PoPs over one emulated link, for tests of what a link or a probe
# does to them.
#
# Sources lab.sh.  Probes left-p1 and right-p1, link left-right, from the first end:
# class fast (50 packets a second, delta-t 1 s) and slow (10 a second, 2 s).
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/lab.sh
declare -F need_lab >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

PAIR_INTERVAL_NS=10000000000
PAIR_SLOW_TMAX=3s

# pair_inventory FILE [none]: the inventory; without links if 'none'.
pair_inventory() {
    cat >"$1" <<'END'
inventory: 1
interval: 10s
sites:
  left: { timezone: Europe/Paris }
  right: { timezone: Europe/London }
probes:
  left-p1: { site: left, clock: ptp }
  right-p1: { site: right, clock: ptp }
classes:
  fast: { dscp: ef, period: 20ms, size: 128, dt: 1s, tmax: 3s }
  slow: { dscp: cs0, period: 100ms, size: 512, dt: 2s, tmax: 3s }
END
    sed -i "s/dt: 2s, tmax: 3s/dt: 2s, tmax: $PAIR_SLOW_TMAX/" "$1"
    [[ ${2:-} == none ]] || cat >>"$1" <<'END'
links:
  left-right:
    ends:
      - { probe: left-p1, interface: w0, address: 10.77.0.1 }
      - { probe: right-p1, interface: w0, address: 10.77.0.2 }
    classes: [fast, slow]
END
}

# pair_set_up [OPTION ...]: network, servers, collector; no probe yet.  Options are
# the emulator's.
pair_set_up() {
    LAB_INVENTORY=$TEST_DIR/inventory.yaml
    pair_inventory "$LAB_INVENTORY"
    ns_add left
    ns_add right
    link_add left-right left w0 10.77.0.1/30 right w0 10.77.0.2/30
    emu_start "$LAB_BUILD/tests/netns/linkemu" "$@" && redis_start "$TEST_DIR/redis" && lab_database &&
        lab_collector collector
}

# pair_close: the interval under way is waited for, rows and all.  Sets PAIR_UNTIL.
pair_close() {
    local now
    now=$(now_ns)
    PAIR_UNTIL=$(((now + 1000000000 + PAIR_INTERVAL_NS - 1) / PAIR_INTERVAL_NS * PAIR_INTERVAL_NS))
    # 2 classes, 3 directions.
    wait_for 40 lab_has_rows 6 $((PAIR_UNTIL - PAIR_INTERVAL_NS))
}

# pair_compare [OPTION ...]: beside truth, into TEST_DIR/result.json.
pair_compare() {
    emu_tell sync >/dev/null
    lab_rows >"$TEST_DIR/rows.tsv"
    python3 "$LAB_TRUTH" compare --log "$TEST_DIR/emu.tsv" --samples "$TEST_DIR/left-p1.tsv" --until "$PAIR_UNTIL" \
        --final fast:1000000000:5000000000 --final slow:2000000000:5000000000 "$@" >"$TEST_DIR/result.json"
}

# pair_value PATH: of the result.
pair_value() {
    python3 "$LAB_TRUTH" get "$TEST_DIR/result.json" "$1"
}

# pair_told: what the result says, for a failed test's log.
pair_told() {
    python3 "$LAB_TRUTH" table "$TEST_DIR/result.json" >&2
    pair_value wrong | head -c 3000 >&2
    pair_value fates | head -c 3000 >&2
}
