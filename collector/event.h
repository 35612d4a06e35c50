/* event.h - what a source tells beside its measurements, until it can be written: what
 * changed on a session's way, and what it refused by name.
 *
 * After telemetry.h and assemble.h, before store.h.  Does no I/O.  Each is held with the
 * entry of the stream that told it, and written by the commit that passes that entry: so
 * it is written once, whoever reads the stream again. */
#ifndef PLUMBLINE_EVENT_H
#define PLUMBLINE_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "assemble.h"
#include "bytes.h"
#include "nstime.h"
#include "spool.h"
#include "telemetry.h"

/* Of one source at most; and the longest name. */
#define EVENT_HELD_MAX 10000u
#define EVENT_NAME_MAX 63

struct event_held;

struct event_log {
    struct event_held *first, *last;
    size_t count;
};

/* What became of them; added to. */
struct event_tally {
    uint64_t taken;
    uint64_t refused; /* Not of a session of the source's own, no name, or a time that cannot be. */
    uint64_t over;    /* More than EVENT_HELD_MAX waited. */
};

/* Holds those of the batch at 'p', which 'a' has taken.  Kinds that this release does not
 * know are passed over.  0 or -ENOMEM. */
int event_take(struct event_log *l, const struct assemble *a, struct position p,
               const pb_batch *batch, struct instant now, struct event_tally *tally);

/* Those of entries up to 'safe' as two JSON arrays, ended with '\0': events and refusals
 * (sql/0008-event.sql).  How many both are. */
size_t event_json(const struct event_log *l, struct position safe, struct bytes *events,
                  struct bytes *refusals);

/* Lets go of those of entries up to 'safe'. */
void event_drop(struct event_log *l, struct position safe);

/* Lets go of all. */
void event_clear(struct event_log *l);

#endif
