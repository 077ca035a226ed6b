/* uap: the rules of ua-parser's uap-core (regexes.yaml), which say of a User-Agent what browser,
 * system and device it is, in uap-core's own words. Every regular expression is compiled by PCRE2
 * with JIT; the first that matches decides, as docs/specification.md of uap-core has it. What the
 * words mean for a report is ua.h's matter.
 *
 * A match costs a bounded number of steps whatever the agent says; a rule that reaches the bound
 * counts as one that does not match. One thread at a time. */
#ifndef FOOTFALL_UAP_H
#define FOOTFALL_UAP_H

#include "lib/err.h"
#include "lib/span.h"

/* Agents are cut to this for the rules: of uap-core's 18,000 cases none is longer, and the time
 * of some rules grows with the square of it. */
#define UAP_AGENT_MOST 512

#define UAP_NAME_SIZE    256
#define UAP_VERSION_SIZE 32

/* Strings are valid UTF-8 ('?' for a byte that was not), without blanks at the ends, and cut after
 * a whole character where they do not fit. Empty: not defined. A family no rule knows is "Other".
 */
struct uap {
	struct {
		char family[UAP_NAME_SIZE];
		char major[UAP_VERSION_SIZE], minor[UAP_VERSION_SIZE], patch[UAP_VERSION_SIZE];
	} browser;
	struct {
		char family[UAP_NAME_SIZE];
		char major[UAP_VERSION_SIZE], minor[UAP_VERSION_SIZE], patch[UAP_VERSION_SIZE];
		char patch_minor[UAP_VERSION_SIZE];
	} os;
	struct {
		char family[UAP_NAME_SIZE], brand[UAP_NAME_SIZE], model[UAP_NAME_SIZE];
	} device;
};

struct uap_rules; /* opaque */

/* Read and compile the rules of the file at path. On success *out is yours, end it with
 * uap_close(). -EINVAL: not the YAML of uap-core, or an expression that does not compile, and
 * where; -errno of opening the file; -ENOMEM. */
int uap_open(struct uap_rules **out, const char *path, struct err *err) MUST_CHECK;
void uap_close(struct uap_rules **rules_p); /* takes *rules_p, leaves NULL; NULL is fine */

/* How many rules there are. */
size_t uap_count(const struct uap_rules *rules);

/* What the rules say of agent (its first UAP_AGENT_MOST bytes). */
void uap_match(struct uap_rules *rules, struct span agent, struct uap *out);

#endif
