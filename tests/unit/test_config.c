/* test_config.c - configurations of the programs: defaults, every error, and that
 * a wrong one never takes the place of a good one.  Also: the examples in dist/
 * are what they say. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "config.h"
#include "cpulatency.h"
#include "fault.h"
#include "inventory.h"

struct file {
    char path[40];
};

static struct file
file_of(const char *text)
{
    struct file f = {"/tmp/plumbline-test-XXXXXX"};
    int fd = mkstemp(f.path);
    size_t size = strlen(text);

    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, size), (ssize_t)size);
    close(fd);
    return f;
}

/* Whether there is exactly one error, at this place, with these words. */
static bool
is_only_error(struct faults *faults, const char *place, const char *words)
{
    size_t count;
    const struct fault *all = faults_sorted(faults, &count);
    char at[32] = "";

    if (count == 1) {
        snprintf(at, sizeof at, "%u:%u", all[0].at.line, all[0].at.column);
    }
    if (count == 1 && strcmp(at, place) == 0 && strstr(all[0].message, words)) {
        return true;
    }
    printf("\nwanted only %s %s, got:\n", place, words);
    faults_print(faults, stdout, 10);
    return false;
}

#define PROBE_HEAD "probe: p\ninventory: /i\nredis: {address: r:1}\n"

static void
a_probe_has_its_defaults(void)
{
    struct file f = file_of(PROBE_HEAD);
    struct probe_config *c = NULL;

    CU_ASSERT_EQUAL(probe_config_load(f.path, stdout, &c), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->probe, "p");
    CU_ASSERT_STRING_EQUAL(c->redis.address, "r:1");
    CU_ASSERT_PTR_NULL(c->redis.user);
    CU_ASSERT_EQUAL(c->redis.timeout.ns, 5 * NS_PER_S);
    CU_ASSERT_STRING_EQUAL(c->spool.folder, "/var/lib/plumbline/spool");
    CU_ASSERT_EQUAL(c->spool.keep.ns, 86400 * NS_PER_S);
    CU_ASSERT_EQUAL(c->spool.keep_size, 1u << 30);
    CU_ASSERT_EQUAL(c->spool.segment_size, 8u << 20);
    CU_ASSERT_EQUAL(c->spool.memory_size, 16u << 20);
    CU_ASSERT_EQUAL(c->spool.disk_size, 0);
    CU_ASSERT_EQUAL(c->stream_size, 16u << 20);
    CU_ASSERT_EQUAL(c->source_port, 50000);
    CU_ASSERT_EQUAL(c->port, 862);
    CU_ASSERT_EQUAL(c->priority, 40);
    CU_ASSERT_EQUAL(c->cpu_latency.ns, CPULATENCY_ANY_NS);
    CU_ASSERT_PTR_NULL(c->sample_log);
    CU_ASSERT_TRUE(c->trace);
    CU_ASSERT_PTR_NULL(c->user);
    CU_ASSERT_PTR_NULL(c->metrics.listen);
    CU_ASSERT_EQUAL(c->log_level, LOG_LEVEL_INFO);
    CU_ASSERT_EQUAL(c->twamp_control.allow_count, 0);
    CU_ASSERT_FALSE(address_is_set(&c->twamp_control.address));
    CU_ASSERT_EQUAL(c->twamp_control.port, 862);
    CU_ASSERT_EQUAL(c->twamp_control.connections, 16);
    CU_ASSERT_EQUAL(c->twamp_control.sessions, 64);
    CU_ASSERT_EQUAL(c->twamp_control.timeout.ns, 900 * NS_PER_S);
    CU_ASSERT_EQUAL(c->link_key_count, 0);
    CU_ASSERT_STRING_EQUAL(c->key_folder, "/etc/plumbline/keys");
    probe_config_free(c);
    unlink(f.path);
}

