/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system call and the store of its result are one step for whoever looks: the handlers of signals.
 *
 * A signal that is pending when a system call returns has its handler run before the next instruction, that is, before
 * the result is stored. So the first thing a handler does is to look whether it interrupted call_done, and if so to
 * store the result itself; the store here then repeats what was done. And a handler that comes between the evaluation
 * of a call's arguments and the system call has both done again: see on_signal in process.c.
 *
 * Signals can also interrupt handler_entry: the kernel pushes a frame for each of several pending signals, so that the
 * last of them runs first, and others may just arrive. The context of what was interrupted is the third argument, and
 * that register is left alone up to handler_settled, so that on_signal can find it there.
 */
#include "entry.h"

	.text
	.globl make_call, call_begin, call_insn, call_done, handler_entry, handler_settled, restore_context
	.hidden make_call, call_begin, call_insn, call_done, handler_entry, handler_settled, restore_context, current_frame

#if defined(__x86_64__)

make_call:				/* rdi: struct call */
	push	%rbx
	mov	%rdi, %rbx
call_begin:
	xor	%ecx, %ecx		/* becomes call_done when the kernel is entered, and so tells whether it was */
	cmpl	$0, CALL_AGAIN(%rbx)
	jne	1f
	mov	CALL_NUMBER(%rbx), %rax
	mov	CALL_ARGS(%rbx), %rdi
	mov	CALL_ARGS + 8(%rbx), %rsi
	mov	CALL_ARGS + 16(%rbx), %rdx
	mov	CALL_ARGS + 24(%rbx), %r10
	mov	CALL_ARGS + 32(%rbx), %r8
	mov	CALL_ARGS + 40(%rbx), %r9
call_insn:
	syscall
call_done:
	mov	%rax, CALL_RAW(%rbx)
1:	pop	%rbx
	ret

handler_entry:				/* rdi: the signal, rsi: siginfo, rdx: the context */
	lea	call_done(%rip), %rcx
	cmp	%rcx, UC_IP(%rdx)
	jne	handler_settled
	mov	current_frame(%rip), %rax
	mov	UC_RESULT(%rdx), %rcx
	mov	%rcx, CALL_RAW(%rax)
handler_settled:
	jmp	on_signal

restore_context:
	mov	$15, %eax		/* rt_sigreturn */
	syscall

#elif defined(__aarch64__)

make_call:				/* x0: struct call */
	stp	x19, x30, [sp, #-16]!
	mov	x19, x0
call_begin:
	ldr	w9, [x19, #CALL_AGAIN]
	cbnz	w9, 1f
	ldr	x8, [x19, #CALL_NUMBER]
	ldp	x0, x1, [x19, #CALL_ARGS]
	ldp	x2, x3, [x19, #CALL_ARGS + 16]
	ldp	x4, x5, [x19, #CALL_ARGS + 32]
call_insn:
	svc	#0
call_done:
	str	x0, [x19, #CALL_RAW]
1:	ldp	x19, x30, [sp], #16
	ret

handler_entry:				/* x0: the signal, x1: siginfo, x2: the context */
	adrp	x9, call_done
	add	x9, x9, :lo12:call_done
	ldr	x10, [x2, #UC_IP]
	cmp	x9, x10
	b.ne	handler_settled
	adrp	x9, current_frame
	ldr	x9, [x9, :lo12:current_frame]
	ldr	x10, [x2, #UC_RESULT]
	str	x10, [x9, #CALL_RAW]
handler_settled:
	b	on_signal

restore_context:
	mov	x8, #139		/* rt_sigreturn */
	svc	#0

#endif

	.section .note.GNU-stack, "", %progbits
