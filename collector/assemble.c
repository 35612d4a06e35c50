/* assemble.c - from a source's batches to intervals. */
#include "assemble.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define CHUNK_SIZE ((size_t)64 << 10)
#define LIVENESS_ENCODING 1

/* 2000-01-01: whose clock is before has never set it.  No day before it has a
 * partition. */
#define OLDEST_S INT64_C(946684800)

/* Sessions that do not speak again so many intervals after an epoch began are
 * no longer waited for. */
#define GAP_INTERVALS 3

const char *const assemble_count_names[ASSEMBLE_COUNTS] = {
    "summaries",        "tombstones",         "epochs",      "epoch_unlinked",
    "refused_trust",    "refused_ahead",      "refused_old", "refused_late",
    "refused_repeated", "refused_no_session", "held_full"};

/* One summary in wire encoding, or 'run' unknown delta-t when 'size' is 0. */
struct held {
    struct held *next;
    uint64_t dt_number;
    uint32_t size, run;
    uint8_t bytes[];
};

struct held_list {
    struct held *first, *last;
};

struct chunk {
    struct chunk *next;
    size_t used, room;
    _Alignas(16) uint8_t bytes[];
};

struct interval {
    struct interval *next; /* By start. */
    struct instant start, end;
    struct position before; /* Last position before anything that is in here. */
    struct held_list *lists;
    size_t list_count;
    struct chunk *chunks;
    size_t held;
    struct assemble_liveness *liveness;
    size_t liveness_count, liveness_room;
};

/* Where summaries that did not come are unknown. */
struct unknown {
    struct unknown *next;
    struct instant from, until; /* until INT64_MAX: up to the next watermark. */
    struct position before;
};

struct slot {
    int64_t id;
    struct assemble_session *session;
};

struct assemble {
    struct assemble_config config;
    char source[SERIES_NAME_MAX + 1];
    struct position read, begin_at;
    struct instant final_until, written_until;
    struct interval *intervals;
    struct unknown *unknowns;
    struct assemble_session *sessions, **sessions_end;
    size_t session_count, gap_count;
    struct slot *slots; /* Open addressing; a power of two. */
    size_t slot_count;
    struct position gap_before; /* Valid if gap_count. */
    struct instant gap_deadline;
    size_t held;
    struct dt_record *records; /* DIRECTIONS * record_room */
    size_t record_room;
    struct bytes liveness;
    struct chunk *unpacked;
};

static void
count(struct assemble *a, enum assemble_count what, uint64_t n)
{
    counter_add(&a->config.counters[what], n);
}

/* --- Memory --------------------------------------------------------------- */

static void
chunks_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

static void *
chunk_take(struct chunk **chunks, size_t size)
{
    struct chunk *c = *chunks;

    size = (size + 15) & ~(size_t)15;
    if (!c || c->room - c->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = malloc(sizeof *c + room);
        if (!c) {
            return NULL;
        }
        c->next = *chunks;
        c->used = 0;
        c->room = room;
        *chunks = c;
    }
    void *here = c->bytes + c->used;
    c->used += size;
    return here;
}

static void
interval_free(struct interval *i)
{
    chunks_free(i->chunks);
    free(i->lists);
    free(i->liveness);
    free(i);
}

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
    a->sessions_end = &a->sessions;
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
    while (a->sessions) {
        struct assemble_session *next = a->sessions->next;
        free(a->sessions);
        a->sessions = next;
    }
    chunks_free(a->unpacked);
    bytes_fini(&a->liveness);
    free(a->slots);
    free(a->records);
    free(a);
}

/* --- Sessions ------------------------------------------------------------- */

static struct slot *
slot_of(const struct assemble *a, int64_t id)
{
    size_t mask = a->slot_count - 1;
    size_t at = (size_t)id & mask; /* Already a hash. */

    while (a->slots[at].session && a->slots[at].id != id) {
        at = (at + 1) & mask;
    }
    return &a->slots[at];
}

static struct assemble_session *
session_find(const struct assemble *a, int64_t id)
{
    return a->slot_count ? slot_of(a, id)->session : NULL;
}

const struct assemble_session *
assemble_session(const struct assemble *a, int64_t id)
{
    return session_find(a, id);
}

static int
slots_grow(struct assemble *a)
{
    size_t wanted = a->slot_count ? a->slot_count * 2 : 64;
    struct slot *old = a->slots;
    size_t old_count = a->slot_count;

    if (a->slot_count > (a->session_count + 1) * 2) {
        return 0;
    }
    struct slot *more = calloc(wanted, sizeof *more);
    if (!more) {
        return -ENOMEM;
    }
    a->slots = more;
    a->slot_count = wanted;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].session) {
            *slot_of(a, old[i].id) = old[i];
        }
    }
    free(old);
    return 0;
}

