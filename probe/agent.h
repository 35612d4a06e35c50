/* agent.h - the slow half of the probe: packet events to summaries, summaries to
 * batches, batches to the spool.
 *
 * After timing.h (events by the ring), match.h, telemetry.h, stream.h.  Lives on
 * one libevent base, in the main thread; never touches a test packet. */
#ifndef PLUMBLINE_AGENT_H
#define PLUMBLINE_AGENT_H

#include <event2/event.h>
#include <stdio.h>

#include "clockstate.h"
#include "counter.h"
#include "plan.h"
#include "ring.h"
#include "spool.h"
#include "stream.h"
#include "telemetry.h"
#include "timing.h"

struct agent_config {
    struct event_base *base;
    struct ring *events;
    struct timing *timing;
    const char *source;
    const char *release;
    const char *cert_file;     /* Whose end is told; NULL: none. */
    FILE *sample_log;          /* NULL: none.  Stays the caller's. */
    struct instant not_before; /* No delta-t and no second that starts before it is emitted. */

    /* Of a process that goes on where another stopped: that one wants to know of every event
     * ('e' NULL: that was all for now), and has the packets before a session's begin. */
    void (*tell)(const struct exchange *e, void *aux);
    void *aux;
};

struct agent;

/* Takes 'plan' (its timing part runs already). */
int agent_new(struct agent **out, const struct agent_config *config, struct plan *plan);

/* Where batches go.  Until agent_attach() what was measured stays in memory. */
struct agent_transport {
    struct spool *spool;
    struct stream *stream;
    const struct counter_group *counters; /* Told beside timing's; NULL: none. */
};

/* Begins to take events. */
void agent_run(struct agent *a);

/* All of 't' outlives the agent's use.  config.tell is called no more.  0 or -ENOMEM. */
int agent_attach(struct agent *a, const struct agent_transport *t);

/* Timing has stopped, and somebody else goes on: the delta-t of each session from the
 * border written to borders[index] on are not ours (borders has room for HANDOVER_INDEXES).
 * Returns the first second that is not.  agent_take_back(): nobody went on. */
struct instant agent_leave(struct agent *a, struct instant *borders);
void agent_take_back(struct agent *a);

/* Somebody does; between the two nobody sent and reflected for so long. */
void agent_left(struct agent *a, struct span gap);

/* ... but not with this session, nor does anybody read its sockets: it ends now. */
void agent_drop(struct agent *a, uint32_t index);

/* What happened to a packet, as somebody else has seen it. */
void agent_event(struct agent *a, const struct exchange *e);

/* After agent_left(): whether all that is ours is final, or could be by now. */
bool agent_is_done(const struct agent *a);

/* Takes 'plan', which timing_replace() has taken already: sessions that are gone
 * become final, new ones begin. */
int agent_replace(struct agent *a, struct plan *plan);

const struct plan *agent_plan(const struct agent *a);

/* For metrics. */
struct agent_status {
    struct clockstate clock;
    size_t session_count;
    struct instant final_until; /* Of the last batch; 0: none yet. */
    uint64_t batches_refused, parts_refused;
    uint64_t liveness_dropped;
};
void agent_status(const struct agent *a, struct agent_status *out);

/* Calls 'fn' for each link that had a session since the start, with its sessions'
 * counters together, also of those that are gone. */
typedef void agent_link_fn(const char *object, const struct counter_group *group, size_t sessions,
                           void *aux);
void agent_links(struct agent *a, agent_link_fn *fn, void *aux);

/* A path that was followed goes into the next batch.  False: there is none while no stream is open.
 */
bool agent_add_trace(struct agent *a, const Plumbline__Telemetry__Trace *t);
bool agent_takes_traces(const struct agent *a);

/* From now on 'on_way' is told of links whose way has changed, by object. */
typedef void agent_way_fn(const char *object, void *aux);
void agent_on_way(struct agent *a, agent_way_fn *on_way, void *aux);

/* Everything becomes final now and goes to the spool: for a process that ends. */
void agent_finish(struct agent *a);
void agent_free(struct agent *a);

#endif
