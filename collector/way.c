/* way.c - from measured intervals to decided delta-t, and to the lines that count them. */
#include "way.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "together.h"

/* --- What it consists of -------------------------------------------------- */

struct collecting {
    struct way *way;
    bool failed;
};

static int
on_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
           const struct session_key *key, void *aux)
{
    struct collecting *c = aux;
    struct way *w = c->way;

    (void)link;
    (void)class_;
    struct way_series *more =
        realloc(w->series, (w->series_count + DIRECTIONS) * sizeof *w->series);
    if (!more) {
        return -ENOMEM;
    }
    w->series = more;
    for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
        if (d != DIR_RT && key->rt_only) {
            continue;
        }
        w->used[d] = true;
        w->series[w->series_count++] = (struct way_series){.series_id = series_id_of(key, d),
                                                           .source_id = source_id_of(key->observer),
                                                           .way = w,
                                                           .direction = d,
                                                           .flow = key->flow,
                                                           .witness = end == 1};
    }
    return 0;
}

static int64_t
limit_id(const struct series_limit *l)
{
    char text[64];
    int length = snprintf(text, sizeof text, "limit|%d|%s|%" PRId64, (int)l->metric,
                          direction_name(l->direction), l->limit.ns);

    return id_of_text(text, (size_t)length);
}

static void
take_limits(struct way *w)
{
    for (unsigned i = 0; i < w->class_->limit_count && i < SERIES_LIMITS_MAX; i++) {
        w->limits[w->limit_count++] = w->class_->limits[i];
    }
    for (size_t i = 0; i < w->link->limit_count && w->limit_count < SERIES_LIMITS_MAX; i++) {
        if (w->link->limits[i].class_ == w->class_) {
            w->limits[w->limit_count++] = w->link->limits[i].limit;
        }
    }
    for (unsigned i = 0; i < w->limit_count; i++) {
        w->limit_ids[i] = limit_id(&w->limits[i]);
    }
}

static struct line *
line_of(const struct way *w, enum line_scope kind, const char *scope, enum direction d)
{
    struct line *l = line_new(kind, scope, w->link->key, w->class_->key, d);

    if (l) {
        l->dt = w->class_->dt;
        l->params = (struct availability_params){.n = w->class_->n, .c_milli = w->class_->c_milli};
        l->config.p = w->class_->p;
        l->config.ifdv = w->class_->ifdv;
        for (unsigned i = 0; i < w->limit_count && i < SERIES_LIMITS_MAX; i++) {
            l->config.ifdv_limits |= (w->limits[i].metric == LIMIT_IFDV ? 1u : 0u) << i;
        }
        l->limit_ids = w->limit_ids;
        l->limit_count = w->limit_count;
        l->in_service = w->link->in_service;
    }
    return l;
}

struct way *
way_new(const struct inventory *inv, const struct inv_link *link, const struct inv_class *class_)
{
    struct way *w = calloc(1, sizeof *w);

    if (!w) {
        return NULL;
    }
    w->link = link;
    w->class_ = class_;
    w->interval = inv->interval;
    w->dt_count = (uint32_t)(inv->interval.ns / class_->dt.ns);
    w->next = instant_of_ns(-1);
    struct collecting c = {.way = w};
    int err = 0;
    for (unsigned end = 0; end < 2 && !err; end++) {
        err = inventory_link_sessions(link, class_, end, on_session, &c);
    }
    take_limits(w);
    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        if (w->used[d] && !(w->lines[d] = line_of(w, LINE_LINK, link->key, d))) {
            err = -ENOMEM;
        }
    }
    if (err) {
        way_free(w);
        w = NULL;
    }
    return w;
}

void
way_free(struct way *w)
{
    if (w) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            while (w->lines[d]) {
                struct line *l = w->lines[d];
                w->lines[d] = l->next;
                line_free(l);
            }
        }
        free(w->series);
        free(w->states.states);
        free(w);
    }
}

struct line *
way_add_line(struct way *w, enum direction d, const char *service)
{
    struct line *l = line_of(w, LINE_SERVICE, service, d), **at = &w->lines[d];

    while (l && *at) {
        at = &(*at)->next;
    }
    if (l) {
        *at = l;
    }
    return l;
}

unsigned
way_intervals_needed(const struct way *w)
{
    return 1 + (w->class_->n + w->dt_count - 2) / w->dt_count;
}

/* --- States that others need ---------------------------------------------- */

int
way_states_add(struct way_states *s, struct instant start, const uint8_t *states, size_t count,
               struct span dt)
{
    if (s->count == 0) {
        s->start = start;
    }
    assert(s->start.ns + (int64_t)s->count * dt.ns == start.ns);
    if (s->count + count > s->room) {
        size_t room = 2 * (s->count + count);
        uint8_t *more = realloc(s->states, room);
        if (!more) {
            return -ENOMEM;
        }
        s->states = more;
        s->room = room;
    }
    memcpy(s->states + s->count, states, count);
    s->count += count;
    return 0;
}

