/* example_truth.h - what is to be expected of a world: what every line counts, what every
 * objective comes to.
 *
 * After example_world.h, before example.c.  Plain arithmetic on what happened, packet by packet,
 * by doc/sla.md: sorted delays in the place of histograms, the window as its definition reads, sums
 * of binomial terms in the place of an interval.  Nothing of collector/ is in it. */
#ifndef PLUMBLINE_EXAMPLE_TRUTH_H
#define PLUMBLINE_EXAMPLE_TRUTH_H

#include <stdio.h>

#include "example_world.h"

/* One delta-t of one link, class and direction, flows summed. */
struct truth_dt {
    uint32_t sent, lost, undirected, copies, disorder;
    bool known, suspect, witness, up;
};

struct truth_way {
    const struct inv_link *link;
    const struct inv_class *class_;
    const struct world_session *sessions[WORLD_SESSIONS_MAX]; /* Of all flows, both ends. */
    size_t session_count;
    int64_t dt;
    size_t count;
    bool used[DIRECTIONS];
    struct truth_dt *dts[DIRECTIONS];
};

struct truth {
    const struct world *world;
    struct truth_way *ways;
    size_t way_count;
};

/* Looks at all of it; where memory is out the program ends. */
void truth_init(struct truth *t, const struct world *w);
void truth_fini(struct truth *t);

const struct truth_way *truth_way(const struct truth *t, const char *link, const char *class_name);

/* Whether delta-t 'k' counts for the service, and is before the month's end. */
bool truth_counts(const struct truth *t, const struct truth_way *way, size_t k);
/* Packets, and delay samples, that qualify in the month. */
void truth_qualified(const struct truth *t, const struct truth_way *way, enum direction d,
                     uint64_t *sent, uint64_t *samples);

/* Probability of at most (at least) 'k' of 'n', each with probability 'p'. */
double truth_at_most(uint64_t k, uint64_t n, double p);
double truth_at_least(uint64_t k, uint64_t n, double p);

/* Lines of text, parted by tabs: 'line', period (0: the month that is over, 1: the one that runs),
 * scope kind, scope, object, class, direction, counts; and 'objective', period, service, number,
 * class, metric, direction, verdict, doubt, part, whole, value, tolerance. */
void truth_print(const struct truth *t, FILE *to);

#endif
