/* SPDX-License-Identifier: Apache-2.0 */
/* Where entry.S finds things; process.c checks these numbers when it is compiled. */
#ifndef ENTRY_H
#define ENTRY_H

#define CALL_NUMBER 0
#define CALL_ARGS 8
#define CALL_RAW 56
#define CALL_AGAIN 64

#if defined(__x86_64__)
#define UC_IP 168
#define UC_RESULT 144
#elif defined(__aarch64__)
#define UC_IP 440
#define UC_RESULT 184
#else
#error "no entry.S for this machine"
#endif

#endif
