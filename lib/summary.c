/* summary.c - counting up one delta-t of one session, and adding summaries up. */
#include "summary.h"

#include <errno.h>
#include <string.h>

int
summary_init(struct summary *s, struct instant start, bool ifdv)
{
    *s = (struct summary){.start = start};
    for (int d = 0; d < DIRECTIONS; d++) {
        s->delay[d].hist = hist_new(HIST_DELAY);
        s->delay[d].ifdv = ifdv ? hist_new(HIST_IFDV) : NULL;
        if (!s->delay[d].hist || (ifdv && !s->delay[d].ifdv)) {
            summary_fini(s);
            return -ENOMEM;
        }
    }
    return 0;
}

void
summary_fini(struct summary *s)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        hist_free(s->delay[d].hist);
        hist_free(s->delay[d].ifdv);
        s->delay[d].hist = s->delay[d].ifdv = NULL;
    }
}

void
summary_reset(struct summary *s, struct instant start)
{
    struct summary clear = {.start = start};

    for (int d = 0; d < DIRECTIONS; d++) {
        clear.delay[d].hist = s->delay[d].hist;
        clear.delay[d].ifdv = s->delay[d].ifdv;
        hist_clear(clear.delay[d].hist);
        if (clear.delay[d].ifdv) {
            hist_clear(clear.delay[d].ifdv);
        }
    }
    *s = clear;
}

static void
count_over(struct summary *s, const struct session_key *key, enum limit_metric metric,
           enum direction direction, struct span value)
{
    for (unsigned i = 0; i < key->limit_count; i++) {
        const struct series_limit *l = &key->limits[i];
        s->over[i] += l->metric == metric && l->direction == direction && value.ns > l->limit.ns;
    }
}

int
summary_add_delay(struct summary *s, const struct session_key *key, enum direction direction,
                  struct span delay)
{
    struct delay *d = &s->delay[direction];
    int err = hist_add(d->hist, delay.ns, 1);

    if (err) {
        return err;
    }
    d->min_ns = d->count == 0 || delay.ns < d->min_ns ? delay.ns : d->min_ns;
    d->max_ns = d->count == 0 || delay.ns > d->max_ns ? delay.ns : d->max_ns;
    d->sum_ns = (int64_t)((uint64_t)d->sum_ns + (uint64_t)delay.ns);
    d->count++;
    if (delay.ns < 0 && direction != DIR_RT) {
        s->flags |= DT_NEGATIVE;
    }
    count_over(s, key, LIMIT_DELAY, direction, delay);
    return 0;
}

int
summary_add_ifdv(struct summary *s, const struct session_key *key, enum direction direction,
                 struct span ifdv)
{
    int err = s->delay[direction].ifdv ? hist_add(s->delay[direction].ifdv, ifdv.ns, 1) : 0;

    if (!err) {
        count_over(s, key, LIMIT_IFDV, direction, ifdv);
    }
    return err;
}

static int
delay_merge(struct delay *to, const struct delay *from)
{
    int err = hist_merge(to->hist, from->hist);

    if (!err && from->ifdv && to->ifdv) {
        err = hist_merge(to->ifdv, from->ifdv);
    }
    if (err || from->count == 0) {
        return err;
    }
    to->min_ns = to->count == 0 || from->min_ns < to->min_ns ? from->min_ns : to->min_ns;
    to->max_ns = to->count == 0 || from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
    to->sum_ns = (int64_t)((uint64_t)to->sum_ns + (uint64_t)from->sum_ns);
    to->count += from->count;
    return 0;
}

int
summary_merge(struct summary *s, const struct summary *from)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        int err = delay_merge(&s->delay[d], &from->delay[d]);
        if (err) {
            return err;
        }
    }
    s->start = instant_before(from->start, s->start) ? from->start : s->start;
    s->flags |= from->flags;
    s->scheduled += from->scheduled;
    s->sent += from->sent;
    s->send_errors += from->send_errors;
    s->received += from->received;
    s->lost_fwd += from->lost_fwd;
    s->lost_bwd += from->lost_bwd;
    s->lost_undirected += from->lost_undirected;
    s->unknown += from->unknown;
    s->late += from->late;
    s->duplicate_fwd += from->duplicate_fwd;
    s->duplicate_bwd += from->duplicate_bwd;
    s->reordered_fwd += from->reordered_fwd;
    s->reordered_bwd += from->reordered_bwd;
    for (int i = 0; i < TS_SOURCES; i++) {
        s->stamped[i] += from->stamped[i];
    }
    s->clock_error_ns =
        from->clock_error_ns > s->clock_error_ns ? from->clock_error_ns : s->clock_error_ns;
    for (int i = 0; i < SERIES_LIMITS_MAX; i++) {
        s->over[i] += from->over[i];
    }
    return 0;
}
