/* couriercurl.c - sets up a transfer and takes its answer. */
#include "couriercurl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* All headers of an answer together. */
#define HEAD_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 15000 /* Of a hook that names none. */

void
couriercurl_fini(struct couriercurl *t)
{
    assert(!t->running);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->to);
    free(t->body);
    *t = (struct couriercurl){0};
}

/* --- What libcurl calls --------------------------------------------------- */

static size_t
on_body(char *at, size_t size, size_t count, void *aux)
{
    struct couriercurl *t = aux;
    size_t n = size * count, room = COURIERCURL_ANSWER_MAX - t->body_size;
    size_t part = n < room ? n : room;

    memcpy(t->body + t->body_size, at, part);
    t->body_size += part;
    t->cut = part < n;
    return part; /* Less than it is ends the transfer. */
}

/* A header line, or a line of a mail server's answers. */
static size_t
on_head(char *at, size_t size, size_t count, void *aux)
{
    static const char name[] = "retry-after:";
    struct couriercurl *t = aux;
    size_t n = size * count, length = sizeof name - 1;

    t->head_size += n;
    if (t->head_size > HEAD_MAX) {
        t->cut = true;
        return 0;
    }
    /* x5z speaks of mailboxes (RFC 5321, 4.2.1). */
    if (t->to && n > 3 && (at[0] == '4' || at[0] == '5') && at[1] == '5') {
        t->refused++;
    }
    if (!t->to && n > length && strncasecmp(at, name, length) == 0) {
        while (length < n && isspace((unsigned char)at[length])) {
            length++;
        }
        snprintf(t->retry_after, sizeof t->retry_after, "%.*s", (int)(n - length), at + length);
        t->retry_after[strcspn(t->retry_after, "\r\n")] = '\0';
    }
    return n;
}

static size_t
on_read(char *to, size_t size, size_t count, void *aux)
{
    struct couriercurl *t = aux;
    size_t n = size * count < t->mail_left ? size * count : t->mail_left;

    memcpy(to, t->mail, n);
    t->mail += n;
    t->mail_left -= n;
    return n;
}

/* --- Setting up ----------------------------------------------------------- */

/* Each option may fail for want of memory only: libcurl is of the release that it was built
 * against. */
#define SET(t, option, value) (curl_easy_setopt((t)->easy, option, value) == CURLE_OK)

static bool
append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    *list = longer ? longer : *list;
    return longer;
}

static bool
add_header(struct couriercurl *t, const struct hookform_header *h)
{
    char *line = NULL;
    bool good = asprintf(&line, "%s: %s", h->name, h->value) >= 0 && append(&t->headers, line);

    if (line) {
        explicit_bzero(line, strlen(line));
    }
    free(line);
    return good;
}

