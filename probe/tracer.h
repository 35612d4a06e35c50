/* tracer.h - follows the paths of this probe's links: when the collector asks, and in turn while
 * all is well, so that there is something to compare with.
 *
 * After hops.h (packets and answers), plan.h; beside agent.h, whose batches take the answers, and
 * which tells of ways that change.  One path at a time, in the main thread's event loop; sockets of
 * its own (raw, CAP_NET_RAW), which are there while a path is followed and no longer: what is
 * measured shares nothing with it but the way. */
#ifndef PLUMBLINE_TRACER_H
#define PLUMBLINE_TRACER_H

#include <stdbool.h>

#include <event2/event.h>

#include "counter.h"
#include "plan.h"
#include "telemetry.h"

enum tracer_count {
    TRACER_PATHS,   /* Followed to their end. */
    TRACER_ASKED,   /* Of these, because the collector asked. */
    TRACER_BAD_ASK, /* A request that cannot be read, or of a link that is not ours. */
    TRACER_FAILED,  /* Of these, no socket, or a packet could not be sent. */
    TRACER_COUNTS
};

struct tracer_config {
    struct event_base *base;
    /* What was found; 't' is the tracer's, and of the link as the plan has it.  False: it is lost,
     * and what was asked for may be asked for again. */
    bool (*tell)(const Plumbline__Telemetry__Trace *t, void *aux);
    /* The plan that is in force. */
    const struct plan *(*plan)(void *aux);
    void *aux;
};

struct tracer;

/* NULL when memory is out.  Begins by itself some seconds later. */
struct tracer *tracer_new(const struct tracer_config *config);
void tracer_free(struct tracer *t);

/* One of what stands behind an ack (doc/wire-format.md): "17:par1-lon1-a,18:par1-lon1-b", or "". */
struct tracer_wanted {
    uint64_t request; /* 0: nobody asked. */
    char object[2 * SERIES_NAME_MAX + 2];
};

/* Takes the next one from '*at', which moves on to 'end' at the last.  False: what stands there is
 * none; '*at' and '*out' are unchanged. */
bool tracer_read(const char **at, const char *end, struct tracer_wanted *out);

/* All of them.  Each number is answered once, however often it comes. */
void tracer_ask(struct tracer *t, const char *text, size_t size);

/* The way of this link has changed: it is followed soon, unless many have changed lately. */
void tracer_want(struct tracer *t, const char *object);

/* The plan was replaced: what is under way is given up, and begun anew if somebody asked. */
void tracer_replan(struct tracer *t);

struct counter_group tracer_counters(const struct tracer *t);

#endif
