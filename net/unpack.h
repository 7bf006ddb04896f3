/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tar archive (plain, gzip, xz, zstd) becomes a folder that a sandbox may
 * mount.  The archive is hostile: it runs in a process of its own,
 * xeno-unpack.
 *
 * Refused are names that lead out of the folder or through a link, names that
 * come twice, and what is beyond a limit (a folder that nobody named but that a
 * name needs is an entry, another name of a file has its size).  Left out are devices, pipes and
 * sockets, since a sandbox has its own, and attributes.  Of modes only the right
 * to execute is kept (0755 or 0644; folders 0755), so nothing is set-user-id and
 * all can be read by whatever user a task has. */
#ifndef NET_UNPACK_H
#define NET_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#define UNPACK_ENTRIES_MAX 200000
#define UNPACK_PATH_MAX 1024
#define UNPACK_DEPTH_MAX 64

/* From where `archive` stands into the empty folder `dir`; what is written, holes
 * included, is at most bytes_max, in at most entries_max entries.  XN_EINVAL: hostile or no archive; XN_ETOOBIG;
 * XN_ENOSPC; XN_EIO; XN_ENOMEM; because_out says more.  What was written stays. */
int unpack(int archive, int dir, uint64_t bytes_max, uint32_t entries_max,
           char *because_out, size_t len);

#endif
