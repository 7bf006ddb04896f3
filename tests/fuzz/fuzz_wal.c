/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A log's file: any bytes, and, so that it gets past the checksums, the same
 * with each sector's set right where its first byte is odd. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/wal_form.h"

enum { SECTORS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    uint64_t next;
    size_t bytes;
};

static int on_record(void *ctx, const struct wal_head *head, uint64_t seq,
                     const uint8_t *payload, size_t len)
{
    struct seen *seen = ctx;
    struct wal_item item;
    size_t at = 0, used = 0;
    int rc;

    if (seq != (seen->next ? seen->next : head->first_seq)) abort();
    seen->next = seq + 1;
    seen->bytes += len;
    while (!(rc = wal_item_next(payload, len, &at, &item))) {
        used += wal_item_size(item.key_len, item.len);
        if (used != at || at > len) abort();
    }
    return rc == XN_ENOENT ? 0 : rc;
}

static void judge(const uint8_t *data, size_t len)
{
    struct seen seen = {0, 0};
    struct wal_scan scan;
    int rc = wal_scan(data, len, on_record, &seen, &scan);

    if (seen.bytes > len) abort();
    if (rc) return;
    if (scan.end > scan.head.sectors ||
        scan.torn > scan.head.sectors - scan.end) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy;
    size_t i;

    if (len > SECTORS_MAX * WAL_SECTOR) len = SECTORS_MAX * WAL_SECTOR;
    judge(data, len);
    copy = malloc(len + 1);
    if (!copy) return 0;
    if (len) memcpy(copy, data, len);
    for (i = 0; i < len / WAL_SECTOR; i++) {
        uint8_t *sector = copy + i * WAL_SECTOR;

        if (sector[0] & 1) wal_seal(sector, (uint32_t)i);
    }
    judge(copy, len);
    free(copy);
    return 0;
}
