#include "lib/enrich/networks.h"

#include <unistd.h>

#include "lib/enrich/mmdb_sample.h"

#define LIST "deploy/lists/data_centres.txt"
static const char asn_json[] = "{\"3.0.0.0/9\":{\"autonomous_system_number\":16509,"
			       "\"autonomous_system_organization\":\"AMAZON-02\"},"
			       "\"91.0.0.0/10\":{\"autonomous_system_number\":3320,"
			       "\"autonomous_system_organization\":\"Deutsche Telekom AG\"},"
			       "\"2a01:4f8::/32\":{\"autonomous_system_number\":24940,"
			       "\"autonomous_system_organization\":\"Hetzner Online GmbH\"},"
			       "\"192.0.2.0/24\":{\"autonomous_system_number\":4200000000}}";

struct fixture {
	char dir[32], db[64], list[64];
};

static int setup(void **state)
{
	static struct fixture f;

	snprintf(f.dir, sizeof f.dir, "/tmp/networks_test.XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.db, sizeof f.db, "%s/asn.mmdb", f.dir);
	snprintf(f.list, sizeof f.list, "%s/list.txt", f.dir);
	sample_write(f.db, asn_json);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->db);
	unlink(f->list);
	rmdir(f->dir);
	return 0;
}

static void write_list(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->list, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct networks *opened(const struct fixture *f, const char *list)
{
	struct networks *networks = NULL;
	struct err err = { 0 };

	if (networks_open(&networks, f->db, list, &err))
		fail_msg("%s", err.msg);
	return networks;
}

static bool is_data_centre(const struct networks *networks, const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, span_of(text)), 0);
	return networks_is_data_centre(networks, &addr);
}

static void hosts_are_data_centres_and_providers_of_homes_are_none(void **state)
{
	struct networks *networks = opened(*state, LIST);

	assert_true(is_data_centre(networks, "3.5.140.2"));
	assert_true(is_data_centre(networks, "::ffff:3.5.140.2"));
	assert_true(is_data_centre(networks, "2a01:4f8:c17::1"));
	assert_false(is_data_centre(networks, "91.1.2.3"));
	assert_false(is_data_centre(networks, "192.0.2.1"));
	assert_false(is_data_centre(networks, "127.0.0.1"));
	assert_false(is_data_centre(networks, "2a02::1"));
	networks_close(&networks);
	assert_null(networks);
}

static void an_address_has_the_number_and_the_name_of_its_network(void **state)
{
	struct networks *networks = opened(*state, LIST);
	struct network network;
	struct addr addr;

	assert_int_equal(addr_parse(&addr, SPAN("91.1.2.3")), 0);
	networks_find(networks, &addr, &network);
	assert_int_equal(network.as_number, 3320);
	assert_string_equal(network.organization, "Deutsche Telekom AG");
	assert_int_equal(addr_parse(&addr, SPAN("10.0.0.1")), 0);
	networks_find(networks, &addr, &network);
	assert_int_equal(network.as_number, 0);
	assert_string_equal(network.organization, "");
	networks_close(&networks);
}

static void a_list_of_ones_own_counts(void **state)
{
	struct fixture *f = *state;
	struct networks *networks;

	write_list(f, "# mine\n\n  3320 Telekom # a comment\r\n4200000000\n7#x\n");
	networks = opened(f, f->list);
	assert_true(is_data_centre(networks, "91.1.2.3"));
	assert_true(is_data_centre(networks, "192.0.2.1"));
	assert_false(is_data_centre(networks, "3.5.140.2"));
	networks_close(&networks);
	write_list(f, "");
	networks = opened(f, f->list);
	assert_false(is_data_centre(networks, "91.1.2.3"));
	networks_close(&networks);
}

static void assert_refused(const char *db, const char *list, int code, const char *said)
{
	struct networks *networks = NULL;
	struct err err = { 0 };

	assert_int_equal(networks_open(&networks, db, list, &err), code);
	assert_null(networks);
	assert_non_null(strstr(err.msg, said));
}

static void a_bad_list_is_refused_with_its_line(void **state)
{
	static const char *const bad[] = { "x", "AS16509", "-1", "0", "4294967296", "12x",
		"99999999999999999999999" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[64];

		snprintf(text, sizeof text, "16509 Amazon\n%s\n", bad[i]);
		write_list(f, text);
		assert_refused(f->db, f->list, -EINVAL, "line 2");
	}
	assert_refused(f->db, "/nonexistent", -ENOENT, "/nonexistent");
	assert_refused(f->db, "/tmp", -EIO, "/tmp");
}

static void a_database_of_something_else_is_refused(void **state)
{
	(void)state;
	assert_refused("tests/data/geoip/GeoIP2-Country-Test.mmdb", LIST, -EINVAL, "no number");
	assert_refused("tests/data/geoip", LIST, -EISDIR, "directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_data_centres_and_providers_of_homes_are_none),
		cmocka_unit_test(an_address_has_the_number_and_the_name_of_its_network),
		cmocka_unit_test(a_list_of_ones_own_counts),
		cmocka_unit_test(a_bad_list_is_refused_with_its_line),
		cmocka_unit_test(a_database_of_something_else_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
