/* commit.h - of which git commit some files are, and who wrote it.
 *
 * Asks git itself; without git, or outside of a repository, nothing is known. */
#ifndef PLUMBLINE_COMMIT_H
#define PLUMBLINE_COMMIT_H

#include <stdbool.h>

struct commit {
    char hash[80];    /* "" if not known. */
    char author[256]; /* "Name <address>", or "". */
    bool dirty;       /* What is at 'path' is not what was committed. */
};

/* Of the repository in which 'path', a file or folder, is. */
void commit_of(const char *path, struct commit *out);

#endif
