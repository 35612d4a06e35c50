/* hooktemplate.c - see hooktemplate.h.
 *
 * While it writes it knows whether it is in a JSON string, by what the template has written so far:
 * a value can end no string and begin no member, wherever the template's author put it. */
#include "hooktemplate.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooktext.h"
#include "jsontext.h"

#define DEPTH_MAX 16u
#define STEPS_MAX 50000u /* Tags, sections anew for each item: lists in lists in lists. */
#define NAME_MAX_ 200u

/* Where what was written came from. */
struct origin {
    size_t out, at;
    bool literal;
};

struct frame {
    const cJSON *item; /* What names are looked for in first. */
    bool in_list, first, last;
};

struct filling {
    const struct hooktemplate *t;
    bool json;
    struct pool *pool;
    FILE *to;
    size_t written;
    struct frame frames[DEPTH_MAX + 1];
    size_t depth;
    struct origin *origins;
    size_t origin_count, origin_room;
    size_t steps;
    bool in_string, escaped; /* Of what is written. */
    char *why;
};

/* What stands between {{ and }}. */
struct tag {
    size_t begin, end; /* Of the whole, braces included. */
    char kind;         /* '#', '^', '/', '!', or 0: a value. */
    const char *name;
    size_t length;
    size_t most; /* Characters; 0: all. */
};

/* --- What is wrong, and where ----------------------------------------------------- */

