/* test_tracer.c - what stands behind an ack, whoever wrote it: each request once, of links that
 * there are, and never more than there is room for. */
#include "harness.h"

#include "tracer.h"

static struct plan_path known = {.object = "l1"};
static struct plan plan = {.paths = &known, .path_count = 1};

/* In the place of plan.c's. */
const struct plan_path *
plan_path(const struct plan *p, const char *object)
{
    return p && strcmp(object, known.object) == 0 ? &known : NULL;
}

static const struct plan *
in_force(void *aux)
{
    return (const struct plan *)aux;
}

static bool
nobody_is_told(const Plumbline__Telemetry__Trace *t, void *aux)
{
    (void)t;
    (void)aux;
    CU_FAIL("nothing was followed");
    return true;
}

static struct tracer *
tracer(void)
{
    static struct event_base *base;

    base = base ? base : event_base_new();
    const struct tracer_config config = {
        .base = base, .tell = nobody_is_told, .plan = in_force, .aux = &plan};
    struct tracer *t = tracer_new(&config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return t;
}

static uint64_t
bad(const struct tracer *t)
{
    return counter_get(&tracer_counters(t).counters[TRACER_BAD_ASK]);
}

static void
ask(struct tracer *t, const char *text, size_t size)
{
    uint8_t *copy = exact_copy(text, size);

    tracer_ask(t, (const char *)copy, size);
    free(copy);
}

static void
a_request_is_a_number_and_a_link(void)
{
    static const struct {
        const char *text;
        uint64_t number; /* 0: refused. */
        const char *object;
        size_t taken;
    } cases[] = {
        {"17:l1", 17, "l1", 5},
        {"17:l1,18:l2", 17, "l1", 6},
        {"17:l1,", 17, "l1", 6},
        {"1:\x01\xff\"", 1, "\x01\xff\"", 5},
        {"", 0, NULL, 0},
        {":l1", 0, NULL, 0},
        {"0:l1", 0, NULL, 0},
        {"00:l1", 0, NULL, 0},
        {"17", 0, NULL, 0},
        {"17:", 0, NULL, 0},
        {"17:,18:l2", 0, NULL, 0},
        {" 17:l1", 0, NULL, 0},
        {"-17:l1", 0, NULL, 0},
        {"17 :l1", 0, NULL, 0},
        {"x:l1", 0, NULL, 0},
        {"9223372036854775807:l1", UINT64_C(9223372036854775807), "l1", 22},
        {"99999999999999999999:l1", 0, NULL, 0},
        {"18446744073709551617:l1", 0, NULL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].text);
        uint8_t *copy = exact_copy(cases[i].text, size);
        const char *at = (const char *)copy;
        struct tracer_wanted w = {.request = 5};
        bool read = tracer_read(&at, at + size, &w);
        CU_ASSERT_EQUAL(read, cases[i].number != 0);
        CU_ASSERT_EQUAL(w.request, read ? cases[i].number : 5);
        CU_ASSERT_EQUAL((size_t)(at - (const char *)copy), cases[i].taken);
        CU_ASSERT_TRUE(!read || strcmp(w.object, cases[i].object) == 0);
        free(copy);
    }
}

static void
a_name_is_as_long_as_names_may_be(void)
{
    enum { MOST = 2 * SERIES_NAME_MAX + 1 };
    char text[MOST + 8];

    for (size_t n = MOST - 1; n <= MOST + 1; n++) {
        struct tracer_wanted w;
        memcpy(text, "7:", 2);
        memset(text + 2, 'x', n);
        uint8_t *copy = exact_copy(text, n + 2);
        const char *at = (const char *)copy;
        CU_ASSERT_EQUAL(tracer_read(&at, at + n + 2, &w), n <= MOST);
        free(copy);
    }
}

static void
each_number_is_taken_once_and_bad_ones_are_counted_once(void)
{
    struct tracer *t = tracer();

    ask(t, "17:l1,18:other", 14);
    CU_ASSERT_EQUAL(bad(t), 1);
    ask(t, "17:l1,18:other", 14);
    CU_ASSERT_EQUAL(bad(t), 1);
    ask(t, "19:l1;20:l1", 11);
    CU_ASSERT_EQUAL(bad(t), 2);
    ask(t, "21:l1,rubbish", 13);
    CU_ASSERT_EQUAL(bad(t), 3);
    ask(t, "", 0);
    CU_ASSERT_EQUAL(bad(t), 3);
    tracer_replan(t);
    tracer_free(t);
}

static void
any_text_and_any_number_of_requests_fit(void)
{
    static const char letters[] = "0123456789:,:,l1 \n\"x";
    struct tracer *t = tracer();
    char text[64];

    for (unsigned i = 1; i <= 1000; i++) {
        ask(t, text, (size_t)snprintf(text, sizeof text, "%u:l1", i));
        tracer_want(t, "l1");
        tracer_want(t, "other");
    }
    CU_ASSERT_EQUAL(bad(t), 0);
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = random_below(sizeof text);
        for (size_t k = 0; k < size; k++) {
            text[k] =
                random_chance(50) ? (char)random_u64() : letters[random_below(sizeof letters - 1)];
        }
        ask(t, text, size);
    }
    tracer_free(t);
}

static CU_TestInfo tests[] = {
    {"a_request_is_a_number_and_a_link", a_request_is_a_number_and_a_link},
    {"a_name_is_as_long_as_names_may_be", a_name_is_as_long_as_names_may_be},
    {"each_number_is_taken_once_and_bad_ones_are_counted_once",
     each_number_is_taken_once_and_bad_ones_are_counted_once},
    {"any_text_and_any_number_of_requests_fit", any_text_and_any_number_of_requests_fit},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    return run_suite("tracer", tests);
}
