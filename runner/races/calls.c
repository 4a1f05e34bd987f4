// SPDX-License-Identifier: Apache-2.0
/*
 * The calls that a scenario may make: how each becomes a system call, and what the scenario gets of what comes back.
 *
 * A call is one system call, so that it is one step for whoever looks. What the scenario names in its own numbers
 * (processes, labels) is translated before, and back when somebody asks for the value.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

/* Time stands still in a run: whatever has a timeout has a very long one. */
#define FOR_EVER ((time_t)1 << 30)

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

const struct call_kind constant_kind = { .name = "a constant" };

/* Values. */

static int32_t to_int(int64_t value)
{
	return (int32_t)value;		/* as the kernel casts arguments */
}

static pid_t real_pid(int64_t number)
{
	for (int slot = 0; slot < process_count(); slot++)
		if (run->process[slot].pid && run->process[slot].number == number)
			return run->process[slot].pid;
	return NOBODY;
}

static int64_t number_of(pid_t pid)
{
	for (int slot = process_count(); slot--; )
		if (run->process[slot].pid == pid)
			return run->process[slot].number;
	return pid;
}

/* A process or, below zero, a group; 0 and -1 mean the same to the kernel and to a scenario. */
static pid_t real_target(int32_t number)
{
	if (number == INT32_MIN || number == 0 || number == -1)
		return number;
	return number > 0 ? real_pid(number) : -real_pid(-number);
}

