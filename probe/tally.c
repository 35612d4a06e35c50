/* tally.c - the counters of a link's sessions, together. */
#include "tally.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series.h"
#include "texthash.h"

struct object {
    UT_hash_handle hh;
    char name[SERIES_NAME_MAX + 1];
    size_t sessions; /* Live ones, of the listing under way. */
    uint64_t *kept;
    struct counter *sum;
};

struct tally {
    struct counter_group group; /* Names. */
    struct object *objects;
};

struct tally *
tally_new(void)
{
    return calloc(1, sizeof(struct tally));
}

static void
object_free(struct object *o)
{
    free(o->kept);
    free(o->sum);
    free(o);
}

void
tally_free(struct tally *t)
{
    struct object *o, *next;

    if (!t) {
        return;
    }
    HASH_ITER(hh, t->objects, o, next)
    {
        HASH_DEL(t->objects, o);
        object_free(o);
    }
    free(t);
}

static struct object *
object_of(struct tally *t, const char *name, const struct counter_group *group)
{
    struct object *o;

    assert(t->group.count == 0 || t->group.count == group->count);
    t->group = *group;
    HASH_FIND_STR(t->objects, name, o);
    if (o) {
        return o;
    }
    o = calloc(1, sizeof *o);
    if (!o) {
        return NULL;
    }
    o->kept = calloc(t->group.count, sizeof o->kept[0]);
    o->sum = calloc(t->group.count, sizeof o->sum[0]);
    if (!o->kept || !o->sum) {
        object_free(o);
        return NULL;
    }
    assert(strlen(name) < sizeof o->name);
    memcpy(o->name, name, strlen(name) + 1);
    HASH_ADD_STR(t->objects, name, o);
    return o;
}

int
tally_keep(struct tally *t, const char *object, const struct counter_group *group)
{
    struct object *o = object_of(t, object, group);

    if (!o) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < group->count; i++) {
        o->kept[i] += counter_get(&group->counters[i]);
    }
    return 0;
}

void
tally_begin(struct tally *t)
{
    for (struct object *o = t->objects; o; o = o->hh.next) {
        o->sessions = 0;
        for (unsigned i = 0; i < t->group.count; i++) {
            counter_set(&o->sum[i], o->kept[i]);
        }
    }
}

int
tally_add(struct tally *t, const char *object, const struct counter_group *group)
{
    struct object *o = object_of(t, object, group);

    if (!o) {
        return -ENOMEM;
    }
    o->sessions++;
    for (unsigned i = 0; i < group->count; i++) {
        counter_add(&o->sum[i], counter_get(&group->counters[i]));
    }
    return 0;
}

void
tally_each(struct tally *t, tally_fn *fn, void *aux)
{
    for (struct object *o = t->objects; o; o = o->hh.next) {
        struct counter_group group = t->group;
        group.counters = o->sum;
        fn(o->name, &group, o->sessions, aux);
    }
}
