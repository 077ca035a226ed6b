#include "lib/needles.h"

#include <ctype.h>
#include <stdlib.h>

/* The largest rule of uap-core 0.18 has 360 alternatives; a rule beyond these has no needles. */
#define LITERALS_MOST 1024
#define CLAUSES_MOST  64
#define DEPTH_MOST    20
#define TRIGRAMS_MOST 8 /* of one literal: more would hardly exclude more */

#define NONE (-1)

/* A string that must be in the text, in a list of alternatives. */
struct literal {
	struct span text;
	int next; /* index, or NONE */
};

struct clause {
	int head, tail; /* of its literals */
	size_t least;   /* length of its shortest */
	size_t count;
};

/* One pass over a regex, branch by branch. The clauses of what is being read are a stack. */
struct scan {
	const char *at;
	bool unsure;   /* something we do not surely understand: nothing found counts */
	char *text;    /* the literals' bytes, unescaped: never longer than the regex */
	size_t length; /* of text */
	size_t run;    /* where in text the literal being read begins */
	int literal_count, clause_count;
	struct literal literal[LITERALS_MOST];
	struct clause clause[CLAUSES_MOST];
};

static void scan_alternatives(struct scan *s, int depth);

/* The literal read so far ends here; it becomes a clause of its own. */
static void run_end(struct scan *s)
{
	size_t len = s->length - s->run;

	if (len >= 3 && (s->literal_count == LITERALS_MOST || s->clause_count == CLAUSES_MOST)) {
		s->unsure = true;
	} else if (len >= 3) {
		int index = s->literal_count++;

		s->literal[index] = (struct literal){ { s->text + s->run, len }, NONE };
		s->clause[s->clause_count++] = (struct clause){ index, index, len, 1 };
	}
	s->run = s->length;
}

/* Read a quantifier, if there is one. Returns whether there is; *least is its lower bound. */
static bool quantifier(struct scan *s, unsigned long *least)
{
	char *end;

	switch (*s->at) {
	case '*':
	case '?':
		*least = 0;
		s->at++;
		break;
	case '+':
		*least = 1;
		s->at++;
		break;
	case '{':
		if (!isdigit((unsigned char)s->at[1])) {
			s->unsure = true;
			return false;
		}
		*least = strtoul(s->at + 1, &end, 10);
		while (isdigit((unsigned char)*end) || *end == ',')
			end++;
		s->unsure |= *end != '}';
		s->at = end + (*end == '}');
		break;
	default:
		return false;
	}
	if (*s->at == '?' || *s->at == '+') /* lazy, possessive */
		s->at++;
	return true;
}

/* One that ends the run: a class, a dot, an assertion. */
static void skip_unknown_bytes(struct scan *s)
{
	unsigned long least;

	run_end(s);
	quantifier(s, &least);
}

static void literal_byte(struct scan *s, char c)
{
	unsigned long least;
	size_t before = s->length;

	s->text[s->length++] = c;
	if (!quantifier(s, &least))
		return;
	if (!least)
		s->length = before;
	run_end(s);
}

/* "[Bb]", which uap-core writes instead of a flag, is one byte where case is not told apart. */
static bool is_letter_class(const char *at)
{
	return isalpha((unsigned char)at[1]) && isalpha((unsigned char)at[2]) &&
	       (at[1] | 0x20) == (at[2] | 0x20) && at[3] == ']';
}

static void class(struct scan *s)
{
	if (is_letter_class(s->at)) {
		s->at += 4;
		literal_byte(s, s->at[-2]);
		return;
	}
	s->at++;
	if (*s->at == '^')
		s->at++;
	if (*s->at == ']')
		s->at++;
	for (; *s->at && *s->at != ']'; s->at++) {
		if (*s->at == '[') /* [:alpha:] and the like, which uap-core does not use */
			s->unsure |= strchr(":.=", s->at[1]) != NULL;
		if (*s->at == '\\' && s->at[1])
			s->at++;
		if (*s->at == 'Q' || *s->at == 'E') /* \Q...\E hides a bracket */
			s->unsure |= s->at[-1] == '\\';
	}
	s->unsure |= *s->at != ']';
	s->at += *s->at == ']';
	skip_unknown_bytes(s);
}

