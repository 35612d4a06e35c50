/* telemetry_build.c - building batches.
 *
 * Writes the frame of Batch by hand around sub-messages that protobuf-c packs: a batch is never a
 * tree in memory. */
#include "telemetry_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

struct telemetry_builder {
    char source[SERIES_NAME_MAX + 1];
    uint8_t *bytes;
    size_t size, room;
    size_t head; /* Bytes of fields 1 to 4, always there. */
    uint8_t *scratch;
    size_t scratch_room;
    struct instant from, until;
};

static size_t
varint_size(uint64_t v)
{
    return (size_t)(70 - (uint32_t)__builtin_clzll(v | 1)) / 7;
}

static int
reserve(uint8_t **bytes, size_t *room, size_t needed)
{
    size_t more = *room ? *room : 4096;
    uint8_t *grown;

    if (needed <= *room) {
        return 0;
    }
    while (more < needed) {
        more *= 2;
    }
    grown = realloc(*bytes, more);
    if (!grown) {
        return -ENOMEM;
    }
    *bytes = grown;
    *room = more;
    return 0;
}

static void
write_head(struct telemetry_builder *b, struct instant made_at, struct instant final_until)
{
    struct wr w = wr_of(b->bytes, b->head);

    wr_varint(&w, FIELD_FORMAT << 3 | WIRE_VARINT);
    wr_varint(&w, TELEMETRY_FORMAT);
    wr_varint(&w, FIELD_SOURCE << 3 | WIRE_BYTES);
    wr_varint(&w, strlen(b->source));
    wr_copy(&w, b->source, strlen(b->source));
    wr_varint(&w, FIELD_MADE_AT << 3 | WIRE_FIXED64);
    wr_le64(&w, (uint64_t)made_at.ns);
    wr_varint(&w, FIELD_FINAL_UNTIL << 3 | WIRE_FIXED64);
    wr_le64(&w, (uint64_t)final_until.ns);
    assert(wr_ok(&w) && w.left == 0);
}

static void
begin_batch(struct telemetry_builder *b)
{
    b->size = b->head;
    b->from = b->until = instant_of_ns(0);
}

struct telemetry_builder *
telemetry_builder_new(const char *source)
{
    struct telemetry_builder *b = calloc(1, sizeof *b);
    size_t length = strlen(source);

    assert(length <= SERIES_NAME_MAX);
    if (!b) {
        return NULL;
    }
    memcpy(b->source, source, length + 1);
    b->head = 2 + 2 + length + 9 + 9;
    if (reserve(&b->bytes, &b->room, b->head)) {
        free(b);
        return NULL;
    }
    begin_batch(b);
    return b;
}

void
telemetry_builder_free(struct telemetry_builder *b)
{
    if (b) {
        free(b->bytes);
        free(b->scratch);
        free(b);
    }
}

static int
add_packed(struct telemetry_builder *b, unsigned field, const ProtobufCMessage *message)
{
    size_t inner = protobuf_c_message_get_packed_size(message);
    size_t outer = varint_size(field << 3) + varint_size(inner) + inner;

    if (outer > TELEMETRY_BATCH_MAX - b->size) {
        return -ENOSPC;
    }
    if (reserve(&b->bytes, &b->room, b->size + outer)) {
        return -ENOMEM;
    }
    struct wr w = wr_of(b->bytes + b->size, outer);
    wr_varint(&w, field << 3 | WIRE_BYTES);
    wr_varint(&w, inner);
    size_t packed = protobuf_c_message_pack(message, wr_room(&w, inner));
    assert(wr_ok(&w) && packed == inner && w.left == 0);
    (void)packed;
    b->size += outer;
    return 0;
}

/* Casts away const where protobuf-c's structs have no const for what they only
 * read while packing. */
static char *
borrowed(const char *text)
{
    union {
        const char *given;
        char *taken;
    } u = {.given = text};
    return u.taken;
}

