/* match.h - the fate of each test packet of one session, and the summary of each
 * delta-t.
 *
 * After exchange.h (events), before summary.h's consumers (telemetry, probe).
 * Does no I/O; time comes from the events and 'now', so that simulated time
 * tests it.  A packet belongs to the delta-t of its user's T1 (the one in the
 * packet).  Directions are the session's: fwd is sender to reflector.
 *
 * A packet's direction of loss, by the last word of any reception report about
 * it: bit set, it was received there (lost_bwd); bit clear, it was not
 * (lost_fwd); a later set bit overrides a clear one (reordering).  A run of
 * packets older than the 128 of the next report is split by the count of
 * received packets between two reports of one epoch when it fell one way whole;
 * else, and where nothing was heard before the summary is final, it is
 * undirected.  Without reports (a stateful reflector's own sequence): a gap is
 * split only when it fell one way whole; from a stateless one never, nor from
 * one whose sequence counts more or less than what this session got to it.  A
 * session that is rt_only has no direction of anything, whatever comes back.
 *
 * A sample waits for its true T3 (follow-up telemetry) until the summary is
 * final; then it takes the T3 of the reply.  fwd = T2 - T1, bwd = T4 - T3,
 * rt = (T4 - T1) - (T3 - T2); IFDV is |d(i+1) - d(i)| of packets scheduled one
 * period apart, both received.  T2/T3 that cannot be true (zero, T3 < T2, or
 * T3 - T2 > T4 - T1) are not subtracted: the sample has rt = T4 - T1 alone, no
 * direction, and is counted.  Of a foreign far end (key->far is empty and no
 * report came) nor are those a day from our clock: another epoch, and so perhaps
 * another unit; and where they are a second outside [T1, T4] they are subtracted,
 * but make no one-way delay.  Such a far end that calls itself synchronised
 * within less than its own stamps deny has no clock error that is known.
 *
 * A reply later than Tmax leaves its packet lost and counted in 'late': it was
 * received there, so lost_bwd, unless T2 - T1 alone passed Tmax.
 *
 * A delta-t start is handed out once and they only rise, whatever the clock
 * does.  A step of more than dt/2 ends the open delta-t; what was out then keeps
 * its fate (its T1 is moved by the step) but gives no delay, and is suspect.
 * After a step forward the delta-t between are handed out empty (but for a hole
 * over MATCH_HOLE_MAX delta-t, of which only the last come).  After a step back,
 * packets go to the first delta-t not yet used: those sent within two dt before
 * its start as usual, the others counted there as sent and unknown until the
 * clock has caught up.  A delta-t becomes final by the clock that it was in. */
#ifndef PLUMBLINE_MATCH_H
#define PLUMBLINE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "counter.h"
#include "exchange.h"
#include "series.h"
#include "summary.h"

/* After the end of a delta-t and Tmax a summary waits so long for reports. */
#define MATCH_GRACE_NS (2 * NS_PER_S)

/* More delta-t than these are not handed out empty in a row. */
#define MATCH_HOLE_MAX 86400

enum match_count {
    MATCH_REPLY_UNKNOWN,      /* To a sequence that was not sent, or is long final. */
    MATCH_T1_UNKNOWN,         /* A transmit stamp for such a sequence. */
    MATCH_T1_MISSING,         /* A packet final without a kernel stamp. */
    MATCH_T3_MISSING,         /* A received packet final without follow-up. */
    MATCH_BAD_REFLECTOR_TIME, /* T2/T3 could not be true: order, or longer than the round trip. */
    MATCH_FAR_TIME_ZERO,      /* T2 or T3 was not there. */
    MATCH_FAR_TIME_EPOCH,     /* They were of another epoch than ours. */
    MATCH_FAR_TIME_OFF,       /* They were a second or more off: subtracted, not one-way. */
    MATCH_FAR_CLOCK_DENIED,   /* It claimed a clock error that its stamps deny. */
    MATCH_FAR_COUNT_OTHER,    /* Its sequence counts something else: no direction from it. */
    MATCH_TTL_CHANGED,        /* From one packet to the next, on either way. */
    MATCH_REMARKED,     /* Came back with another DSCP than it was sent with, or got there so. */
    MATCH_REMARKED_FWD, /* ... of these, got there so; */
    MATCH_REMARKED_BWD, /* ... left there as it should, and came back so. */
    MATCH_BELOW_FLOOR,  /* A round trip under what the way allows: a clock lies. */
    MATCH_FAR_EPOCH,    /* The reflector began anew. */
    MATCH_CLOCK_STEP,
    MATCH_OVERRUN,
    MATCH_COUNTS
};

