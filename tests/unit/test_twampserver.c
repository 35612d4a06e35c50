/* test_twampserver.c - the TWAMP-Control server over loopback, with a reflector
 * that only remembers: what opens and closes sessions, every bound, and each kind
 * of bad peer under its own name.  Client and server share one thread: the base
 * goes round while the client waits. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#include "twampserver.h"
#include "wire.h"

enum { ROUNDS = 12000, TEST_PORT = 8862 }; /* Rounds of 5 ms, to wait at most. */

static struct event_base *base;
static struct twampserver *server;
static struct counter_group counters;

/* The reflector. */
static struct {
    struct reflector_twamp is[8];
    bool used[8];
    unsigned opened, closed;
    int refuse; /* What opening gives, unless 0. */
    struct span heard;
} fake;

static int
fake_open(void *aux, const struct reflector_twamp *t)
{
    (void)aux;
    if (fake.refuse) {
        return fake.refuse;
    }
    for (int i = 0; i < 8; i++) {
        if (!fake.used[i]) {
            fake.used[i] = true;
            fake.is[i] = *t;
            fake.opened++;
            return i;
        }
    }
    return -ENOSPC;
}

static void
fake_close(void *aux, int handle)
{
    (void)aux;
    CU_ASSERT_FATAL(handle >= 0 && handle < 8 && fake.used[handle]);
    fake.used[handle] = false;
    fake.closed++;
}

static struct span
fake_heard(void *aux, int handle)
{
    (void)aux;
    CU_ASSERT(fake.used[handle]);
    return fake.heard;
}

static struct twampserver_config
config_of(const struct prefix *allow, size_t allow_count)
{
    return (struct twampserver_config){
        .base = base,
        .address = address_of_v4((struct in_addr){htonl(INADDR_LOOPBACK)}),
        .test_port = TEST_PORT,
        .allow = allow,
        .allow_count = allow_count,
        .connections = 4,
        .sessions = 4,
        .timeout = span_of_ns(600 * NS_PER_S),
        .linger = span_of_ns(NS_PER_S / 2),
        .reflector = {fake_open, fake_close, fake_heard, NULL},
    };
}

static void
begin_config(const struct twampserver_config *config)
{
    memset(&fake, 0, sizeof fake);
    fake.heard = span_of_ns(INT64_MAX / 2);
    CU_ASSERT_EQUAL_FATAL(twampserver_new(&server, config), 0);
    twampserver_counters(server, &counters);
}

static void
begin_allowing(const struct prefix *allow, size_t allow_count)
{
    const struct twampserver_config config = config_of(allow, allow_count);

    begin_config(&config);
}

static void
begin_with(const char *allow, uint32_t connections, uint32_t sessions, int64_t timeout_ns)
{
    struct prefix prefix = {.address.family = 4, .length = 8};
    struct twampserver_config config = config_of(&prefix, 1);

    inet_pton(AF_INET, allow, &prefix.address.v4);
    config.connections = connections;
    config.sessions = sessions;
    config.timeout = span_of_ns(timeout_ns);
    begin_config(&config);
}

static void
begin(void)
{
    begin_with("127.0.0.0", 4, 4, 600 * NS_PER_S);
}

static uint64_t
counted(unsigned which)
{
    return counter_get(&counters.counters[which]);
}

/* Everything that says that something was wrong. */
static uint64_t
wrongs(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < TWAMPSERVER_BAD; i++) {
        n += counted(i);
    }
    return n;
}

static void
end(void)
{
    twampserver_free(server);
    CU_ASSERT_EQUAL(fake.opened, fake.closed);
}

