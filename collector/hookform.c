/* hookform.c - see hookform.h: which kind, and how requests are put together. */
#include "hookform.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "hookform_parts.h"

static const struct hookform_kind *
kind_of(const struct inv_hook *hook)
{
    switch (hook->kind) {
    case INV_HOOK_WEBHOOK:
        return hook->template_file ? &hookform_template : &hookform_webhook;
    case INV_HOOK_SERVICENOW_INCIDENT:
        return &hookform_servicenow_incident;
    case INV_HOOK_SERVICENOW_EVENT:
        return &hookform_servicenow_event;
    case INV_HOOK_PAGERDUTY:
        return &hookform_pagerduty;
    case INV_HOOK_ALERTMANAGER:
        return &hookform_alertmanager;
    case INV_HOOK_EXEC:
        return &hookform_exec;
    case INV_HOOK_MAIL:
        break;
    }
    return &hookform_mail;
}

static enum hookform_action
action_of(const char *word)
{
    static const char *const words[ACTIONS] = {"open",    "change",    "remind",
                                               "resolve", "heartbeat", "test"};
    int i = 0;

    while (i < ACTIONS && strcmp(word, words[i]) != 0) {
        i++;
    }
    return (enum hookform_action)i;
}

/* Of one problem, revision and action there may be several deliveries (reminders), which 'at' tells
 * apart: it is the event's own, and thereby the same over tries. */
static const char *
delivery_of(const struct hookform *f)
{
    char digits[24];
    size_t count = 0;
    double revision = cJSON_GetNumberValue(cJSON_GetObjectItem(f->event, "revision"));

    for (const char *p = hookform_text(f, "at"); *p && count + 1 < sizeof digits; p++) {
        if (isdigit((unsigned char)*p)) {
            digits[count++] = *p;
        }
    }
    digits[count] = '\0';
    return hooktext_key(
        f->pool,
        hookform_format(f->pool, "%.80s-%.0f-%.20s-%s", f->id,
                        revision >= 0 && revision < 1e9 ? revision : 0, /* NaN: there is none. */
                        hookform_text(f, "action"), digits));
}

static void
add_fields(struct hookform *f)
{
    if (f->hook->fields.count > 0) {
        cJSON *fields = cJSON_CreateObject();
        for (size_t i = 0; i < f->hook->fields.count; i++) {
            const struct inv_label *l = &f->hook->fields.list[i];
            hookform_put(fields, l->name,
                         hooktext_clean(f->pool, l->value, strlen(l->value), true));
        }
        cJSON_DeleteItemFromObject(f->event, "fields");
        hookform_put_item(f->event, "fields", fields);
    }
}

struct hookform *
hookform_new(const struct inv_hook *hook, const struct hookform_secrets *secrets,
             const cJSON *event, const struct hookform_ticket *ticket, struct instant now,
             unsigned tries)
{
    struct pool *pool = pool_new();
    struct hookform *f = pool_alloc(pool, sizeof *f);

    f->hook = hook;
    f->secrets = secrets;
    f->pool = pool;
    f->now = now;
    f->tries = tries;
    f->known = *ticket;
    f->known.ref = ticket->ref ? ticket->ref : "";
    f->known.shown = ticket->shown ? ticket->shown : "";
    f->ticket = f->known;
    f->ticket_url = "";
    f->kind = kind_of(hook);
    f->event = hookform_clean_event(pool, event);
    f->action = action_of(hookform_text(f, "action"));
    f->id = hooktext_key(pool, hookform_text(f, "id"));
    if (!*f->id) {
        f->id = "unnamed";
    }
    f->delivery = delivery_of(f);
    add_fields(f);
    return f;
}

void
hookform_free(struct hookform *f)
{
    if (f) {
        cJSON_Delete(f->event);
        pool_free(f->pool);
    }
}

const struct hookform_request *
hookform_request(struct hookform *f)
{
    f->why[0] = '\0';
    f->request = (struct hookform_request){.method = "", .url = "", .body = "", .peer = f->peer};
    if (f->action == ACTIONS) {
        hookform_refuse(f, "the event's action '%.40s' is not known", hookform_text(f, "action"));
        return NULL;
    }
    return f->kind->make(f, &f->request) ? &f->request : NULL;
}

enum hookform_verdict
hookform_answer(struct hookform *f, const struct hookform_answer *a)
{
    f->why[0] = '\0';
    f->wait = span_of_ns(0);
    return f->kind->take(f, a);
}

