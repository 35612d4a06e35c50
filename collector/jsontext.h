/* jsontext.h - whether a text is JSON by the letter (RFC 8259), and if not where it stops being it.
 *
 * Before hooktemplate.h.  cJSON reads more than JSON (line ends in strings, "01", an escape of no
 * sense), which the targets of hooks do not. */
#ifndef PLUMBLINE_JSONTEXT_H
#define PLUMBLINE_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#define JSONTEXT_DEPTH_MAX 64u

/* Whether 'text' is one value, nested at most JSONTEXT_DEPTH_MAX deep, in UTF-8; if not, '*where'
 * (not NULL) is where that is seen, at most 'size', and '*what' what was expected there. */
bool jsontext_check(const char *text, size_t size, size_t *where, const char **what);

#endif
