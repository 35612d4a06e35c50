/* test_twampcontrol.c - messages of TWAMP-Control: octets against the RFCs'
 * layouts, sizes and rejections one unit to either side, and that what is
 * formatted parses to itself. */
#include "harness.h"

#include "twampcontrol.h"

/* Fills a message with what must not matter: octets that are not looked at. */
static uint8_t *
noise(size_t size)
{
    uint8_t *b = malloc(size);

    if (!b) {
        abort();
    }
    for (size_t i = 0; i < size; i++) {
        b[i] = (uint8_t)random_u64();
    }
    return b;
}

static void
a_greeting_has_the_octets_of_the_rfc(void)
{
    struct twampcontrol_greeting g = {.modes = 0x61, .count = 1024}, back;
    uint8_t b[TWAMPCONTROL_GREETING_SIZE];

    memset(g.challenge, 0xc1, sizeof g.challenge);
    memset(g.salt, 0x5a, sizeof g.salt);
    twampcontrol_greeting_format(&g, b);
    CU_ASSERT_EQUAL(b[15], 0x61);
    CU_ASSERT_EQUAL(b[16], 0xc1);
    CU_ASSERT_EQUAL(b[31], 0xc1);
    CU_ASSERT_EQUAL(b[32], 0x5a);
    CU_ASSERT_EQUAL(b[47], 0x5a);
    CU_ASSERT_EQUAL(b[50], 4); /* 1024 */
    CU_ASSERT_EQUAL(b[52], 0);
    CU_ASSERT_EQUAL(twampcontrol_greeting_parse(b, sizeof b, &back), TWAMPCONTROL_OK);
    CU_ASSERT(memcmp(&g, &back, sizeof g) == 0);
}

static void
a_greeting_counts_in_powers_of_two_from_1024(void)
{
    static const struct {
        uint32_t count;
        enum twampcontrol_verdict v;
    } cases[] = {{0, TWAMPCONTROL_BAD_COUNT},    {512, TWAMPCONTROL_BAD_COUNT},
                 {1023, TWAMPCONTROL_BAD_COUNT}, {1024, TWAMPCONTROL_OK},
                 {1025, TWAMPCONTROL_BAD_COUNT}, {2048, TWAMPCONTROL_OK},
                 {1u << 31, TWAMPCONTROL_OK},    {UINT32_MAX, TWAMPCONTROL_BAD_COUNT}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct twampcontrol_greeting g = {.modes = 1, .count = cases[i].count};
        uint8_t b[TWAMPCONTROL_GREETING_SIZE];
        twampcontrol_greeting_format(&g, b);
        CU_ASSERT_EQUAL(twampcontrol_greeting_parse(b, sizeof b, &g), cases[i].v);
    }
}

static void
a_set_up_chooses_one_mode_or_none(void)
{
    for (uint32_t mode = 0; mode < 512; mode++) {
        struct twampcontrol_setup s = {.mode = mode}, back;
        uint8_t b[TWAMPCONTROL_SETUP_SIZE];
        int ways = __builtin_popcount(mode & 15);
        twampcontrol_setup_format(&s, b);
        CU_ASSERT_EQUAL(twampcontrol_setup_parse(b, sizeof b, &back),
                        mode == 0 || ways == 1 ? TWAMPCONTROL_OK : TWAMPCONTROL_BAD_MODE);
    }
}

static void
a_server_start_has_the_octets_of_the_rfc(void)
{
    struct twampcontrol_server_start s = {.accept = 3, .started = 0x0102030405060708}, back;
    uint8_t b[TWAMPCONTROL_SERVER_START_SIZE];

    memset(s.iv, 0x11, sizeof s.iv);
    twampcontrol_server_start_format(&s, b);
    CU_ASSERT_EQUAL(b[14], 0);
    CU_ASSERT_EQUAL(b[15], 3);
    CU_ASSERT_EQUAL(b[16], 0x11);
    CU_ASSERT_EQUAL(b[31], 0x11);
    CU_ASSERT_EQUAL(b[32], 1);
    CU_ASSERT_EQUAL(b[39], 8);
    CU_ASSERT_EQUAL(b[40], 0);
    CU_ASSERT_EQUAL(twampcontrol_server_start_parse(b, sizeof b, &back), TWAMPCONTROL_OK);
    CU_ASSERT(back.accept == 3 && back.started == s.started);
}

