#!/bin/bash
# `plumbline check` as people call it: what it prints, where, and its exit status.
set -u
src=${srcdir:-.}
cmd=$PWD/plumbline
dir=$(mktemp -d /tmp/plumbline-test-XXXXXX)
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0

# expect STATUS STREAM PATTERN ARG...: 'plumbline check ARG...' ends with STATUS, and STREAM (out, err)
# has a line like PATTERN (an extended regular expression).
expect()
{
    local status=$1 stream=$2 pattern=$3 got
    shift 3
    "$cmd" check "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    if [ "$got" = "$status" ] && grep -Eq -- "$pattern" "$dir/$stream"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "check $*: status $got (wanted $status), no line in $stream like: $pattern"
        sed 's/^/  | /' "$dir/out" "$dir/err"
    fi
}

# that COMMAND...: it succeeds.
that()
{
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $*"
    fi
}

printf 'inventory: 1\nsites:\n  par1: {}\n  par1: {}\nprobes: {p: {site: par2}}\n' >"$dir/bad.yaml"
printf 'inventory: 1\nsites: {a: {timezone: No/Such}}\n' >"$dir/warn.yaml"
printf 'inventory: %s/dist/inventory.yaml\n' "$(cd "$src" && pwd)" >"$dir/cli.yaml"
printf 'inventory: %s/bad.yaml\n' "$dir" >"$dir/cli-bad.yaml"

expect 0 out '^[^ ]*inventory.yaml: good: 3 sites, 3 probes, 4 links, 2 tests, 24 sessions, 167\.000 packets/s, 103680 rows/day$' \
    "$src/dist/inventory.yaml"
that test ! -s "$dir/err"
# 103680 rows of 327 B; summaries of 152 B: of 11 gold sessions 86400 a day each, of 11 be 43200, of 2 tail 8640.
expect 0 out '^  PostgreSQL: 33\.9 MB a day \(rows of about 327 B\), 1\.4 GB in 40 days$' "$src/dist/inventory.yaml"
expect 0 out '^  spools: 2[0-9][0-9]\.[0-9] MB a day \(summaries of about 152 B\), at most .* at one probe \(par1-p1\)$' \
    "$src/dist/inventory.yaml"
expect 2 err '^[^ ]*/bad.yaml:4:3: error: .*first at [^ ]*/bad.yaml:3:3$' "$dir/bad.yaml"
that grep -q '^       |   ^$' "$dir/err"
expect 2 err "^[^ ]*/bad.yaml:5:20: error: there is no site 'par2'; did you mean 'par1'\?$" "$dir/bad.yaml"
expect 2 err ': 2 errors$' "$dir/bad.yaml"
that test ! -s "$dir/out"
expect 0 out 'good: .*, 1 warning$' "$dir/warn.yaml"
printf 'inventory: 1\nalarms:\n  a: { metric: silence, over: 15s, raise: 1, clear: 1s, severity: info }\nhooks:\n%s\n' \
    '  m: { kind: mail, url: "https://x", to: [a@b.c], from: d@e.f }' >"$dir/told.yaml"
expect 2 err "^[^ ]*/told.yaml:3:36: error: silence has no 'raise'" "$dir/told.yaml"
expect 2 err '^[^ ]*/told.yaml:5:25: error: expected a URL that begins with smtps:// or smtp://' "$dir/told.yaml"
expect 2 err 'bad.yaml: 2 errors' "$src/dist/inventory.yaml" "$dir/bad.yaml"
expect 3 err 'absent.yaml: error: cannot be read: No such file' "$dir/absent.yaml"
expect 0 out 'good$' --probe-config "$src/dist/probe.yaml"
expect 0 out 'good$' --collector-config "$src/dist/collector.yaml"
expect 2 err "collector.yaml:[0-9]+:[0-9]+: error: unknown key 'collector'|error: unknown key 'postgresql'" \
    --probe-config "$src/dist/collector.yaml"
expect 0 out 'dist/inventory.yaml: good' --config "$dir/cli.yaml"
expect 2 err 'bad.yaml: 2 errors' --config "$dir/cli-bad.yaml"
expect 0 out '^Examples:' --help
expect 2 err 'shows options and examples' --no-such-option
expect 2 err '--canonical takes one inventory' --canonical
expect 2 err '--canonical takes one inventory' --canonical --json "$dir/warn.yaml"

expect 0 out '^inventory: 1$' --canonical "$src/dist/inventory.yaml"
cp "$dir/out" "$dir/canonical.yaml"
expect 0 out '^inventory: 1$' --canonical "$dir/canonical.yaml"
that cmp -s "$dir/out" "$dir/canonical.yaml"

# The example in the manual is one that works.
sed -n '/^\.Bd -literal/,/^\.Ed/{/^\./d;p}' "$src/man/plumbline.yaml.5" >"$dir/manual.yaml"
expect 0 out 'manual.yaml: good: 2 sites, 2 probes, 1 link, 1 session, 10\.000 packets/s, 4320 rows/day$' \
    "$dir/manual.yaml"
expect 0 out 'stdin: good: ' /dev/stdin <"$dir/manual.yaml"

expect 2 out '"ok":[[:space:]]*false' --json "$dir/bad.yaml"
that python3 -c '
import json, sys
o = json.load(open(sys.argv[1]))
e = o["errors"]
assert o["error_count"] == 2 and len(e) == 2 and o["inventories"] == [], o
assert (e[0]["line"], e[0]["column"], e[0]["severity"]) == (4, 3, "error"), e
assert e[0]["file"].endswith("/bad.yaml") and "twice" in e[0]["message"], e
' "$dir/out"
expect 0 out '"rows_per_day":[[:space:]]*103680' --json "$src/dist/inventory.yaml"
that python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["ok"] is True' "$dir/out"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
