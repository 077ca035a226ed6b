#include "lib/enrich/known_source.h"

#include <libpsl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "lib/addr.h"
#include "lib/dict.h"
#include "lib/settings.h"

#define KEY_MOST      300 /* a host and the beginning of a path; of longer ones none is known */
#define HOST_MOST     253 /* a DNS name */
#define TAG_MOST      255 /* as of an event's campaign parameters */
#define NAME_MOST     100 /* of a list */
#define SEGMENTS_MOST 3   /* of a path in a list */

struct name {
	char *text;
	enum source_kind kind;
};

/* What a host or an app is: a name, and a kind of its own: mail.yandex.ru is Yandex, but no search.
 */
struct place {
	uint32_t name;
	enum source_kind kind;
};

struct known_sources {
	psl_ctx_t *suffixes;
	struct dict hosts; /* "host", "host/path", "app": a number of place[] */
	struct dict names; /* in lower case: a number of name[] */
	struct dict
		tags; /* likewise, and short ones: "meta" is Facebook, but there is a Meta, too */
	struct place *place;
	struct name *name;
	size_t place_count, place_room, name_count, name_room;
};

/* A list as it is being read. */
struct list {
	struct known_sources *known;
	const char *path;
	yaml_document_t doc;
	struct err *err;
};

static int list_fail(const struct list *list, const yaml_node_t *node, const char *what)
{
	return err_set(list->err, -EINVAL, "sources %s, line %zu: %s", list->path,
		node ? node->start_mark.line + 1 : 1, what);
}

static int list_no_memory(const struct list *list)
{
	return err_set(list->err, -ENOMEM, "sources %s", list->path);
}

static yaml_node_t *node_at(struct list *list, int index)
{
	return yaml_document_get_node(&list->doc, index);
}

static struct span scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE
		       ? (struct span){ (const char *)node->data.scalar.value,
				 node->data.scalar.length }
		       : SPAN("");
}

/* Lower case into buf, of size bytes; empty when it does not fit. */
static struct span lower(char *buf, size_t size, struct span text)
{
	if (text.len > size)
		return (struct span){ buf, 0 };
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return (struct span){ buf, text.len };
}

static void *make_room(void *array, size_t count, size_t *room, size_t size)
{
	void *grown = array;

	if (count == *room) {
		grown = reallocarray(array, *room ? *room * 2 : 64, size);
		if (grown)
			*room = *room ? *room * 2 : 64;
	}
	return grown;
}

/* The number of a name, new or known. A kind that says more than "other" is kept from then on. */
static int name_number(struct list *list, struct span text, enum source_kind kind, uint32_t *out)
{
	struct known_sources *k = list->known;
	char buf[NAME_MOST];
	struct span low = lower(buf, sizeof buf, text);
	struct name *grown;
	int rc;

	if (!low.len)
		return list_fail(list, NULL, "a name that is empty or too long");
	*out = dict_find(&k->names, low);
	if (*out != DICT_NONE) {
		if (k->name[*out].kind == SOURCE_OTHER)
			k->name[*out].kind = kind;
		return 0;
	}
	grown = make_room(k->name, k->name_count, &k->name_room, sizeof *k->name);
	if (!grown)
		return list_no_memory(list);
	k->name = grown;
	*out = (uint32_t)k->name_count;
	k->name[*out] = (struct name){ strndup(text.ptr, text.len), kind };
	if (!k->name[*out].text)
		return list_no_memory(list);
	k->name_count++;
	rc = dict_add(&k->names, low, *out, NULL, list->err);
	return rc ? rc : dict_add(&k->tags, low, *out, NULL, list->err);
}

static int place_add(struct list *list, struct span key, uint32_t name, enum source_kind kind)
{
	struct known_sources *k = list->known;
	struct place *grown;

	if (dict_find(&k->hosts, key) != DICT_NONE)
		return 0;
	grown = make_room(k->place, k->place_count, &k->place_room, sizeof *k->place);
	if (!grown)
		return list_no_memory(list);
	k->place = grown;
	k->place[k->place_count] = (struct place){ name, kind };
	return dict_add(&k->hosts, key, (uint32_t)k->place_count++, NULL, list->err);
}

/* One of what is known by a name: with a dot a host or an app, else a tag. */
static int key_add(struct list *list, const yaml_node_t *node, uint32_t name, enum source_kind kind)
{
	char buf[KEY_MOST];
	struct span key = lower(buf, sizeof buf, scalar(node));

	if (!key.len)
		return list_fail(list, node, "not a host or a short name, or too long");
	if (span_find(key, '.') == key.len)
		return dict_add(&list->known->tags, key, name, NULL, list->err);
	if (span_starts_with(key, SPAN("www.")))
		key = span_from(key, 4);
	while (key.len > 1 && key.ptr[key.len - 1] == '/')
		key.len--;
	return place_add(list, key, name, kind);
}

