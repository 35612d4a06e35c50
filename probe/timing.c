/* timing.c - the thread that sends and reflects. */
#include "timing.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clockstate.h"
#include "patience.h"
#include "reflector.h"
#include "ring.h"
#include "sender.h"

enum { EVENTS = 64 };

/* Data in epoll; smaller numbers are the sender's slots. */
#define TAG_WAKE UINT64_MAX
#define TAG_REFLECTOR (UINT64_MAX - 1)

/* More than this between the clocks from one round to the next is a step. */
#define STEP_NS NS_PER_MS

enum timing_count { TIMING_LATE, TIMING_CLOCK_STEPS, TIMING_COUNTS };
static const char *const timing_names[TIMING_COUNTS] = {"late_over_1ms", "clock_steps"};

/* What another thread wants of the reflector. */
enum order_kind { ORDER_NONE, ORDER_TWAMP_OPEN, ORDER_TWAMP_CLOSE, ORDER_TWAMP_HEARD };
struct order {
    enum order_kind kind;
    const struct reflector_twamp *session; /* To open. */
    int handle;                            /* In, or out; or negative errno. */
    struct span heard;
};

struct timing {
    struct ring *events;
    struct tstamp_io *io;
    struct sender *sender;
    struct reflector *reflector;
    int epoll, wake;
    int priority;
    pthread_t thread;
    bool joined;

    /* The plan that the thread shall take. */
    pthread_mutex_t lock;
    pthread_cond_t taken;
    const struct timing_plan *plan;
    int result;
    struct order *order; /* Or what it shall do. */
    bool stop;

    /* The thread's own. */
    struct span sent_at, received_at; /* Rounds; received_at 0: the last one found nothing. */
    struct patience patience;
    struct span second_at;
    struct clockdaemon clock;
    struct span offset; /* Realtime - monotonic. */
    _Atomic uint32_t epoch;
    _Atomic int64_t round_at, round_longest; /* Monotonic; ns between two rounds. */
    struct counter counters[TIMING_COUNTS];
    struct counter_group groups[TIMING_GROUPS];
};

static void
count(struct timing *t, enum timing_count which)
{
    counter_add(&t->counters[which], 1);
}

/* --- Plans. --- */

static int
take_port(struct timing *t, uint16_t port)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_REFLECTOR};
    int err;

    if (port == 0) {
        reflector_close(t->reflector);
        t->epoch = 0;
        return 0;
    }
    if (reflector_fd(t->reflector) >= 0 && reflector_port(t->reflector) == port) {
        return 0;
    }
    err = reflector_listen(t->reflector, (struct address){.family = 0}, port);
    if (err) {
        return err;
    }
    if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, reflector_fd(t->reflector), &ev) < 0) {
        err = -errno;
        reflector_close(t->reflector);
        t->epoch = 0;
        return err;
    }
    t->epoch = reflector_epoch(t->reflector);
    return 0;
}

/* The reflector's part cannot fail halfway but for memory, so it goes last. */
static int
take_plan(struct timing *t, const struct timing_plan *plan)
{
    int err = take_port(t, plan->reflector_port);

    if (!err) {
        err = timing_plan_sessions(plan, t->sender);
    }
    if (!err) {
        err = timing_plan_peers(plan, t->reflector);
    }
    return err;
}

static void
carry_out(struct timing *t, struct order *o)
{
    switch (o->kind) {
    case ORDER_TWAMP_OPEN:
        o->handle = reflector_fd(t->reflector) < 0 ? -ENOTCONN
                                                   : reflector_twamp_open(t->reflector, o->session);
        break;
    case ORDER_TWAMP_CLOSE:
        reflector_twamp_close(t->reflector, o->handle);
        break;
    case ORDER_TWAMP_HEARD:
        o->heard = reflector_twamp_heard(t->reflector, o->handle);
        break;
    case ORDER_NONE:
        break;
    }
}

