/* test_assemble.c - a source's stream becomes intervals, in simulated time; and
 * whoever takes over at the committed position comes to the same rows. */
#include "assemble.h"

#include <errno.h>

#include "harness.h"
#include "live.h"

#define T0 INT64_C(1790000040) /* A multiple of 60 s + 0. */
#define ENTRIES_MAX 600
#define CELLS_MAX 65536

static const struct instant far_future = {INT64_C(1900000000) * NS_PER_S};
static struct counter counters[ASSEMBLE_COUNTS];

struct entry {
    struct position at;
    uint8_t *bytes;
    size_t size;
    bool bad; /* Does not decode. */
};

struct stream {
    struct entry entries[ENTRIES_MAX];
    size_t count;
    struct telemetry_builder *builder;
    struct session_key keys[3];
    struct position next, previous;
    unsigned in_dictionary; /* Bits. */
    bool start_due;
};

/* What came out: one cell a session, interval and delta-t. */
struct cell {
    int64_t session;
    int64_t start_ns;
    unsigned kind;
    uint64_t lost;
};

struct table {
    struct cell cells[CELLS_MAX];
    size_t count;
};

static struct session_key
key_of(unsigned n)
{
    struct session_key k = {.family = 4,
                            .dt = {(n == 2 ? 2 : 1) * NS_PER_S},
                            .tmax = {3 * NS_PER_S},
                            .period = {100 * NS_PER_MS},
                            .size = 128};
    snprintf(k.object, sizeof k.object, "l%u", n);
    strcpy(k.observer, "p1");
    strcpy(k.far, "p2");
    strcpy(k.class_name, "c");
    strcpy(k.protocol, "stamp");
    return k;
}

static bool
trust(const char *source, const struct session_key *key, void *aux)
{
    (void)source;
    (void)aux;
    return strcmp(key->object, "l9") != 0;
}

static void
stream_init(struct stream *s)
{
    memset(s, 0, sizeof *s);
    s->builder = telemetry_builder_new("p1");
    for (unsigned i = 0; i < 3; i++) {
        s->keys[i] = key_of(i);
    }
    s->next = (struct position){100, 0};
    s->start_due = true;
    s->in_dictionary = 3;
}

static void
stream_fini(struct stream *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->entries[i].bytes);
    }
    telemetry_builder_free(s->builder);
}

