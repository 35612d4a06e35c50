/* inventory_print_sold.c - the canonical text of what is sold and who is told; profiles and SLAs
 * are in inventory_print_sla.c.
 *
 * After inventory_text.c. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <string.h>

#include "value.h"

/* In the order of the enumerations. */
static const char *const severity_names[] = {"critical", "major", "minor", "warning", "info"};
static const char *const encapsulation_names[] = {"vxlan", "geneve", "gre"};
static const char *const hook_names[] = {"webhook",   "servicenow-incident", "servicenow-event",
                                         "pagerduty", "alertmanager",        "exec",
                                         "mail"};
static const char *const cause_names[] = {"link", "risk", "router", "probe", "site", "service"};

#define HOOK_TIMEOUT_NS (15 * NS_PER_S) /* The default, which is not printed. */

static const char *
ref_key(const struct inv_ref *ref)
{
    return ref->link      ? ref->link->key
           : ref->group   ? ref->group->key
           : ref->service ? ref->service->key
                          : ref->attachment->name;
}

static void
print_refs(FILE *to, const char *key, const struct inv_ref *refs, size_t count)
{
    fprintf(to, "    %s: [", key);
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "%s\"%s\"", i ? ", " : "", ref_key(&refs[i]));
    }
    fputs("]\n", to);
}

static void
print_instant(FILE *to, const char *key, struct instant at)
{
    char buf[VALUE_TEXT_SIZE];

    if (at.ns) {
        fprintf(to, "    %s: %s\n", key, instant_format(at, 9, buf, sizeof buf));
    }
}

static void
print_alarm(FILE *to, const struct inv_alarm *a)
{
    char metric[INV_METRIC_SIZE], buf[VALUE_TEXT_SIZE];

    print_head(to, a);
    fprintf(to, "    metric: %s\n", inv_metric_format(a->metric, metric, sizeof metric));
    print_span(to, "    ", "over", a->over);
    if (a->metric.kind != INV_SILENCE && a->metric.kind != INV_RT_FLOOR) {
        fprintf(to, "    raise: %s%s\n", a->relative ? "+" : "",
                a->relative ? value_format_percent(a->raise, buf, sizeof buf)
                            : print_limit(a->metric, a->raise, buf, sizeof buf));
    }
    print_span(to, "    ", "clear", a->clear);
    print_span(to, "    ", "against", a->against);
    fprintf(to, "    severity: %s\n", severity_names[a->severity]);
    if (a->class_count) {
        print_class_list(to, a->classes, a->class_count);
    }
}

static void
print_group(FILE *to, const struct inv_group *g)
{
    print_head(to, g);
    fprintf(to, "    need: %" PRIu32 "\n", g->need);
    print_refs(to, "members", g->members, g->member_count);
    print_labels(to, "labels", &g->labels);
}

static void
print_tenant(FILE *to, const struct inv_tenant *t)
{
    print_head(to, t);
    print_text(to, "    ", "timezone", t->timezone);
    print_labels(to, "labels", &t->labels);
}

static void
print_port(FILE *to, const struct inv_port *p)
{
    char buf[VALUE_TEXT_SIZE];

    fprintf(to, "        port:\n          router: \"%s\"\n", p->router->key);
    print_text(to, "          ", "interface", p->interface);
    if (p->capacity_bps) {
        fprintf(to, "          capacity: %s\n",
                value_format_rate(p->capacity_bps, buf, sizeof buf));
    }
}

static void
print_bgp(FILE *to, const struct inv_bgp *b)
{
    char buf[VALUE_TEXT_SIZE];

    fputs("        bgp:\n", to);
    print_text(to, "          ", "vrf", b->vrf);
    fprintf(to, "          peer: \"%s\"\n          asn: %" PRIu32 "\n",
            value_format_address(&b->peer, buf, sizeof buf), b->asn);
    for (size_t i = 0; i < b->expect_count; i++) {
        fprintf(to, "%s\"%s\"%s", i ? ", " : "          expect: [",
                value_format_prefix(&b->expect[i], buf, sizeof buf),
                i + 1 == b->expect_count ? "]\n" : "");
    }
}