static int
dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(twampserver_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = 4096;

    /* So that one who does not read is soon felt. */
    CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    CU_ASSERT_FATAL(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    CU_ASSERT_EQUAL_FATAL(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Reads 'size' octets; fewer only at the end of the stream. */
static size_t
hear(int fd, uint8_t *to, size_t size)
{
    size_t have = 0;

    for (unsigned i = 0; i < ROUNDS && have < size; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        event_base_loop(base, EVLOOP_NONBLOCK);
        (void)poll(&p, 1, 5);
        ssize_t n = recv(fd, to + have, size - have, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return have;
        }
        have += n > 0 ? (size_t)n : 0;
    }
    return have;
}

static void
say(int fd, const uint8_t *bytes, size_t size)
{
    CU_ASSERT_EQUAL(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Whether the server ended the connection. */
static bool
hung_up(int fd)
{
    uint8_t b[1];
    return hear(fd, b, 1) == 0;
}

static bool
until_idle(uint32_t sessions)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (twampserver_connections(server) == 0 && twampserver_sessions(server) == sessions) {
            return true;
        }
        usleep(5000);
    }
    return false;
}

/* Greeting and set-up; the Accept of Server-Start. */
static uint8_t
set_up(int fd, uint32_t mode)
{
    uint8_t b[TWAMPCONTROL_SIZE_MAX];
    struct twampcontrol_greeting g;
    struct twampcontrol_server_start s;

    CU_ASSERT_EQUAL_FATAL(hear(fd, b, TWAMPCONTROL_GREETING_SIZE), TWAMPCONTROL_GREETING_SIZE);
    CU_ASSERT_EQUAL(twampcontrol_greeting_parse(b, TWAMPCONTROL_GREETING_SIZE, &g),
                    TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(g.modes, 1 | 32 | 64);
    twampcontrol_setup_format(&(struct twampcontrol_setup){.mode = mode}, b);
    say(fd, b, TWAMPCONTROL_SETUP_SIZE);
    CU_ASSERT_EQUAL_FATAL(hear(fd, b, TWAMPCONTROL_SERVER_START_SIZE),
                          TWAMPCONTROL_SERVER_START_SIZE);
    CU_ASSERT_EQUAL(twampcontrol_server_start_parse(b, TWAMPCONTROL_SERVER_START_SIZE, &s),
                    TWAMPCONTROL_OK);
    CU_ASSERT(s.started != 0);
    return s.accept;
}

static struct twampcontrol_request
request_of(uint16_t port)
{
    return (struct twampcontrol_request){.ipvn = 4,
                                         .sender_port = port,
                                         .receiver_port = 18760,
                                         .padding = 100,
                                         .dscp = 46,
                                         .reflected_octets = 0x1234,
                                         .reflected_padding = 10};
}

static struct twampcontrol_session
ask(int fd, const struct twampcontrol_request *q)
{
    uint8_t b[TWAMPCONTROL_SIZE_MAX];
    struct twampcontrol_session s = {.accept = 99};

    twampcontrol_request_format(q, b);
    say(fd, b, TWAMPCONTROL_REQUEST_SIZE);
    CU_ASSERT_EQUAL_FATAL(hear(fd, b, TWAMPCONTROL_ACCEPT_SIZE), TWAMPCONTROL_ACCEPT_SIZE);
    CU_ASSERT_EQUAL(twampcontrol_session_parse(b, TWAMPCONTROL_ACCEPT_SIZE, &s), TWAMPCONTROL_OK);
    return s;
}

static uint8_t
ask_port(int fd, uint16_t port)
{
    struct twampcontrol_request q = request_of(port);
    return ask(fd, &q).accept;
}

static uint8_t
start(int fd)
{
    uint8_t b[TWAMPCONTROL_START_SIZE];
    struct twampcontrol_start_ack a = {.accept = 99};

    twampcontrol_start_format(b);
    say(fd, b, sizeof b);
    CU_ASSERT_EQUAL_FATAL(hear(fd, b, sizeof b), sizeof b);
    CU_ASSERT_EQUAL(twampcontrol_start_ack_parse(b, sizeof b, &a), TWAMPCONTROL_OK);
    return a.accept;
}

static void
stop(int fd, uint32_t sessions)
{
    uint8_t b[TWAMPCONTROL_STOP_SIZE];

    twampcontrol_stop_format(&(struct twampcontrol_stop){.sessions = sessions}, b);
    say(fd, b, sizeof b);
}

static void
a_session_is_open_from_start_to_stop(void)
{
    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, TWAMPCONTROL_OPEN), 0);
    struct twampcontrol_request q = request_of(19000);
    struct twampcontrol_session s = ask(fd, &q);
    CU_ASSERT(s.accept == 0 && s.port == TEST_PORT && s.reflected_octets == 0);
    CU_ASSERT_EQUAL(fake.opened, 0);
    CU_ASSERT_EQUAL(ask_port(fd, 19001), 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    CU_ASSERT_EQUAL(fake.opened, 2);
    CU_ASSERT(fake.is[0].port == 19000 && fake.is[1].port == 19001 && fake.is[0].dscp == 46);
    CU_ASSERT_EQUAL(fake.is[0].peer.v4.s_addr, htonl(INADDR_LOOPBACK));
    CU_ASSERT_EQUAL(fake.is[0].local.v4.s_addr, htonl(INADDR_LOOPBACK));
    CU_ASSERT_FALSE(fake.is[0].symmetrical);
    stop(fd, 2);
    /* A request after the stop is answered, so the stop is done by then. */
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    CU_ASSERT_EQUAL(fake.closed, 2);
    close(fd);
    CU_ASSERT(until_idle(0));
    CU_ASSERT_EQUAL(wrongs(), 0);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_STARTED), 2);
    end();
}

/* The control connection's ends are IPv4 here: they stand for no end of IPv6. */
static void
ends_are_of_the_family_that_the_request_names(void)
{
    static const struct {
        uint8_t ipvn;
        const char *sender, *receiver; /* NULL: zero. */
        bool good;
    } cases[] = {{6, "2001:db8::1", "2001:db8::2", true},
                 {6, "2001:db9::1", "2001:db8::2", false},
                 {6, NULL, "2001:db8::2", false},
                 {6, "2001:db8::1", NULL, false},
                 {6, "fe80::1", "2001:db8::2", false},
                 {6, "::ffff:127.0.0.1", "::1", false},
                 {4, NULL, NULL, true}};
    const struct prefix allow[] = {
        {.address = address_of_v4((struct in_addr){htonl(INADDR_LOOPBACK)}), .length = 8},
        {.address = {.family = 6, .v6.s6_addr = {0x20, 0x01, 0x0d, 0xb8}}, .length = 32},
        {.address = {.family = 6, .v6.s6_addr = {0xfe, 0x80}}, .length = 10}};

    begin_allowing(allow, 3);
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, TWAMPCONTROL_OPEN), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct twampcontrol_request q = request_of((uint16_t)(19000 + i));
        q.ipvn = cases[i].ipvn;
        memset(&q.sender, 0, sizeof q.sender);
        memset(&q.receiver, 0, sizeof q.receiver);
        if (cases[i].sender) {
            inet_pton(AF_INET6, cases[i].sender, &q.sender);
        }
        if (cases[i].receiver) {
            inet_pton(AF_INET6, cases[i].receiver, &q.receiver);
        }
        CU_ASSERT_EQUAL(ask(fd, &q).accept == 0, cases[i].good);
    }
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_REFUSED_ENDS), 5);
    CU_ASSERT_EQUAL(start(fd), 0);
    CU_ASSERT(fake.is[0].peer.family == 6 && fake.is[0].local.family == 6);
    CU_ASSERT_EQUAL(fake.is[1].peer.v4.s_addr, htonl(INADDR_LOOPBACK));
    close(fd);
    CU_ASSERT(until_idle(0));
    end();
}