static void
push(struct stream *s, struct instant final_until)
{
    size_t size;
    const uint8_t *bytes = telemetry_finish(s->builder, final_until, final_until, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT_FATAL(s->count < ENTRIES_MAX);
    s->entries[s->count++] = (struct entry){s->next, exact_copy(bytes, size), size, false};
    s->previous = s->next;
    s->next.sequence++;
}

static void
begin_batch(struct stream *s)
{
    Plumbline__Telemetry__EpochStart e;

    if (!s->start_due) {
        return;
    }
    plumbline__telemetry__epoch_start__init(&e);
    e.epoch = s->next.epoch;
    e.previous_epoch = s->previous.epoch;
    e.previous_last_sequence = s->previous.sequence;
    telemetry_add_message(s->builder, TELEMETRY_EPOCH_START, &e.base);
    for (unsigned i = 0; i < 3; i++) {
        if (s->in_dictionary >> i & 1) {
            telemetry_add_session(s->builder, &s->keys[i]);
        }
    }
    s->start_due = false;
}

static void
add(struct stream *s, unsigned n, int64_t second, uint64_t lost)
{
    struct summary m;

    CU_ASSERT_EQUAL_FATAL(summary_init(&m, instant_of_ns(second * NS_PER_S), false), 0);
    m.scheduled = m.sent = 10;
    m.lost_bwd = lost;
    m.received = m.stamped[TS_KERNEL] = 10 - lost;
    for (uint64_t i = 0; i < m.received; i++) {
        summary_add_delay(&m, &s->keys[n], DIR_RT, span_of_ns(1000000));
    }
    CU_ASSERT_EQUAL(telemetry_add_summary(s->builder, &s->keys[n], session_id_of(&s->keys[n]), &m),
                    0);
    summary_fini(&m);
}

static void
live(struct stream *s, int64_t second)
{
    pb_liveness l;

    plumbline__telemetry__liveness__init(&l);
    l.second = (uint64_t)second;
    l.reflecting = true;
    telemetry_add_message(s->builder, TELEMETRY_LIVENESS, &l.base);
}

/* One second of all sessions of the dictionary. */
static void
second(struct stream *s, int64_t at, uint64_t lost)
{
    begin_batch(s);
    for (unsigned i = 0; i < 3; i++) {
        if (s->in_dictionary >> i & 1 && at % (s->keys[i].dt.ns / NS_PER_S) == 0) {
            add(s, i, at, lost);
        }
    }
    live(s, at);
    push(s, instant_of_ns((at + 1) * NS_PER_S));
}

static void
new_epoch(struct stream *s)
{
    s->next = (struct position){s->next.epoch + 7, 0};
    s->start_due = true;
}

/* --- Reading -------------------------------------------------------------- */

struct filling {
    struct table *table;
    struct instant start;
};

static int
take_rows(const struct assemble_session *s, struct dt_record *const records[DIRECTIONS], size_t n,
          bool clean, bool lost, void *aux)
{
    struct filling *f = aux;
    bool any_lost = false, any_bad = false;
    struct instant first = instant_ceil(f->start, s->key.dt);

    for (size_t i = 0; i < n; i++) {
        const struct dt_record *r = &records[DIR_RT][i];
        struct cell c = {s->id, first.ns + (int64_t)i * s->key.dt.ns, r->kind, r->lost};
        CU_ASSERT_FATAL(f->table->count < CELLS_MAX);
        f->table->cells[f->table->count++] = c;
        any_lost = any_lost || r->lost;
        any_bad = any_bad || r->lost || r->kind != DT_FULL;
    }
    CU_ASSERT_EQUAL(any_lost, lost);
    CU_ASSERT_EQUAL(!any_bad, clean);
    return 0;
}

struct reader {
    struct assemble *a;
    struct position committed;
    struct instant written_until;
    struct session_key stored[3];
    unsigned stored_count;
};

static void
open_reader(struct reader *r)
{
    const struct assemble_config config = {.source = "p1",
                                           .interval = {60 * NS_PER_S},
                                           .expiry = {8 * 86400 * NS_PER_S},
                                           .trust = trust,
                                           .counters = counters};

    r->a = assemble_new(&config, r->committed, r->written_until);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->a);
    for (unsigned i = 0; i < r->stored_count; i++) {
        CU_ASSERT_EQUAL(assemble_know(r->a, &r->stored[i]), 0);
        assemble_current(r->a, session_id_of(&r->stored[i]));
    }
}

static void
write_over(struct reader *r, struct table *t)
{
    struct filling f = {.table = t};
    uint32_t seconds;

    while (assemble_over(r->a, &f.start, &seconds)) {
        CU_ASSERT_EQUAL(assemble_rows(r->a, take_rows, &f), 0);
        assemble_done(r->a);
        r->committed = assemble_safe(r->a);
        r->written_until = assemble_written_until(r->a);
        for (struct assemble_session *s = assemble_sessions(r->a); s; s = s->next) {
            if (assemble_session_due(s, r->committed)) {
                s->stored = true;
                r->stored[r->stored_count++] = s->key;
            }
        }
    }
}

static void
take(struct reader *r, const struct entry *e, struct instant now)
{
    /* One for all: a new one each time is 256 KiB mapped and unmapped. */
    static struct telemetry_arena *arena;
    const pb_batch *batch = NULL;

    if (!arena) {
        arena = telemetry_arena_new();
        CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    }
    telemetry_arena_reset(arena);

    if (!e->bad) {
        CU_ASSERT_EQUAL_FATAL(telemetry_parse(arena, "p1", e->bytes, e->size, &batch),
                              TELEMETRY_OK);
    }
    enum assemble_next next = assemble_expect(r->a, e->at, batch);
    CU_ASSERT_NOT_EQUAL(next, ASSEMBLE_GAP);
    if (next == ASSEMBLE_TAKE) {
        CU_ASSERT_EQUAL(e->bad ? assemble_take_lost(r->a, e->at)
                               : assemble_take(r->a, e->at, batch, e->bytes, e->size, now),
                        0);
    }
}

/* Reads it all; begins anew from what is committed in 'per_mille' of the steps. */
static void
read_all(const struct stream *s, struct table *t, unsigned per_mille)
{
    struct reader r = {0};

    t->count = 0;
    open_reader(&r);
    for (size_t i = 0; i < s->count; i++) {
        take(&r, &s->entries[i], far_future);
        write_over(&r, t);
        if (random_chance(per_mille)) {
            assemble_free(r.a);
            open_reader(&r);
            i = 0;
            while (i < s->count && position_compare(s->entries[i].at, r.committed) <= 0) {
                i++;
            }
            i--;
            if (per_mille > 100) {
                per_mille = per_mille * 9 / 10; /* It comes to an end. */
            }
        }
    }
    assemble_free(r.a);
}

