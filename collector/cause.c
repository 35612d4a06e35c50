/* cause.c - from what is bad to what it could be, and from there to what it is. */
#include "cause.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Silence and loss are looked at together. */
#define FAMILIES SYMPTOM_WHATS
#define NEARLY_LINKS 3
#define WAITS_GATHERS 3

/* Of one candidate, for one family. */
struct tally {
    uint32_t measured; /* Links that count. */
    uint32_t bad;      /* Links that are, whatever problem they are of. */
    uint32_t explains; /* Links that would be its. */
    uint32_t pending;  /* Of them those that are of no problem. */
    bool bonus;        /* A probe says the same. */
    struct instant since;
};

struct finder {
    const struct reach *r;
    const struct cause_times *t;
    struct cause_item *items;
    size_t count;
    struct cause_open *open;
    size_t open_count;
    uint32_t *open_of;             /* Candidates: the open problem that they are the cause of. */
    uint32_t *open_items;          /* Problems: how many items they have. */
    uint32_t *cause_of;            /* Problems: the cause that stands for 'join this'. */
    uint32_t *seen;                /* Problems: how many of their items a candidate has, */
    uint32_t *seen_by;             /* by which. */
    bool *silent;                  /* Probes. */
    struct tally *tallies;         /* Candidates, of the family at hand. */
    struct cause_item **by_object; /* Links and probes: the item of the family at hand. */
    uint8_t *held;                 /* Items: they wait. */
    struct heap_entry {
        uint32_t explains, candidate;
    } * heap;
    size_t heap_count;
    struct cause *causes;
    size_t cause_count;
};

static unsigned
family(enum symptom_what what)
{
    return what == SYMPTOM_SILENCE ? SYMPTOM_LOSS : what;
}

static unsigned
families(unsigned whats)
{
    return whats & 1u << SYMPTOM_SILENCE ? whats | 1u << SYMPTOM_LOSS : whats;
}

static bool
is_due(const struct finder *f, struct instant since, int gathers)
{
    return since.ns + gathers * f->t->gather.ns <= f->t->now.ns;
}

static bool
is_placed(const struct finder *f, const struct cause_item *i)
{
    return i->object < f->r->links + f->r->probes;
}

/* Nothing was decided about it in this call. */
static bool
is_free(const struct finder *f, const struct cause_item *i)
{
    return i->pending && i->cause == CAUSE_NONE && !f->held[i - f->items];
}

/* Whether its problem may become another's. */
static bool
is_mergeable(const struct finder *f, const struct cause_open *o)
{
    bool only_silence = !o->has_links && families(o->whats) & 1u << SYMPTOM_LOSS;

    return !o->ended && o->cause == CAUSE_NONE &&
           (only_silence || o->opened.ns + f->t->together.ns >= f->t->now.ns);
}

static uint32_t
add_cause(struct finder *f, enum inv_cause kind, const char *key, uint32_t keep)
{
    f->causes[f->cause_count] = (struct cause){kind, key, keep};
    return (uint32_t)f->cause_count++;
}

/* --- What joins at once --------------------------------------------------- */

static uint32_t
join(struct finder *f, uint32_t open)
{
    if (f->cause_of[open] == CAUSE_NONE) {
        f->cause_of[open] = add_cause(f, f->open[open].kind, f->open[open].key, open);
    }
    return f->cause_of[open];
}

/* The open problem that explains it as it stands; CAUSE_NONE. */
static uint32_t
standing(const struct finder *f, const struct cause_item *i)
{
    unsigned bit = 1u << family(i->what);
    uint32_t count = 0, oldest = CAUSE_NONE;

    if (i->open != CAUSE_NONE && !f->open[i->open].ended &&
        families(f->open[i->open].whats) & bit) {
        return i->open;
    }
    const uint32_t *list = is_placed(f, i) ? reach_list(&f->r->of_object, i->object, &count) : NULL;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t o = f->open_of[list[k]];
        bool explains =
            o != CAUSE_NONE && families(f->open[o].whats) & bit &&
            (family(i->what) != SYMPTOM_LOSS || f->open[o].has_links || i->what == SYMPTOM_SILENCE);
        if (explains && o < oldest) {
            oldest = o;
        }
    }
    return oldest;
}

