/* hookform_pagerduty.c - see hookform.h: Events API v2, POST /v2/enqueue.
 *
 * The problem's id is the dedup_key: what is said again goes into the log of the incident that is
 * open.  A test is triggered and resolved at once. */
#include "hookform_parts.h"

#include <string.h>

#define BODY_MAX (512u * 1024u)
#define OURS_MAX (16u * 1024u) /* All but custom_details. */
#define SUMMARY_MAX 1024u
#define NAME_MAX_ 255u

static const char *
severity(const struct hookform *f)
{
    static const char *const map[][2] = {
        {"critical", "critical"}, {"major", "error"}, {"minor", "warning"}, {"warning", "warning"}};
    const char *word = hookform_text(f, "severity");

    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if (strcmp(word, map[i][0]) == 0) {
            return map[i][1];
        }
    }
    return "info";
}

/* The hook's field of that name, else ours; what is empty is left out. */
static void
put_named(struct hookform *f, cJSON *o, const char *name, const char *ours)
{
    const char *field = hookform_field(f, name), *text = field ? field : ours;

    if (*text) {
        hookform_put(o, name, hooktext_cut(f->pool, text, NAME_MAX_));
    }
}

static cJSON *
payload(struct hookform *f)
{
    cJSON *o = cJSON_CreateObject();
    const char *title = hookform_text(f, "title"), *cause = hookform_inner(f, "cause", "key");
    struct instant began = hookform_time(f, "began");
    char text[40];

    hookform_put(o, "summary", hooktext_cut(f->pool, *title ? title : f->id, SUMMARY_MAX));
    put_named(f, o, "source", *cause ? cause : "plumbline");
    hookform_put(o, "severity", severity(f));
    hookform_put(o, "timestamp", instant_format(began.ns ? began : f->now, 3, text, sizeof text));
    put_named(f, o, "component", cause);
    put_named(f, o, "group", hookform_inner(f, "cause", "kind"));
    put_named(f, o, "class", hookform_text(f, "what"));
    hookform_put_item(o, "custom_details", hookform_shrunk(f->event, BODY_MAX - OURS_MAX));
    return o;
}

static cJSON *
links(struct hookform *f)
{
    cJSON *list = cJSON_CreateArray();
    const char *link = hookform_link(f);

    if (link && strlen(link) < SUMMARY_MAX) {
        cJSON *o = cJSON_CreateObject();
        hookform_put(o, "href", link);
        hookform_put(o, "text", "Plumbline");
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static bool
resolves(const struct hookform *f)
{
    return f->action == ACTION_RESOLVE || f->step > 0;
}

static bool
make(struct hookform *f, struct hookform_request *r)
{
    const char *key = hookform_secret_line(f, f->secrets->auth);
    const char *url = f->hook->url ? f->hook->url : "https://events.pagerduty.com";

    if (f->action == ACTION_HEARTBEAT) {
        return false; /* It has none; nothing is to be said. */
    }
    if (!key) {
        return hookform_refuse(f, "auth_file must have the routing key");
    }
    cJSON *o = cJSON_CreateObject();
    hookform_put(o, "routing_key", hooktext_clean(f->pool, key, strnlen(key, NAME_MAX_), false));
    hookform_put(o, "event_action", resolves(f) ? "resolve" : "trigger");
    hookform_put(o, "dedup_key", f->id);
    if (!resolves(f)) {
        hookform_put_item(o, "payload", payload(f));
        hookform_put_item(o, "links", links(f));
        hookform_put(o, "client", "Plumbline");
    }
    /* The key is in the body, and no header has it. */
    r->by = HOOKFORM_HTTP;
    r->method = "POST";
    r->url = hookform_join(f, url, "/v2/enqueue");
    return hookform_json(f, r, o, "application/json");
}

static enum hookform_verdict
take(struct hookform *f, const struct hookform_answer *a)
{
    enum hookform_verdict v = hookform_judge(f, a);

    if (v != HOOKFORM_DONE) {
        return v;
    }
    if (a->status != 202) {
        return hookform_odd(f, a, "202");
    }
    if (f->action == ACTION_TEST && f->step++ == 0) {
        return HOOKFORM_MORE;
    }
    f->ticket = (struct hookform_ticket){.there = true, .ref = f->id, .shown = ""};
    return HOOKFORM_DONE;
}

const struct hookform_kind hookform_pagerduty = {make, take};
