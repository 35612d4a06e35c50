/* worker.h - one thread of the collector: claims sources, reads their streams,
 * commits their intervals.
 *
 * After assemble.h (what to write), store.h (PostgreSQL), redis.h, farend.h,
 * live.h.  Each worker has its own event base, its own connection to each server
 * and its own sources; workers share nothing but the configuration, which does
 * not change while they run. */
#ifndef PLUMBLINE_WORKER_H
#define PLUMBLINE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "counter.h"
#include "inventory.h"
#include "nstime.h"
#include "spool.h"

/* Of one source. */
enum source_count {
    SOURCE_BATCHES,
    SOURCE_ROWS,
    SOURCE_COMMITS,
    SOURCE_CLAIMS,
    SOURCE_RELEASES,
    SOURCE_GAPS,          /* A stream was not continuous: deleted, and asked for again. */
    SOURCE_FENCE_REFUSED, /* A commit that was not ours to make; it changed nothing. */
    SOURCE_QUARANTINED,
    SOURCE_NEWER_FORMAT,
    SOURCE_COMMITS_REFUSED, /* PostgreSQL took nothing of it, and it waits. */
    SOURCE_UNREADABLE,      /* Its stream cannot be read at all; it waits. */
    SOURCE_EVENTS,          /* Events and refusals that it told, */
    SOURCE_EVENTS_REFUSED,  /* that it told and that cannot be, */
    SOURCE_EVENTS_OVER,     /* and that were too many. */
    SOURCE_TRACES_REFUSED,  /* Paths that it told and that cannot be. */
    SOURCE_COUNTS
};

/* Of no one source. */
enum worker_count {
    WORKER_FAR_JUDGED,
    WORKER_POSTGRESQL_LOST,
    WORKER_REDIS_LOST,
    WORKER_REDIS_REFUSED,   /* Commands: an ACL, or no memory. */
    WORKER_ROLLUPS,         /* Quarter hours and days of series, merged. */
    WORKER_ALARMS_WRITTEN,  /* What of alarms changed; and */
    WORKER_ALARMS_REFUSED,  /* how often PostgreSQL took nothing of it, and it waits. */
    WORKER_ALARMS_GIVEN_UP, /* Changes that it will never take, while it takes others. */
    WORKER_WINDOWS_REFUSED, /* How often windows of alarms began anew, for PostgreSQL gave no rows.
                             */
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

/* What it knew of a source a second ago at most. */
struct worker_source {
    bool owned; /* What follows is known only then. */
    struct position read;
    struct instant written_until; /* 0: nothing is written yet. */
    struct instant made_at;       /* Of the newest batch; 0: none came yet. */
    size_t sessions, held_bytes;
    size_t alarms_waiting; /* Changes of alarms that are not written yet. */
    bool has_health;
    uint64_t spool_bytes, spool_unsent;
    bool disk_full, clock_synchronised;
};

struct worker_status {
    bool redis, postgresql; /* Connected. */
    size_t claimed;
};

/* For metrics, from any thread: 'sources' are as many, in the same order, as the
 * inventory's probes. */
void worker_view(struct worker *w, struct worker_status *status, struct worker_source *sources);

/* Its counters, and those of one source: of this module, of its assembler, of its alarms. */
void worker_counters(struct worker *w, struct counter_group *out);
enum { WORKER_SOURCE_GROUPS = 3 };
void worker_source_counters(struct worker *w, size_t source,
                            struct counter_group groups[WORKER_SOURCE_GROUPS]);

#endif
