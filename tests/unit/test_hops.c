/* test_hops.c - a path hop by hop: what routers quote, what the far end answers, and what is
 * nobody's. */
#include "harness.h"

#include <arpa/inet.h>

#include "hops.h"
#include "stamp_answer.h"

#define PATIENCE span_of_ns(2 * NS_PER_S)
#define MS(n) span_of_ns((n)*NS_PER_MS)

enum { EXCEEDED = 11, UNREACHABLE = 3, EXCEEDED_6 = 3, UNREACHABLE_6 = 1, OPTIONS = 8 };

static const struct instant begun = {.ns = INT64_C(1795251956) * NS_PER_S};

struct message {
    uint8_t bytes[256];
    size_t size;
};

static struct address
address(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        return address_of_v4(v4);
    }
    CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, text, &v6), 1);
    return address_of_v6(&v6);
}

static struct hops_way
way_of(uint8_t family)
{
    return (struct hops_way){.near = address(family == 4 ? "10.0.0.1" : "fd00::1"),
                             .far = address(family == 4 ? "10.0.9.9" : "fd00:9::9"),
                             .near_port = 50000,
                             .far_port = 862};
}

static struct address
router(uint8_t family, unsigned n)
{
    char text[INET6_ADDRSTRLEN];

    snprintf(text, sizeof text, family == 4 ? "10.0.%u.254" : "fd00:%u::254", n);
    return address(text);
}

/* A path with 'count' packets sent, one a millisecond from 1 s on; 'sent' gets them. */
static struct hops
path(const struct hops_way *way, unsigned count, struct message sent[HOPS_MAX])
{
    struct hops h;

    hops_begin(&h, way, 77, begun, MS(1000));
    for (unsigned i = 0; i < count; i++) {
        uint8_t ttl;
        CU_ASSERT_TRUE_FATAL(hops_wants(&h));
        sent[i].size = hops_packet(&h, sent[i].bytes, MS(1001 + i), &ttl);
        CU_ASSERT_EQUAL(ttl, i + 1);
    }
    return h;
}

/* The ICMP message that quotes 'packet', with 'options' octets in its IP header. */
static struct message
quoting(const struct hops_way *way, const struct message *packet, uint8_t type, uint8_t code,
        size_t options)
{
    struct message m = {.size = 8};
    uint8_t *ip = m.bytes + 8;
    size_t size = address_size(&way->near), header = size == 4 ? 20 + options : 40;

    m.bytes[0] = type;
    m.bytes[1] = code;
    if (size == 4) {
        ip[0] = (uint8_t)(0x40 | header / 4);
        ip[9] = IPPROTO_UDP;
        memset(ip + 20, 1, options); /* No operation. */
    } else {
        ip[0] = 0x60;
        ip[6] = IPPROTO_UDP;
    }
    memcpy(ip + (size == 4 ? 12 : 8), &way->near.v6, size);
    memcpy(ip + (size == 4 ? 16 : 24), &way->far.v6, size);
    memcpy(ip + header, packet->bytes, packet->size);
    m.size += header + packet->size;
    return m;
}

static enum hops_verdict
take(struct hops *h, const struct address *from, const struct message *m, size_t size,
     struct span mono)
{
    uint8_t *copy = exact_copy(m->bytes, size);
    enum hops_verdict v = hops_take_icmp(h, from, copy, size, mono);

    free(copy);
    return v;
}

static enum hops_verdict
exceed(struct hops *h, const struct message sent[HOPS_MAX], unsigned ttl, struct span mono)
{
    uint8_t family = h->way.near.family;
    struct address from = router(family, ttl);
    struct message m = quoting(&h->way, &sent[ttl - 1], family == 4 ? EXCEEDED : EXCEEDED_6, 0, 0);

    return take(h, &from, &m, m.size, mono);
}

/* What a reflector makes of it: ports and contents turned round. */
static struct message
reply_to(const struct message *packet)
{
    struct message m = *packet;
    struct stamp_request q;
    struct stamp_answer a = {.ttl = 250, .error = 1};
    enum stamp_verdict tlv;
    bool took;

    CU_ASSERT_EQUAL_FATAL(stamp_request_parse(m.bytes + 8, m.size - 8, &q), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_reply_make(m.bytes + 8, &q, &a, &tlv, &took), m.size - 8);
    memcpy(m.bytes, packet->bytes + 2, 2);
    memcpy(m.bytes + 2, packet->bytes, 2);
    return m;
}

static enum hops_verdict
answer(struct hops *h, const struct address *from, const struct message *m, size_t size,
       struct span mono)
{
    uint8_t *copy = exact_copy(m->bytes, size);
    enum hops_verdict v = hops_take_udp(h, from, copy, size, mono);

    free(copy);
    return v;
}

