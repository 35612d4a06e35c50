/* test_inventory.c - good inventories, and a table of broken ones: each with the
 * place and the words that its reader needs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "fault.h"
#include "inventory.h"
#include "inventory_sold.h"

/* Line 1 to 14 of most variants; what is tested is put in place of one line. */
static const char *const good_lines[] = {
    /* 1 */ "inventory: 1",
    /* 2 */ "interval: 60s",
    /* 3 */ "sites: {par1: {label: Paris, timezone: Europe/Paris}, lon1: {}}",
    /* 4 */ "probes:",
    /* 5 */ "  par1-p1: {site: par1, address: 192.0.2.1, clock: ptp}",
    /* 6 */ "  lon1-p1: {site: lon1, address: 192.0.2.2}",
    /* 7 */ "classes:",
    /* 8 */ "  gold: {dscp: ef, period: 100ms, size: 128, dt: 1s}",
    /* 9 */ "links:",
    /* 10 */ "  l1:",
    /* 11 */ "    ends: [{probe: par1-p1, address: 10.0.0.1}, {probe: lon1-p1, address: 10.0.0.2}]",
    /* 12 */ "    classes: [gold]",
    /* 13 */ "    flows: 2",
    /* 14 */ "tenants: {acme: {label: ACME, labels: {crm: C-1}}}",
};
#define GOOD_LINES (sizeof good_lines / sizeof good_lines[0])

struct variant {
    unsigned line; /* Which line is replaced; 0: 'text' is the whole file. */
    const char *text;
    const char *place; /* "line:column" */
    const char *words; /* In the message. */
    bool warning;
};

