/* status.c - `plumbline status`: what is measured now, worst first.
 *
 * Live figures come from the keys that collectors write to Redis, positions from
 * PostgreSQL; what cannot be reached is said, the rest is shown. */
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
#include "inventory.h"
#include "livekeys.h"
#include "log.h"
#include "nstime.h"
#include "pg.h"
#include "problem.h"
#include "series.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"

/* A session is stale when nothing newer came for three delta-t, and at least for
 * this long; a source that says nothing, too. */
#define STALE_NS (10 * NS_PER_S)

/* So many events are shown. */
#define EVENTS 10

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

enum state { STATE_OK, STATE_UNKNOWN, STATE_LOSS, STATE_STALE };

static const char *const state_names[] = {"ok", "unknown", "loss", "stale"};

struct line {
    char object[SERIES_NAME_MAX + 1], class_name[SERIES_NAME_MAX + 1];
    char observer[SERIES_NAME_MAX + 1], far[SERIES_NAME_MAX + 1];
    unsigned flow, observer_end;
    enum state state;
    bool has_delay, has_one_way;
    int64_t rt_ns, one_way_ns[2];     /* Medians; one-way in the link's frame: fwd, bwd. */
    uint64_t sent, received, overdue; /* Of the newest delta-t that just ended. */
    bool has_last;
    uint64_t last_sent, lost[2], undirected; /* Of the newest final one; link's frame. */
    uint64_t clock_error_ns;
    int64_t age_ns;
};

struct source {
    char name[SERIES_NAME_MAX + 1];
    char release[32], position[48], committed[48], written_until[40], collector[64];
    char waits[128]; /* Why no collector takes more of it; empty: they do. */
    bool live, has_health, has_position, closed;
    int64_t age_ns, written_age_s;
    uint64_t spool_bytes, spool_unsent, tombstones, clock_error_ns;
    bool disk_full, stream_full, clock_synchronised;
};

struct status {
    struct cli_config *config;
    const char *config_path;
    bool json, once;
    double interval;
    struct livekeys *live;
    PGconn *conn;
    char redis_why[256], postgresql_why[512];
    struct source *sources;
    size_t source_count, source_room;
    struct line *lines;
    size_t line_count, line_room;
    PGresult *events; /* NULL: none could be read. */
    struct problem_tally problems;
};

/* --- Collecting ----------------------------------------------------------- */

static struct source *
source_of(struct status *s, const char *name)
{
    for (size_t i = 0; i < s->source_count; i++) {
        if (strcmp(s->sources[i].name, name) == 0) {
            return &s->sources[i];
        }
    }
    if (s->source_count == s->source_room) {
        size_t room = s->source_room ? s->source_room * 2 : 16;
        struct source *more = reallocarray(s->sources, room, sizeof *more);
        if (!more) {
            return NULL;
        }
        s->sources = more;
        s->source_room = room;
    }
    struct source *one = &s->sources[s->source_count++];
    memset(one, 0, sizeof *one);
    snprintf(one->name, sizeof one->name, "%s", name);
    return one;
}

static void
names_of_inventory(struct status *s)
{
    struct inventory *inv;
    size_t errors, warnings;

    if (!s->config->inventory ||
        inventory_load(s->config->inventory, stderr, 20, &errors, &warnings, &inv)) {
        return;
    }
    for (size_t i = 0; i < inv->probe_count; i++) {
        source_of(s, inv->probes[i].key);
    }
    inventory_free(inv);
}

