/* fuzz_twampcontrol.c - any bytes as each message of TWAMP-Control: what is
 * accepted formats back to the same fields. */
#include <assert.h>
#include <string.h>

#include "twampcontrol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
server_says(const uint8_t *data, size_t size)
{
    uint8_t b[TWAMPCONTROL_SIZE_MAX];
    struct twampcontrol_greeting g;
    struct twampcontrol_server_start s;
    struct twampcontrol_session a;
    struct twampcontrol_start_ack k;

    if (twampcontrol_greeting_parse(data, size, &g) == TWAMPCONTROL_OK) {
        twampcontrol_greeting_format(&g, b);
        assert(memcmp(b + 12, data + 12, 40) == 0);
    }
    if (twampcontrol_server_start_parse(data, size, &s) == TWAMPCONTROL_OK) {
        twampcontrol_server_start_format(&s, b);
        assert(memcmp(b + 15, data + 15, 25) == 0);
    }
    if (twampcontrol_session_parse(data, size, &a) == TWAMPCONTROL_OK) {
        twampcontrol_session_format(&a, b);
        assert(b[0] == data[0] && memcmp(b + 2, data + 2, 22) == 0);
    }
    if (twampcontrol_start_ack_parse(data, size, &k) == TWAMPCONTROL_OK) {
        twampcontrol_start_ack_format(&k, b);
        assert(b[0] == data[0]);
    }
}

static void
client_says(const uint8_t *data, size_t size)
{
    uint8_t b[TWAMPCONTROL_SIZE_MAX];
    struct twampcontrol_setup u;
    struct twampcontrol_request q;
    struct twampcontrol_stop p;

    if (twampcontrol_setup_parse(data, size, &u) == TWAMPCONTROL_OK) {
        twampcontrol_setup_format(&u, b);
        assert(memcmp(b, data, 4) == 0);
    }
    if (twampcontrol_request_parse(data, size, &q) == TWAMPCONTROL_OK) {
        assert(q.reflected_padding <= q.padding && q.dscp < 64);
        twampcontrol_request_format(&q, b);
        assert(b[1] == (data[1] & 15) && memcmp(b + 2, data + 2, 46) == 0);
        assert(memcmp(b + 64, data + 64, 21) == 0 && memcmp(b + 88, data + 88, 4) == 0);
    }
    if (twampcontrol_start_parse(data, size) == TWAMPCONTROL_OK) {
        assert(data[0] == TWAMPCONTROL_START_SESSIONS);
    }
    if (twampcontrol_stop_parse(data, size, &p) == TWAMPCONTROL_OK) {
        twampcontrol_stop_format(&p, b);
        assert(b[0] == data[0] && b[1] == data[1] && memcmp(b + 4, data + 4, 4) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    server_says(data, size);
    client_says(data, size);
    if (size > 0) {
        assert(twampcontrol_command_size(data[0]) <= TWAMPCONTROL_SIZE_MAX);
    }
    return 0;
}
