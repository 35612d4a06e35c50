/* inventory_sla.c - the sections 'profiles' (named sets of objectives) and 'slas'.
 *
 * After inventory_metric.c (metrics and limits), before inventory_credit.c (credits) and
 * inventory_promise.c, which asks whether all of it can be measured. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

/* --- Objectives ----------------------------------------------------------- */

#define OBJECTIVES_MAX 64u
#define TIERS_MAX 16u

static const struct bind_word direction_words[] = {
    {"fwd", INV_FWD}, {"bwd", INV_BWD}, {"both", INV_BOTH}, {"rt", INV_ROUND_TRIP}, {NULL, 0}};

struct objective_draft {
    int direction; /* -1: not given. */
    uint64_t min_samples;
    const struct yaml_node *class_, *metric, *limit;
};

static const struct bind_key objective_keys[] = {
    {.key = "class",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, class_),
     .required = true},
    {.key = "metric",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, metric),
     .required = true},
    {.key = "direction",
     .type = BIND_WORD,
     .offset = offsetof(struct objective_draft, direction),
     .words = direction_words},
    {.key = "limit",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, limit),
     .required = true},
    {.key = "min_samples",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct objective_draft, min_samples),
     .width = 8,
     .min = 1,
     .max = 1000000000},
    {.key = NULL},
};

/* The direction that was said, or what the metric has. */
static bool
settle_direction(struct loader *l, const struct yaml_node *node, int said,
                 struct inv_objective *out)
{
    enum inv_metric_kind kind = out->metric.kind;
    bool round_trip = kind == INV_RT || kind == INV_RT_MEAN;
    bool one_way = kind == INV_FD || kind == INV_FD_MEAN;
    char name[INV_METRIC_SIZE];

    out->direction = said >= 0 ? (enum inv_direction)said : round_trip ? INV_ROUND_TRIP : INV_BOTH;
    if (round_trip && out->direction != INV_ROUND_TRIP) {
        fault_error(l->faults, inventory_place(node, "direction"),
                    "%s is of the round trip; of one way it would be fd",
                    inv_metric_format(out->metric, name, sizeof name));
        return false;
    }
    if (one_way && out->direction == INV_ROUND_TRIP) {
        fault_error(l->faults, inventory_place(node, "direction"),
                    "%s is of one way; of the round trip it would be rt",
                    inv_metric_format(out->metric, name, sizeof name));
        return false;
    }
    return true;
}

bool
inventory_same_objective(const struct inv_objective *a, const struct inv_objective *b)
{
    return a->class_ == b->class_ && inv_metric_equal(a->metric, b->metric) &&
           a->direction == b->direction;
}

static bool
read_objective(struct loader *l, const struct yaml_node *node, struct inv_objective *out)
{
    struct objective_draft d = {.direction = -1};
    bool good = bind_map(&l->bind, node, node->at, objective_keys, &d);

    if (d.class_) {
        out->class_ = inventory_resolve(l, d.class_, KIND_CLASS);
    }
    out->min_samples = d.min_samples;
    if (!d.metric || !inventory_read_metric(l, d.metric, &out->metric)) {
        return false;
    }
    if (d.limit) {
        good = inventory_read_limit(l, d.limit, out->metric, &out->limit) && good;
    }
    return settle_direction(l, node, d.direction, out) && good && out->class_;
}

/* Of a profile, or an SLA's own: into '*out', room for all of 'list'. */
static void
read_objectives(struct loader *l, const struct yaml_node *list, struct inv_objective **out,
                size_t *count)
{
    const struct yaml_node *nodes[OBJECTIVES_MAX];

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of {class, metric, limit}")) {
        return;
    }
    if (list->count == 0 || list->count > OBJECTIVES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u objectives, got %zu", OBJECTIVES_MAX,
                    list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct inv_objective *to = &(*out)[*count];
        bool good = read_objective(l, n, to);
        for (size_t i = 0; good && i < *count; i++) {
            if (inventory_same_objective(&(*out)[i], to)) {
                inventory_tell_same(l, n->at, nodes[i]->at);
                good = false;
            }
        }
        if (good) {
            nodes[(*count)++] = n;
        } else {
            memset(to, 0, sizeof *to);
        }
    }
}

