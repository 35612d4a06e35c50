/* courier_trip.c - one delivery: request after request until the hookform has its verdict, and what
 * that means for the row, its ticket and its hook. */
#include "courier_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooktext.h"
#include "log.h"

/* A dialogue is short; each peer of a cluster is a request more. */
#define REQUESTS_MAX 8
/* It is written down so often that a hook works. */
#define GOOD_EVERY_NS (10 * NS_PER_S)

const struct inv_hook *
courier_inv_hook(const struct courier *c, size_t hook)
{
    return &c->inventory->hooks[hook];
}

/* --- On its way ----------------------------------------------------------- */

static void
finish(struct courier_trip *t, enum hookform_verdict verdict, const char *why)
{
    t->state = TRIP_OVER;
    t->verdict = verdict;
    /* PostgreSQL takes whole characters only. */
    size_t length = hooktext_fit(why, sizeof t->why - 1);
    memcpy(t->why, why, length);
    t->why[length] = '\0';
}

static void
next_request(struct courier *c, struct courier_trip *t)
{
    const struct inv_hook *hook = courier_inv_hook(c, t->hook);

    if (t->requests++ >= REQUESTS_MAX + hook->peer_count) {
        finish(t, HOOKFORM_RETRY, "the target's answers do not come to an end");
        return;
    }
    const struct hookform_request *r = hookform_request(t->form);
    if (!r) { /* It cannot be made, or there is nothing to say to such a target. */
        const char *why = hookform_why(t->form);
        finish(t, why[0] ? HOOKFORM_DEAD : HOOKFORM_DONE, why);
        return;
    }
    int err;
    if (r->by == HOOKFORM_EXEC) {
        t->state = TRIP_EXEC;
        err = courierexec_start(&t->exec, hook, r, mono_now());
    } else {
        t->state = TRIP_CURL;
        err = couriercurl_start(&t->curl, c->multi, hook, c->config->hook_folder, r, t);
    }
    if (err) {
        finish(t, HOOKFORM_RETRY, strerror(-err));
    }
}

static void
answered(struct courier *c, struct courier_trip *t, const struct hookform_answer *a)
{
    enum hookform_verdict verdict = hookform_answer(t->form, a);

    if (verdict == HOOKFORM_MORE) {
        next_request(c, t);
        return;
    }
    /* A target that is there, and cannot do this: maybe it can do another. */
    t->by_itself = (a->status >= 500 && a->status != 502 && a->status != 503 && a->status != 504) ||
                   (a->error && strcmp(a->error, "timed out") == 0) ||
                   courier_inv_hook(c, t->hook)->command;
    finish(t, verdict, hookform_why(t->form));
    if (verdict == HOOKFORM_DONE && courier_inv_hook(c, t->hook)->to_count && t->curl.refused) {
        snprintf(t->why, sizeof t->why, "%u of %zu addresses were refused; the others have it",
                 t->curl.refused, courier_inv_hook(c, t->hook)->to_count);
    }
}

void
courier_trip_curl_over(struct courier *c, struct courier_trip *t, CURLcode result)
{
    const struct hookform_answer a = couriercurl_end(&t->curl, c->multi, result);

    answered(c, t, &a);
}

void
courier_trip_exec_step(struct courier *c, struct courier_trip *t)
{
    if (courierexec_step(&t->exec, mono_now())) {
        const struct hookform_answer a = courierexec_answer(&t->exec);
        answered(c, t, &a);
    }
}

void
courier_trip_load(struct courier_trip *t, size_t hook, const struct courierstore_row *row,
                  struct couriersecret *secret)
{
    assert(t->state == TRIP_FREE);
    t->hook = hook;
    t->id = row->id;
    t->problem = row->problem;
    snprintf(t->action, sizeof t->action, "%s", row->action);
    t->tries = row->tries;
    t->failed_before = row->failed;
    t->age = row->age;
    t->number = row->number;
    t->closed = row->closed;
    t->ref = strdup(row->ref);
    t->shown = strdup(row->shown);
    t->requests = 0;
    t->by_itself = false;
    t->why[0] = '\0';
    t->secret = *secret;
    *secret = (struct couriersecret){0};
    t->event = cJSON_Parse(row->event);
    t->state = TRIP_TAKEN;
}

