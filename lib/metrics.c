/* metrics.c - counters and gauges in Prometheus's text format. */
#include "metrics.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "texthash.h"

#define NAME_MAX_BYTES 160

enum kind { KIND_GAUGE, KIND_COUNTER };

struct family {
    UT_hash_handle hh;
    char name[NAME_MAX_BYTES];
    enum kind kind;
    struct evbuffer *lines;
};

struct metrics {
    char prefix[64];
    struct family *families; /* In order of their first sample. */
    bool failed;
};

struct metrics *
metrics_new(const char *program)
{
    struct metrics *m = calloc(1, sizeof *m);

    if (m) {
        snprintf(m->prefix, sizeof m->prefix, "plumbline_%s_", program);
    }
    return m;
}

void
metrics_free(struct metrics *m)
{
    struct family *f, *next;

    if (!m) {
        return;
    }
    HASH_ITER(hh, m->families, f, next)
    {
        HASH_DEL(m->families, f);
        evbuffer_free(f->lines);
        free(f);
    }
    free(m);
}

/* Text in which backslash and line end, and of a label's value the quote, are
 * escaped. */
static int
add_text(struct evbuffer *out, const char *text, const char *escaped)
{
    int err = 0;

    while (*text && !err) {
        size_t plain = strcspn(text, escaped);
        err = plain ? evbuffer_add(out, text, plain) : 0;
        text += plain;
        if (*text && !err) {
            const char two[2] = {'\\', *text == '\n' ? 'n' : *text};
            err = evbuffer_add(out, two, 2);
            text++;
        }
    }
    return err;
}

static int
add_head(const struct family *f, const char *help)
{
    static const char *const kinds[] = {"gauge", "counter"};
    int err = evbuffer_add_printf(f->lines, "# HELP %s ", f->name) < 0;

    err |= add_text(f->lines, help, "\\\n") != 0;
    err |= evbuffer_add_printf(f->lines, "\n# TYPE %s %s\n", f->name, kinds[f->kind]) < 0;
    return err;
}

static struct family *
family_of(struct metrics *m, enum kind kind, const char *name, const char *help)
{
    struct family *f;
    char full[NAME_MAX_BYTES];

    snprintf(full, sizeof full, "%s%s%s", m->prefix, name, kind == KIND_COUNTER ? "_total" : "");
    for (char *c = full; *c; c++) {
        *c = isalnum((unsigned char)*c) ? *c : '_';
    }
    HASH_FIND_STR(m->families, full, f);
    if (f) {
        assert(f->kind == kind);
        return f;
    }
    f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    f->lines = evbuffer_new();
    f->kind = kind;
    memcpy(f->name, full, sizeof full);
    if (!f->lines || add_head(f, help)) {
        if (f->lines) {
            evbuffer_free(f->lines);
        }
        free(f);
        return NULL;
    }
    HASH_ADD_STR(m->families, name, f);
    return f;
}

static int
add_labels(struct evbuffer *out, const struct metrics_label *labels)
{
    const char *before = "{";
    int err = 0;

    for (; labels && labels->name; labels++) {
        err |= evbuffer_add_printf(out, "%s%s=\"", before, labels->name) < 0;
        err |= add_text(out, labels->value, "\\\n\"") != 0;
        err |= evbuffer_add(out, "\"", 1) != 0;
        before = ",";
    }
    return before[0] == ',' ? err | (evbuffer_add(out, "}", 1) != 0) : err;
}

static void
add_sample(struct metrics *m, enum kind kind, const char *name, const char *help,
           const struct metrics_label *labels, const char *value)
{
    struct family *f = family_of(m, kind, name, help);

    if (!f || evbuffer_add_printf(f->lines, "%s", f->name) < 0 || add_labels(f->lines, labels) ||
        evbuffer_add_printf(f->lines, " %s\n", value) < 0) {
        m->failed = true;
    }
}

void
metrics_gauge(struct metrics *m, const char *name, const char *help,
              const struct metrics_label *labels, double value)
{
    char text[40];

    if (isnan(value)) {
        snprintf(text, sizeof text, "NaN");
    } else if (isinf(value)) {
        snprintf(text, sizeof text, value > 0 ? "+Inf" : "-Inf");
    } else if (fabs(value) < 0x1p53 && value == trunc(value)) {
        snprintf(text, sizeof text, "%.0f", value);
    } else {
        snprintf(text, sizeof text, "%.12g", value);
    }
    add_sample(m, KIND_GAUGE, name, help, labels, text);
}

void
metrics_counter(struct metrics *m, const char *name, const char *help,
                const struct metrics_label *labels, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    add_sample(m, KIND_COUNTER, name, help, labels, text);
}

void
metrics_group(struct metrics *m, const struct counter_group *group,
              const struct metrics_label *labels)
{
    for (unsigned i = 0; i < group->count; i++) {
        char name[NAME_MAX_BYTES], fallback[160];
        const char *help = metrics_help(group->name, group->names[i]);
        if (!help) {
            snprintf(fallback, sizeof fallback, "What '%s' counted as '%s'.", group->name,
                     group->names[i]);
            help = fallback;
        }
        snprintf(name, sizeof name, "%s_%s", group->name, group->names[i]);
        metrics_counter(m, name, help, labels, counter_get(&group->counters[i]));
    }
}

int
metrics_format(struct metrics *m, struct evbuffer *out)
{
    struct family *f, *next;

    HASH_ITER(hh, m->families, f, next)
    {
        struct evbuffer_iovec whole;
        size_t size = evbuffer_get_length(f->lines);
        if (evbuffer_pullup(f->lines, -1) == NULL ||
            evbuffer_peek(f->lines, -1, NULL, &whole, 1) != 1 ||
            evbuffer_add(out, whole.iov_base, size) != 0) {
            return -ENOMEM;
        }
    }
    return m->failed ? -ENOMEM : 0;
}
