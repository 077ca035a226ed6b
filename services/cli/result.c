#include "services/cli/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"

#define CELL_TIME_SIZE 24
#define COLUMNS_MOST   16 /* more than any of our queries has */

/* Object identifiers of PostgreSQL's types, from its catalog/pg_type.dat. */
enum {
	OID_BOOL = 16,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_JSON = 114,
	OID_TIMESTAMPTZ = 1184,
	OID_JSONB = 3802
};

/* A cell as text in buf; times as RFC 3339 to the second (our sessions are in UTC). */
static const char *cell_text(const PGresult *result, int row, int column, char buf[CELL_TIME_SIZE])
{
	const char *text = PQgetvalue(result, row, column);

	if (PQftype(result, column) != OID_TIMESTAMPTZ || strlen(text) < 19)
		return text;
	snprintf(buf, CELL_TIME_SIZE, "%.10sT%.8sZ", text, text + 11);
	return buf;
}

static json_t *result_cell(const PGresult *result, int row, int column)
{
	char buf[CELL_TIME_SIZE];
	const char *text = cell_text(result, row, column, buf);

	if (PQgetisnull(result, row, column))
		return json_null();
	switch (PQftype(result, column)) {
	case OID_BOOL:
		return json_boolean(text[0] == 't');
	case OID_INT2:
	case OID_INT4:
	case OID_INT8:
		return json_integer(pg_int(result, row, column));
	case OID_JSON:
	case OID_JSONB:
		return json_loads(text, JSON_DECODE_ANY, NULL);
	default:
		return json_string(text);
	}
}

json_t *result_row(const PGresult *result, int row)
{
	json_t *object = json_object();

	for (int c = 0; c < PQnfields(result); c++)
		if (json_object_set_new(object, PQfname(result, c), result_cell(result, row, c))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

int result_json(json_t *value, struct err *err)
{
	int rc = value ? json_dumpf(value, stdout,
				 JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6))
		       : err_set(err, -ENOMEM, "no memory for the answer");

	json_decref(value);
	if (rc == -ENOMEM)
		return rc;
	puts("");
	return rc ? err_set(err, -EIO, "the output could not be written") : 0;
}

/* Columns on the terminal: characters, not bytes. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_padded(const char *text, int width, bool last)
{
	fputs(text, stdout);
	for (int i = width_of(text); i < width + 2 && !last; i++)
		putchar(' ');
	if (last)
		putchar('\n');
}

static int column_width(const PGresult *result, int column)
{
	int width = width_of(PQfname(result, column));
	char buf[CELL_TIME_SIZE];

	for (int row = 0; row < PQntuples(result); row++) {
		int here = width_of(cell_text(result, row, column, buf));

		width = here > width ? here : width;
	}
	return width;
}

static void print_table(const PGresult *result)
{
	int columns = PQnfields(result) < COLUMNS_MOST ? PQnfields(result) : COLUMNS_MOST;
	int width[COLUMNS_MOST];
	char buf[CELL_TIME_SIZE];

	for (int c = 0; c < columns; c++)
		width[c] = column_width(result, c);
	for (int row = -1; row < PQntuples(result); row++)
		for (int c = 0; c < columns; c++)
			print_padded(row < 0 ? PQfname(result, c) : cell_text(result, row, c, buf),
				width[c], c == columns - 1);
}

int result_print(const PGresult *result, bool json, struct err *err)
{
	json_t *array;

	if (!json) {
		print_table(result);
		return 0;
	}
	array = json_array();
	for (int row = 0; row < PQntuples(result); row++)
		if (json_array_append_new(array, result_row(result, row))) {
			json_decref(array);
			array = NULL;
			break;
		}
	return result_json(array, err);
}

const char *result_count(char text[RESULT_COUNT_SIZE], unsigned long long number)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", number);
	char *out = text;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return text;
}
