/* ics.c - events of maintenance out of the lines of a calendar. */
#include "ics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "icsline.h"
#include "value.h"

struct word {
    const char *word;
    int value;
};

static const struct word impacts[] = {{"NO-IMPACT", ICS_NO_IMPACT},
                                      {"REDUCED-REDUNDANCY", ICS_REDUCED_REDUNDANCY},
                                      {"DEGRADED", ICS_DEGRADED},
                                      {"OUTAGE", ICS_OUTAGE},
                                      {NULL, 0}};
static const struct word maintnote_states[] = {
    {"TENTATIVE", ICS_TENTATIVE},   {"CONFIRMED", ICS_CONFIRMED}, {"CANCELLED", ICS_CANCELLED},
    {"IN-PROCESS", ICS_IN_PROCESS}, {"COMPLETED", ICS_COMPLETED}, {NULL, 0}};
static const struct word event_states[] = {{"TENTATIVE", ICS_TENTATIVE},
                                           {"CONFIRMED", ICS_CONFIRMED},
                                           {"CANCELLED", ICS_CANCELLED},
                                           {NULL, 0}};

/* What an event may have once. */
enum once {
    UID,
    ORGANIZER,
    SUMMARY,
    SEQUENCE,
    DTSTART,
    DTEND,
    DURATION,
    STATUS,
    PROVIDER,
    ACCOUNT,
    MAINTENANCE_ID,
    IMPACT,
    MAINTNOTE_STATUS,
    ONCE
};

struct reader {
    struct icsline_reader lines;
    struct ics_calendar *out;
    const char *stack[ICS_DEPTH_MAX]; /* Components that are open. */
    size_t depth;
    struct ics_event *event;
    struct ics_event **last_event;
    struct ics_object **last_object;
    struct ics_event *calendar_first; /* First event of the calendar that is open. */
    uint32_t seen[ONCE];              /* Lines; 0: not yet. */
    int status, maintnote_status;     /* -1: not given. */
    bool cancels;                     /* METHOD:CANCEL */
    uint32_t calendars;
};

static void
wrong(struct reader *r, const struct icsline *line, const char *expected)
{
    fault_error(r->lines.faults, line->value_at, "%s: expected %s", line->name, expected);
}

