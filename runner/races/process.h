/* SPDX-License-Identifier: Apache-2.0 */
/* What process.c, which runs programs, and calls.c, which knows the calls, share. */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#include "races.h"

/* The socket on which a process is sent descriptors: a number that the usual RLIMIT_NOFILE keeps from programs. */
#define INBOX 1030
#define USUAL_NOFILE 1024
/* A process id that no Linux process has. */
#define NOBODY INT32_MAX
#define SIGNALS_SIZE (LAST_SIGNAL / 8)

struct call {				/* what make_call makes; entry.h has the offsets */
	long number;
	long argument[6];
	volatile long raw;		/* what came back, or NEVER */
	volatile int again;		/* a handler has run since the arguments were evaluated */
};

/* The kernel's struct sigaction. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

/* What a system call is pointed to; it has to outlive the preparation. */
union scratch {
	uint64_t mask;
	struct {
		uint64_t mask;
		struct timespec time;
	} timed;
	struct rlimit limit;
	char *arguments[2];
	struct kernel_action action;
	struct {
		struct msghdr header;
		struct iovec vector;
		struct sockaddr_un address;
		char byte;
		char control[CMSG_SPACE(sizeof(int))];
	} message;
};

struct frame {				/* a program under way: the main one, or a handler that has interrupted another */
	struct call call;		/* first, for entry.S */
	int program, pc, invocation;
	struct record *volatile record;	/* the call under way, or the last one */
	volatile bool finished;		/* it has: its result is stored */
	union scratch scratch;
};

/* Fills frame->call from evaluated arguments. Returns 0, or an errno with which the call fails unmade. */
typedef int prepare_function(struct frame *frame, const struct instruction *in, const int64_t *value);

struct call_kind {
	const char *name;
	prepare_function *prepare;
	long number;			/* of the system call, for prepare_simply */
	const char *form;		/* its arguments, a letter each */
	int64_t (*value)(const struct record *record);	/* of a call that succeeded; NULL: what the kernel returned */
	int least;			/* arguments that must be there, where there is no form */
	bool bytes;			/* the second argument is data */
	bool forks;			/* process.c makes it */
	bool passes_files;
};

/* calls.c */
bool is_kind(const struct record *record, const char *name);
int si_fd_of(const siginfo_t *info);
int inbox_address(struct sockaddr_un *address, int slot);
void fill_action(struct kernel_action *action, void *handler, unsigned long flags);

/* process.c */
extern struct process *me;
extern struct record *volatile variable[MOST_VARIABLES];
extern int handler_program[LAST_SIGNAL + 1];
_Noreturn void void_run(const char *reason);

/* entry.S */
#define HIDDEN __attribute__((visibility("hidden")))
extern HIDDEN void make_call(struct call *call);
extern HIDDEN char call_begin[], call_insn[], call_done[], handler_entry[], handler_settled[], restore_context[];

#endif
