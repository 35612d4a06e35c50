/* handover_plan.c - the sessions of a plan, as they are handed over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "stampauth.h"

int
handover_of_plan(struct handover *h, const struct plan *plan)
{
    h->sessions = calloc(plan->timing.session_count + 1, sizeof *h->sessions);
    if (!h->sessions) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < plan->timing.session_count; i++) {
        struct handover_session *s = &h->sessions[h->session_count++];
        s->id = plan->sessions[i].id;
        s->is = plan->timing.sessions[i];
        s->mode = stampauth_mode(s->is.keys);
        s->is.keys = NULL;
        s->border = s->is.begin;
        if (s->is.interface) {
            memcpy(s->interface, s->is.interface,
                   strnlen(s->is.interface, sizeof s->interface - 1));
            s->is.interface = s->interface;
        }
    }
    return 0;
}

/* Stands for keys of the old process: nothing is signed with it. */
static struct stampauth_ring *
some_ring(enum stampauth_mode mode)
{
    static const struct stampauth_secret zeros = {.size = STAMPAUTH_KEY_MIN};
    static const struct stampauth_secret none = {.size = 0};

    return stampauth_new(mode, &zeros, &none, false);
}

static int
add_old(struct plan *p, const struct handover_session *s, struct stampauth_ring *const rings[])
{
    struct timing_session *t = &p->timing.sessions[p->timing.session_count];

    *t = s->is;
    t->interface = s->is.interface ? strdup(s->is.interface) : NULL;
    t->keys = stampauth_ref(rings[s->mode]);
    p->sessions[p->timing.session_count++].id = s->id;
    return s->is.interface && !t->interface ? -ENOMEM : 0;
}

struct plan *
handover_plan(const struct handover *h)
{
    struct stampauth_ring *const rings[] = {[STAMPAUTH_PACKET] = some_ring(STAMPAUTH_PACKET),
                                            [STAMPAUTH_TLV] = some_ring(STAMPAUTH_TLV)};
    struct plan *p = calloc(1, sizeof *p);
    int err = p && rings[STAMPAUTH_PACKET] && rings[STAMPAUTH_TLV] ? 0 : -ENOMEM;

    if (!err) {
        p->sessions = calloc(h->session_count + 1, sizeof *p->sessions);
        p->timing.sessions = calloc(h->session_count + 1, sizeof *p->timing.sessions);
        err = p->sessions && p->timing.sessions ? 0 : -ENOMEM;
    }
    for (size_t i = 0; !err && i < h->session_count; i++) {
        err = add_old(p, &h->sessions[i], rings);
    }
    stampauth_unref(rings[STAMPAUTH_PACKET]);
    stampauth_unref(rings[STAMPAUTH_TLV]);
    if (err) {
        plan_free(p);
        p = NULL;
    }
    return p;
}

static const struct handover_session *
session_at(const struct handover *h, const uint32_t *places, uint32_t index)
{
    return index < HANDOVER_INDEXES && places[index] ? &h->sessions[places[index] - 1] : NULL;
}

size_t
handover_gone(const struct handover *h, const struct plan *plan, uint32_t *gone, size_t room)
{
    uint64_t there[HANDOVER_INDEXES / 64 + 1] = {0};
    size_t count = 0;

    for (size_t i = 0; i < plan->timing.session_count; i++) {
        uint32_t index = plan->timing.sessions[i].index;
        there[index / 64] |= UINT64_C(1) << index % 64;
    }
    for (size_t i = 0; i < h->session_count && count < room; i++) {
        uint32_t index = h->sessions[i].is.index;
        if (!(there[index / 64] >> index % 64 & 1)) {
            gone[count++] = index;
        }
    }
    return count;
}

void
handover_begin(const struct handover *h, struct plan *plan)
{
    static uint32_t places[HANDOVER_INDEXES]; /* By index; 0: none. */
    struct instant last = {.ns = 0};

    memset(places, 0, sizeof places);
    for (size_t i = 0; i < h->session_count; i++) {
        const struct handover_session *s = &h->sessions[i];
        places[s->is.index] = (uint32_t)i + 1;
        last = instant_before(last, s->border) ? s->border : last;
    }
    for (size_t i = 0; i < plan->timing.session_count; i++) {
        struct timing_session *t = &plan->timing.sessions[i];
        const struct handover_session *s = session_at(h, places, t->index);
        struct instant least = instant_ceil(s ? s->border : last, t->dt);
        t->begin = instant_before(t->begin, least) ? least : t->begin;
    }
}
