/* inventory_print.c - the canonical text of an inventory, its generation, and
 * the sessions that follow from it. */
#include "inventory_parts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "value.h"
#include "wire.h"

static const char *const clock_names[] = {"ntp", "ptp", "gnss"};
static const char *const state_names[] = {"planned", "active", "retired"};
static const char *const metric_names[] = {"delay", "ifdv"};

/* Free text, always in double quotes. */
static void
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

static void
print_text(FILE *to, const char *key, const char *text)
{
    if (text) {
        fprintf(to, "    %s: ", key);
        print_quoted(to, text);
        fputc('\n', to);
    }
}

static void
print_span(FILE *to, const char *key, struct span s)
{
    char buf[VALUE_TEXT_SIZE];
    fprintf(to, "    %s: %s\n", key, value_format_span(s, buf, sizeof buf));
}

static void
print_labels(FILE *to, const struct inv_label *labels, size_t count)
{
    if (count) {
        fputs("    labels:\n", to);
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "      \"%s\": ", labels[i].name);
        print_quoted(to, labels[i].value);
        fputc('\n', to);
    }
}

static void
print_address(FILE *to, const char *indent, struct in_addr address)
{
    char buf[INET_ADDRSTRLEN];

    if (address.s_addr) {
        fprintf(to, "%saddress: %s\n", indent, inet_ntop(AF_INET, &address, buf, sizeof buf));
    }
}

/* "{}" where an object has nothing to say. */
static void
print_site(FILE *to, const struct inv_site *s)
{
    fprintf(to, "  \"%s\":%s\n", s->key, s->label || s->timezone ? "" : " {}");
    print_text(to, "label", s->label);
    print_text(to, "timezone", s->timezone);
}

static void
print_probe(FILE *to, const struct inv_probe *p)
{
    fprintf(to, "  \"%s\":\n    site: \"%s\"\n", p->key, p->site->key);
    print_text(to, "label", p->label);
    print_address(to, "    ", p->address);
    fprintf(to, "    clock: %s\n", clock_names[p->clock]);
}

static void
print_class(FILE *to, const struct inv_class *c)
{
    char buf[VALUE_TEXT_SIZE];

    fprintf(to, "  \"%s\":\n", c->key);
    print_text(to, "label", c->label);
    fprintf(to, "    dscp: %s\n", value_format_dscp(c->dscp, buf, sizeof buf));
    print_span(to, "period", c->period);
    fprintf(to, "    size: %" PRIu32 "\n", c->size);
    print_span(to, "dt", c->dt);
    print_span(to, "tmax", c->tmax);
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
    fprintf(to, "      - probe: \"%s\"\n", e->probe->key);
    if (e->router) {
        fprintf(to, "        router: \"%s\"\n", e->router);
    }
    if (e->interface) {
        fputs("        interface: ", to);
        print_quoted(to, e->interface);
        fputc('\n', to);
    }
    if (e->vrf) {
        fprintf(to, "        vrf: \"%s\"\n", e->vrf);
    }
    print_address(to, "        ", e->address);
    fprintf(to, "        port: %u\n", e->port);
}

static void
print_link(FILE *to, const struct inv_link *l)
{
    char buf[VALUE_TEXT_SIZE];

    fprintf(to, "  \"%s\":\n", l->key);
    print_text(to, "label", l->label);
    fprintf(to, "    state: %s\n", state_names[l->state]);
    if (l->in_service.ns) {
        fprintf(to, "    in_service: %s\n", instant_format(l->in_service, 9, buf, sizeof buf));
    }
    fputs("    ends:\n", to);
    print_end(to, &l->ends[0]);
    print_end(to, &l->ends[1]);
    fputs("    classes: [", to);
    for (size_t i = 0; i < l->class_count; i++) {
        fprintf(to, "%s\"%s\"", i ? ", " : "", l->classes[i]->key);
    }
    fprintf(to, "]\n    flows: %u\n    probe_from: %s\n", l->flows,
            l->probe_from_both ? "both" : "first");
    if (l->capacity_bps) {
        fprintf(to, "    capacity: %s\n", value_format_rate(l->capacity_bps, buf, sizeof buf));
    }
    if (l->mtu) {
        fprintf(to, "    mtu: %" PRIu32 "\n", l->mtu);
    }
    if (l->rt_floor.ns) {
        print_span(to, "rt_floor", l->rt_floor);
    }
    if (l->risk_count) {
        fputs("    risks: [", to);
        for (size_t i = 0; i < l->risk_count; i++) {
            fprintf(to, "%s\"%s\"", i ? ", " : "", l->risks[i]);
        }
        fputs("]\n", to);
    }
    print_labels(to, l->labels, l->label_count);
}

