/* assemble_liveness.h - a source's own life, in runs of seconds that say the same: as it comes in
 * batches, and as it is stored (doc/wire-format.md, rows).
 *
 * After bytes.h and wire.h; before interval.h, which keeps them, and farend.c, which reads what is
 * stored. */
#ifndef PLUMBLINE_ASSEMBLE_LIVENESS_H
#define PLUMBLINE_ASSEMBLE_LIVENESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "nstime.h"

struct assemble_liveness {
    uint64_t second;
    uint32_t seconds;
    bool sending, reflecting;
    int64_t generation, serving_id;
};

/* By second; {0} is empty. */
struct assemble_liveness_list {
    struct assemble_liveness *runs;
    size_t count, room;
};

/* Adds a run, or lengthens the last by it.  0 or -ENOMEM. */
int assemble_liveness_add(struct assemble_liveness_list *list, const struct assemble_liveness *l);
void assemble_liveness_fini(struct assemble_liveness_list *list);

/* Encodes them into 'out', which holds nothing else afterwards, for an interval from 'start' on;
 * of none there is nothing. */
void assemble_liveness_write(const struct assemble_liveness_list *list, struct instant start,
                             struct bytes *out);

/* Reads one stored record: calls 'fn' for each run of seconds.  false if it does not decode. */
typedef void assemble_liveness_fn(const struct assemble_liveness *l, void *aux);
bool assemble_liveness_read(const void *bytes, size_t size, struct instant start,
                            assemble_liveness_fn *fn, void *aux);

#endif
