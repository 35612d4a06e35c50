/* hookform_parts.h - what the files of hookform share: the dialogue, and how requests are put
 * together.  For hookform*.c only.
 *
 * After hookform.h, hooktext.h.  All texts are the hookform's pool's. */
#ifndef PLUMBLINE_HOOKFORM_PARTS_H
#define PLUMBLINE_HOOKFORM_PARTS_H

#include <stdio.h>

#include "hookform.h"
#include "hooktext.h"
#include "pool.h"

enum hookform_action {
    ACTION_OPEN,
    ACTION_CHANGE,
    ACTION_REMIND,
    ACTION_RESOLVE,
    ACTION_HEARTBEAT,
    ACTION_TEST,
    ACTIONS
};

/* What a kind does. */
struct hookform_kind {
    /* Fills the next request; false: see hookform_request(). */
    bool (*make)(struct hookform *f, struct hookform_request *r);
    /* Takes its answer. */
    enum hookform_verdict (*take)(struct hookform *f, const struct hookform_answer *a);
};

extern const struct hookform_kind hookform_webhook, hookform_template, hookform_servicenow_incident,
    hookform_servicenow_event, hookform_pagerduty, hookform_alertmanager, hookform_exec,
    hookform_mail;

#define HOOKFORM_WHY_SIZE 400u

struct hookform {
    const struct inv_hook *hook;
    const struct hookform_secrets *secrets;
    struct hookform_ticket known; /* Before this delivery. */
    struct instant now;
    unsigned tries;
    const struct hookform_kind *kind;
    struct pool *pool;

    cJSON *event;                /* A copy whose texts are clean, with the hook's fields. */
    enum hookform_action action; /* ACTIONS: of a release to come. */
    const char *id;              /* Of the problem, fit for headers and queries; never "". */
    const char *delivery;        /* The same over tries, and of no other delivery. */

    size_t step; /* Of the dialogue: each kind's own. */
    size_t peer;
    bool taken;                  /* By some member of an Alertmanager. */
    void *parts;                 /* What a kind keeps between the steps. */
    enum hookform_verdict worst; /* Of those that did not take it, and why; HOOKFORM_MORE: none. */
    const char *missed_why;
    struct hookform_request request;
    struct hookform_ticket ticket;
    const char *ticket_url;
    struct span wait;
    char why[HOOKFORM_WHY_SIZE];
};

/* --- The event (hookform_event.c) ------------------------------------------ */

/* A copy of 'event' in which no text can do harm; never NULL. */
cJSON *hookform_clean_event(struct pool *pool, const cJSON *event);

/* Of the event's member, or of a member's member; "" where there is none. */
const char *hookform_text(const struct hookform *f, const char *name);
const char *hookform_inner(const struct hookform *f, const char *object, const char *name);
/* 0 where it cannot be read. */
struct instant hookform_time(const struct hookform *f, const char *name);

/* The hook's field of that name; NULL: there is none. */
const char *hookform_field(const struct hookform *f, const char *name);
/* The page of a problem as the hook's field 'link' says, {{id}} filled in; NULL: there is none. */
const char *hookform_link(const struct hookform *f);

/* What people are told, many lines, at most 'max' octets. */
const char *hookform_story(const struct hookform *f, size_t max);
/* "[critical] title", "[resolved] title"; at most 'max' octets. */
const char *hookform_headline(const struct hookform *f, size_t max);

/* Copies of what of the event fits into 'max' octets of JSON: texts are cut, then lists. */
cJSON *hookform_shrunk(const cJSON *event, size_t max);

/* --- Requests (hookform.c) -------------------------------------------------- */

/* Sets the reason, and says false. */
bool hookform_refuse(struct hookform *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 'base' without its last slashes, and 'path'; where it ends with 'path' already, itself. */
const char *hookform_join(struct hookform *f, const char *base, const char *path);

/* Each of them: false, with the reason, where it would break the request. */
bool hookform_http(struct hookform *f, struct hookform_request *r, const char *method,
                   const char *url);
bool hookform_add_header(struct hookform *f, struct hookform_request *r, const char *name,
                         const char *value);
/* By the hook's auth_file, where there is one. */
bool hookform_authorize(struct hookform *f, struct hookform_request *r);
/* Takes 'body'. */
bool hookform_json(struct hookform *f, struct hookform_request *r, cJSON *body, const char *type);
/* A file's text without the line end behind it; NULL: there is none. */
const char *hookform_secret_line(struct hookform *f, const char *text);

/* What cJSON does with a check that memory was there.  The second takes 'item'. */
void hookform_put(cJSON *object, const char *name, const char *text);
void hookform_put_item(cJSON *object, const char *name, cJSON *item);

char *hookform_format(struct pool *pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A text that grows: to be written to, and ended by hookform_end_text(), which gives the pool's
 * copy. */
struct hookform_writer {
    FILE *to;
    char *text;
    size_t size;
};
void hookform_begin_text(struct hookform_writer *w);
char *hookform_end_text(struct hookform_writer *w, struct pool *pool, size_t *size);

/* --- Answers (hookform_answer.c) -------------------------------------------- */

/* By the status alone, with reason and wait; HOOKFORM_DONE for 2xx. */
enum hookform_verdict hookform_judge(struct hookform *f, const struct hookform_answer *a);
/* The same of SMTP. */
enum hookform_verdict hookform_judge_mail(struct hookform *f, const struct hookform_answer *a);

/* HOOKFORM_RETRY, since a 2xx answer is not what such a target says. */
enum hookform_verdict hookform_odd(struct hookform *f, const struct hookform_answer *a,
                                   const char *expected);

/* The body as JSON; NULL: it is none.  The caller's. */
cJSON *hookform_parse(const struct hookform_answer *a);

/* A ticket's identifier or number as an answer has it, which is a text or a number; NULL: none, or
 * nothing that can be kept. */
const char *hookform_answer_text(struct hookform *f, const cJSON *item);

#endif
