#define PCRE2_CODE_UNIT_WIDTH 8
#include "lib/enrich/uap.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "lib/needles.h"
#include "lib/utf8.h"

/* The bound of one rule, in PCRE2's steps: of uap-core's cases one needs more than 1,000 and none
 * 3,000; 20,000 take some 0.05 ms. */
#define MATCH_STEPS_MOST 20000
#define MATCH_HEAP_KIB   64 /* only where JIT is not to be had */

#define RULES_MOST  NEEDLES_INDEX_MOST /* uap-core has 1,175 in all */
#define GROUPS_MOST 10                 /* $0, which nobody uses, to $9 */
#define FIELDS_MOST 5

enum section { BROWSER, OS, DEVICE, SECTIONS };

/* What a section yields: each field is its replacement where the rule has one, else a group. */
static const struct {
	const char *key;
	size_t fields;
	struct {
		const char *replacement;
		uint32_t group; /* 0: none */
	} field[FIELDS_MOST];
} sections[SECTIONS] = {
	[BROWSER] = { "user_agent_parsers", 4,
		{ { "family_replacement", 1 }, { "v1_replacement", 2 }, { "v2_replacement", 3 },
			{ "v3_replacement", 4 } } },
	[OS] = { "os_parsers", 5,
		{ { "os_replacement", 1 }, { "os_v1_replacement", 2 }, { "os_v2_replacement", 3 },
			{ "os_v3_replacement", 4 }, { "os_v4_replacement", 5 } } },
	[DEVICE] = { "device_parsers", 3,
		{ { "device_replacement", 1 }, { "brand_replacement", 0 },
			{ "model_replacement", 1 } } },
};

struct rule {
	pcre2_code *code;
	char *replacement[FIELDS_MOST]; /* NULL: none */
};

struct uap_rules {
	pcre2_match_context *context;
	pcre2_match_data *match;
	struct {
		struct rule *rule;
		struct needles *needles; /* of each rule */
		size_t count, room;
		struct needles_index *index; /* of the rules, when all are there */
	} section[SECTIONS];
};

/* A place for one field of struct uap. */
struct field {
	char *text;
	size_t size;
};

/* Reading the YAML, event by event: a map of sections, each a list of maps of strings. */
struct loader {
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	struct uap_rules *rules;
	const char *path;
	struct err *err;
};

static void rule_clear(struct rule *rule)
{
	pcre2_code_free(rule->code);
	for (size_t i = 0; i < FIELDS_MOST; i++)
		free(rule->replacement[i]);
}

static int load_fail(struct loader *l, size_t line, const char *what)
{
	return err_set(
		l->err, -EINVAL, "user agent rules %s, line %zu: %s", l->path, line + 1, what);
}

/* Step to the next event, which is l->event until the step after. */
static int load_next(struct loader *l)
{
	if (l->has_event)
		yaml_event_delete(&l->event);
	l->has_event = yaml_parser_parse(&l->parser, &l->event);
	if (l->has_event)
		return 0;
	return load_fail(
		l, l->parser.problem_mark.line, l->parser.problem ? l->parser.problem : "not YAML");
}

static int load_expect(struct loader *l, yaml_event_type_t type)
{
	int rc = load_next(l);

	if (!rc && l->event.type != type)
		rc = load_fail(l, l->event.start_mark.line, "not what uap-core's rules have here");
	return rc;
}

static bool load_is(const struct loader *l, const char *text)
{
	return l->event.type == YAML_SCALAR_EVENT &&
	       !strcmp((const char *)l->event.data.scalar.value, text);
}

static int rule_compile(struct loader *l, struct rule *rule, struct needles *needles,
	const char *regex, uint32_t options, size_t line)
{
	unsigned char why[160];
	PCRE2_SIZE where;
	int code;

	rule->code = pcre2_compile(
		(PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, options, &code, &where, NULL);
	if (!rule->code) {
		pcre2_get_error_message(code, why, sizeof why);
		return load_fail(l, line, (const char *)why);
	}
	/* Without JIT (a kernel that forbids writable code) the same rules are only slower. */
	code = pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE);
	if (code == PCRE2_ERROR_NOMEMORY || needles_init(needles, regex))
		return err_set(l->err, -ENOMEM, "user agent rules");
	return 0;
}

