/* test_telemetry.c - batches built, read back, refused; and the fixture that
 * later releases have to read.
 *
 * "test_telemetry --write FILE" writes the fixture anew: only when the format's
 * number changes. */
#include "telemetry.h"

#include <errno.h>

#include "harness.h"
#include "telemetry_sample.h"

static struct telemetry_builder *builder;
static struct telemetry_arena *arena;
static struct summary work;

static const uint8_t *
finish(size_t *size)
{
    return telemetry_finish(builder, instant_of_ns(SAMPLE_MADE_AT),
                            instant_of_ns(SAMPLE_FINAL_UNTIL), size);
}

static enum telemetry_verdict
parse_exact(const char *source, const void *bytes, size_t size, const pb_batch **out)
{
    uint8_t *exact = exact_copy(bytes, size);
    telemetry_arena_reset(arena);
    enum telemetry_verdict v = telemetry_parse(arena, source, exact, size, out);
    free(exact); /* The result must not point into it. */
    return v;
}

static void
check_delay(const pb_delay *d, const struct delay *truth)
{
    uint8_t bytes[512];

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_EQUAL(d->count, truth->count);
    CU_ASSERT_EQUAL(d->min_ns, truth->min_ns);
    CU_ASSERT_EQUAL(d->min_ns + d->range_ns, truth->max_ns);
    CU_ASSERT_EQUAL(d->sum_ns + (int64_t)d->count * d->min_ns, truth->sum_ns);
    size_t size = hist_encode(truth->hist, bytes, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(d->hist.len, size);
    CU_ASSERT_EQUAL(memcmp(d->hist.data, bytes, size), 0);
    size = hist_encode(truth->ifdv, bytes, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(d->ifdv.len, size);
    CU_ASSERT(size == 0 || memcmp(d->ifdv.data, bytes, size) == 0);
}

static void
check_first_summary(const pb_summary *m)
{
    summary_reset(&work, instant_of_ns(SAMPLE_START));
    CU_ASSERT_EQUAL(sample_summary(&work), 0);
    CU_ASSERT_EQUAL(m->session_id, session_id_of(&sample_key));
    CU_ASSERT_EQUAL(m->dt_number, 1789999998);
    CU_ASSERT_EQUAL(m->flags, DT_FAR_EPOCH | DT_NEGATIVE);
    CU_ASSERT_EQUAL(m->scheduled, 11);
    CU_ASSERT_EQUAL(m->sent, 10);
    CU_ASSERT_EQUAL(m->send_errors, 1);
    CU_ASSERT_EQUAL(m->received, 7);
    CU_ASSERT_EQUAL(m->lost_fwd, 1);
    CU_ASSERT_EQUAL(m->lost_bwd, 1);
    CU_ASSERT_EQUAL(m->lost_undirected, 1);
    CU_ASSERT_EQUAL(m->unknown, 0);
    CU_ASSERT_EQUAL(m->late, 1);
    CU_ASSERT_EQUAL(m->duplicate_fwd, 2);
    CU_ASSERT_EQUAL(m->duplicate_bwd, 3);
    CU_ASSERT_EQUAL(m->reordered_fwd, 4);
    CU_ASSERT_EQUAL(m->reordered_bwd, 5);
    CU_ASSERT_EQUAL(m->stamped_user, 1);
    CU_ASSERT_EQUAL(m->stamped_hardware, 2);
    CU_ASSERT_EQUAL(m->clock_error_ns, 43210);
    CU_ASSERT_EQUAL_FATAL(m->n_over, 2);
    CU_ASSERT_EQUAL(m->over[0], 3); /* 11.9 ms + i * 31 us > 12 ms: i = 4, 5, 6. */
    CU_ASSERT_EQUAL(m->over[1], 1); /* 60 us of 10 to 60 us. */
    check_delay(m->fwd, &work.delay[DIR_FWD]);
    check_delay(m->bwd, &work.delay[DIR_BWD]);
    check_delay(m->rt, &work.delay[DIR_RT]);
}

static void
check_small_messages(const pb_batch *b)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->epoch_start);
    CU_ASSERT_EQUAL(b->epoch_start->epoch, 1790000000000);
    CU_ASSERT_EQUAL(b->epoch_start->previous_epoch, 1789000000000);
    CU_ASSERT_EQUAL(b->epoch_start->previous_last_sequence, 77);
    CU_ASSERT_EQUAL(b->epoch_start->previous_empty, 0);
    CU_ASSERT_STRING_EQUAL(b->epoch_start->release, "0.1.0");
    CU_ASSERT_EQUAL(b->epoch_start->started_at_ns, SAMPLE_START - 5);
    CU_ASSERT_EQUAL_FATAL(b->n_liveness, 1);
    CU_ASSERT_EQUAL(b->liveness[0]->second, 1789999998);
    CU_ASSERT_EQUAL(b->liveness[0]->seconds, 2);
    CU_ASSERT(b->liveness[0]->sending && b->liveness[0]->reflecting);
    CU_ASSERT_EQUAL(b->liveness[0]->generation, 12);
    CU_ASSERT_EQUAL(b->liveness[0]->serving_id, -7);
    CU_ASSERT_EQUAL_FATAL(b->n_refused, 1);
    CU_ASSERT_STRING_EQUAL(b->refused[0]->name, "reflector.stranger");
    CU_ASSERT_EQUAL(b->refused[0]->count, 9);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->serving);
    CU_ASSERT_EQUAL(b->serving->serving_id, -7);
    CU_ASSERT_EQUAL_FATAL(b->serving->n_objects, 2);
    CU_ASSERT_STRING_EQUAL(b->serving->objects[1], "ams--lon");
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->health);
    CU_ASSERT_EQUAL(b->health->spool_bytes, 4096);
    CU_ASSERT_EQUAL(b->health->spool_unsent, 3);
    CU_ASSERT(b->health->disk_full && b->health->clock_synchronised);
    CU_ASSERT_EQUAL(b->health->tombstones, 2);
    CU_ASSERT_EQUAL(b->health->clock_error_ns, 1234);
    CU_ASSERT_EQUAL(b->health->stamp_tx, TS_KERNEL);
    CU_ASSERT_EQUAL(b->health->stamp_rx, TS_HARDWARE);
}

