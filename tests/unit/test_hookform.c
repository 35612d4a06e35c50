/* test_hookform.c - webhook, exec and Alertmanager: what is sent, field for field, and what each
 * answer means. */
#include "hookform.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "harness.h"
#include "hookform_world.h"

/* --- Webhook ------------------------------------------------------------------- */

static void
webhook_is_a_cloud_event(void)
{
    static const char *const actions[] = {"open", "change", "remind", "resolve"};
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/plumbline?x=1");
    for (size_t i = 0; i < COUNT(actions); i++) {
        cJSON *event = world_event(actions[i], NULL);
        char *data = cJSON_PrintUnformatted(event);
        char expected[8192];
        snprintf(expected, sizeof expected,
                 "{\"specversion\":\"1.0\",\"id\":\"a1b2c3d4-17-3-%s-20261122031415123\","
                 "\"source\":\"/plumbline/a1b2c3d4\",\"type\":\"plumbline.problem.%s\","
                 "\"subject\":\"a1b2c3d4-17\",\"time\":\"2026-11-22T03:14:15.123Z\",\"data\":%s}",
                 actions[i], actions[i], data);
        free(data);
        world_say(&w, event);
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_EQUAL(r->by, HOOKFORM_HTTP);
        CU_ASSERT_STRING_EQUAL(r->method, "POST");
        CU_ASSERT_STRING_EQUAL(r->url, "https://hooks.example/plumbline?x=1");
        CU_ASSERT_EQUAL(r->body_size, strlen(r->body));
        CU_ASSERT_TRUE(world_is(r->body, expected));
        CU_ASSERT_STRING_EQUAL(world_header(r, "Content-Type"),
                               "application/cloudevents+json; charset=utf-8");
        CU_ASSERT_STRING_EQUAL(world_header(r, "webhook-id"), world_at(r->body, "id"));
        CU_ASSERT_STRING_EQUAL(world_header(r, "webhook-timestamp"), "1795317600");
        CU_ASSERT_STRING_EQUAL(world_header(r, "webhook-signature"), "(none)");
        CU_ASSERT_EQUAL(world_answer(&w, 204, ""), HOOKFORM_DONE);
        CU_ASSERT_TRUE(hookform_ticket(w.form).there);
    }
    world_end(&w);
}

static void
heartbeats_and_tests_have_types_of_their_own(void)
{
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    world_say(&w, world_signal("heartbeat"));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "type"), "plumbline.heartbeat");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "data.title"), "Plumbline says so");
    world_say(&w, world_signal("test"));
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "type"), "plumbline.test");
    world_end(&w);
}

/* The example of Standard Webhooks' own specification has no body of ours: it is computed here. */
static void
check_signature(const struct hookform_request *r, const char *key, size_t key_size,
                const char *signature)
{
    char text[70000], encoded[100];
    unsigned char digest[32];
    unsigned size;

    snprintf(text, sizeof text, "%s.%s.%s", world_header(r, "webhook-id"),
             world_header(r, "webhook-timestamp"), r->body);
    CU_ASSERT_PTR_NOT_NULL(
        HMAC(EVP_sha256(), key, (int)key_size, (unsigned char *)text, strlen(text), digest, &size));
    memcpy(encoded, "v1,", 3);
    EVP_EncodeBlock((unsigned char *)encoded + 3, digest, 32);
    CU_ASSERT_NSTRING_EQUAL(signature, encoded, strlen(encoded));
}

static void
webhook_is_signed_by_each_of_its_secrets(void)
{
    struct world w;
    const struct hookform_request *r;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.hook.secret_file = "k";
    w.secrets = (struct hookform_secrets){.secret = "plain bytes\n", .secret_size = 12};
    world_say(&w, world_event("open", NULL));
    r = world_request(&w);
    check_signature(r, "plain bytes", 11, world_header(r, "webhook-signature"));
    CU_ASSERT_EQUAL(strlen(world_header(r, "webhook-signature")), 47);

    /* Base64 of "new secret!!" and of "old". */
    w.secrets.secret = "whsec_bmV3IHNlY3JldCEh\r\nwhsec_b2xk\n";
    w.secrets.secret_size = strlen(w.secrets.secret);
    world_say(&w, world_event("open", NULL));
    r = world_request(&w);
    check_signature(r, "new secret!!", 12, world_header(r, "webhook-signature"));
    CU_ASSERT_EQUAL(world_header(r, "webhook-signature")[47], ' ');
    check_signature(r, "old", 3, world_header(r, "webhook-signature") + 48);
    CU_ASSERT_EQUAL(strlen(world_header(r, "webhook-signature")), 95);
    world_end(&w);
}

