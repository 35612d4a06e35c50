/* mtu.h - whether full-size packets get through where small ones do.
 *
 * Before agent.h, which feeds it from exchange.h's events.  Does no I/O; time is
 * the caller's.  A link with an 'mtu' sends one packet a second of that many IP
 * octets that may not be cut (DF).  Three lost in a row, while small ones of the
 * link came back meanwhile, are an MTU black hole; three in a row that come back
 * end it.  Where small ones are lost too, the link is down, and that is another
 * matter. */
#ifndef PLUMBLINE_MTU_H
#define PLUMBLINE_MTU_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

enum { MTU_RUN = 3, MTU_OUT = 8 };

struct mtu_watch {
    struct span patience; /* Longer than this without an answer is lost. */
    struct {
        uint32_t sequence;
        struct instant at;
        bool out;
    } sent[MTU_OUT];         /* By sequence. */
    struct instant small_at; /* The last small reply. */
    unsigned lost, back;     /* In a row. */
    bool hole;
};

enum mtu_verdict { MTU_AS_BEFORE, MTU_HOLE, MTU_MENDED };

void mtu_init(struct mtu_watch *w, struct span patience);

/* A full-size packet went out; came back; was refused by our own kernel (whose
 * interface takes less), which is as good as lost. */
void mtu_sent(struct mtu_watch *w, uint32_t sequence, struct instant at);
void mtu_returned(struct mtu_watch *w, uint32_t sequence);
void mtu_refused(struct mtu_watch *w);

/* A small packet of the same link came back. */
void mtu_small(struct mtu_watch *w, struct instant at);

/* What that makes of it by 'now': a change is told once. */
enum mtu_verdict mtu_judge(struct mtu_watch *w, struct instant now);

#endif
