#include "services/worker/geo.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <stdlib.h>

struct geo_db {
	MMDB_s mmdb;
	bool is_open;
	char *path; /* for messages */
};

int geo_open(struct geo_db **out, const char *path, struct err *err)
{
	struct geo_db *db = calloc(1, sizeof *db);
	int rc = 0, status;

	if (db)
		db->path = strdup(path);
	if (!db || !db->path) {
		rc = err_set(err, -ENOMEM, "GeoIP database %s", path);
		goto fail;
	}
	errno = 0;
	status = MMDB_open(path, MMDB_MODE_MMAP, &db->mmdb);
	db->is_open = status == MMDB_SUCCESS;
	if (status == MMDB_OUT_OF_MEMORY_ERROR)
		rc = err_set(err, -ENOMEM, "GeoIP database %s", path);
	else if (status == MMDB_FILE_OPEN_ERROR && errno)
		rc = err_set(err, -errno, "GeoIP database %s: %s", path, strerror(errno));
	else if (status != MMDB_SUCCESS)
		rc = err_set(err, -EINVAL, "GeoIP database %s: %s", path, MMDB_strerror(status));
	if (rc)
		goto fail;
	*out = db;
	return 0;
fail:
	geo_close(&db);
	return rc;
}

void geo_close(struct geo_db **db_p)
{
	struct geo_db *db = *db_p;

	*db_p = NULL;
	if (!db)
		return;
	if (db->is_open)
		MMDB_close(&db->mmdb);
	free(db->path);
	free(db);
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Whether path leads to a country's code. What the record does not have is no error, nor is another
 * layout; the rest of libmaxminddb's answers means that the bytes are wrong. */
static bool country_at(
	MMDB_entry_s *entry, const char *const *path, char country[GEO_COUNTRY_SIZE], int *status)
{
	MMDB_entry_data_s value;

	*status = MMDB_aget_value(entry, &value, path);
	if (*status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR)
		*status = MMDB_SUCCESS;
	else if (*status == MMDB_SUCCESS && value.has_data &&
		 value.type == MMDB_DATA_TYPE_UTF8_STRING && value.data_size == 2 &&
		 is_upper(value.utf8_string[0]) && is_upper(value.utf8_string[1]))
		memcpy(country, value.utf8_string, 2);
	return country[0];
}

static bool is_v4(const struct addr *addr)
{
	static const unsigned char prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(addr->bytes, prefix, sizeof prefix);
}

static MMDB_lookup_result_s find(const MMDB_s *mmdb, const struct addr *addr, int *status)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (is_v4(addr)) {
		memcpy(&v4.sin_addr, addr->bytes + 12, 4);
		return MMDB_lookup_sockaddr(mmdb, (struct sockaddr *)&v4, status);
	}
	memcpy(&v6.sin6_addr, addr->bytes, 16);
	return MMDB_lookup_sockaddr(mmdb, (struct sockaddr *)&v6, status);
}

int geo_find(const struct geo_db *db, const struct addr *addr, struct geo *out, struct err *err)
{
	static const char *const maxmind[] = { "country", "iso_code", NULL };
	static const char *const flat[] = { "country_code", NULL };
	MMDB_lookup_result_s found;
	int status = MMDB_SUCCESS;

	memset(out, 0, sizeof *out);
	found = find(&db->mmdb, addr, &status);
	if (status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR)
		return 0;
	if (status == MMDB_SUCCESS && found.found_entry &&
		!country_at(&found.entry, maxmind, out->country, &status) && status == MMDB_SUCCESS)
		country_at(&found.entry, flat, out->country, &status);
	if (status != MMDB_SUCCESS)
		return err_set(
			err, -EBADMSG, "GeoIP database %s: %s", db->path, MMDB_strerror(status));
	return 0;
}
