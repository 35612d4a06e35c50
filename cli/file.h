/* file.h - files that the command writes: whole or not at all.
 *
 * Used by slice.c, enrol.c and ledger.c. */
#ifndef PLUMBLINE_FILE_H
#define PLUMBLINE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Writes 'size' bytes beside 'path' and renames that, so that nobody reads half of
 * it.  0, or a negative errno after which 'path' is as it was. */
int file_write(const char *path, mode_t mode, const void *bytes, size_t size);

/* Makes the folder 'path' and those above it that are not there.  0 or negative
 * errno. */
int file_folders(const char *path, mode_t mode);

/* All of a file of at most 'most' bytes, with a NUL behind it; the caller's to
 * free().  NULL with errno; EFBIG. */
char *file_read(const char *path, size_t most, size_t *size);

#endif
