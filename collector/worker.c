/* worker.c - the thread: connects, each second looks after its claims and its house, and reads. */
#include "worker_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define IDLE_US 100000
#define EXPIRE_EVERY_NS (60 * NS_PER_S)
/* Redis may have lost the last ack, and a source that does not know what is committed
 * sends it again, and no more than its stream may hold: so it is told again. */
#define ACK_EVERY_NS (10 * NS_PER_S)

static const char *const count_names[WORKER_COUNTS] = {
    "far_judged",     "postgresql_lost", "redis_lost",      "redis_refused",  "rollups",
    "alarms_written", "alarms_refused",  "alarms_given_up", "windows_refused"};
static const char *const source_count_names[SOURCE_COUNTS] = {
    "batches",    "rows",          "commits",        "claims",       "releases",
    "gaps",       "fence_refused", "quarantined",    "newer_format", "commits_refused",
    "unreadable", "events",        "events_refused", "events_over",  "traces_refused"};

static void
store_lost(struct worker *w, const char *doing)
{
    log_warnx("worker %u: PostgreSQL, %s: %s; sources spool until it is back", w->number, doing,
              store_why(w->store));
    worker_count(w, WORKER_POSTGRESQL_LOST, 1);
    for (size_t i = 0; i < w->source_count; i++) {
        worker_drop(w, &w->sources[i]);
    }
    store_close(w->store);
    w->store = NULL;
}

/* --- Each second ---------------------------------------------------------- */

static void
on_redis(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    struct worker *w = aux;

    (void)r;
    if (state == REDIS_UP) {
        log_info("worker %u: connected to Redis", w->number);
        for (size_t i = 0; i < w->source_count; i++) {
            if (w->sources[i].assemble && w->store) {
                worker_ack(w, &w->sources[i]); /* It may have come back empty. */
            }
        }
    } else if (w->redis_was_up && state == REDIS_DOWN) {
        log_warnx("worker %u: Redis: %s; sources spool until it is back", w->number,
                  why ? why : "connection lost");
        worker_count(w, WORKER_REDIS_LOST, 1);
    }
    w->redis_was_up = state == REDIS_UP;
}

static bool
store_ready(struct worker *w)
{
    char why[512];
    struct span now = mono_now();

    if (w->store) {
        return true;
    }
    if (w->store_tried.ns && now.ns - w->store_tried.ns < NS_PER_S) {
        return false;
    }
    w->store_tried = now;
    w->store = store_open(&w->config->postgresql, w->config->collector, why, sizeof why);
    if (!w->store) {
        if (log_bucket_pass(&w->store_bucket, now)) {
            log_warnx("worker %u: PostgreSQL: %s; sources spool until it is back", w->number, why);
        }
        return false;
    }
    log_info("worker %u: connected to PostgreSQL", w->number);
    w->ticked = span_of_ns(0);
    return true;
}

static int
keep_house(struct worker *w, struct span now)
{
    char why[256];
    int err = store_days(w->store, instant_now());

    if (!err && now.ns - w->expired.ns > EXPIRE_EVERY_NS) {
        err = store_expire(w->store, w->config->source_expiry) < 0 ? -EIO : 0;
        w->expired = now;
    }
    if (!err) {
        int merged = store_roll_closed(w->store);
        if (merged < 0 && log_bucket_pass(&w->far_bucket, now)) {
            log_warnx("worker %u: what a closed source left is not merged yet: %s", w->number,
                      store_why(w->store));
        }
        err = merged == -EIO ? -EIO : 0;
    }
    if (!err) {
        int judged = farend_run(w->farend, store_connection(w->store), why, sizeof why);
        if (judged < 0 && PQtransactionStatus(store_connection(w->store)) != PQTRANS_IDLE) {
            log_warnx("worker %u: far ends could not be asked about: %s", w->number, why);
            return -EIO;
        }
        if (judged < 0 && log_bucket_pass(&w->far_bucket, now)) {
            log_warnx("worker %u: far ends wait to be asked about: %s", w->number, why);
        }
        worker_count(w, WORKER_FAR_JUDGED, judged > 0 ? (uint64_t)judged : 0);
    }
    return err;
}

