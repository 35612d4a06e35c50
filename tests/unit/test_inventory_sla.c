/* test_inventory_sla.c - what is promised: profiles, credits, what is told of them, and whether
 * clocks and packets carry an objective. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "fault.h"
#include "inventory.h"
#include "inventory_sold.h"

/* One link under one service; what is NULL is as it mostly is. */
struct world {
    const char *classes;    /* Inside of class c. */
    const char *one, *two;  /* Clocks of the two probes. */
    const char *far;        /* The second end. */
    const char *flows;      /* A number. */
    const char *top;        /* More at the top, on lines of its own from 10 on. */
    const char *objectives; /* Inside of the list; "": no such key. */
    const char *sla;        /* More in the SLA. */
};

/* 80640 packets and as many delta-t in 28 days. */
#define SLOW "period: 30s, dt: 30s, n: 2, p: 1, loss_threshold: 100%"
#define STATELESS "{protocol: twamp-light, address: 10.0.0.2, reflector: stateless}"
#define ECHO "{protocol: icmp, address: 10.0.0.2}"
#define STATEFUL "{protocol: stamp, address: 10.0.0.2}"

static const char *
or_else(const char *text, const char *other)
{
    return text ? text : other;
}

static char *
world_text(const struct world *w, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);
    const char *objectives = or_else(w->objectives, "{class: c, metric: flr, limit: 1%}");

    fprintf(to,
            "inventory: 1\n"
            "sites: {s: {}}\n"
            "probes: {p: {site: s, clock: %s}, q: {site: s, clock: %s}}\n"
            "routers: {r: {site: s}}\n"
            "classes: {c: {%s}}\n"
            "links: {l: {ends: [{probe: p, address: 10.0.0.1}, %s], classes: [c], flows: %s}}\n"
            "tenants: {t: {timezone: Europe/Paris}}\n"
            "connectors: {a: {tenant: t, site: s, attachments: {x: {port: {router: r, interface: "
            "i1}}}}, b: {tenant: t, site: s, attachments: {x: {port: {router: r, interface: "
            "i2}}}}}\n"
            "services: {sv: {tenant: t, ends: [a, b], over: [l], classes: [c], sla: z}}\n",
            or_else(w->one, "ntp"), or_else(w->two, "ntp"), or_else(w->classes, ""),
            or_else(w->far, "{probe: q, address: 10.0.0.2}"), or_else(w->flows, "1"));
    if (w->top) {
        fprintf(to, "%s\n", w->top);
    }
    fprintf(to, "slas:\n  z:\n    version: 1\n    valid_from: 2026-01-01\n");
    if (*objectives) {
        fprintf(to, "    objectives: [%s]\n", objectives);
    }
    if (w->sla) {
        fprintf(to, "    %s\n", w->sla);
    }
    fclose(to);
    return text;
}

/* Reads it; NULL if it has an error. */
static struct inventory *
world_read(const struct world *w, struct faults *faults)
{
    struct inventory *inv = NULL;
    size_t size;
    char *text = world_text(w, &size);

    inventory_read(faults, "t.yaml", text, size, &inv);
    free(text);
    return inv;
}

/* How many faults have these words. */
static unsigned
faults_with(struct faults *faults, const char *words, enum fault_severity severity)
{
    size_t count;
    const struct fault *all = faults_sorted(faults, &count);
    unsigned found = 0;

    for (size_t i = 0; i < count; i++) {
        found += all[i].severity == severity && strstr(all[i].message, words) != NULL;
    }
    return found;
}

/* Exactly one fault with these words, of this severity; NULL: no fault at all. */
static void
world_says(const struct world *w, const char *words, enum fault_severity severity)
{
    struct faults *faults = faults_new();
    struct inventory *inv = world_read(w, faults);
    bool right = words ? faults_with(faults, words, severity) == 1
                       : faults_errors(faults) + faults_warnings(faults) == 0;

    CU_ASSERT_TRUE(right);
    CU_ASSERT_EQUAL(inv != NULL, !words || severity == FAULT_WARNING);
    if (!right) {
        printf("\n%s: wanted %s, got:\n", or_else(w->objectives, ""), or_else(words, "nothing"));
        faults_print(faults, stdout, 10);
    }
    inventory_free(inv);
    faults_free(faults);
}

