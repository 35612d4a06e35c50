/* probes.c - `plumbline probes`: each probe's own state, worst first.
 *
 * Who there should be comes from the inventory, what they say of themselves from the
 * live keys in Redis, what is committed and which generation is in force from
 * PostgreSQL. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "config.h"
#include "inventory.h"
#include "livekeys.h"
#include "log.h"
#include "pg.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define SILENT_NS (10 * NS_PER_S)
#define DAY_NS (86400 * NS_PER_S)
#define CERTIFICATE_BAD_NS (7 * DAY_NS)
#define CERTIFICATE_NOTE_NS (30 * DAY_NS)

static const char help[] =
    "usage: plumbline probes [OPTION ...]\n"
    "\n"
    "A line for each probe of the inventory, worst first: its release, the generation of the\n"
    "inventory that it runs, how long it is silent, what waits in its spool, its clock, when\n"
    "its certificate ends, what its kernel dropped; and what is wrong.\n"
    "\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "A probe is bad when it is silent for 10 s, when its disk is full, or when its certificate\n"
    "has a week left or less.  Worth a look, but not bad: a certificate of less than 30 days,\n"
    "another generation than the one in force, a clock that nobody keeps, packets that the\n"
    "kernel dropped, batches that were lost.\n"
    "\n"
    "Exit status: 0 none is bad, 1 some are, 2 wrong usage, 3 Redis cannot be reached.\n"
    "\n"
    "Examples:\n"
    "  plumbline probes\n"
    "  plumbline probes --json | jq -r '.probes[] | select(.release != \"0.1.0\") | .probe'\n"
    "  until plumbline probes --json | jq -e 'all(.probes[]; .in_force)'; do sleep 1; done\n";

enum level { LEVEL_RETIRED, LEVEL_OK, LEVEL_LOOK, LEVEL_BAD };

static const char *const level_names[] = {"retired", "ok", "look", "bad"};

struct probe {
    char name[SERIES_NAME_MAX + 1], release[64], collector[64];
    bool retired, live, has_health, closed;
    int64_t silence_ns, generation;
    Plumbline__Telemetry__Health health; /* Numbers only. */
    enum level level;
    char why[256]; /* Reasons, with "; " between. */
};

struct probes {
    const char *config_path;
    bool json;
    struct cli_config *config;
    struct livekeys *live;
    struct probe *list;
    size_t count;
    bool has_generation;
    int64_t generation; /* In force. */
    struct instant now;
    char redis_why[256], postgresql_why[512];
};

/* --- Collecting ------------------------------------------------------------- */

static int
read_inventory(struct probes *p)
{
    struct inventory *inv;
    size_t errors, warnings;

    if (!p->config->inventory) {
        fprintf(stderr, "plumbline probes: %s names no inventory\n", p->config_path);
        return EXIT_USAGE;
    }
    int err = inventory_load(p->config->inventory, stderr, 20, &errors, &warnings, &inv);
    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    p->list = calloc(inv->probe_count ? inv->probe_count : 1, sizeof *p->list);
    for (size_t i = 0; p->list && i < inv->probe_count; i++) {
        struct probe *one = &p->list[p->count++];
        snprintf(one->name, sizeof one->name, "%s", inv->probes[i].key);
        one->retired = inv->probes[i].state == INV_RETIRED;
    }
    inventory_free(inv);
    return p->list ? EXIT_GOOD : EXIT_UNAVAILABLE;
}

static struct probe *
probe_of(struct probes *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->list[i].name, name) == 0) {
            return &p->list[i];
        }
    }
    return NULL;
}

/* 'true': rows came. */
static bool
ask(struct probes *p, PGconn *conn, const char *sql, PGresult **out)
{
    *out = pg_call(conn, sql, 0, NULL);
    if (PQresultStatus(*out) != PGRES_TUPLES_OK) {
        pg_error(conn, *out, p->postgresql_why, sizeof p->postgresql_why);
        return false;
    }
    return true;
}

