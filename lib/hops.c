/* hops.c - packets of rising TTL, and whose an answer is. */
#include "hops.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "stamp.h"
#include "wire.h"

enum {
    ICMP4_UNREACHABLE = 3,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP6_UNREACHABLE = 1,
    ICMP6_EXCEEDED = 3,
    IN_TRANSIT = 0, /* Code of both: TTL exceeded, and not a fragment's time. */
    UP_TO_SSID = 16
};

/* Size of a packet before what its TTL adds.  Linux checks the sum of 76 octets and less before it
 * looks for a socket; of more, the socket counts a drop. */
static unsigned
base_size(const struct hops_way *way)
{
    return HOPS_UDP_HEADER + (way->mute ? UP_TO_SSID : STAMP_SIZE_BASE);
}

void
hops_begin(struct hops *h, const struct hops_way *way, uint32_t number, struct instant now,
           struct span mono)
{
    assert(address_is_set(&way->near) && way->near.family == way->far.family);
    *h = (struct hops){.way = *way, .sequence = number << 5, .begun = now, .begun_mono = mono};
}

bool
hops_wants(const struct hops *h)
{
    return h->count < HOPS_MAX && (h->last == 0 || h->count < h->last);
}

static uint32_t
sum_of(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    }
    return size & 1 ? sum + ((uint32_t)bytes[size - 1] << 8) : sum;
}

/* RFC 768 and RFC 8200, section 8.1, with the addresses; where the far end is not to answer,
 * another one. */
static uint16_t
checksum(const struct hops_way *way, const uint8_t *datagram, size_t size)
{
    uint32_t sum = sum_of(datagram, size) + IPPROTO_UDP + (uint32_t)size;

    sum += sum_of((const uint8_t *)&way->near.v6, address_size(&way->near));
    sum += sum_of((const uint8_t *)&way->far.v6, address_size(&way->far));
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    uint16_t right = (uint16_t)~sum ? (uint16_t)~sum : 0xffff;
    if (!way->mute) {
        return right;
    }
    return right == 0x5555 ? 0x5556 : right ^ 0x5555; /* 0 would say that there is none. */
}

size_t
hops_packet(struct hops *h, uint8_t *buf, struct span mono, uint8_t *ttl)
{
    unsigned t = ++h->count;
    struct instant now = instant_add(h->begun, span_of_ns(mono.ns - h->begun_mono.ns));
    size_t size = base_size(&h->way) + t;
    uint8_t payload[STAMP_SIZE_BASE];
    const struct stamp_error unknown = {.error_ns = UINT64_MAX};
    const struct stamp_request q = {.sequence = h->sequence | t,
                                    .t1 = stamp_time_format(now, false),
                                    .error = stamp_error_format(&unknown),
                                    .ssid = HOPS_SSID,
                                    .size = sizeof payload,
                                    .no_tlvs = true,
                                    .no_report = true};
    struct wr w = wr_of(buf, HOPS_UDP_HEADER);

    assert(t <= HOPS_MAX);
    memset(buf, 0, size);
    wr_be16(&w, h->way.near_port);
    wr_be16(&w, h->way.far_port);
    wr_be16(&w, (uint16_t)size);
    wr_be16(&w, 0);
    stamp_request_format(&q, payload);
    memcpy(buf + HOPS_UDP_HEADER, payload, base_size(&h->way) - HOPS_UDP_HEADER);
    w = wr_of(buf + 6, 2);
    wr_be16(&w, checksum(&h->way, buf, size));
    h->hops[t - 1].sent = mono;
    *ttl = (uint8_t)t;
    return size;
}

static enum hops_verdict
answered(struct hops *h, unsigned ttl, const struct address *from, struct span mono)
{
    struct hop *hop = &h->hops[ttl - 1];

    if (address_is_set(&hop->address)) {
        return HOPS_REPEATED;
    }
    hop->address = *from;
    hop->rt = span_of_ns(mono.ns - hop->sent.ns);
    return HOPS_TAKEN;
}