struct span
hookform_wait(const struct hookform *f)
{
    return f->wait;
}

struct hookform_ticket
hookform_ticket(const struct hookform *f)
{
    return f->ticket;
}

const char *
hookform_ticket_url(const struct hookform *f)
{
    return f->ticket_url;
}

const char *
hookform_why(const struct hookform *f)
{
    return f->why;
}

struct span
hookform_again(const struct inv_hook *hook)
{
    return span_of_ns(hook->kind == INV_HOOK_ALERTMANAGER ? 60 * NS_PER_S : 0);
}

/* --- Parts of requests ------------------------------------------------------ */

bool
hookform_refuse(struct hookform *f, const char *format, ...)
{
    char text[HOOKFORM_WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *clean = hooktext_clean(f->pool, text, strlen(text), false);
    size_t length = hooktext_fit(clean, sizeof f->why - 1);
    memcpy(f->why, clean, length);
    f->why[length] = '\0';
    return false;
}

char *
hookform_format(struct pool *pool, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *kept = pool_text(pool, text, (size_t)length);
    free(text);
    return kept;
}

void
hookform_begin_text(struct hookform_writer *w)
{
    w->to = open_memstream(&w->text, &w->size);
    assert(w->to);
}

char *
hookform_end_text(struct hookform_writer *w, struct pool *pool, size_t *size)
{
    int err = fclose(w->to);

    assert(err == 0);
    char *kept = pool_text(pool, w->text, w->size);
    if (size) {
        *size = w->size;
    }
    free(w->text);
    return kept;
}

void
hookform_put_item(cJSON *object, const char *name, cJSON *item)
{
    cJSON_bool good = item && cJSON_AddItemToObject(object, name, item);

    assert(good);
}

void
hookform_put(cJSON *object, const char *name, const char *text)
{
    hookform_put_item(object, name, cJSON_CreateString(text));
}

const char *
hookform_join(struct hookform *f, const char *base, const char *path)
{
    size_t length = strlen(base), tail = strlen(path);

    while (length > 0 && base[length - 1] == '/') {
        length--;
    }
    if (length >= tail && memcmp(base + length - tail, path, tail) == 0) {
        return pool_text(f->pool, base, length);
    }
    return hookform_format(f->pool, "%.*s%s", (int)length, base, path);
}

static bool
is_one_line(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7f) {
            return false;
        }
    }
    return true;
}

bool
hookform_http(struct hookform *f, struct hookform_request *r, const char *method, const char *url)
{
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f) {
            return hookform_refuse(f, "the url has a character that must be written as %%XX");
        }
    }
    r->by = HOOKFORM_HTTP;
    r->method = method;
    r->url = url;
    r->peer = f->peer;
    return hookform_authorize(f, r);
}

bool
hookform_add_header(struct hookform *f, struct hookform_request *r, const char *name,
                    const char *value)
{
    if (!is_one_line(value)) {
        return hookform_refuse(f, "the header %.60s would have a line end in it", name);
    }
    assert(r->header_count < HOOKFORM_HEADERS_MAX);
    r->headers[r->header_count++] = (struct hookform_header){name, value};
    return true;
}

const char *
hookform_secret_line(struct hookform *f, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        length--;
    }
    return length > 0 ? pool_text(f->pool, text, length) : NULL;
}

bool
hookform_authorize(struct hookform *f, struct hookform_request *r)
{
    const char *auth = hookform_secret_line(f, f->secrets->auth);

    if (!auth) {
        return true;
    }
    if (!is_one_line(auth)) {
        return hookform_refuse(f, "auth_file must have one line");
    }
    size_t name = strspn(auth, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");
    if (name > 0 && auth[name] == ':' && auth[name + 1] == ' ') {
        const char *value = auth + name + 2;
        return hookform_add_header(f, r, pool_text(f->pool, auth, name), value);
    }
    if (!strchr(auth, ':')) {
        return hookform_refuse(f, "auth_file must have \"user:password\", or a header such as "
                                  "\"Authorization: Bearer ...\"");
    }
    r->user_password = auth;
    return true;
}

bool
hookform_json(struct hookform *f, struct hookform_request *r, cJSON *body, const char *type)
{
    char *text = cJSON_PrintUnformatted(body);

    assert(text);
    r->body_size = strlen(text);
    r->body = pool_text(f->pool, text, r->body_size);
    cJSON_free(text);
    cJSON_Delete(body);
    return hookform_add_header(f, r, "Content-Type", type);
}
