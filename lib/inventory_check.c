/* inventory_check.c - what an inventory must be beside well formed: what divides
 * what, what would be measured twice, what a choice costs. */
#include "inventory_parts.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stamp.h"
#include "value.h"

#define QUARTER_HOUR_NS (900 * NS_PER_S)
/* So long may n delta-t be before availability means something else (Nokia SR OS, TWAMP-light). */
#define WINDOW_MAX_NS (100 * NS_PER_S)
#define ZONE_FOLDER "/usr/share/zoneinfo"

void
check_format(struct loader *l, const struct yaml_node *node)
{
    uint64_t format;
    char got[64];

    l->format_seen = true;
    if (l->slice_seen && strcmp(node->key, "inventory") == 0) {
        fault_error(l->faults, node->key_at, "'inventory' and 'slice' are two formats; keep one");
    }
    if (node->kind != YAML_SCALAR || !value_parse_unsigned(node->text, &format) || format != 1) {
        fault_error(l->faults, node->at, "expected 1, the format that this release reads, got %s",
                    yaml_describe(node, got, sizeof got));
    }
}

/* The probe that a slice is for: its key, as elsewhere. */
void
check_slice_of(struct loader *l, const struct yaml_node *node)
{
    static const struct bind_key name = {
        .key = "slice_of", .type = BIND_NAME, .offset = offsetof(struct inventory, slice_of)};

    if (l->inv->slice_of) {
        fault_error(l->faults, node->key_at, "a slice is one file; this is the second");
    }
    bind_value(&l->bind, &name, node, l->inv);
}

/* Of the inventory from which a slice was cut: 16 digits, as `check` prints it. */
void
check_generation(struct loader *l, const struct yaml_node *node)
{
    uint64_t generation = 0;
    char got[64];
    bool good = node->kind == YAML_SCALAR && strlen(node->text) == 16 &&
                strspn(node->text, "0123456789abcdef") == 16;

    for (const char *c = good ? node->text : ""; *c; c++) {
        generation = generation << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    }
    if (!good || generation > INT64_MAX) {
        fault_error(l->faults, node->at, "expected 16 hexadecimal digits of 63 bits, got %s",
                    yaml_describe(node, got, sizeof got));
        return;
    }
    l->inv->generation = (int64_t)generation;
}

void
check_interval(struct loader *l, const struct yaml_node *node)
{
    if (QUARTER_HOUR_NS % l->inv->interval.ns != 0) {
        fault_error(l->faults, node->at,
                    "'%.40s' does not divide a quarter of an hour; 10s, 15s, 30s, 60s and 5m do",
                    node->text);
    }
}

void
check_timezone(struct loader *l, const struct yaml_node *object, const char *zone)
{
    char path[sizeof ZONE_FOLDER + 260];

    if (!zone) {
        return;
    }
    struct place at = inventory_place(object, "timezone");
    if (strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/-") !=
            strlen(zone) ||
        zone[0] == '/') {
        fault_error(l->faults, at, "expected a time zone such as Europe/Paris, got '%.63s'", zone);
        return;
    }
    snprintf(path, sizeof path, "%s/%s", ZONE_FOLDER, zone);
    if (access(ZONE_FOLDER, X_OK) == 0 && access(path, R_OK) != 0) {
        fault_warning(l->faults, at, "this machine does not know the time zone '%.63s'", zone);
    }
}

static void
check_class_times(struct loader *l, const struct yaml_node *node, const struct inv_class *c)
{
    char one[VALUE_TEXT_SIZE], other[VALUE_TEXT_SIZE];
    const char *period = value_format_span(c->period, one, sizeof one);
    const char *dt = value_format_span(c->dt, other, sizeof other);
    int64_t packets = c->dt.ns / c->period.ns;

    if (c->period.ns > c->dt.ns) {
        fault_error(l->faults, inventory_place(node, "period"),
                    "period %s is longer than dt %s: most dt would have no packet", period, dt);
        return;
    }
    if (packets > PACKETS_PER_DT_MAX) {
        fault_error(l->faults, inventory_place(node, "period"),
                    "period %s makes %" PRId64 " packets in a dt of %s; at most %d", period,
                    packets, dt, PACKETS_PER_DT_MAX);
    }
    if (c->dt.ns % c->period.ns != 0) {
        fault_warning(l->faults, inventory_place(node, "period"),
                      "dt %s is not a multiple of period %s: dt will have %" PRId64 " or %" PRId64
                      " packets",
                      dt, period, packets, packets + 1);
    }
    if (packets > 0 && (int64_t)c->c_milli * packets < 100000) {
        fault_warning(l->faults, inventory_place(node, "loss_threshold"),
                      "with %" PRId64 " packets in a dt one lost packet is over %u.%03u%%: "
                      "any loss makes the dt bad",
                      packets, c->c_milli / 1000, c->c_milli % 1000);
    }
    if (l->inv->interval.ns % c->dt.ns != 0) {
        char interval[VALUE_TEXT_SIZE];
        fault_error(l->faults, inventory_place(node, "dt"), "dt %s does not divide the interval %s",
                    dt, value_format_span(l->inv->interval, interval, sizeof interval));
    }
}

