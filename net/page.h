/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a store answers to a READ: records in the order of their keys, up to a
 * limit. */
#ifndef NET_PAGE_H
#define NET_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/msg.h"

enum { NET_PAGE_KEY_MAX = 1024 };

/* Where a READ begins and what it may see; points into the READ. */
struct net_range {
    const uint8_t *prefix, *from;
    size_t prefix_len, from_len;
    size_t limit;
};

struct net_page {
    Xn__Records body;
    Xn__Record *rows;
    size_t cap, bytes;
};

/* XN_EINVAL: a key is too long. */
int net_range_of(const Xn__Read *read, struct net_range *range_out);
bool net_range_holds(const struct net_range *range, const void *key,
                     size_t len);

void net_page_init(struct net_page *page);
void net_page_clear(struct net_page *page);
/* No more goes in: there was one more. */
bool net_page_full(struct net_page *page, const struct net_range *range);
/* Copies both. */
int net_page_add(struct net_page *page, const void *key, size_t key_len,
                 const void *value, size_t len);
int net_page_pack(struct net_page *page, struct xn_msg **records_out);

#endif
