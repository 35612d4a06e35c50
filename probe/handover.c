/* handover.c - a probe's state, from one process to the next: its records, each both ways, and the
 * whole. */
#include "handover.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "handover_record.h"

#define MAGIC UINT32_C(0x504c484f) /* "PLHO" */

enum {
    HEAD_SIZE = 128,
    SESSION_SIZE = 160,
    SOCKET_SIZE = 64,
    WAITING_SIZE = 24,
    PROGRESS_SIZE = 32,
    REFLECTED_SIZE = 192,
    FOLLOW_UP_SIZE = 12,
};

const char *const handover_verdict_names[HANDOVER_VERDICTS] = {
    "whole",         "cut short",           "no state of a probe", "of an unknown format",
    "not plausible", "too large for memory"};

/* --- Records, each both ways. --- */

static void
put_head(struct wr *w, const struct handover *h)
{
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_HEAD);

    wr_copy(w, h->probe, sizeof h->probe);
    wr_be32(w, h->next_index);
    handover_put_i64(w, h->covered_until.ns);
    handover_put_i64(w, h->liveness_from.ns);
    wr_be32(w, h->timing.epoch);
    wr_be32(w, h->timing.begun_again);
    handover_end_record(w, room);
}

static bool
get_head(struct rd *r, struct handover *h)
{
    rd_copy(r, h->probe, sizeof h->probe);
    h->next_index = rd_be32(r);
    h->covered_until = instant_of_ns(handover_get_i64(r));
    h->liveness_from = instant_of_ns(handover_get_i64(r));
    h->timing.epoch = rd_be32(r);
    h->timing.begun_again = rd_be32(r);
    return h->next_index <= HANDOVER_INDEXES && h->probe[sizeof h->probe - 1] == '\0';
}

static void
put_session(struct wr *w, const struct handover_session *s)
{
    const bool flags[] = {s->is.foreign, s->is.ptp, s->is.whole, s->mode != STAMPAUTH_NONE,
                          s->mode == STAMPAUTH_TLV};
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_SESSION);

    handover_put_i64(w, s->id);
    wr_be32(w, s->is.index);
    wr_u8(w, (uint8_t)s->is.protocol);
    wr_u8(w, handover_flags_of(flags, 5));
    handover_put_address(w, &s->is.source);
    handover_put_address(w, &s->is.destination);
    wr_be16(w, s->is.source_port);
    wr_be16(w, s->is.destination_port);
    wr_be16(w, s->is.ssid);
    wr_u8(w, s->is.dscp);
    wr_be32(w, s->is.size);
    handover_put_i64(w, s->is.period.ns);
    handover_put_i64(w, s->is.dt.ns);
    handover_put_i64(w, s->is.begin.ns);
    handover_put_i64(w, s->border.ns);
    handover_put_name(w, s->is.interface);
    handover_end_record(w, room);
}

static bool
get_session(struct rd *r, struct handover_session *s)
{
    bool good = true;

    s->id = handover_get_i64(r);
    s->is.index = rd_be32(r);
    uint8_t protocol = rd_u8(r);
    uint8_t flags = rd_u8(r);
    good = handover_get_address(r, &s->is.source, false) && good;
    good = handover_get_address(r, &s->is.destination, true) && good;
    s->is.source_port = rd_be16(r);
    s->is.destination_port = rd_be16(r);
    s->is.ssid = rd_be16(r);
    s->is.dscp = rd_u8(r);
    s->is.size = rd_be32(r);
    s->is.period = span_of_ns(handover_get_i64(r));
    s->is.dt = span_of_ns(handover_get_i64(r));
    s->is.begin = instant_of_ns(handover_get_i64(r));
    s->border = instant_of_ns(handover_get_i64(r));
    good = handover_get_name(r, s->interface) && good;
    if (!good || protocol > SENDER_ICMP || s->is.index >= HANDOVER_INDEXES || s->is.dt.ns <= 0 ||
        s->is.period.ns <= 0 || s->is.begin.ns % s->is.dt.ns || s->border.ns % s->is.dt.ns) {
        return false;
    }
    s->is.protocol = (enum sender_protocol)protocol;
    s->is.foreign = flags & 1;
    s->is.ptp = flags >> 1 & 1;
    s->is.whole = flags >> 2 & 1;
    s->mode = !(flags >> 3 & 1) ? STAMPAUTH_NONE
              : flags >> 4 & 1  ? STAMPAUTH_TLV
                                : STAMPAUTH_PACKET;
    s->is.interface = s->interface[0] ? s->interface : NULL;
    return true;
}

