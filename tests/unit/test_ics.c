/* test_ics.c - calendars of maintenance: what is in them, what is refused and where,
 * bounds, and that nothing is read past the end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "fault.h"
#include "ics.h"
#include "ics_print.h"
#include "pool.h"

#define TOLD_SIZE 2048

/* A calendar that is open for one test. */
struct world {
    struct faults *faults;
    struct pool *pool;
    struct ics_calendar c;
    int err;
    char told[TOLD_SIZE];
};

static struct world
read_bytes(const char *bytes, size_t size)
{
    struct world w = {.faults = faults_new(), .pool = pool_new()};
    char *exact = (char *)exact_copy(bytes, size), *text = NULL;
    size_t text_size;
    FILE *to = open_memstream(&text, &text_size);

    w.err = ics_read(w.faults, w.pool, "t.ics", exact, size, &w.c);
    faults_print(w.faults, to, 10);
    fclose(to);
    snprintf(w.told, sizeof w.told, "%s", text);
    free(text);
    free(exact);
    return w;
}

static void
end(struct world *w)
{
    pool_free(w->pool);
    faults_free(w->faults);
}

/* "\n" of 'lines' are the ends of lines of an event of UID 42, from line 4 on. */
static struct world
read_event(const char *lines)
{
    char text[8192];
    snprintf(text, sizeof text,
             "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:42\r\n%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
             lines);
    return read_bytes(text, strlen(text));
}

static void
check_told(const struct world *w, const char *place_and_words)
{
    CU_ASSERT_EQUAL(w->err, -EINVAL);
    CU_ASSERT_EQUAL(w->c.count, 0);
    if (!strstr(w->told, place_and_words)) {
        printf("\nwanted %s, got %s\n", place_and_words, w->told);
        CU_FAIL("not the words");
    }
}

static void
check_refused(const char *lines, const char *place_and_words)
{
    struct world w = read_event(lines);
    check_told(&w, place_and_words);
    end(&w);
}

static void
check_bytes_refused(const char *text, const char *place_and_words)
{
    struct world w = read_bytes(text, strlen(text));
    check_told(&w, place_and_words);
    end(&w);
}

static const char whole[] =
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:PUBLISH\r\n"
    "BEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\n"
    "RRULE:FREQ=YEARLY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    "BEGIN:VEVENT\r\nUID:m-1@example.net\r\n"
    "ORGANIZER;CN=\"Example, NOC\":mailto:noc@example.net\r\n"
    "summary:Fibre work\\, Cal\r\n ais\\; \\nline two \\\\ \r\n"
    "X-MAINTNOTE-PROVIDER:example.net\r\nX-MAINTNOTE-ACCOUNT:137\r\n"
    "X-MAINTNOTE-MAINTENANCE-ID:WO-31415\r\n"
    "X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT=\"NO-IMPACT\": COLT/LE-204811\r\n"
    "X-MAINTNOTE-OBJECT-ID:EUN-77120\r\nX-MAINTNOTE-IMPACT:degraded\r\n"
    "X-MAINTNOTE-STATUS:IN-PROCESS\r\nSTATUS:CONFIRMED\r\nSEQUENCE:3\r\n"
    "DTSTART;TZID=Europe/Paris:20261201T230000\r\n"
    "DTEND;TZID=\"Europe/London\":20261202T020000\r\n"
    "BEGIN:VALARM\r\nUID:not-this-one\r\nDURATION:PT1H\r\nEND:VALARM\r\nEND:VEVENT\r\n"
    "BEGIN:VEVENT\r\nUID:m-2\r\nDTSTART:20261201T220000Z\r\nDURATION:P1DT2H\r\nEND:VEVENT\r\n"
    "END:VCALENDAR\r\n";