static void
hops_are_told_in_order_and_the_far_end_last(void)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        const struct hops_way way = way_of(family);
        struct message sent[HOPS_MAX];
        struct hops h = path(&way, 5, sent);

        /* As they come: the second before the first. */
        CU_ASSERT_EQUAL(exceed(&h, sent, 2, MS(1012)), HOPS_TAKEN);
        CU_ASSERT_EQUAL(exceed(&h, sent, 1, MS(1021)), HOPS_TAKEN);
        CU_ASSERT_EQUAL(exceed(&h, sent, 3, MS(1033)), HOPS_TAKEN);
        CU_ASSERT_TRUE(hops_wants(&h));
        for (unsigned ttl = 5; ttl >= 4; ttl--) {
            struct message m = reply_to(&sent[ttl - 1]);
            CU_ASSERT_EQUAL(answer(&h, &way.far, &m, m.size, MS(1044)), HOPS_TAKEN);
        }
        CU_ASSERT_FALSE(hops_wants(&h));
        CU_ASSERT_TRUE(hops_is_done(&h, MS(1045), PATIENCE));
        CU_ASSERT_TRUE(h.reached);
        CU_ASSERT_EQUAL(hops_told(&h), 4);
        for (unsigned i = 0; i < 3; i++) {
            struct address r = router(family, i + 1);
            CU_ASSERT_TRUE(address_equal(&h.hops[i].address, &r));
        }
        CU_ASSERT_TRUE(address_equal(&h.hops[3].address, &way.far));
        CU_ASSERT_EQUAL(h.hops[0].rt.ns, 20 * NS_PER_MS);
        CU_ASSERT_EQUAL(h.hops[1].rt.ns, 10 * NS_PER_MS);
        CU_ASSERT_EQUAL(h.hops[3].rt.ns, 40 * NS_PER_MS);
    }
}

static void
a_silent_hop_is_waited_for_and_told_as_silent(void)
{
    const struct hops_way way = way_of(4);
    struct message sent[HOPS_MAX];
    struct hops h = path(&way, 3, sent);
    struct message m = reply_to(&sent[2]);

    exceed(&h, sent, 1, MS(1010));
    answer(&h, &way.far, &m, m.size, MS(1011));
    CU_ASSERT_FALSE(hops_wants(&h));
    CU_ASSERT_FALSE(hops_is_done(&h, MS(3003), PATIENCE));
    CU_ASSERT_TRUE(hops_is_done(&h, span_of_ns(3003 * NS_PER_MS + 1), PATIENCE));
    CU_ASSERT_EQUAL(hops_told(&h), 3);
    CU_ASSERT_FALSE(address_is_set(&h.hops[1].address));
}

static void
a_path_into_silence_is_thirty_packets_and_one_silent_hop(void)
{
    const struct hops_way way = way_of(4);
    struct message sent[HOPS_MAX];
    struct hops h = path(&way, HOPS_MAX, sent);

    CU_ASSERT_FALSE(hops_wants(&h));
    exceed(&h, sent, 1, MS(1500));
    CU_ASSERT_FALSE(hops_is_done(&h, MS(1501), PATIENCE));
    CU_ASSERT_TRUE(hops_is_done(&h, MS(9000), PATIENCE));
    CU_ASSERT_EQUAL(hops_told(&h), 2);
    CU_ASSERT_FALSE(h.reached);
    exceed(&h, sent, HOPS_MAX, MS(9001));
    CU_ASSERT_EQUAL(hops_told(&h), HOPS_MAX);
    struct hops none = path(&way, HOPS_MAX, sent);
    CU_ASSERT_EQUAL(hops_told(&none), 1);
    none = path(&way, 0, sent);
    CU_ASSERT_EQUAL(hops_told(&none), 0);
    CU_ASSERT_FALSE(hops_is_done(&none, MS(9000), PATIENCE));
}

static void
who_cannot_go_on_ends_the_path(void)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        const struct hops_way way = way_of(family);
        uint8_t type = family == 4 ? UNREACHABLE : UNREACHABLE_6;
        struct message sent[HOPS_MAX];
        struct hops h = path(&way, 4, sent);
        struct address r = router(family, 2);
        struct message m = quoting(&way, &sent[1], type, 0, 0);

        exceed(&h, sent, 1, MS(1010));
        CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1011)), HOPS_TAKEN);
        CU_ASSERT_FALSE(h.reached);
        CU_ASSERT_FALSE(hops_wants(&h));
        CU_ASSERT_TRUE(hops_is_done(&h, MS(1012), PATIENCE));
        CU_ASSERT_EQUAL(hops_told(&h), 2);
        /* A closed port: that is the far end. */
        h = path(&way, 4, sent);
        m = quoting(&way, &sent[2], type, family == 4 ? 3 : 4, 0);
        CU_ASSERT_EQUAL(take(&h, &way.far, &m, m.size, MS(1011)), HOPS_TAKEN);
        CU_ASSERT_TRUE(h.reached);
        CU_ASSERT_EQUAL(hops_told(&h), 3);
        /* Who gave up nearer to us goes before. */
        m = quoting(&way, &sent[0], type, 0, 0);
        CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1012)), HOPS_TAKEN);
        CU_ASSERT_FALSE(h.reached);
        CU_ASSERT_EQUAL(hops_told(&h), 1);
    }
}

