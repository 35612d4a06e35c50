/* keeper.c - orders the partitions that are over, drops those that are too old, and problems,
 * alarms and paths that are. */
#include "keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "log.h"
#include "pg.h"

#define EVERY_S 600
#define LOCK 3

/* A busy partition is tried so often a round, so far apart: between two tries what
 * queued behind us goes on. */
#define TRIES 5
#define TRY_EVERY_S 3

/* How often we look for whoever waits; seen twice, the chore is given up. */
#define LOOK_EVERY_MS 250

/* Rows that go by themselves go in pieces, each a transaction. */
#define PIECE 500

static const char *const count_names[KEEPER_COUNTS] = {
    "ordered", "dropped",          "needed",         "busy",          "given_up",
    "refused", "problems_dropped", "alarms_dropped", "traces_dropped"};

struct keeper {
    const struct collector_config *config;
    struct job *job;
    struct counter counters[KEEPER_COUNTS];
    /* The job's, in a round. */
    PGconn *conn, *look; /* What works, and what looks for whoever waits. */
    char why[256];
};

enum outcome { DONE, NOTHING, BUSY, GIVEN_UP, REFUSED };

static void
count(struct keeper *k, enum keeper_count what)
{
    counter_add(&k->counters[what], 1);
}

/* --- One chore ------------------------------------------------------------ */

static void
cancel(struct keeper *k)
{
    char ignored[256];
    PGcancel *c = PQgetCancel(k->conn);

    if (c) {
        PQcancel(c, ignored, sizeof ignored);
        PQfreeCancel(c);
    }
}

/* Whether somebody waits for a lock that our other connection has. */
static bool
somebody_waits(struct keeper *k)
{
    char pid[16];
    const char *values[] = {pid};

    snprintf(pid, sizeof pid, "%d", PQbackendPID(k->conn));
    PGresult *r = pg_call(k->look,
                          "SELECT EXISTS (SELECT FROM (SELECT DISTINCT pid FROM pg_locks "
                          "WHERE NOT granted) w WHERE $1::integer = ANY(pg_blocking_pids(w.pid)))",
                          1, values);
    /* Who cannot look must not stand in the way. */
    bool waits = PQresultStatus(r) != PGRES_TUPLES_OK || PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return waits;
}

/* Waits for the answer to what was sent, giving it up for whoever waits, and when we
 * are to stop.  Returns whether it was given up. */
static bool
watch(struct keeper *k)
{
    struct pollfd fd = {.fd = PQsocket(k->conn), .events = POLLIN};
    bool given_up = false;
    int seen = 0;

    while (PQconsumeInput(k->conn) && PQisBusy(k->conn)) {
        if (poll(&fd, 1, LOOK_EVERY_MS) != 0) {
            continue;
        }
        seen = somebody_waits(k) ? seen + 1 : 0;
        if (seen >= 2 || job_is_stopping(k->job)) {
            given_up = true;
            cancel(k);
        }
    }
    return given_up;
}

/* Calls one of the store's functions with a partition.  '*answer' (may be NULL) is its
 * text. */
static enum outcome
call(struct keeper *k, const char *sql, const char *parent, const char *day, char *answer,
     size_t answer_size)
{
    const char *values[] = {parent, day};
    enum outcome outcome = REFUSED;

    if (!PQsendQueryParams(k->conn, sql, 2, NULL, values, NULL, NULL, 0)) {
        snprintf(k->why, sizeof k->why, "%s", PQerrorMessage(k->conn));
        return REFUSED;
    }
    bool given_up = watch(k);
    PGresult *r = PQgetResult(k->conn);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        outcome = strcmp(PQgetvalue(r, 0, 0), "f") == 0 ? NOTHING : DONE;
        snprintf(answer, answer_size, "%s", PQgetvalue(r, 0, 0));
    } else {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        pg_error(k->conn, r, k->why, sizeof k->why);
        if (given_up) {
            outcome = GIVEN_UP;
        } else if (state && (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0)) {
            outcome = BUSY; /* lock_timeout, or a deadlock that we were the victim of. */
        }
    }
    while (r) {
        PQclear(r);
        r = PQgetResult(k->conn);
    }
    return outcome;
}

