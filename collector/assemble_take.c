/* assemble_take.c - from the next entry of the stream to what is held: what of it is believed, and
 * what is unknown because it did not come. */
#include "assemble_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* 2000-01-01: whose clock is before has never set it.  No day before it has a
 * partition. */
#define OLDEST_S INT64_C(946684800)

/* Sessions that do not speak again so many intervals after an epoch began are
 * no longer waited for. */
#define GAP_INTERVALS 3

static void
count(struct assemble *a, enum assemble_count what, uint64_t n)
{
    counter_add(&a->config.counters[what], n);
}

/* --- Sessions ------------------------------------------------------------- */

static void
gap_begin(struct assemble *a, struct assemble_session *s)
{
    struct instant begin = a->written_until;

    /* Of one that never spoke nothing is missed from before it was announced. */
    if (s->next_dt == 0 && instant_before(begin, s->since)) {
        begin = s->since;
    }
    uint64_t first = (uint64_t)instant_ceil(begin, s->key.dt).ns / (uint64_t)s->key.dt.ns;
    if (s->next_dt < first) {
        s->next_dt = first;
    }
    if (!s->gap && s->trusted) {
        s->gap = true;
        a->gap_count++;
    }
}

/* 'continues': it stands in the first batch of its epoch. */
static int
take_session(struct assemble *a, const pb_session *entry, struct instant final_until,
             bool continues)
{
    struct session_key key;
    struct assemble_session *s = assemble_session_find(&a->sessions, entry->session_id);

    if (!s) {
        if (!telemetry_session_key(entry, &key)) {
            return 0; /* telemetry_parse() lets none pass. */
        }
        s = assemble_session_add(&a->sessions, &key);
        if (!s) {
            return -ENOMEM;
        }
        s->epoch = a->read.epoch;
        s->trusted = a->config.trust(a->source, &key, a->config.aux);
        s->since = final_until;
        s->announced = a->read;
        return 0;
    }
    if (s->epoch != a->read.epoch) {
        /* One that was retired and is back was not missing in between; nor was one
         * that its epoch did not begin with, whenever we heard of it first. */
        bool ran = s->epoch != 0;
        s->epoch = a->read.epoch;
        if (ran && continues) {
            gap_begin(a, s);
        }
    }
    return 0;
}

/* --- What is held --------------------------------------------------------- */

static int
hold(struct assemble *a, const struct assemble_session *s, uint64_t dt_number, uint32_t run,
     const void *bytes, size_t size, struct position before)
{
    struct instant start = instant_of_ns((int64_t)dt_number * s->key.dt.ns);
    struct interval *i = assemble_interval(a, start, before);
    struct interval_held *h =
        i ? interval_hold(i, s->index, a->sessions.count, dt_number, size) : NULL;

    if (!h) {
        return -ENOMEM;
    }
    h->run = run;
    if (size) {
        memcpy(h->bytes, bytes, size);
    }
    a->held += sizeof *h + size;
    return 0;
}

/* Delta-t of 's' from next_dt up to 'until' are unknown: cut at interval
 * borders. */
static int
hold_gap(struct assemble *a, struct assemble_session *s, uint64_t until)
{
    uint64_t dt = (uint64_t)s->key.dt.ns;
    struct instant oldest =
        instant_sub(instant_of_ns((int64_t)(until * dt)), instant_of_ns(a->config.expiry.ns)).ns > 0
            ? instant_of_ns((int64_t)(until * dt) - a->config.expiry.ns)
            : instant_of_ns(0);
    uint64_t from = (uint64_t)instant_ceil(oldest, s->key.dt).ns / dt;

    for (from = from > s->next_dt ? from : s->next_dt; from < until;) {
        struct instant start = instant_of_ns((int64_t)(from * dt));
        struct instant end =
            instant_add(instant_floor(start, a->config.interval), a->config.interval);
        uint64_t last = (uint64_t)instant_ceil(end, s->key.dt).ns / dt;
        last = last < until ? last : until;
        int err = hold(a, s, from, (uint32_t)(last - from), NULL, 0, a->gap_before);
        if (err) {
            return err;
        }
        from = last;
    }
    s->next_dt = until;
    return 0;
}

static int
add_unknown(struct assemble *a, struct instant from, struct instant until, struct position before)
{
    struct unknown *u = malloc(sizeof *u);

    if (!u) {
        return -ENOMEM;
    }
    *u = (struct unknown){.next = a->unknowns, .from = from, .until = until, .before = before};
    a->unknowns = u;
    return 0;
}

/* --- Epochs --------------------------------------------------------------- */

/* A new epoch: what the sessions of the one before did from here on until they
 * speak again is unknown.  With 'told' only of those that its dictionary names. */
static void
begin_epoch(struct assemble *a, struct position p, bool linked, bool told, struct instant at)
{
    uint64_t old = a->read.epoch;

    count(a, ASSEMBLE_EPOCHS, 1);
    if (old == 0) {
        return;
    }
    if (!linked) {
        count(a, ASSEMBLE_EPOCH_UNLINKED, 1);
    }
    if (a->gap_count == 0) {
        a->gap_before = a->read;
    }
    a->gap_deadline = instant_add(instant_floor(at, a->config.interval),
                                  span_of_ns(GAP_INTERVALS * a->config.interval.ns));
    if (!told) {
        for (struct assemble_session *s = a->sessions.first; s; s = s->next) {
            if (s->epoch == old) {
                s->epoch = p.epoch;
                gap_begin(a, s);
            }
        }
    }
}