static int keys_add(
	struct list *list, const yaml_node_t *keys, struct span name_text, enum source_kind kind)
{
	uint32_t name;
	int rc = name_number(list, name_text, kind, &name);

	if (!rc && (!keys || keys->type != YAML_SEQUENCE_NODE))
		rc = list_fail(list, keys, "not a list of hosts");
	for (yaml_node_item_t *i = rc ? NULL : keys->data.sequence.items.start;
		!rc && i < keys->data.sequence.items.top; i++)
		rc = key_add(list, node_at(list, *i), name, kind);
	return rc;
}

static int map_expect(struct list *list, const yaml_node_t *node, const char *what)
{
	return node && node->type == YAML_MAPPING_NODE ? 0 : list_fail(list, node, what);
}

/* {name: [host, …]} */
static int read_names(struct list *list, const yaml_node_t *map, enum source_kind kind)
{
	int rc = map_expect(list, map, "not a map of names");

	if (rc)
		return rc;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		!rc && pair < map->data.mapping.pairs.top; pair++)
		rc = keys_add(
			list, node_at(list, pair->value), scalar(node_at(list, pair->key)), kind);
	return rc;
}

/* {kind: {name: [host, …]}} */
static int read_kinds(struct list *list, const yaml_node_t *map)
{
	static const char *const kinds[SOURCE_KINDS] = { [SOURCE_OTHER] = "other",
		[SOURCE_SEARCH] = "search",
		[SOURCE_SOCIAL] = "social",
		[SOURCE_VIDEO] = "video",
		[SOURCE_SHOPPING] = "shopping",
		[SOURCE_EMAIL] = "email",
		[SOURCE_AI] = "ai" };
	int rc = map_expect(list, map, "not a map of kinds");

	if (rc)
		return rc;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		!rc && pair < map->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = node_at(list, pair->key);
		int kind = 0;

		while (kind < SOURCE_KINDS && !span_equals(scalar(key), span_of(kinds[kind])))
			kind++;
		rc = kind < SOURCE_KINDS
			     ? read_names(list, node_at(list, pair->value), (enum source_kind)kind)
			     : list_fail(list, key, "not a kind of source");
	}
	return rc;
}

static const yaml_node_t *member(struct list *list, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *i = map->data.mapping.pairs.start; i < map->data.mapping.pairs.top;
		i++)
		if (span_equals(scalar(node_at(list, i->key)), span_of(name)))
			return node_at(list, i->value);
	return NULL;
}

/* {name: [{urls: [host, …], …}, …]} */
static int read_engines(struct list *list, const yaml_node_t *map)
{
	int rc = map_expect(list, map, "not a map of search engines");

	if (rc)
		return rc;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		!rc && pair < map->data.mapping.pairs.top; pair++) {
		struct span name = scalar(node_at(list, pair->key));
		const yaml_node_t *groups = node_at(list, pair->value);

		if (!groups || groups->type != YAML_SEQUENCE_NODE)
			return list_fail(list, groups, "not a list of what a search engine has");
		for (yaml_node_item_t *i = groups->data.sequence.items.start;
			!rc && i < groups->data.sequence.items.top; i++)
			rc = keys_add(
				list, member(list, node_at(list, *i), "urls"), name, SOURCE_SEARCH);
	}
	return rc;
}

/* {host: {"medium": …, "source": name}}, which is YAML as well. */
static int read_referrers(struct list *list, const yaml_node_t *map)
{
	static const struct {
		const char *medium;
		enum source_kind kind;
	} mediums[] = { { "search", SOURCE_SEARCH }, { "social", SOURCE_SOCIAL },
		{ "email", SOURCE_EMAIL } };
	int rc = map_expect(list, map, "not a map of hosts");

	if (rc)
		return rc;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		!rc && pair < map->data.mapping.pairs.top; pair++) {
		const yaml_node_t *what = node_at(list, pair->value);
		struct span medium = scalar(member(list, what, "medium"));
		enum source_kind kind = SOURCE_OTHER;
		uint32_t name;

		for (size_t i = 0; i < sizeof mediums / sizeof *mediums; i++)
			if (span_equals(medium, span_of(mediums[i].medium)))
				kind = mediums[i].kind;
		rc = name_number(list, scalar(member(list, what, "source")), kind, &name);
		if (!rc)
			rc = key_add(list, node_at(list, pair->key), name, kind);
	}
	return rc;
}

