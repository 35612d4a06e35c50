/* mtu.c - full-size packets beside small ones. */
#include "mtu.h"

void
mtu_init(struct mtu_watch *w, struct span patience)
{
    *w = (struct mtu_watch){.patience = patience};
}

void
mtu_sent(struct mtu_watch *w, uint32_t sequence, struct instant at)
{
    w->sent[sequence % MTU_OUT].sequence = sequence;
    w->sent[sequence % MTU_OUT].at = at;
    w->sent[sequence % MTU_OUT].out = true;
}

void
mtu_returned(struct mtu_watch *w, uint32_t sequence)
{
    if (w->sent[sequence % MTU_OUT].out && w->sent[sequence % MTU_OUT].sequence == sequence) {
        w->sent[sequence % MTU_OUT].out = false;
        w->lost = 0;
        w->back++;
    }
}

void
mtu_refused(struct mtu_watch *w)
{
    w->back = 0;
    w->lost++;
}

void
mtu_small(struct mtu_watch *w, struct instant at)
{
    w->small_at = at;
}

enum mtu_verdict
mtu_judge(struct mtu_watch *w, struct instant now)
{
    for (unsigned i = 0; i < MTU_OUT; i++) {
        if (!w->sent[i].out || instant_sub(now, w->sent[i].at).ns <= w->patience.ns) {
            continue;
        }
        w->sent[i].out = false;
        w->back = 0;
        /* Without a small reply since it was sent nothing passes at all. */
        w->lost = instant_before(w->sent[i].at, w->small_at) ? w->lost + 1 : 0;
    }
    if (!w->hole && w->lost >= MTU_RUN) {
        w->hole = true;
        return MTU_HOLE;
    }
    if (w->hole && w->back >= MTU_RUN) {
        w->hole = false;
        return MTU_MENDED;
    }
    return MTU_AS_BEFORE;
}
