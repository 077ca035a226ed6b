#include "services/query/counter.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/secret.h"
#include "lib/url.h"
#include "services/query/range.h"
#include "services/query/report.h"

#define PLACES     2048 /* of numbers that are kept; a further one takes the place of another */
#define KEPT_US    (60 * US_PER_SECOND)
#define CACHE_TEXT "public, max-age=300" /* for browsers and proxies */
#define PATH_MOST  2000                  /* bytes, as pages are stored */
#define STYLE_SIZE 2048
#define DATE_SIZE  64
#define COUNT_SIZE 64  /* 19 digits, 6 blanks of 3 bytes */
#define HOST_SIZE  256 /* a name of a site, without or with its port */

/* What stands between thousands there by default: U+202F, narrow no-break space. */
#define BLANK "\xe2\x80\xaf"

enum found { FOUND_NOTHING, FOUND_PAGE, FOUND_REFUSED };

struct number {
	int64_t key; /* 0: the place is free */
	int64_t ends_mono_us;
	int64_t count;
	enum found found;
};

struct counter {
	pthread_mutex_t lock;     /* of numbers */
	unsigned char secret[32]; /* of keys: nobody can look for two questions with the same */
	struct number numbers[PLACES];
};

/* What is asked, as it came. */
struct asked {
	char property_id[40];                       /* "": the site of the host */
	char host[HOST_SIZE], bare_host[HOST_SIZE]; /* lower case, without "www."; without port */
	bool total;
	char path[PATH_MOST + 1]; /* of the page */
	const char *extension;    /* "json", "html", "svg" */
	char start[DATE_SIZE], end[DATE_SIZE];
	char style[STYLE_SIZE];
	bool plain; /* without our name */
};

int counter_open(struct counter **out, struct err *err)
{
	struct counter *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(err, -ENOMEM, "counter");
	pthread_mutex_init(&c->lock, NULL);
	randombytes_buf(c->secret, sizeof c->secret);
	*out = c;
	return 0;
}

void counter_close(struct counter **c_p)
{
	struct counter *c = *c_p;

	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
	*c_p = NULL;
}

/* --- what is asked ------------------------------------------------------------------------------
 */

/* A host as sites are named: in lower case, without "www.". */
static void read_host(struct asked *asked, struct span host)
{
	size_t port;

	if (span_equals_nocase(span_first(host, 4), SPAN("www.")))
		host = span_from(host, 4);
	if (host.len >= HOST_SIZE)
		host.len = 0;
	for (size_t i = 0; i < host.len; i++)
		asked->host[i] =
			(char)(host.ptr[i] >= 'A' && host.ptr[i] <= 'Z' ? host.ptr[i] + ('a' - 'A')
									: host.ptr[i]);
	asked->host[host.len] = '\0';
	port = span_find(host, ':');
	snprintf(asked->bare_host, HOST_SIZE, "%.*s", (int)port, asked->host);
}

/* The page of a path as the URL has it: GoatCounter's script appends the page's own query, and
 * "/", which stands at the beginning of each, may be there or not. */
static int read_path(struct asked *asked, struct span path, struct err *err)
{
	path = span_first(path, span_find(path, '?'));
	while (path.len && path.ptr[0] == '/')
		path = span_from(path, 1);
	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	if (path.len >= PATH_MOST)
		return err_set(err, -EINVAL, "the path has more than %d bytes", PATH_MOST);
	snprintf(asked->path, sizeof asked->path, "/%.*s", (int)path.len, path.ptr);
	return 0;
}

static int read_extension(struct asked *asked, struct span *name, struct err *err)
{
	static const char *const extensions[] = { ".json", ".html", ".svg" };

	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
		if (span_ends_with(*name, span_of(extensions[i]))) {
			name->len -= strlen(extensions[i]);
			asked->extension = extensions[i] + 1;
			return 0;
		}
	return err_set(
		err, -EINVAL, "give the path of a page, or TOTAL, as PATH.json, .html or .svg");
}