static void
print_test(FILE *to, const struct inv_link *test)
{
    const char *indent = "          ";
    char buf[VALUE_TEXT_SIZE];
    const struct inv_end *near = &test->ends[0];

    fprintf(to, "        test:\n%sprobe: \"%s\"\n%sclass: \"%s\"\n", indent, near->probe->key,
            indent, test->classes[0]->key);
    print_far(to, indent, &test->ends[1]);
    if (address_is_set(&near->address)) {
        fprintf(to, "%ssource: \"%s\"\n", indent,
                value_format_address(&near->address, buf, sizeof buf));
    }
    print_text(to, indent, "interface", near->interface);
    print_text(to, indent, "vrf", near->vrf);
    fprintf(to, "%snat: %s\n", indent, test->nat ? "true" : "false");
    print_auth(to, indent, &test->auth);
}

static void
print_connector(FILE *to, const struct inv_connector *c)
{
    print_head(to, c);
    fprintf(to, "    tenant: \"%s\"\n    site: \"%s\"\n    need: %" PRIu32 "\n    attachments:\n",
            c->tenant->key, c->site->key, c->need);
    for (size_t i = 0; i < c->attachment_count; i++) {
        const struct inv_attachment *a = &c->attachments[i];
        fprintf(to, "      \"%s\":\n        state: %s\n", a->key,
                inventory_state_words[a->state].word);
        print_text(to, "        ", "label", a->label);
        if (a->port.router) {
            print_port(to, &a->port);
        }
        if (a->bgp.asn) {
            print_bgp(to, &a->bgp);
        }
        if (a->test) {
            print_test(to, a->test);
        }
    }
    print_labels(to, "labels", &c->labels);
}

static void
print_tunnel(FILE *to, const struct inv_tunnel *t)
{
    char buf[VALUE_TEXT_SIZE];

    print_head(to, t);
    fprintf(to, "    tenant: \"%s\"\n    over: \"%s\"\n    encapsulation: %s\n", t->tenant->key,
            ref_key(&t->over), encapsulation_names[t->encapsulation]);
    if (t->vni) {
        fprintf(to, "    vni: %" PRIu32 "\n", t->vni);
    }
    if (t->port) {
        fprintf(to, "    port: %u\n", t->port);
    }
    if (t->inner_mtu) {
        fprintf(to, "    inner_mtu: %" PRIu32 "\n", t->inner_mtu);
    }
    fputs("    ends:\n", to);
    for (unsigned i = 0; i < 2; i++) {
        fprintf(to, "      - { probe: \"%s\", address: \"%s\" }\n", t->ends[i].probe->key,
                value_format_address(&t->ends[i].address, buf, sizeof buf));
    }
    print_labels(to, "labels", &t->labels);
}

static void
print_service(FILE *to, const struct inv_service *s)
{
    print_head(to, s);
    print_instant(to, "in_service", s->in_service);
    print_instant(to, "out_of_service", s->out_of_service);
    fprintf(to, "    tenant: \"%s\"\n    ends: [\"%s\", \"%s\"]\n", s->tenant->key, s->ends[0]->key,
            s->ends[1]->key);
    print_refs(to, "over", s->over, s->over_count);
    print_class_list(to, s->classes, s->class_count);
    if (s->sla) {
        fprintf(to, "    sla: \"%s\"\n", s->sla->key);
    }
    print_labels(to, "labels", &s->labels);
}

/* The words whose bits are set, in brackets. */
static void
print_bits(FILE *to, const char *key, unsigned bits, const char *const *words, unsigned count)
{
    const char *between = "";

    fprintf(to, "%s: [", key);
    for (unsigned i = 0; i < count; i++) {
        if (bits & (1u << i)) {
            fprintf(to, "%s%s", between, words[i]);
            between = ", ";
        }
    }
    fputc(']', to);
}

