/* rounds.c - the order of things in a round. */
#include "rounds_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "log.h"
#include "promise.h"

/* So many promises are written in one transaction. */
#define PROMISES_AT_ONCE 500
/* Up to so many lines their open quarter hours are stored every round; of more, those that tell
 * something. */
#define OPEN_LINES 3000

int
map_add(struct map *m, struct entry e)
{
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 256;
        struct entry *more = realloc(m->list, room * sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        m->list = more;
        m->room = room;
    }
    m->list[m->count++] = e;
    return 0;
}

static int
compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

void
map_sort(struct map *m)
{
    if (m->count) {
        qsort(m->list, m->count, sizeof *m->list, compare_entries);
    }
}

struct entry *
map_find(const struct map *m, int64_t id)
{
    const struct entry wanted = {.id = id};

    return m->count ? bsearch(&wanted, m->list, m->count, sizeof wanted, compare_entries) : NULL;
}

/* --- Making --------------------------------------------------------------- */

static int
list_lines(struct rounds *r)
{
    size_t room = r->plan->bond_count;

    for (size_t i = 0; i < r->plan->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            for (const struct line *l = r->plan->ways[i]->lines[d]; l; l = l->next) {
                room++;
            }
        }
    }
    r->lines = calloc(room + 1, sizeof(struct line *));
    if (!r->lines) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < r->plan->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            for (struct line *l = r->plan->ways[i]->lines[d]; l; l = l->next) {
                r->lines[r->line_count++] = l;
            }
        }
    }
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        r->lines[r->line_count++] = r->plan->bonds[i]->line;
    }
    return 0;
}

static int
make_lists(struct rounds *r)
{
    r->ready = calloc(r->plan->way_count + 1, sizeof(struct way *));
    r->moved = calloc(r->plan->way_count + 1, sizeof(struct way *));
    r->moved_bonds = calloc(r->plan->bond_count + 1, sizeof(struct bond *));
    return r->ready && r->moved && r->moved_bonds ? list_lines(r) : -ENOMEM;
}

/* --- Storing -------------------------------------------------------------- */

static bool
tells_something(const struct line *l)
{
    const struct tally *t = &l->tally;

    return l->scope_kind != LINE_LINK || t->lost_raw ||
           t->excluded[EXCLUSION_NONE] != t->available || t->undetermined_available;
}

static int
day_of(struct rounds *r, struct instant at)
{
    int64_t day = at.ns / NS_PER_S / 86400;
    int err = day == r->day ? 0 : judgestore_day(r->store, at);

    r->day = day;
    return err;
}

/* What is complete is written, and the next quarter hour begins. */
static int
store_line(struct rounds *r, struct line *l)
{
    int err = 0;

    if (line_is_complete(l)) {
        err = day_of(r, l->quarter);
        err = err ? err : judgestore_add(r->store, l);
        err = err ? err : line_next(l);
        counter_add(&r->counters[JUDGE_QUARTERS], 1);
    }
    return err;
}

static int
store_ways_lines(struct rounds *r, struct way *w)
{
    int err = 0;

    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        for (struct line *l = w->lines[d]; l && !err; l = l->next) {
            err = store_line(r, l);
        }
    }
    return err;
}

static int
store_open_line(struct rounds *r, struct line *l)
{
    int err = 0;

    if (l->quarter.ns >= 0 && l->until.ns > l->quarter.ns && l->until.ns != l->stored_until.ns &&
        (r->line_count <= OPEN_LINES || tells_something(l))) {
        err = day_of(r, l->quarter);
        err = err ? err : judgestore_add(r->store, l);
        err = err ? err : judgestore_next(r->store);
        l->stored_until = l->until;
    }
    return err;
}

