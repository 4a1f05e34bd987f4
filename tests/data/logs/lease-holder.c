/* A lease holder that answers a break, and two who break it: one waits, one does not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int fd;

static void give_up(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	fcntl(info->si_fd, F_SETLEASE, F_UNLCK);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = give_up, .sa_flags = SA_SIGINFO };
	sigset_t io, none;
	pid_t one, two;

	fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (write(fd, "data", 4) != 4)
		return 1;
	close(fd);
	sigemptyset(&none);
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	sigaction(SIGIO, &action, NULL);
	fd = open("data", O_RDONLY);
	fcntl(fd, F_SETSIG, SIGIO);
	fcntl(fd, F_SETLEASE, F_RDLCK);
	one = fork();
	if (!one) {
		int own = open("data", O_WRONLY | O_NONBLOCK);

		_exit(own < 0 ? 0 : 1);
	}
	two = fork();
	if (!two) {
		int own = open("data", O_WRONLY);

		_exit(own >= 0 && write(own, "new", 3) == 3 ? 0 : 1);
	}
	sigsuspend(&none);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	fcntl(fd, F_GETLEASE);
	unlink("data");
	return 0;
}
