/* test_hookform_tickets.c - PagerDuty and ServiceNow: what is sent, field for field, and the
 * dialogue that keeps one ticket a problem. */
#include "hookform.h"

#include "harness.h"
#include "hookform_world.h"

#define SYS_ID "36cac2b57e7e393c03649e2bcf3b58c6"

/* --- PagerDuty ------------------------------------------------------------------- */

static void
begin_pagerduty(struct world *w)
{
    world_begin(w, INV_HOOK_PAGERDUTY, NULL);
    w->secrets.auth = "R0UT1NGKEY\n";
}

static void
pagerduty_is_triggered_field_for_field(void)
{
    static const char *const actions[] = {"open", "change", "remind"};
    struct world w;

    begin_pagerduty(&w);
    for (size_t i = 0; i < COUNT(actions); i++) {
        cJSON *event = world_event(actions[i], NULL);
        char *details = cJSON_PrintUnformatted(event), expected[8192];
        snprintf(expected, sizeof expected,
                 "{\"routing_key\":\"R0UT1NGKEY\",\"event_action\":\"trigger\","
                 "\"dedup_key\":\"a1b2c3d4-17\",\"payload\":{"
                 "\"summary\":\"risk duct-calais: 2 of 2 links cut\",\"source\":\"duct-calais\","
                 "\"severity\":\"critical\",\"timestamp\":\"2026-11-22T03:14:10.000Z\","
                 "\"component\":\"duct-calais\",\"group\":\"risk\",\"class\":\"loss\","
                 "\"custom_details\":%s},\"links\":[],\"client\":\"Plumbline\"}",
                 details);
        free(details);
        world_say(&w, event);
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->method, "POST");
        CU_ASSERT_STRING_EQUAL(r->url, "https://events.pagerduty.com/v2/enqueue");
        CU_ASSERT_STRING_EQUAL(world_header(r, "Content-Type"), "application/json");
        CU_ASSERT_PTR_NULL(r->user_password);
        CU_ASSERT_EQUAL(r->header_count, 1);
        CU_ASSERT_TRUE(world_is(r->body, expected));
        CU_ASSERT_EQUAL(world_answer(&w, 202, "{\"status\":\"success\"}"), HOOKFORM_DONE);
        CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "a1b2c3d4-17");
    }
    world_end(&w);
}

static void
pagerduty_is_resolved_by_its_key(void)
{
    struct world w;

    begin_pagerduty(&w);
    w.hook.url = "https://events.eu.pagerduty.com/v2/enqueue";
    world_say(&w, world_event("resolve", NULL));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->url, "https://events.eu.pagerduty.com/v2/enqueue");
    CU_ASSERT_TRUE(world_is(r->body, "{\"routing_key\":\"R0UT1NGKEY\",\"event_action\":\"resolve\","
                                     "\"dedup_key\":\"a1b2c3d4-17\"}"));
    world_end(&w);
}

static void
pagerduty_has_four_severities_and_fields_of_the_hook(void)
{
    static const char *const map[][2] = {{"critical", "critical"}, {"major", "error"},
                                         {"minor", "warning"},     {"warning", "warning"},
                                         {"info", "info"},         {"other", "info"}};
    struct inv_label fields[] = {
        {"class", "underlay"}, {"group", "noc"}, {"link", "https://p.example/x?p={{id}}"}};
    struct world w;

    begin_pagerduty(&w);
    w.hook.fields = (struct inv_labels){fields, COUNT(fields)};
    for (size_t i = 0; i < COUNT(map); i++) {
        char more[40];
        snprintf(more, sizeof more, "{\"severity\":\"%s\"}", map[i][0]);
        world_say(&w, world_event("open", more));
        const char *body = world_request(&w)->body;
        CU_ASSERT_STRING_EQUAL(world_at(body, "payload.severity"), map[i][1]);
        CU_ASSERT_STRING_EQUAL(world_at(body, "payload.class"), "underlay");
        CU_ASSERT_STRING_EQUAL(world_at(body, "payload.group"), "noc");
        CU_ASSERT_STRING_EQUAL(world_at(body, "links.0.href"), "https://p.example/x?p=a1b2c3d4-17");
    }
    world_end(&w);
}

