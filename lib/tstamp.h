/* tstamp.h - UDP and ICMP echo sockets, IPv4 or IPv6, that say when each packet
 * really left and came.
 *
 * On nstime.h, address.h and counter.h; before sender.h and reflector.h.  Software stamps
 * of the kernel (SO_TIMESTAMPING) for both ways; transmit stamps come from the
 * error queue and are matched by OPT_ID.  Packets go and come in batches of 64
 * through one tstamp_io of the thread.  A send that the kernel refused may or may
 * not have used up an id: after each one the error queue is drained and the ids
 * begin anew; what was in flight then has no kernel stamp.  Nothing is allocated
 * after opening. */
#ifndef PLUMBLINE_TSTAMP_H
#define PLUMBLINE_TSTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "counter.h"
#include "nstime.h"

enum {
    TSTAMP_BATCH = 64,
    TSTAMP_BUFFER = 9088, /* Octets a packet; above STAMP_SIZE_MAX, so that over-long ones show. */
    TSTAMP_FLIGHT = 8192, /* Packets of a socket that may wait for their transmit stamp. */
    TSTAMP_FLIGHT_LEAST = 64,
    TSTAMP_SOCKET_BUFFER = 8 << 20,
};

enum tstamp_count {
    TSTAMP_KERNEL_DROPS,  /* SO_RXQ_OVFL: packets for which the receive buffer had no room. */
    TSTAMP_RX_UNSTAMPED,  /* Received without a kernel stamp. */
    TSTAMP_TX_MISSING,    /* Sent, and no stamp came within a second. */
    TSTAMP_TX_FORGOTTEN,  /* In flight when the ids began anew. */
    TSTAMP_TX_UNKNOWN,    /* A stamp for an id that is not in flight. */
    TSTAMP_TX_IMPOSSIBLE, /* A stamp before its packet was made: of an earlier run of ids. */
    TSTAMP_SEND_ERRORS,   /* The kernel refused a packet. */
    TSTAMP_ID_RESETS,
    TSTAMP_TX_GIVEN_UP, /* A socket went over to the user's stamps. */
    TSTAMP_COUNTS
};
extern const char *const tstamp_count_names[TSTAMP_COUNTS];

/* What goes through the socket. */
enum tstamp_kind {
    TSTAMP_UDP,
    TSTAMP_ICMP, /* Echo: the kernel's own ping socket, else a raw one, which needs CAP_NET_RAW. */
};

struct tstamp_config {
    enum tstamp_kind kind;
    struct address address; /* Its family is the socket's; address_any(): any. */
    uint16_t port;          /* 0: chosen for it.  Of ICMP the identifier. */
    const char *interface;  /* NULL: routed. */
    bool dual;              /* With address_any(6): IPv4 too, in its own form. */
    bool shared;            /* A socket bound to an interface may have the same port. */
    bool plain;             /* No transmit stamps (tests, fall-back). */
    bool whole;             /* Packets are never cut into fragments (DF), path MTU or not. */
    uint32_t flight;        /* A power of two from TSTAMP_FLIGHT_LEAST on; 0: TSTAMP_FLIGHT. */
};

struct tstamp_flight {
    uint64_t cookie;
    int64_t user_ns; /* When it was handed over; 0: the stamp has come. */
};

struct tstamp {
    int fd;
    uint16_t port; /* Of ICMP the identifier. */
    uint8_t family;
    enum tstamp_kind kind;
    bool dual;
    bool raw;              /* What comes begins with the IPv4 header. */
    enum ts_source tx;     /* TS_KERNEL until real sends have shown that no stamps come. */
    bool tx_seen;          /* At least one came. */
    int64_t first_send_ns; /* Of those without any stamp so far. */
    int64_t retry_at_ns;   /* When to try kernel stamps again. */
    uint32_t sent;         /* Without any stamp so far. */
    uint32_t oldest, next; /* Ids in flight. */
    uint32_t outstanding;  /* Of those, without stamp. */
    uint32_t drops;        /* As SO_RXQ_OVFL last said. */
    uint32_t flight_size;
    struct tstamp_flight *flight;
    struct counter *counters; /* TSTAMP_COUNTS of them, the owner's. */
};

/* 0 or negative errno; on error there is nothing to close. */
int tstamp_open(struct tstamp *s, const struct tstamp_config *config, struct counter *counters);
void tstamp_close(struct tstamp *s);

/* A received packet; valid until the next tstamp_receive() on the same io.  Of
 * ICMP, 'data' begins with the ICMP header. */
