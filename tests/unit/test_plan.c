/* test_plan.c - what a reload keeps, and what begins anew. */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "fault.h"
#include "harness.h"
#include "stampauth.h"

static const char text[] = "inventory: 1\n"
                           "interval: 60s\n"
                           "sites: {s: {}}\n"
                           "probes: {p1: {site: s}, p2: {site: s}}\n"
                           "classes: {gold: {period: %s, size: 128, dt: %s}}\n"
                           "links:\n"
                           "  l1:\n"
                           "    state: active\n"
                           "    ends: [{probe: p1, address: 10.0.0.1}, {probe: p2, address: %s}]\n"
                           "    classes: [gold]\n";

static const struct linkkeys no_keys;
static const struct probe_config config = {.probe = "p1", .source_port = 50000, .port = 862};
static uint32_t next_index;

/* The plan of p1 with these values. */
static struct plan *
plan_of(const char *period, const char *dt, const char *far, const struct plan *old, int64_t now_ms)
{
    char path[] = "/tmp/test_plan.XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    size_t errors, warnings;
    struct inventory *inv;
    struct plan *p;

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_FATAL(dprintf(fd, text, period, dt, far) > 0);
    close(fd);
    int err = inventory_load(path, stderr, 5, &errors, &warnings, &inv);
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    err =
        plan_make(&p, inv, &config, &no_keys, old, &next_index, instant_of_ns(now_ms * NS_PER_MS));
    inventory_free(inv);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL_FATAL(p->timing.session_count, 1);
    return p;
}

static void
what_did_not_change_goes_on(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("100ms", "1s", "10.0.0.2", a, 9300);

    CU_ASSERT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(a->timing.sessions[0].ssid, b->timing.sessions[0].ssid);
    CU_ASSERT_EQUAL(a->timing.sessions[0].begin.ns, b->timing.sessions[0].begin.ns);
    plan_free(a);
    plan_free(b);
}

static void
another_parameter_is_another_session(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("200ms", "1s", "10.0.0.2", a, 9300);

    CU_ASSERT_NOT_EQUAL(a->sessions[0].id, b->sessions[0].id);
    CU_ASSERT_NOT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 10000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

/* The sender counts from 0 again, so with the old index each packet would pass
 * for one of long ago. */
static void
the_same_session_on_another_way_has_another_index(void)
{
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    struct plan *b = plan_of("100ms", "1s", "10.0.0.3", a, 9300);

    CU_ASSERT_EQUAL(a->sessions[0].id, b->sessions[0].id);
    CU_ASSERT_NOT_EQUAL(a->timing.sessions[0].index, b->timing.sessions[0].index);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 10000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

static void
what_was_told_up_to_a_border_goes_on_at_it(void)
{
    struct plan *a = plan_of("100ms", "10s", "10.0.0.2", NULL, 20000);
    struct plan *b = plan_of("100ms", "10s", "10.0.0.2", NULL, 20001);

    CU_ASSERT_EQUAL(a->timing.sessions[0].begin.ns, 20000 * NS_PER_MS);
    CU_ASSERT_EQUAL(b->timing.sessions[0].begin.ns, 30000 * NS_PER_MS);
    plan_free(a);
    plan_free(b);
}

static struct plan *
plan_of_text(const char *inventory_text, const struct plan *old)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    struct plan *p = NULL;

    CU_ASSERT_EQUAL_FATAL(
        inventory_read(faults, "t.yaml", inventory_text, strlen(inventory_text), &inv), 0);
    CU_ASSERT_EQUAL_FATAL(
        plan_make(&p, inv, &config, &no_keys, old, &next_index, instant_of_ns(5000 * NS_PER_MS)),
        0);
    inventory_free(inv);
    faults_free(faults);
    return p;
}

static const char foreign_text[] =
    "inventory: 1\n"
    "interval: 60s\n"
    "sites: {s: {}}\n"
    "probes: {p1: {site: s}}\n"
    "classes: {a: {period: 1s, size: 128, dt: 10s}, b: {period: 1s, size: 512, dt: 10s}}\n"
    "links:\n"
    "  l1:\n"
    "    ends: [{probe: p1, address: 10.0.0.1, interface: w0},\n"
    "           {protocol: twamp-light, address: 10.0.0.2, source_port: 50310,\n"
    "            timestamp: ptp, reflector: stateless}]\n"
    "    classes: [a, b]\n"
    "  l2:\n"
    "    ends: [{probe: p1, address: 10.0.0.1, interface: w0},\n"
    "           {protocol: icmp, address: 10.0.0.3}]\n"
    "    classes: [a, b]\n"
    "  l3:\n"
    "    ends: [{probe: p1, address: 10.0.0.1, interface: w0},\n"
    "           {protocol: stamp, address: 10.0.0.4, source_port: 50310}]\n"
    "    classes: [a]\n"
    "    mtu: 1500\n";

/* Two sessions of l1, one a class, two of l2, of l3 its full-size packets and one. */
static void
a_foreign_end_has_a_port_for_each_session(void)
{
    static const uint16_t ports[] = {50310, 50311, 50000, 50001, 50566, 50310};
    struct plan *p = plan_of_text(foreign_text, NULL);
    const struct timing_session *t = p->timing.sessions;

    CU_ASSERT_EQUAL_FATAL(p->timing.session_count, 6);
    CU_ASSERT_EQUAL(p->timing.peer_count, 0); /* Nobody of them sends to us. */
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(t[i].source_port, ports[i]);
        CU_ASSERT_TRUE(t[i].foreign);
        CU_ASSERT_EQUAL(t[i].ptp, i < 2);
        CU_ASSERT_EQUAL(t[i].protocol, i < 2   ? SENDER_TWAMP_LIGHT
                                       : i < 4 ? SENDER_ICMP
                                               : SENDER_STAMP);
        CU_ASSERT_EQUAL(t[i].destination_port, i == 2 || i == 3 ? 0 : 862);
        CU_ASSERT_EQUAL(p->sessions[i].key.rt_only, i < 4);
        CU_ASSERT_STRING_EQUAL(p->sessions[i].key.far, "");
        CU_ASSERT_EQUAL(t[i].whole, i == 4);
        CU_ASSERT_EQUAL(p->sessions[i].mtu, i == 4 ? 1500 : 0);
        CU_ASSERT_EQUAL(p->sessions[i].large, i == 5 ? t[4].index : UINT32_MAX);
    }
    CU_ASSERT_EQUAL(t[4].size, 1472);
    CU_ASSERT_EQUAL(t[4].period.ns, NS_PER_S);
    struct plan *again = plan_of_text(foreign_text, p);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(again->timing.sessions[i].index, t[i].index);
        CU_ASSERT_EQUAL(again->timing.sessions[i].source_port, t[i].source_port);
    }
    plan_free(again);
    plan_free(p);
}