static const struct twampcontrol_request plain = {
    .ipvn = 4,
    .sender_port = 0x1234,
    .receiver_port = 862,
    .sender.s6_addr = {10, 0, 0, 1},
    .receiver.s6_addr = {10, 0, 0, 2},
    .padding = 27,
    .start = 0x0a,
    .timeout = UINT64_C(2) << 32,
    .dscp = 46,
    .reflected_octets = 0xbeef,
    .reflected_padding = 27,
};

static void
a_request_has_the_octets_of_the_rfc(void)
{
    static const struct {
        unsigned at;
        uint8_t octet;
    } octets[] = {{0, 5},     {1, 4},   {2, 0},     {3, 0},     {12, 0x12}, {13, 0x34}, {14, 3},
                  {15, 0x5e}, {16, 10}, {19, 1},    {20, 0},    {32, 10},   {35, 2},    {36, 0},
                  {48, 0},    {67, 27}, {68, 0},    {75, 0x0a}, {79, 2},    {83, 0},    {84, 46},
                  {85, 0},    {87, 0},  {88, 0xbe}, {89, 0xef}, {90, 0},    {91, 27},   {96, 0}};
    struct twampcontrol_request back;
    uint8_t b[TWAMPCONTROL_REQUEST_SIZE];

    twampcontrol_request_format(&plain, b);
    for (size_t i = 0; i < sizeof octets / sizeof octets[0]; i++) {
        CU_ASSERT_EQUAL(b[octets[i].at], octets[i].octet);
    }
    CU_ASSERT_EQUAL_FATAL(twampcontrol_request_parse(b, sizeof b, &back), TWAMPCONTROL_OK);
    CU_ASSERT(back.sender_port == plain.sender_port && back.timeout == plain.timeout &&
              back.dscp == 46 && back.reflected_padding == 27);
}

/* The plain request with one octet changed. */
static enum twampcontrol_verdict
with(unsigned at, uint8_t octet)
{
    struct twampcontrol_request out;
    uint8_t b[TWAMPCONTROL_REQUEST_SIZE];

    twampcontrol_request_format(&plain, b);
    b[at] = octet;
    return twampcontrol_request_parse(b, sizeof b, &out);
}