/* Of what was judged in this round. */
static int
store_open(struct rounds *r)
{
    int err = judgestore_begin(r->store);

    for (size_t i = 0; i < r->moved_count && !err; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            for (struct line *l = r->moved[i]->lines[d]; l && !err; l = l->next) {
                err = store_open_line(r, l);
            }
        }
    }
    for (size_t i = 0; i < r->moved_bond_count && !err; i++) {
        err = store_open_line(r, r->moved_bonds[i]->line);
    }
    err = err ? err : judgestore_flush(r->store);
    return err ? err : judgestore_commit(r->store);
}

/* --- Ways ----------------------------------------------------------------- */

static int
judge_way(struct rounds *r, const PGresult *rows, size_t slot, struct way *w, unsigned count)
{
    struct measured *part[DIRECTIONS][WAY_INTERVALS_MAX];
    unsigned done = 0;
    int err = 0, n = 1;

    for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
        for (unsigned i = 0; i < count && w->used[d] && !err; i++) {
            err = rounds_measure(r, rows, r->heads[slot][d][i], w, &r->measured[d][i]);
        }
    }
    while (!err && n > 0 && done < count) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            memcpy(part[d], r->measured[d] + done, (count - done) * sizeof part[d][0]);
        }
        n = way_step(w, part, count - done);
        err = n < 0 ? n : store_ways_lines(r, w);
        done += n > 0 ? (unsigned)n : 0;
    }
    counter_add(&r->counters[JUDGE_INTERVALS], done);
    if (done) {
        r->moved[r->moved_count++] = w;
    }
    return err;
}

static int
judge_chunk(struct rounds *r, struct way *const *ways, size_t count, unsigned intervals)
{
    struct instant from = ways[0]->next,
                   until = instant_of_ns(from.ns + intervals * ways[0]->interval.ns);
    PGresult *rows = judgestore_rows(r->store, ways, count, from, until);
    int err = rows ? rounds_sort_rows(r, rows, ways, count) : -EIO;

    err = err ? err : judgestore_begin(r->store);
    for (size_t i = 0; i < count && !err; i++) {
        err = judge_way(r, rows, i, ways[i], intervals);
        err = err ? err : judgestore_next(r->store);
        ways[i]->tried = until;
    }
    PQclear(rows);
    err = err ? err : judgestore_flush(r->store);
    return err ? err : judgestore_commit(r->store);
}

/* Intervals that are final and not judged; 0 also where they were tried in vain. */
static unsigned
ready(const struct way *w)
{
    if (w->next.ns < 0 || w->horizon.ns <= w->tried.ns) {
        return 0;
    }
    int64_t n = (w->horizon.ns - w->next.ns) / w->interval.ns;
    return n < 0 ? 0 : n > WAY_INTERVALS_MAX ? WAY_INTERVALS_MAX : (unsigned)n;
}

