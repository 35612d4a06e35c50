/* ics.h - maintenance out of a calendar: iCalendar (RFC 5545) as carriers send it, with the
 * X-MAINTNOTE properties of the BCOP maintenance notification standard.
 *
 * After icsline.h, before maintenance.c, which writes it to PostgreSQL.  Does no I/O and
 * knows no time zones: a local time stays one, with its zone's name.  Bytes from outside:
 * strict, bounded, each error with its line and what was expected; a file with an error
 * gives no event. */
#ifndef PLUMBLINE_ICS_H
#define PLUMBLINE_ICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "pool.h"

#define ICS_SIZE_MAX (1u << 20)
#define ICS_EVENTS_MAX 10000u
#define ICS_DEPTH_MAX 8u

enum ics_impact { ICS_NOT_GIVEN, ICS_NO_IMPACT, ICS_REDUCED_REDUNDANCY, ICS_DEGRADED, ICS_OUTAGE };

enum ics_status { ICS_CONFIRMED, ICS_TENTATIVE, ICS_CANCELLED, ICS_IN_PROCESS, ICS_COMPLETED };

struct ics_time {
    char text[24];    /* "2026-12-01 22:00:00"; "": not given. */
    bool utc;         /* Else local in 'zone'. */
    bool date;        /* A day: 'text' is its midnight. */
    const char *zone; /* As TZID names it; NULL: UTC, or none was named. */
};

/* A circuit or whatever else the provider calls its object. */
struct ics_object {
    const char *id;
    enum ics_impact impact; /* On this object; ICS_NOT_GIVEN: as the event says. */
    struct ics_object *next;
};

struct ics_event {
    struct place at;       /* Its BEGIN. */
    const char *uid;       /* Never NULL. */
    const char *organizer; /* A URI, mostly "mailto:..."; NULL: not given, as the rest. */
    const char *summary;
    const char *provider, *account, *maintenance_id; /* X-MAINTNOTE- */
    struct ics_object *objects;                      /* As they came. */
    size_t object_count;
    enum ics_impact impact;
    enum ics_status status; /* X-MAINTNOTE-STATUS before STATUS; METHOD:CANCEL before both. */
    uint32_t sequence;      /* 0: not given. */
    struct place start_at;  /* Where its DTSTART is. */
    struct ics_time start, end;
    /* If 'end' is not given, it is so many days, nominal, and seconds behind 'start'. */
    uint32_t days;
    uint64_t seconds;
    struct ics_event *next;
};

struct ics_calendar {
    struct ics_event *events; /* As they came. */
    size_t count;
};

/* Reads 'size' bytes of the file 'name'.  Events are out of 'pool', their places point into
 * 'faults'.  0; -EINVAL: 'faults' has the errors, '*out' is empty. */
int ics_read(struct faults *faults, struct pool *pool, const char *name, const char *bytes,
             size_t size, struct ics_calendar *out);

/* Names as the database has them: "none", "reduced", "degraded", "outage" (also of what is
 * not given); "confirmed", "in-process" ... */
const char *ics_impact_name(enum ics_impact impact);
const char *ics_status_name(enum ics_status status);

/* The worst that the event does to any of its objects. */
enum ics_impact ics_event_impact(const struct ics_event *e);

#endif
