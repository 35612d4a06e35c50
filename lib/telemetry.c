/* telemetry.c - reading batches, with every check.
 *
 * Lets protobuf-c unpack into an arena that is emptied in one step.  Batches are made by
 * telemetry_build.c. */
#include "telemetry_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* What a dictionary entry may say: more than anybody has use for. */
#define DT_NS_MAX (86400 * NS_PER_S)
#define TIMEOUT_NS_MAX (3600 * NS_PER_S)
#define PERIOD_NS_MAX (3600 * NS_PER_S)
#define SIZE_MAX_OCTETS 65535u
#define DT_NUMBER_MAX ((uint64_t)INT64_MAX)
#define REFUSED_NAME_MAX 127u
#define LIVENESS_SECONDS_MAX 86400u
#define SECOND_MAX ((uint64_t)INT64_MAX / (uint64_t)NS_PER_S)

#define ARENA_BLOCK ((size_t)256 << 10)
/* Some thirty times the largest batch: what unpacking an honest one takes. */
#define ARENA_MAX ((size_t)128 << 20)

/* --- Arena ---------------------------------------------------------------- */

struct block {
    struct block *next;
    size_t room;
    max_align_t bytes[];
};

struct telemetry_arena {
    struct block *first, *current;
    size_t used;  /* Of 'current'. */
    size_t total; /* Given out since the last reset. */
    bool too_much, no_memory;
    ProtobufCAllocator allocator;
};

static struct block *
block_new(size_t room)
{
    struct block *b = malloc(sizeof *b + room);

    if (b) {
        b->next = NULL;
        b->room = room;
    }
    return b;
}

static void *
arena_alloc(void *aux, size_t size)
{
    struct telemetry_arena *a = aux;
    size_t unit = sizeof(max_align_t);
    size_t rounded = (size + unit - 1) / unit * unit;

    if (size > ARENA_MAX || a->total > ARENA_MAX - rounded) {
        a->too_much = true;
        return NULL;
    }
    while (a->current->room - a->used < rounded) {
        if (!a->current->next) {
            a->current->next = block_new(rounded > ARENA_BLOCK ? rounded : ARENA_BLOCK);
            if (!a->current->next) {
                a->no_memory = true;
                return NULL;
            }
        }
        a->current = a->current->next;
        a->used = 0;
    }
    void *here = a->current->bytes + a->used / unit;
    a->used += rounded;
    a->total += rounded;
    return here;
}

static void
arena_drop(void *aux, void *pointer)
{
    (void)aux;
    (void)pointer;
}

struct telemetry_arena *
telemetry_arena_new(void)
{
    struct telemetry_arena *a = calloc(1, sizeof *a);

    if (!a) {
        return NULL;
    }
    a->first = block_new(ARENA_BLOCK);
    if (!a->first) {
        free(a);
        return NULL;
    }
    a->current = a->first;
    a->allocator = (ProtobufCAllocator){arena_alloc, arena_drop, a};
    return a;
}

void
telemetry_arena_reset(struct telemetry_arena *a)
{
    a->current = a->first;
    a->used = a->total = 0;
    a->too_much = a->no_memory = false;
}