/* By how far they are, so that those that are equally far lie together. */
static int
compare_ready(const void *a, const void *b)
{
    const struct way *x = *(struct way *const *)a, *y = *(struct way *const *)b;
    int64_t left[] = {x->next.ns, ready(x), x->interval.ns};
    int64_t right[] = {y->next.ns, ready(y), y->interval.ns};

    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Ways that are equally far are read together.  Whether there may be more. */
static int
judge_ways(struct rounds *r, bool *more)
{
    size_t count = 0;
    int err = 0;

    *more = false;
    r->moved_count = 0;
    for (size_t i = 0; i < r->plan->way_count; i++) {
        if (ready(r->plan->ways[i])) {
            r->ready[count++] = r->plan->ways[i];
        }
    }
    if (count) {
        qsort(r->ready, count, sizeof(struct way *), compare_ready);
    }
    for (size_t i = 0; i < count && !err;) {
        unsigned intervals = ready(r->ready[i]);
        size_t first = i, most = ROUNDS_CHUNK_INTERVALS / intervals;
        most = most < ROUNDS_CHUNK ? most : ROUNDS_CHUNK;
        while (i < count && i < first + most &&
               compare_ready(&r->ready[first], &r->ready[i]) == 0) {
            i++;
        }
        err = judge_chunk(r, r->ready + first, i - first, intervals);
        *more = *more || intervals == WAY_INTERVALS_MAX;
    }
    return err;
}

/* --- Horizons ------------------------------------------------------------- */

static int
on_source(int64_t source_id, int64_t until_ns, void *aux)
{
    struct rounds *r = aux;

    return map_add(&r->sources, (struct entry){.id = source_id, .ns = until_ns});
}

static int
on_pending(int64_t series_id, int64_t start_ns, void *aux)
{
    struct rounds *r = aux;

    return map_add(&r->pending, (struct entry){.id = series_id, .ns = start_ns});
}

static int
horizons(struct rounds *r, struct instant now)
{
    r->sources.count = r->pending.count = 0;
    /* Sources first: what is committed by then has said what it waits for. */
    int err = judgestore_sources(r->store, on_source, r);
    err = err ? err : judgestore_pending(r->store, on_pending, r);
    map_sort(&r->sources);
    map_sort(&r->pending);
    for (size_t i = 0; i < r->plan->way_count && !err; i++) {
        struct way *w = r->plan->ways[i];
        int64_t until = now.ns;
        for (size_t k = 0; k < w->series_count; k++) {
            const struct way_series *one = &w->series[k];
            if (k == 0 || one->source_id != w->series[k - 1].source_id) {
                const struct entry *s = map_find(&r->sources, one->source_id);
                until = !s ? -1 : s->ns < until ? s->ns : until;
            }
            /* The session's name for what it waits for. */
            const struct entry *p =
                one->direction == DIR_RT ? map_find(&r->pending, one->series_id) : NULL;
            until = p && p->ns < until ? p->ns : until;
        }
        w->horizon = instant_of_ns(until / w->interval.ns * w->interval.ns);
    }
    return err;
}

/* --- Wholes and promises -------------------------------------------------- */

static int
judge_bonds(struct rounds *r)
{
    int err = judgestore_begin(r->store);

    r->moved_bond_count = 0;
    for (size_t i = 0; i < r->plan->bond_count && !err; i++) {
        struct bond *b = r->plan->bonds[i];
        bool moved = false;
        int n = 1;
        if (b->next.ns < 0) {
            rounds_begin_bond(b);
        }
        while (n > 0 && !err && b->next.ns >= 0) {
            n = bond_step(b);
            err = n < 0 ? n : store_line(r, b->line);
            moved = moved || n > 0;
        }
        if (moved) {
            r->moved_bonds[r->moved_bond_count++] = b;
            err = err ? err : judgestore_next(r->store);
        }
    }
    err = err ? err : judgestore_flush(r->store);
    return err ? err : judgestore_commit(r->store);
}

/* States that nobody will ask for any more. */
static void
trim(struct rounds *r)
{
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        for (size_t k = 0; k < r->plan->bonds[i]->part_count; k++) {
            struct bond_part *p = &r->plan->bonds[i]->parts[k];
            struct instant *keep = p->way ? &p->way->keep : &p->bond->keep;
            keep->ns = INT64_MAX;
        }
    }
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        const struct bond *b = r->plan->bonds[i];
        /* One that was not begun needs nothing of what is there. */
        for (size_t k = 0; k < b->part_count && b->next.ns >= 0; k++) {
            const struct bond_part *p = &b->parts[k];
            struct instant *keep = p->way ? &p->way->keep : &p->bond->keep;
            keep->ns = b->next.ns < keep->ns ? b->next.ns : keep->ns;
        }
    }
    for (size_t i = 0; i < r->plan->way_count; i++) {
        struct way *w = r->plan->ways[i];
        if (w->users) {
            way_states_trim(&w->states, w->keep, w->class_->dt);
        }
    }
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        struct bond *b = r->plan->bonds[i];
        if (b->users) {
            way_states_trim(&b->states, b->keep, b->dt);
        }
    }
}

/* Publishes what is over, a month after the other, and says how the one that runs stands. '*began':
 * another month runs now. */
