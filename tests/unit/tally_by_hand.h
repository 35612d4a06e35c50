/* tally_by_hand.h - tallies that a test fills itself, and their verdicts. */
#ifndef PLUMBLINE_TEST_TALLY_BY_HAND_H
#define PLUMBLINE_TEST_TALLY_BY_HAND_H

#include "harness.h"
#include "objective.h"

#define MS NS_PER_MS
#define MONTH_30 (30 * 86400u)

static inline struct tally
new_tally(uint64_t in_w, uint64_t available)
{
    struct tally t = {
        .available = available, .hist = hist_new(HIST_DELAY), .ifdv = hist_new(HIST_IFDV)};

    t.excluded[EXCLUSION_NONE] = in_w;
    return t;
}

static inline void
free_tally(struct tally *t)
{
    hist_free(t->hist);
    hist_free(t->ifdv);
}

/* Adds samples of delay; over[0] counts those over 'limit'. */
static inline void
add_delay(struct tally *t, int64_t delay, uint64_t count, int64_t limit)
{
    hist_add(t->hist, delay, count);
    t->delay_min_ns = t->delay_count && t->delay_min_ns < delay ? t->delay_min_ns : delay;
    t->delay_max_ns = t->delay_count && t->delay_max_ns > delay ? t->delay_max_ns : delay;
    t->delay_count += count;
    t->delay_sum_ns = (int64_t)((uint64_t)t->delay_sum_ns + (uint64_t)delay * count);
    t->over[0] += delay > limit ? count : 0;
}

static inline struct inv_objective
objective(enum inv_metric_kind kind, uint32_t quantile_milli, uint64_t limit)
{
    return (struct inv_objective){.metric = {kind, quantile_milli}, .limit = limit};
}

static const struct objective_period over = {.dt = {NS_PER_S}, .over = true};

static inline struct objective_result
judge(struct inv_objective o, const struct tally *t)
{
    return objective_judge(&o, INV_UNDETERMINED_LAST, t, -1, &over);
}

/* With the exact counter over[0]. */
static inline struct objective_result
judge_counted(struct inv_objective o, const struct tally *t)
{
    return objective_judge(&o, INV_UNDETERMINED_LAST, t, 0, &over);
}

static inline void
expect(struct objective_result r, enum verdict verdict, enum verdict_doubt doubt)
{
    CU_ASSERT_EQUAL(r.verdict, verdict);
    CU_ASSERT_EQUAL(r.doubt, doubt);
}

/* In a month that is not over, of which so many packets are expected. */
static inline struct objective_result
judge_running(struct inv_objective o, const struct tally *t, int limit_index, uint64_t packets)
{
    struct objective_period period = {
        .dt = {NS_PER_S}, .dt_total = MONTH_30, .packets_total = packets};
    return objective_judge(&o, INV_UNDETERMINED_LAST, t, limit_index, &period);
}

#endif
