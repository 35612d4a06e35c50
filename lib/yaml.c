/* yaml.c - from libfyaml's events to a tree, within bounds. */
#include "yaml.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libfyaml.h>

struct reader {
    struct pool *pool;
    struct faults *faults;
    const struct fault_file *file;
    struct yaml_node *root;
    struct yaml_node *open[YAML_DEPTH_MAX]; /* Lists and maps that are not closed. */
    const char *key[YAML_DEPTH_MAX];        /* Of an open map: the key that waits for its value. */
    struct place key_at[YAML_DEPTH_MAX];
    unsigned depth;
    size_t nodes;
    unsigned documents;
    bool failed;
    struct fy_token_iter *iter;
    char *text; /* Of the scalar at hand. */
    size_t text_room;
};

static struct place
place_of(const struct reader *r, const struct fy_mark *mark)
{
    if (!mark) {
        return (struct place){.file = r->file};
    }
    return (struct place){r->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

/* libfyaml's mark of what begins with a quote, '&' or '*' is behind that. */
static struct place
one_before(struct place at)
{
    at.column -= at.column > 1;
    return at;
}

/* Length of the UTF-8 sequence at 'b', or 0 if it is none (overlong forms,
 * surrogates and what is past U+10FFFF are none). */
static size_t
utf8_length(const unsigned char *b, size_t left)
{
    size_t need = b[0] < 0x80   ? 1
                  : b[0] < 0xc2 ? 0
                  : b[0] < 0xe0 ? 2
                  : b[0] < 0xf0 ? 3
                  : b[0] < 0xf5 ? 4
                                : 0;

    if (need == 0 || need > left) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] >= 0xa0) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] >= 0x90)) {
        return 0;
    }
    return need;
}

/* Whether 'c' may come before a node, so that the next character may begin one;
 * 'before' is what that was before 'c', 'next' comes after it. */
static bool
begins_node(bool before, char c, char next)
{
    return c == '[' || c == '{' || c == ',' ||
           (before && (c == ' ' || c == '\t' || (c == '-' && next == ' ')));
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What no YAML reader should have to see: bytes that are not UTF-8, control
 * characters, tabs that indent, and keys introduced by '?': nobody writes them,
 * and libfyaml 0.7.12 dies of some ("?\n ho::\t:").  Tabs are told once. */
static bool
text_is_clean(struct reader *r, const char *bytes, size_t size)
{
    struct place at = {r->file, 1, 1};
    bool indent = true, tab_told = false, clean = true;
    bool node = true; /* A node may begin here. */
    size_t line = 0;  /* Where it begins. */

    for (size_t i = 0; i < size;) {
        const unsigned char *b = (const unsigned char *)bytes + i;
        size_t length = utf8_length(b, size - i);

        if (length == 0) {
            fault_error(r->faults, at, "byte 0x%02x is not UTF-8; save the file as UTF-8", b[0]);
            return false;
        }
        if (b[0] == '\n') {
            at.line++;
            at.column = 1;
            indent = node = true;
            line = ++i;
            continue;
        }
        if (i - line >= YAML_LINE_SIZE_MAX) {
            fault_error(r->faults, at, "a line of more than %u KiB; break it",
                        YAML_LINE_SIZE_MAX >> 10);
            return false;
        }
        char next = i + 1 < size ? bytes[i + 1] : '\n';
        if (b[0] == '?' && node && is_blank(next)) {
            fault_error(r->faults, at, "'? ' would begin a key; write it as \"key: value\"");
            return false;
        }
        node = begins_node(node, bytes[i], next);
        if (b[0] == '\t' && indent && !tab_told) {
            fault_error(r->faults, at, "a tab indents this line; YAML takes spaces only");
            tab_told = true;
            clean = false;
        } else if ((b[0] < 0x20 && b[0] != '\t' &&
                    !(b[0] == '\r' && i + 1 < size && b[1] == '\n')) ||
                   b[0] == 0x7f || (b[0] == 0xc2 && b[1] < 0xa0)) {
            fault_error(r->faults, at, "control character U+%04X is not text",
                        b[0] == 0xc2 ? b[1] : b[0]);
            return false;
        }
        indent = indent && (b[0] == ' ' || b[0] == '\t');
        at.column++;
        i += length;
    }
    return clean;
}

static struct yaml_node *
node_new(struct reader *r, enum yaml_kind kind, struct place at)
{
    if (++r->nodes > YAML_NODES_MAX) {
        fault_error(r->faults, at, "more than %u values in one file; split it", YAML_NODES_MAX);
        r->failed = true;
        return NULL;
    }
    struct yaml_node *n = pool_alloc(r->pool, sizeof *n);
    n->kind = kind;
    n->at = at;
    return n;
}

static void
link_child(struct yaml_node *parent, struct yaml_node *child)
{
    child->next = NULL;
    if (parent->last) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
    parent->count++;
}

/* Puts 'n' where the stream is: the root, a list's next, a map's value. */
static void
node_place(struct reader *r, struct yaml_node *n)
{
    if (r->depth == 0) {
        r->root = n;
        return;
    }
    unsigned top = r->depth - 1;
    if (r->open[top]->kind == YAML_MAP) {
        n->key = r->key[top];
        n->key_at = r->key_at[top];
        r->key[top] = NULL;
    }
    link_child(r->open[top], n);
}

static bool
wants_key(const struct reader *r)
{
    return r->depth > 0 && r->open[r->depth - 1]->kind == YAML_MAP && !r->key[r->depth - 1];
}

static void
refuse(struct reader *r, struct place at, const char *why)
{
    fault_error(r->faults, at, "%s", why);
    r->failed = true;
}

/* Tag or anchor before a value. */
static bool
refuse_properties(struct reader *r, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor) {
        refuse(r, one_before(place_of(r, fy_token_start_mark(anchor))),
               "anchors (&name) are not read here; write the value where it is used");
        return true;
    }
    if (tag) {
        refuse(r, place_of(r, fy_token_start_mark(tag)), "tags (!name) are not read here");
        return true;
    }
    return false;
}