static void
secret_that_is_none_is_refused_and_not_told(void)
{
    static const char *const bad[] = {
        "whsec_",    "whsec_!!!!",
        "whsec_abc", "whsec_b2xk\nhunter2\n",
        "\n",        "whsec_b2xk\nwhsec_b2xk\nwhsec_b2xk\nwhsec_b2xk\nwhsec_b2xk"};
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.hook.secret_file = "k";
    for (size_t i = 0; i < COUNT(bad); i++) {
        w.secrets = (struct hookform_secrets){.secret = bad[i], .secret_size = strlen(bad[i])};
        world_say(&w, world_event("open", NULL));
        CU_ASSERT_PTR_NULL(hookform_request(w.form));
        CU_ASSERT_PTR_NOT_NULL(strstr(hookform_why(w.form), "secret_file"));
        CU_ASSERT_PTR_NULL(strstr(hookform_why(w.form), "hunter2"));
    }
    world_end(&w);
}

static void
time_is_new_with_each_try_and_the_id_is_not(void)
{
    struct world w;
    cJSON *event = world_event("open", NULL);
    struct hookform *other;
    const struct hookform_request *r, *again;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    world_say(&w, event);
    r = world_request(&w);
    other = hookform_new(&w.hook, &w.secrets, event, &w.ticket,
                         instant_add(world_now(), span_of_ns(5 * NS_PER_S)), 1);
    again = hookform_request(other);
    CU_ASSERT_STRING_EQUAL(world_header(r, "webhook-id"), world_header(again, "webhook-id"));
    CU_ASSERT_STRING_EQUAL(world_header(again, "webhook-timestamp"), "1795317605");
    CU_ASSERT_STRING_EQUAL(r->body, again->body);
    hookform_free(other);
    world_end(&w);
}

static void
auth_is_a_password_or_a_header(void)
{
    struct world w;
    const struct hookform_request *r;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.secrets.auth = "ann:pass:word\n";
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_STRING_EQUAL(world_request(&w)->user_password, "ann:pass:word");
    w.secrets.auth = "Authorization: Bearer abc\r\n";
    world_say(&w, world_event("open", NULL));
    r = world_request(&w);
    CU_ASSERT_PTR_NULL(r->user_password);
    CU_ASSERT_STRING_EQUAL(world_header(r, "Authorization"), "Bearer abc");
    w.secrets.auth = "Authorization: a\r\nX-Other: b";
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    w.secrets.auth = "hunter2";
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    CU_ASSERT_PTR_NULL(strstr(hookform_why(w.form), "hunter2"));
    world_end(&w);
}

/* --- Exec ------------------------------------------------------------------------ */

static void
exec_reads_the_event_and_has_four_variables(void)
{
    struct world w;
    const struct hookform_request *r;

    world_begin(&w, INV_HOOK_EXEC, NULL);
    w.hook.command = "/usr/local/bin/page";
    world_say(&w, world_event("change", "{\"severity\":\"mi\\nnor; rm -rf\"}"));
    r = world_request(&w);
    CU_ASSERT_EQUAL(r->by, HOOKFORM_EXEC);
    CU_ASSERT_STRING_EQUAL(r->url, "/usr/local/bin/page");
    CU_ASSERT_EQUAL(r->header_count, 4);
    CU_ASSERT_STRING_EQUAL(world_header(r, "PLUMBLINE_ID"), "a1b2c3d4-17");
    CU_ASSERT_STRING_EQUAL(world_header(r, "PLUMBLINE_ACTION"), "change");
    CU_ASSERT_STRING_EQUAL(world_header(r, "PLUMBLINE_SEVERITY"), "mi-nor--rm--rf");
    CU_ASSERT_STRING_EQUAL(world_header(r, "PLUMBLINE_KEY"),
                           "a1b2c3d4-17-3-change-20261122031415123");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "severity"), "mi\nnor; rm -rf");
    CU_ASSERT_EQUAL(world_answer(&w, 0, ""), HOOKFORM_DONE);
    CU_ASSERT_EQUAL(world_answer(&w, 1, "oops"), HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "exit status 1: oops");
    struct hookform_answer late = {.error = "timed out", .body = ""};
    CU_ASSERT_EQUAL(hookform_answer(w.form, &late), HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "timed out");
    world_end(&w);
}

