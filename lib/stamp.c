/* stamp.c - STAMP and TWAMP-Light test packets: requests both ways, replies to struct. */
#include "stamp.h"

#include <assert.h>

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
    return size >= STAMP_SIZE_AUTH && stamp_all_zero((const uint8_t *)dgram + 4, 12);
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
    bool extended = stamp_all_zero(rd_take(&r, 68), 68);
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
        extended = stamp_all_zero(rd_take(&r, 28), 28);
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
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !stamp_tlv_fits(&t)) {
            return false;
        }
        if (t.type == type) {
            return true;
        }
    }
    return false;
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
        if (stamp_tlv_parse(r, &t) != STAMP_OK || !stamp_tlv_fits(&t)) {
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
