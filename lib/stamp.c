/* stamp.c - STAMP and TWAMP-Light test packets: bytes to struct and back. */
#include "stamp.h"

#include <assert.h>

enum { LOCATION_VALUE = 4, LOCATION_MAC_SIZE = 8, LOCATION_IP_SIZE = 16 };

/* Unix epoch in NTP's seconds. */
#define NTP_UNIX INT64_C(2208988800)

__extension__ typedef unsigned __int128 stamp_u128;

const char *const stamp_verdict_names[STAMP_VERDICTS] = {
    "ok", "short", "overlong", "bad_error_estimate", "bad_tlv",
};

uint64_t
stamp_time_format(struct instant at, bool ptp)
{
    int64_t seconds = instant_floor(at, span_of_ns(NS_PER_S)).ns / NS_PER_S;
    uint64_t ns = (uint64_t)(at.ns - seconds * NS_PER_S);

    if (ptp) {
        return (uint64_t)(uint32_t)seconds << 32 | ns;
    }
    /* Nearest: a unit is 0.23 ns, so parsing gives the same nanosecond. */
    uint64_t fraction = ((ns << 32) + NS_PER_S / 2) / (uint64_t)NS_PER_S;
    uint64_t raw = (uint64_t)(uint32_t)(seconds + NTP_UNIX + (int64_t)(fraction >> 32)) << 32 |
                   (fraction & UINT32_MAX);
    /* Zero says "none"; the instant in 2036 that would be zero moves by 0.23 ns. */
    return raw ? raw : 1;
}

bool
stamp_time_parse(uint64_t raw, bool ptp, struct instant *out)
{
    int64_t seconds = (int64_t)(raw >> 32);
    uint64_t fraction = raw & UINT32_MAX;

    *out = instant_of_ns(0);
    if (raw == 0) {
        return false;
    }
    if (ptp) {
        if (fraction >= (uint64_t)NS_PER_S) {
            return false;
        }
        out->ns = seconds * NS_PER_S + (int64_t)fraction;
        return true;
    }
    /* What would be before 1970 is of the era that begins in 2036. */
    seconds += seconds < NTP_UNIX ? (INT64_C(1) << 32) - NTP_UNIX : -NTP_UNIX;
    out->ns = seconds * NS_PER_S + (int64_t)((fraction * NS_PER_S + (UINT64_C(1) << 31)) >> 32);
    return true;
}

uint16_t
stamp_error_format(const struct stamp_error *e)
{
    unsigned flags = (e->ptp ? 0x4000U : 0);
    stamp_u128 units = ((stamp_u128)e->error_ns << 32) / (uint64_t)NS_PER_S + 1;
    unsigned scale = 0;

    if (e->error_ns == UINT64_MAX) {
        return (uint16_t)(flags | 0x3fff);
    }
    while (units > 255) {
        units = (units + 1) >> 1;
        scale++;
    }
    return (uint16_t)(flags | (e->synchronised ? 0x8000U : 0) | scale << 8 | (unsigned)units);
}

struct stamp_error
stamp_error_parse(uint16_t raw)
{
    unsigned multiplier = raw & 0xff;
    stamp_u128 ns = (((stamp_u128)multiplier << (raw >> 8 & 0x3f)) * (uint64_t)NS_PER_S) >> 32;

    return (struct stamp_error){
        .synchronised = (raw & 0x8000) != 0,
        .ptp = stamp_error_is_ptp(raw),
        .error_ns = multiplier == 0 || ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns,
    };
}

enum stamp_verdict
stamp_tlv_parse(struct rd *r, struct stamp_tlv *out)
{
    uint8_t flags = rd_u8(r);
    uint8_t type = rd_u8(r);
    uint16_t size = rd_be16(r);
    const uint8_t *value = rd_take(r, size);

    if (!rd_ok(r)) {
        return STAMP_BAD_TLV;
    }
    *out = (struct stamp_tlv){.flags = flags, .type = type, .size = size, .value = value};
    return STAMP_OK;
}

