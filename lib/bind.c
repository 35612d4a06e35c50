/* bind.c - values by type, maps by table. */
#include "bind.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "nstime.h"
#include "series.h"
#include "value.h"

#define STRING_SIZE_MAX 255u

/* So many faults may come with a suggestion: looking for one takes time. */
#define SUGGESTIONS_MAX 200u

static void *
field(void *object, size_t offset)
{
    return (char *)object + offset;
}

/* What a value of this type looks like. */
static const char *
expected(enum bind_type type)
{
    switch (type) {
    case BIND_STRING:
        return "text of one line, at most 255 bytes";
    case BIND_NAME:
        return "a key: a-z, 0-9, '.', '-', beginning with a letter or digit, at most 63";
    case BIND_BOOL:
        return "true or false";
    case BIND_UNSIGNED:
        return "a whole number";
    case BIND_SPAN:
        return "a time with its unit (ns us ms s m h d), such as 100ms";
    case BIND_RATE:
        return "a rate with its unit (bit kbit Mbit Gbit Tbit), such as 10Gbit";
    case BIND_SIZE:
        return "a size with its unit (B KiB MiB GiB TiB), such as 8MiB";
    case BIND_PERCENT:
        return "a percentage with at most three decimals, such as 99.95%";
    case BIND_ADDRESS:
        return "an IP address, such as 192.0.2.1 or 2001:db8::1";
    case BIND_DATE:
        return "a day, such as 2026-02-01";
    case BIND_FILE:
        return "the name of a file without a folder, such as acme.key";
    case BIND_URL:
        return "an https:// or http:// (of mail smtps:// or smtp://) URL without a password in it";
    case BIND_MAIL:
        return "a mail address, such as noc@example.net";
    case BIND_DSCP:
        return "a DSCP: ef, va, cs0 to cs7, af11 to af43, or 0 to 63";
    case BIND_INSTANT:
        return "an instant as in RFC 3339, such as 2026-02-16T00:00:00Z";
    case BIND_NAMES:
        return "a list of keys, such as [gold, be]";
    case BIND_TABLE:
        return "a map";
    case BIND_WORD:
    case BIND_NODE:
        break;
    }
    return "something else";
}

static bool
wrong(const struct bind *b, const struct yaml_node *node, enum bind_type type)
{
    char what[64];

    fault_error(b->faults, node->at, "expected %s, got %s", expected(type),
                yaml_describe(node, what, sizeof what));
    return false;
}

bool
bind_expect(const struct bind *b, const struct yaml_node *node, enum yaml_kind kind,
            const char *what)
{
    char got[64];

    if (node->kind == kind) {
        return true;
    }
    fault_error(b->faults, node->at, "expected %s, got %s", what,
                yaml_describe(node, got, sizeof got));
    return false;
}

/* A bound as its own type writes it. */
static const char *
format_bound(enum bind_type type, uint64_t value, char *buf, size_t size)
{
    switch (type) {
    case BIND_SPAN:
        return value_format_span(span_of_ns((int64_t)value), buf, size);
    case BIND_RATE:
        return value_format_rate(value, buf, size);
    case BIND_SIZE:
        return value_format_size(value, buf, size);
    case BIND_PERCENT:
        return value_format_percent(value, buf, size);
    default:
        snprintf(buf, size, "%" PRIu64, value);
        return buf;
    }
}

/* The greatest value that the key's field holds. */
static uint64_t
field_max(const struct bind_key *k)
{
    if (k->type == BIND_SPAN) {
        return INT64_MAX;
    }
    if (k->type == BIND_PERCENT) {
        return UINT32_MAX;
    }
    return k->type == BIND_UNSIGNED && k->width < 8 ? (UINT64_C(1) << (8 * k->width)) - 1
                                                    : UINT64_MAX;
}

static void
store_unsigned(const struct bind_key *k, void *object, uint64_t value)
{
    void *to = field(object, k->offset);

    if (k->type == BIND_SPAN) {
        *(struct span *)to = span_of_ns((int64_t)value);
    } else if (k->type == BIND_PERCENT) {
        *(uint32_t *)to = (uint32_t)value;
    } else if (k->type == BIND_UNSIGNED && k->width == 1) {
        *(uint8_t *)to = (uint8_t)value;
    } else if (k->type == BIND_UNSIGNED && k->width == 2) {
        *(uint16_t *)to = (uint16_t)value;
    } else if (k->type == BIND_UNSIGNED && k->width == 4) {
        *(uint32_t *)to = (uint32_t)value;
    } else {
        *(uint64_t *)to = value;
    }
}

static bool
parse_number(enum bind_type type, const char *text, uint64_t *out)
{
    struct span span;

    switch (type) {
    case BIND_SPAN:
        if (!value_parse_span(text, &span)) {
            return false;
        }
        *out = (uint64_t)span.ns;
        return true;
    case BIND_RATE:
        return value_parse_rate(text, out);
    case BIND_SIZE:
        return value_parse_size(text, out);
    case BIND_PERCENT:
        return value_parse_percent(text, out);
    default:
        return value_parse_unsigned(text, out);
    }
}

