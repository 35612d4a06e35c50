/* test_sender.c - the sender against far ends that are not Plumbline's, over a
 * veth pair: each bad habit of a reflector, the kernel's own ICMP echo by both
 * kinds of socket, and both families. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "echo.h"
#include "harness.h"
#include "netpair.h"
#include "reflector.h"
#include "ring.h"
#include "sender.h"

enum { ROUNDS = 30000, PORT = 8620, SIZE = 128 };

/* A reflector's habits. */
struct habit {
    size_t size;         /* Of its replies; 0: the request's. */
    bool echo_ssid;      /* Else zero. */
    bool garbage;        /* Its padding and SSID are of memory that nobody cleared. */
    bool ptp_stamps;     /* In this format ... */
    bool echo_z;         /* ... while Z is the sender's. */
    int64_t epoch_shift; /* Nanoseconds. */
    bool zero_times;
    bool unix_epoch; /* NTP's format, from 1970. */
};

static struct netpair net;
static struct ring *ring;
static struct tstamp_io *io;
static struct sender *sender;
static int far_fd = -1;
static unsigned sizes_seen[2]; /* Requests by their first TLV: none, one. */
static unsigned requests;

static struct address
host(const char *text)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET6, text, &six) == 1) {
        return address_of_v6(&six);
    }
    CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET, text, &four), 1);
    return address_of_v4(four);
}

static struct sender_session
session(uint32_t index, const char *to)
{
    return (struct sender_session){
        .index = index,
        .foreign = true,
        .destination = host(to),
        .destination_port = PORT,
        .source_port = (uint16_t)(50310 + index),
        .ssid = (uint16_t)(index + 1),
        .dscp = 46,
        .size = SIZE,
        .period = span_of_ns(5 * NS_PER_MS),
        .dt = span_of_ns(10 * NS_PER_MS),
        .begin = instant_now(),
    };
}

static void
begin(const struct sender_session *s, size_t n)
{
    netpair_enter(&net, 0);
    ring = ring_new(1 << 12);
    io = tstamp_io_new();
    sender = sender_new(ring, io, -1);
    CU_ASSERT_FATAL(ring && io && sender);
    CU_ASSERT_EQUAL_FATAL(sender_set(sender, s, n, sender_clock_now()), 0);
    (void)tstamp_warm_up(io);
}

static void
end(void)
{
    sender_free(sender);
    tstamp_io_free(io);
    ring_free(ring);
}

static uint64_t
counted(const char *name)
{
    struct counter_group g;

    sender_counters(sender, &g);
    for (unsigned i = 0; i < g.count; i++) {
        if (strcmp(g.names[i], name) == 0) {
            return counter_get(&g.counters[i]);
        }
    }
    CU_FAIL_FATAL("no such counter");
    return 0;
}

/* Answers what has come, in its habit.  Bytes by hand: it is not ours. */
static void
far_answer(const struct habit *h)
{
    struct sockaddr_storage from;
    socklen_t from_size = sizeof from;
    uint8_t q[9000], a[9000];
    ssize_t n;

    while ((n = recvfrom(far_fd, q, sizeof q, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size)) >
           0) {
        size_t size = h->size ? h->size : (size_t)n;
        struct wr w = wr_of(a, sizeof a);
        struct instant now = instant_of_ns(instant_now().ns + h->epoch_shift);
        uint64_t stamp = h->zero_times ? 0 : stamp_time_format(now, h->ptp_stamps);
        stamp -= h->unix_epoch ? UINT64_C(2208988800) << 32 : 0;
        bool z = h->echo_z ? (q[12] & 0x40) != 0 : h->ptp_stamps;

        requests++;
        sizes_seen[n > 44 && q[45] != 0]++;
        memset(a, h->garbage ? 0x5a : 0, sizeof a);
        wr_copy(&w, q, 4);
        wr_be64(&w, stamp);
        wr_be16(&w, z ? 0x4001 : 0x0001);
        if (h->echo_ssid) {
            wr_copy(&w, q + 14, 2);
        } else {
            (void)wr_room(&w, 2);
        }
        wr_be64(&w, stamp);
        wr_copy(&w, q, 14);
        sendto(far_fd, a, size, 0, (struct sockaddr *)&from, from_size);
        from_size = sizeof from;
    }
}

