/* twampserver.c - connections and sessions of the TWAMP-Control server. */
#include "twampserver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <openssl/rand.h>

#include "stamp.h"
#include "wire.h"

#define OFFERED (TWAMPCONTROL_OPEN | TWAMPCONTROL_REFLECT_OCTETS | TWAMPCONTROL_SYMMETRICAL_SIZE)

enum {
    COUNT = 1024,         /* Of the greeting; means nothing in open mode. */
    UNREAD_MAX = 4096,    /* Octets of answers that a peer may leave unread. */
    INPUT_MAX = 4096,     /* Octets that are read ahead. */
    WRITE_TIMEOUT_S = 30, /* For a peer that reads nothing at all. */
    PAUSE_S = 1,          /* Without accepting, when the system has no more descriptors. */
    NOT_OPEN = -1,
};

static const char *const own_names[TWAMPSERVER_VERDICT] = {
    "stranger",     "connections_full", "sessions_full",    "refused_mode",
    "refused_ends", "refused_start",    "out_of_turn",      "wrong_stop",
    "timed_out",    "session_silent",   "peer_not_reading", "no_resources",
};
static const char *const good_names[] = {"connections", "sessions_started"};

enum state {
    FREE,
    SETTING_UP, /* Greeting sent. */
    READY,      /* Takes requests. */
    RUNNING,    /* Sessions started. */
    CLOSING,    /* The last answer is on its way. */
};

struct connection {
    struct twampserver *server;
    struct bufferevent *stream;
    struct event *watch; /* While running. */
    enum state state;
    uint32_t mode;
    struct in_addr peer, local;
    uint32_t sessions;
};

/* One test session, asked for by 'of'; NULL when it only lingers. */
struct tsession {
    struct twampserver *server;
    struct event *linger;
    struct connection *of;
    bool used;
    int handle; /* The reflector's; NOT_OPEN before the start. */
    struct reflector_twamp is;
    struct span timeout;
};

struct twampserver {
    struct twampserver_config config;
    struct twampserver_prefix *allow;
    struct evconnlistener *listener;
    struct event *resume;
    struct connection connections[TWAMPSERVER_CONNECTIONS_MAX];
    struct tsession sessions[TWAMPSERVER_SESSIONS_MAX];
    uint32_t connection_count, session_count;
    uint64_t started; /* NTP. */
    struct counter counters[TWAMPSERVER_COUNTS];
    const char *names[TWAMPSERVER_COUNTS];
};

static void
count(struct twampserver *s, enum twampserver_count which)
{
    counter_add(&s->counters[which], 1);
}

static void
count_verdict(struct twampserver *s, enum twampcontrol_verdict v)
{
    counter_add(&s->counters[TWAMPSERVER_VERDICT + (unsigned)v], 1);
}

static struct timeval
timeval_of(struct span s)
{
    return (struct timeval){.tv_sec = s.ns / NS_PER_S, .tv_usec = s.ns % NS_PER_S / NS_PER_US};
}

/* --- Sessions. --- */

static void
session_end(struct tsession *t)
{
    struct twampserver *s = t->server;

    if (t->handle != NOT_OPEN) {
        s->config.reflector.close(s->config.reflector.aux, t->handle);
    }
    event_del(t->linger);
    if (t->of) {
        t->of->sessions--;
    }
    t->used = false;
    t->of = NULL;
    s->session_count--;
}

static void
on_lingered(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    session_end((struct tsession *)aux);
}

/* Late packets are still answered, so long as the client asked for. */
static void
session_stop(struct tsession *t)
{
    struct timeval wait = timeval_of(t->timeout);

    if (t->timeout.ns == 0) {
        session_end(t);
        return;
    }
    t->of->sessions--;
    t->of = NULL;
    event_add(t->linger, &wait);
}

