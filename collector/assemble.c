/* assemble.c - which entry of a source's stream comes next, and which of its intervals are over. */
#include "assemble_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const assemble_count_names[ASSEMBLE_COUNTS] = {
    "summaries",        "tombstones",         "epochs",      "epoch_unlinked",
    "refused_trust",    "refused_ahead",      "refused_old", "refused_late",
    "refused_repeated", "refused_no_session", "held_full"};

struct assemble *
assemble_new(const struct assemble_config *config, struct position position,
             struct instant written_until)
{
    struct assemble *a = calloc(1, sizeof *a);

    if (!a) {
        return NULL;
    }
    a->config = *config;
    strncpy(a->source, config->source, sizeof a->source - 1);
    a->config.source = a->source;
    a->read = position;
    a->written_until = written_until;
    assemble_session_init(&a->sessions);
    return a;
}

void
assemble_free(struct assemble *a)
{
    if (!a) {
        return;
    }
    while (a->intervals) {
        struct interval *next = a->intervals->next;
        interval_free(a->intervals);
        a->intervals = next;
    }
    while (a->unknowns) {
        struct unknown *next = a->unknowns->next;
        free(a->unknowns);
        a->unknowns = next;
    }
    assemble_session_fini(&a->sessions);
    chunk_free(a->unpacked);
    bytes_fini(&a->liveness);
    free(a->records);
    free(a);
}

/* --- Sessions ------------------------------------------------------------- */

const struct assemble_session *
assemble_session(const struct assemble *a, int64_t id)
{
    return assemble_session_find(&a->sessions, id);
}

int
assemble_know(struct assemble *a, const struct session_key *key)
{
    struct assemble_session *s = assemble_session_find(&a->sessions, session_id_of(key));

    if (!s) {
        s = assemble_session_add(&a->sessions, key);
        if (!s) {
            return -ENOMEM;
        }
        s->trusted = a->config.trust(a->source, key, a->config.aux);
        s->next_dt = (uint64_t)instant_ceil(a->written_until, key->dt).ns / (uint64_t)key->dt.ns;
    }
    s->stored = true;
    s->epoch = 0; /* Until assemble_current(). */
    return 0;
}

void
assemble_current(struct assemble *a, int64_t session_id)
{
    struct assemble_session *s = assemble_session_find(&a->sessions, session_id);

    if (s && s->epoch == 0) {
        s->epoch = a->read.epoch;
    }
}

struct assemble_session *
assemble_sessions(struct assemble *a)
{
    return a->sessions.first;
}

size_t
assemble_session_count(const struct assemble *a)
{
    return a->sessions.count;
}

/* --- Sequence ------------------------------------------------------------- */

enum assemble_next
assemble_expect(const struct assemble *a, struct position p, const pb_batch *batch)
{
    if (position_compare(p, a->read) <= 0 && a->read.epoch) {
        return ASSEMBLE_OLD;
    }
    if (p.epoch == a->read.epoch) {
        return p.sequence == a->read.sequence + 1 ? ASSEMBLE_TAKE : ASSEMBLE_GAP;
    }
    if (p.sequence != 0) {
        bool begins = a->read.epoch == 0 && position_compare(p, a->begin_at) == 0;
        return begins ? ASSEMBLE_TAKE : ASSEMBLE_GAP;
    }
    /* The first of an epoch.  Where it was lost and so names nothing, and where the
     * source lost its whole spool and knows of no epoch before, there is nothing to
     * compare. */
    if (!batch || !batch->epoch_start || batch->epoch_start->previous_epoch == 0) {
        return ASSEMBLE_TAKE;
    }
    /* Where nothing was read yet, the epoch before is asked for once. */
    if (a->read.epoch == 0) {
        return batch->epoch_start->previous_empty || position_compare(p, a->begin_at) == 0
                   ? ASSEMBLE_TAKE
                   : ASSEMBLE_GAP;
    }
    const Plumbline__Telemetry__EpochStart *e = batch->epoch_start;
    struct position last = {e->previous_epoch, e->previous_last_sequence};
    if (e->previous_empty) {
        return ASSEMBLE_TAKE;
    }
    /* Further than it names is reached too: the source gave new IDs to what came
     * after, and what we know of it we know twice. */
    return position_compare(last, a->read) <= 0 ? ASSEMBLE_TAKE : ASSEMBLE_GAP;
}

