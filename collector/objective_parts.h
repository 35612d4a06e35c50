/* objective_parts.h - what the files of objective.c share: the question, and steps that several
 * kinds of metrics take.  Nobody else includes it. */
#ifndef PLUMBLINE_OBJECTIVE_PARTS_H
#define PLUMBLINE_OBJECTIVE_PARTS_H

#include "objective.h"

#define WHOLE_MILLI 100000u /* 100 % in milli-percent. */
#define RULE_OF_THREE 3u    /* None of N bad: at 95 % at most 3/N are. */

/* Products of two counters, or of a counter and a time. */
__extension__ typedef __int128 objective_wide;

/* What is asked. */
struct objective_question {
    const struct inv_objective *o;
    const struct tally *t;
    const struct objective_period *period;
    enum inv_undetermined undetermined;
    int limit_index; /* -1 unless the metric is counted in over[]. */
};

/* Without a value and an interval. */
struct objective_result objective_result_of(enum verdict verdict, enum verdict_doubt doubt);

/* 'value' as far as it fits. */
void objective_set_value(struct objective_result *r, objective_wide value);

/* a / b, up; b > 0. */
objective_wide objective_divide_up(objective_wide a, objective_wide b);

/* Packets at the end of the period, 'counted' so far: as many as is known for sure. */
uint64_t objective_final_packets(const struct objective_question *q, uint64_t counted);

/* The same for a budget that is shown: if it is not known, so many more as time is left. */
uint64_t objective_projected_packets(const struct objective_question *q, uint64_t counted);

/* Whether what is still to come is known, so that a budget can be spent for good. */
bool objective_is_end_known(const struct objective_question *q);

/* objective_delay.c */
struct objective_result objective_judge_quantile(const struct objective_question *q);
struct objective_result objective_judge_mean(const struct objective_question *q);

#endif
