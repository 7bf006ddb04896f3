/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the log: what opening it (wal_open.c) and using it (wal.c) share.
 *
 * Kyoto Cabinet's file has a note: whether there is a log, the epoch of the
 * oldest one that is not merged wholly, and the key up to which it is.  So a log
 * that is missing is missed, one that was merged is not taken for one that was
 * not, and who is killed again and again gets on with merging all the same. */
#ifndef NET_WAL_IN_H
#define NET_WAL_IN_H

#include "net/file.h"
#include "net/page.h"
#include "net/wal.h"
#include "net/wal_file.h"
#include "net/wal_gaps.h"
#include "net/wal_table.h"

enum { WAL_NOTE = 10, WAL_NOTE_MAX = WAL_NOTE + NET_PAGE_KEY_MAX };

struct net_wal {
    struct net_kv *kv;
    char path[NET_PATH_MAX];
    uint32_t sectors;     /* of the first log */
    uint32_t sectors_max; /* each is twice the one before, up to that */
    bool keep;
    bool open;       /* as the note says */
    uint64_t oldest; /* as the note says; closed: of the next log */
    struct wal_file active;
    uint64_t seq; /* of the next record */
    struct wal_table pending;
    struct wal_gaps *gaps; /* of the file; NULL: no memory */

    /* The log before `active`, being merged. */
    bool frozen;
    size_t frozen_left; /* the weight of its rows that are to be merged */
    int64_t owed;       /* of that now: see pace() */
    uint8_t *cursor;    /* key that the next slice begins at; NULL: the first */
    size_t cursor_len;
    size_t slice, slice_most;        /* weight of one, at most */
    uint64_t rest_us, rest_until_us; /* after a merge that failed; mono */
};

/* Merge the next slice of the frozen log; after the last one it is free. */
int wal_merge_slice(struct net_wal *wal);
/* What a commit of so many sectors owes: as much of the merging as it takes of
 * the room in which that is to be done, the log without its last third.  So
 * whoever writes much waits for much, nobody for what others wrote, and the
 * other log is free in time. */
void wal_pace(struct net_wal *wal, size_t sectors);
/* Merge all that is pending, slice by slice; no log is needed from there on. */
int wal_settle(struct net_wal *wal);

/* cursor: NULL is fine.  Returns the length. */
size_t wal_note_put(uint8_t out[WAL_NOTE_MAX], bool open, uint64_t oldest,
                    const void *cursor, size_t cursor_len);
int wal_note_get(const uint8_t *note, size_t len, struct net_wal *wal);

#endif
