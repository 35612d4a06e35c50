/* test_inventory_told.c - alarms and hooks: what is read, what is in force, and what is told of
 * each that is wrong, with its place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "fault.h"
#include "inventory.h"
#include "inventory_sold.h"

/* An inventory with one line (the 4th) about who is told. */
static int
read_line(const char *line, struct faults *faults, struct inventory **inv)
{
    char text[2048];

    snprintf(text, sizeof text,
             "inventory: 1\nclasses: {c: {dt: 1s}, tail: {period: 1s, dt: 10s}}\n"
             "tenants: {t: {}}\n%s\n",
             line);
    *inv = NULL;
    return inventory_read(faults, "t.yaml", text, strlen(text), inv);
}

/* 'words' NULL: nothing is said at all. */
struct said {
    const char *line;
    unsigned column;
    const char *words;
    bool warning;
};

static void
check_said(const struct said *s)
{
    struct faults *faults = faults_new();
    struct inventory *inv;
    size_t count;
    int err = read_line(s->line, faults, &inv);
    const struct fault *all = faults_sorted(faults, &count);
    bool found = s->words ? false : count == 0;

    for (size_t i = 0; i < count && s->words; i++) {
        found = found || (all[i].at.line == 4 && all[i].at.column == s->column &&
                          strstr(all[i].message, s->words) &&
                          (all[i].severity == FAULT_WARNING) == s->warning);
    }
    if (!found) {
        printf("\n%s\nwanted %u: %s, got:\n", s->line, s->column, s->words ? s->words : "nothing");
        faults_print(faults, stdout, 10);
    }
    CU_ASSERT_TRUE(found);
    CU_ASSERT_EQUAL(err, s->words && !s->warning ? -EINVAL : 0);
    inventory_free(inv);
    faults_free(faults);
}

#define EACH_SAYS(list)                                                                            \
    do {                                                                                           \
        for (size_t i = 0; i < sizeof(list) / sizeof(list)[0]; i++) {                              \
            check_said(&(list)[i]);                                                                \
        }                                                                                          \
    } while (0)

/* --- Alarms ----------------------------------------------------------------- */

#define RULE(text) "alarms: {a: {" text ", clear: 10s, severity: info}}"

static void
raise_is_there_when_the_metric_has_a_value(void)
{
    static const struct said list[] = {
        {RULE("metric: flr, over: 3s"), 10, "key 'raise' is missing: flr needs it", false},
        {RULE("metric: clock_error, over: 3s"), 10, "clock_error needs it", false},
        {RULE("metric: budget, over: 3s"), 10, "budget needs it", false},
        {RULE("metric: silence, over: 3s, raise: 1"), 41, "silence has no 'raise'", false},
        {RULE("metric: rt_floor, over: 3s, raise: 1"), 42, "rt_floor has no 'raise'", false},
        {RULE("metric: silence, over: 3s, against: 7d"), 41, "is not compared", false},
        {RULE("metric: silence, over: 3s"), 0, NULL, false},
        {RULE("metric: rt_floor, over: 3s"), 0, NULL, false},
        {RULE("metric: clock_error, over: 3s, raise: 1%"), 52, "a time with its unit", false},
        {RULE("metric: budget, over: 3s, raise: 1ms"), 47, "a percentage", false},
        {RULE("metric: budget, over: 3s, raise: 100%"), 0, NULL, false},
    };
    EACH_SAYS(list);
}

static void
differences_are_of_what_has_a_past(void)
{
    static const struct said list[] = {
        {RULE("metric: rt_p50, over: 3s, raise: +20%, against: 60s"), 0, NULL, false},
        {RULE("metric: rt_p50, over: 3s, raise: +20%, against: 59s"), 62, "expected 1m to 90d",
         false},
        {RULE("metric: rt_p50, over: 3s, raise: +20%, against: 2161h"), 62, "expected 1m to 90d",
         false},
        {RULE("metric: budget, over: 3s, raise: +20%, against: 1h"), 47, "budget is not compared",
         false},
        {RULE("metric: clock_error, over: 3s, raise: +20%, against: 1h"), 52,
         "clock_error is not compared", false},
        {RULE("metric: rt_mean, over: 3s, raise: +20%, against: 1h"), 0, NULL, false},
        {RULE("metric: flr, over: 3s, raise: +20%, against: 1h"), 44, "have a past that is known",
         true},
        {RULE("metric: rt_p50, over: 61s, raise: +20%, against: 1m"), 63, "shorter than 'over'",
         true},
        {RULE("metric: rt_p50, over: 60s, raise: +20%, against: 1m"), 0, NULL, false},
    };
    EACH_SAYS(list);
}

