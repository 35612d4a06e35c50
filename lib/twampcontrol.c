/* twampcontrol.c - the messages of TWAMP-Control: bytes to struct and back. */
#include "twampcontrol.h"

#include <assert.h>
#include <stdbool.h>

#include "wire.h"

/* RFC 4656, section 3.1: at least so many rounds of the key's derivation. */
#define COUNT_MIN 1024u

const char *const twampcontrol_verdict_names[TWAMPCONTROL_VERDICTS] = {
    "ok",       "short",      "bad_mode",    "bad_command", "bad_ip_version",
    "bad_conf", "bad_type_p", "bad_padding", "bad_count",
};

size_t
twampcontrol_command_size(uint8_t first)
{
    switch (first) {
    case TWAMPCONTROL_START_SESSIONS:
        return TWAMPCONTROL_START_SIZE;
    case TWAMPCONTROL_STOP_SESSIONS:
        return TWAMPCONTROL_STOP_SIZE;
    case TWAMPCONTROL_REQUEST_SESSION:
        return TWAMPCONTROL_REQUEST_SIZE;
    default:
        return 0;
    }
}

/* --- Server-Greeting (RFC 4656, 3.1). --- */

enum twampcontrol_verdict
twampcontrol_greeting_parse(const void *bytes, size_t size, struct twampcontrol_greeting *out)
{
    struct rd r = rd_of(bytes, size);
    struct twampcontrol_greeting g;

    rd_skip(&r, 12);
    g.modes = rd_be32(&r);
    rd_copy(&r, g.challenge, sizeof g.challenge);
    rd_copy(&r, g.salt, sizeof g.salt);
    g.count = rd_be32(&r);
    rd_skip(&r, 12);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    if (g.count < COUNT_MIN || (g.count & (g.count - 1)) != 0) {
        return TWAMPCONTROL_BAD_COUNT;
    }
    *out = g;
    return TWAMPCONTROL_OK;
}

void
twampcontrol_greeting_format(const struct twampcontrol_greeting *g, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_GREETING_SIZE);

    wr_zero(&w, 12);
    wr_be32(&w, g->modes);
    wr_copy(&w, g->challenge, sizeof g->challenge);
    wr_copy(&w, g->salt, sizeof g->salt);
    wr_be32(&w, g->count);
    wr_zero(&w, 12);
    assert(wr_ok(&w) && w.left == 0);
}

/* --- Set-Up-Response. --- */

/* One way of securing the connection, or none wanted at all. */
static bool
mode_is_one(uint32_t mode)
{
    uint32_t security = mode & (TWAMPCONTROL_OPEN | TWAMPCONTROL_AUTHENTICATED |
                                TWAMPCONTROL_ENCRYPTED | TWAMPCONTROL_MIXED);

    return mode == 0 || (security != 0 && (security & (security - 1)) == 0);
}

enum twampcontrol_verdict
twampcontrol_setup_parse(const void *bytes, size_t size, struct twampcontrol_setup *out)
{
    struct rd r = rd_of(bytes, size);
    uint32_t mode = rd_be32(&r);

    rd_skip(&r, TWAMPCONTROL_SETUP_SIZE - 4);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    if (!mode_is_one(mode)) {
        return TWAMPCONTROL_BAD_MODE;
    }
    *out = (struct twampcontrol_setup){.mode = mode};
    return TWAMPCONTROL_OK;
}

void
twampcontrol_setup_format(const struct twampcontrol_setup *s, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_SETUP_SIZE);

    wr_be32(&w, s->mode);
    wr_zero(&w, TWAMPCONTROL_SETUP_SIZE - 4);
    assert(wr_ok(&w));
}

/* --- Server-Start. --- */

enum twampcontrol_verdict
twampcontrol_server_start_parse(const void *bytes, size_t size,
                                struct twampcontrol_server_start *out)
{
    struct rd r = rd_of(bytes, size);
    struct twampcontrol_server_start s;

    rd_skip(&r, 15);
    s.accept = rd_u8(&r);
    rd_copy(&r, s.iv, sizeof s.iv);
    s.started = rd_be64(&r);
    rd_skip(&r, 8);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    *out = s;
    return TWAMPCONTROL_OK;
}

