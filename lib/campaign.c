#include "lib/campaign.h"

#include "lib/url.h"
#include "lib/utf8.h"

#define NAME_MOST 16 /* "utm_campaign" has 12 */
#define RAW_MOST                                                                                   \
	(CAMPAIGN_MOST * 4) /* looked at of a value: all of 255 bytes in escapes, and blanks */

static const char *const click_ids[] = { "gclid", "gbraid", "wbraid", "msclkid", "fbclid", "ttclid",
	"twclid", "li_fat_id" };
#define CLICK_IDS (sizeof click_ids / sizeof *click_ids)

/* Where a parameter's value goes. "source" has a place of its own until all is read. */
static const char *const names[] = { [UTM_SOURCE] = "utm_source",
	[UTM_MEDIUM] = "utm_medium",
	[UTM_CAMPAIGN] = "utm_campaign",
	[UTM_TERM] = "utm_term",
	[UTM_CONTENT] = "utm_content",
	[CAMPAIGN_REF] = "ref" };

/* Decode raw into text, of CAMPAIGN_MOST bytes. */
static struct span value_clean(char text[CAMPAIGN_MOST], struct span raw)
{
	char buf[RAW_MOST];
	struct span value = url_decode(buf, span_first(raw, sizeof buf), true);

	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)buf[i] < ' ' || buf[i] == 0x7f)
			buf[i] = ' ';
	return span_trim(utf8_clean(text, CAMPAIGN_MOST, span_trim(value)));
}

static void parameter_read(struct campaign *c, struct span *source, char *source_text,
	size_t *click_id, struct span name, struct span raw)
{
	if (span_equals_nocase(name, SPAN("source")) && !source->len)
		*source = value_clean(source_text, raw);
	for (size_t i = 0; i < CAMPAIGN_FIELDS; i++)
		if (!c->field[i].len && span_equals_nocase(name, span_of(names[i])))
			c->field[i] = value_clean(c->text[i], raw);
	for (size_t i = 0; i < *click_id && raw.len; i++)
		if (span_equals_nocase(name, span_of(click_ids[i])))
			*click_id = i;
}

void campaign_read(struct campaign *c, struct span query)
{
	char buf[NAME_MOST], source_text[CAMPAIGN_MOST];
	struct span source = SPAN("");
	size_t click_id = CLICK_IDS;

	for (size_t i = 0; i < CAMPAIGN_FIELDS; i++)
		c->field[i] = SPAN("");
	for (; query.len; query = span_from(query, span_find(query, '&') + 1)) {
		struct span part = span_first(query, span_find(query, '&'));
		struct span name = span_first(part, span_find(part, '='));

		/* Of links that were escaped for HTML twice. */
		if (span_starts_with(name, SPAN("amp;")))
			name = span_from(name, 4);
		if (name.len && name.len <= sizeof buf)
			parameter_read(c, &source, source_text, &click_id,
				url_decode(buf, name, true),
				span_from(part, span_find(part, '=') + 1));
	}
	/* As Plausible has it: a source comes before a ref. */
	if (source.len) {
		memcpy(c->text[CAMPAIGN_REF], source.ptr, source.len);
		c->field[CAMPAIGN_REF] = (struct span){ c->text[CAMPAIGN_REF], source.len };
	}
	c->click_id = span_of(click_id < CLICK_IDS ? click_ids[click_id] : "");
}

struct span campaign_click_id(struct span name)
{
	for (size_t i = 0; i < CLICK_IDS; i++)
		if (span_equals_nocase(name, span_of(click_ids[i])))
			return span_of(click_ids[i]);
	return SPAN("");
}