enum fate { FATE_RECEIVED, FATE_LOST_FWD, FATE_LOST_BWD, FATE_LOST_UNDIRECTED, FATE_UNKNOWN };

/* One packet when its delta-t becomes final: evidence (sample log, ping). */
struct match_packet {
    uint32_t sequence;
    enum fate fate;
    bool late; /* Lost, but a reply came after Tmax. */
    unsigned duplicates_bwd;
    struct stamp_time t1, t2, t3, t4; /* As used. */
    struct instant t1_user;           /* The stamp in the packet. */
    uint8_t ttl, reply_ttl;
};

/* What changed on the way of a session: told once, after the delta-t whose last
 * packet showed it.  A TTL from 0: the first that was seen.  Values are those
 * of the telemetry's events. */
enum match_change {
    MATCH_TTL_FWD = 1,
    MATCH_TTL_BWD,
    MATCH_DSCP,             /* Somewhere: the far end does not tell what it saw. */
    MATCH_FLOOR_BROKEN = 6, /* From the floor to the least round trip, in µs. */
    MATCH_FLOOR_KEPT,       /* No longer. */
    MATCH_DSCP_FWD,
    MATCH_DSCP_BWD,
    MATCH_CHANGES
};

typedef void match_change_fn(const struct session_key *key, enum match_change what, uint32_t from,
                             uint32_t to, struct instant dt_start, void *aux);
typedef void match_packet_fn(const struct session_key *key, const struct match_packet *p,
                             void *aux);
typedef void match_final_fn(const struct session_key *key, const struct summary *s, void *aux);
typedef void match_early_fn(const struct session_key *key, const struct early *e, void *aux);

struct match_sinks {
    match_packet_fn *packet; /* May be NULL. */
    match_final_fn *final;
    match_early_fn *early;   /* May be NULL. */
    match_change_fn *change; /* May be NULL. */
    void *aux;
};

struct match;

/* 'begin' is the start of the first delta-t (a multiple of key->dt); 'key' is
 * copied.  NULL when memory is out. */
struct match *match_new(const struct session_key *key, struct instant begin);
void match_free(struct match *m);

/* Takes one event of this session.  0, or -ENOMEM (the packet is counted as
 * unknown). */
int match_event(struct match *m, const struct exchange *e);

/* Hands out, oldest first, each delta-t that is over (early, once) and each that
 * is final (end + Tmax + grace <= now).  Every delta-t from 'begin' on comes
 * once, also when nothing was sent in it. */
void match_advance(struct match *m, struct instant now, const struct match_sinks *sinks);

/* For a session that ends, or a process that does: everything up to and with the
 * delta-t that holds 'end' becomes final now, what is in flight unknown. */
void match_finish(struct match *m, struct instant end, const struct match_sinks *sinks);

/* From now on nothing final is handed out of a delta-t that begins at or after the instant
 * returned: the first border from 'now' on behind which nothing was measured yet.
 * Somebody else goes on from there; events of what comes after it are taken all the
 * same, for what they tell of the packets before. */
struct instant match_stop(struct match *m, struct instant now);

/* Nobody else goes on after all. */
void match_go_on(struct match *m);

/* After match_stop(): whether all before that border was handed out. */
bool match_is_done(const struct match *m);

/* Start of the oldest delta-t that is not final: nothing before will come. */
struct instant match_next_start(const struct match *m);

void match_set_clock_error(struct match *m, uint64_t own_error_ns); /* UINT64_MAX: not known. */

/* Less than this is no round trip of this way: it is counted, and makes its delta-t
 * suspect.  0: there is no such bound. */
void match_set_rt_floor(struct match *m, struct span floor);

void match_counters(struct match *m, struct counter_group *out);

/* Their names, for a sum over sessions. */
extern const char *const match_count_names[MATCH_COUNTS];

#endif
