/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's staff changes accounts: at the running XenoCorp, proved by its
 * own key.  A reference counts once, however often it is given. */
#ifndef CORP_XENOCORP_CLIENT_H
#define CORP_XENOCORP_CLIENT_H

#include <stdbool.h>

enum account_change { PAY_IN, PAY_OUT, GIVE_CREDIT, TAKE_BACK };

/* An exit code; errors are told. */
int account_change(const char *program, enum account_change how,
                   const char *dir, const char *member, const char *amount,
                   const char *reference, bool json);

#endif