/* --- Alertmanager ------------------------------------------------------------------ */

#define CRITICAL                                                                                   \
    "{\"alertname\":\"PlumblineProblem\",\"installation\":\"a1b2c3d4\","                           \
    "\"plumbline_id\":\"a1b2c3d4-17\",\"severity\":\"critical\",\"team\":\"noc\",\"a_b\":\"x\"}"

static struct inv_label am_fields[] = {{"a.b", "x"}, {"severity", "never"}, {"team", "noc"}};

static void
begin_alertmanager(struct world *w)
{
    world_begin(w, INV_HOOK_ALERTMANAGER, "http://127.0.0.1:9093/");
    w->hook.fields = (struct inv_labels){am_fields, COUNT(am_fields)};
}

/* All but the annotations' texts. */
static void
check_alert(const char *body, int number, const char *labels, const char *starts, const char *ends)
{
    cJSON *list = cJSON_Parse(body);
    cJSON *alert = cJSON_GetArrayItem(list, number);
    char *got = cJSON_PrintUnformatted(cJSON_GetObjectItem(alert, "labels"));

    CU_ASSERT_TRUE(got && world_is(got, labels));
    free(got);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(alert), 5);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "startsAt")), starts);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "endsAt")), ends);
    CU_ASSERT_PTR_NOT_NULL(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "generatorURL")));
    CU_ASSERT_TRUE(cJSON_IsObject(cJSON_GetObjectItem(alert, "annotations")));
    cJSON_Delete(list);
}

static int
count_of(const char *body)
{
    cJSON *list = cJSON_Parse(body);
    int count = cJSON_GetArraySize(list);

    cJSON_Delete(list);
    return count;
}

static void
alert_that_is_open_ends_five_minutes_ahead(void)
{
    static const char *const actions[] = {"open", "change", "remind"};
    struct world w;

    begin_alertmanager(&w);
    for (size_t i = 0; i < COUNT(actions); i++) {
        world_say(&w, world_event(actions[i], NULL));
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->method, "POST");
        CU_ASSERT_STRING_EQUAL(r->url, "http://127.0.0.1:9093/api/v2/alerts");
        CU_ASSERT_STRING_EQUAL(world_header(r, "Content-Type"), "application/json");
        CU_ASSERT_EQUAL(count_of(r->body), 1);
        check_alert(r->body, 0, CRITICAL, "2026-11-22T03:14:10.000Z", "2026-11-22T03:25:00.000Z");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "0.annotations.summary"),
                               "risk duct-calais: 2 of 2 links cut");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "0.annotations.cause"),
                               "risk duct-calais: all went");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "0.annotations.links"), "par1-lon1-a");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "0.annotations.tenants"), "acme");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "0.generatorURL"), "urn:plumbline:a1b2c3d4-17");
        CU_ASSERT_EQUAL(world_answer(&w, 200, ""), HOOKFORM_DONE);
        CU_ASSERT_TRUE(world_is(hookform_ticket(w.form).ref, CRITICAL));
    }
    CU_ASSERT_EQUAL(hookform_again(&w.hook).ns, 60 * NS_PER_S);
    world_end(&w);
}

static void
alert_that_is_resolved_ended_when_the_problem_did(void)
{
    struct world w;

    begin_alertmanager(&w);
    w.ticket = (struct hookform_ticket){.there = true, .ref = CRITICAL, .shown = ""};
    /* Its severity is the worst that it had; what is ended is what was told. */
    world_say(&w, world_event("resolve", "{\"severity\":\"major\"}"));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_EQUAL(count_of(r->body), 1);
    check_alert(r->body, 0, CRITICAL, "2026-11-22T03:14:10.000Z", "2026-11-22T03:19:00.000Z");
    world_say(&w, world_event("resolve", "{\"ended\":null}"));
    check_alert(world_request(&w)->body, 0, CRITICAL, "2026-11-22T03:14:10.000Z",
                "2026-11-22T03:20:00.000Z");
    /* An end to come would not be one, and one before the beginning is refused. */
    world_say(&w, world_event("resolve", "{\"ended\":\"2026-11-22T03:20:01Z\"}"));
    check_alert(world_request(&w)->body, 0, CRITICAL, "2026-11-22T03:14:10.000Z",
                "2026-11-22T03:20:00.000Z");
    world_say(&w, world_event("resolve", "{\"ended\":\"2026-11-22T03:14:09Z\"}"));
    check_alert(world_request(&w)->body, 0, CRITICAL, "2026-11-22T03:14:09.000Z",
                "2026-11-22T03:14:09.000Z");
    world_end(&w);
}

