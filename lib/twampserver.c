/* twampserver.c - connections of the TWAMP-Control server. */
#include "twampserver_parts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/listener.h>

#include "stamp.h"

enum {
    UNREAD_MAX = 4096,    /* Octets of answers that a peer may leave unread. */
    INPUT_MAX = 4096,     /* Octets that are read ahead. */
    WRITE_TIMEOUT_S = 30, /* For a peer that reads nothing at all. */
    BACKLOG = 16,
    PAUSE_S = 1, /* Without accepting, when the system has no more descriptors. */
};

static const char *const own_names[TWAMPSERVER_VERDICT] = {
    "stranger",     "connections_full", "sessions_full",    "refused_mode",
    "refused_ends", "refused_start",    "out_of_turn",      "wrong_stop",
    "timed_out",    "session_silent",   "peer_not_reading", "no_resources",
};
static const char *const good_names[] = {"connections", "sessions_started"};

/* --- Connections. --- */

void
twampserver_hang_up(struct connection *c)
{
    twampserver_sessions_end(c);
    bufferevent_free(c->stream);
    event_del(c->watch);
    c->stream = NULL;
    c->state = FREE;
    c->server->connection_count--;
}

void
twampserver_send(struct connection *c, const uint8_t *bytes, size_t size)
{
    if (bufferevent_write(c->stream, bytes, size) < 0) {
        twampserver_count(c->server, TWAMPSERVER_NO_RESOURCES); /* It ends by its time-out. */
    }
}

void
twampserver_close_when_sent(struct connection *c)
{
    c->state = CLOSING;
    bufferevent_disable(c->stream, EV_READ);
}

