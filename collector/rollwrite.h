/* rollwrite.h - quarter hours and days in PostgreSQL: rows are read back, merged,
 * and written by COPY, inside the transaction that completes or revises them.
 *
 * After rollup.h (merging, and when) and copy.h, before store.h (commits) and
 * farend.h (revisions).
 *
 * Why reading back, and no running sums in memory: what a quarter hour consists
 * of is then what is committed, after any restart, take-over or restore, and
 * nothing but a position (source_position.rolled_until) is remembered.  Whoever
 * calls holds the lock of the source's row in source_position, so that no row is
 * changed between being merged and that being committed.
 *
 * Calls return 0, -EIO with the reason in 'why' (PostgreSQL refused, or a row
 * does not decode), or -ENOMEM; after an error roll the transaction back. */
#ifndef PLUMBLINE_ROLLWRITE_H
#define PLUMBLINE_ROLLWRITE_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "rollup.h"

struct rollwrite;
struct rollwrite *rollwrite_new(void);
void rollwrite_free(struct rollwrite *r);

/* Carries out 'plan' for all series of a source, and notes how far it came.  The
 * partitions are there.  '*written' grows by the number of rows. */
int rollwrite_carry_out(struct rollwrite *r, PGconn *conn, int64_t source_id,
                        const struct rollup_plan *plan, uint64_t *written, char *why,
                        size_t why_size);

/* A row that was changed. */
struct rollwrite_change {
    int64_t series_id;
    int64_t start_s;
};

/* Merges again what holds these rows and was merged before; each such quarter hour
 * and day is one revision further.  Sorts 'changes'. */
int rollwrite_revise(struct rollwrite *r, PGconn *conn, struct rollwrite_change *changes,
                     size_t count, char *why, size_t why_size);

#endif