/* --- What a batch has ------------------------------------------------------ */

static int
take_liveness(struct assemble *a, const pb_liveness *m, struct position before, struct instant now)
{
    uint64_t second = m->second, left = m->seconds ? m->seconds : 1;
    uint64_t written = (uint64_t)instant_ceil(a->written_until, span_of_ns(NS_PER_S)).ns / NS_PER_S;

    if (left > 86400 || second + left > (uint64_t)((now.ns + ASSEMBLE_AHEAD_NS) / NS_PER_S) + 1) {
        count(a, ASSEMBLE_REFUSED_AHEAD, 1);
        return 0;
    }
    if (second < (uint64_t)OLDEST_S) {
        count(a, ASSEMBLE_REFUSED_OLD, 1);
        return 0;
    }
    if (second < written) {
        uint64_t skip = written - second;
        if (skip >= left) {
            return 0;
        }
        second = written;
        left -= skip;
    }
    while (left) {
        struct interval *i =
            assemble_interval(a, instant_of_ns((int64_t)second * NS_PER_S), before);
        if (!i) {
            return -ENOMEM;
        }
        uint64_t end = (uint64_t)instant_ceil(i->end, span_of_ns(NS_PER_S)).ns / NS_PER_S;
        uint64_t here = end - second < left ? end - second : left;
        struct assemble_liveness l = {second,        (uint32_t)here, m->sending,
                                      m->reflecting, m->generation,  m->serving_id};
        if (assemble_liveness_add(&i->liveness, &l)) {
            return -ENOMEM;
        }
        second += here;
        left -= here;
    }
    return 0;
}

static void
keep_for_live(struct assemble_session *s, const pb_summary *m)
{
    const pb_delay *from[DIRECTIONS] = {m->fwd, m->bwd, m->rt};
    pb_delay **to[DIRECTIONS] = {&s->last.fwd, &s->last.bwd, &s->last.rt};

    s->last = *m;
    s->last.n_over = 0;
    s->last.over = NULL;
    s->last.base.n_unknown_fields = 0;
    s->last.base.unknown_fields = NULL;
    s->has_last = true;
    for (int d = 0; d < DIRECTIONS; d++) {
        *to[d] = NULL;
        if (from[d]) {
            s->last_delay[d] = *from[d];
            s->last_delay[d].hist = s->last_delay[d].ifdv = (ProtobufCBinaryData){0, NULL};
            s->last_delay[d].base.n_unknown_fields = 0;
            s->last_delay[d].base.unknown_fields = NULL;
            *to[d] = &s->last_delay[d];
        }
    }
}

/* 'slice' is 'm' as it came. */
static int
take_summary(struct assemble *a, const pb_summary *m, const struct rd *slice,
             struct position before, struct instant final_before, struct instant now)
{
    struct assemble_session *s = assemble_session_find(&a->sessions, m->session_id);

    count(a, ASSEMBLE_SUMMARIES, 1);
    if (!s) {
        count(a, ASSEMBLE_REFUSED_NO_SESSION, 1);
        return 0;
    }
    if (!s->trusted) {
        count(a, ASSEMBLE_REFUSED_TRUST, 1);
        return 0;
    }
    if (m->dt_number > (uint64_t)(INT64_MAX / 2 / s->key.dt.ns) ||
        (int64_t)m->dt_number * s->key.dt.ns > now.ns + ASSEMBLE_AHEAD_NS) {
        count(a, ASSEMBLE_REFUSED_AHEAD, 1);
        return 0;
    }
    struct instant start = instant_of_ns((int64_t)m->dt_number * s->key.dt.ns);
    if (start.ns < OLDEST_S * NS_PER_S) {
        count(a, ASSEMBLE_REFUSED_OLD, 1);
        return 0;
    }
    if (instant_before(start, a->written_until)) {
        /* While re-reading it was written; else the source broke its word. */
        if (a->written_until.ns <= final_before.ns) {
            count(a, ASSEMBLE_REFUSED_LATE, 1);
        }
        assemble_gap_end(a, s);
        return 0;
    }
    if (m->dt_number < s->next_dt) {
        count(a, ASSEMBLE_REFUSED_REPEATED, 1);
        return 0;
    }
    if (s->gap) {
        int err = hold_gap(a, s, m->dt_number);
        if (err) {
            return err;
        }
        assemble_gap_end(a, s);
    }
    s->next_dt = m->dt_number + 1;
    keep_for_live(s, m);
    return hold(a, s, m->dt_number, 1, slice->at, slice->left, before);
}