void
inventory_tell_same(struct loader *l, struct place at, struct place first)
{
    fault_error(l->faults, at,
                "this class, metric and direction have an objective already (%s:%u:%u)",
                first.file ? fault_file_name(first.file) : "", first.line, first.column);
}

/* --- Profiles ------------------------------------------------------------- */

struct profile_draft {
    struct inv_profile profile;
    const struct yaml_node *objectives;
};

static const struct bind_key profile_keys[] = {
    HEAD_KEYS,
    {.key = "objectives",
     .type = BIND_NODE,
     .offset = offsetof(struct profile_draft, objectives),
     .required = true},
    {.key = NULL},
};

void
inventory_read_profile(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_profile *profile = object;
    struct profile_draft d = {.profile.key = profile->key};

    bind_map(&l->bind, member, member->key_at, profile_keys, &d);
    l->retired = d.profile.state == INV_RETIRED;
    if (d.objectives) {
        read_objectives(l, d.objectives, &d.profile.objectives, &d.profile.objective_count);
    }
    *profile = d.profile;
}

/* The profiles that an SLA names. */
static void
read_profiles(struct loader *l, const struct yaml_node *list, struct inv_sla *sla)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of profiles, such as [gold-metro]")) {
        return;
    }
    if (list->count == 0 || list->count > OBJECTIVES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u profiles, got %zu", OBJECTIVES_MAX,
                    list->count);
        return;
    }
    sla->profiles = pool_array(l->pool, list->count, sizeof *sla->profiles);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        const struct inv_profile *profile = inventory_resolve(l, n, KIND_PROFILE);
        for (size_t i = 0; profile && i < sla->profile_count; i++) {
            if (sla->profiles[i] == profile) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", profile->key);
                profile = NULL;
            }
        }
        if (profile) {
            sla->profiles[sla->profile_count++] = profile;
        }
    }
}

/* --- SLAs ----------------------------------------------------------------- */

static const struct bind_word undetermined_words[] = {{"last", INV_UNDETERMINED_LAST},
                                                      {"available", INV_UNDETERMINED_AVAILABLE},
                                                      {"unavailable", INV_UNDETERMINED_UNAVAILABLE},
                                                      {"excluded", INV_UNDETERMINED_EXCLUDED},
                                                      {NULL, 0}};
static const struct bind_word covers_words[] = {{"over", INV_COVERS_OVER},
                                                {"bgp", INV_COVERS_BGP},
                                                {"tail", INV_COVERS_TAIL},
                                                {"tunnels", INV_COVERS_TUNNELS},
                                                {NULL, 0}};

static const struct bind_word suspect_words[] = {{"include", 0}, {"exclude", 1}, {NULL, 0}};

struct sla_draft {
    struct inv_sla sla;
    int suspect;
    const struct yaml_node *covers, *profiles, *objectives, *credits;
};

#define SLA(member) .offset = offsetof(struct sla_draft, member)
#define DAYS(count) ((count)*86400 * (uint64_t)NS_PER_S)

static const struct bind_key sla_keys[] = {
    HEAD_KEYS,
    {.key = "version",
     .type = BIND_UNSIGNED,
     SLA(sla.version),
     .width = 4,
     .min = 1,
     .max = 1000000,
     .required = true},
    {.key = "valid_from", .type = BIND_DATE, SLA(sla.valid_from), .required = true},
    {.key = "covers", .type = BIND_NODE, SLA(covers)},
    {.key = "profiles", .type = BIND_NODE, SLA(profiles)},
    {.key = "objectives", .type = BIND_NODE, SLA(objectives)},
    {.key = "notice", .type = BIND_SPAN, SLA(sla.notice), .max = DAYS(366), .fallback = "7d"},
    {.key = "claim_within", .type = BIND_SPAN, SLA(sla.claim_within), .max = DAYS(3660)},
    {.key = "maintenance_allowance",
     .type = BIND_SPAN,
     SLA(sla.maintenance_allowance),
     .max = DAYS(31)},
    {.key = "undetermined",
     .type = BIND_WORD,
     SLA(sla.undetermined),
     .words = undetermined_words,
     .fallback = "last"},
    {.key = "suspect",
     .type = BIND_WORD,
     SLA(suspect),
     .words = suspect_words,
     .fallback = "exclude"},
    {.key = "credits", .type = BIND_NODE, SLA(credits)},
    {.key = NULL},
};

