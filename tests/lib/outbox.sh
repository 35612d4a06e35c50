# outbox.sh - for scripts about what is delivered: rows of the outbox, put there and looked at.
#
# After store.sh and sink.sh.
# shellcheck shell=bash disable=SC2034,SC2154

# put HOOK PROBLEM ACTION ...: rows of one transaction.
put() {
    local hook=$1 problem=$2
    shift 2
    many "$hook" "$problem" "$problem" "$@"
}
# many HOOK FIRST LAST ACTION ...: the same, of each of these problems.
many() {
    local hook=$1 first=$2 last=$3 action all=
    shift 3
    for action in "$@"; do
        all+="INSERT INTO plumbline_store.outbox (hook, problem, action, event) SELECT '$hook', p, '$action',
            jsonb_build_object('id', 'test-' || p, 'number', p, 'revision', (SELECT count(*) + 1 FROM plumbline_store.outbox o
            WHERE o.hook = '$hook' AND o.problem = p), 'installation', 'test', 'action', '$action', 'at', '2026-11-22T03:14:15.123Z',
            'state', CASE '$action' WHEN 'resolve' THEN 'ended' ELSE 'open' END, 'severity', 'critical', 'what', 'loss',
            'title', 'link l' || p || ' is cut', 'text', 'it is', 'rules', '[\"cut\"]'::jsonb, 'began', '2026-11-22T03:14:10Z', 'ended', NULL,
            'cause', '{\"kind\": \"link\", \"key\": \"l\", \"label\": \"l\", \"text\": \"alone\"}'::jsonb, 'links', '[]'::jsonb,
            'services', '[]'::jsonb, 'tenants', '[]'::jsonb, 'counts', '{}'::jsonb, 'evidence', '[]'::jsonb)
            FROM generate_series($first, $last) p;"
    done
    sql "BEGIN; $all NOTIFY plumbline_outbox; COMMIT"
}
# rows HOOK [PROBLEM]: SQL for what became of each, in order.
rows() { echo "SELECT string_agg(action || ' ' || state || ' ' || tries, ', ' ORDER BY id) FROM plumbline_store.outbox WHERE hook = '$1'${2:+ AND problem = $2}"; }
hook() { echo "SELECT state || ' ' || failures FROM plumbline_store.hook_state WHERE hook = '$1'"; }
why() { echo "SELECT last_error FROM plumbline_store.outbox WHERE hook = '$1' ORDER BY id LIMIT 1"; }
# kick HOOK: it need not wait any longer; as the operator's "hooks retry".
kick() {
    sql "UPDATE plumbline_store.hook_state SET state = 'good', failures = 0, not_before = NULL WHERE hook = '$1';
        UPDATE plumbline_store.outbox SET next_try = now(), state = 'waiting', ended_at = NULL, tries = 0 WHERE hook = '$1' AND state IN ('waiting', 'dead');
        NOTIFY plumbline_outbox"
}
# told HOOK: what the near sink heard at its path, in order.
told() { sink_record "${2:-near}" "select(.path == \"/$1\") | .body | fromjson | .data // . | \"\\(.number) \\(.action)\"" | paste -sd, ; }
