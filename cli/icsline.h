/* icsline.h - content lines of an iCalendar (RFC 5545, 3.1): unfolded, taken apart.
 *
 * After fault.h and pool.h, before ics.h, which knows what the lines mean.  Outside bytes:
 * whatever is no content line is told with its place, and passed over. */
#ifndef PLUMBLINE_ICSLINE_H
#define PLUMBLINE_ICSLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "pool.h"

/* More parameters on a line are an error. */
#define ICSLINE_PARAMS_MAX 16u

struct icsline_param {
    const char *name; /* In capitals. */
    const char *value;
};

struct icsline {
    struct place at;       /* Where the line begins. */
    struct place value_at; /* Where its value does, if that is before the first fold. */
    const char *name;      /* In capitals. */
    const char *value;     /* As it stands: of a text, before its escapes are resolved. */
    size_t param_count;
    struct icsline_param params[ICSLINE_PARAMS_MAX];
};

struct icsline_reader {
    struct faults *faults;
    struct pool *pool; /* Owns what the lines point at. */
    const struct fault_file *file;
    const char *bytes;
    size_t size, at;
    uint32_t line; /* The next physical line's number. */
};

/* 'bytes' are borrowed until the last line was read. */
struct icsline_reader icsline_reader_of(struct faults *faults, struct pool *pool, const char *name,
                                        const char *bytes, size_t size);

/* The next good line into '*out'; false: there is none any more. */
bool icsline_next(struct icsline_reader *r, struct icsline *out);

/* Value of a parameter (named in capitals), or NULL. */
const char *icsline_param(const struct icsline *line, const char *name);

/* The value as a text (3.3.11), its escapes resolved and spaces around it cut off, out of
 * the pool; NULL after a fault was told: an escape that there is not. */
const char *icsline_text(struct icsline_reader *r, const struct icsline *line);

#endif
