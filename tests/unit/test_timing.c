/* test_timing.c - two timing threads over a veth pair: every packet answered, four
 * kernel timestamps, right reports, a plan replaced without a gap, and each kind
 * of bad packet under its own name. */
#include <CUnit/Basic.h>
#include <CUnit/TestRun.h>
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>

#include "netpair.h"
#include "history.h"
#include "reflector.h"
#include "ring.h"
#include "sender.h"
#include "timing.h"

enum {
    PACKETS_MAX = 16384,
    PORT = 862,
    SIZE = 128,
    ROUNDS = 6000, /* Of 5 ms, to wait at most. */
};

struct seen {
    struct exchange sent, reply;
    struct stamp_time t1, t3;
    bool has_sent, has_reply, has_t1;
    unsigned replies;
};

static struct netpair net;
static struct ring *rings[2];
static struct timing *timings[2];
static struct seen seen[2][PACKETS_MAX]; /* By session, sequence: of the left one's. */
static struct exchange others[64];
static unsigned other_count;

static struct in_addr
address(const char *text)
{
    struct in_addr a = {.s_addr = INADDR_ANY};
    inet_pton(AF_INET, text, &a);
    return a;
}

static struct address
host(const char *text)
{
    struct in6_addr six;

    return inet_pton(AF_INET6, text, &six) == 1 ? address_of_v6(&six)
                                                : address_of_v4(address(text));
}

static struct timing_session
session(uint32_t index, uint16_t source_port, const char *interface)
{
    return (struct timing_session){
        .index = index,
        .source = host("10.99.0.1"),
        .destination = host("10.99.0.2"),
        .source_port = source_port,
        .destination_port = PORT,
        .ssid = (uint16_t)(7 + index),
        .dscp = 46,
        .size = SIZE,
        .period = span_of_ns(4 * NS_PER_MS),
        .interface = interface,
        .begin = instant_now(),
        .dt = span_of_ns(100 * NS_PER_MS),
    };
}

static void
collect(void)
{
    struct exchange e;

    while (ring_pop(rings[0], &e)) {
        if (e.session > 1 || e.sequence >= PACKETS_MAX) {
            others[other_count++ % 64] = e;
            continue;
        }
        struct seen *s = &seen[e.session][e.sequence];
        if (e.kind == EXCHANGE_SENT) {
            s->sent = e;
            s->has_sent = true;
        } else if (e.kind == EXCHANGE_T1) {
            s->t1 = e.t1;
            s->has_t1 = true;
        } else if (e.kind == EXCHANGE_REPLY) {
            s->reply = e;
            s->has_reply = true;
            s->replies++;
            if (e.has_follow_up && e.follow_up.reflector_sequence < PACKETS_MAX) {
                seen[e.session][e.follow_up.reflector_sequence].t3 = e.follow_up.t3;
            }
        } else {
            others[other_count++ % 64] = e;
        }
    }
}

static void
run_for(int64_t ns)
{
    struct span until = span_of_ns(mono_now().ns + ns);

    while (mono_now().ns < until.ns) {
        usleep(5000);
        collect();
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

/* Whether a counter reached a value; how long that took is the machine's. */
static bool
run_until_counter(unsigned side, const char *group, const char *name, uint64_t value)
{
    for (unsigned i = 0; i < ROUNDS && counter_of(side, group, name) < value; i++) {
        run_for(5 * NS_PER_MS);
    }
    return counter_of(side, group, name) >= value;
}

static bool
is_whole(const struct seen *s)
{
    return s->has_sent && s->has_reply && s->has_t1;
}

/* Runs until packets 0 .. count+29 of a session are there whole, and so the
 * follow-ups of 'count' are too. */
static bool
run_until_whole(unsigned which, unsigned packets)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ROUNDS && n < packets + 30; i++) {
        run_for(5 * NS_PER_MS);
        while (n < packets + 30 && is_whole(&seen[which][n])) {
            n++;
        }
    }
    return n == packets + 30;
}

static void
start(void)
{
    struct timing_session s = session(0, 50000, NULL);
    struct timing_peer peer = {.local = host("10.99.0.2"), .remote = host("10.99.0.1")};
    struct timing_plan right = {.peers = &peer, .peer_count = 1, .reflector_port = PORT};
    struct timing_plan left = {.sessions = &s, .session_count = 1};
    struct timing_config config;

    for (unsigned side = 2; side-- > 0;) {
        rings[side] = ring_new(1 << 14);
        config = (struct timing_config){.events = rings[side], .priority = 20};
        netpair_enter(&net, side);
        CU_ASSERT_EQUAL_FATAL(timing_start(&timings[side], &config, side ? &right : &left), 0);
    }
}

