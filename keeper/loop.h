/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file as a block device of this host, which is what Xen's back end takes. */
#ifndef KEEPER_LOOP_H
#define KEEPER_LOOP_H

#include <stdbool.h>

#define LOOP_PATH_MAX 32

/* The device is the file's until nobody has it open any more: neither who
 * called nor Xen.  A descriptor of the device, which is the caller's, and its
 * path; -1 with errno. */
int loop_attach(int file, bool writable, char path_out[LOOP_PATH_MAX]);

#endif
