/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store in memory for tests, behind the table of functions of
 * net/backing.h: what a store must do, as simply as it can be done, and faults
 * at the caller's word. */
#ifndef TESTS_UNIT_MEM_STORE_H
#define TESTS_UNIT_MEM_STORE_H

#include "net/backing.h"

struct mem_record {
    uint8_t *key, *value;
    size_t key_len, len;
};

struct mem_store {
    struct mem_record *records; /* in the order of their keys */
    size_t n, cap;
    int fail_rc;         /* the next apply ends with this */
    bool fail_after;     /* ... but does what it was asked for */
    unsigned fail_reads; /* so many reads end with XN_EIO */
    uint64_t applied;    /* transactions done */
};

extern const struct net_backing_ops mem_store_ops;

void mem_store_clear(struct mem_store *store);
/* The record of that key, or NULL. */
struct mem_record *mem_store_get(struct mem_store *store, const void *key,
                                 size_t len);

#endif
