/* watch_row.c - committed rows tell the windows of cells what the stream told before the claim. */
#include "watch_parts.h"

#include <errno.h>
#include <stdlib.h>

/* No interval has more delta-t. */
#define RECORDS_MAX 65536

static bool
wants_ways(enum inv_metric_kind kind)
{
    return kind == INV_FD || kind == INV_FD_MEAN || kind == INV_FDR || kind == INV_IFDV;
}

/* Which way it was lost, delta-t by delta-t, only rows of both ways say. */
static bool
counts_ways(const struct alarm_cell *c)
{
    return c->left_count &&
           (c->rule->metric.kind == INV_FLR || c->rule->metric.kind == INV_FLR_RAW);
}

int
watch_want(struct watch *w, const struct assemble_session *s, struct instant until,
           struct span most, struct watch_want *out)
{
    const struct inv_link *link = inventory_link(w->config.inventory, s->key.object);
    const struct inv_class *class_ = inventory_class(w->config.inventory, s->key.class_name);
    int err = 0;
    const struct watch_path *p =
        s->trusted && link && class_ ? watch_path(w, link, class_, &err) : NULL;

    *out = (struct watch_want){.ways = false};
    for (size_t i = 0; p && i < p->count; i++) {
        const struct alarm_cell *c = &p->cells[i].cell;
        struct span reach = alarm_reach(c, s->key.flow, s->key.dt, until);
        if (reach.ns > most.ns) { /* At least the window. */
            reach = alarm_reach(c, s->key.flow, s->key.dt, instant_of_ns(0));
        }
        if (reach.ns > 0 && reach.ns <= most.ns) {
            bool ways = wants_ways(c->rule->metric.kind) || counts_ways(c);
            out->reach = reach.ns > out->reach.ns ? reach : out->reach;
            out->ways = out->ways || (ways && !s->key.rt_only);
        }
    }
    return err;
}

/* --- A row as summaries --------------------------------------------------------------- */

/* A row that is being told, and a summary that is filled for each delta-t of it. */
struct telling {
    const struct assemble_session *session;
    const struct watch_row *row;
    bool clean;
    size_t count;
    const struct dt_record *records[DIRECTIONS]; /* NULL as in 'row'. */
    uint64_t fwd_left; /* Of what the row lost on its way there, not told yet. */
    pb_summary summary;
    struct dt_delay delays[DIRECTIONS]; /* Of the session, as 'summary'. */
};

/* The i-th of 'count' shares, which together are 'n'. */
static uint32_t
share(uint64_t n, size_t i, size_t count)
{
    return (uint32_t)(n * (i + 1) / count - n * i / count);
}

/* All delta-t of a clean row have the row's. */
static struct dt_delay
delay_of(const struct row *r)
{
    return (struct dt_delay){.count = r->delay_count,
                             .min_ns = r->delay_min_ns,
                             .range_ns = (uint64_t)(r->delay_max_ns - r->delay_min_ns),
                             .sum_ns = (uint64_t)r->delay_sum_ns -
                                       (uint64_t)r->delay_min_ns * r->delay_count,
                             .hist = r->hist,
                             .hist_size = r->hist_size,
                             .ifdv = r->ifdv,
                             .ifdv_size = r->ifdv_size};
}

static void
fill_delays(struct telling *t, size_t i)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        struct dt_delay *to = &t->delays[session_direction(&t->session->key, (enum direction)d)];
        *to = (struct dt_delay){.count = 0};
        if (t->clean && t->row->of[d]) {
            *to = delay_of(t->row->of[d]);
        } else if (t->records[d]) {
            *to = t->records[d][i].delay;
        }
    }
}

/* How much of what was lost in it was lost on the link's way there.  Without the rows of the ways
 * only the sum of the row is known. */
static uint64_t
lost_fwd(struct telling *t, size_t i)
{
    const struct dt_record *r = &t->records[DIR_RT][i], *way = t->records[DIR_FWD];
    uint64_t directed = r->lost - r->lost_undirected;
    uint64_t fwd = t->fwd_left < directed ? t->fwd_left : directed;

    if (way) {
        fwd = way[i].lost - way[i].lost_undirected;
        fwd = fwd < directed ? fwd : directed;
    }
    t->fwd_left -= fwd < t->fwd_left ? fwd : t->fwd_left;
    return fwd;
}

/* The reverse of row_split(), of what alarms go by. */
static void
fill(struct telling *t, size_t i)
{
    const struct dt_record *r = &t->records[DIR_RT][i];
    const struct row *row = t->row->of[DIR_RT];
    pb_summary *m = &t->summary;
    uint64_t directed = r->lost - r->lost_undirected, clock_ns = r->clock_error_ns;
    uint64_t fwd = lost_fwd(t, i);
    bool turned = session_direction(&t->session->key, DIR_FWD) != DIR_FWD;

    m->flags = r->flags;
    m->sent = (uint32_t)(r->sent + r->unknown);
    m->received = (uint32_t)r->received;
    m->unknown = (uint32_t)r->unknown;
    m->lost_fwd = (uint32_t)(turned ? directed - fwd : fwd);
    m->lost_bwd = (uint32_t)(turned ? fwd : directed - fwd);
    m->lost_undirected = (uint32_t)r->lost_undirected;
    m->send_errors = (uint32_t)r->send_errors;
    m->reordered_fwd = (uint32_t)r->reordered;
    m->duplicate_fwd = (uint32_t)r->duplicate;
    if (t->clean) {
        clock_ns = row->clock_error_ns;
        m->send_errors = share(row->send_errors, i, t->count);
        m->reordered_fwd = share(row->reordered, i, t->count);
        m->duplicate_fwd = share(row->duplicate, i, t->count);
    }
    m->clock_error_ns = clock_ns == UINT64_MAX ? 0 : clock_ns;
}

