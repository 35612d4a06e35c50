/* test_tally.c - what is counted of one way, in W and qualified, against the same counted by hand.
 */

#include "tally_world.h"

#include <errno.h>

/* --- A world whose figures the test counts itself -------------------------- */

#define FLOWS 2
#define INTERVALS 4

struct interval {
    size_t dt_count;
    bool has[FLOWS][2];
    struct world_row row[FLOWS][2]; /* Of the first end, of the witness. */
    uint8_t available[WORLD_DTS], excluded[WORLD_DTS];
};

static struct interval world[INTERVALS];

/* States that last for a while. */
static void
draw_states(struct interval *v)
{
    uint8_t available = 1, excluded = EXCLUSION_NONE;
    bool all_well = random_chance(300);

    for (size_t k = 0; k < WORLD_DTS; k++) {
        if (!all_well && random_chance(80)) {
            available = random_below(10) < 7;
        }
        if (!all_well && random_chance(60)) {
            excluded = random_chance(600) ? EXCLUSION_NONE : (uint8_t)random_below(EXCLUSION_KINDS);
        }
        v->available[k] = available;
        v->excluded[k] = excluded;
    }
}

static void
draw_interval(struct interval *v, size_t dt_count)
{
    v->dt_count = dt_count;
    for (uint16_t f = 0; f < FLOWS; f++) {
        for (int w = 0; w < 2; w++) {
            v->has[f][w] = random_chance(w ? 500 : 900);
            world_random_row(&v->row[f][w], maker, f, w == 1, v->dt_count, random_chance(500));
        }
    }
    draw_states(v);
}

static void
free_interval(struct interval *v)
{
    for (int f = 0; f < FLOWS; f++) {
        world_free(&v->row[f][0]);
        world_free(&v->row[f][1]);
    }
}

static void
measure_interval(const struct interval *v)
{
    measured_begin(measured, (uint32_t)v->dt_count);
    for (int f = 0; f < FLOWS; f++) {
        for (int w = 0; w < 2; w++) {
            struct measured_row row = world_read(&v->row[f][w]);
            if (v->has[f][w]) {
                CU_ASSERT_EQUAL_FATAL(measured_add(measured, &row), 0);
            }
        }
    }
    CU_ASSERT_EQUAL_FATAL(measured_end(measured), 0);
}

static void
add_interval(struct tally *t, struct tally_state *s, const struct tally_config *c,
             const struct interval *v)
{
    measure_interval(v);
    CU_ASSERT_EQUAL_FATAL(tally_add(t, s, c, params, measured, v->available, v->excluded), 0);
}

/* --- Counting by hand ------------------------------------------------------ */

static const struct world_row *
judged(const struct interval *v, int flow, size_t k)
{
    for (int w = 0; w < 2; w++) {
        if (v->has[flow][w] && world_known(&v->row[flow][w].dt[k].record)) {
            return &v->row[flow][w];
        }
    }
    return NULL;
}

static bool
qualifies(const struct interval *v, size_t k)
{
    return v->available[k] && v->excluded[k] == EXCLUSION_NONE;
}

static bool
is_suspect(const struct tally_config *c, const struct dt_record *r, bool *wrong_clock)
{
    bool one_way = c->direction != DIR_RT;

    *wrong_clock = one_way && (r->flags & DT_NEGATIVE ||
                               (r->received && r->clock_error_ns > c->suspect_clock_error_ns));
    return r->flags & (DT_UNDERSENT | DT_CLOCK_STEP | DT_OVERRUN | DT_FAR_EPOCH | DT_BELOW_FLOOR);
}

static void
count_sample(struct tally *e, int64_t v, uint64_t clock_error_ns, bool before)
{
    e->delay_min_ns = e->delay_count == 0 || v < e->delay_min_ns ? v : e->delay_min_ns;
    e->delay_max_ns = e->delay_count == 0 || v > e->delay_max_ns ? v : e->delay_max_ns;
    e->delay_count++;
    e->delay_sum_ns += v;
    e->over[3] += !before && v > world_limits[WORLD_DELAY];
    for (int i = 0; i < SERIES_LIMITS_MAX; i++) {
        e->not_compared[i] += i == 3 ? before : i != 1;
    }
    e->clock_error_ns = clock_error_ns > e->clock_error_ns ? clock_error_ns : e->clock_error_ns;
    hist_add(e->hist, v, 1);
}

