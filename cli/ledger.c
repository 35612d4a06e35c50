/* ledger.c - the index of certificates that were made. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

#define INDEX_SIZE_MAX ((size_t)64 << 20)
#define FIELDS 6
enum { STATUS, END, REVOKED, SERIAL, FILE_NAME, SUBJECT };

struct ledger {
    int folder; /* Locked. */
    char path[PATH_MAX];
    char **lines; /* Without their ends. */
    size_t count, room;
};

/* --- Lines ------------------------------------------------------------------ */

/* A line's fields, in a copy of it that is the caller's to free(). */
static char *
split(const char *line, char *field[FIELDS])
{
    char *copy = strdup(line), *at = copy;
    int n = 0;

    while (at && n < FIELDS) {
        field[n++] = strsep(&at, "\t");
    }
    if (copy && (n < FIELDS || at || strlen(field[STATUS]) != 1)) {
        free(copy);
        copy = NULL;
    }
    return copy;
}

/* UTCTime to 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5). */
static void
format_time(struct instant i, char *buf, size_t size)
{
    time_t s = i.ns / NS_PER_S;
    char text[32];
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm);
    snprintf(buf, size, "%s", text + (tm.tm_year < 150 ? 2 : 0));
}

static struct instant
parse_time(const char *text)
{
    bool general = strlen(text) == 15;
    struct tm tm = {0};
    const char *end = strptime(text, general ? "%Y%m%d%H%M%SZ" : "%y%m%d%H%M%SZ", &tm);

    if (!end || *end) {
        return instant_of_ns(0);
    }
    /* strptime() has 69 to 99 in the century before; a certificate's end is never there. */
    tm.tm_year += !general && tm.tm_year < 100 ? 100 : 0;
    return instant_of_ns(timegm(&tm) * NS_PER_S);
}

static bool
is_of(char *const field[FIELDS], const char *name)
{
    return strncmp(field[SUBJECT], "/CN=", 4) == 0 && strcmp(field[SUBJECT] + 4, name) == 0;
}

static bool
is_good(char *const field[FIELDS], struct instant now)
{
    return strcmp(field[STATUS], "V") == 0 && instant_before(now, parse_time(field[END]));
}

/* Takes 'line'. */
static int
append(struct ledger *l, char *line)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        char **more = reallocarray(l->lines, room, sizeof *more);
        if (!more) {
            free(line);
            return -ENOMEM;
        }
        l->lines = more;
        l->room = room;
    }
    l->lines[l->count++] = line;
    return line ? 0 : -ENOMEM;
}

/* --- The file --------------------------------------------------------------- */

static int
read_lines(struct ledger *l)
{
    size_t size;
    char *text = file_read(l->path, INDEX_SIZE_MAX, &size), *at = text, *line;
    int err = 0;

    if (!text) {
        return errno == ENOENT ? 0 : -errno;
    }
    while (!err && (line = strsep(&at, "\n"))) {
        char *field[FIELDS], *copy = *line ? split(line, field) : NULL;
        if (*line && !copy) {
            err = -EBADMSG;
        } else if (*line) {
            err = append(l, strdup(line));
        }
        free(copy);
    }
    free(text);
    return err;
}

int
ledger_open(const char *folder, struct ledger **out)
{
    struct ledger *l = calloc(1, sizeof *l);
    int err = l ? 0 : -ENOMEM;

    if (err) {
        return err;
    }
    int n = snprintf(l->path, sizeof l->path, "%s/index.txt", folder);
    l->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->folder < 0 || flock(l->folder, LOCK_EX)) {
        err = -errno;
    } else if (n >= (int)sizeof l->path) {
        err = -ENAMETOOLONG;
    } else {
        err = read_lines(l);
    }
    if (err) {
        ledger_close(l);
        return err;
    }
    *out = l;
    return 0;
}

void
ledger_close(struct ledger *l)
{
    if (!l) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        free(l->lines[i]);
    }
    free(l->lines);
    if (l->folder >= 0) {
        close(l->folder);
    }
    free(l);
}

int
ledger_write(const struct ledger *l)
{
    char *text = NULL, attributes[PATH_MAX + 8];
    size_t size;
    FILE *to = open_memstream(&text, &size);

    if (!to) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < l->count; i++) {
        fprintf(to, "%s\n", l->lines[i]);
    }
    int err = fclose(to) ? -ENOMEM : file_write(l->path, 0644, text, size);
    free(text);
    if (!err) {
        /* A renewed certificate has the subject of the one before. */
        static const char several[] = "unique_subject = no\n";
        snprintf(attributes, sizeof attributes, "%s.attr", l->path);
        err = file_write(attributes, 0644, several, sizeof several - 1);
    }
    return err;
}

/* --- Certificates ----------------------------------------------------------- */

static size_t
count_of(const struct ledger *l, const char *name, bool good_only, struct instant now)
{
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        char *field[FIELDS], *copy = split(l->lines[i], field);
        count += copy && is_of(field, name) && (!good_only || is_good(field, now));
        free(copy);
    }
    return count;
}

size_t
ledger_good(const struct ledger *l, const char *name, struct instant now)
{
    return count_of(l, name, true, now);
}

size_t
ledger_known(const struct ledger *l, const char *name)
{
    return count_of(l, name, false, instant_of_ns(0));
}

int
ledger_add(struct ledger *l, const char *name, const char *serial, struct instant end)
{
    char text[32], *line = NULL;

    format_time(end, text, sizeof text);
    if (asprintf(&line, "V\t%s\t\t%s\tunknown\t/CN=%s", text, serial, name) < 0) {
        return -ENOMEM;
    }
    return append(l, line);
}

int
ledger_revoke(struct ledger *l, const char *name, struct instant now, ledger_fn *fn, void *aux)
{
    char at[32];
    int revoked = 0;

    format_time(now, at, sizeof at);
    for (size_t i = 0; i < l->count && revoked >= 0; i++) {
        char *field[FIELDS], *copy = split(l->lines[i], field), *line;
        if (copy && is_of(field, name) && is_good(field, now)) {
            if (asprintf(&line, "R\t%s\t%s\t%s\t%s\t%s", field[END], at, field[SERIAL],
                         field[FILE_NAME], field[SUBJECT]) < 0) {
                revoked = -ENOMEM;
            } else {
                fn(field[SERIAL], parse_time(field[END]), aux);
                free(l->lines[i]);
                l->lines[i] = line;
                revoked++;
            }
        }
        free(copy);
    }
    return revoked;
}
