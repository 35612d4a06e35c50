/* judged_rows.c - what measured.h makes of stored rows, for a test to lay beside what SQL makes of
 * them (sql/0007-witness.sql).
 *
 * Standard input: a line a row, parted by tabs, those of one interval and way together: object,
 * direction, start in s, flow, 1 for the second end's, 1 for a clean one, its count of delays, dt
 * in hexadecimal.  Standard output: a line a delta-t: object, direction, start in s, 1 if it is
 * known, sent, lost, 1 if some figure is the witness's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measured.h"

#define DTS 60
#define ROWS_MAX 16
#define FIELDS 8

static char *kept[ROWS_MAX]; /* dt columns that measured borrows. */
static size_t kept_count;

static size_t
hex_decode(char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i + 1 < length; i += 2) {
        const char pair[3] = {text[i], text[i + 1], '\0'};
        text[i / 2] = (char)strtoul(pair, NULL, 16);
    }
    return length / 2;
}

static int
end_interval(struct measured *m, const char *object, const char *direction, long start)
{
    if (measured_end(m)) {
        return 1;
    }
    for (long k = 0; k < DTS; k++) {
        const struct measured_dt *d = &measured_dts(m)[k];
        printf("%s\t%s\t%ld\t%d\t%llu\t%llu\t%d\n", object, direction, start + k,
               !(d->flags & MEASURED_UNDETERMINED), (unsigned long long)d->sent,
               (unsigned long long)d->lost, (d->flags & MEASURED_WITNESS) != 0);
    }
    while (kept_count) {
        free(kept[--kept_count]);
    }
    return 0;
}

static int
add_row(struct measured *m, char *field[FIELDS])
{
    if (kept_count == ROWS_MAX) {
        return 1;
    }
    char *dt = kept[kept_count++] = strdup(field[7]);
    const struct measured_row row = {.flow = (uint16_t)atoi(field[3]),
                                     .witness = field[4][0] == '1',
                                     .clean = field[5][0] == '1',
                                     .delay_count = strtoull(field[6], NULL, 10),
                                     .clock_error_ns = UINT64_MAX,
                                     .dt = (uint8_t *)dt,
                                     .dt_size = hex_decode(dt)};
    return measured_add(m, &row) != 0;
}

int
main(void)
{
    static char line[1 << 20], object[64], direction[8];
    struct measured *m = measured_new();
    long start = -1;
    int failed = m == NULL;

    while (!failed && fgets(line, sizeof line, stdin)) {
        char *field[FIELDS] = {0}, *rest = line;
        for (int i = 0; i < FIELDS && rest; i++) {
            field[i] = strsep(&rest, "\t\n");
        }
        if (!field[FIELDS - 1]) {
            failed = 1;
            break;
        }
        if (start != atol(field[2]) || strcmp(object, field[0]) || strcmp(direction, field[1])) {
            failed = start >= 0 && end_interval(m, object, direction, start);
            start = atol(field[2]);
            snprintf(object, sizeof object, "%s", field[0]);
            snprintf(direction, sizeof direction, "%s", field[1]);
            measured_begin(m, DTS);
        }
        failed = failed || add_row(m, field);
    }
    failed = failed || start < 0 || end_interval(m, object, direction, start);
    measured_free(m);
    if (failed) {
        fprintf(stderr, "judged_rows: rows that are none, or none at all\n");
    }
    return failed;
}
