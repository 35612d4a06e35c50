/* worker_alarm.c - the alarms of a worker's sources: what was written is read after a claim,
 * batches are shown to the watches, and what changed is written at once.
 *
 * After worker_source.c, worker_redis.c, watch.h, alarmstore.h.  Never part of a commit of rows:
 * what PostgreSQL refuses of alarms waits, is tried again, and holds nobody up. */
#include "worker_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "baseline.h"
#include "log.h"
#include "windowstore.h"

#define REFUSED_WAIT_NS NS_PER_S
#define WATCH_AGAIN_NS (10 * NS_PER_S)
#define BASELINES_EVERY_NS (300 * NS_PER_S) /* At most. */
/* What was decided so long before the committed position is not read again. */
#define KNOWN_NS (3600 * NS_PER_S)
/* A source of which Redis was not asked for so long could not be heard. */
#define ASKED_NS (3 * NS_PER_S)

static void
tell_refused(struct worker *w, const char *what, const char *why)
{
    if (log_bucket_pass(&w->alarm_bucket, mono_now())) {
        log_errorx("worker %u: %s: PostgreSQL refuses: %s; tried again", w->number, what, why);
    }
}

/* As often as the one of the shortest past is made anew. */
static int64_t
baselines_every_ns(const struct worker *w)
{
    int64_t ns = BASELINES_EVERY_NS;

    for (size_t i = 0; i < w->rule_count; i++) {
        const struct inv_alarm *rule = w->rules[i];
        if (rule->relative && baseline_every(rule->against).ns < ns) {
            ns = baseline_every(rule->against).ns;
        }
    }
    return ns;
}

static int
read_baselines(struct worker *w, struct source *s)
{
    char why[256];
    int err = alarmstore_baselines(store_connection(w->store), s->name, s->watch, why, sizeof why);

    s->baselines_read = mono_now();
    if (err == -EBADMSG) {
        tell_refused(w, "what the past was is not known", why);
        err = 0;
    }
    return err;
}

/* Windows go on where they were, as far as it is committed. */
static int
read_windows(struct worker *w, struct source *s, struct instant until)
{
    const struct span began = mono_now();
    char why[256];
    int err = windowstore_read(store_connection(w->store), s->assemble, s->watch, until,
                               w->inventory->interval, why, sizeof why);

    log_debug("%s: windows of its alarms read in %" PRId64 " ms", s->name,
              (mono_now().ns - began.ns) / NS_PER_MS);
    if (err == -EBADMSG) {
        worker_count(w, WORKER_WINDOWS_REFUSED, 1);
        if (log_bucket_pass(&w->alarm_bucket, mono_now())) {
            log_errorx("worker %u: %s: PostgreSQL gives no rows for its alarms: %s; their windows "
                       "begin anew",
                       w->number, s->name, why);
        }
        err = 0;
    }
    return err;
}

int
worker_watch(struct worker *w, struct source *s)
{
    const struct watch_config config = {.source = s->name,
                                        .inventory = w->inventory,
                                        .rules = w->rules,
                                        .rule_count = w->rule_count,
                                        .hold = w->config->hold,
                                        .counters = s->watch_counters};
    struct instant now = instant_now(), until = assemble_written_until(s->assemble);
    struct instant since = instant_of_ns(until.ns - w->config->hold.ns - KNOWN_NS);
    char why[256];

    s->watch_tried = mono_now();
    s->watch = watch_new(&config, now, until);
    if (!s->watch) {
        return -ENOMEM;
    }
    int err =
        alarmstore_load(store_connection(w->store), s->id, since, now, s->watch, why, sizeof why);
    if (!err) {
        err = read_baselines(w, s);
    }
    if (!err) {
        err = read_windows(w, s, until);
    }
    if (err) {
        watch_free(s->watch);
        s->watch = NULL;
    }
    if (err == -EBADMSG) {
        tell_refused(w, "its alarms cannot be read", why);
        err = 0;
    }
    return err;
}

int
worker_watch_batch(struct source *s, const pb_batch *batch, struct instant now)
{
    return s->watch ? watch_take(s->watch, s->assemble, batch, now) : 0;
}

int
worker_watch_tick(struct worker *w)
{
    struct span now = mono_now();
    int err = 0;

    for (size_t i = 0; i < w->source_count && !err; i++) {
        struct source *s = &w->sources[i];
        if (!s->assemble) {
            continue;
        }
        if (!s->watch) {
            err = now.ns - s->watch_tried.ns > WATCH_AGAIN_NS ? worker_watch(w, s) : 0;
            continue;
        }
        bool listening = s->answered.ns && now.ns - s->answered.ns < ASKED_NS;
        err = watch_tick(s->watch, instant_now(), listening && cluster_is_up(w->cluster));
        if (!err && now.ns - s->baselines_read.ns > baselines_every_ns(w)) {
            err = read_baselines(w, s);
        }
    }
    return err;
}

/* What of the sources from 'first' up to 'last' waits, as much as one transaction takes, oldest
 * first. */
static size_t
gather(struct worker *w, size_t first, size_t last, size_t *taken)
{
    struct alarmstore_batch *b = &w->alarms;

    alarmstore_begin(b);
    for (size_t i = first; i < last; i++) {
        const struct source *s = &w->sources[i];
        size_t count = s->watch ? watch_waiting(s->watch) : 0;
        taken[i] = 0;
        for (; taken[i] < count && b->count < ALARMSTORE_BATCH; taken[i]++) {
            struct watch_news news;
            watch_news(s->watch, taken[i], &news);
            alarmstore_add(b, s->id, &news);
        }
    }
    return b->count;
}

/* It would keep out all that comes after it. */
static void
given_up(const char *row, const char *why, void *aux)
{
    struct worker *w = aux;

    worker_count(w, WORKER_ALARMS_GIVEN_UP, 1);
    if (log_bucket_pass(&w->given_up_bucket, mono_now())) {
        log_errorx("worker %u: an alarm is given up, PostgreSQL refuses it: %s: %s", w->number, why,
                   row);
    }
}

/* 0, or -EIO: PostgreSQL is lost. */
static int
write_of(struct worker *w, size_t first, size_t last)
{
    char why[256];

    if (mono_now().ns < w->alarms_after.ns) {
        return 0;
    }
    while (gather(w, first, last, w->alarms_taken)) {
        size_t count = w->alarms.count;
        int err =
            alarmstore_write(store_connection(w->store), &w->alarms, given_up, w, why, sizeof why);
        if (err == -EIO) {
            return err;
        }
        if (err) {
            worker_count(w, WORKER_ALARMS_REFUSED, 1);
            tell_refused(w, "alarms wait", why);
            w->alarms_after = span_of_ns(mono_now().ns + REFUSED_WAIT_NS);
            return 0;
        }
        for (size_t i = first; i < last; i++) {
            if (w->alarms_taken[i]) {
                watch_written(w->sources[i].watch, w->alarms_taken[i]);
            }
        }
        worker_count(w, WORKER_ALARMS_WRITTEN, count);
    }
    return 0;
}

int
worker_alarms_write(struct worker *w)
{
    return write_of(w, 0, w->source_count);
}

int
worker_alarms_write_of(struct worker *w, struct source *s)
{
    size_t i = (size_t)(s - w->sources);

    return write_of(w, i, i + 1);
}
