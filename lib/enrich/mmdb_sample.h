/* For tests: a small database of MaxMind's format, made from JSON such as
 * {"1.2.3.0/24": {"country_code": "AU"}, "2001:db8::/32": {…}}. Networks must not overlap. Whole
 * numbers become uint32, as in MaxMind's own. */
#ifndef FOOTFALL_MMDB_SAMPLE_H
#define FOOTFALL_MMDB_SAMPLE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "lib/check.h"

#define SAMPLE_NODES_MOST 65536
#define SAMPLE_BYTES_MOST (1 << 20)

struct sample {
	uint32_t node[SAMPLE_NODES_MOST][2]; /* 0: nothing; from 2^31 on, a record at the rest */
	uint32_t nodes;
	unsigned char data[SAMPLE_BYTES_MOST];
	size_t len;
};

static inline void sample_put(struct sample *s, const void *bytes, size_t len)
{
	assert_true(s->len + len <= sizeof s->data);
	memcpy(s->data + s->len, bytes, len);
	s->len += len;
}

/* The control byte or bytes of a value (MaxMind DB 2.0, "Data Field Format"). */
static inline void sample_head(struct sample *s, int type, size_t size)
{
	unsigned char head[4];
	size_t n = 1;

	assert_true(size < 285);
	head[0] = (unsigned char)((type <= 7 ? type << 5 : 0) | (size < 29 ? size : 29));
	if (type > 7)
		head[n++] = (unsigned char)(type - 7);
	if (size >= 29)
		head[n++] = (unsigned char)(size - 29);
	sample_put(s, head, n);
}

static inline void sample_text(struct sample *s, const char *text)
{
	sample_head(s, 2, strlen(text));
	sample_put(s, text, strlen(text));
}

static inline void sample_uint(struct sample *s, int type, uint32_t number)
{
	unsigned char bytes[4] = { (unsigned char)(number >> 24), (unsigned char)(number >> 16),
		(unsigned char)(number >> 8), (unsigned char)number };
	size_t skip = 0;

	while (skip < 4 && !bytes[skip])
		skip++;
	sample_head(s, type, 4 - skip);
	sample_put(s, bytes + skip, 4 - skip);
}

static inline void sample_value(struct sample *s, json_t *value)
{
	const char *key;
	json_t *each;
	size_t i;

	if (json_is_object(value)) {
		sample_head(s, 7, json_object_size(value));
		json_object_foreach(value, key, each)
		{
			sample_text(s, key);
			sample_value(s, each);
		}
	} else if (json_is_array(value)) {
		sample_head(s, 11, json_array_size(value));
		json_array_foreach(value, i, each) sample_value(s, each);
	} else if (json_is_integer(value)) {
		sample_uint(s, 6, (uint32_t)json_integer_value(value));
	} else {
		assert_true(json_is_string(value));
		sample_text(s, json_string_value(value));
	}
}

/* Lead a network to the record at `at`. IPv4 lies in ::/96, where readers look for it. */
static inline void sample_network(struct sample *s, const char *network, uint32_t at)
{
	struct addr_nets nets;
	struct err err;
	uint32_t node = 0;

	assert_int_equal(addr_nets_parse(&nets, network, &err), 0);
	assert_int_equal(nets.count, 1);
	if (strchr(network, '.'))
		memset(nets.net[0].base.bytes, 0, 12);
	for (int i = 0; i < nets.net[0].bits; i++) {
		uint32_t *next = &s->node[node][nets.net[0].base.bytes[i / 8] >> (7 - i % 8) & 1];

		if (i == nets.net[0].bits - 1) {
			*next = (1U << 31) | at;
		} else if (!*next) {
			assert_true(s->nodes < SAMPLE_NODES_MOST);
			*next = s->nodes++;
		}
		node = *next;
	}
}

static inline void sample_metadata(struct sample *s)
{
	static const char marker[] = "\xab\xcd\xefMaxMind.com";

	sample_put(s, marker, sizeof marker - 1);
	sample_head(s, 7, 9);
	sample_text(s, "binary_format_major_version");
	sample_uint(s, 5, 2);
	sample_text(s, "binary_format_minor_version");
	sample_uint(s, 5, 0);
	sample_text(s, "build_epoch");
	sample_uint(s, 9, 1700000000);
	sample_text(s, "database_type");
	sample_text(s, "Sample");
	sample_text(s, "description");
	sample_head(s, 7, 0);
	sample_text(s, "ip_version");
	sample_uint(s, 5, 6);
	sample_text(s, "languages");
	sample_head(s, 11, 0);
	sample_text(s, "node_count");
	sample_uint(s, 6, s->nodes);
	sample_text(s, "record_size");
	sample_uint(s, 5, 32);
}

static inline void sample_save(const struct sample *s, const char *path)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (uint32_t i = 0; i < 2 * s->nodes; i++) {
		uint32_t to = s->node[i / 2][i % 2];

		if (!to)
			to = s->nodes;
		else if (to >> 31)
			to = s->nodes + 16 + (to & ~(1U << 31));
		for (int shift = 24; shift >= 0; shift -= 8)
			fputc((int)(to >> shift & 0xff), file);
	}
	for (int i = 0; i < 16; i++)
		fputc(0, file);
	assert_int_equal(fwrite(s->data, 1, s->len, file), s->len);
	assert_int_equal(fclose(file), 0);
}

static inline void sample_write(const char *path, const char *networks)
{
	struct sample *s = calloc(1, sizeof *s);
	json_t *json = json_loads(networks, 0, NULL), *record;
	const char *network;

	assert_non_null(s);
	assert_non_null(json);
	s->nodes = 1;
	json_object_foreach(json, network, record)
	{
		sample_network(s, network, (uint32_t)s->len);
		sample_value(s, record);
	}
	sample_metadata(s);
	sample_save(s, path);
	json_decref(json);
	free(s);
}

#endif