static void escape(struct scan *s)
{
	char c = s->at[1];

	if (!c) {
		s->unsure = true;
		s->at++;
		return;
	}
	s->at += 2;
	if (strchr("dDwWsSbB", c))
		skip_unknown_bytes(s);
	else if (isalnum((unsigned char)c)) /* a back reference, \x41, \Q, … */
		s->unsure = true;
	else
		literal_byte(s, c);
}

static void group(struct scan *s, int depth)
{
	bool looks_around = false;
	unsigned long least = 1;
	int base;

	run_end(s);
	base = s->clause_count;
	s->at++;
	if (!strncmp(s->at, "?:", 2)) {
		s->at += 2;
	} else if (!strncmp(s->at, "?i)", 3)) { /* case is never told apart here */
		s->at += 3;
		return;
	} else if (!strncmp(s->at, "?!", 2) || !strncmp(s->at, "?=", 2)) {
		s->at += 2;
		looks_around = true;
	} else if (!strncmp(s->at, "?<!", 3) || !strncmp(s->at, "?<=", 3)) {
		s->at += 3;
		looks_around = true;
	} else if (*s->at == '?' || *s->at == '*') {
		s->unsure = true;
	}
	scan_alternatives(s, depth + 1);
	if (*s->at != ')') {
		s->unsure = true;
		return;
	}
	s->at++;
	quantifier(s, &least);
	if (looks_around || !least)
		s->clause_count = base;
}

/* Read one branch; it leaves the clauses that all hold where it matches. */
static void scan_branch(struct scan *s, int depth)
{
	s->run = s->length;
	while (!s->unsure && *s->at && *s->at != '|' && *s->at != ')') {
		switch (*s->at) {
		case '(':
			group(s, depth);
			break;
		case '[':
			class(s);
			break;
		case '\\':
			escape(s);
			break;
		case '.':
		case '^':
		case '$':
			s->at++;
			skip_unknown_bytes(s);
			break;
		case '*':
		case '+':
		case '?':
		case '{':
			s->unsure = true; /* after nothing that could be repeated */
			break;
		default:
			literal_byte(s, *s->at++);
		}
	}
	run_end(s);
}

/* Of several clauses that all hold, the one that excludes most: with long literals, then few. */
static struct clause best_clause(const struct scan *s, int from)
{
	struct clause best = s->clause[from];

	for (int i = from + 1; i < s->clause_count; i++) {
		const struct clause *c = &s->clause[i];

		if (c->least > best.least || (c->least == best.least && c->count < best.count))
			best = *c;
	}
	return best;
}

/* Read "a|b|c" up to its end or ')'. One branch leaves all its clauses; of several, where any one
 * may be what matches, the best clause of each is joined to one. */
static void scan_alternatives(struct scan *s, int depth)
{
	int base = s->clause_count;
	struct clause joined = { NONE, NONE, 0, 0 };
	bool all_need = true;

	s->unsure |= depth > DEPTH_MOST;
	scan_branch(s, depth);
	if (*s->at != '|' || s->unsure)
		return;
	for (;;) {
		if (s->clause_count == base) {
			all_need = false;
		} else {
			struct clause best = best_clause(s, base);

			if (joined.head == NONE) {
				joined = best;
			} else {
				s->literal[joined.tail].next = best.head;
				joined.tail = best.tail;
				joined.count += best.count;
				if (best.least < joined.least)
					joined.least = best.least;
			}
		}
		s->clause_count = base;
		if (*s->at != '|' || s->unsure)
			break;
		s->at++;
		scan_branch(s, depth);
	}
	if (all_need && !s->unsure && s->clause_count < CLAUSES_MOST)
		s->clause[s->clause_count++] = joined;
}

/* Three bytes, the last one lowest. Knuth's multiplicative hash. */
static unsigned trigram(uint32_t three)
{
	return (three * 2654435761u) >> (32 - TRIGRAM_BITS);
}

