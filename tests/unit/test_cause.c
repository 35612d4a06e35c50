/* test_cause.c - which alarms share a cause: complete, half complete, joined, merged; and of any
 * topology that each alarm is of one cause. */
#include "cause.h"

#include <stdlib.h>

#include "desk_world.h"

#define GATHER_MS 2000
#define MANY 400

/* What is asked, and what came out. */
struct question {
    struct desk_world *w;
    struct cause_item items[2000];
    size_t item_count;
    struct cause_open open[20];
    size_t open_count;
    struct cause *causes;
    size_t cause_count;
};

static struct cause_item *
put(struct question *q, uint32_t object, enum symptom_what what, int64_t since_ms)
{
    struct cause_item *i = &q->items[q->item_count++];

    *i = (struct cause_item){.object = object,
                             .what = what,
                             .pending = true,
                             .since = desk_world_at(since_ms),
                             .open = CAUSE_NONE};
    return i;
}

static struct cause_item *
cut(struct question *q, unsigned link, int64_t since_ms)
{
    return put(q, desk_world_place(q->w, link), SYMPTOM_LOSS, since_ms);
}

/* It is of that problem already. */
static void
known(struct cause_item *i, uint32_t open)
{
    i->pending = false;
    i->open = open;
}

static uint32_t
opened(struct question *q, enum inv_cause kind, const char *key, int64_t ms)
{
    q->open[q->open_count] = (struct cause_open){.kind = kind,
                                                 .key = key,
                                                 .opened = desk_world_at(ms),
                                                 .whats = 1u << SYMPTOM_LOSS,
                                                 .has_links = true};
    return (uint32_t)q->open_count++;
}

static void
ask(struct question *q, int64_t now_ms)
{
    const struct cause_times t = {.now = desk_world_at(now_ms),
                                  .gather = {GATHER_MS * NS_PER_MS},
                                  .together = {300 * NS_PER_S}};

    free(q->causes);
    CU_ASSERT_EQUAL(cause_find(q->w->reach, &t, q->items, q->item_count, q->open, q->open_count,
                               &q->causes, &q->cause_count),
                    0);
}

/* Whether all pending items are of one cause of that name. */
static bool
all_are(const struct question *q, enum inv_cause kind, const char *key)
{
    for (size_t i = 0; i < q->item_count; i++) {
        uint32_t c = q->items[i].cause;
        if (q->items[i].pending &&
            (c == CAUSE_NONE || q->causes[c].kind != kind || strcmp(q->causes[c].key, key) != 0)) {
            return false;
        }
    }
    return true;
}

static bool
none_is_decided(const struct question *q)
{
    for (size_t i = 0; i < q->item_count; i++) {
        if (q->items[i].cause != CAUSE_NONE) {
            return false;
        }
    }
    return true;
}

/* 400 links of one risk between two of three sites, and one of each pair besides. */
static void
duct(struct desk_world *w)
{
    desk_world_begin(w, 3);
    for (unsigned i = 0; i < MANY; i++) {
        desk_world_link(w, 0, 1, true, "risks: [duct]");
    }
    desk_world_link(w, 0, 1, true, NULL);
    desk_world_link(w, 0, 2, true, NULL);
    desk_world_link(w, 1, 2, true, NULL);
    desk_world_end(w, NULL);
}

static void
four_hundred_links_of_one_risk_are_one(void)
{
    struct desk_world w;
    duct(&w);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    for (unsigned i = 0; i < MANY; i++) {
        cut(q, i, i % 7);
    }
    ask(q, GATHER_MS - 1);
    CU_ASSERT(none_is_decided(q));
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_RISK, "duct"));
    CU_ASSERT_EQUAL(q->causes[0].keep, CAUSE_NONE);
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
what_is_nearly_whole_is_waited_for(void)
{
    struct desk_world w;
    duct(&w);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    for (unsigned i = 0; i < MANY - 20; i++) {
        cut(q, i, 0);
    }
    ask(q, GATHER_MS);
    CU_ASSERT(none_is_decided(q));
    ask(q, 3 * GATHER_MS - 1);
    CU_ASSERT(none_is_decided(q));
    for (unsigned i = MANY - 20; i < MANY; i++) {
        cut(q, i, 3 * GATHER_MS - 1);
    }
    ask(q, 3 * GATHER_MS - 1);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_RISK, "duct"));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
