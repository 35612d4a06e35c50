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

/* Sections that later releases read; this one only knows their names. */
static const char *const later_sections[] = {"routers", "alarms",   "groups", "connectors",
                                             "tunnels", "services", "slas",   "hooks"};

/* Takes one file's top level into the whole.  The format is each file's own; a
 * section may be in many files, its objects in one. */
static void
merge_file(struct loader *l, struct yaml_node *file)
{
    static const char *const sections[] = {"interval", "sites", "probes",
                                           "classes",  "links", "tenants"};
    struct yaml_node *next;

    if (!bind_expect(&l->bind, file, YAML_MAP,
                     "a map with sites, probes, classes, links, tenants")) {
        return;
    }
    for (struct yaml_node *n = file->first; n; n = next) {
        bool known = false;
        struct nearest near = {.wanted = n->key};
        next = n->next;
        if (strcmp(n->key, "inventory") == 0) {
            check_format(l, n);
            continue;
        }
        nearest_offer(&near, "inventory");
        for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
            known = known || strcmp(n->key, sections[i]) == 0;
            nearest_offer(&near, sections[i]);
        }
        for (size_t i = 0; i < sizeof later_sections / sizeof later_sections[0]; i++) {
            nearest_offer(&near, later_sections[i]);
            if (strcmp(n->key, later_sections[i]) == 0) {
                known = true;
                fault_warning(l->faults, n->key_at,
                              "'%s' is not used yet by this release, and not checked", n->key);
            }
        }
        if (!known) {
            char hint[96];
            fault_error(
                l->faults, n->key_at,
                "unknown key '%.63s'%s (expected: inventory, interval, sites, probes, classes, "
                "links, tenants)",
                n->key, nearest_text(&near, hint, sizeof hint));
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
