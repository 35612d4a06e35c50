/* test_inventory_broken.c - the example of a whole inventory, and what is said of
 * it when one thing in it is wrong: the place, and the words that help. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "fault.h"
#include "folder.h"
#include "inventory.h"
#include "inventory_sold.h"
#include "yaml.h"

/* tests/fixtures/inventory-example.yaml, read once. */
static char *example;
static size_t example_size;

struct variant {
    const char *find, *replace;               /* In the example; the first that is found. */
    const char *second_find, *second_replace; /* NULL: one change is enough. */
    const char *place;                        /* "line:column" */
    const char *words;                        /* In the message there. */
    bool warning;                             /* Else an error, and nothing is loaded. */
};

static const struct variant variants[] = {
    {"inventory: 1 ", "inventory: 2 ", NULL, NULL, "3:12",
     "expected 1, the format that this release reads, got '2'", false},
    {"inventory: 1 ", "inventroy: 1 ", NULL, NULL, "3:1",
     "unknown key 'inventroy'; did you mean 'inventory'?", false},
    {"routers:  ", "rooters:  ", NULL, NULL, "13:1",
     "unknown key 'rooters'; did you mean 'routers'?", false},
    {"interval: 60s", "interval: 61s", NULL, NULL, "4:11", "does not divide a quarter of an hour",
     false},
    {"  par1-lon1-b:\n    state", "\tpar1-lon1-b:\n    state", NULL, NULL, "41:1",
     "a tab indents this line", false},
    {"label: ACME SA",
     "label: ACME\xff"
     " SA",
     NULL, NULL, "70:22", "byte 0xff is not UTF-8", false},
    {"carrier: colt,", "carrier: &c colt,", NULL, NULL, "40:24", "anchors (&name) are not read",
     false},
    {"carrier: eunetworks", "carrier: *c", NULL, NULL, "50:24", "aliases (*name) are not read",
     false},
    {"[duct-dieppe, ld5-mmr2]", "!!set [duct-dieppe, ld5-mmr2]", NULL, NULL, "49:12",
     "tags (!name) are not read", false},
    {"  noc:  {", "  <<: {", NULL, NULL, "115:3", "merge keys (<<) are not read", false},
    {"hooks:\n", "hooks:\n--- \n", NULL, NULL, "115:1", "a second document", false},
    {"  par1-lon1-b:\n", "  par1-lon1-a:\n", NULL, NULL, "41:3",
     "'par1-lon1-a' is here twice; first at t.yaml:28:3", false},
    {"  secondary:\n", "  primary:\n", NULL, NULL, "90:7", "'primary' is here twice", false},
    {"  acme: { label", "  Acme: { label", NULL, NULL, "70:3", "'Acme' is not a key", false},
    {"par1-lon1: { need", "par1-lon1-a: { need", NULL, NULL, "68:3",
     "the key of group 'par1-lon1-a' is that of link 'par1-lon1-a' too", false},
    {"  acme-vpc: {", "  acme-hq.main: {", NULL, NULL, "94:3", "that of", false},
    {"ams1-p1: { site: ams1,", "ams1-p1: { site: ams2,", NULL, NULL, "12:20",
     "there is no site 'ams2'; did you mean 'ams1'?", false},
    {"clock: ntp }", "clock: gps }", NULL, NULL, "12:56",
     "expected one of ntp, ptp, gnss, got 'gps'", false},
    {"address: 203.0.113.1, ", "address: 203.0.113.256, ", NULL, NULL, "12:35",
     "expected an IP address", false},
    {"lon1-pe2: { site: lon1, bmp: { from: [198.51.100.12]",
     "lon1-pe2: { site: lon1, bmp: { from: [198.51.100.11]", NULL, NULL, "16:32",
     "a BMP address of router 'lon1-pe2' is that of router 'lon1-pe1' too", false},
    {"from: [203.0.113.11]", "form: [203.0.113.11]", NULL, NULL, "17:34",
     "unknown key 'form'; did you mean 'from'?", false},
    {"from: [203.0.113.11]", "from: 203.0.113.11", NULL, NULL, "17:40",
     "expected a list of addresses", false},
    {"dscp: ef, ", "dscp: e f, ", NULL, NULL, "19:17", "a DSCP: ef, va, cs0", false},
    {"period: 100ms,", "period: 100,", NULL, NULL, "19:31", "a time with its unit", false},
    {"period: 100ms,", "period: 100msec,", NULL, NULL, "19:31", "a time with its unit", false},
    {"size: 512,", "size: 512B,", NULL, NULL, "20:44", "expected a whole number", false},
    {"dt: 2s }", "dt: 7s }", NULL, NULL, "20:53", "dt 7s does not divide the interval 1m", false},
    {"metric: flr,    over: 3s", "metric: loss,    over: 3s", NULL, NULL, "23:20",
     "'loss' is flr here", false},
    {"raise: 50%", "raise: 50ms", NULL, NULL, "23:45",
     "expected a percentage with at most three decimals, such as 99.95%, as flr is counted", false},
    {"raise: +20%, against: 7d", "raise: +20%", NULL, NULL, "25:45", "a difference needs 'against'",
     false},
    {"raise: +20%, against", "raise: 20ms, against", NULL, NULL, "25:51",
     "'against' compares with the past", false},
    {"severity: minor", "severity: low", NULL, NULL, "25:86",
     "expected one of critical, major, minor, warning, info, got 'low'", false},
    {"over: 3s, ", "over: 3 s, ", NULL, NULL, "23:34", "a time with its unit", false},
    {"    state: active               # planned", "    state: on               # planned", NULL,
     NULL, "29:12", "expected one of planned, active, retired, got 'on'", false},
    {"state: planned  ", "state: retired  \n    x: y ", NULL, NULL, "60:5", "unknown key 'x'",
     false},
    {"router: par1-pe1, interface: ens3f0.103", "router: par1-pe9, interface: ens3f0.103", NULL,
     NULL, "54:35", "there is no router 'par1-pe9'; did you mean 'par1-pe1'?", false},
    {"{ probe: ams1-p1, router: ams1-pe1, vrf: core, address: 10.1.3.1 }",
     "{ router: ams1-pe1, address: 10.1.3.1 }", NULL, NULL, "55:9",
     "key 'probe' is missing; of a foreign end: 'protocol'", false},
    {"{ probe: par1-p1, router: par1-pe1, interface: ens3f0.103, address: 10.1.3.0 }",
     "{ protocol: icmp, address: 10.1.3.0 }", NULL, NULL, "54:9",
     "only the second end may be foreign", false},
    {"vrf: core, address: 10.1.3.1 }", "vrf: core, address: \"2001:db8::1\" }", NULL, NULL, "55:65",
     "one end has IPv4, the other IPv6", false},
    {"vrf: core, address: 10.1.3.1 }", "vrf: core, protocol: icmp, address: 10.1.3.1 }", NULL, NULL,
     "55:56", "'protocol' is of a foreign end", false},
    {"    flows: 4  ", "    flows: 4x  ", NULL, NULL, "34:12", "expected a whole number, got '4x'",
     false},
    {"    flows: 4  ", "    flow: 4  ", NULL, NULL, "34:5",
     "unknown key 'flow'; did you mean 'flows'?", false},
    {"probe_from: both", "probe_from: all", NULL, NULL, "35:17",
     "expected one of first, both, got 'all'", false},
    {"    capacity: 10Gbit\n  lon1-ams1", "    capacity: 10GB\n  lon1-ams1", NULL, NULL, "57:15",
     "a rate with its unit", false},
    {"    mtu: 9000                   #", "    mtu: 500                   #", NULL, NULL, "37:10",
     "do not fit in mtu 500", false},
    {"rt_floor: 4.6ms", "rt_floor: 4.6", NULL, NULL, "38:15", "a time with its unit", false},
    {"in_service: 2026-02-16T00:00:00Z", "in_service: 2026-02-30T00:00:00Z", NULL, NULL, "60:17",
     "an instant as in RFC 3339", false},
    {"sla: premium, in_service: 2026-02-01T00:00:00Z",
     "sla: premium, in_service: 2026-02-01T00:00:00Z, out_of_service: 2026-02-01T00:00:00Z", NULL,
     NULL, "98:84", "would end before it begins: expected a time after in_service", false},
    {"address: 10.1.2.0 }", "address: 10.1.1.0 }", "address: 10.1.2.1 }", "address: 10.1.1.1 }",
     "41:3", "'par1-lon1-b' has the same two addresses", false},
    {"interface: ens3f1.102, address: 10.1.2.1", "interface: ens3f1.102.longer, address: 10.1.2.1",
     NULL, NULL, "45:56", "is not the name of an interface", false},
    {"risks: [ld5-mmr2]\ngroups", "auth: {key_file: a.key, next_key_file: a.key}\ngroups", NULL,
     NULL, "66:44", "the next key is the current one", false},
    {"risks: [ld5-mmr2]\ngroups", "auth: {key_file: ../a.key}\ngroups", NULL, NULL, "66:22",
     "the name of a file without a folder", false},
    {"risks: [ld5-mmr2]\ngroups", "auth: {mode: packet}\ngroups", NULL, NULL, "66:11",
     "key 'key_file' is missing", false},
    {"risks: [ld5-mmr2]\ngroups", "nat: true\ngroups", NULL, NULL, "66:10",
     "behind NAT the far end knows a packet by its key alone; give the link 'auth'", false},
    {"    probe_from: both\n", "    probe_from: both\n    nat: true\n", NULL, NULL, "35:17",
     "the first end is behind NAT", false},
    {"    risks: [duct-dieppe, ld5-mmr2] ", "    nat: true\n    auth: {key_file: k} ",
     "risks: [duct-calais]\n", "auth: {key_file: j, next_key_file: k}\n    nat: true\n", "51:11",
     "'par1-lon1-b' has a key of 'par1-lon1-a', and both come to probe 'lon1-p1' through NAT",
     false},
    {"need: 1, members: [par1-lon1-a, par1-lon1-b]", "need: 3, members: [par1-lon1-a, par1-lon1-b]",
     NULL, NULL, "68:22", "3 are needed, but there are 2 members", false},
    {"need: 1, members: [par1-lon1-a, par1-lon1-b]", "need: 0, members: [par1-lon1-a, par1-lon1-b]",
     NULL, NULL, "68:22", "expected 1 to 64", false},
    {"members: [par1-lon1-a, par1-lon1-b]", "members: [par1-lon1-a, par1-lon1-c]", NULL, NULL,
     "68:48", "there is no link, service or attachment 'par1-lon1-c'; did you mean 'par1-lon1-a'?",
     false},
    {"members: [par1-lon1-a, par1-lon1-b]", "members: [par1-lon1-a, par1-lon1-a]", NULL, NULL,
     "68:48", "'par1-lon1-a' is in this list twice", false},
    {"members: [par1-lon1-a, par1-lon1-b]", "members: [par1-lon1-a, par1-lon1-b, acme-hq-azure]",
     NULL, NULL, "97:69", "has service 'acme-hq-azure' in it", false},
    {"  par1-lon1-b:\n    state: active", "  par1-lon1-b:\n    state: retired", NULL, NULL, "68:48",
     "'par1-lon1-b' is retired", false},
    {"acme: { label: ACME SA, timezone: Europe/Paris,",
     "acme: { label: ACME SA, timezone: Europe/Pari,", NULL, NULL, "70:37",
     "does not know the time zone 'Europe/Pari'", true},
    {"  acme-hq:\n    tenant: acme", "  acme-hq:\n    tenant: acne", NULL, NULL, "74:13",
     "there is no tenant 'acne'; did you mean 'acme'?", false},
    {"    need: 1                     # of", "    need: 3                     # of", NULL, NULL,
     "84:11", "3 are needed, but there are 2 attachments", false},
    {"    need: 1                     # of the two attachments\n", "", NULL, NULL, "81:3",
     "key 'need' is missing: how many of the 2 attachments", false},
    {"interface: et-0/0/7.310, capacity: 1Gbit", "interface: et-0/0/7.310, capacity: 1G", NULL,
     NULL, "78:70", "a rate with its unit", false},
    {"port: { router: lon1-pe2, interface: xe-0/1/0.210",
     "port: { router: lon1-pe1, interface: xe-0/1/0.210", NULL, NULL, "91:46",
     "the port of attachment 'acme-azure.secondary' is that of attachment 'acme-azure.primary' too",
     false},
    {"peer: 169.254.21.6, asn: 12076", "peer: 169.254.21.6", NULL, NULL, "92:14",
     "key 'asn' is missing", false},
    {"peer: 169.254.21.6, asn: 12076", "peer: 169.254.21.6, asn: 4294967295", NULL, NULL, "92:52",
     "expected 1 to 4294967294", false},
    {"169.254.21.6, asn: 12076, expect: [10.20.0.0/16]",
     "169.254.21.6, asn: 12076, expect: [10.20.0.1/16]", NULL, NULL, "92:68",
     "a prefix with no bit behind its length", false},
    {"protocol: twamp-light, address", "protocol: twamp, address", NULL, NULL, "79:43",
     "expected one of stamp, twamp-light, icmp, got 'twamp'", false},
    {"class: tail, reflector: stateless", "class: tali, reflector: stateless", NULL, NULL, "80:35",
     "there is no class 'tali'; did you mean 'tail'?", false},
    {"vrf: acme, class: tail, use: evidence", "vrf: acme, class: tail, port: 862, use: evidence",
     NULL, NULL, "89:96", "'port' is of stamp and twamp-light; an ICMP echo has none", false},
    {"timestamp: ntp }", "timestamp: gps }", NULL, NULL, "80:74",
     "expected one of ntp, ptp, got 'gps'", false},
    {"test: { probe: lon1-p1, protocol", "test: { probe: par1-p1, protocol", NULL, NULL, "89:24",
     "connector 'acme-azure' at 'lon1'", true},
    {"vni: 5001,", "vni: 16777216,", NULL, NULL, "94:73", "expected 1 to 16777215", false},
    {"vni: 5001, ", "", NULL, NULL, "94:3", "key 'vni' is missing", false},
    {"encapsulation: vxlan, vni: 5001", "encapsulation: gre, vni: 5001", NULL, NULL, "94:77",
     "'port' is of vxlan and geneve", false},
    {"inner_mtu: 1500", "inner_mtu: 8951", NULL, NULL, "94:102",
     "packets of 8951 octets and 50 of outer headers do not fit in mtu 9000", false},
    {"over: par1-lon1, enc", "over: par1-lon2, enc", NULL, NULL, "94:35",
     "there is no link or group 'par1-lon2'; did you mean 'par1-lon1'?", false},
    {"ends: [acme-hq, acme-azure]", "ends: [acme-hq, acme-azur]", NULL, NULL, "97:50",
     "there is no connector 'acme-azur'; did you mean 'acme-azure'?", false},
    {"ends: [acme-hq, acme-azure]", "ends: [acme-hq]", NULL, NULL, "97:40",
     "expected two connectors, got 1", false},
    {"classes: [gold, be],\n", "classes: [gold, be, tail],\n", NULL, NULL, "97:91",
     "class 'tail' is not measured on link 'par1-lon1-a'", false},
    {"sla: premium,", "sla: premum,", NULL, NULL, "98:25",
     "there is no SLA 'premum'; did you mean 'premium'?", false},
    {"    version: 2   ", "    versoin: 2   ", NULL, NULL, "102:5",
     "unknown key 'versoin'; did you mean 'version'?", false},
    {"valid_from: 2026-02-01", "valid_from: 01.02.2026", NULL, NULL, "103:17",
     "expected a day, such as 2026-02-01", false},
    {"valid_from: 2026-02-01", "valid_from: 2026-02-29", NULL, NULL, "103:17",
     "expected a day, such as 2026-02-01", false},
    {"covers: [over, bgp]", "covers: [over, bpg]", NULL, NULL, "104:20",
     "expected one of over, bgp, tail, tunnels, got 'bpg'", false},
    {"metric: fdr_p99_9,", "metric: jitter,", NULL, NULL, "107:32",
     "'jitter' has many meanings; say which: fdr_p99_9", false},
    {"metric: fdr_p99_9,", "metric: rfc3550,", NULL, NULL, "107:32", "cannot be merged over time",
     false},
    {"metric: rt_p99, ", "metric: rt_p100, ", NULL, NULL, "106:32",
     "expected a metric: flr, availability", false},
    {"metric: rt_p99,    limit: 18ms", "metric: rt_p99,    limit: 18%", NULL, NULL, "106:50",
     "expected a time with its unit (ns us ms s m h d), such as 18ms, as rt_p99 is counted", false},
    {"metric: rt_p99,    limit", "metric: rt_p99, direction: fwd,    limit", NULL, NULL, "106:51",
     "rt_p99 is of the round trip", false},
    {"limit: 0.01%", "limit: 0.0001%", NULL, NULL, "108:67", "as flr is counted, got '0.0001%'",
     false},
    {"limit: 99.99% }\n", "limit: 100.1% }\n", NULL, NULL, "110:53",
     "as availability is counted, got '100.1%'", false},
    {"{ class: be,   metric: flr,", "{ class: gold,   metric: flr,", NULL, NULL, "109:9",
     "have an objective already", false},
    {"{ class: be,   metric: flr,", "{ class: tail,   metric: flr,", NULL, NULL, "98:25",
     "promises something on class 'tail', which nothing that it covers measures", false},
    {"{ class: be,   metric: flr,       direction: both, limit: 0.1% }",
     "{ class: gold,   metric: ifdv_p99,       direction: both, limit: 2ms }", NULL, NULL, "109:34",
     "needs 'ifdv: true' in class 'gold'", false},
    {"covers: [over, bgp]", "covers: [over, bgp, tail]", "{ class: be,   metric: flr, ",
     "{ class: tail,   metric: flr, ", "109:34",
     "flr cannot be measured each way on 'acme-hq.main' (service 'acme-hq-azure'): its far end is "
     "stateless, which gives the round trip only; flr with 'direction: rt' could be",
     false},
    {"members: [par1-lon1-a, par1-lon1-b]", "members: [par1-lon1-a, par1-ams1]",
     "metric: fdr_p99_9,", "metric: fd_p99_9,", "107:32",
     "the clock of probe 'ams1-p1' is ntp, which does not carry one-way delay", true},
    {"{ below: 99.9%, credit: 25% }", "{ below: 99.995%, credit: 25% }", NULL, NULL, "113:63",
     "tiers go from the mildest to the worst", false},
    {"{ below: 99.9%, credit: 25% }", "{ below: 99.9%, credit: 5% }", NULL, NULL, "113:63",
     "gives no more credit", false},
    {"{ below: 99.9%, credit: 25% }", "{ above: 99.9%, credit: 25% }", NULL, NULL, "113:65",
     "availability is missed when it is below its limit", false},
    {"credits: { availability:", "credits: { rt_p95:", NULL, NULL, "113:16",
     "no objective of this SLA is on 'rt_p95'", false},
    {"credits: { availability: [{ below: 99.99%", "credits: { availability: [{ below: 99.995%",
     NULL, NULL, "113:14", "gives credit while every objective on it is met", true},
    {"credits: { availability: [{ below: 99.99%, credit: 10% }, { below: 99.9%, credit: 25% }]",
     "credits: { availability: { outage: [{ above: 5, credit: 10% }] }", NULL, NULL, "113:50",
     "expected how long one outage is, 0s to 31d with its unit, such as 5m, got '5'", false},
    {"credits: { availability: [{ below: 99.99%, credit: 10% }, { below: 99.9%, credit: 25% }]",
     "credits: { rt_p99: { excess: [{ above: 10%, credit: 10% }, { above: 10%, credit: 20% }] }",
     NULL, NULL, "113:64", "this one is not worse than the one before", false},
    {"slas:\n  premium:",
     "profiles: {p: {objectives: [{class: gold, metric: rt_p99, limit: 1ms}]}}\nslas:\n  premium:",
     "    objectives:\n", "    profiles: [p]\n    objectives:\n", "108:9",
     "this class, metric and direction have an objective already (t.yaml:100:29)", false},
    {"slas:\n  premium:",
     "profiles: {p: {objectives: [{class: gold, metric: hli, limit: 1}]}}\nslas:\n  premium:",
     "    objectives:\n", "    profiles: [q]\n    objectives:\n", "106:16",
     "there is no profile 'q'; did you mean 'p'?", false},
    {"slas:\n  premium:",
     "profiles: {p: {objectives: [{class: tail, metric: flr, limit: 1%}]}}\nslas:\n  premium:",
     "    objectives:\n", "    profiles: [p]\n    objectives:\n", "98:25",
     "SLA 'premium' promises something on class 'tail', which nothing that it covers measures",
     false},
    {"slas:\n  premium:",
     "profiles: {p: {objectives: [{class: be, metric: fd_p99, limit: 1us}]}}\nslas:\n  premium:",
     "    objectives:\n", "    profiles: [p]\n    objectives:\n", "100:49",
     "fd_p99 of 1us on 'par1-lon1-a' (service 'acme-hq-azure'): the clock of probe 'par1-p1' is "
     "ptp",
     true},
    {"metric: availability, limit: 99.99% }", "metric: availability, limit: 99.999% }", "dt: 1s }",
     "dt: 60s, n: 1, tmax: 3s }", "110:32", "the limit allows less than one of them", true},
    {"    notice: 7d", "    suspect: maybe\n    notice: 7d", NULL, NULL, "111:14",
     "expected one of include, exclude, got 'maybe'", false},
    {"notice: 7d", "notice: 1w", NULL, NULL, "111:13", "a time with its unit", false},
    {"kind: servicenow-incident", "kind: service-now", NULL, NULL, "115:17",
     "expected one of webhook, servicenow-incident", false},
    {"auth_file: noc.auth", "auth_file: /etc/noc.auth", NULL, NULL, "115:81",
     "the name of a file without a folder", false},
    {"auth_file: noc.auth, ", "", NULL, NULL, "115:3",
     "key 'auth_file' is missing: servicenow-incident needs it", false},
    {"https://ops.example.net", "https://me:secret@ops.example.net", NULL, NULL, "115:43",
     "URL without a password in it", false},
    {"https://ops.example.net", "http://ops.example.net", NULL, NULL, "115:43",
     "would go over the network in clear", true},
    {"severity: [critical, major]", "severity: [critical, loud]", NULL, NULL, "116:40",
     "expected one of critical, major, minor", false},
    {"when: { tenant: acme }", "when: { }", NULL, NULL, "118:28",
     "a tenant's view needs 'tenant' under 'when'", false},
    {"fields: { assignment_group: NOC-L1 }", "fields: { \"assignment group\": NOC-L1 }", NULL, NULL,
     "116:60", "is not the name of a label", false},
    {"hooks:\n  noc", "hooks: noc\nx:\n  noc", NULL, NULL, "114:8",
     "expected a map of objects by key, got 'noc'", false},
};

