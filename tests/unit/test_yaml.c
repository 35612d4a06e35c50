/* test_yaml.c - bounds of what is read, places of what is found, values with
 * their units. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "fault.h"
#include "pool.h"
#include "value.h"
#include "yaml.h"

/* Reads 'size' bytes; what was found is printed into 'told' (of 512 bytes). */
static struct yaml_node *
read_bytes(struct pool *pool, const char *bytes, size_t size, char *told)
{
    struct faults *faults = faults_new();
    char *text = NULL;
    size_t text_size;
    FILE *to = open_memstream(&text, &text_size);
    struct yaml_node *root = yaml_read(pool, faults, "t", bytes, size);

    faults_print(faults, to, 3);
    fclose(to);
    snprintf(told, 512, "%s", text);
    free(text);
    faults_free(faults);
    return root;
}

static void
check_refused(const char *bytes, size_t size, const char *words)
{
    struct pool *pool = pool_new();
    char told[512];
    struct yaml_node *root = read_bytes(pool, bytes, size, told);

    CU_ASSERT_PTR_NULL(root);
    if (!strstr(told, words)) {
        printf("\nwanted %s, got %s\n", words, told);
        CU_FAIL("not the words");
    }
    pool_free(pool);
}

static void
check_accepted(const char *bytes, size_t size)
{
    struct pool *pool = pool_new();
    char told[512];
    struct yaml_node *root = read_bytes(pool, bytes, size, told);

    CU_ASSERT_PTR_NOT_NULL(root);
    CU_ASSERT_STRING_EQUAL(told, "");
    pool_free(pool);
}

/* 'count' times 'text', behind 'head' and before 'tail'. */
static char *
repeat(const char *head, const char *text, size_t count, const char *tail, size_t *size)
{
    char *out = NULL;
    FILE *to = open_memstream(&out, size);

    fputs(head, to);
    for (size_t i = 0; i < count; i++) {
        fputs(text, to);
    }
    fputs(tail, to);
    fclose(to);
    return out;
}

static void
a_file_may_have_its_greatest_size_and_not_one_byte_more(void)
{
    size_t size;
    char *text = repeat("a: bcde\n", "#######\n", YAML_FILE_SIZE_MAX / 8 - 1, "#", &size);

    CU_ASSERT_EQUAL(size, YAML_FILE_SIZE_MAX + 1);
    check_refused(text, size, "t: error: larger than 8 MiB");
    text[size - 1] = '\0';
    check_accepted(text, size - 1);
    free(text);
}

static void
a_line_may_have_its_greatest_length_and_not_one_byte_more(void)
{
    size_t size;
    char *text = repeat("b: c\na: ", "x", YAML_LINE_SIZE_MAX - 3, "\n", &size);

    check_accepted(text, size);
    free(text);
    text = repeat("b: c\na: ", "x", YAML_LINE_SIZE_MAX - 2, "\n", &size);
    check_refused(text, size, "t:2:65537: error: a line of more than 64 KiB");
    free(text);
}

