/* test_timing_auth.c - two timing threads over a veth pair with keys: rotated while
 * packets fly, none is lost; each kind of packet that is not signed as it must be
 * is counted under its own name and not answered.  And a peer without keys gets its
 * TLVs filled in, with the DSCP that it asked for. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#include "netpair.h"
#include "ring.h"
#include "stamp_answer.h"
#include "stampauth.h"
#include "timing.h"

enum { PORT = 862, ROGUE_PORT = 863, SIZE = 200, PACKETS_MAX = 16384, ROUNDS = 12000 };

static struct netpair net;
static struct ring *rings[2];
static struct timing *timings[2];
static bool sent[PACKETS_MAX], answered[PACKETS_MAX], reported[PACKETS_MAX]; /* Of session 0. */
static unsigned replies; /* To other sessions. */
static unsigned reports; /* Of those, with reception report. */

static enum stampauth_mode mode = STAMPAUTH_PACKET;

/* The link's ends as they are now. */
static struct stampauth_ring *left_keys, *right_keys;

static struct in_addr
address(const char *text)
{
    struct in_addr a = {.s_addr = INADDR_ANY};
    inet_pton(AF_INET, text, &a);
    return a;
}

static struct address
address6(const char *text)
{
    struct in6_addr a;

    CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, text, &a), 1);
    return address_of_v6(&a);
}

static struct stampauth_ring *
keys(uint8_t current, uint8_t next, bool send_next)
{
    struct stampauth_secret a = {.size = 32, .octets = {current}};
    struct stampauth_secret b = {.size = next ? 32 : 0, .octets = {next}};
    struct stampauth_ring *r = stampauth_new(mode, &a, &b, send_next);

    if (!r) {
        abort();
    }
    return r;
}

static struct timing_session
session(uint32_t index, const char *source, struct stampauth_ring *with)
{
    static struct instant begin;

    if (begin.ns == 0) {
        begin = instant_now();
    }
    return (struct timing_session){.index = index,
                                   .source = address_of_v4(address(source)),
                                   .destination = address_of_v4(address("10.99.0.2")),
                                   .source_port = (uint16_t)(50000 + index),
                                   .destination_port = PORT,
                                   .ssid = (uint16_t)(7 + index),
                                   .size = SIZE,
                                   .period = span_of_ns(4 * NS_PER_MS),
                                   .begin = begin,
                                   .dt = span_of_ns(100 * NS_PER_MS),
                                   .keys = with};
}

static void
collect(void)
{
    struct exchange e;

    while (ring_pop(rings[0], &e)) {
        if (e.kind == EXCHANGE_REPLY && e.session != 0) {
            replies++;
            reports += e.has_report;
        } else if (e.sequence < PACKETS_MAX && e.session == 0) {
            sent[e.sequence] = sent[e.sequence] || e.kind == EXCHANGE_SENT;
            if (e.kind == EXCHANGE_REPLY) {
                answered[e.sequence] = true;
                reported[e.sequence] = e.has_report;
            }
        }
    }
}

static uint64_t
counter_of(unsigned side, const char *group, const char *name)
{
    const struct counter_group *g;
    size_t n = timing_counters(timings[side], &g);

    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; strcmp(g[i].name, group) == 0 && k < g[i].count; k++) {
            if (strcmp(g[i].names[k], name) == 0) {
                return counter_get(&g[i].counters[k]);
            }
        }
    }
    CU_FAIL_FATAL("no such counter");
    return 0;
}

static bool
run_until_counter(unsigned side, const char *group, const char *name, uint64_t value)
{
    for (unsigned i = 0; i < ROUNDS && counter_of(side, group, name) < value; i++) {
        usleep(5000);
        collect();
    }
    return counter_of(side, group, name) >= value;
}

static unsigned
last_answered(void)
{
    unsigned last = PACKETS_MAX - 1;

    while (last > 0 && !answered[last]) {
        last--;
    }
    return last;
}

/* Until so many more of session 0 were answered. */
static bool
run_for(unsigned packets)
{
    unsigned from = last_answered();

    for (unsigned i = 0; i < ROUNDS && last_answered() < from + packets; i++) {
        usleep(5000);
        collect();
    }
    return last_answered() >= from + packets;
}

