#include "lib/addr.h"
#include "lib/check.h"

static struct addr parsed(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, span_of(text)), 0);
	return addr;
}

static void addresses_are_read_with_and_without_port(void **state)
{
	static const char *const same[][2] = { { "203.0.113.9", "203.0.113.9" },
		{ " 203.0.113.9:8080 ", "203.0.113.9" }, { "[2001:db8::1]:443", "2001:db8::1" },
		{ "2001:DB8:0::1", "2001:db8::1" }, { "::ffff:203.0.113.9", "203.0.113.9" } };
	char text[ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct addr addr = parsed(same[i][0]);

		addr_text(&addr, text);
		assert_string_equal(text, same[i][1]);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = { "", "unknown", "1.2.3", "1.2.3.4.5", "999.1.1.1",
		"1.2.3.4, 5.6.7.8", ":::", "[]" };
	struct addr addr;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(addr_parse(&addr, span_of(bad[i])), -EINVAL);
	assert_int_equal(addr_parse(&addr, (struct span){ "1.2.3.4\0x", 9 }), -EINVAL);
}

static void a_network_holds_its_addresses_only(void **state)
{
	struct addr_nets nets;
	struct addr addr;
	struct err err;

	(void)state;
	assert_int_equal(addr_nets_parse(&nets, "10.0.0.0/9, ::1, 192.0.2.7", &err), 0);
	addr = parsed("10.127.255.255");
	assert_true(addr_nets_hold(&nets, &addr));
	addr = parsed("10.128.0.0");
	assert_false(addr_nets_hold(&nets, &addr));
	addr = parsed("::1");
	assert_true(addr_nets_hold(&nets, &addr));
	addr = parsed("192.0.2.8");
	assert_false(addr_nets_hold(&nets, &addr));
	assert_int_equal(addr_nets_parse(&nets, "10.0.0.0/33", &err), -EINVAL);
	assert_int_equal(addr_nets_parse(&nets, "10.0.0.0/", &err), -EINVAL);
}

static void one_network_holds_what_its_bits_say(void **state)
{
	static const struct {
		const char *net, *addr;
		bool holds;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.6", false },
		{ "192.0.2.99/24", "192.0.2.1", true },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "203.0.113.9", true },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::ffff:192.0.2.0/120", "192.0.2.7", true },
		{ "10.0.0.0/31", "10.0.0.1", true },
		{ "10.0.0.0/31", "10.0.0.2", false },
	};
	static const char *const bad[] = { "", "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129",
		"10.0.0.0/8/8", "/8", "10.0.0.0/ 8x" };
	struct addr_net net;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct addr addr = parsed(cases[i].addr);

		assert_int_equal(addr_net_parse(&net, span_of(cases[i].net)), 0);
		if (addr_net_holds(&net, &addr) != cases[i].holds)
			fail_msg("%s and %s", cases[i].net, cases[i].addr);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (addr_net_parse(&net, span_of(bad[i])) != -EINVAL)
			fail_msg("%s", bad[i]);
}

static void the_client_is_the_first_untrusted_address_from_the_right(void **state)
{
	static const struct {
		const char *peer, *forwarded, *client;
	} cases[] = {
		{ "127.0.0.1", "", "127.0.0.1" },
		{ "127.0.0.1", "203.0.113.9", "203.0.113.9" },
		{ "127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9" },
		{ "127.0.0.1", "203.0.113.9, 10.1.1.1", "203.0.113.9" },
		{ "127.0.0.1", "10.9.9.9, 10.1.1.1", "10.9.9.9" },
		{ "127.0.0.1", "rubbish, 10.1.1.1", "10.1.1.1" },
		{ "203.0.113.9", "198.51.100.1", "203.0.113.9" },
	};
	struct addr_nets trusted;
	struct err err;
	char text[ADDR_TEXT_SIZE];

	(void)state;
	assert_int_equal(addr_nets_parse(&trusted, "127.0.0.0/8,10.0.0.0/8", &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct addr client = addr_of_client(
			parsed(cases[i].peer), span_of(cases[i].forwarded), &trusted);

		addr_text(&client, text);
		assert_string_equal(text, cases[i].client);
	}
}

static void other_headers_are_believed_when_the_door_took_them_from_a_trusted_proxy(void **state)
{
	static const struct {
		const char *peer, *forwarded;
		bool believed;
	} cases[] = {
		{ "127.0.0.1", "", true },                       /* it says so itself */
		{ "127.0.0.1", "203.0.113.9", false },           /* a client at the door */
		{ "127.0.0.1", "203.0.113.9, 10.1.1.1", true },  /* a CDN at the door */
		{ "127.0.0.1", "10.1.1.1, 203.0.113.9", false }, /* a client who feigns one */
		{ "127.0.0.1", "203.0.113.9, rubbish", false },
		{ "127.0.0.1", "203.0.113.9,", false },
		{ "203.0.113.9", "", false },
		{ "203.0.113.9", "10.1.1.1", false },
	};
	struct addr_nets trusted;
	struct err err;

	(void)state;
	assert_int_equal(addr_nets_parse(&trusted, "127.0.0.0/8,10.0.0.0/8", &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(addr_is_of_proxies(parsed(cases[i].peer),
					 span_of(cases[i].forwarded), &trusted),
			cases[i].believed);
}

static void neighbours_in_an_ipv6_network_are_one_client_in_ipv4_they_are_two(void **state)
{
	struct addr a, b;

	(void)state;
	assert_int_equal(addr_parse(&a, SPAN("2001:db8:1:2::1")), 0);
	assert_int_equal(addr_parse(&b, SPAN("2001:db8:1:2:ffff::2")), 0);
	assert_true(span_equals(addr_client(&a), addr_client(&b)));
	assert_int_equal(addr_parse(&b, SPAN("2001:db8:1:3::1")), 0);
	assert_false(span_equals(addr_client(&a), addr_client(&b)));
	assert_int_equal(addr_parse(&a, SPAN("192.0.2.1")), 0);
	assert_int_equal(addr_parse(&b, SPAN("192.0.2.2")), 0);
	assert_false(span_equals(addr_client(&a), addr_client(&b)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_with_and_without_port),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_network_holds_its_addresses_only),
		cmocka_unit_test(one_network_holds_what_its_bits_say),
		cmocka_unit_test(neighbours_in_an_ipv6_network_are_one_client_in_ipv4_they_are_two),
		cmocka_unit_test(the_client_is_the_first_untrusted_address_from_the_right),
		cmocka_unit_test(
			other_headers_are_believed_when_the_door_took_them_from_a_trusted_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
