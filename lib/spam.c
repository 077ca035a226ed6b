#include "lib/spam.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/log.h"
#include "lib/watch.h"

#define HOST_MOST 253  /* of a DNS name */
#define LINE_MOST 1024 /* longer is no list of domains */

struct spam {
	char *path;
	struct watch watch;
	pthread_rwlock_t lock; /* of domains */
	struct dict domains;
};

/* Lower case into buf; empty when it is no DNS name by its length. */
static struct span lower(char buf[HOST_MOST], struct span host)
{
	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len > HOST_MOST)
		return SPAN("");
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return (struct span){ buf, host.len };
}

static bool is_domain(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || strchr("/:?#@\\\x7f", text.ptr[i]))
			return false;
	return text.len && span_find(text, '.') < text.len;
}

static int read_line(struct dict *domains, struct span line, struct err *err)
{
	char buf[HOST_MOST];
	struct span domain = lower(buf, line);

	if (!line.len || line.ptr[0] == '#')
		return 0;
	if (!is_domain(domain))
		return err_set(err, -EINVAL, "\"%.*s\" is no domain", (int)span_first(line, 80).len,
			line.ptr);
	return dict_add(domains, domain, 0, NULL, err);
}

static int read_list(struct dict *domains, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	char text[LINE_MOST];
	struct err why = { 0 };
	unsigned line = 0;
	int rc = 0;

	if (!f)
		return err_set(err, -errno, "referrer spam list %s: %s", path, strerror(errno));
	while (!rc && fgets(text, sizeof text, f)) {
		line++;
		rc = read_line(domains, span_trim(span_of(text)), &why);
	}
	if (rc)
		rc = err_set(err, rc, "referrer spam list %s, line %u: %s", path, line, why.msg);
	else if (ferror(f)) /* a folder can be opened, but not read */
		rc = err_set(err, -errno, "referrer spam list %s: %s", path, strerror(errno));
	else if (!domains->count)
		rc = err_set(err, -EINVAL, "referrer spam list %s: it is empty", path);
	fclose(f);
	return rc;
}

int spam_open(struct spam **out, const char *path, struct err *err)
{
	struct spam *spam = calloc(1, sizeof *spam);
	pthread_rwlockattr_t attr;
	int rc = 0;

	if (!spam)
		return err_set(err, -ENOMEM, "referrer spam list");
	/* The default lets those who ask keep a new list out for as long as they overlap. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&spam->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	spam->path = strdup(path);
	if (!spam->path)
		rc = err_set(err, -ENOMEM, "referrer spam list");
	if (!rc) {
		watch_init(&spam->watch, spam->path, clock_mono_us());
		rc = read_list(&spam->domains, spam->path, err);
	}
	if (rc)
		spam_close(&spam);
	else
		*out = spam;
	return rc;
}

void spam_close(struct spam **spam_p)
{
	struct spam *spam = *spam_p;

	*spam_p = NULL;
	if (!spam)
		return;
	dict_clear(&spam->domains);
	pthread_rwlock_destroy(&spam->lock);
	free(spam->path);
	free(spam);
}

bool spam_follow(struct spam *spam)
{
	struct dict now = { 0 }, before;
	struct err err;

	if (!watch_has_changed(&spam->watch, clock_mono_us()))
		return false;
	if (read_list(&now, spam->path, &err)) {
		log_error("spam: going on with the list read before: %s", err.msg);
		dict_clear(&now);
		return true;
	}
	log_info("spam: read again path=%s domains=%u", spam->path, now.count);
	pthread_rwlock_wrlock(&spam->lock);
	before = spam->domains;
	spam->domains = now;
	pthread_rwlock_unlock(&spam->lock);
	dict_clear(&before);
	return true;
}

bool spam_is_referrer(struct spam *spam, struct span host)
{
	char buf[HOST_MOST];
	bool found = false;

	host = lower(buf, host);
	pthread_rwlock_rdlock(&spam->lock);
	/* A domain has a dot: the last label alone need not be asked for. */
	while (!found && span_find(host, '.') < host.len) {
		found = dict_find(&spam->domains, host) != DICT_NONE;
		host = span_from(host, span_find(host, '.') + 1);
	}
	pthread_rwlock_unlock(&spam->lock);
	return found;
}
