/* dlm_calls: calls libcfg, libcmap, libquorum and libcpg as dlm_controld 4.2 does, in its order: at its start, while a
 * daemon joins and agrees with the others, and at its end. What it cannot do here is what the kernel's part is for.
 *
 *   dlm_calls
 *
 * One line per call, for a fresh cluster of two nodes, on node 1. */
#define _GNU_SOURCE
#include "calls.h"

#include <arpa/inet.h>
#include <corosync/cfg.h>
#include <corosync/cmap.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <string.h>

#define GROUP "dlm:controld"
/* Length of the message in which a daemon tells which versions of its protocol it speaks. */
#define PROTOCOL_BYTES 72
#define NODES_MAX 8

static struct {
	corosync_cfg_handle_t cfg;
	quorum_handle_t quorum;
	cpg_handle_t cpg;
	unsigned local;
} self;

static struct {
	int quorum, joined, left, rings, messages;
} seen;

static void on_shutdown(corosync_cfg_handle_t handle, corosync_cfg_shutdown_flags_t flags)
{
	(void)handle;
	note("asked to shut down, flags %d", (int)flags);
}

static void on_quorum(quorum_handle_t handle, uint32_t quorate, uint64_t ring, uint32_t entries, uint32_t *nodes)
{
	(void)handle;
	(void)ring;
	note("quorum %u, %u nodes from %u to %u", quorate, entries, nodes[0], nodes[entries - 1]);
	seen.quorum++;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *message,
		       size_t length)
{
	(void)handle;
	note("%.*s: %zu bytes from node %u, %s process, hash %016llx", (int)group->length, group->value, length, node,
	     pid == (uint32_t)getpid() ? "this" : "another", (unsigned long long)hash_of(message, length));
	seen.messages++;
}

static void on_group(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members,
		     size_t member_count, const struct cpg_address *left, size_t left_count,
		     const struct cpg_address *joined, size_t joined_count)
{
	(void)handle;
	(void)members;
	note("%.*s: %zu members, %zu left, %zu joined", (int)group->length, group->value, member_count, left_count,
	     joined_count);
	if (joined_count == 1)
		note("node %u joined, reason %u", joined[0].nodeid, joined[0].reason);
	if (left_count == 1)
		note("node %u left, reason %u", left[0].nodeid, left[0].reason);
	seen.joined += joined_count != 0;
	seen.left += left_count != 0;
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t entries, const uint32_t *members)
{
	(void)handle;
	note("ring of node %u with %u members from %u", ring.nodeid, entries, members[0]);
	seen.rings++;
}

/* Dispatches what has come until `count` is at least `enough`. */
static void await_cpg(const int *count, int enough)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;

	cpg_fd_get(self.cpg, &fd);
	while (*count < enough && readable(fd, end))
		cpg_dispatch(self.cpg, CS_DISPATCH_ALL);
	if (*count < enough)
		note("nothing came");
}

static void start_cfg(void)
{
	corosync_cfg_callbacks_t callbacks = {.corosync_cfg_shutdown_callback = on_shutdown};
	cs_error_t error;
	int fd = -1;

	ASK(error, corosync_cfg_initialize(&self.cfg, &callbacks));
	answer(error, "corosync_cfg_initialize");
	error = corosync_cfg_fd_get(self.cfg, &fd);
	answer(error, "corosync_cfg_fd_get, %s", fd >= 0 ? "a descriptor" : "none");
	error = corosync_cfg_local_get(self.cfg, &self.local);
	answer(error, "corosync_cfg_local_get, node %u", self.local);
}

/* The nodes of the list, one after the other until there is none, and whether there are two. */
static void read_nodes(void)
{
	cmap_handle_t cmap;
	cs_error_t error;
	uint8_t two_node = 0;

	ASK(error, cmap_initialize(&cmap));
	answer(error, "cmap_initialize");
	for (int place = 0; place < NODES_MAX && error == CS_OK; place++) {
		char key[CMAP_KEYNAME_MAXLEN + 1];
		uint32_t node = 0;
		snprintf(key, sizeof(key), "nodelist.node.%d.nodeid", place);
		error = cmap_get_uint32(cmap, key, &node);
		answer(error, "cmap_get_uint32 %s, %u", key, node);
		if (error == CS_OK) {
			uint32_t mark = 0;
			snprintf(key, sizeof(key), "nodelist.node.%d.mark", place);
			answer(cmap_get_uint32(cmap, key, &mark), "cmap_get_uint32 %s, %u", key, mark);
		}
	}
	error = cmap_get_uint8(cmap, "quorum.two_node", &two_node);
	answer(error, "cmap_get_uint8 quorum.two_node, %u", two_node);
	answer(cmap_finalize(cmap), "cmap_finalize");
}

