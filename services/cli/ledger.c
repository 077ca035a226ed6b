#include "services/cli/ledger.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "services/cli/safe_file.h"

#define VERSION     1
#define KEY_BYTES   32
#define LEDGER_MOST (64 << 20) /* 300,000 files */

struct ledger {
	char path[PATH_MAX];
	int lock_fd;
	unsigned char key[KEY_BYTES];
	json_t *root; /* {"version", "property_id", "key", "files": {HASH: {…}}} */
};

static int take_lock(struct ledger *l, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s.lock", l->path) >= (int)sizeof path)
		return err_set(err, -ENAMETOOLONG, "%s: the name is too long", l->path);
	l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->lock_fd < 0)
		return err_set(err, -errno, "%s: %m", path);
	if (!flock(l->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	return errno == EWOULDBLOCK
		       ? err_set(err, -EBUSY, "another import into this site is under way")
		       : err_set(err, -errno, "%s: %m", path);
}

static int begin(struct ledger *l, const char *property_id, struct err *err)
{
	char hex[2 * KEY_BYTES + 1];

	randombytes_buf(l->key, sizeof l->key);
	sodium_bin2hex(hex, sizeof hex, l->key, sizeof l->key);
	l->root = json_pack(
		"{sisssss{}}", "version", VERSION, "property_id", property_id, "key", hex, "files");
	return l->root ? 0 : err_set(err, -ENOMEM, "no memory for the ledger");
}

static int check(struct ledger *l, const char *property_id, struct err *err)
{
	const char *site = json_string_value(json_object_get(l->root, "property_id"));
	const char *hex = json_string_value(json_object_get(l->root, "key"));
	size_t len = 0;

	if (json_integer_value(json_object_get(l->root, "version")) != VERSION)
		return err_set(
			err, -EINVAL, "%s: is no ledger, or that of a newer version", l->path);
	if (!site || strcmp(site, property_id) != 0)
		return err_set(err, -EINVAL, "%s: is the ledger of another site", l->path);
	if (!hex || !json_is_object(json_object_get(l->root, "files")) ||
		sodium_hex2bin(l->key, sizeof l->key, hex, strlen(hex), NULL, &len, NULL) ||
		len != KEY_BYTES)
		return err_set(err, -EINVAL, "%s: the ledger is damaged", l->path);
	return 0;
}

static int load(struct ledger *l, const char *property_id, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int rc = safe_file_read(&text, &len, l->path, LEDGER_MOST, err);

	if (rc == -ENOENT)
		return begin(l, property_id, err);
	if (rc)
		return rc;
	l->root = json_loadb(text, len, 0, NULL);
	free(text);
	/* Not begun anew: lines would be counted again. */
	if (!l->root)
		return err_set(err, -EINVAL, "%s: the ledger is damaged", l->path);
	return check(l, property_id, err);
}

int ledger_open(struct ledger **out, const char *path, const char *property_id, struct err *err)
{
	struct ledger *l = calloc(1, sizeof *l);
	int rc;

	if (!l)
		return err_set(err, -ENOMEM, "no memory for the ledger");
	l->lock_fd = -1;
	snprintf(l->path, sizeof l->path, "%s", path);
	rc = safe_file_folders(path, err);
	if (!rc)
		rc = take_lock(l, err);
	if (!rc)
		rc = load(l, property_id, err);
	if (rc)
		ledger_close(&l);
	*out = l;
	return rc;
}

void ledger_close(struct ledger **ledger)
{
	struct ledger *l = *ledger;

	if (!l)
		return;
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	json_decref(l->root);
	sodium_memzero(l->key, sizeof l->key);
	free(l);
	*ledger = NULL;
}

static void file_key(const struct ledger_file *file, char hex[2 * LEDGER_HASH_BYTES + 1])
{
	sodium_bin2hex(hex, 2 * LEDGER_HASH_BYTES + 1, file->hash, sizeof file->hash);
}

void ledger_find(struct ledger *l, struct span first_line, struct ledger_file *file)
{
	char hex[2 * LEDGER_HASH_BYTES + 1];
	const char *name, *time_text;
	json_t *known;

	memset(file, 0, sizeof *file);
	crypto_generichash(file->hash, sizeof file->hash, (const unsigned char *)first_line.ptr,
		first_line.len, l->key, sizeof l->key);
	file_key(file, hex);
	known = json_object_get(json_object_get(l->root, "files"), hex);
	file->known = known != NULL;
	file->entry.offset = (uint64_t)json_integer_value(json_object_get(known, "offset"));
	file->entry.lines = (uint64_t)json_integer_value(json_object_get(known, "lines"));
	file->entry.partial = json_is_true(json_object_get(known, "partial"));
	name = json_string_value(json_object_get(known, "name"));
	time_text = json_string_value(json_object_get(known, "time"));
	snprintf(file->entry.name, sizeof file->entry.name, "%s", name ? name : "");
	snprintf(file->entry.time, sizeof file->entry.time, "%s", time_text ? time_text : "");
}

static json_t *entry_json(struct ledger_entry *entry)
{
	time_t now = time(NULL);
	json_t *name = json_string(entry->name); /* NULL when it is no UTF-8, as names may be */
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(entry->time, sizeof entry->time, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{sIsIsbsoss}", "offset", (json_int_t)entry->offset, "lines",
		(json_int_t)entry->lines, "partial", entry->partial, "name",
		name ? name : json_string("?"), "time", entry->time);
}

int ledger_save(struct ledger *l, struct ledger_file *file, struct err *err)
{
	char hex[2 * LEDGER_HASH_BYTES + 1];
	char *text;
	int rc;

	file_key(file, hex);
	if (json_object_set_new(json_object_get(l->root, "files"), hex, entry_json(&file->entry)))
		return err_set(err, -ENOMEM, "no memory for the ledger");
	text = json_dumps(l->root, JSON_INDENT(1));
	if (!text)
		return err_set(err, -ENOMEM, "no memory for the ledger");
	rc = safe_file_write(l->path, span_of(text), err);
	free(text);
	file->known = !rc || file->known;
	return rc;
}

void ledger_event_id(const struct ledger *l, const struct ledger_file *file, uint64_t offset,
	char id[LEDGER_ID_SIZE])
{
	unsigned char text[LEDGER_HASH_BYTES + 8], hash[16];

	memcpy(text, file->hash, LEDGER_HASH_BYTES);
	for (int i = 0; i < 8; i++)
		text[LEDGER_HASH_BYTES + i] = (unsigned char)(offset >> (8 * i));
	crypto_generichash(hash, sizeof hash, text, sizeof text, l->key, sizeof l->key);
	sodium_bin2hex(id, LEDGER_ID_SIZE, hash, sizeof hash);
}
