/* hookform.h - from an event of the outbox to what is sent to a hook's target, and from its answers
 * to what became of it.
 *
 * After inventory.h (the hook), doc/problems.md (the event); before courier.h, which sends.  Does
 * no I/O and knows no clock: a delivery is a dialogue of one or more requests (ServiceNow is asked
 * first what it has), each made from the answers before.  One file a kind: hookform_alertmanager.c
 * ... Shapes: Alertmanager API v2, PagerDuty Events API v2, ServiceNow Table API, CloudEvents 1.0
 * with Standard Webhooks, RFC 5322 for mail. */
#ifndef PLUMBLINE_HOOKFORM_H
#define PLUMBLINE_HOOKFORM_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "inventory_sold.h"
#include "nstime.h"

/* What the hook's files hold, read by the caller; NULL: the hook names none.  Never logged. */
struct hookform_secrets {
    const char *auth;      /* auth_file: "user:password", or a whole header "Authorization: ...";
                              PagerDuty's routing key; of mail "user:password". */
    const char *secret;    /* secret_file: "whsec_" and base64, or the bytes themselves. */
    size_t secret_size;    /* Decoded by hookform; as it is in the file here. */
    const char *template_; /* template_file */
};

/* What the target has of this problem already. */
struct hookform_ticket {
    bool there;
    bool closed;       /* By the target: not to be touched, a new one refers to it. */
    const char *ref;   /* "" where it has none. */
    const char *shown; /* "INC0012345" */
};

enum hookform_by { HOOKFORM_HTTP, HOOKFORM_MAIL, HOOKFORM_EXEC };

struct hookform_header {
    const char *name, *value; /* No line ends in either. */
};

#define HOOKFORM_HEADERS_MAX 12

/* All of it is the hookform's until the next call. */
struct hookform_request {
    enum hookform_by by;
    const char *method;        /* "GET", "POST", "PATCH" */
    const char *url;           /* Of an Alertmanager's peer number 'peer' (0: url itself). */
    const char *user_password; /* NULL: none; for CURLOPT_USERPWD. */
    struct hookform_header headers[HOOKFORM_HEADERS_MAX]; /* Mail: none; exec: the environment. */
    size_t header_count;
    const char *body; /* Mail: the message, CRLF, dot-stuffing is the transport's. */
    size_t body_size;
    size_t peer;
    bool once; /* Sent twice it makes two: the transport must not try it again by itself. */
};

enum hookform_verdict {
    HOOKFORM_MORE,     /* hookform_request() has another. */
    HOOKFORM_DONE,     /* Delivered: ticket() says what the target has now. */
    HOOKFORM_RETRY,    /* Later, from the beginning. */
    HOOKFORM_DEAD,     /* Never: it would be refused again. */
    HOOKFORM_DISABLED, /* The target wants nothing any more (410). */
};

struct hookform_answer {
    int status;              /* HTTP or SMTP status; exec: the exit status; 0: there was none. */
    const char *error;       /* Why there was none: "timed out"; NULL. */
    const char *retry_after; /* The header as it came (seconds, or an HTTP date); NULL. */
    const char *body;        /* At most 64 KiB of it; never NULL. */
    size_t body_size;
};

struct hookform;

/* 'now' is of the delivery (webhook-timestamp).  'tries' that there were before: after one whose
 * answer was not seen the target is asked first.  All is borrowed until hookform_free(); never
 * NULL. */
struct hookform *hookform_new(const struct inv_hook *hook, const struct hookform_secrets *secrets,
                              const cJSON *event, const struct hookform_ticket *ticket,
                              struct instant now, unsigned tries);
void hookform_free(struct hookform *f);

/* The next request.  NULL with a reason in hookform_why(): it cannot be made (a template that is
 * wrong), which is HOOKFORM_DEAD.  NULL while hookform_why() is "": there is nothing to say of that
 * to such a target (a heartbeat to PagerDuty), which is HOOKFORM_DONE with the ticket as it was. */
const struct hookform_request *hookform_request(struct hookform *f);

/* Takes the answer to the request made last. */
enum hookform_verdict hookform_answer(struct hookform *f, const struct hookform_answer *a);

/* After HOOKFORM_RETRY: how long the target asked to wait; 0: it did not.  At most a day. */
struct span hookform_wait(const struct hookform *f);

/* After HOOKFORM_DONE: valid until hookform_free(). */
struct hookform_ticket hookform_ticket(const struct hookform *f);
const char *hookform_ticket_url(const struct hookform *f);

/* What went wrong last, one line, without control characters and secrets: "400: label is too long";
 * "": nothing.  After HOOKFORM_DONE of an Alertmanager: which of its members did not take it. */
const char *hookform_why(const struct hookform *f);

/* Whether a target of that kind must be told again and again while a problem is open (Alertmanager:
 * each minute, with an end 5 min ahead); 0: no. */
struct span hookform_again(const struct inv_hook *hook);

#endif