void
stamp_tlv_format(struct wr *w, const struct stamp_tlv *tlv)
{
    wr_u8(w, tlv->flags);
    wr_u8(w, tlv->type);
    wr_be16(w, tlv->size);
    if (tlv->value) {
        wr_copy(w, tlv->value, tlv->size);
    } else {
        wr_zero(w, tlv->size);
    }
}

static bool
all_zero(const uint8_t *bytes, size_t size)
{
    uint8_t seen = 0;

    for (size_t i = 0; i < size; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

bool
stamp_tlv_at_end(const struct rd *r)
{
    if (r->left < STAMP_TLV_HEADER) {
        return r->left == 0 || all_zero(r->at, r->left);
    }
    return r->at[1] == STAMP_TLV_RESERVED;
}

/* Whether a TLV has the size that its type asks for. */
static bool
tlv_size_fits(const struct stamp_tlv *t)
{
    switch (t->type) {
    case STAMP_TLV_LOCATION:
        return t->size >= LOCATION_VALUE;
    case STAMP_TLV_TIMESTAMP:
    case STAMP_TLV_COS:
        return t->size == 4;
    case STAMP_TLV_FOLLOW_UP:
        return t->size == STAMP_FOLLOW_UP_VALUE;
    case STAMP_TLV_HMAC:
        return t->size == STAMP_HMAC_SIZE;
    case STAMP_TLV_REPORT:
        return t->size == STAMP_REPORT_VALUE;
    default:
        return true;
    }
}

enum stamp_hmac
stamp_hmac_find(const uint8_t *packet, size_t size, size_t base, size_t *offset)
{
    struct rd r = rd_of(packet, size);
    struct stamp_tlv t;
    unsigned tlvs = 0, padding = 0;
    bool there = false, others = false;

    rd_skip(&r, base);
    while (rd_ok(&r) && !stamp_tlv_at_end(&r)) {
        size_t at = size - r.left;
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !tlv_size_fits(&t)) {
            tlvs += 2; /* Something is there, and it is not padding. */
            break;
        }
        tlvs++;
        padding += t.type == STAMP_TLV_PADDING;
        others = others || (there && t.type != STAMP_TLV_PADDING);
        if (t.type == STAMP_TLV_HMAC && !there) {
            there = true;
            *offset = at;
        }
    }
    if (there) {
        return others ? STAMP_HMAC_MISPLACED : STAMP_HMAC_THERE;
    }
    return tlvs == 0 || (tlvs == 1 && padding == 1) ? STAMP_HMAC_NONE : STAMP_HMAC_MISSING;
}

static enum stamp_verdict
check_size(size_t size, size_t least)
{
    if (size < least) {
        return STAMP_SHORT;
    }
    return size > STAMP_SIZE_MAX ? STAMP_OVERLONG : STAMP_OK;
}

bool
stamp_is_authenticated(const void *dgram, size_t size)
{
    return size >= STAMP_SIZE_AUTH && all_zero((const uint8_t *)dgram + 4, 12);
}

/* RFC 8762, section 4.2.2. */
static enum stamp_verdict
parse_auth_request(const void *dgram, size_t size, struct stamp_request *out)
{
    struct rd r = rd_of(dgram, size);
    uint32_t sequence = rd_be32(&r);

    rd_skip(&r, 12);
    uint64_t t1 = rd_be64(&r);
    uint16_t error = rd_be16(&r);
    uint16_t ssid = rd_be16(&r);
    bool extended = all_zero(rd_take(&r, 68), 68);
    if ((error & 0xff) == 0) {
        return STAMP_BAD_ERROR;
    }
    *out = (struct stamp_request){
        .sequence = sequence,
        .t1 = t1,
        .error = error,
        .ssid = extended ? ssid : 0,
        .extended = extended,
        .authenticated = true,
        .size = (uint32_t)size,
    };
    return STAMP_OK;
}

enum stamp_verdict
stamp_request_parse(const void *dgram, size_t size, struct stamp_request *out)
{
    struct rd r = rd_of(dgram, size);
    enum stamp_verdict v = check_size(size, STAMP_SIZE_MIN);
    uint32_t sequence = rd_be32(&r);
    uint64_t t1 = rd_be64(&r);
    uint16_t error = rd_be16(&r);
    uint16_t ssid = 0;
    bool extended = false;

    if (v != STAMP_OK) {
        return v;
    }
    if ((error & 0xff) == 0) {
        return stamp_is_authenticated(dgram, size) ? parse_auth_request(dgram, size, out)
                                                   : STAMP_BAD_ERROR;
    }
    if (size >= STAMP_SIZE_BASE) {
        ssid = rd_be16(&r);
        extended = all_zero(rd_take(&r, 28), 28);
    }
    *out = (struct stamp_request){
        .sequence = sequence,
        .t1 = t1,
        .error = error,
        .ssid = extended ? ssid : 0,
        .extended = extended,
        .size = (uint32_t)size,
    };
    return STAMP_OK;
}

static void
put_room(struct wr *w, enum stamp_tlv_type type, size_t size)
{
    stamp_tlv_format(w, &(struct stamp_tlv){.flags = STAMP_TLV_UNRECOGNISED,
                                            .type = (uint8_t)type,
                                            .size = (uint16_t)size});
}

/* RFC 8972, section 4.4: what is asked for; the rest is the reflector's. */
static void
put_cos(struct wr *w, uint8_t dscp)
{
    const uint8_t value[STAMP_COS_VALUE] = {(uint8_t)(dscp << 2)};

    stamp_tlv_format(w, &(struct stamp_tlv){.flags = STAMP_TLV_UNRECOGNISED,
                                            .type = STAMP_TLV_COS,
                                            .size = sizeof value,
                                            .value = value});
}

static void
put_request(struct wr *w, const struct stamp_request *q)
{
    wr_be32(w, q->sequence);
    if (q->authenticated) {
        wr_zero(w, 12);
    }
    wr_be64(w, q->t1);
    wr_be16(w, q->error);
    wr_be16(w, q->ssid);
    wr_zero(w, q->authenticated ? 68 + STAMP_HMAC_SIZE : 28);
}

/* Which TLVs a request has room for, the most useful first. */
struct room {
    size_t left; /* Octets. */
    bool follow_up, report, cos, hmac;
};

/* Takes so much room for a TLV if it is there; the first TLV of an authenticated
 * packet needs that of the HMAC too. */
static bool
take_room(struct room *room, size_t value, bool needs_hmac)
{
    size_t hmac = needs_hmac && !room->hmac ? STAMP_TLV_HEADER + STAMP_HMAC_SIZE : 0;
    size_t all = STAMP_TLV_HEADER + value + hmac;

    if (room->left < all) {
        return false;
    }
    room->left -= all;
    room->hmac = room->hmac || needs_hmac;
    return true;
}

static struct room
room_of(const struct stamp_request *q)
{
    struct room room = {.left = q->size - stamp_request_base(q)};

    if (q->no_tlvs) {
        return room;
    }
    if (q->hmac_tlv) {
        room.hmac = true;
        room.left -= STAMP_TLV_HEADER + STAMP_HMAC_SIZE;
    }
    /* Where nobody reports, its place is padding, so that both look alike. */
    room.report = take_room(&room, STAMP_REPORT_VALUE, q->authenticated);
    room.follow_up = room.report && take_room(&room, STAMP_FOLLOW_UP_VALUE, q->authenticated);
    room.cos = room.follow_up && q->cos && take_room(&room, STAMP_COS_VALUE, q->authenticated);
    room.hmac = room.hmac && (q->hmac_tlv || room.follow_up || !q->no_report);
    room.report = room.report && !q->no_report;
    return room;
}

void
stamp_request_format(const struct stamp_request *q, uint8_t *buf)
{
    struct wr w = wr_of(buf, q->size);

    assert(q->size >=
           stamp_request_base(q) + (q->hmac_tlv ? STAMP_SIZE_HMAC - STAMP_SIZE_BASE : 0));
    assert(q->size <= STAMP_SIZE_MAX && !(q->hmac_tlv && q->authenticated));
    const struct room room = room_of(q);
    put_request(&w, q);
    if (room.follow_up) {
        put_room(&w, STAMP_TLV_FOLLOW_UP, STAMP_FOLLOW_UP_VALUE);
    }
    if (room.report) {
        put_room(&w, STAMP_TLV_REPORT, STAMP_REPORT_VALUE);
    }
    if (room.cos) {
        put_cos(&w, q->dscp);
    }
    if (room.hmac) {
        put_room(&w, STAMP_TLV_HMAC, STAMP_HMAC_SIZE);
    }
    if (w.left >= STAMP_TLV_HEADER && !q->no_tlvs) {
        put_room(&w, STAMP_TLV_PADDING, w.left - STAMP_TLV_HEADER);
    }
    wr_zero(&w, w.left);
    assert(wr_ok(&w));
}

bool
stamp_request_has(const uint8_t *dgram, const struct stamp_request *q, enum stamp_tlv_type type)
{
    struct rd r = rd_of(dgram, q->size);
    struct stamp_tlv t;

    rd_skip(&r, stamp_request_base(q));
    while (q->extended && rd_ok(&r) && !stamp_tlv_at_end(&r)) {
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !tlv_size_fits(&t)) {
            return false;
        }
        if (t.type == type) {
            return true;
        }
    }
    return false;
}