/* Over the IP header of what is quoted: whether it is from and to where ours go. */
static bool
quotes_way(struct rd *r, const struct hops_way *way)
{
    struct in6_addr from, to;
    size_t size = address_size(&way->near);

    if (way->near.family == 4) {
        uint8_t first = rd_u8(r);
        rd_skip(r, 8);
        uint8_t protocol = rd_u8(r);
        rd_skip(r, 2);
        rd_copy(r, &from, size);
        rd_copy(r, &to, size);
        size_t header = (size_t)(first & 15) * 4;
        if (first >> 4 != 4 || header < 20 || protocol != IPPROTO_UDP) {
            return false;
        }
        rd_skip(r, header - 20);
    } else {
        uint8_t first = rd_u8(r);
        rd_skip(r, 5);
        uint8_t next = rd_u8(r);
        rd_skip(r, 1);
        rd_copy(r, &from, size);
        rd_copy(r, &to, size);
        if (first >> 4 != 6 || next != IPPROTO_UDP) {
            return false; /* Ours have no extension headers. */
        }
    }
    return rd_ok(r) && memcmp(&from, &way->near.v6, size) == 0 &&
           memcmp(&to, &way->far.v6, size) == 0;
}

enum hops_verdict
hops_take_icmp(struct hops *h, const struct address *from, const void *message, size_t size,
               struct span mono)
{
    struct rd r = rd_of(message, size);
    bool v4 = h->way.near.family == 4;
    uint8_t type = rd_u8(&r), code = rd_u8(&r);

    rd_skip(&r, 6); /* Checksum; unused, or what RFC 4884 says of extensions, which come behind. */
    bool exceeded = type == (v4 ? ICMP4_TIME_EXCEEDED : ICMP6_EXCEEDED) && code == IN_TRANSIT;
    bool unreachable = type == (v4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE);
    if (!rd_ok(&r)) {
        return HOPS_SHORT;
    }
    if ((!exceeded && !unreachable) || !quotes_way(&r, &h->way)) {
        return rd_ok(&r) ? HOPS_OTHER : HOPS_SHORT;
    }
    uint16_t near_port = rd_be16(&r), far_port = rd_be16(&r), length = rd_be16(&r);
    if (!rd_ok(&r)) {
        return HOPS_SHORT;
    }
    if (near_port != h->way.near_port || far_port != h->way.far_port ||
        length <= base_size(&h->way) || length > base_size(&h->way) + h->count) {
        return HOPS_OTHER;
    }
    unsigned ttl = length - base_size(&h->way);
    enum hops_verdict v = answered(h, ttl, from, mono);
    if (v == HOPS_TAKEN && unreachable && (h->last == 0 || ttl < h->last)) {
        h->last = ttl;
        h->reached = address_equal(from, &h->way.far);
    }
    return v;
}

enum hops_verdict
hops_take_udp(struct hops *h, const struct address *from, const void *datagram, size_t size,
              struct span mono)
{
    struct rd r = rd_of(datagram, size);
    uint16_t from_port = rd_be16(&r), to_port = rd_be16(&r);
    struct stamp_reply p;

    rd_skip(&r, 4);
    if (!rd_ok(&r)) {
        return HOPS_SHORT;
    }
    if (from_port != h->way.far_port || to_port != h->way.near_port ||
        !address_equal(from, &h->way.far)) {
        return HOPS_OTHER;
    }
    if (stamp_reply_parse(r.at, r.left, &p) != STAMP_OK) {
        return HOPS_SHORT;
    }
    unsigned ttl = p.sender_sequence & 31;
    if (p.ssid != HOPS_SSID || (p.sender_sequence & ~31u) != h->sequence || ttl == 0 ||
        ttl > h->count) {
        return HOPS_OTHER;
    }
    enum hops_verdict v = answered(h, ttl, from, mono);
    if (v == HOPS_TAKEN && (h->last == 0 || ttl < h->last)) {
        h->last = ttl;
        h->reached = true;
    }
    return v;
}

bool
hops_is_done(const struct hops *h, struct span mono, struct span patience)
{
    if (hops_wants(h) || h->count == 0) {
        return false;
    }
    unsigned last = h->last ? h->last : h->count, silent = 0;
    for (unsigned i = 0; i < last; i++) {
        silent += !address_is_set(&h->hops[i].address);
    }
    return silent == 0 || mono.ns - h->hops[h->count - 1].sent.ns > patience.ns;
}

unsigned
hops_told(const struct hops *h)
{
    unsigned n = h->last ? h->last : h->count;

    if (h->last) {
        return n;
    }
    while (n > 0 && !address_is_set(&h->hops[n - 1].address)) {
        n--;
    }
    return n < h->count ? n + 1 : n;
}
