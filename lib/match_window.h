/* match_window.h - what of a session is not final: its delta-t, oldest first, and the
 * places of their packets.
 *
 * After match_state.h; before match_event.c, which puts packets in, and match.c,
 * which hands delta-t out. */
#ifndef PLUMBLINE_MATCH_WINDOW_H
#define PLUMBLINE_MATCH_WINDOW_H

#include "match_state.h"

static inline struct instant
match_dt_start(const struct match *m, int64_t number)
{
    return instant_of_ns(number * m->key.dt.ns);
}

static inline int64_t
match_dt_number(const struct match *m, struct instant at)
{
    return instant_floor(at, m->key.dt).ns / m->key.dt.ns;
}

/* Takes memory for the packets of m->key at its rate.  0 or -ENOMEM; then too there is
 * match_window_fini() to be called. */
int match_window_init(struct match *m);
void match_window_fini(struct match *m);

/* Twice the places, or more, until 'needed' fit: what is in the window keeps its own.
 * 0; -ENOMEM: everything is as before. */
int match_window_grow(struct match *m, uint64_t needed);

/* An unused delta-t, reset; NULL when memory is out. */
struct open_dt *match_dt_take(struct match *m, int64_t number);
void match_dt_give(struct match *m, struct open_dt *o);

/* The delta-t 'number', which is not before the newest open one; NULL when
 * memory is out. */
struct open_dt *match_dt_at(struct match *m, int64_t number);

#endif
