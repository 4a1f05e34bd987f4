// SPDX-License-Identifier: Apache-2.0
/*
 * A process of a scenario: it makes the calls of its program one after the other, and those of its handlers when a
 * signal comes, as any process does. It waits for others in system calls of the program only.
 *
 * Handlers interrupt everything, each other and the lines below too. So what a handler shares with what it interrupts
 * is changed by single stores, in an order that is good at every point; finish_call may be done twice; and of the C
 * library only what is a system call or less is used.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "entry.h"
#include "process.h"

_Static_assert(offsetof(struct call, number) == CALL_NUMBER && offsetof(struct call, argument) == CALL_ARGS &&
	       offsetof(struct call, raw) == CALL_RAW && offsetof(struct call, again) == CALL_AGAIN &&
	       offsetof(struct frame, call) == 0, "entry.h");

#if defined(__x86_64__)
#define IP(context) ((context)->uc_mcontext.gregs[REG_RIP])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#define THIRD(context) ((context)->uc_mcontext.gregs[REG_RDX])
/* make_call clears rcx, the system call instruction sets it, and making the call again leaves it. */
#define WAS_ENTERED(context) ((context)->uc_mcontext.gregs[REG_RCX] != 0)
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == UC_IP &&
	       offsetof(ucontext_t, uc_mcontext.gregs[REG_RAX]) == UC_RESULT, "entry.h");
#elif defined(__aarch64__)
#define IP(context) ((context)->uc_mcontext.pc)
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#define THIRD(context) ((context)->uc_mcontext.regs[2])
#define WAS_ENTERED(context) true	/* no register tells */
_Static_assert(offsetof(ucontext_t, uc_mcontext.pc) == UC_IP &&
	       offsetof(ucontext_t, uc_mcontext.regs[0]) == UC_RESULT, "entry.h");
#endif

extern HIDDEN struct frame *volatile current_frame;
HIDDEN void on_signal(int signo, siginfo_t *info, ucontext_t *context);

/* The state of this process; a forked one goes on with a copy. */
struct process *me;
struct frame *volatile current_frame;
struct record *volatile variable[MOST_VARIABLES];
int handler_program[LAST_SIGNAL + 1];	/* -1: none */
static uint64_t random_state;

static const struct call_kind taken_kind = { .name = "a signal" };

#define order_stores() __atomic_signal_fence(__ATOMIC_SEQ_CST)

int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* End the run: the program wants what is not done here. */
_Noreturn void void_run(const char *reason)
{
	__atomic_store_n(&run->voided, reason, __ATOMIC_SEQ_CST);
	for (;;)
		syscall(SYS_exit_group, 1);
}

/* Variables. */

static int64_t variable_value(int number, const struct record *record)
{
	switch (number) {
	case SI_SIGNO:		return record->raw;
	case SI_FD:		return record->extra;
	case PIPE_W:		return record->out.pair[1];
	case WAIT_STATUS:	return record->out.pair[0];
	default:		return errno_of(record) ? -1 : value_of(record);
	}
}

/* False: it is no number, since a variable holds bytes. */
static bool evaluate(const struct argument *argument, int64_t *value)
{
	uint64_t stack[DEEPEST_EXPRESSION];	/* unsigned: registers wrap around */
	int n = 0;

	for (int i = 0; i < argument->length; i++) {
		const struct token *token = &argument->tokens[i];
		const struct record *record;

		switch (token->kind) {
		case CONSTANT:
			stack[n++] = token->value;
			break;
		case VARIABLE:
			record = variable[token->value];
			if (record && bytes_of(record))
				return false;
			stack[n++] = record ? variable_value(token->value, record) : -1;
			break;
		case OR:	n--; stack[n - 1] |= stack[n]; break;
		case TIMES:	n--; stack[n - 1] *= stack[n]; break;
		case PLUS:	n--; stack[n - 1] += stack[n]; break;
		case MINUS:	n--; stack[n - 1] -= stack[n]; break;
		}
	}
	*value = stack[0];
	return true;
}

static bool evaluate_all(const struct instruction *in, int64_t *value)
{
	for (int i = 0; i < in->arguments; i++) {
		value[i] = 0;
		if (in->argument[i].kind == NUMBER && !(in->kind->bytes && i == 1) &&
		    !evaluate(&in->argument[i], &value[i]))
			return false;
	}
	return true;
}