static void
a_probe_takes_all_that_is_written(void)
{
    struct file f = file_of(
        "probe: par1-p1\ninventory: /etc/i\n"
        "redis: {address: 'unix:/run/r', user: u, password_file: /p, timeout: 250ms}\n"
        "spool: {folder: /s, keep: 0s, keep_size: 0B, segment_size: 64KiB, memory_size: 16KiB,\n"
        "        disk_size: 128KiB}\n"
        "source_port: 1024\nport: 65535\npriority: 0\ncpu_latency: 20us\nsample_log: /tmp/x\n"
        "trace: false\nuser: nobody\n"
        "log_level: debug\nmetrics: {listen: '[::1]:65535'}\n"
        "twamp_control: {allow: [192.0.2.0/24, 198.51.100.7, '2001:db8::/128'], address: '::1', "
        "port: 8862,\n"
        "                connections: 64, sessions: 256, timeout: 1s}\n"
        "key_folder: /k\nlink_keys:\n  a-b: {key_file: /k/a, key_file_next: /k/b, send: next}\n"
        "  c.d: {key_file: /k/c}\n");
    struct probe_config *c = NULL;

    CU_ASSERT_EQUAL(probe_config_load(f.path, stdout, &c), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->redis.address, "unix:/run/r");
    CU_ASSERT_EQUAL(c->redis.timeout.ns, 250 * NS_PER_MS);
    CU_ASSERT_EQUAL(c->spool.keep.ns, 0);
    CU_ASSERT_EQUAL(c->spool.segment_size, 65536);
    CU_ASSERT_EQUAL(c->spool.disk_size, 131072);
    CU_ASSERT_EQUAL(c->source_port, 1024);
    CU_ASSERT_EQUAL(c->port, 65535);
    CU_ASSERT_EQUAL(c->priority, 0);
    CU_ASSERT_EQUAL(c->cpu_latency.ns, 20 * NS_PER_US);
    CU_ASSERT_STRING_EQUAL(c->user, "nobody");
    CU_ASSERT_STRING_EQUAL(c->metrics.listen, "[::1]:65535");
    CU_ASSERT_FALSE(c->trace);
    CU_ASSERT_EQUAL(c->log_level, LOG_LEVEL_DEBUG);
    CU_ASSERT_EQUAL_FATAL(c->twamp_control.allow_count, 3);
    CU_ASSERT_EQUAL(c->twamp_control.allow[0].length, 24);
    CU_ASSERT_EQUAL(ntohl(c->twamp_control.allow[0].address.v4.s_addr), 0xc0000200);
    CU_ASSERT_EQUAL(c->twamp_control.allow[1].length, 32);
    CU_ASSERT(c->twamp_control.allow[2].address.family == 6 &&
              c->twamp_control.allow[2].length == 128);
    CU_ASSERT_TRUE(IN6_IS_ADDR_LOOPBACK(&c->twamp_control.address.v6));
    CU_ASSERT_EQUAL(c->twamp_control.port, 8862);
    CU_ASSERT_EQUAL(c->twamp_control.sessions, 256);
    CU_ASSERT_EQUAL(c->twamp_control.timeout.ns, NS_PER_S);
    CU_ASSERT_STRING_EQUAL(c->key_folder, "/k");
    CU_ASSERT_EQUAL_FATAL(c->link_key_count, 2);
    CU_ASSERT_STRING_EQUAL(c->link_keys[0].link, "a-b");
    CU_ASSERT_STRING_EQUAL(c->link_keys[0].key_file, "/k/a");
    CU_ASSERT_STRING_EQUAL(c->link_keys[0].key_file_next, "/k/b");
    CU_ASSERT_TRUE(c->link_keys[0].send_next);
    CU_ASSERT_STRING_EQUAL(c->link_keys[1].link, "c.d");
    CU_ASSERT_PTR_NULL(c->link_keys[1].key_file_next);
    CU_ASSERT_FALSE(c->link_keys[1].send_next);
    probe_config_free(c);
    unlink(f.path);
}