struct tstamp_packet {
    uint8_t *data; /* TSTAMP_BUFFER octets of room. */
    size_t size;
    struct address peer;
    uint16_t port; /* The peer's; 0 of ICMP. */
    struct address local;
    unsigned ifindex;
    uint8_t ttl; /* 0: not known. */
    uint8_t tos;
    struct stamp_time at;
};

/* What is to be sent; 'data' stays the caller's and must live until the send. */
struct tstamp_out {
    uint8_t *data;
    size_t size;
    struct address to;     /* Of the socket's family, or one of them. */
    uint16_t port;         /* Of the peer; 0 of ICMP. */
    struct address source; /* address_any() or not given: the route's. */
    unsigned ifindex;      /* 0: the route's. */
    uint8_t tos;
    uint64_t cookie;   /* Comes back with the transmit stamp. */
    struct instant at; /* User's stamp. */
    int error;         /* Set by tstamp_send(): 0, or errno. */
};

/* What another process needs beside the file descriptor to go on with a socket:
 * the kernel's own state (OPT_ID, buffers, bindings) goes with the descriptor. */
struct tstamp_kept {
    uint16_t port;
    uint8_t family;
    enum tstamp_kind kind;
    bool dual, raw;
    bool tx_kernel, tx_seen;
    uint32_t flight_size;
    uint32_t oldest, next; /* Ids in flight. */
    uint32_t drops;
};

/* One of the packets in flight that waits for its stamp. */
struct tstamp_waiting {
    uint32_t id;
    uint64_t cookie;
    int64_t user_ns;
};

/* What 's' is, for whoever goes on with it.  Nothing may use it meanwhile. */
void tstamp_keep(const struct tstamp *s, struct tstamp_kept *out);

/* The next that waits, from id '*from' on, which goes past it; false: no more. */
bool tstamp_next_waiting(const struct tstamp *s, uint32_t *from, struct tstamp_waiting *out);

/* Takes 'fd', which is 's' of another process.  0; -EINVAL or -ENOMEM: nothing was taken. */
int tstamp_adopt(struct tstamp *s, int fd, const struct tstamp_kept *k, struct counter *counters);

/* Goes on from where that process left it, with nothing in flight but what
 * tstamp_expect() says then.  0; -EINVAL: it is another socket, or an id is not in flight. */
int tstamp_resume(struct tstamp *s, const struct tstamp_kept *k);
int tstamp_expect(struct tstamp *s, const struct tstamp_waiting *w);

struct tstamp_io;

/* Buffers and headers of one thread.  NULL when memory is out. */
struct tstamp_io *tstamp_io_new(void);
void tstamp_io_free(struct tstamp_io *io);

/* TSTAMP_BATCH of each. */
struct tstamp_packet *tstamp_io_packets(struct tstamp_io *io);
struct tstamp_out *tstamp_io_outs(struct tstamp_io *io);

/* Buffer 'i' of TSTAMP_BATCH for packets to be sent. */
uint8_t *tstamp_io_buffer(struct tstamp_io *io, unsigned i);

/* Takes up to 64 packets into the io's packets.  Their number; 0 when there are
 * none, or negative errno. */
int tstamp_receive(struct tstamp *s, struct tstamp_io *io);

typedef void tstamp_sent_fn(uint64_t cookie, struct instant at, void *aux);

/* Sends the first 'count' outs.  With user stamps only, the caller sends one at
 * a time (tstamp_batch()), so that the stamp is close to the truth. */
void tstamp_send(struct tstamp *s, struct tstamp_io *io, unsigned count, tstamp_sent_fn *sent,
                 void *aux);

/* Empties the error queue, calling 'sent' for each transmit stamp. */
void tstamp_drain(struct tstamp *s, struct tstamp_io *io, struct instant now, tstamp_sent_fn *sent,
                  void *aux);

static inline unsigned
tstamp_batch(const struct tstamp *s)
{
    return s->tx == TS_KERNEL ? TSTAMP_BATCH : 1;
}

/* Sends packets to itself over loopback until the kernel stamps what it receives
 * (it begins some milliseconds after the first socket asked for it), for at most
 * 200 ms.  TS_KERNEL; or TS_USER if no stamp came or nothing could be sent. */
enum ts_source tstamp_warm_up(struct tstamp_io *io);

/* Binds to the interface again, which may have been made anew. */
int tstamp_rebind(struct tstamp *s, const char *interface);

#endif
