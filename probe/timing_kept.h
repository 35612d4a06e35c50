/* timing_kept.h - what the timing thread of one process leaves to that of the next: sockets and
 * what is on its way through them, how far each session is, what the reflector has received of
 * whom.
 *
 * After lib/ sender.h and reflector.h; before timing.h, which says when, and handover.h, which has
 * it in bytes. */
#ifndef PLUMBLINE_TIMING_KEPT_H
#define PLUMBLINE_TIMING_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reflector.h"
#include "sender.h"

struct timing_socket {
    int fd;         /* -1: not handed over (again). */
    bool reflector; /* At most one; the others are the sender's, in the order of its slots. */
    struct sender_socket is;
    uint32_t waiting_first, waiting_count; /* Of timing_kept.waiting. */
};

struct timing_kept {
    struct timing_socket *sockets;
    size_t socket_count;
    struct tstamp_waiting *waiting;
    size_t waiting_count;
    struct sender_progress *sessions;
    size_t session_count;
    struct reflector_kept *reflected;
    size_t reflected_count;
    uint32_t epoch, begun_again; /* Of the reflector. */
};

/* What 'sender' and 'reflector' have; nobody may be at work on them, but for their sockets alone
 * (not 'whole').  The descriptors stay theirs.  0 or -ENOMEM; timing_kept_fini() whatever it was.
 */
int timing_kept_take(struct timing_kept *out, const struct sender *sender,
                     const struct reflector *reflector, bool whole);
void timing_kept_fini(struct timing_kept *k);

/* All that changed since 'sender' and 'reflector' took the sockets of 'k', which are in the order
 * that they were taken in.  0 or negative errno. */
int timing_kept_resume(const struct timing_kept *k, struct sender *sender,
                       struct reflector *reflector);

#endif
