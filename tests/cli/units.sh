#!/bin/bash
# units.sh - the units in dist/ are hardened, and the programs live with what is left to
# them: each is started with the unit's capabilities, limits and user.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/base.sh
. "$here/../lib/base.sh"
need_program systemd-analyze setpriv
test_init units
dist=$here/../../dist
build=${PLUMBLINE_BUILD:-.}

# exposure UNIT: in tenths.
exposure() {
    systemd-analyze security --offline=true --no-pager "$dist/$1.service" 2>/dev/null |
        sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}

under() {
    local got
    got=$(exposure "$1")
    echo "$1: exposure $got tenths" >&2
    [[ -n $got ]] && ((10#$got < $2))
}

# words UNIT KEY
words() {
    sed -n "s/^$2=//p" "$dist/$1.service"
}

check 'the unit of the probe is exposed under 2.0' under plumbline-probe 20
check 'the unit of the collector is exposed under 2.0' under plumbline-collector 20
for u in plumbline-probe plumbline-collector; do
    check_equal "$u may gain no more than it begins with" "$(words $u AmbientCapabilities)" "$(words $u CapabilityBoundingSet)"
    check "$u takes no privileges by exec" grep -q '^NoNewPrivileges=yes' "$dist/$u.service"
done
check_equal 'the probe may ask the kernel how good the clock is' 1 \
    "$(words plumbline-probe SystemCallFilter | grep -c adjtimex)"
check_equal 'and reach the priority that is its default' 40 "$(words plumbline-probe LimitRTPRIO)"
test_end
