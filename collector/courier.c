/* courier.c - the round: a look, a batch, and waiting for answers; its life. */
#include "courier_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"

#define LOCK 7
#define AGAIN_S 5 /* After a failure, and while another collector delivers. */
#define DRAIN_NS (2 * NS_PER_S)
#define EXEC_FDS_MAX (COURIERPLAN_AT_ONCE_EXEC * COURIEREXEC_FDS)

static const char *const count_names[COURIER_COUNTS] = {"delivered",  "tries_failed", "dead",
                                                        "superseded", "told_again",   "disabled",
                                                        "unreadable", "failed"};

static struct span
later(struct span mono, int64_t ns)
{
    return span_of_ns(mono.ns + ns);
}

/* xorshift64*, for jitter. */
uint64_t
courier_random(struct courier *c)
{
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return c->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* --- Waiting -------------------------------------------------------------- */

/* Takes what came. */
static void
pump(struct courier *c)
{
    int running, left;
    const CURLMsg *m;

    curl_multi_perform(c->multi, &running);
    while ((m = curl_multi_info_read(c->multi, &left))) {
        struct courier_trip *t = NULL;
        CURLcode result = m->data.result; /* 'm' is gone with its handle. */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        courier_trip_curl_over(c, t, result);
    }
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_EXEC) {
            courier_trip_exec_step(c, &c->trips[i]);
        }
    }
}

static void
rest(struct courier *c, int64_t until_ns)
{
    struct curl_waitfd fds[1 + EXEC_FDS_MAX] = {
        {.fd = PQsocket(c->store.conn), .events = CURL_WAIT_POLLIN}};
    unsigned count = 1;
    int64_t ns = until_ns - mono_now().ns;

    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        const struct courier_trip *t = &c->trips[i];
        if (t->state == TRIP_EXEC) {
            assert(count + COURIEREXEC_FDS <= 1 + EXEC_FDS_MAX);
            count += (unsigned)courierexec_fds(&t->exec, fds + count);
            /* Its time-out is ours to see. */
            ns = ns < NS_PER_S / 4 ? ns : NS_PER_S / 4;
        }
    }
    ns = ns < 0 ? 0 : ns;
    curl_multi_poll(c->multi, fds, count, (int)(ns / NS_PER_MS) + 1, NULL);
}

/* --- A round -------------------------------------------------------------- */

static int
enter(struct courier *c)
{
    struct span mono = mono_now();

    c->active = true;
    c->look_at = c->tidy_at = c->count_at = mono;
    c->expire_at = later(mono, 60 * NS_PER_S);
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        c->plans[i] = (struct courierplan_hook){.exec = courier_inv_hook(c, i)->command};
        c->hooks[i] = (struct courier_hook){.used = c->hooks[i].used};
    }
    if (!c->told) {
        log_info("%s: delivers what is said to %zu hooks", c->config->collector, c->key_count);
    }
    int err = courierstore_listen(&c->store);
    return err ? err : courierstore_all_is_news(&c->store);
}

/* Whoever is under way may end. */
static int
drain(struct courier *c)
{
    struct span end = later(mono_now(), DRAIN_NS);
    int err = 0;

    while (!err && c->plan.in_flight && mono_now().ns < end.ns) {
        pump(c);
        if (!courier_batch_is_over(c)) {
            rest(c, end.ns);
        }
        err = courier_batch_record(c);
    }
    return err;
}

static int
work(struct courier *c)
{
    int err = c->active ? 0 : enter(c);

    while (!err && !atomic_load(&c->stopping)) {
        err = courier_look(c);
        err = err ? err : courier_batch(c);
        pump(c);
        if (!err && !courier_batch_is_over(c)) {
            rest(c, c->look_at.ns);
            err = PQconsumeInput(c->store.conn) ? 0 : -EIO;
            pump(c);
        }
    }
    return err ? err : drain(c);
}

