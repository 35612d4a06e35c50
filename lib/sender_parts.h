/* sender_parts.h - what the files of sender.h share, and nobody else.
 *
 * Each calls those before it: sender_socket.c (which sockets there are), sender_reply.c (whose a
 * reply is, and what it says), sender_set.c (which sessions there are), sender.c (what is due, and
 * the life of all). */
#ifndef PLUMBLINE_SENDER_PARTS_H
#define PLUMBLINE_SENDER_PARTS_H

#include <net/if.h>

#include "sender.h"

/* In the table of replies: any SSID of this peer (foreign ones do not echo it). */
#define ANY_SSID UINT32_C(0x10000)
/* ... and where several sessions share a peer, it stands for none of them. */
#define AMBIGUOUS UINT32_C(0xfffffffe)
#define NO_SESSION UINT32_MAX

enum { RUN_MAX = 512 };

struct session {
    struct sender_session is;
    char interface[IF_NAMESIZE]; /* Empty: routed. */
    uint16_t socket;             /* Slot. */
    uint32_t sequence;           /* Of the next packet. */
    struct span due;             /* Monotonic. */
    uint32_t planned;            /* Of 'packets'. */
    uint8_t ptp_quarters; /* Of our second, in which its times could be PTP's against its Z bit. */
    bool ptp_denied;      /* One could not. */
};

struct socket_slot {
    bool used, wanted; /* wanted: by the sessions being set. */
    char interface[IF_NAMESIZE];
    uint16_t port; /* As asked for. */
    uint8_t family;
    enum tstamp_kind kind;
    bool whole;
    struct span rebound;
    uint32_t first_due, last_due; /* List through run[]; NO_SESSION: none. */
    struct tstamp socket;
};

/* A packet of this run. */
struct due_packet {
    uint32_t session, next;
    struct instant scheduled;
};

struct heap_entry {
    struct span due;
    uint32_t session;
};

struct reply_key {
    struct address address;
    uint32_t ssid; /* Or ANY_SSID. */
    uint16_t port;
    uint16_t socket;
    uint32_t session; /* NO_SESSION: this place is free. */
};

/* All that belongs to one set of sessions; replaced whole. */
struct set {
    struct session *sessions;
    struct heap_entry *heap;
    struct reply_key *table;
    uint32_t *by_index; /* Index to place in 'sessions'; NO_SESSION: none. */
    uint32_t index_count;
    uint32_t count;
    uint32_t mask; /* Of the table. */
};

struct sender {
    struct ring *events;
    struct tstamp_io *io;
    int epoll;
    uint16_t error, error_ptp; /* Raw Error Estimate, without Z and with it. */
    struct set set;
    struct socket_slot *sockets;
    unsigned socket_count; /* Slots ever used. */
    struct due_packet run[RUN_MAX];
    struct counter counters[SENDER_COUNTS];
    const char *names[SENDER_COUNTS];
};

static inline void
sender_count(struct sender *s, enum sender_count which)
{
    counter_add(&s->counters[which], 1);
}

static inline void
sender_emit(struct sender *s, const struct exchange *e)
{
    if (!ring_put(s->events, e)) {
        sender_count(s, SENDER_EVENTS_LOST);
    }
}

/* The heap of due times: the root is the earliest.  'i' may be later than it was. */
static inline void
sender_heap_down(struct set *t, uint32_t i)
{
    struct heap_entry e = t->heap[i];

    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= t->count) {
            break;
        }
        if (child + 1 < t->count && t->heap[child + 1].due.ns < t->heap[child].due.ns) {
            child++;
        }
        if (t->heap[child].due.ns >= e.due.ns) {
            break;
        }
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = e;
}

/* --- sender_socket.c -------------------------------------------------------- */

/* The slot of a socket for 'n', opened if there is none, and wanted; or a negative errno. */
int sender_socket_for(struct sender *s, const struct session *n);
/* Those of the sessions of 't' are wanted, and no others. */
void sender_sockets_want(struct sender *s, const struct set *t);
/* Closes the sockets that are not wanted. */
void sender_sockets_sweep(struct sender *s);

/* --- sender_reply.c --------------------------------------------------------- */

/* Into the table.  0, or -EEXIST if two sessions could not be told apart. */
int sender_reply_add(struct set *t, uint32_t place);
/* A transmit stamp, for tstamp.h: the cookie is index and sequence. */
void sender_on_sent(uint64_t cookie, struct instant at, void *aux);

/* --- sender_set.c ----------------------------------------------------------- */

void sender_set_fini(struct set *t);

#endif
