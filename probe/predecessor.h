/* predecessor.h - the process whose place this one takes, seen from here.
 *
 * The other side of successor.h, where the order of messages is. */
#ifndef PLUMBLINE_PREDECESSOR_H
#define PLUMBLINE_PREDECESSOR_H

#include <event2/event.h>

#include "handover.h"

struct predecessor;

/* Says hello over 'fd' (--successor) as 'release', and waits for the first state, with its
 * descriptors in h->timing.sockets.  0 or negative errno, told in the log; 'fd' is taken. */
int predecessor_greet(struct predecessor **out, int fd, const char *release, struct handover *h);

/* Says that all is ready, and waits for the last state. */
int predecessor_ready(struct predecessor *p, struct handover *h);

/* From now on this process is the probe, but does not have the sessions of these indexes.
 * The other one wants to know what becomes of its
 * packets until it closes the channel: then 'on_end' is called, once. */
enum { PREDECESSOR_GONE_MAX = 16000 };
int predecessor_taken(struct predecessor *p, const uint32_t *gone, size_t gone_count,
                      struct event_base *base, void (*on_end)(void *aux), void *aux);

/* Hands 'e' on; NULL: that was all for now. */
void predecessor_tell(struct predecessor *p, const struct exchange *e);

/* NULL is fine. */
void predecessor_free(struct predecessor *p);

#endif
