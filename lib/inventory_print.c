/* inventory_print.c - the canonical text of an inventory: what is measured; its
 * generation, and the sessions that follow from it.  What is sold is in
 * inventory_print_sold.c. */
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

static void
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
    const struct inv_probe *far = link->ends[1 - end].probe;
    const char *protocol = inv_protocol_name(far ? INV_STAMP : link->ends[1 - end].protocol);

    memset(key, 0, sizeof *key);
    copy_name(key->object, link->key);
    copy_name(key->observer, link->ends[end].probe->key);
    copy_name(key->far, far ? far->key : "");
    copy_name(key->class_name, class_->key);
    snprintf(key->protocol, sizeof key->protocol, "%s", protocol);
    key->flow = flow;
    key->family = link->ends[1].address.family;
    key->observer_end = (uint8_t)end;
    key->dt = class_->dt;
    key->tmax = class_->tmax;
    key->period = class_->period;
    key->size = class_->size;
    key->dscp = class_->dscp;
    key->ifdv = class_->ifdv;
    key->rt_only = !inv_link_has_directions(link);
    for (unsigned i = 0; i < class_->limit_count; i++) {
        key->limits[key->limit_count++] = class_->limits[i];
    }
    for (size_t i = 0; i < link->limit_count && key->limit_count < SERIES_LIMITS_MAX; i++) {
        if (link->limits[i].class_ == class_) {
            key->limits[key->limit_count++] = link->limits[i].limit;
        }
    }
    for (unsigned i = 0; i < key->limit_count; i++) {
        key->limits[i].direction = session_direction(key, key->limits[i].direction);
    }
}

int
inventory_link_sessions(const struct inv_link *link, const struct inv_class *class_, unsigned end,
                        inventory_session_fn *fn, void *aux)
{
    int stop = 0;

    if (link->state == INV_RETIRED || !link->ends[end].probe ||
        (end == 1 && !link->probe_from_both)) {
        return 0;
    }
    for (uint16_t flow = 0; flow < link->flows && !stop; flow++) {
        struct session_key key;
        session_key_of(link, class_, end, flow, &key);
        stop = fn(link, class_, end, &key, aux);
    }
    return stop;
}

int
inventory_sessions(const struct inventory *inv, const char *probe, inventory_session_fn *fn,
                   void *aux)
{
    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        unsigned end = strcmp(link->ends[0].probe->key, probe) == 0 ? 0 : 1;
        const struct inv_probe *near = link->ends[end].probe;
        if (!near || strcmp(near->key, probe) != 0) {
            continue;
        }
        for (size_t c = 0; c < link->class_count; c++) {
            int stop = inventory_link_sessions(link, link->classes[c], end, fn, aux);
            if (stop) {
                return stop;
            }
        }
    }
    return 0;
}