static void
modes_of_rfc_6038_are_told_to_the_reflector(void)
{
    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1 | 32 | 64), 0);
    struct twampcontrol_request q = request_of(19000);
    struct twampcontrol_session s = ask(fd, &q);
    CU_ASSERT(s.accept == 0 && s.reflected_octets == 0x1234 && s.server_octets == 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    CU_ASSERT_TRUE(fake.is[0].symmetrical);
    close(fd);
    CU_ASSERT(until_idle(0));
    end();
}

static void
a_stopped_session_lingers_and_makes_way(void)
{
    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    struct twampcontrol_request q = request_of(19000);
    q.timeout = UINT64_C(5) << 32;
    CU_ASSERT_EQUAL(ask(fd, &q).accept, 0);
    q.sender_port = 19001;
    q.timeout = UINT64_C(1) << 28; /* 62 ms. */
    CU_ASSERT_EQUAL(ask(fd, &q).accept, 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    stop(fd, 2);
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0); /* In the place of the one that lingers. */
    CU_ASSERT(fake.closed >= 1);             /* By then, or by its own time. */
    CU_ASSERT_EQUAL(start(fd), 0);
    CU_ASSERT_EQUAL(fake.opened, 3);
    close(fd);
    CU_ASSERT(until_idle(0));
    CU_ASSERT_EQUAL(wrongs(), 0);
    end();
}

