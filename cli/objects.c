/* objects.c - from the canonical text to JSON: its tree is walked, so that there
 * is one place only that says what an object's fields are. */
#include "objects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fault.h"
#include "pool.h"
#include "value.h"
#include "yaml.h"

/* Sections, and what one of their objects is called. */
static const struct {
    const char *section, *kind;
} sections[] = {
    {"sites", "site"},     {"probes", "probe"},     {"routers", "router"},
    {"classes", "class"},  {"links", "link"},       {"alarms", "alarm"},
    {"groups", "group"},   {"tenants", "tenant"},   {"connectors", "connector"},
    {"tunnels", "tunnel"}, {"services", "service"}, {"profiles", "profile"},
    {"slas", "sla"},       {"hooks", "hook"},
};

static cJSON *
scalar_json(const struct yaml_node *node)
{
    uint64_t number;

    if (node->plain && strcmp(node->text, "true") == 0) {
        return cJSON_CreateTrue();
    }
    if (node->plain && strcmp(node->text, "false") == 0) {
        return cJSON_CreateFalse();
    }
    if (node->plain && value_parse_unsigned(node->text, &number) &&
        number < UINT64_C(1000000000000000)) {
        return cJSON_CreateNumber((double)number);
    }
    return cJSON_CreateString(node->text);
}

/* Trees are at most YAML_DEPTH_MAX deep. */
static cJSON *
node_json(const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR) {
        return scalar_json(node);
    }
    cJSON *o = node->kind == YAML_MAP ? cJSON_CreateObject() : cJSON_CreateArray();
    for (const struct yaml_node *n = node->first; n; n = n->next) {
        if (node->kind == YAML_MAP) {
            cJSON_AddItemToObject(o, n->key, node_json(n));
        } else {
            cJSON_AddItemToArray(o, node_json(n));
        }
    }
    return o;
}

static void
add_object(cJSON *list, const char *kind, const char *key, cJSON *content)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "kind", kind);
    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddItemToObject(o, "content", content);
    cJSON_AddItemToArray(list, o);
}

/* Attachments are measured, so they have an identity: they leave the connector. */
static void
add_attachments(cJSON *list, const char *connector, cJSON *content)
{
    cJSON *map = cJSON_DetachItemFromObjectCaseSensitive(content, "attachments");
    char name[2 * SERIES_NAME_MAX + 2];

    while (map && map->child) {
        cJSON *one = cJSON_DetachItemViaPointer(map, map->child);
        snprintf(name, sizeof name, "%s.%s", connector, one->string);
        add_object(list, "attachment", name, one);
    }
    cJSON_Delete(map);
}

/* What an SLA promises stands in it whole, wherever it was written: so a profile cannot change
 * under a version, and whoever judges needs no other object. */
static void
resolve_profiles(const struct yaml_node *root, const struct yaml_node *sla, cJSON *content)
{
    const struct yaml_node *names = yaml_get(sla, "profiles");
    cJSON *all = cJSON_CreateArray(), *own;

    if (!names) {
        cJSON_Delete(all);
        return;
    }
    for (const struct yaml_node *n = names->first; n; n = n->next) {
        const struct yaml_node *profile = yaml_get(yaml_get(root, "profiles"), n->text);
        for (const struct yaml_node *o = yaml_get(profile, "objectives")->first; o; o = o->next) {
            cJSON_AddItemToArray(all, node_json(o));
        }
    }
    own = cJSON_DetachItemFromObjectCaseSensitive(content, "objectives");
    while (own && own->child) {
        cJSON_AddItemToArray(all, cJSON_DetachItemViaPointer(own, own->child));
    }
    cJSON_Delete(own);
    cJSON_DeleteItemFromObjectCaseSensitive(content, "profiles");
    cJSON_AddItemToObject(content, "objectives", all);
}

static char *
json_of(const struct yaml_node *root)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        const struct yaml_node *map = yaml_get(root, sections[i].section);
        for (const struct yaml_node *n = map ? map->first : NULL; n; n = n->next) {
            cJSON *content = node_json(n);
            if (strcmp(sections[i].kind, "connector") == 0) {
                add_attachments(list, n->key, content);
            } else if (strcmp(sections[i].kind, "sla") == 0) {
                resolve_profiles(root, n, content);
            }
            add_object(list, sections[i].kind, n->key, content);
        }
    }
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

int
objects_of(const struct inventory *inv, char **canonical, char **objects)
{
    struct faults *faults = faults_new();
    struct pool *pool = pool_new();
    size_t size;
    FILE *to = open_memstream(canonical, &size);

    assert(to != NULL);
    int err = inventory_print(inv, to);
    assert(err == 0);
    (void)err;
    fclose(to);
    const struct yaml_node *root = yaml_read(pool, faults, "canonical", *canonical, size);
    *objects = root ? json_of(root) : NULL;
    assert(!root || *objects);
    pool_free(pool);
    faults_free(faults);
    if (!root) {
        free(*canonical);
    }
    return root ? 0 : -EFBIG; /* Else it is YAML: tested as a property. */
}