/* Answers a sub-TLV of Location, whose header 'w' is at: its new flags. */
static uint8_t
answer_location_part(struct wr *w, const struct stamp_tlv *t, const struct stamp_seen *seen)
{
    bool source = t->type == STAMP_LOCATION_SOURCE;
    bool ip = source || t->type == STAMP_LOCATION_DESTINATION;

    if (!ip && t->type != STAMP_LOCATION_MAC) {
        return STAMP_TLV_UNRECOGNISED;
    }
    if (t->size != (ip ? LOCATION_IP_SIZE : LOCATION_MAC_SIZE)) {
        return STAMP_TLV_MALFORMED;
    }
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)(ip ? t->type + 1 + seen->ipv6 : STAMP_LOCATION_EUI64));
    wr_be16(w, t->size);
    if (!ip) {
        wr_zero(w, LOCATION_MAC_SIZE); /* A UDP socket does not see it. */
        return 0;
    }
    wr_copy(w, source ? seen->source : seen->destination, seen->ipv6 ? 16 : 4);
    wr_zero(w, seen->ipv6 ? 0 : 12);
    return 0;
}

/* RFC 8972, section 4.2: ports, then the sub-TLVs, each in its place.  A malformed
 * one gets M, and those behind it are left as they are. */
static void
answer_location(uint8_t *value, size_t size, const struct stamp_seen *seen)
{
    struct wr w = wr_of(value, LOCATION_VALUE);
    struct rd r = rd_of(value, size);
    struct stamp_tlv t;

    wr_be16(&w, seen->destination_port);
    wr_be16(&w, seen->source_port);
    rd_skip(&r, LOCATION_VALUE);
    while (r.left >= STAMP_TLV_HEADER) {
        uint8_t *at = value + (size - r.left);
        uint8_t flags = STAMP_TLV_MALFORMED;
        if (stamp_tlv_parse(&r, &t) == STAMP_OK) {
            w = wr_of(at, STAMP_TLV_HEADER + (size_t)t.size);
            flags = answer_location_part(&w, &t, seen);
        }
        at[0] = flags;
        if (flags & STAMP_TLV_MALFORMED) {
            return;
        }
    }
}

