/* idle.c - how late a thread that does nothing else wakes from clock_nanosleep:
 * the peer of sender.pacing_p99_us.
 *
 * usage: idle INTERVAL_US SECONDS; same scheduling as the timing thread.  Prints
 * "p50_ns N p99_ns N". */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "hist.h"
#include "nstime.h"

int
main(int argc, char **argv)
{
    const struct sched_param fifo = {.sched_priority = 40};

    if (argc != 3) {
        fputs("usage: idle INTERVAL_US SECONDS\n", stderr);
        return 2;
    }
    int64_t interval = strtoll(argv[1], NULL, 10) * NS_PER_US;
    int64_t seconds = strtoll(argv[2], NULL, 10), greatest = 0;
    struct hist *h = hist_new(HIST_DELAY);
    if (interval <= 0 || seconds <= 0 || !h) {
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    sched_setscheduler(0, SCHED_FIFO, &fifo);
    int64_t begin = mono_now().ns, due = begin;
    while (due < begin + seconds * NS_PER_S) {
        due += interval;
        struct timespec ts = instant_to_timespec(instant_of_ns(due));
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        int64_t late = mono_now().ns - due;
        hist_add(h, late, 1);
        greatest = late > greatest ? late : greatest;
    }
    printf("p50_ns %" PRId64 " p99_ns %" PRId64 "\n", hist_quantile(h, 500000, 0, greatest),
           hist_quantile(h, 990000, 0, greatest));
    hist_free(h);
    return 0;
}
