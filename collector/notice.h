/* notice.h - what is said of a problem to whom: which hooks want it, and the event by each's view
 * (doc/problems.md).
 *
 * After problem.h, evidence.h; before desk.h.  Does no I/O; 'now' is given.  A tenant's view is
 * made from his own services alone: nothing else can get into it by oversight. */
#ifndef PLUMBLINE_NOTICE_H
#define PLUMBLINE_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "inventory_sold.h"
#include "nstime.h"
#include "problem.h"
#include "reach.h"

struct notice_context {
    const struct reach *reach;
    const char *installation;
    struct instant now;
};

/* What is the same for all hooks of one problem. */
struct notice {
    const struct notice_context *c;
    const struct problem *p;
    const struct symptom **symptoms; /* Of links, by link; those that are raised first. */
    size_t symptom_count;
    char title[1024];
};

/* 'p' outlives it and stays as it is.  0 or -ENOMEM. */
int notice_init(struct notice *n, const struct notice_context *c, const struct problem *p);
void notice_fini(struct notice *n);

/* Whether the hook is to hear of the problem: its state, 'when', and of one of a tenant whether
 * that tenant is touched. */
bool notice_is_wanted(const struct notice *n, const struct inv_hook *h);
/* Whether the problem is open in its view: for a tenant it is over when his services are no longer
 * touched. */
bool notice_is_open(const struct notice *n, const struct inv_hook *h);

/* The event; the caller's.  'action': open, change, remind, resolve.  NULL: memory is out. */
cJSON *notice_event(const struct notice *n, const struct inv_hook *h, const char *action);

/* What of an event, to a tenant, is worth another message when it changes: severity, services and
 * which are bad. */
uint64_t notice_print(const cJSON *event);

/* One line, for people. */
void notice_title(const struct notice *n, char *buf, size_t size);
/* What is wrong with the link of symptoms[from] up to symptoms[until]. */
void notice_link_text(const struct notice *n, size_t from, size_t until, char *buf, size_t size);
/* Where the symptoms of the next link begin. */
size_t notice_next_link(const struct notice *n, size_t from);
/* Several lines, for people; the caller's. */
char *notice_text(const struct notice *n);
char *notice_tenant_text(const struct notice *n, const struct inv_tenant *t, char *title,
                         size_t title_size);

#endif
