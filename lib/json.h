/* What jansson may be given of JSON that came from outside. Its functions call themselves once a
 * level, and a thread that serves HTTP has a stack of 100 KiB; and a value of two bytes takes up to
 * 300 in a tree. */
#ifndef FOOTFALL_JSON_H
#define FOOTFALL_JSON_H

#include "lib/span.h"

#define JSON_LEVELS_MOST 32

/* Whether a tree of it has at most so many values, and JSON_LEVELS_MOST levels: looked at as bytes,
 * before anything is made of it, so an empty array or object counts as two values. Of what is not
 * JSON it may say either. */
bool json_fits(struct span json, size_t values);

#endif
