/* timing_plan.h - what a probe shall send and answer: sessions, peers, the reflector's port.
 *
 * After lib/ sender.h and reflector.h, of which it is the input; before plan.h, which makes it of
 * the inventory, and timing.h, which keeps to it.  A plan is immutable and replaced whole: a
 * session whose 'index' and parameters did not change keeps its sequence, its socket and its
 * schedule. */
#ifndef PLUMBLINE_TIMING_PLAN_H
#define PLUMBLINE_TIMING_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "nstime.h"
#include "sender.h"

struct reflector;
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

/* Let 'sender' send the plan's sessions from now on, 'reflector' answer its peers.  0 or negative
 * errno: then the old ones go on. */
int timing_plan_sessions(const struct timing_plan *plan, struct sender *sender);
int timing_plan_peers(const struct timing_plan *plan, struct reflector *reflector);

#endif
