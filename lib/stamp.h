/* stamp.h - STAMP test packets (RFC 8762, RFC 8972) and those of TWAMP-Light,
 * which are the beginning of unauthenticated ones: bytes to struct and back.
 *
 * On wire.h; before stampauth.h, which signs the authenticated ones, sender.h and
 * reflector.h.  Does no I/O and reads no clock.
 * Timestamps stay the 64 bits of the wire, so that a reflector gives back T1 bit
 * by bit; stamp_time_parse() makes an instant of one.  All offsets are in
 * doc/wire-format.md. */
#ifndef PLUMBLINE_STAMP_H
#define PLUMBLINE_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "nstime.h"
#include "wire.h"

/* Octets of UDP payload. */
enum {
    STAMP_SIZE_MIN = 14,       /* TWAMP-Light's sender. */
    STAMP_SIZE_REPLY_MIN = 38, /* Up to the sender's Error Estimate: some leave out the rest. */
    STAMP_SIZE_REPLY_TTL = 41, /* TWAMP-Light's reflector, with the sender's TTL. */
    STAMP_SIZE_BASE = 44,
    STAMP_SIZE_MAX = 9000,
    STAMP_TLV_HEADER = 4,
    STAMP_FOLLOW_UP_VALUE = 16,
    STAMP_REPORT_VALUE = 28,
    STAMP_COS_VALUE = 4,
    STAMP_SIZE_REPORT = 76,       /* From here on a request has room for the report ... */
    STAMP_SIZE_FULL = 96,         /* ... and from here on for follow-up telemetry too. */
    STAMP_SIZE_HMAC = 64,         /* With the HMAC TLV alone: 20 octets of any larger one. */
    STAMP_SIZE_AUTH = 112,        /* Of an authenticated packet without TLVs. */
    STAMP_SIZE_AUTH_REPORT = 164, /* As above, with the HMAC TLV that they need then. */
    STAMP_SIZE_AUTH_FULL = 184,
    STAMP_SIZE_COS = 8, /* So much more, and there is Class of Service too. */
    STAMP_HMAC_AT = 96, /* In an authenticated packet; over all octets before it. */
    STAMP_HMAC_SIZE = 16,
};

enum { STAMP_PORT = 862 };

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

/* What a packet turned out to be.  Names are stamp_verdict_names[]. */
enum stamp_verdict {
    STAMP_OK,
    STAMP_SHORT,     /* Under 14 octets, or a reply under 38. */
    STAMP_OVERLONG,  /* Over 9000 octets. */
    STAMP_BAD_ERROR, /* A request whose Error Estimate has multiplier 0 (RFC 4656: corrupt). */
    STAMP_BAD_TLV, /* A TLV reaches beyond the packet, or has another length than its type asks. */
    STAMP_VERDICTS
};
extern const char *const stamp_verdict_names[STAMP_VERDICTS];

/* Timestamps: NTP's 64 bits (1900 epoch), or truncated PTPv2 (32-bit seconds,
 * 32-bit nanoseconds) where 'ptp'; both are taken as UTC.  The parser yields
 * false for zero ("no timestamp") and for 1e9 ns or more.  Valid for 1970-2106,
 * which covers both NTP eras. */
uint64_t stamp_time_format(struct instant at, bool ptp);
bool stamp_time_parse(uint64_t raw, bool ptp, struct instant *out);

/* Error Estimate.  Formatting rounds up; UINT64_MAX (not known) becomes the
 * greatest that there is and is never called synchronised.  'error_ns' of a
 * parsed one is UINT64_MAX when the multiplier is 0 or the bound says nothing. */
struct stamp_error {
    bool synchronised; /* S: to UTC, by an outside source. */
    bool ptp;          /* Z. */
    uint64_t error_ns;
};
uint16_t stamp_error_format(const struct stamp_error *e);
struct stamp_error stamp_error_parse(uint16_t raw);

/* The Z bit alone, of a raw Error Estimate. */
static inline bool
stamp_error_is_ptp(uint16_t raw)
{
    return (raw & 0x4000) != 0;
}

struct stamp_tlv {
    uint8_t flags; /* enum stamp_tlv_flag. */
    uint8_t type;
    uint16_t size; /* Of 'value', which stays the packet's. */
    const uint8_t *value;
};

/* Takes the next TLV from 'r'.  STAMP_BAD_TLV when it does not fit: 'r' is then
 * bad.  The caller asks stamp_tlv_at_end() before. */
enum stamp_verdict stamp_tlv_parse(struct rd *r, struct stamp_tlv *out);
void stamp_tlv_format(struct wr *w, const struct stamp_tlv *tlv);

/* Whether only padding is left: nothing, less than a header and all zero, or the
 * reserved type 0 (RFC 8762's and TWAMP's padding is no TLV). */
bool stamp_tlv_at_end(const struct rd *r);

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

struct stamp_request {
    uint32_t sequence;
    uint64_t t1;
    uint16_t error;
    uint16_t ssid; /* 0 unless 'extended'. */
    bool extended; /* At least 44 octets, MBZ zero: SSID and TLVs count.  TWAMP pads with anything.
                    */
    bool authenticated; /* Of that layout; nobody has looked at the HMAC yet. */
    uint32_t size;
    /* To be made, not parsed: */
    bool no_report; /* Padding in the report's place: the far end is not Plumbline's. */
    bool no_tlvs;   /* TWAMP's padding: zeros. */
    bool hmac_tlv;  /* The TLVs are signed, though the packet is not. */
    bool cos;       /* Class of Service, where there is room: the reply shall have this DSCP. */
    uint8_t dscp;
};