static void
a_quotation_of_somebody_elses_packet_is_none(void)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        const struct hops_way way = way_of(family);
        struct message sent[HOPS_MAX];
        struct hops h = path(&way, 3, sent);
        const struct hops clean = h;
        struct address r = router(family, 1);
        uint8_t type = family == 4 ? EXCEEDED : EXCEEDED_6;
        const struct message good = quoting(&way, &sent[0], type, 0, 0);
        size_t udp = family == 4 ? 8 + 20 : 8 + 40;
        /* Type, code (a fragment's time), version, protocol, addresses, ports, length. */
        const size_t at[] = {0,       1,
                             8,       family == 4 ? 8 + 9 : 8 + 6,
                             udp - 1, udp - 1 - address_size(&way.near),
                             udp + 1, udp + 3,
                             udp + 4};

        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            struct message m = good;
            m.bytes[at[i]] ^= 0x80;
            CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1010)), HOPS_OTHER);
        }
        /* Lengths to either side of what was sent: TTL 0, and 4 of 3. */
        for (unsigned k = 0; k < 2; k++) {
            struct message m = quoting(&way, &sent[k ? 2 : 0], type, 0, 0);
            m.bytes[udp + 5] = (uint8_t)(m.bytes[udp + 5] + (k ? 1 : -1));
            CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1010)), HOPS_OTHER);
        }
        struct message m = good;
        m.bytes[1] = 1;
        CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1010)), HOPS_OTHER);
        CU_ASSERT_EQUAL(memcmp(&h, &clean, sizeof h), 0);
        CU_ASSERT_EQUAL(take(&h, &r, &good, good.size, MS(1010)), HOPS_TAKEN);
    }
}

static void
a_quotation_is_enough_with_eight_octets_behind_its_header(void)
{
    for (unsigned k = 0; k < 3; k++) {
        uint8_t family = k == 2 ? 6 : 4;
        const struct hops_way way = way_of(family);
        struct message sent[HOPS_MAX];
        struct hops h = path(&way, 3, sent);
        size_t options = k == 1 ? OPTIONS : 0;
        struct message m = quoting(&way, &sent[1], family == 4 ? EXCEEDED : EXCEEDED_6, 0, options);
        struct address r = router(family, 2);
        /* Ports and length are in the first six. */
        size_t needed = 8 + (family == 4 ? 20 + options : 40) + 6;

        for (size_t size = 0; size < needed; size++) {
            enum hops_verdict v = take(&h, &r, &m, size, MS(1010));
            CU_ASSERT_EQUAL(v, HOPS_SHORT);
            CU_ASSERT_FALSE(address_is_set(&h.hops[1].address));
        }
        CU_ASSERT_EQUAL(take(&h, &r, &m, needed, MS(1010)), HOPS_TAKEN);
        CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1011)), HOPS_REPEATED);
        CU_ASSERT_EQUAL(h.hops[1].rt.ns, 8 * NS_PER_MS);
    }
}

static void
a_header_shorter_than_one_can_be_is_none(void)
{
    const struct hops_way way = way_of(4);
    struct message sent[HOPS_MAX];
    struct hops h = path(&way, 1, sent);
    struct message m = quoting(&way, &sent[0], EXCEEDED, 0, 0);
    struct address r = router(4, 1);

    m.bytes[8] = 0x44;
    CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1010)), HOPS_OTHER);
    m.bytes[8] = 0x45;
    CU_ASSERT_EQUAL(take(&h, &r, &m, m.size, MS(1010)), HOPS_TAKEN);
}

