/* cfg_calls: every call of libcfg against the daemon of this node, one line each. With the argument `shutdown` the
 * last calls end the daemon whatever others think, with `consent` because they agree. */
#define _GNU_SOURCE
#include "calls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <corosync/cfg.h>
#include <string.h>
#include <sys/wait.h>

static int asked;
static int silent;
static corosync_cfg_shutdown_reply_flags_t reply;

static void on_shutdown(corosync_cfg_handle_t handle, corosync_cfg_shutdown_flags_t flags)
{
	note("shutdown asked flags=%d", (int)flags);
	asked++;
	if (silent)
		return;
	answer(corosync_cfg_replyto_shutdown(handle, reply), "corosync_cfg_replyto_shutdown %s",
	       reply == COROSYNC_CFG_SHUTDOWN_FLAG_YES ? "yes" : "no");
}

static corosync_cfg_handle_t initialise(void)
{
	corosync_cfg_callbacks_t callbacks = {.corosync_cfg_shutdown_callback = on_shutdown};
	corosync_cfg_handle_t handle = 0;
	unsigned int node = 0;
	cs_error_t error;
	int fd = -1;

	ASK(error, corosync_cfg_initialize(&handle, NULL));
	answer(error, "corosync_cfg_initialize without callbacks");
	answer(corosync_cfg_finalize(handle), "corosync_cfg_finalize");
	answer(corosync_cfg_finalize(handle), "corosync_cfg_finalize again");
	ASK(error, corosync_cfg_initialize(&handle, &callbacks));
	answer(error, "corosync_cfg_initialize");
	answer(corosync_cfg_fd_get(handle, &fd), "corosync_cfg_fd_get");
	note("fd is %s", fd >= 0 ? "valid" : "invalid");
	answer(corosync_cfg_local_get(handle, &node), "corosync_cfg_local_get");
	note("node=%u", node);
	answer(corosync_cfg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING),
	       "corosync_cfg_dispatch one nonblocking, nothing there");
	answer(corosync_cfg_dispatch(handle, CS_DISPATCH_ALL), "corosync_cfg_dispatch all, nothing there");
	return handle;
}

static void ring_status(corosync_cfg_handle_t handle)
{
	char **names = NULL, **status = NULL;
	unsigned int count = 0;
	cs_error_t error = corosync_cfg_ring_status_get(handle, &names, &status, &count);

	answer(error, "corosync_cfg_ring_status_get");
	if (error != CS_OK)
		return;
	for (unsigned int i = 0; i < count; i++) {
		note("name=\"%s\" status=\"%s\"", names[i], status[i]);
		free(names[i]);
		free(status[i]);
	}
	free(names);
	free(status);
}

static void node_status(corosync_cfg_handle_t handle, unsigned int node)
{
	struct corosync_cfg_node_status_v1 status;
	cs_error_t error;

	memset(&status, 0, sizeof(status));
	error = corosync_cfg_node_status_get(handle, node, CFG_NODE_STATUS_V1, &status);
	answer(error, "corosync_cfg_node_status_get node=%u", node);
	if (error != CS_OK)
		return;
	note("version=%d node=%u reachable=%u remote=%u external=%u onwire=%u..%u/%u", (int)status.version,
	     status.nodeid, status.reachable, status.remote, status.external, status.onwire_min, status.onwire_max,
	     status.onwire_ver);
	for (int i = 0; i < CFG_MAX_LINKS; i++)
		if (status.link_status[i].enabled)
			note("  link=%d connected=%u dynconnected=%u src=%s dst=%s", i,
			     status.link_status[i].connected, status.link_status[i].dynconnected,
			     status.link_status[i].src_ipaddr, status.link_status[i].dst_ipaddr);
}

static void addresses(corosync_cfg_handle_t handle, unsigned int node)
{
	corosync_cfg_node_address_t found[8];
	char text[INET6_ADDRSTRLEN] = "?";
	int count = 0;
	cs_error_t error;

	memset(found, 0, sizeof(found));
	error = corosync_cfg_get_node_addrs(handle, node, 8, &count, found);
	answer(error, "corosync_cfg_get_node_addrs node=%u", node);
	if (error != CS_OK)
		return;
	note("count=%d", count);
	for (int i = 0; i < count; i++) {
		struct sockaddr_storage address;
		memcpy(&address, found[i].address, sizeof(found[i].address));
		const void *bytes = address.ss_family == AF_INET6
					    ? (const void *)&((struct sockaddr_in6 *)&address)->sin6_addr
					    : (const void *)&((struct sockaddr_in *)&address)->sin_addr;
		inet_ntop(address.ss_family, bytes, text, sizeof(text));
		note("  length=%d family=%d address=%s", found[i].address_length, address.ss_family, text);
	}
}

static void administration(corosync_cfg_handle_t handle)
{
	struct corosync_cfg_node_status_v1 status;

	answer(corosync_cfg_node_status_get(handle, 1, (corosync_cfg_node_status_version_t)9, &status),
	       "corosync_cfg_node_status_get version=9");
	answer(corosync_cfg_node_status_get(handle, 1, CFG_NODE_STATUS_V1, NULL),
	       "corosync_cfg_node_status_get without a place");
	answer(corosync_cfg_kill_node(handle, 4711, "nobody"), "corosync_cfg_kill_node of an unknown node");
	answer(corosync_cfg_reload_config(handle), "corosync_cfg_reload_config of what runs already");
	answer(corosync_cfg_reopen_log_files(handle), "corosync_cfg_reopen_log_files");
	answer(corosync_cfg_trackstart(handle, 0), "corosync_cfg_trackstart");
	answer(corosync_cfg_trackstart(handle, 0), "corosync_cfg_trackstart again");
	answer(corosync_cfg_trackstop(handle), "corosync_cfg_trackstop");
	answer(corosync_cfg_trackstop(handle), "corosync_cfg_trackstop again");
	answer(corosync_cfg_replyto_shutdown(handle, COROSYNC_CFG_SHUTDOWN_FLAG_YES),
	       "corosync_cfg_replyto_shutdown unasked");
}

