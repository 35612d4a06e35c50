/* test_hookform_mail.c - mails as RFC 5322 has them, and hostile text in every kind of hook. */
#include "hookform.h"

#include <openssl/evp.h>

#include "harness.h"
#include "hookform_world.h"
#include "jsontext.h"

/* --- Mail --------------------------------------------------------------------------- */

static const char *to[] = {"noc@example.net", "ops@example.net"};

static void
begin_mail(struct world *w)
{
    world_begin(w, INV_HOOK_MAIL, "smtps://mail.example.net");
    w->hook.to = to;
    w->hook.to_count = 2;
    w->hook.from = "plumbline@example.net";
}

/* The header's field of that name, unfolded; "(none)". */
static const char *
field_of(const char *mail, const char *name)
{
    static char text[4096];
    size_t length = strlen(name), count = 0;
    const char *line = mail;

    while (strncmp(line, "\r\n", 2) != 0) {
        bool found = strncmp(line, name, length) == 0 && line[length] == ':';
        line += found ? length + 1 : 0;
        do {
            size_t rest = strcspn(line, "\r");
            if (found && count + rest < sizeof text) {
                memcpy(text + count, line, rest);
                count += rest;
            }
            line += rest + 2;
        } while (*line == ' ');
        if (found) {
            text[count] = '\0';
            return text + (text[0] == ' ');
        }
    }
    return "(none)";
}

/* "Date,From,To,..." */
static void
names_of(const char *mail, char *names, size_t size)
{
    *names = '\0';
    for (const char *line = mail; strncmp(line, "\r\n", 2) != 0; line = strstr(line, "\r\n") + 2) {
        if (*line != ' ') {
            snprintf(names + strlen(names), size - strlen(names), "%s%.*s", *names ? "," : "",
                     (int)strcspn(line, ":"), line);
        }
    }
}

#define FIRST_NAMES                                                                                \
    "Date,From,To,Subject,Message-ID,Auto-Submitted,MIME-Version,Content-Type,"                    \
    "Content-Transfer-Encoding"
#define LATER_NAMES                                                                                \
    "Date,From,To,Subject,Message-ID,In-Reply-To,References,Auto-Submitted,MIME-Version,"          \
    "Content-Type,Content-Transfer-Encoding"

static void
mail_has_the_header_that_it_must_have(void)
{
    struct world w;
    char names[300];

    begin_mail(&w);
    w.secrets.auth = "me:hunter2\n";
    world_say(&w, world_event("open", NULL));
    const struct hookform_request *r = world_request(&w);
    CU_ASSERT_EQUAL(r->by, HOOKFORM_MAIL);
    CU_ASSERT_STRING_EQUAL(r->url, "smtps://mail.example.net");
    CU_ASSERT_STRING_EQUAL(r->user_password, "me:hunter2");
    CU_ASSERT_EQUAL(r->header_count, 0);
    names_of(r->body, names, sizeof names);
    CU_ASSERT_STRING_EQUAL(names, FIRST_NAMES);
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "Date"), "Sun, 22 Nov 2026 03:20:00 +0000");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "From"), "Plumbline <plumbline@example.net>");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "To"), "noc@example.net, ops@example.net");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "Subject"),
                           "[critical] risk duct-calais: 2 of 2 links cut");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "Message-ID"), "<a1b2c3d4-17@example.net>");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "Auto-Submitted"), "auto-generated");
    CU_ASSERT_STRING_EQUAL(field_of(r->body, "Content-Type"), "text/plain; charset=utf-8");
    CU_ASSERT_PTR_NOT_NULL(strstr(r->body, "\r\n  par1-lon1-a (A): 100% lost\r\n"));
    CU_ASSERT_EQUAL(world_answer(&w, 250, "queued"), HOOKFORM_DONE);
    CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, "<a1b2c3d4-17@example.net>");
    world_end(&w);
}

