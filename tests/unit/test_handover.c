/* test_handover.c - the state that one process leaves to the next, and the events. */
#include "handover.h"
#include "handover_event.h"

#include <errno.h>

#include <CUnit/Basic.h>

#include "harness.h"
#include "stampauth.h"

/* --- States at random, within what can be. --- */

static struct address
random_address(bool may_be_none)
{
    struct address a;
    uint64_t kind = random_below(may_be_none ? 3 : 2);

    memset(&a, 0, sizeof a);
    a.family = kind == 0 ? 4 : kind == 1 ? 6 : 0;
    for (size_t i = 0; i < address_size(&a); i++) {
        a.v6.s6_addr[i] = (uint8_t)random_u64();
    }
    return a;
}

static void
random_session(struct handover_session *s, uint32_t index)
{
    int64_t dt = 1 + (int64_t)random_below(1000000);

    *s = (struct handover_session){
        .id = (int64_t)(random_u64() >> 1),
        .is = {.index = index,
               .protocol = (enum sender_protocol)random_below(3),
               .source = random_address(true),
               .destination = random_address(false),
               .source_port = (uint16_t)random_u64(),
               .destination_port = (uint16_t)random_u64(),
               .ssid = (uint16_t)random_u64(),
               .foreign = random_chance(500),
               .ptp = random_chance(500),
               .whole = random_chance(500),
               .dscp = (uint8_t)random_below(64),
               .size = (uint32_t)random_below(9001),
               .period = span_of_ns(1 + (int64_t)random_below(1 << 30)),
               .dt = span_of_ns(dt),
               .begin = instant_of_ns(dt * (int64_t)random_below(1 << 20))},
        .mode = (enum stampauth_mode)random_below(3),
        .border = instant_of_ns(dt * (int64_t)random_below(1 << 20)),
    };
    if (random_chance(500)) {
        snprintf(s->interface, sizeof s->interface, "w%u", (unsigned)random_below(100));
        s->is.interface = s->interface;
    }
}

static void
random_socket(struct timing_kept *t, struct timing_socket *s)
{
    *s = (struct timing_socket){
        .fd = -1,
        .reflector = random_chance(100),
        .is = {.port = (uint16_t)random_u64(),
               .whole = random_chance(500),
               .kept = {.port = (uint16_t)random_u64(),
                        .family = random_chance(500) ? 4 : 6,
                        .kind = random_chance(500) ? TSTAMP_UDP : TSTAMP_ICMP,
                        .dual = random_chance(500),
                        .raw = random_chance(500),
                        .tx_kernel = random_chance(500),
                        .tx_seen = random_chance(500),
                        .flight_size = (uint32_t)random_u64(),
                        .oldest = (uint32_t)random_u64(),
                        .next = (uint32_t)random_u64(),
                        .drops = (uint32_t)random_u64()}},
        .waiting_first = (uint32_t)t->waiting_count,
        .waiting_count = (uint32_t)random_below(4),
    };
    snprintf(s->is.interface, sizeof s->is.interface, "eth%u", (unsigned)random_below(100));
    for (uint32_t i = 0; i < s->waiting_count; i++) {
        t->waiting[t->waiting_count++] = (struct tstamp_waiting){
            .id = (uint32_t)random_u64(), .cookie = random_u64(), .user_ns = random_value()};
    }
}

static void
random_reflected(struct reflector_kept *k)
{
    *k = (struct reflector_kept){
        .place = (uint32_t)random_u64(),
        .peer = random_address(false),
        .local = random_address(false),
        .port = (uint16_t)random_u64(),
        .ssid = (uint16_t)random_u64(),
        .nat = random_chance(300) ? random_u64() : 0,
        .generation = (uint16_t)random_u64(),
        .ifindex = (uint32_t)random_u64(),
        .epoch = (uint32_t)random_u64(),
        .sequence = (uint32_t)random_u64(),
        .history = {.bits = {random_u64(), random_u64(), random_u64(), random_u64()},
                    .highest = (uint32_t)random_u64(),
                    .received = (uint32_t)random_u64(),
                    .duplicates = (uint32_t)random_u64(),
                    .highest_t1_ns = random_value(),
                    .last = span_of_ns((int64_t)(random_u64() >> 1)),
                    .before = span_of_ns((int64_t)(random_u64() >> 1)),
                    .begun = random_chance(500)},
        .follow_up_count = (unsigned)random_below(REFLECTOR_FOLLOW_UPS + 1),
    };
    for (unsigned i = 0; i < k->follow_up_count; i++) {
        k->follow_ups[i] = (struct reflector_follow_up){(uint32_t)random_u64(), random_value()};
    }
}

