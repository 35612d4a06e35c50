/* inventory_told.c - the section of who is told: hooks.
 *
 * After inventory_alarm.c, which has the words of severity. */
#include "inventory_parts.h"

#include <string.h>

#define SECONDS(count) ((count) * (uint64_t)NS_PER_S)
#define PEERS_MAX 16u
#define TO_MAX 64u

static const struct bind_word hook_words[] = {{"webhook", INV_HOOK_WEBHOOK},
                                              {"servicenow-incident", INV_HOOK_SERVICENOW_INCIDENT},
                                              {"servicenow-event", INV_HOOK_SERVICENOW_EVENT},
                                              {"pagerduty", INV_HOOK_PAGERDUTY},
                                              {"alertmanager", INV_HOOK_ALERTMANAGER},
                                              {"exec", INV_HOOK_EXEC},
                                              {"mail", INV_HOOK_MAIL},
                                              {NULL, 0}};
/* In the order of enum inv_cause. */
static const struct bind_word cause_words[] = {{"link", INV_CAUSE_LINK},
                                               {"risk", INV_CAUSE_RISK},
                                               {"router", INV_CAUSE_ROUTER},
                                               {"probe", INV_CAUSE_PROBE},
                                               {"site", INV_CAUSE_SITE},
                                               {"service", INV_CAUSE_SERVICE},
                                               {NULL, 0}};
static const struct bind_word view_words[] = {{"all", 0}, {"tenant", 1}, {NULL, 0}};

struct hook_draft {
    struct inv_hook hook;
    int view;
    const struct yaml_node *fields, *severity, *tenant, *scope, *labels, *peers, *to;
};

#define HOOK(member) .offset = offsetof(struct hook_draft, member)

static const struct bind_key when_keys[] = {
    {.key = "severity", .type = BIND_NODE, HOOK(severity)},
    {.key = "tenant", .type = BIND_NODE, HOOK(tenant)},
    {.key = "scope", .type = BIND_NODE, HOOK(scope)},
    {.key = "labels", .type = BIND_NODE, HOOK(labels)},
    {.key = NULL},
};

