/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the store's file: what opening it (kv.c) and using it (kv_data.c)
 * share. */
#ifndef NET_KV_IN_H
#define NET_KV_IN_H

#include <kclangc.h>

#include "net/kv.h"

enum {
    NET_KV_SUM = 8, /* bytes of checksum before each value */
    NET_KV_KEY_MAX = 1024,
    NET_KV_PATH = 512,
};

/* Keys of the core follow 'd'; ours follow 'm'. */
#define NET_KV_NOTE_KEY "mnote"

struct net_kv {
    KCDB *db; /* NULL after a failure that could not be mended */
    char path[NET_KV_PATH];
    int lock_fd;
    bool strict; /* damage is an error, never passed over */
};

/* In a broken tree the leaves may lead back to where one has been. */
struct net_kv_order {
    char key[NET_KV_KEY_MAX + 1];
    size_t len;
    bool any;
};

bool net_kv_is_next(struct net_kv_order *last, const char *key, size_t len);
bool net_kv_is_good(const void *key, size_t key_len, const char *stored,
                    size_t len);
/* What errno says of a failure of the library. */
int net_kv_error(void);
int net_kv_put(KCDB *db, const char *key, size_t key_len, const void *value,
               size_t len);
int net_kv_begin(KCDB *db);
/* Commit: what ends a transaction that net_kv_begin began; durable then. */
int net_kv_end(KCDB *db, const char *path);
/* The key as stored; returns its length. */
size_t net_kv_key(const ProtobufCBinaryData *key, char out[NET_KV_KEY_MAX + 1]);
/* kv_undo.c: a transaction that did not end, undone by its log; 0 too where
 * there is none.  Else the file is as it was, and so is the log: try again. */
int net_kv_undo(const char *path);
/* After a failed write, before the library is closed: it may write no more, and
 * its log is kept.  No room is needed for that. */
void net_kv_freeze(const char *path);
/* After a failed write: close and open again. */
void net_kv_mend(struct net_kv *kv);

#endif
