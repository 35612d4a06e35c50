/* test_baseline.c - what relative alarms compare with: which pasts, of which rows, made when, and
 * of how much. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "baseline.h"
#include "fault.h"
#include "series.h"

#define MINUTE (60 * NS_PER_S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct inventory *
inventory_of(const char *alarms)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    char text[2048];

    snprintf(text, sizeof text,
             "inventory: 1\nsites: {s: {}}\nprobes: {p: {site: s}, q: {site: s}}\n"
             "classes: {c: {dscp: ef, size: 128}, d: {size: 512}}\n"
             "links:\n"
             "  l: {probe_from: both, flows: 4, classes: [c, d], ends: [{probe: p, address: "
             "10.0.0.1}, {probe: q, address: 10.0.0.2}]}\n"
             "  m: {classes: [c], ends: [{probe: p, address: 10.0.1.1}, {protocol: icmp, address: "
             "10.0.1.2}]}\n"
             "  n: {state: planned, classes: [c], ends: [{probe: p, address: 10.0.2.1}, {probe: q, "
             "address: 10.0.2.2}]}\n"
             "alarms: {%s}\n",
             alarms);
    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "t", text, strlen(text), &inv), 0);
    faults_free(faults);
    return inv;
}

#define NO_SLOW                                                                                    \
    "slow: {state: retired, metric: flr, over: 1s, raise: 1%, clear: 1s, severity: info}"
#define RULE(key, metric, over, against)                                                           \
    key ": {metric: " metric ", over: " over ", raise: +20%, against: " against                    \
        ", clear: 1m, severity: info}"

/* "object class observer metric against over flows" */
static char *
pasts(const char *alarms)
{
    struct inventory *inv = inventory_of(alarms);
    struct baseline_plan *p = baseline_plan_new(inv);
    char *text = NULL, metric[INV_METRIC_SIZE];
    size_t size;
    FILE *to = open_memstream(&text, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    for (size_t i = 0; i < p->count; i++) {
        const struct baseline_cell *c = &p->cells[i];
        fprintf(to, "%s %s %s %s %lld %lld %zu\n", c->object, c->class_name, c->observer,
                inv_metric_format(c->metric, metric, sizeof metric),
                (long long)(c->against.ns / NS_PER_S), (long long)(c->over.ns / NS_PER_S),
                c->count);
        CU_ASSERT_PTR_EQUAL(baseline_find(p, c->object, c->class_name, c->observer,
                                          inv_metric_format(c->metric, metric, sizeof metric),
                                          c->against.ns / NS_PER_S),
                            c);
        CU_ASSERT_TRUE(c->first + c->count <= p->series_count);
    }
    CU_ASSERT_PTR_NULL(baseline_find(p, "l", "c", "p", "rt_p51", 604800));
    fclose(to);
    baseline_plan_free(p);
    inventory_free(inv);
    return text;
}

static void
each_observer_of_an_active_link_has_a_past(void)
{
    char *text = pasts("");
    CU_ASSERT_STRING_EQUAL(text, "l c p rt_p50 604800 300 4\n"
                                 "l c q rt_p50 604800 300 4\n"
                                 "l d p rt_p50 604800 300 4\n"
                                 "l d q rt_p50 604800 300 4\n"
                                 "m c p rt_p50 604800 300 1\n");
    free(text);
    text = pasts(NO_SLOW);
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);
}