/* Escapes in double quotes can make what the file itself may not have. */
static bool
scalar_is_clean(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t size = utf8_length((const unsigned char *)text + i, length - i);
        if (size == 0 || text[i] == '\0') {
            return false;
        }
        i += size;
    }
    return true;
}

/* The text of 'token' into r->text.  By iterator, because fy_token_get_text()
 * forgets to free what it needs for a text with many escapes.  False if libfyaml
 * cannot make it. */
static bool
scalar_text(struct reader *r, struct fy_token *token, size_t *length)
{
    const struct fy_iter_chunk *chunk = NULL;
    int err = 0;

    *length = 0;
    if (!token) {
        return true;
    }
    fy_token_iter_start(token, r->iter);
    while ((chunk = fy_token_iter_chunk_next(r->iter, chunk, &err)) != NULL) {
        if (*length + chunk->len > r->text_room) {
            size_t room = 2 * (*length + chunk->len);
            char *more = realloc(r->text, room);
            assert(more != NULL);
            r->text = more;
            r->text_room = room;
        }
        memcpy(r->text + *length, chunk->str, chunk->len);
        *length += chunk->len;
    }
    fy_token_iter_finish(r->iter);
    return err == 0;
}

static void
take_scalar(struct reader *r, struct fy_event *e)
{
    struct place at = place_of(r, fy_event_start_mark(e));
    struct fy_token *token = e->scalar.value;
    size_t length = 0;
    bool whole = scalar_text(r, token, &length);
    const char *text = length ? r->text : "";

    if (!token && r->depth > 0 && r->open[r->depth - 1]->kind == YAML_MAP && r->key[r->depth - 1]) {
        at = r->key_at[r->depth - 1]; /* "key:" and nothing: the mark is not the key's. */
    }
    if (refuse_properties(r, e->scalar.anchor, e->scalar.tag)) {
        return;
    }
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    bool plain = style == FYSS_PLAIN;

    if (style == FYSS_DOUBLE_QUOTED || style == FYSS_SINGLE_QUOTED) {
        at = one_before(at);
    }
    if (!whole || !scalar_is_clean(text, length)) {
        refuse(r, at, "an escape here makes a character that is not text");
        return;
    }
    char *copy = pool_text(r->pool, text, length);
    if (wants_key(r)) {
        if (plain && strcmp(copy, "<<") == 0) {
            refuse(r, at, "merge keys (<<) are not read here; write the values out");
            return;
        }
        if (++r->nodes > YAML_NODES_MAX) {
            fault_error(r->faults, at, "more than %u values in one file; split it", YAML_NODES_MAX);
            r->failed = true;
            return;
        }
        r->key[r->depth - 1] = copy;
        r->key_at[r->depth - 1] = at;
        return;
    }
    struct yaml_node *n = node_new(r, YAML_SCALAR, at);
    if (n) {
        n->text = copy;
        n->plain = plain;
        node_place(r, n);
    }
}

