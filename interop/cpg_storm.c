/* cpg_storm: joins a group, multicasts bodies of random size at a steady rate and records all it sees, in order.
 *
 *   cpg_storm --record FILE [--group NAME] [--rate PER_SECOND] [--min BYTES] [--max BYTES] [--seconds N] [--seed N]
 *             [--period BYTES]
 *
 * It survives the death of its daemon: it connects again under a new incarnation. SIGTERM or SIGINT ends it: it sends
 * no more, waits for its own messages, writes out the record and prints one line of statistics. Exit code 0 when every
 * accepted message of the last incarnation came back and nothing was damaged, otherwise 1; 2 for a bad command line.
 *
 * The record is text, one line per event (checked by `cargo xtask interop`):
 *   connect NODE PID INCARNATION              ready: joined, and the own join seen
 *   ring REPRESENTATIVE SEQ NODE,NODE..       totem configuration
 *   view MEMBERS LEFT JOINED                  each a list NODE:PID,NODE:PID.. or -
 *   sent SEQ LENGTH HASH                      accepted by the daemon
 *   got NODE PID INCARNATION SEQ LENGTH HASH ok|damaged
 *   disconnect ERROR
 *   end ACCEPTED DELIVERED                    of the last incarnation, own messages only */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cpg.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>

/* What every body starts with; the rest is noise. Both ends of a storm run on one machine, so bytes are in its order. */
struct head {
	uint32_t seq;
	uint32_t pid;
	uint16_t node;
	uint16_t incarnation;
	uint32_t length;
	uint16_t check;
} __attribute__((packed));

#define MAX_BODY (1 << 20)
/* Larger bodies only where asked for: they take their time. */
#define USUAL_BODY 60000
/* Sends in a row before deliveries are looked at. */
#define BURST 32
/* How far behind its schedule the sender may fall before it forgets the arrears. */
#define MAX_ARREARS_SECONDS 0.1
#define RETRY_CONNECT_MICROSECONDS 100000
#define RECORD_BUFFER (1 << 20)

static struct {
	const char *record, *group;
	double rate, seconds;
	/* The noise repeats after so many bytes, a multiple of 8, so that it can be compressed; 0: never. */
	size_t min, max, period;
	uint64_t seed;
} options = {.group = "storm", .rate = 2000, .min = sizeof(struct head), .max = USUAL_BODY, .seed = 1};

static struct {
	uint32_t node, pid, incarnation;
	int joined;
	/* Of this incarnation. */
	uint32_t accepted, came_back;
} self;

static struct {
	uint64_t sent, delivered, damaged, try_again, views, rings, disconnects, bytes;
} count;

static FILE *record;
static volatile sig_atomic_t stop;
static uint8_t body[MAX_BODY];

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static uint64_t next_random(void)
{
	options.seed ^= options.seed << 13;
	options.seed ^= options.seed >> 7;
	options.seed ^= options.seed << 17;
	return options.seed;
}

/* Small bodies are as frequent as large ones: the size is uniform in its logarithm, by doubling from the minimum. */
static size_t random_size(void)
{
	size_t low = options.min, doublings = 0, high;

	while ((low << (doublings + 1)) <= options.max)
		doublings++;
	low <<= next_random() % (doublings + 1);
	high = 2 * low - 1 < options.max ? 2 * low - 1 : options.max;
	return low + next_random() % (high - low + 1);
}

/* 16 bits over the whole body, the check field counted as 0. */
static uint16_t check_of(const uint8_t *bytes, size_t size)
{
	struct head head;
	uint64_t hash;

	memcpy(&head, bytes, sizeof(head));
	head.check = 0;
	hash = hash_of(&head, sizeof(head)) * 31 + hash_of(bytes + sizeof(head), size - sizeof(head));
	return (uint16_t)(hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48);
}

static size_t fill_body(void)
{
	size_t size = random_size();
	struct head head = {.seq = self.accepted,
			    .pid = self.pid,
			    .node = (uint16_t)self.node,
			    .incarnation = (uint16_t)self.incarnation,
			    .length = (uint32_t)size};

	for (size_t at = sizeof(head); at < size; at += sizeof(uint64_t)) {
		uint64_t noise;
		if (options.period != 0 && at >= sizeof(head) + options.period)
			memcpy(&noise, body + at - options.period, sizeof(noise));
		else
			noise = next_random();
		memcpy(body + at, &noise, size - at < sizeof(noise) ? size - at : sizeof(noise));
	}
	memcpy(body, &head, sizeof(head));
	head.check = check_of(body, size);
	memcpy(body, &head, sizeof(head));
	return size;
}

