/* bench_match.c - what an event costs, and what a session takes.
 *
 * A thousand sessions of 10 packets a second through simulated time: SENT, T1 and
 * REPLY for each packet, an advance a second.  Prints a tab-separated line a
 * figure: name, value, unit. */
#include "match.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS 1000u
#define SECONDS 30u
#define RATE 10u

static uint64_t finals;

static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    (void)key;
    (void)aux;
    finals += s->received;
}

static void
on_early(const struct session_key *key, const struct early *e, void *aux)
{
    (void)key;
    (void)aux;
    finals += e->overdue;
}

/* One packet there and back, 10 ms. */
static void
packet(struct match *m, uint32_t sequence, int64_t at)
{
    struct exchange e = {.kind = EXCHANGE_SENT, .sequence = sequence, .at = {at}};

    e.scheduled = instant_of_ns(at);
    e.t1 = (struct stamp_time){{at}, TS_USER};
    match_event(m, &e);
    e.kind = EXCHANGE_T1;
    e.t1 = (struct stamp_time){{at + 20000}, TS_KERNEL};
    match_event(m, &e);
    e.kind = EXCHANGE_REPLY;
    e.t2 = (struct stamp_time){{at + 5000000 + sequence * 997 % 100000}, TS_KERNEL};
    e.t3 = (struct stamp_time){{e.t2.at.ns + 30000}, TS_USER};
    e.t4 = (struct stamp_time){{at + 10000000 + sequence * 577 % 100000}, TS_KERNEL};
    e.reflector_sequence = sequence;
    e.has_report = e.has_follow_up = true;
    e.report.epoch = 1;
    e.report.received = sequence + 1;
    memset(e.report.bitmap, 0xff, sizeof e.report.bitmap);
    e.follow_up.reflector_sequence = sequence - 1;
    e.follow_up.t3 = (struct stamp_time){{at - 94970000}, TS_KERNEL};
    match_event(m, &e);
}

int
main(void)
{
    static struct match *all[SESSIONS];
    const struct session_key key = {
        .dt = {NS_PER_S}, .tmax = {3 * NS_PER_S}, .period = {NS_PER_S / RATE}};
    const struct match_sinks sinks = {.final = on_final, .early = on_early};
    const int64_t begin = INT64_C(1700000000) * NS_PER_S;
    size_t before = mallinfo2().uordblks;
    uint64_t took = 0;

    for (unsigned i = 0; i < SESSIONS; i++) {
        all[i] = match_new(&key, instant_of_ns(begin));
        if (!all[i]) {
            return 1;
        }
    }
    for (unsigned s = 0; s < SECONDS; s++) {
        uint64_t from = now_ns();
        for (unsigned r = 0; r < RATE; r++) {
            int64_t at = begin + s * NS_PER_S + r * (NS_PER_S / RATE);
            for (unsigned i = 0; i < SESSIONS; i++) {
                packet(all[i], s * RATE + r, at);
            }
        }
        for (unsigned i = 0; i < SESSIONS; i++) {
            match_advance(all[i], instant_of_ns(begin + (s + 1) * NS_PER_S), &sinks);
        }
        took += now_ns() - from;
    }
    printf("match.event_ns\t%.1f\tns\n", (double)took / (SESSIONS * SECONDS * RATE * 3));
    printf("match.session_kib\t%.1f\tKiB\n",
           (double)(mallinfo2().uordblks - before) / SESSIONS / 1024);
    for (unsigned i = 0; i < SESSIONS; i++) {
        match_free(all[i]);
    }
    return finals == 0;
}
