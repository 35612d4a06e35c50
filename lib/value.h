/* value.h - values as people write them, unit included: "100ms", "10Gbit",
 * "99.95%", "ef".
 *
 * After nstime.h, before bind.h; the command line uses it too.  value_parse_x
 * takes a whole NUL-terminated text, writes '*out' and returns true only if it is
 * exactly such a value; numbers may have decimals as long as nothing is lost.
 * value_format_x writes the canonical text, which parses to the same value, into
 * 'buf' (VALUE_TEXT_SIZE always suffices) and returns it. */
#ifndef PLUMBLINE_VALUE_H
#define PLUMBLINE_VALUE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "nstime.h"

#define VALUE_TEXT_SIZE 56u

/* "ns us ms s m h d".  Not negative. */
bool value_parse_span(const char *text, struct span *out);
char *value_format_span(struct span s, char *buf, size_t size);

/* "bit kbit Mbit Gbit Tbit", a second; powers of 1000. */
bool value_parse_rate(const char *text, uint64_t *out);
char *value_format_rate(uint64_t bps, char *buf, size_t size);

/* "B KiB MiB GiB TiB". */
bool value_parse_size(const char *text, uint64_t *out);
char *value_format_size(uint64_t bytes, char *buf, size_t size);

/* "99.95%" is 99950 milli-percent. */
bool value_parse_percent(const char *text, uint64_t *out);
char *value_format_percent(uint64_t milli, char *buf, size_t size);

/* Decimal digits only. */
bool value_parse_unsigned(const char *text, uint64_t *out);

/* "ef", "va", "cs0".."cs7", "af11".."af43", or 0..63. */
bool value_parse_dscp(const char *text, uint8_t *out);
char *value_format_dscp(uint8_t dscp, char *buf, size_t size);

bool value_parse_ipv4(const char *text, struct in_addr *out);

/* Of either family; an IPv4-mapped IPv6 address is none. */
bool value_parse_address(const char *text, struct address *out);
/* "" for none. */
char *value_format_address(const struct address *a, char *buf, size_t size);

/* "10.20.0.0/16".  Bits behind the length are an error. */
bool value_parse_prefix(const char *text, struct prefix *out);
char *value_format_prefix(const struct prefix *p, char *buf, size_t size);

/* "2026-02-01": 1970 to 2261, a day that there was. */
bool value_is_date(const char *text);

/* RFC 3339 with "Z" or an offset; 1970 to 2261. */
bool value_parse_instant(const char *text, struct instant *out);

/* A key of the inventory: [a-z0-9][a-z0-9.-]*, at most SERIES_NAME_MAX. */
bool value_is_name(const char *text);

#endif