static void
a_reply_of_another_path_or_from_elsewhere_is_none(void)
{
    const struct hops_way way = way_of(6);
    struct message sent[HOPS_MAX], others[HOPS_MAX];
    struct hops h = path(&way, 3, sent), other;
    const struct hops clean = h;
    struct address r = router(6, 1);
    struct message good = reply_to(&sent[2]), m;
    uint8_t ttl;

    hops_begin(&other, &way, 78, begun, MS(1000));
    others[0].size = hops_packet(&other, others[0].bytes, MS(1001), &ttl);
    m = reply_to(&others[0]);
    CU_ASSERT_EQUAL(answer(&h, &way.far, &m, m.size, MS(1010)), HOPS_OTHER);
    CU_ASSERT_EQUAL(answer(&h, &r, &good, good.size, MS(1010)), HOPS_OTHER);
    /* Ports, SSID, sequences 0 and 4 of 3. */
    for (unsigned i = 0; i < 5; i++) {
        const size_t at[] = {1, 3, 8 + 14, 8 + 27, 8 + 27};
        const uint8_t by[] = {1, 1, 0x80, 3, 3 ^ 4};
        m = good;
        m.bytes[at[i]] ^= by[i];
        CU_ASSERT_EQUAL(answer(&h, &way.far, &m, m.size, MS(1010)), HOPS_OTHER);
    }
    for (size_t size = 0; size < 8 + STAMP_SIZE_REPLY_MIN; size++) {
        enum hops_verdict v = answer(&h, &way.far, &good, size, MS(1010));
        CU_ASSERT_EQUAL(v, HOPS_SHORT);
    }
    CU_ASSERT_EQUAL(memcmp(&h, &clean, sizeof h), 0);
    CU_ASSERT_EQUAL(answer(&h, &way.far, &good, good.size, MS(1010)), HOPS_TAKEN);
    CU_ASSERT_EQUAL(answer(&h, &way.far, &good, good.size, MS(1011)), HOPS_REPEATED);
    CU_ASSERT_EQUAL(h.last, 3);
}

/* As the far end's kernel adds it up: 0 is right. */
static uint16_t
sum_of(const struct hops_way *way, const struct message *m)
{
    uint8_t bytes[512] = {0};
    size_t size = address_size(&way->near);
    uint32_t sum = IPPROTO_UDP + (uint32_t)m->size;

    memcpy(bytes, &way->near.v6, size);
    memcpy(bytes + size, &way->far.v6, size);
    memcpy(bytes + 2 * size, m->bytes, m->size);
    for (size_t i = 0; i < 2 * size + m->size; i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static void
a_packet_is_a_request_that_the_far_end_answers_or_its_kernel_passes_over(void)
{
    for (unsigned i = 0; i < 3000; i++) {
        struct hops_way way = way_of(random_chance(500) ? 4 : 6);
        struct message m;
        struct hops h;
        struct stamp_request q;
        uint8_t ttl;

        way.near_port = (uint16_t)random_u64();
        way.far_port = (uint16_t)random_u64();
        way.mute = random_chance(500);
        hops_begin(&h, &way, (uint32_t)random_u64(), begun, MS(1000));
        for (unsigned k = 1 + (unsigned)random_below(HOPS_MAX); k > 0; k--) {
            m.size = hops_packet(&h, m.bytes, MS(1000 + (int64_t)random_below(1000)), &ttl);
            CU_ASSERT_TRUE(m.size <= HOPS_SIZE_MAX);
            CU_ASSERT_EQUAL(sum_of(&way, &m) == 0, !way.mute);
            CU_ASSERT_TRUE(m.bytes[6] || m.bytes[7]);
            CU_ASSERT_TRUE(!way.mute || m.size <= 76);
            CU_ASSERT_EQUAL(m.bytes[4] << 8 | m.bytes[5], (int)m.size);
        }
        CU_ASSERT_EQUAL(stamp_request_parse(m.bytes + 8, m.size - 8, &q), STAMP_OK);
        CU_ASSERT_EQUAL(q.ssid, m.size < 8 + STAMP_SIZE_BASE ? 0 : HOPS_SSID);
        CU_ASSERT_EQUAL(q.sequence & 31, ttl);
        CU_ASSERT_EQUAL(q.sequence >> 5, h.sequence >> 5);
    }
}

static CU_TestInfo tests[] = {
    {"hops_are_told_in_order_and_the_far_end_last", hops_are_told_in_order_and_the_far_end_last},
    {"a_silent_hop_is_waited_for_and_told_as_silent",
     a_silent_hop_is_waited_for_and_told_as_silent},
    {"a_path_into_silence_is_thirty_packets_and_one_silent_hop",
     a_path_into_silence_is_thirty_packets_and_one_silent_hop},
    {"who_cannot_go_on_ends_the_path", who_cannot_go_on_ends_the_path},
    {"a_quotation_of_somebody_elses_packet_is_none", a_quotation_of_somebody_elses_packet_is_none},
    {"a_quotation_is_enough_with_eight_octets_behind_its_header",
     a_quotation_is_enough_with_eight_octets_behind_its_header},
    {"a_header_shorter_than_one_can_be_is_none", a_header_shorter_than_one_can_be_is_none},
    {"a_reply_of_another_path_or_from_elsewhere_is_none",
     a_reply_of_another_path_or_from_elsewhere_is_none},
    {"a_packet_is_a_request_that_the_far_end_answers_or_its_kernel_passes_over",
     a_packet_is_a_request_that_the_far_end_answers_or_its_kernel_passes_over},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    return run_suite("hops", tests);
}