static unsigned
bits_set(const uint8_t bitmap[16])
{
    unsigned n = 0;
    for (unsigned i = 0; i < 128; i++) {
        n += bitmap[i / 8] >> (7 - i % 8) & 1;
    }
    return n;
}

/* Everything about packets 0 .. count-1 of a session. */
static void
check_packets(unsigned which, unsigned packets)
{
    for (unsigned i = 0; i < packets; i++) {
        const struct seen *s = &seen[which][i];
        const struct exchange *r = &s->reply;
        CU_ASSERT_FATAL(s->has_sent && s->has_reply && s->has_t1);
        CU_ASSERT_EQUAL(s->replies, 1);
        CU_ASSERT_EQUAL(s->sent.t1.at.ns, r->t1.at.ns);
        CU_ASSERT_EQUAL(s->t1.source, TS_KERNEL);
        CU_ASSERT_EQUAL(r->t2.source, i == 0 ? r->t2.source : TS_KERNEL);
        CU_ASSERT_EQUAL(r->t4.source, i == 0 ? r->t4.source : TS_KERNEL);
        CU_ASSERT_EQUAL(s->t3.source, TS_KERNEL);
        CU_ASSERT(s->t1.at.ns >= s->sent.t1.at.ns && s->t1.at.ns <= r->t2.at.ns);
        CU_ASSERT(r->t2.at.ns <= r->t3.at.ns && r->t3.at.ns <= s->t3.at.ns);
        CU_ASSERT(s->t3.at.ns <= r->t4.at.ns);
        CU_ASSERT_EQUAL(r->reflector_sequence, i);
        CU_ASSERT_EQUAL(r->ttl, 255);
        CU_ASSERT_EQUAL(r->reply_ttl, 255);
        CU_ASSERT_TRUE(r->has_report);
        CU_ASSERT_EQUAL(r->report.epoch, timing_epoch(timings[1]));
        CU_ASSERT_EQUAL(r->report.received, i + 1);
        CU_ASSERT_EQUAL(r->report.duplicates, 0);
        CU_ASSERT_EQUAL(bits_set(r->report.bitmap), i < 128 ? i : 128);
        CU_ASSERT_EQUAL(i == 0 ? 0x80 : r->report.bitmap[0] & 0x80, 0x80);
    }
}

/* None was left out: the thread never came much too late. */
static void
check_schedule(unsigned which, unsigned packets)
{
    for (unsigned i = 1; i < packets; i++) {
        int64_t apart = seen[which][i].sent.scheduled.ns - seen[which][i - 1].sent.scheduled.ns;
        CU_ASSERT(apart > 3900000 && apart < 4100000);
    }
}

static unsigned
sent_count(unsigned which)
{
    unsigned n = 0;
    while (n < PACKETS_MAX && seen[which][n].has_sent) {
        n++;
    }
    return n;
}

static void
every_packet_has_four_kernel_stamps_and_a_right_report(void)
{
    start();
    CU_ASSERT_FATAL(run_until_whole(0, 250));
    check_packets(0, 250);
    check_schedule(0, 250);
    /* The first packet's delta-t is whole. */
    struct instant first = seen[0][0].sent.scheduled;
    int64_t into = first.ns - instant_floor(first, span_of_ns(100 * NS_PER_MS)).ns;
    CU_ASSERT(into >= 10000); /* Never early; how late is the machine's. */
    CU_ASSERT(seen[0][0].sent.t1.at.ns >= first.ns - into);
    CU_ASSERT_EQUAL(other_count, 0);
    CU_ASSERT_EQUAL(counter_of(0, "sender", "tx_stamp_missing"), 0);
    CU_ASSERT_EQUAL(counter_of(0, "sender", "send_errors"), 0);
    CU_ASSERT_EQUAL(counter_of(1, "reflector", "stranger"), 0);
}