static void
pagerduty_test_leaves_nothing_and_a_heartbeat_is_not_said(void)
{
    struct world w;

    begin_pagerduty(&w);
    world_say(&w, world_signal("heartbeat"));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "");
    world_say(&w, world_signal("test"));
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "event_action"), "trigger");
    CU_ASSERT_EQUAL(world_answer(&w, 202, "{}"), HOOKFORM_MORE);
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "event_action"), "resolve");
    CU_ASSERT_EQUAL(world_answer(&w, 202, "{}"), HOOKFORM_DONE);
    world_end(&w);
}

static void
pagerduty_says_202_or_it_is_not_pagerduty(void)
{
    struct world w;

    begin_pagerduty(&w);
    world_say(&w, world_event("open", NULL));
    world_request(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, "<html>Sign in</html>"), HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form),
                           "200: expected 202; is url right?: <html>Sign in</html>");
    CU_ASSERT_EQUAL(world_answer(&w, 400, "{\"status\":\"invalid event\",\"message\":\"bad\"}"),
                    HOOKFORM_DEAD);
    CU_ASSERT_EQUAL(world_answer(&w, 429, ""), HOOKFORM_RETRY);
    CU_ASSERT_FALSE(hookform_ticket(w.form).there);
    w.secrets.auth = NULL;
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "auth_file must have the routing key");
    world_end(&w);
}

/* The API's limits: a summary of 1024, a key of 255, 512 KB in all; cut between characters. */
static void
pagerduty_is_never_told_too_much(void)
{
    struct world w;
    cJSON *event = world_event("open", NULL), *links = cJSON_CreateArray();
    char *title = calloc(1, 4001), *label = calloc(1, 10001);

    begin_pagerduty(&w);
    for (int i = 0; i < 2000; i++) {
        memcpy(title + 2 * i, "\xc3\xa9", 2);
    }
    memset(label, 'x', 10000);
    for (int i = 0; i < 200; i++) {
        cJSON *link = cJSON_CreateObject(), *labels = cJSON_CreateObject();
        cJSON_AddStringToObject(link, "key", "l");
        for (int l = 0; l < 3; l++) {
            char name[20];
            snprintf(name, sizeof name, "n%d", l);
            cJSON_AddStringToObject(labels, name, label);
        }
        cJSON_AddItemToObject(link, "labels", labels);
        cJSON_AddItemToArray(links, link);
    }
    cJSON_ReplaceItemInObject(event, "title", cJSON_CreateString(title));
    cJSON_ReplaceItemInObject(event, "id", cJSON_CreateString(label));
    cJSON_ReplaceItemInObject(event, "links", links);
    world_say(&w, event);
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_TRUE(r->body_size <= 512 * 1024);
    CU_ASSERT_TRUE(r->body_size > 100 * 1024);
    CU_ASSERT_EQUAL(strlen(world_at(r->body, "payload.summary")), 1020 + 3);
    CU_ASSERT_TRUE(strlen(world_at(r->body, "dedup_key")) <= 255);
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "payload.custom_details.what"), "loss");
    free(title);
    free(label);
    world_end(&w);
}

/* --- ServiceNow incidents ----------------------------------------------------------- */

static struct inv_label fields[] = {{"assignment_group", "NOC-L1"},
                                    {"close_code", "Resolved by caller"},
                                    {"correlation_id", "never"}};

static void
begin_servicenow(struct world *w)
{
    world_begin(w, INV_HOOK_SERVICENOW_INCIDENT, "https://ops.example.net");
    w->hook.fields = (struct inv_labels){fields, COUNT(fields)};
    w->secrets.auth = "plumbline:hunter2";
}

