/* test_notice.c - who is told, and that a tenant's view has nothing of another, whatever the
 * inventory. */
#include "notice.h"

#include "desk_world.h"

struct scene {
    struct desk_world w;
    struct problem *p;
    bool down[256];
    struct symptom *symptoms[256];
    size_t count;
    unsigned tenants;
};

/* So many tenants with a service each over random links, hooks of each, and the operator's. */
static void
begin(struct scene *s, unsigned tenants, unsigned links)
{
    char *more = NULL;
    size_t size;
    FILE *to = open_memstream(&more, &size);

    *s = (struct scene){.tenants = tenants};
    desk_world_begin(&s->w, 3);
    for (unsigned i = 0; i < links; i++) {
        desk_world_link(&s->w, (unsigned)random_below(2), 2, true,
                        "risks: [zzqduct], labels: {carrier: zzqcolt}");
    }
    fprintf(to, "groups: {zzqpair: {need: 1, members: [l0, l1]}}\ntenants:\n");
    for (unsigned i = 0; i < tenants; i++) {
        fprintf(to, "  x-t%u-x: {label: Yt%uY}\n", i, i);
    }
    fprintf(to, "connectors:\n");
    for (unsigned i = 0; i < tenants; i++) {
        for (int e = 0; e < 2; e++) {
            fprintf(to,
                    "  x-c%u%d-x: {tenant: x-t%u-x, site: s0, attachments: {m: {port: {router: r0, "
                    "interface: i%u.%d}}}}\n",
                    i, e, i, i, e);
        }
    }
    fprintf(to, "services:\n");
    for (unsigned i = 0; i < tenants; i++) {
        fprintf(to,
                "  x-s%u-x: {tenant: x-t%u-x, ends: [x-c%u0-x, x-c%u1-x], over: [%s%u], classes: "
                "[gold], "
                "label: Ys%uY, labels: {order: Yo%uY}}\n",
                i, i, i, i, random_chance(300) ? "zzqpair, l" : "l", (unsigned)random_below(links),
                i, i);
    }
    fprintf(to, "hooks:\n  noc: {kind: webhook, url: \"https://a.example/\", secret_file: k}\n");
    for (unsigned i = 0; i < tenants; i++) {
        fprintf(
            to,
            "  h%u: {kind: webhook, url: \"https://a.example/\", secret_file: k, when: {tenant: "
            "x-t%u-x}, view: tenant}\n",
            i, i);
    }
    fclose(to);
    desk_world_end(&s->w, more);
    free(more);
    s->p = problem_new(INV_CAUSE_RISK, "zzqduct", desk_world_at(0));
    s->p->id = 17;
}

static void
finish(struct scene *s)
{
    problem_free(s->p);
    for (size_t i = 0; i < s->count; i++) {
        symptom_free(s->symptoms[i]);
    }
    desk_world_fini(&s->w);
}

static struct symptom *
raise_on(struct scene *s, unsigned link)
{
    char key[16];

    snprintf(key, sizeof key, "l%u", link);
    struct symptom *a = symptom_new("zzqcut", "flr", key, "gold", "p0");
    a->id = (int64_t)s->count + 1;
    a->severity = INV_CRITICAL;
    a->place = reach_place(s->w.reach, SYMPTOM_LINK, key);
    a->began = a->recorded = desk_world_at(0);
    CU_ASSERT_EQUAL(symptom_read_details(
                        a, "{\"value\": 60000, \"worst\": 100000, \"unit\": \"milli_percent\", "
                           "\"fwd\": {\"lost\": 1}, \"bwd\": {\"lost\": 0}, \"far\": \"p2\"}"),
                    0);
    s->symptoms[s->count++] = a;
    problem_join(s->p, a);
    return a;
}

static void
review(struct scene *s)
{
    memset(s->down, 0, sizeof s->down);
    for (size_t i = 0; i < s->count; i++) {
        s->down[s->symptoms[i]->place] |= symptom_is_raised(s->symptoms[i]);
    }
    CU_ASSERT_EQUAL(problem_review(s->p, s->w.reach, s->down, desk_world_at(2000)), 0);
    cJSON_Delete(s->p->evidence);
    s->p->evidence = cJSON_Parse("[{\"kind\": \"zzqkind\", \"text\": \"zzqtext\"}]");
    problem_change(s->p, desk_world_at(2000), "zzqchange");
    free(s->p->ack.by);
    free(s->p->ack.note);
    s->p->ack.by = strdup("zzqann");
    s->p->ack.note = strdup("zzqnote");
}

