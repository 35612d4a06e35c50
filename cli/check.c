/* check.c - `plumbline check`: all that is wrong in an inventory or in a
 * program's configuration, at once, and what a good inventory will cost. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "config.h"
#include "fault.h"
#include "inventory_sold.h"
#include "nstime.h"

#define SHOWN_MAX 200u

static const char help[] =
    "usage: plumbline check [OPTION ...] [INVENTORY ...]\n"
    "\n"
    "Checks inventories (each a YAML file, or a folder of them) and configurations: all\n"
    "errors at once, each with file:line:column and what was expected.  Without any\n"
    "argument: /etc/plumbline/plumbline.yaml and the inventory that it names.  A good\n"
    "inventory is answered with what it asks for: sessions, packets, rows, bytes a day.\n"
    "\n"
    "  --config FILE            check a plumbline.yaml, and the inventory that it names\n"
    "  --probe-config FILE      check a probe.yaml\n"
    "  --collector-config FILE  check a collector.yaml\n"
    "  --canonical              print the canonical form of the one inventory given\n"
    "  --json                   print one JSON object instead of text\n"
    "  --help                   this text\n"
    "\n"
    "Exit status: 0 good (warnings allowed), 2 wrong, 3 a file cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline check inventory/\n"
    "  plumbline check --json inventory.yaml | jq '.errors[] | .message'\n"
    "  plumbline check --canonical inventory/ | diff - last-release.yaml\n"
    "  plumbline check --probe-config /etc/plumbline/probe.yaml\n";

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"

/* Measured: what a clean row takes in PostgreSQL with its index, and what one
 * session's summary of one delta-t takes in a spool. */
#define ROW_SIZE 327u
#define SUMMARY_SIZE 152u

/* So long minute rows are kept, unless the operator says otherwise. */
#define KEPT_DAYS 40u

#define DAY_NS (86400 * NS_PER_S)

/* What a good inventory sets in motion. */
struct totals {
    uint64_t sessions;
    uint64_t packets_milli; /* Thousandths of a packet a second. */
    uint64_t rows_per_day, summaries_per_day;
    uint64_t largest_summaries; /* A day, of the probe that has most. */
    const char *largest;
    size_t links, tests; /* Not retired. */
};

struct check {
    bool json, canonical;
    int status;
    cJSON *faults, *inventories; /* When 'json'. */
    size_t errors, warnings;
};

static int
add_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
            const struct session_key *key, void *aux)
{
    struct totals *t = aux;
    (void)link;
    (void)class_;
    (void)end;

    t->sessions++;
    t->packets_milli += (uint64_t)(1000 * NS_PER_S / key->period.ns);
    t->summaries_per_day += (uint64_t)(DAY_NS / key->dt.ns);
    return 0;
}

static struct totals
totals_of(const struct inventory *inv)
{
    struct totals t = {0};

    for (size_t i = 0; i < inv->probe_count; i++) {
        uint64_t before = t.summaries_per_day;
        inventory_sessions(inv, inv->probes[i].key, add_session, &t);
        if (t.summaries_per_day - before > t.largest_summaries) {
            t.largest_summaries = t.summaries_per_day - before;
            t.largest = inv->probes[i].key;
        }
    }
    for (size_t i = 0; i < inv->link_count; i++) {
        bool live = inv->links[i].state != INV_RETIRED;
        t.links += live && !inv->links[i].attachment;
        t.tests += live && inv->links[i].attachment;
    }
    t.rows_per_day = t.sessions * DIRECTIONS * (uint64_t)(DAY_NS / inv->interval.ns);
    return t;
}

