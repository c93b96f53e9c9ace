/* cpg_calls: every call of libcpg against the daemon of this node, one line each. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cpg.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

static uint32_t self_node, self_pid;
static int delivered, changed, totem_changed;

static struct cpg_name group_named(const char *text)
{
	struct cpg_name name = {.length = (uint32_t)strlen(text)};
	memcpy(name.value, text, name.length);
	return name;
}

static const char *reason_name(uint32_t reason)
{
	switch (reason) {
	case CPG_REASON_UNDEFINED: return "UNDEFINED";
	case CPG_REASON_JOIN: return "JOIN";
	case CPG_REASON_LEAVE: return "LEAVE";
	case CPG_REASON_NODEDOWN: return "NODEDOWN";
	case CPG_REASON_NODEUP: return "NODEUP";
	case CPG_REASON_PROCDOWN: return "PROCDOWN";
	}
	return "?";
}

static void note_addresses(const char *what, const struct cpg_address *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		note("  %s node=%u process=%s reason=%s", what, list[i].nodeid,
		     list[i].pid == self_pid ? "self" : "other", reason_name(list[i].reason));
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *message,
		       size_t length)
{
	(void)handle;
	note("deliver group=%.*s node=%u process=%s length=%zu hash=%016llx", (int)group->length, group->value, node,
	     pid == self_pid ? "self" : "other", length, (unsigned long long)hash_of(message, length));
	delivered++;
}

static void on_change(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members,
		      size_t member_count, const struct cpg_address *left, size_t left_count,
		      const struct cpg_address *joined, size_t joined_count)
{
	(void)handle;
	note("confchg group=%.*s members=%zu left=%zu joined=%zu", (int)group->length, group->value, member_count,
	     left_count, joined_count);
	note_addresses("member", members, member_count);
	note_addresses("left", left, left_count);
	note_addresses("joined", joined, joined_count);
	changed++;
}

static void on_totem_change(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t count, const uint32_t *members)
{
	(void)handle;
	note("totem confchg representative=%u seq is %s members=%u", ring.nodeid, ring.seq ? "set" : "0", count);
	for (uint32_t i = 0; i < count; i++)
		note("  node=%u", members[i]);
	totem_changed++;
}

/* Dispatches until `*counter` has reached `target`. */
static void wait_for(cpg_handle_t handle, const int *counter, int target)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;
	cpg_fd_get(handle, &fd);
	while (*counter < target && readable(fd, end)) {
		cs_error_t error = cpg_dispatch(handle, CS_DISPATCH_ALL);
		if (error != CS_OK && error != CS_ERR_TRY_AGAIN) {
			answer(error, "cpg_dispatch");
			return;
		}
	}
	if (*counter < target)
		note("nothing came");
}

static cpg_handle_t open_handle(unsigned int flags)
{
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1,
				     .cpg_deliver_fn = on_deliver,
				     .cpg_confchg_fn = on_change,
				     .cpg_totem_confchg_fn = on_totem_change,
				     .flags = flags};
	cpg_handle_t handle = 0;
	cs_error_t error;
	ASK(error, cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	answer(error, "cpg_model_initialize v1 flags=%u", flags);
	return handle;
}

static void initialise(void)
{
	cpg_callbacks_t callbacks = {.cpg_deliver_fn = on_deliver, .cpg_confchg_fn = on_change};
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1, .flags = 0x80};
	cpg_handle_t handle = 0;
	cs_error_t error;

	ASK(error, cpg_initialize(&handle, &callbacks));
	answer(error, "cpg_initialize");
	answer(cpg_finalize(handle), "cpg_finalize");
	answer(cpg_finalize(handle), "cpg_finalize again");
	answer(cpg_initialize(&handle, NULL), "cpg_initialize without callbacks");
	cpg_finalize(handle);
	answer(cpg_model_initialize(&handle, (cpg_model_t)7, (cpg_model_data_t *)&model, NULL),
	       "cpg_model_initialize model=7");
	answer(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL),
	       "cpg_model_initialize flags=0x80");
}

static void ask_the_daemon(cpg_handle_t handle)
{
	unsigned int node = 0;
	uint32_t size = 0;
	int fd = -1;
	void *context = NULL;
	cpg_flow_control_state_t flow = CPG_FLOW_CONTROL_ENABLED;

	answer(cpg_fd_get(handle, &fd), "cpg_fd_get");
	note("fd is %s", fd >= 0 ? "valid" : "invalid");
	answer(cpg_local_get(handle, &node), "cpg_local_get");
	note("node=%u", node);
	self_node = node;
	answer(cpg_max_atomic_msgsize_get(handle, &size), "cpg_max_atomic_msgsize_get");
	note("size=%u", size);
	answer(cpg_context_get(handle, &context), "cpg_context_get");
	note("context is %s", context == NULL ? "null" : "set");
	answer(cpg_context_set(handle, &self_node), "cpg_context_set");
	answer(cpg_context_get(handle, &context), "cpg_context_get");
	note("context is %s", context == &self_node ? "what was set" : "something else");
	answer(cpg_flow_control_state_get(handle, &flow), "cpg_flow_control_state_get");
	note("flow control is %s", flow == CPG_FLOW_CONTROL_DISABLED ? "disabled" : "enabled");
}

