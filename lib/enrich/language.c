#include "lib/enrich/language.h"

#include <ctype.h>

struct span language_tag(struct span text)
{
	text = span_trim(text);
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '-' &&
			text.ptr[i] != '_')
			return SPAN("");
	return text.len > LANGUAGE_MOST ? SPAN("") : text;
}

/* A qvalue in thousandths: 0 or 1 and at most three digits behind a point; -1 for what is none. */
static int quality(struct span text)
{
	int value = 0, digits = 0;

	if (!text.len || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
		(text.len > 1 && text.ptr[1] != '.'))
		return -1;
	for (size_t i = 2; i < text.len; i++, digits++) {
		if (!isdigit((unsigned char)text.ptr[i]))
			return -1;
		value = value * 10 + text.ptr[i] - '0';
	}
	for (; digits < 3; digits++)
		value *= 10;
	value += (text.ptr[0] - '0') * 1000;
	return value <= 1000 ? value : -1;
}

struct span language_accepted(struct span header)
{
	struct span best = SPAN("");
	int best_quality = 0;

	while (header.len) {
		struct span item = span_first(header, span_find(header, ','));
		struct span language = language_tag(span_first(item, span_find(item, ';')));
		struct span weight = span_trim(span_from(item, span_find(item, ';') + 1));
		int q = 1000;

		header = span_from(header, item.len + 1);
		if (span_equals_nocase(span_first(weight, 2), SPAN("q=")))
			q = quality(span_from(weight, 2));
		else if (weight.len)
			q = -1;
		if (language.len && q > best_quality) {
			best = language;
			best_quality = q;
		}
	}
	return best;
}