static int read_list(struct list *list, enum known_list which)
{
	const yaml_node_t *root = yaml_document_get_root_node(&list->doc);

	switch (which) {
	case LIST_OWN:
		return read_kinds(list, root);
	case LIST_ASSISTANTS:
		return read_names(list, root, SOURCE_AI);
	case LIST_REFERRERS:
		return read_referrers(list, root);
	case LIST_SOCIALS:
		return read_names(list, root, SOURCE_SOCIAL);
	case LIST_ENGINES:
		break;
	}
	return read_engines(list, root);
}

static int load_parsed(struct list *list, enum known_list which, FILE *file)
{
	yaml_parser_t parser;
	int rc;

	if (!yaml_parser_initialize(&parser))
		return list_no_memory(list);
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &list->doc)) {
		rc = err_set(list->err, -EINVAL, "sources %s, line %zu: %s", list->path,
			parser.problem_mark.line + 1, parser.problem ? parser.problem : "not YAML");
	} else {
		rc = read_list(list, which);
		yaml_document_delete(&list->doc);
	}
	yaml_parser_delete(&parser);
	return rc;
}

static int load(
	struct known_sources *known, enum known_list which, const char *path, struct err *err)
{
	struct list list = { .known = known, .path = path, .err = err };
	FILE *file = fopen(path, "re");
	int rc;

	if (!file)
		return err_set(err, -errno, "sources %s: %s", path, strerror(errno));
	rc = load_parsed(&list, which, file);
	fclose(file);
	return rc;
}

struct known_files known_files_of(const struct settings *settings)
{
	return (struct known_files){ {
		[LIST_OWN] = settings->sources,
		[LIST_ASSISTANTS] = settings->ai_assistants,
		[LIST_REFERRERS] = settings->referrers,
		[LIST_SOCIALS] = settings->socials,
		[LIST_ENGINES] = settings->search_engines,
	} };
}

int known_open(struct known_sources **out, const struct known_files *files, struct err *err)
{
	struct known_sources *known = calloc(1, sizeof *known);
	int rc = known ? 0 : err_set(err, -ENOMEM, "sources");

	if (!rc && !(known->suffixes = psl_latest(NULL)))
		rc = err_set(err, -ENOENT, "sources: libpsl has no list of public suffixes");
	for (int i = 0; !rc && i < KNOWN_LISTS; i++)
		rc = load(known, (enum known_list)i, files->path[i], err);
	if (rc)
		known_close(&known);
	else
		*out = known;
	malloc_trim(0); /* reading them took three times what they are */
	return rc;
}

void known_close(struct known_sources **known_p)
{
	struct known_sources *known = *known_p;

	*known_p = NULL;
	if (!known)
		return;
	for (size_t i = 0; i < known->name_count; i++)
		free(known->name[i].text);
	free(known->name);
	free(known->place);
	dict_clear(&known->hosts);
	dict_clear(&known->names);
	dict_clear(&known->tags);
	psl_free(known->suffixes);
	free(known);
}

size_t known_count(const struct known_sources *known)
{
	return (size_t)known->hosts.count + known->tags.count;
}

static bool name_found(const struct known_sources *known, uint32_t name, struct known_source *out)
{
	*out = (struct known_source){ span_of(known->name[name].text), known->name[name].kind,
		false };
	return true;
}

static bool place_found(
	const struct known_sources *known, struct span key, struct known_source *out)
{
	uint32_t place = dict_find(&known->hosts, key);

	if (place == DICT_NONE)
		return false;
	name_found(known, known->place[place].name, out);
	if (known->place[place].kind != SOURCE_OTHER)
		out->kind = known->place[place].kind;
	return true;
}

static struct span append(char *buf, struct span text, struct span more)
{
	more = span_first(more, KEY_MOST - text.len);
	memcpy(buf + text.len, more.ptr, more.len);
	return (struct span){ buf, text.len + more.len };
}

/* The host in buf with the longest beginning of path that is known, or alone. */
static bool key_found(const struct known_sources *known, char buf[KEY_MOST], struct span host,
	struct span path, struct known_source *out)
{
	size_t end[SEGMENTS_MOST], segments = 0, at = 1;

	while (segments < SEGMENTS_MOST && at < path.len) {
		at += span_find(span_from(path, at), '/');
		end[segments++] = at++;
	}
	for (; segments; segments--)
		if (place_found(known, append(buf, host, span_first(path, end[segments - 1])), out))
			return true;
	return place_found(known, host, out);
}

/* NUL-terminated, as libpsl wants it. False: it is no DNS name. */
static bool name_copy(char buf[HOST_MOST + 1], struct span host)
{
	struct addr addr;

	if (!host.len || host.len > HOST_MOST || span_find(host, ':') < host.len ||
		span_find(host, '\0') < host.len || !addr_parse(&addr, host))
		return false;
	memcpy(buf, host.ptr, host.len);
	buf[host.len] = '\0';
	return true;
}

