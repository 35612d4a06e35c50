/* redis_queue.h - commands that were written and wait for their replies, in order.
 *
 * Before redis.c, which owns the connection.  What may wait is bounded, in commands and
 * in bytes that have not gone out. */
#ifndef PLUMBLINE_REDIS_QUEUE_H
#define PLUMBLINE_REDIS_QUEUE_H

#include <stddef.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "nstime.h"
#include "redis.h"

struct redis_call; /* Of redis_call(): the reply is for it, and not for 'fn'. */

struct redis_pending {
    STAILQ_ENTRY(redis_pending) entry;
    redis_reply_fn *fn;
    void *aux;
    struct redis_call *call;
    struct span since; /* Monotonic. */
};

struct redis_queue {
    STAILQ_HEAD(, redis_pending) list;
    unsigned count;
};

void redis_queue_init(struct redis_queue *q);

/* Writes a command to 'output' and lets it wait.  0; -EAGAIN: a bound; -ENOMEM. */
int redis_queue_add(struct redis_queue *q, struct evbuffer *output, redis_reply_fn *fn, void *aux,
                    struct redis_call *call, size_t argc, const char *const *argv,
                    const size_t *sizes);

/* The oldest, or NULL; it stays. */
static inline const struct redis_pending *
redis_queue_first(const struct redis_queue *q)
{
    return STAILQ_FIRST(&q->list);
}

/* Takes the oldest out: it is the caller's (free).  NULL: none waits. */
struct redis_pending *redis_queue_take(struct redis_queue *q);

/* Nobody waits for replies to 'call' any more. */
void redis_queue_forget(struct redis_queue *q, const struct redis_call *call);

#endif