/* Delays of one flow's delta-t. */
static void
count_delays(struct tally *e, const struct tally_config *c, const struct world_dt *d, bool before)
{
    bool wrong_clock, suspect = is_suspect(c, &d->record, &wrong_clock);

    if (c->suspect_excluded && suspect) {
        return;
    }
    for (size_t i = 0; i < d->delay_count && !(c->suspect_excluded && wrong_clock); i++) {
        count_sample(e, d->delay[i], d->record.clock_error_ns, before);
    }
    for (size_t i = 0; i < d->ifdv_count; i++) {
        e->over[1] += d->ifdv[i] > world_limits[WORLD_IFDV];
        if (c->ifdv) {
            hist_add(e->ifdv, d->ifdv[i], 1);
        }
    }
}

/* How a clean row stands: counts whole, is left out, or has nothing that qualifies. */
static void
count_flow(struct tally *e, const struct tally_config *c, const struct interval *v, int flow)
{
    size_t qualified = 0;
    size_t used[2] = {0};

    for (size_t k = 0; k < v->dt_count; k++) {
        const struct world_row *w = judged(v, flow, k);
        qualified += qualifies(v, k);
        if (w) {
            used[w->witness]++;
        }
    }
    for (size_t k = 0; k < v->dt_count; k++) {
        const struct world_row *w = judged(v, flow, k);
        if (!w || qualified == 0) {
            continue;
        }
        bool whole = qualified == v->dt_count && used[w->witness] == v->dt_count;
        if (w->clean ? whole : qualifies(v, k)) {
            count_delays(e, c, &w->dt[k], w->before);
            e->duplicate += w->dt[k].record.duplicate;
            e->reordered += w->dt[k].record.reordered;
            e->late += w->dt[k].record.late;
        } else {
            e->delay_left_out += w->clean ? w->dt[k].delay_count : 0;
        }
    }
}

/* Runs of high loss intervals, found when all is known. */
static void
count_runs(struct tally *e, const uint8_t *high, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t j = i;
        while (j < count && high[j]) {
            j++;
        }
        e->high_loss.intervals += j - i;
        if (j - i >= config.p) {
            e->high_loss.runs++;
            e->high_loss.run_intervals += j - i;
        }
        i = j + 1;
    }
}

static void
count_dt(struct tally *e, const struct tally_config *c, const struct interval *v, size_t k,
         bool *was_available, uint8_t *high)
{
    uint64_t sent = 0, lost = 0, received = 0, undirected = 0;
    unsigned missing = 0, suspect = 0, witness = 0;

    for (int f = 0; f < FLOWS; f++) {
        const struct world_row *w = judged(v, f, k);
        bool wrong_clock = false;
        missing += !w && (v->has[f][0] || v->has[f][1]);
        if (w) {
            suspect += is_suspect(c, &w->dt[k].record, &wrong_clock) || wrong_clock;
            witness += w->witness;
            sent += w->dt[k].record.sent;
            lost += w->dt[k].record.lost;
            received += w->dt[k].record.received;
            undirected += w->dt[k].record.lost_undirected;
        }
    }
    bool any = judged(v, 0, k) || judged(v, 1, k);
    e->excluded[v->excluded[k]]++;
    if (v->excluded[k] != EXCLUSION_NONE) {
        return;
    }
    e->outages += *was_available && !v->available[k];
    *was_available = v->available[k];
    e->suspect += suspect > 0;
    e->witness += witness > 0;
    e->not_whole += any && missing;
    e->sent_raw += sent;
    e->lost_raw += lost;
    if (v->available[k]) {
        e->available++;
        e->undetermined_available += sent == 0;
        e->sent += sent;
        e->lost += lost;
        e->received += received;
        e->lost_undirected += undirected;
        *high = lost * 2 > sent;
    } else {
        e->undetermined_unavailable += sent == 0;
    }
}

