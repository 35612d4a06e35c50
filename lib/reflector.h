/* reflector.h - answers test packets, knows what it received of each session, and
 * tells it in the reception report.
 *
 * On tstamp.h and stamp.h.  Owned by one thread; allocates in reflector_new()
 * and reflector_allow() only.  A session is (peer address and port, SSID, local
 * address); behind NAT it is (link, SSID), and what says the link is the key.  T2 is the kernel's
 * receive stamp; T3 in the reply is the user's, and the kernel's true one follows in a later reply
 * of the session (follow-up telemetry). */
#ifndef PLUMBLINE_REFLECTOR_H
#define PLUMBLINE_REFLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "counter.h"
#include "history.h"
#include "nstime.h"
#include "stamp.h"
#include "stampauth.h"
#include "tstamp.h"

/* Whom it answers. */
struct reflector_peer {
    struct address local; /* address_any() or none: any. */
    struct address remote;
    uint8_t remote_bits;   /* Prefix length; 32 or 128: one address, 0: anybody of its family, or
                              of both where 'remote' is none. */
    const char *interface; /* NULL: any, and replies are routed. */
    /* Bit n: it may ask for DSCP n in replies (RFC 8972, section 4.4); 0: for any. */
    uint64_t dscps;
    /* Only what is signed with one of these is answered; NULL: only what is not. */
    struct stampauth_ring *keys;
    /* Not 0: addresses change on the way, so it is known by its keys alone ('keys' is not
     * NULL, 'local' and 'remote' are not looked at), and its sessions by this number and
     * the SSID.  The same for the same link in each list. */
    uint64_t nat;
};

/* A test session that TWAMP-Control asked for. */
struct reflector_twamp {
    struct address peer, local;
    uint16_t port;    /* The peer's. */
    uint8_t dscp;     /* Of the replies. */
    bool symmetrical; /* RFC 6038: padding begins where the reply's does. */
};

enum { REFLECTOR_TWAMP_MAX = 256 };

enum reflector_count {
    REFLECTOR_SHORT,
    REFLECTOR_OVERLONG,
    REFLECTOR_BAD_ERROR,
    REFLECTOR_BAD_TLV,         /* Answered, with M set. */
    REFLECTOR_WRONG_KEY,       /* Signed with none of the peer's keys; not answered. */
    REFLECTOR_UNAUTHENTICATED, /* Not signed, by a peer that has keys; not answered. */
    REFLECTOR_UNKNOWN_KEY,     /* Signed, by a peer that has none; not answered. */
    REFLECTOR_BAD_INTEGRITY,   /* HMAC TLV wrong, missing or misplaced: answered with I set. */
    REFLECTOR_STRANGER,
    REFLECTOR_NAT_MOVED,   /* A session behind NAT came from another address or port; answered. */
    REFLECTOR_NAT_LIMITED, /* Signed, from nobody's address, and too many keys were tried lately;
                              not answered. */
    REFLECTOR_DUPLICATE,   /* A repeat inside the last 128; not answered. */
    REFLECTOR_REPLAYED,    /* A repeat, or what looks like one, outside; not answered. */
    REFLECTOR_RATE,        /* Over the source's rate; not answered. */
    REFLECTOR_FULL,        /* No room for another session; not answered. */
    REFLECTOR_SOURCE_FULL, /* Its source has as many as are still free; not answered. */
    REFLECTOR_EXPIRED,     /* Sessions forgotten after silence. */
    REFLECTOR_RESTARTED,   /* Sessions whose sender began anew. */
    REFLECTOR_T3_LOST,     /* A follow-up for which there was no reply to ride in. */
    REFLECTOR_SOCKET,      /* From here on tstamp.h's. */
    REFLECTOR_BAD = REFLECTOR_SOCKET + TSTAMP_COUNTS, /* So many say that something was wrong. */
    REFLECTOR_REQUESTS = REFLECTOR_BAD,               /* Received, whatever they were. */
    REFLECTOR_REPLIES,                                /* The kernel took them. */
    REFLECTOR_COUNTS
};

