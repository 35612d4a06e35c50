#!/bin/bash
# test-enrol.sh - `plumbline enrol` and `plumbline revoke` without any server: what is
# in the folder, what OpenSSL says of it, and each thing that is refused.
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/certs.sh
. "$here/../lib/certs.sh"
build=${PLUMBLINE_BUILD:-.}
build=$(cd "$build" && pwd)
top=$(cd "$here/../.." && pwd)

need_program openssl python3 systemd-analyze
test_init enrol-cli
certs=$TEST_DIR/certs
to=$TEST_DIR/enrolled
index=$to/index.txt

# enrol ARG ...: its status in $status, what it said in out and err.
enrol() {
    "$build/plumbline" enrol --config "$TEST_DIR/plumbline.yaml" --folder "$to" --ca "$certs/ca.pem" --ca-key "$certs/ca.key" "$@" \
        >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}
revoke() {
    "$build/plumbline" revoke --folder "$to" "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/err"
    status=$?
}
says() { grep -qE -- "$2" "$TEST_DIR/$1" || { cat "$TEST_DIR/out" "$TEST_DIR/err" >&2; return 1; }; }
# refused SENTENCE STATUS PATTERN ARG ...: enrol says so, and nothing is made.
refused() {
    local sentence=$1 wanted=$2 pattern=$3 before
    shift 3
    before=$(find "$to" -type f -exec sha256sum {} + 2>/dev/null | sort)
    enrol "$@"
    check_equal "$sentence: status" "$wanted" "$status"
    check "$sentence: told" says err "$pattern"
    check_equal "$sentence: nothing is made" "$before" "$(find "$to" -type f -exec sha256sum {} + 2>/dev/null | sort)"
}
# cert FIELD: of par1-p1's certificate.
cert() { openssl x509 -in "$to/par1-p1/etc/plumbline/par1-p1.pem" -noout "$@"; }
mode() { stat -c %a "$to/par1-p1/$1"; }

check 'authorities are made' certs_authority ca && certs_authority stranger && certs_make ca leaf DNS:leaf
openssl ec -in "$certs/ca.key" -aes256 -passout pass:hidden -out "$certs/locked.key" 2>/dev/null
printf 'hidden\n' >"$certs/passphrase"
printf 'wrong\n' >"$certs/passphrase.wrong"
printf 'inventory: %s\nredis: { address: "10.9.9.9:6380" }\n' "$top/tests/fixtures/inventory-example.yaml" >"$TEST_DIR/plumbline.yaml"

refused 'without a probe' 2 'one probe are needed'
refused 'two probes' 2 'one probe are needed' par1-p1 lon1-p1
refused 'a probe that is not there' 2 "there is no probe 'par1-p9'" par1-p9
refused 'a time that is none' 2 '--valid soon: expected a time such as 365d' --valid soon par1-p1
refused 'no time at all' 2 '--valid 59s: expected' --valid 59s par1-p1
refused 'a prefix that is none' 2 '--allow 10/8: expected a prefix' --allow 10/8 par1-p1
refused 'an address with a quote in it' 2 'this is no address' --redis 'a"b:1' par1-p1
refused 'far ends that are left out' 2 '^plumbline enrol: par1-ams1: 10.1.3.1 is in no --allow$' --allow 10.1.0.0/23 --allow 10.9.0.0/16 par1-p1
refused 'Redis that is left out' 2 'redis.address: 10.9.9.9 is in no --allow$' --allow 10.1.0.0/16 --allow 172.16.0.0/12 par1-p1
refused 'a CA that is not there' 3 'none.pem: No such file' --ca "$certs/none.pem" par1-p1
refused 'a CA that is no certificate' 3 'plumbline.yaml: expected a certificate in PEM' --ca "$TEST_DIR/plumbline.yaml" par1-p1
refused 'a key that is not there' 3 'none.key: No such file' --ca-key "$certs/none.key" par1-p1
refused 'the key of another' 3 'stranger.key is not the key of .*ca.pem' --ca-key "$certs/stranger.key" par1-p1
refused 'a certificate that may not sign' 3 'leaf.pem is no CA' --ca "$certs/leaf.pem" --ca-key "$certs/leaf.key" par1-p1
refused 'a passphrase that is not given' 3 'has a passphrase, --ca-passphrase-file' --ca-key "$certs/locked.key" par1-p1
refused 'a wrong passphrase' 3 'locked.key: expected a private key' --ca-key "$certs/locked.key" --ca-passphrase-file "$certs/passphrase.wrong" par1-p1
refused 'renewing what was never enrolled' 2 'no certificate that is good' --renew par1-p1

