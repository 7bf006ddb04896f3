/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writing half of a console file; wire/console.h has its form and reads
 * it. */
#ifndef KEEPER_CONSOLE_H
#define KEEPER_CONSOLE_H

#include "wire/console.h"

/* An empty one in the folder; all its room is taken at once, so that a full
 * disk shows here.  XN_ENOSPC, XN_EIO with errno. */
int console_create(int dir, const char *name, uint64_t size,
                   struct console *out);
/* One that another process wrote, to go on.  As console_open. */
int console_reopen(int dir, const char *name, struct console *out);
int console_append(struct console *console, const void *data, size_t len);
/* Nothing more will come: what was never written to gives its room back. */
void console_finish(struct console *console);

#endif
