/* test_stream_life.c - nothing lost, nothing twice, and never at a standstill: lives of
 * a source whose stream has a bound, in a world of stream_world.h, with a collector
 * that commits whole intervals, through everything that can happen between them.
 *
 * PLUMBLINE_LIVES: how many (default 150); PLUMBLINE_TEST_SEED: the first one's seed,
 * which a failure names. */
#include "stream_world.h"

#include "log.h"
#include "quota.h"
#include "stream.h"
#include "telemetry.h"

#define BATCHES_MAX 8000
#define INTERVAL_BATCHES 10 /* A batch covers a second. */
#define STRETCH_BATCHES (4 * INTERVAL_BATCHES)
#define STEPS 120
#define SETTLE_S 3600

static struct {
    struct spool *spool;
    struct stream *stream;
    bool first_due; /* The batch with EpochStart. */
    uint64_t made;
    uint64_t bytes_max;
    uint64_t was_full;
} source;

/* The collector: its database, what it holds in memory, and an old backup of the former. */
struct database {
    struct position committed;
    uint8_t times[BATCHES_MAX + 1];
};
static struct {
    struct database now, backup;
    struct position read;
    bool asked_all;             /* Before anything was read; */
    struct position found;      /* this came first then. */
    uint64_t held[BATCHES_MAX]; /* Numbers read and not committed. */
    struct position held_at[BATCHES_MAX];
    size_t held_count;
    int64_t told_at;
    unsigned tombstones, gaps;
} collector;

static struct instant
read_clock(void)
{
    return instant_now();
}

/* --- The source ------------------------------------------------------------------ */

static void
on_open(struct stream *s, const struct position *opened, void *aux)
{
    (void)s;
    (void)opened;
    (void)aux;
    source.first_due = true;
}

static void
source_start(void)
{
    const struct spool_config spool = {.folder = in_folder("spool"),
                                       .source = "pop-a",
                                       .keep = {INT64_C(1) << 60},
                                       .keep_bytes = 1u << 30,
                                       .segment_bytes = 60000,
                                       .memory_bytes = 1u << 20};
    const struct stream_config config = {.source = "pop-a",
                                         .release = "0.1",
                                         .redis = {.address = "unix:/nowhere"},
                                         .bytes_max = source.bytes_max,
                                         .bytes_for = {STRETCH_BATCHES * NS_PER_S},
                                         .wait_first = {300 * NS_PER_MS},
                                         .now = read_clock};

    CU_ASSERT_EQUAL_FATAL(spool_open(&source.spool, &spool), 0);
    source.stream = stream_new(NULL, source.spool, &config, on_open, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source.stream);
    for (int i = 0; i < 100 && !stream_is_open(source.stream); i++) {
        world_run(world_ns + 100 * NS_PER_MS);
    }
    CU_ASSERT_TRUE_FATAL(stream_is_open(source.stream));
}

static void
source_stop(void)
{
    struct stream_health h;

    stream_health(source.stream, &h);
    source.was_full += h.full;
    stream_free(source.stream);
    spool_close(source.spool);
}

static void
append(uint64_t count)
{
    while (count-- > 0 && source.made < BATCHES_MAX) {
        Plumbline__Telemetry__Batch batch;
        Plumbline__Telemetry__EpochStart start;
        uint8_t bytes[512];
        char name[] = "pop-a";

        plumbline__telemetry__batch__init(&batch);
        batch.format = TELEMETRY_FORMAT;
        batch.source = name;
        batch.made_at_ns = (int64_t)++source.made;
        if (source.first_due) {
            stream_epoch_start(source.stream, &start);
            batch.epoch_start = &start;
            source.first_due = false;
        }
        size_t size = plumbline__telemetry__batch__pack(&batch, bytes);
        struct instant from = {(int64_t)source.made * NS_PER_S};
        int err = stream_append(source.stream, bytes, size, from,
                                instant_add(from, span_of_ns(NS_PER_S)));
        CU_ASSERT_EQUAL_FATAL(err, 0);
    }
}

/* --- The collector ----------------------------------------------------------------- */

static void
set_ack(bool wanting)
{
    struct position p = collector.now.committed, r = collector.read;
    char want[64] = "-";

    if (wanting && r.epoch == 0) {
        snprintf(want, sizeof want, "0-0");
    } else if (wanting) {
        snprintf(want, sizeof want, "%" PRIu64 "-%" PRIu64, r.epoch, r.sequence + 1);
    }
    snprintf(server.now.ack, sizeof server.now.ack, "1 %" PRIu64 "-%" PRIu64 " %s run-1", p.epoch,
             p.sequence, want);
    collector.told_at = world_ns;
}

