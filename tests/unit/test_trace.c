/* test_trace.c - which paths a collector believes a probe, and how it writes them. */
#include "harness.h"

#include "fault.h"
#include "trace.h"

static const char text[] =
    "inventory: 1\n"
    "interval: 60s\n"
    "sites: {s: {}}\n"
    "probes: {p1: {site: s}, p2: {site: s}, p3: {site: s}}\n"
    "classes: {gold: {period: 100ms, size: 128, dt: 1s}}\n"
    "links:\n"
    "  l1:\n"
    "    state: active\n"
    "    ends: [{probe: p1, address: 10.0.0.1}, {probe: p2, address: 10.0.0.2}]\n"
    "    classes: [gold]\n";
static const struct instant now = {.ns = INT64_C(1795251956) * NS_PER_S};

static char l1[] = "l1", l2[] = "l2", gold[] = "gold", broken[] = "go\nld";

struct sample {
    Plumbline__Telemetry__Trace t;
    Plumbline__Telemetry__Trace__Hop hops[TRACE_HOPS_MAX + 1];
    Plumbline__Telemetry__Trace__Hop *list[TRACE_HOPS_MAX + 1];
    uint8_t addresses[TRACE_HOPS_MAX + 1][16];
};

/* Two routers, a silent one between them. */
static void
sample_make(struct sample *s, size_t count)
{
    memset(s, 0, sizeof *s);
    plumbline__telemetry__trace__init(&s->t);
    s->t.object = l1;
    s->t.class_name = gold;
    s->t.at_ns = now.ns;
    s->t.n_hops = count;
    s->t.hops = s->list;
    for (size_t i = 0; i < count; i++) {
        plumbline__telemetry__trace__hop__init(&s->hops[i]);
        s->list[i] = &s->hops[i];
        s->hops[i].ttl = (uint32_t)i + 1;
        s->hops[i].address.data = s->addresses[i];
        s->hops[i].address.len = i % 2 ? 0 : i % 4 ? 16 : 4;
        s->hops[i].rt_us = i % 2 ? 0 : 812;
        s->addresses[i][0] = 10;
        s->addresses[i][15] = 1;
    }
}

static struct inventory *
inventory(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv;

    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "t.yaml", text, strlen(text), &inv), 0);
    faults_free(faults);
    return inv;
}

static void
only_an_end_of_a_link_tells_of_it_and_what_can_be(void)
{
    struct inventory *inv = inventory();
    char error[TRACE_ERROR_MAX + 2];
    struct sample s;

    sample_make(&s, 3);
    CU_ASSERT_TRUE(trace_is_sound(inv, "p1", &s.t, now));
    CU_ASSERT_TRUE(trace_is_sound(inv, "p2", &s.t, now));
    CU_ASSERT_FALSE(trace_is_sound(inv, "p3", &s.t, now));
    CU_ASSERT_FALSE(trace_is_sound(inv, "stranger", &s.t, now));
    s.t.object = l2;
    CU_ASSERT_FALSE(trace_is_sound(inv, "p1", &s.t, now));
    sample_make(&s, 3);
    s.t.class_name = broken;
    CU_ASSERT_FALSE(trace_is_sound(inv, "p1", &s.t, now));
    for (int64_t by = -1; by <= 1; by++) {
        sample_make(&s, 3);
        s.t.at_ns = now.ns + 60 * NS_PER_S + by;
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by <= 0);
        s.t.at_ns = by;
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by >= 0);
        sample_make(&s, 3);
        s.t.flow = (uint32_t)(INT32_MAX + by);
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by <= 0);
        sample_make(&s, (size_t)(TRACE_HOPS_MAX + by));
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by <= 0);
        sample_make(&s, 3);
        memset(error, 'x', sizeof error);
        error[TRACE_ERROR_MAX + by] = '\0';
        s.t.error = error;
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by <= 0);
        sample_make(&s, 3);
        s.hops[1].ttl = (uint32_t)(1 + by + 1); /* 1, 2, 3 between 1 and 3. */
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by == 0);
        sample_make(&s, 3);
        s.hops[2].ttl = (uint32_t)(UINT8_MAX + by);
        CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by <= 0);
        for (size_t size = 4; size <= 16; size += 12) {
            sample_make(&s, 3);
            s.hops[0].address.len = size + (size_t)by;
            CU_ASSERT_EQUAL(trace_is_sound(inv, "p1", &s.t, now), by == 0);
        }
    }
    sample_make(&s, 0);
    CU_ASSERT_TRUE(trace_is_sound(inv, "p1", &s.t, now));
    inventory_free(inv);
}

static void
hops_are_written_as_the_migration_says(void)
{
    struct sample s;

    sample_make(&s, 3);
    cJSON *list = trace_hops(&s.t);
    char *json = cJSON_PrintUnformatted(list);
    CU_ASSERT_STRING_EQUAL(json, "[{\"ttl\":1,\"address\":\"10.0.0.0\",\"rt_us\":812},"
                                 "{\"ttl\":2,\"address\":null,\"rt_us\":null},"
                                 "{\"ttl\":3,\"address\":\"a00::1\",\"rt_us\":812}]");
    free(json);
    cJSON_Delete(list);
    sample_make(&s, 0);
    list = trace_hops(&s.t);
    json = cJSON_PrintUnformatted(list);
    CU_ASSERT_STRING_EQUAL(json, "[]");
    free(json);
    cJSON_Delete(list);
}

static CU_TestInfo tests[] = {
    {"only_an_end_of_a_link_tells_of_it_and_what_can_be",
     only_an_end_of_a_link_tells_of_it_and_what_can_be},
    {"hops_are_written_as_the_migration_says", hops_are_written_as_the_migration_says},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    return run_suite("trace", tests);
}