static void outside_any_group(cpg_handle_t handle)
{
	struct cpg_name group = group_named("calls");
	struct cpg_address members[CPG_MEMBERS_MAX];
	int count = CPG_MEMBERS_MAX;
	struct iovec body = {.iov_base = "lost", .iov_len = 4};
	cs_error_t error;

	ASK(error, cpg_leave(handle, &group));
	answer(error, "cpg_leave without join");
	ASK(error, cpg_mcast_joined(handle, CPG_TYPE_AGREED, &body, 1));
	answer(error, "cpg_mcast_joined without join");
	answer(cpg_membership_get(handle, &group, members, &count), "cpg_membership_get of nothing");
	note("members=%d", count);
	answer(cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING), "cpg_dispatch one nonblocking, nothing there");
	answer(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch all, nothing there");
}

/* Joins, leaves and closes. A handle serves one group in its life: corosync answers a second join "busy" for ever. */
static void join_and_leave(const char *what, const struct cpg_name *name)
{
	cpg_handle_t handle = open_handle(0);
	cs_error_t error;

	ASK(error, cpg_join(handle, name));
	answer(error, "cpg_join with %s", what);
	if (error == CS_OK) {
		wait_for(handle, &changed, changed + 1);
		ASK(error, cpg_leave(handle, name));
		answer(error, "cpg_leave with %s", what);
		wait_for(handle, &changed, changed + 1);
	}
	answer(cpg_finalize(handle), "cpg_finalize");
}

static void names(void)
{
	struct cpg_name longest = {.length = CPG_MAX_NAME_LENGTH};
	struct cpg_name empty = {.length = 0};
	struct cpg_name zeros = {.length = 5};

	memset(longest.value, 'l', CPG_MAX_NAME_LENGTH);
	join_and_leave("a name of 128 bytes", &longest);
	join_and_leave("an empty name", &empty);
	join_and_leave("a name of five zeros", &zeros);
}

static void join(cpg_handle_t handle)
{
	struct cpg_name group = group_named("calls");
	struct cpg_name other = group_named("other");
	struct cpg_name too_long = {.length = CPG_MAX_NAME_LENGTH + 1};
	struct cpg_address members[CPG_MEMBERS_MAX];
	int count = CPG_MEMBERS_MAX;
	cs_error_t error;

	answer(cpg_join(handle, &too_long), "cpg_join with a name of 129 bytes");
	answer(cpg_leave(handle, &too_long), "cpg_leave with a name of 129 bytes");
	answer(cpg_membership_get(handle, &too_long, members, &count), "cpg_membership_get with a name of 129 bytes");
	ASK(error, cpg_join(handle, &group));
	answer(error, "cpg_join");
	wait_for(handle, &changed, changed + 1);
	wait_for(handle, &totem_changed, 1);
	ASK(error, cpg_join(handle, &group));
	answer(error, "cpg_join again");
	ASK(error, cpg_join(handle, &other));
	answer(error, "cpg_join of a second group");
	count = CPG_MEMBERS_MAX;
	answer(cpg_membership_get(handle, &group, members, &count), "cpg_membership_get");
	note_addresses("member", members, (size_t)count);
}

/* Sends `size` bytes in `parts` pieces and waits for them to come back. */
static void send_and_see(cpg_handle_t handle, cpg_guarantee_t guarantee, size_t size, unsigned int parts)
{
	char *body = malloc(size + 1);
	struct iovec pieces[8];
	cs_error_t error;

	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 7 + size);
	for (unsigned int i = 0; i < parts; i++) {
		size_t from = size * i / parts, to = size * (i + 1) / parts;
		pieces[i] = (struct iovec){.iov_base = body + from, .iov_len = to - from};
	}
	ASK(error, cpg_mcast_joined(handle, guarantee, pieces, parts));
	answer(error, "cpg_mcast_joined guarantee=%d length=%zu parts=%u", (int)guarantee, size, parts);
	if (error == CS_OK)
		wait_for(handle, &delivered, delivered + 1);
	free(body);
}