/* What small packets cost (doc/wire-format.md has the sizes). */
static void
check_room(struct loader *l, struct place at, uint32_t size)
{
    if (size < STAMP_SIZE_REPORT) {
        fault_warning(l->faults, at,
                      "below %d octets a packet has no room for the reception report: loss gets a "
                      "direction only where a gap fell one way whole; below %d none for the "
                      "follow-up: delays take the reflector's less exact send time",
                      STAMP_SIZE_REPORT, STAMP_SIZE_FULL);
    } else if (size < STAMP_SIZE_FULL) {
        fault_warning(l->faults, at,
                      "below %d octets a packet has no room for the follow-up beside the reception "
                      "report: delays take the reflector's less exact send time",
                      STAMP_SIZE_FULL);
    }
}

void
check_class(struct loader *l, const struct yaml_node *node, const struct inv_class *c)
{
    check_class_times(l, node, c);
    if (c->p >= c->n) {
        fault_warning(
            l->faults, inventory_place(node, "p"),
            "p %u is not less than n %u: runs of high loss become unavailable time first, "
            "and none will be counted",
            c->p, c->n);
    }
    if (c->dt.ns > WINDOW_MAX_NS / c->n) {
        char window[VALUE_TEXT_SIZE];
        fault_warning(
            l->faults,
            inventory_place(node, node->kind == YAML_MAP && yaml_get(node, "n") ? "n" : "dt"),
            "n times dt is %s: a shorter outage is never unavailable time, and no state "
            "is known earlier; contracts have 100s at most",
            value_format_span(span_of_ns((int64_t)c->n * c->dt.ns), window, sizeof window));
    }
    check_room(l, inventory_place(node, "size"), c->size);
}

/* --- Links ---------------------------------------------------------------- */

static const struct yaml_node *
end_node(const struct yaml_node *node, unsigned end)
{
    const struct yaml_node *ends = node->kind == YAML_MAP ? yaml_get(node, "ends") : NULL;

    if (!ends || ends->kind != YAML_LIST || ends->count != 2) {
        return node; /* A test of a connector: all is in one map. */
    }
    return end ? ends->last : ends->first;
}

static void
check_addresses(struct loader *l, const struct yaml_node *node, const struct inv_link *link)
{
    const struct inv_end *one = &link->ends[0], *two = &link->ends[1];
    struct place second = inventory_place(end_node(node, 1), "address");

    for (unsigned i = 0; i < 2; i++) {
        if (address_is_link_local(&link->ends[i].address) && !one->interface) {
            fault_error(
                l->faults,
                inventory_place(end_node(node, i), i || !link->attachment ? "address" : "source"),
                "a link-local address needs the 'interface' on which it is");
        }
    }
    if (!address_is_set(&one->address) || !address_is_set(&two->address)) {
        return;
    }
    if (one->address.family != two->address.family) {
        fault_error(l->faults, second, "one end has IPv4, the other IPv6");
    } else if (address_equal(&one->address, &two->address)) {
        fault_error(l->faults, second, "both ends have this address");
    }
}

static void
check_auth(struct loader *l, const struct yaml_node *node, const struct inv_link *link)
{
    uint32_t least = link->auth.mode == INV_AUTH_PACKET ? 112 : 64;

    if (link->auth.mode == INV_AUTH_NONE) {
        return;
    }
    if (!link->ends[1].probe && link->ends[1].protocol != INV_STAMP) {
        fault_error(l->faults, inventory_place(node, "auth"),
                    "only stamp has authentication; the far end speaks %s",
                    inv_protocol_name(link->ends[1].protocol));
        return;
    }
    for (size_t c = 0; c < link->class_count; c++) {
        if (link->classes[c]->size < least) {
            fault_error(l->faults, inventory_place(node, "auth"),
                        "packets of class '%s' have %u octets; authenticated ones need %u at least",
                        link->classes[c]->key, link->classes[c]->size, least);
        }
    }
}

