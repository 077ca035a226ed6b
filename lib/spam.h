/* Referrer spam: hosts that send made-up referrers to be seen in reports, by a list of domains, one
 * a line (Matomo's). Any thread may ask while another has the list read again. */
#ifndef FOOTFALL_SPAM_H
#define FOOTFALL_SPAM_H

#include <stdbool.h>

#include "lib/err.h"
#include "lib/span.h"

struct spam;

/* Read the list at path (copied). Blank lines and those that begin with '#' are none. On success
 * *out is yours, end it with spam_close(). -ENOENT and the like: it cannot be read; -EINVAL: it has
 * no domain at all, or a line that is none; -ENOMEM. */
int spam_open(struct spam **out, const char *path, struct err *err) MUST_CHECK;
void spam_close(struct spam **spam_p); /* takes *spam_p, leaves NULL; NULL is fine */

/* Read the list again if its file has become another; call it now and then, from one thread. What
 * cannot be read is said in the log, and the last good list stays. Whether it had become another.
 */
bool spam_follow(struct spam *spam);

/* Whether host (any case, with "www." or without) is a domain of the list or below one. */
bool spam_is_referrer(struct spam *spam, struct span host);

#endif
