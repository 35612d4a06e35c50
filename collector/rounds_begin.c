/* rounds_begin.c - where a judge goes on: at the first quarter hour of each line that is not stored
 * whole. */
#include "rounds_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "promise.h"

static int64_t
quarter_of(int64_t ns)
{
    return ns / LINE_QUARTER_NS * LINE_QUARTER_NS;
}

static void
begin_line(struct line *l, const struct judgestore_quarter *q)
{
    bool whole = !q->stale && q->until.ns == q->start.ns + LINE_QUARTER_NS;

    if (whole) {
        line_begin(l, q->until, q->available_after, q->high_loss_after);
    } else {
        line_begin(l, q->start, q->available_before, q->high_loss_before);
    }
}

static int
begin_stored(struct rounds *r)
{
    int64_t *ids = calloc(r->line_count + 1, sizeof *ids);
    struct judgestore_quarter *found = calloc(r->line_count + 1, sizeof *found);
    int err = ids && found ? 0 : -ENOMEM;

    for (size_t i = 0; i < r->line_count && !err; i++) {
        ids[i] = r->lines[i]->id;
    }
    err = err ? err : judgestore_quarters(r->store, ids, NULL, r->line_count, found);
    for (size_t i = 0; i < r->line_count && !err; i++) {
        r->lines[i]->quarter = instant_of_ns(-1);
        if (found[i].found) {
            begin_line(r->lines[i], &found[i]);
        }
    }
    free(ids);
    free(found);
    return err;
}

/* Lines of which nothing is stored begin with the first row, or where what they belong to came
 * into service. */
static int
begin_new(struct rounds *r, struct way *w, struct instant now)
{
    struct instant first = instant_of_ns(-1);
    bool asked = false;
    int err = 0;

    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        for (struct line *l = w->lines[d]; l && !err; l = l->next) {
            if (l->quarter.ns >= 0) {
                continue;
            }
            if (!asked) {
                err = judgestore_first_row(r->store, w, instant_of_ns(now.ns - ROUNDS_BACK_NS),
                                           &first);
                asked = true;
            }
            int64_t from = first.ns > l->in_service.ns ? first.ns : l->in_service.ns;
            if (!err && first.ns >= 0 && from <= now.ns) {
                line_begin(l, instant_of_ns(quarter_of(from)), true, 0);
            }
        }
    }
    return err;
}

static void
earlier(struct instant *at, struct instant than)
{
    if (than.ns >= 0 && (at->ns < 0 || than.ns < at->ns)) {
        *at = than;
    }
}

/* A whole of which nothing is stored begins where the last of its parts does, or with the quarter
 * hour in which it comes into service; its parts begin no later than it. */
void
rounds_begin_bond(struct bond *b)
{
    if (b->line->quarter.ns < 0) {
        int64_t last = -1;
        for (size_t i = 0; i < b->part_count; i++) {
            struct instant at = b->parts[i].way ? b->parts[i].way->next : b->parts[i].bond->next;
            if (at.ns < 0) {
                return; /* A part was never measured. */
            }
            last = at.ns > last ? at.ns : last;
        }
        int64_t begin = quarter_of(last + LINE_QUARTER_NS - 1);
        int64_t in_service = quarter_of(b->line->in_service.ns);
        line_begin(b->line, instant_of_ns(in_service > begin ? in_service : begin), true, 0);
    }
    b->next = b->line->quarter;
}

static void
pull_parts(const struct bond *b)
{
    for (size_t i = 0; i < b->part_count && b->next.ns >= 0; i++) {
        struct bond *part = b->parts[i].bond;
        if (b->parts[i].way) {
            earlier(&b->parts[i].way->next, b->next);
        } else {
            earlier(&part->next, b->next);
        }
    }
}

/* Ways and wholes whose own lines are further than somebody who needs their states. */
static int
begin_behind(struct rounds *r)
{
    int err = 0;

    for (size_t i = 0; i < r->plan->way_count && !err; i++) {
        struct way *w = r->plan->ways[i];
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            const struct line *l = w->lines[d];
            struct judgestore_quarter q;
            w->available[d] = l ? l->available_before : true;
            if (!l || w->next.ns < 0 || l->quarter.ns == w->next.ns) {
                continue;
            }
            err = judgestore_quarters(r->store, &l->id, &w->next, 1, &q);
            if (!err && q.found) {
                w->available[d] = q.start.ns == w->next.ns ? q.available_before : q.available_after;
            } else if (!err) {
                w->available[d] = true;
            }
        }
    }
    return err;
}

static void
begin_ways(struct rounds *r)
{
    for (size_t i = 0; i < r->plan->way_count; i++) {
        struct way *w = r->plan->ways[i];
        w->next = instant_of_ns(-1);
        w->tried = instant_of_ns(-1);
        w->states.count = 0;
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            for (const struct line *l = w->lines[d]; l; l = l->next) {
                earlier(&w->next, l->quarter);
            }
        }
    }
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        r->plan->bonds[i]->states.count = 0;
        rounds_begin_bond(r->plan->bonds[i]);
    }
    for (size_t i = r->plan->bond_count; i-- > 0;) {
        pull_parts(r->plan->bonds[i]);
    }
}

static struct instant
first_quarter(const struct promise *p)
{
    struct instant first = instant_of_ns(-1);

    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            if (p->ways[i].lines[d]) {
                earlier(&first, p->ways[i].lines[d]->quarter);
            }
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        earlier(&first, p->wholes[i]->line->quarter);
    }
    return first;
}

int
rounds_begin(struct rounds *r, struct instant now)
{
    int err = begin_stored(r);

    for (size_t i = 0; i < r->plan->way_count && !err; i++) {
        err = begin_new(r, r->plan->ways[i], now);
    }
    if (!err) {
        begin_ways(r);
        err = begin_behind(r);
    }
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        struct promise *p = &r->plan->promises[i];
        struct instant at = first_quarter(p);
        err = promise_begin(r->store, p, at.ns >= 0 ? at : now);
    }
    return err ? err : rounds_windows(r, now);
}
