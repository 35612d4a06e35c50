/* live.c - a Live message from what the assembler holds. */
#include "live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* protobuf-c's strings are not const; nothing writes to them while packing. */
union text {
    const char *in;
    char *out;
};

static char *
text_of(const char *s)
{
    return (union text){.in = s}.out;
}

static void
fill(Plumbline__Telemetry__LiveSession *m, struct assemble_session *s)
{
    plumbline__telemetry__live_session__init(m);
    m->session_id = s->id;
    m->object = s->key.object;
    m->class_name = s->key.class_name;
    m->flow = s->key.flow;
    m->observer_end = s->key.observer_end;
    m->far = s->key.far;
    m->dt_ns = (uint64_t)s->key.dt.ns;
    m->early = s->has_early ? &s->early : NULL;
    m->last = s->has_last ? &s->last : NULL;
}

/* One of which the source's own time has passed a whole delta-t without a word is not
 * in its plan any more. */
static bool
is_gone(const struct assemble_session *s, struct instant final_until)
{
    uint64_t last = s->has_last ? s->last.dt_number : 0;

    if (s->has_early && s->early.dt_number > last) {
        last = s->early.dt_number;
    }
    return (int64_t)(last + 2) * s->key.dt.ns <= final_until.ns;
}

int
live_make(struct assemble *a, const char *source, const struct live_facts *facts, struct bytes *out)
{
    size_t room = assemble_session_count(a);
    Plumbline__Telemetry__LiveSession *m = calloc(room ? room : 1, sizeof *m);
    Plumbline__Telemetry__LiveSession **list = calloc(room ? room : 1, sizeof(void *));
    Plumbline__Telemetry__Health health = facts->health;
    struct position p = assemble_read(a);
    char position[48];
    pb_live live;
    int err = -ENOMEM;

    bytes_clear(out);
    if (m && list) {
        size_t n = 0;
        for (struct assemble_session *s = assemble_sessions(a); s; s = s->next) {
            if (s->trusted && (s->has_early || s->has_last) &&
                !is_gone(s, assemble_final_until(a))) {
                fill(&m[n], s);
                list[n] = &m[n];
                n++;
            }
        }
        snprintf(position, sizeof position, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
        plumbline__telemetry__live__init(&live);
        live.format = TELEMETRY_FORMAT;
        live.source = text_of(source);
        live.at_ns = facts->now.ns;
        live.source_at_ns = facts->source_at.ns;
        live.position = position;
        live.release = facts->release ? text_of(facts->release) : live.release;
        live.waits = facts->waits ? text_of(facts->waits) : live.waits;
        live.generation = facts->generation;
        live.health = facts->has_health ? &health : NULL;
        live.n_sessions = n;
        live.sessions = list;
        size_t size = plumbline__telemetry__live__get_packed_size(&live);
        uint8_t *to = bytes_grow(out, size);
        if (to) {
            plumbline__telemetry__live__pack(&live, to);
            err = 0;
        }
    }
    free(list);
    free(m);
    return err;
}
