/* test_takeover.c - whoever takes over a source of which alarms are raised tells of them what would
 * have been told without: rows of alarms are the same in the end, in simulated time. */
#define SECONDS 2000
#include "row_world.h"

/* A final summary comes so long after the early state of the same delta-t. */
#define LAG 5

/* A row of plumbline_store.alarm. */
struct stored {
    char rule[16];
    struct alarm_episode episode;
    int64_t worst; /* So far. */
    struct alarm_progress flows[FLOWS];
    uint32_t flow_count;
};

struct table {
    struct stored rows[64];
    int count;
    int changes[256]; /* Seconds that raised or cleared something. */
    int change_count;
    bool is_cut[SECONDS]; /* Whether 'cut' is raised by then. */
    bool refuses;         /* How far alarms came. */
};

/* --- Writing ------------------------------------------------------------------------------ */

static struct stored *
row_of(struct table *t, const struct watch_news *n)
{
    for (int i = 0; i < t->count; i++) {
        struct stored *s = &t->rows[i];
        if (strcmp(s->rule, n->rule_key) == 0 && s->episode.began.ns == n->episode->began.ns &&
            s->episode.raised.ns == n->episode->raised.ns) {
            return s;
        }
    }
    CU_ASSERT_FALSE(n->quiet);
    CU_ASSERT_FATAL(t->count < 64);
    struct stored *s = &t->rows[t->count++];
    snprintf(s->rule, sizeof s->rule, "%s", n->rule_key);
    return s;
}

static void
note(struct table *t, struct watch *watch)
{
    for (size_t i = 0; i < watch_waiting(watch); i++) {
        struct watch_news n;
        watch_news(watch, i, &n);
        if (n.quiet && t->refuses) {
            continue;
        }
        struct stored *s = row_of(t, &n);
        if (!n.quiet) {
            CU_ASSERT_FATAL(t->change_count < 256);
            t->changes[t->change_count++] = (int)(n.episode->decided.ns / NS_PER_S - T0);
        }
        if (!n.quiet) {
            s->episode = *n.episode;
        }
        s->worst = n.episode->worst;
        s->flow_count = n.cell ? n.cell->flow_count : 0;
        for (uint32_t f = 0; f < s->flow_count; f++) {
            alarm_progress(n.cell, f, &s->flows[f]);
        }
    }
    watch_written(watch, watch_waiting(watch));
}

/* --- The stream ---------------------------------------------------------------------------- */

static void
make_early(const struct world *w, int flow, int t, pb_early *e)
{
    const struct told *s = &w->script[flow][t];

    plumbline__telemetry__early__init(e);
    e->session_id = w->sessions[flow]->id;
    e->dt_number = (uint64_t)(T0 + t);
    e->overdue = s->fwd + s->bwd + s->undirected;
    e->received = s->sent - e->overdue;
    e->send_errors = s->errors;
    e->rt_p50_ns = s->delay_ms * NS_PER_MS;
}

/* Final summaries of the seconds [from, until), and early states of those that just ended; before
 * each commit it is written how far alarms came. */
static void
live(struct world *w, struct watch *watch, struct table *table, int from, int until)
{
    for (int t = from; t < until; t++) {
        struct summary_of one[FLOWS];
        pb_early early[FLOWS];
        pb_summary *list[FLOWS];
        pb_early *early_list[FLOWS];
        pb_batch batch;
        plumbline__telemetry__batch__init(&batch);
        for (int f = 0; f < FLOWS; f++) {
            make(w, f, t, &one[f]);
            list[f] = &one[f].m;
            make_early(w, f, t + LAG < SECONDS ? t + LAG : t, &early[f]);
            early_list[f] = &early[f];
        }
        batch.n_summaries = batch.n_early = FLOWS;
        batch.summaries = list;
        batch.early = early_list;
        batch.made_at_ns = (T0 + t + LAG + 1) * NS_PER_S;
        CU_ASSERT_EQUAL_FATAL(
            watch_take(watch, w->assemble, &batch, instant_of_ns(batch.made_at_ns)), 0);
        if (t % 60 == 0) {
            CU_ASSERT_EQUAL(watch_save(watch), 0);
        }
        note(table, watch);
        for (int i = 0; i < table->count; i++) {
            const struct stored *s = &table->rows[i];
            table->is_cut[t] =
                table->is_cut[t] || (strcmp(s->rule, "cut") == 0 && s->episode.cleared.ns == 0);
        }
    }
}