static void
a_rule_that_cannot_do_what_it_says_is_warned_of(void)
{
    static const struct said list[] = {
        {RULE("metric: flr, over: 3s, raise: 100%"), 44, "never over 100%", true},
        {RULE("metric: flr, over: 3s, raise: 99.999%"), 0, NULL, false},
        {RULE("metric: flr, over: 9s, raise: 1%, classes: [c, tail]"), 33,
         "shorter than the dt of class 'tail': one delta-t, 10s, decides", true},
        {RULE("metric: flr, over: 10s, raise: 1%, classes: [c, tail]"), 0, NULL, false},
        {RULE("metric: silence, over: 10s, classes: [c]"), 42, "it has no 'classes'", false},
        {RULE("metric: rt_floor, over: 10s, classes: [c]"), 0, NULL, false},
        {RULE("metric: silense, over: 10s"), 22, "did you mean 'silence'", false},
        {RULE("metric: nothing, over: 10s"), 22, "silence, clock_error, rt_floor, budget, or",
         false},
    };
    EACH_SAYS(list);
}

static void
nothing_is_promised_on_a_metric_of_alarms(void)
{
    static const char *const names[] = {"silence", "clock_error", "rt_floor", "budget"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[256], words[96];
        struct said s = {line, 61, words, false};
        snprintf(words, sizeof words, "'%s' is a metric of 'alarms' only", names[i]);
        snprintf(line, sizeof line,
                 "slas: {z: {version: 1, objectives: [{class: c, limit: 1, metric: %s}], "
                 "valid_from: 2026-01-01}}",
                 names[i]);
        s.column = (unsigned)(strstr(line, names[i]) - line) + 1;
        check_said(&s);
        snprintf(line, sizeof line,
                 "slas: {z: {version: 1, credits: {%s: [{above: 1, credit: 1%%}]}, valid_from: "
                 "2026-01-01, objectives: [{class: c, limit: 1%%, metric: flr}]}}",
                 names[i]);
        s.column = (unsigned)(strstr(line, names[i]) - line) + 1;
        check_said(&s);
    }
    const struct said near = {
        "slas: {z: {version: 1, objectives: [{class: c, limit: 1, metric: budge}], valid_from: "
        "2026-01-01}}",
        66, "duplicate_ratio, or rt_pN", false};
    check_said(&near);
}

/* "key metric over raise clear against severity", sorted as they come. */
static char *
in_force(const char *line)
{
    struct faults *faults = faults_new();
    struct inventory *inv;
    char *text = NULL, metric[INV_METRIC_SIZE];
    size_t size, count;
    FILE *to = open_memstream(&text, &size);

    CU_ASSERT_EQUAL_FATAL(read_line(line, faults, &inv), 0);
    const struct inv_alarm **all = inventory_alarms_in_force(inv, &count);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    for (size_t i = 0; i < count; i++) {
        const struct inv_alarm *a = all[i];
        CU_ASSERT_EQUAL(a->state, INV_ACTIVE);
        fprintf(to, "%s %s %lld %s%llu %lld %lld %d\n", a->key,
                inv_metric_format(a->metric, metric, sizeof metric),
                (long long)(a->over.ns / NS_PER_S), a->relative ? "+" : "",
                (unsigned long long)a->raise, (long long)(a->clear.ns / NS_PER_S),
                (long long)(a->against.ns / NS_PER_S), (int)a->severity);
    }
    fclose(to);
    free(all);
    inventory_free(inv);
    faults_free(faults);
    return text;
}

static void
built_in_rules_are_in_force_unless_their_key_is_used(void)
{
    char *text = in_force("");
    CU_ASSERT_STRING_EQUAL(text, "cut flr 3 50000 10 0 0\n"
                                 "brown flr 300 500 900 0 1\n"
                                 "slow rt_p50 300 +20000 900 604800 2\n"
                                 "silent silence 15 0 10 0 1\n"
                                 "clock clock_error 60 100000000 300 0 2\n"
                                 "floor rt_floor 10 0 300 0 1\n"
                                 "burn budget 3600 5000 3600 0 1\n");
    free(text);
    text = in_force(
        "alarms: {cut: {state: retired, metric: flr, over: 1s, raise: 1%, clear: 1s, severity: "
        "info}, slow: {metric: rt_p99, over: 1s, raise: 1ms, clear: 2s, severity: minor}, later: "
        "{state: planned, metric: flr, over: 1s, raise: 1%, clear: 1s, severity: info}, brown: "
        "{state: planned, metric: flr, over: 1s, raise: 1%, clear: 1s, severity: info}, floor: "
        "{state: retired, metric: silence, over: 1s, clear: 1s, severity: info}, own: {metric: "
        "silence, over: 20s, clear: 1s, severity: info}}");
    CU_ASSERT_STRING_EQUAL(text, "own silence 20 0 1 0 4\n"
                                 "slow rt_p99 1 1000000 2 0 2\n"
                                 "silent silence 15 0 10 0 1\n"
                                 "clock clock_error 60 100000000 300 0 2\n"
                                 "burn budget 3600 5000 3600 0 1\n");
    free(text);
}

