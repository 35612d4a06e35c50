#!/bin/bash
# test-example.sh - the example of the inventory, unchanged, judged on simulated data of which the
# truth is known: each of its links, groups, services and objectives has its verdict, met, missed
# or not decidable; and SQL alone comes to the same from the rows (recompute.sql).
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/store.sh
. "$here/../lib/store.sh"
store_begin example redis-server redis-cli

inventory=$STORE_TOP/tests/fixtures/inventory-example.yaml
seed=${PLUMBLINE_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $seed"

# The month of Paris that began two hours ago or more, and the next one.
paris() { TZ=Europe/Paris date -d "$1" "+$2"; }
first=$(paris "@$(($(date +%s) - 7200))" %Y-%m-01)
month=$(paris "$first" %s)
next=$(paris "$first +1 month" %s)
if ((month < $(date -u -d 2026-03-01 +%s))); then
    echo "skipped: the example's service is in force from 2026-02-01 on, and no month of it is over" >&2
    exit 77
fi

sql() { pg_sql "$database" "$1"; }
plumbline() { "$STORE_BUILD/plumbline" "$@" --config "$TEST_DIR/$database.yaml"; }
example() { "$STORE_BUILD/tests/collector/example" "$inventory" "$1" "$scenario" "$seed" "$month" "$next" 2>>"$TEST_DIR/example.log"; }
of_truth() { grep -P "^$1\t" "$TEST_DIR/$database.truth" | sort; }
# same SENTENCE WANTED GOT: files, of which the difference is shown.
same() {
    if ! diff "$2" "$3" >"$TEST_DIR/difference"; then
        head -n 30 "$TEST_DIR/difference" >&2
    fi
    check "$1" test ! -s "$TEST_DIR/difference"
}

# A database of its own for each scenario, with the example applied.
begin_scenario() {
    scenario=$1
    database=plumbline_$1
    pg_sql postgres "CREATE DATABASE $database"
    printf '%s\n' "inventory: $inventory" "redis: { address: \"$REDIS_ADDRESS\" }" \
        "postgresql: { conninfo: \"$PG_CONNINFO dbname=$database\" }" >"$TEST_DIR/$database.yaml"
    { cat "$TEST_DIR/$database.yaml"; echo 'collector: one'; } >"$TEST_DIR/$database-collector.yaml"
    plumbline migrate >/dev/null && plumbline apply --yes >/dev/null 2>"$TEST_DIR/apply.log" ||
        { check "$scenario: the example is applied" false; test_end; }
    while IFS=$'\t' read -r _ from seconds; do
        plumbline exclude add --kind customer --start "$(date -u -d "@$from" +%Y-%m-%dT%H:%M:%SZ)" --end "+${seconds}s" \
            --reason 'works in their building' --approval 'J. Doe' acme-hq-azure >/dev/null
    done < <(example -)
    redis_do flushall >/dev/null
}

lines() {
    sql "SELECT 'line', (start >= to_timestamp($month))::integer, scope_kind, scope, object, class, direction, sum(dt_total),
             sum(dt_counted), sum(dt_available), sum(dt_undetermined), sum(dt_suspect), sum(dt_witness), sum(outages), sum(hli),
             sum(chli_runs), sum(chli_intervals), sum(sent), sum(lost), sum(lost_undirected), sum(sent_raw), sum(lost_raw),
             sum(duplicate), sum(reordered), sum(delay_count)
         FROM plumbline.v_availability GROUP BY 2, 3, 4, 5, 6, 7" | sort
}

# Verdicts of the month that is over, and how the one that runs stands.
objectives() {
    sql "SELECT 'objective', 0, service, number, class, metric, direction, verdict, doubt, part, whole
         FROM plumbline.v_verdict WHERE newest AND period_end = to_timestamp($month)
         UNION ALL SELECT 'objective', 1, service, number, class, metric, direction, verdict, doubt, part, whole
         FROM plumbline.v_service" | sort
}

# values: of both, where they are further from the truth than a bucket allows.
values() {
    sql "SELECT service, number, value FROM plumbline.v_verdict WHERE newest AND period_end = to_timestamp($month) ORDER BY 1, 2" |
        while IFS=$'\t' read -r service number value; do
            awk -F'\t' -v s="$service" -v n="$number" -v v="$value" '$1 == "objective" && $2 == 0 && $3 == s && $4 == n &&
                (v - $12 > $13 || $12 - v > $13) { print s, n, "is", v, "and not", $12 }' "$TEST_DIR/$database.truth"
        done
}

play_scenario() {
    begin_scenario "$1"
    start "$database" "$STORE_BUILD/plumbline-collector" --config "$TEST_DIR/$database-collector.yaml"
    example "$REDIS_DIR/redis.sock" >"$TEST_DIR/$database.truth"
    check "$scenario: the month is judged, and ten minutes of the next" wait_for 120 answers \
        "SELECT count(*) FROM plumbline_store.judged_period WHERE revision IS NOT NULL AND period_end = to_timestamp($month)
         UNION ALL SELECT count(*) FROM plumbline_store.judged_period WHERE judged_until = to_timestamp($((month + 1200)))" $'1\n1'
    of_truth line >"$TEST_DIR/lines.truth"
    lines >"$TEST_DIR/lines"
    same "$scenario: what was counted of every link, group and service is the truth" "$TEST_DIR/lines.truth" "$TEST_DIR/lines"
    of_truth objective | cut -f 1-11 >"$TEST_DIR/objectives.truth"
    objectives >"$TEST_DIR/objectives"
    same "$scenario: every objective has the verdict that it should have" "$TEST_DIR/objectives.truth" "$TEST_DIR/objectives"
    check_equal "$scenario: nothing was judged twice" 0 "$(sql 'SELECT max(revision) FROM plumbline_store.verdict')"
    check_equal "$scenario: values are no further from the truth than a bucket" '' "$(values)"
    cut -f 2,4- "$TEST_DIR/objectives" | sed "s/^/  $scenario: /"
}

# By SQL alone, from the rows: each quarter hour of each line, each objective, to the last digit.
quarter_columns='scope_kind, scope, object, class, direction, start, dt_total, dt_counted, dt_available, dt_undetermined, dt_suspect,
    dt_witness, outages, hli, chli_runs, chli_intervals, sent, lost, lost_undirected, sent_raw, lost_raw, duplicate, reordered, delay_count'
objective_columns='service, period_start, number, class, metric, direction, limit_value, verdict, doubt, value, worst, part, whole, budget, used'
differ() { # SENTENCE COLUMNS JUDGED AGAIN
    echo "SELECT format('%s: %s as judged, %s by SQL', '$1', (SELECT count(*) FROM $3 j), (SELECT count(*) FROM $4 a));
        SELECT who, $2 FROM (SELECT 'judged', $2 FROM (SELECT $2 FROM $3 j EXCEPT SELECT $2 FROM $4 a) x
            UNION ALL SELECT 'by SQL', $2 FROM (SELECT $2 FROM $4 a EXCEPT SELECT $2 FROM $3 j) y) AS both_(who, $2) ORDER BY 2, 3, 4, 5, 6, 1;"
}
recompute() {
    local judged="(SELECT $objective_columns FROM plumbline.v_verdict WHERE newest UNION ALL SELECT $objective_columns FROM plumbline.v_service)"
    "$(pg_bin)/psql" -X -q -A -t -F $'\t' -h "$PG_DIR" -p "$PG_PORT" -U postgres -d "$database" \
        -v until="'$(sql 'SELECT min(written_until) FROM plumbline.source_position')'" -v ON_ERROR_STOP=1 -f "$here/recompute.sql" \
        -c "$(differ 'quarter hours' "$quarter_columns" plumbline.v_availability again_quarter)" \
        -c "$(differ objectives "$objective_columns" "$judged" again_objective)" >"$TEST_DIR/$database.again" 2>&1
    check_equal "$scenario: SQL alone comes to the same quarter hours and verdicts from the rows" "$(
        quarters=$(sql 'SELECT count(*) FROM plumbline.v_availability')
        objectives=$(sql "SELECT count(*) FROM $judged j")
        printf '%s\n' "quarter hours: $quarters as judged, $quarters by SQL" "objectives: $objectives as judged, $objectives by SQL"
    )" "$(head -n 40 "$TEST_DIR/$database.again")"
}