static void
what_lingers_outlives_its_connection(void)
{
    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    struct twampcontrol_request q = request_of(19000);
    q.timeout = UINT64_C(3600) << 32; /* Half a second is given. */
    CU_ASSERT_EQUAL(ask(fd, &q).accept, 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    stop(fd, 1);
    CU_ASSERT_EQUAL(ask_port(fd, 19001), 0);
    close(fd);
    CU_ASSERT(until_idle(1));
    CU_ASSERT(until_idle(0));
    end();
}

static void
a_connection_that_breaks_ends_its_sessions(void)
{
    begin();
    int fd = dial(), other = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT_EQUAL(set_up(other, 1), 0);
    struct twampcontrol_request q = request_of(19000);
    q.timeout = UINT64_C(5) << 32;
    CU_ASSERT_EQUAL(ask(fd, &q).accept, 0);
    CU_ASSERT_EQUAL(ask_port(other, 19001), 0);
    CU_ASSERT_EQUAL(ask_port(other, 19000), TWAMPCONTROL_NOT_SUPPORTED); /* Somebody else's. */
    CU_ASSERT_EQUAL(start(fd), 0);
    CU_ASSERT_EQUAL(start(other), 0);
    close(fd);
    for (unsigned i = 0; i < ROUNDS && fake.closed == 0; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        usleep(5000);
    }
    CU_ASSERT_EQUAL(fake.closed, 1);
    CU_ASSERT_EQUAL(twampserver_sessions(server), 1);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_REFUSED_ENDS), 1);
    close(other);
    CU_ASSERT(until_idle(0));
    end();
}

static void
strangers_and_too_many_are_turned_away(void)
{
    begin_with("10.0.0.0", 4, 4, 600 * NS_PER_S);
    int fd = dial();
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_STRANGER), 1);
    close(fd);
    end();

    begin_with("127.0.0.0", 2, 2, 600 * NS_PER_S);
    int a = dial(), b = dial();
    CU_ASSERT_EQUAL(set_up(a, 1), 0);
    CU_ASSERT_EQUAL(set_up(b, 1), 0);
    int c = dial();
    CU_ASSERT(hung_up(c));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_FULL), 1);
    CU_ASSERT_EQUAL(ask_port(a, 1), 0);
    CU_ASSERT_EQUAL(ask_port(b, 2), 0);
    CU_ASSERT_EQUAL(ask_port(a, 3), TWAMPCONTROL_LIMIT_TEMPORARY);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_SESSIONS_FULL), 1);
    close(a);
    close(b);
    close(c);
    CU_ASSERT(until_idle(0));
    end();
}