static void
check_early(const pb_early *e)
{
    CU_ASSERT_EQUAL(e->session_id, session_id_of(&sample_key));
    CU_ASSERT_EQUAL(e->dt_number, 1790000002);
    CU_ASSERT_EQUAL(e->sent, 10);
    CU_ASSERT_EQUAL(e->received, 8);
    CU_ASSERT_EQUAL(e->overdue, 1);
    CU_ASSERT_EQUAL(e->rt_min_ns, 11900000);
    CU_ASSERT_EQUAL(e->rt_p50_ns, 12000000);
    CU_ASSERT_EQUAL(e->rt_max_ns, 12100000);
    CU_ASSERT_EQUAL(e->fwd_p50_ns, 5000000);
    CU_ASSERT_EQUAL(e->bwd_p50_ns, -1700);
    CU_ASSERT_EQUAL(e->clock_error_ns, 0); /* Not known. */
}

static void
check_sample(const void *bytes, size_t size)
{
    const pb_batch *b = NULL;
    struct session_key key;

    CU_ASSERT_EQUAL_FATAL(parse_exact(SAMPLE_SOURCE, bytes, size, &b), TELEMETRY_OK);
    CU_ASSERT_EQUAL(b->format, 1);
    CU_ASSERT_STRING_EQUAL(b->source, SAMPLE_SOURCE);
    CU_ASSERT_EQUAL(b->made_at_ns, SAMPLE_MADE_AT);
    CU_ASSERT_EQUAL(b->final_until_ns, SAMPLE_FINAL_UNTIL);
    CU_ASSERT_PTR_NULL(b->tombstone);
    check_small_messages(b);
    CU_ASSERT_EQUAL_FATAL(b->n_sessions, 1);
    CU_ASSERT_FATAL(telemetry_session_key(b->sessions[0], &key));
    CU_ASSERT_EQUAL(memcmp(&key, &sample_key, sizeof key), 0);
    CU_ASSERT_EQUAL_FATAL(b->n_summaries, 2);
    check_first_summary(b->summaries[0]);
    CU_ASSERT_EQUAL(b->summaries[1]->dt_number, 1789999999);
    CU_ASSERT_EQUAL(b->summaries[1]->flags, DT_UNKNOWN);
    CU_ASSERT_EQUAL(b->summaries[1]->sent, 0);
    CU_ASSERT_EQUAL(b->summaries[1]->n_over, 0);
    CU_ASSERT_PTR_NULL(b->summaries[1]->rt);
    CU_ASSERT_EQUAL_FATAL(b->n_early, 1);
    check_early(b->early[0]);
}