static void
a_whole_calendar_is_read(void)
{
    struct world w = read_bytes(whole, sizeof whole - 1);

    CU_ASSERT_EQUAL_FATAL(w.err, 0);
    CU_ASSERT_STRING_EQUAL(w.told, "");
    CU_ASSERT_EQUAL_FATAL(w.c.count, 2);
    const struct ics_event *e = w.c.events;
    CU_ASSERT_EQUAL(e->at.line, 12);
    CU_ASSERT_STRING_EQUAL(e->uid, "m-1@example.net");
    CU_ASSERT_STRING_EQUAL(e->organizer, "mailto:noc@example.net");
    CU_ASSERT_STRING_EQUAL(e->summary, "Fibre work, Calais; \nline two \\");
    CU_ASSERT_STRING_EQUAL(e->provider, "example.net");
    CU_ASSERT_STRING_EQUAL(e->account, "137");
    CU_ASSERT_STRING_EQUAL(e->maintenance_id, "WO-31415");
    CU_ASSERT_EQUAL_FATAL(e->object_count, 2);
    CU_ASSERT_STRING_EQUAL(e->objects->id, "COLT/LE-204811");
    CU_ASSERT_EQUAL(e->objects->impact, ICS_NO_IMPACT);
    CU_ASSERT_STRING_EQUAL(e->objects->next->id, "EUN-77120");
    CU_ASSERT_EQUAL(e->objects->next->impact, ICS_NOT_GIVEN);
    CU_ASSERT_EQUAL(ics_event_impact(e), ICS_DEGRADED);
    CU_ASSERT_EQUAL(e->status, ICS_IN_PROCESS);
    CU_ASSERT_EQUAL(e->sequence, 3);
    CU_ASSERT_STRING_EQUAL(e->start.text, "2026-12-01 23:00:00");
    CU_ASSERT_STRING_EQUAL(e->start.zone, "Europe/Paris");
    CU_ASSERT_FALSE(e->start.utc);
    CU_ASSERT_STRING_EQUAL(e->end.text, "2026-12-02 02:00:00");
    CU_ASSERT_STRING_EQUAL(e->end.zone, "Europe/London");
    e = e->next;
    CU_ASSERT_TRUE(e->start.utc);
    CU_ASSERT_STRING_EQUAL(e->end.text, "");
    CU_ASSERT_EQUAL(e->days, 1);
    CU_ASSERT_EQUAL(e->seconds, 7200);
    CU_ASSERT_EQUAL(e->status, ICS_CONFIRMED);
    CU_ASSERT_EQUAL(ics_event_impact(e), ICS_OUTAGE);
    end(&w);
}

static void
lines_may_be_folded_anywhere_and_end_with_lf(void)
{
    struct world w = read_event("SUMMARY:f\xc3\r\n \xa9te\n\t, \r\n  end\n"
                                "DTST\n ART:20261201T220\r\n 000Z\nDURATION:PT1H");

    CU_ASSERT_EQUAL_FATAL(w.err, 0);
    CU_ASSERT_STRING_EQUAL(w.c.events->summary, "f\xc3\xa9te,  end");
    CU_ASSERT_STRING_EQUAL(w.c.events->start.text, "2026-12-01 22:00:00");
    end(&w);
}

static void
a_day_is_a_day_and_a_week_seven(void)
{
    struct world w = read_event("DTSTART;VALUE=DATE:20280229");

    CU_ASSERT_EQUAL_FATAL(w.err, 0);
    CU_ASSERT_TRUE(w.c.events->start.date);
    CU_ASSERT_EQUAL(w.c.events->days, 1);
    CU_ASSERT_STRING_EQUAL(w.c.events->start.text, "2028-02-29 00:00:00");
    end(&w);
    w = read_event("DTSTART;VALUE=DATE:20261201\nDURATION:P2W");
    CU_ASSERT_EQUAL_FATAL(w.err, 0);
    CU_ASSERT_EQUAL(w.c.events->days, 14);
    end(&w);
}

static void
times_that_cannot_be_are_refused_where_they_are(void)
{
    static const char *const bad[] = {"20261301T220000Z",
                                      "20261200T220000Z",
                                      "20270229T220000Z",
                                      "20261201T240000Z",
                                      "20261201T226000Z",
                                      "20261201T220060Z",
                                      "20261201T2200Z",
                                      "20261201 220000Z",
                                      "20261201T220000z",
                                      "20261201",
                                      "19691231T235959Z",
                                      "20261201T220000Z ",
                                      ""};
    char line[128];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "DTSTART:%s\nDURATION:PT1H", bad[i]);
        check_refused(line, "t.ics:4:9: error: DTSTART: expected a time, such as");
    }
    check_refused("DTSTART;VALUE=DATE:20261201T000000Z",
                  "t.ics:4:20: error: DTSTART: expected a date, such as 20261201");
    check_refused("DTSTART;VALUE=PERIOD:20261201T000000Z/PT1H", "expected VALUE=DATE or");
    check_refused("DTSTART;TZID=Europe/Paris:20261201T220000Z\nDURATION:PT1H",
                  "expected no TZID where the time is in UTC");
    check_refused("DTSTART;TZID=:20261201T220000\nDURATION:PT1H", "expected the name of a zone");
}

