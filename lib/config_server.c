/* config_server.c - sections that several programs have: which servers, how they are reached, where
 * metrics are read. */
#include "config_parts.h"

#include <errno.h>
#include <string.h>

#include <event2/util.h>

#include "value.h"

#define REDIS(member) .offset = offsetof(struct config_redis, member)
#define POSTGRESQL(member) .offset = offsetof(struct config_postgresql, member)
#define TLS(member) .offset = offsetof(struct tls_config, member)
#define METRICS(member) .offset = offsetof(struct config_metrics, member)

static const struct bind_key tls_keys[] = {
    {.key = "ca_file", .type = BIND_STRING, TLS(ca_file)},
    {.key = "cert_file", .type = BIND_STRING, TLS(cert_file)},
    {.key = "key_file", .type = BIND_STRING, TLS(key_file)},
    {.key = "server_name", .type = BIND_STRING, TLS(server_name)},
    {.key = NULL},
};

#define REDIS_BESIDE_ADDRESS                                                                       \
    {.key = "user", .type = BIND_STRING, REDIS(user)},                                             \
        {.key = "password_file", .type = BIND_STRING, REDIS(password_file)},                       \
        {.key = "tls", .type = BIND_TABLE, REDIS(tls), .table = tls_keys},                         \
    {                                                                                              \
        .key = "timeout", .type = BIND_SPAN, REDIS(timeout), .min = 100 * (uint64_t)NS_PER_MS,     \
        .max = 60 * (uint64_t)NS_PER_S, .fallback = "5s"                                           \
    }

const struct bind_key config_redis_keys[] = {
    {.key = "address", .type = BIND_STRING, REDIS(address), .required = true},
    REDIS_BESIDE_ADDRESS,
    {.key = NULL},
};

const struct bind_key config_cli_redis_keys[] = {
    {.key = "address", .type = BIND_STRING, REDIS(address), .fallback = "127.0.0.1:6379"},
    REDIS_BESIDE_ADDRESS,
    {.key = NULL},
};

const struct bind_key config_postgresql_keys[] = {
    {.key = "conninfo", .type = BIND_STRING, POSTGRESQL(conninfo), .required = true},
    {.key = "password_file", .type = BIND_STRING, POSTGRESQL(password_file)},
    {.key = NULL},
};

const struct bind_key config_cli_postgresql_keys[] = {
    {.key = "conninfo", .type = BIND_STRING, POSTGRESQL(conninfo), .fallback = "dbname=plumbline"},
    {.key = "password_file", .type = BIND_STRING, POSTGRESQL(password_file)},
    {.key = NULL},
};

const struct bind_key config_metrics_keys[] = {
    {.key = "listen", .type = BIND_STRING, METRICS(listen)},
    {.key = NULL},
};

const struct bind_word config_level_words[] = {{"error", LOG_LEVEL_ERROR},
                                               {"warning", LOG_LEVEL_WARNING},
                                               {"info", LOG_LEVEL_INFO},
                                               {"debug", LOG_LEVEL_DEBUG},
                                               {NULL, 0}};

struct place
config_place(const struct yaml_node *root, const char *section, const char *key)
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

void
config_check_redis(struct faults *faults, const struct yaml_node *root,
                   const struct config_redis *redis)
{
    if (redis->address && !is_redis_address(redis->address)) {
        fault_error(faults, config_place(root, "redis", "address"),
                    "expected host:port, [IPv6]:port, several of these with commas between for a "
                    "Redis Cluster, or unix:/path; got '%s'",
                    redis->address);
    }
    if (redis->user && !redis->password_file) {
        fault_error(faults, config_place(root, "redis", "user"),
                    "a user needs 'password_file' beside it");
    }
    check_tls(faults, root, redis);
}

void
config_check_postgresql(struct faults *faults, const struct yaml_node *root,
                        const struct config_postgresql *pg)
{
    const char *text = pg->conninfo;

    if (!text) {
        return;
    }
    struct place at = config_place(root, "postgresql", "conninfo");
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

/* Numbers only: a name could lead anywhere. */
void
config_check_metrics(struct faults *faults, const struct yaml_node *root,
                     const struct config_metrics *metrics)
{
    struct sockaddr_storage address;
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } to = {.storage = &address};
    int size = (int)sizeof address;

    if (!metrics->listen && yaml_get(root, "metrics")) {
        fault_error(faults, config_place(root, NULL, "metrics"), "key 'listen' is missing");
    } else if (metrics->listen && (!is_server_address(metrics->listen) ||
                                   evutil_parse_sockaddr_port(metrics->listen, to.any, &size))) {
        fault_error(faults, config_place(root, "metrics", "listen"),
                    "expected address:port such as 127.0.0.1:9470 or [::1]:9470, got '%s'",
                    metrics->listen);
    }
}
