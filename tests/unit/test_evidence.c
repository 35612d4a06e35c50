/* test_evidence.c - what is said beside a problem, kind by kind, in the words that people read. */
#include "evidence.h"

#include <inttypes.h>

#include "desk_world.h"

#define LINKS 6

struct scene {
    struct desk_world w;
    struct problem *p;
    bool down[LINKS];
    struct symptom *symptoms[16];
    size_t count;
    struct evidence_facts f;
    struct evidence_source sources[8];
    struct evidence_budget budgets[8];
    struct evidence_window windows[16];
    cJSON *list;
};

/* l0 ... l3 share a risk, p0 to p1; l4 is of another, l5 of none.  Services of l0 and of others. */
static void
begin(struct scene *s, enum inv_cause kind, const char *key)
{
    *s = (struct scene){.count = 0};
    desk_world_begin(&s->w, 3);
    for (unsigned i = 0; i < LINKS; i++) {
        desk_world_link(&s->w, 0, i < 4 ? 1 : 2, true,
                        i < 4    ? "risks: [duct]"
                        : i == 4 ? "risks: [trench]"
                                 : NULL);
    }
    desk_world_end(
        &s->w,
        "tenants: {t: {}}\nconnectors:\n"
        "  c0: {tenant: t, site: s0, attachments: {m: {port: {router: r0, interface: i0}}}}\n"
        "  c1: {tenant: t, site: s1, attachments: {m: {port: {router: r1, interface: i1}}}}\n"
        "services:\n"
        "  one: {tenant: t, ends: [c0, c1], over: [l0], classes: [gold]}\n"
        "  two: {tenant: t, ends: [c0, c1], over: [l0], classes: [gold]}\n"
        "  three: {tenant: t, ends: [c0, c1], over: [l0], classes: [gold]}\n"
        "  far: {tenant: t, ends: [c0, c1], over: [l5], classes: [gold]}\n");
    s->p = problem_new(kind, key, desk_world_at(0));
    s->f = (struct evidence_facts){.now = desk_world_at(2000),
                                   .down = s->down,
                                   .events = NULL,
                                   .budgets = s->budgets,
                                   .windows = s->windows,
                                   .sources = s->sources};
}

static void
finish(struct scene *s)
{
    cJSON_Delete(s->list);
    problem_free(s->p);
    for (size_t i = 0; i < s->count; i++) {
        symptom_free(s->symptoms[i]);
    }
    desk_world_fini(&s->w);
}

static struct symptom *
symptom(struct scene *s, enum symptom_scope scope, const char *rule, const char *metric,
        const char *object, const char *class_, const char *details)
{
    struct symptom *a = symptom_new(rule, metric, object, class_, "p0");

    a->id = (int64_t)s->count + 1;
    a->severity = INV_MAJOR;
    a->scope = scope;
    a->place = reach_place(s->w.reach, scope, object);
    a->began = a->raised = a->recorded = desk_world_at(-3000);
    CU_ASSERT_EQUAL(symptom_read_details(a, details), 0);
    s->symptoms[s->count++] = a;
    return a;
}

static struct symptom *
raise_on(struct scene *s, const char *rule, const char *link, const char *class_,
         const char *details)
{
    struct symptom *a = symptom(s, SYMPTOM_LINK, rule, "flr", link, class_, details);

    s->down[a->place] = true;
    problem_join(s->p, a);
    return a;
}

static void
look(struct scene *s)
{
    CU_ASSERT_EQUAL(problem_review(s->p, s->w.reach, s->down, desk_world_at(1000)), 0);
    cJSON_Delete(s->list);
    evidence_sort(&s->f);
    s->list = evidence_find(&s->f, s->w.reach, s->p);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->list);
}

/* The n-th of that kind; NULL: there are not so many. */
static const cJSON *
item(const struct scene *s, const char *kind, int n)
{
    const cJSON *e;

    cJSON_ArrayForEach(e, s->list)
    {
        if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(e, "kind")), kind) && n-- == 0) {
            return e;
        }
    }
    return NULL;
}

static const char *
text(const struct scene *s, const char *kind, int n)
{
    const cJSON *e = item(s, kind, n);

    return e ? cJSON_GetStringValue(cJSON_GetObjectItem(e, "text")) : "";
}

/* --- Kinds --------------------------------------------------------------------- */

