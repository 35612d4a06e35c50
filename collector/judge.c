/* judge.c - one round after another: what became final is judged and stored. */
#include "judge.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judgestore.h"
#include "log.h"
#include "pg.h"
#include "rounds.h"

#define EVERY_S 1
#define AGAIN_S 10 /* After a failure, and while another collector judges. */
#define LOCK "1886157934, 5"

static const char *const count_names[JUDGE_COUNTS] = {
    "intervals", "quarters", "changes", "verdicts", "left_out", "bad_rows", "failed", "rounds"};

struct judge {
    const struct collector_config *config;
    const struct inventory *inventory;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct counter counters[JUDGE_COUNTS];
    struct judge_status status; /* Under 'lock'. */
    /* The thread's. */
    struct judgestore store;
    struct rounds *rounds; /* NULL: not begun. */
    bool ours, told;
};

/* Until 'seconds' are over or we are to stop; whether we are not. */
static bool
sleep_for(struct judge *j, int seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && pthread_cond_timedwait(&j->wake, &j->lock, &until) != ETIMEDOUT) {
    }
    bool stopping = j->stopping;
    pthread_mutex_unlock(&j->lock);
    return !stopping;
}

/* What others may know, after each round. */
static void
tell(struct judge *j, bool completed)
{
    struct judge_status s = {.active = j->ours};

    s.round_at = s.newest = s.oldest = instant_of_ns(-1);
    if (completed) {
        s.round_at = instant_now();
        rounds_until(j->rounds, &s.newest, &s.oldest);
    }
    pthread_mutex_lock(&j->lock);
    j->status = s;
    pthread_mutex_unlock(&j->lock);
}

static void
leave(struct judge *j)
{
    rounds_free(j->rounds);
    j->rounds = NULL;
    PQfinish(j->store.conn);
    j->store.conn = NULL;
    j->ours = false;
}

/* Whether we hold the job's lock. */
static bool
hold(struct judge *j)
{
    const struct pg_options options = {.application = "plumbline-collector judge",
                                       .role = "plumbline_writer",
                                       .connect_timeout_s = 5};

    if (j->ours && PQstatus(j->store.conn) == CONNECTION_OK) {
        return true;
    }
    leave(j);
    j->store.conn = pg_connect(&j->config->postgresql, &options, j->store.why, sizeof j->store.why);
    if (!j->store.conn) {
        return false; /* The workers say that it is not there. */
    }
    PGresult *r = PQexec(j->store.conn, "SELECT pg_try_advisory_lock(" LOCK ")");
    j->ours = PQresultStatus(r) == PGRES_TUPLES_OK && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    if (j->ours) {
        log_info("%s: judges what is sold", j->config->collector);
    } else {
        leave(j);
    }
    return j->ours;
}

/* One round.  Whether the next may follow soon. */
static bool
judge_round(struct judge *j)
{
    int err;

    if (!hold(j)) {
        tell(j, false);
        return false;
    }
    err = j->rounds ? 0 : rounds_new(j->inventory, &j->store, j->counters, &j->rounds);
    err = err ? err : rounds_run(j->rounds, instant_now());
    if (err) {
        counter_add(&j->counters[JUDGE_FAILED], 1);
        if (!j->told) {
            log_warnx("%s: judging failed, tried again every %d s: %s", j->config->collector,
                      AGAIN_S, err == -EIO ? j->store.why : strerror(-err));
        }
        j->told = true;
        leave(j);
        tell(j, false);
        return false;
    }
    j->told = false;
    counter_add(&j->counters[JUDGE_ROUNDS], 1);
    tell(j, true);
    return true;
}

static void *
judge_thread(void *aux)
{
    struct judge *j = aux;
    bool soon;

    do {
        soon = judge_round(j);
    } while (sleep_for(j, soon ? EVERY_S : AGAIN_S));
    leave(j);
    return NULL;
}

int
judge_start(struct judge **out, const struct collector_config *config,
            const struct inventory *inventory)
{
    struct judge *j = calloc(1, sizeof *j);

    if (!j) {
        return -ENOMEM;
    }
    j->config = config;
    j->inventory = inventory;
    j->status.round_at = j->status.newest = j->status.oldest = instant_of_ns(-1);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    int err = pthread_create(&j->thread, NULL, judge_thread, j);
    if (err) {
        free(j);
        return -err;
    }
    *out = j;
    return 0;
}

void
judge_stop(struct judge *j)
{
    if (!j) {
        return;
    }
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    int err = pthread_join(j->thread, NULL);
    assert(err == 0);
    (void)err;
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    judgestore_fini(&j->store);
    free(j);
}

struct counter_group
judge_counters(struct judge *j)
{
    return (struct counter_group){"judge", count_names, j->counters, JUDGE_COUNTS};
}

void
judge_view(struct judge *j, struct judge_status *out)
{
    pthread_mutex_lock(&j->lock);
    *out = j->status;
    pthread_mutex_unlock(&j->lock);
}