static void multicast(cpg_handle_t handle)
{
	static const size_t sizes[] = {1, 100, 1364, 1365, 8192, 65536, 250000, 1000000, 1048576, 3000000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		send_and_see(handle, CPG_TYPE_AGREED, sizes[i], 1);
	send_and_see(handle, CPG_TYPE_AGREED, 1000, 3);
	send_and_see(handle, CPG_TYPE_AGREED, 2000000, 5);
	send_and_see(handle, CPG_TYPE_FIFO, 10, 1);
	send_and_see(handle, CPG_TYPE_UNORDERED, 10, 1);
	send_and_see(handle, CPG_TYPE_SAFE, 10, 1);
	send_and_see(handle, CPG_TYPE_AGREED, 0, 1);
}

static void zero_copy(cpg_handle_t handle)
{
	void *buffer = NULL;
	cs_error_t error;

	ASK(error, cpg_zcb_alloc(handle, 5000, &buffer));
	answer(error, "cpg_zcb_alloc length=5000");
	if (error != CS_OK)
		return;
	memset(buffer, 'z', 5000);
	ASK(error, cpg_zcb_mcast_joined(handle, CPG_TYPE_AGREED, buffer, 5000));
	answer(error, "cpg_zcb_mcast_joined length=5000");
	wait_for(handle, &delivered, delivered + 1);
	ASK(error, cpg_zcb_mcast_joined(handle, CPG_TYPE_AGREED, buffer, 100));
	answer(error, "cpg_zcb_mcast_joined length=100");
	wait_for(handle, &delivered, delivered + 1);
	ASK(error, cpg_zcb_free(handle, buffer));
	answer(error, "cpg_zcb_free");
	ASK(error, cpg_zcb_alloc(handle, 500000, &buffer));
	answer(error, "cpg_zcb_alloc length=500000");
	if (error != CS_OK)
		return;
	memset(buffer, 'Z', 500000);
	ASK(error, cpg_zcb_mcast_joined(handle, CPG_TYPE_AGREED, buffer, 500000));
	answer(error, "cpg_zcb_mcast_joined length=500000");
	wait_for(handle, &delivered, delivered + 1);
	ASK(error, cpg_zcb_free(handle, buffer));
	answer(error, "cpg_zcb_free");
}

static void list(cpg_handle_t handle, const char *what, cpg_iteration_type_t type, const struct cpg_name *group)
{
	cpg_iteration_handle_t iteration = 0;
	struct cpg_iteration_description_t found;
	cs_error_t error;

	error = cpg_iteration_initialize(handle, type, group, &iteration);
	answer(error, "cpg_iteration_initialize %s", what);
	if (error != CS_OK)
		return;
	while ((error = cpg_iteration_next(iteration, &found)) == CS_OK)
		note("group=%.*s node=%u process=%s", (int)found.group.length, found.group.value, found.nodeid,
		     found.pid == self_pid ? "self" : found.pid == 0 ? "none" : "other");
	answer(error, "cpg_iteration_next at the end");
	answer(cpg_iteration_finalize(iteration), "cpg_iteration_finalize");
	answer(cpg_iteration_next(iteration, &found), "cpg_iteration_next after finalize");
	answer(cpg_iteration_finalize(iteration), "cpg_iteration_finalize again");
}

static void iterate(cpg_handle_t handle)
{
	struct cpg_name group = group_named("calls");
	struct cpg_name second = group_named("second");
	struct cpg_name nobody = group_named("nobody");
	struct cpg_name too_long = {.length = CPG_MAX_NAME_LENGTH + 1};
	cpg_iteration_handle_t iteration;
	cs_error_t error;
	cpg_handle_t other = open_handle(0);

	ASK(error, cpg_join(other, &group));
	answer(error, "cpg_join of the same group by the same process");
	ASK(error, cpg_join(other, &second));
	answer(error, "cpg_join of a second group by the same process");
	wait_for(other, &changed, changed + 1);
	list(handle, "names only", CPG_ITERATION_NAME_ONLY, NULL);
	list(handle, "one group", CPG_ITERATION_ONE_GROUP, &group);
	list(handle, "one group that is empty", CPG_ITERATION_ONE_GROUP, &nobody);
	list(handle, "all", CPG_ITERATION_ALL, NULL);
	answer(cpg_iteration_initialize(handle, (cpg_iteration_type_t)9, NULL, &iteration),
	       "cpg_iteration_initialize type=9");
	answer(cpg_iteration_initialize(handle, CPG_ITERATION_ONE_GROUP, NULL, &iteration),
	       "cpg_iteration_initialize one group without name");
	answer(cpg_iteration_initialize(handle, CPG_ITERATION_ALL, NULL, NULL),
	       "cpg_iteration_initialize without a place for the handle");
	answer(cpg_iteration_initialize(handle, CPG_ITERATION_ONE_GROUP, &too_long, &iteration),
	       "cpg_iteration_initialize with a name of 129 bytes");
	ASK(error, cpg_leave(other, &second));
	answer(error, "cpg_leave of the second group");
	wait_for(other, &changed, changed + 1);
	answer(cpg_finalize(other), "cpg_finalize of the second handle");
}

/* Another process of this node joins the group; then it leaves in order, or dies. */
static void neighbour(cpg_handle_t handle, const char *how)
{
	struct cpg_name group = group_named("calls");
	int status, before = changed, ends = strcmp(how, "dies") == 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		cpg_callbacks_t callbacks = {.cpg_deliver_fn = NULL, .cpg_confchg_fn = NULL};
		cpg_handle_t own;
		cs_error_t error;
		ASK(error, cpg_initialize(&own, &callbacks));
		if (error == CS_OK)
			ASK(error, cpg_join(own, &group));
		if (ends)
			pause();
		if (error == CS_OK)
			ASK(error, cpg_leave(own, &group));
		_exit(error == CS_OK ? 0 : 1);
	}
	note("another process joins and %s", how);
	wait_for(handle, &changed, before + 1);
	if (ends)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	wait_for(handle, &changed, before + 2);
}