/* Calls. */

static const struct program *program_of(const struct frame *frame)
{
	return &scenario.program[frame->program];
}

static int assign(struct assignment *list, int n, int number, struct record *to)
{
	int i = 0;

	while (i < n && list[i].variable != number)
		i++;
	list[i] = (struct assignment){ number, to };
	return i < n ? n : n + 1;
}

/* What variables become when the call of a frame has returned. */
static int assignments(const struct frame *frame, struct record *record, struct assignment *list)
{
	const struct instruction *in = &program_of(frame)->code[frame->pc];
	int n = 0;

	if (in->target >= 0)
		n = assign(list, n, in->target, record);
	if (wait_status_of(record))
		n = assign(list, n, WAIT_STATUS, record);
	if (is_kind(record, "pipe") && !errno_of(record))
		n = assign(list, n, PIPE_W, record);
	if ((is_kind(record, "sigtimedwait") || is_kind(record, "sigwaitinfo")) && !errno_of(record)) {
		record->extra = si_fd_of(&record->out.info);
		n = assign(list, n, SI_SIGNO, record);
		n = assign(list, n, SI_FD, record);
	}
	if (frame->pc + 1 < program_of(frame)->length)
		for (int i = 0; i < in[1].constants; i++)
			n = assign(list, n, in[1].constant[i].variable, in[1].constant[i].to);
	return n;
}

/*
 * Store what a call returned, if it has returned. A handler does this for the frame it interrupts, at whatever line
 * below, before it goes on. So a variable is set only if it is still what it was when the call was seen unfinished:
 * otherwise a handler has finished the call, and perhaps assigned to the variable since.
 */
