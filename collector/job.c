/* job.c - connects, asks for the lock, does rounds, sleeps. */
#include "job.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "pg.h"

struct job {
    const struct job_kind *kind;
    const struct config_postgresql *config;
    void *aux;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    PGconn *conn; /* The thread's, and it has the job's lock; or NULL. */
};

PGconn *
job_connect(const struct job *job)
{
    char application[48], why[256];
    const struct pg_options options = {
        .application = application, .role = "plumbline_writer", .connect_timeout_s = 5};

    snprintf(application, sizeof application, "plumbline-collector %s", job->kind->name);
    return pg_connect(job->config, &options, why, sizeof why);
}

bool
job_is_stopping(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    bool stopping = job->stopping;
    pthread_mutex_unlock(&job->lock);
    return stopping;
}

bool
job_sleep(struct job *job, int seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&job->lock);
    while (!job->stopping && pthread_cond_timedwait(&job->wake, &job->lock, &until) != ETIMEDOUT) {
    }
    bool stopping = job->stopping;
    pthread_mutex_unlock(&job->lock);
    return !stopping;
}

static void
leave(struct job *job)
{
    if (job->conn && job->kind->leave) {
        job->kind->leave(job->aux);
    }
    PQfinish(job->conn);
    job->conn = NULL;
}

/* Whether we have the job's lock. */
static bool
hold(struct job *job)
{
    char sql[80];

    if (job->conn && PQstatus(job->conn) == CONNECTION_OK) {
        return true;
    }
    leave(job);
    PGconn *conn = job_connect(job);
    if (!conn) {
        return false;
    }
    snprintf(sql, sizeof sql, "SELECT pg_try_advisory_lock(1886157934, %d)", job->kind->lock);
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQgetvalue(r, 0, 0)[0] == 't') {
        job->conn = conn;
    } else {
        PQfinish(conn);
    }
    PQclear(r);
    return job->conn;
}

static void *
work(void *aux)
{
    struct job *job = aux;
    bool good;

    prctl(PR_SET_NAME, job->kind->name); /* What top -H calls it. */
    do {
        good = hold(job) && job->kind->round(job, job->conn, job->aux);
        if (!good || !job->kind->held) {
            leave(job);
        }
    } while (job_sleep(job, good ? job->kind->every_s : job->kind->again_s));
    leave(job);
    return NULL;
}

int
job_start(struct job **out, const struct job_kind *kind, const struct config_postgresql *config,
          void *aux)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job) {
        return -ENOMEM;
    }
    job->kind = kind;
    job->config = config;
    job->aux = aux;
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->wake, NULL);
    *out = job;
    int err = pthread_create(&job->thread, NULL, work, job);
    if (err) {
        *out = NULL;
        pthread_cond_destroy(&job->wake);
        pthread_mutex_destroy(&job->lock);
        free(job);
        return -err;
    }
    return 0;
}

void
job_stop(struct job *job)
{
    if (!job) {
        return;
    }
    pthread_mutex_lock(&job->lock);
    job->stopping = true;
    pthread_cond_signal(&job->wake);
    pthread_mutex_unlock(&job->lock);
    int err = pthread_join(job->thread, NULL);
    assert(err == 0);
    (void)err;
    pthread_cond_destroy(&job->wake);
    pthread_mutex_destroy(&job->lock);
    free(job);
}