static void bad_handle(const char *what, corosync_cfg_handle_t handle)
{
	corosync_cfg_node_address_t address;
	struct corosync_cfg_node_status_v1 status;
	char **names, **states;
	unsigned int node, count;
	int fd, number;

	note("with %s:", what);
	answer(corosync_cfg_fd_get(handle, &fd), "corosync_cfg_fd_get");
	answer(corosync_cfg_dispatch(handle, CS_DISPATCH_ALL), "corosync_cfg_dispatch");
	answer(corosync_cfg_ring_status_get(handle, &names, &states, &count), "corosync_cfg_ring_status_get");
	answer(corosync_cfg_node_status_get(handle, 1, CFG_NODE_STATUS_V1, &status), "corosync_cfg_node_status_get");
	answer(corosync_cfg_kill_node(handle, 4711, "nobody"), "corosync_cfg_kill_node");
	answer(corosync_cfg_trackstart(handle, 0), "corosync_cfg_trackstart");
	answer(corosync_cfg_trackstop(handle), "corosync_cfg_trackstop");
	answer(corosync_cfg_try_shutdown(handle, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST), "corosync_cfg_try_shutdown");
	answer(corosync_cfg_replyto_shutdown(handle, COROSYNC_CFG_SHUTDOWN_FLAG_NO), "corosync_cfg_replyto_shutdown");
	answer(corosync_cfg_get_node_addrs(handle, 1, 1, &number, &address), "corosync_cfg_get_node_addrs");
	answer(corosync_cfg_local_get(handle, &node), "corosync_cfg_local_get");
	answer(corosync_cfg_reload_config(handle), "corosync_cfg_reload_config");
	answer(corosync_cfg_reopen_log_files(handle), "corosync_cfg_reopen_log_files");
	answer(corosync_cfg_finalize(handle), "corosync_cfg_finalize");
}

/* A process of its own that asks for a shutdown after some time and ends with the answer: the request blocks until the
 * trackers have answered. */
static pid_t requester(useconds_t after)
{
	corosync_cfg_handle_t own;
	cs_error_t error;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child != 0)
		return child;
	ASK(error, corosync_cfg_initialize(&own, NULL));
	usleep(after);
	_exit((int)corosync_cfg_try_shutdown(own, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST));
}

static void outcome(pid_t child, const char *what)
{
	int status = 0;

	waitpid(child, &status, 0);
	answer((cs_error_t)WEXITSTATUS(status), "corosync_cfg_try_shutdown request, %s", what);
}

/* Dispatches until somebody has asked. */
static void hear(corosync_cfg_handle_t handle, double end)
{
	int fd = -1;

	corosync_cfg_fd_get(handle, &fd);
	asked = 0;
	while (asked == 0 && readable(fd, end))
		corosync_cfg_dispatch(handle, CS_DISPATCH_ALL);
}

/* Somebody objects to a shutdown, then says nothing while another one asks as well, then nobody minds. */
static void shut_down(corosync_cfg_handle_t handle, int consent)
{
	cs_error_t error = CS_OK;
	double end = seconds() + DEADLINE_SECONDS;
	pid_t first, second;
	int fd = -1;

	answer(corosync_cfg_trackstart(handle, 0), "corosync_cfg_trackstart");
	reply = COROSYNC_CFG_SHUTDOWN_FLAG_NO;
	first = requester(100000);
	hear(handle, end);
	outcome(first, "refused");
	silent = 1;
	first = requester(100000);
	hear(handle, end);
	second = requester(0);
	outcome(second, "while another one waits");
	outcome(first, "never answered");
	silent = 0;
	if (consent) {
		reply = COROSYNC_CFG_SHUTDOWN_FLAG_YES;
		first = requester(100000);
		hear(handle, end);
		outcome(first, "consented");
	} else {
		answer(corosync_cfg_trackstop(handle), "corosync_cfg_trackstop");
		answer(corosync_cfg_try_shutdown(handle, COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS),
		       "corosync_cfg_try_shutdown regardless");
	}
	corosync_cfg_fd_get(handle, &fd);
	while (readable(fd, end) && (error = corosync_cfg_dispatch(handle, CS_DISPATCH_ALL)) == CS_OK)
		;
	answer(error, "corosync_cfg_dispatch after the end of the daemon");
	answer(corosync_cfg_finalize(handle), "corosync_cfg_finalize after the end of the daemon");
}

int main(int argc, char **argv)
{
	corosync_cfg_handle_t handle = initialise();

	ring_status(handle);
	node_status(handle, 1);
	node_status(handle, 2);
	node_status(handle, 4711);
	addresses(handle, 1);
	addresses(handle, 2);
	addresses(handle, 4711);
	administration(handle);
	bad_handle("a handle never opened", BAD_HANDLE);
	if (argc > 1) {
		shut_down(handle, strcmp(argv[1], "consent") == 0);
		return 0;
	}
	answer(corosync_cfg_finalize(handle), "corosync_cfg_finalize");
	bad_handle("a closed handle", handle);
	return 0;
}