static struct handover
random_state(void)
{
    size_t n = random_below(6), sockets = random_below(6), reflected = random_below(6);
    struct handover h = {.probe = "par1-p1",
                         .next_index = (uint32_t)random_below(HANDOVER_INDEXES),
                         .covered_until = instant_of_ns(random_value()),
                         .liveness_from = instant_of_ns(random_value()),
                         .sessions = calloc(n + 1, sizeof *h.sessions),
                         .session_count = n,
                         .timing = {.sockets = calloc(sockets + 1, sizeof *h.timing.sockets),
                                    .socket_count = sockets,
                                    .waiting = calloc(4 * sockets + 1, sizeof *h.timing.waiting),
                                    .sessions = calloc(n + 1, sizeof *h.timing.sessions),
                                    .session_count = n,
                                    .reflected = calloc(reflected + 1, sizeof *h.timing.reflected),
                                    .reflected_count = reflected,
                                    .epoch = (uint32_t)random_u64(),
                                    .begun_again = (uint32_t)random_u64()}};

    for (size_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)(random_below(HANDOVER_INDEXES / 8) * 8 + i);
        random_session(&h.sessions[i], index);
        h.timing.sessions[i] =
            (struct sender_progress){.index = index,
                                     .sequence = (uint32_t)random_u64(),
                                     .due = span_of_ns(1 + (int64_t)(random_u64() >> 2)),
                                     .ptp_quarters = (uint8_t)random_below(16),
                                     .ptp_denied = random_chance(500)};
    }
    for (size_t i = 0; i < sockets; i++) {
        random_socket(&h.timing, &h.timing.sockets[i]);
    }
    for (size_t i = 0; i < reflected; i++) {
        random_reflected(&h.timing.reflected[i]);
    }
    return h;
}

/* The bytes of 'h', in a block of just that size. */
static uint8_t *
bytes_of(const struct handover *h, size_t *size)
{
    uint8_t *bytes, *exact;

    CU_ASSERT_EQUAL_FATAL(handover_format(h, &bytes, size), 0);
    exact = exact_copy(bytes, *size);
    free(bytes);
    return exact;
}

static enum handover_verdict
verdict_of(const struct handover *h)
{
    struct handover parsed;
    size_t size;
    uint8_t *bytes = bytes_of(h, &size);
    enum handover_verdict v = handover_parse(bytes, size, &parsed);

    if (v == HANDOVER_OK) {
        handover_fini(&parsed);
    }
    free(bytes);
    return v;
}

/* --- Bytes. --- */

