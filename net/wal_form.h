/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of a log: what stands in its file, and how that is judged.
 *
 * A log is a file of fixed size in sectors of 512 bytes, since a disk writes a
 * sector whole or not at all:
 *
 *     0   4  CRC-32C of the sector's number (4 bytes) and bytes 4 to 511
 *     4   8  epoch: counts up with each use of a log
 *    12   8  number of the record, counted over all logs
 *    20   4  which part of the record this is, from 0
 *    24   4  length of the whole record
 *    28      up to 484 bytes of it
 *
 * All numbers are big endian.  Sector 0 is the head: its record number is the
 * first that will stand here, its part is all ones, its text says what this
 * is and how many sectors there are.  Records follow without gaps; a record of
 * length 0 says that the log goes on in the next epoch's file.
 *
 * A sector that was never written in this epoch is all zeros or a whole one of
 * an older epoch.  So what a power cut tore (some sectors written, the others
 * not) can be told from what was damaged later, in the last record too. */
#ifndef NET_WAL_FORM_H
#define NET_WAL_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WAL_SECTOR = 512,
    WAL_LEAD = 28,
    WAL_ROOM = WAL_SECTOR - WAL_LEAD,
    WAL_WHY = 120,
};

/* Sectors that a record takes. */
size_t wal_sectors(size_t len);
/* Write it into `out` (wal_sectors(len) of them), to stand from `sector` on.
 * `payload` may be NULL where len is 0. */
void wal_put(uint8_t *out, uint32_t sector, uint64_t epoch, uint64_t seq,
             const void *payload, size_t len);
void wal_put_head(uint8_t out[WAL_SECTOR], uint64_t epoch, uint64_t first_seq,
                  uint32_t sectors);
/* Make a sector that was altered look right again: for tests. */
void wal_seal(uint8_t *sector_bytes, uint32_t sector);

struct wal_head {
    uint64_t epoch, first_seq;
    uint32_t sectors;
};

/* XN_EINTEGRITY. */
int wal_head(const uint8_t bytes[WAL_SECTOR], struct wal_head *head_out);

struct wal_scan {
    struct wal_head head;
    uint64_t next_seq; /* of the record that would come next */
    uint32_t end;      /* the sector where it would stand */
    uint32_t torn;     /* sectors from there that hold a torn record; 0: none */
    bool goes_on;      /* in the next epoch's log */
    char why[WAL_WHY];
};

typedef int wal_record(void *ctx, const struct wal_head *head, uint64_t seq,
                       const uint8_t *payload, size_t len);

/* Judge a whole log and hand out its records in order.  `size` is the file's.
 * XN_EINTEGRITY: out->why says what is wrong where; XN_ENOMEM; what `fn`
 * gives. */
int wal_scan(const uint8_t *data, size_t size, wal_record *fn, void *ctx,
             struct wal_scan *out);

/* ---- a record: what became of some keys ---- */

/* Each: 1 byte (1: is gone), length of key (2), of value (4), both. */
size_t wal_item_size(size_t key_len, size_t len);
uint8_t *wal_item_put(uint8_t *out, const void *key, size_t key_len,
                      const void *value, size_t len, bool drop);

struct wal_item {
    const uint8_t *key, *value;
    size_t key_len, len;
    bool drop;
};

/* The item at *at, which moves on.  XN_ENOENT: that was all; XN_EINTEGRITY. */
int wal_item_next(const uint8_t *payload, size_t len, size_t *at,
                  struct wal_item *item_out);

#endif
