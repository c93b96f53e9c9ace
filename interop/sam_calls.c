/* sam_calls: every call of libsam against the daemon of this node, one line each, every recovery policy, and what the
 * configuration map shows of supervised processes. It takes the quorum away and gives it back, so it wants a daemon of
 * its own, alone in its cluster.
 *
 * sam_register makes two processes of one: the caller goes on as supervisor and ends as its child has ended. So each
 * scenario runs in a process of its own, and its exit code is a line as well. */
#define _GNU_SOURCE
#include "calls.h"

#include <corosync/cmap.h>
#include <corosync/sam.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>

#define KEYS "resources.process."
#define EXPECTED_VOTES "quorum.expected_votes"

static pid_t scenario_begin(const char *name, void (*scenario)(void))
{
	pid_t pid;

	printf("%s\n", name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		scenario();
		exit(99);
	}
	return pid;
}

static void scenario_end(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) == -1)
		;
	if (WIFEXITED(status))
		note("ended with %d", WEXITSTATUS(status));
	else
		note("ended by signal %d", WTERMSIG(status));
}

static void play(const char *name, void (*scenario)(void))
{
	scenario_end(scenario_begin(name, scenario));
}

/* The map, as seen from outside the supervised process. */

static cmap_handle_t map_open(void)
{
	cmap_handle_t map = 0;
	cs_error_t error;

	ASK(error, cmap_initialize(&map));
	if (error != CS_OK)
		answer(error, "cmap_initialize");
	return map;
}

static void show_value(cmap_handle_t map, const char *key, const char *name, cmap_value_types_t type)
{
	uint64_t number = 0;
	char *text = NULL;

	if (type == CMAP_VALUETYPE_STRING && cmap_get_string(map, key, &text) == CS_OK) {
		note("%s = \"%s\"", name, text);
		free(text);
	} else if (type == CMAP_VALUETYPE_UINT64 && cmap_get_uint64(map, key, &number) == CS_OK) {
		if (strcmp(name, "last_updated") == 0)
			note("%s is %s", name, number ? "set" : "0");
		else
			note("%s = %llu", name, (unsigned long long)number);
	} else {
		note("%s has type %d", name, (int)type);
	}
}

/* The keys of supervised processes, without process ids; removes them if asked to. */
static void show_keys(const char *when, int remove)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cmap_handle_t map = map_open();
	cmap_iter_handle_t iter;
	cmap_value_types_t type;
	size_t size;
	int count = 0;

	note("keys %s:", when);
	cmap_iter_init(map, KEYS, &iter);
	while (cmap_iter_next(map, iter, key, &size, &type) == CS_OK) {
		const char *name = strchr(key + strlen(KEYS), '.');
		show_value(map, key, name ? name + 1 : key, type);
		if (remove)
			cmap_delete(map, key);
		count++;
	}
	cmap_iter_finalize(map, iter);
	if (count == 0)
		note("none");
	cmap_finalize(map);
}

/* Waits until a supervised process is in this state. The processes print at the same time, so only what fails is
 * told. */
static void wait_for_state(const char *state)
{
	double end = seconds() + DEADLINE_SECONDS;
	cmap_handle_t map = map_open();
	int found = 0;

	while (!found && seconds() < end) {
		char key[CMAP_KEYNAME_MAXLEN + 1], *text = NULL;
		cmap_iter_handle_t iter;

		cmap_iter_init(map, KEYS, &iter);
		while (cmap_iter_next(map, iter, key, NULL, NULL) == CS_OK) {
			const char *name = strrchr(key, '.');
			if (name && strcmp(name, ".state") == 0 && cmap_get_string(map, key, &text) == CS_OK) {
				found |= strcmp(text, state) == 0;
				free(text);
			}
		}
		cmap_iter_finalize(map, iter);
		usleep(5000);
	}
	cmap_finalize(map);
	if (!found)
		note("no process is in the state \"%s\"", state);
}

