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

/* The ways' series, in the order in which judgestore_rows() asks for them. */
static int
ask_for(struct rounds *r, struct way *const *ways, size_t count)
{
    r->asked_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct way *w = ways[i];
        w->slot = i;
        if (r->asked_count + w->series_count > r->asked_room) {
            size_t room = 2 * (r->asked_count + w->series_count);
            const struct way_series **more = realloc(r->asked, room * sizeof *more);
            if (!more) {
                return -ENOMEM;
            }
            r->asked = more;
            r->asked_room = room;
        }
        for (size_t k = 0; k < w->series_count; k++) {
            r->asked[r->asked_count++] = &w->series[k];
        }
    }
    return 0;
}

/* Sorts rows into lists by way, direction and interval. */
int
rounds_sort_rows(struct rounds *r, const PGresult *rows, struct way *const *ways, size_t count)
{
    size_t row_count = (size_t)PQntuples(rows);
    int err = ask_for(r, ways, count);

    if (row_count > r->next_room) {
        int *more = realloc(r->next, row_count * sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        r->next = more;
        r->next_room = row_count;
    }
    memset(r->heads, -1, count * sizeof r->heads[0]);
    for (size_t i = 0; i < row_count && !err; i++) {
        size_t place = judgestore_series(rows, (int)i);
        if (place >= r->asked_count) {
            continue;
        }
        const struct way_series *s = r->asked[place];
        int64_t interval =
            (judgestore_start(rows, (int)i).ns - s->way->next.ns) / s->way->interval.ns;
        if (interval >= 0 && interval < WAY_INTERVALS_MAX) {
            int *head = &r->heads[s->way->slot][s->direction][interval];
            r->next[i] = *head;
            *head = (int)i;
        }
    }
    return err;
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
        const struct way_series *series = r->asked[judgestore_series(rows, row)];
        struct judgestore_params *params = params_of(r, judgestore_params_id(rows, row), &err);
        struct measured_row one;
        if (err || !judgestore_measured(rows, row, series, params, &one)) {
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
