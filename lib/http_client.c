#include "lib/http_client.h"
#include "lib/version.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MOST        (4 << 20) /* 1,000 results with their reasons are some 200 KiB */
#define CONNECT_TIMEOUT_MS 5000L

struct http_client {
	CURL *curl;
	char *authorization; /* owned; NULL: none */
	char *body;
	size_t len, size;
	char reason[CURL_ERROR_SIZE];
};

int http_client_init(struct err *err)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) ? err_set(err, -EIO, "libcurl could not start")
						     : 0;
}

static size_t on_body(char *bytes, size_t one, size_t count, void *arg)
{
	struct http_client *c = arg;
	size_t take = count < ANSWER_MOST - c->len ? count : ANSWER_MOST - c->len;

	(void)one;
	if (c->len + take > c->size) {
		size_t size = c->size ? c->size : 4096;
		char *grown;

		while (size < c->len + take)
			size *= 2;
		grown = realloc(c->body, size);
		if (!grown)
			return 0;
		c->body = grown;
		c->size = size;
	}
	if (take)
		memcpy(c->body + c->len, bytes, take);
	c->len += take;
	return count;
}

int http_client_open(struct http_client **out, const char *bearer, long timeout_ms, struct err *err)
{
	struct http_client *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(err, -ENOMEM, "no memory for HTTP");
	c->curl = curl_easy_init();
	if (!c->curl ||
		(bearer && asprintf(&c->authorization, "Authorization: Bearer %s", bearer) < 0)) {
		http_client_close(&c);
		return err_set(err, -ENOMEM, "no memory for HTTP");
	}
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->reason);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "footfall/" VERSION_TEXT);
	*out = c;
	return 0;
}

void http_client_direct(struct http_client *c)
{
	curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
}

void http_client_limit(struct http_client *c, long timeout_ms)
{
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
}

void http_client_close(struct http_client **client_p)
{
	struct http_client *c = *client_p;

	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	free(c->authorization);
	free(c->body);
	free(c);
	*client_p = NULL;
}

static int run(struct http_client *c, const char *url, const char *type, struct http_answer *answer,
	struct err *err)
{
	struct curl_slist *headers = NULL;
	curl_off_t retry_after = 0;
	char content_type[128];
	CURLcode rc;

	c->len = 0;
	c->reason[0] = '\0';
	if (c->authorization)
		headers = curl_slist_append(headers, c->authorization);
	if (type) {
		snprintf(content_type, sizeof content_type, "Content-Type: %s", type);
		headers = curl_slist_append(headers, content_type);
		headers = curl_slist_append(headers, "Expect:"); /* spares a round trip */
	}
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	rc = curl_easy_perform(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (rc)
		return err_set(err, -ECONNREFUSED, "%s: %s", url,
			*c->reason ? c->reason : curl_easy_strerror(rc));
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry_after);
	answer->retry_after_s = retry_after > 0 ? (long)retry_after : -1;
	answer->body = (struct span){ c->body ? c->body : "", c->len };
	return 0;
}

int http_client_get(
	struct http_client *c, const char *url, struct http_answer *answer, struct err *err)
{
	curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	return run(c, url, NULL, answer, err);
}

int http_client_post(struct http_client *c, const char *url, const char *type, struct span body,
	struct http_answer *answer, struct err *err)
{
	curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.ptr);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	return run(c, url, type, answer, err);
}