static void
nesting_may_have_its_greatest_depth_and_not_one_level_more(void)
{
    size_t size;
    char *text = repeat("", "[", YAML_DEPTH_MAX, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", &size);

    check_accepted(text, size);
    free(text);
    text = repeat("", "[", YAML_DEPTH_MAX + 1, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", &size);
    check_refused(text, size, "t:1:33: error: nested deeper than 32 levels");
    free(text);
    text = repeat("", "{a: ", 15000, "", &size);
    check_refused(text, size, "nested deeper than 32 levels");
    free(text);
    text = repeat("", "- ", 30000, "", &size);
    check_refused(text, size, "nested deeper than 32 levels");
    free(text);
}

static void
values_may_be_as_many_as_the_bound_and_not_one_more(void)
{
    size_t size;
    /* The list is one, too. */
    char *text = repeat("[", "a,\n ", YAML_NODES_MAX - 1, "]", &size);

    check_accepted(text, size);
    free(text);
    text = repeat("[", "a,\n ", YAML_NODES_MAX, "]", &size);
    check_refused(text, size, "more than 1000000 values");
    free(text);
}

static void
a_bomb_of_aliases_does_not_go_off(void)
{
    static const char laughs[] = "a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
                                 "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                                 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
    static const char alias_only[] = "a: [*b,*b]\n";
    static const char merge[] = "a: {b: c}\nd:\n  <<: {e: f}\n";

    check_refused(laughs, sizeof laughs - 1, "t:1:4: error: anchors");
    check_refused(alias_only, sizeof alias_only - 1, "t:1:5: error: aliases");
    check_refused(merge, sizeof merge - 1, "t:3:3: error: merge keys");
}

static void
a_quoted_merge_key_is_a_plain_word(void)
{
    static const char text[] = "'<<': {e: f}\n";
    check_accepted(text, sizeof text - 1);
}

static void
text_that_is_not_utf8_is_told_at_its_place(void)
{
    static const struct {
        const char *bytes, *words;
    } bad[] = {
        {"a: \xff\n", "t:1:4: error: byte 0xff"},
        {"a: b\nc: \xc3\xa9\xc3\n", "t:2:5: error: byte 0xc3"},
        {"a: \xc1\xbf\n", "byte 0xc1"},
        {"a: \xe0\x9f\xbf\n", "byte 0xe0"},
        {"a: \xed\xa0\x80\n", "byte 0xed"},
        {"a: \xf0\x8f\xbf\xbf\n", "byte 0xf0"},
        {"a: \xf4\x90\x80\x80\n", "byte 0xf4"},
        {"a: \xf5\x80\x80\x80\n", "byte 0xf5"},
        {"a: \x80\n", "byte 0x80"},
        {"a: b\x01\n", "t:1:5: error: control character U+0001"},
        {"a: \x7f\n", "control character U+007F"},
        {"a: \xc2\x9f\n", "control character U+009F"},
        {"a: b\rc: d\n", "t:1:5: error: control character U+000D"},
        {"\xff\xfe"
         "a\n",
         "t:1:1: error: byte 0xff"},
    };
    static const char *const good[] = {
        "a: \xc2\xa0\n",     "a: \xdf\xbf\n",         "a: \xe0\xa0\x80\n",     "a: \xed\x9f\xbf\n",
        "a: \xee\x80\x80\n", "a: \xf0\x90\x80\x80\n", "a: \xf4\x8f\xbf\xbd\n", "a: b\r\nc: d\r\n"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_refused(bad[i].bytes, strlen(bad[i].bytes), bad[i].words);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        check_accepted(good[i], strlen(good[i]));
    }
    check_refused("a: b\0c\n", 7, "control character U+0000");
    check_refused("a: \xe0\xa0", 5, "byte 0xe0");
}

static void
a_question_mark_begins_no_key(void)
{
    /* The first made libfyaml 0.7.12 read freed memory. */
    static const char *const refused[] = {"?\n ho::\t:", "a: 1\n  ? b\n", "- ? b\n",
                                          "{? a: b}",    "[a, ?\tb]",     "?"};
    static const char *const taken[] = {"a: who? me\n", "a: who ? me\n", "?a: 1\n", "a: \"? b\"\n"};

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        check_refused(refused[i], strlen(refused[i]), "'? ' would begin a key");
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        struct pool *pool = pool_new();
        char told[512];
        CU_ASSERT_PTR_NOT_NULL(read_bytes(pool, taken[i], strlen(taken[i]), told));
        CU_ASSERT_STRING_EQUAL(told, "");
        pool_free(pool);
    }
}

static void
tabs_indent_nothing_but_may_stand_in_text(void)
{
    static const char indents[] = "a:\n\tb: c\n";
    static const char mixed[] = "a:\n  \tb: c\n";
    static const char inside[] = "a: 'x\ty' # \t comment\n";

    check_refused(indents, sizeof indents - 1, "t:2:1: error: a tab indents this line");
    check_refused(mixed, sizeof mixed - 1, "t:2:3: error: a tab indents this line");
    check_accepted(inside, sizeof inside - 1);
}

static void
every_node_knows_its_place(void)
{
    static const char text[] = "a: {b: \xc3\xa9, c: [1, 'two']}\n"
                               "\"d\":\n"
                               "  - x: y\n"
                               "e:\n";
    struct pool *pool = pool_new();
    struct faults *faults = faults_new();
    struct yaml_node *root = yaml_read(pool, faults, "t", text, sizeof text - 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    const struct yaml_node *a = yaml_get(root, "a"), *d = yaml_get(root, "d"),
                           *e = yaml_get(root, "e");
    const struct yaml_node *c = yaml_get(a, "c");
    CU_ASSERT_EQUAL(a->at.column, 4);
    CU_ASSERT_EQUAL(c->key_at.column, 11);
    CU_ASSERT_EQUAL(c->count, 2);
    CU_ASSERT_EQUAL(c->last->at.column, 18);
    CU_ASSERT_FALSE(c->last->plain);
    CU_ASSERT_EQUAL(d->key_at.line, 2);
    CU_ASSERT_EQUAL(d->key_at.column, 1);
    CU_ASSERT_EQUAL(d->first->at.line, 3);
    CU_ASSERT_EQUAL(d->first->at.column, 5);
    CU_ASSERT_TRUE(yaml_is_null(e));
    CU_ASSERT_EQUAL(e->at.line, 4);
    CU_ASSERT_PTR_NULL(yaml_get(root, "f"));
    faults_free(faults);
    pool_free(pool);
}

static void
keys_that_are_twice_are_told_and_the_first_stays(void)
{
    static const char text[] = "a: 1\nb: {x: 1, y: 2, x: 3, x: 4}\na: 2\n";
    struct pool *pool = pool_new();
    struct faults *faults = faults_new();
    struct yaml_node *root = yaml_read(pool, faults, "t", text, sizeof text - 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    CU_ASSERT_EQUAL(faults_errors(faults), 3);
    CU_ASSERT_EQUAL(root->count, 2);
    CU_ASSERT_STRING_EQUAL(yaml_get(root, "a")->text, "1");
    CU_ASSERT_EQUAL(yaml_get(root, "b")->count, 2);
    size_t count;
    const struct fault *all = faults_sorted(faults, &count);
    CU_ASSERT_EQUAL(all[0].at.column, 17);
    CU_ASSERT_STRING_EQUAL(all[2].message, "key 'a' is here twice; first at t:1:1");
    faults_free(faults);
    pool_free(pool);
}

static void
faults_past_the_bound_are_only_counted(void)
{
    struct faults *faults = faults_new();
    size_t count;
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    for (unsigned i = 0; i < FAULTS_KEPT + 5; i++) {
        fault_error(faults, (struct place){0}, "number %u", i);
    }
    faults_sorted(faults, &count);
    CU_ASSERT_EQUAL(count, FAULTS_KEPT);
    CU_ASSERT_EQUAL(faults_errors(faults), FAULTS_KEPT + 5);
    faults_print(faults, to, 2);
    fclose(to);
    CU_ASSERT_STRING_EQUAL(text, "error: number 0\nerror: number 1\n... and 10003 more\n");
    free(text);
    faults_free(faults);
}

static void
a_long_line_is_shown_around_the_caret(void)
{
    struct faults *faults = faults_new();
    size_t size, told_size;
    char *line = repeat("", "x", 500, "\n", &size), *told = NULL;
    const struct fault_file *file = faults_file(faults, "t", line, size);
    FILE *to = open_memstream(&told, &told_size);

    fault_error(faults, (struct place){file, 1, 400}, "here");
    fault_error(faults, (struct place){file, 1, 9999}, "past the end");
    fault_error(faults, (struct place){file, 99, 1}, "past the file");
    faults_print(faults, to, 10);
    fclose(to);
    CU_ASSERT_TRUE(told_size < 600);
    const char *caret = strchr(told, '^');
    CU_ASSERT_PTR_NOT_NULL_FATAL(caret);
    const char *start = caret;
    while (start[-1] != '\n') {
        start--;
    }
    CU_ASSERT_EQUAL(caret - start, 9 + 80);
    free(told);
    free(line);
    faults_free(faults);
}

/* What a terminal would obey is not shown as it is. */
static void
a_line_with_escapes_is_shown_without_them(void)
{
    static const char line[] = "\x1b[31mred \xff \xc3\xa9";
    struct faults *faults = faults_new();
    const struct fault_file *file = faults_file(faults, "t", line, sizeof line - 1);
    char *told = NULL;
    size_t size;
    FILE *to = open_memstream(&told, &size);

    fault_error(faults, (struct place){file, 1, 1}, "x");
    faults_print(faults, to, 10);
    fclose(to);
    CU_ASSERT_PTR_NULL(strchr(told, 0x1b));
    CU_ASSERT_PTR_NULL(strchr(told, 0xff));
    CU_ASSERT_PTR_NOT_NULL(strstr(told, "?[31mred ? \xc3\xa9\n"));
    free(told);
    faults_free(faults);
}

static void
spans_are_exact_and_have_units(void)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *canonical;
    } good[] = {
        {"0s", 0, "0s"},
        {"1ns", 1, "1ns"},
        {"1.5us", 1500, "1500ns"},
        {"100ms", 100 * NS_PER_MS, "100ms"},
        {"0.1s", 100 * NS_PER_MS, "100ms"},
        {"4.600000ms", 4600000, "4600us"},
        {"60s", 60 * NS_PER_S, "1m"},
        {"90m", 5400 * NS_PER_S, "90m"},
        {"24h", 86400 * NS_PER_S, "1d"},
        {"106751d", INT64_C(106751) * 86400 * NS_PER_S, "106751d"},
        {"9223372036854775807ns", INT64_MAX, "9223372036854775807ns"},
    };
    static const char *const bad[] = {"",
                                      "1",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1 s",
                                      "1S",
                                      "1.s",
                                      ".5s",
                                      "1.5ns",
                                      "1ss",
                                      "1e3s",
                                      "106752d",
                                      "9223372036854775808ns",
                                      "1.0000000000000000s",
                                      "0x1s"};
    struct span s;
    char buf[VALUE_TEXT_SIZE];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_TRUE(value_parse_span(good[i].text, &s));
        CU_ASSERT_EQUAL(s.ns, good[i].ns);
        CU_ASSERT_STRING_EQUAL(value_format_span(s, buf, sizeof buf), good[i].canonical);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_FALSE(value_parse_span(bad[i], &s));
    }
}

