/* hookform_alertmanager.c - see hookform.h: POST /api/v2/alerts to each member of a cluster.
 *
 * To an Alertmanager an alert is its labels: what changes in a problem's life must not be one of
 * them.  One may: 'severity', which routes and inhibitions need.  When it changes, one POST ends
 * the alert as it was and begins the other, so that one alert is open at any time; the ticket's ref
 * has the labels told last.  What nobody ends, ends by itself 5 minutes after it was told last. */
#include "hookform_parts.h"

#include <string.h>

#define HOLD_S 300
#define TEXT_MAX 4096u
#define NAMES_MAX 40

/* --- Labels ------------------------------------------------------------------------ */

/* [a-zA-Z_][a-zA-Z0-9_]* */
static const char *
label_name(struct hookform *f, const char *name)
{
    char *out = hookform_format(f->pool, "%.100s", *name ? name : "_");

    for (char *p = out; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(p > out && *p >= '0' && *p <= '9')) {
            *p = '_';
        }
    }
    return out;
}

static cJSON *
labels_now(struct hookform *f)
{
    static const char *const names[ACTIONS] = {
        [ACTION_HEARTBEAT] = "PlumblineHeartbeat", [ACTION_TEST] = "PlumblineTest"};
    cJSON *o = cJSON_CreateObject();
    const char *name = names[f->action];

    hookform_put(o, "alertname", name ? name : "PlumblineProblem");
    hookform_put(o, "installation", hooktext_key(f->pool, hookform_text(f, "installation")));
    if (f->action != ACTION_HEARTBEAT) {
        hookform_put(o, "plumbline_id", f->id);
    }
    hookform_put(o, "severity", hooktext_key(f->pool, hookform_text(f, "severity")));
    for (size_t i = 0; i < f->hook->fields.count; i++) {
        const char *field = f->hook->fields.list[i].name, *label = label_name(f, field);
        const char *value = hookform_field(f, field);
        if (value && strcmp(field, "link") != 0 && !cJSON_GetObjectItemCaseSensitive(o, label)) {
            hookform_put(o, label, hooktext_cut(f->pool, value, 1024));
        }
    }
    return o;
}

/* As the ticket's ref has them; NULL: it has none of this problem. */
static cJSON *
labels_told(struct hookform *f)
{
    cJSON *o = f->known.there ? cJSON_Parse(f->known.ref) : NULL;
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(o, "plumbline_id"));
    bool good = cJSON_IsObject(o) && id && strcmp(id, f->id) == 0;
    const cJSON *item;

    cJSON_ArrayForEach(item, o)
    {
        good = good && cJSON_IsString(item);
    }
    if (!good) {
        cJSON_Delete(o);
        return NULL;
    }
    cJSON *clean = hookform_clean_event(f->pool, o);
    cJSON_Delete(o);
    return clean;
}

/* --- Annotations ---------------------------------------------------------------------- */

/* The keys of a list, those that are bad first told. */
static void
annotate_keys(struct hookform *f, cJSON *o, const char *name)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(f->event, name), *item;
    struct hookform_writer w;
    int told = 0;

    if (cJSON_GetArraySize(list) == 0) {
        return;
    }
    hookform_begin_text(&w);
    cJSON_ArrayForEach(item, list)
    {
        const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "key"));
        const cJSON *bad = cJSON_GetObjectItemCaseSensitive(item, "bad");
        if (key && !cJSON_IsFalse(bad) && told++ < NAMES_MAX) {
            fprintf(w.to, "%s%s", told > 1 ? ", " : "", hooktext_cut(f->pool, key, 100));
        }
    }
    if (told > NAMES_MAX) {
        fprintf(w.to, " and %d more", told - NAMES_MAX);
    }
    hookform_put(o, name, hookform_end_text(&w, f->pool, NULL));
}

static cJSON *
annotations(struct hookform *f)
{
    cJSON *o = cJSON_CreateObject();
    const char *cause = hookform_inner(f, "cause", "text"), *title = hookform_text(f, "title");

    hookform_put(o, "summary", hooktext_cut(f->pool, *title ? title : f->id, 1024));
    hookform_put(o, "description", hookform_story(f, TEXT_MAX));
    if (*cause || *hookform_inner(f, "cause", "key")) {
        hookform_put(
            o, "cause",
            hooktext_cut(f->pool,
                         hookform_format(f->pool, "%s %s: %s", hookform_inner(f, "cause", "kind"),
                                         hookform_inner(f, "cause", "key"), cause),
                         1024));
    }
    annotate_keys(f, o, "links");
    annotate_keys(f, o, "services");
    annotate_keys(f, o, "tenants");
    return o;
}

