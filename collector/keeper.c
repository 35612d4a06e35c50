/* keeper.c - orders the days that are over. */
#include "keeper.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "pg.h"

#define EVERY_S 600
#define LOCK "1886157934, 3"

/* A day is over for good when the sources' usual spools have come in. */
#define CHORES                                                                                     \
    "SELECT (SELECT bool_or(plumbline_store.order_day(day::date)) "                                \
    "FROM generate_series((now() AT TIME ZONE 'UTC')::date - 9, "                                  \
    "(now() AT TIME ZONE 'UTC')::date - 2, interval '1 day') day)"

struct keeper {
    const struct config_postgresql *config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    PGcancel *cancel; /* Of what runs now. */
};

static void
set_cancel(struct keeper *k, PGcancel *cancel)
{
    pthread_mutex_lock(&k->lock);
    if (k->cancel) {
        PQfreeCancel(k->cancel);
    }
    k->cancel = cancel;
    pthread_mutex_unlock(&k->lock);
}

static void
chores(struct keeper *k)
{
    const struct pg_options options = {.application = "plumbline-collector keeper",
                                       .role = "plumbline_writer",
                                       .connect_timeout_s = 5};
    char why[256];
    PGconn *conn = pg_connect(k->config, &options, why, sizeof why);

    if (!conn) {
        return; /* The workers say that it is not there. */
    }
    set_cancel(k, PQgetCancel(conn));
    PGresult *r = PQexec(conn, "SET lock_timeout = '5s'; SELECT pg_try_advisory_lock(" LOCK ")");
    bool ours = PQresultStatus(r) == PGRES_TUPLES_OK && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    if (ours) {
        r = PQexec(conn, CHORES);
        if (PQresultStatus(r) != PGRES_TUPLES_OK) {
            pg_error(conn, r, why, sizeof why);
            log_warnx("days that are over could not be put in order, tried again in %d min: %s",
                      EVERY_S / 60, why);
        } else if (PQgetvalue(r, 0, 0)[0] == 't') {
            log_info("days that are over were put in (series, time) order");
        }
        PQclear(r);
    }
    set_cancel(k, NULL);
    PQfinish(conn);
}

static void *
keep(void *aux)
{
    struct keeper *k = aux;

    pthread_mutex_lock(&k->lock);
    while (!k->stopping) {
        struct timespec until;
        pthread_mutex_unlock(&k->lock);
        chores(k);
        pthread_mutex_lock(&k->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += EVERY_S;
        while (!k->stopping && pthread_cond_timedwait(&k->wake, &k->lock, &until) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

int
keeper_start(struct keeper **out, const struct config_postgresql *config)
{
    struct keeper *k = calloc(1, sizeof *k);

    if (!k) {
        return -ENOMEM;
    }
    k->config = config;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, NULL);
    int err = pthread_create(&k->thread, NULL, keep, k);
    if (err) {
        free(k);
        return -err;
    }
    *out = k;
    return 0;
}

void
keeper_stop(struct keeper *k)
{
    char ignored[256];

    if (!k) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->stopping = true;
    if (k->cancel) {
        PQcancel(k->cancel, ignored, sizeof ignored);
    }
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
    int err = pthread_join(k->thread, NULL);
    assert(err == 0);
    (void)err;
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    free(k);
}