static int read_params(struct asked *asked, const struct http_request *req, struct err *err)
{
	static const char *const words[] = { "week", "month", "year" };
	char flag[2];
	bool is_word = false;

	http_param(req, "start", asked->start, sizeof asked->start);
	http_param(req, "end", asked->end, sizeof asked->end);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		is_word |= !strcmp(asked->start, words[i]);
	if (*asked->start && !is_word && !range_is_date(asked->start))
		return err_set(err, -EINVAL,
			"start is a date as 2026-01-31, or week, month or year: since so long ago");
	if (*asked->end && !range_is_date(asked->end))
		return err_set(err, -EINVAL, "end is a date as 2026-01-31");
	http_param(req, "no_branding", flag, sizeof flag);
	asked->plain = *flag; /* also of a value that does not fit */
	return 0;
}

static int read_style(struct asked *asked, const struct http_request *req, struct err *err)
{
	if (!http_param(req, "style", asked->style, sizeof asked->style) && *asked->style)
		return err_set(err, -EINVAL, "style has more than %d bytes", STYLE_SIZE - 1);
	/* In HTML nothing else ends a style, and no escape would be read in it. */
	if (strchr(asked->style, '<'))
		return err_set(err, -EINVAL, "style is CSS without \"<\"");
	return 0;
}

static int asked_read(struct asked *asked, const struct http_request *req, struct err *err)
{
	static const struct span after = { "counter/", 8 };
	struct span path = span_from(http_path(req), 1), name;
	int rc;

	*asked = (struct asked){ .extension = "" };
	if (!span_starts_with(path, after)) {
		snprintf(asked->property_id, sizeof asked->property_id, "%.*s",
			(int)span_find(path, '/'), path.ptr);
		path = span_from(path, span_find(path, '/') + 1);
	} else {
		read_host(asked, http_header(req, "Host"));
	}
	name = span_from(path, after.len);
	rc = read_extension(asked, &name, err);
	asked->total = span_equals(name, SPAN("TOTAL"));
	if (!rc)
		rc = read_path(asked, name, err);
	if (!rc)
		rc = read_params(asked, req, err);
	return rc ? rc : read_style(asked, req, err);
}

/* --- the number ---------------------------------------------------------------------------------
 */

/* The site, if it shows its numbers. One that does not, and one that is not, look the same: or
 * anybody could ask which sites there are. */
static const char site_sql[] =
	"select id from site where counter and case when $1::text <> '' then property_id = "
	"case when $1 ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $1::uuid end "
	"else domain in ($2, $3) or exists (select from site_alias a where a.site_id = site.id "
	"and a.value in ($2, $3)) end order by domain = $2 desc limit 1";

/* Of whole months, and of the days around them, each looked up by its key: so it takes as long for
 * a site of many pages, and for a page that there never was. (Subqueries stay what they are; as
 * joins, the rows of all pages would be read.) Whether there ever was such a page, months tell. */
static const char number_sql[] =
	"with bounds as materialized ("
	" select s.build, (now() at time zone s.zone)::date as today, (select min(day) from "
	"rollup_day r where r.site_id = s.site_id and r.build = s.build and dimension = 0) as first"
	" from site s where s.site_id = $1::integer"
	"), asked as ("
	" select *, greatest(first, case $5 when '' then first when 'week' then today - 7 "
	"when 'month' then today - 30 when 'year' then today - 365 else $5::date end) as starts, "
	"least(today, nullif($6, '')::date) + 1 as ends from bounds"
	"), cut as ("
	" select *, least(date_trunc('month', starts + interval '1 month - 1 day')::date, ends) "
	"as first_month from asked"
	"), range as materialized ("
	" select *, greatest(date_trunc('month', ends::timestamp)::date, first_month) as end_month "
	"from cut"
	"), part as ("
	" select build, n::date as day, false as is_month from range, "
	"generate_series(starts, first_month - 1, interval '1 day') n"
	" union all select build, n::date, true from range, "
	"generate_series(first_month, end_month - 1, interval '1 month') n"
	" union all select build, n::date, false from range, "
	"generate_series(end_month, ends - 1, interval '1 day') n"
	") select coalesce((select sum(case when is_month then "
	"(select sum(visitors) from rollup_month r where r.site_id = $1::integer and "
	"r.build = part.build and r.dimension = $2::smallint and r.month = part.day and "
	"r.value in ($3::bigint, $4::bigint)) else "
	"(select sum(visitors) from rollup_day r where r.site_id = $1::integer and "
	"r.build = part.build and r.dimension = $2::smallint and r.day = part.day and "
	"r.value in ($3::bigint, $4::bigint)) end) from part), 0)::bigint, "
	"coalesce((select bool_or((select count(*) > 0 from rollup_month r where "
	"r.site_id = $1::integer and r.build = range.build and r.dimension = $2::smallint and "
	"r.month = n::date and r.value in ($3::bigint, $4::bigint))) from range, "
	"generate_series(date_trunc('month', first::timestamp), today, interval '1 month') n), "
	"false)";

