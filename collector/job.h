/* job.h - a job that one collector of all does: a thread of its own, round after round, in the
 * one that holds the job's advisory lock.
 *
 * After pg.h; before keeper.h, judge.h.  A job has a connection of its own, so that no worker
 * waits for it, and the lock is that connection's: whoever dies leaves the job to another.  A
 * job remembers nothing from round to round but what is committed, or forgets it in 'leave'. */
#ifndef PLUMBLINE_JOB_H
#define PLUMBLINE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "config.h"

struct job;

struct job_kind {
    const char *name; /* "judge": of the thread; in pg_stat_activity behind the program's. */
    int32_t lock;     /* Of the locks (1886157934, ...), doc/wire-format.md. */
    int every_s;      /* After a round that went well, */
    int again_s;      /* after another, and while somebody else has the lock. */
    bool held;        /* The lock is kept from a round that went well to the next. */

    /* One round, by the job's thread while it has the lock.  'conn' is borrowed.  Whether it went
     * well; if not, the connection is closed and a new one made for the next. */
    bool (*round)(struct job *job, PGconn *conn, void *aux);
    /* The lock is let go, and the connection closed, after this.  NULL: nothing is to forget. */
    void (*leave)(void *aux);
};

/* 'config' and 'aux' outlive it; 'kind' is static.  '*out' is set before the first round begins.
 * 0 or a negative errno. */
int job_start(struct job **out, const struct job_kind *kind, const struct config_postgresql *config,
              void *aux);

/* Waits until its round, which should look at job_is_stopping() where it may last, is over.  NULL
 * is fine. */
void job_stop(struct job *job);

/* For rounds.  Another connection of the job, without the lock, which is the round's to close;
 * NULL: PostgreSQL is not there, of which the workers tell. */
PGconn *job_connect(const struct job *job);
bool job_is_stopping(struct job *job);
/* Until 'seconds' are over or it is to stop; whether it is not. */
bool job_sleep(struct job *job, int seconds);

#endif
