/* test_series.c - identifiers of sources, sessions and series. */
#include "series.h"

#include "harness.h"

static const struct session_key key = {.object = "ams--fra",
                                       .observer = "ams-1",
                                       .far = "fra-1",
                                       .class_name = "voice",
                                       .protocol = "stamp",
                                       .flow = 2,
                                       .family = 4,
                                       .dt = {NS_PER_S},
                                       .tmax = {3 * NS_PER_S},
                                       .period = {100 * NS_PER_MS},
                                       .size = 172,
                                       .dscp = 46,
                                       .limit_count = 1,
                                       .limits = {{LIMIT_DELAY, DIR_RT, {1000}}}};

#define WITH(...)                                                                                  \
    __extension__({                                                                                \
        struct session_key k = key;                                                                \
        k.__VA_ARGS__;                                                                             \
        k;                                                                                         \
    })

static void
check_ids(struct session_key other, int same_series, int same_params)
{
    CU_ASSERT_NOT_EQUAL(session_id_of(&other), session_id_of(&key));
    CU_ASSERT_EQUAL(series_id_of(&other, DIR_RT) == series_id_of(&key, DIR_RT), same_series);
    CU_ASSERT_EQUAL(params_id_of(&other) == params_id_of(&key), same_params);
}

static void
identity_makes_another_series_and_parameters_other_params(void)
{
    check_ids(WITH(object[0] = 'b'), 0, 1);
    check_ids(WITH(observer[0] = 'b'), 0, 1);
    check_ids(WITH(class_name[0] = 'b'), 0, 1);
    check_ids(WITH(protocol[0] = 'b'), 0, 1);
    check_ids(WITH(flow = 1), 0, 1);
    check_ids(WITH(family = 6), 0, 1);
    check_ids(WITH(far[0] = 'b'), 1, 1);
    check_ids(WITH(observer_end = 1), 1, 1);
    check_ids(WITH(dt.ns = 2), 1, 0);
    check_ids(WITH(tmax.ns = 2), 1, 0);
    check_ids(WITH(period.ns = 2), 1, 0);
    check_ids(WITH(size = 2), 1, 0);
    check_ids(WITH(dscp = 2), 1, 0);
    check_ids(WITH(ifdv = 1), 1, 0);
    check_ids(WITH(limit_count = 0), 1, 0);
    check_ids(WITH(limits[0].limit.ns = 2), 1, 0);
    check_ids(WITH(limits[0].metric = LIMIT_IFDV), 1, 0);
    check_ids(WITH(limits[0].direction = DIR_FWD), 1, 0);
}

static void
directions_are_three_series_and_ids_are_never_negative(void)
{
    int64_t fwd = series_id_of(&key, DIR_FWD), bwd = series_id_of(&key, DIR_BWD);

    CU_ASSERT_NOT_EQUAL(fwd, bwd);
    CU_ASSERT_NOT_EQUAL(fwd, series_id_of(&key, DIR_RT));
    for (unsigned i = 0; i < 300; i++) {
        struct session_key k = key;
        k.flow = (uint16_t)i;
        CU_ASSERT(session_id_of(&k) >= 0 && series_id_of(&k, DIR_FWD) >= 0);
    }
    CU_ASSERT(source_id_of("ams-1") >= 0);
    CU_ASSERT_NOT_EQUAL(source_id_of("ams-1"), source_id_of("ams-2"));
}

/* Identifiers are in every row of every customer: they never change. */
static void
identifiers_are_what_they_always_were(void)
{
    CU_ASSERT_EQUAL(source_id_of("ams-1"), INT64_C(9084112488937349492));
    CU_ASSERT_EQUAL(series_id_of(&key, DIR_FWD), INT64_C(5960500760170938579));
    CU_ASSERT_EQUAL(session_id_of(&key), INT64_C(2669212219081622223));
    CU_ASSERT_EQUAL(params_id_of(&key), INT64_C(8895094841483247497));
}

static void
the_longest_key_has_its_identifiers_too(void)
{
    struct session_key k = key;

    memset(k.object, 'x', SERIES_NAME_MAX);
    memset(k.observer, 'x', SERIES_NAME_MAX);
    memset(k.far, 'x', SERIES_NAME_MAX);
    memset(k.class_name, 'x', SERIES_NAME_MAX);
    memset(k.protocol, 'x', sizeof k.protocol - 1);
    k.flow = UINT16_MAX;
    k.dt = k.tmax = k.period = span_of_ns(INT64_MAX);
    k.size = UINT32_MAX;
    k.limit_count = SERIES_LIMITS_MAX;
    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        k.limits[i] = (struct series_limit){LIMIT_IFDV, DIR_RT, {INT64_MAX}};
    }
    CU_ASSERT_NOT_EQUAL(session_id_of(&k), session_id_of(&key));
    CU_ASSERT_NOT_EQUAL(params_id_of(&k), params_id_of(&key));
}

static void
the_frame_of_a_session_turns_with_its_observers_end(void)
{
    struct session_key far_end = WITH(observer_end = 1);

    for (int d = 0; d < DIRECTIONS; d++) {
        enum direction there = session_direction(&far_end, (enum direction)d);
        CU_ASSERT_EQUAL(session_direction(&key, (enum direction)d), (enum direction)d);
        CU_ASSERT_EQUAL(session_direction(&far_end, there), (enum direction)d);
        CU_ASSERT_EQUAL(there == (enum direction)d, d == DIR_RT);
    }
}

static void
labels_name_link_class_and_flow(void)
{
    struct session_key first = WITH(flow = 0);
    char buf[160];

    CU_ASSERT_STRING_EQUAL(session_label(&first, buf, sizeof buf), "ams--fra/voice");
    CU_ASSERT_STRING_EQUAL(session_label(&key, buf, sizeof buf), "ams--fra/voice/2");
    CU_ASSERT_STRING_EQUAL(direction_name(DIR_BWD), "bwd");
    CU_ASSERT_STRING_EQUAL(direction_name(DIRECTIONS), "?");
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"identity_makes_another_series_and_parameters_other_params",
         identity_makes_another_series_and_parameters_other_params},
        {"directions_are_three_series_and_ids_are_never_negative",
         directions_are_three_series_and_ids_are_never_negative},
        {"identifiers_are_what_they_always_were", identifiers_are_what_they_always_were},
        {"the_longest_key_has_its_identifiers_too", the_longest_key_has_its_identifiers_too},
        {"the_frame_of_a_session_turns_with_its_observers_end",
         the_frame_of_a_session_turns_with_its_observers_end},
        {"labels_name_link_class_and_flow", labels_name_link_class_and_flow},
        CU_TEST_INFO_NULL};
    return run_suite("series", tests);
}
