// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a scenario's processes free on the kernel, again and again, and writes what each run came to.
 *
 *	guardian -> coordinator -> the processes of a run -> those that they fork
 *
 * Both adopt whom others leave behind (PR_SET_CHILD_SUBREAPER), and whichever of them dies, the other one ends all
 * processes; the guardian is told by the kernel when the Python that started it dies. The coordinator is the parent of
 * a run's processes and reaps them, as init would.
 *
 * A line for each run goes to standard output: see print_run.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

/* How long the coordinator sleeps before it looks at processes that may all be asleep. */
#define BETWEEN_LOOKS (200 * 1000)
#define FIRST_NUMBER 100

struct run *run;

static struct orders orders;
static cpu_set_t allowed;

/*
 * When the run was over, and how many processes it had then. To end processes that sleep takes one signal for each, and
 * what the first ones let go of wakes the others: what happens after this is none of the run's affair.
 */
static int64_t over_at;
static int over_with;

/* The end of processes. */

static void note_end(pid_t pid, int status)
{
	for (int slot = 0; slot < process_count(); slot++) {
		struct process *process = &run->process[slot];

		if (process->pid != pid || process->end != RUNNING)
			continue;
		process->ended = process->gone = true;
		process->end = WIFSIGNALED(status) ? KILLED : EXITED;
		process->end_value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	}
}

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		note_end(pid, status);
}

/* Kill every process of the run and wait for all of them; each belongs to the group of one that the run began with. */
static void end_all(void)
{
	pid_t pid;
	int status;

	for (int slot = 0; slot < run->starters; slot++)
		if (run->process[slot].pid > 0)
			kill(-run->process[slot].pid, SIGKILL);
	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid > 0)
			note_end(pid, status);
	run->starters = 0;		/* their numbers may be others' from now on */
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
	(void)stat, (void)kind, (void)place;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Quiet: all that are left sleep. */

struct look {
	char state;			/* as in proc_pid_stat(5); X for a process that is no more */
	unsigned long switches;		/* how often it went to sleep */
};

static struct look look_at(pid_t pid)
{
	struct look look = { 'X', 0 };
	char path[32], status[4096], *found;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return look;
	length = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (length <= 0)
		return look;
	status[length] = 0;
	found = strstr(status, "\nState:\t");
	if (found)
		look.state = found[strlen("\nState:\t")];
	found = strstr(status, "\nvoluntary_ctxt_switches:\t");
	if (found)
		look.switches = strtoul(found + strlen("\nvoluntary_ctxt_switches:\t"), NULL, 10);
	return look;
}

static bool any_left(void)
{
	for (int slot = 0; slot < process_count(); slot++)
		if (!run->process[slot].ended)
			return true;
	return false;
}

/* Whether an uninterruptible sleep is one for a lock, which some process has to release, and no disk. */
static bool waits_for_lock(pid_t pid)
{
	char path[32], channel[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, channel, sizeof(channel) - 1);
	close(fd);
	channel[length > 0 ? length : 0] = 0;
	return strstr(channel, "rwsem_down") || strstr(channel, "mutex_lock");
}

/*
 * Whether nothing can happen any more. A process that sleeps at two looks and has not gone to sleep in between has
 * slept all the time; so if that is true of all, there was a moment at which all of them slept. Only interrupts could
 * wake one then, and the timers of a run are too long for that; but a disk may.
 */
static bool quiet(void)
{
	struct look first[MOST_PROCESSES];
	int processes = process_count();

	for (int pass = 0; pass < 2; pass++) {
		for (int slot = 0; slot < processes; slot++) {
			struct process *process = &run->process[slot];
			struct look look;

			if (process->ended)
				continue;
			if (!process->pid)
				return false;	/* it is being forked */
			look = look_at(process->pid);
			if (look.state == 'X' || look.state == 'Z') {
				process->ended = true;
				process->gone |= look.state == 'X';
				return false;
			}
			if (!strchr("SDTt", look.state))
				return false;
			if (pass && (look.state != first[slot].state || look.switches != first[slot].switches))
				return false;
			first[slot] = look;
			if (look.state == 'D' && !waits_for_lock(process->pid))
				return false;
		}
	}
	if (process_count() != processes)
		return false;
	for (int slot = 0; slot < processes; slot++)
		if (!run->process[slot].ended)
			run->process[slot].end = strchr("Tt", first[slot].state) ? STOPPED : ASLEEP;
	over_at = now();
	over_with = processes;
	return true;
}

/* A run. */

static void make_files(void)
{
	for (int i = 0; i < orders.folders; i++)
		if (mkdir(orders.below[i], 0777) && errno != EEXIST)
			die("%s cannot be made: %s", orders.below[i], strerror(errno));
	for (int i = 0; i < orders.files; i++) {
		const struct file *file = &orders.file[i];
		int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || (file->size && posix_fallocate(fd, 0, file->size)) || fchmod(fd, file->mode))
			die("%s cannot be made: %s", file->path, strerror(errno));
		close(fd);
	}
}