static void
tell(void)
{
    set_ack(false);
    if (collector.now.committed.epoch) {
        data_trim(&server.now, collector.now.committed);
    }
}

/* What was read is read again from the committed position on. */
static void
collector_claim(void)
{
    collector.read = collector.now.committed;
    collector.held_count = 0;
    collector.asked_all = false;
    if (server.up) {
        tell();
    }
}

static void
collector_gap(struct position found)
{
    collector.found = found;
    collector.asked_all = collector.asked_all || collector.read.epoch == 0;
    data_delete(&server.now);
    set_ack(true);
    collector.gaps++;
}

/* stream.h's rule of what follows. */
static bool
follows(struct position id, const Plumbline__Telemetry__Batch *b)
{
    struct position p = collector.read;

    if (p.epoch == 0) {
        bool again = collector.asked_all && position_compare(id, collector.found) == 0;
        return again || (b->epoch_start && b->epoch_start->previous_epoch == 0);
    }
    if (id.sequence > 0) {
        return p.epoch == id.epoch && p.sequence + 1 == id.sequence;
    }
    struct position before = {b->epoch_start->previous_epoch,
                              b->epoch_start->previous_last_sequence};
    return position_compare(before, p) <= 0;
}

/* All intervals before that of 'number' are over: what is held of them is written. */
static void
commit_before(uint64_t number)
{
    uint64_t begin = number / INTERVAL_BATCHES * INTERVAL_BATCHES;
    size_t n = 0;

    while (n < collector.held_count && collector.held[n] < begin) {
        uint64_t done = collector.held[n];
        if (done) {
            collector.now.times[done]++;
        }
        collector.now.committed = collector.held_at[n++];
    }
    if (n) {
        collector.held_count -= n;
        memmove(collector.held, collector.held + n, collector.held_count * sizeof *collector.held);
        memmove(collector.held_at, collector.held_at + n,
                collector.held_count * sizeof *collector.held_at);
        tell();
    }
}

/* False on a gap. */
static bool
collector_take(const struct world_entry *e)
{
    Plumbline__Telemetry__Batch *b = plumbline__telemetry__batch__unpack(NULL, e->size, e->bytes);

    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(b->epoch_start != NULL, e->id.sequence == 0);
    bool ok = follows(e->id, b);
    uint64_t number = (uint64_t)b->made_at_ns <= BATCHES_MAX ? (uint64_t)b->made_at_ns : 0;
    collector.tombstones += ok && b->tombstone != NULL;
    plumbline__telemetry__batch__free_unpacked(b, NULL);
    if (ok) {
        collector.read = e->id;
        collector.held[collector.held_count] = number;
        collector.held_at[collector.held_count++] = e->id;
        commit_before(number);
    }
    return ok;
}

/* A read of the stream, after what was read before. */
static void
collector_turn(void)
{
    for (unsigned n = 0; n < 50; n++) {
        const struct world_entry *next = NULL;
        for (size_t i = 0; i < server.now.count && !next; i++) {
            if (position_compare(server.now.entries[i].id, collector.read) > 0) {
                next = &server.now.entries[i];
            }
        }
        if (!next) {
            break;
        }
        if (!collector_take(next)) {
            collector_gap(next->id);
            return;
        }
    }
    if (world_ns - collector.told_at >= 10 * NS_PER_S) {
        tell();
    }
}

/* --- Lives -------------------------------------------------------------------------- */

static void
run_for(int64_t ms, bool reads)
{
    int64_t end = world_ns + ms * NS_PER_MS;

    while (world_ns < end) {
        int64_t turn = world_ns + (int64_t)random_below(200) * NS_PER_MS + 1;
        world_run(turn < end ? turn : end);
        if (reads && server.up) {
            collector_turn();
        }
        if (world_ns / NS_PER_S % 2 == 0) {
            data_copy(&server.second, &server.now);
        }
    }
}

/* More than the bound waits only while it is too little for a commit: of what the source
 * does not know to be committed, and within an epoch. */
static bool
bound_holds(void)
{
    struct position acked = spool_acked(source.spool);
    uint64_t bytes = 0, n = 0;

    for (size_t i = 0; i < server.now.count; i++) {
        const struct world_entry *e = &server.now.entries[i];
        if (position_compare(e->id, acked) > 0 && e->id.epoch == server.now.top.epoch) {
            bytes += e->size + QUOTA_ENTRY_BYTES;
            n++;
        }
    }
    return bytes <= source.bytes_max || n <= STRETCH_BATCHES + 1;
}

static void
life_begin(void)
{
    folder_remove(in_folder("spool"));
    world_begin();
    memset(&collector, 0, sizeof collector);
    memset(&source, 0, sizeof source);
    source.bytes_max = (1 + random_below(300)) * (QUOTA_ENTRY_BYTES + 16);
    source_start();
}

