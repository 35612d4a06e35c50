/* clockstate.h - how far this host's clock may be from UTC, and who says so.
 *
 * After nstime.h and wire.h; read once a second by the probe's summarising half.
 * The bound is the clock daemon's where there is one (chrony's root distance:
 * |correction| + root dispersion + root delay / 2; RFC 5905, section 11.2), the
 * kernel's where there is none (adjtimex(2) maxerror, which grows 500 ppm
 * between two updates and so is far above what a daemon knows). */
#ifndef PLUMBLINE_CLOCKSTATE_H
#define PLUMBLINE_CLOCKSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

enum clock_authority { CLOCK_AUTHORITY_KERNEL, CLOCK_AUTHORITY_CHRONY };

struct clockstate {
    bool synchronised;    /* To UTC by an outside source. */
    uint64_t error_ns;    /* Bound; UINT64_MAX when not known. */
    int32_t tai_offset_s; /* TAI - UTC, 0 when no daemon has set it. */
    enum clock_authority authority;
};

/* Asks the kernel.  Never fails: a clock that cannot be asked is not
 * synchronised and has no bound. */
void clockstate_read(struct clockstate *out);

/* Asks chrony on loopback too, without waiting: a call sends the question whose
 * answer a later call takes.  An answer counts for CLOCKDAEMON_FRESH_NS. */
#define CLOCKDAEMON_FRESH_NS (5 * NS_PER_S)
struct clockdaemon {
    int fd; /* -1: no daemon can be asked. */
    uint32_t sequence;
    struct span answered; /* Monotonic; 0: never. */
    bool synchronised;
    uint64_t error_ns;
    struct span asked; /* The error grows from here until the answer is used. */
};

/* 'port' is chrony's cmdport, 323 unless changed.  Never fails; without a socket
 * the kernel is asked alone. */
void clockdaemon_open(struct clockdaemon *d, uint16_t port);
void clockdaemon_close(struct clockdaemon *d);
void clockdaemon_read(struct clockdaemon *d, struct clockstate *out);

/* Chrony's report on tracking (its protocol version 6, reply 5).  false if it is
 * not one, or not the answer to 'sequence'. */
bool clockdaemon_parse(const void *bytes, size_t size, uint32_t sequence, bool *synchronised,
                       uint64_t *error_ns);

/* CLOCK_REALTIME against CLOCK_MONOTONIC: the jump since the call before, if it
 * is more than 'threshold', else 0.  Zero-initialise 'w' first. */
struct clockstep_watch {
    bool begun;
    int64_t offset_ns;
};
struct span clockstep_check(struct clockstep_watch *w, struct span threshold);

#endif