/* "33.9 MB", three digits or so. */
static const char *
bytes_text(uint64_t bytes, char *buf, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    uint64_t tenths = bytes * 10;
    size_t unit = 0;

    while (tenths >= 10000 && unit + 1 < sizeof units / sizeof units[0]) {
        tenths = (tenths + 500) / 1000;
        unit++;
    }
    snprintf(buf, size, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
    return buf;
}

static void
print_volume(FILE *to, const struct totals *t)
{
    char day[24], kept[24], spool[24], one[24];

    if (t->sessions == 0) {
        return;
    }
    fprintf(to, "  PostgreSQL: %s a day (rows of about %u B), %s in %u days\n",
            bytes_text(t->rows_per_day * ROW_SIZE, day, sizeof day), ROW_SIZE,
            bytes_text(t->rows_per_day * ROW_SIZE * KEPT_DAYS, kept, sizeof kept), KEPT_DAYS);
    fprintf(to, "  spools: %s a day (summaries of about %u B), at most %s at one probe (%s)\n",
            bytes_text(t->summaries_per_day * SUMMARY_SIZE, spool, sizeof spool), SUMMARY_SIZE,
            bytes_text(t->largest_summaries * SUMMARY_SIZE, one, sizeof one), t->largest);
}

static void
add_fault_json(cJSON *list, const struct fault *f)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "file", f->at.file ? fault_file_name(f->at.file) : "");
    cJSON_AddNumberToObject(o, "line", f->at.line);
    cJSON_AddNumberToObject(o, "column", f->at.column);
    cJSON_AddStringToObject(o, "severity", f->severity == FAULT_ERROR ? "error" : "warning");
    cJSON_AddStringToObject(o, "message", f->message);
    cJSON_AddItemToArray(list, o);
}

static void
add_inventory_json(cJSON *list, const char *path, const struct inventory *inv)
{
    struct totals t = totals_of(inv);
    char generation[24];
    cJSON *o = cJSON_CreateObject();

    snprintf(generation, sizeof generation, "%016" PRIx64, (uint64_t)inv->generation);
    cJSON_AddStringToObject(o, "path", path);
    cJSON_AddStringToObject(o, "generation", generation);
    cJSON_AddNumberToObject(o, "sites", (double)inv->site_count);
    cJSON_AddNumberToObject(o, "probes", (double)inv->probe_count);
    cJSON_AddNumberToObject(o, "classes", (double)inv->class_count);
    cJSON_AddNumberToObject(o, "links", (double)t.links);
    cJSON_AddNumberToObject(o, "tests", (double)t.tests);
    cJSON_AddNumberToObject(o, "tenants", (double)inv->tenant_count);
    cJSON_AddNumberToObject(o, "services", (double)inv->service_count);
    cJSON_AddNumberToObject(o, "sessions", (double)t.sessions);
    cJSON_AddNumberToObject(o, "packets_per_second", (double)t.packets_milli / 1000);
    cJSON_AddNumberToObject(o, "rows_per_day", (double)t.rows_per_day);
    cJSON_AddNumberToObject(o, "postgresql_bytes_per_day", (double)(t.rows_per_day * ROW_SIZE));
    cJSON_AddNumberToObject(o, "summaries_per_day", (double)t.summaries_per_day);
    cJSON_AddNumberToObject(o, "spool_bytes_per_day", (double)(t.summaries_per_day * SUMMARY_SIZE));
    cJSON_AddNumberToObject(o, "spool_bytes_per_day_of_largest",
                            (double)(t.largest_summaries * SUMMARY_SIZE));
    cJSON_AddItemToArray(list, o);
}

static const char *
plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void
print_verdict(const struct check *c, const char *path, const struct faults *faults,
              const struct inventory *inv)
{
    FILE *to = faults_errors(faults) || c->canonical ? stderr : stdout;
    size_t errors = faults_errors(faults), warnings = faults_warnings(faults);
    struct totals t = {0};

    fprintf(to, "%s: ", path);
    if (errors) {
        fprintf(to, "%zu error%s", errors, plural(errors));
    } else if (inv) {
        t = totals_of(inv);
        fprintf(to, "good: %zu site%s, %zu probe%s, %zu link%s, ", inv->site_count,
                plural(inv->site_count), inv->probe_count, plural(inv->probe_count), t.links,
                plural(t.links));
        if (t.tests) {
            fprintf(to, "%zu test%s, ", t.tests, plural(t.tests));
        }
        fprintf(to, "%" PRIu64 " session%s, %" PRIu64 ".%03u packets/s, %" PRIu64 " rows/day",
                t.sessions, plural(t.sessions), t.packets_milli / 1000,
                (unsigned)(t.packets_milli % 1000), t.rows_per_day);
    } else {
        fputs("good", to);
    }
    if (warnings) {
        fprintf(to, ", %zu warning%s", warnings, plural(warnings));
    }
    fputc('\n', to);
    print_volume(to, &t);
}

