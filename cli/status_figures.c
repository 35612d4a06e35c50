/* status_figures.c - reads what is measured now. */
#include "status_figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "events.h"
#include "inventory.h"
#include "livekeys.h"
#include "nstime.h"

/* A session is stale when nothing newer came for three delta-t, and at least for
 * this long; a source that says nothing, too. */
#define STALE_NS (10 * NS_PER_S)

/* So many events are shown. */
#define EVENTS 10

static struct status_source *
source_of(struct status_figures *f, const char *name)
{
    for (size_t i = 0; i < f->source_count; i++) {
        if (strcmp(f->sources[i].name, name) == 0) {
            return &f->sources[i];
        }
    }
    if (f->source_count == f->source_room) {
        size_t room = f->source_room ? f->source_room * 2 : 16;
        struct status_source *more = reallocarray(f->sources, room, sizeof *more);
        if (!more) {
            return NULL;
        }
        f->sources = more;
        f->source_room = room;
    }
    struct status_source *one = &f->sources[f->source_count++];
    memset(one, 0, sizeof *one);
    snprintf(one->name, sizeof one->name, "%s", name);
    return one;
}

static void
names_of_inventory(struct status_figures *f)
{
    struct inventory *inv;
    size_t errors, warnings;

    if (!f->config->inventory ||
        inventory_load(f->config->inventory, stderr, 20, &errors, &warnings, &inv)) {
        return;
    }
    for (size_t i = 0; i < inv->probe_count; i++) {
        source_of(f, inv->probes[i].key);
    }
    inventory_free(inv);
}

static void
read_positions(struct status_figures *f)
{
    const struct pg_options options = {
        .application = "plumbline status", .connect_timeout_s = 3, .statement_timeout_ms = 5000};

    if (f->conn && PQstatus(f->conn) != CONNECTION_OK) {
        PQfinish(f->conn);
        f->conn = NULL;
    }
    f->postgresql_why[0] = '\0';
    PQclear(f->events);
    f->events = NULL;
    f->problems.known = false;
    if (!f->conn) {
        f->conn = pg_connect(&f->config->postgresql, &options, f->postgresql_why,
                             sizeof f->postgresql_why);
    }
    if (!f->conn) {
        return;
    }
    PGresult *r = pg_call(f->conn,
                          "SELECT source, position, coalesce(written_until::text, ''), "
                          "coalesce(extract(epoch FROM now() - written_until)::bigint, -1), "
                          "coalesce(collector, ''), closed FROM plumbline.source_position",
                          0, NULL);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(f->conn, r, f->postgresql_why, sizeof f->postgresql_why);
    }
    for (int i = 0; PQresultStatus(r) == PGRES_TUPLES_OK && i < PQntuples(r); i++) {
        struct status_source *one = source_of(f, PQgetvalue(r, i, 0));
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
    f->events = events_read(f->conn, EVENTS, f->postgresql_why, sizeof f->postgresql_why);
    f->problems = problem_tally_read(f->conn);
}

static struct status_line *
line_new(struct status_figures *f)
{
    if (f->line_count == f->line_room) {
        size_t room = f->line_room ? f->line_room * 2 : 64;
        struct status_line *more = reallocarray(f->lines, room, sizeof *more);
        if (!more) {
            return NULL;
        }
        f->lines = more;
        f->line_room = room;
    }
    struct status_line *l = &f->lines[f->line_count++];
    memset(l, 0, sizeof *l);
    return l;
}

static void
fill_figures(struct status_line *l, const Plumbline__Telemetry__LiveSession *m)
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
add_line(struct status_figures *f, const char *observer, const Plumbline__Telemetry__LiveSession *m,
         int64_t now_ns)
{
    struct status_line *l = line_new(f);
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
        l->state = STATUS_STALE;
    } else if (l->lost[0] + l->lost[1] + l->undirected + l->overdue > 0) {
        l->state = STATUS_LOSS;
    } else if (!m->last || m->last->flags & DT_UNKNOWN) {
        l->state = STATUS_UNKNOWN;
    }
}

static void
read_live(struct status_figures *f, struct status_source *one, const pb_live *m, int64_t now_ns)
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
        add_line(f, one->name, m->sessions[i], now_ns);
    }
}

static void
read_lives(struct status_figures *f)
{
    f->redis_why[0] = '\0';
    for (size_t i = 0; i < f->source_count && !f->redis_why[0]; i++) {
        pb_live *m = livekeys_get(f->live, f->sources[i].name);
        snprintf(f->redis_why, sizeof f->redis_why, "%s", livekeys_why(f->live));
        if (m) {
            read_live(f, &f->sources[i], m, instant_now().ns);
            plumbline__telemetry__live__free_unpacked(m, NULL);
        }
    }
}

static int
worst_first(const void *a, const void *b)
{
    const struct status_line *x = a, *y = b;
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

void
status_figures_collect(struct status_figures *f)
{
    f->source_count = f->line_count = 0;
    names_of_inventory(f);
    read_positions(f);
    read_lives(f);
    if (f->line_count) {
        qsort(f->lines, f->line_count, sizeof f->lines[0], worst_first);
    }
}

bool
status_source_is_stale(const struct status_source *one)
{
    return !one->live || one->age_ns > STALE_NS;
}

int
status_figures_verdict(const struct status_figures *f)
{
    bool bad = f->line_count == 0;

    if (f->redis_why[0] && f->postgresql_why[0]) {
        return EXIT_UNAVAILABLE;
    }
    for (size_t i = 0; i < f->line_count; i++) {
        bad = bad || f->lines[i].state != STATUS_OK;
    }
    for (size_t i = 0; i < f->source_count; i++) {
        bad = bad || status_source_is_stale(&f->sources[i]) || f->sources[i].disk_full ||
              f->sources[i].waits[0];
    }
    return bad ? EXIT_BAD : EXIT_GOOD;
}

int
status_figures_open(struct status_figures *f, const struct cli_config *config)
{
    f->config = config;
    f->live = livekeys_new(&config->redis);
    return f->live ? 0 : -EINVAL;
}

void
status_figures_close(struct status_figures *f)
{
    PQclear(f->events);
    PQfinish(f->conn);
    livekeys_free(f->live);
    free(f->sources);
    free(f->lines);
}
