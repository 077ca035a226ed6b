#include "services/query/request.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "lib/json.h"

#define VALUES_MOST 4000 /* of a body */

/* A key of an object: who reads its value (NULL when absent) into the request. */
struct key {
	const char *name;
	int (*read)(struct request *req, json_t *value, struct err *err);
};

static struct span json_span(const json_t *string)
{
	return (struct span){ json_string_value(string), json_string_length(string) };
}

/* Refuse keys that are not in the list, then read all keys in the list's order. */
static int keys_read(struct request *req, json_t *object, const char *where, const struct key *keys,
	struct err *err)
{
	const char *name;
	json_t *value;
	int rc = 0;

	json_object_foreach(object, name, value)
	{
		const struct key *key = keys;

		while (key->name && strcmp(key->name, name) != 0)
			key++;
		if (!key->name)
			return err_set(
				err, -EINVAL, "the key \"%.100s\" is not known%s", name, where);
	}
	for (const struct key *key = keys; key->name && !rc; key++)
		rc = key->read(req, json_object_get(object, key->name), err);
	return rc;
}

static int read_site(struct request *req, json_t *value, struct err *err)
{
	if (!json_is_string(value) || !json_string_length(value))
		return err_set(err, -EINVAL, "site_id must be a domain or a property id");
	if (json_string_length(value) >= sizeof req->site)
		return err_set(
			err, -EINVAL, "site_id has more than %zu bytes", sizeof req->site - 1);
	snprintf(req->site, sizeof req->site, "%s", json_string_value(value));
	return 0;
}

/* NULL: *err says why. */
static const struct metric *metric_read(const json_t *word, struct err *err)
{
	const struct metric *metric = json_is_string(word) ? metric_find(json_span(word)) : NULL;

	if (metric && metric->expr)
		return metric;
	if (!json_is_string(word))
		err_set(err, -EINVAL, "metrics must be an array of texts");
	else
		err_set(err, -EINVAL, "the metric \"%.100s\" is not %s", json_string_value(word),
			metric ? "supported yet" : "known");
	return NULL;
}

static int read_metrics(struct request *req, json_t *value, struct err *err)
{
	size_t i;
	json_t *word;

	if (!json_array_size(value))
		return err_set(err, -EINVAL, "metrics must be an array of at least one metric");
	json_array_foreach(value, i, word)
	{
		const struct metric *metric = metric_read(word, err);

		if (!metric)
			return -EINVAL;
		for (int k = 0; k < req->metric_count; k++)
			if (req->metrics[k] == metric)
				return err_set(err, -EINVAL, "the metric \"%s\" is named twice",
					metric->name);
		assert(req->metric_count < METRICS_MOST); /* each of the table at most once */
		req->metrics[req->metric_count++] = metric;
	}
	return 0;
}

static int read_range(struct request *req, json_t *value, struct err *err)
{
	return range_parse(&req->range, value, err);
}

/* NULL: *err says why. */
static const struct dimension *dimension_read(const json_t *word, struct err *err)
{
	const struct dimension *dimension =
		json_is_string(word) ? dimension_find(json_span(word)) : NULL;

	if (dimension && dimension->column)
		return dimension;
	if (!json_is_string(word))
		err_set(err, -EINVAL, "dimensions must be an array of texts");
	else
		err_set(err, -EINVAL, "the dimension \"%.100s\" is not %s", json_string_value(word),
			dimension ? "supported yet" : "known");
	return NULL;
}

static int dimension_add(struct request *req, const struct dimension *dimension, struct err *err)
{
	if (req->dimension_count == REQUEST_DIMENSIONS_MOST)
		return err_set(
			err, -EINVAL, "there are more than %d dimensions", REQUEST_DIMENSIONS_MOST);
	for (int i = 0; i < req->dimension_count; i++) {
		if (req->dimensions[i] == dimension)
			return err_set(err, -EINVAL, "the dimension \"%s\" is named twice",
				dimension->name);
		if (req->dimensions[i]->level == LEVEL_TIME && dimension->level == LEVEL_TIME)
			return err_set(err, -EINVAL, "there is more than one time dimension");
	}
	req->dimensions[req->dimension_count++] = dimension;
	return 0;
}

