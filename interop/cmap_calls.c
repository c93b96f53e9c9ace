/* cmap_calls: every call of libcmap against the daemon of this node, one line each. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cmap.h>
#include <string.h>

static int notified;

static void note_value(const char *what, cmap_value_types_t type, const void *data, size_t length)
{
	note("  %s type=%d length=%zu hash=%016llx", what, (int)type, length,
	     (unsigned long long)hash_of(data, data == NULL ? 0 : length));
}

static void on_notify(cmap_handle_t handle, cmap_track_handle_t track, int32_t event, const char *key,
		      struct cmap_notify_value new_value, struct cmap_notify_value old_value, void *user_data)
{
	(void)handle;
	(void)track;
	note("notify %s event=%d key=%s", (const char *)user_data, event, key);
	note_value("new", new_value.type, new_value.data, new_value.len);
	note_value("old", old_value.type, old_value.data, old_value.len);
	notified++;
}

static void wait_for(cmap_handle_t handle, int target)
{
	double end = seconds() + DEADLINE_SECONDS;
	int fd = -1;
	cmap_fd_get(handle, &fd);
	while (notified < target && readable(fd, end)) {
		cs_error_t error = cmap_dispatch(handle, CS_DISPATCH_ALL);
		if (error != CS_OK && error != CS_ERR_TRY_AGAIN) {
			answer(error, "cmap_dispatch");
			return;
		}
	}
	if (notified < target)
		note("nothing came");
}

static cmap_handle_t initialise(void)
{
	cmap_handle_t handle = 0;
	cs_error_t error;
	const void *context = NULL;
	int fd = -1;

	answer(cmap_initialize_map(&handle, (cmap_map_t)7), "cmap_initialize_map map=7");
	ASK(error, cmap_initialize_map(&handle, CMAP_MAP_ICMAP));
	answer(error, "cmap_initialize_map icmap");
	answer(cmap_finalize(handle), "cmap_finalize");
	answer(cmap_finalize(handle), "cmap_finalize again");
	ASK(error, cmap_initialize(&handle));
	answer(error, "cmap_initialize");
	answer(cmap_fd_get(handle, &fd), "cmap_fd_get");
	note("fd is %s", fd >= 0 ? "valid" : "invalid");
	answer(cmap_context_get(handle, &context), "cmap_context_get");
	note("context is %s", context == NULL ? "null" : "set");
	answer(cmap_context_set(handle, &notified), "cmap_context_set");
	answer(cmap_context_get(handle, &context), "cmap_context_get");
	note("context is %s", context == &notified ? "what was set" : "something else");
	answer(cmap_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING), "cmap_dispatch one nonblocking, nothing there");
	answer(cmap_dispatch(handle, CS_DISPATCH_ALL), "cmap_dispatch all, nothing there");
	return handle;
}

#define ROUND_TRIP(handle, name, ctype, value, format)                                                                 \
	do {                                                                                                           \
		ctype back = 0;                                                                                        \
		answer(cmap_set_##name(handle, "calls." #name, value), "cmap_set_" #name);                             \
		answer(cmap_get_##name(handle, "calls." #name, &back), "cmap_get_" #name);                             \
		note("value=" format, back);                                                                           \
	} while (0)

static void every_type(cmap_handle_t handle)
{
	char *text = NULL;

	ROUND_TRIP(handle, int8, int8_t, -128, "%d");
	ROUND_TRIP(handle, uint8, uint8_t, 255, "%u");
	ROUND_TRIP(handle, int16, int16_t, -32768, "%d");
	ROUND_TRIP(handle, uint16, uint16_t, 65535, "%u");
	ROUND_TRIP(handle, int32, int32_t, -2147483647, "%d");
	ROUND_TRIP(handle, uint32, uint32_t, 4294967295u, "%u");
	ROUND_TRIP(handle, int64, int64_t, -1234567890123456789, "%ld");
	ROUND_TRIP(handle, uint64, uint64_t, 18446744073709551615u, "%lu");
	ROUND_TRIP(handle, float, float, 1.5f, "%f");
	ROUND_TRIP(handle, double, double, -2.25, "%f");
	answer(cmap_set_string(handle, "calls.string", "a string"), "cmap_set_string");
	answer(cmap_get_string(handle, "calls.string", &text), "cmap_get_string");
	note("value=%s", text == NULL ? "null" : text);
	free(text);
	text = NULL;
	answer(cmap_set_string(handle, "calls.empty", ""), "cmap_set_string empty");
	answer(cmap_get_string(handle, "calls.empty", &text), "cmap_get_string empty");
	note("value=%s", text == NULL ? "null" : text);
	free(text);
}

static void raw_values(cmap_handle_t handle)
{
	static const uint8_t bytes[300] = {1, 2, 3, 0, 5};
	uint8_t back[300];
	uint32_t number = 0;
	char *text = NULL;
	size_t length = sizeof(back);
	cmap_value_types_t type = 0;

	answer(cmap_set(handle, "calls.binary", bytes, sizeof(bytes), CMAP_VALUETYPE_BINARY), "cmap_set binary");
	answer(cmap_get(handle, "calls.binary", back, &length, &type), "cmap_get binary");
	note("type=%d length=%zu hash=%016llx", (int)type, length, (unsigned long long)hash_of(back, length));
	length = 10;
	answer(cmap_get(handle, "calls.binary", back, &length, &type), "cmap_get binary into 10 bytes");
	length = 0;
	answer(cmap_get(handle, "calls.binary", NULL, &length, &type), "cmap_get binary for its length");
	note("type=%d length=%zu", (int)type, length);
	answer(cmap_get(handle, "calls.binary", NULL, NULL, NULL), "cmap_get binary for nothing");
	answer(cmap_set(handle, "calls.short", bytes, 2, CMAP_VALUETYPE_UINT32), "cmap_set uint32 of 2 bytes");
	answer(cmap_set(handle, "calls.long", bytes, 9, CMAP_VALUETYPE_UINT8), "cmap_set uint8 of 9 bytes");
	answer(cmap_set(handle, "calls.odd", bytes, 4, (cmap_value_types_t)99), "cmap_set type=99");
	answer(cmap_set(handle, "calls.none", bytes, 0, CMAP_VALUETYPE_BINARY), "cmap_set binary of no bytes");
	answer(cmap_set(handle, "calls.null", NULL, 4, CMAP_VALUETYPE_UINT32), "cmap_set without a value");
	answer(cmap_set(handle, "calls.cut", "abcdef", 3, CMAP_VALUETYPE_STRING), "cmap_set string without its end");
	answer(cmap_get_string(handle, "calls.cut", &text), "cmap_get_string of it");
	note("value=%s", text == NULL ? "null" : text);
	free(text);
	answer(cmap_get_uint32(handle, "calls.uint8", &number), "cmap_get_uint32 of an uint8");
	answer(cmap_get_string(handle, "calls.uint8", &text), "cmap_get_string of an uint8");
	answer(cmap_set_uint32(handle, "calls.uint8", 7), "cmap_set_uint32 over an uint8");
	answer(cmap_get_uint32(handle, "calls.uint8", &number), "cmap_get_uint32 of it");
	note("value=%u", number);
	answer(cmap_get_uint32(handle, "calls.missing", &number), "cmap_get_uint32 of a missing key");
}

static void key_names(cmap_handle_t handle)
{
	char name[300];
	uint8_t value;

	memset(name, 'k', sizeof(name));
	name[255] = '\0';
	answer(cmap_set_uint8(handle, name, 1), "cmap_set_uint8 with a key of 255 bytes");
	answer(cmap_get_uint8(handle, name, &value), "cmap_get_uint8 with a key of 255 bytes");
	answer(cmap_delete(handle, name), "cmap_delete with a key of 255 bytes");
	name[255] = 'k';
	name[256] = '\0';
	answer(cmap_set_uint8(handle, name, 1), "cmap_set_uint8 with a key of 256 bytes");
	answer(cmap_get_uint8(handle, name, &value), "cmap_get_uint8 with a key of 256 bytes");
	answer(cmap_delete(handle, name), "cmap_delete with a key of 256 bytes");
	answer(cmap_set_uint8(handle, "ab", 1), "cmap_set_uint8 with a key of 2 bytes");
	answer(cmap_set_uint8(handle, "abc", 1), "cmap_set_uint8 with a key of 3 bytes");
	answer(cmap_delete(handle, "abc"), "cmap_delete with a key of 3 bytes");
	answer(cmap_set_uint8(handle, "calls with space", 1), "cmap_set_uint8 with a space in the key");
	answer(cmap_set_uint8(handle, "calls.A-z_0/9:", 1), "cmap_set_uint8 with every allowed sign in the key");
	answer(cmap_set_uint8(handle, "calls.*", 1), "cmap_set_uint8 with a star in the key");
	answer(cmap_set_uint8(handle, NULL, 1), "cmap_set_uint8 without a key");
	answer(cmap_delete(handle, NULL), "cmap_delete without a key");
}

static void arithmetic(cmap_handle_t handle)
{
	uint8_t small = 0;
	int32_t number = 0;

	answer(cmap_set_uint8(handle, "calls.count", 254), "cmap_set_uint8");
	answer(cmap_inc(handle, "calls.count"), "cmap_inc to 255");
	answer(cmap_inc(handle, "calls.count"), "cmap_inc past the end");
	answer(cmap_get_uint8(handle, "calls.count", &small), "cmap_get_uint8");
	note("value=%u", small);
	answer(cmap_dec(handle, "calls.count"), "cmap_dec");
	answer(cmap_get_uint8(handle, "calls.count", &small), "cmap_get_uint8");
	note("value=%u", small);
	answer(cmap_set_int32(handle, "calls.signed", 0), "cmap_set_int32");
	answer(cmap_dec(handle, "calls.signed"), "cmap_dec below zero");
	answer(cmap_get_int32(handle, "calls.signed", &number), "cmap_get_int32");
	note("value=%d", number);
	answer(cmap_inc(handle, "calls.string"), "cmap_inc of a string");
	answer(cmap_inc(handle, "calls.float"), "cmap_inc of a float");
	answer(cmap_inc(handle, "calls.missing"), "cmap_inc of a missing key");
}

static void iterate(cmap_handle_t handle, const char *prefix)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cmap_iter_handle_t iteration = 0;
	cmap_value_types_t type;
	size_t length;
	cs_error_t error;

	answer(cmap_iter_init(handle, prefix, &iteration), "cmap_iter_init %s", prefix);
	while ((error = cmap_iter_next(handle, iteration, key, &length, &type)) == CS_OK)
		note("key=%s type=%d length=%zu", key, (int)type, length);
	answer(error, "cmap_iter_next at the end");
	answer(cmap_iter_next(handle, iteration, key, NULL, NULL), "cmap_iter_next past the end");
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize again");
	answer(cmap_iter_next(handle, iteration, key, &length, &type), "cmap_iter_next after finalize");
}

/* A key that goes away under an iteration. */
static void iterate_and_delete(cmap_handle_t handle)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cmap_iter_handle_t iteration = 0;
	int count = 0;

	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "calls.many.%d", i);
		cmap_set_uint8(handle, key, 1);
	}
	answer(cmap_iter_init(handle, "calls.many.", &iteration), "cmap_iter_init calls.many.");
	while (cmap_iter_next(handle, iteration, key, NULL, NULL) == CS_OK) {
		answer(cmap_delete(handle, key), "cmap_delete %s", key);
		count++;
	}
	note("seen=%d", count);
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_iter_init(handle, NULL, &iteration), "cmap_iter_init without prefix");
	answer(cmap_iter_next(handle, iteration, key, NULL, NULL), "cmap_iter_next");
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_iter_init(handle, "calls", NULL), "cmap_iter_init without a place for the handle");
}