static void
join_standing(struct finder *f)
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
is_measured(const struct finder *f, uint32_t link)
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
count_item(struct finder *f, const struct cause_item *i)
{
    bool free_ = is_free(f, i);
    bool takes = free_ || (i->open != CAUSE_NONE && is_mergeable(f, &f->open[i->open]));
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count; k++) {
        struct tally *t = &f->tallies[list[k]];
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
count_measured(struct finder *f, uint32_t candidate)
{
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->under, candidate, &count);

    for (uint32_t k = 0; k < count; k++) {
        f->tallies[candidate].measured += f->by_object[list[k]] || is_measured(f, list[k]);
    }
}

static bool
is_whole(const struct tally *t)
{
    return t->pending && t->bad >= t->measured && t->explains >= (t->bonus ? 1u : 2u);
}

/* Half of it is bad, and the rest may come. */
static bool
is_nearly(const struct finder *f, const struct tally *t)
{
    return t->pending && t->bad < t->measured && 2 * t->bad >= t->measured &&
           t->explains >= NEARLY_LINKS && !is_due(f, t->since, WAITS_GATHERS);
}

/* --- The one that explains most ------------------------------------------- */

/* Candidates are numbered by kind: of equals the lower number is first. */
static bool
heap_less(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->explains != b->explains ? a->explains > b->explains : a->candidate < b->candidate;
}

static void
heap_push(struct finder *f, uint32_t candidate)
{
    size_t i = f->heap_count++;
    const struct heap_entry e = {f->tallies[candidate].explains, candidate};

    for (; i > 0 && heap_less(&e, &f->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        f->heap[i] = f->heap[(i - 1) / 2];
    }
    f->heap[i] = e;
}

static struct heap_entry
heap_pop(struct finder *f)
{
    const struct heap_entry top = f->heap[0], last = f->heap[--f->heap_count];
    size_t i = 0;

    for (size_t child = 1; child < f->heap_count; i = child, child = 2 * i + 1) {
        if (child + 1 < f->heap_count && heap_less(&f->heap[child + 1], &f->heap[child])) {
            child++;
        }
        if (!heap_less(&f->heap[child], &last)) {
            break;
        }
        f->heap[i] = f->heap[child];
    }
    f->heap[i] = last;
    return top;
}

/* The candidate's items, objects of its own and the probe that it is. */
typedef void item_fn(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux);

static void
each_item(struct finder *f, uint32_t candidate, item_fn *fn, void *aux)
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
find_bigger(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    bool *bigger = aux;
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count && !*bigger; k++) {
        const struct tally *t = &f->tallies[list[k]];
        *bigger = is_free(f, i) && t->explains > f->tallies[candidate].explains && is_nearly(f, t);
    }
}

static void
see_problem(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    (void)aux;
    if (i->open != CAUSE_NONE) {
        f->seen[i->open] = f->seen_by[i->open] == candidate ? f->seen[i->open] + 1 : 1;
        f->seen_by[i->open] = candidate;
    }
}

/* Whether the candidate would have all of the problem that has this item. */
static bool
is_swallowed(const struct finder *f, const struct cause_item *i, uint32_t candidate)
{
    uint32_t o = i->open;

    return o != CAUSE_NONE && f->seen_by[o] == candidate && f->seen[o] == f->open_items[o] &&
           is_mergeable(f, &f->open[o]);
}

static void
count_taken(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    uint32_t *taken = aux;

    *taken += i->object < f->r->links && (is_free(f, i) || is_swallowed(f, i, candidate));
}

static void
let_go(struct finder *f, const struct cause_item *i)
{
    uint32_t count;
    const uint32_t *list = reach_list(&f->r->of_object, i->object, &count);

    for (uint32_t k = 0; k < count && i->object < f->r->links; k++) {
        struct tally *t = &f->tallies[list[k]];
        t->explains -= t->explains > 0;
    }
}

static void
hold_item(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    (void)candidate;
    (void)aux;
    if (is_free(f, i)) {
        f->held[i - f->items] = true;
        let_go(f, i);
    }
}

