/* test_rollup.c - rows merge to quarter hours and days; whatever happens between
 * commits, each is merged once. */
#include "rollup.h"

#include <errno.h>

#include "harness.h"
#include "hist.h"

#define DAY0 (INT64_C(20000) * ROLLUP_DAY_S)

/* --- Merging -------------------------------------------------------------- */

#define RECORDS 60

/* A record, its delays drawn; histograms go to 'bytes'. */
static struct dt_record
record_of(bool clean, uint8_t bytes[2][512])
{
    struct dt_record r = {.kind = DT_FULL, .clock_error_ns = random_below(1000)};
    struct hist *h[2] = {hist_new(HIST_DELAY), hist_new(HIST_IFDV)};
    int64_t min = INT64_MAX, max = INT64_MIN, sum = 0;

    r.received = 1 + random_below(9);
    r.lost = clean ? 0 : random_below(3);
    r.lost_undirected = random_below(r.lost + 1);
    r.unknown = clean ? 0 : random_below(2);
    r.sent = r.scheduled = r.received + r.lost;
    r.duplicate = random_below(3);
    r.late = random_below(2);
    r.stamped_user = random_below(2);
    r.over[0] = random_below(3);
    for (uint64_t i = 0; i < r.received; i++) {
        int64_t v = (int64_t)random_below(5000000) - 1000;
        hist_add(h[0], v, 1);
        hist_add(h[1], v / 7, 1);
        min = v < min ? v : min;
        max = v > max ? v : max;
        sum += v;
    }
    r.delay = (struct dt_delay){.count = r.received,
                                .min_ns = min,
                                .range_ns = (uint64_t)(max - min),
                                .sum_ns = (uint64_t)(sum - min * (int64_t)r.received),
                                .hist = bytes[0],
                                .hist_size = hist_encode(h[0], bytes[0], sizeof bytes[0]),
                                .ifdv = bytes[1],
                                .ifdv_size = hist_encode(h[1], bytes[1], sizeof bytes[1])};
    hist_free(h[0]);
    hist_free(h[1]);
    return r;
}

/* Rows that keep their bytes. */
struct kept {
    struct rollup rollup;
    uint8_t *dt;
    size_t dt_size;
    uint8_t *bytes[ROLLUP_PARTS][2];
};

static void
keep_part(struct kept *k, int part)
{
    struct rollup_part *p = &k->rollup.part[part];

    k->bytes[part][0] = exact_copy(p->hist, p->hist_size);
    k->bytes[part][1] = exact_copy(p->ifdv, p->ifdv_size);
    p->hist = k->bytes[part][0];
    p->ifdv = k->bytes[part][1];
}

static void
kept_free(struct kept *k)
{
    free(k->dt);
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        free(k->bytes[i][0]);
        free(k->bytes[i][1]);
    }
}

/* What reading a row back from PostgreSQL yields. */
static struct kept
kept_row(const struct row *r, uint32_t seconds)
{
    struct kept k = {.rollup = rollup_nothing()};
    int part = r->flags & ROW_UNCLEAN ? ROLLUP_UNCLEAN : ROLLUP_CLEAN;
    const struct rollup_part p = {.seconds = seconds,
                                  .dt_count = r->dt_count,
                                  .counts = {r->scheduled, r->sent, r->send_errors, r->received,
                                             r->lost, r->lost_undirected, r->unknown, r->late,
                                             r->duplicate, r->reordered, r->stamped_user,
                                             r->stamped_hardware},
                                  .clock_error_ns = r->clock_error_ns,
                                  .delay_count = r->delay_count,
                                  .delay_sum_ns = r->delay_sum_ns,
                                  .delay_min_ns = r->delay_min_ns,
                                  .delay_max_ns = r->delay_max_ns,
                                  .over_count = r->any_over ? 1 : 0,
                                  .over = {r->over[0]},
                                  .hist = r->hist,
                                  .hist_size = r->hist_size,
                                  .ifdv = r->ifdv,
                                  .ifdv_size = r->ifdv_size};

    k.rollup.flags = r->flags;
    k.rollup.unknown_dt = r->unknown_dt;
    k.rollup.part[part] = p;
    keep_part(&k, ROLLUP_CLEAN);
    keep_part(&k, ROLLUP_UNCLEAN);
    if (r->flags & ROW_UNCLEAN) {
        k.dt = exact_copy(r->dt, r->dt_size);
        k.dt_size = r->dt_size;
    }
    return k;
}