static void
rates_sizes_and_percentages_are_exact(void)
{
    uint64_t v;
    char buf[VALUE_TEXT_SIZE];

    CU_ASSERT_TRUE(value_parse_rate("2.5Gbit", &v) && v == 2500000000u);
    CU_ASSERT_TRUE(value_parse_rate("1Tbit", &v) && v == 1000000000000u);
    CU_ASSERT_FALSE(value_parse_rate("1.5bit", &v));
    CU_ASSERT_FALSE(value_parse_rate("1GB", &v));
    CU_ASSERT_FALSE(value_parse_rate("18446744073710Tbit", &v));
    CU_ASSERT_TRUE(value_parse_size("1.5KiB", &v) && v == 1536);
    CU_ASSERT_FALSE(value_parse_size("0.3KiB", &v));
    CU_ASSERT_FALSE(value_parse_size("8MB", &v));
    CU_ASSERT_TRUE(value_parse_size("16777215TiB", &v));
    CU_ASSERT_FALSE(value_parse_size("16777216TiB", &v));
    CU_ASSERT_STRING_EQUAL(value_format_size(UINT64_C(3) << 30, buf, sizeof buf), "3GiB");
    CU_ASSERT_TRUE(value_parse_percent("99.95%", &v) && v == 99950);
    CU_ASSERT_STRING_EQUAL(value_format_percent(99950, buf, sizeof buf), "99.95%");
    CU_ASSERT_TRUE(value_parse_percent("0.001%", &v) && v == 1);
    CU_ASSERT_FALSE(value_parse_percent("0.0001%", &v));
    CU_ASSERT_FALSE(value_parse_percent("50", &v));
    CU_ASSERT_STRING_EQUAL(value_format_percent(100000, buf, sizeof buf), "100%");
}