static void
packets_that_could_not_be_sent_are_counted_once(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");

    raise_on(&s, "cut", "l0", "gold", "{\"send_errors\": 0}");
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "send_errors", 0));
    symptom_read_details(s.symptoms[0], "{\"send_errors\": 1}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "send_errors", 0),
                           "1 packet could not even be sent: the interface or a route is gone");
    /* Two rules of one class see the same packets; another class has others. */
    symptom_read_details(s.symptoms[0], "{\"send_errors\": 30}");
    raise_on(&s, "brown", "l0", "gold", "{\"send_errors\": 40}");
    raise_on(&s, "brownest", "l0", "gold", "{\"send_errors\": 40}");
    raise_on(&s, "cut", "l0", "be", "{\"send_errors\": 2}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "send_errors", 0),
                           "42 packets could not even be sent: the interface or a route is gone");
    CU_ASSERT_PTR_NULL(item(&s, "send_errors", 1));
    /* What is clear tells of what was. */
    s.symptoms[3]->cleared = s.symptoms[3]->ended = desk_world_at(1500);
    look(&s);
    CU_ASSERT(!strncmp(text(&s, "send_errors", 0), "40 packets", 10));
    finish(&s);
}

static void
of_several_links_no_packets_are_added_up(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_RISK, "duct");

    raise_on(&s, "cut", "l0", "gold", "{\"send_errors\": 5}");
    raise_on(&s, "cut", "l1", "gold", "{\"send_errors\": 5}");
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "send_errors", 0));
    finish(&s);
}

static void
links_of_the_same_risk_are_counted(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");

    raise_on(&s, "cut", "l0", "gold", "{}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "same_risk", 0), "of risk duct 1 of 4 links is bad");
    s.down[4] = true; /* Of another risk. */
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "same_risk", 0), "of risk duct 1 of 4 links is bad");
    CU_ASSERT_PTR_NULL(item(&s, "same_risk", 1));
    s.down[2] = true;
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "same_risk", 0), "of risk duct 2 of 4 links are bad");
    /* What is not measured is not of them. */
    s.w.inv->links[3].state = INV_PLANNED;
    s.w.inv->links[1].in_service = desk_world_at(60000);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "same_risk", 0), "of risk duct 2 of 2 links are bad");
    finish(&s);
}

static void
a_bad_clock_at_an_end_is_said(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");
    struct symptom *clock =
        symptom(&s, SYMPTOM_PROBE, "clock", "clock_error", "p1", "", "{\"value\": 2000000}");

    raise_on(&s, "cut", "l0", "gold", "{}");
    s.sources[2].clock = clock; /* p2 is no end of it. */
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "clock", 0));
    s.sources[1].clock = clock;
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "clock", 0),
                           "the clock of probe p1 is bad: clock since 2027-01-15T07:59:57Z");
    CU_ASSERT_PTR_NULL(item(&s, "clock", 1));
    finish(&s);
}

static void
far_ends_serve_or_do_not(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");
    struct symptom *silent = symptom(&s, SYMPTOM_PROBE, "silent", "silence", "p1", "", "{}");

    raise_on(&s, "cut", "l0", "gold", "{}");
    look(&s); /* Of neither is anything known. */
    CU_ASSERT_PTR_NULL(item(&s, "far_end", 0));
    s.sources[0].committed = desk_world_at(2000 - 180000);
    s.sources[1].committed = desk_world_at(2000 - 181000);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "far_end", 0),
                           "probe p0 serves, its stream was written 180 s ago");
    CU_ASSERT_STRING_EQUAL(text(&s, "far_end", 1),
                           "probe p1: its stream was last written at 2027-01-15T07:57:01Z");
    s.sources[1].closed = true;
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "far_end", 1), "probe p1 is given up");
    s.sources[1].silence = silent;
    look(&s);
    CU_ASSERT_STRING_EQUAL(
        text(&s, "far_end", 1),
        "probe p1 has said nothing since 2027-01-15T07:59:57Z: it may be the cause");
    finish(&s);
}

