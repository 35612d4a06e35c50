/* assemble.h - the stream of one source becomes intervals that can be written.
 *
 * After telemetry.h (decoded batches) and assemble_session.h, before row.h and
 * store.h.  Does no I/O; time comes from the batches and 'now', so that simulated
 * time tests it.  Holds what is not decided yet in wire encoding, and knows which
 * position of the stream is safe to commit: the last before anything that a not
 * yet written interval needs.  So a collector that starts at the committed
 * position comes to the same rows.
 *
 * A source's time advances only by its own stream: an interval is over when a
 * batch's final_until passes its end.  A delta-t that did not come is unknown
 * where a tombstone, an undecodable batch or a change of epoch says why, and
 * absent otherwise. */
#ifndef PLUMBLINE_ASSEMBLE_H
#define PLUMBLINE_ASSEMBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "assemble_liveness.h"
#include "assemble_session.h"
#include "bytes.h"
#include "counter.h"
#include "nstime.h"
#include "row.h"
#include "series.h"
#include "spool.h"
#include "telemetry.h"

/* A delta-t further ahead of the collector's clock is refused. */
#define ASSEMBLE_AHEAD_NS (60 * NS_PER_S)

/* Undecided bytes of one source.  Past it the source waits, un-acked. */
#define ASSEMBLE_HELD_MAX (256u << 20)

enum assemble_count {
    ASSEMBLE_SUMMARIES,
    ASSEMBLE_TOMBSTONES,
    ASSEMBLE_EPOCHS,
    ASSEMBLE_EPOCH_UNLINKED,     /* A first entry that names no epoch that we know. */
    ASSEMBLE_REFUSED_TRUST,      /* Summaries of a link that is not this source's. */
    ASSEMBLE_REFUSED_AHEAD,      /* Over 60 s ahead of our clock. */
    ASSEMBLE_REFUSED_OLD,        /* Before 2000: a clock that was never set. */
    ASSEMBLE_REFUSED_LATE,       /* Starts before what the source said to be final. */
    ASSEMBLE_REFUSED_REPEATED,   /* A delta-t that came before. */
    ASSEMBLE_REFUSED_NO_SESSION, /* The dictionary's entry for it was lost. */
    ASSEMBLE_HELD_FULL,
    ASSEMBLE_COUNTS
};
extern const char *const assemble_count_names[ASSEMBLE_COUNTS];

/* Whether the inventory gives this session to this source. */
typedef bool assemble_trust_fn(const char *source, const struct session_key *key, void *aux);

struct assemble_config {
    const char *source;
    struct span interval;
    struct span expiry; /* Unknown delta-t are written for so long a silence at most. */
    assemble_trust_fn *trust;
    void *aux;
    struct counter *counters; /* ASSEMBLE_COUNTS; may be shared by the sources of a thread. */
};

struct assemble;

/* 'position' and 'written_until' are the committed ones ({0,0} and 0 at first).
 * NULL when memory is out. */
struct assemble *assemble_new(const struct assemble_config *config, struct position position,
                              struct instant written_until);
void assemble_free(struct assemble *a);

/* Adds an entry of the dictionary as stored; before the first batch.  It counts
 * as retired until assemble_current() or a dictionary names it: nothing is
 * missed of it.  0 or -ENOMEM. */
int assemble_know(struct assemble *a, const struct session_key *key);

/* The inventory has this session, so it runs in the epoch that is being read. */
void assemble_current(struct assemble *a, int64_t session_id);

enum assemble_next { ASSEMBLE_TAKE, ASSEMBLE_OLD, ASSEMBLE_GAP };

/* What the entry at 'p' is: the next one, one that was read already, or one
 * after a gap.  'batch' is NULL if it does not decode. */
enum assemble_next assemble_expect(const struct assemble *a, struct position p,
                                   const pb_batch *batch);

/* The entry that must come next ({e, s}: s of the epoch that is being read; the
 * first of another epoch may come in its place).  {0, 0}: all that there is. */
struct position assemble_wanted(const struct assemble *a);

/* Where nothing was read yet: the source has nothing before 'p', which need not
 * be the first of its epoch. */
void assemble_begin_at(struct assemble *a, struct position p);

/* Takes the next entry: 'bytes' are the batch as it came, 'batch' the same
 * parsed.  0, -ENOMEM, or -ENOBUFS (ASSEMBLE_HELD_MAX; nothing is taken). */
int assemble_take(struct assemble *a, struct position p, const pb_batch *batch, const void *bytes,
                  size_t size, struct instant now);

/* Takes the next entry, which does not decode: what it held is unknown. */
int assemble_take_lost(struct assemble *a, struct position p);

/* The oldest interval that is over, if there is one: rows may be made of it. */
bool assemble_over(struct assemble *a, struct instant *start, uint32_t *seconds);

/* Calls 'fn' for each session that has something in that interval: 'records' of
 * each direction of the link, consecutive delta-t from 'start' on.  'lost': some
 * delta-t has loss.  Stops at the first non-zero and returns it; -ENOMEM. */
typedef int assemble_rows_fn(const struct assemble_session *s,
                             struct dt_record *const records[DIRECTIONS], size_t count, bool clean,
                             bool lost, void *aux);
int assemble_rows(struct assemble *a, assemble_rows_fn *fn, void *aux);

/* The source's own life in that interval, encoded (doc/wire-format.md, rows);
 * size 0: nothing was said.  The assembler's until assemble_done(). */
const uint8_t *assemble_liveness(struct assemble *a, size_t *size);

/* Lets go of that interval: it counts as written. */
void assemble_done(struct assemble *a);

struct position assemble_read(const struct assemble *a); /* Last entry taken. */
struct position assemble_safe(const struct assemble *a);

struct instant assemble_written_until(const struct assemble *a);
struct instant assemble_final_until(const struct assemble *a);
size_t assemble_held(const struct assemble *a);

/* The session of that identifier, if the dictionary has named it; else NULL. */
const struct assemble_session *assemble_session(const struct assemble *a, int64_t id);

/* All sessions, as a list by 'next'. */
struct assemble_session *assemble_sessions(struct assemble *a);
size_t assemble_session_count(const struct assemble *a);

#endif