static const struct variant variants[] = {
    {1, "inventory: 2", "1:12", "expected 1, the format", false},
    {1, "inventory: one", "1:12", "got 'one'", false},
    {1, "", "2:1", "key 'inventory' is missing", false},
    {2, "interval: 60", "2:11", "a time with its unit", false},
    {2, "interval: 7s", "2:11", "does not divide a quarter of an hour", false},
    {2, "interval: 16m", "2:11", "expected 1s to 15m, got '16m'", false},
    {2, "interval: 999999us", "2:11", "expected 1s to 15m", false},
    {2, "interval: [60s]", "2:11", "got a list", false},
    {2, "intervall: 60s", "2:1", "unknown key 'intervall'; did you mean", false},
    {2, "inventory: 1", "2:1", "key 'inventory' is here twice; first at t.yaml:1:1", false},
    {3, "sites: [par1, lon1]", "3:8", "expected a map of objects by key, got a list", false},
    {3, "sites: {Par1: {}, par1: {}, lon1: {}}", "3:9", "'Par1' is not a key", false},
    {3, "sites: {-x: {}, par1: {}, lon1: {}}", "3:9", "'-x' is not a key", false},
    {3, "sites: {par1: {}, lon1: {}, par1: {}}", "3:29",
     "'par1' is here twice; first at t.yaml:3:9", false},
    {3, "sites: {par1: {lable: Paris}, lon1: {}}", "3:16", "did you mean 'label'?", false},
    {3, "sites: {par1: {timezone: ../../etc/passwd}, lon1: {}}", "3:26", "expected a time zone",
     false},
    {3, "sites: {par1: {timezone: /etc/passwd}, lon1: {}}", "3:26", "expected a time zone", false},
    {3, "sites: {par1: {label: \"a\\tb\"}, lon1: {}}", "3:23", "text of one line", false},
    {3, "sites: {par1: {label: \"a\\0b\"}, lon1: {}}", "3:23", "not text", false},
    {3, "sites: {par1: &a {}, lon1: {}}", "3:15", "anchors (&name) are not read", false},
    {3, "sites: {par1: {}, lon1: *a}", "3:25", "aliases (*name) are not read", false},
    {3, "sites: {par1: !x {}, lon1: {}}", "3:15", "tags (!name) are not read", false},
    {3, "sites: {par1: {<<: {}}, lon1: {}}", "3:16", "merge keys (<<) are not read", false},
    {3, "sites: {[a]: {}, par1: {}, lon1: {}}", "3:9", "a key is a word", false},
    {5, "  par1-p1: {address: 192.0.2.1}", "5:3", "key 'site' is missing", false},
    {5, "  par1-p1:", "5:3", "key 'site' is missing", false},
    {5, "  par1-p1: {site: par2}", "5:19", "there is no site 'par2'; did you mean 'par1'?", false},
    {5, "  par1-p1: {site: {a: b}}", "5:19", "expected the key of a site, got a map", false},
    {5, "  par1-p1: {site: par1, clock: gps}", "5:32", "expected one of ntp, ptp, gnss, got 'gps'",
     false},
    {5, "  par1-p1: {site: par1, address: 192.0.2}", "5:34", "an IP address", false},
    {5, "  par1-p1: {site: par1, address: 192.0.2.1/32}", "5:34", "an IP address", false},
    {5, "  par1-p1: {site: par1, address: \"::ffff:192.0.2.1\"}", "5:34", "an IP address", false},
    {5, "  par1-p1: {site: par1, address: \"ff02::1\"}", "5:34", "not the address of one host",
     false},
    {5, "\tpar1-p1: {site: par1}", "5:1", "a tab indents this line", false},
    {5, "  par1-p1: {site: par1, address: 192.0.2.1}}", "5:44", "this is not YAML", false},
    {6, "  par1-p1: {site: lon1}", "6:3", "'par1-p1' is here twice; first at t.yaml:5:3", false},
    {6, "  lon1-p1: {site: lon1\xff}", "6:23", "byte 0xff is not UTF-8", false},
    {6, "  lon1-p1: {site: lon1\xc0\xaf}", "6:23", "byte 0xc0 is not UTF-8", false},
    {6, "  lon1-p1: {site: lon1\xed\xa0\x80}", "6:23", "byte 0xed is not UTF-8", false},
    {6, "  \xc3\xa9\xc3\xa9: {site: lon1, c\xc3\xa9: 1}", "6:20", "unknown key 'c\xc3\xa9'", false},
    {6, "  lon1-p1: {site: lon1}\x07", "6:24", "control character U+0007", false},
    {8, "  gold: {dscp: ef1}", "8:16", "a DSCP: ef", false},
    {8, "  gold: {dscp: 64}", "8:16", "a DSCP: ef", false},
    {8, "  gold: {dscp: af44}", "8:16", "a DSCP: ef", false},
    {8, "  gold: {period: 100}", "8:18", "a time with its unit", false},
    {8, "  gold: {period: 100 ms}", "8:18", "a time with its unit", false},
    {8, "  gold: {period: 0.5ns}", "8:18", "a time with its unit", false},
    {8, "  gold: {period: -1s}", "8:18", "a time with its unit", false},
    {8, "  gold: {period: 99us}", "8:18", "expected 100us to 1m", false},
    {8, "  gold: {period: 2s}", "8:18", "period 2s is longer than dt 1s", false},
    {8, "  gold: {period: 300ms}", "8:18", "not a multiple of period 300ms: dt will have 3 or 4",
     true},
    {8, "  gold: {period: 1ms, dt: 15m}", "8:27", "dt 15m does not divide the interval 1m", false},
    {8, "  gold: {dt: 7s}", "8:14", "dt 7s does not divide the interval 1m", false},
    {8, "  gold: {dt: 99ms}", "8:14", "expected 100ms to 15m", false},
    {8, "  gold: {size: 43}", "8:16", "expected 44 to 9000, got '43'", false},
    {8, "  gold: {size: 9001}", "8:16", "expected 44 to 9000", false},
    {8, "  gold: {size: 128B}", "8:16", "a whole number", false},
    {8, "  gold: {size: 99999999999999999999}", "8:16", "a whole number", false},
    {8, "  gold: {size: 95}", "8:16", "below 96 octets a packet has no room for the follow-up",
     true},
    {8, "  gold: {size: 76}", "8:16", "below 96 octets a packet has no room for the follow-up",
     true},
    {8, "  gold: {size: 75}", "8:16", "below 76 octets a packet has no room for the reception",
     true},
    {8, "  gold: {size: 44}", "8:16", "below 76 octets a packet has no room for the reception",
     true},
    {8, "  gold: {tmax: 99ms}", "8:16", "expected 100ms to 1m", false},
    {8, "  gold: {tmax: 61s}", "8:16", "expected 100ms to 1m", false},
    {8, "  gold: {loss_threshold: 0.5}", "8:26", "a percentage", false},
    {8, "  gold: {loss_threshold: 100.001%}", "8:26", "expected 0% to 100%", false},
    {8, "  gold: {loss_threshold: 9.999%}", "8:26", "any loss makes the dt bad", true},
    {8, "  gold: {n: 0}", "8:13", "expected 1 to 1000", false},
    {8, "  gold: {n: 5, p: 5}", "8:19", "p 5 is not less than n 5", true},
    {8, "  gold: {n: 101}", "8:13", "n times dt is 101s", true},
    {8, "  gold: {dt: 12s}", "8:14", "n times dt is 2m", true},
    {8, "  gold: {period: 1m, dt: 1m, loss_threshold: 100%}", "8:26", "n times dt is 10m", true},
    {0, "inventory: 1\ninterval: 15m\nclasses: {c: {dt: 15m, period: 900us}}\n", /* A million
                                                                                    packets. */
     "3:19", "n times dt is 150m", true},
    {8, "  gold: {ifdv: yes}", "8:16", "true or false", false},
    {8, "  gold: {ifdv: \"true\"}", "8:16", "true or false", false},
    {8, "  gold: {limits: {metric: delay}}", "8:18", "a list of {metric", false},
    {8, "  gold: {limits: [{metric: delay, direction: up, limit: 1ms}]}", "8:46",
     "expected one of fwd, bwd, rt", false},
    {8, "  gold: {limits: [{metric: delay, direction: rt}]}", "8:19", "key 'limit' is missing",
     false},
    {8, "  gold: {limits: [{metric: ifdv, direction: fwd, limit: 1ms}]}", "8:19",
     "has 'ifdv: true'", false},
    {8,
     "  gold: {limits: [{metric: delay, direction: rt, limit: 1ms},{metric: delay, direction: rt, "
     "limit: "
     "2ms},{},{},{},{},{},{},{}]}",
     "8:18", "expected at most 8 limits, got 9", false},
    {11, "    ends: {}", "11:11", "expected a list of two ends, got a map", false},
    {11, "    ends: [{probe: par1-p1, address: 10.0.0.1}]", "11:11", "expected two ends, got 1",
     false},
    {11, "", "10:3", "key 'ends' is missing", false},
    {11, "    ends: [{probe: par1-p2, address: 10.0.0.1}, {probe: lon1-p1, address: 10.0.0.2}]",
     "11:20", "there is no probe 'par1-p2'; did you mean 'par1-p1'?", false},
    {11, "    ends: [{probe: par1-p1, address: 10.0.0.1}, {probe: par1-p1, address: 10.0.0.2}]",
     "11:57", "both ends are at probe 'par1-p1'", false},
    {11, "    ends: [{probe: par1-p1, address: 10.0.0.1}, {probe: lon1-p1, address: 10.0.0.1}]",
     "11:75", "both ends have this address", false},
    {11, "    ends: [{probe: par1-p1, address: 224.0.0.1}, {probe: lon1-p1, address: 10.0.0.1}]",
     "11:38", "not the address of one host", false},
    {11, "    ends: [{probe: par1-p1, address: \"fe80::1\"}, {probe: lon1-p1, address: 10.0.0.1}]",
     "11:38", "needs the 'interface' on which it is", false},
    {11,
     "    ends: [{probe: par1-p1, address: 10.0.0.1, port: 0}, {probe: lon1-p1, address: "
     "10.0.0.2}]",
     "11:54", "expected 1 to 65535", false},
    {11,
     "    ends: [{probe: par1-p1, address: 10.0.0.1, port: 65536}, {probe: lon1-p1, address: "
     "10.0.0.2}]",
     "11:54", "expected 1 to 65535", false},
    {11,
     "    ends: [{probe: par1-p1, address: 10.0.0.1, interface: ethernet01234567}, {probe: "
     "lon1-p1, address: 10.0.0.2}]",
     "11:59", "not the name of an interface", false},
    {11, "    ends: [~, {probe: lon1-p1, address: 10.0.0.2}]", "11:12",
     "key 'probe' is missing; only the second end may be foreign", false},
    {11, "    ends: [{probe: par1-p1, address: 10.0.0.1}, ~]", "11:49",
     "key 'probe' is missing; of a foreign end: 'protocol'", false},
    {12, "    classes: []", "12:14", "expected 1 to 64 classes, got 0", false},
    {12, "    classes: gold", "12:14", "expected a list of classes", false},
    {12, "    classes: [gld]", "12:15", "there is no class 'gld'; did you mean 'gold'?", false},
    {12, "    classes: [gold, gold]", "12:21", "'gold' is in this list twice", false},
    {13, "    flows: 0", "13:12", "expected 1 to 256", false},
    {13, "    flows: 257", "13:12", "expected 1 to 256", false},
    {13, "    flow: 1", "13:5", "did you mean 'flows'?", false},
    {13, "    state: on", "13:12", "expected one of planned, active, retired", false},
    {13, "    probe_from: second", "13:17", "expected one of first, both", false},
    {13, "    in_service: 2026-02-30T00:00:00Z", "13:17", "RFC 3339", false},
    {13, "    in_service: 2026-02-01", "13:17", "RFC 3339", false},
    {13, "    capacity: 10G", "13:15", "a rate with its unit", false},
    {13, "    capacity: 10gbit", "13:15", "a rate with its unit", false},
    {13, "    mtu: 100", "13:10", "do not fit in mtu 100", false},
    {13, "    mtu: 155", "13:10", "do not fit in mtu 155", false},
    {13, "    rt_floor: 4.6", "13:15", "a time with its unit", false},
    {13, "    risks: [a, a]", "13:16", "'a' is in this list twice", false},
    {13, "    risks: duct", "13:12", "a list of keys", false},
    {13, "    labels: [a]", "13:13", "a map of texts by name", false},
    {13, "    labels: {a: [b]}", "13:17", "text of one line", false},
    {13, "    labels: {A B: c}", "13:14", "'A B' is not the name of a label", false},
    {14, "tenants: {acme: {timezone: Mars/Olympus}}", "14:28", "does not know the time zone", true},
    {14, "routers: {x: {}}", "14:11", "key 'site' is missing", false},
    {14, "tenants: {t: {}}\nconnectors: {c: {tenant: t, site: par1, attachments: {m: }}}", "15:55",
     "expected one of port, bgp, test", false},
    {14, "tenant: {}", "14:1", "did you mean 'tenants'?", false},
    {14, " l2: {}", "14:2", "this is not YAML", false},
    {14, "---", "14:1", "a second document", false},
    {0, "inventory: 1\ninterval: 15m\nclasses: {c: {dt: 15m, period: 890us}}\n", "3:32",
     "at most 1000000", false},
    {0, "", "0:0", "the file is empty", false},
    {0, "# nothing\n", "0:0", "the file is empty", false},
    {0, "- inventory\n", "1:1", "expected a map with sites", false},
    {0, "just text\n", "1:1", "expected a map with sites", false},
    {0, "inventory: 1\nsites: \"open\n", "2:9", "closing quote", false},
};

