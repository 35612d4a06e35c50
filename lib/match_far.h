/* match_far.h - which packets the far end received, as far as its replies tell.
 *
 * After match_state.h; before match_delay.h (true T3) and match_event.c, which has the
 * replies.  What it finds out stands in the bits 'yes' and 'no' of a session. */
#ifndef PLUMBLINE_MATCH_FAR_H
#define PLUMBLINE_MATCH_FAR_H

#include "match_state.h"

/* Takes what the first copy of a reply tells about this packet and others. */
void match_far_reply(struct match *m, uint64_t sequence, struct packet *p,
                     const struct exchange *e);

/* ... and an extra copy; the packet's summary counts it. */
void match_far_duplicate(struct match *m, uint64_t sequence, struct packet *p,
                         const struct exchange *e);

void match_far_follow_up(struct match *m, const struct exchange_follow_up *f);

/* The true T3 of a replied packet, or NULL. */
const struct follow_up *match_far_true_t3(const struct match *m, const struct packet *p);

#endif
