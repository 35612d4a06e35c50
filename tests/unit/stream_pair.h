/* stream_pair.h - a source (spool and stream), a real Redis, and a collector that keeps to
 * stream.h: what tests of the stream turn until all is committed, once. */
#ifndef PLUMBLINE_TEST_STREAM_PAIR_H
#define PLUMBLINE_TEST_STREAM_PAIR_H

#include <inttypes.h>

#include "folder.h"
#include "redis_server.h"
#include "stream.h"
#include "stream_parts.h"

#define KEY "pl:{pop-a}:t"
#define ACK "pl:{pop-a}:ack"
#define BATCHES_MAX 20000

static struct redis_server server;

/* The source: a probe's spool and stream, and its clock. */
static struct {
    struct event_base *base;
    struct spool *spool;
    struct stream *stream;
    unsigned opened;
    uint64_t made; /* Batches appended, over all boots: each has its number. */
} source;

static struct instant clock_now;

static inline struct instant
read_clock(void)
{
    return clock_now;
}

/* The collector: what is in its database, and what it has read. */
static struct {
    struct position position;
    bool asked_all;                  /* Before anything was read. */
    unsigned times[BATCHES_MAX + 1]; /* How often each number was committed. */
    unsigned entries, tombstones, starts, gaps;
} consumer;

static inline void
on_open(struct stream *s, const struct position *opened, void *aux)
{
    (void)s;
    (void)aux;
    CU_ASSERT_EQUAL(opened->sequence, 0);
    source.opened++;
}

/* The bound of the next source_start(). */
static uint64_t bytes_max;
static struct span bytes_for;

static inline void
source_start(int64_t wait_first_ms)
{
    struct spool_config spool = {
        .folder = in_folder("spool"),
        .source = "pop-a",
        .keep = {3600 * NS_PER_S},
        .keep_bytes = 1u << 30,
        .segment_bytes = 20000,
        .memory_bytes = 1u << 20,
    };
    struct stream_config config = {
        .source = "pop-a",
        .release = "0.1",
        .redis = {.address = redis_server_address(),
                  .user = "pop-a",
                  .password_file = in_folder("password"),
                  .timeout = {2 * NS_PER_S}},
        .bytes_max = bytes_max,
        .bytes_for = bytes_for,
        .wait_first = {wait_first_ms * NS_PER_MS},
        .now = read_clock,
    };

    source.opened = 0;
    source.base = event_base_new();
    int err = spool_open(&source.spool, &spool);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    source.stream = stream_new(source.base, source.spool, &config, on_open, NULL);
    CU_ASSERT_FATAL(source.stream != NULL);
}

static inline void
source_stop(void)
{
    stream_free(source.stream);
    spool_close(source.spool);
    event_base_free(source.base);
    source.stream = NULL;
}

static inline void
append(unsigned count)
{
    while (count-- > 0) {
        Plumbline__Telemetry__Batch batch;
        Plumbline__Telemetry__EpochStart start;
        uint8_t bytes[512];

        plumbline__telemetry__batch__init(&batch);
        batch.format = 1;
        char name[] = "pop-a";
        batch.source = name;
        batch.made_at_ns = (int64_t)++source.made;
        CU_ASSERT_FATAL(source.made <= BATCHES_MAX);
        if (source.opened == 1) {
            stream_epoch_start(source.stream, &start);
            batch.epoch_start = &start;
            source.opened++;
        }
        CU_ASSERT_FATAL(plumbline__telemetry__batch__get_packed_size(&batch) <= sizeof bytes);
        size_t size = plumbline__telemetry__batch__pack(&batch, bytes);
        struct instant from = {(int64_t)source.made * NS_PER_S};
        CU_ASSERT_EQUAL(stream_append(source.stream, bytes, size, from,
                                      instant_add(from, span_of_ns(NS_PER_S))),
                        0);
    }
}

static inline void
set_ack(struct position committed, const char *want)
{
    char text[128];
    snprintf(text, sizeof text, "1 %" PRIu64 "-%" PRIu64 " %s run-1", committed.epoch,
             committed.sequence, want);
    redis_run(&server, "SET %s %s", ACK, text);
}

static inline void
consumer_gap(void)
{
    char text[160], want[64] = "0-0";
    struct position p = consumer.position;

    consumer.asked_all = consumer.asked_all || p.epoch == 0;
    if (p.epoch > 0) {
        snprintf(want, sizeof want, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence + 1);
    }
    snprintf(text, sizeof text, "1 %" PRIu64 "-%" PRIu64 " %s run-1", p.epoch, p.sequence, want);
    redis_run(&server, "MULTI");
    redis_run(&server, "DEL %s", KEY);
    redis_run(&server, "SET %s %s", ACK, text);
    redis_run(&server, "EXEC");
    consumer.gaps++;
}

/* stream.h's rule of what follows. */
static inline bool
follows(struct position id, const Plumbline__Telemetry__Batch *b)
{
    struct position p = consumer.position;

    if (p.epoch == 0) {
        /* Of one that was never read all is wanted, from its first on: what came
         * before may have been wiped before we looked.  Once asked, the first that
         * the source has is the first there is. */
        return id.sequence == 0 && b->epoch_start &&
               (b->epoch_start->previous_epoch == 0 || consumer.asked_all);
    }
    if (id.sequence > 0) {
        return p.epoch == id.epoch && p.sequence + 1 == id.sequence;
    }
    CU_ASSERT_FATAL(b->epoch_start != NULL);
    CU_ASSERT_EQUAL(b->epoch_start->epoch, id.epoch);
    struct position before = {b->epoch_start->previous_epoch,
                              b->epoch_start->previous_last_sequence};
    return position_compare(before, p) <= 0;
}

