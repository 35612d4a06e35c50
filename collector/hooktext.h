/* hooktext.h - text of strangers, made fit for a body, a header, a URL, a mail.
 *
 * After pool.h; before hookform_parts.h.  Labels, titles and answers may hold anything; what these
 * give is valid UTF-8 without control characters, so that no line, header or message can be begun
 * in it.  All that is given is the pool's. */
#ifndef PLUMBLINE_HOOKTEXT_H
#define PLUMBLINE_HOOKTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/* The character at '*at', which is moved behind it; at most 'size' octets are read, 1 or more.
 * What is not UTF-8 (RFC 3629) gives U+FFFD for one octet. */
uint32_t hooktext_next(const char **at, size_t size);

/* A copy: control characters, line and paragraph separators become spaces, what turns the
 * direction of text round and what is no UTF-8 becomes U+FFFD.  'lines': line ends stay, as
 * "\n". */
char *hooktext_clean(struct pool *pool, const char *text, size_t size, bool lines);

/* The most octets of 'text', at most 'max', that end with a whole character. */
size_t hooktext_fit(const char *text, size_t max);

/* A copy of at most 'max' octets; where something was left out it ends with "...". */
char *hooktext_cut(struct pool *pool, const char *text, size_t max);

/* For one part of a path or a query: all but letters, digits and "-._~" as %XX (RFC 3986). */
char *hooktext_url(struct pool *pool, const char *text);

/* For identifiers that stand in headers and queries: all but letters, digits, "." and "_" becomes
 * "-"; at most 200 octets. */
char *hooktext_key(struct pool *pool, const char *text);

/* RFC 4648, with padding, in one line. */
char *hooktext_base64(struct pool *pool, const void *bytes, size_t size);

/* NULL where it is none. */
uint8_t *hooktext_unbase64(struct pool *pool, const char *text, size_t length, size_t *size);

#endif