/* What each text is told, and where. */
static const struct wrong {
    const char *text, *place, *words;
} wrong_probe[] = {
    {"inventory: /i\nredis: {address: r:1}\n", "1:1", "key 'probe' is missing"},
    {"probe: p\nredis: {address: r:1}\n", "1:1", "key 'inventory' is missing"},
    {"probe: p\ninventory: /i\n", "1:1", "key 'address' is missing"},
    {"probe: p\ninventory: /i\nredis: {}\n", "3:8", "key 'address' is missing"},
    {"probe: p\ninventory: /i\nredis: r:1\n", "3:8", "expected a map, got 'r:1'"},
    {"probe: P\ninventory: /i\nredis: {address: r:1}\n", "1:8", "expected a key"},
    {"probe: p\ninventory: /i\nredis: {address: r}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'r:1,'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'r:1,,s:1'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'unix:/r,s:1'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 's:1,unix:/r,s:1'}\n", "3:18",
     "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'r:0'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'r:65536'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: ':1'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: '::1:1'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: '[]:1'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: 'unix:r'}\n", "3:18", "expected host:port"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, user: u}\n", "3:29", "needs 'password_file'"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, timeout: 99ms}\n", "3:32",
     "expected 100ms to 1m"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, tls: {}}\n", "3:28",
     "key 'ca_file' is missing"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, tls: {cert_file: c, key_file: k}}\n", "3:28",
     "key 'ca_file' is missing"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, tls: {ca_file: a, cert_file: c}}\n", "3:28",
     "go together"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, tls: {ca_file: a, key_file: k}}\n", "3:28",
     "go together"},
    {"probe: p\ninventory: /i\nredis: {address: r:1, tls: {ca_file: a, verify: off}}\n", "3:41",
     "unknown key 'verify'"},
    {"probe: p\ninventory: /i\nredis: {address: 'unix:/r', tls: {ca_file: a}}\n", "3:34",
     "no TLS over a UNIX socket"},
    {PROBE_HEAD "redis_address: x\n", "4:1", "unknown key 'redis_address'"},
    {PROBE_HEAD "log_level: loud\n", "4:12", "expected one of error, warning, info, debug"},
    {PROBE_HEAD "twamp_control: {allow: 10.0.0.0/8}\n", "4:24", "expected a list of prefixes"},
    {PROBE_HEAD "twamp_control: {allow: [10.0.0.0/33]}\n", "4:25", "expected a prefix"},
    {PROBE_HEAD "twamp_control: {allow: [10.0.0.0/]}\n", "4:25", "expected a prefix"},
    {PROBE_HEAD "twamp_control: {allow: [10.0.0.0/32, ten]}\n", "4:38",
     "expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, got 'ten'"},
    {PROBE_HEAD "twamp_control: {alow: []}\n", "4:17", "unknown key 'alow'"},
    {PROBE_HEAD "twamp_control: {allow: ['2001:db8::/129']}\n", "4:25", "expected a prefix"},
    {PROBE_HEAD "twamp_control: {address: '2001:db8::/32'}\n", "4:26", "expected an IP address"},
    {PROBE_HEAD "twamp_control: {connections: 65}\n", "4:30", "expected 1 to 64"},
    {PROBE_HEAD "twamp_control: {sessions: 257}\n", "4:27", "expected 1 to 256"},
    {PROBE_HEAD "twamp_control: {timeout: 999ms}\n", "4:26", "expected 1s to 1h"},
    {PROBE_HEAD "link_keys: [a]\n", "4:12", "expected a map of links"},
    {PROBE_HEAD "link_keys: {A: {key_file: /k}}\n", "4:13", "cannot be the key of a link"},
    {PROBE_HEAD "link_keys: {a: /k}\n", "4:16", "expected a map"},
    {PROBE_HEAD "link_keys: {a: {key_file_next: /k}}\n", "4:16", "key 'key_file' is missing"},
    {PROBE_HEAD "link_keys: {a: {key_file: /k, send: next}}\n", "4:16",
     "'send: next' needs 'key_file_next'"},
    {PROBE_HEAD "link_keys: {a: {key_file: /k, send: both}}\n", "4:37",
     "expected one of current, next"},
    {PROBE_HEAD "link_keys: {a: {key_file: /k, key: 00}}\n", "4:31", "unknown key 'key'"},
    {PROBE_HEAD "port: 0\n", "4:7", "expected 1 to 65535"},
    {PROBE_HEAD "port: 65536\n", "4:7", "expected 1 to 65535"},
    {PROBE_HEAD "source_port: 1023\n", "4:14", "expected 1024 to 65279"},
    {PROBE_HEAD "source_port: 65280\n", "4:14", "expected 1024 to 65279"},
    {PROBE_HEAD "priority: 100\n", "4:11", "expected 0 to 99"},
    {PROBE_HEAD "cpu_latency: 10\n", "4:14", "expected"},
    {PROBE_HEAD "cpu_latency: 2001s\n", "4:14", "expected 0"},
    {PROBE_HEAD "spool: {keep_size: 1GB}\n", "4:20", "a size with its unit"},
    {PROBE_HEAD "spool: {segment_size: 65535B}\n", "4:23", "expected 64KiB to 1GiB"},
    {PROBE_HEAD "spool: {memory_size: 16383B}\n", "4:22", "expected 16KiB to 4GiB"},
    {PROBE_HEAD "spool: {disk_size: 8MiB}\n", "4:20", "at least twice 'segment_size'"},
    {PROBE_HEAD "spool: {folder: spool}\n", "4:17", "a path from the root"},
    {PROBE_HEAD "spool: {kep: 1h}\n", "4:9", "did you mean 'keep'?"},
    {PROBE_HEAD "stream_size: 1048575B\n", "4:14", "at least 1MiB"},
    {PROBE_HEAD "metrics: {}\n", "4:10", "key 'listen' is missing"},
    {PROBE_HEAD "metrics: {listen: 9470}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "metrics: {listen: 'localhost:9470'}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "metrics: {listen: '127.0.0.1:0'}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "metrics: {listen: '127.0.0.1:65536'}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "metrics: {listen: '::1:9470'}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "metrics: {listen: 'unix:/run/x'}\n", "4:19", "expected address:port"},
    {PROBE_HEAD "probe: q\n", "4:1", "'probe' is here twice"},
};

