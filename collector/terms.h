/* terms.h - which version of an SLA holds for a period, and what of it the lines of a service go
 * by.
 *
 * After judgeplan.h and judgestore.h, before promise.h.  The versions that are no longer in the
 * inventory are read from the generations that had them, in the transaction that its caller began.
 */
#ifndef PLUMBLINE_TERMS_H
#define PLUMBLINE_TERMS_H

#include "judgeplan.h"
#include "judgestore.h"

/* One version, and whose it is. */
struct terms {
    const struct inv_sla *sla;
    struct inventory *older; /* NULL: it is the newest, of the inventory at hand. */
    struct instant from;     /* It holds from then on: 'start', or the first version's day. */
};

/* The version of the service's SLA that was valid at 'start' (of a period), else the first that
 * ever was.  The service has an SLA.  0, -EIO, -ENOMEM; terms_fini() in any case. */
int terms_at(struct judgestore *s, const struct inv_service *service, struct instant start,
             struct terms *out);
void terms_fini(struct terms *t);

/* What the service's lines count by: 'now' before p->period_end, 'next' from there on, for they may
 * be further than the period that is published next. */
void terms_apply(struct promise *p, const struct inv_sla *now, const struct inv_sla *next);

#endif