static void
read_database(struct probes *p)
{
    const struct pg_options options = {
        .application = "plumbline probes", .connect_timeout_s = 3, .statement_timeout_ms = 5000};
    PGconn *conn =
        pg_connect(&p->config->postgresql, &options, p->postgresql_why, sizeof p->postgresql_why);
    PGresult *r = NULL;

    if (conn && ask(p, conn,
                    "SELECT source, coalesce(release, ''), coalesce(collector, ''), closed FROM "
                    "plumbline.source_position",
                    &r)) {
        for (int i = 0; i < PQntuples(r); i++) {
            struct probe *one = probe_of(p, PQgetvalue(r, i, 0));
            if (one) {
                snprintf(one->release, sizeof one->release, "%s", PQgetvalue(r, i, 1));
                snprintf(one->collector, sizeof one->collector, "%s", PQgetvalue(r, i, 2));
                one->closed = PQgetvalue(r, i, 3)[0] == 't';
            }
        }
    }
    PQclear(r);
    r = NULL;
    if (conn && !p->postgresql_why[0] &&
        ask(p, conn,
            "SELECT generation FROM plumbline.inventory_generation ORDER BY number DESC LIMIT 1",
            &r) &&
        PQntuples(r) == 1) {
        p->generation = (int64_t)strtoull(PQgetvalue(r, 0, 0), NULL, 16);
        p->has_generation = true;
    }
    PQclear(r);
    PQfinish(conn);
}

static void
read_live(struct probes *p, struct probe *one)
{
    pb_live *m = livekeys_get(p->live, one->name);

    snprintf(p->redis_why, sizeof p->redis_why, "%s", livekeys_why(p->live));
    if (!m) {
        return;
    }
    one->live = true;
    one->silence_ns = p->now.ns - m->source_at_ns;
    one->generation = m->generation;
    if (m->release[0]) {
        snprintf(one->release, sizeof one->release, "%s", m->release);
    }
    if (m->health) {
        one->health = *m->health;
        one->has_health = true;
    }
    plumbline__telemetry__live__free_unpacked(m, NULL);
}

/* --- Judging ---------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
find(struct probe *one, enum level level, const char *format, ...)
{
    size_t at = strlen(one->why);
    va_list args;

    if (at && at + 3 < sizeof one->why) {
        at += (size_t)snprintf(one->why + at, sizeof one->why - at, "; ");
    }
    va_start(args, format);
    vsnprintf(one->why + at, sizeof one->why - at, format, args);
    va_end(args);
    one->level = one->level > level ? one->level : level;
}

static void
judge_health(struct probe *one, struct instant now)
{
    const Plumbline__Telemetry__Health *h = &one->health;
    int64_t left = h->certificate_end_ns - now.ns;

    if (h->disk_full) {
        find(one, LEVEL_BAD, "disk full");
    }
    if (h->certificate_end_ns && left < 0) {
        find(one, LEVEL_BAD, "certificate has ended");
    } else if (h->certificate_end_ns && left < CERTIFICATE_NOTE_NS) {
        find(one, left <= CERTIFICATE_BAD_NS ? LEVEL_BAD : LEVEL_LOOK,
             "certificate ends in %" PRId64 " d", left / DAY_NS);
    }
    if (!h->clock_synchronised) {
        find(one, LEVEL_LOOK, "clock not kept");
    }
    if (h->kernel_drops) {
        find(one, LEVEL_LOOK, "kernel dropped %" PRIu64, h->kernel_drops);
    }
    if (h->tombstones) {
        find(one, LEVEL_LOOK, "%" PRIu64 " batches lost", h->tombstones);
    }
}

static bool
in_force(const struct probes *p, const struct probe *one)
{
    return one->live && one->generation && (!p->has_generation || one->generation == p->generation);
}

static void
judge(const struct probes *p, struct probe *one)
{
    bool silent = !one->live || one->silence_ns > SILENT_NS;

    one->level = one->retired ? LEVEL_RETIRED : LEVEL_OK;
    if (one->retired) {
        if (!silent) {
            find(one, LEVEL_LOOK, "retired, and still there");
        }
        return;
    }
    if (silent) {
        find(one, LEVEL_BAD, one->live ? "silent%s" : "never heard of%s",
             one->closed ? ", closed" : "");
    }
    if (one->live && one->generation && !in_force(p, one)) {
        find(one, LEVEL_LOOK, "another generation than in force");
    }
    if (one->has_health) {
        judge_health(one, p->now);
    }
}

/* Who was never heard of is silent for longest. */
static int64_t
silence(const struct probe *one)
{
    return one->live ? one->silence_ns : INT64_MAX;
}

