/* explained.c - how a verdict came about, for people: the promise. */
#include "explained.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "judged.h"
#include "nstime.h"

/* A judge that is further behind waits for something. */
#define BEHIND_S 600

static const cJSON *
part(const cJSON *account, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(account, name);
}

/* --- The promise ---------------------------------------------------------------- */

static const char *
covers_words(const char *word)
{
    return strcmp(word, "over") == 0      ? "the links and groups that it is over"
           : strcmp(word, "tail") == 0    ? "the customer's tail, as the attachments' tests see it"
           : strcmp(word, "bgp") == 0     ? "the BGP sessions of the attachments"
           : strcmp(word, "tunnels") == 0 ? "the tunnels"
                                          : word;
}

static void
print_contract(const cJSON *p)
{
    char text[512];
    const cJSON *one;
    int count = 0;

    printf("SLA %s, version %" PRId64 ", valid from %s; it covers ", judged_text(p, "sla"),
           judged_number(p, "version"), judged_text(p, "valid_from"));
    cJSON_ArrayForEach(one, part(p, "covers"))
    {
        printf("%s%s", count++ ? ", " : "", covers_words(cJSON_GetStringValue(one)));
    }
    printf(": what is behind that line is not promised\n");
    printf("over %s", judged_list(p, "parts", text, sizeof text));
    printf("; between %s\n", judged_list(p, "ends", text, sizeof text));
    printf("delta-t of which nobody knows: %s; maintenance is announced %s ahead%s%s\n",
           strcmp(judged_text(p, "undetermined"), "last") == 0
               ? "counted as the last state that was known"
               : judged_text(p, "undetermined"),
           judged_has(p, "notice") ? judged_text(p, "notice") : "0s",
           judged_has(p, "maintenance_allowance") ? ", in a month at most " : "",
           judged_text(p, "maintenance_allowance"));
}

bool
explained_is_whole(const cJSON *account, const char *worst)
{
    const char *object = judged_text(account, "object");
    size_t length = strlen(object);

    return strncmp(worst, object, length) == 0 && worst[length] == ' ';
}

static void
print_behind(const cJSON *period)
{
    char text[JUDGED_TEXT_SIZE];

    if (!judged_has(period, "revision") && judged_number(period, "behind_s") > BEHIND_S) {
        printf(
            "the judge is %s behind: `plumbline status` shows which source or collector it waits "
            "for\n",
            judged_duration(judged_number(period, "behind_s") * NS_PER_S, text, sizeof text));
    }
}

static void
print_head(const cJSON *account)
{
    const cJSON *p = part(account, "period");

    printf("%s %s", judged_text(account, "kind"), judged_text(account, "object"));
    if (strcmp(judged_text(p, "label"), judged_text(account, "object")) != 0) {
        printf(" (%s)", judged_text(p, "label"));
    }
    printf("%s%s\n", judged_has(p, "tenant") ? ", tenant " : "", judged_text(p, "tenant"));
    if (judged_has(p, "sla")) {
        print_contract(p);
    }
    printf("period %s in %s: %s to %s%s\n", judged_text(p, "period"), judged_text(p, "timezone"),
           judged_text(p, "period_start"), judged_text(p, "period_end"),
           cJSON_IsTrue(part(p, "out_of_service")) ? ", when it goes out of service" : "");
    if (judged_has(p, "judged_until")) {
        printf("judged from %s to %s; ", judged_text(p, "judged_from"),
               judged_text(p, "judged_until"));
        if (judged_has(p, "revision")) {
            printf("published, revision %" PRId64 "\n", judged_number(p, "revision"));
        } else {
            puts("it is not published yet");
        }
        print_behind(p);
    }
}

/* Numbers and metrics of the objectives with this verdict. */
static void
print_those(const cJSON *account, const char *verdict)
{
    const cJSON *o;
    int count = 0;

    cJSON_ArrayForEach(o, part(account, "objectives"))
    {
        if (strcmp(judged_text(o, "verdict"), verdict) == 0) {
            printf("%s%" PRId64 ". %s", count++ ? ", " : "", judged_number(o, "number"),
                   judged_text(o, "metric"));
            if (judged_has(o, "worst") && !explained_is_whole(account, judged_text(o, "worst"))) {
                printf(" (%s)", judged_text(o, "worst"));
            }
        }
    }
}

/* The outcome in a few words: what is missed first, then what nobody can tell; and what is down as
 * we speak. */
static void
print_outcome(const cJSON *account)
{
    static const char *const verdicts[] = {"missed", "not decidable", "met"};
    const cJSON *o, *down;

    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        cJSON_ArrayForEach(o, part(account, "objectives"))
        {
            if (strcmp(judged_text(o, "verdict"), verdicts[i]) == 0) {
                printf("%s: ", judged_verdict(o));
                print_those(account, verdicts[i]);
                puts("");
                break;
            }
        }
    }
    cJSON_ArrayForEach(down, part(account, "down"))
    {
        printf("down since %s: %s %s %s\n", judged_text(down, "since"), judged_text(down, "object"),
               judged_text(down, "class"), judged_text(down, "direction"));
    }
}

