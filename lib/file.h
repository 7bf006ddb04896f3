/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include "lib/buf.h"

/* Appends a whole file to the buffer, whose bound is the file's.  XN_ENOENT and
 * XN_EIO with errno; XN_ETOOBIG, XN_ENOMEM. */
int xn_file_read(const char *path, struct xn_buf *out);

/* Why that failed, for people; while errno is still what it left. */
const char *xn_file_why(int rc);

#endif