/* Commits one entry; false on a gap. */
static inline bool
consumer_take(const redisReply *entry)
{
    struct position id;
    const redisReply *fields = entry->element[1];

    CU_ASSERT_FATAL(
        sscanf(entry->element[0]->str, "%" SCNu64 "-%" SCNu64, &id.epoch, &id.sequence) == 2);
    CU_ASSERT_FATAL(fields->elements == 2 && strcmp(fields->element[0]->str, "b") == 0);
    if (position_compare(id, consumer.position) <= 0) {
        return true;
    }
    union {
        const char *text;
        const uint8_t *bytes;
    } payload = {.text = fields->element[1]->str};
    Plumbline__Telemetry__Batch *b =
        plumbline__telemetry__batch__unpack(NULL, fields->element[1]->len, payload.bytes);
    CU_ASSERT_FATAL(b != NULL);
    CU_ASSERT_EQUAL(b->epoch_start != NULL, id.sequence == 0);
    bool ok = follows(id, b);
    if (ok) {
        consumer.position = id;
        consumer.entries++;
        consumer.starts += b->epoch_start != NULL;
        if (b->tombstone) {
            consumer.tombstones++;
        } else if (b->made_at_ns > 0 && b->made_at_ns <= BATCHES_MAX) {
            consumer.times[b->made_at_ns]++;
        } else {
            /* An entry that the stream made: nothing but the start of an epoch. */
            CU_ASSERT(b->epoch_start != NULL && b->n_summaries == 0);
        }
    }
    plumbline__telemetry__batch__free_unpacked(b, NULL);
    return ok;
}

/* One turn of the collector: read, commit, ack, trim. */
static inline void
consumer_turn(void)
{
    redisReply *entries = redis_do(&server, "XRANGE %s - + COUNT 50", KEY);
    bool gap = false;
    struct position before = consumer.position;

    CU_ASSERT_FATAL(entries->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < entries->elements && !gap; i++) {
        gap = !consumer_take(entries->element[i]);
    }
    /* Also where all of it was read before: the source does not know. */
    if (position_compare(consumer.position, before) > 0 || (entries->elements > 0 && !gap)) {
        set_ack(consumer.position, "-");
    }
    if (entries->elements > 0 && !gap) {
        redis_run(&server, "XTRIM %s MINID %" PRIu64 "-%" PRIu64, KEY, consumer.position.epoch,
                  consumer.position.sequence + 1);
    }
    freeReplyObject(entries);
    if (gap) {
        consumer_gap();
    }
}

/* Turns source and (unless 'alone') collector until all is committed, or, alone,
 * sent; false if that takes more than 'seconds'. */
static inline bool
run(bool alone, int64_t seconds)
{
    struct span end = {mono_now().ns + seconds * NS_PER_S};
    struct stream_health h;
    unsigned turn = 0;

    do {
        event_base_loop(source.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (!alone && turn++ % 10 == 0) {
            consumer_turn();
        }
        usleep(300);
        stream_health(source.stream, &h);
        if (stream_is_open(source.stream) && h.caught_up &&
            (alone || position_compare(spool_acked(source.spool), spool_last(source.spool)) >= 0)) {
            return true;
        }
    } while (mono_now().ns < end.ns);
    return false;
}

/* Turns both for a while, whatever comes of it. */
static inline void
run_for(int64_t ms, bool with_consumer)
{
    struct span end = {mono_now().ns + ms * NS_PER_MS};

    while (mono_now().ns < end.ns) {
        event_base_loop(source.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (with_consumer) {
            consumer_turn();
        }
        usleep(300);
    }
}

static inline bool
wait_open(void)
{
    struct span end = {mono_now().ns + 60 * NS_PER_S};

    while (!stream_is_open(source.stream) && mono_now().ns < end.ns) {
        event_base_loop(source.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        usleep(300);
    }
    return stream_is_open(source.stream);
}

/* Every batch ever appended was committed once. */
static inline void
check_all_once(void)
{
    unsigned missing = 0, twice = 0;

    for (uint64_t i = 1; i <= source.made; i++) {
        missing += consumer.times[i] == 0;
        twice += consumer.times[i] > 1;
    }
    CU_ASSERT_EQUAL(missing, 0);
    CU_ASSERT_EQUAL(twice, 0);
    CU_ASSERT_EQUAL(consumer.tombstones, 0);
    if (missing || twice) {
        printf("  %u missing, %u twice of %" PRIu64 ", %u gaps\n", missing, twice, source.made,
               consumer.gaps);
    }
}

/* A new life: empty Redis, no spool, a collector without a position. */
static inline void
begin(void)
{
    if (server.pid == 0) {
        redis_server_start(&server);
    }
    redis_run(&server, "CONFIG SET maxmemory 0");
    redis_run(&server, "FLUSHALL");
    folder_remove(in_folder("spool"));
    memset(&source, 0, sizeof source);
    memset(&consumer, 0, sizeof consumer);
    bytes_max = 0;
    bytes_for = span_of_ns(0);
    clock_now.ns = INT64_C(1700000000) * NS_PER_S;
}

static inline long long
stream_length(void)
{
    redisReply *r = redis_do(&server, "XLEN %s", KEY);
    long long length = r->integer;

    freeReplyObject(r);
    return length;
}

static inline void
server_stops(void)
{
    redis_server_kill(&server);
    CU_ASSERT_EQUAL(server.pid, 0);
}

#endif
