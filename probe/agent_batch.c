/* agent_batch.c - what goes into a batch beside summaries: dictionary, liveness, counters, health;
 * and how a batch ends. */
#include "agent_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tls.h"

/* The certificate's file is looked at every so many batches of health. */
#define CERTIFICATE_EVERY 10

void
agent_cover(struct agent *a, struct instant from, struct instant until)
{
    if (a->covers_from.ns == 0 || instant_before(from, a->covers_from)) {
        a->covers_from = from;
    }
    if (instant_before(a->covers_until, until)) {
        a->covers_until = until;
    }
}

bool
agent_try_again(struct agent *a, int err)
{
    if (err == -ENOSPC && !a->flushed_for_room) {
        agent_flush(a, instant_now(), false);
        a->flushed_for_room = true;
        return true;
    }
    if (err) {
        a->parts_refused++;
    }
    a->flushed_for_room = false;
    return false;
}

void
agent_add_message(struct agent *a, enum telemetry_field field, const ProtobufCMessage *message)
{
    while (agent_try_again(a, telemetry_add_message(a->builder, field, message))) {
    }
}

void
agent_add_dictionary(struct agent *a)
{
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            while (agent_try_again(a, telemetry_add_session(a->builder, &a->sessions[i]->key))) {
            }
        }
    }
    Plumbline__Telemetry__Serving serving;
    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = a->plan->serving_id;
    serving.n_objects = a->plan->object_count;
    serving.objects = a->plan->objects;
    agent_add_message(a, TELEMETRY_SERVING, &serving.base);
}

void
agent_add_epoch_start(struct agent *a)
{
    Plumbline__Telemetry__EpochStart start;

    plumbline__telemetry__epoch_start__init(&start);
    stream_epoch_start(a->transport.stream, &start);
    agent_add_message(a, TELEMETRY_EPOCH_START, &start.base);
}

void
agent_add_liveness(struct agent *a)
{
    for (unsigned i = 0; i < a->liveness.pending_count; i++) {
        const struct liveness_record *r = &a->liveness.pending[i];
        Plumbline__Telemetry__Liveness m;
        plumbline__telemetry__liveness__init(&m);
        m.second = r->second;
        m.seconds = r->seconds;
        m.sending = r->state.sending;
        m.reflecting = r->state.reflecting;
        m.generation = r->state.generation;
        m.serving_id = r->state.serving_id;
        agent_add_message(a, TELEMETRY_LIVENESS, &m.base);
        agent_cover(a, instant_of_ns((int64_t)r->second * NS_PER_S),
                    instant_of_ns((int64_t)(r->second + r->seconds) * NS_PER_S));
    }
    liveness_taken(&a->liveness);
}

static void
add_count(struct agent *a, const char *group, const char *what, uint64_t count)
{
    char name[96];
    Plumbline__Telemetry__Refused m;

    plumbline__telemetry__refused__init(&m);
    snprintf(name, sizeof name, "%s.%s", group, what);
    m.name = name;
    m.count = count;
    agent_add_message(a, TELEMETRY_REFUSED, &m.base);
}

/* What 'group' counted since the batch before; its first is number 'k' of all. */
static void
add_refused_of(struct agent *a, const struct counter_group *group, size_t k)
{
    for (unsigned i = 0; i < group->count && k < a->count_count; i++, k++) {
        uint64_t value = counter_get(&group->counters[i]);
        if (value != a->counts_told[k]) {
            add_count(a, group->name, group->names[i], value - a->counts_told[k]);
            a->counts_told[k] = value;
        }
    }
}

/* What the timing thread, the TWAMP server and the sessions counted since the
 * batch before. */
void
agent_add_refused(struct agent *a)
{
    const struct counter_group *groups;
    size_t group_count = timing_counters(a->config.timing, &groups), k = 0;

    for (size_t g = 0; g < group_count; g++) {
        add_refused_of(a, &groups[g], k);
        k += groups[g].count;
    }
    if (a->transport.counters) {
        add_refused_of(a, a->transport.counters, k);
    }
    for (unsigned i = 0; i < FAR_COUNTS; i++) {
        if (a->far_counts[i]) {
            add_count(a, "match", match_count_names[FAR_FIRST + i], a->far_counts[i]);
            a->far_counts[i] = 0;
        }
    }
}

/* Of the certificate for Redis, which somebody may have renewed meanwhile. */
static int64_t
certificate_end(struct agent *a)
{
    if (a->config.cert_file && a->certificate_age++ % CERTIFICATE_EVERY == 0 &&
        !tls_certificate_end(a->config.cert_file, &a->certificate_end)) {
        a->certificate_end = instant_of_ns(0);
    }
    return a->certificate_end.ns;
}

static uint64_t
kernel_drops(const struct agent *a)
{
    const struct counter_group *groups;
    size_t count = timing_counters(a->config.timing, &groups);
    uint64_t drops = 0;

    for (size_t g = 0; g < count; g++) {
        for (unsigned i = 0; i < groups[g].count; i++) {
            bool is = strcmp(groups[g].names[i], "kernel_drops") == 0;
            drops += is ? counter_get(&groups[g].counters[i]) : 0;
        }
    }
    return drops;
}

void
agent_add_health(struct agent *a)
{
    Plumbline__Telemetry__Health m;
    struct spool_health spool;
    struct stream_health stream;

    spool_health(a->transport.spool, &spool);
    stream_health(a->transport.stream, &stream);
    plumbline__telemetry__health__init(&m);
    m.spool_bytes = spool.bytes;
    m.spool_unsent = spool.unacked;
    m.disk_full = spool.disk_full;
    m.stream_full = stream.is_full;
    m.tombstones = spool.damaged + spool.dropped;
    m.clock_synchronised = a->clock.synchronised;
    m.clock_error_ns = a->clock.error_ns == UINT64_MAX ? 0 : a->clock.error_ns;
    m.certificate_end_ns = certificate_end(a);
    m.kernel_drops = kernel_drops(a);
    agent_add_message(a, TELEMETRY_HEALTH, &m.base);
}

/* Nothing that starts before this will come any more. */
static struct instant
watermark(const struct agent *a, struct instant now)
{
    struct instant until = liveness_told(&a->liveness);

    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            struct instant next = match_next_start(a->sessions[i]->match);
            if (instant_before(next, until)) {
                until = next;
            }
        }
    }
    if (a->left_from.ns && instant_before(a->left_from, until)) {
        until = a->left_from;
    }
    return instant_before(now, until) ? now : until;
}

void
agent_flush(struct agent *a, struct instant now, bool last)
{
    size_t size;

    if (last) {
        struct instant until = watermark(a, now);
        if (instant_before(a->final_until, until)) {
            a->final_until = until;
        }
    }
    if (a->covers_from.ns == 0) {
        a->covers_from = a->covers_until = now; /* It covers nothing, and says so. */
    }
    const uint8_t *bytes = telemetry_finish(a->builder, now, a->final_until, &size);
    int err = bytes
                  ? stream_append(a->transport.stream, bytes, size, a->covers_from, a->covers_until)
                  : -ENOMEM;
    if (err) {
        a->batches_refused++;
        if (log_bucket_pass(&a->batch_bucket, mono_now())) {
            errno = -err;
            log_warn("%s: a batch of %zu bytes could not be kept and is lost (%" PRIu64
                     " batches, %" PRIu64 " parts since the start)",
                     a->config.source, size, a->batches_refused, a->parts_refused);
        }
    }
    a->covers_from = a->covers_until = instant_of_ns(0);
}
