/* timing.h - the thread that is timed: sends test packets when they are due,
 * takes kernel timestamps, reflects others' packets, and does nothing else.
 *
 * Stands on lib/ tstamp.h (sockets), sender.h and reflector.h; its events
 * (exchange.h) go through one ring (ring.h) to the summarising thread.  What it
 * does is a plan (timing_plan.h), what it leaves to its successor timing_kept.h. */
#ifndef PLUMBLINE_TIMING_H
#define PLUMBLINE_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counter.h"
#include "nstime.h"
#include "timing_kept.h"
#include "timing_plan.h"

struct reflector_twamp;
struct ring;

struct timing_config {
    struct ring *events;
    int priority; /* SCHED_FIFO; 0: none. */
};

struct timing;

/* Opens the sockets (needs privileges), finds out by real sends which timestamps
 * the kernel gives, starts the thread.  0 or negative errno. */
int timing_start(struct timing **out, const struct timing_config *config,
                 const struct timing_plan *plan);

/* --- One process goes on where another one stops: first timing_keep() of sockets alone
 * there and timing_prepare() here, which takes time; then timing_stop() and timing_keep()
 * of everything there and timing_resume() here, which takes next to none.  Or there, if
 * nobody goes on. --- */

/* What this thread has.  'whole': it has stopped; else only its sockets, while no other
 * plan is being taken.  The descriptors stay open here, and its own.  0 or -ENOMEM;
 * timing_kept_fini() whatever it was. */
int timing_keep(const struct timing *t, bool whole, struct timing_kept *out);

/* As timing_start(), with the sockets of 'k' (NULL: none): those that can be used are
 * taken, and their place in 'k' is -1 then.  No thread runs yet. */
int timing_prepare(struct timing **out, const struct timing_config *config,
                   const struct timing_plan *plan, struct timing_kept *k);

/* Starts the thread, after timing_prepare() where 'k' (NULL: none) says, or again after
 * timing_stop().  'plan' is that of timing_prepare(). */
int timing_resume(struct timing *t, const struct timing_kept *k, const struct timing_plan *plan);

/* Closes the sockets of a thread that has stopped. */
void timing_let_go(struct timing *t);

/* Copies 'plan' and lets the thread take it; returns once it has.  On error
 * (negative errno) the old plan goes on. */
int timing_replace(struct timing *t, const struct timing_plan *plan);

/* As reflector_twamp_open(), _close() and _heard() (reflector.h), done by the
 * thread, for which the caller waits: some milliseconds at most.  Opening gives
 * -ENOTCONN where this probe does not reflect. */
int timing_twamp_open(struct timing *t, const struct reflector_twamp *session);
void timing_twamp_close(struct timing *t, int handle);
struct span timing_twamp_heard(struct timing *t, int handle);

/* Ends the thread and its sockets' traffic; 't' and its counters stay readable
 * until timing_free().  NULL or stopped already is fine. */
void timing_stop(struct timing *t);
void timing_free(struct timing *t);

/* What was refused and what went wrong, by name, of sender and reflector. */
size_t timing_counters(const struct timing *t, const struct counter_group **groups);

/* The same, and the reflector's that say what went well. */
enum { TIMING_GROUPS = 3 };
void timing_counters_all(const struct timing *t, struct counter_group groups[TIMING_GROUPS]);

/* For how long at most the thread did not go round, since the call before and up
 * to now.  It goes round at least each second. */
struct span timing_stall(struct timing *t);

/* The reflector's epoch (exchange_report.epoch), and whether it answers. */
uint32_t timing_epoch(const struct timing *t);

#endif
