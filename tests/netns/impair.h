/* impair.h - what an emulated link does to packets of one direction, and the
 * text commands that change it while it runs.
 *
 * After nstime.h, before linkemu.c.  Does no I/O: the caller says when a packet
 * came and gets its fate.  Each packet draws the same number of random values
 * whatever the settings are, so that one seed gives one sequence of fates for
 * one sequence of packets.
 *
 * Commands (one line each; a wrong one changes nothing):
 *   fwd|bwd|both KEY VALUE ...   loss P, dup P, reorder P, by SPAN, delay SPAN, jitter SPAN
 *   cut fwd|bwd|both             everything (of UDP) is lost from now on
 *   mend fwd|bwd|both            ends a cut
 *   lose fwd|bwd|both N [dscp D] the next N packets (of that DSCP) in a row are lost
 *   reset                        nothing is harmed and nothing delayed
 * P is a share ("2%", "0.5%"), SPAN has a unit ("300us", "5ms", "1.5s"). */
#ifndef PLUMBLINE_IMPAIR_H
#define PLUMBLINE_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

enum impair_action {
    IMPAIR_PASS,
    IMPAIR_LOST, /* By chance. */
    IMPAIR_CUT,
    IMPAIR_BURST, /* One of `lose N`. */
};

/* One direction.  Shares are in millionths. */
struct impair {
    struct span delay;
    struct span jitter; /* Uniform in [-jitter, jitter]; never changes the order. */
    struct span hold;   /* A reordered packet is held so much longer. */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    bool cut;
    uint32_t lose;   /* So many more are lost in a row ... */
    int lose_dscp;   /* ... of this DSCP; -1: of any. */
    uint64_t random; /* State of the generator. */
    struct instant last_due;
};

struct impair_fate {
    enum impair_action action;
    struct instant due; /* When to send it; valid if it passes. */
    bool duplicate;     /* Send it twice. */
    bool reordered;     /* It is held longer, and later packets overtake it. */
};

/* A link that harms nothing. */
void impair_init(struct impair *d, uint64_t seed);

/* The fate of a packet of 'dscp' that came at 'rx'. */
struct impair_fate impair_decide(struct impair *d, struct instant rx, unsigned dscp);

/* Obeys 'text' for the two directions of a link (0: fwd, 1: bwd).  0; or -EINVAL,
 * with what is wrong in 'error' and both directions as they were. */
int impair_command(struct impair directions[2], const char *text, char *error, size_t error_size);

/* "pass", "lost", "cut", "burst". */
const char *impair_action_name(enum impair_action action);

#endif
