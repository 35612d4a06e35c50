/* watch.c - batches of a source become samples of cells; its silence and its clock. */
#include "watch_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spool.h"

/* 2000-01-01, as the rows have it: whose clock is before has never set it. */
#define OLDEST_NS (INT64_C(946684800) * NS_PER_S)
/* Between two ticks: whoever stood still heard nothing. */
#define TICK_MAX_NS (5 * NS_PER_S)

const char *const watch_count_names[WATCH_COUNTS] = {"raised", "raised_again", "cleared", "changed",
                                                     "over",   "rows",         "rows_bad"};

/* --- Life ------------------------------------------------------------------------- */

static bool
is_of_source(const struct inv_alarm *rule)
{
    return rule->metric.kind == INV_SILENCE || rule->metric.kind == INV_CLOCK_ERROR;
}

static int
own_cells(struct watch *w)
{
    const struct inv_probe *probe = inventory_probe(w->config.inventory, w->config.source);
    size_t count = 0;

    for (size_t i = 0; i < w->config.rule_count; i++) {
        count += is_of_source(w->config.rules[i]);
    }
    if (!probe || probe->state != INV_ACTIVE || count == 0) {
        return 0;
    }
    w->own = calloc(count, sizeof w->own[0]);
    if (!w->own) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < w->config.rule_count; i++) {
        struct watch_cell *c = &w->own[w->own_count];
        if (!is_of_source(w->config.rules[i])) {
            continue;
        }
        alarm_cell_init(&c->cell, w->config.rules[i], w->config.hold);
        w->own_count++;
    }
    return 0;
}

struct watch *
watch_new(const struct watch_config *config, struct instant now, struct instant told_until)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w) {
        return NULL;
    }
    w->config = *config;
    w->heard = now;
    w->told_until = told_until;
    w->delays = hist_new(HIST_DELAY);
    w->variations = hist_new(HIST_IFDV);
    if (!w->delays || !w->variations || own_cells(w)) {
        watch_free(w);
        return NULL;
    }
    return w;
}

void
watch_free(struct watch *w)
{
    struct watch_path *p, *next;

    if (!w) {
        return;
    }
    HASH_ITER(hh, w->paths, p, next)
    {
        HASH_DEL(w->paths, p);
        for (size_t i = 0; i < p->count; i++) {
            alarm_cell_fini(&p->cells[i].cell);
        }
        free(p);
    }
    for (size_t i = 0; i < w->own_count; i++) {
        alarm_cell_fini(&w->own[i].cell);
    }
    for (size_t i = 0; i < w->past_count; i++) {
        free(w->past[i].gone);
    }
    free(w->own);
    free(w->past);
    free(w->waiting);
    free(w->touched);
    free(w->sessions);
    free(w->records);
    hist_free(w->delays);
    hist_free(w->variations);
    free(w);
}

size_t
watch_bytes(const struct watch *w)
{
    size_t bytes = sizeof *w + w->session_room * sizeof w->sessions[0] +
                   w->past_room * sizeof w->past[0] +
                   (w->waiting_room + w->touched_room) * sizeof(void *);
    struct watch_path *p, *next;

    HASH_ITER(hh, w->paths, p, next)
    {
        bytes += sizeof *p + p->count * sizeof p->cells[0];
        for (size_t i = 0; i < p->count; i++) {
            bytes += alarm_cell_bytes(&p->cells[i].cell);
        }
    }
    return bytes;
}

/* --- What was before ---------------------------------------------------------------- */

static struct watch_cell *
cell_of_rule(struct watch_cell *cells, size_t count, const char *rule)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cells[i].cell.rule->key, rule) == 0) {
            return &cells[i];
        }
    }
    return NULL;
}

/* NULL and '*err' 0: nobody watches it any more. */
static struct watch_cell *
cell_of(struct watch *w, const struct watch_known *k, int *err)
{
    *err = 0;
    if (k->scope == WATCH_PROBE) {
        return cell_of_rule(w->own, w->own_count, k->rule);
    }
    const struct inv_link *link = inventory_link(w->config.inventory, k->object);
    const struct inv_class *class_ = inventory_class(w->config.inventory, k->class_name);
    struct watch_path *p = link && class_ ? watch_path(w, link, class_, err) : NULL;
    return p ? cell_of_rule(p->cells, p->count, k->rule) : NULL;
}

