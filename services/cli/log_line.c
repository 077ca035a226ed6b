#include "services/cli/log_line.h"

#include <ctype.h>
#include <stdlib.h>

#include "lib/addr.h"

#define EXTENSION_MOST 11

/* What a page is made of, feeds, and downloads: what a script in a page would not report. Sorted.
 * README.md has the list by kinds. */
const char *const log_asset_extensions[] = { "7z", "aac", "apk", "apng", "appimage", "atom", "avi",
	"avif", "bin", "bmp", "bz2", "cjs", "css", "csv", "cur", "deb", "dll", "dmg", "doc", "docx",
	"eot", "eps", "epub", "exe", "flac", "flv", "gif", "gz", "heic", "ico", "ics", "img", "iso",
	"jar", "jpeg", "jpg", "js", "json", "jsonld", "jxl", "less", "m3u8", "m4a", "m4s", "m4v",
	"map", "mid", "midi", "mjs", "mkv", "mobi", "mov", "mp3", "mp4", "mpeg", "mpg", "msi",
	"odp", "ods", "odt", "oga", "ogg", "ogv", "opus", "otf", "pdf", "pkg", "png", "ppt", "pptx",
	"ps", "psd", "rar", "rpm", "rss", "rtf", "scss", "svg", "svgz", "swf", "tar", "tgz", "tif",
	"tiff", "torrent", "ts", "tsv", "ttf", "txt", "vtt", "war", "wasm", "wav", "webm",
	"webmanifest", "webp", "wma", "wmv", "woff", "woff2", "xls", "xlsx", "xml", "xsl", "xslt",
	"xz", "zip", "zst", NULL };
#define EXTENSIONS (sizeof log_asset_extensions / sizeof *log_asset_extensions - 1)

/* Take the text before the first c, and c, off *rest. False when there is no c. */
static bool take_until(struct span *rest, char c, struct span *taken)
{
	size_t at = span_find(*rest, c);

	if (at == rest->len)
		return false;
	*taken = span_first(*rest, at);
	*rest = span_from(*rest, at + 1);
	return true;
}

/* Take a quoted text off *rest, quotes not included. A quote inside is escaped by both servers. */
static bool take_quoted(struct span *rest, struct span *taken)
{
	if (!rest->len || rest->ptr[0] != '"')
		return false;
	for (size_t from = 1; from < rest->len;) {
		const char *hit = memchr(rest->ptr + from, '"', rest->len - from);
		size_t at = hit ? (size_t)(hit - rest->ptr) : rest->len, slashes = 0;

		if (!hit)
			return false;
		while (slashes < at - 1 && rest->ptr[at - 1 - slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0) {
			*taken = (struct span){ rest->ptr + 1, at - 1 };
			*rest = span_from(*rest, at + 1);
			return true;
		}
		from = at + 1;
	}
	return false;
}

static int two_digits(const char *text)
{
	return isdigit((unsigned char)text[0]) && isdigit((unsigned char)text[1])
		       ? (text[0] - '0') * 10 + (text[1] - '0')
		       : -1;
}

/* Both servers write English month names in every locale. 0: none of them. */
static int month_of(const char *text)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (!memcmp(names + (size_t)i * 3, text, 3))
			return i + 1;
	return 0;
}

/* "10/Oct/2000:13:55:36 -0700" to RFC 3339. */
static bool read_time(char out[LOG_TIME_LENGTH + 1], struct span s)
{
	static const char shape[] = "00/aaa/0000:00:00:00 +0000";
	int month;

	if (s.len != sizeof shape - 1)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool fits = shape[i] == '0'   ? isdigit((unsigned char)s.ptr[i])
			    : shape[i] == '+' ? s.ptr[i] == '+' || s.ptr[i] == '-'
			    : shape[i] == 'a' ? isalpha((unsigned char)s.ptr[i])
					      : s.ptr[i] == shape[i];

		if (!fits)
			return false;
	}
	month = month_of(s.ptr + 3);
	if (!month || two_digits(s.ptr) < 1 || two_digits(s.ptr) > 31 ||
		two_digits(s.ptr + 12) > 23 || two_digits(s.ptr + 15) > 59 ||
		two_digits(s.ptr + 18) > 60)
		return false;
	memcpy(out, s.ptr + 7, 4);
	out[4] = '-';
	out[5] = (char)('0' + month / 10);
	out[6] = (char)('0' + month % 10);
	out[7] = '-';
	memcpy(out + 8, s.ptr, 2);
	out[10] = 'T';
	memcpy(out + 11, s.ptr + 12, 8);
	memcpy(out + 19, s.ptr + 21, 3);
	out[22] = ':';
	memcpy(out + 23, s.ptr + 24, 2);
	out[LOG_TIME_LENGTH] = '\0';
	return true;
}

static bool is_address(struct span text)
{
	struct addr addr;

	return text.len &&
	       (isxdigit((unsigned char)text.ptr[0]) || text.ptr[0] == ':' || text.ptr[0] == '[') &&
	       !addr_parse(&addr, text);
}

/* CLIENT IDENT USER, with or without the virtual host before them. A user's name may hold blanks,
 * so the number of words does not tell; an address in the second place does, and so does an ident
 * ("-", since nobody asks identd) in the third. */
static bool read_client(struct log_line *out, struct span head)
{
	struct span first, second = SPAN(""), third = SPAN("");

	if (!take_until(&head, ' ', &first) || !first.len)
		return false;
	if (!take_until(&head, ' ', &second))
		return false;
	if (!take_until(&head, ' ', &third))
		third = SPAN("");
	if (!span_equals(second, SPAN("-")) &&
		(is_address(second) ||
			(!is_address(first) && span_equals(third, SPAN("-")) && head.len)))
		out->client = second;
	else
		out->client = first;
	out->client_is_address = is_address(out->client);
	if (span_equals(out->client, SPAN("-")))
		out->client = SPAN("");
	return true;
}