static void
take_start(struct reader *r, struct fy_event *e, enum yaml_kind kind)
{
    struct place at = place_of(r, fy_event_start_mark(e));
    bool map = kind == YAML_MAP;

    if (refuse_properties(r, map ? e->mapping_start.anchor : e->sequence_start.anchor,
                          map ? e->mapping_start.tag : e->sequence_start.tag)) {
        return;
    }
    if (wants_key(r)) {
        refuse(r, at, "a key is a word, not a list or a map");
        return;
    }
    if (r->depth == YAML_DEPTH_MAX) {
        fault_error(r->faults, at, "nested deeper than %u levels", YAML_DEPTH_MAX);
        r->failed = true;
        return;
    }
    struct yaml_node *n = node_new(r, kind, at);
    if (n) {
        node_place(r, n);
        r->open[r->depth] = n;
        r->key[r->depth] = NULL;
        r->depth++;
    }
}

static void
take_event(struct reader *r, struct fy_event *e)
{
    switch (e->type) {
    case FYET_DOCUMENT_START:
        if (++r->documents > 1) {
            refuse(r, place_of(r, fy_event_start_mark(e)),
                   "a second document (---); one file holds one");
        }
        break;
    case FYET_SCALAR:
        take_scalar(r, e);
        break;
    case FYET_MAPPING_START:
        take_start(r, e, YAML_MAP);
        break;
    case FYET_SEQUENCE_START:
        take_start(r, e, YAML_LIST);
        break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        assert(r->depth > 0);
        r->depth--;
        if (e->type == FYET_MAPPING_END) {
            yaml_drop_duplicates(r->faults, r->open[r->depth]);
        }
        break;
    case FYET_ALIAS:
        refuse(r, one_before(place_of(r, fy_event_start_mark(e))),
               "aliases (*name) are not read here; write the value where it is used");
        break;
    default:
        break;
    }
}

/* libfyaml's own words, with a hint where they are known to puzzle. */
static void
tell_syntax(struct reader *r, struct fy_diag *diag)
{
    static const struct {
        const char *said, *hint;
    } hints[] = {
        {"invalid multiline plain key",
         " (is a ':' missing, or is the next line indented too far?)"},
        {"invalid nested block mapping on the same line", " (quote a value that has ': ' in it)"},
        {"without a closing bracket", " (']' or '}' is missing)"},
        {"did not find expected", " (check the indentation and the brackets)"},
    };
    void *at = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);

    if (!e || !e->msg) {
        fault_error(r->faults, (struct place){.file = r->file}, "this is not YAML");
        return;
    }
    const char *hint = "";
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (strstr(e->msg, hints[i].said)) {
            hint = hints[i].hint;
        }
    }
    struct place place = {r->file, e->line > 0 ? (uint32_t)e->line : 0,
                          e->column > 0 ? (uint32_t)e->column : 1};
    fault_error(r->faults, place, "this is not YAML: %s%s", e->msg, hint);
}

static void
read_events(struct reader *r, const char *bytes, size_t size)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    assert(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&config);
    assert(parser != NULL);
    int err = fy_parser_set_string(parser, bytes, size);
    assert(err == 0);
    (void)err;

    r->iter = fy_token_iter_create(NULL);
    assert(r->iter != NULL);
    bool ended = false;
    while (!ended && !r->failed) {
        struct fy_event *e = fy_parser_parse(parser);
        if (!e) {
            break;
        }
        ended = e->type == FYET_STREAM_END;
        take_event(r, e);
        fy_parser_event_free(parser, e);
    }
    if (!r->failed && (!ended || fy_parser_get_stream_error(parser))) {
        tell_syntax(r, diag);
        r->failed = true;
    }
    fy_token_iter_destroy(r->iter);
    free(r->text);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
}

