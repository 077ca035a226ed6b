#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_fill(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, args);
	va_end(args);
	/* Messages of libpq end in, and hold, line breaks; a log line must not. */
	for (char *p = err->msg; (p = strpbrk(p, "\r\n"));)
		*p = ' ';
	for (size_t n = strlen(err->msg); n && err->msg[n - 1] == ' '; n--)
		err->msg[n - 1] = '\0';
}