static size_t
count_kind(const struct table *t, unsigned session, unsigned kind)
{
    struct session_key k = key_of(session);
    int64_t id = session_id_of(&k);
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++) {
        n += t->cells[i].session == id && t->cells[i].kind == kind;
    }
    return n;
}

static struct stream stream;
static struct table straight, broken;

static void
an_interval_closes_when_the_watermark_passes_its_end(void)
{
    stream_init(&stream);
    for (int i = 0; i < 59; i++) {
        second(&stream, T0 + i, 0);
    }
    read_all(&stream, &straight, 0);
    CU_ASSERT_EQUAL(straight.count, 0);
    second(&stream, T0 + 59, 0);
    read_all(&stream, &straight, 0);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_FULL), 60);
    CU_ASSERT_EQUAL(count_kind(&straight, 1, DT_FULL), 60);
    CU_ASSERT_EQUAL(count_kind(&straight, 2, DT_FULL), 0);
    stream_fini(&stream);
}

static void
a_gap_without_a_reason_is_absent_and_with_one_unknown(void)
{
    Plumbline__Telemetry__Tombstone t;

    stream_init(&stream);
    for (int i = 0; i < 60; i++) {
        if (i == 10) {
            live(&stream, T0 + i); /* A batch without summaries. */
            push(&stream, instant_of_ns((T0 + i + 1) * NS_PER_S));
        } else if (i == 20) {
            plumbline__telemetry__tombstone__init(&t);
            t.from_ns = (T0 + 20) * NS_PER_S;
            t.until_ns = (T0 + 21) * NS_PER_S;
            telemetry_add_message(stream.builder, TELEMETRY_TOMBSTONE, &t.base);
            push(&stream, instant_of_ns(0));
        } else if (i == 30) {
            second(&stream, T0 + i, 0);
            stream.entries[stream.count - 1].bad = true;
        } else {
            second(&stream, T0 + i, 0);
        }
    }
    read_all(&stream, &straight, 0);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_FULL), 57);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_ABSENT), 1);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_NOT_TOLD), 2);
    stream_fini(&stream);
}

static void
between_two_epochs_all_is_unknown_also_over_whole_intervals(void)
{
    stream_init(&stream);
    for (int i = 0; i < 40; i++) {
        second(&stream, T0 + i, 0);
    }
    new_epoch(&stream);
    for (int i = 215; i < 300; i++) {
        second(&stream, T0 + i, 0);
    }
    read_all(&stream, &straight, 0);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_FULL), 40 + 85);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_NOT_TOLD), 175);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_ABSENT), 0);
    stream_fini(&stream);
}

static void
a_retired_session_is_not_missed_in_the_next_epoch(void)
{
    stream_init(&stream);
    for (int i = 0; i < 40; i++) {
        second(&stream, T0 + i, 0);
    }
    new_epoch(&stream);
    stream.in_dictionary = 1;
    for (int i = 50; i < 120; i++) {
        second(&stream, T0 + i, 0);
    }
    read_all(&stream, &straight, 0);
    CU_ASSERT_EQUAL(count_kind(&straight, 0, DT_NOT_TOLD), 10);
    CU_ASSERT_EQUAL(count_kind(&straight, 1, DT_NOT_TOLD), 0);
    CU_ASSERT_EQUAL(count_kind(&straight, 1, DT_FULL), 40);
    stream_fini(&stream);
}

