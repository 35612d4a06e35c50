/* inventory_nat.c - what a link on which addresses change must have: the second
 * end's reflector knows it by its key, so it has one that no other has there.
 *
 * Beside inventory_check.c. */
#include "inventory_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
check_nat(struct loader *l, const struct yaml_node *node, const struct inv_link *link)
{
    /* A foreign reflector goes by what it likes. */
    if (!link->nat || !link->ends[1].probe) {
        return;
    }
    if (link->auth.mode == INV_AUTH_NONE) {
        fault_error(l->faults, inventory_place(node, "nat"),
                    "behind NAT the far end knows a packet by its key alone; give the link 'auth'");
    }
    if (link->probe_from_both) {
        fault_error(l->faults, inventory_place(node, "probe_from"),
                    "the first end is behind NAT: nothing that the second sends by itself gets "
                    "there");
    }
}

/* A key as the second end's probe knows it. */
struct nat_key {
    const char *text;
    size_t link;
};

static int
nat_key_compare(const void *left, const void *right)
{
    const struct nat_key *a = left, *b = right;
    int order = strcmp(a->text, b->text);

    return order ? order : a->link < b->link ? -1 : a->link > b->link;
}

static size_t
add_key(struct loader *l, struct nat_key *keys, size_t count, size_t link, const char *file)
{
    const struct inv_probe *probe = l->inv->links[link].ends[1].probe;
    size_t room = file ? strlen(probe->key) + strlen(file) + 2 : 0;
    char *text;

    if (!file) {
        return count;
    }
    text = pool_alloc(l->trees, room);
    snprintf(text, room, "%s|%s", probe->key, file);
    keys[count] = (struct nat_key){.text = text, .link = link};
    return count + 1;
}

void
check_nat_keys(struct loader *l)
{
    const struct inventory *inv = l->inv;
    struct nat_key *keys = pool_array(l->trees, 2 * inv->link_count, sizeof *keys);
    size_t count = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        if (link->nat && link->ends[1].probe && link->state != INV_RETIRED) {
            count = add_key(l, keys, count, i, link->auth.key_file);
            count = add_key(l, keys, count, i, link->auth.next_key_file);
        }
    }
    if (count) {
        qsort(keys, count, sizeof *keys, nat_key_compare);
    }
    for (size_t i = 1; i < count; i++) {
        const struct inv_link *link = &inv->links[keys[i].link];
        if (strcmp(keys[i].text, keys[i - 1].text) == 0) {
            fault_error(l->faults, inventory_place(l->nodes[KIND_LINK][keys[i].link], "auth"),
                        "'%s' has a key of '%s', and both come to probe '%s' through NAT: give "
                        "each its own",
                        link->key, inv->links[keys[i - 1].link].key, link->ends[1].probe->key);
        }
    }
}
