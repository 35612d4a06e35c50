/* inventory_alarm.c - which rules of alarms are in force: the inventory's, and those built in.
 *
 * After inventory_sold.h. */
#include "inventory_sold.h"

#include <stdlib.h>
#include <string.h>

#define SECONDS(n)                                                                                 \
    {                                                                                              \
        (n) * NS_PER_S                                                                             \
    }

static const struct inv_alarm built_in[] = {
    {.key = "cut",
     .state = INV_ACTIVE,
     .metric = {INV_FLR, 0},
     .over = SECONDS(3),
     .clear = SECONDS(10),
     .raise = 50000,
     .severity = INV_CRITICAL},
    {.key = "brown",
     .state = INV_ACTIVE,
     .metric = {INV_FLR, 0},
     .over = SECONDS(300),
     .clear = SECONDS(900),
     .raise = 500,
     .severity = INV_MAJOR},
    {.key = "slow",
     .state = INV_ACTIVE,
     .metric = {INV_RT, 50000},
     .over = SECONDS(300),
     .clear = SECONDS(900),
     .relative = true,
     .raise = 20000,
     .against = SECONDS(7 * 86400),
     .severity = INV_MINOR},
    {.key = "silent",
     .state = INV_ACTIVE,
     .metric = {INV_SILENCE, 0},
     .over = SECONDS(15),
     .clear = SECONDS(10),
     .severity = INV_MAJOR},
    {.key = "clock",
     .state = INV_ACTIVE,
     .metric = {INV_CLOCK_ERROR, 0},
     .over = SECONDS(60),
     .clear = SECONDS(300),
     .raise = 1000000,
     .severity = INV_MINOR},
    {.key = "floor",
     .state = INV_ACTIVE,
     .metric = {INV_RT_FLOOR, 0},
     .over = SECONDS(10),
     .clear = SECONDS(300),
     .severity = INV_MAJOR},
};
#define BUILT_IN (sizeof built_in / sizeof built_in[0])

static bool
is_used(const struct inventory *inv, const char *key)
{
    for (size_t i = 0; i < inv->alarm_count; i++) {
        if (strcmp(inv->alarms[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

const struct inv_alarm **
inventory_alarms_in_force(const struct inventory *inv, size_t *count)
{
    const struct inv_alarm **list = calloc(inv->alarm_count + BUILT_IN, sizeof *list);

    *count = 0;
    for (size_t i = 0; list && i < inv->alarm_count; i++) {
        if (inv->alarms[i].state == INV_ACTIVE) {
            list[(*count)++] = &inv->alarms[i];
        }
    }
    for (size_t i = 0; list && i < BUILT_IN; i++) {
        if (!is_used(inv, built_in[i].key)) {
            list[(*count)++] = &built_in[i];
        }
    }
    return list;
}
