/* problem.h - the life of one problem: opened, joined, narrowed, worsened, flapping, held, told,
 * ended, reopened, merged; and when there is something to tell of it.
 *
 * After cause.h (which symptoms belong together), extent.h; before notice.h, desk.h.  Does no I/O;
 * 'now' is given, and is the database's.  What is remembered here is what the tables have: whoever
 * reads them goes on with the same. */
#ifndef PLUMBLINE_PROBLEM_H
#define PLUMBLINE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "extent.h"
#include "symptom.h"
#include "texthash.h"

enum problem_state { PROBLEM_OPEN, PROBLEM_ENDED, PROBLEM_MERGED };

/* As problem_step.what has them. */
enum problem_what {
    PROBLEM_STEP_OPENED,
    PROBLEM_STEP_JOINED,
    PROBLEM_STEP_NARROWED,
    PROBLEM_STEP_WORSENED,
    PROBLEM_STEP_FLAPPING,
    PROBLEM_STEP_HELD,
    PROBLEM_STEP_TOLD,
    PROBLEM_STEP_ACKNOWLEDGEMENT_ENDED,
    PROBLEM_STEP_MERGED,
    PROBLEM_STEP_ENDED,
    PROBLEM_STEP_REOPENED,
    PROBLEM_STEPS
};

struct problem_step {
    enum problem_what what;
    char *text;
    struct instant at;
};

/* What one hook has heard. */
struct problem_heard {
    const char *hook;  /* The inventory's key. */
    bool open;         /* The last was no 'resolve'. */
    struct instant at; /* Of the last. */
    uint64_t print;    /* notice_print() of it. */
};

struct problem {
    int64_t id; /* 0: it is not written yet. */
    enum problem_state state;
    enum inv_severity severity;
    enum symptom_what what;
    enum inv_cause kind;
    char *key;
    char *title; /* notice.h; NULL: not made yet. */
    struct instant began, ended;
    struct instant opened, closed;
    char *held; /* Why nobody was told; NULL. */
    int revision, reopened;
    int64_t merged_into;
    struct symptom *symptoms;
    size_t symptom_count;
    struct extent extent;  /* As it was at the last review, */
    struct extent written; /* and as the tables have it. */
    bool told;             /* Of this opening, those who want to know were told. */
    struct instant untold_first, untold_last; /* Changes that are not told; ns 0: there are none. */
    char **changes;                           /* Their texts, and since when there are some. */
    size_t change_count;
    unsigned flaps;             /* Most of its symptoms, when that was last said. */
    struct problem_step *steps; /* Not written yet. */
    size_t step_count;
    struct problem_heard *heard;
    size_t heard_count;
    struct {
        char *by, *note;      /* NULL: nobody has acknowledged it. */
        struct instant until; /* ns 0: until it ends. */
    } ack;
    cJSON *evidence; /* Array; NULL: not looked for yet. */
    bool touched;    /* Its symptoms are others: it is to be reviewed. */
    bool changed;    /* It is to be written. */
    bool look;       /* Its evidence is to be looked for, */
    bool later;      /* in another round. */
    struct problem *merged;
    UT_hash_handle hh; /* By id. */
};

/* 'key' is copied.  NULL: memory is out. */
struct problem *problem_new(enum inv_cause kind, const char *key, struct instant now);
/* Its symptoms are let go, not freed. */
void problem_free(struct problem *p);

/* 's' is of no problem. */
void problem_join(struct problem *p, struct symptom *s);
/* All that 'from' has is p's from now on; 'from' is merged.  0 or -ENOMEM. */
int problem_merge(struct problem *p, struct problem *from, struct instant now);
/* It turned out to have another cause.  0 or -ENOMEM. */
int problem_rename(struct problem *p, enum inv_cause kind, const char *key, struct instant now);

/* Looks at its symptoms: what came, went, or got worse becomes steps, and its end if nothing is
 * raised.  'down' as for extent_make().  0 or -ENOMEM. */
int problem_review(struct problem *p, const struct reach *r, const bool *down, struct instant now);

/* Whether a symptom keeps it open. */
bool problem_is_kept_by(const struct problem *p, const struct symptom *s);
bool problem_is_kept(const struct problem *p);

enum problem_due { PROBLEM_NOTHING, PROBLEM_TELL_OPEN, PROBLEM_TELL_CHANGE, PROBLEM_TELL_END };
enum problem_due problem_due(const struct problem *p, struct instant now, struct span gather);

/* Those who want to know were told; of an end too. */
void problem_was_told(struct problem *p);

/* Somebody has it in hand, and not only until a while ago. */
bool problem_is_acknowledged(const struct problem *p, struct instant now);
/* Whether who heard of it is told once more that it is open: each 'every' (0: never) since the last
 * time, unless somebody has it in hand. */
bool problem_reminds(const struct problem *p, const struct problem_heard *heard, struct span every,
                     struct instant now);

/* Why nobody is told of it now ("maintenance 12"), or NULL.  'window' says of each link the number
 * of the window that silences it, or 0; the text is written into 'buf'. */
const char *problem_is_held(const struct problem *p, const struct reach *r, const int64_t *window,
                            char *buf, size_t size);
/* Notes that it is held, or is not any more.  0 or -ENOMEM. */
int problem_hold(struct problem *p, const char *why, struct instant now);

/* Adds a step.  0 or -ENOMEM. */
int problem_step(struct problem *p, enum problem_what what, struct instant now, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/* Adds one of the changes that are to be told. */
int problem_change(struct problem *p, struct instant now, const char *text);

struct problem_heard *problem_heard(struct problem *p, const char *hook);
/* Finds or adds it.  NULL: memory is out. */
struct problem_heard *problem_hear(struct problem *p, const char *hook);

const char *problem_state_name(enum problem_state state);
const char *problem_step_name(enum problem_what what);

#endif