static void
redis_fault(void)
{
    switch (random_below(6)) {
    case 0: /* FLUSHALL. */
        data_clear(&server.now);
        break;
    case 1:
        server_down();
        append(random_below(40));
        run_for((int64_t)random_below(3000), false);
        server_restart(random_below(2) == 0);
        break;
    case 2: /* An older file is put in the place of the present one. */
        server_down();
        data_copy(&server.now, &server.backup);
        server.up = true;
        break;
    case 3:
        data_copy(&server.backup, &server.now);
        break;
    default:
        server.out_of_memory = random_below(2) == 0;
        break;
    }
}

static void
fault(void)
{
    switch (random_below(12)) {
    case 0:
        source_stop();
        world_wall_ns += ((int64_t)random_below(7200) - 3600) * NS_PER_S;
        source_start();
        break;
    case 1:
        collector_claim();
        break;
    case 2: /* As after a claim that does not find what it needs. */
        collector_claim();
        collector_gap((struct position){0, 0});
        break;
    case 3:
        collector.backup = collector.now;
        break;
    case 4:
        if (collector.backup.committed.epoch && random_below(3) == 0) {
            collector.now = collector.backup;
            collector_claim();
        }
        break;
    case 5:
    case 6:
    case 7:
        redis_fault();
        break;
    default:
        break;
    }
}

/* What is held at the end is an interval that is not over: an entry of the next one ends
 * it. */
static bool
settle(void)
{
    struct stream_health h = {.connected = false};

    server.out_of_memory = false;
    append(1 + INTERVAL_BATCHES);
    uint64_t needed = source.made / INTERVAL_BATCHES * INTERVAL_BATCHES;
    for (int s = 0; s < SETTLE_S; s++) {
        run_for(1000, true);
        stream_health(source.stream, &h);
        if (h.caught_up && !h.is_full && needed > 0 && collector.now.times[needed - 1]) {
            return true;
        }
    }
    printf("  acked %" PRIu64 "-%" PRIu64 " sent %" PRIu64 "-%" PRIu64 " bytes %" PRIu64
           " of %" PRIu64 " full %d; read %" PRIu64 "-%" PRIu64 " of stream %zu; error '%s'\n",
           h.acked.epoch, h.acked.sequence, h.sent.epoch, h.sent.sequence, h.bytes,
           source.bytes_max, h.is_full, collector.read.epoch, collector.read.sequence,
           server.now.count, h.last_error);
    return false;
}

/* Whether every batch but those of the interval under way was committed once. */
static bool
all_once(void)
{
    uint64_t until = source.made / INTERVAL_BATCHES * INTERVAL_BATCHES;
    unsigned missing = 0, twice = 0;

    for (uint64_t i = 1; i < until; i++) {
        missing += collector.now.times[i] == 0;
        twice += collector.now.times[i] > 1;
    }
    if (missing || twice || collector.tombstones) {
        printf("  %u missing, %u twice of %" PRIu64 ", %u tombstones, %u gaps\n", missing, twice,
               until, collector.tombstones, collector.gaps);
        return false;
    }
    return true;
}

static bool
live(void)
{
    bool held = true;

    life_begin();
    for (int step = 0; step < STEPS; step++) {
        append(random_below(50));
        run_for((int64_t)random_below(1500), random_below(3) > 0);
        held = held && bound_holds();
        fault();
    }
    CU_ASSERT_TRUE(held);
    bool ok = settle() && all_once() && held;
    source_stop();
    return ok;
}

static void
every_life_ends_with_all_committed_once(void)
{
    const char *given = getenv("PLUMBLINE_LIVES");
    unsigned long lives = given ? strtoul(given, NULL, 10) : 150, full = 0, stood = 0;

    for (unsigned long i = 0; i < lives; i++) {
        uint64_t seed = folder_random;
        bool ok = live();
        CU_ASSERT_TRUE(ok);
        if (!ok) {
            printf("  life %lu: seed 0x%" PRIx64 "\n", i, seed);
            stood++;
        }
        full += source.was_full > 0;
        folder_random = (seed + UINT64_C(0x9e3779b97f4a7c15)) | 1;
    }
    printf("%lu lives, %lu of them at their bound, %lu wrong\n", lives, full, stood);
    CU_ASSERT_TRUE(full > 0);
    world_end();
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"every_life_ends_with_all_committed_once", every_life_ends_with_all_committed_once},
        CU_TEST_INFO_NULL};

    log_set_level(getenv("PLUMBLINE_TEST_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    return folder_run_suite("stream_life", tests);
}
