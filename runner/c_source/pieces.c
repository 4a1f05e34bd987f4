/*
 * Pieces of the C files that `longpin show --as c` writes; this is no file to compile. A line that begins with three
 * slashes begins a piece: its name, the pieces it needs, which stand before it, and the headers. Words in capitals
 * between at signs are replaced.
 */

/// events with errno.h sys/resource.h unistd.h
/* What happened, kept in memory that all processes share and printed in the end: printing would change the races. */

enum { BEGUN, RETURNED, HANDLER };

struct event {
	int process, line, state;
	long value;		/* what the call returned; of a handler: the signal's number */
	int error;		/* errno; of a handler: si_fd */
	long slept;		/* how often the call went to sleep */
	int length;		/* of data that was read */
	unsigned char data[64];
};

static struct shared {
	int go;			/* the processes may start */
	int processes;
	struct {
		pid_t pid;
		long number;	/* what the scenario calls its process id */
		int program;
		int status;	/* as wait tells it; -1: not yet */
	} process[MOST_PROCESSES];
	struct {
		unsigned int set;	/* a futex */
		long value;
	} label[LABELS + 1];
	int events;
	struct event event[MOST_EVENTS];
@TURNS@
} *shared;

static int self;		/* the process that this is: its place in the table */

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nvcsw;
}

static struct event *begin(int line)
{
	int n = __atomic_fetch_add(&shared->events, 1, __ATOMIC_SEQ_CST);
	struct event *event = &shared->event[n];

	if (n >= MOST_EVENTS)
		_exit(99);
	event->process = self;
	event->line = line;
	event->slept = -switches();
	return event;
}

static long end(struct event *event, long value)
{
	event->error = value == -1 ? errno : 0;
	event->slept += switches();
	event->value = value;
	event->state = RETURNED;
	return value;
}

/* Makes a call of the scenario, by its line there, and keeps what it returned. */
#define CALL(line, call) ({ struct event *event_ = begin(line); end(event_, (long)(call)); })

/// state_of with fcntl.h stdio.h string.h unistd.h
static char state_of(pid_t pid)
{
	char path[32], text[512] = "", *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	state = strrchr(text, ')');
	return state && state[1] ? state[2] : 0;
}

/// data needs events with string.h
static long end_data(struct event *event, const void *data, long length)
{
	event->length = length < 0 ? 0 : length;
	if (length > 0)
		memcpy(event->data, data, length < 64 ? length : 64);
	return end(event, length);
}

/* The same for a call that brings data. */
#define CALL_DATA(line, data, call) ({ struct event *event_ = begin(line); end_data(event_, data, (long)(call)); })

/// order needs events state_of with sched.h signal.h stdint.h sys/syscall.h
/* The order of the calls: who must wait until it is his turn. */

static long process_number(int place)
{
	return shared->process[place].number;
}

static pid_t pid_with(long number)
{
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		if (process_number(i) == number)
			return shared->process[i].pid;
	return 0;
}

/* Whether a process runs: one that is in a call sleeps there, or has come back and waits for its next turn. */
static int runs(long number)
{
	pid_t pid = pid_with(number);

	return pid && state_of(pid) == 'R';
}

/* Goes past processes that have ended: nobody else says so. */
static void pass_ended(void)
{
	int turn = shared->turn;

	if (turn < TURNS && turns[turn].kind == ENDS) {
		pid_t pid = pid_with(turns[turn].process);
		char state = pid ? state_of(pid) : 0;

		if (!turns[turn].process || (pid && (!state || state == 'Z' || state == 'X')))
			__atomic_compare_exchange_n(&shared->turn, &turn, turn + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

/* Signals that the run takes later are kept back until then; a fault is not. */

static uint64_t mask_before;
static int holding;

static void hold_signals(void)
{
	uint64_t all = ~(1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1));

	if (!holding)
		syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &mask_before, sizeof(all));
	holding = 1;
}

static void let_signals(void)
{
	if (holding) {
		holding = 0;
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask_before, NULL, sizeof(mask_before));
	}
}

