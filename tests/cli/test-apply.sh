#!/bin/bash
# shellcheck disable=SC2317
# test-apply.sh - `plumbline apply` and `plumbline slice` over a real PostgreSQL and
# a real git repository: the plan, the generations, and each thing that is refused.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
build=$STORE_BUILD top=$STORE_TOP
store_begin apply git python3

git() { command git -C "$net" -c user.name='Ann Other' -c user.email=ann@example.net "$@"; }
# apply ARG ...: its status in $status, what it said in out and err.
apply() { does apply "$@"; }
# edit FILE FROM TO: the first FROM in FILE becomes TO.
edit() {
    python3 - "$net/$1" "$2" "$3" <<'END'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
assert old in text, old
open(path, "w").write(text.replace(old, new, 1))
END
}
generations() { sql 'SELECT coalesce(max(number), 0) FROM plumbline_store.inventory_generation'; }
# refused SENTENCE PATTERN: apply --yes is refused with that, and writes nothing.
refused() {
    local before
    before=$(generations)
    apply --yes "$net"
    check_equal "$1: status" 2 "$status"
    check "$1: told" says err "$2"
    check_equal "$1: nothing written" "$before" "$(generations)"
    git checkout -q . && git clean -qfd
}

net=$TEST_DIR/net
mkdir "$net"
STORE_INVENTORY=$net
store_servers
cp "$top/tests/fixtures/inventory-example.yaml" "$net/net.yaml"

apply "$net"
check_equal 'without a schema: status' 3 "$status"
check 'without a schema: migrate is named' says err 'run .plumbline migrate. first'
plumbline migrate >/dev/null
apply --commit abc --author 'Bob' --json
check_equal 'a plan outside of git: status' 0 "$status"
check 'a plan outside of git: commit and author are what was said' says out '"commit":[[:space:]]*"abc"'
check_equal 'a plan writes nothing' 0 "$(generations)"

git init -q && git add -A && git commit -qm 'the network'
apply "$net"
check_equal 'the first plan: status' 0 "$status"
check 'the first plan names what is added' says out '^added +link +par1-lon1-a$'
check 'the first plan: attachments are objects' says out '^added +attachment +acme-azure.secondary$'
check 'the first plan: says that nothing was written' says out 'nothing was written: --yes writes it'
apply --yes "$net"
check_equal 'the first generation: status' 0 "$status"
check_equal 'the first generation has commit, author, time' \
    "1	$(git rev-parse HEAD)	f	Ann Other <ann@example.net>	t" \
    "$(sql "SELECT number, git_commit, git_dirty, author, applied_at > now() - interval '1 hour' FROM plumbline.inventory_generation")"
check_equal 'all kinds are there' \
    'alarm 3,attachment 3,class 3,connector 2,group 1,hook 2,link 4,probe 3,router 4,service 1,site 3,sla 1,tenant 1,tunnel 1' \
    "$(sql "SELECT string_agg(kind || ' ' || n, ',' ORDER BY kind) FROM (SELECT kind, count(*) n FROM plumbline_store.inventory_object GROUP BY 1) k")"
check_equal 'values keep their units, numbers are numbers' '100Gbit	9001	18ms' \
    "$(sql "SELECT l.content->>'capacity', (l.content->'mtu')::integer + 1, s.content->'objectives'->0->>'limit'
        FROM plumbline_store.inventory_object l, plumbline_store.inventory_object s
        WHERE l.key = 'par1-lon1-a' AND s.kind = 'sla'")"
check_equal 'the canonical text is the one that check prints' \
    "$("$build/plumbline" check --canonical "$net" 2>/dev/null)" \
    "$(sql 'SELECT canonical FROM plumbline_store.inventory_generation')"
check_equal 'the generation is the one that check prints' \
    "$("$build/plumbline" check --json "$net" | python3 -c 'import json, sys; print(json.load(sys.stdin)["inventories"][0]["generation"])')" \
    "$(sql 'SELECT generation FROM plumbline.inventory_generation')"