static void
modes_that_were_not_offered_are_refused(void)
{
    static const struct {
        uint32_t mode;
        uint8_t accept;
        unsigned counter;
    } cases[] = {
        {2, TWAMPCONTROL_NOT_SUPPORTED, TWAMPSERVER_REFUSED_MODE},
        {1 | 16, TWAMPCONTROL_NOT_SUPPORTED, TWAMPSERVER_REFUSED_MODE},
        {1 | 128, TWAMPCONTROL_NOT_SUPPORTED, TWAMPSERVER_REFUSED_MODE},
        {1 | 2, TWAMPCONTROL_FAILED, TWAMPSERVER_VERDICT + TWAMPCONTROL_BAD_MODE},
        {64, TWAMPCONTROL_FAILED, TWAMPSERVER_VERDICT + TWAMPCONTROL_BAD_MODE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        int fd = dial();
        CU_ASSERT_EQUAL(set_up(fd, cases[i].mode), cases[i].accept);
        CU_ASSERT(hung_up(fd));
        CU_ASSERT_EQUAL(counted(cases[i].counter), 1);
        CU_ASSERT_EQUAL(wrongs(), 1);
        close(fd);
        end();
    }
}

static void
requests_that_cannot_be_served_are_refused_by_name(void)
{
    begin();
    int fd = dial();
    struct twampcontrol_request q = request_of(19000);
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    q.sender.s6_addr[0] = 10; /* A third party. */
    CU_ASSERT_EQUAL(ask(fd, &q).accept, TWAMPCONTROL_NOT_SUPPORTED);
    q = request_of(0);
    CU_ASSERT_EQUAL(ask(fd, &q).accept, TWAMPCONTROL_NOT_SUPPORTED);
    q = request_of(19000);
    q.ipvn = 6;
    CU_ASSERT_EQUAL(ask(fd, &q).accept, TWAMPCONTROL_NOT_SUPPORTED);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_REFUSED_ENDS), 3);
    q = request_of(19000);
    q.reflected_padding = 101;
    CU_ASSERT_EQUAL(ask(fd, &q).accept, TWAMPCONTROL_NOT_SUPPORTED);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_VERDICT + TWAMPCONTROL_BAD_PADDING), 1);
    CU_ASSERT_EQUAL(twampserver_sessions(server), 0);
    q = request_of(19000);
    CU_ASSERT_EQUAL(ask(fd, &q).accept, 0); /* It goes on. */
    close(fd);
    CU_ASSERT(until_idle(0));
    end();
}

static void
commands_out_of_turn_end_the_connection(void)
{
    uint8_t b[TWAMPCONTROL_SIZE_MAX];

    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    stop(fd, 0); /* Before any start. */
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_OUT_OF_TURN), 1);
    close(fd);

    fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    struct twampcontrol_request q = request_of(19001);
    twampcontrol_request_format(&q, b);
    say(fd, b, TWAMPCONTROL_REQUEST_SIZE);
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_OUT_OF_TURN), 2);
    CU_ASSERT_EQUAL(fake.closed, 1);
    close(fd);

    fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    stop(fd, 2); /* There is one. */
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_WRONG_STOP), 1);
    CU_ASSERT_EQUAL(fake.closed, 2);
    close(fd);

    fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    memset(b, 0, sizeof b);
    b[0] = 1; /* OWAMP's Request-Session. */
    say(fd, b, 1);
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_VERDICT + TWAMPCONTROL_BAD_COMMAND), 1);
    close(fd);
    CU_ASSERT(until_idle(0));
    end();
}

static void
a_start_that_cannot_be_is_refused(void)
{
    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT_EQUAL(start(fd), TWAMPCONTROL_FAILED); /* Nothing to start. */
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    fake.refuse = -ENOTCONN;
    CU_ASSERT_EQUAL(start(fd), TWAMPCONTROL_FAILED);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_REFUSED_START), 2);
    CU_ASSERT_EQUAL(twampserver_sessions(server), 0);
    fake.refuse = 0;
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    close(fd);
    CU_ASSERT(until_idle(0));
    end();
}

static void
who_is_silent_is_let_go(void)
{
    begin_with("127.0.0.0", 4, 4, NS_PER_S / 5);
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_TIMED_OUT), 1);
    close(fd);
    end();

    /* Silent on the connection, but its packets come. */
    begin_with("127.0.0.0", 4, 4, NS_PER_S / 5);
    fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    CU_ASSERT_EQUAL(ask_port(fd, 19000), 0);
    CU_ASSERT_EQUAL(start(fd), 0);
    for (struct span from = mono_now(); mono_now().ns - from.ns < NS_PER_S;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        usleep(5000);
    }
    CU_ASSERT_EQUAL(fake.closed, 0);
    fake.heard = span_of_ns(0); /* And now no more. */
    CU_ASSERT(hung_up(fd));
    CU_ASSERT_EQUAL(fake.closed, 1);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_SESSION_SILENT), 1);
    close(fd);
    end();
}

