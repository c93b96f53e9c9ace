/* syslog_listen PATH FILE: a syslog daemon, or a journal, that does nothing but append each message to FILE, and a line
 * break. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char message[8192];
	ssize_t length;
	FILE *file;
	int fd;

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	file = fopen(argv[2], "a");
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (file == NULL || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		perror(argv[1]);
		return 1;
	}
	while ((length = recv(fd, message, sizeof(message), 0)) >= 0) {
		fwrite(message, 1, (size_t)length, file);
		fputc('\n', file);
		fflush(file);
	}
	return 1;
}
