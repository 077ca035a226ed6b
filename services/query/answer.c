#include "services/query/answer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A text as JSON. The database holds UTF-8 only, so jansson takes it. */
static void write_text(FILE *out, const char *text)
{
	json_t *string = json_string(text);

	if (!string || json_dumpf(string, out, JSON_ENCODE_ANY))
		fputs("null", out);
	json_decref(string);
}

/* Metrics are numbers as PostgreSQL prints them, which JSON reads the same. */
static void write_row(FILE *out, const struct answer_parts *parts, int row)
{
	int dimensions = parts->req->dimension_count;

	fputs("{\"metrics\":[", out);
	for (int i = 0; i < parts->req->metric_count; i++)
		fprintf(out, "%s%s", i ? "," : "",
			PQgetisnull(parts->rows, row, dimensions + i)
				? "null"
				: PQgetvalue(parts->rows, row, dimensions + i));
	fputs("],\"dimensions\":[", out);
	for (int i = 0; i < dimensions; i++) {
		fputs(i ? "," : "", out);
		write_text(out, PQgetvalue(parts->rows, row, i));
	}
	fputs("]}", out);
}

static void write_results(FILE *out, const struct answer_parts *parts)
{
	int here = parts->req->dimension_count + parts->req->metric_count;

	fputs("\"results\":[", out);
	for (int row = 0; row < PQntuples(parts->rows); row++) {
		if (parts->req->total_rows && PQgetisnull(parts->rows, row, here))
			break;
		fputs(row ? "," : "", out);
		write_row(out, parts, row);
	}
	fputs("]", out);
}

static void write_meta(FILE *out, const struct answer_parts *parts)
{
	const char *comma = "";

	fputs(",\"meta\":{", out);
	if (parts->req->imports) {
		fputs("\"imports_included\":false,\"imports_skip_reason\":\"no_imported_data\"",
			out);
		comma = ",";
	}
	if (parts->labels) {
		fprintf(out, "%s\"time_labels\":[", comma);
		for (int i = 0; i < PQntuples(parts->labels); i++) {
			fputs(i ? "," : "", out);
			write_text(out, PQgetvalue(parts->labels, i, 0));
		}
		fputs("]", out);
		comma = ",";
	}
	if (parts->req->total_rows)
		fprintf(out, "%s\"total_rows\":%s", comma,
			PQgetvalue(parts->rows, 0, PQnfields(parts->rows) - 1));
	fputs("}", out);
}

static const char *order_name(const struct request *req, const struct order *order)
{
	return order->by_dimension ? req->dimensions[order->index]->name
				   : req->metrics[order->index]->name;
}

/* Words of our own tables need no escapes. */
static void write_words(FILE *out, const struct request *req)
{
	fputs(",\"filters\":[],\"dimensions\":[", out);
	for (int i = 0; i < req->dimension_count; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", req->dimensions[i]->name);
	fputs("],\"order_by\":[", out);
	for (int i = 0; i < req->order_count; i++)
		fprintf(out, "%s[\"%s\",\"%s\"]", i ? "," : "", order_name(req, &req->order[i]),
			req->order[i].descending ? "desc" : "asc");
	fputs("]", out);
}

static void write_include(FILE *out, const struct request *req)
{
	const struct {
		const char *name;
		bool on;
	} flags[] = { { "bots", req->bots }, { "imports", req->imports },
		{ "time_labels", req->time_labels }, { "total_rows", req->total_rows },
		{ "trim_relative_date_range", req->trim } };
	const char *comma = "";

	fputs(",\"include\":{", out);
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (flags[i].on) {
			fprintf(out, "%s\"%s\":true", comma, flags[i].name);
			comma = ",";
		}
	fputs("}", out);
}

static void write_query(FILE *out, const struct answer_parts *parts)
{
	const struct request *req = parts->req;

	fputs(",\"query\":{\"site_id\":", out);
	write_text(out, parts->domain);
	fputs(",\"metrics\":[", out);
	for (int i = 0; i < req->metric_count; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", req->metrics[i]->name);
	fprintf(out, "],\"date_range\":[\"%s\",\"%s\"]", parts->period->starts_iso,
		parts->period->last_iso);
	write_words(out, req);
	write_include(out, req);
	fprintf(out, ",\"pagination\":{\"limit\":%" PRId64 ",\"offset\":%" PRId64 "}}", req->limit,
		req->offset);
}

int answer_write(char **text, size_t *len, const struct answer_parts *parts, struct err *err)
{
	FILE *out = open_memstream(text, len);
	bool failed;

	if (!out)
		return err_set(err, -ENOMEM, "no memory for an answer");
	fputs("{", out);
	write_results(out, parts);
	write_meta(out, parts);
	write_query(out, parts);
	fputs("}", out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(*text);
		*text = NULL;
		return err_set(err, -ENOMEM, "no memory for an answer");
	}
	return 0;
}