/* The last values before a fault: none of these may have one. */
static const struct variant edges[] = {
    {1, "inventory: 1 # one", NULL, NULL, false},
    {2, "interval: 1s", NULL, NULL, false},
    {2, "interval: 15m", NULL, NULL, false},
    {8, "  gold: {size: 96}", NULL, NULL, false},
    {8, "  gold: {size: 9000}", NULL, NULL, false},
    {8, "  gold: {period: 100us}", NULL, NULL, false},
    {8, "  gold: {period: 1s, loss_threshold: 100%}", NULL, NULL, false},
    {8, "  gold: {dt: 100ms, period: 50ms}", NULL, NULL, false},
    {8, "  gold: {tmax: 100ms}", NULL, NULL, false},
    {8, "  gold: {tmax: 60s}", NULL, NULL, false},
    {8, "  gold: {loss_threshold: 10%}", NULL, NULL, false},
    {8, "  gold: {n: 6, p: 5}", NULL, NULL, false},
    {8, "  gold: {n: 1000, p: 999, dt: 100ms, period: 10ms}", NULL, NULL, false},
    {8, "  gold: {n: 100}", NULL, NULL, false},
    {8, "  gold: {dt: 10s}", NULL, NULL, false},
    {8, "  gold: {dscp: 0}", NULL, NULL, false},
    {8, "  gold: {dscp: 63}", NULL, NULL, false},
    {8, "  gold:", NULL, NULL, false},
    {11,
     "    ends: [{probe: par1-p1, address: 1.0.0.0}, {probe: lon1-p1, address: 223.255.255.255}]",
     NULL, NULL, false},
    {11,
     "    ends: [{probe: par1-p1, address: 10.0.0.1, port: 1, interface: ethernet0123456}, {probe: "
     "lon1-p1, "
     "address: 10.0.0.2, port: 65535}]",
     NULL, NULL, false},
    {13, "    flows: 1", NULL, NULL, false},
    {13, "    flows: 256", NULL, NULL, false},
    {13, "    mtu: 156", NULL, NULL, false},
    {13, "    mtu: 65535", NULL, NULL, false},
};

static char *
variant_text(const struct variant *v, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    if (v->line == 0) {
        fputs(v->text, to);
    }
    for (size_t i = 0; v->line && i < GOOD_LINES; i++) {
        fprintf(to, "%s\n", i + 1 == v->line ? v->text : good_lines[i]);
    }
    fclose(to);
    return text;
}

/* Whether one fault has this place, severity and words; prints them if not. */
static bool
has_fault(struct faults *faults, const char *place, const char *words, bool warning)
{
    size_t count;
    const struct fault *all = faults_sorted(faults, &count);
    char at[32];

    for (size_t i = 0; i < count; i++) {
        snprintf(at, sizeof at, "%u:%u", all[i].at.line, all[i].at.line ? all[i].at.column : 0);
        if (strcmp(at, place) == 0 && strstr(all[i].message, words) &&
            (all[i].severity == FAULT_WARNING) == warning) {
            return true;
        }
    }
    printf("\nwanted %s %s, got:\n", place, words);
    faults_print(faults, stdout, 10);
    return false;
}

