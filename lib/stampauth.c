/* stampauth.c - key rings, and HMACs by OpenSSL with the context kept. */
#include "stampauth.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum { DIGEST_SIZE = 32, FILE_MAX = 512 };

struct stampauth_key {
    EVP_MAC_CTX *mac; /* NULL: there is no such key. */
};

struct stampauth_ring {
    atomic_uint references;
    struct stampauth_key keys[STAMPAUTH_KEYS]; /* Current, next. */
    unsigned sender;
    enum stampauth_mode mode;
};

/* --- Rings. --- */

static bool
key_init(struct stampauth_key *k, EVP_MAC *hmac, const struct stampauth_secret *secret)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_END};

    if (secret->size == 0) {
        return true;
    }
    assert(secret->size >= STAMPAUTH_KEY_MIN && secret->size <= STAMPAUTH_KEY_MAX);
    k->mac = EVP_MAC_CTX_new(hmac);
    return k->mac && EVP_MAC_init(k->mac, secret->octets, secret->size, params) == 1;
}

struct stampauth_ring *
stampauth_new(enum stampauth_mode mode, const struct stampauth_secret *current,
              const struct stampauth_secret *next, bool send_next)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    struct stampauth_ring *r = (struct stampauth_ring *)calloc(1, sizeof *r);
    bool whole = hmac && r;

    assert(mode != STAMPAUTH_NONE && current->size > 0 && (next->size > 0 || !send_next));
    if (whole) {
        atomic_init(&r->references, 1);
        r->mode = mode;
        r->sender = send_next;
        whole = key_init(&r->keys[0], hmac, current) && key_init(&r->keys[1], hmac, next);
    }
    EVP_MAC_free(hmac);
    if (!whole) {
        stampauth_unref(r);
        return NULL;
    }
    return r;
}

struct stampauth_ring *
stampauth_ref(struct stampauth_ring *r)
{
    if (r) {
        atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    }
    return r;
}

void
stampauth_unref(struct stampauth_ring *r)
{
    if (r && atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) <= 1) {
        for (unsigned i = 0; i < STAMPAUTH_KEYS; i++) {
            EVP_MAC_CTX_free(r->keys[i].mac); /* OpenSSL wipes what it kept. */
        }
        free(r);
    }
}

enum stampauth_mode
stampauth_mode(const struct stampauth_ring *r)
{
    return r ? r->mode : STAMPAUTH_NONE;
}

uint32_t
stampauth_size(const struct stampauth_ring *r)
{
    static const uint32_t sizes[] = {[STAMPAUTH_NONE] = STAMP_SIZE_BASE,
                                     [STAMPAUTH_PACKET] = STAMP_SIZE_AUTH,
                                     [STAMPAUTH_TLV] = STAMP_SIZE_HMAC};

    return sizes[stampauth_mode(r)];
}

/* --- Files. --- */

void
stampauth_wipe(struct stampauth_secret *s)
{
    OPENSSL_cleanse(s, sizeof *s);
}

static int
digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
parse_key(const char *text, size_t size, struct stampauth_secret *out)
{
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        size--;
    }
    while (size > 0 && isspace((unsigned char)text[0])) {
        text++;
        size--;
    }
    if (size % 2 != 0 || size < 2 * STAMPAUTH_KEY_MIN || size > 2 * STAMPAUTH_KEY_MAX) {
        return -EINVAL;
    }
    for (size_t i = 0; i < size; i += 2) {
        int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        out->octets[i / 2] = (uint8_t)(high << 4 | low);
    }
    out->size = size / 2;
    return 0;
}

int
stampauth_read(const char *path, struct stampauth_secret *out)
{
    char text[FILE_MAX + 1];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;
    int err = 0;

    *out = (struct stampauth_secret){.size = 0};
    if (fd < 0) {
        return -errno;
    }
    n = fstat(fd, &st) < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0) {
        err = -errno;
    } else if (st.st_mode & S_IRWXO) {
        err = -EACCES;
    } else {
        err = n > FILE_MAX ? -EINVAL : parse_key(text, (size_t)n, out);
    }
    close(fd);
    OPENSSL_cleanse(text, sizeof text);
    if (err) {
        stampauth_wipe(out);
    }
    return err;
}

/* --- Packets. --- */