static void
expect_question(struct world *w)
{
    const struct hookform_request *r = world_request(w);

    CU_ASSERT_STRING_EQUAL(r->method, "GET");
    CU_ASSERT_STRING_EQUAL(r->url,
                           "https://ops.example.net/api/now/table/incident"
                           "?sysparm_query=correlation_id=a1b2c3d4-17%5EORDERBYDESCsys_created_on"
                           "&sysparm_limit=1&sysparm_fields=sys_id,number,state");
    CU_ASSERT_STRING_EQUAL(r->user_password, "plumbline:hunter2");
    CU_ASSERT_STRING_EQUAL(world_header(r, "Accept"), "application/json");
    CU_ASSERT_EQUAL(r->body_size, 0);
}

/* 'state' of what is there; 0: nothing is. */
static enum hookform_verdict
tell_what_there_is(struct world *w, int state)
{
    char body[200];

    snprintf(body, sizeof body,
             "{\"result\":[{\"sys_id\":\"" SYS_ID
             "\",\"number\":\"INC0010001\",\"state\":\"%d\"}]}",
             state);
    return world_answer(w, 200, state ? body : "{\"result\":[]}");
}

static void
incident_is_created_when_there_is_none(void)
{
    struct world w;

    begin_servicenow(&w);
    world_say(&w, world_event("open", NULL));
    expect_question(&w);
    CU_ASSERT_EQUAL(tell_what_there_is(&w, 0), HOOKFORM_MORE);
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->method, "POST");
    CU_ASSERT_TRUE(r->once);
    CU_ASSERT_STRING_EQUAL(r->url, "https://ops.example.net/api/now/table/incident"
                                   "?sysparm_fields=sys_id,number,state");
    CU_ASSERT_STRING_EQUAL(world_header(r, "Content-Type"), "application/json");
    cJSON *body = cJSON_Parse(r->body);
    CU_ASSERT_PTR_NOT_NULL(strstr(world_at(r->body, "description"), "par1-lon1-a (A): 100% lost"));
    cJSON_DeleteItemFromObject(body, "description");
    char *rest = cJSON_PrintUnformatted(body);
    CU_ASSERT_TRUE(
        world_is(rest, "{\"short_description\":\"risk duct-calais: 2 of 2 links cut\","
                       "\"correlation_id\":\"a1b2c3d4-17\",\"correlation_display\":\"Plumbline\","
                       "\"impact\":\"1\",\"urgency\":\"1\",\"assignment_group\":\"NOC-L1\"}"));
    free(rest);
    cJSON_Delete(body);
    CU_ASSERT_EQUAL(world_answer(&w, 201,
                                 "{\"result\":{\"sys_id\":\"" SYS_ID
                                 "\",\"number\":\"INC0010001\",\"state\":\"1\"}}"),
                    HOOKFORM_DONE);
    CU_ASSERT_TRUE(hookform_ticket(w.form).there);
    CU_ASSERT_FALSE(hookform_ticket(w.form).closed);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, SYS_ID);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).shown, "INC0010001");
    CU_ASSERT_STRING_EQUAL(hookform_ticket_url(w.form),
                           "https://ops.example.net/nav_to.do?uri=incident.do%3Fsys_id%3D" SYS_ID);
    world_end(&w);
}

/* An answer was lost: the one that is there is taken, and no other made. */
static void
incident_that_is_there_is_patched(void)
{
    static const struct {
        const char *action, *members;
    } known[] = {{"open", "short_description,impact,urgency,work_notes"},
                 {"change", "short_description,impact,urgency,work_notes"},
                 {"remind", "work_notes"},
                 {"resolve", "state,close_code,close_notes"}};
    struct world w;

    begin_servicenow(&w);
    for (size_t i = 0; i < COUNT(known); i++) {
        char members[200] = "";
        world_say(&w, world_event(known[i].action, NULL));
        expect_question(&w);
        CU_ASSERT_EQUAL(tell_what_there_is(&w, 2), HOOKFORM_MORE);
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->method, "PATCH");
        CU_ASSERT_FALSE(r->once);
        CU_ASSERT_STRING_EQUAL(r->url, "https://ops.example.net/api/now/table/incident/" SYS_ID
                                       "?sysparm_fields=sys_id,number,state");
        cJSON *body = cJSON_Parse(r->body), *item;
        cJSON_ArrayForEach(item, body)
        {
            snprintf(members + strlen(members), sizeof members - strlen(members), "%s%s",
                     *members ? "," : "", item->string);
        }
        cJSON_Delete(body);
        CU_ASSERT_STRING_EQUAL(members, known[i].members);
        CU_ASSERT_EQUAL(tell_what_there_is(&w, 0), HOOKFORM_RETRY); /* A list is no record. */
        CU_ASSERT_EQUAL(world_answer(&w, 200,
                                     "{\"result\":{\"sys_id\":\"" SYS_ID
                                     "\",\"number\":\"INC0010001\",\"state\":\"2\"}}"),
                        HOOKFORM_DONE);
    }
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "state"), "6");
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "close_code"), "Resolved by caller");
    world_end(&w);
}

