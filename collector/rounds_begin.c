/* rounds_begin.c - where a judge goes on: at the first quarter hour of each line that is not stored
 * whole. */
#include "rounds_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_AT_ONCE 4096 /* Ways whose first rows are asked for. */
/* A new whole goes back for its parts so far: a part's source may be late by what a spool keeps. */
#define BEGAN_BACK_NS (86400 * NS_PER_S)

static int64_t
quarter_of(int64_t ns)
{
    return ns / LINE_QUARTER_NS * LINE_QUARTER_NS;
}

static void
begin_line(struct line *l, const struct judgestore_quarter *q)
{
    bool whole = !q->stale && q->until.ns == q->start.ns + LINE_QUARTER_NS;

    l->stored_until = instant_of_ns(-1); /* Judged again, it is stored though it is no further. */
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
            r->lines[i]->stored = true;
            begin_line(r->lines[i], &found[i]);
        }
    }
    free(ids);
    free(found);
    return err;
}

/* First rows of ways that have a line which was never begun and is in service, into 'out' beside
 * them; how many such ways there are, or a negative errno. */
static int64_t
find_first(struct rounds *r, struct instant now, struct way **ways, struct instant *out)
{
    size_t count = 0;

    for (size_t i = 0; i < r->plan->way_count; i++) {
        bool new = false;
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !new; d++) {
            for (const struct line *l = r->plan->ways[i]->lines[d]; l && !new; l = l->next) {
                new = l->quarter.ns < 0 && l->in_service.ns <= now.ns;
            }
        }
        if (new) {
            ways[count++] = r->plan->ways[i];
        }
    }
    for (size_t i = 0; i < count; i += FIRST_AT_ONCE) {
        size_t some = count - i < FIRST_AT_ONCE ? count - i : FIRST_AT_ONCE;
        int err = judgestore_first_rows(r->store, ways + i, some,
                                        instant_of_ns(now.ns - ROUNDS_BACK_NS), out + i);
        if (err) {
            return err;
        }
    }
    return (int64_t)count;
}

/* Lines of which nothing is stored begin with the first row, or where what they belong to came
 * into service; with 'first' one that can.  Whether it can. */
static bool
can_begin(const struct line *l, struct instant first, struct instant now, int64_t *from)
{
    *from = first.ns > l->in_service.ns ? first.ns : l->in_service.ns;
    return l->quarter.ns < 0 && first.ns >= 0 && *from <= now.ns;
}

/* Begins them, or ('any' not NULL) only says whether any can. */
static int
begin_new(struct rounds *r, struct instant now, bool *any)
{
    size_t room = r->plan->way_count + 1;
    struct way **ways = calloc(room, sizeof *ways);
    struct instant *first = calloc(room, sizeof *first);
    int64_t count = ways && first ? find_first(r, now, ways, first) : -ENOMEM;

    for (int64_t i = 0; i < count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            for (struct line *l = ways[i]->lines[d]; l; l = l->next) {
                int64_t from;
                if (can_begin(l, first[i], now, &from) && any) {
                    *any = true;
                } else if (can_begin(l, first[i], now, &from)) {
                    line_begin(l, instant_of_ns(quarter_of(from)), true, 0);
                }
            }
        }
    }
    free(ways);
    free(first);
    return count < 0 ? (int)count : 0;
}

int
rounds_look_again(struct rounds *r, struct instant now, bool *any)
{
    return begin_new(r, now, any);
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
            struct instant at = b->parts[i].way ? b->parts[i].way->began : b->parts[i].bond->began;
            if (at.ns < 0) {
                return; /* A part was never measured. */
            }
            last = at.ns > last ? at.ns : last;
        }
        /* Its parts may be inside a quarter hour; what came into service inside one counts from
         * there on. */
        int64_t at = quarter_of(last + LINE_QUARTER_NS - 1);
        int64_t own = quarter_of(b->line->in_service.ns);
        line_begin(b->line, instant_of_ns(own > at ? own : at), true, 0);
    }
    b->next = b->line->quarter;
    b->began = b->began.ns >= 0 && b->began.ns < b->next.ns ? b->began : b->next;
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

/* Lines of ways whose own line is further than somebody who needs their states. */
struct behind {
    int64_t *ids;
    struct instant *from;
    bool **available; /* A right before that, as it is to be found. */
    struct judgestore_quarter *found;
    size_t count;
};

