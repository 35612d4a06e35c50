/* courierplan.c - turns, delays, and when to give up. */
#include "courierplan.h"

#include <assert.h>
#include <string.h>

#define AGE_MAX_S (3 * 86400)
#define TRIES_MIN 9 /* So many are the delays below. */
#define HURRY_NS (300 * NS_PER_S)

struct span
courierplan_delay(unsigned failures, uint64_t random)
{
    static const int64_t seconds[] = {5, 30, 120, 300, 900, 1800, 3600, 7200};
    const size_t last = sizeof seconds / sizeof seconds[0] - 1;

    assert(failures > 0);
    int64_t ns = seconds[failures - 1 < last ? failures - 1 : last] * NS_PER_S;
    int64_t fifth = ns / 5;
    return span_of_ns(ns - fifth + (int64_t)(random % (uint64_t)(2 * fifth + 1)));
}

bool
courierplan_is_dead(unsigned tries, struct span age)
{
    return tries >= TRIES_MIN && age.ns > AGE_MAX_S * NS_PER_S;
}

/* What is left of 'most'. */
static unsigned
left(unsigned most, unsigned taken)
{
    return taken < most ? most - taken : 0;
}

static unsigned
least(unsigned one, unsigned other)
{
    return one < other ? one : other;
}

unsigned
courierplan_room(const struct courierplan *p, const struct courierplan_hook *hook, struct span mono)
{
    unsigned all = left(COURIERPLAN_AT_ONCE, p->in_flight);

    if (hook->state == COURIERPLAN_DISABLED) {
        return 0;
    }
    if (hook->exec) {
        all = least(all, left(COURIERPLAN_AT_ONCE_EXEC, p->exec_in_flight));
    }
    if (hook->state == COURIERPLAN_FAILING) {
        return least(all, hook->in_flight == 0 && mono.ns >= hook->not_before.ns);
    }
    if (hook->exec) {
        return least(all, left(COURIERPLAN_AT_ONCE_COMMAND, hook->in_flight));
    }
    unsigned always = left(COURIERPLAN_AT_ONCE_HOOK, hook->in_flight);
    unsigned more = least(left(COURIERPLAN_AT_ONCE_HOOK + hook->more, hook->in_flight),
                          left(COURIERPLAN_AT_ONCE_MORE, p->in_flight));
    return least(all, more > always ? more : always);
}

/* The oldest; while the hook fails, of several not the one that failed by itself. */
static size_t
choose(const struct courierplan_hook *hook)
{
    return hook->state == COURIERPLAN_FAILING && hook->head_count > 1 &&
           hook->heads[0] == hook->stepped_aside;
}

static int64_t
pop(struct courierplan_hook *hook)
{
    size_t i = choose(hook);
    int64_t id = hook->heads[i];

    hook->head_count--;
    memmove(&hook->heads[i], &hook->heads[i + 1], (hook->head_count - i) * sizeof hook->heads[0]);
    return id;
}

int
courierplan_next(struct courierplan *p, struct span mono, int64_t *id)
{
    for (size_t n = 0; n < p->hook_count; n++) {
        size_t i = (p->turn + n) % p->hook_count;
        struct courierplan_hook *hook = &p->hooks[i];
        if (hook->head_count && courierplan_room(p, hook, mono)) {
            *id = pop(hook);
            p->turn = (i + 1) % p->hook_count;
            courierplan_take(p, i);
            return (int)i;
        }
    }
    return -1;
}

void
courierplan_take(struct courierplan *p, size_t hook)
{
    p->hooks[hook].in_flight++;
    p->in_flight++;
    p->exec_in_flight += p->hooks[hook].exec;
}

void
courierplan_over(struct courierplan *p, size_t hook)
{
    assert(p->in_flight && p->hooks[hook].in_flight);
    p->hooks[hook].in_flight--;
    p->in_flight--;
    p->exec_in_flight -= p->hooks[hook].exec;
}

void
courierplan_hurry(struct courierplan_hook *hook)
{
    int64_t soon = hook->failed_at.ns + HURRY_NS;

    if (!hook->asked && hook->not_before.ns > soon) {
        hook->not_before.ns = soon;
    }
}

bool
courierplan_good(struct courierplan_hook *hook, struct span began)
{
    if (hook->state == COURIERPLAN_FAILING && hook->asked && began.ns <= hook->failed_at.ns) {
        return false;
    }
    if (hook->state != COURIERPLAN_DISABLED) {
        hook->state = COURIERPLAN_GOOD;
    }
    if (hook->more < COURIERPLAN_AT_ONCE_HOOK_MAX - COURIERPLAN_AT_ONCE_HOOK) {
        hook->more++;
    }
    hook->failures = 0;
    hook->not_before = hook->failed_at = span_of_ns(0);
    hook->asked = false;
    hook->stepped_aside = 0;
    return hook->state == COURIERPLAN_GOOD;
}

struct span
courierplan_failed(struct courierplan_hook *hook, struct span began, struct span mono,
                   struct span wait, struct span limit, uint64_t random)
{
    /* What was in flight when another failed says nothing new. */
    bool another = hook->state == COURIERPLAN_FAILING && began.ns <= hook->failed_at.ns;
    struct span delay = {hook->not_before.ns - mono.ns};

    if (hook->state == COURIERPLAN_GOOD) {
        hook->state = COURIERPLAN_FAILING;
    }
    hook->more = 0;
    if (!another) {
        hook->failures++;
        hook->failed_at = mono;
        delay = courierplan_delay(hook->failures, random);
        if (limit.ns && delay.ns > limit.ns) {
            delay = limit;
        }
    }
    bool longer = wait.ns && delay.ns <= wait.ns;
    hook->asked = longer || (another && hook->asked);
    if (longer) {
        delay = wait;
    }
    hook->not_before = span_of_ns(mono.ns + delay.ns);
    return delay;
}
