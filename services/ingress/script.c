#include "services/ingress/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/secret.h"
#include "services/ingress/intake.h"

#define PREFIX      "/js/"
#define SUFFIX      ".js"
#define CACHE_TEXT  "public, max-age=300"
#define PIECES_MOST (64 << 10) /* bytes of the tracker file; it has some 6 KB */
#define ETAG_HEX    16

unsigned script_part(struct span name)
{
	static const struct {
		const char *name;
		enum script_part part;
	} parts[] = { { "exit", SCRIPT_EXIT }, { "outbound", SCRIPT_OUTBOUND },
		{ "downloads", SCRIPT_DOWNLOADS }, { "forms", SCRIPT_FORMS },
		{ "tagged", SCRIPT_TAGGED }, { "404", SCRIPT_404 }, { "metadata", SCRIPT_METADATA },
		{ "hash", SCRIPT_HASH }, { "manual", SCRIPT_MANUAL }, { "named", SCRIPT_NAMED },
		{ "dnt", SCRIPT_DNT }, { "visitor", SCRIPT_VISITOR }, { "forget", SCRIPT_FORGET } };

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (span_equals(name, span_of(parts[i].name)))
			return parts[i].part;
	return 0;
}

/* The text before the first c, which is taken off *rest with it. */
static struct span cut(struct span *rest, char c)
{
	struct span first = span_first(*rest, span_find(*rest, c));

	*rest = span_from(*rest, first.len + 1);
	return first;
}

struct piece {
	unsigned parts;   /* it belongs to a script with any of them; 0: to every script */
	struct span code; /* one line, without its end */
};

/* The next piece, a line that says what it is and a line of code: "//# head", "//# tail",
 * "//# part NAME…". False: there is none, or what there is is none. */
static bool piece_next(struct piece *piece, struct span *rest)
{
	struct span kind = cut(rest, '\n');

	piece->code = cut(rest, '\n');
	piece->parts = 0;
	if (span_equals(kind, SPAN("//# head")) || span_equals(kind, SPAN("//# tail")))
		return piece->code.len;
	if (!span_starts_with(kind, SPAN("//# part ")))
		return false;
	kind = span_from(kind, sizeof "//# part " - 1);
	while (kind.len) {
		unsigned part = script_part(cut(&kind, ' '));

		if (!part)
			return false;
		piece->parts |= part;
	}
	return piece->parts && piece->code.len;
}

/* Whether it begins with the head, ends with the tail, and has parts between. */
static bool is_of_build(struct span text)
{
	struct piece piece;
	bool ended = false;

	if (!span_starts_with(text, SPAN("//# head\n")))
		return false;
	while (text.len) {
		ended = span_starts_with(text, SPAN("//# tail\n"));
		if (!piece_next(&piece, &text))
			return false;
	}
	return ended;
}

int script_load(struct span *out, const char *path, struct err *err)
{
	char *text = malloc(PIECES_MOST);
	FILE *f = fopen(path, "re");
	size_t len = f && text ? fread(text, 1, PIECES_MOST, f) : 0;
	int rc = 0;

	if (!f)
		rc = err_set(err, -errno, "FOOTFALL_TRACKER_FILE %s: %s", path, strerror(errno));
	else if (!text)
		rc = err_set(err, -ENOMEM, "FOOTFALL_TRACKER_FILE %s: no memory", path);
	else if (ferror(f))
		rc = err_set(err, -EIO, "FOOTFALL_TRACKER_FILE %s: cannot be read", path);
	else if (len == PIECES_MOST || !is_of_build((struct span){ text, len }))
		rc = err_set(err, -EINVAL,
			"FOOTFALL_TRACKER_FILE %s: not what services/tracker/build.js makes", path);
	if (f)
		fclose(f);
	if (rc)
		free(text);
	else
		*out = (struct span){ text, len };
	return rc;
}

void script_free(struct span *text)
{
	free((char *)(uintptr_t)text->ptr);
	*text = (struct span){ 0 };
}

static char *put(char *end, struct span text)
{
	return mempcpy(end, text.ptr, text.len);
}

