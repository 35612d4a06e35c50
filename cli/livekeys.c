/* livekeys.c - reads the live keys of sources. */
#include "livekeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "redis.h"

#define CALL_NS (3 * NS_PER_S)

struct livekeys {
    struct event_base *base;
    struct redis *redis;
    char why[256];
};

static void
on_redis(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    struct livekeys *l = aux;

    (void)r;
    if (state == REDIS_UP) {
        l->why[0] = '\0';
    } else if (why && *why && (state == REDIS_DOWN || !l->why[0])) {
        snprintf(l->why, sizeof l->why, "%s", why);
    }
}

struct livekeys *
livekeys_new(const struct config_redis *config)
{
    const struct redis_config redis = {.address = config->address,
                                       .user = config->user,
                                       .password_file = config->password_file,
                                       .tls = config->tls,
                                       .timeout = config->timeout};
    struct livekeys *l = calloc(1, sizeof *l);

    if (!l) {
        return NULL;
    }
    l->base = event_base_new();
    l->redis = l->base ? redis_new(l->base, &redis, on_redis, l) : NULL;
    if (!l->redis) {
        livekeys_free(l);
        return NULL;
    }
    return l;
}

void
livekeys_free(struct livekeys *l)
{
    if (!l) {
        return;
    }
    if (l->redis) {
        redis_free(l->redis);
    }
    if (l->base) {
        event_base_free(l->base);
    }
    free(l);
}

pb_live *
livekeys_get(struct livekeys *l, const char *source)
{
    char key[96];
    const char *argv[] = {"GET", key};
    pb_live *m = NULL;

    snprintf(key, sizeof key, "pl:{%s}:live", source);
    const size_t sizes[] = {3, strlen(key)};
    redisReply *r = redis_call(l->redis, span_of_ns(CALL_NS), 2, argv, sizes);
    if (!r) {
        if (!l->why[0]) {
            snprintf(l->why, sizeof l->why, "no answer");
        }
        return NULL;
    }
    l->why[0] = '\0';
    if (r->type == REDIS_REPLY_STRING) {
        m = plumbline__telemetry__live__unpack(NULL, (size_t)r->len, (const uint8_t *)r->str);
    } else if (r->type == REDIS_REPLY_ERROR) {
        snprintf(l->why, sizeof l->why, "%s", r->str);
    }
    freeReplyObject(r);
    return m;
}

const char *
livekeys_why(const struct livekeys *l)
{
    return l->why;
}
