/* echo.h - ICMP and ICMPv6 echo as a test packet: bytes to struct and back.
 *
 * On wire.h; before sender.h.  Does no I/O.  What every router answers, and so
 * the far end of last resort: no T2, no T3, no sequence of its own.  RFC 792 and
 * RFC 4443, section 4; the data is ours:
 *
 *   0 Type(1) | 1 Code(1) | 2 Checksum(2) | 4 Identifier(2) | 6 Sequence(2) |
 *   8 our sequence(4) | 12 T1, NTP's 64 bits(8) | 20 zeros
 *
 * The sequence on the wire is the lower half of ours. */
#ifndef PLUMBLINE_ECHO_H
#define PLUMBLINE_ECHO_H

#include <stddef.h>
#include <stdint.h>

enum {
    ECHO_HEADER = 8,    /* As many octets as UDP's header. */
    ECHO_SIZE_MIN = 20, /* With the header. */
};

struct echo {
    uint16_t identifier;
    uint32_t sequence; /* Ours. */
    uint64_t t1;       /* Raw, NTP's format. */
};

enum echo_verdict {
    ECHO_OK,
    ECHO_SHORT,    /* Without the data that we sent. */
    ECHO_OTHER,    /* No echo reply. */
    ECHO_CHECKSUM, /* ICMP's is wrong (ICMPv6's is the kernel's work). */
    ECHO_FOREIGN,  /* The data is not ours: its sequence is not the header's. */
    ECHO_VERDICTS
};

/* Writes a request of 'size' octets with its header (from ECHO_SIZE_MIN on) into
 * 'buf'.  The checksum of family 6 is left to the kernel. */
void echo_request_format(const struct echo *e, uint8_t family, uint8_t *buf, size_t size);

/* '*out' is written on ECHO_OK only. */
enum echo_verdict echo_reply_parse(const void *message, size_t size, uint8_t family,
                                   struct echo *out);

#endif
