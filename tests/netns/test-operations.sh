#!/bin/bash
# test-operations.sh - does what doc/operations.md says, word for word: each of its blocks
# that names a host is run there, in order.  A host is a network namespace with an /etc,
# /root, /run, /srv, /usr/local, /var/lib and /var/log of its own.
#
# Not real are systemctl (systemctl.py) and ssh (the command is run on that host).
# shellcheck disable=SC2317
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$here/../lib/lab.sh"

need_lab
need_program openssl git jq make nsenter unshare runuser pg_createcluster systemd-sysusers
[[ -e /etc/redis/redis.conf ]] || { echo 'skipped: this is not the redis-server of Debian' >&2; exit 77; }
test_init operations
page=$LAB_TOP/doc/operations.md
hosts=(par1 lon1 ams1 fra1 ams2)
build=$(cd "$LAB_BUILD" && pwd)
path=$TEST_DIR/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# In the place of a host's boot: its folders, then it waits.
write_boot() {
    cat >"$TEST_DIR/boot.sh" <<END
set -e
own=$TEST_DIR/own-\$1
mkdir -p \$own/{etc,root,srv,usr-local,var-lib,var-log}
cp -a /etc/. \$own/etc
rm -rf \$own/etc/plumbline \$own/etc/postgresql/* \$own/etc/hosts
echo '127.0.0.1 localhost' >\$own/etc/hosts
# What is this machine's own stays as it is, its directories' modes too.
mount --bind /usr /usr && mount -o remount,bind,ro /usr
mount --bind \$own/etc /etc
mount --bind \$own/root /root
mount --bind \$own/srv /srv
mount --bind \$own/usr-local /usr/local
mount --bind \$own/var-lib /var/lib
mount --bind \$own/var-log /var/log
mount -t tmpfs tmpfs /run
hostname \$1
install -d -o redis -g redis /var/lib/redis /var/log/redis
install -d -o postgres -g postgres /var/lib/postgresql /var/log/postgresql /run/postgresql
mkdir -p /srv/plumbline /usr/local/lib /usr/local/sbin
mount --bind -o ro $LAB_TOP /srv/plumbline
[ $build = $LAB_TOP/build/gcc ] || mount --bind -o ro $build /srv/plumbline/build/gcc
touch /run/booted $TEST_DIR/\$1.booted
exec sleep infinity
END
    mkdir "$TEST_DIR/bin"
    install "$here/systemctl.py" "$TEST_DIR/bin/systemctl"
    cat >"$TEST_DIR/bin/ssh" <<END
#!/bin/bash
address=\$(getent ahostsv4 "\${1#*@}" | awk 'NR == 1 { print \$1 }')
shift
exec nsenter -t "\$(<$TEST_DIR/pid-\$address)" -n -m -u -- env -i HOME=/root PATH=$path bash -c "\$*"
END
    chmod 755 "$TEST_DIR/bin/ssh"
}

boot() {
    start "$1" ip netns exec "$TEST_ID-$1" unshare -m -u bash "$TEST_DIR/boot.sh" "$1"
    echo "${TEST_PID[$1]}" >"$TEST_DIR/pid-192.0.2.$2"
    wait_for 30 test -e "$TEST_DIR/$1.booted" || { cat "$TEST_DIR/$1.log" >&2; return 1; }
}

# on HOST COMMAND ...
on() {
    local host=$1
    shift
    nsenter -t "${TEST_PID[$host]}" -n -m -u -- env -i HOME=/root PATH="$path" "$@" </dev/null
}

network() {
    local h n=0
    ns_add lan
    ip -n "$TEST_ID-lan" link add lan0 type bridge
    ip -n "$TEST_ID-lan" link set lan0 up
    for h in "${hosts[@]}"; do
        n=$((n + 1))
        ns_add "$h"
        veth_add lan "h$n" "$h" lan
        ip -n "$TEST_ID-$h" addr add "192.0.2.$n/24" dev lan
        ip -n "$TEST_ID-lan" link set "h$n" master lan0
        boot "$h" "$n" || return 1
    done
    wire_add par1 wan1 10.1.1.0/31 lon1 wan1 10.1.1.1/31
    wire_add par1 wan2 10.1.2.0/31 ams1 wan1 10.1.2.1/31
    wire_add lon1 wan2 10.1.3.0/31 ams1 wan2 10.1.3.1/31
}

# cable FROM TO: the links of one host are plugged into another, which has their addresses.
cable() {
    local i address
    for i in wan1 wan2; do
        address=$(ip -n "$TEST_ID-$1" -o -4 addr show dev "$i" | awk '{ print $4 }')
        ip -n "$TEST_ID-$1" link set "$i" netns "$TEST_ID-$2" &&
            ip -n "$TEST_ID-$2" addr add "$address" dev "$i" && ip -n "$TEST_ID-$2" link set "$i" up || return 1
    done
}

# blocks: each that names hosts, as TEST_DIR/blocks/NNN-HOST,HOST; what is plugged, as NNN-cable.
blocks() {
    mkdir "$TEST_DIR/blocks"
    awk -v dir="$TEST_DIR/blocks" '/^```sh host=/ { n++; file = sprintf("%s/%03d-%s", dir, n, substr($2, 6)); next }
        /^<!-- cable / { print $3, $4 > sprintf("%s/%03d-cable", dir, ++n); next }
        /^```/ { file = ""; next }
        file != "" { print > file }' "$page"
    rm -f "$TEST_DIR"/blocks/*-none
    [[ -n $(ls "$TEST_DIR/blocks") ]]
}

# run_block FILE HOST
run_block() {
    on "$2" timeout 200 bash -e "$1" >>"$TEST_DIR/page.log" 2>&1
}

run_blocks() {
    local file name host ends
    for file in "$TEST_DIR"/blocks/*; do
        name=${file##*/}
        if [[ $name == *-cable ]]; then
            read -r -a ends <"$file"
            check "cables go from ${ends[0]} to ${ends[1]}" cable "${ends[@]}" || return 1
            continue
        fi
        for host in $(tr ',' ' ' <<<"${name#*-}"); do
            echo "--- $name on $host" >>"$TEST_DIR/page.log"
            check "$host: $(grep -v '^umask\|^cd ' "$file" | head -n 1 | cut -c 1-70)" run_block "$file" "$host" || {
                tail -n 40 "$TEST_DIR/page.log" >&2
                return 1
            }
        done
    done
}

