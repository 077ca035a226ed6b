#include "services/ingress/snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/pg.h"
#include "lib/schema.h"
#include "lib/secret.h"
#include "services/ingress/script.h"

#define REFRESH_MS     5000 /* also how long a lost database is left alone */
#define FIRST_MS       200  /* the same while there is none at all, and nothing can be taken */
#define SITE_NAME_MOST 253

/* In the order of their right to a text: who names a property id means that site. */
enum name_kind { NAME_PROPERTY_ID, NAME_DOMAIN, NAME_ALIAS };

/* A way to name a site. */
struct name {
	char text[SITE_NAME_MOST + 1];
	uint8_t kind;
	uint32_t site; /* index into sites */
};

struct key {
	char hash[SECRET_HASH_HEX_SIZE];
	uint32_t site_id; /* 0: every site */
};

struct tables {
	struct site *sites;   /* sorted by id */
	struct rules **rules; /* of the site of the same index; NULL: none */
	struct name *names;   /* sorted, each text once */
	struct key *keys;     /* sorted by hash, then site */
	uint32_t *removed;    /* ascending */
	uint64_t removal;     /* the number of the last one */
	int64_t dies_us;      /* the first of the days' keys that is due */
	size_t site_count, name_count, key_count, removed_count;
};

struct snapshot {
	char *conninfo, *path;
	struct days *days;
	char *text; /* that the tables were made of; the thread's own. It holds day keys */
	bool kept;  /* the text is on disk */
	int64_t file_dies_us; /* the first of the keys on disk that is due, whatever the text's are
			       */
	bool save_fails;
	pthread_t thread;
	bool thread_runs;
	int stop_fd;
	pthread_rwlock_t lock; /* of the two below */
	struct tables *tables;
	struct err problem;
};

static void secret_text_free(char **text)
{
	if (*text)
		sodium_memzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* For jansson: it has day keys in what it frees. */
static void wiping_free(void *memory)
{
	if (memory)
		sodium_memzero(memory, malloc_usable_size(memory));
	free(memory);
}

static void tables_free(struct tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->rules && i < t->site_count; i++)
		rules_free(&t->rules[i]);
	free(t->rules);
	free(t->sites);
	free(t->names);
	free(t->keys);
	free(t->removed);
	free(t);
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int name_and_kind_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = name_order(x, y);

	return order ? order : (x->kind > y->kind) - (x->kind < y->kind);
}

/* Sort them; of those with the same text the first by kind stays. */
static void names_settle(struct tables *t)
{
	size_t kept = 0;

	qsort(t->names, t->name_count, sizeof *t->names, name_and_kind_order);
	for (size_t i = 0; i < t->name_count; i++)
		if (!kept || name_order(&t->names[kept - 1], &t->names[i]) != 0)
			t->names[kept++] = t->names[i];
	t->name_count = kept;
}

