/* fill.c - fills a Redis with what all probes of an inventory would have streamed
 * while no collector ran: what the ingest benchmark reads.
 *
 * usage: fill SOCKET INVENTORY MINUTES SPOOL [UNTIL [PERCENT]]
 *        fill SOCKET INVENTORY live SECONDS [PERCENT [CUT_AFTER CUT_FOR]]
 *
 * 'live': as time goes by, each second a batch of each probe; what a delta-t's final
 * summary says is sent FINAL_AFTER_S after its end.  With CUT_AFTER (s) every packet is lost from
 * then on, for CUT_FOR seconds, but on links whose name begins with "still"; of those that
 * begin with "stay" also after that.
 *
 * Each probe that has sessions gets a stream pl:{PROBE}:t of one epoch, one batch a
 * second, as stream.h has it: EpochStart in sequence 0, dictionary and serving each
 * 60 batches, liveness, health, the final summary of each session (10 packets) and
 * the early state of a later delta-t.  1 % of all (session, minute) lose a packet.
 * The minutes end two minutes ago, or at UNTIL (s, a whole minute); one more batch
 * ends the last of them.  One-way delays lie within 4 us, or within PERCENT of the
 * least.  The first probe's batches go to a spool in the folder SPOOL too, which shows
 * what they take there; "-": to none.  Prints "name<TAB>value" lines. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "inventory.h"
#include "spool.h"
#include "summary.h"
#include "telemetry.h"

#define MINUTE_S 60
#define PACKETS 10
#define PENDING_MAX 16
/* A delta-t is final Tmax + 2 s after its end; early states are not. */
#define FINAL_AFTER_S 5

struct session {
    struct session_key key;
    int64_t id;
};

/* A probe that sends. */
struct source {
    const char *probe;
    struct telemetry_builder *builder;
    struct session *sessions;
    size_t session_count, session_room;
    uint64_t before; /* Sessions of those before it. */
    uint64_t sequence;
};

struct fill {
    redisContext *redis;
    struct inventory *inventory;
    struct spool *spool; /* NULL: not this probe. */
    struct summary summary;
    struct source *sources;
    size_t source_count;
    uint64_t random, sessions, entries, summaries, bytes;
    int64_t until, percent; /* 0: none was given. */
    int64_t cut_from, cut_until;
    unsigned pending;
};

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "fill: %s: %s\n", what, why);
    exit(3);
}

static uint64_t
draw(struct fill *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static void
drain(struct fill *f)
{
    for (; f->pending; f->pending--) {
        redisReply *r;
        if (redisGetReply(f->redis, (void **)&r) != REDIS_OK) {
            die("Redis", f->redis->errstr);
        }
        if (r->type == REDIS_REPLY_ERROR) {
            die("Redis", r->str);
        }
        freeReplyObject(r);
    }
}

static int
on_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
           const struct session_key *key, void *aux)
{
    struct source *s = aux;

    (void)link;
    (void)class_;
    (void)end;
    if (s->session_count == s->session_room) {
        s->session_room = s->session_room ? s->session_room * 2 : 16;
        s->sessions = reallocarray(s->sessions, s->session_room, sizeof s->sessions[0]);
        if (!s->sessions) {
            die(s->probe, "out of memory");
        }
    }
    s->sessions[s->session_count++] = (struct session){*key, session_id_of(key)};
    return 0;
}

/* What comes with each dictionary: sessions, and the links answered on. */
static void
add_dictionary(const struct fill *f, const struct source *s)
{
    Plumbline__Telemetry__Serving serving;
    size_t room = f->inventory->link_count + 1;
    char **objects = calloc(room, sizeof *objects);
    char(*names)[SERIES_NAME_MAX + 1] = calloc(room, sizeof *names);

    if (!objects || !names) {
        die(s->probe, "out of memory");
    }
    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = 4711;
    serving.objects = objects;
    for (size_t i = 0; i < s->session_count; i++) {
        telemetry_add_session(s->builder, &s->sessions[i].key);
    }
    for (size_t i = 0; i < f->inventory->link_count; i++) {
        const struct inv_link *l = &f->inventory->links[i];
        if (strcmp(l->ends[0].probe->key, s->probe) == 0 ||
            strcmp(l->ends[1].probe->key, s->probe) == 0) {
            objects[serving.n_objects] = names[serving.n_objects];
            snprintf(names[serving.n_objects++], sizeof names[0], "%s", l->key);
        }
    }
    telemetry_add_message(s->builder, TELEMETRY_SERVING, &serving.base);
    free(objects);
    free(names);
}

static void
add_life(struct telemetry_builder *t, int64_t second, int64_t generation)
{
    Plumbline__Telemetry__Liveness l;
    Plumbline__Telemetry__Health h;

    plumbline__telemetry__liveness__init(&l);
    l.second = (uint64_t)second;
    l.sending = l.reflecting = true;
    l.generation = generation;
    l.serving_id = 4711;
    telemetry_add_message(t, TELEMETRY_LIVENESS, &l.base);
    plumbline__telemetry__health__init(&h);
    h.spool_bytes = 1u << 20;
    h.clock_synchronised = true;
    h.clock_error_ns = 900;
    h.stamp_tx = h.stamp_rx = TS_KERNEL;
    telemetry_add_message(t, TELEMETRY_HEALTH, &h.base);
}

