/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small files, whole or not at all. */
#ifndef NET_FILE_H
#define NET_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Make durable that `path` has this name: fsync of its folder.  XN_EIO. */
int net_file_sync_dir(const char *path);
/* A folder of mode 0700, made where it is missing (its parent must be there).
 * XN_EIO with errno. */
int net_file_dir(const char *path);
/* The whole file, NUL behind it, at most `max` bytes; *data_out is the
 * caller's.  XN_ENOENT, XN_EIO, XN_ETOOBIG. */
int net_file_read(const char *path, size_t max, char **data_out,
                  size_t *len_out);

#endif
