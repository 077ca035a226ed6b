#include "services/ingress/bots.h"

#include <stdlib.h>

#include "lib/agents.h"
#include "lib/spam.h"
#include "lib/url.h"

struct bots {
	struct agents *agents;
	struct spam *spam;
};

int bots_open(struct bots **out, const char *agents, const char *spam, struct err *err)
{
	struct bots *bots = calloc(1, sizeof *bots);
	int rc;

	if (!bots)
		return err_set(err, -ENOMEM, "bots");
	rc = agents_open(&bots->agents, agents, err);
	if (!rc)
		rc = spam_open(&bots->spam, spam, err);
	if (rc)
		bots_close(&bots);
	else
		*out = bots;
	return rc;
}

void bots_close(struct bots **bots)
{
	if (!*bots)
		return;
	agents_close(&(*bots)->agents);
	spam_close(&(*bots)->spam);
	free(*bots);
	*bots = NULL;
}

void bots_follow(struct bots *bots)
{
	spam_follow(bots->spam); /* agents follow by themselves */
}

bool bots_know_agent(struct bots *bots, struct span user_agent)
{
	return agent_is_bot(bots->agents, user_agent);
}

bool bots_know_referrer(struct bots *bots, struct span referrer)
{
	struct url url;

	return referrer.len && !url_split(&url, referrer) && spam_is_referrer(bots->spam, url.host);
}
