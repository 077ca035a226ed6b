/* Enrichment: what can be derived from an event by look-ups. One thread. */
#ifndef FOOTFALL_ENRICH_H
#define FOOTFALL_ENRICH_H

#include "lib/enrich/locale.h"
#include "lib/enrich/place.h"
#include "lib/enrich/source.h"
#include "lib/enrich/ua.h"
#include "lib/err.h"
#include "proto/event.h"
#include "services/worker/app.h"

struct enrich;

/* Texts are lent by the struct itself; empty when not known. The site is lent until the next
 * event's. */
struct enriched {
	const struct app_site *site;
	struct ua ua;
	struct source source;
	struct place place;
	struct locale locale;
	const char *screen; /* screen.h's class */
};

/* Paths of what is looked up in. */
struct enrich_files {
	const char *ua_rules, *bot_agents;
	struct place_files place;
	struct known_files sources;
};

/* app and the paths are borrowed until enrich_close(). */
int enrich_open(struct enrich **out, const struct enrich_files *files, struct app *app,
	struct err *err) MUST_CHECK;
void enrich_close(struct enrich **enrich);

/* Read again the files that have changed; cheap. What is new and bad is told of in the log. */
void enrich_follow(struct enrich *enrich);

/* Derive *out from *ev. -ENOENT: there is no such site any more; -EAGAIN: the app database is
 * needed and away; try again. */
int enrich_event(struct enrich *enrich, const struct event *ev, struct enriched *out,
	struct err *err) MUST_CHECK;

/* 0: there is such a site, else as above. */
int enrich_site_exists(struct enrich *enrich, uint32_t site_id, struct err *err) MUST_CHECK;

#endif
