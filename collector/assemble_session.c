/* assemble_session.c - the table of a source's sessions. */
#include "assemble_session.h"

#include <errno.h>
#include <stdlib.h>

void
assemble_session_fini(struct assemble_session_table *t)
{
    while (t->first) {
        struct assemble_session *next = t->first->next;
        free(t->first);
        t->first = next;
    }
    free(t->slots);
}

static int
slots_grow(struct assemble_session_table *t)
{
    size_t wanted = t->slot_count ? t->slot_count * 2 : 64;
    struct assemble_session_slot *old = t->slots;
    size_t old_count = t->slot_count;

    if (t->slot_count > (t->count + 1) * 2) {
        return 0;
    }
    struct assemble_session_slot *more = calloc(wanted, sizeof *more);
    if (!more) {
        return -ENOMEM;
    }
    t->slots = more;
    t->slot_count = wanted;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].session) {
            *assemble_session_slot(t, old[i].id) = old[i];
        }
    }
    free(old);
    return 0;
}

struct assemble_session *
assemble_session_add(struct assemble_session_table *t, const struct session_key *key)
{
    if (slots_grow(t)) {
        return NULL;
    }
    struct assemble_session *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->id = session_id_of(key);
    s->params_id = params_id_of(key);
    for (int d = 0; d < DIRECTIONS; d++) {
        s->series[d] = series_id_of(key, (enum direction)d);
    }
    s->key = *key;
    s->index = (uint32_t)t->count++;
    *assemble_session_slot(t, s->id) = (struct assemble_session_slot){s->id, s};
    *t->end = s;
    t->end = &s->next;
    return s;
}

bool
assemble_session_due(const struct assemble_session *s, struct position safe)
{
    return !s->stored && s->trusted && (s->written || position_compare(s->announced, safe) <= 0);
}