struct said {
    struct world world;
    const char *words; /* NULL: nothing is said. */
    enum fault_severity severity;
};

static void
each_says(const struct said *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        world_says(&list[i].world, list[i].words, list[i].severity);
    }
}
#define EACH_SAYS(list) each_says(list, sizeof list / sizeof list[0])

/* --- Profiles ----------------------------------------------------------------- */

#define GM                                                                                         \
    "profiles: {gm: {label: Gold, objectives: [{class: c, metric: rt_p99, limit: 18ms}, {class: "  \
    "c, metric: availability, limit: 99.9%}]},\n"                                                  \
    "           m: {objectives: [{class: c, metric: hli, direction: fwd, limit: 3, min_samples: "  \
    "7}]}}"

static void
the_objectives_of_profiles_come_first_and_in_order(void)
{
    static const struct world w = {.top = GM, .sla = "profiles: [m, gm]"};
    struct faults *faults = faults_new();
    struct inventory *inv = world_read(&w, faults);

    faults_print(faults, stdout, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    const struct inv_sla *sla = inventory_sla(inv, "z");
    CU_ASSERT_EQUAL_FATAL(sla->profile_count, 2);
    CU_ASSERT_PTR_EQUAL(sla->profiles[0], inventory_profile(inv, "m"));
    CU_ASSERT_STRING_EQUAL(sla->profiles[1]->label, "Gold");
    CU_ASSERT_EQUAL_FATAL(sla->objective_count, 4);
    CU_ASSERT_EQUAL(sla->own_first, 3);
    CU_ASSERT_EQUAL(sla->objectives[0].metric.kind, INV_HLI);
    CU_ASSERT_EQUAL(sla->objectives[0].direction, INV_FWD);
    CU_ASSERT_EQUAL(sla->objectives[0].min_samples, 7);
    CU_ASSERT_EQUAL(sla->objectives[1].metric.kind, INV_RT);
    CU_ASSERT_EQUAL(sla->objectives[2].limit, 99900);
    CU_ASSERT_EQUAL(sla->objectives[3].metric.kind, INV_FLR);
    /* What a profile promises is counted exactly, as what the SLA itself does. */
    CU_ASSERT_EQUAL_FATAL(inventory_link(inv, "l")->limit_count, 1);
    CU_ASSERT_EQUAL(inventory_link(inv, "l")->limits[0].limit.limit.ns, 18 * NS_PER_MS);
    inventory_free(inv);
    faults_free(faults);
}

static void
an_sla_may_have_profiles_alone(void)
{
    static const struct world w = {.top = GM, .objectives = "", .sla = "profiles: [gm]"};
    struct faults *faults = faults_new();
    struct inventory *inv = world_read(&w, faults);

    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    CU_ASSERT_EQUAL(inventory_sla(inv, "z")->objective_count, 2);
    CU_ASSERT_EQUAL(inventory_sla(inv, "z")->own_first, 2);
    inventory_free(inv);
    faults_free(faults);
}

static void
what_is_wrong_with_profiles_is_told(void)
{
    static const struct said list[] = {
        {{.objectives = ""}, "key 'objectives' is missing", FAULT_ERROR},
        {{.top = GM, .sla = "profiles: [gn]"},
         "there is no profile 'gn'; did you mean 'gm'?",
         FAULT_ERROR},
        {{.top = GM, .sla = "profiles: [gm, gm]"}, "'gm' is in this list twice", FAULT_ERROR},
        {{.top = GM, .sla = "profiles: []"}, "expected 1 to 64 profiles, got 0", FAULT_ERROR},
        {{.top = GM, .sla = "profiles: gm"}, "expected a list of profiles", FAULT_ERROR},
        {{.top = "profiles: {x: {}}"}, "key 'objectives' is missing", FAULT_ERROR},
        {{.top = "profiles: {x: {objectives: []}}"},
         "expected 1 to 64 objectives, got 0",
         FAULT_ERROR},
        {{.top = "profiles: {x: {objectives: [{metric: flr, limit: 1%}]}}"},
         "key 'class' is missing",
         FAULT_ERROR},
        {{.top = "profiles: {x: {state: retired, objectives: [{class: c, metric: hli, limit: 1}]}}",
          .sla = "profiles: [x]"},
         "profile 'x' is retired",
         FAULT_ERROR},
        {{.classes = "}, d: {state: retired",
          .top = "profiles: {x: {objectives: [{class: d, metric: hli, limit: 1}]}}"},
         "class 'd' is retired",
         FAULT_ERROR},
        {{.classes = "}, d: {state: retired",
          .top = "profiles: {x: {state: retired, objectives: [{class: d, metric: hli, limit: "
                 "1}]}}"},
         NULL,
         FAULT_ERROR},
        /* Once, however many SLAs use it. */
        {{.top = "profiles: {x: {objectives: [{class: c, metric: ifdv_p99, limit: 1ms}]}}",
          .sla = "profiles: [x]"},
         "needs 'ifdv: true'",
         FAULT_ERROR},
        {{.top = "profiles: {x: {version: 1, objectives: [{class: c, metric: hli, limit: 1}]}}"},
         "unknown key 'version'",
         FAULT_ERROR},
    };

    EACH_SAYS(list);
}

static void
an_objective_that_a_profile_has_already_is_told_with_both_places(void)
{
    static const struct said list[] = {
        {{.top = GM,
          .objectives = "{class: c, metric: availability, limit: 99%}",
          .sla = "profiles: [gm]"},
         "have an objective already (t.yaml:10:84)",
         FAULT_ERROR},
        {{.top = "profiles: {x: {objectives: [{class: c, metric: hli, limit: 1}]},\n"
                 "           y: {objectives: [{class: c, metric: hli, limit: 2}]}}",
          .sla = "profiles: [x, y]"},
         "have an objective already (t.yaml:10:29)",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: hli, limit: 1}, {class: c, metric: hli, limit: 2}"},
         "have an objective already (t.yaml:14:18)",
         FAULT_ERROR},
        /* Another direction is another promise. */
        {{.top = GM,
          .objectives = "{class: c, metric: availability, direction: fwd, limit: 99%}",
          .sla = "profiles: [gm]"},
         NULL,
         FAULT_ERROR},
    };

    EACH_SAYS(list);
}