static void
sequence_epoch_and_nothing_else_decides_what_is_next(void)
{
    struct reader r = {.committed = {100, 5}, .written_until = {T0 * NS_PER_S}};
    Plumbline__Telemetry__EpochStart e;
    pb_batch b;

    plumbline__telemetry__batch__init(&b);
    plumbline__telemetry__epoch_start__init(&e);
    open_reader(&r);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){100, 5}, &b), ASSEMBLE_OLD);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){100, 6}, &b), ASSEMBLE_TAKE);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){100, 7}, &b), ASSEMBLE_GAP);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){99, 9}, &b), ASSEMBLE_OLD);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){101, 1}, &b), ASSEMBLE_GAP);
    b.epoch_start = &e;
    e.previous_epoch = 100;
    e.previous_last_sequence = 5;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){101, 0}, &b), ASSEMBLE_TAKE);
    e.previous_last_sequence = 6;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){101, 0}, &b), ASSEMBLE_GAP);
    e.previous_last_sequence = 4;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){101, 0}, &b), ASSEMBLE_TAKE);
    e.previous_epoch = 101;
    e.previous_last_sequence = 0;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){102, 0}, &b), ASSEMBLE_GAP);
    CU_ASSERT_EQUAL(assemble_wanted(r.a).sequence, 6);
    assemble_free(r.a);
    r.committed = (struct position){0, 0};
    open_reader(&r);
    /* An epoch before it, of which nothing was read, is asked for, once. */
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){103, 0}, &b), ASSEMBLE_GAP);
    assemble_begin_at(r.a, (struct position){103, 0});
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){103, 0}, &b), ASSEMBLE_TAKE);
    e.previous_empty = true;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){104, 0}, &b), ASSEMBLE_TAKE);
    e.previous_empty = false;
    e.previous_epoch = 0;
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){3, 0}, &b), ASSEMBLE_TAKE);
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){3, 1}, &b), ASSEMBLE_GAP);
    CU_ASSERT_EQUAL(assemble_wanted(r.a).epoch, 0);
    assemble_begin_at(r.a, (struct position){3, 1});
    CU_ASSERT_EQUAL(assemble_expect(r.a, (struct position){3, 1}, &b), ASSEMBLE_TAKE);
    assemble_free(r.a);
}

static size_t
live_sessions(struct assemble *a)
{
    const struct live_facts facts = {.now = instant_of_ns(T0 * NS_PER_S)};
    struct bytes out = {.at = NULL};

    CU_ASSERT_EQUAL_FATAL(live_make(a, "p1", &facts, &out), 0);
    pb_live *m = plumbline__telemetry__live__unpack(NULL, out.size, out.at);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    size_t n = m->n_sessions;
    plumbline__telemetry__live__free_unpacked(m, NULL);
    bytes_fini(&out);
    return n;
}

static void
a_session_of_which_nothing_more_is_said_leaves_live(void)
{
    struct reader r = {0};

    stream_init(&stream);
    open_reader(&r);
    begin_batch(&stream);
    for (unsigned i = 0; i < 2; i++) {
        add(&stream, i, T0, 0);
        push(&stream, instant_of_ns((T0 + i) * NS_PER_S));
        take(&r, &stream.entries[i], far_future);
    }
    CU_ASSERT_EQUAL(live_sessions(r.a), 2);
    add(&stream, 0, T0 + 1, 0);
    push(&stream, instant_of_ns((T0 + 2) * NS_PER_S - 1));
    take(&r, &stream.entries[2], far_future);
    CU_ASSERT_EQUAL(live_sessions(r.a), 2);
    push(&stream, instant_of_ns((T0 + 2) * NS_PER_S));
    take(&r, &stream.entries[3], far_future);
    CU_ASSERT_EQUAL(live_sessions(r.a), 1);
    assemble_free(r.a);
    stream_fini(&stream);
}

static void
sixty_seconds_ahead_is_taken_and_one_more_is_refused(void)
{
    struct reader r = {0};
    struct instant now = instant_of_ns((T0 - 60) * NS_PER_S);
    uint64_t before = counter_get(&counters[ASSEMBLE_REFUSED_AHEAD]);

    stream_init(&stream);
    begin_batch(&stream);
    add(&stream, 0, T0, 0);
    push(&stream, instant_of_ns(T0 * NS_PER_S));
    add(&stream, 0, T0 + 1, 0);
    push(&stream, instant_of_ns(T0 * NS_PER_S));
    open_reader(&r);
    take(&r, &stream.entries[0], now);
    CU_ASSERT_EQUAL(counter_get(&counters[ASSEMBLE_REFUSED_AHEAD]), before);
    take(&r, &stream.entries[1], now);
    CU_ASSERT_EQUAL(counter_get(&counters[ASSEMBLE_REFUSED_AHEAD]), before + 1);
    assemble_free(r.a);
    stream_fini(&stream);
}

