/* test_nat.c - a reflector whose peers are behind NAT, over loopback: the key says
 * which link a packet is of, the session goes on wherever it comes from, and what is
 * signed with no key, or comes again, gets no answer and moves nothing. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#include "reflector.h"
#include "stampauth.h"
#include "wire.h"

enum { SIZE = 200, SSID = 3, LINK_A = 7, LINK_B = 9 };

static struct reflector *reflector;
static struct tstamp_io *io;
static enum stampauth_mode mode = STAMPAUTH_PACKET;

static struct stampauth_ring *
ring(uint8_t octet, uint8_t next)
{
    struct stampauth_secret a = {.size = 32, .octets = {octet}};
    struct stampauth_secret b = {.size = next ? 32 : 0, .octets = {next}};
    struct stampauth_ring *r = stampauth_new(mode, &a, &b, false);

    if (!r) {
        abort();
    }
    return r;
}

/* Peers behind NAT with these keys. */
static void
allow(struct stampauth_ring *a, struct stampauth_ring *b)
{
    const struct reflector_peer peers[] = {{.keys = a, .nat = LINK_A}, {.keys = b, .nat = LINK_B}};

    CU_ASSERT_EQUAL_FATAL(reflector_allow(reflector, peers, b ? 2 : 1), 0);
    stampauth_unref(a);
    stampauth_unref(b);
}

static void
begin(enum stampauth_mode how)
{
    const struct reflector_config config = {.sessions = 64, .epoch = 1};

    mode = how;
    io = tstamp_io_new();
    reflector = reflector_new(&config, io);
    CU_ASSERT_FATAL(io != NULL && reflector != NULL);
    CU_ASSERT_EQUAL_FATAL(
        reflector_listen(reflector, address_of_v4((struct in_addr){htonl(INADDR_LOOPBACK)}), 0), 0);
}

static void
end(void)
{
    reflector_free(reflector);
    tstamp_io_free(io);
}

static uint64_t
counted(enum reflector_count which)
{
    struct counter_group g;

    reflector_counters(reflector, &g);
    return counter_get(&g.counters[which]);
}

/* A socket of 127.0.0.'last', where the NAT now seems to be. */
static int
outside(uint8_t last)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

/* Asks with what 'with' signs (NULL: nothing), and closes the socket.  The reply's own
 * sequence, or -1: there is none. */
static int
ask(int fd, uint32_t sequence, const struct stampauth_ring *with)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(reflector_port(reflector))};
    struct stamp_request q = {.sequence = sequence,
                              .t1 = UINT64_C(0xeeab628a00000000) + sequence,
                              .error = 1,
                              .ssid = SSID,
                              .authenticated = stampauth_mode(with) == STAMPAUTH_PACKET,
                              .hmac_tlv = stampauth_mode(with) == STAMPAUTH_TLV,
                              .size = SIZE};
    struct pollfd arrived = {.fd = reflector_fd(reflector), .events = POLLIN};
    uint8_t b[SIZE];

    stamp_request_format(&q, b);
    if (q.authenticated) {
        stampauth_sign(stampauth_sender(with), b, SIZE, true);
    } else if (with) {
        stampauth_sign_tlvs(stampauth_sender(with), b, SIZE);
    }
    CU_ASSERT_EQUAL_FATAL(sendto(fd, b, SIZE, 0, (struct sockaddr *)&to, sizeof to), SIZE);
    CU_ASSERT_EQUAL_FATAL(poll(&arrived, 1, 60000), 1);
    CU_ASSERT_EQUAL_FATAL(reflector_receive(reflector, true, true), 1);
    /* Loopback delivers within the send. */
    ssize_t n = recv(fd, b, SIZE, MSG_DONTWAIT);
    close(fd);
    if (n != SIZE) {
        return -1;
    }
    if (with) {
        struct stampauth_key *key;
        CU_ASSERT_EQUAL(stampauth_check(with, b, SIZE, q.authenticated, &key), STAMPAUTH_OK);
    }
    struct rd r = rd_of(b, SIZE);
    return (int)rd_be32(&r);
}

