/* example.c - plays sources for an inventory to a collector, as its probes would, and says what is
 * to be expected of it.
 *
 * usage: example INVENTORY SOCKET|- kept|broken|open SEED MONTH NEXT_MONTH
 *
 * MONTH is when (seconds of UTC) one month of the tenant ends and another begins; NEXT_MONTH is
 * when that ends.  The truth goes to standard output (example_truth.h).  With '-' nothing is
 * played, and lines 'window FROM SECONDS' are printed: what is to be excluded for the service.
 *
 * kept: every objective holds, each by as little as can be.  broken: one packet, sample or delta-t
 * more, and none of them does (loss of gold is more: there both links lose just C for a while).
 * open: what can be undecidable is. */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "example_truth.h"
#include "summary.h"
#include "telemetry.h"

#define STEP 10 /* Seconds of a batch. */
#define PENDING_MAX 64

static void
die(const char *what)
{
    fprintf(stderr, "example: %s\n", what);
    exit(2);
}

/* --- What happens ---------------------------------------------------------------- */

enum scenario { KEPT, BROKEN, OPEN };

/* The two links under the service. */
static const char *first, *second;

static void
find_members(const struct inventory *inv)
{
    const struct inv_group *g =
        inv->service_count && inv->services[0].over_count ? inv->services[0].over[0].group : NULL;

    if (!g || g->member_count < 2) {
        die("the first service is over no group of two links");
    }
    first = g->members[0].link->key;
    second = g->members[1].link->key;
}

/* Both links at once. */
static void
lose_both(struct world *w, const char *class_name, enum world_way way, unsigned packets,
          int64_t from, int64_t seconds)
{
    world_lose(w, first, class_name, way, packets, from, seconds);
    world_lose(w, second, class_name, way, packets, from, seconds);
}

/* Other links: what must not touch the service. */
static void
befall_others(struct world *w, int64_t t)
{
    world_lose(w, "par1-ams1", "gold", WORLD_FWD, 10, t + 1800, 9);  /* Not yet an outage. */
    world_lose(w, "par1-ams1", "gold", WORLD_FWD, 5, t + 1860, 12);  /* C, and not over it. */
    world_lose(w, "par1-ams1", "gold", WORLD_FWD, 6, t + 1920, 10);  /* Over it. */
    world_lose(w, "par1-ams1", "gold", WORLD_FWD, 10, t + 2000, 10); /* 9 good are no recovery. */
    world_lose(w, "par1-ams1", "gold", WORLD_FWD, 10, t + 2019, 1);
    world_lose(w, "lon1-ams1", NULL, WORLD_BWD, 10, t + 1800, 24);
    world_lose(w, "acme-hq.main", NULL, WORLD_UNDIRECTED, 10, t + 2100, 120);
    world_lose(w, "acme-hq.main", NULL, WORLD_UNDIRECTED, 10, t + 2400, 90);
}

/* A day before the month's end. */
static void
befall_early(struct world *w, enum scenario scenario)
{
    int64_t t = w->begin, excluded = scenario == KEPT ? 15 : 14;

    /* Its first part does not count, and that goes over the border of an interval. */
    lose_both(w, "gold", WORLD_FWD, 10, t + 170, 20);
    lose_both(w, "be", WORLD_FWD, 10, t + 170, 40);
    world_exclude(w, t + 170, excluded);
    world_lose(w, first, NULL, WORLD_FWD, 10, t + 300, 300);
    world_silence(w, "par1-p1", true, t + 700, 50);
    world_silence(w, "par1-p1", false, t + 900, 120);
    world_silence(w, "lon1-p1", true, t + 1200, 70);
    world_silence(w, "ams1-p1", true, t + 1400, 50);
    world_mark(w, first, "gold", 2, DT_BELOW_FLOOR, t + 1500, 5);
    world_mark(w, first, "gold", 1, DT_NEGATIVE, t + 1510, 5);
    world_copy(w, second, "gold", 2, t + 1600, 10);
    world_copy(w, first, "be", 1, t + 300, 30);
    befall_others(w, t);
    if (scenario == BROKEN) {
        lose_both(w, "gold", WORLD_BWD, 5, t + 2300, 12);
    }
    world_gap(w, t + 2700, w->month - 2700);
    /* So that W is 100,000 delta-t of a second. */
    world_exclude(w, t + 3600, 800 - excluded);
}

static void
befall(struct world *w, enum scenario scenario)
{
    if (scenario == OPEN) {
        world_silence(w, "par1-p1", true, w->begin + 700, 50);
        world_idle(w, second, w->begin + 25, w->month - w->begin - 25);
        return;
    }
    befall_early(w, scenario);
    lose_both(w, "gold", WORLD_FWD, 10, w->month - 5, 10);
    lose_both(w, "be", WORLD_FWD, 10, w->month - 10, 20);
    world_lose(w, first, NULL, WORLD_BWD, 10, w->month + 400, 30);
}

