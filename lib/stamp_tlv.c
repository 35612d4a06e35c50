/* stamp_tlv.c - TLVs of a packet: written, and the one with the HMAC found. */
#include "stamp_tlv.h"

const char *const stamp_verdict_names[STAMP_VERDICTS] = {
    "ok", "short", "overlong", "bad_error_estimate", "bad_tlv",
};

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
        if (stamp_tlv_parse(&r, &t) != STAMP_OK || !stamp_tlv_fits(&t)) {
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