sql() {
    on par1 runuser -u postgres -- psql -qAt plumbline -c "$1"
}

# fra1 is stopped for good at the end.  What came late came: that is this machine's.
none_lost() {
    [[ $(sql "SELECT count(*) FROM plumbline.v_interval WHERE object <> 'par1-fra1' AND lost > late") == 0 ]]
}

journals() {
    local h
    for h in "${hosts[@]}"; do
        echo "== $h" >&2
        on "$h" bash -c 'tail -n 12 /run/units/plumbline-*.log' >&2
    done
}

write_boot
check 'hosts and their network are up' network || test_end
# Hosts are switched off at the end, and /dev/shm is that of this machine: nothing of it stays there.
check 'the package of PostgreSQL has made its cluster' \
    on par1 pg_createcluster -o dynamic_shared_memory_type=mmap 15 main >/dev/null || test_end
check 'the page has blocks' blocks
run_blocks || { journals; test_end; }
check_equal 'there are rows of every link' 'lon1-ams1 par1-ams1 par1-fra1 par1-lon1' \
    "$(sql 'SELECT string_agg(DISTINCT object, $$ $$ ORDER BY object) FROM plumbline.v_interval WHERE received > 0')"
check_equal 'of three directions' 3 "$(sql 'SELECT count(DISTINCT direction) FROM plumbline.v_interval')"
check 'nothing was lost, whatever was changed meanwhile' wait_for 60 none_lost || {
    sql "SELECT object, direction, start, sent, lost, unknown_dt FROM plumbline.v_interval WHERE lost > 0 ORDER BY 3, 1, 2" >&2
    journals
}
check_equal 'no interval is missing' 0 "$(sql "SELECT count(*) FROM (SELECT start - lag(start) OVER (PARTITION BY series_id ORDER BY start) AS step
    FROM plumbline_store.interval_row) s WHERE step <> interval '10 s'")"
check_equal 'nobody came to PostgreSQL without TLS' 0 "$(sql "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND client_addr IS NOT NULL")"
test_end
