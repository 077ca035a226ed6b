/* For unit tests: the sample bytes of proto/samples/ (hex, # begins a comment). They stand for
 * every writer that is out there: they are added to, never changed. */
#ifndef FOOTFALL_SAMPLE_H
#define FOOTFALL_SAMPLE_H

#include <sodium.h>
#include <stdio.h>

#include "lib/check.h"
#include "lib/span.h"

#define SAMPLE_MOST 4096

struct sample {
	unsigned char bytes[SAMPLE_MOST];
	size_t len;
};

static inline struct sample sample_read(const char *name)
{
	struct sample s = { .len = 0 };
	char path[128], line[1024];
	FILE *f;

	snprintf(path, sizeof path, "proto/samples/%s.hex", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("cannot open %s: run from the root of the repository", path);
	while (fgets(line, sizeof line, f)) {
		size_t n = 0;

		line[strcspn(line, "#\n")] = '\0';
		assert_int_equal(sodium_hex2bin(s.bytes + s.len, SAMPLE_MOST - s.len, line,
					 strlen(line), " ", &n, NULL),
			0);
		s.len += n;
	}
	fclose(f);
	return s;
}

static inline struct span span_of_sample(const struct sample *s)
{
	return (struct span){ (const char *)s->bytes, s->len };
}

#endif