static int64_t page_id(const char *path)
{
	return id64(path, strlen(path), NULL, 0);
}

/* A page may be asked for as it is, or once more with the escapes of a URL. */
static int64_t decoded_page_id(const char *path)
{
	char decoded[PATH_MOST + 1];
	struct span page = url_decode(decoded, span_of(path), false);

	return id64(page.ptr, page.len, NULL, 0);
}

struct question {
	const struct asked *asked;
	const char *site_id;
	struct number *number;
};

static int number_read(void *what, PGconn *conn, struct err *err)
{
	const struct question *q = what;
	char page[24] = "0", decoded[24] = "0";
	const char *const params[] = { q->site_id, q->asked->total ? "0" : "1", page, decoded,
		q->asked->start, q->asked->end };
	PGresult *rows;
	int rc;

	if (!q->asked->total) {
		snprintf(page, sizeof page, "%" PRId64, page_id(q->asked->path));
		snprintf(decoded, sizeof decoded, "%" PRId64, decoded_page_id(q->asked->path));
	}
	rc = pg_run(conn, &rows, number_sql, 6, params, err);
	if (rc)
		return rc;
	q->number->count = pg_int(rows, 0, 0);
	q->number->found =
		q->asked->total || PQgetvalue(rows, 0, 1)[0] == 't' ? FOUND_PAGE : FOUND_NOTHING;
	PQclear(rows);
	return 0;
}

static int number_ask(
	struct number *number, struct query *query, const struct asked *asked, struct err *err)
{
	const char *const params[] = { asked->property_id, asked->host, asked->bare_host };
	PGresult *site = NULL;
	int rc = pg_pool_run(query->app_db, &site, site_sql, 3, params, err);

	if (rc)
		return rc;
	number->found = FOUND_REFUSED;
	if (PQntuples(site)) {
		struct question q = { asked, PQgetvalue(site, 0, 0), number };

		rc = query_read(query, number_read, &q, err);
	}
	PQclear(site);
	return rc;
}

static int64_t asked_key(const struct asked *asked, const struct counter *c)
{
	char text[sizeof *asked];
	int len = snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%d%s", asked->property_id,
		asked->host, asked->start, asked->end, asked->total, asked->path);

	return id64(text, (size_t)len, c->secret, sizeof c->secret);
}

/* The number, from memory or the databases. Errors are pg.h's. */
static int counter_number(struct number *out, struct counter *c, struct query *query,
	const struct asked *asked, struct err *err)
{
	int64_t key = asked_key(asked, c), now = clock_mono_us();
	struct number *place = &c->numbers[(uint64_t)key % PLACES];
	int rc;

	pthread_mutex_lock(&c->lock);
	*out = *place;
	pthread_mutex_unlock(&c->lock);
	if (out->key == key && out->ends_mono_us > now)
		return 0;
	*out = (struct number){ .key = key, .ends_mono_us = now + KEPT_US };
	rc = number_ask(out, query, asked, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->lock);
	*place = *out;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

/* "1 234 567" */
static void count_text(char text[COUNT_SIZE], int64_t count)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%" PRId64, count);
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, COUNT_SIZE - len, "%s%c",
			i && (n - i) % 3 == 0 ? BLANK : "", digits[i]);
}

