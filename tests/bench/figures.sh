# figures.sh - what the benchmark scripts share: two namespaces on a bare veth,
# CPU time of a process, and the line of a figure.
#
# After tests/lib/base.sh and netns.sh.
# shellcheck shell=bash disable=SC2034

bench_wire() {
    need_root
    test_init "$1"
    ns_add a
    ns_add b
    wire_add a v0 10.77.0.1/24 b v0 10.77.0.2/24
    D=$TEST_DIR
}

# cpu_of PID: nanoseconds that all its threads ran.
cpu_of() {
    cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'
}

# figure NAME OURS UNIT PEER THEIRS
figure() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" \
        "$(awk -v a="$2" -v b="$5" 'BEGIN { if (b > 0) printf "%.3f", a / b; else printf "-" }')"
}

# value NAME TEXT: of a line of "name value" pairs.
value() {
    awk -v n="$1" '{ for (i = 1; i < NF; i++) if ($i == n) print $(i + 1) }' <<<"$2"
}