static void
durations_are_as_the_standard_has_them(void)
{
    static const struct {
        const char *text;
        uint32_t days;
        uint64_t seconds;
    } good[] = {{"P1D", 1, 0},     {"+P1W", 7, 0},    {"PT1S", 0, 1},   {"PT1H2M3S", 0, 3723},
                {"P1DT1M", 1, 60}, {"PT1M2S", 0, 62}, {"P0DT1S", 0, 1}, {"P100000D", 100000, 0}};
    static const char *const bad[] = {
        "",      "P",   "PT",        "1H",     "P1H",   "PT1D",     "-PT1H",
        "PT0S",  "P0D", "PT1H2S",    "PT1M1H", "P1DT",  "P1W1D",    "PT1H1H",
        "P1.5D", "PT1", "P1000000D", "P1D2D",  "PT1H ", "P100001D", "PT1234567890S"};
    char line[128];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(line, sizeof line, "DTSTART:20261201T220000Z\nDURATION:%s", good[i].text);
        struct world w = read_event(line);
        CU_ASSERT_EQUAL_FATAL(w.err, 0);
        CU_ASSERT_EQUAL(w.c.events->days, good[i].days);
        CU_ASSERT_EQUAL(w.c.events->seconds, good[i].seconds);
        end(&w);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "DTSTART:20261201T220000Z\nDURATION:%s", bad[i]);
        check_refused(line, "t.ics:5:10: error: DURATION: expected a duration over 0");
    }
}

static void
an_end_is_needed_once_and_behind_the_start(void)
{
    check_refused("DTSTART:20261201T220000Z", "t.ics:2:1: error: expected a DTEND or a DURATION");
    check_refused("DTSTART:20261201T220000Z\nDTEND:20261201T230000Z\nDURATION:PT1H",
                  "expected a DTEND or a DURATION, not both");
    check_refused("DTSTART:20261201T220000Z\nDTEND:20261201T220000Z",
                  "t.ics:4:9: error: expected DTSTART before DTEND");
    check_refused("DTSTART;VALUE=DATE:20261201\nDTEND;VALUE=DATE:20261201",
                  "expected DTSTART before DTEND");
    check_refused("DTSTART;VALUE=DATE:20261201\nDTEND:20261202T000000Z", "both as dates");
    check_refused("DTSTART;VALUE=DATE:20261201\nDURATION:PT1H", "a DURATION of days");
    struct world w = read_event("DTSTART:20261201T220000Z\nDTEND:20261201T220001Z");
    CU_ASSERT_EQUAL(w.err, 0);
    end(&w);
}

#define TIMES "\nDTSTART:20261201T220000Z\nDURATION:PT1H"

static void
what_an_event_needs_is_asked_for(void)
{
    check_bytes_refused("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\nEND:VCALENDAR\n",
                        "t.ics:2:1: error: expected a UID in this event");
    check_bytes_refused("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID: \nEND:VEVENT\nEND:VCALENDAR\n",
                        "expected a DTSTART in this event");
    check_refused("UID:43" TIMES, "t.ics:4:1: error: expected one UID; the first is in line 3");
    check_refused("RRULE:FREQ=DAILY" TIMES, "t.ics:4:1: error: RRULE: expected an event for each");
    check_refused("RECURRENCE-ID:20261201T220000Z" TIMES, "none that recurs");
    check_refused("X-MAINTNOTE-OBJECT-ID: " TIMES, "what the provider calls the circuit");
}

static void
words_are_of_a_list(void)
{
    check_refused("X-MAINTNOTE-IMPACT:BAD" TIMES, "t.ics:4:20: error: X-MAINTNOTE-IMPACT: expected "
                                                  "one of NO-IMPACT REDUCED-REDUNDANCY DEGRADED "
                                                  "OUTAGE");
    check_refused("X-MAINTNOTE-STATUS:STARTED" TIMES, "one of TENTATIVE CONFIRMED CANCELLED");
    check_refused("STATUS:COMPLETED" TIMES, "one of TENTATIVE CONFIRMED CANCELLED\n");
    check_refused("X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT=SOME:x" TIMES,
                  "in X-MAINTNOTE-OBJECT-IMPACT");
    check_refused("SEQUENCE:-1" TIMES, "t.ics:4:10: error: SEQUENCE: expected a number from 0");
    check_refused("SEQUENCE:2147483648" TIMES, "expected a number from 0 to 2147483647");
    struct world w = read_event("SEQUENCE:2147483647" TIMES);
    CU_ASSERT_EQUAL(w.err, 0);
    end(&w);
    check_bytes_refused("BEGIN:VCALENDAR\nMETHOD:COUNTER\nEND:VCALENDAR\n",
                        "t.ics:2:8: error: METHOD: expected one of PUBLISH REQUEST CANCEL");
}