static int descriptor_in(const struct record *record)
{
	struct msghdr header = { .msg_control = (void *)record->out.control,
				 .msg_controllen = sizeof(record->out.control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	int fd = -1;

	if (rights && rights->cmsg_len == CMSG_LEN(sizeof(int)) && rights->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
	return fd;
}

static int64_t zero(const struct record *record)
{
	(void)record;
	return 0;
}

static int64_t extra(const struct record *record)
{
	return record->extra;
}

static int64_t first_of_pair(const struct record *record)
{
	return record->out.pair[0];
}

static int64_t size(const struct record *record)
{
	return record->out.stat.st_size;
}

static int64_t received(const struct record *record)
{
	return descriptor_in(record);
}

static int64_t process_number(const struct record *record)
{
	return record->raw ? number_of(record->raw) : 0;
}

static int64_t fcntl_value(const struct record *record)
{
	int64_t number;

	if (record->extra != F_GETOWN)
		return record->raw;
	number = record->out.owner.pid ? number_of(record->out.owner.pid) : 0;
	return record->out.owner.type == F_OWNER_PGRP ? -number : number;
}

/* siginfo has a descriptor only if the signal is about one. */
int si_fd_of(const siginfo_t *info)
{
	/* SIGCHLD's own codes are the numbers of POLL_IN and its like: for a descriptor it has SI_SIGIO. */
	bool poll = info->si_code > 0 && info->si_code != SI_KERNEL && info->si_signo != SIGCHLD;

	return poll || info->si_code == SI_SIGIO ? info->si_fd : -1;
}

/* Before the calls: arguments. */

static void set(struct frame *frame, long number, long a, long b, long c, long d, long e)
{
	frame->call.number = number;
	frame->call.argument[0] = a;
	frame->call.argument[1] = b;
	frame->call.argument[2] = c;
	frame->call.argument[3] = d;
	frame->call.argument[4] = e;
	frame->call.argument[5] = 0;
}

static long descriptor(int64_t value)
{
	return to_int(value) == INBOX ? INBOX + 1 : value;
}

/*
 * The letters: c the current folder, p a path, d a descriptor, i a number, m an optional mode, n an optional number,
 * x the mode of a folder, o where the record keeps what comes back, z zero.
 */
static int prepare_simply(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	long argument[6] = { 0 };
	int i = 0, n = 0;

	for (const char *letter = in->kind->form; *letter; letter++, n++) {
		bool given = i < in->arguments && in->argument[i].kind != NONE;

		switch (*letter) {
		case 'c': argument[n] = AT_FDCWD; break;
		case 'p':
			if (!given || in->argument[i].kind != TEXT)
				return EINVAL;
			argument[n] = (long)in->argument[i++].text;
			break;
		case 'd': argument[n] = descriptor(value[i++]); break;
		case 'i': argument[n] = value[i++]; break;
		case 'm': argument[n] = given ? value[i++] : 0666; break;
		case 'n': argument[n] = given ? value[i++] : 0; break;
		case 'x': argument[n] = 0777; break;
		case 'o': argument[n] = (long)&frame->record->out; break;
		}
	}
	frame->call.number = in->kind->number;
	memcpy(frame->call.argument, argument, sizeof(argument));
	return 0;
}

#ifndef SYS_dup2
static int prepare_dup2(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)in;
	if (to_int(value[0]) == to_int(value[1]))
		set(frame, SYS_fcntl, descriptor(value[0]), F_GETFD, 0, 0, 0);
	else
		set(frame, SYS_dup3, descriptor(value[0]), descriptor(value[1]), 0, 0, 0);
	frame->record->extra = value[1];
	return 0;
}
#endif

static int prepare_read(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	/* To the kernel a negative count is a very large one. */
	int64_t count = value[1] < 0 || value[1] > MOST_BYTES ? MOST_BYTES : value[1];
	int at = __atomic_fetch_add(&run->data_used, count, __ATOMIC_RELAXED);

	(void)in;
	if (at > MOST_DATA - MOST_BYTES)
		void_run("more data than a run may read");
	frame->record->extra = at;
	set(frame, SYS_read, descriptor(value[0]), (long)(run->data + at), count, 0, 0);
	return 0;
}

static int prepare_write(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	const struct argument *data = &in->argument[1];
	const struct record *record;
	const char *bytes;

	if (data->kind == TEXT) {
		set(frame, SYS_write, descriptor(value[0]), (long)data->text, data->length, 0, 0);
		return 0;
	}
	record = data->length == 1 && data->tokens[0].kind == VARIABLE ? variable[data->tokens[0].value] : NULL;
	bytes = record ? bytes_of(record) : NULL;
	if (!bytes)
		return EINVAL;
	set(frame, SYS_write, descriptor(value[0]), (long)bytes, record->raw, 0, 0);
	return 0;
}

static int prepare_execve(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)value;
	if (in->argument[0].kind != TEXT)
		return EINVAL;
	frame->scratch.arguments[0] = in->argument[0].text;
	frame->scratch.arguments[1] = NULL;
	set(frame, SYS_execve, (long)in->argument[0].text, (long)frame->scratch.arguments,
	    (long)&frame->scratch.arguments[1], 0, 0);
	return 0;
}

static int prepare_fcntl(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	int command = to_int(value[1]);
	int64_t argument = in->arguments > 2 && in->argument[2].kind != NONE ? value[2] : 0;

	frame->record->extra = command;
	switch (command) {
	case F_SETOWN:
		argument = real_target(to_int(argument) == -1 ? -NOBODY : to_int(argument));
		break;
	case F_GETOWN:
		/* F_GETOWN itself returns a group as a number that looks like an errno. */
		set(frame, SYS_fcntl, descriptor(value[0]), F_GETOWN_EX, (long)&frame->record->out, 0, 0);
		return 0;
	case F_SETLEASE: case F_GETLEASE: case F_SETSIG: case F_GETSIG:
		break;
	default:
		void_run("a command of fcntl that is not offered");
	}
	set(frame, SYS_fcntl, descriptor(value[0]), command, argument, 0, 0);
	return 0;
}

/* The address of a process's inbox; of none, one that nobody has. */
int inbox_address(struct sockaddr_un *address, int slot)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	/* An abstract name: it goes with its socket. */
	length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "longpin-races/%s/%d/%d",
			  scenario.nonce, run->number, slot);
	return offsetof(struct sockaddr_un, sun_path) + 1 + length;
}

/* The slot of the process that an argument names; -1 if there is none. */
static int find_process(const struct argument *argument, int64_t number)
{
	for (int slot = 0; slot < process_count(); slot++) {
		const struct process *process = &run->process[slot];

		if (!process->pid || process->gone)
			continue;
		if (argument->kind == PROCESS ? process->image == argument->image && process->nth == 1
					      : process->number == number)
			return slot;
	}
	return -1;
}

