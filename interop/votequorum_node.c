/* votequorum_node: stands beside the daemon of one node, reads a command from each line of stdin and answers with one
 * line. Every command opens connections of its own, so that the daemon may come and go between two of them.
 *
 *   state                     what the node knows, or "down" without a daemon that answers
 *   expect VOTES              votequorum_setexpected
 *   votes NODE VOTES          votequorum_setvotes
 *   register                  votequorum_qdevice_register, and the other calls of a quorum device
 *   unregister
 *   poll CAST
 *   wins ALLOW
 *   cast CAST MEMBERS         waits for the ring of MEMBERS, such as 1,2, and polls for it
 *   cancel                    sets quorum.cancel_wait_for_all
 */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cmap.h>
#include <corosync/quorum.h>
#include <corosync/votequorum.h>
#include <string.h>

#define DEVICE "history"

struct membership {
	uint64_t seq;
	char nodes[256];
	int known;
};

/* The ring whose synchronisation began last, and the ring for which quorum was told last: the same when it ended. */
static struct membership begun, told;
static votequorum_ring_id_t ring;

static void remember(struct membership *membership, uint64_t seq, uint32_t count, const uint32_t *list)
{
	int at = 0;

	membership->seq = seq;
	membership->nodes[0] = '\0';
	for (uint32_t i = 0; i < count && at < (int)sizeof(membership->nodes) - 12; i++)
		at += sprintf(membership->nodes + at, "%s%u", i ? "," : "", list[i]);
	membership->known = 1;
}

static void on_nodes(votequorum_handle_t handle, uint64_t context, votequorum_ring_id_t id, uint32_t count,
		     uint32_t list[])
{
	(void)handle;
	(void)context;
	ring = id;
	remember(&begun, id.seq, count, list);
}

static void on_quorum(quorum_handle_t handle, uint32_t quorate, uint64_t seq, uint32_t count, uint32_t *list)
{
	(void)handle;
	(void)quorate;
	remember(&told, seq, count, list);
}

static cs_error_t open_votequorum(votequorum_handle_t *handle)
{
	votequorum_callbacks_t callbacks = {.votequorum_nodelist_notify_fn = on_nodes};
	return votequorum_initialize(handle, &callbacks);
}

/* What synchronises now. */
static cs_error_t ask_begun(votequorum_handle_t handle)
{
	double end = seconds() + 2;
	cs_error_t error = votequorum_trackstart(handle, 0, CS_TRACK_CURRENT);

	begun.known = 0;
	while (error == CS_OK && !begun.known && seconds() < end) {
		error = votequorum_dispatch(handle, CS_DISPATCH_ALL);
		if (!begun.known)
			usleep(1000);
	}
	return begun.known ? error : CS_ERR_TIMEOUT;
}

/* What is synchronised. */
static cs_error_t ask_told(void)
{
	quorum_callbacks_t callbacks = {.quorum_notify_fn = on_quorum};
	quorum_handle_t handle;
	uint32_t type;
	double end = seconds() + 2;
	cs_error_t error = quorum_initialize(&handle, &callbacks, &type);

	told.known = 0;
	if (error != CS_OK)
		return error;
	error = quorum_trackstart(handle, CS_TRACK_CURRENT);
	while (error == CS_OK && !told.known && seconds() < end) {
		error = quorum_dispatch(handle, CS_DISPATCH_ALL);
		if (!told.known)
			usleep(1000);
	}
	quorum_finalize(handle);
	return told.known ? error : CS_ERR_TIMEOUT;
}

/* How many rings the node has been part of since its daemon started. */
static cs_error_t ask_rings(uint64_t *rings)
{
	cmap_handle_t handle;
	cs_error_t error = cmap_initialize_map(&handle, CMAP_MAP_STATS);

	if (error != CS_OK)
		return error;
	error = cmap_get_uint64(handle, "stats.srp.operational_entered", rings);
	cmap_finalize(handle);
	return error;
}