static void
same_part(const struct rollup_part *a, const struct rollup_part *b)
{
    CU_ASSERT_EQUAL(a->seconds, b->seconds);
    CU_ASSERT_EQUAL(a->dt_count, b->dt_count);
    CU_ASSERT_EQUAL(memcmp(a->counts, b->counts, sizeof a->counts), 0);
    CU_ASSERT_EQUAL(a->clock_error_ns, b->clock_error_ns);
    CU_ASSERT_EQUAL(a->delay_count, b->delay_count);
    CU_ASSERT_EQUAL(a->delay_sum_ns, b->delay_sum_ns);
    CU_ASSERT_EQUAL(a->delay_min_ns, b->delay_min_ns);
    CU_ASSERT_EQUAL(a->delay_max_ns, b->delay_max_ns);
    CU_ASSERT_EQUAL(a->over[0], b->over[0]);
    CU_ASSERT_EQUAL(a->hist_size, b->hist_size);
    CU_ASSERT_EQUAL(a->ifdv_size, b->ifdv_size);
    CU_ASSERT_TRUE(a->hist_size == 0 || memcmp(a->hist, b->hist, a->hist_size) == 0);
    CU_ASSERT_TRUE(a->ifdv_size == 0 || memcmp(a->ifdv, b->ifdv, a->ifdv_size) == 0);
}

/* 'count' rows of 60 s, and all their records once more in two rows, as if the interval
 * were so long. */
struct world {
    struct kept rows[32];
    size_t row_count;
    struct dt_record all[ROLLUP_PARTS][32 * RECORDS];
    size_t all_count[ROLLUP_PARTS];
    uint8_t bytes[32 * RECORDS][2][512];
    size_t undetermined;
};

static void
world_make(struct world *w, struct row_maker *m, size_t count)
{
    size_t used = 0;

    w->row_count = count;
    for (size_t i = 0; i < count; i++) {
        bool clean = random_chance(500);
        int part = clean ? ROLLUP_CLEAN : ROLLUP_UNCLEAN;
        struct dt_record *first = &w->all[part][w->all_count[part]];
        struct row row;
        for (size_t k = 0; k < RECORDS; k++, used++) {
            first[k] = record_of(clean, w->bytes[used]);
            if (!clean && random_chance(100)) {
                first[k].flags = DT_UNDETERMINED;
                w->undetermined++;
            } else if (!clean && random_chance(50)) {
                first[k] = (struct dt_record){.kind = DT_NOT_TOLD, .clock_error_ns = UINT64_MAX};
            }
        }
        w->all_count[part] += RECORDS;
        CU_ASSERT_EQUAL(row_make(m, first, RECORDS, 1, clean, &row), 0);
        w->rows[i] = kept_row(&row, 60);
    }
}

static void
world_free(struct world *w)
{
    for (size_t i = 0; i < w->row_count; i++) {
        kept_free(&w->rows[i]);
    }
    free(w);
}

/* One row of all delta-t of each part: its figures, and its histograms by the records. */
static void
summarised_together(struct world *w, struct row_maker *rows, struct rollup_maker *m,
                    struct kept *out)
{
    struct row row;

    rollup_begin(m, (uint32_t)w->row_count * 60);
    for (int part = 0; part < ROLLUP_PARTS; part++) {
        if (w->all_count[part]) {
            CU_ASSERT_EQUAL(
                row_make(rows, w->all[part], w->all_count[part], 1, part == ROLLUP_CLEAN, &row), 0);
            struct kept k = kept_row(&row, (uint32_t)(w->all_count[part] / RECORDS * 60));
            CU_ASSERT_EQUAL(rollup_add(m, &k.rollup, k.dt, k.dt_size), 0);
            kept_free(&k);
        }
    }
    *out = (struct kept){0};
    CU_ASSERT_EQUAL(rollup_end(m, &out->rollup), 0);
    keep_part(out, ROLLUP_CLEAN);
    keep_part(out, ROLLUP_UNCLEAN);
}

