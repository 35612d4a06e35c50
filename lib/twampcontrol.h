/* twampcontrol.h - the messages of TWAMP-Control (RFC 5357, section 3; RFC 4656,
 * section 3; RFC 6038) in open mode: bytes to struct and back.
 *
 * On wire.h; before twampserver.h, which speaks them over TCP.  Does no I/O.  A
 * message has one size whatever is in it, so a reader takes that many octets off
 * the stream and hands them in; what must be zero is not looked at, as the RFCs
 * want, but where a value there would ask for something that is not done.
 * Offsets are in doc/wire-format.md. */
#ifndef PLUMBLINE_TWAMPCONTROL_H
#define PLUMBLINE_TWAMPCONTROL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

enum { TWAMPCONTROL_PORT = 862 };

/* Octets of each message. */
enum {
    TWAMPCONTROL_GREETING_SIZE = 64,
    TWAMPCONTROL_SETUP_SIZE = 164,
    TWAMPCONTROL_SERVER_START_SIZE = 48,
    TWAMPCONTROL_REQUEST_SIZE = 112,
    TWAMPCONTROL_ACCEPT_SIZE = 48,
    TWAMPCONTROL_START_SIZE = 32,
    TWAMPCONTROL_START_ACK_SIZE = 32,
    TWAMPCONTROL_STOP_SIZE = 32,
    TWAMPCONTROL_SIZE_MAX = TWAMPCONTROL_SETUP_SIZE,
};

/* Bits of Modes and Mode. */
enum twampcontrol_mode {
    TWAMPCONTROL_OPEN = 1,
    TWAMPCONTROL_AUTHENTICATED = 2,
    TWAMPCONTROL_ENCRYPTED = 4,
    TWAMPCONTROL_MIXED = 8,
    TWAMPCONTROL_REFLECT_OCTETS = 32,
    TWAMPCONTROL_SYMMETRICAL_SIZE = 64,
};

/* First octet of a command. */
enum twampcontrol_command {
    TWAMPCONTROL_START_SESSIONS = 2,
    TWAMPCONTROL_STOP_SESSIONS = 3,
    TWAMPCONTROL_REQUEST_SESSION = 5,
};

/* Accept fields (RFC 4656, section 3.3). */
enum twampcontrol_accept {
    TWAMPCONTROL_ACCEPTED = 0,
    TWAMPCONTROL_FAILED = 1,
    TWAMPCONTROL_INTERNAL_ERROR = 2,
    TWAMPCONTROL_NOT_SUPPORTED = 3,
    TWAMPCONTROL_LIMIT_PERMANENT = 4,
    TWAMPCONTROL_LIMIT_TEMPORARY = 5,
};

/* What a message turned out to be.  Names are twampcontrol_verdict_names[]. */
enum twampcontrol_verdict {
    TWAMPCONTROL_OK,
    TWAMPCONTROL_SHORT,       /* Fewer octets than the message has. */
    TWAMPCONTROL_BAD_MODE,    /* Not exactly one of open, authenticated, encrypted, mixed. */
    TWAMPCONTROL_BAD_COMMAND, /* Another first octet than the message's. */
    TWAMPCONTROL_BAD_IPVN,    /* Neither 4 nor 6. */
    TWAMPCONTROL_BAD_CONF,    /* Asks the server to make packets or a schedule: that is OWAMP. */
    TWAMPCONTROL_BAD_TYPE_P,  /* Not a DSCP. */
    TWAMPCONTROL_BAD_PADDING, /* Wants more octets reflected than the padding has. */
    TWAMPCONTROL_BAD_COUNT,   /* Count of the greeting: not a power of two, or under 1024. */
    TWAMPCONTROL_VERDICTS
};
extern const char *const twampcontrol_verdict_names[TWAMPCONTROL_VERDICTS];

struct twampcontrol_greeting {
    uint32_t modes; /* 0: the server does not want to talk. */
    uint8_t challenge[16], salt[16];
    uint32_t count;
};

/* KeyID, Token and Client-IV mean nothing in open mode and are not kept. */
struct twampcontrol_setup {
    uint32_t mode; /* 0: the client does not want to talk. */
};

struct twampcontrol_server_start {
    uint8_t accept; /* enum twampcontrol_accept, here and below. */
    uint8_t iv[16];
    uint64_t started; /* NTP, as everywhere in this protocol. */
};

struct twampcontrol_request {
    uint8_t ipvn;                        /* 4 or 6. */
    uint16_t sender_port, receiver_port; /* Of the test packets. */
    struct in6_addr sender, receiver;    /* ipvn 4: the first four octets; zero: this one. */
    uint32_t padding;                    /* Octets behind the test packet's own. */
    uint64_t start;                      /* NTP. */
    uint64_t timeout;                    /* Seconds, 32 bits of fraction. */
    uint8_t dscp;                        /* Of Type-P. */
    uint16_t reflected_octets, reflected_padding; /* RFC 6038; zero without that mode. */
};

struct twampcontrol_session {
    uint8_t accept;
    uint16_t port;
    uint8_t sid[16];
    uint16_t reflected_octets, server_octets; /* RFC 6038. */
};

struct twampcontrol_start_ack {
    uint8_t accept;
};

struct twampcontrol_stop {
    uint8_t accept;
    uint32_t sessions;
};

/* The size of the command that begins with this octet; 0: there is none. */
size_t twampcontrol_command_size(uint8_t first);

/* Each parser writes '*out' on TWAMPCONTROL_OK only; octets behind the message
 * are not looked at.  Each formatter writes its message's size. */
enum twampcontrol_verdict twampcontrol_greeting_parse(const void *bytes, size_t size,
                                                      struct twampcontrol_greeting *out);
void twampcontrol_greeting_format(const struct twampcontrol_greeting *g, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_setup_parse(const void *bytes, size_t size,
                                                   struct twampcontrol_setup *out);
void twampcontrol_setup_format(const struct twampcontrol_setup *s, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_server_start_parse(const void *bytes, size_t size,
                                                          struct twampcontrol_server_start *out);
void twampcontrol_server_start_format(const struct twampcontrol_server_start *s, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_request_parse(const void *bytes, size_t size,
                                                     struct twampcontrol_request *out);
void twampcontrol_request_format(const struct twampcontrol_request *q, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_session_parse(const void *bytes, size_t size,
                                                     struct twampcontrol_session *out);
void twampcontrol_session_format(const struct twampcontrol_session *s, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_start_parse(const void *bytes, size_t size);
void twampcontrol_start_format(uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_start_ack_parse(const void *bytes, size_t size,
                                                       struct twampcontrol_start_ack *out);
void twampcontrol_start_ack_format(const struct twampcontrol_start_ack *a, uint8_t *bytes);
enum twampcontrol_verdict twampcontrol_stop_parse(const void *bytes, size_t size,
                                                  struct twampcontrol_stop *out);
void twampcontrol_stop_format(const struct twampcontrol_stop *s, uint8_t *bytes);

/* A request's time-out, at most 'most'. */
struct span twampcontrol_timeout(uint64_t raw, struct span most);

#endif