void
courier_trip_go(struct courier *c, struct courier_trip *t)
{
    const struct hookform_ticket ticket = {
        .there = t->number, .closed = t->closed, .ref = t->ref, .shown = t->shown};

    assert(t->state == TRIP_TAKEN);
    t->began = mono_now();
    if (t->event && t->ref && t->shown) {
        t->form = hookform_new(courier_inv_hook(c, t->hook), &t->secret.secrets, t->event, &ticket,
                               instant_now(), t->tries - 1);
    }
    /* What was put there by hand may be no event. */
    if (t->form) {
        next_request(c, t);
    } else {
        finish(t, HOOKFORM_RETRY, "memory is out");
    }
}

/* --- What became of it ---------------------------------------------------- */

void
courier_trip_cancel(struct courier *c, struct courier_trip *t)
{
    couriercurl_cancel(&t->curl, c->multi);
    courierexec_cancel(&t->exec);
    hookform_free(t->form);
    cJSON_Delete(t->event);
    couriersecret_wipe(&t->secret);
    free(t->ref);
    free(t->shown);
    t->form = NULL;
    t->event = NULL;
    t->ref = t->shown = NULL;
    t->state = TRIP_FREE;
    courierplan_over(&c->plan, t->hook);
}

/* A test is tried once: whoever asked for it waits for the answer. */
static bool
is_test(const struct courier_trip *t)
{
    return strcmp(t->action, "test") == 0;
}

static struct courierstore_ticket
ticket_of(const struct courier *c, const struct courier_trip *t)
{
    const struct inv_hook *hook = courier_inv_hook(c, t->hook);
    const struct hookform_ticket has = hookform_ticket(t->form);

    if (!t->problem || !has.there) {
        return (struct courierstore_ticket){.number = 0};
    }
    /* An Alertmanager's are labels, which may become others. */
    bool another = !t->number || (has.shown[0] && strcmp(has.ref, t->ref) != 0);
    return (struct courierstore_ticket){
        .number = t->number + another,
        .before = t->number,
        .ref = has.ref,
        .shown = has.shown,
        .url = hookform_ticket_url(t->form),
        .closed = has.closed,
        .again = strcmp(t->action, "resolve") == 0 ? span_of_ns(0) : hookform_again(hook)};
}

/* The target took it (if not all of it, 'why' says so), or refused it for ever: it works. */
static int
hook_works(struct courier *c, struct courier_trip *t, bool took)
{
    const struct inv_hook *hook = courier_inv_hook(c, t->hook);
    struct courierplan_hook *plan = &c->plans[t->hook];
    struct courier_hook *known = &c->hooks[t->hook];
    struct span mono = mono_now();
    bool failed = plan->state == COURIERPLAN_FAILING;

    if (!courierplan_good(plan, t->began) && plan->state == COURIERPLAN_FAILING) {
        return 0;
    }
    if (failed) {
        log_info("hook %s works again", hook->key);
    }
    if (!failed && took && known->good_at.ns && mono.ns - known->good_at.ns < GOOD_EVERY_NS) {
        return 0;
    }
    known->good_at = mono;
    const struct courierstore_hook h = {.hook = hook->key,
                                        .state = (int)plan->state,
                                        .error = t->why[0] ? t->why : NULL,
                                        .good = took};
    return courierstore_hook(&c->store, &h);
}

/* How long the row waits, in '*wait'. */
static int
hook_fails(struct courier *c, struct courier_trip *t, struct span *wait)
{
    const struct inv_hook *hook = courier_inv_hook(c, t->hook);
    struct courierplan_hook *plan = &c->plans[t->hook];
    struct span asked = t->form ? hookform_wait(t->form) : span_of_ns(0);
    bool was_good = plan->state == COURIERPLAN_GOOD;
    struct courierstore_hook h = {.hook = hook->key, .state = COURIERPLAN_FAILING, .error = t->why};

    /* Who must hear of it each minute is tried each minute. */
    h.wait = courierplan_failed(plan, t->began, mono_now(), asked, hookform_again(hook),
                                courier_random(c));
    h.failures = plan->failures;
    if (was_good) {
        log_warnx("hook %s fails, what is for it waits: %s", hook->key, t->why);
    }
    plan->stepped_aside = t->by_itself ? t->id : 0;
    /* Else it waits with its hook, and for nothing else. */
    *wait = span_of_ns(0);
    if (t->by_itself) {
        *wait = courierplan_delay(t->failed_before ? t->tries : 1, courier_random(c));
    }
    if (wait->ns < asked.ns) {
        *wait = asked;
    }
    return courierstore_hook(&c->store, &h);
}