/* 'text' with the first 'find' replaced; frees 'text'. */
static char *
replaced(char *text, const char *find, const char *replace)
{
    char *at = strstr(text, find), *result = NULL;
    size_t size;
    FILE *to = open_memstream(&result, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    fprintf(to, "%.*s%s%s", (int)(at - text), text, replace, at + strlen(find));
    fclose(to);
    free(text);
    return result;
}

/* Whether one fault has this place, severity and words; prints all if not. */
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
the_example_has_no_error_and_no_warning(void)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", example, example_size, &inv), 0);
    CU_ASSERT_EQUAL(faults_warnings(faults), 0);
    faults_print(faults, stdout, 10);
    inventory_free(inv);
    faults_free(faults);
}

static void
each_broken_variant_is_told_with_place_and_words(void)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const struct variant *v = &variants[i];
        char *text = replaced(strdup(example), v->find, v->replace);
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;

        if (v->second_find) {
            text = replaced(text, v->second_find, v->second_replace);
        }
        int err = inventory_read(faults, "t.yaml", text, strlen(text), &inv);
        CU_ASSERT_TRUE(has_fault(faults, v->place, v->words, v->warning));
        CU_ASSERT_EQUAL(err, v->warning ? 0 : -EINVAL);
        CU_ASSERT_EQUAL(inv != NULL, v->warning);
        inventory_free(inv);
        faults_free(faults);
        free(text);
    }
}