/* The next field 7 (summaries) of a batch in wire encoding that was parsed. */
static struct rd
next_summary(struct rd *r)
{
    while (rd_ok(r) && r->left) {
        uint64_t tag = rd_varint(r);
        switch (tag & 7) {
        case 0:
            rd_varint(r);
            break;
        case 1:
            rd_skip(r, 8);
            break;
        case 2: {
            size_t size = rd_varint(r);
            struct rd sub = rd_sub(r, size);
            if (tag >> 3 == 7) {
                return sub;
            }
            break;
        }
        case 5:
            rd_skip(r, 4);
            break;
        default:
            r->bad = true;
        }
    }
    return (struct rd){.bad = true};
}

static int
take_summaries(struct assemble *a, const pb_batch *batch, const void *bytes, size_t size,
               struct position before, struct instant final_before, struct instant now)
{
    struct rd r = rd_of(bytes, size);
    int err = 0;

    for (size_t i = 0; i < batch->n_summaries && !err; i++) {
        struct rd slice = next_summary(&r);
        if (slice.bad) {
            return -EBADMSG;
        }
        err = take_summary(a, batch->summaries[i], &slice, before, final_before, now);
    }
    return err;
}

static int
take_tombstone(struct assemble *a, const Plumbline__Telemetry__Tombstone *t, struct position before,
               struct instant now)
{
    /* 0 is "not known from where" and "not known up to where". */
    struct instant from = t->from_ns ? instant_of_ns(t->from_ns) : a->final_until;
    struct instant until = instant_of_ns(t->until_ns ? t->until_ns : INT64_MAX);

    count(a, ASSEMBLE_TOMBSTONES, 1);
    if (t->until_ns > now.ns + ASSEMBLE_AHEAD_NS) {
        count(a, ASSEMBLE_REFUSED_AHEAD, 1);
        until = instant_of_ns(INT64_MAX); /* Up to what comes next. */
    }
    if (from.ns < OLDEST_S * NS_PER_S) {
        from = instant_of_ns(OLDEST_S * NS_PER_S);
    }
    return instant_before(from, until) ? add_unknown(a, from, until, before) : 0;
}

static void
take_watermark(struct assemble *a, struct instant final_until)
{
    if (!instant_before(a->final_until, final_until)) {
        return;
    }
    for (struct unknown *u = a->unknowns; u; u = u->next) {
        if (u->until.ns == INT64_MAX) {
            u->until = final_until;
        }
    }
    a->final_until = final_until;
}

static void
take_early(struct assemble *a, const pb_early *e)
{
    struct assemble_session *s = assemble_session_find(&a->sessions, e->session_id);

    if (s && s->trusted) {
        s->early = *e;
        s->early.base.n_unknown_fields = 0;
        s->early.base.unknown_fields = NULL;
        s->has_early = true;
    }
}

/* --- Entries -------------------------------------------------------------- */

/* Moves to 'p', opening its epoch if it is another. */
static void
step(struct assemble *a, struct position p, const pb_batch *batch, struct instant now)
{
    if (p.epoch != a->read.epoch) {
        bool linked =
            batch && batch->epoch_start && batch->epoch_start->previous_epoch == a->read.epoch;
        bool told = batch && batch->epoch_start && !batch->tombstone;
        bool dated = batch && batch->made_at_ns && batch->made_at_ns <= now.ns + ASSEMBLE_AHEAD_NS;
        /* A date ahead of time would keep what the gap waits for from ever being over. */
        begin_epoch(a, p, linked, told, dated ? instant_of_ns(batch->made_at_ns) : a->final_until);
    }
    a->read = p;
}

int
assemble_take(struct assemble *a, struct position p, const pb_batch *batch, const void *bytes,
              size_t size, struct instant now)
{
    struct position before = a->read;
    struct instant final_before = a->final_until;
    int err = 0;

    if (a->held > ASSEMBLE_HELD_MAX) {
        count(a, ASSEMBLE_HELD_FULL, 1);
        return -ENOBUFS;
    }
    step(a, p, batch, now);
    if (batch->tombstone) {
        return take_tombstone(a, batch->tombstone, before, now);
    }
    for (size_t i = 0; i < batch->n_sessions && !err; i++) {
        err = take_session(a, batch->sessions[i], instant_of_ns(batch->final_until_ns),
                           batch->epoch_start != NULL);
    }
    if (!err) {
        err = take_summaries(a, batch, bytes, size, before, final_before, now);
    }
    for (size_t i = 0; i < batch->n_liveness && !err; i++) {
        err = take_liveness(a, batch->liveness[i], before, now);
    }
    for (size_t i = 0; i < batch->n_early; i++) {
        take_early(a, batch->early[i]);
    }
    if (batch->final_until_ns < OLDEST_S * NS_PER_S) {
        /* It vouches for nothing that could be written. */
    } else if (batch->final_until_ns <= now.ns + ASSEMBLE_AHEAD_NS) {
        take_watermark(a, instant_of_ns(batch->final_until_ns));
    } else {
        count(a, ASSEMBLE_REFUSED_AHEAD, 1);
    }
    return err;
}

int
assemble_take_lost(struct assemble *a, struct position p)
{
    struct position before = a->read;

    step(a, p, NULL, a->final_until);
    return add_unknown(a, a->final_until, instant_of_ns(INT64_MAX), before);
}
