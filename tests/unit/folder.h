/* folder.h - what the tests of the transport share: a temporary folder that goes
 * away, random numbers with a printed seed, a suite's run. */
#ifndef PLUMBLINE_TEST_FOLDER_H
#define PLUMBLINE_TEST_FOLDER_H

#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

static char folder_path[64];
static uint64_t folder_random = 1;

static inline uint64_t
random_below(uint64_t below)
{
    folder_random ^= folder_random >> 12;
    folder_random ^= folder_random << 25;
    folder_random ^= folder_random >> 27;
    return folder_random * UINT64_C(0x2545f4914f6cdd1d) % below;
}

static inline int
folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void
folder_remove(const char *path)
{
    nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static inline void
folder_gone(void)
{
    folder_remove(folder_path);
}

/* Interrupted or crashed: nothing may stay behind either. */
static inline void
folder_signal(int signal_number)
{
    folder_gone();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static inline void
folder_guard(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGABRT};

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        signal(signals[i], folder_signal);
    }
    atexit(folder_gone);
}

/* A path in the test's folder; one of eight buffers. */
static inline const char *
in_folder(const char *name)
{
    static char paths[8][192];
    static unsigned turn;
    char *path = paths[turn++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", folder_path, name);
    return path;
}

static inline void *
read_whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    void *bytes = NULL;

    *size = 0;
    if (f && fstat(fileno(f), &st) == 0) {
        *size = (size_t)st.st_size;
        bytes = malloc(*size + 1);
        if (!bytes || fread(bytes, 1, *size, f) != *size) {
            abort();
        }
    }
    if (f) {
        fclose(f);
    }
    return bytes;
}

static inline void
write_whole(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0) {
        abort();
    }
}

static inline int
folder_run_suite(const char *name, CU_TestInfo *tests)
{
    const char *seed = getenv("PLUMBLINE_TEST_SEED");
    const char *only = getenv("PLUMBLINE_TEST_ONLY");
    const char *where = getenv("TMPDIR");
    char suite_name[64];
    CU_SuiteInfo suites[] = {{suite_name, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

    snprintf(suite_name, sizeof suite_name, "%s", name);
    snprintf(folder_path, sizeof folder_path, "%s/plumbline-%s-XXXXXX", where ? where : "/tmp",
             name);
    if (!mkdtemp(folder_path)) {
        return 2;
    }
    folder_guard();
    folder_random = (seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u) | 1;
    printf("seed 0x%llx\n", (unsigned long long)folder_random);
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        return 2;
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    if (only) {
        CU_pSuite suite = CU_get_suite(suite_name);
        CU_basic_run_test(suite, CU_get_test(suite, only));
    } else {
        CU_basic_run_tests();
    }
    unsigned failed = CU_get_number_of_tests_failed();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    printf("%u passed, %u failed\n", run - failed, failed);
    return failed || run == 0 ? 1 : 0;
}

#endif