/* 64 objectives with those of the profile, and 65. */
static void
profiles_count_among_the_greatest_number_of_objectives(void)
{
    for (unsigned own = 61; own <= 62; own++) {
        char *objectives = NULL;
        size_t size;
        FILE *to = open_memstream(&objectives, &size);
        for (unsigned i = 0; i < own; i++) {
            fprintf(to, "%s{class: c, metric: rt_p%u, limit: %ums}", i ? ", " : "", i + 1, i + 5);
        }
        fclose(to);
        const struct world w = {.top = GM, .objectives = objectives, .sla = "profiles: [m, gm]"};
        struct faults *faults = faults_new();
        struct inventory *inv = world_read(&w, faults);
        unsigned over = faults_with(faults, "has 65 objectives; at most 64", FAULT_ERROR);
        CU_ASSERT_EQUAL(over, own == 62);
        /* With 64 it is only the limits that a link counts which are too many. */
        CU_ASSERT_EQUAL(faults_with(faults, "more than 8 limits", FAULT_ERROR) > 0, own == 61);
        inventory_free(inv);
        faults_free(faults);
        free(objectives);
    }
}

/* --- Credits, suspect data ---------------------------------------------------- */

static void
credits_of_all_kinds_are_read(void)
{
    static const struct world w = {
        .objectives = "{class: c, metric: rt_p99, limit: 18ms}, {class: c, metric: availability, "
                      "limit: 99.9%}, {class: c, metric: hli, limit: 4}",
        .sla = "credits: {rt_p99: {excess: [{above: 0%, credit: 1%}, {above: 10000%, credit: "
               "100%}], value: [{above: 20ms, credit: 5%}]}, hli: [{above: 4, credit: 2%}],\n"
               "      availability: {outage: [{above: 5m, credit: 10%}, {above: 31d, credit: "
               "20%}], value: [{below: 99.9%, credit: 3%}]}}"};
    static const struct {
        enum inv_metric_kind metric;
        enum inv_credit_by by;
        size_t tiers;
        uint64_t last;
    } wanted[] = {
        {INV_AVAILABILITY, INV_CREDIT_BY_VALUE, 1, 99900},
        {INV_AVAILABILITY, INV_CREDIT_BY_OUTAGE, 2, UINT64_C(31) * 86400 * NS_PER_S},
        {INV_HLI, INV_CREDIT_BY_VALUE, 1, 4},
        {INV_RT, INV_CREDIT_BY_VALUE, 1, 20 * NS_PER_MS},
        {INV_RT, INV_CREDIT_BY_EXCESS, 2, 10000000},
    };
    struct faults *faults = faults_new();
    struct inventory *inv = world_read(&w, faults);

    faults_print(faults, stdout, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    CU_ASSERT_EQUAL(faults_warnings(faults), 0);
    const struct inv_sla *sla = inventory_sla(inv, "z");
    CU_ASSERT_EQUAL_FATAL(sla->credit_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct inv_credit *c = &sla->credits[i];
        CU_ASSERT_EQUAL(c->metric.kind, wanted[i].metric);
        CU_ASSERT_EQUAL(c->by, wanted[i].by);
        CU_ASSERT_EQUAL_FATAL(c->tier_count, wanted[i].tiers);
        CU_ASSERT_EQUAL(c->tiers[c->tier_count - 1].bound, wanted[i].last);
    }
    inventory_free(inv);
    faults_free(faults);
}

#define AVAILABLE .objectives = "{class: c, metric: availability, limit: 99.9%}"
#define ROUND .objectives = "{class: c, metric: rt_p99, limit: 18ms}"

static void
what_is_wrong_with_credits_is_told(void)
{
    static const struct said list[] = {
        {{AVAILABLE, .sla = "credits: {availability: {}}"},
         "expected one of value, excess, outage",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outages: [{above: 5m, credit: 1%}]}}"},
         "unknown key 'outages'; did you mean 'outage'?",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {excess: [{above: 5%, credit: 1%}]}}"},
         "'excess' is of metrics with a greatest value",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {outage: [{above: 5m, credit: 1%}]}}"},
         "'outage' is of availability",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outage: [{below: 5m, credit: 1%}]}}"},
         "an outage is longer than something: 'above'",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outage: [{above: 5%, credit: 1%}]}}"},
         "expected how long one outage is, 0s to 31d with its unit, such as 5m, got '5%'",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outage: [{above: 745h, credit: 1%}]}}"},
         "0s to 31d with its unit",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{below: 5%, credit: 1%}]}}"},
         "a limit is exceeded by more than something: 'above'",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{above: 5ms, credit: 1%}]}}"},
         "expected by how much of the limit it is exceeded, 0% to 10000%, such as 25%, got '5ms'",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{above: 10000.001%, credit: 1%}]}}"},
         "0% to 10000%",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: [{below: 20ms, credit: 1%}]}"},
         "this metric is missed when it is above its limit",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{above: 5%, credit: 100.001%}]}}"},
         "expected 0.001% to 100%",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{above: 5%, credit: 2%}, {above: 5%, credit: "
                        "3%}]}}"},
         "this one is not worse than the one before",
         FAULT_ERROR},
        {{ROUND, .sla = "credits: {rt_p99: {excess: [{above: 5%, credit: 2%}, {above: 6%, credit: "
                        "2%}]}}"},
         "gives no more credit",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outage: [{above: 5m, credit: 2%}, {above: "
                            "4m, credit: 3%}]}}"},
         "this one is not worse than the one before",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {availability: {outage: []}}"},
         "expected 1 to 16 tiers, got 0",
         FAULT_ERROR},
        {{AVAILABLE, .sla = "credits: {rt_p99: {excess: [{above: 5%, credit: 2%}]}}"},
         "no objective of this SLA is on 'rt_p99'",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: hli, limit: 0}",
          .sla = "credits: {hli: {excess: [{above: 5%, credit: 2%}]}}"},
         "has the limit 0, of which an excess is no percentage",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: hli, limit: 1}",
          .sla = "credits: {hli: {excess: [{above: 0%, credit: 2%}]}}"},
         NULL,
         FAULT_ERROR},
    };

    EACH_SAYS(list);
}

