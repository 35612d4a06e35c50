/* worker_commit.c - intervals that are over become rows, and are committed with the position.
 *
 * After worker_claim.c, row.h, copy.h, store.h. */
#include "worker_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "copy.h"
#include "event.h"
#include "log.h"

/* One transaction holds about so much. */
#define COMMIT_BYTES ((size_t)8 << 20)
#define COMMIT_INTERVALS STORE_INTERVALS_MAX
#define REFUSED_WAIT_NS (10 * NS_PER_S)

static void
pend(struct store_write *out, const struct assemble_session *s, struct instant start,
     uint32_t seconds)
{
    struct bytes *const columns[] = {&out->pending_session, &out->pending_start,
                                     &out->pending_until, &out->pending_far};
    const int64_t values[] = {s->id, start.ns / NS_PER_S, start.ns / NS_PER_S + seconds,
                              source_id_of(s->key.far)};
    char text[32];

    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "%s%" PRId64, out->pending_count ? "," : "{", values[i]);
        bytes_text(columns[i], text);
    }
    out->pending_count++;
}

struct making {
    struct worker *w;
    struct instant start;
    uint32_t seconds;
};

static int
make_rows(const struct assemble_session *s, struct dt_record *const records[DIRECTIONS], size_t n,
          bool clean, bool lost, void *aux)
{
    const struct making *m = aux;
    struct store_write *out = &m->w->write;

    for (int d = s->key.rt_only ? DIR_RT : 0; d < DIRECTIONS; d++) {
        const struct copy_place place = {.series_id = s->series[d],
                                         .params_id = s->params_id,
                                         .start = m->start,
                                         .seconds = m->seconds,
                                         .limit_count = s->key.limit_count};
        struct row row;
        int err = row_make(m->w->maker, records[d], n, s->key.limit_count, clean, &row);
        if (err) {
            return err;
        }
        copy_row(&out->rows, &place, &row);
        out->row_count++;
    }
    if (lost && s->key.far[0]) {
        pend(out, s, m->start, m->seconds);
    }
    return 0;
}

static int
make_interval(struct worker *w, struct source *s, struct instant start, uint32_t seconds)
{
    struct making m = {w, start, seconds};
    int err = assemble_rows(s->assemble, make_rows, &m);
    size_t size;

    if (err) {
        return err;
    }
    const uint8_t *record = assemble_liveness(s->assemble, &size);
    if (size) {
        copy_liveness(&w->write.liveness, s->id, start, seconds, record, size);
        w->write.liveness_count++;
    }
    store_write_interval(&w->write, start);
    assemble_done(s->assemble);
    return 0;
}

/* PostgreSQL takes nothing of this source: it waits, and the others go on. */
static int
refuse(struct worker *w, struct source *s)
{
    worker_source_count(s, SOURCE_COMMITS_REFUSED, 1);
    if (log_bucket_pass(&s->bucket, mono_now())) {
        log_errorx("%s: PostgreSQL refuses its rows: %s; the source waits un-acknowledged and is "
                   "tried again",
                   s->name, store_why(w->store));
    }
    s->not_before = span_of_ns(mono_now().ns + REFUSED_WAIT_NS);
    return worker_release(w, s);
}

static int
commit(struct worker *w, struct source *s)
{
    struct store_write *out = &w->write;

    copy_end(&out->rows);
    copy_end(&out->liveness);
    if (!bytes_ok(&out->rows) || !bytes_ok(&out->liveness)) {
        return -ENOMEM;
    }
    out->old = s->committed;
    out->safe = assemble_safe(s->assemble);
    out->written_until = assemble_written_until(s->assemble);
    out->release = s->release[0] ? s->release : NULL;
    out->sessions = assemble_sessions(s->assemble);
    out->servings = s->servings;
    out->sessions_new = false;
    for (const struct assemble_session *a = out->sessions; a && !out->sessions_new; a = a->next) {
        out->sessions_new = assemble_session_due(a, out->safe);
    }
    out->event_count = event_json(&s->events, out->safe, &out->events, &out->refusals);
    int done = store_commit(w->store, out);
    if (done == 0) {
        log_warnx("%s: not ours any more: a commit was refused and changed nothing", s->name);
        worker_source_count(s, SOURCE_FENCE_REFUSED, 1);
        return worker_lose(w, s);
    }
    if (done == -EBADMSG) {
        return refuse(w, s);
    }
    if (done < 0) {
        return done;
    }
    s->committed = out->safe;
    worker_servings_free(s);
    event_drop(&s->events, s->committed);
    worker_source_count(s, SOURCE_COMMITS, 1);
    worker_source_count(s, SOURCE_ROWS, out->row_count);
    worker_count(w, WORKER_ROLLUPS, out->rolled);
    worker_ack(w, s);
    worker_trim(w, s);
    return 0;
}

/* One transaction makes the partitions of all days that it spans: a source whose
 * clock leapt over years gets one for each side. */
static bool
near(const struct store_write *out, struct instant start)
{
    return start.ns / (86400 * NS_PER_S) - out->day_last <= 1;
}

/* Writes every interval of 's' that is over. */
int
worker_write_over(struct worker *w, struct source *s)
{
    struct instant start;
    uint32_t seconds;
    int err = 0;

    while (!err && s->assemble && assemble_over(s->assemble, &start, &seconds)) {
        int n = 0;
        store_write_begin(&w->write, s->id, assemble_written_until(s->assemble));
        do {
            err = make_interval(w, s, start, seconds);
        } while (!err && ++n < COMMIT_INTERVALS && w->write.rows.size < COMMIT_BYTES &&
                 assemble_over(s->assemble, &start, &seconds) && near(&w->write, start));
        if (!err) {
            /* Whoever goes on after this commit does not see again what led to an alarm. */
            err = s->watch ? watch_save(s->watch) : 0;
            err = err ? err : worker_alarms_write_of(w, s);
        }
        if (!err) {
            err = commit(w, s);
        }
    }
    return err;
}
