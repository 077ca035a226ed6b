#include "services/ingress/snapshot.h"

#include <ctype.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pg.h"
#include "lib/secret.h"

#define REFRESH_MS     5000 /* also how long a lost database is left alone */
#define SITE_NAME_MOST 253

/* A way to name a site: its property id or its domain. */
struct name {
	char text[SITE_NAME_MOST + 1];
	uint32_t site; /* index into sites */
};

struct key {
	char hash[SECRET_HASH_HEX_SIZE];
	uint32_t site_id; /* 0: every site */
};

struct tables {
	struct site *sites;
	struct name *names; /* sorted */
	struct key *keys;   /* sorted by hash, then site */
	size_t site_count, name_count, key_count;
};

struct snapshot {
	char *conninfo;
	pthread_t thread;
	bool thread_runs;
	int stop_fd;
	pthread_rwlock_t lock; /* of the two below */
	struct tables *tables;
	struct err problem;
};

static void tables_free(struct tables *t)
{
	if (!t)
		return;
	free(t->sites);
	free(t->names);
	free(t->keys);
	free(t);
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
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

static int tables_fill_sites(struct tables *t, PGconn *conn, struct err *err)
{
	PGresult *rows;
	int rc =
		pg_run(conn, &rows, "select id, property_id, domain, zone from site", 0, NULL, err);

	if (rc)
		return rc;
	t->site_count = (size_t)PQntuples(rows);
	t->sites = calloc(t->site_count + 1, sizeof *t->sites);
	t->names = calloc(2 * t->site_count + 1, sizeof *t->names);
	if (!t->sites || !t->names)
		rc = err_set(err, -ENOMEM, "snapshot: no memory for %zu sites", t->site_count);
	for (int i = 0; !rc && i < (int)t->site_count; i++) {
		struct site *site = &t->sites[i];

		site->id = (uint32_t)pg_int(rows, i, 0);
		copy_text(site->property_id, sizeof site->property_id, PQgetvalue(rows, i, 1));
		copy_text(site->domain, sizeof site->domain, PQgetvalue(rows, i, 2));
		copy_text(site->zone, sizeof site->zone, PQgetvalue(rows, i, 3));
		for (int n = 0; n < 2; n++) {
			struct name *name = &t->names[t->name_count++];

			copy_text(name->text, sizeof name->text,
				n ? site->domain : site->property_id);
			name->site = (uint32_t)i;
		}
	}
	PQclear(rows);
	if (!rc)
		qsort(t->names, t->name_count, sizeof *t->names, name_order);
	return rc;
}

static int tables_fill_keys(struct tables *t, PGconn *conn, struct err *err)
{
	PGresult *rows;
	int rc = pg_run(conn, &rows,
		"select k.key_hash, coalesce(m.site_id, 0) from api_key k "
		"left join site_member m on m.account_id = k.account_id "
		"where k.revoked_at is null and 'ingest' = any (k.scopes) "
		"and (k.account_id is null or m.site_id is not null)",
		0, NULL, err);

	if (rc)
		return rc;
	t->key_count = (size_t)PQntuples(rows);
	t->keys = calloc(t->key_count + 1, sizeof *t->keys);
	if (!t->keys)
		rc = err_set(err, -ENOMEM, "snapshot: no memory for %zu keys", t->key_count);
	for (int i = 0; !rc && i < (int)t->key_count; i++) {
		copy_text(t->keys[i].hash, sizeof t->keys[i].hash, PQgetvalue(rows, i, 0));
		t->keys[i].site_id = (uint32_t)pg_int(rows, i, 1);
	}
	PQclear(rows);
	if (!rc)
		qsort(t->keys, t->key_count, sizeof *t->keys, key_order);
	return rc;
}

static int tables_load(struct tables **out, PGconn *conn, struct err *err)
{
	struct tables *t = calloc(1, sizeof *t);
	int rc = t ? 0 : err_set(err, -ENOMEM, "snapshot: no memory");

	if (!rc)
		rc = tables_fill_sites(t, conn, err);
	if (!rc)
		rc = tables_fill_keys(t, conn, err);
	if (rc)
		tables_free(t);
	else
		*out = t;
	return rc;
}

/* Take one snapshot, connecting when need be. */
static int refresh(struct snapshot *s, PGconn **conn, struct err *err)
{
	struct tables *fresh = NULL, *old;
	int rc = 0;

	if (!*conn) {
		rc = pg_open(conn, s->conninfo, "footfall ingress snapshot", err);
		if (rc)
			*conn = NULL;
		else
			rc = pg_run_simple(*conn, "listen footfall_snapshot", err);
	}
	if (!rc)
		rc = tables_load(&fresh, *conn, err);
	pthread_rwlock_wrlock(&s->lock);
	if (!rc && s->problem.code)
		log_info("snapshot: taken sites=%zu", fresh->site_count);
	if (rc && rc != s->problem.code)
		log_warn("snapshot: cannot be taken, the last one serves: %s", err->msg);
	old = rc ? NULL : s->tables;
	if (!rc)
		s->tables = fresh;
	s->problem = rc ? *err : (struct err){ 0 };
	pthread_rwlock_unlock(&s->lock);
	tables_free(old);
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

	poll(fds, 2, REFRESH_MS);
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

	do
		if (refresh(s, &conn, &err))
			log_debug("snapshot: %s", err.msg);
	while (!wait_for_change(s, conn));
	PQfinish(conn);
	return NULL;
}

int snapshot_open(struct snapshot **out, const char *conninfo, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof *s);
	int rc = 0;

	if (!s)
		return err_set(err, -ENOMEM, "snapshot");
	pthread_rwlock_init(&s->lock, NULL);
	s->problem = (struct err){ -EAGAIN, "no snapshot of sites has been taken yet" };
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	s->conninfo = strdup(conninfo);
	if (s->stop_fd < 0 || !s->conninfo)
		rc = err_set(err, -ENOMEM, "snapshot");
	if (!rc && pthread_create(&s->thread, NULL, snapshot_main, s))
		rc = err_set(err, -EAGAIN, "snapshot: no thread");
	s->thread_runs = !rc;
	if (rc)
		snapshot_close(&s);
	else
		*out = s;
	return rc;
}

void snapshot_close(struct snapshot **s_p)
{
	struct snapshot *s = *s_p;
	uint64_t one = 1;

	if (!s)
		return;
	if (s->thread_runs && write(s->stop_fd, &one, sizeof one) == sizeof one)
		pthread_join(s->thread, NULL);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	tables_free(s->tables);
	free(s->conninfo);
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

bool snapshot_key_allows(struct snapshot *s, struct span token, uint32_t site_id)
{
	struct key wanted = { .site_id = 0 };
	size_t low = 0, high;
	bool allowed = false;

	secret_hash_hex(token, wanted.hash);
	pthread_rwlock_rdlock(&s->lock);
	high = s->tables ? s->tables->key_count : 0;
	while (low < high) { /* the first row of that hash */
		size_t mid = low + (high - low) / 2;

		if (key_order(&s->tables->keys[mid], &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; s->tables && low < s->tables->key_count && !allowed &&
		!strcmp(s->tables->keys[low].hash, wanted.hash);
		low++)
		allowed = !site_id || !s->tables->keys[low].site_id ||
			  s->tables->keys[low].site_id == site_id;
	pthread_rwlock_unlock(&s->lock);
	return allowed;
}
