/* match_window.c - the delta-t of a session that are not final, and the places of
 * their packets. */
#include "match_window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SIZE_LEAST 16u
#define SIZE_MAX_LEAST 2048u
#define SIZE_MOST (1u << 21)

/* --- Places --------------------------------------------------------------- */

/* Slots for all that is not final at the scheduled rate, and half as much again
 * for an advance that comes late. */
static uint32_t
slots_for(const struct session_key *key)
{
    uint64_t span = (uint64_t)key->dt.ns + (uint64_t)key->tmax.ns + (uint64_t)MATCH_GRACE_NS +
                    (uint64_t)NS_PER_S;
    uint64_t packets = span / (uint64_t)key->period.ns;
    uint64_t needed = packets + packets / 2 + 8;
    uint32_t size = SIZE_LEAST;

    while (size < needed && size < SIZE_MOST) {
        size *= 2;
    }
    return size;
}

static int
slots_alloc(struct match *m, uint32_t size)
{
    m->packets = calloc(size, sizeof *m->packets);
    m->follow_ups = calloc(size, sizeof *m->follow_ups);
    m->size = size;
    for (m->bit_count = 64; m->bit_count < size + MATCH_REPORT_BITS;) {
        m->bit_count *= 2;
    }
    m->yes = calloc(m->bit_count / 64, sizeof *m->yes);
    m->no = calloc(m->bit_count / 64, sizeof *m->no);
    return m->packets && m->follow_ups && m->yes && m->no ? 0 : -ENOMEM;
}

static void
slots_free(struct match *m)
{
    free(m->packets);
    free(m->follow_ups);
    free(m->yes);
    free(m->no);
}

int
match_window_grow(struct match *m, uint64_t needed)
{
    struct match old = *m;
    uint32_t size = m->size;

    while (size < needed && size < m->size_max) {
        size *= 2;
    }
    if (size < needed) {
        return -ENOMEM;
    }
    if (slots_alloc(m, size)) {
        slots_free(m);
        m->packets = old.packets;
        m->follow_ups = old.follow_ups;
        m->yes = old.yes;
        m->no = old.no;
        m->size = old.size;
        m->bit_count = old.bit_count;
        return -ENOMEM;
    }
    for (uint64_t s = m->low; s < m->next; s++) {
        uint64_t bit = UINT64_C(1) << s % 64;
        *match_slot(m, s) = *match_slot(&old, s);
        m->yes[(s & (m->bit_count - 1)) / 64] |= match_bit(&old, old.yes, s) ? bit : 0;
        m->no[(s & (m->bit_count - 1)) / 64] |= match_bit(&old, old.no, s) ? bit : 0;
    }
    for (uint32_t i = 0; i < old.size; i++) {
        const struct follow_up *u = &old.follow_ups[i];
        if (u->source != TS_NONE) {
            m->follow_ups[u->reflector_sequence & (size - 1)] = *u;
        }
    }
    slots_free(&old);
    return 0;
}

/* --- Delta-t -------------------------------------------------------------- */

static struct open_dt *
dt_new(const struct match *m)
{
    struct open_dt *o = malloc(sizeof *o);

    if (o && summary_init(&o->summary, instant_of_ns(0), m->key.ifdv)) {
        free(o);
        return NULL;
    }
    return o;
}

static void
dts_free(struct open_dt *o)
{
    while (o) {
        struct open_dt *next = o->next;
        summary_fini(&o->summary);
        free(o);
        o = next;
    }
}

struct open_dt *
match_dt_take(struct match *m, int64_t number)
{
    struct open_dt *o = m->pool;

    if (o) {
        m->pool = o->next;
    } else {
        o = dt_new(m);
    }
    if (o) {
        summary_reset(&o->summary, match_dt_start(m, number));
        o->next = NULL;
        o->number = number;
        o->offset = number <= m->step_number ? m->step_offset : m->offset;
        o->packets = false;
        o->way = (struct way){.known = {false}};
    }
    return o;
}

void
match_dt_give(struct match *m, struct open_dt *o)
{
    o->next = m->pool;
    m->pool = o;
}

struct open_dt *
match_dt_at(struct match *m, int64_t number)
{
    if (m->tail && m->tail->number == number) {
        return m->tail;
    }
    assert(!m->tail || m->tail->number < number);
    struct open_dt *o = match_dt_take(m, number);
    if (!o) {
        return NULL;
    }
    if (m->tail) {
        m->tail->next = o;
    } else {
        m->front = o;
    }
    m->tail = o;
    m->least_number = number;
    o->summary.sent += m->carried;
    o->summary.unknown += m->carried;
    o->summary.flags |= m->carried ? DT_OVERRUN : 0;
    m->carried = 0;
    return o;
}

/* --- Both ----------------------------------------------------------------- */

int
match_window_init(struct match *m)
{
    m->size_max = 8 * slots_for(&m->key);
    m->size_max = m->size_max < SIZE_MAX_LEAST ? SIZE_MAX_LEAST : m->size_max;
    m->size_max = m->size_max > SIZE_MOST ? SIZE_MOST : m->size_max;
    int err = slots_alloc(m, slots_for(&m->key));
    m->pool = dt_new(m);
    if (m->pool) {
        m->pool->next = NULL;
    }
    return m->pool ? err : -ENOMEM;
}

void
match_window_fini(struct match *m)
{
    slots_free(m);
    dts_free(m->front);
    dts_free(m->pool);
}