/* --- How much of it, so that a verdict hangs on the last ---------------------------- */

/* How many packets of 'n' may be lost: for 'met' the most, for 'missed' the least, for neither one
 * in between. */
static uint64_t
losses(enum scenario scenario, uint64_t n, double limit)
{
    uint64_t met = 0, missed;

    while (truth_at_most(met, n, limit) < 0.025) {
        met++;
    }
    missed = met;
    while ((double)missed <= limit * (double)n || truth_at_least(missed, n, limit) >= 0.025) {
        missed++;
    }
    return scenario == BROKEN ? missed : scenario == KEPT ? (met ? met - 1 : 0) : met;
}

/* Whether all is well with delta-t 'k' of the session, so that something can be put into it. */
static bool
is_plain(const struct truth *t, const struct truth_way *way, const struct world_session *s,
         size_t k)
{
    const struct world_cell *c = &s->cells[k];
    bool well = truth_counts(t, way, k) && c->ran && !c->fwd && !c->bwd && !c->undirected &&
                !c->flags && !c->copies && !c->over && !c->at && !c->slow;

    for (int d = 0; d < DIRECTIONS; d++) {
        const struct truth_dt *dt = &way->dts[d][k];
        well = well && dt->known && dt->up && !dt->witness;
    }
    return well;
}

static struct world_session *
session_of(struct world *w, const struct truth_way *way, unsigned flow)
{
    for (size_t i = 0; i < w->session_count; i++) {
        struct world_session *s = &w->sessions[i];
        if (s->link == way->link && s->class_ == way->class_ && s->end == 0 &&
            s->key.flow == flow) {
            return s;
        }
    }
    die("no such session");
    return NULL;
}

enum put { PUT_LOSS_FWD, PUT_LOSS_BWD, PUT_OVER, PUT_AT, PUT_SLOW };

/* Puts 'count' of it, one into a delta-t, anywhere in the month. */
static void
put(struct world *w, const char *link, const char *class_name, enum put what, uint64_t count)
{
    struct truth t;
    truth_init(&t, w);
    const struct truth_way *way = truth_way(&t, link, class_name);
    uint64_t tries = 0;

    while (count) {
        size_t k = (size_t)(world_draw(w) % way->count);
        struct world_session *s = session_of(w, way, (unsigned)(world_draw(w) % way->link->flows));
        if (++tries > UINT64_C(100000000)) {
            die("no room for what shall happen");
        }
        if (!is_plain(&t, way, s, k)) {
            continue;
        }
        struct world_cell *c = &s->cells[k];
        *(what == PUT_LOSS_FWD   ? &c->fwd
          : what == PUT_LOSS_BWD ? &c->bwd
          : what == PUT_OVER     ? &c->over
          : what == PUT_AT       ? &c->at
                                 : &c->slow) = 1;
        count--;
    }
    truth_fini(&t);
}

static void
qualified(const struct world *w, const char *link, const char *class_name, enum direction d,
          uint64_t *sent, uint64_t *samples)
{
    struct truth t;

    truth_init(&t, w);
    truth_qualified(&t, truth_way(&t, link, class_name), d, sent, samples);
    truth_fini(&t);
}

static void
put_losses(struct world *w, enum scenario scenario, const char *link, const char *class_name,
           enum put way, double limit)
{
    uint64_t sent, samples;

    qualified(w, link, class_name, way == PUT_LOSS_FWD ? DIR_FWD : DIR_BWD, &sent, &samples);
    put(w, link, class_name, way, losses(scenario, sent, limit));
}

static void
fine_tune(struct world *w, enum scenario scenario)
{
    uint64_t sent, n, more = scenario == KEPT ? 0 : 1;

    put_losses(w, scenario, first, "gold", PUT_LOSS_FWD, 0.0001);
    put_losses(w, scenario, first, "be", PUT_LOSS_BWD, 0.001);
    if (scenario != OPEN) {
        put_losses(w, KEPT, second, "gold", PUT_LOSS_BWD, 0.0001);
        put_losses(w, KEPT, second, "be", PUT_LOSS_FWD, 0.001);
        qualified(w, second, "gold", DIR_RT, &sent, &n);
        put(w, second, "gold", PUT_OVER, n - (n * 99 + 99) / 100 + more);
        put(w, second, "gold", PUT_AT, 300);
    } else {
        w->slow_ns = 2001000; /* Over the limit, in its bucket. */
    }
    qualified(w, first, "gold", DIR_FWD, &sent, &n);
    put(w, first, "gold", PUT_SLOW, n - (n * 999 + 999) / 1000 + more);
}

/* --- Playing it ------------------------------------------------------------------- */

