/* live.h - the newest of each session of one source, for `plumbline status` and
 * alarms: the value of pl:{SOURCE}:live.
 *
 * After assemble.h. */
#ifndef PLUMBLINE_LIVE_H
#define PLUMBLINE_LIVE_H

#include "assemble.h"
#include "bytes.h"

struct live_facts {
    struct instant now;       /* Collector's clock. */
    struct instant source_at; /* made_at of the newest batch. */
    const char *waits;        /* Why nothing more is taken of it; NULL: it is. */
    const char *release;      /* NULL: not known. */
    int64_t generation;       /* Of the inventory that the source runs; 0: not known. */
    bool has_health;
    Plumbline__Telemetry__Health health;
};

/* Puts the encoded Live message into 'out'.  0 or -ENOMEM. */
int live_make(struct assemble *a, const char *source, const struct live_facts *facts,
              struct bytes *out);

#endif