apply --yes "$net"
check_equal 'the same again: status' 0 "$status"
check 'the same again: nothing to do' says out '^nothing to do: generation 1 is this inventory$'
check_equal 'the same again: no generation' 1 "$(generations)"

# What changes, and what is not committed.
edit net.yaml 'mtu: 9000                   #' 'mtu: 8900                   #'
edit net.yaml 'carrier: colt,' 'carrier: zayo,'
edit net.yaml '    state: planned  ' '    state: retired  '
apply "$net"
check 'a change names its fields' says out '^changed +link +par1-lon1-a: labels, mtu$'
check 'retiring is called so' says out '^retired +link +lon1-ams1: state$'
check_equal 'a change of two objects is that' 2 "$(grep -cE '^(added|changed|retired|removed) ' "$TEST_DIR/out")"
apply --yes "$net"
check 'changes that are not committed are told' says out 'and changes that are not committed, by Ann'
check_equal 'changes that are not committed are kept' 't' "$(sql 'SELECT git_dirty FROM plumbline_store.inventory_generation WHERE number = 2')"
check_equal 'what was before is kept' '9000	8900' \
    "$(sql "SELECT before->>'mtu', after->>'mtu' FROM plumbline_store.inventory_change WHERE number = 2 AND action = 'changed'")"
git commit -qam 'second'

# What is refused.
edit net.yaml '  ams1-pe1: { site: ams1' '  ams1-pe2: { site: ams1'
edit net.yaml 'router: ams1-pe1, vrf: core, address: 10.1.3.1' 'router: ams1-pe2, vrf: core, address: 10.1.3.1'
edit net.yaml 'router: ams1-pe1, vrf: core, address: 10.1.4.1' 'router: ams1-pe2, vrf: core, address: 10.1.4.1'
refused 'a key that was changed' "^refused +router +ams1-pe1: its key was changed to 'ams1-pe2'"
edit net.yaml '  slow:  { metric' '  slowly:  { metric'
edit net.yaml '    attachments:
      main: ' '    attachments:
      other: '
refused "an attachment's key" "^refused +attachment +acme-hq.main: its key was changed to 'acme-hq.other'"
edit net.yaml '  par1-ams1:
    state: active' '  par1-ams1-x:
    state: active'
edit net.yaml '    capacity: 10Gbit
' '    capacity: 20Gbit
'
refused 'what is not retired' "^refused +link +par1-ams1: it is not retired: put it back with 'state: retired'"
edit net.yaml 'limit: 18ms' 'limit: 19ms'
refused 'an SLA with other content' '^refused +sla +premium: version 2 was applied with other content; make this version 3'
edit net.yaml 'limit: 18ms' 'limit: 19ms'
edit net.yaml '    version: 2 ' '    version: 3 '
refused 'a version that is valid from the same day' '^refused +sla +premium: valid_from 2026-02-01 of version 3 is the same day as valid_from 2026-02-01 of version 2: .*make it a day after 2026-02-01'
edit net.yaml '    version: 2 ' '    version: 3 '
edit net.yaml 'valid_from: 2026-02-01' 'valid_from: 2026-01-31'
refused 'a version that is valid from an earlier day' '^refused +sla +premium: valid_from 2026-01-31 of version 3 is before valid_from 2026-02-01 of version 2: '
edit net.yaml '    version: 2 ' '    version: 3 '
apply "$net"
check 'what is refused of an SLA has its place' says err "^ +at $net/net.yaml:103:17\$"
apply --json "$net"
check 'and in JSON' says out "\"place\":[[:space:]]*\"$net/net.yaml:103:17\""
git checkout -q .
edit net.yaml 'limit: 18ms' 'limit: 19ms'
apply "$net"
check 'other content: the place is the version' says err "^ +at $net/net.yaml:102:14\$"
git checkout -q .
edit net.yaml '    version: 2 ' '    version: 1 '
refused 'an older SLA' '^refused +sla +premium: version 1 is older than 2'
edit net.yaml 'dt: 2s }' 'dt: 7s }'
refused 'what check refuses' 'dt 7s does not divide'

