/* test_hooktemplate.c - body templates: the language, what is refused and where, the examples of
 * dist/hooks, and the dialogue with a tracker. */
#include "hooktemplate.h"

#include "harness.h"
#include "hookform_world.h"
#include "jsontext.h"

/* --- JSON by the letter ------------------------------------------------------------- */

static void
json_is_taken_by_the_letter(void)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [ ] ",
                                       "0",
                                       "-0",
                                       "1.5e-3",
                                       "\"\"",
                                       "\"\\u00e9\\n\"",
                                       "\"\xc3\xa9\"",
                                       "true",
                                       "{\"a\":{\"b\":[1,2,{}]},\"c\":null}",
                                       "[[],[[]],{}]",
                                       "\"\xef\xbf\xbd\""};
    static const struct {
        const char *text;
        size_t where;
    } bad[] = {{"", 0},          {"{", 1},     {"[1,]", 3},       {"{\"a\"}", 4}, {"{\"a\":}", 5},
               {"{,}", 1},       {"[1 2]", 3}, {"01", 1},         {"1.", 2},      {"-", 1},
               {"+1", 0},        {"\"a", 2},   {"\"\n\"", 1},     {"\"\\x\"", 2}, {"\"\\u12\"", 5},
               {"\"\xff\"", 1},  {"tru", 0},   {"{} {}", 3},      {"]", 0},       {"[}", 1},
               {"{\"a\":1]", 6}, {"'a'", 0},   {"{\"a\":1,}", 7}, {"nan", 0}};
    const char *what;
    size_t where;

    for (size_t i = 0; i < COUNT(good); i++) {
        CU_ASSERT_TRUE(jsontext_check(good[i], strlen(good[i]), &where, &what));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        CU_ASSERT_FALSE(jsontext_check(bad[i].text, strlen(bad[i].text), &where, &what));
        CU_ASSERT_EQUAL(where, bad[i].where);
        CU_ASSERT_PTR_NOT_NULL(what);
    }
    char deep[2 * JSONTEXT_DEPTH_MAX + 2];
    for (size_t depth = JSONTEXT_DEPTH_MAX; depth <= JSONTEXT_DEPTH_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        CU_ASSERT_EQUAL(jsontext_check(deep, 2 * depth, &where, &what),
                        depth == JSONTEXT_DEPTH_MAX);
    }
}

/* cJSON's own printing is taken, and what is cut off of it is not. */
static void
every_beginning_of_json_is_none(void)
{
    cJSON *event = world_event("open", NULL);
    char *text = cJSON_PrintUnformatted(event);
    size_t size = strlen(text), where;
    const char *what;

    CU_ASSERT_TRUE(jsontext_check(text, size, &where, &what));
    for (size_t i = 0; i < size; i++) {
        char *cut = (char *)exact_copy(text, i);
        CU_ASSERT_FALSE(jsontext_check(cut, i, &where, &what));
        CU_ASSERT_TRUE(where <= i && where + strlen("false") > i);
        free(cut);
    }
    free(text);
    cJSON_Delete(event);
}

/* --- The language --------------------------------------------------------------------- */

static char filled_why[HOOKTEMPLATE_WHY_SIZE];

/* "" where it is refused. */
static const char *
filled(const char *template_, const char *event)
{
    static char text[4096];
    struct hooktemplate t = {template_, strlen(template_), 1, 1};
    struct pool *pool = pool_new();
    cJSON *o = cJSON_Parse(event);
    size_t size;

    CU_ASSERT_PTR_NOT_NULL(o);
    char *out = hooktemplate_fill(&t, o, true, pool, &size, filled_why);
    snprintf(text, sizeof text, "%s", out ? out : "");
    CU_ASSERT_EQUAL(out == NULL, filled_why[0] != '\0');
    CU_ASSERT_TRUE(!out || strlen(out) == size);
    pool_free(pool);
    cJSON_Delete(o);
    return text;
}

