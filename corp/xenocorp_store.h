/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A XenoCorp's store as its staff tool sees it. */
#ifndef CORP_XENOCORP_STORE_H
#define CORP_XENOCORP_STORE_H

#include "net/wal.h"

struct corp_store {
    char path[512];
    struct net_wal *wal;
};

/* DIR/store.kct and its logs, strictly, to look; with `create` also to write,
 * made where it is missing.  An exit code, told with xn_gripe: `what` could not
 * be done. */
int corp_store_open(const char *program, const char *what, const char *dir,
                    bool create, struct corp_store *store_out);
void corp_store_close(struct corp_store *store);
/* Every record whose key begins with `prefix`, in order, until one gives an
 * error. */
int corp_store_each(struct corp_store *store, const char *prefix,
                    int (*fn)(void *ctx, const Xn__Record *record), void *ctx);

#endif