static void
find_behind(struct rounds *r, struct behind *b)
{
    for (size_t i = 0; i < r->plan->way_count; i++) {
        struct way *w = r->plan->ways[i];
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            const struct line *l = w->lines[d];
            w->available[d] = l ? l->available_before : true;
            if (l && w->next.ns >= 0 && l->quarter.ns != w->next.ns) {
                b->ids[b->count] = l->id;
                b->from[b->count] = w->next;
                b->available[b->count++] = &w->available[d];
            }
        }
    }
}

static int
begin_behind(struct rounds *r)
{
    size_t room = r->plan->way_count * DIRECTIONS + 1;
    struct behind b = {.ids = calloc(room, sizeof *b.ids),
                       .from = calloc(room, sizeof *b.from),
                       .available = calloc(room, sizeof(bool *)),
                       .found = calloc(room, sizeof *b.found)};
    int err = b.ids && b.from && b.available && b.found ? 0 : -ENOMEM;

    if (!err) {
        find_behind(r, &b);
    }
    if (!err && b.count) {
        err = judgestore_quarters(r->store, b.ids, b.from, b.count, b.found);
    }
    for (size_t i = 0; i < b.count && !err; i++) {
        const struct judgestore_quarter *q = &b.found[i];
        *b.available[i] = !q->found                     ? true
                          : q->start.ns == b.from[i].ns ? q->available_before
                                                        : q->available_after;
    }
    free(b.ids);
    free(b.from);
    free(b.available);
    free(b.found);
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
}

/* Where each part of a whole began, of which nothing is stored: one part may be judged for hours
 * already when another's first rows come. */
static int
find_began(struct rounds *r)
{
    size_t count = r->plan->way_count + r->plan->bond_count;
    int64_t *ids = calloc(count + 1, sizeof *ids);
    struct instant *began = calloc(count + 1, sizeof *began), since = instant_of_ns(INT64_MAX);
    bool any = false;
    int err = ids && began ? 0 : -ENOMEM;

    for (size_t i = 0; i < r->plan->bond_count && !err; i++) {
        const struct line *l = r->plan->bonds[i]->line;
        any = any || l->quarter.ns < 0;
        ids[r->plan->way_count + i] = l->id;
        r->plan->bonds[i]->began = instant_of_ns(-1);
        earlier(&since, l->quarter);
    }
    for (size_t i = 0; i < r->plan->way_count && !err; i++) {
        const struct way *w = r->plan->ways[i];
        const struct line *l = w->lines[w->used[DIR_FWD] ? DIR_FWD : DIR_RT];
        ids[i] = l ? l->id : -1;
        r->plan->ways[i]->began = w->next;
        earlier(&since, w->next);
    }
    if (any && !err && since.ns < INT64_MAX) {
        since = instant_of_ns(since.ns - BEGAN_BACK_NS);
        err = judgestore_began(r->store, ids, count, since, began);
        for (size_t i = 0; i < r->plan->way_count && !err; i++) {
            earlier(&r->plan->ways[i]->began, began[i]);
        }
        for (size_t i = 0; i < r->plan->bond_count && !err; i++) {
            r->plan->bonds[i]->began = began[r->plan->way_count + i];
        }
    }
    free(ids);
    free(began);
    return err;
}

static void
begin_bonds(struct rounds *r)
{
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

int64_t
rounds_stamp(const struct promise *p)
{
    int64_t sum = 0;

    for (size_t i = 0; i < p->way_count; i++) {
        sum += p->ways[i].way->next.ns / NS_PER_S;
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        sum += p->wholes[i]->next.ns / NS_PER_S;
    }
    return sum;
}

int
rounds_begin(struct rounds *r, struct instant now)
{
    int err = begin_stored(r);

    err = err ? err : begin_new(r, now, NULL);
    if (!err) {
        begin_ways(r);
        err = find_began(r);
    }
    if (!err) {
        begin_bonds(r);
        err = begin_behind(r);
    }
    err = err ? err : judgestore_begin(r->store);
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        struct promise *p = &r->plan->promises[i];
        struct instant at = first_quarter(p);
        err = promise_begin(r->store, p, at.ns >= 0 ? at : now);
        p->seen = rounds_stamp(p);
        p->fresh = true;
    }
    err = err ? err : judgestore_commit(r->store);
    return err ? err : rounds_windows(r, now);
}