static void
suspect_data_is_left_out_unless_the_sla_wants_it(void)
{
    static const struct {
        const char *said;
        bool excluded;
    } cases[] = {{NULL, true}, {"suspect: exclude", true}, {"suspect: include", false}};

    for (size_t i = 0; i < 3; i++) {
        const struct world w = {.sla = cases[i].said};
        struct faults *faults = faults_new();
        struct inventory *inv = world_read(&w, faults);
        CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
        CU_ASSERT_EQUAL(inventory_sla(inv, "z")->suspect_excluded, cases[i].excluded);
        inventory_free(inv);
        faults_free(faults);
    }
    world_says(&(struct world){.sla = "suspect: ignore"},
               "expected one of include, exclude, got 'ignore'", FAULT_ERROR);
}

/* --- Metrics ------------------------------------------------------------------ */

static void
jitter_is_refused_with_all_that_it_could_mean(void)
{
    static const char *const names[] = {"fdr_p", "pdv_p", "ifdv_p", "ipdv_abs_mean",
                                        "rfc3550, is no metric of an SLA"};
    static const struct world w = {.objectives = "{class: c, metric: jitter, limit: 2ms}"};
    struct faults *faults = faults_new();

    CU_ASSERT_PTR_NULL(world_read(&w, faults));
    CU_ASSERT_EQUAL(faults_errors(faults), 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT_EQUAL(faults_with(faults, names[i], FAULT_ERROR), 1);
    }
    faults_free(faults);
}

