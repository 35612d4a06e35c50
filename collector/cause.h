/* cause.h - which symptoms have one cause: what came within 'gather' and can be explained by one
 * risk, router, probe or site all of whose measured links went, else link by link.
 *
 * After reach.h; before problem.h and desk.h, which make problems of what comes out.  Does no I/O;
 * 'now' is given.  Takes time in proportion to what is bad, and to the links of the candidates that
 * this could be.
 *
 * A candidate that is all bad explains its links; where several do, the one that explains most,
 * and of equals risk before router before probe before site.  One that is half bad (3 links or
 * more) is waited for up to 3 x gather.  A link does not count where nobody is left to measure it:
 * all its senders are silent; and where a probe is silent, one link is enough.  Symptoms of an
 * object of which a problem is open join that at once, as do those under its cause. */
#ifndef PLUMBLINE_CAUSE_H
#define PLUMBLINE_CAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"
#include "reach.h"
#include "symptom.h"

#define CAUSE_NONE UINT32_MAX /* In 'cause': nothing is decided, what waits waits. */

/* Something is wrong with one object; one item an object and 'what'. */
struct cause_item {
    uint32_t object; /* Its number in the reach. */
    enum symptom_what what;
    bool pending;         /* There are alarms that are of no problem, */
    struct instant since; /* the first of them recorded then. */
    uint32_t open;        /* Which of the problems has this object, CAUSE_NONE: none has. */
    uint32_t cause;       /* Out: of what is pending. */
};

/* A problem that is open, or ended so lately that what comes now is the same episode. */
struct cause_open {
    enum inv_cause kind;
    const char *key;
    struct instant opened;
    unsigned whats; /* Bits 1 << enum symptom_what of what it has, or had. */
    bool ended;     /* Lately. */
    bool has_links; /* It has, or had, symptoms of links. */
    uint32_t cause; /* Out: it becomes, or is merged into this; else CAUSE_NONE. */
};

/* One cause, and the problem for it. */
struct cause {
    enum inv_cause kind;
    const char *key;
    uint32_t keep; /* Which of the problems it is from now on; CAUSE_NONE: a new one. */
};

struct cause_times {
    struct instant now;
    struct span gather;
    struct span together; /* A problem that is older than that is never merged into another. */
};

/* Decides; '*out' is the caller's to free.  Problems must be in the order of their age.  0 or
 * -ENOMEM. */
int cause_find(const struct reach *r, const struct cause_times *t, struct cause_item *items,
               size_t item_count, struct cause_open *open, size_t open_count, struct cause **out,
               size_t *out_count);

#endif
