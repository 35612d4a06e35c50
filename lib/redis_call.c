/* redis_call.c - a command whose caller waits for the reply, and turns the loop
 * meanwhile. */
#include "redis_parts.h"

static void
on_call_timeout(evutil_socket_t fd, short what, void *aux)
{
    bool *late = aux;

    (void)fd;
    (void)what;
    *late = true;
}

redisReply *
redis_call(struct redis *r, struct span timeout, size_t argc, const char *const *argv,
           const size_t *sizes)
{
    struct redis_call call;
    bool late = false;
    struct timeval tv = redis_timeval(timeout);
    struct event *timer = evtimer_new(r->base, on_call_timeout, &late);

    if (!timer) {
        return NULL;
    }
    event_add(timer, &tv);
    redis_enter(r);
    do {
        call = (struct redis_call){NULL, false, false};
        while (r->state != REDIS_UP && !late && !r->doomed) {
            event_base_loop(r->base, EVLOOP_ONCE);
        }
        if (late || r->doomed || redis_submit(r, NULL, NULL, &call, argc, argv, sizes) != 0) {
            break;
        }
        while (!call.done && !late && !r->doomed) {
            event_base_loop(r->base, EVLOOP_ONCE);
        }
        redis_queue_forget(&r->pending, &call);
    } while (call.again && !late && !r->doomed);
    event_free(timer);
    redis_leave(r);
    return call.reply;
}
