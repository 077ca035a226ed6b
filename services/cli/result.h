/* What a subcommand found, for people as a table and for programs as JSON, from one query: the
 * names of its columns are the keys and the headings. */
#ifndef FOOTFALL_RESULT_H
#define FOOTFALL_RESULT_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>

#include "lib/err.h"

/* A row as an object, owned: numbers, booleans and json columns as such, null as null, the rest as
 * text. NULL: no memory. */
json_t *result_row(const PGresult *result, int row);

/* Print all rows: an array of objects, or a table. */
int result_print(const PGresult *result, bool json, struct err *err) MUST_CHECK;

/* Print one JSON value and a line break. Takes the reference; NULL is -ENOMEM. */
int result_json(json_t *value, struct err *err) MUST_CHECK;

/* number with commas between thousands, in a buffer of at least RESULT_COUNT_SIZE; returns it. */
#define RESULT_COUNT_SIZE 32
const char *result_count(char text[RESULT_COUNT_SIZE], unsigned long long number);

#endif