static void
put_socket(struct wr *w, const struct timing_socket *s)
{
    const struct tstamp_kept *k = &s->is.kept;
    const bool flags[] = {s->reflector, s->is.whole, k->dual, k->raw, k->tx_kernel, k->tx_seen};
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_SOCKET);

    wr_u8(w, handover_flags_of(flags, 6));
    handover_put_name(w, s->is.interface);
    wr_be16(w, s->is.port);
    wr_be16(w, k->port);
    wr_u8(w, k->family);
    wr_u8(w, (uint8_t)k->kind);
    wr_be32(w, k->flight_size);
    wr_be32(w, k->oldest);
    wr_be32(w, k->next);
    wr_be32(w, k->drops);
    handover_end_record(w, room);
}

static bool
get_socket(struct rd *r, struct timing_socket *s)
{
    struct tstamp_kept *k = &s->is.kept;
    uint8_t flags = rd_u8(r);
    bool good = handover_get_name(r, s->is.interface);

    s->is.port = rd_be16(r);
    k->port = rd_be16(r);
    k->family = rd_u8(r);
    uint8_t kind = rd_u8(r);
    k->flight_size = rd_be32(r);
    k->oldest = rd_be32(r);
    k->next = rd_be32(r);
    k->drops = rd_be32(r);
    k->kind = kind == TSTAMP_ICMP ? TSTAMP_ICMP : TSTAMP_UDP;
    s->fd = -1;
    s->reflector = flags & 1;
    s->is.whole = flags >> 1 & 1;
    k->dual = flags >> 2 & 1;
    k->raw = flags >> 3 & 1;
    k->tx_kernel = flags >> 4 & 1;
    k->tx_seen = flags >> 5 & 1;
    return good && kind <= TSTAMP_ICMP && (k->family == 4 || k->family == 6);
}

static void
put_waiting(struct wr *w, const struct tstamp_waiting *k)
{
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_WAITING);

    wr_be32(w, k->id);
    wr_be64(w, k->cookie);
    handover_put_i64(w, k->user_ns);
    handover_end_record(w, room);
}

static void
get_waiting(struct rd *r, struct tstamp_waiting *k)
{
    k->id = rd_be32(r);
    k->cookie = rd_be64(r);
    k->user_ns = handover_get_i64(r);
}

static void
put_progress(struct wr *w, const struct sender_progress *p)
{
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_PROGRESS);

    wr_be32(w, p->index);
    wr_be32(w, p->sequence);
    handover_put_i64(w, p->due.ns);
    wr_u8(w, p->ptp_quarters);
    wr_u8(w, p->ptp_denied);
    handover_end_record(w, room);
}

static bool
get_progress(struct rd *r, struct sender_progress *p)
{
    p->index = rd_be32(r);
    p->sequence = rd_be32(r);
    p->due = span_of_ns(handover_get_i64(r));
    p->ptp_quarters = rd_u8(r) & 0xf;
    p->ptp_denied = rd_u8(r) & 1;
    return p->index < HANDOVER_INDEXES && p->due.ns > 0;
}

