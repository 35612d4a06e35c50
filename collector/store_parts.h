/* store_parts.h - what the files of store.h share, and nobody else.  Each calls only those before
 * it: store.c (the connection, claims), store_day.c (partitions), store_roll.c (quarter hours and
 * days), store_session.c (what is new of a source), store_commit.c (the commit of them all).
 *
 * After column.h and rollwrite.h. */
#ifndef PLUMBLINE_STORE_PARTS_H
#define PLUMBLINE_STORE_PARTS_H

#include <inttypes.h>
#include <stdio.h>

#include "pg.h"
#include "rollwrite.h"
#include "store.h"

#define STORE_NUMBER_SIZE 24
#define STORE_DAYS_KNOWN 64

struct store {
    PGconn *conn;
    struct rollwrite *rollwrite;
    int64_t run;
    char name[128];
    char why[512];
    int64_t days[STORE_DAYS_KNOWN]; /* Whose partitions are there. */
    unsigned day_count, day_next;
};

/* Rows that it changed; < 0: why is in 's'. */
static inline int64_t
store_do(struct store *s, const char *sql, int count, const char *const *values)
{
    return pg_run(s->conn, sql, count, values, s->why, sizeof s->why);
}

/* A result with rows, or NULL. */
static inline PGresult *
store_ask(struct store *s, const char *sql, int count, const char *const *values)
{
    return pg_rows(s->conn, sql, count, values, false, s->why, sizeof s->why);
}

static inline const char *
store_number(char buf[STORE_NUMBER_SIZE], int64_t v)
{
    snprintf(buf, STORE_NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* Ends a transaction that failed: -EBADMSG: what PostgreSQL refused concerns this source alone, for
 * the connection is good; else -EIO. */
int store_give_up(struct store *s);

/* --- Partitions, of days since 1970 ----------------------------------------- */

bool store_day_known(const struct store *s, int64_t day);
/* Once its partitions are committed. */
void store_day_learn(struct store *s, int64_t day);
/* 0 or -EIO. */
int store_day_make(struct store *s, int64_t day);

/* --- Of a commit, within its transaction: 0 or a negative errno -------------- */

/* The quarter hours and days that it completes, and what an earlier release left to do.  The source
 * is merged up to 'rolled_s'. */
int store_write_rollups(struct store *s, struct store_write *w, int64_t rolled_s);

/* Series, parameters and dictionary entries of the sessions that are due. */
int store_write_sessions(struct store *s, const struct store_write *w);
int store_write_servings(struct store *s, const struct store_write *w);

#endif