static void track(cmap_handle_t handle)
{
	cmap_track_handle_t one = 0, all = 0, other = 0;
	const int32_t every = CMAP_TRACK_ADD | CMAP_TRACK_DELETE | CMAP_TRACK_MODIFY;

	cmap_delete(handle, "calls.watched");
	answer(cmap_track_add(handle, "calls.watched", every, on_notify, "one", &one), "cmap_track_add one key");
	answer(cmap_set_uint8(handle, "calls.watched", 1), "cmap_set_uint8 new");
	wait_for(handle, notified + 1);
	answer(cmap_set_uint8(handle, "calls.watched", 2), "cmap_set_uint8 changed");
	wait_for(handle, notified + 1);
	answer(cmap_set_uint8(handle, "calls.watched", 2), "cmap_set_uint8 the same");
	answer(cmap_set_string(handle, "calls.watched", "two"), "cmap_set_string over it");
	wait_for(handle, notified + 1);
	answer(cmap_delete(handle, "calls.watched"), "cmap_delete");
	wait_for(handle, notified + 1);
	answer(cmap_delete(handle, "calls.watched"), "cmap_delete again");
	answer(cmap_track_add(handle, "calls.under.", every | CMAP_TRACK_PREFIX, on_notify, "prefix", &all),
	       "cmap_track_add prefix");
	answer(cmap_set_uint16(handle, "calls.under.way", 1), "cmap_set_uint16 under the prefix");
	wait_for(handle, notified + 1);
	answer(cmap_inc(handle, "calls.under.way"), "cmap_inc under the prefix");
	wait_for(handle, notified + 1);
	answer(cmap_track_add(handle, "calls.under.way", CMAP_TRACK_DELETE, on_notify, "deletion", &other),
	       "cmap_track_add deletion only");
	answer(cmap_delete(handle, "calls.under.way"), "cmap_delete under both");
	wait_for(handle, notified + 2);
	answer(cmap_track_delete(handle, one), "cmap_track_delete");
	answer(cmap_track_delete(handle, one), "cmap_track_delete again");
	answer(cmap_track_delete(handle, all), "cmap_track_delete prefix");
	answer(cmap_track_delete(handle, other), "cmap_track_delete deletion only");
	answer(cmap_track_add(handle, "calls.x", every, NULL, NULL, &one), "cmap_track_add without callback");
	answer(cmap_track_add(handle, "calls.x", 0x80, on_notify, NULL, &one), "cmap_track_add type=0x80");
	answer(cmap_track_add(handle, "calls.x", 0, on_notify, NULL, &one), "cmap_track_add type=0");
	answer(cmap_track_add(handle, NULL, every, on_notify, NULL, &one), "cmap_track_add without key");
	answer(cmap_track_add(handle, NULL, every | CMAP_TRACK_PREFIX, on_notify, "everything", &one),
	       "cmap_track_add everything");
	answer(cmap_track_delete(handle, one), "cmap_track_delete everything");
}