/* Problems are older the lower their number. */
static void
take_problem(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
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
take_item(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    const uint32_t *cause = aux;

    (void)candidate;
    if (is_free(f, i)) {
        i->cause = *cause;
        let_go(f, i);
    }
}

/* Marks its problem, behind take_problem() of all: is_swallowed() no longer holds then. */
static void
mark_problem(struct finder *f, struct cause_item *i, uint32_t candidate, void *aux)
{
    const uint32_t *cause = aux;

    if (is_swallowed(f, i, candidate)) {
        f->open[i->open].cause = *cause;
    }
}

static void
take(struct finder *f, uint32_t candidate)
{
    const struct reach_candidate *c = &f->r->candidates[candidate];
    bool bigger = false;
    uint32_t taken = 0;

    each_item(f, candidate, find_bigger, &bigger);
    if (bigger || !is_due(f, f->tallies[candidate].since, 1)) {
        each_item(f, candidate, hold_item, NULL);
        return;
    }
    each_item(f, candidate, see_problem, NULL);
    each_item(f, candidate, count_taken, &taken);
    if (taken < (f->tallies[candidate].bonus ? 1u : 2u)) {
        return;
    }
    uint32_t cause = add_cause(f, c->kind, c->key, CAUSE_NONE);
    each_item(f, candidate, take_problem, &cause);
    each_item(f, candidate, mark_problem, &cause);
    each_item(f, candidate, take_item, &cause);
}

static void
explain(struct finder *f)
{
    f->heap_count = 0;
    for (uint32_t c = 0; c < f->r->candidate_count; c++) {
        if (f->tallies[c].pending) {
            count_measured(f, c);
        }
        if (is_whole(&f->tallies[c])) {
            heap_push(f, c);
        }
    }
    while (f->heap_count) {
        const struct heap_entry e = heap_pop(f);
        const struct tally *t = &f->tallies[e.candidate];
        if (t->explains == e.explains) {
            take(f, e.candidate);
        } else if (is_whole(t)) {
            heap_push(f, e.candidate);
        }
    }
}

static void
hold_nearly(struct finder *f, unsigned of)
{
    for (size_t n = 0; n < f->count; n++) {
        struct cause_item *i = &f->items[n];
        uint32_t count = 0;
        const uint32_t *list = family(i->what) == of && is_free(f, i) && is_placed(f, i)
                                   ? reach_list(&f->r->of_object, i->object, &count)
                                   : NULL;
        for (uint32_t k = 0; k < count; k++) {
            if (is_nearly(f, &f->tallies[list[k]])) {
                f->held[n] = true;
            }
        }
    }
}

static void
explain_family(struct finder *f, unsigned of)
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
        any = any || is_free(f, i);
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
own_kind(const struct finder *f, uint32_t object)
{
    return object < f->r->links                                   ? INV_CAUSE_LINK
           : is_placed(f, &(struct cause_item){.object = object}) ? INV_CAUSE_PROBE
                                                                  : INV_CAUSE_SERVICE;
}

/* All that is left of one object, when one of it is due, is one cause. */
static void
single(struct finder *f, struct cause_item **items, size_t count)
{
    uint32_t cause = CAUSE_NONE, open = CAUSE_NONE;
    bool due = false;

    for (size_t i = 0; i < count; i++) {
        due = due || is_due(f, items[i]->since, 1);
        open = items[i]->open != CAUSE_NONE ? items[i]->open : open;
    }
    if (!due) {
        return;
    }
    if (open != CAUSE_NONE) {
        /* What was merged just now goes on as what it became. */
        cause = f->open[open].cause != CAUSE_NONE ? f->open[open].cause : join(f, open);
    } else {
        cause = add_cause(f, own_kind(f, items[0]->object), reach_key(f->r, items[0]->object),
                          CAUSE_NONE);
    }
    for (size_t i = 0; i < count; i++) {
        items[i]->cause = cause;
    }
}

static int
singles(struct finder *f)
{
    struct cause_item **left = calloc(f->count + 1, sizeof *left);
    size_t count = 0;

    if (!left) {
        return -ENOMEM;
    }
    for (size_t n = 0; n < f->count; n++) {
        if (is_free(f, &f->items[n])) {
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
finder_fini(struct finder *f)
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
    free(f->heap);
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
finder_init(struct finder *f)
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
    f->heap = calloc(candidates + 1, sizeof *f->heap);
    f->causes = calloc(f->count + f->open_count + 1, sizeof *f->causes);
    return f->open_of && f->open_items && f->cause_of && f->seen && f->seen_by && f->silent &&
           f->tallies && f->by_object && f->held && f->heap && f->causes;
}

static void
look_round(struct finder *f)
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
    struct finder f = {.r = r,
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
