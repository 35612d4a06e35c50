/* bond.c - parts put together. */
#include "bond.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "together.h"

struct bond *
bond_new(enum line_scope kind, const char *key, const struct inv_class *class_,
         struct span interval)
{
    struct bond *b = calloc(1, sizeof *b);

    if (b) {
        b->kind = kind;
        b->key = key;
        b->class_ = class_;
        b->interval = interval;
        b->next = instant_of_ns(-1);
    }
    return b;
}

void
bond_free(struct bond *b)
{
    if (b) {
        line_free(b->line);
        free(b->parts);
        free(b->states.states);
        free(b);
    }
}

void
bond_discard(struct bond *b)
{
    for (size_t i = 0; b && i < b->part_count; i++) {
        unsigned *users = b->parts[i].way ? &b->parts[i].way->users : &b->parts[i].bond->users;
        --*users;
    }
    bond_free(b);
}

static int
add_part(struct bond *b, struct bond_part part)
{
    struct bond_part *more = realloc(b->parts, (b->part_count + 1) * sizeof *more);

    if (!more) {
        return -ENOMEM;
    }
    b->parts = more;
    b->parts[b->part_count++] = part;
    return 0;
}

int
bond_add_way(struct bond *b, struct way *way)
{
    int err = add_part(b, (struct bond_part){.way = way});

    way->users += !err;
    return err;
}

int
bond_add_bond(struct bond *b, struct bond *part)
{
    int err = add_part(b, (struct bond_part){.bond = part});

    part->users += !err;
    return err;
}

static struct span
part_dt(const struct bond_part *p)
{
    return p->way ? p->way->class_->dt : p->bond->dt;
}

static struct way_states *
part_states(const struct bond_part *p)
{
    return p->way ? &p->way->states : &p->bond->states;
}

int
bond_ready(struct bond *b, size_t need)
{
    assert(b->part_count > 0 && need <= b->part_count);
    b->need = need ? need : b->part_count;
    b->dt = part_dt(&b->parts[0]);
    for (size_t i = 1; i < b->part_count; i++) {
        struct span dt = part_dt(&b->parts[i]);
        b->dt = dt.ns < b->dt.ns ? dt : b->dt;
    }
    for (size_t i = 0; i < b->part_count; i++) {
        if (part_dt(&b->parts[i]).ns % b->dt.ns != 0) {
            return -EINVAL;
        }
    }
    b->line = line_new(b->kind, b->key, b->key, b->class_->key, LINE_BOTH);
    if (!b->line) {
        return -ENOMEM;
    }
    b->line->dt = b->dt;
    b->line->params =
        (struct availability_params){.n = b->class_->n, .c_milli = b->class_->c_milli};
    b->line->config.p = b->class_->p;
    return 0;
}

/* The part's states of the interval from 'next' on; NULL: it is not judged so far. */
static const uint8_t *
states_of(const struct bond *b, const struct bond_part *p)
{
    const struct way_states *s = part_states(p);
    int64_t dt = part_dt(p).ns, first = (b->next.ns - s->start.ns) / dt;
    int64_t wanted = b->interval.ns / dt;

    if (s->count == 0 || b->next.ns < s->start.ns || first + wanted > (int64_t)s->count) {
        return NULL;
    }
    return s->states + first;
}

int
bond_step(struct bond *b)
{
    size_t count = (size_t)(b->interval.ns / b->dt.ns);
    const uint8_t **rows = calloc(b->part_count, sizeof *rows);
    uint8_t *fine = malloc(b->part_count * count), *out = malloc(count);
    int result = rows && fine && out ? 1 : -ENOMEM;

    for (size_t i = 0; i < b->part_count && result > 0; i++) {
        const struct bond_part *p = &b->parts[i];
        const uint8_t *states = states_of(b, p);
        struct span dt = part_dt(p);
        if (!states) {
            result = 0;
        } else if (dt.ns == b->dt.ns) {
            rows[i] = states;
        } else {
            together_refine(states, (size_t)(b->interval.ns / dt.ns), (uint64_t)dt.ns,
                            (uint64_t)b->dt.ns, fine + i * count);
            rows[i] = fine + i * count;
        }
    }
    if (result > 0) {
        together(rows, b->part_count, b->need, count, out);
        int err =
            b->line->until.ns == b->next.ns ? line_add_states(b->line, b->next, out, count) : 0;
        if (!err && b->users) {
            err = way_states_add(&b->states, b->next, out, count, b->dt);
        }
        b->next = instant_add(b->next, b->interval);
        result = err ? err : 1;
    }
    free(rows);
    free(fine);
    free(out);
    return result;
}