/* --- Hooks ------------------------------------------------------------------ */

#define HOOK(text) "hooks: {h: {" text "}}"
#define MAIL "kind: mail, url: 'smtp://mx', to: [a@b.c], from: d@e.f"

static void
hooks_have_what_their_kind_needs(void)
{
    static const struct said list[] = {
        {HOOK(MAIL), 0, NULL, false},
        {HOOK("kind: mail, to: [a@b.c], from: d@e.f"), 9, "'url' is missing: mail needs it", false},
        {HOOK("kind: mail, url: 'smtp://mx', from: d@e.f"), 9, "'to' is missing", false},
        {HOOK("kind: mail, url: 'smtp://mx', to: [a@b.c]"), 9, "'from' is missing", false},
        {HOOK("kind: mail, url: 'https://mx', to: [a@b.c], from: d@e.f"), 30,
         "begins with smtps:// or smtp://, as mail is sent", false},
        {HOOK("kind: pagerduty, url: 'smtp://x', auth_file: k"), 35,
         "begins with https:// or http://, as pagerduty is sent", false},
        {HOOK("kind: mail, url: 'smtp://u@mx', to: [a@b.c], from: d@e.f"), 30,
         "URL without a password", false},
        {HOOK("kind: pagerduty, auth_file: k, to: [a@b.c]"), 44, "pagerduty has no 'to'", false},
        {HOOK(MAIL ", peers: ['smtp://y']"), 69, "mail has no 'peers'", false},
        {HOOK(MAIL ", template: x"), 69, "mail has no 'template'", false},
        {HOOK("kind: webhook, url: 'https://x'"), 9, "'secret_file' is missing", false},
        {HOOK("kind: webhook, url: 'https://x', template: t.json"), 0, NULL, false},
        {HOOK("kind: webhook, url: 'https://x', template: a/b"), 56, "a file without a folder",
         false},
        {HOOK("kind: exec, command: /bin/x, ca_file: c"), 42, "exec has no 'ca_file'", false},
        {HOOK("kind: pagerduty, auth_file: k, heartbeat: 1m"), 44, "is sent no heartbeat", true},
        {HOOK(MAIL ", when: {tenant: t}, view: tenant"), 0, NULL, false},
    };
    EACH_SAYS(list);
}

