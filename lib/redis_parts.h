/* redis_parts.h - what redis.c and redis_call.c share; for no other file. */
#ifndef PLUMBLINE_REDIS_PARTS_H
#define PLUMBLINE_REDIS_PARTS_H

#include <event2/bufferevent.h>
#include <event2/dns.h>

#include "redis.h"
#include "redis_nodes.h"
#include "redis_queue.h"

struct redis_call {
    redisReply *reply;
    bool done, again; /* again: it was not carried out, another node is to be asked. */
};

struct redis {
    struct event_base *base;
    char *user, *password_file;
    struct redis_nodes nodes;
    unsigned redirects; /* In a row, without a reply of another kind. */
    bool going;         /* The connection is taken down to go to another node. */
    bool asking, in_multi;
    struct tls_config tls; /* Strings are ours. */
    bool answered;         /* The connection that is up has brought a reply. */
    struct span timeout;
    size_t reply_bytes;
    redis_state_fn *on_state;
    void (*on_redirect)(struct redis *r, const struct resp_redirect *to, void *aux);
    void *aux;

    enum redis_state state;
    struct bufferevent *bev;
    struct evdns_base *dns;
    struct resp *resp;
    struct event *retry;    /* Connects again. */
    struct event *deadline; /* Of connecting, or of the oldest reply. */
    struct span connect_by; /* Monotonic. */
    struct span moved;      /* Monotonic: when bytes were last seen to move. */
    size_t unsent;          /* Bytes that the peer did not have then; SIZE_MAX: not looked. */
    struct span backoff;
    struct redis_queue pending;

    unsigned busy; /* Callbacks under way. */
    bool doomed;   /* redis_free() was called in one. */
};

/* Begins a stretch in which callbacks may call redis_free(). */
void redis_enter(struct redis *r);

/* Ends it; false if they did and 'r' is no more. */
bool redis_leave(struct redis *r);

/* As redis_command(), in any state in which there is a connection.  While a slot moves,
 * each command and each MULTI asks for it. */
int redis_submit(struct redis *r, redis_reply_fn *fn, void *aux, struct redis_call *call,
                 size_t argc, const char *const *argv, const size_t *sizes);

struct timeval redis_timeval(struct span s);

#endif