/* What a foreign far end cannot do. */
static void
check_foreign(struct loader *l, const struct yaml_node *node, const struct inv_link *link)
{
    const struct inv_end *far = &link->ends[1];

    if (link->probe_from_both) {
        fault_error(l->faults, inventory_place(node, "probe_from"),
                    "the second end is foreign, and sends nothing");
    }
    if (link->flows > 1 && (far->protocol == INV_ICMP || far->source_port)) {
        fault_error(l->faults, inventory_place(node, "flows"),
                    far->source_port ? "one fixed source_port is one flow"
                                     : "flows are source ports; an ICMP echo has none");
    }
}

void
check_link(struct loader *l, const struct yaml_node *node, const struct inv_link *link)
{
    const struct inv_end *one = &link->ends[0], *two = &link->ends[1];

    if (!one->probe || (!two->probe && !address_is_set(&two->address))) {
        return; /* Its ends have been told already. */
    }
    if (one->probe == two->probe) {
        fault_error(l->faults, inventory_place(end_node(node, 1), "probe"),
                    "both ends are at probe '%s'; a link goes from one probe to another",
                    one->probe->key);
    }
    check_addresses(l, node, link);
    check_auth(l, node, link);
    check_nat(l, node, link);
    if (!two->probe) {
        check_foreign(l, node, link);
    }
}

/* Two links that go the same way measure one path, and their replies could not be
 * told apart: said as a text that is the same for both. */
struct path {
    const char *text;
    size_t link;
};

static int
path_compare(const void *left, const void *right)
{
    const struct path *a = left, *b = right;
    int order = strcmp(a->text, b->text);

    return order ? order : a->link < b->link ? -1 : a->link > b->link;
}

static const char *
path_text(struct loader *l, const struct inv_link *link)
{
    char one[VALUE_TEXT_SIZE], two[VALUE_TEXT_SIZE], text[320];
    const struct inv_end *near = &link->ends[0], *far = &link->ends[1];
    const char *near_vrf = near->vrf ? near->vrf : "", *far_vrf = far->vrf ? far->vrf : "";

    value_format_address(&near->address, one, sizeof one);
    value_format_address(&far->address, two, sizeof two);
    if (!far->probe) {
        snprintf(text, sizeof text, "%s|%s|%s|%s|%u|%u|%u", near->probe->key, near_vrf, one, two,
                 far->protocol == INV_ICMP, far->port, far->source_port);
    } else if (link->nat) {
        /* The same private address at two places is nothing strange. */
        snprintf(text, sizeof text, "%s|%s|%s|%s|nat", near->probe->key, one, near_vrf, two);
    } else if (strcmp(one, two) < 0) {
        snprintf(text, sizeof text, "%s|%s|%s|%s", one, near_vrf, two, far_vrf);
    } else {
        snprintf(text, sizeof text, "%s|%s|%s|%s", two, far_vrf, one, near_vrf);
    }
    return pool_text(l->trees, text, strlen(text));
}

static void
check_paths(struct loader *l)
{
    const struct inventory *inv = l->inv;
    struct path *paths = pool_array(l->trees, inv->link_count, sizeof *paths);
    size_t count = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        if (link->state != INV_RETIRED && link->ends[0].probe &&
            address_is_set(&link->ends[1].address)) {
            paths[count++] = (struct path){.text = path_text(l, link), .link = i};
        }
    }
    if (count) {
        qsort(paths, count, sizeof *paths, path_compare);
    }
    for (size_t i = 1; i < count; i++) {
        const struct inv_link *link = &inv->links[paths[i].link];
        if (strcmp(paths[i].text, paths[i - 1].text) == 0) {
            const struct yaml_node *node = l->nodes[KIND_LINK][paths[i].link];
            fault_error(l->faults, link->attachment ? node->at : node->key_at,
                        "'%s' has the same two addresses as '%s': their packets could not be told "
                        "apart",
                        link->key, inv->links[paths[i - 1].link].key);
        }
    }
}

void
check_links(struct loader *l)
{
    for (size_t i = 0; i < l->inv->link_count; i++) {
        const struct inv_link *link = &l->inv->links[i];
        unsigned header = link->ends[1].address.family == 6 ? 48 : 28;
        for (size_t c = 0; link->mtu && c < link->class_count; c++) {
            if (link->classes[c]->size + header > link->mtu) {
                fault_error(
                    l->faults, inventory_place(l->nodes[KIND_LINK][i], "mtu"),
                    "packets of class '%s' (%u octets and %u of IP and UDP) do not fit in mtu %u",
                    link->classes[c]->key, link->classes[c]->size, header, link->mtu);
            }
        }
    }
    check_paths(l);
    check_nat_keys(l);
}
