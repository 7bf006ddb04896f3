/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One log in its file: made, begun anew, appended to. */
#ifndef NET_WAL_FILE_H
#define NET_WAL_FILE_H

#include "lib/buf.h"
#include "net/wal_form.h"

struct wal_file {
    int fd; /* -1: none */
    uint64_t epoch;
    uint32_t sectors;
    uint32_t end;   /* where the next record goes */
    uint32_t dirty; /* sectors from there that a failure may have left */
    bool unsure;    /* and they may be a whole record */
    uint8_t *room;  /* where records are put together: aligned as disks want */
    uint32_t room_sectors;
};

void wal_file_init(struct wal_file *file);
void wal_file_close(struct wal_file *file);
/* STORE.log0 or STORE.log1; room for NET_PATH_MAX. */
void wal_file_path(char *out, const char *store, uint64_t epoch);
/* A log in which nothing stands yet, durable with its name.  An older one of
 * that size is written over, so that its blocks are on the disk already: a
 * write into them needs no change of the file system's own records, and
 * is durable by itself. */
int wal_file_begin(const char *path, uint64_t epoch, uint64_t first_seq,
                   uint32_t sectors, struct wal_file *file_out);
/* What was read there is durable when this returns 0: whoever was killed between
 * writing and syncing left it to the system's memory.  XN_EIO. */
int wal_file_settle(const char *path);
/* The log that was read and found good. */
int wal_file_resume(const char *path, const struct wal_scan *scan,
                    struct wal_file *file_out);
/* Durable when this returns 0; else it is as if it was never tried, once
 * wal_file_sure has returned 0: XN_ENOSPC, XN_EIO, XN_ENOMEM. */
int wal_file_append(struct wal_file *file, uint64_t seq, const void *payload,
                    size_t len);

/* Is it certain, and durable, that no record stands behind the last one?  What
 * an append that failed has left there would be taken for one at the next
 * start.  0; else as above: nobody knows what the next start will find. */
int wal_file_sure(struct wal_file *file);

#endif