int
telemetry_add_session(struct telemetry_builder *b, const struct session_key *key)
{
    Plumbline__Telemetry__Limit limits[SERIES_LIMITS_MAX];
    Plumbline__Telemetry__Limit *limit_list[SERIES_LIMITS_MAX];
    pb_session m;

    plumbline__telemetry__session__init(&m);
    m.session_id = session_id_of(key);
    m.object = borrowed(key->object);
    m.observer = borrowed(key->observer);
    m.far = borrowed(key->far);
    m.class_name = borrowed(key->class_name);
    m.protocol = borrowed(key->protocol);
    m.flow = key->flow;
    m.family = key->family;
    m.observer_end = key->observer_end;
    m.dt_ns = (uint64_t)key->dt.ns;
    m.tmax_ns = (uint64_t)key->tmax.ns;
    m.period_ns = (uint64_t)key->period.ns;
    m.size = key->size;
    m.dscp = key->dscp;
    m.ifdv = key->ifdv;
    m.rt_only = key->rt_only;
    for (unsigned i = 0; i < key->limit_count; i++) {
        plumbline__telemetry__limit__init(&limits[i]);
        limits[i].metric = (uint32_t)key->limits[i].metric;
        limits[i].direction = (uint32_t)key->limits[i].direction;
        limits[i].limit_ns = (uint64_t)key->limits[i].limit.ns;
        limit_list[i] = &limits[i];
    }
    m.n_limits = key->limit_count;
    m.limits = limit_list;
    return add_packed(b, FIELD_SESSIONS, &m.base);
}

/* Encodes 'h' behind 'used' bytes of the scratch, which has the room. */
static ProtobufCBinaryData
encode_hist(struct telemetry_builder *b, const struct hist *h, size_t *used)
{
    ProtobufCBinaryData data = {.len = 0, .data = b->scratch + *used};

    data.len = hist_encode(h, data.data, b->scratch_room - *used);
    *used += data.len;
    return data;
}

static void
fill_delay(struct telemetry_builder *b, const struct delay *d, pb_delay *m, size_t *used)
{
    uint64_t sum = (uint64_t)d->sum_ns - d->count * (uint64_t)d->min_ns;

    plumbline__telemetry__delay__init(m);
    m->count = d->count;
    m->min_ns = d->min_ns;
    m->range_ns = d->max_ns - d->min_ns;
    m->sum_ns = sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
    m->hist = encode_hist(b, d->hist, used);
    if (d->ifdv) {
        m->ifdv = encode_hist(b, d->ifdv, used);
    }
}

/* Histograms of the three directions, encoded, and the messages around them. */
static int
fill_delays(struct telemetry_builder *b, const struct summary *s, pb_delay delays[DIRECTIONS],
            pb_summary *m)
{
    pb_delay **const places[DIRECTIONS] = {&m->fwd, &m->bwd, &m->rt};
    size_t needed = 1, used = 0;

    for (int i = 0; i < DIRECTIONS; i++) {
        const struct delay *d = &s->delay[i];
        int64_t range;
        if (d->count && __builtin_sub_overflow(d->max_ns, d->min_ns, &range)) {
            return -ERANGE;
        }
        needed += hist_encoded_size(d->hist) + (d->ifdv ? hist_encoded_size(d->ifdv) : 0);
    }
    if (reserve(&b->scratch, &b->scratch_room, needed)) {
        return -ENOMEM;
    }
    for (int i = 0; i < DIRECTIONS; i++) {
        if (s->delay[i].count) {
            fill_delay(b, &s->delay[i], &delays[i], &used);
            *places[i] = &delays[i];
        }
    }
    return 0;
}

struct narrow {
    uint32_t *to;
    uint64_t from;
};

/* The wire has 32 bits for what is counted in one delta-t. */
static int
fill_counters(const struct summary *s, pb_summary *m)
{
    const struct narrow all[] = {
        {&m->scheduled, s->scheduled == s->sent ? 0 : s->scheduled},
        {&m->sent, s->sent},
        {&m->send_errors, s->send_errors},
        {&m->received, s->received},
        {&m->lost_fwd, s->lost_fwd},
        {&m->lost_bwd, s->lost_bwd},
        {&m->lost_undirected, s->lost_undirected},
        {&m->unknown, s->unknown},
        {&m->late, s->late},
        {&m->duplicate_fwd, s->duplicate_fwd},
        {&m->duplicate_bwd, s->duplicate_bwd},
        {&m->reordered_fwd, s->reordered_fwd},
        {&m->reordered_bwd, s->reordered_bwd},
        {&m->stamped_user, s->stamped[TS_USER]},
        {&m->stamped_hardware, s->stamped[TS_HARDWARE]},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].from > UINT32_MAX) {
            return -ERANGE;
        }
        *all[i].to = (uint32_t)all[i].from;
    }
    return 0;
}