static int nth_cpu(int n)
{
	int cpu = -1;

	do
		cpu++;
	while (!CPU_ISSET(cpu, &allowed) || n--);
	return cpu;
}

static void prepare_run(int number)
{
	/* Without delays and with them, on any core and all on one. */
	static const enum delays delays[] = { DELAY_NOT, DELAY_SPIN, DELAY_NOT, DELAY_YIELD };

	run->number = number;
	run->seed = orders.seed + number;
	run->delays = delays[number % 4];
	run->cpu = number % 4 < 2 ? -1 : nth_cpu(number / 4 % CPU_COUNT(&allowed));
	run->started = run->arrived = run->posts = run->data_used = 0;
	run->voided = NULL;
	run->start = 0;
	memset(run->label, 0, sizeof(run->label));
	for (int slot = 0; slot < MOST_PROCESSES; slot++)
		run->process[slot].pid = 0;
	run->processes = run->starters = 0;
	for (int image = 0; image < scenario.images; image++)
		if (!scenario.image[image].forked) {
			add_process(run->starters, image, 1, FIRST_NUMBER + run->starters, -1);
			run->starters++;
		}
	run->processes = run->starters;
}

static void start(void)
{
	for (int slot = 0; slot < run->starters; slot++) {
		pid_t pid = fork();

		if (!pid)
			be_process(slot);
		if (pid < 0)
			die("fork: %s", strerror(errno));
		setpgid(pid, pid);
		run->process[slot].pid = pid;
	}
}

enum verdict { OVER, TOO_LONG, VOID, TOLD_TO_END };

static enum verdict watch(const sigset_t *wanted)
{
	const struct timespec pace = { 0, BETWEEN_LOOKS };
	int64_t deadline = now() + orders.milliseconds * 1000000LL;

	for (;;) {
		int signo = sigtimedwait(wanted, NULL, &pace);

		if (signo > 0 && signo != SIGCHLD)
			return TOLD_TO_END;
		reap();
		if (run->voided)
			return VOID;
		if (!any_left()) {
			over_at = now();
			over_with = process_count();
			return OVER;
		}
		if (now() > deadline)
			return TOO_LONG;
		if (signo < 0 && quiet())
			return OVER;
	}
}

/* A child that its own parent has reaped: what waitpid was told, or what it was about to do itself. */
static void find_end(struct process *process)
{
	if (process->end != RUNNING)
		return;
	process->end = UNKNOWN;
	for (int slot = 0; slot < process_count(); slot++) {
		for (int i = 0; i < run->process[slot].records; i++) {
			const struct record *record = &run->process[slot].record[i];
			const int *status = record->raw == process->pid ? wait_status_of(record) : NULL;

			if (status && (WIFEXITED(*status) || WIFSIGNALED(*status))) {
				process->end = RUNNING;
				note_end(process->pid, *status);
				return;
			}
		}
	}
	if (process->leaving) {
		process->end = EXITED;
		process->end_value = process->leaving - 1;
	}
}

/* The result. */

/* The next program of a process to print: a handler, or the main program. */
struct place {
	int invocation, calls;
	int64_t order;			/* of its first call */
	int64_t signo, fd;		/* as siginfo had them */
};

/* What was entered and not filled in before the process was killed is from an earlier run. */
static bool has_begun(const struct record *record)
{
	return record->begun >= run->start && record->begun <= over_at;
}

static bool has_ended(const struct record *record)
{
	return record->ended && record->ended <= over_at;
}

static bool called_by(const struct process *process, int i, int invocation)
{
	return process->record[i].invocation == invocation && has_begun(&process->record[i]);
}

static int compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_places(const void *first, const void *second)
{
	const struct place *a = first, *b = second;
	int result = compare(a->order, b->order);

	if (!result)
		result = compare(a->signo, b->signo);
	return result ? result : compare(a->fd, b->fd);
}

/*
 * The main program, and then handlers in the order of their first calls. Those that made none come last, by number:
 * nobody can tell which was first.
 */
static int find_places(const struct process *process, struct place *places)
{
	int n = 0;

	for (int invocation = 0; invocation < process->invocations; invocation++) {
		const struct record *taken = &process->invocation[invocation].taken;
		struct place place = { invocation, 0, INT64_MAX, 0, 0 };

		if (invocation && !has_begun(taken))
			continue;
		if (invocation) {
			place.signo = taken->raw;
			place.fd = taken->extra;
		}
		for (int i = 0; i < process->records; i++) {
			if (!called_by(process, i, invocation))
				continue;
			place.calls++;
			if (process->record[i].order < place.order)
				place.order = process->record[i].order;
		}
		places[n++] = place;
	}
	qsort(places + 1, n - 1, sizeof(*places), compare_places);
	return n;
}

static void print_record(const struct record *record)
{
	int error;

	printf(" %d", record->pc);
	if (!has_ended(record)) {
		fputs(" ?", stdout);
	} else if ((error = errno_of(record))) {
		printf(" !%d", error);
	} else if (bytes_of(record)) {
		fputs(" x", stdout);
		for (int64_t i = 0; i < record->raw; i++)
			printf("%02x", (unsigned char)bytes_of(record)[i]);
	} else {
		printf(" =%" PRId64, value_of(record));
	}
}

