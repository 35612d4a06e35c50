/* keys.h - the keys of links, from the files that the configuration names.
 *
 * After config.h and inventory.h, before plan.h; on stampauth.h. */
#ifndef PLUMBLINE_KEYS_H
#define PLUMBLINE_KEYS_H

#include "config.h"
#include "inventory.h"

/* Makes the ring of each link that 'c' has keys for; tells what is wrong with their files.
 * 0 or negative errno: then there is none. */
int keys_load(struct probe_config *c);

/* NULL is fine. */
void keys_drop(struct probe_config *c);

/* Tells where the keys of 'c' and the links of the inventory do not go together. */
void keys_tell(const char *config_path, const struct probe_config *c, const struct inventory *inv);

#endif
