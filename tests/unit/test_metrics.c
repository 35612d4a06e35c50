/* test_metrics.c - the page that Prometheus reads: families together, names and
 * labels that it takes, counters of links that never go back; and its serving. */
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#include "log.h"
#include "nstime.h"
#include "scrape.h"
#include "tally.h"

static char text[1 << 16];

static const char *
page_of(struct metrics *m)
{
    struct evbuffer *out = evbuffer_new();

    CU_ASSERT_EQUAL(metrics_format(m, out), 0);
    int size = evbuffer_remove(out, text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    evbuffer_free(out);
    metrics_free(m);
    return text;
}

static void
samples_of_a_family_stand_together_whatever_their_order(void)
{
    struct metrics *m = metrics_new("probe");
    const struct metrics_label a[] = {{"link", "a"}, {NULL, NULL}},
                               b[] = {{"link", "b"}, {"class", "gold"}, {NULL, NULL}};

    metrics_gauge(m, "x_bytes", "Bytes.", a, 1);
    metrics_counter(m, "y", "Times.", NULL, UINT64_MAX);
    metrics_gauge(m, "x_bytes", "Other words.", b, 2);
    CU_ASSERT_STRING_EQUAL(page_of(m), "# HELP plumbline_probe_x_bytes Bytes.\n"
                                       "# TYPE plumbline_probe_x_bytes gauge\n"
                                       "plumbline_probe_x_bytes{link=\"a\"} 1\n"
                                       "plumbline_probe_x_bytes{link=\"b\",class=\"gold\"} 2\n"
                                       "# HELP plumbline_probe_y_total Times.\n"
                                       "# TYPE plumbline_probe_y_total counter\n"
                                       "plumbline_probe_y_total 18446744073709551615\n");
}

static void
what_may_not_stand_in_a_name_or_a_label_is_changed(void)
{
    struct metrics *m = metrics_new("probe");
    const struct metrics_label bad[] = {{"link", "a\"b\\c\nd"}, {NULL, NULL}};

    metrics_gauge(m, "a-b.c", "One\nline \\ \"two\".", bad, 0.5);
    CU_ASSERT_STRING_EQUAL(page_of(m), "# HELP plumbline_probe_a_b_c One\\nline \\\\ \"two\".\n"
                                       "# TYPE plumbline_probe_a_b_c gauge\n"
                                       "plumbline_probe_a_b_c{link=\"a\\\"b\\\\c\\nd\"} 0.5\n");
}

static void
values_are_written_as_prometheus_reads_them(void)
{
    static const struct {
        double value;
        const char *words;
    } cases[] = {
        {0, " 0\n"},           {-1, " -1\n"},          {1e15, " 1000000000000000\n"},
        {0x1p53, "e+15\n"},    {0.1, " 0.1\n"},        {1e-9, " 1e-09\n"},
        {INFINITY, " +Inf\n"}, {-INFINITY, " -Inf\n"}, {NAN, " NaN\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct metrics *m = metrics_new("x");
        metrics_gauge(m, "v", "V.", NULL, cases[i].value);
        const char *page = page_of(m), *at = strstr(page, "gauge\n");
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        CU_ASSERT_PTR_NOT_NULL(strstr(at, cases[i].words));
    }
}

static void
every_counter_of_a_group_has_name_help_and_type(void)
{
    static const char *const names[] = {"stranger", "of_tomorrow"};
    struct counter counters[2] = {{7}, {9}};
    const struct counter_group group = {"reflector", names, counters, 2};
    struct metrics *m = metrics_new("probe");

    metrics_group(m, &group, NULL);
    const char *page = page_of(m);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "plumbline_probe_reflector_stranger_total 7\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, metrics_help("reflector", "stranger")));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "plumbline_probe_reflector_of_tomorrow_total 9\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "# HELP plumbline_probe_reflector_of_tomorrow_total W"));
    CU_ASSERT_PTR_NULL(metrics_help("reflector", "of_tomorrow"));
    CU_ASSERT_PTR_NULL(metrics_help("sender", "stranger"));
    CU_ASSERT_PTR_NOT_NULL(metrics_help("sender", "kernel_drops"));
}

/* --- Counters of links. --- */

static void
sum_link(const char *object, const struct counter_group *group, size_t sessions, void *aux)
{
    uint64_t *sum = aux;

    (void)object;
    sum[0]++;
    sum[1] += counter_get(&group->counters[0]);
    sum[2] += sessions;
}

/* Sessions count, end and begin at random; no link's sum ever goes back. */
static void
a_link_s_counters_never_go_back(void)
{
    static const char *const names[] = {"n"}, *const links[] = {"a", "b", "c"};
    struct tally *t = tally_new();
    struct counter live[3][4] = {{{0}}};
    uint64_t total = 0;

    for (int step = 0; step < 2000; step++) {
        size_t link = random_below(3), session = random_below(4);
        struct counter *c = &live[link][session];
        struct counter_group group = {"match", names, c, 1};
        if (random_chance(200)) {
            CU_ASSERT_EQUAL(tally_keep(t, links[link], &group), 0);
            counter_set(c, 0);
        } else {
            counter_add(c, 1);
            total++;
        }
        if (random_chance(100)) {
            uint64_t sum[3] = {0};
            tally_begin(t);
            for (size_t i = 0; i < 12; i++) {
                group.counters = &live[i / 4][i % 4];
                CU_ASSERT_EQUAL(tally_add(t, links[i / 4], &group), 0);
            }
            tally_each(t, sum_link, sum);
            CU_ASSERT_EQUAL(sum[0], 3);
            CU_ASSERT_EQUAL(sum[1], total);
            CU_ASSERT_EQUAL(sum[2], 12);
        }
    }
    tally_free(t);
}

