/* timing.h - the thread that is timed: sends test packets when they are due,
 * takes kernel timestamps, reflects others' packets, and does nothing else.
 *
 * Stands on lib/ tstamp.h (sockets), sender.h and reflector.h; its events
 * (exchange.h) go through one ring (ring.h) to the summarising thread.  A plan
 * is immutable and replaced whole: a session whose 'index' and parameters did
 * not change keeps its sequence, its socket and its schedule. */
#ifndef PLUMBLINE_TIMING_H
#define PLUMBLINE_TIMING_H

#include <stddef.h>
#include <stdint.h>

#include "counter.h"
#include "nstime.h"
#include "reflector.h"
#include "sender.h"

struct ring;
struct stampauth_ring;

struct timing_session {
    uint32_t index; /* In events; dense from 0, and not another session's of this plan or the
                       one before. */
    enum sender_protocol protocol;
    struct address source, destination; /* 'source' none: the route's. */
    uint16_t source_port, destination_port;
    uint16_t ssid;
    bool foreign, ptp, whole; /* As sender_session has them. */
    uint8_t dscp;
    uint32_t size; /* Octets of UDP payload, 44..9000. */
    struct span period;
    const char *interface;       /* NULL: routed. */
    struct instant begin;        /* First packet at the first multiple of dt not before this ... */
    struct span dt;              /* ... so that the first delta-t is whole. */
    struct stampauth_ring *keys; /* NULL: none.  The plan's reference, here and below. */
};

/* Whom the reflector answers: only packets between these addresses. */
struct timing_peer {
    struct address local, remote;
    const char *interface; /* NULL: any. */
    uint64_t dscps;        /* As reflector_peer.dscps. */
    struct stampauth_ring *keys;
    uint64_t nat; /* As reflector_peer.nat. */
};

struct timing_plan {
    struct timing_session *sessions;
    size_t session_count;
    struct timing_peer *peers;
    size_t peer_count;
    uint16_t reflector_port; /* 0: do not reflect. */
};

/* What a process leaves to its successor (handover.h has it in bytes). */
struct timing_socket {
    int fd;         /* -1: not handed over (again). */
    bool reflector; /* At most one; the others are the sender's, in the order of its slots. */
    struct sender_socket is;
    uint32_t waiting_first, waiting_count; /* Of timing_kept.waiting. */
};

struct timing_kept {
    struct timing_socket *sockets;
    size_t socket_count;
    struct tstamp_waiting *waiting;
    size_t waiting_count;
    struct sender_progress *sessions;
    size_t session_count;
    struct reflector_kept *reflected;
    size_t reflected_count;
    uint32_t epoch, begun_again; /* Of the reflector. */
};

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
void timing_kept_fini(struct timing_kept *k);

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
