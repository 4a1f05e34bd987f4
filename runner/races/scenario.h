/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinator is told to do. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "races.h"

#define MOST_PATH 5000			/* longer ones are the kernel's to refuse, up to here */
#define MOST_IMAGES 1000
#define LARGEST_FILE (1 << 30)

struct file {
	char *path;
	int64_t size;
	mode_t mode;
};

struct orders {
	int runs;
	uint64_t seed;
	int milliseconds;		/* that one run may take */
	char *folder;
	int folders, files;
	char **below;			/* folders to make in that of each run, outer ones first */
	struct file *file;
};

void read_scenario(struct orders *orders);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