static void
same(const struct rollup *a, const struct rollup *b)
{
    CU_ASSERT_EQUAL(a->flags, b->flags);
    CU_ASSERT_EQUAL(a->unknown_dt, b->unknown_dt);
    CU_ASSERT_EQUAL(a->undetermined_dt, b->undetermined_dt);
    CU_ASSERT_EQUAL(memcmp(a->quantile_ns, b->quantile_ns, sizeof a->quantile_ns), 0);
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        same_part(&a->part[i], &b->part[i]);
    }
}

/* Figure by figure beside the one row of each part, and the quantiles beside the one
 * row of everything. */
static void
figures_are_those_of_one_row(struct world *w, struct row_maker *rows, const struct rollup *merged)
{
    static struct dt_record both[ROLLUP_PARTS * 32 * RECORDS];
    size_t n = 0;
    struct row row;

    for (int part = 0; part < ROLLUP_PARTS; part++) {
        const struct rollup_part *p = &merged->part[part];
        memcpy(both + n, w->all[part], w->all_count[part] * sizeof both[0]);
        n += w->all_count[part];
        CU_ASSERT_EQUAL(row_make(rows, w->all[part], w->all_count[part], 1, false, &row), 0);
        const uint64_t wanted[ROLLUP_COUNTS] = {
            row.scheduled, row.sent,         row.send_errors,
            row.received,  row.lost,         row.lost_undirected,
            row.unknown,   row.late,         row.duplicate,
            row.reordered, row.stamped_user, row.stamped_hardware};
        CU_ASSERT_EQUAL(memcmp(wanted, p->counts, sizeof wanted), 0);
        CU_ASSERT_EQUAL(row.dt_count, p->dt_count);
        CU_ASSERT_EQUAL(row.delay_count, p->delay_count);
        CU_ASSERT_EQUAL(row.delay_sum_ns, p->delay_sum_ns);
        CU_ASSERT_EQUAL(row.over[0], p->over[0]);
        CU_ASSERT_EQUAL(row.clock_error_ns, p->clock_error_ns);
        CU_ASSERT_EQUAL(row.delay_min_ns, p->delay_min_ns);
        CU_ASSERT_EQUAL(row.delay_max_ns, p->delay_max_ns);
    }
    CU_ASSERT_EQUAL(row_make(rows, both, n, 1, false, &row), 0);
    CU_ASSERT_EQUAL(row.unknown_dt, merged->unknown_dt);
    CU_ASSERT_EQUAL(memcmp(row.quantile_ns, merged->quantile_ns, sizeof row.quantile_ns), 0);
}

static void
merging_equals_summarising_together(void)
{
    struct row_maker *rows = row_maker_new();
    struct rollup_maker *m = rollup_maker_new();

    for (int round = 0; round < 30; round++) {
        struct world *w = calloc(1, sizeof *w);
        struct kept together;
        struct rollup merged;
        world_make(w, rows, 1 + random_below(15));
        summarised_together(w, rows, m, &together);
        rollup_begin(m, (uint32_t)w->row_count * 60);
        for (size_t i = 0; i < w->row_count; i++) {
            const struct kept *k = &w->rows[i];
            CU_ASSERT_EQUAL(rollup_add(m, &k->rollup, k->dt, k->dt_size), 0);
        }
        CU_ASSERT_EQUAL(rollup_end(m, &merged), 0);
        same(&together.rollup, &merged);
        figures_are_those_of_one_row(w, rows, &merged);
        CU_ASSERT_EQUAL(merged.undetermined_dt, w->undetermined);
        CU_ASSERT_EQUAL(merged.flags & ROW_PARTIAL, 0);
        kept_free(&together);
        world_free(w);
    }
    rollup_maker_free(m);
    row_maker_free(rows);
}

