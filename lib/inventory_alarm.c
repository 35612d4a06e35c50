/* inventory_alarm.c - the rules of alarms: the section of them, and those that are built in.
 *
 * After inventory_metric.c; before inventory_told.c, which uses the words of severity.  A rule of
 * the inventory takes the place of the built-in one with its key. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

const struct bind_word inventory_severity_words[] = {
    {"critical", INV_CRITICAL}, {"major", INV_MAJOR}, {"minor", INV_MINOR},
    {"warning", INV_WARNING},   {"info", INV_INFO},   {NULL, 0}};

#define SECONDS(count) ((count) * (uint64_t)NS_PER_S)

/* --- Reading ---------------------------------------------------------------- */

struct alarm_draft {
    struct inv_alarm alarm;
    const struct yaml_node *metric, *raise, *classes;
};

#define ALARM(member) .offset = offsetof(struct alarm_draft, member)

static const struct bind_key alarm_keys[] = {
    HEAD_KEYS,
    {.key = "metric", .type = BIND_NODE, ALARM(metric), .required = true},
    {.key = "over",
     .type = BIND_SPAN,
     ALARM(alarm.over),
     .min = SECONDS(1),
     .max = SECONDS(86400),
     .required = true},
    {.key = "raise", .type = BIND_NODE, ALARM(raise)},
    {.key = "clear",
     .type = BIND_SPAN,
     ALARM(alarm.clear),
     .min = SECONDS(1),
     .max = SECONDS(86400),
     .required = true},
    /* From a minute on: the past is stored by the inventory's interval, and a short one is
     * compared by those rows (collector/baseline.h); who tries a rule out need not wait an hour. */
    {.key = "against",
     .type = BIND_SPAN,
     ALARM(alarm.against),
     .min = SECONDS(60),
     .max = SECONDS(90 * 86400)},
    {.key = "severity",
     .type = BIND_WORD,
     ALARM(alarm.severity),
     .words = inventory_severity_words,
     .required = true},
    {.key = "classes", .type = BIND_NODE, ALARM(classes)},
    {.key = NULL},
};

static bool
is_of_probe(enum inv_metric_kind kind)
{
    return kind == INV_SILENCE || kind == INV_CLOCK_ERROR;
}

/* Nothing is stored of these that could be compared with. */
static bool
has_no_past(enum inv_metric_kind kind)
{
    return is_of_probe(kind) || kind == INV_BUDGET;
}

/* "+20%": so much over what was. */
static void
read_difference(struct loader *l, const struct yaml_node *node, struct inv_alarm *alarm)
{
    char got[64], name[INV_METRIC_SIZE];

    if (!value_parse_percent(node->text + 1, &alarm->raise) || alarm->raise == 0) {
        fault_error(l->faults, node->at, "expected a difference such as +20%%, got %s",
                    yaml_describe(node, got, sizeof got));
    }
    if (has_no_past(alarm->metric.kind)) {
        fault_error(l->faults, node->at,
                    "%s is not compared with the past: expected a value of its own",
                    inv_metric_format(alarm->metric, name, sizeof name));
    } else if (!alarm->against.ns) {
        fault_error(l->faults, node->at,
                    "a difference needs 'against': with how long a past it is compared, such as "
                    "7d");
    }
}

static void
read_raise(struct loader *l, const struct yaml_node *member, const struct yaml_node *node,
           struct inv_alarm *alarm)
{
    alarm->relative = node->kind == YAML_SCALAR && node->text[0] == '+';
    if (alarm->relative) {
        read_difference(l, node, alarm);
        return;
    }
    inventory_read_limit(l, node, alarm->metric, &alarm->raise);
    if (alarm->against.ns) {
        fault_error(l->faults, yaml_get(member, "against")->key_at,
                    "'against' compares with the past: then 'raise' is a difference, such as "
                    "+20%%");
    }
}

/* Two metrics are a fact, and not a value that could be over another. */
static bool
check_raise(struct loader *l, const struct yaml_node *member, const struct alarm_draft *d)
{
    bool none = d->alarm.metric.kind == INV_SILENCE || d->alarm.metric.kind == INV_RT_FLOOR;
    const struct yaml_node *against = yaml_get(member, "against");
    char name[INV_METRIC_SIZE];

    inv_metric_format(d->alarm.metric, name, sizeof name);
    if (none && d->raise) {
        fault_error(l->faults, d->raise->key_at,
                    "%s has no 'raise': it is there for 'over', or it is not", name);
    } else if (none && against) {
        fault_error(l->faults, against->key_at, "%s is not compared with the past", name);
    } else if (!none && !d->raise) {
        fault_error(l->faults, member->key_at, "key 'raise' is missing: %s needs it", name);
    }
    return !none && d->raise;
}