enrol --ca-key "$certs/locked.key" --ca-passphrase-file "$certs/passphrase" par1-p1
check_equal 'a probe is enrolled: status' 0 "$status"
check 'a CA that ends sooner is told' says err 'the CA itself is good no longer'
check_equal 'its line for Redis' "user par1-p1 reset on #HASH resetkeys resetchannels %RW~pl:{par1-p1}:t %R~pl:{par1-p1}:ack -@all +xadd +xinfo +get +multi +exec +ping +auth +hello" \
    "$(sed 's/#[0-9a-f]\{64\}/#HASH/' "$to/par1-p1/redis.acl")"
check_equal 'has the sum of its password' "$(tr -d '\n' <"$to/par1-p1/etc/plumbline/par1-p1.password" | sha256sum | cut -d' ' -f1)" \
    "$(sed 's/.*#\([0-9a-f]*\) .*/\1/' "$to/par1-p1/redis.acl")"
check 'the password itself is told nowhere' says out '^user par1-p1 reset on #'
check_equal 'the password is not told' '' "$(grep -f "$to/par1-p1/etc/plumbline/par1-p1.password" "$TEST_DIR/out")"
check_equal 'its configuration is good' "$to/par1-p1/etc/plumbline/probe.yaml: good" "$("$build/plumbline" check --probe-config "$to/par1-p1/etc/plumbline/probe.yaml")"
check_equal 'its slice is that of slice' "$("$build/plumbline" slice --config "$TEST_DIR/plumbline.yaml" --probe par1-p1)" "$(cat "$to/par1-p1/etc/plumbline/slice.yaml")"
check 'OpenSSL takes its certificate for a client' openssl verify -purpose sslclient -CAfile "$certs/ca.pem" "$to/par1-p1/etc/plumbline/par1-p1.pem"
check_equal 'but for no server' 2 "$(openssl verify -purpose sslserver -CAfile "$certs/ca.pem" "$to/par1-p1/etc/plumbline/par1-p1.pem" >/dev/null 2>&1; echo $?)"
check_equal 'it has its name' 'subject=CN = par1-p1' "$(cert -subject)"
check_equal 'its key is its own' "$(cert -pubkey)" "$(openssl pkey -in "$to/par1-p1/etc/plumbline/par1-p1.key" -pubout)"
check_equal 'only its group reads the key' 640 "$(mode etc/plumbline/par1-p1.key)"
check_equal 'only its group reads the password' 640 "$(mode etc/plumbline/par1-p1.password)"
check_equal 'the line is the operator.s alone' 600 "$(mode redis.acl)"
check_equal 'so is the folder' 700 "$(stat -c %a "$to")"
check_equal 'the list has it' "V $(cert -serial | cut -d= -f2) /CN=par1-p1" "$(awk -F'\t' '{ print $1, $4, $6 }' "$index")"

# The unit with the drop-in of a probe that may speak with some alone.
enrol --json --allow 10.1.0.0/16 --allow 10.9.9.9/32 --allow 169.254.0.0/16 lon1-p1
check_equal 'another, as JSON' 'lon1-p1 None' "$(python3 -c 'import json; o = json.load(open("'"$TEST_DIR/out"'")); print(o["probe"], o.get("error"))')"
mkdir -p "$TEST_DIR/root/etc/systemd/system" "$TEST_DIR/root/usr/sbin"
cp -r "$to/lon1-p1/etc/systemd/system/plumbline-probe.service.d" "$top/dist/plumbline-probe.service" "$TEST_DIR/root/etc/systemd/system"
check_equal 'the drop-in names them' 'IPAddressAllow=localhost 10.1.0.0/16 10.9.9.9/32 169.254.0.0/16' \
    "$(tail -n 1 "$to/lon1-p1/etc/systemd/system/plumbline-probe.service.d/enrol.conf")"
check_equal 'and takes back what the unit allows' 1 "$(grep -c '^IPAddressAllow=$' "$to/lon1-p1/etc/systemd/system/plumbline-probe.service.d/enrol.conf")"
touch "$TEST_DIR/root/usr/sbin/plumbline-probe"
check_equal 'systemd has nothing to say of it' '' \
    "$(systemd-analyze verify --root="$TEST_DIR/root" plumbline-probe.service 2>&1 | grep 'enrol.conf')"

