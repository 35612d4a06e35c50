/* ping_run.c - the run of a one-shot test: sends, receives, matches, and says a line a packet. */
#include "ping_run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli.h"
#include "match.h"
#include "ring.h"

#define LINGER_NS (50 * NS_PER_MS)

/* A reflector's time that is further from ours is of another epoch. */
#define DAY_NS (86400 * NS_PER_S)

const char *const ping_run_protocols[3] = {"stamp", "twamp-light", "icmp"};

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- Events. --- */

/* As match_fate.c judges them, at a glance. */
static bool
times_can_be_used(const struct exchange *e, int64_t around)
{
    int64_t there = e->t3.at.ns - e->t2.at.ns;
    int64_t off = e->t2.at.ns - e->t4.at.ns;

    return e->t2.source != TS_NONE && e->t3.source != TS_NONE && there >= 0 && there <= around &&
           (e->has_report || (off < DAY_NS && off > -DAY_NS));
}

static void
print_reply(const struct ping_run *p, const struct exchange *e)
{
    const struct ping_run_recent *r = &p->recent[e->sequence % PING_RUN_RECENT];
    struct stamp_time t1 = r->sequence == e->sequence ? r->t1 : e->t1;
    int64_t there = e->t3.at.ns - e->t2.at.ns;
    int64_t around = e->t4.at.ns - t1.at.ns;
    char rt[24], fwd[24], bwd[24];

    bool echo = p->protocol == SENDER_ICMP;

    if (echo || !times_can_be_used(e, around)) {
        printf("seq %" PRIu32 "  rt %s", e->sequence,
               span_format(span_of_ns(around), rt, sizeof rt));
        if (echo) {
            printf("  ttl %u\n", e->reply_ttl);
        } else {
            puts("  (the reflector's times cannot be used)");
        }
        return;
    }
    printf("seq %" PRIu32 "  rt %s", e->sequence,
           span_format(span_of_ns(around - there), rt, sizeof rt));
    if (p->clock.synchronised && e->far_synchronised && !p->stateless) {
        printf("  fwd %s  bwd %s", span_format(span_of_ns(e->t2.at.ns - t1.at.ns), fwd, sizeof fwd),
               span_format(span_of_ns(e->t4.at.ns - e->t3.at.ns), bwd, sizeof bwd));
    }
    printf("  ttl %u/%u\n", e->ttl, e->reply_ttl);
}

static void
take_event(struct ping_run *p, const struct exchange *e)
{
    struct ping_run_recent *r = &p->recent[e->sequence % PING_RUN_RECENT];
    bool lines = !p->json && !p->quiet;

    (void)match_event(p->match, e);
    switch (e->kind) {
    case EXCHANGE_SENT:
        *r = (struct ping_run_recent){.sequence = e->sequence, .t1 = e->t1};
        p->done++;
        p->last = mono_now();
        break;
    case EXCHANGE_SEND_ERROR:
        p->done++;
        p->error = e->error;
        p->last = mono_now();
        if (lines) {
            printf("seq %" PRIu32 "  not sent: %s\n", e->sequence, strerror(e->error));
        }
        break;
    case EXCHANGE_T1:
        if (r->sequence == e->sequence) {
            r->t1 = e->t1;
        }
        break;
    case EXCHANGE_REPLY:
        if (r->sequence == e->sequence && !r->replied) {
            r->replied = true;
            p->answered++;
            p->answered_at = mono_now();
        }
        p->heard = true;
        p->far_synchronised = e->far_synchronised;
        p->far_error_ns = e->far_error_ns;
        if (lines) {
            print_reply(p, e);
        }
        break;
    case EXCHANGE_OVERRUN:
    case EXCHANGE_CLOCK_STEP:
        break;
    }
}

static void
on_packet(const struct session_key *key, const struct match_packet *m, void *aux)
{
    struct ping_run *p = (struct ping_run *)aux;
    const struct stamp_time *t[4] = {&m->t1, &m->t2, &m->t3, &m->t4};
    static const char *const words[] = {
        [FATE_LOST_FWD] = "lost on the way there",
        [FATE_LOST_BWD] = "lost on the way back",
        [FATE_LOST_UNDIRECTED] = "lost, nobody can tell which way",
        [FATE_UNKNOWN] = "unanswered when the test ended",
    };

    (void)key;
    if (m->fate != FATE_RECEIVED) {
        if (!p->json && !p->quiet) {
            printf("seq %" PRIu32 "  %s%s\n", m->sequence, words[m->fate],
                   m->late ? " (late)" : "");
        }
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        p->worst[i] = t[i]->source < p->worst[i] ? t[i]->source : p->worst[i];
        p->kernel[i] += t[i]->source >= TS_KERNEL;
    }
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    struct ping_run *p = (struct ping_run *)aux;

    (void)key;
    p->out_of_memory = p->out_of_memory || summary_merge(&p->total, s) < 0;
}

