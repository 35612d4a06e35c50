/* line.c - tallies of quarter hours, and their delta-t in runs. */
#include "line.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "together.h"

/* More delta-t than an interval has: 15 min of 10 ms. */
#define DT_MAX 90000

static const char *const scope_names[LINE_SCOPES] = {"link", "group", "service", "connector"};

const char *
line_scope_name(enum line_scope kind)
{
    return scope_names[kind];
}

const char *
line_direction_name(unsigned direction)
{
    return direction == LINE_BOTH ? "both" : direction_name((enum direction)direction);
}

/* Of a text that stays. */
static int64_t
id_of(const struct line *l)
{
    char text[4 * SERIES_NAME_MAX + 64];
    int length = snprintf(text, sizeof text, "judged|%s|%s|%s|%s|%s", scope_names[l->scope_kind],
                          l->scope, l->object, l->class_name, line_direction_name(l->direction));

    assert(length > 0 && (size_t)length < sizeof text);
    return id_of_text(text, (size_t)length);
}

struct line *
line_new(enum line_scope kind, const char *scope, const char *object, const char *class_name,
         unsigned direction)
{
    struct line *l = calloc(1, sizeof *l);

    if (l) {
        l->scope_kind = kind;
        l->scope = scope;
        l->object = object;
        l->class_name = class_name;
        l->direction = direction;
        l->quarter = l->until = instant_of_ns(-1);
        l->terms = (struct line_terms){.undetermined = INV_UNDETERMINED_LAST,
                                       .suspect_clock_error_ns = UINT64_MAX};
        l->terms_until = instant_of_ns(INT64_MAX);
        l->config.direction = direction == LINE_BOTH ? DIR_RT : (enum direction)direction;
        l->id = id_of(l);
        tally_init(&l->tally);
        tally_init(&l->period);
    }
    return l;
}

void
line_free(struct line *l)
{
    if (l) {
        tally_fini(&l->tally);
        tally_fini(&l->period);
        bytes_fini(&l->states);
        free(l->transitions);
        free(l->windows);
        free(l);
    }
}

void
line_begin(struct line *l, struct instant quarter, bool available_before, uint32_t high_loss_before)
{
    assert(quarter.ns % LINE_QUARTER_NS == 0);
    tally_clear(&l->tally);
    l->quarter = l->until = quarter;
    l->available = l->available_before = available_before;
    l->high_loss_before = high_loss_before;
    l->state = (struct tally_state){.available = available_before};
    l->state.high_loss.run = high_loss_before;
    bytes_clear(&l->states);
    bytes_varint(&l->states, LINE_STATES_FORMAT);
    l->run_count = 0;
    l->transition_count = 0;
}

bool
line_is_complete(const struct line *l)
{
    return l->quarter.ns >= 0 && l->until.ns == l->quarter.ns + LINE_QUARTER_NS;
}

int
line_next(struct line *l)
{
    int err = 0;

    assert(line_is_complete(l));
    if (l->quarter.ns >= l->period_start.ns && l->quarter.ns < l->period_end.ns) {
        err = tally_merge(&l->period, &l->tally);
    }
    line_begin(l, l->until, l->available, l->state.high_loss.run);
    return err;
}

/* --- States --------------------------------------------------------------- */

static void
end_run(struct line *l)
{
    if (l->run_count) {
        bytes_varint(&l->states, l->run_count << LINE_STATE_BITS | l->run_state);
        l->run_count = 0;
    }
}

static void
add_state(struct line *l, uint8_t state, uint64_t count)
{
    if (l->run_count && l->run_state != state) {
        end_run(l);
    }
    l->run_state = state;
    l->run_count += count;
}

int
line_states(struct line *l, const uint8_t **bytes, size_t *size)
{
    /* The run goes on where more is added: what is stored must not hang on when it was. */
    size_t kept = l->states.size;
    uint64_t run = l->run_count;

    end_run(l);
    *bytes = l->states.at;
    *size = l->states.size;
    l->states.size = kept;
    l->run_count = run;
    return bytes_ok(&l->states) ? 0 : -ENOMEM;
}