static void
addresses_of_mail_can_stand_in_a_header(void)
{
#define TO(text) HOOK("kind: mail, url: 'smtp://mx', from: d@e.f, to: " text)
    static const struct said list[] = {
        {TO("[a.b+c@d-e.f, x'y@z]"), 0, NULL, false},
        {TO("['a b@c.d']"), 61, "expected a mail address", false},
        {TO("[\"a@b.c\\nBcc: d@e.f\"]"), 61, "expected a mail address", false},
        {TO("['a@b.c, d@e.f']"), 61, "expected a mail address", false},
        {TO("['<a@b.c>']"), 61, "expected a mail address", false},
        {TO("['\"a\"@b.c']"), 61, "expected a mail address", false},
        {TO("['a@b@c']"), 61, "expected a mail address", false},
        {TO("[a..b@c.d]"), 61, "expected a mail address", false},
        {TO("[a.@c.d]"), 61, "expected a mail address", false},
        {TO("[a@.d]"), 61, "expected a mail address", false},
        {TO("[a@d.]"), 61, "expected a mail address", false},
        {TO("['-a@d']"), 61, "expected a mail address", false},
        {TO("['a@']"), 61, "expected a mail address", false},
        {TO("['@a']"), 61, "expected a mail address", false},
        {TO("[\"\\u00e9@a\"]"), 61, "expected a mail address", false},
        {TO("[]"), 60, "expected 1 to 64 of them, got 0", false},
        {TO("a@b.c"), 60, "expected a list", false},
        {TO("[a@b.c, d@e.f, a@b.c]"), 75, "'a@b.c' is in this list twice", false},
    };
    EACH_SAYS(list);
    for (int local = 64; local <= 65; local++) {
        char line[256];
        struct said s = {line, 61, "expected a mail address", false};
        snprintf(line, sizeof line, TO("[%.*s@b.c]"), local,
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        s.words = local > 64 ? s.words : NULL;
        check_said(&s);
    }
}

static void
what_is_wrong_with_peers_times_and_choices_is_told(void)
{
#define AM(text) HOOK("kind: alertmanager, url: 'https://x', " text)
    static const struct said list[] = {
        {AM("peers: ['https://y', 'http://z']"), 0, NULL, false},
        {AM("peers: ['https://y', 'https://y']"), 72, "is in this list twice", false},
        {AM("peers: ['https://x']"), 58, "is the 'url' already", false},
        {AM("peers: ['smtp://y']"), 58, "begins with https:// or http://", false},
        {AM("peers: [y]"), 59, "expected an https:// or http://", false},
        {AM("timeout: 1s"), 0, NULL, false},
        {AM("timeout: 60s"), 0, NULL, false},
        {AM("timeout: 999ms"), 60, "expected 1s to 1m", false},
        {AM("timeout: 61s"), 60, "expected 1s to 1m", false},
        {AM("remind: 10s"), 0, NULL, false},
        {AM("remind: 9s"), 59, "expected 10s to 7d", false},
        {AM("remind: 169h"), 59, "expected 10s to 7d", false},
        {AM("when: {scope: [site, risk]}"), 0, NULL, false},
        {AM("when: {scope: [site, site]}"), 72, "'site' is in this list twice", false},
        {AM("when: {scope: []}"), 65, "at least one cause", false},
        {AM("when: {scope: site}"), 65, "expected a list of causes", false},
        {AM("when: {scope: [path]}"), 66, "expected one of link, risk, router, probe", false},
        {AM("when: {labels: {a b: c}}"), 67, "is not the name of a label", false},
        {AM("when: {severity: []}"), 68, "at least one severity", false},
    };
    EACH_SAYS(list);
}

static void
what_was_written_is_what_is_read(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv;

    CU_ASSERT_EQUAL_FATAL(
        read_line(
            "hooks: {a: {kind: alertmanager, url: 'https://x', peers: ['https://y', "
            "'http://z'], timeout: 2s, remind: 4h, ca_file: c.pem, when: {scope: [service, "
            "link], labels: {b: x, a: y}}}, m: {kind: mail, url: 'smtps://mx:465', to: "
            "[q@b.c, a@b.c], from: d@e.f}, w: {kind: webhook, url: 'https://x', template: j}}",
            faults, &inv),
        0);
    const struct inv_hook *a = &inv->hooks[0], *m = &inv->hooks[1], *w = &inv->hooks[2];
    CU_ASSERT_EQUAL(a->peer_count, 2);
    CU_ASSERT_STRING_EQUAL(a->peers[1], "http://z");
    CU_ASSERT_EQUAL(a->timeout.ns, 2 * NS_PER_S);
    CU_ASSERT_EQUAL(a->remind.ns, 4 * 3600 * NS_PER_S);
    CU_ASSERT_STRING_EQUAL(a->ca_file, "c.pem");
    CU_ASSERT_EQUAL(a->causes, 1u << INV_CAUSE_SERVICE | 1u << INV_CAUSE_LINK);
    CU_ASSERT_EQUAL(a->labels.count, 2);
    CU_ASSERT_STRING_EQUAL(a->labels.list[0].value, "y");
    CU_ASSERT_EQUAL(m->kind, INV_HOOK_MAIL);
    CU_ASSERT_EQUAL(m->timeout.ns, 15 * NS_PER_S);
    CU_ASSERT_EQUAL(m->to_count, 2);
    CU_ASSERT_STRING_EQUAL(m->to[0], "q@b.c");
    CU_ASSERT_STRING_EQUAL(m->from, "d@e.f");
    CU_ASSERT_EQUAL(m->causes, 0);
    CU_ASSERT_STRING_EQUAL(w->template_file, "j");
    inventory_free(inv);
    faults_free(faults);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"raise_is_there_when_the_metric_has_a_value", raise_is_there_when_the_metric_has_a_value},
        {"differences_are_of_what_has_a_past", differences_are_of_what_has_a_past},
        {"a_rule_that_cannot_do_what_it_says_is_warned_of",
         a_rule_that_cannot_do_what_it_says_is_warned_of},
        {"nothing_is_promised_on_a_metric_of_alarms", nothing_is_promised_on_a_metric_of_alarms},
        {"built_in_rules_are_in_force_unless_their_key_is_used",
         built_in_rules_are_in_force_unless_their_key_is_used},
        {"hooks_have_what_their_kind_needs", hooks_have_what_their_kind_needs},
        {"addresses_of_mail_can_stand_in_a_header", addresses_of_mail_can_stand_in_a_header},
        {"what_is_wrong_with_peers_times_and_choices_is_told",
         what_is_wrong_with_peers_times_and_choices_is_told},
        {"what_was_written_is_what_is_read", what_was_written_is_what_is_read},
        CU_TEST_INFO_NULL};
    return run_suite("inventory_told", tests);
}
