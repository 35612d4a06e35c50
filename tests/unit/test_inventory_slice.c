/* test_inventory_slice.c - the example of a whole inventory as it is loaded, and
 * what each of its probes is told of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "fault.h"
#include "folder.h"
#include "inventory.h"
#include "inventory_sold.h"

static struct inventory *whole;

static void
what_is_measured_is_loaded_with_its_meaning(void)
{
    const struct inv_link *a = inventory_link(whole, "par1-lon1-a");
    const struct inv_link *ams = inventory_link(whole, "par1-ams1");

    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ams);
    CU_ASSERT_EQUAL(a->flows, 4);
    CU_ASSERT_TRUE(a->probe_from_both);
    CU_ASSERT_EQUAL(a->mtu, 9000);
    CU_ASSERT_EQUAL(a->rt_floor.ns, 4600000);
    CU_ASSERT_EQUAL(a->labels.count, 3);
    CU_ASSERT_STRING_EQUAL(a->ends[1].router->key, "lon1-pe1");
    CU_ASSERT_STRING_EQUAL(a->ends[1].router->site->key, "lon1");
    CU_ASSERT_STRING_EQUAL(ams->ends[1].vrf, "core");
    CU_ASSERT_TRUE(inv_link_has_directions(a));
    CU_ASSERT_EQUAL(inventory_router(whole, "lon1-pe2")->bmp_from_count, 1);
    CU_ASSERT_EQUAL(inventory_link(whole, "lon1-ams1")->in_service.ns,
                    INT64_C(1771200000) * NS_PER_S);
}

static void
a_test_of_a_connector_is_a_link_to_a_foreign_end(void)
{
    const struct inv_link *hq = inventory_link(whole, "acme-hq.main");
    const struct inv_link *azure = inventory_link(whole, "acme-azure.primary");

    CU_ASSERT_PTR_NOT_NULL_FATAL(hq);
    CU_ASSERT_PTR_NOT_NULL_FATAL(azure);
    CU_ASSERT_STRING_EQUAL(hq->ends[0].probe->key, "par1-p1");
    CU_ASSERT_STRING_EQUAL(hq->ends[0].vrf, "acme");
    CU_ASSERT_FALSE(address_is_set(&hq->ends[0].address));
    CU_ASSERT_PTR_NULL(hq->ends[1].probe);
    CU_ASSERT_EQUAL(hq->ends[1].protocol, INV_TWAMP_LIGHT);
    CU_ASSERT_EQUAL(hq->ends[1].reflector, INV_STATELESS);
    CU_ASSERT_EQUAL(hq->ends[1].source_port, 50310);
    CU_ASSERT_EQUAL(hq->ends[1].port, 862);
    CU_ASSERT_EQUAL(hq->ends[1].use, INV_USE_SLA);
    CU_ASSERT_EQUAL(azure->ends[1].protocol, INV_ICMP);
    CU_ASSERT_EQUAL(azure->ends[1].port, 0);
    CU_ASSERT_EQUAL(azure->ends[1].use, INV_USE_EVIDENCE);
    CU_ASSERT_FALSE(inv_link_has_directions(hq));
    CU_ASSERT_PTR_EQUAL(hq->attachment, &inventory_connector(whole, "acme-hq")->attachments[0]);
    CU_ASSERT_PTR_EQUAL(hq->attachment->test, hq);
    CU_ASSERT_PTR_NULL(inventory_connector(whole, "acme-azure")->attachments[1].test);
}

static void
what_is_sold_is_loaded_with_its_meaning(void)
{
    const struct inv_service *s = inventory_service(whole, "acme-hq-azure");
    char name[INV_METRIC_SIZE];

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    const struct inv_sla *sla = s->sla;
    CU_ASSERT_PTR_EQUAL_FATAL(sla, inventory_sla(whole, "premium"));
    CU_ASSERT_PTR_EQUAL(s->ends[1], inventory_connector(whole, "acme-azure"));
    CU_ASSERT_PTR_EQUAL(s->over[0].group, inventory_group(whole, "par1-lon1"));
    CU_ASSERT_PTR_EQUAL(s->over[0].group->members[1].link, inventory_link(whole, "par1-lon1-b"));
    CU_ASSERT_EQUAL(sla->version, 2);
    CU_ASSERT_EQUAL(sla->covers, INV_COVERS_OVER | INV_COVERS_BGP);
    CU_ASSERT_EQUAL_FATAL(sla->objective_count, 5);
    CU_ASSERT_STRING_EQUAL(inv_metric_format(sla->objectives[1].metric, name, sizeof name),
                           "fdr_p99_9");
    CU_ASSERT_EQUAL(sla->objectives[1].metric.quantile_milli, 99900);
    CU_ASSERT_EQUAL(sla->objectives[1].limit, 2000000);
    CU_ASSERT_EQUAL(sla->objectives[0].direction, INV_ROUND_TRIP);
    CU_ASSERT_EQUAL(sla->objectives[2].limit, 10);
    CU_ASSERT_EQUAL(sla->objectives[4].limit, 99990);
    CU_ASSERT_EQUAL(sla->objectives[4].direction, INV_BOTH);
    CU_ASSERT_EQUAL_FATAL(sla->credit_count, 1);
    CU_ASSERT_EQUAL(sla->credits[0].tiers[1].bound, 99900);
    CU_ASSERT_EQUAL(sla->credits[0].tiers[1].credit_milli, 25000);
    CU_ASSERT_EQUAL(sla->cap_milli, 100000);
    CU_ASSERT_EQUAL(whole->alarm_count, 3);
    CU_ASSERT_TRUE(whole->alarms[2].relative);
    CU_ASSERT_EQUAL(whole->tunnels[0].vni, 5001);
    CU_ASSERT_TRUE(whole->hooks[0].tenant_view);
    CU_ASSERT_EQUAL(whole->hooks[1].severities, 1u << INV_CRITICAL | 1u << INV_MAJOR);
}

/* "18ms" of rt_p99 on gold is counted on the links under the service, once. */
static void
limits_of_an_sla_are_counted_on_the_links_under_it(void)
{
    const struct inv_link *a = inventory_link(whole, "par1-lon1-a");
    const struct inv_link *other = inventory_link(whole, "par1-ams1");

    CU_ASSERT_EQUAL_FATAL(a->limit_count, 1);
    CU_ASSERT_STRING_EQUAL(a->limits[0].class_->key, "gold");
    CU_ASSERT_EQUAL(a->limits[0].limit.metric, LIMIT_DELAY);
    CU_ASSERT_EQUAL(a->limits[0].limit.direction, DIR_RT);
    CU_ASSERT_EQUAL(a->limits[0].limit.limit.ns, 18000000);
    CU_ASSERT_EQUAL(inventory_link(whole, "par1-lon1-b")->limit_count, 1);
    CU_ASSERT_EQUAL(other->limit_count, 0);
}

