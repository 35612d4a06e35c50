/* exposition.c - what this collector shows at /metrics. */
#include "exposition.h"

#include <stdio.h>
#include <stdlib.h>

#include "assemble.h"
#include "inventory_sold.h"
#include "watch.h"

/* A source's counters in all workers: it may have gone from one to another. */
struct sums {
    struct counter source[SOURCE_COUNTS], assemble[ASSEMBLE_COUNTS], alarm[WATCH_COUNTS];
};

static void
add_group(struct counter *to, const struct counter_group *from)
{
    for (unsigned i = 0; i < from->count; i++) {
        counter_add(&to[i], counter_get(&from->counters[i]));
    }
}

static void
fill_counters(const struct exposition *e, struct metrics *m, size_t source,
              const struct metrics_label *label)
{
    struct counter_group groups[WORKER_SOURCE_GROUPS];
    struct sums sums = {.source = {{0}}};
    struct counter *const to[WORKER_SOURCE_GROUPS] = {sums.source, sums.assemble, sums.alarm};

    for (unsigned w = 0; w < e->worker_count; w++) {
        worker_source_counters(e->workers[w], source, groups);
        for (int g = 0; g < WORKER_SOURCE_GROUPS; g++) {
            add_group(to[g], &groups[g]);
        }
    }
    for (int g = 0; g < WORKER_SOURCE_GROUPS && e->worker_count; g++) {
        groups[g].counters = to[g];
        metrics_group(m, &groups[g], label);
    }
}

/* What the source itself says. */
static void
fill_health(const struct worker_source *v, struct metrics *m, const struct metrics_label *label)
{
    metrics_gauge(m, "source_spool_bytes", "Bytes of the source's spool on its disk.", label,
                  (double)v->spool_bytes);
    metrics_gauge(m, "source_spool_unacked_records",
                  "Records of the source's spool that are not committed.", label,
                  (double)v->spool_unsent);
    metrics_gauge(m, "source_disk_full", "Whether the source's disk refuses.", label, v->disk_full);
    metrics_gauge(m, "source_clock_synchronised",
                  "Whether the source's clock is kept on UTC by an outside source.", label,
                  v->clock_synchronised);
}

static double
age(struct instant since)
{
    return (double)instant_sub(instant_now(), since).ns / (double)NS_PER_S;
}

static void
fill_source(const struct worker_source *v, struct metrics *m, const struct metrics_label *label)
{
    metrics_gauge(m, "source_owned", "Whether this collector reads the source.", label, v->owned);
    if (!v->owned) {
        return;
    }
    metrics_gauge(m, "source_epoch", "Epoch of the last entry read.", label, (double)v->read.epoch);
    metrics_gauge(m, "source_sequence", "Sequence of the last entry read.", label,
                  (double)v->read.sequence);
    metrics_gauge(m, "source_sessions", "Sessions of the source.", label, (double)v->sessions);
    metrics_gauge(m, "source_held_bytes", "Undecided bytes that are held for the source.", label,
                  (double)v->held_bytes);
    metrics_gauge(m, "source_alarms_waiting",
                  "Alarms of the source that changed and are not written yet.", label,
                  (double)v->alarms_waiting);
    if (v->written_until.ns) {
        metrics_gauge(m, "source_lag_seconds", "Age of the newest instant that is written.", label,
                      age(v->written_until));
    }
    if (v->made_at.ns) {
        metrics_gauge(m, "source_silence_seconds", "Age of the newest batch, by both clocks.",
                      label, age(v->made_at));
    }
    if (v->has_health) {
        fill_health(v, m, label);
    }
}

/* Of workers, and of the sources that each has. */
static void
fill_workers(const struct exposition *e, struct metrics *m, struct worker_source *views)
{
    size_t count = e->inventory->probe_count;
    struct worker_source *one = calloc(count + 1, sizeof *one);

    for (unsigned w = 0; one && w < e->worker_count; w++) {
        struct worker_status status;
        struct counter_group group;
        char number[16];
        snprintf(number, sizeof number, "%u", w + 1);
        const struct metrics_label label[] = {{"worker", number}, {NULL, NULL}};
        worker_view(e->workers[w], &status, one);
        worker_counters(e->workers[w], &group);
        metrics_group(m, &group, label);
        metrics_gauge(m, "worker_redis_connected", "Whether Redis is connected.", label,
                      status.redis);
        metrics_gauge(m, "worker_postgresql_connected", "Whether PostgreSQL is connected.", label,
                      status.postgresql);
        metrics_gauge(m, "worker_sources", "Sources that the worker has.", label,
                      (double)status.claimed);
        for (size_t i = 0; i < count; i++) {
            if (one[i].owned) {
                views[i] = one[i];
            }
        }
    }
    free(one);
}

/* Who judges, and how far it has come. */
static void
fill_judge(const struct exposition *e, struct metrics *m)
{
    struct judge_status s;
    const struct counter_group group = judge_counters(e->judge);

    judge_view(e->judge, &s);
    metrics_group(m, &group, NULL);
    metrics_gauge(m, "judge_active", "Whether this collector judges what is sold; one of all does.",
                  NULL, s.active);
    if (s.round_at.ns >= 0) {
        metrics_gauge(m, "judge_round_age_seconds", "Time since a round of judging was completed.",
                      NULL, age(s.round_at));
    }
    if (s.newest.ns >= 0) {
        metrics_gauge(m, "judge_lag_seconds", "Age of the newest instant that is judged.", NULL,
                      age(s.newest));
        metrics_gauge(m, "judge_oldest_lag_seconds",
                      "The same of the link that is furthest behind; it waits for a source, or is "
                      "judged again.",
                      NULL, age(s.oldest));
    }
}