/* The plan of this inventory with keys for one link, or the error. */
static int
plan_signed_by(struct plan **out, const char *inventory_text, const char *link,
               enum stampauth_mode mode, uint8_t octet, const struct plan *old)
{
    struct stampauth_secret current = {.size = 32, .octets = {octet}}, none = {.size = 0};
    struct linkkey key = {.link = link, .ring = stampauth_new(mode, &current, &none, false)};
    const struct linkkeys with = {.list = &key, .count = 1};
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(key.ring);
    CU_ASSERT_EQUAL_FATAL(
        inventory_read(faults, "t.yaml", inventory_text, strlen(inventory_text), &inv), 0);
    int err =
        plan_make(out, inv, &config, &with, old, &next_index, instant_of_ns(5000 * NS_PER_MS));
    stampauth_unref(key.ring); /* The plan has its own. */
    inventory_free(inv);
    faults_free(faults);
    return err;
}

static int
plan_signed(struct plan **out, const char *inventory_text, const char *link, uint8_t octet,
            const struct plan *old)
{
    return plan_signed_by(out, inventory_text, link, STAMPAUTH_PACKET, octet, old);
}

static void
a_link_with_keys_is_signed_and_begins_anew(void)
{
    struct plan *before = plan_of_text(foreign_text, NULL), *p = NULL, *again = NULL;

    CU_ASSERT_EQUAL_FATAL(plan_signed(&p, foreign_text, "l3", 1, before), 0);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(p->timing.sessions[i].keys != NULL, i >= 4);
        CU_ASSERT_EQUAL(p->timing.sessions[i].index == before->timing.sessions[i].index, i < 4);
    }
    /* Other keys are the same session. */
    CU_ASSERT_EQUAL_FATAL(plan_signed(&again, foreign_text, "l3", 2, p), 0);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(again->timing.sessions[i].index, p->timing.sessions[i].index);
    }
    CU_ASSERT_PTR_NOT_EQUAL(again->timing.sessions[5].keys, p->timing.sessions[5].keys);
    plan_free(again);
    /* Other packets are not. */
    CU_ASSERT_EQUAL_FATAL(plan_signed_by(&again, foreign_text, "l3", STAMPAUTH_TLV, 1, p), 0);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(again->timing.sessions[i].index == p->timing.sessions[i].index, i < 4);
    }
    plan_free(again);
    plan_free(p);
    plan_free(before);
}

