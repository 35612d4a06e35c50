/* emulog.h - the emulator's log: what was truly done to each UDP packet.
 *
 * After impair.h (fates), before linkemu.c.  Text, one line a packet, fields
 * parted by tabs; the first line, with a '#', names them.  A line is written
 * when the packet's fate is complete, so lines are not in order of time.
 *
 *   link      name of the link
 *   dir       fwd (first interface to second) or bwd
 *   rx_ns     kernel's receive stamp at the ingress, ns since 1970 UTC
 *   action    pass; or lost, cut, burst (impair.h); full (the emulator held too
 *             many); refused (the kernel would not send it); held (it was in the
 *             emulator when that ended)
 *   due_ns    when it was to be sent; 0 if it was not
 *   tx_ns     kernel's transmit stamp at the egress; 0: not sent, or no stamp came
 *   dup_tx_ns the same of the second copy of a duplicate; 0: there was none
 *   reordered 1 if it was held back on purpose
 *   src sport dst dport ip_id dscp ttl size    size: octets of UDP payload
 *   kind      request (to a reflector's port), reply (from one), other
 *   seq       its own sequence
 *   ssid      STAMP session identifier
 *   t1_ns     the sender's timestamp in it: of a request its own, of a reply the
 *             one that it brings back, so that the two match
 *   sender_seq  of a reply: the request's sequence; of a request: its own
 * The STAMP fields are 0 where the payload is too short to have them.  Lines
 * that begin with '#' are remarks. */
#ifndef PLUMBLINE_EMULOG_H
#define PLUMBLINE_EMULOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nstime.h"

enum emulog_kind { EMULOG_OTHER, EMULOG_REQUEST, EMULOG_REPLY };

struct emulog_packet {
    uint8_t family; /* 4 or 6. */
    uint8_t src[16], dst[16];
    uint16_t sport, dport; /* 0 in a fragment that has none. */
    uint16_t ip_id;
    uint8_t dscp, ttl;
    uint16_t size;
    enum emulog_kind kind;
    uint32_t seq, sender_seq;
    uint16_t ssid;
    struct instant t1;
};

/* What was done. */
struct emulog_deed {
    const char *link;
    bool bwd;
    const char *action;
    struct instant rx, due, tx, duplicate_tx;
    bool reordered;
};

/* Reads an Ethernet frame.  false if it is not UDP over IPv4 or IPv6 (the frame
 * may still be cut short inside its payload). */
bool emulog_parse(const void *frame, size_t size, uint16_t reflector_port,
                  struct emulog_packet *out);

void emulog_head(FILE *to);
void emulog_line(FILE *to, const struct emulog_deed *deed, const struct emulog_packet *p);

#endif