/* --- Slices ------------------------------------------------------------------ */

static char *
text_of(const struct inventory *inv, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    CU_ASSERT_EQUAL(inventory_print(inv, to), 0);
    fclose(to);
    return text;
}

static struct inventory *
slice_read(const char *text, size_t size, size_t warnings)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;

    CU_ASSERT_EQUAL(inventory_read(faults, "slice", text, size, &inv), 0);
    CU_ASSERT_EQUAL(faults_warnings(faults), warnings);
    if (faults_errors(faults) || faults_warnings(faults) != warnings) {
        faults_print(faults, stdout, 10);
    }
    faults_free(faults);
    CU_ASSERT_PTR_NOT_NULL_FATAL(inv);
    return inv;
}

struct sessions {
    int64_t ids[64], params[64];
    size_t count;
};

static int
note(const struct inv_link *link, const struct inv_class *class_, unsigned end,
     const struct session_key *key, void *aux)
{
    struct sessions *s = aux;
    (void)link;
    (void)class_;
    (void)end;

    CU_ASSERT_TRUE_FATAL(s->count < 64);
    s->params[s->count] = params_id_of(key);
    s->ids[s->count++] = session_id_of(key);
    return 0;
}

/* A probe that reads its slice does what one does that reads all of it. */
static void
a_slice_makes_the_same_sessions_and_generation(void)
{
    size_t sessions = 0;

    for (size_t i = 0; i < whole->probe_count; i++) {
        const char *probe = whole->probes[i].key;
        struct inventory *slice = NULL;
        static struct sessions of_whole, of_slice;
        size_t size, again_size;

        CU_ASSERT_EQUAL_FATAL(inventory_slice(whole, probe, &slice), 0);
        char *text = text_of(slice, &size);
        inventory_free(slice);
        struct inventory *read = slice_read(text, size, 0);
        char *again = text_of(read, &again_size);
        CU_ASSERT_STRING_EQUAL(text, again);
        CU_ASSERT_EQUAL(read->generation, whole->generation);
        CU_ASSERT_STRING_EQUAL(read->slice_of, probe);
        of_whole.count = of_slice.count = 0;
        inventory_sessions(whole, probe, note, &of_whole);
        inventory_sessions(read, probe, note, &of_slice);
        sessions += of_whole.count;
        CU_ASSERT_EQUAL(of_whole.count, of_slice.count);
        CU_ASSERT_EQUAL(memcmp(&of_whole, &of_slice, sizeof of_whole), 0);
        inventory_free(read);
        free(text);
        free(again);
    }
    struct inventory *none = NULL;
    CU_ASSERT_EQUAL(sessions, 24);
    CU_ASSERT_EQUAL(inventory_slice(whole, "par1-p2", &none), -ENOENT);
}

