#include "services/worker/needles.h"

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

static unsigned trigram(const unsigned char *p)
{
	uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

	return (three * 2654435761u) >> (32 - TRIGRAM_BITS); /* Knuth's multiplicative hash */
}

static void lower(unsigned char *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		out[i] = c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
	}
}

static size_t encode_literal(uint16_t *out, struct span text)
{
	unsigned char low[TRIGRAMS_MOST + 2];
	size_t len = text.len < sizeof low ? text.len : sizeof low;

	lower(low, span_first(text, len));
	out[0] = (uint16_t)(len - 2);
	for (size_t i = 0; i + 2 < len; i++)
		out[1 + i] = (uint16_t)trigram(low + i);
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
	unsigned char window[3];

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i + 2 < text.len; i++) {
		unsigned bit;

		lower(window, (struct span){ text.ptr + i, 3 });
		bit = trigram(window);
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
