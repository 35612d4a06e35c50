/* test_agent.c - events that come while a batch is made.
 *
 * The agent stands in a world of its own: time passes only where the test lets it, and
 * meanwhile packets leave and come back, as from the timing thread.  What takes the agent
 * long is its log of samples: each line of it takes LINE_NS. */
#include "harness.h"

#include <event2/event.h>

#include "agent.h"
#include "ring.h"

#define SESSIONS 400u
#define PERIOD_NS (100 * NS_PER_MS)
#define PACKET_NS (PERIOD_NS / SESSIONS) /* From one packet to the next, of all sessions. */
#define BACK_NS (500 * NS_PER_MS)        /* A reply comes so much later. */
#define CAPACITY 1024u                   /* Of the ring: 0.13 s of 8,000 events a second. */
#define LINE_NS (100 * NS_PER_US)        /* 4,000 packets a second take 0.4 s. */
#define BEGIN_S INT64_C(1000000000)      /* UTC at the beginning. */
#define STEP_BACK_NS (-3600 * NS_PER_S)

static struct {
    int64_t mono, offset; /* Realtime - monotonic. */
    struct ring *ring;
    int64_t *t1; /* Of packet i, realtime. */
    uint64_t sent, returned, most;
    int64_t first; /* Of the first packet, monotonic. */
    uint64_t lines, received, lost, unknown;
    uint64_t step_at_line; /* 0: never. */
    event_callback_fn drain, tick;
    void *aux;
} world;

/* --- What the agent is linked with ------------------------------------------- */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t ns = world.mono + (id == CLOCK_REALTIME ? world.offset : 0);

    *ts = instant_to_timespec(instant_of_ns(ns));
    return 0;
}

struct event {
    bool used;
};
static struct event drain_event, tick_event;

struct event *
event_new(struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *aux)
{
    (void)base;
    (void)fd;
    world.aux = aux;
    if (what & EV_PERSIST) {
        world.drain = fn;
        return &drain_event;
    }
    world.tick = fn;
    return &tick_event;
}

int
event_add(struct event *e, const struct timeval *tv)
{
    (void)e;
    (void)tv;
    return 0;
}

void
event_free(struct event *e)
{
    e->used = false;
}

size_t
timing_counters(const struct timing *t, const struct counter_group **groups)
{
    (void)t;
    *groups = NULL;
    return 0;
}

struct span
timing_stall(struct timing *t)
{
    (void)t;
    return span_of_ns(0);
}

void
clockdaemon_open(struct clockdaemon *d, uint16_t port)
{
    (void)d;
    (void)port;
}

void
clockdaemon_close(struct clockdaemon *d)
{
    (void)d;
}

void
clockdaemon_read(struct clockdaemon *d, struct clockstate *out)
{
    (void)d;
    *out = (struct clockstate){.error_ns = UINT64_MAX};
}

void
plan_free(struct plan *p)
{
    (void)p;
}

bool
stream_is_open(const struct stream *s)
{
    (void)s;
    return true;
}

void
stream_epoch_start(const struct stream *s, Plumbline__Telemetry__EpochStart *out)
{
    (void)s;
    (void)out;
}

int
stream_append(struct stream *s, const void *bytes, size_t size, struct instant from,
              struct instant until)
{
    (void)s;
    (void)bytes;
    (void)from;
    (void)until;
    CU_ASSERT(size > 0);
    return 0;
}

void
stream_health(const struct stream *s, struct stream_health *out)
{
    (void)s;
    *out = (struct stream_health){.connected = true};
}

int
spool_sync(struct spool *s)
{
    (void)s;
    return 0;
}

void
spool_health(const struct spool *s, struct spool_health *out)
{
    (void)s;
    *out = (struct spool_health){.bytes = 0};
}

/* --- Time passes ------------------------------------------------------------- */

static void
put(enum exchange_kind kind, uint64_t packet)
{
    struct exchange e = {.kind = kind,
                         .session = (uint32_t)(packet % SESSIONS),
                         .sequence = (uint32_t)(packet / SESSIONS),
                         .at = instant_of_ns(world.mono + world.offset)};

    if (kind == EXCHANGE_SENT) {
        e.t1 = (struct stamp_time){.at = e.at, .source = TS_USER};
        e.scheduled = e.at;
        world.t1[packet] = e.at.ns;
    } else {
        e.t1 = (struct stamp_time){.at = instant_of_ns(world.t1[packet]), .source = TS_USER};
        e.t4 = (struct stamp_time){.at = e.at, .source = TS_KERNEL};
        e.reflector_sequence = e.sequence;
    }
    (void)ring_put(world.ring, &e);
}

/* What leaves and comes back until 'until' (monotonic). */
static void
pass(int64_t until)
{
    for (;;) {
        int64_t sends = world.first + (int64_t)world.sent * PACKET_NS;
        int64_t returns = world.first + (int64_t)world.returned * PACKET_NS + BACK_NS;
        bool send = sends <= returns;
        if ((send ? sends : returns) > until) {
            break;
        }
        world.mono = send ? sends : returns;
        CU_ASSERT_FATAL(world.sent < world.most);
        put(send ? EXCHANGE_SENT : EXCHANGE_REPLY, send ? world.sent++ : world.returned++);
    }
    world.mono = until;
}