static void
days_of_quarter_hours_equal_days_of_rows(void)
{
    struct row_maker *rows = row_maker_new();
    struct rollup_maker *m = rollup_maker_new();

    for (int round = 0; round < 30; round++) {
        struct world *w = calloc(1, sizeof *w);
        struct kept quarters[4] = {0}, direct;
        struct rollup day;
        world_make(w, rows, 20);
        summarised_together(w, rows, m, &direct);
        for (int q = 0; q < 4; q++) {
            rollup_begin(m, 300);
            for (size_t i = 0; i < 5; i++) {
                const struct kept *k = &w->rows[(size_t)q * 5 + i];
                rollup_add(m, &k->rollup, k->dt, k->dt_size);
            }
            rollup_end(m, &quarters[q].rollup);
            keep_part(&quarters[q], ROLLUP_CLEAN);
            keep_part(&quarters[q], ROLLUP_UNCLEAN);
        }
        rollup_begin(m, 1200);
        for (int q = 3; q >= 0; q--) { /* In any order. */
            CU_ASSERT_EQUAL(rollup_add(m, &quarters[q].rollup, NULL, 0), 0);
        }
        CU_ASSERT_EQUAL(rollup_end(m, &day), 0);
        same(&direct.rollup, &day);
        for (int q = 0; q < 4; q++) {
            kept_free(&quarters[q]);
        }
        kept_free(&direct);
        world_free(w);
    }
    rollup_maker_free(m);
    row_maker_free(rows);
}

static void
clean_and_unclean_stay_apart(void)
{
    struct row_maker *rows = row_maker_new();
    struct rollup_maker *m = rollup_maker_new();
    struct world *w = calloc(1, sizeof *w);
    struct rollup both;
    uint64_t of_clean = 0, of_unclean = 0;

    world_make(w, rows, 15);
    rollup_begin(m, 900);
    for (size_t i = 0; i < w->row_count; i++) {
        const struct kept *k = &w->rows[i];
        of_clean += k->rollup.part[ROLLUP_CLEAN].delay_count;
        of_unclean += k->rollup.part[ROLLUP_UNCLEAN].delay_count;
        rollup_add(m, &k->rollup, k->dt, k->dt_size);
    }
    rollup_end(m, &both);
    const struct rollup_part *p = both.part;
    CU_ASSERT_EQUAL(p[ROLLUP_CLEAN].delay_count, of_clean);
    CU_ASSERT_EQUAL(p[ROLLUP_UNCLEAN].delay_count, of_unclean);
    CU_ASSERT_EQUAL(p[ROLLUP_CLEAN].counts[ROLLUP_LOST], 0);
    CU_ASSERT_EQUAL(p[ROLLUP_CLEAN].counts[ROLLUP_UNKNOWN], 0);
    CU_ASSERT_EQUAL(p[ROLLUP_CLEAN].seconds + p[ROLLUP_UNCLEAN].seconds, 900);
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        uint64_t held = 0;
        CU_ASSERT_TRUE(p[i].delay_count == 0 ||
                       hist_check_encoded(HIST_DELAY, p[i].hist, p[i].hist_size, &held) == HIST_OK);
        CU_ASSERT_EQUAL(held, p[i].delay_count);
    }
    world_free(w);
    rollup_maker_free(m);
    row_maker_free(rows);
}

static void
what_is_a_second_short_is_partial(void)
{
    struct rollup_maker *m = rollup_maker_new();
    struct rollup row = rollup_nothing(), out;

    for (uint32_t seconds = 899; seconds <= 900; seconds++) {
        row.part[ROLLUP_CLEAN].seconds = seconds;
        rollup_begin(m, 900);
        rollup_add(m, &row, NULL, 0);
        CU_ASSERT_EQUAL(rollup_end(m, &out), 0);
        CU_ASSERT_EQUAL((out.flags & ROW_PARTIAL) != 0, seconds < 900);
    }
    rollup_maker_free(m);
}

static void
bytes_that_do_not_decode_are_told(void)
{
    struct rollup_maker *m = rollup_maker_new();
    struct rollup row = rollup_nothing();
    static const uint8_t bad[] = {2, 0};

    rollup_begin(m, 900);
    CU_ASSERT_EQUAL(rollup_add(m, &row, bad, sizeof bad), -EBADMSG);
    row.part[ROLLUP_UNCLEAN].hist = bad;
    row.part[ROLLUP_UNCLEAN].hist_size = sizeof bad;
    rollup_begin(m, 900);
    CU_ASSERT_EQUAL(rollup_add(m, &row, NULL, 0), -EBADMSG);
    rollup_maker_free(m);
}