struct yaml_node *
yaml_read(struct pool *pool, struct faults *faults, const char *name, const char *bytes,
          size_t size)
{
    struct reader r = {.pool = pool, .faults = faults};

    if (size > YAML_FILE_SIZE_MAX) {
        r.file = faults_file(faults, name, "", 0);
        fault_error(faults, (struct place){.file = r.file}, "larger than %u MiB; split it",
                    YAML_FILE_SIZE_MAX >> 20);
        return NULL;
    }
    r.file = faults_file(faults, name, bytes, size);
    if (!text_is_clean(&r, bytes, size)) {
        return NULL;
    }
    if (size > 0) {
        read_events(&r, bytes, size);
    }
    if (r.failed) {
        return NULL;
    }
    if (!r.root) {
        fault_error(faults, (struct place){.file = r.file}, "the file is empty");
    }
    return r.root;
}

/* All of 'fd', at most one byte more than a file may have. */
static int
read_all(int fd, char *bytes, size_t *size)
{
    *size = 0;
    while (*size <= YAML_FILE_SIZE_MAX) {
        ssize_t n = read(fd, bytes + *size, YAML_FILE_SIZE_MAX + 1 - *size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        *size += (size_t)n;
    }
    return 0;
}

struct yaml_node *
yaml_load(struct pool *pool, struct faults *faults, const char *path, int *err)
{
    struct yaml_node *root = NULL;
    size_t size = 0;
    char *bytes = malloc(YAML_FILE_SIZE_MAX + 1);
    assert(bytes != NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *err = fd < 0 ? -errno : read_all(fd, bytes, &size);
    if (*err) {
        const struct fault_file *file = faults_file(faults, path, "", 0);
        fault_error(faults, (struct place){.file = file}, "cannot be read: %s", strerror(-*err));
    } else {
        root = yaml_read(pool, faults, path, bytes, size);
        *err = root ? 0 : -EINVAL;
    }
    if (fd >= 0) {
        close(fd);
    }
    free(bytes);
    return root;
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
    if (map->kind != YAML_MAP) {
        return NULL;
    }
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        if (strcmp(n->key, key) == 0) {
            return n;
        }
    }
    return NULL;
}

bool
yaml_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && node->plain &&
           (!node->text[0] || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

const char *
yaml_describe(const struct yaml_node *node, char *buf, size_t size)
{
    if (node->kind == YAML_LIST) {
        snprintf(buf, size, "a list");
    } else if (node->kind == YAML_MAP) {
        snprintf(buf, size, "a map");
    } else if (yaml_is_null(node)) {
        snprintf(buf, size, "nothing");
    } else if (strlen(node->text) > 40) {
        size_t cut = 40;
        while (cut > 0 && ((unsigned char)node->text[cut] & 0xc0) == 0x80) {
            cut--;
        }
        snprintf(buf, size, "'%.*s...'", (int)cut, node->text);
    } else {
        snprintf(buf, size, "'%s'", node->text);
    }
    return buf;
}

void
yaml_append(struct yaml_node *into, struct yaml_node *from)
{
    for (struct yaml_node *n = from->first, *next; n; n = next) {
        next = n->next;
        link_child(into, n);
    }
    from->first = from->last = NULL;
    from->count = 0;
}

struct keyed {
    struct yaml_node *node;
    size_t index;
};

static int
keyed_compare(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    int order = strcmp(a->node->key, b->node->key);

    return order ? order : a->index < b->index ? -1 : a->index > b->index;
}

/* Finds them by sorting, so that a map of a hundred thousand keys stays cheap. */
void
yaml_drop_duplicates(struct faults *faults, struct yaml_node *map)
{
    size_t count = 0, dropped = 0;

    if (map->count < 2) {
        return;
    }
    struct keyed *all = calloc(map->count, sizeof *all);
    assert(all != NULL);
    for (struct yaml_node *n = map->first; n; n = n->next) {
        all[count] = (struct keyed){n, count};
        count++;
    }
    qsort(all, count, sizeof *all, keyed_compare);
    struct yaml_node *first = all[0].node;
    for (size_t i = 1; i < count; i++) {
        struct yaml_node *n = all[i].node;
        if (strcmp(n->key, first->key) != 0) {
            first = n;
            continue;
        }
        fault_error(faults, n->key_at, "key '%.63s' is here twice; first at %s:%u:%u", n->key,
                    fault_file_name(first->key_at.file), first->key_at.line, first->key_at.column);
        n->key = NULL;
        dropped++;
    }
    free(all);
    if (dropped) {
        struct yaml_node *n = map->first;
        map->first = map->last = NULL;
        map->count = 0;
        for (struct yaml_node *next; n; n = next) {
            next = n->next;
            if (n->key) {
                link_child(map, n);
            }
        }
    }
}
