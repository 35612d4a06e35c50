/* courier.h - the thread that delivers: from the outbox to what hooks name, by HTTP, mail and
 * commands.
 *
 * After job.h, hookform.h, courierstore.h; before main.c.  One collector of all does it, whoever
 * holds the job's advisory lock.  At least once: a try is counted in PostgreSQL before anything is
 * sent, its end after; whoever is killed between leaves a row that waits.  Of a hook and problem in
 * the order of the outbox, one at a time; different problems and hooks at once, within bounds, so
 * that a target that hangs holds up nobody else.  What ended and what is tried next are written in
 * batches.  No transaction is open while a network is waited for. */
#ifndef PLUMBLINE_COURIER_H
#define PLUMBLINE_COURIER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "counter.h"
#include "courierplan.h"
#include "inventory.h"
#include "nstime.h"

enum courier_count {
    COURIER_DELIVERED,
    COURIER_TRIES_FAILED,
    COURIER_DEAD,       /* Letters given up. */
    COURIER_SUPERSEDED, /* Need not be said any more. */
    COURIER_TOLD_AGAIN, /* Tickets told again as still open. */
    COURIER_DISABLED,   /* Hooks that answered 410. */
    COURIER_UNREADABLE, /* Files of hooks that could not be read. */
    COURIER_FAILED,     /* Rounds given up: PostgreSQL refused, or memory was out. */
    COURIER_COUNTS
};

struct courier;

/* Both are borrowed until courier_stop().  Before any thread that uses libcurl.  0 or a negative
 * errno. */
int courier_start(struct courier **out, const struct collector_config *config,
                  const struct inventory *inventory);
/* What is under way has two seconds to end.  NULL is fine. */
void courier_stop(struct courier *c);

/* Any thread may read. */
struct counter_group courier_counters(struct courier *c);

/* Of one hook of the inventory, by its place there. */
struct courier_hook_status {
    enum courierplan_state state;
    uint64_t waiting, dead, delivered, tries_failed;
    struct span oldest; /* Age of what waits longest; 0: nothing waits. */
};

struct courier_status {
    bool active; /* It is this collector that delivers. */
    unsigned in_flight;
};

/* Any thread may ask.  'hooks' has room for all of the inventory's. */
void courier_view(struct courier *c, struct courier_status *out, struct courier_hook_status *hooks);

#endif