# What is allowed: a new version, a label, taking out what is retired; alarms have no history.
edit net.yaml '    version: 2 ' '    version: 3 '
edit net.yaml 'valid_from: 2026-02-01' 'valid_from: 2026-03-01'
edit net.yaml 'limit: 18ms' 'limit: 19ms'
edit net.yaml '  slow:  { metric' '  slowly:  { metric'
python3 - "$net/net.yaml" <<'END'
import re, sys
text = open(sys.argv[1]).read()
text = re.sub(r"  lon1-ams1:\n(    .*\n)+", "", text, count=1)
open(sys.argv[1], "w").write(text)
END
git commit -qam 'third'
apply --yes "$net"
check_equal 'what is allowed: status' 0 "$status"
check 'what is allowed: the link is taken out' says out '^removed +link +lon1-ams1$'
check_equal 'what is allowed: both versions are kept' '2 18ms,3 19ms' \
    "$(sql "SELECT string_agg(version || ' ' || (content->'objectives'->0->>'limit'), ',' ORDER BY version) FROM plumbline_store.inventory_sla")"
check_equal 'what was taken out is not in force' 0 "$(sql "SELECT count(*) FROM plumbline.inventory_object WHERE key = 'lon1-ams1'")"
edit net.yaml '    version: 3 ' '    version: 4 '
edit net.yaml 'valid_from: 2026-03-01' 'valid_from: 2026-04-01'
edit net.yaml 'limit: 19ms' 'limit: 18ms'
apply --yes "$net"
git commit -qam 'fourth'
edit net.yaml '    version: 4 ' '    version: 3 '
refused 'back to a version that was' '^refused +sla +premium: version 3 is older than 4'
edit net.yaml '  par1-ams1:
    state: active' '  lon1-ams1:
    state: active
    ends:
      - { probe: lon1-p1, address: 10.1.4.0 }
      - { probe: ams1-p1, address: 10.1.4.1 }
    classes: [gold, be]
  par1-ams1:
    state: active'
refused 'a key that is used again' '^refused +link +lon1-ams1: this key was taken out in generation 3, and is never used again'

# What a profile has is a part of the promise of each SLA that names it.
edit net.yaml 'slas:
' 'profiles:
  gold-metro: { objectives: [{ class: gold, metric: hli, limit: 20 }] }
slas:
'
edit net.yaml '    objectives:
' '    profiles: [gold-metro]
    suspect: include
    objectives:
'
edit net.yaml '    version: 4 ' '    version: 5 '
edit net.yaml 'valid_from: 2026-04-01' 'valid_from: 2026-05-01'
edit net.yaml 'cap: 100% }' 'rt_p99: { excess: [{ above: 10%, credit: 10% }, { above: 100%, credit: 50% }] }, cap: 100% }'
apply --yes "$net"
check_equal 'a profile: status' 0 "$status"
check 'a profile is an object' says out '^added +profile +gold-metro$'
git commit -qam 'fifth'
check_equal "a version has the profile's objectives and its own" 'hli,rt_p99,fdr_p99_9,flr,flr,availability' \
    "$(sql "SELECT string_agg(o->>'metric', ',' ORDER BY n) FROM plumbline_store.inventory_sla,
        jsonb_array_elements(content->'objectives') WITH ORDINALITY AS e(o, n) WHERE version = 5")"
check_equal 'a version has all that a judge needs' '2026-05-01	["over", "bgp"]	f	include	last	7d	30d	100%	50%' \
    "$(sql "SELECT content->>'valid_from', content->'covers', content ? 'profiles', content->>'suspect', content->>'undetermined',
        content->>'notice', content->>'claim_within', content#>>'{credits,cap}', content#>>'{credits,rt_p99,excess,1,credit}'
        FROM plumbline_store.inventory_sla WHERE version = 5")"
