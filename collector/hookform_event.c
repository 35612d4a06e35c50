/* hookform_event.c - see hookform_parts.h: the event as hooks are told it: clean, readable, not too
 * long. */
#include "hookform_parts.h"

#include <assert.h>
#include <string.h>

#include "value.h"

#define DEPTH_MAX 24u
#define STORY_LIST_MAX 40

/* --- Clean ------------------------------------------------------------------- */

static cJSON *
clean_copy(struct pool *pool, const cJSON *from, unsigned depth)
{
    cJSON *to;

    if (cJSON_IsString(from)) {
        const char *text = from->valuestring;
        to = cJSON_CreateString(hooktext_clean(pool, text, strlen(text), true));
    } else if (depth < DEPTH_MAX && (cJSON_IsObject(from) || cJSON_IsArray(from))) {
        to = cJSON_IsObject(from) ? cJSON_CreateObject() : cJSON_CreateArray();
        assert(to);
        for (const cJSON *i = from->child; i; i = i->next) {
            cJSON *item = clean_copy(pool, i, depth + 1);
            if (cJSON_IsArray(from)) {
                cJSON_AddItemToArray(to, item);
            } else {
                const char *name = i->string ? i->string : "";
                hookform_put_item(to, hooktext_clean(pool, name, strlen(name), false), item);
            }
        }
    } else if (cJSON_IsNumber(from)) {
        to = cJSON_CreateNumber(from->valuedouble);
    } else {
        to = cJSON_IsBool(from) ? cJSON_CreateBool(cJSON_IsTrue(from)) : cJSON_CreateNull();
    }
    assert(to);
    return to;
}

cJSON *
hookform_clean_event(struct pool *pool, const cJSON *event)
{
    cJSON *none = cJSON_IsObject(event) ? NULL : cJSON_CreateObject();
    cJSON *clean = clean_copy(pool, none ? none : event, 0);

    cJSON_Delete(none);
    return clean;
}

/* --- Members ------------------------------------------------------------------ */

static const char *
text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text ? text : "";
}

const char *
hookform_text(const struct hookform *f, const char *name)
{
    return text_of(f->event, name);
}

const char *
hookform_inner(const struct hookform *f, const char *object, const char *name)
{
    return text_of(cJSON_GetObjectItemCaseSensitive(f->event, object), name);
}

struct instant
hookform_time(const struct hookform *f, const char *name)
{
    struct instant at;

    return value_parse_instant(hookform_text(f, name), &at) ? at : instant_of_ns(0);
}

const char *
hookform_field(const struct hookform *f, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(f->event, "fields"), name));
}

const char *
hookform_link(const struct hookform *f)
{
    const char *link = hookform_field(f, "link"), *id = link ? strstr(link, "{{id}}") : NULL;

    if (!link || (strncmp(link, "https://", 8) != 0 && strncmp(link, "http://", 7) != 0)) {
        return NULL;
    }
    return id ? hookform_format(f->pool, "%.*s%s%s", (int)(id - link), link, f->id, id + 6) : link;
}

/* --- For people ---------------------------------------------------------------- */

const char *
hookform_headline(const struct hookform *f, size_t max)
{
    const char *title = hookform_text(f, "title"), *severity = hookform_text(f, "severity");
    const char *format = "[%s] %s";

    switch (f->action) {
    case ACTION_CHANGE:
        format = "[%s, changed] %s";
        break;
    case ACTION_REMIND:
        format = "[%s, still open] %s";
        break;
    case ACTION_RESOLVE:
        severity = "resolved";
        break;
    case ACTION_HEARTBEAT:
        severity = "heartbeat";
        break;
    case ACTION_TEST:
        severity = "test";
        break;
    case ACTION_OPEN:
    case ACTIONS:
        break;
    }
    char *word = hooktext_cut(f->pool, *severity ? severity : "problem", 40);
/* The formats above are all there are. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    char *line = hookform_format(f->pool, format, word, *title ? title : f->id);
#pragma GCC diagnostic pop
    return hooktext_cut(f->pool, hooktext_clean(f->pool, line, strlen(line), false), max);
}

static void
tell_line(const struct hookform *f, FILE *to, const char *text)
{
    fputs(hooktext_cut(f->pool, hooktext_clean(f->pool, text, strlen(text), false), 300), to);
}

/* "  key (label): text" */
static void
tell_item(const struct hookform *f, FILE *to, const cJSON *item)
{
    static const char *const names[] = {"key", "kind", "label", "text"};
    static const char *const before[] = {"", "", " (", ": "}, *const behind[] = {"", "", ")", ""};
    const cJSON *bad = cJSON_GetObjectItemCaseSensitive(item, "bad");

    fputs("  ", to);
    if (cJSON_IsString(item)) {
        tell_line(f, to, item->valuestring);
    }
    for (size_t i = 0; i < 4; i++) {
        const char *text = text_of(item, names[i]);
        if (*text) {
            fputs(before[i], to);
            tell_line(f, to, text);
            fputs(behind[i], to);
        }
    }
    fputs(cJSON_IsFalse(bad) ? " [clear]\n" : "\n", to);
}

static void
tell_list(const struct hookform *f, FILE *to, const char *name, const char *heading)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(f->event, name), *item;
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(f->event, "counts");
    double whole = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(counts, name));
    int count = cJSON_GetArraySize(list), told = 0;

    if (!cJSON_IsArray(list) || count == 0) {
        return;
    }
    if (!(whole >= count && whole < 1e9)) {
        whole = count;
    }
    fprintf(to, "\n%s (%.0f):\n", heading, whole);
    cJSON_ArrayForEach(item, list)
    {
        if (told++ == STORY_LIST_MAX) {
            break;
        }
        tell_item(f, to, item);
    }
    if (whole > STORY_LIST_MAX) {
        fprintf(to, "  ... and %.0f more\n", whole - STORY_LIST_MAX);
    }
}