struct play {
    const struct world *world;
    redisContext *redis;
    const char *source;
    struct telemetry_builder *builder;
    struct summary summary;
    uint64_t epoch, sequence, previous_epoch, previous_sequence;
    unsigned pending;
    uint64_t entries, summaries;
};

static void
drain(struct play *p)
{
    for (; p->pending; p->pending--) {
        redisReply *r;
        if (redisGetReply(p->redis, (void **)&r) != REDIS_OK || r->type == REDIS_REPLY_ERROR) {
            die("Redis does not take it");
        }
        freeReplyObject(r);
    }
}

static void
finish(struct play *p, int64_t until)
{
    char key[96], id[48];
    size_t size;
    const uint8_t *bytes = telemetry_finish(p->builder, instant_of_ns((until + 5) * NS_PER_S),
                                            instant_of_ns(until * NS_PER_S), &size);

    if (!bytes) {
        die("out of memory");
    }
    snprintf(key, sizeof key, "pl:{%s}:t", p->source);
    snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, p->epoch, p->sequence++);
    redisAppendCommand(p->redis, "XADD %s %s b %b", key, id, bytes, size);
    p->entries++;
    if (++p->pending == PENDING_MAX) {
        drain(p);
    }
}

static void
add_epoch(struct play *p)
{
    Plumbline__Telemetry__EpochStart start;
    char release[] = "0.1.0";

    plumbline__telemetry__epoch_start__init(&start);
    start.epoch = p->epoch;
    start.previous_epoch = p->previous_epoch;
    start.previous_last_sequence = p->previous_sequence;
    start.release = release;
    telemetry_add_message(p->builder, TELEMETRY_EPOCH_START, &start.base);
}

/* Every session that it sends, and every link that it answers on. */
static void
add_dictionary(struct play *p)
{
    const struct inventory *inv = p->world->inventory;
    Plumbline__Telemetry__Serving serving;
    char *objects[WORLD_SESSIONS_MAX];

    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = 4711;
    serving.objects = objects;
    for (size_t i = 0; i < inv->link_count && serving.n_objects < WORLD_SESSIONS_MAX; i++) {
        const struct inv_link *l = &inv->links[i];
        for (int end = 0; end < 2; end++) {
            if (l->ends[end].probe && strcmp(l->ends[end].probe->key, p->source) == 0) {
                objects[serving.n_objects++] = strdup(l->key);
            }
        }
    }
    telemetry_add_message(p->builder, TELEMETRY_SERVING, &serving.base);
    for (size_t i = 0; i < serving.n_objects; i++) {
        free(objects[i]);
    }
    for (size_t i = 0; i < p->world->session_count; i++) {
        const struct world_session *s = &p->world->sessions[i];
        if (strcmp(s->key.observer, p->source) == 0) {
            telemetry_add_session(p->builder, &s->key);
        }
    }
}

static void
add_delays(struct play *p, const struct world_session *s, size_t k)
{
    unsigned received = world_received(s, &s->cells[k]);

    for (unsigned i = 0; i < received; i++) {
        int64_t fwd, bwd;
        world_delay(p->world, s, k, i, &fwd, &bwd);
        if (!s->key.rt_only) {
            summary_add_delay(&p->summary, &s->key, session_direction(&s->key, DIR_FWD),
                              span_of_ns(fwd));
            summary_add_delay(&p->summary, &s->key, session_direction(&s->key, DIR_BWD),
                              span_of_ns(bwd));
        }
        summary_add_delay(&p->summary, &s->key, DIR_RT, span_of_ns(fwd + bwd));
    }
}

static void
add_summary(struct play *p, const struct world_session *s, size_t k)
{
    const struct world_cell *c = &s->cells[k];
    struct summary *m = &p->summary;

    summary_reset(m, instant_of_ns((p->world->begin + (int64_t)k * s->dt) * NS_PER_S));
    m->flags = c->flags & ~(uint32_t)DT_NEGATIVE; /* That one is seen. */
    m->scheduled = m->sent = s->packets;
    m->received = world_received(s, c);
    m->lost_fwd = s->end ? c->bwd : c->fwd;
    m->lost_bwd = s->end ? c->fwd : c->bwd;
    m->lost_undirected = c->undirected;
    m->duplicate_fwd = m->reordered_bwd = c->copies;
    m->stamped[TS_KERNEL] = m->received;
    m->clock_error_ns = 1500;
    add_delays(p, s, k);
    if (telemetry_add_summary(p->builder, &s->key, s->id, m)) {
        die("a summary was refused");
    }
    p->summaries++;
}

static void
add_summaries(struct play *p, int64_t at)
{
    for (size_t i = 0; i < p->world->session_count; i++) {
        const struct world_session *s = &p->world->sessions[i];
        if (strcmp(s->key.observer, p->source) != 0) {
            continue;
        }
        size_t k = (size_t)((at - p->world->begin) / s->dt);
        for (int64_t n = STEP / s->dt; n > 0; n--, k++) {
            if (s->cells[k].ran) {
                add_summary(p, s, k);
            }
        }
    }
}