static void
put_reflected(struct wr *w, const struct reflector_kept *k)
{
    const struct history *h = &k->history;
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_REFLECTED);

    wr_be32(w, k->place);
    handover_put_address(w, &k->peer);
    handover_put_address(w, &k->local);
    wr_be16(w, k->port);
    wr_be16(w, k->ssid);
    wr_be16(w, k->generation);
    wr_be32(w, k->ifindex);
    wr_be32(w, k->epoch);
    wr_be32(w, k->sequence);
    for (unsigned i = 0; i < HISTORY_BITS / 64; i++) {
        wr_be64(w, h->bits[i]);
    }
    wr_be32(w, h->highest);
    wr_be32(w, h->received);
    wr_be32(w, h->duplicates);
    handover_put_i64(w, h->highest_t1_ns);
    handover_put_i64(w, h->last.ns);
    handover_put_i64(w, h->before.ns);
    wr_u8(w, h->begun);
    wr_u8(w, (uint8_t)k->follow_up_count);
    for (unsigned i = 0; i < k->follow_up_count; i++) {
        wr_be32(w, k->follow_ups[i].sequence);
        handover_put_i64(w, k->follow_ups[i].t3_ns);
    }
    wr_be64(w, k->nat);
    handover_end_record(w, room);
}

static void
get_history(struct rd *r, struct history *h)
{
    for (unsigned i = 0; i < HISTORY_BITS / 64; i++) {
        h->bits[i] = rd_be64(r);
    }
    h->highest = rd_be32(r);
    h->received = rd_be32(r);
    h->duplicates = rd_be32(r);
    h->highest_t1_ns = handover_get_i64(r);
    h->last = span_of_ns(handover_get_i64(r));
    h->before = span_of_ns(handover_get_i64(r));
    h->begun = rd_u8(r) & 1;
}

static bool
get_reflected(struct rd *r, struct reflector_kept *k)
{
    bool good = true;

    k->place = rd_be32(r);
    good = handover_get_address(r, &k->peer, true) && good;
    good = handover_get_address(r, &k->local, true) && good;
    k->port = rd_be16(r);
    k->ssid = rd_be16(r);
    k->generation = rd_be16(r);
    k->ifindex = rd_be32(r);
    k->epoch = rd_be32(r);
    k->sequence = rd_be32(r);
    get_history(r, &k->history);
    k->follow_up_count = rd_u8(r);
    if (!good || k->follow_up_count > REFLECTOR_FOLLOW_UPS || k->history.last.ns < 0 ||
        k->history.before.ns < 0) {
        return false;
    }
    for (unsigned i = 0; i < k->follow_up_count; i++) {
        k->follow_ups[i].sequence = rd_be32(r);
        k->follow_ups[i].t3_ns = handover_get_i64(r);
    }
    k->nat = rd_be64(r);
    return true;
}

/* --- The whole. --- */

int
handover_format(const struct handover *h, uint8_t **bytes, size_t *size)
{
    const struct timing_kept *t = &h->timing;
    size_t most = HEAD_SIZE + h->session_count * SESSION_SIZE + t->socket_count * SOCKET_SIZE +
                  t->waiting_count * WAITING_SIZE + t->session_count * PROGRESS_SIZE +
                  t->reflected_count * REFLECTED_SIZE;

    for (size_t i = 0; i < t->reflected_count; i++) {
        most += t->reflected[i].follow_up_count * FOLLOW_UP_SIZE;
    }
    *bytes = malloc(most);
    if (!*bytes) {
        return -ENOMEM;
    }
    struct wr w = wr_of(*bytes, most);
    wr_be32(&w, MAGIC);
    wr_be16(&w, HANDOVER_FORMAT_NEWEST);
    put_head(&w, h);
    for (size_t i = 0; i < h->session_count; i++) {
        put_session(&w, &h->sessions[i]);
    }
    for (size_t i = 0; i < t->socket_count; i++) {
        put_socket(&w, &t->sockets[i]);
        for (uint32_t k = 0; k < t->sockets[i].waiting_count; k++) {
            put_waiting(&w, &t->waiting[t->sockets[i].waiting_first + k]);
        }
    }
    for (size_t i = 0; i < t->session_count; i++) {
        put_progress(&w, &t->sessions[i]);
    }
    for (size_t i = 0; i < t->reflected_count; i++) {
        put_reflected(&w, &t->reflected[i]);
    }
    handover_end_record(&w, handover_begin_record(&w, HANDOVER_RECORD_END));
    assert(wr_ok(&w));
    *size = wr_size(&w);
    return 0;
}

