/* log.c - lines to standard error, with the journal's priority prefix. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int log_limit = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
    log_limit = (int)level;
}

__attribute__((format(printf, 3, 0))) static void
log_line(enum log_level level, bool with_errno, const char *format, va_list args)
{
    int saved = errno;
    char line[1024];
    int size = 0;

    if ((int)level > log_limit) {
        return;
    }
    if (!isatty(STDERR_FILENO)) {
        size = snprintf(line, sizeof line, "<%d>", (int)level);
    }
    size += vsnprintf(line + size, sizeof line - (size_t)size, format, args);
    if (with_errno && size < (int)sizeof line) {
        char text[128];
        size += snprintf(line + size, sizeof line - (size_t)size, ": %s",
                         strerror_r(saved, text, sizeof text));
    }
    if (size > (int)sizeof line - 2) {
        size = (int)sizeof line - 2;
    }
    line[size++] = '\n';
    /* One write a line, so that threads do not mix theirs.  There is nobody to
     * tell if it fails. */
    ssize_t done = write(STDERR_FILENO, line, (size_t)size);
    (void)done;
    errno = saved;
}

#define LOG_FUNCTION(name, level, with_errno)                                                      \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        log_line(level, with_errno, format, args);                                                 \
        va_end(args);                                                                              \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, true)
LOG_FUNCTION(log_errorx, LOG_LEVEL_ERROR, false)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARNING, true)
LOG_FUNCTION(log_warnx, LOG_LEVEL_WARNING, false)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, false)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, false)

bool
log_bucket_pass(struct log_bucket *b, struct span mono)
{
    if (b->every.ns > 0) {
        int64_t gained = (mono.ns - b->since.ns) / b->every.ns;
        if (gained > 0) {
            b->used = gained >= (int64_t)b->used ? 0 : b->used - (unsigned)gained;
            b->since.ns += gained * b->every.ns;
        }
    }
    if (b->used >= b->burst) {
        b->suppressed++;
        return false;
    }
    b->used++;
    return true;
}
