/* impair.c - fates by a seeded generator, and the parser of commands. */
#include "impair.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PPM 1000000u
#define HOLD_DEFAULT_NS (50 * NS_PER_MS)
#define COMMAND_MAX 256
#define WORDS_MAX 32

void
impair_init(struct impair *d, uint64_t seed)
{
    *d = (struct impair){.hold = span_of_ns(HOLD_DEFAULT_NS), .lose_dscp = -1, .random = seed};
}

/* SplitMix64. */
static uint64_t
draw(struct impair *d)
{
    uint64_t z = (d->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool
chance(uint64_t drawn, uint32_t ppm)
{
    return drawn % PPM < ppm;
}

static bool
burst_takes(struct impair *d, unsigned dscp)
{
    if (d->lose == 0 || (d->lose_dscp >= 0 && (unsigned)d->lose_dscp != dscp)) {
        return false;
    }
    d->lose--;
    return true;
}

struct impair_fate
impair_decide(struct impair *d, struct instant rx, unsigned dscp)
{
    uint64_t lost = draw(d), twice = draw(d), late = draw(d), wobble = draw(d);
    struct impair_fate fate = {.action = IMPAIR_PASS};
    int64_t due;

    if (d->cut) {
        fate.action = IMPAIR_CUT;
        return fate;
    }
    if (burst_takes(d, dscp)) {
        fate.action = IMPAIR_BURST;
        return fate;
    }
    if (chance(lost, d->loss_ppm)) {
        fate.action = IMPAIR_LOST;
        return fate;
    }
    fate.duplicate = chance(twice, d->duplicate_ppm);
    fate.reordered = chance(late, d->reorder_ppm);
    due = rx.ns + d->delay.ns;
    if (d->jitter.ns > 0) {
        due += (int64_t)(wobble % (uint64_t)(2 * d->jitter.ns + 1)) - d->jitter.ns;
    }
    if (due < rx.ns) {
        due = rx.ns;
    }
    if (fate.reordered) {
        due += d->hold.ns;
    } else {
        if (due < d->last_due.ns) {
            due = d->last_due.ns;
        }
        d->last_due.ns = due;
    }
    fate.due = instant_of_ns(due);
    return fate;
}

const char *
impair_action_name(enum impair_action action)
{
    static const char *const names[] = {"pass", "lost", "cut", "burst"};

    assert((size_t)action < sizeof names / sizeof names[0]);
    return names[action];
}

/* Reads a decimal number with at most nine decimals as a count of 10^-9, up to
 * 1,000,000; '*rest' is what follows it. */
static bool
parse_nano(const char *text, int64_t *out, const char **rest)
{
    int64_t value = 0, weight = NS_PER_S;
    const char *at = text;

    for (; isdigit((unsigned char)*at); at++) {
        value = value * 10 + (*at - '0') * NS_PER_S;
        if (value > 1000000 * NS_PER_S) {
            return false;
        }
    }
    if (at == text) {
        return false;
    }
    if (*at == '.') {
        for (at++; isdigit((unsigned char)*at); at++) {
            weight /= 10;
            if (weight == 0) {
                return false;
            }
            value += (*at - '0') * weight;
        }
    }
    *out = value;
    *rest = at;
    return true;
}

static bool
parse_span(const char *text, struct span *out)
{
    static const struct {
        const char *unit;
        int64_t divisor;
    } units[] = {{"ns", NS_PER_S}, {"us", NS_PER_MS}, {"ms", NS_PER_US}, {"s", 1}};
    const char *rest;
    int64_t nano;

    if (!parse_nano(text, &nano, &rest)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].unit) == 0) {
            out->ns = nano / units[i].divisor;
            return out->ns <= 3600 * NS_PER_S;
        }
    }
    return false;
}

static bool
parse_share(const char *text, uint32_t *ppm)
{
    const char *rest;
    int64_t nano;

    if (!parse_nano(text, &nano, &rest) || strcmp(rest, "%") != 0 || nano > 100 * NS_PER_S) {
        return false;
    }
    *ppm = (uint32_t)(nano / 100000);
    return true;
}

static bool
parse_count(const char *text, uint32_t max, uint32_t *out)
{
    const char *rest;
    int64_t nano;

    if (!parse_nano(text, &nano, &rest) || *rest != '\0' || nano % NS_PER_S != 0 ||
        nano / NS_PER_S > max) {
        return false;
    }
    *out = (uint32_t)(nano / NS_PER_S);
    return true;
}