void
twampcontrol_server_start_format(const struct twampcontrol_server_start *s, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_SERVER_START_SIZE);

    wr_zero(&w, 15);
    wr_u8(&w, s->accept);
    wr_copy(&w, s->iv, sizeof s->iv);
    wr_be64(&w, s->started);
    wr_zero(&w, 8);
    assert(wr_ok(&w) && w.left == 0);
}

/* --- Request-TW-Session (RFC 5357, 3.5; RFC 6038, 3.2). --- */

static enum twampcontrol_verdict
check_request(const struct twampcontrol_request *q, uint32_t conf, uint64_t schedule,
              uint32_t type_p)
{
    if (q->ipvn != 4 && q->ipvn != 6) {
        return TWAMPCONTROL_BAD_IPVN;
    }
    if (conf != 0 || schedule != 0) {
        return TWAMPCONTROL_BAD_CONF;
    }
    if (type_p >> 30 != 0) { /* 01 is a PHB's identification, the others are nothing. */
        return TWAMPCONTROL_BAD_TYPE_P;
    }
    if (q->reflected_padding > q->padding) {
        return TWAMPCONTROL_BAD_PADDING;
    }
    return TWAMPCONTROL_OK;
}

enum twampcontrol_verdict
twampcontrol_request_parse(const void *bytes, size_t size, struct twampcontrol_request *out)
{
    struct rd r = rd_of(bytes, size);
    struct twampcontrol_request q;
    enum twampcontrol_verdict v;
    uint8_t command = rd_u8(&r);

    q.ipvn = rd_u8(&r) & 0x0f;
    uint16_t conf = rd_be16(&r);
    uint64_t schedule = rd_be64(&r); /* Slots and packets. */
    q.sender_port = rd_be16(&r);
    q.receiver_port = rd_be16(&r);
    rd_copy(&r, &q.sender, sizeof q.sender);
    rd_copy(&r, &q.receiver, sizeof q.receiver);
    rd_skip(&r, 16); /* SID: the server makes it. */
    q.padding = rd_be32(&r);
    q.start = rd_be64(&r);
    q.timeout = rd_be64(&r);
    uint32_t type_p = rd_be32(&r);
    q.reflected_octets = rd_be16(&r);
    q.reflected_padding = rd_be16(&r);
    rd_skip(&r, 4 + 16); /* HMAC: not in open mode. */
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    if (command != TWAMPCONTROL_REQUEST_SESSION) {
        return TWAMPCONTROL_BAD_COMMAND;
    }
    v = check_request(&q, conf, schedule, type_p);
    if (v != TWAMPCONTROL_OK) {
        return v;
    }
    q.dscp = (uint8_t)(type_p >> 24);
    *out = q;
    return TWAMPCONTROL_OK;
}

void
twampcontrol_request_format(const struct twampcontrol_request *q, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_REQUEST_SIZE);

    wr_u8(&w, TWAMPCONTROL_REQUEST_SESSION);
    wr_u8(&w, q->ipvn);
    wr_zero(&w, 2 + 8);
    wr_be16(&w, q->sender_port);
    wr_be16(&w, q->receiver_port);
    wr_copy(&w, &q->sender, sizeof q->sender);
    wr_copy(&w, &q->receiver, sizeof q->receiver);
    wr_zero(&w, 16);
    wr_be32(&w, q->padding);
    wr_be64(&w, q->start);
    wr_be64(&w, q->timeout);
    wr_be32(&w, (uint32_t)(q->dscp & 0x3f) << 24);
    wr_be16(&w, q->reflected_octets);
    wr_be16(&w, q->reflected_padding);
    wr_zero(&w, 4 + 16);
    assert(wr_ok(&w) && w.left == 0);
}

/* --- Accept-Session. --- */

