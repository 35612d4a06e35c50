/* problem.c - problems as the operator's commands are asked for them, read and show them. */
#include "problem.h"

#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "log.h"
#include "nstime.h"
#include "pg.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- Options ------------------------------------------------------------------- */

static const char *const texts[] = {"config", "postgresql", "since",   "until",
                                    "note",   "author",     "timeout", "limit"};
static const char *const flags[] = {"all", "check", "json", "help"};

static const char **
text_of(struct problem_options *o, const char *name)
{
    const char **const at[] = {
        &o->judged.config, &o->judged.postgresql, &o->since, &o->until, &o->note,
        &o->author,        &o->timeout,           &o->limit,
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (strcmp(texts[i], name) == 0) {
            return at[i];
        }
    }
    return NULL;
}

static bool
is_among(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = list; (at = strstr(at, name)); at += length) {
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static void
name_user(struct problem_options *o)
{
    const struct passwd *user = getpwuid(geteuid());

    snprintf(o->user, sizeof o->user, "%s", user ? user->pw_name : "unknown");
    o->author = o->author ? o->author : o->user;
}

int
problem_parse(struct problem_options *o, const char *accepted, const char *help, int argc,
              char **argv)
{
    struct option options[COUNT(texts) + COUNT(flags) + 1] = {{.name = NULL}};
    bool wants_help = false;
    size_t count = 0;
    int index, c;

    for (size_t i = 0; i < COUNT(texts) + COUNT(flags); i++) {
        bool text = i < COUNT(texts);
        const char *name = text ? texts[i] : flags[i - COUNT(texts)];
        if (is_among("config postgresql json help", name) || is_among(accepted, name)) {
            options[count++] =
                (struct option){name, text ? required_argument : no_argument, NULL, 'x'};
        }
    }
    log_set_level(LOG_LEVEL_ERROR);
    o->judged.config = DEFAULT_CONFIG;
    while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (c != 'x') {
            fprintf(stderr, "`plumbline %s --help` shows the options\n", o->judged.verb);
            return EXIT_USAGE;
        }
        const char *name = options[index].name, **text = text_of(o, name);
        bool *flag = strcmp(name, "all") == 0     ? &o->all
                     : strcmp(name, "check") == 0 ? &o->check
                     : strcmp(name, "json") == 0  ? &o->json
                                                  : &wants_help;
        if (text) {
            *text = optarg;
        } else {
            *flag = true;
        }
    }
    if (wants_help) {
        fputs(help, stdout);
        return -1;
    }
    o->names = argv + optind;
    o->name_count = argc - optind;
    name_user(o);
    return EXIT_GOOD;
}

int
problem_named(const struct problem_options *o, char number[24], char key[64])
{
    const char *text = o->name_count == 1 ? o->names[0] : "";
    const char *dash = strrchr(text, '-'), *digits = dash ? dash + 1 : text;
    uint64_t value;

    if (!value_parse_unsigned(digits, &value) || value > INT64_MAX || strlen(text) >= 64) {
        fprintf(stderr,
                "plumbline %s: one problem is needed, as `plumbline problems` shows it (17); "
                "`plumbline %s --help` has examples\n",
                o->judged.verb, o->judged.verb);
        return EXIT_USAGE;
    }
    snprintf(number, 24, "%" PRIu64, value);
    snprintf(key, 64, "%s", dash ? text : "");
    return EXIT_GOOD;
}

int
problem_time(const struct problem_options *o, const char *name, const char *value, bool ahead,
             char text[40])
{
    const char *span_text = value[0] == '+' ? value + 1 : value;
    struct instant now = instant_now(), at;
    struct span span;

    if (value_parse_span(span_text, &span) && span.ns <= now.ns) {
        at = instant_add(now, span_of_ns(ahead ? span.ns : -span.ns));
    } else if (!value_parse_instant(value, &at)) {
        fprintf(stderr,
                "plumbline %s: --%s '%s': expected a time %s, such as 8h or 7d, or one with its "
                "zone, such as 2026-12-01T22:00:00Z\n",
                o->judged.verb, name, value, ahead ? "from now on" : "back from now");
        return EXIT_USAGE;
    }
    instant_format(at, 6, text, 40);
    return EXIT_GOOD;
}

