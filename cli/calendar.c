/* calendar.c - `plumbline maintenance import`. */
#include "calendar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "fault.h"
#include "file.h"
#include "ics.h"
#include "pg.h"
#include "pool.h"

#define SHOWN_MAX 50u
#define UNKNOWN_ZONE "22023"

struct import {
    struct window_options *o;
    PGconn *conn;
    const char *path;
    struct ics_calendar calendar;
    cJSON *events;  /* What became of each. */
    int left, good; /* Events that are not in force as they stand there; that are. */
    int unmatched;  /* Object ids. */
};

/* --- One event -------------------------------------------------------------------- */

/* The ids that it does something to, as JSON; what it does nothing to is left out where
 * others of the event are hit. */
static char *
circuits_of(const struct ics_event *e)
{
    cJSON *list = cJSON_CreateArray();
    enum ics_impact worst = ics_event_impact(e);

    for (const struct ics_object *o = e->objects; o; o = o->next) {
        enum ics_impact impact = o->impact == ICS_NOT_GIVEN ? e->impact : o->impact;
        if (impact != ICS_NO_IMPACT || worst == ICS_NO_IMPACT) {
            cJSON *one = cJSON_CreateObject();
            cJSON_AddStringToObject(one, "kind", "circuit");
            cJSON_AddStringToObject(one, "key", o->id);
            cJSON_AddItemToArray(list, one);
        }
    }
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

/* The zone in which its time is; NULL after it was told that none is known. */
static const char *
zone_of(const struct import *im, const struct ics_event *e, const struct ics_time *t)
{
    const char *zone = t->utc ? "UTC" : t->zone ? t->zone : im->o->timezone;

    if (!zone) {
        fprintf(stderr,
                "%s:%u: error: this time has no zone: expected a Z, a TZID, or the option "
                "--timezone Europe/Paris\n",
                im->path, e->start_at.line);
    }
    return zone;
}

/* Both ends as the server makes instants of them, into 'times'.  EXIT_BAD: the event cannot
 * be had, which was told. */
static int
resolve(const struct import *im, const struct ics_event *e, char times[2][48])
{
    char days[16], seconds[24];
    bool has_end = e->end.text[0] != '\0';
    const char *zone = zone_of(im, e, &e->start);
    const char *end_zone = has_end && zone ? zone_of(im, e, &e->end) : zone;
    const char *values[] = {e->start.text, zone, has_end ? e->end.text : e->start.text,
                            end_zone,      days, seconds};

    if (!zone || !end_zone) {
        return EXIT_BAD;
    }
    snprintf(days, sizeof days, "%" PRIu32, has_end ? 0 : e->days);
    snprintf(seconds, sizeof seconds, "%" PRIu64, has_end ? 0 : e->seconds);
    PGresult *r = pg_call(im->conn,
                          "SELECT $1::timestamp AT TIME ZONE $2, "
                          "($3::timestamp + make_interval(days => $5::integer)) AT TIME ZONE $4 "
                          "+ make_interval(secs => $6::float8)",
                          6, values);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        if (state && strcmp(state, UNKNOWN_ZONE) == 0) {
            fprintf(stderr,
                    "%s:%u: error: expected a time zone that PostgreSQL knows, such as "
                    "Europe/Paris, not '%s'\n",
                    im->path, e->start_at.line, e->start.zone ? e->start.zone : end_zone);
            PQclear(r);
            return EXIT_BAD;
        }
        return window_failed(im->o, im->conn, r);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(times[i], 48, "%s", PQgetvalue(r, 0, i));
    }
    PQclear(r);
    return EXIT_GOOD;
}

/* The event as a row of the table. */
static char *
row_of(const struct import *im, const struct ics_event *e, char times[2][48])
{
    cJSON *row = cJSON_CreateObject();
    enum ics_impact impact = ics_event_impact(e);
    bool counts = impact != ICS_NO_IMPACT && e->status != ICS_TENTATIVE;

    cJSON_AddStringToObject(row, "label", e->summary ? e->summary : "");
    cJSON_AddStringToObject(row, "start_at", times[0]);
    cJSON_AddStringToObject(row, "end_at", times[1]);
    cJSON_AddStringToObject(row, "impact", ics_impact_name(impact));
    cJSON_AddBoolToObject(row, "suppress_alerts", counts && !im->o->no_suppress);
    cJSON_AddBoolToObject(row, "exclude_from_sla", counts && !im->o->no_exclude);
    cJSON_AddStringToObject(row, "organiser",
                            e->provider    ? e->provider
                            : e->organizer ? e->organizer
                                           : "");
    cJSON_AddStringToObject(row, "external_id", e->uid);
    cJSON_AddNumberToObject(row, "sequence", e->sequence);
    if (im->o->override) {
        cJSON_AddStringToObject(row, "override", im->o->override);
    }
    cJSON_AddStringToObject(row, "author", im->o->author);
    char *text = cJSON_PrintUnformatted(row);
    cJSON_Delete(row);
    return text;
}

static const char *
outcome_text(const char *outcome)
{
    static const char *const texts[][2] = {
        {"added", "added"},
        {"replaced", "replaced by this SEQUENCE"},
        {"extended", "extended to circuits that the inventory has now"},
        {"same", "the same as before"},
        {"nothing", "cancelled, and was never recorded"},
        {"old", "refused: a greater SEQUENCE is recorded"},
        {"differs", "refused: other content under the same SEQUENCE"},
        {"unmatched", "not recorded: no link has such a circuit"},
        {"refused", "refused"},
        {"unreadable", "not recorded: its time is not known"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i][0], outcome) == 0) {
            return texts[i][1];
        }
    }
    return outcome;
}