enum twampcontrol_verdict
twampcontrol_session_parse(const void *bytes, size_t size, struct twampcontrol_session *out)
{
    struct rd r = rd_of(bytes, size);
    struct twampcontrol_session s;

    s.accept = rd_u8(&r);
    rd_skip(&r, 1);
    s.port = rd_be16(&r);
    rd_copy(&r, s.sid, sizeof s.sid);
    s.reflected_octets = rd_be16(&r);
    s.server_octets = rd_be16(&r);
    rd_skip(&r, 8 + 16);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    *out = s;
    return TWAMPCONTROL_OK;
}

void
twampcontrol_session_format(const struct twampcontrol_session *s, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_ACCEPT_SIZE);

    wr_be16(&w, (uint16_t)(s->accept << 8));
    wr_be16(&w, s->port);
    wr_copy(&w, s->sid, sizeof s->sid);
    wr_be16(&w, s->reflected_octets);
    wr_be16(&w, s->server_octets);
    wr_zero(&w, 8);
    wr_zero(&w, 16);
    assert(wr_ok(&w) && w.left == 0);
}

/* --- Start-Sessions, Start-Ack, Stop-Sessions (RFC 5357, 3.7 and 3.8). --- */

enum twampcontrol_verdict
twampcontrol_start_parse(const void *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    uint8_t command = rd_u8(&r);

    rd_skip(&r, TWAMPCONTROL_START_SIZE - 1);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    return command == TWAMPCONTROL_START_SESSIONS ? TWAMPCONTROL_OK : TWAMPCONTROL_BAD_COMMAND;
}

void
twampcontrol_start_format(uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_START_SIZE);

    wr_u8(&w, TWAMPCONTROL_START_SESSIONS);
    wr_zero(&w, w.left);
    assert(wr_ok(&w));
}

enum twampcontrol_verdict
twampcontrol_start_ack_parse(const void *bytes, size_t size, struct twampcontrol_start_ack *out)
{
    struct rd r = rd_of(bytes, size);
    uint8_t accept = rd_u8(&r);

    rd_skip(&r, TWAMPCONTROL_START_ACK_SIZE - 1);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    *out = (struct twampcontrol_start_ack){.accept = accept};
    return TWAMPCONTROL_OK;
}

void
twampcontrol_start_ack_format(const struct twampcontrol_start_ack *a, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_START_ACK_SIZE);

    wr_u8(&w, a->accept);
    wr_zero(&w, w.left);
    assert(wr_ok(&w));
}

enum twampcontrol_verdict
twampcontrol_stop_parse(const void *bytes, size_t size, struct twampcontrol_stop *out)
{
    struct rd r = rd_of(bytes, size);
    uint8_t command = rd_u8(&r);
    uint8_t accept = rd_u8(&r);

    rd_skip(&r, 2);
    uint32_t sessions = rd_be32(&r);
    rd_skip(&r, 8 + 16);
    if (!rd_ok(&r)) {
        return TWAMPCONTROL_SHORT;
    }
    if (command != TWAMPCONTROL_STOP_SESSIONS) {
        return TWAMPCONTROL_BAD_COMMAND;
    }
    *out = (struct twampcontrol_stop){.accept = accept, .sessions = sessions};
    return TWAMPCONTROL_OK;
}

void
twampcontrol_stop_format(const struct twampcontrol_stop *s, uint8_t *bytes)
{
    struct wr w = wr_of(bytes, TWAMPCONTROL_STOP_SIZE);

    wr_u8(&w, TWAMPCONTROL_STOP_SESSIONS);
    wr_u8(&w, s->accept);
    wr_zero(&w, 2);
    wr_be32(&w, s->sessions);
    wr_zero(&w, 8 + 16);
    assert(wr_ok(&w) && w.left == 0);
}

struct span
twampcontrol_timeout(uint64_t raw, struct span most)
{
    uint64_t seconds = raw >> 32;

    if (seconds > (uint64_t)(most.ns / NS_PER_S)) {
        return most;
    }
    int64_t ns =
        (int64_t)seconds * NS_PER_S + (int64_t)(((raw & UINT32_MAX) * (uint64_t)NS_PER_S) >> 32);
    return span_of_ns(ns < most.ns ? ns : most.ns);
}
