/* ics_print.h - events of maintenance as a calendar again: what was read prints as what
 * reads as the same. */
#ifndef PLUMBLINE_TEST_ICS_PRINT_H
#define PLUMBLINE_TEST_ICS_PRINT_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ics.h"

/* A content line folded after each 'fold' octets; 0: not at all. */
static inline void
ics_put_line(FILE *to, const char *line, unsigned fold)
{
    for (size_t i = 0; line[i]; i++) {
        if (fold && i && i % fold == 0) {
            fputs("\r\n ", to);
        }
        fputc(line[i], to);
    }
    fputs("\r\n", to);
}

/* NAME:value with the value as a text. */
static inline void
ics_put_text(FILE *to, const char *name, const char *text, unsigned fold)
{
    char line[70000];
    size_t n = 0;

    if (!text) {
        return;
    }
    n += (size_t)snprintf(line, sizeof line, "%s:", name);
    for (; *text && n + 4 < sizeof line; text++) {
        if (strchr("\\;,\n", *text)) {
            line[n++] = '\\';
        }
        line[n++] = *text == '\n' ? 'n' : *text;
    }
    line[n] = '\0';
    ics_put_line(to, line, fold);
}

static inline void
ics_put_time(FILE *to, const char *name, const struct ics_time *t, unsigned fold)
{
    char line[70000], digits[24];
    size_t n = 0;

    if (!t->text[0]) {
        return;
    }
    for (const char *p = t->text; *p; p++) {
        if (*p != '-' && *p != ':' && !(t->date && n == 8)) {
            digits[n++] = *p == ' ' ? 'T' : *p;
        }
    }
    digits[n] = '\0';
    /* A zone that was not in quotes may not need them, and stands in them as well. */
    snprintf(line, sizeof line, "%s%s%s%s%s:%s%s", name, t->date ? ";VALUE=DATE" : "",
             t->zone ? ";TZID=\"" : "", t->zone ? t->zone : "", t->zone ? "\"" : "", digits,
             t->utc ? "Z" : "");
    ics_put_line(to, line, fold);
}

static inline void
ics_put_event(FILE *to, const struct ics_event *e, unsigned fold)
{
    static const char *const impacts[] = {NULL, "NO-IMPACT", "REDUCED-REDUNDANCY", "DEGRADED",
                                          "OUTAGE"};
    static const char *const states[] = {"CONFIRMED", "TENTATIVE", "CANCELLED", "IN-PROCESS",
                                         "COMPLETED"};
    char line[128];

    ics_put_line(to, "BEGIN:VEVENT", 0);
    ics_put_text(to, "UID", e->uid, fold);
    if (e->organizer) {
        fprintf(to, "ORGANIZER:%s\r\n", e->organizer);
    }
    ics_put_text(to, "SUMMARY", e->summary, fold);
    ics_put_text(to, "X-MAINTNOTE-PROVIDER", e->provider, fold);
    ics_put_text(to, "X-MAINTNOTE-ACCOUNT", e->account, fold);
    ics_put_text(to, "X-MAINTNOTE-MAINTENANCE-ID", e->maintenance_id, fold);
    for (const struct ics_object *o = e->objects; o; o = o->next) {
        snprintf(line, sizeof line, "X-MAINTNOTE-OBJECT-ID%s%s",
                 o->impact ? ";X-MAINTNOTE-OBJECT-IMPACT=" : "",
                 o->impact ? impacts[o->impact] : "");
        ics_put_text(to, line, o->id, fold);
    }
    if (e->impact) {
        fprintf(to, "X-MAINTNOTE-IMPACT:%s\r\n", impacts[e->impact]);
    }
    fprintf(to, "X-MAINTNOTE-STATUS:%s\r\nSEQUENCE:%" PRIu32 "\r\n", states[e->status],
            e->sequence);
    ics_put_time(to, "DTSTART", &e->start, fold);
    ics_put_time(to, "DTEND", &e->end, fold);
    if (!e->end.text[0] && e->seconds) {
        fprintf(to, "DURATION:P%" PRIu32 "DT%" PRIu64 "H%" PRIu64 "M%" PRIu64 "S\r\n", e->days,
                e->seconds / 3600, e->seconds / 60 % 60, e->seconds % 60);
    } else if (!e->end.text[0]) {
        fprintf(to, "DURATION:P%" PRIu32 "D\r\n", e->days);
    }
    ics_put_line(to, "END:VEVENT", 0);
}

static inline void
ics_put(FILE *to, const struct ics_calendar *c, unsigned fold)
{
    ics_put_line(to, "BEGIN:VCALENDAR", 0);
    for (const struct ics_event *e = c->events; e; e = e->next) {
        ics_put_event(to, e, fold);
    }
    ics_put_line(to, "END:VCALENDAR", 0);
}

#endif
