/*
 * A file server in the manner of Samba: a process a client; oplocks are leases, whose breaks come as a real-time signal
 * to a handler that writes to a pipe; the loop reads it, downgrades or gives up the lease, and lets the others go on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEASE_SIGNAL (SIGRTMIN + 1)

static int wakeup[2];

static void broken(int signo, siginfo_t *info, void *context)
{
	unsigned char fd = info->si_fd;

	(void)signo;
	(void)context;
	if (write(wakeup[1], &fd, 1) != 1)
		_exit(9);
}

/* Serves one client, which has the file open with an oplock, until its connection ends. */
static void serve(int connection)
{
	struct sigaction action = { .sa_sigaction = broken, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct pollfd watched[2];
	char byte;
	int fd;

	if (pipe(wakeup))
		_exit(9);
	sigaction(LEASE_SIGNAL, &action, NULL);
	fd = open("document", O_RDWR);
	fcntl(fd, F_SETSIG, LEASE_SIGNAL);
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		_exit(9);
	if (write(connection, "o", 1) != 1)
		_exit(9);
	watched[0] = (struct pollfd){ .fd = connection, .events = POLLIN };
	watched[1] = (struct pollfd){ .fd = wakeup[0], .events = POLLIN };
	for (;;) {
		if (poll(watched, 2, -1) < 0 && errno != EINTR)
			_exit(9);
		if (watched[1].revents & POLLIN && read(wakeup[0], &byte, 1) == 1)
			fcntl(byte, F_SETLEASE, fcntl(byte, F_GETLEASE) == F_RDLCK ? F_RDLCK : F_UNLCK);
		if (watched[0].revents & (POLLIN | POLLHUP) && read(connection, &byte, 1) == 0)
			_exit(0);
		watched[0].revents = watched[1].revents = 0;
	}
}

int main(void)
{
	int connection[2], fd;
	pid_t server;
	char byte;

	fd = open("document", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (ftruncate(fd, 8192))
		return 1;
	close(fd);
	if (pipe(connection))
		return 1;
	server = fork();
	if (!server) {
		close(connection[0]);
		serve(connection[1]);
	}
	close(connection[1]);
	if (read(connection[0], &byte, 1) != 1)
		return 1;
	/* Another server process, for a client that must not wait. */
	if (!fork()) {
		fd = open("document", O_RDWR | O_NONBLOCK);
		_exit(fd < 0 && errno == EWOULDBLOCK ? 0 : 2);
	}
	wait(NULL);
	/* Programs of the machine itself wait until the oplock is broken. */
	if (!fork()) {
		fd = open("document", O_RDONLY);
		_exit(read(fd, &byte, 1) == 1 ? 0 : 3);
	}
	if (truncate("document", 4096))
		return 1;
	wait(NULL);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	rename("document", "kept");
	unlink("kept");
	return 0;
}
