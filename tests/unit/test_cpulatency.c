/* test_cpulatency.c - what is written for the kernel to read. */
#include "cpulatency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

static int32_t
written(int fd)
{
    int32_t us = -1;

    CU_ASSERT_EQUAL(pread(fd, &us, sizeof us, 0), sizeof us);
    return us;
}

static void
microseconds_are_asked_for(void)
{
    char path[] = "/tmp/cpulatency.XXXXXX";
    int made = mkstemp(path);

    CU_ASSERT_TRUE_FATAL(made >= 0);
    int fd = cpulatency_open(path, span_of_ns(12999));
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(written(made), 12);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CU_ASSERT_EQUAL(cpulatency_change(fd, span_of_ns(0)), 0);
    CU_ASSERT_EQUAL(written(made), 0);
    CU_ASSERT_EQUAL(cpulatency_change(fd, span_of_ns(CPULATENCY_ANY_NS)), 0);
    CU_ASSERT_EQUAL(written(made), 2000000000);
    CU_ASSERT_EQUAL(lseek(made, 0, SEEK_END), sizeof(int32_t));
    (void)close(fd);
    (void)close(made);
    unlink(path);
}

static void
what_cannot_be_asked_is_told(void)
{
    char path[] = "/tmp/cpulatency.XXXXXX";
    int made = mkstemp(path);

    CU_ASSERT_TRUE_FATAL(made >= 0);
    CU_ASSERT_EQUAL(cpulatency_change(made, span_of_ns(-1)), -EINVAL);
    CU_ASSERT_EQUAL(cpulatency_change(made, span_of_ns(CPULATENCY_ANY_NS + 1)), -EINVAL);
    CU_ASSERT_EQUAL(lseek(made, 0, SEEK_END), 0);
    CU_ASSERT_EQUAL(cpulatency_open(path, span_of_ns(-1)), -EINVAL);
    (void)close(made);
    unlink(path);
    CU_ASSERT_EQUAL(cpulatency_open(path, span_of_ns(0)), -ENOENT);
    CU_ASSERT_EQUAL(cpulatency_change(made, span_of_ns(0)), -EBADF);
}

int
main(void)
{
    static CU_TestInfo tests[] = {{"microseconds_are_asked_for", microseconds_are_asked_for},
                                  {"what_cannot_be_asked_is_told", what_cannot_be_asked_is_told},
                                  CU_TEST_INFO_NULL};
    return run_suite("cpulatency", tests);
}
