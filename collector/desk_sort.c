/* desk_sort.c - from alarms to problems: what has one cause, and what became of it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk_parts.h"

/* What nobody knows and nobody told of again is let go. */
#define FORGET_AFTER_NS (120 * NS_PER_S)

/* --- Items ---------------------------------------------------------------- */

struct sorting {
    struct table *t;
    struct problem **opens; /* By number. */
    struct cause_open *open;
    size_t open_count;
    struct symptom **symptoms; /* Those that items are made of. */
    size_t symptom_count;
    struct cause_item *items;
    size_t item_count;
    uint32_t *holder; /* Objects: the problem that has it. */
    struct cause *causes;
    size_t cause_count;
    struct problem **made; /* Causes: their problem. */
};

static bool
is_waiting(const struct symptom *s)
{
    return !s->problem && s->place != REACH_NONE;
}

static void
mark_down(struct table *t)
{
    memset(t->down, 0, t->inventory->link_count * sizeof *t->down);
    for (const struct symptom *s = t->symptoms; s; s = s->hh.next) {
        if (symptom_is_raised(s) && s->scope == SYMPTOM_LINK && s->place != REACH_NONE &&
            s->what != SYMPTOM_CLOCK) {
            t->down[s->place] = true;
        }
    }
}

static int
by_id(const void *a, const void *b)
{
    return table_compare_ids(&(*(struct problem *const *)a)->id,
                             &(*(struct problem *const *)b)->id);
}

static int
by_object(const void *a, const void *b)
{
    const struct symptom *x = *(struct symptom *const *)a, *y = *(struct symptom *const *)b;

    if (x->place != y->place) {
        return x->place < y->place ? -1 : 1;
    }
    return x->what < y->what ? -1 : x->what > y->what;
}

static unsigned
whats_of(const struct problem *p, bool *has_links)
{
    unsigned whats = 0;

    *has_links = false;
    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        whats |= 1u << s->what;
        *has_links = *has_links || s->scope == SYMPTOM_LINK;
    }
    return whats;
}

static int
list_open(struct sorting *w)
{
    size_t room = HASH_COUNT(w->t->problems);

    w->opens = calloc(room + 1, sizeof(void *));
    w->open = calloc(room + 1, sizeof *w->open);
    if (!w->opens || !w->open) {
        return -ENOMEM;
    }
    for (struct problem *p = w->t->problems; p; p = p->hh.next) {
        bool lately =
            p->state == PROBLEM_ENDED && p->closed.ns + w->t->config->hold.ns > w->t->now.ns;
        if (p->state == PROBLEM_OPEN || lately) {
            w->opens[w->open_count++] = p;
        }
    }
    qsort(w->opens, w->open_count, sizeof(void *), by_id);
    for (size_t i = 0; i < w->open_count; i++) {
        struct problem *p = w->opens[i];
        bool has_links;
        unsigned whats = whats_of(p, &has_links);
        w->open[i] = (struct cause_open){.kind = p->kind,
                                         .key = p->key,
                                         .opened = p->opened,
                                         .whats = whats,
                                         .ended = p->state != PROBLEM_OPEN,
                                         .has_links = has_links};
    }
    return 0;
}

/* One that is open before one that is over, then the oldest. */
static void
hold(struct sorting *w, uint32_t object, uint32_t open)
{
    uint32_t *h = &w->holder[object];

    if (*h == CAUSE_NONE || (w->open[*h].ended && !w->open[open].ended)) {
        *h = open;
    }
}

static int
find_holders(struct sorting *w)
{
    const struct reach *r = w->t->reach;
    size_t objects = (size_t)r->links + r->probes + r->services;

    w->holder = calloc(objects + 1, sizeof *w->holder);
    if (!w->holder) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < objects; i++) {
        w->holder[i] = CAUSE_NONE;
    }
    for (uint32_t o = 0; o < w->open_count; o++) {
        const struct problem *p = w->opens[o];
        const struct extent_list *services = &p->extent.lists[EXTENT_SERVICE];
        for (const struct symptom *s = p->symptoms; s; s = s->next) {
            if (s->place != REACH_NONE) {
                hold(w, s->place, o);
            }
        }
        for (size_t i = 0; i < services->count; i++) {
            hold(w, r->links + r->probes + services->at[i].index, o);
        }
    }
    return 0;
}

/* What is raised, and what waits, raised or not. */
static int
make_items(struct sorting *w)
{
    struct table *t = w->t;
    size_t room = HASH_COUNT(t->symptoms);

    w->symptoms = calloc(room + 1, sizeof(void *));
    w->items = calloc(room + 1, sizeof *w->items);
    if (!w->symptoms || !w->items) {
        return -ENOMEM;
    }
    for (struct symptom *s = t->symptoms; s; s = s->hh.next) {
        if (is_waiting(s) || (s->place != REACH_NONE && symptom_is_raised(s))) {
            w->symptoms[w->symptom_count++] = s;
        }
    }
    qsort(w->symptoms, w->symptom_count, sizeof(void *), by_object);
    for (size_t i = 0; i < w->symptom_count; i++) {
        struct symptom *s = w->symptoms[i];
        if (i == 0 || by_object(&w->symptoms[i - 1], &w->symptoms[i])) {
            w->items[w->item_count++] = (struct cause_item){
                .object = s->place, .what = s->what, .open = w->holder[s->place]};
        }
        struct cause_item *item = &w->items[w->item_count - 1];
        s->item = (uint32_t)(w->item_count - 1);
        if (is_waiting(s)) {
            item->since =
                !item->pending || s->recorded.ns < item->since.ns ? s->recorded : item->since;
            item->pending = true;
        }
    }
    return 0;
}