static void
tags_are_filled_in(void)
{
    static const struct {
        const char *template_, *text;
    } known[] = {
        {"{\"a\":\"{{t}}\"}", "{\"a\":\"x \\\"y\\\"\\n\\\\z\"}"},
        {"{\"a\":{{t}}}", "{\"a\":\"x \\\"y\\\"\\n\\\\z\"}"},
        {"{\"a\":{{n}},\"b\":\"{{n}}\"}", "{\"a\":17,\"b\":\"17\"}"},
        {"[{{none}},{{null}},{{yes}},{{no}},\"{{none}}{{null}}{{yes}}\"]",
         "[null,null,true,false,\"true\"]"},
        {"{{o}}", "{\"k\":\"v\",\"deep\":{\"x\":1}}"},
        {"\"{{o.deep}}\"", "\"{\\\"x\\\":1}\""},
        {"\"{{ o.deep.x }}{{o.k}}{{o.k.z}}{{l.1.k}}{{l.7.k}}\"", "\"1vb\""},
        {"[{{#l}}\"{{k}}\"{{^@last}},{{/@last}}{{/l}}]", "[\"a\",\"b\"]"},
        {"\"{{#l}}{{#@first}}<{{/@first}}{{n}}{{k}}{{/l}}{{@last}}\"", "\"<17a17bfalse\""},
        {"[{{#w}}{{.}}{{^@last}},{{/@last}}{{/w}}]", "[\"p\",\"q\"]"},
        {"\"{{#none}}1{{/none}}{{^none}}2{{/none}}{{#empty}}3{{/empty}}{{^empty}}4{{/empty}}"
         "{{#t}}5{{/t}}{{#no}}6{{/no}}{{#o}}7{{k}}{{/o}}{{#zero}}8{{/zero}}\"",
         "\"2457v\""},
        {"\"{{! what } this is }}{{t|3}}\"", "\"x \\\"\""},
        {"\"{{accents|2}}\"", "\"\xc3\xa9\xc3\xa9\""},
        {"\"a}} { {b\"", "\"a}} { {b\""},
        {"{\"{{t}}\":1}", "{\"x \\\"y\\\"\\n\\\\z\":1}"},
    };
    static const char event[] =
        "{\"t\":\"x "
        "\\\"y\\\"\\n\\\\z\",\"n\":17,\"null\":null,\"yes\":true,\"no\":false,\"zero\":0,"
        "\"o\":{\"k\":\"v\",\"deep\":{\"x\":1}},\"l\":[{\"k\":\"a\"},{\"k\":\"b\"}],"
        "\"w\":[\"p\",\"q\"],\"empty\":[],\"accents\":\"\xc3\xa9\xc3\xa9\xc3\xa9\"}";

    for (size_t i = 0; i < COUNT(known); i++) {
        CU_ASSERT_STRING_EQUAL(filled(known[i].template_, event), known[i].text);
    }
}

static void
errors_say_where(void)
{
    static const struct {
        const char *template_, *why;
    } known[] = {
        {"{\n \"a\": \"{{t\"}", "2:8: this {{ has no }}"},
        {"{{#t}}", "1:1: this section has no {{/t}}"},
        {"{{#t}}{{#n}}{{/t}}", "1:1: this section has no {{/t}}"},
        {"{{#t}}{{#n}}{{/t}}{{/n}}", "1:19: expected {{/t}}"},
        {"\n{{/t}}", "2:1: nothing is open that {{/t}} could end"},
        {"\"{{t t}}\"", "1:2: expected a name such as links or cause.key"},
        {"\"{{}}\"", "1:2: expected a name of at most 200 octets"},
        {"\"{{@key}}\"", "1:2: expected a name such as links or cause.key"},
        {"\"{{t|}}\"", "1:2: expected a number of characters behind the bar, such as |80"},
        {"\"{{t|0}}\"", "1:2: expected a number of characters behind the bar, such as |80"},
        {"\"{{t|8x}}\"", "1:2: expected a number of characters behind the bar, such as |80"},
        {"\"\\{{t}}\"", "1:3: no tag may stand behind a backslash"},
        {"{\"a\": 1\n \"b\": 2}", "2:2: what comes out is no JSON: expected a comma or } here"},
        {"{\"a\": {{t}} x}", "1:13: what comes out is no JSON: expected a comma or } here"},
        {"[{{#l}}1,{{/l}}]", "1:16: what comes out is no JSON: expected a value here"},
        {"", "1:1: what comes out is no JSON: expected a value here"},
        {"\"\\u12{{t}}\"", "1:6: what comes out is no JSON: expected four hexadecimal digits "
                           "behind \\u here"},
    };

    for (size_t i = 0; i < COUNT(known); i++) {
        CU_ASSERT_STRING_EQUAL(filled(known[i].template_, "{\"t\":\"x\",\"n\":1,\"l\":[1,2]}"), "");
        CU_ASSERT_STRING_EQUAL(filled_why, known[i].why);
    }
}