static void
far_open(const char *address)
{
    struct address a = host(address);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = a.v4};

    netpair_enter(&net, 1);
    far_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(far_fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(far_fd, (const struct sockaddr *)&in, sizeof in), 0);
    requests = sizes_seen[0] = sizes_seen[1] = 0;
}

struct got {
    unsigned sent, t1, replies;
    struct exchange last;           /* Reply. */
    struct exchange last_t1;        /* Kernel's stamp of a packet. */
    struct exchange last_follow_up; /* Reply that had one: late, the stamp may miss the next. */
};

/* Runs until each of 'n' sessions has 'wanted' replies (or gives up). */
static bool
run(const struct habit *h, struct reflector *r, struct got *got, unsigned n, unsigned wanted)
{
    memset(got, 0, n * sizeof *got);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct exchange e;
        unsigned done = 0;
        sender_send(sender, sender_clock_now());
        if (h) {
            far_answer(h);
        }
        if (r) {
            reflector_receive(r, true, true);
        }
        sender_receive_all(sender);
        while (ring_pop(ring, &e)) {
            CU_ASSERT_FATAL(e.session < n);
            struct got *g = &got[e.session];
            g->sent += e.kind == EXCHANGE_SENT;
            if (e.kind == EXCHANGE_T1) {
                g->t1++;
                g->last_t1 = e;
            } else if (e.kind == EXCHANGE_REPLY) {
                g->replies++;
                g->last = e;
                g->last_follow_up = e.has_follow_up ? e : g->last_follow_up;
            }
        }
        for (unsigned i = 0; i < n; i++) {
            done += got[i].replies >= wanted && got[i].t1 >= wanted;
        }
        if (done == n) {
            return true;
        }
        usleep(1000);
    }
    return false;
}

static void
replies_of_any_size_from_38_on_are_taken(void)
{
    static const size_t sizes[] = {38, 39, 41, 44, 60, 128, 1400};
    struct sender_session s = session(0, "10.99.0.2");
    struct got got;

    far_open("10.99.0.2");
    begin(&s, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct habit h = {.size = sizes[i], .echo_ssid = true};
        CU_ASSERT(run(&h, NULL, &got, 1, 3));
        CU_ASSERT_EQUAL(got.last.t2.source, TS_USER);
        CU_ASSERT_EQUAL(got.last.has_report, false);
    }
    CU_ASSERT_EQUAL(counted("reply_short"), 0);
    CU_ASSERT_EQUAL(counted("reply_bad_tlv"), 0);
    struct habit h = {.size = 37};
    for (unsigned i = 0; i < ROUNDS && counted("reply_short") < 3; i++) {
        (void)run(&h, NULL, &got, 1, 0);
        usleep(1000);
    }
    CU_ASSERT(counted("reply_short") >= 3);
    end();
    close(far_fd);
}

static void
who_does_not_give_the_ssid_back_is_known_by_his_socket(void)
{
    struct sender_session s[2] = {session(0, "10.99.0.2"), session(1, "10.99.0.2")};
    struct got got[2];

    for (unsigned i = 0; i < 2; i++) {
        struct habit h = {.garbage = i == 1};
        s[0].protocol = s[1].protocol = i ? SENDER_TWAMP_LIGHT : SENDER_STAMP;
        s[1].period = span_of_ns(7 * NS_PER_MS);
        far_open("10.99.0.2");
        begin(s, 2);
        CU_ASSERT(run(&h, NULL, got, 2, 20));
        /* Each has its own: sequences are those that it sent. */
        CU_ASSERT(got[0].last.sequence < got[0].sent && got[1].last.sequence < got[1].sent);
        CU_ASSERT_EQUAL(got[0].last.has_report || got[1].last.has_follow_up, false);
        CU_ASSERT_EQUAL(counted("reply_unknown_ssid") + counted("reply_stranger"), 0);
        CU_ASSERT_EQUAL(counted("reply_bad_tlv"), 0);
        /* TWAMP-Light gets no TLV. */
        CU_ASSERT_EQUAL(sizes_seen[i ? 1 : 0], 0);
        end();
        close(far_fd);
    }
    /* Two of them on one socket could not be told apart. */
    s[1].source_port = s[0].source_port;
    netpair_enter(&net, 0);
    ring = ring_new(1 << 12);
    io = tstamp_io_new();
    sender = sender_new(ring, io, -1);
    CU_ASSERT_EQUAL(sender_set(sender, s, 2, sender_clock_now()), -EEXIST);
    end();
}