static bool
take_orders(struct timing *t)
{
    bool stop;
    uint64_t seen;
    ssize_t n = read(t->wake, &seen, sizeof seen);

    (void)n; /* Whatever it says, the orders are under the lock. */
    pthread_mutex_lock(&t->lock);
    if (t->plan) {
        t->result = take_plan(t, t->plan);
        t->plan = NULL;
        pthread_cond_signal(&t->taken);
    }
    if (t->order) {
        carry_out(t, t->order);
        t->order = NULL;
        pthread_cond_signal(&t->taken);
    }
    stop = t->stop;
    pthread_mutex_unlock(&t->lock);
    return stop;
}

/* --- The thread. --- */

static void
watch_clock(struct timing *t, struct sender_clock now)
{
    int64_t offset = now.real.ns - now.mono.ns;
    int64_t step = offset - t->offset.ns;

    if (now.doubt.ns > STEP_NS / 10) {
        return; /* We were interrupted while reading; the next round sees it. */
    }
    if (step > STEP_NS || step < -STEP_NS) {
        count(t, TIMING_CLOCK_STEPS);
        (void)ring_put(t->events, &(struct exchange){.kind = EXCHANGE_CLOCK_STEP,
                                                     .session = UINT32_MAX,
                                                     .at = now.real,
                                                     .step = span_of_ns(step)});
    }
    t->offset = span_of_ns(offset);
}

static void
each_second(struct timing *t, struct sender_clock now)
{
    struct clockstate c;
    struct stamp_error e;

    if (now.mono.ns < t->second_at.ns) {
        return;
    }
    t->second_at = span_of_ns(now.mono.ns + NS_PER_S);
    clockdaemon_read(&t->clock, &c);
    e = (struct stamp_error){.synchronised = c.synchronised, .error_ns = c.error_ns};
    sender_set_error(t->sender, e);
    reflector_set_error(t->reflector, e);
}

static struct timespec
timespec_of(int64_t ns)
{
    return instant_to_timespec(instant_of_ns(ns > 0 ? ns : 0));
}

/* Waits for packets until 'until' (monotonic).  Returns true when told to stop. */
static bool
receive(struct timing *t, struct sender_clock now, struct span until)
{
    struct epoll_event events[EVENTS];
    int64_t wait = until.ns - now.mono.ns;
    struct timespec timeout = timespec_of(wait < NS_PER_S ? wait : NS_PER_S);
    unsigned taken = 0;
    bool stop = false;
    int n = epoll_pwait2(t->epoll, events, EVENTS, &timeout, NULL);

    for (int i = 0; i < n; i++) {
        uint64_t tag = events[i].data.u64;
        bool in = (events[i].events & EPOLLIN) != 0;
        bool err = (events[i].events & EPOLLERR) != 0;
        if (tag == TAG_WAKE) {
            stop = take_orders(t);
        } else if (tag == TAG_REFLECTOR) {
            taken += reflector_receive(t->reflector, in, err);
        } else {
            taken += sender_receive(t->sender, (unsigned)tag, in, err);
        }
    }
    t->received_at = taken > 0 ? mono_now() : span_of_ns(0);
    patience_learn(&t->patience, taken > 0 ? t->received_at : now.mono, taken);
    return stop;
}

/* When to send next: what is due, grouped. */
static struct span
send_at(const struct timing *t)
{
    struct span due = sender_due(t->sender);
    int64_t grouped = t->sent_at.ns + SENDER_GROUP_NS;
    return span_of_ns(due.ns > grouped ? due.ns : grouped);
}

static void
note_round(struct timing *t, struct span mono)
{
    int64_t before = atomic_load_explicit(&t->round_at, memory_order_relaxed);

    if (before &&
        mono.ns - before > atomic_load_explicit(&t->round_longest, memory_order_relaxed)) {
        atomic_store_explicit(&t->round_longest, mono.ns - before, memory_order_relaxed);
    }
    atomic_store_explicit(&t->round_at, mono.ns, memory_order_relaxed);
}