/* --- Serving. --- */

static unsigned fills;

static void
fill(struct metrics *m, void *aux)
{
    (void)aux;
    metrics_gauge(m, "fills", "Fills.", NULL, ++fills);
}

/* A loopback port that nobody has. */
static uint16_t
a_port(int *keep)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_TRUE_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&in, size) == 0);
    CU_ASSERT_TRUE_FATAL(getsockname(fd, (struct sockaddr *)&in, &size) == 0);
    if (keep) {
        CU_ASSERT_EQUAL(listen(fd, 1), 0);
        *keep = fd;
    } else {
        close(fd);
    }
    return ntohs(in.sin_port);
}

/* Sends 'request' and turns the loop until the answer's end; '\0'-ended. */
static const char *
ask(struct event_base *base, uint16_t port, const char *request)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t size = 0;
    struct span end = {mono_now().ns + 60 * NS_PER_S};

    text[0] = '\0';
    if (connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        close(fd);
        return text;
    }
    CU_ASSERT_EQUAL(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (mono_now().ns < end.ns) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, text + size, sizeof text - 1 - size, MSG_DONTWAIT);
        if (n == 0) {
            break;
        }
        size += n > 0 ? (size_t)n : 0;
        usleep(200);
    }
    text[size] = '\0';
    close(fd);
    return text;
}

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void
the_page_is_served_and_nothing_else(void)
{
    struct event_base *base = event_base_new();
    struct scrape *s = NULL;
    uint16_t port = a_port(NULL);
    char listen[32], overlong[10000];

    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    CU_ASSERT_EQUAL(scrape_new(&s, base, listen, "probe", fill, NULL), 0);
    const char *got = ask(base, port, GET);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "HTTP/1.1 200 OK"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "Content-Type: " METRICS_CONTENT_TYPE));
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "\nplumbline_probe_fills "));
    got = ask(base, port, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "HTTP/1.1 404"));
    got =
        ask(base, port,
            "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CU_ASSERT_PTR_NULL(strstr(got, "200 OK"));
    memset(overlong, 'a', sizeof overlong);
    memcpy(overlong, "GET /", 5);
    memcpy(overlong + sizeof overlong - 5, "\r\n\r\n", 5);
    got = ask(base, port, overlong);
    CU_ASSERT_PTR_NULL(strstr(got, "200 OK"));
    scrape_free(s);
    event_base_free(base);
}

static void
asking_often_makes_the_page_no_more_often(void)
{
    struct event_base *base = event_base_new();
    struct scrape *s = NULL;
    uint16_t port = a_port(NULL);
    char listen[32];

    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    CU_ASSERT_EQUAL(scrape_new(&s, base, listen, "probe", fill, NULL), 0);
    unsigned before = fills, asked = 0;
    struct span begin = mono_now();
    while (mono_now().ns - begin.ns < 2 * NS_PER_S) {
        CU_ASSERT_PTR_NOT_NULL(strstr(ask(base, port, GET), "200 OK"));
        asked++;
    }
    int64_t took = mono_now().ns - begin.ns;
    CU_ASSERT_TRUE(fills > before);
    CU_ASSERT_TRUE(fills - before <= asked);
    CU_ASSERT_TRUE((int64_t)(fills - before) <= took / NS_PER_S + 1);
    scrape_free(s);
    event_base_free(base);
}

static void
an_address_that_is_taken_is_tried_again(void)
{
    struct event_base *base = event_base_new();
    struct scrape *s = NULL;
    int other;
    uint16_t port = a_port(&other);
    char listen[32];
    struct span end = {mono_now().ns + 60 * NS_PER_S};

    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    CU_ASSERT_EQUAL(scrape_new(&s, base, listen, "probe", fill, NULL), 0);
    close(other);
    while (!strstr(ask(base, port, GET), "200 OK") && mono_now().ns < end.ns) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        usleep(10000);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "200 OK"));
    scrape_free(s);
    CU_ASSERT_EQUAL(scrape_new(&s, base, "localhost:9470", "probe", fill, NULL), -EINVAL);
    CU_ASSERT_EQUAL(scrape_new(&s, base, "127.0.0.1", "probe", fill, NULL), -EINVAL);
    event_base_free(base);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"samples_of_a_family_stand_together_whatever_their_order",
         samples_of_a_family_stand_together_whatever_their_order},
        {"what_may_not_stand_in_a_name_or_a_label_is_changed",
         what_may_not_stand_in_a_name_or_a_label_is_changed},
        {"values_are_written_as_prometheus_reads_them",
         values_are_written_as_prometheus_reads_them},
        {"every_counter_of_a_group_has_name_help_and_type",
         every_counter_of_a_group_has_name_help_and_type},
        {"a_link_s_counters_never_go_back", a_link_s_counters_never_go_back},
        {"the_page_is_served_and_nothing_else", the_page_is_served_and_nothing_else},
        {"asking_often_makes_the_page_no_more_often", asking_often_makes_the_page_no_more_often},
        {"an_address_that_is_taken_is_tried_again", an_address_that_is_taken_is_tried_again},
        CU_TEST_INFO_NULL};

    random_begin();
    log_set_level(LOG_LEVEL_ERROR);
    return run_suite("metrics", tests);
}
