/* jsontext.c - see jsontext.h. */
#include "jsontext.h"

#include <string.h>

#include "hooktext.h"

struct reading {
    const char *text;
    size_t size, at;
    const char *what; /* What was expected where it went wrong; NULL: nothing did. */
    char open[JSONTEXT_DEPTH_MAX];
    size_t depth;
};

/* 0 at the end, which is no character of JSON. */
static char
peek(const struct reading *r)
{
    return r->at < r->size ? r->text[r->at] : '\0';
}

static bool
wrong(struct reading *r, const char *what)
{
    r->what = r->what ? r->what : what;
    return false;
}

static void
pass_space(struct reading *r)
{
    while (r->at < r->size && strchr(" \t\r\n", r->text[r->at]) && r->text[r->at]) {
        r->at++;
    }
}

static bool
pass_digits(struct reading *r)
{
    size_t begin = r->at;

    while (peek(r) >= '0' && peek(r) <= '9') {
        r->at++;
    }
    return r->at > begin || wrong(r, "a digit");
}

static bool
pass_number(struct reading *r)
{
    r->at += peek(r) == '-';
    if (peek(r) == '0') {
        r->at++;
    } else if (!pass_digits(r)) {
        return false;
    }
    if (peek(r) == '.') {
        r->at++;
        if (!pass_digits(r)) {
            return false;
        }
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        r->at += peek(r) == '+' || peek(r) == '-';
        return pass_digits(r);
    }
    return true;
}

static bool
pass_escape(struct reading *r)
{
    char c = peek(r);

    if (c == '\0' || !strchr("\"\\/bfnrtu", c)) {
        return wrong(r, "one of \"\\/bfnrtu behind a backslash");
    }
    r->at++;
    for (int i = 0; c == 'u' && i < 4; i++) {
        if (peek(r) == '\0' || !strchr("0123456789abcdefABCDEF", peek(r))) {
            return wrong(r, "four hexadecimal digits behind \\u");
        }
        r->at++;
    }
    return true;
}

static bool
pass_string(struct reading *r)
{
    if (peek(r) != '"') {
        return wrong(r, "a string");
    }
    r->at++;
    while (r->at < r->size && peek(r) != '"') {
        const char *from = r->text + r->at, *next = from;
        if ((unsigned char)*from < 0x20) {
            return wrong(r, "no control character in a string");
        }
        if (hooktext_next(&next, r->size - r->at) == 0xfffd && next == from + 1) {
            return wrong(r, "UTF-8");
        }
        r->at += (size_t)(next - from);
        if (*from == '\\' && !pass_escape(r)) {
            return false;
        }
    }
    if (r->at == r->size) {
        return wrong(r, "the string's end");
    }
    r->at++;
    return true;
}

static bool
pass_word(struct reading *r)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (r->size - r->at >= length && memcmp(r->text + r->at, words[i], length) == 0) {
            r->at += length;
            return true;
        }
    }
    return wrong(r, "a value");
}

/* What stands before a value of an object. */
static bool
pass_name(struct reading *r)
{
    pass_space(r);
    if (!pass_string(r)) {
        return false;
    }
    pass_space(r);
    if (peek(r) != ':') {
        return wrong(r, "a colon");
    }
    r->at++;
    return true;
}

/* After a value: closes what ends here.  Whether another value follows. */
static bool
pass_ends(struct reading *r)
{
    while (r->depth > 0) {
        char close = r->open[r->depth - 1];
        pass_space(r);
        if (peek(r) == ',') {
            r->at++;
            return close == ']' || pass_name(r);
        }
        if (peek(r) != close) {
            return wrong(r, close == ']' ? "a comma or ]" : "a comma or }");
        }
        r->at++;
        r->depth--;
    }
    return false;
}

/* Whether it is whole; of an object or a list only its beginning, with '*inside' set. */
static bool
pass_value(struct reading *r, bool *inside)
{
    char c = peek(r);

    *inside = false;
    if (c == '"') {
        return pass_string(r);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return pass_number(r);
    }
    if (c != '{' && c != '[') {
        return pass_word(r);
    }
    if (r->depth == JSONTEXT_DEPTH_MAX) {
        return wrong(r, "less nesting");
    }
    r->open[r->depth++] = c == '{' ? '}' : ']';
    r->at++;
    pass_space(r);
    *inside = peek(r) != r->open[r->depth - 1];
    return !*inside || c == '[' || pass_name(r);
}

bool
jsontext_check(const char *text, size_t size, size_t *where, const char **what)
{
    struct reading r = {.text = text, .size = size};
    bool more = true;

    while (more) {
        bool inside;
        pass_space(&r);
        more = pass_value(&r, &inside) && (inside || pass_ends(&r));
    }
    if (!r.what) {
        pass_space(&r);
    }
    if (!r.what && r.at < r.size) {
        wrong(&r, "nothing more");
    }
    *where = r.at;
    *what = r.what;
    return !r.what;
}
