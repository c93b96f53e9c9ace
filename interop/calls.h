/* What the *_calls programs share: they exercise every call of one client library and print one line per call, without
 * times, process ids or ring numbers, so that the output against two daemons can be compared line by line. */
#ifndef FERROSYNC_CALLS_H
#define FERROSYNC_CALLS_H

#include <corosync/corotypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How long a call may answer "try again" and an event may take, on a busy machine. */
#define DEADLINE_SECONDS 20

/* TRY_AGAIN is the daemon's way to say "busy", it is no property of the call: it is asked again until the deadline. */
#define ASK(result, call)                                                                                              \
	do {                                                                                                           \
		double ask_end = seconds() + DEADLINE_SECONDS;                                                         \
		while (((result) = (call)) == CS_ERR_TRY_AGAIN && seconds() < ask_end)                                 \
			usleep(10000);                                                                                 \
	} while (0)

static inline double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline const char *error_name(cs_error_t error)
{
	static char other[32];
	switch ((int)error) {
	case CS_OK: return "CS_OK";
	case CS_ERR_LIBRARY: return "CS_ERR_LIBRARY";
	case CS_ERR_VERSION: return "CS_ERR_VERSION";
	case CS_ERR_INIT: return "CS_ERR_INIT";
	case CS_ERR_TIMEOUT: return "CS_ERR_TIMEOUT";
	case CS_ERR_TRY_AGAIN: return "CS_ERR_TRY_AGAIN";
	case CS_ERR_INVALID_PARAM: return "CS_ERR_INVALID_PARAM";
	case CS_ERR_NO_MEMORY: return "CS_ERR_NO_MEMORY";
	case CS_ERR_BAD_HANDLE: return "CS_ERR_BAD_HANDLE";
	case CS_ERR_BUSY: return "CS_ERR_BUSY";
	case CS_ERR_ACCESS: return "CS_ERR_ACCESS";
	case CS_ERR_NOT_EXIST: return "CS_ERR_NOT_EXIST";
	case CS_ERR_NAME_TOO_LONG: return "CS_ERR_NAME_TOO_LONG";
	case CS_ERR_EXIST: return "CS_ERR_EXIST";
	case CS_ERR_NO_SPACE: return "CS_ERR_NO_SPACE";
	case CS_ERR_INTERRUPT: return "CS_ERR_INTERRUPT";
	case CS_ERR_NAME_NOT_FOUND: return "CS_ERR_NAME_NOT_FOUND";
	case CS_ERR_NO_RESOURCES: return "CS_ERR_NO_RESOURCES";
	case CS_ERR_NOT_SUPPORTED: return "CS_ERR_NOT_SUPPORTED";
	case CS_ERR_BAD_OPERATION: return "CS_ERR_BAD_OPERATION";
	case CS_ERR_FAILED_OPERATION: return "CS_ERR_FAILED_OPERATION";
	case CS_ERR_MESSAGE_ERROR: return "CS_ERR_MESSAGE_ERROR";
	case CS_ERR_QUEUE_FULL: return "CS_ERR_QUEUE_FULL";
	case CS_ERR_QUEUE_NOT_AVAILABLE: return "CS_ERR_QUEUE_NOT_AVAILABLE";
	case CS_ERR_BAD_FLAGS: return "CS_ERR_BAD_FLAGS";
	case CS_ERR_TOO_BIG: return "CS_ERR_TOO_BIG";
	case CS_ERR_NO_SECTIONS: return "CS_ERR_NO_SECTIONS";
	case CS_ERR_CONTEXT_NOT_FOUND: return "CS_ERR_CONTEXT_NOT_FOUND";
	case CS_ERR_TOO_MANY_GROUPS: return "CS_ERR_TOO_MANY_GROUPS";
	case CS_ERR_SECURITY: return "CS_ERR_SECURITY";
	}
	snprintf(other, sizeof(other), "error %d", (int)error);
	return other;
}

/* One line of output: what was called and what it answered. */
__attribute__((format(printf, 2, 3))) static inline void answer(cs_error_t error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf(" -> %s\n", error_name(error));
	fflush(stdout);
}

/* One line of output that is no answer: an event, or a value that a call returned. */
__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	printf("  ");
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
}

/* Waits until `fd` has something to read; 0 when the deadline `end` has passed. */
static inline int readable(int fd, double end)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	double left = end - seconds();
	return left > 0 && poll(&ready, 1, (int)(left * 1000) + 1) >= 0;
}

/* FNV-1a over `size` bytes: tells one body from another. */
static inline uint64_t hash_of(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}

/* A handle that was never given out. */
#define BAD_HANDLE 0x1234567812345678u

#endif
