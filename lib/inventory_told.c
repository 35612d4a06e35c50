/* inventory_told.c - the sections of who is told: alarms and hooks. */
#include "inventory_parts.h"

#include <string.h>

#include "value.h"

static const struct bind_word severity_words[] = {
    {"critical", INV_CRITICAL}, {"major", INV_MAJOR}, {"minor", INV_MINOR},
    {"warning", INV_WARNING},   {"info", INV_INFO},   {NULL, 0}};

/* --- Alarms --------------------------------------------------------------- */

struct alarm_draft {
    struct inv_alarm alarm;
    const struct yaml_node *metric, *raise, *classes;
};

#define ALARM(member) .offset = offsetof(struct alarm_draft, member)
#define SECONDS(count) ((count) * (uint64_t)NS_PER_S)

static const struct bind_key alarm_keys[] = {
    HEAD_KEYS,
    {.key = "metric", .type = BIND_NODE, ALARM(metric), .required = true},
    {.key = "over",
     .type = BIND_SPAN,
     ALARM(alarm.over),
     .min = SECONDS(1),
     .max = SECONDS(86400),
     .required = true},
    {.key = "raise", .type = BIND_NODE, ALARM(raise), .required = true},
    {.key = "clear",
     .type = BIND_SPAN,
     ALARM(alarm.clear),
     .min = SECONDS(1),
     .max = SECONDS(86400),
     .required = true},
    {.key = "against",
     .type = BIND_SPAN,
     ALARM(alarm.against),
     .min = SECONDS(3600),
     .max = SECONDS(90 * 86400)},
    {.key = "severity",
     .type = BIND_WORD,
     ALARM(alarm.severity),
     .words = severity_words,
     .required = true},
    {.key = "classes", .type = BIND_NODE, ALARM(classes)},
    {.key = NULL},
};

/* "+20%" is relative to what was; else a value of the metric. */
static void
read_raise(struct loader *l, const struct yaml_node *member, const struct yaml_node *node,
           struct inv_alarm *alarm)
{
    char got[64];

    alarm->relative = node->kind == YAML_SCALAR && node->text[0] == '+';
    if (!alarm->relative) {
        inventory_read_limit(l, node, alarm->metric, &alarm->raise);
        if (alarm->against.ns) {
            fault_error(l->faults, yaml_get(member, "against")->key_at,
                        "'against' compares with the past: then 'raise' is a difference, such as "
                        "+20%%");
        }
        return;
    }
    if (!value_parse_percent(node->text + 1, &alarm->raise) || alarm->raise == 0) {
        fault_error(l->faults, node->at, "expected a difference such as +20%%, got %s",
                    yaml_describe(node, got, sizeof got));
    }
    if (!alarm->against.ns) {
        fault_error(l->faults, node->at,
                    "a difference needs 'against': with how long a past it is compared, such as "
                    "7d");
    }
}

void
inventory_read_alarm(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_alarm *alarm = object;
    struct alarm_draft d = {.alarm.key = alarm->key};
    bool good = bind_map(&l->bind, member, member->key_at, alarm_keys, &d);

    l->retired = d.alarm.state == INV_RETIRED;
    if (d.metric) {
        good = inventory_read_metric(l, d.metric, &d.alarm.metric) && good;
    }
    if (good && d.raise) {
        read_raise(l, member, d.raise, &d.alarm);
    }
    if (good && d.alarm.metric.kind == INV_AVAILABILITY) {
        fault_error(l->faults, d.metric->at,
                    "availability is decided n delta-t late; an alarm goes by flr");
    }
    if (d.classes) {
        inventory_resolve_classes(l, d.classes, &d.alarm.classes, &d.alarm.class_count);
    }
    *alarm = d.alarm;
}

/* --- Hooks ---------------------------------------------------------------- */

static const struct bind_word hook_words[] = {{"webhook", INV_HOOK_WEBHOOK},
                                              {"servicenow-incident", INV_HOOK_SERVICENOW_INCIDENT},
                                              {"servicenow-event", INV_HOOK_SERVICENOW_EVENT},
                                              {"pagerduty", INV_HOOK_PAGERDUTY},
                                              {"alertmanager", INV_HOOK_ALERTMANAGER},
                                              {"exec", INV_HOOK_EXEC},
                                              {NULL, 0}};
static const struct bind_word view_words[] = {{"all", 0}, {"tenant", 1}, {NULL, 0}};

struct hook_draft {
    struct inv_hook hook;
    int view;
    const struct yaml_node *fields, *severity, *tenant;
};