static int prepare_send_fd(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	int fd = descriptor(value[1]);
	struct msghdr *header = &frame->scratch.message.header;
	struct cmsghdr *rights;

	memset(&frame->scratch, 0, sizeof(frame->scratch));
	header->msg_name = &frame->scratch.message.address;
	header->msg_namelen = inbox_address(&frame->scratch.message.address, find_process(&in->argument[0], value[0]));
	frame->scratch.message.vector.iov_base = &frame->scratch.message.byte;
	frame->scratch.message.vector.iov_len = 1;
	header->msg_iov = &frame->scratch.message.vector;
	header->msg_iovlen = 1;
	header->msg_control = frame->scratch.message.control;
	header->msg_controllen = sizeof(frame->scratch.message.control);
	rights = CMSG_FIRSTHDR(header);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	set(frame, SYS_sendmsg, INBOX, (long)header, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
	return 0;
}

static int prepare_recv_fd(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	struct msghdr *header = &frame->scratch.message.header;

	memset(&frame->scratch, 0, sizeof(frame->scratch));
	frame->scratch.message.vector.iov_base = &frame->scratch.message.byte;
	frame->scratch.message.vector.iov_len = 1;
	header->msg_iov = &frame->scratch.message.vector;
	header->msg_iovlen = 1;
	header->msg_control = frame->record->out.control;
	header->msg_controllen = sizeof(frame->record->out.control);
	set(frame, SYS_recvmsg, INBOX, (long)header, in->arguments && value[0] & MSG_DONTWAIT ? MSG_DONTWAIT : 0, 0, 0);
	return 0;
}

static int prepare_exit(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	int status = in->arguments && in->argument[0].kind != NONE ? to_int(value[0]) : 0;

	me->leaving = 1 + (status & 0xff);
	set(frame, SYS_exit_group, status, 0, 0, 0, 0);
	return 0;
}

static int prepare_kill(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	pid_t target;

	if (in->argument[0].kind == PROCESS) {
		int slot = find_process(&in->argument[0], 0);

		target = slot < 0 ? NOBODY : run->process[slot].pid;
	} else {
		target = real_target(to_int(value[0]));
	}
	if (target == -1)
		void_run("kill(-1, ...), which would reach every process of the machine");
	set(frame, SYS_kill, target, value[1], 0, 0, 0);
	return 0;
}

static int prepare_waitpid(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	long options = in->arguments > 1 && in->argument[1].kind != NONE ? value[1] : 0;

	set(frame, SYS_wait4, real_target(to_int(value[0])), (long)frame->record->out.pair, options, 0, 0);
	return 0;
}

/* A set of signals; 0 stands for none. */
static bool mask_of(const struct instruction *in, int first, const int64_t *value, uint64_t *mask)
{
	*mask = 0;
	for (int i = first; i < in->arguments; i++) {
		if (value[i] < 0 || value[i] > LAST_SIGNAL)
			return false;
		if (value[i])
			*mask |= 1ULL << (value[i] - 1);
	}
	return true;
}

void fill_action(struct kernel_action *action, void *handler, unsigned long flags)
{
	action->handler = handler;
	action->flags = flags | SA_SIGINFO | SA_RESTORER;
	action->restorer = restore_context;
	action->mask = 0;
}

static int prepare_sigaction(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	/* A scenario's names for SIG_DFL, SIG_IGN and its own handler. */
	static void *const handlers[] = { SIG_DFL, SIG_IGN, handler_entry };
	unsigned long flags = in->arguments > 2 && in->argument[2].kind != NONE ? value[2] : 0;

	if (value[1] < 0 || value[1] > 2 ||
	    (value[1] == 2 && (value[0] < 1 || value[0] > LAST_SIGNAL || handler_program[value[0]] < 0)))
		return EINVAL;
	if (flags & ~(SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT | SA_NODEFER))
		void_run("a flag of sigaction that is not offered");
	fill_action(&frame->scratch.action, handlers[value[1]], flags);
	set(frame, SYS_rt_sigaction, value[0], (long)&frame->scratch.action, 0, SIGNALS_SIZE, 0);
	return 0;
}

static int prepare_sigprocmask(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	if (!mask_of(in, 1, value, &frame->scratch.mask))
		return EINVAL;
	set(frame, SYS_rt_sigprocmask, value[0], (long)&frame->scratch.mask, 0, SIGNALS_SIZE, 0);
	return 0;
}

static int prepare_sigsuspend(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	if (!mask_of(in, 0, value, &frame->scratch.mask))
		return EINVAL;
	set(frame, SYS_rt_sigsuspend, (long)&frame->scratch.mask, SIGNALS_SIZE, 0, 0, 0);
	return 0;
}

/* Seconds of a scenario: none, some, or too few, which the kernel has to refuse. */
static void fill_time(struct timespec *time, int64_t seconds)
{
	time->tv_sec = seconds > 0 ? FOR_EVER : seconds < 0 ? -1 : 0;
	time->tv_nsec = 0;
}

/* Takes one of the signals that are blocked now. */
static int wait_for_blocked(struct frame *frame, const struct timespec *time)
{
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &frame->scratch.timed.mask, SIGNALS_SIZE);
	set(frame, SYS_rt_sigtimedwait, (long)&frame->scratch.timed.mask, (long)&frame->record->out.info, (long)time,
	    SIGNALS_SIZE, 0);
	return 0;
}

