/* hookform_template.c - see hookform.h: a webhook whose requests are as a file has them.
 *
 * A file of one body is sent to the hook's url for every action.  One with lines that begin with
 * "%%" has parts (doc/problems.md, body templates): which request for which action, how to find a
 * ticket that is there, and where an answer has its key.  So a tracker has one ticket a problem,
 * as hookform_servicenow.c does it. */
#include "hookform_parts.h"

#include <string.h>

#include "hookform_sign.h"
#include "hooktemplate.h"

#define FILE_MAX (64u * 1024u)
#define PARTS_MAX 12
#define ANY ACTIONS
#define FIND (ACTIONS + 1)

struct part {
    unsigned actions; /* Bits 1 << enum hookform_action, ANY, FIND. */
    const char *method;
    struct hooktemplate path, body, page;
    const char *ref, *shown, *closed, *closed_by; /* NULL: not given. */
};

enum step { BEGIN, ASKED, WRITE, CLOSE };

struct dialogue {
    struct part parts[PARTS_MAX];
    size_t count;
    const struct part *part; /* Of the request made last. */
    const char *ref, *shown; /* What there is; "": nothing. */
    bool closed;
};

/* --- The file ---------------------------------------------------------------------- */

struct reader {
    struct hookform *f;
    struct dialogue *d;
    const char *line; /* The one being read. */
    size_t length, number;
};

static bool
wrong_line(struct reader *r, const char *what)
{
    return hookform_refuse(r->f, "%s:%zu:1: %s", r->f->hook->template_file, r->number, what);
}

/* The next word of the line, and '*rest' behind it. */
static const char *
take_word(struct reader *r, size_t *at, size_t *column)
{
    while (*at < r->length && strchr(" \t\r", r->line[*at])) {
        (*at)++;
    }
    size_t begin = *at;
    while (*at < r->length && !strchr(" \t\r", r->line[*at])) {
        (*at)++;
    }
    *column = begin + 1;
    return *at > begin ? pool_text(r->f->pool, r->line + begin, *at - begin) : NULL;
}

static unsigned
actions_of(const char *word)
{
    static const char *const names[] = {"open",      "change", "remind", "resolve",
                                        "heartbeat", "test",   "any",    "find"};
    unsigned bits = 0;

    while (*word) {
        size_t length = strcspn(word, ","), i = 0;
        while (i < 8 && !(strlen(names[i]) == length && memcmp(names[i], word, length) == 0)) {
            i++;
        }
        if (i == 8) {
            return 0;
        }
        bits |= 1u << i;
        word += length + (word[length] == ',');
    }
    return bits;
}

static bool
begin_part(struct reader *r, unsigned actions, size_t at)
{
    struct dialogue *d = r->d;
    size_t column;

    if (d->count == PARTS_MAX) {
        return wrong_line(r, "too many parts");
    }
    struct part *p = &d->parts[d->count++];
    const char *method = take_word(r, &at, &column);
    const char *path = take_word(r, &at, &column);
    *p = (struct part){.actions = actions, .method = method ? method : "POST"};
    if (strcmp(p->method, "POST") != 0 && strcmp(p->method, "PUT") != 0 &&
        strcmp(p->method, "PATCH") != 0 && strcmp(p->method, "GET") != 0) {
        return wrong_line(r, "expected GET, POST, PUT or PATCH behind the action");
    }
    if (path && path[0] != '/') {
        return wrong_line(r, "expected a path that begins with /");
    }
    if (path) {
        p->path = (struct hooktemplate){path, strlen(path), r->number, column};
    }
    return true;
}

static bool
read_setting(struct reader *r, const char *word, size_t at)
{
    struct part *p = r->d->count > 0 ? &r->d->parts[r->d->count - 1] : NULL;
    size_t column, other;
    const char *value = take_word(r, &at, &column);

    if (!p || !value) {
        return wrong_line(r, "expected a part before it, and a value");
    }
    if (strcmp(word, "ref") == 0) {
        p->ref = value;
    } else if (strcmp(word, "shown") == 0) {
        p->shown = value;
    } else if (strcmp(word, "page") == 0) {
        p->page = (struct hooktemplate){value, strlen(value), r->number, column};
    } else if (strcmp(word, "closed") == 0) {
        p->closed = value;
        p->closed_by = take_word(r, &at, &other);
    } else {
        return wrong_line(
            r, "expected an action (open, change, remind, resolve, heartbeat, test, any, "
               "find), or ref, shown, closed, page");
    }
    return p->closed || !p->closed_by || wrong_line(r, "expected a value");
}

static bool
read_line(struct reader *r)
{
    size_t at = 2, column;

    if (r->length < 2 || memcmp(r->line, "%%", 2) != 0) {
        struct part *p = r->d->count > 0 ? &r->d->parts[r->d->count - 1] : NULL;
        if (!p) {
            return wrong_line(r, "expected %% and an action before the first body");
        }
        if (!p->body.text) {
            p->body = (struct hooktemplate){.text = r->line, .line = r->number, .column = 1};
        }
        p->body.size = (size_t)(r->line + r->length - p->body.text);
        return true;
    }
    const char *word = take_word(r, &at, &column);
    if (!word) {
        return wrong_line(r, "expected an action behind %%");
    }
    unsigned actions = actions_of(word);
    return actions ? begin_part(r, actions, at) : read_setting(r, word, at);
}

