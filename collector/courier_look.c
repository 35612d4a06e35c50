/* courier_look.c - a look at what waits: how the hooks are, what of the outbox need not be said any
 * more, what there is for each. */
#include "courier_parts.h"

#include <string.h>

#define LOOK_NS NS_PER_S        /* Without a word from PostgreSQL. */
#define TIDY_NS (10 * NS_PER_S) /* Hooks that are gone. */
/* What waits is counted anew after so many times as long as it took: 2 % of the time. */
#define COUNT_SHARE 50
#define EXPIRE_NS (3600 * NS_PER_S)

static struct span
later(struct span mono, int64_t ns)
{
    return span_of_ns(mono.ns + ns);
}

static int
hook_place(const struct courier *c, const char *key)
{
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        if (c->hooks[i].used && strcmp(courier_inv_hook(c, i)->key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The operator may have set it back. */
static void
on_state(const char *hook, int state, unsigned failures, struct span wait, void *aux)
{
    struct courier *c = aux;
    int i = hook_place(c, hook);

    if (i >= 0) {
        c->plans[i].state = (enum courierplan_state)state;
        c->plans[i].failures = failures;
        c->plans[i].not_before = later(mono_now(), wait.ns);
    }
}

static int
look_states(struct courier *c)
{
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        c->plans[i].state = COURIERPLAN_GOOD;
        c->plans[i].failures = 0;
    }
    return courierstore_states(&c->store, on_state, c);
}

static void
on_due(const struct courierstore_due *due, void *aux)
{
    struct courier *c = aux;
    int i = hook_place(c, due->hook);

    if (i < 0) {
        return;
    }
    c->hooks[i].due = due->due;
    if (due->fresh && c->plans[i].state == COURIERPLAN_FAILING) {
        courierplan_hurry(&c->plans[i]);
    }
    if (due->test) { /* Whoever asked for it does not wait as long as the hook does. */
        c->plans[i].not_before = span_of_ns(0);
    }
}

static int
look_due(struct courier *c)
{
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        c->hooks[i].due = false;
        c->plans[i].head_count = 0;
        c->hooks[i].again_due = true;
    }
    return courierstore_due(&c->store, c->keys, c->key_count, on_due, c);
}

static void
on_load(const struct courierstore_load *load, void *aux)
{
    struct courier *c = aux;
    int i = hook_place(c, load->hook);

    if (i >= 0) {
        c->public[i].waiting = load->waiting;
        c->public[i].dead = load->dead;
        c->public[i].oldest = load->oldest;
    }
}

/* What others may see. */
static int
show(struct courier *c)
{
    struct span mono = mono_now();
    bool count = mono.ns >= c->count_at.ns;
    int err = 0;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        struct courier_hook_status *s = &c->public[i];
        s->state = c->plans[i].state;
        if (count) {
            s->waiting = s->dead = 0;
            s->oldest = span_of_ns(0);
        }
    }
    if (count) {
        err = courierstore_loads(&c->store, on_load, c);
        int64_t took = mono_now().ns - mono.ns;
        c->count_at = later(mono, took * COUNT_SHARE);
    }
    c->status.active = true;
    c->status.in_flight = c->plan.in_flight;
    pthread_mutex_unlock(&c->lock);
    return err;
}

/* 'err' of what was done in the transaction; it ends with it. */
static int
commit(struct courier *c, int err)
{
    return err ? err : courierstore_commit(&c->store);
}

static int
beat(struct courier *c, struct span mono)
{
    int err = 0;

    for (size_t i = 0; !err && i < c->plan.hook_count; i++) {
        const struct inv_hook *hook = courier_inv_hook(c, i);
        /* PagerDuty has nothing that a heartbeat could be. */
        if (c->hooks[i].used && hook->heartbeat.ns && hook->kind != INV_HOOK_PAGERDUTY &&
            c->plans[i].state != COURIERPLAN_DISABLED && mono.ns >= c->hooks[i].heartbeat_at.ns) {
            err = courierstore_begin(&c->store);
            err = err ? err : courierstore_heartbeat(&c->store, hook->key, c->config->collector);
            err = commit(c, err);
            c->hooks[i].heartbeat_at = later(mono, hook->heartbeat.ns);
        }
    }
    return err;
}

/* What need not be said any more, of all that is new. */
static int
supersede(struct courier *c)
{
    uint64_t count;
    bool any;
    int err = courierstore_has_news(&c->store, &any);

    while (!err && any) {
        err = courierstore_begin(&c->store);
        err = err ? err : courierstore_supersede(&c->store, &count);
        err = commit(c, err);
        counter_add(&c->counters[COURIER_SUPERSEDED], err ? 0 : count);
        err = err ? err : courierstore_has_news(&c->store, &any);
    }
    return err;
}

/* Hooks that are gone, and what is old. */
static int
tidy(struct courier *c, struct span mono)
{
    uint64_t count;
    int err = 0;

    if (mono.ns >= c->tidy_at.ns) {
        c->tidy_at = later(mono, TIDY_NS);
        err = courierstore_begin(&c->store);
        err = err ? err : courierstore_unknown(&c->store, c->keys, c->key_count, &count);
        err = commit(c, err);
        counter_add(&c->counters[COURIER_SUPERSEDED], err ? 0 : count);
    }
    if (!err && mono.ns >= c->expire_at.ns) {
        c->expire_at = later(mono, EXPIRE_NS);
        err = courierstore_begin(&c->store);
        err = err ? err : courierstore_expire(&c->store);
        err = commit(c, err);
    }
    return err;
}

/* Whether PostgreSQL said that there is something. */
static bool
notified(struct courier *c)
{
    bool any = false;

    for (PGnotify *n = PQnotifies(c->store.conn); n; n = PQnotifies(c->store.conn)) {
        any = true;
        PQfreemem(n);
    }
    return any;
}

bool
courier_look_is_due(const struct courier *c)
{
    return mono_now().ns >= c->look_at.ns;
}

int
courier_look(struct courier *c)
{
    struct span mono = mono_now();

    if (!notified(c) && mono.ns < c->look_at.ns) {
        return 0;
    }
    c->look_at = later(mono, LOOK_NS);
    courier_batch_away(c);
    int err = look_states(c);
    err = err ? err : beat(c, mono);
    err = err ? err : supersede(c);
    err = err ? err : tidy(c, mono);
    err = err ? err : look_due(c);
    return err ? err : show(c);
}
