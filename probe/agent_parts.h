/* agent_parts.h - what the files of agent.h share, and nobody else.
 *
 * Each calls those before it: agent_batch.c (what goes into a batch), agent_session.c (sessions,
 * and what match tells of them), agent.c (the ring, each second, life). */
#ifndef PLUMBLINE_AGENT_PARTS_H
#define PLUMBLINE_AGENT_PARTS_H

#include "agent.h"
#include "clockstate.h"
#include "liveness.h"
#include "log.h"
#include "match.h"
#include "mtu.h"
#include "tally.h"
#include "telemetry.h"

/* What match counts of a far end that is not to be believed, and of changes on the
 * way: told by name. */
enum {
    FAR_FIRST = MATCH_BAD_REFLECTOR_TIME,
    FAR_LAST = MATCH_BELOW_FLOOR,
    FAR_COUNTS = FAR_LAST - FAR_FIRST + 1
};

struct agent_session {
    struct session_key key;
    uint64_t far_told[FAR_COUNTS];
    int64_t id;
    struct match *match; /* NULL: of full-size packets, which are watched and not measured. */
    uint32_t mtu;        /* ... of so many IP octets. */
    struct mtu_watch watch;
    uint32_t large; /* Index of the link's full-size packets; UINT32_MAX: none. */
    struct log_bucket bucket;
    bool in_plan; /* Used while a plan is replaced. */
    /* Of a process that goes on where another stopped: its packets are those from the first
     * on that is sent at 'begin' or later. */
    struct instant begin; /* 0: all are. */
    bool begun;
    uint32_t first;
};

struct agent {
    struct agent_config config;
    struct plan *plan;
    struct agent_transport transport;
    agent_way_fn *on_way; /* NULL: nobody is told. */
    void *way_aux;
    struct agent_session **sessions; /* By index; NULL where gone. */
    size_t session_count;
    struct telemetry_builder *builder;
    struct event *drain_event, *tick_event;
    struct liveness liveness;
    struct clockdaemon clock_daemon;
    struct clockstate clock;
    struct instant final_until; /* Of the last batch. */
    struct instant covers_from, covers_until;
    struct span offset;   /* Realtime - monotonic, at the last tick. */
    uint64_t clock_steps; /* That events have told of. */
    unsigned ticks;
    bool epoch_told, dictionary_due;
    uint64_t *counts_told; /* Values of the counters, timing's first, in their order. */
    size_t count_count;
    uint64_t far_counts[FAR_COUNTS]; /* Since the batch before, of all sessions. */
    struct log_bucket batch_bucket;
    bool flushed_for_room;
    uint64_t batches_refused, parts_refused; /* Lost, and told in the log. */
    struct tally *tally;                     /* Counters of links. */
    struct instant certificate_end;
    unsigned certificate_age;
    struct instant left_from; /* agent_leave(): all from here on may be somebody else's; 0: no. */
    struct span done_at;      /* Monotonic: when all that is ours is final, at the latest. */
    struct span gap;          /* agent_left() */
    bool left;
};

/* --- agent_batch.c: into the batch that is being made ------------------------ */

void agent_add_message(struct agent *a, enum telemetry_field field,
                       const ProtobufCMessage *message);
/* After a telemetry_add...() that returned 'err': whether to try it again, which is once, in a
 * fresh batch, when the batch was full. */
bool agent_try_again(struct agent *a, int err);
/* The batch tells of [from, until). */
void agent_cover(struct agent *a, struct instant from, struct instant until);

void agent_add_epoch_start(struct agent *a);
void agent_add_dictionary(struct agent *a);
void agent_add_liveness(struct agent *a);
/* What was counted since the batch before. */
void agent_add_refused(struct agent *a);
void agent_add_health(struct agent *a);

/* Ends the batch and hands it on.  Only the last one of a tick moves the watermark: what it vouches
 * for is spread over all of them. */
void agent_flush(struct agent *a, struct instant now, bool last);

/* --- agent_session.c --------------------------------------------------------- */

/* One that is there already goes on.  0 or -ENOMEM. */
int agent_session_begin(struct agent *a, const struct plan_session *ps,
                        const struct timing_session *ts);
/* With what is final of it, and what was counted. */
void agent_session_end(struct agent *a, size_t index, struct instant now);
void agent_session_free(struct agent_session *s);
/* All of it that became final by 'now'. */
void agent_session_advance(struct agent *a, size_t index, struct instant now);

#endif