static void
add_life(struct play *p, int64_t at)
{
    Plumbline__Telemetry__Liveness l;

    plumbline__telemetry__liveness__init(&l);
    l.second = (uint64_t)at;
    l.seconds = STEP;
    l.sending = l.reflecting = true;
    l.serving_id = 4711;
    telemetry_add_message(p->builder, TELEMETRY_LIVENESS, &l.base);
}

static void
add_tombstone(struct play *p, int64_t at)
{
    Plumbline__Telemetry__Tombstone t;

    plumbline__telemetry__tombstone__init(&t);
    t.from_ns = at * NS_PER_S;
    t.until_ns = (at + STEP) * NS_PER_S;
    t.reason = PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__DAMAGED;
    telemetry_add_message(p->builder, TELEMETRY_TOMBSTONE, &t.base);
}

/* Whether all sources are silent here, and it is no fault. */
static bool
is_gap(const struct world *w, int64_t at)
{
    for (size_t i = 0; i < w->inventory->probe_count; i++) {
        if (!world_is_silent(w, w->inventory->probes[i].key, at, at + STEP, false)) {
            return false;
        }
    }
    return true;
}

static void
play_step(struct play *p, int64_t at)
{
    if (world_is_silent(p->world, p->source, at, at + STEP, true)) {
        if (p->sequence) { /* It died, and will begin anew. */
            p->previous_epoch = p->epoch++;
            p->previous_sequence = p->sequence - 1;
            p->sequence = 0;
        }
        return;
    }
    if (is_gap(p->world, at)) {
        return;
    }
    if (world_is_silent(p->world, p->source, at, at + STEP, false)) {
        add_tombstone(p, at);
        finish(p, at);
        return;
    }
    if (p->sequence == 0) {
        add_epoch(p);
    }
    if (p->sequence == 0 || at % 60 == 0) {
        add_dictionary(p);
    }
    add_summaries(p, at);
    add_life(p, at);
    finish(p, at + STEP);
}

static void
play(const struct world *w, const char *socket)
{
    struct play p = {.world = w, .redis = redisConnectUnix(socket)};

    if (!p.redis || p.redis->err) {
        die("no Redis there");
    }
    if (summary_init(&p.summary, instant_of_ns(0), false)) {
        die("out of memory");
    }
    for (size_t i = 0; i < w->inventory->probe_count; i++) {
        p.source = w->inventory->probes[i].key;
        p.builder = telemetry_builder_new(p.source);
        if (!p.builder) {
            die("out of memory");
        }
        p.epoch = 1000;
        p.sequence = p.previous_epoch = p.previous_sequence = 0;
        for (int64_t at = w->begin; at < w->end; at += STEP) {
            play_step(&p, at);
        }
        telemetry_builder_free(p.builder);
    }
    drain(&p);
    fprintf(stderr, "%" PRIu64 " entries, %" PRIu64 " summaries\n", p.entries, p.summaries);
    summary_fini(&p.summary);
    redisFree(p.redis);
}

int
main(int argc, char **argv)
{
    static struct world w;
    struct inventory *inv;
    struct truth t;
    size_t errors, warnings;

    if (argc != 7 || inventory_load(argv[1], stderr, 10, &errors, &warnings, &inv)) {
        die("usage: example INVENTORY SOCKET|- kept|broken|open SEED MONTH NEXT_MONTH");
    }
    enum scenario scenario = strcmp(argv[3], "kept") == 0     ? KEPT
                             : strcmp(argv[3], "broken") == 0 ? BROKEN
                                                              : OPEN;
    uint64_t seed = strtoull(argv[4], NULL, 10);
    int64_t month = strtoll(argv[5], NULL, 10), next = strtoll(argv[6], NULL, 10);
    int64_t before = scenario == OPEN ? 2700 : 112 * 900;
    fprintf(stderr, "%s, seed %" PRIu64 "\n", argv[3], seed);
    world_init(&w, inv, month - before, month, next, month + 1200, seed);
    find_members(inv);
    befall(&w, scenario);
    if (strcmp(argv[2], "-") == 0) {
        for (size_t i = 0; i < w.window_count; i++) {
            printf("window\t%" PRId64 "\t%" PRId64 "\n", w.windows[i].from,
                   w.windows[i].until - w.windows[i].from);
        }
    } else {
        fine_tune(&w, scenario);
        play(&w, argv[2]);
        truth_init(&t, &w);
        truth_print(&t, stdout);
        truth_fini(&t);
    }
    world_fini(&w);
    inventory_free(inv);
    return 0;
}