static void read_only(cmap_handle_t handle)
{
	char *text = NULL;
	uint32_t number = 0;

	answer(cmap_set_string(handle, "totem.cluster_name", "other"), "cmap_set_string totem.cluster_name");
	answer(cmap_set_uint32(handle, "runtime.config.totem.token", 1), "cmap_set_uint32 runtime.config.totem.token");
	answer(cmap_delete(handle, "runtime.config.totem.token"), "cmap_delete runtime.config.totem.token");
	answer(cmap_inc(handle, "runtime.config.totem.token"), "cmap_inc runtime.config.totem.token");
	answer(cmap_set_uint32(handle, "nodelist.local_node_pos", 1), "cmap_set_uint32 nodelist.local_node_pos");
	answer(cmap_set_uint32(handle, "internal_configuration.service.0.ver", 1),
	       "cmap_set_uint32 internal_configuration.service.0.ver");
	answer(cmap_get_string(handle, "totem.cluster_name", &text), "cmap_get_string totem.cluster_name");
	free(text);
	answer(cmap_get_uint32(handle, "nodelist.local_node_pos", &number), "cmap_get_uint32 nodelist.local_node_pos");
}

static void statistics(void)
{
	cmap_handle_t handle = 0;
	cmap_track_handle_t track_handle;
	cmap_iter_handle_t iteration = 0;
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cs_error_t error;
	uint64_t number = 0;
	cmap_value_types_t type;
	size_t length;

	ASK(error, cmap_initialize_map(&handle, CMAP_MAP_STATS));
	answer(error, "cmap_initialize_map stats");
	answer(cmap_iter_init(handle, "stats.srp.", &iteration), "cmap_iter_init stats.srp.");
	while (cmap_iter_next(handle, iteration, key, &length, &type) == CS_OK)
		note("key=%s type=%d length=%zu", key, (int)type, length);
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_iter_init(handle, "stats.pg.", &iteration), "cmap_iter_init stats.pg.");
	while (cmap_iter_next(handle, iteration, key, &length, &type) == CS_OK)
		note("key=%s type=%d length=%zu", key, (int)type, length);
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_iter_init(handle, "stats.ipcs.global", &iteration), "cmap_iter_init stats.ipcs.global");
	while (cmap_iter_next(handle, iteration, key, &length, &type) == CS_OK)
		note("key=%s type=%d length=%zu", key, (int)type, length);
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_get_uint64(handle, "stats.ipcs.global.active", &number), "cmap_get_uint64 stats.ipcs.global.active");
	note("some are active: %s", number > 0 ? "yes" : "no");
	answer(cmap_get_uint64(handle, "stats.srp.missing", &number), "cmap_get_uint64 stats.srp.missing");
	answer(cmap_set_uint32(handle, "stats.clear.totem", 1), "cmap_set_uint32 stats.clear.totem");
	answer(cmap_set_uint32(handle, "stats.clear.nothing", 1), "cmap_set_uint32 stats.clear.nothing");
	answer(cmap_set_uint64(handle, "stats.srp.mtt_rx_token", 1), "cmap_set_uint64 stats.srp.mtt_rx_token");
	answer(cmap_delete(handle, "stats.srp.mtt_rx_token"), "cmap_delete stats.srp.mtt_rx_token");
	answer(cmap_inc(handle, "stats.srp.mtt_rx_token"), "cmap_inc stats.srp.mtt_rx_token");
	answer(cmap_track_add(handle, "stats.srp.mtt_rx_token", CMAP_TRACK_MODIFY, on_notify, "stats", &track_handle),
	       "cmap_track_add stats.srp.mtt_rx_token");
	answer(cmap_track_delete(handle, track_handle), "cmap_track_delete");
	answer(cmap_finalize(handle), "cmap_finalize");
}

