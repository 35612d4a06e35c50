/* tally.h - the counters of a link's sessions, together, for metrics.
 *
 * After counter.h and series.h; used by agent.c.  Sessions come and go with the
 * inventory, a counter that people watch must never go back: what ended sessions
 * had counted is kept for their link. */
#ifndef PLUMBLINE_TALLY_H
#define PLUMBLINE_TALLY_H

#include <stddef.h>

#include "counter.h"

struct tally;

/* All groups that are added have the same names.  NULL: out of memory. */
struct tally *tally_new(void);
void tally_free(struct tally *t);

/* Adds what a session that ends has counted; it stays.  0 or -ENOMEM. */
int tally_keep(struct tally *t, const char *object, const struct counter_group *group);

/* One listing: begin, add each live session, then ask for all. */
void tally_begin(struct tally *t);
int tally_add(struct tally *t, const char *object, const struct counter_group *group);
typedef void tally_fn(const char *object, const struct counter_group *group, size_t sessions,
                      void *aux);
void tally_each(struct tally *t, tally_fn *fn, void *aux);

#endif
