#include "services/ingress/rules.h"

#include <ctype.h>
#include <stdlib.h>

#include "lib/glob.h"

#define AGENT_MOST 1024 /* as events keep it */

/* Patterns of one kind, side by side. */
struct patterns {
	char **text; /* owned, each */
	size_t count;
};

struct rules {
	bool origin_required, refuses_bots, honours_dnt;
	struct addr_net *nets;
	size_t net_count;
	struct patterns origins, hosts, paths, agents;
};

static void patterns_free(struct patterns *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->text[i]);
	free(p->text);
}

void rules_free(struct rules **rules)
{
	struct rules *r = *rules;

	if (!r)
		return;
	patterns_free(&r->origins);
	patterns_free(&r->hosts);
	patterns_free(&r->paths);
	patterns_free(&r->agents);
	free(r->nets);
	free(r);
	*rules = NULL;
}

static int damaged(struct err *err)
{
	return err_set(err, -EBADMSG, "rules: the text is not one of ours");
}

static int patterns_add(struct patterns *p, const char *value, size_t most, struct err *err)
{
	if (!p->text)
		p->text = calloc(most, sizeof *p->text);
	if (p->text)
		p->text[p->count] = strdup(value);
	if (!p->text || !p->text[p->count])
		return err_set(err, -ENOMEM, "rules: no memory");
	p->count++;
	return 0;
}

static int nets_add(struct rules *r, const char *value, size_t most, struct err *err)
{
	if (!r->nets)
		r->nets = calloc(most, sizeof *r->nets);
	if (!r->nets)
		return err_set(err, -ENOMEM, "rules: no memory");
	if (addr_net_parse(&r->nets[r->net_count], span_of(value)))
		return damaged(err);
	r->net_count++;
	return 0;
}

/* One of `most` rules. */
static int rule_add(
	struct rules *r, const char *kind, const char *value, size_t most, struct err *err)
{
	const struct {
		const char *kind;
		struct patterns *patterns;
	} kinds[] = { { "origin", &r->origins }, { "host", &r->hosts }, { "path", &r->paths },
		{ "agent", &r->agents } };

	if (!strcmp(kind, "ip"))
		return nets_add(r, value, most, err);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(kind, kinds[i].kind))
			return patterns_add(kinds[i].patterns, value, most, err);
	return 0;
}

int rules_read(struct rules **out, const json_t *text, struct err *err)
{
	struct rules *r = calloc(1, sizeof *r);
	int origin_required, refuses_bots, honours_dnt, rc = 0;
	json_t *list, *rule;
	size_t i;

	*out = NULL;
	if (!r)
		return err_set(err, -ENOMEM, "rules: no memory");
	if (!text)
		goto none;
	if (json_unpack((json_t *)(uintptr_t)text, "[bbbo]", &origin_required, &refuses_bots,
		    &honours_dnt, &list) ||
		!json_is_array(list))
		rc = damaged(err);
	else
		json_array_foreach(list, i, rule)
		{
			const char *kind, *value;

			if (json_unpack(rule, "[ss]", &kind, &value))
				rc = damaged(err);
			else
				rc = rule_add(r, kind, value, json_array_size(list), err);
			if (rc)
				break;
		}
	if (rc)
		goto none;
	r->origin_required = origin_required;
	r->refuses_bots = refuses_bots;
	r->honours_dnt = honours_dnt;
	if (r->origin_required || r->refuses_bots || r->honours_dnt || r->net_count ||
		r->origins.count || r->hosts.count || r->paths.count || r->agents.count) {
		*out = r;
		return 0;
	}
none:
	rules_free(&r);
	return rc;
}

static bool any_fits(const struct patterns *p, struct span text)
{
	for (size_t i = 0; i < p->count; i++)
		if (glob_fits(span_of(p->text[i]), text))
			return true;
	return false;
}

static struct span lower(char *buf, size_t size, struct span text)
{
	size_t len = text.len < size ? text.len : size;

	for (size_t i = 0; i < len; i++)
		buf[i] = (char)tolower((unsigned char)text.ptr[i]);
	return (struct span){ buf, len };
}

static bool origin_fits(const struct patterns *origins, struct span origin)
{
	char buf[DROPPED_ORIGIN_MOST];

	return origin.len <= sizeof buf && any_fits(origins, lower(buf, sizeof buf, origin));
}

/* A pattern without "*" is a part of the agent. */
static bool agent_fits(const struct patterns *agents, struct span agent)
{
	char buf[AGENT_MOST];

	if (!agents->count)
		return false;
	agent = lower(buf, sizeof buf, agent);
	for (size_t i = 0; i < agents->count; i++) {
		struct span pattern = span_of(agents->text[i]);

		if (memchr(pattern.ptr, '*', pattern.len)
				? glob_fits(pattern, agent)
				: memmem(agent.ptr, agent.len, pattern.ptr, pattern.len) != NULL)
			return true;
	}
	return false;
}

static bool address_fits(const struct rules *r, const struct addr *address)
{
	for (size_t i = 0; address && i < r->net_count; i++)
		if (addr_net_holds(&r->nets[i], address))
			return true;
	return false;
}

enum dropped rules_refuse(const struct rules *r, const struct asked *asked)
{
	if (!r)
		return DROPPED_NONE;
	if (asked->from_page && asked->origin.len && r->origins.count &&
		!origin_fits(&r->origins, asked->origin))
		return DROPPED_ORIGIN;
	if (asked->from_page && !asked->origin.len && r->origin_required)
		return DROPPED_NO_ORIGIN;
	if (r->honours_dnt && asked->opts_out)
		return DROPPED_OPT_OUT;
	if (address_fits(r, asked->address))
		return DROPPED_IP;
	if (any_fits(&r->hosts, asked->host))
		return DROPPED_HOST;
	if (any_fits(&r->paths, asked->path))
		return DROPPED_PATH;
	if (agent_fits(&r->agents, asked->agent))
		return DROPPED_AGENT;
	return r->refuses_bots ? dropped_of_bot(asked->bot) : DROPPED_NONE;
}

bool rules_refuse_bots(const struct rules *rules)
{
	return rules && rules->refuses_bots;
}

bool rules_honour_dnt(const struct rules *rules)
{
	return rules && rules->honours_dnt;
}