static void leave(cpg_handle_t handle)
{
	struct cpg_name group = group_named("calls");
	struct iovec body = {.iov_base = "late", .iov_len = 4};
	cs_error_t error;

	ASK(error, cpg_leave(handle, &group));
	answer(error, "cpg_leave");
	wait_for(handle, &changed, changed + 1);
	ASK(error, cpg_leave(handle, &group));
	answer(error, "cpg_leave again");
	ASK(error, cpg_mcast_joined(handle, CPG_TYPE_AGREED, &body, 1));
	answer(error, "cpg_mcast_joined after leave");
}

static void close_while_joined(void)
{
	struct cpg_name group = group_named("calls");
	cpg_handle_t handle = open_handle(0);
	cs_error_t error;

	ASK(error, cpg_join(handle, &group));
	answer(error, "cpg_join");
	wait_for(handle, &changed, changed + 1);
	answer(cpg_finalize(handle), "cpg_finalize while joined");
}

static void bad_handle(const char *what, cpg_handle_t handle)
{
	struct cpg_name group = group_named("calls");
	struct cpg_address members[CPG_MEMBERS_MAX];
	struct iovec body = {.iov_base = "none", .iov_len = 4};
	struct cpg_iteration_description_t found;
	cpg_iteration_handle_t iteration;
	cpg_flow_control_state_t flow;
	unsigned int node;
	uint32_t size;
	void *context = NULL;
	int count = CPG_MEMBERS_MAX, fd;

	note("with %s:", what);
	answer(cpg_fd_get(handle, &fd), "cpg_fd_get");
	answer(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
	answer(cpg_join(handle, &group), "cpg_join");
	answer(cpg_leave(handle, &group), "cpg_leave");
	answer(cpg_mcast_joined(handle, CPG_TYPE_AGREED, &body, 1), "cpg_mcast_joined");
	answer(cpg_membership_get(handle, &group, members, &count), "cpg_membership_get");
	answer(cpg_local_get(handle, &node), "cpg_local_get");
	answer(cpg_max_atomic_msgsize_get(handle, &size), "cpg_max_atomic_msgsize_get");
	answer(cpg_context_get(handle, &context), "cpg_context_get");
	answer(cpg_context_set(handle, context), "cpg_context_set");
	answer(cpg_flow_control_state_get(handle, &flow), "cpg_flow_control_state_get");
	answer(cpg_iteration_initialize(handle, CPG_ITERATION_ALL, NULL, &iteration), "cpg_iteration_initialize");
	answer(cpg_iteration_next(handle, &found), "cpg_iteration_next");
	answer(cpg_zcb_alloc(handle, 100, &context), "cpg_zcb_alloc");
	answer(cpg_finalize(handle), "cpg_finalize");
}

int main(void)
{
	cpg_handle_t handle;

	self_pid = (uint32_t)getpid();
	initialise();
	handle = open_handle(CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF);
	ask_the_daemon(handle);
	outside_any_group(handle);
	names();
	join(handle);
	multicast(handle);
	zero_copy(handle);
	iterate(handle);
	neighbour(handle, "leaves");
	neighbour(handle, "dies");
	leave(handle);
	answer(cpg_finalize(handle), "cpg_finalize");
	close_while_joined();
	bad_handle("a closed handle", handle);
	bad_handle("a handle never opened", BAD_HANDLE);
	return 0;
}
