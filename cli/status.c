/* status.c - `plumbline status`: what is measured now, worst first.
 *
 * status_figures.h reads it; here it is shown, as a table or as JSON.  What could not be
 * reached is said, the rest is shown. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "config.h"
#include "events.h"
#include "log.h"
#include "nstime.h"
#include "problem.h"
#include "series.h"
#include "status_figures.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"

static const char help[] =
    "usage: plumbline status [OPTION ...]\n"
    "\n"
    "A line for each link, class and sending end, worst first, a line for each source (round\n"
    "trip and one-way delay (medians), loss each way, when it was last heard of), and the last\n"
    "events of a day: TTL and DSCP changed, large packets lost, what probes refused.  Then how\n"
    "many problems are open, and how many hooks fail, if any.  On a terminal the table refreshes;\n"
    "else it is printed once.\n"
    "\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --once             print once\n"
    "  --interval SECONDS refresh so often; default 1\n"
    "  --json             print one JSON object, once\n"
    "  --help             this text\n"
    "\n"
    "Exit status (printed once): 0 all is well, 1 loss, stale or unknown somewhere,\n"
    "2 wrong usage, 3 neither Redis nor PostgreSQL can be reached.\n"
    "\n"
    "Examples:\n"
    "  plumbline status\n"
    "  plumbline status --json | jq '.links[] | select(.state != \"ok\")'\n";

struct status {
    const char *config_path;
    bool json, once;
    double interval;
    struct status_figures figures;
};

/* By enum status_state. */
static const char *const state_names[] = {"ok", "unknown", "loss", "stale"};

/* --- Table ---------------------------------------------------------------- */

static const char *
delay_text(char *buf, size_t size, bool known, int64_t ns)
{
    if (known) {
        return span_format(span_of_ns(ns), buf, size);
    }
    return "-";
}

/* A one-way delay is shown only where the clocks can carry it: their error is at
 * most a tenth of it.  Else the bound stands in its place. */
static bool
one_way_is_trusted(const struct status_line *l, int way)
{
    int64_t ns = l->one_way_ns[way];
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    return l->has_one_way && l->clock_error_ns > 0 && l->clock_error_ns <= size / 10;
}

static const char *
one_way_text(char *buf, size_t size, const struct status_line *l, int way)
{
    char bound[24];

    if (!l->has_one_way || one_way_is_trusted(l, way)) {
        return delay_text(buf, size, l->has_one_way, l->one_way_ns[way]);
    }
    if (l->clock_error_ns == 0 || l->clock_error_ns > INT64_MAX) {
        return "+-?";
    }
    span_format(span_of_ns((int64_t)l->clock_error_ns), bound, sizeof bound);
    snprintf(buf, size, "+-%s", bound);
    return buf;
}

static const char *
loss_text(char *buf, size_t size, const struct status_line *l, int way)
{
    if (!l->has_last || l->last_sent == 0) {
        return "-";
    }
    uint64_t lost = l->lost[way] + l->undirected;
    uint64_t milli = lost * 100000 / l->last_sent;
    snprintf(buf, size, "%s%" PRIu64 ".%03" PRIu64 "%%", l->undirected ? "<=" : "", milli / 1000,
             milli % 1000);
    return buf;
}

static void
print_line(const struct status_line *l, bool colour)
{
    static const char *const colours[] = {"", "\033[33m", "\033[31m", "\033[1;31m"};
    char key[2 * SERIES_NAME_MAX + 16], rt[24], fwd[32], bwd[32], out[64], back[64], age[24];
    struct session_key k = {.flow = (uint16_t)l->flow};

    memcpy(k.object, l->object, sizeof k.object);
    memcpy(k.class_name, l->class_name, sizeof k.class_name);
    session_label(&k, key, sizeof key);
    printf("%s%-28s %-12s %9s %9s %9s %10s %10s %8s  %s%s\n", colour ? colours[l->state] : "", key,
           l->observer, delay_text(rt, sizeof rt, l->has_delay, l->rt_ns),
           one_way_text(fwd, sizeof fwd, l, 0), one_way_text(bwd, sizeof bwd, l, 1),
           loss_text(out, sizeof out, l, 0), loss_text(back, sizeof back, l, 1),
           span_format(span_of_ns(l->age_ns / NS_PER_MS * NS_PER_MS), age, sizeof age),
           l->state == STATUS_STALE ? "STALE" : state_names[l->state],
           colour && l->state ? "\033[0m" : "");
}

