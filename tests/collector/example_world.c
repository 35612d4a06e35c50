/* example_world.c - sessions of an inventory, and what befalls them. */
#include "example_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "summary.h"

#define MS INT64_C(1000000)
#define JITTER_NS 200000 /* Of the shortest link. */

static void
die(const char *what)
{
    fprintf(stderr, "example: %s\n", what);
    exit(2);
}

uint64_t
world_draw(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static int
on_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
           const struct session_key *key, void *aux)
{
    struct world *w = aux;

    if (w->session_count == WORLD_SESSIONS_MAX) {
        die("too many sessions");
    }
    struct world_session *s = &w->sessions[w->session_count++];
    *s = (struct world_session){.key = *key,
                                .id = session_id_of(key),
                                .link = link,
                                .class_ = class_,
                                .end = end,
                                .dt = key->dt.ns / NS_PER_S,
                                .packets = (unsigned)(key->dt.ns / key->period.ns)};
    if (s->dt < 1 || s->dt * NS_PER_S != key->dt.ns || 10 % s->dt || s->packets > 255) {
        die("a delta-t that is not played here");
    }
    s->cell_count = (size_t)((w->end - w->begin) / s->dt);
    s->cells = calloc(s->cell_count, sizeof *s->cells);
    if (!s->cells) {
        die("out of memory");
    }
    for (size_t k = 0; k < s->cell_count; k++) {
        s->cells[k].ran = true;
    }
    return 0;
}

void
world_init(struct world *w, const struct inventory *inv, int64_t begin, int64_t month,
           int64_t next_month, int64_t end, uint64_t seed)
{
    *w = (struct world){.inventory = inv,
                        .begin = begin,
                        .month = month,
                        .next_month = next_month,
                        .end = end,
                        .slow_ns = 2100000,
                        .random = seed * 2654435761u + 88172645463325252u};
    for (size_t i = 0; i < inv->probe_count; i++) {
        (void)inventory_sessions(inv, inv->probes[i].key, on_session, w);
    }
}

void
world_fini(struct world *w)
{
    for (size_t i = 0; i < w->session_count; i++) {
        free(w->sessions[i].cells);
    }
}

/* --- What befalls them ------------------------------------------------------ */

static bool
is_meant(const struct world_session *s, const char *link, const char *class_name)
{
    return (!link || strcmp(s->link->key, link) == 0) &&
           (!class_name || strcmp(s->class_->key, class_name) == 0);
}

/* Cells of a session that lie whole in [from, until): [*first, returned). */
static size_t
range(const struct world *w, const struct world_session *s, int64_t from, int64_t until,
      size_t *first)
{
    int64_t last = (until - w->begin) / s->dt;

    *first = (size_t)((from - w->begin + s->dt - 1) / s->dt);
    return last < (int64_t)s->cell_count ? (size_t)last : s->cell_count;
}

void
world_lose(struct world *w, const char *link, const char *class_name, enum world_way way,
           unsigned packets, int64_t from, int64_t seconds)
{
    for (size_t i = 0; i < w->session_count; i++) {
        struct world_session *s = &w->sessions[i];
        size_t first, last = range(w, s, from, from + seconds, &first);
        uint8_t lost = (uint8_t)(packets < s->packets ? packets : s->packets);
        if (!is_meant(s, link, class_name)) {
            continue;
        }
        for (size_t k = first; k < last; k++) {
            struct world_cell *c = &s->cells[k];
            *(way == WORLD_FWD ? &c->fwd : way == WORLD_BWD ? &c->bwd : &c->undirected) = lost;
        }
    }
}

void
world_idle(struct world *w, const char *link, int64_t from, int64_t seconds)
{
    for (size_t i = 0; i < w->session_count; i++) {
        struct world_session *s = &w->sessions[i];
        size_t first, last = range(w, s, from, from + seconds, &first);
        for (size_t k = first; k < last && is_meant(s, link, NULL); k++) {
            s->cells[k].ran = false;
        }
    }
}

void
world_mark(struct world *w, const char *link, const char *class_name, unsigned flow, uint32_t flags,
           int64_t from, int64_t seconds)
{
    for (size_t i = 0; i < w->session_count; i++) {
        struct world_session *s = &w->sessions[i];
        size_t first, last = range(w, s, from, from + seconds, &first);
        bool meant = is_meant(s, link, class_name) && s->key.flow == flow && s->end == 0;
        for (size_t k = first; k < last && meant; k++) {
            s->cells[k].flags |= flags;
        }
    }
}