static int
worst_first(const void *a, const void *b)
{
    const struct probe *x = a, *y = b;

    if (x->level != y->level) {
        return x->level > y->level ? -1 : 1;
    }
    if (x->level == LEVEL_BAD && silence(x) != silence(y)) {
        return silence(x) > silence(y) ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

/* --- Telling ---------------------------------------------------------------- */

/* "2027-11-21". */
static const char *
day_text(int64_t ns, char *buf, size_t size)
{
    instant_format(instant_of_ns(ns), 0, buf, size);
    buf[ns ? strcspn(buf, "T") : 0] = '\0';
    return ns ? buf : "-";
}

static const char *
span_text(bool known, int64_t ns, char *buf, size_t size)
{
    return known ? span_format(span_of_ns(ns), buf, size) : "-";
}

static void
print_line(const struct probe *one)
{
    const Plumbline__Telemetry__Health *h = &one->health;
    char generation[24] = "-", silence[24], error[24], end[40];

    if (one->live && one->generation) {
        snprintf(generation, sizeof generation, "%016" PRIx64, (uint64_t)one->generation);
    }
    printf("%-16s %-8s %-10s %-16s %9s %7" PRIu64 " %8" PRIu64 " KiB  %-8s %9s  %-10s %6" PRIu64
           "  %s\n",
           one->name, level_names[one->level], one->release[0] ? one->release : "-", generation,
           span_text(one->live, one->silence_ns / NS_PER_MS * NS_PER_MS, silence, sizeof silence),
           h->spool_unsent, h->spool_bytes / 1024,
           !one->has_health        ? "-"
           : h->clock_synchronised ? "kept"
                                   : "NOT KEPT",
           span_text(h->clock_error_ns != 0, (int64_t)h->clock_error_ns, error, sizeof error),
           day_text(h->certificate_end_ns, end, sizeof end), h->kernel_drops, one->why);
}

static void
print_table(const struct probes *p)
{
    if (p->redis_why[0]) {
        printf("Redis is not there: %s; what probes say is missing\n", p->redis_why);
    }
    if (p->postgresql_why[0]) {
        printf("PostgreSQL is not there: %s; the generation in force is missing\n",
               p->postgresql_why);
    }
    printf("%-16s %-8s %-10s %-16s %9s %7s %12s  %-8s %9s  %-10s %6s  %s\n", "PROBE", "STATE",
           "RELEASE", "GENERATION", "SILENCE", "UNSENT", "SPOOL", "CLOCK", "+-", "CERTIFIED",
           "DROPS", "WHY");
    for (size_t i = 0; i < p->count; i++) {
        print_line(&p->list[i]);
    }
}

static void
add_number(cJSON *o, const char *name, bool known, int64_t value)
{
    if (known) {
        cJSON_AddNumberToObject(o, name, (double)value);
    } else {
        cJSON_AddNullToObject(o, name);
    }
}

static void
add_text(cJSON *o, const char *name, const char *text)
{
    if (*text) {
        cJSON_AddStringToObject(o, name, text);
    } else {
        cJSON_AddNullToObject(o, name);
    }
}

static cJSON *
probe_json(const struct probes *p, const struct probe *one)
{
    const Plumbline__Telemetry__Health *h = &one->health;
    cJSON *o = cJSON_CreateObject();
    char generation[24] = "", end[40] = "";

    if (one->live && one->generation) {
        snprintf(generation, sizeof generation, "%016" PRIx64, (uint64_t)one->generation);
    }
    if (h->certificate_end_ns) {
        instant_format(instant_of_ns(h->certificate_end_ns), 0, end, sizeof end);
    }
    cJSON_AddStringToObject(o, "probe", one->name);
    cJSON_AddStringToObject(o, "state", level_names[one->level]);
    cJSON_AddStringToObject(o, "why", one->why);
    add_text(o, "release", one->release);
    add_text(o, "generation", generation);
    cJSON_AddBoolToObject(o, "in_force", in_force(p, one));
    add_number(o, "silence_ms", one->live, one->silence_ns / NS_PER_MS);
    add_number(o, "spool_unsent", one->has_health, (int64_t)h->spool_unsent);
    add_number(o, "spool_bytes", one->has_health, (int64_t)h->spool_bytes);
    cJSON_AddBoolToObject(o, "disk_full", h->disk_full);
    add_number(o, "tombstones", one->has_health, (int64_t)h->tombstones);
    cJSON_AddBoolToObject(o, "clock_synchronised", h->clock_synchronised);
    add_number(o, "clock_error_ns", h->clock_error_ns != 0, (int64_t)h->clock_error_ns);
    add_text(o, "certificate_end", end);
    add_number(o, "kernel_drops", one->has_health, (int64_t)h->kernel_drops);
    add_text(o, "collector", one->collector);
    cJSON_AddBoolToObject(o, "closed", one->closed);
    return o;
}

static void
print_json(const struct probes *p)
{
    cJSON *o = cJSON_CreateObject();
    char text[40] = "";

    cJSON_AddStringToObject(o, "at", instant_format(p->now, 3, text, sizeof text));
    cJSON_AddStringToObject(o, "redis", p->redis_why[0] ? p->redis_why : "ok");
    cJSON_AddStringToObject(o, "postgresql", p->postgresql_why[0] ? p->postgresql_why : "ok");
    snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)p->generation);
    add_text(o, "generation", p->has_generation ? text : "");
    cJSON *list = cJSON_AddArrayToObject(o, "probes");
    for (size_t i = 0; i < p->count; i++) {
        cJSON_AddItemToArray(list, probe_json(p, &p->list[i]));
    }
    char *json = cJSON_Print(o);
    puts(json ? json : "{}");
    cJSON_free(json);
    cJSON_Delete(o);
}

