/* availability_world.h - sequences of delta-t, judged by the window machine as the engine goes, and
 * by a batch form straight from the definition.
 *
 * For test_availability.c.  The two share nothing but the sequence and what came of it. */
#ifndef PLUMBLINE_TEST_AVAILABILITY_WORLD_H
#define PLUMBLINE_TEST_AVAILABILITY_WORLD_H

#include "availability.h"

#include "harness.h"

#define DT_MAX 256
#define C_HALF 50000 /* milli-percent */

/* --- What is judged, and what came of it ----------------------------------- */

struct sequence {
    struct availability_params params;
    uint32_t p;
    bool before; /* A of the delta-t before the first. */
    size_t length;
    enum availability_input input[DT_MAX];
    bool outside[DT_MAX]; /* Of W: in maintenance. */
};

struct outcome {
    size_t decided;
    bool a[DT_MAX];
    uint64_t w, available, outages;
    struct high_loss_counts high_loss;
};

static bool
a_before(const struct sequence *s, const struct outcome *o, size_t k)
{
    return k ? o->a[k - 1] : s->before;
}

/* Letters as people write them: b10 is "bbbbbbbbbb"; g good, b bad, . not known. */
static struct sequence
sequence_of(const char *letters)
{
    struct sequence s = {.params = {.n = 10, .c_milli = C_HALF}, .p = 5, .before = true};

    for (const char *c = letters; *c; c++) {
        s.input[s.length++] = *c == 'b'   ? AVAILABILITY_BAD
                              : *c == 'g' ? AVAILABILITY_GOOD
                                          : AVAILABILITY_NONE;
    }
    return s;
}

#define G5 "ggggg"
#define G9 "ggggggggg"
#define G10 "gggggggggg"
#define B5 "bbbbb"
#define B9 "bbbbbbbbb"
#define B10 "bbbbbbbbbb"
#define N5 "....."
#define N10 ".........."

/* --- The stream form, delta-t by delta-t ------------------------------------- */

/* As the engine goes: the machine, where it reads, what is decided. */
struct stream {
    const struct sequence *s;
    struct availability machine;
    size_t at; /* Next delta-t to be added. */
    struct high_loss high_loss;
    struct outcome o;
    bool wrong; /* What an answer can never be. */
};

static struct stream
stream_begin(const struct sequence *s)
{
    return (struct stream){.s = s, .machine = availability_begin(s->before)};
}

static void
stream_decide(struct stream *t, bool available)
{
    const struct sequence *s = t->s;
    struct outcome *o = &t->o;
    size_t k = o->decided;

    o->outages += a_before(s, o, k) && !available;
    o->a[k] = available;
    o->w += !s->outside[k];
    o->available += !s->outside[k] && available;
    high_loss_add(&t->high_loss, s->p,
                  s->input[k] == AVAILABILITY_BAD && available && !s->outside[k], &o->high_loss);
    o->decided++;
}

static void
stream_add(struct stream *t, size_t count)
{
    bool was = t->machine.available;
    uint64_t flip_at = 77;
    uint64_t decided =
        availability_add(&t->machine, t->s->params, t->s->input[t->at], count, &flip_at);

    t->wrong = t->wrong || flip_at > decided;
    t->at += count;
    for (uint64_t i = 0; i < decided; i++) {
        stream_decide(t, i < flip_at ? was : t->machine.available);
    }
    /* What is pending is what was added and not decided. */
    t->wrong = t->wrong || t->at - t->o.decided != t->machine.run;
}

static struct outcome
judged(const struct sequence *s)
{
    struct stream t = stream_begin(s);

    while (t.at < s->length) {
        stream_add(&t, 1);
    }
    CU_ASSERT_FALSE(t.wrong);
    return t.o;
}

/* --- The batch form -------------------------------------------------------------- */

/* Whether input[k .. k+n-1] are all 'what'; 'whole': false if the sequence ends before that can be
 * said. */
static bool
all_are(const struct sequence *s, size_t k, enum availability_input what, bool *whole)
{
    *whole = true;
    for (size_t i = k; i < k + s->params.n; i++) {
        if (i == s->length) {
            *whole = false;
            return false;
        }
        if (s->input[i] != what) {
            return false;
        }
    }
    return true;
}

