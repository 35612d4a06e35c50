/* config.c - a table of keys for each program's local configuration. */
#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include "bind.h"
#include "fault.h"
#include "pool.h"
#include "series.h"
#include "value.h"
#include "yaml.h"

#define DAY_NS (86400 * (uint64_t)NS_PER_S)
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

static const struct bind_word level_words[] = {{"error", LOG_LEVEL_ERROR},
                                               {"warning", LOG_LEVEL_WARNING},
                                               {"info", LOG_LEVEL_INFO},
                                               {"debug", LOG_LEVEL_DEBUG},
                                               {NULL, 0}};

#define REDIS(member) .offset = offsetof(struct config_redis, member)
#define POSTGRESQL(member) .offset = offsetof(struct config_postgresql, member)
#define TLS(member) .offset = offsetof(struct tls_config, member)
#define METRICS(member) .offset = offsetof(struct config_metrics, member)
#define PROBE(member) .offset = offsetof(struct probe_config, member)
#define COLLECTOR(member) .offset = offsetof(struct collector_config, member)
#define CLI(member) .offset = offsetof(struct cli_config, member)

static const struct bind_key tls_keys[] = {
    {.key = "ca_file", .type = BIND_STRING, TLS(ca_file)},
    {.key = "cert_file", .type = BIND_STRING, TLS(cert_file)},
    {.key = "key_file", .type = BIND_STRING, TLS(key_file)},
    {.key = "server_name", .type = BIND_STRING, TLS(server_name)},
    {.key = NULL},
};

static const struct bind_key redis_keys[] = {
    {.key = "address", .type = BIND_STRING, REDIS(address), .required = true},
    {.key = "user", .type = BIND_STRING, REDIS(user)},
    {.key = "password_file", .type = BIND_STRING, REDIS(password_file)},
    {.key = "tls", .type = BIND_TABLE, REDIS(tls), .table = tls_keys},
    {.key = "timeout",
     .type = BIND_SPAN,
     REDIS(timeout),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "5s"},
    {.key = NULL},
};

/* The command line also runs where there is no Redis to speak of. */
static const struct bind_key cli_redis_keys[] = {
    {.key = "address", .type = BIND_STRING, REDIS(address), .fallback = "127.0.0.1:6379"},
    {.key = "user", .type = BIND_STRING, REDIS(user)},
    {.key = "password_file", .type = BIND_STRING, REDIS(password_file)},
    {.key = "tls", .type = BIND_TABLE, REDIS(tls), .table = tls_keys},
    {.key = "timeout",
     .type = BIND_SPAN,
     REDIS(timeout),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "5s"},
    {.key = NULL},
};

static const struct bind_key postgresql_keys[] = {
    {.key = "conninfo", .type = BIND_STRING, POSTGRESQL(conninfo), .required = true},
    {.key = "password_file", .type = BIND_STRING, POSTGRESQL(password_file)},
    {.key = NULL},
};

static const struct bind_key cli_postgresql_keys[] = {
    {.key = "conninfo", .type = BIND_STRING, POSTGRESQL(conninfo), .fallback = "dbname=plumbline"},
    {.key = "password_file", .type = BIND_STRING, POSTGRESQL(password_file)},
    {.key = NULL},
};