static void
incident_that_is_closed_is_followed_by_another(void)
{
    static const struct {
        const char *action;
        int state;
        const char *method, *state_sent;
    } known[] = {{"open", 7, "POST", ""},    {"open", 8, "POST", ""},   {"change", 6, "POST", ""},
                 {"change", 7, "POST", ""},  {"remind", 7, "POST", ""}, {"open", 6, "PATCH", "2"},
                 {"change", 3, "PATCH", ""}, {"open", 1, "PATCH", ""}};
    struct world w;

    begin_servicenow(&w);
    w.ticket = (struct hookform_ticket){.there = true, .ref = SYS_ID, .shown = "INC0010001"};
    for (size_t i = 0; i < COUNT(known); i++) {
        world_say(&w, world_event(known[i].action, NULL));
        expect_question(&w);
        CU_ASSERT_EQUAL(tell_what_there_is(&w, known[i].state), HOOKFORM_MORE);
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->method, known[i].method);
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "state"), known[i].state_sent);
        if (strcmp(r->method, "POST") == 0) {
            CU_ASSERT_NSTRING_EQUAL(world_at(r->body, "description"),
                                    "Follows INC0010001, which was closed.\n", 38);
        }
    }
    world_end(&w);
}

static void
resolving_what_is_closed_or_was_never_told_says_nothing(void)
{
    static const int states[] = {0, 6, 7, 8};
    struct world w;

    begin_servicenow(&w);
    for (size_t i = 0; i < COUNT(states); i++) {
        world_say(&w, world_event("resolve", NULL));
        expect_question(&w);
        CU_ASSERT_EQUAL(tell_what_there_is(&w, states[i]), HOOKFORM_DONE);
        CU_ASSERT_EQUAL(hookform_ticket(w.form).there, states[i] != 0);
        CU_ASSERT_EQUAL(hookform_ticket(w.form).closed, states[i] > 6);
    }
    world_end(&w);
}

static void
rubbish_is_never_a_ticket_and_makes_none(void)
{
    static const char *const questions[] = {"",
                                            "<html>Sign in</html>",
                                            "{}",
                                            "[]",
                                            "null",
                                            "{\"result\":{}}",
                                            "{\"result\":[{}]}",
                                            "{\"result\":[{\"sys_id\":\"\"}]}",
                                            "{\"result\":[{\"sys_id\":\"../../x\"}]}",
                                            "{\"result\":[{\"sys_id\":[1]}]}",
                                            "{\"result\":[",
                                            "{\"result\":[null]}"};
    static const char *const records[] = {"",
                                          "{\"result\":[]}",
                                          "{\"result\":{}}",
                                          "{\"sys_id\":\"ab\"}",
                                          "{\"result\":{\"sys_id\":\"a b\"}}",
                                          "{\"result\":{\"sys_id\":null}}"};
    struct world w;

    begin_servicenow(&w);
    for (size_t i = 0; i < COUNT(questions); i++) {
        world_say(&w, world_event("open", NULL));
        expect_question(&w);
        CU_ASSERT_EQUAL(world_answer(&w, 200, questions[i]), HOOKFORM_RETRY);
        CU_ASSERT_FALSE(hookform_ticket(w.form).there);
    }
    for (size_t i = 0; i < COUNT(records); i++) {
        world_say(&w, world_event("open", NULL));
        expect_question(&w);
        tell_what_there_is(&w, 0);
        world_request(&w);
        CU_ASSERT_EQUAL(world_answer(&w, 201, records[i]), HOOKFORM_RETRY);
        CU_ASSERT_FALSE(hookform_ticket(w.form).there);
    }
    char *huge = calloc(1, 65537);
    memset(huge, '[', 65536);
    world_say(&w, world_event("open", NULL));
    expect_question(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, huge), HOOKFORM_RETRY);
    free(huge);
    world_end(&w);
}