static void
a_batch_reads_back_field_by_field(void)
{
    struct instant from, until;
    size_t size;

    telemetry_covers(builder, &from, &until);
    CU_ASSERT_EQUAL(from.ns, 0);
    CU_ASSERT_EQUAL_FATAL(sample_add_all(builder, &work), 0);
    telemetry_covers(builder, &from, &until);
    CU_ASSERT_EQUAL(from.ns, SAMPLE_START);
    CU_ASSERT_EQUAL(until.ns, SAMPLE_START + 2 * NS_PER_S);
    const uint8_t *bytes = finish(&size);
    check_sample(bytes, size);
    telemetry_covers(builder, &from, &until);
    CU_ASSERT_EQUAL(from.ns, 0);
}

static size_t
read_fixture(uint8_t *bytes, size_t room)
{
    char path[512];
    const char *folder = getenv("srcdir");

    snprintf(path, sizeof path, "%s/tests/fixtures/telemetry-1.bin", folder ? folder : ".");
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t size = fread(bytes, 1, room, f);
    fclose(f);
    return size;
}

static void
the_fixture_of_format_1_is_read_field_by_field(void)
{
    static uint8_t bytes[8192];

    check_sample(bytes, read_fixture(bytes, sizeof bytes));
}

static void
the_builder_still_writes_what_the_fixture_holds(void)
{
    static uint8_t bytes[8192];
    size_t fixture = read_fixture(bytes, sizeof bytes), size;

    CU_ASSERT_EQUAL_FATAL(sample_add_all(builder, &work), 0);
    const uint8_t *built = finish(&size);
    CU_ASSERT_EQUAL_FATAL(size, fixture);
    CU_ASSERT_EQUAL(memcmp(built, bytes, size), 0);
}

/* A truncation can fall between two fields; then it is a smaller batch. */
static void
no_truncation_is_read_past_its_end(void)
{
    size_t size, accepted = 0;
    const pb_batch *b;

    CU_ASSERT_EQUAL_FATAL(sample_add_all(builder, &work), 0);
    const uint8_t *bytes = finish(&size);
    for (size_t cut = 0; cut < size; cut++) {
        enum telemetry_verdict v = parse_exact(SAMPLE_SOURCE, bytes, cut, &b);
        CU_ASSERT(v == TELEMETRY_OK || v == TELEMETRY_MALFORMED || v == TELEMETRY_WRONG_SOURCE);
        accepted += v == TELEMETRY_OK;
    }
    CU_ASSERT_EQUAL(accepted, 11); /* After source, the two times and eight messages. */
}