static void
each_broken_variant_is_told_with_place_and_words(void)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const struct variant *v = &variants[i];
        size_t size;
        char *text = variant_text(v, &size);
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;
        int err = inventory_read(faults, "t.yaml", text, size, &inv);

        CU_ASSERT_TRUE(has_fault(faults, v->place, v->words, v->warning));
        CU_ASSERT_EQUAL(err, v->warning ? 0 : -EINVAL);
        CU_ASSERT_EQUAL(inv != NULL, v->warning);
        CU_ASSERT_EQUAL(faults_errors(faults) == 0, v->warning);
        inventory_free(inv);
        faults_free(faults);
        free(text);
    }
}

static void
values_at_their_bounds_are_good(void)
{
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        size_t size;
        char *text = variant_text(&edges[i], &size);
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;

        CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", text, size, &inv), 0);
        CU_ASSERT_EQUAL(faults_warnings(faults), 0);
        faults_print(faults, stdout, 10);
        inventory_free(inv);
        faults_free(faults);
        free(text);
    }
}

static void
lists_have_their_greatest_length_and_not_one_more(void)
{
    for (unsigned count = 64; count <= 65; count++) {
        char line[1024] = "    risks: [r0", *text;
        for (unsigned i = 1; i < count; i++) {
            snprintf(line + strlen(line), sizeof line - strlen(line), ", r%u", i);
        }
        snprintf(line + strlen(line), sizeof line - strlen(line), "]");
        const struct variant v = {.line = 13, .text = line};
        size_t size;
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;

        text = variant_text(&v, &size);
        CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", text, size, &inv),
                        count == 64 ? 0 : -EINVAL);
        if (count == 64) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
            CU_ASSERT_EQUAL(inventory_link(inv, "l1")->risk_count, 64);
        } else {
            CU_ASSERT_TRUE(has_fault(faults, "13:323", "at most 64", false));
        }
        inventory_free(inv);
        faults_free(faults);
        free(text);
    }
}

static struct inventory *
good_inventory(const char *last_line)
{
    const struct variant v = {.line = 13, .text = last_line};
    size_t size;
    char *text = variant_text(&v, &size);
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", text, size, &inv), 0);
    faults_print(faults, stdout, 10);
    CU_ASSERT_EQUAL(faults_warnings(faults), 0);
    faults_free(faults);
    free(text);
    return inv;
}