static bool
read_file(struct hookform *f, struct dialogue *d)
{
    const char *text = f->secrets->template_;
    struct reader r = {.f = f, .d = d, .line = text, .number = 1};

    if (!text || strlen(text) > FILE_MAX) {
        return hookform_refuse(f, "template %s is %s", f->hook->template_file,
                               text ? "over 64 KiB" : "not there");
    }
    if (strncmp(text, "%%", 2) != 0 && !strstr(text, "\n%%")) {
        d->parts[0] = (struct part){
            .actions = 1u << ANY, .method = "POST", .body = {text, strlen(text), 1, 1}};
        d->count = 1;
        return true;
    }
    for (; *r.line; r.line += r.length, r.line += *r.line == '\n', r.number++) {
        r.length = strcspn(r.line, "\n");
        bool blank = strspn(r.line, " \t\r\n") >= r.length;
        if (!blank && !read_line(&r)) {
            return false;
        }
    }
    return true;
}

/* --- What is to be said ------------------------------------------------------------------ */

static const struct part *
part_for(const struct dialogue *d, unsigned action)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->parts[i].actions & 1u << action) {
            return &d->parts[i];
        }
    }
    return NULL;
}

/* NULL: nothing is said then. */
static const struct part *
part_or_other(const struct dialogue *d, enum hookform_action action)
{
    const struct part *p = part_for(d, action);

    if (!p && action == ACTION_REMIND) {
        p = part_for(d, ACTION_CHANGE);
    }
    if (!p && action == ACTION_TEST) {
        p = part_for(d, ACTION_OPEN);
    }
    return p ? p : part_for(d, ANY);
}

/* Whether targets of that template have tickets. */
static bool
keeps_tickets(const struct dialogue *d)
{
    const struct part *p = part_or_other(d, ACTION_OPEN);

    return p && p->ref;
}

static bool
is_problem(const struct hookform *f)
{
    return f->action != ACTION_HEARTBEAT && f->action != ACTION_TEST;
}

/* By what there is; NULL: nothing. */
static const struct part *
choose(const struct hookform *f, const struct dialogue *d)
{
    bool there = *d->ref && !d->closed;

    if (f->step == CLOSE) {
        return part_for(d, ACTION_RESOLVE);
    }
    if (!keeps_tickets(d) || !is_problem(f)) {
        return part_or_other(d, f->action);
    }
    if (f->action == ACTION_RESOLVE) {
        return there ? part_or_other(d, ACTION_RESOLVE) : NULL;
    }
    if (f->action != ACTION_OPEN) {
        return part_or_other(d, there ? f->action : ACTION_OPEN);
    }
    if (!there) {
        return part_or_other(d, ACTION_OPEN);
    }
    /* It is there since a try whose answer was not seen; or the problem is back. */
    return f->known.there ? part_for(d, ACTION_CHANGE) : NULL;
}

/* The event, and what is known of the ticket. */
static cJSON *
context(const struct hookform *f, const struct dialogue *d)
{
    cJSON *o = cJSON_Duplicate(f->event, true), *is = cJSON_CreateObject();
    bool follows = *d->ref && d->closed;
    const char *action = f->step == CLOSE ? "resolve" : hookform_text(f, "action");

    hookform_put_item(is, action, cJSON_CreateTrue());
    if (*hookform_text(f, "severity")) {
        hookform_put_item(is, hookform_text(f, "severity"), cJSON_CreateTrue());
    }
    static const char *const ours[] = {"is", "ref", "follows", "story", "headline"};
    for (size_t i = 0; i < 5; i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(o, ours[i]);
    }
    hookform_put_item(o, "is", is);
    hookform_put(o, "ref", follows ? "" : d->ref);
    hookform_put(o, "follows", follows ? (*d->shown ? d->shown : d->ref) : "");
    hookform_put(o, "headline", hookform_headline(f, 400));
    hookform_put(o, "story", hookform_story(f, 30000));
    return o;
}

static const char *
fill(struct hookform *f, const struct hooktemplate *t, const cJSON *values, bool json, size_t *size)
{
    char why[HOOKTEMPLATE_WHY_SIZE];
    const char *text = hooktemplate_fill(t, values, json, f->pool, size, why);

    if (!text) {
        hookform_refuse(f, "%s:%s", f->hook->template_file, why);
    }
    return text;
}