static void
print_tenant(FILE *to, const struct inv_tenant *t)
{
    fprintf(to, "  \"%s\":%s\n", t->key, t->label || t->timezone || t->label_count ? "" : " {}");
    print_text(to, "label", t->label);
    print_text(to, "timezone", t->timezone);
    print_labels(to, t->labels, t->label_count);
}

int
inventory_print(const struct inventory *inv, FILE *to)
{
    char buf[VALUE_TEXT_SIZE];

    fprintf(to, "inventory: 1\ninterval: %s\n", value_format_span(inv->interval, buf, sizeof buf));
    fputs(inv->site_count ? "sites:\n" : "", to);
    for (size_t i = 0; i < inv->site_count; i++) {
        print_site(to, &inv->sites[i]);
    }
    fputs(inv->probe_count ? "probes:\n" : "", to);
    for (size_t i = 0; i < inv->probe_count; i++) {
        print_probe(to, &inv->probes[i]);
    }
    fputs(inv->class_count ? "classes:\n" : "", to);
    for (size_t i = 0; i < inv->class_count; i++) {
        print_class(to, &inv->classes[i]);
    }
    fputs(inv->link_count ? "links:\n" : "", to);
    for (size_t i = 0; i < inv->link_count; i++) {
        print_link(to, &inv->links[i]);
    }
    fputs(inv->tenant_count ? "tenants:\n" : "", to);
    for (size_t i = 0; i < inv->tenant_count; i++) {
        print_tenant(to, &inv->tenants[i]);
    }
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

static void
copy_name(char to[SERIES_NAME_MAX + 1], const char *name)
{
    size_t length = strlen(name);
    assert(length <= SERIES_NAME_MAX);
    memcpy(to, name, length + 1);
}

static void
session_key_of(const struct inv_link *link, const struct inv_class *class_, unsigned end,
               uint16_t flow, struct session_key *key)
{
    memset(key, 0, sizeof *key);
    copy_name(key->object, link->key);
    copy_name(key->observer, link->ends[end].probe->key);
    copy_name(key->far, link->ends[1 - end].probe->key);
    copy_name(key->class_name, class_->key);
    memcpy(key->protocol, "stamp", sizeof "stamp");
    key->flow = flow;
    key->family = 4;
    key->observer_end = (uint8_t)end;
    key->dt = class_->dt;
    key->tmax = class_->tmax;
    key->period = class_->period;
    key->size = class_->size;
    key->dscp = class_->dscp;
    key->ifdv = class_->ifdv;
    key->limit_count = class_->limit_count;
    for (unsigned i = 0; i < class_->limit_count; i++) {
        key->limits[i] = class_->limits[i];
        key->limits[i].direction = session_direction(key, class_->limits[i].direction);
    }
}

int
inventory_sessions(const struct inventory *inv, const char *probe, inventory_session_fn *fn,
                   void *aux)
{
    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        unsigned end = strcmp(link->ends[0].probe->key, probe) == 0 ? 0 : 1;
        if (link->state == INV_RETIRED || strcmp(link->ends[end].probe->key, probe) != 0 ||
            (end == 1 && !link->probe_from_both)) {
            continue;
        }
        for (size_t c = 0; c < link->class_count; c++) {
            for (uint16_t flow = 0; flow < link->flows; flow++) {
                struct session_key key;
                session_key_of(link, link->classes[c], end, flow, &key);
                int stop = fn(link, link->classes[c], end, &key, aux);
                if (stop) {
                    return stop;
                }
            }
        }
    }
    return 0;
}
