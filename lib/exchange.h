/* exchange.h - what the timing thread tells: one event for each thing that
 * happened to a test packet.
 *
 * After stamp.h and tstamp.h (sockets and kernel timestamps), before match.h
 * (the fate of each packet).  Events cross from the timing thread to the
 * summarising thread through one bounded single-producer ring (ring.h) and are
 * plain values.  The RFCs' timestamps: T1 sender sends, T2 reflector receives,
 * T3 reflector sends, T4 sender receives; T1 and T4 are of the sender's clock,
 * T2 and T3 of the reflector's. */
#ifndef PLUMBLINE_EXCHANGE_H
#define PLUMBLINE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

enum exchange_kind {
    EXCHANGE_SENT, /* The kernel took the packet: t1 is the user's stamp, the one in the packet. */
    EXCHANGE_SEND_ERROR, /* It did not: nothing was put on the wire.  'error' is errno. */
    EXCHANGE_T1,         /* The kernel's transmit stamp of 'sequence', later: t1. */
    EXCHANGE_REPLY,      /* A reply came: t2, t3, t4 and what it carried. */
    EXCHANGE_OVERRUN,    /* Events or packets of this session (or of all: session UINT32_MAX) were
                          * lost between 'since' and 'at': what is in flight there is unknown. */
    EXCHANGE_CLOCK_STEP, /* CLOCK_REALTIME jumped by 'step' against CLOCK_MONOTONIC; all sessions.
                          */
};

/* The reception report (doc/wire-format.md): what the reflector had received of
 * this session when it sent this reply. */
struct exchange_report {
    uint32_t epoch;      /* The reflector's; another value means that it began anew. */
    uint32_t received;   /* Distinct sender packets received in the session, this one included, mod
                            2^32. */
    uint32_t duplicates; /* Forward duplicates, mod 2^32. */
    uint8_t bitmap[16];  /* Bit 7 of octet 0 is sender sequence - 1, then descending: 128 in all. */
};

/* Follow-up telemetry (RFC 8972, 4.7): the true T3 of an earlier reply. */
struct exchange_follow_up {
    uint32_t reflector_sequence; /* Of that earlier reply. */
    struct stamp_time t3;
};

struct exchange {
    enum exchange_kind kind;
    uint32_t session;  /* Index that the owner of the sender gave. */
    uint32_t sequence; /* Sender's sequence number. */
    struct instant at; /* Sender's clock when the event was made. */
    struct stamp_time t1, t2, t3, t4;
    struct instant scheduled;    /* SENT: when it was due (realtime at due moment). */
    uint32_t reflector_sequence; /* REPLY: equals 'sequence' from a stateless reflector. */
    uint16_t error;              /* SEND_ERROR: errno. */
    uint8_t ttl;        /* REPLY: TTL with which the reflector saw the packet (0: not known). */
    uint8_t reply_ttl;  /* REPLY: TTL with which the reply came (0: not known). */
    uint8_t reply_dscp; /* REPLY: DSCP with which it came: a Plumbline reflector gives back the one
                           that it got. */
    bool has_cos;       /* REPLY: the reflector told the DSCP that it saw, and ... */
    uint8_t dscp_seen;  /* ... sent this one with the DSCP that was asked for, ... */
    bool dscp_refused;  /* ... or with the one that it saw. */
    bool has_report, has_follow_up;
    bool far_synchronised; /* S of the reflector's Error Estimate. */
    uint64_t far_error_ns; /* Reflector's error bound; UINT64_MAX: not valid. */
    struct exchange_report report;
    struct exchange_follow_up follow_up;
    struct instant since; /* OVERRUN. */
    struct span step;     /* CLOCK_STEP. */
};

#endif