static void
severity_that_changes_ends_one_alert_and_begins_the_other(void)
{
    struct world w;
    static const char major[] =
        "{\"alertname\":\"PlumblineProblem\",\"installation\":\"a1b2c3d4\",\"a_b\":\"x\","
        "\"plumbline_id\":\"a1b2c3d4-17\",\"severity\":\"major\",\"team\":\"noc\"}";

    begin_alertmanager(&w);
    w.ticket = (struct hookform_ticket){.there = true, .ref = major, .shown = ""};
    world_say(&w, world_event("change", NULL));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_EQUAL(count_of(r->body), 2);
    check_alert(r->body, 0, major, "2026-11-22T03:14:10.000Z", "2026-11-22T03:20:00.000Z");
    check_alert(r->body, 1, CRITICAL, "2026-11-22T03:14:10.000Z", "2026-11-22T03:25:00.000Z");
    CU_ASSERT_EQUAL(world_answer(&w, 200, ""), HOOKFORM_DONE);
    CU_ASSERT_TRUE(world_is(hookform_ticket(w.form).ref, CRITICAL));
    world_end(&w);
}

static void
ref_that_is_none_is_passed_over(void)
{
    static const char *const refs[] = {"",
                                       "rubbish",
                                       "[]",
                                       "{}",
                                       "{\"plumbline_id\":\"other\"}",
                                       "{\"plumbline_id\":\"a1b2c3d4-17\",\"severity\":1}",
                                       "null"};
    struct world w;

    begin_alertmanager(&w);
    for (size_t i = 0; i < COUNT(refs); i++) {
        w.ticket = (struct hookform_ticket){.there = true, .ref = refs[i], .shown = ""};
        world_say(&w, world_event("change", NULL));
        CU_ASSERT_EQUAL(count_of(world_request(&w)->body), 1);
    }
    world_end(&w);
}

static void
heartbeat_is_an_alert_that_ends_by_itself(void)
{
    struct world w;

    world_begin(&w, INV_HOOK_ALERTMANAGER, "http://127.0.0.1:9093/am/api/v2/alerts");
    w.hook.heartbeat = span_of_ns(60 * NS_PER_S);
    world_say(&w, world_signal("heartbeat"));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->url, "http://127.0.0.1:9093/am/api/v2/alerts");
    check_alert(r->body, 0,
                "{\"alertname\":\"PlumblineHeartbeat\",\"installation\":\"a1b2c3d4\","
                "\"severity\":\"info\"}",
                "2026-11-22T03:20:00.000Z", "2026-11-22T03:23:00.000Z");
    CU_ASSERT_EQUAL(world_answer(&w, 200, ""), HOOKFORM_DONE);
    CU_ASSERT_FALSE(hookform_ticket(w.form).there);
    world_say(&w, world_signal("test"));
    check_alert(world_request(&w)->body, 0,
                "{\"alertname\":\"PlumblineTest\",\"installation\":\"a1b2c3d4\","
                "\"plumbline_id\":\"a1b2c3d4-test\",\"severity\":\"info\"}",
                "2026-11-22T03:20:00.000Z", "2026-11-22T03:25:00.000Z");
    world_end(&w);
}

