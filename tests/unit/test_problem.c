/* test_problem.c - the life of a problem: what is told of it when, by a clock that the test moves.
 */
#include "problem.h"

#include "desk_world.h"

#define GATHER_MS 2000

struct life {
    struct desk_world w;
    struct problem *p;
    bool down[64];
    int64_t window[64];
    struct symptom *symptoms[64];
    size_t count;
};

static void
begin(struct life *l)
{
    *l = (struct life){.count = 0};
    desk_world_begin(&l->w, 2);
    for (int i = 0; i < 8; i++) {
        desk_world_link(&l->w, 0, 1, true, "risks: [duct]");
    }
    desk_world_end(&l->w, NULL);
    l->p = problem_new(INV_CAUSE_RISK, "duct", desk_world_at(0));
}

static void
finish(struct life *l)
{
    problem_free(l->p);
    for (size_t i = 0; i < l->count; i++) {
        symptom_free(l->symptoms[i]);
    }
    desk_world_fini(&l->w);
}

static struct symptom *
raise_on(struct life *l, unsigned link, enum inv_severity severity, int64_t ms)
{
    char key[16];

    snprintf(key, sizeof key, "l%u", link);
    struct symptom *s = symptom_new("cut", "flr", key, "gold", "p0");
    s->id = (int64_t)l->count + 1;
    s->severity = severity;
    s->place = reach_place(l->w.reach, SYMPTOM_LINK, key);
    s->began = desk_world_at(ms - 3000);
    s->raised = s->recorded = desk_world_at(ms);
    l->symptoms[l->count++] = s;
    problem_join(l->p, s);
    return s;
}

static void
clear(struct life *l, struct symptom *s, int64_t ms)
{
    s->cleared = desk_world_at(ms);
    s->ended = desk_world_at(ms - 10000);
    l->p->touched = true;
}

static void
review(struct life *l, int64_t ms)
{
    memset(l->down, 0, sizeof l->down);
    for (size_t i = 0; i < l->count; i++) {
        l->down[l->symptoms[i]->place] |= symptom_is_raised(l->symptoms[i]);
    }
    CU_ASSERT_EQUAL(problem_review(l->p, l->w.reach, l->down, desk_world_at(ms)), 0);
}

static enum problem_due
due(const struct life *l, int64_t ms)
{
    return problem_due(l->p, desk_world_at(ms), span_of_ns(GATHER_MS * NS_PER_MS));
}

/* Somebody was told. */
static void
tell(struct life *l, bool open)
{
    problem_hear(l->p, "noc")->open = open;
    problem_was_told(l->p);
}

static bool
has_step(const struct problem *p, enum problem_what what, const char *text)
{
    for (size_t i = 0; i < p->step_count; i++) {
        if (p->steps[i].what == what && (!text || !strcmp(p->steps[i].text, text))) {
            return true;
        }
    }
    return false;
}

static void
it_is_told_when_made_and_over_at_once(void)
{
    struct life l;
    begin(&l);

    struct symptom *s = raise_on(&l, 0, INV_CRITICAL, 0);
    review(&l, 2000);
    CU_ASSERT_EQUAL(due(&l, 2000), PROBLEM_TELL_OPEN);
    CU_ASSERT_EQUAL(l.p->began.ns, desk_world_at(-3000).ns);
    tell(&l, true);
    CU_ASSERT_EQUAL(due(&l, 100000), PROBLEM_NOTHING);
    clear(&l, s, 60000);
    review(&l, 60001);
    CU_ASSERT_EQUAL(l.p->state, PROBLEM_ENDED);
    CU_ASSERT_EQUAL(l.p->ended.ns, desk_world_at(50000).ns);
    CU_ASSERT_EQUAL(due(&l, 60001), PROBLEM_TELL_END);
    CU_ASSERT_EQUAL(l.p->severity, INV_CRITICAL);
    finish(&l);
}

static void
what_is_over_before_it_was_told_is_not_told(void)
{
    struct life l;
    begin(&l);

    struct symptom *s = raise_on(&l, 0, INV_CRITICAL, 0);
    clear(&l, s, 1000);
    review(&l, 2000);
    CU_ASSERT_EQUAL(l.p->state, PROBLEM_ENDED);
    CU_ASSERT_EQUAL(due(&l, 2000), PROBLEM_NOTHING);
    finish(&l);
}