static int prepare_sigtimedwait(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	fill_time(&frame->scratch.timed.time, in->arguments && in->argument[0].kind != NONE ? value[0] : 0);
	return wait_for_blocked(frame, &frame->scratch.timed.time);
}

static int prepare_sigwaitinfo(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)in, (void)value;
	return wait_for_blocked(frame, NULL);
}

static int prepare_ppoll(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	bool timed = in->arguments && in->argument[0].kind != NONE;

	if (!mask_of(in, 1, value, &frame->scratch.timed.mask))
		return EINVAL;
	fill_time(&frame->scratch.timed.time, timed ? value[0] : 0);
	set(frame, SYS_ppoll, 0, 0, timed ? (long)&frame->scratch.timed.time : 0, (long)&frame->scratch.timed.mask,
	    SIGNALS_SIZE);
	return 0;
}

static int prepare_pause(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)in, (void)value;
#ifdef SYS_pause
	set(frame, SYS_pause, 0, 0, 0, 0, 0);
#else
	set(frame, SYS_ppoll, 0, 0, 0, 0, 0);
#endif
	return 0;
}

static int prepare_sleep(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)in;
	/* The kernel sleeps for some 50 microseconds even if it is to sleep for none, and that would look like rest. */
	if (!value[0]) {
		set(frame, SYS_sched_yield, 0, 0, 0, 0, 0);
		return 0;
	}
	fill_time(&frame->scratch.timed.time, value[0]);
	set(frame, SYS_nanosleep, (long)&frame->scratch.timed.time, 0, 0, 0, 0);
	return 0;
}

static int prepare_setrlimit(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	struct rlimit *limit = &frame->scratch.limit;
	int resource = to_int(value[0]);

	(void)in;
	if (resource != RLIMIT_SIGPENDING && resource != RLIMIT_NOFILE && resource != RLIMIT_MEMLOCK)
		void_run("a resource of setrlimit that is not offered");
	/* The hard limit stays: a forked process has to raise the soft one for a moment. */
	syscall(SYS_prlimit64, 0, resource, NULL, limit);
	limit->rlim_cur = value[1];
	if (limit->rlim_max < limit->rlim_cur)
		limit->rlim_max = limit->rlim_cur;
	set(frame, SYS_prlimit64, 0, resource, (long)limit, 0, 0);
	return 0;
}

static uint32_t *label(const int64_t value)
{
	if (value < 0 || value >= MOST_LABELS)
		void_run("a label without a number");
	return &run->label[value];
}

/* Sets the label and wakes who waits for it in one system call. */
static int prepare_label(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	uint32_t *word = label(value[0]);
	int post = __atomic_fetch_add(&run->posts, 1, __ATOMIC_SEQ_CST);

	if (post >= MOST_POSTS)
		void_run("more labels than a run may set");
	run->post[post] = in->arguments > 1 && in->argument[1].kind != NONE ? value[1] : 0;
	set(frame, SYS_futex, (long)word, FUTEX_WAKE_OP, INT_MAX, 0, (long)word);
	frame->call.argument[5] = FUTEX_OP(FUTEX_OP_SET, (post + 1), FUTEX_OP_CMP_EQ, 0);
	return 0;
}

/* One wait: whoever is woken finds the label set, and if it is set already the kernel says EAGAIN. */
static int prepare_wait_for(struct frame *frame, const struct instruction *in, const int64_t *value)
{
	(void)in;
	frame->record->extra = NEVER;
	set(frame, SYS_futex, (long)label(value[0]), FUTEX_WAIT, 0, 0, 0);
	return 0;
}

#define SYSTEM_CALL(NAME, NUMBER, FORM) \
	{ .name = NAME, .prepare = prepare_simply, .number = NUMBER, .form = FORM }
#define PREPARED(NAME, LEAST) { .name = #NAME, .prepare = prepare_##NAME, .least = LEAST }

