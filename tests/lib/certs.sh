# certs.sh - a certification authority of a test's own.
#
# Sources base.sh.  Files are TEST_DIR/certs/NAME.{pem,key}; made with openssl, kept as
# long as the test.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib/base.sh
declare -F test_init >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/base.sh"

# certs_authority NAME: signs itself.
certs_authority() {
    mkdir -p "$TEST_DIR/certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$TEST_DIR/certs/$1.key" -out "$TEST_DIR/certs/$1.pem" 2>>"$TEST_DIR/openssl.log"
}

# certs_make AUTHORITY NAME SUBJECT_ALT_NAME [ended]: signed by AUTHORITY; 'ended'
# was valid until a while ago.
certs_make() {
    local ca=$TEST_DIR/certs/$1 to=$TEST_DIR/certs/$2
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$to.key" -out "$to.csr" 2>>"$TEST_DIR/openssl.log" || return 1
    if [[ ${4:-} == ended ]]; then
        certs_sign_ended "$ca" "$to" "$3"
    else
        openssl x509 -req -in "$to.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -days 2 \
            -extfile <(printf 'subjectAltName=%s\n' "$3") -out "$to.pem" 2>>"$TEST_DIR/openssl.log"
    fi
}

# `openssl x509` of Debian 12 takes no dates; `openssl ca` does.
certs_sign_ended() {
    local ca=$1 to=$2 dir
    dir=$(mktemp -d "$TEST_DIR/certs/ca.XXXXXX")
    : >"$dir/index"
    cat >"$dir/conf" <<END
[ca]
default_ca = this
[this]
database = $dir/index
new_certs_dir = $dir
rand_serial = yes
policy = any
default_md = sha256
[any]
commonName = supplied
[names]
subjectAltName = $3
END
    openssl ca -batch -config "$dir/conf" -extensions names -in "$to.csr" -out "$to.pem" -notext \
        -cert "$ca.pem" -keyfile "$ca.key" -startdate 20200101000000Z -enddate 20200201000000Z \
        2>>"$TEST_DIR/openssl.log"
}