static int
know_gone(struct watch *w, const struct watch_known *k, struct instant now)
{
    struct watch_gone gone = {.scope = k->scope};
    struct alarm_episode over = k->episode;

    strncpy(gone.rule, k->rule, sizeof gone.rule - 1);
    strncpy(gone.object, k->object, sizeof gone.object - 1);
    strncpy(gone.class_name, k->class_name, sizeof gone.class_name - 1);
    gone.why = watch_why_gone(w, &gone);
    over.cleared = over.ended = over.decided =
        instant_before(now, over.decided) ? over.decided : now;
    watch_note(w, WATCH_CLEARED);
    return watch_gone(w, &gone, &over);
}

/* A silence goes on, or its end does; unless that is so long ago that nobody knows what is now. */
static void
know_silence(struct watch *w, struct watch_cell *c, const struct watch_known *k, struct instant now)
{
    const struct alarm_episode *e = &k->episode;
    const int64_t good_ns = now.ns - k->good_since.ns;

    w->heard_at = w->silent_at = k->heard;
    if (k->good_since.ns && good_ns >= 0 && good_ns <= c->cell.rule->over.ns) {
        c->good_since = k->good_since.ns;
    } else if (!k->good_since.ns) {
        c->silent_since = e->decided.ns - e->value;
    }
}

/* It is raised, or what comes next may be the same. */
static bool
goes_on(const struct watch *w, const struct alarm_episode *e)
{
    return e->cleared.ns == 0 || w->told_until.ns - e->cleared.ns <= w->config.hold.ns;
}

int
watch_know(struct watch *w, const struct watch_known *known, struct instant now)
{
    const bool raised = known->episode.cleared.ns == 0;
    int err;
    struct watch_cell *c = cell_of(w, known, &err);

    if (err) {
        return err;
    }
    if (!c) {
        return raised ? know_gone(w, known, now) : 0;
    }
    if (raised && c->cell.rule->metric.kind == INV_SILENCE) {
        know_silence(w, c, known, now);
    }
    return alarm_restore(&c->cell, &known->episode, known->flows,
                         goes_on(w, &known->episode) ? known->flow_count : 0);
}

void
watch_baseline(struct watch *w, const char *object, const char *class_name, const char *metric,
               struct span against, int64_t value)
{
    char name[INV_METRIC_SIZE];
    const struct inv_link *link = inventory_link(w->config.inventory, object);
    const struct inv_class *class_ = inventory_class(w->config.inventory, class_name);
    int err;
    struct watch_path *p = link && class_ ? watch_path(w, link, class_, &err) : NULL;

    for (size_t i = 0; p && i < p->count; i++) {
        struct alarm_cell *c = &p->cells[i].cell;
        if (c->rule->relative && c->rule->against.ns == against.ns &&
            strcmp(inv_metric_format(c->rule->metric, name, sizeof name), metric) == 0) {
            alarm_set_baseline(c, value);
        }
    }
}

/* --- Batches -------------------------------------------------------------------------- */

/* Sessions come in the order in which they were named, again and again. */
static const struct assemble_session *
session_of(struct watch *w, const struct assemble *a, int64_t id)
{
    const struct assemble_session *s = w->next;

    if (!s || s->id != id) {
        s = assemble_session(a, id);
    }
    if (s) {
        w->next = s->next;
    }
    return s;
}

static int
sessions_grow(struct watch *w, uint32_t index)
{
    size_t room = w->session_room ? w->session_room : 64;

    while (room <= index) {
        room *= 2;
    }
    struct watch_session *more = reallocarray(w->sessions, room, sizeof *more);
    if (!more) {
        return -ENOMEM;
    }
    memset(more + w->session_room, 0, (room - w->session_room) * sizeof *more);
    w->sessions = more;
    w->session_room = room;
    return 0;
}

/* Its cells, once it is known which they are. */
int
watch_learn(struct watch *w, const struct assemble_session *s, struct watch_session **out)
{
    int err = s->index < w->session_room ? 0 : sessions_grow(w, s->index);

    if (err) {
        return err;
    }
    struct watch_session *ws = *out = &w->sessions[s->index];
    if (ws->known) {
        return 0;
    }
    const struct inv_link *link = inventory_link(w->config.inventory, s->key.object);
    const struct inv_class *class_ = inventory_class(w->config.inventory, s->key.class_name);
    if (s->trusted && link && class_) {
        ws->path = watch_path(w, link, class_, &err);
    }
    for (size_t i = 0; !err && ws->path && i < ws->path->count; i++) {
        ws->flow = alarm_flow(&ws->path->cells[i].cell, s->key.flow, s->key.dt, s->key.tmax);
        err = ws->flow < 0 ? ws->flow : 0;
    }
    ws->known = !err;
    return err;
}