/* One key of a rule and its value. Keys we do not know change nothing that we use. */
static int rule_set(
	struct loader *l, enum section section, struct rule *rule, char **regex, uint32_t *options)
{
	char **place = NULL;
	bool flag = load_is(l, "regex_flag");
	int rc;

	if (l->event.type != YAML_SCALAR_EVENT)
		return load_fail(l, l->event.start_mark.line, "not a key of a rule");
	if (load_is(l, "regex"))
		place = regex;
	for (size_t i = 0; i < sections[section].fields; i++)
		if (load_is(l, sections[section].field[i].replacement))
			place = &rule->replacement[i];
	rc = load_expect(l, YAML_SCALAR_EVENT);
	if (rc)
		return rc;
	if (flag && !load_is(l, "i"))
		return load_fail(l, l->event.start_mark.line, "a regex_flag other than 'i'");
	if (flag)
		*options |= PCRE2_CASELESS;
	if (!place)
		return 0;
	if (*place)
		return load_fail(l, l->event.start_mark.line, "a key given twice");
	*place = strdup((const char *)l->event.data.scalar.value);
	return *place ? 0 : err_set(l->err, -ENOMEM, "user agent rules");
}

/* The event is the start of a rule's map; afterwards it is its end. */
static int load_rule(
	struct loader *l, enum section section, struct rule *rule, struct needles *needles)
{
	size_t line = l->event.start_mark.line;
	uint32_t options = 0;
	char *regex = NULL;
	int rc = load_next(l);

	while (!rc && l->event.type != YAML_MAPPING_END_EVENT) {
		rc = rule_set(l, section, rule, &regex, &options);
		if (!rc)
			rc = load_next(l);
	}
	if (!rc && !regex)
		rc = load_fail(l, line, "a rule without regex");
	if (!rc)
		rc = rule_compile(l, rule, needles, regex, options, line);
	free(regex);
	return rc;
}

/* Room for another rule, at the end of its section. */
static int rule_add(struct loader *l, enum section section)
{
	size_t count = l->rules->section[section].count, room = l->rules->section[section].room;
	struct needles *needles;
	struct rule *rule;

	if (count == RULES_MOST)
		return load_fail(l, l->event.start_mark.line, "too many rules");
	if (count == room) {
		room = room ? room * 2 : 256;
		rule = reallocarray(l->rules->section[section].rule, room, sizeof *rule);
		if (rule)
			l->rules->section[section].rule = rule;
		needles = reallocarray(l->rules->section[section].needles, room, sizeof *needles);
		if (needles)
			l->rules->section[section].needles = needles;
		if (!rule || !needles)
			return err_set(l->err, -ENOMEM, "user agent rules");
		l->rules->section[section].room = room;
	}
	l->rules->section[section].count++;
	l->rules->section[section].rule[count] = (struct rule){ .code = NULL };
	l->rules->section[section].needles[count] = (struct needles){ .code = NULL };
	return 0;
}

static int load_section(struct loader *l)
{
	int section = 0, rc;

	while (section < SECTIONS && !load_is(l, sections[section].key))
		section++;
	if (section == SECTIONS)
		return load_fail(l, l->event.start_mark.line, "not a section of uap-core's rules");
	rc = load_expect(l, YAML_SEQUENCE_START_EVENT);
	if (!rc)
		rc = load_next(l);
	while (!rc && l->event.type == YAML_MAPPING_START_EVENT) {
		size_t number = l->rules->section[section].count;

		rc = rule_add(l, (enum section)section);
		if (!rc)
			rc = load_rule(l, (enum section)section,
				&l->rules->section[section].rule[number],
				&l->rules->section[section].needles[number]);
		if (!rc)
			rc = load_next(l);
	}
	if (!rc && l->event.type != YAML_SEQUENCE_END_EVENT)
		rc = load_fail(l, l->event.start_mark.line, "not a rule");
	return rc;
}