static void
a_far_end_is_asked_only_for_what_it_gives(void)
{
    static const struct said list[] = {
        {{.objectives = "{class: c, metric: flr_raw, limit: 1%}"}, NULL, FAULT_ERROR},
        {{.objectives = "{class: c, metric: reorder_ratio, direction: fwd, limit: 1%}"},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: duplicate_ratio, direction: bwd, limit: 1%}"},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: reorder_ratio, limit: 1%}", .far = STATEFUL},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: duplicate_ratio, limit: 1%}", .far = STATEFUL},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: flr_raw, limit: 1%}", .far = STATELESS},
         "flr_raw with 'direction: rt' could be",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: flr_raw, direction: rt, limit: 1%}", .far = STATELESS},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: duplicate_ratio, limit: 1%}", .far = ECHO},
         "duplicate_ratio with 'direction: rt' could be",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: duplicate_ratio, direction: rt, limit: 1%}",
          .far = ECHO},
         NULL,
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: reorder_ratio, direction: rt, limit: 1%}", .far = ECHO},
         "reorder_ratio cannot be measured on 'l' (service 'sv'): its far end answers ICMP echo",
         FAULT_ERROR},
        {{.objectives = "{class: c, metric: reorder_ratio, limit: 1%}", .far = STATELESS},
         "is stateless, and does not number its replies",
         FAULT_ERROR},
    };

    EACH_SAYS(list);
}

