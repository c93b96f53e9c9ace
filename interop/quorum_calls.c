/* quorum_calls: every call of libquorum against the daemon of this node, one line each. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/quorum.h>

static int notified, listed;

static void note_nodes(const char *what, const uint32_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		note("  %s=%u", what, list[i]);
}

static void on_quorum_v0(quorum_handle_t handle, uint32_t quorate, uint64_t ring_seq, uint32_t count, uint32_t *list)
{
	(void)handle;
	note("quorum v0 quorate=%u seq is %s nodes=%u", quorate, ring_seq ? "set" : "0", count);
	note_nodes("node", list, count);
	notified++;
}

static void on_quorum_v1(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring, uint32_t count,
			 const uint32_t *list)
{
	(void)handle;
	note("quorum v1 quorate=%u representative=%u seq is %s nodes=%u", quorate, ring.nodeid,
	     ring.seq ? "set" : "0", count);
	note_nodes("node", list, count);
	notified++;
}

static void on_nodes_v1(quorum_handle_t handle, struct quorum_ring_id ring, uint32_t count, const uint32_t *list,
			uint32_t joined_count, const uint32_t *joined, uint32_t left_count, const uint32_t *left)
{
	(void)handle;
	note("nodelist v1 representative=%u seq is %s nodes=%u joined=%u left=%u", ring.nodeid, ring.seq ? "set" : "0",
	     count, joined_count, left_count);
	note_nodes("node", list, count);
	note_nodes("joined", joined, joined_count);
	note_nodes("left", left, left_count);
	listed++;
}

static void wait_for(quorum_handle_t handle, const int *counter, int target)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;
	quorum_fd_get(handle, &fd);
	while (*counter < target && readable(fd, end)) {
		cs_error_t error = quorum_dispatch(handle, CS_DISPATCH_ALL);
		if (error != CS_OK && error != CS_ERR_TRY_AGAIN) {
			answer(error, "quorum_dispatch");
			return;
		}
	}
	if (*counter < target)
		note("nothing came");
}

static void common(quorum_handle_t handle)
{
	const void *context = NULL;
	int fd = -1, quorate = -1;

	answer(quorum_fd_get(handle, &fd), "quorum_fd_get");
	note("fd is %s", fd >= 0 ? "valid" : "invalid");
	answer(quorum_context_get(handle, &context), "quorum_context_get");
	note("context is %s", context == NULL ? "null" : "set");
	answer(quorum_context_set(handle, &notified), "quorum_context_set");
	answer(quorum_context_get(handle, &context), "quorum_context_get");
	note("context is %s", context == &notified ? "what was set" : "something else");
	answer(quorum_getquorate(handle, &quorate), "quorum_getquorate");
	note("quorate=%d", quorate);
	answer(quorum_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING), "quorum_dispatch one nonblocking, nothing there");
	answer(quorum_dispatch(handle, CS_DISPATCH_ALL), "quorum_dispatch all, nothing there");
	answer(quorum_trackstop(handle), "quorum_trackstop without trackstart");
}

static void initialise(void)
{
	quorum_model_v1_data_t model = {.model = QUORUM_MODEL_V1};
	quorum_handle_t handle = 0;
	uint32_t type = 99;
	cs_error_t error;

	ASK(error, quorum_initialize(&handle, NULL, &type));
	answer(error, "quorum_initialize without callbacks");
	note("type=%u", type);
	answer(quorum_finalize(handle), "quorum_finalize");
	answer(quorum_finalize(handle), "quorum_finalize again");
	answer(quorum_model_initialize(&handle, (quorum_model_t)7, (quorum_model_data_t *)&model, &type, NULL),
	       "quorum_model_initialize model=7");
	answer(quorum_model_initialize(&handle, QUORUM_MODEL_V1, NULL, &type, NULL),
	       "quorum_model_initialize without data");
	quorum_finalize(handle);
}

static void model_v0(void)
{
	quorum_callbacks_t callbacks = {.quorum_notify_fn = on_quorum_v0};
	quorum_handle_t handle = 0;
	uint32_t type = 99;
	cs_error_t error;

	ASK(error, quorum_initialize(&handle, &callbacks, &type));
	answer(error, "quorum_initialize");
	note("type=%u", type);
	common(handle);
	answer(quorum_trackstart(handle, CS_TRACK_CURRENT), "quorum_trackstart current");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstart(handle, CS_TRACK_CHANGES), "quorum_trackstart changes");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstart(handle, CS_TRACK_CHANGES), "quorum_trackstart again");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstop(handle), "quorum_trackstop");
	answer(quorum_trackstop(handle), "quorum_trackstop again");
	answer(quorum_trackstart(handle, CS_TRACK_CHANGES_ONLY), "quorum_trackstart changes only");
	answer(quorum_trackstart(handle, 0x80), "quorum_trackstart flags=0x80");
	answer(quorum_trackstart(handle, 0), "quorum_trackstart flags=0");
	answer(quorum_finalize(handle), "quorum_finalize while tracking");
}

static void model_v1(void)
{
	quorum_model_v1_data_t model = {
		.model = QUORUM_MODEL_V1, .quorum_notify_fn = on_quorum_v1, .nodelist_notify_fn = on_nodes_v1};
	quorum_handle_t handle = 0;
	uint32_t type = 99;
	cs_error_t error;

	ASK(error,
	    quorum_model_initialize(&handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, &type, &listed));
	answer(error, "quorum_model_initialize v1");
	note("type=%u", type);
	answer(quorum_trackstart(handle, CS_TRACK_CURRENT), "quorum_trackstart current");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstart(handle, CS_TRACK_CHANGES | CS_TRACK_CURRENT), "quorum_trackstart current and changes");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstart(handle, CS_TRACK_CHANGES), "quorum_trackstart again");
	wait_for(handle, &notified, notified + 1);
	answer(quorum_trackstop(handle), "quorum_trackstop");
	note("node lists=%d", listed);
	answer(quorum_finalize(handle), "quorum_finalize");
}

static void bad_handle(const char *what, quorum_handle_t handle)
{
	const void *context;
	int fd, quorate;

	note("with %s:", what);
	answer(quorum_fd_get(handle, &fd), "quorum_fd_get");
	answer(quorum_dispatch(handle, CS_DISPATCH_ALL), "quorum_dispatch");
	answer(quorum_getquorate(handle, &quorate), "quorum_getquorate");
	answer(quorum_trackstart(handle, CS_TRACK_CURRENT), "quorum_trackstart");
	answer(quorum_trackstop(handle), "quorum_trackstop");
	answer(quorum_context_get(handle, &context), "quorum_context_get");
	answer(quorum_context_set(handle, NULL), "quorum_context_set");
	answer(quorum_finalize(handle), "quorum_finalize");
}

int main(void)
{
	initialise();
	model_v0();
	model_v1();
	bad_handle("a handle never opened", BAD_HANDLE);
	return 0;
}
