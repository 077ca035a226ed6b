#include "lib/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error", "alarm" };
static const char *log_service = "footfall"; /* set once, before threads */
static enum log_level log_least = LOG_INFO;

void log_open(const char *service, enum log_level level)
{
	log_service = service;
	log_least = level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	struct timespec now;
	struct tm tm;
	char ts[40], msg[1200], line[4096];
	va_list args;
	json_t *object;
	size_t len;

	if (level < log_least)
		return;
	va_start(args, fmt);
	vsnprintf(msg, sizeof msg, fmt, args);
	va_end(args);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(ts, sizeof ts, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ts + len, sizeof ts - len, ".%03ldZ", now.tv_nsec / 1000000);
	/* A message that is not UTF-8 cannot be JSON; say so rather than lose the line. */
	object = json_pack("{ssssssss}", "ts", ts, "level", level_names[level], "service",
		log_service, "msg", msg);
	if (!object)
		object = json_pack("{ssssssss}", "ts", ts, "level", level_names[level], "service",
			log_service, "msg", "(a message that is not UTF-8)");
	if (!object)
		return;
	len = json_dumpb(object, line, sizeof line - 1, JSON_COMPACT);
	json_decref(object);
	if (!len || len > sizeof line - 1)
		return;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) /* one write a line: lines never mix */
		return;
}
