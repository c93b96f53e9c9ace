/* sbd_calls: calls libcmap, libcpg and libvotequorum as sbd 1.5.2 does when it watches the cluster (`sbd-cluster.c`): it
 * follows three keys of the map, joins a group of its own through Pacemaker's library, and asks for its votes each second.
 *
 *   sbd_calls
 *
 * One line per call, for a fresh cluster of two nodes, on node 1. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cmap.h>
#include <corosync/cpg.h>
#include <corosync/votequorum.h>
#include <string.h>

#define GROUP "sbd:cluster"
#define TRACKED (CMAP_TRACK_DELETE | CMAP_TRACK_MODIFY | CMAP_TRACK_ADD)

static struct {
	cmap_handle_t cmap;
	cmap_track_handle_t last;
	votequorum_handle_t votequorum;
	int events, members;
} self;

static void on_key(cmap_handle_t handle, cmap_track_handle_t track, int32_t event, const char *key,
		   struct cmap_notify_value new_value, struct cmap_notify_value old_value, void *user)
{
	(void)handle;
	(void)track;
	(void)user;
	note("%s: event %d, type %d in %zu bytes, was type %d in %zu bytes", key, event, (int)new_value.type,
	     new_value.len, (int)old_value.type, old_value.len);
	self.events++;
}

static void await_events(int enough)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;

	cmap_fd_get(self.cmap, &fd);
	while (self.events < enough && readable(fd, end))
		cmap_dispatch(self.cmap, CS_DISPATCH_ALL);
	if (self.events < enough)
		note("nothing came");
}

static void follow_keys(void)
{
	static const char *const keys[] = {"quorum.two_node", "quorum.device.model", "quorum.device.sync_timeout"};
	cs_error_t error;
	int fd = -1;

	ASK(error, cmap_initialize(&self.cmap));
	answer(error, "cmap_initialize");
	for (size_t at = 0; at < sizeof(keys) / sizeof(keys[0]); at++) {
		error = cmap_track_add(self.cmap, keys[at], TRACKED, on_key, NULL, &self.last);
		answer(error, "cmap_track_add %s", keys[at]);
	}
	error = cmap_fd_get(self.cmap, &fd);
	answer(error, "cmap_fd_get, %s", fd >= 0 ? "a descriptor" : "none");
}

static void read_keys(void)
{
	uint8_t two_node = 0;
	uint32_t timeout = 0;
	char *model = NULL;
	cs_error_t error = cmap_get_uint8(self.cmap, "quorum.two_node", &two_node);

	answer(error, "cmap_get_uint8 quorum.two_node, %u", two_node);
	error = cmap_get_string(self.cmap, "quorum.device.model", &model);
	answer(error, "cmap_get_string quorum.device.model, %s", error == CS_OK ? model : "none");
	if (error == CS_OK)
		free(model);
	error = cmap_get_uint32(self.cmap, "quorum.device.sync_timeout", &timeout);
	answer(error, "cmap_get_uint32 quorum.device.sync_timeout, %u", timeout);
}

static void on_group(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members,
		     size_t member_count, const struct cpg_address *left, size_t left_count,
		     const struct cpg_address *joined, size_t joined_count)
{
	(void)handle;
	(void)members;
	(void)left;
	(void)joined;
	note("%.*s: %zu members, %zu left, %zu joined", (int)group->length, group->value, member_count, left_count,
	     joined_count);
	self.members++;
}

static void join(void)
{
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1, .cpg_confchg_fn = on_group};
	struct cpg_name group = {.length = sizeof(GROUP)};
	double end = seconds() + DEADLINE_SECONDS;
	cpg_handle_t cpg;
	unsigned node = 0;
	cs_error_t error;
	int fd = -1;

	/* Pacemaker's library counts the zero at the end of a group's name (`lib/cluster/cpg.c`, 2.1.5). */
	memcpy(group.value, GROUP, group.length);
	ASK(error, cpg_model_initialize(&cpg, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	answer(error, "cpg_model_initialize");
	ASK(error, cpg_local_get(cpg, &node));
	answer(error, "cpg_local_get, node %u", node);
	ASK(error, cpg_join(cpg, &group));
	answer(error, "cpg_join " GROUP);
	error = cpg_fd_get(cpg, &fd);
	answer(error, "cpg_fd_get, %s", fd >= 0 ? "a descriptor" : "none");
	while (self.members == 0 && readable(fd, end))
		cpg_dispatch(cpg, CS_DISPATCH_ONE);
	answer(cpg_leave(cpg, &group), "cpg_leave " GROUP);
	answer(cpg_finalize(cpg), "cpg_finalize");
}

/* The look of each second: a handle that does not work is given back, and the next look has another one. */
static void look(unsigned node)
{
	struct votequorum_info info;
	cs_error_t error;

	memset(&info, 0, sizeof(info));
	error = votequorum_getinfo(self.votequorum, node, &info);
	answer(error, "votequorum_getinfo %u", node);
	if (error == CS_OK) {
		note("node %u, state %u, %u votes, %u expected, %u highest, %u total, quorum %u, flags %u", info.node_id,
		     info.node_state, info.node_votes, info.node_expected_votes, info.highest_expected,
		     info.total_votes, info.quorum, info.flags);
		return;
	}
	answer(votequorum_finalize(self.votequorum), "votequorum_finalize");
	ASK(error, votequorum_initialize(&self.votequorum, NULL));
	answer(error, "votequorum_initialize");
}

/* What happens when somebody configures a quorum device, and gives it up. */
static void change_keys(void)
{
	answer(cmap_set_uint32(self.cmap, "quorum.device.sync_timeout", 40000), "cmap_set_uint32 to 40000");
	await_events(1);
	answer(cmap_set_uint32(self.cmap, "quorum.device.sync_timeout", 50000), "cmap_set_uint32 to 50000");
	await_events(2);
	read_keys();
	answer(cmap_delete(self.cmap, "quorum.device.sync_timeout"), "cmap_delete");
	await_events(3);
	read_keys();
}

int main(void)
{
	follow_keys();
	read_keys();
	join();
	for (int second = 0; second < 3; second++)
		look(0);
	change_keys();
	look(0);
	answer(cmap_track_delete(self.cmap, self.last), "cmap_track_delete");
	answer(cmap_finalize(self.cmap), "cmap_finalize");
	answer(votequorum_finalize(self.votequorum), "votequorum_finalize");
	return 0;
}
