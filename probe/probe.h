/* probe.h - the parts of a running probe, for those who wire them: main.c and upgrade.c.
 *
 * After all other modules of probe/ but upgrade.h. */
#ifndef PLUMBLINE_PROBE_H
#define PLUMBLINE_PROBE_H

#include <stdio.h>

#include <event2/event.h>

#include "agent.h"
#include "config.h"
#include "plan.h"
#include "ring.h"
#include "scrape.h"
#include "service.h"
#include "spool.h"
#include "stream.h"
#include "timing.h"
#include "tracer.h"
#include "twampserver.h"

struct upgrade;

struct probe {
    const char *config_path;
    char program[4096]; /* The file that this process runs, as it was named at the start. */
    struct probe_config *config;
    struct event_base *base;
    struct ring *ring;
    struct timing *timing;
    struct spool *spool;
    struct stream *stream;
    struct agent *agent;
    struct tracer *tracer; /* NULL: paths are not followed. */
    struct service *service;
    struct scrape *scrape;
    struct twampserver *twamp; /* NULL: nobody is allowed. */
    struct counter_group twamp_counters;
    FILE *sample_log;
    uint32_t next_index;
    struct span interval;    /* The inventory's. */
    struct upgrade *upgrade; /* NULL: this process has neither begun nor been one. */
    int cpu_latency;         /* Of cpulatency.h; -1: not asked for, or not given. */
    bool failed, reload_due, stop_due;
    void (*opened)(struct probe *p); /* Of a successor: it has the spool too. */
    void (*reload)(struct probe *p);
};

/* Loads the inventory and the keys that it and 'with' name, and makes the plan of
 * this probe, of which nothing new begins before 'not_before' nor, if there is an
 * 'old' one, before that has ended; tells every error. */
int probe_load_plan(struct probe *p, const struct probe_config *with, const struct plan *old,
                    struct instant not_before, struct plan **out);

/* 'patient': -EWOULDBLOCK (another process has it) is not told. */
int probe_open_spool(struct probe *p, bool patient);

/* The first instant of which nothing was told yet, now and in earlier lives; the spool is
 * open. */
struct instant probe_first_start(const struct probe *p);

/* In this order; the plan is the agent's in the end. */
int probe_open_measuring(struct probe *p);
int probe_start_timing(struct probe *p, const struct timing_plan *plan, struct timing_kept *kept);
int probe_start_agent(struct probe *p, struct plan *plan, struct agent_config config);

/* What the spool is needed for. */
int probe_open_transport(struct probe *p);

/* All of it, in a process that begins anew. */
int probe_open(struct probe *p);
void probe_close(struct probe *p);

#endif