static void
every_dscp_has_a_text_that_parses_to_it(void)
{
    static const char *const bad[] = {"",     "64",  "-1", "cs8",  "cs",   "af14",
                                      "af50", "af1", "EF", "cs00", "af111"};
    char buf[VALUE_TEXT_SIZE];
    uint8_t v;

    for (unsigned i = 0; i < 64; i++) {
        v = 255;
        CU_ASSERT_TRUE(value_parse_dscp(value_format_dscp((uint8_t)i, buf, sizeof buf), &v));
        CU_ASSERT_EQUAL(v, i);
    }
    CU_ASSERT_TRUE(value_parse_dscp("af41", &v) && v == 34);
    CU_ASSERT_TRUE(value_parse_dscp("cs6", &v) && v == 48);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_FALSE(value_parse_dscp(bad[i], &v));
    }
}

static void
instants_are_read_as_rfc_3339_has_them(void)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-02-16T00:00:00Z", INT64_C(1771200000) * NS_PER_S},
        {"2026-02-16T01:00:00+01:00", INT64_C(1771200000) * NS_PER_S},
        {"2026-02-15t19:30:00.5-04:30", INT64_C(1771200000) * NS_PER_S + NS_PER_S / 2},
        {"2000-02-29T00:00:00Z", INT64_C(951782400) * NS_PER_S},
        {"2100-03-01T00:00:00Z", INT64_C(4107542400) * NS_PER_S},
        {"2026-02-16T00:00:00.000000001Z", INT64_C(1771200000) * NS_PER_S + 1},
    };
    static const char *const bad[] = {
        "",
        "2026-02-16",
        "2026-02-16T00:00:00",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.0000000001Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00Zx",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "2262-01-01T00:00:00Z",
        "26-01-01T00:00:00Z",
    };
    struct instant at;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_TRUE(value_parse_instant(good[i].text, &at));
        CU_ASSERT_EQUAL(at.ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_FALSE(value_parse_instant(bad[i], &at));
    }
}