/* --- What clocks and packets carry -------------------------------------------- */

#define FD(limit_text) .objectives = "{class: c, metric: fd_p99, limit: " limit_text "}"

static void
clocks_carry_a_limit_of_ten_times_their_error(void)
{
    static const struct said list[] = {
        {{FD("100ms")}, NULL, FAULT_WARNING},
        {{FD("99999us")},
         "fd_p99 of 99999us on 'l' (service 'sv'): the clock of probe 'p' is ntp, which does not "
         "carry one-way delay of this limit: both ends' error is about 10ms",
         FAULT_WARNING},
        {{FD("50010us"), .one = "gnss"}, NULL, FAULT_WARNING},
        {{FD("50009us"), .one = "gnss"}, "the clock of probe 'q' is ntp", FAULT_WARNING},
        {{FD("200us"), .one = "ptp", .two = "ptp"}, NULL, FAULT_WARNING},
        {{FD("199999ns"), .one = "ptp", .two = "ptp"}, "rt_p99 could be", FAULT_WARNING},
        {{FD("20us"), .one = "gnss", .two = "gnss"}, NULL, FAULT_WARNING},
        {{FD("19999ns"), .one = "gnss", .two = "gnss"},
         "the clock of probe 'p' is gnss",
         FAULT_WARNING},
        {{.objectives = "{class: c, metric: fd_mean, direction: fwd, limit: 1ms}"},
         "rt_mean could be",
         FAULT_WARNING},
        {{FD("10s"), .far = STATEFUL},
         "the clock of the foreign far end is not known",
         FAULT_WARNING},
        /* The rest of the delays does not hang on two clocks. */
        {{.objectives = "{class: c, metric: rt_p99, limit: 1us}"}, NULL, FAULT_WARNING},
        {{.objectives = "{class: c, metric: fdr_p99, limit: 1us}"}, NULL, FAULT_WARNING},
        {{.objectives = "{class: c, metric: pdv_p99, limit: 1us}"}, NULL, FAULT_WARNING},
    };

    EACH_SAYS(list);
}

static void
a_month_has_packets_enough_to_show_that_the_limit_is_kept(void)
{
    static const struct said list[] = {
        {{.classes = SLOW, .objectives = "{class: c, metric: flr, limit: 0.004%}"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: flr, limit: 0.003%}"},
         "a month of 28 days has 80640 packets; to show that it is met takes 100000",
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: flr, limit: 0.003%}", .flows = "2"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: flr_raw, limit: 0.003%}"},
         "takes 100000",
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: reorder_ratio, limit: 0.003%}"},
         "takes 100000",
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: duplicate_ratio, limit: 0.003%}"},
         "takes 100000",
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: rt_p99_996, limit: 1ms}"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: rt_p99_997, limit: 1ms}"},
         "rt_p99_997 of 1ms on 'l' (service 'sv'): a month of 28 days has 80640 packets",
         FAULT_WARNING},
        /* None at all is a count, and of few packets too. */
        {{.classes = SLOW, .objectives = "{class: c, metric: flr, limit: 0%}"},
         NULL,
         FAULT_WARNING},
        /* min_samples stands in the place of the least number, but of no ratio's interval. */
        {{.classes = SLOW,
          .objectives = "{class: c, metric: rt_p99_997, limit: 1ms, min_samples: "
                        "50}"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: flr, limit: 0.003%, min_samples: 50}"},
         "takes 100000 at least",
         FAULT_WARNING},
        {{.objectives = "{class: c, metric: flr, limit: 0.001%}"}, NULL, FAULT_WARNING},
        {{.classes = SLOW,
          .objectives = "{class: c, metric: rt_p50, limit: 1ms, min_samples: "
                        "80640}"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW,
          .objectives = "{class: c, metric: rt_p50, limit: 1ms, min_samples: "
                        "80641}"},
         "min_samples is 80641, and a month of 28 days has 80640 packets",
         FAULT_WARNING},
        {{.classes = SLOW,
          .objectives = "{class: c, metric: rt_p50, limit: 1ms, min_samples: "
                        "80641}",
          .flows = "2"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW,
          .objectives = "{class: c, metric: hli, limit: 1, min_samples: 80640}",
          .flows = "2"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW,
          .objectives = "{class: c, metric: hli, limit: 1, min_samples: 80641}",
          .flows = "2"},
         "min_samples is 80641, and a month of 28 days has 80640 delta-t",
         FAULT_WARNING},
    };

    EACH_SAYS(list);
}