/* The names are GoatCounter's, so that a style made for its counter fits ours. */
static const char html[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Visitors</title>\n"
	"<style>\n"
	"body { margin: 0; background-color: #fff; }\n"
	"div { width: 196px; height: %dpx; border: 2px solid #14532d; border-radius: 2px; "
	"text-align: center; line-height: 1.35; overflow: hidden; color: #14532d; "
	"font: bold 16px sans-serif; }\n"
	"#gcvc-views { font-size: 22px; }\n#gcvc-by { font-size: 14px; }\n%s\n</style>\n"
	"<div><span id=\"gcvc-for\">Visitors of this %s:</span><br>"
	"<span id=\"gcvc-views\">%s</span>%s</div>\n</html>\n";
static const char html_by[] = "<br><span id=\"gcvc-by\">counted by Footfall</span>";

static const char svg[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"%d\" viewBox=\"0 0 200 "
	"%d\">\n<style>\n"
	"#gcvc-border { fill: #fff; stroke: #14532d; stroke-width: 1.4; }\n"
	"#gcvc { fill: #14532d; font-family: sans-serif; font-weight: bold; }\n"
	"#gcvc-for { font-size: 16px; }\n#gcvc-views { font-size: 22px; }\n"
	"#gcvc-by { font-size: 14px; }\n%s\n</style>\n"
	"<rect id=\"gcvc-border\" x=\"0.7\" y=\"0.7\" width=\"198\" height=\"%d\"/>\n"
	"<g id=\"gcvc\" text-anchor=\"middle\">\n"
	"<text id=\"gcvc-for\" x=\"50%%\" y=\"18\">Visitors of this %s:</text>\n"
	"<text id=\"gcvc-views\" x=\"50%%\" y=\"48\">%s</text>\n%s</g>\n</svg>\n";
static const char svg_by[] = "<text id=\"gcvc-by\" x=\"50%\" y=\"70\">counted by Footfall</text>\n";

/* Text as XML has it, cut where it does not fit any more. */
static void xml_escape(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text; text++) {
		const char *as = *text == '&'   ? "&amp;"
				 : *text == '<' ? "&lt;"
				 : *text == '>' ? "&gt;"
						: NULL;
		unsigned char byte = (unsigned char)*text;

		if (len + 6 > size)
			break;
		if (as)
			len += (size_t)snprintf(out + len, size - len, "%s", as);
		else if (byte >= 0x20 || byte == '\n' || byte == '\t') /* XML knows no others */
			out[len++] = *text;
	}
	out[len] = '\0';
}

/* Nothing is loaded and nothing runs, whatever style somebody puts into a link. */
static void answer_picture(
	struct http_request *req, int status, const struct asked *asked, const char *count)
{
	const char *of = asked->total ? "site" : "page";
	int height = asked->plain ? 60 : 80, len;
	char style[5 * STYLE_SIZE + 1], text[sizeof svg + sizeof html + sizeof style + 256];
	bool is_svg = !strcmp(asked->extension, "svg");

	if (is_svg) {
		xml_escape(style, sizeof style, asked->style);
		len = snprintf(text, sizeof text, svg, height, height, style, height - 2, of, count,
			asked->plain ? "" : svg_by);
	} else {
		len = snprintf(text, sizeof text, html, height - 4, asked->style, of, count,
			asked->plain ? "" : html_by);
	}
	http_add_header(req, "Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "
		"'none'; sandbox");
	http_answer(req, status, is_svg ? "image/svg+xml" : "text/html; charset=utf-8",
		(struct span){ text, (size_t)len });
}

static void answer_number(
	struct http_request *req, const struct asked *asked, const struct number *number)
{
	int status = number->found == FOUND_PAGE ? 200 : 404, len;
	char count[COUNT_SIZE], text[2 * COUNT_SIZE + 40];

	count_text(count, number->count);
	http_add_header(req, "Cache-Control", CACHE_TEXT);
	if (strcmp(asked->extension, "json") != 0) {
		answer_picture(req, status, asked, count);
		return;
	}
	len = snprintf(
		text, sizeof text, "{\"count_unique\":\"%s\",\"count\":\"%s\"}", count, count);
	http_answer(req, status, "application/json", (struct span){ text, (size_t)len });
}

void counter_get(struct http_request *req, void *service)
{
	struct query *query = service;
	struct err err = { 0 };
	struct number number;
	struct asked asked;
	int rc = asked_read(&asked, req, &err);

	http_add_header(req, "Access-Control-Allow-Origin", "*");
	http_add_header(req, "Cross-Origin-Resource-Policy", "cross-origin");
	http_add_header(req, "X-Content-Type-Options", "nosniff");
	if (!rc)
		rc = counter_number(&number, query->counter, query, &asked, &err);
	if (!rc && number.found == FOUND_REFUSED)
		rc = err_set(&err, -EPERM, "the site does not allow its numbers to be shown");
	if (rc) {
		http_add_header(req, "Cache-Control", "no-store");
		query_answer_failure(query, req, rc, &err);
		return;
	}
	answer_number(req, &asked, &number);
	query_answered(query);
}