/* One round: send, then receive or sleep. */
static bool
round_once(struct timing *t)
{
    struct sender_clock now = sender_clock_now();
    struct span send = send_at(t);
    int64_t receive_at = t->received_at.ns + t->patience.wait.ns;

    note_round(t, now.mono);
    watch_clock(t, now);
    each_second(t, now);
    (void)ring_settle(t->events, now.real);
    if (send.ns <= now.mono.ns) {
        if (now.mono.ns - send.ns > NS_PER_MS) {
            count(t, TIMING_LATE);
        }
        sender_send(t->sender, now);
        t->sent_at = now.mono;
        send = send_at(t);
        receive_at -= t->patience.wait.ns / 4; /* While we are awake. */
    }
    if (now.mono.ns >= receive_at) {
        return receive(t, now, send);
    }
    struct timespec until = timespec_of(receive_at < send.ns ? receive_at : send.ns);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    return false;
}

static void *
run(void *arg)
{
    struct timing *t = (struct timing *)arg;
    struct sched_param p = {.sched_priority = t->priority};

    (void)prctl(PR_SET_NAME, "timing");
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (t->priority > 0) {
        /* Not allowed: the timestamps are the kernel's all the same. */
        (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
    }
    while (!round_once(t)) {
    }
    return NULL;
}

/* --- For the other threads. --- */

static void
timing_fini(struct timing *t)
{
    sender_free(t->sender);
    reflector_free(t->reflector);
    tstamp_io_free(t->io);
    clockdaemon_close(&t->clock);
    if (t->epoll >= 0) {
        close(t->epoll);
    }
    if (t->wake >= 0) {
        close(t->wake);
    }
    pthread_cond_destroy(&t->taken);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static int
timing_init(struct timing *t, const struct timing_config *config)
{
    struct reflector_config rc = {.sessions = 0};
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_WAKE};
    struct sender_clock now = sender_clock_now();

    t->events = config->events;
    t->priority = config->priority;
    t->offset = span_of_ns(now.real.ns - now.mono.ns);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->epoll < 0 || t->wake < 0 || epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &ev) < 0) {
        return -errno;
    }
    t->io = tstamp_io_new();
    if (!t->io) {
        return -ENOMEM;
    }
    t->sender = sender_new(t->events, t->io, t->epoll);
    t->reflector = reflector_new(&rc, t->io);
    if (!t->sender || !t->reflector) {
        return -ENOMEM;
    }
    sender_counters(t->sender, &t->groups[0]);
    reflector_counters(t->reflector, &t->groups[1]);
    t->groups[1].count = REFLECTOR_BAD; /* What went well is not told. */
    t->groups[2] = (struct counter_group){
        .name = "timing", .names = timing_names, .counters = t->counters, .count = TIMING_COUNTS};
    return 0;
}

/* Takes the sockets that another process had; what cannot be used is left open. */
static int
adopt(struct timing *t, struct timing_kept *k)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_REFLECTOR};
    unsigned slot = 0;

    for (size_t i = 0; i < k->socket_count; i++) {
        struct timing_socket *s = &k->sockets[i];
        int err = s->reflector ? reflector_adopt(t->reflector, s->fd, &s->is.kept)
                               : sender_adopt(t->sender, slot++, s->fd, &s->is);
        if (err) {
            return err;
        }
        if (s->reflector && epoll_ctl(t->epoll, EPOLL_CTL_ADD, s->fd, &ev) < 0) {
            err = -errno;
        }
        s->fd = -1;
        if (err) {
            return err;
        }
    }
    return 0;
}

int
timing_prepare(struct timing **out, const struct timing_config *config,
               const struct timing_plan *plan, struct timing_kept *k)
{
    struct timing *t = (struct timing *)calloc(1, sizeof *t);
    int err;

    if (!t) {
        return -ENOMEM;
    }
    t->joined = true; /* There is none yet. */
    t->epoll = t->wake = -1;
    clockdaemon_open(&t->clock, 323);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->taken, NULL);
    err = timing_init(t, config);
    if (!err) {
        each_second(t, sender_clock_now());
        err = k ? adopt(t, k) : 0;
    }
    if (!err) {
        err = take_plan(t, plan);
    }
    if (err) {
        timing_fini(t);
        return err;
    }
    (void)tstamp_warm_up(t->io); /* After ours are open, so that stamps stay on. */
    *out = t;
    return 0;
}

