/* couriersecret.h - the files that a hook names: credentials, a signing secret, a template.
 *
 * After inventory_sold.h, hookform.h; before courier.c.  Read at each use, so that a secret is
 * changed by changing its file, and wiped after it.  Nothing of them is logged but their names. */
#ifndef PLUMBLINE_COURIERSECRET_H
#define PLUMBLINE_COURIERSECRET_H

#include <stdbool.h>

#include "hookform.h"
#include "inventory_sold.h"

struct couriersecret {
    struct hookform_secrets secrets; /* What hookform_new() takes; NULL where none is named. */
    char *files[3];
    size_t sizes[3];
    const char *readable; /* A secret's file that everybody may read; NULL: none. */
};

/* Reads what 'hook' names from 'folder'.  0, or a negative errno with "FILE: reason" in 'why': then
 * there is nothing to wipe. */
int couriersecret_read(struct couriersecret *s, const char *folder, const struct inv_hook *hook,
                       char *why, size_t why_size);
/* An empty one is fine. */
void couriersecret_wipe(struct couriersecret *s);

#endif