static void
batch_states(const struct sequence *s, struct outcome *o)
{
    for (size_t k = 0; k < s->length; k++) {
        bool last = a_before(s, o, k), whole = true;

        if (last && all_are(s, k, AVAILABILITY_BAD, &whole)) {
            o->a[k] = false;
        } else if (!last && all_are(s, k, AVAILABILITY_GOOD, &whole)) {
            o->a[k] = true;
        } else {
            o->a[k] = last;
        }
        if (!whole) {
            return;
        }
        o->decided++;
    }
}

static bool
batch_is_hli(const struct sequence *s, const struct outcome *o, size_t k)
{
    return k < o->decided && s->input[k] == AVAILABILITY_BAD && o->a[k] && !s->outside[k];
}

static struct outcome
batch(const struct sequence *s)
{
    struct outcome o = {0};

    batch_states(s, &o);
    for (size_t k = 0; k < o.decided; k++) {
        o.outages += a_before(s, &o, k) && !o.a[k];
        o.w += !s->outside[k];
        o.available += !s->outside[k] && o.a[k];
        o.high_loss.intervals += batch_is_hli(s, &o, k);
        if (batch_is_hli(s, &o, k) && (k == 0 || !batch_is_hli(s, &o, k - 1))) {
            size_t end = k;
            while (batch_is_hli(s, &o, end)) {
                end++;
            }
            o.high_loss.runs += end - k >= s->p;
            o.high_loss.run_intervals += end - k >= s->p ? end - k : 0;
        }
    }
    return o;
}

static bool
same(const struct outcome *x, const struct outcome *y)
{
    return x->decided == y->decided && !memcmp(x->a, y->a, x->decided * sizeof x->a[0]) &&
           x->w == y->w && x->available == y->available && x->outages == y->outages &&
           x->high_loss.intervals == y->high_loss.intervals &&
           x->high_loss.runs == y->high_loss.runs &&
           x->high_loss.run_intervals == y->high_loss.run_intervals;
}

/* --- Random sequences ---------------------------------------------------------------- */

/* Runs about as long as the window, so that many just fill it and many just do not. */
static struct sequence
random_sequence(void)
{
    struct sequence s = {.params = {.n = 2 + (uint32_t)random_below(9), .c_milli = C_HALF},
                         .before = random_chance(700),
                         .length = 1 + random_below(120)};
    size_t i = 0;

    s.p = 1 + (uint32_t)random_below(s.params.n - 1);
    while (i < s.length) {
        uint64_t draw = random_below(16);
        enum availability_input input = draw < 1   ? AVAILABILITY_NONE
                                        : draw < 9 ? AVAILABILITY_BAD
                                                   : AVAILABILITY_GOOD;
        size_t run = random_chance(500) ? s.params.n - 1 + random_below(3)
                                        : 1 + random_below(2 * s.params.n);
        for (; run > 0 && i < s.length; run--) {
            s.input[i++] = input;
        }
    }
    for (i = random_below(s.length + 1); i < s.length && random_chance(900); i++) {
        s.outside[i] = true; /* A window, often of several delta-t. */
    }
    for (i = 0; i < s.length; i++) {
        s.outside[i] = s.outside[i] || random_chance(20);
    }
    return s;
}

/* Begins anew at delta-t 'k', all before it decided: the machine keeps nothing but A(k-1). */
static void
stream_again_from(struct stream *t, size_t k)
{
    struct stream kept = stream_begin(t->s);

    for (size_t i = 0; i < k; i++) {
        stream_decide(&kept, t->o.a[i]);
    }
    kept.machine = availability_begin(a_before(t->s, &kept.o, k));
    kept.at = k;
    kept.wrong = t->wrong;
    *t = kept;
}

/* Adds up to 'until' in pieces of like inputs, with restarts on the way. */
static void
stream_advance(struct stream *t, size_t until, unsigned restart_per_mille)
{
    while (t->at < until) {
        size_t like = 1;
        while (t->at + like < until && t->s->input[t->at + like] == t->s->input[t->at]) {
            like++;
        }
        stream_add(t, 1 + random_below(like));
        if (random_chance(restart_per_mille)) {
            stream_again_from(t, t->o.decided);
        }
    }
}

/* Midnight: what is stored of the day before is all that the new day begins with. */
static void
stream_over_midnight(struct stream *t)
{
    if (t->o.decided > 1) {
        stream_again_from(t, 1 + random_below(t->o.decided - 1));
    }
}

#endif
