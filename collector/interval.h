/* interval.h - the intervals of one source that are not written yet, and what is held for them:
 * summaries in wire encoding, runs of unknown delta-t, the source's own life.
 *
 * After chunk.h and assemble_liveness.h, before assemble_parts.h.  Knows of sessions by their
 * number alone, and reads nothing of what it holds. */
#ifndef PLUMBLINE_INTERVAL_H
#define PLUMBLINE_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

#include "assemble_liveness.h"
#include "chunk.h"
#include "nstime.h"
#include "spool.h"

/* One summary in wire encoding, or 'run' unknown delta-t when 'size' is 0. */
struct interval_held {
    struct interval_held *next;
    uint64_t dt_number;
    uint32_t size, run;
    uint8_t bytes[];
};

/* In the order in which they came. */
struct interval_list {
    struct interval_held *first, *last;
};

struct interval {
    struct interval *next; /* By start. */
    struct instant start, end;
    struct position before;      /* Last position before anything that is in here. */
    struct interval_list *lists; /* By the number of a session. */
    size_t list_count;
    struct chunk *chunks;
    size_t held; /* Bytes of all that is in the lists. */
    struct assemble_liveness_list liveness;
};

/* The interval of 'length' in '*first' (a list by start) that holds 'at', made if need be, pinned
 * to 'before'.  None begins before 'written_until'; nor may 'at' be.  NULL when memory is out. */
struct interval *interval_at(struct interval **first, struct instant at, struct span length,
                             struct instant written_until, struct position before);

/* A new last entry of session 'index' (of 'session_count'): the caller sets 'run' and fills the
 * 'size' bytes.  NULL when memory is out. */
struct interval_held *interval_hold(struct interval *i, uint32_t index, size_t session_count,
                                    uint64_t dt_number, size_t size);

void interval_free(struct interval *i);

#endif
