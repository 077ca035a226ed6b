#include "services/query/ingresses.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/http_client.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/span.h"

#define TIMEOUT_MS 1000L
#define ASKED_MOST 64 /* in one request */
#define NAME_SIZE  256

/* The next "host:port" of the list, as a text; false: there is none. */
static bool next_name(struct span *list, char name[NAME_SIZE])
{
	struct span one = { "", 0 };

	while (list->len && !one.len) {
		one = span_trim(span_first(*list, span_find(*list, ',')));
		*list = span_from(*list, span_find(*list, ',') + 1);
	}
	snprintf(name, NAME_SIZE, "%.*s", (int)one.len, one.ptr);
	return one.len > 0;
}

int ingresses_check(const char *list, struct err *err)
{
	struct span rest = span_of(list);
	char name[NAME_SIZE], host[NAME_SIZE];
	int port, rc = 0;

	while (!rc && next_name(&rest, name))
		rc = addr_split(name, host, sizeof host, &port, err);
	return rc;
}

/* False: it does not answer, or not as ours do. */
static bool ask(struct http_client *http, const char *at, const char *site_id, json_t *all)
{
	struct http_answer answer = { 0 };
	struct err err = { 0 };
	json_t *told = NULL;
	char url[NAME_SIZE + 64];
	bool answered;

	snprintf(url, sizeof url, "http://%s/recent?site=%s", at, site_id);
	if (!http_client_get(http, url, &answer, &err) && answer.status == 200)
		told = json_loadb(answer.body.ptr, answer.body.len, 0, NULL);
	answered = json_is_array(told) && !json_array_extend(all, told);
	json_decref(told);
	if (!answered)
		log_warn("ingresses: one does not tell its last requests at=%s error=\"%s\"", at,
			err.msg);
	return answered;
}

/* Every address behind one name: with several ingresses of a service, one for each. */
static void ask_name(struct http_client *http, const char *name, const char *site_id, json_t *all,
	unsigned *asked, unsigned *answered)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char host[NAME_SIZE], service[8], at[NAME_SIZE];
	struct err ignored;
	int port;

	if (addr_split(name, host, sizeof host, &port, &ignored))
		return;
	snprintf(service, sizeof service, "%d", port);
	if (getaddrinfo(host, service, &hints, &list)) {
		++*asked;
		return;
	}
	for (const struct addrinfo *one = list; one && *asked < ASKED_MOST; one = one->ai_next) {
		char text[64];

		if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0,
			    NI_NUMERICHOST))
			continue;
		snprintf(at, sizeof at, strchr(text, ':') ? "[%s]:%d" : "%s:%d", text, port);
		++*asked;
		*answered += ask(http, at, site_id, all);
	}
	freeaddrinfo(list);
}

void ingresses_recent(
	const char *list, const char *site_id, json_t *all, unsigned *asked, unsigned *answered)
{
	struct http_client *http = NULL;
	struct span rest = span_of(list);
	struct err err = { 0 };
	char name[NAME_SIZE];

	*asked = *answered = 0;
	if (http_client_open(&http, NULL, TIMEOUT_MS, &err)) {
		log_error("ingresses: %s", err.msg);
		return;
	}
	http_client_direct(http);
	while (next_name(&rest, name))
		ask_name(http, name, site_id, all, asked, answered);
	http_client_close(&http);
}