static int key_order(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = strcmp(x->hash, y->hash);

	return order ? order : (x->site_id > y->site_id) - (x->site_id < y->site_id);
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

/* --- the text: the database makes it, the disk keeps it -----------------------------------------
 */

/* All that collection needs, as one JSON text: sites with their rules, those that were removed,
 * keys that may ingest, and for every zone the days from yesterday on with their keys, as far ahead
 * as keys are made. */
static const char snapshot_sql[] =
	"select json_build_object("
	"'sites', (select coalesce(json_agg(json_build_array(id, property_id, domain, zone, "
	"(select json_agg(json_build_array(from_date - date '1970-01-01', i.identity = "
	"'persistent') "
	"order by from_date desc) from site_identity i where i.site_id = site.id), "
	"json_build_array(origin_required, bots = 'refuse', honour_dnt, "
	"(select coalesce(json_agg(json_build_array(kind, value) order by kind, value), '[]') "
	"from site_rule r where r.site_id = site.id and kind <> 'country')), script) "
	"order by id), '[]') from site), "
	"'removed', (select coalesce(json_agg(id order by id), '[]') from site_removed), "
	"'removal', (select coalesce(max(number), 0) from site_removed), "
	"'keys', (select coalesce(json_agg(json_build_array(k.key_hash, coalesce(m.site_id, 0)) "
	"order by k.key_hash, m.site_id), '[]') from api_key k "
	"left join site_member m on m.account_id = k.account_id where k.revoked_at is null "
	"and 'ingest' = any (k.scopes) and (k.account_id is null or m.site_id is not null)), "
	"'days', (select coalesce(json_agg(json_build_array(zone, date - date '1970-01-01', "
	"(extract(epoch from local_midnight(zone, date)) * 1000000)::bigint, "
	"(extract(epoch from local_midnight(zone, date + 1)) * 1000000)::bigint, "
	"encode(key, 'hex'), (extract(epoch from destroy_after) * 1000000)::bigint) "
	"order by zone, date), '[]') "
	"from (select distinct zone from site) z, "
	"lateral (select (now() at time zone z.zone)::date + n as date "
	"from generate_series(-1, 7) n) d, lateral day_key_for(date) k))";

static int damaged(struct err *err)
{
	return err_set(err, -EBADMSG, "snapshot: the text is not one of ours");
}

static int read_identities(struct site *site, const json_t *rows, struct err *err)
{
	const json_t *row;
	size_t i;

	site->identity_count = 0;
	json_array_foreach(rows, i, row)
	{
		json_int_t from;
		int persistent;

		if (json_unpack((json_t *)(uintptr_t)row, "[Ib]", &from, &persistent))
			return damaged(err);
		if (site->identity_count == SITE_IDENTITIES)
			break;
		site->identity[site->identity_count].from = (int32_t)from;
		site->identity[site->identity_count++].persistent = persistent;
	}
	return site->identity_count ? 0 : damaged(err);
}

bool site_is_persistent(const struct site *site, int64_t date)
{
	int i = 0;

	while (i < site->identity_count - 1 && site->identity[i].from > date)
		i++;
	return site->identity[i].persistent;
}

/* Let the site that is being read be known by a name, for which there is room. */
static void name_add(struct tables *t, enum name_kind kind, const char *text)
{
	struct name *name = &t->names[t->name_count++];

	copy_text(name->text, sizeof name->text, text);
	name->kind = (uint8_t)kind;
	name->site = (uint32_t)t->site_count;
}

/* The further hosts among a site's rules become names, or are only counted. */
static size_t read_aliases(struct tables *t, const json_t *rules, bool count_only)
{
	const json_t *rule;
	size_t i, count = 0;

	json_array_foreach(json_array_get(rules, 3), i, rule)
	{
		const char *kind = json_string_value(json_array_get(rule, 0));
		const char *value = json_string_value(json_array_get(rule, 1));

		if (!kind || !value || strcmp(kind, "alias") != 0)
			continue;
		count++;
		if (!count_only)
			name_add(t, NAME_ALIAS, value);
	}
	return count;
}

/* NULL: of an ingress that knew of no choice. Names that are not known (of a newer one) are passed
 * over. */
static unsigned read_script(const json_t *names)
{
	unsigned parts = names ? 0 : SCRIPT_DEFAULT;
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		if (json_is_string(name))
			parts |= script_part(span_of(json_string_value(name)));
	}
	return parts;
}

static int read_sites(struct tables *t, const json_t *sites, struct err *err)
{
	size_t i, names = 2 * json_array_size(sites);
	const json_t *row;

	json_array_foreach(sites, i, row) names += read_aliases(t, json_array_get(row, 5), true);
	t->sites = calloc(json_array_size(sites) + 1, sizeof *t->sites);
	t->rules = calloc(json_array_size(sites) + 1, sizeof(void *));
	t->names = calloc(names + 1, sizeof *t->names);
	if (!t->sites || !t->rules || !t->names)
		return err_set(err, -ENOMEM, "snapshot: no memory for sites");
	json_array_foreach(sites, i, row)
	{
		const char *property_id, *domain, *zone;
		struct site *site = &t->sites[t->site_count];
		json_t *identities;
		json_int_t id;

		if (json_unpack((json_t *)(uintptr_t)row, "[Issso]", &id, &property_id, &domain,
			    &zone, &identities) ||
			read_identities(site, identities, err))
			return damaged(err);
		site->id = (uint32_t)id;
		copy_text(site->property_id, sizeof site->property_id, property_id);
		copy_text(site->domain, sizeof site->domain, domain);
		copy_text(site->zone, sizeof site->zone, zone);
		name_add(t, NAME_PROPERTY_ID, site->property_id);
		name_add(t, NAME_DOMAIN, site->domain);
		read_aliases(t, json_array_get(row, 5), false);
		if (rules_read(&t->rules[t->site_count], json_array_get(row, 5), err))
			return err->code;
		site->has_rules = t->rules[t->site_count] != NULL;
		site->refuses_bots = rules_refuse_bots(t->rules[t->site_count]);
		site->honours_dnt = rules_honour_dnt(t->rules[t->site_count]);
		site->script = read_script(json_array_get(row, 6));
		t->site_count++;
	}
	names_settle(t);
	return 0;
}