static void
sessions_end(struct connection *c)
{
    struct twampserver *s = c->server;

    for (uint32_t i = 0; i < s->config.sessions && c->sessions > 0; i++) {
        if (s->sessions[i].used && s->sessions[i].of == c) {
            session_end(&s->sessions[i]);
        }
    }
    assert(c->sessions == 0);
}

static bool
allowed(const struct twampserver *s, struct in_addr peer)
{
    for (size_t i = 0; i < s->config.allow_count; i++) {
        uint8_t bits = s->allow[i].bits;
        uint32_t mask = bits == 0 ? 0 : htonl(UINT32_MAX << (32 - bits));
        if (((peer.s_addr ^ s->allow[i].address.s_addr) & mask) == 0) {
            return true;
        }
    }
    return false;
}

static struct in_addr
first_four(const struct in6_addr *address, struct in_addr otherwise)
{
    struct in_addr a;

    memcpy(&a, address->s6_addr, sizeof a);
    return a.s_addr == INADDR_ANY ? otherwise : a;
}

/* The session between these ends, if there is one. */
static struct tsession *
session_between(struct twampserver *s, const struct reflector_twamp *is)
{
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        if (t->used && t->is.peer.s_addr == is->peer.s_addr && t->is.port == is->port &&
            t->is.local.s_addr == is->local.s_addr) {
            return t;
        }
    }
    return NULL;
}

/* Whether the ends of this request can be served: IPv4, a peer whom we allow, and
 * nobody's already.  One that only lingers makes way. */
static bool
ends_are_good(struct twampserver *s, const struct twampcontrol_request *q,
              const struct reflector_twamp *is)
{
    struct tsession *before;

    if (q->ipvn != 4 || q->sender_port == 0 || !allowed(s, is->peer)) {
        return false;
    }
    before = session_between(s, is);
    if (before && before->of) {
        return false;
    }
    if (before) {
        session_end(before);
    }
    return true;
}

/* --- Connections. --- */

static void
connection_end(struct connection *c)
{
    sessions_end(c);
    bufferevent_free(c->stream);
    event_del(c->watch);
    c->stream = NULL;
    c->state = FREE;
    c->server->connection_count--;
}

static void
send_bytes(struct connection *c, const uint8_t *bytes, size_t size)
{
    if (bufferevent_write(c->stream, bytes, size) < 0) {
        count(c->server, TWAMPSERVER_NO_RESOURCES); /* It ends by its time-out. */
    }
}

/* After a refusal: the answer is let out, then the connection ends. */
static void
close_when_sent(struct connection *c)
{
    c->state = CLOSING;
    bufferevent_disable(c->stream, EV_READ);
}

/* The peer has not to be heard while its sessions run: they are watched instead. */
static void
set_timeouts(struct connection *c, bool running)
{
    struct timeval read = timeval_of(c->server->config.timeout);
    struct timeval write = {.tv_sec = WRITE_TIMEOUT_S};
    struct timeval watch = timeval_of(span_of_ns(c->server->config.timeout.ns / 4));

    bufferevent_set_timeouts(c->stream, running ? NULL : &read, &write);
    if (running) {
        event_add(c->watch, &watch);
    } else {
        event_del(c->watch);
    }
}

static void
on_watch(evutil_socket_t fd, short what, void *aux)
{
    struct connection *c = (struct connection *)aux;
    struct twampserver *s = c->server;
    struct span now = mono_now();

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        if (!t->used || t->of != c) {
            continue;
        }
        struct span heard = s->config.reflector.heard(s->config.reflector.aux, t->handle);
        if (now.ns - heard.ns > s->config.timeout.ns) {
            count(s, TWAMPSERVER_SESSION_SILENT);
            session_end(t);
        }
    }
    if (c->sessions == 0) {
        connection_end(c);
    }
}

/* --- Messages. --- */