/* Whether what comes next in this process is a handler, as far as the order goes. */
static int handler_is_next(void)
{
	for (int i = shared->turn; i < TURNS; i++)
		if (turns[i].process == process_number(self))
			return turns[i].handler;
	return 1;
}

/* Waits until everything before has happened; what the run did not come to waits for all that it did. */
static void take_turn(int line, enum kind kind, const struct event *event)
{
	int turn = shared->turn;

	while (turn < TURNS && (turns[turn].line != line || turns[turn].kind != kind ||
				turns[turn].process != process_number(self)))
		turn++;
	while (!shared->free && shared->turn < turn) {
		if (handler_is_next())
			let_signals();
		else
			hold_signals();
		pass_ended();
		usleep(50);
	}
	if (shared->free || turn == TURNS) {
		let_signals();
		return;
	}
	/* Who has begun a call before is asleep in it by now, or will not sleep. */
	if (turn && turns[turn - 1].kind == BEGINS && turns[turn - 1].process != process_number(self))
		while (!shared->free && runs(turns[turn - 1].process))
			sched_yield();
	if (event)
		shared->event_at[turn] = event - shared->event + 1;
	if (turns[turn].holds)
		hold_signals();
	__atomic_store_n(&shared->turn, turn + 1, __ATOMIC_SEQ_CST);
	if (kind == BEGINS ? !turns[turn].holds : handler_is_next())
		let_signals();
}

#undef CALL
#define CALL(line, call) ({							\
	take_turn(line, BEGINS, NULL);						\
	struct event *event_ = begin(line);					\
	long value_ = end(event_, (long)(call));				\
	take_turn(line, RETURNS, event_);					\
	value_; })
#undef CALL_DATA
#define CALL_DATA(line, data, call) ({						\
	take_turn(line, BEGINS, NULL);						\
	struct event *event_ = begin(line);					\
	long value_ = end_data(event_, data, (long)(call));			\
	take_turn(line, RETURNS, event_);					\
	value_; })

/// room
/* What is read at the most. More than any address space has is left for the kernel to refuse; it touches no memory then. */

static unsigned long fitting(unsigned long size, unsigned long room)
{
	volatile unsigned long asked = size;

	return asked > room && asked < 1UL << 47 ? room : asked;
}

/// numbers needs events with limits.h stdlib.h sys/types.h
/* Process ids of the scenario, and those of the kernel; a negative one is a group. No process has INT_MAX. */

static pid_t real_pid(long number)
{
	if (number == 0 || number == -1)
		return number ? -INT_MAX : 0;
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		if (shared->process[i].pid && shared->process[i].number == labs(number))
			return number < 0 ? -shared->process[i].pid : shared->process[i].pid;
	return number < 0 ? -INT_MAX : INT_MAX;
}

/// number_of needs events with sys/types.h
static long number_of(pid_t pid)
{
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		if (pid && shared->process[i].pid == (pid < 0 ? -pid : pid))
			return pid < 0 ? -shared->process[i].number : shared->process[i].number;
	return pid;
}

/// pid_of needs events with limits.h sys/types.h
static pid_t pid_of(enum program program)
{
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		if (shared->process[i].program == (int)program && shared->process[i].pid)
			return shared->process[i].pid;
	return INT_MAX;
}

/// labels needs events with limits.h linux/futex.h sys/syscall.h unistd.h
/* A label promises that what its setter did before has happened, and nothing about what it does next. */