static int read_keys(struct tables *t, const json_t *keys, struct err *err)
{
	const json_t *row;
	size_t i;

	t->keys = calloc(json_array_size(keys) + 1, sizeof *t->keys);
	if (!t->keys)
		return err_set(err, -ENOMEM, "snapshot: no memory for keys");
	json_array_foreach(keys, i, row)
	{
		struct key *key = &t->keys[t->key_count++];
		const char *hash;
		json_int_t site_id;

		if (json_unpack((json_t *)(uintptr_t)row, "[sI]", &hash, &site_id))
			return damaged(err);
		copy_text(key->hash, sizeof key->hash, hash);
		key->site_id = (uint32_t)site_id;
	}
	qsort(t->keys, t->key_count, sizeof *t->keys, key_order);
	return 0;
}

/* A row of the days, whose texts stay the row's. */
static int read_day(struct day *day, const char **zone, const char **key_hex, const json_t *row,
	struct err *err)
{
	json_int_t date, starts_us, ends_us, dies_us;

	if (json_unpack((json_t *)(uintptr_t)row, "[sIIIsI]", zone, &date, &starts_us, &ends_us,
		    key_hex, &dies_us))
		return damaged(err);
	*day = (struct day){
		.date = date, .starts_us = starts_us, .ends_us = ends_us, .dies_us = dies_us
	};
	return 0;
}

/* NULL: of an ingress that did not know of them. */
static int read_removed(struct tables *t, const json_t *ids, struct err *err)
{
	const json_t *id;
	size_t i;

	t->removed = calloc(json_array_size(ids) + 1, sizeof *t->removed);
	if (!t->removed)
		return err_set(err, -ENOMEM, "snapshot: no memory for sites");
	json_array_foreach(ids, i, id) t->removed[t->removed_count++] =
		(uint32_t)json_integer_value(id);
	return 0;
}

static int read_days(struct tables *t, struct days *days, const json_t *rows, struct err *err)
{
	const json_t *row;
	size_t i;
	int rc = 0;

	days_let_go(days);
	t->dies_us = INT64_MAX;
	json_array_foreach(rows, i, row)
	{
		const char *zone, *hex;
		struct day day;

		rc = read_day(&day, &zone, &hex, row, err);
		if (!rc)
			rc = days_hold(days, zone, &day, hex, err);
		if (rc)
			break;
		if (day.dies_us < t->dies_us)
			t->dies_us = day.dies_us;
	}
	return rc;
}

/* Make tables of the text, and let days know its days. */
static int text_read(struct tables **out, struct days *days, const char *text, struct err *err)
{
	json_t *root = json_loads(text, 0, NULL), *sites, *keys, *rows, *removed = NULL;
	struct tables *t = calloc(1, sizeof *t);
	int rc = t ? 0 : err_set(err, -ENOMEM, "snapshot: no memory");
	json_int_t removal = 0;

	if (!rc && json_unpack(root, "{sososos?os?I}", "sites", &sites, "keys", &keys, "days",
			   &rows, "removed", &removed, "removal", &removal))
		rc = damaged(err);
	if (!rc) {
		t->removal = (uint64_t)removal;
		rc = read_removed(t, removed, err);
	}
	if (!rc)
		rc = read_sites(t, sites, err);
	if (!rc)
		rc = read_keys(t, keys, err);
	if (!rc)
		rc = read_days(t, days, rows, err);
	json_decref(root);
	if (rc)
		tables_free(t);
	else
		*out = t;
	return rc;
}

