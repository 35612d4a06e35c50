/* worker_source.c - what a worker knows of a source beside its intervals: what it tells of itself,
 * which links it serves, its events; and how all of it is forgotten.
 *
 * After assemble.h, event.h. */
#include "worker_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "log.h"

void
worker_servings_free(struct source *s)
{
    while (s->servings) {
        struct store_serving *next = s->servings->next;
        for (size_t i = 0; i < s->servings->object_count; i++) {
            free(s->servings->objects[i]);
        }
        free(s->servings->objects);
        free(s->servings);
        s->servings = next;
    }
}

/* Forgets all that was known of a claim; PostgreSQL is not touched. */
void
worker_drop(struct worker *w, struct source *s)
{
    if (!s->assemble) {
        return;
    }
    assemble_free(s->assemble);
    s->assemble = NULL;
    watch_free(s->watch);
    s->watch = NULL;
    worker_servings_free(s);
    event_clear(&s->events);
    free(s->serving_ids);
    s->serving_ids = NULL;
    s->serving_count = 0;
    s->wants = s->full_told = s->has_health = s->live_due = false;
    s->live_told = span_of_ns(0);
    s->release[0] = '\0';
    s->generation = 0;
    w->claimed--;
}

static int
note_serving(struct source *s, const Plumbline__Telemetry__Serving *m)
{
    for (size_t i = 0; i < s->serving_count; i++) {
        if (s->serving_ids[i] == m->serving_id) {
            return 0;
        }
    }
    int64_t *ids = reallocarray(s->serving_ids, s->serving_count + 1, sizeof *ids);
    struct store_serving *v = calloc(1, sizeof *v);
    if (ids) {
        s->serving_ids = ids;
    }
    if (!ids || !v) {
        free(v);
        return -ENOMEM;
    }
    v->id = m->serving_id;
    v->objects = calloc(m->n_objects ? m->n_objects : 1, sizeof v->objects[0]);
    for (size_t i = 0; v->objects && i < m->n_objects; i++) {
        /* Names that are no keys can be no link either. */
        if (telemetry_name_ok(m->objects[i]) &&
            (v->objects[v->object_count] = strdup(m->objects[i]))) {
            v->object_count++;
        }
    }
    ids[s->serving_count++] = m->serving_id;
    v->next = s->servings;
    s->servings = v;
    return 0;
}

/* What it tells beside its measurements. */
int
worker_note_events(struct source *s, struct position p, const pb_batch *batch, struct instant now)
{
    struct event_tally t = {0};
    int err = event_take(&s->events, s->assemble, p, batch, now, &t);

    worker_source_count(s, SOURCE_EVENTS, t.taken);
    worker_source_count(s, SOURCE_EVENTS_REFUSED, t.refused);
    worker_source_count(s, SOURCE_EVENTS_OVER, t.over);
    return err;
}

int
worker_note_traces(struct worker *w, struct source *s, const pb_batch *batch)
{
    uint64_t refused = 0;
    char why[256];

    if (!batch->n_traces) {
        return 0;
    }
    int err = trace_write(store_connection(w->store), w->inventory, s->name, batch, &refused, why,
                          sizeof why);
    worker_source_count(s, SOURCE_TRACES_REFUSED, refused);
    return err;
}

int
worker_note(struct source *s, const pb_batch *batch, size_t size)
{
    if (batch->made_at_ns) {
        s->made_at = instant_of_ns(batch->made_at_ns);
    }
    if (batch->epoch_start && batch->epoch_start->release[0] &&
        telemetry_name_ok(batch->epoch_start->release)) {
        snprintf(s->release, sizeof s->release, "%s", batch->epoch_start->release);
    }
    if (batch->n_liveness) {
        s->generation = batch->liveness[batch->n_liveness - 1]->generation;
    }
    if (batch->health) {
        s->health = *batch->health;
        s->health.base.n_unknown_fields = 0;
        s->health.base.unknown_fields = NULL;
        s->has_health = true;
    }
    s->batch_bytes = size;
    s->live_due = true;
    return batch->serving ? note_serving(s, batch->serving) : 0;
}

/* A counter of what was refused rose: says so, naming the source. */
void
worker_tell_refusals(struct source *s)
{
    uint64_t bad = 0;

    for (int i = ASSEMBLE_EPOCH_UNLINKED; i < ASSEMBLE_COUNTS; i++) {
        bad += counter_get(&s->assemble_counters[i]);
    }
    if (bad != s->bad_counts && log_bucket_pass(&s->bucket, mono_now())) {
        char text[512];
        int n = 0;
        for (int i = ASSEMBLE_EPOCH_UNLINKED; i < ASSEMBLE_COUNTS; i++) {
            uint64_t v = counter_get(&s->assemble_counters[i]);
            if (v && n < (int)sizeof text) {
                n += snprintf(text + n, sizeof text - (size_t)n, " %s=%" PRIu64,
                              assemble_count_names[i], v);
            }
        }
        log_warnx("%s: some of what it sent was refused; in all:%s", s->name, text);
    }
    s->bad_counts = bad;
}