static void
another_source_and_other_formats_are_told_apart(void)
{
    static const uint8_t newer[] = {0x08, 2, 0xff, 0xff}, none[] = {0x12, 0};
    static const uint8_t newer_whole[] = {0x08, 2, 0x7a, 1, 0x55},
                         unknown[] = {0x08, 1,    0x12, 5, 'a', 'm',  's',  '-', '1',
                                      0xfa, 0x01, 2,    7, 7,   0xc0, 0x3e, 9};
    size_t size;
    const pb_batch *b = NULL;

    CU_ASSERT_EQUAL_FATAL(sample_add_all(builder, &work), 0);
    const uint8_t *bytes = finish(&size);
    CU_ASSERT_EQUAL(parse_exact("ams-2", bytes, size, &b), TELEMETRY_WRONG_SOURCE);
    CU_ASSERT_PTR_NULL(b);
    CU_ASSERT_EQUAL(parse_exact("ams-1", newer, sizeof newer, &b), TELEMETRY_MALFORMED);
    CU_ASSERT_EQUAL(parse_exact("ams-1", newer_whole, sizeof newer_whole, &b),
                    TELEMETRY_NEWER_FORMAT);
    CU_ASSERT_EQUAL(parse_exact("ams-1", none, sizeof none, &b), TELEMETRY_MALFORMED);
    CU_ASSERT_EQUAL(parse_exact("ams-1", unknown, sizeof unknown, &b), TELEMETRY_OK);
}

/* Adds one session message and says what the batch then is. */
static enum telemetry_verdict
session_verdict(const struct session_key *key, int64_t id_off)
{
    struct telemetry_builder *b = telemetry_builder_new(SAMPLE_SOURCE);
    const pb_batch *out;
    size_t size;

    CU_ASSERT_EQUAL(telemetry_add_session(b, key), 0);
    const uint8_t *bytes = telemetry_finish(b, instant_of_ns(1), instant_of_ns(1), &size);
    uint8_t *copy = exact_copy(bytes, size);
    if (id_off) { /* The fixed64 follows the head, the frame's tag and size, its own tag. */
        copy[2 + 7 + 18 + 3 + 1] ^= 1;
    }
    enum telemetry_verdict v = parse_exact(SAMPLE_SOURCE, copy, size, &out);
    free(copy);
    telemetry_builder_free(b);
    return v;
}

#define SESSION_WITH(...)                                                                          \
    do {                                                                                           \
        struct session_key k = sample_key;                                                         \
        k.__VA_ARGS__;                                                                             \
        CU_ASSERT_EQUAL(session_verdict(&k, 0), wanted);                                           \
    } while (0)

static void
a_dictionary_entry_is_checked_to_its_limits(void)
{
    enum telemetry_verdict wanted = TELEMETRY_OK;

    CU_ASSERT_EQUAL(session_verdict(&sample_key, 0), TELEMETRY_OK);
    CU_ASSERT_EQUAL(session_verdict(&sample_key, 1), TELEMETRY_BAD_SESSION);
    SESSION_WITH(dscp = 63);
    SESSION_WITH(far[0] = 0);
    SESSION_WITH(family = 6);
    SESSION_WITH(observer_end = 0);
    SESSION_WITH(dt.ns = 1);
    SESSION_WITH(dt.ns = 86400 * NS_PER_S);
    SESSION_WITH(tmax.ns = 3600 * NS_PER_S);
    SESSION_WITH(size = 65535);
    SESSION_WITH(limits[0].limit.ns = 0);
    wanted = TELEMETRY_BAD_SESSION;
    SESSION_WITH(dscp = 64);
    SESSION_WITH(object[0] = 0);
    SESSION_WITH(object[0] = '-');
    SESSION_WITH(object[2] = '|');
    SESSION_WITH(class_name[1] = 'A');
    SESSION_WITH(observer[4] = '2');
    SESSION_WITH(family = 5);
    SESSION_WITH(observer_end = 2);
    SESSION_WITH(dt.ns = 0);
    SESSION_WITH(dt.ns = 86400 * NS_PER_S + 1);
    SESSION_WITH(tmax.ns = 0);
    SESSION_WITH(tmax.ns = 3600 * NS_PER_S + 1);
    SESSION_WITH(period.ns = 0);
    SESSION_WITH(size = 65536);
    SESSION_WITH(limits[1].metric = (enum limit_metric)2);
    SESSION_WITH(limits[1].direction = DIRECTIONS);
    SESSION_WITH(limits[0].limit.ns = -1);
}

