/* quota.h - how many bytes of a source wait in its stream.
 *
 * After spool.h (positions), before stream.h.  A source may not ask Redis how large
 * its stream is (MEMORY is not in its ACL), and need not: nobody else adds to it, so
 * what waits is a window of its own records, those in (low, high], and their sizes are
 * in its spool.
 *
 * Why the count cannot go astray: it is no sum of what was added and taken away, but
 * follows from the window, and the window from what Redis says.  XINFO (asked at each
 * connection, refusal and want, and each second while the stream is full) gives both
 * ends anew; an ack only moves 'low' up, past what is about to be trimmed.  So any error
 * lasts until the next question, and "full" never lasts a second longer than it is true.
 *
 * Why a full stream empties: it is full only if more than the bound is in it, and more
 * than a collector needs to commit again (stream.c, is_short()).  What the collector has
 * committed already it acknowledges again (stream.h), the rest it commits.
 *
 * Runs of entries are counted together, so memory is bounded; a run is let go of when
 * its last entry is, so the count is never too low, and too high by a run
 * (1/QUOTA_RUNS of the bound) at most. */
#ifndef PLUMBLINE_QUOTA_H
#define PLUMBLINE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"
#include "spool.h"

#define QUOTA_RUNS 64u
#define QUOTA_SLOTS (QUOTA_RUNS + 2)

/* What Redis needs for an entry beside its bytes, about. */
#define QUOTA_ENTRY_BYTES 128u

struct quota {
    uint64_t bound;       /* Bytes; 0: none. */
    uint64_t bytes;       /* Of the entries in (low, high]. */
    struct position low;  /* Up to here the stream holds nothing, or what is about to go. */
    struct position high; /* Counted up to here. */
    struct instant until; /* End of the newest delta-t of the entries counted; 0: none. */
    struct {
        struct position last;
        uint64_t bytes;
    } runs[QUOTA_SLOTS];
    unsigned first, count;
};

void quota_init(struct quota *q, uint64_t bound);

/* Redis says that the stream holds what is in (low, top], and nothing else: what was
 * counted of others is forgotten. */
void quota_place(struct quota *q, struct position low, struct position top);

/* All up to 'p' is committed, and about to be trimmed.  Lower than before: nothing. */
void quota_acked(struct quota *q, struct position p);

/* The record 'r' is in the stream, or goes there; 'after' is the position of the one
 * before it.  Counted once, and only if all before it is: a count that stopped at the
 * bound goes on there. */
void quota_count(struct quota *q, struct position after, const struct spool_record *r);

/* Whether all up to 'p' is counted. */
bool quota_has(const struct quota *q, struct position p);

/* Whether an entry of 'size' bytes fits.  One always fits into an empty stream. */
bool quota_fits(const struct quota *q, size_t size);

/* How long the stretch of delta-t is from 'from' (that of the oldest entry) to the end
 * of those counted, and to 'until' (of one more; 0: it does not say). */
struct span quota_stretch(const struct quota *q, struct instant from, struct instant until);

#endif
