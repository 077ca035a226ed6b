#include "lib/schema.h"

/* Given by the compiler, from the names of the files (Makefile). */
const int schema_app = FOOTFALL_SCHEMA_APP;
const int schema_metrics = FOOTFALL_SCHEMA_METRICS;