/* Old releases answer so to a question without a result; others mean that the table is not there.
 */
static void
no_record_found_is_an_answer(void)
{
    struct world w;

    begin_servicenow(&w);
    world_say(&w, world_event("open", NULL));
    expect_question(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 404, "{\"error\":{\"message\":\"No Record found\"}}"),
                    HOOKFORM_MORE);
    CU_ASSERT_STRING_EQUAL(world_request(&w)->method, "POST");
    world_say(&w, world_event("open", NULL));
    expect_question(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 404, "not here"), HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "404: not here");
    world_end(&w);
}

static void
refused_patch_is_tried_again_from_the_question(void)
{
    struct world w;

    begin_servicenow(&w);
    world_say(&w, world_event("change", NULL));
    expect_question(&w);
    tell_what_there_is(&w, 2);
    world_request(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 403, "{\"error\":{\"message\":\"Operation Failed\"}}"),
                    HOOKFORM_RETRY);
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "403: Operation Failed");
    world_end(&w);
}

static void
test_incident_is_resolved_at_once(void)
{
    static const char record[] =
        "{\"result\":{\"sys_id\":\"" SYS_ID "\",\"number\":\"INC0010009\",\"state\":\"1\"}}";
    struct world w;

    begin_servicenow(&w);
    world_say(&w, world_signal("test"));
    CU_ASSERT_STRING_EQUAL(world_request(&w)->method, "GET");
    CU_ASSERT_EQUAL(tell_what_there_is(&w, 0), HOOKFORM_MORE);
    CU_ASSERT_STRING_EQUAL(world_request(&w)->method, "POST");
    CU_ASSERT_EQUAL(world_answer(&w, 201, record), HOOKFORM_MORE);
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->method, "PATCH");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "state"), "6");
    CU_ASSERT_EQUAL(world_answer(&w, 200, record), HOOKFORM_DONE);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).shown, "INC0010009");
    world_end(&w);
}

/* --- ServiceNow events ---------------------------------------------------------------- */

static void
event_is_sent_field_for_field(void)
{
    static const char *const severities[][2] = {
        {"critical", "1"}, {"major", "2"}, {"minor", "3"}, {"warning", "4"}, {"info", "5"}};
    static const char *const members[] = {
        "source",   "event_class", "node",        "resource",    "type",
        "severity", "message_key", "metric_name", "description", "additional_info"};
    struct world w;

    world_begin(&w, INV_HOOK_SERVICENOW_EVENT, "https://ops.example.net/");
    for (size_t i = 0; i < COUNT(severities); i++) {
        char more[60];
        snprintf(more, sizeof more, "{\"severity\":\"%s\"}", severities[i][0]);
        world_say(&w, world_event("open", more));
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->method, "POST");
        CU_ASSERT_STRING_EQUAL(r->url, "https://ops.example.net/api/now/table/em_event");
        cJSON *body = cJSON_Parse(r->body);
        CU_ASSERT_EQUAL(cJSON_GetArraySize(body), COUNT(members));
        for (size_t m = 0; m < COUNT(members); m++) {
            CU_ASSERT_TRUE(cJSON_IsString(cJSON_GetObjectItem(body, members[m])));
        }
        cJSON_Delete(body);
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "source"), "Plumbline");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "event_class"), "Plumbline a1b2c3d4");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "node"), "duct-calais");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "resource"), "risk");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "metric_name"), "cut");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "type"), "loss");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "message_key"), "a1b2c3d4-17");
        CU_ASSERT_STRING_EQUAL(world_at(r->body, "severity"), severities[i][1]);
        char *info = strdup(world_at(r->body, "additional_info"));
        CU_ASSERT_STRING_EQUAL(world_at(info, "links.0.key"), "par1-lon1-a");
        free(info);
        CU_ASSERT_EQUAL(world_answer(&w, 200, "ok"), HOOKFORM_RETRY);
        CU_ASSERT_EQUAL(world_answer(&w, 201, "{\"result\":{\"sys_id\":\"ab\"}}"), HOOKFORM_DONE);
    }
    world_say(&w, world_event("resolve", NULL));
    CU_ASSERT_STRING_EQUAL(world_at(world_request(&w)->body, "severity"), "0");
    world_end(&w);
}

