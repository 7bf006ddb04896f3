/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What key.c and keyfile.c agree on; nobody else's. */
#ifndef WIRE_KEY_FORM_H
#define WIRE_KEY_FORM_H

#include "wire/key.h"

/* The key pair `raw`, from whatever file, in the one form that we use; the
 * caller frees it.  XN_EINVAL: another curve, or halves that do not belong
 * together. */
int key_accept(const EVP_PKEY *raw, EVP_PKEY **key_out);

#endif
