/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders with all that is in them, links not followed. */
#ifndef NET_TREE_H
#define NET_TREE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "wire/id.h"

#define NET_TREE_DEPTH_MAX 66
#define NET_TREE_ENTRY_BYTES                                                   \
    4096 /* what one takes on the disk, however small */

/* SHA-256 over all names, kinds, the right to execute, contents and links, in
 * the order of names; *bytes_out: of all files, and for each entry.  Ends with XN_ECANCELLED once
 * *stop is set (NULL is fine).  XN_ENOENT, XN_EIO with errno, XN_ETOOBIG (too
 * deep); XN_EBUSY, XN_ENOMEM: it could not be looked at now. */
int net_tree_digest(int dir, const char *name, const atomic_bool *stop,
                    xn_id *digest_out, uint64_t *bytes_out);
/* What cannot be removed stays: XN_EIO with errno. */
int net_tree_remove(int dir, const char *name);
/* Does that errno speak of this moment, and not of a file? */
bool net_trouble_passes(int err);

#endif
