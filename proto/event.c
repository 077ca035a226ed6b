#include "proto/event.h"

#include <assert.h>
#include <sodium.h>

#include "lib/secret.h"
#include "proto/mp.h"

#define FIELDS 39

int event_encode(msgpack_sbuffer *out, const struct event *ev, struct err *err)
{
	struct mp_writer w = { .out = out };
	size_t before = out->size;
	msgpack_packer pk;

	msgpack_packer_init(&pk, &w, mp_write);
	msgpack_pack_array(&pk, FIELDS);
	msgpack_pack_uint8(&pk, EVENT_VERSION);
	msgpack_pack_uint32(&pk, ev->site_id);
	msgpack_pack_int64(&pk, ev->id);
	msgpack_pack_int64(&pk, ev->ts_us);
	msgpack_pack_uint8(&pk, ev->kind);
	msgpack_pack_int64(&pk, ev->visitor);
	ev->interactive ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
	mp_put_str(&pk, ev->name);
	mp_put_str(&pk, ev->host);
	mp_put_str(&pk, ev->path);
	mp_put_str(&pk, ev->title);
	mp_put_str(&pk, ev->referrer);
	mp_put_str(&pk, ev->user_agent);
	mp_put_bin(&pk, ev->address.ptr, ev->address.len);
	msgpack_pack_int64(&pk, ev->address_date);
	mp_put_str(&pk, ev->language);
	msgpack_pack_uint32(&pk, ev->screen_width);
	msgpack_pack_int64(&pk, ev->engaged_ms);
	msgpack_pack_int64(&pk, ev->scroll_depth);
	mp_put_str(&pk, ev->revenue);
	mp_put_str(&pk, ev->currency);
	mp_put_str(&pk, ev->props);
	mp_put_str(&pk, ev->metadata);
	mp_put_str(&pk, ev->utm_source);
	mp_put_str(&pk, ev->utm_medium);
	mp_put_str(&pk, ev->utm_campaign);
	mp_put_str(&pk, ev->utm_term);
	mp_put_str(&pk, ev->utm_content);
	mp_put_str(&pk, ev->ref);
	mp_put_str(&pk, ev->click_id);
	mp_put_str(&pk, ev->ch_brands);
	mp_put_str(&pk, ev->ch_platform);
	mp_put_str(&pk, ev->ch_platform_version);
	mp_put_str(&pk, ev->ch_model);
	msgpack_pack_uint8(&pk, ev->ch_mobile);
	mp_put_str(&pk, ev->cdn_country);
	mp_put_str(&pk, ev->cdn_region);
	mp_put_str(&pk, ev->cdn_city);
	msgpack_pack_uint8(&pk, ev->bot);
	if (!w.failed && out->size - before <= EVENT_MOST)
		return 0;
	out->size = before;
	if (w.failed)
		return err_set(err, -ENOMEM, "no memory for an event");
	return err_set(err, -EMSGSIZE, "the event has more than %d bytes", EVENT_MOST);
}

/* Writers of an earlier day ended behind `metadata`. */
static struct span later_str(struct mp_reader *r, size_t most)
{
	return mp_more(r) ? mp_str(r, most) : SPAN("");
}

static uint8_t later_uint(struct mp_reader *r, uint8_t most)
{
	return mp_more(r) ? (uint8_t)mp_uint(r, most) : 0;
}

static void decode_origin(struct event *ev, struct mp_reader *r)
{
	ev->utm_source = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->utm_medium = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->utm_campaign = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->utm_term = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->utm_content = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->ref = later_str(r, EVENT_CAMPAIGN_MOST);
	ev->click_id = later_str(r, EVENT_CLICK_ID_MOST);
	ev->ch_brands = later_str(r, EVENT_BRANDS_MOST);
	ev->ch_platform = later_str(r, EVENT_HINT_MOST);
	ev->ch_platform_version = later_str(r, EVENT_HINT_MOST);
	ev->ch_model = later_str(r, EVENT_HINT_MOST);
	ev->ch_mobile = later_uint(r, EVENT_MOBILE_YES);
	ev->cdn_country = later_str(r, 2);
	ev->cdn_region = later_str(r, EVENT_REGION_MOST);
	ev->cdn_city = later_str(r, EVENT_CITY_MOST);
	ev->bot = later_uint(r, UINT8_MAX);
}

int event_decode(struct event *ev, struct span wire, struct err *err)
{
	struct mp_reader r;

	mp_reader_init(&r, wire, EVENT_VERSION);
	ev->site_id = (uint32_t)mp_uint(&r, INT32_MAX);
	ev->id = mp_int(&r);
	ev->ts_us = mp_int(&r);
	ev->kind = (uint8_t)mp_uint(&r, UINT8_MAX);
	ev->visitor = mp_int(&r);
	ev->interactive = mp_bool(&r);
	ev->name = mp_str(&r, EVENT_NAME_MOST);
	ev->host = mp_str(&r, EVENT_HOST_MOST);
	ev->path = mp_str(&r, EVENT_PATH_MOST);
	ev->title = mp_str(&r, EVENT_TITLE_MOST);
	ev->referrer = mp_str(&r, EVENT_REFERRER_MOST);
	ev->user_agent = mp_str(&r, EVENT_AGENT_MOST);
	ev->address = mp_bin(&r, EVENT_SEALED_BYTES);
	ev->address_date = mp_int(&r);
	ev->language = mp_str(&r, EVENT_LANGUAGE_MOST);
	ev->screen_width = (uint32_t)mp_uint(&r, INT32_MAX);
	ev->engaged_ms = mp_int(&r);
	ev->scroll_depth = mp_int(&r);
	ev->revenue = mp_str(&r, EVENT_AMOUNT_MOST);
	ev->currency = mp_str(&r, 3);
	ev->props = mp_str(&r, EVENT_JSON_MOST);
	ev->metadata = mp_str(&r, EVENT_JSON_MOST);
	decode_origin(ev, &r);
	if (!r.failed && ((!ev->site_id && ev->kind != EVENT_DROPPED) || !ev->id || !ev->visitor))
		mp_fail(&r, -EBADMSG, "site, id or visitor is 0");
	if (!r.failed && (ev->engaged_ms < EVENT_NONE || ev->scroll_depth < EVENT_NONE ||
				 ev->scroll_depth > 100))
		mp_fail(&r, -EBADMSG, "a measure is out of its range");
	if (!r.failed && (ev->kind < EVENT_PAGEVIEW || ev->kind > EVENT_DROPPED))
		mp_fail(&r, -ENOTSUP, "of an unknown kind");
	return mp_reader_end(&r, "event", err);
}

