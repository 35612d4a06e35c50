/* watch_world.h - a probe's stream and who watches it, by a clock that the test moves: each second
 * of all sessions of probe p1 is a batch as the probe makes it, and what the watch has to say is
 * written down as the worker would. */
#ifndef PLUMBLINE_TEST_WATCH_WORLD_H
#define PLUMBLINE_TEST_WATCH_WORLD_H

#include "watch.h"

#include "fault.h"
#include "harness.h"
#include "inventory.h"

#define WATCH_T0 INT64_C(1790000100) /* A multiple of 300 s. */
#define WATCH_KEYS 128
#define WATCH_SAID 64

/* What one second of a session was; all 0: ten packets came back. */
struct fate {
    bool absent;
    uint64_t lost, errors, unknown,
        overdue; /* lost: the session's fwd.  overdue: of an early state. */
    uint32_t flags;
    int64_t rt_ns;
};

struct said {
    char rule[16], object[16], class_name[16], text[64];
    enum watch_scope scope;
    struct alarm_episode episode;
};

struct watch_world {
    struct inventory *inv;
    const struct inv_alarm **rules;
    size_t rule_count;
    struct assemble *assemble;
    struct watch *watch;
    struct telemetry_builder *builder;
    struct telemetry_arena *arena;
    struct session_key keys[WATCH_KEYS];
    size_t key_count, told_keys;
    struct position next;
    struct fate fates[WATCH_KEYS];
    struct counter assembled[ASSEMBLE_COUNTS], counted[WATCH_COUNTS];
    struct instant now;
    struct said said[WATCH_SAID];
    size_t said_count;
    bool away;       /* Nobody writes what waits. */
    bool distrusted; /* The link is not this probe's. */
};

static inline struct instant
watch_at(int64_t second)
{
    return instant_of_ns((WATCH_T0 + second) * NS_PER_S);
}

static inline bool
watch_world_trust(const char *source, const struct session_key *key, void *aux)
{
    const struct watch_world *w = aux;

    return !w->distrusted && strcmp(source, key->observer) == 0;
}

static inline int
watch_world_key(const struct inv_link *link, const struct inv_class *class_, unsigned end,
                const struct session_key *key, void *aux)
{
    struct watch_world *w = aux;

    (void)link;
    (void)class_;
    (void)end;
    w->keys[w->key_count++] = *key;
    return w->key_count == WATCH_KEYS;
}

static inline struct inventory *
watch_world_read(const char *links, const char *more)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    char *text = NULL;

    if (asprintf(&text,
                 "inventory: 1\nsites: {a: {}, b: {}}\nprobes:\n"
                 "  p1: {site: a, address: 192.0.2.1}\n  p2: {site: b, address: 192.0.2.2}\n"
                 "  p3: {site: b, address: 192.0.2.3}\n"
                 "classes: {c: {period: 100ms, dt: 1s, tmax: 3s}, d: {period: 100ms, dt: 1s, "
                 "tmax: 3s}}\n"
                 "links:\n%s%s",
                 links, more) < 0) {
        abort();
    }
    if (inventory_read(faults, "world", text, strlen(text), &inv)) {
        faults_print(faults, stderr, 10);
        abort();
    }
    faults_free(faults);
    free(text);
    return inv;
}

/* A link of p1 to p2. */
#define WATCH_LINK_LINE(key, more)                                                                 \
    "  " key ": {state: active, classes: [c], " more                                               \
    "ends: [{probe: p1, address: 10.1.1.1}, {probe: p2, address: 10.1.1.2}]}\n"

/* Claims it: a watch that knows of nothing yet. */
static inline void
watch_world_claim(struct watch_world *w, struct instant told_until)
{
    const struct watch_config config = {.source = "p1",
                                        .inventory = w->inv,
                                        .rules = w->rules,
                                        .rule_count = w->rule_count,
                                        .hold = {300 * NS_PER_S},
                                        .counters = w->counted};

    watch_free(w->watch);
    w->watch = watch_new(&config, w->now, told_until);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->watch);
}

/* 'links' as lines of the inventory; 'more': further sections. */
static inline struct watch_world *
watch_world_new(const char *links, const char *more)
{
    struct watch_world *w = calloc(1, sizeof *w);

    w->inv = watch_world_read(links, more);
    w->rules = inventory_alarms_in_force(w->inv, &w->rule_count);
    w->now = watch_at(0);
    w->next = (struct position){1000, 0};
    w->builder = telemetry_builder_new("p1");
    w->arena = telemetry_arena_new();
    const struct assemble_config config = {.source = "p1",
                                           .interval = w->inv->interval,
                                           .expiry = {8 * 86400 * NS_PER_S},
                                           .trust = watch_world_trust,
                                           .aux = w,
                                           .counters = w->assembled};
    w->assemble = assemble_new(&config, (struct position){0, 0}, instant_of_ns(0));
    inventory_sessions(w->inv, "p1", watch_world_key, w);
    watch_world_claim(w, instant_of_ns(0));
    return w;
}

static inline void
watch_world_free(struct watch_world *w)
{
    watch_free(w->watch);
    assemble_free(w->assemble);
    telemetry_builder_free(w->builder);
    telemetry_arena_free(w->arena);
    free(w->rules);
    inventory_free(w->inv);
    free(w);
}

/* --- What the watch says ------------------------------------------------------ */

