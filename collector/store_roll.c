/* store_roll.c - rows merged into quarter hours and days: what a commit completes, and what is left
 * of a source that was closed. */
#include "store_parts.h"

#include <errno.h>
#include <stdlib.h>

/* Merges what 'plan' says; partitions of days that an earlier release made lack the
 * new tables'. */
static int
carry_out(struct store *s, int64_t source_id, const struct rollup_plan *plan, uint64_t *written)
{
    int err = 0;

    for (size_t i = 0; i < plan->quarter_count && !err; i++) {
        int64_t day = plan->quarters_s[i] / ROLLUP_DAY_S;
        bool same = i && plan->quarters_s[i - 1] / ROLLUP_DAY_S == day;
        err = same || store_day_known(s, day) ? 0 : store_day_make(s, day);
    }
    err = err ? err
              : rollwrite_carry_out(s->rollwrite, s->conn, source_id, plan, written, s->why,
                                    sizeof s->why);
    if (err == -ENOMEM) {
        snprintf(s->why, sizeof s->why, "no memory to merge rows in");
    }
    return err;
}

int
store_write_rollups(struct store *s, struct store_write *w, int64_t rolled_s)
{
    const struct rollup_due due = {.rolled_s = rolled_s,
                                   .before_s = w->written_before.ns / NS_PER_S,
                                   .until_s = w->written_until.ns / NS_PER_S,
                                   .quarters_s = w->quarters_s,
                                   .quarter_count = w->quarter_count};
    struct rollup_plan plan;

    return rollup_plan(&due, &plan) ? carry_out(s, w->source_id, &plan, &w->rolled) : 0;
}

/* --- Closed sources -------------------------------------------------------- */

/* The plan of one that is held by the lock of its row; 0: there is none. */
static int
closed_plan(struct store *s, int64_t *source_id, struct rollup_plan *plan)
{
    struct rollup_due due = {0};
    PGresult *r =
        store_ask(s,
                  "SELECT source_id, coalesce(extract(epoch FROM rolled_until)::bigint, 0), "
                  "extract(epoch FROM written_until)::bigint "
                  "FROM plumbline_store.source_position "
                  "WHERE closed AND written_until IS NOT NULL "
                  "AND (rolled_until IS NULL OR rolled_until < "
                  "date_trunc('day', written_until - interval '1 second', 'UTC') "
                  "+ interval '1 day') "
                  "ORDER BY source_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
                  0, NULL);
    if (!r) {
        return -EIO;
    }
    int found = PQntuples(r);
    if (found) {
        *source_id = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
        due.rolled_s = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
        due.before_s = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
        /* Nothing more comes: the day that it was in counts as over. */
        due.until_s = (due.before_s + ROLLUP_DAY_S - 1) / ROLLUP_DAY_S * ROLLUP_DAY_S;
        (void)rollup_plan(&due, plan);
    }
    PQclear(r);
    return found;
}

int
store_roll_closed(struct store *s)
{
    struct rollup_plan plan;
    int64_t source_id;
    uint64_t written = 0;

    if (store_do(s, "BEGIN", 0, NULL) < 0) {
        return -EIO;
    }
    int found = closed_plan(s, &source_id, &plan);
    if (found == 0) {
        return store_do(s, "ROLLBACK", 0, NULL) < 0 ? -EIO : 0;
    }
    if (found < 0 || carry_out(s, source_id, &plan, &written) ||
        store_do(s, "COMMIT", 0, NULL) < 0) {
        return store_give_up(s);
    }
    return 1;
}