/* A connection of its own for one string. */
static void read_string(const char *key)
{
	cmap_handle_t cmap;
	cs_error_t error;
	char *value = NULL;

	ASK(error, cmap_initialize(&cmap));
	answer(error, "cmap_initialize");
	error = cmap_get_string(cmap, key, &value);
	answer(error, "cmap_get_string %s, %s", key, error == CS_OK ? value : "none");
	if (error == CS_OK)
		free(value);
	answer(cmap_finalize(cmap), "cmap_finalize");
}

static void start_quorum(void)
{
	quorum_model_v0_data_t model = {.model = QUORUM_MODEL_V0, .quorum_notify_fn = on_quorum};
	double end = seconds() + DEADLINE_SECONDS;
	uint32_t type = 0;
	cs_error_t error;
	int fd = -1;

	ASK(error, quorum_model_initialize(&self.quorum, QUORUM_MODEL_V0, (quorum_model_data_t *)&model, &type, NULL));
	answer(error, "quorum_model_initialize, %s", type == QUORUM_SET ? "a provider" : "none");
	error = quorum_fd_get(self.quorum, &fd);
	answer(error, "quorum_fd_get, %s", fd >= 0 ? "a descriptor" : "none");
	answer(quorum_trackstart(self.quorum, CS_TRACK_CHANGES), "quorum_trackstart");
	while (seen.quorum == 0 && readable(fd, end))
		quorum_dispatch(self.quorum, CS_DISPATCH_ALL);
}

static void start_cpg(void)
{
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1,
				     .cpg_deliver_fn = on_deliver,
				     .cpg_confchg_fn = on_group,
				     .cpg_totem_confchg_fn = on_ring,
				     .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF};
	struct cpg_name group = {.length = strlen(GROUP)};
	cs_error_t error;
	int fd = -1;

	memcpy(group.value, GROUP, group.length);
	ASK(error, cpg_model_initialize(&self.cpg, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	answer(error, "cpg_model_initialize");
	error = cpg_fd_get(self.cpg, &fd);
	answer(error, "cpg_fd_get, %s", fd >= 0 ? "a descriptor" : "none");
	ASK(error, cpg_join(self.cpg, &group));
	answer(error, "cpg_join " GROUP);
	await_cpg(&seen.joined, 1);
	await_cpg(&seen.rings, 1);
}

/* The three messages of a daemon that is alone: what it can speak, what it proposes, what it runs. */
static void agree(void)
{
	for (int part = 0; part < 3; part++) {
		unsigned char body[PROTOCOL_BYTES];
		struct iovec piece = {.iov_base = body, .iov_len = sizeof(body)};
		cs_error_t error;
		memset(body, 'a' + part, sizeof(body));
		ASK(error, cpg_mcast_joined(self.cpg, CPG_TYPE_AGREED, &piece, 1));
		answer(error, "cpg_mcast_joined, part %d", part);
		await_cpg(&seen.messages, part + 1);
	}
}

/* The addresses that the kernel's part would connect to; and those of a node that is not there. */
static void read_addresses(void)
{
	for (unsigned node = 1; node <= 3; node++) {
		corosync_cfg_node_address_t addresses[4];
		int count = 0;
		cs_error_t error = corosync_cfg_get_node_addrs(self.cfg, node, 4, &count, addresses);
		answer(error, "corosync_cfg_get_node_addrs of node %u, %d", node, error == CS_OK ? count : 0);
		for (int at = 0; error == CS_OK && at < count; at++) {
			const struct sockaddr_in *address = (const struct sockaddr_in *)addresses[at].address;
			char text[INET_ADDRSTRLEN] = "not IPv4";
			if (address->sin_family == AF_INET)
				inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
			note("%s, %d bytes", text, addresses[at].address_length);
		}
	}
}

static void stop_all(void)
{
	struct cpg_name group = {.length = strlen(GROUP)};

	memcpy(group.value, GROUP, group.length);
	answer(cpg_leave(self.cpg, &group), "cpg_leave " GROUP);
	await_cpg(&seen.left, 1);
	answer(cpg_finalize(self.cpg), "cpg_finalize");
	answer(quorum_trackstop(self.quorum), "quorum_trackstop");
	answer(quorum_finalize(self.quorum), "quorum_finalize");
	answer(corosync_cfg_dispatch(self.cfg, CS_DISPATCH_ALL), "corosync_cfg_dispatch");
	answer(corosync_cfg_finalize(self.cfg), "corosync_cfg_finalize");
}

int main(void)
{
	start_cfg();
	read_nodes();
	start_quorum();
	read_string("totem.rrp_mode");
	read_string("totem.cluster_name");
	start_cpg();
	agree();
	read_addresses();
	stop_all();
	return 0;
}