# Several nodes are a Cluster; Redis by a name is no address.
enrol --redis 'a.example:6380,b.example:6380' --allow 10.1.0.0/16 ams1-p1
check_equal 'in a Cluster' 0 "$status"
check 'ASKING is allowed' grep -q ' +asking$' "$to/ams1-p1/redis.acl"
check 'a name is told' says err "is a name: its addresses"

# Again, renewed, revoked, again.
refused 'enrolled twice' 2 'it is enrolled already: --renew' par1-p1
password=$(cat "$to/par1-p1/etc/plumbline/par1-p1.password")
serial=$(cert -serial)
echo '# of this host' >>"$to/par1-p1/etc/plumbline/probe.yaml"
enrol --renew --valid 1d par1-p1
check_equal 'renewed: status' 0 "$status"
check 'renewed: another certificate' test "$serial" != "$(cert -serial)"
check 'renewed: of a day' openssl x509 -in "$to/par1-p1/etc/plumbline/par1-p1.pem" -noout -checkend 80000
check 'renewed: and no more' test -z "$(openssl x509 -in "$to/par1-p1/etc/plumbline/par1-p1.pem" -noout -checkend 90000 | grep 'will not')"
check_equal 'renewed: the password stays' "$password" "$(cat "$to/par1-p1/etc/plumbline/par1-p1.password")"
check 'renewed: so does its configuration' grep -q '^# of this host$' "$to/par1-p1/etc/plumbline/probe.yaml"
check_equal 'renewed: both are in the list' 2 "$(grep -c '^V.*/CN=par1-p1$' "$index")"
revoke par1-p1
check_equal 'revoked: status' 0 "$status"
check_equal 'revoked: the command for Redis' 'ACL DELUSER par1-p1' "$(tail -n 1 "$TEST_DIR/out")"
check_equal 'revoked: both' 2 "$(grep -cE $'^R\t[0-9]{12}Z\t[0-9]{12}Z\t' "$index")"
check_equal 'revoked: nobody else' 2 "$(grep -c '^V' "$index")"
revoke par1-p1
check_equal 'revoked twice: status' 2 "$status"
check 'revoked twice: told' says err 'no certificate of it is good any more'
revoke par1-p9
check 'who was never enrolled: told' says err 'it was never enrolled'
refused 'renewing what is revoked' 2 'no certificate that is good' --renew par1-p1
enrol par1-p1
check_equal 'enrolled again: status' 0 "$status"
check 'enrolled again: another password' test "$password" != "$(cat "$to/par1-p1/etc/plumbline/par1-p1.password")"
revoke --json par1-p1
check_equal 'revoked, as JSON' "par1-p1 1 ACL DELUSER par1-p1" \
    "$(python3 -c 'import json; o = json.load(open("'"$TEST_DIR/out"'")); print(o["probe"], len(o["serials"]), o["redis_command"])')"

# openssl makes a revocation list of it.
cat >"$TEST_DIR/ca.conf" <<END
[ca]
default_ca = this
[this]
database = $index
default_md = sha256
default_crl_days = 1
END
check 'openssl reads the list' openssl ca -config "$TEST_DIR/ca.conf" -gencrl -cert "$certs/ca.pem" -keyfile "$certs/ca.key" -out "$TEST_DIR/crl.pem"
check_equal 'and finds three revoked' 3 "$(openssl crl -in "$TEST_DIR/crl.pem" -noout -text | grep -c 'Serial Number')"

printf 'this is no list\n' >"$index"
refused 'a list that is none' 3 'index.txt is no list of certificates' par1-p1

# Two at once: none is lost from the list.
rm -rf "$to"
for p in par1-p1 lon1-p1 ams1-p1; do
    "$build/plumbline" enrol --config "$TEST_DIR/plumbline.yaml" --folder "$to" --ca "$certs/ca.pem" --ca-key "$certs/ca.key" $p >/dev/null 2>&1 &
done
wait
check_equal 'three at once are three in the list' 3 "$(grep -c '^V' "$index")"
for verb in enrol revoke; do
    check "$verb has examples" grep -q '^Examples:' <("$build/plumbline" $verb --help)
done
test_end
