/* inventory_print.c - the canonical text of an inventory, what is measured first; its generation.
 *
 * After inventory_text.c, inventory_print_sold.c. */
#include "inventory_parts.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "value.h"
#include "wire.h"

static const char *const clock_names[] = {"ntp", "ptp", "gnss"};
static const char *const metric_names[] = {"delay", "ifdv"};

static void
print_site(FILE *to, const struct inv_site *s)
{
    print_head(to, s);
    print_text(to, "    ", "timezone", s->timezone);
    print_labels(to, "labels", &s->labels);
}

static void
print_probe(FILE *to, const struct inv_probe *p)
{
    print_head(to, p);
    fprintf(to, "    site: \"%s\"\n", p->site->key);
    print_address(to, "    ", "address", &p->address);
    fprintf(to, "    clock: %s\n", clock_names[p->clock]);
    print_labels(to, "labels", &p->labels);
}

static void
print_router(FILE *to, const struct inv_router *r)
{
    char buf[VALUE_TEXT_SIZE];

    print_head(to, r);
    fprintf(to, "    site: \"%s\"\n", r->site->key);
    for (size_t i = 0; i < r->bmp_from_count; i++) {
        fprintf(to, "%s\"%s\"%s", i ? ", " : "    bmp: { from: [",
                value_format_address(&r->bmp_from[i], buf, sizeof buf),
                i + 1 == r->bmp_from_count ? "] }\n" : "");
    }
    print_labels(to, "labels", &r->labels);
}

static void
print_class(FILE *to, const struct inv_class *c)
{
    char buf[VALUE_TEXT_SIZE];

    print_head(to, c);
    fprintf(to, "    dscp: %s\n", value_format_dscp(c->dscp, buf, sizeof buf));
    print_span(to, "    ", "period", c->period);
    fprintf(to, "    size: %" PRIu32 "\n", c->size);
    print_span(to, "    ", "dt", c->dt);
    print_span(to, "    ", "tmax", c->tmax);
    fprintf(to, "    n: %" PRIu32 "\n    p: %" PRIu32 "\n", c->n, c->p);
    fprintf(to, "    loss_threshold: %s\n", value_format_percent(c->c_milli, buf, sizeof buf));
    fprintf(to, "    ifdv: %s\n", c->ifdv ? "true" : "false");
    if (c->limit_count) {
        fputs("    limits:\n", to);
    }
    for (unsigned i = 0; i < c->limit_count; i++) {
        const struct series_limit *l = &c->limits[i];
        fprintf(to, "      - { metric: %s, direction: %s, limit: %s }\n", metric_names[l->metric],
                direction_name(l->direction), value_format_span(l->limit, buf, sizeof buf));
    }
}

static void
print_end(FILE *to, const struct inv_end *e)
{
    if (e->probe) {
        fprintf(to, "      - probe: \"%s\"\n", e->probe->key);
        print_address(to, "        ", "address", &e->address);
        fprintf(to, "        port: %u\n", e->port);
    } else {
        fputs("      -\n", to);
        print_far(to, "        ", e);
    }
    if (e->router) {
        fprintf(to, "        router: \"%s\"\n", e->router->key);
    }
    print_text(to, "        ", "interface", e->interface);
    print_text(to, "        ", "vrf", e->vrf);
}

/* 'all': limits that follow from SLAs too, which a slice cannot derive. */
static void
print_link(FILE *to, const struct inv_link *l, bool all)
{
    char buf[VALUE_TEXT_SIZE];

    print_head(to, l);
    if (l->in_service.ns) {
        fprintf(to, "    in_service: %s\n", instant_format(l->in_service, 9, buf, sizeof buf));
    }
    fputs("    ends:\n", to);
    print_end(to, &l->ends[0]);
    print_end(to, &l->ends[1]);
    print_class_list(to, l->classes, l->class_count);
    if (all) {
        print_link_limits(to, l);
    }
    fprintf(to, "    flows: %u\n    probe_from: %s\n    nat: %s\n", l->flows,
            l->probe_from_both ? "both" : "first", l->nat ? "true" : "false");
    print_auth(to, "    ", &l->auth);
    if (l->capacity_bps) {
        fprintf(to, "    capacity: %s\n", value_format_rate(l->capacity_bps, buf, sizeof buf));
    }
    if (l->mtu) {
        fprintf(to, "    mtu: %" PRIu32 "\n", l->mtu);
    }
    print_span(to, "    ", "rt_floor", l->rt_floor);
    if (l->risk_count) {
        fputs("    risks: [", to);
        for (size_t i = 0; i < l->risk_count; i++) {
            fprintf(to, "%s\"%s\"", i ? ", " : "", l->risks[i]);
        }
        fputs("]\n", to);
    }
    print_labels(to, "labels", &l->labels);
}

static void
print_measured(FILE *to, const struct inventory *inv)
{
    bool any = false;

    fputs(inv->site_count ? "sites:\n" : "", to);
    for (size_t i = 0; i < inv->site_count; i++) {
        print_site(to, &inv->sites[i]);
    }
    fputs(inv->probe_count ? "probes:\n" : "", to);
    for (size_t i = 0; i < inv->probe_count; i++) {
        print_probe(to, &inv->probes[i]);
    }
    fputs(inv->router_count ? "routers:\n" : "", to);
    for (size_t i = 0; i < inv->router_count; i++) {
        print_router(to, &inv->routers[i]);
    }
    fputs(inv->class_count ? "classes:\n" : "", to);
    for (size_t i = 0; i < inv->class_count; i++) {
        print_class(to, &inv->classes[i]);
    }
    for (size_t i = 0; i < inv->link_count; i++) {
        if (!inv->links[i].attachment) { /* Else its connector says it. */
            fputs(any ? "" : "links:\n", to);
            any = true;
            print_link(to, &inv->links[i], inv->slice_of != NULL);
        }
    }
}

int
inventory_print(const struct inventory *inv, FILE *to)
{
    char buf[VALUE_TEXT_SIZE];

    if (inv->slice_of) {
        fprintf(to, "slice: 1\nslice_of: \"%s\"\ngeneration: \"%016" PRIx64 "\"\n", inv->slice_of,
                (uint64_t)inv->generation);
    } else {
        fputs("inventory: 1\n", to);
    }
    fprintf(to, "interval: %s\n", value_format_span(inv->interval, buf, sizeof buf));
    print_measured(to, inv);
    print_sold(to, inv);
    return fflush(to) || ferror(to) ? -EIO : 0;
}

int64_t
inventory_generation(const struct inventory *inv)
{
    char *text = NULL;
    size_t length = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    FILE *to = open_memstream(&text, &length);

    assert(to != NULL);
    int err = inventory_print(inv, to);
    assert(err == 0);
    (void)err;
    fclose(to);
    int ok = EVP_Digest(text, length, digest, &size, EVP_sha256(), NULL);
    assert(ok == 1 && size == 32);
    (void)ok;
    free(text);
    struct rd r = rd_of(digest, size);
    return (int64_t)(rd_be64(&r) >> 1);
}