static void
a_good_inventory_has_what_was_written_and_the_defaults(void)
{
    struct inventory *inv = good_inventory("    capacity: 2.5Gbit");
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    const struct inv_link *l = inventory_link(inv, "l1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    const struct inv_class *c = l->classes[0];

    CU_ASSERT_EQUAL(inv->interval.ns, 60 * NS_PER_S);
    CU_ASSERT_EQUAL(inv->site_count, 2);
    CU_ASSERT_STRING_EQUAL(inv->sites[0].key, "lon1");
    CU_ASSERT_PTR_EQUAL(inventory_probe(inv, "par1-p1")->site, &inv->sites[1]);
    CU_ASSERT_EQUAL(inventory_probe(inv, "par1-p1")->clock, INV_CLOCK_PTP);
    CU_ASSERT_EQUAL(inventory_probe(inv, "lon1-p1")->clock, INV_CLOCK_NTP);
    CU_ASSERT_PTR_NULL(inventory_probe(inv, "par1-p"));
    CU_ASSERT_PTR_NULL(inventory_probe(inv, ""));
    CU_ASSERT_EQUAL(c->dscp, 46);
    CU_ASSERT_EQUAL(c->period.ns, 100 * NS_PER_MS);
    CU_ASSERT_EQUAL(c->tmax.ns, 3 * NS_PER_S);
    CU_ASSERT_EQUAL(c->n, 10);
    CU_ASSERT_EQUAL(c->p, 5);
    CU_ASSERT_EQUAL(c->c_milli, 50000);
    CU_ASSERT_EQUAL(l->state, INV_ACTIVE);
    CU_ASSERT_EQUAL(l->flows, 1);
    CU_ASSERT_EQUAL(l->capacity_bps, 2500000000u);
    CU_ASSERT_EQUAL(l->ends[1].port, 862);
    CU_ASSERT_FALSE(l->probe_from_both);
    CU_ASSERT_EQUAL(inv->tenant_count, 1);
    CU_ASSERT_STRING_EQUAL(inv->tenants[0].labels.list[0].value, "C-1");
    inventory_free(inv);
}

static char *
canonical(const struct inventory *inv, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    CU_ASSERT_EQUAL(inventory_print(inv, to), 0);
    fclose(to);
    return text;
}

/* Parses 'text', prints it, parses that: equal text, equal generation. */
static void
check_round_trip(const char *text, size_t size)
{
    struct faults *faults = faults_new();
    struct inventory *one = NULL, *two = NULL;
    size_t one_size, two_size;

    int err = inventory_read(faults, "t.yaml", text, size, &one);
    if (err) {
        faults_print(faults, stdout, 10);
    }
    CU_ASSERT_EQUAL_FATAL(err, 0);
    char *first = canonical(one, &one_size);
    err = inventory_read(faults, "canonical.yaml", first, one_size, &two);
    if (err) {
        faults_print(faults, stdout, 10);
    }
    CU_ASSERT_EQUAL_FATAL(err, 0);
    char *second = canonical(two, &two_size);
    CU_ASSERT_STRING_EQUAL(first, second);
    CU_ASSERT_EQUAL(one->generation, two->generation);
    CU_ASSERT_TRUE(one->generation > 0);
    free(first);
    free(second);
    inventory_free(one);
    inventory_free(two);
    faults_free(faults);
}

static const char everything[] =
    "inventory: 1\n"
    "interval: 10s\n"
    "sites:\n"
    "  a: {label: 'say \"hi\" \\ # not a comment: {}', timezone: Europe/Paris}\n"
    "  '0': {label: \"null\"}\n"
    "  null:\n"
    "  true: {label: 'true', state: planned, labels: {x: y}}\n"
    "  s: {}\n"
    "  1e3: {label: \"  spaces  \"}\n"
    "probes:\n"
    "  p: {site: a, label: \"\\u00e9\\u4e2d\", clock: gnss}\n"
    "  q: {site: '0', address: 198.51.100.7}\n"
    "  r9: {site: s, address: '2001:db8::9', labels: {a: b}}\n"
    "classes:\n"
    "  c: {dscp: 45, period: 1500us, size: 9000, dt: 250ms, tmax: 100ms, n: 1000, p: 999,\n"
    "      loss_threshold: 33.333%, ifdv: true, label: C,\n"
    "      limits: [{metric: delay, direction: rt, limit: 18ms}, {metric: ifdv, direction: fwd, "
    "limit: 2.5us}]}\n"
    "  no: {}\n"
    "links:\n"
    "  z:\n"
    "    label: Z\n"
    "    state: planned\n"
    "    in_service: 2026-02-16T01:02:03.000000004+01:00\n"
    "    ends:\n"
    "      - {probe: q, address: 10.0.0.1, router: r, interface: ens3f0.101, port: 65535}\n"
    "      - {probe: p, address: 10.0.0.0}\n"
    "    classes: [no, c]\n"
    "    flows: 256\n"
    "    probe_from: both\n"
    "    capacity: 99999kbit\n"
    "    mtu: 9028\n"
    "    rt_floor: 4.6ms\n"
    "    risks: [yes, 1.5]\n"
    "    labels: {carrier: colt, circuit: COLT/LE-204811, x: '~'}\n"
    "  y: {state: retired, ends: [{probe: p, address: 10.0.0.0}, {probe: q, address: 10.0.0.1}], "
    "classes: [c]}\n"
    "  f:\n"
    "    ends: [{probe: r9, interface: e, vrf: v}, {protocol: twamp-light, address: 'fe80::2', "
    "port: 1,\n"
    "            source_port: 2, reflector: stateless, timestamp: ptp, use: evidence, router: r}]\n"
    "    classes: [no]\n"
    "    nat: true\n"
    "  g:\n"
    "    ends: [{probe: r9, address: 'fd00::1'}, {protocol: stamp, address: 'fd00::2'}]\n"
    "    classes: [no]\n"
    "    auth: {mode: tlv, key_file: g.key, next_key_file: g-next.key}\n"
    "tenants: {t: {labels: {A_b.c: d}}, 'u': {label: U, timezone: UTC}}\n"
    "routers: {r: {site: s, bmp: {from: [192.0.2.1, 'fd00::3']}, labels: {a: b}}, r2: {site: s, "
    "label: R}}\n"
    "alarms:\n"
    "  a1: {metric: flr, over: 3s, raise: 50%, clear: 10s, severity: critical, classes: [c]}\n"
    "  a2: {metric: rt_p99_99, over: 5m, raise: +20%, against: 7d, clear: 15m, severity: minor}\n"
    "  a3: {metric: hli, over: 5m, raise: 3, clear: 15m, severity: info, label: H, state: "
    "retired}\n"
    "  a4: {metric: silence, over: 15s, clear: 10s, severity: major}\n"
    "  a5: {metric: clock_error, over: 1m, raise: 1ms, clear: 5m, severity: minor}\n"
    "  a6: {metric: rt_floor, over: 10s, clear: 5m, severity: major, classes: [c]}\n"
    "  a7: {metric: budget, over: 1h, raise: 5%, clear: 1h, severity: major}\n"
    "  a8: {metric: rt_mean, over: 10s, raise: +33.333%, against: 1m, clear: 1s, severity: info}\n"
    "groups:\n"
    "  gr: {need: 2, members: [z, k.one, sv], labels: {a: b}}\n"
    "  gz: {need: 1, members: [f, z]}\n"
    "connectors:\n"
    "  k:\n"
    "    tenant: t\n"
    "    site: s\n"
    "    need: 1\n"
    "    labels: {a: b}\n"
    "    attachments:\n"
    "      one:\n"
    "        label: One\n"
    "        port: {router: r, interface: et-0/0/7.310, capacity: 1Gbit}\n"
    "        bgp: {vrf: v, peer: 169.254.1.1, asn: 4200000000, expect: [10.20.0.0/16, "
    "'2001:db8::/32', 0.0.0.0/0]}\n"
    "        test: {probe: r9, protocol: stamp, address: 172.16.0.2, class: no, source: "
    "172.16.0.1, "
    "interface: e,\n"
    "               auth: {key_file: k.key}, nat: true}\n"
    "      two: {port: {router: r2, interface: xe}, state: planned}\n"
    "      three: {test: {probe: r9, protocol: icmp, address: 'fd00::9', class: c, use: "
    "evidence}}\n"
    "  m: {tenant: t, site: s, attachments: {x: {port: {router: r2, interface: xf}}}}\n"
    "tunnels:\n"
    "  t1: {tenant: t, over: gz, encapsulation: vxlan, vni: 1, inner_mtu: 1500, ends: [{probe: p, "
    "address: 10.9.0.1},\n"
    "       {probe: q, address: 10.9.0.2}]}\n"
    "  t2: {tenant: u, over: z, encapsulation: gre, ends: [{probe: p, address: 'fd00::1'}, {probe: "
    "q, address: 'fd00::2'}]}\n"
    "  t3: {tenant: u, over: z, encapsulation: geneve, vni: 16777215, port: 1, ends: [{probe: p, "
    "address: 10.9.0.1},\n"
    "       {probe: q, address: 10.9.0.2}]}\n"
    "services:\n"
    "  sv: {tenant: t, ends: [k, m], over: [z], classes: [c, no], sla: gold, in_service: "
    "2026-02-01T00:00:00Z, out_of_service: 2026-02-01T01:00:00.000000001+01:00, labels: {o: '1'}}\n"
    "  sw: {tenant: t, ends: [k, m], over: [gz], classes: [no]}\n"
    "profiles:\n"
    "  metro: {label: M, objectives: [{class: c, metric: flr_raw, direction: bwd, limit: 1%}, "
    "{class: no, metric: rt_p50, limit: 9ms}]}\n"
    "  old: {state: retired, objectives: [{class: c, metric: duplicate_ratio, limit: 1%}]}\n"
    "slas:\n"
    "  all:\n"
    "    version: 1\n"
    "    valid_from: 2026-02-01\n"
    "    profiles: [metro]\n"
    "    objectives: [{class: c, metric: availability, limit: 99%}, {class: c, metric: "
    "reorder_ratio, direction: fwd, limit: 0.1%}]\n"
    "    suspect: include\n"
    "    credits: {flr_raw: {excess: [{above: 10%, credit: 1%}, {above: 250%, credit: 2.5%}]},\n"
    "      rt_p50: {value: [{above: 9ms, credit: 1%}]}, availability: {value: [{below: 99%, "
    "credit: 3%}], outage: [{above: 90m, credit: 4%}]}}\n"
    "  bare: {version: 1, valid_from: 2026-02-01, profiles: [metro], suspect: exclude}\n"
    "  gold:\n"
    "    version: 7\n"
    "    valid_from: 2024-02-29\n"
    "    covers: [tunnels, over, tail, bgp]\n"
    "    objectives:\n"
    "      - {class: c, metric: rt_p99, limit: 18ms}\n"
    "      - {class: c, metric: ifdv_p99_9, direction: fwd, limit: 2ms, min_samples: 3000}\n"
    "      - {class: no, metric: availability, direction: rt, limit: 99.95%}\n"
    "      - {class: c, metric: chli, limit: 3}\n"
    "    notice: 0s\n"
    "    claim_within: 30d\n"
    "    maintenance_allowance: 4h\n"
    "    undetermined: excluded\n"
    "    credits: {availability: [{below: 99.9%, credit: 10%}, {below: 99%, credit: 25%}], chli: "
    "[{above: 3, credit: 1%}], cap: 50%}\n"
    "hooks:\n"
    "  h1: {kind: exec, command: /bin/page, when: {severity: [critical, info], tenant: t}, view: "
    "tenant}\n"
    "  h2: {kind: alertmanager, url: 'http://a:9093', heartbeat: 60s, fields: {assignment_group: "
    "N}, when: {severity: [minor]}}\n"
    "  h3: {kind: pagerduty, auth_file: k, label: P}\n"
    "  h4: {kind: mail, url: 'smtps://mx:465', to: [b@example.net, a+b@example.net], from: "
    "n@example.net,\n"
    "       auth_file: m, ca_file: ca.pem, timeout: 1m, remind: 4h,\n"
    "       when: {severity: [minor], tenant: t, scope: [site, link], labels: {b: 'x \"y\"', a: "
    "c}}, "
    "view: tenant}\n"
    "  h5: {kind: alertmanager, url: 'http://a:9093', peers: ['http://c:9093', 'http://b:9093'], "
    "timeout: 15s, when: {labels: {a: c}}}\n"
    "  h6: {kind: webhook, url: 'https://s/x', template: slack.json, timeout: 1s, when: {scope: "
    "[service]}}\n"
    "  h7: {kind: webhook, url: 'https://s/y', template: j.json, auth_file: j, secret_file: k}\n";

/* What the printer forgot would be forgotten on both ways: so there is a text to
 * compare with.  When it changes, every inventory has another generation. */
static void
check_fixture(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    size_t size, wanted_size;
    char *wanted = NULL;
    FILE *from = fopen(FIXTURES_FOLDER "/inventory-canonical.yaml", "r");
    FILE *to = open_memstream(&wanted, &wanted_size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    for (int c = fgetc(from); c != EOF; c = fgetc(from)) {
        fputc(c, to);
    }
    fclose(from);
    fclose(to);
    CU_ASSERT_EQUAL(inventory_read(faults, "t", everything, sizeof everything - 1, &inv), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    char *text = canonical(inv, &size);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    free(text);
    free(wanted);
    inventory_free(inv);
    faults_free(faults);
}

static void
the_canonical_form_parses_to_itself(void)
{
    check_round_trip(everything, sizeof everything - 1);
    check_fixture();
    check_round_trip("inventory: 1\n", 13);
}

static void
the_order_of_lines_does_not_change_the_generation(void)
{
    static const char one[] = "inventory: 1\nsites: {a: {}, b: {}}\ntenants: {t: {}}\n";
    static const char two[] = "tenants: {t: {}}\n# moved\nsites:\n  b: {}\n  a: {}\ninventory: 1\n";
    static const char other[] = "inventory: 1\nsites: {a: {}, c: {}}\ntenants: {t: {}}\n";
    struct faults *faults = faults_new();
    struct inventory *a, *b, *c;

    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "a", one, sizeof one - 1, &a), 0);
    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "b", two, sizeof two - 1, &b), 0);
    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "c", other, sizeof other - 1, &c), 0);
    CU_ASSERT_EQUAL(a->generation, b->generation);
    CU_ASSERT_NOT_EQUAL(a->generation, c->generation);
    inventory_free(a);
    inventory_free(b);
    inventory_free(c);
    faults_free(faults);
}

