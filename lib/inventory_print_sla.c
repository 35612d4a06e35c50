/* inventory_print_sla.c - the canonical text of what is promised: profiles and SLAs.
 *
 * After inventory_text.c. */
#include "inventory_parts.h"

#include <inttypes.h>

#include "value.h"

/* In the order of the enumerations. */
static const char *const direction_names[] = {"fwd", "bwd", "both", "rt"};
static const char *const undetermined_names[] = {"last", "available", "unavailable", "excluded"};

static void
print_objectives(FILE *to, const struct inv_objective *list, size_t count)
{
    char metric[INV_METRIC_SIZE], buf[VALUE_TEXT_SIZE];

    fputs(count ? "    objectives:\n" : "", to);
    for (size_t i = 0; i < count; i++) {
        const struct inv_objective *o = &list[i];
        fprintf(to, "      - { class: \"%s\", metric: %s, direction: %s, limit: %s", o->class_->key,
                inv_metric_format(o->metric, metric, sizeof metric), direction_names[o->direction],
                print_limit(o->metric, o->limit, buf, sizeof buf));
        if (o->min_samples) {
            fprintf(to, ", min_samples: %" PRIu64, o->min_samples);
        }
        fputs(" }\n", to);
    }
}

static void
print_bound(FILE *to, const struct inv_credit *c, uint64_t bound)
{
    char buf[VALUE_TEXT_SIZE];
    const char *text = c->by == INV_CREDIT_BY_EXCESS ? value_format_percent(bound, buf, sizeof buf)
                       : c->by == INV_CREDIT_BY_OUTAGE
                           ? value_format_span(span_of_ns((int64_t)bound), buf, sizeof buf)
                           : print_limit(c->metric, bound, buf, sizeof buf);
    bool down = c->by == INV_CREDIT_BY_VALUE && c->metric.kind == INV_AVAILABILITY;

    fprintf(to, "- { %s: %s, ", down ? "below" : "above", text);
}

/* Tiers by value alone are a list, as they ever were: what was promised under a version must not
 * look like something else. */
static void
print_credits(FILE *to, const struct inv_sla *sla)
{
    char metric[INV_METRIC_SIZE], buf[VALUE_TEXT_SIZE];

    fputs("    credits:\n", to);
    for (size_t i = 0; i < sla->credit_count; i++) {
        const struct inv_credit *c = &sla->credits[i], *before = i ? c - 1 : NULL;
        const struct inv_credit *after = i + 1 < sla->credit_count ? c + 1 : NULL;
        bool first = !before || !inv_metric_equal(before->metric, c->metric);
        bool alone = first && (!after || !inv_metric_equal(after->metric, c->metric));
        bool list = alone && c->by == INV_CREDIT_BY_VALUE;
        if (first) {
            fprintf(to, "      %s:\n", inv_metric_format(c->metric, metric, sizeof metric));
        }
        if (!list) {
            fprintf(to, "        %s:\n", inventory_credit_kinds[c->by]);
        }
        for (size_t t = 0; t < c->tier_count; t++) {
            fputs(list ? "        " : "          ", to);
            print_bound(to, c, c->tiers[t].bound);
            fprintf(to, "credit: %s }\n",
                    value_format_percent(c->tiers[t].credit_milli, buf, sizeof buf));
        }
    }
    fprintf(to, "      cap: %s\n", value_format_percent(sla->cap_milli, buf, sizeof buf));
}

static void
print_sla(FILE *to, const struct inv_sla *sla)
{
    static const char *const covers[] = {"over", "bgp", "tail", "tunnels"};
    const char *between = "";

    print_head(to, sla);
    fprintf(to, "    version: %" PRIu32 "\n    valid_from: %s\n    covers: [", sla->version,
            sla->valid_from);
    for (unsigned i = 0; i < 4; i++) {
        if (sla->covers & (1u << i)) {
            fprintf(to, "%s%s", between, covers[i]);
            between = ", ";
        }
    }
    fputs("]\n", to);
    for (size_t i = 0; i < sla->profile_count; i++) {
        fprintf(to, "%s\"%s\"%s", i ? ", " : "    profiles: [", sla->profiles[i]->key,
                i + 1 == sla->profile_count ? "]\n" : "");
    }
    print_objectives(to, sla->objectives + sla->own_first, sla->objective_count - sla->own_first);
    if (sla->notice.ns) {
        print_span(to, "    ", "notice", sla->notice);
    } else {
        fputs("    notice: 0s\n", to); /* Without the key it would be 7d. */
    }
    print_span(to, "    ", "claim_within", sla->claim_within);
    print_span(to, "    ", "maintenance_allowance", sla->maintenance_allowance);
    fprintf(to, "    undetermined: %s\n", undetermined_names[sla->undetermined]);
    /* Absent means exclude, and always will: contracts of before the key are stored without it. */
    fputs(sla->suspect_excluded ? "" : "    suspect: include\n", to);
    print_credits(to, sla);
}

void
print_slas(FILE *to, const struct inventory *inv)
{
    fputs(inv->profile_count ? "profiles:\n" : "", to);
    for (size_t i = 0; i < inv->profile_count; i++) {
        print_head(to, &inv->profiles[i]);
        print_objectives(to, inv->profiles[i].objectives, inv->profiles[i].objective_count);
    }
    fputs(inv->sla_count ? "slas:\n" : "", to);
    for (size_t i = 0; i < inv->sla_count; i++) {
        print_sla(to, &inv->slas[i]);
    }
}