static const struct bind_key spool_keys[] = {
    {.key = "folder",
     .type = BIND_STRING,
     PROBE(spool.folder),
     .fallback = "/var/lib/plumbline/spool"},
    {.key = "keep",
     .type = BIND_SPAN,
     PROBE(spool.keep),
     .min = 0,
     .max = 365 * DAY_NS,
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

static const struct bind_key metrics_keys[] = {
    {.key = "listen", .type = BIND_STRING, METRICS(listen)},
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
    {.key = "redis", .type = BIND_TABLE, PROBE(redis), .table = redis_keys},
    {.key = "spool", .type = BIND_TABLE, .offset = 0, .table = spool_keys},
    {.key = "stream_size", .type = BIND_SIZE, PROBE(stream_size), .fallback = "0B"},
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
    {.key = "twamp_control", .type = BIND_TABLE, .offset = 0, .table = twamp_control_keys},
    {.key = "link_keys", .type = BIND_NODE, .offset = offsetof(struct read_probe, link_keys)},
    {.key = "sample_log", .type = BIND_STRING, PROBE(sample_log)},
    {.key = "user", .type = BIND_STRING, PROBE(user)},
    {.key = "metrics", .type = BIND_TABLE, PROBE(metrics), .table = metrics_keys},
    {.key = "log_level",
     .type = BIND_WORD,
     PROBE(log_level),
     .words = level_words,
     .fallback = "info"},
    {.key = NULL},
};

#define RETENTION(name, value)                                                                     \
    {                                                                                              \
        .key = #name, .type = BIND_SPAN, COLLECTOR(retention.name), .min = 0,                      \
        .max = 36500 * DAY_NS, .fallback = value                                                   \
    }
static const struct bind_key retention_keys[] = {
    RETENTION(interval, "90d"),
    RETENTION(quarter, "400d"),
    RETENTION(day, "0d"),
    {.key = NULL},
};

static const struct bind_key collector_keys[] = {
    {.key = "collector", .type = BIND_NAME, COLLECTOR(collector)},
    {.key = "inventory", .type = BIND_STRING, COLLECTOR(inventory), .required = true},
    {.key = "redis", .type = BIND_TABLE, COLLECTOR(redis), .table = redis_keys},
    {.key = "postgresql", .type = BIND_TABLE, COLLECTOR(postgresql), .table = postgresql_keys},
    {.key = "workers",
     .type = BIND_UNSIGNED,
     COLLECTOR(workers),
     .width = 4,
     .min = 1,
     .max = 64,
     .fallback = "1"},
    {.key = "source_expiry",
     .type = BIND_SPAN,
     COLLECTOR(source_expiry),
     .min = 3600 * (uint64_t)NS_PER_S,
     .max = 365 * DAY_NS,
     .fallback = "8d"},
    {.key = "retention", .type = BIND_TABLE, .offset = 0, .table = retention_keys},
    {.key = "user", .type = BIND_STRING, COLLECTOR(user)},
    {.key = "metrics", .type = BIND_TABLE, COLLECTOR(metrics), .table = metrics_keys},
    {.key = "log_level",
     .type = BIND_WORD,
     COLLECTOR(log_level),
     .words = level_words,
     .fallback = "info"},
    {.key = NULL},
};

static const struct bind_key cli_keys[] = {
    {.key = "inventory", .type = BIND_STRING, CLI(inventory)},
    {.key = "redis", .type = BIND_TABLE, CLI(redis), .table = cli_redis_keys},
    {.key = "postgresql", .type = BIND_TABLE, CLI(postgresql), .table = cli_postgresql_keys},
    {.key = NULL},
};

/* The place of 'section.key' where it is written, of the file where it is not. */
static struct place
place_in(const struct yaml_node *root, const char *section, const char *key)
{
    const struct yaml_node *map = section ? yaml_get(root, section) : root;
    const struct yaml_node *n = map ? yaml_get(map, key) : NULL;
    return n ? n->at : root->at;
}

/* "host:port", "[v6]:port" or "unix:/path". */
static bool
is_server_address(const char *address)
{
    uint64_t port;

    if (strncmp(address, "unix:", 5) == 0) {
        return address[5] == '/' && strlen(address + 5) < 108;
    }
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !value_parse_unsigned(colon + 1, &port) || port < 1 ||
        port > 65535) {
        return false;
    }
    if (address[0] == '[') {
        return colon[-1] == ']' && colon - address > 3;
    }
    size_t length = (size_t)(colon - address);
    return memchr(address, ':', length) == NULL && strcspn(address, " \t/") >= length;
}

/* Half a TLS must not pass for a whole one. */
static void
check_tls(struct faults *faults, const struct yaml_node *root, const struct config_redis *redis)
{
    const struct yaml_node *section = yaml_get(root, "redis");
    const struct yaml_node *map = section ? yaml_get(section, "tls") : NULL;
    const struct tls_config *tls = &redis->tls;

    if (!map || map->kind != YAML_MAP) {
        return;
    }
    if (!tls->ca_file) {
        fault_error(faults, map->at, "key 'ca_file' is missing: who vouches for the server");
    }
    if (!tls->cert_file != !tls->key_file) {
        fault_error(faults, map->at, "'cert_file' and 'key_file' go together");
    }
    if (redis->address && strncmp(redis->address, "unix:", 5) == 0) {
        fault_error(faults, map->at, "no TLS over a UNIX socket: expected host:port as address");
    }
}

/* One, or several of a cluster. */
static bool
is_redis_address(const char *address)
{
    char one[256];

    for (;;) {
        size_t length = strcspn(address, ",");
        snprintf(one, sizeof one, "%.*s", (int)length, address);
        if (length >= sizeof one || !is_server_address(one) ||
            (address[length] && strncmp(one, "unix:", 5) == 0)) {
            return false;
        }
        if (!address[length]) {
            return true;
        }
        address += length + 1;
    }
}

static void
check_redis(struct faults *faults, const struct yaml_node *root, const struct config_redis *redis)
{
    if (redis->address && !is_redis_address(redis->address)) {
        fault_error(faults, place_in(root, "redis", "address"),
                    "expected host:port, [IPv6]:port, several of these with commas between for a "
                    "Redis Cluster, or unix:/path; got '%s'",
                    redis->address);
    }
    if (redis->user && !redis->password_file) {
        fault_error(faults, place_in(root, "redis", "user"),
                    "a user needs 'password_file' beside it");
    }
    check_tls(faults, root, redis);
}

static void
check_postgresql(struct faults *faults, const struct yaml_node *root,
                 const struct config_postgresql *pg)
{
    const char *text = pg->conninfo;

    if (!text) {
        return;
    }
    struct place at = place_in(root, "postgresql", "conninfo");
    if (strstr(text, "password") != NULL) {
        fault_error(faults, at,
                    "no password here: put it in a file and name that as 'password_file'");
    } else if (!strchr(text, '=') || strstr(text, "://")) {
        fault_error(faults, at,
                    "expected key=value text such as 'host=db.example.net dbname=plumbline', "
                    "got '%.60s'",
                    text);
    }
}

static void
check_spool(struct faults *faults, const struct yaml_node *root, const struct probe_config *c)
{
    if (c->spool.disk_size && c->spool.disk_size < 2 * c->spool.segment_size) {
        fault_error(faults, place_in(root, "spool", "disk_size"),
                    "expected 0B (no bound of its own) or at least twice 'segment_size'");
    }
    if (c->stream_size && c->stream_size < MIB) {
        fault_error(faults, place_in(root, NULL, "stream_size"),
                    "expected 0B (no bound) or at least 1MiB");
    }
    if (c->spool.folder && c->spool.folder[0] != '/') {
        fault_error(faults, place_in(root, "spool", "folder"),
                    "expected a path from the root, got '%s'", c->spool.folder);
    }
}

/* Numbers only: a name could lead anywhere. */
static void
check_metrics(struct faults *faults, const struct yaml_node *root,
              const struct config_metrics *metrics)
{
    struct sockaddr_storage address;
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } to = {.storage = &address};
    int size = (int)sizeof address;

    if (!metrics->listen && yaml_get(root, "metrics")) {
        fault_error(faults, place_in(root, NULL, "metrics"), "key 'listen' is missing");
    } else if (metrics->listen && (!is_server_address(metrics->listen) ||
                                   evutil_parse_sockaddr_port(metrics->listen, to.any, &size))) {
        fault_error(faults, place_in(root, "metrics", "listen"),
                    "expected address:port such as 127.0.0.1:9470 or [::1]:9470, got '%s'",
                    metrics->listen);
    }
}

