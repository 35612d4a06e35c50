/* history.h - which packets of a session a reflector has received, and which of
 * them twice: the reception report's source.
 *
 * Before reflector.h, which has one for each session.  Does no I/O; time comes
 * with each packet. */
#ifndef PLUMBLINE_HISTORY_H
#define PLUMBLINE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

enum { HISTORY_BITS = 256, HISTORY_WINDOW = 128 };

/* Bit i (from the lowest of word 0) is sequence highest - i. */
struct history {
    uint64_t bits[HISTORY_BITS / 64];
    uint32_t highest;
    uint32_t received;
    uint32_t duplicates;
    int64_t highest_t1_ns;    /* T1 of 'highest'; 0: it had none. */
    struct span last, before; /* Monotonic, of the last two that were taken. */
    bool begun;
};

enum history_verdict { HISTORY_NEW, HISTORY_DUPLICATE, HISTORY_REPLAYED, HISTORY_RESTARTED };

/* Takes a packet of T1 't1_ns' (0: not known).  The sender began anew when a
 * sequence that is not after the highest has a T1 after that one's (a copy never
 * has), or when such a one comes after silence: over a second, and over eight
 * times the last two packets' distance. */
enum history_verdict history_add(struct history *h, uint32_t sequence, int64_t t1_ns,
                                 struct span mono);

/* The 128 sequences before 'sequence'. */
void history_bitmap(const struct history *h, uint32_t sequence, uint8_t bitmap[16]);

#endif
