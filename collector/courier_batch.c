/* courier_batch.c - a batch: what became of all that is over is written down, and what may go next
 * is counted as tried, in one transaction; then that is sent.
 *
 * While PostgreSQL is waited for others end, so that batches are the greater the more there is to
 * do. */
#include "courier_parts.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "log.h"

/* A file that cannot be read is looked for each minute. */
#define UNREADABLE_NS (60 * NS_PER_S)
/* A path, and why it cannot be read. */
#define WHY_SIZE (PATH_MAX + 128)

static struct courier_trip *
free_trip(struct courier *c)
{
    struct courier_trip *t = c->trips;

    while (t < c->trips + COURIERPLAN_AT_ONCE && t->state != TRIP_FREE) {
        t++;
    }
    return t < c->trips + COURIERPLAN_AT_ONCE ? t : NULL;
}

void
courier_batch_away(struct courier *c)
{
    c->store.away = c->away;
    c->store.away_count = 0;
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state != TRIP_FREE && c->trips[i].id) {
            c->away[c->store.away_count++] = c->trips[i].id;
        }
    }
}

/* --- Taking --------------------------------------------------------------- */

/* Problems of which a ticket is being told again: what is newer must not overtake that. */
static size_t
told_again(const struct courier *c, size_t hook, int64_t problems[COURIERPLAN_AT_ONCE])
{
    size_t count = 0;

    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        const struct courier_trip *t = &c->trips[i];
        if (t->state != TRIP_FREE && !t->id && t->hook == hook) {
            problems[count++] = t->problem;
        }
    }
    return count;
}

static int
fill(struct courier *c)
{
    struct span mono = mono_now();
    int64_t problems[COURIERPLAN_AT_ONCE];
    int err = 0;

    for (size_t i = 0; !err && i < c->plan.hook_count; i++) {
        struct courierplan_hook *plan = &c->plans[i];
        if (c->hooks[i].due && !plan->head_count && courierplan_room(&c->plan, plan, mono)) {
            err = courierstore_heads(&c->store, courier_inv_hook(c, i)->key, problems,
                                     told_again(c, i, problems), plan->heads, COURIERPLAN_HEADS,
                                     &plan->head_count);
            c->hooks[i].due = plan->head_count == COURIERPLAN_HEADS;
        }
    }
    return err;
}

/* The row waits, and its hook with it; it was no try. */
static int
unreadable(struct courier *c, size_t hook, int64_t id, const char *why)
{
    const char *key = courier_inv_hook(c, hook)->key;
    struct courierplan_hook *plan = &c->plans[hook];
    struct span mono = mono_now();

    counter_add(&c->counters[COURIER_UNREADABLE], 1);
    if (plan->state == COURIERPLAN_GOOD) {
        log_warnx("hook %s cannot be used, what is for it waits: %s", key, why);
    }
    struct courierstore_hook h = {.hook = key, .state = COURIERPLAN_FAILING, .error = why};
    h.wait = courierplan_failed(plan, mono, mono, span_of_ns(0), span_of_ns(UNREADABLE_NS),
                                courier_random(c));
    h.failures = plan->failures;
    int err = courierstore_hook(&c->store, &h);
    return err || !id ? err : courierstore_wait(&c->store, id, span_of_ns(0), why);
}

static int
read_secret(struct courier *c, size_t hook, struct couriersecret *secret, char *why, size_t size)
{
    const struct inv_hook *h = courier_inv_hook(c, hook);
    int err = couriersecret_read(secret, c->config->hook_folder, h, why, size);

    if (!err && secret->readable && !c->hooks[hook].warned) {
        c->hooks[hook].warned = true;
        log_warnx("hook %s: everybody may read %s/%s: chmod o-r", h->key, c->config->hook_folder,
                  secret->readable);
    }
    return err;
}

struct pick {
    struct courier *c;
    size_t hook;
    int64_t id;
    struct couriersecret secret;
    bool taken;
};

struct picks {
    struct pick picks[COURIERPLAN_AT_ONCE];
    size_t count;
};

static void
on_taken(const struct courierstore_row *row, void *aux)
{
    struct picks *p = aux;

    for (size_t i = 0; i < p->count; i++) {
        struct pick *pick = &p->picks[i];
        if (pick->id == row->id) {
            struct courier_trip *t = free_trip(pick->c);
            assert(t);
            pick->taken = true;
            courier_trip_load(t, pick->hook, row, &pick->secret);
        }
    }
}