static bool
is_cut(const struct fill *f, const struct session *s, int64_t second)
{
    bool stays = f->cut_until > f->cut_from && strncmp(s->key.object, "stay", strlen("stay")) == 0;

    return second >= f->cut_from && (second < f->cut_until || stays) &&
           strncmp(s->key.object, "still", strlen("still")) != 0;
}

static void
add_session(struct fill *f, const struct source *from, size_t i, int64_t second)
{
    const struct session *s = &from->sessions[i];
    struct telemetry_builder *t = from->builder;
    struct summary *m = &f->summary;
    bool lossy = (from->before + i + (uint64_t)(second / MINUTE_S)) % 100 == 0;
    uint64_t lost = is_cut(f, s, second) ? PACKETS : lossy && second % MINUTE_S == 7;
    uint64_t overdue = is_cut(f, s, second + FINAL_AFTER_S) ? PACKETS : 0;
    int64_t base = 1000000 + (int64_t)(i % 97) * 250000;
    uint64_t spread = f->percent ? (uint64_t)(base * f->percent / 100) : 4000;

    summary_reset(m, instant_of_ns(second * NS_PER_S));
    m->scheduled = m->sent = PACKETS;
    m->lost_fwd = lost;
    m->received = m->stamped[TS_KERNEL] = PACKETS - lost;
    m->clock_error_ns = 900;
    for (uint64_t k = 0; k < m->received; k++) {
        int64_t out = (int64_t)(draw(f) % spread), back = (int64_t)(draw(f) % spread);
        summary_add_delay(m, &s->key, DIR_FWD, span_of_ns(base + out));
        summary_add_delay(m, &s->key, DIR_BWD, span_of_ns(base + back));
        summary_add_delay(m, &s->key, DIR_RT, span_of_ns(2 * base + out + back));
    }
    struct early e = {.start = instant_of_ns((second + FINAL_AFTER_S) * NS_PER_S),
                      .sent = PACKETS,
                      .received = PACKETS - overdue,
                      .overdue = overdue,
                      .rt_min_ns = 2 * base,
                      .rt_p50_ns = 2 * base + 4000,
                      .rt_max_ns = 2 * base + 8000,
                      .fwd_p50_ns = base + 2000,
                      .bwd_p50_ns = base + 2000,
                      .clock_error_ns = 900};
    if (telemetry_add_summary(t, &s->key, s->id, m) || telemetry_add_early(t, &s->key, s->id, &e)) {
        die(from->probe, "a batch is full");
    }
}

static void
send_batch(struct fill *f, struct source *s, int64_t epoch, int64_t second)
{
    struct telemetry_builder *t = s->builder;
    char key[96], id[48];
    size_t size;

    if (s->sequence == 0) {
        Plumbline__Telemetry__EpochStart e;
        char release[] = "0.1.0";
        plumbline__telemetry__epoch_start__init(&e);
        e.epoch = (uint64_t)epoch;
        e.release = release;
        telemetry_add_message(t, TELEMETRY_EPOCH_START, &e.base);
    }
    if (s->sequence % MINUTE_S == 0) {
        add_dictionary(f, s);
    }
    for (size_t i = 0; i < s->session_count; i++) {
        add_session(f, s, i, second);
    }
    add_life(t, second, f->inventory->generation);
    const uint8_t *bytes =
        telemetry_finish(t, instant_of_ns((second + 1 + FINAL_AFTER_S) * NS_PER_S),
                         instant_of_ns((second + 1) * NS_PER_S), &size);
    if (!bytes) {
        die(s->probe, "out of memory");
    }
    struct position p;
    if (f->spool && spool_append(f->spool, bytes, size, instant_of_ns(second * NS_PER_S),
                                 instant_of_ns((second + 1) * NS_PER_S), &p)) {
        die(s->probe, "spool");
    }
    snprintf(key, sizeof key, "pl:{%s}:t", s->probe);
    snprintf(id, sizeof id, "%" PRId64 "-%" PRIu64, epoch, s->sequence++);
    redisAppendCommand(f->redis, "XADD %s %s b %b", key, id, bytes, size);
    if (++f->pending == PENDING_MAX) {
        drain(f);
    }
    f->entries++;
    f->summaries += s->session_count;
    f->bytes += size;
}

static void
open_spool(struct fill *f, const struct source *s, const char *folder, uint64_t epoch)
{
    const struct spool_config config = {.folder = folder,
                                        .source = s->probe,
                                        .keep = span_of_ns(86400 * NS_PER_S),
                                        .keep_bytes = 1u << 30,
                                        .segment_bytes = 16u << 20,
                                        .memory_bytes = 16u << 20};

    if (spool_open(&f->spool, &config) || spool_begin_epoch(f->spool, epoch)) {
        die(folder, "no spool");
    }
}

