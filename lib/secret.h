/* Secrets: random tokens, what is stored of them, and passwords. All by libsodium. */
#ifndef FOOTFALL_SECRET_H
#define FOOTFALL_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

#define SECRET_TOKEN_SIZE    44 /* 32 random bytes as base64url without padding, and NUL */
#define SECRET_HASH_BYTES    32 /* of a token: what the database keeps */
#define SECRET_HASH_HEX_SIZE (2 * SECRET_HASH_BYTES + 1)
#define PASSWORD_HASH_SIZE   128 /* "$argon2id$…" and NUL */
#define PASSWORD_LEAST       8
#define PASSWORD_MOST        256 /* a bound for Argon2's input; longer is refused, not cut */

/* Once per process, before any other call here. */
int secret_init(struct err *err) MUST_CHECK;

/* Draw a token of 256 random bits. */
void secret_token(char token[SECRET_TOKEN_SIZE]);

/* The hex of BLAKE2b-256 of a token. Tokens are random, so a plain hash is enough, and a look-up
 * by hash compares nothing secret byte by byte. */
void secret_hash_hex(struct span token, char hex[SECRET_HASH_HEX_SIZE]);

/* Hash a password with Argon2id, 12 MiB and 3 passes; one at a time in a process, so that a burst
 * of logins cannot take its memory. -EINVAL: shorter or longer than allowed. -ENOMEM. */
int password_hash(struct span password, char hash[PASSWORD_HASH_SIZE], struct err *err) MUST_CHECK;

/* 0 when password is the one behind hash, else -EACCES. A NULL hash costs the same time and is
 * never right: whether an account exists must not show in the answer's time. */
int password_verify(struct span password, const char *hash) MUST_CHECK;

/* The 64-bit id of bytes: the first 8 bytes, little endian, of BLAKE2b-128. With a key (16 to 64
 * bytes, or NULL) it can be had only by who has the key. Never 0: 0 says "none" everywhere. */
int64_t id64(const void *bytes, size_t len, const unsigned char *key, size_t key_len);

#endif