# Nothing of the inventory is left out: what there is to judge is counted in what was applied.
nothing_left_out() {
    check_equal "$scenario: each objective of each service has a verdict" \
        "$(sql "SELECT count(*) FROM plumbline_store.inventory_object s JOIN plumbline_store.inventory_object a ON a.kind = 'sla' AND a.key = s.content->>'sla'
                CROSS JOIN LATERAL jsonb_array_elements(a.content->'objectives') WHERE s.kind = 'service'")" \
        "$(sql "SELECT count(*) FROM plumbline.v_verdict WHERE newest")"
    check_equal "$scenario: each group and service is judged in each of its classes" \
        "$(sql "SELECT 'group', g.key, c FROM plumbline_store.inventory_object g JOIN plumbline_store.inventory_object l
                    ON l.kind = 'link' AND g.content->'members' ? l.key CROSS JOIN LATERAL jsonb_array_elements_text(l.content->'classes') c
                WHERE g.kind = 'group' UNION SELECT 'service', s.key, c FROM plumbline_store.inventory_object s
                CROSS JOIN LATERAL jsonb_array_elements_text(s.content->'classes') c WHERE s.kind = 'service' ORDER BY 1, 2, 3")" \
        "$(sql "SELECT DISTINCT scope_kind, scope, class FROM plumbline.v_availability WHERE direction = 'both' ORDER BY 1, 2, 3")"
    check_equal "$scenario: each link and test that is not mere evidence is judged in each of its classes" \
        "$(sql "SELECT l.key, c FROM plumbline_store.inventory_object l CROSS JOIN LATERAL jsonb_array_elements_text(l.content->'classes') c
                WHERE l.kind = 'link' UNION SELECT a.key, a.content->'test'->>'class' FROM plumbline_store.inventory_object a
                WHERE a.kind = 'attachment' AND a.content->'test'->>'use' = 'sla' ORDER BY 1, 2")" \
        "$(sql "SELECT DISTINCT scope, class FROM plumbline.v_availability WHERE scope_kind = 'link' ORDER BY 1, 2")"
}

check 'the example is right' "$STORE_BUILD/plumbline" check "$inventory"
check 'Redis starts' redis_start "$TEST_DIR/redis" || test_end
check 'PostgreSQL starts' pg_start "$TEST_DIR/pg" || test_end
for name in ${PLUMBLINE_SCENARIOS:-kept broken open}; do
    play_scenario "$name"
    nothing_left_out
    recompute
    stop "$database" TERM 10
done
check_equal 'what opens a row for SQL says of each delta-t what the older one says' 0 "$(
    sql "SELECT count(*) FROM plumbline_store.interval_row r CROSS JOIN LATERAL (SELECT FROM plumbline.dt_records(r.dt) a FULL JOIN plumbline.dt_details(r.dt) b
         USING (number, kind, flags, sent, received, lost, lost_undirected, unknown, late, duplicate, reordered) WHERE a IS NULL OR b IS NULL) x")"
test_end