static struct assemble_session *
session_new(struct assemble *a, const struct session_key *key)
{
    if (slots_grow(a)) {
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
    s->index = (uint32_t)a->session_count++;
    s->epoch = a->read.epoch;
    s->trusted = a->config.trust(a->source, key, a->config.aux);
    *slot_of(a, s->id) = (struct slot){s->id, s};
    *a->sessions_end = s;
    a->sessions_end = &s->next;
    return s;
}

int
assemble_know(struct assemble *a, const struct session_key *key)
{
    struct assemble_session *s = session_find(a, session_id_of(key));

    if (!s) {
        s = session_new(a, key);
        if (!s) {
            return -ENOMEM;
        }
        s->next_dt = (uint64_t)instant_ceil(a->written_until, key->dt).ns / (uint64_t)key->dt.ns;
    }
    s->stored = true;
    s->epoch = 0; /* Until assemble_current(). */
    return 0;
}

void
assemble_current(struct assemble *a, int64_t session_id)
{
    struct assemble_session *s = session_find(a, session_id);

    if (s && s->epoch == 0) {
        s->epoch = a->read.epoch;
    }
}

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

static void
gap_end(struct assemble *a, struct assemble_session *s)
{
    if (s->gap) {
        s->gap = false;
        a->gap_count--;
    }
}

/* 'continues': it stands in the first batch of its epoch. */
static int
take_session(struct assemble *a, const pb_session *entry, struct instant final_until,
             bool continues)
{
    struct session_key key;
    struct assemble_session *s = session_find(a, entry->session_id);

    if (!s) {
        if (!telemetry_session_key(entry, &key)) {
            return 0; /* telemetry_parse() lets none pass. */
        }
        s = session_new(a, &key);
        if (!s) {
            return -ENOMEM;
        }
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

/* --- Intervals ------------------------------------------------------------ */

/* The interval that holds 'at' (not written yet), made if need be, pinned to
 * 'before'. */
static struct interval *
interval_of(struct assemble *a, struct instant at, struct position before)
{
    struct instant start = instant_floor(at, a->config.interval);
    struct instant end = instant_add(start, a->config.interval);
    struct interval **link = &a->intervals, *i;

    if (instant_before(start, a->written_until)) {
        start = a->written_until; /* The length of an interval was changed. */
    }
    while (*link && instant_before((*link)->start, start)) {
        link = &(*link)->next;
    }
    i = *link;
    if (!i || i->start.ns != start.ns) {
        i = calloc(1, sizeof *i);
        if (!i) {
            return NULL;
        }
        *i = (struct interval){.next = *link, .start = start, .end = end, .before = before};
        *link = i;
    }
    if (position_compare(before, i->before) < 0) {
        i->before = before;
    }
    return i;
}

static struct held_list *
list_of(struct assemble *a, struct interval *i, uint32_t index)
{
    if (index >= i->list_count) {
        size_t wanted = a->session_count;
        struct held_list *more = reallocarray(i->lists, wanted, sizeof *more);
        if (!more) {
            return NULL;
        }
        memset(more + i->list_count, 0, (wanted - i->list_count) * sizeof *more);
        i->lists = more;
        i->list_count = wanted;
    }
    return &i->lists[index];
}

static int
hold(struct assemble *a, const struct assemble_session *s, uint64_t dt_number, uint32_t run,
     const void *bytes, size_t size, struct position before)
{
    struct instant start = instant_of_ns((int64_t)dt_number * s->key.dt.ns);
    struct interval *i = interval_of(a, start, before);
    struct held_list *list = i ? list_of(a, i, s->index) : NULL;
    struct held *h = list ? chunk_take(&i->chunks, sizeof *h + size) : NULL;

    if (!h) {
        return -ENOMEM;
    }
    h->next = NULL;
    h->dt_number = dt_number;
    h->size = (uint32_t)size;
    h->run = run;
    if (size) {
        memcpy(h->bytes, bytes, size);
    }
    if (list->last) {
        list->last->next = h;
    } else {
        list->first = h;
    }
    list->last = h;
    i->held += sizeof *h + size;
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

/* --- Taking --------------------------------------------------------------- */

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
        for (struct assemble_session *s = a->sessions; s; s = s->next) {
            if (s->epoch == old) {
                s->epoch = p.epoch;
                gap_begin(a, s);
            }
        }
    }
}

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
        struct interval *i = interval_of(a, instant_of_ns((int64_t)second * NS_PER_S), before);
        if (!i) {
            return -ENOMEM;
        }
        uint64_t end = (uint64_t)instant_ceil(i->end, span_of_ns(NS_PER_S)).ns / NS_PER_S;
        uint64_t here = end - second < left ? end - second : left;
        struct assemble_liveness l = {second,        (uint32_t)here, m->sending,
                                      m->reflecting, m->generation,  m->serving_id};
        struct assemble_liveness *last =
            i->liveness_count ? &i->liveness[i->liveness_count - 1] : NULL;
        if (last && last->second + last->seconds == second && last->sending == l.sending &&
            last->reflecting == l.reflecting && last->generation == l.generation &&
            last->serving_id == l.serving_id) {
            last->seconds += l.seconds;
        } else {
            if (i->liveness_count == i->liveness_room) {
                size_t room = i->liveness_room ? i->liveness_room * 2 : 4;
                void *more = reallocarray(i->liveness, room, sizeof l);
                if (!more) {
                    return -ENOMEM;
                }
                i->liveness = more;
                i->liveness_room = room;
            }
            i->liveness[i->liveness_count++] = l;
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
    struct assemble_session *s = session_find(a, m->session_id);

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
        gap_end(a, s);
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
        gap_end(a, s);
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
    struct assemble_session *s = session_find(a, e->session_id);

    if (s && s->trusted) {
        s->early = *e;
        s->early.base.n_unknown_fields = 0;
        s->early.base.unknown_fields = NULL;
        s->has_early = true;
    }
}

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
    struct interval *i = interval_of(a, next, a->read);
    if (!i) {
        return false;
    }
    *start = i->start;
    *seconds = (uint32_t)(instant_sub(i->end, i->start).ns / NS_PER_S);
    return true;
}

static bool
is_unknown(const struct assemble *a, struct instant start)
{
    for (const struct unknown *u = a->unknowns; u; u = u->next) {
        if (!instant_before(start, u->from) && instant_before(start, u->until)) {
            return true;
        }
    }
    return false;
}

static void *
unpack_alloc(void *aux, size_t size)
{
    struct assemble *a = aux;
    return chunk_take(&a->unpacked, size);
}

static void
unpack_free(void *aux, void *pointer)
{
    (void)aux;
    (void)pointer;
}

/* Forgets what was unpacked, keeping one chunk. */
static void
unpack_reset(struct assemble *a)
{
    if (a->unpacked) {
        chunks_free(a->unpacked->next);
        a->unpacked->next = NULL;
        a->unpacked->used = 0;
    }
}

static int
records_room(struct assemble *a, size_t wanted)
{
    if (wanted > a->record_room) {
        void *more = reallocarray(a->records, wanted * DIRECTIONS, sizeof a->records[0]);
        if (!more) {
            return -ENOMEM;
        }
        a->records = more;
        a->record_room = wanted;
    }
    return 0;
}

static void
set_kind(struct dt_record *const at[DIRECTIONS], size_t i, enum dt_kind kind)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        at[d][i] = (struct dt_record){.kind = kind, .clock_error_ns = UINT64_MAX};
    }
}