static void
read_positions(struct status *s)
{
    const struct pg_options options = {
        .application = "plumbline status", .connect_timeout_s = 3, .statement_timeout_ms = 5000};

    if (s->conn && PQstatus(s->conn) != CONNECTION_OK) {
        PQfinish(s->conn);
        s->conn = NULL;
    }
    s->postgresql_why[0] = '\0';
    PQclear(s->events);
    s->events = NULL;
    s->problems.known = false;
    if (!s->conn) {
        s->conn = pg_connect(&s->config->postgresql, &options, s->postgresql_why,
                             sizeof s->postgresql_why);
    }
    if (!s->conn) {
        return;
    }
    PGresult *r = pg_call(s->conn,
                          "SELECT source, position, coalesce(written_until::text, ''), "
                          "coalesce(extract(epoch FROM now() - written_until)::bigint, -1), "
                          "coalesce(collector, ''), closed FROM plumbline.source_position",
                          0, NULL);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(s->conn, r, s->postgresql_why, sizeof s->postgresql_why);
    }
    for (int i = 0; PQresultStatus(r) == PGRES_TUPLES_OK && i < PQntuples(r); i++) {
        struct source *one = source_of(s, PQgetvalue(r, i, 0));
        if (one) {
            snprintf(one->committed, sizeof one->committed, "%s", PQgetvalue(r, i, 1));
            snprintf(one->written_until, sizeof one->written_until, "%s", PQgetvalue(r, i, 2));
            one->written_age_s = strtoll(PQgetvalue(r, i, 3), NULL, 10);
            snprintf(one->collector, sizeof one->collector, "%s", PQgetvalue(r, i, 4));
            one->closed = PQgetvalue(r, i, 5)[0] == 't';
            one->has_position = true;
        }
    }
    PQclear(r);
    s->events = events_read(s->conn, EVENTS, s->postgresql_why, sizeof s->postgresql_why);
    s->problems = problem_tally_read(s->conn);
}

static struct line *
line_new(struct status *s)
{
    if (s->line_count == s->line_room) {
        size_t room = s->line_room ? s->line_room * 2 : 64;
        struct line *more = reallocarray(s->lines, room, sizeof *more);
        if (!more) {
            return NULL;
        }
        s->lines = more;
        s->line_room = room;
    }
    struct line *l = &s->lines[s->line_count++];
    memset(l, 0, sizeof *l);
    return l;
}

static void
fill_figures(struct line *l, const Plumbline__Telemetry__LiveSession *m)
{
    /* A session's fwd is the link's fwd only when its first end sends. */
    unsigned fwd = m->observer_end ? 1 : 0, bwd = 1 - fwd;

    if (m->early) {
        l->sent = m->early->sent;
        l->received = m->early->received;
        l->overdue = m->early->overdue;
        l->clock_error_ns = m->early->clock_error_ns;
        l->has_delay = m->early->received > 0;
        l->has_one_way = l->has_delay && (m->early->fwd_p50_ns || m->early->bwd_p50_ns);
        l->rt_ns = m->early->rt_p50_ns;
        l->one_way_ns[fwd] = m->early->fwd_p50_ns;
        l->one_way_ns[bwd] = m->early->bwd_p50_ns;
    }
    if (m->last) {
        l->has_last = true;
        l->last_sent = m->last->sent;
        l->lost[fwd] = m->last->lost_fwd;
        l->lost[bwd] = m->last->lost_bwd;
        l->undirected = m->last->lost_undirected;
    }
}

static void
add_line(struct status *s, const char *observer, const Plumbline__Telemetry__LiveSession *m,
         int64_t now_ns)
{
    struct line *l = line_new(s);
    int64_t dt = (int64_t)m->dt_ns, newest = 0;

    if (!l) {
        return;
    }
    snprintf(l->object, sizeof l->object, "%s", m->object);
    snprintf(l->class_name, sizeof l->class_name, "%s", m->class_name);
    snprintf(l->observer, sizeof l->observer, "%s", observer);
    snprintf(l->far, sizeof l->far, "%s", m->far);
    l->flow = m->flow;
    l->observer_end = m->observer_end;
    fill_figures(l, m);
    if (m->early) {
        newest = (int64_t)(m->early->dt_number + 1) * dt;
    }
    if (m->last && (int64_t)(m->last->dt_number + 1) * dt > newest) {
        newest = (int64_t)(m->last->dt_number + 1) * dt;
    }
    l->age_ns = now_ns - newest;
    int64_t limit = 3 * dt > STALE_NS ? 3 * dt : STALE_NS;
    if (l->age_ns > limit) {
        l->state = STATE_STALE;
    } else if (l->lost[0] + l->lost[1] + l->undirected + l->overdue > 0) {
        l->state = STATE_LOSS;
    } else if (!m->last || m->last->flags & DT_UNKNOWN) {
        l->state = STATE_UNKNOWN;
    }
}

