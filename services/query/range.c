#include "services/query/range.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_S (60 * 60)
#define DAY_S  (24 * HOUR_S)

/* The year of the first event there can be, and one far beyond the last. */
#define YEAR_LEAST 1970
#define YEAR_MOST  2999

static bool range_refers(const char *word, const char *unit, int most, int *n)
{
	char *end;
	long number;

	if (*word < '1' || *word > '9')
		return false;
	number = strtol(word, &end, 10);
	if (strcmp(end, unit) != 0 || number > most)
		return false;
	*n = (int)number;
	return true;
}

static int range_parse_word(struct range *out, const char *word, struct err *err)
{
	static const char *const words[] = { "day", "24h", "month", "year", "all" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(word, words[i])) {
			out->kind = words[i];
			return 0;
		}
	if (range_refers(word, "d", RANGE_DAYS_MOST, &out->n)) {
		out->kind = "days";
		return 0;
	}
	if (range_refers(word, "mo", RANGE_MONTHS_MOST, &out->n)) {
		out->kind = "months";
		return 0;
	}
	return err_set(err, -EINVAL,
		"date_range \"%.100s\" is not known: give \"day\", \"24h\", \"7d\" or another "
		"number"
		" of days up to %d, \"6mo\" or another number of months up to %d, \"month\","
		" \"year\", \"all\", or an array of two dates or two times",
		word, RANGE_DAYS_MOST, RANGE_MONTHS_MOST);
}

/* Does text look like pattern, where 0 stands for a digit? Returns what follows, or NULL. */
static const char *pattern_skip(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++)
		if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
			return NULL;
	return text;
}

static int digits(const char *at, int count)
{
	int number = 0;

	while (count--)
		number = number * 10 + (*at++ - '0');
	return number;
}

static bool date_exists(const char *text)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return year >= YEAR_LEAST && year <= YEAR_MOST && month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] + (month == 2 && leap);
}

bool range_is_date(const char *text)
{
	const char *rest = pattern_skip(text, "0000-00-00");

	return rest && !*rest && date_exists(text);
}

/* RFC 3339: a date, "T", a time of day, maybe with a fraction, and "Z" or an offset. */
static bool is_time(const char *text)
{
	const char *rest = pattern_skip(text, "0000-00-00T00:00:00"), *offset;

	if (!rest || strlen(text) >= RANGE_TEXT_SIZE || !date_exists(text) ||
		digits(text + 11, 2) > 23 || digits(text + 14, 2) > 59 || digits(text + 17, 2) > 59)
		return false;
	if (*rest == '.') {
		rest++;
		rest += strspn(rest, "0123456789");
	}
	if (!strcmp(rest, "Z"))
		return true;
	offset = pattern_skip(rest, "+00:00");
	if (!offset)
		offset = pattern_skip(rest, "-00:00");
	return offset && !*offset && digits(rest + 1, 2) <= 14 && digits(rest + 4, 2) <= 59;
}

static int range_parse_pair(struct range *out, const json_t *value, struct err *err)
{
	const char *from = json_string_value(json_array_get(value, 0));
	const char *to = json_string_value(json_array_get(value, 1));

	if (json_array_size(value) != 2 || !from || !to)
		return err_set(err, -EINVAL, "a date_range that is an array has two texts");
	if (range_is_date(from) && range_is_date(to))
		out->kind = "dates";
	else if (is_time(from) && is_time(to))
		out->kind = "times";
	else
		return err_set(err, -EINVAL,
			"date_range [\"%.60s\", \"%.60s\"] is neither two dates as in"
			" \"2026-01-31\" nor two times as in \"2026-01-31T12:00:00+01:00\"",
			from, to);
	if (!strcmp(out->kind, "dates") && strcmp(from, to) > 0)
		return err_set(err, -EINVAL, "date_range ends before it begins");
	snprintf(out->from, sizeof out->from, "%s", from);
	snprintf(out->to, sizeof out->to, "%s", to);
	return 0;
}

int range_parse(struct range *out, const json_t *value, struct err *err)
{
	*out = (struct range){ 0 };
	if (json_is_string(value))
		return range_parse_word(out, json_string_value(value), err);
	if (json_is_array(value))
		return range_parse_pair(out, value, err);
	return err_set(err, -EINVAL, "date_range must be a text or an array of two texts");
}

int period_resolve(struct period *out, PGconn *conn, const struct range *range, int64_t site_id,
	const char *zone, bool trim, struct err *err)
{
	static const char sql[] =
		"select build, zone, starts, ends, first_date, end_date, first_month, end_month,"
		" starts_iso, last_iso, whole_days, extract(epoch from ends - starts)::bigint,"
		" exists (select from visit_page v where v.site_id = $1::integer"
		" and v.build = r.build and v.visitor & 1 = 1)"
		" from report_range($1::integer, $2, $3, $4::integer, $5, $6, $7::boolean) r";
	char site[24], n[16];
	const char *const params[] = { site, zone, range->kind, n, range->from, range->to,
		trim ? "true" : "false" };
	char *const texts[] = { out->build, out->zone, out->starts, out->ends, out->first_date,
		out->end_date, out->first_month, out->end_month, out->starts_iso, out->last_iso };
	const int count = sizeof texts / sizeof *texts;
	PGresult *result = NULL;
	int rc;

	snprintf(site, sizeof site, "%" PRId64, site_id);
	snprintf(n, sizeof n, "%d", range->n);
	rc = pg_run_prepared(conn, &result, sql, 7, params, err);
	if (rc)
		return rc;
	for (int i = 0; i < count; i++)
		snprintf(texts[i], PERIOD_TEXT_SIZE, "%s", PQgetvalue(result, 0, i));
	out->whole_days = *PQgetvalue(result, 0, count) == 't';
	out->seconds = pg_int(result, 0, count + 1);
	out->some_persistent = *PQgetvalue(result, 0, count + 2) == 't';
	PQclear(result);
	return out->seconds > 0 ? 0 : err_set(err, -EINVAL, "date_range ends before it begins");
}

/* Whole intervals between the first and the last second, as the peers count them. */
static int64_t period_whole(const struct period *period, int64_t unit_s)
{
	return (period->seconds - 1) / unit_s;
}

const char *period_unit(const struct period *period)
{
	if (period_whole(period, HOUR_S) <= 48)
		return "hour";
	if (period_whole(period, DAY_S) <= 40)
		return "day";
	if (period_whole(period, 7 * DAY_S) <= 52)
		return "week";
	return "month";
}

int64_t period_intervals(const struct period *period, const char *unit)
{
	int64_t unit_s = !strcmp(unit, "hour")   ? HOUR_S
			 : !strcmp(unit, "day")  ? DAY_S
			 : !strcmp(unit, "week") ? 7 * DAY_S
						 : 30 * DAY_S;

	return period_whole(period, unit_s) + 1;
}