/* The right side takes other keys; 10.99.0.3 and fd99::1 are peers without. */
static void
set_right(struct stampauth_ring *with)
{
    struct timing_peer peers[] = {{.local = address_of_v4(address("10.99.0.2")),
                                   .remote = address_of_v4(address("10.99.0.1")),
                                   .keys = with},
                                  {.local = address_of_v4(address("10.99.0.2")),
                                   .remote = address_of_v4(address("10.99.0.3")),
                                   .dscps = UINT64_C(1) << 10 | UINT64_C(1) << 46},
                                  {.local = address6("fd99::2"), .remote = address6("fd99::1")}};
    struct timing_plan plan = {.peers = peers, .peer_count = 3, .reflector_port = PORT};
    struct timing_config config = {.events = rings[1]};

    netpair_enter(&net, 1);
    CU_ASSERT_EQUAL_FATAL(timings[1] ? timing_replace(timings[1], &plan)
                                     : timing_start(&timings[1], &config, &plan),
                          0);
    stampauth_unref(right_keys);
    right_keys = with;
}

/* The left side takes other keys for session 0, and perhaps has another session. */
static void
set_left(struct stampauth_ring *with, const struct timing_session *other)
{
    struct timing_session sessions[2] = {session(0, "10.99.0.1", with)};
    struct timing_plan plan = {.sessions = sessions, .session_count = other ? 2 : 1};
    struct timing_config config = {.events = rings[0]};

    if (other) {
        sessions[1] = *other;
    }
    netpair_enter(&net, 0);
    CU_ASSERT_EQUAL_FATAL(timings[0] ? timing_replace(timings[0], &plan)
                                     : timing_start(&timings[0], &config, &plan),
                          0);
    if (left_keys != with) {
        stampauth_unref(left_keys);
        left_keys = with;
    }
}

static uint64_t
not_signed_as_it_must(void)
{
    return counter_of(1, "reflector", "wrong_key") + counter_of(1, "reflector", "unauthenticated") +
           counter_of(1, "reflector", "unknown_key") +
           counter_of(1, "reflector", "bad_tlv_integrity") +
           counter_of(0, "sender", "reply_wrong_key") +
           counter_of(0, "sender", "reply_unauthenticated") +
           counter_of(0, "sender", "reply_bad_tlv_integrity");
}

static void
check_rotation(void)
{
    rings[0] = ring_new(1 << 14);
    rings[1] = ring_new(1 << 14);
    set_right(keys(1, 0, false));
    set_left(keys(1, 0, false), NULL);
    CU_ASSERT_FATAL(run_for(50));
    for (uint8_t old = 1; old < 6; old++) {
        uint8_t next = (uint8_t)(old + 1);
        set_right(keys(old, next, false));
        CU_ASSERT_FATAL(run_for(10));
        set_left(keys(old, next, false), NULL);
        CU_ASSERT_FATAL(run_for(10));
        set_left(keys(old, next, true), NULL);
        CU_ASSERT_FATAL(run_for(10));
        set_left(keys(next, 0, false), NULL);
        CU_ASSERT_FATAL(run_for(10));
        set_right(keys(next, 0, false));
        CU_ASSERT_FATAL(run_for(10));
    }
    unsigned last = last_answered();
    CU_ASSERT(last > 250);
    for (unsigned i = 0; i <= last; i++) {
        CU_ASSERT_FATAL(sent[i] && answered[i] && reported[i]);
    }
    CU_ASSERT_EQUAL(not_signed_as_it_must(), 0);
}

static void
keys_are_rotated_in_flight_and_no_packet_is_lost(void)
{
    check_rotation();
}

/* Session 1 sends from 'source' with these keys: counted so, and not answered. */
static void
check_refused(const char *source, struct stampauth_ring *with, const char *name)
{
    struct timing_session other = session(1, source, with);
    uint64_t before = not_signed_as_it_must();

    replies = 0;
    set_left(left_keys, &other);
    CU_ASSERT(run_until_counter(1, "reflector", name, 10));
    set_left(left_keys, NULL);
    CU_ASSERT_FATAL(run_for(10)); /* What was on its way has come. */
    CU_ASSERT_EQUAL(replies, 0);
    CU_ASSERT_EQUAL(not_signed_as_it_must() - before, counter_of(1, "reflector", name));
    stampauth_unref(with);
}

static void
what_is_not_signed_as_it_must_is_counted_and_not_answered(void)
{
    check_refused("10.99.0.1", keys(99, 0, false), "wrong_key");
    check_refused("10.99.0.1", NULL, "unauthenticated");
    check_refused("10.99.0.3", keys(6, 0, false), "unknown_key");
}

