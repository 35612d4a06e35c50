/* sender_set.c - the sender's sessions: a set is made, replaced whole, and handed to a successor.
 */
#include "sender_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of entries in any order. */
static void
heap_make(struct set *t)
{
    for (uint32_t i = t->count / 2; i-- > 0;) {
        sender_heap_down(t, i);
    }
}

void
sender_set_fini(struct set *t)
{
    for (uint32_t i = 0; t->sessions && i < t->count; i++) {
        stampauth_unref(t->sessions[i].is.keys);
    }
    free(t->sessions);
    free(t->heap);
    free(t->table);
    free(t->by_index);
    *t = (struct set){.sessions = NULL};
}

static int
set_init(struct set *t, const struct sender_session *sessions, size_t session_count)
{
    uint32_t size = 16;

    *t = (struct set){.count = (uint32_t)session_count};
    for (size_t i = 0; i < session_count; i++) {
        if (sessions[i].index >= SENDER_SESSIONS_MAX) {
            return -EINVAL;
        }
        t->index_count =
            sessions[i].index >= t->index_count ? sessions[i].index + 1 : t->index_count;
    }
    while (size < 4 * t->count) {
        size *= 2;
    }
    t->mask = size - 1;
    t->sessions = (struct session *)calloc(session_count + 1, sizeof *t->sessions);
    t->heap = (struct heap_entry *)calloc(session_count + 1, sizeof *t->heap);
    t->table = (struct reply_key *)malloc(size * sizeof *t->table);
    t->by_index = (uint32_t *)malloc((t->index_count + 1) * sizeof *t->by_index);
    if (!t->sessions || !t->heap || !t->table || !t->by_index) {
        sender_set_fini(t);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < size; i++) {
        t->table[i].session = NO_SESSION;
    }
    memset(t->by_index, 0xff, (t->index_count + 1) * sizeof *t->by_index);
    return 0;
}

static bool
same_parameters(const struct session *o, const struct sender_session *n)
{
    return address_equal(&o->is.source, &n->source) &&
           address_equal(&o->is.destination, &n->destination) && o->is.protocol == n->protocol &&
           o->is.foreign == n->foreign && o->is.ptp == n->ptp && o->is.whole == n->whole &&
           o->is.source_port == n->source_port && o->is.destination_port == n->destination_port &&
           o->is.ssid == n->ssid && o->is.dscp == n->dscp && o->is.size == n->size &&
           o->is.period.ns == n->period.ns && o->is.packets == n->packets &&
           stampauth_mode(o->is.keys) == stampauth_mode(n->keys) && o->is.dt.ns == n->dt.ns &&
           strcmp(o->interface, n->interface ? n->interface : "") == 0;
}

/* Sessions of one period are spread over it by the golden ratio: any number of
 * them, added at any time, stays even. */
static struct span
phase_of(const struct sender_session *n)
{
    uint32_t turn = n->index * UINT32_C(2654435769) >> 16;
    /* Never at the border itself, where the clocks' reading jitters. */
    int64_t margin = n->period.ns / 16 < 20 * NS_PER_US ? n->period.ns / 16 : 20 * NS_PER_US;
    int64_t free = n->period.ns - margin;
    /* In 1/2^16 of it, which leaves room for an hour in 64 bits. */
    return span_of_ns(margin + (free >> 16) * turn + (((free & 0xffff) * turn) >> 16));
}

static struct span
first_due(const struct sender_session *n, struct sender_clock now)
{
    struct instant first = instant_add(instant_ceil(n->begin, n->dt), phase_of(n));

    if (instant_before(first, now.real)) {
        /* Late already: go on where the schedule is now. */
        int64_t missed = (now.real.ns - first.ns + n->period.ns - 1) / n->period.ns;
        first.ns += missed * n->period.ns;
    }
    return span_of_ns(now.mono.ns + (first.ns - now.real.ns));
}

