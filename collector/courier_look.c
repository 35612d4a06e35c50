/* courier_look.c - a look at what waits: how the hooks are, what of the outbox need not be said any
 * more, what there is for each. */
#include "courier_parts.h"

#include <string.h>

#define LOOK_NS NS_PER_S        /* Without a word from PostgreSQL. */
#define TIDY_NS (10 * NS_PER_S) /* The same, of what need not be said any more. */
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
on_load(const struct courierstore_load *load, void *aux)
{
    struct courier *c = aux;
    int i = hook_place(c, load->hook);

    if (i < 0) {
        return;
    }
    c->hooks[i].due = load->due;
    c->public[i].waiting = load->waiting;
    c->public[i].dead = load->dead;
    c->public[i].oldest = load->oldest;
    if (load->fresh && c->plans[i].state == COURIERPLAN_FAILING) {
        courierplan_hurry(&c->plans[i]);
    }
    if (load->test) { /* Whoever asked for it does not wait as long as the hook does. */
        c->plans[i].not_before = span_of_ns(0);
    }
}

static int
look_loads(struct courier *c)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        struct courier_hook_status *s = &c->public[i];
        s->waiting = s->dead = 0;
        s->oldest = span_of_ns(0);
        s->state = c->plans[i].state;
        c->hooks[i].due = false;
        c->plans[i].head_count = 0;
        c->hooks[i].again_due = true;
    }
    int err = courierstore_loads(&c->store, on_load, c);
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

/* What need not be said, and what is old. */
static int
tidy(struct courier *c, struct span mono, bool news)
{
    uint64_t superseded = 0;
    int err = 0;

    if (news || mono.ns >= c->tidy_at.ns) {
        c->tidy_at = later(mono, TIDY_NS);
        err = courierstore_begin(&c->store);
        err = err ? err : courierstore_supersede(&c->store, c->keys, c->key_count, &superseded);
        err = commit(c, err);
        counter_add(&c->counters[COURIER_SUPERSEDED], superseded);
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
    int64_t newest;

    if (!notified(c) && mono.ns < c->look_at.ns) {
        return 0;
    }
    c->look_at = later(mono, LOOK_NS);
    courier_batch_away(c);
    int err = look_states(c);
    err = err ? err : beat(c, mono);
    err = err ? err : courierstore_newest(&c->store, &newest);
    if (!err) {
        err = tidy(c, mono, newest != c->newest);
        c->newest = newest;
    }
    return err ? err : look_loads(c);
}
