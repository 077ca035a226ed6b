/* URLs of pages and referrers as the ingress cleans them: whatever comes, what is left of it is
 * text within its bounds, a path is one, and a referrer is a URL without user, query and fragment.
 */
#include <assert.h>
#include <stdint.h>

#include "lib/url.h"
#include "lib/utf8.h"
#include "services/ingress/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_text(struct span s, size_t most)
{
	assert(s.len <= most && utf8_valid(s));
	for (size_t i = 0; i < s.len; i++)
		assert((unsigned char)s.ptr[i] >= ' ' && s.ptr[i] != 0x7f);
}

static void try_page(struct span url, bool by_hash)
{
	struct event ev = { 0 };
	struct page page;
	struct err err;

	if (page_clean(&page, url, by_hash, &err))
		return;
	page_tell(&page, &ev);
	is_text(ev.host, EVENT_HOST_MOST);
	is_text(ev.path, EVENT_PATH_MOST);
	assert(ev.host.len && ev.path.len && ev.path.ptr[0] == '/');
	assert(ev.path.len == 1 || ev.path.ptr[ev.path.len - 1] != '/');
	for (size_t i = 0; i < CAMPAIGN_FIELDS; i++) {
		is_text(page.campaign.field[i], EVENT_CAMPAIGN_MOST);
		assert(span_equals(page.campaign.field[i], span_trim(page.campaign.field[i])));
	}
	is_text(ev.click_id, EVENT_CLICK_ID_MOST);
}

static void try_referrer(struct span text)
{
	char buf[EVENT_REFERRER_MOST];
	struct span referrer = referrer_strip(buf, text);
	struct url url;

	assert(referrer.len <= EVENT_REFERRER_MOST && utf8_valid(referrer));
	if (!referrer.len)
		return;
	assert(!url_split(&url, referrer));
	assert(!url.user.len && !url.fragment.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span text = { (const char *)data, size };
	struct campaign campaign;

	try_page(text, false);
	try_page(text, true);
	try_referrer(text);
	campaign_read(&campaign, text);
	for (size_t i = 0; i < CAMPAIGN_FIELDS; i++)
		is_text(campaign.field[i], CAMPAIGN_MOST);
	return 0;
}
