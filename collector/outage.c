/* outage.c - runs of states become outages. */
#include "outage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "line.h"
#include "tally.h"
#include "wire.h"

void
outage_begin(struct outage_list *o, enum inv_undetermined undetermined)
{
    *o = (struct outage_list){.undetermined = undetermined, .until = instant_of_ns(INT64_MIN)};
}

void
outage_fini(struct outage_list *o)
{
    free(o->list);
    *o = (struct outage_list){.list = NULL};
}

/* --- States ----------------------------------------------------------------- */

struct run {
    uint64_t count;
    unsigned state; /* enum line_state. */
};

static struct run
read_run(struct rd *r)
{
    uint64_t head = rd_varint(r);

    return (struct run){head >> LINE_STATE_BITS, head & ((1u << LINE_STATE_BITS) - 1)};
}

/* How long a delta-t is, so that they make a quarter hour; 0: they do not. */
static int64_t
dt_of(struct rd r)
{
    uint64_t total = 0;

    while (rd_ok(&r) && r.left) {
        struct run run = read_run(&r);
        if (run.count == 0 || run.count > (uint64_t)LINE_QUARTER_NS - total) {
            return 0;
        }
        total += run.count;
    }
    return rd_ok(&r) && total && LINE_QUARTER_NS % (int64_t)total == 0
               ? LINE_QUARTER_NS / (int64_t)total
               : 0;
}

/* --- Outages ---------------------------------------------------------------- */

/* Whether delta-t of this state count as unavailable. */
static bool
is_down(const struct outage_list *o, unsigned state)
{
    bool available = state & LINE_STATE_AVAILABLE;

    if (state >> LINE_STATE_EXCLUDED_SHIFT != EXCLUSION_NONE) {
        return false;
    }
    if (!(state & LINE_STATE_UNDETERMINED)) {
        return !available;
    }
    return o->undetermined == INV_UNDETERMINED_UNAVAILABLE ||
           (o->undetermined == INV_UNDETERMINED_LAST && !available);
}

static struct outage *
add_outage(struct outage_list *o, struct instant start)
{
    if (o->count == o->room) {
        size_t room = o->room ? 2 * o->room : 16;
        struct outage *more = realloc(o->list, room * sizeof *more);
        if (!more) {
            return NULL;
        }
        o->list = more;
        o->room = room;
    }
    o->list[o->count] = (struct outage){.start = start, .end = start};
    return &o->list[o->count++];
}

static int
add_run(struct outage_list *o, struct instant start, struct span length, unsigned state)
{
    if (!is_down(o, state)) {
        /* It goes on through what does not count while it is not available there either. */
        o->open = o->open && !(state & LINE_STATE_AVAILABLE);
        return 0;
    }
    struct outage *last = o->open ? &o->list[o->count - 1] : add_outage(o, start);
    if (!last) {
        return -ENOMEM;
    }
    last->end = instant_add(start, length);
    last->length.ns += length.ns;
    o->open = true;
    return 0;
}

int
outage_add(struct outage_list *o, struct instant start, const void *states, size_t size)
{
    struct rd r = rd_of(states, size);
    uint8_t format = rd_u8(&r);
    int64_t dt = rd_ok(&r) && format == LINE_STATES_FORMAT ? dt_of(r) : 0;
    int err = 0;

    assert(start.ns >= o->until.ns);
    if (dt == 0) {
        return -EBADMSG;
    }
    o->open = o->open && start.ns == o->until.ns;
    for (o->until = start; r.left && !err;) {
        struct run run = read_run(&r);
        struct span length = span_of_ns((int64_t)run.count * dt);
        err = add_run(o, o->until, length, run.state);
        o->until = instant_add(o->until, length);
    }
    return err;
}
