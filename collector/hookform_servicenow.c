/* hookform_servicenow.c - see hookform.h: ServiceNow's Table API: incidents, and events of Event
 * Management.
 *
 * An incident is not idempotent, so it is asked first each time which one there is (correlation_id
 * is the problem's id): an answer that was not seen makes no second one, and what people closed
 * there is not touched.  A resolved one (state 6) is opened again when the problem is, which keeps
 * one ticket an episode; one that is closed or cancelled (7, 8) is followed by a new one that names
 * it, and so is a resolved one when the problem never ended.  A test is created and resolved. */
#include "hookform_parts.h"

#include <string.h>

#define SHORT_MAX 160u
#define LONG_MAX 4000u
#define NAME_MAX_ 100u
#define RESOLVED 6

enum step { ASK, WRITE, CLOSE };

/* What the dialogue has found. */
struct found {
    const char *sys_id; /* NULL: none. */
    const char *number;
    int state;
    bool create; /* What is asked is to be created, not patched. */
};

static struct found *
found_of(struct hookform *f)
{
    if (!f->parts) {
        f->parts = pool_alloc(f->pool, sizeof(struct found));
    }
    return f->parts;
}

static const char *
one_of(const struct hookform *f, const char *const *words)
{
    static const char *const severities[] = {"critical", "major", "minor", "warning"};
    const char *severity = hookform_text(f, "severity");
    size_t i = 0;

    while (i < 4 && strcmp(severity, severities[i]) != 0) {
        i++;
    }
    return words[i];
}

/* --- Incidents: what is sent -------------------------------------------------------- */

static const char *const incident_path = "/api/now/table/incident";

static bool
make_question(struct hookform *f, struct hookform_request *r)
{
    const char *url = hookform_format(
        f->pool,
        "%s?sysparm_query=correlation_id=%s%%5EORDERBYDESCsys_created_on&sysparm_limit=1"
        "&sysparm_fields=sys_id,number,state",
        hookform_join(f, f->hook->url, incident_path), f->id);

    return hookform_http(f, r, "GET", url) &&
           hookform_add_header(f, r, "Accept", "application/json");
}

static void
put_weight(const struct hookform *f, cJSON *o)
{
    static const char *const weights[] = {"1", "2", "2", "3", "3"};
    static const char *const urgencies[] = {"1", "1", "2", "3", "3"};

    hookform_put(o, "impact", one_of(f, weights));
    hookform_put(o, "urgency", one_of(f, urgencies));
}

/* As the hook's fields have it; those for the end are not for the beginning. */
static void
put_fields(const struct hookform *f, cJSON *o)
{
    for (size_t i = 0; i < f->hook->fields.count; i++) {
        const char *name = f->hook->fields.list[i].name, *value = hookform_field(f, name);
        if (value && strcmp(name, "close_code") != 0 && strcmp(name, "link") != 0 &&
            strcmp(name, "correlation_id") != 0) {
            cJSON_DeleteItemFromObjectCaseSensitive(o, name);
            hookform_put(o, name, value);
        }
    }
}

static cJSON *
creation(struct hookform *f, const struct found *found)
{
    cJSON *o = cJSON_CreateObject();
    const char *story = hookform_story(f, LONG_MAX - 200);
    const char *title = hookform_text(f, "title");

    if (found->sys_id) {
        story =
            hookform_format(f->pool, "Follows %s, which was closed.\n\n%s", found->number, story);
    }
    hookform_put(o, "short_description", hooktext_cut(f->pool, *title ? title : f->id, SHORT_MAX));
    hookform_put(o, "description", story);
    hookform_put(o, "correlation_id", f->id);
    hookform_put(o, "correlation_display", "Plumbline");
    put_weight(f, o);
    put_fields(f, o);
    return o;
}

static cJSON *
resolution(struct hookform *f)
{
    cJSON *o = cJSON_CreateObject();
    const char *code = hookform_field(f, "close_code");

    hookform_put(o, "state", "6");
    hookform_put(o, "close_code", code ? code : "Solution provided");
    hookform_put(o, "close_notes", hookform_story(f, LONG_MAX));
    return o;
}

/* People may have re-assigned it: fields are not sent again. */
static cJSON *
change(struct hookform *f, const struct found *found)
{
    cJSON *o = cJSON_CreateObject();
    const char *title = hookform_text(f, "title");

    if (found->state == RESOLVED) {
        hookform_put(o, "state", "2");
    }
    if (f->action != ACTION_REMIND) {
        hookform_put(o, "short_description",
                     hooktext_cut(f->pool, *title ? title : f->id, SHORT_MAX));
        put_weight(f, o);
    }
    hookform_put(o, "work_notes",
                 hookform_format(f->pool, "%s\n\n%s", hookform_headline(f, SHORT_MAX + 40),
                                 hookform_story(f, LONG_MAX - 300)));
    return o;
}

