/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_form.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/page.h"

#define HEAD_PART UINT32_MAX

static const char magic[] = "xeno.log/1\n";

/* ---- numbers ---- */

static void put32(uint8_t *out, uint32_t n)
{
    out[0] = (uint8_t)(n >> 24);
    out[1] = (uint8_t)(n >> 16);
    out[2] = (uint8_t)(n >> 8);
    out[3] = (uint8_t)n;
}

static uint32_t get32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 |
           (uint32_t)in[2] << 8 | in[3];
}

static void put64(uint8_t *out, uint64_t n)
{
    put32(out, (uint32_t)(n >> 32));
    put32(out + 4, (uint32_t)n);
}

static uint64_t get64(const uint8_t *in)
{
    return (uint64_t)get32(in) << 32 | get32(in + 4);
}

/* ---- CRC-32C (Castagnoli), eight bytes at a time ---- */

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    uint32_t i, j, crc;

    for (i = 0; i < 256; i++) {
        crc = i;
        for (j = 0; j < 8; j++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        tables[0][i] = crc;
    }
    for (i = 0; i < 256; i++) {
        for (j = 1; j < 8; j++) {
            crc = tables[j - 1][i];
            tables[j][i] = crc >> 8 ^ tables[0][crc & 255];
        }
    }
}

static uint32_t crc_add(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
               (uint32_t)p[3] << 24;
        crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^
              tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24] ^
              tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
              tables[0][p[7]];
    }
    for (; len; p++, len--)
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 255];
    return crc;
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t sector)
{
    uint8_t number[4];

    pthread_once(&tables_once, make_tables);
    put32(number, sector);
    return ~crc_add(crc_add(UINT32_MAX, number, sizeof number), bytes + 4,
                    WAL_SECTOR - 4);
}

void wal_seal(uint8_t *bytes, uint32_t sector)
{
    put32(bytes, sum_of(bytes, sector));
}

/* ---- writing ---- */

size_t wal_sectors(size_t len)
{
    return len ? (len + WAL_ROOM - 1) / WAL_ROOM : 1;
}

static void put_lead(uint8_t *out, uint64_t epoch, uint64_t seq, uint32_t part,
                     size_t len)
{
    put64(out + 4, epoch);
    put64(out + 12, seq);
    put32(out + 20, part);
    put32(out + 24, (uint32_t)len);
}

void wal_put(uint8_t *out, uint32_t sector, uint64_t epoch, uint64_t seq,
             const void *payload, size_t len)
{
    const uint8_t *from = payload;
    size_t left = len;
    uint32_t part = 0;

    do {
        size_t n = left < WAL_ROOM ? left : WAL_ROOM;

        put_lead(out, epoch, seq, part, len);
        if (n) memcpy(out + WAL_LEAD, from, n);
        memset(out + WAL_LEAD + n, 0, WAL_ROOM - n);
        wal_seal(out, sector + part);
        if (n) from += n;
        left -= n;
        out += WAL_SECTOR;
        part++;
    } while (left);
}

void wal_put_head(uint8_t out[WAL_SECTOR], uint64_t epoch, uint64_t first_seq,
                  uint32_t sectors)
{
    memset(out, 0, WAL_SECTOR);
    put_lead(out, epoch, first_seq, HEAD_PART, sizeof magic - 1 + 4);
    memcpy(out + WAL_LEAD, magic, sizeof magic - 1);
    put32(out + WAL_LEAD + sizeof magic - 1, sectors);
    wal_seal(out, 0);
}

/* ---- reading ---- */

int wal_head(const uint8_t bytes[WAL_SECTOR], struct wal_head *head_out)
{
    if (get32(bytes) != sum_of(bytes, 0) || get32(bytes + 20) != HEAD_PART ||
        memcmp(bytes + WAL_LEAD, magic, sizeof magic - 1) != 0) {
        return XN_EINTEGRITY;
    }
    head_out->epoch = get64(bytes + 4);
    head_out->first_seq = get64(bytes + 12);
    head_out->sectors = get32(bytes + WAL_LEAD + sizeof magic - 1);
    return 0;
}

enum what { BLANK, WRITTEN, BAD };

struct sector {
    enum what what;
    uint64_t seq;
    uint32_t part, len;
};

static bool is_zero(const uint8_t *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, WAL_SECTOR - 1) == 0;
}

static struct sector look(const uint8_t *data, uint32_t sector, uint64_t epoch)
{
    const uint8_t *bytes = data + (size_t)sector * WAL_SECTOR;
    struct sector s = {.what = BAD};

    if (is_zero(bytes)) {
        s.what = BLANK;
    } else if (get32(bytes) == sum_of(bytes, sector)) {
        s.what = get64(bytes + 4) == epoch  ? WRITTEN
                 : get64(bytes + 4) < epoch ? BLANK
                                            : BAD;
        s.seq = get64(bytes + 12);
        s.part = get32(bytes + 20);
        s.len = get32(bytes + 24);
    }
    return s;
}

static int bad(struct wal_scan *scan, const char *what, uint32_t sector)
{
    snprintf(scan->why, sizeof scan->why, "sector %u %s", sector, what);
    return XN_EINTEGRITY;
}

