#include "services/worker/enrich.h"

#include <stdlib.h>

#include "lib/log.h"

struct enrich {
	struct ua_rules *ua;
	struct geo_db *geo;
	struct sources *sources;
	struct app *app;
	bool geo_damaged;          /* as was said in the log */
	int64_t lost_address_date; /* likewise, the last one */
};

int enrich_open(struct enrich **out, const char *ua_rules, const char *bot_agents,
	const char *geoip_db, const struct known_files *sources, struct app *app, struct err *err)
{
	struct enrich *e = calloc(1, sizeof *e);
	int rc;

	if (!e)
		return err_set(err, -ENOMEM, "enrich");
	e->app = app;
	rc = ua_rules_open(&e->ua, ua_rules, bot_agents, err);
	if (!rc)
		rc = geo_open(&e->geo, geoip_db, err);
	if (!rc)
		rc = sources_open(&e->sources, sources, err);
	if (rc)
		enrich_close(&e);
	else
		*out = e;
	return rc;
}

void enrich_close(struct enrich **e_p)
{
	if (!*e_p)
		return;
	ua_rules_close(&(*e_p)->ua);
	geo_close(&(*e_p)->geo);
	sources_close(&(*e_p)->sources);
	free(*e_p);
	*e_p = NULL;
}

void enrich_follow(struct enrich *e)
{
	sources_follow(e->sources);
}

/* Open the address with its date's key, look the place up, and forget the address. */
static int enrich_place(struct enrich *e, const struct event *ev, struct geo *geo, struct err *err)
{
	const struct event_day_keys *keys;
	struct addr client;
	struct err ignored;
	int rc;

	memset(geo, 0, sizeof *geo);
	if (!ev->address.len)
		return 0;
	rc = app_day_keys(e->app, ev->address_date, &keys, err);
	if (rc || !keys) /* the key was destroyed: nobody can know any more */
		return rc;
	/* Sealed with an earlier key of the date: of an older one a key is made again when events
	 * of it come, and of any when the app database was lost. */
	if (event_unseal(&client, keys, ev->site_id, ev->address, &ignored)) {
		if (ev->address_date != e->lost_address_date)
			log_warn("enrich: places are unknown, the date has another key by now: %s "
				 "site=%u date=%lld",
				ignored.msg, ev->site_id, (long long)ev->address_date);
		e->lost_address_date = ev->address_date;
		return 0;
	}
	if (geo_find(e->geo, &client, geo, &ignored) && !e->geo_damaged) {
		e->geo_damaged = true;
		log_error("enrich: %s", ignored.msg);
	}
	memset(&client, 0, sizeof client);
	return 0;
}

static int site_find(
	struct enrich *e, uint32_t site_id, const struct app_site **site, struct err *err)
{
	int rc = app_site(e->app, site_id, site, err);

	if (!rc && !*(*site)->domain)
		rc = err_set(err, -ENOENT, "there is no site %u any more", site_id);
	return rc;
}

int enrich_site_exists(struct enrich *e, uint32_t site_id, struct err *err)
{
	const struct app_site *site;

	return site_find(e, site_id, &site, err);
}

int enrich_event(struct enrich *e, const struct event *ev, struct enriched *out, struct err *err)
{
	int rc = site_find(e, ev->site_id, &out->site, err);

	if (!rc)
		rc = enrich_place(e, ev, &out->geo, err);
	if (rc)
		return rc;
	const struct ua_hints hints = { ev->ch_brands, ev->ch_platform, ev->ch_platform_version,
		ev->ch_model, ev->ch_mobile };
	struct span own[APP_OWN_MOST + 1] = { ev->host };
	size_t owns = 1 + app_own_hosts(out->site, own + 1);

	source_find(e->sources, ev, own, owns, &out->source);
	ua_parse(e->ua, ev->user_agent, &hints, &out->ua);
	return 0;
}
