/* One convention for what can fail: the call returns 0 or -errno and puts a sentence for a person
 * into *err. Layers below describe; the code that decides (retry, refuse, stop) logs, once. */
#ifndef FOOTFALL_ERR_H
#define FOOTFALL_ERR_H

#include <errno.h>

struct err {
	int code;      /* -errno, 0 while nothing has failed */
	char msg[500]; /* one sentence, no line break, never a secret */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Store code (-errno) and the sentence in *err, and give code, so that failing is one line. A
 * macro, so that compiler and analyzer see that the result is the code, and not 0. */
#define err_set(err, code, ...)                                                                    \
	({                                                                                         \
		int err_set_code = (code);                                                         \
		err_fill((err), err_set_code, __VA_ARGS__);                                        \
		err_set_code;                                                                      \
	})
void err_fill(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