/* How many sectors stand whole where the next record should: all of it (then
 * *len_out is its length) or fewer. */
static int gather(const uint8_t *data, struct wal_scan *scan, uint8_t *payload,
                  size_t *len_out, bool *whole_out)
{
    struct sector first = look(data, scan->end, scan->head.epoch), s = first;
    uint32_t part, n = (uint32_t)wal_sectors(first.len);

    *whole_out = false;
    if (first.what != WRITTEN) return 0;
    if (first.seq != scan->next_seq || first.part != 0) {
        return bad(scan, "is of another record than the one that comes next",
                   scan->end);
    }
    if (n > scan->head.sectors - scan->end) {
        return bad(scan, "begins a record that is longer than the log",
                   scan->end);
    }
    for (part = 0; part < n; part++) {
        size_t at = (size_t)part * WAL_ROOM, room = first.len - at;

        if (part) s = look(data, scan->end + part, scan->head.epoch);
        if (s.what != WRITTEN || s.seq != first.seq) return 0; /* torn? */
        if (s.part != part || s.len != first.len) {
            return bad(scan, "is not the part of its record that it should be",
                       scan->end + part);
        }
        memcpy(payload + at,
               data + (size_t)(scan->end + part) * WAL_SECTOR + WAL_LEAD,
               room < WAL_ROOM ? room : WAL_ROOM);
    }
    *len_out = first.len;
    *whole_out = true;
    return 0;
}

/* Behind the last whole record: nothing, or parts of the one that was being
 * written when the power went. */
static int check_rest(const uint8_t *data, struct wal_scan *scan)
{
    uint32_t at;

    for (at = scan->end; at < scan->head.sectors; at++) {
        struct sector s = look(data, at, scan->head.epoch);

        if (s.what == BAD) return bad(scan, "is damaged", at);
        if (s.what == BLANK) continue;
        if (scan->goes_on || s.seq != scan->next_seq ||
            s.part != at - scan->end || s.part >= wal_sectors(s.len)) {
            return bad(scan, "stands behind a record that is missing", at);
        }
        scan->torn = at - scan->end + 1;
    }
    return 0;
}

int wal_scan(const uint8_t *data, size_t size, wal_record *fn, void *ctx,
             struct wal_scan *out)
{
    uint8_t *payload = NULL;
    bool whole = true;
    size_t len = 0;
    int rc;

    memset(out, 0, sizeof *out);
    if (size < WAL_SECTOR || wal_head(data, &out->head)) {
        return bad(out, "is no head of a log", 0);
    }
    if (out->head.sectors < 2 ||
        size != (size_t)out->head.sectors * WAL_SECTOR) {
        snprintf(out->why, sizeof out->why, "%zu bytes long, not %llu", size,
                 (unsigned long long)out->head.sectors * WAL_SECTOR);
        return XN_EINTEGRITY;
    }
    payload = malloc((size_t)out->head.sectors * WAL_ROOM);
    if (!payload) return XN_ENOMEM;
    out->next_seq = out->head.first_seq;
    out->end = 1;
    rc = 0;
    while (!rc && !out->goes_on && out->end < out->head.sectors) {
        rc = gather(data, out, payload, &len, &whole);
        if (rc || !whole) break;
        if (len && fn) rc = fn(ctx, &out->head, out->next_seq, payload, len);
        if (rc) break;
        out->goes_on = len == 0;
        out->end += (uint32_t)wal_sectors(len);
        out->next_seq++;
    }
    if (!rc) rc = check_rest(data, out);
    free(payload);
    return rc;
}

/* ---- items ---- */

enum { ITEM_LEAD = 7 };

size_t wal_item_size(size_t key_len, size_t len)
{
    return ITEM_LEAD + key_len + len;
}

uint8_t *wal_item_put(uint8_t *out, const void *key, size_t key_len,
                      const void *value, size_t len, bool drop)
{
    out[0] = drop;
    out[1] = (uint8_t)(key_len >> 8);
    out[2] = (uint8_t)key_len;
    put32(out + 3, (uint32_t)len);
    if (key_len) memcpy(out + ITEM_LEAD, key, key_len);
    if (len) memcpy(out + ITEM_LEAD + key_len, value, len);
    return out + ITEM_LEAD + key_len + len;
}

int wal_item_next(const uint8_t *payload, size_t len, size_t *at,
                  struct wal_item *item)
{
    const uint8_t *p = payload + *at;
    size_t left = len - *at;

    if (left == 0) return XN_ENOENT;
    if (left < ITEM_LEAD || p[0] > 1) return XN_EINTEGRITY;
    item->drop = p[0];
    item->key_len = (size_t)p[1] << 8 | p[2];
    item->len = get32(p + 3);
    left -= ITEM_LEAD;
    if (item->key_len > NET_PAGE_KEY_MAX || item->key_len > left ||
        item->len > left - item->key_len || (item->drop && item->len)) {
        return XN_EINTEGRITY;
    }
    item->key = p + ITEM_LEAD;
    item->value = item->key + item->key_len;
    *at += wal_item_size(item->key_len, item->len);
    return 0;
}
