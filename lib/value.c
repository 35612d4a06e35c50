/* value.c - parsing and printing values with their units. */
#include "value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "series.h"

struct unit {
    const char *name;
    uint64_t scale;
};

static const struct unit span_units[] = {
    {"d", 86400 * UINT64_C(1000000000)},
    {"h", 3600 * UINT64_C(1000000000)},
    {"m", 60 * UINT64_C(1000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
    {"us", UINT64_C(1000)},
    {"ns", 1},
    {NULL, 0},
};

static const struct unit rate_units[] = {
    {"Tbit", UINT64_C(1000000000000)},
    {"Gbit", UINT64_C(1000000000)},
    {"Mbit", UINT64_C(1000000)},
    {"kbit", UINT64_C(1000)},
    {"bit", 1},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
    {NULL, 0},
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at 'text' into '*out'; returns what follows them, or NULL if there is
 * none or they are more than 64 bits hold. */
static const char *
digits(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (!is_digit(*text)) {
        return NULL;
    }
    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return text;
}

bool
value_parse_unsigned(const char *text, uint64_t *out)
{
    uint64_t value;
    const char *end = digits(text, &value);

    if (!end || *end != '\0') {
        return false;
    }
    *out = value;
    return true;
}

static uint64_t
greatest_common(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* "12.5unit" times the unit's scale, if that is a whole number. */
static bool
parse_scaled(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t whole, fraction = 0, parts = 1;
    const char *end = digits(text, &whole);

    if (end && *end == '.') {
        const char *start = end + 1;
        end = digits(start, &fraction);
        if (!end || end - start > 15) {
            return false;
        }
        for (const char *c = start; c < end; c++) {
            parts *= 10;
        }
    }
    if (!end) {
        return false;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(end, u->name) == 0) {
            uint64_t value, rest, common = greatest_common(parts, u->scale);
            parts /= common;
            if (fraction % parts != 0 || __builtin_mul_overflow(whole, u->scale, &value) ||
                __builtin_mul_overflow(fraction / parts, u->scale / common, &rest) ||
                __builtin_add_overflow(value, rest, &value)) {
                return false;
            }
            *out = value;
            return true;
        }
    }
    return false;
}

static char *
format_scaled(uint64_t value, const struct unit *units, const char *zero, char *buf, size_t size)
{
    if (value == 0) {
        snprintf(buf, size, "%s", zero);
        return buf;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (value % u->scale == 0) {
            snprintf(buf, size, "%" PRIu64 "%s", value / u->scale, u->name);
            break;
        }
    }
    return buf;
}

bool
value_parse_span(const char *text, struct span *out)
{
    uint64_t ns;

    if (!parse_scaled(text, span_units, &ns) || ns > INT64_MAX) {
        return false;
    }
    *out = span_of_ns((int64_t)ns);
    return true;
}

char *
value_format_span(struct span s, char *buf, size_t size)
{
    return format_scaled((uint64_t)s.ns, span_units, "0s", buf, size);
}

bool
value_parse_rate(const char *text, uint64_t *out)
{
    return parse_scaled(text, rate_units, out);
}

char *
value_format_rate(uint64_t bps, char *buf, size_t size)
{
    return format_scaled(bps, rate_units, "0bit", buf, size);
}

bool
value_parse_size(const char *text, uint64_t *out)
{
    return parse_scaled(text, size_units, out);
}

char *
value_format_size(uint64_t bytes, char *buf, size_t size)
{
    return format_scaled(bytes, size_units, "0B", buf, size);
}

bool
value_parse_percent(const char *text, uint64_t *out)
{
    static const struct unit percent[] = {{"%", 1000}, {NULL, 0}};
    return parse_scaled(text, percent, out);
}

char *
value_format_percent(uint64_t milli, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%" PRIu64 ".%03u", milli / 1000, (unsigned)(milli % 1000));

    while (n > 0 && buf[n - 1] == '0') {
        n--;
    }
    if (n > 0 && buf[n - 1] == '.') {
        n--;
    }
    snprintf(buf + n, size - (size_t)n, "%%");
    return buf;
}

bool
value_parse_dscp(const char *text, uint8_t *out)
{
    uint64_t number;
    unsigned value;

    if (value_parse_unsigned(text, &number)) {
        if (number > 63) {
            return false;
        }
        value = (unsigned)number;
    } else if (strcmp(text, "ef") == 0) {
        value = 46;
    } else if (strcmp(text, "va") == 0) {
        value = 44;
    } else if (strncmp(text, "cs", 2) == 0 && text[2] >= '0' && text[2] <= '7' && !text[3]) {
        value = (unsigned)(text[2] - '0') * 8;
    } else if (strncmp(text, "af", 2) == 0 && text[2] >= '1' && text[2] <= '4' && text[3] >= '1' &&
               text[3] <= '3' && !text[4]) {
        value = (unsigned)(text[2] - '0') * 8 + (unsigned)(text[3] - '0') * 2;
    } else {
        return false;
    }
    *out = (uint8_t)value;
    return true;
}

char *
value_format_dscp(uint8_t dscp, char *buf, size_t size)
{
    unsigned class_ = dscp / 8u, drop = dscp % 8u / 2u;

    if (dscp == 46) {
        snprintf(buf, size, "ef");
    } else if (dscp == 44) {
        snprintf(buf, size, "va");
    } else if (dscp % 8 == 0) {
        snprintf(buf, size, "cs%u", class_);
    } else if (dscp % 2 == 0 && class_ >= 1 && class_ <= 4) {
        snprintf(buf, size, "af%u%u", class_, drop);
    } else {
        snprintf(buf, size, "%u", dscp);
    }
    return buf;
}

bool
value_parse_ipv4(const char *text, struct in_addr *out)
{
    struct in_addr address;

    if (inet_pton(AF_INET, text, &address) != 1) {
        return false;
    }
    *out = address;
    return true;
}

/* Exactly 'count' digits at '*text', which it steps over. */
static bool
fixed_digits(const char **text, unsigned count, int64_t *out)
{
    int64_t value = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!is_digit((*text)[i])) {
            return false;
        }
        value = value * 10 + ((*text)[i] - '0');
    }
    *text += count;
    *out = value;
    return true;
}

static bool
one_of(const char **text, const char *set)
{
    if (**text == '\0' || !strchr(set, **text)) {
        return false;
    }
    (*text)++;
    return true;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar, 1970 or later. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    static const int64_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t last = year - 1;
    int64_t leaps = last / 4 - last / 100 + last / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);

    return (year - 1970) * 365 + leaps + before[month - 1] + (leap && month > 2) + day - 1;
}