/* --- Telling -------------------------------------------------------------------------- */

static void
sample_of(struct watch *w, const struct inv_alarm *rule, struct telling *t, size_t i,
          struct alarm_sample *out)
{
    fill(t, i);
    if (watch_is_delay(rule)) {
        fill_delays(t, i);
        watch_sample_delays(w, rule, &t->summary, t->delays, out);
    } else {
        watch_sample_counts(rule, &t->session->key, &t->summary, out);
    }
}

/* What is not known counts in no row either. */
static bool
says_nothing(const struct dt_record *r)
{
    return r->kind == DT_ABSENT || r->kind == DT_NOT_TOLD ||
           (r->flags & (DT_UNKNOWN | DT_UNDETERMINED));
}

static int
tell_cell(struct watch *w, struct watch_cell *c, int flow, struct telling *t)
{
    const struct inv_alarm *rule = c->cell.rule;
    const struct span dt = t->session->key.dt;
    struct alarm_sample sample = {.count = 0};
    bool made = false;

    t->fwd_left = t->row->lost_fwd;
    for (size_t i = 0; i < t->count; i++) {
        const struct instant start = instant_of_ns(t->row->start.ns + (int64_t)i * dt.ns);
        if (says_nothing(&t->records[DIR_RT][i]) || instant_before(start, c->path->in_service)) {
            continue;
        }
        /* A quantile is dear, and all delta-t of a clean row have the same. */
        if (!made || !t->clean || !watch_is_delay(rule)) {
            sample = (struct alarm_sample){.count = 0};
            sample_of(w, rule, t, i, &sample);
            made = true;
        }
        sample.start = start;
        if (sample.count && alarm_take(&c->cell, flow, &sample)) {
            int err = watch_touch(w, c);
            if (err) {
                return err;
            }
        }
    }
    return 0;
}

/* 0, -EBADMSG or -ENOMEM. */
static int
open_row(struct watch *w, struct telling *t)
{
    const int64_t length_ns = (int64_t)t->row->seconds * NS_PER_S, dt_ns = t->session->key.dt.ns;
    const size_t room = (size_t)((length_ns + dt_ns - 1) / dt_ns);

    if (room > RECORDS_MAX) {
        return -EBADMSG;
    }
    if (w->record_room < room * DIRECTIONS) {
        struct dt_record *more = reallocarray(w->records, room * DIRECTIONS, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        w->records = more;
        w->record_room = room * DIRECTIONS;
    }
    for (int d = DIRECTIONS; d-- > 0;) {
        const struct row *r = t->row->of[d];
        struct dt_record *to = w->records + room * (size_t)d;
        int count =
            r && (d == DIR_RT || !t->clean) ? row_decode_dt(r->dt, r->dt_size, to, room) : 0;
        if (count < 0 || (d != DIR_RT && count && (size_t)count != t->count)) {
            return -EBADMSG;
        }
        t->count = d == DIR_RT ? (size_t)count : t->count;
        t->records[d] = count ? to : NULL;
    }
    return 0;
}

int
watch_row(struct watch *w, const struct assemble_session *s, const struct watch_row *r)
{
    struct telling t = {.session = s, .row = r, .clean = !(r->of[DIR_RT]->flags & ROW_UNCLEAN)};
    struct watch_session *ws = NULL;

    plumbline__telemetry__summary__init(&t.summary);
    int err = watch_learn(w, s, &ws);
    if (err || !ws->path) {
        return err;
    }
    err = open_row(w, &t);
    if (err) {
        if (err == -EBADMSG) {
            watch_note(w, WATCH_ROWS_BAD);
        }
        return err;
    }
    watch_note(w, WATCH_ROWS);
    for (size_t i = 0; i < ws->path->count && !err; i++) {
        struct watch_cell *c = &ws->path->cells[i];
        if (alarm_wants_rows(&c->cell, ws->flow)) {
            err = tell_cell(w, c, ws->flow, &t);
        }
    }
    return err;
}

int
watch_rows_end(struct watch *w, struct assemble *a, struct instant until)
{
    for (const struct assemble_session *s = assemble_sessions(a); s; s = s->next) {
        const struct watch_session *ws = s->index < w->session_room ? &w->sessions[s->index] : NULL;
        for (size_t i = 0; ws && ws->path && i < ws->path->count; i++) {
            alarm_told(&ws->path->cells[i].cell, ws->flow, until);
        }
    }
    return watch_decide(w);
}
