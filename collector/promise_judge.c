/* promise_judge.c - from the tallies of lines to the result of an objective. */
#include "promise_judge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The whole period so far. */
static int
total(const struct line *l, struct tally *out)
{
    int err = tally_merge(out, &l->period);

    if (!err && l->quarter.ns >= l->period_start.ns && l->quarter.ns < l->period_end.ns) {
        err = tally_merge(out, &l->tally);
    }
    return err;
}

static int
limit_index(const struct way *w, const struct inv_objective *o, enum direction d)
{
    enum limit_metric metric = o->metric.kind == INV_IFDV ? LIMIT_IFDV : LIMIT_DELAY;

    for (unsigned i = 0; i < w->limit_count; i++) {
        const struct series_limit *l = &w->limits[i];
        if (l->metric == metric && l->direction == d && l->limit.ns == (int64_t)o->limit) {
            return (int)i;
        }
    }
    return -1;
}

/* One line's result, kept if it is the worst. */
static int
judge_line(const struct promise *p, const struct line *l, int index, bool over, uint64_t packets,
           struct judged *j)
{
    struct objective_period period = {.dt = l->dt, .packets_total = packets, .over = over};
    struct tally t;

    /* Of it the tally has excluded what is before the service came into force. */
    period.dt_total = (uint64_t)((p->period_end.ns - promise_from(p).ns) / l->dt.ns);
    tally_init(&t);
    int err = total(l, &t);
    if (!err) {
        /* Samples of before the limit was counted: then the histogram says. */
        int counted = index >= 0 && t.not_compared[index] == 0 ? index : -1;
        struct objective_result r =
            objective_judge(j->objective, p->sla->undetermined, &t, counted, &period);
        if (!j->any || objective_compare(j->objective, &r, &j->result) < 0) {
            j->result = r;
            snprintf(j->worst, sizeof j->worst, "%s %s", l->object,
                     line_direction_name(l->direction));
        }
        j->any = true;
    }
    tally_fini(&t);
    return err;
}

static bool
asks_for(const struct inv_objective *o, enum direction d)
{
    bool round_trip =
        o->metric.kind == INV_RT || o->metric.kind == INV_RT_MEAN || o->direction == INV_ROUND_TRIP;

    return round_trip ? d == DIR_RT
                      : (d == DIR_FWD && o->direction != INV_BWD) ||
                            (d == DIR_BWD && o->direction != INV_FWD);
}

static int
judge_ways(const struct promise *p, bool over, struct judged *j)
{
    int err = 0;

    for (size_t i = 0; i < p->way_count && !err; i++) {
        const struct way *w = p->ways[i].way;
        uint64_t packets =
            (uint64_t)((p->period_end.ns - p->from.ns) / w->class_->period.ns) * w->link->flows;
        if (strcmp(w->class_->key, j->objective->class_->key) != 0) {
            continue;
        }
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            const struct line *l = p->ways[i].lines[d];
            if (l && l->quarter.ns >= 0 && asks_for(j->objective, d)) {
                err = judge_line(p, l, limit_index(w, j->objective, d), over, packets, j);
            }
        }
    }
    return err;
}

int
promise_judge(const struct promise *p, const struct inv_objective *o, bool over, struct judged *j)
{
    int err = 0;

    *j = (struct judged){
        .objective = o,
        .result = {
            .verdict = VERDICT_NOT_DECIDABLE, .doubt = VERDICT_NO_DATA, .low = NAN, .high = NAN}};
    if (o->metric.kind != INV_AVAILABILITY) {
        return judge_ways(p, over, j);
    }
    for (size_t i = 0; i < p->whole_count && !err; i++) {
        const struct bond *b = p->wholes[i];
        if (strcmp(b->class_->key, o->class_->key) == 0 && b->line->quarter.ns >= 0) {
            err = judge_line(p, b->line, -1, over, 0, j);
        }
    }
    return err;
}