static int read_dimensions(struct request *req, json_t *value, struct err *err)
{
	size_t i;
	json_t *word;

	if (value && !json_is_array(value))
		return err_set(err, -EINVAL, "dimensions must be an array");
	json_array_foreach(value, i, word)
	{
		const struct dimension *dimension = dimension_read(word, err);

		if (!dimension || dimension_add(req, dimension, err))
			return -EINVAL;
	}
	return 0;
}

static int read_filters(struct request *req, json_t *value, struct err *err)
{
	(void)req;
	if (value && !json_is_array(value))
		return err_set(err, -EINVAL, "filters must be an array");
	if (json_array_size(value))
		return err_set(err, -EINVAL, "filters are not supported yet");
	return 0;
}

/* The metric or dimension of an entry of order_by, which must be one of the query's. */
static bool order_find(struct order *out, const struct request *req, struct span word)
{
	for (int i = 0; i < req->metric_count; i++)
		if (span_equals(word, span_of(req->metrics[i]->name))) {
			*out = (struct order){ .index = i };
			return true;
		}
	for (int i = 0; i < req->dimension_count; i++)
		if (span_equals(word, span_of(req->dimensions[i]->name))) {
			*out = (struct order){ .by_dimension = true, .index = i };
			return true;
		}
	return false;
}

static int order_read(struct request *req, const json_t *entry, struct err *err)
{
	const json_t *word = json_array_get(entry, 0);
	const char *way = json_string_value(json_array_get(entry, 1));
	struct order order;

	if (json_array_size(entry) != 2 || !json_is_string(word) || !way ||
		(strcmp(way, "asc") != 0 && strcmp(way, "desc") != 0))
		return err_set(err, -EINVAL,
			"an entry of order_by must be [metric or dimension, \"asc\" or \"desc\"]");
	if (!order_find(&order, req, json_span(word)))
		return err_set(err, -EINVAL,
			"order_by names \"%.100s\", which is no metric or dimension of the query",
			json_string_value(word));
	if (req->order_count == REQUEST_ORDER_MOST)
		return err_set(
			err, -EINVAL, "order_by has more than %d entries", REQUEST_ORDER_MOST);
	order.descending = !strcmp(way, "desc");
	req->order[req->order_count++] = order;
	return 0;
}

/* Without order_by: the earliest first, then what has most of the first metric. */
static void order_default(struct request *req)
{
	int time = request_time_dimension(req);

	if (time >= 0)
		req->order[req->order_count++] = (struct order){ true, time, false };
	req->order[req->order_count++] = (struct order){ false, 0, true };
}

static int read_order(struct request *req, json_t *value, struct err *err)
{
	size_t i;
	json_t *entry;
	int rc = 0;

	if (value && !json_is_array(value))
		return err_set(err, -EINVAL, "order_by must be an array");
	json_array_foreach(value, i, entry)
	{
		rc = order_read(req, entry, err);
		if (rc)
			return rc;
	}
	if (!json_array_size(value))
		order_default(req);
	return 0;
}

static int flag_read(bool *out, const char *name, json_t *value, struct err *err)
{
	if (value && !json_is_boolean(value))
		return err_set(err, -EINVAL, "include.%s must be true or false", name);
	*out = json_is_true(value);
	return 0;
}

static int read_time_labels(struct request *req, json_t *value, struct err *err)
{
	int rc = flag_read(&req->time_labels, "time_labels", value, err);

	if (!rc && req->time_labels && request_time_dimension(req) < 0)
		return err_set(err, -EINVAL, "include.time_labels needs a time dimension");
	return rc;
}

static int read_total_rows(struct request *req, json_t *value, struct err *err)
{
	return flag_read(&req->total_rows, "total_rows", value, err);
}

static int read_imports(struct request *req, json_t *value, struct err *err)
{
	return flag_read(&req->imports, "imports", value, err);
}

static int read_trim(struct request *req, json_t *value, struct err *err)
{
	return flag_read(&req->trim, "trim_relative_date_range", value, err);
}

static int read_bots(struct request *req, json_t *value, struct err *err)
{
	return flag_read(&req->bots, "bots", value, err);
}

static int read_comparisons(struct request *req, json_t *value, struct err *err)
{
	(void)req;
	return value ? err_set(err, -EINVAL, "include.comparisons is not supported yet") : 0;
}

static int read_include(struct request *req, json_t *value, struct err *err)
{
	static const struct key keys[] = { { "time_labels", read_time_labels },
		{ "total_rows", read_total_rows }, { "imports", read_imports },
		{ "trim_relative_date_range", read_trim }, { "bots", read_bots },
		{ "comparisons", read_comparisons }, { 0 } };

	if (value && !json_is_object(value))
		return err_set(err, -EINVAL, "include must be an object");
	return keys_read(req, value, " in include", keys, err);
}

