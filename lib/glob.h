/* Glob: patterns in which "*" stands for any bytes, also none and also "/"; nothing else is
 * special. */
#ifndef FOOTFALL_GLOB_H
#define FOOTFALL_GLOB_H

#include <stdbool.h>

#include "lib/span.h"

/* Whether pattern fits the whole of text, byte by byte. The time grows with the length of text,
 * whatever the pattern: nothing is tried twice. */
bool glob_fits(struct span pattern, struct span text);

#endif