static void
what_cannot_be_signed_makes_no_plan(void)
{
    char small[sizeof text + 40];
    struct plan *p = NULL;

    CU_ASSERT_EQUAL(plan_signed(&p, foreign_text, "l1", 1, NULL), -EPROTONOSUPPORT);
    CU_ASSERT_EQUAL(plan_signed(&p, foreign_text, "l2", 1, NULL), -EPROTONOSUPPORT);
    CU_ASSERT_PTR_NULL(p);
    snprintf(small, sizeof small, text, "1s", "10s", "10.0.0.2");
    char *digits = strstr(small, "size: 128");
    CU_ASSERT_PTR_NOT_NULL_FATAL(digits);
    memcpy(digits, "size: 111", 9);
    CU_ASSERT_EQUAL(plan_signed(&p, small, "l1", 1, NULL), -EMSGSIZE);
    CU_ASSERT_PTR_NULL(p);
    memcpy(digits, "size: 112", 9);
    CU_ASSERT_EQUAL_FATAL(plan_signed(&p, small, "l1", 1, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(p->timing.sessions[0].keys);
    CU_ASSERT_PTR_NOT_NULL(p->timing.peers[0].keys);
    plan_free(p);
    p = NULL;
    memcpy(digits, "size: 063", 9);
    CU_ASSERT_EQUAL(plan_signed_by(&p, small, "l1", STAMPAUTH_TLV, 1, NULL), -EMSGSIZE);
    memcpy(digits, "size: 064", 9);
    CU_ASSERT_EQUAL_FATAL(plan_signed_by(&p, small, "l1", STAMPAUTH_TLV, 1, NULL), 0);
    plan_free(p);
}

/* Only the end that receives knows its peer by the key, and only if it has one. */
static void
a_link_behind_nat_has_a_number_that_stays(void)
{
    static const char nat_text[] =
        "inventory: 1\n"
        "interval: 60s\n"
        "sites: {s: {}}\n"
        "probes: {p1: {site: s}, p2: {site: s}}\n"
        "classes: {a: {period: 1s, size: 128, dt: 10s}}\n"
        "links:\n"
        "  l1: {ends: [{probe: p2, address: 10.0.0.2}, {probe: p1, address: 10.0.0.1}],\n"
        "       classes: [a], nat: true, auth: {key_file: k}}\n"
        "  l2: {ends: [{probe: p1, address: 10.0.0.1}, {probe: p2, address: 10.0.0.3}],\n"
        "       classes: [a], nat: true, auth: {key_file: k}}\n";
    struct plan *p = NULL, *again = NULL, *bare = plan_of_text(nat_text, NULL);

    CU_ASSERT_EQUAL_FATAL(plan_signed(&p, nat_text, "l1", 1, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(plan_signed(&again, nat_text, "l1", 2, p), 0);
    CU_ASSERT_EQUAL_FATAL(p->timing.peer_count, 2);
    CU_ASSERT(p->timing.peers[0].nat != 0);
    CU_ASSERT_EQUAL(p->timing.peers[0].nat, again->timing.peers[0].nat);
    CU_ASSERT_EQUAL(p->timing.peers[1].nat, 0);
    plan_free(again);
    CU_ASSERT_EQUAL_FATAL(plan_signed(&again, nat_text, "l2", 2, p), 0);
    CU_ASSERT_EQUAL(again->timing.peers[1].nat, 0);
    CU_ASSERT_EQUAL(bare->timing.peers[0].nat, 0);
    plan_free(p);
    plan_free(again);
    plan_free(bare);
}

/* A probe whose classes change each day lives for years. */
static void
indexes_come_round_and_skip_those_in_use(void)
{
    next_index = 65533;
    struct plan *a = plan_of("100ms", "1s", "10.0.0.2", NULL, 5000);
    CU_ASSERT_EQUAL(a->timing.sessions[0].index, 65533);
    struct plan *b = plan_of("200ms", "1s", "10.0.0.2", a, 9300);
    CU_ASSERT_EQUAL(b->timing.sessions[0].index, 0);
    CU_ASSERT_EQUAL(b->timing.sessions[0].ssid, 1);
    next_index = 65533;
    struct plan *c = plan_of("100ms", "1s", "10.0.0.2", b, 9300);
    CU_ASSERT_EQUAL(c->timing.sessions[0].index, 65533);
    next_index = 0;
    struct plan *d = plan_of("500ms", "1s", "10.0.0.2", b, 9300);
    CU_ASSERT_EQUAL(d->timing.sessions[0].index, 1);
    plan_free(a);
    plan_free(b);
    plan_free(c);
    plan_free(d);
}

static const char ways_text[] =
    "inventory: 1\n"
    "interval: 60s\n"
    "sites: {s: {}}\n"
    "probes: {p1: {site: s}, p2: {site: s}}\n"
    "classes: {gold: {dscp: ef, period: 100ms, size: 128, dt: 1s}}\n"
    "links:\n"
    "  theirs:\n"
    "    ends: [{probe: p2, address: 10.1.0.2}, {probe: p1, interface: w0, address: 10.1.0.1}]\n"
    "    classes: [gold]\n"
    "  ours:\n"
    "    ends: [{probe: p1, address: 10.2.0.1}, {probe: p2, address: 10.2.0.2}]\n"
    "    classes: [gold]\n"
    "    flows: 2\n"
    "  both:\n"
    "    ends: [{probe: p2, address: 10.3.0.2}, {probe: p1, address: 10.3.0.1}]\n"
    "    classes: [gold]\n"
    "    probe_from: both\n"
    "  foreign:\n"
    "    ends: [{probe: p1, address: 10.4.0.1}, {protocol: stamp, address: 10.4.0.2}]\n"
    "    classes: [gold]\n"
    "  echo:\n"
    "    ends: [{probe: p1, address: 10.5.0.1}, {protocol: icmp, address: 10.5.0.2}]\n"
    "    classes: [gold]\n";

static void
each_link_has_one_path_that_its_packets_or_replies_take(void)
{
    struct plan *p = plan_of_text(ways_text, NULL);
    const struct plan_path *way;

    CU_ASSERT_EQUAL(p->path_count, 4);
    CU_ASSERT_PTR_NULL(plan_path(p, "echo"));
    CU_ASSERT_PTR_NULL(plan_path(p, "our"));
    way = plan_path(p, "ours");
    CU_ASSERT_PTR_NOT_NULL_FATAL(way);
    CU_ASSERT_EQUAL(way->way.near_port, 50000);
    CU_ASSERT_EQUAL(way->way.far_port, 862);
    CU_ASSERT_EQUAL(way->way.far.v6.s6_addr[3], 2);
    CU_ASSERT_FALSE(way->way.mute);
    CU_ASSERT_EQUAL(way->dscp, 46);
    CU_ASSERT_EQUAL(way->flow, 0);
    CU_ASSERT_STRING_EQUAL(way->class_name, "gold");
    CU_ASSERT_PTR_NULL(way->interface);
    way = plan_path(p, "theirs");
    CU_ASSERT_PTR_NOT_NULL_FATAL(way);
    CU_ASSERT_EQUAL(way->way.near_port, 862);
    CU_ASSERT_EQUAL(way->way.far_port, 50000);
    CU_ASSERT_TRUE(way->way.mute);
    CU_ASSERT_STRING_EQUAL(way->interface, "w0");
    way = plan_path(p, "both");
    CU_ASSERT_PTR_NOT_NULL_FATAL(way);
    CU_ASSERT_EQUAL(way->way.near_port, 50000);
    CU_ASSERT_FALSE(way->way.mute);
    way = plan_path(p, "foreign");
    CU_ASSERT_PTR_NOT_NULL_FATAL(way);
    CU_ASSERT_TRUE(way->way.mute);
    plan_free(p);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"each_link_has_one_path_that_its_packets_or_replies_take",
         each_link_has_one_path_that_its_packets_or_replies_take},
        {"what_did_not_change_goes_on", what_did_not_change_goes_on},
        {"another_parameter_is_another_session", another_parameter_is_another_session},
        {"the_same_session_on_another_way_has_another_index",
         the_same_session_on_another_way_has_another_index},
        {"what_was_told_up_to_a_border_goes_on_at_it", what_was_told_up_to_a_border_goes_on_at_it},
        {"indexes_come_round_and_skip_those_in_use", indexes_come_round_and_skip_those_in_use},
        {"a_foreign_end_has_a_port_for_each_session", a_foreign_end_has_a_port_for_each_session},
        {"a_link_with_keys_is_signed_and_begins_anew", a_link_with_keys_is_signed_and_begins_anew},
        {"a_link_behind_nat_has_a_number_that_stays", a_link_behind_nat_has_a_number_that_stays},
        {"what_cannot_be_signed_makes_no_plan", what_cannot_be_signed_makes_no_plan},
        CU_TEST_INFO_NULL};
    return run_suite("plan", tests);
}
