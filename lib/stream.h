/* stream.h - the source's side of the transport: spool to Redis stream, nothing
 * lost, nothing twice.
 *
 * After spool.h and redis.h.  Keys pl:{SOURCE}:t (stream, entry ID =
 * <epoch>-<sequence>, one field "b" with the batch), pl:{SOURCE}:ack (string,
 * written by the collector: "1 <committed> <want|-> <collector run> [<what is asked>]").  Rules in
 * design.md, transport plane: at most one unanswered request; after any error or
 * new connection resend from ack + 1 in order; "equal or smaller" is success
 * only for an ID sent before; a lower committed is ignored; want is obeyed.
 *
 * What the collector may rely on, and must do:
 *
 * - The stream holds IDs in order.  Within an epoch each sequence follows the one
 *   before; sequence 0 has EpochStart, also where it is a tombstone, and also
 *   where this module wrote it (an entry of EpochStart and dictionary alone, when
 *   records got new IDs).  Dictionaries outlive an epoch: entries after a new
 *   EpochStart may need one from before it.
 * - Let 'position' be the last ID read.  An entry not above it was read before:
 *   skip it (an older Redis was restored).  An entry (e, n) with n > 0 follows if
 *   position is (e, n-1).  An entry (e, 0) with EpochStart {P, L} follows if
 *   (P, L) = position; and it is also the next if P = 0 or (P, L) < position: the
 *   source knows of nothing between (its spool was lost or moved to another host),
 *   what lies between is an epoch gap.  Everything else is a gap: in ONE MULTI
 *   DEL the stream and SET the ack with want = (position.epoch, position.sequence
 *   + 1), or 0-0 when there is no position.
 * - 'want' is the ID that is needed next.  It need not exist: the source sends
 *   from the first ID that it ever gave at or after it, so the sequence after the
 *   last of an epoch means the epoch after it.  IDs that are known to have been
 *   given and are no longer kept come as tombstones with reason EXPIRED, each with
 *   its ID.  Known are all sequences of every epoch of which anything is kept and
 *   of the epoch before these.  If even that is later than want, the first entry
 *   is an (e, 0) with previous_epoch 0, which follows by the rule above: asking
 *   ends.  want = 0-0 asks for all that is kept, with no tombstones for what has
 *   expired: the first entry has any sequence.
 * - A want holds until the ack no longer names it.  While it is there and the
 *   stream neither begins at it nor is empty of IDs from it on, nothing is sent:
 *   the source waits for the DEL.  So an entry that raced with the DEL is a gap
 *   again, and DEL + SET are done again.
 * - At a claim: SET committed = the position in the database and want = "-" if the
 *   stream holds the entry after it or is empty, else as for a gap.
 * - After a commit SET the ack first (or in the same MULTI), XTRIM after; and both again
 *   every ten seconds: where Redis lost the ack, a source sends what is committed again,
 *   and its stream may be full of that. */
#ifndef PLUMBLINE_STREAM_H
#define PLUMBLINE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "redis.h"
#include "spool.h"
#include "telemetry.h"

struct stream_config {
    const char *source;
    const char *release; /* For EpochStart. */
    struct redis_config redis;
    struct span wait_first; /* How long to wait for Redis before the epoch is opened without it. */
    uint64_t bytes_max;     /* What may wait in the stream, uncommitted; past it the spool keeps it.
                             * 0: no bound. */
    struct span bytes_for; /* The bound never holds within so long a stretch of uncommitted delta-t:
                            * a collector commits whole intervals, and must get them first. */
    struct instant (*now)(void); /* NULL: instant_now(). */
};

struct stream_health {
    bool connected;
    bool caught_up;        /* All that is spooled has been taken by Redis. */
    struct position sent;  /* Last taken by Redis. */
    struct position acked; /* Last committed by a collector. */
    uint64_t resends, refused_oom, want_obeyed;
    uint64_t conflicts; /* New epochs because Redis held IDs that are not ours. */
    uint64_t full;      /* Times that the stream had reached its bound. */
    bool is_full;       /* It has: nothing is sent, and the spool keeps what follows. */
    uint64_t bytes;     /* In the stream, by our own count; at least so many. */
    uint64_t bad_acks;  /* Values of the ack key that could not be read. */
    char last_error[128];
};

struct stream;

/* Takes neither base nor spool; both outlive it.  The epoch is opened (and
 * 'on_open' called, once) when Redis has said what it holds, or after wait_first.
 * If Redis turns out to hold IDs of somebody else at or above ours, another epoch
 * is opened above them, and what was never sent goes there with new IDs; the
 * caller need not know.  NULL: out of memory, or the address is none. */
typedef void stream_open_fn(struct stream *s, const struct position *opened, void *aux);
struct stream *stream_new(struct event_base *base, struct spool *spool,
                          const struct stream_config *config, stream_open_fn *on_open, void *aux);
void stream_free(struct stream *s);

/* Whether the epoch is open; before that stream_append() is refused, and the
 * caller keeps its batch. */
bool stream_is_open(const struct stream *s);

/* Appends a batch to the spool and lets it go to Redis when its turn comes.  The
 * first batch that is appended must carry EpochStart: stream_epoch_start() fills
 * it ('release' there is the stream's).  0, -EBUSY (epoch not open yet), -EINVAL
 * (the first batch is no batch), -ENOMEM. */
void stream_epoch_start(const struct stream *s, Plumbline__Telemetry__EpochStart *out);
int stream_append(struct stream *s, const void *bytes, size_t size, struct instant from,
                  struct instant until);

/* From now on 'on_ask' gets what the collector asks behind its ack (doc/wire-format.md), each time
 * that the ack is read: 'text' is valid during the call. */
typedef void stream_ask_fn(const char *text, size_t size, void *aux);
void stream_on_ask(struct stream *s, stream_ask_fn *on_ask, void *aux);

void stream_health(const struct stream *s, struct stream_health *out);

#endif