/* --- Another takes over ---------------------------------------------------------------------- */

/* The newest of each rule, as alarmstore_load() reads them. */
static void
know_rows(const struct table *t, struct watch *watch)
{
    for (int i = 0; i < t->count; i++) {
        const struct stored *s = &t->rows[i];
        bool newest = true;
        for (int k = i + 1; k < t->count; k++) {
            newest = newest && strcmp(t->rows[k].rule, s->rule) != 0;
        }
        struct watch_known known = {.rule = s->rule,
                                    .object = "l",
                                    .class_name = "c",
                                    .scope = WATCH_LINK,
                                    .episode = s->episode,
                                    .flows = s->flows,
                                    .flow_count = s->flow_count};
        known.episode.worst = s->worst;
        if (newest) {
            CU_ASSERT_EQUAL(watch_know(watch, &known, instant_of_ns(T0 * NS_PER_S)), 0);
        }
    }
}

static void
tell_committed(struct world *w, struct watch *watch, int until)
{
    const struct instant end = instant_of_ns((T0 + until) * NS_PER_S);
    int from = until;

    for (int f = 0; f < FLOWS; f++) {
        struct watch_want want;
        CU_ASSERT_EQUAL(watch_want(watch, w->sessions[f], end, span_of_ns(7000 * NS_PER_S), &want),
                        0);
        int first = (until - (int)(want.reach.ns / NS_PER_S)) / 60 * 60 - 60;
        from = first < from ? first : from;
    }
    for (from = from < 0 ? 0 : from; from < until; from += 60) {
        for (int f = 0; f < FLOWS; f++) {
            CU_ASSERT_EQUAL(tell_interval(w, watch, f, from, false), 0);
        }
    }
    CU_ASSERT_EQUAL(watch_rows_end(watch, w->assemble, end), 0);
}

/* Second 'cut' did not come before the one before is killed. */
static struct watch *
take_over(struct world *w, struct watch *before, struct table *table, int cut)
{
    const int committed = w->committed = (cut - 1) / 60 * 60;
    struct watch *watch = watch_of(w);

    watch_free(before);
    know_rows(table, watch);
    tell_committed(w, watch, committed);
    note(table, watch);
    live(w, watch, table, committed, cut);
    return watch;
}

/* --- What must be the same -------------------------------------------------------------------- */

static bool
same_rows(const struct table *a, const struct table *b)
{
    bool same = a->count == b->count;

    for (int i = 0; same && i < a->count; i++) {
        const struct alarm_episode *x = &a->rows[i].episode, *y = &b->rows[i].episode;
        same = strcmp(a->rows[i].rule, b->rows[i].rule) == 0 && x->began.ns == y->began.ns &&
               x->raised.ns == y->raised.ns && x->decided.ns == y->decided.ns &&
               x->cleared.ns == y->cleared.ns && x->ended.ns == y->ended.ns &&
               x->flaps == y->flaps && x->value == y->value && x->worst == y->worst &&
               x->limit == y->limit && x->sent == y->sent && x->fwd == y->fwd && x->bwd == y->bwd &&
               x->undirected == y->undirected && x->overdue == y->overdue &&
               x->send_errors == y->send_errors && x->flow_count == y->flow_count &&
               x->over_count == y->over_count &&
               memcmp(x->over, y->over, sizeof x->over[0] * x->over_count) == 0;
    }
    return same;
}

static void
print_rows(const char *name, const struct table *t)
{
    for (int i = 0; i < t->count; i++) {
        const struct alarm_episode *e = &t->rows[i].episode;
        printf("  %s %s: began %ld raised %ld decided %ld cleared %ld ended %ld flaps %u value %ld "
               "worst %ld sent %lu fwd %lu bwd %lu undirected %lu overdue %lu errors %lu over %u\n",
               name, t->rows[i].rule, e->began.ns / NS_PER_S - T0, e->raised.ns / NS_PER_S - T0,
               e->decided.ns / NS_PER_S - T0, e->cleared.ns ? e->cleared.ns / NS_PER_S - T0 : 0,
               e->ended.ns ? e->ended.ns / NS_PER_S - T0 : 0, e->flaps, e->value, e->worst, e->sent,
               e->fwd, e->bwd, e->undirected, e->overdue, e->send_errors, e->over_count);
    }
}