static void
a_replaced_plan_leaves_no_gap_in_what_stays(void)
{
    struct timing_session s[2] = {session(0, 50000, NULL), session(1, 50001, "left")};
    struct timing_plan plan = {.sessions = s, .session_count = 2};

    CU_ASSERT_EQUAL(timing_replace(timings[0], &plan), 0);
    unsigned before = sent_count(0);
    CU_ASSERT_FATAL(run_until_whole(0, before + 100));
    CU_ASSERT_FATAL(run_until_whole(1, 60));
    check_packets(0, before + 100);
    check_packets(1, 60);
    check_schedule(0, before + 100);
    check_schedule(1, 60);
}

static uint64_t stamped[8];
static unsigned stamped_count;

static void
note_stamp(uint64_t cookie, struct instant at, void *aux)
{
    (void)at;
    (void)aux;
    stamped[stamped_count++ % 8] = cookie;
}

/* Sends 'n' packets to itself, and leaves their transmit stamps in the kernel. */
static void
send_unread(struct tstamp *s, struct tstamp_io *io, unsigned n, uint64_t cookie)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *data = tstamp_io_buffer(io, i);
        tstamp_io_outs(io)[i] = (struct tstamp_out){.data = data,
                                                    .size = 44,
                                                    .to = host("127.0.0.1"),
                                                    .port = s->port,
                                                    .cookie = cookie + i,
                                                    .at = instant_now()};
    }
    tstamp_send(s, io, n, note_stamp, NULL);
}

static void
stamps_that_are_still_out_are_the_next_ones(void)
{
    const struct tstamp_config config = {.address = host("127.0.0.1")};
    struct counter counters[TSTAMP_COUNTS] = {{.value = 0}};
    struct tstamp_io *io = tstamp_io_new();
    struct tstamp old, new;
    struct tstamp_kept kept;
    struct tstamp_waiting w[4];
    unsigned n = 0;

    netpair_enter(&net, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(io);
    CU_ASSERT_EQUAL_FATAL(tstamp_open(&old, &config, counters), 0);
    send_unread(&old, io, 3, 100);
    tstamp_keep(&old, &kept);
    for (uint32_t id = kept.oldest; n < 4 && tstamp_next_waiting(&old, &id, &w[n]);) {
        n++;
    }
    CU_ASSERT_EQUAL_FATAL(n, 3);
    CU_ASSERT_EQUAL_FATAL(tstamp_adopt(&new, dup(old.fd), &kept, counters), 0);
    tstamp_close(&old);
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(tstamp_expect(&new, &w[i]), 0);
        CU_ASSERT_EQUAL(tstamp_expect(&new, &w[i]), -EINVAL); /* Once. */
    }
    w[0].id = kept.next;
    CU_ASSERT_EQUAL(tstamp_expect(&new, &w[0]), -EINVAL);
    send_unread(&new, io, 2, 200);
    for (unsigned i = 0; i < ROUNDS && stamped_count < 5; i++) {
        tstamp_drain(&new, io, instant_now(), note_stamp, NULL);
        usleep(1000);
    }
    CU_ASSERT_EQUAL_FATAL(stamped_count, 5);
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(stamped[i], i < 3 ? 100 + i : 200 + i - 3);
    }
    CU_ASSERT_EQUAL(counter_get(&counters[TSTAMP_TX_UNKNOWN]), 0);
    kept.next = kept.oldest + kept.flight_size + 1;
    CU_ASSERT_EQUAL(tstamp_resume(&new, &kept), -EINVAL);
    kept.next--;
    CU_ASSERT_EQUAL(tstamp_resume(&new, &kept), 0);
    tstamp_close(&new);
    tstamp_io_free(io);
}

/* Descriptors as another process would get them. */
static void
copy_descriptors(struct timing_kept *k)
{
    for (size_t i = 0; i < k->socket_count; i++) {
        k->sockets[i].fd = dup(k->sockets[i].fd);
        CU_ASSERT_FATAL(k->sockets[i].fd >= 0);
    }
}

/* Another thread, as in another process, goes on where that of this side stops. */
static void
hand_over(unsigned side, const struct timing_plan *plan)
{
    const struct timing_config config = {.events = rings[side], .priority = 20};
    struct timing *old = timings[side], *new;
    struct timing_kept first, last;

    CU_ASSERT_EQUAL_FATAL(timing_keep(old, false, &first), 0);
    copy_descriptors(&first);
    netpair_enter(&net, side);
    CU_ASSERT_EQUAL_FATAL(timing_prepare(&new, &config, plan, &first), 0);
    timing_stop(old);
    CU_ASSERT_EQUAL_FATAL(timing_keep(old, true, &last), 0);
    timing_let_go(old);
    CU_ASSERT_EQUAL_FATAL(timing_resume(new, &last, plan), 0);
    CU_ASSERT_EQUAL(timing_epoch(new), timing_epoch(old));
    timing_kept_fini(&first);
    timing_kept_fini(&last);
    timing_free(old);
    timings[side] = new;
}