static enum telemetry_verdict
summary_verdict(struct summary *s)
{
    struct telemetry_builder *b = telemetry_builder_new(SAMPLE_SOURCE);
    const pb_batch *out;
    size_t size;

    CU_ASSERT_EQUAL(telemetry_add_summary(b, &sample_key, 7, s), 0);
    const uint8_t *bytes = telemetry_finish(b, instant_of_ns(1), instant_of_ns(1), &size);
    enum telemetry_verdict v = parse_exact(SAMPLE_SOURCE, bytes, size, &out);
    telemetry_builder_free(b);
    return v;
}

#define SUMMARY_WITH(wanted, ...)                                                                  \
    do {                                                                                           \
        summary_reset(&work, instant_of_ns(SAMPLE_START));                                         \
        CU_ASSERT_EQUAL(sample_summary(&work), 0);                                                 \
        work.__VA_ARGS__;                                                                          \
        CU_ASSERT_EQUAL(summary_verdict(&work), wanted);                                           \
    } while (0)

static void
a_summary_must_add_up(void)
{
    SUMMARY_WITH(TELEMETRY_OK, flags = 0);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, sent = 11);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, sent = 9);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, lost_fwd = 2);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, unknown = 1);
    SUMMARY_WITH(TELEMETRY_OK, late = 3);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, late = 4);
    SUMMARY_WITH(TELEMETRY_OK, stamped[TS_USER] = 5);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, stamped[TS_USER] = 6);
    SUMMARY_WITH(TELEMETRY_OK, over[1] = 7);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, over[1] = 8);
    SUMMARY_WITH(TELEMETRY_OK, reordered_bwd = 10);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, reordered_bwd = 11);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, delay[DIR_RT].count = 6);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, delay[DIR_RT].count = 8);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY, delay[DIR_FWD].max_ns = 4999999);
    SUMMARY_WITH(TELEMETRY_OK, delay[DIR_FWD].sum_ns = 5000000 * INT64_C(7) + 186000 * 7);
    SUMMARY_WITH(TELEMETRY_BAD_SUMMARY,
                 delay[DIR_FWD].sum_ns = 5000000 * INT64_C(7) + 186000 * 7 + 1);
}

static void
a_broken_histogram_spoils_its_batch(void)
{
    const uint8_t first[] = {1, 7}; /* Layout and buckets of a direction. */
    size_t size;
    const pb_batch *out;

    summary_reset(&work, instant_of_ns(SAMPLE_START));
    CU_ASSERT_EQUAL(sample_summary(&work), 0);
    CU_ASSERT_EQUAL(telemetry_add_summary(builder, &sample_key, 7, &work), 0);
    const uint8_t *bytes = finish(&size);
    uint8_t *copy = exact_copy(bytes, size);
    uint8_t *hist = memmem(copy, size, first, sizeof first);
    CU_ASSERT_PTR_NOT_NULL_FATAL(hist);
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, copy, size, &out), TELEMETRY_OK);
    hist[0] = 2;
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, copy, size, &out), TELEMETRY_BAD_SUMMARY);
    hist[0] = 1;
    hist[1] = 6;
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, copy, size, &out), TELEMETRY_BAD_SUMMARY);
    free(copy);
}

