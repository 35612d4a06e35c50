/* test_match_traps.c - traps that figures of an SLA fall into where packets get their fate: each
 * has a test that bears its name (doc/architecture.md lists all twenty). */
#include "match.h"

#include "match_world.h"

static uint64_t
count_of(struct match *m, enum match_count which)
{
    struct counter_group g;

    match_counters(m, &g);
    return counter_get(&g.counters[which]);
}

static uint64_t
lost_of(const struct world *w)
{
    return w->sum.lost_fwd + w->sum.lost_bwd + w->sum.lost_undirected;
}

/* The sender's, the reflector's and the report's counters go round at 2^32: 4.9 days at 10 kpps. */
static void
trap_13_sequence_wrap(void)
{
    for (int kind = REPORTING; kind <= STATELESS; kind++) {
        for (unsigned before = 0; before < 1100; before += 100) {
            struct world *w = world_new((enum reflector_kind)kind, 2000);
            w->key.period = span_of_ns(100 * NS_PER_US);
            w->first = UINT32_MAX - 500;
            w->next_reflected = UINT32_MAX - before;
            w->received = UINT32_MAX - 1000 + before;
            for (unsigned i = 490; i < 510; i += 4) {
                w->j[i].lost_fwd = true;
                w->j[i + 2].lost_bwd = true;
            }
            world_play(w);
            struct match *m = world_match(w, NS_PER_S);
            for (unsigned i = 0; i < 2000; i++) {
                const struct journey *j = &w->j[i];
                enum fate fate = !j->lost_fwd && !j->lost_bwd ? FATE_RECEIVED
                                 : kind == STATELESS          ? FATE_LOST_UNDIRECTED
                                 : j->lost_fwd                ? FATE_LOST_FWD
                                                              : FATE_LOST_BWD;
                CU_ASSERT_EQUAL(j->done, 1);
                /* One that sends no report has shown its own numbers from the first loss on. */
                CU_ASSERT(j->told.fate == fate || (kind == STATEFUL && i == 490));
            }
            CU_ASSERT_EQUAL(w->sum.sent, 2000);
            CU_ASSERT_EQUAL(w->sum.received, 1990);
            CU_ASSERT_EQUAL(lost_of(w), 10);
            CU_ASSERT_EQUAL(w->sum.unknown, 0);
            CU_ASSERT_EQUAL(w->sum.reordered_fwd + w->sum.reordered_bwd, 0);
            CU_ASSERT_EQUAL(w->sum.duplicate_fwd + w->sum.duplicate_bwd, 0);
            CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_EPOCH), 0);
            CU_ASSERT_EQUAL(count_of(m, MATCH_REPLY_UNKNOWN), 0);
            match_free(m);
            world_free(w);
        }
    }
}

/* All its counters begin at 0 again: no packet was lost by that. */
static void
trap_13_reflector_restart_is_no_loss(void)
{
    for (int kind = REPORTING; kind <= STATEFUL; kind++) {
        struct world *w = world_new((enum reflector_kind)kind, 1000);
        w->received = 3000000000u;
        w->next_reflected = 3000000000u;
        w->j[20].lost_fwd = kind == STATEFUL; /* So that it shows its own numbers. */
        w->restart_at[0] = WORLD_DAY + 50 * NS_PER_S;
        w->restart_at[1] = WORLD_DAY + 51 * NS_PER_S;
        world_play(w);
        struct match *m = world_match(w, NS_PER_S);
        CU_ASSERT_EQUAL(w->sum.sent, 1000);
        CU_ASSERT_EQUAL(lost_of(w), kind == STATEFUL);
        CU_ASSERT_EQUAL(w->sum.unknown, 0);
        CU_ASSERT_EQUAL(w->sum.reordered_fwd + w->sum.reordered_bwd, 0);
        CU_ASSERT(count_of(m, MATCH_FAR_EPOCH) >= 1);
        CU_ASSERT_EQUAL(w->flags_at[60], 0);
        match_free(m);
        world_free(w);
    }
}

/* The far end remembers of a session what a sender that began anew never sent. */
static void
remember(struct world *w)
{
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange *e = &w->events[k];
        uint32_t i = e->sequence - w->first;
        for (uint32_t back = i + 1; e->kind == EXCHANGE_REPLY && back <= 128; back++) {
            e->report.bitmap[(back - 1) / 8] |= (uint8_t)(0x80 >> (back - 1) % 8);
        }
    }
}

/* A process that begins anew goes on with any number: the step is not a loss, nor is what the one
 * before it had out. */
