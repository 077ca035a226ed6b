#include "lib/utf8.h"

#include <stdint.h>

/* The table of RFC 3629, section 4. */
size_t utf8_char_len(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	unsigned char least = 0x80, most = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		least = 0xa0;
	else if (p[0] == 0xed)
		most = 0x9f;
	else if (p[0] == 0xf0)
		least = 0x90;
	else if (p[0] == 0xf4)
		most = 0x8f;
	if (s.len < len || p[1] < least || p[1] > most)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return len;
}

/* Bytes of ASCII, but NUL, that s begins with: eight at a time, for nearly all text is that. */
static size_t ascii_len(struct span s)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	size_t len = 0;

	for (uint64_t eight; len + sizeof eight <= s.len; len += sizeof eight) {
		memcpy(&eight, s.ptr + len, sizeof eight);
		if ((eight | (eight - ones)) & tops)
			break;
	}
	while (len < s.len && (signed char)s.ptr[len] > 0)
		len++;
	return len;
}

bool utf8_valid(struct span s)
{
	while (s.len) {
		size_t n = ascii_len(s);

		if (!n)
			n = utf8_char_len(s);
		if (!n)
			return false;
		s = span_from(s, n);
	}
	return true;
}

struct span utf8_clean(char *buf, size_t size, struct span s)
{
	size_t len = 0;

	while (s.len) {
		size_t n = ascii_len(span_first(s, size - len));

		if (!n)
			n = utf8_char_len(s);
		if (len + (n ? n : 1) > size)
			break;
		if (n)
			memcpy(buf + len, s.ptr, n);
		else
			buf[len] = '?';
		len += n ? n : 1;
		s = span_from(s, n ? n : 1);
	}
	return (struct span){ buf, len };
}

struct span utf8_first(struct span s, size_t most)
{
	if (s.len <= most)
		return s;
	while (most && ((unsigned char)s.ptr[most] & 0xc0) == 0x80)
		most--;
	return span_first(s, most);
}
