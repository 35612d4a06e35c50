/* exclusion.c - which windows count, and which delta-t they take out of W. */
#include "exclusion.h"

#include <assert.h>
#include <stdlib.h>

/* The order is total, so that the same windows give the same result however they were read. */
static int
compare(const void *left, const void *right)
{
    const struct exclusion_window *a = left, *b = right;
    int64_t x[] = {a->start.ns, a->end.ns, a->kind, a->announced.ns};
    int64_t y[] = {b->start.ns, b->end.ns, b->kind, b->announced.ns};

    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

static bool
counts(const struct exclusion_window *w, struct span notice)
{
    int64_t latest;

    if (!instant_before(w->start, w->end)) {
        return false;
    }
    /* Does not fit: 'start' is so long ago that nobody announced it. */
    return w->kind != EXCLUSION_MAINTENANCE ||
           (!__builtin_sub_overflow(w->start.ns, notice.ns, &latest) && w->announced.ns <= latest);
}

/* A month's allowance, given out from its start on. */
struct allowance {
    struct instant end;     /* The month's. */
    struct instant covered; /* Maintenance before this is paid for, or before the month. */
    struct span left;
};

/* Cuts 'w' to what it gets; false: nothing.  The windows come sorted by start, so that what others
 * have paid for already is all before 'covered'. */
static bool
draw(struct allowance *a, struct exclusion_window *w, struct instant month)
{
    struct instant start = instant_before(w->start, month) ? month : w->start;
    struct instant end = instant_before(a->end, w->end) ? a->end : w->end;
    struct instant unpaid = instant_before(start, a->covered) ? a->covered : start;

    if (instant_before(unpaid, end)) {
        struct span wanted = instant_sub(end, unpaid);
        struct span given = wanted.ns < a->left.ns ? wanted : a->left;
        end = instant_add(unpaid, given);
        a->left.ns -= given.ns;
        a->covered = end;
    }
    w->start = start;
    w->end = end;
    return instant_before(start, end);
}

size_t
exclusion_valid(const struct exclusion_window *windows, size_t count, struct span notice,
                struct span allowance, struct instant month, struct instant month_end,
                struct exclusion_window *out)
{
    struct allowance a = {.end = month_end, .covered = month, .left = allowance};
    size_t candidates = 0, kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (counts(&windows[i], notice)) {
            out[candidates++] = windows[i];
        }
    }
    qsort(out, candidates, sizeof *out, compare);
    for (size_t i = 0; i < candidates; i++) {
        struct exclusion_window w = out[i];
        bool bounded = allowance.ns > 0 && w.kind == EXCLUSION_MAINTENANCE;
        if (!bounded || draw(&a, &w, month)) {
            out[kept++] = w;
        }
    }
    qsort(out, kept, sizeof *out, compare); /* The month's start may have cut some. */
    return kept;
}

void
exclusion_mark(const struct exclusion_window *windows, size_t count, struct instant start,
               struct span dt, size_t dt_count, uint8_t *kinds)
{
    struct instant end = {.ns = start.ns + dt.ns * (int64_t)dt_count};

    assert(dt.ns > 0);
    for (size_t i = 0; i < count; i++) {
        const struct exclusion_window *w = &windows[i];
        /* Cut before subtracting: a window may reach to the ends of time. */
        struct instant from = instant_before(w->start, start) ? start : w->start;
        struct instant to = instant_before(end, w->end) ? end : w->end;

        assert(w->kind > EXCLUSION_NONE && w->kind < EXCLUSION_KINDS);
        if (!instant_before(from, to)) {
            continue;
        }
        /* To the first delta-t that begins at or after the window's end. */
        size_t first = (size_t)((from.ns - start.ns) / dt.ns);
        size_t after = (size_t)((to.ns - start.ns - 1) / dt.ns) + 1;
        for (size_t k = first; k < after; k++) {
            if (kinds[k] == EXCLUSION_NONE || kinds[k] > w->kind) {
                kinds[k] = (uint8_t)w->kind;
            }
        }
    }
}