/* What the plan gives, counted as tried. */
static int
take_rows(struct courier *c)
{
    struct picks p = {.count = 0};
    int64_t ids[COURIERPLAN_AT_ONCE], id;
    char why[WHY_SIZE];
    int err = 0, hook;

    while (!err && (hook = courierplan_next(&c->plan, mono_now(), &id)) >= 0) {
        struct pick *pick = &p.picks[p.count];
        *pick = (struct pick){.c = c, .hook = (size_t)hook, .id = id};
        if (read_secret(c, pick->hook, &pick->secret, why, sizeof why)) {
            courierplan_over(&c->plan, pick->hook);
            err = unreadable(c, pick->hook, id, why);
        } else {
            ids[p.count++] = id;
        }
    }
    if (!err && p.count) {
        err = courierstore_take(&c->store, ids, p.count, on_taken, &p);
    }
    for (size_t i = 0; i < p.count; i++) {
        if (!p.picks[i].taken) { /* It waits no more, or its turn comes again. */
            couriersecret_wipe(&p.picks[i].secret);
            courierplan_over(&c->plan, p.picks[i].hook);
        }
    }
    return err;
}

static void
on_again(const struct courierstore_row *row, void *aux)
{
    struct pick *pick = aux;
    struct courier *c = pick->c;
    struct courier_trip *t = free_trip(c);
    char why[WHY_SIZE];

    assert(t);
    pick->taken = true;
    /* If it cannot be read its turn comes again. */
    if (read_secret(c, pick->hook, &pick->secret, why, sizeof why) == 0) {
        courierplan_take(&c->plan, pick->hook);
        courier_trip_load(t, pick->hook, row, &pick->secret);
    }
}

/* Tickets that are to be told again, of hooks that have nothing else to do. */
static int
take_again(struct courier *c)
{
    struct span mono = mono_now();
    int err = 0;

    for (size_t n = 0; !err && n < c->plan.hook_count; n++) {
        size_t i = (c->plan.turn + n) % c->plan.hook_count;
        struct courierplan_hook *plan = &c->plans[i];
        struct span every = hookform_again(courier_inv_hook(c, i));
        struct pick pick = {.c = c, .hook = i};
        unsigned room = courierplan_room(&c->plan, plan, mono);
        if (!c->hooks[i].used || !c->hooks[i].again_due || !every.ns || !room) {
            continue;
        }
        err = courierstore_again(&c->store, courier_inv_hook(c, i)->key, every, room, on_again,
                                 &pick);
        c->hooks[i].again_due = pick.taken;
    }
    return err;
}

/* --- Writing down --------------------------------------------------------- */

bool
courier_batch_is_over(const struct courier *c)
{
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_OVER) {
            return true;
        }
    }
    return false;
}

/* In the transaction that is open. */
static int
write_down(struct courier *c)
{
    int err = 0;

    c->done_count = 0;
    for (size_t i = 0; !err && i < COURIERPLAN_AT_ONCE; i++) {
        struct courier_trip *t = &c->trips[i];
        if (t->state == TRIP_OVER) {
            c->hooks[t->hook].due = true; /* What waited behind it. */
            err = courier_trip_record(c, t);
        }
    }
    err = err ? err : courierstore_done(&c->store, c->done, c->done_count);
    for (size_t i = 0; !err && i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_OVER) {
            courier_trip_cancel(c, &c->trips[i]);
        }
    }
    return err;
}

int
courier_batch_record(struct courier *c)
{
    if (!courier_batch_is_over(c)) {
        return 0;
    }
    int err = courierstore_begin(&c->store);
    err = err ? err : write_down(c);
    return err ? err : courierstore_commit(&c->store);
}

/* --- Both ----------------------------------------------------------------- */

/* What was dead may be the first of what is superseded by that: before anything goes it is seen
 * what is left to be said. */
static int
take(struct courier *c)
{
    if (courier_look_is_due(c)) {
        return 0;
    }
    courier_batch_away(c);
    int err = fill(c);
    return err ? err : take_rows(c);
}

static void
send_taken(struct courier *c)
{
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_TAKEN) {
            courier_trip_go(c, &c->trips[i]);
        }
    }
}

int
courier_batch(struct courier *c)
{
    bool over = courier_batch_is_over(c);
    int err = over ? courierstore_begin(&c->store) : 0;

    err = err || !over ? err : write_down(c);
    err = err ? err : take(c);
    err = err || !over ? err : courierstore_commit(&c->store);
    err = err ? err : take_again(c);
    /* All of it is committed. */
    if (!err) {
        send_taken(c);
    }
    return err;
}