static bool
make_part(struct hookform *f, struct hookform_request *r, const struct part *p, const cJSON *values)
{
    const char *url = f->hook->url;
    size_t size;

    if (p->path.text) {
        const char *path = fill(f, &p->path, values, false, &size);
        if (!path) {
            return false;
        }
        size_t length = strlen(url);
        while (length > 0 && url[length - 1] == '/') {
            length--;
        }
        url = hookform_format(f->pool, "%.*s%s", (int)length, url, path);
    }
    if (!hookform_http(f, r, p->method, url) ||
        !hookform_add_header(f, r, "Accept", "application/json, */*;q=0.5")) {
        return false;
    }
    r->once = p->ref && !(p->actions & 1u << FIND);
    if (p->body.text) {
        r->body = fill(f, &p->body, values, true, &r->body_size);
        if (!r->body || !hookform_add_header(f, r, "Content-Type", "application/json")) {
            r->body = "";
            return false;
        }
    }
    return !f->hook->secret_file || hookform_sign(f, r);
}

static void
keep(struct hookform *f, struct dialogue *d, const struct part *p)
{
    const cJSON *values;
    size_t size;

    f->ticket = (struct hookform_ticket){
        .there = true, .closed = d->closed, .ref = d->ref, .shown = d->shown};
    if (p && p->page.text && *d->ref) {
        cJSON *o = cJSON_CreateObject();
        char why[HOOKTEMPLATE_WHY_SIZE];
        hookform_put(o, "ref", d->ref);
        values = o;
        const char *page = hooktemplate_fill(&p->page, values, false, f->pool, &size, why);
        f->ticket_url = page ? hooktext_clean(f->pool, page, size, false) : "";
        cJSON_Delete(o);
    }
}

static struct dialogue *
dialogue_of(struct hookform *f)
{
    struct dialogue *d = f->parts;

    if (!d) {
        d = pool_alloc(f->pool, sizeof *d);
        if (!read_file(f, d)) {
            return NULL;
        }
        d->ref = f->known.there ? f->known.ref : "";
        d->shown = f->known.there ? f->known.shown : "";
        d->closed = f->known.there && f->known.closed;
        f->parts = d;
    }
    return d;
}

static bool
make(struct hookform *f, struct hookform_request *r)
{
    struct dialogue *d = dialogue_of(f);

    if (!d) {
        return false;
    }
    if (f->step == BEGIN) {
        bool ask = part_for(d, FIND) && is_problem(f);
        f->step = ask ? ASKED : WRITE;
    }
    d->part = f->step == ASKED ? part_for(d, FIND) : choose(f, d);
    if (!d->part) {
        return false; /* Nothing is to be said. */
    }
    cJSON *values = context(f, d);
    bool good = make_part(f, r, d->part, values);
    cJSON_Delete(values);
    return good;
}

/* --- What is answered ------------------------------------------------------------------------ */

static const char *
text_at(struct hookform *f, const cJSON *json, const char *path)
{
    const cJSON *item = path ? hooktemplate_find(json, path, strlen(path)) : NULL;
    const char *text = item ? hookform_answer_text(f, item) : NULL;

    return text ? text : "";
}

static enum hookform_verdict
take_found(struct hookform *f, struct dialogue *d, const struct hookform_answer *a)
{
    const struct part *p = d->part;
    cJSON *json = hookform_parse(a);

    if (!json) {
        return hookform_odd(f, a, "JSON");
    }
    const char *ref = text_at(f, json, p->ref);
    /* What was just made may not be found yet. */
    if (*ref || !*d->ref) {
        d->ref = ref;
        d->shown = *text_at(f, json, p->shown) ? text_at(f, json, p->shown) : ref;
        d->closed =
            p->closed && p->closed_by && strcmp(text_at(f, json, p->closed), p->closed_by) == 0;
    }
    cJSON_Delete(json);
    f->step = WRITE;
    if (choose(f, d)) {
        return HOOKFORM_MORE;
    }
    if (*d->ref) {
        const struct part *open = part_or_other(d, ACTION_OPEN);
        keep(f, d, open);
    }
    return HOOKFORM_DONE;
}

static enum hookform_verdict
take(struct hookform *f, const struct hookform_answer *a)
{
    struct dialogue *d = f->parts;
    enum hookform_verdict v = hookform_judge(f, a);

    if (v != HOOKFORM_DONE) {
        return v;
    }
    if (f->step == ASKED) {
        return take_found(f, d, a);
    }
    if (d->part->ref) {
        cJSON *json = hookform_parse(a);
        const char *ref = text_at(f, json, d->part->ref);
        const char *shown = text_at(f, json, d->part->shown);
        cJSON_Delete(json);
        if (!*ref && part_for(d, FIND)) {
            return hookform_odd(f, a, d->part->ref); /* The next try looks for it. */
        }
        d->ref = ref;
        d->shown = *shown ? shown : ref;
        d->closed = false;
        if (!*ref) {
            hookform_refuse(f, "%d: the answer has no '%.80s'", a->status, d->part->ref);
        }
    }
    if (f->action == ACTION_TEST && f->step == WRITE && keeps_tickets(d) &&
        part_for(d, ACTION_RESOLVE)) {
        f->step = CLOSE;
        return HOOKFORM_MORE;
    }
    keep(f, d, part_or_other(d, ACTION_OPEN));
    return HOOKFORM_DONE;
}

const struct hookform_kind hookform_template = {make, take};