/* What is asked of its sources goes out with the next ack, which is told at once. */
static void
on_request(const char *probe, const char *number, const char *link, void *aux)
{
    struct worker *w = aux;

    for (size_t i = 0; i < w->source_count; i++) {
        struct source *s = &w->sources[i];
        size_t used = strlen(s->paths);
        if (s->assemble && s->paths_count < TRACE_ASK_MAX && strcmp(s->name, probe) == 0) {
            snprintf(s->paths + used, sizeof s->paths - used, "%c%s:%s", used ? ',' : ' ', number,
                     link);
            s->paths_count++;
        }
    }
}

static int
ask_for_traces(struct worker *w)
{
    char why[256];

    for (size_t i = 0; i < w->source_count; i++) {
        w->sources[i].paths_before = w->sources[i].paths_count;
        w->sources[i].paths_count = 0;
        w->sources[i].paths[0] = '\0';
    }
    int err = trace_requests(store_connection(w->store), on_request, w, why, sizeof why);
    for (size_t i = 0; i < w->source_count && !err; i++) {
        if (w->sources[i].assemble && (w->sources[i].paths_count || w->sources[i].paths_before)) {
            worker_ack(w, &w->sources[i]);
        }
    }
    return err;
}

static int
tick(struct worker *w)
{
    struct span now = mono_now();
    unsigned workers;

    if (w->ticked.ns && now.ns - w->ticked.ns < TICK_NS) {
        return 0;
    }
    w->ticked = now;
    int err = store_heartbeat(w->store, w->claimed, &workers);
    if (!err) {
        err = worker_verify(w);
    }
    if (!err) {
        size_t share = worker_share(w, workers);
        err = w->claimed > share ? worker_release_some(w, share) : worker_claim_some(w, share);
    }
    for (size_t i = 0; i < w->source_count && !err; i++) {
        struct source *s = &w->sources[i];
        if (s->assemble && now.ns - s->ack_told.ns >= ACK_EVERY_NS) {
            worker_ack(w, s);
            worker_trim(w, s);
        }
    }
    worker_tell_live(w, now);
    err = err ? err : ask_for_traces(w);
    err = err ? err : worker_watch_tick(w);
    return err ? err : keep_house(w, now);
}

static void
rest(struct worker *w, long us)
{
    const struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    event_base_loopexit(w->base, &tv);
    event_base_dispatch(w->base);
}

/* What other threads may see, each second, also while PostgreSQL is away. */
static void
publish_view(struct worker *w)
{
    struct span now = mono_now();

    if (w->viewed.ns && now.ns - w->viewed.ns < TICK_NS) {
        return;
    }
    w->viewed = now;
    pthread_mutex_lock(&w->view_lock);
    w->status = (struct worker_status){
        .redis = cluster_is_up(w->cluster), .postgresql = w->store != NULL, .claimed = w->claimed};
    for (size_t i = 0; i < w->source_count; i++) {
        const struct source *s = &w->sources[i];
        struct worker_source *v = &w->views[i];
        *v = (struct worker_source){.owned = s->assemble != NULL};
        if (!v->owned) {
            continue;
        }
        v->read = assemble_read(s->assemble);
        v->written_until = assemble_written_until(s->assemble);
        v->made_at = s->made_at;
        v->sessions = assemble_session_count(s->assemble);
        v->held_bytes = assemble_held(s->assemble);
        v->alarms_waiting = s->watch ? watch_waiting(s->watch) : 0;
        v->has_health = s->has_health;
        v->spool_bytes = s->health.spool_bytes;
        v->spool_unsent = s->health.spool_unsent;
        v->disk_full = s->health.disk_full;
        v->clock_synchronised = s->health.clock_synchronised;
    }
    pthread_mutex_unlock(&w->view_lock);
}

static void *
work(void *aux)
{
    struct worker *w = aux;

    while (!atomic_load(&w->stopping)) {
        int n = 0;
        publish_view(w);
        if (!store_ready(w)) {
            rest(w, IDLE_US);
            continue;
        }
        int err = tick(w);
        if (!err && cluster_is_up(w->cluster)) {
            n = worker_read_some(w);
            err = n < 0 ? n : 0;
        }
        err = err ? err : worker_alarms_write(w);
        if (err) {
            store_lost(w, "working");
        } else if (n == 0) {
            worker_tell_live(w, mono_now());
            rest(w, IDLE_US);
        }
    }
    for (size_t i = 0; i < w->source_count && w->store; i++) {
        if (w->sources[i].assemble && worker_release(w, &w->sources[i])) {
            break;
        }
    }
    if (w->store) {
        store_leave(w->store);
    }
    rest(w, IDLE_US); /* What is queued for Redis goes out. */
    return NULL;
}

