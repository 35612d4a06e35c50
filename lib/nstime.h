/* nstime.h - instants and spans in nanoseconds, and where a timestamp came from.
 *
 * The bottom of lib/: everything else may include it, it includes nothing of
 * ours.  An instant counts nanoseconds of UTC since the Unix epoch (leap
 * seconds not counted, as CLOCK_REALTIME does); a span is a difference of two
 * instants and may be negative.  There is no floating point and no overflow
 * before the year 2262.  Decisions take 'now' as an argument; only edge modules
 * call instant_now() or mono_now(). */
#ifndef PLUMBLINE_NSTIME_H
#define PLUMBLINE_NSTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* UTC, ns since 1970-01-01T00:00:00Z.  Zero means "not known" where a comment
 * says that an instant may be missing. */
struct instant {
    int64_t ns;
};

struct span {
    int64_t ns;
};

/* Where a timestamp was taken, worst first, so that the smaller of two is the
 * one to believe of a sample made of both. */
enum ts_source {
    TS_NONE,     /* There is no timestamp. */
    TS_USER,     /* clock_gettime() in our process. */
    TS_KERNEL,   /* Kernel software stamp (SO_TIMESTAMPING). */
    TS_HARDWARE, /* The network card's clock, converted to UTC. */
    TS_SOURCES
};

/* A timestamp and how far to believe it. */
struct stamp_time {
    struct instant at; /* Valid unless 'source' is TS_NONE. */
    enum ts_source source;
};

static inline struct instant
instant_of_ns(int64_t ns)
{
    return (struct instant){.ns = ns};
}

static inline struct span
span_of_ns(int64_t ns)
{
    return (struct span){.ns = ns};
}

static inline struct instant
instant_of_timespec(struct timespec ts)
{
    return (struct instant){.ns = (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec};
}

/* 'i' is not before 1970. */
static inline struct timespec
instant_to_timespec(struct instant i)
{
    return (struct timespec){.tv_sec = (time_t)(i.ns / NS_PER_S),
                             .tv_nsec = (long)(i.ns % NS_PER_S)};
}

static inline struct instant
instant_add(struct instant i, struct span s)
{
    return (struct instant){.ns = i.ns + s.ns};
}

/* later - earlier. */
static inline struct span
instant_sub(struct instant later, struct instant earlier)
{
    return (struct span){.ns = later.ns - earlier.ns};
}

static inline bool
instant_before(struct instant a, struct instant b)
{
    return a.ns < b.ns;
}

/* The latest multiple of 'step' (> 0) since the epoch that is not after 'i'. */
static inline struct instant
instant_floor(struct instant i, struct span step)
{
    int64_t rest = i.ns % step.ns;
    return (struct instant){.ns = i.ns - (rest < 0 ? rest + step.ns : rest)};
}

/* The earliest multiple of 'step' (> 0) since the epoch that is not before 'i'. */
static inline struct instant
instant_ceil(struct instant i, struct span step)
{
    struct instant down = instant_floor(i, step);
    return down.ns == i.ns ? down : (struct instant){.ns = down.ns + step.ns};
}

/* CLOCK_REALTIME: what timestamps are in. */
struct instant instant_now(void);

/* CLOCK_MONOTONIC: what intervals and timers are in; not a UTC time. */
struct span mono_now(void);

/* Writes RFC 3339 in UTC with a 'Z' and 'digits' (0..9) decimals of a second
 * into 'buf', cut and NUL-terminated at 'size' bytes (40 always suffice).
 * Returns 'buf'. */
char *instant_format(struct instant i, int digits, char *buf, size_t size);

/* Writes a span as people read it ("1.25ms", "-3.1us", "2.000s") into 'buf'
 * (24 bytes always suffice).  Returns 'buf'. */
char *span_format(struct span s, char *buf, size_t size);

/* "none", "user", "kernel", "hardware". */
const char *ts_source_name(enum ts_source source);

#endif
