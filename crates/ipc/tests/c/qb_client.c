/*
 * A libqb client for the tests of ferrosync-ipc.
 *
 *     qb_client SCENARIO SERVICE [NUMBER...]
 *
 * Each scenario checks what it sees and exits with 0, or says what is wrong and exits with 1. Where the test has
 * to do something in between, the scenario prints a line and waits for one.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <qb/qbdefs.h>
#include <qb/qbipc_common.h>
#include <qb/qbipcc.h>

enum { ECHO = 1, EVENTS = 2, ASYNC = 3, CLOSE = 4, LEVEL = 5, EVENT = 9 };
enum { MAX_MSG_SIZE = 1 << 20, PATIENCE_MS = 60000 };

/* CHECK(condition) or CHECK(condition, format, ...) */
#define CHECK(condition, ...)                                                   \
	do {                                                                    \
		if (!(condition)) {                                             \
			fprintf(stderr, "line %d: %s: ", __LINE__, #condition); \
			fprintf(stderr, " " __VA_ARGS__);                       \
			fprintf(stderr, "\n");                                  \
			exit(1);                                                \
		}                                                               \
	} while (0)

static unsigned char out[MAX_MSG_SIZE], in[MAX_MSG_SIZE];

/* Tells the test where we are, and waits until it says go. */
static void meet(const char *where)
{
	char line[64];

	puts(where);
	fflush(stdout);
	CHECK(fgets(line, sizeof line, stdin) != NULL, "the test is gone");
}

static struct iovec *message(struct iovec iov[2], int32_t id, const void *body, size_t len)
{
	static struct qb_ipc_request_header header;

	memset(&header, 0, sizeof header);
	header.id = id;
	header.size = (int32_t)(sizeof header + len);
	iov[0].iov_base = &header;
	iov[0].iov_len = sizeof header;
	iov[1].iov_base = (void *)body;
	iov[1].iov_len = len;
	return iov;
}

static ssize_t send_async(qb_ipcc_connection_t *c, const void *body, size_t len)
{
	struct iovec iov[2];

	return qb_ipcc_sendv(c, message(iov, ASYNC, body, len), 2);
}

static ssize_t request(qb_ipcc_connection_t *c, int32_t id, const void *body, size_t len)
{
	struct iovec iov[2];

	return qb_ipcc_sendv_recv(c, message(iov, id, body, len), 2, in, sizeof in, PATIENCE_MS);
}

static void echo(qb_ipcc_connection_t *c, size_t len, unsigned seed)
{
	struct qb_ipc_response_header *header = (void *)in;
	ssize_t got;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)(i * 31 + seed);
	got = request(c, ECHO, out, len);
	CHECK(got == (ssize_t)(sizeof *header + len), "len %zu, got %zd", len, got);
	CHECK(header->id == ECHO && header->error == 0 && header->size == got);
	CHECK(memcmp(in + sizeof *header, out, len) == 0, "len %zu", len);
}

static void ask_events(qb_ipcc_connection_t *c, uint32_t count, uint32_t len)
{
	uint32_t body[2] = { count, len };

	CHECK(request(c, EVENTS, body, sizeof body) == sizeof(struct qb_ipc_response_header));
}

static void take_events(qb_ipcc_connection_t *c, uint32_t first, uint32_t count, uint32_t len)
{
	for (uint32_t i = first; i < first + count; i++) {
		uint32_t seq;
		ssize_t got = qb_ipcc_event_recv(c, in, sizeof in, PATIENCE_MS);

		CHECK(got == (ssize_t)len, "event %u: %zd", i, got);
		memcpy(&seq, in + sizeof(struct qb_ipc_response_header), sizeof seq);
		CHECK(seq == i, "event %u came as %u", i, seq);
		CHECK(len == 28 || in[len - 1] == (unsigned char)i);
	}
}

static void is_over(qb_ipcc_connection_t *c)
{
	struct pollfd fd = { .events = POLLIN };
	ssize_t res;

	CHECK(qb_ipcc_fd_get(c, &fd.fd) == 0);
	res = qb_ipcc_event_recv(c, in, sizeof in, PATIENCE_MS);
	CHECK(res == -ENOTCONN || res == -ECONNREFUSED || res == -ECONNRESET, "%zd", res);
	CHECK(!qb_ipcc_is_connected(c));
	res = send_async(c, "x", 1);
	CHECK(res < 0 && res != -EAGAIN, "%zd", res);
	res = request(c, ECHO, "x", 1);
	CHECK(res < 0, "%zd", res);
}