static void
one_problem_is_one_thread(void)
{
    static const char *const actions[] = {"change", "remind", "resolve"};
    static const char *const refs[] = {"<a1b2c3d4-17@old.example>", "", "<a@b\r\nBcc: x@y>",
                                       "rubbish"};
    struct world w;
    char names[300], id[200];

    begin_mail(&w);
    for (size_t i = 0; i < COUNT(actions); i++) {
        for (size_t k = 0; k < COUNT(refs); k++) {
            const char *root = k == 0 ? refs[0] : "<a1b2c3d4-17@example.net>";
            w.ticket = (struct hookform_ticket){.there = true, .ref = refs[k], .shown = ""};
            world_say(&w, world_event(actions[i], NULL));
            const char *mail = world_request(&w)->body;
            names_of(mail, names, sizeof names);
            CU_ASSERT_STRING_EQUAL(names, LATER_NAMES);
            CU_ASSERT_STRING_EQUAL(field_of(mail, "In-Reply-To"), root);
            CU_ASSERT_STRING_EQUAL(field_of(mail, "References"), root);
            snprintf(id, sizeof id, "<a1b2c3d4-17-3-%s-20261122031415123@example.net>", actions[i]);
            CU_ASSERT_STRING_EQUAL(field_of(mail, "Message-ID"), id);
            CU_ASSERT_EQUAL(world_answer(&w, 250, ""), HOOKFORM_DONE);
            CU_ASSERT_STRING_EQUAL(hookform_ticket(w.form).ref, root);
        }
    }
    /* Nobody was told of its beginning. */
    w.ticket = (struct hookform_ticket){0};
    world_say(&w, world_event("resolve", NULL));
    CU_ASSERT_STRING_EQUAL(field_of(world_request(&w)->body, "In-Reply-To"), "(none)");
    world_say(&w, world_signal("heartbeat"));
    CU_ASSERT_STRING_EQUAL(field_of(world_request(&w)->body, "Message-ID"),
                           "<a1b2c3d4-heartbeat-0-heartbeat-20261122031415123@example.net>");
    world_end(&w);
}

/* The text of a subject in encoded words (RFC 2047), each of which is whole. */
static void
decode_subject(const char *field, char *out, size_t size)
{
    size_t count = 0;

    while (strncmp(field, "=?UTF-8?B?", 10) == 0) {
        unsigned char bytes[100];
        size_t length = strcspn(field + 10, "?");
        CU_ASSERT_TRUE(length + 12 <= 75);
        int got = EVP_DecodeBlock(bytes, (const unsigned char *)field + 10, (int)length);
        got -= (field[10 + length - 1] == '=') + (field[10 + length - 2] == '=');
        CU_ASSERT_TRUE_FATAL(got > 0 && count + (size_t)got < size);
        CU_ASSERT_NOT_EQUAL(bytes[0] & 0xc0, 0x80);
        memcpy(out + count, bytes, (size_t)got);
        count += (size_t)got;
        field += 10 + length + 2;
        field += *field == ' ';
    }
    CU_ASSERT_EQUAL(*field, '\0');
    out[count] = '\0';
}

static void
subject_that_is_not_plain_is_encoded(void)
{
    struct world w;
    char text[1000], title[700] = "", more[800];

    begin_mail(&w);
    for (int i = 0; i < 90; i++) {
        strcat(title, "d\xc3\xa9j\xc3\xa0");
    }
    const char *const titles[][2] = {
        {"caf\xc3\xa9", "[critical] caf\xc3\xa9"},
        {"=?UTF-8?B?eA==?=", "[critical] =?UTF-8?B?eA==?="},
        {"a\\r\\nBcc: x@y\\n\\nHi", "(plain)[critical] a Bcc: x@y  Hi"},
        {"\xff\xfe", "[critical] \xef\xbf\xbd\xef\xbf\xbd"},
        {title, NULL},
    };
    for (size_t i = 0; i < COUNT(titles); i++) {
        snprintf(more, sizeof more, "{\"title\":\"%s\"}", titles[i][0]);
        world_say(&w, world_event("open", more));
        const char *field = field_of(world_request(&w)->body, "Subject");
        if (titles[i][1] && strncmp(titles[i][1], "(plain)", 7) == 0) {
            CU_ASSERT_STRING_EQUAL(field, titles[i][1] + 7);
            continue;
        }
        decode_subject(field, text, sizeof text);
        if (titles[i][1]) {
            CU_ASSERT_STRING_EQUAL(text, titles[i][1]);
        } else {
            CU_ASSERT_TRUE(strlen(text) <= 200 && strlen(text) > 190);
        }
    }
    world_end(&w);
}