static void
print_source(const struct status_source *one, bool colour)
{
    char age[24], error[24], behind[32] = "-";
    bool stale = status_source_is_stale(one), bad = stale || one->disk_full || one->waits[0];

    if (one->has_position && one->written_age_s >= 0) {
        snprintf(behind, sizeof behind, "%" PRId64 " s", one->written_age_s);
    }
    printf("%s%-16s %-6s %9s %8" PRIu64 " %8" PRIu64 " KiB  %-9s %9s %10s  %s%s%s\n",
           colour && bad ? "\033[31m" : "", one->name,
           one->closed     ? "closed"
           : one->waits[0] ? "WAITS"
           : stale         ? "STALE"
                           : "live",
           one->live ? span_format(span_of_ns(one->age_ns / NS_PER_MS * NS_PER_MS), age, sizeof age)
                     : "-",
           one->spool_unsent, one->spool_bytes / 1024,
           !one->has_health          ? "-"
           : one->clock_synchronised ? "in sync"
                                     : "NOT SYNC",
           one->clock_error_ns
               ? span_format(span_of_ns((int64_t)one->clock_error_ns), error, sizeof error)
               : "-",
           behind,
           one->disk_full     ? "DISK FULL "
           : one->stream_full ? "STREAM FULL, SPOOLING "
                              : "",
           one->collector, colour && bad ? "\033[0m" : "");
    if (one->waits[0]) {
        printf("  %s waits: %s\n", one->name, one->waits);
    }
}

static void
print_table(const struct status_figures *f, bool colour)
{
    char now[40];

    printf("%s   %zu links and classes, %zu sources\n",
           instant_format(instant_now(), 0, now, sizeof now), f->line_count, f->source_count);
    if (f->redis_why[0]) {
        printf("Redis is not there: %s; live figures are missing\n", f->redis_why);
    }
    if (f->postgresql_why[0]) {
        printf("PostgreSQL is not there: %s; positions are missing\n", f->postgresql_why);
    }
    printf("\n%-28s %-12s %9s %9s %9s %10s %10s %8s  %s\n", "LINK/CLASS", "SENT BY", "RT", "FWD",
           "BWD", "LOSS FWD", "LOSS BWD", "AGE", "STATE");
    for (size_t i = 0; i < f->line_count; i++) {
        print_line(&f->lines[i], colour);
    }
    printf("\n%-16s %-6s %9s %8s %12s  %-9s %9s %10s  %s\n", "SOURCE", "STATE", "AGE", "UNSENT",
           "SPOOL", "CLOCK", "+-", "ROWS END", "COLLECTOR");
    for (size_t i = 0; i < f->source_count; i++) {
        print_source(&f->sources[i], colour);
    }
    events_print(f->events);
    if (f->problems.known) {
        problem_tally_print(&f->problems);
    }
    fflush(stdout);
}

/* --- JSON ----------------------------------------------------------------- */

static void
add_number_or_null(cJSON *o, const char *name, bool known, int64_t v)
{
    if (known) {
        cJSON_AddNumberToObject(o, name, (double)v);
    } else {
        cJSON_AddNullToObject(o, name);
    }
}

static cJSON *
line_json(const struct status_line *l)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "object", l->object);
    cJSON_AddStringToObject(o, "class", l->class_name);
    cJSON_AddNumberToObject(o, "flow", l->flow);
    cJSON_AddStringToObject(o, "observer", l->observer);
    cJSON_AddStringToObject(o, "far", l->far);
    cJSON_AddStringToObject(o, "sends", l->observer_end ? "bwd" : "fwd");
    cJSON_AddStringToObject(o, "state", state_names[l->state]);
    add_number_or_null(o, "rt_p50_ns", l->has_delay, l->rt_ns);
    add_number_or_null(o, "fwd_p50_ns", l->has_one_way, l->one_way_ns[0]);
    add_number_or_null(o, "bwd_p50_ns", l->has_one_way, l->one_way_ns[1]);
    cJSON_AddBoolToObject(o, "one_way_trusted",
                          one_way_is_trusted(l, 0) && one_way_is_trusted(l, 1));
    add_number_or_null(o, "clock_error_ns", l->clock_error_ns > 0, (int64_t)l->clock_error_ns);
    cJSON_AddNumberToObject(o, "sent", (double)l->sent);
    cJSON_AddNumberToObject(o, "received", (double)l->received);
    cJSON_AddNumberToObject(o, "overdue", (double)l->overdue);
    add_number_or_null(o, "final_sent", l->has_last, (int64_t)l->last_sent);
    add_number_or_null(o, "lost_fwd", l->has_last, (int64_t)l->lost[0]);
    add_number_or_null(o, "lost_bwd", l->has_last, (int64_t)l->lost[1]);
    add_number_or_null(o, "lost_undirected", l->has_last, (int64_t)l->undirected);
    cJSON_AddNumberToObject(o, "age_ms", (double)(l->age_ns / NS_PER_MS));
    return o;
}