/* --- Files that are wrong as a whole ---------------------------------------- */

static void
is_refused(const char *bytes, size_t size, const char *place, const char *words)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", bytes, size, &inv), -EINVAL);
    CU_ASSERT_TRUE(has_fault(faults, place, words, false));
    CU_ASSERT_PTR_NULL(inv);
    faults_free(faults);
}

/* The example with 'extra' behind it. */
static char *
example_and(const char *before, const char *repeat, size_t count, const char *after, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    fputs(before, to);
    for (size_t i = 0; i < count; i++) {
        fputs(repeat, to);
    }
    fputs(after, to);
    fclose(to);
    return text;
}

static void
a_file_of_ten_megabytes_is_refused(void)
{
    size_t size;
    char *text = example_and("inventory: 1\n", "# nothing at all here\n", 500000, "", &size);

    CU_ASSERT_TRUE(size > 10000000);
    is_refused(text, size, "0:0", "8 MiB");
    free(text);
}

static void
a_bomb_of_aliases_does_not_go_off(void)
{
    static const char bomb[] = "inventory: 1\nsites: &a [x, x, x, x, x, x, x, x]\n"
                               "probes: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n"
                               "links: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n";
    is_refused(bomb, sizeof bomb - 1, "2:8", "anchors (&name) are not read");
}