void
twampserver_set_timeouts(struct connection *c, bool running)
{
    struct timeval read = twampserver_timeval(c->server->config.timeout);
    struct timeval write = {.tv_sec = WRITE_TIMEOUT_S};
    struct timeval watch = twampserver_timeval(span_of_ns(c->server->config.timeout.ns / 4));

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
    (void)fd;
    (void)what;
    twampserver_watch((struct connection *)aux);
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
on_read(struct bufferevent *stream, void *aux)
{
    struct connection *c = (struct connection *)aux;
    struct evbuffer *in = bufferevent_get_input(stream);
    uint8_t bytes[TWAMPCONTROL_SIZE_MAX];
    bool known;

    while (c->stream == stream && c->state != CLOSING) {
        size_t size = next_size(c, in, &known);
        if (!known) {
            twampserver_count_verdict(c->server, TWAMPCONTROL_BAD_COMMAND);
            twampserver_hang_up(c);
            return;
        }
        if (size == 0 || evbuffer_get_length(in) < size) {
            return;
        }
        if (evbuffer_get_length(bufferevent_get_output(stream)) > UNREAD_MAX) {
            twampserver_count(c->server, TWAMPSERVER_NOT_READING);
            twampserver_hang_up(c);
            return;
        }
        (void)evbuffer_remove(in, bytes, size);
        twampserver_take(c, bytes, size);
    }
}

static void
on_written(struct bufferevent *stream, void *aux)
{
    struct connection *c = (struct connection *)aux;

    (void)stream;
    if (c->state == CLOSING) {
        twampserver_hang_up(c);
    }
}

static void
on_event(struct bufferevent *stream, short what, void *aux)
{
    struct connection *c = (struct connection *)aux;

    if (what & BEV_EVENT_TIMEOUT) {
        twampserver_count(c->server, TWAMPSERVER_TIMED_OUT);
    } else if (evbuffer_get_length(bufferevent_get_input(stream)) > 0 && c->state != CLOSING) {
        twampserver_count_verdict(c->server,
                                  TWAMPCONTROL_SHORT); /* Ended in the middle of a message. */
    }
    twampserver_hang_up(c);
}

/* --- Accepting. --- */

static void
connection_begin(struct twampserver *s, struct connection *c, evutil_socket_t fd,
                 const struct address *peer, const struct address *local)
{
    c->stream = bufferevent_socket_new(s->config.base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c->stream) {
        twampserver_count(s, TWAMPSERVER_NO_RESOURCES);
        close(fd);
        return;
    }
    c->state = SETTING_UP;
    c->peer = *peer;
    c->local = *local;
    c->mode = 0;
    s->connection_count++;
    twampserver_count(s, TWAMPSERVER_CONNECTIONS);
    bufferevent_setcb(c->stream, on_read, on_written, on_event, c);
    bufferevent_setwatermark(c->stream, EV_READ, 0, INPUT_MAX);
    twampserver_set_timeouts(c, false);
    bufferevent_enable(c->stream, EV_READ | EV_WRITE);
    twampserver_greet(c);
}

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static struct address
address_of(const union name *n)
{
    return n->any.sa_family == AF_INET    ? address_of_v4(n->v4.sin_addr)
           : n->any.sa_family == AF_INET6 ? address_of_dual(&n->v6.sin6_addr)
                                          : (struct address){.family = 0};
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int size, void *aux)
{
    struct twampserver *s = (struct twampserver *)aux;
    union name name = {.v6.sin6_family = AF_UNSPEC};
    struct connection *c = s->connections;
    socklen_t name_size = sizeof name;
    struct address peer, local;

    (void)l;
    memcpy(&name, from, (size_t)size < sizeof name ? (size_t)size : sizeof name);
    peer = address_of(&name);
    if (!twampserver_allows(s, &peer)) {
        twampserver_count(s, TWAMPSERVER_STRANGER);
        close(fd);
        return;
    }
    if (s->connection_count == s->config.connections) {
        twampserver_count(s, TWAMPSERVER_FULL);
        close(fd);
        return;
    }
    if (getsockname(fd, &name.any, &name_size) < 0) {
        twampserver_count(s, TWAMPSERVER_NO_RESOURCES);
        close(fd);
        return;
    }
    local = address_of(&name);
    while (c->state != FREE) {
        c++;
    }
    connection_begin(s, c, fd, &peer, &local);
}

/* Out of descriptors: the queue waits a little, instead of us going round. */
static void
on_accept_error(struct evconnlistener *l, void *aux)
{
    struct twampserver *s = (struct twampserver *)aux;
    struct timeval pause = {.tv_sec = PAUSE_S};

    twampserver_count(s, TWAMPSERVER_NO_RESOURCES);
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
    return whole ? twampserver_sessions_init(s) : -ENOMEM;
}

/* A listening socket of this address; negative errno. */
static int
socket_of(const struct address *address, uint16_t port)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address->v4};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address->v6};
    bool six = address->family == 6;
    int on = 1, off = 0;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) ||
        bind(fd, six ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4,
             six ? sizeof v6 : sizeof v4) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int
server_listen(struct twampserver *s)
{
    bool any = !address_is_set(&s->config.address);
    struct address at = any ? address_any(6) : s->config.address;
    int fd = socket_of(&at, s->config.port);

    if (fd == -EAFNOSUPPORT && any) {
        at = address_any(4);
        fd = socket_of(&at, s->config.port);
    }
    if (fd < 0) {
        return fd;
    }
    s->listener = evconnlistener_new(s->config.base, on_accept, s, LEV_OPT_CLOSE_ON_FREE, 0, fd);
    if (!s->listener) {
        close(fd);
        return -ENOMEM;
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
    s->allow = (struct prefix *)calloc(config->allow_count + 1, sizeof *s->allow);
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
            twampserver_hang_up(&s->connections[i]);
        }
        event_drop(s->connections[i].watch);
    }
    twampserver_sessions_fini(s);
    event_drop(s->resume);
    free(s->allow);
    free(s);
}

uint16_t
twampserver_port(const struct twampserver *s)
{
    struct sockaddr_in6 at = {.sin6_port = 0}; /* The port of both families is there. */
    socklen_t size = sizeof at;

    (void)getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&at, &size);
    return ntohs(at.sin6_port);
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