static qb_ipcc_connection_t *connect_to(const char *service)
{
	qb_ipcc_connection_t *c = qb_ipcc_connect(service, MAX_MSG_SIZE);

	CHECK(c != NULL, "%s: %s", service, strerror(errno));
	return c;
}

static void levels(qb_ipcc_connection_t *c)
{
	CHECK(send_async(c, "a", 1) > 0);
	meet("level 1 please");
	CHECK(send_async(c, "b", 1) == -EAGAIN);
	CHECK(request(c, ECHO, "b", 1) == -EAGAIN);
	meet("level 2 please");
	CHECK(send_async(c, "c", 1) > 0, "a client that did not ask for it ignores level 2");
	CHECK(qb_ipcc_fc_enable_max_set(c, 2) == 0);
	CHECK(send_async(c, "d", 1) == -EAGAIN);
	CHECK(qb_ipcc_fc_enable_max_set(c, 1) == 0);
	meet("level 0 please");
	CHECK(qb_ipcc_fc_enable_max_set(c, 2) == 0);
	CHECK(send_async(c, "e", 1) > 0);
}

static void flood(qb_ipcc_connection_t *c, unsigned count)
{
	for (unsigned i = 0; i < count;) {
		ssize_t res = send_async(c, &i, sizeof i);

		CHECK(res > 0 || res == -EAGAIN, "%zd", res);
		i += res > 0;
	}
}

static void mixed(qb_ipcc_connection_t *c, uint32_t count, uint32_t len)
{
	uint32_t taken = 0;

	ask_events(c, count, len);
	for (unsigned i = 0; taken < count; i++) {
		uint32_t some = count - taken < 7 ? count - taken : 7;

		echo(c, i % 3000, i);
		take_events(c, taken, some, len);
		taken += some;
	}
}

int main(int argc, char **argv)
{
	qb_ipcc_connection_t *c;
	const char *what = argc > 2 ? argv[1] : "";
	unsigned long a = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	unsigned long b = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;

	CHECK(argc > 2, "usage: qb_client SCENARIO SERVICE [NUMBER...]");
	if (strcmp(what, "refused") == 0) {
		c = qb_ipcc_connect(argv[2], MAX_MSG_SIZE);
		CHECK(c == NULL && errno == (int)a, "%s", strerror(errno));
		return 0;
	}
	c = connect_to(argv[2]);
	if (strcmp(what, "echo") == 0) {
		for (unsigned long len = 0; len < a; len += b)
			echo(c, len, (unsigned)len);
	} else if (strcmp(what, "longest") == 0) {
		size_t longest = MAX_MSG_SIZE - sizeof(struct qb_ipc_response_header);

		CHECK(qb_ipcc_get_buffer_size(c) == MAX_MSG_SIZE);
		for (unsigned i = 0; i < 5; i++) {
			echo(c, longest, i);
			echo(c, 3, i);
		}
		CHECK(send_async(c, out, MAX_MSG_SIZE) == -EMSGSIZE);
	} else if (strcmp(what, "events") == 0) {
		ask_events(c, (uint32_t)a, (uint32_t)b);
		meet("asked");
		take_events(c, 0, (uint32_t)a, (uint32_t)b);
		CHECK(qb_ipcc_event_recv(c, in, sizeof in, 0) == -EAGAIN);
	} else if (strcmp(what, "mixed") == 0) {
		mixed(c, (uint32_t)a, (uint32_t)b);
	} else if (strcmp(what, "levels") == 0) {
		levels(c);
	} else if (strcmp(what, "flood") == 0) {
		flood(c, (unsigned)a);
	} else if (strcmp(what, "vanish") == 0) {
		flood(c, (unsigned)a);
		_exit(0);
	} else if (strcmp(what, "hold") == 0) {
		echo(c, 10, 0);
		ask_events(c, (uint32_t)a, (uint32_t)b);
		meet("holding");
	} else if (strcmp(what, "over") == 0) {
		echo(c, 10, 0);
		meet("connected");
		is_over(c);
	} else if (strcmp(what, "closed-by-request") == 0) {
		CHECK(request(c, CLOSE, "", 0) < 0);
		CHECK(!qb_ipcc_is_connected(c));
	} else {
		CHECK(0, "unknown scenario %s", what);
	}
	qb_ipcc_disconnect(c);
	return 0;
}