static int set_label(enum label label, long value)
{
	shared->label[label].value = value;
	__atomic_store_n(&shared->label[label].set, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &shared->label[label].set, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return 0;
}

/// wait_label needs events with errno.h linux/futex.h sys/syscall.h unistd.h
static long wait_label(enum label label)
{
	while (!__atomic_load_n(&shared->label[label].set, __ATOMIC_SEQ_CST))
		if (syscall(SYS_futex, &shared->label[label].set, FUTEX_WAIT, 0, NULL, NULL, 0) && errno != EAGAIN)
			return -1;
	return shared->label[label].value;
}

/// siginfo with signal.h
/* A signal tells of a descriptor only where F_SETSIG asked for it. */
static int descriptor_of(const siginfo_t *info)
{
	int poll = info->si_code > 0 && info->si_code < SI_KERNEL && info->si_signo != SIGCHLD;

	return poll || info->si_code == SI_SIGIO ? info->si_fd : -1;
}

/// handlers needs events siginfo with errno.h signal.h string.h
static int set_handler(int signo, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = flags | SA_SIGINFO;
	return sigaction(signo, &action, NULL);
}

static int handlers;		/* how many are running */

/* What a handler has to put back. */
struct interrupted {
	int error;
	long signo, fd;
};

static struct interrupted enter_handler(int signo, const siginfo_t *info)
{
	struct interrupted before = { errno, v_si_signo, v_si_fd };
	struct event *event = begin(0);

	v_si_signo = signo;
	v_si_fd = descriptor_of(info);
	event->value = signo;
	event->error = v_si_fd;
	event->state = HANDLER;
	handlers++;
	return before;
}

static void leave_handler(struct interrupted before)
{
	/* The main program goes on seeing what the last handler was told. */
	if (--handlers) {
		v_si_signo = before.signo;
		v_si_fd = before.fd;
	}
@LET_SIGNALS@
	errno = before.error;
}

/// set_default with signal.h string.h
static int set_default(int signo, void (*action)(int), int flags)
{
	struct sigaction wanted;

	memset(&wanted, 0, sizeof(wanted));
	wanted.sa_handler = action;
	wanted.sa_flags = flags;
	return sigaction(signo, &wanted, NULL);
}

/// mask with stdint.h sys/syscall.h unistd.h
/* A set of signals, as the kernel has it: the C library keeps 32 and 33 for itself. 0 stands for none. */
static uint64_t set_of(int n, const int *signals)
{
	uint64_t set = 0;

	for (int i = 0; i < n; i++) {
		if (signals[i] > 0 && signals[i] <= 64)
			set |= 1ULL << (signals[i] - 1);
	}
	return set;
}

/// sigprocmask needs mask
static int set_mask(int how, int n, const int *signals)
{
	uint64_t set = set_of(n, signals);

	return syscall(SYS_rt_sigprocmask, how, &set, NULL, sizeof(set));
}

/// sigsuspend needs mask
static int suspend_with(int n, const int *signals)
{
	uint64_t set = set_of(n, signals);

	return syscall(SYS_rt_sigsuspend, &set, sizeof(set));
}

/// seconds with time.h
static struct timespec time_of(double seconds)
{
	return (struct timespec){ (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) };
}

/// sigtimedwait needs seconds siginfo with signal.h stdint.h sys/syscall.h unistd.h
/* Takes a signal that is blocked now; with less than no time, waits for ever. */
static int take_signal(double seconds)
{
	struct timespec time = time_of(seconds < 0 ? 0 : seconds);
	siginfo_t info;
	uint64_t set;
	int signo;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, sizeof(set));
	signo = syscall(SYS_rt_sigtimedwait, &set, &info, seconds < 0 ? NULL : &time, sizeof(set));
	if (signo > 0) {
		v_si_signo = signo;
		v_si_fd = descriptor_of(&info);
	}
	return signo;
}

/// ppoll needs mask seconds
/* With less than no time, for ever. */
static int poll_nothing(double seconds, int n, const int *signals)
{
	struct timespec time = time_of(seconds < 0 ? 0 : seconds);
	uint64_t set = set_of(n, signals);

	return syscall(SYS_ppoll, NULL, 0, seconds < 0 ? NULL : &time, &set, sizeof(set));
}

/// sleep needs seconds
static int sleep_for(double seconds)
{
	struct timespec time = time_of(seconds);

	return nanosleep(&time, NULL);
}

/// waitpid needs numbers number_of with sys/wait.h
static long wait_child(long number, int options)
{
	int status;
	pid_t pid = waitpid(number == -1 ? -1 : real_pid(number), &status, options);

	if (pid > 0) {
		v_wait_status = status;
		for (int i = 0; i < shared->processes; i++)
			if (shared->process[i].pid == pid && !WIFSTOPPED(status) && !WIFCONTINUED(status))
				shared->process[i].status = status;
	}
	return pid > 0 ? number_of(pid) : pid;
}

