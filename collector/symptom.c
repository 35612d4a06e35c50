/* symptom.c - alarms as the desk sees them: their texts, their details. */
#include "symptom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static const char *const what_names[SYMPTOM_WHATS] = {"loss",  "delay",  "silence",
                                                      "clock", "budget", "other"};
static const char *const severity_names[INV_SEVERITIES] = {"critical", "major", "minor", "warning",
                                                           "info"};
static const char *const scope_names[] = {"link", "probe", "service"};

struct symptom *
symptom_new(const char *rule, const char *metric, const char *object, const char *class_,
            const char *observer)
{
    const char *const from[] = {rule, metric, object, class_, observer};
    struct symptom *s = calloc(1, sizeof *s);
    const char **to[] = {NULL, NULL, NULL, NULL, NULL};
    size_t size = 0;

    for (int i = 0; i < 5; i++) {
        size += strlen(from[i]) + 1;
    }
    char *at = s ? malloc(size) : NULL;
    if (!at) {
        free(s);
        return NULL;
    }
    s->text = at;
    to[0] = &s->rule;
    to[1] = &s->metric;
    to[2] = &s->object;
    to[3] = &s->class_;
    to[4] = &s->observer;
    for (int i = 0; i < 5; i++) {
        size_t length = strlen(from[i]) + 1;
        memcpy(at, from[i], length);
        *to[i] = at;
        at += length;
    }
    s->what = symptom_what_of(metric);
    return s;
}

void
symptom_free(struct symptom *s)
{
    if (s) {
        free(s->far);
        free(s->gone);
        free(s->objective_class);
        free(s->objective_metric);
        free(s->text);
        free(s);
    }
}

/* A number that is whole and not beyond what 53 bits hold. */
static bool
number(const cJSON *of, const char *name, int64_t *out)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(of, name);
    const double most = 9007199254740992.0;

    if (!cJSON_IsNumber(n) || !(n->valuedouble >= -most && n->valuedouble <= most)) {
        return false;
    }
    *out = (int64_t)n->valuedouble;
    return true;
}

static int
text(const cJSON *of, const char *name, char **out)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(of, name));

    free(*out);
    *out = value ? strdup(value) : NULL;
    return value && !*out ? -ENOMEM : 0;
}

static void
read_counts(struct symptom_details *d, const cJSON *root)
{
    const cJSON *fwd = cJSON_GetObjectItemCaseSensitive(root, "fwd");
    const cJSON *bwd = cJSON_GetObjectItemCaseSensitive(root, "bwd");
    const cJSON *flows = cJSON_GetObjectItemCaseSensitive(root, "flows");
    int64_t of = 0, over = 0;

    bool one = number(fwd, "lost", &d->lost_fwd);
    bool other = number(bwd, "lost", &d->lost_bwd);
    d->has_ways = one && other;
    number(root, "undirected", &d->undirected);
    number(root, "sent", &d->sent);
    number(root, "send_errors", &d->send_errors);
    if (number(flows, "of", &of) && of > 0 && of <= UINT16_MAX) {
        d->has_paths = true;
        d->paths = (unsigned)of;
        /* Not all of many are named. */
        if (!number(flows, "over_count", &over) || over < 0 || over > of) {
            over = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(flows, "over"));
        }
        d->paths_over = (unsigned)over;
    }
}

int
symptom_read_details(struct symptom *s, const char *json)
{
    struct symptom_details d = {.unit = INV_COUNT};
    cJSON *root = cJSON_Parse(json);
    const char *unit = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "unit"));
    const cJSON *objective = cJSON_GetObjectItemCaseSensitive(root, "objective");

    if (unit) {
        d.unit = !strcmp(unit, "milli_percent") ? INV_MILLI_PERCENT
                 : !strcmp(unit, "ns")          ? INV_NS
                                                : INV_COUNT;
    }
    d.has_value = number(root, "value", &d.value);
    if (!number(root, "worst", &d.worst)) {
        d.worst = d.value;
    }
    number(root, "limit", &d.limit);
    d.has_baseline = number(root, "baseline", &d.baseline);
    read_counts(&d, root);
    s->details = d;
    int err = text(root, "far", &s->far);
    err = err ? err : text(objective, "class", &s->objective_class);
    err = err ? err
              : text(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "gone")) ? root : NULL,
                     "text", &s->gone);
    err = err ? err : text(objective, "metric", &s->objective_metric);
    cJSON_Delete(root);
    return err;
}

/* --- Names ---------------------------------------------------------------- */

static bool
find(const char *const *names, unsigned count, const char *text_, unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(names[i], text_)) {
            *out = i;
            return true;
        }
    }
    return false;
}

enum symptom_what
symptom_what_of(const char *metric)
{
    static const struct {
        const char *prefix;
        enum symptom_what what;
    } table[] = {
        {"flr", SYMPTOM_LOSS},     {"availability", SYMPTOM_LOSS}, {"hli", SYMPTOM_LOSS},
        {"chli", SYMPTOM_LOSS},    {"rt_floor", SYMPTOM_CLOCK},    {"rt_", SYMPTOM_DELAY},
        {"fd_", SYMPTOM_DELAY},    {"fdr_", SYMPTOM_DELAY},        {"ifdv_", SYMPTOM_DELAY},
        {"pdv_", SYMPTOM_DELAY},   {"ipdv_", SYMPTOM_DELAY},       {"silence", SYMPTOM_SILENCE},
        {"clock_", SYMPTOM_CLOCK}, {"budget", SYMPTOM_BUDGET},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!strncmp(metric, table[i].prefix, strlen(table[i].prefix))) {
            return table[i].what;
        }
    }
    return SYMPTOM_OTHER;
}

const char *
symptom_what_name(enum symptom_what what)
{
    return what_names[what];
}

bool
symptom_what_parse(const char *text_, enum symptom_what *out)
{
    unsigned n = 0;
    bool found = find(what_names, SYMPTOM_WHATS, text_, &n);

    *out = (enum symptom_what)n;
    return found;
}

const char *
symptom_severity_name(enum inv_severity severity)
{
    return severity_names[severity];
}

bool
symptom_severity_parse(const char *text_, enum inv_severity *out)
{
    unsigned n = 0;
    bool found = find(severity_names, INV_SEVERITIES, text_, &n);

    *out = (enum inv_severity)n;
    return found;
}

const char *
symptom_scope_name(enum symptom_scope scope)
{
    return scope_names[scope];
}

bool
symptom_scope_parse(const char *text_, enum symptom_scope *out)
{
    unsigned n = 0;
    bool found = find(scope_names, 3, text_, &n);

    *out = (enum symptom_scope)n;
    return found;
}