static void
a_method_that_cancels_cancels_all_of_its_calendar(void)
{
    static const char text[] =
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nX-MAINTNOTE-STATUS:CONFIRMED" TIMES
        "\nEND:VEVENT\nMETHOD:CANCEL\nEND:VCALENDAR\n"
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:2" TIMES "\nEND:VEVENT\nEND:VCALENDAR\n";
    struct world w = read_bytes(text, sizeof text - 1);

    CU_ASSERT_EQUAL_FATAL(w.err, 0);
    CU_ASSERT_EQUAL_FATAL(w.c.count, 2);
    CU_ASSERT_EQUAL(w.c.events->status, ICS_CANCELLED);
    CU_ASSERT_EQUAL(w.c.events->next->status, ICS_CONFIRMED);
    end(&w);
}

static void
components_are_closed_in_their_order(void)
{
    check_bytes_refused("", "t.ics: error: expected BEGIN:VCALENDAR");
    check_bytes_refused("BEGIN:VEVENT\n", "t.ics:1:7: error: BEGIN: expected VCALENDAR around");
    check_bytes_refused("UID:1\n", "t.ics:1:1: error: expected BEGIN:VCALENDAR");
    check_bytes_refused("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n",
                        "t.ics:3:5: error: END: expected VEVENT");
    check_bytes_refused("BEGIN:VCALENDAR\nBEGIN:VCALENDAR\n", "expected END:VCALENDAR before");
    check_bytes_refused("END:VCALENDAR\n", "expected a BEGIN before it");
    check_bytes_refused("BEGIN:VCALENDAR\nVERSION:2.0\n",
                        "t.ics:2:1: error: expected END:VCALENDAR before the end of the file");
}

static void
lines_that_are_none_are_refused_where_they_break(void)
{
    check_refused("SUMMARY" TIMES, "t.ics:4:8: error: expected ':' and the value of SUMMARY");
    check_refused(":x" TIMES, "t.ics:4:1: error: expected a property, NAME:value");
    check_refused("SUMMARY;X:x" TIMES, "t.ics:4:9: error: expected a parameter, NAME=value");
    check_refused("SUMMARY;X=\"x:x" TIMES, "t.ics:4:11: error: expected the value of X");
    check_refused("SUMMARY;X=a\"b:x" TIMES, "expected the value of X");
    check_refused("SUMMARY:a\x01" TIMES, "t.ics:4:10: error: expected text in UTF-8");
    check_refused("SUMMARY:\xc3\xa9\xc3(" TIMES, "t.ics:4:10: error: expected text in UTF-8");
    check_refused("SUMMARY:\xed\xa0\x80" TIMES, "expected text in UTF-8");
    check_refused("SUMMARY:\xc2\x80" TIMES, "without control characters");
    check_refused("SUMMARY:a\\tb" TIMES, "t.ics:4:9: error: expected one of");
    check_refused("SUMMARY:a\\" TIMES, "behind a backslash in SUMMARY");
    struct world w = read_bytes("BEGIN:VCALENDAR\nX:\0\nEND:VCALENDAR\n", 33);
    check_told(&w, "t.ics:2:1: error: expected text in UTF-8");
    end(&w);
}

/* 'count' times 'part' behind 'head'. */
static struct world
read_many(const char *head, const char *part, size_t count, const char *tail)
{
    size_t size = strlen(head) + count * strlen(part) + strlen(tail);
    char *text = malloc(size + 1), *at = text;

    at += sprintf(at, "%s", head);
    for (size_t i = 0; i < count; i++) {
        at += sprintf(at, "%s", part);
    }
    sprintf(at, "%s", tail);
    struct world w = read_bytes(text, size);
    free(text);
    return w;
}