/* A reflector that signs with what it likes (NULL: with nothing), and gives the
 * SSID back if 'ssid'. */
static void
answer_one(int fd, struct stampauth_ring *with, bool tlvs, bool ssid)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    const struct exchange_report report = {.epoch = 1, .received = 1};
    struct stamp_answer a = {.sequence = 1, .error = 1, .t2 = 1, .t3 = 2, .report = &report};
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    struct stamp_request q;
    enum stamp_verdict tlv;
    uint8_t b[SIZE];
    bool took;

    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 60000), 1);
    CU_ASSERT_EQUAL_FATAL(recvfrom(fd, b, sizeof b, 0, (struct sockaddr *)&from, &size), SIZE);
    CU_ASSERT_EQUAL(stamp_request_parse(b, SIZE, &q), STAMP_OK);
    CU_ASSERT_TRUE(q.authenticated);
    q.authenticated = with != NULL;
    q.ssid = ssid ? q.ssid : 0;
    (void)stamp_reply_make(b, &q, &a, &tlv, &took);
    if (with) {
        stampauth_sign(stampauth_sender(with), b, SIZE, tlvs);
    }
    CU_ASSERT_EQUAL(sendto(fd, b, SIZE, 0, (struct sockaddr *)&from, size), SIZE);
}

static void
replies_that_are_not_signed_are_not_taken(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(ROGUE_PORT)};
    struct stampauth_ring *good = keys(50, 0, false), *bad = keys(51, 0, false);
    struct timing_session other = session(2, "10.99.0.1", good);
    int fd;

    netpair_enter(&net, 1);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    other.destination_port = ROGUE_PORT;
    replies = 0;
    set_left(left_keys, &other);
    answer_one(fd, bad, true, true);
    CU_ASSERT(run_until_counter(0, "sender", "reply_wrong_key", 1));
    answer_one(fd, NULL, true, true);
    CU_ASSERT(run_until_counter(0, "sender", "reply_unauthenticated", 1));
    CU_ASSERT_EQUAL(replies, 0);
    answer_one(fd, good, false, true); /* The packet is signed, its TLVs are not. */
    CU_ASSERT(run_until_counter(0, "sender", "reply_bad_tlv_integrity", 1));
    answer_one(fd, good, true, true);
    answer_one(fd, good, true, false); /* RFC 8762 has no SSID. */
    for (unsigned i = 0; i < ROUNDS && replies < 3; i++) {
        usleep(5000);
        collect();
    }
    CU_ASSERT_EQUAL(replies, 3);
    CU_ASSERT_EQUAL(reports, 2);
    CU_ASSERT_EQUAL(counter_of(0, "sender", "reply_wrong_key"), 1);
    CU_ASSERT_EQUAL(counter_of(0, "sender", "reply_unauthenticated"), 1);
    close(fd);
    set_left(left_keys, NULL);
    stampauth_unref(good);
    stampauth_unref(bad);
}

/* The TOS of the reply to this packet, which takes its place. */
static int
tos_of_reply(int fd, uint8_t *packet, size_t size)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = address("10.99.0.2")};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(1)] = {0};
    struct iovec part = {packet, size};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CU_ASSERT_EQUAL_FATAL(sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof to),
                          (ssize_t)size);
    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 60000), 1);
    CU_ASSERT_EQUAL_FATAL(recvmsg(fd, &m, 0), (ssize_t)size);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    return c && c->cmsg_type == IP_TOS ? *CMSG_DATA(c) : -1;
}