/* --- Problems ------------------------------------------------------------- */

static int
make_problem(struct sorting *w, size_t cause)
{
    struct table *t = w->t;
    const struct cause *c = &w->causes[cause];

    if (c->keep != CAUSE_NONE) {
        w->made[cause] = w->opens[c->keep];
        return problem_rename(w->made[cause], c->kind, c->key, t->now);
    }
    if (t->fresh_count == TABLE_AT_ONCE) {
        t->more = true; /* What is of it waits on. */
        return 0;
    }
    if (t->fresh_count == t->fresh_room) {
        size_t room = t->fresh_room ? 2 * t->fresh_room : 64;
        struct problem **fresh = reallocarray(t->fresh, room, sizeof(void *));
        if (!fresh) {
            return -ENOMEM;
        }
        t->fresh = fresh;
        t->fresh_room = room;
    }
    w->made[cause] = problem_new(c->kind, c->key, t->now);
    if (!w->made[cause]) {
        return -ENOMEM;
    }
    t->fresh[t->fresh_count++] = w->made[cause];
    counter_add(&t->counters[DESK_OPENED], 1);
    return 0;
}

static int
apply(struct sorting *w)
{
    struct table *t = w->t;
    int err = 0;

    w->made = calloc(w->cause_count + 1, sizeof(void *));
    if (!w->made) {
        return -ENOMEM;
    }
    for (size_t c = 0; c < w->cause_count && !err; c++) {
        err = make_problem(w, c);
    }
    for (size_t i = 0; i < w->symptom_count && !err; i++) {
        struct symptom *s = w->symptoms[i];
        uint32_t cause = w->items[s->item].cause;
        if (is_waiting(s) && cause != CAUSE_NONE && w->made[cause]) {
            problem_join(w->made[cause], s);
        }
    }
    for (size_t o = 0; o < w->open_count && !err; o++) {
        uint32_t cause = w->open[o].cause;
        if (cause != CAUSE_NONE && w->made[cause] != w->opens[o]) {
            err = problem_merge(w->made[cause], w->opens[o], t->now);
            counter_add(&t->counters[DESK_MERGED], 1);
        }
    }
    return err;
}

static void
sorting_fini(struct sorting *w)
{
    free(w->opens);
    free(w->open);
    free(w->symptoms);
    free(w->items);
    free(w->holder);
    free(w->causes);
    free(w->made);
}

static int
find_causes(struct table *t)
{
    struct sorting w = {.t = t};
    const struct cause_times times = {
        .now = t->now, .gather = t->config->gather, .together = t->config->hold};
    int err = list_open(&w);

    err = err ? err : find_holders(&w);
    err = err ? err : make_items(&w);
    err = err ? err
              : cause_find(t->reach, &times, w.items, w.item_count, w.open, w.open_count, &w.causes,
                           &w.cause_count);
    err = err ? err : apply(&w);
    sorting_fini(&w);
    return err;
}

static int
review(struct table *t, struct problem *p)
{
    enum problem_state before = p->state;
    int reopened = p->reopened;
    int err = problem_review(p, t->reach, t->down, t->now);

    counter_add(&t->counters[DESK_ENDED], before == PROBLEM_OPEN && p->state == PROBLEM_ENDED);
    counter_add(&t->counters[DESK_REOPENED], p->reopened != reopened);
    return err;
}

/* What is wrong with what no inventory names, and is over. */
static void
forget_unknown(struct table *t)
{
    struct symptom *s, *next;

    t->waiting = 0;
    HASH_ITER(hh, t->symptoms, s, next)
    {
        if (!s->problem && s->place == REACH_NONE && !symptom_is_raised(s) &&
            s->recorded.ns + FORGET_AFTER_NS < t->now.ns) {
            HASH_DEL(t->symptoms, s);
            symptom_free(s);
        } else {
            t->waiting += is_waiting(s);
        }
    }
}

int
table_sort(struct table *t)
{
    size_t reviewed = 0;
    int err = 0;

    t->more = false;
    forget_unknown(t);
    mark_down(t);
    if (t->waiting) {
        err = find_causes(t);
    }
    for (size_t i = 0; i < t->fresh_count && !err; i++) {
        err = review(t, t->fresh[i]);
        err = err ? err : table_look_at(t, t->fresh[i]);
    }
    err = err ? err : deskstore_insert(&t->store, t->fresh, t->fresh_count);
    for (size_t i = 0; i < t->fresh_count && !err; i++) {
        HASH_ADD(hh, t->problems, id, sizeof t->fresh[i]->id, t->fresh[i]);
    }
    t->fresh_count = err ? t->fresh_count : 0;
    for (struct problem *p = t->problems; p && !err; p = p->hh.next) {
        if (p->touched && reviewed++ < TABLE_AT_ONCE) {
            err = review(t, p);
        }
    }
    t->more = t->more || reviewed > TABLE_AT_ONCE;
    return err;
}