static void
another_thread_goes_on_with_sockets_sessions_and_counts(void)
{
    struct timing_session s[2] = {session(0, 50000, NULL), session(1, 50001, "left")};
    struct timing_plan left = {.sessions = s, .session_count = 2};
    struct timing_peer peer = {.local = host("10.99.0.2"), .remote = host("10.99.0.1")};
    struct timing_plan right = {.peers = &peer, .peer_count = 1, .reflector_port = PORT};

    for (unsigned round = 0; round < 4; round++) {
        unsigned before = sent_count(0);
        hand_over(round % 2, round % 2 ? &right : &left);
        CU_ASSERT_FATAL(run_until_whole(0, before + 60));
        CU_ASSERT_FATAL(run_until_whole(1, 60));
        CU_ASSERT_EQUAL(counter_of(0, "sender", "tx_stamp_unknown"), 0);
        CU_ASSERT_EQUAL(counter_of(1, "reflector", "tx_stamp_unknown"), 0);
        CU_ASSERT_EQUAL(counter_of(1, "reflector", "sender_began_anew"), 0);
        check_packets(0, before + 60);
    }
    /* Nobody took over: it goes on itself. */
    unsigned before = sent_count(0);
    timing_stop(timings[0]);
    CU_ASSERT_EQUAL_FATAL(timing_resume(timings[0], NULL, NULL), 0);
    CU_ASSERT_FATAL(run_until_whole(0, before + 60));
    check_packets(0, before + 60);
    check_packets(1, 60);
}

static void
a_wrong_plan_changes_nothing(void)
{
    struct timing_session s = session(0, 50000, "nosuch");
    struct timing_plan plan = {.sessions = &s, .session_count = 1};
    unsigned before = sent_count(0);

    CU_ASSERT_EQUAL(timing_replace(timings[0], &plan), -ENODEV);
    CU_ASSERT(run_until_whole(0, before + 10));
}

static int
raw_socket(const char *source, uint16_t port)
{
    struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address(source)};
    int fd;

    netpair_enter(&net, 0);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
    return fd;
}

static void
raw_send(int fd, uint32_t sequence, int64_t t1_ns, uint32_t size, uint16_t error)
{
    uint8_t buf[9001] = {0};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = address("10.99.0.2")};
    struct stamp_request q = {.sequence = sequence,
                              .t1 = stamp_time_format(instant_of_ns(t1_ns), false),
                              .error = error,
                              .size = size >= 44 && size <= 9000 ? size : 44};

    stamp_request_format(&q, buf);
    CU_ASSERT_EQUAL(sendto(fd, buf, size, 0, (const struct sockaddr *)&to, sizeof to), size);
}

/* Size of the reply. */
static size_t
raw_reply(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint8_t buf[9100];
    ssize_t n;

    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 30000), 1);
    n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    return n < 0 ? 0 : (size_t)n;
}

/* Counted under that name of the reflector's, once, and not answered. */
static void
check_refused(int fd, const char *name)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CU_ASSERT(run_until_counter(1, "reflector", name, 1));
    CU_ASSERT_EQUAL(counter_of(1, "reflector", name), 1);
    CU_ASSERT_EQUAL(poll(&p, 1, 20), 0);
}