static void
read_live(struct status *s, struct source *one, const pb_live *m, int64_t now_ns)
{
    one->live = true;
    one->age_ns = now_ns - m->source_at_ns;
    snprintf(one->release, sizeof one->release, "%s", m->release);
    snprintf(one->position, sizeof one->position, "%s", m->position);
    snprintf(one->waits, sizeof one->waits, "%s", m->waits);
    if (m->health) {
        one->has_health = true;
        one->spool_bytes = m->health->spool_bytes;
        one->spool_unsent = m->health->spool_unsent;
        one->disk_full = m->health->disk_full;
        one->stream_full = m->health->stream_full;
        one->tombstones = m->health->tombstones;
        one->clock_synchronised = m->health->clock_synchronised;
        one->clock_error_ns = m->health->clock_error_ns;
    }
    for (size_t i = 0; i < m->n_sessions; i++) {
        add_line(s, one->name, m->sessions[i], now_ns);
    }
}

static void
read_lives(struct status *s)
{
    s->redis_why[0] = '\0';
    for (size_t i = 0; i < s->source_count && !s->redis_why[0]; i++) {
        pb_live *m = livekeys_get(s->live, s->sources[i].name);
        snprintf(s->redis_why, sizeof s->redis_why, "%s", livekeys_why(s->live));
        if (m) {
            read_live(s, &s->sources[i], m, instant_now().ns);
            plumbline__telemetry__live__free_unpacked(m, NULL);
        }
    }
}

static int
worst_first(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    uint64_t lost_x = x->lost[0] + x->lost[1] + x->undirected;
    uint64_t lost_y = y->lost[0] + y->lost[1] + y->undirected;
    /* Compared as ratios, without dividing. */
    uint64_t left = lost_x * (y->last_sent ? y->last_sent : 1);
    uint64_t right = lost_y * (x->last_sent ? x->last_sent : 1);

    if (x->state != y->state) {
        return x->state > y->state ? -1 : 1;
    }
    if (left != right) {
        return left > right ? -1 : 1;
    }
    int order = strcmp(x->object, y->object);
    order = order ? order : strcmp(x->class_name, y->class_name);
    order = order ? order : (int)x->flow - (int)y->flow;
    return order ? order : (int)x->observer_end - (int)y->observer_end;
}

static void
collect(struct status *s)
{
    s->source_count = s->line_count = 0;
    names_of_inventory(s);
    read_positions(s);
    read_lives(s);
    if (s->line_count) {
        qsort(s->lines, s->line_count, sizeof s->lines[0], worst_first);
    }
}

static bool
source_is_stale(const struct source *one)
{
    return !one->live || one->age_ns > STALE_NS;
}

static int
verdict(const struct status *s)
{
    bool bad = s->line_count == 0;

    if (s->redis_why[0] && s->postgresql_why[0]) {
        return EXIT_UNAVAILABLE;
    }
    for (size_t i = 0; i < s->line_count; i++) {
        bad = bad || s->lines[i].state != STATE_OK;
    }
    for (size_t i = 0; i < s->source_count; i++) {
        bad = bad || source_is_stale(&s->sources[i]) || s->sources[i].disk_full ||
              s->sources[i].waits[0];
    }
    return bad ? EXIT_BAD : EXIT_GOOD;
}

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
one_way_is_trusted(const struct line *l, int way)
{
    int64_t ns = l->one_way_ns[way];
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    return l->has_one_way && l->clock_error_ns > 0 && l->clock_error_ns <= size / 10;
}

static const char *
one_way_text(char *buf, size_t size, const struct line *l, int way)
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
loss_text(char *buf, size_t size, const struct line *l, int way)
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
print_line(const struct line *l, bool colour)
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
           l->state == STATE_STALE ? "STALE" : state_names[l->state],
           colour && l->state ? "\033[0m" : "");
}

