/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the store beneath the log is known to have no key.
 *
 * Every operation's id is guarded to be new, and to see that a key is absent a
 * page of the store must be found and read.  Ids of one account begin alike and
 * go up, so who has looked once what comes behind one knows it of those that
 * follow.  (Locks on the next key serve databases for the same: Mohan, "ARIES/KVL",
 * VLDB 1990.)
 *
 * A gap is of keys with one beginning, and a few of them have room for each
 * beginning's hash; what is forgotten is read again. */
#ifndef NET_WAL_GAPS_H
#define NET_WAL_GAPS_H

#include <stdbool.h>
#include <stddef.h>

struct wal_gaps;

/* A megabyte.  XN_ENOMEM. */
int wal_gaps_new(struct wal_gaps **gaps_out);
void wal_gaps_free(struct wal_gaps *gaps); /* NULL is fine */

/* Is it known that the store has no such key? */
bool wal_gaps_hold(const struct wal_gaps *gaps, const void *key, size_t len);
/* The store has no key from this one on and before `next`; NULL: none at all. */
void wal_gaps_learn(struct wal_gaps *gaps, const void *key, size_t len,
                    const void *next, size_t next_len);
/* The store may have that key from now on. */
void wal_gaps_fill(struct wal_gaps *gaps, const void *key, size_t len);

#endif