static void
print_when(FILE *to, const struct inv_hook *h)
{
    const char *between = "    when: { ";

    if (h->severities) {
        fputs(between, to);
        print_bits(to, "severity", h->severities, severity_names, INV_SEVERITIES);
        between = ", ";
    }
    if (h->tenant) {
        fprintf(to, "%stenant: \"%s\"", between, h->tenant->key);
        between = ", ";
    }
    if (h->causes) {
        fputs(between, to);
        print_bits(to, "scope", h->causes, cause_names, sizeof cause_names / sizeof cause_names[0]);
        between = ", ";
    }
    for (size_t i = 0; i < h->labels.count; i++) {
        fprintf(to, "%s%s\"%s\": ", i ? ", " : between, i ? "" : "labels: { ",
                h->labels.list[i].name);
        print_quoted(to, h->labels.list[i].value);
    }
    fputs(h->labels.count ? " } }\n" : h->severities || h->tenant || h->causes ? " }\n" : "", to);
}

static void
print_texts(FILE *to, const char *key, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "%s%s%s", i ? ", " : "    ", i ? "" : key, i ? "" : ": [");
        print_quoted(to, texts[i]);
    }
    fputs(count ? "]\n" : "", to);
}

static void
print_hook(FILE *to, const struct inv_hook *h)
{
    print_head(to, h);
    fprintf(to, "    kind: %s\n", hook_names[h->kind]);
    print_text(to, "    ", "url", h->url);
    print_texts(to, "peers", h->peers, h->peer_count);
    print_texts(to, "to", h->to, h->to_count);
    print_text(to, "    ", "from", h->from);
    print_text(to, "    ", "template", h->template_file);
    print_text(to, "    ", "ca_file", h->ca_file);
    print_text(to, "    ", "command", h->command);
    print_text(to, "    ", "auth_file", h->auth_file);
    print_text(to, "    ", "secret_file", h->secret_file);
    if (h->timeout.ns != HOOK_TIMEOUT_NS) {
        print_span(to, "    ", "timeout", h->timeout);
    }
    print_span(to, "    ", "remind", h->remind);
    print_span(to, "    ", "heartbeat", h->heartbeat);
    print_when(to, h);
    fprintf(to, "    view: %s\n", h->tenant_view ? "tenant" : "all");
    print_labels(to, "fields", &h->fields);
}

void
print_sold(FILE *to, const struct inventory *inv)
{
    fputs(inv->alarm_count ? "alarms:\n" : "", to);
    for (size_t i = 0; i < inv->alarm_count; i++) {
        print_alarm(to, &inv->alarms[i]);
    }
    fputs(inv->group_count ? "groups:\n" : "", to);
    for (size_t i = 0; i < inv->group_count; i++) {
        print_group(to, &inv->groups[i]);
    }
    fputs(inv->tenant_count ? "tenants:\n" : "", to);
    for (size_t i = 0; i < inv->tenant_count; i++) {
        print_tenant(to, &inv->tenants[i]);
    }
    fputs(inv->connector_count ? "connectors:\n" : "", to);
    for (size_t i = 0; i < inv->connector_count; i++) {
        print_connector(to, &inv->connectors[i]);
    }
    fputs(inv->tunnel_count ? "tunnels:\n" : "", to);
    for (size_t i = 0; i < inv->tunnel_count; i++) {
        print_tunnel(to, &inv->tunnels[i]);
    }
    fputs(inv->service_count ? "services:\n" : "", to);
    for (size_t i = 0; i < inv->service_count; i++) {
        print_service(to, &inv->services[i]);
    }
    print_slas(to, inv);
    fputs(inv->hook_count ? "hooks:\n" : "", to);
    for (size_t i = 0; i < inv->hook_count; i++) {
        print_hook(to, &inv->hooks[i]);
    }
}