static void
bad_packets_are_counted_under_their_names_and_not_answered(void)
{
    int stranger = raw_socket("10.99.0.3", 50009);
    int known = raw_socket("10.99.0.1", 50009);
    int64_t t = instant_now().ns;

    raw_send(stranger, 0, t, 44, 1);
    check_refused(stranger, "stranger");
    raw_send(known, 0, t, 13, 1);
    check_refused(known, "short");
    raw_send(known, 0, t, 9001, 1);
    check_refused(known, "overlong");
    raw_send(known, 0, t, 44, 0);
    check_refused(known, "bad_error_estimate");
    raw_send(known, 0, t, 14, 1);
    CU_ASSERT_EQUAL(raw_reply(known), 44);
    raw_send(known, 200, t + 1000, 9000, 1);
    CU_ASSERT_EQUAL(raw_reply(known), 9000);
    raw_send(known, 200, t + 1000, 60, 1);
    check_refused(known, "duplicate");
    raw_send(known, 72, t + 900, 60, 1);
    check_refused(known, "replayed");
    raw_send(known, 73, t + 900, 60, 1);
    CU_ASSERT_EQUAL(raw_reply(known), 60);
    raw_send(known, 0, t + 2000, 60, 1);
    CU_ASSERT_EQUAL(raw_reply(known), 60);
    CU_ASSERT_EQUAL(counter_of(1, "reflector", "sender_began_anew"), 1);
    close(stranger);
    close(known);
}

static void
one_source_cannot_take_every_session(void)
{
    const struct reflector_config config = {.sessions = 8};
    const struct reflector_peer peer = {.remote = host("10.99.0.0"), .remote_bits = 24};
    struct tstamp_io *io = tstamp_io_new();
    struct reflector *r = reflector_new(&config, io);
    struct counter_group counters;
    int forger = raw_socket("10.99.0.1", 50010), other = raw_socket("10.99.0.3", 50011);

    CU_ASSERT_EQUAL(system("ip link set lo up"), 0);
    CU_ASSERT_EQUAL_FATAL(reflector_listen(r, host("10.99.0.1"), 0), 0);
    CU_ASSERT_EQUAL_FATAL(reflector_allow(r, &peer, 1), 0);
    reflector_counters(r, &counters);
    for (unsigned i = 0; i < 40; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(reflector_port(r)),
                                 .sin_addr = address("10.99.0.1")};
        struct stamp_request q = {.t1 = stamp_time_format(instant_now(), false),
                                  .error = 1,
                                  .ssid = (uint16_t)(i + 1),
                                  .size = 44};
        uint8_t buf[44];
        struct pollfd p = {.fd = reflector_fd(r), .events = POLLIN};
        stamp_request_format(&q, buf);
        CU_ASSERT_EQUAL(sendto(i < 38 ? forger : other, buf, sizeof buf, 0,
                               (const struct sockaddr *)&to, sizeof to),
                        (ssize_t)sizeof buf);
        CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 30000), 1);
        reflector_receive(r, true, false);
    }
    /* Half is left to others, of whom the next may have a third. */
    CU_ASSERT_EQUAL(reflector_sessions(r), 4 + 2);
    CU_ASSERT_EQUAL(counter_get(&counters.counters[REFLECTOR_SOURCE_FULL]), 34);
    CU_ASSERT_EQUAL(counter_get(&counters.counters[REFLECTOR_FULL]), 0);
    close(forger);
    close(other);
    reflector_free(r);
    tstamp_io_free(io);
}

static unsigned
last_sent(void)
{
    unsigned last = PACKETS_MAX - 1;
    while (last > 0 && !seen[0][last].has_sent) {
        last--;
    }
    return last;
}

/* Until the kernel has refused so many more. */
static void
run_until_refused(unsigned more)
{
    uint64_t before = counter_of(0, "sender", "send_errors");

    CU_ASSERT_FATAL(run_until_counter(0, "sender", "send_errors", before + more));
}

/* Whether so many in a row came to be sent, stamped and answered from now on. */
static bool
run_until_stamped(unsigned in_row)
{
    unsigned from = last_sent() + 1, row = 0;

    for (unsigned i = 0; i < ROUNDS && row < in_row; i++) {
        run_for(5 * NS_PER_MS);
        unsigned last = last_sent();
        /* The last ones may have theirs still under way. */
        for (; from + 5 < last && row < in_row; from++) {
            row = seen[0][from].has_t1 && seen[0][from].has_reply ? row + 1 : 0;
        }
    }
    return row >= in_row;
}

/* Whether packet 'i' has a stamp that was made after the packet behind it: by then
 * 'i' was long gone, unless both left in one batch, which a late thread makes with
 * user's stamps close together. */
static bool
is_shifted(unsigned i)
{
    const struct seen *s = &seen[0][i], *next = s + 1;

    return s->has_sent && s->has_t1 && next->has_sent &&
           next->sent.t1.at.ns - s->sent.t1.at.ns >= 2 * NS_PER_MS &&
           s->t1.at.ns >= next->sent.t1.at.ns;
}

