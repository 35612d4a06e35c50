/* courier.c - the round: looks what waits, sends it, waits for answers, writes them down. */
#include "courier_parts.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"

#define LOCK 7
#define AGAIN_S 5               /* After a failure, and while another collector delivers. */
#define LOOK_NS NS_PER_S        /* Without a word from PostgreSQL. */
#define TIDY_NS (10 * NS_PER_S) /* The same, of what need not be said any more. */
#define EXPIRE_NS (3600 * NS_PER_S)
#define DRAIN_NS (2 * NS_PER_S)
/* A file that cannot be read is looked for each minute. */
#define UNREADABLE_NS (60 * NS_PER_S)
/* A path, and why it cannot be read. */
#define WHY_SIZE (PATH_MAX + 128)
#define EXEC_FDS_MAX (COURIERPLAN_AT_ONCE_EXEC * COURIEREXEC_FDS)

static const char *const count_names[COURIER_COUNTS] = {"delivered",  "tries_failed", "dead",
                                                        "superseded", "told_again",   "disabled",
                                                        "unreadable", "failed"};

static struct span
later(struct span mono, int64_t ns)
{
    return span_of_ns(mono.ns + ns);
}

/* xorshift64*, for jitter. */
uint64_t
courier_random(struct courier *c)
{
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return c->random * UINT64_C(0x2545f4914f6cdd1d);
}

static struct courier_trip *
free_trip(struct courier *c)
{
    struct courier_trip *t = c->trips;

    while (t < c->trips + COURIERPLAN_AT_ONCE && t->state != TRIP_FREE) {
        t++;
    }
    return t < c->trips + COURIERPLAN_AT_ONCE ? t : NULL;
}

/* --- Looking -------------------------------------------------------------- */

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

static void
note_away(struct courier *c)
{
    c->store.away = c->away;
    c->store.away_count = 0;
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state != TRIP_FREE && c->trips[i].id) {
            c->away[c->store.away_count++] = c->trips[i].id;
        }
    }
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

static int
beat(struct courier *c, struct span mono)
{
    int err = 0;

    for (size_t i = 0; !err && i < c->plan.hook_count; i++) {
        const struct inv_hook *hook = courier_inv_hook(c, i);
        /* PagerDuty has nothing that a heartbeat could be. */
        if (c->hooks[i].used && hook->heartbeat.ns && hook->kind != INV_HOOK_PAGERDUTY &&
            c->plans[i].state != COURIERPLAN_DISABLED && mono.ns >= c->hooks[i].heartbeat_at.ns) {
            err = courierstore_heartbeat(&c->store, hook->key, c->config->collector);
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
        err = courierstore_supersede(&c->store, c->keys, c->key_count, &superseded);
        counter_add(&c->counters[COURIER_SUPERSEDED], superseded);
    }
    if (!err && mono.ns >= c->expire_at.ns) {
        c->expire_at = later(mono, EXPIRE_NS);
        err = courierstore_expire(&c->store);
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

static int
look(struct courier *c)
{
    struct span mono = mono_now();
    int64_t newest;

    if (!notified(c) && mono.ns < c->look_at.ns) {
        return 0;
    }
    c->look_at = later(mono, LOOK_NS);
    int err = look_states(c);
    err = err ? err : beat(c, mono);
    err = err ? err : courierstore_newest(&c->store, &newest);
    if (!err) {
        err = tidy(c, mono, newest != c->newest);
        c->newest = newest;
    }
    return err ? err : look_loads(c);
}

/* --- Sending -------------------------------------------------------------- */

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
        if (c->hooks[i].due && !plan->head_count && courierplan_may(&c->plan, plan, mono)) {
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
            courier_trip_begin(pick->c, t, pick->hook, row, &pick->secret);
        }
    }
}

/* What the plan gives, counted as tried before anything is sent. */
static int
send_rows(struct courier *c)
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
        if (!p.picks[i].taken) { /* It waits no more. */
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
        courier_trip_begin(c, t, pick->hook, row, &pick->secret);
    }
}