static bool
make_incident(struct hookform *f, struct hookform_request *r)
{
    struct found *found = found_of(f);
    const char *base = hookform_join(f, f->hook->url, incident_path);
    const char *options = "?sysparm_fields=sys_id,number,state";
    bool create = f->step == WRITE && found->create;
    cJSON *body;

    if (f->step == ASK) {
        return make_question(f, r);
    }
    if (f->step == CLOSE || f->action == ACTION_RESOLVE) {
        body = resolution(f);
    } else {
        body = create ? creation(f, found) : change(f, found);
    }
    const char *url = create ? hookform_format(f->pool, "%s%s", base, options)
                             : hookform_format(f->pool, "%s/%s%s", base,
                                               hooktext_url(f->pool, found->sys_id), options);
    if (!hookform_http(f, r, create ? "POST" : "PATCH", url)) {
        cJSON_Delete(body);
        return false;
    }
    r->once = create;
    return hookform_json(f, r, body, "application/json") &&
           hookform_add_header(f, r, "Accept", "application/json");
}

/* --- Incidents: what is answered ----------------------------------------------------- */

static bool
read_record(struct hookform *f, const cJSON *record, struct found *found)
{
    const char *sys_id = hookform_answer_text(f, cJSON_GetObjectItem(record, "sys_id"));
    const char *number = hookform_answer_text(f, cJSON_GetObjectItem(record, "number"));
    const char *state = hookform_answer_text(f, cJSON_GetObjectItem(record, "state"));

    if (!sys_id || sys_id[strspn(sys_id, "0123456789abcdefABCDEF")] != '\0') {
        return false;
    }
    found->sys_id = sys_id;
    found->number = number ? number : sys_id;
    found->state =
        state && state[1] == '\0' && state[0] >= '0' && state[0] <= '9' ? state[0] - '0' : 0;
    return true;
}

static void
keep_ticket(struct hookform *f, const struct found *found)
{
    f->ticket = (struct hookform_ticket){.there = true,
                                         .closed = found->state > RESOLVED,
                                         .ref = found->sys_id,
                                         .shown = found->number};
    f->ticket_url = hookform_join(
        f, f->hook->url,
        hookform_format(f->pool, "/nav_to.do?uri=incident.do%%3Fsys_id%%3D%s", found->sys_id));
}

/* What it is about to do with what there is. */
static enum hookform_verdict
decide(struct hookform *f, struct found *found)
{
    bool over = found->sys_id && found->state >= RESOLVED;

    f->step = WRITE;
    if (f->action == ACTION_RESOLVE) {
        if (found->sys_id && !over) {
            return HOOKFORM_MORE;
        }
        if (found->sys_id) {
            keep_ticket(f, found);
        }
        return HOOKFORM_DONE; /* It is closed there, or was never told. */
    }
    found->create =
        !found->sys_id || (over && !(found->state == RESOLVED && f->action == ACTION_OPEN));
    return HOOKFORM_MORE;
}

/* Some releases answer 404 to a question that has no answer. */
static bool
says_no_record(const struct hookform_answer *a)
{
    cJSON *json = a->status == 404 ? hookform_parse(a) : NULL;
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "error"), "message"));
    bool none = text && strstr(text, "No Record");

    cJSON_Delete(json);
    return none;
}

static enum hookform_verdict
take_question(struct hookform *f, const struct hookform_answer *a)
{
    struct found *found = found_of(f);
    enum hookform_verdict v;

    if (says_no_record(a)) {
        return decide(f, found);
    }
    v = hookform_judge(f, a);
    if (v != HOOKFORM_DONE) {
        return v;
    }
    cJSON *json = hookform_parse(a);
    const cJSON *list = cJSON_GetObjectItem(json, "result");
    bool good = a->status == 200 && cJSON_IsArray(list) &&
                (!list->child || read_record(f, list->child, found));
    cJSON_Delete(json);
    return good ? decide(f, found) : hookform_odd(f, a, "a list of incidents");
}