/* Which of the two directions a word means, as a set of bits; 0: it is none. */
static unsigned
parse_directions(const char *word)
{
    if (strcmp(word, "fwd") == 0) {
        return 1;
    }
    if (strcmp(word, "bwd") == 0) {
        return 2;
    }
    return strcmp(word, "both") == 0 ? 3 : 0;
}

static bool
set_value(struct impair *d, const char *key, const char *value)
{
    if (strcmp(key, "loss") == 0) {
        return parse_share(value, &d->loss_ppm);
    }
    if (strcmp(key, "dup") == 0) {
        return parse_share(value, &d->duplicate_ppm);
    }
    if (strcmp(key, "reorder") == 0) {
        return parse_share(value, &d->reorder_ppm);
    }
    if (strcmp(key, "by") == 0) {
        return parse_span(value, &d->hold);
    }
    if (strcmp(key, "delay") == 0) {
        return parse_span(value, &d->delay);
    }
    return strcmp(key, "jitter") == 0 && parse_span(value, &d->jitter);
}

static size_t
split(char *text, char *words[WORDS_MAX])
{
    size_t count = 0;
    char *save = NULL;

    for (char *w = strtok_r(text, " \t\r\n", &save); w; w = strtok_r(NULL, " \t\r\n", &save)) {
        if (count == WORDS_MAX) {
            return 0;
        }
        words[count++] = w;
    }
    return count;
}

static int
wrong(char *error, size_t size, const char *what, const char *word)
{
    snprintf(error, size, "%s: '%s'", what, word);
    return -EINVAL;
}

/* cut, mend or lose, for one direction; the words are checked for their number. */
static bool
obey_verb(struct impair *d, char *const words[], size_t count)
{
    uint32_t n = 0, dscp = 0;

    if (strcmp(words[0], "cut") == 0 || strcmp(words[0], "mend") == 0) {
        d->cut = words[0][0] == 'c';
        return count == 2;
    }
    if ((count != 3 && count != 5) || !parse_count(words[2], PPM, &n)) {
        return false;
    }
    if (count == 5 && (strcmp(words[3], "dscp") != 0 || !parse_count(words[4], 63, &dscp))) {
        return false;
    }
    d->lose = n;
    d->lose_dscp = count == 5 ? (int)dscp : -1;
    return true;
}

static int
obey(struct impair directions[2], char *words[], size_t count, char *error, size_t error_size)
{
    bool verb = strcmp(words[0], "cut") == 0 || strcmp(words[0], "mend") == 0 ||
                strcmp(words[0], "lose") == 0;
    unsigned set = verb ? count > 1 ? parse_directions(words[1]) : 0 : parse_directions(words[0]);

    if (set == 0) {
        return wrong(error, error_size, "expected fwd, bwd or both",
                     verb ? count > 1 ? words[1] : "" : words[0]);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!(set >> i & 1)) {
            continue;
        }
        if (verb) {
            if (!obey_verb(&directions[i], words, count)) {
                return wrong(error, error_size, "wrong use of", words[0]);
            }
            continue;
        }
        if (count < 3 || count % 2 != 1) {
            return wrong(error, error_size, "expected KEY VALUE ... after", words[0]);
        }
        for (size_t w = 1; w < count; w += 2) {
            if (!set_value(&directions[i], words[w], words[w + 1])) {
                return wrong(error, error_size, "wrong key or value", words[w]);
            }
        }
    }
    return 0;
}

/* Back to a clean link; the generator goes on where it is. */
static void
reset(struct impair *d)
{
    struct instant last_due = d->last_due;

    impair_init(d, d->random);
    d->last_due = last_due;
}

int
impair_command(struct impair directions[2], const char *text, char *error, size_t error_size)
{
    struct impair wanted[2] = {directions[0], directions[1]};
    char copy[COMMAND_MAX];
    char *words[WORDS_MAX];
    size_t count;
    int err;

    if (strlen(text) >= sizeof copy) {
        return wrong(error, error_size, "too long", "command");
    }
    strcpy(copy, text);
    count = split(copy, words);
    if (count == 0) {
        return wrong(error, error_size, "expected a command", "");
    }
    if (count == 1 && strcmp(words[0], "reset") == 0) {
        reset(&wanted[0]);
        reset(&wanted[1]);
    } else {
        err = obey(wanted, words, count, error, error_size);
        if (err) {
            return err;
        }
    }
    directions[0] = wanted[0];
    directions[1] = wanted[1];
    return 0;
}
