#include "services/cli/batch.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/utf8.h"
#include "services/cli/log_reader.h"

#define ESCAPED_MOST 6    /* \u0001 */
#define FRAME_MOST   1024 /* names, quotes, id, time and site of an event */
#define EVENT_MOST   (ESCAPED_MOST * LOG_LINE_MOST + FRAME_MOST)
#define URL_MOST     2000 /* the server's bound */

int batch_init(struct batch *b, struct err *err)
{
	memset(b, 0, sizeof *b);
	b->body = malloc(BATCH_BYTES + EVENT_MOST);
	return b->body ? 0 : err_set(err, -ENOMEM, "no memory for a batch of events");
}

void batch_clear(struct batch *b)
{
	free(b->body);
	json_decref(b->reasons);
	memset(b, 0, sizeof *b);
}

void batch_reset(struct batch *b)
{
	json_decref(b->reasons);
	b->reasons = NULL;
	b->len = b->count = b->accepted = b->rejected = 0;
}

bool batch_is_full(const struct batch *b)
{
	return b->count == BATCH_EVENTS || b->len >= BATCH_BYTES;
}

static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

char *batch_put_text(char *out, struct span text)
{
	static const char hex[] = "0123456789abcdef", replacement[] = "\xef\xbf\xbd";
	size_t i = 0;

	while (i < text.len) {
		size_t run = i, len;
		unsigned char c;

		while (run < text.len && is_plain(text.ptr[run]))
			run++;
		memcpy(out, text.ptr + i, run - i);
		out += run - i;
		i = run;
		if (i == text.len)
			break;
		c = (unsigned char)text.ptr[i];
		len = utf8_char_len(span_from(text, i));
		if (!len) { /* NUL, too */
			memcpy(out, replacement, 3);
			out += 3;
			i++;
		} else if (c == '"' || c == '\\') {
			*out++ = '\\';
			*out++ = (char)c;
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(out, "\\u00", 4);
			out[4] = hex[c >> 4];
			out[5] = hex[c & 15];
			out += 6;
			i++;
		} else {
			memcpy(out, text.ptr + i, len);
			out += len;
			i += len;
		}
	}
	return out;
}

static char *put(char *out, struct span bytes)
{
	memcpy(out, bytes.ptr, bytes.len);
	return out + bytes.len;
}

/* A field of a log, its escapes undone. */
static char *put_log_text(char *out, struct span text)
{
	char plain[LOG_LINE_MOST];

	return batch_put_text(out, log_text_plain(plain, text));
}

/* Where the web server looks names up, the log has a name in place of an address. It stands for an
 * address of its own, in the range that is never routed (RFC 4193), so that visitors stay apart;
 * their place is unknown. */
static void address_of_name(char text[ADDR_TEXT_SIZE], struct span name)
{
	char lower[256];
	struct addr addr;
	size_t len = name.len < sizeof lower ? name.len : sizeof lower;

	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name.ptr[i]);
	crypto_generichash(
		addr.bytes, sizeof addr.bytes, (const unsigned char *)lower, len, NULL, 0);
	addr.bytes[0] = 0xfd;
	addr_text(&addr, text);
}

static char *put_client(char *out, const struct log_line *line)
{
	char text[ADDR_TEXT_SIZE];
	struct span address = line->client;

	if (!line->client_is_address) {
		address_of_name(text, line->client);
		address = span_of(text);
	}
	out = put(out, SPAN("\",\"ip\":\""));
	return batch_put_text(out, address);
}

static char *put_url(char *out, const struct batch_site *site, struct span target)
{
	/* The query may name a campaign, but must not cost the page view. */
	if (site->origin.len + target.len > URL_MOST)
		target = span_first(target, span_find(target, '?'));
	out = put(out, SPAN("\",\"url\":\""));
	out = put(out, site->origin);
	return put_log_text(out, target);
}

void batch_add(
	struct batch *b, const struct batch_site *site, const char *id, const struct log_line *line)
{
	char *out = b->body + b->len;

	out = put(out, SPAN("{\"id\":\""));
	out = put(out, (struct span){ id, BATCH_ID_SIZE - 1 });
	out = put(out, SPAN("\",\"name\":\"pageview\",\"property_id\":\""));
	out = put(out, site->property_id);
	out = put(out, SPAN("\",\"timestamp\":\""));
	out = put(out, (struct span){ line->time, LOG_TIME_LENGTH });
	out = put_url(out, site, line->target);
	if (line->client.len)
		out = put_client(out, line);
	if (line->agent.len) {
		out = put(out, SPAN("\",\"user_agent\":\""));
		out = put_log_text(out, line->agent);
	}
	if (line->referrer.len) {
		out = put(out, SPAN("\",\"referrer\":\""));
		out = put_log_text(out, line->referrer);
	}
	out = put(out, SPAN("\"}\n"));
	b->len = (size_t)(out - b->body);
	b->ends[b->count++] = b->len;
}

void batch_keep(struct batch *b, const bool *keep)
{
	size_t start = 0, kept = 0, len = 0;

	for (size_t i = 0; i < b->count; i++) {
		size_t end = b->ends[i];

		if (keep[i]) {
			memmove(b->body + len, b->body + start, end - start);
			len += end - start;
			b->ends[kept++] = len;
		}
		start = end;
	}
	b->len = len;
	b->count = kept;
}
