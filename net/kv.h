/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store's file: a Kyoto Cabinet tree in hard transactions, each record with
 * a checksum of our own, since a flipped value or a torn page goes unnoticed by
 * the library.  Blocking; one thread at a time.
 *
 * A transaction that a killed process left half done is rolled back when the
 * file is opened.
 *
 * What is damaged is found when the file is opened (every record is read): a
 * record whose checksum is wrong is passed over from then on; a file whose
 * structure is wrong is set aside as PATH.damaged-N and a new one begins with
 * all records that were still good.
 */
#ifndef NET_KV_H
#define NET_KV_H

#include <stdbool.h>

#include "net/backing.h"

struct net_kv;

extern const struct net_backing_ops net_kv_ops; /* of a struct net_kv */

struct net_kv_report {
    uint64_t records;    /* good ones */
    uint64_t damaged;    /* checksum wrong: passed over */
    char set_aside[512]; /* where a damaged file went; "" */
};

/* XN_EBUSY: another process has it; XN_EINVAL: the path holds a '#'; XN_EIO,
 * XN_ENOSPC. */
int net_kv_open(const char *path, struct net_kv **kv_out,
                struct net_kv_report *report_out);
/* For money: nothing is ever repaired, set aside or passed over.  A file that
 * is missing is made only where `create` says so.  Later reads and guards that
 * meet a damaged record end with XN_EINTEGRITY.  Only the file's frame is
 * looked at here, so it takes no longer with more records.
 * XN_ENOENT; XN_EINTEGRITY: emptied, cut, or no store; else as above. */
int net_kv_open_strict(const char *path, bool create, struct net_kv **kv_out);
/* Read every record.  XN_EINTEGRITY: some are damaged (report_out->damaged) or
 * the structure is. */
int net_kv_check(struct net_kv *kv, struct net_kv_report *report_out);
void net_kv_close(struct net_kv *kv);

/* All in one hard transaction, in order; durable when this returns.  rcs[i]:
 * 0, XN_ECONFLICT (a guard of that one failed: it wrote nothing), or for all
 * of them XN_ENOSPC or XN_EIO, and then nothing was written, unless the failure
 * was in telling so. */
void net_kv_apply(struct net_kv *kv, const Xn__Txn *const *txns, size_t n,
                  int *rcs);
/* A Records message, at most `limit` of them (0: as many as fit in 4 MiB). */
int net_kv_read(struct net_kv *kv, const Xn__Read *read,
                struct xn_msg **records_out);

/* ---- for a log before this store (net/wal.h) ---- */

struct net_kv_item {
    const void *key, *value;
    size_t key_len, len;
    bool drop;    /* merge: the record is to go */
    bool damaged; /* walk: its checksum is wrong, and it has no value */
};

/* Does it hold?  0, XN_ECONFLICT, XN_EINTEGRITY, XN_EIO. */
int net_kv_guard(struct net_kv *kv, const Xn__Guard *guard);
/* Else the next call opens it, which takes its time. */
bool net_kv_is_open(const struct net_kv *kv);
/* All of it, and where `note` is given that too, in one hard transaction. */
int net_kv_merge(struct net_kv *kv, const struct net_kv_item *items, size_t n,
                 const void *note, size_t note_len);
/* A record of the log's own, which no READ sees.  XN_ENOENT, XN_EINTEGRITY. */
int net_kv_note(struct net_kv *kv, void *note_out, size_t room,
                size_t *len_out);

/* Records in order, from a key on.  Nothing may be written meanwhile. */
struct net_kv_walk;
int net_kv_walk_new(struct net_kv *kv, const void *from, size_t len,
                    struct net_kv_walk **walk_out);
/* *item_out is lent until the next call.  XN_ENOENT: there are no more;
 * XN_EINTEGRITY: the structure is damaged. */
int net_kv_walk_next(struct net_kv_walk *walk, struct net_kv_item *item_out);
void net_kv_walk_free(struct net_kv_walk *walk);

#endif