/* Where in host its registrable domain begins, and its public suffix if that is a country's
 * ("co.uk" in "google.co.uk"), else 0. */
struct parts {
	size_t domain_at, country_at;
};

static void parts_find(struct parts *parts, const struct known_sources *known, struct span host)
{
	char copy[HOST_MOST + 1];
	const char *domain, *suffix, *last;

	parts->domain_at = parts->country_at = 0;
	if (!name_copy(copy, host))
		return;
	domain = psl_registrable_domain(known->suffixes, copy);
	suffix = domain ? strchr(domain, '.') : NULL;
	last = strrchr(copy, '.');
	if (!suffix)
		return;
	parts->domain_at = (size_t)(domain - copy);
	/* Not a company's: google.blogspot.de is no Google. */
	if (strlen(last + 1) == 2 && psl_is_public_suffix2(known->suffixes, suffix + 1,
					     PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE))
		parts->country_at = (size_t)(suffix + 1 - copy);
}

/* host with "{}" for the country that it ends with, from byte country_at on, or begins with. */
static bool country_found(const struct known_sources *known, struct span host, size_t country_at,
	struct span path, struct known_source *out)
{
	char buf[KEY_MOST];
	struct span any;

	if (country_at) {
		any = append(buf, (struct span){ buf, 0 }, span_first(host, country_at));
		if (key_found(known, buf, append(buf, any, SPAN("{}")), path, out))
			return true;
	}
	if (span_find(host, '.') != 2)
		return false;
	any = append(buf, (struct span){ buf, 0 }, SPAN("{}"));
	return key_found(known, buf, append(buf, any, span_from(host, 2)), path, out);
}

bool known_host(const struct known_sources *known, struct span host, struct span path,
	struct known_source *out, struct span *domain)
{
	char buf[KEY_MOST];
	struct parts parts;
	size_t at = 0;

	*domain = host;
	/* Most are known as they are: suffixes need not be looked for. */
	if (host.len > HOST_MOST ||
		key_found(known, buf, append(buf, (struct span){ buf, 0 }, host), path, out))
		return host.len <= HOST_MOST;
	parts_find(&parts, known, host);
	*domain = span_from(host, parts.domain_at);
	for (;;) {
		struct span below = span_from(host, at);

		if (at && key_found(known, buf, append(buf, (struct span){ buf, 0 }, below), path,
				  out))
			return true;
		if (country_found(known, below, parts.country_at > at ? parts.country_at - at : 0,
			    path, out))
			return true;
		if (at >= parts.domain_at)
			return false;
		at += span_find(below, '.') + 1;
	}
}

bool known_app(const struct known_sources *known, struct span app, struct known_source *out)
{
	char buf[KEY_MOST];

	app = lower(buf, sizeof buf, app);
	return app.len && place_found(known, app, out);
}

static bool tag_found(const struct known_sources *known, struct span tag, struct known_source *out)
{
	uint32_t name = dict_find(&known->tags, tag);

	return name != DICT_NONE && name_found(known, name, out);
}

static size_t ad_len(struct span tag)
{
	return span_ends_with(tag, SPAN("ads")) ? 3 : span_ends_with(tag, SPAN("ad")) ? 2 : 0;
}

/* "fb-ads", "google ads", "yt_ad": a name we know, and that it is an advertisement. */
static bool ad_found(const struct known_sources *known, struct span tag, struct known_source *out)
{
	if (!ad_len(tag))
		return false;
	tag.len -= ad_len(tag);
	if (tag.len && memchr("-_ ", tag.ptr[tag.len - 1], 3))
		tag.len--;
	if (!tag_found(known, tag, out))
		return false;
	out->paid = true;
	return true;
}

bool known_tag(const struct known_sources *known, struct span tag, struct known_source *out)
{
	char buf[TAG_MOST];
	struct span domain;

	tag = lower(buf, sizeof buf, span_trim(tag));
	if (!tag.len)
		return false;
	if (tag_found(known, tag, out)) {
		/* "adwords" is what Google's were called until 2018; "threads" is a name. */
		out->paid = span_equals(tag, SPAN("adwords")) ||
			    (ad_len(tag) && !span_equals_nocase(tag, out->name));
		return true;
	}
	if (ad_found(known, tag, out))
		return true;
	if (span_starts_with(tag, SPAN("www.")))
		tag = span_from(tag, 4);
	return span_find(tag, '.') < tag.len && span_find(tag, ' ') == tag.len &&
	       known_host(known, tag, SPAN(""), out, &domain);
}