static void
refused_sends_do_not_shift_later_stamps(void)
{
    unsigned first = sent_count(0);

    netpair_enter(&net, 0);
    /* A link that is down refuses without using up an id, a firewall with. */
    CU_ASSERT_EQUAL(system("ip link set left down"), 0);
    run_until_refused(10);
    CU_ASSERT_EQUAL(system("ip link set left up"), 0);
    /* The kernel may take a second to find that it is, and to ask for the neighbour; all
     * that waits for the answer leaves at once and late, which looks like a shift. */
    CU_ASSERT_FATAL(run_until_stamped(40));
    unsigned settled = last_sent();
    CU_ASSERT_FATAL(run_until_stamped(40));
    CU_ASSERT_EQUAL(system("nft 'add table ip t; add chain ip t o { type filter hook output "
                           "priority 0; }; add rule ip t o udp dport 862 drop'"),
                    0);
    run_until_refused(10);
    CU_ASSERT_EQUAL(system("nft delete table ip t"), 0);
    CU_ASSERT_FATAL(run_until_stamped(80));
    unsigned checked = 0, row = 0, longest = 0;
    for (unsigned i = first; i < PACKETS_MAX - 1; i++) {
        const struct seen *s = &seen[0][i];
        if (s->has_sent && s->has_t1) {
            CU_ASSERT(s->t1.at.ns >= s->sent.t1.at.ns); /* Not that of one before. */
            checked++;
        }
        row = i >= settled && is_shifted(i) ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    CU_ASSERT(checked > 100);
    CU_ASSERT(longest < 8); /* A shift stays until the ids begin anew. */
    for (unsigned side = 0; side < 2; side++) {
        timing_free(timings[side]);
        ring_free(rings[side]);
    }
}

static void
history_takes_each_packet_once(void)
{
    struct history h = {.begun = false};
    uint8_t bitmap[16];
    struct span m = {.ns = 1};

    CU_ASSERT_EQUAL(history_add(&h, UINT32_MAX - 1, 10, m), HISTORY_NEW);
    CU_ASSERT_EQUAL(history_add(&h, 1, 20, m), HISTORY_NEW);
    CU_ASSERT_EQUAL(history_add(&h, 0, 18, m), HISTORY_NEW);
    CU_ASSERT_EQUAL(history_add(&h, 0, 18, m), HISTORY_DUPLICATE);
    history_bitmap(&h, 1, bitmap);
    CU_ASSERT_EQUAL(bitmap[0], 0xa0);
    history_bitmap(&h, 0, bitmap);
    CU_ASSERT_EQUAL(bitmap[0], 0x40);
    CU_ASSERT_EQUAL(h.received, 3);
    CU_ASSERT_EQUAL(h.duplicates, 1);
    CU_ASSERT_EQUAL(history_add(&h, 128, 30, m), HISTORY_NEW);
    CU_ASSERT_EQUAL(history_add(&h, 0, 18, m), HISTORY_REPLAYED);
    CU_ASSERT_EQUAL(history_add(&h, 1, 20, m), HISTORY_DUPLICATE);
    history_bitmap(&h, 128, bitmap);
    CU_ASSERT_EQUAL(bitmap[15], 0x03);
}

static void
history_agrees_with_a_set(void)
{
    static bool taken[3000];
    struct history h = {.begun = false};
    uint32_t state = 12345;
    uint32_t highest = 0;

    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bitmap[16];
        state = state * 1664525 + 1013904223;
        int jump = (int)(state >> 16) % 300 - 150;
        if ((state >> 8 & 7) != 0) {
            jump = jump % 4;
        }
        int64_t at = (int64_t)highest + jump;
        uint32_t sequence = at < 0 ? 0 : (uint32_t)at;
        if (sequence >= 3000) {
            break;
        }
        enum history_verdict v = history_add(&h, sequence, 1 + (int64_t)sequence, span_of_ns(1));
        bool old = i > 0 && sequence <= highest && highest - sequence >= 128;
        CU_ASSERT_EQUAL_FATAL(v, old               ? HISTORY_REPLAYED
                                 : taken[sequence] ? HISTORY_DUPLICATE
                                                   : HISTORY_NEW);
        if (v != HISTORY_NEW) {
            continue;
        }
        taken[sequence] = true;
        highest = sequence > highest ? sequence : highest;
        history_bitmap(&h, sequence, bitmap);
        for (uint32_t back = 1; back <= 128; back++) {
            bool is = bitmap[(back - 1) / 8] >> (7 - (back - 1) % 8) & 1;
            CU_ASSERT_EQUAL_FATAL(is, back <= sequence && taken[sequence - back]);
        }
    }
}

