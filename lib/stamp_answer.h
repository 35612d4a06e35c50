/* stamp_answer.h - what a reflector answers: the reply to a request, made in place.
 *
 * After stamp.h, which parsed the request; before stampauth.h, which signs the reply, and
 * reflector.h.  Does no I/O and reads no clock. */
#ifndef PLUMBLINE_STAMP_ANSWER_H
#define PLUMBLINE_STAMP_ANSWER_H

#include "stamp.h"

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

/* The first 44 octets of a reply, without TLVs. */
void stamp_reply_format(const struct stamp_reply *p, uint8_t *buf);

#endif