static void
tell_fact(const struct hookform *f, FILE *to, const char *heading, const char *text)
{
    if (*text) {
        fprintf(to, "%s: ", heading);
        tell_line(f, to, text);
        fputc('\n', to);
    }
}

static void
tell_cause(const struct hookform *f, FILE *to)
{
    const char *key = hookform_inner(f, "cause", "key"), *text = hookform_inner(f, "cause", "text");

    if (*key || *text) {
        fprintf(to, "Cause: ");
        tell_line(f, to, hookform_inner(f, "cause", "kind"));
        fputs(*key ? " " : "", to);
        tell_line(f, to, key);
        fputs(*text ? ": " : "", to);
        tell_line(f, to, text);
        fputc('\n', to);
    }
}

const char *
hookform_story(const struct hookform *f, size_t max)
{
    static const struct {
        const char *name, *heading;
    } lists[] = {{"changes", "Changed"},  {"links", "Links"},       {"probes", "Probes"},
                 {"groups", "Groups"},    {"services", "Services"}, {"tenants", "Tenants"},
                 {"evidence", "Evidence"}};
    struct hookform_writer w;

    hookform_begin_text(&w);
    fputs(hooktext_cut(f->pool, hookform_text(f, "text"), 4000), w.to);
    fputs("\n\n", w.to);
    tell_cause(f, w.to);
    tell_fact(f, w.to, "Began", hookform_text(f, "began"));
    tell_fact(f, w.to, "Ended", hookform_text(f, "ended"));
    tell_fact(f, w.to, "Acknowledged by", hookform_inner(f, "acknowledged", "by"));
    tell_fact(f, w.to, "Note", hookform_inner(f, "acknowledged", "note"));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        tell_list(f, w.to, lists[i].name, lists[i].heading);
    }
    if (hookform_link(f)) {
        tell_fact(f, w.to, "\nMore", hookform_link(f));
    }
    fprintf(w.to, "\nPlumbline %s\n", f->id);
    return hooktext_cut(f->pool, hookform_end_text(&w, f->pool, NULL), max);
}

/* --- Not too long --------------------------------------------------------------- */

static cJSON *
cut_copy(struct pool *pool, const cJSON *from, size_t text_max, size_t list_max)
{
    size_t count = 0;

    if (cJSON_IsString(from)) {
        return cJSON_CreateString(hooktext_cut(pool, from->valuestring, text_max));
    }
    if (!cJSON_IsObject(from) && !cJSON_IsArray(from)) {
        return cJSON_Duplicate(from, false);
    }
    /* An object of known members is not cut to pieces; one of labels, which may be many, is. */
    size_t most = cJSON_IsArray(from) || list_max > 40 ? list_max : 40;
    cJSON *to = cJSON_IsObject(from) ? cJSON_CreateObject() : cJSON_CreateArray();
    for (const cJSON *i = from->child; i && count < most; i = i->next, count++) {
        cJSON *item = cut_copy(pool, i, text_max, list_max);
        if (cJSON_IsArray(from)) {
            cJSON_AddItemToArray(to, item);
        } else {
            hookform_put_item(to, hooktext_cut(pool, i->string, 100), item);
        }
    }
    return to;
}

cJSON *
hookform_shrunk(const cJSON *event, size_t max)
{
    size_t text_max = 8192, list_max = 256;

    while (list_max > 0) {
        struct pool *pool = pool_new();
        cJSON *copy = cut_copy(pool, event, text_max, list_max);
        char *text = cJSON_PrintUnformatted(copy);
        assert(text);
        bool fits = strlen(text) <= max;
        cJSON_free(text);
        pool_free(pool);
        if (fits) {
            return copy;
        }
        cJSON_Delete(copy);
        text_max /= text_max > 32 ? 2 : 1;
        list_max = text_max <= 1024 ? list_max / 2 : list_max;
    }
    return cJSON_CreateObject();
}