/* UINT64_MAX (not known) is 0 on the wire; a bound is never really 0. */
static uint64_t
wire_clock_error(uint64_t error_ns)
{
    return error_ns == UINT64_MAX ? 0 : error_ns == 0 ? 1 : error_ns;
}

static int
dt_number_of(const struct session_key *key, struct instant start, uint64_t *number)
{
    if (start.ns < 0 || start.ns % key->dt.ns) {
        return -ERANGE;
    }
    *number = (uint64_t)(start.ns / key->dt.ns);
    return 0;
}

static void
cover(struct telemetry_builder *b, struct instant start, struct span dt)
{
    struct instant end = instant_add(start, dt);

    b->from = b->from.ns == 0 || instant_before(start, b->from) ? start : b->from;
    b->until = instant_before(b->until, end) ? end : b->until;
}

int
telemetry_add_summary(struct telemetry_builder *b, const struct session_key *key,
                      int64_t session_id, const struct summary *s)
{
    pb_delay delays[DIRECTIONS];
    uint32_t over[SERIES_LIMITS_MAX];
    pb_summary m;

    plumbline__telemetry__summary__init(&m);
    m.session_id = session_id;
    m.flags = s->flags;
    m.clock_error_ns = s->received ? wire_clock_error(s->clock_error_ns) : 0;
    for (unsigned i = 0; i < key->limit_count; i++) {
        if (s->over[i] > UINT32_MAX) {
            return -ERANGE;
        }
        over[i] = (uint32_t)s->over[i];
        m.n_over = over[i] ? key->limit_count : m.n_over;
    }
    m.over = over;
    int err = dt_number_of(key, s->start, &m.dt_number);
    if (!err) {
        err = fill_counters(s, &m);
    }
    if (!err) {
        err = fill_delays(b, s, delays, &m);
    }
    if (!err) {
        err = add_packed(b, FIELD_SUMMARIES, &m.base);
    }
    if (!err) {
        cover(b, s->start, key->dt);
    }
    return err;
}

int
telemetry_add_early(struct telemetry_builder *b, const struct session_key *key, int64_t session_id,
                    const struct early *e)
{
    pb_early m;

    plumbline__telemetry__early__init(&m);
    if (e->sent > UINT32_MAX || e->received > UINT32_MAX || e->overdue > UINT32_MAX ||
        e->send_errors > UINT32_MAX || dt_number_of(key, e->start, &m.dt_number)) {
        return -ERANGE;
    }
    m.session_id = session_id;
    m.sent = (uint32_t)e->sent;
    m.received = (uint32_t)e->received;
    m.overdue = (uint32_t)e->overdue;
    m.send_errors = (uint32_t)e->send_errors;
    if (e->received) {
        m.rt_min_ns = e->rt_min_ns;
        m.rt_p50_ns = e->rt_p50_ns;
        m.rt_max_ns = e->rt_max_ns;
        m.fwd_p50_ns = e->fwd_p50_ns;
        m.bwd_p50_ns = e->bwd_p50_ns;
        m.clock_error_ns = wire_clock_error(e->clock_error_ns);
    }
    return add_packed(b, FIELD_EARLY, &m.base);
}

int
telemetry_add_message(struct telemetry_builder *b, enum telemetry_field field,
                      const ProtobufCMessage *message)
{
    return add_packed(b, (unsigned)field, message);
}

void
telemetry_covers(const struct telemetry_builder *b, struct instant *from, struct instant *until)
{
    *from = b->from;
    *until = b->until;
}

const uint8_t *
telemetry_finish(struct telemetry_builder *b, struct instant made_at, struct instant final_until,
                 size_t *size)
{
    write_head(b, made_at, final_until);
    *size = b->size;
    begin_batch(b);
    return b->bytes;
}
