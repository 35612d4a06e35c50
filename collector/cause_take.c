/* cause_take.c - what one candidate takes: links and probes of its own, and problems that it has
 * all of. */
#include "cause_parts.h"

#include <string.h>

/* The candidate's items, objects of its own and the probe that it is. */
typedef void item_fn(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux);

static void
each_item(struct cause_finder *f, uint32_t candidate, item_fn *fn, void *aux)
{
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->under, candidate, &count);
    const struct reach_candidate *c = &f->r->candidates[candidate];

    for (uint32_t k = 0; k < count; k++) {
        if (f->by_object[list[k]]) {
            fn(f, f->by_object[list[k]], candidate, aux);
        }
    }
    for (uint32_t p = 0; p < f->r->probes && c->kind >= INV_CAUSE_PROBE; p++) {
        const struct inv_probe *probe = &f->r->inv->probes[p];
        struct cause_item *i = f->by_object[f->r->links + p];
        if (i && ((c->kind == INV_CAUSE_PROBE && !strcmp(probe->key, c->key)) ||
                  (c->kind == INV_CAUSE_SITE && !strcmp(probe->site->key, c->key)))) {
            fn(f, i, candidate, aux);
        }
    }
}

/* Something bigger may become whole. */
static void
find_bigger(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    bool *bigger = aux;
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count && !*bigger; k++) {
        const struct cause_tally *t = &f->tallies[list[k]];
        *bigger = cause_is_free(f, i) && t->explains > f->tallies[candidate].explains &&
                  cause_is_nearly(f, t);
    }
}

static void
see_problem(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    (void)aux;
    if (i->open != CAUSE_NONE) {
        f->seen[i->open] = f->seen_by[i->open] == candidate ? f->seen[i->open] + 1 : 1;
        f->seen_by[i->open] = candidate;
    }
}

/* Whether the candidate would have all of the problem that has this item. */
static bool
is_swallowed(const struct cause_finder *f, const struct cause_item *i, uint32_t candidate)
{
    uint32_t o = i->open;

    return o != CAUSE_NONE && f->seen_by[o] == candidate && f->seen[o] == f->open_items[o] &&
           cause_is_mergeable(f, &f->open[o]);
}

static void
count_taken(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    uint32_t *taken = aux;

    *taken += i->object < f->r->links && (cause_is_free(f, i) || is_swallowed(f, i, candidate));
}

static void
let_go(struct cause_finder *f, const struct cause_item *i)
{
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count && i->object < f->r->links; k++) {
        struct cause_tally *t = &f->tallies[list[k]];
        t->explains -= t->explains > 0;
    }
}

static void
hold_item(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    (void)candidate;
    (void)aux;
    if (cause_is_free(f, i)) {
        f->held[i - f->items] = true;
        let_go(f, i);
    }
}

/* Problems are older the lower their number. */
static void
take_problem(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    const uint32_t *cause = aux;

    if (is_swallowed(f, i, candidate)) {
        let_go(f, i);
        if (i->open < f->causes[*cause].keep) {
            f->causes[*cause].keep = i->open;
        }
    }
}

static void
take_item(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    const uint32_t *cause = aux;

    (void)candidate;
    if (cause_is_free(f, i)) {
        i->cause = *cause;
        let_go(f, i);
    }
}

/* Marks its problem, behind take_problem() of all: is_swallowed() no longer holds then. */
static void
mark_problem(struct cause_finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    const uint32_t *cause = aux;

    if (is_swallowed(f, i, candidate)) {
        f->open[i->open].cause = *cause;
    }
}

void
cause_take(struct cause_finder *f, uint32_t candidate)
{
    const struct reach_candidate *c = &f->r->candidates[candidate];
    bool bigger = false;
    uint32_t taken = 0;

    each_item(f, candidate, find_bigger, &bigger);
    if (bigger || !cause_is_due(f, f->tallies[candidate].since, 1)) {
        each_item(f, candidate, hold_item, NULL);
        return;
    }
    each_item(f, candidate, see_problem, NULL);
    each_item(f, candidate, count_taken, &taken);
    if (taken < (f->tallies[candidate].bonus ? 1u : 2u)) {
        return;
    }
    uint32_t cause = cause_add(f, c->kind, c->key, CAUSE_NONE);
    each_item(f, candidate, take_problem, &cause);
    each_item(f, candidate, mark_problem, &cause);
    each_item(f, candidate, take_item, &cause);
}