static void
check_moves(void)
{
    struct stampauth_ring *a = ring(1, 0), *b = ring(2, 0), *stranger = ring(3, 0);

    allow(stampauth_ref(a), stampauth_ref(b));
    CU_ASSERT_EQUAL(ask(outside(2), 0, a), 0);
    CU_ASSERT_EQUAL(ask(outside(2), 1, a), 1); /* Another port. */
    CU_ASSERT_EQUAL(ask(outside(3), 2, a), 2); /* Another address. */
    CU_ASSERT_EQUAL(counted(REFLECTOR_NAT_MOVED), 2);
    CU_ASSERT_EQUAL(reflector_sessions(reflector), 1);
    CU_ASSERT_EQUAL(ask(outside(3), 0, b), 0); /* The same SSID, of another link. */
    CU_ASSERT_EQUAL(reflector_sessions(reflector), 2);
    /* What came once comes again from elsewhere. */
    CU_ASSERT_EQUAL(ask(outside(4), 1, a), -1);
    CU_ASSERT_EQUAL(counted(REFLECTOR_DUPLICATE), 1);
    CU_ASSERT_EQUAL(counted(REFLECTOR_NAT_MOVED), 2);
    CU_ASSERT_EQUAL(ask(outside(4), 3, stranger), -1);
    CU_ASSERT_EQUAL(counted(REFLECTOR_WRONG_KEY), 1);
    CU_ASSERT_EQUAL(ask(outside(4), 3, NULL), -1);
    CU_ASSERT_EQUAL(counted(REFLECTOR_STRANGER), 1);
    CU_ASSERT_EQUAL(reflector_sessions(reflector), 2);
    /* Keys are rotated: the session is the link's. */
    struct stampauth_ring *next = ring(4, 1);
    allow(next, NULL);
    CU_ASSERT_EQUAL(reflector_sessions(reflector), 1);
    CU_ASSERT_EQUAL(ask(outside(5), 3, a), 3);
    CU_ASSERT_EQUAL(ask(outside(5), 3, b), -1);
    stampauth_unref(a);
    stampauth_unref(b);
    stampauth_unref(stranger);
}

static void
a_session_goes_on_wherever_it_comes_from(void)
{
    begin(STAMPAUTH_PACKET);
    check_moves();
    end();
}

static void
so_does_one_whose_tlvs_are_signed(void)
{
    begin(STAMPAUTH_TLV);
    check_moves();
    end();
}

/* Each look at a stranger's packet costs as many keys as there are links. */
static void
strangers_do_not_use_up_what_those_who_are_known_need(void)
{
    static struct reflector_peer peers[1000];
    struct stampauth_ring *a, *stranger;
    uint32_t asked = 0;

    begin(STAMPAUTH_PACKET);
    a = ring(1, 0);
    stranger = ring(3, 0);
    for (unsigned i = 0; i < 1000; i++) {
        peers[i] = (struct reflector_peer){.keys = a, .nat = i + 1};
    }
    CU_ASSERT_EQUAL_FATAL(reflector_allow(reflector, peers, 1000), 0);
    int known = outside(2);
    CU_ASSERT_EQUAL(ask(dup(known), 0, a), 0);
    while (counted(REFLECTOR_NAT_LIMITED) == 0 && asked < 10000) {
        CU_ASSERT_EQUAL_FATAL(ask(outside(3), asked++, stranger), -1);
    }
    CU_ASSERT(counted(REFLECTOR_NAT_LIMITED) > 0);
    CU_ASSERT(counted(REFLECTOR_WRONG_KEY) > 0);
    CU_ASSERT_EQUAL(ask(known, 1, a), 1);
    stampauth_unref(a);
    stampauth_unref(stranger);
    end();
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_session_goes_on_wherever_it_comes_from", a_session_goes_on_wherever_it_comes_from},
        {"so_does_one_whose_tlvs_are_signed", so_does_one_whose_tlvs_are_signed},
        {"strangers_do_not_use_up_what_those_who_are_known_need",
         strangers_do_not_use_up_what_those_who_are_known_need},
        CU_TEST_INFO_NULL};
    return run_suite("nat", tests);
}