struct session_interval {
    struct dt_record *at[DIRECTIONS];
    size_t count;
    uint64_t first;
    bool clean, lost, any;
};

/* Puts one held entry into the records. */
static int
place(struct assemble *a, const struct assemble_session *s, const struct held *h,
      struct session_interval *out)
{
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, a};
    size_t i = (size_t)(h->dt_number - out->first);

    out->any = true;
    if (h->size == 0) {
        for (size_t k = i; k < i + h->run && k < out->count; k++) {
            set_kind(out->at, k, DT_NOT_TOLD);
        }
        out->clean = false;
        return 0;
    }
    pb_summary *m = plumbline__telemetry__summary__unpack(&allocator, h->size, h->bytes);
    if (!m) {
        return -ENOMEM; /* It was parsed before: memory alone can fail. */
    }
    struct dt_record split[DIRECTIONS];
    row_split(&s->key, m, split);
    for (int d = 0; d < DIRECTIONS; d++) {
        out->at[d][i] = split[d];
    }
    out->clean = out->clean && row_summary_is_clean(m);
    out->lost = out->lost || split[DIR_RT].lost > 0;
    return 0;
}

static int
fill(struct assemble *a, struct assemble_session *s, const struct interval *i,
     struct session_interval *out)
{
    const struct span dt = s->key.dt;
    uint64_t first = (uint64_t)instant_ceil(i->start, dt).ns / (uint64_t)dt.ns;
    uint64_t end = (uint64_t)instant_ceil(i->end, dt).ns / (uint64_t)dt.ns;
    size_t n = (size_t)(end - first);
    int err = records_room(a, n);