/* Bursts of one flow or of both, and now and then a packet after the first of them. */
static void
draw(struct world *w)
{
    int until = 400 + (int)random_below(400), next = 320 + (int)random_below(60);

    for (int t = next; t < until; t++) {
        int length = 3 + (int)random_below(40);
        unsigned flows = 1 + (unsigned)random_below(3);
        for (; t < next + length && t < until; t++) {
            for (int f = 0; f < FLOWS; f++) {
                struct told *s = &w->script[f][t];
                s->fwd = flows >> f & 1 ? 3 + (uint32_t)random_below(4) : 0;
                s->bwd = flows >> f & 1 ? (uint32_t)random_below(4) : 0;
            }
        }
        next = t + 5 + (int)random_below(random_chance(500) ? 20 : 150);
        for (; t < next && t < until; t++) {
            for (int f = 0; f < FLOWS; f++) {
                struct told *s = &w->script[f][t];
                s->fwd = (uint32_t)random_chance(50);
                s->bwd = (uint32_t)random_chance(50);
                s->undirected = (uint32_t)random_chance(20);
            }
        }
    }
}

/* Early states of the last seconds before a commit come to nobody else: what begins in them, and is
 * not raised yet, begins some seconds later; and what is over with them was told more of. */
static bool
is_fair(const struct world *w, const struct table *whole, int cut)
{
    const int committed = (cut - 1) / 60 * 60;
    uint32_t lost = 0;

    for (int i = 0; i < whole->change_count; i++) {
        if (whole->changes[i] >= cut && whole->changes[i] <= committed + 3 * LAG) {
            return false;
        }
    }
    for (int t = committed - 2 * LAG; t < committed + 2 * LAG; t++) {
        for (int f = 0; f < FLOWS; f++) {
            const struct told *s = &w->script[f][t];
            lost += s->fwd + s->bwd + s->undirected;
        }
    }
    return !lost || whole->is_cut[cut - 1];
}

/* Plays the script with cuts; whether all cuts were fair. */
static bool
play_cuts(struct world *w, const struct table *whole, const int *cuts, int count,
          struct table *torn)
{
    struct watch *watch = watch_of(w);
    int at = 0;

    for (int i = 0; i < count; i++) {
        if (!is_fair(w, whole, cuts[i])) {
            watch_free(watch);
            return false;
        }
        live(w, watch, torn, at, cuts[i]);
        watch = take_over(w, watch, torn, cuts[i]);
        at = cuts[i];
    }
    live(w, watch, torn, at, SECONDS);
    watch_free(watch);
    return true;
}

static int
compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void
wherever_it_is_taken_over_rows_are_the_same(void)
{
    int fair = 0, bad = 0;

    for (int round = 0; round < 1000 && fair < 60; round++) {
        struct world *w = world_new();
        struct table *whole = calloc(1, sizeof *whole), *torn = calloc(1, sizeof *torn);
        struct watch *watch = watch_of(w);
        int cuts[4], count = 1 + (int)random_below(4);
        draw(w);
        for (int i = 0; i < count; i++) {
            cuts[i] = 330 + (int)random_below(random_chance(700) ? 500 : 1600);
        }
        qsort(cuts, (size_t)count, sizeof cuts[0], compare_ints);
        live(w, watch, whole, 0, SECONDS);
        watch_free(watch);
        CU_ASSERT(whole->count >= 1);
        torn->refuses = random_chance(300);
        if (play_cuts(w, whole, cuts, count, torn)) {
            fair++;
            if (!same_rows(whole, torn)) {
                printf("\nround %d, cuts at %d %d %d %d of %d:\n", round, cuts[0], cuts[1], cuts[2],
                       cuts[3], count);
                print_rows("whole", whole);
                print_rows("torn", torn);
                bad++;
            }
        }
        free(whole);
        free(torn);
        world_free(w);
    }
    CU_ASSERT_EQUAL(fair, 60);
    CU_ASSERT_EQUAL(bad, 0);
}

int
main(void)
{
    CU_TestInfo tests[] = {{"wherever it is taken over, rows are the same",
                            wherever_it_is_taken_over_rows_are_the_same},
                           CU_TEST_INFO_NULL};

    return run_suite("takeover", tests);
}