/* What this collector delivered to a hook, and what only the courier knows of it. */
static void
fill_hook(struct metrics *m, const char *key, const struct courier_hook_status *h, bool active)
{
    const struct metrics_label label[] = {{"hook", key}, {NULL, NULL}};

    metrics_counter(m, "hook_delivered", "What the hook's target took.", label, h->delivered);
    metrics_counter(m, "hook_tries_failed", "Tries that its target did not take.", label,
                    h->tries_failed);
    if (active) {
        metrics_gauge(m, "hook_waiting", "What waits in the outbox for the hook.", label,
                      (double)h->waiting);
        metrics_gauge(m, "hook_oldest_waiting_seconds", "How long the oldest of that has waited.",
                      label, (double)h->oldest.ns / NS_PER_S);
        metrics_gauge(m, "hook_dead", "Letters to the hook that were given up.", label,
                      (double)h->dead);
        metrics_gauge(m, "hook_failing", "Whether the hook's target fails now.", label,
                      h->state == COURIERPLAN_FAILING);
        metrics_gauge(m, "hook_disabled", "Whether the target wants nothing any more (410).", label,
                      h->state == COURIERPLAN_DISABLED);
    }
}

/* Who delivers, and what waits. */
static void
fill_courier(const struct exposition *e, struct metrics *m)
{
    const struct counter_group group = courier_counters(e->courier);
    size_t count = e->inventory->hook_count;
    struct courier_hook_status *hooks = calloc(count + 1, sizeof *hooks);
    struct courier_status s;

    if (!hooks) {
        return;
    }
    courier_view(e->courier, &s, hooks);
    metrics_group(m, &group, NULL);
    metrics_gauge(m, "courier_active",
                  "Whether this collector delivers what is said; one of all does.", NULL, s.active);
    metrics_gauge(m, "courier_in_flight", "What is with its targets now.", NULL,
                  (double)s.in_flight);
    for (size_t i = 0; i < count; i++) {
        if (e->inventory->hooks[i].state == INV_ACTIVE) {
            fill_hook(m, e->inventory->hooks[i].key, &hooks[i], s.active);
        }
    }
    free(hooks);
}

/* Who makes problems of alarms, and how many there are. */
static void
fill_desk(const struct exposition *e, struct metrics *m)
{
    struct desk_status s;
    const struct counter_group group = desk_counters(e->desk);

    desk_view(e->desk, &s);
    metrics_group(m, &group, NULL);
    metrics_gauge(m, "desk_active",
                  "Whether this collector makes problems of alarms; one of all does.", NULL,
                  s.active);
    if (!s.active) {
        return;
    }
    metrics_gauge(m, "desk_problems_open", "Problems that are open.", NULL, (double)s.open);
    metrics_gauge(m, "desk_problems_held",
                  "Open problems of which nobody is told because of maintenance.", NULL,
                  (double)s.held);
    metrics_gauge(m, "desk_alarms_raised", "Alarms that are raised.", NULL, (double)s.raised);
    metrics_gauge(m, "desk_alarms_waiting", "Alarms that wait for others of the same cause.", NULL,
                  (double)s.waiting);
    if (s.round_at.ns) {
        metrics_gauge(m, "desk_round_age_seconds",
                      "Time since the inbox of alarms was last looked at.", NULL, age(s.round_at));
    }
}

void
exposition_fill(const struct exposition *e, struct metrics *m)
{
    const struct metrics_label who[] = {
        {"collector", e->config->collector}, {"version", PLUMBLINE_VERSION}, {NULL, NULL}};
    struct worker_source *views = calloc(e->inventory->probe_count + 1, sizeof *views);

    metrics_gauge(m, "info", "This collector's name and release; always 1.", who, 1);
    metrics_gauge(m, "workers", "Threads that read sources.", NULL, (double)e->worker_count);
    metrics_gauge(m, "sources", "Sources in the inventory.", NULL,
                  (double)e->inventory->probe_count);
    metrics_gauge(m, "source_held_limit_bytes", "Past so many undecided bytes a source waits.",
                  NULL, (double)ASSEMBLE_HELD_MAX);
    if (e->judge) {
        fill_judge(e, m);
    }
    if (e->courier) {
        fill_courier(e, m);
    }
    if (e->past) {
        const struct counter_group group = past_counters(e->past);
        metrics_group(m, &group, NULL);
    }
    if (e->purse) {
        const struct counter_group group = purse_counters(e->purse);
        metrics_group(m, &group, NULL);
    }
    if (e->desk) {
        fill_desk(e, m);
    }
    if (e->keeper) {
        const struct counter_group group = keeper_counters(e->keeper);
        metrics_group(m, &group, NULL);
    }
    if (!views) {
        return;
    }
    fill_workers(e, m, views);
    for (size_t i = 0; i < e->inventory->probe_count; i++) {
        const struct metrics_label label[] = {{"source", e->inventory->probes[i].key},
                                              {NULL, NULL}};
        fill_source(&views[i], m, label);
        fill_counters(e, m, i, label);
    }
    free(views);
}