/* What was compared, in the objective's own words. */
static void
print_counts(const cJSON *o)
{
    const char *metric = judged_text(o, "metric");
    const char *what = strcmp(metric, "availability") == 0      ? "delta-t were available"
                       : strcmp(metric, "hli") == 0             ? "delta-t were such"
                       : strcmp(metric, "chli") == 0            ? "delta-t had such runs"
                       : strncmp(metric, "flr", 3) == 0         ? "packets were lost"
                       : strcmp(metric, "reorder_ratio") == 0   ? "packets were late in order"
                       : strcmp(metric, "duplicate_ratio") == 0 ? "packets came again"
                                                                : "samples were over the limit";
    const cJSON *low = part(o, "low"), *high = part(o, "high");

    if (strstr(metric, "mean")) {
        printf("   %" PRId64 " samples\n", judged_number(o, "whole"));
        return;
    }
    printf("   %" PRId64 " of %" PRId64 " %s", judged_number(o, "part"), judged_number(o, "whole"),
           what);
    if (cJSON_IsNumber(low) && cJSON_IsNumber(high)) {
        printf("; 95 %% interval %.5f%% to %.5f%%", low->valuedouble * 100,
               high->valuedouble * 100);
    }
    puts("");
}

static void
print_budget(const cJSON *o)
{
    char budget[JUDGED_TEXT_SIZE], used[JUDGED_TEXT_SIZE], left[JUDGED_TEXT_SIZE];

    if (!judged_has(o, "budget")) {
        return;
    }
    judged_budget(o, "budget_left", left, sizeof left);
    printf("   the period may spend %s; %s spent, %s %s",
           judged_budget(o, "budget", budget, sizeof budget),
           judged_budget(o, "used", used, sizeof used), left[0] == '-' ? left + 1 : left,
           left[0] == '-' ? "too much" : "left");
    if (judged_has(o, "burn")) {
        printf("; %.2f times as fast as the period goes", part(o, "burn")->valuedouble);
    }
    puts("");
}

/* What would take the doubt away. */
static void
print_doubt(const cJSON *o)
{
    const char *doubt = judged_text(o, "doubt");

    if (!judged_doubt(o)[0]) {
        return;
    }
    printf("   doubt: %s", judged_doubt(o));
    if (strcmp(doubt, "few_samples") == 0 || strcmp(doubt, "in_interval") == 0) {
        if (judged_number(o, "needed") > 0) {
            printf("; %" PRId64 " in all would decide, if it stays as it is",
                   judged_number(o, "needed"));
        } else if (!judged_has(o, "needed")) {
            printf("; no number of packets would decide, if it stays as it is");
        }
    } else if (strcmp(doubt, "clock") == 0) {
        printf("; clocks at both ends that know their error would decide, or a promise of the "
               "round trip");
    } else if (strcmp(doubt, "undetermined") == 0) {
        printf("; what the probes have not told yet would decide");
    } else if (strcmp(doubt, "bucket") == 0) {
        printf("; probes that have this limit count it exactly, from then on");
    }
    puts("");
}

/* How long each part was down, in time that counts: which of them it was. */
static void
print_down(const cJSON *account, const char *class_name)
{
    char text[JUDGED_TEXT_SIZE];
    const cJSON *l;
    int count = 0;

    cJSON_ArrayForEach(l, part(account, "lines"))
    {
        if (judged_number(l, "dt_unavailable") > 0 &&
            strcmp(judged_text(l, "class"), class_name) == 0 &&
            strcmp(judged_text(l, "direction"), "both") != 0) {
            printf("%s%s %s %s", count++ ? ", " : "   down: ", judged_text(l, "object"),
                   judged_text(l, "direction"),
                   judged_duration(judged_number(l, "dt_unavailable") * judged_number(l, "dt_ns"),
                                   text, sizeof text));
        }
    }
    if (count) {
        puts("");
    }
}

static void
print_objectives(const cJSON *account)
{
    char value[JUDGED_TEXT_SIZE], limit[JUDGED_TEXT_SIZE];
    const cJSON *o;

    cJSON_ArrayForEach(o, part(account, "objectives"))
    {
        printf("\n%" PRId64 ". %s, %s %s %s: %s", judged_number(o, "number"),
               judged_text(o, "class"), judged_text(o, "metric"), judged_text(o, "direction"),
               judged_limit(o, limit, sizeof limit), judged_verdict(o));
        if (judged_has(o, "value")) {
            printf(", %s", judged_value(judged_text(o, "unit"), judged_number(o, "value"), value,
                                        sizeof value));
        }
        printf("\n   %s\n", judged_formula(judged_text(o, "metric")));
        if (judged_has(o, "worst") && !explained_is_whole(account, judged_text(o, "worst"))) {
            printf("   the worst is %s\n", judged_text(o, "worst"));
        }
        print_counts(o);
        if (strcmp(judged_text(o, "metric"), "availability") == 0) {
            print_down(account, judged_text(o, "class"));
        }
        print_budget(o);
        print_doubt(o);
    }
}

void
explained_promise(const cJSON *account)
{
    print_head(account);
    print_outcome(account);
    print_objectives(account);
}