/* What a value is cannot change what the template says, wherever it stands. */
static void
values_stay_values(void)
{
    static const char *const values[] = {"\", \"admin\": \"yes",
                                         "\\",
                                         "\\\"",
                                         "{{n}}",
                                         "]}",
                                         "1",
                                         "null",
                                         "\\u0022",
                                         "\n",
                                         "*/",
                                         "</script>"};
    static const char *const templates[] = {
        "{\"a\": {{t}}, \"n\": 1}", "{\"a\": \"{{t}}\", \"n\": 1}",
        "{\"a\": \"x\\\\{{t}}\", \"n\": 1}", "{\"a\": [{{t}}, \"{{t}}\"], \"n\": 1}"};

    for (size_t t = 0; t < COUNT(templates); t++) {
        for (size_t v = 0; v < COUNT(values); v++) {
            cJSON *event = cJSON_CreateObject();
            cJSON_AddStringToObject(event, "t", values[v]);
            char *text = cJSON_PrintUnformatted(event);
            cJSON *got = cJSON_Parse(filled(templates[t], text));
            cJSON *a = cJSON_GetObjectItem(got, "a");
            CU_ASSERT_EQUAL(cJSON_GetArraySize(got), 2);
            a = cJSON_IsArray(a) ? cJSON_GetArrayItem(a, 1) : a;
            CU_ASSERT_PTR_NOT_NULL(cJSON_GetStringValue(a));
            const char *value = cJSON_GetStringValue(a);
            CU_ASSERT_STRING_EQUAL(value + (t == 2 ? 2 : 0), values[v]);
            cJSON_Delete(got);
            free(text);
            cJSON_Delete(event);
        }
    }
}

static void
it_ends_however_lists_stand_in_lists(void)
{
    char event[2048] = "{\"l\":[1", deep[2048] = "";

    for (int i = 0; i < 300; i++) {
        strcat(event, ",1");
    }
    strcat(event, "]}");
    filled("[{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}]", event);
    CU_ASSERT_STRING_EQUAL(filled_why, "1:14: lists in lists: there is no end of it");
    for (int i = 0; i < 17; i++) {
        strcat(deep, "{{#o}}");
    }
    for (int i = 0; i < 17; i++) {
        strcat(deep, "{{/o}}");
    }
    filled(deep, "{\"o\":{\"x\":1}}");
    CU_ASSERT_STRING_EQUAL(filled_why, "1:97: sections are nested more than 16 deep");
    char *big = calloc(1, 5000);
    memset(big, 'x', 4000);
    memcpy(big, "{{#l}}", 6);
    strcat(big, "{{/l}}");
    filled(big, event);
    CU_ASSERT_PTR_NOT_NULL(strstr(filled_why, "the body is over 1048576 octets"));
    free(big);
}

/* --- A tracker ---------------------------------------------------------------------------- */

static char *
file_of(const char *name)
{
    char path[500];
    char *text = calloc(1, 20000);

    snprintf(path, sizeof path, "%s/%s", HOOKS_FOLDER, name);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fread(text, 1, 19999, file) > 0);
    fclose(file);
    return text;
}