static bool
is_day(int64_t year, int64_t month, int64_t day)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return year >= 1970 && year <= 2261 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap);
}

static bool
parse_fraction(const char **at, int64_t *ns)
{
    int64_t scale = NS_PER_S;

    *ns = 0;
    if (**at != '.') {
        return true;
    }
    (*at)++;
    if (!is_digit(**at)) {
        return false;
    }
    for (; is_digit(**at); (*at)++) {
        scale /= 10;
        if (scale == 0) {
            return false;
        }
        *ns += (**at - '0') * scale;
    }
    return true;
}

static bool
parse_offset(const char **at, int64_t *seconds)
{
    int64_t hours, minutes;
    bool west = **at == '-';

    *seconds = 0;
    if (one_of(at, "Zz")) {
        return true;
    }
    if (!one_of(at, "+-") || !fixed_digits(at, 2, &hours) || !one_of(at, ":") ||
        !fixed_digits(at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

bool
value_parse_instant(const char *text, struct instant *out)
{
    int64_t year, month, day, hour, minute, second, fraction, offset;
    const char *at = text;

    if (!fixed_digits(&at, 4, &year) || !one_of(&at, "-") || !fixed_digits(&at, 2, &month) ||
        !one_of(&at, "-") || !fixed_digits(&at, 2, &day) || !one_of(&at, "Tt ") ||
        !fixed_digits(&at, 2, &hour) || !one_of(&at, ":") || !fixed_digits(&at, 2, &minute) ||
        !one_of(&at, ":") || !fixed_digits(&at, 2, &second) || !parse_fraction(&at, &fraction) ||
        !parse_offset(&at, &offset) || *at != '\0') {
        return false;
    }
    if (!is_day(year, month, day) || hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    int64_t seconds =
        days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (seconds < 0) {
        return false;
    }
    *out = instant_of_ns(seconds * NS_PER_S + fraction);
    return true;
}

bool
value_is_date(const char *text)
{
    int64_t year, month, day;
    const char *at = text;

    return fixed_digits(&at, 4, &year) && one_of(&at, "-") && fixed_digits(&at, 2, &month) &&
           one_of(&at, "-") && fixed_digits(&at, 2, &day) && *at == '\0' && year >= 1970 &&
           is_day(year, month, day);
}

bool
value_parse_address(const char *text, struct address *out)
{
    struct address a = {.family = 4};

    if (value_parse_ipv4(text, &a.v4)) {
        *out = a;
        return true;
    }
    a = (struct address){.family = 6};
    if (inet_pton(AF_INET6, text, &a.v6) != 1 || IN6_IS_ADDR_V4MAPPED(&a.v6)) {
        return false;
    }
    *out = a;
    return true;
}

char *
value_format_address(const struct address *a, char *buf, size_t size)
{
    if (a->family == 0 ||
        !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, &a->v6, buf, (socklen_t)size)) {
        buf[0] = '\0';
    }
    return buf;
}

/* Whether no bit is set behind the first 'length'. */
static bool
is_network(const struct prefix *p)
{
    const uint8_t *octets = p->address.v6.s6_addr;

    for (unsigned bit = p->length; bit < 8 * address_size(&p->address); bit++) {
        if (octets[bit / 8] & (0x80u >> bit % 8)) {
            return false;
        }
    }
    return true;
}

bool
value_parse_prefix(const char *text, struct prefix *out)
{
    const char *slash = strchr(text, '/');
    char host[VALUE_TEXT_SIZE];
    struct prefix p;
    uint64_t length;

    if (!slash || (size_t)(slash - text) >= sizeof host ||
        !value_parse_unsigned(slash + 1, &length)) {
        return false;
    }
    memcpy(host, text, (size_t)(slash - text));
    host[slash - text] = '\0';
    if (!value_parse_address(host, &p.address) || length > 8 * address_size(&p.address)) {
        return false;
    }
    p.length = (uint8_t)length;
    if (!is_network(&p)) {
        return false;
    }
    *out = p;
    return true;
}

char *
value_format_prefix(const struct prefix *p, char *buf, size_t size)
{
    value_format_address(&p->address, buf, size);
    size_t length = strlen(buf);
    snprintf(buf + length, size - length, "/%u", p->length);
    return buf;
}

bool
value_is_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > SERIES_NAME_MAX || *text == '.' || *text == '-') {
        return false;
    }
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}
