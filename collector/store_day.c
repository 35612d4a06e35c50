/* store_day.c - partitions: made before rows are written into them, and not asked for again. */
#include "store_parts.h"

#include <errno.h>

bool
store_day_known(const struct store *s, int64_t day)
{
    for (unsigned i = 0; i < s->day_count; i++) {
        if (s->days[i] == day) {
            return true;
        }
    }
    return false;
}

void
store_day_learn(struct store *s, int64_t day)
{
    if (!store_day_known(s, day)) {
        s->days[s->day_next++ % STORE_DAYS_KNOWN] = day;
        s->day_count += s->day_count < STORE_DAYS_KNOWN;
    }
}

int
store_day_make(struct store *s, int64_t day)
{
    char text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(text, day)};

    return store_do(s, "SELECT plumbline_store.make_day(date '1970-01-01' + $1::integer)", 1,
                    values) < 0
               ? -EIO
               : 0;
}

int
store_days(struct store *s, struct instant now)
{
    int64_t today = now.ns / (86400 * NS_PER_S);

    for (int64_t day = today; day <= today + 1; day++) {
        if (store_day_known(s, day)) {
            continue;
        }
        if (store_day_make(s, day)) {
            return -EIO;
        }
        store_day_learn(s, day);
    }
    return 0;
}
