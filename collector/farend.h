/* farend.h - was the far end there?  Loss towards a probe that was not serving
 * is not loss of the link.
 *
 * After row.h, rollwrite.h and assemble.h (liveness records); stands on committed rows only,
 * so any collector can do it: whoever holds the job's advisory lock.  A row with
 * loss waits in far_pending until the far source has written past it; then each
 * delta-t with loss that touches a second in which the far source does not say
 * that it reflected on this link becomes undetermined, and the quarter hours and days
 * that hold the row are merged again, in the same transaction.  A row that was judged
 * without a far source that was given up waits again when that is back, and what it says
 * then holds.  The observer's row in
 * source_position is locked meanwhile: what commits rows and what changes them never
 * pass each other unseen.  A source that is committing is left for the next time. */
#ifndef PLUMBLINE_FAREND_H
#define PLUMBLINE_FAREND_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "row.h"

struct farend;
struct farend *farend_new(void);
void farend_free(struct farend *f);

/* Judges what can be judged now, at most a few hundred rows.  Returns how many
 * (0: none, or another holds the lock), or -EIO with the reason in 'why'. */
int farend_run(struct farend *f, PGconn *conn, char *why, size_t why_size);

/* Which seconds the far end vouches for: 'served[i]' is second 'first' + i. */
struct farend_seconds {
    int64_t first;
    size_t count;
    const uint8_t *served;
};

/* Marks in 'mark' the delta-t of a session's round-trip 'records' (the first
 * starts at 'start') that become undetermined.  Returns how many. */
size_t farend_judge(const struct dt_record *records, size_t count, struct instant start,
                    struct span dt, const struct farend_seconds *far, uint8_t *mark);

#endif
