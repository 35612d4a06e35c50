/* event.c - what a source tells beside its measurements, until it can be written. */
#include "event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_S INT64_C(946684800) /* 2000-01-01, as for summaries. */
/* So that sums of them stay numbers. */
#define COUNT_MAX UINT64_C(1000000000000)

/* One of them, ready to be written but for its end: both kinds begin with a time. */
struct event_held {
    struct event_held *next;
    struct position at;
    bool is_refusal;
    char json[];
};

static bool
time_ok(int64_t ns, struct instant now)
{
    return ns >= OLDEST_S * NS_PER_S && ns <= now.ns + ASSEMBLE_AHEAD_NS;
}

static int
hold(struct event_log *l, struct position p, bool is_refusal, const char *json,
     struct event_tally *tally)
{
    if (l->count == EVENT_HELD_MAX) {
        tally->over++;
        return 0;
    }
    size_t size = strlen(json) + 1;
    struct event_held *h = malloc(sizeof *h + size);
    if (!h) {
        return -ENOMEM;
    }
    h->next = NULL;
    h->at = p;
    h->is_refusal = is_refusal;
    memcpy(h->json, json, size);
    if (l->last) {
        l->last->next = h;
    } else {
        l->first = h;
    }
    l->last = h;
    l->count++;
    tally->taken++;
    return 0;
}

/* What is known of a kind. */
struct kind {
    const char *name;
    const char *from, *to;    /* Names of the two numbers; NULL: it has none. */
    enum direction direction; /* The session's; DIR_RT: it tells none. */
};

static const struct kind *
kind_of(Plumbline__Telemetry__Event__Kind number)
{
    static const struct kind kinds[] = {
        [PLUMBLINE__TELEMETRY__EVENT__KIND__TTL_FWD] = {"ttl", "from", "to", DIR_FWD},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__TTL_BWD] = {"ttl", "from", "to", DIR_BWD},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__DSCP] = {"dscp", "from", "to", DIR_RT},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__DSCP_FWD] = {"dscp", "from", "to", DIR_FWD},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__DSCP_BWD] = {"dscp", "from", "to", DIR_BWD},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__MTU_LOST] = {"mtu_lost", NULL, "octets", DIR_RT},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__MTU_BACK] = {"mtu_back", NULL, "octets", DIR_RT},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__FLOOR_BROKEN] = {"floor_broken", "floor_us", "rt_us",
                                                             DIR_RT},
        [PLUMBLINE__TELEMETRY__EVENT__KIND__FLOOR_KEPT] = {"floor_kept", "floor_us", "rt_us",
                                                           DIR_RT},
    };
    size_t i = (size_t)number;

    return i < sizeof kinds / sizeof kinds[0] && kinds[i].name ? &kinds[i] : NULL;
}

static void
describe(const Plumbline__Telemetry__Event *e, const struct kind *kind,
         const struct session_key *key, char *details, size_t size)
{
    char direction[32] = "", from[32] = "";

    if (kind->direction != DIR_RT) {
        snprintf(direction, sizeof direction, "\"direction\":\"%s\",",
                 direction_name(session_direction(key, kind->direction)));
    }
    if (kind->from) {
        snprintf(from, sizeof from, "\"%s\":%" PRIu32 ",", kind->from, e->from);
    }
    snprintf(details, size, "{%s%s\"%s\":%" PRIu32 "}", direction, from, kind->to, e->to);
}

static int
take_event(struct event_log *l, const struct assemble *a, struct position p, size_t ordinal,
           const Plumbline__Telemetry__Event *e, struct instant now, struct event_tally *tally)
{
    const struct assemble_session *s = assemble_session(a, e->session_id);
    const struct kind *kind = kind_of(e->kind);
    char details[128], json[512];

    if (!s || !s->trusted || !time_ok(e->at_ns, now)) {
        tally->refused++;
        return 0;
    }
    if (!kind) {
        return 0;
    }
    describe(e, kind, &s->key, details, sizeof details);
    /* Keys of the inventory hold nothing that must be escaped. */
    snprintf(json, sizeof json,
             "{\"at_us\":%" PRId64 ",\"epoch\":%" PRIu64 ",\"sequence\":%" PRIu64
             ",\"ordinal\":%zu,\"kind\":\"%s\",\"object\":\"%s\",\"class\":\"%s\",\"flow\":%u"
             ",\"details\":%s}",
             e->at_ns / NS_PER_US, p.epoch, p.sequence, ordinal, kind->name, s->key.object,
             s->key.class_name, s->key.flow, details);
    return hold(l, p, false, json, tally);
}

/* Names of counters: "reflector.stranger". */
static bool
name_ok(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.");

    return length > 0 && length <= EVENT_NAME_MAX && name[length] == '\0';
}

static int
take_refusal(struct event_log *l, struct position p, const Plumbline__Telemetry__Refused *r,
             struct instant at, struct instant now, struct event_tally *tally)
{
    char json[256];

    if (!name_ok(r->name) || !time_ok(at.ns, now)) {
        tally->refused++;
        return 0;
    }
    snprintf(json, sizeof json, "{\"at_us\":%" PRId64 ",\"name\":\"%s\",\"count\":%" PRIu64 "}",
             at.ns / NS_PER_US, r->name, r->count < COUNT_MAX ? r->count : COUNT_MAX);
    return hold(l, p, true, json, tally);
}

int
event_take(struct event_log *l, const struct assemble *a, struct position p, const pb_batch *batch,
           struct instant now, struct event_tally *tally)
{
    int err = 0;

    for (size_t i = 0; i < batch->n_events && !err; i++) {
        err = take_event(l, a, p, i, batch->events[i], now, tally);
    }
    for (size_t i = 0; i < batch->n_refused && !err; i++) {
        err = take_refusal(l, p, batch->refused[i], instant_of_ns(batch->made_at_ns), now, tally);
    }
    return err;
}

static void
end_array(struct bytes *b)
{
    bytes_text(b, b->size ? "]" : "[]");
    bytes_add(b, "", 1);
}

size_t
event_json(const struct event_log *l, struct position safe, struct bytes *events,
           struct bytes *refusals)
{
    size_t n = 0;

    bytes_clear(events);
    bytes_clear(refusals);
    for (const struct event_held *h = l->first; h && position_compare(h->at, safe) <= 0;
         h = h->next) {
        struct bytes *to = h->is_refusal ? refusals : events;
        bytes_text(to, to->size ? "," : "[");
        bytes_text(to, h->json);
        n++;
    }
    end_array(events);
    end_array(refusals);
    return n;
}

void
event_drop(struct event_log *l, struct position safe)
{
    while (l->first && position_compare(l->first->at, safe) <= 0) {
        struct event_held *next = l->first->next;
        free(l->first);
        l->first = next;
        l->count--;
    }
    if (!l->first) {
        l->last = NULL;
    }
}

void
event_clear(struct event_log *l)
{
    event_drop(l, (struct position){UINT64_MAX, UINT64_MAX});
}