/* What an ingress that was killed in text_save() left: it has day keys in it. */
static void leftovers_remove(const struct snapshot *s)
{
	char pattern[PATH_MAX];
	struct stat st;
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s.*", s->path);
	if (!glob(pattern, GLOB_NOSORT, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (!stat(found.gl_pathv[i], &st) && time(NULL) - st.st_mtime > 60)
				unlink(found.gl_pathv[i]);
	globfree(&found);
}

/* Keep the text on disk, for a start without the database; whole or not at all. */
static void text_save(struct snapshot *s)
{
	size_t len = strlen(s->text);
	char making[PATH_MAX];
	int fd, rc = 0;

	leftovers_remove(s);
	/* Ingresses that share the folder each make theirs; the last one stays. */
	snprintf(making, sizeof making, "%s.%ld", s->path, (long)getpid());
	fd = open(making, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, s->text, len) != (ssize_t)len || fdatasync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (!rc && rename(making, s->path))
		rc = -errno;
	if (rc)
		unlink(making);
	if (rc && !s->save_fails)
		log_warn("snapshot: cannot be kept on disk file=%s error=%s", s->path,
			strerror(-rc));
	if (!rc && s->save_fails)
		log_info("snapshot: is kept on disk again");
	s->save_fails = rc != 0;
	s->kept = !rc;
	if (!rc)
		s->file_dies_us = s->tables->dies_us;
}

/* What an earlier ingress kept there, NULL when there is nothing; yours. */
static char *text_load(const struct snapshot *s)
{
	int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st))
		text = calloc(1, (size_t)st.st_size + 1);
	if (text && read(fd, text, (size_t)st.st_size) != st.st_size)
		secret_text_free(&text);
	close(fd);
	return text;
}

/* The text becomes what look-ups see; takes it on success. */
static int text_use(struct snapshot *s, char **text, struct err *err)
{
	struct tables *fresh = NULL, *old;
	int rc = text_read(&fresh, s->days, *text, err);

	if (rc)
		return rc;
	pthread_rwlock_wrlock(&s->lock);
	old = s->tables;
	s->tables = fresh;
	pthread_rwlock_unlock(&s->lock);
	tables_free(old);
	secret_text_free(&s->text);
	s->text = *text;
	s->kept = false;
	*text = NULL;
	return 0;
}

/* The same text without the days that are due; yours. */
static char *text_without_due(const char *text)
{
	json_t *root = json_loads(text, 0, NULL), *rows = json_object_get(root, "days");
	size_t i = json_array_size(rows);
	char *left = NULL;
	struct err err;

	while (i--) {
		const char *zone, *hex;
		struct day day;

		if (read_day(&day, &zone, &hex, json_array_get(rows, i), &err) ||
			clock_now_us() >= day.dies_us)
			json_array_remove(rows, i);
	}
	if (root)
		left = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return left;
}

/* Rather no file than one with keys that are due, which could not be replaced. */
static void file_expire(struct snapshot *s)
{
	if (clock_now_us() < s->file_dies_us || (unlink(s->path) && errno != ENOENT))
		return;
	s->file_dies_us = INT64_MAX;
	s->kept = false;
}

/* Let go of the days that are due. With the database at hand the text has none; without it they
 * would stay as long as it is away. */
static void text_expire(struct snapshot *s)
{
	struct err err = { 0 };
	char *left = NULL;

	days_forget_due(s->days);
	if (s->tables && clock_now_us() >= s->tables->dies_us) {
		left = text_without_due(s->text);
		if (!left || text_use(s, &left, &err))
			log_error("snapshot: days that are due cannot be taken out: %s", err.msg);
		else
			text_save(s);
	}
	file_expire(s);
	secret_text_free(&left);
}

/* --- the thread ---------------------------------------------------------------------------------
 */

static int text_fetch(struct snapshot *s, PGconn *conn, struct err *err)
{
	PGresult *row;
	char *text;
	int rc = pg_run(conn, &row, snapshot_sql, 0, NULL, err);

	if (rc)
		return rc;
	text = strdup(PQgetvalue(row, 0, 0));
	pg_clear_secret(row);
	if (!text)
		return err_set(err, -ENOMEM, "snapshot: no memory");
	if (s->text && !strcmp(s->text, text)) {
		days_still_hold(s->days);
	} else {
		pg_overwrite(conn, strlen(text) + (s->text ? strlen(s->text) : 0));
		rc = text_use(s, &text, err);
	}
	if (!rc && !s->kept)
		text_save(s);
	secret_text_free(&text);
	return rc;
}

