/* tstamp_socket.h - what tstamp.c knows of the sockets that tstamp_socket.c opens; for no
 * other file. */
#ifndef PLUMBLINE_TSTAMP_SOCKET_H
#define PLUMBLINE_TSTAMP_SOCKET_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "tstamp.h"

#ifndef SO_TIMESTAMPING
#define SO_TIMESTAMPING 37
#endif

/* An address as the kernel has it. */
union tstamp_name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The name of an address for a socket of 'family'; returns its size. */
static inline socklen_t
tstamp_name_of(const struct address *a, uint16_t port, uint8_t family, union tstamp_name *out)
{
    if (family == 4) {
        out->v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = a->v4, .sin_port = htons(port)};
        return sizeof out->v4;
    }
    out->v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_addr = a->v6, .sin6_port = htons(port)};
    if (a->family == 4) {
        /* ::ffff:a.b.c.d, on a socket for both. */
        memset(out->v6.sin6_addr.s6_addr, 0, 10);
        memset(out->v6.sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(out->v6.sin6_addr.s6_addr + 12, &a->v4, sizeof a->v4);
    }
    return sizeof out->v6;
}

static inline struct address
tstamp_address_of(const union tstamp_name *n)
{
    if (n->any.sa_family == AF_INET) {
        return address_of_v4(n->v4.sin_addr);
    }
    return address_of_dual(&n->v6.sin6_addr);
}

static inline uint16_t
tstamp_port_of(const union tstamp_name *n)
{
    return ntohs(n->any.sa_family == AF_INET ? n->v4.sin_port : n->v6.sin6_port);
}

/* Asks for the stamps, 'tx': of what is sent too.  Setting OPT_ID after it was clear lets
 * ids begin at 0.  0 or negative errno. */
int tstamp_set_stamping(const struct tstamp *s, bool tx);

#endif