static void
a_slice_holds_nothing_of_tenants_contracts_or_others(void)
{
    static const char *const never[] = {"ACME",     "tenant", "premium", "hooks",    "carrier",
                                        "C-10442",  "risks",  "SO-88",   "par1-pe1", "ens3f1.104",
                                        "10.1.4.0", "credit", "groups",  "duct",     "label"};
    struct inventory *slice = NULL;
    size_t size;

    CU_ASSERT_EQUAL_FATAL(inventory_slice(whole, "par1-p1", &slice), 0);
    char *text = text_of(slice, &size);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        CU_ASSERT_PTR_NULL(strstr(text, never[i]));
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "slice: 1\nslice_of: \"par1-p1\"\ngeneration: \""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"acme-hq.main\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "rt_floor: 4600us"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "- { class: \"gold\", metric: delay, direction: rt, limit: 18ms }"));
    CU_ASSERT_PTR_NULL(inventory_link(slice, "lon1-ams1"));
    CU_ASSERT_EQUAL(slice->link_count, 4);
    inventory_free(slice);
    free(text);
}

/* What a newer release wrote does not stop an old probe. */
static void
unknown_keys_of_a_slice_are_passed_over(void)
{
    static const char text[] =
        "slice: 1\nslice_of: p\ngeneration: \"0123456789abcdef\"\nnovelty: {a: b}\n"
        "sites: {s: {shape: round}}\n"
        "probes: {p: {site: s, colour: red}, q: {site: s}}\nclasses: {c: {mood: good}}\n"
        "links: {l: {ends: [{probe: p, address: 10.0.0.1, speed: 1}, {probe: q, address: "
        "10.0.0.2}], classes: [c], taste: sweet}}\n";
    struct inventory *inv = slice_read(text, sizeof text - 1, 6);

    CU_ASSERT_EQUAL(inv->generation, INT64_C(0x0123456789abcdef));
    CU_ASSERT_EQUAL(inv->link_count, 1);
    inventory_free(inv);
}

