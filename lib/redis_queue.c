/* redis_queue.c - commands that wait for their replies. */
#include "redis_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#define OUTPUT_MAX (32u << 20)
#define PENDING_MAX 65536u

void
redis_queue_init(struct redis_queue *q)
{
    STAILQ_INIT(&q->list);
    q->count = 0;
}

int
redis_queue_add(struct redis_queue *q, struct evbuffer *output, redis_reply_fn *fn, void *aux,
                struct redis_call *call, size_t argc, const char *const *argv, const size_t *sizes)
{
    char *bytes = NULL;
    /* hiredis takes a pointer to pointers that it does not write through. */
    union {
        const char *const *from;
        const char **to;
    } args = {.from = argv};
    size_t queued = evbuffer_get_length(output);

    for (size_t i = 0; i < argc; i++) {
        queued += sizes ? sizes[i] : strlen(argv[i]);
    }
    if (q->count >= PENDING_MAX || queued > OUTPUT_MAX) {
        return -EAGAIN;
    }
    struct redis_pending *p = malloc(sizeof(*p));
    int size = p ? redisFormatCommandArgv(&bytes, (int)argc, args.to, sizes) : -1;
    if (size < 0 || evbuffer_add(output, bytes, (size_t)size) != 0) {
        free(bytes);
        free(p);
        return -ENOMEM;
    }
    free(bytes);
    *p = (struct redis_pending){.fn = fn, .aux = aux, .call = call, .since = mono_now()};
    STAILQ_INSERT_TAIL(&q->list, p, entry);
    q->count++;
    return 0;
}

struct redis_pending *
redis_queue_take(struct redis_queue *q)
{
    struct redis_pending *p = STAILQ_FIRST(&q->list);

    if (p) {
        STAILQ_REMOVE_HEAD(&q->list, entry);
        q->count--;
    }
    return p;
}

void
redis_queue_forget(struct redis_queue *q, const struct redis_call *call)
{
    struct redis_pending *p;

    STAILQ_FOREACH(p, &q->list, entry)
    {
        p->call = p->call == call ? NULL : p->call;
    }
}
