/* telemetry_sample.h - a batch with one of everything: what the tests build and
 * read, what tests/fixtures/telemetry-1.bin holds, and a seed for fuzzing. */
#ifndef PLUMBLINE_TEST_TELEMETRY_SAMPLE_H
#define PLUMBLINE_TEST_TELEMETRY_SAMPLE_H

#include "telemetry.h"

#define SAMPLE_SOURCE "ams-1"
#define SAMPLE_MADE_AT (INT64_C(1790000004) * NS_PER_S + 123456789)
#define SAMPLE_FINAL_UNTIL (INT64_C(1789999999) * NS_PER_S)
#define SAMPLE_START (INT64_C(1789999998) * NS_PER_S)

static const struct session_key sample_key = {
    .object = "ams--fra",
    .observer = SAMPLE_SOURCE,
    .far = "fra-1",
    .class_name = "voice",
    .protocol = "stamp",
    .flow = 3,
    .family = 4,
    .observer_end = 1,
    .dt = {NS_PER_S},
    .tmax = {3 * NS_PER_S},
    .period = {100 * NS_PER_MS},
    .size = 172,
    .dscp = 46,
    .ifdv = 1,
    .limit_count = 2,
    .limits = {{LIMIT_DELAY, DIR_RT, {12 * NS_PER_MS}}, {LIMIT_IFDV, DIR_FWD, {50 * NS_PER_US}}},
};

/* Ten packets: seven came back, one lost each way and one undirected. */
static inline int
sample_summary(struct summary *s)
{
    int err = 0;

    for (int64_t i = 0; i < 7; i++) {
        err |= summary_add_delay(s, &sample_key, DIR_FWD, span_of_ns(5000000 + i * 31000));
        err |= summary_add_delay(s, &sample_key, DIR_BWD, span_of_ns(-2000 + i * 100));
        err |= summary_add_delay(s, &sample_key, DIR_RT, span_of_ns(11900000 + i * 31000));
        if (i > 0) {
            err |= summary_add_ifdv(s, &sample_key, DIR_FWD, span_of_ns(i * 10000));
            err |= summary_add_ifdv(s, &sample_key, DIR_RT, span_of_ns(i * 7));
        }
    }
    s->flags |= DT_FAR_EPOCH;
    s->scheduled = 11;
    s->sent = 10;
    s->send_errors = 1;
    s->received = 7;
    s->lost_fwd = s->lost_bwd = s->lost_undirected = 1;
    s->late = 1;
    s->duplicate_fwd = 2;
    s->duplicate_bwd = 3;
    s->reordered_fwd = 4;
    s->reordered_bwd = 5;
    s->stamped[TS_USER] = 1;
    s->stamped[TS_KERNEL] = 4;
    s->stamped[TS_HARDWARE] = 2;
    s->clock_error_ns = 43210;
    return err;
}

static inline int
sample_small_messages(struct telemetry_builder *b)
{
    static char source_release[] = "0.1.0", name[] = "reflector.stranger";
    static char object_a[] = "ams--fra", object_b[] = "ams--lon";
    static char *objects[] = {object_a, object_b};
    Plumbline__Telemetry__EpochStart start;
    Plumbline__Telemetry__Liveness liveness;
    Plumbline__Telemetry__Refused refused;
    Plumbline__Telemetry__Serving serving;
    Plumbline__Telemetry__Health health;
    int err = 0;

    plumbline__telemetry__epoch_start__init(&start);
    start.epoch = 1790000000000;
    start.previous_epoch = 1789000000000;
    start.previous_last_sequence = 77;
    start.release = source_release;
    start.started_at_ns = SAMPLE_START - 5;
    err |= telemetry_add_message(b, TELEMETRY_EPOCH_START, &start.base);
    plumbline__telemetry__liveness__init(&liveness);
    liveness.second = 1789999998;
    liveness.seconds = 2;
    liveness.sending = 1;
    liveness.reflecting = 1;
    liveness.generation = 12;
    liveness.serving_id = -7;
    err |= telemetry_add_message(b, TELEMETRY_LIVENESS, &liveness.base);
    plumbline__telemetry__refused__init(&refused);
    refused.name = name;
    refused.count = 9;
    err |= telemetry_add_message(b, TELEMETRY_REFUSED, &refused.base);
    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = -7;
    serving.n_objects = 2;
    serving.objects = objects;
    err |= telemetry_add_message(b, TELEMETRY_SERVING, &serving.base);
    plumbline__telemetry__health__init(&health);
    health.spool_bytes = 4096;
    health.spool_unsent = 3;
    health.disk_full = 1;
    health.tombstones = 2;
    health.clock_synchronised = 1;
    health.clock_error_ns = 1234;
    health.stamp_tx = TS_KERNEL;
    health.stamp_rx = TS_HARDWARE;
    err |= telemetry_add_message(b, TELEMETRY_HEALTH, &health.base);
    return err;
}

static inline int
sample_add_all(struct telemetry_builder *b, struct summary *s)
{
    const struct early early = {.start = {SAMPLE_START + 4 * NS_PER_S},
                                .sent = 10,
                                .received = 8,
                                .overdue = 1,
                                .rt_min_ns = 11900000,
                                .rt_p50_ns = 12000000,
                                .rt_max_ns = 12100000,
                                .fwd_p50_ns = 5000000,
                                .bwd_p50_ns = -1700,
                                .clock_error_ns = UINT64_MAX};
    int64_t id = session_id_of(&sample_key);
    int err = sample_small_messages(b);

    err |= telemetry_add_session(b, &sample_key);
    summary_reset(s, instant_of_ns(SAMPLE_START));
    err |= sample_summary(s);
    err |= telemetry_add_summary(b, &sample_key, id, s);
    summary_reset(s, instant_of_ns(SAMPLE_START + NS_PER_S));
    s->flags = DT_UNKNOWN;
    err |= telemetry_add_summary(b, &sample_key, id, s);
    err |= telemetry_add_early(b, &sample_key, id, &early);
    return err;
}

#endif
