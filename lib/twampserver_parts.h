/* twampserver_parts.h - what twampserver.c (connections) and twampserver_session.c
 * (sessions and messages) share; for no other file. */
#ifndef PLUMBLINE_TWAMPSERVER_PARTS_H
#define PLUMBLINE_TWAMPSERVER_PARTS_H

#include <stdbool.h>
#include <sys/time.h>

#include <event2/bufferevent.h>

#include "twampserver.h"

enum { TWAMPSERVER_NOT_OPEN = -1 };

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
    struct address peer, local;
    uint32_t sessions;
};

/* One test session, asked for by 'of'; NULL when it only lingers. */
struct tsession {
    struct twampserver *server;
    struct event *linger;
    struct connection *of;
    bool used;
    int handle; /* The reflector's; TWAMPSERVER_NOT_OPEN before the start. */
    struct reflector_twamp is;
    struct span timeout;
};

struct twampserver {
    struct twampserver_config config;
    struct prefix *allow;
    struct evconnlistener *listener;
    struct event *resume;
    struct connection connections[TWAMPSERVER_CONNECTIONS_MAX];
    struct tsession sessions[TWAMPSERVER_SESSIONS_MAX];
    uint32_t connection_count, session_count;
    uint64_t started; /* NTP. */
    struct counter counters[TWAMPSERVER_COUNTS];
    const char *names[TWAMPSERVER_COUNTS];
};

static inline void
twampserver_count(struct twampserver *s, enum twampserver_count which)
{
    counter_add(&s->counters[which], 1);
}

static inline void
twampserver_count_verdict(struct twampserver *s, enum twampcontrol_verdict v)
{
    counter_add(&s->counters[TWAMPSERVER_VERDICT + (unsigned)v], 1);
}

static inline struct timeval
twampserver_timeval(struct span s)
{
    return (struct timeval){.tv_sec = s.ns / NS_PER_S, .tv_usec = s.ns % NS_PER_S / NS_PER_US};
}

/* --- twampserver.c --- */

/* Ends the connection and its sessions; 'c' may be somebody else's from then on. */
void twampserver_hang_up(struct connection *c);
void twampserver_send(struct connection *c, const uint8_t *bytes, size_t size);

/* After a refusal: the answer is let out, then the connection ends. */
void twampserver_close_when_sent(struct connection *c);

/* Who must be heard within the time-out: the peer, or while 'running' its sessions. */
void twampserver_set_timeouts(struct connection *c, bool running);

/* --- twampserver_session.c --- */

bool twampserver_allows(const struct twampserver *s, const struct address *peer);
void twampserver_greet(struct connection *c);

/* Takes one message of its right size. */
void twampserver_take(struct connection *c, const uint8_t *bytes, size_t size);
void twampserver_sessions_end(struct connection *c);

/* Ends sessions of 'c' that have had no packet for too long; then, if none is left,
 * the connection. */
void twampserver_watch(struct connection *c);

/* Makes the places of sessions.  0 or -ENOMEM; _fini() in either case. */
int twampserver_sessions_init(struct twampserver *s);
void twampserver_sessions_fini(struct twampserver *s);

#endif
