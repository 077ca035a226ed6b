#include "lib/iso.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ISO_CODE_MOST 6 /* "GB-ENG": two letters and, after a hyphen, at most three more */

struct row {
	char code[ISO_CODE_MOST + 1];
	char *name; /* owned */
};

struct iso {
	struct row *rows; /* by code */
	size_t count;
};

static const struct {
	const char *file, *array, *code;
} parts[] = {
	[ISO_COUNTRIES] = { "iso_3166-1.json", "3166-1", "alpha_2" },
	[ISO_REGIONS] = { "iso_3166-2.json", "3166-2", "code" },
};

static int row_order(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->code, ((const struct row *)b)->code);
}

static int row_add(struct iso *iso, const char *code, const char *name)
{
	struct row *row = &iso->rows[iso->count];

	if (!code || !name || !*code || strlen(code) > ISO_CODE_MOST)
		return -EINVAL;
	row->name = strdup(name);
	if (!row->name)
		return -ENOMEM;
	memcpy(row->code, code, strlen(code) + 1);
	iso->count++;
	return 0;
}

static int rows_read(struct iso *iso, const json_t *entries, enum iso_part part)
{
	size_t count = json_array_size(entries);
	int rc = count ? 0 : -EINVAL;

	iso->rows = calloc(count + 1, sizeof *iso->rows);
	if (!iso->rows)
		return -ENOMEM;
	for (size_t i = 0; i < count && !rc; i++) {
		const json_t *entry = json_array_get(entries, i);
		const json_t *name = json_object_get(entry, "common_name");

		if (!name)
			name = json_object_get(entry, "name");
		rc = row_add(iso, json_string_value(json_object_get(entry, parts[part].code)),
			json_string_value(name));
	}
	/* The standard has no code for it; this one, of its user-assigned, is what MaxMind, the
	 * European Union and the CDNs use. */
	if (!rc && part == ISO_COUNTRIES)
		rc = row_add(iso, "XK", "Kosovo");
	qsort(iso->rows, iso->count, sizeof *iso->rows, row_order);
	return rc;
}

static int entries_read(json_t **out, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");
	json_error_t error;
	int rc = 0;

	if (!file)
		return err_set(err, -errno, "%s (package iso-codes): %s", path, strerror(errno));
	*out = json_loadf(file, 0, &error);
	if (!*out)
		rc = err_set(err, -EINVAL, "%s: line %d: %s", path, error.line, error.text);
	fclose(file);
	return rc;
}

int iso_open(struct iso **out, const char *folder, enum iso_part part, struct err *err)
{
	struct iso *iso = calloc(1, sizeof *iso);
	json_t *whole = NULL;
	char path[4096];
	int rc;

	if (!iso)
		return err_set(err, -ENOMEM, "iso-codes");
	snprintf(path, sizeof path, "%s/%s", folder, parts[part].file);
	rc = entries_read(&whole, path, err);
	if (!rc) {
		rc = rows_read(iso, json_object_get(whole, parts[part].array), part);
		if (rc)
			err_set(err, rc, "%s: it has not the codes and names of iso-codes", path);
	}
	json_decref(whole);
	if (rc)
		iso_close(&iso);
	else
		*out = iso;
	return rc;
}

void iso_close(struct iso **iso_p)
{
	struct iso *iso = *iso_p;

	*iso_p = NULL;
	if (!iso)
		return;
	for (size_t i = 0; i < iso->count; i++)
		free(iso->rows[i].name);
	free(iso->rows);
	free(iso);
}

const char *iso_name(const struct iso *iso, const char *code)
{
	struct row key = { .code = "" };
	const struct row *row;

	if (strlen(code) > ISO_CODE_MOST)
		return "";
	memcpy(key.code, code, strlen(code) + 1);
	row = bsearch(&key, iso->rows, iso->count, sizeof *iso->rows, row_order);
	return row ? row->name : "";
}

const char *iso_region(const struct iso *regions, const char *country, struct span name)
{
	size_t from = 0, to = regions->count;

	while (from < to) { /* the first code that is not before the country's */
		size_t middle = from + (to - from) / 2;

		if (strncmp(regions->rows[middle].code, country, 2) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (; from < regions->count && !strncmp(regions->rows[from].code, country, 2); from++)
		if (span_equals_nocase(span_of(regions->rows[from].name), name))
			return regions->rows[from].code;
	return "";
}

char *iso_json(const struct iso *iso)
{
	json_t *names = json_object();
	char *text;

	for (size_t i = 0; i < iso->count; i++)
		json_object_set_new(names, iso->rows[i].code, json_string(iso->rows[i].name));
	text = json_object_size(names) == iso->count ? json_dumps(names, JSON_COMPACT) : NULL;
	json_decref(names);
	return text;
}
