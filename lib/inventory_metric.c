/* inventory_metric.c - metrics by name, and limits in their units.
 *
 * After inventory_sold.h (what each metric is), before inventory_sla.c, inventory_credit.c and
 * inventory_told.c, which read them. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <string.h>

#include "value.h"

static const struct {
    const char *name; /* Of one with a quantile: what stands before "_p". */
    enum inv_metric_kind kind;
    bool quantile;
    enum inv_unit unit;
} metrics[] = {
    {"flr", INV_FLR, false, INV_MILLI_PERCENT},
    {"availability", INV_AVAILABILITY, false, INV_MILLI_PERCENT},
    {"hli", INV_HLI, false, INV_COUNT},
    {"chli", INV_CHLI, false, INV_COUNT},
    {"rt", INV_RT, true, INV_NS},
    {"rt_mean", INV_RT_MEAN, false, INV_NS},
    {"fd", INV_FD, true, INV_NS},
    {"fd_mean", INV_FD_MEAN, false, INV_NS},
    {"fdr", INV_FDR, true, INV_NS},
    {"ifdv", INV_IFDV, true, INV_NS},
    {"pdv", INV_PDV, true, INV_NS},
    {"ipdv_abs_mean", INV_IPDV_ABS_MEAN, false, INV_NS},
    {"flr_raw", INV_FLR_RAW, false, INV_MILLI_PERCENT},
    {"reorder_ratio", INV_REORDER_RATIO, false, INV_MILLI_PERCENT},
    {"duplicate_ratio", INV_DUPLICATE_RATIO, false, INV_MILLI_PERCENT},
    {"silence", INV_SILENCE, false, INV_COUNT},
    {"clock_error", INV_CLOCK_ERROR, false, INV_NS},
    {"rt_floor", INV_RT_FLOOR, false, INV_COUNT},
    {"budget", INV_BUDGET, false, INV_MILLI_PERCENT},
};
#define METRICS (sizeof metrics / sizeof metrics[0])

/* Words that people use, and what they could have meant. */
static const struct {
    const char *word, *meaning;
} vague[] = {
    {"jitter",
     "'jitter' has many meanings; say which: fdr_p99_9 (the delay's p99.9 less its least), "
     "pdv_p99_9 (the same, as RFC 5481), ifdv_p99_9 (difference of neighbours), ipdv_abs_mean "
     "(the mean of that); RFC 3550's, rfc3550, is no metric of an SLA: it cannot be merged over "
     "time"},
    {"rfc3550",
     "'rfc3550' cannot be merged over time, so nothing can be promised on it; ifdv_p99_9 or "
     "ipdv_abs_mean can be measured"},
    {"latency", "'latency' may be rt_p99 (round trip) or fd_p99 (one way); say which, and of which "
                "quantile"},
    {"delay", "'delay' may be rt_p99 (round trip) or fd_p99 (one way); say which, and of which "
              "quantile"},
    {"rtt", "'rtt' needs its quantile: rt_p50, rt_p99 or rt_p99_9; or rt_mean"},
    {"loss", "'loss' is flr here: lost of sent"},
    {"packet_loss", "'packet_loss' is flr here: lost of sent"},
    {"uptime", "'uptime' is availability here"},
    {"reordering", "'reordering' is reorder_ratio here: reordered of received"},
    {"duplicates", "'duplicates' is duplicate_ratio here: extra copies of sent"},
};

enum inv_unit
inv_metric_unit(enum inv_metric_kind kind)
{
    return metrics[kind].unit;
}

char *
inv_metric_format(struct inv_metric metric, char *buf, size_t size)
{
    uint32_t whole = metric.quantile_milli / 1000, rest = metric.quantile_milli % 1000;
    char digits[8];

    if (!metrics[metric.kind].quantile) {
        snprintf(buf, size, "%s", metrics[metric.kind].name);
    } else if (rest == 0) {
        snprintf(buf, size, "%s_p%" PRIu32, metrics[metric.kind].name, whole);
    } else {
        snprintf(digits, sizeof digits, "%03" PRIu32, rest);
        for (size_t n = strlen(digits); digits[n - 1] == '0'; n--) {
            digits[n - 1] = '\0';
        }
        snprintf(buf, size, "%s_p%" PRIu32 "_%s", metrics[metric.kind].name, whole, digits);
    }
    return buf;
}

bool
inv_metric_equal(struct inv_metric a, struct inv_metric b)
{
    return a.kind == b.kind && a.quantile_milli == b.quantile_milli;
}