static void
trap_13_sender_restart_is_no_loss(void)
{
    for (int kind = REPORTING; kind <= STATEFUL; kind++) {
        for (unsigned step = 0; step < 3; step++) {
            struct world *w = world_new((enum reflector_kind)kind, 300);
            w->first = (uint32_t[]){0, 77, 4000000000u}[step];
            w->received = 1000000;
            w->next_reflected = 1000000;
            w->j[100].lost_fwd = true;
            w->j[200].lost_fwd = true;
            world_play(w);
            remember(w);
            struct match *m = world_match(w, NS_PER_S);
            CU_ASSERT_EQUAL(w->sum.sent, 300);
            CU_ASSERT_EQUAL(w->sum.received, 298);
            CU_ASSERT_EQUAL(w->sum.lost_bwd, 0);
            CU_ASSERT_EQUAL(lost_of(w), 2);
            CU_ASSERT_EQUAL(w->j[200].told.fate, FATE_LOST_FWD);
            CU_ASSERT_EQUAL(w->sum.unknown, 0);
            CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_EPOCH), 0);
            match_free(m);
            world_free(w);
        }
    }
}

static void
trap_13_what_a_sender_had_out_when_it_ended_is_unknown(void)
{
    struct world *w = world_new(REPORTING, 100);
    struct match_sinks sinks = world_sinks(w);
    int64_t end = WORLD_DAY + 5 * NS_PER_S + 1;

    for (unsigned i = 0; i < 100; i++) {
        w->j[i].bwd_ns = NS_PER_S; /* Ten are out at any moment. */
    }
    world_play(w);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    for (size_t k = 0; k < w->event_count && w->events[k].at.ns <= end; k++) {
        CU_ASSERT_EQUAL(match_event(m, &w->events[k]), 0);
    }
    match_finish(m, instant_of_ns(end), &sinks);
    CU_ASSERT_EQUAL(w->sum.sent, 50);
    CU_ASSERT_EQUAL(w->sum.received + w->sum.unknown, 50);
    CU_ASSERT(w->sum.unknown >= 10);
    CU_ASSERT_EQUAL(lost_of(w), 0);
    match_free(m);
    world_free(w);
}

/* Of packets scheduled one period apart, both received; by hand from the journeys. */
static uint64_t
ifdv_by_hand(const struct world *w, unsigned from, unsigned until, int64_t *most)
{
    uint64_t count = 0;

    *most = 0;
    for (unsigned i = from > 0 ? from : 1; i < until; i++) {
        const struct journey *a = &w->j[i - 1], *b = &w->j[i];
        if (a->told.fate == FATE_RECEIVED && b->told.fate == FATE_RECEIVED && !a->not_sent &&
            !b->not_sent) {
            int64_t v = b->fwd_ns + b->bwd_ns - a->fwd_ns - a->bwd_ns;
            v = v < 0 ? -v : v;
            *most = v > *most ? v : *most;
            count++;
        }
    }
    return count;
}

/* Delays climb: neighbours differ by 10 us (13 where a true T3 is lost), those on either side of a
 * lost packet by 20 us and more.  Neither is such a pair a sample, nor is the next one left out. */
static void
trap_14_ifdv_over_a_lost_packet(void)
{
    for (int kind = 0; kind < 4; kind++) {
        struct world *w = world_new(REPORTING, 200);
        for (unsigned i = 0; i < 200; i++) {
            struct journey *j = &w->j[i];
            bool gone = i % 10 == 4 || i % 10 == 9 || (i >= 100 && i < 117);
            j->bwd_ns += (int64_t)i * 10 * NS_PER_US;
            j->lost_fwd = gone && kind == 0;
            j->lost_bwd = gone && kind == 1;
            j->bwd_ns += gone && kind == 2 ? 4 * NS_PER_S : 0; /* Late is lost. */
            j->not_sent = gone && kind == 3;
        }
        world_run(w);
        for (unsigned k = 0; k < 20; k++) {
            int64_t most;
            uint64_t wanted = ifdv_by_hand(w, 10 * k, 10 * k + 10, &most);
            const struct hist *h = w->per_dt[k]->delay[DIR_RT].ifdv;
            CU_ASSERT_EQUAL(hist_count(h), wanted);
            CU_ASSERT_EQUAL(most, wanted ? 10 * NS_PER_US : 0);
            CU_ASSERT(wanted == 0 || hist_quantile(h, 1000000, 0, INT64_MAX) < 15 * NS_PER_US);
        }
        world_free(w);
    }
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"trap_13_sequence_wrap", trap_13_sequence_wrap},
        {"trap_13_reflector_restart_is_no_loss", trap_13_reflector_restart_is_no_loss},
        {"trap_13_sender_restart_is_no_loss", trap_13_sender_restart_is_no_loss},
        {"trap_13_what_a_sender_had_out_when_it_ended_is_unknown",
         trap_13_what_a_sender_had_out_when_it_ended_is_unknown},
        {"trap_14_ifdv_over_a_lost_packet", trap_14_ifdv_over_a_lost_packet},
        CU_TEST_INFO_NULL,
    };

    return run_suite("match_traps", tests);
}