/* Section 4.4: the reply has the DSCP that was asked for, if that is allowed. */
static void
answer_cos(uint8_t *value, struct stamp_seen *seen)
{
    struct rd r = rd_of(value, 4);
    struct wr w = wr_of(value, 4);
    unsigned asked = rd_be16(&r) >> 10, dscp = seen->tos >> 2, ecn = seen->tos & 3;
    bool allowed = seen->dscps == 0 || (seen->dscps >> asked & 1);

    seen->reply_dscp = (uint8_t)(allowed ? asked : dscp);
    wr_be16(&w, (uint16_t)(asked << 10 | dscp << 4 | ecn << 2 | !allowed));
    wr_be16(&w, 0);
}

/* Section 4.3: both of our timestamps are the same clock's, taken by software. */
static void
answer_timestamp(uint8_t *value, const struct stamp_seen *seen)
{
    struct wr w = wr_of(value, 4);

    wr_u8(&w, (uint8_t)seen->sync);
    wr_u8(&w, STAMP_MODE_SOFTWARE);
    wr_u8(&w, (uint8_t)seen->sync);
    wr_u8(&w, STAMP_MODE_SOFTWARE);
}

static bool
tlv_is_known(const struct stamp_tlv *t, const struct stamp_answer *a)
{
    switch (t->type) {
    case STAMP_TLV_PADDING:
    case STAMP_TLV_FOLLOW_UP:
    case STAMP_TLV_HMAC:
        return true;
    case STAMP_TLV_LOCATION:
    case STAMP_TLV_TIMESTAMP:
    case STAMP_TLV_COS:
        return a->seen != NULL;
    case STAMP_TLV_REPORT:
        return a->report != NULL;
    default:
        return false;
    }
}

