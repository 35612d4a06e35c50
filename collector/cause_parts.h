/* cause_parts.h - what cause.c (which candidate is looked at, and what none explains) and
 * cause_take.c (what one candidate takes) share, and nobody else.
 *
 * After cause_heap.h.  cause.c calls cause_take.c, not the other way round. */
#ifndef PLUMBLINE_CAUSE_PARTS_H
#define PLUMBLINE_CAUSE_PARTS_H

#include "cause.h"
#include "cause_heap.h"

/* Fewer links are not half of anything; for so many times gather the rest is waited for. */
#define CAUSE_NEARLY_LINKS 3
#define CAUSE_WAITS_GATHERS 3

/* Of one candidate, for one family. */
struct cause_tally {
    uint32_t measured; /* Links that count. */
    uint32_t bad;      /* Links that are, whatever problem they are of. */
    uint32_t explains; /* Links that would be its. */
    uint32_t pending;  /* Of them those that are of no problem. */
    bool bonus;        /* A probe says the same. */
    struct instant since;
};

struct cause_finder {
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
    struct cause_tally *tallies;   /* Candidates, of the family at hand. */
    struct cause_item **by_object; /* Links and probes: the item of the family at hand. */
    uint8_t *held;                 /* Items: they wait. */
    struct cause_heap heap;
    struct cause *causes;
    size_t cause_count;
};

static inline unsigned
cause_families(unsigned whats)
{
    return whats & 1u << SYMPTOM_SILENCE ? whats | 1u << SYMPTOM_LOSS : whats;
}

static inline bool
cause_is_due(const struct cause_finder *f, struct instant since, int gathers)
{
    return since.ns + gathers * f->t->gather.ns <= f->t->now.ns;
}

/* Nothing was decided about it in this call. */
static inline bool
cause_is_free(const struct cause_finder *f, const struct cause_item *i)
{
    return i->pending && i->cause == CAUSE_NONE && !f->held[i - f->items];
}

/* Whether its problem may become another's. */
static inline bool
cause_is_mergeable(const struct cause_finder *f, const struct cause_open *o)
{
    bool only_silence = !o->has_links && cause_families(o->whats) & 1u << SYMPTOM_LOSS;

    return !o->ended && o->cause == CAUSE_NONE &&
           (only_silence || o->opened.ns + f->t->together.ns >= f->t->now.ns);
}

/* Half of it is bad, and the rest may come. */
static inline bool
cause_is_nearly(const struct cause_finder *f, const struct cause_tally *t)
{
    return t->pending && t->bad < t->measured && 2 * t->bad >= t->measured &&
           t->explains >= CAUSE_NEARLY_LINKS && !cause_is_due(f, t->since, CAUSE_WAITS_GATHERS);
}

static inline uint32_t
cause_add(struct cause_finder *f, enum inv_cause kind, const char *key, uint32_t keep)
{
    f->causes[f->cause_count] = (struct cause){kind, key, keep};
    return (uint32_t)f->cause_count++;
}

/* What the candidate, which is whole, explains becomes one cause; or it waits, because it is not
 * due or something bigger may become whole. */
void cause_take(struct cause_finder *f, uint32_t candidate);

#endif
