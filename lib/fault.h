/* fault.h - what is wrong in the files that people wrote, and where.
 *
 * After pool.h, before yaml.h.  Readers and checkers add faults as they find
 * them; at the end all are printed, sorted by place, each with its line and a
 * caret.  The collector keeps the files' text for that, and is bounded: past
 * FAULTS_KEPT faults it only counts. */
#ifndef PLUMBLINE_FAULT_H
#define PLUMBLINE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FAULTS_KEPT 10000u

struct fault_file;

/* Line and column count from 1, columns in characters; line 0 means the file as
 * a whole.  'file' belongs to the collector that gave it. */
struct place {
    const struct fault_file *file;
    uint32_t line, column;
};

enum fault_severity { FAULT_ERROR, FAULT_WARNING };

struct fault {
    enum fault_severity severity;
    struct place at;
    const char *message;
    size_t serial; /* Order of finding. */
};

struct faults;

struct faults *faults_new(void);
void faults_free(struct faults *f);

/* Takes a copy of name and bytes; lives as long as 'f'. */
const struct fault_file *faults_file(struct faults *f, const char *name, const char *bytes,
                                     size_t size);
const char *fault_file_name(const struct fault_file *file);

void fault_error(struct faults *f, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void fault_warning(struct faults *f, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How many were found, kept or not. */
size_t faults_errors(const struct faults *f);
size_t faults_warnings(const struct faults *f);

/* Sorts by file (as they came), line, column.  The kept ones, the collector's. */
const struct fault *faults_sorted(struct faults *f, size_t *count);

/* Prints "file:line:column: error: message", the line and a caret for the first
 * 'max' of them, and how many more there are. */
void faults_print(struct faults *f, FILE *to, size_t max);

/* The nearest of the words that were offered to 'wanted' by edit distance, for
 * "did you mean".  Initialise with {.wanted = text}; 'best' stays NULL when none
 * is near. */
struct nearest {
    const char *wanted;
    const char *best;
    unsigned distance;
};
void nearest_offer(struct nearest *n, const char *word);

/* ", did you mean 'x'?" or "" into 'buf'; returns it. */
const char *nearest_text(const struct nearest *n, char *buf, size_t size);

#endif
