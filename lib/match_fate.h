/* match_fate.h - what became of a packet: received, lost on which way, or unknown.
 *
 * After match_delay.h and match_far.h (what the far end told); before match.c, which
 * asks when a delta-t becomes final. */
#ifndef PLUMBLINE_MATCH_FATE_H
#define PLUMBLINE_MATCH_FATE_H

#include "match_state.h"

/* Decides the fate of each packet of 'o', whose packets are the oldest in the window; adds
 * it to the summary, tells it, and takes the packet out.  'end': what is out since less
 * than Tmax then is unknown. */
void match_fate_settle(struct match *m, const struct open_dt *o, struct instant end,
                       const struct match_sinks *sinks);

#endif
