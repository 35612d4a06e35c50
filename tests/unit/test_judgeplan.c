/* test_judgeplan.c - what an inventory gives to judge: each line once, connectors beside groups of
 * the same key, and that the check tells of each service that is left out, and of no other. */
#include "judgeplan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "harness.h"

/* What differs from one world to the next; NULL: as it mostly is. */
struct world {
    const char *l2;     /* More of link l2. */
    const char *need;   /* Of the group. */
    const char *over;   /* Of service s1. */
    const char *covers; /* Of the SLA. */
    const char *tests;  /* More of attachment k1.x. */
    const char *dt;     /* Of class tail. */
};

static const char *
or_else(const char *text, const char *other)
{
    return text ? text : other;
}

/* The service stands in lines 15 and 16. */
static struct inventory *
world_read(const struct world *w, struct faults *faults)
{
    struct inventory *inv = NULL;
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    fprintf(to,
            "inventory: 1\n"
            "sites: {s: {}}\n"
            "probes: {p: {site: s}, q: {site: s}}\n"
            "routers: {r: {site: s}}\n"
            "classes: {gold: {dt: 2s}, tail: {dt: %s, period: 100ms}}\n"
            "links:\n"
            "  l1: {ends: [{probe: p, address: 10.0.0.1}, {probe: q, address: 10.0.0.2}], classes: "
            "[gold]}\n"
            "  l2: {ends: [{probe: p, address: 10.0.1.1}, {probe: q, address: 10.0.1.2}], classes: "
            "[gold]%s}\n"
            "groups: {k1: {need: %s, members: [l1, l2]}}\n"
            "tenants: {t: {}}\n"
            "connectors:\n"
            "  k1: {tenant: t, site: s, attachments: {x: {port: {router: r, interface: i1}%s}}}\n"
            "  k2: {tenant: t, site: s, attachments: {x: {port: {router: r, interface: i2}}}}\n"
            "services:\n"
            "  s1: {tenant: t, ends: [k1, k2],\n"
            "    over: [%s], classes: [gold], sla: z}\n"
            "  s2: {tenant: t, ends: [k1, k2], over: [l1], classes: [gold], sla: z}\n"
            "slas: {z: {version: 1, valid_from: 2026-01-01, covers: [%s], objectives: [{class: "
            "gold, metric: availability, limit: 99.9%%}]}}\n",
            or_else(w->dt, "2s"), or_else(w->l2, ""), or_else(w->need, "1"), or_else(w->tests, ""),
            or_else(w->over, "k1"), or_else(w->covers, "over"));
    fclose(to);
    inventory_read(faults, "t.yaml", text, size, &inv);
    free(text);
    return inv;
}

#define TEST ", test: {probe: p, protocol: stamp, address: 10.0.2.2, class: tail}"

static void
add_lines(const struct line *l, int64_t *ids, size_t *count)
{
    for (; l; l = l->next) {
        ids[(*count)++] = l->id;
    }
}

/* Each line has an id of its own; how many there are. */
static size_t
lines_are_apart(const struct judgeplan *p)
{
    int64_t ids[200];
    size_t count = 0;

    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            add_lines(p->ways[i]->lines[d], ids, &count);
        }
    }
    for (size_t i = 0; i < p->bond_count; i++) {
        add_lines(p->bonds[i]->line, ids, &count);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT_NOT_EQUAL(ids[i], ids[k]);
        }
    }
    return count;
}

static size_t
bonds_of(const struct judgeplan *p, enum line_scope kind)
{
    size_t count = 0;

    for (size_t i = 0; i < p->bond_count; i++) {
        count += p->bonds[i]->kind == kind;
    }
    return count;
}

