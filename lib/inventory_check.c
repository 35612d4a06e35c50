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
#define ZONE_FOLDER "/usr/share/zoneinfo"

/* The place of a member, or of the object where it is a default that is wrong. */
static struct place
value_place(const struct yaml_node *object, const char *key)
{
    const struct yaml_node *n = yaml_get(object, key);
    return n ? n->at : object->key_at;
}

void
check_format(struct loader *l, const struct yaml_node *node)
{
    uint64_t format;
    char got[64];

    l->format_seen = true;
    if (node->kind != YAML_SCALAR || !value_parse_unsigned(node->text, &format) || format != 1) {
        fault_error(l->faults, node->at, "expected 1, the format that this release reads, got %s",
                    yaml_describe(node, got, sizeof got));
    }
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
    struct place at = value_place(object, "timezone");
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
        fault_error(l->faults, value_place(node, "period"),
                    "period %s is longer than dt %s: most dt would have no packet", period, dt);
        return;
    }
    if (packets > PACKETS_PER_DT_MAX) {
        fault_error(l->faults, value_place(node, "period"),
                    "period %s makes %" PRId64 " packets in a dt of %s; at most %d", period,
                    packets, dt, PACKETS_PER_DT_MAX);
    }
    if (c->dt.ns % c->period.ns != 0) {
        fault_warning(l->faults, value_place(node, "period"),
                      "dt %s is not a multiple of period %s: dt will have %" PRId64 " or %" PRId64
                      " packets",
                      dt, period, packets, packets + 1);
    }
    if (packets > 0 && (int64_t)c->c_milli * packets < 100000) {
        fault_warning(l->faults, value_place(node, "loss_threshold"),
                      "with %" PRId64 " packets in a dt one lost packet is over %u.%03u%%: "
                      "any loss makes the dt bad",
                      packets, c->c_milli / 1000, c->c_milli % 1000);
    }
    if (l->inv->interval.ns % c->dt.ns != 0) {
        char interval[VALUE_TEXT_SIZE];
        fault_error(l->faults, value_place(node, "dt"), "dt %s does not divide the interval %s", dt,
                    value_format_span(l->inv->interval, interval, sizeof interval));
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
            l->faults, value_place(node, "p"),
            "p %u is not less than n %u: runs of high loss become unavailable time first, "
            "and none will be counted",
            c->p, c->n);
    }
    check_room(l, value_place(node, "size"), c->size);
}

void
check_ends(struct loader *l, const struct yaml_node *ends, const struct inv_link *link)
{
    const struct inv_end *one = &link->ends[0], *two = &link->ends[1];
    const struct yaml_node *second = ends->last;

    if (one->probe == two->probe) {
        fault_error(l->faults, value_place(second, "probe"),
                    "both ends are at probe '%s'; a link goes from one probe to another",
                    one->probe->key);
    }
    if (one->address.s_addr == two->address.s_addr) {
        fault_error(l->faults, value_place(second, "address"), "both ends have this address");
    }
}

/* Two links between the same two addresses measure one path. */
struct path {
    uint64_t addresses; /* The smaller first, so that direction does not matter. */
    size_t link;
};

static int
path_compare(const void *left, const void *right)
{
    const struct path *a = left, *b = right;

    if (a->addresses != b->addresses) {
        return a->addresses < b->addresses ? -1 : 1;
    }
    return a->link < b->link ? -1 : a->link > b->link;
}

static void
check_paths(struct loader *l)
{
    const struct inventory *inv = l->inv;
    struct path *paths = pool_array(l->trees, inv->link_count, sizeof *paths);
    size_t count = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        uint32_t one = ntohl(link->ends[0].address.s_addr),
                 two = ntohl(link->ends[1].address.s_addr);
        if (link->state != INV_RETIRED && one && two) {
            paths[count++] = (struct path){
                .addresses = one < two ? (uint64_t)one << 32 | two : (uint64_t)two << 32 | one,
                .link = i,
            };
        }
    }
    if (count) {
        qsort(paths, count, sizeof *paths, path_compare);
    }
    for (size_t i = 1; i < count; i++) {
        if (paths[i].addresses == paths[i - 1].addresses) {
            fault_error(
                l->faults, l->link_nodes[paths[i].link]->key_at,
                "'%s' has the same two addresses as '%s': their packets could not be told apart",
                inv->links[paths[i].link].key, inv->links[paths[i - 1].link].key);
        }
    }
}

void
check_links(struct loader *l)
{
    for (size_t i = 0; i < l->inv->link_count; i++) {
        const struct inv_link *link = &l->inv->links[i];
        for (size_t c = 0; link->mtu && c < link->class_count; c++) {
            if (link->classes[c]->size + 28 > link->mtu) {
                fault_error(
                    l->faults, value_place(l->link_nodes[i], "mtu"),
                    "packets of class '%s' (%u octets and 28 of IP and UDP) do not fit in mtu %u",
                    link->classes[c]->key, link->classes[c]->size, link->mtu);
            }
        }
    }
    check_paths(l);
}
