/* config_probe.c - probe.yaml.
 *
 * After config_server.c. */
#include "config_parts.h"

#include <string.h>

#include "cpulatency.h"
#include "value.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)

/* What is being read of a probe's file: its configuration first, so that one
 * table of offsets serves both. */
struct read_probe {
    struct probe_config config;
    const struct yaml_node *twamp_allow, *link_keys; /* While they are read. */
};

#define PROBE(member) .offset = offsetof(struct probe_config, member)

static const struct bind_key spool_keys[] = {
    {.key = "folder",
     .type = BIND_STRING,
     PROBE(spool.folder),
     .fallback = "/var/lib/plumbline/spool"},
    {.key = "keep",
     .type = BIND_SPAN,
     PROBE(spool.keep),
     .min = 0,
     .max = 365 * CONFIG_DAY_NS,
     .fallback = "24h"},
    {.key = "keep_size",
     .type = BIND_SIZE,
     PROBE(spool.keep_size),
     .min = 0,
     .max = 64 * TIB,
     .fallback = "1GiB"},
    {.key = "segment_size",
     .type = BIND_SIZE,
     PROBE(spool.segment_size),
     .min = 64 * KIB,
     .max = GIB,
     .fallback = "8MiB"},
    {.key = "memory_size",
     .type = BIND_SIZE,
     PROBE(spool.memory_size),
     .min = 16 * KIB,
     .max = 4 * GIB,
     .fallback = "16MiB"},
    {.key = "disk_size", .type = BIND_SIZE, PROBE(spool.disk_size), .fallback = "0B"},
    {.key = NULL},
};

static const struct bind_key twamp_control_keys[] = {
    {.key = "allow", .type = BIND_NODE, .offset = offsetof(struct read_probe, twamp_allow)},
    {.key = "address", .type = BIND_ADDRESS, PROBE(twamp_control.address)},
    {.key = "port",
     .type = BIND_UNSIGNED,
     PROBE(twamp_control.port),
     .width = 2,
     .min = 1,
     .max = 65535,
     .fallback = "862"},
    {.key = "connections",
     .type = BIND_UNSIGNED,
     PROBE(twamp_control.connections),
     .width = 4,
     .min = 1,
     .max = 64,
     .fallback = "16"},
    {.key = "sessions",
     .type = BIND_UNSIGNED,
     PROBE(twamp_control.sessions),
     .width = 4,
     .min = 1,
     .max = 256,
     .fallback = "64"},
    {.key = "timeout",
     .type = BIND_SPAN,
     PROBE(twamp_control.timeout),
     .min = 1 * (uint64_t)NS_PER_S,
     .max = 3600 * (uint64_t)NS_PER_S,
     .fallback = "15m"},
    {.key = NULL},
};

static const struct bind_word send_words[] = {{"current", false}, {"next", true}, {NULL, 0}};

/* 'send' is an int while it is read. */
struct read_link_key {
    struct config_link_key key;
    int send;
};

static const struct bind_key link_key_keys[] = {
    {.key = "key_file",
     .type = BIND_STRING,
     .offset = offsetof(struct read_link_key, key.key_file),
     .required = true},
    {.key = "key_file_next",
     .type = BIND_STRING,
     .offset = offsetof(struct read_link_key, key.key_file_next)},
    {.key = "send",
     .type = BIND_WORD,
     .offset = offsetof(struct read_link_key, send),
     .words = send_words,
     .fallback = "current"},
    {.key = NULL},
};

static const struct bind_key probe_keys[] = {
    {.key = "probe", .type = BIND_NAME, PROBE(probe), .required = true},
    {.key = "inventory", .type = BIND_STRING, PROBE(inventory), .required = true},
    {.key = "redis", .type = BIND_TABLE, PROBE(redis), .table = config_redis_keys},
    {.key = "spool", .type = BIND_TABLE, .offset = 0, .table = spool_keys},
    {.key = "stream_size", .type = BIND_SIZE, PROBE(stream_size), .fallback = "16MiB"},
    {.key = "source_port",
     .type = BIND_UNSIGNED,
     PROBE(source_port),
     .width = 2,
     .min = 1024,
     .max = 65279,
     .fallback = "50000"},
    {.key = "port",
     .type = BIND_UNSIGNED,
     PROBE(port),
     .width = 2,
     .min = 1,
     .max = 65535,
     .fallback = "862"},
    {.key = "priority",
     .type = BIND_UNSIGNED,
     PROBE(priority),
     .width = 2,
     .min = 0,
     .max = 99,
     .fallback = "40"},
    {.key = "cpu_latency",
     .type = BIND_SPAN,
     PROBE(cpu_latency),
     .min = 0,
     .max = CPULATENCY_ANY_NS,
     .fallback = "2000s"},
    {.key = "twamp_control", .type = BIND_TABLE, .offset = 0, .table = twamp_control_keys},
    {.key = "key_folder",
     .type = BIND_STRING,
     PROBE(key_folder),
     .fallback = "/etc/plumbline/keys"},
    {.key = "link_keys", .type = BIND_NODE, .offset = offsetof(struct read_probe, link_keys)},
    {.key = "sample_log", .type = BIND_STRING, PROBE(sample_log)},
    {.key = "trace", .type = BIND_BOOL, PROBE(trace), .fallback = "true"},
    {.key = "user", .type = BIND_STRING, PROBE(user)},
    {.key = "metrics", .type = BIND_TABLE, PROBE(metrics), .table = config_metrics_keys},
    {.key = "log_level",
     .type = BIND_WORD,
     PROBE(log_level),
     .words = config_level_words,
     .fallback = "info"},
    {.key = NULL},
};

