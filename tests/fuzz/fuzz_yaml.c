/* fuzz_yaml.c - any bytes as an inventory: refused with a reason, or accepted
 * with a canonical form that reads back as itself. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_yaml: %s\n", what);
        abort();
    }
}

static char *
canonical(const struct inventory *inv, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    must(to != NULL && inventory_print(inv, to) == 0, "printing failed");
    fclose(to);
    return text;
}

static int
count_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
              const struct session_key *key, void *aux)
{
    unsigned *count = aux;

    must(strcmp(link->ends[end].probe->key, key->observer) == 0, "a session of another probe");
    must(key->period.ns > 0 && key->period.ns <= class_->dt.ns && key->size >= 44,
         "a session that cannot be");
    return ++*count >= 1000;
}

/* A probe's slice reads as what it was printed from, and makes as many sessions. */
static void
check_slice(const struct inventory *inv, const char *probe)
{
    struct faults *faults = faults_new();
    struct inventory *slice = NULL, *read = NULL;
    unsigned of_whole = 0, of_slice = 0;
    size_t size;

    must(inventory_slice(inv, probe, &slice) == 0, "a probe without a slice");
    char *text = canonical(slice, &size);
    must(inventory_read(faults, "slice", text, size, &read) == 0, "a slice is refused");
    must(read->generation == inv->generation, "a slice of another generation");
    inventory_sessions(inv, probe, count_session, &of_whole);
    inventory_sessions(read, probe, count_session, &of_slice);
    must(of_whole == of_slice, "a slice makes other sessions");
    free(text);
    inventory_free(read);
    inventory_free(slice);
    faults_free(faults);
}

static void
check_accepted(const struct inventory *inv)
{
    struct faults *faults = faults_new();
    struct inventory *again = NULL;
    size_t size, again_size;
    char *text = canonical(inv, &size);
    unsigned sessions = 0;

    must(inventory_read(faults, "canonical", text, size, &again) == 0,
         "the canonical form is refused");
    char *again_text = canonical(again, &again_size);
    must(size == again_size && memcmp(text, again_text, size) == 0,
         "the canonical form is not stable");
    must(inv->generation == again->generation, "the generation is not the text's");
    for (size_t i = 0; i < inv->probe_count && i < 8; i++) {
        inventory_sessions(inv, inv->probes[i].key, count_session, &sessions);
        check_slice(inv, inv->probes[i].key);
    }
    free(text);
    free(again_text);
    inventory_free(again);
    faults_free(faults);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faults *faults = faults_new();
    struct inventory *inv = NULL;
    char *told = NULL;
    size_t told_size;
    int err = inventory_read(faults, "input", (const char *)data, size, &inv);
    FILE *to = open_memstream(&told, &told_size);

    must(to != NULL, "no memory");
    faults_print(faults, to, 20);
    fclose(to);
    must((err == 0) == (inv != NULL), "an error and an inventory");
    must((err == 0) == (faults_errors(faults) == 0),
         "refused without a reason, or accepted with one");
    if (inv) {
        check_accepted(inv);
    }
    free(told);
    inventory_free(inv);
    faults_free(faults);
    return 0;
}