/* Take one snapshot, connecting when need be. */
static int refresh(struct snapshot *s, PGconn **conn, struct err *err)
{
	int rc = 0;

	if (!*conn) {
		rc = pg_open(conn, s->conninfo, "footfall ingress snapshot", schema_app, err);
		if (rc)
			*conn = NULL;
		else
			rc = pg_run_simple(*conn, "listen footfall_snapshot", err);
	}
	if (!rc)
		rc = text_fetch(s, *conn, err);
	pthread_rwlock_wrlock(&s->lock);
	if (!rc && s->problem.code)
		log_info("snapshot: taken");
	if (rc && rc != s->problem.code)
		log_warn("snapshot: cannot be taken, the last one serves: %s", err->msg);
	s->problem = rc ? *err : (struct err){ 0 };
	pthread_rwlock_unlock(&s->lock);
	if (rc && *conn) {
		PQfinish(*conn);
		*conn = NULL;
	}
	return rc;
}

/* Wait for a notice, the time to look again, or the end; true: the end. */
static bool wait_for_change(struct snapshot *s, PGconn *conn)
{
	struct pollfd fds[2] = { { s->stop_fd, POLLIN, 0 },
		{ conn ? PQsocket(conn) : -1, POLLIN, 0 } };
	PGnotify *notice;

	poll(fds, 2, s->text ? REFRESH_MS : FIRST_MS);
	if (conn && PQconsumeInput(conn))
		while ((notice = PQnotifies(conn)))
			PQfreemem(notice);
	return fds[0].revents != 0;
}

static void *snapshot_main(void *arg)
{
	struct snapshot *s = arg;
	PGconn *conn = NULL;
	struct err err = { 0 };

	do {
		if (refresh(s, &conn, &err))
			log_debug("snapshot: %s", err.msg);
		text_expire(s);
	} while (!wait_for_change(s, conn));
	PQfinish(conn);
	return NULL;
}

int snapshot_open(struct snapshot **out, const char *conninfo, const char *folder,
	struct days *days, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof *s);
	char *kept;
	int rc = 0;

	if (!s)
		return err_set(err, -ENOMEM, "snapshot");
	json_set_alloc_funcs(malloc, wiping_free);
	pthread_rwlock_init(&s->lock, NULL);
	s->problem = (struct err){ -EAGAIN, "no snapshot of sites has been taken yet" };
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	s->conninfo = strdup(conninfo);
	s->days = days;
	if (asprintf(&s->path, "%s/snapshot.json", folder) < 0)
		s->path = NULL;
	if (s->stop_fd < 0 || !s->conninfo || !s->path)
		rc = err_set(err, -ENOMEM, "snapshot");
	if (!rc)
		leftovers_remove(s);
	s->file_dies_us = INT64_MAX;
	kept = rc ? NULL : text_load(s);
	if (kept && text_use(s, &kept, err)) {
		log_warn("snapshot: the one on disk is of no use file=%s: %s", s->path, err->msg);
		s->file_dies_us = 0; /* it may have keys in it that are due */
	} else if (s->tables) {
		s->file_dies_us = s->tables->dies_us;
	}
	secret_text_free(&kept);
	if (!rc)
		text_expire(s);
	if (!rc && pthread_create(&s->thread, NULL, snapshot_main, s))
		rc = err_set(err, -EAGAIN, "snapshot: no thread");
	s->thread_runs = !rc;
	if (rc)
		snapshot_close(&s);
	else
		*out = s;
	return rc;
}

void snapshot_stop(struct snapshot *s)
{
	uint64_t one = 1;

	if (write(s->stop_fd, &one, sizeof one) < 0)
		log_alarm("snapshot: eventfd: %s", strerror(errno));
}

void snapshot_close(struct snapshot **s_p)
{
	struct snapshot *s = *s_p;

	if (!s)
		return;
	if (s->thread_runs) {
		snapshot_stop(s);
		pthread_join(s->thread, NULL);
	}
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	tables_free(s->tables);
	secret_text_free(&s->text);
	free(s->conninfo);
	free(s->path);
	pthread_rwlock_destroy(&s->lock);
	free(s);
	*s_p = NULL;
}