struct position
assemble_wanted(const struct assemble *a)
{
    if (a->read.epoch == 0) {
        return (struct position){0, 0};
    }
    return (struct position){a->read.epoch, a->read.sequence + 1};
}

void
assemble_begin_at(struct assemble *a, struct position p)
{
    a->begin_at = p;
}

/* --- Closing -------------------------------------------------------------- */

/* Where something unknown or open begins, past what is written. */
static struct instant
next_start(const struct assemble *a)
{
    struct instant next = instant_of_ns(INT64_MAX);
    struct instant oldest = instant_of_ns(a->final_until.ns - a->config.expiry.ns);

    if (a->intervals) {
        next = a->intervals->start;
    }
    for (const struct unknown *u = a->unknowns; u; u = u->next) {
        struct instant from = instant_before(u->from, oldest) ? oldest : u->from;
        if (instant_before(a->written_until, u->until) && instant_before(from, next)) {
            next = from;
        }
    }
    if (a->gap_count && a->written_until.ns && instant_before(a->written_until, next)) {
        next = instant_before(a->written_until, oldest) ? oldest : a->written_until;
    }
    return instant_before(next, a->written_until) ? a->written_until : next;
}

bool
assemble_over(struct assemble *a, struct instant *start, uint32_t *seconds)
{
    struct instant next = next_start(a);

    if (!instant_before(next, a->final_until)) {
        return false;
    }
    struct instant begin = instant_floor(next, a->config.interval);
    struct instant end = instant_add(begin, a->config.interval);
    if (instant_before(a->final_until, end)) {
        return false;
    }
    struct interval *i = assemble_interval(a, next, a->read);
    if (!i) {
        return false;
    }
    *start = i->start;
    *seconds = (uint32_t)(instant_sub(i->end, i->start).ns / NS_PER_S);
    return true;
}

const uint8_t *
assemble_liveness(struct assemble *a, size_t *size)
{
    const struct interval *i = a->intervals;

    assemble_liveness_write(&i->liveness, i->start, &a->liveness);
    *size = bytes_ok(&a->liveness) ? a->liveness.size : 0;
    return a->liveness.at;
}

void
assemble_done(struct assemble *a)
{
    struct interval *i = a->intervals;
    struct unknown **link = &a->unknowns;

    assert(i);
    a->intervals = i->next;
    a->written_until = i->end;
    a->held -= i->held;
    interval_free(i);
    while (*link) {
        struct unknown *u = *link;
        if (instant_before(a->written_until, u->until)) {
            link = &u->next;
        } else {
            *link = u->next;
            free(u);
        }
    }
    if (a->gap_count && instant_before(a->gap_deadline, a->written_until)) {
        for (struct assemble_session *s = a->sessions.first; s; s = s->next) {
            assemble_gap_end(a, s);
        }
    }
}

struct position
assemble_safe(const struct assemble *a)
{
    struct position safe = a->read;

    for (const struct interval *i = a->intervals; i; i = i->next) {
        if (position_compare(i->before, safe) < 0) {
            safe = i->before;
        }
    }
    for (const struct unknown *u = a->unknowns; u; u = u->next) {
        if (position_compare(u->before, safe) < 0) {
            safe = u->before;
        }
    }
    if (a->gap_count && position_compare(a->gap_before, safe) < 0) {
        safe = a->gap_before;
    }
    return safe;
}

struct position
assemble_read(const struct assemble *a)
{
    return a->read;
}

struct instant
assemble_written_until(const struct assemble *a)
{
    return a->written_until;
}

struct instant
assemble_final_until(const struct assemble *a)
{
    return a->final_until;
}

size_t
assemble_held(const struct assemble *a)
{
    return a->held;
}