static void
greet(struct connection *c)
{
    struct twampcontrol_greeting g = {.modes = OFFERED, .count = COUNT};
    uint8_t bytes[TWAMPCONTROL_GREETING_SIZE];

    /* Nothing hangs on them in open mode. */
    (void)RAND_bytes(g.challenge, sizeof g.challenge);
    (void)RAND_bytes(g.salt, sizeof g.salt);
    twampcontrol_greeting_format(&g, bytes);
    send_bytes(c, bytes, sizeof bytes);
}

static void
take_setup(struct connection *c, const uint8_t *bytes, size_t size)
{
    struct twampserver *s = c->server;
    struct twampcontrol_setup setup = {.mode = 0};
    struct twampcontrol_server_start start = {.started = s->started};
    enum twampcontrol_verdict v = twampcontrol_setup_parse(bytes, size, &setup);
    uint8_t out[TWAMPCONTROL_SERVER_START_SIZE];

    if (v == TWAMPCONTROL_OK && setup.mode == 0) {
        connection_end(c); /* The client does not want to. */
        return;
    }
    if (v != TWAMPCONTROL_OK) {
        count_verdict(s, v);
        start.accept = TWAMPCONTROL_FAILED;
    } else if ((setup.mode & ~(uint32_t)OFFERED) != 0 || !(setup.mode & TWAMPCONTROL_OPEN)) {
        count(s, TWAMPSERVER_REFUSED_MODE);
        start.accept = TWAMPCONTROL_NOT_SUPPORTED;
    }
    (void)RAND_bytes(start.iv, sizeof start.iv);
    twampcontrol_server_start_format(&start, out);
    send_bytes(c, out, sizeof out);
    c->mode = setup.mode;
    c->state = READY;
    if (start.accept != TWAMPCONTROL_ACCEPTED) {
        close_when_sent(c);
    }
}

/* RFC 4656, section 3.5: the server's address, the time, something random. */
static void
make_sid(uint8_t sid[16], struct in_addr local)
{
    struct wr w = wr_of(sid, 16);

    wr_copy(&w, &local, sizeof local);
    wr_be64(&w, stamp_time_format(instant_now(), false));
    (void)RAND_bytes(wr_room(&w, 4), 4);
}

/* Whether there is room; makes the session. */
static bool
session_make(struct connection *c, const struct reflector_twamp *is, struct span timeout)
{
    struct twampserver *s = c->server;
    struct tsession *t = s->sessions;

    if (s->session_count == s->config.sessions) {
        return false;
    }
    while (t->used) {
        t++;
    }
    t->used = true;
    t->of = c;
    t->handle = NOT_OPEN;
    t->is = *is;
    t->timeout = timeout;
    s->session_count++;
    c->sessions++;
    return true;
}

static enum twampcontrol_accept
judge_request(struct connection *c, const struct twampcontrol_request *q)
{
    struct twampserver *s = c->server;
    const struct reflector_twamp is = {
        .peer = first_four(&q->sender, c->peer),
        .local = first_four(&q->receiver, c->local),
        .port = q->sender_port,
        .dscp = q->dscp,
        .symmetrical = (c->mode & TWAMPCONTROL_SYMMETRICAL_SIZE) != 0,
    };

    if (!ends_are_good(s, q, &is)) {
        count(s, TWAMPSERVER_REFUSED_ENDS);
        return TWAMPCONTROL_NOT_SUPPORTED;
    }
    if (!session_make(c, &is, twampcontrol_timeout(q->timeout, s->config.linger))) {
        count(s, TWAMPSERVER_SESSIONS_FULL);
        return TWAMPCONTROL_LIMIT_TEMPORARY;
    }
    return TWAMPCONTROL_ACCEPTED;
}

