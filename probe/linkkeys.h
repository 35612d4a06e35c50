/* linkkeys.h - the keys of this probe's links: which the inventory says are
 * authenticated, and from which files.
 *
 * After inventory.h and config.h, which name the files, and stampauth.h, which
 * reads them; before plan.h.  No key is ever in an inventory, a slice or a log. */
#ifndef PLUMBLINE_LINKKEYS_H
#define PLUMBLINE_LINKKEYS_H

#include <stddef.h>

#include "config.h"
#include "inventory.h"
#include "stampauth.h"

struct linkkey {
    const char *link; /* The inventory's. */
    struct stampauth_ring *ring;
};

struct linkkeys {
    struct linkkey *list;
    size_t count;
};

/* Reads the keys of each link of config->probe: from config->link_keys, which says
 * with which it sends, else from the files that the link's 'auth' names, in
 * config->key_folder.  0 and keys that are the caller's, to be freed before 'inv';
 * or negative errno after telling every file that is no good. */
int linkkeys_load(const struct probe_config *config, const struct inventory *inv,
                  struct linkkeys *out);
void linkkeys_fini(struct linkkeys *k);

/* The ring of a link, or NULL: its packets are not authenticated. */
struct stampauth_ring *linkkeys_of(const struct linkkeys *k, const char *link);

#endif
