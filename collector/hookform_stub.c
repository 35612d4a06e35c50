/* hookform_stub.c - a plain webhook, until the forms are there. */
#include "hookform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hookform {
    const struct inv_hook *hook;
    char *body;
    char why[128];
    struct span wait;
    struct hookform_request request;
};

struct hookform *
hookform_new(const struct inv_hook *hook, const struct hookform_secrets *secrets,
             const cJSON *event, const struct hookform_ticket *ticket, struct instant now,
             unsigned tries)
{
    struct hookform *f = calloc(1, sizeof *f);

    (void)secrets, (void)ticket, (void)now, (void)tries;
    if (f) {
        f->hook = hook;
        f->body = cJSON_PrintUnformatted(event);
    }
    return f;
}

void
hookform_free(struct hookform *f)
{
    if (f) {
        free(f->body);
        free(f);
    }
}

const struct hookform_request *
hookform_request(struct hookform *f)
{
    f->request = (struct hookform_request){.by = f->hook->command ? HOOKFORM_EXEC : HOOKFORM_HTTP,
                                           .method = "POST",
                                           .url = f->hook->url,
                                           .body = f->body,
                                           .body_size = strlen(f->body)};
    return &f->request;
}

enum hookform_verdict
hookform_answer(struct hookform *f, const struct hookform_answer *a)
{
    snprintf(f->why, sizeof f->why, "%d: %.60s", a->status, a->error ? a->error : a->body);
    f->wait.ns = a->retry_after ? atoll(a->retry_after) * NS_PER_S : 0;
    if (a->error) {
        return HOOKFORM_RETRY;
    }
    if (f->hook->command) {
        return a->status ? HOOKFORM_RETRY : HOOKFORM_DONE;
    }
    return a->status / 100 == 2                                 ? HOOKFORM_DONE
           : a->status == 410                                   ? HOOKFORM_DISABLED
           : !a->status || a->status == 429 || a->status >= 500 ? HOOKFORM_RETRY
                                                                : HOOKFORM_DEAD;
}

struct span
hookform_wait(const struct hookform *f)
{
    return f->wait;
}

struct hookform_ticket
hookform_ticket(const struct hookform *f)
{
    (void)f;
    return (struct hookform_ticket){.there = true, .ref = "", .shown = ""};
}

const char *
hookform_ticket_url(const struct hookform *f)
{
    (void)f;
    return "";
}

const char *
hookform_why(const struct hookform *f)
{
    return f->why;
}

struct span
hookform_again(const struct inv_hook *hook)
{
    return span_of_ns(hook->kind == INV_HOOK_ALERTMANAGER ? 60 * NS_PER_S : 0);
}
