/* judge.c - one round after another: what became final is judged and stored. */
#include "judge.h"

#include <errno.h>
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
    "intervals", "quarters", "changes", "verdicts", "left_out", "bad_rows", "failed"};

struct judge {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[JUDGE_COUNTS];
    /* The job's. */
    struct judgestore store;
    struct rounds *rounds; /* NULL: not begun. */
    bool told;
};

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
    return !err;
}

static void
judge_leave(void *aux)
{
    struct judge *j = aux;

    rounds_free(j->rounds);
    j->rounds = NULL;
    j->store.conn = NULL;
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
    int err = job_start(&j->job, &kind, &config->postgresql, j);
    if (err) {
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
        judgestore_fini(&j->store);
        free(j);
    }
}

struct counter_group
judge_counters(struct judge *j)
{
    return (struct counter_group){"judge", count_names, j->counters, JUDGE_COUNTS};
}
