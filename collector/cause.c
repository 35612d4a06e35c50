/* cause.c - from what is bad to what it could be, and from there to what it is. */
#include "cause_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Silence and loss are looked at together. */
#define FAMILIES SYMPTOM_WHATS

static unsigned
family(enum symptom_what what)
{
    return what == SYMPTOM_SILENCE ? SYMPTOM_LOSS : what;
}

static bool
is_placed(const struct cause_finder *f, const struct cause_item *i)
{
    return i->object < f->r->links + f->r->probes;
}

/* --- What joins at once --------------------------------------------------- */

static uint32_t
join(struct cause_finder *f, uint32_t open)
{
    if (f->cause_of[open] == CAUSE_NONE) {
        f->cause_of[open] = cause_add(f, f->open[open].kind, f->open[open].key, open);
    }
    return f->cause_of[open];
}

/* The open problem that explains it as it stands; CAUSE_NONE. */
static uint32_t
standing(const struct cause_finder *f, const struct cause_item *i)
{
    unsigned bit = 1u << family(i->what);
    uint32_t count = 0, oldest = CAUSE_NONE;

    if (i->open != CAUSE_NONE && !f->open[i->open].ended &&
        cause_families(f->open[i->open].whats) & bit) {
        return i->open;
    }
    const uint32_t *list = is_placed(f, i) ? reach_list(&f->r->of_object, i->object, &count) : NULL;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t o = f->open_of[list[k]];
        bool explains =
            o != CAUSE_NONE && cause_families(f->open[o].whats) & bit &&
            (family(i->what) != SYMPTOM_LOSS || f->open[o].has_links || i->what == SYMPTOM_SILENCE);
        if (explains && o < oldest) {
            oldest = o;
        }
    }
    return oldest;
}

static void
join_standing(struct cause_finder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        uint32_t o = f->items[i].pending ? standing(f, &f->items[i]) : CAUSE_NONE;
        if (o != CAUSE_NONE) {
            f->items[i].cause = join(f, o);
        }
    }
}

/* --- Candidates ----------------------------------------------------------- */

/* Whether anybody who speaks sends on it. */
static bool
is_measured(const struct cause_finder *f, uint32_t link)
{
    const struct inv_link *l = reach_link(f->r, link);
    const struct inv_probe *one = l->ends[0].probe;
    const struct inv_probe *two = l->probe_from_both ? l->ends[1].probe : NULL;

    if (!reach_is_measured(f->r, link, f->t->now)) {
        return false;
    }
    return (one && !f->silent[one - f->r->inv->probes]) ||
           (two && !f->silent[two - f->r->inv->probes]);
}

static void
count_item(struct cause_finder *f, const struct cause_item *i)
{
    bool free_ = cause_is_free(f, i);
    bool takes = free_ || (i->open != CAUSE_NONE && cause_is_mergeable(f, &f->open[i->open]));
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count; k++) {
        struct cause_tally *t = &f->tallies[list[k]];
        if (i->object < f->r->links) {
            t->bad++;
            t->explains += takes;
        } else {
            t->bonus = true;
        }
        if (free_) {
            t->since = !t->pending || i->since.ns < t->since.ns ? i->since : t->since;
            t->pending++;
        }
    }
}

static void
count_measured(struct cause_finder *f, uint32_t candidate)
{
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->under, candidate, &count);

    for (uint32_t k = 0; k < count; k++) {
        f->tallies[candidate].measured += f->by_object[list[k]] || is_measured(f, list[k]);
    }
}

static bool
is_whole(const struct cause_tally *t)
{
    return t->pending && t->bad >= t->measured && t->explains >= (t->bonus ? 1u : 2u);
}

/* --- The one that explains most ------------------------------------------- */

static void
heap_push(struct cause_finder *f, uint32_t candidate)
{
    const struct cause_heap_entry e = {f->tallies[candidate].explains, candidate};

    cause_heap_push(&f->heap, e);
}

static void
explain(struct cause_finder *f)
{
    f->heap.count = 0;
    for (uint32_t c = 0; c < f->r->candidate_count; c++) {
        if (f->tallies[c].pending) {
            count_measured(f, c);
        }
        if (is_whole(&f->tallies[c])) {
            heap_push(f, c);
        }
    }
    while (f->heap.count) {
        const struct cause_heap_entry e = cause_heap_pop(&f->heap);
        const struct cause_tally *t = &f->tallies[e.candidate];
        if (t->explains == e.explains) {
            cause_take(f, e.candidate);
        } else if (is_whole(t)) {
            heap_push(f, e.candidate);
        }
    }
}

static void
hold_nearly(struct cause_finder *f, unsigned of)
{
    for (size_t n = 0; n < f->count; n++) {
        struct cause_item *i = &f->items[n];
        uint32_t count = 0;
        const uint32_t *list = family(i->what) == of && cause_is_free(f, i) && is_placed(f, i)
                                   ? reach_list(&f->r->of_object, i->object, &count)
                                   : NULL;
        for (uint32_t k = 0; k < count; k++) {
            if (cause_is_nearly(f, &f->tallies[list[k]])) {
                f->held[n] = true;
            }
        }
    }
}

static void
explain_family(struct cause_finder *f, unsigned of)
{
    bool any = false;

    memset(f->tallies, 0, f->r->candidate_count * sizeof *f->tallies);
    memset(f->by_object, 0, ((size_t)f->r->links + f->r->probes) * sizeof(void *));
    for (uint32_t o = 0; o < f->open_count; o++) {
        f->open_items[o] = 0;
        f->seen_by[o] = CAUSE_NONE;
    }
    for (size_t n = 0; n < f->count; n++) {
        struct cause_item *i = &f->items[n];
        if (family(i->what) != of || !is_placed(f, i)) {
            continue;
        }
        any = any || cause_is_free(f, i);
        /* Loss and silence are of different objects; where they were not, one counts. */
        if (!f->by_object[i->object]) {
            f->by_object[i->object] = i;
            count_item(f, i);
            if (i->open != CAUSE_NONE) {
                f->open_items[i->open]++;
            }
        }
    }
    if (any) {
        explain(f);
        hold_nearly(f, of);
    }
}

