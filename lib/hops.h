/* hops.h - the path of a link's test packets, hop by hop: packets of the same five-tuple with
 * rising TTL, and what routers on the way say of them.
 *
 * On wire.h, stamp.h and address.h; before probe/tracer.h, which has the sockets.  Does no I/O;
 * time is the caller's.  A router that lets a packet die answers with ICMP Time Exceeded (RFC 792;
 * RFC 4443, section 3.3), and quotes it; the packets of one path differ in their length, which no
 * router hashes and every quotation has.  What reaches the far end is a STAMP request of SSID
 * HOPS_SSID, which is answered like any other, with the TTL as its sequence's lowest bits.  Where
 * the far end has nothing to answer with (it sends on this link itself, or takes only what is
 * signed, or is foreign), the checksum is wrong on purpose: no router looks at it, and the far
 * end's kernel passes over the packet, so that no program there counts a stranger. */
#ifndef PLUMBLINE_HOPS_H
#define PLUMBLINE_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "nstime.h"

enum {
    HOPS_MAX = 30,      /* Packets, and TTLs. */
    HOPS_SSID = 0xffff, /* No session has it. */
    HOPS_UDP_HEADER = 8,
    HOPS_SIZE_MAX = HOPS_UDP_HEADER + 44 + HOPS_MAX
};

struct hops_way {
    struct address near, far; /* Of one family. */
    uint16_t near_port, far_port;
    bool mute; /* Not to be answered by the far end. */
};

struct hop {
    struct span sent;       /* Monotonic; 0: not yet. */
    struct address address; /* Who answered; family 0: nobody. */
    struct span rt;
};

struct hops {
    struct hops_way way;
    uint32_t sequence; /* Of the path; those of its packets follow each other, path after path. */
    unsigned count;    /* Packets sent: TTLs 1 to 'count'. */
    unsigned last;     /* TTL of the last hop that will be: the far end, or who cannot go on; 0: not
                          known. */
    bool reached;      /* The far end answered. */
    struct instant begun;
    struct span begun_mono;
    struct hop hops[HOPS_MAX]; /* [ttl - 1] */
};

/* A path that begins at 'now', 'mono' of the monotonic clock, by which all else goes.  'number'
 * rises from path to path, also after a restart, for a far end answers to no sequence twice. */
void hops_begin(struct hops *h, const struct hops_way *way, uint32_t number, struct instant now,
                struct span mono);

/* Whether another packet is to be sent. */
bool hops_wants(const struct hops *h);

/* Writes the next packet, UDP header and all, into 'buf' (HOPS_SIZE_MAX), and counts it as sent.
 * Its size; '*ttl' is what to send it with. */
size_t hops_packet(struct hops *h, uint8_t *buf, struct span mono, uint8_t *ttl);

enum hops_verdict {
    HOPS_TAKEN,
    HOPS_OTHER, /* Not of this path. */
    HOPS_SHORT, /* It ends before all that is needed. */
    HOPS_REPEATED
};

/* An ICMP message (of family 4 without the IP header) from 'from'. */
enum hops_verdict hops_take_icmp(struct hops *h, const struct address *from, const void *message,
                                 size_t size, struct span mono);

/* A UDP datagram, header and all, that came to us. */
enum hops_verdict hops_take_udp(struct hops *h, const struct address *from, const void *datagram,
                                size_t size, struct span mono);

/* Whether nothing more is to come: all answered up to the last, or 'patience' is over since the
 * last packet. */
bool hops_is_done(const struct hops *h, struct span mono, struct span patience);

/* How many of the hops are worth telling: up to the last that answered, and one silent one after
 * it where the far end did not. */
unsigned hops_told(const struct hops *h);

#endif