/* What is written canonically reads back as it was. */
static void
values_come_back_from_their_canonical_text(void)
{
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    char buf[VALUE_TEXT_SIZE];

    printf("(seed %u) ", seed);
    srandom(seed);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t v = ((uint64_t)random() << 32 ^ (uint64_t)random()) >> ((unsigned)random() % 63),
                 got;
        struct span s = span_of_ns((int64_t)(v >> 1)), span;
        struct instant at = instant_of_ns(s.ns), instant;

        for (unsigned n = (unsigned)random() % 4; n && v < UINT64_MAX / 1000; n--) {
            v *= 1000;
        }
        CU_ASSERT_TRUE(value_parse_rate(value_format_rate(v, buf, sizeof buf), &got) && got == v);
        CU_ASSERT_TRUE(value_parse_size(value_format_size(v, buf, sizeof buf), &got) && got == v);
        CU_ASSERT_TRUE(value_parse_span(value_format_span(s, buf, sizeof buf), &span) &&
                       span.ns == s.ns);
        v %= 100001;
        CU_ASSERT_TRUE(value_parse_percent(value_format_percent(v, buf, sizeof buf), &got) &&
                       got == v);
        if (at.ns < INT64_C(9214646400) * NS_PER_S) {
            CU_ASSERT_TRUE(value_parse_instant(instant_format(at, 9, buf, sizeof buf), &instant));
            CU_ASSERT_EQUAL(instant.ns, at.ns);
        }
    }
}