/* One node of three has no quorum, one of one has. */
static void expect_votes(uint32_t votes)
{
	cmap_handle_t map = map_open();

	cs_error_t error = cmap_set_uint32(map, EXPECTED_VOTES, votes);

	if (error != CS_OK)
		answer(error, "cmap_set " EXPECTED_VOTES " %u", votes);
	cmap_finalize(map);
}

/* Calls. */

static int healthy(void)
{
	return 0;
}

static void call_everything(void)
{
	char data[16];
	size_t size = 0;
	unsigned int instance = 0;

	answer(sam_register(&instance), "sam_register");
	answer(sam_start(), "sam_start");
	answer(sam_stop(), "sam_stop");
	answer(sam_hc_send(), "sam_hc_send");
	answer(sam_hc_callback_register(healthy), "sam_hc_callback_register");
	answer(sam_mark_failed(), "sam_mark_failed");
	answer(sam_warn_signal_set(SIGTERM), "sam_warn_signal_set");
	answer(sam_data_getsize(NULL), "sam_data_getsize null");
	answer(sam_data_getsize(&size), "sam_data_getsize");
	answer(sam_data_restore(NULL, 0), "sam_data_restore null");
	answer(sam_data_restore(data, sizeof(data)), "sam_data_restore");
	answer(sam_data_store("x", 1), "sam_data_store");
	answer(sam_finalize(), "sam_finalize");
}

static void before_initialize(void)
{
	call_everything();
	exit(0);
}

static void wrong_policies(void)
{
	static const int policies[] = {0, 3, 4, SAM_RECOVERY_POLICY_QUORUM, SAM_RECOVERY_POLICY_CMAP, 0x20};

	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)
		answer(sam_initialize(0, (sam_recovery_policy_t)policies[i]), "sam_initialize policy=%d", policies[i]);
	exit(0);
}

static void show_data(void)
{
	char data[32] = "";
	size_t size = 99;

	answer(sam_data_getsize(&size), "sam_data_getsize");
	note("size=%zu", size);
	answer(sam_data_restore(data, sizeof(data)), "sam_data_restore");
	note("data=\"%s\"", data);
}

static void without_register(void)
{
	char byte;

	answer(sam_initialize(0, SAM_RECOVERY_POLICY_QUIT), "sam_initialize quit");
	answer(sam_initialize(0, SAM_RECOVERY_POLICY_QUIT), "sam_initialize again");
	answer(sam_start(), "sam_start");
	answer(sam_stop(), "sam_stop");
	answer(sam_hc_send(), "sam_hc_send");
	answer(sam_mark_failed(), "sam_mark_failed");
	answer(sam_hc_callback_register(healthy), "sam_hc_callback_register");
	show_data();
	answer(sam_data_store("kept", 5), "sam_data_store");
	show_data();
	answer(sam_data_restore(&byte, 1), "sam_data_restore into 1 byte");
	answer(sam_data_store("", 1), "sam_data_store less");
	show_data();
	answer(sam_data_store(NULL, 7), "sam_data_store null");
	show_data();
	answer(sam_warn_signal_set(SIGUSR1), "sam_warn_signal_set");
	answer(sam_finalize(), "sam_finalize");
	answer(sam_finalize(), "sam_finalize again");
	note("with everything finalized:");
	call_everything();
	answer(sam_initialize(0, SAM_RECOVERY_POLICY_QUIT), "sam_initialize");
	exit(0);
}

static unsigned int begin(int interval, int policy)
{
	unsigned int instance = 0;

	answer(sam_initialize(interval, (sam_recovery_policy_t)policy), "sam_initialize interval=%d policy=%d",
	       interval, policy);
	answer(sam_register(&instance), "sam_register");
	note("instance %u", instance);
	return instance;
}

