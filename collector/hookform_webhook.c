/* hookform_webhook.c - see hookform.h: CloudEvents 1.0 in structured mode, signed as Standard
 * Webhooks asks, and a program that reads the event.
 *
 * webhook-id is the same over all tries, for receivers that keep what they had; the time is of each
 * try, for receivers that refuse what is old. */
#include "hookform_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hookform_sign.h"

#define KEYS_MAX 4

/* --- Signatures ----------------------------------------------------------------- */

static const char *
sign_by(struct hookform *f, const void *key, size_t key_size, const char *signed_, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;

    if (!HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)signed_, size, digest,
              &digest_size)) {
        return NULL;
    }
    return hookform_format(f->pool, "v1,%s", hooktext_base64(f->pool, digest, digest_size));
}

/* "whsec_..." a line, of which each signs: a receiver that knows one of two is content, so that
 * secrets can be changed without a gap.  Anything else is one key, as it is. */
static bool
sign_all(struct hookform *f, const char *secret, const char *signed_, size_t size,
         const char **signature)
{
    const char *all = "";
    int keys = 0;

    for (const char *line = secret; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t length = strcspn(line, "\r\n"), key_size;
        if (length == 0) {
            continue;
        }
        const char *text = pool_text(f->pool, line, length);
        uint8_t *key = strncmp(text, "whsec_", 6) == 0
                           ? hooktext_unbase64(f->pool, text + 6, length - 6, &key_size)
                           : NULL;
        if (!key || ++keys > KEYS_MAX) {
            return hookform_refuse(f,
                                   "secret_file must have \"whsec_\" and base64, or at most %d "
                                   "such lines",
                                   KEYS_MAX);
        }
        const char *one = sign_by(f, key, key_size, signed_, size);
        all = hookform_format(f->pool, "%s%s%s", all, *all ? " " : "", one ? one : "");
    }
    *signature = all;
    return true;
}

bool
hookform_sign(struct hookform *f, struct hookform_request *r)
{
    const char *secret = f->secrets->secret, *signature = NULL;
    size_t size = f->secrets->secret_size, signed_size;
    const char *time = hookform_format(f->pool, "%" PRId64, f->now.ns / NS_PER_S);
    struct hookform_writer w;

    while (secret && size > 0 && (secret[size - 1] == '\n' || secret[size - 1] == '\r')) {
        size--;
    }
    if (!hookform_add_header(f, r, "webhook-id", f->delivery) ||
        !hookform_add_header(f, r, "webhook-timestamp", time)) {
        return false;
    }
    if (!secret || size == 0) {
        return !f->hook->secret_file || hookform_refuse(f, "secret_file is empty");
    }
    hookform_begin_text(&w);
    fprintf(w.to, "%s.%s.", f->delivery, time);
    fwrite(r->body, 1, r->body_size, w.to);
    const char *signed_ = hookform_end_text(&w, f->pool, &signed_size);
    if (size >= 6 && memcmp(secret, "whsec_", 6) == 0) {
        if (!sign_all(f, pool_text(f->pool, secret, size), signed_, signed_size, &signature)) {
            return false;
        }
    } else {
        signature = sign_by(f, secret, size, signed_, signed_size);
    }
    return signature ? hookform_add_header(f, r, "webhook-signature", signature)
                     : hookform_refuse(f, "it cannot be signed");
}

/* --- CloudEvents ------------------------------------------------------------------ */

static cJSON *
cloud_event(const struct hookform *f)
{
    cJSON *o = cJSON_CreateObject();
    bool problem = f->action != ACTION_HEARTBEAT && f->action != ACTION_TEST;
    const char *at = hookform_text(f, "at");
    struct instant time = hookform_time(f, "at");
    char text[40];

    if (time.ns == 0) {
        at = instant_format(f->now, 3, text, sizeof text);
    }
    hookform_put(o, "specversion", "1.0");
    hookform_put(o, "id", f->delivery);
    hookform_put(o, "source",
                 hookform_format(f->pool, "/plumbline/%s",
                                 hooktext_key(f->pool, hookform_text(f, "installation"))));
    hookform_put(o, "type",
                 hookform_format(f->pool, problem ? "plumbline.problem.%s" : "plumbline.%s",
                                 hookform_text(f, "action")));
    hookform_put(o, "subject", f->id);
    hookform_put(o, "time", at);
    hookform_put_item(o, "data", cJSON_Duplicate(f->event, true));
    return o;
}

static bool
make_webhook(struct hookform *f, struct hookform_request *r)
{
    return hookform_http(f, r, "POST", f->hook->url) &&
           hookform_json(f, r, cloud_event(f), "application/cloudevents+json; charset=utf-8") &&
           hookform_sign(f, r);
}

static enum hookform_verdict
take_webhook(struct hookform *f, const struct hookform_answer *a)
{
    enum hookform_verdict v = hookform_judge(f, a);

    if (v == HOOKFORM_DONE) {
        f->ticket = (struct hookform_ticket){.there = true, .ref = "", .shown = ""};
    }
    return v;
}

const struct hookform_kind hookform_webhook = {make_webhook, take_webhook};

/* --- A program ---------------------------------------------------------------------- */

static bool
make_exec(struct hookform *f, struct hookform_request *r)
{
    char *body = cJSON_PrintUnformatted(f->event);
    const char *severity = hookform_text(f, "severity");

    assert(body);
    r->by = HOOKFORM_EXEC;
    r->url = f->hook->command;
    r->body_size = strlen(body);
    r->body = pool_text(f->pool, body, r->body_size);
    cJSON_free(body);
    return hookform_add_header(f, r, "PLUMBLINE_ID", f->id) &&
           hookform_add_header(f, r, "PLUMBLINE_ACTION", hookform_text(f, "action")) &&
           hookform_add_header(f, r, "PLUMBLINE_SEVERITY", hooktext_key(f->pool, severity)) &&
           hookform_add_header(f, r, "PLUMBLINE_KEY", f->delivery);
}

static enum hookform_verdict
take_exec(struct hookform *f, const struct hookform_answer *a)
{
    if (a->error) {
        hookform_refuse(f, "%s", a->error);
        return HOOKFORM_RETRY;
    }
    if (a->status != 0) {
        size_t line = 0; /* The body has no NUL behind it. */
        while (line < a->body_size && a->body[line] && !strchr("\r\n", a->body[line])) {
            line++;
        }
        hookform_refuse(f, "exit status %d%s%.*s", a->status, line ? ": " : "",
                        (int)(line < 200 ? line : 200), a->body);
        return HOOKFORM_RETRY;
    }
    f->ticket = (struct hookform_ticket){.there = true, .ref = "", .shown = ""};
    return HOOKFORM_DONE;
}

const struct hookform_kind hookform_exec = {make_exec, take_exec};