static bool
courier_round(struct job *job, PGconn *conn, void *aux)
{
    struct courier *c = aux;

    (void)job;
    c->store.conn = conn;
    snprintf(c->store.why, sizeof c->store.why, "the connection is gone");
    int err = work(c);
    if (err) {
        counter_add(&c->counters[COURIER_FAILED], 1);
        if (!c->told) {
            log_warnx("%s: delivering failed, tried again every %d s: %s", c->config->collector,
                      AGAIN_S, err == -EIO ? c->store.why : strerror(-err));
        }
    }
    c->told = err;
    return !err;
}

/* What is under way is given up: whoever is the courier next sends it again. */
static void
courier_leave(void *aux)
{
    struct courier *c = aux;

    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state != TRIP_FREE) {
            courier_trip_cancel(c, &c->trips[i]);
        }
    }
    c->active = false;
    c->store.conn = NULL;
    pthread_mutex_lock(&c->lock);
    c->status = (struct courier_status){.active = false};
    pthread_mutex_unlock(&c->lock);
}

/* --- Life ----------------------------------------------------------------- */

static void
courier_free(struct courier *c)
{
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        couriercurl_fini(&c->trips[i].curl);
        courierexec_fini(&c->trips[i].exec);
    }
    curl_multi_cleanup(c->multi);
    curl_global_cleanup();
    courierstore_fini(&c->store);
    pthread_mutex_destroy(&c->lock);
    free(c->public);
    free(c->plans);
    free(c->hooks);
    free(c->keys);
    free(c);
}

static int
courier_new(struct courier **out, const struct collector_config *config,
            const struct inventory *inventory)
{
    size_t count = inventory->hook_count;
    struct courier *c = calloc(1, sizeof *c);

    if (!c) {
        return -ENOMEM;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->config = config;
    c->inventory = inventory;
    pthread_mutex_init(&c->lock, NULL);
    c->multi = curl_multi_init();
    c->public = calloc(count + 1, sizeof *c->public);
    c->plans = calloc(count + 1, sizeof *c->plans);
    c->hooks = calloc(count + 1, sizeof *c->hooks);
    c->keys = calloc(count + 1, sizeof *c->keys);
    if (!c->multi || !c->public || !c->plans || !c->hooks || !c->keys) {
        courier_free(c);
        return -ENOMEM;
    }
    c->plan = (struct courierplan){.hooks = c->plans, .hook_count = count};
    for (size_t i = 0; i < count; i++) {
        if (inventory->hooks[i].state == INV_ACTIVE) {
            c->hooks[i].used = true;
            c->keys[c->key_count++] = inventory->hooks[i].key;
        }
    }
    if (getrandom(&c->random, sizeof c->random, 0) != sizeof c->random) {
        c->random = (uint64_t)mono_now().ns;
    }
    c->random |= 1;
    *out = c;
    return 0;
}

int
courier_start(struct courier **out, const struct collector_config *config,
              const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "courier",
                                         .lock = LOCK,
                                         .every_s = 1,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = courier_round,
                                         .leave = courier_leave};
    struct courier *c;
    int err = courier_new(&c, config, inventory);

    if (err) {
        return err;
    }
    err = job_start(&c->job, &kind, &config->postgresql, c);
    if (err) {
        courier_free(c);
        return err;
    }
    *out = c;
    return 0;
}

void
courier_stop(struct courier *c)
{
    if (c) {
        atomic_store(&c->stopping, true);
        curl_multi_wakeup(c->multi);
        job_stop(c->job);
        courier_free(c);
    }
}

struct counter_group
courier_counters(struct courier *c)
{
    return (struct counter_group){"courier", count_names, c->counters, COURIER_COUNTS};
}

void
courier_view(struct courier *c, struct courier_status *out, struct courier_hook_status *hooks)
{
    pthread_mutex_lock(&c->lock);
    *out = c->status;
    memcpy(hooks, c->public, c->plan.hook_count * sizeof *hooks);
    pthread_mutex_unlock(&c->lock);
}
