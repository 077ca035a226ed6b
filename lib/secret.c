#include "lib/secret.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>

#define PASSWORD_OPS       3
#define PASSWORD_MEM_BYTES (12ULL << 20)

static pthread_mutex_t password_turn = PTHREAD_MUTEX_INITIALIZER;

int secret_init(struct err *err)
{
	/* From a stream seeded once by the kernel: a system call for every number would cost each
	 * event two. */
	randombytes_set_implementation(&randombytes_internal_implementation);
	return sodium_init() < 0 ? err_set(err, -EIO, "libsodium could not start") : 0;
}

void secret_token(char token[SECRET_TOKEN_SIZE])
{
	unsigned char bytes[32];

	randombytes_buf(bytes, sizeof bytes);
	sodium_bin2base64(token, SECRET_TOKEN_SIZE, bytes, sizeof bytes,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(bytes, sizeof bytes);
}

void secret_hash_hex(struct span token, char hex[SECRET_HASH_HEX_SIZE])
{
	unsigned char hash[SECRET_HASH_BYTES];

	crypto_generichash(hash, sizeof hash, (const unsigned char *)token.ptr, token.len, NULL, 0);
	sodium_bin2hex(hex, SECRET_HASH_HEX_SIZE, hash, sizeof hash);
}

int password_hash(struct span password, char hash[PASSWORD_HASH_SIZE], struct err *err)
{
	int rc;

	if (password.len < PASSWORD_LEAST || password.len > PASSWORD_MOST)
		return err_set(err, -EINVAL, "a password has %d to %d bytes", PASSWORD_LEAST,
			PASSWORD_MOST);
	pthread_mutex_lock(&password_turn);
	rc = crypto_pwhash_str_alg(hash, password.ptr, password.len, PASSWORD_OPS,
		PASSWORD_MEM_BYTES, crypto_pwhash_ALG_ARGON2ID13);
	pthread_mutex_unlock(&password_turn);
	return rc ? err_set(err, -ENOMEM, "no memory to hash a password") : 0;
}

int password_verify(struct span password, const char *hash)
{
	/* Of a random password that nobody has: the same cost as a real one. */
	static const char nobody[PASSWORD_HASH_SIZE] =
		"$argon2id$v=19$m=12288,t=3,p=1$4DjgMXL4q5ixsvWgq7tmHQ$"
		"W+xklnyGLo4eJ2ZwvC6M+2kLIlVdZ8To9qQXMCOOy1s";
	int rc;
	char stored[PASSWORD_HASH_SIZE] = ""; /* libsodium reads an array of just this size */

	if (password.len > PASSWORD_MOST)
		return -EACCES;
	snprintf(stored, sizeof stored, "%s", hash ? hash : nobody);
	pthread_mutex_lock(&password_turn);
	rc = crypto_pwhash_str_verify(stored, password.ptr, password.len);
	pthread_mutex_unlock(&password_turn);
	return rc || !hash ? -EACCES : 0;
}

int64_t id64(const void *bytes, size_t len, const unsigned char *key, size_t key_len)
{
	unsigned char hash[16];
	uint64_t id = 0;

	crypto_generichash(hash, sizeof hash, bytes, len, key, key_len);
	for (int i = 7; i >= 0; i--)
		id = id << 8 | hash[i];
	return id ? (int64_t)id : 1;
}
