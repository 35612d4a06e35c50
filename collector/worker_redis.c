/* worker_redis.c - what a worker tells Redis of a source: what is committed and what it wants, what
 * may go, how it is now.
 *
 * After cluster.h, live.h. */
#include "worker_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "live.h"
#include "log.h"

#define LIVE_KEPT_S "691200"

/* Redis refuses what an ACL forbids or what it has no memory for. */
void
worker_tell_refused(struct worker *w, const redisReply *reply)
{
    worker_count(w, WORKER_REDIS_REFUSED, 1);
    if (log_bucket_pass(&w->redis_bucket, mono_now())) {
        log_warnx("worker %u: Redis refuses: %s", w->number, reply->str);
    }
}

/* A slot is elsewhere: cluster.h has noted where. */
bool
worker_is_redirect(const redisReply *reply)
{
    return strncmp(reply->str, "MOVED ", 6) == 0 || strncmp(reply->str, "ASK ", 4) == 0 ||
           strncmp(reply->str, "TRYAGAIN", 8) == 0 || strncmp(reply->str, "CLUSTERDOWN", 11) == 0;
}

static void
on_command(struct redis *r, const redisReply *reply, void *aux)
{
    (void)r;
    if (reply && reply->type == REDIS_REPLY_ERROR && !worker_is_redirect(reply)) {
        worker_tell_refused(aux, reply);
    }
}

void
worker_key(char *buf, size_t size, const struct source *s, const char *suffix)
{
    snprintf(buf, size, "pl:{%s}:%s", s->name, suffix);
}

struct redis *
worker_redis(struct worker *w, const struct source *s)
{
    char key[96];

    worker_key(key, sizeof key, s, "t");
    return cluster_of(w->cluster, key);
}

void
worker_command(struct worker *w, const struct source *s, size_t argc, const char *const *argv,
               const size_t *sizes)
{
    /* Lost commands are told again: acks and trims after the next commit, live
     * each second. */
    (void)redis_command(worker_redis(w, s), on_command, w, argc, argv, sizes);
}

void
worker_ack(struct worker *w, struct source *s)
{
    char key[96], value[160 + TRACE_ASK_SIZE], want[48] = "-";
    const char *argv[] = {"SET", key, value};
    size_t sizes[3];

    worker_key(key, sizeof key, s, "ack");
    if (s->wants) {
        struct position p = assemble_wanted(s->assemble);
        snprintf(want, sizeof want, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
    }
    snprintf(value, sizeof value, "1 %" PRIu64 "-%" PRIu64 " %s %" PRId64 "%s", s->committed.epoch,
             s->committed.sequence, want, store_run(w->store), s->paths);
    for (int i = 0; i < 3; i++) {
        sizes[i] = strlen(argv[i]);
    }
    s->ack_told = mono_now();
    worker_command(w, s, 3, argv, sizes);
}

void
worker_trim(struct worker *w, const struct source *s)
{
    char key[96], id[48];
    const char *argv[] = {"XTRIM", key, "MINID", id};
    size_t sizes[4];

    if (s->committed.epoch == 0) {
        return;
    }
    worker_key(key, sizeof key, s, "t");
    snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, s->committed.epoch, s->committed.sequence + 1);
    for (int i = 0; i < 4; i++) {
        sizes[i] = strlen(argv[i]);
    }
    worker_command(w, s, 4, argv, sizes);
}

/* 'waits': why nothing more is taken of it, or NULL. */
void
worker_live(struct worker *w, struct source *s, const char *waits)
{
    char key[96];
    const struct live_facts facts = {.now = instant_now(),
                                     .source_at = s->made_at,
                                     .release = s->release[0] ? s->release : NULL,
                                     .waits = waits,
                                     .generation = s->generation,
                                     .has_health = s->has_health,
                                     .health = s->health};
    if (live_make(s->assemble, s->name, &facts, &w->live)) {
        return;
    }
    worker_key(key, sizeof key, s, "live");
    const char *argv[] = {"SET", key, (const char *)w->live.at, "EX", LIVE_KEPT_S};
    const size_t sizes[] = {3, strlen(key), w->live.size, 2, strlen(LIVE_KEPT_S)};
    worker_command(w, s, 5, argv, sizes);
    s->live_due = false;
}

/* By its own time and not with the tick: what came just after one would be a second old, and the
 * first figures of a source that was just claimed as well. */
void
worker_tell_live(struct worker *w, struct span now)
{
    for (size_t i = 0; i < w->source_count; i++) {
        struct source *s = &w->sources[i];
        if (s->assemble && s->live_due &&
            (s->live_told.ns == 0 || now.ns - s->live_told.ns >= NS_PER_S)) {
            worker_live(w, s, NULL);
            s->live_told = now;
        }
    }
}