int snapshot_ready(struct snapshot *s, struct err *err)
{
	int rc;

	pthread_rwlock_rdlock(&s->lock);
	rc = s->tables ? 0 : err_set(err, -EAGAIN, "%s", s->problem.msg);
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

bool snapshot_site(struct snapshot *s, struct span name, struct site *out)
{
	struct name wanted, *found = NULL;

	if (span_equals_nocase(span_first(name, 4), SPAN("www.")))
		name = span_from(name, 4);
	if (!name.len || name.len > SITE_NAME_MOST || memchr(name.ptr, '\0', name.len))
		return false;
	for (size_t i = 0; i < name.len; i++)
		wanted.text[i] = (char)tolower((unsigned char)name.ptr[i]);
	wanted.text[name.len] = '\0';
	pthread_rwlock_rdlock(&s->lock);
	if (s->tables)
		found = bsearch(&wanted, s->tables->names, s->tables->name_count,
			sizeof *s->tables->names, name_order);
	if (found)
		*out = s->tables->sites[found->site];
	pthread_rwlock_unlock(&s->lock);
	return found != NULL;
}

static int site_order(const void *id, const void *site)
{
	uint32_t a = *(const uint32_t *)id, b = ((const struct site *)site)->id;

	return (a > b) - (a < b);
}

/* Under the lock. NULL: there is none. */
static const struct site *site_of_id(const struct tables *t, uint32_t id)
{
	return t ? bsearch(&id, t->sites, t->site_count, sizeof *t->sites, site_order) : NULL;
}

bool snapshot_site_of_id(struct snapshot *s, uint32_t id, struct site *out)
{
	const struct site *found;

	pthread_rwlock_rdlock(&s->lock);
	found = site_of_id(s->tables, id);
	if (found)
		*out = *found;
	pthread_rwlock_unlock(&s->lock);
	return found != NULL;
}

enum dropped snapshot_refuse(struct snapshot *s, const struct site *site, const struct asked *asked)
{
	enum dropped reason = DROPPED_UNKNOWN_SITE;
	const struct site *found;

	if (!site->has_rules)
		return DROPPED_NONE;
	pthread_rwlock_rdlock(&s->lock);
	found = site_of_id(s->tables, site->id);
	if (found)
		reason = rules_refuse(s->tables->rules[found - s->tables->sites], asked);
	pthread_rwlock_unlock(&s->lock);
	return reason;
}

/* The first row of the token's hash, and in *count how many there are. The caller has the lock. */
static const struct key *key_rows(const struct snapshot *s, struct span token, size_t *count)
{
	size_t low = 0, high = s->tables ? s->tables->key_count : 0, end;
	const struct key *keys = s->tables ? s->tables->keys : NULL;
	struct key wanted = { .site_id = 0 };

	secret_hash_hex(token, wanted.hash);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (key_order(&keys[mid], &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (end = low; s->tables && end < s->tables->key_count; end++)
		if (strcmp(keys[end].hash, wanted.hash) != 0)
			break;
	*count = end - low;
	return keys + low;
}

bool snapshot_key_allows(struct snapshot *s, struct span token, uint32_t site_id)
{
	const struct key *keys;
	bool allowed = false;
	size_t count;

	pthread_rwlock_rdlock(&s->lock);
	keys = key_rows(s, token, &count);
	for (size_t i = 0; i < count && !allowed; i++)
		allowed = !site_id || !keys[i].site_id || keys[i].site_id == site_id;
	pthread_rwlock_unlock(&s->lock);
	return allowed;
}

bool snapshot_key_site(struct snapshot *s, struct span token, struct site *out)
{
	const struct site *site = NULL;
	const struct key *keys;
	size_t count;

	pthread_rwlock_rdlock(&s->lock);
	keys = key_rows(s, token, &count);
	if (count == 1 && keys[0].site_id)
		site = bsearch(&keys[0].site_id, s->tables->sites, s->tables->site_count,
			sizeof *s->tables->sites, site_order);
	else if (count && !keys[0].site_id && s->tables->site_count == 1)
		site = s->tables->sites;
	if (site)
		*out = *site;
	pthread_rwlock_unlock(&s->lock);
	return site != NULL;
}

int snapshot_removed(
	struct snapshot *s, uint32_t **ids, size_t *count, uint64_t *number, struct err *err)
{
	size_t bytes;
	int rc = 0;

	pthread_rwlock_rdlock(&s->lock);
	*count = s->tables ? s->tables->removed_count : 0;
	*number = s->tables ? s->tables->removal : 0;
	bytes = *count * sizeof **ids;
	*ids = malloc(bytes + 1);
	if (!*ids)
		rc = err_set(err, -ENOMEM, "snapshot: no memory for sites");
	else if (bytes)
		memcpy(*ids, s->tables->removed, bytes);
	pthread_rwlock_unlock(&s->lock);
	return rc;
}
