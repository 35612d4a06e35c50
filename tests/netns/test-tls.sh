#!/bin/bash
# test-tls.sh - Redis and PostgreSQL by TLS: what is measured arrives; a server that
# cannot be verified is not spoken to, a client that cannot be is told why, and nobody
# falls back to plain.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"
# shellcheck source=tests/lib/certs.sh
. "$here/../lib/certs.sh"

need_lab
need_program openssl
test_init tls
certs=$TEST_DIR/certs
LAB_INVENTORY=$TEST_DIR/inventory.yaml
cat >"$LAB_INVENTORY" <<'END'
inventory: 1
interval: 10s
sites: { a: {}, b: {} }
probes: { p1: { site: a }, p2: { site: b } }
classes: { fast: { period: 100ms, dt: 1s, tmax: 1s } }
links:
  a-b:
    ends:
      - { probe: p1, address: 127.0.0.1, port: PORT1 }
      - { probe: p2, address: 127.0.0.2, port: PORT2 }
    classes: [fast]
END
port=$(free_port)
reflect=$((10000 + RANDOM % 9000))
sed -i "s/PORT1/$((reflect + 1))/; s/PORT2/$((reflect + 2))/" "$LAB_INVENTORY"

make_certs() {
    certs_authority ca && certs_authority stranger &&
        certs_make ca redis DNS:redis.test,IP:127.0.0.1 &&
        certs_make ca redis-elsewhere DNS:elsewhere.test &&
        certs_make ca redis-ended DNS:redis.test,IP:127.0.0.1 ended &&
        certs_make ca db DNS:db.test,IP:127.0.0.1 &&
        certs_make ca client DNS:p1 && certs_make ca client-ended DNS:p1 ended &&
        certs_make stranger client-strange DNS:p1
}

# redis_tls CERTIFICATE: TLS alone, and only with a client certificate of ours.
redis_tls() {
    redis_start "$TEST_DIR/redis" --tls-port "$port" --bind 127.0.0.1 --tls-cert-file "$certs/$1.pem" \
        --tls-key-file "$certs/$1.key" --tls-ca-cert-file "$certs/ca.pem" --tls-auth-clients yes
}

# client_yaml NAME TLS: plumbline.yaml with this after 'tls:'.
client_yaml() {
    cat >"$TEST_DIR/$1.yaml" <<END
inventory: $LAB_INVENTORY
redis: { address: "127.0.0.1:$port", timeout: 2s, tls: { $2 } }
postgresql: { conninfo: "host=/nonexistent" }
END
}

# status NAME: what the command says of Redis.
status() {
    "$LAB_BUILD/plumbline" status --config "$TEST_DIR/$1.yaml" --json 2>/dev/null |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["redis"])'
}

says() {
    local got
    got=$(status "$1")
    grep -qE "$2" <<<"$got" || { echo "'$got'" >&2; return 1; }
}

ca="ca_file: $certs/ca.pem"
mine="cert_file: $certs/client.pem, key_file: $certs/client.key"

check 'certificates are made' make_certs || test_end
check 'Redis speaks TLS' redis_tls redis || test_end

client_yaml good "$ca, $mine"
client_yaml named "$ca, $mine, server_name: redis.test"
client_yaml misnamed "$ca, $mine, server_name: redis.example"
client_yaml wrong-ca "ca_file: $certs/stranger.pem, $mine"
client_yaml no-cert "$ca"
client_yaml ended "$ca, cert_file: $certs/client-ended.pem, key_file: $certs/client-ended.key"
client_yaml strange "$ca, cert_file: $certs/client-strange.pem, key_file: $certs/client-strange.key"
client_yaml no-file "ca_file: $certs/none.pem, $mine"
client_yaml not-pem "ca_file: $LAB_INVENTORY, $mine"
client_yaml wrong-key "$ca, cert_file: $certs/client.pem, key_file: $certs/client-strange.key"

