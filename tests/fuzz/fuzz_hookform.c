/* fuzz_hookform.c - any bytes as an event, as what its texts say, and as a target's answers, for
 * every kind of hook: bodies are JSON, headers and reasons one line, mails have the fields that
 * they should and no other, and a dialogue comes to an end.
 *
 * Input: two octets (action; what is known), then parts with a NUL between them: an event (JSON, or
 * else the text that stands everywhere in one), and answers, an octet of status before each. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookform.h"
#include "jsontext.h"
#include "value.h"

#define PARTS_MAX 6
#define STEPS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_hookform: %s\n", what);
        abort();
    }
}

struct part {
    const uint8_t *bytes;
    size_t size;
};

static size_t
split(const uint8_t *data, size_t size, struct part *parts)
{
    size_t count = 0;

    while (count < PARTS_MAX) {
        const uint8_t *end = size ? memchr(data, 0, size) : NULL;
        size_t length = end ? (size_t)(end - data) : size;
        parts[count++] = (struct part){data, length};
        if (!end) {
            break;
        }
        data += length + 1;
        size -= length + 1;
    }
    return count;
}

/* --- The event ------------------------------------------------------------------ */

static const char *const texts[] = {"id",    "installation", "at",    "severity", "what",
                                    "title", "text",         "began", "ended"};

static cJSON *
make_event(struct part p, const char *action)
{
    cJSON *event = cJSON_ParseWithLength((const char *)p.bytes, p.size);

    if (!cJSON_IsObject(event)) {
        cJSON_Delete(event);
        char *text = strndup((const char *)p.bytes, p.size);
        event = cJSON_CreateObject();
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            cJSON_AddStringToObject(event, texts[i], text);
        }
        cJSON *links = cJSON_AddArrayToObject(event, "links"), *link = cJSON_CreateObject();
        cJSON_AddStringToObject(link, "key", text);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(link, "labels"), text, text);
        cJSON_AddItemToArray(links, link);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "cause"), "key", text);
        free(text);
    }
    cJSON_DeleteItemFromObject(event, "action");
    cJSON_AddStringToObject(event, "action", action);
    return event;
}

/* --- What must hold --------------------------------------------------------------- */

static void
must_be_one_line(const char *text)
{
    for (; *text; text++) {
        must((unsigned char)*text >= 0x20 && *text != 0x7f, "a control character");
    }
}

static void
must_be_mail(const struct hookform_request *r)
{
    static const char *const names[] = {"Date",
                                        "From",
                                        "To",
                                        "Subject",
                                        "Message-ID",
                                        "In-Reply-To",
                                        "References",
                                        "Auto-Submitted",
                                        "MIME-Version",
                                        "Content-Type",
                                        "Content-Transfer-Encoding"};
    const char *line = r->body;
    size_t next = 0;

    while (strncmp(line, "\r\n", 2) != 0) {
        const char *end = strstr(line, "\r\n");
        must(end && end - line < 998, "a line that does not end");
        for (const char *p = line; p < end; p++) {
            must(*p >= 0x20 && *p < 0x7f, "a header that is not plain");
        }
        if (*line != ' ') {
            size_t length = strcspn(line, ":");
            while (next < 11 &&
                   !(strlen(names[next]) == length && strncmp(line, names[next], length) == 0)) {
                next++;
            }
            must(next++ < 11, "a header that should not be there");
        }
        line = end + 2;
    }
    for (const char *p = line; *p; p++) {
        must((*p >= 0x20 && *p < 0x7f) || *p == '\r' || *p == '\n', "a body that is not plain");
    }
}

static void
must_be_whole(const struct hookform_request *r)
{
    const char *what;
    size_t where;

    must(strlen(r->body) == r->body_size, "a NUL in the body");
    for (size_t i = 0; i < r->header_count; i++) {
        must_be_one_line(r->headers[i].name);
        must_be_one_line(r->headers[i].value);
    }
    for (const char *p = r->url; *p; p++) {
        must(*p > 0x20 && *p < 0x7f, "a url that is none");
    }
    if (r->by == HOOKFORM_MAIL) {
        must_be_mail(r);
    } else if (r->body_size > 0) {
        must(jsontext_check(r->body, r->body_size, &where, &what), "a body that is no JSON");
    }
}

/* --- Kinds ----------------------------------------------------------------------------- */

