#include "lib/rfc3339.h"

#include <ctype.h>
#include <time.h>

#include "lib/clock.h"

/* Exactly n digits at the head of *s, taken off; -1 when there are not. */
static int digits(struct span *s, size_t n)
{
	int value = 0;

	if (s->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s->ptr[i]))
			return -1;
		value = value * 10 + (s->ptr[i] - '0');
	}
	*s = span_from(*s, n);
	return value;
}

static int taken(struct span *s, const char *one_of)
{
	if (!s->len || !s->ptr[0] || !strchr(one_of, s->ptr[0]))
		return 0;
	*s = span_from(*s, 1);
	return s->ptr[-1];
}

static int64_t fraction_us(struct span *s)
{
	int64_t us = 0, unit = US_PER_SECOND;

	for (; s->len && isdigit((unsigned char)s->ptr[0]); *s = span_from(*s, 1)) {
		unit /= 10;
		us += unit * (s->ptr[0] - '0');
	}
	return us;
}

static int offset_s(int *out, struct span *s)
{
	int sign = taken(s, "Zz+-"), hours, minutes;

	*out = 0;
	if (sign == 'Z' || sign == 'z')
		return 0;
	hours = sign ? digits(s, 2) : -1;
	minutes = hours >= 0 && taken(s, ":") ? digits(s, 2) : -1;
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -EINVAL;
	*out = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return 0;
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

int rfc3339_parse(int64_t *out_us, struct span s)
{
	struct tm tm = { 0 };
	int64_t us = 0;
	int offset;
	int year = digits(&s, 4);
	int month = year >= 0 && taken(&s, "-") ? digits(&s, 2) : -1;
	int day = month >= 1 && month <= 12 && taken(&s, "-") ? digits(&s, 2) : -1;
	int hour = day >= 1 && day <= days_in(year, month) && taken(&s, "Tt ") ? digits(&s, 2) : -1;
	int minute = hour >= 0 && hour <= 23 && taken(&s, ":") ? digits(&s, 2) : -1;
	int second = minute >= 0 && minute <= 59 && taken(&s, ":") ? digits(&s, 2) : -1;

	if (second < 0 || second > 60)
		return -EINVAL;
	if (taken(&s, ".")) {
		if (!s.len || !isdigit((unsigned char)s.ptr[0]))
			return -EINVAL;
		us = fraction_us(&s);
	}
	if (offset_s(&offset, &s) || s.len)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second == 60 ? 59 : second;
	*out_us = ((int64_t)timegm(&tm) - offset) * US_PER_SECOND + us;
	return 0;
}
