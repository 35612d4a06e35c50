/* harness.h - what unit tests share: random numbers with a
 * printed seed, exact-size copies, and a main's worth of running a suite. */
#ifndef PLUMBLINE_TEST_HARNESS_H
#define PLUMBLINE_TEST_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <CUnit/Basic.h>

/* xorshift64*: never 0. */
static uint64_t harness_state = 1;

static inline uint64_t
random_u64(void)
{
    harness_state ^= harness_state >> 12;
    harness_state ^= harness_state << 25;
    harness_state ^= harness_state >> 27;
    return harness_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* In [0, below). */
static inline uint64_t
random_below(uint64_t below)
{
    return random_u64() % below;
}

/* True in 'per_mille' of a thousand cases. */
static inline int
random_chance(unsigned per_mille)
{
    return random_u64() % 1000 < per_mille;
}

/* A signed value whose size is spread evenly over all powers of two. */
static inline int64_t
random_value(void)
{
    int64_t v = (int64_t)(random_u64() >> (1 + random_below(63)));
    return random_u64() & 1 ? v : -v;
}

/* PLUMBLINE_TEST_SEED, or the time; printed, so that a failure can be seen
 * again. */
static inline void
random_begin(void)
{
    const char *given = getenv("PLUMBLINE_TEST_SEED");

    harness_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    harness_state |= 1;
    printf("seed 0x%llx\n", (unsigned long long)harness_state);
}

/* A copy in a block of exactly 'size' bytes, so that a sanitizer sees any read
 * past the end. */
static inline uint8_t *
exact_copy(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy) {
        abort();
    }
    if (size) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

static inline uint64_t
process_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int
run_suite(const char *name, CU_TestInfo *tests)
{
    char suite_name[64];
    snprintf(suite_name, sizeof suite_name, "%s", name);
    CU_SuiteInfo suites[] = {{suite_name, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        return 2;
    }
    random_begin();
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_tests_failed();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    printf("%u passed, %u failed\n", run - failed, failed);
    return failed || run == 0 ? 1 : 0;
}

#endif