static enum hookform_verdict
take_incident(struct hookform *f, const struct hookform_answer *a)
{
    struct found *found = found_of(f);
    enum hookform_verdict v;

    if (f->step == ASK) {
        return take_question(f, a);
    }
    v = hookform_judge(f, a);
    if (v != HOOKFORM_DONE) {
        return v;
    }
    cJSON *json = hookform_parse(a);
    bool good = read_record(f, cJSON_GetObjectItem(json, "result"), found);
    cJSON_Delete(json);
    if (!good) {
        /* It may be there: the next try asks. */
        return hookform_odd(f, a, "an incident with its sys_id");
    }
    if (f->action == ACTION_TEST && f->step == WRITE) {
        f->step = CLOSE;
        return HOOKFORM_MORE;
    }
    keep_ticket(f, found);
    return HOOKFORM_DONE;
}

/* --- Events ---------------------------------------------------------------------------- */

static const char *
additional_info(struct hookform *f)
{
    cJSON *o = hookform_shrunk(f->event, LONG_MAX);
    char *text = cJSON_PrintUnformatted(o);
    const char *kept = pool_text(f->pool, text, strlen(text));

    cJSON_free(text);
    cJSON_Delete(o);
    return kept;
}

/* The hook's field of that name, else ours. */
static void
put_named(struct hookform *f, cJSON *o, const char *name, const char *ours)
{
    const char *field = hookform_field(f, name);

    hookform_put(o, name, hooktext_cut(f->pool, field ? field : ours, NAME_MAX_));
}

static const char *
first_rule(const struct hookform *f)
{
    const char *rule = cJSON_GetStringValue(
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(f->event, "rules"), 0));

    return rule ? rule : hookform_text(f, "action");
}

static bool
make_event(struct hookform *f, struct hookform_request *r)
{
    static const char *const severities[] = {"1", "2", "3", "4", "5"};
    const char *installation = hookform_text(f, "installation");
    const char *cause = hookform_inner(f, "cause", "key");
    const char *what = hookform_text(f, "what");
    const char *key =
        f->action == ACTION_HEARTBEAT
            ? hookform_format(f->pool, "%s-heartbeat", hooktext_key(f->pool, installation))
            : f->id;
    cJSON *o = cJSON_CreateObject();

    put_named(f, o, "source", "Plumbline");
    put_named(f, o, "event_class", hookform_format(f->pool, "Plumbline %s", installation));
    put_named(f, o, "node", *cause ? cause : installation);
    put_named(f, o, "resource", hookform_inner(f, "cause", "kind"));
    put_named(f, o, "metric_name", first_rule(f));
    put_named(f, o, "type", *what ? what : hookform_text(f, "action"));
    hookform_put(o, "severity",
                 f->action == ACTION_RESOLVE || f->action == ACTION_TEST ? "0"
                                                                         : one_of(f, severities));
    hookform_put(o, "message_key", key);
    hookform_put(o, "description",
                 hooktext_cut(f->pool,
                              hookform_format(f->pool, "%s\n\n%s", hookform_text(f, "title"),
                                              hookform_story(f, LONG_MAX)),
                              LONG_MAX));
    hookform_put(o, "additional_info", additional_info(f));
    if (!hookform_http(f, r, "POST", hookform_join(f, f->hook->url, "/api/now/table/em_event"))) {
        cJSON_Delete(o);
        return false;
    }
    return hookform_json(f, r, o, "application/json") &&
           hookform_add_header(f, r, "Accept", "application/json");
}

static enum hookform_verdict
take_event(struct hookform *f, const struct hookform_answer *a)
{
    enum hookform_verdict v = hookform_judge(f, a);
    cJSON *json;

    if (v != HOOKFORM_DONE) {
        return v;
    }
    json = hookform_parse(a);
    bool good = cJSON_IsObject(cJSON_GetObjectItem(json, "result"));
    cJSON_Delete(json);
    if (!good) {
        return hookform_odd(f, a, "an event with its sys_id");
    }
    f->ticket = (struct hookform_ticket){.there = true, .ref = f->id, .shown = ""};
    return HOOKFORM_DONE;
}

const struct hookform_kind hookform_servicenow_event = {make_event, take_event};

/* A heartbeat is no incident: it is an event. */
static bool
make_incident_or_heartbeat(struct hookform *f, struct hookform_request *r)
{
    return f->action == ACTION_HEARTBEAT ? make_event(f, r) : make_incident(f, r);
}

static enum hookform_verdict
take_incident_or_heartbeat(struct hookform *f, const struct hookform_answer *a)
{
    return f->action == ACTION_HEARTBEAT ? take_event(f, a) : take_incident(f, a);
}

const struct hookform_kind hookform_servicenow_incident = {make_incident_or_heartbeat,
                                                           take_incident_or_heartbeat};