void
way_states_trim(struct way_states *s, struct instant from, struct span dt)
{
    size_t gone = from.ns > s->start.ns ? (size_t)((from.ns - s->start.ns) / dt.ns) : 0;

    if (gone >= s->count) {
        s->count = 0;
    } else if (gone) {
        memmove(s->states, s->states + gone, s->count - gone);
        s->count -= gone;
        s->start = instant_of_ns(s->start.ns + (int64_t)gone * dt.ns);
    }
}

/* --- A step --------------------------------------------------------------- */

/* A(k) of 'count' intervals into 'out'; returns how many delta-t are decided. */
static size_t
decide(const struct way *w, enum direction d, struct measured *const *measured, unsigned count,
       uint8_t *out)
{
    const struct availability_params params = {.n = w->class_->n, .c_milli = w->class_->c_milli};
    struct availability a = availability_begin(w->available[d]);
    size_t decided = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct measured_dt *dt = measured_dts(measured[i]);
        uint64_t flip, done, at = 0;
        if (measured_is_clean(measured[i])) {
            bool was = a.available;
            done = availability_add(&a, params, AVAILABILITY_GOOD, w->dt_count, &flip);
            memset(out + decided, was, flip);
            memset(out + decided + flip, a.available, done - flip);
            decided += done;
            continue;
        }
        for (; at < w->dt_count; at++) {
            bool was = a.available;
            enum availability_input input =
                dt[at].flags & MEASURED_UNDETERMINED
                    ? AVAILABILITY_NONE
                    : availability_input(params, dt[at].sent, dt[at].lost);
            done = availability_add(&a, params, input, 1, &flip);
            memset(out + decided, was, flip);
            memset(out + decided + flip, a.available, done - flip);
            decided += done;
        }
    }
    return decided;
}

/* Both ways of one interval: each must be available. */
static int
keep_states(struct way *w, struct measured *const measured[DIRECTIONS][WAY_INTERVALS_MAX],
            uint8_t *const available[DIRECTIONS], unsigned interval, struct instant start)
{
    const uint8_t *parts[2];
    size_t part_count = 0;
    uint8_t *states[DIRECTIONS] = {NULL};
    int err = 0;

    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        /* The round trip says nothing that its ways do not, unless it is all there is. */
        if (!w->used[d] || (d == DIR_RT && w->used[DIR_FWD])) {
            continue;
        }
        const struct measured_dt *dt = measured_dts(measured[d][interval]);
        states[d] = malloc(w->dt_count);
        if (!states[d]) {
            err = -ENOMEM;
            break;
        }
        for (uint32_t i = 0; i < w->dt_count; i++) {
            states[d][i] =
                (uint8_t)((available[d][interval * w->dt_count + i] ? TOGETHER_AVAILABLE : 0) |
                          (dt[i].flags & MEASURED_UNDETERMINED ? TOGETHER_UNDETERMINED : 0));
        }
        parts[part_count++] = states[d];
    }
    if (!err && part_count) {
        uint8_t *out = states[w->used[DIR_FWD] ? DIR_FWD : DIR_RT];
        together(parts, part_count, part_count, w->dt_count, out);
        err = way_states_add(&w->states, start, out, w->dt_count, w->class_->dt);
    }
    for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
        free(states[d]);
    }
    return err;
}

/* Lines that begin later than this interval pass it over. */
static int
feed(struct way *w, enum direction d, const struct measured *m, const uint8_t *available,
     struct instant start)
{
    int err = 0;

    for (struct line *l = w->lines[d]; l && !err; l = l->next) {
        if (l->quarter.ns >= 0 && l->until.ns == start.ns) {
            err = line_add(l, start, m, available);
        }
    }
    return err;
}

int
way_step(struct way *w, struct measured *const measured[DIRECTIONS][WAY_INTERVALS_MAX],
         unsigned count)
{
    uint8_t *available[DIRECTIONS] = {NULL};
    size_t decided = (size_t)count * w->dt_count;
    unsigned done = 0;
    int err = 0;

    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        if (w->used[d]) {
            available[d] = malloc((size_t)count * w->dt_count);
            err = available[d] ? 0 : -ENOMEM;
        }
        if (available[d]) {
            size_t n = decide(w, d, measured[d], count, available[d]);
            decided = n < decided ? n : decided;
        }
    }
    /* The lines' quarter hours end where an interval does: whoever stores them is asked in between.
     */
    for (; !err && done < decided / w->dt_count; done++) {
        struct instant start = w->next;
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            if (w->used[d]) {
                err =
                    feed(w, d, measured[d][done], available[d] + (size_t)done * w->dt_count, start);
                w->available[d] = available[d][(size_t)(done + 1) * w->dt_count - 1];
            }
        }
        if (!err && w->users) {
            err = keep_states(w, measured, available, done, start);
        }
        w->next = instant_add(start, w->interval);
        if (!err && w->next.ns % LINE_QUARTER_NS == 0) {
            done++;
            break; /* Complete quarter hours are stored before the next one begins. */
        }
    }
    for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
        free(available[d]);
    }
    return err ? err : (int)done;
}
