#include "lib/enrich/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/utf8.h"
#include "lib/watch.h"

#define ANDROID_APP "android-app://"

struct sources {
	struct known_sources *known;
	struct known_files files; /* owned */
	struct watch watch[KNOWN_LISTS];
};

static void files_clear(struct known_files *files)
{
	for (int i = 0; i < KNOWN_LISTS; i++)
		free((char *)(uintptr_t)files->path[i]);
}

int sources_open(struct sources **out, const struct known_files *files, struct err *err)
{
	struct sources *s = calloc(1, sizeof *s);
	int rc = s ? 0 : err_set(err, -ENOMEM, "sources");

	for (int i = 0; !rc && i < KNOWN_LISTS; i++) {
		s->files.path[i] = strdup(files->path[i]);
		if (s->files.path[i])
			watch_init(&s->watch[i], s->files.path[i], clock_mono_us());
		else
			rc = err_set(err, -ENOMEM, "sources");
	}
	if (!rc)
		rc = known_open(&s->known, &s->files, err);
	if (rc)
		sources_close(&s);
	else
		*out = s;
	return rc;
}

void sources_close(struct sources **sources_p)
{
	struct sources *s = *sources_p;

	*sources_p = NULL;
	if (!s)
		return;
	known_close(&s->known);
	files_clear(&s->files);
	free(s);
}

bool sources_follow(struct sources *s)
{
	struct known_sources *now;
	bool changed = false;
	int64_t mono_us = clock_mono_us();
	struct err err;

	for (int i = 0; i < KNOWN_LISTS; i++)
		changed |= watch_has_changed(&s->watch[i], mono_us);
	if (!changed)
		return false;
	if (known_open(&now, &s->files, &err)) {
		log_error("source: going on with the lists read before: %s", err.msg);
		return true;
	}
	known_close(&s->known);
	s->known = now;
	log_info("source: lists read again names=%zu", known_count(now));
	return true;
}

/* The path of a cleaned referrer, behind host and port. */
static struct span path_of(struct span referrer)
{
	return span_from(referrer, span_find(referrer, '/'));
}

static struct span bare_host(struct span host)
{
	host = span_trim(host);
	if (span_equals_nocase(span_first(host, 4), SPAN("www.")) && host.len > 4)
		host = span_from(host, 4);
	return host;
}

/* Whether one of the site's own hosts is of that registrable domain. */
static bool is_own_domain(struct span domain, const struct span *own_hosts, size_t own_count)
{
	for (size_t i = 0; i < own_count; i++) {
		size_t more = own_hosts[i].len - domain.len; /* what stands before it */

		if (own_hosts[i].len >= domain.len &&
			span_equals_nocase(span_from(own_hosts[i], more), domain) &&
			(!more || own_hosts[i].ptr[more - 1] == '.'))
			return true;
	}
	return false;
}

/* Name the host or app that the referrer is of. */
static struct span referrer_name(const struct sources *s, const struct span *own_hosts,
	size_t own_count, const struct source *out, struct known_source *known)
{
	struct span host = out->parsed.source, domain;

	if (span_starts_with(host, SPAN(ANDROID_APP)))
		return known_app(s->known, span_from(host, strlen(ANDROID_APP)), known)
			       ? known->name
			       : host;
	if (known_host(s->known, host, path_of(out->parsed.referrer), known, &domain))
		return known->name;
	return is_own_domain(domain, own_hosts, own_count) ? host : domain;
}

void source_find(const struct sources *s, const struct source_clues *clues,
	const struct span *own_hosts, size_t own_count, struct source *out)
{
	struct span tag = clues->utm_source.len ? clues->utm_source : clues->ref, name = SPAN("");
	struct known_source known = { .kind = SOURCE_OTHER };
	struct channel_clues way;

	referrer_parse(&out->parsed, clues->referrer, own_hosts, own_count);
	out->referrer = out->parsed.referrer;
	if (tag.len)
		name = known_tag(s->known, tag, &known) ? known.name : bare_host(tag);
	else if (out->parsed.source.len)
		name = referrer_name(s, own_hosts, own_count, out, &known);
	/* Lists may be read again before the name is used: it is copied. */
	out->name = utf8_clean(out->text, sizeof out->text, name);
	way = (struct channel_clues){ .source = out->name,
		.kind = known.kind,
		.paid = known.paid && clues->utm_source.len,
		.utm_source = clues->utm_source,
		.utm_medium = clues->utm_medium,
		.utm_campaign = clues->utm_campaign,
		.click_id = clues->click_id };
	out->channel = channel_of(&way);
}
