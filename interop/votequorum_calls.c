/* votequorum_calls: every call of libvotequorum against the daemon of this node, one line each. It changes this node's
 * votes, so it wants a freshly started daemon. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/votequorum.h>
#include <string.h>

static int notified, expected_changed;
static votequorum_ring_id_t ring_now;

static void on_quorum(votequorum_handle_t handle, uint64_t context, uint32_t quorate, uint32_t count,
		      votequorum_node_t list[])
{
	(void)handle;
	note("quorum context=%llu quorate=%u nodes=%u", (unsigned long long)context, quorate, count);
	for (uint32_t i = 0; i < count; i++)
		note("  node=%u state=%u", list[i].nodeid, list[i].state);
	notified++;
}

static void on_nodes(votequorum_handle_t handle, uint64_t context, votequorum_ring_id_t ring, uint32_t count,
		     uint32_t list[])
{
	(void)handle;
	note("nodelist context=%llu representative=%u seq is %s nodes=%u", (unsigned long long)context, ring.nodeid,
	     ring.seq ? "set" : "0", count);
	for (uint32_t i = 0; i < count; i++)
		note("  node=%u", list[i]);
	ring_now = ring;
	notified++;
}

static void on_expected(votequorum_handle_t handle, uint64_t context, uint32_t expected)
{
	(void)handle;
	note("expected votes context=%llu expected=%u", (unsigned long long)context, expected);
	expected_changed++;
}

static void wait_for(votequorum_handle_t handle, const int *counter, int target)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;
	votequorum_fd_get(handle, &fd);
	while (*counter < target && readable(fd, end)) {
		cs_error_t error = votequorum_dispatch(handle, CS_DISPATCH_ALL);
		if (error != CS_OK && error != CS_ERR_TRY_AGAIN) {
			answer(error, "votequorum_dispatch");
			return;
		}
	}
	if (*counter < target)
		note("nothing came");
}

static void show(votequorum_handle_t handle, unsigned int node)
{
	struct votequorum_info info;
	cs_error_t error;

	memset(&info, 0, sizeof(info));
	error = votequorum_getinfo(handle, node, &info);
	answer(error, "votequorum_getinfo node=%u", node);
	if (error != CS_OK)
		return;
	note("node=%u state=%u votes=%u expected=%u highest=%u total=%u quorum=%u flags=%u qdevice=%u \"%s\"",
	     info.node_id, info.node_state, info.node_votes, info.node_expected_votes, info.highest_expected,
	     info.total_votes, info.quorum, info.flags, info.qdevice_votes, info.qdevice_name);
}

static votequorum_handle_t initialise(void)
{
	votequorum_callbacks_t callbacks = {.votequorum_quorum_notify_fn = on_quorum,
					    .votequorum_expectedvotes_notify_fn = on_expected,
					    .votequorum_nodelist_notify_fn = on_nodes};
	votequorum_handle_t handle = 0;
	cs_error_t error;
	void *context = NULL;
	int fd = -1;

	ASK(error, votequorum_initialize(&handle, NULL));
	answer(error, "votequorum_initialize without callbacks");
	answer(votequorum_finalize(handle), "votequorum_finalize");
	answer(votequorum_finalize(handle), "votequorum_finalize again");
	ASK(error, votequorum_initialize(&handle, &callbacks));
	answer(error, "votequorum_initialize");
	answer(votequorum_fd_get(handle, &fd), "votequorum_fd_get");
	note("fd is %s", fd >= 0 ? "valid" : "invalid");
	answer(votequorum_context_get(handle, &context), "votequorum_context_get");
	note("context is %s", context == NULL ? "null" : "set");
	answer(votequorum_context_set(handle, &notified), "votequorum_context_set");
	answer(votequorum_context_get(handle, &context), "votequorum_context_get");
	note("context is %s", context == &notified ? "what was set" : "something else");
	answer(votequorum_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING),
	       "votequorum_dispatch one nonblocking, nothing there");
	return handle;
}

static void track(votequorum_handle_t handle)
{
	answer(votequorum_trackstop(handle), "votequorum_trackstop without trackstart");
	answer(votequorum_trackstart(handle, 42, 0x80), "votequorum_trackstart flags=0x80");
	answer(votequorum_trackstart(handle, 42, 0), "votequorum_trackstart flags=0");
	answer(votequorum_trackstart(handle, 42, CS_TRACK_CURRENT), "votequorum_trackstart current");
	wait_for(handle, &notified, notified + 2);
	answer(votequorum_trackstart(handle, 43, CS_TRACK_CHANGES), "votequorum_trackstart changes");
	wait_for(handle, &notified, notified + 2);
	answer(votequorum_trackstart(handle, 44, CS_TRACK_CHANGES), "votequorum_trackstart again");
}

/* A node knows a change of its votes at once, but it counts only when it has travelled round the ring: then no node
 * expects fewer votes than there are. */
static int votes_count(const struct votequorum_info *info, unsigned int votes)
{
	return info->node_votes == votes && info->total_votes >= votes && info->node_expected_votes >= info->total_votes;
}

static void wait_for_votes(votequorum_handle_t handle, unsigned int votes)
{
	struct votequorum_info info = {.node_votes = 0};
	double end = seconds() + DEADLINE_SECONDS;

	while (votequorum_getinfo(handle, 0, &info) == CS_OK && !votes_count(&info, votes) && seconds() < end)
		usleep(10000);
	show(handle, 0);
}