static void
a_state_parses_to_itself(void)
{
    for (unsigned round = 0; round < 500; round++) {
        struct handover h = random_state(), parsed;
        size_t size, again_size;
        uint8_t *bytes = bytes_of(&h, &size);
        CU_ASSERT_EQUAL_FATAL(handover_parse(bytes, size, &parsed), HANDOVER_OK);
        uint8_t *again = bytes_of(&parsed, &again_size);
        CU_ASSERT_EQUAL_FATAL(size, again_size);
        CU_ASSERT_EQUAL(memcmp(bytes, again, size), 0);
        for (size_t i = 0; i < h.session_count; i++) {
            const struct timing_session *a = &h.sessions[i].is, *b = &parsed.sessions[i].is;
            CU_ASSERT_EQUAL(h.sessions[i].border.ns, parsed.sessions[i].border.ns);
            CU_ASSERT_EQUAL(h.sessions[i].mode, parsed.sessions[i].mode);
            CU_ASSERT_EQUAL(a->protocol, b->protocol);
            CU_ASSERT_EQUAL(a->foreign, b->foreign);
            CU_ASSERT_EQUAL(a->ssid, b->ssid);
            CU_ASSERT(address_equal(&a->destination, &b->destination));
            CU_ASSERT_EQUAL(!a->interface, !b->interface);
            CU_ASSERT_EQUAL(h.timing.sessions[i].sequence, parsed.timing.sessions[i].sequence);
        }
        for (size_t i = 0; i < h.timing.socket_count; i++) {
            const struct timing_socket *s = &parsed.timing.sockets[i];
            CU_ASSERT_EQUAL(s->waiting_first, h.timing.sockets[i].waiting_first);
            CU_ASSERT_EQUAL(s->waiting_count, h.timing.sockets[i].waiting_count);
            CU_ASSERT_EQUAL(s->fd, -1);
        }
        for (size_t i = 0; i < h.timing.reflected_count; i++) {
            CU_ASSERT_EQUAL(parsed.timing.reflected[i].nat, h.timing.reflected[i].nat);
        }
        free(bytes);
        free(again);
        handover_fini(&h);
        handover_fini(&parsed);
    }
}

static void
every_beginning_of_a_state_is_short(void)
{
    struct handover h = random_state(), parsed;
    size_t size;
    uint8_t *bytes = bytes_of(&h, &size);

    for (size_t n = 0; n < size; n++) {
        uint8_t *part = exact_copy(bytes, n);
        CU_ASSERT_EQUAL(handover_parse(part, n, &parsed), HANDOVER_SHORT);
        free(part);
    }
    free(bytes);
    handover_fini(&h);
}

static void
another_format_is_refused_and_so_is_what_is_no_state(void)
{
    struct handover h = random_state(), parsed;
    size_t size;
    uint8_t *bytes = bytes_of(&h, &size);

    bytes[5] = HANDOVER_FORMAT_NEWEST + 1;
    CU_ASSERT_EQUAL(handover_parse(bytes, size, &parsed), HANDOVER_FORMAT);
    bytes[5] = HANDOVER_FORMAT_OLDEST - 1;
    CU_ASSERT_EQUAL(handover_parse(bytes, size, &parsed), HANDOVER_FORMAT);
    bytes[5] = HANDOVER_FORMAT_OLDEST;
    CU_ASSERT_EQUAL_FATAL(handover_parse(bytes, size, &parsed), HANDOVER_OK);
    handover_fini(&parsed);
    bytes[0] ^= 1;
    CU_ASSERT_EQUAL(handover_parse(bytes, size, &parsed), HANDOVER_FOREIGN);
    free(bytes);
    handover_fini(&h);
}

/* As a later release of the same format would write it. */
static void
longer_records_and_unknown_ones_are_passed_over(void)
{
    static const uint8_t unknown[] = {77, 0, 0, 0, 3, 1, 2, 3};
    struct handover h = {.next_index = 7}, parsed;
    size_t size;
    uint8_t *bytes = bytes_of(&h, &size);
    uint8_t longer[256];
    struct wr w = wr_of(longer, sizeof longer);

    /* Magic and format, another record, then the head with two octets more. */
    wr_copy(&w, bytes, 6);
    wr_copy(&w, unknown, sizeof unknown);
    size_t head = bytes[10];
    wr_u8(&w, bytes[6]);
    wr_be32(&w, (uint32_t)head + 2);
    wr_copy(&w, bytes + 11, head);
    wr_be16(&w, 0xffff);
    wr_copy(&w, bytes + 11 + head, size - 11 - head);
    CU_ASSERT_EQUAL_FATAL(handover_parse(longer, wr_size(&w), &parsed), HANDOVER_OK);
    CU_ASSERT_EQUAL(parsed.next_index, 7);
    handover_fini(&parsed);
    free(bytes);
}

