/* courierstore.h - what the courier reads of PostgreSQL, and what it writes: the outbox, tickets,
 * the state of hooks.
 *
 * After pg.h, bytes.h; before courier.c.  Calls block; they return 0, -EIO with the reason in 'why'
 * (give the connection up), or -ENOMEM.  No transaction is open between two calls but from
 * courierstore_begin() to courierstore_commit(). */
#ifndef PLUMBLINE_COURIERSTORE_H
#define PLUMBLINE_COURIERSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "bytes.h"
#include "nstime.h"

struct courierstore {
    PGconn *conn;
    char why[256];
    /* Row numbers that are with their targets now, which nobody else touches; the caller's. */
    const int64_t *away;
    size_t away_count;
    struct bytes text; /* Used again for each call. */
    struct bytes more;
};

void courierstore_fini(struct courierstore *s);

/* From now on PQnotifies() has "plumbline_outbox" when something was put there. */
int courierstore_listen(struct courierstore *s);

/* --- What there is -------------------------------------------------------- */

/* What is known of each hook.  'state' is of enum courierplan_state; 'wait': until the next try. */
typedef void courierstore_state_fn(const char *hook, int state, unsigned failures, struct span wait,
                                   void *aux);
int courierstore_states(struct courierstore *s, courierstore_state_fn *fn, void *aux);

/* What waits for a hook, in short; costs the same however much it is. */
struct courierstore_due {
    const char *hook;
    bool due;   /* Some row is. */
    bool test;  /* Some is a test that was not tried. */
    bool fresh; /* The newest says something new since the hook failed last. */
};
typedef void courierstore_due_fn(const struct courierstore_due *due, void *aux);
int courierstore_due(struct courierstore *s, const char *const *hooks, size_t hook_count,
                     courierstore_due_fn *fn, void *aux);

/* What waits and what is dead, of each hook that has either; all of it is counted. */
struct courierstore_load {
    const char *hook;
    uint64_t waiting, dead; /* Heartbeats and tests are not counted as dead. */
    struct span oldest;     /* That waits. */
};
typedef void courierstore_load_fn(const struct courierstore_load *load, void *aux);
int courierstore_loads(struct courierstore *s, courierstore_load_fn *fn, void *aux);

/* The hook's rows that are due and have nothing of their problem before them, oldest first, without
 * those that are away, and of none of these problems. */
int courierstore_heads(struct courierstore *s, const char *hook, const int64_t *problems,
                       size_t problem_count, int64_t *ids, size_t max, size_t *count);

/* --- Taking --------------------------------------------------------------- */

struct courierstore_row {
    int64_t id;      /* Of the outbox; 0: a ticket that is told again. */
    int64_t problem; /* 0: none. */
    const char *action, *event;
    unsigned tries; /* With this one. */
    bool failed;    /* Once before, at least. */
    struct span age;
    int number; /* Of the ticket that there is; 0: none. */
    bool closed;
    const char *ref, *shown;
};
/* Texts are valid during the call. */
typedef void courierstore_row_fn(const struct courierstore_row *row, void *aux);

/* Counts a try of each row that still waits, and that nobody else is writing; if no transaction is
 * open that is committed when 'fn' sees it. */
int courierstore_take(struct courierstore *s, const int64_t *ids, size_t count,
                      courierstore_row_fn *fn, void *aux);

/* Takes up to 'max' tickets of the hook that are to be told again, and of which no row waits: each
 * is due again after 'every'. */
int courierstore_again(struct courierstore *s, const char *hook, struct span every, size_t max,
                       courierstore_row_fn *fn, void *aux);

/* --- What became of it ---------------------------------------------------- */

/* A transaction that has the lock of the outbox (sql/0022-outbox.sql).  What writes more than one
 * row that others write too stands in one: the operator may be setting back what is dead. */
int courierstore_begin(struct courierstore *s);
int courierstore_commit(struct courierstore *s);

int courierstore_wait(struct courierstore *s, int64_t id, struct span wait, const char *error);
int courierstore_dead(struct courierstore *s, int64_t id, const char *error);

struct courierstore_ticket {
    int number, before; /* The one before is closed, if it is another; 0: there was none. */
    const char *ref, *shown, *url;
    bool closed;
    struct span again; /* 0: it need not be told again. */
};

/* A row that was delivered. */
struct courierstore_done {
    int64_t id;
    const char *hook;
    int64_t problem;
    bool opened;                       /* A resolve that was given up with it waits again. */
    struct courierstore_ticket ticket; /* Of the problem; number 0: there is none. */
};
/* Each of another problem or another hook; at most COURIERPLAN_AT_ONCE. */
int courierstore_done(struct courierstore *s, const struct courierstore_done *done, size_t count);
/* To be told again as soon as its hook may be. */
int courierstore_untold(struct courierstore *s, const char *hook, int64_t problem, int number);

struct courierstore_hook {
    const char *hook;
    int state; /* Of enum courierplan_state; one that is disabled stays so. */
    unsigned failures;
    struct span wait;  /* While it fails. */
    const char *error; /* NULL: the last stays. */
    bool good;         /* It took something. */
};
int courierstore_hook(struct courierstore *s, const struct courierstore_hook *h);

/* --- Order in the house --------------------------------------------------- */

/* News: of these hooks and problems rows came to wait, or were given up.  Who begins makes news of
 * all that waits. */
int courierstore_all_is_news(struct courierstore *s);
int courierstore_has_news(struct courierstore *s, bool *any);

/* Of the oldest 4,000 news, which it takes away, supersedes what need not be said any more: changes
 * and reminders behind which newer ones wait, what is older than what was delivered, resolves of
 * what was never opened.  How many in '*count'. */
int courierstore_supersede(struct courierstore *s, uint64_t *count);

/* Supersedes rows of hooks that are not among 'hooks'. */
int courierstore_unknown(struct courierstore *s, const char *const *hooks, size_t hook_count,
                         uint64_t *count);

/* Puts a heartbeat into the outbox in the place of the one before, unless that is away. */
int courierstore_heartbeat(struct courierstore *s, const char *hook, const char *collector);

/* Deletes rows that ended long ago. */
int courierstore_expire(struct courierstore *s);

#endif