static bool
is_good(const char *outcome)
{
    return strcmp(outcome, "added") == 0 || strcmp(outcome, "replaced") == 0 ||
           strcmp(outcome, "extended") == 0 || strcmp(outcome, "same") == 0 ||
           strcmp(outcome, "nothing") == 0;
}

/* Notes what became of it; 'r' is maintenance_import()'s row, or NULL. */
static void
note(struct import *im, const struct ics_event *e, const char *outcome, const PGresult *r)
{
    cJSON *one = cJSON_CreateObject(), *id;
    char shown[200];

    cJSON_AddStringToObject(one, "uid", e->uid);
    cJSON_AddNumberToObject(one, "line", e->at.line);
    cJSON_AddNumberToObject(one, "sequence", e->sequence);
    cJSON_AddStringToObject(one, "outcome", outcome);
    if (r && !PQgetisnull(r, 0, 1)) {
        cJSON_AddNumberToObject(one, "id", atof(PQgetvalue(r, 0, 1)));
        cJSON_AddNumberToObject(one, "revision", atoi(PQgetvalue(r, 0, 2)));
    }
    cJSON *unmatched = r ? cJSON_Parse(PQgetvalue(r, 0, 3)) : NULL;
    cJSON_AddItemToObject(one, "unmatched", unmatched ? unmatched : cJSON_CreateArray());
    cJSON_AddItemToArray(im->events, one);
    *(is_good(outcome) ? &im->good : &im->left) += 1;
    if (!im->o->json) {
        printf("%s:%u: %s: %s", im->path, e->at.line, window_shown(e->uid, shown, sizeof shown),
               outcome_text(outcome));
        if (r && !PQgetisnull(r, 0, 1)) {
            printf(" (%s.%s)", PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
        }
        putchar('\n');
    }
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(one, "unmatched"))
    {
        fprintf(stderr, "%s:%u: no link has the label circuit: %s\n", im->path, e->at.line,
                window_shown(cJSON_IsString(id) ? id->valuestring : "", shown, sizeof shown));
        im->unmatched++;
    }
}

static int
import_event(struct import *im, const struct ics_event *e)
{
    char times[2][48];
    int status = resolve(im, e, times);

    if (status != EXIT_GOOD) {
        if (status == EXIT_BAD) {
            note(im, e, "unreadable", NULL);
        }
        return status;
    }
    char *row = row_of(im, e, times), *circuits = circuits_of(e);
    const char *values[] = {row, circuits, ics_status_name(e->status)};
    PGresult *r = pg_call(im->conn,
                          "SELECT outcome, id, revision, to_jsonb(unmatched) FROM "
                          "plumbline_store.maintenance_import(jsonb_populate_record("
                          "NULL::plumbline_store.maintenance, $1::jsonb), $2::jsonb, $3)",
                          3, values);
    cJSON_free(row);
    cJSON_free(circuits);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        note(im, e, PQgetvalue(r, 0, 0), r);
        PQclear(r);
        return EXIT_GOOD;
    }
    status = window_failed(im->o, im->conn, r);
    if (status == EXIT_USAGE) {
        note(im, e, "refused", NULL);
        status = EXIT_BAD;
    }
    return status;
}

/* --- The file ---------------------------------------------------------------------- */

static int
import_all(struct window_options *o, PGconn *conn)
{
    struct import *im = o->aux;

    im->conn = conn;
    for (const struct ics_event *e = im->calendar.events; e; e = e->next) {
        int status = import_event(im, e);
        if (status == EXIT_UNAVAILABLE) {
            return status;
        }
    }
    if (o->json) {
        cJSON *answer = cJSON_CreateObject();
        cJSON_AddNumberToObject(answer, "good", im->good);
        cJSON_AddNumberToObject(answer, "left", im->left);
        cJSON_AddNumberToObject(answer, "unmatched", im->unmatched);
        cJSON_AddItemToObject(answer, "events", cJSON_Duplicate(im->events, true));
        window_print_json(answer);
    } else {
        printf("%d of %zu events are recorded; %d object ids match no link\n", im->good,
               im->calendar.count, im->unmatched);
    }
    return im->left || im->unmatched ? EXIT_BAD : EXIT_GOOD;
}

int
calendar_import(struct window_options *o)
{
    struct import im = {.o = o, .path = o->name_count == 1 ? o->names[0] : NULL};
    size_t size;

    if (!im.path) {
        fprintf(stderr, "%s: one file is needed; `plumbline maintenance --help` has examples\n",
                o->verb);
        return EXIT_USAGE;
    }
    char *bytes = file_read(im.path, ICS_SIZE_MAX, &size);
    if (!bytes) {
        fprintf(stderr, "%s: %s: %s\n", o->verb, im.path,
                errno == EFBIG ? "larger than 1 MiB" : strerror(errno));
        return errno == EFBIG ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    struct faults *faults = faults_new();
    struct pool *pool = pool_new();
    int status = EXIT_USAGE;
    if (ics_read(faults, pool, im.path, bytes, size, &im.calendar)) {
        faults_print(faults, stderr, SHOWN_MAX);
        fprintf(stderr, "%s: %s: nothing was imported\n", o->verb, im.path);
    } else {
        im.events = cJSON_CreateArray();
        o->aux = &im;
        status = window_run(o, import_all);
    }
    cJSON_Delete(im.events);
    pool_free(pool);
    faults_free(faults);
    free(bytes);
    return status;
}
