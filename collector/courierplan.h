/* courierplan.h - what the courier does next: whose turn it is, how long to wait after a failure,
 * when a letter is dead.
 *
 * After nstime.h; before courier.c.  Does no I/O and knows no clock.  Rows are the heads of their
 * problems (of each hook and problem the oldest that waits), so that taking any of them keeps the
 * order. */
#ifndef PLUMBLINE_COURIERPLAN_H
#define PLUMBLINE_COURIERPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

#define COURIERPLAN_AT_ONCE 128
/* Of one hook: so many always; one more for each that its target took, up to the most, while fewer
 * than COURIERPLAN_AT_ONCE_MORE of all hooks are under way.  So a target that hangs from the first
 * holds few, and hooks that hang with many leave the rest of all to the others. */
#define COURIERPLAN_AT_ONCE_HOOK 4
#define COURIERPLAN_AT_ONCE_HOOK_MAX 16
#define COURIERPLAN_AT_ONCE_MORE 64
#define COURIERPLAN_AT_ONCE_EXEC 4
#define COURIERPLAN_AT_ONCE_COMMAND 2 /* Of one hook: one that hangs leaves room for another. */
#define COURIERPLAN_HEADS 256         /* Rows of a hook that are known at once. */

/* How long to wait after so many failures in a row (> 0): 5 s, 30 s, 2 min, 5 min, 15 min, 30 min,
 * 1 h, then 2 h, 20 % more or less as 'random' says. */
struct span courierplan_delay(unsigned failures, uint64_t random);

/* Whether a row that was tried so often, and is so old, is given up: after three days; one that was
 * set back by hand has its short delays again. */
bool courierplan_is_dead(unsigned tries, struct span age);

enum courierplan_state { COURIERPLAN_GOOD, COURIERPLAN_FAILING, COURIERPLAN_DISABLED };

/* Of one hook.  Times are monotonic. */
struct courierplan_hook {
    bool exec;
    enum courierplan_state state;
    unsigned failures;      /* In a row. */
    struct span not_before; /* While it fails. */
    bool asked;             /* The target said so itself. */
    struct span failed_at;  /* When the last failure that counted was seen. */
    int64_t stepped_aside;  /* Row that failed by an answer of its own: another may probe; or 0. */
    unsigned in_flight;
    unsigned more; /* It may have beside COURIERPLAN_AT_ONCE_HOOK; a failure takes them away. */
    int64_t heads[COURIERPLAN_HEADS]; /* That are due, oldest first. */
    size_t head_count;
};

struct courierplan {
    struct courierplan_hook *hooks; /* The caller's. */
    size_t hook_count;
    size_t turn; /* Whose turn it is next. */
    unsigned in_flight, exec_in_flight;
};

/* How many more deliveries the hook may have now.  While it fails one row probes it. */
unsigned courierplan_room(const struct courierplan *p, const struct courierplan_hook *hook,
                          struct span mono);

/* Takes the next row: each hook has its turn, a hook's oldest row comes first.  Its hook's place
 * and the row in '*id', counted as in flight; -1: there is none now. */
int courierplan_next(struct courierplan *p, struct span mono, int64_t *id);

/* Counts one that is no row, such as a ticket that is told again. */
void courierplan_take(struct courierplan *p, size_t hook);
/* What was in flight is over. */
void courierplan_over(struct courierplan *p, size_t hook);

/* Something new is to be said by a hook that fails: it waits five minutes at most for the next
 * probe, unless the target itself asked for more. */
void courierplan_hurry(struct courierplan_hook *hook);

/* What a try that began at 'began' and ended now did to its hook. */

/* It was taken, or refused for ever.  Whether the hook is good now: not while the target asked to
 * wait, whatever it still took of what was under way then. */
bool courierplan_good(struct courierplan_hook *hook, struct span began);
/* 'wait': what the target asked for, 0: nothing; 'limit': no longer than that unless it was asked
 * for, 0: no limit.  Those that failed together are one failure.  How long the hook waits now. */
struct span courierplan_failed(struct courierplan_hook *hook, struct span began, struct span mono,
                               struct span wait, struct span limit, uint64_t random);

#endif
