/* stamp.h - STAMP test packets (RFC 8762, RFC 8972) and those of TWAMP-Light,
 * which are the beginning of unauthenticated ones: bytes to struct and back.
 *
 * On stamp_time.h and stamp_tlv.h (verdicts too); before stamp_answer.h, which makes the
 * reply to a request, stampauth.h, which signs, and sender.h.  Does no I/O and reads no
 * clock.
 * Timestamps stay the 64 bits of the wire, so that a reflector gives back T1 bit
 * by bit; stamp_time_parse() makes an instant of one.  All offsets are in
 * doc/wire-format.md. */
#ifndef PLUMBLINE_STAMP_H
#define PLUMBLINE_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "stamp_time.h"
#include "stamp_tlv.h"

/* Octets of UDP payload. */
enum {
    STAMP_SIZE_MIN = 14,       /* TWAMP-Light's sender. */
    STAMP_SIZE_REPLY_MIN = 38, /* Up to the sender's Error Estimate: some leave out the rest. */
    STAMP_SIZE_REPLY_TTL = 41, /* TWAMP-Light's reflector, with the sender's TTL. */
    STAMP_SIZE_BASE = 44,
    STAMP_SIZE_MAX = 9000,
    STAMP_SIZE_REPORT = 76,       /* From here on a request has room for the report ... */
    STAMP_SIZE_FULL = 96,         /* ... and from here on for follow-up telemetry too. */
    STAMP_SIZE_HMAC = 64,         /* With the HMAC TLV alone: 20 octets of any larger one. */
    STAMP_SIZE_AUTH = 112,        /* Of an authenticated packet without TLVs. */
    STAMP_SIZE_AUTH_REPORT = 164, /* As above, with the HMAC TLV that they need then. */
    STAMP_SIZE_AUTH_FULL = 184,
    STAMP_SIZE_COS = 8, /* So much more, and there is Class of Service too. */
    STAMP_HMAC_AT = 96, /* In an authenticated packet; over all octets before it. */
};

enum { STAMP_PORT = 862 };

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

#endif
