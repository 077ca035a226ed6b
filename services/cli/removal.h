/* footfall site remove: a site and everything of it, in both databases. Archives are the ingresses'
 * (lib/journal/archive.h), who hear of it from the app database. */
#ifndef FOOTFALL_REMOVAL_H
#define FOOTFALL_REMOVAL_H

#include "services/cli/command.h"

int site_remove(struct call *call, struct err *err) MUST_CHECK;

#endif