static inline void
watch_world_write(struct watch_world *w)
{
    size_t count = watch_waiting(w->watch);

    for (size_t i = 0; i < count && !w->away; i++) {
        struct watch_news n;
        CU_ASSERT_FATAL(w->said_count < WATCH_SAID);
        struct said *s = &w->said[w->said_count++];
        watch_news(w->watch, i, &n);
        *s = (struct said){.scope = n.scope, .episode = *n.episode};
        snprintf(s->rule, sizeof s->rule, "%s", n.rule_key);
        snprintf(s->object, sizeof s->object, "%s", n.object);
        snprintf(s->class_name, sizeof s->class_name, "%s", n.class_name);
        snprintf(s->text, sizeof s->text, "%s", n.text ? n.text : "");
        CU_ASSERT_STRING_EQUAL(n.observer, "p1");
    }
    if (!w->away) {
        watch_written(w->watch, count);
    }
}

/* The last that was said of a rule; of nothing an empty one. */
static inline const struct said *
watch_world_last(const struct watch_world *w, const char *rule)
{
    static const struct said nothing;

    for (size_t i = w->said_count; i-- > 0;) {
        if (strcmp(w->said[i].rule, rule) == 0) {
            return &w->said[i];
        }
    }
    return &nothing;
}

/* Seconds since T0; -1: not yet. */
static inline int64_t
watch_seconds(struct instant i)
{
    return i.ns ? i.ns / NS_PER_S - WATCH_T0 : -1;
}

/* --- What the probe says ------------------------------------------------------- */

static inline void
watch_world_summary(struct watch_world *w, size_t n, struct instant start)
{
    const struct session_key *key = &w->keys[n];
    const struct fate *f = &w->fates[n];
    struct summary m;

    CU_ASSERT_EQUAL_FATAL(summary_init(&m, start, false), 0);
    m.scheduled = 10;
    m.sent = 10 - f->errors;
    m.send_errors = f->errors;
    m.lost_fwd = f->lost;
    m.unknown = f->unknown;
    m.received = m.stamped[TS_KERNEL] = m.sent - f->lost - f->unknown;
    m.flags = f->flags;
    for (uint64_t i = 0; i < m.received && f->rt_ns; i++) {
        summary_add_delay(&m, key, DIR_RT, span_of_ns(f->rt_ns));
    }
    CU_ASSERT_EQUAL(telemetry_add_summary(w->builder, key, session_id_of(key), &m), 0);
    summary_fini(&m);
}

static inline void
watch_world_early(struct watch_world *w, size_t n, struct instant start)
{
    const struct session_key *key = &w->keys[n];
    const struct early e = {.start = start,
                            .sent = 10,
                            .received = 5 - w->fates[n].overdue,
                            .overdue = w->fates[n].overdue};

    CU_ASSERT_EQUAL(telemetry_add_early(w->builder, key, session_id_of(key), &e), 0);
}

static inline void
watch_world_begin_batch(struct watch_world *w)
{
    Plumbline__Telemetry__EpochStart e;

    if (w->next.sequence == 0) {
        plumbline__telemetry__epoch_start__init(&e);
        e.epoch = w->next.epoch;
        telemetry_add_message(w->builder, TELEMETRY_EPOCH_START, &e.base);
    }
    while (w->told_keys < w->key_count) {
        telemetry_add_session(w->builder, &w->keys[w->told_keys++]);
    }
}

/* Reads the batch as a worker does, and writes what follows. */
static inline void
watch_world_send(struct watch_world *w, struct instant made, struct instant until)
{
    const pb_batch *batch;
    size_t size;
    uint32_t seconds;
    const uint8_t *bytes = telemetry_finish(w->builder, made, until, &size);

    w->now = made.ns > w->now.ns ? made : w->now;
    CU_ASSERT_EQUAL_FATAL(telemetry_parse(w->arena, "p1", bytes, size, &batch), TELEMETRY_OK);
    CU_ASSERT_EQUAL(assemble_take(w->assemble, w->next, batch, bytes, size, w->now), 0);
    CU_ASSERT_EQUAL(watch_heard(w->watch, w->next, w->now), 0);
    CU_ASSERT_EQUAL(watch_take(w->watch, w->assemble, batch, w->now), 0);
    telemetry_arena_reset(w->arena);
    w->next.sequence++;
    while (assemble_over(w->assemble, &(struct instant){0}, &seconds)) {
        assemble_done(w->assemble);
    }
    watch_world_write(w);
}

/* A second of all sessions, by their fates; and what 'early' says of the one that just ended. */
static inline void
watch_world_tell(struct watch_world *w, int64_t second, bool early)
{
    const struct instant start = watch_at(second);

    watch_world_begin_batch(w);
    for (size_t i = 0; i < w->key_count; i++) {
        if (w->fates[i].absent || start.ns % w->keys[i].dt.ns) {
            continue;
        }
        if (early) {
            watch_world_early(w, i, start);
        } else {
            watch_world_summary(w, i, start);
        }
    }
    watch_world_send(w, watch_at(second + 1), early ? start : watch_at(second + 1));
}

/* [from, until), final at once; 'f' is every session's fate. */
static inline void
watch_world_run(struct watch_world *w, int64_t from, int64_t until, struct fate f)
{
    for (size_t i = 0; i < w->key_count; i++) {
        w->fates[i] = f;
    }
    for (int64_t t = from; t < until; t++) {
        watch_world_tell(w, t, false);
    }
}

#endif