static struct notice
notice(const struct scene *s, const struct notice_context *c)
{
    struct notice n;

    CU_ASSERT_EQUAL(notice_init(&n, c, s->p), 0);
    return n;
}

static const struct inv_hook *
hook(const struct scene *s, const char *key)
{
    for (size_t i = 0; i < s->w.inv->hook_count; i++) {
        if (!strcmp(s->w.inv->hooks[i].key, key)) {
            return &s->w.inv->hooks[i];
        }
    }
    abort();
}

/* Keys of the network are those of a JSON text: "l7". */
static bool
names_the_network(const char *text, const struct scene *s)
{
    char key[24];

    if (strstr(text, "zzq")) {
        return true;
    }
    for (unsigned i = 0; i < s->w.links; i++) {
        snprintf(key, sizeof key, "l%u", i);
        for (const char *at = strstr(text, key); at; at = strstr(at + 1, key)) {
            char before = at == text ? ' ' : at[-1], after = at[strlen(key)];
            if (strchr("\" ,:", before) && strchr("\" ,:", after)) {
                return true;
            }
        }
    }
    return strstr(text, "\"p0\"") || strstr(text, "\"p2\"") || strstr(text, "\"r0\"");
}

/* Whether what one tenant hears is of him alone. */
static void
check_view(const struct scene *s, const struct notice *n, unsigned tenant)
{
    char key[24];
    snprintf(key, sizeof key, "h%u", tenant);
    const struct inv_hook *h = hook(s, key);
    cJSON *event = notice_event(n, h, "open");
    char *text = cJSON_PrintUnformatted(event);
    bool his = false;

    for (unsigned i = 0; i < s->tenants; i++) {
        for (const char *what = "tsco"; *what; what++) {
            snprintf(key, sizeof key, "%c%u", *what, i);
            const char *at = strstr(text, key);
            bool there = false;
            for (; at && !there; at = strstr(at + 1, key)) {
                char after = at[strlen(key)];
                there = at > text && strchr("-Y", at[-1]) && strchr("-Y", after);
            }
            his = his || (there && i == tenant);
            CU_ASSERT(!there || i == tenant);
        }
    }
    CU_ASSERT(!names_the_network(text, s));
    /* Who is wanted to be told is told of something. */
    CU_ASSERT(!notice_is_wanted(n, h) || his);
    cJSON_free(text);
    cJSON_Delete(event);
}

static void
a_tenant_sees_nothing_of_another(void)
{
    for (int round = 0; round < 60; round++) {
        struct scene s;
        unsigned links = 2 + (unsigned)random_below(20), tenants = 1 + (unsigned)random_below(12);
        begin(&s, tenants, links);
        for (unsigned i = 0; i < links; i++) {
            if (i == 0 || random_chance(600)) {
                struct symptom *a = raise_on(&s, i);
                a->cleared.ns = random_chance(200) ? DESK_NOW : 0;
            }
        }
        review(&s);
        const struct notice_context c = {
            .reach = s.w.reach, .installation = "a1b2c3d4", .now = desk_world_at(2000)};
        struct notice n = notice(&s, &c);
        for (unsigned i = 0; i < tenants; i++) {
            check_view(&s, &n, i);
        }
        notice_fini(&n);
        finish(&s);
    }
}

static void
the_operator_hears_all_of_it(void)
{
    struct scene s;
    begin(&s, 2, 4);
    for (unsigned i = 0; i < 4; i++) {
        raise_on(&s, i);
    }
    review(&s);
    const struct notice_context c = {
        .reach = s.w.reach, .installation = "a1b2c3d4", .now = desk_world_at(2000)};
    struct notice n = notice(&s, &c);
    cJSON *event = notice_event(&n, hook(&s, "noc"), "open");

    CU_ASSERT(notice_is_wanted(&n, hook(&s, "noc")));
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(event, "id")), "a1b2c3d4-17");
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(event, "title")),
                           "zzqcut: risk zzqduct, 4 of 4 links, 100% lost");
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(event, "links")), 4);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(event, "evidence")), 1);
    CU_ASSERT(cJSON_IsObject(cJSON_GetObjectItem(event, "acknowledged")));
    cJSON_Delete(event);
    /* Until when somebody had it in hand. */
    for (int ms = 2000; ms <= 2001; ms++) {
        s.p->ack.until = desk_world_at(ms);
        event = notice_event(&n, hook(&s, "noc"), "remind");
        CU_ASSERT_EQUAL(cJSON_IsObject(cJSON_GetObjectItem(event, "acknowledged")), ms == 2001);
        cJSON_Delete(event);
    }
    notice_fini(&n);
    finish(&s);
}

