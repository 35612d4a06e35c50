/* log.h - what a daemon says to its journal: state changes, once.
 *
 * After nstime.h.  Lines go to standard error with the journal's "<N>" priority
 * prefix when standard error is not a terminal.  Events are counted (counter.h),
 * not logged; a state that repeats passes log_bucket.  Each line names the link
 * and the peer it speaks of.  Safe from any thread. */
#ifndef PLUMBLINE_LOG_H
#define PLUMBLINE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* Lines less urgent than 'level' are not written.  Default: info. */
void log_set_level(enum log_level level);

/* log_error and log_warn add ": " and the text of errno, and preserve errno;
 * the x forms do not. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A token bucket for one kind of line: 'burst' lines at once, then one every
 * 'every'.  Zero-initialise, set 'burst' and 'every'. */
struct log_bucket {
    unsigned burst;
    struct span every;
    unsigned used;
    struct span since;   /* Monotonic. */
    uint64_t suppressed; /* Since the last line that passed. */
};

/* Whether a line may pass now ('mono' from mono_now()).  Counts what may not. */
bool log_bucket_pass(struct log_bucket *b, struct span mono);

#endif
