/* sender.h - sends the test packets of many sessions when they are due, and takes
 * their replies.
 *
 * On tstamp.h (sockets), stamp.h and echo.h (packets) and ring.h (events).  Owned
 * by one thread; opens sockets in sender_set() only and allocates nothing elsewhere.
 * There is one socket for each (interface, family, source port, kind).  A reply is
 * a session's by peer and SSID; that of a foreign far end, which may not give the
 * SSID back, by the peer alone, so no two of a socket may have the same foreign
 * peer.  The schedule is
 * absolute, on CLOCK_MONOTONIC, and never early; the caller groups what is due
 * by waking at most each SENDER_GROUP_NS.  Sessions of one period are spread
 * over it. */
#ifndef PLUMBLINE_SENDER_H
#define PLUMBLINE_SENDER_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "counter.h"
#include "nstime.h"
#include "ring.h"
#include "stamp.h"
#include "stampauth.h"
#include "tstamp.h"

#define SENDER_GROUP_NS (200 * NS_PER_US)

enum { SENDER_SOCKETS_MAX = 1024, SENDER_SESSIONS_MAX = 1 << 20 };

/* What the far end speaks. */
enum sender_protocol {
    SENDER_STAMP,
    SENDER_TWAMP_LIGHT, /* No SSID, no TLV, either way. */
    SENDER_ICMP,        /* Echo. */
};

struct sender_session {
    uint32_t index; /* In events; not another session's of this plan or the one before. */
    enum sender_protocol protocol;
    struct address source; /* address_any() or not given: the route's. */
    struct address destination;
    uint16_t source_port;      /* Of ICMP the identifier.  0: one is chosen, one socket for all. */
    uint16_t destination_port; /* 0 of ICMP. */
    uint16_t ssid;
    bool foreign; /* Not Plumbline's: no report is asked for or believed, any SSID is taken. */
    bool ptp;     /* T1 is truncated PTPv2's; else NTP's. */
    bool whole;   /* DF, and no fragments. */
    uint8_t dscp;
    uint32_t size;
    struct span period;
    const char *interface; /* NULL: routed. */
    struct instant
        begin; /* First packet: at the first multiple of dt not before this, plus a phase. */
    struct span dt;
    uint32_t packets;            /* Send so many; 0: without end. */
    struct stampauth_ring *keys; /* Packets are signed, and of 112 octets or more; NULL: not. */
};

enum sender_count {
    SENDER_REPLY_SHORT,
    SENDER_REPLY_OVERLONG,
    SENDER_REPLY_BAD_TLV,         /* Taken, without the TLVs. */
    SENDER_REPLY_STRANGER,        /* Not from an address and port that a session sends to. */
    SENDER_REPLY_UNKNOWN_SSID,    /* From such a one, of no session. */
    SENDER_REPLY_BAD_ERROR,       /* Taken; its Error Estimate says nothing. */
    SENDER_REPLY_OTHER_FORMAT,    /* Taken; its times are in the format that its Z bit denies. */
    SENDER_REPLY_BAD_ECHO,        /* An echo reply with data that is not ours. */
    SENDER_REPLY_WRONG_KEY,       /* Signed with none of the session's keys. */
    SENDER_REPLY_UNAUTHENTICATED, /* Not signed, to a session that has keys. */
    SENDER_REPLY_BAD_INTEGRITY,   /* Taken, without the TLVs: they are not signed. */
    SENDER_SKIPPED,               /* Not sent: the thread came over 100 ms and a period late. */
    SENDER_EVENTS_LOST,           /* The ring was full. */
    SENDER_SOCKET,                /* From here on tstamp.h's. */
    SENDER_COUNTS = SENDER_SOCKET + TSTAMP_COUNTS
};

/* Both clocks, read together. */
struct sender_clock {
    struct instant real;
    struct span mono;
    struct span doubt; /* Between the two readings. */
};
struct sender_clock sender_clock_now(void);

struct sender;

/* 'epoll' gets each socket with its slot as data (u64), EPOLLIN; -1: none.
 * Borrows all; NULL when memory is out. */
struct sender *sender_new(struct ring *events, struct tstamp_io *io, int epoll);
void sender_free(struct sender *s);

/* Takes these sessions instead of those before; one whose index and parameters
 * ('begin' and the keys themselves apart) are the same goes on as it was.  0; or negative errno,
 * and the ones before go on. */
int sender_set(struct sender *s, const struct sender_session *sessions, size_t count,
               struct sender_clock now);

/* When the next packet is due (monotonic); INT64_MAX: never. */
struct span sender_due(const struct sender *s);

/* Sends what is due at now.mono. */
void sender_send(struct sender *s, struct sender_clock now);

/* Takes what came to the socket of 'slot': replies and transmit stamps.  Returns
 * the number of packets taken. */
unsigned sender_receive(struct sender *s, unsigned slot, bool replies, bool stamps);

/* Takes what came to all sockets (a caller without epoll). */
void sender_receive_all(struct sender *s);

/* What the packets say of our clock. */
void sender_set_error(struct sender *s, struct stamp_error error);

/* --- For another process that goes on with all this (probe/handover.h).  Sockets are
 * numbered 0 to sender_socket_count() - 1 in both. --- */

struct sender_socket {
    char interface[16]; /* Empty: routed. */
    uint16_t port;      /* As asked for. */
    bool whole;
    struct tstamp_kept kept;
};

/* How far a session is. */
struct sender_progress {
    uint32_t index;
    uint32_t sequence; /* Of the next packet. */
    struct span due;   /* Monotonic. */
    uint8_t ptp_quarters;
    bool ptp_denied;
};

unsigned sender_socket_count(const struct sender *s);

/* The tstamp of socket 'slot', and how it was asked for; NULL: there is none. */
struct tstamp *sender_socket(const struct sender *s, unsigned slot, struct sender_socket *out);

/* One more than the greatest index of a session. */
uint32_t sender_index_count(const struct sender *s);

/* false: there is no such session. */
bool sender_progress(const struct sender *s, uint32_t index, struct sender_progress *out);

/* Takes 'fd' as socket 'slot' of a sender that has none there.  The next sender_set()
 * closes it if no session wants it.  0 or negative errno: 'fd' was not taken. */
int sender_adopt(struct sender *s, unsigned slot, int fd, const struct sender_socket *k);

/* Sessions go on from there; those that are not in the list, as they are. */
void sender_resume(struct sender *s, const struct sender_progress *p, size_t count);

/* Closes all sockets, without sessions from then on. */
void sender_close(struct sender *s);

/* The file descriptor of a session's socket, and its port; -1 if there is none. */
int sender_fd(const struct sender *s, uint32_t index, uint16_t *port);

/* The least that the sockets give: TS_KERNEL unless one gave up. */
enum ts_source sender_tx_source(const struct sender *s);

void sender_counters(const struct sender *s, struct counter_group *out);

#endif