struct seen {
    unsigned count;
    struct session_key keys[1024];
    unsigned stop_at;
};

static int
see(const struct inv_link *link, const struct inv_class *class_, unsigned end,
    const struct session_key *key, void *aux)
{
    struct seen *s = aux;

    CU_ASSERT_STRING_EQUAL(link->key, key->object);
    CU_ASSERT_STRING_EQUAL(class_->key, key->class_name);
    CU_ASSERT_EQUAL(end, key->observer_end);
    s->keys[s->count++] = *key;
    return s->count == s->stop_at ? 7 : 0;
}

static void
sessions_come_in_a_stable_order_from_the_ends_that_send(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    static struct seen s;

    CU_ASSERT_EQUAL_FATAL(inventory_read(faults, "t", everything, sizeof everything - 1, &inv), 0);
    CU_ASSERT_EQUAL(inventory_sessions(inv, "q", see, &s), 0);
    CU_ASSERT_EQUAL(s.count, 512);
    CU_ASSERT_STRING_EQUAL(s.keys[0].class_name, "no");
    CU_ASSERT_EQUAL(s.keys[255].flow, 255);
    CU_ASSERT_STRING_EQUAL(s.keys[256].class_name, "c");
    CU_ASSERT_STRING_EQUAL(s.keys[0].observer, "q");
    CU_ASSERT_STRING_EQUAL(s.keys[0].far, "p");
    CU_ASSERT_STRING_EQUAL(s.keys[0].protocol, "stamp");
    CU_ASSERT_EQUAL(s.keys[0].family, 4);
    CU_ASSERT_EQUAL(s.keys[256].limits[1].direction, DIR_FWD);

    /* From the second end the link's fwd is the session's bwd. */
    memset(&s, 0, sizeof s);
    CU_ASSERT_EQUAL(inventory_sessions(inv, "p", see, &s), 0);
    CU_ASSERT_EQUAL(s.count, 512);
    CU_ASSERT_EQUAL(s.keys[256].observer_end, 1);
    CU_ASSERT_EQUAL(s.keys[256].limits[0].direction, DIR_RT);
    CU_ASSERT_EQUAL(s.keys[256].limits[1].direction, DIR_BWD);

    memset(&s, 0, sizeof s);
    s.stop_at = 3;
    CU_ASSERT_EQUAL(inventory_sessions(inv, "p", see, &s), 7);
    CU_ASSERT_EQUAL(s.count, 3);
    memset(&s, 0, sizeof s);
    CU_ASSERT_EQUAL(inventory_sessions(inv, "nobody", see, &s), 0);
    CU_ASSERT_EQUAL(s.count, 0);
    inventory_free(inv);
    faults_free(faults);
}