/* --- Plans ---------------------------------------------------------------- */

#define MINUTES (4 * 1440)

/* PostgreSQL: which minutes have a row, what was merged, and how often. */
struct tables {
    bool minute[MINUTES];
    int quarter[MINUTES / 15], day[MINUTES / 1440]; /* Rows merged into it; -1: not merged. */
    int64_t rolled_s, written_s;
};

static void
tables_init(struct tables *t)
{
    *t = (struct tables){0};
    memset(t->quarter, 0xff, sizeof t->quarter);
    memset(t->day, 0xff, sizeof t->day);
}

static void
carry_out(struct tables *t, const struct rollup_plan *p)
{
    if (p->reopen_quarter_s) {
        t->quarter[(p->reopen_quarter_s - DAY0) / 900] = -1;
    }
    if (p->reopen_day_s) {
        t->day[(p->reopen_day_s - DAY0) / ROLLUP_DAY_S] = -1;
    }
    for (size_t i = 0; i < p->quarter_count; i++) {
        int64_t q = (p->quarters_s[i] - DAY0) / 900;
        int rows = 0;
        for (int64_t k = q * 15; k < q * 15 + 15; k++) {
            rows += t->minute[k];
        }
        /* PostgreSQL would refuse a second row; of none it makes none. */
        CU_ASSERT_TRUE(t->quarter[q] < 0);
        t->quarter[q] = rows ? rows : -1;
    }
    for (size_t i = 0; i < p->day_count; i++) {
        int64_t d = (p->days_s[i] - DAY0) / ROLLUP_DAY_S;
        int rows = 0;
        for (int64_t q = d * 96; q < d * 96 + 96; q++) {
            rows += t->quarter[q] > 0 ? t->quarter[q] : 0;
        }
        CU_ASSERT_TRUE(t->day[d] < 0);
        t->day[d] = rows ? rows : -1;
    }
    t->rolled_s = p->rolled_s;
}

/* One commit of minutes, [*at ...), of which some are silent.  Returns whether it was
 * a whole one: a collector that dies before its COMMIT leaves nothing. */
static void
commit_minutes(struct tables *t, int64_t *at, bool merges)
{
    struct tables before = *t;
    int64_t quarters[64];
    size_t count = 0, wanted = 1 + random_below(64), n = 0;
    int64_t start = *at;

    for (; n < wanted && *at < MINUTES; ++*at) {
        if (random_chance(3)) {
            *at += (int64_t)random_below(1500); /* Silence. */
            continue;
        }
        int64_t q = DAY0 + *at / 15 * 900;
        if (count == 0 || quarters[count - 1] != q) {
            quarters[count++] = q;
        }
        t->minute[*at] = true;
        t->written_s = DAY0 + (*at + 1) * 60;
        n++;
    }
    if (n && merges) {
        const struct rollup_due due = {t->rolled_s, before.written_s, t->written_s, quarters,
                                       count};
        struct rollup_plan plan;
        if (rollup_plan(&due, &plan)) {
            carry_out(t, &plan);
        }
    }
    if (random_chance(200)) {
        *t = before; /* Died; the next one reads the same again. */
        *at = start;
    }
}

static void
close_source(struct tables *t)
{
    int64_t end = (t->written_s + ROLLUP_DAY_S - 1) / ROLLUP_DAY_S * ROLLUP_DAY_S;
    struct rollup_plan plan;

    while (t->rolled_s < end) {
        const struct rollup_due due = {
            .rolled_s = t->rolled_s, .before_s = t->written_s, .until_s = end};
        CU_ASSERT_TRUE_FATAL(rollup_plan(&due, &plan));
        carry_out(t, &plan);
    }
}

static void
all_is_merged(const struct tables *t)
{
    for (int64_t q = 0; q < MINUTES / 15; q++) {
        int rows = 0;
        for (int64_t k = q * 15; k < q * 15 + 15; k++) {
            rows += t->minute[k];
        }
        bool over = DAY0 + (q + 1) * 900 <= t->rolled_s;
        CU_ASSERT_EQUAL(t->quarter[q], over && rows ? rows : -1);
    }
    for (int64_t d = 0; d < MINUTES / 1440; d++) {
        int rows = 0;
        for (int64_t k = d * 1440; k < d * 1440 + 1440; k++) {
            rows += t->minute[k];
        }
        bool over = DAY0 + (d + 1) * ROLLUP_DAY_S <= t->rolled_s;
        CU_ASSERT_EQUAL(t->day[d], over && rows ? rows : -1);
    }
}

