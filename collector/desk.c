/* desk.c - the thread of the desk: takes the inbox, decides, writes, as long as it has the lock. */
#include "desk.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "desk_parts.h"
#include "job.h"
#include "log.h"

#define AGAIN_S 1 /* After a failure, and while another collector has the desk. */
#define LOCK 6
#define POLL_MS 200

static const char *const count_names[DESK_COUNTS] = {"news",   "opened", "reopened",  "merged",
                                                     "ended",  "told",   "ended_for", "bad_rows",
                                                     "failed", "rounds"};

struct desk {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[DESK_COUNTS];
    pthread_mutex_t lock;
    struct desk_status status; /* Under 'lock'. */
    bool told;                 /* The job's. */
};

/* --- What it says of itself ----------------------------------------------- */

static void
tell_status(struct desk *d, struct desk_status status)
{
    pthread_mutex_lock(&d->lock);
    d->status = status;
    pthread_mutex_unlock(&d->lock);
}

static void
tell_round(struct desk *d, const struct table *t)
{
    struct desk_status s = {.active = true, .waiting = t->waiting, .round_at = instant_now()};

    for (const struct problem *p = t->problems; p; p = p->hh.next) {
        s.open += p->state == PROBLEM_OPEN;
        s.held += p->state == PROBLEM_OPEN && p->held;
    }
    for (const struct symptom *a = t->symptoms; a; a = a->hh.next) {
        s.raised += symptom_is_raised(a);
    }
    tell_status(d, s);
}

/* --- Rounds --------------------------------------------------------------- */

static bool
has_changed(const struct table *t)
{
    for (const struct problem *p = t->problems; p; p = p->hh.next) {
        if (p->changed) {
            return true;
        }
    }
    return false;
}

/* One look at the inbox, and all that follows from it, in one transaction. */
static int
look(struct table *t, size_t *taken)
{
    int err = deskstore_begin(&t->store);

    err = err ? err : table_take_news(t, taken);
    if (!err && t->now.ns - t->second.ns >= NS_PER_S) {
        err = table_look_round(t);
    }
    err = err ? err : table_sort(t);
    err = err ? err : table_tell(t);
    bool wrote = !err && has_changed(t);
    err = err ? err : table_write(t);
    err = err ? err : deskstore_commit(&t->store);
    if (!err) {
        counter_add(&t->counters[DESK_ROUNDS], wrote);
        table_forget(t);
    }
    return err;
}

/* Until there is news, or it is time to look again. */
static void
wait_for_news(struct table *t)
{
    struct pollfd fd = {.fd = PQsocket(t->store.conn), .events = POLLIN};
    PGnotify *n;

    if (fd.fd >= 0) {
        poll(&fd, 1, POLL_MS);
    }
    PQconsumeInput(t->store.conn);
    while ((n = PQnotifies(t->store.conn))) {
        PQfreemem(n);
    }
}

/* As long as it has the lock and goes well. */
static bool
desk_round(struct job *job, PGconn *conn, void *aux)
{
    struct desk *d = aux;
    struct table t = {.config = d->config,
                      .inventory = d->inventory,
                      .counters = d->counters,
                      .store.conn = conn};
    int err = deskstore_listen(&t.store);

    err = err ? err : table_load(&t);
    if (!err) {
        log_info("%s: makes problems of alarms", d->config->collector);
    }
    while (!err && !job_is_stopping(job)) {
        size_t taken = 0;
        err = look(&t, &taken);
        d->told = d->told && err;
        if (!err) {
            tell_round(d, &t);
        }
        if (!err && !taken && !t.more) {
            wait_for_news(&t);
        }
    }
    if (err) {
        counter_add(&d->counters[DESK_FAILED], 1);
        if (!d->told) {
            log_warnx("%s: problems are not told, tried again every %d s: %s", d->config->collector,
                      AGAIN_S, err == -EIO ? t.store.why : strerror(-err));
        }
        d->told = true;
    }
    table_fini(&t);
    return !err;
}

static void
desk_leave(void *aux)
{
    tell_status(aux, (struct desk_status){0});
}

int
desk_start(struct desk **out, const struct collector_config *config,
           const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "desk",
                                         .lock = LOCK,
                                         .every_s = 1,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = desk_round,
                                         .leave = desk_leave};
    struct desk *d = calloc(1, sizeof *d);

    if (!d) {
        return -ENOMEM;
    }
    d->config = config;
    d->inventory = inventory;
    pthread_mutex_init(&d->lock, NULL);
    int err = job_start(&d->job, &kind, &config->postgresql, d);
    if (err) {
        pthread_mutex_destroy(&d->lock);
        free(d);
        return err;
    }
    *out = d;
    return 0;
}

void
desk_stop(struct desk *d)
{
    if (d) {
        job_stop(d->job);
        pthread_mutex_destroy(&d->lock);
        free(d);
    }
}

struct counter_group
desk_counters(struct desk *d)
{
    return (struct counter_group){"desk", count_names, d->counters, DESK_COUNTS};
}

void
desk_view(struct desk *d, struct desk_status *out)
{
    pthread_mutex_lock(&d->lock);
    *out = d->status;
    pthread_mutex_unlock(&d->lock);
}