static void
times_are_read_in_the_format_that_they_are_in(void)
{
    static const struct {
        bool ptp_asked, ptp_stamps, echo_z, other;
    } cases[] = {
        {false, false, false, false}, {false, true, false, false}, {false, true, true, true},
        {true, true, true, false},    {true, false, true, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sender_session s = session(0, "10.99.0.2");
        struct habit h = {.ptp_stamps = cases[i].ptp_stamps, .echo_z = cases[i].echo_z};
        struct got got;
        s.ptp = cases[i].ptp_asked;
        far_open("10.99.0.2");
        begin(&s, 1);
        CU_ASSERT(run(&h, NULL, &got, 1, 3));
        /* That it is PTP's takes most of a second to prove. */
        for (unsigned k = 0; k < ROUNDS && cases[i].other && !counted("reply_other_format"); k++) {
            CU_ASSERT(run(&h, NULL, &got, 1, 3));
        }
        CU_ASSERT(run(&h, NULL, &got, 1, 3));
        CU_ASSERT_EQUAL(counted("reply_other_format") > 0, cases[i].other);
        int64_t off = got.last.t4.at.ns - got.last.t2.at.ns;
        CU_ASSERT(off >= 0 && off < 60 * NS_PER_S);
        /* What it gave back of ours is ours. */
        off = got.last.t4.at.ns - got.last.t1.at.ns;
        CU_ASSERT(off >= 0 && off < 60 * NS_PER_S);
        end();
        close(far_fd);
    }
}

static void
another_epoch_and_no_time_are_left_as_they_are(void)
{
    struct habit habits[3] = {{.epoch_shift = -INT64_C(20) * 365 * 86400 * NS_PER_S},
                              {.zero_times = true},
                              {.unix_epoch = true}};

    for (unsigned i = 0; i < 3; i++) {
        struct sender_session s = session(0, "10.99.0.2");
        struct got got;
        far_open("10.99.0.2");
        begin(&s, 1);
        /* Over two seconds: what looks like PTP's now does not then. */
        CU_ASSERT(run(&habits[i], NULL, &got, 1, i == 2 ? 400 : 3));
        CU_ASSERT_EQUAL(counted("reply_other_format"), 0);
        CU_ASSERT_EQUAL(got.last.t2.source, i == 1 ? TS_NONE : TS_USER);
        int64_t off = got.last.t4.at.ns - got.last.t2.at.ns;
        CU_ASSERT(off > 86400 * NS_PER_S || off < -86400 * NS_PER_S);
        end();
        close(far_fd);
    }
}

/* Another program's echo request, with its answer. */
static void
other_ping(const char *to)
{
    struct address a = host(to);
    bool six = a.family == 6;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = a.v4};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = a.v6};
    struct echo e = {.identifier = 77, .sequence = 1};
    uint8_t buf[64];
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_RAW, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CU_ASSERT_FATAL(fd >= 0);
    echo_request_format(&e, a.family, buf, sizeof buf);
    CU_ASSERT_EQUAL(sendto(fd, buf, sizeof buf, 0,
                           six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
                           six ? sizeof in6 : sizeof in),
                    sizeof buf);
    CU_ASSERT_EQUAL(poll(&p, 1, 30000), 1);
    close(fd);
}

