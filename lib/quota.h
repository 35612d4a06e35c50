/* quota.h - how many bytes of a source wait in its stream, by what it sent itself.
 *
 * After spool.h (positions), before stream.h.  A source may not ask Redis how large
 * its stream is (MEMORY is not in its ACL), and need not: it knows the size of each
 * entry that it sent, and the ack says what the collector has committed and trimmed.
 * Runs of entries are counted together, so memory is bounded; a run is let go of when
 * its last entry is acknowledged, so the count is never too low, and too high by a
 * run (1/QUOTA_RUNS of the bound) at most. */
#ifndef PLUMBLINE_QUOTA_H
#define PLUMBLINE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool.h"

#define QUOTA_RUNS 64u
#define QUOTA_SLOTS (QUOTA_RUNS + 2)

/* What Redis needs for an entry beside its bytes, about. */
#define QUOTA_ENTRY_BYTES 128u

struct quota {
    uint64_t bound;        /* Bytes; 0: none. */
    uint64_t bytes;        /* Counted. */
    struct position last;  /* Of the last entry counted. */
    struct position acked; /* The last ack told. */
    struct {
        struct position last;
        uint64_t bytes;
    } runs[QUOTA_SLOTS];
    unsigned first, count;
};

void quota_init(struct quota *q, uint64_t bound);

/* Whether an entry of 'size' bytes fits.  One always fits into an empty stream. */
bool quota_fits(const struct quota *q, size_t size);

/* Whether the entry at 'p' was counted already: it was tried and refused, or what
 * came of it is not known.  To send it again costs nothing. */
bool quota_has(const struct quota *q, struct position p);

/* The entry at 'p' goes to the stream.  One that is not after the last counted was
 * counted before. */
void quota_sent(struct quota *q, struct position p, size_t size);

/* All up to 'p' is trimmed.  It may be lower than before (a restored database). */
void quota_acked(struct quota *q, struct position p);

/* After this one entries in the stream are not counted yet. */
struct position quota_counted(const struct quota *q);

/* The stream was found to be gone, or to end before what was counted. */
void quota_reset(struct quota *q);

#endif