and_no_longer_than_three_times(void)
{
    struct desk_world w;
    duct(&w);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    for (unsigned i = 0; i < MANY - 20; i++) {
        cut(q, i, 0);
    }
    ask(q, 3 * GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, MANY - 20);
    CU_ASSERT(!none_is_decided(q));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
less_than_half_is_not_waited_for(void)
{
    struct desk_world w;
    duct(&w);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    for (unsigned i = 0; i < MANY / 2 - 1; i++) {
        cut(q, i, 0);
    }
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, MANY / 2 - 1);
    cut(q, MANY / 2 - 1, 0); /* Now half of the duct's; of the sites' fewer. */
    ask(q, GATHER_MS);
    CU_ASSERT(none_is_decided(q));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
one_link_is_itself_and_two_are_two(void)
{
    struct desk_world w;
    desk_world_begin(&w, 4);
    desk_world_link(&w, 0, 1, true, NULL);
    desk_world_link(&w, 0, 1, true, NULL);
    desk_world_link(&w, 2, 3, true, NULL);
    desk_world_link(&w, 2, 3, true, NULL);
    desk_world_end(&w, NULL);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    cut(q, 0, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_LINK, "l0"));
    cut(q, 2, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 2);
    CU_ASSERT_NOT_EQUAL(q->items[0].cause, q->items[1].cause);
    /* What is of one link is one, whatever it is. */
    put(q, desk_world_place(&w, 0), SYMPTOM_DELAY, 1000);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->items[2].cause, q->items[0].cause);
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
a_site_and_a_router_explain_their_links(void)
{
    struct desk_world w;
    desk_world_begin(&w, 4);
    desk_world_link(&w, 0, 1, false, NULL);
    desk_world_link(&w, 0, 2, true, NULL);
    desk_world_link(&w, 0, 3, true, NULL);
    desk_world_link(&w, 1, 2, false, NULL);
    desk_world_link(&w, 2, 3, false, NULL);
    desk_world_link(&w, 1, 3, false, NULL);
    desk_world_end(&w, NULL);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    /* Router r0 has two links, probe p0 and site s0 those and another. */
    cut(q, 1, 0);
    cut(q, 2, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_ROUTER, "r0"));
    /* All three: the probe and the site explain the same; the probe is preferred. */
    cut(q, 0, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_PROBE, "p0"));
    free(q->causes);
    free(q);
    desk_world_fini(&w);

    /* A site with two probes: neither has all of its links. */
    desk_world_begin(&w, 3);
    fprintf(w.to, "  l0: {classes: [gold], ends: [{probe: q0, address: 10.9.0.1}, {probe: p1, "
                  "address: 10.9.0.2}]}\n  l1: {classes: [gold], ends: [{probe: p0, address: "
                  "10.9.1.1}, {probe: p2, address: 10.9.1.2}]}\n  l2: {classes: [gold], ends: "
                  "[{probe: p1, address: 10.9.2.1}, {probe: p2, address: 10.9.2.2}]}\n");
    desk_world_end(&w, NULL);
    q = calloc(1, sizeof *q);
    q->w = &w;
    cut(q, 0, 0);
    cut(q, 1, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_SITE, "s0"));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
of_two_the_one_that_explains_most(void)
{
    struct desk_world w;
    desk_world_begin(&w, 3);
    desk_world_link(&w, 0, 1, true, "risks: [small, big]");
    desk_world_link(&w, 0, 1, true, "risks: [small, big]");
    desk_world_link(&w, 0, 2, true, "risks: [big]");
    desk_world_link(&w, 0, 2, true, NULL);
    desk_world_link(&w, 1, 2, true, NULL);
    desk_world_end(&w, NULL);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    cut(q, 0, 0);
    cut(q, 1, 0);
    ask(q, GATHER_MS);
    CU_ASSERT(all_are(q, INV_CAUSE_RISK, "small"));
    cut(q, 2, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_RISK, "big"));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
