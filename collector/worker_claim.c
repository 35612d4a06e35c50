/* worker_claim.c - which sources are a worker's: claims, its share, what is let go and what was
 * lost.
 *
 * After worker_source.c, worker_redis.c. */
#include "worker_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "log.h"

#define CLAIMS_A_TICK 16

static bool
trusted(const char *source, const struct session_key *key, void *aux)
{
    const struct worker *w = aux;
    const struct inv_link *link = inventory_link(w->inventory, key->object);

    if (!link || strcmp(source, key->observer) != 0 || key->observer_end > 1) {
        return false;
    }
    const struct inv_probe *own = link->ends[key->observer_end].probe;
    const struct inv_probe *far = link->ends[1 - key->observer_end].probe;
    return own && strcmp(own->key, source) == 0 && strcmp(far ? far->key : "", key->far) == 0;
}

static int
know(const struct session_key *key, void *aux)
{
    return assemble_know(aux, key);
}

static int
current(const struct inv_link *link, const struct inv_class *class_, unsigned end,
        const struct session_key *key, void *aux)
{
    (void)link;
    (void)class_;
    (void)end;
    assemble_current(aux, session_id_of(key));
    return 0;
}

/* 1: claimed; 0: another has it; -EIO. */
static int
claim(struct worker *w, struct source *s)
{
    struct store_claim c;
    int got = store_claim(w->store, s->name, &c);

    if (got <= 0) {
        return got;
    }
    const struct assemble_config config = {.source = s->name,
                                           .interval = w->inventory->interval,
                                           .expiry = w->config->source_expiry,
                                           .trust = trusted,
                                           .aux = w,
                                           .counters = s->assemble_counters};
    s->assemble = assemble_new(&config, c.position, c.written_until);
    if (!s->assemble) {
        return -ENOMEM;
    }
    w->claimed++;
    s->committed = c.position;
    s->owned = true;
    worker_source_count(s, SOURCE_CLAIMS, 1);
    int err = store_sessions(w->store, s->id, know, s->assemble);
    if (err) {
        return err;
    }
    inventory_sessions(w->inventory, s->name, current, s->assemble);
    err = worker_watch(w, s);
    if (err) {
        return err;
    }
    log_info("%s: claimed by worker %u at %" PRIu64 "-%" PRIu64, s->name, w->number,
             s->committed.epoch, s->committed.sequence);
    worker_ack(w, s);
    worker_trim(w, s);
    return 1;
}

int
worker_release(struct worker *w, struct source *s)
{
    log_info("%s: worker %u lets go of it", s->name, w->number);
    worker_drop(w, s);
    worker_source_count(s, SOURCE_RELEASES, 1);
    return store_release(w->store, s->id);
}

/* The row says that it is another's.  Our lock goes too: locks of one session
 * add up, and one that is left would keep the source from everybody else. */
int
worker_lose(struct worker *w, struct source *s)
{
    worker_drop(w, s);
    return store_release(w->store, s->id);
}

size_t
worker_share(const struct worker *w, unsigned workers)
{
    return (w->source_count + workers - 1) / (workers ? workers : 1);
}

int
worker_claim_some(struct worker *w, size_t share)
{
    struct span now = mono_now();
    unsigned tries = 0;

    for (size_t i = 0; i < w->source_count && w->claimed < share && tries < CLAIMS_A_TICK; i++) {
        struct source *s = &w->sources[w->next_claim++ % w->source_count];
        if (s->assemble || now.ns < s->not_before.ns) {
            continue;
        }
        int got = claim(w, s);
        tries += got == 0;
        if (got < 0) {
            return got;
        }
    }
    return 0;
}

/* Lets go of what is beyond our share: the next owner reads from the committed
 * position, which is a border of intervals. */
int
worker_release_some(struct worker *w, size_t share)
{
    int err = 0;

    for (size_t i = w->source_count; i-- > 0 && w->claimed > share && !err;) {
        if (w->sources[i].assemble) {
            err = worker_release(w, &w->sources[i]);
        }
    }
    return err;
}

static void
mark_owned(int64_t source_id, void *aux)
{
    struct worker *w = aux;

    for (size_t i = 0; i < w->source_count; i++) {
        if (w->sources[i].id == source_id) {
            w->sources[i].owned = true;
        }
    }
}

/* What is no longer ours by PostgreSQL's word is dropped. */
int
worker_verify(struct worker *w)
{
    for (size_t i = 0; i < w->source_count; i++) {
        w->sources[i].owned = false;
    }
    int err = store_owned(w->store, mark_owned, w);
    for (size_t i = 0; i < w->source_count && !err; i++) {
        struct source *s = &w->sources[i];
        if (s->assemble && !s->owned) {
            log_warnx("%s: another collector took it", s->name);
            err = worker_lose(w, s);
        }
    }
    return err;
}
