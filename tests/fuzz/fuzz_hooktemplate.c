/* fuzz_hooktemplate.c - any bytes as a template, a NUL, and any as an event: refused with line and
 * column, or JSON, which is what the event's texts cannot change: with each of them empty it has
 * the same members. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooktemplate.h"
#include "jsontext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_hooktemplate: %s\n", what);
        abort();
    }
}

/* How many values it has, in all. */
static size_t
count_of(const char *json, size_t size)
{
    size_t count = 0;
    int in_string = 0;

    for (size_t i = 0; i < size; i++) {
        if (in_string && json[i] == '\\') {
            i++;
        } else if (json[i] == '"') {
            in_string = !in_string;
        } else {
            count += !in_string && strchr(",:{[", json[i]) != NULL;
        }
    }
    return count;
}

static size_t
fill(const struct hooktemplate *t, const char *text, int json)
{
    struct pool *pool = pool_new();
    cJSON *event = cJSON_CreateObject();
    char why[HOOKTEMPLATE_WHY_SIZE];
    const char *what;
    size_t size, where, count = 0;

    cJSON_AddStringToObject(event, "t", text);
    cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "o"), "k", text);
    cJSON *list = cJSON_AddArrayToObject(event, "l");
    for (int i = 0; i < 3; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
    char *out = hooktemplate_fill(t, event, json, pool, &size, why);
    must(out || strchr(why, ':'), "refused without a place");
    if (out && json) {
        must(jsontext_check(out, size, &where, &what), "no JSON");
        cJSON *parsed = cJSON_ParseWithLength(out, size);
        must(parsed != NULL, "no JSON for others");
        cJSON_Delete(parsed);
        count = count_of(out, size) + 1;
    }
    cJSON_Delete(event);
    pool_free(pool);
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t length = end ? (size_t)(end - data) : size;
    char *template_ = strndup((const char *)data, length);
    char *text = end ? strndup((const char *)end + 1, size - length - 1) : strdup("x");
    struct hooktemplate t = {template_, strlen(template_), 1, 1};

    if (*text) {
        size_t count = fill(&t, text, 1), other = fill(&t, "plain", 1);
        must(!count || !other || count == other || strchr(template_, '|'), "a text made members");
        fill(&t, text, 0);
    }
    free(template_);
    free(text);
    return 0;
}