/* --- Verb ------------------------------------------------------------------- */

static int
collect(struct probes *p)
{
    bool bad = false;

    p->now = instant_now();
    read_database(p);
    for (size_t i = 0; i < p->count && !p->redis_why[0]; i++) {
        read_live(p, &p->list[i]);
    }
    for (size_t i = 0; i < p->count; i++) {
        judge(p, &p->list[i]);
        bad = bad || p->list[i].level == LEVEL_BAD;
    }
    if (p->count) {
        qsort(p->list, p->count, sizeof p->list[0], worst_first);
    }
    (p->json ? print_json : print_table)(p);
    return p->redis_why[0] ? EXIT_UNAVAILABLE : bad ? EXIT_BAD : EXIT_GOOD;
}

static int
run(struct probes *p)
{
    int err = cli_config_load(p->config_path, stderr, &p->config);

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    int status = read_inventory(p);
    if (status == EXIT_GOOD) {
        p->live = livekeys_new(&p->config->redis);
        if (p->live) {
            status = collect(p);
        } else {
            fprintf(stderr, "plumbline probes: %s: 'redis.address: %s' is no address\n",
                    p->config_path, p->config->redis.address);
            status = EXIT_USAGE;
        }
    }
    livekeys_free(p->live);
    free(p->list);
    cli_config_free(p->config);
    return status;
}

int
cli_probes(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct probes p = {.config_path = DEFAULT_CONFIG};
    int o;

    log_set_level(LOG_LEVEL_ERROR); /* The table says what is not there. */
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'c') {
            p.config_path = optarg;
        } else if (o == 'j') {
            p.json = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline probes --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "plumbline probes: '%s' is not an option\n", argv[optind]);
        return EXIT_USAGE;
    }
    return run(&p);
}