static int load_sections(struct loader *l)
{
	int rc = load_expect(l, YAML_STREAM_START_EVENT);

	if (!rc)
		rc = load_expect(l, YAML_DOCUMENT_START_EVENT);
	if (!rc)
		rc = load_expect(l, YAML_MAPPING_START_EVENT);
	if (!rc)
		rc = load_next(l);
	while (!rc && l->event.type != YAML_MAPPING_END_EVENT) {
		rc = load_section(l);
		if (!rc)
			rc = load_next(l);
	}
	for (size_t i = 0; !rc && i < SECTIONS; i++)
		if (!l->rules->section[i].count)
			rc = err_set(l->err, -EINVAL, "user agent rules %s: no %s", l->path,
				sections[i].key);
	return rc;
}

static int load(struct uap_rules *rules, const char *path, struct err *err)
{
	struct loader l = { .rules = rules, .path = path, .err = err };
	FILE *file = fopen(path, "re");
	int rc;

	if (!file)
		return err_set(err, -errno, "user agent rules %s: %s", path, strerror(errno));
	if (!yaml_parser_initialize(&l.parser)) {
		fclose(file);
		return err_set(err, -ENOMEM, "user agent rules %s", path);
	}
	yaml_parser_set_input_file(&l.parser, file);
	rc = load_sections(&l);
	if (l.has_event)
		yaml_event_delete(&l.event);
	yaml_parser_delete(&l.parser);
	fclose(file);
	return rc;
}

int uap_open(struct uap_rules **out, const char *path, struct err *err)
{
	struct uap_rules *rules = calloc(1, sizeof *rules);
	int rc;

	if (!rules)
		return err_set(err, -ENOMEM, "user agent rules");
	rules->context = pcre2_match_context_create(NULL);
	rules->match = pcre2_match_data_create(GROUPS_MOST, NULL);
	if (!rules->context || !rules->match) {
		rc = err_set(err, -ENOMEM, "user agent rules");
		goto fail;
	}
	pcre2_set_match_limit(rules->context, MATCH_STEPS_MOST);
	pcre2_set_depth_limit(rules->context, MATCH_STEPS_MOST);
	pcre2_set_heap_limit(rules->context, MATCH_HEAP_KIB);
	rc = load(rules, path, err);
	for (size_t i = 0; !rc && i < SECTIONS; i++) {
		rules->section[i].index =
			needles_index_new(rules->section[i].needles, rules->section[i].count);
		if (!rules->section[i].index)
			rc = err_set(err, -ENOMEM, "user agent rules");
	}
	if (rc)
		goto fail;
	*out = rules;
	return 0;
fail:
	uap_close(&rules);
	return rc;
}

void uap_close(struct uap_rules **rules_p)
{
	struct uap_rules *rules = *rules_p;

	*rules_p = NULL;
	if (!rules)
		return;
	for (size_t i = 0; i < SECTIONS; i++) {
		for (size_t k = 0; k < rules->section[i].count; k++) {
			rule_clear(&rules->section[i].rule[k]);
			needles_clear(&rules->section[i].needles[k]);
		}
		needles_index_free(&rules->section[i].index);
		free(rules->section[i].rule);
		free(rules->section[i].needles);
	}
	pcre2_match_data_free(rules->match);
	pcre2_match_context_free(rules->context);
	free(rules);
}

size_t uap_count(const struct uap_rules *rules)
{
	size_t count = 0;

	for (size_t i = 0; i < SECTIONS; i++)
		count += rules->section[i].count;
	return count;
}

/* The first rule of a section that matches, or NULL; its groups are in rules->match. */
static const struct rule *first_match(struct uap_rules *rules, enum section section,
	struct span agent, const struct trigrams *trigrams, uint32_t *groups)
{
	const struct needles_index *index = rules->section[section].index;
	struct needles_found found;

