/* One lease over fork and SCM_RIGHTS: who took it has no descriptor left, and the last who has one gives it up. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int pass(int socket, int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	return sendmsg(socket, &message, 0) == 1;
}

static int receive(int socket)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	int fd = -1;

	if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

int main(void)
{
	int ends[2], fd, status;
	pid_t keeper;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	close(open("data", O_RDWR | O_CREAT | O_EXCL, 0600));
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	keeper = fork();
	if (!keeper) {
		int own = receive(ends[1]), other;

		other = dup(own);
		fcntl(other, F_GETLEASE);
		close(own);
		if (!fork()) {
			close(other);
			_exit(open("data", O_WRONLY) < 0);
		}
		/* The break is told to the process that took the lease. */
		sigwaitinfo(&usr1, NULL);
		close(other);
		wait(NULL);
		_exit(0);
	}
	fd = open("data", O_RDONLY);
	fcntl(fd, F_SETSIG, SIGUSR1);
	fcntl(fd, F_SETLEASE, F_RDLCK);
	pass(ends[0], fd);
	close(fd);
	sigwaitinfo(&usr1, NULL);
	kill(keeper, SIGUSR1);
	waitpid(keeper, &status, 0);
	unlink("data");
	return status != 0;
}