static void
rules_with_one_metric_and_past_share_it(void)
{
    char *text = pasts(NO_SLOW ", " RULE("a", "rt_mean", "1m", "1h") ", " RULE(
        "b", "rt_mean", "5m", "1h") ", " RULE("e", "rt_mean", "1m", "2h") ", " RULE("f", "flr",
                                                                                    "1m", "1h"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "m c p rt_mean 3600 300 1\nm c p rt_mean 7200 60 1\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "flr"));
    free(text);
    text = pasts(NO_SLOW ", a: {metric: rt_p99, over: 1m, raise: +1%, against: 1h, clear: 1m, "
                         "severity: info, classes: [d]}");
    CU_ASSERT_STRING_EQUAL(text, "l d p rt_p99 3600 60 4\nl d q rt_p99 3600 60 4\n");
    free(text);
}

static void
series_are_those_of_the_round_trip(void)
{
    struct inventory *inv = inventory_of("");
    struct baseline_plan *p = baseline_plan_new(inv);
    struct session_key key = {.object = "l",
                              .observer = "q",
                              .class_name = "c",
                              .protocol = "stamp",
                              .family = 4,
                              .flow = 2,
                              .observer_end = 1};
    const struct baseline_cell *c = baseline_find(p, "l", "c", "q", "rt_p50", 604800);

    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(p->series[c->first + 2], series_id_of(&key, DIR_RT));
    CU_ASSERT_EQUAL(c->size, 128);
    CU_ASSERT_EQUAL(c->dscp, 46);
    baseline_plan_free(p);
    inventory_free(inv);
}

/* --- When, and of what ------------------------------------------------------ */

static struct baseline_cell
cell_of(int64_t against_ns, int64_t over_ns)
{
    return (struct baseline_cell){.against = span_of_ns(against_ns),
                                  .over = span_of_ns(over_ns),
                                  .metric = {.kind = INV_RT, .quantile_milli = 50000},
                                  .count = 1};
}

static void
a_past_is_made_anew_by_its_length(void)
{
    CU_ASSERT_EQUAL(baseline_every(span_of_ns(MINUTE)).ns, 10 * NS_PER_S);
    CU_ASSERT_EQUAL(baseline_every(span_of_ns(500 * NS_PER_S)).ns, 10 * NS_PER_S);
    CU_ASSERT_EQUAL(baseline_every(span_of_ns(550 * NS_PER_S)).ns, 11 * NS_PER_S);
    CU_ASSERT_EQUAL(baseline_every(span_of_ns(50 * HOUR)).ns, HOUR);
    CU_ASSERT_EQUAL(baseline_every(span_of_ns(7 * DAY)).ns, HOUR);

    struct baseline_cell c = cell_of(MINUTE, 10 * NS_PER_S);
    struct instant now = instant_of_ns(1000 * DAY);
    CU_ASSERT_TRUE(baseline_is_due(&c, now));
    c.tried = now;
    CU_ASSERT_FALSE(baseline_is_due(&c, now));
    CU_ASSERT_FALSE(baseline_is_due(&c, instant_of_ns(now.ns + 10 * NS_PER_S - 1)));
    CU_ASSERT_TRUE(baseline_is_due(&c, instant_of_ns(now.ns + 10 * NS_PER_S)));
    CU_ASSERT_TRUE(baseline_is_due(&c, instant_of_ns(now.ns - 1))); /* A clock was set back. */
}

static void
rows_are_the_coarsest_that_tell_the_past(void)
{
    const struct span interval = span_of_ns(MINUTE);
    const struct instant now = instant_of_ns(1000 * DAY + 7 * HOUR + 7 * MINUTE + 7 * NS_PER_S);
    struct baseline_cell c = cell_of(3 * HOUR, 5 * MINUTE);
    struct baseline_range r = baseline_range(&c, interval, now);

    CU_ASSERT_EQUAL(r.rows, BASELINE_INTERVALS);
    CU_ASSERT_EQUAL(r.from.ns, 1000 * DAY + 4 * HOUR + 2 * MINUTE);
    CU_ASSERT_EQUAL(r.last.ns, now.ns - 6 * MINUTE);
    CU_ASSERT_TRUE(r.most >= 181);
    c.against.ns++;
    r = baseline_range(&c, interval, now);
    CU_ASSERT_EQUAL(r.rows, BASELINE_QUARTERS);
    CU_ASSERT_EQUAL(r.from.ns, 1000 * DAY + 4 * HOUR);
    CU_ASSERT_EQUAL(r.last.ns, now.ns - 20 * MINUTE);
    c.against.ns = 2 * DAY;
    CU_ASSERT_EQUAL(baseline_range(&c, interval, now).rows, BASELINE_QUARTERS);
    c.against.ns = 7 * DAY;
    r = baseline_range(&c, interval, now);
    CU_ASSERT_EQUAL(r.rows, BASELINE_DAYS);
    CU_ASSERT_EQUAL(r.from.ns, 993 * DAY);
    CU_ASSERT_EQUAL(r.last.ns, now.ns - 5 * MINUTE - DAY);
    CU_ASSERT_EQUAL(r.quarter_from.ns, 999 * DAY);
    CU_ASSERT_EQUAL(r.quarter_last.ns, now.ns - 20 * MINUTE);
    /* One that is no longer than a row has one. */
    c = cell_of(MINUTE, 10 * NS_PER_S);
    r = baseline_range(&c, interval, now);
    CU_ASSERT_EQUAL(r.from.ns, 1000 * DAY + 7 * HOUR + 5 * MINUTE);
    CU_ASSERT_EQUAL(r.last.ns, 1000 * DAY + 7 * HOUR + 5 * MINUTE + 57 * NS_PER_S);
}

/* --- Its value ---------------------------------------------------------------- */

/* A row of 'count' delays of 'value' each. */
static int
add(struct baseline_sum *s, uint64_t seconds, int64_t value, uint64_t count)
{
    struct hist *h = hist_new(HIST_DELAY);
    uint8_t bytes[64];

    hist_add(h, value, count);
    struct baseline_row row = {.seconds = seconds,
                               .count = count,
                               .sum_ns = value * (int64_t)count,
                               .min_ns = value,
                               .max_ns = value,
                               .hist = bytes,
                               .hist_size = hist_encode(h, bytes, sizeof bytes)};
    hist_free(h);
    return baseline_add(s, &row);
}

static void
a_value_needs_ten_windows_or_a_tenth_of_the_past(void)
{
    struct baseline_cell c = cell_of(DAY, 5 * MINUTE);
    struct baseline_sum s;
    int64_t value = -1;

    CU_ASSERT_EQUAL(baseline_wanted(&c).ns, 50 * MINUTE);
    c.against.ns = HOUR;
    CU_ASSERT_EQUAL(baseline_wanted(&c).ns, 6 * MINUTE);
    CU_ASSERT_EQUAL_FATAL(baseline_sum_init(&s), 0);
    baseline_begin(&s);
    CU_ASSERT_FALSE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(add(&s, 359, 5000000, 10), 0);
    CU_ASSERT_FALSE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(add(&s, 1, 5000000, 10), 0);
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(value, 5000000);
    c.count = 2; /* Flows: half as long a past. */
    CU_ASSERT_FALSE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(add(&s, 360, 5000000, 10), 0);
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    baseline_begin(&s);
    CU_ASSERT_FALSE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(baseline_add(&s, &(struct baseline_row){.seconds = 100000}), 0);
    CU_ASSERT_FALSE(baseline_value(&s, &c, &value)); /* Time alone, without a sample. */
    baseline_sum_fini(&s);
}

static void
flows_and_rows_are_merged_and_never_averaged(void)
{
    struct baseline_cell c = cell_of(HOUR, MINUTE);
    struct baseline_sum s;
    int64_t value;

    CU_ASSERT_EQUAL_FATAL(baseline_sum_init(&s), 0);
    baseline_begin(&s);
    add(&s, 600, 5000000, 600);
    add(&s, 600, 9000000, 400);
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(value, hist_quantile(s.hist, 500000, 5000000, 9000000));
    CU_ASSERT_TRUE(llabs(value - 5000000) <= 5000);
    c.metric.quantile_milli = 60000; /* Rank 600 is the last of the lower. */
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_TRUE(llabs(value - 5000000) <= 5000);
    c.metric.quantile_milli = 60100;
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_TRUE(llabs(value - 9000000) <= 9000);
    c.metric = (struct inv_metric){.kind = INV_RT_MEAN};
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(value, 6600000);
    baseline_sum_fini(&s);
}

static void
a_row_that_does_not_decode_is_left_out_whole(void)
{
    struct baseline_cell c = cell_of(HOUR, MINUTE);
    struct baseline_sum s;
    int64_t value;
    uint8_t bytes[64];
    struct hist *h = hist_new(HIST_DELAY);

    CU_ASSERT_EQUAL_FATAL(baseline_sum_init(&s), 0);
    baseline_begin(&s);
    add(&s, 600, 5000000, 600);
    hist_add(h, 9000000, 1000);
    size_t size = hist_encode(h, bytes, sizeof bytes);
    struct baseline_row row = {.seconds = 600,
                               .count = 999,
                               .sum_ns = 1,
                               .min_ns = 1,
                               .max_ns = 1,
                               .hist = bytes,
                               .hist_size = size};
    CU_ASSERT_EQUAL(baseline_add(&s, &row), -EBADMSG);
    row.count = 1000;
    row.hist_size = size - 1;
    CU_ASSERT_EQUAL(baseline_add(&s, &row), -EBADMSG);
    row.hist_size = 0;
    CU_ASSERT_EQUAL(baseline_add(&s, &row), -EBADMSG);
    CU_ASSERT_EQUAL(s.seconds, 600);
    CU_ASSERT_TRUE(baseline_value(&s, &c, &value));
    CU_ASSERT_EQUAL(value, 5000000);
    row.hist_size = size;
    CU_ASSERT_EQUAL(baseline_add(&s, &row), 0);
    hist_free(h);
    baseline_sum_fini(&s);
}

static void
an_old_value_stays_for_the_length_of_its_past(void)
{
    struct baseline_cell c = cell_of(HOUR, MINUTE);
    struct instant now = instant_of_ns(1000 * DAY);

    CU_ASSERT_FALSE(baseline_stays(&c, now)); /* There is none. */
    c.at = now;
    CU_ASSERT_TRUE(baseline_stays(&c, instant_of_ns(now.ns + HOUR - 1)));
    CU_ASSERT_FALSE(baseline_stays(&c, instant_of_ns(now.ns + HOUR)));
    CU_ASSERT_FALSE(baseline_stays(&c, instant_of_ns(now.ns - 1)));
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"each_observer_of_an_active_link_has_a_past", each_observer_of_an_active_link_has_a_past},
        {"rules_with_one_metric_and_past_share_it", rules_with_one_metric_and_past_share_it},
        {"series_are_those_of_the_round_trip", series_are_those_of_the_round_trip},
        {"a_past_is_made_anew_by_its_length", a_past_is_made_anew_by_its_length},
        {"rows_are_the_coarsest_that_tell_the_past", rows_are_the_coarsest_that_tell_the_past},
        {"a_value_needs_ten_windows_or_a_tenth_of_the_past",
         a_value_needs_ten_windows_or_a_tenth_of_the_past},
        {"flows_and_rows_are_merged_and_never_averaged",
         flows_and_rows_are_merged_and_never_averaged},
        {"a_row_that_does_not_decode_is_left_out_whole",
         a_row_that_does_not_decode_is_left_out_whole},
        {"an_old_value_stays_for_the_length_of_its_past",
         an_old_value_stays_for_the_length_of_its_past},
        CU_TEST_INFO_NULL};
    return run_suite("baseline", tests);
}