static void
unquote(const char *body, char *out)
{
    for (; *body; body++) {
        if (strncmp(body, "=\r\n", 3) == 0) {
            body += 2;
        } else if (*body == '=') {
            char digits[3] = {body[1], body[2], 0};
            *out++ = (char)strtol(digits, NULL, 16);
            body += 2;
        } else if (*body != '\r') {
            *out++ = *body;
        }
    }
    *out = '\0';
}

static void
body_is_quoted_printable_in_short_lines(void)
{
    static char text[20000], plain[20000];
    struct world w;
    size_t count = 0;

    begin_mail(&w);
    while (count < 3000) {
        uint64_t kind = random_below(8);
        const char *piece = kind == 0   ? "\xc3\xa9"
                            : kind == 1 ? "\n.\nFrom x"
                            : kind == 2 ? " \n"
                            : kind == 3 ? "="
                                        : "word ";
        strcpy(text + count, piece);
        count += strlen(piece);
    }
    cJSON *event = world_event("open", NULL);
    cJSON_ReplaceItemInObject(event, "text", cJSON_CreateString(text));
    world_say(&w, event);
    const char *body = strstr(world_request(&w)->body, "\r\n\r\n") + 4;
    for (const char *line = body; *line; line += strcspn(line, "\r") + 2) {
        size_t length = strcspn(line, "\r");
        CU_ASSERT_TRUE(length <= 76);
        CU_ASSERT_EQUAL(line[length + 1], '\n');
        CU_ASSERT_TRUE(length == 0 || (line[length - 1] != ' ' && line[0] != '.'));
        CU_ASSERT_NOT_EQUAL(strncmp(line, "From", 4), 0);
    }
    unquote(body, plain);
    CU_ASSERT_PTR_NOT_NULL(strstr(plain, text));
    world_end(&w);
}

static void
address_that_is_none_makes_no_mail(void)
{
    static const char *const bad[] = {"a@b\r\nBcc: c@d", "a",     "@b",    "a@",
                                      "a@b, c@d",        "<a@b>", "a b@c", ""};
    struct world w;

    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *list[] = {"noc@example.net", bad[i]};
        begin_mail(&w);
        w.hook.to = list;
        world_say(&w, world_event("open", NULL));
        CU_ASSERT_PTR_NULL(hookform_request(w.form));
        CU_ASSERT_PTR_NOT_NULL(strstr(hookform_why(w.form), "is no mail address"));
        world_end(&w);
        begin_mail(&w);
        w.hook.from = bad[i];
        world_say(&w, world_event("open", NULL));
        CU_ASSERT_PTR_NULL(hookform_request(w.form));
        world_end(&w);
    }
}

static void
each_smtp_status_has_its_treatment(void)
{
    static const struct {
        int status;
        const char *error;
        enum hookform_verdict verdict;
    } known[] = {{250, NULL, HOOKFORM_DONE},
                 {250, "connection reset", HOOKFORM_RETRY},
                 {0, "refused", HOOKFORM_RETRY},
                 {0, NULL, HOOKFORM_RETRY},
                 {421, NULL, HOOKFORM_RETRY},
                 {450, "failed", HOOKFORM_RETRY},
                 {499, NULL, HOOKFORM_RETRY},
                 {500, NULL, HOOKFORM_DEAD},
                 {550, "RCPT failed", HOOKFORM_DEAD},
                 {554, NULL, HOOKFORM_DEAD},
                 {530, NULL, HOOKFORM_RETRY},
                 {534, NULL, HOOKFORM_RETRY},
                 {535, "login denied", HOOKFORM_RETRY},
                 {600, NULL, HOOKFORM_RETRY}};
    struct world w;

    begin_mail(&w);
    for (size_t i = 0; i < COUNT(known); i++) {
        struct hookform_answer a = {.status = known[i].status, .error = known[i].error, .body = ""};
        world_say(&w, world_event("open", NULL));
        world_request(&w);
        CU_ASSERT_EQUAL(hookform_answer(w.form, &a), known[i].verdict);
    }
    world_end(&w);
}