/// set_owner_ex needs numbers with fcntl.h
static long set_owner_ex(int fd, int type, int pid)
{
	struct f_owner_ex owner = { type, pid };

	return fcntl(fd, F_SETOWN_EX, &owner);
}

/// get_owner_ex needs number_of with fcntl.h
static long get_owner_ex(int fd)
{
	struct f_owner_ex owner;

	if (fcntl(fd, F_GETOWN_EX, &owner))
		return -1;
	v_owner_type = owner.type;
	return number_of(owner.pid);
}

/// pipe with unistd.h
static int make_pipe(void)
{
	int ends[2];

	if (pipe(ends))
		return -1;
	v_pipe_w = ends[1];
	return ends[0];
}

/// stat with sys/stat.h
static long size_of(const char *path)
{
	struct stat about;

	return stat(path, &about) ? -1 : (long)about.st_size;
}

/// clone_range with linux/fs.h sys/ioctl.h
static int clone_range(int fd, int source, long long offset, long long length, long long target)
{
	struct file_clone_range range = { source, offset, length, target };

	return ioctl(fd, FICLONERANGE, &range);
}

/// dedupe with errno.h linux/fs.h sys/ioctl.h
static long long dedupe_range(int fd, long long offset, long long length, int target, long long target_offset)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} all = { .range = { .src_offset = offset, .src_length = length, .dest_count = 1 } };
	struct file_dedupe_range_info *info = all.range.info;

	info->dest_fd = target;
	info->dest_offset = target_offset;
	if (ioctl(fd, FIDEDUPERANGE, &all) < 0)
		return -1;
	if (info->status < 0) {
		errno = -info->status;
		return -1;
	}
	return info->status ? 0 : (long long)info->bytes_deduped;
}

/// copy_range with unistd.h
static long long copy_range(int in, int moves_in, long long from, int out, int moves_out, long long to, size_t length,
			    unsigned int flags)
{
	off_t offset = from, target = to;

	return copy_file_range(in, moves_in ? NULL : &offset, out, moves_out ? NULL : &target, length, flags);
}

/// read_memory with sys/uio.h
static long read_memory(pid_t pid, long address, void *data, size_t length)
{
	struct iovec own = { data, length }, other = { (void *)address, length };

	return process_vm_readv(pid, &own, 1, &other, 1, 0);
}

/// write_memory with sys/uio.h
static long write_memory(pid_t pid, long address, const void *data, size_t length)
{
	struct iovec own = { (void *)data, length }, other = { (void *)address, length };

	return process_vm_writev(pid, &own, 1, &other, 1, 0);
}

/// execve with unistd.h
/* The file holds data, so this cannot succeed. */
static int execute(const char *path)
{
	char *const arguments[] = { (char *)path, NULL };

	return execve(path, arguments, arguments + 1);
}

/// setrlimit with sys/resource.h
static int set_limit(int resource, rlim_t limit)
{
	const struct rlimit both = { limit, limit };

	return setrlimit(resource, &both);
}

/// set_lease_break_time with fcntl.h stdio.h unistd.h
/* This belongs to the machine; main puts it back. */
static int set_lease_break_time(long seconds)
{
	int fd = open("/proc/sys/fs/lease-break-time", O_WRONLY);
	char text[24];
	int done;

	if (fd < 0)
		return -1;
	done = write(fd, text, snprintf(text, sizeof(text), "%ld", seconds));
	close(fd);
	return done < 0 ? -1 : 0;
}

/// memory with errno.h setjmp.h signal.h
static sigjmp_buf fault;
static volatile sig_atomic_t accessing;

/* Copies like a CPU; where that faults and a handler has run, EFAULT. */
static long copy(volatile char *to, const volatile char *from, long length)
{
	if (sigsetjmp(fault, 1)) {
		errno = EFAULT;
		return -1;
	}
	accessing = 1;
	for (long i = 0; i < length; i++)
		to[i] = from[i];
	accessing = 0;
	return length;
}

/// inbox needs events with stddef.h stdio.h string.h sys/socket.h sys/un.h unistd.h
/* Descriptors that processes send each other: each has a socket with its number in the scenario for a name. */

