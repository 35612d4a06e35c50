/* linkkeys.c - from the names of key files to rings of keys. */
#include "linkkeys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* Where the keys of one link are. */
struct files {
    char current[PATH_MAX], next[PATH_MAX]; /* Empty: none. */
    bool send_next;
    enum stampauth_mode mode;
};

/* A key of 'link' from 'path'; tells what is wrong, but nothing of what is in it. */
static int
read_key(const char *link, const char *path, struct stampauth_secret *out)
{
    int err = stampauth_read(path, out);

    if (err == -EINVAL) {
        log_errorx("link '%s': %s: expected a key of 32 to 128 hexadecimal digits; "
                   "`openssl rand -hex 32` makes one",
                   link, path);
    } else if (err == -EACCES) {
        log_errorx("link '%s': %s: cannot be read, or others may read it; "
                   "`chmod o= %s` and give it to this program's user or group",
                   link, path, path);
    } else if (err) {
        errno = -err;
        log_error("link '%s': %s", link, path);
    }
    return err;
}

static int
make_ring(const char *link, const struct files *f, struct stampauth_ring **out)
{
    struct stampauth_secret current = {.size = 0}, next = {.size = 0};
    int err = read_key(link, f->current, &current);

    if (!err && f->next[0]) {
        err = read_key(link, f->next, &next);
    }
    if (!err) {
        *out = stampauth_new(f->mode, &current, &next, f->send_next);
        err = *out ? 0 : -ENOMEM;
    }
    stampauth_wipe(&current);
    stampauth_wipe(&next);
    return err;
}

static const struct config_link_key *
configured(const struct probe_config *c, const char *link)
{
    for (size_t i = 0; i < c->link_key_count; i++) {
        if (strcmp(c->link_keys[i].link, link) == 0) {
            return &c->link_keys[i];
        }
    }
    return NULL;
}

/* 'name' in 'folder' (NULL: it is a path already); none: nothing.  A path that is cut
 * off is none that can be read. */
static void
set_path(char out[PATH_MAX], const char *folder, const char *name)
{
    if (name) {
        int n = snprintf(out, PATH_MAX, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
        out[n < PATH_MAX ? n : 1] = '\0';
    }
}

/* Whether packets of this link are authenticated, and from where the keys are. */
static bool
files_of(const struct probe_config *c, const struct inv_link *link, struct files *f)
{
    const struct config_link_key *local = configured(c, link->key);

    *f = (struct files){.mode = link->auth.mode == INV_AUTH_TLV ? STAMPAUTH_TLV : STAMPAUTH_PACKET};
    if (local) {
        set_path(f->current, NULL, local->key_file);
        set_path(f->next, NULL, local->key_file_next);
        f->send_next = local->send_next;
        return true;
    }
    set_path(f->current, c->key_folder, link->auth.key_file);
    set_path(f->next, c->key_folder, link->auth.next_key_file);
    return link->auth.mode != INV_AUTH_NONE;
}

/* What probe.yaml has keys for, and nobody measures. */
static void
tell_strangers(const struct probe_config *c, const struct inventory *inv)
{
    for (size_t i = 0; i < c->link_key_count; i++) {
        if (!inventory_link(inv, c->link_keys[i].link)) {
            log_warnx("%s: link_keys: there is no link '%s' in the inventory", c->probe,
                      c->link_keys[i].link);
        }
    }
}

int
linkkeys_load(const struct probe_config *config, const struct inventory *inv, struct linkkeys *out)
{
    const struct inv_probe *self = inventory_probe(inv, config->probe);
    struct files f;
    int err = 0;

    *out = (struct linkkeys){.list = calloc(inv->link_count + 1, sizeof *out->list)};
    if (!out->list) {
        return -ENOMEM;
    }
    tell_strangers(config, inv);
    for (size_t i = 0; self && i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        bool ours = link->ends[0].probe == self || link->ends[1].probe == self;
        struct stampauth_ring *ring = NULL;
        if (!ours || link->state == INV_RETIRED || !files_of(config, link, &f)) {
            continue;
        }
        int wrong = make_ring(link->key, &f, &ring);
        err = err ? err : wrong;
        if (!wrong) {
            out->list[out->count++] = (struct linkkey){.link = link->key, .ring = ring};
        }
    }
    if (err) {
        linkkeys_fini(out);
    }
    return err;
}

void
linkkeys_fini(struct linkkeys *k)
{
    for (size_t i = 0; i < k->count; i++) {
        stampauth_unref(k->list[i].ring);
    }
    free(k->list);
    *k = (struct linkkeys){.list = NULL};
}

struct stampauth_ring *
linkkeys_of(const struct linkkeys *k, const char *link)
{
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->list[i].link, link) == 0) {
            return k->list[i].ring;
        }
    }
    return NULL;
}
