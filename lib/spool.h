/* spool.h - batches on disk before they are sent, until they are no longer
 * wanted.
 *
 * After telemetry.h, before stream.h.  A spool is a folder of segment files, one
 * run of records of one epoch each; format in doc/wire-format.md.  Each record
 * has its sequence, the delta-t starts that it covers, and CRC-32C over header
 * and payload apart, so that a damaged payload still says what it covered.
 * Does no network I/O and takes 'now'.
 *
 * Full disk: first acknowledged segments go; then batches wait in memory, at
 * most 'memory_bytes'; then the oldest of these become tombstones.  Nothing
 * stops, and spool_health() says so. */
#ifndef PLUMBLINE_SPOOL_H
#define PLUMBLINE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

/* Greatest payload of one record. */
#define SPOOL_RECORD_MAX (16u << 20)

/* <epoch>-<sequence>, the ID of a stream entry.  {0, 0} is before all; no epoch
 * is 0. */
struct position {
    uint64_t epoch;
    uint64_t sequence;
};

static inline int
position_compare(struct position a, struct position b)
{
    if (a.epoch != b.epoch) {
        return a.epoch < b.epoch ? -1 : 1;
    }
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

/* The position just before 'p', which need not have been given: what comes
 * after it begins with 'p'. */
static inline struct position
position_before(struct position p)
{
    if (p.sequence > 0) {
        return (struct position){p.epoch, p.sequence - 1};
    }
    return p.epoch > 0 ? (struct position){p.epoch - 1, UINT64_MAX} : p;
}

struct spool_config {
    const char *folder;     /* Made if it is not there, mode 0700. */
    const char *source;     /* For the tombstones. */
    struct span keep;       /* Acknowledged records stay so long ... */
    uint64_t keep_bytes;    /* ... or until they are more than this. */
    uint64_t segment_bytes; /* A segment is closed past this size. */
    uint64_t memory_bytes;  /* Bound of what waits in memory when the disk is full. */
    uint64_t disk_bytes;    /* Bound of the whole folder; 0: the disk's. */
};

struct spool_health {
    uint64_t bytes;     /* On disk. */
    uint64_t unacked;   /* Records not acknowledged. */
    uint64_t in_memory; /* Records that wait in memory. */
    uint64_t damaged;   /* Records found damaged since open. */
    uint64_t dropped;   /* Batches that became tombstones for want of room. */
    bool disk_full;
    int last_errno;
};

struct spool;

/* Opens the folder, reads each segment's headers, cuts off nothing: a torn or
 * damaged record becomes a tombstone when it is read.  0 or negative errno
 * (-EWOULDBLOCK: another process has it open; -EPROTONOSUPPORT: a later release
 * wrote it in a format that this one does not read). */
int spool_open(struct spool **out, const struct spool_config *config);
void spool_close(struct spool *s);

/* The last record of the newest epoch ({0,0} if there is none), and the ack
 * kept on disk. */
struct position spool_last(const struct spool *s);
struct position spool_acked(const struct spool *s);

/* The greatest 'until' that any record had, also of those let go: every
 * delta-t start before it was emitted, and is not emitted again, across epochs;
 * a start equal to it may be.  0 if none. */
struct instant spool_covered_until(const struct spool *s);

/* Whether 'p' is an ID that this spool gave or that it knows to lie before what
 * it gave (spool_begin_epoch_after()). */
bool spool_knows(const struct spool *s, struct position p);

/* Begins 'epoch' (greater than spool_last().epoch): sequence from 0.  Returns
 * 0, -EINVAL, or an error of the disk, which does not stop the epoch.  The first
 * form names spool_last() as the ID before it, the second says which it was
 * ({0,0}: not known). */
int spool_begin_epoch(struct spool *s, uint64_t epoch);
int spool_begin_epoch_after(struct spool *s, uint64_t epoch, struct position previous);

/* What the running epoch is, the sequence that the next record gets, and the ID
 * before the epoch.  Epoch 0: none was begun. */
struct position spool_upcoming(const struct spool *s);
struct position spool_previous(const struct spool *s);

/* Appends a batch to the epoch begun; it has 'position' afterwards, whether it
 * is on disk or (disk full) in memory.  [from, until) are the delta-t starts that
 * it covers; both 0: none.  Never fails but with -ENOMEM; then no position was
 * used. */
int spool_append(struct spool *s, const void *bytes, size_t size, struct instant from,
                 struct instant until, struct position *position);

/* fsync of what was appended, after writing what waits in memory if there is
 * room again; call each second (the stream also does, before it sends). */
int spool_sync(struct spool *s);

struct spool_record {
    struct position position;
    const uint8_t *bytes; /* The spool's, until the next call on it. */
    size_t size;
    struct instant from, until; /* As appended; of a tombstone: what is unknown. */
    bool tombstone;             /* Made here, in the place of a damaged or dropped record. */
};

/* The first record after 'after'; epochs in order.  1: '*out' is it; 0: there
 * is none; -ENOMEM.  A damaged or dropped record comes as a tombstone batch
 * (telemetry.proto) with its own position.
 *
 * {0,0} asks for the first that is kept.  Any other 'after' gets every ID that
 * is known to have been given, in order, also those let go since: these come as
 * tombstones with reason EXPIRED.  Known are all sequences of an epoch up to its
 * last one, for each epoch of which a segment is kept and for the one before the
 * oldest of these.  A tombstone's span: from 0 is "not known from where" (from
 * what the reader has already), until 0 "not known up to where" (up to what
 * comes next); from = until, not 0, covered nothing.  A tombstone for sequence 0
 * also has an EpochStart, so that the chain of epochs holds. */
int spool_next(struct spool *s, struct position after, struct spool_record *out);

/* Gives every record after 'after' a new ID, for they can no longer be sent under
 * their own: begins 'epoch' after 'previous' with the record 'start' (sequence 0,
 * covering nothing), then writes them again in order, each as 'rewrite' makes it,
 * and forgets their old IDs.  All of it or, whatever happens to disk or process,
 * nothing.  0; -EINVAL; -ENOSPC and others of the disk: nothing has changed. */
typedef int spool_rewrite_fn(void *aux, const struct spool_record *old, const uint8_t **bytes,
                             size_t *size);
int spool_rebase(struct spool *s, uint64_t epoch, struct position previous, struct position after,
                 const void *start, size_t start_size, spool_rewrite_fn *rewrite, void *aux);

/* What lies up to and including 'acked' is committed: keeps that on disk, and
 * lets go of what 'keep' and 'keep_bytes' no longer hold.  A lower 'acked' than
 * before is ignored. */
int spool_ack(struct spool *s, struct position acked, struct instant now);

void spool_health(const struct spool *s, struct spool_health *out);

/* CRC-32C (Castagnoli), as the records have it. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
/* The same without the processor's instruction, for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *bytes, size_t size);

#endif