static void bad_handle(const char *what, cmap_handle_t handle)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	const void *context;
	uint8_t value = 0;
	size_t length = 1;
	cmap_value_types_t type;
	cmap_iter_handle_t iteration = 0;
	cmap_track_handle_t track_handle = 0;
	int fd;

	note("with %s:", what);
	answer(cmap_fd_get(handle, &fd), "cmap_fd_get");
	answer(cmap_dispatch(handle, CS_DISPATCH_ALL), "cmap_dispatch");
	answer(cmap_context_get(handle, &context), "cmap_context_get");
	answer(cmap_context_set(handle, NULL), "cmap_context_set");
	answer(cmap_set_uint8(handle, "calls.x", 1), "cmap_set_uint8");
	answer(cmap_get(handle, "calls.x", &value, &length, &type), "cmap_get");
	answer(cmap_delete(handle, "calls.x"), "cmap_delete");
	answer(cmap_inc(handle, "calls.x"), "cmap_inc");
	answer(cmap_dec(handle, "calls.x"), "cmap_dec");
	answer(cmap_iter_init(handle, "calls.", &iteration), "cmap_iter_init");
	answer(cmap_iter_next(handle, iteration, key, &length, &type), "cmap_iter_next");
	answer(cmap_iter_finalize(handle, iteration), "cmap_iter_finalize");
	answer(cmap_track_add(handle, "calls.x", CMAP_TRACK_ADD, on_notify, NULL, &track_handle), "cmap_track_add");
	answer(cmap_track_delete(handle, track_handle), "cmap_track_delete");
	answer(cmap_finalize(handle), "cmap_finalize");
}

/* Leaves the map as it was found, so that a second run answers the same. */
static void clean(cmap_handle_t handle)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cmap_iter_handle_t iteration = 0;

	if (cmap_iter_init(handle, "calls", &iteration) != CS_OK)
		return;
	while (cmap_iter_next(handle, iteration, key, NULL, NULL) == CS_OK)
		cmap_delete(handle, key);
	cmap_iter_finalize(handle, iteration);
}

int main(void)
{
	cmap_handle_t handle = initialise();

	every_type(handle);
	raw_values(handle);
	key_names(handle);
	arithmetic(handle);
	iterate(handle, "calls.");
	iterate(handle, "nowhere.");
	iterate(handle, "totem.");
	iterate(handle, "nodelist.");
	iterate_and_delete(handle);
	track(handle);
	read_only(handle);
	statistics();
	clean(handle);
	answer(cmap_finalize(handle), "cmap_finalize");
	bad_handle("a closed handle", handle);
	bad_handle("a handle never opened", BAD_HANDLE);
	return 0;
}