static struct inv_label jira_fields[] = {
    {"done", "31"}, {"issuetype", "Incident"}, {"project", "OPS"}};

static char *
begin_tracker(struct world *w, const char *file)
{
    char *text = file_of(file);

    world_begin(w, INV_HOOK_WEBHOOK, "https://jira.example.net/");
    w->hook.template_file = file;
    w->hook.fields = (struct inv_labels){jira_fields, COUNT(jira_fields)};
    w->secrets.template_ = text;
    w->secrets.auth = "Authorization: Bearer abc";
    return text;
}

static void
expect_search(struct world *w)
{
    const struct hookform_request *r = world_request(w);

    CU_ASSERT_STRING_EQUAL(r->method, "GET");
    CU_ASSERT_STRING_EQUAL(r->url,
                           "https://jira.example.net/rest/api/2/search?jql=labels%3Dplumbline-"
                           "a1b2c3d4-17%20ORDER%20BY%20created%20DESC&maxResults=1&fields=status");
    CU_ASSERT_STRING_EQUAL(world_header(r, "Authorization"), "Bearer abc");
    CU_ASSERT_EQUAL(r->body_size, 0);
}

static const char jira_none[] = "{\"issues\":[]}";
static const char jira_open[] = "{\"issues\":[{\"key\":\"OPS-7\",\"fields\":{\"status\":{"
                                "\"statusCategory\":{\"key\":\"new\"}}}}]}";
static const char jira_done[] = "{\"issues\":[{\"key\":\"OPS-7\",\"fields\":{\"status\":{"
                                "\"statusCategory\":{\"key\":\"done\"}}}}]}";

static void
jira_has_one_issue_a_problem(void)
{
    struct world w;
    char *file = begin_tracker(&w, "jira.json");
    const struct hookform_request *r;

    world_say(&w, world_event("open", NULL));
    expect_search(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, jira_none), HOOKFORM_MORE);
    r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->method, "POST");
    CU_ASSERT_TRUE(r->once);
    CU_ASSERT_STRING_EQUAL(r->url, "https://jira.example.net/rest/api/2/issue");
    CU_ASSERT_STRING_EQUAL(world_header(r, "Content-Type"), "application/json");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "fields.project.key"), "OPS");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "fields.issuetype.name"), "Incident");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "fields.summary"),
                           "risk duct-calais: 2 of 2 links cut");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "fields.labels.1"), "plumbline-a1b2c3d4-17");
    CU_ASSERT_NSTRING_EQUAL(world_at(r->body, "fields.description"), "Both links lose all.\nSince",
                            26);
    CU_ASSERT_EQUAL(world_answer(&w, 201, "{}"), HOOKFORM_RETRY);
    CU_ASSERT_EQUAL(world_answer(&w, 201, "{\"id\":\"10\",\"key\":\"OPS-7\"}"), HOOKFORM_DONE);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "OPS-7");
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).shown, "OPS-7");
    CU_ASSERT_STRING_EQUAL(hookform_ticket_url(w.form), "https://jira.example.net/browse/OPS-7");

    /* A try whose answer was lost. */
    w.tries = 1;
    world_say(&w, world_event("open", NULL));
    expect_search(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, jira_open), HOOKFORM_DONE);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "OPS-7");
    world_end(&w);
    free(file);
}