static int
hook_is_disabled(struct courier *c, struct courier_trip *t)
{
    const struct inv_hook *hook = courier_inv_hook(c, t->hook);
    const struct courierstore_hook h = {
        .hook = hook->key, .state = COURIERPLAN_DISABLED, .error = t->why};

    if (c->plans[t->hook].state != COURIERPLAN_DISABLED) {
        counter_add(&c->counters[COURIER_DISABLED], 1);
        log_warnx("hook %s wants nothing any more: %s; what is for it waits until "
                  "`plumbline hooks retry %s`",
                  hook->key, t->why, hook->key);
    }
    c->plans[t->hook].state = COURIERPLAN_DISABLED;
    return courierstore_hook(&c->store, &h);
}

static void
count_hook(struct courier *c, const struct courier_trip *t, bool delivered)
{
    pthread_mutex_lock(&c->lock);
    c->public[t->hook].delivered += delivered;
    c->public[t->hook].tries_failed += !delivered;
    pthread_mutex_unlock(&c->lock);
}

static int
record_done(struct courier *c, struct courier_trip *t)
{
    int err = hook_works(c, t, true);

    count_hook(c, t, true);
    if (!t->id) {
        counter_add(&c->counters[COURIER_TOLD_AGAIN], 1);
        return err;
    }
    counter_add(&c->counters[COURIER_DELIVERED], 1);
    c->done[c->done_count++] =
        (struct courierstore_done){.id = t->id,
                                   .hook = courier_inv_hook(c, t->hook)->key,
                                   .problem = t->problem,
                                   /* What is dead was tried, and has its error still. */
                                   .opened = strcmp(t->action, "open") == 0 && t->failed_before,
                                   .ticket = ticket_of(c, t)};
    return err;
}

static int
record_dead(struct courier *c, struct courier_trip *t)
{
    if (!t->id) {
        return 0;
    }
    if (t->problem) {
        counter_add(&c->counters[COURIER_DEAD], 1);
        log_warnx("hook %s: '%s' of problem %lld is given up after %u tries: %s",
                  courier_inv_hook(c, t->hook)->key, t->action, (long long)t->problem, t->tries,
                  t->why);
    }
    /* Before anything else of its problem goes, it is seen what of that is left to be said. */
    c->look_at = span_of_ns(0);
    return courierstore_dead(&c->store, t->id, t->why);
}

static int
record_retry(struct courier *c, struct courier_trip *t)
{
    struct span wait;
    int err = hook_fails(c, t, &wait);

    if (err) {
        return err;
    }
    if (!t->id) {
        return courierstore_untold(&c->store, courier_inv_hook(c, t->hook)->key, t->problem,
                                   t->number);
    }
    return is_test(t) || courierplan_is_dead(t->tries, t->age)
               ? record_dead(c, t)
               : courierstore_wait(&c->store, t->id, wait, t->why);
}

int
courier_trip_record(struct courier *c, struct courier_trip *t)
{
    int err = 0;

    assert(t->state == TRIP_OVER);
    if (t->verdict != HOOKFORM_DONE) {
        counter_add(&c->counters[COURIER_TRIES_FAILED], 1);
        count_hook(c, t, false);
    }
    switch (t->verdict) {
    case HOOKFORM_DONE:
        err = record_done(c, t);
        break;
    case HOOKFORM_DEAD:
        err = hook_works(c, t, false);
        err = err ? err : record_dead(c, t);
        break;
    case HOOKFORM_DISABLED:
        err = hook_is_disabled(c, t);
        if (!err && t->id) {
            err = is_test(t) ? record_dead(c, t)
                             : courierstore_wait(&c->store, t->id, span_of_ns(0), t->why);
        }
        break;
    case HOOKFORM_RETRY:
    case HOOKFORM_MORE:
        err = record_retry(c, t);
        break;
    }
    return err;
}