static void
each_bound_holds_one_unit_to_either_side(void)
{
    static const char event[] = "BEGIN:VEVENT\nUID:1\nDTSTART:20261201T220000Z\nDURATION:P1D\n"
                                "END:VEVENT\n";
    static const char head[] = "BEGIN:VCALENDAR\nX:", tail[] = "\nEND:VCALENDAR\n";
    size_t around = sizeof head + sizeof tail - 2;

    struct world w = read_many(head, "x", ICS_SIZE_MAX - around, tail);
    CU_ASSERT_EQUAL(w.err, 0);
    end(&w);
    w = read_many(head, "x", ICS_SIZE_MAX - around + 1, tail);
    check_told(&w, "t.ics: error: expected at most 1048576 bytes");
    end(&w);
    w = read_many("BEGIN:VCALENDAR\n", event, ICS_EVENTS_MAX, "END:VCALENDAR\n");
    CU_ASSERT_EQUAL(w.c.count, ICS_EVENTS_MAX);
    end(&w);
    w = read_many("BEGIN:VCALENDAR\n", event, ICS_EVENTS_MAX + 1, "END:VCALENDAR\n");
    check_told(&w, "expected at most 10000 events");
    end(&w);
    w = read_many("BEGIN:VCALENDAR\nX", ";A=b", 16, ":x\nEND:VCALENDAR\n");
    CU_ASSERT_EQUAL(w.err, 0);
    end(&w);
    w = read_many("BEGIN:VCALENDAR\nX", ";A=b", 17, ":x\nEND:VCALENDAR\n");
    check_told(&w, "more than 16 parameters");
    end(&w);
    w = read_many("BEGIN:VCALENDAR\n", "BEGIN:X\n", ICS_DEPTH_MAX - 1, "");
    check_told(&w, "expected END:X before the end of the file");
    end(&w);
    w = read_many("BEGIN:VCALENDAR\n", "BEGIN:X\n", ICS_DEPTH_MAX, "");
    check_told(&w, "t.ics:9:1: error: expected at most 8 components");
    end(&w);
}

/* Every cut of a good calendar is refused with a reason, or its last line is whole. */
static void
every_cut_is_refused(void)
{
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct world w = read_bytes(whole, size);
        bool all = size >= sizeof whole - 3; /* Only the last line's end is missing. */
        CU_ASSERT_EQUAL(w.err, all ? 0 : -EINVAL);
        CU_ASSERT_EQUAL(w.told[0] != '\0', !all);
        end(&w);
    }
}

static char *
printed(const struct ics_calendar *c, unsigned fold, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    ics_put(to, c, fold);
    fclose(to);
    return text;
}

/* Folded anywhere it is the same; with an octet changed it is refused with a reason, or
 * something that prints as what reads as itself. */
static void
what_is_read_prints_as_what_reads_the_same(void)
{
    for (int round = 0; round < 3000; round++) {
        char bytes[sizeof whole];
        memcpy(bytes, whole, sizeof whole);
        for (unsigned i = 0; round && i < 1 + random_below(2); i++) {
            bytes[random_below(sizeof whole - 1)] = (char)random_below(256);
        }
        struct world w = read_bytes(bytes, sizeof whole - 1);
        CU_ASSERT_EQUAL(w.err == 0, w.told[0] == '\0');
        if (w.err == 0) {
            size_t size, plain_size, again_size;
            char *text = printed(&w.c, (unsigned)random_below(40), &size);
            char *plain = printed(&w.c, 0, &plain_size);
            struct world again = read_bytes(text, size);
            char *again_text = printed(&again.c, 0, &again_size);
            CU_ASSERT_EQUAL(again.err, 0);
            CU_ASSERT(plain_size == again_size && memcmp(plain, again_text, plain_size) == 0);
            free(text);
            free(plain);
            free(again_text);
            end(&again);
        }
        end(&w);
    }
}

static CU_TestInfo tests[] = {
    {"a_whole_calendar_is_read", a_whole_calendar_is_read},
    {"lines_may_be_folded_anywhere_and_end_with_lf", lines_may_be_folded_anywhere_and_end_with_lf},
    {"a_day_is_a_day_and_a_week_seven", a_day_is_a_day_and_a_week_seven},
    {"times_that_cannot_be_are_refused_where_they_are",
     times_that_cannot_be_are_refused_where_they_are},
    {"durations_are_as_the_standard_has_them", durations_are_as_the_standard_has_them},
    {"an_end_is_needed_once_and_behind_the_start", an_end_is_needed_once_and_behind_the_start},
    {"what_an_event_needs_is_asked_for", what_an_event_needs_is_asked_for},
    {"words_are_of_a_list", words_are_of_a_list},
    {"a_method_that_cancels_cancels_all_of_its_calendar",
     a_method_that_cancels_cancels_all_of_its_calendar},
    {"components_are_closed_in_their_order", components_are_closed_in_their_order},
    {"lines_that_are_none_are_refused_where_they_break",
     lines_that_are_none_are_refused_where_they_break},
    {"each_bound_holds_one_unit_to_either_side", each_bound_holds_one_unit_to_either_side},
    {"every_cut_is_refused", every_cut_is_refused},
    {"what_is_read_prints_as_what_reads_the_same", what_is_read_prints_as_what_reads_the_same},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    return run_suite("ics", tests);
}