/* Two services have the tail of one connector, whose key a group has as well. */
static void
tail_of_a_connector_is_one_line_beside_the_group_of_its_key(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv =
        world_read(&(struct world){.covers = "over, tail", .tests = TEST}, faults);
    struct judgeplan *p;
    size_t left_out;

    faults_print(faults, stdout, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    CU_ASSERT_EQUAL_FATAL(judgeplan_new(inv, &p, &left_out), 0);
    CU_ASSERT_EQUAL(left_out, 0);
    CU_ASSERT_EQUAL(bonds_of(p, LINE_CONNECTOR), 1);
    CU_ASSERT_EQUAL(bonds_of(p, LINE_GROUP), 1);
    CU_ASSERT_EQUAL(bonds_of(p, LINE_SERVICE), 2);
    CU_ASSERT_TRUE(lines_are_apart(p) > 4);
    judgeplan_free(p);
    inventory_free(inv);
    faults_free(faults);
}

/* What the check says of 's1', and what the plan makes of it. */
static void
what_is_left_out_is_told(void)
{
    static const struct {
        struct world world;
        size_t left_out, warnings;
        const char *words;
        unsigned line;
    } known[] = {
        {{.over = "k1"}, 0, 0, NULL, 0},
        {{.over = "l1, l2"}, 0, 0, NULL, 0},
        {{.over = "l1, l2", .l2 = ", state: planned"},
         1,
         1,
         "service 's1' is not judged in class 'gold': link 'l2' is planned, and has no "
         "'in_service'",
         16},
        {{.over = "l1, l2", .l2 = ", state: planned, in_service: 2026-01-01T00:00:00Z"},
         0,
         0,
         NULL,
         0},
        {{.over = "k1", .l2 = ", state: planned"}, 0, 0, NULL, 0},
        {{.over = "k1", .l2 = ", state: planned", .need = "2"},
         1,
         1,
         "of group 'k1' 1 members are judged in that class, and 2 are needed",
         16},
        {{.covers = "over, tail", .tests = TEST, .dt = "4s"}, 0, 2, "connector 'k2'", 15},
        {{.covers = "over, tail", .tests = TEST, .dt = "3s"},
         2,
         4,
         "it has parts of which the least dt, 2s, does not divide all the others",
         16},
        /* Judged, but without a tail: of two services at two ends. */
        {{.covers = "over, tail"},
         0,
         4,
         "covers the tail, and that of connector 'k1' is not judged in class 'gold': 0 of its",
         15},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct faults *faults = faults_new();
        struct inventory *inv = world_read(&known[i].world, faults);
        struct judgeplan *p;
        size_t left_out, count, found = 0;
        const struct fault *all = faults_sorted(faults, &count);

        for (size_t f = 0; f < count; f++) {
            found += known[i].words && all[f].severity == FAULT_WARNING &&
                     strstr(all[f].message, known[i].words) && all[f].at.line == known[i].line;
        }
        CU_ASSERT_TRUE(found > 0 || !known[i].words);
        CU_ASSERT_EQUAL(faults_warnings(faults), known[i].warnings);
        if (faults_warnings(faults) != known[i].warnings || (!found && known[i].words) || !inv) {
            printf("\ncase %zu:\n", i);
            faults_print(faults, stdout, 10);
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
        CU_ASSERT_EQUAL_FATAL(judgeplan_new(inv, &p, &left_out), 0);
        CU_ASSERT_EQUAL(left_out, known[i].left_out);
        lines_are_apart(p);
        judgeplan_free(p);
        inventory_free(inv);
        faults_free(faults);
    }
}

/* Else their states would be kept for it, and never trimmed. */
static void
parts_of_what_is_left_out_are_not_kept_for_it(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv =
        world_read(&(struct world){.over = "k1", .l2 = ", state: planned", .need = "2"}, faults);
    struct judgeplan *p;
    size_t left_out;

    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    CU_ASSERT_EQUAL_FATAL(judgeplan_new(inv, &p, &left_out), 0);
    CU_ASSERT_EQUAL_FATAL(p->way_count, 1);
    CU_ASSERT_EQUAL(p->ways[0]->users, 1); /* s2. */
    judgeplan_free(p);
    inventory_free(inv);
    faults_free(faults);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"tail_of_a_connector_is_one_line_beside_the_group_of_its_key",
         tail_of_a_connector_is_one_line_beside_the_group_of_its_key},
        {"what_is_left_out_is_told", what_is_left_out_is_told},
        {"parts_of_what_is_left_out_are_not_kept_for_it",
         parts_of_what_is_left_out_are_not_kept_for_it},
        CU_TEST_INFO_NULL,
    };
    return run_suite("judgeplan", tests);
}
