#include "lib/enrich/locale.h"

#include <ctype.h>
#include <stdio.h>

/* The registry's preferred values of subtags that people still send (IANA's language subtag
 * registry, "Deprecated" and "Preferred-Value"; UK is CLDR's alias). */
static const char *const languages[][2] = { { "iw", "he" }, { "in", "id" }, { "ji", "yi" },
	{ "jw", "jv" }, { "mo", "ro" } };
static const char *const regions[][2] = { { "UK", "GB" }, { "BU", "MM" }, { "DD", "DE" },
	{ "FX", "FR" }, { "TP", "TL" }, { "YD", "YE" }, { "ZR", "CD" } };
/* Languages that are none: undetermined, several, no linguistic content, without a code. */
static const char *const none[] = { "und", "mul", "zxx", "mis" };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *preferred(const char *const table[][2], size_t rows, const char *subtag)
{
	for (size_t i = 0; i < rows; i++)
		if (!strcmp(table[i][0], subtag))
			return table[i][1];
	return subtag;
}

/* The next subtag, off the head of *rest. */
static struct span next(struct span *rest)
{
	size_t len = 0;
	struct span subtag;

	while (len < rest->len && rest->ptr[len] != '-' && rest->ptr[len] != '_')
		len++;
	subtag = span_first(*rest, len);
	*rest = span_from(*rest, len + 1);
	return subtag;
}

static bool all(struct span s, int (*is)(int), size_t least, size_t most)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is((unsigned char)s.ptr[i]) || (unsigned char)s.ptr[i] > 0x7f)
			return false;
	return s.len >= least && s.len <= most;
}

/* Copy s, its first letter by `first`, the others by `others`. */
static void put(char *to, struct span s, int (*first)(int), int (*others)(int))
{
	for (size_t i = 0; i < s.len; i++)
		to[i] = (char)(i ? others : first)((unsigned char)s.ptr[i]);
	to[s.len] = '\0';
}

void locale_parse(struct locale *out, struct span text)
{
	char language[4] = "", script[5] = "", region[4] = "";
	struct span rest = span_trim(text), subtag;

	memset(out, 0, sizeof *out);
	rest = span_first(rest, span_find(rest, '.')); /* of POSIX: a charset, a modifier */
	rest = span_first(rest, span_find(rest, '@'));
	subtag = next(&rest);
	if (!all(subtag, isalpha, 2, 3))
		return;
	put(language, subtag, tolower, tolower);
	subtag = next(&rest);
	if (all(subtag, isalpha, 3, 3)) { /* an extended language stands for itself */
		put(language, subtag, tolower, tolower);
		subtag = next(&rest);
	}
	if (all(subtag, isalpha, 4, 4)) {
		put(script, subtag, toupper, tolower);
		subtag = next(&rest);
	}
	if (all(subtag, isalpha, 2, 2) || all(subtag, isdigit, 3, 3))
		put(region, subtag, toupper, toupper);
	for (size_t i = 0; i < COUNT(none); i++)
		if (!strcmp(language, none[i]))
			return;
	snprintf(out->language, sizeof out->language, "%s",
		preferred(languages, COUNT(languages), language));
	snprintf(out->locale, sizeof out->locale, "%s%s%s%s%s", out->language, *script ? "-" : "",
		script, *region ? "-" : "", preferred(regions, COUNT(regions), region));
}