#define INBOX 1000

static socklen_t inbox_name(struct sockaddr_un *address, long number)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "%s/%ld", folder, number);
}

static void open_inbox(void)
{
	struct sockaddr_un address;
	socklen_t length = inbox_name(&address, shared->process[self].number);
	int inbox = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (inbox < 0 || bind(inbox, (struct sockaddr *)&address, length) || dup2(inbox, INBOX) < 0)
		_exit(98);
	close(inbox);
}

/// send_fd needs inbox with errno.h
static int send_fd(long number, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec vector = { &byte, 1 };
	struct sockaddr_un address;
	struct msghdr header = { .msg_name = &address, .msg_namelen = inbox_name(&address, number),
				 .msg_iov = &vector, .msg_iovlen = 1,
				 .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	if (sendmsg(INBOX, &header, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == ECONNREFUSED)
		errno = EPIPE;		/* the process is gone */
	return -1;
}

/// recv_fd needs inbox with errno.h
static int recv_fd(int flags)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec vector = { &byte, 1 };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1,
				 .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights;
	int fd = -1;

	if (recvmsg(INBOX, &header, flags) < 0)
		return -1;
	rights = CMSG_FIRSTHDR(&header);
	if (rights && rights->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(rights), sizeof(int));
	else
		errno = EMFILE;
	return fd;
}

/// exit with unistd.h
static int leave(int status)
{
	_exit(status);
}

/// starting
/* Every process waits here until all have started; a forked one does not. */
static void ready(void)
{
	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
		usleep(10);
}

static int reserve(int program, long number)
{
	int place = __atomic_fetch_add(&shared->processes, 1, __ATOMIC_SEQ_CST);

	if (place >= MOST_PROCESSES)
		_exit(96);
	shared->process[place].program = program;
	shared->process[place].status = -1;
	shared->process[place].number = number;
	return place;
}

static void run_program(int program);

static void start(int program, long number)
{
	int place = reserve(program, number);
	pid_t pid = fork();

	if (!pid) {
		self = place;
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
@OPEN_INBOX@
		run_program(program);
	}
	setpgid(pid, pid);
	shared->process[place].pid = pid;
}

/// fork
/* The child runs a program of its own with copies of all variables, and handlers as they are. */
static long fork_as(enum program program)
{
	int children = 1, place;
	pid_t pid;

	for (int i = 0; i < shared->processes; i++)
		children += shared->process[i].number / 100 == shared->process[self].number;
	place = reserve(program, shared->process[self].number * 100 + children);
	pid = fork();
	if (!pid) {
		self = place;
		shared->process[self].pid = getpid();
@OPEN_INBOX@
		run_program(program);
	}
	if (pid < 0)
		return -1;
	shared->process[place].pid = pid;
	return shared->process[place].number;
}

/// exec
/* A real execve of this file, which goes on with another program; the variables are carried over as arguments. */

static volatile long *const variables[] = {
@VARIABLE_LIST@
};

#define CARRIED ((int)(sizeof(variables) / sizeof(variables[0])))
#define FIRST_CARRIED 5

static long exec_as(enum program program)
{
	char values[CARRIED + 2][24];
	char *arguments[FIRST_CARRIED + CARRIED + 1] = { "race", "--exec", values[CARRIED], values[CARRIED + 1], folder };

	snprintf(values[CARRIED], sizeof(values[0]), "%d", (int)program);
	snprintf(values[CARRIED + 1], sizeof(values[0]), "%d", self);
	for (int i = 0; i < CARRIED; i++) {
		snprintf(values[i], sizeof(values[0]), "%ld", *variables[i]);
		arguments[FIRST_CARRIED + i] = values[i];
	}
	return execv("/proc/self/exe", arguments);
}

/// statements
struct statement {
	int line;
	const char *text, *expected;
	int blocks, hangs, ok, returns, optional;
	long value;
	int error;
	const char *data;
	int length;
};

/// make_file
static void make_file(const char *path, off_t size, mode_t mode, uid_t owner)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || (size && posix_fallocate(fd, 0, size)) || fchmod(fd, mode) || (owner && fchown(fd, owner, -1))) {
		perror(path);
		exit(2);
	}
	close(fd);
}

