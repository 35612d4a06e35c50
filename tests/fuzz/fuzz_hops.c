/* fuzz_hops.c - any bytes as an answer to a path: the first octet says of which family and by what
 * message; what is taken names a packet that was sent. */
#include <assert.h>
#include <string.h>

#include "hops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SENT = 8 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hops_way way = {.near_port = 50000, .far_port = 862};
    struct hops h;
    uint8_t packet[HOPS_SIZE_MAX], ttl;
    unsigned answers = 0;

    if (size == 0) {
        return 0;
    }
    way.near.family = way.far.family = data[0] & 1 ? 6 : 4;
    way.mute = data[0] & 4;
    way.near.v6.s6_addr[0] = 10;
    way.near.v6.s6_addr[3] = 1;
    way.far.v6.s6_addr[0] = 10;
    way.far.v6.s6_addr[3] = 2;
    hops_begin(&h, &way, 1, instant_of_ns(NS_PER_S), span_of_ns(NS_PER_S));
    while (h.count < SENT) {
        hops_packet(&h, packet, span_of_ns(NS_PER_S + h.count), &ttl);
    }
    struct span at = span_of_ns(2 * NS_PER_S);
    enum hops_verdict v = data[0] & 2 ? hops_take_udp(&h, &way.far, data + 1, size - 1, at)
                                      : hops_take_icmp(&h, &way.far, data + 1, size - 1, at);
    for (unsigned i = 0; i < HOPS_MAX; i++) {
        answers += address_is_set(&h.hops[i].address);
        assert(i < SENT || !address_is_set(&h.hops[i].address));
    }
    assert(answers == (v == HOPS_TAKEN));
    assert(h.last <= SENT && hops_told(&h) <= SENT);
    assert(v == HOPS_TAKEN || (h.last == 0 && !h.reached));
    return 0;
}