static void
close_spool(struct fill *f)
{
    struct spool_health h;

    if (spool_sync(f->spool)) {
        die("spool", "not synced");
    }
    spool_health(f->spool, &h);
    printf("spool_bytes\t%" PRIu64 "\nspool_summaries\t%" PRIu64 "\n", h.bytes, f->summaries);
    spool_close(f->spool);
    f->spool = NULL;
}

/* Of 'minutes' that are over. */
static void
fill_past(struct fill *f, int64_t minutes, const char *folder)
{
    int64_t last = f->until ? f->until : (instant_now().ns / NS_PER_S / MINUTE_S - 2) * MINUTE_S;
    int64_t first = last - minutes * MINUTE_S;

    for (size_t i = 0; i < f->source_count; i++) {
        if (i == 0 && strcmp(folder, "-")) {
            open_spool(f, &f->sources[i], folder, (uint64_t)first * 1000);
        }
        for (int64_t second = first; second <= last; second++) {
            send_batch(f, &f->sources[i], first * 1000, second);
        }
        if (f->spool) {
            close_spool(f);
        }
    }
    printf("until\t%" PRId64 "\n", last);
}

static void
fill_live(struct fill *f, int64_t seconds, int64_t cut_after, int64_t cut_for)
{
    int64_t first = instant_now().ns / NS_PER_S + 1;

    f->cut_from = first + cut_after;
    f->cut_until = f->cut_from + cut_for;
    printf("cut\t%" PRId64 "\n", f->cut_from);
    fflush(stdout);
    for (int64_t at = first; at < first + seconds; at++) {
        int64_t wait = (at + 1) * NS_PER_S - instant_now().ns;
        if (wait > 0) {
            usleep((useconds_t)(wait / NS_PER_US));
        }
        for (size_t i = 0; i < f->source_count; i++) {
            send_batch(f, &f->sources[i], first * 1000, at - FINAL_AFTER_S);
        }
        drain(f);
    }
    printf("first\t%" PRId64 "\nuntil\t%" PRId64 "\n", first - FINAL_AFTER_S,
           first + seconds - FINAL_AFTER_S);
}

/* Those that have something to send. */
static void
find_sources(struct fill *f)
{
    f->sources = calloc(f->inventory->probe_count + 1, sizeof f->sources[0]);
    for (size_t i = 0; f->sources && i < f->inventory->probe_count; i++) {
        struct source *s = &f->sources[f->source_count];
        *s = (struct source){.probe = f->inventory->probes[i].key, .before = f->sessions};
        inventory_sessions(f->inventory, s->probe, on_session, s);
        if (s->session_count) {
            s->builder = telemetry_builder_new(s->probe);
            f->sessions += s->session_count;
            f->source_count++;
        }
    }
    if (f->source_count == 0 || !f->sources[f->source_count - 1].builder) {
        die("inventory", "no probe that sends, or out of memory");
    }
}

int
main(int argc, char **argv)
{
    static struct fill f = {.random = 88172645463325252u};
    size_t errors, warnings;

    if (argc < 5 || argc > 8 || (argc == 7 && strcmp(argv[3], "live") == 0) ||
        (argc == 8 && strcmp(argv[3], "live"))) {
        fputs("usage: fill SOCKET INVENTORY MINUTES SPOOL [UNTIL [PERCENT]] | "
              "fill SOCKET INVENTORY live SECONDS [PERCENT [CUT_AFTER CUT_FOR]]\n",
              stderr);
        return 2;
    }
    f.redis = redisConnectUnix(argv[1]);
    if (!f.redis || f.redis->err) {
        die(argv[1], f.redis ? f.redis->errstr : "out of memory");
    }
    if (inventory_load(argv[2], stderr, 10, &errors, &warnings, &f.inventory) ||
        summary_init(&f.summary, instant_of_ns(0), false)) {
        die(argv[2], "not loaded");
    }
    find_sources(&f);
    if (strcmp(argv[3], "live") == 0) {
        f.percent = argc > 5 ? strtoll(argv[5], NULL, 10) : 0;
        fill_live(&f, strtoll(argv[4], NULL, 10), argc > 7 ? strtoll(argv[6], NULL, 10) : 0,
                  argc > 7 ? strtoll(argv[7], NULL, 10) : 0);
    } else {
        f.until = argc > 5 ? strtoll(argv[5], NULL, 10) : 0;
        f.percent = argc > 6 ? strtoll(argv[6], NULL, 10) : 0;
        fill_past(&f, strtoll(argv[3], NULL, 10), argv[4]);
    }
    drain(&f);
    printf("sources\t%zu\nsessions\t%" PRIu64 "\nentries\t%" PRIu64 "\n", f.source_count,
           f.sessions, f.entries);
    printf("summaries\t%" PRIu64 "\nbytes\t%" PRIu64 "\n", f.summaries, f.bytes);
    redisFree(f.redis);
    summary_fini(&f.summary);
    for (size_t i = 0; i < f.source_count; i++) {
        telemetry_builder_free(f.sources[i].builder);
        free(f.sources[i].sessions);
    }
    free(f.sources);
    inventory_free(f.inventory);
    return 0;
}