static void
the_second_end_sends_only_when_asked(void)
{
    struct inventory *inv = good_inventory("    flows: 3");
    static struct seen s;

    memset(&s, 0, sizeof s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    inventory_sessions(inv, "par1-p1", see, &s);
    CU_ASSERT_EQUAL(s.count, 3);
    memset(&s, 0, sizeof s);
    inventory_sessions(inv, "lon1-p1", see, &s);
    CU_ASSERT_EQUAL(s.count, 0);
    inventory_free(inv);
}

/* A folder of the test's own, with files by name; NULL ends the list. */
struct folder {
    char path[64];
    const char *const *files; /* name, text, name, text, ..., NULL */
};

static void
folder_make(struct folder *f)
{
    snprintf(f->path, sizeof f->path, "/tmp/plumbline-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->path));
    for (const char *const *at = f->files; *at; at += 2) {
        char name[160];
        snprintf(name, sizeof name, "%s/%s", f->path, at[0]);
        FILE *to = fopen(name, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(to);
        fputs(at[1], to);
        fclose(to);
    }
}

static void
folder_remove(const struct folder *f)
{
    for (const char *const *at = f->files; *at; at += 2) {
        char name[160];
        snprintf(name, sizeof name, "%s/%s", f->path, at[0]);
        unlink(name);
    }
    CU_ASSERT_EQUAL(rmdir(f->path), 0);
}

static void
a_folder_is_merged_in_name_order(void)
{
    static const char *const files[] = {"10-sites.yaml",
                                        "inventory: 1\nsites: {a: {}}\n",
                                        "20-more.yaml",
                                        "inventory: 1\nsites: {b: {}}\nprobes: {p: {site: a}}\n",
                                        "30-empty.yaml",
                                        "inventory: 1\nsites:\nlinks: {}\n",
                                        "notes.txt",
                                        "not: [yaml",
                                        ".hidden.yaml",
                                        "not: [yaml",
                                        NULL};
    struct folder f = {.files = files};
    struct inventory *inv = NULL;
    size_t errors, warnings;

    folder_make(&f);
    CU_ASSERT_EQUAL(inventory_load(f.path, stdout, 10, &errors, &warnings, &inv), 0);
    CU_ASSERT_EQUAL(errors, 0);
    CU_ASSERT_EQUAL(warnings, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    CU_ASSERT_EQUAL(inv->site_count, 2);
    CU_ASSERT_EQUAL(inv->probe_count, 1);
    inventory_free(inv);
    folder_remove(&f);
}

static void
a_key_in_two_files_is_told_with_both_places(void)
{
    static const char *const files[] = {
        "a.yaml", "inventory: 1\ninterval: 60s\nsites:\n  par1: {}\n",
        "b.yaml", "interval: 30s\nsites:\n  lon1: {}\n  par1: {}\nalarms: {x: 1}\n",
        "c.yaml", "alarms: {x: 2}\n",
        NULL};
    struct folder f = {.files = files};
    struct inventory *inv = NULL;
    char first[128];

    folder_make(&f);
    struct faults *faults = faults_new();
    CU_ASSERT_EQUAL(inventory_load_into(faults, f.path, &inv), -EINVAL);
    CU_ASSERT_PTR_NULL(inv);
    snprintf(first, sizeof first, "'interval' is here twice; first at %s/a.yaml:2:1", f.path);
    CU_ASSERT_TRUE(has_fault(faults, "1:1", first, false));
    snprintf(first, sizeof first, "'par1' is here twice; first at %s/a.yaml:4:3", f.path);
    CU_ASSERT_TRUE(has_fault(faults, "4:3", first, false));
    snprintf(first, sizeof first, "'x' is here twice; first at %s/b.yaml:5:10", f.path);
    CU_ASSERT_TRUE(has_fault(faults, "1:10", first, false));
    CU_ASSERT_TRUE(has_fault(faults, "5:13", "expected a map, got '1'", false));
    CU_ASSERT_EQUAL(faults_errors(faults), 4);
    faults_free(faults);
    folder_remove(&f);
}

static void
errors_of_all_files_are_told_at_once_and_in_order(void)
{
    static const char *const files[] = {"a.yaml", "inventory: 1\nsites: {par1: {x: 1, y: 2}}\n",
                                        "b.yaml", "probes: {p: {site: par2}}\n",
                                        "c.yaml", "classes: {c: {size: 1}}\n",
                                        NULL};
    struct folder f = {.files = files};
    struct inventory *inv = NULL;
    char *text = NULL;
    size_t size, errors = 0, warnings = 0;
    FILE *to = open_memstream(&text, &size);

    folder_make(&f);
    CU_ASSERT_EQUAL(inventory_load(f.path, to, 3, &errors, &warnings, &inv), -EINVAL);
    fclose(to);
    CU_ASSERT_EQUAL(errors, 4);
    const char *a = strstr(text, "a.yaml:2:16: error: unknown key 'x'");
    const char *b = strstr(text, "a.yaml:2:22: error: unknown key 'y'");
    const char *c =
        strstr(text, "b.yaml:1:20: error: there is no site 'par2'; did you mean 'par1'?\n"
                     "     1 | probes: {p: {site: par2}}\n"
                     "       |                    ^\n");
    CU_ASSERT_TRUE(a && b && c && a < b && b < c);
    CU_ASSERT_PTR_NULL(strstr(text, "c.yaml"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "... and 1 more\n"));
    free(text);
    folder_remove(&f);
}

static void
what_cannot_be_read_is_told(void)
{
    static const char *const none[] = {NULL};
    struct folder f = {.files = none};
    struct inventory *inv = NULL;
    size_t errors, warnings;
    FILE *nowhere = fopen("/dev/null", "w");

    CU_ASSERT_EQUAL(inventory_load("/nonexistent/x.yaml", nowhere, 10, &errors, &warnings, &inv),
                    -ENOENT);
    CU_ASSERT_EQUAL(errors, 1);
    folder_make(&f);
    CU_ASSERT_EQUAL(inventory_load(f.path, nowhere, 10, &errors, &warnings, &inv), -EINVAL);
    CU_ASSERT_EQUAL(errors, 1);
    folder_remove(&f);
    fclose(nowhere);
    CU_ASSERT_PTR_NULL(inv);
}

static void
two_links_over_the_same_addresses_are_refused(void)
{
    static const char text[] = "inventory: 1\nsites: {s: {}}\nprobes: {p: {site: s}, q: {site: "
                               "s}}\nclasses: {c: {}}\nlinks:\n"
                               "  a: {ends: [{probe: p, address: 10.0.0.1}, {probe: q, address: "
                               "10.0.0.2}], classes: [c]}\n"
                               "  b: {ends: [{probe: q, address: 10.0.0.2}, {probe: p, address: "
                               "10.0.0.1}], classes: [c]}\n"
                               "  c: {ends: [{probe: q, address: 10.0.0.2}, {probe: p, address: "
                               "10.0.0.3}], classes: [c]}\n";
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", text, sizeof text - 1, &inv), -EINVAL);
    CU_ASSERT_EQUAL(faults_errors(faults), 1);
    CU_ASSERT_TRUE(has_fault(faults, "7:3", "same two addresses as 'a'", false));
    faults_free(faults);
}

/* Every truncation of a good file is read or refused, never more. */
static void
truncations_are_read_or_refused(void)
{
    for (size_t size = 0; size < sizeof everything; size++) {
        char *bytes = malloc(size ? size : 1);
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;

        memcpy(bytes, everything, size);
        int err = inventory_read(faults, "t.yaml", bytes, size, &inv);
        CU_ASSERT_EQUAL(err == 0, inv != NULL);
        CU_ASSERT_EQUAL(err == 0, faults_errors(faults) == 0);
        inventory_free(inv);
        faults_free(faults);
        free(bytes);
    }
}

/* Random changes of a good file: what is still accepted has a canonical form. */
static void
what_is_accepted_has_a_canonical_form(void)
{
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    static const char alphabet[] = "abz019.-_:,{}[]\"'#&*! \n\\%~|>?\xc3\xa9";
    unsigned accepted = 0;

    printf("(seed %u) ", seed);
    srandom(seed);
    for (unsigned round = 0; round < 3000; round++) {
        char text[sizeof everything];
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;

        memcpy(text, everything, sizeof text);
        for (unsigned n = (unsigned)random() % 2 + 1; n; n--) {
            text[(size_t)random() % (sizeof text - 1)] =
                alphabet[(size_t)random() % (sizeof alphabet - 1)];
        }
        if (inventory_read(faults, "t.yaml", text, sizeof text - 1, &inv) == 0) {
            accepted++;
            check_round_trip(text, sizeof text - 1);
        }
        inventory_free(inv);
        faults_free(faults);
    }
    printf("(%u accepted) ", accepted);
    CU_ASSERT_TRUE(accepted > 30); /* Mostly about 80. */
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"each_broken_variant_is_told_with_place_and_words",
         each_broken_variant_is_told_with_place_and_words},
        {"values_at_their_bounds_are_good", values_at_their_bounds_are_good},
        {"lists_have_their_greatest_length_and_not_one_more",
         lists_have_their_greatest_length_and_not_one_more},
        {"a_good_inventory_has_what_was_written_and_the_defaults",
         a_good_inventory_has_what_was_written_and_the_defaults},
        {"the_canonical_form_parses_to_itself", the_canonical_form_parses_to_itself},
        {"the_order_of_lines_does_not_change_the_generation",
         the_order_of_lines_does_not_change_the_generation},
        {"sessions_come_in_a_stable_order_from_the_ends_that_send",
         sessions_come_in_a_stable_order_from_the_ends_that_send},
        {"the_second_end_sends_only_when_asked", the_second_end_sends_only_when_asked},
        {"a_folder_is_merged_in_name_order", a_folder_is_merged_in_name_order},
        {"a_key_in_two_files_is_told_with_both_places",
         a_key_in_two_files_is_told_with_both_places},
        {"errors_of_all_files_are_told_at_once_and_in_order",
         errors_of_all_files_are_told_at_once_and_in_order},
        {"what_cannot_be_read_is_told", what_cannot_be_read_is_told},
        {"two_links_over_the_same_addresses_are_refused",
         two_links_over_the_same_addresses_are_refused},
        {"truncations_are_read_or_refused", truncations_are_read_or_refused},
        {"what_is_accepted_has_a_canonical_form", what_is_accepted_has_a_canonical_form},
        CU_TEST_INFO_NULL};
    return run_suite("inventory", tests);
}