static void
print_source(const struct source *one, bool colour)
{
    char age[24], error[24], behind[32] = "-";
    bool stale = source_is_stale(one), bad = stale || one->disk_full || one->waits[0];

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
print_table(const struct status *s, bool colour)
{
    char now[40];

    printf("%s   %zu links and classes, %zu sources\n",
           instant_format(instant_now(), 0, now, sizeof now), s->line_count, s->source_count);
    if (s->redis_why[0]) {
        printf("Redis is not there: %s; live figures are missing\n", s->redis_why);
    }
    if (s->postgresql_why[0]) {
        printf("PostgreSQL is not there: %s; positions are missing\n", s->postgresql_why);
    }
    printf("\n%-28s %-12s %9s %9s %9s %10s %10s %8s  %s\n", "LINK/CLASS", "SENT BY", "RT", "FWD",
           "BWD", "LOSS FWD", "LOSS BWD", "AGE", "STATE");
    for (size_t i = 0; i < s->line_count; i++) {
        print_line(&s->lines[i], colour);
    }
    printf("\n%-16s %-6s %9s %8s %12s  %-9s %9s %10s  %s\n", "SOURCE", "STATE", "AGE", "UNSENT",
           "SPOOL", "CLOCK", "+-", "ROWS END", "COLLECTOR");
    for (size_t i = 0; i < s->source_count; i++) {
        print_source(&s->sources[i], colour);
    }
    events_print(s->events);
    if (s->problems.known) {
        problem_tally_print(&s->problems);
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
line_json(const struct line *l)
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
source_json(const struct source *one)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "source", one->name);
    cJSON_AddStringToObject(o, "state",
                            one->closed            ? "closed"
                            : source_is_stale(one) ? "stale"
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
print_json(const struct status *s)
{
    char now[40];
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "at", instant_format(instant_now(), 3, now, sizeof now));
    cJSON_AddStringToObject(o, "redis", s->redis_why[0] ? s->redis_why : "ok");
    cJSON_AddStringToObject(o, "postgresql", s->postgresql_why[0] ? s->postgresql_why : "ok");
    cJSON *links = cJSON_AddArrayToObject(o, "links");
    for (size_t i = 0; i < s->line_count; i++) {
        cJSON_AddItemToArray(links, line_json(&s->lines[i]));
    }
    cJSON *sources = cJSON_AddArrayToObject(o, "sources");
    for (size_t i = 0; i < s->source_count; i++) {
        cJSON_AddItemToArray(sources, source_json(&s->sources[i]));
    }
    cJSON_AddItemToObject(o, "events", events_json(s->events));
    add_number_or_null(o, "problems_open", s->problems.known, s->problems.open);
    add_number_or_null(o, "problems_unacknowledged", s->problems.known, s->problems.unacknowledged);
    add_number_or_null(o, "hooks_amiss", s->problems.known, s->problems.hooks_amiss);
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
        collect(s);
        fputs("\033[H\033[J", stdout);
        print_table(s, true);
        usleep((useconds_t)(s->interval * 1000000));
    }
}

static int
run(struct status *s)
{
    int err = cli_config_load(s->config_path, stderr, &s->config);
    int status = EXIT_UNAVAILABLE;

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    s->live = livekeys_new(&s->config->redis);
    if (!s->live) {
        fprintf(stderr, "plumbline status: %s: 'redis.address: %s' is no address\n", s->config_path,
                s->config->redis.address);
        status = EXIT_USAGE;
    } else if (!s->once && !s->json && isatty(STDOUT_FILENO)) {
        refresh(s);
    } else {
        collect(s);
        if (s->json) {
            print_json(s);
        } else {
            print_table(s, isatty(STDOUT_FILENO));
        }
        status = verdict(s);
    }
    PQclear(s->events);
    PQfinish(s->conn);
    livekeys_free(s->live);
    free(s->sources);
    free(s->lines);
    cli_config_free(s->config);
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
