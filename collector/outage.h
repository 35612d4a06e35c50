/* outage.h - the outages of a whole, one by one, from the states of its judged quarter hours.
 *
 * After line.h (which writes the states), before credit.h and promise_credit.c.  Does no I/O.
 *
 * An outage is the time from a change to A = 0 until A = 1 again.  Its length is what of it counts:
 * its delta-t that are in W and, by the contract's word on undetermined ones, unavailable.  So a
 * window in the middle of an outage makes it shorter and not two, and one that began before a
 * window's end begins there.  The lengths of all outages of a period add up to what the period's
 * availability lacks. */
#ifndef PLUMBLINE_OUTAGE_H
#define PLUMBLINE_OUTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory_sold.h"
#include "nstime.h"

struct outage {
    struct instant start, end; /* Of the first and the last delta-t that counts. */
    struct span length;        /* <= end - start. */
};

struct outage_list {
    struct outage *list; /* In the order of time; none overlap. */
    size_t count, room;
    enum inv_undetermined undetermined;
    struct instant until; /* End of what was added. */
    bool open;            /* The last one goes on. */
};

/* Begins a period: what was before it is another's. */
void outage_begin(struct outage_list *o, enum inv_undetermined undetermined);
void outage_fini(struct outage_list *o);

/* Adds the quarter hour that starts at 'start', from line_states().  They come in the order of
 * time; in one that is passed over all was available.  0; -ENOMEM, after which 'o' is of no more
 * use; or -EBADMSG (another format, or delta-t that do not make a quarter hour), and 'o' is as it
 * was. */
int outage_add(struct outage_list *o, struct instant start, const void *states, size_t size);

#endif
