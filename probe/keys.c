/* keys.c - the keys of links. */
#include "keys.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "stampauth.h"

/* A key of 'link' from 'path'; tells what is wrong, but nothing of what is in it. */
static int
read_key(const char *link, const char *path, struct stampauth_secret *out)
{
    int err = stampauth_read(path, out);

    if (err == -EINVAL) {
        log_errorx("link_keys: %s: %s: expected a key of 32 to 128 hexadecimal digits; "
                   "`openssl rand -hex 32` makes one",
                   link, path);
    } else if (err == -EACCES) {
        log_errorx("link_keys: %s: %s: cannot be read, or others may read it; "
                   "`chmod o= %s` and give it to this program's user or group",
                   link, path, path);
    } else if (err) {
        errno = -err;
        log_error("link_keys: %s: %s", link, path);
    }
    return err;
}

void
keys_drop(struct probe_config *c)
{
    for (size_t i = 0; c && i < c->link_key_count; i++) {
        stampauth_unref(c->link_keys[i].ring);
        c->link_keys[i].ring = NULL;
    }
}

int
keys_load(struct probe_config *c)
{
    int err = 0;

    for (size_t i = 0; i < c->link_key_count; i++) {
        struct config_link_key *k = &c->link_keys[i];
        struct stampauth_secret current, next = {.size = 0};
        int wrong = read_key(k->link, k->key_file, &current);
        if (!wrong && k->key_file_next) {
            wrong = read_key(k->link, k->key_file_next, &next);
        }
        if (!wrong) {
            k->ring = stampauth_new(&current, &next, k->send_next);
            wrong = k->ring ? 0 : -ENOMEM;
        }
        stampauth_wipe(&current);
        stampauth_wipe(&next);
        err = err ? err : wrong;
    }
    if (err) {
        keys_drop(c);
    }
    return err;
}

static bool
has_keys(const struct probe_config *c, const char *link)
{
    for (size_t i = 0; i < c->link_key_count; i++) {
        if (strcmp(c->link_keys[i].link, link) == 0) {
            return true;
        }
    }
    return false;
}

void
keys_tell(const char *config_path, const struct probe_config *c, const struct inventory *inv)
{
    const struct inv_probe *self = inventory_probe(inv, c->probe);

    for (size_t i = 0; i < c->link_key_count; i++) {
        if (!inventory_link(inv, c->link_keys[i].link)) {
            log_warnx("%s: link_keys: there is no link '%s' in the inventory", config_path,
                      c->link_keys[i].link);
        }
    }
    for (size_t i = 0; self && i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        bool ours = link->ends[0].probe == self || link->ends[1].probe == self;
        if (ours && link->state != INV_RETIRED && link->auth.mode != INV_AUTH_NONE &&
            !has_keys(c, link->key)) {
            log_warnx("%s: link '%s' has 'auth' in the inventory and no keys under 'link_keys:' "
                      "here: its packets are not signed",
                      config_path, link->key);
        }
    }
}