/// main
/* Running it. */

#define ASLEEP (-2)		/* for a status */
#define STOPPED (-3)		/* likewise: what its last call returns is not seen before SIGCONT */
#define SHARED 999		/* a descriptor that no program is likely to have */

static void run_program(int program)
{
	programs[program].run();
@LEAVE@
	_exit(0);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
	(void)about, (void)kind, (void)place;
	return remove(path);
}
@MAKE_FILE@
static void note_end(pid_t pid, int status)
{
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		if (shared->process[i].pid == pid && shared->process[i].status == -1)
			shared->process[i].status = status;
}

/* Wait until all have ended, or nothing has happened for some seconds: then the rest sleeps for ever. */
static void watch(double patience)
{
	int events = -1, status;
	double idle = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0) {
		if (pid) {
			note_end(pid, status);
		} else if (idle < patience) {
			usleep(1000);
			idle = events == shared->events@MOVED@ ? idle + 0.001 : 0;
			events = shared->events@MOVED@;
@PASS@
		} else {
@GIVE_UP@
			break;
		}
	}
}

/* Whose parent is killed becomes ours, and so does what its end was. */
static void end_all(void)
{
	int status;
	pid_t pid;

	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++) {
		char state = state_of(shared->process[i].pid);

		if (shared->process[i].status != -1 || shared->process[i].pid <= 0 || state == 'Z')
			continue;
		shared->process[i].status = state == 'T' ? STOPPED : ASLEEP;
		kill(shared->process[i].pid, SIGKILL);
	}
	while ((pid = waitpid(-1, &status, 0)) > 0)
		note_end(pid, status);
}

static const struct statement *statement_at(int line)
{
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (statements[i].line == line)
			return &statements[i];
	return NULL;
}

static int is_met(const struct statement *wanted, const struct event *event)
{
	int returned = event->state == RETURNED;

	if (wanted->hangs && returned)
		return 0;
	if (wanted->blocks && returned && event->slept <= 0)
		return 0;
	if (wanted->ok && (!returned || event->error))
		return 0;
	if (wanted->returns && (!returned || event->value != wanted->value || (event->error && wanted->value != -1)))
		return 0;
	if (wanted->error && (!returned || event->error != wanted->error))
		return 0;
	if (wanted->data && (!returned || event->length != wanted->length ||
			     memcmp(event->data, wanted->data, event->length < 64 ? event->length : 64)))
		return 0;
	return 1;
}

/* Whether it is known if a call does as expected: of one that a signal cut off, only that it never returned. */
static int is_decided(const struct statement *wanted, const struct event *event)
{
	int only_never = (wanted->blocks || wanted->hangs) && !wanted->ok && !wanted->returns && !wanted->error && !wanted->data;
	int status = shared->process[event->process].status;

	if (status == STOPPED)
		return event->state == RETURNED;
	return event->state == RETURNED || status == ASLEEP || !WIFSIGNALED(status) || only_never;
}

static void print_event(const struct event *event)
{
	const struct statement *made = statement_at(event->line);

	printf("%-12s ", programs[shared->process[event->process].program].name);
	if (event->state == HANDLER) {
		printf("     %s, si_fd %d\n", strsignal(event->value), event->error);
		return;
	}
	printf("%4d %s", event->line, made ? made->text : "");
	if (event->state == BEGUN)
		printf(" never returns\n");
	else if (event->error)
		printf(" = -1 (%s)%s\n", strerror(event->error), event->slept > 0 ? ", slept" : "");
	else
		printf(" = %ld%s\n", event->value, event->slept > 0 ? ", slept" : "");
}

static void print_end(int place)
{
	int status = shared->process[place].status;

	if (!shared->process[place].pid)
		return;
	printf("%-12s ", programs[shared->process[place].program].name);
	if (status == ASLEEP)
		printf("sleeps for ever\n");
	else if (status == STOPPED)
		printf("is stopped\n");
	else if (WIFSIGNALED(status))
		printf("is killed: %s\n", strsignal(WTERMSIG(status)));
	else
		printf("exits with %d\n", WEXITSTATUS(status));
}