/* The time is the first text in brackets of the right shape: a user's name may hold brackets. */
static bool read_head(struct log_line *out, struct span *rest)
{
	for (size_t from = 0; from < rest->len;) {
		size_t at = from + span_find(span_from(*rest, from), '[');
		struct span after = span_from(*rest, at + 1), time;

		if (at == rest->len)
			return false;
		if (at && take_until(&after, ']', &time) && read_time(out->time, time)) {
			struct span head = span_first(*rest, at);

			*rest = after;
			return read_client(out, head);
		}
		from = at + 1;
	}
	return false;
}

static void read_request(struct log_line *out, struct span request)
{
	size_t blank = span_find(request, ' '), end;
	struct span protocol;

	out->method = span_first(request, blank);
	request = span_from(request, blank + 1);
	/* Browsers escape blanks in a target, others do not: it ends before the protocol. */
	for (end = request.len; end && request.ptr[end - 1] != ' '; end--)
		continue;
	protocol = span_from(request, end);
	if (end && span_starts_with(protocol, SPAN("HTTP/")))
		request.len = end - 1;
	out->target = request;
	if (request.len && request.ptr[0] != '/') { /* an absolute URL, as a proxy is asked */
		size_t colon = span_find(request, ':');
		struct span path = span_from(request, colon + 1);

		if (!span_starts_with(path, SPAN("//")))
			return;
		path = span_from(path, 2);
		path = span_from(path, span_find(path, '/'));
		out->target = path.len ? path : SPAN("/");
	}
}

static bool read_status(struct log_line *out, struct span text)
{
	if (text.len != 3)
		return false;
	out->status = 0;
	for (size_t i = 0; i < 3; i++) {
		if (!isdigit((unsigned char)text.ptr[i]))
			return false;
		out->status = out->status * 10 + (text.ptr[i] - '0');
	}
	return true;
}

static struct span dash_is_empty(struct span text)
{
	return span_equals(text, SPAN("-")) ? SPAN("") : text;
}

int log_line_parse(struct log_line *out, struct span line)
{
	struct span rest = line, request, word;

	out->referrer = out->agent = out->target = SPAN("");
	if (!read_head(out, &rest))
		return -EINVAL;
	if (!rest.len || rest.ptr[0] != ' ')
		return -EINVAL;
	rest = span_from(rest, 1);
	if (!take_quoted(&rest, &request) || !rest.len || rest.ptr[0] != ' ')
		return -EINVAL;
	rest = span_from(rest, 1);
	if (!take_until(&rest, ' ', &word) || !read_status(out, word))
		return -EINVAL;
	read_request(out, request);
	/* The size, which may be the last field. */
	if (!take_until(&rest, ' ', &word))
		return rest.len ? 0 : -EINVAL;
	if (take_quoted(&rest, &word)) {
		out->referrer = dash_is_empty(word);
		rest = span_from(rest, 1);
		if (take_quoted(&rest, &word))
			out->agent = dash_is_empty(word);
	}
	return 0;
}

static int by_extension(const void *key, const void *row)
{
	return strcmp(key, *(const char *const *)row);
}

bool log_target_is_asset(struct span target)
{
	char extension[EXTENSION_MOST + 1];
	size_t end = 0, dot;

	while (end < target.len && !strchr("?#;", target.ptr[end]))
		end++;
	for (dot = end; dot && target.ptr[dot - 1] != '.' && target.ptr[dot - 1] != '/'; dot--)
		if (end - dot > EXTENSION_MOST)
			return false;
	if (!dot || target.ptr[dot - 1] != '.' || end - dot > EXTENSION_MOST)
		return false;
	for (size_t i = dot; i < end; i++)
		extension[i - dot] = (char)tolower((unsigned char)target.ptr[i]);
	extension[end - dot] = '\0';
	return bsearch(extension, log_asset_extensions, EXTENSIONS, sizeof *log_asset_extensions,
		       by_extension) != NULL;
}

enum log_verdict log_line_verdict(const struct log_line *line)
{
	if (!span_equals(line->method, SPAN("GET")))
		return LOG_NOT_GET;
	if ((line->status < 200 || line->status > 299) && line->status != 304)
		return LOG_STATUS;
	if (!line->target.len || line->target.ptr[0] != '/')
		return LOG_MALFORMED;
	return log_target_is_asset(line->target) ? LOG_ASSET : LOG_PAGE;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span log_text_plain(char *buf, struct span text)
{
	static const char letters[] = "bnrtvf", bytes[] = "\b\n\r\t\v\f";
	size_t len = 0;

	if (span_find(text, '\\') == text.len)
		return text;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : '\0';
		const char *letter;
		int high, low;

		if (c != '\\' || !next) {
			buf[len++] = c;
			continue;
		}
		high = next == 'x' && i + 3 < text.len ? hex_value(text.ptr[i + 2]) : -1;
		low = high >= 0 ? hex_value(text.ptr[i + 3]) : -1;
		letter = strchr(letters, next);
		if (low >= 0) {
			buf[len++] = (char)(high << 4 | low);
			i += 3;
		} else if (letter || next == '"' || next == '\\') {
			buf[len++] = letter ? bytes[letter - letters] : next;
			i++;
		} else { /* no escape of theirs: it stays as it is */
			buf[len++] = c;
		}
	}
	return (struct span){ buf, len };
}