/* --- Alerts ----------------------------------------------------------------------------- */

static void
put_time(cJSON *o, const char *name, struct instant at)
{
    char text[40];

    hookform_put(o, name, instant_format(at, 3, text, sizeof text));
}

/* Takes 'labels'.  It never ends before it begins, which would be refused. */
static void
add_alert(struct hookform *f, cJSON *list, cJSON *labels, struct instant ends)
{
    cJSON *o = cJSON_CreateObject();
    struct instant begin = hookform_time(f, "began");
    const char *link = hookform_link(f);

    if (begin.ns == 0 || instant_before(ends, begin)) {
        begin = instant_before(ends, f->now) ? ends : f->now;
    }
    hookform_put_item(o, "labels", labels);
    hookform_put_item(o, "annotations", annotations(f));
    put_time(o, "startsAt", begin);
    put_time(o, "endsAt", ends);
    hookform_put(o, "generatorURL",
                 link ? link : hookform_format(f->pool, "urn:plumbline:%s", f->id));
    cJSON_AddItemToArray(list, o);
}

static struct instant
after(const struct hookform *f, int64_t seconds)
{
    return instant_add(f->now, span_of_ns(seconds * NS_PER_S));
}

static struct instant
ends_of(const struct hookform *f)
{
    struct instant ended = hookform_time(f, "ended");

    if (f->action == ACTION_HEARTBEAT) {
        int64_t every = f->hook->heartbeat.ns ? f->hook->heartbeat.ns : 60 * NS_PER_S;
        return instant_add(f->now, span_of_ns(3 * every));
    }
    if (f->action != ACTION_RESOLVE) {
        return after(f, HOLD_S);
    }
    return ended.ns == 0 || instant_before(f->now, ended) ? f->now : ended;
}

/* The labels that are told now are kept as the ticket's ref. */
static cJSON *
alerts(struct hookform *f)
{
    cJSON *list = cJSON_CreateArray(), *now = labels_now(f);
    cJSON *before = f->action == ACTION_HEARTBEAT ? NULL : labels_told(f);

    if (before && f->action == ACTION_RESOLVE) {
        cJSON_Delete(now);
        now = before;
    } else if (before && !cJSON_Compare(before, now, true)) {
        add_alert(f, list, before, f->now);
    } else {
        cJSON_Delete(before);
    }
    char *ref = cJSON_PrintUnformatted(now);
    f->parts = pool_text(f->pool, ref, strlen(ref));
    cJSON_free(ref);
    add_alert(f, list, now, ends_of(f));
    return list;
}

static bool
make(struct hookform *f, struct hookform_request *r)
{
    const char *base = f->peer == 0 ? f->hook->url : f->hook->peers[f->peer - 1];
    const char *path = "/api/v2/alerts";

    return hookform_http(f, r, "POST", hookform_join(f, base, path)) &&
           hookform_json(f, r, alerts(f), "application/json");
}

/* One member that takes it is enough: the others are told again within a minute while it is open,
 * and what they missed of its end ends by itself. */
static enum hookform_verdict
take(struct hookform *f, const struct hookform_answer *a)
{
    enum hookform_verdict v = hookform_judge(f, a);
    size_t members = 1 + f->hook->peer_count;

    f->taken = f->taken || v == HOOKFORM_DONE;
    if (v != HOOKFORM_DONE && (f->worst == HOOKFORM_MORE || v == HOOKFORM_RETRY)) {
        f->worst = v;
        f->missed_why = members > 1 ? hookform_format(f->pool, "member %zu: %s", f->peer, f->why)
                                    : hookform_format(f->pool, "%s", f->why);
    }
    if (++f->peer < members) {
        return HOOKFORM_MORE;
    }
    hookform_refuse(f, "%s", f->missed_why ? f->missed_why : "");
    if (!f->taken) {
        return f->worst;
    }
    f->wait = span_of_ns(0);
    if (f->action != ACTION_HEARTBEAT) {
        f->ticket = (struct hookform_ticket){.there = true, .ref = f->parts, .shown = ""};
    }
    return HOOKFORM_DONE;
}

const struct hookform_kind hookform_alertmanager = {make, take};