static void
jira_issue_is_commented_and_moved(void)
{
    static const struct {
        const char *action, *found, *url;
    } known[] = {
        {"change", jira_open, "https://jira.example.net/rest/api/2/issue/OPS-7/comment"},
        {"remind", jira_open, "https://jira.example.net/rest/api/2/issue/OPS-7/comment"},
        {"open", jira_open, "https://jira.example.net/rest/api/2/issue/OPS-7/comment"},
        {"resolve", jira_open, "https://jira.example.net/rest/api/2/issue/OPS-7/transitions"},
        {"change", jira_none, "https://jira.example.net/rest/api/2/issue/OPS-7/comment"},
        {"change", jira_done, "https://jira.example.net/rest/api/2/issue"},
        {"open", jira_done, "https://jira.example.net/rest/api/2/issue"}};
    struct world w;
    char *file = begin_tracker(&w, "jira.json");

    w.ticket = (struct hookform_ticket){.there = true, .ref = "OPS-7", .shown = "OPS-7"};
    for (size_t i = 0; i < COUNT(known); i++) {
        world_say(&w, world_event(known[i].action, NULL));
        expect_search(&w);
        CU_ASSERT_EQUAL(world_answer(&w, 200, known[i].found), HOOKFORM_MORE);
        const struct hookform_request *r = world_request(&w);
        CU_ASSERT_STRING_EQUAL(r->url, known[i].url);
        if (known[i].found == jira_done) {
            CU_ASSERT_NSTRING_EQUAL(world_at(r->body, "fields.description"), "Follows OPS-7.\n",
                                    15);
        }
        if (strcmp(known[i].action, "resolve") == 0) {
            CU_ASSERT_TRUE(world_is(r->body, "{\"transition\":{\"id\":\"31\"}}"));
            CU_ASSERT_EQUAL(world_answer(&w, 204, ""), HOOKFORM_DONE);
            CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "OPS-7");
        }
    }
    world_say(&w, world_event("resolve", NULL));
    expect_search(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, jira_done), HOOKFORM_DONE);
    CU_ASSERT_TRUE(hookform_ticket(w.form).closed);
    world_say(&w, world_event("change", NULL));
    expect_search(&w);
    CU_ASSERT_EQUAL(world_answer(&w, 200, "<html>"), HOOKFORM_RETRY);
    world_end(&w);
    free(file);
}

static void
examples_are_json_for_every_action(void)
{
    static const char *const files[] = {"jira.json", "slack.json", "zendesk.json"};
    static const char *const actions[] = {"open", "change", "remind", "resolve", "test"};
    static const char found[] =
        "{\"issues\":[{\"key\":\"A-1\"}],\"tickets\":[{\"id\":5,\"status\":\"open\"}],"
        "\"key\":\"A-1\",\"ticket\":{\"id\":5}}";

    for (size_t i = 0; i < COUNT(files); i++) {
        struct world w;
        char *file = begin_tracker(&w, files[i]);
        w.ticket = (struct hookform_ticket){.there = true, .ref = "A-1", .shown = ""};
        for (size_t a = 0; a < COUNT(actions); a++) {
            enum hookform_verdict v = HOOKFORM_MORE;
            world_say(&w, a < 4 ? world_event(actions[a], "{\"title\":\"a\\\"\\n\\u0001\\\\b\"}")
                                : world_signal("test"));
            for (int step = 0; v == HOOKFORM_MORE && step < 4; step++) {
                const struct hookform_request *r = world_request(&w);
                cJSON *body = cJSON_Parse(r->body);
                CU_ASSERT_TRUE(body || strcmp(r->method, "GET") == 0);
                cJSON_Delete(body);
                v = world_answer(&w, 200, found);
            }
            CU_ASSERT_EQUAL(v, HOOKFORM_DONE);
        }
        world_end(&w);
        free(file);
    }
}

static void
slack_is_sent_text_and_blocks(void)
{
    struct world w;
    char *file = begin_tracker(&w, "slack.json");

    w.secrets.auth = NULL;
    w.hook.url = "https://hooks.slack.com/services/T0/B0/x";
    world_say(&w, world_event("resolve", NULL));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_STRING_EQUAL(r->url, "https://hooks.slack.com/services/T0/B0/x");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "text"),
                           "[resolved] risk duct-calais: 2 of 2 links cut");
    CU_ASSERT_STRING_EQUAL(world_at(r->body, "blocks.0.type"), "section");
    CU_ASSERT_EQUAL(world_answer(&w, 200, "ok"), HOOKFORM_DONE);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "");
    world_end(&w);
    free(file);
}