void
stampauth_mac(struct stampauth_key *k, const uint8_t *first, size_t first_size,
              const uint8_t *second, size_t second_size, uint8_t out[STAMP_HMAC_SIZE])
{
    uint8_t digest[DIGEST_SIZE];
    size_t size = 0;
    int ok = EVP_MAC_init(k->mac, NULL, 0, NULL);

    ok = ok && EVP_MAC_update(k->mac, first, first_size);
    ok = ok && (second_size == 0 || EVP_MAC_update(k->mac, second, second_size));
    ok = ok && EVP_MAC_final(k->mac, digest, &size, sizeof digest);
    assert(ok && size == sizeof digest);
    memcpy(out, digest, STAMP_HMAC_SIZE);
}

struct stampauth_key *
stampauth_sender(const struct stampauth_ring *r)
{
    return (struct stampauth_key *)(uintptr_t)&r->keys[r->sender];
}

/* What the HMAC TLV at 'offset' must hold; TLVs begin at 'base'. */
static void
mac_tlvs(struct stampauth_key *k, const uint8_t *packet, size_t base, size_t offset,
         uint8_t out[STAMP_HMAC_SIZE])
{
    stampauth_mac(k, packet, 4, packet + base, offset - base, out);
}

static bool
tlvs_signed(struct stampauth_key *k, const uint8_t *packet, size_t base, size_t offset)
{
    uint8_t mac[STAMP_HMAC_SIZE];

    mac_tlvs(k, packet, base, offset, mac);
    return CRYPTO_memcmp(mac, packet + offset + STAMP_TLV_HEADER, sizeof mac) == 0;
}

static bool
packet_signed(struct stampauth_key *k, const uint8_t *packet)
{
    uint8_t mac[STAMP_HMAC_SIZE];

    stampauth_mac(k, packet, STAMP_HMAC_AT, NULL, 0, mac);
    return CRYPTO_memcmp(mac, packet + STAMP_HMAC_AT, sizeof mac) == 0;
}

enum stampauth_verdict
stampauth_check(const struct stampauth_ring *r, const uint8_t *packet, size_t size,
                bool authenticated, struct stampauth_key **key)
{
    bool whole = r->mode == STAMPAUTH_PACKET;
    size_t offset = 0;

    *key = NULL;
    if (whole != authenticated) {
        return STAMPAUTH_UNSIGNED;
    }
    if (!whole) {
        enum stamp_hmac found = stamp_hmac_find(packet, size, STAMP_SIZE_BASE, &offset);
        if (found != STAMP_HMAC_THERE) {
            return found == STAMP_HMAC_MISPLACED ? STAMPAUTH_WRONG_KEY : STAMPAUTH_UNSIGNED;
        }
    }
    for (unsigned i = 0; i < STAMPAUTH_KEYS; i++) {
        struct stampauth_key *k = (struct stampauth_key *)(uintptr_t)&r->keys[i];
        if (k->mac &&
            (whole ? packet_signed(k, packet) : tlvs_signed(k, packet, STAMP_SIZE_BASE, offset))) {
            *key = k;
            return STAMPAUTH_OK;
        }
    }
    return STAMPAUTH_WRONG_KEY;
}

bool
stampauth_tlvs_check(struct stampauth_key *k, const uint8_t *packet, size_t size)
{
    size_t offset;
    enum stamp_hmac found =
        stamp_hmac_find(packet, size, k ? STAMP_SIZE_AUTH : STAMP_SIZE_BASE, &offset);

    if (!k) {
        return found == STAMP_HMAC_NONE || found == STAMP_HMAC_MISSING;
    }
    if (found != STAMP_HMAC_THERE) {
        return found == STAMP_HMAC_NONE;
    }
    return tlvs_signed(k, packet, STAMP_SIZE_AUTH, offset);
}

static void
sign_tlvs(struct stampauth_key *k, uint8_t *packet, size_t size, size_t base)
{
    size_t offset;

    if (stamp_hmac_find(packet, size, base, &offset) == STAMP_HMAC_THERE) {
        mac_tlvs(k, packet, base, offset, packet + offset + STAMP_TLV_HEADER);
    }
}

void
stampauth_sign(struct stampauth_key *k, uint8_t *packet, size_t size, bool tlvs)
{
    assert(size >= STAMP_SIZE_AUTH);
    stampauth_mac(k, packet, STAMP_HMAC_AT, NULL, 0, packet + STAMP_HMAC_AT);
    if (tlvs) {
        sign_tlvs(k, packet, size, STAMP_SIZE_AUTH);
    }
}

void
stampauth_sign_tlvs(struct stampauth_key *k, uint8_t *packet, size_t size)
{
    sign_tlvs(k, packet, size, STAMP_SIZE_BASE);
}