/* The same, again while it is busy. */
static enum outcome
try_call(struct keeper *k, const char *sql, const char *parent, const char *day, char *answer,
         size_t answer_size)
{
    enum outcome outcome = BUSY;

    for (int i = 0; i < TRIES && outcome == BUSY; i++) {
        if (i && !job_sleep(k->job, TRY_EVERY_S)) {
            return GIVEN_UP;
        }
        outcome = call(k, sql, parent, day, answer, answer_size);
        if (outcome == BUSY) {
            count(k, KEEPER_BUSY);
        }
    }
    if (outcome == GIVEN_UP && !job_is_stopping(k->job)) {
        count(k, KEEPER_GIVEN_UP);
    }
    if (outcome == REFUSED) {
        count(k, KEEPER_REFUSED);
    }
    return outcome;
}

/* --- A round -------------------------------------------------------------- */

static void
tell(struct keeper *k, const char *what, const char *parent, const char *day, enum outcome outcome)
{
    if (outcome == BUSY || (outcome == GIVEN_UP && !job_is_stopping(k->job))) {
        log_info("%s of %s is not %s: it is in use; tried again in %d min", parent, day, what,
                 EVERY_S / 60);
    } else if (outcome == REFUSED && !job_is_stopping(k->job)) {
        log_warnx("%s of %s is not %s, tried again in %d min: %s", parent, day, what, EVERY_S / 60,
                  k->why);
    }
}

static void
order(struct keeper *k, const char *parent, const char *day)
{
    char answer[8];
    enum outcome done = try_call(k, "SELECT plumbline_store.order_partition($1, $2::date)", parent,
                                 day, answer, sizeof answer);

    if (done == DONE) {
        count(k, KEEPER_ORDERED);
        log_info("%s of %s was put in (series, time) order", parent, day);
        (void)call(k, "SELECT plumbline_store.analyze_partition($1, $2::date)", parent, day, answer,
                   sizeof answer);
    }
    tell(k, "put in order", parent, day, done);
}

static void
drop(struct keeper *k, const char *parent, const char *day)
{
    char needed[256] = "";
    enum outcome done = try_call(k, "SELECT plumbline_store.drop_partition($1, $2::date)", parent,
                                 day, needed, sizeof needed);

    if (done == DONE && !needed[0]) {
        count(k, KEEPER_DROPPED);
        log_info("%s of %s was dropped: its retention is over", parent, day);
    } else if (done == DONE) {
        count(k, KEEPER_NEEDED);
        log_info("%s of %s is kept beyond its retention: %s", parent, day, needed);
    }
    tell(k, "dropped", parent, day, done);
}

/* What is there, oldest first, and whether it is to be ordered or dropped. */
static PGresult *
list(struct keeper *k)
{
    const struct span kept[] = {k->config->retention.interval, k->config->retention.quarter,
                                k->config->retention.day};
    char seconds[3][24];
    const char *values[3];

    for (int i = 0; i < 3; i++) {
        snprintf(seconds[i], sizeof seconds[i], "%" PRId64, kept[i].ns / NS_PER_S);
        values[i] = seconds[i];
    }
    return pg_call(k->look,
                   "SELECT parent, day, to_order, keep > 0 AND until < now() AT TIME ZONE 'UTC' - "
                   "make_interval(secs => keep) "
                   "FROM (SELECT p.*, (CASE d.kept WHEN 'day' THEN $3 WHEN 'quarter' THEN $2 "
                   "ELSE $1 END)::bigint AS keep FROM plumbline_store.partitions() p "
                   "JOIN plumbline_store.partitioned d USING (parent)) p ORDER BY day, parent",
                   3, values);
}

/* Events are kept as long as the quarter hours that they explain. */
static void
drop_events(struct keeper *k)
{
    char seconds[24];
    const char *values[] = {seconds};

    if (k->config->retention.quarter.ns == 0) {
        return;
    }
    snprintf(seconds, sizeof seconds, "%" PRId64, k->config->retention.quarter.ns / NS_PER_S);
    if (pg_run(k->look,
               "SELECT plumbline_store.drop_events(now() - make_interval(secs => $1::bigint))", 1,
               values, k->why, sizeof k->why) < 0) {
        log_warnx("old events are not dropped, tried again in %d min: %s", EVERY_S / 60, k->why);
    }
}