/* What is allowed, and yet can raise nothing, or something else than was meant. */
static void
warn_of_rule(struct loader *l, const struct yaml_node *member, const struct inv_alarm *a)
{
    char name[INV_METRIC_SIZE], dt[VALUE_TEXT_SIZE];

    if (!a->relative && a->raise >= 100000 && a->metric.kind != INV_BUDGET &&
        inv_metric_unit(a->metric.kind) == INV_MILLI_PERCENT) {
        fault_warning(l->faults, inventory_place(member, "raise"),
                      "%s is never over 100%%: this alarm cannot be raised",
                      inv_metric_format(a->metric, name, sizeof name));
    }
    if (a->relative && a->metric.kind != INV_RT && a->metric.kind != INV_RT_MEAN) {
        fault_warning(l->faults, inventory_place(member, "raise"),
                      "only rt_pN and rt_mean have a past that is known: this alarm cannot be "
                      "raised");
    }
    if (a->relative && a->against.ns < a->over.ns) {
        fault_warning(l->faults, inventory_place(member, "against"),
                      "the past is shorter than 'over', which is compared with it");
    }
    for (size_t i = 0; i < a->class_count; i++) {
        if (a->classes[i]->dt.ns > a->over.ns) {
            fault_warning(l->faults, inventory_place(member, "over"),
                          "shorter than the dt of class '%s': one delta-t, %s, decides",
                          a->classes[i]->key, value_format_span(a->classes[i]->dt, dt, sizeof dt));
        }
    }
}

void
inventory_read_alarm(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_alarm *alarm = object;
    struct alarm_draft d = {.alarm.key = alarm->key};
    size_t before = faults_errors(l->faults);
    bool good = bind_map(&l->bind, member, member->key_at, alarm_keys, &d);

    l->retired = d.alarm.state == INV_RETIRED;
    if (d.metric) {
        good = inventory_read_alarm_metric(l, d.metric, &d.alarm.metric) && good;
    }
    if (good && check_raise(l, member, &d)) {
        read_raise(l, member, d.raise, &d.alarm);
    }
    if (good && d.alarm.metric.kind == INV_AVAILABILITY) {
        fault_error(l->faults, d.metric->at,
                    "availability is decided n delta-t late; an alarm goes by flr");
    }
    if (d.classes) {
        inventory_resolve_classes(l, d.classes, &d.alarm.classes, &d.alarm.class_count);
    }
    if (good && d.classes && is_of_probe(d.alarm.metric.kind)) {
        fault_error(l->faults, d.classes->key_at,
                    "%s is of a probe as a whole: it has no 'classes'", d.metric->text);
    }
    if (faults_errors(l->faults) == before) {
        warn_of_rule(l, member, &d.alarm);
    }
    *alarm = d.alarm;
}

/* --- Built in --------------------------------------------------------------- */

#define MINUTES(count)                                                                             \
    {                                                                                              \
        (count) * (int64_t)60 * NS_PER_S                                                           \
    }
#define SPAN_S(count)                                                                              \
    {                                                                                              \
        (count) * (int64_t)NS_PER_S                                                                \
    }
#define PERCENT_MILLI(count) ((count)*1000)

/* As the table in doc/problems.md. */
static const struct inv_alarm built_in[] = {
    {.key = "cut",
     .state = INV_ACTIVE,
     .label = "Cut",
     .metric = {.kind = INV_FLR},
     .over = SPAN_S(3),
     .raise = PERCENT_MILLI(50),
     .clear = SPAN_S(10),
     .severity = INV_CRITICAL},
    {.key = "brown",
     .state = INV_ACTIVE,
     .label = "Brown-out",
     .metric = {.kind = INV_FLR},
     .over = MINUTES(5),
     .raise = 500, /* 0.5 % */
     .clear = MINUTES(15),
     .severity = INV_MAJOR},
    {.key = "slow",
     .state = INV_ACTIVE,
     .label = "Slower than it was",
     .metric = {.kind = INV_RT, .quantile_milli = 50000},
     .over = MINUTES(5),
     .relative = true,
     .raise = PERCENT_MILLI(20),
     .against = MINUTES(7 * 24 * 60),
     .clear = MINUTES(15),
     .severity = INV_MINOR},
    {.key = "silent",
     .state = INV_ACTIVE,
     .label = "Probe is silent",
     .metric = {.kind = INV_SILENCE},
     .over = SPAN_S(15),
     .clear = SPAN_S(10),
     .severity = INV_MAJOR},
    {.key = "clock",
     .state = INV_ACTIVE,
     .label = "Probe's clock",
     .metric = {.kind = INV_CLOCK_ERROR},
     .over = MINUTES(1),
     .raise =
         100000000, /* 100 ms: what NTP over a bad line keeps; ptp deserves a rule of its own. */
     .clear = MINUTES(5),
     .severity = INV_MINOR},
    {.key = "floor",
     .state = INV_ACTIVE,
     .label = "Faster than light",
     .metric = {.kind = INV_RT_FLOOR},
     .over = SPAN_S(10),
     .clear = MINUTES(5),
     .severity = INV_MAJOR},
    {.key = "burn",
     .state = INV_ACTIVE,
     .label = "Budget burns",
     .metric = {.kind = INV_BUDGET},
     .over = MINUTES(60),
     .raise = PERCENT_MILLI(5),
     .clear = MINUTES(60),
     .severity = INV_MAJOR},
};
#define BUILT_IN (sizeof built_in / sizeof built_in[0])

const struct inv_alarm **
inventory_alarms_in_force(const struct inventory *inv, size_t *count)
{
    const struct inv_alarm **list = calloc(inv->alarm_count + BUILT_IN, sizeof(struct inv_alarm *));

    *count = 0;
    for (size_t i = 0; list && i < inv->alarm_count; i++) {
        if (inv->alarms[i].state == INV_ACTIVE) {
            list[(*count)++] = &inv->alarms[i];
        }
    }
    for (size_t i = 0; list && i < BUILT_IN; i++) {
        if (!inventory_find(inv, KIND_ALARM, built_in[i].key)) {
            list[(*count)++] = &built_in[i];
        }
    }
    return list;
}
