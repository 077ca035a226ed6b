/* Events on the wire, against the sample bytes of proto/samples/. */
#include "lib/check.h"
#include "proto/event.h"

#include <stdlib.h>

#include "lib/secret.h"
#include "proto/sample.h"

static const unsigned char sealed[EVENT_SEALED_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static const struct event pageview = {
	.site_id = 7,
	.id = -1234567890123456789,
	.ts_us = 1431857103000000,
	.kind = EVENT_PAGEVIEW,
	.visitor = 42,
	.interactive = true,
	.name = { "", 0 },
	.host = { "example.org", 11 },
	.path = { "/caf\xc3\xa9", 6 },
	.title = { "Caf\xc3\xa9", 5 },
	.referrer = { "https://news.example/item", 25 },
	.user_agent = { "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		70 },
	.address = { (const char *)sealed, sizeof sealed },
	.address_date = 16572,
	.language = { "de-CH", 5 },
	.screen_width = 1920,
	.engaged_ms = EVENT_NONE,
	.scroll_depth = EVENT_NONE,
	.revenue = { "12.50", 5 },
	.currency = { "EUR", 3 },
	.props = { "{\"plan\":\"pro\"}", 14 },
	.metadata = { "", 0 },
};

/* The same, and where its visitor came from. */
static struct event pageview_with_origin(void)
{
	struct event ev = pageview;

	ev.utm_source = SPAN("newsletter");
	ev.utm_medium = SPAN("email");
	ev.utm_campaign = SPAN("spring");
	ev.utm_content = SPAN("top");
	ev.ref = SPAN("friend.example");
	ev.click_id = SPAN("gclid");
	ev.ch_brands = SPAN("\"Chromium\";v=\"130.0.6723.58\"");
	ev.ch_platform = SPAN("Windows");
	ev.ch_platform_version = SPAN("15.0.0");
	ev.ch_mobile = EVENT_MOBILE_NO;
	ev.cdn_country = SPAN("CH");
	ev.cdn_region = SPAN("ZH");
	ev.cdn_city = SPAN("Z\xc3\xbcrich");
	ev.bot = EVENT_BOT_HINT;
	return ev;
}

static void assert_is_from(const struct event *ev, const struct event *want)
{
	assert_true(span_equals(ev->utm_source, want->utm_source));
	assert_true(span_equals(ev->utm_medium, want->utm_medium));
	assert_true(span_equals(ev->utm_campaign, want->utm_campaign));
	assert_true(span_equals(ev->utm_term, want->utm_term));
	assert_true(span_equals(ev->utm_content, want->utm_content));
	assert_true(span_equals(ev->ref, want->ref));
	assert_true(span_equals(ev->click_id, want->click_id));
	assert_true(span_equals(ev->ch_brands, want->ch_brands));
	assert_true(span_equals(ev->ch_platform, want->ch_platform));
	assert_true(span_equals(ev->ch_platform_version, want->ch_platform_version));
	assert_true(span_equals(ev->ch_model, want->ch_model));
	assert_int_equal(ev->ch_mobile, want->ch_mobile);
	assert_true(span_equals(ev->cdn_country, want->cdn_country));
	assert_true(span_equals(ev->cdn_region, want->cdn_region));
	assert_true(span_equals(ev->cdn_city, want->cdn_city));
	assert_int_equal(ev->bot, want->bot);
}

static void assert_is_pageview(const struct event *ev)
{
	assert_int_equal(ev->site_id, pageview.site_id);
	assert_int_equal(ev->id, pageview.id);
	assert_int_equal(ev->ts_us, pageview.ts_us);
	assert_int_equal(ev->kind, pageview.kind);
	assert_int_equal(ev->visitor, pageview.visitor);
	assert_int_equal(ev->interactive, pageview.interactive);
	assert_true(span_equals(ev->name, pageview.name));
	assert_true(span_equals(ev->host, pageview.host));
	assert_true(span_equals(ev->path, pageview.path));
	assert_true(span_equals(ev->title, pageview.title));
	assert_true(span_equals(ev->referrer, pageview.referrer));
	assert_true(span_equals(ev->user_agent, pageview.user_agent));
	assert_true(span_equals(ev->address, pageview.address));
	assert_int_equal(ev->address_date, pageview.address_date);
	assert_true(span_equals(ev->language, pageview.language));
	assert_int_equal(ev->screen_width, pageview.screen_width);
	assert_int_equal(ev->engaged_ms, pageview.engaged_ms);
	assert_int_equal(ev->scroll_depth, pageview.scroll_depth);
	assert_true(span_equals(ev->revenue, pageview.revenue));
	assert_true(span_equals(ev->currency, pageview.currency));
	assert_true(span_equals(ev->props, pageview.props));
	assert_true(span_equals(ev->metadata, pageview.metadata));
}

static void the_sample_event_is_decoded(void **state)
{
	struct sample s = sample_read("event-1-origin");
	const struct event want = pageview_with_origin();
	struct event ev;
	struct err err;

	(void)state;
	assert_int_equal(event_decode(&ev, span_of_sample(&s), &err), 0);
	assert_is_pageview(&ev);
	assert_is_from(&ev, &want);
}

static void an_event_is_encoded_as_the_sample(void **state)
{
	struct sample s = sample_read("event-1-origin");
	const struct event given = pageview_with_origin();
	msgpack_sbuffer out;
	struct err err;

	(void)state;
	msgpack_sbuffer_init(&out);
	assert_int_equal(event_encode(&out, &given, &err), 0);
	assert_int_equal(out.size, s.len);
	assert_memory_equal(out.data, s.bytes, s.len);
	msgpack_sbuffer_destroy(&out);
}

static void its_site_is_told_without_reading_the_rest(void **state)
{
	struct event ev = pageview;
	msgpack_sbuffer out;
	struct err err;

	(void)state;
	for (uint64_t site = 1; site <= INT32_MAX; site = site * 3 + 1) {
		ev.site_id = (uint32_t)site;
		msgpack_sbuffer_init(&out);
		assert_int_equal(event_encode(&out, &ev, &err), 0);
		assert_int_equal(event_site((struct span){ out.data, out.size }), site);
		for (size_t len = 0; len < 4; len++) {
			char *cut = malloc(len ? len : 1);

			memcpy(cut, out.data, len);
			assert_int_equal(event_site((struct span){ cut, len }), 0);
			free(cut);
		}
		out.data[3] = EVENT_VERSION + 1;
		assert_int_equal(event_site((struct span){ out.data, out.size }), 0);
		msgpack_sbuffer_destroy(&out);
	}
}

static void an_event_of_a_writer_that_knew_less_says_nothing_of_the_rest(void **state)
{
	struct sample s = sample_read("event-1");
	const struct event nothing = { .bot = EVENT_BOT_NONE };
	struct event ev;
	struct err err;

	(void)state;
	memset(&ev, 0xff, sizeof ev);
	assert_int_equal(event_decode(&ev, span_of_sample(&s), &err), 0);
	assert_is_pageview(&ev);
	assert_is_from(&ev, &nothing);
}

static void a_field_that_only_a_newer_writer_knows_is_skipped(void **state)
{
	struct sample s = sample_read("event-1-newer-field");
	struct event ev;
	struct err err;

	(void)state;
	assert_int_equal(event_decode(&ev, span_of_sample(&s), &err), 0);
	assert_is_pageview(&ev);
}

static void a_newer_version_is_refused_by_name(void **state)
{
	struct sample s = sample_read("event-1");
	struct event ev;
	struct err err;

	(void)state;
	s.bytes[3] = EVENT_VERSION + 1; /* behind the array's three bytes */
	assert_int_equal(event_decode(&ev, span_of_sample(&s), &err), -ENOTSUP);
	assert_string_equal(err.msg, "event: of a newer version");
}

static void an_event_cut_anywhere_is_an_error(void **state)
{
	struct sample s = sample_read("event-1-origin");
	struct event ev;
	struct err err;

	(void)state;
	for (size_t len = 0; len < s.len; len++) {
		/* Of exactly that size, so that a sanitizer sees a read past the end. */
		char *cut = malloc(len ? len : 1);

		memcpy(cut, s.bytes, len);
		assert_int_equal(event_decode(&ev, (struct span){ cut, len }, &err), -EBADMSG);
		free(cut);
	}
}

static void a_damaged_event_is_an_error_or_an_event_never_a_crash(void **state)
{
	struct sample s = sample_read("event-1-origin");
	struct event ev;
	struct err err;

	(void)state;
	for (size_t i = 0; i < s.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			char *copy = malloc(s.len);
			int rc;

			memcpy(copy, s.bytes, s.len);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			rc = event_decode(&ev, (struct span){ copy, s.len }, &err);
			assert_true(!rc || rc == -EBADMSG || rc == -EMSGSIZE || rc == -ENOTSUP ||
				    rc == -ENOMEM);
			free(copy);
		}
}

static void bytes_behind_an_event_are_an_error(void **state)
{
	struct sample s = sample_read("event-1");
	struct event ev;
	struct err err;

	(void)state;
	s.bytes[s.len++] = 0xc0;
	assert_int_equal(event_decode(&ev, span_of_sample(&s), &err), -EBADMSG);
}

static void a_text_beyond_its_bound_is_refused_not_cut(void **state)
{
	char path[EVENT_PATH_MOST + 1];
	struct event ev = pageview, out_ev;
	msgpack_sbuffer out;
	struct err err;

	(void)state;
	memset(path, '/', sizeof path);
	ev.path = (struct span){ path, sizeof path };
	msgpack_sbuffer_init(&out);
	assert_int_equal(event_encode(&out, &ev, &err), 0);
	assert_int_equal(
		event_decode(&out_ev, (struct span){ out.data, out.size }, &err), -EMSGSIZE);
	msgpack_sbuffer_destroy(&out);
}

static void an_address_opens_only_with_its_days_key_and_for_its_site(void **state)
{
	unsigned char key[32] = { 1 }, other[32] = { 2 }, bytes[EVENT_SEALED_BYTES];
	struct event_day_keys day, next;
	struct addr in = { { 1, 2, 3, 4 } }, out;
	struct span wire = { (const char *)bytes, sizeof bytes };
	struct err err;

	(void)state;
	event_day_keys_derive(&day, key);
	event_day_keys_derive(&next, other);
	event_seal(bytes, &day, 7, &in);
	assert_int_equal(event_unseal(&out, &day, 7, wire, &err), 0);
	assert_memory_equal(out.bytes, in.bytes, 16);
	assert_int_equal(event_unseal(&out, &next, 7, wire, &err), -EBADMSG);
	assert_int_equal(event_unseal(&out, &day, 8, wire, &err), -EBADMSG);
}

static void a_visitor_differs_by_day_site_address_and_agent(void **state)
{
	unsigned char key[32] = { 1 }, other[32] = { 2 };
	struct event_day_keys day, next;
	struct addr a = { { 1 } }, b = { { 2 } };
	int64_t visitor;

	(void)state;
	event_day_keys_derive(&day, key);
	event_day_keys_derive(&next, other);
	visitor = event_visitor(&day, 20000, 1, &a, SPAN("Firefox"));
	assert_int_equal(visitor, event_visitor(&day, 20000, 1, &a, SPAN("Firefox")));
	assert_int_equal(visitor & 1, 0);
	assert_int_equal(visitor >> 48, 20000);
	assert_int_equal(visitor & INT64_C(0xffffffffffff),
		event_visitor(&day, 20001, 1, &a, SPAN("Firefox")) & INT64_C(0xffffffffffff));
	assert_int_equal(event_persistent_visitor(1, SPAN("a")) & 1, 1);
	assert_int_not_equal(
		event_persistent_visitor(1, SPAN("a")), event_persistent_visitor(2, SPAN("a")));
	assert_int_not_equal(
		event_persistent_visitor(1, SPAN("a")), event_persistent_visitor(1, SPAN("b")));
	assert_int_not_equal(visitor, event_visitor(&next, 20000, 1, &a, SPAN("Firefox")));
	assert_int_not_equal(visitor, event_visitor(&day, 20000, 2, &a, SPAN("Firefox")));
	assert_int_not_equal(visitor, event_visitor(&day, 20000, 1, &b, SPAN("Firefox")));
	assert_int_not_equal(visitor, event_visitor(&day, 20000, 1, &a, SPAN("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_event_is_decoded),
		cmocka_unit_test(an_event_is_encoded_as_the_sample),
		cmocka_unit_test(its_site_is_told_without_reading_the_rest),
		cmocka_unit_test(an_event_of_a_writer_that_knew_less_says_nothing_of_the_rest),
		cmocka_unit_test(a_field_that_only_a_newer_writer_knows_is_skipped),
		cmocka_unit_test(a_newer_version_is_refused_by_name),
		cmocka_unit_test(an_event_cut_anywhere_is_an_error),
		cmocka_unit_test(a_damaged_event_is_an_error_or_an_event_never_a_crash),
		cmocka_unit_test(bytes_behind_an_event_are_an_error),
		cmocka_unit_test(a_text_beyond_its_bound_is_refused_not_cut),
		cmocka_unit_test(an_address_opens_only_with_its_days_key_and_for_its_site),
		cmocka_unit_test(a_visitor_differs_by_day_site_address_and_agent),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
