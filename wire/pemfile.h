/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small PEM files, keys and certificates.  The one place in wire/ that
 * touches the file system; cores never call it. */
#ifndef WIRE_PEMFILE_H
#define WIRE_PEMFILE_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/bio.h>

#define PEMFILE_BYTES_MAX (16 * 1024)

/* Written whole or not at all: a temporary file beside it, fsync, rename,
 * fsync of the folder.  `secret`: mode 0600, else 0644.  XN_EPERM, XN_ENOSPC,
 * XN_EIO, XN_ENOMEM. */
int pemfile_write(const char *path, const void *text, size_t len, bool secret);

/* The file's contents as a BIO that the caller frees.  `secret`: XN_EPERM if
 * anybody but its owner may read or write it.  XN_ENOENT, XN_EPERM, XN_ETOOBIG,
 * XN_EINVAL (no regular file), XN_EIO, XN_ENOMEM. */
int pemfile_read(const char *path, bool secret, BIO **bio_out);

/* The password of a PEM: there is none, and nobody is asked for one. */
int pemfile_no_password(char *buf, int size, int writing, void *user);

#endif