/* --- Hostile text in every kind -------------------------------------------------------- */

static const char *hostile_text;

/* Every text in it, whatever it is for, and every name of a label. */
static void
poison(cJSON *o)
{
    cJSON *item;

    cJSON_ArrayForEach(item, o)
    {
        bool kept = item->string &&
                    (strcmp(item->string, "action") == 0 || strcmp(item->string, "labels") == 0);
        if (cJSON_IsString(item) && !kept) {
            cJSON_SetValuestring(item, hostile_text);
        }
        if (item->string && strcmp(item->string, "labels") == 0) {
            cJSON_AddStringToObject(item, hostile_text, hostile_text);
        }
        poison(item);
    }
}

static void
check_text(const char *text)
{
    for (const char *p = text; *p; p++) {
        CU_ASSERT_FALSE((unsigned char)*p < 0x20 || *p == 0x7f);
    }
}

static void
check_request(const struct hookform_request *r)
{
    char names[400];
    const char *what;
    size_t where;

    CU_ASSERT_EQUAL(strlen(r->body), r->body_size);
    for (size_t i = 0; i < r->header_count; i++) {
        check_text(r->headers[i].name);
        check_text(r->headers[i].value);
        CU_ASSERT_TRUE(strlen(r->headers[i].value) < 1000);
    }
    for (const char *p = r->url; *p; p++) {
        CU_ASSERT_TRUE(*p > 0x20 && *p < 0x7f);
    }
    if (r->by == HOOKFORM_MAIL) {
        names_of(r->body, names, sizeof names);
        CU_ASSERT_TRUE(strcmp(names, FIRST_NAMES) == 0 || strcmp(names, LATER_NAMES) == 0);
    } else if (r->body_size > 0) {
        CU_ASSERT_TRUE(jsontext_check(r->body, r->body_size, &where, &what));
    }
}

static const struct {
    enum inv_hook_kind kind;
    const char *url, *template_;
} kinds[] = {
    {INV_HOOK_WEBHOOK, "https://h.example/", NULL},
    {INV_HOOK_WEBHOOK, "https://h.example/",
     "%% find GET /s?q={{title}}\n%% ref key\n%% open POST /x/{{title|20}}\n%% ref key\n"
     "{\"a\":\"{{title}}\",\"b\":{{title}},\"{{title}}\":{{links}},\"s\":\"{{story}}{{headline}}\"}"
     "\n"
     "%% change POST /i/{{ref}}\n[\"{{ref}}\"]\n%% resolve POST /r/{{ref}}\n{}"},
    {INV_HOOK_SERVICENOW_INCIDENT, "https://h.example/", NULL},
    {INV_HOOK_SERVICENOW_EVENT, "https://h.example/", NULL},
    {INV_HOOK_PAGERDUTY, "https://h.example/", NULL},
    {INV_HOOK_ALERTMANAGER, "https://h.example/", NULL},
    {INV_HOOK_EXEC, "/bin/true", NULL},
    {INV_HOOK_MAIL, "smtp://h.example/", NULL},
};

static void
say_hostile(size_t kind, const char *action, const char *answer)
{
    struct world w;
    struct inv_label field = {"f", hostile_text};
    cJSON *event = world_event(action, NULL);
    enum hookform_verdict v = HOOKFORM_MORE;

    begin_mail(&w);
    w.hook.kind = kinds[kind].kind;
    w.hook.url = kinds[kind].url;
    w.hook.command = "/bin/true";
    w.hook.template_file = kinds[kind].template_ ? "t" : NULL;
    w.secrets.template_ = kinds[kind].template_;
    w.secrets.auth = "key: v";
    w.hook.fields = (struct inv_labels){&field, 1};
    w.ticket = (struct hookform_ticket){
        .there = strcmp(action, "open") != 0, .ref = hostile_text, .shown = hostile_text};
    poison(event);
    world_say(&w, event);
    for (int step = 0; v == HOOKFORM_MORE && step < 5; step++) {
        const struct hookform_request *r = hookform_request(w.form);
        if (!r) {
            v = HOOKFORM_DONE; /* No such message there. */
            CU_ASSERT_STRING_EQUAL(hookform_why(w.form), "");
            CU_ASSERT_TRUE(strcmp(action, "heartbeat") == 0 || kinds[kind].template_);
            break;
        }
        check_request(r);
        int status = kinds[kind].kind == INV_HOOK_EXEC        ? 0
                     : kinds[kind].kind == INV_HOOK_PAGERDUTY ? 202
                                                              : 200;
        v = world_answer(&w, status, answer);
        CU_ASSERT_TRUE(v == HOOKFORM_MORE || v == HOOKFORM_DONE || v == HOOKFORM_RETRY);
        check_text(hookform_why(w.form));
        check_text(hookform_ticket_url(w.form));
    }
    CU_ASSERT_NOT_EQUAL(v, HOOKFORM_MORE);
    world_end(&w);
}

