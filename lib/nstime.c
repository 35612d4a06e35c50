/* nstime.c - reading the clocks, and printing instants and spans. */
#include "nstime.h"

#include <stdio.h>
#include <stdlib.h>
#include <assert.h>

struct instant
instant_now(void)
{
    struct timespec ts;
    int err = clock_gettime(CLOCK_REALTIME, &ts);
    assert(err == 0);
    (void)err;
    return instant_of_timespec(ts);
}

struct span
mono_now(void)
{
    struct timespec ts;
    int err = clock_gettime(CLOCK_MONOTONIC, &ts);
    assert(err == 0);
    (void)err;
    return span_of_ns(instant_of_timespec(ts).ns);
}

char *
instant_format(struct instant i, int digits, char *buf, size_t size)
{
    static const int64_t scale[] = {NS_PER_S, 100000000, 10000000, 1000000, 100000,
                                    10000,    1000,      100,      10,      1};
    struct instant whole = instant_floor(i, span_of_ns(NS_PER_S));
    int64_t fraction = i.ns - whole.ns;
    time_t seconds = (time_t)(whole.ns / NS_PER_S);
    struct tm tm;
    char day[32];

    assert(digits >= 0 && digits <= 9);
    gmtime_r(&seconds, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    if (digits == 0) {
        snprintf(buf, size, "%sZ", day);
    } else {
        snprintf(buf, size, "%s.%0*lldZ", day, digits, (long long)(fraction / scale[digits]));
    }
    return buf;
}

char *
span_format(struct span s, char *buf, size_t size)
{
    const char *sign = s.ns < 0 ? "-" : "";
    uint64_t ns = s.ns < 0 ? 0 - (uint64_t)s.ns : (uint64_t)s.ns;

    if (ns < 1000) {
        snprintf(buf, size, "%s%lluns", sign, (unsigned long long)ns);
    } else if (ns < 1000000) {
        snprintf(buf, size, "%s%llu.%lluus", sign, (unsigned long long)(ns / 1000),
                 (unsigned long long)(ns % 1000 / 100));
    } else if (ns < 1000000000) {
        snprintf(buf, size, "%s%llu.%02llums", sign, (unsigned long long)(ns / 1000000),
                 (unsigned long long)(ns % 1000000 / 10000));
    } else {
        snprintf(buf, size, "%s%llu.%03llus", sign, (unsigned long long)(ns / 1000000000),
                 (unsigned long long)(ns % 1000000000 / 1000000));
    }
    return buf;
}

const char *
ts_source_name(enum ts_source source)
{
    static const char *const names[TS_SOURCES] = {"none", "user", "kernel", "hardware"};
    return (unsigned)source < TS_SOURCES ? names[source] : "?";
}