static void
count_by_hand(struct tally *e, const struct tally_config *c, size_t intervals)
{
    uint8_t high[INTERVALS * WORLD_DTS + 1] = {0};
    bool was_available = true;
    size_t n = 0;

    tally_init(e);
    e->hist = hist_new(HIST_DELAY);
    e->ifdv = hist_new(HIST_IFDV);
    for (size_t i = 0; i < intervals; i++) {
        for (int f = 0; f < FLOWS; f++) {
            count_flow(e, c, &world[i], f);
        }
        for (size_t k = 0; k < world[i].dt_count; k++) {
            count_dt(e, c, &world[i], k, &was_available, &high[n++]);
        }
    }
    count_runs(e, high, n);
}

static void
qualified_figures_are_those_counted_sample_by_sample(void)
{
    for (int i = 0; i < 150; i++) {
        struct tally_config c = config;
        struct tally_state s = tally_state_begin(true);
        struct tally t, e;
        c.direction = (enum direction)random_below(DIRECTIONS);
        c.suspect_excluded = random_chance(600);
        c.ifdv = random_chance(800);
        tally_init(&t);
        for (size_t v = 0; v < INTERVALS; v++) {
            draw_interval(&world[v], 1 + random_below(WORLD_DTS));
            add_interval(&t, &s, &c, &world[v]);
        }
        count_by_hand(&e, &c, INTERVALS);
        CU_ASSERT_EQUAL(t.delay_count, e.delay_count);
        CU_ASSERT_EQUAL(t.delay_left_out, e.delay_left_out);
        CU_ASSERT_EQUAL(t.delay_sum_ns, e.delay_sum_ns);
        CU_ASSERT_EQUAL(t.delay_min_ns, e.delay_min_ns);
        CU_ASSERT_EQUAL(t.over[3], e.over[3]);
        CU_ASSERT_EQUAL(t.over[1], e.over[1]);
        CU_ASSERT_EQUAL(t.not_compared[3], e.not_compared[3]);
        CU_ASSERT_EQUAL(t.not_compared[1], 0);
        CU_ASSERT_EQUAL(t.duplicate, e.duplicate);
        CU_ASSERT_EQUAL(t.suspect, e.suspect);
        CU_ASSERT_EQUAL(t.outages, e.outages);
        CU_ASSERT_EQUAL(t.high_loss.runs, e.high_loss.runs);
        CU_ASSERT_TRUE(same(&t, &e));
        tally_fini(&t);
        tally_fini(&e);
        for (size_t v = 0; v < INTERVALS; v++) {
            free_interval(&world[v]);
        }
    }
}

/* --- Parts and sums -------------------------------------------------------- */

static void
a_period_is_the_sum_of_its_parts_wherever_it_is_cut(void)
{
    for (int i = 0; i < 200; i++) {
        struct tally whole, sum, part;
        struct tally_state s = tally_state_begin(true), q = s;
        tally_init(&whole);
        tally_init(&sum);
        tally_init(&part);
        for (size_t v = 0; v < INTERVALS; v++) {
            draw_interval(&world[v], 1 + random_below(WORLD_DTS));
            add_interval(&whole, &s, &config, &world[v]);
            add_interval(&part, &q, &config, &world[v]);
            if (random_chance(500)) {
                CU_ASSERT_EQUAL_FATAL(tally_merge(&sum, &part), 0);
                tally_clear(&part);
            }
            free_interval(&world[v]);
        }
        CU_ASSERT_EQUAL_FATAL(tally_merge(&sum, &part), 0);
        CU_ASSERT_TRUE(same(&whole, &sum));
        CU_ASSERT_EQUAL(s.available, q.available);
        CU_ASSERT_EQUAL(s.high_loss.run, q.high_loss.run);
        tally_fini(&whole);
        tally_fini(&sum);
        tally_fini(&part);
    }
}

