/* redis.h - one connection to Redis on a libevent base: commands out, replies
 * back, in order.
 *
 * After log.h, before stream.h and the collector.  hiredis formats and reads;
 * bytes go through a bufferevent so that TLS can take the place of the plain
 * one.  One connection belongs to one event base and one thread.  Output is
 * bounded: redis_command() refuses with -EAGAIN past the bound. */
#ifndef PLUMBLINE_REDIS_H
#define PLUMBLINE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "nstime.h"
#include "tls.h"

struct redis;
struct resp_redirect;

struct redis_config {
    const char *address; /* "host:port", "[v6]:port" or "unix:/path"; or several host:port of one
                          * Redis Cluster, with commas between, tried in turn. */
    const char *user;    /* NULL: no AUTH. */
    const char *password_file;
    struct tls_config tls; /* ca_file NULL: plain.  Never falls back from TLS to plain. */
    struct span
        timeout; /* Of connecting and of each reply; bytes on their way, either way, extend it. */
    /* MOVED and ASK.  NULL: the connection goes there by itself (below). */
    void (*on_redirect)(struct redis *r, const struct resp_redirect *to, void *aux);
    size_t reply_bytes; /* A greater reply resets the connection; 0: 64 MiB. */
};

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

/* 'reply' is the redis_'s during the call; NULL when the connection went down
 * before it came (whether the command was carried out is then not known). */
typedef void redis_reply_fn(struct redis *r, const redisReply *reply, void *aux);

/* Called when the connection comes up and when it goes down, and at each attempt
 * and each that failed. */
typedef void redis_state_fn(struct redis *r, enum redis_state state, const char *why, void *aux);

/* In a Redis Cluster a connection serves one slot at a time: whose keys share a hash
 * tag needs no more.  At MOVED it goes down and comes up at the node named there; who
 * waited for a reply gets NULL, as at any end of a connection, and redis_call() asks
 * again.  At ASK the same, and until the slot has moved ASKING goes before what is sent
 * (needs +asking).  A node that does not answer is left for the next one of those in
 * 'address' and those heard of. */

/* Starts connecting; reconnects by itself with backoff (100 ms to 5 s).  Up is
 * after AUTH, with TLS after an answer of any kind (only then a server of TLS 1.3
 * has taken our certificate).  Strings are copied, the files of password and TLS
 * are read at each connection.
 * SIGPIPE is ignored from then on if nobody handles it.  NULL: out of memory, or the address is
 * none.  Callbacks may call anything here, also redis_free(). */
struct redis *redis_new(struct event_base *base, const struct redis_config *config,
                        redis_state_fn *on_state, void *aux);
void redis_free(struct redis *r);
enum redis_state redis_state(const struct redis *r);

/* Queues a command; 'fn' (may be NULL) gets its reply.  0, -ENOTCONN, -EAGAIN
 * (output bound), -ENOMEM.  Replies to MULTI and to what is queued in it come one
 * by one like any other; EXEC's is an array of theirs. */
int redis_command(struct redis *r, redis_reply_fn *fn, void *aux, size_t argc,
                  const char *const *argv, const size_t *sizes);

/* Drops the connection (it comes back by itself): for a caller that no longer
 * trusts its state. */
void redis_reset(struct redis *r, const char *why);

/* For the command line and for threads that may wait: runs the base until the
 * reply to this command is there.  The reply is the caller's
 * (freeReplyObject).  NULL on time-out or when not connected in time.  Not from a
 * callback. */
redisReply *redis_call(struct redis *r, struct span timeout, size_t argc, const char *const *argv,
                       const size_t *sizes);

#endif
