/* explained_counted.c - how a verdict came about, for people: what was counted and recorded. */
#include "explained.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "judged.h"
#include "nstime.h"

static const cJSON *
part(const cJSON *account, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(account, name);
}

static void
print_left_out(const cJSON *account, const char *name)
{
    char more[64];

    snprintf(more, sizeof more, "%s_left_out", name);
    if (judged_number(account, more)) {
        printf("... and %" PRId64 " more; --limit 0 shows all\n", judged_number(account, more));
    }
}

/* --- What was counted ------------------------------------------------------------- */

static void
print_lines(const cJSON *account)
{
    char share[JUDGED_TEXT_SIZE];
    const cJSON *l;

    printf("\n%-28s %-12s %-5s %9s %9s %9s %12s %12s %9s %8s %6s %5s\n", "DELTA-T OF", "CLASS",
           "WAY", "JUDGED", "COUNTED", "AVAILABLE", "AVAILABILITY", "UNDETERMINED", "EXCLUDED",
           "OUTAGES", "HLI", "CHLI");
    cJSON_ArrayForEach(l, part(account, "lines"))
    {
        printf("%-28s %-12s %-5s %9" PRId64 " %9" PRId64 " %9" PRId64 " %12s %12" PRId64
               " %9" PRId64 " %8" PRId64 " %6" PRId64 " %5" PRId64 "\n",
               judged_text(l, "object"), judged_text(l, "class"), judged_text(l, "direction"),
               judged_number(l, "dt_total"), judged_number(l, "dt_counted"),
               judged_number(l, "dt_available"),
               judged_has(l, "availability_milli")
                   ? judged_value("milli_percent", judged_number(l, "availability_milli"), share,
                                  sizeof share)
                   : "-",
               judged_number(l, "dt_undetermined"), judged_number(l, "dt_excluded"),
               judged_number(l, "outages"), judged_number(l, "hli"), judged_number(l, "chli_runs"));
    }
    if (cJSON_GetArraySize(part(account, "lines")) == 0) {
        puts("nothing was judged in this period");
    }
}

static void
print_run(const cJSON *r)
{
    const char *state = judged_text(r, "state");
    bool available = cJSON_IsTrue(part(r, "available"));

    printf("%-20s %-20s %8" PRId64 "  %-28s %-12s %-5s %s", judged_text(r, "from"),
           judged_text(r, "until"), judged_number(r, "count"), judged_text(r, "object"),
           judged_text(r, "class"), judged_text(r, "direction"), state);
    if (strcmp(state, "excluded") == 0) {
        printf(": %s%s", judged_text(r, "exclusion"), available ? "" : " (was unavailable)");
    } else if (strcmp(state, "undetermined") == 0) {
        printf(", last state %s", available ? "available" : "unavailable");
    }
    puts("");
}

static void
print_runs(const cJSON *account)
{
    const cJSON *one;

    if (cJSON_GetArraySize(part(account, "lines")) == 0) {
        return;
    }
    if (cJSON_GetArraySize(part(account, "runs")) == 0) {
        puts("\nevery delta-t was available, and counts");
        return;
    }
    printf("\n%-20s %-20s %8s  %-28s %-12s %-5s %s\n", "FROM", "UNTIL", "DELTA-T", "OBJECT",
           "CLASS", "WAY", "WHAT");
    cJSON_ArrayForEach(one, part(account, "runs"))
    {
        print_run(one);
    }
    print_left_out(account, "runs");
}

static void
print_transitions(const cJSON *account)
{
    const cJSON *t;

    if (cJSON_GetArraySize(part(account, "transitions")) == 0) {
        return;
    }
    printf("\n%-20s %-28s %-12s %-5s %s\n", "AT", "OBJECT", "CLASS", "WAY", "BECAME");
    cJSON_ArrayForEach(t, part(account, "transitions"))
    {
        printf("%-20s %-28s %-12s %-5s %s\n", judged_text(t, "at"), judged_text(t, "object"),
               judged_text(t, "class"), judged_text(t, "direction"),
               cJSON_IsTrue(part(t, "available")) ? "available" : "unavailable");
    }
    print_left_out(account, "transitions");
}

/* --- What was recorded -------------------------------------------------------------- */

/* Whether it is excluded, and which part of it. */
static void
print_decision(const cJSON *w)
{
    const char *until = judged_text(w, "excluded_until");

    if (!cJSON_IsTrue(part(w, "excludes"))) {
        printf("not excluded: %s", judged_text(w, "why_not"));
    } else if (until[0] && strcmp(until, judged_text(w, "end")) < 0) {
        printf("excluded until %s, when what the SLA allows in a month was used up", until);
    } else {
        fputs("excluded", stdout);
    }
}

static void
print_windows(const cJSON *account)
{
    char objects[256], lead[JUDGED_TEXT_SIZE] = "";
    const cJSON *w;

    if (cJSON_GetArraySize(part(account, "windows")) == 0) {
        return;
    }
    printf("\n%-20s %-20s %-20s %s\n", "FROM", "UNTIL", "WINDOW", "WHAT");
    cJSON_ArrayForEach(w, part(account, "windows"))
    {
        char name[48];
        snprintf(name, sizeof name, "%.20s %" PRId64, judged_text(w, "kind"),
                 judged_number(w, "id"));
        printf("%-20s %-20s %-20s ", judged_text(w, "start"), judged_text(w, "end"), name);
        print_decision(w);
        if (judged_has(w, "lead_s")) {
            int64_t ns = judged_number(w, "lead_s") * NS_PER_S;
            printf(ns < 0 ? "; announced %s after it began" : "; announced %s ahead",
                   judged_duration(ns < 0 ? -ns : ns, lead, sizeof lead));
        }
        printf("; %s; %s%s%s\n", judged_list(w, "objects", objects, sizeof objects),
               judged_text(w, "reason"), judged_has(w, "approval") ? "; approved by " : "",
               judged_text(w, "approval"));
    }
    print_left_out(account, "windows");
}

