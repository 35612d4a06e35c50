/* inventory_ref.c - how the readers of sections name things: places of members, keys, references
 * to objects of one kind or of several, labels.
 *
 * After inventory.c; before the files that read. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

#define LABELS_MAX 64u
/* So many comparisons may go into suggestions: with many objects and many faults
 * they would take longer than all the rest. */
#define COMPARISONS_MAX 200000u

struct place
inventory_place(const struct yaml_node *object, const char *key)
{
    const struct yaml_node *n = object->kind == YAML_MAP ? yaml_get(object, key) : NULL;
    return n ? n->at : object->key ? object->key_at : object->at;
}

const char *
inventory_key(struct loader *l, const struct yaml_node *member)
{
    if (!value_is_name(member->key)) {
        fault_error(l->faults, member->key_at,
                    "'%.63s' is not a key: a-z, 0-9, '.', '-', beginning with a letter or digit, "
                    "at most 63",
                    member->key);
        return NULL;
    }
    return pool_text(l->pool, member->key, strlen(member->key));
}

/* --- References to one kind ------------------------------------------------ */

static bool
is_retired(const void *object)
{
    enum inv_state state;
    memcpy(&state, (const char *)object + offsetof(struct inv_head, state), sizeof state);
    return state == INV_RETIRED;
}

static void
offer_all(struct loader *l, struct nearest *near, enum kind kind)
{
    size_t count = inventory_count(l->inv, kind);

    for (size_t i = 0; i < count && l->comparisons < COMPARISONS_MAX; i++) {
        l->comparisons++;
        nearest_offer(near, inventory_key_of(inventory_object(l->inv, kind, i)));
    }
}

/* What is there must not name what is retired. */
static void
refuse_retired(struct loader *l, const struct yaml_node *node, const char *kind, const void *found)
{
    if (!l->retired && is_retired(found)) {
        fault_error(l->faults, node->at, "%s '%s' is retired", kind, inventory_key_of(found));
    }
}

const void *
inventory_resolve(struct loader *l, const struct yaml_node *node, enum kind kind)
{
    const char *name = inventory_kind_name(kind);
    char hint[96], got[64];

    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        fault_error(l->faults, node->at, "expected the key of a %s, got %s", name,
                    yaml_describe(node, got, sizeof got));
        return NULL;
    }
    const void *found = inventory_find(l->inv, kind, node->text);
    if (found) {
        refuse_retired(l, node, name, found);
        return found;
    }
    struct nearest near = {.wanted = node->text};
    offer_all(l, &near, kind);
    fault_error(l->faults, node->at, "there is no %s %s%s", name,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return NULL;
}

/* --- References that may be of several kinds ------------------------------- */

/* "connector.attachment"; either may have dots in it. */
static const struct inv_attachment *
find_attachment(const struct inventory *inv, const char *name)
{
    char key[SERIES_NAME_MAX + 1];

    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t length = (size_t)(dot - name);
        if (length >= sizeof key) {
            return NULL;
        }
        memcpy(key, name, length);
        key[length] = '\0';
        const struct inv_connector *c = inventory_connector(inv, key);
        for (size_t a = 0; c && a < c->attachment_count; a++) {
            if (strcmp(c->attachments[a].key, dot + 1) == 0) {
                return &c->attachments[a];
            }
        }
    }
    return NULL;
}

/* "link, attachment or service" */
static const char *
describe_kinds(unsigned which, char *buf, size_t size)
{
    const char *names[KINDS + 1];
    size_t count = 0, length = 0;

    for (unsigned k = 0; k < KINDS; k++) {
        if (which & (1u << k)) {
            names[count++] = inventory_kind_name((enum kind)k);
        }
    }
    if (which & MAY_ATTACHMENT) {
        names[count++] = "attachment";
    }
    for (size_t i = 0; i < count; i++) {
        const char *between = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        length += (size_t)snprintf(buf + length, size - length, "%s%s", between, names[i]);
    }
    return buf;
}

bool
inventory_resolve_ref(struct loader *l, const struct yaml_node *node, unsigned which,
                      struct inv_ref *out)
{
    char names[96], got[64], hint[96];