static void
a_request_is_refused_one_unit_to_either_side(void)
{
    CU_ASSERT_EQUAL(with(0, 4), TWAMPCONTROL_BAD_COMMAND);
    CU_ASSERT_EQUAL(with(0, 6), TWAMPCONTROL_BAD_COMMAND);
    CU_ASSERT_EQUAL(with(1, 3), TWAMPCONTROL_BAD_IPVN);
    CU_ASSERT_EQUAL(with(1, 5), TWAMPCONTROL_BAD_IPVN);
    CU_ASSERT_EQUAL(with(1, 6), TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(with(1, 7), TWAMPCONTROL_BAD_IPVN);
    CU_ASSERT_EQUAL(with(1, 0xf4), TWAMPCONTROL_OK); /* Four bits of zeros that nobody reads. */
    for (unsigned at = 2; at < 12; at++) {           /* Conf, slots, packets. */
        CU_ASSERT_EQUAL(with(at, 1), TWAMPCONTROL_BAD_CONF);
    }
    CU_ASSERT_EQUAL(with(84, 0x3f), TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(with(84, 0x40), TWAMPCONTROL_BAD_TYPE_P);
    CU_ASSERT_EQUAL(with(84, 0x80), TWAMPCONTROL_BAD_TYPE_P);
    CU_ASSERT_EQUAL(with(91, 26), TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(with(91, 28), TWAMPCONTROL_BAD_PADDING);
    for (unsigned at = 48; at < 64; at++) { /* SID. */
        CU_ASSERT_EQUAL(with(at, 0xff), TWAMPCONTROL_OK);
    }
    for (unsigned at = 92; at < 112; at++) { /* Zeros and HMAC. */
        CU_ASSERT_EQUAL(with(at, 0xff), TWAMPCONTROL_OK);
    }
}

static void
an_accepted_session_has_the_octets_of_the_rfc(void)
{
    struct twampcontrol_session s = {
        .accept = 5, .port = 862, .reflected_octets = 0x0102, .server_octets = 0x0304};
    struct twampcontrol_session back;
    uint8_t b[TWAMPCONTROL_ACCEPT_SIZE];

    memset(s.sid, 0x77, sizeof s.sid);
    twampcontrol_session_format(&s, b);
    CU_ASSERT(b[0] == 5 && b[1] == 0 && b[2] == 3 && b[3] == 0x5e);
    CU_ASSERT(b[4] == 0x77 && b[19] == 0x77 && b[20] == 1 && b[21] == 2 && b[22] == 3);
    CU_ASSERT(b[23] == 4 && b[24] == 0 && b[47] == 0);
    CU_ASSERT_EQUAL(twampcontrol_session_parse(b, sizeof b, &back), TWAMPCONTROL_OK);
    CU_ASSERT(back.accept == 5 && back.port == 862 && back.reflected_octets == 0x0102 &&
              back.server_octets == 0x0304 && memcmp(back.sid, s.sid, 16) == 0);
}

static void
start_ack_and_stop_have_the_octets_of_the_rfc(void)
{
    struct twampcontrol_start_ack ack = {.accept = 2};
    struct twampcontrol_stop stop = {.accept = 1, .sessions = 0x01020304};
    uint8_t b[32];

    twampcontrol_start_format(b);
    CU_ASSERT(b[0] == 2 && b[1] == 0 && b[31] == 0);
    CU_ASSERT_EQUAL(twampcontrol_start_parse(b, sizeof b), TWAMPCONTROL_OK);
    b[0] = 3;
    CU_ASSERT_EQUAL(twampcontrol_start_parse(b, sizeof b), TWAMPCONTROL_BAD_COMMAND);
    twampcontrol_start_ack_format(&ack, b);
    CU_ASSERT(b[0] == 2 && b[1] == 0);
    CU_ASSERT_EQUAL(twampcontrol_start_ack_parse(b, sizeof b, &ack), TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(ack.accept, 2);
    twampcontrol_stop_format(&stop, b);
    CU_ASSERT(b[0] == 3 && b[1] == 1 && b[4] == 1 && b[7] == 4 && b[8] == 0);
    CU_ASSERT_EQUAL(twampcontrol_stop_parse(b, sizeof b, &stop), TWAMPCONTROL_OK);
    CU_ASSERT_EQUAL(stop.sessions, 0x01020304);
    b[0] = 2;
    CU_ASSERT_EQUAL(twampcontrol_stop_parse(b, sizeof b, &stop), TWAMPCONTROL_BAD_COMMAND);
}

/* Every truncation of a good message is short, and leaves the result alone. */
static void
what_is_cut_off_is_short(void)
{
    union {
        struct twampcontrol_greeting greeting;
        struct twampcontrol_setup setup;
        struct twampcontrol_server_start start;
        struct twampcontrol_request request;
        struct twampcontrol_session session;
        struct twampcontrol_start_ack ack;
        struct twampcontrol_stop stop;
    } out;

    for (size_t size = 0; size < TWAMPCONTROL_SIZE_MAX; size++) {
        uint8_t *b = noise(size ? size : 1);
        uint8_t *c = exact_copy(b, size);
        enum twampcontrol_verdict v[] = {
            size < 64 ? twampcontrol_greeting_parse(c, size, &out.greeting) : TWAMPCONTROL_SHORT,
            twampcontrol_setup_parse(c, size, &out.setup),
            size < 48 ? twampcontrol_server_start_parse(c, size, &out.start) : TWAMPCONTROL_SHORT,
            size < 112 ? twampcontrol_request_parse(c, size, &out.request) : TWAMPCONTROL_SHORT,
            size < 48 ? twampcontrol_session_parse(c, size, &out.session) : TWAMPCONTROL_SHORT,
            size < 32 ? twampcontrol_start_parse(c, size) : TWAMPCONTROL_SHORT,
            size < 32 ? twampcontrol_start_ack_parse(c, size, &out.ack) : TWAMPCONTROL_SHORT,
            size < 32 ? twampcontrol_stop_parse(c, size, &out.stop) : TWAMPCONTROL_SHORT};
        for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
            CU_ASSERT_EQUAL(v[i], TWAMPCONTROL_SHORT);
        }
        free(b);
        free(c);
    }
}

static void
what_is_formatted_parses_to_itself(void)
{
    for (unsigned i = 0; i < 5000; i++) {
        struct twampcontrol_request q, back;
        uint8_t b[TWAMPCONTROL_REQUEST_SIZE], again[TWAMPCONTROL_REQUEST_SIZE];
        memset(&q, 0, sizeof q);
        q.ipvn = random_chance(500) ? 4 : 6;
        q.sender_port = (uint16_t)random_u64();
        q.receiver_port = (uint16_t)random_u64();
        for (unsigned k = 0; k < 16; k++) {
            q.sender.s6_addr[k] = (uint8_t)random_u64();
            q.receiver.s6_addr[k] = (uint8_t)random_u64();
        }
        q.padding = (uint32_t)random_u64();
        q.start = random_u64();
        q.timeout = random_u64();
        q.dscp = (uint8_t)random_below(64);
        q.reflected_octets = (uint16_t)random_u64();
        q.reflected_padding = (uint16_t)random_below((q.padding & 0xffff) + 1);
        twampcontrol_request_format(&q, b);
        CU_ASSERT_EQUAL_FATAL(twampcontrol_request_parse(b, sizeof b, &back), TWAMPCONTROL_OK);
        twampcontrol_request_format(&back, again);
        CU_ASSERT_FATAL(memcmp(b, again, sizeof b) == 0);
    }
}

static void
a_time_out_is_bounded(void)
{
    struct span most = span_of_ns(10 * NS_PER_S);

    CU_ASSERT_EQUAL(twampcontrol_timeout(0, most).ns, 0);
    CU_ASSERT_EQUAL(twampcontrol_timeout(UINT64_C(0x180000000), most).ns, 3 * NS_PER_S / 2);
    CU_ASSERT_EQUAL(twampcontrol_timeout((UINT64_C(10) << 32) - 1, most).ns, 10 * NS_PER_S - 1);
    CU_ASSERT_EQUAL(twampcontrol_timeout(UINT64_C(10) << 32, most).ns, 10 * NS_PER_S);
    CU_ASSERT_EQUAL(twampcontrol_timeout((UINT64_C(10) << 32) + UINT32_MAX, most).ns, most.ns);
    CU_ASSERT_EQUAL(twampcontrol_timeout(UINT64_MAX, most).ns, most.ns);
}

static void
only_commands_have_a_size(void)
{
    for (unsigned first = 0; first < 256; first++) {
        size_t size = twampcontrol_command_size((uint8_t)first);
        CU_ASSERT_EQUAL(size, first == 5 ? 112 : first == 2 || first == 3 ? 32 : 0);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a greeting has the octets of the RFC", a_greeting_has_the_octets_of_the_rfc},
        {"a greeting counts in powers of two from 1024",
         a_greeting_counts_in_powers_of_two_from_1024},
        {"a set-up chooses one mode or none", a_set_up_chooses_one_mode_or_none},
        {"a server-start has the octets of the RFC", a_server_start_has_the_octets_of_the_rfc},
        {"a request has the octets of the RFC", a_request_has_the_octets_of_the_rfc},
        {"a request is refused one unit to either side",
         a_request_is_refused_one_unit_to_either_side},
        {"an accepted session has the octets of the RFC",
         an_accepted_session_has_the_octets_of_the_rfc},
        {"start, ack and stop have the octets of the RFC",
         start_ack_and_stop_have_the_octets_of_the_rfc},
        {"what is cut off is short", what_is_cut_off_is_short},
        {"what is formatted parses to itself", what_is_formatted_parses_to_itself},
        {"a time-out is bounded", a_time_out_is_bounded},
        {"only commands have a size", only_commands_have_a_size},
        CU_TEST_INFO_NULL};

    return run_suite("TWAMP-Control messages", tests);
}