check 'a certificate of ours is good' says good '^ok$'
check 'so is the name that is asked for' says named '^ok$'
check 'another name is refused' says misnamed 'TLS: the server.s certificate is refused: [Hh]ostname mismatch'
check 'a server whom our CA did not sign is refused' says wrong-ca 'TLS: the server.s certificate is refused: .*(self-signed|unable to get)'
check 'who has no certificate is told so' says no-cert 'certificate required|wants a client certificate'
check 'whose certificate has ended is told so' says ended 'certificate expired|is that still valid'
check 'whose certificate is of another CA is told so' says strange 'unknown ca|trust our cert_file'
check 'a file that is not there is named' says no-file 'TLS: ca_file .*/none.pem: No such file'
check 'a file that is no PEM is named' says not-pem 'TLS: ca_file .*/inventory.yaml: '
check 'a key that is not the certificate.s is named' says wrong-key 'TLS: key_file .*: key values mismatch'

# The server's fault.
redis_stop
check 'a Redis whose certificate has ended' redis_tls redis-ended
check 'is refused' says good 'TLS: the server.s certificate is refused: certificate has expired'
redis_stop
check 'a Redis with the certificate of another host' redis_tls redis-elsewhere
check 'is refused, by its address too' says good 'TLS: the server.s certificate is refused: IP address mismatch'
redis_stop

# A Redis without TLS where one with TLS is expected: nothing must go there in plain.
check 'a Redis without TLS' redis_start "$TEST_DIR/redis" --port "$port" --bind 127.0.0.1
check 'is refused' says good 'TLS: '
check_equal 'and it understood nothing' 0 "$(redis_do info commandstats | grep -c 'cmdstat_auth\|cmdstat_get\|cmdstat_mget')"
redis_stop

# All of it by TLS: rows arrive.
pg_tls() {
    pg_init "$TEST_DIR/pg" || return 1
    install -o postgres -g postgres -m 600 "$certs/db.pem" "$certs/db.key" "$certs/ca.pem" "$TEST_DIR/pg/data/"
    cat >>"$TEST_DIR/pg/data/postgresql.conf" <<END
ssl = on
ssl_cert_file = 'db.pem'
ssl_key_file = 'db.key'
END
    printf '%s\n' 'local all all trust' 'hostssl all all 127.0.0.1/32 trust' >"$TEST_DIR/pg/data/pg_hba.conf"
    pg_start "$TEST_DIR/pg" tcp
}
check 'Redis again' redis_tls redis
REDIS_ADDRESS="127.0.0.1:$port"
check 'PostgreSQL speaks TLS' pg_tls || test_end
pg_sql postgres 'CREATE DATABASE plumbline'
tls="$ca, $mine, server_name: redis.test"
conninfo="hostaddr=127.0.0.1 host=db.test port=$PG_PORT user=postgres sslmode=verify-full sslrootcert=$certs/ca.pem dbname=plumbline"
cat >"$TEST_DIR/all.yaml" <<END
inventory: $LAB_INVENTORY
redis: { address: "$REDIS_ADDRESS", tls: { $tls } }
postgresql: { conninfo: "$conninfo" }
END
check 'migrations go by TLS' env PLUMBLINE_SQLDIR="$LAB_TOP/sql" "$LAB_BUILD/plumbline" migrate --config "$TEST_DIR/all.yaml"
cat >"$TEST_DIR/collector.yaml" <<END
collector: one
inventory: $LAB_INVENTORY
redis: { address: "$REDIS_ADDRESS", tls: { $tls } }
postgresql: { conninfo: "$conninfo" }
END
start collector "$LAB_BUILD/plumbline-collector" --config "$TEST_DIR/collector.yaml"
for p in p1 p2; do
    cat >"$TEST_DIR/$p.yaml" <<END
probe: $p
inventory: $LAB_INVENTORY
redis: { address: "$REDIS_ADDRESS", tls: { $tls } }
spool: { folder: $TEST_DIR/spool-$p }
port: $((reflect + ${p#p}))
source_port: $((reflect + 10 * ${p#p}))
END
    start "$p" "$LAB_BUILD/plumbline-probe" --config "$TEST_DIR/$p.yaml"
done
check 'rows arrive, by TLS all the way' wait_for 60 lab_has_rows 3
check_equal 'PostgreSQL saw nobody without TLS' 0 \
    "$(pg_sql postgres "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND client_addr IS NOT NULL")"
sed -i "s/host=db.test/host=other.test/" "$TEST_DIR/all.yaml"
"$LAB_BUILD/plumbline" status --config "$TEST_DIR/all.yaml" --json >"$TEST_DIR/status.json" 2>/dev/null
check 'a PostgreSQL of another name is refused by libpq' grep -q 'certificate for .*does not match host name' "$TEST_DIR/status.json"
test_end
