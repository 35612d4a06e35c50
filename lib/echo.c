/* echo.c - ICMP echo requests out, echo replies in. */
#include "echo.h"

#include <assert.h>

#include "wire.h"

enum { REQUEST4 = 8, REPLY4 = 0, REQUEST6 = 128, REPLY6 = 129 };

/* The Internet checksum (RFC 1071) as it would be if its field were zero, or 0
 * over a message whose checksum is right. */
static uint16_t
checksum(const uint8_t *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    uint64_t sum = 0;

    while (r.left >= 2) {
        sum += rd_be16(&r);
    }
    if (r.left) {
        sum += (uint64_t)rd_u8(&r) << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

void
echo_request_format(const struct echo *e, uint8_t family, uint8_t *buf, size_t size)
{
    struct wr w = wr_of(buf, size);

    assert(size >= ECHO_SIZE_MIN);
    wr_u8(&w, family == 4 ? REQUEST4 : REQUEST6);
    wr_u8(&w, 0);
    wr_be16(&w, 0);
    wr_be16(&w, e->identifier);
    wr_be16(&w, (uint16_t)e->sequence);
    wr_be32(&w, e->sequence);
    wr_be64(&w, e->t1);
    wr_zero(&w, w.left);
    assert(wr_ok(&w));
    if (family == 4) {
        uint16_t sum = checksum(buf, size);
        w = wr_of(buf + 2, 2);
        wr_be16(&w, sum);
    }
}

enum echo_verdict
echo_reply_parse(const void *message, size_t size, uint8_t family, struct echo *out)
{
    struct rd r = rd_of(message, size);
    uint8_t type = rd_u8(&r);
    uint8_t code = rd_u8(&r);
    (void)rd_be16(&r);
    uint16_t identifier = rd_be16(&r);
    uint16_t lower = rd_be16(&r);
    uint32_t sequence = rd_be32(&r);
    uint64_t t1 = rd_be64(&r);

    if (!rd_ok(&r)) {
        return ECHO_SHORT;
    }
    if (type != (family == 4 ? REPLY4 : REPLY6) || code != 0) {
        return ECHO_OTHER;
    }
    if (family == 4 && checksum((const uint8_t *)message, size) != 0) {
        return ECHO_CHECKSUM;
    }
    if ((uint16_t)sequence != lower) {
        return ECHO_FOREIGN;
    }
    *out = (struct echo){.identifier = identifier, .sequence = sequence, .t1 = t1};
    return ECHO_OK;
}