	needles_index_find(&found, index, trigrams);
	for (size_t i = 0; (i = needles_index_next(&found, index, i)) != NEEDLES_NONE; i++) {
		const struct rule *rule = &rules->section[section].rule[i];
		int rc = pcre2_match(rule->code, (PCRE2_SPTR)agent.ptr, agent.len, 0, 0,
			rules->match, rules->context);

		if (rc < 0)
			continue;
		*groups = rc ? (uint32_t)rc : GROUPS_MOST; /* 0: there were more */
		return rule;
	}
	return NULL;
}

/* The text of a group: empty where it took no part in the match, or there is none of that number.
 */
static struct span group_text(
	struct uap_rules *rules, struct span agent, uint32_t groups, uint32_t group)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(rules->match) + 2 * (size_t)group;

	if (!group || group >= groups || at[0] == PCRE2_UNSET)
		return (struct span){ agent.ptr, 0 };
	return (struct span){ agent.ptr + at[0], at[1] - at[0] };
}

static void field_set(struct field field, struct span text)
{
	field.text[utf8_clean(field.text, field.size - 1, span_trim(text)).len] = '\0';
}

static void append(char *out, size_t size, size_t *used, struct span text)
{
	text = span_first(text, size - *used);
	memcpy(out + *used, text.ptr, text.len);
	*used += text.len;
}

/* Fill one field with a replacement, "$1" to "$9" in it being the groups. */
static void replace(struct uap_rules *rules, struct span agent, uint32_t groups,
	const char *replacement, struct field out)
{
	char text[UAP_AGENT_MOST];
	size_t used = 0;

	for (const char *at = replacement; *at; at++) {
		if (at[0] == '$' && at[1] >= '1' && at[1] <= '9') {
			uint32_t group = (uint32_t)(*++at - '0');

			append(text, sizeof text, &used, group_text(rules, agent, groups, group));
		} else {
			append(text, sizeof text, &used, (struct span){ at, 1 });
		}
	}
	field_set(out, (struct span){ text, used });
}

static bool section_match(struct uap_rules *rules, enum section section, struct span agent,
	const struct trigrams *trigrams, const struct field *field)
{
	uint32_t groups = 0;
	const struct rule *rule = first_match(rules, section, agent, trigrams, &groups);

	for (size_t i = 0; rule && i < sections[section].fields; i++) {
		if (rule->replacement[i])
			replace(rules, agent, groups, rule->replacement[i], field[i]);
		else
			field_set(field[i],
				group_text(rules, agent, groups, sections[section].field[i].group));
	}
	return rule && field[0].text[0];
}

#define FIELD(array) ((struct field){ (array), sizeof(array) })

void uap_match(struct uap_rules *rules, struct span agent, struct uap *out)
{
	const struct field browser[] = { FIELD(out->browser.family), FIELD(out->browser.major),
		FIELD(out->browser.minor), FIELD(out->browser.patch) };
	const struct field os[] = { FIELD(out->os.family), FIELD(out->os.major),
		FIELD(out->os.minor), FIELD(out->os.patch), FIELD(out->os.patch_minor) };
	const struct field device[] = { FIELD(out->device.family), FIELD(out->device.brand),
		FIELD(out->device.model) };
	struct trigrams trigrams;

	memset(out, 0, sizeof *out);
	agent = agent.len ? span_first(agent, UAP_AGENT_MOST) : SPAN("");
	trigrams_of(&trigrams, agent);
	if (!section_match(rules, BROWSER, agent, &trigrams, browser))
		field_set(browser[0], SPAN("Other"));
	if (!section_match(rules, OS, agent, &trigrams, os))
		field_set(os[0], SPAN("Other"));
	if (!section_match(rules, DEVICE, agent, &trigrams, device))
		field_set(device[0], SPAN("Other"));
}