static bool
bind_number(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
            void *object)
{
    uint64_t max = k->min == 0 && k->max == 0 ? field_max(k) : k->max;
    char low[VALUE_TEXT_SIZE], high[VALUE_TEXT_SIZE];
    uint64_t value;

    if (!parse_number(k->type, node->text, &value)) {
        return wrong(b, node, k->type);
    }
    if (value < k->min || value > max) {
        fault_error(b->faults, node->at, "expected %s to %s, got '%.40s'",
                    format_bound(k->type, k->min, low, sizeof low),
                    format_bound(k->type, max, high, sizeof high), node->text);
        return false;
    }
    store_unsigned(k, object, value);
    return true;
}

/* Whether 'a' can be the address of one host. */
static bool
is_host(const struct address *a)
{
    if (a->family == 4) {
        uint32_t host = ntohl(a->v4.s_addr);
        return host >> 24 != 0 && host >> 28 < 0xe;
    }
    return !IN6_IS_ADDR_UNSPECIFIED(&a->v6) && !IN6_IS_ADDR_MULTICAST(&a->v6);
}

static bool
bind_address(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
             void *object)
{
    struct address address;

    if (!value_parse_address(node->text, &address)) {
        return wrong(b, node, k->type);
    }
    if (!is_host(&address)) {
        fault_error(b->faults, node->at, "'%s' is not the address of one host", node->text);
        return false;
    }
    *(struct address *)field(object, k->offset) = address;
    return true;
}

static bool
bind_word(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
          void *object)
{
    char list[160] = "";
    struct nearest near = {.wanted = node->text};

    for (const struct bind_word *w = k->words; w->word; w++) {
        if (strcmp(w->word, node->text) == 0) {
            *(int *)field(object, k->offset) = w->value;
            return true;
        }
        nearest_offer(&near, w->word);
        size_t length = strlen(list);
        snprintf(list + length, sizeof list - length, "%s%s", w == k->words ? "" : ", ", w->word);
    }
    char hint[96], got[64];
    fault_error(b->faults, node->at, "expected one of %s, got %s%s", list,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return false;
}

/* Text that a terminal, a log line and the canonical form can carry as it is. */
static bool
is_one_line(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0) ||
            (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) ||
            (c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf)) {
            return false;
        }
    }
    return true;
}

/* A file's name that no folder can hide in. */
static bool
is_file_name(const char *text)
{
    return text[0] != '.' && text[0] != '-' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               strlen(text);
}

static bool
is_url(const char *text)
{
    static const char *const schemes[] = {"https://", "http://", "smtps://", "smtp://"};
    const char *host = "";

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            host = text + strlen(schemes[i]);
        }
    }
    size_t length = strcspn(host, "/?#");
    return length > 0 && !memchr(host, '@', length) && !strpbrk(text, " \"<>\\^`{|}");
}

/* RFC 5321's lengths; of RFC 5322's forms the one that people have (dot-atom): quotes and comments
 * could carry anything into a header. */
static bool
is_mail(const char *text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.!#$%&'*+-/=?^_`{|}~";
    static const char in_host[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t local = strspn(text, letters), length = strlen(text);

    if (local == 0 || local > 64 || text[local] != '@' || length > 254) {
        return false;
    }
    const char *host = text + local + 1;
    size_t host_length = strspn(host, in_host);
    bool dots = strstr(text, "..") || text[0] == '.' || text[local - 1] == '.' || host[0] == '.' ||
                host[0] == '-' || host_length == 0 || host[host_length - 1] == '.';
    return !dots && host[host_length] == '\0' && text[0] != '-';
}

static bool
text_fits(enum bind_type type, const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > STRING_SIZE_MAX || !is_one_line(text)) {
        return false;
    }
    switch (type) {
    case BIND_NAME:
        return value_is_name(text);
    case BIND_DATE:
        return value_is_date(text);
    case BIND_FILE:
        return is_file_name(text);
    case BIND_URL:
        return is_url(text);
    case BIND_MAIL:
        return is_mail(text);
    default:
        return true;
    }
}

static bool
bind_text(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
          void *object)
{
    size_t length = strlen(node->text);

    if (!text_fits(k->type, node->text)) {
        return wrong(b, node, k->type);
    }
    *(const char **)field(object, k->offset) = pool_text(b->pool, node->text, length);
    return true;
}

static bool
bind_scalar(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
            void *object)
{
    void *to = field(object, k->offset);
    bool good;

    switch (k->type) {
    case BIND_STRING:
    case BIND_NAME:
    case BIND_DATE:
    case BIND_FILE:
    case BIND_URL:
    case BIND_MAIL:
        return bind_text(b, k, node, object);
    case BIND_BOOL:
        good = node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0);
        if (good) {
            *(bool *)to = node->text[0] == 't';
        }
        return good || wrong(b, node, k->type);
    case BIND_UNSIGNED:
    case BIND_SPAN:
    case BIND_RATE:
    case BIND_SIZE:
    case BIND_PERCENT:
        return bind_number(b, k, node, object);
    case BIND_ADDRESS:
        return bind_address(b, k, node, object);
    case BIND_DSCP:
        return value_parse_dscp(node->text, to) || wrong(b, node, k->type);
    case BIND_INSTANT:
        return value_parse_instant(node->text, to) || wrong(b, node, k->type);
    case BIND_WORD:
        return bind_word(b, k, node, object);
    case BIND_NAMES:
    case BIND_TABLE:
    case BIND_NODE:
        break;
    }
    assert(node == NULL); /* No other type gets here. */
    return false;
}