static int
add_session(struct sender *s, struct set *t, uint32_t place, const struct sender_session *n,
            struct sender_clock now)
{
    struct session *to = &t->sessions[place];
    const struct session *old = NULL;
    int slot;

    if (n->size < stampauth_size(n->keys) || n->size > STAMP_SIZE_MAX || n->period.ns <= 0 ||
        n->dt.ns <= 0 || (n->interface && strlen(n->interface) >= IF_NAMESIZE) ||
        (n->keys && n->protocol != SENDER_STAMP) || t->by_index[n->index] != NO_SESSION ||
        (n->destination.family != 4 && n->destination.family != 6) ||
        (n->source.family && n->source.family != n->destination.family)) {
        return -EINVAL;
    }
    if (n->index < s->set.index_count && s->set.by_index[n->index] != NO_SESSION) {
        old = &s->set.sessions[s->set.by_index[n->index]];
    }
    to->is = *n;
    to->is.keys = stampauth_ref(n->keys);
    to->is.interface = NULL;
    if (n->interface) {
        strcpy(to->interface, n->interface);
    }
    slot = sender_socket_for(s, to);
    if (slot < 0) {
        return slot;
    }
    to->socket = (uint16_t)slot;
    if (old && same_parameters(old, n)) {
        to->sequence = old->sequence;
        to->due = old->due;
        to->planned = old->planned;
        to->ptp_quarters = old->ptp_quarters;
        to->ptp_denied = old->ptp_denied;
    } else {
        to->due = first_due(n, now);
    }
    t->by_index[n->index] = place;
    t->heap[place] = (struct heap_entry){.due = to->due, .session = place};
    return sender_reply_add(t, place);
}

int
sender_set(struct sender *s, const struct sender_session *sessions, size_t session_count,
           struct sender_clock now)
{
    struct set t;
    int err;

    if (session_count > SENDER_SESSIONS_MAX) {
        return -E2BIG;
    }
    err = set_init(&t, sessions, session_count);
    if (err) {
        return err;
    }
    for (uint32_t i = 0; i < t.count; i++) {
        err = add_session(s, &t, i, &sessions[i], now);
        if (err) {
            /* Back to the sockets of the set that goes on. */
            sender_set_fini(&t);
            sender_sockets_want(s, &s->set);
            sender_sockets_sweep(s);
            return err;
        }
    }
    heap_make(&t);
    sender_set_fini(&s->set);
    s->set = t;
    sender_sockets_want(s, &s->set);
    sender_sockets_sweep(s);
    return 0;
}

uint32_t
sender_index_count(const struct sender *s)
{
    return s->set.index_count;
}

bool
sender_progress(const struct sender *s, uint32_t index, struct sender_progress *out)
{
    const struct session *n;

    if (index >= s->set.index_count || s->set.by_index[index] == NO_SESSION) {
        return false;
    }
    n = &s->set.sessions[s->set.by_index[index]];
    *out = (struct sender_progress){.index = index,
                                    .sequence = n->sequence,
                                    .due = n->due,
                                    .ptp_quarters = n->ptp_quarters,
                                    .ptp_denied = n->ptp_denied};
    return true;
}

void
sender_resume(struct sender *s, const struct sender_progress *p, size_t progress_count)
{
    struct set *t = &s->set;

    for (size_t i = 0; i < progress_count; i++) {
        if (p[i].index < t->index_count && t->by_index[p[i].index] != NO_SESSION) {
            struct session *n = &t->sessions[t->by_index[p[i].index]];
            n->sequence = p[i].sequence;
            n->due = p[i].due;
            n->ptp_quarters = p[i].ptp_quarters;
            n->ptp_denied = p[i].ptp_denied;
        }
    }
    for (uint32_t i = 0; i < t->count; i++) {
        t->heap[i] = (struct heap_entry){.due = t->sessions[i].due, .session = i};
    }
    heap_make(t);
}
