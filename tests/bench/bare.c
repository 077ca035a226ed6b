/* The least that a civetweb server can do with an event: read the body, answer 202. What the
 * ingress is measured next to, set up as lib/http.c does. Arguments: "host:port", threads. */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER "HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

static int answer(struct mg_connection *conn)
{
	char body[64 << 10];
	long long left = mg_get_request_info(conn)->content_length;

	while (left > 0) {
		int n = mg_read(conn, body, sizeof body);

		if (n <= 0)
			break;
		left -= n;
	}
	mg_write(conn, ANSWER, sizeof ANSWER - 1);
	return 1;
}

int main(int argc, char **argv)
{
	const struct mg_callbacks callbacks = { .begin_request = answer };
	struct mg_context *ctx;
	sigset_t ends;
	int sig;

	if (argc != 3) {
		fprintf(stderr, "usage: bare host:port threads\n");
		return 2;
	}
	const char *config[] = { "listening_ports", argv[1], "num_threads", argv[2],
		"request_timeout_ms", "5000", "keep_alive_timeout_ms", "65000", "enable_keep_alive",
		"yes", "tcp_nodelay", "1", "linger_timeout_ms", "-2", "decode_url", "yes",
		"listen_backlog", "1024", "connection_queue", "256", NULL };
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* civetweb's threads inherit it */
	ctx = mg_start(&callbacks, NULL, config);
	if (!ctx) {
		fprintf(stderr, "bare: cannot serve on %s\n", argv[1]);
		return EXIT_FAILURE;
	}
	sigwait(&ends, &sig);
	mg_stop(ctx);
	return EXIT_SUCCESS;
}
