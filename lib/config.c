/* config.c - collector.yaml and plumbline.yaml; how any of them is loaded.
 *
 * After config_server.c, config_probe.c. */
#include "config_parts.h"

#include <ctype.h>
#include <errno.h>
#include <unistd.h>
#include <string.h>

#include "series.h"
#include "value.h"

#define COLLECTOR(member) .offset = offsetof(struct collector_config, member)
#define CLI(member) .offset = offsetof(struct cli_config, member)

#define RETENTION(name, value)                                                                     \
    {                                                                                              \
        .key = #name, .type = BIND_SPAN, COLLECTOR(retention.name), .min = 0,                      \
        .max = 36500 * CONFIG_DAY_NS, .fallback = value                                            \
    }
static const struct bind_key retention_keys[] = {
    RETENTION(interval, "90d"), RETENTION(quarter, "400d"), RETENTION(day, "0d"),
    RETENTION(problem, "400d"), RETENTION(trace, "40d"),    {.key = NULL},
};

static const struct bind_key collector_keys[] = {
    {.key = "collector", .type = BIND_NAME, COLLECTOR(collector)},
    {.key = "inventory", .type = BIND_STRING, COLLECTOR(inventory), .required = true},
    {.key = "redis", .type = BIND_TABLE, COLLECTOR(redis), .table = config_redis_keys},
    {.key = "postgresql",
     .type = BIND_TABLE,
     COLLECTOR(postgresql),
     .table = config_postgresql_keys},
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
     .max = 365 * CONFIG_DAY_NS,
     .fallback = "8d"},
    {.key = "retention", .type = BIND_TABLE, .offset = 0, .table = retention_keys},
    {.key = "gather",
     .type = BIND_SPAN,
     COLLECTOR(gather),
     .min = NS_PER_S / 10,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "2s"},
    {.key = "hold",
     .type = BIND_SPAN,
     COLLECTOR(hold),
     .min = 0,
     .max = CONFIG_DAY_NS,
     .fallback = "5m"},
    {.key = "hook_folder",
     .type = BIND_STRING,
     COLLECTOR(hook_folder),
     .fallback = "/etc/plumbline/hooks"},
    {.key = "user", .type = BIND_STRING, COLLECTOR(user)},
    {.key = "metrics", .type = BIND_TABLE, COLLECTOR(metrics), .table = config_metrics_keys},
    {.key = "log_level",
     .type = BIND_WORD,
     COLLECTOR(log_level),
     .words = config_level_words,
     .fallback = "info"},
    {.key = NULL},
};

static const struct bind_key cli_keys[] = {
    {.key = "inventory", .type = BIND_STRING, CLI(inventory)},
    {.key = "redis", .type = BIND_TABLE, CLI(redis), .table = config_cli_redis_keys},
    {.key = "postgresql", .type = BIND_TABLE, CLI(postgresql), .table = config_cli_postgresql_keys},
    {.key = NULL},
};

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
    static const char *const keys[] = {"interval", "quarter", "day", "problem", "trace"};
    const struct span kept[] = {c->retention.interval, c->retention.quarter, c->retention.day,
                                c->retention.problem, c->retention.trace};

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i].ns > 0 && kept[i].ns < 3 * (int64_t)CONFIG_DAY_NS) {
            fault_error(faults, config_place(root, "retention", keys[i]),
                        "expected 3d to 36500d, or 0d to keep them for ever");
        }
    }
}

static void
finish_collector(struct bind *b, const struct yaml_node *root, void *object)
{
    struct collector_config *c = object;

    config_check_redis(b->faults, root, &c->redis);
    config_check_postgresql(b->faults, root, &c->postgresql);
    check_retention(b->faults, root, c);
    config_check_metrics(b->faults, root, &c->metrics);
    if (!c->collector) {
        c->collector = default_collector_name(b->pool);
    }
}

static void
finish_cli(struct bind *b, const struct yaml_node *root, void *object)
{
    struct cli_config *c = object;

    config_check_redis(b->faults, root, &c->redis);
    config_check_postgresql(b->faults, root, &c->postgresql);
}

static const struct config_program collector_program = {
    collector_keys, sizeof(struct collector_config), finish_collector};
static const struct config_program cli_program = {cli_keys, sizeof(struct cli_config), finish_cli};

/* What is given out, with the pool that it lies in before it. */
struct held {
    struct pool *pool;
    max_align_t config[];
};

/* '*out' is a pointer to the program's own struct. */
static int
load_into(const char *path, struct faults *faults, const struct config_program *program, void *out)
{
    struct pool *pool = pool_new(), *trees = pool_new();
    struct held *held = pool_alloc(pool, sizeof *held + program->size);
    void *config = held->config;
    struct bind b = {.pool = pool, .faults = faults};
    int err;
    struct yaml_node *root = yaml_load(trees, faults, path, &err);

    held->pool = pool;
    if (root) {
        bind_map(&b, root, root->at, program->keys, config);
        program->finish(&b, root, config);
    }
    pool_free(trees);
    if (faults_errors(faults)) {
        pool_free(pool);
        return err ? err : -EINVAL;
    }
    memcpy(out, &config, sizeof config);
    return err;
}

static int
load(const char *path, FILE *errors, const struct config_program *program, void *out)
{
    struct faults *faults = faults_new();
    int err = load_into(path, faults, program, out);

    faults_print(faults, errors, FAULTS_KEPT);
    faults_free(faults);
    return err;
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
    return load_into(path, faults, &config_probe_program, out);
}

int
probe_config_load(const char *path, FILE *errors, struct probe_config **out)
{
    return load(path, errors, &config_probe_program, out);
}

void
probe_config_free(struct probe_config *c)
{
    free_held(c);
}

int
collector_config_load_into(const char *path, struct faults *faults, struct collector_config **out)
{
    return load_into(path, faults, &collector_program, out);
}

int
collector_config_load(const char *path, FILE *errors, struct collector_config **out)
{
    return load(path, errors, &collector_program, out);
}

void
collector_config_free(struct collector_config *c)
{
    free_held(c);
}

int
cli_config_load_into(const char *path, struct faults *faults, struct cli_config **out)
{
    return load_into(path, faults, &cli_program, out);
}

int
cli_config_load(const char *path, FILE *errors, struct cli_config **out)
{
    return load(path, errors, &cli_program, out);
}

void
cli_config_free(struct cli_config *c)
{
    free_held(c);
}