static void
what_cannot_be_is_refused(void)
{
    struct handover_session s = {.is = {.index = HANDOVER_INDEXES - 1,
                                        .destination = {.family = 4},
                                        .period = {1},
                                        .dt = {1000},
                                        .begin = {5000}},
                                 .border = {7000}};
    struct sender_progress progress = {.index = HANDOVER_INDEXES - 1, .due = {1}};
    struct handover h = {.sessions = &s, .session_count = 1};

    h.timing = (struct timing_kept){.sessions = &progress, .session_count = 1};
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_OK);
    s.is.index++;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    s.is.index--;
    s.border.ns++;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    s.border.ns--;
    s.is.begin.ns--;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    s.is.begin.ns++;
    s.is.period.ns--;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    s.is.period.ns++;
    s.is.destination.family = 0;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    s.is.destination.family = 4;
    progress.index++;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    progress.index--;
    progress.due.ns--;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    progress.due.ns++;
    h.next_index = HANDOVER_INDEXES;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_OK);
    h.next_index++;
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
    h.next_index--;
    memset(h.probe, 'x', SERIES_NAME_MAX);
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_OK);
    h.probe[SERIES_NAME_MAX] = 'x';
    CU_ASSERT_EQUAL(verdict_of(&h), HANDOVER_BAD);
}

/* --- Events. --- */

static struct stamp_time
random_time(void)
{
    return (struct stamp_time){instant_of_ns(random_value()),
                               (enum ts_source)random_below(TS_SOURCES)};
}

static void
events_parse_to_themselves(void)
{
    uint8_t bytes[4 * HANDOVER_EVENT_MAX], again[4 * HANDOVER_EVENT_MAX];

    for (unsigned round = 0; round < 1000; round++) {
        struct wr w = wr_of(bytes, sizeof bytes), v = wr_of(again, sizeof again);
        for (unsigned i = 0; i < 4; i++) {
            struct exchange e;
            for (size_t k = 0; k < sizeof e; k++) {
                ((uint8_t *)&e)[k] = (uint8_t)random_u64();
            }
            e.kind = (enum exchange_kind)random_below(EXCHANGE_CLOCK_STEP + 1);
            e.t1 = random_time();
            e.t2 = random_time();
            e.t3 = random_time();
            e.t4 = random_time();
            e.follow_up.t3 = random_time();
            e.has_report = random_chance(500);
            e.has_follow_up = random_chance(500);
            e.far_synchronised = random_chance(500);
            handover_event_format(&e, &w);
        }
        CU_ASSERT_FATAL(wr_ok(&w));
        struct rd r = rd_of(bytes, wr_size(&w));
        struct exchange out;
        unsigned n = 0;
        while (handover_event_parse(&r, &out)) {
            handover_event_format(&out, &v);
            n++;
        }
        CU_ASSERT_EQUAL_FATAL(n, 4);
        CU_ASSERT_EQUAL_FATAL(wr_size(&v), wr_size(&w));
        CU_ASSERT_EQUAL(memcmp(bytes, again, wr_size(&w)), 0);
    }
}

/* --- Plans. --- */