static int is_sound(const struct head *head, uint32_t node, uint32_t pid, const uint8_t *bytes, size_t length)
{
	return head->length == length && head->node == (uint16_t)node && head->pid == pid &&
	       head->check == check_of(bytes, length);
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *message,
		       size_t length)
{
	struct head head = {.seq = 0};
	int sound = 0;

	(void)handle;
	(void)group;
	if (length >= sizeof(head)) {
		memcpy(&head, message, sizeof(head));
		sound = is_sound(&head, node, pid, message, length);
	}
	fprintf(record, "got %" PRIu32 " %" PRIu32 " %u %" PRIu32 " %zu %016" PRIx64 " %s\n", node, pid,
		head.incarnation, head.seq, length, hash_of(message, length), sound ? "ok" : "damaged");
	count.delivered++;
	count.bytes += length;
	count.damaged += !sound;
	if (node == self.node && pid == self.pid && head.incarnation == (uint16_t)self.incarnation)
		self.came_back++;
}

static void write_addresses(const struct cpg_address *list, size_t entries)
{
	if (entries == 0)
		fputs(" -", record);
	for (size_t i = 0; i < entries; i++)
		fprintf(record, "%c%" PRIu32 ":%" PRIu32, i == 0 ? ' ' : ',', list[i].nodeid, list[i].pid);
}

static void on_view(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members,
		    size_t member_count, const struct cpg_address *left, size_t left_count,
		    const struct cpg_address *joined, size_t joined_count)
{
	(void)handle;
	(void)group;
	for (size_t i = 0; i < joined_count; i++) {
		if (joined[i].nodeid == self.node && joined[i].pid == self.pid && !self.joined) {
			self.joined = 1;
			fprintf(record, "connect %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", self.node, self.pid,
				self.incarnation);
		}
	}
	fputs("view", record);
	write_addresses(members, member_count);
	write_addresses(left, left_count);
	write_addresses(joined, joined_count);
	fputc('\n', record);
	count.views++;
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t entries, const uint32_t *members)
{
	(void)handle;
	fprintf(record, "ring %" PRIu32 " %" PRIu64, ring.nodeid, ring.seq);
	for (uint32_t i = 0; i < entries; i++)
		fprintf(record, "%c%" PRIu32, i == 0 ? ' ' : ',', members[i]);
	fputc('\n', record);
	count.rings++;
}

/* Connects and asks to join; 0 when the storm was stopped before that succeeded. */
static int connect_to_daemon(cpg_handle_t *handle)
{
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1,
				     .cpg_deliver_fn = on_deliver,
				     .cpg_confchg_fn = on_view,
				     .cpg_totem_confchg_fn = on_ring,
				     .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF};
	struct cpg_name group = {.length = (uint32_t)strlen(options.group)};

	memcpy(group.value, options.group, group.length);
	while (!stop) {
		if (cpg_model_initialize(handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL) == CS_OK) {
			cs_error_t error = CS_ERR_TRY_AGAIN;
			self.joined = 0;
			self.incarnation++;
			self.accepted = self.came_back = 0;
			while (!stop && cpg_local_get(*handle, &self.node) == CS_OK &&
			       (error = cpg_join(*handle, &group)) == CS_ERR_TRY_AGAIN)
				usleep(RETRY_CONNECT_MICROSECONDS);
			if (error == CS_OK)
				return 1;
			cpg_finalize(*handle);
		}
		usleep(RETRY_CONNECT_MICROSECONDS);
	}
	return 0;
}

/* Sends what is due; CS_OK also when the daemon asked for patience. */
static cs_error_t send_due(cpg_handle_t handle, double *due)
{
	if (*due < seconds() - MAX_ARREARS_SECONDS)
		*due = seconds() - MAX_ARREARS_SECONDS;
	for (int i = 0; i < BURST && *due <= seconds(); i++) {
		size_t size = fill_body();
		struct iovec piece = {.iov_base = body, .iov_len = size};
		cs_error_t error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &piece, 1);

		if (error == CS_ERR_TRY_AGAIN) {
			count.try_again++;
			*due = seconds() + 0.001;
			return CS_OK;
		}
		if (error != CS_OK)
			return error;
		fprintf(record, "sent %" PRIu32 " %zu %016" PRIx64 "\n", self.accepted, size, hash_of(body, size));
		self.accepted++;
		count.sent++;
		*due += 1 / options.rate;
	}
	return CS_OK;
}

