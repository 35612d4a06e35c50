/* purse.c - looks once a minute, as long as it has the lock. */
#include "purse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "burn.h"
#include "job.h"
#include "log.h"

#define LOCK 9
#define EVERY_S 60
#define AGAIN_S 10

static const char *const count_names[PURSE_COUNTS] = {"rounds", "failed"};

struct purse {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[PURSE_COUNTS];
    bool told; /* The job's. */
};

static bool
purse_round(struct job *job, PGconn *conn, void *aux)
{
    struct purse *p = aux;
    char why[256] = "";
    int err = burn_round(conn, p->inventory, p->config->hold, instant_now(), why, sizeof why);

    (void)job;
    if (err && !p->told) {
        log_warnx("%s: how fast budgets are spent is not known, tried again every %d s: %s",
                  p->config->collector, AGAIN_S, err == -EIO ? why : strerror(-err));
    }
    p->told = err;
    counter_add(&p->counters[err ? PURSE_FAILED : PURSE_ROUNDS], 1);
    return !err;
}

int
purse_start(struct purse **out, const struct collector_config *config,
            const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "purse",
                                         .lock = LOCK,
                                         .every_s = EVERY_S,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = purse_round};
    struct purse *p = calloc(1, sizeof *p);

    if (!p) {
        return -ENOMEM;
    }
    p->config = config;
    p->inventory = inventory;
    int err = job_start(&p->job, &kind, &config->postgresql, p);
    if (err) {
        free(p);
        return err;
    }
    *out = p;
    return 0;
}

void
purse_stop(struct purse *p)
{
    if (p) {
        job_stop(p->job);
        free(p);
    }
}

struct counter_group
purse_counters(struct purse *p)
{
    return (struct counter_group){"purse", count_names, p->counters, PURSE_COUNTS};
}