static cJSON *
source_json(const struct status_source *one)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "source", one->name);
    cJSON_AddStringToObject(o, "state",
                            one->closed                   ? "closed"
                            : status_source_is_stale(one) ? "stale"
                                                          : "live");
    cJSON_AddStringToObject(o, "release", one->release);
    add_number_or_null(o, "age_ms", one->live, one->age_ns / NS_PER_MS);
    cJSON_AddStringToObject(o, "read", one->position);
    cJSON_AddStringToObject(o, "committed", one->committed);
    cJSON_AddStringToObject(o, "written_until", one->written_until);
    cJSON_AddStringToObject(o, "collector", one->collector);
    cJSON_AddStringToObject(o, "waits", one->waits);
    add_number_or_null(o, "spool_bytes", one->has_health, (int64_t)one->spool_bytes);
    add_number_or_null(o, "spool_unsent", one->has_health, (int64_t)one->spool_unsent);
    add_number_or_null(o, "tombstones", one->has_health, (int64_t)one->tombstones);
    cJSON_AddBoolToObject(o, "disk_full", one->disk_full);
    cJSON_AddBoolToObject(o, "stream_full", one->stream_full);
    cJSON_AddBoolToObject(o, "clock_synchronised", one->clock_synchronised);
    add_number_or_null(o, "clock_error_ns", one->clock_error_ns > 0, (int64_t)one->clock_error_ns);
    return o;
}

static void
print_json(const struct status_figures *f)
{
    char now[40];
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "at", instant_format(instant_now(), 3, now, sizeof now));
    cJSON_AddStringToObject(o, "redis", f->redis_why[0] ? f->redis_why : "ok");
    cJSON_AddStringToObject(o, "postgresql", f->postgresql_why[0] ? f->postgresql_why : "ok");
    cJSON *links = cJSON_AddArrayToObject(o, "links");
    for (size_t i = 0; i < f->line_count; i++) {
        cJSON_AddItemToArray(links, line_json(&f->lines[i]));
    }
    cJSON *sources = cJSON_AddArrayToObject(o, "sources");
    for (size_t i = 0; i < f->source_count; i++) {
        cJSON_AddItemToArray(sources, source_json(&f->sources[i]));
    }
    cJSON_AddItemToObject(o, "events", events_json(f->events));
    add_number_or_null(o, "problems_open", f->problems.known, f->problems.open);
    add_number_or_null(o, "problems_unacknowledged", f->problems.known, f->problems.unacknowledged);
    add_number_or_null(o, "hooks_amiss", f->problems.known, f->problems.hooks_amiss);
    char *text = cJSON_Print(o);
    if (text) {
        puts(text);
        cJSON_free(text);
    }
    cJSON_Delete(o);
}

/* --- Verb ----------------------------------------------------------------- */

static void
refresh(struct status *s)
{
    for (;;) {
        status_figures_collect(&s->figures);
        fputs("\033[H\033[J", stdout);
        print_table(&s->figures, true);
        usleep((useconds_t)(s->interval * 1000000));
    }
}

static int
run(struct status *s)
{
    struct cli_config *config;
    int err = cli_config_load(s->config_path, stderr, &config);
    int status = EXIT_UNAVAILABLE;

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    err = status_figures_open(&s->figures, config);
    if (err) {
        fprintf(stderr, "plumbline status: %s: 'redis.address: %s' is no address\n", s->config_path,
                config->redis.address);
        status = EXIT_USAGE;
    } else if (!s->once && !s->json && isatty(STDOUT_FILENO)) {
        refresh(s);
    } else {
        status_figures_collect(&s->figures);
        if (s->json) {
            print_json(&s->figures);
        } else {
            print_table(&s->figures, isatty(STDOUT_FILENO));
        }
        status = status_figures_verdict(&s->figures);
    }
    status_figures_close(&s->figures);
    cli_config_free(config);
    return status;
}

int
cli_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"once", no_argument, NULL, 'o'},
        {"interval", required_argument, NULL, 'i'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    struct status s = {.config_path = DEFAULT_CONFIG, .interval = 1};
    char *end;
    int o;

    log_set_level(LOG_LEVEL_ERROR); /* The table says what is not there. */
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            s.config_path = optarg;
            break;
        case 'o':
            s.once = true;
            break;
        case 'i':
            s.interval = strtod(optarg, &end);
            if (*end || end == optarg || !(s.interval >= 0.1 && s.interval <= 3600)) {
                fprintf(stderr, "plumbline status: --interval %s: expected 0.1 to 3600 seconds\n",
                        optarg);
                return EXIT_USAGE;
            }
            break;
        case 'j':
            s.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_GOOD;
        default:
            fputs("`plumbline status --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "plumbline status: '%s' is not an option\n", argv[optind]);
        return EXIT_USAGE;
    }
    return run(&s);
}