static void
step_back(void)
{
    world.offset += STEP_BACK_NS;
    (void)ring_put(world.ring, &(struct exchange){.kind = EXCHANGE_CLOCK_STEP,
                                                  .session = UINT32_MAX,
                                                  .at = instant_now(),
                                                  .step = span_of_ns(STEP_BACK_NS)});
}

/* A line of the log of samples. */
static ssize_t
take_line(void *aux, const char *line, size_t size)
{
    (void)aux;
    char *text = strndup(line, size);

    CU_ASSERT_FATAL(text != NULL);
    world.received += strstr(text, "\treceived\t") != NULL;
    world.lost += strstr(text, "\tlost_") != NULL;
    world.unknown += strstr(text, "\tunknown\t") != NULL;
    free(text);
    pass(world.mono + LINE_NS);
    if (++world.lines == world.step_at_line) {
        step_back();
    }
    return (ssize_t)size;
}

/* As libevent calls it, each 20 ms and 30 ms after each second. */
static void
live(unsigned seconds)
{
    int64_t end = world.mono + (int64_t)seconds * NS_PER_S;
    int64_t tick = world.mono + 30 * NS_PER_MS;

    while (world.mono < end) {
        pass(world.mono + 20 * NS_PER_MS);
        world.drain(-1, EV_TIMEOUT, world.aux);
        if (world.mono >= tick) {
            world.tick(-1, EV_TIMEOUT, world.aux);
            tick += NS_PER_S;
        }
    }
}

/* --- The agent ---------------------------------------------------------------- */

struct run {
    struct agent *agent;
    FILE *log;
    struct plan plan;
    struct plan_session sessions[SESSIONS];
    struct timing_session timed[SESSIONS];
};

static void
plan_sessions(struct run *r, struct instant begin)
{
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct session_key *k = &r->sessions[i].key;
        snprintf(k->object, sizeof k->object, "l%u", i);
        strcpy(k->observer, "near");
        strcpy(k->far, "far");
        strcpy(k->class_name, "c");
        strcpy(k->protocol, "stamp");
        k->family = 4;
        k->dt = k->tmax = span_of_ns(NS_PER_S);
        k->period = span_of_ns(PERIOD_NS);
        k->size = 64;
        r->sessions[i].id = session_id_of(k);
        r->sessions[i].large = UINT32_MAX;
        r->timed[i] = (struct timing_session){.index = i, .begin = begin};
    }
    r->plan = (struct plan){
        .sessions = r->sessions,
        .timing = {.sessions = r->timed, .session_count = SESSIONS},
        .serving_id = 1,
    };
}

static struct run *
run_new(unsigned seconds, uint64_t step_at_line)
{
    static char transport;
    struct run *r = calloc(1, sizeof *r);
    struct agent_config config = {.source = "near", .release = "1"};

    CU_ASSERT_FATAL(r != NULL);
    memset(&world, 0, sizeof world);
    world.step_at_line = step_at_line;
    world.mono = 1000 * NS_PER_S;
    world.offset = BEGIN_S * NS_PER_S - world.mono;
    world.first = world.mono + NS_PER_S;
    world.most = (seconds + 2) * (uint64_t)(NS_PER_S / PACKET_NS);
    world.t1 = calloc(world.most, sizeof *world.t1);
    world.ring = ring_new(CAPACITY);
    r->log = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_line});
    CU_ASSERT_FATAL(world.t1 && world.ring && r->log);
    setvbuf(r->log, NULL, _IOLBF, 4096);
    plan_sessions(r, instant_of_ns((BEGIN_S + 1) * NS_PER_S));
    config.events = world.ring;
    config.sample_log = r->log;
    CU_ASSERT_EQUAL_FATAL(agent_new(&r->agent, &config, &r->plan), 0);
    struct agent_transport t = {.stream = (struct stream *)(void *)&transport};
    CU_ASSERT_EQUAL_FATAL(agent_attach(r->agent, &t), 0);
    agent_run(r->agent);
    return r;
}

static void
run_free(struct run *r)
{
    agent_free(r->agent);
    (void)fclose(r->log);
    ring_free(world.ring);
    free(world.t1);
    free(r);
}

static void
what_comes_while_a_batch_is_made_finds_room(void)
{
    struct run *r = run_new(12, 0);

    live(12);
    /* Of 11 s of packets the first seven are final at least. */
    CU_ASSERT(world.received >= 7 * SESSIONS * 10);
    CU_ASSERT_EQUAL(world.lost, 0);
    CU_ASSERT_EQUAL(world.unknown, 0);
    CU_ASSERT_EQUAL(ring_lost(world.ring), 0);
    run_free(r);
}

static void
what_is_out_when_the_clock_steps_back_meanwhile_is_not_lost(void)
{
    /* In the middle of the third batch that has samples. */
    struct run *r = run_new(12, 2 * SESSIONS * 10 + SESSIONS * 10 / 2 + random_below(SESSIONS));

    live(12);
    CU_ASSERT(world.lines > world.step_at_line);
    CU_ASSERT_EQUAL(world.lost, 0);
    CU_ASSERT_EQUAL(ring_lost(world.ring), 0);
    run_free(r);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(what_comes_while_a_batch_is_made_finds_room),
        T(what_is_out_when_the_clock_steps_back_meanwhile_is_not_lost),
        CU_TEST_INFO_NULL,
    };

    return run_suite("agent", tests);
}