static void
file_with_an_error_says_where(void)
{
    static const struct {
        const char *file, *why;
    } known[] = {
        {"%% sing\n{}", "t.json:1:1: expected a part before it, and a value"},
        {"%% open\n%% sing x\n{}", "t.json:2:1: expected an action (open, change, remind, resolve, "
                                   "heartbeat, test, any, find), or ref, shown, closed, page"},
        {"{}\n%% open\n", "t.json:1:1: expected %% and an action before the first body"},
        {"%% open DELETE /\n", "t.json:1:1: expected GET, POST, PUT or PATCH behind the action"},
        {"%% open POST x\n", "t.json:1:1: expected a path that begins with /"},
        {"%%\n", "t.json:1:1: expected an action behind %%"},
        {"\n%% open POST /a/{{title\n{}", "t.json:2:17: this {{ has no }}"},
        {"%% open POST /a\n{\"a\":\n{{/x}}}", "t.json:3:1: nothing is open that {{/x}} could end"},
        {"{\"a\":}", "t.json:1:6: what comes out is no JSON: expected a value here"},
        {"%% open POST /\xc3\xa9\n{}", "the url has a character that must be written as %XX"},
        {NULL, "template t.json is not there"},
    };
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.hook.template_file = "t.json";
    for (size_t i = 0; i < COUNT(known); i++) {
        w.secrets.template_ = known[i].file;
        world_say(&w, world_event("open", NULL));
        CU_ASSERT_PTR_NULL(hookform_request(w.form));
        CU_ASSERT_STRING_EQUAL(hookform_why(w.form), known[i].why);
    }
    world_end(&w);
}

static void
action_without_a_part_is_not_said(void)
{
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.hook.template_file = "t.json";
    w.secrets.template_ = "%% open,resolve\r\n{\"a\": \"{{is.resolve}}{{is.critical}}\"}\n";
    world_say(&w, world_event("remind", NULL));
    CU_ASSERT_PTR_NULL(hookform_request(w.form));
    CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "");
    world_say(&w, world_event("resolve", NULL));
    CU_ASSERT_TRUE(world_is(world_request(&w)->body, "{\"a\":\"truetrue\"}"));
    CU_ASSERT_STRING_EQUAL(world_request(&w)->url, "https://hooks.example/");
    world_end(&w);
}

static void
template_is_signed_where_the_hook_has_a_secret(void)
{
    struct world w;

    world_begin(&w, INV_HOOK_WEBHOOK, "https://hooks.example/");
    w.hook.template_file = "t.json";
    w.secrets.template_ = "{}";
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_STRING_EQUAL(world_header(world_request(&w), "webhook-id"), "(none)");
    w.hook.secret_file = "k";
    w.secrets.secret = "abc";
    w.secrets.secret_size = 3;
    world_say(&w, world_event("open", NULL));
    CU_ASSERT_NSTRING_EQUAL(world_header(world_request(&w), "webhook-signature"), "v1,", 3);
    world_end(&w);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"json is taken by the letter", json_is_taken_by_the_letter},
        {"every beginning of json is none", every_beginning_of_json_is_none},
        {"tags are filled in", tags_are_filled_in},
        {"errors say where", errors_say_where},
        {"values stay values", values_stay_values},
        {"it ends however lists stand in lists", it_ends_however_lists_stand_in_lists},
        {"jira has one issue a problem", jira_has_one_issue_a_problem},
        {"jira issue is commented and moved", jira_issue_is_commented_and_moved},
        {"examples are json for every action", examples_are_json_for_every_action},
        {"slack is sent text and blocks", slack_is_sent_text_and_blocks},
        {"file with an error says where", file_with_an_error_says_where},
        {"action without a part is not said", action_without_a_part_is_not_said},
        {"template is signed where the hook has a secret",
         template_is_signed_where_the_hook_has_a_secret},
        CU_TEST_INFO_NULL,
    };

    return run_suite("hooktemplate", tests);
}