static int number_read(int64_t *out, const char *name, json_t *value, int64_t least, int64_t most,
	int64_t fallback, struct err *err)
{
	*out = value ? json_integer_value(value) : fallback;
	if (value && (!json_is_integer(value) || *out < least || *out > most))
		return err_set(err, -EINVAL,
			"pagination.%s must be a whole number from %" PRId64 " to %" PRId64, name,
			least, most);
	return 0;
}

static int read_limit(struct request *req, json_t *value, struct err *err)
{
	return number_read(
		&req->limit, "limit", value, 1, REQUEST_LIMIT_MOST, REQUEST_LIMIT_MOST, err);
}

static int read_offset(struct request *req, json_t *value, struct err *err)
{
	return number_read(&req->offset, "offset", value, 0, REQUEST_OFFSET_MOST, 0, err);
}

static int read_pagination(struct request *req, json_t *value, struct err *err)
{
	static const struct key keys[] = { { "limit", read_limit }, { "offset", read_offset },
		{ 0 } };

	if (value && !json_is_object(value))
		return err_set(err, -EINVAL, "pagination must be an object");
	return keys_read(req, value, " in pagination", keys, err);
}

/* What visits were like cannot be told of an event, save of the page they entered by. */
static int metrics_fit_dimensions(const struct request *req, struct err *err)
{
	const struct metric *of_visits = NULL, *share = NULL;
	const struct dimension *of_events = NULL;
	bool by_page = false;

	for (int i = 0; i < req->metric_count; i++) {
		if (req->metrics[i]->counts & COUNTS_STARTED)
			of_visits = req->metrics[i];
		if (req->metrics[i]->counts & COUNTS_SHARE)
			share = req->metrics[i];
	}
	for (int i = 0; i < req->dimension_count; i++) {
		const struct dimension *dimension = req->dimensions[i];

		if (dimension->level == LEVEL_PAGE)
			by_page = true;
		else if (dimension->level == LEVEL_EVENT && (!of_events || !dimension->entered))
			of_events = dimension;
	}
	if (by_page && of_events && of_events->entered) /* the host of the page */
		of_events = NULL;
	if (of_visits && of_events)
		return err_set(err, -EINVAL, "the metric \"%s\" cannot be told by \"%s\"",
			of_visits->name, of_events->name);
	if (share && !req->dimension_count)
		return err_set(err, -EINVAL, "the metric \"%s\" needs a dimension", share->name);
	return 0;
}

int request_parse(struct request *out, struct span body, struct err *err)
{
	/* In this order: what an order or a label may name is read before them. */
	static const struct key keys[] = { { "site_id", read_site }, { "metrics", read_metrics },
		{ "date_range", read_range }, { "dimensions", read_dimensions },
		{ "filters", read_filters }, { "order_by", read_order },
		{ "include", read_include }, { "pagination", read_pagination }, { 0 } };
	json_error_t bad;
	json_t *object;
	int rc;

	*out = (struct request){ 0 };
	if (!json_fits(body, VALUES_MOST))
		return err_set(err, -EINVAL, "the body has more than %d levels or %d values",
			JSON_LEVELS_MOST, VALUES_MOST);
	object = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &bad);
	if (json_is_object(object))
		rc = keys_read(out, object, "", keys, err);
	else if (object)
		rc = err_set(err, -EINVAL, "the body must be a JSON object");
	else
		rc = err_set(
			err, -EINVAL, "the body is not JSON: %s (line %d)", bad.text, bad.line);
	json_decref(object);
	return rc ? rc : metrics_fit_dimensions(out, err);
}

int request_time_dimension(const struct request *req)
{
	for (int i = 0; i < req->dimension_count; i++)
		if (req->dimensions[i]->level == LEVEL_TIME)
			return i;
	return -1;
}

void request_set_time_unit(struct request *req, const char *unit)
{
	int time = request_time_dimension(req);

	if (time >= 0 && dimension_is_auto_time(req->dimensions[time]))
		req->dimensions[time] = dimension_of_unit(unit);
}

int request_counts(const struct request *req)
{
	int counts = 0;

	for (int i = 0; i < req->metric_count; i++)
		counts |= req->metrics[i]->counts;
	return counts;
}