static void
maintenance_beside_it_is_said_once_a_window(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_RISK, "duct");
    const struct instant end = desk_world_at(3600000), ended = desk_world_at(-60000);

    raise_on(&s, "cut", "l0", "gold", "{}");
    raise_on(&s, "cut", "l1", "gold", "{}");
    s.windows[s.f.window_count++] =
        (struct evidence_window){.id = 9, .link = 5, .end = end, .runs = true};
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "maintenance", 0)); /* Of another link. */
    s.windows[s.f.window_count++] = (struct evidence_window){.id = 7, .link = 1, .end = ended};
    s.windows[s.f.window_count++] =
        (struct evidence_window){.id = 3, .link = 1, .end = end, .runs = true};
    s.windows[s.f.window_count++] =
        (struct evidence_window){.id = 3, .link = 0, .end = end, .runs = true};
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "maintenance", 0),
                           "maintenance 3 of link l0 runs until 2027-01-15T09:00:00Z");
    CU_ASSERT_STRING_EQUAL(text(&s, "maintenance", 1),
                           "maintenance 7 of link l1 ended at 2027-01-15T07:59:00Z");
    CU_ASSERT_PTR_NULL(item(&s, "maintenance", 2));
    CU_ASSERT_EQUAL(
        cJSON_GetNumberValue(cJSON_GetObjectItem(item(&s, "maintenance", 0), "maintenance")), 3);
    for (int64_t id = 20; id < 30; id++) {
        s.windows[s.f.window_count++] = (struct evidence_window){.id = id, .link = 0, .end = end};
    }
    look(&s);
    CU_ASSERT_PTR_NOT_NULL(item(&s, "maintenance", 4));
    CU_ASSERT_PTR_NULL(item(&s, "maintenance", 5)); /* So many and no more. */
    finish(&s);
}

static void
spend(struct scene *s, const char *service, const char *metric, int64_t used, int64_t of)
{
    struct evidence_budget *b = &s->budgets[s->f.budget_count++];

    *b = (struct evidence_budget){
        .service = (uint32_t)(inventory_service(s->w.inv, service) - s->w.inv->services),
        .used = used,
        .budget = of};
    snprintf(b->class_, sizeof b->class_, "gold");
    snprintf(b->metric, sizeof b->metric, "%s", metric);
}

static void
the_service_with_least_left_is_named(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");

    raise_on(&s, "cut", "l0", "gold", "{}");
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "budget", 0));
    spend(&s, "far", "flr", 90, 10); /* Not over it. */
    look(&s);
    CU_ASSERT_PTR_NULL(item(&s, "budget", 0));
    spend(&s, "one", "availability", 40, 100);
    spend(&s, "two", "flr", 3, 6);
    spend(&s, "one", "flr", 1, 6);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "budget", 0),
                           "service two has used 50% of what its month allows (gold flr)");
    /* Two objectives of one service are not two services. */
    spend(&s, "one", "rt_p99", 12, 6);
    s.budgets[s.f.budget_count - 1].used = 12;
    spend(&s, "one", "hli", 6, 6);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "budget", 0),
                           "service one has used 200% of what its month allows (gold rt_p99)");
    spend(&s, "two", "rt_p99", 6, 6);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "budget", 0),
                           "service one has used 200% of what its month allows (gold rt_p99); "
                           "another has used all");
    spend(&s, "three", "rt_p99", 7, 6);
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "budget", 0),
                           "service one has used 200% of what its month allows (gold rt_p99); "
                           "others have used all");
    CU_ASSERT_PTR_NULL(item(&s, "budget", 1));
    finish(&s);
}

static void
flows_are_counted_though_not_all_are_named(void)
{
    struct scene s;
    begin(&s, INV_CAUSE_LINK, "l0");

    raise_on(&s, "cut", "l0", "gold", "{\"flows\": {\"of\": 4, \"over\": [2], \"over_count\": 1}}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "paths", 0), "1 of 4 flows: one path of several");
    symptom_read_details(s.symptoms[0],
                         "{\"flows\": {\"of\": 20, \"over\": [0, 1, 2], \"over_count\": 20}}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "paths", 0), "all 20 flows");
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(item(&s, "paths", 0), "over")), 20);
    /* A count that cannot be is not believed. */
    symptom_read_details(s.symptoms[0],
                         "{\"flows\": {\"of\": 20, \"over\": [0, 1, 2], \"over_count\": 21}}");
    look(&s);
    CU_ASSERT_STRING_EQUAL(text(&s, "paths", 0), "3 of 20 flows: some paths of several");
    finish(&s);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"packets that could not be sent are counted once",
         packets_that_could_not_be_sent_are_counted_once},
        {"of several links no packets are added up", of_several_links_no_packets_are_added_up},
        {"links of the same risk are counted", links_of_the_same_risk_are_counted},
        {"a bad clock at an end is said", a_bad_clock_at_an_end_is_said},
        {"far ends serve or do not", far_ends_serve_or_do_not},
        {"maintenance beside it is said once a window",
         maintenance_beside_it_is_said_once_a_window},
        {"the service with least left is named", the_service_with_least_left_is_named},
        {"flows are counted, though not all are named", flows_are_counted_though_not_all_are_named},
        CU_TEST_INFO_NULL};

    return run_suite("evidence", tests);
}