static void quit_in_order(void)
{
	begin(0, SAM_RECOVERY_POLICY_QUIT);
	answer(sam_register(NULL), "sam_register again");
	answer(sam_hc_callback_register(healthy), "sam_hc_callback_register without interval");
	answer(sam_stop(), "sam_stop before sam_start");
	answer(sam_hc_send(), "sam_hc_send before sam_start");
	answer(sam_start(), "sam_start");
	answer(sam_start(), "sam_start again");
	answer(sam_hc_send(), "sam_hc_send");
	answer(sam_mark_failed(), "sam_mark_failed without cmap");
	answer(sam_warn_signal_set(SIGUSR2), "sam_warn_signal_set");
	answer(sam_data_store("of a child", 11), "sam_data_store");
	show_data();
	answer(sam_data_store(NULL, 0), "sam_data_store null");
	show_data();
	answer(sam_stop(), "sam_stop");
	answer(sam_stop(), "sam_stop again");
	answer(sam_start(), "sam_start");
	answer(sam_finalize(), "sam_finalize while started");
	answer(sam_finalize(), "sam_finalize again");
	exit(7);
}

static void quit_failing(void)
{
	begin(0, SAM_RECOVERY_POLICY_QUIT);
	answer(sam_start(), "sam_start");
	exit(5);
}

static void end_before_start(void)
{
	begin(0, SAM_RECOVERY_POLICY_RESTART);
	exit(4);
}

static void restart_with_data(void)
{
	unsigned int instance = 0;
	char text[16];

	answer(sam_initialize(0, SAM_RECOVERY_POLICY_RESTART), "sam_initialize");
	answer(sam_data_store("before", 7), "sam_data_store before sam_register");
	answer(sam_register(&instance), "sam_register");
	note("instance %u", instance);
	show_data();
	snprintf(text, sizeof(text), "of %u", instance);
	answer(sam_data_store(text, strlen(text) + 1), "sam_data_store");
	answer(sam_start(), "sam_start");
	if (instance < 3)
		exit(3);
	answer(sam_stop(), "sam_stop");
	exit(0);
}

static void on_warning(int number)
{
	static const char warned[] = "  warned\n";

	(void)number;
	if (write(STDOUT_FILENO, warned, sizeof(warned) - 1) < 0)
		_exit(98);
}

/* A child that says nothing is warned, and killed when it goes on saying nothing. */
static void silence(void)
{
	unsigned int instance;

	signal(SIGUSR1, on_warning);
	instance = begin(1000, SAM_RECOVERY_POLICY_RESTART);
	answer(sam_warn_signal_set(SIGUSR1), "sam_warn_signal_set");
	answer(sam_start(), "sam_start");
	if (instance == 1) {
		double end = seconds() + DEADLINE_SECONDS;
		while (seconds() < end)
			usleep(100000);
		note("nobody kills a silent child");
	}
	for (int i = 0; i < 15; i++) {
		cs_error_t error = sam_hc_send();
		if (error != CS_OK)
			answer(error, "sam_hc_send");
		usleep(100000);
	}
	answer(sam_stop(), "sam_stop");
	exit(0);
}

static int checks;

static int fails_at_third(void)
{
	checks++;
	note("health check %d", checks);
	return checks == 3;
}

/* libsam asks the child, and stops sending when it says no. */
static void asked_for_health(void)
{
	unsigned int instance = begin(1600, SAM_RECOVERY_POLICY_RESTART);

	answer(sam_hc_callback_register(NULL), "sam_hc_callback_register null");
	answer(sam_hc_callback_register(fails_at_third), "sam_hc_callback_register");
	answer(sam_hc_callback_register(fails_at_third), "sam_hc_callback_register again");
	answer(sam_start(), "sam_start");
	if (instance == 1) {
		double end = seconds() + 2 * DEADLINE_SECONDS;
		while (seconds() < end)
			usleep(100000);
		note("nobody ends a child that is not well");
	}
	answer(sam_stop(), "sam_stop");
	exit(0);
}