static void votes(votequorum_handle_t handle)
{
	struct votequorum_info before = {.node_votes = 0};
	cs_error_t error;

	votequorum_getinfo(handle, 0, &before);
	show(handle, 0);
	show(handle, 1);
	show(handle, 4711);
	answer(votequorum_setexpected(handle, 0), "votequorum_setexpected 0");
	answer(votequorum_setexpected(handle, 1000), "votequorum_setexpected 1000");
	answer(votequorum_setexpected(handle, before.node_expected_votes), "votequorum_setexpected to what it is");
	answer(votequorum_setvotes(handle, 4711, 1), "votequorum_setvotes of an unknown node");
	answer(votequorum_setvotes(handle, before.node_id, 2), "votequorum_setvotes 2");
	wait_for_votes(handle, 2);
	error = votequorum_setvotes(handle, before.node_id, 1);
	answer(error, "votequorum_setvotes 1");
	wait_for_votes(handle, error == CS_OK ? 1 : 2);
}

/* A new name of the device travels round the ring too. */
static void wait_for_device(votequorum_handle_t handle, const char *name)
{
	struct votequorum_info info = {.node_votes = 0};
	double end = seconds() + DEADLINE_SECONDS;

	while (votequorum_getinfo(handle, 0, &info) == CS_OK && strcmp(info.qdevice_name, name) != 0 &&
	       seconds() < end)
		usleep(10000);
	show(handle, 0);
}

static void quorum_device(votequorum_handle_t handle)
{
	char too_long[VOTEQUORUM_QDEVICE_MAX_NAME_LEN + 2];
	votequorum_ring_id_t stale = {.nodeid = 1, .seq = 1};
	cs_error_t error;

	memset(too_long, 'q', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	answer(votequorum_qdevice_poll(handle, "device", 1, ring_now), "votequorum_qdevice_poll without register");
	answer(votequorum_qdevice_unregister(handle, "device"), "votequorum_qdevice_unregister without register");
	answer(votequorum_qdevice_update(handle, "device", "other"), "votequorum_qdevice_update without register");
	answer(votequorum_qdevice_master_wins(handle, "device", 1), "votequorum_qdevice_master_wins without register");
	answer(votequorum_qdevice_register(handle, too_long), "votequorum_qdevice_register with a name of 256 bytes");
	ASK(error, votequorum_qdevice_register(handle, "device"));
	answer(error, "votequorum_qdevice_register");
	ASK(error, votequorum_qdevice_register(handle, "device"));
	answer(error, "votequorum_qdevice_register again");
	ASK(error, votequorum_qdevice_register(handle, "other"));
	answer(error, "votequorum_qdevice_register another name");
	answer(votequorum_qdevice_poll(handle, "other", 1, ring_now), "votequorum_qdevice_poll wrong name");
	answer(votequorum_qdevice_poll(handle, "device", 1, stale), "votequorum_qdevice_poll of an old ring");
	answer(votequorum_qdevice_poll(handle, "device", 0, ring_now), "votequorum_qdevice_poll without vote");
	answer(votequorum_qdevice_master_wins(handle, "device", 1), "votequorum_qdevice_master_wins");
	answer(votequorum_qdevice_update(handle, "other", "third"), "votequorum_qdevice_update wrong name");
	ASK(error, votequorum_qdevice_update(handle, "device", "renamed"));
	answer(error, "votequorum_qdevice_update");
	wait_for_device(handle, "renamed");
	answer(votequorum_qdevice_unregister(handle, "other"), "votequorum_qdevice_unregister wrong name");
	ASK(error, votequorum_qdevice_unregister(handle, "renamed"));
	answer(error, "votequorum_qdevice_unregister renamed");
	ASK(error, votequorum_qdevice_unregister(handle, "device"));
	answer(error, "votequorum_qdevice_unregister device");
}

static void bad_handle(const char *what, votequorum_handle_t handle)
{
	struct votequorum_info info;
	void *context = NULL;
	int fd;

	note("with %s:", what);
	answer(votequorum_fd_get(handle, &fd), "votequorum_fd_get");
	answer(votequorum_dispatch(handle, CS_DISPATCH_ALL), "votequorum_dispatch");
	answer(votequorum_getinfo(handle, 0, &info), "votequorum_getinfo");
	answer(votequorum_setexpected(handle, 1), "votequorum_setexpected");
	answer(votequorum_setvotes(handle, 0, 1), "votequorum_setvotes");
	answer(votequorum_trackstart(handle, 1, CS_TRACK_CURRENT), "votequorum_trackstart");
	answer(votequorum_trackstop(handle), "votequorum_trackstop");
	answer(votequorum_context_get(handle, &context), "votequorum_context_get");
	answer(votequorum_context_set(handle, context), "votequorum_context_set");
	answer(votequorum_qdevice_register(handle, "device"), "votequorum_qdevice_register");
	answer(votequorum_qdevice_unregister(handle, "device"), "votequorum_qdevice_unregister");
	answer(votequorum_qdevice_update(handle, "device", "other"), "votequorum_qdevice_update");
	answer(votequorum_qdevice_poll(handle, "device", 1, ring_now), "votequorum_qdevice_poll");
	answer(votequorum_qdevice_master_wins(handle, "device", 1), "votequorum_qdevice_master_wins");
	answer(votequorum_finalize(handle), "votequorum_finalize");
}

int main(void)
{
	votequorum_handle_t handle = initialise();

	track(handle);
	votes(handle);
	note("told of expected votes: %s", expected_changed > 0 ? "yes" : "no");
	answer(votequorum_trackstop(handle), "votequorum_trackstop");
	answer(votequorum_trackstop(handle), "votequorum_trackstop again");
	quorum_device(handle);
	answer(votequorum_finalize(handle), "votequorum_finalize");
	bad_handle("a closed handle", handle);
	bad_handle("a handle never opened", BAD_HANDLE);
	return 0;
}