    *out = (struct session_interval){.count = n, .first = first, .clean = true};
    if (err) {
        return err;
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        out->at[d] = a->records + (size_t)d * a->record_room;
    }
    for (size_t k = 0; k < n; k++) {
        set_kind(out->at, k, DT_ABSENT);
    }
    struct held *h = s->index < i->list_count ? i->lists[s->index].first : NULL;
    for (; h && !err; h = h->next) {
        err = place(a, s, h, out);
    }
    for (size_t k = 0; k < n && !err; k++) {
        if (out->at[DIR_RT][k].kind != DT_ABSENT) {
            continue;
        }
        struct instant start = instant_of_ns((int64_t)(first + k) * dt.ns);
        out->clean = false;
        if ((s->gap && first + k >= s->next_dt) || (s->epoch && is_unknown(a, start))) {
            set_kind(out->at, k, DT_NOT_TOLD);
            out->any = true;
        }
    }
    if (s->gap && s->next_dt < end) {
        s->next_dt = end;
    }
    return err;
}

int
assemble_rows(struct assemble *a, assemble_rows_fn *fn, void *aux)
{
    const struct interval *i = a->intervals;

    assert(i);
    for (struct assemble_session *s = a->sessions; s; s = s->next) {
        struct session_interval one;
        if (!s->trusted || (s->index >= i->list_count || !i->lists[s->index].first)) {
            if (!s->trusted || s->epoch != a->read.epoch || (!s->gap && !a->unknowns)) {
                continue;
            }
        }
        int err = fill(a, s, i, &one);
        if (!err && one.any) {
            s->written = true;
            err = fn(s, one.at, one.count, one.clean, one.lost, aux);
        }
        unpack_reset(a);
        if (err) {
            return err;
        }
    }
    return 0;
}

const uint8_t *
assemble_liveness(struct assemble *a, size_t *size)
{
    const struct interval *i = a->intervals;
    static const uint8_t format = LIVENESS_ENCODING;
    uint64_t base = (uint64_t)(instant_floor(i->start, span_of_ns(NS_PER_S)).ns / NS_PER_S);

    bytes_clear(&a->liveness);
    if (i->liveness_count) {
        bytes_add(&a->liveness, &format, 1);
    }
    for (size_t k = 0; k < i->liveness_count; k++) {
        const struct assemble_liveness *l = &i->liveness[k];
        bytes_varint(&a->liveness, l->second - base);
        bytes_varint(&a->liveness, l->seconds);
        bytes_varint(&a->liveness, (uint64_t)l->sending | (uint64_t)l->reflecting << 1);
        bytes_be64(&a->liveness, (uint64_t)l->generation);
        bytes_be64(&a->liveness, (uint64_t)l->serving_id);
    }
    *size = bytes_ok(&a->liveness) ? a->liveness.size : 0;
    return a->liveness.at;
}

bool
liveness_read(const void *bytes, size_t size, struct instant start, liveness_read_fn *fn, void *aux)
{
    struct rd r = rd_of(bytes, size);
    uint64_t base = (uint64_t)(instant_floor(start, span_of_ns(NS_PER_S)).ns / NS_PER_S);

    if (rd_u8(&r) != LIVENESS_ENCODING) {
        return false;
    }
    while (rd_ok(&r) && r.left) {
        struct assemble_liveness l = {.second = base + rd_varint(&r)};
        l.seconds = (uint32_t)rd_varint(&r);
        uint64_t bits = rd_varint(&r);
        l.sending = bits & 1;
        l.reflecting = bits >> 1 & 1;
        l.generation = (int64_t)rd_be64(&r);
        l.serving_id = (int64_t)rd_be64(&r);
        if (rd_ok(&r)) {
            fn(&l, aux);
        }
    }
    return rd_ok(&r);
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
        for (struct assemble_session *s = a->sessions; s; s = s->next) {
            gap_end(a, s);
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

bool
assemble_session_due(const struct assemble_session *s, struct position safe)
{
    return !s->stored && s->trusted && (s->written || position_compare(s->announced, safe) <= 0);
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

struct assemble_session *
assemble_sessions(struct assemble *a)
{
    return a->sessions;
}

size_t
assemble_session_count(const struct assemble *a)
{
    return a->session_count;
}