int
problem_limit(const struct problem_options *o, const char **limit)
{
    uint64_t number;

    if (!value_parse_unsigned(o->limit, &number) || number > INT32_MAX) {
        fprintf(stderr, "plumbline %s: --limit %s: expected a number of lines; 0: all\n",
                o->judged.verb, o->limit);
        return EXIT_USAGE;
    }
    *limit = number ? o->limit : NULL;
    return EXIT_GOOD;
}

/* --- Reading ------------------------------------------------------------------- */

const char problem_columns[] =
    "p.id, p.key, p.state, p.severity, p.what, p.cause_kind, p.cause, p.cause_label, p.title, "
    /* */ JUDGED_UTC("p.began") " AS began, " JUDGED_UTC(
        "p.ended") " AS ended, "
                   "extract(epoch FROM coalesce(p.ended, now()) - p.began)::bigint AS lasted_s, "
                   "extract(epoch FROM now() - p.began)::bigint AS age_s, "
    /* */ JUDGED_UTC("p.opened_at") " AS opened_at, " JUDGED_UTC(
        "p.closed_at") " AS closed_at, "
                       "p.held, p.revision, p.reopened, p.merged_into, p.flaps, p.flapping, "
                       "to_jsonb(p.links) AS links, to_jsonb(p.links_bad) AS links_bad, "
                       "to_jsonb(p.probes) AS probes, "
                       "to_jsonb(p.groups) AS groups, to_jsonb(p.services) AS services, "
                       "to_jsonb(p.services_bad) AS services_bad, to_jsonb(p.tenants) AS tenants, "
    /* */ JUDGED_UTC("p.acknowledged_at") " AS acknowledged_at, p.acknowledged_by, "
    /* */ JUDGED_UTC("p.acknowledged_until") " AS acknowledged_until, p.acknowledged_note, "
                                             "p.tickets";

struct problem_tally
problem_tally_read(PGconn *conn)
{
    PGresult *r = pg_call(conn,
                          "SELECT (SELECT count(*) FROM plumbline.v_problem WHERE state = 'open'), "
                          "(SELECT count(*) FROM plumbline.v_problem WHERE state = 'open' "
                          "AND acknowledged_by IS NULL), "
                          "(SELECT count(*) FROM plumbline.v_hook WHERE state IN ('failing', "
                          "'disabled') OR dead > 0)",
                          0, NULL);
    struct problem_tally t = {.known = PQresultStatus(r) == PGRES_TUPLES_OK};

    if (t.known) {
        t.open = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
        t.unacknowledged = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
        t.hooks_amiss = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
    }
    PQclear(r);
    return t;
}

void
problem_tally_print(const struct problem_tally *t)
{
    if (t->open) {
        printf("\nopen problems: %" PRId64 ", of which nobody has %" PRId64
               " (plumbline problems)\n",
               t->open, t->unacknowledged);
    }
    if (t->hooks_amiss) {
        printf("%shooks that fail, or have messages that were given up: %" PRId64
               " (plumbline hooks)\n",
               t->open ? "" : "\n", t->hooks_amiss);
    }
}

/* --- Showing ------------------------------------------------------------------- */

const char *
problem_duration(const cJSON *o, const char *name, char *buf, size_t size)
{
    return judged_duration(judged_number(o, name) * NS_PER_S, buf, size);
}

const char *
problem_times(int64_t count, char *buf, size_t size)
{
    snprintf(buf, size, count == 1 ? "once" : "%" PRId64 " times", count);
    return buf;
}

const char *
problem_local(const cJSON *o, const char *name, char *buf, size_t size)
{
    const char *text = judged_text(o, name);
    char local[64] = "";
    struct instant at;
    struct tm tm;

    if (value_parse_instant(text, &at)) {
        time_t seconds = (time_t)(at.ns / NS_PER_S);
        localtime_r(&seconds, &tm);
        if (tm.tm_gmtoff != 0) {
            strftime(local, sizeof local, " (%H:%M:%S %Z)", &tm);
        }
    }
    snprintf(buf, size, "%s%s", text, local);
    return buf;
}

/* Bytes of the first 'columns' characters of UTF-8, and how many characters these are. */
static size_t
bytes_of(const char *text, size_t columns, size_t *count)
{
    size_t bytes = 0;

    for (*count = 0; text[bytes] && *count < columns; ++*count) {
        do {
            bytes++;
        } while (((unsigned char)text[bytes] & 0xc0) == 0x80);
    }
    return bytes;
}

