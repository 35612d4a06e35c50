/* inventory_text.c - phrases of the canonical text that several sections use.
 *
 * After inventory.c; before the files that print. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <string.h>

#include "value.h"

/* Free text, always in double quotes. */
void
print_quoted(FILE *to, const char *text)
{
    fputc('"', to);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') {
            fputc('\\', to);
        }
        fputc(*c, to);
    }
    fputc('"', to);
}

void
print_text(FILE *to, const char *indent, const char *key, const char *text)
{
    if (text) {
        fprintf(to, "%s%s: ", indent, key);
        print_quoted(to, text);
        fputc('\n', to);
    }
}

/* Not if it is 0: then it was not given. */
void
print_span(FILE *to, const char *indent, const char *key, struct span s)
{
    char buf[VALUE_TEXT_SIZE];

    if (s.ns) {
        fprintf(to, "%s%s: %s\n", indent, key, value_format_span(s, buf, sizeof buf));
    }
}

void
print_head(FILE *to, const void *object)
{
    struct inv_head head;

    memcpy(&head, object, sizeof head);
    fprintf(to, "  \"%s\":\n    state: %s\n", head.key, inventory_state_words[head.state].word);
    print_text(to, "    ", "label", head.label);
}

void
print_labels(FILE *to, const char *key, const struct inv_labels *labels)
{
    if (labels->count) {
        fprintf(to, "    %s:\n", key);
    }
    for (size_t i = 0; i < labels->count; i++) {
        fprintf(to, "      \"%s\": ", labels->list[i].name);
        print_quoted(to, labels->list[i].value);
        fputc('\n', to);
    }
}

void
print_address(FILE *to, const char *indent, const char *key, const struct address *address)
{
    char buf[VALUE_TEXT_SIZE];

    if (address_is_set(address)) {
        fprintf(to, "%s%s: \"%s\"\n", indent, key, value_format_address(address, buf, sizeof buf));
    }
}

void
print_class_list(FILE *to, const struct inv_class *const *classes, size_t count)
{
    fputs("    classes: [", to);
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "%s\"%s\"", i ? ", " : "", classes[i]->key);
    }
    fputs("]\n", to);
}

/* What a foreign end is. */
void
print_far(FILE *to, const char *indent, const struct inv_end *e)
{
    fprintf(to, "%sprotocol: %s\n", indent, inv_protocol_name(e->protocol));
    print_address(to, indent, "address", &e->address);
    if (e->protocol != INV_ICMP) {
        fprintf(to, "%sport: %u\n", indent, e->port);
        if (e->source_port) {
            fprintf(to, "%ssource_port: %u\n", indent, e->source_port);
        }
        fprintf(to, "%sreflector: %s\n%stimestamp: %s\n", indent,
                e->reflector == INV_STATELESS ? "stateless" : "stateful", indent,
                e->timestamp == INV_TIMESTAMP_PTP ? "ptp" : "ntp");
    }
    fprintf(to, "%suse: %s\n", indent, e->use == INV_USE_EVIDENCE ? "evidence" : "sla");
}

void
print_auth(FILE *to, const char *indent, const struct inv_auth *auth)
{
    if (auth->mode == INV_AUTH_NONE) {
        return;
    }
    fprintf(to, "%sauth: { mode: %s, key_file: ", indent,
            auth->mode == INV_AUTH_TLV ? "tlv" : "packet");
    print_quoted(to, auth->key_file);
    if (auth->next_key_file) {
        fputs(", next_key_file: ", to);
        print_quoted(to, auth->next_key_file);
    }
    fputs(" }\n", to);
}

const char *
print_limit(struct inv_metric metric, uint64_t value, char *buf, size_t size)
{
    switch (inv_metric_unit(metric.kind)) {
    case INV_NS:
        return value_format_span(span_of_ns((int64_t)value), buf, size);
    case INV_MILLI_PERCENT:
        return value_format_percent(value, buf, size);
    case INV_COUNT:
        break;
    }
    snprintf(buf, size, "%" PRIu64, value);
    return buf;
}