static void
names_have_one_alphabet_and_a_bound(void)
{
    char name[66];

    CU_ASSERT_TRUE(value_is_name("a"));
    CU_ASSERT_TRUE(value_is_name("0.-"));
    CU_ASSERT_FALSE(value_is_name(""));
    CU_ASSERT_FALSE(value_is_name("-a"));
    CU_ASSERT_FALSE(value_is_name(".a"));
    CU_ASSERT_FALSE(value_is_name("A"));
    CU_ASSERT_FALSE(value_is_name("a_b"));
    CU_ASSERT_FALSE(value_is_name("a b"));
    memset(name, 'a', sizeof name);
    name[63] = '\0';
    CU_ASSERT_TRUE(value_is_name(name));
    name[63] = 'a';
    name[64] = '\0';
    CU_ASSERT_FALSE(value_is_name(name));
}

static void
the_nearest_word_is_suggested_only_if_it_is_near(void)
{
    struct nearest n = {.wanted = "adress"};
    char buf[96];

    nearest_offer(&n, "probe");
    CU_ASSERT_PTR_NULL(n.best);
    nearest_offer(&n, "addressee");
    nearest_offer(&n, "address");
    nearest_offer(&n, "addresses");
    CU_ASSERT_STRING_EQUAL(nearest_text(&n, buf, sizeof buf), "; did you mean 'address'?");
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_file_may_have_its_greatest_size_and_not_one_byte_more",
         a_file_may_have_its_greatest_size_and_not_one_byte_more},
        {"a_line_may_have_its_greatest_length_and_not_one_byte_more",
         a_line_may_have_its_greatest_length_and_not_one_byte_more},
        {"nesting_may_have_its_greatest_depth_and_not_one_level_more",
         nesting_may_have_its_greatest_depth_and_not_one_level_more},
        {"values_may_be_as_many_as_the_bound_and_not_one_more",
         values_may_be_as_many_as_the_bound_and_not_one_more},
        {"a_bomb_of_aliases_does_not_go_off", a_bomb_of_aliases_does_not_go_off},
        {"a_quoted_merge_key_is_a_plain_word", a_quoted_merge_key_is_a_plain_word},
        {"text_that_is_not_utf8_is_told_at_its_place", text_that_is_not_utf8_is_told_at_its_place},
        {"a_question_mark_begins_no_key", a_question_mark_begins_no_key},
        {"tabs_indent_nothing_but_may_stand_in_text", tabs_indent_nothing_but_may_stand_in_text},
        {"every_node_knows_its_place", every_node_knows_its_place},
        {"keys_that_are_twice_are_told_and_the_first_stays",
         keys_that_are_twice_are_told_and_the_first_stays},
        {"faults_past_the_bound_are_only_counted", faults_past_the_bound_are_only_counted},
        {"a_long_line_is_shown_around_the_caret", a_long_line_is_shown_around_the_caret},
        {"a_line_with_escapes_is_shown_without_them", a_line_with_escapes_is_shown_without_them},
        {"spans_are_exact_and_have_units", spans_are_exact_and_have_units},
        {"rates_sizes_and_percentages_are_exact", rates_sizes_and_percentages_are_exact},
        {"every_dscp_has_a_text_that_parses_to_it", every_dscp_has_a_text_that_parses_to_it},
        {"instants_are_read_as_rfc_3339_has_them", instants_are_read_as_rfc_3339_has_them},
        {"values_come_back_from_their_canonical_text", values_come_back_from_their_canonical_text},
        {"names_have_one_alphabet_and_a_bound", names_have_one_alphabet_and_a_bound},
        {"the_nearest_word_is_suggested_only_if_it_is_near",
         the_nearest_word_is_suggested_only_if_it_is_near},
        CU_TEST_INFO_NULL};
    return run_suite("yaml", tests);
}