struct reflector_config {
    uint32_t sessions; /* At most; 0: 32,768. */
    uint32_t rate;     /* Packets a second and source address; 0: 200,000. */
    struct span idle;  /* Forget a session after so much silence; 0: 600 s. */
    uint32_t epoch;    /* 0: made from the clock. */
};

struct reflector;

/* NULL when memory is out.  Answers nobody until reflector_listen() and
 * reflector_allow(). */
struct reflector *reflector_new(const struct reflector_config *config, struct tstamp_io *io);
void reflector_free(struct reflector *r);

/* Opens the socket (port 0: the kernel chooses) in place of the one before.  No
 * address: any of both families, or of IPv4 where there is no IPv6.  0 or negative
 * errno; on error the one before stays. */
int reflector_listen(struct reflector *r, struct address address, uint16_t port);
void reflector_close(struct reflector *r);

/* Copies the list, taking a reference of each ring; sessions of those no longer in it are
 * forgotten.  0 or -ENOMEM, -EINVAL (an interface name too long): the old list stays. */
int reflector_allow(struct reflector *r, const struct reflector_peer *peers, size_t count);

/* Answers TWAMP-Test packets between these addresses, whoever else is allowed:
 * every packet, also one that came before, with a sequence that begins at 0.
 * Returns a handle (>= 0), -EEXIST (there is such a session), -ENOSPC (there are
 * REFLECTOR_TWAMP_MAX). */
int reflector_twamp_open(struct reflector *r, const struct reflector_twamp *t);
void reflector_twamp_close(struct reflector *r, int handle);

/* When (monotonic) the last packet of it was taken; before that, when it was opened. */
struct span reflector_twamp_heard(const struct reflector *r, int handle);

/* -1: not listening. */
int reflector_fd(const struct reflector *r);
uint16_t reflector_port(const struct reflector *r);

/* Answers what has come.  Returns the number of packets taken (a multiple of a
 * batch: there may be more). */
unsigned reflector_receive(struct reflector *r, bool requests, bool stamps);

void reflector_set_error(struct reflector *r, struct stamp_error error);
uint32_t reflector_epoch(const struct reflector *r);
uint32_t reflector_sessions(const struct reflector *r);
enum ts_source reflector_tx_source(const struct reflector *r);
void reflector_counters(const struct reflector *r, struct counter_group *out);

/* --- For another process that goes on with all this (probe/handover.h). --- */

enum { REFLECTOR_FOLLOW_UPS = 64 };

/* A true T3 that waits for a reply to ride in. */
struct reflector_follow_up {
    uint32_t sequence;
    int64_t t3_ns;
};

struct reflector_kept {
    uint32_t place; /* Of the session, in the cookies of its replies. */
    struct address peer, local;
    uint16_t port, ssid;
    uint64_t nat; /* As in struct reflector_peer. */
    uint16_t generation;
    uint32_t ifindex;
    uint32_t epoch;
    uint32_t sequence; /* Of the next reply. */
    struct history history;
    unsigned follow_up_count;
    struct reflector_follow_up follow_ups[REFLECTOR_FOLLOW_UPS];
};

/* Its socket, which stays its own; fd -1: not listening. */
struct tstamp *reflector_socket(const struct reflector *r);

/* The session with the least place from '*from' on, which goes past it; false: no
 * more.  Sessions of TWAMP-Control do not come: their connection ends with the process. */
bool reflector_keep(const struct reflector *r, uint32_t *from, struct reflector_kept *out);

/* Epoch and how often it was changed since. */
void reflector_keep_epoch(const struct reflector *r, uint32_t *epoch, uint32_t *begun_again);

/* Takes 'fd' in place of the socket before.  0 or negative errno: it was not taken. */
int reflector_adopt(struct reflector *r, int fd, const struct tstamp_kept *k);

/* These sessions, instead of those before, and this epoch; reflector_allow() comes after.
 * What has no room, or the same key as another, is left out and counted. */
void reflector_resume(struct reflector *r, uint32_t epoch, uint32_t begun_again,
                      const struct reflector_kept *kept, size_t count);

#endif
