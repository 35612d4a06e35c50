/* hookform_answer.c - see hookform.h: what an answer means.
 *
 * What would be refused again is dead.  What the target, its operator or the network may mend is
 * tried again: also 401, 403 and 404, for a password or an address that somebody corrects must not
 * have cost the alarms of the night. */
#include "hookform_parts.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400
#define TOLD_MAX 200u

/* --- Retry-After (RFC 9110, 10.2.3) ----------------------------------------- */

static struct span
bounded(int64_t seconds)
{
    int64_t s = seconds < 0 ? 0 : seconds;

    return span_of_ns((s > DAY_S ? DAY_S : s) * NS_PER_S);
}

/* The three forms of dates that RFC 9110, 5.6.7 has. */
static bool
parse_date(const char *text, int64_t *seconds)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};

    for (size_t i = 0; i < 3; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end && end[strspn(end, " \t")] == '\0') {
            *seconds = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}

static struct span
wait_of(const char *text, struct instant now)
{
    int64_t seconds = 0;
    size_t digits;

    if (!text) {
        return span_of_ns(0);
    }
    text += strspn(text, " \t");
    digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits + strspn(text + digits, " \t")] == '\0') {
        for (size_t i = 0; i < digits && seconds <= DAY_S; i++) {
            seconds = 10 * seconds + (text[i] - '0');
        }
        return bounded(seconds);
    }
    if (!parse_date(text, &seconds)) {
        return span_of_ns(0);
    }
    return bounded(seconds - now.ns / NS_PER_S);
}

/* --- What the target said of it ---------------------------------------------- */

cJSON *
hookform_parse(const struct hookform_answer *a)
{
    return a->body_size > 0 ? cJSON_ParseWithLength(a->body, a->body_size) : NULL;
}

const char *
hookform_answer_text(struct hookform *f, const cJSON *item)
{
    const char *text = cJSON_GetStringValue(item);

    if (cJSON_IsNumber(item)) {
        text = hookform_format(f->pool, "%.0f", cJSON_GetNumberValue(item));
    }
    if (!text || !*text || strlen(text) > 200) {
        return NULL;
    }
    return hooktext_clean(f->pool, text, strlen(text), false);
}

static const char *
message_at(const cJSON *o)
{
    static const char *const names[] = {"message", "error",  "detail",       "title",
                                        "status",  "errors", "errorMessages"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const cJSON *item = cJSON_GetObjectItem(o, names[i]);
        item = cJSON_IsArray(item) ? item->child : item;
        item = cJSON_IsObject(item) ? cJSON_GetObjectItem(item, "message") : item;
        if (cJSON_IsString(item) && *item->valuestring) {
            return item->valuestring;
        }
    }
    return NULL;
}

/* A target may give back what it was sent. */
static void
hide(char *text, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;
    char *at;

    while (length > 3 && (at = strstr(text, secret))) {
        memset(at, '*', length);
    }
}

static void
hide_secrets(struct hookform *f, char *text)
{
    const char *auth = hookform_secret_line(f, f->secrets->auth);

    hide(text, auth);
    if (auth) {
        const char *last = strrchr(auth, ' '), *password = strchr(auth, ':');
        hide(text, last ? last + 1 : NULL);
        hide(text, password ? password + 1 : NULL);
        hide(text, hooktext_base64(f->pool, auth, strlen(auth)));
    }
    if (f->secrets->secret) {
        hide(text, hookform_secret_line(
                       f, pool_text(f->pool, f->secrets->secret, f->secrets->secret_size)));
    }
}

static const char *
told(struct hookform *f, const struct hookform_answer *a)
{
    cJSON *json = hookform_parse(a);
    const char *message = json ? message_at(json) : NULL;
    size_t size = message ? strlen(message) : a->body_size;
    char *clean =
        hooktext_clean(f->pool, message ? message : a->body, size < 4096 ? size : 4096, false);

    cJSON_Delete(json);
    hide_secrets(f, clean);
    while (*clean == ' ') {
        clean++;
    }
    return hooktext_cut(f->pool, clean, TOLD_MAX);
}

/* "400: label is too long" */
static void
say(struct hookform *f, const struct hookform_answer *a, const char *ours)
{
    const char *theirs = told(f, a);

    if (a->status == 0) {
        hookform_refuse(f, "%s", a->error ? a->error : "no answer");
    } else {
        hookform_refuse(f, "%d: %s%s%s", a->status, ours, *ours && *theirs ? ": " : "", theirs);
    }
}

/* --- Verdicts ----------------------------------------------------------------- */

static enum hookform_verdict
by_status(int status, const char **ours)
{
    if (status >= 300 && status < 400) {
        *ours = "redirects are not followed: put the final address into url";
        return HOOKFORM_DEAD;
    }
    if (status < 200 || status >= 500) {
        return HOOKFORM_RETRY;
    }
    switch (status) {
    case 401:
    case 407:
        *ours = "look at auth_file";
        return HOOKFORM_RETRY;
    case 402:
    case 403:
    case 404:
    case 408:
    case 409:
    case 421:
    case 423:
    case 425:
    case 429:
        return HOOKFORM_RETRY;
    case 410:
        *ours = "it wants nothing any more";
        return HOOKFORM_DISABLED;
    default:
        return HOOKFORM_DEAD;
    }
}

enum hookform_verdict
hookform_judge(struct hookform *f, const struct hookform_answer *a)
{
    const char *ours = "";
    enum hookform_verdict v;

    if (a->status >= 200 && a->status < 300) {
        if (!a->error) {
            return HOOKFORM_DONE;
        }
        hookform_refuse(f, "%d, but: %s", a->status, a->error);
        return HOOKFORM_RETRY;
    }
    v = by_status(a->status, &ours);
    say(f, a, ours);
    if (v == HOOKFORM_RETRY) {
        f->wait = wait_of(a->retry_after, f->now);
    }
    return v;
}

/* RFC 5321, 4.2.1; RFC 4954, 6: who we are, and where to, is a matter of configuration. */
enum hookform_verdict
hookform_judge_mail(struct hookform *f, const struct hookform_answer *a)
{
    if (a->error && (a->status < 400 || a->status > 599)) {
        hookform_refuse(f, "%s", a->error);
        return HOOKFORM_RETRY;
    }
    if (a->status >= 200 && a->status < 400) {
        return HOOKFORM_DONE;
    }
    say(f, a, "");
    if (a->status >= 500 && a->status < 600 && a->status != 530 && a->status != 534 &&
        a->status != 535 && a->status != 538) {
        return HOOKFORM_DEAD;
    }
    return HOOKFORM_RETRY;
}

enum hookform_verdict
hookform_odd(struct hookform *f, const struct hookform_answer *a, const char *expected)
{
    say(f, a, hookform_format(f->pool, "expected %s; is url right?", expected));
    return HOOKFORM_RETRY;
}