/* Room for as many of each as there are. */
static enum handover_verdict
make_room(struct rd r, struct handover *out)
{
    size_t counts[HANDOVER_RECORD_END + 1] = {0};
    struct timing_kept *t = &out->timing;
    unsigned type;

    do {
        (void)handover_next_record(&r, &type);
        counts[type]++;
    } while (type != 0 && type != HANDOVER_RECORD_END);
    if (type == 0) {
        return HANDOVER_SHORT;
    }
    out->sessions = calloc(counts[HANDOVER_RECORD_SESSION] + 1, sizeof *out->sessions);
    t->sockets = calloc(counts[HANDOVER_RECORD_SOCKET] + 1, sizeof *t->sockets);
    t->waiting = calloc(counts[HANDOVER_RECORD_WAITING] + 1, sizeof *t->waiting);
    t->sessions = calloc(counts[HANDOVER_RECORD_PROGRESS] + 1, sizeof *t->sessions);
    t->reflected = calloc(counts[HANDOVER_RECORD_REFLECTED] + 1, sizeof *t->reflected);
    return out->sessions && t->sockets && t->waiting && t->sessions && t->reflected
               ? HANDOVER_OK
               : HANDOVER_NO_MEMORY;
}

/* Takes one record; false: what it says cannot be. */
static bool
take(struct rd *body, unsigned type, struct handover *out)
{
    struct timing_kept *t = &out->timing;
    bool good = true;

    if (type == HANDOVER_RECORD_HEAD) {
        good = get_head(body, out);
    } else if (type == HANDOVER_RECORD_SESSION) {
        good = get_session(body, &out->sessions[out->session_count++]);
    } else if (type == HANDOVER_RECORD_SOCKET) {
        t->sockets[t->socket_count].waiting_first = (uint32_t)t->waiting_count;
        good = get_socket(body, &t->sockets[t->socket_count++]);
    } else if (type == HANDOVER_RECORD_WAITING) {
        get_waiting(body, &t->waiting[t->waiting_count++]);
        good = t->socket_count > 0;
        t->sockets[good ? t->socket_count - 1 : 0].waiting_count++;
    } else if (type == HANDOVER_RECORD_PROGRESS) {
        good = get_progress(body, &t->sessions[t->session_count++]);
    } else if (type == HANDOVER_RECORD_REFLECTED) {
        good = get_reflected(body, &t->reflected[t->reflected_count++]);
    }
    return good && rd_ok(body);
}

enum handover_verdict
handover_parse(const void *bytes, size_t size, struct handover *out)
{
    struct rd r = rd_of(bytes, size);
    uint32_t magic = rd_be32(&r);
    uint16_t format = rd_be16(&r);
    unsigned type = 0;

    *out = (struct handover){.sessions = NULL};
    if (!rd_ok(&r)) {
        return HANDOVER_SHORT;
    }
    if (magic != MAGIC) {
        return HANDOVER_FOREIGN;
    }
    if (format < HANDOVER_FORMAT_OLDEST || format > HANDOVER_FORMAT_NEWEST) {
        return HANDOVER_FORMAT;
    }
    enum handover_verdict v = make_room(r, out);
    while (v == HANDOVER_OK && type != HANDOVER_RECORD_END) {
        struct rd body = handover_next_record(&r, &type);
        v = take(&body, type, out) ? HANDOVER_OK : HANDOVER_BAD;
    }
    if (v != HANDOVER_OK) {
        handover_fini(out);
    }
    return v;
}

void
handover_fini(struct handover *h)
{
    free(h->sessions);
    timing_kept_fini(&h->timing);
    *h = (struct handover){.sessions = NULL};
}