/* Unclean rows know each delta-t: then nothing hangs on where the interval ends. */
static void
an_interval_cut_in_two_counts_the_same(void)
{
    static struct world_row row;
    static struct interval v;
    static struct world_row pieces[2];

    for (int i = 0; i < 200; i++) {
        size_t cut = 1 + random_below(WORLD_DTS - 1);
        struct tally whole, parts;
        struct tally_state s = tally_state_begin(true), q = s;
        tally_init(&whole);
        tally_init(&parts);
        draw_states(&v);
        world_random_row(&row, maker, 0, false, WORLD_DTS, false);
        world_measure(measured, &row, 1, WORLD_DTS);
        CU_ASSERT_EQUAL_FATAL(
            tally_add(&whole, &s, &config, params, measured, v.available, v.excluded), 0);
        for (int j = 0; j < 2; j++) {
            size_t from = j ? cut : 0;
            pieces[j] =
                (struct world_row){.before = row.before, .dt_count = j ? WORLD_DTS - cut : cut};
            memcpy(pieces[j].dt, &row.dt[from], pieces[j].dt_count * sizeof row.dt[0]);
            world_make(&pieces[j], maker);
            world_measure(measured, &pieces[j], 1, pieces[j].dt_count);
            CU_ASSERT_EQUAL_FATAL(tally_add(&parts, &q, &config, params, measured,
                                            &v.available[from], &v.excluded[from]),
                                  0);
            world_free(&pieces[j]);
        }
        CU_ASSERT_TRUE(same(&whole, &parts));
        world_free(&row);
        tally_fini(&whole);
        tally_fini(&parts);
    }
}

static void
random_tally(struct tally *t)
{
    struct tally_state s = tally_state_begin(true);

    tally_init(t);
    if (random_chance(100)) {
        return;
    }
    draw_interval(&world[0], WORLD_DTS);
    add_interval(t, &s, &config, &world[0]);
    free_interval(&world[0]);
}

static void
merging_commutes(void)
{
    for (int i = 0; i < 200; i++) {
        struct tally a, b, ab, ba;
        random_tally(&a);
        random_tally(&b);
        tally_init(&ab);
        tally_init(&ba);
        CU_ASSERT_EQUAL(tally_merge(&ab, &a) | tally_merge(&ab, &b), 0);
        CU_ASSERT_EQUAL(tally_merge(&ba, &b) | tally_merge(&ba, &a), 0);
        CU_ASSERT_TRUE(same(&ab, &ba));
        CU_ASSERT_EQUAL(ab.delay_count, a.delay_count + b.delay_count);
        tally_fini(&a);
        tally_fini(&b);
        tally_fini(&ab);
        tally_fini(&ba);
    }
}

static void
a_sum_that_passes_what_a_number_holds_is_refused(void)
{
    for (unsigned by = 0; by < 2; by++) {
        struct tally a, b;
        tally_init(&a);
        tally_init(&b);
        a.sent = UINT64_MAX - 7;
        b.sent = 7 + by;
        CU_ASSERT_EQUAL(tally_merge(&a, &b), by ? -EOVERFLOW : 0);
        tally_init(&a);
        a.over[SERIES_LIMITS_MAX - 1] = UINT64_MAX - 7;
        b.over[SERIES_LIMITS_MAX - 1] = 7 + by;
        b.sent = 0;
        CU_ASSERT_EQUAL(tally_merge(&a, &b), by ? -EOVERFLOW : 0);
    }
    for (unsigned by = 0; by < 2; by++) {
        struct tally a, b;
        tally_init(&a);
        tally_init(&b);
        a.hist = hist_new(HIST_DELAY);
        b.hist = hist_new(HIST_DELAY);
        hist_add(a.hist, 1, HIST_COUNT_MAX - 1);
        hist_add(b.hist, 1, 1 + by);
        CU_ASSERT_EQUAL(tally_merge(&a, &b), by ? -EOVERFLOW : 0);
        tally_fini(&a);
        tally_fini(&b);
    }
}

static void
an_interval_in_one_step_counts_as_one_by_one(void)
{
    static struct world_row row;
    uint8_t available[WORLD_DTS], excluded[WORLD_DTS] = {0};

    memset(available, 1, sizeof available);
    world_random_row(&row, maker, 0, false, WORLD_DTS, true);
    for (int i = 0; i < 2; i++) {
        /* The witness's mark is what makes the second one go the long way. */
        struct tally_state s = {.high_loss = {.run = 3}, .available = false};
        struct tally t;
        tally_init(&t);
        row.witness = i == 1;
        world_measure(measured, &row, 1, WORLD_DTS);
        CU_ASSERT_EQUAL(measured_is_clean(measured), i == 0);
        CU_ASSERT_EQUAL(tally_add(&t, &s, &config, params, measured, available, excluded), 0);
        CU_ASSERT_EQUAL(t.excluded[EXCLUSION_NONE], WORLD_DTS);
        CU_ASSERT_EQUAL(t.available, WORLD_DTS);
        CU_ASSERT_EQUAL(t.sent, row.row.sent);
        CU_ASSERT_EQUAL(t.sent_raw, row.row.sent);
        CU_ASSERT_EQUAL(t.received, row.row.received);
        CU_ASSERT_EQUAL(t.duplicate, row.row.duplicate);
        CU_ASSERT_EQUAL(t.delay_count, row.row.delay_count);
        CU_ASSERT_EQUAL(t.clock_error_ns, 1000);
        CU_ASSERT_EQUAL(t.high_loss.intervals, 0);
        CU_ASSERT_EQUAL(s.high_loss.run, 0);
        CU_ASSERT_TRUE(s.available);
        tally_fini(&t);
    }
    world_free(&row);
}