static void
take_request(struct connection *c, const uint8_t *bytes, size_t size)
{
    struct twampcontrol_request q;
    struct twampcontrol_session answer = {.accept = TWAMPCONTROL_NOT_SUPPORTED};
    enum twampcontrol_verdict v = twampcontrol_request_parse(bytes, size, &q);
    uint8_t out[TWAMPCONTROL_ACCEPT_SIZE];

    if (v != TWAMPCONTROL_OK) {
        count_verdict(c->server, v);
    } else {
        answer.accept = (uint8_t)judge_request(c, &q);
    }
    if (answer.accept == TWAMPCONTROL_ACCEPTED) {
        answer.port = c->server->config.test_port;
        make_sid(answer.sid, c->local);
        if (c->mode & TWAMPCONTROL_REFLECT_OCTETS) {
            answer.reflected_octets = q.reflected_octets;
        }
    }
    twampcontrol_session_format(&answer, out);
    send_bytes(c, out, sizeof out);
}

/* Opens all sessions of 'c' on the reflector, or none. */
static bool
sessions_start(struct connection *c)
{
    struct twampserver *s = c->server;

    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        if (!t->used || t->of != c) {
            continue;
        }
        int handle = s->config.reflector.open(s->config.reflector.aux, &t->is);
        if (handle < 0) {
            sessions_end(c);
            return false;
        }
        t->handle = handle;
        count(s, TWAMPSERVER_STARTED);
    }
    return true;
}

static void
take_start(struct connection *c, const uint8_t *bytes, size_t size)
{
    struct twampcontrol_start_ack ack = {.accept = TWAMPCONTROL_ACCEPTED};
    enum twampcontrol_verdict v = twampcontrol_start_parse(bytes, size);
    uint8_t out[TWAMPCONTROL_START_ACK_SIZE];

    assert(v == TWAMPCONTROL_OK); /* Its first octet brought it here. */
    (void)v;
    if (c->sessions == 0 || !sessions_start(c)) {
        count(c->server, TWAMPSERVER_REFUSED_START);
        ack.accept = TWAMPCONTROL_FAILED;
    } else {
        c->state = RUNNING;
        set_timeouts(c, true);
    }
    twampcontrol_start_ack_format(&ack, out);
    send_bytes(c, out, sizeof out);
}

static void
take_stop(struct connection *c, const uint8_t *bytes, size_t size)
{
    struct twampserver *s = c->server;
    struct twampcontrol_stop stop = {.accept = 0};
    enum twampcontrol_verdict v = twampcontrol_stop_parse(bytes, size, &stop);

    assert(v == TWAMPCONTROL_OK);
    (void)v;
    if (stop.sessions != c->sessions) {
        count(s, TWAMPSERVER_WRONG_STOP);
        connection_end(c);
        return;
    }
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        if (s->sessions[i].used && s->sessions[i].of == c) {
            session_stop(&s->sessions[i]);
        }
    }
    c->state = READY;
    set_timeouts(c, false);
}

/* --- The stream. --- */

/* Octets of the message that is next; 0: not known yet, or none that there is. */
static size_t
next_size(const struct connection *c, struct evbuffer *in, bool *known)
{
    uint8_t first;

    *known = true;
    if (c->state == SETTING_UP) {
        return TWAMPCONTROL_SETUP_SIZE;
    }
    if (evbuffer_copyout(in, &first, 1) != 1) {
        return 0;
    }
    *known = twampcontrol_command_size(first) != 0;
    return twampcontrol_command_size(first);
}

static void
take_message(struct connection *c, const uint8_t *bytes, size_t size)
{
    enum twampcontrol_command command = (enum twampcontrol_command)bytes[0];
    bool stop = command == TWAMPCONTROL_STOP_SESSIONS;

    if (c->state == SETTING_UP) {
        take_setup(c, bytes, size);
    } else if (stop != (c->state == RUNNING)) {
        count(c->server, TWAMPSERVER_OUT_OF_TURN);
        connection_end(c);
    } else if (stop) {
        take_stop(c, bytes, size);
    } else if (command == TWAMPCONTROL_START_SESSIONS) {
        take_start(c, bytes, size);
    } else {
        take_request(c, bytes, size);
    }
}