static void
a_sender_that_begins_anew_is_believed(void)
{
    struct history h = {.begun = false};
    int64_t second = NS_PER_S;

    for (uint32_t i = 0; i < 1000; i++) {
        history_add(&h, i, 1000 + i, span_of_ns(second + i * 1000));
    }
    struct history was = h;
    /* A later T1 tells, whether its sequence is near or far. */
    CU_ASSERT_EQUAL(history_add(&h, 0, 2000, span_of_ns(2 * second)), HISTORY_RESTARTED);
    CU_ASSERT_EQUAL(h.received, 1);
    h = was;
    CU_ASSERT_EQUAL(history_add(&h, 999, 2000, span_of_ns(2 * second)), HISTORY_RESTARTED);
    /* An earlier one after its clock went back: only after silence. */
    h = was;
    CU_ASSERT_EQUAL(history_add(&h, 0, 5, span_of_ns(2 * second + 999 * 1000)), HISTORY_REPLAYED);
    CU_ASSERT_EQUAL(history_add(&h, 0, 5, span_of_ns(2 * second + 999 * 1000 + 1)),
                    HISTORY_RESTARTED);
    /* A sender of one packet each ten seconds may have a copy after two. */
    h = (struct history){.begun = false};
    history_add(&h, 0, 1, span_of_ns(10 * second));
    history_add(&h, 1, 2, span_of_ns(20 * second));
    CU_ASSERT_EQUAL(history_add(&h, 1, 2, span_of_ns(22 * second)), HISTORY_DUPLICATE);
}

static void
a_full_ring_tells_what_it_lost(void)
{
    struct ring *r = ring_new(16);
    struct exchange e = {.kind = EXCHANGE_SENT};
    struct exchange out;

    for (uint32_t i = 0; i < 20; i++) {
        e.sequence = i;
        e.at.ns = i;
        CU_ASSERT_EQUAL(ring_put(r, &e), i < 16);
    }
    CU_ASSERT_EQUAL(ring_lost(r), 4);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(ring_pop(r, &out));
        CU_ASSERT_EQUAL(out.sequence, i);
    }
    e.at.ns = 20;
    e.sequence = 20;
    CU_ASSERT_TRUE(ring_put(r, &e));
    for (uint32_t i = 3; i < 16; i++) {
        CU_ASSERT_TRUE(ring_pop(r, &out));
    }
    CU_ASSERT_TRUE(ring_pop(r, &out));
    CU_ASSERT_EQUAL(out.kind, EXCHANGE_OVERRUN);
    CU_ASSERT_EQUAL(out.session, UINT32_MAX);
    CU_ASSERT_EQUAL(out.since.ns, 16);
    CU_ASSERT_EQUAL(out.at.ns, 20);
    CU_ASSERT_TRUE(ring_pop(r, &out));
    CU_ASSERT_EQUAL(out.sequence, 20);
    CU_ASSERT_FALSE(ring_pop(r, &out));
    ring_free(r);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(history_takes_each_packet_once),
        T(history_agrees_with_a_set),
        T(a_sender_that_begins_anew_is_believed),
        T(a_full_ring_tells_what_it_lost),
        T(every_packet_has_four_kernel_stamps_and_a_right_report),
        T(a_replaced_plan_leaves_no_gap_in_what_stays),
        T(stamps_that_are_still_out_are_the_next_ones),
        T(another_thread_goes_on_with_sockets_sessions_and_counts),
        T(a_wrong_plan_changes_nothing),
        T(bad_packets_are_counted_under_their_names_and_not_answered),
        T(one_source_cannot_take_every_session),
        T(refused_sends_do_not_shift_later_stamps),
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {(char *)(uintptr_t) "timing", NULL, NULL, NULL, NULL, tests},
        CU_SUITE_INFO_NULL,
    };

    netpair_open(&net);
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_tests_failed();
    printf("%u passed, %u failed\n", CU_get_number_of_tests_run() - failed, failed);
    CU_cleanup_registry();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
