// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the orders: numbers in decimal, and texts as "length:bytes", each with white space behind it. encode.py writes
 * them, but nothing here trusts that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenario.h"

#define VERSION 2
#define MOST_INPUT (64 << 20)
#define MOST_RUNS 100000000

struct scenario scenario;

static char *input, *cursor, *input_end;

_Noreturn void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("races: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	exit(2);
}

static _Noreturn void bad(const char *expected)
{
	die("byte %td of the orders: expected %s", cursor - input, expected);
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (!memory)
		die("no memory for %zu times %zu bytes", count, size);
	return memory;
}

static void read_input(void)
{
	size_t room = 1 << 16, length = 0;
	ssize_t got;

	input = allocate(room, 1);
	while ((got = read(STDIN_FILENO, input + length, room - length - 1))) {
		if (got < 0 && errno != EINTR)
			die("the orders cannot be read: %s", strerror(errno));
		length += got > 0 ? got : 0;
		if (length > MOST_INPUT)
			die("more than %d bytes of orders", MOST_INPUT);
		if (room - length < 2) {
			room *= 2;
			input = realloc(input, room);
			if (!input)
				die("no memory for %zu bytes of orders", room);
		}
	}
	input[length] = 0;
	cursor = input;
	input_end = input + length;
}

static bool white(char c)
{
	return c == ' ' || c == '\n';
}

static int64_t number(int64_t least, int64_t most)
{
	char *end;
	long long value;

	while (white(*cursor))
		cursor++;
	if (*cursor != '-' && (*cursor < '0' || *cursor > '9'))
		bad("a number");
	errno = 0;
	value = strtoll(cursor, &end, 10);
	if (errno || value < least || value > most)
		bad("a number within its bounds");
	if (*end && !white(*end) && *end != ':')
		bad("a number");
	cursor = end;
	return value;
}

/* The number of things that follow; each of them takes some of the orders, which bounds it. */
static int count(int64_t most)
{
	int64_t left = input_end - cursor;

	return number(0, most < left ? most : left);
}

static char *text(int *length, int most)
{
	int size = count(most);
	char *copy;

	if (*cursor++ != ':' || size > input_end - cursor)
		bad("a text of the length that it says");
	copy = allocate(size + 1, 1);
	memcpy(copy, cursor, size);
	cursor += size;
	if (length)
		*length = size;
	return copy;
}

/* Whether a path is one of the program's own descriptors, opened again: the first three are /dev/null. */
static bool is_own_descriptor(const char *name)
{
	const char *folder = "/proc/self/fd/";
	const char *digits = name + strlen(folder);

	return !strncmp(name, folder, strlen(folder)) && *digits && strlen(digits) < 10 &&
	       strspn(digits, "0123456789") == strlen(digits) && atoi(digits) > STDERR_FILENO;
}

/* A path below the folder of the run, or a descriptor opened again. */
static char *path(void)
{
	int length;
	char *name = text(&length, MOST_PATH);

	if (strlen(name) != (size_t)length)
		bad("a path without NUL");
	if (is_own_descriptor(name))
		return name;
	if (*name == '/')
		bad("a relative path");
	for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
		if (!strcmp(part, "..") || !strncmp(part, "../", 3))
			bad("a path without ..");
	return name;
}

static void read_expression(struct argument *argument)
{
	int depth = 0;

	argument->length = count(2 * DEEPEST_EXPRESSION);
	argument->tokens = allocate(argument->length, sizeof(*argument->tokens));
	for (int i = 0; i < argument->length; i++) {
		struct token *token = &argument->tokens[i];

		token->kind = number(CONSTANT, MINUS);
		if (token->kind == CONSTANT)
			token->value = number(INT64_MIN, INT64_MAX);
		else if (token->kind == VARIABLE)
			token->value = number(0, MOST_VARIABLES - 1);
		depth += token->kind <= VARIABLE ? 1 : -1;
		if (depth < 1 || depth > DEEPEST_EXPRESSION)
			bad("an expression");
	}
	if (depth != 1)
		bad("an expression with one value");
}