static void
on_read(struct bufferevent *stream, void *aux)
{
    struct connection *c = (struct connection *)aux;
    struct evbuffer *in = bufferevent_get_input(stream);
    uint8_t bytes[TWAMPCONTROL_SIZE_MAX];
    bool known;

    while (c->stream == stream && c->state != CLOSING) {
        size_t size = next_size(c, in, &known);
        if (!known) {
            count_verdict(c->server, TWAMPCONTROL_BAD_COMMAND);
            connection_end(c);
            return;
        }
        if (size == 0 || evbuffer_get_length(in) < size) {
            return;
        }
        if (evbuffer_get_length(bufferevent_get_output(stream)) > UNREAD_MAX) {
            count(c->server, TWAMPSERVER_NOT_READING);
            connection_end(c);
            return;
        }
        (void)evbuffer_remove(in, bytes, size);
        take_message(c, bytes, size);
    }
}

static void
on_written(struct bufferevent *stream, void *aux)
{
    struct connection *c = (struct connection *)aux;

    (void)stream;
    if (c->state == CLOSING) {
        connection_end(c);
    }
}

static void
on_event(struct bufferevent *stream, short what, void *aux)
{
    struct connection *c = (struct connection *)aux;

    if (what & BEV_EVENT_TIMEOUT) {
        count(c->server, TWAMPSERVER_TIMED_OUT);
    } else if (evbuffer_get_length(bufferevent_get_input(stream)) > 0 && c->state != CLOSING) {
        count_verdict(c->server, TWAMPCONTROL_SHORT); /* Ended in the middle of a message. */
    }
    connection_end(c);
}

/* --- Accepting. --- */

static void
connection_begin(struct twampserver *s, struct connection *c, evutil_socket_t fd,
                 struct in_addr peer, struct in_addr local)
{
    c->stream = bufferevent_socket_new(s->config.base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c->stream) {
        count(s, TWAMPSERVER_NO_RESOURCES);
        close(fd);
        return;
    }
    c->state = SETTING_UP;
    c->peer = peer;
    c->local = local;
    c->mode = 0;
    s->connection_count++;
    count(s, TWAMPSERVER_CONNECTIONS);
    bufferevent_setcb(c->stream, on_read, on_written, on_event, c);
    bufferevent_setwatermark(c->stream, EV_READ, 0, INPUT_MAX);
    set_timeouts(c, false);
    bufferevent_enable(c->stream, EV_READ | EV_WRITE);
    greet(c);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int size, void *aux)
{
    struct twampserver *s = (struct twampserver *)aux;
    struct sockaddr_in peer = {.sin_family = AF_UNSPEC}, local;
    socklen_t local_size = sizeof local;
    struct connection *c = s->connections;

    (void)l;
    memcpy(&peer, from, (size_t)size < sizeof peer ? (size_t)size : sizeof peer);
    if (peer.sin_family != AF_INET || !allowed(s, peer.sin_addr)) {
        count(s, TWAMPSERVER_STRANGER);
        close(fd);
        return;
    }
    if (s->connection_count == s->config.connections) {
        count(s, TWAMPSERVER_FULL);
        close(fd);
        return;
    }
    if (getsockname(fd, (struct sockaddr *)&local, &local_size) < 0) {
        count(s, TWAMPSERVER_NO_RESOURCES);
        close(fd);
        return;
    }
    while (c->state != FREE) {
        c++;
    }
    connection_begin(s, c, fd, peer.sin_addr, local.sin_addr);
}

/* Out of descriptors: the queue waits a little, instead of us going round. */
static void
on_accept_error(struct evconnlistener *l, void *aux)
{
    struct twampserver *s = (struct twampserver *)aux;
    struct timeval pause = {.tv_sec = PAUSE_S};

    count(s, TWAMPSERVER_NO_RESOURCES);
    evconnlistener_disable(l);
    event_add(s->resume, &pause);
}

static void
on_resume(evutil_socket_t fd, short what, void *aux)
{
    struct twampserver *s = (struct twampserver *)aux;

    (void)fd;
    (void)what;
    evconnlistener_enable(s->listener);
}

