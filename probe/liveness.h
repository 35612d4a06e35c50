/* liveness.h - which seconds this probe can vouch for: it was sending, it was
 * reflecting, with which inventory, on which links.
 *
 * After nstime.h; fed by agent.c once a second.  Pure: takes 'now'.  A second is
 * told once, when it is over; a second in which the state changed or the process
 * stood still is told with what held for the whole of it, or not at all.  What
 * is not told is not known (design.md: a dead probe is not a dead link). */
#ifndef PLUMBLINE_LIVENESS_H
#define PLUMBLINE_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

struct liveness_state {
    bool sending, reflecting;
    int64_t generation, serving_id;
};

/* One run of equal seconds. */
struct liveness_record {
    uint64_t second; /* Since the epoch. */
    uint32_t seconds;
    struct liveness_state state; /* serving_id 0: changed within. */
};

#define LIVENESS_PENDING_MAX 64

struct liveness {
    struct liveness_state state;
    struct liveness_state throughout; /* What held in all of the second that holds 'since'. */
    struct instant since;             /* 'state' holds from here on. */
    struct instant told;              /* All before is told or never will be. */
    struct instant heard;             /* Last liveness_tick(), */
    struct span heard_mono;           /* and by the monotonic clock. */
    struct instant not_before;        /* No second before this is told again. */
    struct instant stop;              /* No second from this one on is told; 0: all are. */
    unsigned pending_count;
    struct liveness_record pending[LIVENESS_PENDING_MAX];
    uint64_t dropped; /* Records that found no room. */
};

/* Begins at 'now'; seconds that start before 'not_before' are never told (a
 * source tells no second twice, across epochs). */
void liveness_init(struct liveness *l, struct instant now, struct span mono,
                   struct instant not_before, struct liveness_state state);

/* The state changes at 'now'. */
void liveness_change(struct liveness *l, struct instant now, struct liveness_state state);

/* Vouches for the seconds that ended since the last call.  'mono' is the
 * monotonic clock, 'stall' for how long at most since then whoever sends and
 * reflects stood still.  After a longer stand-still than LIVENESS_STALL_NS, or
 * when the clock stepped, the seconds between are not vouched for.  That the
 * caller itself was late does not matter. */
#define LIVENESS_STALL_NS (NS_PER_S * 3 / 2)
#define LIVENESS_STEP_NS (NS_PER_S / 2)
void liveness_tick(struct liveness *l, struct instant now, struct span mono, struct span stall);

/* Somebody else tells the seconds from the first border at or after 'now' on;
 * returns that border. */
struct instant liveness_stop(struct liveness *l, struct instant now);

/* Nobody else does. */
void liveness_go_on(struct liveness *l);

/* Seconds before this instant are told (or never will be). */
struct instant liveness_told(const struct liveness *l);

/* Empties the pending records; the caller has taken them. */
void liveness_taken(struct liveness *l);

#endif