static bool
set_http(struct couriercurl *t, const struct hookform_request *r)
{
    bool good = SET(t, CURLOPT_PROTOCOLS_STR, "http,https") &&
                SET(t, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
                SET(t, CURLOPT_USERAGENT, "plumbline/" PLUMBLINE_VERSION) &&
                SET(t, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);

    if (strcmp(r->method, "GET") == 0) {
        good = good && SET(t, CURLOPT_HTTPGET, 1L);
    } else {
        good = good && SET(t, CURLOPT_POST, 1L) && SET(t, CURLOPT_CUSTOMREQUEST, r->method) &&
               SET(t, CURLOPT_POSTFIELDS, r->body ? r->body : "") &&
               SET(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size);
    }
    for (size_t i = 0; good && i < r->header_count; i++) {
        good = add_header(t, &r->headers[i]);
    }
    /* libcurl sends again, without a word, what a connection that it had kept did not answer. */
    good = good && (!r->once || SET(t, CURLOPT_FRESH_CONNECT, 1L));
    /* It is not waited for a leave to send. */
    return good && append(&t->headers, "Expect:") && SET(t, CURLOPT_HTTPHEADER, t->headers);
}

static bool
set_mail(struct couriercurl *t, const struct inv_hook *hook, const struct hookform_request *r)
{
    /* A password does not go over a network in clear, whatever the server offers. */
    bool must = r->user_password || strncmp(r->url, "smtps:", 6) == 0;
    bool good = true;

    t->mail = r->body;
    t->mail_left = r->body_size;
    for (size_t i = 0; good && i < hook->to_count; i++) {
        good = append(&t->to, hook->to[i]);
    }
    return good && SET(t, CURLOPT_PROTOCOLS_STR, "smtp,smtps") &&
           SET(t, CURLOPT_USE_SSL, (long)(must ? CURLUSESSL_ALL : CURLUSESSL_TRY)) &&
           SET(t, CURLOPT_MAIL_FROM, hook->from ? hook->from : "") &&
           SET(t, CURLOPT_MAIL_RCPT, t->to) &&
           /* One address that is not any more must not keep the mail from the others. */
           SET(t, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L) && SET(t, CURLOPT_UPLOAD, 1L) &&
           SET(t, CURLOPT_READFUNCTION, on_read) && SET(t, CURLOPT_READDATA, t) &&
           SET(t, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_size) &&
           /* Mail servers do not like to be kept waiting. */
           SET(t, CURLOPT_FORBID_REUSE, 1L);
}

static bool
set_common(struct couriercurl *t, const struct inv_hook *hook, const char *folder,
           const struct hookform_request *r, void *aux)
{
    char path[PATH_MAX];
    long timeout_ms = hook->timeout.ns ? (long)(hook->timeout.ns / NS_PER_MS) : TIMEOUT_MS;
    bool good = SET(t, CURLOPT_URL, r->url) && SET(t, CURLOPT_PRIVATE, aux) &&
                SET(t, CURLOPT_ERRORBUFFER, t->error) && SET(t, CURLOPT_NOSIGNAL, 1L) &&
                /* Of all of it: who sends a byte a second gains nothing. */
                SET(t, CURLOPT_TIMEOUT_MS, timeout_ms) &&
                SET(t, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) &&
                SET(t, CURLOPT_SERVER_RESPONSE_TIMEOUT, timeout_ms / 1000 + 1) &&
                SET(t, CURLOPT_PROXY, "") && SET(t, CURLOPT_FOLLOWLOCATION, 0L) &&
                SET(t, CURLOPT_SSL_VERIFYPEER, 1L) && SET(t, CURLOPT_SSL_VERIFYHOST, 2L) &&
                SET(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
                SET(t, CURLOPT_WRITEFUNCTION, on_body) && SET(t, CURLOPT_WRITEDATA, t) &&
                SET(t, CURLOPT_HEADERFUNCTION, on_head) && SET(t, CURLOPT_HEADERDATA, t);

    if (good && r->user_password) {
        good = SET(t, CURLOPT_USERPWD, r->user_password);
    }
    if (good && hook->ca_file) {
        snprintf(path, sizeof path, "%s/%s", folder, hook->ca_file);
        good = SET(t, CURLOPT_CAINFO, path) && SET(t, CURLOPT_CAPATH, NULL);
    }
    return good;
}

int
couriercurl_start(struct couriercurl *t, CURLM *multi, const struct inv_hook *hook,
                  const char *folder, const struct hookform_request *r, void *aux)
{
    assert(!t->running);
    t->easy = t->easy ? t->easy : curl_easy_init();
    t->body = t->body ? t->body : malloc(COURIERCURL_ANSWER_MAX + 1);
    if (!t->easy || !t->body) {
        return -ENOMEM;
    }
    curl_easy_reset(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->to);
    t->headers = t->to = NULL;
    t->body_size = t->head_size = t->refused = 0;
    t->cut = false;
    t->error[0] = t->retry_after[0] = '\0';
    if (!set_common(t, hook, folder, r, aux) ||
        !(r->by == HOOKFORM_MAIL ? set_mail(t, hook, r) : set_http(t, r))) {
        return -EINVAL;
    }
    if (curl_multi_add_handle(multi, t->easy) != CURLM_OK) {
        return -ENOMEM;
    }
    t->running = true;
    return 0;
}

/* --- The end -------------------------------------------------------------- */

void
couriercurl_cancel(struct couriercurl *t, CURLM *multi)
{
    if (t->running) {
        curl_multi_remove_handle(multi, t->easy);
        t->running = false;
    }
}

struct hookform_answer
couriercurl_end(struct couriercurl *t, CURLM *multi, CURLcode result)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    couriercurl_cancel(t, multi);
    t->body[t->body_size] = '\0';
    struct hookform_answer a = {.status = (int)status,
                                .retry_after = t->retry_after[0] ? t->retry_after : NULL,
                                .body = t->body,
                                .body_size = t->body_size};
    /* What was cut off is an answer; a mail server's refusal is one too. */
    bool answered = result == CURLE_OK || (t->cut && result == CURLE_WRITE_ERROR) ||
                    (t->to && status >= 400 && result != CURLE_OPERATION_TIMEDOUT);
    if (!answered) {
        a.status = 0;
        a.error = result == CURLE_OPERATION_TIMEDOUT ? "timed out"
                  : t->error[0]                      ? t->error
                                                     : curl_easy_strerror(result);
    } else if (t->to && status < 400) {
        a.status = 250;
    }
    return a;
}
