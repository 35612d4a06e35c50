/* tally.h - what is counted of one way (link, class, direction) for one scope: the link itself, or
 * a service over it, each with exclusions of its own.
 *
 * After measured.h and availability.h, before objective.h (verdicts).  Does no I/O.  Tallies merge
 * without loss: a month is the sum of its quarter hours.
 *
 * W is the delta-t of a time outside exclusions.  Qualified (MEF 10.2.1): sent in a delta-t with
 * A(k) = 1 in W.  Delay and loss are of qualified packets, flr_raw of all in W.
 *
 * Suspect delta-t (measured.h) count as any other, but that a contract may leave their delays out.
 * A flow's delay samples are suspect by its own flags.  A clock error, or a negative delay, makes
 * one-way delays suspect, and neither a round trip nor IFDV, in which a wrong clock cancels. */
#ifndef PLUMBLINE_TALLY_H
#define PLUMBLINE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "availability.h"
#include "bytes.h"
#include "hist.h"
#include "measured.h"

/* Why a delta-t is not in W.  The least number wins where several apply. */
enum exclusion_kind {
    EXCLUSION_NONE,
    EXCLUSION_NOT_IN_SERVICE,
    EXCLUSION_MAINTENANCE,
    EXCLUSION_CUSTOMER,
    EXCLUSION_THIRD_PARTY,
    EXCLUSION_FORCE_MAJEURE,
    EXCLUSION_AGREED,
    EXCLUSION_UNDETERMINED, /* undetermined: excluded, of the SLA. */
    EXCLUSION_KINDS
};

struct tally_config {
    enum direction direction;        /* Of the way. */
    uint32_t p;                      /* Of the class. */
    uint64_t suspect_clock_error_ns; /* A greater clock error makes one-way delay suspect: a tenth
                                        of the least one-way limit; UINT64_MAX: no such limit. */
    bool suspect_excluded;           /* Suspect delta-t give no delay samples. */
    bool ifdv;                       /* Keep IFDV histograms. */
    uint32_t ifdv_limits;            /* Bit i: over[i] counts IFDV samples, not delays. */
};

struct tally {
    /* Delta-t: total = sum of excluded[] (excluded[EXCLUSION_NONE] is W). */
    uint64_t excluded[EXCLUSION_KINDS];
    uint64_t available; /* In W with A = 1; the rest of W was not. */
    uint64_t undetermined_available,
        undetermined_unavailable;         /* In W and in the above, by the last state. */
    uint64_t suspect, witness, not_whole; /* In W. */
    struct high_loss_counts high_loss;
    uint64_t outages; /* Changes to A = 0 in W. */
    /* Packets.  duplicate, reordered and late of a clean row are left out as its delays are. */
    uint64_t sent, lost, lost_undirected, received, duplicate, reordered, late; /* Qualified. */
    uint64_t sent_raw, lost_raw;                                                /* In W. */
    /* Delays, qualified.  Never clamped: a negative one is kept. */
    uint64_t delay_count;
    int64_t delay_sum_ns;               /* Modulo 2^64, as in summary.h. */
    int64_t delay_min_ns, delay_max_ns; /* Valid if delay_count > 0. */
    uint64_t over[SERIES_LIMITS_MAX];
    /* Delays of rows that did not count limit i (it came later, or the probe does not have it
     * yet): unless 0, over[i] says too little, and the histogram has to answer. */
    uint64_t not_compared[SERIES_LIMITS_MAX];
    uint64_t delay_left_out;  /* Samples of clean rows only part of which qualifies. */
    uint64_t clock_error_ns;  /* Greatest of those delays; UINT64_MAX: of some not known. */
    struct hist *hist, *ifdv; /* The tally's own; NULL: nothing was added. */
};

void tally_init(struct tally *t);
void tally_fini(struct tally *t);

/* Empties 't', keeping its memory. */
void tally_clear(struct tally *t);

/* What goes on from one interval to the next: chli run, whether the last delta-t in W was
 * available. */
struct tally_state {
    struct high_loss high_loss;
    bool available;
};

/* Begins after a delta-t of W whose A was 'available' (true if there was none). */
struct tally_state tally_state_begin(bool available);

/* Adds one interval: 'available' (0, 1) and 'excluded' (enum exclusion_kind) of each of its
 * measured_count() delta-t.  An excluded delta-t ends a run of high loss intervals.  0 or -ENOMEM,
 * -EOVERFLOW, -EBADMSG (a histogram does not decode, or holds another number of samples than was
 * said); after an error 't' and 's' are of no more use. */
int tally_add(struct tally *t, struct tally_state *s, const struct tally_config *c,
              struct availability_params p, const struct measured *m, const uint8_t *available,
              const uint8_t *excluded);

/* Adds 'from'.  0, -ENOMEM, -EOVERFLOW; after an error 't' is of no more use. */
int tally_merge(struct tally *t, const struct tally *from);

/* Puts limits into another order: map[i] is where limit i is in 't' now, -1 where 't' does not have
 * it; then nothing was compared with it.  Bit i of 'ifdv_limits' as in struct tally_config. */
void tally_map_limits(struct tally *t, const int8_t map[SERIES_LIMITS_MAX], uint32_t ifdv_limits);

/* --- As it is stored (doc/wire-format.md, tally) ----------------------------- */

/* Appends the encoding to 'out' (bytes_ok() says whether memory sufficed). */
void tally_encode(const struct tally *t, struct bytes *out);

/* Reads an encoding into 't', which was initialised; what it held is forgotten.  0, -ENOMEM, or
 * -EBADMSG (another format, cut short, bytes left, or figures that contradict each other): then
 * 't' is empty. */
int tally_decode(struct tally *t, const void *bytes, size_t size);

#endif