static cs_error_t look(cpg_handle_t handle, double until)
{
	int fd = -1;
	cs_error_t error = cpg_fd_get(handle, &fd);
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	double left = until - seconds();

	if (error != CS_OK)
		return error;
	if (poll(&ready, 1, left > 0 ? (int)(left * 1000) + 1 : 0) < 0 && errno != EINTR)
		return CS_ERR_LIBRARY;
	error = cpg_dispatch(handle, CS_DISPATCH_ALL);
	return error == CS_ERR_TRY_AGAIN ? CS_OK : error;
}

/* One incarnation: until the storm is stopped and drained, or the daemon is gone. */
static cs_error_t storm(cpg_handle_t handle, double end)
{
	double due = seconds(), drained = 0;
	cs_error_t error = CS_OK;

	while (error == CS_OK) {
		double now = seconds();
		if (now >= end)
			stop = 1;
		if (stop && drained == 0)
			drained = now + DEADLINE_SECONDS;
		if (stop && (now > drained || self.came_back == self.accepted))
			return CS_OK;
		if (!stop && self.joined)
			error = send_due(handle, &due);
		if (error == CS_OK)
			error = look(handle, stop || !self.joined ? now + 0.01 : due);
	}
	return error;
}

static void usage(void)
{
	fprintf(stderr, "usage: cpg_storm --record FILE [--group NAME] [--rate PER_SECOND] [--min BYTES] [--max BYTES] "
			"[--seconds N] [--seed N] [--period BYTES]\n");
	exit(2);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"record", required_argument, NULL, 'f'},  {"group", required_argument, NULL, 'g'},
		{"rate", required_argument, NULL, 'r'},	   {"min", required_argument, NULL, 'm'},
		{"max", required_argument, NULL, 'M'},	   {"seconds", required_argument, NULL, 't'},
		{"seed", required_argument, NULL, 's'},	   {"period", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'f': options.record = optarg; break;
		case 'g': options.group = optarg; break;
		case 'r': options.rate = atof(optarg); break;
		case 'm': options.min = strtoul(optarg, NULL, 10); break;
		case 'M': options.max = strtoul(optarg, NULL, 10); break;
		case 't': options.seconds = atof(optarg); break;
		case 's': options.seed = strtoull(optarg, NULL, 10); break;
		case 'p': options.period = strtoul(optarg, NULL, 10); break;
		default: usage();
		}
	}
	if (options.record == NULL || optind != argc || options.rate <= 0 || options.min < sizeof(struct head) ||
	    options.max < options.min || options.max > MAX_BODY || options.period % sizeof(uint64_t) != 0 || strlen(options.group) > CPG_MAX_NAME_LENGTH)
		usage();
	/* A generator of this kind stays at 0 for ever, and small seeds start out alike. */
	options.seed = (options.seed + 1) * 0x9e3779b97f4a7c15u | 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	cpg_handle_t handle;
	double end;

	read_options(argc, argv);
	record = fopen(options.record, "w");
	if (record == NULL) {
		perror(options.record);
		return 1;
	}
	setvbuf(record, NULL, _IOFBF, RECORD_BUFFER);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	self.pid = (uint32_t)getpid();
	end = options.seconds > 0 ? seconds() + options.seconds : 1e300;
	while (connect_to_daemon(&handle)) {
		cs_error_t error = storm(handle, end);
		cpg_finalize(handle);
		if (error == CS_OK) {
			fprintf(record, "end %" PRIu32 " %" PRIu32 "\n", self.accepted, self.came_back);
			break;
		}
		fprintf(record, "disconnect %s\n", error_name(error));
		fflush(record);
		count.disconnects++;
		self.joined = 0;
	}
	if (fclose(record) != 0) {
		perror(options.record);
		return 1;
	}
	printf("node=%" PRIu32 " incarnations=%" PRIu32 " sent=%" PRIu64 " delivered=%" PRIu64 " damaged=%" PRIu64
	       " try_again=%" PRIu64 " views=%" PRIu64 " rings=%" PRIu64 " disconnects=%" PRIu64 " bytes=%" PRIu64 "\n",
	       self.node, self.incarnation, count.sent, count.delivered, count.damaged, count.try_again, count.views,
	       count.rings, count.disconnects, count.bytes);
	return self.came_back == self.accepted && count.damaged == 0 ? 0 : 1;
}