static bool
bind_names(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
           void *object)
{
    const char **names;
    size_t count = 0;
    bool good = true;

    if (node->kind != YAML_LIST) {
        return wrong(b, node, k->type);
    }
    names = pool_array(b->pool, node->count, sizeof *names);
    for (const struct yaml_node *n = node->first; n; n = n->next) {
        if (n->kind != YAML_SCALAR || !value_is_name(n->text)) {
            good = wrong(b, n, BIND_NAME);
            continue;
        }
        size_t i = 0;
        while (i < count && strcmp(names[i], n->text) != 0) {
            i++;
        }
        if (i < count) {
            fault_error(b->faults, n->at, "'%s' is in this list twice", n->text);
            good = false;
            continue;
        }
        if (k->max && count == k->max) {
            fault_error(b->faults, n->at, "expected at most %" PRIu64 " in this list", k->max);
            good = false;
            break;
        }
        names[count++] = pool_text(b->pool, n->text, strlen(n->text));
    }
    *(const char ***)field(object, k->offset) = names;
    *(size_t *)field(object, k->count_offset) = count;
    return good;
}

bool
bind_value(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
           void *object)
{
    if (k->type == BIND_NODE) {
        *(const struct yaml_node **)field(object, k->offset) = node;
        return true;
    }
    if (k->type == BIND_NAMES) {
        return bind_names(b, k, node, object);
    }
    if (k->type == BIND_TABLE) {
        return bind_map(b, node, node->at, k->table, field(object, k->offset));
    }
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        char got[64];
        if (k->type == BIND_WORD) {
            fault_error(b->faults, node->at, "expected a word, got %s",
                        yaml_describe(node, got, sizeof got));
            return false;
        }
        return wrong(b, node, k->type);
    }
    return bind_scalar(b, k, node, object);
}

static bool
unknown_key(const struct bind *b, const struct yaml_node *member, const struct bind_key *table)
{
    struct nearest near = {.wanted = member->key};
    char hint[96], list[512] = "";

    if (b->lenient) {
        fault_warning(b->faults, member->key_at, "unknown key '%.63s' is passed over", member->key);
        return true;
    }
    for (const struct bind_key *k = table; k->key; k++) {
        size_t length = strlen(list);
        snprintf(list + length, sizeof list - length, "%s%s", k == table ? "" : ", ", k->key);
        if (faults_errors(b->faults) < SUGGESTIONS_MAX) {
            nearest_offer(&near, k->key);
        }
    }
    fault_error(b->faults, member->key_at, "unknown key '%.63s'%s (expected: %s)", member->key,
                nearest_text(&near, hint, sizeof hint), list);
    return false;
}

/* The default of 'k', or a fault at 'at' if there must be a value. */
static bool
bind_missing(const struct bind *b, const struct bind_key *k, struct place at, void *object)
{
    if (k->type == BIND_TABLE) {
        return bind_map(b, NULL, at, k->table, field(object, k->offset));
    }
    if (k->required) {
        bool plain = k->type != BIND_NODE && k->type != BIND_WORD;
        fault_error(b->faults, at, "key '%s' is missing%s%s", k->key, plain ? ": " : "",
                    plain ? expected(k->type) : "");
        return false;
    }
    if (k->fallback) {
        struct yaml_node written = {
            .kind = YAML_SCALAR, .plain = true, .at = at, .text = k->fallback};
        bool good = bind_value(b, k, &written, object);
        assert(good);
        return good;
    }
    return true;
}

bool
bind_map(const struct bind *b, const struct yaml_node *map, struct place at,
         const struct bind_key *table, void *object)
{
    bool good = true;

    if (map && yaml_is_null(map)) {
        map = NULL;
    }
    if (map && !bind_expect(b, map, YAML_MAP, "a map")) {
        return false;
    }
    for (const struct yaml_node *n = map ? map->first : NULL; n; n = n->next) {
        const struct bind_key *k = table;
        while (k->key && strcmp(k->key, n->key) != 0) {
            k++;
        }
        if (!k->key) {
            good = unknown_key(b, n, table) && good;
        }
    }
    for (const struct bind_key *k = table; k->key; k++) {
        const struct yaml_node *n = map ? yaml_get(map, k->key) : NULL;
        if (n && k->unused) {
            fault_warning(b->faults, n->key_at, "'%s': %s", k->key, k->unused);
        }
        good = (n ? bind_value(b, k, n, object) : bind_missing(b, k, at, object)) && good;
    }
    return good;
}