/* Fills the TLV whose header is at 'at' (of an intact one of 't'), or says with U
 * that it is not known. */
static void
answer_tlv(uint8_t *at, const struct stamp_tlv *t, const struct stamp_answer *a, bool *took)
{
    struct wr w = wr_of(at, STAMP_TLV_HEADER + (size_t)t->size);
    bool known = tlv_is_known(t, a);
    bool user = known && t->type == STAMP_TLV_REPORT && a->t2_user;
    wr_u8(&w, !known ? STAMP_TLV_UNRECOGNISED : user ? STAMP_TLV_T2_USER : 0);
    (void)wr_room(&w, STAMP_TLV_HEADER - 1);
    if (t->type == STAMP_TLV_FOLLOW_UP) {
        /* A second one in the packet gets nothing: each follow-up is told once. */
        bool fill = a->has_follow_up && !*took;
        wr_be32(&w, fill ? a->follow_up_sequence : 0);
        wr_be64(&w, fill ? a->follow_up_t3 : 0);
        wr_u8(&w, fill ? STAMP_MODE_SOFTWARE : 0);
        wr_zero(&w, 3);
        *took = *took || fill;
    } else if (t->type == STAMP_TLV_REPORT && a->report) {
        wr_be32(&w, a->report->epoch);
        wr_be32(&w, a->report->received);
        wr_be32(&w, a->report->duplicates);
        wr_copy(&w, a->report->bitmap, sizeof a->report->bitmap);
    } else if (known && t->type == STAMP_TLV_LOCATION) {
        answer_location(at + STAMP_TLV_HEADER, t->size, a->seen);
    } else if (known && t->type == STAMP_TLV_TIMESTAMP) {
        answer_timestamp(at + STAMP_TLV_HEADER, a->seen);
    } else if (known && t->type == STAMP_TLV_COS) {
        answer_cos(at + STAMP_TLV_HEADER, a->seen);
    }
    assert(wr_ok(&w));
}

static enum stamp_verdict
answer_tlvs(uint8_t *buf, const struct stamp_request *q, const struct stamp_answer *a, bool *took)
{
    struct rd r = rd_of(buf, q->size);
    struct stamp_tlv t;

    rd_skip(&r, stamp_request_base(q));
    while (!stamp_tlv_at_end(&r)) {
        size_t offset = q->size - r.left;
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !tlv_size_fits(&t)) {
            buf[offset] = (uint8_t)(buf[offset] | STAMP_TLV_MALFORMED);
            return STAMP_BAD_TLV;
        }
        if (a->integrity_failed) {
            buf[offset] = (uint8_t)(buf[offset] | STAMP_TLV_INTEGRITY);
        } else {
            answer_tlv(buf + offset, &t, a, took);
        }
    }
    return STAMP_OK;
}