static void
check_twamp(struct faults *faults, const struct yaml_node *root, const struct probe_config *c)
{
    if (c->twamp_control.address.family == 6) {
        fault_error(faults, place_in(root, "twamp_control", "address"),
                    "expected an IPv4 address: TWAMP-Control is served over IPv4 alone");
    }
}

/* Whom the TWAMP-Control server serves. */
static void
take_twamp_allow(struct bind *b, struct read_probe *read)
{
    const struct yaml_node *list = read->twamp_allow;
    struct config_prefix *prefixes;
    size_t count = 0;

    read->twamp_allow = NULL;
    if (!list || yaml_is_null(list) ||
        !bind_expect(b, list, YAML_LIST, "a list of prefixes, such as [192.0.2.0/24]")) {
        return;
    }
    prefixes = pool_array(b->pool, list->count, sizeof *prefixes);
    for (const struct yaml_node *n = list->first; n; n = n->next, count++) {
        if (n->kind != YAML_SCALAR ||
            !value_parse_ipv4_prefix(n->text, &prefixes[count].address, &prefixes[count].bits)) {
            char got[64];
            fault_error(b->faults, n->at, "expected an IPv4 prefix such as 192.0.2.0/24, got %s",
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

/* The host's name as a key, if it can be one. */
static const char *
default_collector_name(struct pool *pool)
{
    char name[SERIES_NAME_MAX + 1] = "";

    if (gethostname(name, sizeof name - 1) != 0) {
        name[0] = '\0';
    }
    for (char *c = name; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    const char *good = value_is_name(name) ? name : "collector";
    return pool_text(pool, good, strlen(good));
}

/* 0 is for ever; what is under three days is a slip of the unit. */
static void
check_retention(struct faults *faults, const struct yaml_node *root,
                const struct collector_config *c)
{
    static const char *const keys[] = {"interval", "quarter", "day"};
    const struct span kept[] = {c->retention.interval, c->retention.quarter, c->retention.day};

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i].ns > 0 && kept[i].ns < 3 * (int64_t)DAY_NS) {
            fault_error(faults, place_in(root, "retention", keys[i]),
                        "expected 3d to 36500d, or 0d to keep them for ever");
        }
    }
}

static void
finish_probe(struct bind *b, const struct yaml_node *root, void *object)
{
    struct read_probe *read = object;

    check_redis(b->faults, root, &read->config.redis);
    check_spool(b->faults, root, &read->config);
    check_metrics(b->faults, root, &read->config.metrics);
    check_twamp(b->faults, root, &read->config);
    take_twamp_allow(b, read);
    take_link_keys(b, read);
}

static void
finish_collector(struct bind *b, const struct yaml_node *root, void *object)
{
    struct collector_config *c = object;

    check_redis(b->faults, root, &c->redis);
    check_postgresql(b->faults, root, &c->postgresql);
    check_retention(b->faults, root, c);
    check_metrics(b->faults, root, &c->metrics);
    if (!c->collector) {
        c->collector = default_collector_name(b->pool);
    }
}

static void
finish_cli(struct bind *b, const struct yaml_node *root, void *object)
{
    struct cli_config *c = object;

    check_redis(b->faults, root, &c->redis);
    check_postgresql(b->faults, root, &c->postgresql);
}

/* One for each program: its keys, and what no table can say. */
struct program {
    const struct bind_key *keys;
    size_t size;
    void (*finish)(struct bind *b, const struct yaml_node *root, void *object);
};

static const struct program probe_program = {probe_keys, sizeof(struct read_probe), finish_probe};
static const struct program collector_program = {collector_keys, sizeof(struct collector_config),
                                                 finish_collector};
static const struct program cli_program = {cli_keys, sizeof(struct cli_config), finish_cli};

/* What is given out, with the pool that it lies in before it. */
struct held {
    struct pool *pool;
    max_align_t config[];
};

/* The configuration, or NULL with '*err'. */
static void *
load_into(const char *path, struct faults *faults, const struct program *program, int *err)
{
    struct pool *pool = pool_new(), *trees = pool_new();
    struct held *held = pool_alloc(pool, sizeof *held + program->size);
    struct bind b = {.pool = pool, .faults = faults};
    struct yaml_node *root = yaml_load(trees, faults, path, err);

    held->pool = pool;
    if (root) {
        bind_map(&b, root, root->at, program->keys, held->config);
        program->finish(&b, root, held->config);
    }
    pool_free(trees);
    if (faults_errors(faults)) {
        pool_free(pool);
        *err = *err ? *err : -EINVAL;
        return NULL;
    }
    return held->config;
}

static void *
load(const char *path, FILE *errors, const struct program *program, int *err)
{
    struct faults *faults = faults_new();
    void *config = load_into(path, faults, program, err);

    faults_print(faults, errors, FAULTS_KEPT);
    faults_free(faults);
    return config;
}

static void
free_held(void *config)
{
    if (config) {
        pool_free(((struct held *)(void *)((char *)config - offsetof(struct held, config)))->pool);
    }
}

int
probe_config_load_into(const char *path, struct faults *faults, struct probe_config **out)
{
    int err;
    struct probe_config *c = load_into(path, faults, &probe_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

int
probe_config_load(const char *path, FILE *errors, struct probe_config **out)
{
    int err;
    struct probe_config *c = load(path, errors, &probe_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

void
probe_config_free(struct probe_config *c)
{
    free_held(c);
}

int
collector_config_load_into(const char *path, struct faults *faults, struct collector_config **out)
{
    int err;
    struct collector_config *c = load_into(path, faults, &collector_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

int
collector_config_load(const char *path, FILE *errors, struct collector_config **out)
{
    int err;
    struct collector_config *c = load(path, errors, &collector_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

void
collector_config_free(struct collector_config *c)
{
    free_held(c);
}

int
cli_config_load_into(const char *path, struct faults *faults, struct cli_config **out)
{
    int err;
    struct cli_config *c = load_into(path, faults, &cli_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

int
cli_config_load(const char *path, FILE *errors, struct cli_config **out)
{
    int err;
    struct cli_config *c = load(path, errors, &cli_program, &err);

    if (c) {
        *out = c;
    }
    return err;
}

void
cli_config_free(struct cli_config *c)
{
    free_held(c);
}
