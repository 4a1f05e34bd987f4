/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the coordinator (runner.c) and the processes of a scenario (process.c) share.
 *
 * A scenario arrives as data. It is read into private memory before anything is forked, and nobody changes it. What
 * happens is written by the processes into one shared mapping, struct run, which the coordinator reads when all is over.
 */
#ifndef RACES_H
#define RACES_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bounds. Python checks the same ones, with better words; here they keep hostile data from doing harm. */
enum {
	MOST_PROCESSES = 32,
	MOST_RECORDS = 2048,		/* calls that one process makes in a run */
	MOST_INVOCATIONS = 512,		/* handlers that one process runs in a run */
	MOST_LABELS = 256,
	MOST_POSTS = 2047,		/* labels set in a run: what FUTEX_OP_SET can carry */
	MOST_VARIABLES = 1024,
	MOST_ARGUMENTS = 70,
	MOST_CONSTANTS = 32,		/* loop variables that get a value before one call */
	DEEPEST_EXPRESSION = 256,
	MOST_BYTES = 65536,		/* of one read */
	MOST_DATA = 4 << 20,		/* of all reads of a run */
	LAST_SIGNAL = 64,
};

/* Variables that calls and signals set beside the ones that a program names. */
enum { SI_SIGNO, SI_FD, PIPE_W, WAIT_STATUS, OWN_VARIABLES };

#define NEVER INT64_MIN			/* no call returns this */

/* A scenario. */

enum token_kind { CONSTANT, VARIABLE, OR, TIMES, PLUS, MINUS };

struct token {				/* of an expression, operators after their operands */
	enum token_kind kind;
	int64_t value;			/* of a constant; the number of a variable */
};

enum argument_kind { NONE, NUMBER, TEXT, PROCESS };

struct argument {
	enum argument_kind kind;
	int length;			/* tokens, or bytes of text */
	struct token *tokens;
	char *text;			/* with a NUL behind it */
	int image;			/* a process by its name */
};

struct assignment {
	int variable;
	struct record *to;
};

struct instruction {
	const struct call_kind *kind;
	int target;			/* the variable that takes the result, or -1 */
	int arguments, constants;
	struct argument *argument;
	struct assignment *constant;	/* what loop variables become when the call before has returned */
};

struct program {
	int length;
	struct instruction *code;
};

struct handler {
	int signo, program;
	bool installed;			/* from the start; otherwise sigaction does it */
};

struct image {				/* what a process is made of */
	int program, handlers;
	struct handler *handler;
	bool forked;			/* another process starts it */
	int64_t sigpending;		/* its soft RLIMIT_SIGPENDING, or -1 */
};

struct scenario {
	int programs, images;
	struct program *program;
	struct image *image;
	bool passes_files;
	char *nonce;			/* makes the names of sockets ours */
};

extern struct scenario scenario;

/* A run. */

/*
 * One call: what was made and what came of it. Variables point to the records of the calls that set them, so that the
 * end of a call is the store of one word for each variable, and what the word stands for never changes afterwards.
 */
struct record {
	const struct call_kind *kind;
	int invocation, pc;
	int64_t order;			/* of beginnings, within the process */
	int64_t raw;			/* as the kernel returned it; NEVER */
	int64_t extra;			/* what the kind of call needs to make a value of it */
	int64_t begun, ended;		/* CLOCK_MONOTONIC, nanoseconds; what begun is from an earlier run has not */
	union {
		int pair[2];
		siginfo_t info;
		struct stat stat;
		struct f_owner_ex owner;
		char control[CMSG_SPACE(sizeof(int))];
	} out;				/* where the kernel puts what it does not return */
};

/* A handler that was started; number 0 is the main program. */
struct invocation {
	int program;
	struct record taken;		/* raw: the signal's number, extra: si_fd */
};

enum end { RUNNING, EXITED, KILLED, STOPPED, ASLEEP, UNKNOWN };

struct process {
	pid_t pid;			/* 0: it does not exist yet */
	int64_t number;			/* what the scenario calls its process id */
	int image, nth;			/* it is the nth that its parent has made of this image */
	int parent;			/* -1: the coordinator */
	int children;
	uint32_t ready;			/* a futex: a forked process is set up */
	int leaving;			/* one more than the status it is about to exit with */
	bool ended;			/* it is a zombie, or not even that */
	bool gone;			/* it is known to have no entry in the process table any more */
	enum end end;
	int end_value;			/* a status, or a signal's number */
	int invocations, records;
	int64_t order;
	struct invocation invocation[MOST_INVOCATIONS];
	struct record record[MOST_RECORDS];
};

enum delays { DELAY_NOT, DELAY_SPIN, DELAY_YIELD };

struct run {
	int number;
	enum delays delays;
	int cpu;			/* the one that all processes share, or -1 */
	uint64_t seed;
	int starters;			/* processes that the barrier waits for */
	int arrived;
	uint32_t started;
	int64_t start;
	int processes;
	const char *voided;		/* a process has asked for what is not done here, and this is what; all are forks */
	uint32_t label[MOST_LABELS];	/* futexes: 0, or one more than the post that holds the value */
	int posts;
	int64_t post[MOST_POSTS];
	int data_used;
	struct process process[MOST_PROCESSES];
	char data[MOST_DATA];
};

extern struct run *run;

/* How many processes there are or may be; the number counts those that were one too many. */
static inline int process_count(void)
{
	int processes = __atomic_load_n(&run->processes, __ATOMIC_SEQ_CST);

	return processes < MOST_PROCESSES ? processes : MOST_PROCESSES;
}

/* process.c */
const struct call_kind *find_call(const char *name);
extern const struct call_kind constant_kind;
bool passes_files(const struct call_kind *kind);
bool takes_bytes(const struct call_kind *kind);
int arguments_of(const struct call_kind *kind);
void add_process(int slot, int image, int nth, int64_t number, int parent);
_Noreturn void be_process(int slot);
int errno_of(const struct record *record);
int64_t value_of(const struct record *record);
const char *bytes_of(const struct record *record);
const int *wait_status_of(const struct record *record);
int64_t now(void);

#endif