static void
read_covers(struct loader *l, const struct yaml_node *list, struct inv_sla *sla)
{
    static const struct bind_key word = {.key = "covers", .type = BIND_WORD, .words = covers_words};

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of over, bgp, tail, tunnels")) {
        return;
    }
    if (list->count == 0) {
        fault_error(l->faults, list->at, "expected at least one of over, bgp, tail, tunnels");
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        int bit;
        if (!bind_value(&l->bind, &word, n, &bit)) {
            continue;
        }
        if (sla->covers & (unsigned)bit) {
            fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
        }
        sla->covers |= (unsigned)bit;
    }
}

/* The profiles' objectives, then those that are written in the SLA itself. */
static void
read_promise(struct loader *l, const struct yaml_node *member, const struct sla_draft *d,
             struct inv_sla *sla)
{
    struct inv_objective *own = NULL;
    size_t own_count = 0, count = 0;

    if (!d->profiles && !d->objectives && (member->kind == YAML_MAP || yaml_is_null(member))) {
        fault_error(l->faults, member->key_at,
                    "key 'objectives' is missing: what is promised, here or in 'profiles'");
    }
    if (d->profiles) {
        read_profiles(l, d->profiles, sla);
    }
    if (d->objectives) {
        read_objectives(l, d->objectives, &own, &own_count);
    }
    for (size_t i = 0; i < sla->profile_count; i++) {
        sla->own_first += sla->profiles[i]->objective_count;
    }
    if (sla->own_first + own_count > OBJECTIVES_MAX) {
        fault_error(l->faults, d->profiles->at,
                    "with those of its profiles the SLA has %zu objectives; at most %u",
                    sla->own_first + own_count, OBJECTIVES_MAX);
        return;
    }
    sla->objectives = pool_array(l->pool, sla->own_first + own_count, sizeof *sla->objectives);
    for (size_t i = 0; i < sla->profile_count; i++) {
        const struct inv_profile *p = sla->profiles[i];
        for (size_t o = 0; o < p->objective_count; o++) {
            sla->objectives[count++] = p->objectives[o];
        }
    }
    for (size_t o = 0; o < own_count; o++) {
        sla->objectives[count++] = own[o];
    }
    sla->objective_count = count;
}

static const char *
place_text(struct loader *l, const struct yaml_node *member, const char *key)
{
    struct place at = inventory_place(member, key);
    char numbers[32];
    const char *file = at.file ? fault_file_name(at.file) : "";
    int length = snprintf(numbers, sizeof numbers, ":%" PRIu32 ":%" PRIu32, at.line, at.column);
    char *text = pool_alloc(l->pool, strlen(file) + (size_t)length + 1);

    memcpy(text, file, strlen(file));
    memcpy(text + strlen(file), numbers, (size_t)length + 1);
    return text;
}

void
inventory_read_sla(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_sla *sla = object;
    struct sla_draft d = {.sla = {.key = sla->key, .cap_milli = 100000}};

    bind_map(&l->bind, member, member->key_at, sla_keys, &d);
    l->retired = d.sla.state == INV_RETIRED;
    d.sla.version_at = place_text(l, member, "version");
    d.sla.valid_from_at = place_text(l, member, "valid_from");
    d.sla.suspect_excluded = d.suspect == 1;
    if (d.covers) {
        read_covers(l, d.covers, &d.sla);
    } else {
        d.sla.covers = INV_COVERS_OVER;
    }
    read_promise(l, member, &d, &d.sla);
    if (d.credits) {
        inventory_read_credits(l, d.credits, &d.sla);
    }
    *sla = d.sla;
}
