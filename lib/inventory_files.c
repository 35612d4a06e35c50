/* inventory_files.c - from files to one tree: reads a file or a folder of them
 * and merges their top levels. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inventory_parts.h"

#define FILES_MAX 4096u
#define FOLDER_SIZE_MAX (64u << 20)

/* Keys of the top that are read as they come, each by its own function. */
static bool
read_format_key(struct loader *l, const struct yaml_node *n)
{
    if (strcmp(n->key, "inventory") == 0 || strcmp(n->key, "slice") == 0) {
        check_format(l, n);
        return true;
    }
    if (l->slice_seen && strcmp(n->key, "slice_of") == 0) {
        check_slice_of(l, n);
        return true;
    }
    if (l->slice_seen && strcmp(n->key, "generation") == 0) {
        check_generation(l, n);
        return true;
    }
    return false;
}

/* A key of the top that holds what inventory.c reads.  What a newer release may
 * have put into a slice is passed over; elsewhere it is a fault. */
static bool
is_section(struct loader *l, const struct yaml_node *n)
{
    struct nearest near = {.wanted = n->key};
    char hint[96], list[192] = "inventory, interval";

    nearest_offer(&near, "inventory");
    nearest_offer(&near, "interval");
    if (strcmp(n->key, "interval") == 0) {
        return true;
    }
    for (unsigned k = 0; k < KINDS; k++) {
        const char *name = inventory_kind_section((enum kind)k);
        size_t length = strlen(list);
        if (strcmp(n->key, name) == 0) {
            return true;
        }
        nearest_offer(&near, name);
        snprintf(list + length, sizeof list - length, ", %s", name);
    }
    if (l->slice_seen) {
        fault_warning(l->faults, n->key_at, "unknown key '%.63s' is passed over", n->key);
    } else {
        fault_error(l->faults, n->key_at, "unknown key '%.63s'%s (expected: %s)", n->key,
                    nearest_text(&near, hint, sizeof hint), list);
    }
    return false;
}

/* Takes one file's top level into the whole.  The format is each file's own; a
 * section may be in many files, its objects in one. */
static void
merge_file(struct loader *l, struct yaml_node *file)
{
    struct yaml_node *next;

    if (!bind_expect(&l->bind, file, YAML_MAP,
                     "a map with sites, probes, classes, links, tenants")) {
        return;
    }
    if (yaml_get(file, "slice")) {
        l->slice_seen = l->bind.lenient = true;
    }
    for (struct yaml_node *n = file->first; n; n = next) {
        next = n->next;
        if (read_format_key(l, n) || !is_section(l, n)) {
            continue;
        }
        struct yaml_node *have = NULL;
        for (struct yaml_node *m = l->root->first; m; m = m->next) {
            have = strcmp(m->key, n->key) == 0 ? m : have;
        }
        if (have && have->kind == YAML_MAP && n->kind == YAML_MAP) {
            yaml_append(have, n);
        } else if (have && n->kind == YAML_SCALAR && have->kind == YAML_MAP && yaml_is_null(n)) {
            continue;
        } else {
            struct yaml_node holder = {.kind = YAML_MAP, .first = n, .last = n, .count = 1};
            n->next = NULL;
            yaml_append(l->root, &holder);
        }
    }
}

static struct loader
loader_of(struct faults *faults)
{
    struct pool *pool = pool_new(), *trees = pool_new();
    struct inventory *inv = pool_alloc(pool, sizeof *inv);
    struct yaml_node *root = pool_alloc(trees, sizeof *root);

    inv->pool = pool;
    root->kind = YAML_MAP;
    return (struct loader){.faults = faults,
                           .pool = pool,
                           .trees = trees,
                           .inv = inv,
                           .root = root,
                           .bind = {.pool = pool, .faults = faults}};
}

static int
loader_end(struct loader *l, int err)
{
    pool_free(l->trees);
    if (err) {
        pool_free(l->pool);
    }
    return err;
}

int
inventory_read(struct faults *faults, const char *name, const char *bytes, size_t size,
               struct inventory **out)
{
    struct loader l = loader_of(faults);
    struct yaml_node *file = yaml_read(l.trees, faults, name, bytes, size);
    int err = -EINVAL;

    if (file) {
        l.first_place = file->at;
        merge_file(&l, file);
        err = inventory_compile(&l, out);
    }
    return loader_end(&l, err);
}

static int
is_inventory_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 &&
           strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static int
name_compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void
tell_path(struct faults *faults, const char *path, const char *why)
{
    fault_error(faults, (struct place){.file = faults_file(faults, path, "", 0)}, "%s", why);
}

static int
load_file(struct loader *l, const char *path)
{
    int err;
    struct yaml_node *file = yaml_load(l->trees, l->faults, path, &err);

    if (file) {
        if (!l->first_place.file) {
            l->first_place = file->at;
        }
        merge_file(l, file);
    }
    return err;
}

static int
load_folder(struct loader *l, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_inventory_file, name_compare);
    int result = 0;
    uint64_t total = 0;

    if (count < 0) {
        result = -errno;
        tell_path(l->faults, path, strerror(-result));
        return result;
    }
    if (count == 0 || count > (int)FILES_MAX) {
        tell_path(l->faults, path,
                  count ? "more than 4096 files in this folder" : "no *.yaml in this folder");
        result = -EINVAL;
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        struct stat st;
        int n = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (result != 0 && result != -EINVAL) {
            /* Something could not be read: the rest would be told wrongly. */
        } else if (n >= (int)sizeof name) {
            tell_path(l->faults, path, "the path is too long");
            result = -ENAMETOOLONG;
        } else if (count <= (int)FILES_MAX) {
            total += stat(name, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
            if (total > FOLDER_SIZE_MAX) {
                tell_path(l->faults, path, "more than 64 MiB in this folder");
                result = -EFBIG;
            } else {
                int err = load_file(l, name);
                result = err ? err : result;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

int
inventory_load_into(struct faults *faults, const char *path, struct inventory **out)
{
    struct loader l = loader_of(faults);
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int err = folder ? load_folder(&l, path) : load_file(&l, path);

    if (err == 0) {
        err = inventory_compile(&l, out);
    }
    return loader_end(&l, err);
}

int
inventory_load(const char *path, FILE *errors, size_t max_errors, size_t *error_count,
               size_t *warning_count, struct inventory **out)
{
    struct faults *faults = faults_new();
    int err = inventory_load_into(faults, path, out);

    faults_print(faults, errors, max_errors);
    if (error_count) {
        *error_count = faults_errors(faults);
    }
    if (warning_count) {
        *warning_count = faults_warnings(faults);
    }
    faults_free(faults);
    return err;
}