static int64_t since_start(int64_t time)
{
	return time && time <= over_at ? time - run->start : 0;
}

static void print_process(const struct process *process)
{
	struct place places[MOST_INVOCATIONS];
	int n = find_places(process, places);

	printf(" %" PRId64 " %d %d %d %d %d", process->number, process->image, process->nth, process->end,
	       process->end_value, n);
	for (const struct place *place = places; place < places + n; place++) {
		printf(" %" PRId64 " %" PRId64 " %d %d", place->signo, place->fd,
		       process->invocation[place->invocation].program, place->calls);
		for (int i = 0; i < process->records; i++)
			if (called_by(process, i, place->invocation))
				print_record(&process->record[i]);
	}
}

static void print_times(const struct process *process)
{
	struct place places[MOST_INVOCATIONS];
	int n = find_places(process, places);

	for (const struct place *place = places; place < places + n; place++) {
		const struct record *taken = &process->invocation[place->invocation].taken;

		if (place->invocation)
			printf(" %" PRId64 " %" PRId64, since_start(taken->begun), since_start(taken->ended));
		for (int i = 0; i < process->records; i++)
			if (called_by(process, i, place->invocation))
				printf(" %" PRId64 " %" PRId64, since_start(process->record[i].begun),
				       since_start(process->record[i].ended));
	}
}

/*
 * A line: the run's number, the processes, a vertical bar, the times. For each process its number, image, how many its
 * parent has made of that, how it ended, and its programs: signal, si_fd, program, calls; for each of those its place
 * in the program, and = the value, ! the errno, x the bytes, or ? if it never returned. Times, of handlers and calls in
 * the same order, are begin and end in nanoseconds.
 */
static void print_run(void)
{
	printf("run %d", run->number);
	for (int slot = 0; slot < over_with; slot++)
		if (run->process[slot].pid)
			print_process(&run->process[slot]);
	fputs(" |", stdout);
	for (int slot = 0; slot < over_with; slot++)
		if (run->process[slot].pid)
			print_times(&run->process[slot]);
	fputc('\n', stdout);
}

static void one_run(int number, const sigset_t *wanted)
{
	enum verdict verdict;
	char name[16];

	snprintf(name, sizeof(name), "%d", number);
	if (mkdir(name, 0777) || chdir(name))
		die("%s cannot be made: %s", name, strerror(errno));
	make_files();
	prepare_run(number);
	start();
	verdict = watch(wanted);
	end_all();
	if (chdir(".."))
		die("the folder of the runs is gone: %s", strerror(errno));
	remove_tree(name);
	if (verdict == TOLD_TO_END)
		exit(1);
	if (verdict == TOO_LONG)
		printf("long %d\n", number);
	else if (verdict == VOID)
		printf("void %d %s\n", number, run->voided);
	else {
		for (int slot = 0; slot < process_count(); slot++)
			find_end(&run->process[slot]);
		print_run();
	}
}

static _Noreturn void coordinate(const sigset_t *wanted)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (chdir(orders.folder))
		die("%s: %s", orders.folder, strerror(errno));
	for (int number = 0; number < orders.runs; number++)
		one_run(number, wanted);
	fclose(stdout);
	exit(0);
}

/* Whatever this process was started with, signals do what they do by default, and none is blocked but what it waits for. */
static void reset_signals(sigset_t *wanted)
{
	sigset_t all;

	for (int signo = 1; signo <= LAST_SIGNAL; signo++)
		signal(signo, signo == SIGPIPE || signo == SIGXFSZ ? SIG_IGN : SIG_DFL);
	sigemptyset(wanted);
	sigaddset(wanted, SIGCHLD);
	sigaddset(wanted, SIGTERM);
	sigaddset(wanted, SIGINT);
	sigaddset(wanted, SIGHUP);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static void set_limits(void)
{
	/* A file of a scenario is real; and no core is dumped, not even into a pipe, which a limit of 0 would allow. */
	const struct rlimit largest = { LARGEST_FILE, LARGEST_FILE }, core = { 1, 1 };

	setrlimit(RLIMIT_FSIZE, &largest);
	setrlimit(RLIMIT_CORE, &core);
	umask(0);
}

int main(void)
{
	pid_t parent = getppid(), coordinator;
	sigset_t wanted;
	int status, signo;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return 1;
	reset_signals(&wanted);
	set_limits();
	read_scenario(&orders);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run == MAP_FAILED)
		die("no memory for a run: %s", strerror(errno));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	coordinator = fork();
	if (!coordinator)
		coordinate(&wanted);
	if (coordinator < 0)
		die("fork: %s", strerror(errno));
	for (;;) {
		signo = sigwaitinfo(&wanted, NULL);
		if (signo != SIGCHLD && signo > 0)
			kill(coordinator, SIGKILL);
		if (waitpid(coordinator, &status, signo == SIGCHLD ? WNOHANG : 0) == coordinator)
			break;
	}
	end_all();
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	remove_tree(orders.folder);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