static void
random_stream(void)
{
    int64_t at = T0;
    unsigned steps = 200 + (unsigned)random_below(150);

    stream_init(&stream);
    for (unsigned i = 0; i < steps; i++, at++) {
        if (random_chance(15) && stream.count) {
            new_epoch(&stream);
            at += (int64_t)random_below(random_chance(200) ? 150 : 20);
        }
        /* The batch that announces a session is never lost here: until the next
         * dictionary its delta-t are absent for who reads straight on, and may be
         * unknown for who begins anew.  Neither has its figures. */
        bool announces = random_chance(20) && stream.in_dictionary == 3;
        if (announces) {
            stream.in_dictionary = 7;
            telemetry_add_session(stream.builder, &stream.keys[2]);
        }
        second(&stream, at, random_chance(50) ? random_below(10) : 0);
        stream.entries[stream.count - 1].bad = random_chance(20) &&
                                               stream.entries[stream.count - 1].at.sequence > 0 &&
                                               stream.in_dictionary == 7 && !announces;
    }
}

static int
by_place(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    if (x->session != y->session) {
        return x->session < y->session ? -1 : 1;
    }
    return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

static void
whoever_begins_at_the_committed_position_comes_to_the_same_rows(void)
{
    for (int k = 0; k < 60; k++) {
        random_stream();
        read_all(&stream, &straight, 0);
        read_all(&stream, &broken, k % 3 == 0 ? 400 : 40);
        qsort(straight.cells, straight.count, sizeof straight.cells[0], by_place);
        qsort(broken.cells, broken.count, sizeof broken.cells[0], by_place);
        CU_ASSERT_EQUAL(straight.count, broken.count);
        size_t n = straight.count < broken.count ? straight.count : broken.count;
        size_t differ = 0;
        for (size_t i = 1; i < broken.count; i++) {
            differ += by_place(&broken.cells[i - 1], &broken.cells[i]) == 0; /* Twice. */
        }
        for (size_t i = 0; i < n; i++) {
            const struct cell *x = &straight.cells[i], *y = &broken.cells[i];
            differ += x->session != y->session || x->start_ns != y->start_ns ||
                      x->kind != y->kind || x->lost != y->lost;
        }
        CU_ASSERT_EQUAL(differ, 0);
        stream_fini(&stream);
    }
}

static void
collect_seconds(const struct assemble_liveness *l, void *aux)
{
    uint64_t *sum = aux;
    *sum += l->seconds;
}

static void
liveness_comes_back_and_its_truncations_are_refused(void)
{
    struct reader r = {0};
    struct instant start;
    uint32_t seconds;
    uint64_t sum = 0, ignored = 0;
    size_t size;

    stream_init(&stream);
    for (int i = 0; i < 60; i++) {
        second(&stream, T0 + i, 0);
    }
    open_reader(&r);
    for (size_t i = 0; i < stream.count; i++) {
        take(&r, &stream.entries[i], far_future);
    }
    CU_ASSERT_TRUE_FATAL(assemble_over(r.a, &start, &seconds));
    const uint8_t *bytes = assemble_liveness(r.a, &size);
    CU_ASSERT_TRUE(assemble_liveness_read(bytes, size, start, collect_seconds, &sum));
    CU_ASSERT_EQUAL(sum, 60);
    CU_ASSERT_TRUE(size < 24);
    for (size_t k = 2; k < size; k++) {
        uint8_t *exact = exact_copy(bytes, k);
        CU_ASSERT_FALSE(assemble_liveness_read(exact, k, start, collect_seconds, &ignored));
        free(exact);
    }
    assemble_free(r.a);
    stream_fini(&stream);
}

int
main(void)
{
    CU_TestInfo tests[] = {{"an interval closes when the watermark passes its end",
                            an_interval_closes_when_the_watermark_passes_its_end},
                           {"a gap without a reason is absent and with one unknown",
                            a_gap_without_a_reason_is_absent_and_with_one_unknown},
                           {"between two epochs all is unknown, also over whole intervals",
                            between_two_epochs_all_is_unknown_also_over_whole_intervals},
                           {"a retired session is not missed in the next epoch",
                            a_retired_session_is_not_missed_in_the_next_epoch},
                           {"sequence, epoch and nothing else decides what is next",
                            sequence_epoch_and_nothing_else_decides_what_is_next},
                           {"a session of which nothing more is said leaves live",
                            a_session_of_which_nothing_more_is_said_leaves_live},
                           {"sixty seconds ahead is taken and one more is refused",
                            sixty_seconds_ahead_is_taken_and_one_more_is_refused},
                           {"whoever begins at the committed position comes to the same rows",
                            whoever_begins_at_the_committed_position_comes_to_the_same_rows},
                           {"liveness comes back and its truncations are refused",
                            liveness_comes_back_and_its_truncations_are_refused},
                           CU_TEST_INFO_NULL};
    return run_suite("assemble", tests);
}