/* One piece of what is older than 'kept': how many; negative: it was refused, and told. */
static int64_t
drop_piece(struct keeper *k, const char *what, struct span kept)
{
    char sql[128], seconds[24];
    const char *values[] = {seconds};

    snprintf(seconds, sizeof seconds, "%" PRId64, kept.ns / NS_PER_S);
    snprintf(sql, sizeof sql,
             "SELECT plumbline_store.drop_%s(now() - make_interval(secs => $1::bigint), %d)", what,
             PIECE);
    PGresult *r = pg_rows(k->look, sql, 1, values, false, k->why, sizeof k->why);
    if (!r) {
        count(k, KEEPER_REFUSED);
        log_warnx("old %s are not dropped, tried again in %d min: %s", what, EVERY_S / 60, k->why);
        return -1;
    }
    int64_t dropped = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return dropped;
}

/* "problems", "alarms" or "traces" that are older than 'kept', 0: none. */
static void
drop_old(struct keeper *k, const char *what, enum keeper_count counter, struct span kept)
{
    int64_t all = 0, dropped = kept.ns ? PIECE : 0;

    while (dropped >= PIECE && !job_is_stopping(k->job)) {
        dropped = drop_piece(k, what, kept);
        all += dropped > 0 ? dropped : 0;
    }
    if (all) {
        counter_add(&k->counters[counter], (uint64_t)all);
        log_info("%" PRId64 " %s were dropped: their retention is over", all, what);
    }
}

static void
drop_rows(struct keeper *k)
{
    drop_events(k);
    drop_old(k, "problems", KEEPER_PROBLEMS_DROPPED, k->config->retention.problem);
    drop_old(k, "alarms", KEEPER_ALARMS_DROPPED, k->config->retention.problem);
    drop_old(k, "traces", KEEPER_TRACES_DROPPED, k->config->retention.trace);
}

static void
chores(struct keeper *k)
{
    PGresult *r = list(k);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(k->look, r, k->why, sizeof k->why);
        log_warnx("the partitions cannot be listed, tried again in %d min: %s", EVERY_S / 60,
                  k->why);
    }
    for (int i = 0; i < PQntuples(r) && !job_is_stopping(k->job); i++) {
        const char *parent = PQgetvalue(r, i, 0), *day = PQgetvalue(r, i, 1);
        if (PQgetvalue(r, i, 3)[0] == 't') {
            drop(k, parent, day);
        } else if (PQgetvalue(r, i, 2)[0] == 't') {
            order(k, parent, day);
        }
    }
    if (!job_is_stopping(k->job)) {
        drop_rows(k);
    }
    PQclear(r);
}

static bool
keeper_round(struct job *job, PGconn *conn, void *aux)
{
    struct keeper *k = aux;

    k->conn = conn;
    k->look = job_connect(job);
    if (!k->look) {
        return false;
    }
    chores(k);
    PQfinish(k->look);
    k->conn = k->look = NULL;
    return true;
}

/* --- Life ----------------------------------------------------------------- */

int
keeper_start(struct keeper **out, const struct collector_config *config)
{
    static const struct job_kind kind = {.name = "keeper",
                                         .lock = LOCK,
                                         .every_s = EVERY_S,
                                         .again_s = EVERY_S,
                                         .round = keeper_round};
    struct keeper *k = calloc(1, sizeof *k);

    if (!k) {
        return -ENOMEM;
    }
    k->config = config;
    int err = job_start(&k->job, &kind, &config->postgresql, k);
    if (err) {
        free(k);
        return err;
    }
    *out = k;
    return 0;
}

void
keeper_stop(struct keeper *k)
{
    if (k) {
        job_stop(k->job);
        free(k);
    }
}

struct counter_group
keeper_counters(struct keeper *k)
{
    return (struct counter_group){"keeper", count_names, k->counters, KEEPER_COUNTS};
}
