/* fuzz_ics.c - any bytes as a calendar: refused with a reason, or events that print as a
 * calendar which reads as the same, however its lines are folded. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "ics.h"
#include "ics_print.h"
#include "pool.h"

/* ics_print.h has lines of fixed size. */
#define SIZE_MAX_HERE 30000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_ics: %s\n", what);
        abort();
    }
}

static char *
printed(const struct ics_calendar *c, unsigned fold, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    must(to != NULL, "no memory");
    ics_put(to, c, fold);
    fclose(to);
    return text;
}

/* Folded anywhere, also inside of a character, it is the same. */
static void
check_again(const struct ics_calendar *c, unsigned fold)
{
    struct faults *faults = faults_new();
    struct pool *pool = pool_new();
    struct ics_calendar again;
    size_t size, plain_size, again_size;
    char *plain = printed(c, 0, &plain_size), *text = printed(c, fold, &size);

    must(ics_read(faults, pool, "again", text, size, &again) == 0, "what it prints is refused");
    must(again.count == c->count, "another number of events");
    char *again_text = printed(&again, 0, &again_size);
    must(plain_size == again_size && memcmp(plain, again_text, plain_size) == 0,
         "another calendar");
    free(plain);
    free(text);
    free(again_text);
    pool_free(pool);
    faults_free(faults);
}

static void
check_event(const struct ics_event *e)
{
    must(e->uid && *e->uid && e->start.text[0], "an event without what it needs");
    must(e->end.text[0] || e->days + e->seconds > 0, "an event without an end");
    must(!e->start.utc || !e->start.zone, "a time in UTC, and in a zone");
    must(ics_event_impact(e) != ICS_NOT_GIVEN, "an event of no impact at all");
    must(*ics_status_name(e->status) && *ics_impact_name(e->impact), "no name");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faults *faults = faults_new();
    struct pool *pool = pool_new();
    struct ics_calendar c;
    char *told = NULL;
    size_t told_size;
    int err = ics_read(faults, pool, "input", (const char *)data, size, &c);
    FILE *to = open_memstream(&told, &told_size);

    must(to != NULL, "no memory");
    faults_print(faults, to, 20);
    fclose(to);
    must((err == 0) == (faults_errors(faults) == 0),
         "refused without a reason, or accepted with one");
    must(err == 0 || c.count == 0, "an error and events");
    for (const struct ics_event *e = c.events; e; e = e->next) {
        check_event(e);
    }
    if (!err && size <= SIZE_MAX_HERE) {
        check_again(&c, size ? data[size - 1] % 80u : 0);
    }
    free(told);
    pool_free(pool);
    faults_free(faults);
    return 0;
}