static void
hostile_text_breaks_nothing(void)
{
    static const char *const actions[] = {"open",    "change", "remind",
                                          "resolve", "test",   "heartbeat"};
    static const char *const answers[] = {
        "", "{\"key\":\"x\\r\\ny/../z?\",\"result\":{\"sys_id\":\"ab\",\"number\":\"\\r\\nX: y\"}}",
        "{\"key\":\"x\",\"result\":[{\"sys_id\":\"a\",\"number\":\"\\u0000\\n\",\"state\":\"1\"}]}",
        "\xff\xfe\x01\r\n"};
    char *long_ = calloc(1, 10241);
    const char *const texts[] = {"a\r\nBcc: evil@example\r\n\r\nbody",
                                 "\"},{\"x\":\"",
                                 "\\",
                                 "\x01\x02\x1b[2J\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae",
                                 "\xff\xc3\x28\xed\xa0\x80\xf8",
                                 "; rm -rf / #$(x)`y`",
                                 "{{title}}{{#x}}",
                                 "?&#^ %0d%0a",
                                 "",
                                 long_};

    memset(long_, '\r', 10240);
    for (size_t i = 0; i < 10240; i += 3) {
        memcpy(long_ + i, i % 2 ? "\xc3" : "\n", 1);
    }
    for (size_t t = 0; t < COUNT(texts); t++) {
        hostile_text = texts[t];
        for (size_t k = 0; k < COUNT(kinds); k++) {
            for (size_t a = 0; a < COUNT(actions); a++) {
                for (size_t i = 0; i < COUNT(answers); i++) {
                    say_hostile(k, actions[a], answers[i]);
                }
            }
        }
    }
    free(long_);
}

static void
event_of_nothing_breaks_nothing(void)
{
    static const char *const events[] = {
        "{}",
        "[]",
        "null",
        "\"x\"",
        "{\"action\":1}",
        "{\"action\":\"open\"}",
        "{\"action\":\"open\",\"links\":{\"a\":1},\"cause\":[1],\"counts\":7}",
        "{\"action\":\"open\",\"title\":null,\"severity\":{},\"rules\":1}"};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t i = 0; i < COUNT(events); i++) {
            struct world w;
            begin_mail(&w);
            w.hook.kind = kinds[k].kind;
            w.hook.url = kinds[k].url;
            w.hook.command = "/bin/true";
            w.hook.template_file = kinds[k].template_ ? "t" : NULL;
            w.secrets.template_ = kinds[k].template_;
            w.secrets.auth = "key: v";
            world_say(&w, cJSON_Parse(events[i]));
            const struct hookform_request *r = hookform_request(w.form);
            CU_ASSERT_EQUAL(r == NULL, i < 5);
            if (r) {
                check_request(r);
            }
            world_end(&w);
        }
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"mail has the header that it must have", mail_has_the_header_that_it_must_have},
        {"one problem is one thread", one_problem_is_one_thread},
        {"subject that is not plain is encoded", subject_that_is_not_plain_is_encoded},
        {"body is quoted-printable in short lines", body_is_quoted_printable_in_short_lines},
        {"address that is none makes no mail", address_that_is_none_makes_no_mail},
        {"each smtp status has its treatment", each_smtp_status_has_its_treatment},
        {"hostile text breaks nothing", hostile_text_breaks_nothing},
        {"event of nothing breaks nothing", event_of_nothing_breaks_nothing},
        CU_TEST_INFO_NULL,
    };

    return run_suite("hookform mail", tests);
}