/* Tells what was found in 'path', and takes 'faults'. */
static void
finish(struct check *c, const char *path, int err, struct faults *faults,
       const struct inventory *inv)
{
    c->errors += faults_errors(faults);
    c->warnings += faults_warnings(faults);
    if (faults_errors(faults)) {
        int status = err == 0 || err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        c->status = c->status > status ? c->status : status;
    }
    if (c->json) {
        size_t count;
        const struct fault *all = faults_sorted(faults, &count);
        for (size_t i = 0; i < count; i++) {
            add_fault_json(c->faults, &all[i]);
        }
        if (inv) {
            add_inventory_json(c->inventories, path, inv);
        }
    } else {
        faults_print(faults, stderr, SHOWN_MAX);
        print_verdict(c, path, faults, inv);
    }
    faults_free(faults);
}

static void
check_inventory(struct check *c, const char *path)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    int err = inventory_load_into(faults, path, &inv);

    finish(c, path, err, faults, inv);
    if (inv && c->canonical && inventory_print(inv, stdout) != 0) {
        fputs("plumbline check: the canonical form could not be written\n", stderr);
        c->status = EXIT_UNAVAILABLE;
    }
    inventory_free(inv);
}

static void
check_probe_config(struct check *c, const char *path)
{
    struct faults *faults = faults_new();
    struct probe_config *config = NULL;

    finish(c, path, probe_config_load_into(path, faults, &config), faults, NULL);
    probe_config_free(config);
}

static void
check_collector_config(struct check *c, const char *path)
{
    struct faults *faults = faults_new();
    struct collector_config *config = NULL;

    finish(c, path, collector_config_load_into(path, faults, &config), faults, NULL);
    collector_config_free(config);
}

static void
check_cli_config(struct check *c, const char *path)
{
    struct faults *faults = faults_new();
    struct cli_config *config = NULL;

    finish(c, path, cli_config_load_into(path, faults, &config), faults, NULL);
    if (config && config->inventory) {
        check_inventory(c, config->inventory);
    }
    cli_config_free(config);
}

static void
print_json(struct check *c)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddBoolToObject(o, "ok", c->errors == 0);
    cJSON_AddNumberToObject(o, "error_count", (double)c->errors);
    cJSON_AddNumberToObject(o, "warning_count", (double)c->warnings);
    cJSON_AddItemToObject(o, "errors", c->faults);
    cJSON_AddItemToObject(o, "inventories", c->inventories);
    char *text = cJSON_Print(o);
    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(o);
}

static int
usage_error(const char *what)
{
    fprintf(stderr, "plumbline check: %s\n`plumbline check --help` shows options and examples.\n",
            what);
    return EXIT_USAGE;
}

enum { OPT_CONFIG = 256, OPT_PROBE, OPT_COLLECTOR, OPT_CANONICAL, OPT_JSON };

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"probe-config", required_argument, NULL, OPT_PROBE},
    {"collector-config", required_argument, NULL, OPT_COLLECTOR},
    {"canonical", no_argument, NULL, OPT_CANONICAL},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* First the switches, then, once they are known, the files in their order. */
static int
run(struct check *c, int argc, char **argv, bool *any)
{
    int opt;

    optind = 1;
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        *any = *any || opt == OPT_CONFIG || opt == OPT_PROBE || opt == OPT_COLLECTOR;
        if (opt == OPT_CONFIG) {
            check_cli_config(c, optarg);
        } else if (opt == OPT_PROBE) {
            check_probe_config(c, optarg);
        } else if (opt == OPT_COLLECTOR) {
            check_collector_config(c, optarg);
        }
    }
    for (int i = optind; i < argc; i++) {
        *any = true;
        check_inventory(c, argv[i]);
    }
    if (!*any) {
        check_cli_config(c, DEFAULT_CONFIG);
    }
    return c->status;
}

int
cli_check(int argc, char **argv)
{
    struct check c = {.status = EXIT_GOOD};
    int opt;
    bool any = false, config = false;

    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (opt) {
        case OPT_CANONICAL:
            c.canonical = true;
            break;
        case OPT_JSON:
            c.json = true;
            break;
        case OPT_CONFIG:
        case OPT_PROBE:
        case OPT_COLLECTOR:
            config = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_GOOD;
        default:
            return usage_error("unknown option, or an argument is missing");
        }
    }
    if (c.canonical && (c.json || config || argc - optind != 1)) {
        return usage_error("--canonical takes one inventory, and no other option");
    }
    if (c.json) {
        c.faults = cJSON_CreateArray();
        c.inventories = cJSON_CreateArray();
    }
    run(&c, argc, argv, &any);
    if (c.json) {
        print_json(&c);
    }
    if (fflush(stdout) != 0) {
        return EXIT_UNAVAILABLE;
    }
    return c.status;
}
