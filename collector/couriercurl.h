/* couriercurl.h - one request of a hook by libcurl, HTTP or SMTP, and its answer.
 *
 * After hookform.h; before courier.c, whose multi handle it runs in.  TLS is always verified,
 * nothing is redirected, no proxy is used that the environment names, no other protocol is spoken
 * than what the request is.  Of an answer 64 KiB are kept, and what is longer is cut off. */
#ifndef PLUMBLINE_COURIERCURL_H
#define PLUMBLINE_COURIERCURL_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "hookform.h"
#include "inventory_sold.h"

#define COURIERCURL_ANSWER_MAX ((size_t)64 << 10)

/* Zero-initialised is fine.  Used again for each request. */
struct couriercurl {
    CURL *easy;
    struct curl_slist *headers, *to;
    const char *mail; /* What is left to be sent of one. */
    size_t mail_left;
    char *body; /* COURIERCURL_ANSWER_MAX + 1. */
    size_t body_size, head_size;
    bool running, cut;
    unsigned refused; /* Recipients of a mail that were. */
    char retry_after[64];
    char error[CURL_ERROR_SIZE];
};

void couriercurl_fini(struct couriercurl *t);

/* Adds it to 'multi'; CURLINFO_PRIVATE is 'aux'.  'folder' is of the hook's files.  'r' is borrowed
 * until the end.  0, -ENOMEM, or -EINVAL: the hook cannot be spoken to so. */
int couriercurl_start(struct couriercurl *t, CURLM *multi, const struct inv_hook *hook,
                      const char *folder, const struct hookform_request *r, void *aux);

/* Takes it out of 'multi' when that said so.  The answer is valid until the next start. */
struct hookform_answer couriercurl_end(struct couriercurl *t, CURLM *multi, CURLcode result);

/* Gives it up; one that does not run is fine. */
void couriercurl_cancel(struct couriercurl *t, CURLM *multi);

#endif