/* The first 41 octets of a reply, which TWAMP and STAMP share. */
static void
put_answer(struct wr *w, const struct stamp_request *q, const struct stamp_answer *a, uint16_t ssid)
{
    wr_be32(w, a->sequence);
    wr_be64(w, a->t3);
    wr_be16(w, a->error);
    wr_be16(w, ssid);
    wr_be64(w, a->t2);
    wr_be32(w, q->sequence);
    wr_be64(w, q->t1);
    wr_be16(w, q->error);
    wr_be16(w, 0);
    wr_u8(w, a->ttl);
}

/* RFC 8762, section 4.3.2; the HMAC stays to be written. */
static void
put_auth_answer(struct wr *w, const struct stamp_request *q, const struct stamp_answer *a)
{
    wr_be32(w, a->sequence);
    wr_zero(w, 12);
    wr_be64(w, a->t3);
    wr_be16(w, a->error);
    wr_be16(w, q->ssid);
    wr_zero(w, 4);
    wr_be64(w, a->t2);
    wr_zero(w, 8);
    wr_be32(w, q->sequence);
    wr_zero(w, 12);
    wr_be64(w, q->t1);
    wr_be16(w, q->error);
    wr_zero(w, 6);
    wr_u8(w, a->ttl);
    wr_zero(w, 15);
}

size_t
stamp_reply_make(uint8_t *buf, const struct stamp_request *q, const struct stamp_answer *a,
                 enum stamp_verdict *tlv, bool *took)
{
    struct wr w = wr_of(buf, q->authenticated ? STAMP_HMAC_AT : STAMP_SIZE_BASE);

    *took = false;
    if (a->seen) {
        a->seen->reply_dscp = a->seen->tos >> 2;
    }
    *tlv = q->extended ? answer_tlvs(buf, q, a, took) : STAMP_OK;
    if (q->authenticated) {
        put_auth_answer(&w, q, a);
    } else {
        put_answer(&w, q, a, q->ssid);
        wr_zero(&w, 3);
    }
    assert(wr_ok(&w));
    return q->size < STAMP_SIZE_BASE ? STAMP_SIZE_BASE : q->size;
}

size_t
stamp_twamp_reply_make(uint8_t *buf, const struct stamp_request *q, const struct stamp_answer *a,
                       bool symmetrical)
{
    struct wr w = wr_of(buf, STAMP_SIZE_REPLY_TTL);

    if (!symmetrical && q->size > STAMP_SIZE_REPLY_TTL) {
        memmove(buf + STAMP_SIZE_REPLY_TTL, buf + STAMP_SIZE_MIN, q->size - STAMP_SIZE_REPLY_TTL);
    }
    put_answer(&w, q, a, 0);
    assert(wr_ok(&w));
    return q->size < STAMP_SIZE_REPLY_TTL ? STAMP_SIZE_REPLY_TTL : q->size;
}

void
stamp_reply_set_t3(uint8_t *buf, uint64_t t3)
{
    struct wr w = wr_of(buf + 4, 8);
    wr_be64(&w, t3);
}

