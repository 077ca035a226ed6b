/* Locale: a language as browsers, servers and operating systems name it, in the canonical form of
 * BCP 47 (RFC 5646, section 4.5): "de_at.UTF-8" is "de-AT", "iw" is "he", "zh-yue" is "yue". Of a
 * tag only language, script and region are kept: variants and extensions say how people count and
 * sort, and would split one audience into many. */
#ifndef FOOTFALL_LOCALE_H
#define FOOTFALL_LOCALE_H

#include "lib/span.h"

struct locale {
	char language[4]; /* ISO 639, two or three letters: "de"; empty: not known */
	char locale[13];  /* with what else is known: "de", "de-AT", "zh-Hant-HK"; empty likewise */
};

/* Read any bytes; *out is empty when they name no language ("", "*", "C", "und", "x-klingon"). What
 * stands behind a good beginning and cannot be read is left out. */
void locale_parse(struct locale *out, struct span text);

#endif