static void finish_call(struct frame *frame)
{
	struct assignment list[MOST_CONSTANTS + 4];
	struct record *before[MOST_CONSTANTS + 4];
	struct record *record = frame->record;
	int64_t unset = NEVER;
	int n;

	if (frame->finished || frame->call.raw == NEVER)
		return;
	if (is_kind(record, "wait_for") && frame->call.raw != -EINTR) {
		uint32_t post = __atomic_load_n((uint32_t *)frame->call.argument[0], __ATOMIC_SEQ_CST);

		if (!post)
			void_run("a process was woken for a label that is not set");
		__atomic_compare_exchange_n(&record->extra, &unset, run->post[post - 1], false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	}
	record->raw = frame->call.raw;
	n = assignments(frame, record, list);
	for (int i = 0; i < n; i++)
		before[i] = variable[list[i].variable];
	order_stores();
	if (frame->finished)
		return;
	record->ended = now();
	for (int i = 0; i < n; i++)
		__atomic_compare_exchange_n(&variable[list[i].variable], &before[i], list[i].to, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	order_stores();
	frame->finished = true;
}

static struct record *begin_record(const struct frame *frame)
{
	int n = __atomic_fetch_add(&me->records, 1, __ATOMIC_SEQ_CST);
	struct record *record;

	if (n >= MOST_RECORDS)
		void_run("more calls than a process may make");
	record = &me->record[n];
	record->kind = program_of(frame)->code[frame->pc].kind;
	record->invocation = frame->invocation;
	record->pc = frame->pc;
	record->raw = NEVER;
	record->begun = record->ended = 0;
	return record;
}

/* Note that the call begins; if a handler comes before the system call is made, it begins after the handler's. */
static void note_beginning(struct record *record)
{
	record->order = __atomic_add_fetch(&me->order, 1, __ATOMIC_SEQ_CST);
	record->begun = now();
}

static void fork_process(struct frame *frame, const struct instruction *in);

static void one_call(struct frame *frame)
{
	const struct instruction *in = &program_of(frame)->code[frame->pc];
	int64_t value[MOST_ARGUMENTS];
	struct record *record = begin_record(frame);
	int error;

	frame->call.raw = NEVER;
	order_stores();
	frame->record = record;
	order_stores();
	frame->finished = false;
	order_stores();
	if (in->kind->forks) {
		fork_process(frame, in);
		return;
	}
	do {
		frame->call.again = 0;
		order_stores();
		note_beginning(record);
		error = evaluate_all(in, value) ? in->kind->prepare(frame, in, value) : EINVAL;
		if (error)
			frame->call.raw = -error;
		else
			make_call(&frame->call);
	} while (frame->call.raw == NEVER);
	finish_call(frame);
}

/* Have the processes interleave in more ways than they would by themselves. */
static void delay(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	if (run->delays == DELAY_YIELD && random_state & 1) {
		sched_yield();
	} else if (run->delays == DELAY_SPIN && random_state & 1) {
		int64_t end = now() + (64LL << (random_state >> 8) % 10);	/* up to 33 microseconds */

		while (now() < end)
			;
	}
}

static void run_program(struct frame *frame)
{
	const struct program *program = program_of(frame);

	if (program->length)
		for (int i = 0; i < program->code[0].constants; i++)
			variable[program->code[0].constant[i].variable] = program->code[0].constant[i].to;
	for (frame->pc = 0; frame->pc < program->length; frame->pc++) {
		delay();
		one_call(frame);
	}
}

static void begin_frame(struct frame *frame, int program, int invocation)
{
	memset(frame, 0, sizeof(*frame));
	frame->program = program;
	frame->invocation = invocation;
	frame->finished = true;
	frame->call.raw = NEVER;
}

/* Signals. */

static bool between(unsigned long ip, const char *first, const char *last)
{
	return ip >= (unsigned long)first && ip <= (unsigned long)last;
}

/* What entry.S calls: run the program of a handler, on top of whatever was interrupted. */
void on_signal(int signo, siginfo_t *info, ucontext_t *context)
{
	struct frame *outer = current_frame;
	struct frame frame;
	struct invocation *invocation;
	struct record *outer_signo, *outer_fd;
	ucontext_t *below = context;
	int n;

	/* Handlers that have been entered and not begun lie between this one and the frame that was interrupted. */
	while (between(IP(below), handler_entry, handler_settled))
		below = (ucontext_t *)THIRD(below);
	if (between(IP(below), call_done, call_done))
		outer->call.raw = RESULT(below);
	finish_call(outer);

	/* Arguments that were evaluated before this handler are evaluated again, unless the kernel has had them. */
	outer->call.again = 1;
	if (between(IP(context), call_begin, call_insn) &&
	    !(between(IP(context), call_insn, call_insn) && WAS_ENTERED(context)))
		IP(context) = (unsigned long)call_begin;

	n = __atomic_fetch_add(&me->invocations, 1, __ATOMIC_SEQ_CST);
	if (n >= MOST_INVOCATIONS)
		void_run("more signals than a process may handle");
	invocation = &me->invocation[n];
	invocation->program = handler_program[signo];
	invocation->taken = (struct record){ .kind = &taken_kind, .raw = signo, .extra = si_fd_of(info), .begun = now() };
	begin_frame(&frame, invocation->program, n);
	order_stores();
	current_frame = &frame;
	order_stores();
	outer_signo = variable[SI_SIGNO];
	outer_fd = variable[SI_FD];
	variable[SI_SIGNO] = variable[SI_FD] = &invocation->taken;
	run_program(&frame);
	invocation->taken.ended = now();
	current_frame = outer;
	order_stores();
	/* An interrupted handler gets its own siginfo back; the main program keeps that of the last handler. */
	if (outer->invocation) {
		variable[SI_SIGNO] = outer_signo;
		variable[SI_FD] = outer_fd;
	}
}

static void install_handlers(const struct image *image)
{
	struct kernel_action action;

	for (int i = 0; i < image->handlers; i++) {
		handler_program[image->handler[i].signo] = image->handler[i].program;
		if (!image->handler[i].installed)
			continue;
		fill_action(&action, handler_entry, 0);
		syscall(SYS_rt_sigaction, image->handler[i].signo, &action, NULL, SIGNALS_SIZE);
	}
}

/* Processes. */

/* Enter what is about to come into being; it exists when it has its pid. */
void add_process(int slot, int image, int nth, int64_t number, int parent)
{
	struct process *process = &run->process[slot];

	process->image = image;
	process->nth = nth;
	process->number = number;
	process->parent = parent;
	process->children = process->leaving = process->end_value = 0;
	process->ready = 0;
	process->ended = process->gone = false;
	process->end = RUNNING;
	process->invocations = 1;	/* number 0 is the main program */
	process->records = 0;
	process->order = 0;
	process->invocation[0].program = scenario.image[image].program;
}

static void open_inbox(int slot)
{
	struct rlimit limit, raised;
	struct sockaddr_un address;
	int length = inbox_address(&address, slot);
	int inbox;

	if (!scenario.passes_files)
		return;
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	raised = limit;
	raised.rlim_cur = raised.rlim_max;
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &raised, NULL);
	inbox = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (inbox < 0 || bind(inbox, (struct sockaddr *)&address, length) || dup3(inbox, INBOX, 0) < 0)
		void_run("no socket for descriptors that are passed");
	close(inbox);
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static _Noreturn void live(uint64_t mask)
{
	struct frame main;

	begin_frame(&main, scenario.image[me->image].program, 0);
	current_frame = &main;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNALS_SIZE);
	run_program(&main);
	me->leaving = 1;
	for (;;)
		syscall(SYS_exit_group, 0);
}

static void become(int slot)
{
	me = &run->process[slot];
	random_state = run->seed * 0x9e3779b97f4a7c15 + slot + 1;
	install_handlers(&scenario.image[me->image]);
	open_inbox(slot);
	me->pid = syscall(SYS_getpid);
}

/* fork: signals wait, so that the child takes none before it is itself, and the parent goes on when it is. */
static void fork_process(struct frame *frame, const struct instruction *in)
{
	uint64_t all = ~0ULL, mask;
	int slot, nth = 1, image = in->arguments ? in->argument[0].image : -1;
	struct process *child;
	long pid;

	if (image < 0 || !scenario.image[image].forked)
		void_run("a fork of nothing that can be forked");
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SIGNALS_SIZE);
	note_beginning(frame->record);
	slot = __atomic_fetch_add(&run->processes, 1, __ATOMIC_SEQ_CST);
	if (slot >= MOST_PROCESSES || me->number > INT64_MAX / 1000)
		void_run("more processes than a run may have");
	child = &run->process[slot];
	for (int i = 0; i < slot; i++)
		nth += run->process[i].parent == me - run->process && run->process[i].image == image;
	add_process(slot, image, nth, me->number * 100 + ++me->children, me - run->process);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		become(slot);
		__atomic_store_n(&me->ready, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &me->ready, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		live(mask);
	}
	if (pid < 0) {
		child->ended = true;
		pid = -errno;
	} else {
		while (!__atomic_load_n(&child->ready, __ATOMIC_SEQ_CST))
			syscall(SYS_futex, &child->ready, FUTEX_WAIT, 0, NULL, NULL, 0);
	}
	frame->record->extra = child->number;
	frame->call.raw = pid;
	finish_call(frame);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNALS_SIZE);
}

