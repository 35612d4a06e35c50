/* twampserver_session.c - sessions of the TWAMP-Control server, and the messages
 * that ask for them. */
#include "twampserver_parts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/rand.h>

#include "stamp.h"
#include "wire.h"

#define OFFERED (TWAMPCONTROL_OPEN | TWAMPCONTROL_REFLECT_OCTETS | TWAMPCONTROL_SYMMETRICAL_SIZE)

enum { COUNT = 1024 }; /* Of the greeting; means nothing in open mode. */

/* --- Sessions. --- */

static void
session_end(struct tsession *t)
{
    struct twampserver *s = t->server;

    if (t->handle != TWAMPSERVER_NOT_OPEN) {
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
    struct timeval wait = twampserver_timeval(t->timeout);

    if (t->timeout.ns == 0) {
        session_end(t);
        return;
    }
    t->of->sessions--;
    t->of = NULL;
    event_add(t->linger, &wait);
}

void
twampserver_sessions_end(struct connection *c)
{
    struct twampserver *s = c->server;

    for (uint32_t i = 0; i < s->config.sessions && c->sessions > 0; i++) {
        if (s->sessions[i].used && s->sessions[i].of == c) {
            session_end(&s->sessions[i]);
        }
    }
    assert(c->sessions == 0);
}

bool
twampserver_allows(const struct twampserver *s, const struct address *peer)
{
    for (size_t i = 0; i < s->config.allow_count; i++) {
        if (address_in_prefix(peer, &s->allow[i].address, s->allow[i].length)) {
            return true;
        }
    }
    return false;
}

/* An end as a request names it; zero: that of the control connection. */
static struct address
end_of(uint8_t ipvn, const struct in6_addr *named, const struct address *otherwise)
{
    struct in_addr four;
    struct address a;

    memcpy(&four, named->s6_addr, sizeof four);
    a = ipvn == 4 ? address_of_v4(four) : address_of_v6(named);
    return address_is_host(&a) ? a : *otherwise;
}

/* Of the request's family; a link-local one would need its interface beside it. */
static bool
is_usable(const struct address *a, uint8_t ipvn)
{
    return a->family == ipvn && !address_is_link_local(a) &&
           !(ipvn == 6 && IN6_IS_ADDR_V4MAPPED(&a->v6));
}

/* The session between these ends, if there is one. */
static struct tsession *
session_between(struct twampserver *s, const struct reflector_twamp *is)
{
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        if (t->used && t->is.port == is->port && address_equal(&t->is.peer, &is->peer) &&
            address_equal(&t->is.local, &is->local)) {
            return t;
        }
    }
    return NULL;
}

/* Whether the ends of this request can be served: of one family, a peer whom we allow,
 * and nobody's already.  One that only lingers makes way. */
static bool
ends_are_good(struct twampserver *s, const struct twampcontrol_request *q,
              const struct reflector_twamp *is)
{
    struct tsession *before;

    if (!is_usable(&is->peer, q->ipvn) || !is_usable(&is->local, q->ipvn) || q->sender_port == 0 ||
        !twampserver_allows(s, &is->peer)) {
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

void
twampserver_watch(struct connection *c)
{
    struct twampserver *s = c->server;
    struct span now = mono_now();

    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        if (!t->used || t->of != c) {
            continue;
        }
        struct span heard = s->config.reflector.heard(s->config.reflector.aux, t->handle);
        if (now.ns - heard.ns > s->config.timeout.ns) {
            twampserver_count(s, TWAMPSERVER_SESSION_SILENT);
            session_end(t);
        }
    }
    if (c->sessions == 0) {
        twampserver_hang_up(c);
    }
}

/* --- Messages. --- */

void
twampserver_greet(struct connection *c)
{
    struct twampcontrol_greeting g = {.modes = OFFERED, .count = COUNT};
    uint8_t bytes[TWAMPCONTROL_GREETING_SIZE];

    /* Nothing hangs on them in open mode. */
    (void)RAND_bytes(g.challenge, sizeof g.challenge);
    (void)RAND_bytes(g.salt, sizeof g.salt);
    twampcontrol_greeting_format(&g, bytes);
    twampserver_send(c, bytes, sizeof bytes);
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
        twampserver_hang_up(c); /* The client does not want to. */
        return;
    }
    if (v != TWAMPCONTROL_OK) {
        twampserver_count_verdict(s, v);
        start.accept = TWAMPCONTROL_FAILED;
    } else if ((setup.mode & ~(uint32_t)OFFERED) != 0 || !(setup.mode & TWAMPCONTROL_OPEN)) {
        twampserver_count(s, TWAMPSERVER_REFUSED_MODE);
        start.accept = TWAMPCONTROL_NOT_SUPPORTED;
    }
    (void)RAND_bytes(start.iv, sizeof start.iv);
    twampcontrol_server_start_format(&start, out);
    twampserver_send(c, out, sizeof out);
    c->mode = setup.mode;
    c->state = READY;
    if (start.accept != TWAMPCONTROL_ACCEPTED) {
        twampserver_close_when_sent(c);
    }
}

