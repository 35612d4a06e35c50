/* address.h - an IP address of either family, by value.
 *
 * Beside nstime.h at the bottom of lib/; value.h parses and prints it.  Addresses
 * are in network byte order, as sockets take them.  IPv4-mapped IPv6 addresses
 * are not made here: one host address has one form. */
#ifndef PLUMBLINE_ADDRESS_H
#define PLUMBLINE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct address {
    uint8_t family; /* 4 or 6; 0: none was given, the rest is zero. */
    union {
        struct in_addr v4; /* Family 4; the other 12 octets are zero. */
        struct in6_addr v6;
    };
};

/* A network: 'address' has no bit behind the first 'length'. */
struct prefix {
    struct address address;
    uint8_t length;
};

static inline bool
address_is_set(const struct address *a)
{
    return a->family != 0;
}

static inline size_t
address_size(const struct address *a)
{
    return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

static inline bool
address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(&a->v6, &b->v6, address_size(a)) == 0;
}

/* fe80::/10: has a meaning on one interface only. */
static inline bool
address_is_link_local(const struct address *a)
{
    return a->family == 6 && IN6_IS_ADDR_LINKLOCAL(&a->v6);
}

static inline struct address
address_of_v4(struct in_addr v4)
{
    struct address a;

    memset(&a, 0, sizeof a);
    a.family = 4;
    a.v4 = v4;
    return a;
}

static inline struct address
address_of_v6(const struct in6_addr *v6)
{
    struct address a;

    memset(&a, 0, sizeof a);
    a.family = 6;
    a.v6 = *v6;
    return a;
}

/* The same of what a socket for both families says: ::ffff:a.b.c.d is IPv4. */
static inline struct address
address_of_dual(const struct in6_addr *v6)
{
    struct in_addr v4;

    if (!IN6_IS_ADDR_V4MAPPED(v6)) {
        return address_of_v6(v6);
    }
    memcpy(&v4, v6->s6_addr + 12, sizeof v4);
    return address_of_v4(v4);
}

/* 0.0.0.0 or ::, which stand for any address of the family. */
static inline struct address
address_any(uint8_t family)
{
    struct address a;

    memset(&a, 0, sizeof a);
    a.family = family;
    return a;
}

/* Whether it is one host's: neither "any" nor none. */
static inline bool
address_is_host(const struct address *a)
{
    return !IN6_IS_ADDR_UNSPECIFIED(&a->v6);
}

/* Whether the first 'bits' are equal; addresses of two families never are.  More
 * bits than the family has are all of them. */
static inline bool
address_in_prefix(const struct address *a, const struct address *prefix, unsigned bits)
{
    const uint8_t *one = a->v6.s6_addr, *other = prefix->v6.s6_addr;
    unsigned most = 8 * (unsigned)address_size(a);

    bits = bits > most ? most : bits;
    return a->family == prefix->family && memcmp(one, other, bits / 8) == 0 &&
           (bits % 8 == 0 || ((one[bits / 8] ^ other[bits / 8]) >> (8 - bits % 8)) == 0);
}

static inline uint64_t
address_hash(const struct address *a)
{
    uint64_t h, low;

    memcpy(&h, &a->v6, sizeof h);
    memcpy(&low, a->v6.s6_addr + sizeof h, sizeof low);
    h = (h ^ a->family) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 29 ^ low) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ h >> 32;
}

#endif