static void
tlvs_are_filled_in_and_the_dscp_is_the_one_asked_for(void)
{
    static const struct {
        uint8_t asked, tos, cos_low;
    } cases[] = {{10, 10 << 2, (46 << 4 & 0xff) | 1 << 2}, /* Of a class of this peer. */
                 {11, 46 << 2, (46 << 4 & 0xff) | 1 << 2 | 1}};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = address("10.99.0.3")};
    socklen_t size = sizeof from;
    int fd, on = 1, tos = 46 << 2 | 1;

    netpair_enter(&net, 0);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    CU_ASSERT_EQUAL(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on), 0);
    CU_ASSERT_EQUAL(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos), 0);
    CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&from, &size), 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct stamp_request q = {
            .sequence = i, .t1 = i + 1, .error = 1, .size = 44, .extended = true};
        uint8_t b[44 + 8 + 28 + 8] = {0};
        stamp_request_format(&q, b);
        memcpy(b + 44, "\x80\4\0\4", 4);
        b[48] = (uint8_t)(cases[i].asked << 2);
        memcpy(b + 52, "\x80\2\0\x18\0\0\0\0\x80\7\0\x10", 12);
        memcpy(b + 80, "\x80\3\0\4", 4);
        CU_ASSERT_EQUAL(tos_of_reply(fd, b, sizeof b), cases[i].tos);
        CU_ASSERT(b[44] == 0 && b[48] == (cases[i].asked << 2 | 46 >> 4));
        CU_ASSERT_EQUAL(b[49], cases[i].cos_low);
        CU_ASSERT(b[52] == 0 && b[56] == PORT >> 8 && b[57] == (PORT & 0xff));
        CU_ASSERT(memcmp(b + 58, &from.sin_port, 2) == 0);
        CU_ASSERT(b[60] == 0 && b[61] == 8 && memcmp(b + 64, &from.sin_addr, 4) == 0);
        CU_ASSERT(b[80] == 0 && (b[84] == STAMP_SYNC_NTP || b[84] == STAMP_SYNC_LOCAL));
        CU_ASSERT(b[85] == 2 && b[86] == b[84] && b[87] == 2);
    }
    close(fd);
}

static void
a_location_of_ipv6_has_its_addresses(void)
{
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = address6("fd99::2").v6};
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_addr = address6("fd99::1").v6};
    struct stamp_request q = {.t1 = 1, .error = 1, .size = 44, .extended = true};
    socklen_t size = sizeof from;
    uint8_t b[44 + 8 + 20 + 20] = {0};
    int fd;

    netpair_enter(&net, 0);
    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&from, &size), 0);
    stamp_request_format(&q, b);
    memcpy(b + 44, "\x80\2\0\x2c\0\0\0\0\x80\4\0\x10", 12);
    memcpy(b + 72, "\x80\7\0\x10", 4);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CU_ASSERT_EQUAL_FATAL(sendto(fd, b, sizeof b, 0, (struct sockaddr *)&to, sizeof to), sizeof b);
    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 60000), 1);
    CU_ASSERT_EQUAL_FATAL(recv(fd, b, sizeof b, 0), sizeof b);
    CU_ASSERT(b[44] == 0 && b[48] == PORT >> 8 && b[49] == (PORT & 0xff));
    CU_ASSERT(memcmp(b + 50, &from.sin6_port, 2) == 0);
    CU_ASSERT(b[52] == 0 && b[53] == 6 && memcmp(b + 56, &to.sin6_addr, 16) == 0);
    CU_ASSERT(b[72] == 0 && b[73] == 9 && memcmp(b + 76, &from.sin6_addr, 16) == 0);
    close(fd);
}

static void
close_both(void)
{
    for (unsigned side = 0; side < 2; side++) {
        timing_free(timings[side]);
        ring_free(rings[side]);
        timings[side] = NULL;
        rings[side] = NULL;
    }
}

/* The same of packets with nothing but the HMAC TLV; also the wrong key, and none. */
static void
the_hmac_tlv_alone_does_as_well(void)
{
    close_both();
    memset(sent, 0, sizeof sent);
    memset(answered, 0, sizeof answered);
    memset(reported, 0, sizeof reported);
    mode = STAMPAUTH_TLV;
    check_rotation();
    check_refused("10.99.0.1", keys(99, 0, false), "wrong_key");
    check_refused("10.99.0.1", NULL, "unauthenticated");
}

static void
it_ends_cleanly(void)
{
    close_both();
    stampauth_unref(left_keys);
    stampauth_unref(right_keys);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"keys are rotated in flight and no packet is lost",
         keys_are_rotated_in_flight_and_no_packet_is_lost},
        {"what is not signed as it must is counted and not answered",
         what_is_not_signed_as_it_must_is_counted_and_not_answered},
        {"replies that are not signed are not taken", replies_that_are_not_signed_are_not_taken},
        {"TLVs are filled in, and the DSCP is the one asked for",
         tlvs_are_filled_in_and_the_dscp_is_the_one_asked_for},
        {"a Location of IPv6 has its addresses", a_location_of_ipv6_has_its_addresses},
        {"the HMAC TLV alone does as well", the_hmac_tlv_alone_does_as_well},
        {"it ends cleanly", it_ends_cleanly},
        CU_TEST_INFO_NULL};

    netpair_open(&net);
    return run_suite("timing threads with keys", tests);
}
