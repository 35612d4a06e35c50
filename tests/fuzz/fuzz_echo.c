/* fuzz_echo.c - any bytes as an echo reply of either family: what is accepted is
 * a request of ours, turned round. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct echo e;
        if (echo_reply_parse(data, size, family, &e) == ECHO_OK) {
            uint8_t *request = malloc(size);
            assert(request && size >= ECHO_SIZE_MIN);
            echo_request_format(&e, family, request, size);
            /* Identifier, sequences and T1. */
            assert(memcmp(request + 4, data + 4, ECHO_SIZE_MIN - 4) == 0);
            free(request);
        }
    }
    return 0;
}