static void
changes_are_told_when_they_are_quiet(void)
{
    struct life l;
    begin(&l);
    struct symptom *s[8];

    for (unsigned i = 0; i < 4; i++) {
        s[i] = raise_on(&l, i, INV_MAJOR, 0);
    }
    review(&l, 2000);
    tell(&l, true);
    s[4] = raise_on(&l, 4, INV_CRITICAL, 5000);
    review(&l, 5000);
    CU_ASSERT(has_step(l.p, PROBLEM_STEP_JOINED, "1 more link: l4"));
    CU_ASSERT(has_step(l.p, PROBLEM_STEP_WORSENED, "it is critical now, was major"));
    CU_ASSERT_EQUAL(due(&l, 6999), PROBLEM_NOTHING);
    clear(&l, s[0], 6900);
    clear(&l, s[1], 6900);
    review(&l, 6900);
    CU_ASSERT(has_step(l.p, PROBLEM_STEP_NARROWED, "2 links are clear; l2, l3 and l4 stay"));
    CU_ASSERT_EQUAL(due(&l, 7000), PROBLEM_NOTHING);
    CU_ASSERT_EQUAL(due(&l, 8899), PROBLEM_NOTHING);
    CU_ASSERT_EQUAL(due(&l, 8900), PROBLEM_TELL_CHANGE);
    CU_ASSERT_EQUAL(l.p->change_count, 3);
    tell(&l, true);
    CU_ASSERT_EQUAL(due(&l, 100000), PROBLEM_NOTHING);
    finish(&l);
}

static void
a_change_without_end_is_told_all_the_same(void)
{
    struct life l;
    begin(&l);

    raise_on(&l, 0, INV_CRITICAL, 0);
    review(&l, 2000);
    tell(&l, true);
    struct symptom *s = raise_on(&l, 1, INV_CRITICAL, 3000);
    review(&l, 3000);
    int64_t ms = 3000;
    for (; ms < 60000 && due(&l, ms) == PROBLEM_NOTHING; ms += 1000) {
        if (ms % 2000) {
            clear(&l, s, ms);
        } else {
            s->cleared = s->ended = instant_of_ns(0);
        }
        review(&l, ms);
    }
    CU_ASSERT_EQUAL(ms, 3000 + 10 * GATHER_MS);
    finish(&l);
}

static void
it_is_opened_again_and_told_once_more(void)
{
    struct life l;
    begin(&l);

    struct symptom *s = raise_on(&l, 0, INV_CRITICAL, 0);
    review(&l, 2000);
    tell(&l, true);
    clear(&l, s, 20000);
    review(&l, 20000);
    tell(&l, false);
    CU_ASSERT_EQUAL(due(&l, 20000), PROBLEM_NOTHING);
    s->cleared = s->ended = instant_of_ns(0);
    s->flaps = 1;
    review(&l, 30000);
    CU_ASSERT_EQUAL(l.p->state, PROBLEM_OPEN);
    CU_ASSERT_EQUAL(l.p->reopened, 1);
    CU_ASSERT_EQUAL(l.p->ended.ns, 0);
    CU_ASSERT_EQUAL(due(&l, 31999), PROBLEM_NOTHING);
    CU_ASSERT_EQUAL(due(&l, 32000), PROBLEM_TELL_OPEN);
    s->flaps = 2;
    review(&l, 33000);
    CU_ASSERT(has_step(l.p, PROBLEM_STEP_FLAPPING, "it comes and goes: raised 3 times"));
    finish(&l);
}

static void
merged_it_is_over_and_the_other_has_all(void)
{
    struct life l;
    begin(&l);
    struct problem *other = problem_new(INV_CAUSE_LINK, "l1", desk_world_at(0));

    raise_on(&l, 0, INV_CRITICAL, 0);
    struct symptom *s = raise_on(&l, 1, INV_CRITICAL, 0);
    l.p->id = 17;
    /* As if it had been of the other from the beginning. */
    l.p->symptoms = s->next;
    l.p->symptom_count--;
    s->problem = NULL;
    s->next = NULL;
    problem_join(other, s);
    problem_hear(other, "noc")->open = true;
    CU_ASSERT_EQUAL(problem_merge(l.p, other, desk_world_at(5000)), 0);
    CU_ASSERT_EQUAL(other->state, PROBLEM_MERGED);
    CU_ASSERT_EQUAL(other->merged_into, 17);
    CU_ASSERT_EQUAL_FATAL(other->change_count, 1);
    CU_ASSERT_STRING_EQUAL(other->changes[0], "it is part of problem 17, risk duct");
    CU_ASSERT_EQUAL(other->symptom_count, 0);
    CU_ASSERT_EQUAL(l.p->symptom_count, 2);
    CU_ASSERT(s->problem == l.p && s->is_new);
    CU_ASSERT_EQUAL(problem_due(other, desk_world_at(5000), span_of_ns(1)), PROBLEM_TELL_END);
    problem_free(other);
    finish(&l);
}

