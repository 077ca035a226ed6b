#include "lib/glob.h"

/* What is between two "*" may be taken where it is found first: whatever follows has only more room
 * then. */
bool glob_fits(struct span pattern, struct span text)
{
	size_t star = span_find(pattern, '*');

	if (star == pattern.len)
		return span_equals(pattern, text);
	if (!span_starts_with(text, span_first(pattern, star)))
		return false;
	for (;;) {
		struct span piece;
		const char *found;

		text = span_from(text, star);
		pattern = span_from(pattern, span_find(pattern, '*') + 1);
		star = span_find(pattern, '*');
		piece = span_first(pattern, star);
		if (star == pattern.len)
			return span_ends_with(text, piece);
		found = piece.len ? memmem(text.ptr, text.len, piece.ptr, piece.len) : text.ptr;
		if (!found)
			return false;
		text = span_from(text, (size_t)(found - text.ptr));
	}
}
