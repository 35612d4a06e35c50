/* hookform_mail.c - see hookform.h: a message as RFC 5322 and MIME have it; the courier hands it to
 * a server by SMTP.
 *
 * The first message of a problem is the root that all later ones refer to, so that a problem is one
 * thread.  Message-IDs follow from id and revision: a try whose answer was lost sends the same one,
 * which servers keep once. */
#include "hookform_parts.h"

#include <string.h>
#include <time.h>

#define STORY_MAX 65536u
#define SUBJECT_MAX 200u
#define WORD_OCTETS 42u /* Of an encoded word: 75 characters in all (RFC 2047, 2). */
#define PLAIN_MAX 66u   /* So long a subject needs no folding. */

/* --- Header ---------------------------------------------------------------------------- */

/* Names of days and months do not follow the locale (RFC 5322, 3.3). */
static void
put_date(FILE *to, struct instant now)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(now.ns / NS_PER_S);
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    fprintf(to, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
            months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static bool
is_plain(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p < 0x20 || *p >= 0x7f) {
            return false;
        }
    }
    return strlen(text) <= PLAIN_MAX && !strstr(text, "=?");
}

static void
put_subject(const struct hookform *f, FILE *to, const char *text)
{
    if (is_plain(text)) {
        fprintf(to, "Subject: %s\r\n", text);
        return;
    }
    fputs("Subject:", to);
    while (*text) {
        size_t length = hooktext_fit(text, WORD_OCTETS);
        fprintf(to, " =?UTF-8?B?%s?=", hooktext_base64(f->pool, text, length));
        text += length;
        fputs(*text ? "\r\n" : "", to);
    }
    fputs("\r\n", to);
}

/* "noc@example.net", or with a name before it: "NOC <noc@example.net>".  No more than an address
 * may have: commas or line ends would be others. */
static bool
is_address(const char *text)
{
    const char *at = strrchr(text, '@');

    if (!at || at == text || !at[1] || strlen(text) > 254) {
        return false;
    }
    for (const char *p = text; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f || strchr("<>(),;:\\\"[]", *p)) {
            return false;
        }
    }
    return true;
}

static bool
put_addresses(struct hookform *f, FILE *to)
{
    if (!f->hook->from || !is_address(f->hook->from)) {
        return hookform_refuse(f, "'from' is no mail address");
    }
    fprintf(to, "From: Plumbline <%s>\r\nTo:", f->hook->from);
    for (size_t i = 0; i < f->hook->to_count; i++) {
        if (!is_address(f->hook->to[i])) {
            return hookform_refuse(f, "'%.100s' is no mail address", f->hook->to[i]);
        }
        fprintf(to, "%s %s", i > 0 ? ",\r\n" : "", f->hook->to[i]);
    }
    fputs("\r\n", to);
    return f->hook->to_count > 0 || hookform_refuse(f, "'to' has no mail address");
}

static const char *
domain(const struct hookform *f)
{
    return strrchr(f->hook->from, '@') + 1;
}

static bool
is_message_id(const char *text)
{
    size_t length = strlen(text);

    if (length < 5 || length > 400 || text[0] != '<' || text[length - 1] != '>') {
        return false;
    }
    for (const char *p = text + 1; p < text + length - 1; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == '<' || *p == '>') {
            return false;
        }
    }
    return true;
}

static void
put_thread(struct hookform *f, FILE *to)
{
    bool problem = f->action != ACTION_HEARTBEAT && f->action != ACTION_TEST;
    const char *root = hookform_format(f->pool, "<%s@%s>", f->id, domain(f));

    if (problem && f->known.there && is_message_id(f->known.ref)) {
        root = f->known.ref;
    }
    f->parts = hookform_format(f->pool, "%s", root);
    if (problem && !f->known.there) {
        fprintf(to, "Message-ID: %s\r\n", root);
        return;
    }
    fprintf(to, "Message-ID: <%s@%s>\r\n", f->delivery, domain(f));
    if (problem) {
        fprintf(to, "In-Reply-To: %s\r\nReferences: %s\r\n", root, root);
    }
}

/* --- Body -------------------------------------------------------------------------------- */

/* Quoted-printable (RFC 2045, 6.7): lines of at most 76 characters. */
static void
put_quoted(FILE *to, const char *text)
{
    size_t column = 0;

    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n') {
            fputs("\r\n", to);
            column = 0;
            continue;
        }
        bool last = p[1] == '\n' || p[1] == '\0';
        /* A dot or "From" at a line's beginning means something to those between. */
        bool plain =
            (c > 0x20 && c < 0x7f && c != '=' && !(column == 0 && (c == '.' || c == 'F'))) ||
            (c == ' ' && !last);
        if (column + (plain ? 1 : 3) > 75) {
            fputs("=\r\n", to);
            column = 0;
        }
        fprintf(to, plain ? "%c" : "=%02X", c);
        column += plain ? 1 : 3;
    }
    fputs("\r\n", to);
}

static bool
make(struct hookform *f, struct hookform_request *r)
{
    struct hookform_writer w;
    bool good;

    hookform_begin_text(&w);
    put_date(w.to, f->now);
    good = put_addresses(f, w.to);
    if (good) {
        put_subject(f, w.to, hookform_headline(f, SUBJECT_MAX));
        put_thread(f, w.to);
        fputs("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
              "Content-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
              w.to);
        put_quoted(w.to, hookform_format(f->pool, "%s\n\n%s", hookform_text(f, "title"),
                                         hookform_story(f, STORY_MAX)));
    }
    r->by = HOOKFORM_MAIL;
    r->url = f->hook->url;
    r->body = hookform_end_text(&w, f->pool, &r->body_size);
    r->user_password = hookform_secret_line(f, f->secrets->auth);
    return good;
}

static enum hookform_verdict
take(struct hookform *f, const struct hookform_answer *a)
{
    enum hookform_verdict v = hookform_judge_mail(f, a);

    if (v == HOOKFORM_DONE) {
        f->ticket = (struct hookform_ticket){.there = true, .ref = f->parts, .shown = ""};
    }
    return v;
}

const struct hookform_kind hookform_mail = {make, take};
