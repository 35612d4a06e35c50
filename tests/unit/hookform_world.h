/* hookform_world.h - hooks and events of tests, and what is said of them. */
#ifndef PLUMBLINE_HOOKFORM_WORLD_H
#define PLUMBLINE_HOOKFORM_WORLD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <cjson/cJSON.h>

#include "hookform.h"
#include "value.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
#define WORLD_NOW "2026-11-22T03:20:00Z"

/* Of a problem whose id is a1b2c3d4-17; action, state, severity, ended and what else is to be
 * others are put in by world_event(). */
static const char world_problem[] =
    "{\"id\":\"a1b2c3d4-17\",\"number\":17,\"revision\":3,\"installation\":\"a1b2c3d4\","
    "\"action\":\"open\",\"at\":\"2026-11-22T03:14:15.123Z\",\"state\":\"open\","
    "\"severity\":\"critical\",\"what\":\"loss\",\"title\":\"risk duct-calais: 2 of 2 links cut\","
    "\"text\":\"Both links lose all.\\nSince 03:14.\",\"rules\":[\"cut\"],"
    "\"cause\":{\"kind\":\"risk\",\"key\":\"duct-calais\",\"label\":\"Calais\",\"text\":\"all "
    "went\"},"
    "\"began\":\"2026-11-22T03:14:10Z\",\"ended\":null,"
    "\"links\":[{\"key\":\"par1-lon1-a\",\"label\":\"A\",\"labels\":{\"carrier\":\"colt\"},"
    "\"bad\":true,\"text\":\"100% lost\"},{\"key\":\"par1-lon1-b\",\"label\":\"B\",\"labels\":{},"
    "\"bad\":false,\"text\":\"clear\"}],"
    "\"services\":[{\"key\":\"acme-hq-azure\",\"label\":\"\",\"tenant\":\"acme\",\"labels\":{},"
    "\"bad\":true}],\"tenants\":[{\"key\":\"acme\",\"label\":\"ACME SA\"}],"
    "\"counts\":{\"links\":2,\"links_bad\":1,\"services\":1,\"tenants\":1,\"alarms\":4},"
    "\"evidence\":[{\"kind\":\"other_classes\",\"text\":\"be is down too\"}],"
    "\"changes\":[\"b is clear\"],\"acknowledged\":null}";

/* Members of 'more', a JSON object, replace those of the problem's. */
static inline cJSON *
world_event(const char *action, const char *more)
{
    cJSON *event = cJSON_Parse(world_problem), *others = cJSON_Parse(more ? more : "{}"), *item;

    CU_ASSERT_PTR_NOT_NULL_FATAL(event);
    CU_ASSERT_PTR_NOT_NULL_FATAL(others);
    cJSON_ReplaceItemInObject(event, "action", cJSON_CreateString(action));
    if (strcmp(action, "resolve") == 0) {
        cJSON_ReplaceItemInObject(event, "state", cJSON_CreateString("ended"));
        cJSON_ReplaceItemInObject(event, "ended", cJSON_CreateString("2026-11-22T03:19:00Z"));
    }
    while ((item = others->child)) {
        cJSON_DetachItemViaPointer(others, item);
        char *name = strdup(item->string);
        cJSON_DeleteItemFromObject(event, name);
        cJSON_AddItemToObject(event, name, item);
        free(name);
    }
    cJSON_Delete(others);
    return event;
}

/* A heartbeat or a test has these and nothing else. */
static inline cJSON *
world_signal(const char *action)
{
    char text[400];

    snprintf(
        text, sizeof text,
        "{\"id\":\"a1b2c3d4-%s\",\"installation\":\"a1b2c3d4\",\"action\":\"%s\","
        "\"at\":\"2026-11-22T03:14:15.123Z\",\"title\":\"Plumbline says so\",\"text\":\"It does.\","
        "\"severity\":\"info\",\"state\":\"ended\"}",
        action, action);
    return cJSON_Parse(text);
}

struct world {
    struct inv_hook hook;
    struct hookform_secrets secrets;
    struct hookform_ticket ticket;
    unsigned tries;
    cJSON *event;
    struct hookform *form;
};

static inline void
world_begin(struct world *w, enum inv_hook_kind kind, const char *url)
{
    *w = (struct world){.hook = {.key = "h", .kind = kind, .url = url}};
}

static inline struct instant
world_now(void)
{
    struct instant now = {0};

    CU_ASSERT_TRUE(value_parse_instant(WORLD_NOW, &now));
    return now;
}

/* Takes 'event'. */
static inline void
world_say(struct world *w, cJSON *event)
{
    cJSON_Delete(w->event);
    hookform_free(w->form);
    w->event = event;
    w->form = hookform_new(&w->hook, &w->secrets, event, &w->ticket, world_now(), w->tries);
}

static inline void
world_end(struct world *w)
{
    cJSON_Delete(w->event);
    hookform_free(w->form);
    w->event = NULL;
    w->form = NULL;
}

static inline const struct hookform_request *
world_request(struct world *w)
{
    const struct hookform_request *r = hookform_request(w->form);

    if (!r) {
        fprintf(stderr, "no request: %s\n", hookform_why(w->form));
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    return r;
}

static inline enum hookform_verdict
world_answer(struct world *w, int status, const char *body)
{
    struct hookform_answer a = {.status = status, .body = body, .body_size = strlen(body)};

    return hookform_answer(w->form, &a);
}

static inline const char *
world_header(const struct hookform_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (strcmp(r->headers[i].name, name) == 0) {
            return r->headers[i].value;
        }
    }
    return "(none)";
}

/* Whether 'text' is that JSON, whatever the order of members; says what it is where it is not. */
static inline bool
world_is(const char *text, const char *expected)
{
    cJSON *got = cJSON_Parse(text), *want = cJSON_Parse(expected);
    bool same = got && want && cJSON_Compare(got, want, true);

    if (!same) {
        char *pretty = cJSON_Print(got);
        fprintf(stderr, "got %s\nwanted %s\n", pretty ? pretty : text, expected);
        free(pretty);
    }
    cJSON_Delete(got);
    cJSON_Delete(want);
    return same;
}

/* Of a body: the text at names parted by dots ("payload.severity"); "" where there is none. */
static inline const char *
world_at(const char *body, const char *path)
{
    static char text[70000];
    cJSON *o = cJSON_Parse(body);
    const cJSON *at = o;

    text[0] = '\0';
    while (at && *path) {
        char name[100];
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        at = cJSON_IsArray(at) ? cJSON_GetArrayItem(at, atoi(name)) : cJSON_GetObjectItem(at, name);
        path += length + (path[length] == '.');
    }
    if (cJSON_IsString(at)) {
        snprintf(text, sizeof text, "%s", at->valuestring);
    }
    cJSON_Delete(o);
    return text;
}

#endif