void
telemetry_arena_free(struct telemetry_arena *a)
{
    if (!a) {
        return;
    }
    for (struct block *b = a->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

/* --- Checks --------------------------------------------------------------- */

/* Keys of the inventory: [a-z0-9][a-z0-9.-]*, at most 'most' bytes. */
static bool
name_fits(const char *name, size_t most)
{
    size_t length = 0;

    for (const char *c = name; *c; c++, length++) {
        bool word = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
        if (length == most || (!word && (length == 0 || (*c != '.' && *c != '-')))) {
            return false;
        }
    }
    return length > 0;
}

bool
telemetry_name_ok(const char *name)
{
    return name_fits(name, SERIES_NAME_MAX);
}

bool
telemetry_start(uint64_t number, struct span dt, struct instant *start)
{
    return number <= DT_NUMBER_MAX && !__builtin_mul_overflow((int64_t)number, dt.ns, &start->ns) &&
           start->ns <= INT64_MAX - dt.ns;
}

static bool
in_range(uint64_t v, int64_t most)
{
    return v >= 1 && v <= (uint64_t)most;
}

static bool
session_numbers_ok(const pb_session *s)
{
    if (s->flow > UINT16_MAX || (s->family != 4 && s->family != 6) || s->observer_end > 1 ||
        !in_range(s->dt_ns, DT_NS_MAX) || !in_range(s->tmax_ns, TIMEOUT_NS_MAX) ||
        !in_range(s->period_ns, PERIOD_NS_MAX) || s->size > SIZE_MAX_OCTETS || s->dscp > 63 ||
        s->n_limits > SERIES_LIMITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < s->n_limits; i++) {
        if (s->limits[i]->metric > LIMIT_IFDV || s->limits[i]->direction >= DIRECTIONS ||
            s->limits[i]->limit_ns > INT64_MAX) {
            return false;
        }
    }
    return true;
}

bool
telemetry_session_key(const pb_session *s, struct session_key *out)
{
    struct session_key key = {0};

    if (!telemetry_name_ok(s->object) || !telemetry_name_ok(s->observer) ||
        (s->far[0] && !telemetry_name_ok(s->far)) || !telemetry_name_ok(s->class_name) ||
        !name_fits(s->protocol, sizeof key.protocol - 1) || !session_numbers_ok(s)) {
        return false;
    }
    memcpy(key.object, s->object, strlen(s->object));
    memcpy(key.observer, s->observer, strlen(s->observer));
    memcpy(key.far, s->far, strlen(s->far));
    memcpy(key.class_name, s->class_name, strlen(s->class_name));
    memcpy(key.protocol, s->protocol, strlen(s->protocol));
    key.flow = (uint16_t)s->flow;
    key.family = (uint8_t)s->family;
    key.observer_end = (uint8_t)s->observer_end;
    key.dt = span_of_ns((int64_t)s->dt_ns);
    key.tmax = span_of_ns((int64_t)s->tmax_ns);
    key.period = span_of_ns((int64_t)s->period_ns);
    key.size = s->size;
    key.dscp = (uint8_t)s->dscp;
    key.ifdv = s->ifdv ? 1 : 0;
    key.rt_only = s->rt_only != 0;
    key.limit_count = (uint8_t)s->n_limits;
    for (size_t i = 0; i < s->n_limits; i++) {
        key.limits[i] = (struct series_limit){
            .metric = (enum limit_metric)s->limits[i]->metric,
            .direction = (enum direction)s->limits[i]->direction,
            .limit = span_of_ns((int64_t)s->limits[i]->limit_ns),
        };
    }
    if (session_id_of(&key) != s->session_id) {
        return false;
    }
    *out = key;
    return true;
}

static bool
delay_ok(const pb_delay *d, uint64_t received)
{
    uint64_t count, pairs;
    int64_t max, most;

    if (!d) {
        return true;
    }
    if (d->count == 0 || d->count > received || d->range_ns < 0 || d->sum_ns < 0 ||
        __builtin_add_overflow(d->min_ns, d->range_ns, &max)) {
        return false;
    }
    if (!__builtin_mul_overflow((int64_t)d->count, d->range_ns, &most) && d->sum_ns > most) {
        return false;
    }
    return hist_check_encoded(HIST_DELAY, d->hist.data, d->hist.len, &count) == HIST_OK &&
           count == d->count &&
           hist_check_encoded(HIST_IFDV, d->ifdv.data, d->ifdv.len, &pairs) == HIST_OK &&
           pairs <= count;
}

static bool
summary_ok(const pb_summary *s)
{
    uint64_t fates =
        (uint64_t)s->received + s->lost_fwd + s->lost_bwd + s->lost_undirected + s->unknown;
    uint64_t lost = (uint64_t)s->lost_fwd + s->lost_bwd + s->lost_undirected;

    if (fates != s->sent || s->late > lost || s->dt_number > DT_NUMBER_MAX ||
        (uint64_t)s->stamped_user + s->stamped_hardware > s->received ||
        s->reordered_fwd > s->sent || s->reordered_bwd > s->sent || s->n_over > SERIES_LIMITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < s->n_over; i++) {
        if (s->over[i] > s->received) {
            return false;
        }
    }
    return delay_ok(s->fwd, s->received) && delay_ok(s->bwd, s->received) &&
           delay_ok(s->rt, s->received);
}

static bool
early_ok(const pb_early *e)
{
    return (uint64_t)e->received + e->overdue <= e->sent && e->dt_number <= DT_NUMBER_MAX &&
           e->rt_min_ns <= e->rt_max_ns;
}

static bool
tombstone_ok(const pb_batch *b)
{
    return b->tombstone->from_ns <= b->tombstone->until_ns && !b->epoch_start && !b->n_sessions &&
           !b->n_summaries && !b->n_liveness && !b->n_early && !b->n_refused && !b->serving &&
           !b->health && !b->n_events && !b->n_traces;
}

static bool
serving_ok(const Plumbline__Telemetry__Serving *s)
{
    for (size_t i = 0; i < s->n_objects; i++) {
        if (!telemetry_name_ok(s->objects[i])) {
            return false;
        }
    }
    return true;
}

/* What is neither dictionary nor summary. */
static bool
rest_ok(const pb_batch *b)
{
    const Plumbline__Telemetry__EpochStart *e = b->epoch_start;

    if ((e && e->epoch <= e->previous_epoch) || (b->tombstone && !tombstone_ok(b)) ||
        (b->serving && !serving_ok(b->serving))) {
        return false;
    }
    for (size_t i = 0; i < b->n_liveness; i++) {
        if (b->liveness[i]->second > SECOND_MAX - LIVENESS_SECONDS_MAX ||
            b->liveness[i]->seconds > LIVENESS_SECONDS_MAX) {
            return false;
        }
    }
    for (size_t i = 0; i < b->n_early; i++) {
        if (!early_ok(b->early[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < b->n_refused; i++) {
        if (strlen(b->refused[i]->name) > REFUSED_NAME_MAX) {
            return false;
        }
    }
    return true;
}

/* The batch's format number, before anything else is believed: the last one, as
 * protobuf has it.  0 if the frame is not sound. */
static uint64_t
format_of(const void *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    uint64_t format = 0;

    while (rd_ok(&r) && r.left) {
        uint64_t tag = rd_varint(&r);
        if (tag >> 3 == 0 || tag > UINT32_MAX) {
            return 0;
        }
        if (tag == (FIELD_FORMAT << 3 | WIRE_VARINT)) {
            format = rd_varint(&r);
            continue;
        }
        switch (tag & 7) {
        case WIRE_VARINT:
            rd_varint(&r);
            break;
        case WIRE_FIXED64:
            rd_skip(&r, 8);
            break;
        case WIRE_BYTES:
            rd_skip(&r, rd_varint(&r));
            break;
        case WIRE_FIXED32:
            rd_skip(&r, 4);
            break;
        default:
            return 0;
        }
    }
    return rd_ok(&r) ? format : 0;
}

static enum telemetry_verdict
check_batch(const pb_batch *b, const char *source)
{
    struct session_key key;

    if (strcmp(b->source, source) != 0) {
        return TELEMETRY_WRONG_SOURCE;
    }
    for (size_t i = 0; i < b->n_sessions; i++) {
        if (!telemetry_session_key(b->sessions[i], &key) || strcmp(key.observer, source) != 0) {
            return TELEMETRY_BAD_SESSION;
        }
    }
    for (size_t i = 0; i < b->n_summaries; i++) {
        if (!summary_ok(b->summaries[i])) {
            return TELEMETRY_BAD_SUMMARY;
        }
    }
    return rest_ok(b) ? TELEMETRY_OK : TELEMETRY_MALFORMED;
}

enum telemetry_verdict
telemetry_parse(struct telemetry_arena *a, const char *source, const void *bytes, size_t size,
                const pb_batch **out)
{
    uint64_t format;
    pb_batch *b;
    enum telemetry_verdict v;

    if (size > TELEMETRY_BATCH_MAX) {
        return TELEMETRY_TOO_LARGE;
    }
    format = format_of(bytes, size);
    if (format == 0) {
        return TELEMETRY_MALFORMED;
    }
    if (format > TELEMETRY_FORMAT_READ) {
        return TELEMETRY_NEWER_FORMAT;
    }
    b = plumbline__telemetry__batch__unpack(&a->allocator, size, bytes);
    if (!b) {
        return a->no_memory  ? TELEMETRY_NO_MEMORY
               : a->too_much ? TELEMETRY_TOO_LARGE
                             : TELEMETRY_MALFORMED;
    }
    v = check_batch(b, source);
    if (v == TELEMETRY_OK) {
        *out = b;
    }
    return v;
}

const char *
telemetry_verdict_name(enum telemetry_verdict v)
{
    static const char *const names[] = {"ok",           "malformed",   "newer_format",
                                        "wrong_source", "bad_session", "bad_summary",
                                        "too_large",    "no_memory"};
    return (unsigned)v < sizeof names / sizeof names[0] ? names[v] : "?";
}