static void
whoever_does_not_read_is_cut_off(void)
{
    uint8_t b[TWAMPCONTROL_REQUEST_SIZE];
    struct twampcontrol_request q = request_of(0); /* Refused each time. */

    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    twampcontrol_request_format(&q, b);
    for (unsigned i = 0; i < 10 * ROUNDS * 100 && twampserver_connections(server) == 1; i++) {
        /* A part of one is not said: the socket takes what it has room for. */
        (void)!send(fd, b, sizeof b, MSG_NOSIGNAL);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    CU_ASSERT_EQUAL(twampserver_connections(server), 0);
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_NOT_READING), 1);
    close(fd);
    end();
}

static void
a_message_that_ends_in_the_middle_is_short(void)
{
    uint8_t b[TWAMPCONTROL_REQUEST_SIZE];
    struct twampcontrol_request q = request_of(19000);

    begin();
    int fd = dial();
    CU_ASSERT_EQUAL(set_up(fd, 1), 0);
    twampcontrol_request_format(&q, b);
    say(fd, b, sizeof b - 1);
    close(fd);
    CU_ASSERT(until_idle(0));
    CU_ASSERT_EQUAL(counted(TWAMPSERVER_VERDICT + TWAMPCONTROL_SHORT), 1);
    end();
}

/* An octet at a time, and all at once. */
static void
messages_may_come_in_any_pieces(void)
{
    uint8_t b[TWAMPCONTROL_SETUP_SIZE + 2 * TWAMPCONTROL_REQUEST_SIZE + 32];
    uint8_t got[TWAMPCONTROL_SERVER_START_SIZE + 2 * TWAMPCONTROL_ACCEPT_SIZE + 32];
    struct twampcontrol_request q = request_of(19000);

    twampcontrol_setup_format(&(struct twampcontrol_setup){.mode = 1}, b);
    twampcontrol_request_format(&q, b + 164);
    q.sender_port++;
    twampcontrol_request_format(&q, b + 164 + 112);
    twampcontrol_start_format(b + 164 + 224);
    for (size_t piece = 1; piece <= sizeof b; piece = piece == 1 ? 7 : piece * 4) {
        begin();
        int fd = dial();
        CU_ASSERT_EQUAL(hear(fd, got, 64), 64);
        for (size_t at = 0; at < sizeof b; at += piece) {
            say(fd, b + at, at + piece < sizeof b ? piece : sizeof b - at);
            event_base_loop(base, EVLOOP_NONBLOCK);
        }
        CU_ASSERT_EQUAL(hear(fd, got, sizeof got), sizeof got);
        CU_ASSERT_EQUAL(fake.opened, 2);
        close(fd);
        CU_ASSERT(until_idle(0));
        CU_ASSERT_EQUAL(wrongs(), 0);
        end();
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a session is open from start to stop", a_session_is_open_from_start_to_stop},
        {"ends are of the family that the request names",
         ends_are_of_the_family_that_the_request_names},
        {"modes of RFC 6038 are told to the reflector",
         modes_of_rfc_6038_are_told_to_the_reflector},
        {"a stopped session lingers, and makes way", a_stopped_session_lingers_and_makes_way},
        {"what lingers outlives its connection", what_lingers_outlives_its_connection},
        {"a connection that breaks ends its sessions", a_connection_that_breaks_ends_its_sessions},
        {"strangers and too many are turned away", strangers_and_too_many_are_turned_away},
        {"modes that were not offered are refused", modes_that_were_not_offered_are_refused},
        {"requests that cannot be served are refused by name",
         requests_that_cannot_be_served_are_refused_by_name},
        {"commands out of turn end the connection", commands_out_of_turn_end_the_connection},
        {"a start that cannot be is refused", a_start_that_cannot_be_is_refused},
        {"who is silent is let go", who_is_silent_is_let_go},
        {"whoever does not read is cut off", whoever_does_not_read_is_cut_off},
        {"a message that ends in the middle is short", a_message_that_ends_in_the_middle_is_short},
        {"messages may come in any pieces", messages_may_come_in_any_pieces},
        CU_TEST_INFO_NULL};
    int status;

    base = event_base_new();
    if (!base) {
        return 2;
    }
    status = run_suite("TWAMP-Control server", tests);
    event_base_free(base);
    return status;
}
