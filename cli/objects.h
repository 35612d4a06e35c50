/* objects.h - an inventory's canonical text, and each of its objects as JSON.
 *
 * After inventory.h; `plumbline apply` writes both to PostgreSQL. */
#ifndef PLUMBLINE_OBJECTS_H
#define PLUMBLINE_OBJECTS_H

#include "inventory.h"

/* 0 and two texts that are the caller's to free(): the canonical form, and
 * [{"kind", "key", "content"}] of all objects; values with a unit are strings as
 * people write them.  An attachment of a connector is an object of its own,
 * "connector.attachment"; an SLA's objectives are all that it promises, those of
 * its profiles first, and it names no profile.  -EFBIG: the canonical form is
 * larger than a file may be (YAML_FILE_SIZE_MAX). */
int objects_of(const struct inventory *inv, char **canonical, char **objects);

#endif
