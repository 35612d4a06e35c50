/* enrolment.c - the files of a new probe. */
#include "enrolment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "value.h"

#define ETC "etc/plumbline/"

static void
hex(const unsigned char *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

int
enrolment_password(char out[ENROLMENT_PASSWORD_SIZE])
{
    unsigned char bytes[ENROLMENT_PASSWORD_SIZE / 2];

    if (RAND_priv_bytes(bytes, sizeof bytes) != 1) {
        return -EIO;
    }
    hex(bytes, sizeof bytes, out);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

/* Several nodes: a Redis Cluster, which sends ASK while a slot moves. */
static bool
is_cluster(const struct enrolment *e)
{
    return strchr(e->redis->address, ',') != NULL;
}

char *
enrolment_acl(const struct enrolment *e)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char sum[2 * EVP_MAX_MD_SIZE + 1], *line;
    unsigned size = 0;

    if (EVP_Digest(e->password, strlen(e->password), digest, &size, EVP_sha256(), NULL) != 1) {
        return NULL;
    }
    hex(digest, size, sum);
    if (asprintf(&line,
                 "user %s reset on #%s resetkeys resetchannels %%RW~pl:{%s}:t %%R~pl:{%s}:ack "
                 "-@all +xadd +xinfo +get +multi +exec +ping +auth +hello%s",
                 e->probe, sum, e->probe, e->probe, is_cluster(e) ? " +asking" : "") < 0) {
        return NULL;
    }
    return line;
}

/* --- Whom it speaks with ---------------------------------------------------- */

/* The host of "host:port" or "[v6]:port", the first of 'text'; '*next' is what comes
 * after it and its comma.  false: it is a name, or a UNIX socket ('*name' tells). */
static bool
redis_host(const char *text, struct address *out, const char **next, bool *name)
{
    size_t length = strcspn(text, ",");
    char part[256];

    *next = text + length + (text[length] == ',');
    *name = strncmp(text, "unix:", 5) != 0;
    if (length >= sizeof part) {
        return false;
    }
    memcpy(part, text, length);
    part[length] = '\0';
    char *port = strrchr(part, ':'), *host = part;
    if (port) {
        *port = '\0';
    }
    if (*host == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        host++;
    }
    return value_parse_address(host, out);
}

static bool
is_allowed(const struct enrolment *e, const struct address *a)
{
    for (size_t i = 0; i < e->allow_count; i++) {
        if (address_in_prefix(a, &e->allow[i].address, e->allow[i].length)) {
            return true;
        }
    }
    return e->allow_count == 0;
}

size_t
enrolment_left_out(const struct enrolment *e, enrolment_fn *fn, void *aux, bool *by_name)
{
    const struct inventory *s = e->slice;
    size_t count = 0;
    struct address a;

    *by_name = false;
    for (size_t i = 0; i < s->link_count; i++) {
        for (int end = 0; end < 2; end++) {
            const struct inv_end *far = &s->links[i].ends[end];
            bool own = far->probe && strcmp(far->probe->key, e->probe) == 0;
            if (!own && address_is_set(&far->address) && !is_allowed(e, &far->address)) {
                fn(s->links[i].key, &far->address, aux);
                count++;
            }
        }
    }
    for (const char *at = e->redis->address; *at;) {
        bool name;
        if (!redis_host(at, &a, &at, &name)) {
            *by_name = *by_name || name;
        } else if (!is_allowed(e, &a)) {
            fn("redis.address", &a, aux);
            count++;
        }
    }
    return count;
}

/* --- Files ------------------------------------------------------------------ */

static void
print_unit(const struct enrolment *e, FILE *to)
{
    char text[VALUE_TEXT_SIZE];

    fprintf(to,
            "# Made by `plumbline enrol %s`, for plumbline-probe.service.\n"
            "[Unit]\n"
            "Description=Plumbline probe %s: measures the links of this PoP\n",
            e->probe, e->probe);
    if (e->allow_count == 0) {
        return;
    }
    fputs(
        "\n"
        "[Service]\n"
        "# Far ends and Redis are in here, as --allow said; packets of others do not get through.\n"
        "IPAddressAllow=\n"
        "IPAddressAllow=localhost",
        to);
    for (size_t i = 0; i < e->allow_count; i++) {
        fprintf(to, " %s", value_format_prefix(&e->allow[i], text, sizeof text));
    }
    fputc('\n', to);
}

static void
print_yaml(const struct enrolment *e, FILE *to)
{
    fprintf(
        to,
        "# /etc/plumbline/probe.yaml, made by `plumbline enrol %s`.  plumbline-probe(8) has more\n"
        "# keys; check it with `plumbline check --probe-config /etc/plumbline/probe.yaml`.\n"
        "probe: %s\n"
        "inventory: /etc/plumbline/slice.yaml\n"
        "redis:\n"
        "  address: \"%s\"\n"
        "  user: %s\n"
        "  password_file: /etc/plumbline/%s.password\n"
        "  tls:\n"
        "    ca_file: /etc/plumbline/ca.pem\n"
        "    cert_file: /etc/plumbline/%s.pem\n"
        "    key_file: /etc/plumbline/%s.key\n",
        e->probe, e->probe, e->redis->address, e->probe, e->probe, e->probe, e->probe);
    if (e->redis->tls.server_name) {
        fprintf(to, "    server_name: \"%s\"\n", e->redis->tls.server_name);
    }
}

static void
print_acl(const struct enrolment *e, FILE *to)
{
    char *line = enrolment_acl(e);

    if (line) {
        fprintf(to, "%s\n", line);
    }
    free(line);
}

static void
print_slice(const struct enrolment *e, FILE *to)
{
    (void)inventory_print(e->slice, to); /* To memory: what fails there fails at fclose(). */
}

static void
print_ca(const struct enrolment *e, FILE *to)
{
    fputs(e->ca, to);
}

static void
print_cert(const struct enrolment *e, FILE *to)
{
    fputs(e->cert, to);
}

static void
print_key(const struct enrolment *e, FILE *to)
{
    fputs(e->key, to);
}

static void
print_password(const struct enrolment *e, FILE *to)
{
    fprintf(to, "%s\n", e->password);
}

/* 0640: on the probe's host the group is that of its user. */
static const struct {
    const char *folder, *name; /* A name that begins with a dot is the probe's key with that. */
    mode_t mode;
    bool renewed;
    void (*print)(const struct enrolment *e, FILE *to);
} parts[] = {
    {ETC, "probe.yaml", 0640, false, print_yaml},
    {ETC, "slice.yaml", 0640, false, print_slice},
    {ETC, "ca.pem", 0644, true, print_ca},
    {ETC, ".pem", 0644, true, print_cert},
    {ETC, ".key", 0640, true, print_key},
    {ETC, ".password", 0640, false, print_password},
    {"etc/systemd/system/plumbline-probe.service.d/", "enrol.conf", 0644, false, print_unit},
    {"", "redis.acl", 0600, false, print_acl},
};

static int
make(const struct enrolment *e, size_t part, struct enrolment_file *out)
{
    bool suffix = parts[part].name[0] == '.';

    out->mode = parts[part].mode;
    if (asprintf(&out->path, "%s%s%s", parts[part].folder, suffix ? e->probe : "",
                 parts[part].name) < 0) {
        out->path = NULL;
        return -ENOMEM;
    }
    FILE *to = open_memstream(&out->text, &out->size);
    if (!to) {
        return -ENOMEM;
    }
    parts[part].print(e, to);
    return fclose(to) || out->size == 0 ? -ENOMEM : 0;
}

int
enrolment_make(const struct enrolment *e, bool renew, struct enrolment_set *out)
{
    int err = 0;

    *out = (struct enrolment_set){0};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !err; i++) {
        if (!renew || parts[i].renewed) {
            err = make(e, i, &out->files[out->count++]);
        }
    }
    if (err) {
        enrolment_fini(out);
    }
    return err;
}

void
enrolment_fini(struct enrolment_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].text) {
            OPENSSL_cleanse(s->files[i].text, s->files[i].size);
        }
        free(s->files[i].text);
        free(s->files[i].path);
    }
    s->count = 0;
}
