/* bench_spool.c - what spool and stream cost.
 *
 * bench_spool FOLDER [REDIS-ADDRESS]: appends, syncs, reads and reopens a spool of
 * a day (86,400 batches of 2 KiB) in FOLDER, then sends it to the Redis at
 * REDIS-ADDRESS.  Prints name, figure and unit, a line each.  FOLDER/spool and the
 * keys of the source "bench" should not be there before. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "stream.h"

#define BATCH 2048
#define BATCHES 86400u
#define SYNCS 300u

static uint8_t payload[BATCH];

static double
seconds_since(struct span start)
{
    return (double)(mono_now().ns - start.ns) / 1e9;
}

static void
print(const char *name, double figure, const char *unit)
{
    printf("%s\t%.1f\t%s\n", name, figure, unit);
    fflush(stdout);
}

static void
must(int err, const char *what)
{
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-err));
        exit(EXIT_FAILURE);
    }
}

static void
append(struct spool *s, unsigned count, unsigned sync_every)
{
    struct position p;

    for (unsigned i = 0; i < count; i++) {
        struct instant from = {(int64_t)(i + 1) * NS_PER_S};
        must(spool_append(s, payload, sizeof payload, from, from, &p), "append");
        if (i % sync_every == sync_every - 1) {
            must(spool_sync(s), "sync");
        }
    }
}

static struct spool *
open_spool(const char *folder)
{
    static char path[512];
    struct spool *s;

    snprintf(path, sizeof path, "%s/spool", folder);
    struct spool_config config = {
        .folder = path,
        .source = "bench",
        .keep = {24 * 3600 * NS_PER_S},
        .keep_bytes = 1u << 30,
        .segment_bytes = 8u << 20,
        .memory_bytes = 16u << 20,
    };
    must(spool_open(&s, &config), path);
    return s;
}

static size_t
heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void
spool_figures(const char *folder)
{
    struct spool *s = open_spool(folder);
    struct position at = {0, 0};
    struct spool_record r;

    must(spool_begin_epoch(s, 1), "epoch");
    struct span start = mono_now();
    append(s, SYNCS, 1);
    print("spool.append_sync_each_per_s", SYNCS / seconds_since(start), "1/s");
    start = mono_now();
    append(s, BATCHES - SYNCS, 1000);
    print("spool.append_sync_1000_per_s", (BATCHES - SYNCS) / seconds_since(start), "1/s");
    start = mono_now();
    unsigned count = 0;
    for (; spool_next(s, at, &r) == 1; at = r.position) {
        count++;
    }
    print("spool.read_per_s", count / seconds_since(start), "1/s");
    spool_close(s);
    size_t before = heap_bytes();
    start = mono_now();
    s = open_spool(folder);
    print("spool.open_day_ms", seconds_since(start) * 1000, "ms");
    print("spool.open_day_heap", (double)(heap_bytes() - before) / 1024, "KiB");
    spool_close(s);
}

static void
stream_figure(const char *folder, const char *address)
{
    struct event_base *base = event_base_new();
    struct spool *spool = open_spool(folder);
    struct stream_config config = {
        .source = "bench",
        .redis = {.address = address, .timeout = {5 * NS_PER_S}},
        .wait_first = {5 * NS_PER_S},
    };
    struct stream *stream = stream_new(base, spool, &config, NULL, NULL);
    struct stream_health h;
    struct span start = mono_now(), limit = {start.ns + 60 * NS_PER_S};

    do {
        event_base_loop(base, EVLOOP_ONCE);
        stream_health(stream, &h);
    } while (!h.caught_up && mono_now().ns < limit.ns);
    if (!h.caught_up) {
        fprintf(stderr, "stream: not caught up in 60 s: %s\n", h.last_error);
        exit(EXIT_FAILURE);
    }
    print("stream.batches_per_s", BATCHES / seconds_since(start), "1/s");
    stream_free(stream);
    spool_close(spool);
    event_base_free(base);
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_spool FOLDER [REDIS-ADDRESS]\n");
        return 2;
    }
    log_set_level(LOG_LEVEL_WARNING);
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 7);
    }
    spool_figures(argv[1]);
    if (argc > 2) {
        stream_figure(argv[1], argv[2]);
    }
    return 0;
}
