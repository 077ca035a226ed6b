/* Logs: one JSON object a line on stderr, {"ts","level","service","msg"}. A message is one event,
 * "module: what happened key=value". Any thread may log. Levels: debug, info, warn, error, and
 * alarm for what should be impossible (it has a counter and an alert of its own). */
#ifndef FOOTFALL_LOG_H
#define FOOTFALL_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_ALARM };

/* Name this process in every line (borrowed for ever) and drop lines below level. Call before
 * threads start. Without it: "footfall", info. */
void log_open(const char *service, enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_alarm(...) log_write(LOG_ALARM, __VA_ARGS__)

#endif