static const struct call_kind kinds[] = {
	SYSTEM_CALL("open", SYS_openat, "cpim"),
	SYSTEM_CALL("close", SYS_close, "d"),
	SYSTEM_CALL("dup", SYS_dup, "d"),
#ifdef SYS_dup2
	SYSTEM_CALL("dup2", SYS_dup2, "dd"),
#else
	{ .name = "dup2", .prepare = prepare_dup2, .least = 2, .value = extra },
#endif
	PREPARED(read, 2),
	{ .name = "write", .prepare = prepare_write, .least = 2, .bytes = true },
	SYSTEM_CALL("lseek", SYS_lseek, "diz"),
	SYSTEM_CALL("ftruncate", SYS_ftruncate, "di"),
	SYSTEM_CALL("truncate", SYS_truncate, "pi"),
	SYSTEM_CALL("unlink", SYS_unlinkat, "cpz"),
	SYSTEM_CALL("link", SYS_linkat, "cpcpz"),
	SYSTEM_CALL("rename", SYS_renameat2, "cpcpz"),
	SYSTEM_CALL("mkdir", SYS_mkdirat, "cpx"),
	SYSTEM_CALL("chmod", SYS_fchmodat, "cpi"),
	SYSTEM_CALL("utimes", SYS_utimensat, "cpzz"),
	{ .name = "stat", .prepare = prepare_simply, .number = SYS_newfstatat, .form = "cpoz", .value = size },
	SYSTEM_CALL("access", SYS_faccessat, "cpn"),
	SYSTEM_CALL("fallocate", SYS_fallocate, "diii"),
	SYSTEM_CALL("fsync", SYS_fsync, "d"),
	SYSTEM_CALL("flock", SYS_flock, "di"),
	{ .name = "pipe", .prepare = prepare_simply, .number = SYS_pipe2, .form = "oz", .value = first_of_pair },
	PREPARED(execve, 1),
	{ .name = "fcntl", .prepare = prepare_fcntl, .least = 2, .value = fcntl_value },
	{ .name = "send_fd", .prepare = prepare_send_fd, .least = 2, .value = zero, .passes_files = true },
	{ .name = "recv_fd", .prepare = prepare_recv_fd, .least = 0, .value = received, .passes_files = true },
	{ .name = "fork", .forks = true, .least = 1, .value = extra },
	PREPARED(exit, 0),
	PREPARED(kill, 2),
	{ .name = "waitpid", .prepare = prepare_waitpid, .least = 1, .value = process_number },
	{ .name = "getpid", .prepare = prepare_simply, .number = SYS_getpid, .form = "", .value = process_number },
	PREPARED(setrlimit, 2),
	PREPARED(sigaction, 2),
	PREPARED(sigprocmask, 1),
	PREPARED(sigsuspend, 0),
	PREPARED(sigtimedwait, 0),
	PREPARED(sigwaitinfo, 0),
	PREPARED(ppoll, 0),
	PREPARED(pause, 0),
	PREPARED(sleep, 1),
	{ .name = "label", .prepare = prepare_label, .least = 1, .value = zero },
	{ .name = "wait_for", .prepare = prepare_wait_for, .least = 1, .value = extra },
};

const struct call_kind *find_call(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

bool passes_files(const struct call_kind *kind)
{
	return kind->passes_files;
}

bool takes_bytes(const struct call_kind *kind)
{
	return kind->bytes;
}

/* The number of arguments that must be there. */
int arguments_of(const struct call_kind *kind)
{
	int letters = 0;

	for (const char *letter = kind->form; letter && *letter; letter++)
		letters += *letter == 'p' || *letter == 'd' || *letter == 'i';
	return kind->form ? letters : kind->least;
}

bool is_kind(const struct record *record, const char *name)
{
	return !strcmp(record->kind->name, name);
}

/* What came of a call that has returned. */

int errno_of(const struct record *record)
{
	int64_t raw = record->raw;
	bool failed = raw < 0 && raw >= -4095;

	if (is_kind(record, "wait_for"))
		return raw == -EINTR ? EINTR : 0;
	if (is_kind(record, "send_fd") && raw == -ECONNREFUSED)
		return EPIPE;		/* nobody has the name any more */
	if (is_kind(record, "recv_fd") && !failed && descriptor_in(record) < 0)
		return EMFILE;		/* the kernel has dropped it */
	return failed ? -raw : 0;
}

int64_t value_of(const struct record *record)
{
	return record->kind->value ? record->kind->value(record) : record->raw;
}

/* What a read has read; NULL of other calls, and of one that failed. */
const char *bytes_of(const struct record *record)
{
	return is_kind(record, "read") && !errno_of(record) ? run->data + record->extra : NULL;
}

/* The status that a waitpid was told; NULL of other calls, and of one that was told none. */
const int *wait_status_of(const struct record *record)
{
	return is_kind(record, "waitpid") && record->raw > 0 ? &record->out.pair[0] : NULL;
}