static void
a_broken_slice_is_told_with_place_and_words(void)
{
    static const struct {
        const char *text, *place, *words;
    } cases[] = {
        {"slice: 2\nslice_of: p\n", "1:8", "expected 1, the format that this release reads"},
        {"slice: 1\nsites: {}\n", "1:1", "key 'slice_of' is missing"},
        {"slice: 1\nslice_of: P\n", "2:11", "expected a key"},
        {"slice: 1\nslice_of: p\ngeneration: 12\n", "3:13", "16 hexadecimal digits"},
        {"slice: 1\nslice_of: p\ngeneration: \"8000000000000000\"\n", "3:13",
         "16 hexadecimal digits"},
        {"slice: 1\nslice_of: p\ninventory: 1\n", "3:1", "two formats; keep one"},
        {"inventory: 1\nslice_of: p\n", "2:1", "unknown key 'slice_of'"},
        {"inventory: 1\ngeneration: \"0123456789abcdef\"\n", "2:1", "unknown key 'generation'"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct faults *faults = faults_new();
        struct inventory *inv = NULL;
        char at[32];
        size_t count;

        CU_ASSERT_EQUAL(inventory_read(faults, "t", cases[i].text, strlen(cases[i].text), &inv),
                        -EINVAL);
        const struct fault *all = faults_sorted(faults, &count);
        CU_ASSERT_TRUE_FATAL(count >= 1);
        snprintf(at, sizeof at, "%u:%u", all[0].at.line, all[0].at.column);
        CU_ASSERT_STRING_EQUAL(at, cases[i].place);
        CU_ASSERT_PTR_NOT_NULL(strstr(all[0].message, cases[i].words));
        faults_free(faults);
    }
}

/* As the first release cut it of inventory-example.yaml for par1-p1. */
static void
the_slice_of_the_first_release_is_read(void)
{
    static struct sessions sessions;
    size_t size;
    char *text = read_whole(FIXTURES_FOLDER "/slice-release-1.yaml", &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    struct inventory *read = slice_read(text, size, 0);
    free(text);
    CU_ASSERT_STRING_EQUAL(read->slice_of, "par1-p1");
    CU_ASSERT_EQUAL(read->generation, INT64_C(0x472b1cf0885d9865));
    CU_ASSERT_EQUAL(read->interval.ns, 60 * NS_PER_S);
    CU_ASSERT_EQUAL(read->probe_count, 3);
    inventory_sessions(read, "par1-p1", note, &sessions);
    CU_ASSERT_EQUAL(sessions.count, 13);
    const struct inv_link *link = inventory_link(read, "par1-lon1-a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(link);
    CU_ASSERT_EQUAL(link->flows, 4);
    CU_ASSERT_EQUAL(link->mtu, 9000);
    CU_ASSERT_EQUAL(link->limit_count, 1);
    CU_ASSERT_EQUAL(inventory_link(read, "acme-hq.main")->ends[1].protocol, INV_TWAMP_LIGHT);
    inventory_free(read);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"limits_of_an_sla_are_counted_on_the_links_under_it",
         limits_of_an_sla_are_counted_on_the_links_under_it},
        {"what_is_measured_is_loaded_with_its_meaning",
         what_is_measured_is_loaded_with_its_meaning},
        {"a_test_of_a_connector_is_a_link_to_a_foreign_end",
         a_test_of_a_connector_is_a_link_to_a_foreign_end},
        {"what_is_sold_is_loaded_with_its_meaning", what_is_sold_is_loaded_with_its_meaning},
        {"a_slice_makes_the_same_sessions_and_generation",
         a_slice_makes_the_same_sessions_and_generation},
        {"a_slice_holds_nothing_of_tenants_contracts_or_others",
         a_slice_holds_nothing_of_tenants_contracts_or_others},
        {"unknown_keys_of_a_slice_are_passed_over", unknown_keys_of_a_slice_are_passed_over},
        {"the_slice_of_the_first_release_is_read", the_slice_of_the_first_release_is_read},
        {"a_broken_slice_is_told_with_place_and_words",
         a_broken_slice_is_told_with_place_and_words},
        CU_TEST_INFO_NULL,
    };
    size_t errors, warnings;
    if (inventory_load(FIXTURES_FOLDER "/inventory-example.yaml", stderr, 10, &errors, &warnings,
                       &whole)) {
        return 2;
    }
    int status = folder_run_suite("inventory_slice", tests);
    inventory_free(whole);
    return status;
}
