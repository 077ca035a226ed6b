/* Somebody who would like records, and to say that they are done. Connects to an ingress's two
 * ports, the second once the first has answered, sends an acknowledgement there, and tells for each
 * port whether it was let in.
 * stranger RECORDS_ENDPOINT ACKS_ENDPOINT ACK_IN_HEX [SERVER_KEY OWN_SECRET] */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define KEY_SIZE  41
#define ANSWER_MS 20000
#define LINGER_MS 20000
#define ACK_MOST  1024
#define HANDSHAKES                                                                                 \
	(ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                    \
		ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

static void die(const char *what)
{
	fprintf(stderr, "stranger: %s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(EXIT_FAILURE);
}

static void *socket_make(void *zmq, int type, char **keys, const char *monitor, void **events)
{
	void *socket = zmq_socket(zmq, type);
	const int linger = LINGER_MS, patience = ANSWER_MS;
	char public_key[KEY_SIZE];

	if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger))
		die("socket");
	if (keys && (zmq_curve_public(public_key, keys[1]) ||
			    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys[0], KEY_SIZE) ||
			    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_key, KEY_SIZE) ||
			    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys[1], KEY_SIZE)))
		die("keys");
	*events = zmq_socket(zmq, ZMQ_PAIR);
	if (zmq_socket_monitor(socket, monitor, HANDSHAKES) || zmq_connect(*events, monitor) ||
		zmq_setsockopt(*events, ZMQ_RCVTIMEO, &patience, sizeof patience))
		die("monitor");
	return socket;
}

/* Whether we were let in. */
static int is_in(void *events)
{
	char what[6], where[256];
	uint16_t event;

	if (zmq_recv(events, what, sizeof what, 0) != sizeof what ||
		zmq_recv(events, where, sizeof where, 0) < 0)
		die("nothing was heard");
	memcpy(&event, what, sizeof event);
	return event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
}

static size_t bytes_of(unsigned char *bytes, const char *hex)
{
	size_t n = 0;

	for (unsigned byte; n < ACK_MOST && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		bytes[n] = (unsigned char)byte;
	return n;
}

int main(int argc, char **argv)
{
	void *zmq = zmq_ctx_new(), *record_events, *ack_events, *records, *acks;
	char **keys = argc == 6 ? argv + 4 : NULL;
	unsigned char ack[ACK_MOST];
	const int none = 0, patience = ANSWER_MS;
	int record, in;

	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: stranger RECORDS ACKS ACK [SERVER_KEY OWN_SECRET]\n");
		return 2;
	}
	records = socket_make(zmq, ZMQ_PULL, keys, "inproc://records", &record_events);
	acks = socket_make(zmq, ZMQ_PUSH, keys, "inproc://acks", &ack_events);
	if (zmq_connect(records, argv[1]))
		die("connect");
	in = is_in(record_events);
	zmq_setsockopt(records, ZMQ_RCVTIMEO, in ? &patience : &none, sizeof patience);
	record = zmq_recv(records, ack, sizeof ack, 0);
	printf("records: %s, %s\n", in ? "let in" : "refused",
		record >= 0 ? "got one" : "got none");
	if (zmq_connect(acks, argv[2]) ||
		zmq_send(acks, ack, bytes_of(ack, argv[3]), ZMQ_DONTWAIT) < 0)
		die("acknowledge"); /* it waits for the connection */
	in = is_in(ack_events);
	printf("acknowledgements: %s\n", in ? "let in" : "refused");
	if (!in)
		zmq_setsockopt(acks, ZMQ_LINGER, &none, sizeof none);
	zmq_close(records);
	zmq_close(acks);
	zmq_close(record_events);
	zmq_close(ack_events);
	zmq_ctx_term(zmq);
	return EXIT_SUCCESS;
}
