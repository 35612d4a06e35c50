/* icsline.c - content lines of an iCalendar. */
#include "icsline.h"

#include <string.h>

struct icsline_reader
icsline_reader_of(struct faults *faults, struct pool *pool, const char *name, const char *bytes,
                  size_t size)
{
    struct icsline_reader r = {.faults = faults,
                               .pool = pool,
                               .file = faults_file(faults, name, bytes, size),
                               .bytes = bytes,
                               .size = size,
                               .line = 1};

    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        r.at = 3;
    }
    return r;
}

/* How long the UTF-8 character at 'at' is; 0: it is none, or one that controls. */
static size_t
character_size(const char *at, size_t left)
{
    unsigned char lead = (unsigned char)at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (size == 1) {
        return (lead >= 0x20 && lead != 0x7f) || lead == '\t';
    }
    if (lead < 0xc2 || lead > 0xf4 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = (unsigned char)at[1];
    bool bad = (lead == 0xc2 && second < 0xa0) || (lead == 0xe0 && second < 0xa0) ||
               (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
               (lead == 0xf4 && second > 0x8f);
    return bad ? 0 : size;
}

/* The next physical line without its end. */
static size_t
physical(struct icsline_reader *r, const char **text)
{
    size_t left = r->size - r->at;
    const char *end = memchr(r->bytes + r->at, '\n', left);
    size_t length = end ? (size_t)(end - r->bytes) - r->at : left;

    *text = r->bytes + r->at;
    r->at += length + (end != NULL);
    r->line++;
    return length && (*text)[length - 1] == '\r' ? length - 1 : length;
}

static bool
is_folded(const struct icsline_reader *r)
{
    return r->at < r->size && (r->bytes[r->at] == ' ' || r->bytes[r->at] == '\t');
}

/* The next line, its folds taken out (which may be inside of a character); NULL: the end.
 * 'first' is how much of it stood before the first fold. */
static char *
unfolded(struct icsline_reader *r, size_t *first)
{
    const char *text;

    if (r->at >= r->size) {
        return NULL;
    }
    size_t start = r->at;
    uint32_t line = r->line;
    size_t length = *first = physical(r, &text);
    while (is_folded(r)) {
        length += physical(r, &text) - 1;
    }
    size_t end = r->at;
    uint32_t end_line = r->line;
    char *whole = pool_alloc(r->pool, length + 1);
    r->at = start;
    r->line = line;
    for (size_t at = 0; r->at < end;) {
        size_t size = physical(r, &text), skip = r->line > line + 1;
        memcpy(whole + at, text + skip, size - skip);
        at += size - skip;
    }
    r->line = end_line;
    /* A NUL would end the text: whoever checks characters sees it at once. */
    return memchr(whole, '\0', length) ? memset(whole, '\1', length) : whole;
}

/* --- Taking a line apart ----------------------------------------------------- */

struct cut {
    struct icsline_reader *r;
    struct icsline *out;
    char *text;
    size_t first; /* Octets before the first fold. */
};

/* Column of the octet at 'offset': of the line's begin behind a fold. */
static struct place
place_of(const struct cut *c, size_t offset)
{
    struct place at = c->out->at;

    if (offset <= c->first) {
        for (size_t i = 0; i < offset; i++) {
            at.column += ((unsigned char)c->text[i] & 0xc0) != 0x80;
        }
    }
    return at;
}

static bool
is_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* A name at 'at' in capitals; its length, 0: there is none. */
static size_t
take_name(struct cut *c, size_t at, const char **name)
{
    size_t length = 0;

    while (is_name(c->text[at + length])) {
        length++;
    }
    char *copy = pool_text(c->r->pool, c->text + at, length);
    for (char *p = copy; *p; p++) {
        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    }
    *name = copy;
    return length;
}

/* A parameter's value at 'at', in quotes or not, into '*value'; where it ends, or 0. */
static size_t
take_value(struct cut *c, size_t at, const char **value)
{
    bool quoted = c->text[at] == '"';
    size_t start = at + quoted, end = start + strcspn(c->text + start, quoted ? "\"" : ",;:\"");

    *value = pool_text(c->r->pool, c->text + start, end - start);
    return c->text[end] ? end + quoted : 0;
}

/* ";NAME=value" at 'at'; of several values with commas between, the first counts.  Where it
 * ends, or 0 after a fault. */
static size_t
take_param(struct cut *c, size_t at)
{
    struct icsline *out = c->out;
    const char *name, *value, *more;
    size_t length = take_name(c, at + 1, &name), start = at + 1 + length + 1;

    if (out->param_count == ICSLINE_PARAMS_MAX) {
        fault_error(c->r->faults, place_of(c, at), "more than %u parameters", ICSLINE_PARAMS_MAX);
        return 0;
    }
    if (length == 0 || c->text[at + 1 + length] != '=') {
        fault_error(c->r->faults, place_of(c, at + 1), "expected a parameter, NAME=value");
        return 0;
    }
    size_t end = take_value(c, start, &value);
    while (end && c->text[end] == ',') {
        end = take_value(c, end + 1, &more);
    }
    if (end == 0 || !strchr(";:", c->text[end])) {
        fault_error(c->r->faults, place_of(c, start),
                    "expected the value of %s, whole or in quotes, and ':' behind it", name);
        return 0;
    }
    out->params[out->param_count++] = (struct icsline_param){.name = name, .value = value};
    return end;
}

static bool
check_characters(struct cut *c)
{
    for (size_t at = 0, length = strlen(c->text); at < length;) {
        size_t size = character_size(c->text + at, length - at);
        if (size == 0) {
            fault_error(c->r->faults, place_of(c, at),
                        "expected text in UTF-8, without control characters");
            return false;
        }
        at += size;
    }
    return true;
}

static bool
take_apart(struct cut *c)
{
    struct icsline *out = c->out;

    if (!check_characters(c)) {
        return false;
    }
    size_t at = take_name(c, 0, &out->name);
    if (at == 0) {
        fault_error(c->r->faults, place_of(c, 0), "expected a property, NAME:value");
        return false;
    }
    while (c->text[at] == ';') {
        at = take_param(c, at);
        if (at == 0) {
            return false;
        }
    }
    if (c->text[at] != ':') {
        fault_error(c->r->faults, place_of(c, at), "expected ':' and the value of %s", out->name);
        return false;
    }
    out->value = c->text + at + 1;
    out->value_at = place_of(c, at + 1);
    return true;
}

bool
icsline_next(struct icsline_reader *r, struct icsline *out)
{
    for (;;) {
        struct cut c = {.r = r, .out = out};
        *out = (struct icsline){.at = {.file = r->file, .line = r->line, .column = 1}};
        c.text = unfolded(r, &c.first);
        if (!c.text) {
            return false;
        }
        /* Empty lines are none by the standard; mail leaves some at the end. */
        if (c.text[0] != '\0' && take_apart(&c)) {
            return true;
        }
    }
}

const char *
icsline_param(const struct icsline *line, const char *name)
{
    for (size_t i = 0; i < line->param_count; i++) {
        if (strcmp(line->params[i].name, name) == 0) {
            return line->params[i].value;
        }
    }
    return NULL;
}

const char *
icsline_text(struct icsline_reader *r, const struct icsline *line)
{
    size_t length = strlen(line->value), size = 0;
    char *text = pool_alloc(r->pool, length + 1);

    for (const char *p = line->value; *p; p++) {
        if (*p != '\\') {
            text[size++] = *p;
            continue;
        }
        p++;
        if (*p == '\0' || !strchr("\\;,nN", *p)) {
            fault_error(r->faults, line->value_at,
                        "expected one of \\\\ \\; \\, \\n behind a backslash in %s", line->name);
            return NULL;
        }
        text[size++] = (char)(*p == 'n' || *p == 'N' ? '\n' : *p);
    }
    while (size && strchr(" \t\n", text[size - 1])) {
        size--;
    }
    text[size] = '\0';
    return text + strspn(text, " \t\n");
}