static void
histograms_that_hold_another_number_of_samples_are_refused(void)
{
    static const uint8_t excluded[3];
    static const uint8_t available[3] = {1, 1, 1};
    static struct world_row row;

    for (uint64_t count = 29; count <= 31; count++) {
        struct tally_state s = tally_state_begin(true);
        struct tally t;
        tally_init(&t);
        world_random_row(&row, maker, 0, false, 3, true);
        row.row.delay_count = count;
        world_measure(measured, &row, 1, 3);
        CU_ASSERT_EQUAL(tally_add(&t, &s, &config, params, measured, available, excluded),
                        count == 30 ? 0 : -EBADMSG);
        tally_fini(&t);
        world_free(&row);
    }
    for (unsigned by = 0; by < 2; by++) {
        struct tally_state s = tally_state_begin(true);
        struct tally t;
        tally_init(&t);
        t.hist = hist_new(HIST_DELAY);
        hist_add(t.hist, 1, HIST_COUNT_MAX - 30 + by);
        world_random_row(&row, maker, 0, false, 3, true);
        world_measure(measured, &row, 1, 3);
        CU_ASSERT_EQUAL(tally_add(&t, &s, &config, params, measured, available, excluded),
                        by ? -EOVERFLOW : 0);
        tally_fini(&t);
        world_free(&row);
    }
}

static void
what_is_excluded_ends_a_run_of_high_loss(void)
{
    static struct world_row row;
    static const struct {
        const char *excluded;
        uint64_t runs, run_intervals;
    } cases[] = {{"..........", 1, 10}, {".....m....", 1, 5}, {"....m.....", 1, 5},
                 {"....mm....", 0, 0},  {"m........m", 1, 8}, {"mmmmmm....", 0, 0}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tally_state s = tally_state_begin(true);
        uint8_t available[10], excluded[10];
        struct tally t;
        row = (struct world_row){.dt_count = 10};
        for (size_t k = 0; k < 10; k++) {
            world_set(&row.dt[k], 4, 6);
            available[k] = 1;
            excluded[k] = cases[i].excluded[k] == 'm' ? EXCLUSION_CUSTOMER : EXCLUSION_NONE;
        }
        tally_init(&t);
        world_make(&row, maker);
        world_measure(measured, &row, 1, 10);
        CU_ASSERT_EQUAL(tally_add(&t, &s, &config, params, measured, available, excluded), 0);
        CU_ASSERT_EQUAL(t.high_loss.intervals, t.excluded[EXCLUSION_NONE]);
        CU_ASSERT_EQUAL(t.high_loss.runs, cases[i].runs);
        CU_ASSERT_EQUAL(t.high_loss.run_intervals, cases[i].run_intervals);
        world_free(&row);
        tally_fini(&t);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"qualified figures are those counted sample by sample",
         qualified_figures_are_those_counted_sample_by_sample},
        {"a period is the sum of its parts, wherever it is cut",
         a_period_is_the_sum_of_its_parts_wherever_it_is_cut},
        {"an interval cut in two counts the same", an_interval_cut_in_two_counts_the_same},
        {"merging commutes", merging_commutes},
        {"a sum that passes what a number holds is refused",
         a_sum_that_passes_what_a_number_holds_is_refused},
        {"an interval in one step counts as one by one",
         an_interval_in_one_step_counts_as_one_by_one},
        {"histograms that hold another number of samples are refused",
         histograms_that_hold_another_number_of_samples_are_refused},
        {"what is excluded ends a run of high loss", what_is_excluded_ends_a_run_of_high_loss},
        CU_TEST_INFO_NULL};

    return run_tally_suite("tally", tests);
}
