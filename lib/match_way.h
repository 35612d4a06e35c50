/* match_way.h - what replies show of the way of a session (TTL, DSCP, the floor), and
 * that it changed.
 *
 * After match_state.h; before match_event.c, which has the replies, and match.c. */
#ifndef PLUMBLINE_MATCH_WAY_H
#define PLUMBLINE_MATCH_WAY_H

#include "match_state.h"

/* Takes what a reply shows of the way; 'o' is its packet's. */
void match_way_reply(struct match *m, struct open_dt *o, const struct exchange *e);

/* Tells what changed, once, when 'o' becomes final. */
void match_way_tell(struct match *m, const struct open_dt *o, const struct match_sinks *sinks);

#endif