#define HOOK(member) .offset = offsetof(struct hook_draft, member)

static const struct bind_key when_keys[] = {
    {.key = "severity", .type = BIND_NODE, HOOK(severity)},
    {.key = "tenant", .type = BIND_NODE, HOOK(tenant)},
    {.key = NULL},
};

static const struct bind_key hook_keys[] = {
    HEAD_KEYS,
    {.key = "kind", .type = BIND_WORD, HOOK(hook.kind), .words = hook_words, .required = true},
    {.key = "url", .type = BIND_URL, HOOK(hook.url)},
    {.key = "command", .type = BIND_STRING, HOOK(hook.command)},
    {.key = "auth_file", .type = BIND_FILE, HOOK(hook.auth_file)},
    {.key = "secret_file", .type = BIND_FILE, HOOK(hook.secret_file)},
    {.key = "heartbeat",
     .type = BIND_SPAN,
     HOOK(hook.heartbeat),
     .min = SECONDS(10),
     .max = SECONDS(86400)},
    {.key = "when", .type = BIND_TABLE, .table = when_keys},
    {.key = "view", .type = BIND_WORD, HOOK(view), .words = view_words, .fallback = "all"},
    {.key = "fields", .type = BIND_NODE, HOOK(fields)},
    {.key = NULL},
};

/* What each kind must have: a letter each of url, command, auth_file,
 * secret_file; capital: must, small: may. */
static const char *const hook_needs[] = {
    [INV_HOOK_WEBHOOK] = "US",          [INV_HOOK_SERVICENOW_INCIDENT] = "UA",
    [INV_HOOK_SERVICENOW_EVENT] = "UA", [INV_HOOK_PAGERDUTY] = "uA",
    [INV_HOOK_ALERTMANAGER] = "Ua",     [INV_HOOK_EXEC] = "C",
};

static void
check_hook_keys(struct loader *l, const struct yaml_node *node, const struct inv_hook *hook)
{
    static const struct {
        char must, may;
        const char *key;
    } keys[] = {{'U', 'u', "url"},
                {'C', 'c', "command"},
                {'A', 'a', "auth_file"},
                {'S', 's', "secret_file"}};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *n = yaml_get(node, keys[i].key);
        bool must = strchr(hook_needs[hook->kind], keys[i].must) != NULL;
        bool may = must || strchr(hook_needs[hook->kind], keys[i].may) != NULL;
        if (must && !n) {
            fault_error(l->faults, node->key_at, "key '%s' is missing: %s needs it", keys[i].key,
                        hook_words[hook->kind].word);
        } else if (n && !may) {
            fault_error(l->faults, n->key_at, "%s has no '%s'", hook_words[hook->kind].word,
                        keys[i].key);
        }
    }
    if (hook->url && strncmp(hook->url, "http://", 7) == 0 && hook->auth_file) {
        fault_warning(l->faults, inventory_place(node, "url"),
                      "'auth_file' would go over the network in clear; use https://");
    }
    if (hook->command && hook->command[0] != '/') {
        fault_error(l->faults, inventory_place(node, "command"),
                    "expected a program with its whole path, such as /usr/local/bin/page");
    }
}

static void
read_severities(struct loader *l, const struct yaml_node *list, struct inv_hook *hook)
{
    static const struct bind_key word = {
        .key = "severity", .type = BIND_WORD, .words = severity_words};

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of severities, such as [critical]")) {
        return;
    }
    if (list->count == 0) {
        fault_error(l->faults, list->at, "expected at least one severity; without the key: all");
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        int severity;
        if (!bind_value(&l->bind, &word, n, &severity)) {
            continue;
        }
        if (hook->severities & (1u << severity)) {
            fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
        }
        hook->severities |= 1u << severity;
    }
}

void
inventory_read_hook(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_hook *hook = object;
    struct hook_draft d = {.hook.key = hook->key};
    bool good = bind_map(&l->bind, member, member->key_at, hook_keys, &d);

    l->retired = d.hook.state == INV_RETIRED;
    if (good) {
        check_hook_keys(l, member, &d.hook);
    }
    if (d.severity) {
        read_severities(l, d.severity, &d.hook);
    }
    if (d.tenant) {
        d.hook.tenant = inventory_resolve(l, d.tenant, KIND_TENANT);
    } else if (good && d.view == 1) {
        fault_error(l->faults, inventory_place(member, "view"),
                    "a tenant's view needs 'tenant' under 'when': whose");
    }
    d.hook.tenant_view = d.view == 1;
    inventory_read_labels(l, d.fields, &d.hook.fields);
    *hook = d.hook;
}