/* --- What no candidate explains ------------------------------------------- */

static int
by_object(const void *a, const void *b)
{
    const struct cause_item *x = *(struct cause_item *const *)a;
    const struct cause_item *y = *(struct cause_item *const *)b;

    return x->object < y->object ? -1 : x->object > y->object;
}

static enum inv_cause
own_kind(const struct cause_finder *f, uint32_t object)
{
    return object < f->r->links                                   ? INV_CAUSE_LINK
           : is_placed(f, &(struct cause_item){.object = object}) ? INV_CAUSE_PROBE
                                                                  : INV_CAUSE_SERVICE;
}

/* All that is left of one object, when one of it is due, is one cause. */
static void
single(struct cause_finder *f, struct cause_item **items, size_t count)
{
    uint32_t cause = CAUSE_NONE, open = CAUSE_NONE;
    bool due = false;

    for (size_t i = 0; i < count; i++) {
        due = due || cause_is_due(f, items[i]->since, 1);
        open = items[i]->open != CAUSE_NONE ? items[i]->open : open;
    }
    if (!due) {
        return;
    }
    if (open != CAUSE_NONE) {
        /* What was merged just now goes on as what it became. */
        cause = f->open[open].cause != CAUSE_NONE ? f->open[open].cause : join(f, open);
    } else {
        cause = cause_add(f, own_kind(f, items[0]->object), reach_key(f->r, items[0]->object),
                          CAUSE_NONE);
    }
    for (size_t i = 0; i < count; i++) {
        items[i]->cause = cause;
    }
}

static int
singles(struct cause_finder *f)
{
    struct cause_item **left = calloc(f->count + 1, sizeof *left);
    size_t count = 0;

    if (!left) {
        return -ENOMEM;
    }
    for (size_t n = 0; n < f->count; n++) {
        if (cause_is_free(f, &f->items[n])) {
            left[count++] = &f->items[n];
        }
    }
    qsort(left, count, sizeof(void *), by_object);
    for (size_t from = 0, until; from < count; from = until) {
        for (until = from + 1; until < count && left[until]->object == left[from]->object;
             until++) {
        }
        single(f, &left[from], until - from);
    }
    free(left);
    return 0;
}

/* --- All of it ------------------------------------------------------------ */

static void
finder_fini(struct cause_finder *f)
{
    free(f->open_of);
    free(f->open_items);
    free(f->cause_of);
    free(f->seen);
    free(f->seen_by);
    free(f->silent);
    free(f->tallies);
    free(f->by_object);
    free(f->held);
    free(f->heap.entries);
}

static uint32_t *
numbers(size_t count)
{
    uint32_t *n = calloc(count + 1, sizeof *n);

    for (size_t i = 0; n && i <= count; i++) {
        n[i] = CAUSE_NONE;
    }
    return n;
}

static bool
finder_init(struct cause_finder *f)
{
    const size_t candidates = f->r->candidate_count, objects = (size_t)f->r->links + f->r->probes;

    f->open_of = numbers(candidates);
    f->open_items = numbers(f->open_count);
    f->cause_of = numbers(f->open_count);
    f->seen = numbers(f->open_count);
    f->seen_by = numbers(f->open_count);
    f->silent = calloc((size_t)f->r->probes + 1, sizeof *f->silent);
    f->tallies = calloc(candidates + 1, sizeof *f->tallies);
    f->by_object = calloc(objects + 1, sizeof(void *));
    f->held = calloc(f->count + 1, 1);
    f->heap.entries = calloc(candidates + 1, sizeof *f->heap.entries);
    f->causes = calloc(f->count + f->open_count + 1, sizeof *f->causes);
    return f->open_of && f->open_items && f->cause_of && f->seen && f->seen_by && f->silent &&
           f->tallies && f->by_object && f->held && f->heap.entries && f->causes;
}

static void
look_round(struct cause_finder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct cause_item *item = &f->items[i];
        item->cause = CAUSE_NONE;
        if (item->what == SYMPTOM_SILENCE && item->object >= f->r->links && is_placed(f, item)) {
            f->silent[item->object - f->r->links] = true;
        }
    }
    for (uint32_t o = (uint32_t)f->open_count; o-- > 0;) {
        uint32_t c = reach_candidate(f->r, f->open[o].kind, f->open[o].key);
        f->open[o].cause = CAUSE_NONE;
        if (c != REACH_NONE && !f->open[o].ended) {
            f->open_of[c] = o;
        }
    }
}

int
cause_find(const struct reach *r, const struct cause_times *t, struct cause_item *items,
           size_t item_count, struct cause_open *open, size_t open_count, struct cause **out,
           size_t *out_count)
{
    struct cause_finder f = {.r = r,
                             .t = t,
                             .items = items,
                             .count = item_count,
                             .open = open,
                             .open_count = open_count};
    int err = finder_init(&f) ? 0 : -ENOMEM;

    if (!err) {
        look_round(&f);
        join_standing(&f);
        for (unsigned of = 0; of < FAMILIES; of++) {
            if (of != SYMPTOM_SILENCE) {
                explain_family(&f, of);
            }
        }
        err = singles(&f);
    }
    finder_fini(&f);
    if (err) {
        free(f.causes);
        f.causes = NULL;
    }
    *out = f.causes;
    *out_count = f.cause_count;
    return err;
}