static void
take_tlv(const struct stamp_tlv *t, struct stamp_reply *p)
{
    struct rd r = rd_of(t->value, t->size);

    if (t->flags & (STAMP_TLV_UNRECOGNISED | STAMP_TLV_MALFORMED | STAMP_TLV_INTEGRITY)) {
        return; /* Our own room given back: it says nothing. */
    }
    if (t->type == STAMP_TLV_FOLLOW_UP && !p->has_follow_up) {
        p->follow_up_sequence = rd_be32(&r);
        p->follow_up_t3 = rd_be64(&r);
        p->follow_up_mode = rd_u8(&r);
        p->has_follow_up = p->follow_up_t3 != 0;
    } else if (t->type == STAMP_TLV_REPORT && !p->has_report) {
        p->report.epoch = rd_be32(&r);
        p->report.received = rd_be32(&r);
        p->report.duplicates = rd_be32(&r);
        rd_copy(&r, p->report.bitmap, sizeof p->report.bitmap);
        p->t2_user = (t->flags & STAMP_TLV_T2_USER) != 0;
        p->has_report = true;
    } else if (t->type == STAMP_TLV_COS && !p->has_cos) {
        unsigned cos = rd_be16(&r);
        p->dscp_seen = cos >> 4 & 0x3f;
        p->ecn_seen = cos >> 2 & 3;
        p->dscp_refused = (cos & 3) != 0;
        p->has_cos = true;
    }
}

static void
take_tlvs(struct rd *r, struct stamp_reply *p)
{
    struct stamp_tlv t;

    while (!stamp_tlv_at_end(r)) {
        if (stamp_tlv_parse(r, &t) != STAMP_OK || !tlv_size_fits(&t)) {
            p->bad_tlv = true;
            return;
        }
        take_tlv(&t, p);
    }
}

enum stamp_verdict
stamp_reply_parse(const void *dgram, size_t size, struct stamp_reply *out)
{
    struct rd r = rd_of(dgram, size);
    enum stamp_verdict v = check_size(size, STAMP_SIZE_REPLY_MIN);

    if (v != STAMP_OK) {
        return v;
    }
    *out = (struct stamp_reply){.sequence = 0};
    out->sequence = rd_be32(&r);
    out->t3 = rd_be64(&r);
    out->error = rd_be16(&r);
    out->ssid = rd_be16(&r);
    out->t2 = rd_be64(&r);
    out->sender_sequence = rd_be32(&r);
    out->t1 = rd_be64(&r);
    out->sender_error = rd_be16(&r);
    if (size >= STAMP_SIZE_REPLY_TTL) {
        rd_skip(&r, 2);
        out->sender_ttl = rd_u8(&r);
    }
    if (size < STAMP_SIZE_BASE) {
        return STAMP_OK;
    }
    rd_skip(&r, 3);
    take_tlvs(&r, out);
    return STAMP_OK;
}

enum stamp_verdict
stamp_auth_reply_parse(const void *dgram, size_t size, bool tlvs, struct stamp_reply *out)
{
    struct rd r = rd_of(dgram, size);
    enum stamp_verdict v = check_size(size, STAMP_SIZE_AUTH);

    if (v != STAMP_OK) {
        return v;
    }
    *out = (struct stamp_reply){.sequence = 0};
    out->sequence = rd_be32(&r);
    rd_skip(&r, 12);
    out->t3 = rd_be64(&r);
    out->error = rd_be16(&r);
    out->ssid = rd_be16(&r);
    rd_skip(&r, 4);
    out->t2 = rd_be64(&r);
    rd_skip(&r, 8);
    out->sender_sequence = rd_be32(&r);
    rd_skip(&r, 12);
    out->t1 = rd_be64(&r);
    out->sender_error = rd_be16(&r);
    rd_skip(&r, 6);
    out->sender_ttl = rd_u8(&r);
    rd_skip(&r, 15 + STAMP_HMAC_SIZE);
    if (tlvs) {
        take_tlvs(&r, out);
    }
    return STAMP_OK;
}

void
stamp_reply_format(const struct stamp_reply *p, uint8_t *buf)
{
    struct stamp_request q = {.sequence = p->sender_sequence,
                              .t1 = p->t1,
                              .error = p->sender_error,
                              .ssid = p->ssid,
                              .size = STAMP_SIZE_BASE};
    struct stamp_answer a = {
        .sequence = p->sequence, .error = p->error, .ttl = p->sender_ttl, .t2 = p->t2, .t3 = p->t3};
    enum stamp_verdict tlv;
    bool took;

    stamp_reply_make(buf, &q, &a, &tlv, &took);
}