static void
check_spool(struct faults *faults, const struct yaml_node *root, const struct probe_config *c)
{
    if (c->spool.disk_size && c->spool.disk_size < 2 * c->spool.segment_size) {
        fault_error(faults, config_place(root, "spool", "disk_size"),
                    "expected 0B (no bound of its own) or at least twice 'segment_size'");
    }
    if (c->stream_size && c->stream_size < MIB) {
        fault_error(faults, config_place(root, NULL, "stream_size"),
                    "expected 0B (no bound) or at least 1MiB");
    }
    if (c->spool.folder && c->spool.folder[0] != '/') {
        fault_error(faults, config_place(root, "spool", "folder"),
                    "expected a path from the root, got '%s'", c->spool.folder);
    }
}

/* A prefix, bits behind its length or not, or one address. */
static bool
parse_allowed(const char *text, struct prefix *out)
{
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    char address[VALUE_TEXT_SIZE];
    uint64_t length;

    if (size >= sizeof address) {
        return false;
    }
    memcpy(address, text, size);
    address[size] = '\0';
    if (!value_parse_address(address, &out->address)) {
        return false;
    }
    length = 8 * address_size(&out->address);
    if (slash &&
        (!value_parse_unsigned(slash + 1, &length) || length > 8 * address_size(&out->address))) {
        return false;
    }
    out->length = (uint8_t)length;
    return true;
}

/* Whom the TWAMP-Control server serves. */
static void
take_twamp_allow(struct bind *b, struct read_probe *read)
{
    const struct yaml_node *list = read->twamp_allow;
    struct prefix *prefixes;
    size_t count = 0;

    read->twamp_allow = NULL;
    if (!list || yaml_is_null(list) ||
        !bind_expect(b, list, YAML_LIST, "a list of prefixes, such as [192.0.2.0/24]")) {
        return;
    }
    prefixes = pool_array(b->pool, list->count, sizeof *prefixes);
    for (const struct yaml_node *n = list->first; n; n = n->next, count++) {
        if (n->kind != YAML_SCALAR || !parse_allowed(n->text, &prefixes[count])) {
            char got[64];
            fault_error(b->faults, n->at,
                        "expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, got %s",
                        yaml_describe(n, got, sizeof got));
        }
    }
    read->config.twamp_control.allow = prefixes;
    read->config.twamp_control.allow_count = count;
}

static void
take_link_key(const struct bind *b, const struct yaml_node *n, struct config_link_key *out)
{
    struct read_link_key read = {.send = false};

    if (!value_is_name(n->key)) {
        fault_error(b->faults, n->key_at, "'%.63s' cannot be the key of a link", n->key);
        return;
    }
    if (!bind_map(b, n, n->at, link_key_keys, &read)) {
        return;
    }
    if (read.send && !read.key.key_file_next) {
        fault_error(b->faults, n->at, "'send: next' needs 'key_file_next' beside it");
    }
    *out = read.key;
    out->link = pool_text(b->pool, n->key, strlen(n->key));
    out->send_next = read.send;
}

/* Links by name, each with the files of its keys. */
static void
take_link_keys(struct bind *b, struct read_probe *read)
{
    const struct yaml_node *map = read->link_keys;
    size_t count = 0;

    read->link_keys = NULL;
    if (!map || yaml_is_null(map) || !bind_expect(b, map, YAML_MAP, "a map of links")) {
        return;
    }
    read->config.link_keys = pool_array(b->pool, map->count, sizeof *read->config.link_keys);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        take_link_key(b, n, &read->config.link_keys[count++]);
    }
    read->config.link_key_count = count;
}

static void
finish_probe(struct bind *b, const struct yaml_node *root, void *object)
{
    struct read_probe *read = object;

    config_check_redis(b->faults, root, &read->config.redis);
    check_spool(b->faults, root, &read->config);
    config_check_metrics(b->faults, root, &read->config.metrics);
    take_twamp_allow(b, read);
    take_link_keys(b, read);
}

const struct config_program config_probe_program = {probe_keys, sizeof(struct read_probe),
                                                    finish_probe};
