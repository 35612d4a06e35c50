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

#endif