/* Set a soft limit, up to the hard one. */
static void set_limit(int resource, rlim_t wanted)
{
	struct rlimit limit;

	syscall(SYS_prlimit64, 0, resource, NULL, &limit);
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}

/* Be one of the processes that a run begins with, forked by the coordinator with all signals blocked. */
void be_process(int slot)
{
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup3(null, STDIN_FILENO, 0);
	dup3(null, STDOUT_FILENO, 0);
	dup3(null, STDERR_FILENO, 0);
	close(null);			/* the coordinator has no others open */
	set_limit(RLIMIT_NOFILE, USUAL_NOFILE);
	if (scenario.image[run->process[slot].image].sigpending >= 0)
		set_limit(RLIMIT_SIGPENDING, scenario.image[run->process[slot].image].sigpending);
	if (run->cpu >= 0) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(run->cpu, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	memset(handler_program, -1, sizeof(handler_program));
	become(slot);
	if (__atomic_add_fetch(&run->arrived, 1, __ATOMIC_SEQ_CST) == run->starters) {
		run->start = now();
		__atomic_store_n(&run->started, 1, __ATOMIC_SEQ_CST);
	}
	for (int turns = 0; !__atomic_load_n(&run->started, __ATOMIC_SEQ_CST); turns++)
		if (run->cpu >= 0 || turns > 200)
			sched_yield();
	live(0);
}