edit net.yaml 'metric: hli, limit: 20' 'metric: hli, limit: 21'
refused 'a profile that changes under a version' '^refused +sla +premium: version 5 was applied with other content; make this version 6'
edit net.yaml 'suspect: include' 'suspect: exclude'
refused 'suspect data under a version' '^refused +sla +premium: version 5 was applied with other content'
edit net.yaml 'above: 100%, credit: 50%' 'above: 100%, credit: 51%'
refused 'credits by excess under a version' '^refused +sla +premium: version 5 was applied with other content'
edit net.yaml 'metric: hli, limit: 20' 'metric: hli, limit: 21'
edit net.yaml '    version: 5 ' '    version: 6 '
edit net.yaml 'valid_from: 2026-05-01' 'valid_from: 2026-06-01'
apply --yes "$net"
check_equal 'a profile that changes with its versions: status' 0 "$status"
check 'a profile that changes: both are told' says out '^changed +profile +gold-metro: objectives$'
git commit -qam 'sixth'
before=$(generations)
edit net.yaml '    profiles: [gold-metro]
' ''
edit net.yaml '    objectives:
      - { class: gold, metric: rt_p99' '    objectives:
      - { class: gold, metric: hli, limit: 21 }
      - { class: gold, metric: rt_p99'
apply "$net"
check 'the same promise without its profile: nothing but text changes' says out "^no object changes after generation $before, its text does"
apply --yes "$net"
check_equal 'the same promise without its profile: status' 0 "$status"
check_equal 'the same promise without its profile: is a generation' "$((before + 1))" "$(generations)"
edit net.yaml 'interval: 60s' 'interval: 30s'
apply --yes "$net"
check_equal 'another interval is a generation' "$((before + 2)) 30000000000" \
    "$(sql 'SELECT number || chr(32) || interval_ns FROM plumbline_store.inventory_generation ORDER BY number DESC LIMIT 1')"
git commit -qam 'seventh'

# Two at once: the second sees that its plan is old.
check_equal 'a plan that is old is refused' 'refused' "$(sql "SELECT plumbline_store.inventory_apply('[]', 2, 1, 1, NULL, false, 'x', 'x', 'x')" 2>&1 | grep -q 'was applied meanwhile' && echo refused)"

# Slices.
"$build/plumbline" slice --config "$TEST_DIR/plumbline.yaml" --probe par1-p1 --output "$TEST_DIR/par1-p1.yaml"
check_equal 'a slice: status' 0 $?
check 'a slice is an inventory' "$build/plumbline" check "$TEST_DIR/par1-p1.yaml"
check_equal 'a slice has the generation that was applied' \
    "$(sql 'SELECT generation FROM plumbline.inventory_generation ORDER BY number DESC LIMIT 1')" \
    "$(sed -n 's/^generation: "\(.*\)"$/\1/p' "$TEST_DIR/par1-p1.yaml")"
apply "$TEST_DIR/par1-p1.yaml"
check_equal 'a slice is not applied' 2 "$status"
"$build/plumbline" slice --probe par1-p9 "$net" 2>"$TEST_DIR/err"
check_equal 'a slice for nobody: status' 2 $?
check 'a slice for nobody: told' says err "there is no probe 'par1-p9'"
"$build/plumbline" slice --json --probe par1-p1 "$net" >"$TEST_DIR/out"
check 'a slice as JSON' says out '"probe":[[:space:]]*"par1-p1"'
printf '%s\n' 'probe: par1-p1' "inventory: $TEST_DIR/par1-p1.yaml" 'redis: { address: "127.0.0.1:1" }' >"$TEST_DIR/probe.yaml"
check 'a probe reads its slice' "$build/plumbline-probe" --check --config "$TEST_DIR/probe.yaml"
sed -i 's/^probe: .*/probe: lon1-p1/' "$TEST_DIR/probe.yaml"
"$build/plumbline-probe" --check --config "$TEST_DIR/probe.yaml" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
check_equal "another's slice: status" 2 $?
check "another's slice: told" says err "is the slice of probe 'par1-p1'"
printf '%s\n' 'collector: c' "inventory: $TEST_DIR/par1-p1.yaml" 'redis: { address: "127.0.0.1:1" }' \
    'postgresql: { conninfo: "dbname=none" }' >"$TEST_DIR/collector.yaml"
check 'a collector reads a slice' "$build/plumbline-collector" --check --config "$TEST_DIR/collector.yaml"
test_end