static int
judge_promise(struct rounds *r, struct promise *p, bool *began)
{
    int err = 0, revision;

    while (!err && promise_is_over(p)) {
        struct instant end = p->month_end;
        err = promise_close(r->store, p, &revision);
        counter_add(&r->counters[JUDGE_VERDICTS], !err && revision >= 0);
        err = err ? err : promise_begin(r->store, p, end);
        *began = true;
    }
    return err ? err : promise_state(r->store, p, &r->states);
}

static int
commit_promises(struct rounds *r)
{
    int err = promise_flush(r->store, &r->states);

    return err ? err : judgestore_commit(r->store);
}

static int
judge_promises(struct rounds *r, struct instant now)
{
    bool began = false;
    size_t count = 0;
    int err = 0;

    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        struct promise *p = &r->plan->promises[i];
        int64_t seen = rounds_stamp(p);
        bool moved = p->seen != seen || (p->fresh && promise_is_over(p));
        p->seen = seen;
        p->fresh = false;
        if (!moved) {
            continue;
        }
        err = count ? 0 : judgestore_begin(r->store);
        err = err ? err : judge_promise(r, p, &began);
        if (!err && ++count == PROMISES_AT_ONCE) {
            err = commit_promises(r);
            count = 0;
        }
    }
    err = err || !count ? err : commit_promises(r);
    /* The notice of a window is another one's in another version of the contract. */
    return err || !began ? err : rounds_windows(r, now);
}

/* --- A round -------------------------------------------------------------- */

int
rounds_new(const struct inventory *inv, struct judgestore *store, struct counter *counters,
           struct rounds **out)
{
    struct rounds *r = calloc(1, sizeof *r);
    size_t left_out = 0;
    int err = r ? 0 : -ENOMEM;

    if (r) {
        r->store = store;
        r->counters = counters;
        r->day = -1;
        err = judgeplan_new(inv, &r->plan, &left_out);
    }
    err = err ? err : make_lists(r);
    if (!err) {
        counter_set(&counters[JUDGE_LEFT_OUT], left_out);
        err = rounds_begin(r, instant_now());
    }
    if (err) {
        rounds_free(r);
        return err;
    }
    *out = r;
    return 0;
}

void
rounds_free(struct rounds *r)
{
    if (!r) {
        return;
    }
    for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
        for (unsigned i = 0; i < WAY_INTERVALS_MAX; i++) {
            measured_free(r->measured[d][i]);
        }
    }
    for (size_t i = 0; i < r->params.count; i++) {
        free(r->params.list[i].params);
    }
    judgeplan_free(r->plan);
    free(r->sources.list);
    free(r->pending.list);
    free(r->params.list);
    free(r->lines);
    free(r->next);
    free(r->ready);
    free(r->moved);
    free(r->moved_bonds);
    free(r->asked);
    promise_states_fini(&r->states);
    free(r);
}

int
rounds_run(struct rounds *r, struct instant now)
{
    bool changed = false, more = true;
    int err = rounds_changes(r, &changed);

    if (!err && now.ns >= r->look_again.ns) {
        bool found = false;
        err = changed ? 0 : rounds_look_again(r, now, &found);
        changed = changed || found;
        r->look_again = instant_of_ns(now.ns + 10 * NS_PER_S);
    }
    if (!err && changed) {
        err = rounds_begin(r, now);
    }
    while (!err && more) {
        err = horizons(r, now);
        err = err ? err : judge_ways(r, &more);
        if (!err && r->moved_count) {
            err = judge_bonds(r);
            trim(r);
            err = err ? err : store_open(r);
        }
        err = err ? err : judge_promises(r, now);
    }
    return err;
}

void
rounds_until(const struct rounds *r, struct instant *newest, struct instant *oldest)
{
    *newest = *oldest = instant_of_ns(-1);
    for (size_t i = 0; i < r->plan->way_count; i++) {
        struct instant until = r->plan->ways[i]->next;
        if (until.ns >= 0) {
            *newest = until.ns > newest->ns ? until : *newest;
            *oldest = oldest->ns < 0 || until.ns < oldest->ns ? until : *oldest;
        }
    }
}
