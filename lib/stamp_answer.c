/* stamp_answer.c - the reply to a request, made in place. */
#include "stamp_answer.h"

#include <assert.h>

enum { LOCATION_MAC_SIZE = 8, LOCATION_IP_SIZE = 16 };

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
    struct wr w = wr_of(value, STAMP_LOCATION_VALUE);
    struct rd r = rd_of(value, size);
    struct stamp_tlv t;

    wr_be16(&w, seen->destination_port);
    wr_be16(&w, seen->source_port);
    rd_skip(&r, STAMP_LOCATION_VALUE);
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
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !stamp_tlv_fits(&t)) {
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