/* The field is younger than the fixture. */
static void
an_early_state_carries_what_could_not_be_sent(void)
{
    struct telemetry_builder *b = telemetry_builder_new(SAMPLE_SOURCE);
    struct early e = {.start = {SAMPLE_START}, .send_errors = 10};
    const pb_batch *out;
    size_t size;

    CU_ASSERT_EQUAL(telemetry_add_early(b, &sample_key, session_id_of(&sample_key), &e), 0);
    const uint8_t *bytes = telemetry_finish(b, instant_of_ns(1), instant_of_ns(1), &size);
    CU_ASSERT_EQUAL_FATAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_OK);
    CU_ASSERT_EQUAL(out->early[0]->send_errors, 10);
    CU_ASSERT_EQUAL(out->early[0]->sent, 0);
    e.send_errors = (uint64_t)UINT32_MAX + 1;
    CU_ASSERT_EQUAL(telemetry_add_early(b, &sample_key, 1, &e), -ERANGE);
    e.send_errors = UINT32_MAX;
    CU_ASSERT_EQUAL(telemetry_add_early(b, &sample_key, 1, &e), 0);
    telemetry_builder_free(b);
}

static void
a_tombstone_stands_alone(void)
{
    Plumbline__Telemetry__Tombstone t;
    const pb_batch *out = NULL;
    size_t size;

    plumbline__telemetry__tombstone__init(&t);
    t.from_ns = 5;
    t.until_ns = 9;
    t.reason = PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__DISK_FULL;
    CU_ASSERT_EQUAL(telemetry_add_message(builder, TELEMETRY_TOMBSTONE, &t.base), 0);
    const uint8_t *bytes = finish(&size);
    CU_ASSERT_EQUAL_FATAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_OK);
    CU_ASSERT_EQUAL(out->tombstone->from_ns, 5);
    CU_ASSERT_EQUAL(out->tombstone->until_ns, 9);
    CU_ASSERT_EQUAL(out->tombstone->reason, PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__DISK_FULL);
    CU_ASSERT_EQUAL(telemetry_add_message(builder, TELEMETRY_TOMBSTONE, &t.base), 0);
    CU_ASSERT_EQUAL(telemetry_add_session(builder, &sample_key), 0);
    bytes = finish(&size);
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_MALFORMED);
    t.from_ns = 10;
    CU_ASSERT_EQUAL(telemetry_add_message(builder, TELEMETRY_TOMBSTONE, &t.base), 0);
    bytes = finish(&size);
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_MALFORMED);
}

static void
a_full_batch_says_so_and_stays_as_it_was(void)
{
    const pb_batch *out = NULL;
    size_t size, count = 0;
    int err;

    summary_reset(&work, instant_of_ns(SAMPLE_START));
    CU_ASSERT_EQUAL(sample_summary(&work), 0);
    while ((err = telemetry_add_summary(builder, &sample_key, 7, &work)) == 0) {
        count++;
    }
    CU_ASSERT_EQUAL(err, -ENOSPC);
    const uint8_t *bytes = finish(&size);
    CU_ASSERT(size <= TELEMETRY_BATCH_MAX && size > TELEMETRY_BATCH_MAX - 500);
    CU_ASSERT_EQUAL_FATAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_OK);
    CU_ASSERT_EQUAL(out->n_summaries, count);
    uint8_t *larger = calloc(1, TELEMETRY_BATCH_MAX + 1);
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, larger, TELEMETRY_BATCH_MAX + 1, &out),
                    TELEMETRY_TOO_LARGE);
    free(larger);
}

static void
what_does_not_fit_the_wire_is_refused_by_the_builder(void)
{
    size_t before, after;

    (void)finish(&before);
    summary_reset(&work, instant_of_ns(SAMPLE_START + 1));
    CU_ASSERT_EQUAL(telemetry_add_summary(builder, &sample_key, 7, &work), -ERANGE);
    summary_reset(&work, instant_of_ns(SAMPLE_START));
    work.duplicate_bwd = UINT64_C(1) << 32;
    CU_ASSERT_EQUAL(telemetry_add_summary(builder, &sample_key, 7, &work), -ERANGE);
    work.duplicate_bwd--;
    CU_ASSERT_EQUAL(telemetry_add_summary(builder, &sample_key, 7, &work), 0);
    (void)finish(&after);
    CU_ASSERT(after > before);
}