static void print_flags(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{VOTEQUORUM_INFO_TWONODE, "two-node"},
		{VOTEQUORUM_INFO_WAIT_FOR_ALL, "wait-for-all"},
		{VOTEQUORUM_INFO_LAST_MAN_STANDING, "last-man"},
		{VOTEQUORUM_INFO_AUTO_TIE_BREAKER, "tie-breaker"},
		{VOTEQUORUM_INFO_ALLOW_DOWNSCALE, "downscale"},
		{VOTEQUORUM_INFO_QDEVICE_REGISTERED, "registered"},
		{VOTEQUORUM_INFO_QDEVICE_ALIVE, "alive"},
		{VOTEQUORUM_INFO_QDEVICE_CAST_VOTE, "casts"},
		{VOTEQUORUM_INFO_QDEVICE_MASTER_WINS, "master-wins"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (flags & names[i].flag)
			printf(" %s", names[i].name);
}

static void state(void)
{
	struct votequorum_info info;
	votequorum_handle_t handle;
	uint64_t rings = 0;
	cs_error_t error = open_votequorum(&handle);

	if (error == CS_OK) {
		error = ask_begun(handle);
		if (error == CS_OK)
			error = ask_told();
		if (error == CS_OK)
			error = ask_rings(&rings);
		if (error == CS_OK)
			error = votequorum_getinfo(handle, VOTEQUORUM_QDEVICE_NODEID, &info);
		votequorum_finalize(handle);
	}
	if (error != CS_OK) {
		printf("down\n");
		return;
	}
	printf("%s %llu [%s] %s votes=%u expected=%u highest=%u total=%u quorum=%u device=%u",
	       begun.seq == told.seq ? "settled" : "busy", (unsigned long long)rings, begun.nodes,
	       info.flags & VOTEQUORUM_INFO_QUORATE ? "quorate" : "inquorate", info.node_votes,
	       info.node_expected_votes, info.highest_expected, info.total_votes, info.quorum, info.qdevice_votes);
	print_flags(info.flags);
	printf("\n");
}

/* The device's word for the ring of `members` once it forms. */
static cs_error_t cast(votequorum_handle_t handle, unsigned int vote, const char *members)
{
	double end = seconds() + DEADLINE_SECONDS;
	cs_error_t error;

	do {
		error = ask_begun(handle);
		if (error == CS_OK && strcmp(begun.nodes, members) == 0)
			error = votequorum_qdevice_poll(handle, DEVICE, vote, ring);
		else
			error = CS_ERR_TRY_AGAIN;
		if (error != CS_OK)
			usleep(2000);
		/* The ring is another one by now, or nobody answers while it forms. */
	} while ((error == CS_ERR_TRY_AGAIN || error == CS_ERR_MESSAGE_ERROR || error == CS_ERR_TIMEOUT) &&
		 seconds() < end);
	return error;
}

static cs_error_t cancel(void)
{
	cmap_handle_t handle;
	cs_error_t error = cmap_initialize(&handle);

	if (error != CS_OK)
		return error;
	error = cmap_set_uint8(handle, "quorum.cancel_wait_for_all", 1);
	cmap_finalize(handle);
	return error;
}

static cs_error_t poll_now(votequorum_handle_t handle, unsigned int vote)
{
	cs_error_t error = ask_begun(handle);
	return error == CS_OK ? votequorum_qdevice_poll(handle, DEVICE, vote, ring) : error;
}

static cs_error_t command(votequorum_handle_t handle, const char *verb, unsigned int first, const char *second)
{
	cs_error_t error;

	if (strcmp(verb, "expect") == 0)
		return votequorum_setexpected(handle, first);
	if (strcmp(verb, "votes") == 0)
		return votequorum_setvotes(handle, first, (unsigned int)strtoul(second, NULL, 10));
	if (strcmp(verb, "register") == 0) {
		ASK(error, votequorum_qdevice_register(handle, DEVICE));
		return error;
	}
	if (strcmp(verb, "unregister") == 0)
		return votequorum_qdevice_unregister(handle, DEVICE);
	if (strcmp(verb, "poll") == 0)
		return poll_now(handle, first);
	if (strcmp(verb, "wins") == 0)
		return votequorum_qdevice_master_wins(handle, DEVICE, first);
	if (strcmp(verb, "cast") == 0)
		return cast(handle, first, second);
	if (strcmp(verb, "cancel") == 0)
		return cancel();
	return CS_ERR_NOT_SUPPORTED;
}

int main(void)
{
	char line[512];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		char verb[16] = "", first[16] = "0", second[256] = "";
		votequorum_handle_t handle;
		cs_error_t error;

		if (sscanf(line, "%15s %15s %255s", verb, first, second) < 1)
			continue;
		if (strcmp(verb, "state") == 0) {
			state();
			continue;
		}
		ASK(error, open_votequorum(&handle));
		if (error == CS_OK) {
			error = command(handle, verb, (unsigned int)strtoul(first, NULL, 10), second);
			votequorum_finalize(handle);
		}
		printf("%s\n", error_name(error));
	}
	return 0;
}