/* --- Life. --- */

static int
events_new(struct twampserver *s)
{
    struct event_base *base = s->config.base;
    bool whole = true;

    s->resume = event_new(base, -1, 0, on_resume, s);
    whole = s->resume != NULL;
    for (uint32_t i = 0; i < s->config.connections; i++) {
        struct connection *c = &s->connections[i];
        c->server = s;
        c->watch = event_new(base, -1, EV_PERSIST, on_watch, c);
        whole = whole && c->watch;
    }
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        t->server = s;
        t->linger = event_new(base, -1, 0, on_lingered, t);
        whole = whole && t->linger;
    }
    return whole ? 0 : -ENOMEM;
}

static int
server_listen(struct twampserver *s)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(s->config.port), .sin_addr = s->config.address};

    s->listener =
        evconnlistener_new_bind(s->config.base, on_accept, s,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                16, (const struct sockaddr *)&at, sizeof at);
    if (!s->listener) {
        return errno ? -errno : -EIO;
    }
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    return 0;
}

static void
name_counters(struct twampserver *s)
{
    for (unsigned i = 0; i < TWAMPSERVER_COUNTS; i++) {
        s->names[i] = i < TWAMPSERVER_VERDICT ? own_names[i]
                      : i < TWAMPSERVER_BAD   ? twampcontrol_verdict_names[i - TWAMPSERVER_VERDICT]
                                              : good_names[i - TWAMPSERVER_BAD];
    }
}

int
twampserver_new(struct twampserver **out, const struct twampserver_config *config)
{
    struct twampserver *s = (struct twampserver *)calloc(1, sizeof *s);
    int err;

    assert(config->connections >= 1 && config->connections <= TWAMPSERVER_CONNECTIONS_MAX);
    assert(config->sessions >= 1 && config->sessions <= TWAMPSERVER_SESSIONS_MAX);
    if (!s) {
        return -ENOMEM;
    }
    s->config = *config;
    s->started = stamp_time_format(instant_now(), false);
    name_counters(s);
    s->allow = (struct twampserver_prefix *)calloc(config->allow_count + 1, sizeof *s->allow);
    err = s->allow ? events_new(s) : -ENOMEM;
    if (!err) {
        memcpy(s->allow, config->allow, config->allow_count * sizeof *s->allow);
        err = server_listen(s);
    }
    if (err) {
        twampserver_free(s);
        return err;
    }
    *out = s;
    return 0;
}

static void
event_drop(struct event *e)
{
    if (e) {
        event_free(e);
    }
}

void
twampserver_free(struct twampserver *s)
{
    if (!s) {
        return;
    }
    if (s->listener) {
        evconnlistener_free(s->listener);
    }
    for (uint32_t i = 0; i < s->config.connections; i++) {
        if (s->connections[i].state != FREE) {
            connection_end(&s->connections[i]);
        }
        event_drop(s->connections[i].watch);
    }
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        if (s->sessions[i].used) {
            session_end(&s->sessions[i]);
        }
        event_drop(s->sessions[i].linger);
    }
    event_drop(s->resume);
    free(s->allow);
    free(s);
}

uint16_t
twampserver_port(const struct twampserver *s)
{
    struct sockaddr_in at = {.sin_port = 0};
    socklen_t size = sizeof at;

    (void)getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&at, &size);
    return ntohs(at.sin_port);
}

uint32_t
twampserver_connections(const struct twampserver *s)
{
    return s->connection_count;
}

uint32_t
twampserver_sessions(const struct twampserver *s)
{
    return s->session_count;
}

void
twampserver_counters(const struct twampserver *s, struct counter_group *out)
{
    *out = (struct counter_group){.name = "twamp_control",
                                  .names = s->names,
                                  .counters = (struct counter *)(uintptr_t)s->counters,
                                  .count = TWAMPSERVER_COUNTS};
}