/* Octets before the TLVs. */
static inline size_t
stamp_request_base(const struct stamp_request *q)
{
    return q->authenticated ? STAMP_SIZE_AUTH : STAMP_SIZE_BASE;
}

/* Whether a packet has the authenticated layout: there octets 4 to 15 are zero,
 * which makes any other request a corrupt one. */
bool stamp_is_authenticated(const void *dgram, size_t size);

enum stamp_verdict stamp_request_parse(const void *dgram, size_t size, struct stamp_request *out);

/* Writes a request of q->size octets (44..9000; 112..9000 if authenticated, from 64 with
 * an HMAC TLV) into 'buf', with the room that its size allows for report, follow-up telemetry and,
 * if 'cos', Class of Service, the rest Extra Padding.  'extended' is taken as true.  Where there is
 * an HMAC it is still to be signed. */
void stamp_request_format(const struct stamp_request *q, uint8_t *buf);

/* What a reflector saw of a request and knows of itself, for Location, Timestamp
 * Information and Class of Service. */
struct stamp_seen {
    bool ipv6;
    uint8_t source[16], destination[16]; /* IPv4: the first four. */
    uint16_t source_port, destination_port;
    uint8_t tos;    /* DSCP and ECN, as received. */
    uint64_t dscps; /* Bit n: a sender may ask for DSCP n in the reply; 0: for any. */
    enum stamp_sync sync;
    uint8_t reply_dscp; /* Set by stamp_reply_make(): of the reply. */
};

/* What a reflector puts into its reply.  Timestamps are raw, in the format that
 * the Z bit of 'error' says. */
struct stamp_answer {
    uint32_t sequence;
    uint16_t error;
    uint8_t ttl;
    uint64_t t2, t3;
    bool t2_user;                         /* T2 was not taken by the kernel. */
    const struct exchange_report *report; /* NULL: no TLV is filled; it counts as unknown. */
    bool has_follow_up;
    uint32_t follow_up_sequence;
    uint64_t follow_up_t3;
    struct stamp_seen *seen; /* NULL: those TLVs count as unknown. */
    bool integrity_failed;   /* The TLVs are not to be believed: all go back with I set. */
};

/* Makes the reply out of the request in place.  'buf' holds q->size octets and
 * has room for at least 44.  Returns the reply's size: the request's, or 44 if
 * that was less.  '*tlv' is STAMP_OK or STAMP_BAD_TLV (M is then set on the
 * first bad one and those behind it are given back as they came); '*took'
 * says whether the follow-up of 'a' was put in.  One to an authenticated request is
 * of that layout, and still to be signed. */
size_t stamp_reply_make(uint8_t *buf, const struct stamp_request *q, const struct stamp_answer *a,
                        enum stamp_verdict *tlv, bool *took);

/* The same for TWAMP-Test (RFC 5357, section 4.2.1), unauthenticated: 41 octets,
 * then the sender's padding as far as there is room, so that the reply is as long
 * as the request (41 if that was less).  'symmetrical': the padding begins at 41
 * in the request too (RFC 6038).  TLVs, follow-up and report of 'a' are not used. */
size_t stamp_twamp_reply_make(uint8_t *buf, const struct stamp_request *q,
                              const struct stamp_answer *a, bool symmetrical);

/* Puts another T3 into a reply. */
void stamp_reply_set_t3(uint8_t *buf, uint64_t t3);

/* Whether a request has an intact TLV of 'type'. */
bool stamp_request_has(const uint8_t *dgram, const struct stamp_request *q,
                       enum stamp_tlv_type type);

struct stamp_reply {
    uint32_t sequence;
    uint64_t t3;
    uint16_t error;
    uint16_t ssid; /* 0 in a reply of TWAMP-Light. */
    uint64_t t2;
    uint32_t sender_sequence;
    uint64_t t1;
    uint16_t sender_error;
    uint8_t sender_ttl;
    bool bad_tlv; /* TLVs from the bad one on are not used. */
    bool has_report, has_follow_up;
    bool t2_user; /* Valid with a report. */
    struct exchange_report report;
    uint32_t follow_up_sequence;
    uint64_t follow_up_t3;
    uint8_t follow_up_mode; /* enum stamp_mode; 0 where the reflector did not say. */
    bool has_cos;
    uint8_t dscp_seen, ecn_seen; /* Of the request, where the reflector had it. */
    bool dscp_refused;           /* The reply has not the DSCP that was asked for. */
};

/* STAMP_OK, STAMP_SHORT or STAMP_OVERLONG; '*out' is written on STAMP_OK only. */
enum stamp_verdict stamp_reply_parse(const void *dgram, size_t size, struct stamp_reply *out);

/* The same for one for which stamp_is_authenticated(); TLVs are used if 'tlvs'. */
enum stamp_verdict stamp_auth_reply_parse(const void *dgram, size_t size, bool tlvs,
                                          struct stamp_reply *out);

/* The first 44 octets of a reply, without TLVs. */
void stamp_reply_format(const struct stamp_reply *p, uint8_t *buf);

#endif
