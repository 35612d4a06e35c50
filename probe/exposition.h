/* exposition.h - what this probe shows at /metrics.
 *
 * After agent.h, timing.h, spool.h, stream.h; before main.c.  Runs in the main
 * thread, which owns all but the timing thread's counters, and those any thread
 * may read. */
#ifndef PLUMBLINE_EXPOSITION_H
#define PLUMBLINE_EXPOSITION_H

#include "agent.h"
#include "config.h"
#include "metrics.h"
#include "spool.h"
#include "stream.h"
#include "timing.h"
#include "tracer.h"
#include "twampserver.h"

struct exposition {
    const struct probe_config *config;
    struct agent *agent;
    const struct timing *timing;
    struct spool *spool;
    const struct stream *stream;
    const struct tracer *tracer;     /* NULL: not open yet. */
    const struct twampserver *twamp; /* NULL: there is no server. */
};

/* Adds all of it to 'm'. */
void exposition_fill(const struct exposition *e, struct metrics *m);

#endif