later_alarms_join_what_is_open(void)
{
    struct desk_world w;
    duct(&w);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    uint32_t risk = opened(q, INV_CAUSE_RISK, "duct", -100000);
    known(cut(q, 0, 0), risk);
    struct cause_item *later = cut(q, 1, 0);
    ask(q, 1); /* At once. */
    CU_ASSERT_EQUAL_FATAL(q->cause_count, 1);
    CU_ASSERT_EQUAL(later->cause, 0);
    CU_ASSERT_EQUAL(q->causes[0].keep, risk);
    /* Of another kind it waits to see what it is; then it joins by its link, not by the cause. */
    struct cause_item *slow = put(q, desk_world_place(&w, 0), SYMPTOM_DELAY, 0);
    struct cause_item *other = put(q, desk_world_place(&w, 2), SYMPTOM_DELAY, 0);
    slow->open = risk;
    ask(q, 1);
    CU_ASSERT_EQUAL(slow->cause, CAUSE_NONE);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL(q->causes[slow->cause].keep, risk);
    CU_ASSERT_EQUAL(q->causes[other->cause].keep, CAUSE_NONE);
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
problems_of_links_become_the_cause_that_is_whole(void)
{
    struct desk_world w;
    desk_world_begin(&w, 3);
    desk_world_link(&w, 0, 1, true, "risks: [duct]");
    desk_world_link(&w, 0, 1, true, "risks: [duct]");
    desk_world_link(&w, 0, 1, true, "risks: [duct]");
    desk_world_link(&w, 0, 2, true, NULL);
    desk_world_link(&w, 1, 2, true, NULL);
    desk_world_end(&w, NULL);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    uint32_t first = opened(q, INV_CAUSE_LINK, "l0", -10000);
    uint32_t second = opened(q, INV_CAUSE_LINK, "l1", -5000);
    known(cut(q, 0, 0), first);
    known(cut(q, 1, 0), second);
    cut(q, 2, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL_FATAL(q->cause_count, 1);
    CU_ASSERT_EQUAL(q->causes[0].kind, INV_CAUSE_RISK);
    CU_ASSERT_EQUAL(q->causes[0].keep, first);
    CU_ASSERT_EQUAL(q->open[first].cause, 0);
    CU_ASSERT_EQUAL(q->open[second].cause, 0);
    /* One that is old stays what it is; the others are still all that can go. */
    q->open[first].opened = desk_world_at(-400000);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL_FATAL(q->cause_count, 1);
    CU_ASSERT_EQUAL(q->causes[0].keep, second);
    CU_ASSERT_EQUAL(q->open[first].cause, CAUSE_NONE);
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

static void
a_silent_probe_explains_what_goes_to_it(void)
{
    struct desk_world w;
    desk_world_begin(&w, 3);
    desk_world_link(&w, 0, 1, true, "probe_from: both"); /* p1 sees it go. */
    desk_world_link(&w, 0, 2, true, NULL);               /* p0 alone sends. */
    desk_world_link(&w, 1, 2, true, NULL);
    desk_world_end(&w, NULL);
    struct question *q = calloc(1, sizeof *q);
    q->w = &w;

    uint32_t link = opened(q, INV_CAUSE_LINK, "l0", -15000);
    known(cut(q, 0, 0), link);
    put(q, reach_place(w.reach, SYMPTOM_PROBE, "p0"), SYMPTOM_SILENCE, 0);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL_FATAL(q->cause_count, 1);
    CU_ASSERT(all_are(q, INV_CAUSE_PROBE, "p0"));
    CU_ASSERT_EQUAL(q->causes[0].keep, link);
    /* The other way round. */
    q->open[link] = (struct cause_open){.kind = INV_CAUSE_PROBE,
                                        .key = "p0",
                                        .opened = desk_world_at(-1000000),
                                        .whats = 1u << SYMPTOM_SILENCE};
    q->items[0].pending = true;
    q->items[0].open = CAUSE_NONE;
    known(&q->items[1], link);
    ask(q, GATHER_MS);
    CU_ASSERT_EQUAL_FATAL(q->cause_count, 1);
    CU_ASSERT_EQUAL(q->causes[0].keep, link);
    CU_ASSERT(all_are(q, INV_CAUSE_PROBE, "p0"));
    free(q->causes);
    free(q);
    desk_world_fini(&w);
}

/* --- Any topology --------------------------------------------------------- */

static void
random_world(struct desk_world *w)
{
    unsigned sites = 2 + (unsigned)random_below(5), links = 1 + (unsigned)random_below(40);

    desk_world_begin(w, sites);
    for (unsigned i = 0; i < links; i++) {
        char risks[64];
        unsigned from = (unsigned)random_below(sites);
        snprintf(risks, sizeof risks, "risks: [k%u, m%u]", (unsigned)random_below(4),
                 (unsigned)random_below(4));
        desk_world_link(w, from, (from + 1) % sites, random_chance(500), risks);
    }
    desk_world_end(w, NULL);
}

/* A cause of several links has all of its measured ones, and at least two. */
static void
check_causes(const struct question *q)
{
    unsigned bad[1000] = {0};
    uint32_t count;

    for (size_t i = 0; i < q->item_count; i++) {
        CU_ASSERT_FATAL(q->items[i].cause < q->cause_count);
        bad[q->items[i].cause]++;
    }
    for (size_t c = 0; c < q->cause_count; c++) {
        CU_ASSERT(bad[c] > 0);
        if (q->causes[c].kind == INV_CAUSE_LINK) {
            CU_ASSERT_EQUAL(bad[c], 1);
            continue;
        }
        uint32_t candidate = reach_candidate(q->w->reach, q->causes[c].kind, q->causes[c].key);
        const uint32_t *list = reach_list(&q->w->reach->under, candidate, &count);
        CU_ASSERT(bad[c] >= 2);
        for (uint32_t k = 0; k < count; k++) {
            bool there = false;
            for (size_t i = 0; i < q->item_count && !there; i++) {
                there = q->items[i].object == list[k];
            }
            CU_ASSERT(there);
        }
        for (size_t i = 0; i < q->item_count; i++) {
            bool under = q->items[i].cause != c;
            for (uint32_t k = 0; k < count && !under; k++) {
                under = list[k] == q->items[i].object;
            }
            CU_ASSERT(under);
        }
    }
}

static void
each_alarm_is_of_one_cause_whatever_the_topology(void)
{
    for (int round = 0; round < 300; round++) {
        struct desk_world w;
        struct question *q = calloc(1, sizeof *q);
        random_world(&w);
        q->w = &w;
        unsigned per_mille = (unsigned)random_below(1001);
        for (unsigned i = 0; i < w.links; i++) {
            if (random_chance(per_mille)) {
                cut(q, i, (int64_t)random_below(GATHER_MS));
            }
        }
        ask(q, 10 * GATHER_MS); /* Nothing waits any more. */
        check_causes(q);
        free(q->causes);
        free(q);
        desk_world_fini(&w);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"400 links of one risk are one", four_hundred_links_of_one_risk_are_one},
        {"what is nearly whole is waited for", what_is_nearly_whole_is_waited_for},
        {"and no longer than three times", and_no_longer_than_three_times},
        {"less than half is not waited for", less_than_half_is_not_waited_for},
        {"one link is itself, and two are two", one_link_is_itself_and_two_are_two},
        {"a site and a router explain their links", a_site_and_a_router_explain_their_links},
        {"of two the one that explains most", of_two_the_one_that_explains_most},
        {"later alarms join what is open", later_alarms_join_what_is_open},
        {"problems of links become the cause that is whole",
         problems_of_links_become_the_cause_that_is_whole},
        {"a silent probe explains what goes to it", a_silent_probe_explains_what_goes_to_it},
        {"each alarm is of one cause whatever the topology",
         each_alarm_is_of_one_cause_whatever_the_topology},
        CU_TEST_INFO_NULL};

    return run_suite("cause", tests);
}