/* "99_9" is 99900: more than 0, less than 100, at most three decimals. */
static bool
parse_quantile(const char *text, uint32_t *out)
{
    size_t whole = strspn(text, "0123456789");
    uint32_t value = 0, scale = 1000;

    if (whole == 0 || whole > 2 || (whole == 2 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    value *= 1000;
    const char *at = text + whole;
    if (*at == '_') {
        size_t digits = strspn(at + 1, "0123456789");
        if (digits == 0 || digits > 3 || at[digits] == '0') {
            return false; /* One spelling each: no zero at the end. */
        }
        for (at++; digits > 0; digits--, at++) {
            scale /= 10;
            value += (uint32_t)(*at - '0') * scale;
        }
    }
    *out = value;
    return *at == '\0' && value > 0;
}

static bool
parse_metric(const char *text, struct inv_metric *out)
{
    for (size_t i = 0; i < METRICS; i++) {
        size_t length = strlen(metrics[i].name);
        struct inv_metric m = {.kind = metrics[i].kind};
        if (strncmp(text, metrics[i].name, length) != 0) {
            continue;
        }
        if (metrics[i].quantile ? strncmp(text + length, "_p", 2) == 0 &&
                                      parse_quantile(text + length + 2, &m.quantile_milli)
                                : text[length] == '\0') {
            *out = m;
            return true;
        }
    }
    return false;
}

static bool
is_of_alarms_only(enum inv_metric_kind kind)
{
    return kind == INV_SILENCE || kind == INV_CLOCK_ERROR || kind == INV_RT_FLOOR ||
           kind == INV_BUDGET;
}

/* 'alarm': those of alarms only are among what was expected. */
static bool
read_metric(struct loader *l, const struct yaml_node *node, bool alarm, struct inv_metric *out)
{
    struct nearest near = {.wanted = node->text ? node->text : ""};
    char hint[96], got[64];

    if (node->kind == YAML_SCALAR && parse_metric(node->text, out)) {
        return true;
    }
    for (size_t i = 0; node->kind == YAML_SCALAR && i < sizeof vague / sizeof vague[0]; i++) {
        if (strcmp(node->text, vague[i].word) == 0) {
            fault_error(l->faults, node->at, "%s", vague[i].meaning);
            return false;
        }
    }
    for (size_t i = 0; i < METRICS; i++) {
        if (!metrics[i].quantile && (alarm || !is_of_alarms_only(metrics[i].kind))) {
            nearest_offer(&near, metrics[i].name);
        }
    }
    fault_error(l->faults, node->at,
                "expected a metric: flr, availability, hli, chli, rt_mean, fd_mean, ipdv_abs_mean, "
                "flr_raw, reorder_ratio, duplicate_ratio, %sor rt_pN, fd_pN, fdr_pN, ifdv_pN, "
                "pdv_pN with a quantile such as p99 or p99_9; got %s%s",
                alarm ? "silence, clock_error, rt_floor, budget, " : "",
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return false;
}

bool
inventory_read_metric(struct loader *l, const struct yaml_node *node, struct inv_metric *out)
{
    if (!read_metric(l, node, false, out)) {
        return false;
    }
    if (is_of_alarms_only(out->kind)) {
        fault_error(l->faults, node->at,
                    "'%s' is a metric of 'alarms' only: nothing can be promised on it", node->text);
        return false;
    }
    return true;
}

bool
inventory_read_alarm_metric(struct loader *l, const struct yaml_node *node, struct inv_metric *out)
{
    return read_metric(l, node, true, out);
}

bool
inventory_read_limit(struct loader *l, const struct yaml_node *node, struct inv_metric metric,
                     uint64_t *out)
{
    static const char *const wanted[] = {
        [INV_MILLI_PERCENT] = "a percentage with at most three decimals, such as 99.95%",
        [INV_NS] = "a time with its unit (ns us ms s m h d), such as 18ms",
        [INV_COUNT] = "a whole number",
    };
    enum inv_unit unit = inv_metric_unit(metric.kind);
    char name[INV_METRIC_SIZE], got[64];
    struct span span = {0};
    bool good = node->kind == YAML_SCALAR;

    if (good && unit == INV_NS) {
        good = value_parse_span(node->text, &span);
        *out = (uint64_t)span.ns;
    } else if (good && unit == INV_MILLI_PERCENT) {
        good = value_parse_percent(node->text, out) && *out <= 100000;
    } else if (good) {
        good = value_parse_unsigned(node->text, out);
    }
    if (!good) {
        fault_error(l->faults, node->at, "expected %s, as %s is counted, got %s", wanted[unit],
                    inv_metric_format(metric, name, sizeof name),
                    yaml_describe(node, got, sizeof got));
    }
    return good;
}
