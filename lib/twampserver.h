/* twampserver.h - a TWAMP-Control server (RFC 5357 in open mode, with RFC 6038's
 * symmetrical size and reflect octets), so that routers and other programs test
 * against this reflector.
 *
 * On twampcontrol.h (messages) and libevent; before the probe's main.c, which
 * gives it the reflector.  Lives on one event base, never touches a test packet.
 * Connections, sessions and what waits to be written are bounded; whoever is
 * silent for 'timeout' is let go.  One connection: greeting, set-up, requests,
 * start, stop, and again requests.  A session is open on the reflector from
 * Start-Sessions until Stop-Sessions and the request's own time-out after it (at
 * most 'linger'), until the connection ends without a stop, or
 * until it has had no packet for 'timeout'. */
#ifndef PLUMBLINE_TWAMPSERVER_H
#define PLUMBLINE_TWAMPSERVER_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "address.h"
#include "counter.h"
#include "nstime.h"
#include "reflector.h"
#include "twampcontrol.h"

enum { TWAMPSERVER_CONNECTIONS_MAX = 64, TWAMPSERVER_SESSIONS_MAX = REFLECTOR_TWAMP_MAX };

enum twampserver_count {
    TWAMPSERVER_STRANGER,       /* Connections from whom no prefix has. */
    TWAMPSERVER_FULL,           /* Connections over the bound. */
    TWAMPSERVER_SESSIONS_FULL,  /* Requests over the bound of sessions. */
    TWAMPSERVER_REFUSED_MODE,   /* A mode that was not offered. */
    TWAMPSERVER_REFUSED_ENDS,   /* Requests for addresses or ports that cannot be served. */
    TWAMPSERVER_REFUSED_START,  /* The reflector did not take the sessions, or there were none. */
    TWAMPSERVER_OUT_OF_TURN,    /* A command that its state does not allow. */
    TWAMPSERVER_WRONG_STOP,     /* Stop-Sessions of another number of sessions than there were. */
    TWAMPSERVER_TIMED_OUT,      /* Connections silent for too long. */
    TWAMPSERVER_SESSION_SILENT, /* Sessions without a packet for too long. */
    TWAMPSERVER_NOT_READING,    /* Peers that ask and do not read the answers. */
    TWAMPSERVER_NO_RESOURCES,   /* The system refused a connection. */
    TWAMPSERVER_VERDICT, /* From here on twampcontrol.h's verdicts, the first never counted. */
    TWAMPSERVER_BAD = TWAMPSERVER_VERDICT + TWAMPCONTROL_VERDICTS, /* So many say: wrong. */
    TWAMPSERVER_CONNECTIONS = TWAMPSERVER_BAD,                     /* Taken. */
    TWAMPSERVER_STARTED,                                           /* Sessions. */
    TWAMPSERVER_COUNTS
};

/* The reflector, as reflector_twamp_open(), _close() and _heard(). */
struct twampserver_reflector {
    int (*open)(void *aux, const struct reflector_twamp *session);
    void (*close)(void *aux, int handle);
    struct span (*heard)(void *aux, int handle);
    void *aux;
};

struct twampserver_config {
    struct event_base *base;
    struct address address;     /* To listen on; none: any of both families, or of IPv4 where
                                   there is no IPv6. */
    uint16_t port;              /* TCP; 0: the kernel chooses. */
    uint16_t test_port;         /* UDP, of the reflector: told in each Accept-Session. */
    const struct prefix *allow; /* Copied. */
    size_t allow_count;
    uint32_t connections; /* At most; 1..TWAMPSERVER_CONNECTIONS_MAX. */
    uint32_t sessions;    /* Of all connections; 1..TWAMPSERVER_SESSIONS_MAX. */
    struct span timeout;
    struct span linger; /* After Stop-Sessions, whatever the request says. */
    struct twampserver_reflector reflector;
};

struct twampserver;

/* Listens.  0 or negative errno. */
int twampserver_new(struct twampserver **out, const struct twampserver_config *config);

/* Ends all connections and closes all sessions.  NULL is fine. */
void twampserver_free(struct twampserver *s);

uint16_t twampserver_port(const struct twampserver *s);
uint32_t twampserver_connections(const struct twampserver *s);

/* Sessions that there are, in whatever state. */
uint32_t twampserver_sessions(const struct twampserver *s);

void twampserver_counters(const struct twampserver *s, struct counter_group *out);

#endif