const char *event_kind_word(uint8_t kind)
{
	static const char *const words[] = { [EVENT_PAGEVIEW] = "pageview",
		[EVENT_CUSTOM] = "custom",
		[EVENT_ENGAGEMENT] = "engagement",
		[EVENT_EXIT] = "exit",
		[EVENT_PING] = "ping",
		[EVENT_ERROR] = "error",
		[EVENT_VITAL] = "vital",
		[EVENT_DROPPED] = "dropped" };

	return kind && kind < sizeof words / sizeof *words ? words[kind] : "";
}

/* An unsigned number of at most 32 bits at the start of *wire, which goes on behind it. */
static bool uint_take(struct span *wire, uint32_t *out)
{
	unsigned char type = wire->len ? (unsigned char)wire->ptr[0] : 0xc0;
	size_t bytes = type < 0x80    ? 0
		       : type == 0xcc ? 1
		       : type == 0xcd ? 2
		       : type == 0xce ? 4
				      : SIZE_MAX;

	if (bytes == SIZE_MAX || wire->len < 1 + bytes)
		return false;
	*out = bytes ? 0 : type;
	for (size_t i = 1; i <= bytes; i++)
		*out = *out << 8 | (unsigned char)wire->ptr[i];
	*wire = span_from(*wire, 1 + bytes);
	return true;
}

uint32_t event_site(struct span wire)
{
	uint32_t version, site_id;

	/* Its array has more than 15 fields. */
	if (wire.len < 3 || (unsigned char)wire.ptr[0] != 0xdc)
		return 0;
	wire = span_from(wire, 3);
	if (!uint_take(&wire, &version) || version > EVENT_VERSION || !uint_take(&wire, &site_id))
		return 0;
	return site_id;
}

void event_day_keys_derive(struct event_day_keys *keys, const unsigned char day_key[32])
{
	static_assert(crypto_kdf_KEYBYTES == 32, "a day key is a libsodium master key");

	crypto_kdf_derive_from_key(keys->salt, sizeof keys->salt, 1, "footfall", day_key);
	crypto_kdf_derive_from_key(keys->seal, sizeof keys->seal, 2, "footfall", day_key);
}

static void put_u32(unsigned char bytes[4], uint32_t n)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(n >> 8 * i);
}

/* The bits of a daily visitor that are hashed: the lower 48 but the lowest. */
#define DAILY_HASH ((INT64_C(1) << 48) - 2)

int64_t event_visitor(const struct event_day_keys *keys, int64_t date, uint32_t site_id,
	const struct addr *client, struct span user_agent)
{
	unsigned char text[4 + 16 + EVENT_AGENT_MOST];
	struct span agent = span_first(user_agent, EVENT_AGENT_MOST);
	int64_t hash, visitor;

	put_u32(text, site_id);
	memcpy(text + 4, client->bytes, 16);
	memcpy(text + 20, agent.ptr, agent.len);
	hash = id64(text, 20 + agent.len, keys->salt, sizeof keys->salt);
	visitor = (date & 0x7fff) << 48 | (hash & DAILY_HASH);
	return visitor ? visitor : 2;
}

int64_t event_persistent_visitor(uint32_t site_id, struct span id)
{
	unsigned char text[4 + EVENT_VISITOR_MOST];

	id = span_first(id, EVENT_VISITOR_MOST);
	put_u32(text, site_id);
	memcpy(text + 4, id.ptr, id.len);
	return id64(text, 4 + id.len, NULL, 0) | 1;
}

void event_seal(unsigned char sealed[EVENT_SEALED_BYTES], const struct event_day_keys *keys,
	uint32_t site_id, const struct addr *client)
{
	unsigned char site[4];

	put_u32(site, site_id);
	randombytes_buf(sealed, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		sealed + 24, NULL, client->bytes, 16, site, sizeof site, NULL, sealed, keys->seal);
}

int event_unseal(struct addr *client, const struct event_day_keys *keys, uint32_t site_id,
	struct span sealed, struct err *err)
{
	const unsigned char *bytes = (const unsigned char *)sealed.ptr;
	unsigned char site[4];

	put_u32(site, site_id);
	if (sealed.len != EVENT_SEALED_BYTES ||
		crypto_aead_xchacha20poly1305_ietf_decrypt(client->bytes, NULL, NULL, bytes + 24,
			EVENT_SEALED_BYTES - 24, site, sizeof site, bytes, keys->seal))
		return err_set(err, -EBADMSG, "an address cannot be opened with its day's key");
	return 0;
}
