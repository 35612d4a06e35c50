/* promise_state.c - how objectives stand in periods that run, written many at once. */
#include "promise_parts.h"

#include <errno.h>

void
promise_states_fini(struct promise_states *all)
{
    bytes_fini(&all->periods);
    bytes_fini(&all->objectives);
}

/* A line as COPY takes it: keys and names hold nothing that would have to be escaped. */
static void
add_values(struct bytes *b, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes_text(b, i ? "\t" : "");
        bytes_text(b, values[i] ? values[i] : "\\N");
    }
    bytes_text(b, "\n");
}

int
promise_state(struct judgestore *s, struct promise *p, struct promise_states *all)
{
    struct instant until = promise_until(p);
    struct promise_period_text period;
    struct promise_text t;
    struct judged j;
    int err = 0;

    (void)s;
    if (!p->sla || until.ns < p->period.ns || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    promise_text_period(&period, p, until.ns < p->period_end.ns ? until : p->period_end, -1);
    add_values(&all->periods, period.values, sizeof period.values / sizeof period.values[0]);
    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        err = promise_judge(p, &p->sla->objectives[i], false, &j);
        if (!err) {
            promise_text_fill(&t, p, i, &j);
            add_values(&all->objectives, t.values, PROMISE_AT_WHY);
        }
    }
    all->count++;
    return err ? err : bytes_ok(&all->periods) && bytes_ok(&all->objectives) ? 0 : -ENOMEM;
}

static int
run(struct judgestore *s, const char *sql)
{
    return pg_run(s->conn, sql, 0, NULL, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

static int
flush_periods(struct judgestore *s, const struct bytes *lines)
{
    int err = run(s, "CREATE TEMPORARY TABLE IF NOT EXISTS period_in (service text, "
                     "period_start bigint, period_end bigint, sla text, version integer, "
                     "judged_from bigint, judged_until bigint, revision integer) "
                     "ON COMMIT DELETE ROWS");

    err = err ? err
              : pg_copy(s->conn, "COPY pg_temp.period_in (" PROMISE_PERIOD_COLUMNS ") FROM STDIN",
                        lines->at, lines->size, s->why, sizeof s->why);
    return err ? err
               : run(s, "INSERT INTO plumbline_store.judged_period AS p (" PROMISE_PERIOD_COLUMNS
                        ") SELECT service, to_timestamp(period_start), to_timestamp(period_end), "
                        "sla, version, to_timestamp(judged_from), to_timestamp(judged_until), "
                        "revision FROM pg_temp.period_in" PROMISE_PERIOD_MERGE);
}

static int
flush_objectives(struct judgestore *s, const struct bytes *lines)
{
    int err = run(s, "CREATE TEMPORARY TABLE IF NOT EXISTS objective_in (service text, "
                     "period_start bigint, number integer, class text, metric text, "
                     "direction text, limit_value bigint, unit text, verdict text, doubt text, "
                     "value bigint, worst text, part bigint, whole bigint, low float8, "
                     "high float8, needed bigint, budget bigint, used bigint) "
                     "ON COMMIT DELETE ROWS");

    err =
        err ? err
            : pg_copy(s->conn, "COPY pg_temp.objective_in (" PROMISE_RESULT_COLUMNS ") FROM STDIN",
                      lines->at, lines->size, s->why, sizeof s->why);
    return err ? err
               : run(s, "INSERT INTO plumbline_store.objective_state AS o (" PROMISE_RESULT_COLUMNS
                        ") SELECT service, to_timestamp(period_start), number, class, metric, "
                        "direction, limit_value, unit, verdict, doubt, value, worst, part, whole, "
                        "low, high, needed, budget, used FROM pg_temp.objective_in "
                        "ON CONFLICT (service, period_start, number) "
                        "DO UPDATE SET class = excluded.class, metric = excluded.metric, "
                        "direction = excluded.direction, limit_value = excluded.limit_value, "
                        "unit = excluded.unit, verdict = excluded.verdict, doubt = excluded.doubt, "
                        "value = excluded.value, worst = excluded.worst, part = excluded.part, "
                        "whole = excluded.whole, low = excluded.low, high = excluded.high, "
                        "needed = excluded.needed, budget = excluded.budget, used = excluded.used, "
                        "updated_at = now()");
}

int
promise_flush(struct judgestore *s, struct promise_states *all)
{
    int err = all->count ? flush_periods(s, &all->periods) : 0;

    err = err || !all->objectives.size ? err : flush_objectives(s, &all->objectives);
    bytes_clear(&all->periods);
    bytes_clear(&all->objectives);
    all->count = 0;
    return err;
}