int
watch_touch(struct watch *w, struct watch_cell *c)
{
    if (c->cell.touched) {
        return 0;
    }
    if (w->touched_count == w->touched_room) {
        size_t room = w->touched_room ? w->touched_room * 2 : 64;
        struct watch_cell **more = reallocarray(w->touched, room, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        w->touched = more;
        w->touched_room = room;
    }
    c->cell.touched = true;
    w->touched[w->touched_count++] = c;
    return 0;
}

/* What a summary and an early state have in common. */
struct told {
    const struct assemble_session *session;
    const pb_summary *final;
    const pb_early *early;
    struct instant start;
};

/* What the session after it, and the ones after that, will want of memory: with thousands of
 * sessions nothing of a cell is in a cache any more when its turn comes. */
static void
prefetch(const struct watch *w, uint32_t index)
{
    const struct watch_session *far = index + 4 < w->session_room ? &w->sessions[index + 4] : NULL;
    const struct watch_session *next = index + 2 < w->session_room ? &w->sessions[index + 2] : NULL;

    if (far && far->path) {
        for (size_t at = 0; at < sizeof *far->path + 3 * sizeof far->path->cells[0]; at += 64) {
            __builtin_prefetch((const char *)far->path + at);
        }
    }
    for (size_t i = 0; next && next->path && i < next->path->count; i++) {
        alarm_prefetch(&next->path->cells[i].cell, next->flow);
    }
}

static int
take_told(struct watch *w, const struct told *t)
{
    struct watch_session *ws = NULL;
    int err = watch_learn(w, t->session, &ws);

    prefetch(w, t->session->index);
    if (err || !ws->path || instant_before(t->start, ws->path->in_service)) {
        return err;
    }
    for (size_t i = 0; i < ws->path->count && !err; i++) {
        struct watch_cell *c = &ws->path->cells[i];
        struct alarm_sample sample = {.start = t->start};
        /* A quantile is dear: not of what is known already. */
        if (t->final && watch_is_delay(c->cell.rule) && alarm_has(&c->cell, ws->flow, t->start)) {
            continue;
        }
        if (t->final) {
            watch_sample_final(w, c->cell.rule, &t->session->key, t->final, &sample);
        } else {
            watch_sample_early(c->cell.rule, t->early, &sample);
        }
        if (sample.count && alarm_take(&c->cell, ws->flow, &sample)) {
            err = watch_touch(w, c);
        }
    }
    return err;
}

/* false: it is not ours, or of no time that can be. */
static bool
tell(struct watch *w, const struct assemble *a, int64_t session_id, uint64_t dt_number,
     struct instant now, struct told *t)
{
    t->session = session_of(w, a, session_id);
    return t->session && t->session->trusted &&
           telemetry_start(dt_number, t->session->key.dt, &t->start) && t->start.ns >= OLDEST_NS &&
           t->start.ns <= now.ns + ASSEMBLE_AHEAD_NS;
}

int
watch_decide(struct watch *w)
{
    int err = 0;

    for (size_t i = 0; i < w->touched_count; i++) {
        struct watch_cell *c = w->touched[i];
        struct alarm_episode before = {.flaps = 0};
        enum alarm_change change;
        c->cell.touched = false;
        if (err) {
            continue;
        }
        if (c->waits) {
            before = *c->cell.episode;
        }
        err = alarm_decide(&c->cell, &change);
        err = err ? err : watch_change(w, c, change, &before);
    }
    w->touched_count = 0;
    return err;
}

/* The source's own clock, each second that it tells of. */
static int
take_health(struct watch *w, const Plumbline__Telemetry__Health *h, struct instant at)
{
    int err = 0;

    w->unsynchronised = !h->clock_synchronised;
    for (size_t i = 0; i < w->own_count && !err; i++) {
        struct watch_cell *c = &w->own[i];
        const struct inv_alarm *rule = c->cell.rule;
        const uint64_t error = h->clock_error_ns;
        const struct alarm_sample s = {.start = instant_floor(at, span_of_ns(NS_PER_S)),
                                       .final = true,
                                       .count = 1,
                                       .broken = !h->clock_synchronised || error > rule->raise,
                                       .value_ns = error < INT64_MAX ? (int64_t)error : INT64_MAX};
        if (rule->metric.kind != INV_CLOCK_ERROR) {
            continue;
        }
        int flow = alarm_flow(&c->cell, 0, span_of_ns(NS_PER_S), span_of_ns(0));
        err = flow < 0 ? flow : 0;
        if (!err && alarm_take(&c->cell, flow, &s)) {
            err = watch_touch(w, c);
        }
    }
    return err;
}

int
watch_take(struct watch *w, const struct assemble *a, const pb_batch *batch, struct instant now)
{
    const bool dated = batch->made_at_ns > 0 && batch->made_at_ns <= now.ns + ASSEMBLE_AHEAD_NS;
    int err = 0;

    if (dated && batch->made_at_ns > w->told_until.ns) {
        w->told_until = instant_of_ns(batch->made_at_ns);
    }
    if (w->config.rule_count == 0) {
        return 0;
    }
    for (size_t i = 0; i < batch->n_summaries && !err; i++) {
        const pb_summary *m = batch->summaries[i];
        struct told t = {.final = m};
        err = tell(w, a, m->session_id, m->dt_number, now, &t) ? take_told(w, &t) : 0;
    }
    for (size_t i = 0; i < batch->n_early && !err; i++) {
        const pb_early *m = batch->early[i];
        struct told t = {.early = m};
        err = tell(w, a, m->session_id, m->dt_number, now, &t) ? take_told(w, &t) : 0;
    }
    if (!err && batch->health && dated) {
        err = take_health(w, batch->health, instant_of_ns(batch->made_at_ns));
    }
    int failed = watch_decide(w);
    return err ? err : failed;
}

/* --- Silence --------------------------------------------------------------------------- */

/* How long it has been silent, of one that is raised. */
static void
note_silence(const struct watch *w, struct watch_cell *c, struct instant now)
{
    const int64_t since = c->silent_since ? c->silent_since : w->heard.ns;
    struct alarm_episode *e = c->cell.episode;

    e->worst = now.ns - since > e->worst ? now.ns - since : e->worst;
}

int
watch_heard(struct watch *w, struct position at, struct instant now)
{
    int err = 0;

    if (position_compare(at, w->silent_at) <= 0) {
        return 0;
    }
    w->heard_at = at;
    for (size_t i = 0; i < w->own_count && !err; i++) {
        struct watch_cell *c = &w->own[i];
        if (c->good_since || c->cell.rule->metric.kind != INV_SILENCE) {
            continue;
        }
        if (alarm_is_raised(&c->cell)) {
            note_silence(w, c, now);
            err = watch_keep(w, c);
        }
        c->good_since = now.ns;
        c->silent_since = 0;
    }
    w->heard = now;
    return err;
}

static int
look(struct watch *w, struct watch_cell *c, struct instant now)
{
    struct alarm_episode before = {.flaps = 0};
    struct span silent = instant_sub(now, w->heard);
    enum alarm_change change = ALARM_SAME;
    int err = 0;

    if (c->waits) {
        before = *c->cell.episode;
    }
    if (silent.ns > c->cell.rule->over.ns) {
        if (c->good_since && alarm_is_raised(&c->cell)) {
            err = watch_keep(w, c); /* Whoever takes over must not believe that it speaks. */
        }
        c->good_since = 0;
        if (!err && w->told_until.ns) {
            err = alarm_raise(&c->cell, now, w->heard, &change);
        }
        if (!err && alarm_is_raised(&c->cell)) {
            struct alarm_episode *e = c->cell.episode;
            e->limit = c->cell.rule->over.ns;
            e->value = change == ALARM_SAME ? e->value : silent.ns;
            note_silence(w, c, now);
        }
    } else if (c->good_since && now.ns - c->good_since >= alarm_clear_time(&c->cell).ns) {
        alarm_clear(&c->cell, now, instant_of_ns(c->good_since), &change);
    }
    return err ? err : watch_change(w, c, change, &before);
}

int
watch_tick(struct watch *w, struct instant now, bool listening)
{
    bool stood_still = w->ticked.ns && now.ns - w->ticked.ns > TICK_MAX_NS;
    int err = 0;

    if (!listening || !w->ticked.ns || stood_still || instant_before(now, w->heard)) {
        /* What may have come meanwhile would not have been heard. */
        w->heard = now;
        w->ticked = listening ? now : instant_of_ns(0);
        return 0;
    }
    w->ticked = now;
    for (size_t i = 0; i < w->own_count && !err; i++) {
        struct watch_cell *c = &w->own[i];
        if (c->cell.rule->metric.kind == INV_SILENCE) {
            err = look(w, c, now);
        }
    }
    return err;
}
