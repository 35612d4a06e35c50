/* stampauth.h - the keys of a link, and what they sign: authenticated test packets
 * (RFC 8762, section 4.2.2; HMAC-SHA-256 cut to 16 octets) and the HMAC TLV
 * (RFC 8972, section 4.8).
 *
 * On stamp.h (layouts) and OpenSSL; before sender.h and reflector.h.  A ring has
 * the current key and perhaps the next one: both are good on receipt, the sender
 * uses the one that it is told, a reflector answers with the one that it was
 * asked with.  So both ends learn the next key first, in any order, then the
 * senders change over, then the old one is taken away, and no packet is lost.
 * Keys come from files and are never printed.  A ring is counted by reference
 * from any thread, and signs and checks in one. */
#ifndef PLUMBLINE_STAMPAUTH_H
#define PLUMBLINE_STAMPAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stamp.h"

enum { STAMPAUTH_KEYS = 2, STAMPAUTH_KEY_MIN = 16, STAMPAUTH_KEY_MAX = 64 };

struct stampauth_ring;
struct stampauth_key;

/* Octets of a key, for stampauth_new(). */
struct stampauth_secret {
    size_t size; /* 0: none; else STAMPAUTH_KEY_MIN..STAMPAUTH_KEY_MAX. */
    uint8_t octets[STAMPAUTH_KEY_MAX];
};

/* What is signed: the whole packet, in STAMP's authenticated layout; or the TLVs of
 * an unauthenticated one, and with them the sequence number, by the HMAC TLV.  That
 * one leaves timestamps and SSID open. */
enum stampauth_mode { STAMPAUTH_NONE, STAMPAUTH_PACKET, STAMPAUTH_TLV };

/* 'next' may have no octets.  'send_next': the sender uses that one.  NULL when
 * memory is out or OpenSSL has no HMAC-SHA-256. */
struct stampauth_ring *stampauth_new(enum stampauth_mode mode,
                                     const struct stampauth_secret *current,
                                     const struct stampauth_secret *next, bool send_next);

/* How packets are signed with these keys, and the octets that they need at least;
 * of NULL: not. */
enum stampauth_mode stampauth_mode(const struct stampauth_ring *r);
uint32_t stampauth_size(const struct stampauth_ring *r);

/* One reference more; 'r' may be NULL.  Returns 'r'. */
struct stampauth_ring *stampauth_ref(struct stampauth_ring *r);

/* One less; the last one wipes the keys. */
void stampauth_unref(struct stampauth_ring *r);

/* Reads a key: 32 to 128 hexadecimal digits, white space around them.  0;
 * -EINVAL: something else; -EACCES: others than owner and group may read it;
 * another negative errno.  Nothing of the file is told. */
int stampauth_read(const char *path, struct stampauth_secret *out);
void stampauth_wipe(struct stampauth_secret *s);

/* The key to send with. */
struct stampauth_key *stampauth_sender(const struct stampauth_ring *r);

/* Whether a packet is signed as the ring's mode has it, and with which '*key'. */
enum stampauth_verdict { STAMPAUTH_OK, STAMPAUTH_UNSIGNED, STAMPAUTH_WRONG_KEY };
enum stampauth_verdict stampauth_check(const struct stampauth_ring *r, const uint8_t *packet,
                                       size_t size, bool authenticated, struct stampauth_key **key);

/* Whether the TLVs of a packet may be used: 'k' signed them, or there is nothing
 * to sign; it is of the authenticated layout.  'k' NULL (of the other): there is no
 * HMAC TLV. */
bool stampauth_tlvs_check(struct stampauth_key *k, const uint8_t *packet, size_t size);

/* Signs a packet of the authenticated layout, and its TLVs if 'tlvs'. */
void stampauth_sign(struct stampauth_key *k, uint8_t *packet, size_t size, bool tlvs);

/* Signs the TLVs of one of the unauthenticated layout. */
void stampauth_sign_tlvs(struct stampauth_key *k, uint8_t *packet, size_t size);

/* HMAC over 'first' and 'second'. */
void stampauth_mac(struct stampauth_key *k, const uint8_t *first, size_t first_size,
                   const uint8_t *second, size_t second_size, uint8_t out[STAMP_HMAC_SIZE]);

#endif
