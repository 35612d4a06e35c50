/* judge.c - one round after another: what became final is judged and stored. */
#include "judge.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "judgestore.h"
#include "log.h"
#include "rounds.h"

#define EVERY_S 1
#define AGAIN_S 10 /* After a failure, and while another collector judges. */
#define LOCK 5

static const char *const count_names[JUDGE_COUNTS] = {
    "intervals", "quarters", "changes", "verdicts", "left_out", "bad_rows", "failed", "rounds"};

struct judge {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[JUDGE_COUNTS];
    pthread_mutex_t lock;
    struct judge_status status; /* Under 'lock'. */
    /* The job's. */
    struct judgestore store;
    struct rounds *rounds; /* NULL: not begun. */
    bool told;
};

static const struct judge_status nothing = {
    .round_at = {-1}, .newest = {-1}, .oldest = {-1}}; /* Not active. */

static void
tell(struct judge *j, struct judge_status status)
{
    pthread_mutex_lock(&j->lock);
    j->status = status;
    pthread_mutex_unlock(&j->lock);
}

/* A round was completed. */
static void
tell_round(struct judge *j)
{
    struct judge_status s = {.active = true, .round_at = instant_now()};

    rounds_until(j->rounds, &s.newest, &s.oldest);
    tell(j, s);
}

static bool
judge_round(struct job *job, PGconn *conn, void *aux)
{
    struct judge *j = aux;
    int err = 0;

    (void)job;
    j->store.conn = conn;
    if (!j->rounds) {
        log_info("%s: judges what is sold", j->config->collector);
        err = rounds_new(j->inventory, &j->store, j->counters, &j->rounds);
    }
    err = err ? err : rounds_run(j->rounds, instant_now());
    if (err) {
        counter_add(&j->counters[JUDGE_FAILED], 1);
        if (!j->told) {
            log_warnx("%s: judging failed, tried again every %d s: %s", j->config->collector,
                      AGAIN_S, err == -EIO ? j->store.why : strerror(-err));
        }
    }
    j->told = err;
    if (!err) {
        counter_add(&j->counters[JUDGE_ROUNDS], 1);
        tell_round(j);
    }
    return !err;
}

static void
judge_leave(void *aux)
{
    struct judge *j = aux;

    rounds_free(j->rounds);
    j->rounds = NULL;
    j->store.conn = NULL;
    tell(j, nothing);
}

int
judge_start(struct judge **out, const struct collector_config *config,
            const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "judge",
                                         .lock = LOCK,
                                         .every_s = EVERY_S,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = judge_round,
                                         .leave = judge_leave};
    struct judge *j = calloc(1, sizeof *j);

    if (!j) {
        return -ENOMEM;
    }
    j->config = config;
    j->inventory = inventory;
    j->status = nothing;
    pthread_mutex_init(&j->lock, NULL);
    int err = job_start(&j->job, &kind, &config->postgresql, j);
    if (err) {
        pthread_mutex_destroy(&j->lock);
        free(j);
        return err;
    }
    *out = j;
    return 0;
}

void
judge_stop(struct judge *j)
{
    if (j) {
        job_stop(j->job);
        pthread_mutex_destroy(&j->lock);
        judgestore_fini(&j->store);
        free(j);
    }
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
