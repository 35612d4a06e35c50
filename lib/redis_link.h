/* redis_link.h - one connection's bytes: how it is made, plain or TLS, whether what was
 * written moves, and why it ended.
 *
 * After redis_nodes.h and tls.h; before redis.c, which says what goes over it. */
#ifndef PLUMBLINE_REDIS_LINK_H
#define PLUMBLINE_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>

#include "redis_nodes.h"
#include "tls.h"

/* For a connection to 'host', with TLS if 'tls' has a ca_file.  It is the caller's
 * (bufferevent_free).  NULL, and why. */
struct bufferevent *redis_link_new(struct event_base *base, const struct tls_config *tls,
                                   const char *host, char *why, size_t size);

/* Starts connecting to the node that 'nodes' is at.  '*dns' is made for the first host that
 * is a name, and is the caller's.  Not 0: errno says why, or the bufferevent's callback
 * has said it. */
int redis_link_connect(struct bufferevent *bev, struct evdns_base **dns,
                       const struct redis_nodes *nodes);

/* It is connected. */
void redis_link_ready(struct bufferevent *bev, bool is_unix);

/* Bytes that the peer does not have yet: those queued here, and in the kernel. */
size_t redis_link_unsent(struct bufferevent *bev);

/* Whether there is a connection. */
bool redis_link_is_there(struct bufferevent *bev);

/* Why it ended by itself: 'what' as its callback had it; 'answered': it had brought a
 * reply. */
void redis_link_why(struct bufferevent *bev, const struct tls_config *tls, bool answered,
                    short what, char *why, size_t size);

#endif
