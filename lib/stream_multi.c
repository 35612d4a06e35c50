/* stream_multi.c - one request of a source to Redis, and what is done where it is refused. */
#include "stream_multi.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

void
stream_timer_set(struct event *timer, int64_t ns)
{
    struct timeval tv = {.tv_sec = ns / NS_PER_S, .tv_usec = ns % NS_PER_S / NS_PER_US};
    event_add(timer, &tv);
}

void
stream_set_error(struct stream *s, const char *text)
{
    snprintf(s->health.last_error, sizeof s->health.last_error, "%s", text);
}

void
stream_pause(struct stream *s, int64_t ns)
{
    s->phase = STREAM_PAUSED;
    stream_timer_set(s->pause, ns);
}

void
stream_refused(struct stream *s, const char *text)
{
    if (strstr(text, "OOM ")) {
        s->health.refused_oom++;
    }
    if (strcmp(s->health.last_error, text) != 0) {
        log_warnx("stream %s: refused: %s", s->source, text);
    }
    stream_set_error(s, text);
    stream_pause(s, s->pause_next.ns);
    s->pause_next.ns =
        s->pause_next.ns * 2 < STREAM_PAUSE_MAX ? s->pause_next.ns * 2 : STREAM_PAUSE_MAX;
}

/* The reply of MULTI, or "QUEUED" of what is in it. */
static void
on_queued(struct redis *r, const redisReply *reply, void *aux)
{
    struct stream *s = aux;

    (void)r;
    if (reply && reply->type == REDIS_REPLY_ERROR && s->refusal[0] == '\0') {
        snprintf(s->refusal, sizeof s->refusal, "%s", reply->str);
    }
}

static void
command(struct stream *s, redis_reply_fn *fn, size_t argc, const char *const *argv,
        const size_t *sizes)
{
    if (redis_state(s->redis) == REDIS_UP &&
        redis_command(s->redis, fn, s, argc, argv, sizes) != 0) {
        /* A MULTI of which a part is missing must not go on. */
        redis_reset(s->redis, "cannot queue a command");
    }
}

void
stream_command(struct stream *s, size_t argc, const char *const *argv, const size_t *sizes)
{
    command(s, on_queued, argc, argv, sizes);
}

void
stream_begin(struct stream *s)
{
    const char *multi[1] = {"MULTI"};

    s->refusal[0] = '\0';
    command(s, on_queued, 1, multi, NULL);
}

void
stream_end(struct stream *s, redis_reply_fn *fn)
{
    const char *get[2] = {"GET", s->ack_key};
    const char *exec[1] = {"EXEC"};

    command(s, on_queued, 2, get, NULL);
    command(s, fn, 1, exec, NULL);
}

bool
stream_executed(struct stream *s, const redisReply *reply, size_t count)
{
    if (!reply) {
        return false;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == count) {
        return true;
    }
    if (s->refusal[0] == '\0') {
        snprintf(s->refusal, sizeof s->refusal, "%s",
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "EXEC: not what was asked");
    }
    stream_refused(s, s->refusal);
    return false;
}