static void
a_plan_comes_out_as_it_went_in(void)
{
    char interface[] = "w0";
    struct timing_session timed[2] = {
        {.index = 3, .destination = {.family = 4}, .dt = {1000}, .begin = {4000}},
        {.index = 5, .destination = {.family = 4}, .dt = {1000}, .interface = interface}};
    struct plan_session sessions[2] = {{.id = 30}, {.id = 50}};
    struct plan plan = {.sessions = sessions, .timing = {.sessions = timed, .session_count = 2}};
    static const struct stampauth_secret key = {.size = STAMPAUTH_KEY_MIN};
    static const struct stampauth_secret none = {.size = 0};
    struct handover h = {.sessions = NULL};

    timed[1].keys = stampauth_new(STAMPAUTH_TLV, &key, &none, false);
    CU_ASSERT_EQUAL_FATAL(handover_of_plan(&h, &plan), 0);
    struct plan *out = handover_plan(&h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(out->timing.session_count, 2);
    CU_ASSERT_EQUAL(out->sessions[1].id, 50);
    CU_ASSERT_EQUAL(out->timing.sessions[0].index, 3);
    CU_ASSERT_PTR_NULL(out->timing.sessions[0].keys);
    CU_ASSERT_EQUAL(stampauth_mode(out->timing.sessions[1].keys), STAMPAUTH_TLV);
    CU_ASSERT_STRING_EQUAL(out->timing.sessions[1].interface, "w0");
    CU_ASSERT_EQUAL(out->timing.sessions[0].begin.ns, 4000);
    plan_free(out);
    stampauth_unref(timed[1].keys);
    handover_fini(&h);
}

static void
sessions_begin_where_the_old_process_ends(void)
{
    struct handover_session old[2] = {{.is = {.index = 3}, .border = {9000}},
                                      {.is = {.index = 5}, .border = {12000}}};
    struct handover h = {.sessions = old, .session_count = 2};
    struct timing_session timed[4] = {{.index = 3, .dt = {1000}, .begin = {1000}},
                                      {.index = 5, .dt = {5000}},
                                      {.index = 4, .dt = {1000}, .begin = {10000}},
                                      {.index = 9, .dt = {1000}, .begin = {20000}}};
    struct plan plan = {.timing = {.sessions = timed, .session_count = 4}};

    handover_begin(&h, &plan);
    CU_ASSERT_EQUAL(timed[0].begin.ns, 9000);
    CU_ASSERT_EQUAL(timed[1].begin.ns, 15000);
    /* The old process did not have them: after all that it may still tell. */
    CU_ASSERT_EQUAL(timed[2].begin.ns, 12000);
    CU_ASSERT_EQUAL(timed[3].begin.ns, 20000);
}

static void
sessions_that_do_not_go_on_are_named(void)
{
    struct handover_session old[3] = {
        {.is = {.index = 3}}, {.is = {.index = 65}}, {.is = {.index = HANDOVER_INDEXES - 1}}};
    struct handover h = {.sessions = old, .session_count = 3};
    struct timing_session timed[2] = {{.index = 65}, {.index = 4}};
    struct plan plan = {.timing = {.sessions = timed, .session_count = 2}};
    uint32_t gone[3];

    CU_ASSERT_EQUAL_FATAL(handover_gone(&h, &plan, gone, 3), 2);
    CU_ASSERT_EQUAL(gone[0], 3);
    CU_ASSERT_EQUAL(gone[1], HANDOVER_INDEXES - 1);
    CU_ASSERT_EQUAL(handover_gone(&h, &plan, gone, 1), 1);
}

/* --- The specimen. --- */

static struct handover
specimen(void)
{
    struct handover h = {.probe = "par1-p1",
                         .next_index = 4,
                         .covered_until = {INT64_C(1760000000000000000)},
                         .liveness_from = {INT64_C(1760000001000000000)},
                         .sessions = calloc(1, sizeof *h.sessions),
                         .session_count = 1,
                         .timing = {.sockets = calloc(2, sizeof *h.timing.sockets),
                                    .socket_count = 2,
                                    .waiting = calloc(1, sizeof *h.timing.waiting),
                                    .waiting_count = 1,
                                    .sessions = calloc(1, sizeof *h.timing.sessions),
                                    .session_count = 1,
                                    .reflected = calloc(1, sizeof *h.timing.reflected),
                                    .reflected_count = 1,
                                    .epoch = 0x10203040,
                                    .begun_again = 2}};

    h.sessions[0] = (struct handover_session){.id = 0x1122334455667788,
                                              .is = {.index = 3,
                                                     .destination = {.family = 4},
                                                     .source_port = 50000,
                                                     .destination_port = 862,
                                                     .ssid = 4,
                                                     .dscp = 46,
                                                     .size = 128,
                                                     .period = {100 * NS_PER_MS},
                                                     .dt = {NS_PER_S},
                                                     .begin = {1759999990 * NS_PER_S}},
                                              .interface = "eth0",
                                              .border = {1760000001 * NS_PER_S}};
    h.sessions[0].is.interface = h.sessions[0].interface;
    h.sessions[0].is.destination.v4.s_addr = htonl(0x0a010001);
    h.timing.sockets[0] = (struct timing_socket){.fd = -1,
                                                 .is = {.interface = "eth0",
                                                        .port = 50000,
                                                        .kept = {.port = 50000,
                                                                 .family = 4,
                                                                 .tx_kernel = true,
                                                                 .tx_seen = true,
                                                                 .flight_size = TSTAMP_FLIGHT,
                                                                 .oldest = 100,
                                                                 .next = 101}},
                                                 .waiting_count = 1};
    h.timing.sockets[1] = (struct timing_socket){
        .fd = -1,
        .reflector = true,
        .is.kept = {.port = 862, .family = 6, .dual = true, .flight_size = TSTAMP_FLIGHT},
        .waiting_first = 1};
    h.timing.waiting[0] = (struct tstamp_waiting){
        .id = 100, .cookie = UINT64_C(3) << 32 | 77, .user_ns = 1760000000 * NS_PER_S};
    h.timing.sessions[0] =
        (struct sender_progress){.index = 3, .sequence = 78, .due = {12345 * NS_PER_MS}};
    h.timing.reflected[0] = (struct reflector_kept){
        .place = 1,
        .peer = h.sessions[0].is.destination,
        .local = {.family = 4},
        .port = 50000,
        .ssid = 9,
        .generation = 1,
        .epoch = 0x10203042,
        .sequence = 55,
        .history = {.bits = {7},
                    .highest = 54,
                    .received = 54,
                    .duplicates = 1,
                    .highest_t1_ns = 1760000000 * NS_PER_S,
                    .last = {12344 * NS_PER_MS},
                    .before = {12244 * NS_PER_MS},
                    .begun = true},
        .follow_up_count = 1,
        .follow_ups = {{.sequence = 54, .t3_ns = 1760000000 * NS_PER_S + 5}}};
    return h;
}

/* PLUMBLINE_WRITE_FIXTURE=path writes it; what was once released stays as it is. */
static void
the_specimen_of_format_1_is_read(void)
{
    const char *folder = getenv("srcdir"), *path_out = getenv("PLUMBLINE_WRITE_FIXTURE");
    struct handover h = specimen(), parsed;
    uint8_t kept[4096];
    char path[4096];
    size_t size;
    uint8_t *bytes = bytes_of(&h, &size);

    snprintf(path, sizeof path, "%s/tests/fixtures/handover-1.bin", folder ? folder : ".");
    FILE *f = fopen(path_out ? path_out : path, path_out ? "wb" : "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    if (path_out) {
        CU_ASSERT_EQUAL(fwrite(bytes, 1, size, f), size);
    } else {
        size_t n = fread(kept, 1, sizeof kept, f);
        CU_ASSERT_EQUAL_FATAL(handover_parse(kept, n, &parsed), HANDOVER_OK);
        CU_ASSERT_EQUAL(n, size);
        CU_ASSERT_EQUAL(memcmp(kept, bytes, n < size ? n : size), 0);
        CU_ASSERT_EQUAL(parsed.timing.sessions[0].sequence, 78);
        CU_ASSERT_EQUAL(parsed.timing.reflected[0].history.received, 54);
        handover_fini(&parsed);
    }
    fclose(f);
    free(bytes);
    handover_fini(&h);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_state_parses_to_itself", a_state_parses_to_itself},
        {"every_beginning_of_a_state_is_short", every_beginning_of_a_state_is_short},
        {"another_format_is_refused_and_so_is_what_is_no_state",
         another_format_is_refused_and_so_is_what_is_no_state},
        {"longer_records_and_unknown_ones_are_passed_over",
         longer_records_and_unknown_ones_are_passed_over},
        {"what_cannot_be_is_refused", what_cannot_be_is_refused},
        {"events_parse_to_themselves", events_parse_to_themselves},
        {"a_plan_comes_out_as_it_went_in", a_plan_comes_out_as_it_went_in},
        {"sessions_begin_where_the_old_process_ends", sessions_begin_where_the_old_process_ends},
        {"sessions_that_do_not_go_on_are_named", sessions_that_do_not_go_on_are_named},
        {"the_specimen_of_format_1_is_read", the_specimen_of_format_1_is_read},
        CU_TEST_INFO_NULL};
    return run_suite("handover", tests);
}
