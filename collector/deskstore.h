/* deskstore.h - PostgreSQL as the desk sees it: alarms and problems are read, problems and the
 * outbox written.
 *
 * After problem.h and pg.h, before desk.c.  Calls block; they return 0, -EIO with the reason in
 * 'why' (roll back and begin anew), or -ENOMEM.  Everything is in sets: so many alarms, so few
 * statements. */
#ifndef PLUMBLINE_DESKSTORE_H
#define PLUMBLINE_DESKSTORE_H

#include <stdint.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "bytes.h"
#include "nstime.h"
#include "problem.h"

struct deskstore {
    PGconn *conn;
    char why[256];
    struct bytes ids; /* Used again for each call. */
};

void deskstore_fini(struct deskstore *s);

int deskstore_begin(struct deskstore *s);
int deskstore_commit(struct deskstore *s);
void deskstore_rollback(struct deskstore *s);
int deskstore_listen(struct deskstore *s);
/* The database's clock: all of the desk's decisions are by it. */
int deskstore_now(struct deskstore *s, struct instant *out);
/* "a1b2c3d4" (64 bytes suffice). */
int deskstore_installation(struct deskstore *s, char *buf, size_t size);

/* --- Alarms --------------------------------------------------------------- */

/* Texts are valid during the call. */
struct deskstore_alarm {
    int64_t id, source_id, problem; /* 0: none. */
    const char *rule, *metric, *severity, *scope, *object, *class_, *observer, *details;
    struct instant began, raised, recorded, cleared, ended;
    unsigned flaps;
};
typedef int deskstore_alarm_fn(const struct deskstore_alarm *a, void *aux);

/* Takes at most so many of the inbox, which they leave with the transaction, and calls 'fn' with
 * each alarm that they tell of, as it is now.  '*taken': how many. */
int deskstore_news(struct deskstore *s, int most, deskstore_alarm_fn *fn, void *aux, size_t *taken);
/* At the start: what is raised or lately was, and is of no problem or of an open one. */
int deskstore_alarms(struct deskstore *s, deskstore_alarm_fn *fn, void *aux);
/* All of these problems. */
int deskstore_alarms_of(struct deskstore *s, const int64_t *problems, size_t count,
                        deskstore_alarm_fn *fn, void *aux);
/* Calls 'fn' with each raised alarm's number whose source is closed. */
typedef int deskstore_id_fn(int64_t id, void *aux);
int deskstore_orphans(struct deskstore *s, deskstore_id_fn *fn, void *aux);
/* Ends them, with a word. */
int deskstore_end_alarms(struct deskstore *s, const int64_t *alarms, size_t count, const char *why);

/* --- Problems ------------------------------------------------------------- */

struct deskstore_problem {
    int64_t id, merged_into;
    const char *state, *severity, *what, *kind, *key, *title, *held, *evidence;
    struct instant began, ended, opened, closed;
    int revision, reopened;
};
typedef int deskstore_problem_fn(const struct deskstore_problem *p, void *aux);
/* Those that are open, or were closed within 'lately'. */
int deskstore_problems(struct deskstore *s, struct span lately, deskstore_problem_fn *fn,
                       void *aux);
int deskstore_problems_of(struct deskstore *s, const int64_t *ids, size_t count,
                          deskstore_problem_fn *fn, void *aux);

struct deskstore_object {
    int64_t problem;
    const char *kind, *key;
    bool bad;
};
typedef int deskstore_object_fn(const struct deskstore_object *o, void *aux);
int deskstore_objects(struct deskstore *s, const int64_t *ids, size_t count,
                      deskstore_object_fn *fn, void *aux);

struct deskstore_step {
    int64_t problem;
    const char *what, *text;
    struct instant at;
};
typedef int deskstore_step_fn(const struct deskstore_step *p, void *aux);
int deskstore_steps(struct deskstore *s, const int64_t *ids, size_t count, deskstore_step_fn *fn,
                    void *aux);

struct deskstore_heard {
    int64_t problem;
    const char *hook, *action, *event;
    struct instant at;
};
typedef int deskstore_heard_fn(const struct deskstore_heard *h, void *aux);
/* The last that each hook was told of each of these problems. */
int deskstore_heard(struct deskstore *s, const int64_t *ids, size_t count, deskstore_heard_fn *fn,
                    void *aux);

struct deskstore_ack {
    int64_t problem;
    const char *by, *note;
    struct instant until;
};
typedef int deskstore_ack_fn(const struct deskstore_ack *a, void *aux);
int deskstore_acks(struct deskstore *s, deskstore_ack_fn *fn, void *aux);

struct deskstore_window {
    int64_t id;
    const char *kind, *key, *tenant; /* NULL: of all. */
    struct instant start, end;
    bool runs, silences;
};
typedef int deskstore_window_fn(const struct deskstore_window *w, void *aux);
/* Maintenance that runs, or ended within the last hour; a line an object. */
int deskstore_windows(struct deskstore *s, deskstore_window_fn *fn, void *aux);

/* --- What else is known (evidence.h) -------------------------------------- */

/* 'keys' are texts, as JSON. */
struct deskstore_event {
    const char *link, *direction; /* "" where it has none. */
    struct instant at;
    int64_t from, to;
};
typedef int deskstore_event_fn(const struct deskstore_event *e, void *aux);
/* Changes of the received TTL on these links behind 'since'. */
int deskstore_events(struct deskstore *s, const cJSON *keys, struct instant since,
                     deskstore_event_fn *fn, void *aux);

struct deskstore_budget {
    const char *service, *class_, *metric;
    int64_t used, budget;
};
typedef int deskstore_budget_fn(const struct deskstore_budget *b, void *aux);
/* What these services may spend in the period that runs. */
int deskstore_budgets(struct deskstore *s, const cJSON *keys, deskstore_budget_fn *fn, void *aux);

struct deskstore_source {
    const char *probe;
    struct instant committed;
    bool closed;
};
typedef int deskstore_source_fn(const struct deskstore_source *p, void *aux);
int deskstore_sources(struct deskstore *s, deskstore_source_fn *fn, void *aux);

/* --- Writing -------------------------------------------------------------- */

/* Gives each of these new problems its number, in this order. */
int deskstore_insert(struct deskstore *s, struct problem *const *problems, size_t count);

/* What a round writes; arrays of rows. */
struct deskstore_batch {
    cJSON *problems, *alarms, *objects, *steps, *outbox, *ends;
};
int deskstore_batch_init(struct deskstore_batch *b);
void deskstore_batch_fini(struct deskstore_batch *b);
/* All of the problem that is to be written, but what is told. */
int deskstore_add(struct deskstore_batch *b, const struct reach *r, const struct problem *p);
/* Takes 'event'. */
int deskstore_add_told(struct deskstore_batch *b, const struct problem *p, const char *hook,
                       const char *action, cJSON *event);
/* Each kind of rows in one statement.  Wakes the courier where the outbox has more. */
int deskstore_write(struct deskstore *s, const struct deskstore_batch *b);

#endif