static void
print_revisions(const cJSON *account)
{
    char value[JUDGED_TEXT_SIZE];
    const cJSON *r, *v;

    if (cJSON_GetArraySize(part(account, "revisions")) > 0) {
        printf("\n%-9s %-20s %s\n", "REVISION", "PUBLISHED", "WHY");
    }
    cJSON_ArrayForEach(r, part(account, "revisions"))
    {
        printf("%-9" PRId64 " %-20s %s:", judged_number(r, "revision"),
               judged_text(r, "published_at"), judged_text(r, "why"));
        cJSON_ArrayForEach(v, part(r, "verdicts"))
        {
            printf(" %" PRId64 ". %s", judged_number(v, "number"), judged_text(v, "verdict"));
            if (judged_has(v, "value")) {
                printf(" (%s)", judged_value(judged_text(v, "unit"), judged_number(v, "value"),
                                             value, sizeof value));
            }
        }
        puts("");
    }
}

static void
print_credit(const cJSON *account, int64_t limit)
{
    char share[JUDGED_TEXT_SIZE];
    const cJSON *c = cJSON_GetArrayItem(part(account, "credit"), 0), *reason;

    if (!judged_number(c, "credit_milli")) {
        return;
    }
    printf("\ncredit %s of the month's charge, %s",
           judged_value("milli_percent", judged_number(c, "credit_milli"), share, sizeof share),
           judged_text(c, "state"));
    if (judged_has(c, "claim_until")) {
        printf(", to be claimed by %s", judged_text(c, "claim_until"));
    }
    cJSON_ArrayForEach(reason, part(c, "reasons"))
    {
        if (!judged_is_outage(reason)) {
            printf("; %s %s%s", judged_text(reason, "metric"),
                   judged_value("milli_percent", judged_number(reason, "credit_milli"), share,
                                sizeof share),
                   judged_counts(reason) ? "" : JUDGED_NOT_ADDED);
        }
    }
    puts("");
    judged_print_outages(part(c, "reasons"), limit, "", "--limit 0 shows all");
}

static void
print_steps(const cJSON *account)
{
    char share[JUDGED_TEXT_SIZE] = "";
    const cJSON *step;

    cJSON_ArrayForEach(step, part(account, "credit_steps"))
    {
        const char *author = judged_text(step, "author"), *note = judged_text(step, "note");
        printf("%-20s %s by %s", judged_text(step, "at"), judged_text(step, "state"),
               author[0] ? author : judged_text(step, "by"));
        if (judged_has(step, "credit_milli")) {
            printf(", %s", judged_value("milli_percent", judged_number(step, "credit_milli"), share,
                                        sizeof share));
        }
        printf("%s%s\n", note[0] ? ": " : "", note);
    }
}

/* The part that is worst of the first objective that is missed and has one, cut at its way. */
static bool
find_blamed(const cJSON *account, char *link, size_t size)
{
    const cJSON *o;
    bool missed = false;

    link[0] = '\0';
    cJSON_ArrayForEach(o, part(account, "objectives"))
    {
        const char *worst = judged_text(o, "worst");
        if (strcmp(judged_text(o, "verdict"), "missed") == 0) {
            missed = true;
            if (!link[0] && worst[0] && !explained_is_whole(account, worst)) {
                snprintf(link, size, "%.*s", (int)strcspn(worst, " "), worst);
            }
        }
    }
    return missed;
}

/* The longest outage of those that are listed; NULL: there is none. */
static const cJSON *
find_outage(const cJSON *account)
{
    const cJSON *r, *longest = NULL;

    cJSON_ArrayForEach(r, part(account, "runs"))
    {
        if (strcmp(judged_text(r, "state"), "unavailable") == 0 &&
            (!longest || judged_number(r, "count") > judged_number(longest, "count"))) {
            longest = r;
        }
    }
    return longest;
}

/* What a missed promise asks for. */
static void
print_next(const cJSON *account)
{
    const char *object = judged_text(account, "object");
    const cJSON *credit = cJSON_GetArrayItem(part(account, "credit"), 0);
    const cJSON *outage = find_outage(account);
    char link[256];

    if (!find_blamed(account, link, sizeof link)) {
        return;
    }
    puts("\nnext");
    if (link[0]) {
        printf("what happened there:           plumbline explain link:%s\n", link);
    }
    printf("if others are to blame for it: plumbline exclude add --kind third_party --start %s "
           "--end %s --reason TEXT --approval WHO %s\n",
           outage ? judged_text(outage, "from") : "WHEN",
           outage ? judged_text(outage, "until") : "WHEN", object);
    if (judged_number(credit, "credit_milli") > 0 &&
        strcmp(judged_text(credit, "state"), "eligible") == 0) {
        printf("what is given back:            plumbline credits claim %s %s\n", object,
               judged_text(part(account, "period"), "period"));
    }
}

void
explained_counted(const cJSON *account, int64_t limit)
{
    print_lines(account);
    print_runs(account);
    print_windows(account);
    print_transitions(account);
    print_revisions(account);
    print_credit(account, limit);
    print_steps(account);
    print_next(account);
}