static void
hooks_get_what_they_ask_for(void)
{
    struct scene s;
    begin(&s, 2, 4);
    raise_on(&s, 0);
    review(&s);
    const struct notice_context c = {
        .reach = s.w.reach, .installation = "a1b2c3d4", .now = desk_world_at(2000)};
    struct notice n = notice(&s, &c);
    struct inv_hook h = *hook(&s, "noc");
    struct inv_label colt = {"carrier", "zzqcolt"}, other = {"carrier", "other"};

    h.severities = 1u << INV_MAJOR;
    CU_ASSERT(!notice_is_wanted(&n, &h));
    h.severities |= 1u << INV_CRITICAL;
    CU_ASSERT(notice_is_wanted(&n, &h));
    h.causes = 1u << INV_CAUSE_LINK;
    CU_ASSERT(!notice_is_wanted(&n, &h));
    h.causes |= 1u << INV_CAUSE_RISK;
    CU_ASSERT(notice_is_wanted(&n, &h));
    h.labels = (struct inv_labels){&other, 1};
    CU_ASSERT(!notice_is_wanted(&n, &h));
    h.labels.list = &colt;
    CU_ASSERT(notice_is_wanted(&n, &h));
    h.state = INV_RETIRED;
    CU_ASSERT(!notice_is_wanted(&n, &h));
    notice_fini(&n);
    finish(&s);
}

static void
for_a_tenant_it_is_over_when_his_services_are_good(void)
{
    struct scene s;
    begin(&s, 1, 2);
    const struct inv_service *sv = &s.w.inv->services[0];
    unsigned under = sv->over[sv->over_count - 1].link->key[1] == '0' ? 0 : 1;
    bool pair = sv->over_count > 1;
    struct symptom *a = raise_on(&s, under);
    raise_on(&s, 1 - under);
    review(&s);
    const struct notice_context c = {
        .reach = s.w.reach, .installation = "a1b2c3d4", .now = desk_world_at(2000)};
    struct notice n = notice(&s, &c);
    CU_ASSERT(notice_is_open(&n, hook(&s, "h0")));
    notice_fini(&n);
    a->cleared = a->ended = desk_world_at(1000);
    review(&s);
    n = notice(&s, &c);
    /* Where it stands over the group too, the other link still touches it. */
    CU_ASSERT_EQUAL(notice_is_open(&n, hook(&s, "h0")), pair);
    CU_ASSERT(notice_is_open(&n, hook(&s, "noc")));
    notice_fini(&n);
    finish(&s);
}

static void
lists_are_cut_and_counts_are_whole(void)
{
    struct scene s;
    begin(&s, 1, 230);
    for (unsigned i = 0; i < 230; i++) {
        raise_on(&s, i)->cleared.ns = i < 100 ? DESK_NOW : 0;
    }
    review(&s);
    const struct notice_context c = {
        .reach = s.w.reach, .installation = "a1b2c3d4", .now = desk_world_at(2000)};
    struct notice n = notice(&s, &c);
    cJSON *event = notice_event(&n, hook(&s, "noc"), "change");
    const cJSON *links = cJSON_GetObjectItem(event, "links"),
                *counts = cJSON_GetObjectItem(event, "counts");

    CU_ASSERT_EQUAL(cJSON_GetArraySize(links), 200);
    CU_ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(links, 129), "bad")));
    CU_ASSERT(cJSON_IsFalse(cJSON_GetObjectItem(cJSON_GetArrayItem(links, 130), "bad")));
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(counts, "links")), 230);
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(counts, "links_bad")), 130);
    cJSON_Delete(event);
    notice_fini(&n);
    finish(&s);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a tenant sees nothing of another", a_tenant_sees_nothing_of_another},
        {"the operator hears all of it", the_operator_hears_all_of_it},
        {"hooks get what they ask for", hooks_get_what_they_ask_for},
        {"for a tenant it is over when his services are good",
         for_a_tenant_it_is_over_when_his_services_are_good},
        {"lists are cut and counts are whole", lists_are_cut_and_counts_are_whole},
        CU_TEST_INFO_NULL};

    return run_suite("notice", tests);
}
