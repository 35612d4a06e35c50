/* test_plan.c - what a reload keeps, and what begins anew. */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "harness.h"

static const char text[] = "inventory: 1\n"
                           "interval: 60s\n"
                           "sites: {s: {}}\n"
                           "probes: {p1: {site: s}, p2: {site: s}}\n"
                           "classes: {gold: {period: %s, size: 128, dt: %s}}\n"
                           "links:\n"
                           "  l1:\n"
                           "    state: active\n"
                           "    ends: [{probe: p1, address: 10.0.0.1}, {probe: p2, address: %s}]\n"
                           "    classes: [gold]\n";

static const struct probe_config config = {.probe = "p1", .source_port = 50000, .port = 862};
static uint32_t next_index;

/* The plan of p1 with these values. */
static struct plan *
plan_of(const char *period, const char *dt, const char *far, const struct plan *old, int64_t now_ms)
{
    char path[] = "/tmp/test_plan.XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    size_t errors, warnings;
    struct inventory *inv;
    struct plan *p;

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_FATAL(dprintf(fd, text, period, dt, far) > 0);
    close(fd);
    int err = inventory_load(path, stderr, 5, &errors, &warnings, &inv);
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    err = plan_make(&p, inv, &config, old, &next_index, instant_of_ns(now_ms * NS_PER_MS));
    inventory_free(inv);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL_FATAL(p->timing.session_count, 1);
    return p;
}

static void
what_did_not_change_goes_on(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("100ms", "1s", "10.0.0.2", a, 9300);

    CU_ASSERT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(a->timing.sessions[0].ssid, b->timing.sessions[0].ssid);
    CU_ASSERT_EQUAL(a->timing.sessions[0].begin.ns, b->timing.sessions[0].begin.ns);
    plan_free(a);
    plan_free(b);
}

static void
another_parameter_is_another_session(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("200ms", "1s", "10.0.0.2", a, 9300);

    CU_ASSERT_NOT_EQUAL(a->sessions[0].id, b->sessions[0].id);
    CU_ASSERT_NOT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 10000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

/* The sender counts from 0 again, so with the old index each packet would pass
 * for one of long ago. */
static void
the_same_session_on_another_way_has_another_index(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("100ms", "1s", "10.0.0.3", a, 9300);

    CU_ASSERT_EQUAL(a->sessions[0].id, b->sessions[0].id);
    CU_ASSERT_NOT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 10000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

static void
what_was_told_up_to_a_border_goes_on_at_it(void)
{
    struct plan *a = plan_of("100ms", "10s", "10.0.0.2", NULL, 20000);
    struct plan *b = plan_of("100ms", "10s", "10.0.0.2", NULL, 20001);

    CU_ASSERT_EQUAL(a->timing.sessions[0].begin.ns, 20000 * NS_PER_MS);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 30000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

/* A probe whose classes change each day lives for years. */
static void
indexes_come_round_and_skip_those_in_use(void)
{
    next_index = 65534;
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    CU_ASSERT_EQUAL(a->timing.sessions[0].index, 65534);
    struct plan *b = plan_of("200ms", "1s", "10.0.0.2", a, 9300);
    CU_ASSERT_EQUAL(b->timing.sessions[0].index, 0);
    CU_ASSERT_EQUAL(b->timing.sessions[0].ssid, 1);
    next_index = 65534;
    struct plan *c = plan_of("100ms", "1s", "10.0.0.2", b, 9300);
    CU_ASSERT_EQUAL(c->timing.sessions[0].index, 65534);
    next_index = 0;
    struct plan *d = plan_of("500ms", "1s", "10.0.0.2", b, 9300);
    CU_ASSERT_EQUAL(d->timing.sessions[0].index, 1);
    plan_free(a);
    plan_free(b);
    plan_free(c);
    plan_free(d);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"what_did_not_change_goes_on", what_did_not_change_goes_on},
        {"another_parameter_is_another_session", another_parameter_is_another_session},
        {"the_same_session_on_another_way_has_another_index",
         the_same_session_on_another_way_has_another_index},
        {"what_was_told_up_to_a_border_goes_on_at_it", what_was_told_up_to_a_border_goes_on_at_it},
        {"indexes_come_round_and_skip_those_in_use", indexes_come_round_and_skip_those_in_use},
        CU_TEST_INFO_NULL};
    return run_suite("plan", tests);
}