static const char *
fit(const char *text, size_t columns, bool fill, char *buf, size_t size)
{
    size_t count, bytes = bytes_of(text, columns, &count);
    bool cut = text[bytes] != '\0' && columns > 2;

    if (cut) {
        bytes = bytes_of(text, columns - 2, &count);
    }
    snprintf(buf, size, "%.*s%s%*s", (int)bytes, text, cut ? ".." : "",
             cut || !fill ? 0 : (int)(columns - count), "");
    return buf;
}

const char *
problem_fit(const char *text, size_t columns, char *buf, size_t size)
{
    return fit(text, columns, true, buf, size);
}

const char *
problem_cut(const char *text, size_t columns, char *buf, size_t size)
{
    return fit(text, columns, false, buf, size);
}

/* "ended", "held": of what is open the most remarkable. */
static const char *
state_text(const cJSON *p)
{
    const char *state = judged_text(p, "state");

    if (strcmp(state, "open") != 0) {
        return state;
    }
    return judged_has(p, "held")                              ? "held"
           : cJSON_IsTrue(cJSON_GetObjectItem(p, "flapping")) ? "flaps"
                                                              : "open";
}

/* "11-22 03:14Z"; what is nearly a year ago or more has its year, and no hour. */
static const char *
since_text(const cJSON *p, char *buf, size_t size)
{
    const char *began = judged_text(p, "began");

    if (strlen(began) < 16) {
        snprintf(buf, size, "-");
    } else if (judged_number(p, "age_s") > INT64_C(300) * 86400) {
        snprintf(buf, size, "%.10s", began);
    } else {
        snprintf(buf, size, "%.5s %.5sZ", began + 5, began + 11);
    }
    return buf;
}

static const char *
where_text(const cJSON *p, char *buf, size_t size)
{
    const char *kind = judged_text(p, "cause_kind");
    bool link = strcmp(kind, "link") == 0;
    int links = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(p, "links"));
    char count[32] = "";

    if (links > 1) {
        snprintf(count, sizeof count, ", %d links", links);
    }
    snprintf(buf, size, "%s%s%s%s", link ? "" : kind, link ? "" : " ", judged_text(p, "cause"),
             count);
    return buf;
}

/* "INC0012345 +1": the first that has a name, and how many there are besides. */
static const char *
tickets_text(const cJSON *p, char *buf, size_t size)
{
    const cJSON *tickets = cJSON_GetObjectItemCaseSensitive(p, "tickets"), *one, *first = NULL;
    int count = cJSON_GetArraySize(tickets);

    cJSON_ArrayForEach(one, tickets)
    {
        bool better = judged_text(one, "shown")[0] && !(first && judged_text(first, "shown")[0]);
        first = !first || better ? one : first;
    }
    if (!first) {
        snprintf(buf, size, "-");
        return buf;
    }
    const char *shown = judged_text(first, "shown");
    snprintf(buf, size, count > 1 ? "%s +%d" : "%s", shown[0] ? shown : judged_text(first, "hook"),
             count - 1);
    return buf;
}

void
problem_print(const cJSON *list)
{
    char id[16], since[32], lasted[JUDGED_TEXT_SIZE], where[256], ack[64], tickets[160];
    char cell[256];
    const cJSON *p;

    printf("%-6s %-6s %-8s %-12s %-6s %-7s %-26s %-8s %s\n", "ID", "STATE", "SEVERITY", "SINCE",
           "FOR", "WHAT", "WHERE", "ACK", "TICKETS");
    cJSON_ArrayForEach(p, list)
    {
        const char *by = judged_text(p, "acknowledged_by");
        snprintf(id, sizeof id, "%" PRId64, judged_number(p, "id"));
        printf("%-6s %-6s %-8s %-12s %-6s %-7s ", id, state_text(p), judged_text(p, "severity"),
               since_text(p, since, sizeof since),
               problem_duration(p, "lasted_s", lasted, sizeof lasted), judged_text(p, "what"));
        printf("%s ", problem_fit(where_text(p, where, sizeof where), 26, cell, sizeof cell));
        printf("%s ", problem_fit(by[0] ? by : "-", 8, ack, sizeof ack));
        printf("%s\n",
               problem_cut(tickets_text(p, tickets, sizeof tickets), 24, cell, sizeof cell));
    }
}

void
problem_print_left_out(int64_t count, const char *where)
{
    if (count > 0) {
        printf("... and %" PRId64 " more; %s\n", count, where);
    }
}