static void
take_events(struct ping_run *p, bool finish)
{
    const struct match_sinks sinks = {.packet = on_packet, .final = on_final, .aux = p};
    struct exchange e;

    while (ring_pop(p->ring, &e)) {
        take_event(p, &e);
    }
    fflush(stdout);
    if (finish) {
        match_finish(p->match, instant_now(), &sinks);
    } else {
        match_advance(p->match, instant_now(), &sinks);
    }
}

/* --- The run. --- */

static bool
finished(const struct ping_run *p, struct span mono)
{
    if (interrupted || p->out_of_memory) {
        return true;
    }
    if (p->done < p->count) {
        return false;
    }
    if (p->answered >= p->count) {
        /* A second copy comes soon after the first. */
        return mono.ns - p->answered_at.ns > LINGER_NS;
    }
    return mono.ns - p->last.ns > p->tmax.ns + NS_PER_MS;
}

int
ping_run_go(struct ping_run *p)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct span told = {.ns = 0}; /* When the clock state was last read. */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    for (;;) {
        struct sender_clock now = sender_clock_now();
        struct epoll_event events[1];
        int64_t wait = sender_due(p->sender).ns - now.mono.ns;

        if (now.mono.ns - told.ns > NS_PER_S) {
            told = now.mono;
            clockstate_read(&p->clock);
            sender_set_error(p->sender, (struct stamp_error){.synchronised = p->clock.synchronised,
                                                             .error_ns = p->clock.error_ns});
            match_set_clock_error(p->match, p->clock.synchronised ? p->clock.error_ns : UINT64_MAX);
        }
        if (wait <= 0) {
            sender_send(p->sender, now);
        } else {
            wait = wait < 50 * NS_PER_MS ? wait : 50 * NS_PER_MS;
            struct timespec ts = instant_to_timespec(instant_of_ns(wait));
            int n = epoll_pwait2(p->epoll, events, 1, &ts, NULL);
            if (n > 0) {
                sender_receive(p->sender, (unsigned)events[0].data.u64,
                               (events[0].events & EPOLLIN) != 0,
                               (events[0].events & EPOLLERR) != 0);
            }
        }
        take_events(p, false);
        if (finished(p, mono_now())) {
            break;
        }
    }
    sender_receive_all(p->sender);
    take_events(p, true);
    return p->out_of_memory ? -ENOMEM : 0;
}

static struct session_key
make_key(const struct ping_run *p)
{
    int64_t periods = (100 * NS_PER_MS + p->interval.ns - 1) / p->interval.ns;
    struct session_key k = {
        .object = "ping",
        .observer = "here",
        .far = "",
        .class_name = "ping",
        .family = p->to.family,
        .rt_only = p->stateless || p->protocol == SENDER_ICMP,
        .dt = span_of_ns(p->interval.ns * periods),
        .tmax = p->tmax,
        .period = p->interval,
        .size = p->size,
        .dscp = p->dscp,
    };
    strcpy(k.protocol, ping_run_protocols[p->protocol]);
    return k;
}

int
ping_run_open(struct ping_run *p)
{
    struct sender_clock now;
    struct sender_session s = {
        .protocol = p->protocol,
        .ptp = p->ptp,
        .source = p->source,
        .destination = p->to,
        .source_port = p->source_port,
        .destination_port = p->protocol == SENDER_ICMP ? 0 : p->port,
        .dscp = p->dscp,
        .size = p->size,
        .period = p->interval,
        .dt = span_of_ns(10 * NS_PER_MS),
        .packets = p->count,
    };

    p->key = make_key(p);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->ring = ring_new(1 << 14);
    p->io = tstamp_io_new();
    if (p->epoll < 0 || !p->ring || !p->io ||
        summary_init(&p->total, instant_of_ns(0), false) < 0) {
        return -ENOMEM;
    }
    p->sender = sender_new(p->ring, p->io, p->epoll);
    now = sender_clock_now();
    s.begin = instant_add(now.real, span_of_ns(20 * NS_PER_MS));
    /* Any but zero; a second ping to the same reflector gets another. */
    s.ssid = (uint16_t)((uint64_t)now.real.ns / 1000 % UINT16_MAX + 1);
    p->match = match_new(&p->key, instant_floor(now.real, p->key.dt));
    if (!p->sender || !p->match) {
        return -ENOMEM;
    }
    int err = sender_set(p->sender, &s, 1, now);
    if (!err) {
        (void)tstamp_warm_up(p->io);
    }
    return err;
}

void
ping_run_close(struct ping_run *p)
{
    match_free(p->match);
    sender_free(p->sender);
    tstamp_io_free(p->io);
    ring_free(p->ring);
    summary_fini(&p->total);
    if (p->epoll >= 0) {
        close(p->epoll);
    }
}