static void
each_wrong_probe_configuration_is_told(void)
{
    for (size_t i = 0; i < sizeof wrong_probe / sizeof wrong_probe[0]; i++) {
        struct file f = file_of(wrong_probe[i].text);
        struct faults *faults = faults_new();
        struct probe_config *c = NULL;
        CU_ASSERT_EQUAL(probe_config_load_into(f.path, faults, &c), -EINVAL);
        CU_ASSERT_TRUE(is_only_error(faults, wrong_probe[i].place, wrong_probe[i].words));
        CU_ASSERT_PTR_NULL(c);
        faults_free(faults);
        unlink(f.path);
    }
}

static void
a_collector_has_its_defaults_and_bounds(void)
{
    static const struct {
        const char *text, *place, *words;
    } wrong[] = {
        {"workers: 0\n", "4:10", "expected 1 to 64"},
        {"workers: 65\n", "4:10", "expected 1 to 64"},
        {"source_expiry: 59m\n", "4:16", "expected 1h to 365d"},
        {"retention: {interval: 71h}\n", "4:23", "expected 3d to 36500d, or 0d"},
        {"retention: {quarter: 1ns}\n", "4:22", "expected 3d to 36500d, or 0d"},
        {"retention: {day: 36501d}\n", "4:18", "expected"},
        {"retention: {days: 40d}\n", "4:13", "days"},
        {"retention: {problem: 71h}\n", "4:22", "expected 3d to 36500d, or 0d"},
        {"retention: {trace: 71h}\n", "4:20", "expected 3d to 36500d, or 0d"},
        {"metrics: {listen: x}\n", "4:19", "expected address:port"},
    };
    static const char head[] = "inventory: /i\nredis: {address: '[2001:db8::1]:6379,b:1'}\n"
                               "postgresql: {conninfo: 'dbname=x'}\n";
    struct file f = file_of(head);
    struct collector_config *c = NULL;

    CU_ASSERT_EQUAL(collector_config_load(f.path, stdout, &c), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_TRUE(c->collector[0] != '\0');
    CU_ASSERT_EQUAL(c->workers, 1);
    CU_ASSERT_EQUAL(c->source_expiry.ns, 8 * 86400 * NS_PER_S);
    CU_ASSERT_EQUAL(c->retention.interval.ns, 90 * 86400 * NS_PER_S);
    CU_ASSERT_EQUAL(c->retention.quarter.ns, 400 * 86400 * NS_PER_S);
    CU_ASSERT_EQUAL(c->retention.day.ns, 0);
    CU_ASSERT_EQUAL(c->retention.problem.ns, 400 * 86400 * NS_PER_S);
    CU_ASSERT_EQUAL(c->retention.trace.ns, 40 * 86400 * NS_PER_S);
    collector_config_free(c);
    unlink(f.path);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[512];
        struct faults *faults = faults_new();
        snprintf(text, sizeof text, "%s%s", head, wrong[i].text);
        f = file_of(text);
        c = NULL;
        CU_ASSERT_EQUAL(collector_config_load_into(f.path, faults, &c), -EINVAL);
        CU_ASSERT_TRUE(is_only_error(faults, wrong[i].place, wrong[i].words));
        CU_ASSERT_PTR_NULL(c);
        faults_free(faults);
        unlink(f.path);
    }
}