static void
each_member_is_told_and_one_that_takes_it_is_enough(void)
{
    static const char *peers[] = {"http://am2:9093", "http://am3:9093/"};
    static const struct {
        int status[3];
        enum hookform_verdict verdict;
        const char *why;
    } cases[] = {
        {{200, 200, 200}, HOOKFORM_DONE, ""},
        {{0, 200, 500}, HOOKFORM_DONE, "member 2: 500: "},
        {{400, 200, 200}, HOOKFORM_DONE, "member 0: 400: "},
        {{400, 0, 500}, HOOKFORM_RETRY, "member 2: 500: "},
        {{400, 400, 400}, HOOKFORM_DEAD, "member 0: 400: "},
        {{410, 410, 410}, HOOKFORM_DISABLED, "member 0: 410: it wants nothing any more"},
    };
    struct world w;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum hookform_verdict v = HOOKFORM_MORE;
        begin_alertmanager(&w);
        w.hook.peers = peers;
        w.hook.peer_count = 2;
        world_say(&w, world_event("open", NULL));
        for (size_t p = 0; p < 3; p++) {
            CU_ASSERT_EQUAL(v, HOOKFORM_MORE);
            const struct hookform_request *r = world_request(&w);
            CU_ASSERT_EQUAL(r->peer, p);
            CU_ASSERT_STRING_EQUAL(r->url, p == 0   ? "http://127.0.0.1:9093/api/v2/alerts"
                                           : p == 1 ? "http://am2:9093/api/v2/alerts"
                                                    : "http://am3:9093/api/v2/alerts");
            v = world_answer(&w, cases[i].status[p], "");
        }
        CU_ASSERT_EQUAL(v, cases[i].verdict);
        CU_ASSERT_STRING_EQUAL(hookform_why(w.form), cases[i].why);
        CU_ASSERT_EQUAL(hookform_ticket(w.form).there, v == HOOKFORM_DONE);
        world_end(&w);
    }
}

/* --- Answers ------------------------------------------------------------------------- */

static void
each_status_has_its_treatment(void)
{
    static const struct {
        int status;
        enum hookform_verdict verdict;
    } known[] = {{0, HOOKFORM_RETRY},   {100, HOOKFORM_RETRY},    {199, HOOKFORM_RETRY},
                 {200, HOOKFORM_DONE},  {201, HOOKFORM_DONE},     {204, HOOKFORM_DONE},
                 {299, HOOKFORM_DONE},  {300, HOOKFORM_DEAD},     {301, HOOKFORM_DEAD},
                 {302, HOOKFORM_DEAD},  {307, HOOKFORM_DEAD},     {399, HOOKFORM_DEAD},
                 {400, HOOKFORM_DEAD},  {401, HOOKFORM_RETRY},    {403, HOOKFORM_RETRY},
                 {404, HOOKFORM_RETRY}, {405, HOOKFORM_DEAD},     {408, HOOKFORM_RETRY},
                 {409, HOOKFORM_RETRY}, {410, HOOKFORM_DISABLED}, {411, HOOKFORM_DEAD},
                 {413, HOOKFORM_DEAD},  {415, HOOKFORM_DEAD},     {422, HOOKFORM_DEAD},
                 {425, HOOKFORM_RETRY}, {429, HOOKFORM_RETRY},    {499, HOOKFORM_DEAD},
                 {500, HOOKFORM_RETRY}, {503, HOOKFORM_RETRY},    {599, HOOKFORM_RETRY},
                 {600, HOOKFORM_RETRY}, {-1, HOOKFORM_RETRY}};
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    for (size_t i = 0; i < COUNT(known); i++) {
        world_say(&w, world_event("open", NULL));
        world_request(&w);
        CU_ASSERT_EQUAL(world_answer(&w, known[i].status, "x"), known[i].verdict);
        CU_ASSERT_EQUAL(hookform_why(w.form)[0] == '\0', known[i].verdict == HOOKFORM_DONE);
        CU_ASSERT_EQUAL(hookform_ticket(w.form).there, known[i].verdict == HOOKFORM_DONE);
    }
    world_end(&w);
}

