/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What holds the records of a core: a table of functions, so that another
 * store can take the place of Kyoto Cabinet.  tests/unit/backing_suite.c says
 * what each must do.  Blocking; one thread at a time. */
#ifndef NET_BACKING_H
#define NET_BACKING_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/msg.h"

enum net_store_kind {
    NET_STORE_NONE,
    NET_STORE_MENDED, /* net/kv.h: what is damaged is left out, set aside */
    NET_STORE_LOGGED, /* net/wal.h, for money: what is damaged is an error,
                         never repaired */
    NET_STORE_LEDGER, /* the same, and the file must be there */
};

struct net_backing_ops {
    const char *name;
    /* The transactions in order, each whole or not at all, all durable when
     * this returns.  rcs[i]: 0; XN_ECONFLICT: a guard of that one did not hold,
     * seen behind those before it; XN_EINVAL: a key is too long; or, for all of
     * them, XN_ENOSPC, XN_EIO, XN_EINTEGRITY: nothing was written, unless the
     * failure was in telling so (read again to know). */
    void (*apply)(void *backing, const Xn__Txn *const *txns, size_t n,
                  int *rcs);
    /* Records in the order of their keys, as bytes; `more` where the limit or
     * 4 MiB cut them short.  XN_EINTEGRITY: one of them is damaged. */
    int (*read)(void *backing, const Xn__Read *read,
                struct xn_msg **records_out);
    void (*close)(void *backing); /* NULL is fine */
    /* What is to be done besides, a little of it:
     * what must be done now, or, when nothing else is under way, anything.
     * true: there is more of that.  NULL: there is never any. */
    bool (*tend)(void *backing, bool idle);
    /* Would this transaction now be one short write and nothing else?  NULL:
     * that cannot be told. */
    bool (*is_quick)(const void *backing, const Xn__Txn *txn);
};

#endif