static void
it_is_held_while_all_that_is_bad_is_in_a_window(void)
{
    struct life l;
    char buf[48];
    begin(&l);

    struct symptom *a = raise_on(&l, 0, INV_CRITICAL, 0);
    struct symptom *b = raise_on(&l, 1, INV_CRITICAL, 0);
    review(&l, 2000);
    CU_ASSERT_PTR_NULL(problem_is_held(l.p, l.w.reach, l.window, buf, sizeof buf));
    l.window[a->place] = 12;
    CU_ASSERT_PTR_NULL(problem_is_held(l.p, l.w.reach, l.window, buf, sizeof buf));
    l.window[b->place] = 12;
    CU_ASSERT_STRING_EQUAL(problem_is_held(l.p, l.w.reach, l.window, buf, sizeof buf),
                           "maintenance 12");
    l.window[b->place] = 0;
    clear(&l, b, 3000);
    CU_ASSERT_PTR_NOT_NULL(problem_is_held(l.p, l.w.reach, l.window, buf, sizeof buf));
    CU_ASSERT_EQUAL(problem_hold(l.p, buf, desk_world_at(3000)), 0);
    size_t steps = l.p->step_count;
    CU_ASSERT_EQUAL(problem_hold(l.p, buf, desk_world_at(4000)), 0);
    CU_ASSERT_EQUAL(l.p->step_count, steps);
    CU_ASSERT_EQUAL(problem_hold(l.p, NULL, desk_world_at(5000)), 0);
    CU_ASSERT_PTR_NULL(l.p->held);
    finish(&l);
}

static void
a_budget_does_not_keep_a_problem_of_links_open(void)
{
    struct life l;
    begin(&l);

    struct symptom *s = raise_on(&l, 0, INV_CRITICAL, 0);
    struct symptom *burn = symptom_new("burn", "budget", "nobody", "", "");
    burn->scope = SYMPTOM_SERVICE;
    burn->place = REACH_NONE;
    burn->began = desk_world_at(0);
    l.symptoms[63] = burn;
    problem_join(l.p, burn);
    clear(&l, s, 20000);
    review(&l, 20000);
    CU_ASSERT_EQUAL(l.p->state, PROBLEM_ENDED);
    finish(&l);
    symptom_free(burn);
}

/* Time is told in minutes from when it opened; who asked for it is reminded each hour. */
static bool
reminds(struct life *l, int64_t minute)
{
    return problem_reminds(l->p, problem_heard(l->p, "noc"), span_of_ns(3600 * NS_PER_S),
                           desk_world_at(minute * 60000));
}

static void
who_heard_of_it_is_reminded_until_somebody_has_it(void)
{
    struct life l;
    begin(&l);

    struct symptom *s = raise_on(&l, 0, INV_CRITICAL, 0);
    review(&l, 0);
    CU_ASSERT(!reminds(&l, 600)); /* Nobody was told. */
    tell(&l, true);
    problem_heard(l.p, "noc")->at = desk_world_at(0);
    CU_ASSERT(!reminds(&l, 59));
    CU_ASSERT(reminds(&l, 60));
    CU_ASSERT(
        !problem_reminds(l.p, problem_heard(l.p, "noc"), span_of_ns(0), desk_world_at(1 << 30)));
    CU_ASSERT(!problem_reminds(l.p, NULL, span_of_ns(1), desk_world_at(1 << 30)));
    problem_heard(l.p, "noc")->at = desk_world_at(60 * 60000); /* It was. */
    CU_ASSERT(!reminds(&l, 119));
    CU_ASSERT(reminds(&l, 120));
    l.p->told = false; /* It is back, and that is told first. */
    CU_ASSERT(!reminds(&l, 120));
    l.p->told = true;
    l.p->ack.by = strdup("ann");
    CU_ASSERT(!reminds(&l, 120));
    CU_ASSERT(!reminds(&l, 100000)); /* Until it ends. */
    l.p->ack.until = desk_world_at(240 * 60000);
    CU_ASSERT(!reminds(&l, 239));
    CU_ASSERT(reminds(&l, 240));
    clear(&l, s, 250 * 60000);
    review(&l, 250 * 60000);
    CU_ASSERT(!reminds(&l, 1000));
    finish(&l);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"it is told when made, and its end at once", it_is_told_when_made_and_over_at_once},
        {"what is over before it was told is not told",
         what_is_over_before_it_was_told_is_not_told},
        {"changes are told when they are quiet", changes_are_told_when_they_are_quiet},
        {"a change without end is told all the same", a_change_without_end_is_told_all_the_same},
        {"it is opened again and told once more", it_is_opened_again_and_told_once_more},
        {"merged it is over, and the other has all", merged_it_is_over_and_the_other_has_all},
        {"it is held while all that is bad is in a window",
         it_is_held_while_all_that_is_bad_is_in_a_window},
        {"who heard of it is reminded until somebody has it",
         who_heard_of_it_is_reminded_until_somebody_has_it},
        {"a budget does not keep a problem of links open",
         a_budget_does_not_keep_a_problem_of_links_open},
        CU_TEST_INFO_NULL};

    return run_suite("problem", tests);
}
