/* courier_parts.h - between courier.c (the round), courier_look.c (a look at what waits),
 * courier_batch.c (what is written down and taken at once) and courier_trip.c (one delivery). */
#ifndef PLUMBLINE_COURIER_PARTS_H
#define PLUMBLINE_COURIER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "courier.h"
#include "couriercurl.h"
#include "courierexec.h"
#include "courierplan.h"
#include "couriersecret.h"
#include "courierstore.h"
#include "hookform.h"
#include "job.h"

enum trip_state {
    TRIP_FREE,
    TRIP_TAKEN, /* Its row is being counted as tried: nothing was sent. */
    TRIP_CURL,  /* A request is under way, */
    TRIP_EXEC,  /* or a command runs. */
    TRIP_OVER,  /* 'verdict' is to be written down. */
};

/* One delivery: a row of the outbox, or a ticket that is told again, on its way to a target. */
struct courier_trip {
    enum trip_state state;
    size_t hook; /* Its place in the inventory. */
    int64_t id;  /* 0: a ticket that is told again. */
    int64_t problem;
    char action[16];
    unsigned tries;
    bool failed_before;
    struct span age, began;
    int number; /* Of the ticket that there is; 0: none. */
    char *ref, *shown;
    bool closed;
    unsigned requests; /* So many were sent. */
    cJSON *event;
    struct couriersecret secret;
    struct hookform *form;
    struct couriercurl curl;
    struct courierexec exec;
    enum hookform_verdict verdict;
    bool by_itself; /* It failed by an answer about this one message, maybe. */
    char why[400];
};

/* What is known of a hook beside its plan; by its place in the inventory. */
struct courier_hook {
    bool used;                /* It is active. */
    bool due;                 /* Rows of it wait, and some may go. */
    bool again_due;           /* There may be more tickets to be told again. */
    bool warned;              /* Of a secret that everybody may read. */
    struct span heartbeat_at; /* Monotonic: when the next is due. */
    struct span good_at;      /* When it was written down last that it works. */
};

struct courier {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[COURIER_COUNTS];
    atomic_bool stopping;
    CURLM *multi;
    pthread_mutex_t lock;
    struct courier_status status;       /* Under 'lock', */
    struct courier_hook_status *public; /* and what others may see of each hook. */
    /* The job's. */
    bool active, told;
    struct courierstore store;
    struct courierplan plan;
    struct courierplan_hook *plans;
    struct courier_hook *hooks;
    const char **keys; /* Of the hooks that are used. */
    size_t key_count;
    struct courier_trip trips[COURIERPLAN_AT_ONCE];
    int64_t away[COURIERPLAN_AT_ONCE];
    struct courierstore_done done[COURIERPLAN_AT_ONCE]; /* That are written down at once. */
    size_t done_count;
    struct span look_at, tidy_at, count_at, expire_at; /* When that is due, monotonic. */
    uint64_t random;
};

uint64_t courier_random(struct courier *c);

const struct inv_hook *courier_inv_hook(const struct courier *c, size_t hook);

/* --- courier_look.c ------------------------------------------------------- */

/* Looks at what waits, if that is due or PostgreSQL said that there is something.  0 or as
 * courierstore.h; so below. */
int courier_look(struct courier *c);
/* Whether it is time to. */
bool courier_look_is_due(const struct courier *c);

/* --- courier_batch.c ------------------------------------------------------ */

/* Writes down what is over, takes what may go next, and sends that. */
int courier_batch(struct courier *c);
/* Writes down only. */
int courier_batch_record(struct courier *c);
/* Whether something is over, and not written down. */
bool courier_batch_is_over(const struct courier *c);
/* Tells the store which rows are with their targets. */
void courier_batch_away(struct courier *c);

/* --- courier_trip.c ------------------------------------------------------- */

/* Loads a delivery into the free 't', whose hook the plan has counted.  'secret' is taken. */
void courier_trip_load(struct courier_trip *t, size_t hook, const struct courierstore_row *row,
                       struct couriersecret *secret);
/* Sends what was loaded: it is under way, or over at once. */
void courier_trip_go(struct courier *c, struct courier_trip *t);

/* A request of it ended. */
void courier_trip_curl_over(struct courier *c, struct courier_trip *t, CURLcode result);
/* Looks after its command. */
void courier_trip_exec_step(struct courier *c, struct courier_trip *t);

/* Writes down what became of one that is over, in the transaction that is open; if it is done, it
 * is put to 'c->done', which borrows of it.  0 or as courierstore.h. */
int courier_trip_record(struct courier *c, struct courier_trip *t);

/* Frees it; what is under way is given up. */
void courier_trip_cancel(struct courier *c, struct courier_trip *t);

#endif