static const struct bind_key hook_keys[] = {
    HEAD_KEYS,
    {.key = "kind", .type = BIND_WORD, HOOK(hook.kind), .words = hook_words, .required = true},
    {.key = "url", .type = BIND_URL, HOOK(hook.url)},
    {.key = "peers", .type = BIND_NODE, HOOK(peers)},
    {.key = "to", .type = BIND_NODE, HOOK(to)},
    {.key = "from", .type = BIND_MAIL, HOOK(hook.from)},
    {.key = "template", .type = BIND_FILE, HOOK(hook.template_file)},
    {.key = "ca_file", .type = BIND_FILE, HOOK(hook.ca_file)},
    {.key = "timeout",
     .type = BIND_SPAN,
     HOOK(hook.timeout),
     .min = SECONDS(1),
     .max = SECONDS(60),
     .fallback = "15s"},
    {.key = "remind",
     .type = BIND_SPAN,
     HOOK(hook.remind),
     .min = SECONDS(10),
     .max = SECONDS(7 * 86400)},
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

/* What each kind must have and may have: a letter for each key of 'lettered'; capital: must,
 * small: may. */
static const char *const hook_needs[] = {
    [INV_HOOK_WEBHOOK] = "USamr",        [INV_HOOK_SERVICENOW_INCIDENT] = "UAr",
    [INV_HOOK_SERVICENOW_EVENT] = "UAr", [INV_HOOK_PAGERDUTY] = "uAr",
    [INV_HOOK_ALERTMANAGER] = "Uapr",    [INV_HOOK_EXEC] = "C",
    [INV_HOOK_MAIL] = "UTFar",
};
static const struct {
    char must, may;
    const char *key;
} lettered[] = {{'U', 'u', "url"},         {'C', 'c', "command"},  {'A', 'a', "auth_file"},
                {'S', 's', "secret_file"}, {'P', 'p', "peers"},    {'T', 't', "to"},
                {'F', 'f', "from"},        {'M', 'm', "template"}, {'R', 'r', "ca_file"}};

static void
check_lettered(struct loader *l, const struct yaml_node *node, const struct inv_hook *hook)
{
    const char *needs = hook_needs[hook->kind], *kind = hook_words[hook->kind].word;

    for (size_t i = 0; i < sizeof lettered / sizeof lettered[0]; i++) {
        const struct yaml_node *n = yaml_get(node, lettered[i].key);
        bool must = strchr(needs, lettered[i].must) != NULL;
        bool may = must || strchr(needs, lettered[i].may) != NULL;
        /* What a template fills is another's format, which knows no signature. */
        must = must && !(lettered[i].must == 'S' && hook->template_file);
        if (must && !n) {
            fault_error(l->faults, node->key_at, "key '%s' is missing: %s needs it",
                        lettered[i].key, kind);
        } else if (n && !may) {
            fault_error(l->faults, n->key_at, "%s has no '%s'", kind, lettered[i].key);
        }
    }
}

/* Mail goes by SMTP, the rest by HTTP. */
static void
check_scheme(struct loader *l, struct place at, const char *url, enum inv_hook_kind kind)
{
    bool smtp = strncmp(url, "smtp", 4) == 0;

    if (smtp != (kind == INV_HOOK_MAIL)) {
        fault_error(l->faults, at, "expected a URL that begins with %s, as %s is sent",
                    smtp ? "https:// or http://" : "smtps:// or smtp://", hook_words[kind].word);
    }
}

static void
check_hook_keys(struct loader *l, const struct yaml_node *node, const struct inv_hook *hook)
{
    check_lettered(l, node, hook);
    if (hook->url) {
        check_scheme(l, inventory_place(node, "url"), hook->url, hook->kind);
    }
    if (hook->url && strncmp(hook->url, "http://", 7) == 0 && hook->auth_file) {
        fault_warning(l->faults, inventory_place(node, "url"),
                      "'auth_file' would go over the network in clear; use https://");
    }
    if (hook->command && hook->command[0] != '/') {
        fault_error(l->faults, inventory_place(node, "command"),
                    "expected a program with its whole path, such as /usr/local/bin/page");
    }
    if (hook->heartbeat.ns && hook->kind == INV_HOOK_PAGERDUTY) {
        fault_warning(l->faults, yaml_get(node, "heartbeat")->key_at,
                      "pagerduty is sent no heartbeat: each would be an incident");
    }
}

/* --- Lists ------------------------------------------------------------------ */

/* Words of a list as bits; 'what' is what the list is of. */
static unsigned
read_bits(struct loader *l, const struct yaml_node *list, const struct bind_word *words,
          const char *what, const char *none)
{
    const struct bind_key word = {.key = what, .type = BIND_WORD, .words = words};
    unsigned bits = 0;

    if (!bind_expect(&l->bind, list, YAML_LIST, what)) {
        return 0;
    }
    if (list->count == 0) {
        fault_error(l->faults, list->at, "expected at least one %s; without the key: all", none);
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        int value;
        if (!bind_value(&l->bind, &word, n, &value)) {
            continue;
        }
        if (bits & (1u << value)) {
            fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
        }
        bits |= 1u << value;
    }
    return bits;
}

/* Texts of a type, none twice, 1 to 'max'. */
static void
read_texts(struct loader *l, const struct yaml_node *list, enum bind_type type, size_t max,
           const char ***out, size_t *count)
{
    const struct bind_key text = {.key = "", .type = type};

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list")) {
        return;
    }
    if (list->count == 0 || list->count > max) {
        fault_error(l->faults, list->at, "expected 1 to %zu of them, got %zu", max, list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (!bind_value(&l->bind, &text, n, &(*out)[*count])) {
            continue;
        }
        size_t i = 0;
        while (strcmp((*out)[i], (*out)[*count]) != 0) {
            i++;
        }
        if (i < *count) {
            fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
        } else {
            (*count)++;
        }
    }
}

static void
read_peers(struct loader *l, const struct yaml_node *list, struct inv_hook *hook)
{
    read_texts(l, list, BIND_URL, PEERS_MAX, &hook->peers, &hook->peer_count);
    for (size_t i = 0; i < hook->peer_count; i++) {
        check_scheme(l, list->at, hook->peers[i], hook->kind);
        if (hook->url && strcmp(hook->peers[i], hook->url) == 0) {
            fault_error(l->faults, list->at, "'%s' is the 'url' already: expected the others",
                        hook->url);
        }
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
        d.hook.severities = read_bits(l, d.severity, inventory_severity_words,
                                      "a list of severities, such as [critical]", "severity");
    }
    if (d.scope) {
        d.hook.causes =
            read_bits(l, d.scope, cause_words, "a list of causes, such as [risk, router]", "cause");
    }
    if (d.peers) {
        read_peers(l, d.peers, &d.hook);
    }
    if (d.to) {
        read_texts(l, d.to, BIND_MAIL, TO_MAX, &d.hook.to, &d.hook.to_count);
    }
    if (d.tenant) {
        d.hook.tenant = inventory_resolve(l, d.tenant, KIND_TENANT);
    } else if (good && d.view == 1) {
        fault_error(l->faults, inventory_place(member, "view"),
                    "a tenant's view needs 'tenant' under 'when': whose");
    }
    d.hook.tenant_view = d.view == 1;
    inventory_read_labels(l, d.labels, &d.hook.labels);
    inventory_read_labels(l, d.fields, &d.hook.fields);
    *hook = d.hook;
}
