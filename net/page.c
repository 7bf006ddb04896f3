/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/page.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

enum { BYTES_MAX = 4 << 20, RECORDS_MAX = 65536 };

/* The greater of `from` and the prefix. */
int net_range_of(const Xn__Read *read, struct net_range *range)
{
    const ProtobufCBinaryData *from = &read->from, *prefix = &read->prefix;
    size_t common = prefix->len < from->len ? prefix->len : from->len;
    int order = common ? memcmp(from->data, prefix->data, common) : 0;

    if (prefix->len > NET_PAGE_KEY_MAX || from->len > NET_PAGE_KEY_MAX) {
        return XN_EINVAL;
    }
    if (order < 0 || (order == 0 && from->len < prefix->len)) from = prefix;
    range->prefix = prefix->data;
    range->prefix_len = prefix->len;
    range->from = from->data;
    range->from_len = from->len;
    range->limit = read->limit;
    if (range->limit == 0 || range->limit > RECORDS_MAX) {
        range->limit = RECORDS_MAX;
    }
    return 0;
}

bool net_range_holds(const struct net_range *range, const void *key, size_t len)
{
    return len >= range->prefix_len &&
           (range->prefix_len == 0 ||
            memcmp(key, range->prefix, range->prefix_len) == 0);
}

void net_page_init(struct net_page *page)
{
    memset(page, 0, sizeof *page);
    xn__records__init(&page->body);
}

void net_page_clear(struct net_page *page)
{
    size_t i;

    for (i = 0; i < page->body.n_records; i++)
        free(page->rows[i].key.data);
    free(page->rows);
    net_page_init(page);
}

bool net_page_full(struct net_page *page, const struct net_range *range)
{
    if (page->body.n_records < range->limit && page->bytes < BYTES_MAX) {
        return false;
    }
    page->body.more = true;
    return true;
}

int net_page_add(struct net_page *page, const void *key, size_t key_len,
                 const void *value, size_t len)
{
    Xn__Record *row;

    if (page->body.n_records == page->cap) {
        size_t cap = page->cap ? 2 * page->cap : 4;
        Xn__Record *rows = realloc(page->rows, cap * sizeof *rows);

        if (!rows) return XN_ENOMEM;
        page->rows = rows;
        page->cap = cap;
    }
    row = &page->rows[page->body.n_records];
    xn__record__init(row);
    row->key.data = malloc(key_len + len + 1);
    if (!row->key.data) return XN_ENOMEM;
    if (key_len) memcpy(row->key.data, key, key_len);
    row->key.len = key_len;
    row->value.data = row->key.data + key_len;
    row->value.len = len;
    if (len) memcpy(row->value.data, value, len);
    page->body.n_records++;
    page->bytes += key_len + len + 16;
    return 0;
}

int net_page_pack(struct net_page *page, struct xn_msg **records_out)
{
    Xn__Record **index = calloc(page->body.n_records + 1, sizeof *index);
    size_t i;
    int rc;

    if (!index) return XN_ENOMEM;
    for (i = 0; i < page->body.n_records; i++)
        index[i] = &page->rows[i];
    page->body.records = index;
    rc = xn_msg_new(XN__KIND__RECORDS, &page->body, records_out);
    page->body.records = NULL;
    free(index);
    return rc;
}
