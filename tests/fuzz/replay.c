/* replay.c - runs a fuzz target over its corpus where there is no libFuzzer:
 * each file of the folders (or each file) given as an argument, once. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact-size copy, so that a sanitizer sees a read one octet beyond it. */
static int
replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *bytes;
    size_t size;

    if (!f || fstat(fileno(f), &st) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (f) {
            fclose(f);
        }
        return -1;
    }
    size = (size_t)st.st_size;
    bytes = (uint8_t *)malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, f) != size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        fclose(f);
        free(bytes);
        return -1;
    }
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

static int
replay_folder(const char *path, unsigned *passed)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int err = 0;

    if (!d) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    while (!err && (e = readdir(d))) {
        char file[4096];
        if (e->d_name[0] == '.') {
            continue;
        }
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        err = replay_file(file);
        *passed += err == 0;
    }
    closedir(d);
    return err;
}

int
main(int argc, char **argv)
{
    unsigned passed = 0;
    int err = 0;

    for (int i = 1; i < argc && !err; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && !S_ISDIR(st.st_mode)) {
            err = replay_file(argv[i]);
            passed += err == 0;
        } else {
            err = replay_folder(argv[i], &passed);
        }
    }
    if (err || passed == 0) {
        fprintf(stderr, "replay: nothing was run, or not all of it\n");
        printf("%u passed, 1 failed\n", passed);
        return EXIT_FAILURE;
    }
    printf("%u passed, 0 failed\n", passed);
    return EXIT_SUCCESS;
}