static int
add_transition(struct line *l, struct instant at, bool available)
{
    if (l->transition_count == l->transition_room) {
        size_t room = l->transition_room ? 2 * l->transition_room : 8;
        struct line_transition *more = realloc(l->transitions, room * sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        l->transitions = more;
        l->transition_room = room;
    }
    l->transitions[l->transition_count++] = (struct line_transition){at, available};
    return 0;
}

/* Which delta-t do not count. */
static void
mark(const struct line *l, struct instant start, size_t count, uint8_t *excluded)
{
    struct exclusion_window before = {
        .start = instant_of_ns(INT64_MIN), .end = l->in_service, .kind = EXCLUSION_NOT_IN_SERVICE};
    struct exclusion_window after = {.start = l->out_of_service,
                                     .end = instant_of_ns(INT64_MAX),
                                     .kind = EXCLUSION_NOT_IN_SERVICE};

    memset(excluded, EXCLUSION_NONE, count);
    if (l->out_of_service.ns) {
        exclusion_mark(&after, 1, start, l->dt, count, excluded);
    }
    if (l->in_service.ns > start.ns) {
        exclusion_mark(&before, 1, start, l->dt, count, excluded);
    }
    if (l->window_count) {
        exclusion_mark(l->windows, l->window_count, start, l->dt, count, excluded);
    }
}

/* --- Adding --------------------------------------------------------------- */

/* States and transitions of what was added; 'was' is A of the delta-t before. */
static int
note(struct line *l, struct instant start, size_t count, const uint8_t *states, bool was)
{
    int err = 0;

    for (size_t i = 0; i < count && !err; i++) {
        bool is = states[i] & LINE_STATE_AVAILABLE;
        if (is != was) {
            err = add_transition(l, instant_of_ns(start.ns + (int64_t)i * l->dt.ns), is);
        }
        was = is;
        add_state(l, states[i], 1);
    }
    l->until = instant_of_ns(start.ns + (int64_t)count * l->dt.ns);
    return err ? err : bytes_ok(&l->states) ? 0 : -ENOMEM;
}

static const struct line_terms *
contract_at(const struct line *l, struct instant start)
{
    return start.ns < l->terms_until.ns ? &l->terms : &l->next_terms;
}

int
line_add(struct line *l, struct instant start, const struct measured *m, const uint8_t *available)
{
    const struct line_terms *terms = contract_at(l, start);
    struct tally_config config = l->config;
    static _Thread_local uint8_t excluded[DT_MAX], states[DT_MAX];
    const struct measured_dt *dt = measured_dts(m);
    size_t count = measured_count(m);
    bool was = l->available;

    assert(start.ns == l->until.ns && count <= DT_MAX);
    config.suspect_excluded = terms->suspect_excluded;
    config.suspect_clock_error_ns = terms->suspect_clock_error_ns;
    mark(l, start, count, excluded);
    for (size_t i = 0; i < count; i++) {
        bool undetermined = dt[i].flags & MEASURED_UNDETERMINED;
        bool is = available[i];
        if (undetermined && terms->undetermined == INV_UNDETERMINED_EXCLUDED && !excluded[i]) {
            excluded[i] = EXCLUSION_UNDETERMINED;
        }
        bool bad = is && !excluded[i] &&
                   availability_input(l->params, dt[i].sent, dt[i].lost) == AVAILABILITY_BAD;
        states[i] =
            (uint8_t)((is ? LINE_STATE_AVAILABLE : 0) |
                      (undetermined ? LINE_STATE_UNDETERMINED : 0) |
                      (bad ? LINE_STATE_HIGH_LOSS : 0) | excluded[i] << LINE_STATE_EXCLUDED_SHIFT);
    }
    int err = tally_add(&l->tally, &l->state, &config, l->params, m, available, excluded);
    l->available = count ? available[count - 1] : was;
    return err ? err : note(l, start, count, states, was);
}

int
line_add_states(struct line *l, struct instant start, const uint8_t *parts, size_t count)
{
    static _Thread_local uint8_t excluded[DT_MAX], states[DT_MAX];
    const struct line_terms *terms = contract_at(l, start);
    bool was = l->available;
    struct tally *t = &l->tally;

    assert(start.ns == l->until.ns && count <= DT_MAX);
    mark(l, start, count, excluded);
    for (size_t i = 0; i < count; i++) {
        bool is = parts[i] & TOGETHER_AVAILABLE, undetermined = parts[i] & TOGETHER_UNDETERMINED;
        if (undetermined && terms->undetermined == INV_UNDETERMINED_EXCLUDED && !excluded[i]) {
            excluded[i] = EXCLUSION_UNDETERMINED;
        }
        t->excluded[excluded[i]]++;
        if (!excluded[i]) {
            t->available += is;
            t->undetermined_available += undetermined && is;
            t->undetermined_unavailable += undetermined && !is;
            t->outages += l->state.available && !is;
            l->state.available = is;
        }
        l->available = is;
        states[i] = (uint8_t)((is ? LINE_STATE_AVAILABLE : 0) |
                              (undetermined ? LINE_STATE_UNDETERMINED : 0) |
                              excluded[i] << LINE_STATE_EXCLUDED_SHIFT);
    }
    return note(l, start, count, states, was);
}
