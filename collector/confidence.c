/* confidence.c - the incomplete beta function by continued fraction, and its inverse.
 *
 * P(X >= k) of a binomial X with n trials of probability p is I_p(k, n - k + 1); the bounds of
 * Clopper and Pearson are where it, or its complement, is 2.5 %. */
#include "confidence.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#define TAIL 0.025
#define Z 1.959963984540054 /* 97.5 % of a normal distribution lie below. */

/* Successes and failures beyond which Wilson's interval is the same in six figures, and the
 * continued fraction would be slow. */
#define MANY 1e8

/* A beta distribution. */
struct beta {
    double a, b;
    long double log_scale; /* ln 1/B(a, b): the terms nearly cancel, hence long. */
};

static struct beta
beta_of(double a, double b)
{
    int sign;

    return (struct beta){.a = a,
                         .b = b,
                         .log_scale = lgammal_r((long double)a + b, &sign) - lgammal_r(a, &sign) -
                                      lgammal_r(b, &sign)};
}

/* x^a (1-x)^b / B(a, b). */
static double
beta_front(const struct beta *d, double x)
{
    return (double)expl(d->log_scale + d->a * logl(x) + d->b * log1pl(-(long double)x));
}

/* What keeps a denominator of the fraction from being 0. */
static double
not_zero(double v)
{
    return fabs(v) < 1e-300 ? 1e-300 : v;
}

/* The continued fraction of I_x(a, b) (DLMF 8.17.22) from its head down, by the method of Lentz. */
static double
beta_fraction(double a, double b, double x)
{
    double c = 1, d = 0, value = 1;

    for (uint32_t i = 1; i < 1000000; i++) {
        double m = i / 2;
        double step = i % 2 ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                            : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / not_zero(1 + step * d);
        c = not_zero(1 + step / c);
        value *= c * d;
        if (fabs(c * d - 1) < 1e-15) {
            break;
        }
    }
    return 1 / value;
}

/* I_x(a, b): how much of 'd' lies below x. */
static double
beta_below(const struct beta *d, double x)
{
    if (x <= 0 || x >= 1) {
        return x >= 1;
    }
    /* The fraction converges fast on this side of the mean only. */
    if (x < (d->a + 1) / (d->a + d->b + 2)) {
        return beta_front(d, x) * beta_fraction(d->a, d->b, x) / d->a;
    }
    return 1 - beta_front(d, x) * beta_fraction(d->b, d->a, 1 - x) / d->b;
}

/* Below which x 'share' of the distribution lies: Newton's steps from 'x', and halves of what is
 * known to hold it where a step leaves that. */
static double
beta_quantile(const struct beta *d, double share, double x)
{
    double low = 0, high = 1;

    for (int i = 0; i < 200; i++) {
        double off = beta_below(d, x) - share;
        if (off > 0) {
            high = x;
        } else {
            low = x;
        }
        double next = x - off * x * (1 - x) / beta_front(d, x);
        if (!(next > low && next < high)) {
            next = low + (high - low) / 2;
        }
        if (fabs(next - x) <= 1e-14 * x) {
            return next;
        }
        x = next;
    }
    return x;
}

/* Wilson's interval: the score test, turned around. */
static void
wilson_interval(double part, double whole, double *low, double *high)
{
    double p = part / whole, zz = Z * Z / whole;
    double middle = p + zz / 2, half = sqrt(zz * (p * (1 - p) + zz / 4));

    *low = (middle - half) / (1 + zz);
    *high = (middle + half) / (1 + zz);
}

/* A bound must lie inside (0, 1) to begin at. */
static double
begin_at(double x, double whole)
{
    double least = 1 / (whole + 2) / 2;

    return x < least ? least : x > 1 - least ? 1 - least : x;
}

void
confidence_interval(uint64_t part, uint64_t whole, double *low, double *high)
{
    double k = (double)part, n = (double)whole;

    assert(whole > 0 && part <= whole);
    wilson_interval(k, n, low, high);
    if (k > MANY && n - k > MANY) {
        return;
    }
    if (part == 0) {
        *low = 0;
        *high = -expm1(log(TAIL) / n);
    } else if (part == whole) {
        *low = exp(log(TAIL) / n);
        *high = 1;
    } else {
        struct beta below = beta_of(k, n - k + 1), above = beta_of(k + 1, n - k);
        *low = beta_quantile(&below, TAIL, begin_at(*low, n));
        *high = beta_quantile(&above, 1 - TAIL, begin_at(*high, n));
    }
}

/* Whether 'ratio' lies outside the interval of n samples of which the share 'p' counts, p * n being
 * any number. */
static bool
is_outside(double p, double n, double ratio)
{
    double k = p * n;

    if (ratio > p) {
        struct beta above = beta_of(k + 1, n - k);
        return n > k && beta_below(&above, ratio) > 1 - TAIL;
    }
    struct beta below = beta_of(k, n - k + 1);
    return k > 0 && beta_below(&below, ratio) < TAIL;
}

uint64_t
confidence_needed(uint64_t part, uint64_t whole, double ratio)
{
    double p = (double)part / (double)whole;
    double low = (double)whole, high = low;

    if (!(p < ratio) && !(p > ratio)) {
        return CONFIDENCE_NEVER;
    }
    if (ratio <= 0 || ratio >= 1) {
        return whole; /* One sample on the other side is enough, and it is there. */
    }
    double normal = Z * Z * ratio * (1 - ratio) / ((p - ratio) * (p - ratio));
    if (normal * fmin(ratio, 1 - ratio) > MANY / 100) {
        return normal < 0x1p62 ? (uint64_t)ceil(normal) : CONFIDENCE_NEVER;
    }
    while (!is_outside(p, high, ratio)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1 && high - low > low * 1e-9) {
        double middle = floor(low + (high - low) / 2);
        if (is_outside(p, middle, ratio)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return (uint64_t)high;
}