static void
deep_nesting_is_refused_where_it_is_too_deep(void)
{
    size_t size;
    char *text = example_and("inventory: 1\nsites: ", "[", 100000, "", &size);

    is_refused(text, size < 60000 ? size : 60000, "2:39", "deep");
    free(text);
}

static void
a_million_and_one_values_are_refused(void)
{
    size_t size;
    char *text = example_and("inventory: 1\nsites:\n", "- x\n", YAML_NODES_MAX + 1, "", &size);
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", text, size, &inv), -EINVAL);
    CU_ASSERT_TRUE(has_fault(faults, "999998:3", "more than 1000000 values", false));
    faults_free(faults);
    free(text);
}

/* 'words' with "%s" as the folder. */
static void
replace_folder(char *to, size_t size, const char *words, const char *folder)
{
    const char *at = strstr(words, "%s");

    snprintf(to, size, "%.*s%s%s", (int)(at - words), words, folder, at + 2);
}

static void
a_key_in_two_files_is_told_with_both_places(void)
{
    static const struct {
        const char *second, *place, *words;
    } cases[] = {
        {"sites:\n  par1: {}\n", "2:3", "'par1' is here twice; first at %s/a.yaml:6:3"},
        {"services:\n  x: {}\n  acme-hq-azure: {}\n", "3:3",
         "'acme-hq-azure' is here twice; first at %s/a.yaml:97:3"},
        {"slas: {premium: {}}\n", "1:8", "'premium' is here twice; first at %s/a.yaml:101:3"},
        {"interval: 60s\n", "1:1", "'interval' is here twice; first at %s/a.yaml:4:1"},
        {"groups: {par1-lon1-b: {need: 1, members: [par1-ams1]}}\n", "1:10",
         "is that of link 'par1-lon1-b' too (%s/a.yaml:41:3)"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;
        char words[256];

        write_whole(in_folder("a.yaml"), example, example_size);
        write_whole(in_folder("b.yaml"), cases[i].second, strlen(cases[i].second));
        CU_ASSERT_EQUAL(inventory_load_into(faults, folder_path, &inv), -EINVAL);
        replace_folder(words, sizeof words, cases[i].words, folder_path);
        CU_ASSERT_TRUE(has_fault(faults, cases[i].place, words, false));
        faults_free(faults);
        unlink(in_folder("a.yaml"));
        unlink(in_folder("b.yaml"));
    }
}

/* The example cut into a file for each section is the same inventory. */
static void
a_folder_of_sections_is_the_same_inventory(void)
{
    size_t count = 0;
    struct faults *faults = faults_new();
    struct inventory *whole = NULL, *merged = NULL;

    for (const char *at = strstr(example, "\ninventory: 1") + 1; *at; count++) {
        const char *end = at;
        char name[32];
        do {
            end = strchr(end, '\n') + 1;
        } while (*end == ' ' || *end == '#' || *end == '\n');
        snprintf(name, sizeof name, "%02zu.yaml", 99 - count);
        write_whole(in_folder(name), at, (size_t)(end - at));
        at = end;
    }
    CU_ASSERT_TRUE(count >= 14);
    CU_ASSERT_EQUAL(inventory_read(faults, "t.yaml", example, example_size, &whole), 0);
    CU_ASSERT_EQUAL(inventory_load_into(faults, folder_path, &merged), 0);
    faults_print(faults, stdout, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
    CU_ASSERT_PTR_NOT_NULL_FATAL(merged);
    CU_ASSERT_EQUAL(whole->generation, merged->generation);
    inventory_free(whole);
    inventory_free(merged);
    faults_free(faults);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"the_example_has_no_error_and_no_warning", the_example_has_no_error_and_no_warning},
        {"each_broken_variant_is_told_with_place_and_words",
         each_broken_variant_is_told_with_place_and_words},
        {"a_file_of_ten_megabytes_is_refused", a_file_of_ten_megabytes_is_refused},
        {"a_bomb_of_aliases_does_not_go_off", a_bomb_of_aliases_does_not_go_off},
        {"deep_nesting_is_refused_where_it_is_too_deep",
         deep_nesting_is_refused_where_it_is_too_deep},
        {"a_million_and_one_values_are_refused", a_million_and_one_values_are_refused},
        {"a_key_in_two_files_is_told_with_both_places",
         a_key_in_two_files_is_told_with_both_places},
        {"a_folder_of_sections_is_the_same_inventory", a_folder_of_sections_is_the_same_inventory},
        CU_TEST_INFO_NULL,
    };
    example = read_whole(FIXTURES_FOLDER "/inventory-example.yaml", &example_size);
    if (!example) {
        return 2;
    }
    example[example_size] = '\0';
    int status = folder_run_suite("inventory_broken", tests);
    free(example);
    return status;
}