static void shown_in_the_map(void)
{
	begin(100000, SAM_RECOVERY_POLICY_RESTART | SAM_RECOVERY_POLICY_CMAP);
	show_keys("after sam_register", 0);
	answer(sam_start(), "sam_start");
	show_keys("after sam_start", 0);
	answer(sam_hc_send(), "sam_hc_send");
	answer(sam_stop(), "sam_stop");
	show_keys("after sam_hc_send and sam_stop", 0);
	exit(0);
}

static void failing_in_the_map(void)
{
	begin(0, SAM_RECOVERY_POLICY_QUIT | SAM_RECOVERY_POLICY_CMAP);
	answer(sam_start(), "sam_start");
	exit(6);
}

static void marked_failed(void)
{
	double end = seconds() + DEADLINE_SECONDS;
	cs_error_t error;

	begin(0, SAM_RECOVERY_POLICY_RESTART | SAM_RECOVERY_POLICY_CMAP);
	answer(sam_start(), "sam_start");
	/* Whether it returns before the parent kills is a matter of time. */
	note("sam_mark_failed");
	error = sam_mark_failed();
	if (error != CS_OK)
		answer(error, "sam_mark_failed");
	while (seconds() < end)
		usleep(100000);
	note("nobody kills a child that is marked failed");
	exit(97);
}

static void quorum_at_once(void)
{
	begin(0, SAM_RECOVERY_POLICY_QUORUM_QUIT);
	answer(sam_start(), "sam_start");
	answer(sam_stop(), "sam_stop");
	exit(2);
}

/* How a supervised process tells how far it is. */
static int progress[2];

static void tell(char step)
{
	if (write(progress[1], &step, 1) != 1)
		exit(96);
}

static void wait_for_step(char step)
{
	double end = seconds() + DEADLINE_SECONDS;
	char got = 0;

	if (!readable(progress[0], end) || read(progress[0], &got, 1) != 1 || got != step)
		note("no process is at step %c", step);
}

/* Starts when there is quorum and goes when it is lost. With cmap in the policy, libsam answers sam_start twice, so that
 * a child that went on to sam_stop would end before its last answer, and its supervisor by SIGPIPE. */
static void quorum_restart(void)
{
	unsigned int instance = begin(0, SAM_RECOVERY_POLICY_QUORUM_RESTART);

	tell('r');
	answer(sam_start(), "sam_start");
	tell('s');
	while (instance == 1)
		pause();
	answer(sam_stop(), "sam_stop");
	exit(0);
}

static void quorum_quit(void)
{
	begin(0, SAM_RECOVERY_POLICY_QUORUM_QUIT | SAM_RECOVERY_POLICY_CMAP);
	answer(sam_start(), "sam_start");
	for (;;)
		pause();
}

static void quorum_comes_and_goes(void)
{
	pid_t pid;

	if (pipe(progress) != 0)
		note("no pipe");
	expect_votes(3);
	pid = scenario_begin("quorum and restart", quorum_restart);
	wait_for_step('r');
	expect_votes(1);
	wait_for_step('s');
	expect_votes(3);
	wait_for_step('r');
	expect_votes(1);
	wait_for_step('s');
	scenario_end(pid);

	expect_votes(3);
	pid = scenario_begin("quorum and quit", quorum_quit);
	wait_for_state("waiting for quorum");
	expect_votes(1);
	wait_for_state("running");
	expect_votes(3);
	scenario_end(pid);
	show_keys("afterwards", 1);
	expect_votes(1);
}

int main(void)
{
	play("before sam_initialize", before_initialize);
	play("policies", wrong_policies);
	play("without sam_register", without_register);
	play("quit in order", quit_in_order);
	play("quit failing", quit_failing);
	play("end before sam_start", end_before_start);
	play("restart with data", restart_with_data);
	play("a silent child", silence);
	play("a child that is asked", asked_for_health);
	play("in the map", shown_in_the_map);
	show_keys("afterwards", 1);
	play("failing in the map", failing_in_the_map);
	show_keys("afterwards", 1);
	play("marked failed", marked_failed);
	show_keys("afterwards", 1);
	play("quorum at once", quorum_at_once);
	quorum_comes_and_goes();
	return 0;
}