static const char tracker[] =
    "%% find GET /s?q={{title}}\n%% ref issues.0.key\n%% closed issues.0.state done\n"
    "%% open POST /x/{{title|20}}\n%% ref key\n%% page https://x/{{ref}}\n"
    "{\"a\":\"{{title}}\",\"b\":{{title}},\"{{title}}\":{{links}},\"s\":\"{{story}}{{headline}}\","
    "\"l\":[{{#links}}{\"k\":\"{{key}}\",\"v\":{{labels}}}{{^@last}},{{/@last}}{{/links}}]}\n"
    "%% change POST /i/{{ref}}\n[\"{{ref}}\"]\n%% resolve POST /r/{{ref}}\n{}";

static const char *const to[] = {"noc@example.net"};

static void
run(struct inv_hook hook, const cJSON *event, const struct hookform_ticket *ticket,
    const struct part *answers, size_t count, unsigned tries)
{
    const struct hookform_secrets secrets = {
        .auth = "X-Key: v", .secret = "s3cret", .secret_size = 6, .template_ = tracker};
    struct hookform *f = hookform_new(&hook, &secrets, event, ticket,
                                      instant_of_ns(INT64_C(1795317600) * NS_PER_S), tries);
    enum hookform_verdict v = HOOKFORM_MORE;
    size_t step = 0;

    for (; v == HOOKFORM_MORE && step < STEPS_MAX; step++) {
        const struct hookform_request *r = hookform_request(f);
        must_be_one_line(hookform_why(f));
        if (!r) {
            break;
        }
        must_be_whole(r);
        struct part p = step < count ? answers[step] : (struct part){(const uint8_t *)"", 0};
        static const int statuses[] = {200, 201, 202, 204, 0, 301, 400, 404, 410, 429, 500, 250};
        char *body = malloc(p.size ? p.size : 1);
        must(body != NULL, "no memory");
        memcpy(body, p.bytes, p.size);
        struct hookform_answer a = {.status = p.size ? statuses[p.bytes[0] % 12] : 0,
                                    .body = p.size ? body + 1 : body,
                                    .body_size = p.size ? p.size - 1 : 0,
                                    .retry_after =
                                        step % 2 ? "Sun, 22 Nov 2026 03:21:00 GMT" : "7"};
        v = hookform_answer(f, &a);
        free(body);
        must_be_one_line(hookform_why(f));
        must(hookform_wait(f).ns >= 0 && hookform_wait(f).ns <= 86400 * NS_PER_S,
             "a wait without end");
    }
    must(step < STEPS_MAX, "a dialogue without end");
    must(hookform_ticket(f).ref && hookform_ticket(f).shown, "a ticket of nothing");
    must_be_one_line(hookform_ticket_url(f));
    hookform_free(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const actions[] = {"open",    "change",    "remind",
                                          "resolve", "heartbeat", "test"};
    static const char *peers[] = {"http://b:9093"};
    struct part parts[PARTS_MAX];

    if (size < 2) {
        return 0;
    }
    size_t count = split(data + 2, size - 2, parts);
    cJSON *event = make_event(parts[0], actions[data[0] % 6]);
    char *known = strndup((const char *)parts[count - 1].bytes, parts[count - 1].size);
    struct hookform_ticket ticket = {.there = data[1] & 1,
                                     .closed = (data[1] & 2) != 0,
                                     .ref = data[1] & 4 ? known : "OPS-1",
                                     .shown = data[1] & 4 ? known : ""};
    struct inv_label fields[] = {{"f", known}, {"link", known}};
    for (int kind = INV_HOOK_WEBHOOK; kind <= INV_HOOK_MAIL + 1; kind++) {
        struct inv_hook hook = {.key = "h",
                                .kind = kind > INV_HOOK_MAIL ? INV_HOOK_WEBHOOK
                                                             : (enum inv_hook_kind)kind,
                                .url = "https://h.example/x",
                                .command = "/bin/true",
                                .template_file = kind > INV_HOOK_MAIL ? "t" : NULL,
                                .secret_file = "k",
                                .from = "a@b.example",
                                .to_count = 1,
                                .peers = peers,
                                .peer_count = data[1] >> 7,
                                .fields = {fields, data[1] & 8 ? 2 : 0}};
        const char *list[] = {to[0]};
        hook.to = list;
        run(hook, event, &ticket, parts + 1, count - 1, data[1] >> 4 & 3);
    }
    free(known);
    cJSON_Delete(event);
    return 0;
}