static void read_argument(struct argument *argument, const struct call_kind *kind, int position)
{
	argument->kind = number(NONE, PROCESS);
	if (argument->kind == NUMBER)
		read_expression(argument);
	else if (argument->kind == TEXT && position == 1 && takes_bytes(kind))
		argument->text = text(&argument->length, MOST_BYTES);
	else if (argument->kind == TEXT)
		argument->text = path();
	else if (argument->kind == PROCESS)
		argument->image = number(0, MOST_IMAGES - 1);
}

static void read_instruction(struct instruction *in)
{
	char *name = text(NULL, 64);

	in->kind = find_call(name);
	if (!in->kind)
		die("there is no call %s", name);
	free(name);
	scenario.passes_files |= passes_files(in->kind);
	in->target = number(-1, MOST_VARIABLES - 1);
	in->constants = count(MOST_CONSTANTS);
	in->constant = allocate(in->constants, sizeof(*in->constant));
	for (int i = 0; i < in->constants; i++) {
		in->constant[i].variable = number(OWN_VARIABLES, MOST_VARIABLES - 1);
		in->constant[i].to = allocate(1, sizeof(struct record));
		in->constant[i].to->kind = &constant_kind;
		in->constant[i].to->raw = number(0, INT32_MAX);
	}
	in->arguments = count(MOST_ARGUMENTS);
	if (in->arguments < arguments_of(in->kind))
		bad("more arguments");
	in->argument = allocate(in->arguments, sizeof(*in->argument));
	for (int i = 0; i < in->arguments; i++)
		read_argument(&in->argument[i], in->kind, i);
}

static void read_image(struct image *image)
{
	image->program = number(0, scenario.programs - 1);
	image->forked = number(0, 1);
	image->sigpending = number(-1, INT64_MAX);
	image->handlers = count(LAST_SIGNAL);
	image->handler = allocate(image->handlers, sizeof(*image->handler));
	for (int i = 0; i < image->handlers; i++) {
		image->handler[i].signo = number(1, LAST_SIGNAL);
		image->handler[i].program = number(0, scenario.programs - 1);
		image->handler[i].installed = number(0, 1);
	}
}

void read_scenario(struct orders *orders)
{
	int starters = 0;

	read_input();
	number(VERSION, VERSION);
	orders->runs = number(0, MOST_RUNS);
	orders->seed = number(INT64_MIN, INT64_MAX);
	orders->milliseconds = number(1, 3600 * 1000);
	orders->folder = text(NULL, MOST_PATH);
	scenario.nonce = text(NULL, 32);
	orders->folders = count(INT32_MAX);
	orders->below = allocate(orders->folders, sizeof(*orders->below));
	for (int i = 0; i < orders->folders; i++)
		orders->below[i] = path();
	orders->files = count(INT32_MAX);
	orders->file = allocate(orders->files, sizeof(*orders->file));
	for (int i = 0; i < orders->files; i++) {
		orders->file[i].path = path();
		orders->file[i].size = number(0, LARGEST_FILE);
		orders->file[i].mode = number(0, 07777);
	}
	scenario.programs = count(INT32_MAX);
	scenario.program = allocate(scenario.programs, sizeof(*scenario.program));
	for (int i = 0; i < scenario.programs; i++) {
		struct program *program = &scenario.program[i];

		program->length = count(INT32_MAX);
		program->code = allocate(program->length, sizeof(*program->code));
		for (int j = 0; j < program->length; j++)
			read_instruction(&program->code[j]);
	}
	scenario.images = number(1, MOST_IMAGES);
	/* All of them, so that a process that is named by a number without an image is one that never runs. */
	scenario.image = allocate(MOST_IMAGES, sizeof(*scenario.image));
	for (int i = 0; i < scenario.images; i++) {
		read_image(&scenario.image[i]);
		starters += !scenario.image[i].forked;
	}
	if (!starters || starters > MOST_PROCESSES)
		bad("some processes that start, and not too many");
	while (white(*cursor))
		cursor++;
	if (cursor != input_end)
		bad("the end");
	free(input);
}