/* Tickets that are to be told again, of hooks that have nothing else to do. */
static int
send_again(struct courier *c)
{
    struct span mono = mono_now();
    int err = 0;

    for (size_t n = 0; !err && n < c->plan.hook_count; n++) {
        size_t i = (c->plan.turn + n) % c->plan.hook_count;
        struct courierplan_hook *plan = &c->plans[i];
        struct span every = hookform_again(courier_inv_hook(c, i));
        struct pick pick = {.c = c, .hook = i};
        if (!c->hooks[i].used || !c->hooks[i].again_due || !every.ns ||
            !courierplan_may(&c->plan, plan, mono)) {
            continue;
        }
        size_t room =
            plan->state == COURIERPLAN_FAILING ? 1 : COURIERPLAN_AT_ONCE_HOOK - plan->in_flight;
        size_t all = COURIERPLAN_AT_ONCE - c->plan.in_flight;
        err = courierstore_again(&c->store, courier_inv_hook(c, i)->key, every,
                                 room < all ? room : all, on_again, &pick);
        c->hooks[i].again_due = pick.taken;
    }
    return err;
}

/* --- Waiting -------------------------------------------------------------- */

static bool
something_is_over(const struct courier *c)
{
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_OVER) {
            return true;
        }
    }
    return false;
}

/* Takes what came. */
static void
pump(struct courier *c)
{
    int running, left;
    const CURLMsg *m;

    curl_multi_perform(c->multi, &running);
    while ((m = curl_multi_info_read(c->multi, &left))) {
        struct courier_trip *t = NULL;
        CURLcode result = m->data.result; /* 'm' is gone with its handle. */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        courier_trip_curl_over(c, t, result);
    }
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state == TRIP_EXEC) {
            courier_trip_exec_step(c, &c->trips[i]);
        }
    }
}

static void
rest(struct courier *c, int64_t until_ns)
{
    struct curl_waitfd fds[1 + EXEC_FDS_MAX] = {
        {.fd = PQsocket(c->store.conn), .events = CURL_WAIT_POLLIN}};
    unsigned count = 1;
    int64_t ns = until_ns - mono_now().ns;

    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        const struct courier_trip *t = &c->trips[i];
        if (t->state == TRIP_EXEC) {
            assert(count + COURIEREXEC_FDS <= 1 + EXEC_FDS_MAX);
            count += (unsigned)courierexec_fds(&t->exec, fds + count);
            /* Its time-out is ours to see. */
            ns = ns < NS_PER_S / 4 ? ns : NS_PER_S / 4;
        }
    }
    ns = ns < 0 ? 0 : ns;
    curl_multi_poll(c->multi, fds, count, (int)(ns / NS_PER_MS) + 1, NULL);
}

/* --- Writing down --------------------------------------------------------- */

static int
record(struct courier *c)
{
    if (!something_is_over(c)) {
        return 0;
    }
    int err = courierstore_begin(&c->store);
    for (size_t i = 0; !err && i < COURIERPLAN_AT_ONCE; i++) {
        struct courier_trip *t = &c->trips[i];
        if (t->state == TRIP_OVER) {
            c->hooks[t->hook].due = true; /* What waited behind it. */
            err = courier_trip_record(c, t);
        }
    }
    return err ? err : courierstore_commit(&c->store);
}

/* --- A round -------------------------------------------------------------- */

static int
enter(struct courier *c)
{
    struct span mono = mono_now();

    c->active = true;
    c->newest = -1;
    c->look_at = c->tidy_at = mono;
    c->expire_at = later(mono, 60 * NS_PER_S);
    for (size_t i = 0; i < c->plan.hook_count; i++) {
        c->plans[i] = (struct courierplan_hook){.exec = courier_inv_hook(c, i)->command};
        c->hooks[i] = (struct courier_hook){.used = c->hooks[i].used};
    }
    if (!c->told) {
        log_info("%s: delivers what is said to %zu hooks", c->config->collector, c->key_count);
    }
    return courierstore_listen(&c->store);
}

/* Whoever is under way may end. */
static int
drain(struct courier *c)
{
    struct span end = later(mono_now(), DRAIN_NS);
    int err = 0;

    while (!err && c->plan.in_flight && mono_now().ns < end.ns) {
        pump(c);
        if (!something_is_over(c)) {
            rest(c, end.ns);
        }
        err = record(c);
    }
    return err;
}

static int
work(struct courier *c)
{
    int err = c->active ? 0 : enter(c);

    while (!err && !atomic_load(&c->stopping)) {
        note_away(c);
        err = look(c);
        err = err ? err : fill(c);
        err = err ? err : send_rows(c);
        err = err ? err : send_again(c);
        pump(c);
        err = err ? err : record(c);
        if (!err && !something_is_over(c)) {
            rest(c, c->look_at.ns);
            err = PQconsumeInput(c->store.conn) ? 0 : -EIO;
            pump(c);
            err = err ? err : record(c);
        }
    }
    return err ? err : drain(c);
}