/* Lists are cut when texts alone do not do; it stays JSON. */
static void
additional_info_of_a_big_problem_fits(void)
{
    struct world w;
    cJSON *event = world_event("open", NULL), *links = cJSON_CreateArray();

    for (int i = 0; i < 200; i++) {
        cJSON *link = cJSON_CreateObject();
        cJSON_AddStringToObject(link, "key", "a-link-of-many");
        cJSON_AddItemToArray(links, link);
    }
    cJSON_ReplaceItemInObject(event, "links", links);
    world_begin(&w, INV_HOOK_SERVICENOW_EVENT, "https://ops.example.net/");
    world_say(&w, event);
    char *info = strdup(world_at(world_request(&w)->body, "additional_info"));
    CU_ASSERT_TRUE(strlen(info) <= 4000 && strlen(info) > 1000);
    CU_ASSERT_STRING_EQUAL(world_at(info, "links.0.key"), "a-link-of-many");
    CU_ASSERT_STRING_EQUAL(world_at(info, "what"), "loss");
    free(info);
    world_end(&w);
}

static void
heartbeat_of_an_incident_hook_is_an_event(void)
{
    struct world w;

    begin_servicenow(&w);
    world_say(&w, world_signal("heartbeat"));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->url, "https://ops.example.net/api/now/table/em_event");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "message_key"), "a1b2c3d4-heartbeat");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "type"), "heartbeat");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "severity"), "5");
    CU_ASSERT_EQUAL(world_answer(&w, 201, "{\"result\":{}}"), HOOKFORM_DONE);
    world_end(&w);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"pagerduty is triggered field for field", pagerduty_is_triggered_field_for_field},
        {"pagerduty is resolved by its key", pagerduty_is_resolved_by_its_key},
        {"pagerduty has four severities and fields of the hook",
         pagerduty_has_four_severities_and_fields_of_the_hook},
        {"pagerduty test leaves nothing and a heartbeat is not said",
         pagerduty_test_leaves_nothing_and_a_heartbeat_is_not_said},
        {"pagerduty says 202 or it is not pagerduty", pagerduty_says_202_or_it_is_not_pagerduty},
        {"pagerduty is never told too much", pagerduty_is_never_told_too_much},
        {"incident is created when there is none", incident_is_created_when_there_is_none},
        {"incident that is there is patched", incident_that_is_there_is_patched},
        {"incident that is closed is followed by another",
         incident_that_is_closed_is_followed_by_another},
        {"resolving what is closed or was never told says nothing",
         resolving_what_is_closed_or_was_never_told_says_nothing},
        {"rubbish is never a ticket and makes none", rubbish_is_never_a_ticket_and_makes_none},
        {"no record found is an answer", no_record_found_is_an_answer},
        {"refused patch is tried again from the question",
         refused_patch_is_tried_again_from_the_question},
        {"test incident is resolved at once", test_incident_is_resolved_at_once},
        {"event is sent field for field", event_is_sent_field_for_field},
        {"additional info of a big problem fits", additional_info_of_a_big_problem_fits},
        {"heartbeat of an incident hook is an event", heartbeat_of_an_incident_hook_is_an_event},
        CU_TEST_INFO_NULL,
    };

    return run_suite("hookform tickets", tests);
}
