/* ping_result.c - what came of a one-shot test: loss, delay, clocks; as text and as JSON. */
#include "ping_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "match.h"
#include "ping_run.h"
#include "value.h"

static uint64_t
lost(const struct summary *s)
{
    return s->lost_fwd + s->lost_bwd + s->lost_undirected;
}

static int64_t
quantile(const struct delay *d, uint32_t per_million)
{
    return hist_quantile(d->hist, per_million, d->min_ns, d->max_ns);
}

static cJSON *
delay_object(const struct delay *d)
{
    cJSON *o;

    if (d->count == 0) {
        return cJSON_CreateNull();
    }
    o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "count", (double)d->count);
    cJSON_AddNumberToObject(o, "min", (double)d->min_ns);
    cJSON_AddNumberToObject(o, "mean", (double)(d->sum_ns / (int64_t)d->count));
    cJSON_AddNumberToObject(o, "p50", (double)quantile(d, 500000));
    cJSON_AddNumberToObject(o, "p95", (double)quantile(d, 950000));
    cJSON_AddNumberToObject(o, "p99", (double)quantile(d, 990000));
    cJSON_AddNumberToObject(o, "max", (double)d->max_ns);
    return o;
}

static cJSON *
clock_object(bool known, bool synchronised, uint64_t error_ns)
{
    cJSON *o = cJSON_CreateObject();

    if (known) {
        cJSON_AddBoolToObject(o, "synchronised", synchronised);
    } else {
        cJSON_AddNullToObject(o, "synchronised");
    }
    if (known && error_ns != UINT64_MAX) {
        cJSON_AddNumberToObject(o, "error_ns", (double)error_ns);
    } else {
        cJSON_AddNullToObject(o, "error_ns");
    }
    return o;
}

/* What was odd about the replies, by name. */
static cJSON *
far_object(const struct ping_run *p)
{
    struct counter_group groups[2];
    cJSON *o = cJSON_CreateObject();

    match_counters(p->match, &groups[0]);
    sender_counters(p->sender, &groups[1]);
    for (unsigned g = 0; g < 2; g++) {
        unsigned end = g == 0 ? groups[g].count : (unsigned)SENDER_SKIPPED;
        for (unsigned i = g == 0 ? MATCH_BAD_REFLECTOR_TIME : 0; i < end; i++) {
            uint64_t value = counter_get(&groups[g].counters[i]);
            if (value) {
                cJSON_AddNumberToObject(o, groups[g].names[i], (double)value);
            }
        }
    }
    return o;
}

void
ping_result_print_json(const struct ping_run *p)
{
    const struct summary *s = &p->total;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"sent", s->sent},
        {"received", s->received},
        {"lost_fwd", s->lost_fwd},
        {"lost_bwd", s->lost_bwd},
        {"lost_undirected", s->lost_undirected},
        {"unknown", s->unknown},
        {"late", s->late},
        {"duplicates", s->duplicate_fwd + s->duplicate_bwd},
        {"duplicate_fwd", s->duplicate_fwd},
        {"duplicate_bwd", s->duplicate_bwd},
        {"reordered_fwd", s->reordered_fwd},
        {"reordered_bwd", s->reordered_bwd},
        {"send_errors", s->send_errors},
    };
    static const char *const names[4] = {"t1", "t2", "t3", "t4"};
    cJSON *o = cJSON_CreateObject();
    cJSON *stamps;
    char address[VALUE_TEXT_SIZE];
    char *text;

    cJSON_AddStringToObject(o, "address", value_format_address(&p->to, address, sizeof address));
    cJSON_AddStringToObject(o, "protocol", ping_run_protocols[p->protocol]);
    cJSON_AddNumberToObject(o, "port", p->protocol == SENDER_ICMP ? 0 : p->port);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        cJSON_AddNumberToObject(o, counts[i].name, (double)counts[i].value);
    }
    cJSON_AddItemToObject(o, "rt_ns", delay_object(&s->delay[DIR_RT]));
    cJSON_AddItemToObject(o, "fwd_ns", delay_object(&s->delay[DIR_FWD]));
    cJSON_AddItemToObject(o, "bwd_ns", delay_object(&s->delay[DIR_BWD]));
    stamps = cJSON_AddObjectToObject(o, "timestamps");
    for (unsigned i = 0; i < 4; i++) {
        cJSON *t = cJSON_AddObjectToObject(stamps, names[i]);
        cJSON_AddStringToObject(t, "worst", s->received ? ts_source_name(p->worst[i]) : "none");
        cJSON_AddNumberToObject(t, "kernel", (double)p->kernel[i]);
    }
    cJSON_AddItemToObject(o, "far", far_object(p));
    cJSON_AddItemToObject(o, "clock", clock_object(true, p->clock.synchronised, p->clock.error_ns));
    cJSON_AddItemToObject(o, "reflector_clock",
                          clock_object(p->heard, p->far_synchronised, p->far_error_ns));
    text = cJSON_PrintUnformatted(o);
    if (text) {
        puts(text);
    }
    cJSON_free(text);
    cJSON_Delete(o);
}

