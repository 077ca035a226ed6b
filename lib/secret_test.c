#include "lib/check.h"
#include "lib/secret.h"

static void a_password_is_right_only_for_its_own_hash(void **state)
{
	char hash[PASSWORD_HASH_SIZE];
	struct err err;

	(void)state;
	assert_int_equal(password_hash(SPAN("correct horse"), hash, &err), 0);
	assert_true(span_starts_with(span_of(hash), SPAN("$argon2id$v=19$m=12288,t=3,p=1$")));
	assert_int_equal(password_verify(SPAN("correct horse"), hash), 0);
	assert_int_equal(password_verify(SPAN("correct horsf"), hash), -EACCES);
	assert_int_equal(password_verify(SPAN(""), hash), -EACCES);
	assert_int_equal(password_verify(SPAN("correct horse"), NULL), -EACCES);
}

static void a_password_too_short_or_too_long_is_refused(void **state)
{
	char hash[PASSWORD_HASH_SIZE], longest[PASSWORD_MOST + 1];
	struct err err;

	(void)state;
	memset(longest, 'x', sizeof longest);
	assert_int_equal(password_hash(SPAN("1234567"), hash, &err), -EINVAL);
	assert_int_equal(
		password_hash((struct span){ longest, sizeof longest }, hash, &err), -EINVAL);
}

static void tokens_differ_and_hash_the_same_each_time(void **state)
{
	char a[SECRET_TOKEN_SIZE], b[SECRET_TOKEN_SIZE];
	char one[SECRET_HASH_HEX_SIZE], two[SECRET_HASH_HEX_SIZE];

	(void)state;
	secret_token(a);
	secret_token(b);
	assert_string_not_equal(a, b);
	secret_hash_hex(span_of(a), one);
	secret_hash_hex(span_of(a), two);
	assert_string_equal(one, two);
	secret_hash_hex(span_of(b), two);
	assert_string_not_equal(one, two);
}

static void an_id_depends_on_every_byte_and_on_the_key(void **state)
{
	unsigned char key[32] = { 1 };

	(void)state;
	assert_int_equal(id64("/a", 2, NULL, 0), id64("/a", 2, NULL, 0));
	assert_int_not_equal(id64("/a", 2, NULL, 0), id64("/b", 2, NULL, 0));
	assert_int_not_equal(id64("/a", 2, NULL, 0), id64("/a", 2, key, sizeof key));
	/* The bytes of BLAKE2b-128(""), by an independent tool: an id must never change. */
	assert_int_equal(id64("", 0, NULL, 0), 0x40bdefd94169e6ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_right_only_for_its_own_hash),
		cmocka_unit_test(a_password_too_short_or_too_long_is_refused),
		cmocka_unit_test(tokens_differ_and_hash_the_same_each_time),
		cmocka_unit_test(an_id_depends_on_every_byte_and_on_the_key),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