static bool
courier_round(struct job *job, PGconn *conn, void *aux)
{
    struct courier *c = aux;

    (void)job;
    c->store.conn = conn;
    snprintf(c->store.why, sizeof c->store.why, "the connection is gone");
    int err = work(c);
    if (err) {
        counter_add(&c->counters[COURIER_FAILED], 1);
        if (!c->told) {
            log_warnx("%s: delivering failed, tried again every %d s: %s", c->config->collector,
                      AGAIN_S, err == -EIO ? c->store.why : strerror(-err));
        }
    }
    c->told = err;
    return !err;
}

/* What is under way is given up: whoever is the courier next sends it again. */
static void
courier_leave(void *aux)
{
    struct courier *c = aux;

    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        if (c->trips[i].state != TRIP_FREE) {
            courier_trip_cancel(c, &c->trips[i]);
        }
    }
    c->active = false;
    c->store.conn = NULL;
    pthread_mutex_lock(&c->lock);
    c->status = (struct courier_status){.active = false};
    pthread_mutex_unlock(&c->lock);
}

/* --- Life ----------------------------------------------------------------- */

static void
courier_free(struct courier *c)
{
    for (size_t i = 0; i < COURIERPLAN_AT_ONCE; i++) {
        couriercurl_fini(&c->trips[i].curl);
        courierexec_fini(&c->trips[i].exec);
    }
    curl_multi_cleanup(c->multi);
    curl_global_cleanup();
    courierstore_fini(&c->store);
    pthread_mutex_destroy(&c->lock);
    free(c->public);
    free(c->plans);
    free(c->hooks);
    free(c->keys);
    free(c);
}

static int
courier_new(struct courier **out, const struct collector_config *config,
            const struct inventory *inventory)
{
    size_t count = inventory->hook_count;
    struct courier *c = calloc(1, sizeof *c);

    if (!c) {
        return -ENOMEM;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->config = config;
    c->inventory = inventory;
    pthread_mutex_init(&c->lock, NULL);
    c->multi = curl_multi_init();
    c->public = calloc(count + 1, sizeof *c->public);
    c->plans = calloc(count + 1, sizeof *c->plans);
    c->hooks = calloc(count + 1, sizeof *c->hooks);
    c->keys = calloc(count + 1, sizeof *c->keys);
    if (!c->multi || !c->public || !c->plans || !c->hooks || !c->keys) {
        courier_free(c);
        return -ENOMEM;
    }
    c->plan = (struct courierplan){.hooks = c->plans, .hook_count = count};
    for (size_t i = 0; i < count; i++) {
        if (inventory->hooks[i].state == INV_ACTIVE) {
            c->hooks[i].used = true;
            c->keys[c->key_count++] = inventory->hooks[i].key;
        }
    }
    if (getrandom(&c->random, sizeof c->random, 0) != sizeof c->random) {
        c->random = (uint64_t)mono_now().ns;
    }
    c->random |= 1;
    *out = c;
    return 0;
}

int
courier_start(struct courier **out, const struct collector_config *config,
              const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "courier",
                                         .lock = LOCK,
                                         .every_s = 1,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = courier_round,
                                         .leave = courier_leave};
    struct courier *c;
    int err = courier_new(&c, config, inventory);

    if (err) {
        return err;
    }
    err = job_start(&c->job, &kind, &config->postgresql, c);
    if (err) {
        courier_free(c);
        return err;
    }
    *out = c;
    return 0;
}

void
courier_stop(struct courier *c)
{
    if (c) {
        atomic_store(&c->stopping, true);
        curl_multi_wakeup(c->multi);
        job_stop(c->job);
        courier_free(c);
    }
}

struct counter_group
courier_counters(struct courier *c)
{
    return (struct counter_group){"courier", count_names, c->counters, COURIER_COUNTS};
}

void
courier_view(struct courier *c, struct courier_status *out, struct courier_hook_status *hooks)
{
    pthread_mutex_lock(&c->lock);
    *out = c->status;
    memcpy(hooks, c->public, c->plan.hook_count * sizeof *hooks);
    pthread_mutex_unlock(&c->lock);
}