/* 300000 packets, and 37 fewer: the period is no part of a delta-t, which is told as well. */
static void
exactly_enough_packets_are_enough(void)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct world w = {.classes = i ? "period: 8065ms, dt: 30s, n: 2, p: 1"
                                             : "period: 8064ms, dt: 30s, n: 2, p: 1",
                                .objectives = "{class: c, metric: flr, limit: 0.001%}"};
        struct faults *faults = faults_new();
        struct inventory *inv = world_read(&w, faults);
        CU_ASSERT_PTR_NOT_NULL(inv);
        CU_ASSERT_EQUAL(faults_with(faults, "takes 300000 at least", FAULT_WARNING), i);
        inventory_free(inv);
        faults_free(faults);
    }
}

static void
an_availability_limit_is_not_finer_than_a_delta_t(void)
{
    static const struct said list[] = {
        {{.classes = SLOW, .objectives = "{class: c, metric: availability, limit: 99.998%}"},
         NULL,
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: availability, limit: 99.999%}"},
         "has 80640 delta-t of 30s, and the limit allows less than one of them",
         FAULT_WARNING},
        {{.classes = SLOW, .objectives = "{class: c, metric: availability, limit: 100%}"},
         NULL,
         FAULT_WARNING},
        {{.objectives = "{class: c, metric: availability, limit: 99.999%}"}, NULL, FAULT_WARNING},
    };

    EACH_SAYS(list);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"the_objectives_of_profiles_come_first_and_in_order",
         the_objectives_of_profiles_come_first_and_in_order},
        {"an_sla_may_have_profiles_alone", an_sla_may_have_profiles_alone},
        {"what_is_wrong_with_profiles_is_told", what_is_wrong_with_profiles_is_told},
        {"an_objective_that_a_profile_has_already_is_told_with_both_places",
         an_objective_that_a_profile_has_already_is_told_with_both_places},
        {"profiles_count_among_the_greatest_number_of_objectives",
         profiles_count_among_the_greatest_number_of_objectives},
        {"credits_of_all_kinds_are_read", credits_of_all_kinds_are_read},
        {"what_is_wrong_with_credits_is_told", what_is_wrong_with_credits_is_told},
        {"suspect_data_is_left_out_unless_the_sla_wants_it",
         suspect_data_is_left_out_unless_the_sla_wants_it},
        {"jitter_is_refused_with_all_that_it_could_mean",
         jitter_is_refused_with_all_that_it_could_mean},
        {"a_far_end_is_asked_only_for_what_it_gives", a_far_end_is_asked_only_for_what_it_gives},
        {"clocks_carry_a_limit_of_ten_times_their_error",
         clocks_carry_a_limit_of_ten_times_their_error},
        {"a_month_has_packets_enough_to_show_that_the_limit_is_kept",
         a_month_has_packets_enough_to_show_that_the_limit_is_kept},
        {"exactly_enough_packets_are_enough", exactly_enough_packets_are_enough},
        {"an_availability_limit_is_not_finer_than_a_delta_t",
         an_availability_limit_is_not_finer_than_a_delta_t},
        CU_TEST_INFO_NULL};
    return run_suite("inventory_sla", tests);
}
