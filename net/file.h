/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders of files that must last. */
#ifndef NET_FILE_H
#define NET_FILE_H

#define NET_PATH_MAX 512

/* "dir/name". */
void net_file_path(char out[NET_PATH_MAX], const char *dir, const char *name);

/* Make durable that `path` has this name: fsync of its folder.  XN_EIO. */
int net_file_sync_dir(const char *path);
/* A folder of mode 0700, made where it is missing (its parent must be there).
 * XN_EIO with errno. */
int net_file_dir(const char *path);
/* The folders above `path`, made where they are missing, mode 0755.  XN_EIO with
 * errno. */
int net_file_parents(const char *path);
/* Could another user change what is in this folder?  Then what is read from it
 * is his word, and what is written to it goes where he likes.  XN_EPERM; XN_EIO
 * with errno. */
int net_file_private(const char *path);

#endif
