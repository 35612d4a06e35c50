/* stamp_tlv.h - TLVs behind a test packet (RFC 8972): what kinds there are, and one after
 * the other out of bytes and into them.
 *
 * On wire.h; before stamp.h (which has room for them in requests and reads them in
 * replies), stamp_answer.h (fills them) and stampauth.h (signs them). */
#ifndef PLUMBLINE_STAMP_TLV_H
#define PLUMBLINE_STAMP_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* Octets. */
enum {
    STAMP_TLV_HEADER = 4,
    STAMP_LOCATION_VALUE = 4, /* Before its sub-TLVs. */
    STAMP_FOLLOW_UP_VALUE = 16,
    STAMP_REPORT_VALUE = 28,
    STAMP_COS_VALUE = 4,
    STAMP_HMAC_SIZE = 16, /* Also of the field in an authenticated packet. */
};

enum stamp_tlv_type {
    STAMP_TLV_RESERVED = 0,
    STAMP_TLV_PADDING = 1,
    STAMP_TLV_LOCATION = 2,
    STAMP_TLV_TIMESTAMP = 3, /* Timestamp Information. */
    STAMP_TLV_COS = 4,       /* Class of Service. */
    STAMP_TLV_FOLLOW_UP = 7,
    STAMP_TLV_HMAC = 8,
    STAMP_TLV_REPORT = 240, /* Reception report; of the registry's experimental range, 240-251. */
};

enum stamp_tlv_flag {
    STAMP_TLV_UNRECOGNISED =
        0x80, /* A sender sets it, a reflector that knows the type clears it. */
    STAMP_TLV_MALFORMED = 0x40,
    STAMP_TLV_INTEGRITY = 0x20,
    /* In the reply's report TLV alone: its T2 was not taken by the kernel. */
    STAMP_TLV_T2_USER = 0x01,
};

/* Sub-TLVs of Location: what is asked for, then what answers it. */
enum stamp_location {
    STAMP_LOCATION_MAC = 1,
    STAMP_LOCATION_EUI64 = 3,
    STAMP_LOCATION_DESTINATION = 4, /* Its answer is 5 or 6, ... */
    STAMP_LOCATION_SOURCE = 7,      /* ... 8 or 9: IPv4 or IPv6. */
};

/* What keeps a clock, in Timestamp Information. */
enum stamp_sync {
    STAMP_SYNC_NTP = 1,
    STAMP_SYNC_PTP = 2,
    STAMP_SYNC_GNSS = 4,
    STAMP_SYNC_LOCAL = 5
};

/* How a timestamp was made, in follow-up telemetry and Timestamp Information. */
enum stamp_mode { STAMP_MODE_HARDWARE = 1, STAMP_MODE_SOFTWARE = 2, STAMP_MODE_CONTROL = 3 };

/* What a packet turned out to be, its TLVs and all before them.  Names are
 * stamp_verdict_names[]. */
enum stamp_verdict {
    STAMP_OK,
    STAMP_SHORT,     /* Under 14 octets, or a reply under 38. */
    STAMP_OVERLONG,  /* Over 9000 octets. */
    STAMP_BAD_ERROR, /* A request whose Error Estimate has multiplier 0 (RFC 4656: corrupt). */
    STAMP_BAD_TLV, /* A TLV reaches beyond the packet, or has another length than its type asks. */
    STAMP_VERDICTS
};
extern const char *const stamp_verdict_names[STAMP_VERDICTS];

struct stamp_tlv {
    uint8_t flags; /* enum stamp_tlv_flag. */
    uint8_t type;
    uint16_t size; /* Of 'value', which stays the packet's. */
    const uint8_t *value;
};

/* Takes the next TLV from 'r'.  STAMP_BAD_TLV when it does not fit: 'r' is then
 * bad.  The caller asks stamp_tlv_at_end() before. */
static inline enum stamp_verdict
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

void stamp_tlv_format(struct wr *w, const struct stamp_tlv *tlv);

static inline bool
stamp_all_zero(const uint8_t *bytes, size_t size)
{
    uint8_t seen = 0;

    for (size_t i = 0; i < size; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

/* Whether only padding is left: nothing, less than a header and all zero, or the
 * reserved type 0 (RFC 8762's and TWAMP's padding is no TLV). */
static inline bool
stamp_tlv_at_end(const struct rd *r)
{
    if (r->left < STAMP_TLV_HEADER) {
        return r->left == 0 || stamp_all_zero(r->at, r->left);
    }
    return r->at[1] == STAMP_TLV_RESERVED;
}

/* Whether a TLV has the size that its type asks for. */
static inline bool
stamp_tlv_fits(const struct stamp_tlv *t)
{
    switch (t->type) {
    case STAMP_TLV_LOCATION:
        return t->size >= STAMP_LOCATION_VALUE;
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

/* Where the HMAC TLV of a packet is (RFC 8972, section 4.8). */
enum stamp_hmac {
    STAMP_HMAC_NONE,      /* It needs none: there is no TLV, or only one of padding. */
    STAMP_HMAC_THERE,     /* Behind all TLVs but padding. */
    STAMP_HMAC_MISPLACED, /* Followed by others. */
    STAMP_HMAC_MISSING,
};

/* Looks for it from octet 'base' on, as far as TLVs are well formed; '*offset' of
 * its header is written when it is there. */
enum stamp_hmac stamp_hmac_find(const uint8_t *packet, size_t size, size_t base, size_t *offset);

#endif