/* RFC 4656, section 3.5: the server's address (of IPv6 its end), the time, something
 * random. */
static void
make_sid(uint8_t sid[16], const struct address *local)
{
    struct wr w = wr_of(sid, 16);

    wr_copy(&w, local->v6.s6_addr + address_size(local) - 4, 4);
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
    t->handle = TWAMPSERVER_NOT_OPEN;
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
        .peer = end_of(q->ipvn, &q->sender, &c->peer),
        .local = end_of(q->ipvn, &q->receiver, &c->local),
        .port = q->sender_port,
        .dscp = q->dscp,
        .symmetrical = (c->mode & TWAMPCONTROL_SYMMETRICAL_SIZE) != 0,
    };

    if (!ends_are_good(s, q, &is)) {
        twampserver_count(s, TWAMPSERVER_REFUSED_ENDS);
        return TWAMPCONTROL_NOT_SUPPORTED;
    }
    if (!session_make(c, &is, twampcontrol_timeout(q->timeout, s->config.linger))) {
        twampserver_count(s, TWAMPSERVER_SESSIONS_FULL);
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
        twampserver_count_verdict(c->server, v);
    } else {
        answer.accept = (uint8_t)judge_request(c, &q);
    }
    if (answer.accept == TWAMPCONTROL_ACCEPTED) {
        answer.port = c->server->config.test_port;
        make_sid(answer.sid, &c->local);
        if (c->mode & TWAMPCONTROL_REFLECT_OCTETS) {
            answer.reflected_octets = q.reflected_octets;
        }
    }
    twampcontrol_session_format(&answer, out);
    twampserver_send(c, out, sizeof out);
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
            twampserver_sessions_end(c);
            return false;
        }
        t->handle = handle;
        twampserver_count(s, TWAMPSERVER_STARTED);
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
        twampserver_count(c->server, TWAMPSERVER_REFUSED_START);
        ack.accept = TWAMPCONTROL_FAILED;
    } else {
        c->state = RUNNING;
        twampserver_set_timeouts(c, true);
    }
    twampcontrol_start_ack_format(&ack, out);
    twampserver_send(c, out, sizeof out);
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
        twampserver_count(s, TWAMPSERVER_WRONG_STOP);
        twampserver_hang_up(c);
        return;
    }
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        if (s->sessions[i].used && s->sessions[i].of == c) {
            session_stop(&s->sessions[i]);
        }
    }
    c->state = READY;
    twampserver_set_timeouts(c, false);
}

void
twampserver_take(struct connection *c, const uint8_t *bytes, size_t size)
{
    enum twampcontrol_command command = (enum twampcontrol_command)bytes[0];
    bool stop = command == TWAMPCONTROL_STOP_SESSIONS;

    if (c->state == SETTING_UP) {
        take_setup(c, bytes, size);
    } else if (stop != (c->state == RUNNING)) {
        twampserver_count(c->server, TWAMPSERVER_OUT_OF_TURN);
        twampserver_hang_up(c);
    } else if (stop) {
        take_stop(c, bytes, size);
    } else if (command == TWAMPCONTROL_START_SESSIONS) {
        take_start(c, bytes, size);
    } else {
        take_request(c, bytes, size);
    }
}

/* --- Life. --- */

int
twampserver_sessions_init(struct twampserver *s)
{
    bool whole = true;

    for (uint32_t i = 0; i < s->config.sessions; i++) {
        struct tsession *t = &s->sessions[i];
        t->server = s;
        t->linger = event_new(s->config.base, -1, 0, on_lingered, t);
        whole = whole && t->linger;
    }
    return whole ? 0 : -ENOMEM;
}

void
twampserver_sessions_fini(struct twampserver *s)
{
    for (uint32_t i = 0; i < s->config.sessions; i++) {
        if (s->sessions[i].used) {
            session_end(&s->sessions[i]);
        }
        if (s->sessions[i].linger) {
            event_free(s->sessions[i].linger);
        }
    }
}