/* Step the window of three bytes on by one. */
static uint32_t slide(uint32_t three, char next)
{
	unsigned char c = (unsigned char)next;

	return (three << 8 | (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) & 0xffffff;
}

static size_t encode_literal(uint16_t *out, struct span text)
{
	size_t len = text.len < TRIGRAMS_MOST + 2 ? text.len : TRIGRAMS_MOST + 2;
	uint32_t three = 0;

	out[0] = (uint16_t)(len - 2);
	for (size_t i = 0; i < len; i++) {
		three = slide(three, text.ptr[i]);
		if (i >= 2)
			out[i - 1] = (uint16_t)trigram(three);
	}
	return len - 1;
}

static int encode(struct needles *out, const struct scan *s)
{
	size_t used = 1, room = 1;

	for (int i = 0; i < s->clause_count; i++)
		room += 1 + s->clause[i].count * (1 + TRIGRAMS_MOST);
	out->code = calloc(room, sizeof *out->code);
	if (!out->code)
		return -ENOMEM;
	out->code[0] = (uint16_t)s->clause_count;
	for (int i = 0; i < s->clause_count; i++) {
		out->code[used++] = (uint16_t)s->clause[i].count;
		for (int l = s->clause[i].head; l != NONE; l = s->literal[l].next)
			used += encode_literal(out->code + used, s->literal[l].text);
	}
	return 0;
}

int needles_init(struct needles *out, const char *regex)
{
	struct scan *s = calloc(1, sizeof *s);
	int rc = -ENOMEM;

	out->code = NULL;
	if (!s)
		return -ENOMEM;
	s->at = regex;
	s->text = calloc(strlen(regex) + 1, 1);
	if (s->text) {
		scan_alternatives(s, 0);
		rc = s->unsure || *s->at || !s->clause_count ? 0 : encode(out, s);
	}
	free(s->text);
	free(s);
	return rc;
}

void needles_clear(struct needles *needles)
{
	free(needles->code);
	needles->code = NULL;
}

void trigrams_of(struct trigrams *out, struct span text)
{
	uint32_t three = 0;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < text.len; i++) {
		unsigned bit;

		three = slide(three, text.ptr[i]);
		bit = trigram(three);
		if (i >= 2)
			out->bits[bit / 64] |= (uint64_t)1 << bit % 64;
	}
}

static bool all_there(const uint16_t *trigrams, size_t count, const struct trigrams *in)
{
	for (size_t i = 0; i < count; i++)
		if (!(in->bits[trigrams[i] / 64] >> trigrams[i] % 64 & 1))
			return false;
	return true;
}

bool needles_may_match(const struct needles *needles, const struct trigrams *trigrams)
{
	const uint16_t *at = needles->code;
	size_t clauses = at ? *at++ : 0;

	while (clauses--) {
		size_t alternatives = *at++;
		bool found = false;

		while (alternatives--) {
			found = found || all_there(at + 1, at[0], trigrams);
			at += 1 + at[0];
		}
		if (!found)
			return false;
	}
	return true;
}

/* Each expression is filed under one trigram of each alternative of one of its clauses: those that
 * the fewest expressions of the list have. */
struct needles_index {
	const struct needles *list;
	size_t words;     /* of bits that the list has */
	uint64_t *always; /* those without needles */
	uint16_t *filed;  /* expressions by trigram: from start[t] to start[t + 1] */
	uint32_t start[(1 << TRIGRAM_BITS) + 1];
};

/* How many of the list's literals have a trigram. */
struct census {
	uint32_t count[1 << TRIGRAM_BITS];
};

static void census_take(struct census *census, const struct needles *needles)
{
	const uint16_t *at = needles->code;
	size_t clauses = at ? *at++ : 0;

	while (clauses--) {
		for (size_t left = *at++; left; left--) {
			for (size_t i = 1; i <= at[0]; i++)
				census->count[at[i]]++;
			at += 1 + at[0];
		}
	}
}