static bool
find_word(const struct word *words, const char *text, int *value)
{
    for (; words->word; words++) {
        if (strcasecmp(words->word, text) == 0) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

/* The text as one of 'words'; -1 after a fault. */
static int
take_word(struct reader *r, const struct icsline *line, const struct word *words)
{
    const char *text = icsline_text(&r->lines, line);
    char expected[160] = "one of";
    int value = -1;

    if (text && !find_word(words, text, &value)) {
        for (; words->word; words++) {
            size_t used = strlen(expected);
            snprintf(expected + used, sizeof expected - used, " %s", words->word);
        }
        wrong(r, line, expected);
    }
    return value;
}

/* --- Times -------------------------------------------------------------------- */

/* 'count' digits at '*at' as a number; false: there are fewer. */
static bool
digits(const char **at, unsigned count, unsigned *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *out = *out * 10 + (unsigned)(**at - '0');
    }
    return true;
}

/* "20261201T220000", with a Z, or "20261201". */
static bool
parse_time(const char *text, struct ics_time *out)
{
    unsigned year, month, day, hour = 0, minute = 0, second = 0;
    const char *at = text;

    if (!digits(&at, 4, &year) || !digits(&at, 2, &month) || !digits(&at, 2, &day)) {
        return false;
    }
    out->date = *at == '\0';
    if (!out->date) {
        if (*at++ != 'T' || !digits(&at, 2, &hour) || !digits(&at, 2, &minute) ||
            !digits(&at, 2, &second) || hour > 23 || minute > 59 || second > 59) {
            return false;
        }
        out->utc = *at == 'Z';
        at += out->utc;
    }
    snprintf(out->text, sizeof out->text, "%04u-%02u-%02u", year, month, day);
    if (*at != '\0' || !value_is_date(out->text)) {
        return false;
    }
    snprintf(out->text, sizeof out->text, "%04u-%02u-%02u %02u:%02u:%02u", year, month, day, hour,
             minute, second);
    return true;
}

static void
take_time(struct reader *r, const struct icsline *line, struct ics_time *out)
{
    const char *type = icsline_param(line, "VALUE"), *zone = icsline_param(line, "TZID");
    struct ics_time t = {.zone = zone};
    bool date = type && strcasecmp(type, "DATE") == 0;

    if (type && !date && strcasecmp(type, "DATE-TIME") != 0) {
        wrong(r, line, "VALUE=DATE or VALUE=DATE-TIME");
    } else if (!parse_time(line->value, &t) || t.date != date) {
        wrong(r, line,
              date ? "a date, such as 20261201"
                   : "a time, such as 20261201T220000Z, or VALUE=DATE and a date");
    } else if (zone && (t.utc || *zone == '\0')) {
        wrong(r, line, t.utc ? "no TZID where the time is in UTC" : "the name of a zone in TZID");
    } else {
        *out = t;
    }
}

/* A number of at most nine digits at '*at'. */
static bool
number(const char **at, uint32_t *out)
{
    size_t length = strspn(*at, "0123456789");
    unsigned value;

    if (length == 0 || length > 9) {
        return false;
    }
    digits(at, (unsigned)length, &value);
    *out = value;
    return true;
}

/* The parts of a duration in their order: "W" alone; "D"; behind a T "H", "M", "S", of
 * which none may be left out in the middle. */
static bool
parse_duration(const char *at, struct ics_event *e)
{
    static const char time_units[] = "HMS";
    static const uint32_t time_seconds[] = {3600, 60, 1};
    uint32_t value;
    int unit = -1;

    at += *at == '+';
    if (*at++ != 'P') {
        return false;
    }
    if (*at != 'T') {
        if (!number(&at, &value) || (*at != 'D' && *at != 'W') || value > 100000) {
            return false;
        }
        e->days = *at == 'W' ? value * 7 : value;
        if (*at++ == 'W' || *at == '\0') {
            return *at == '\0' && e->days > 0;
        }
    }
    if (*at++ != 'T') {
        return false;
    }
    do {
        const char *found = number(&at, &value) && *at ? strchr(time_units, *at) : NULL;
        int this_unit = found ? (int)(found - time_units) : -1;
        if (!found || (unit >= 0 && this_unit != unit + 1)) {
            return false;
        }
        unit = this_unit;
        e->seconds += (uint64_t)value * time_seconds[unit];
        at++;
    } while (*at);
    return e->days + e->seconds > 0 && e->seconds < UINT64_C(100000) * 86400;
}

/* --- Properties of an event ---------------------------------------------------- */

static void
take_sequence(struct reader *r, const struct icsline *line)
{
    uint64_t value;

    if (value_parse_unsigned(line->value, &value) && value <= INT32_MAX) {
        r->event->sequence = (uint32_t)value;
    } else {
        wrong(r, line, "a number from 0 to 2147483647");
    }
}

static void
take_object(struct reader *r, const struct icsline *line)
{
    const char *id = icsline_text(&r->lines, line);
    const char *impact = icsline_param(line, "X-MAINTNOTE-OBJECT-IMPACT");
    int value = ICS_NOT_GIVEN;

    if (impact && !find_word(impacts, impact, &value)) {
        wrong(r, line,
              "NO-IMPACT, REDUCED-REDUNDANCY, DEGRADED or OUTAGE in X-MAINTNOTE-OBJECT-IMPACT");
    } else if (id && *id == '\0') {
        wrong(r, line, "what the provider calls the circuit");
    } else if (id) {
        struct ics_object *o = pool_alloc(r->lines.pool, sizeof *o);
        *o = (struct ics_object){.id = id, .impact = (enum ics_impact)value};
        *r->last_object = o;
        r->last_object = &o->next;
        r->event->object_count++;
    }
}

static void
take_once(struct reader *r, const struct icsline *line, enum once which)
{
    struct ics_event *e = r->event;
    const char **const texts[ONCE] = {[UID] = &e->uid,
                                      [SUMMARY] = &e->summary,
                                      [PROVIDER] = &e->provider,
                                      [ACCOUNT] = &e->account,
                                      [MAINTENANCE_ID] = &e->maintenance_id};

    if (texts[which]) {
        *texts[which] = icsline_text(&r->lines, line);
    } else if (which == ORGANIZER) {
        e->organizer = line->value;
    } else if (which == SEQUENCE) {
        take_sequence(r, line);
    } else if (which == DTSTART) {
        e->start_at = line->value_at;
        take_time(r, line, &e->start);
    } else if (which == DTEND) {
        take_time(r, line, &e->end);
    } else if (which == STATUS) {
        r->status = take_word(r, line, event_states);
    } else if (which == MAINTNOTE_STATUS) {
        r->maintnote_status = take_word(r, line, maintnote_states);
    } else if (which == IMPACT) {
        int impact = take_word(r, line, impacts);
        e->impact = impact < 0 ? ICS_NOT_GIVEN : (enum ics_impact)impact;
    } else if (!parse_duration(line->value, e)) {
        wrong(r, line, "a duration over 0, such as PT2H or P1DT30M");
    }
}

static void
take_property(struct reader *r, const struct icsline *line)
{
    static const char *const names[ONCE] = {
        [UID] = "UID",
        [ORGANIZER] = "ORGANIZER",
        [SUMMARY] = "SUMMARY",
        [SEQUENCE] = "SEQUENCE",
        [DTSTART] = "DTSTART",
        [DTEND] = "DTEND",
        [DURATION] = "DURATION",
        [STATUS] = "STATUS",
        [PROVIDER] = "X-MAINTNOTE-PROVIDER",
        [ACCOUNT] = "X-MAINTNOTE-ACCOUNT",
        [MAINTENANCE_ID] = "X-MAINTNOTE-MAINTENANCE-ID",
        [IMPACT] = "X-MAINTNOTE-IMPACT",
        [MAINTNOTE_STATUS] = "X-MAINTNOTE-STATUS",
    };
    static const char *const recurring[] = {"RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"};

    if (strcmp(line->name, "X-MAINTNOTE-OBJECT-ID") == 0) {
        take_object(r, line);
        return;
    }
    for (size_t i = 0; i < sizeof recurring / sizeof recurring[0]; i++) {
        if (strcmp(line->name, recurring[i]) == 0) {
            fault_error(r->lines.faults, line->at,
                        "%s: expected an event for each window, none that recurs", line->name);
            return;
        }
    }
    for (unsigned i = 0; i < ONCE; i++) {
        if (strcmp(line->name, names[i]) != 0) {
            continue;
        }
        if (r->seen[i]) {
            fault_error(r->lines.faults, line->at, "expected one %s; the first is in line %u",
                        line->name, r->seen[i]);
            return;
        }
        r->seen[i] = line->at.line;
        take_once(r, line, (enum once)i);
        return;
    }
}

/* --- Components ------------------------------------------------------------------ */

static void
begin_event(struct reader *r, const struct icsline *line)
{
    r->event = pool_alloc(r->lines.pool, sizeof *r->event);
    r->event->at = line->at;
    r->last_object = &r->event->objects;
    memset(r->seen, 0, sizeof r->seen);
    r->status = r->maintnote_status = -1;
}

/* What only the whole event shows. */
static void
check_event(struct reader *r)
{
    struct ics_event *e = r->event;
    struct faults *f = r->lines.faults;

    if (!r->seen[UID] || (e->uid && *e->uid == '\0')) {
        fault_error(f, e->at, "expected a UID in this event");
    }
    if (!r->seen[DTSTART]) {
        fault_error(f, e->at, "expected a DTSTART in this event");
    } else if (r->seen[DTEND] && r->seen[DURATION]) {
        fault_error(f, e->at, "expected a DTEND or a DURATION, not both");
    } else if (r->seen[DTEND] && e->start.text[0] && e->end.text[0]) {
        /* Two local times are compared where the zones are known. */
        bool compared = (e->start.utc && e->end.utc) || e->start.date;
        if (e->start.date != e->end.date) {
            fault_error(f, e->start_at,
                        "expected DTSTART and DTEND both as dates, or both as times");
        } else if (compared && strcmp(e->start.text, e->end.text) >= 0) {
            fault_error(f, e->start_at, "expected DTSTART before DTEND");
        }
    } else if (!r->seen[DTEND] && !r->seen[DURATION] && e->start.text[0]) {
        if (e->start.date) {
            e->days = 1;
        } else {
            fault_error(f, e->at, "expected a DTEND or a DURATION in this event");
        }
    } else if (r->seen[DURATION] && e->start.date && e->seconds) {
        fault_error(f, e->start_at, "expected a DURATION of days behind a date");
    }
}

static void
end_event(struct reader *r)
{
    struct ics_event *e = r->event;

    check_event(r);
    e->status = r->maintnote_status >= 0 ? (enum ics_status)r->maintnote_status
                : r->status >= 0         ? (enum ics_status)r->status
                                         : ICS_CONFIRMED;
    r->event = NULL;
    if (r->out->count == ICS_EVENTS_MAX) {
        fault_error(r->lines.faults, e->at, "expected at most %u events", ICS_EVENTS_MAX);
        return;
    }
    *r->last_event = e;
    r->last_event = &e->next;
    r->calendar_first = r->calendar_first ? r->calendar_first : e;
    r->out->count++;
}

static bool
begin(struct reader *r, const struct icsline *line)
{
    if (r->depth == ICS_DEPTH_MAX) {
        fault_error(r->lines.faults, line->at, "expected at most %u components in one another",
                    ICS_DEPTH_MAX);
        return false;
    }
    bool calendar = strcasecmp(line->value, "VCALENDAR") == 0;
    if (calendar != (r->depth == 0)) {
        fault_error(r->lines.faults, line->value_at, "BEGIN: expected %s",
                    calendar ? "END:VCALENDAR before another calendar" : "VCALENDAR around all");
        return false;
    }
    r->calendars += calendar;
    r->stack[r->depth++] = line->value;
    if (r->depth == 2 && strcasecmp(line->value, "VEVENT") == 0) {
        begin_event(r, line);
    }
    return true;
}

static bool
end(struct reader *r, const struct icsline *line)
{
    if (r->depth == 0 || strcasecmp(r->stack[r->depth - 1], line->value) != 0) {
        fault_error(r->lines.faults, line->value_at, "END: expected %s",
                    r->depth ? r->stack[r->depth - 1] : "a BEGIN before it");
        return false;
    }
    if (r->depth == 2 && r->event) {
        end_event(r);
    }
    r->depth--;
    if (r->depth == 0) {
        for (struct ics_event *e = r->calendar_first; r->cancels && e; e = e->next) {
            e->status = ICS_CANCELLED;
        }
        r->cancels = false;
        r->calendar_first = NULL;
    }
    return true;
}

static void
take_method(struct reader *r, const struct icsline *line)
{
    static const struct word methods[] = {
        {"PUBLISH", false}, {"REQUEST", false}, {"CANCEL", true}, {NULL, 0}};
    int cancels = take_word(r, line, methods);

    r->cancels = r->cancels || cancels == 1;
}

/* False: what follows cannot be understood any more. */
static bool
take_line(struct reader *r, const struct icsline *line)
{
    if (strcmp(line->name, "BEGIN") == 0) {
        return begin(r, line);
    }
    if (strcmp(line->name, "END") == 0) {
        return end(r, line);
    }
    if (r->depth == 0) {
        fault_error(r->lines.faults, line->at, "expected BEGIN:VCALENDAR");
        return false;
    }
    if (r->depth == 2 && r->event) {
        take_property(r, line);
    } else if (r->depth == 1 && strcmp(line->name, "METHOD") == 0) {
        take_method(r, line);
    }
    return true;
}

int
ics_read(struct faults *faults, struct pool *pool, const char *name, const char *bytes, size_t size,
         struct ics_calendar *out)
{
    struct reader r = {.out = out, .last_event = &out->events};
    struct icsline line = {.name = NULL};
    bool good = true;

    *out = (struct ics_calendar){.events = NULL};
    if (size > ICS_SIZE_MAX) {
        const struct fault_file *file = faults_file(faults, name, "", 0);
        fault_error(faults, (struct place){.file = file}, "expected at most %u bytes",
                    ICS_SIZE_MAX);
        return -EINVAL;
    }
    r.lines = icsline_reader_of(faults, pool, name, bytes, size);
    while (good && icsline_next(&r.lines, &line)) {
        good = take_line(&r, &line);
    }
    struct place last = {
        .file = r.lines.file, .line = r.lines.line - (r.lines.line > 1), .column = 1};
    if (good && r.depth) {
        fault_error(faults, last, "expected END:%s before the end of the file",
                    r.stack[r.depth - 1]);
    } else if (good && r.calendars == 0 && faults_errors(faults) == 0) {
        fault_error(faults, (struct place){.file = r.lines.file}, "expected BEGIN:VCALENDAR");
    }
    if (faults_errors(faults)) {
        *out = (struct ics_calendar){.events = NULL};
        return -EINVAL;
    }
    return 0;
}

/* --- Names ------------------------------------------------------------------------ */

const char *
ics_impact_name(enum ics_impact impact)
{
    return impact == ICS_NO_IMPACT            ? "none"
           : impact == ICS_REDUCED_REDUNDANCY ? "reduced"
           : impact == ICS_DEGRADED           ? "degraded"
                                              : "outage";
}

const char *
ics_status_name(enum ics_status status)
{
    static const char *const names[] = {[ICS_CONFIRMED] = "confirmed",
                                        [ICS_TENTATIVE] = "tentative",
                                        [ICS_CANCELLED] = "cancelled",
                                        [ICS_IN_PROCESS] = "in-process",
                                        [ICS_COMPLETED] = "completed"};
    return names[status];
}

static enum ics_impact
given(enum ics_impact impact)
{
    return impact == ICS_NOT_GIVEN ? ICS_OUTAGE : impact;
}

enum ics_impact
ics_event_impact(const struct ics_event *e)
{
    enum ics_impact worst = ICS_NOT_GIVEN;

    for (const struct ics_object *o = e->objects; o; o = o->next) {
        enum ics_impact impact = given(o->impact == ICS_NOT_GIVEN ? e->impact : o->impact);
        worst = impact > worst ? impact : worst;
    }
    return worst == ICS_NOT_GIVEN ? given(e->impact) : worst;
}