static int judge(void)
{
	int events = shared->events < MOST_EVENTS ? shared->events : MOST_EVENTS;
	int expected = 0, unmet = 0, unreached = 0;

	for (int i = 0; i < events; i++)
		print_event(&shared->event[i]);
	for (int i = 0; i < shared->processes && i < MOST_PROCESSES; i++)
		print_end(i);
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		int reached = 0;

		if (!statements[i].expected)
			continue;
		expected++;
		for (int j = 0; j < events; j++) {
			if (shared->event[j].line != statements[i].line || shared->event[j].state == HANDLER)
				continue;
			if (!is_decided(&statements[i], &shared->event[j]))
				continue;
			reached = 1;
			if (!is_met(&statements[i], &shared->event[j])) {
				printf("line %d: expected %s: ", statements[i].line, statements[i].expected);
				print_event(&shared->event[j]);
				unmet++;
			}
		}
		if (!reached && !statements[i].optional) {
			printf("line %d was not reached: %s\n", statements[i].line, statements[i].text);
			unreached++;
		}
	}
@IN_ORDER@
	if (!expected)
		printf("nothing was expected\n");
	else
		printf("%s\n", unmet ? "not as expected" : unreached ? "not played to its end" : "as expected");
	return unmet ? 1 : unreached ? 3 : 0;
}

int main(int argc, char **argv)
{
@BREAK_TIME@
	double patience = @PATIENCE@;
	int fd, verdict, starting = 0;
@EXECUTED@
@BROKEN@
	if (argc > 1)
		patience = atof(argv[1]);
	if (!mkdtemp(folder) || chdir(folder)) {
		perror(folder);
		return 2;
	}
	umask(0);
	signal(SIGPIPE, SIG_IGN);
@FILES@
	fd = memfd_create("race", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)) || dup2(fd, SHARED) < 0) {
		perror("shared memory");
		return 2;
	}
	close(fd);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
	if (shared == MAP_FAILED) {
		perror("shared memory");
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (programs[i].starts)
			start(i, FIRST_NUMBER + starting++);
	shared->go = 1;
	watch(patience);
	end_all();
	verdict = judge();
	if (!chdir("/"))
		nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return verdict;
}

/// turns
	int turn;		/* how many turns are over */
	int free;		/* the order could not be kept: all go on as they like */
	int stuck;		/* which turn did not come, and 1 */
	int event_at[TURNS];	/* the events of calls that returned in their turns, and 1 */

/// give_up
			if (!shared->free && shared->turn < TURNS) {
				shared->stuck = shared->turn + 1;
				shared->free = 1;
				idle = 0;
				continue;
			}

/// in_order
	for (int i = 0; i < TURNS; i++) {
		const struct event *event = &shared->event[shared->event_at[i] - 1];

		if (shared->event_at[i] && turns[i].error != event->error) {
			printf("the run had %s: ", turns[i].error ? strerror(turns[i].error) : "success");
			print_event(event);
		}
	}
	if (shared->stuck) {
		const struct turn *turn = &turns[shared->stuck - 1];
		const struct statement *made = statement_at(turn->line);

		printf("not in the order of the run: waited for the %s of %s\n",
		       turn->kind == BEGINS ? "beginning" : turn->kind == RETURNS ? "return" : "end",
		       made ? made->text : "a process");
		unreached++;
	} else {
		printf("in the order of the run\n");
	}

/// executed
	if (argc == FIRST_CARRIED + CARRIED && !strcmp(argv[1], "--exec")) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
		if (shared == MAP_FAILED)
			return 95;
		for (int i = 0; i < CARRIED; i++)
			*variables[i] = atol(argv[FIRST_CARRIED + i]);
		self = atoi(argv[3]);
		snprintf(folder, sizeof(folder), "%s", argv[4]);
		run_program(atoi(argv[2]));
	}

/// broken
	fd = open("/proc/sys/fs/lease-break-time", O_RDONLY);
	if (fd >= 0) {
		if (read(fd, break_time, sizeof(break_time) - 1) < 0)
			break_time[0] = 0;
		close(fd);
	}
	patience += atof(break_time) + 1;
