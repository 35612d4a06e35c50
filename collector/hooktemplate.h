/* hooktemplate.h - bodies of webhooks as their receivers want them: a template that is filled from
 * an event, and is JSON whatever the event says.
 *
 * After jsontext.h, hooktext.h; before hookform_template.c.  The language (doc/problems.md, body
 * templates) decides nothing and computes nothing:
 *
 *   {{path.to.field}}           in a JSON string: the text, escaped; elsewhere: the value as JSON
 *   {{path|80}}                 its first 80 characters
 *   {{#path}} ... {{/path}}     once for each item of a list; once for what is there and not empty
 *   {{^path}} ... {{/path}}     once where it is not, or is empty
 *   {{@first}} {{@last}} {{.}}  in a list: of this item
 *   {{! comment }}
 *
 * A name that an item has not is looked for around it. */
#ifndef PLUMBLINE_HOOKTEMPLATE_H
#define PLUMBLINE_HOOKTEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "pool.h"

#define HOOKTEMPLATE_BODY_MAX (1024u * 1024u)
#define HOOKTEMPLATE_WHY_SIZE 160u

/* A part of a file: where it begins in it, for messages. */
struct hooktemplate {
    const char *text;
    size_t size;
    size_t line, column; /* Of the file, of its first octet; the first is 1, 1. */
};

/* Fills 't' from 'event' into a text of the pool's, '*size' octets.  'json': the result must be
 * JSON, and is.  Otherwise it is for a URL: each value is written for one part of a path or of a
 * query.  NULL with "line:column: what is wrong" in 'why' (HOOKTEMPLATE_WHY_SIZE). */
char *hooktemplate_fill(const struct hooktemplate *t, const cJSON *event, bool json,
                        struct pool *pool, size_t *size, char *why);

/* What a path of names and numbers ("issues.0.key") leads to; NULL: nothing. */
const cJSON *hooktemplate_find(const cJSON *from, const char *path, size_t length);

#endif