static uint16_t rarest(const uint16_t *literal, const struct census *census)
{
	uint16_t best = literal[1];

	for (size_t i = 2; i <= literal[0]; i++)
		if (census->count[literal[i]] < census->count[best])
			best = literal[i];
	return best;
}

/* The clause (from its number of alternatives on) under which the fewest others are filed, too. */
static const uint16_t *clause_to_file(const struct needles *needles, const struct census *census)
{
	const uint16_t *at = needles->code, *best = at + 1;
	size_t clauses = *at++, least = SIZE_MAX;

	while (clauses--) {
		const uint16_t *clause = at;
		size_t sum = 0;

		for (size_t left = *at++; left; left--) {
			sum += census->count[rarest(at, census)];
			at += 1 + at[0];
		}
		if (sum < least) {
			least = sum;
			best = clause;
		}
	}
	return best;
}

/* Go through all that is to be filed: first, to count it (into start[t + 1]), then to write it. */
static void file_all(
	struct needles_index *index, size_t count, const struct census *census, bool writes)
{
	for (size_t n = 0; n < count; n++) {
		const uint16_t *at;

		if (!index->list[n].code) {
			index->always[n / 64] |= (uint64_t)1 << n % 64;
			continue;
		}
		at = clause_to_file(&index->list[n], census);
		for (size_t left = *at++; left; left--) {
			uint16_t t = rarest(at, census);

			if (writes)
				index->filed[index->start[t]] = (uint16_t)n;
			index->start[writes ? t : t + 1]++;
			at += 1 + at[0];
		}
	}
}

struct needles_index *needles_index_new(const struct needles *list, size_t count)
{
	struct needles_index *index = calloc(1, sizeof *index);
	struct census *census = calloc(1, sizeof *census);
	const size_t trigrams = 1 << TRIGRAM_BITS;

	if (!index || !census)
		goto fail;
	index->list = list;
	index->words = (count + 63) / 64;
	index->always = calloc(index->words + 1, sizeof *index->always);
	if (!index->always)
		goto fail;
	for (size_t n = 0; n < count; n++)
		census_take(census, &list[n]);
	file_all(index, count, census, false);
	for (size_t t = 0; t < trigrams; t++)
		index->start[t + 1] += index->start[t];
	index->filed = calloc((size_t)index->start[trigrams] + 1, sizeof *index->filed);
	if (!index->filed)
		goto fail;
	file_all(index, count, census, true);
	/* Each start has moved to its end, which is the next one's start. */
	memmove(index->start + 1, index->start, trigrams * sizeof *index->start);
	index->start[0] = 0;
	free(census);
	return index;
fail:
	free(census);
	needles_index_free(&index);
	return NULL;
}

void needles_index_free(struct needles_index **index_p)
{
	struct needles_index *index = *index_p;

	*index_p = NULL;
	if (!index)
		return;
	free(index->always);
	free(index->filed);
	free(index);
}

void needles_index_find(struct needles_found *out, const struct needles_index *index,
	const struct trigrams *trigrams)
{
	memcpy(out->bits, index->always, index->words * sizeof *out->bits);
	for (size_t word = 0; word < sizeof trigrams->bits / sizeof *trigrams->bits; word++) {
		for (uint64_t left = trigrams->bits[word]; left; left &= left - 1) {
			size_t t = word * 64 + (size_t)__builtin_ctzll(left);

			for (uint32_t i = index->start[t]; i < index->start[t + 1]; i++) {
				uint16_t n = index->filed[i];

				if (needles_may_match(&index->list[n], trigrams))
					out->bits[n / 64] |= (uint64_t)1 << n % 64;
			}
		}
	}
}

size_t needles_index_next(
	const struct needles_found *found, const struct needles_index *index, size_t from)
{
	for (size_t word = from / 64; word < index->words; word++) {
		uint64_t bits = found->bits[word];

		if (word == from / 64)
			bits &= ~(uint64_t)0 << from % 64;
		if (bits)
			return word * 64 + (size_t)__builtin_ctzll(bits);
	}
	return NEEDLES_NONE;
}
