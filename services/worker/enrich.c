#include "services/worker/enrich.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/screen.h"

/* The modules of lib/enrich know of no event; their bounds are its. */
_Static_assert(EVENT_AGENT_MOST == UA_AGENT_MOST && EVENT_BRANDS_MOST == UA_BRANDS_MOST &&
		       EVENT_HINT_MOST == UA_HINT_MOST,
	"what an event holds is looked at");
_Static_assert(
	(int)EVENT_MOBILE_NO == (int)UA_MOBILE_NO && (int)EVENT_MOBILE_YES == (int)UA_MOBILE_YES,
	"an event says of a hint what was said");

struct enrich {
	struct ua_rules *ua;
	struct places *places;
	struct sources *sources;
	struct app *app;
	int64_t lost_address_date; /* as was said in the log, the last one */
};

int enrich_open(
	struct enrich **out, const struct enrich_files *files, struct app *app, struct err *err)
{
	struct enrich *e = calloc(1, sizeof *e);
	int rc;

	if (!e)
		return err_set(err, -ENOMEM, "enrich");
	e->app = app;
	rc = places_open(&e->places, &files->place, err);
	if (!rc)
		rc = ua_rules_open(&e->ua, files->ua_rules, files->bot_agents, err);
	if (!rc)
		rc = sources_open(&e->sources, &files->sources, err);
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
	places_close(&(*e_p)->places);
	sources_close(&(*e_p)->sources);
	free(*e_p);
	*e_p = NULL;
}

void enrich_follow(struct enrich *e)
{
	int64_t now = clock_mono_us();

	places_follow(e->places, now);
	ua_rules_follow(e->ua, now);
	sources_follow(e->sources);
}

/* Open the address with its date's key. *known is false when there is none or nobody can know any
 * more. */
static int enrich_client(
	struct enrich *e, const struct event *ev, struct addr *client, bool *known, struct err *err)
{
	const struct event_day_keys *keys;
	struct err ignored;
	int rc;

	*known = false;
	if (!ev->address.len)
		return 0;
	rc = app_day_keys(e->app, ev->address_date, &keys, err);
	if (rc || !keys) /* the key was destroyed */
		return rc;
	/* Sealed with an earlier key of the date: of an older one a key is made again when events
	 * of it come, and of any when the app database was lost. */
	if (event_unseal(client, keys, ev->site_id, ev->address, &ignored)) {
		if (ev->address_date != e->lost_address_date)
			log_warn("enrich: places are unknown, the date has another key by now: %s "
				 "site=%u date=%lld",
				ignored.msg, ev->site_id, (long long)ev->address_date);
		e->lost_address_date = ev->address_date;
		return 0;
	}
	*known = true;
	return 0;
}

/* Look the place up, and forget the address. */
static int enrich_place(
	struct enrich *e, const struct event *ev, struct place *place, struct err *err)
{
	const struct place_hint hint = { ev->cdn_country, ev->cdn_region, ev->cdn_city };
	struct addr client;
	bool known;
	int rc = enrich_client(e, ev, &client, &known, err);

	if (rc)
		return rc;
	places_find(e->places, known ? &client : NULL, &hint, place);
	explicit_bzero(&client, sizeof client);
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
		rc = enrich_place(e, ev, &out->place, err);
	if (rc)
		return rc;
	const struct ua_hints hints = { ev->ch_brands, ev->ch_platform, ev->ch_platform_version,
		ev->ch_model, ev->ch_mobile };
	const struct source_clues clues = { .referrer = ev->referrer,
		.utm_source = ev->utm_source,
		.utm_medium = ev->utm_medium,
		.utm_campaign = ev->utm_campaign,
		.ref = ev->ref,
		.click_id = ev->click_id };
	struct span own[APP_OWN_MOST + 1] = { ev->host };
	size_t owns = 1 + app_own_hosts(out->site, own + 1);

	source_find(e->sources, &clues, own, owns, &out->source);
	ua_parse(e->ua, ev->user_agent, &hints, &out->ua);
	locale_parse(&out->locale, ev->language);
	out->screen = screen_class(ev->screen_width);
	return 0;
}