void
world_copy(struct world *w, const char *link, const char *class_name, unsigned packets,
           int64_t from, int64_t seconds)
{
    for (size_t i = 0; i < w->session_count; i++) {
        struct world_session *s = &w->sessions[i];
        size_t first, last = range(w, s, from, from + seconds, &first);
        for (size_t k = first; k < last && is_meant(s, link, class_name); k++) {
            s->cells[k].copies = (uint8_t)packets;
        }
    }
}

void
world_gap(struct world *w, int64_t from, int64_t until)
{
    world_idle(w, NULL, from, until - from);
    for (size_t i = 0; i < w->inventory->probe_count; i++) {
        if (w->silence_count == WORLD_SILENCES_MAX) {
            die("too many silences");
        }
        w->silences[w->silence_count++] = (struct world_silence){
            .probe = w->inventory->probes[i].key, .from = from, .until = until};
    }
}

void
world_silence(struct world *w, const char *probe, bool dead, int64_t from, int64_t seconds)
{
    if (w->silence_count == WORLD_SILENCES_MAX) {
        die("too many silences");
    }
    w->silences[w->silence_count++] = (struct world_silence){probe, from, from + seconds, dead};
    for (size_t i = 0; i < w->session_count && dead; i++) {
        struct world_session *s = &w->sessions[i];
        size_t first, last = range(w, s, from, from + seconds, &first);
        if (strcmp(s->key.far, probe) != 0) {
            continue;
        }
        for (size_t k = first; k < last; k++) {
            s->cells[k].undirected = (uint8_t)s->packets;
        }
        /* It came back as another. */
        s->cells[last].flags |= DT_FAR_EPOCH;
    }
}

void
world_exclude(struct world *w, int64_t from, int64_t seconds)
{
    if (w->window_count == WORLD_WINDOWS_MAX) {
        die("too many windows");
    }
    w->windows[w->window_count++] = (struct world_window){from, from + seconds};
}

/* --- Looking ---------------------------------------------------------------- */

bool
world_is_silent(const struct world *w, const char *probe, int64_t from, int64_t until,
                bool dead_only)
{
    for (size_t i = 0; i < w->silence_count; i++) {
        const struct world_silence *s = &w->silences[i];
        if ((s->dead || !dead_only) && from < s->until && until > s->from &&
            strcmp(s->probe, probe) == 0) {
            return true;
        }
    }
    return false;
}

unsigned
world_received(const struct world_session *s, const struct world_cell *c)
{
    unsigned lost = (unsigned)c->fwd + c->bwd + c->undirected;

    return lost < s->packets ? s->packets - lost : 0;
}

/* Of the links under the service the first is the shortest; others are longer. */
static int64_t
least_of(const struct world *w, const struct inv_link *link)
{
    for (size_t i = 0; i < w->inventory->group_count; i++) {
        const struct inv_group *g = &w->inventory->groups[i];
        for (size_t m = 0; m < g->member_count; m++) {
            if (g->members[m].link == link) {
                return (5 + 3 * (int64_t)m) * MS;
            }
        }
    }
    return 12 * MS;
}

/* A number that hangs on its place alone. */
static uint64_t
scatter(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

void
world_delay(const struct world *w, const struct world_session *s, size_t cell, unsigned i,
            int64_t *fwd, int64_t *bwd)
{
    const struct world_cell *c = &s->cells[cell];
    int64_t least = least_of(w, s->link);
    uint64_t noise = scatter((uint64_t)s->id + 4096 * cell + i);

    *fwd = least;
    *bwd = least;
    if (c->flags & DT_BELOW_FLOOR) {
        *fwd = *bwd = 2 * MS;
    } else if (c->flags & DT_NEGATIVE) {
        *fwd = -MS;
        *bwd = 2 * least + MS;
    } else if (i < c->over) {
        *fwd = 9 * MS;
        *bwd = 9 * MS + 1;
    } else if (i < (unsigned)c->over + c->at) {
        *fwd = *bwd = 9 * MS;
    } else if (i < (unsigned)c->over + c->at + c->slow) {
        *fwd = least + w->slow_ns;
    } else if (i > 0) {
        uint64_t jitter = least > 5 * MS ? JITTER_NS / 2 : JITTER_NS;
        *fwd += (int64_t)(noise % jitter);
        *bwd += (int64_t)((noise >> 32) % jitter);
    }
}