static void
print_delay(const char *name, const struct delay *d)
{
    int64_t values[6];
    static const char *const names[6] = {"min", "mean", "p50", "p95", "p99", "max"};
    char text[24];

    if (d->count == 0) {
        return;
    }
    values[0] = d->min_ns;
    values[1] = d->sum_ns / (int64_t)d->count;
    values[2] = quantile(d, 500000);
    values[3] = quantile(d, 950000);
    values[4] = quantile(d, 990000);
    values[5] = d->max_ns;
    printf("%-4s", name);
    for (unsigned i = 0; i < 6; i++) {
        printf("  %s %s", names[i], span_format(span_of_ns(values[i]), text, sizeof text));
    }
    putchar('\n');
}

static const char *
variation(const struct delay *d, char *buf, size_t size)
{
    return span_format(span_of_ns(quantile(d, 990000) - d->min_ns), buf, size);
}

static void
print_one_way(const struct ping_run *p)
{
    const struct summary *s = &p->total;
    char bound[24], other[24];

    if (p->key.rt_only) {
        return; /* Nobody asked for it. */
    }
    if (s->delay[DIR_FWD].count == 0) {
        puts("one-way delay: the reflector's times cannot be used");
        return;
    }
    if (!p->clock.synchronised || !p->far_synchronised ||
        p->far_error_ns > (uint64_t)INT64_MAX / 2 || p->clock.error_ns > (uint64_t)INT64_MAX / 2) {
        printf("one-way delay: not told, for %s not synchronised (--json has the bare numbers)\n",
               p->clock.synchronised ? "the reflector's clock is" : "this host's clock is");
        printf("one-way variation (p99 - min): fwd %s, bwd %s\n",
               variation(&s->delay[DIR_FWD], bound, sizeof bound),
               variation(&s->delay[DIR_BWD], other, sizeof other));
        return;
    }
    print_delay("fwd", &s->delay[DIR_FWD]);
    print_delay("bwd", &s->delay[DIR_BWD]);
    printf("      one-way delays are within %s\n",
           span_format(span_of_ns((int64_t)(p->clock.error_ns + p->far_error_ns)), bound,
                       sizeof bound));
}

void
ping_result_print_text(const struct ping_run *p)
{
    const struct summary *s = &p->total;

    printf("\n%" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost", s->sent, s->received,
           lost(s));
    if (lost(s) > 0) {
        printf(" (%" PRIu64 " there, %" PRIu64 " back, %" PRIu64 " undirected)", s->lost_fwd,
               s->lost_bwd, s->lost_undirected);
    }
    printf(", %" PRIu64 " duplicates", s->duplicate_fwd + s->duplicate_bwd);
    if (s->unknown > 0) {
        printf(", %" PRIu64 " unanswered at the end", s->unknown);
    }
    if (s->send_errors > 0) {
        printf(", %" PRIu64 " not sent", s->send_errors);
    }
    putchar('\n');
    print_delay("rt", &s->delay[DIR_RT]);
    if (s->received > 0) {
        print_one_way(p);
        printf("timestamps: T1 %" PRIu64 ", T2 %" PRIu64 ", T3 %" PRIu64 ", T4 %" PRIu64
               " of %" PRIu64 " by the kernel\n",
               p->kernel[0], p->kernel[1], p->kernel[2], p->kernel[3], s->received);
    }
    printf("clock: %s", p->clock.synchronised ? "synchronised" : "not synchronised");
    if (p->clock.synchronised && p->clock.error_ns <= (uint64_t)INT64_MAX) {
        char bound[24];
        printf(", within %s",
               span_format(span_of_ns((int64_t)p->clock.error_ns), bound, sizeof bound));
    }
    if (p->heard) {
        printf("; the reflector's: %s", p->far_synchronised ? "synchronised" : "not synchronised");
    }
    putchar('\n');
}

int
ping_result_verdict(const struct ping_run *p)
{
    if (p->total.sent == 0) {
        fprintf(stderr, "plumbline ping: nothing was sent%s%s\n", p->error ? ": " : "",
                p->error ? strerror(p->error) : "");
        return EXIT_UNAVAILABLE;
    }
    return lost(&p->total) > 0 || p->total.received == 0 ? EXIT_BAD : EXIT_GOOD;
}
