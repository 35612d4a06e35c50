/* fault.c - collecting, sorting and printing faults. */
#include "fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

/* Columns of a line that are shown: longer lines are shown around the caret. */
#define SHOWN_COLUMNS 100u
#define NEAREST_LENGTH_MAX 64u

struct fault_file {
    const char *name;
    const char *bytes;
    size_t size;
    unsigned order;
    size_t line_count;
    const size_t *lines; /* Offset at which each begins. */
};

struct faults {
    struct pool *pool;
    struct fault *kept;
    size_t count, room;
    size_t found[2]; /* By severity. */
    unsigned files;
};

struct faults *
faults_new(void)
{
    struct faults *f = calloc(1, sizeof *f);
    assert(f != NULL);
    f->pool = pool_new();
    return f;
}

void
faults_free(struct faults *f)
{
    if (f) {
        pool_free(f->pool);
        free(f->kept);
        free(f);
    }
}

const struct fault_file *
faults_file(struct faults *f, const char *name, const char *bytes, size_t size)
{
    struct fault_file *file = pool_alloc(f->pool, sizeof *file);
    size_t count = 1;

    for (size_t i = 0; i < size; i++) {
        count += bytes[i] == '\n';
    }
    size_t *lines = pool_array(f->pool, count, sizeof *lines);
    size_t at = 1;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            lines[at++] = i + 1;
        }
    }
    *file = (struct fault_file){
        .name = pool_text(f->pool, name, strlen(name)),
        .bytes = pool_text(f->pool, bytes, size),
        .size = size,
        .order = f->files++,
        .line_count = count,
        .lines = lines,
    };
    return file;
}

const char *
fault_file_name(const struct fault_file *file)
{
    return file->name;
}

static void fault_add(struct faults *f, enum fault_severity severity, struct place at,
                      const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static void
fault_add(struct faults *f, enum fault_severity severity, struct place at, const char *format,
          va_list args)
{
    char text[1024];

    f->found[severity]++;
    if (f->count >= FAULTS_KEPT) {
        return;
    }
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        struct fault *more = realloc(f->kept, room * sizeof *more);
        assert(more != NULL);
        f->kept = more;
        f->room = room;
    }
    vsnprintf(text, sizeof text, format, args);
    f->kept[f->count] = (struct fault){
        .severity = severity,
        .at = at,
        .message = pool_text(f->pool, text, strlen(text)),
        .serial = f->count,
    };
    f->count++;
}

void
fault_error(struct faults *f, struct place at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_add(f, FAULT_ERROR, at, format, args);
    va_end(args);
}

void
fault_warning(struct faults *f, struct place at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_add(f, FAULT_WARNING, at, format, args);
    va_end(args);
}

size_t
faults_errors(const struct faults *f)
{
    return f->found[FAULT_ERROR];
}

size_t
faults_warnings(const struct faults *f)
{
    return f->found[FAULT_WARNING];
}

static int
fault_compare(const void *left, const void *right)
{
    const struct fault *a = left, *b = right;

    if (a->at.file != b->at.file) {
        unsigned x = a->at.file ? a->at.file->order + 1 : 0;
        unsigned y = b->at.file ? b->at.file->order + 1 : 0;
        return x < y ? -1 : 1;
    }
    if (a->at.line != b->at.line) {
        return a->at.line < b->at.line ? -1 : 1;
    }
    if (a->at.column != b->at.column) {
        return a->at.column < b->at.column ? -1 : 1;
    }
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

const struct fault *
faults_sorted(struct faults *f, size_t *count)
{
    if (f->count) {
        qsort(f->kept, f->count, sizeof *f->kept, fault_compare);
    }
    *count = f->count;
    return f->kept;
}

static bool
is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* One character of the line as it is shown: what could move the cursor or is not
 * UTF-8 would spoil the terminal, so it becomes '?'. */
static void
put_shown(FILE *to, const char *at, size_t size)
{
    unsigned char lead = (unsigned char)at[0];
    size_t need = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : 2;
    bool good = size == need && lead != 0x7f && (lead >= 0xc2 || lead < 0x80) && lead < 0xf5 &&
                !(lead == 0xc2 && (unsigned char)at[size - 1] < 0xa0);

    if (lead == '\t') {
        fputc(' ', to);
    } else if (lead < 0x20 || !good) {
        fputc('?', to);
    } else {
        fwrite(at, 1, size, to);
    }
}

/* The line of 'at', cut to what surrounds the column, and a caret under it. */
static void
print_line(FILE *to, struct place at)
{
    const struct fault_file *file = at.file;
    if (!file || at.line == 0 || at.line > file->line_count) {
        return;
    }
    size_t i = file->lines[at.line - 1];
    size_t end = at.line < file->line_count ? file->lines[at.line] - 1 : file->size;
    uint32_t first = at.column > SHOWN_COLUMNS - 20 ? at.column - (SHOWN_COLUMNS - 20) : 1;
    uint32_t column = 1;

    if (end > i && file->bytes[end - 1] == '\r') {
        end--;
    }
    fprintf(to, "%6u | ", at.line);
    while (i < end && column < first + SHOWN_COLUMNS) {
        size_t size = 1;
        while (i + size < end && size < 4 && is_continuation(file->bytes[i + size])) {
            size++;
        }
        if (column >= first) {
            put_shown(to, file->bytes + i, size);
        }
        column++;
        i += size;
    }
    fprintf(to, "\n       | %*s^\n", at.column > first ? (int)(at.column - first) : 0, "");
}

static void
print_place(FILE *to, struct place at)
{
    if (!at.file) {
        return;
    }
    if (at.line) {
        fprintf(to, "%s:%u:%u: ", at.file->name, at.line, at.column);
    } else {
        fprintf(to, "%s: ", at.file->name);
    }
}

void
faults_print(struct faults *f, FILE *to, size_t max)
{
    size_t count;
    const struct fault *all = faults_sorted(f, &count);
    size_t found = f->found[FAULT_ERROR] + f->found[FAULT_WARNING];
    size_t shown = count < max ? count : max;

    for (size_t i = 0; i < shown; i++) {
        print_place(to, all[i].at);
        fprintf(to, "%s: %s\n", all[i].severity == FAULT_ERROR ? "error" : "warning",
                all[i].message);
        print_line(to, all[i].at);
    }
    if (found > shown) {
        fprintf(to, "... and %zu more\n", found - shown);
    }
}

static unsigned
edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned row[NEAREST_LENGTH_MAX + 1];

    for (size_t j = 0; j <= b_length; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned up = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[b_length];
}

void
nearest_offer(struct nearest *n, const char *word)
{
    size_t wanted = strlen(n->wanted), length = strlen(word);

    if (wanted > NEAREST_LENGTH_MAX || length > NEAREST_LENGTH_MAX || wanted == 0) {
        return;
    }
    unsigned most = wanted < 4 ? 1 : wanted < 8 ? 2 : 3;
    unsigned apart = (unsigned)(wanted > length ? wanted - length : length - wanted);
    if (apart > most || (n->best && apart >= n->distance)) {
        return;
    }
    unsigned distance = edit_distance(n->wanted, wanted, word, length);
    if (distance <= most && (!n->best || distance < n->distance)) {
        n->best = word;
        n->distance = distance;
    }
}

const char *
nearest_text(const struct nearest *n, char *buf, size_t size)
{
    if (n->best) {
        snprintf(buf, size, "; did you mean '%s'?", n->best);
    } else {
        snprintf(buf, size, "%s", "");
    }
    return buf;
}
