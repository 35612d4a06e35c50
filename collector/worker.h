/* worker.h - one thread of the collector: claims sources, reads their streams,
 * commits their intervals.
 *
 * After assemble.h (what to write), store.h (PostgreSQL), redis.h, farend.h,
 * live.h.  Each worker has its own event base, its own connection to each server
 * and its own sources; workers share nothing but the configuration, which does
 * not change while they run. */
#ifndef PLUMBLINE_WORKER_H
#define PLUMBLINE_WORKER_H

#include <stdint.h>

#include "config.h"
#include "counter.h"
#include "inventory.h"

enum worker_count {
    WORKER_BATCHES,
    WORKER_ROWS,
    WORKER_COMMITS,
    WORKER_CLAIMS,
    WORKER_RELEASES,
    WORKER_GAPS,          /* A stream was not continuous: deleted, and asked for again. */
    WORKER_FENCE_REFUSED, /* A commit that was not ours to make; it changed nothing. */
    WORKER_QUARANTINED,
    WORKER_NEWER_FORMAT,
    WORKER_FAR_JUDGED,
    WORKER_POSTGRESQL_LOST,
    WORKER_REDIS_LOST,
    WORKER_COMMITS_REFUSED, /* PostgreSQL took nothing of a source, which waits. */
    WORKER_REDIS_REFUSED,   /* Commands: an ACL, or no memory. */
    WORKER_UNREADABLE,      /* A source's stream cannot be read at all; it waits. */
    WORKER_COUNTS
};

struct worker;

/* Starts the thread.  'config' and 'inventory' outlive it.  0 or negative
 * errno. */
int worker_start(struct worker **out, const struct collector_config *config,
                 const struct inventory *inventory, unsigned number);

/* Tells it to end; it lets go of its sources.  worker_join() waits and frees. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);

/* Its counters, then those of its assemblers; any thread may read. */
void worker_counters(struct worker *w, struct counter_group groups[2]);

#endif