/* --- Life ----------------------------------------------------------------- */

static void
worker_free(struct worker *w)
{
    for (size_t i = 0; i < w->source_count; i++) {
        worker_drop(w, &w->sources[i]);
    }
    store_write_fini(&w->write);
    bytes_fini(&w->live);
    alarmstore_fini(&w->alarms);
    store_close(w->store);
    cluster_free(w->cluster);
    if (w->base) {
        event_base_free(w->base);
    }
    if (w->arena) {
        telemetry_arena_free(w->arena);
    }
    row_maker_free(w->maker);
    farend_free(w->farend);
    free(w->sources);
    free(w->views);
    free(w->rules);
    free(w->alarms_taken);
    pthread_mutex_destroy(&w->view_lock);
    free(w);
}

static int
open_parts(struct worker *w)
{
    const struct redis_config redis = {.address = w->config->redis.address,
                                       .user = w->config->redis.user,
                                       .password_file = w->config->redis.password_file,
                                       .tls = w->config->redis.tls,
                                       .timeout = w->config->redis.timeout};
    w->source_count = w->inventory->probe_count;
    w->sources = calloc(w->source_count ? w->source_count : 1, sizeof w->sources[0]);
    w->views = calloc(w->source_count ? w->source_count : 1, sizeof w->views[0]);
    w->alarms_taken = calloc(w->source_count ? w->source_count : 1, sizeof w->alarms_taken[0]);
    w->rules = inventory_alarms_in_force(w->inventory, &w->rule_count);
    w->base = event_base_new();
    w->arena = telemetry_arena_new();
    w->maker = row_maker_new();
    w->farend = farend_new();
    if (!w->sources || !w->views || !w->alarms_taken || !w->rules || !w->base || !w->arena ||
        !w->maker || !w->farend) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < w->source_count; i++) {
        w->sources[i].name = w->inventory->probes[i].key;
        w->sources[i].id = source_id_of(w->sources[i].name);
        w->sources[i].bucket = (struct log_bucket){.burst = 3, .every = span_of_ns(60 * NS_PER_S)};
    }
    w->cluster = cluster_new(w->base, &redis, on_redis, w);
    return w->cluster ? 0 : -EINVAL;
}

int
worker_start(struct worker **out, const struct collector_config *config,
             const struct inventory *inventory, unsigned number)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w) {
        return -ENOMEM;
    }
    pthread_mutex_init(&w->view_lock, NULL);
    w->config = config;
    w->inventory = inventory;
    w->number = number;
    w->next_claim = number * 7919u; /* Workers begin at different sources. */
    w->read_entries = READ_ENTRIES_MAX;
    w->store_bucket = w->redis_bucket = w->far_bucket = w->alarm_bucket =
        (struct log_bucket){.burst = 1, .every = span_of_ns(60 * NS_PER_S)};
    w->given_up_bucket = (struct log_bucket){.burst = 10, .every = span_of_ns(60 * NS_PER_S)};
    atomic_init(&w->stopping, false);
    int err = open_parts(w);
    if (!err) {
        err = -pthread_create(&w->thread, NULL, work, w);
    }
    if (err) {
        worker_free(w);
        return err;
    }
    *out = w;
    return 0;
}

void
worker_stop(struct worker *w)
{
    atomic_store(&w->stopping, true);
}

void
worker_join(struct worker *w)
{
    int err = pthread_join(w->thread, NULL);

    assert(err == 0);
    (void)err;
    worker_free(w);
}

void
worker_view(struct worker *w, struct worker_status *status, struct worker_source *sources)
{
    pthread_mutex_lock(&w->view_lock);
    *status = w->status;
    memcpy(sources, w->views, w->source_count * sizeof w->views[0]);
    pthread_mutex_unlock(&w->view_lock);
}

void
worker_counters(struct worker *w, struct counter_group *out)
{
    *out = (struct counter_group){"worker", count_names, w->counters, WORKER_COUNTS};
}

void
worker_source_counters(struct worker *w, size_t source,
                       struct counter_group groups[WORKER_SOURCE_GROUPS])
{
    struct source *s = &w->sources[source];

    groups[0] = (struct counter_group){"source", source_count_names, s->counters, SOURCE_COUNTS};
    groups[1] = (struct counter_group){"assemble", assemble_count_names, s->assemble_counters,
                                       ASSEMBLE_COUNTS};
    groups[2] = (struct counter_group){"alarm", watch_count_names, s->watch_counters, WATCH_COUNTS};
}
