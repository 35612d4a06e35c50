/* rounds_rows.c - rows of a chunk of ways, by way, direction and interval. */
#include "rounds_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

static struct judgestore_params *
params_of(struct rounds *r, int64_t id, int *err)
{
    struct entry *e = map_find(&r->params, id);

    if (!e) {
        struct judgestore_params *p = malloc(sizeof *p);
        *err = p ? judgestore_params(r->store, id, p) : -ENOMEM;
        if (!*err) {
            *err = map_add(&r->params, (struct entry){.id = id, .params = p});
        }
        if (*err) {
            free(p);
            return NULL;
        }
        map_sort(&r->params);
        return p;
    }
    return e->params;
}

/* Sorts rows into lists by way, direction and interval. */
int
rounds_sort_rows(struct rounds *r, const PGresult *rows, struct way *const *ways, size_t count)
{
    size_t row_count = (size_t)PQntuples(rows);

    if (row_count > r->next_room) {
        int *more = realloc(r->next, row_count * sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        r->next = more;
        r->next_room = row_count;
    }
    memset(r->heads, -1, sizeof r->heads);
    for (size_t i = 0; i < row_count; i++) {
        const struct entry *e = map_find(&r->series, judgestore_series(rows, (int)i));
        size_t slot = 0;
        while (e && slot < count && ways[slot] != e->series->way) {
            slot++;
        }
        if (!e || slot == count) {
            continue;
        }
        const struct way *w = ways[slot];
        int64_t interval = (judgestore_start(rows, (int)i).ns - w->next.ns) / w->interval.ns;
        if (interval >= 0 && interval < WAY_INTERVALS_MAX) {
            int *head = &r->heads[slot][e->series->direction][interval];
            r->next[i] = *head;
            *head = (int)i;
        }
    }
    return 0;
}

/* One interval of one direction from its rows. */
int
rounds_measure(struct rounds *r, const PGresult *rows, int head, const struct way *w,
               struct measured **at)
{
    int err = 0;

    if (!*at && !(*at = measured_new())) {
        return -ENOMEM;
    }
    measured_begin(*at, w->dt_count);
    for (int row = head; row >= 0 && !err; row = r->next[row]) {
        const struct entry *e = map_find(&r->series, judgestore_series(rows, row));
        struct judgestore_params *params = params_of(r, judgestore_params_id(rows, row), &err);
        struct measured_row one;
        if (err || !judgestore_measured(rows, row, e->series, params, &one)) {
            counter_add(&r->counters[JUDGE_BAD_ROWS], !err);
            continue;
        }
        err = measured_add(*at, &one);
    }
    err = err ? err : measured_end(*at);
    if (err == -EBADMSG || err == -EOVERFLOW) {
        /* Then nothing is known of it. */
        counter_add(&r->counters[JUDGE_BAD_ROWS], 1);
        measured_begin(*at, w->dt_count);
        err = measured_end(*at);
    }
    return err;
}
