#include "lib/enrich/networks.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/enrich/mmdb.h"
#include "lib/utf8.h"

#define LIST_MOST 100000 /* as many AS numbers as are in use */
#define LINE_MOST 500

struct networks {
	struct mmdb *db;
	uint32_t *data_centres; /* in order */
	size_t count, size;
};

static int number_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int list_add(struct networks *n, uint32_t as_number)
{
	if (n->count == n->size) {
		size_t size = n->size ? 2 * n->size : 256;
		uint32_t *grown = realloc(n->data_centres, size * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		n->data_centres = grown;
		n->size = size;
	}
	n->data_centres[n->count++] = as_number;
	return 0;
}

/* The number that a line begins with; 0: it is empty or a comment. -EINVAL: neither. */
static int line_number(uint32_t *out, const char *line)
{
	unsigned long long number;
	char *end;

	*out = 0;
	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return 0;
	if (!isdigit((unsigned char)*line))
		return -EINVAL;
	errno = 0;
	number = strtoull(line, &end, 10);
	if (errno || !number || number > UINT32_MAX ||
		(*end && *end != '#' && !isspace((unsigned char)*end)))
		return -EINVAL;
	*out = (uint32_t)number;
	return 0;
}

static int list_read(struct networks *n, FILE *file, const char *path, struct err *err)
{
	char line[LINE_MOST + 2];
	int rc = 0;

	for (int count = 1; !rc && fgets(line, sizeof line, file); count++) {
		uint32_t number;

		rc = line_number(&number, line);
		if (!rc && strlen(line) > LINE_MOST)
			rc = -EINVAL;
		if (!rc && number)
			rc = n->count < LIST_MOST ? list_add(n, number) : -E2BIG;
		if (rc)
			err_set(err, rc, "%s: line %d: %s", path, count,
				rc == -ENOMEM  ? "no memory"
				: rc == -E2BIG ? "the list is too long"
					       : "it does not begin with the number of an "
						 "autonomous system");
	}
	if (!rc && ferror(file))
		rc = err_set(err, -EIO, "%s: it cannot be read", path);
	qsort(n->data_centres, n->count, sizeof *n->data_centres, number_order);
	return rc;
}

static int list_open(struct networks *n, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");
	int rc;

	n->data_centres = malloc(sizeof *n->data_centres); /* so that an empty list is one, too */
	n->size = 1;
	if (!file || !n->data_centres) {
		rc = err_set(err, file ? -ENOMEM : -errno, "list of data centres %s: %s", path,
			strerror(file ? ENOMEM : errno));
		if (file)
			fclose(file);
		return rc;
	}
	rc = list_read(n, file, path, err);
	fclose(file);
	return rc;
}

#define PATH(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int read_record(MMDB_entry_s *record, void *out)
{
	struct network *network = out;
	int status = MMDB_SUCCESS;
	struct span name;

	memset(network, 0, sizeof *network);
	network->as_number = mmdb_number(record, PATH("autonomous_system_number"), &status);
	name = mmdb_text(record, PATH("autonomous_system_organization"), &status);
	utf8_clean(network->organization, sizeof network->organization - 1, name);
	return status;
}

/* While a database is checked: does it know any number? */
struct checked {
	struct network network;
	bool has_numbers;
};

static int check_record(MMDB_entry_s *record, void *out)
{
	struct checked *checked = out;
	int status = read_record(record, &checked->network);

	checked->has_numbers |= checked->network.as_number != 0;
	return status;
}

int networks_open(
	struct networks **out, const char *asn_db, const char *data_centres, struct err *err)
{
	struct networks *n = calloc(1, sizeof *n);
	struct checked checked = { .has_numbers = false };
	int rc;

	if (!n)
		return err_set(err, -ENOMEM, "networks");
	rc = mmdb_open(&n->db, "ASN database", asn_db, check_record, &checked, err);
	if (!rc && !checked.has_numbers)
		rc = err_set(err, -EINVAL,
			"ASN database %s: it knows no number of an autonomous system", asn_db);
	if (!rc)
		rc = list_open(n, data_centres, err);
	if (rc)
		networks_close(&n);
	else
		*out = n;
	return rc;
}

void networks_close(struct networks **networks_p)
{
	struct networks *n = *networks_p;

	*networks_p = NULL;
	if (!n)
		return;
	mmdb_close(&n->db);
	free(n->data_centres);
	free(n);
}

void networks_find(const struct networks *networks, const struct addr *addr, struct network *out)
{
	if (!mmdb_find(networks->db, addr, read_record, out))
		memset(out, 0, sizeof *out);
}

bool networks_is_data_centre(const struct networks *networks, const struct addr *addr)
{
	struct network network;

	networks_find(networks, addr, &network);
	return network.as_number &&
	       bsearch(&network.as_number, networks->data_centres, networks->count,
		       sizeof *networks->data_centres, number_order);
}
