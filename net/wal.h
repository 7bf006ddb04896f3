/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A log before the store's file, so that a commit costs one durable
 * write: what is applied stands in the log and is kept in memory until it is
 * merged into Kyoto Cabinet, opened strictly (net/kv.h).
 *
 * The logs are STORE.log0 and STORE.log1, in turn: while one takes what comes,
 * what the other holds is merged in slices, each a hard transaction.  Merging
 * again what was merged does no harm, so a crash anywhere is mended by reading
 * the logs again.  Closed in good order, everything is in Kyoto Cabinet's file
 * alone.
 *
 * What is damaged, cut, emptied or gone, logs included, is XN_EINTEGRITY and
 * named; nothing is repaired.  Blocking; one thread at a time, one process. */
#ifndef NET_WAL_H
#define NET_WAL_H

#include "net/backing.h"
#include "net/kv.h"

struct net_wal;

extern const struct net_backing_ops net_wal_ops; /* of a struct net_wal */

struct net_wal_options {
    size_t
        log_bytes;   /* of the first log; 0: 8 MiB; less where there is no room,
                         more for a transaction that is longer */
    size_t log_most; /* each is twice the one before, up to that; 0: as the
                         first, where that is given, else 16 MiB */
    size_t slice;    /* merged at once: 1 for each record and 512 bytes; 0:
                         1024 */
    bool create;     /* the store, where it is missing */
    bool keep;       /* who only looks: leave the logs as they are at close */
};

struct net_wal_report {
    char file[512]; /* what is wrong; else the store's path */
    char why[160];  /* for people; "": the code says it all */
};

/* As net_kv_open_strict.  options: NULL is fine. */
int net_wal_open(const char *path, const struct net_wal_options *options,
                 struct net_wal **wal_out, struct net_wal_report *report_out);
/* Merges everything and removes the logs, unless told to leave them. */
void net_wal_close(struct net_wal *wal);

/* As net/backing.h says. */
void net_wal_apply(struct net_wal *wal, const Xn__Txn *const *txns, size_t n,
                   int *rcs);
int net_wal_read(struct net_wal *wal, const Xn__Read *read,
                 struct xn_msg **records_out);
/* Behind a commit: merge what it owes, eight slices at most.  Or, when nothing
 * else is to be done, a slice.  true: there is more of that. */
bool net_wal_tend(struct net_wal *wal, bool idle);
/* The file beneath: net_kv_check.  What the logs hold was checked at open. */
int net_wal_check(struct net_wal *wal, struct net_kv_report *report_out);

/* Are there logs of that store? */
bool net_wal_has_logs(const char *path);

#endif