static void
retry_after_is_seconds_or_a_date_and_at_most_a_day(void)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } known[] = {{"0", 0},
                 {"3", 3},
                 {" 120 ", 120},
                 {"86400", 86400},
                 {"86401", 86400},
                 {"99999999999999999999999", 86400},
                 {"-3", 0},
                 {"3.5", 0},
                 {"soon", 0},
                 {"", 0},
                 {"Sun, 22 Nov 2026 03:21:00 GMT", 60},
                 {"Sunday, 22-Nov-26 03:21:00 GMT", 60},
                 {"Sun Nov 22 03:21:00 2026", 60},
                 {"Sun, 22 Nov 2026 03:19:59 GMT", 0},
                 {"Sun, 22 Nov 2027 03:21:00 GMT", 86400},
                 {"Sun, 22 Nov 2026 03:21:00 PST", 0},
                 {"Sun, 99 Nov 2026 03:21:00 GMT", 0}};
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    for (size_t i = 0; i < COUNT(known); i++) {
        struct hookform_answer a = {.status = 429, .retry_after = known[i].text, .body = ""};
        world_say(&w, world_event("open", NULL));
        world_request(&w);
        CU_ASSERT_EQUAL(hookform_answer(w.form, &a), HOOKFORM_RETRY);
        CU_ASSERT_EQUAL(hookform_wait(w.form).ns, known[i].seconds * NS_PER_S);
        a.status = 400;
        CU_ASSERT_EQUAL(hookform_answer(w.form, &a), HOOKFORM_DEAD);
        CU_ASSERT_EQUAL(hookform_wait(w.form).ns, 0);
    }
    world_end(&w);
}

static void
reason_is_one_line_without_secrets(void)
{
    static const struct {
        const char *body, *why;
    } known[] = {
        {"label is too long", "400: label is too long"},
        {"a\r\nb\tc\x1b[31m", "400: a  b c [31m"},
        {"{\"message\":\"no such\\nthing\",\"x\":1}", "400: no such thing"},
        {"{\"error\":{\"message\":\"Invalid table\",\"detail\":\"d\"}}", "400: Invalid table"},
        {"{\"errorMessages\":[\"Field 'x' is required\"]}", "400: Field 'x' is required"},
        {"", "400: "},
        {"your password is hunter2!", "400: your password is *******!"},
        {"got YW5uOmh1bnRlcjI=", "400: got ****************"},
    };
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.secrets.auth = "ann:hunter2\n";
    for (size_t i = 0; i < COUNT(known); i++) {
        world_say(&w, world_event("open", NULL));
        world_request(&w);
        CU_ASSERT_EQUAL(world_answer(&w, 400, known[i].body), HOOKFORM_DEAD);
        CU_ASSERT_STRING_EQUAL(hookform_why(w.form), known[i].why);
    }
    world_end(&w);
}

static void
answer_cut_off_is_no_answer(void)
{
    struct world w;
    struct hookform_answer a = {.status = 200, .error = "timed out", .body = ""};

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    world_say(&w, world_event("open", NULL));
    world_request(&w);
    CU_ASSERT_EQUAL(hookform_answer(w.form, &a), HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "200, but: timed out");
    world_end(&w);
}

static void
event_of_a_release_to_come_is_refused(void)
{
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    world_say(&w, world_event("sing", NULL));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "the event's action 'sing' is not known");
    world_end(&w);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"webhook is a cloud event", webhook_is_a_cloud_event},
        {"heartbeats and tests have types of their own",
         heartbeats_and_tests_have_types_of_their_own},
        {"webhook is signed by each of its secrets", webhook_is_signed_by_each_of_its_secrets},
        {"secret that is none is refused and not told",
         secret_that_is_none_is_refused_and_not_told},
        {"time is new with each try and the id is not",
         time_is_new_with_each_try_and_the_id_is_not},
        {"auth is a password or a header", auth_is_a_password_or_a_header},
        {"exec reads the event and has four variables",
         exec_reads_the_event_and_has_four_variables},
        {"alert that is open ends five minutes ahead", alert_that_is_open_ends_five_minutes_ahead},
        {"alert that is resolved ended when the problem did",
         alert_that_is_resolved_ended_when_the_problem_did},
        {"severity that changes ends one alert and begins the other",
         severity_that_changes_ends_one_alert_and_begins_the_other},
        {"ref that is none is passed over", ref_that_is_none_is_passed_over},
        {"heartbeat is an alert that ends by itself", heartbeat_is_an_alert_that_ends_by_itself},
        {"each member is told and one that takes it is enough",
         each_member_is_told_and_one_that_takes_it_is_enough},
        {"each status has its treatment", each_status_has_its_treatment},
        {"retry-after is seconds or a date and at most a day",
         retry_after_is_seconds_or_a_date_and_at_most_a_day},
        {"reason is one line without secrets", reason_is_one_line_without_secrets},
        {"answer cut off is no answer", answer_cut_off_is_no_answer},
        {"event of a release to come is refused", event_of_a_release_to_come_is_refused},
        CU_TEST_INFO_NULL,
    };

    return run_suite("hookform", tests);
}