int script_make(struct span *out, struct span pieces, unsigned parts, struct span site)
{
	char *text = malloc(pieces.len + site.len + sizeof "\"\");\n"), *end = text;
	struct piece piece;

	if (!text)
		return -ENOMEM;
	while (pieces.len && piece_next(&piece, &pieces))
		if (!piece.parts || piece.parts & parts)
			end = put(end, piece.code);
	end = put(put(put(end, SPAN("\"")), site), SPAN("\");\n"));
	*out = (struct span){ text, (size_t)(end - text) };
	return 0;
}

bool script_is_named(struct span file, unsigned *parts)
{
	/* What most of them switch on every script here has. */
	static const struct {
		const char *name;
		unsigned parts;
	} extensions[] = { { "hash", SCRIPT_HASH }, { "manual", SCRIPT_MANUAL },
		{ "outbound-links", 0 }, { "file-downloads", 0 }, { "tagged-events", 0 },
		{ "local", 0 }, { "exclusions", 0 }, { "compat", 0 }, { "revenue", 0 },
		{ "pageview-props", 0 }, { "pageleave", 0 } };
	struct span base;

	if (!span_ends_with(file, SPAN(SUFFIX)))
		return false;
	file.len -= sizeof SUFFIX - 1;
	base = cut(&file, '.');
	if (!span_equals(base, SPAN("script")) && !span_equals(base, SPAN("plausible")))
		return false;
	*parts = SCRIPT_NAMED | SCRIPT_DEFAULT;
	while (file.len) {
		struct span extension = cut(&file, '.');
		size_t i = 0, count = sizeof extensions / sizeof *extensions;

		while (i < count && !span_equals(extension, span_of(extensions[i].name)))
			i++;
		if (i == count)
			return false;
		*parts |= extensions[i].parts;
	}
	return true;
}

/* What a site's script has today. */
static unsigned parts_of_site(struct intake *in, const struct site *site)
{
	unsigned parts = site->script | (site->honours_dnt ? SCRIPT_DNT : 0);
	struct err err = { 0 };
	struct day day;

	/* Without a day nothing is counted either; the id stays as it is. */
	if (days_find(in->days, site->zone, clock_now_us(), &day, &err))
		return parts;
	return parts | (site_is_persistent(site, day.date) ? SCRIPT_VISITOR : SCRIPT_FORGET);
}

static void answer(struct http_request *req, struct span script)
{
	char hash[SECRET_HASH_HEX_SIZE], etag[ETAG_HEX + 3];
	struct span known = http_header(req, "If-None-Match");
	bool same;

	secret_hash_hex(script, hash);
	snprintf(etag, sizeof etag, "\"%.*s\"", ETAG_HEX, hash);
	/* One of a list, weak or not: a proxy that compresses makes it weak. */
	same = memmem(known.ptr, known.len, etag, strlen(etag)) != NULL;
	http_add_header(req, "Cache-Control", CACHE_TEXT);
	http_add_header(req, "ETag", etag);
	http_add_header(req, "Access-Control-Allow-Origin", "*"); /* tags with crossorigin */
	http_add_header(req, "Cross-Origin-Resource-Policy", "cross-origin");
	http_add_header(req, "X-Content-Type-Options", "nosniff");
	http_answer(req, same ? 304 : 200, "text/javascript; charset=utf-8", script);
}

/* By its property id only: a domain here would let anyone ask which sites there are. */
void script_get(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct span file = span_from(http_path(req), sizeof PREFIX - 1), name = file;
	struct span site_name = { 0 }, script;
	struct err err = { 0 };
	struct site site;
	unsigned parts;

	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	if (!script_is_named(file, &parts)) {
		name.len -= span_ends_with(file, SPAN(SUFFIX)) ? sizeof SUFFIX - 1 : 0;
		if (name.len == file.len || name.len != PROPERTY_ID_SIZE - 1 ||
			!snapshot_site(in->snapshot, name, &site)) {
			http_answer_error(req, 404, "there is no such script");
			return;
		}
		parts = parts_of_site(in, &site);
		site_name = span_of(site.property_id);
	}
	if (script_make(&script, in->tracker, parts, site_name)) {
		http_answer_error(req, 500, "no memory");
		return;
	}
	answer(req, script);
	script_free(&script);
}