static int
resume(struct timing *t, const struct timing_kept *k, const struct timing_plan *plan)
{
    int err = timing_kept_resume(k, t->sender, t->reflector);

    if (err) {
        return err;
    }
    t->epoch = reflector_fd(t->reflector) < 0 ? 0 : reflector_epoch(t->reflector);
    return timing_plan_peers(plan, t->reflector);
}

int
timing_resume(struct timing *t, const struct timing_kept *k, const struct timing_plan *plan)
{
    struct sender_clock now = sender_clock_now();
    int err = k ? resume(t, k, plan) : 0;

    assert(t->joined);
    if (err) {
        return err;
    }
    t->stop = false;
    t->offset = span_of_ns(now.real.ns - now.mono.ns);
    t->sent_at = t->received_at = span_of_ns(0);
    note_round(t, now.mono); /* Since when nobody went round. */
    err = -pthread_create(&t->thread, NULL, run, t);
    t->joined = err != 0;
    return err;
}

int
timing_start(struct timing **out, const struct timing_config *config,
             const struct timing_plan *plan)
{
    struct timing *t;
    int err = timing_prepare(&t, config, plan, NULL);

    if (!err) {
        err = timing_resume(t, NULL, plan);
        if (err) {
            timing_fini(t);
        }
    }
    if (!err) {
        *out = t;
    }
    return err;
}

int
timing_keep(const struct timing *t, bool whole, struct timing_kept *out)
{
    assert(!whole || t->joined);
    return timing_kept_take(out, t->sender, t->reflector, whole);
}

void
timing_let_go(struct timing *t)
{
    assert(t->joined);
    sender_close(t->sender);
    reflector_close(t->reflector);
}

static void
wake(struct timing *t)
{
    uint64_t one = 1;
    ssize_t n = write(t->wake, &one, sizeof one);
    assert(n == sizeof one);
    (void)n;
}

int
timing_replace(struct timing *t, const struct timing_plan *plan)
{
    int result;

    pthread_mutex_lock(&t->lock);
    t->plan = plan;
    wake(t);
    while (t->plan) {
        pthread_cond_wait(&t->taken, &t->lock);
    }
    result = t->result;
    pthread_mutex_unlock(&t->lock);
    return result;
}

/* Once the thread has ended, whoever asks does it. */
static void
give_order(struct timing *t, struct order *o)
{
    if (t->joined) {
        carry_out(t, o);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->order = o;
    wake(t);
    while (t->order) {
        pthread_cond_wait(&t->taken, &t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

int
timing_twamp_open(struct timing *t, const struct reflector_twamp *session)
{
    struct order o = {.kind = ORDER_TWAMP_OPEN, .session = session};

    give_order(t, &o);
    return o.handle;
}

void
timing_twamp_close(struct timing *t, int handle)
{
    give_order(t, &(struct order){.kind = ORDER_TWAMP_CLOSE, .handle = handle});
}

struct span
timing_twamp_heard(struct timing *t, int handle)
{
    struct order o = {.kind = ORDER_TWAMP_HEARD, .handle = handle};

    give_order(t, &o);
    return o.heard;
}

void
timing_stop(struct timing *t)
{
    if (!t || t->joined) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_mutex_unlock(&t->lock);
    wake(t);
    pthread_join(t->thread, NULL);
    t->joined = true;
}

void
timing_free(struct timing *t)
{
    if (t) {
        timing_stop(t);
        timing_fini(t);
    }
}

size_t
timing_counters(const struct timing *t, const struct counter_group **groups)
{
    *groups = t->groups;
    return TIMING_GROUPS;
}

void
timing_counters_all(const struct timing *t, struct counter_group groups[TIMING_GROUPS])
{
    memcpy(groups, t->groups, sizeof t->groups);
    reflector_counters(t->reflector, &groups[1]);
}

struct span
timing_stall(struct timing *t)
{
    int64_t longest = atomic_exchange_explicit(&t->round_longest, 0, memory_order_relaxed);
    int64_t since = mono_now().ns - atomic_load_explicit(&t->round_at, memory_order_relaxed);

    return span_of_ns(longest > since ? longest : since);
}

uint32_t
timing_epoch(const struct timing *t)
{
    return t->epoch;
}