    *out = (struct inv_ref){0};
    describe_kinds(which, names, sizeof names);
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        fault_error(l->faults, node->at, "expected the key of a %s, got %s", names,
                    yaml_describe(node, got, sizeof got));
        return false;
    }
    struct nearest near = {.wanted = node->text};
    const struct inv_link *link =
        which & (1u << KIND_LINK) ? inventory_find(l->inv, KIND_LINK, node->text) : NULL;
    const void *found = NULL;
    if (link && !link->attachment) {
        out->link = found = link;
    } else if (which & (1u << KIND_GROUP) &&
               (out->group = inventory_find(l->inv, KIND_GROUP, node->text))) {
        found = out->group;
    } else if (which & (1u << KIND_SERVICE) &&
               (out->service = inventory_find(l->inv, KIND_SERVICE, node->text))) {
        found = out->service;
    } else if (which & MAY_ATTACHMENT && (out->attachment = find_attachment(l->inv, node->text))) {
        found = out->attachment;
    }
    if (found) {
        refuse_retired(l, node, names, found);
        return true;
    }
    for (unsigned k = 0; k < KINDS; k++) {
        if (which & (1u << k)) {
            offer_all(l, &near, (enum kind)k);
        }
    }
    fault_error(l->faults, node->at, "there is no %s %s%s", names,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return false;
}

static bool
same_ref(const struct inv_ref *a, const struct inv_ref *b)
{
    return a->link == b->link && a->group == b->group && a->service == b->service &&
           a->attachment == b->attachment;
}

void
inventory_resolve_refs(struct loader *l, const struct yaml_node *list, unsigned which,
                       struct inv_ref **out, size_t *count)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of keys")) {
        return;
    }
    if (list->count == 0 || list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u keys, got %zu", NAMES_MAX, list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct inv_ref ref;
        bool good = inventory_resolve_ref(l, n, which, &ref);
        for (size_t i = 0; good && i < *count; i++) {
            if (same_ref(&(*out)[i], &ref)) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
                good = false;
            }
        }
        if (good) {
            (*out)[(*count)++] = ref;
        }
    }
}

void
inventory_resolve_classes(struct loader *l, const struct yaml_node *list,
                          const struct inv_class ***out, size_t *count)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of classes, such as [gold, be]")) {
        return;
    }
    if (list->count == 0 || list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u classes, got %zu", NAMES_MAX,
                    list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        const struct inv_class *class_ = inventory_resolve(l, n, KIND_CLASS);
        for (size_t i = 0; class_ && i < *count; i++) {
            if ((*out)[i] == class_) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", class_->key);
                class_ = NULL;
            }
        }
        if (class_) {
            (*out)[(*count)++] = class_;
        }
    }
}

/* --- Labels --------------------------------------------------------------- */

static int
label_compare(const void *left, const void *right)
{
    const struct inv_label *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* ServiceNow's names have underscores and capitals. */
static bool
is_label_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= SERIES_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               length;
}

void
inventory_read_labels(struct loader *l, const struct yaml_node *map, struct inv_labels *out)
{
    static const struct bind_key text = {
        .key = "", .type = BIND_STRING, .offset = offsetof(struct inv_label, value)};

    if (!map || !bind_expect(&l->bind, map, YAML_MAP, "a map of texts by name")) {
        return;
    }
    if (map->count > LABELS_MAX) {
        fault_error(l->faults, map->at, "expected at most %u labels, got %zu", LABELS_MAX,
                    map->count);
        return;
    }
    out->list = pool_array(l->pool, map->count, sizeof *out->list);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        struct inv_label *label = &out->list[out->count];
        if (!is_label_name(n->key)) {
            fault_error(l->faults, n->key_at,
                        "'%.63s' is not the name of a label: letters, digits, '.', '_', '-', at "
                        "most 63",
                        n->key);
        } else if (bind_value(&l->bind, &text, n, label)) {
            label->name = pool_text(l->pool, n->key, strlen(n->key));
            out->count++;
        }
    }
    if (out->count) {
        qsort(out->list, out->count, sizeof *out->list, label_compare);
    }
}