/* The kernel answers.  'range' is of groups that may have the kernel's ping socket. */
static void
check_echo(const char *range, const char *to)
{
    struct sender_session s[2] = {session(0, to), session(1, to)};
    struct got got[2];
    char command[128];
    int mine = host(to).family == 4 ? AF_INET : AF_INET6;

    netpair_enter(&net, 0);
    snprintf(command, sizeof command, "echo '%s' >/proc/sys/net/ipv4/ping_group_range", range);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    int probe =
        socket(mine, SOCK_DGRAM | SOCK_CLOEXEC, mine == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    CU_ASSERT_EQUAL(probe >= 0, range[0] == '0'); /* Else this tests nothing. */
    if (probe >= 0) {
        close(probe);
    }
    for (unsigned i = 0; i < 2; i++) {
        s[i].protocol = SENDER_ICMP;
        s[i].destination_port = 0;
    }
    begin(s, 2);
    CU_ASSERT(run(NULL, NULL, got, 2, 20));
    for (unsigned i = 0; i < 2; i++) {
        const struct exchange *e = &got[i].last;
        CU_ASSERT_EQUAL(e->t2.source, TS_NONE);
        CU_ASSERT_EQUAL(e->t3.source, TS_NONE);
        CU_ASSERT_EQUAL(e->t4.source, TS_KERNEL);
        CU_ASSERT_EQUAL(e->reply_ttl, 64);
        CU_ASSERT_EQUAL(e->far_error_ns, UINT64_MAX);
        CU_ASSERT_EQUAL(e->reflector_sequence, e->sequence);
        CU_ASSERT(e->sequence < got[i].sent);
        CU_ASSERT(e->t4.at.ns > e->t1.at.ns);
        CU_ASSERT(got[i].t1 + 4 >= got[i].sent);
    }
    CU_ASSERT_EQUAL(counted("reply_bad_echo"), 0);
    CU_ASSERT_EQUAL(counted("reply_stranger"), 0);
    CU_ASSERT_EQUAL(counted("send_errors"), 0);
    /* Somebody else's pings are not ours to count. */
    other_ping(to);
    CU_ASSERT(run(NULL, NULL, got, 2, 3));
    CU_ASSERT_EQUAL(counted("reply_bad_echo") + counted("reply_stranger"), 0);
    end();
}

static void
the_kernel_echoes_to_its_own_ping_socket_and_to_a_raw_one(void)
{
    check_echo("0 0", "10.99.0.2");
    check_echo("1 0", "10.99.0.2");
    check_echo("0 0", "fd99::2");
    check_echo("1 0", "fd99::2");
}

static void
an_echo_has_a_least_size(void)
{
    struct sender_session s = session(0, "10.99.0.2");
    struct got got;

    s.protocol = SENDER_ICMP;
    s.destination_port = 0;
    s.size = 12; /* Under the least of a class: refused. */
    netpair_enter(&net, 0);
    ring = ring_new(1 << 12);
    io = tstamp_io_new();
    sender = sender_new(ring, io, -1);
    CU_ASSERT_EQUAL(sender_set(sender, &s, 1, sender_clock_now()), -EINVAL);
    end();
    s.size = STAMP_SIZE_BASE;
    begin(&s, 1);
    CU_ASSERT(run(NULL, NULL, &got, 1, 3));
    end();
}

static void
both_families_reach_one_reflector(void)
{
    static const char *const to[] = {"10.99.0.2", "fd99::2"};
    struct reflector_config config = {.sessions = 16};
    struct reflector_peer peer = {.remote_bits = 0};
    struct counter_group g;

    netpair_enter(&net, 1);
    struct tstamp_io *rio = tstamp_io_new();
    struct reflector *r = reflector_new(&config, rio);
    CU_ASSERT_EQUAL_FATAL(reflector_allow(r, &peer, 1), 0);
    CU_ASSERT_EQUAL_FATAL(reflector_listen(r, (struct address){.family = 0}, PORT), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct sender_session s = session(0, to[i]);
        struct got got;
        s.foreign = false;
        begin(&s, 1);
        CU_ASSERT(run(NULL, r, &got, 1, 20));
        CU_ASSERT_TRUE(got.last.has_report);
        CU_ASSERT_TRUE(got.last_follow_up.has_follow_up);
        CU_ASSERT_EQUAL(got.last_follow_up.follow_up.t3.source, TS_KERNEL);
        CU_ASSERT_EQUAL(got.last.ttl, 255);
        CU_ASSERT_EQUAL(got.last.reply_ttl, 255);
        CU_ASSERT_EQUAL(got.last.t2.source, TS_KERNEL);
        CU_ASSERT_EQUAL(got.last.t4.source, TS_KERNEL);
        CU_ASSERT(got.last.t2.at.ns >= got.last.t1.at.ns && got.last.t4.at.ns >= got.last.t3.at.ns);
        CU_ASSERT_EQUAL(counted("tx_stamp_unknown") + counted("tx_stamp_bad"), 0);
        end();
    }
    reflector_counters(r, &g);
    CU_ASSERT_EQUAL(counter_get(&g.counters[REFLECTOR_STRANGER]), 0);
    CU_ASSERT_EQUAL(reflector_sessions(r), 2);
    /* A prefix of one family lets nobody of the other in. */
    peer = (struct reflector_peer){.remote = host("fd99::"), .remote_bits = 64};
    CU_ASSERT_EQUAL(reflector_allow(r, &peer, 1), 0);
    CU_ASSERT_EQUAL(reflector_sessions(r), 1);
    peer.remote_bits = 129;
    CU_ASSERT_EQUAL(reflector_allow(r, &peer, 1), -EINVAL);
    reflector_free(r);
    tstamp_io_free(rio);
}

/* The reply that the far end sees of us: class and hop limit on the wire. */
static void
class_and_hop_limit_are_on_the_wire(void)
{
    struct sender_session s = session(0, "fd99::2");
    struct tstamp_config config = {.address = address_any(6), .port = PORT};
    struct counter counters[TSTAMP_COUNTS] = {{.value = 0}};
    struct tstamp socket;
    struct got got;
    int n = 0;

    netpair_enter(&net, 1);
    struct tstamp_io *rio = tstamp_io_new();
    CU_ASSERT_EQUAL_FATAL(tstamp_open(&socket, &config, counters), 0);
    s.source = host("fd99::1");
    begin(&s, 1);
    for (unsigned i = 0; i < ROUNDS && n <= 0; i++) {
        (void)run(NULL, NULL, &got, 1, 0);
        n = tstamp_receive(&socket, rio);
        usleep(1000);
    }
    CU_ASSERT_FATAL(n > 0);
    const struct tstamp_packet *p = &tstamp_io_packets(rio)[0];
    struct address from = host("fd99::1"), at = host("fd99::2");
    CU_ASSERT_EQUAL(p->ttl, 255);
    CU_ASSERT_EQUAL(p->tos, 46 << 2);
    CU_ASSERT_EQUAL(p->size, SIZE);
    CU_ASSERT_EQUAL(p->port, s.source_port);
    CU_ASSERT(address_equal(&p->peer, &from) && address_equal(&p->local, &at));
    end();
    tstamp_close(&socket);
    tstamp_io_free(rio);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(replies_of_any_size_from_38_on_are_taken),
        T(who_does_not_give_the_ssid_back_is_known_by_his_socket),
        T(times_are_read_in_the_format_that_they_are_in),
        T(another_epoch_and_no_time_are_left_as_they_are),
        T(the_kernel_echoes_to_its_own_ping_socket_and_to_a_raw_one),
        T(an_echo_has_a_least_size),
        T(both_families_reach_one_reflector),
        T(class_and_hop_limit_are_on_the_wire),
        CU_TEST_INFO_NULL,
    };

    netpair_open(&net);
    return run_suite("sender", tests);
}