static void
a_hostile_batch_of_empty_parts_is_bounded(void)
{
    size_t size = TELEMETRY_BATCH_MAX;
    uint8_t *bytes = malloc(size);
    const pb_batch *out = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    bytes[0] = 0x08;
    bytes[1] = 1;
    for (size_t i = 2; i + 1 < size; i += 2) {
        bytes[i] = 0x3a; /* A summary of no bytes. */
        bytes[i + 1] = 0;
    }
    CU_ASSERT_EQUAL(parse_exact(SAMPLE_SOURCE, bytes, size, &out), TELEMETRY_TOO_LARGE);
    free(bytes);
}

static void
an_instant_past_the_end_of_time_has_no_start(void)
{
    struct instant start;

    CU_ASSERT(telemetry_start(7, span_of_ns(NS_PER_S), &start));
    CU_ASSERT_EQUAL(start.ns, 7 * NS_PER_S);
    CU_ASSERT(telemetry_start(INT64_MAX - 1, span_of_ns(1), &start));
    CU_ASSERT_FALSE(telemetry_start(INT64_MAX, span_of_ns(1), &start));
    CU_ASSERT_FALSE(telemetry_start(UINT64_MAX, span_of_ns(1), &start));
    CU_ASSERT_FALSE(telemetry_start(INT64_MAX / 2, span_of_ns(3), &start));
}

static int
write_fixture(const char *path)
{
    size_t size;

    if (sample_add_all(builder, &work)) {
        return 1;
    }
    const uint8_t *bytes = finish(&size);
    FILE *f = fopen(path, "wb");
    if (!f) {
        return 1;
    }
    size_t written = fwrite(bytes, 1, size, f);
    return fclose(f) || written != size;
}

int
main(int argc, char **argv)
{
    static CU_TestInfo tests[] = {
        {"a_batch_reads_back_field_by_field", a_batch_reads_back_field_by_field},
        {"the_fixture_of_format_1_is_read_field_by_field",
         the_fixture_of_format_1_is_read_field_by_field},
        {"the_builder_still_writes_what_the_fixture_holds",
         the_builder_still_writes_what_the_fixture_holds},
        {"no_truncation_is_read_past_its_end", no_truncation_is_read_past_its_end},
        {"another_source_and_other_formats_are_told_apart",
         another_source_and_other_formats_are_told_apart},
        {"a_dictionary_entry_is_checked_to_its_limits",
         a_dictionary_entry_is_checked_to_its_limits},
        {"a_summary_must_add_up", a_summary_must_add_up},
        {"a_broken_histogram_spoils_its_batch", a_broken_histogram_spoils_its_batch},
        {"an_early_state_carries_what_could_not_be_sent",
         an_early_state_carries_what_could_not_be_sent},
        {"a_tombstone_stands_alone", a_tombstone_stands_alone},
        {"a_full_batch_says_so_and_stays_as_it_was", a_full_batch_says_so_and_stays_as_it_was},
        {"what_does_not_fit_the_wire_is_refused_by_the_builder",
         what_does_not_fit_the_wire_is_refused_by_the_builder},
        {"a_hostile_batch_of_empty_parts_is_bounded", a_hostile_batch_of_empty_parts_is_bounded},
        {"an_instant_past_the_end_of_time_has_no_start",
         an_instant_past_the_end_of_time_has_no_start},
        CU_TEST_INFO_NULL};
    int status;

    builder = telemetry_builder_new(SAMPLE_SOURCE);
    arena = telemetry_arena_new();
    if (!builder || !arena || summary_init(&work, instant_of_ns(0), true)) {
        return 2;
    }
    status = argc == 3 && strcmp(argv[1], "--write") == 0 ? write_fixture(argv[2])
                                                          : run_suite("telemetry", tests);
    summary_fini(&work);
    telemetry_arena_free(arena);
    telemetry_builder_free(builder);
    return status;
}