static void
a_password_does_not_stand_in_a_configuration(void)
{
    struct file f = file_of("inventory: /i\nredis: {address: r:1}\n"
                            "postgresql: {conninfo: 'host=db password=secret'}\n");
    struct faults *faults = faults_new();
    struct collector_config *c = NULL;
    struct cli_config *cli = NULL;

    CU_ASSERT_EQUAL(collector_config_load_into(f.path, faults, &c), -EINVAL);
    CU_ASSERT_TRUE(is_only_error(faults, "3:24", "no password here"));
    faults_free(faults);
    unlink(f.path);

    f = file_of("postgresql: {conninfo: 'postgresql://u@h/db'}\n");
    faults = faults_new();
    CU_ASSERT_EQUAL(cli_config_load_into(f.path, faults, &cli), -EINVAL);
    CU_ASSERT_TRUE(is_only_error(faults, "1:24", "expected key=value text"));
    faults_free(faults);
    unlink(f.path);
    CU_ASSERT_PTR_NULL(c);
    CU_ASSERT_PTR_NULL(cli);
}

static void
the_command_needs_nothing_to_be_written(void)
{
    struct file f = file_of("{}\n");
    struct cli_config *c = NULL;

    CU_ASSERT_EQUAL(cli_config_load(f.path, stdout, &c), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_PTR_NULL(c->inventory);
    CU_ASSERT_STRING_EQUAL(c->redis.address, "127.0.0.1:6379");
    CU_ASSERT_STRING_EQUAL(c->postgresql.conninfo, "dbname=plumbline");
    cli_config_free(c);
    unlink(f.path);
}

static void
all_errors_are_told_at_once(void)
{
    struct file f = file_of("probe: P\nredis: {address: r}\nport: x\nextra: 1\n");
    struct faults *faults = faults_new();
    struct probe_config *c = NULL;

    CU_ASSERT_EQUAL(probe_config_load_into(f.path, faults, &c), -EINVAL);
    CU_ASSERT_EQUAL(faults_errors(faults), 5);
    faults_free(faults);
    unlink(f.path);
}

static void
a_wrong_configuration_leaves_the_good_one_alone(void)
{
    struct file good = file_of(PROBE_HEAD), wrong = file_of(PROBE_HEAD "port: x\n");
    struct file inventory = file_of("inventory: 1\nsites: {a: {}}\n");
    struct file wrong_inventory = file_of("inventory: 1\nsites: {a: {x: 1}}\n");
    FILE *nowhere = fopen("/dev/null", "w");
    struct probe_config *c = NULL;
    struct inventory *inv = NULL;
    size_t errors, warnings;

    CU_ASSERT_EQUAL(probe_config_load(good.path, nowhere, &c), 0);
    CU_ASSERT_EQUAL(inventory_load(inventory.path, nowhere, 10, &errors, &warnings, &inv), 0);
    struct probe_config *before = c;
    struct inventory *inv_before = inv;

    CU_ASSERT_EQUAL(probe_config_load(wrong.path, nowhere, &c), -EINVAL);
    CU_ASSERT_EQUAL(probe_config_load("/nonexistent", nowhere, &c), -ENOENT);
    CU_ASSERT_EQUAL(probe_config_load("/tmp", nowhere, &c), -EISDIR);
    CU_ASSERT_EQUAL(inventory_load(wrong_inventory.path, nowhere, 10, &errors, &warnings, &inv),
                    -EINVAL);
    CU_ASSERT_EQUAL(inventory_load("/nonexistent", nowhere, 10, &errors, &warnings, &inv), -ENOENT);
    CU_ASSERT_PTR_EQUAL(c, before);
    CU_ASSERT_PTR_EQUAL(inv, inv_before);
    CU_ASSERT_STRING_EQUAL(c->probe, "p");
    CU_ASSERT_STRING_EQUAL(inv->sites[0].key, "a");

    probe_config_free(c);
    inventory_free(inv);
    fclose(nowhere);
    unlink(good.path);
    unlink(wrong.path);
    unlink(inventory.path);
    unlink(wrong_inventory.path);
}

/* What we give people to begin with has no error and no warning. */
static void
the_examples_in_dist_are_good(void)
{
    struct probe_config *probe = NULL;
    struct collector_config *collector = NULL;
    struct cli_config *cli = NULL;
    struct inventory *inv = NULL;
    size_t errors = 0, warnings = 0;

    CU_ASSERT_EQUAL(
        inventory_load(DIST_FOLDER "/inventory.yaml", stdout, 10, &errors, &warnings, &inv), 0);
    CU_ASSERT_EQUAL(errors, 0);
    CU_ASSERT_EQUAL(warnings, 0);
    CU_ASSERT_EQUAL(probe_config_load(DIST_FOLDER "/probe.yaml", stdout, &probe), 0);
    CU_ASSERT_EQUAL(collector_config_load(DIST_FOLDER "/collector.yaml", stdout, &collector), 0);
    CU_ASSERT_EQUAL(cli_config_load(DIST_FOLDER "/plumbline.yaml", stdout, &cli), 0);
    if (inv && probe && cli) {
        CU_ASSERT_PTR_NOT_NULL(inventory_probe(inv, probe->probe));
        CU_ASSERT_EQUAL(inv->link_count, 6); /* Four, and the tests of two connectors. */
        CU_ASSERT_STRING_EQUAL(cli->inventory, probe->inventory);
    }
    inventory_free(inv);
    probe_config_free(probe);
    collector_config_free(collector);
    cli_config_free(cli);
}

/* The defaults that dist/probe.yaml shows as comments are the real ones: with the
 * comments opened, the file still reads, to the same values. */
static void
the_defaults_shown_in_dist_are_the_real_ones(void)
{
    FILE *from = fopen(DIST_FOLDER "/probe.yaml", "r");
    char line[512], text[8192] = "";
    struct probe_config *shown = NULL, *real = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    while (fgets(line, sizeof line, from)) {
        const char *at = line;
        if (line[0] == '#' && line[1] == ' ' && strchr(line, ':') &&
            (line[2] == ' ' || (line[2] >= 'a' && line[2] <= 'z'))) {
            at = line + 2;
        } else if (strncmp(line, "  # timeout", 11) == 0) {
            memmove(line + 2, line + 4, strlen(line + 4) + 1);
        }
        strncat(text, at, sizeof text - strlen(text) - 1);
    }
    fclose(from);
    struct file f = file_of(text);
    CU_ASSERT_EQUAL(probe_config_load(f.path, stdout, &shown), 0);
    CU_ASSERT_EQUAL(probe_config_load(DIST_FOLDER "/probe.yaml", stdout, &real), 0);
    CU_ASSERT_TRUE_FATAL(shown && real);
    CU_ASSERT_STRING_EQUAL(shown->user, "plumbline"); /* The comments were opened. */
    CU_ASSERT_STRING_EQUAL(shown->spool.folder, real->spool.folder);
    CU_ASSERT_EQUAL(shown->spool.keep.ns, real->spool.keep.ns);
    CU_ASSERT_EQUAL(shown->spool.keep_size, real->spool.keep_size);
    CU_ASSERT_EQUAL(shown->spool.segment_size, real->spool.segment_size);
    CU_ASSERT_EQUAL(shown->spool.memory_size, real->spool.memory_size);
    CU_ASSERT_EQUAL(shown->spool.disk_size, real->spool.disk_size);
    CU_ASSERT_EQUAL(shown->redis.timeout.ns, real->redis.timeout.ns);
    CU_ASSERT_EQUAL(shown->port, real->port);
    CU_ASSERT_EQUAL(shown->stream_size, real->stream_size);
    CU_ASSERT_EQUAL(shown->source_port, real->source_port);
    CU_ASSERT_EQUAL(shown->priority, real->priority);
    CU_ASSERT_EQUAL(shown->log_level, real->log_level);
    probe_config_free(shown);
    probe_config_free(real);
    unlink(f.path);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_probe_has_its_defaults", a_probe_has_its_defaults},
        {"a_probe_takes_all_that_is_written", a_probe_takes_all_that_is_written},
        {"each_wrong_probe_configuration_is_told", each_wrong_probe_configuration_is_told},
        {"a_collector_has_its_defaults_and_bounds", a_collector_has_its_defaults_and_bounds},
        {"a_password_does_not_stand_in_a_configuration",
         a_password_does_not_stand_in_a_configuration},
        {"the_command_needs_nothing_to_be_written", the_command_needs_nothing_to_be_written},
        {"all_errors_are_told_at_once", all_errors_are_told_at_once},
        {"a_wrong_configuration_leaves_the_good_one_alone",
         a_wrong_configuration_leaves_the_good_one_alone},
        {"the_examples_in_dist_are_good", the_examples_in_dist_are_good},
        {"the_defaults_shown_in_dist_are_the_real_ones",
         the_defaults_shown_in_dist_are_the_real_ones},
        CU_TEST_INFO_NULL};
    return run_suite("config", tests);
}