static bool wrong(struct filling *f, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool
wrong(struct filling *f, size_t at, const char *format, ...)
{
    size_t line = f->t->line, column = f->t->column;
    va_list arguments;

    if (*f->why) {
        return false;
    }
    for (size_t i = 0; i < at && i < f->t->size; i++) {
        bool end = f->t->text[i] == '\n';
        line += end;
        column = end ? 1 : column + 1;
    }
    int length = snprintf(f->why, HOOKTEMPLATE_WHY_SIZE, "%zu:%zu: ", line, column);
    va_start(arguments, format);
    vsnprintf(f->why + length, HOOKTEMPLATE_WHY_SIZE - (size_t)length, format, arguments);
    va_end(arguments);
    return false;
}

/* --- Writing ----------------------------------------------------------------------- */

static void
note_origin(struct filling *f, size_t at, bool literal)
{
    if (f->origin_count == f->origin_room) {
        f->origin_room = f->origin_room ? 2 * f->origin_room : 64;
        f->origins = realloc(f->origins, f->origin_room * sizeof *f->origins);
        assert(f->origins);
    }
    f->origins[f->origin_count++] = (struct origin){f->written, at, literal};
}

static bool
write_out(struct filling *f, const char *text, size_t size, size_t at, bool literal)
{
    if (size > HOOKTEMPLATE_BODY_MAX - f->written) {
        return wrong(f, at, "the body is over %u octets", HOOKTEMPLATE_BODY_MAX);
    }
    if (size > 0) {
        note_origin(f, at, literal);
        fwrite(text, 1, size, f->to);
        f->written += size;
    }
    return true;
}

static bool
write_literal(struct filling *f, size_t from, size_t to)
{
    for (size_t i = from; i < to && f->json; i++) {
        char c = f->t->text[i];
        if (f->escaped) {
            f->escaped = false;
        } else if (c == '"') {
            f->in_string = !f->in_string;
        } else {
            f->escaped = f->in_string && c == '\\';
        }
    }
    return write_out(f, f->t->text + from, to - from, from, true);
}

/* What a value is in a text: a list or an object as JSON. */
static const char *
text_of(struct filling *f, const cJSON *value)
{
    if (cJSON_IsString(value)) {
        return value->valuestring;
    }
    if (!value || cJSON_IsNull(value)) {
        return "";
    }
    char *json = cJSON_PrintUnformatted(value);
    assert(json);
    const char *kept = pool_text(f->pool, json, strlen(json));
    cJSON_free(json);
    return kept;
}

/* Its first 'most' characters, not octets. */
static const char *
shortened(struct filling *f, const char *text, size_t most)
{
    const char *at = text;
    size_t left = strlen(text);

    if (most == 0) {
        return text;
    }
    for (size_t count = 0; *at && count < most; count++) {
        const char *before = at;
        hooktext_next(&at, left);
        left -= (size_t)(at - before);
    }
    return pool_text(f->pool, text, (size_t)(at - text));
}

static bool
write_value(struct filling *f, const struct tag *tag, const cJSON *value)
{
    const char *text = shortened(f, text_of(f, value), tag->most);
    size_t length;

    if (!f->json) {
        text = hooktext_url(f->pool, text);
        return write_out(f, text, strlen(text), tag->begin, false);
    }
    if (f->escaped) {
        return wrong(f, tag->begin, "no tag may stand behind a backslash");
    }
    if (!f->in_string && !cJSON_IsString(value)) {
        text = value ? text_of(f, value) : "null";
        text = *text ? text : "null";
        return write_out(f, text, strlen(text), tag->begin, false);
    }
    cJSON *quoted = cJSON_CreateString(text);
    char *json = cJSON_PrintUnformatted(quoted);
    assert(json);
    length = strlen(json);
    bool good = write_out(f, json + f->in_string, length - 2 * f->in_string, tag->begin, false);
    cJSON_free(json);
    cJSON_Delete(quoted);
    return good;
}

/* --- Looking up ---------------------------------------------------------------------- */

static const cJSON *
step_into(const cJSON *from, const char *name, size_t length)
{
    char text[NAME_MAX_ + 1];

    memcpy(text, name, length);
    text[length] = '\0';
    if (cJSON_IsArray(from)) {
        return text[strspn(text, "0123456789")] == '\0' && length < 6
                   ? cJSON_GetArrayItem(from, atoi(text))
                   : NULL;
    }
    return cJSON_IsObject(from) ? cJSON_GetObjectItemCaseSensitive(from, text) : NULL;
}

static size_t
part_length(const char *path, size_t length)
{
    const char *dot = memchr(path, '.', length);

    return dot ? (size_t)(dot - path) : length;
}

const cJSON *
hooktemplate_find(const cJSON *from, const char *path, size_t length)
{
    while (from && length > 0) {
        size_t part = part_length(path, length);
        if (part == 0 || part > NAME_MAX_) {
            return NULL;
        }
        from = step_into(from, path, part);
        path += part + (part < length);
        length -= part + (part < length);
    }
    return from;
}

/* '*made': a value of the machine's own, which is the caller's. */
static const cJSON *
look_up(struct filling *f, const struct tag *tag, cJSON **made)
{
    const struct frame *top = &f->frames[f->depth];

    *made = NULL;
    if (tag->length == 1 && tag->name[0] == '.') {
        return top->item;
    }
    if (tag->name[0] == '@') {
        bool last = tag->length == 5 && memcmp(tag->name, "@last", 5) == 0;
        *made = cJSON_CreateBool(top->in_list && (last ? top->last : top->first));
        assert(*made);
        return *made;
    }
    size_t first = part_length(tag->name, tag->length);
    for (size_t i = f->depth + 1; i-- > 0 && first <= NAME_MAX_ && first > 0;) {
        if (step_into(f->frames[i].item, tag->name, first)) {
            return hooktemplate_find(f->frames[i].item, tag->name, tag->length);
        }
    }
    return NULL;
}

static bool
is_empty(const cJSON *v)
{
    return !v || cJSON_IsNull(v) || cJSON_IsFalse(v) || (cJSON_IsString(v) && !*v->valuestring) ||
           (cJSON_IsNumber(v) && v->valuedouble == 0) ||
           ((cJSON_IsArray(v) || cJSON_IsObject(v)) && !v->child);
}

/* --- Tags ------------------------------------------------------------------------------ */

static bool
read_most(struct filling *f, struct tag *tag, const char *bar)
{
    size_t digits = (size_t)(tag->name + tag->length - bar - 1);

    for (size_t i = 1; i <= digits; i++) {
        if (bar[i] < '0' || bar[i] > '9' || digits > 6) {
            tag->most = 0;
            break;
        }
        tag->most = 10 * tag->most + (size_t)(bar[i] - '0');
    }
    tag->length = (size_t)(bar - tag->name);
    return tag->most > 0 ||
           wrong(f, tag->begin, "expected a number of characters behind the bar, such as |80");
}

static bool
check_name(struct filling *f, const struct tag *tag)
{
    static const char *const own[] = {".", "@first", "@last"};

    for (size_t i = 0; i < 3; i++) {
        if (tag->length == strlen(own[i]) && memcmp(tag->name, own[i], tag->length) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < tag->length; i++) {
        char c = tag->name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-' || c == '.';
        if (!word) {
            return wrong(f, tag->begin, "expected a name such as links or cause.key");
        }
    }
    return (tag->length > 0 && tag->length <= NAME_MAX_) ||
           wrong(f, tag->begin, "expected a name of at most %u octets", NAME_MAX_);
}

/* The tag that begins at 'at' ("{{"). */
static bool
read_tag(struct filling *f, size_t at, struct tag *tag)
{
    const char *text = f->t->text;
    size_t i = at + 2, end;

    *tag = (struct tag){.begin = at};
    for (end = i; end + 1 < f->t->size && !(text[end] == '}' && text[end + 1] == '}'); end++) {
    }
    if (end + 1 >= f->t->size) {
        return wrong(f, at, "this {{ has no }}");
    }
    tag->end = end + 2;
    if (i < end && strchr("#^/!", text[i]) && text[i]) {
        tag->kind = text[i++];
    }
    while (i < end && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t')) {
        i++;
    }
    while (end > i && (text[end - 1] == ' ' || text[end - 1] == '\n' || text[end - 1] == '\t')) {
        end--;
    }
    tag->name = text + i;
    tag->length = end - i;
    if (tag->kind == '!') {
        return true;
    }
    const char *bar = memchr(tag->name, '|', tag->length);
    return (!bar || tag->kind || read_most(f, tag, bar)) && check_name(f, tag);
}

/* The next "{{" from 'at' on; 'end' if there is none. */
static size_t
next_tag(const struct filling *f, size_t at, size_t end)
{
    while (at + 1 < end && !(f->t->text[at] == '{' && f->t->text[at + 1] == '{')) {
        at++;
    }
    return at + 1 < end ? at : end;
}

/* Where the section that 'open' begins ends: '*close' is its last tag. */
static bool
find_close(struct filling *f, const struct tag *open, struct tag *close)
{
    size_t at = open->end, depth = 1;

    while ((at = next_tag(f, at, f->t->size)) < f->t->size) {
        if (!read_tag(f, at, close)) {
            return false;
        }
        depth += close->kind == '#' || close->kind == '^';
        depth -= close->kind == '/';
        if (depth == 0) {
            bool same =
                close->length == open->length && memcmp(close->name, open->name, open->length) == 0;
            return same ||
                   wrong(f, close->begin, "expected {{/%.*s}}", (int)open->length, open->name);
        }
        at = close->end;
    }
    return wrong(f, open->begin, "this section has no {{/%.*s}}", (int)open->length, open->name);
}

/* --- Filling ----------------------------------------------------------------------------- */

static bool fill(struct filling *f, size_t from, size_t to);

static bool
fill_framed(struct filling *f, const struct frame *frame, const struct tag *open, size_t to)
{
    if (f->depth == DEPTH_MAX) {
        return wrong(f, open->begin, "sections are nested more than %u deep", DEPTH_MAX);
    }
    f->frames[++f->depth] = *frame;
    bool good = fill(f, open->end, to);
    f->depth--;
    return good;
}

static bool
fill_section(struct filling *f, const struct tag *open, const cJSON *value, size_t to)
{
    struct frame frame = f->frames[f->depth];
    bool good = true;

    if (is_empty(value) != (open->kind == '^')) {
        return true;
    }
    if (open->kind == '^' || (!cJSON_IsArray(value) && !cJSON_IsObject(value))) {
        return fill_framed(f, &frame, open, to);
    }
    if (cJSON_IsObject(value)) {
        frame.item = value;
        return fill_framed(f, &frame, open, to);
    }
    for (const cJSON *item = value->child; item && good; item = item->next) {
        frame = (struct frame){item, true, item == value->child, !item->next};
        good = fill_framed(f, &frame, open, to);
    }
    return good;
}

/* '*at' is moved behind the tag, or behind the section that it begins. */
static bool
fill_tag(struct filling *f, size_t *at)
{
    struct tag tag, close;
    cJSON *made;
    bool good;

    if (!read_tag(f, *at, &tag)) {
        return false;
    }
    if (++f->steps > STEPS_MAX) {
        return wrong(f, tag.begin, "lists in lists: there is no end of it");
    }
    *at = tag.end;
    if (tag.kind == '!') {
        return true;
    }
    if (tag.kind == '/') {
        return wrong(f, tag.begin, "nothing is open that {{/%.*s}} could end", (int)tag.length,
                     tag.name);
    }
    if (tag.kind && !find_close(f, &tag, &close)) {
        return false;
    }
    const cJSON *value = look_up(f, &tag, &made);
    if (tag.kind) {
        good = fill_section(f, &tag, value, close.begin);
        *at = close.end;
    } else {
        good = write_value(f, &tag, value);
    }
    cJSON_Delete(made);
    return good;
}

static bool
fill(struct filling *f, size_t from, size_t to)
{
    while (from < to) {
        size_t tag = next_tag(f, from, to);
        if (!write_literal(f, from, tag)) {
            return false;
        }
        from = tag;
        if (from < to && !fill_tag(f, &from)) {
            return false;
        }
    }
    return true;
}

/* Where in the template what is at 'out' came from. */
static size_t
origin_of(const struct filling *f, size_t out)
{
    size_t i = f->origin_count;

    while (i > 0 && f->origins[i - 1].out > out) {
        i--;
    }
    if (i == 0) {
        return 0;
    }
    const struct origin *o = &f->origins[i - 1];
    return o->literal ? o->at + (out - o->out) : o->at;
}

char *
hooktemplate_fill(const struct hooktemplate *t, const cJSON *event, bool json, struct pool *pool,
                  size_t *size, char *why)
{
    struct filling f = {.t = t, .json = json, .pool = pool, .why = why};
    char *text = NULL, *kept = NULL;
    const char *expected;
    size_t where;

    why[0] = '\0';
    f.frames[0].item = event;
    f.to = open_memstream(&text, size);
    assert(f.to);
    bool good = fill(&f, 0, t->size);
    int err = fclose(f.to);
    assert(err == 0);
    if (good && json && !jsontext_check(text, *size, &where, &expected)) {
        good = wrong(&f, origin_of(&f, where), "what comes out is no JSON: expected %s here",
                     expected);
    }
    if (good) {
        kept = pool_text(pool, text, *size);
    }
    free(text);
    free(f.origins);
    return kept;
}