static void
restarts_and_silence_come_to_the_same_quarter_hours_and_days(void)
{
    struct tables *t = malloc(sizeof *t);

    for (int round = 0; round < 300; round++) {
        int64_t at = (int64_t)random_below(1440);
        tables_init(t);
        while (at < MINUTES) {
            commit_minutes(t, &at, true);
            CU_ASSERT_EQUAL(t->rolled_s, t->written_s / 900 * 900);
        }
        all_is_merged(t);
    }
    free(t);
}

static void
a_closed_source_is_merged_and_taken_up_again(void)
{
    struct tables *t = malloc(sizeof *t);

    for (int round = 0; round < 300; round++) {
        int64_t at = (int64_t)random_below(1440);
        tables_init(t);
        while (at < MINUTES) {
            commit_minutes(t, &at, true);
            if (random_chance(50)) {
                close_source(t);
                all_is_merged(t);
            }
        }
        close_source(t);
        all_is_merged(t);
    }
    free(t);
}

static void
what_an_earlier_release_wrote_is_merged_bit_by_bit(void)
{
    struct tables *t = malloc(sizeof *t);

    for (int round = 0; round < 100; round++) {
        int64_t at = (int64_t)random_below(1440);
        tables_init(t);
        while (at < MINUTES / 2) {
            commit_minutes(t, &at, false);
        }
        t->rolled_s = random_chance(500) ? DAY0 : 0; /* As the migration says, or not. */
        if (t->rolled_s == 0) {
            /* Without a word of when it began: from the day it was in. */
            int64_t first = t->written_s ? (t->written_s - DAY0) / ROLLUP_DAY_S * 1440 : 0;
            memset(t->minute, 0, (size_t)first * sizeof t->minute[0]);
        }
        while (at < MINUTES) {
            commit_minutes(t, &at, true);
        }
        close_source(t);
        all_is_merged(t);
    }
    free(t);
}

static void
borders_belong_to_what_begins_there(void)
{
    const int64_t q[] = {DAY0 + 86400 - 900};
    struct rollup_due due = {.rolled_s = q[0],
                             .before_s = q[0] + 780,
                             .until_s = q[0] + 840,
                             .quarters_s = q,
                             .quarter_count = 1};
    struct rollup_plan p;

    CU_ASSERT_FALSE(rollup_plan(&due, &p));
    due.before_s = q[0] + 840;
    due.until_s = q[0] + 899; /* A second short of it. */
    CU_ASSERT_FALSE(rollup_plan(&due, &p));
    due.until_s = q[0] + 900;
    CU_ASSERT_TRUE(rollup_plan(&due, &p));
    CU_ASSERT_EQUAL(p.quarter_count, 1);
    CU_ASSERT_EQUAL(p.quarters_s[0], q[0]);
    CU_ASSERT_EQUAL(p.day_count, 1);
    CU_ASSERT_EQUAL(p.days_s[0], DAY0);
    CU_ASSERT_EQUAL(p.rolled_s, DAY0 + 86400);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"merging equals summarising together", merging_equals_summarising_together},
        {"days of quarter hours equal days of rows", days_of_quarter_hours_equal_days_of_rows},
        {"clean and unclean stay apart", clean_and_unclean_stay_apart},
        {"what is a second short is partial", what_is_a_second_short_is_partial},
        {"bytes that do not decode are told", bytes_that_do_not_decode_are_told},
        {"restarts and silence come to the same quarter hours and days",
         restarts_and_silence_come_to_the_same_quarter_hours_and_days},
        {"a closed source is merged and taken up again",
         a_closed_source_is_merged_and_taken_up_again},
        {"what an earlier release wrote is merged bit by bit",
         what_an_earlier_release_wrote_is_merged_bit_by_bit},
        {"borders belong to what begins there", borders_belong_to_what_begins_there},
        CU_TEST_INFO_NULL};
    return run_suite("rollup", tests);
}
